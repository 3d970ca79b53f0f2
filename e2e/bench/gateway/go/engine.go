package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const answer = `{"id":"chatcmpl-fake","object":"chat.completion","created":1767225600,` +
	`"model":"fake","choices":[{"index":0,"message":{"role":"assistant","content":"The quick ` +
	`brown fox jumps over the lazy dog and goes on its way through the silent forest."},` +
	`"logprobs":null,"finish_reason":"stop"}],` +
	`"usage":{"prompt_tokens":57,"total_tokens":76,"completion_tokens":19}}`

const event = `data: {"id":"chatcmpl-fake","object":"chat.completion.chunk","created":1767225600,` +
	`"model":"fake","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,` +
	`"finish_reason":null}]}` + "\n\n"

const usage = `data: {"id":"chatcmpl-fake","object":"chat.completion.chunk","created":1767225600,` +
	`"model":"fake","choices":[],` +
	`"usage":{"prompt_tokens":57,"total_tokens":%d,"completion_tokens":%d}}` + "\n\n"

// asked is what the engine looks at: a stream has MaxTokens events, each Pause milliseconds after
// the one before; an answer takes as long as one event.
type asked struct {
	Stream        bool `json:"stream"`
	MaxTokens     int  `json:"max_tokens"`
	Pause         int  `json:"pause_ms"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// engine answers every POST like a chat completion, and anything else like a health check.
func engine(args []string) error {
	flags := flag.NewFlagSet("engine", flag.ExitOnError)
	addresses := flags.String("listen", "127.0.0.1:8000", "where to listen, separated by commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	failed := make(chan error)
	for address := range strings.SplitSeq(*addresses, ",") {
		server := &http.Server{Addr: address, Handler: http.HandlerFunc(complete)}
		go func() { failed <- server.ListenAndServe() }()
	}
	return <-failed
}

func complete(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"object":"list","data":[{"id":"fake","object":"model"}]}`)
		return
	}
	body, err := io.ReadAll(r.Body)
	var wanted asked
	if err == nil {
		err = json.Unmarshal(body, &wanted)
	}
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case wanted.Stream:
		stream(w, r, wanted)
	case paused(r, wanted.Pause):
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		io.WriteString(w, answer)
	}
}

func stream(w http.ResponseWriter, r *http.Request, wanted asked) {
	w.Header().Set("Content-Type", "text/event-stream")
	flusher := w.(http.Flusher)
	for number := range wanted.MaxTokens {
		if number > 0 && !paused(r, wanted.Pause) {
			return
		}
		io.WriteString(w, event)
		flusher.Flush()
	}
	if wanted.StreamOptions.IncludeUsage {
		fmt.Fprintf(w, usage, 57+wanted.MaxTokens, wanted.MaxTokens)
	}
	io.WriteString(w, "data: [DONE]\n\n")
}

// paused returns whether the caller is still there after so many milliseconds.
func paused(r *http.Request, pause int) bool {
	if pause == 0 {
		return true
	}
	select {
	case <-r.Context().Done():
		return false
	case <-time.After(time.Duration(pause) * time.Millisecond):
		return true
	}
}
