package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const question = "You are asked by somebody who measures how long a question takes on its way. " +
	"Answer in one sentence that is neither short nor long, and say nothing about yourself. "

// traffic is what clients send, and to where.
type traffic struct {
	address, path, key, models string
	stream                     bool
	tokens, pause, clients     int
	seconds, warm              float64
}

// result is what is printed: times are in milliseconds.
type result struct {
	Requests  int     `json:"requests"`
	Errors    int     `json:"errors"`
	Seconds   float64 `json:"seconds"`
	FirstP50  float64 `json:"first_p50_ms"`
	FirstP99  float64 `json:"first_p99_ms"`
	LastError string  `json:"last_error"`
}

func parse(name string, args []string) (*traffic, error) {
	var t traffic
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	flags.StringVar(&t.address, "to", "", "host:port")
	flags.StringVar(&t.path, "path", "/v1/chat/completions", "path")
	flags.StringVar(&t.key, "key", "", "bearer token")
	flags.StringVar(&t.models, "models", "fake", "models to ask in turn, separated by commas")
	flags.BoolVar(&t.stream, "stream", false, "ask for streams")
	flags.IntVar(&t.tokens, "tokens", 16, "events of a stream")
	flags.IntVar(&t.pause, "pause", 0, "how long the engine takes for an event or an answer, in ms")
	flags.IntVar(&t.clients, "clients", 32, "requests in flight")
	flags.Float64Var(&t.seconds, "seconds", 3, "how long")
	return &t, flags.Parse(args)
}

// requests returns one request for each model.
func (t *traffic) requests() [][]byte {
	var made [][]byte
	for _, model := range strings.Split(t.models, ",") {
		body := map[string]any{
			"model":      model,
			"messages":   []any{map[string]string{"role": "user", "content": question + question}},
			"max_tokens": t.tokens,
			"pause_ms":   t.pause,
		}
		if t.stream {
			body["stream"] = true
		}
		text, _ := json.Marshal(body)
		made = append(made, request(t.address, t.path, t.key, text))
	}
	return made
}

// load has each client send its next request when the last was answered, and prints the result.
func load(args []string) error {
	t, err := parse("load", args)
	if err != nil {
		return err
	}
	requests, began := t.requests(), time.Now()
	until := began.Add(time.Duration(t.seconds * float64(time.Second)))
	results, times := make([]result, t.clients), make([][]time.Duration, t.clients)
	var working sync.WaitGroup
	for number := range t.clients {
		working.Go(func() { times[number] = repeat(t, requests, number, until, &results[number]) })
	}
	working.Wait()
	return json.NewEncoder(os.Stdout).Encode(sum(results, times, time.Since(began)))
}

func repeat(t *traffic, requests [][]byte, next int, until time.Time, r *result) []time.Duration {
	var times []time.Duration
	c := client{address: t.address}
	defer c.close()
	for ; time.Now().Before(until); next++ {
		first, err := c.send(requests[next%len(requests)], func() {})
		if err != nil {
			r.Errors++
			r.LastError = err.Error()
			c.close()
			continue
		}
		r.Requests++
		times = append(times, first)
	}
	return times
}

func sum(results []result, times [][]time.Duration, took time.Duration) result {
	total := result{Seconds: took.Seconds()}
	for _, r := range results {
		total.Requests += r.Requests
		total.Errors += r.Errors
		if r.LastError != "" {
			total.LastError = r.LastError
		}
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	if len(all) > 0 {
		total.FirstP50 = all[len(all)/2].Seconds() * 1000
		total.FirstP99 = all[len(all)*99/100].Seconds() * 1000
	}
	return total
}

// hold opens streams, prints a line when each has begun, and ends them when its input ends.
func hold(args []string) error {
	t, err := parse("hold", args)
	if err != nil {
		return err
	}
	requests, begun := t.requests(), make(chan error, 2*t.clients)
	for number := range t.clients {
		go func() {
			c := client{address: t.address}
			_, err := c.send(requests[number%len(requests)], func() { begun <- nil })
			if err == nil {
				err = errors.New("a stream ended")
			}
			begun <- err
		}()
	}
	for range t.clients {
		select {
		case err := <-begun:
			if err != nil {
				return err
			}
		case <-time.After(time.Minute):
			return errors.New("not all streams have begun within a minute")
		}
	}
	fmt.Println("open")
	bufio.NewReader(os.Stdin).ReadString('\n')
	return nil
}
