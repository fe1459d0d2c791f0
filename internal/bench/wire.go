package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// The processes that produce and receive share the machine with what is
// measured, so they speak just as much HTTP as it takes. They are to be used
// with each other and with net/http alone.

var (
	headerEnd     = []byte("\r\n\r\n")
	contentLength = []byte("content-length:")
	chunked       = []byte("transfer-encoding: chunked")
)

var errFraming = errors.New("a body of unknown length")

// httpMessage is a request or an answer. Its slices are good until the next
// one is read.
type httpMessage struct{ head, body []byte }

// wireReader reads HTTP messages from a connection.
type wireReader struct {
	r   *bufio.Reader
	buf []byte
}

func newWireReader(r io.Reader) *wireReader {
	return &wireReader{r: bufio.NewReaderSize(r, 8<<10)}
}

// read reads one message. io.EOF is a connection that ended between two.
func (w *wireReader) read() (httpMessage, error) {
	// Mostly the whole message is there with the first look.
	for want := 1; ; {
		if _, err := w.r.Peek(want); err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				if w.r.Buffered() == 0 {
					return httpMessage{}, io.EOF
				}
				err = io.ErrUnexpectedEOF
			}
			return httpMessage{}, fmt.Errorf("head: %w", err)
		}
		seen, _ := w.r.Peek(w.r.Buffered()) // never fails
		if end := bytes.Index(seen, headerEnd); end >= 0 {
			return w.rest(end + len(headerEnd))
		}
		if want = len(seen) + 1; want > w.r.Size() {
			return httpMessage{}, errors.New("a head that is too long")
		}
	}
}

// rest reads a message whose head is there, and this long.
func (w *wireReader) rest(head int) (httpMessage, error) {
	seen, _ := w.r.Peek(head) // it is there
	length, err := lengthOf(seen)
	if err != nil {
		return httpMessage{}, err
	}
	all := head + length
	if all <= w.r.Buffered() {
		seen, _ = w.r.Peek(all)
		_, _ = w.r.Discard(all)
		return httpMessage{seen[:head], seen[head:]}, nil
	}
	if cap(w.buf) < all {
		w.buf = make([]byte, all)
	}
	w.buf = w.buf[:all]
	if _, err := io.ReadFull(w.r, w.buf); err != nil {
		return httpMessage{}, fmt.Errorf("body: %w", err)
	}
	return httpMessage{w.buf[:head], w.buf[head:]}, nil
}

// lengthOf is the length of the body after a head.
func lengthOf(head []byte) (int, error) {
	value, ok := headerValue(head, contentLength)
	if !ok {
		if indexFold(head, chunked) >= 0 {
			return 0, errFraming
		}
		return 0, nil
	}
	n, err := strconv.Atoi(string(value))
	if err != nil || n < 0 {
		return 0, errFraming
	}
	return n, nil
}

// headerValue finds the value of a header, whose name is given in lower case
// and with its colon.
func headerValue(head, name []byte) ([]byte, bool) {
	for line := range bytes.Lines(head) {
		if len(line) > len(name) && equalFold(line[:len(name)], name) {
			return bytes.TrimSpace(line[len(name):]), true
		}
	}
	return nil, false
}

func indexFold(text, lower []byte) int {
	for i := range len(text) - len(lower) + 1 {
		if equalFold(text[i:i+len(lower)], lower) {
			return i
		}
	}
	return -1
}

// equalFold compares with a text in lower case.
func equalFold(text, lower []byte) bool {
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// statusOf is the status code of an answer.
func statusOf(head []byte) int {
	_, rest, _ := bytes.Cut(head, []byte(" "))
	n, _ := strconv.Atoi(string(rest[:min(3, len(rest))]))
	return n
}

// pathOf is the path that a request asks for.
func pathOf(head []byte) []byte {
	_, rest, _ := bytes.Cut(head, []byte(" "))
	path, _, _ := bytes.Cut(rest, []byte(" "))
	return path
}
