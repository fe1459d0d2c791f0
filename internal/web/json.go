package web

import (
	"io"
	"net/http"
	"strconv"
)

// JSON answers with a body that is JSON already; nil answers without one.
func JSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Cache-Control", "no-store")
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // whoever asked has gone
}

// held is how much of a streamed answer waits, in bytes, so that an error early
// on is still told as one.
const held = 1 << 20

// Stream answers with JSON that write writes. An error is returned while
// nothing was sent; later the connection is cut, so that nobody takes a part
// for the whole.
func Stream(w http.ResponseWriter, status int, write func(io.Writer) error) error {
	s := &stream{w: w, status: status}
	err := write(s)
	switch {
	case err != nil && s.sent:
		panic(http.ErrAbortHandler)
	case err != nil:
		return err
	case !s.sent:
		JSON(w, status, s.buf)
		return nil
	default:
		_, _ = w.Write(s.buf) // whoever asked has gone
		return nil
	}
}

type stream struct {
	w      http.ResponseWriter
	status int
	buf    []byte
	sent   bool
}

// Write implements io.Writer.
func (s *stream) Write(p []byte) (int, error) {
	s.buf = append(s.buf, p...)
	if len(s.buf) < held {
		return len(p), nil
	}
	if !s.sent {
		s.sent = true
		s.w.Header().Set("Cache-Control", "no-store")
		s.w.Header().Set("Content-Type", "application/json")
		s.w.WriteHeader(s.status)
	}
	_, err := s.w.Write(s.buf)
	s.buf = s.buf[:0]
	return len(p), err
}
