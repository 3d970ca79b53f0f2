package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// client is one connection: far cheaper than net/http's, so that the proxy is what is measured.
type client struct {
	address string
	conn    net.Conn
	reader  *bufio.Reader
}

// request returns a whole HTTP/1.1 request.
func request(host, path, key string, body []byte) []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gatewaybench\r\n", path, host)
	fmt.Fprintf(&text, "Accept: application/json\r\nContent-Type: application/json\r\n")
	if key != "" {
		fmt.Fprintf(&text, "Authorization: Bearer %s\r\n", key)
	}
	fmt.Fprintf(&text, "Content-Length: %d\r\n\r\n", len(body))
	text.Write(body)
	return text.Bytes()
}

// send sends one request and returns the time until the body's first byte.
func (c *client) send(text []byte, seen func()) (time.Duration, error) {
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.address, 10*time.Second)
		if err != nil {
			return 0, err
		}
		c.conn, c.reader = conn, bufio.NewReaderSize(conn, 8192)
	}
	began := time.Now()
	if _, err := c.conn.Write(text); err != nil {
		return 0, err
	}
	return c.receive(began, seen)
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// receive reads one answer; an answer other than 200 is an error with its beginning.
func (c *client) receive(began time.Time, seen func()) (time.Duration, error) {
	status, err := c.reader.ReadString('\n')
	if err != nil {
		return 0, err
	}
	length, chunked, closing := -1, false, false
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		name, value, found := strings.Cut(strings.TrimSpace(string(line)), ":")
		if !found {
			break
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "content-length":
			length, _ = strconv.Atoi(value)
		case "transfer-encoding":
			chunked = strings.EqualFold(value, "chunked")
		case "connection":
			closing = strings.EqualFold(value, "close")
		}
	}
	if !strings.Contains(status, " 200 ") {
		rest, _ := c.reader.Peek(min(300, max(c.reader.Buffered(), 0)))
		return 0, fmt.Errorf("%s: %s", strings.TrimSpace(status), rest)
	}
	first, err := c.body(began, length, chunked, seen)
	if closing {
		c.close()
	}
	return first, err
}

func (c *client) body(began time.Time, length int, chunked bool, seen func()) (time.Duration, error) {
	if !chunked {
		if length < 0 {
			return 0, fmt.Errorf("an answer without a length")
		}
		_, err := c.reader.Discard(length)
		return time.Since(began), err
	}
	first := time.Duration(0)
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 64)
		if err != nil {
			return 0, err
		}
		if size > 0 && first == 0 {
			first = time.Since(began)
			seen()
		}
		if _, err := c.reader.Discard(int(size) + 2); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		if size == 0 {
			return first, nil
		}
	}
}
