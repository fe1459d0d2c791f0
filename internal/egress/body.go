package egress

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"sync"
)

// read takes the body up to the limit and keeps what came before an error.
// clean reports whether the response ended where it should, so that another one
// can follow it; what lies beyond the limit costs the connection, not our time.
func (r *Response) read(a *answer, heads *headReader, limit int64) (clean bool, err error) {
	switch {
	case a.length == 0:
		return !a.last, nil
	case a.length > 0 && !a.gzip:
		return r.exactly(a, heads.in, limit)
	}
	body := wire{in: heads.in}
	switch {
	case a.chunked:
		body.in = chunks{httputil.NewChunkedReader(heads.in)}
	case a.length > 0:
		body.in = &exact{in: heads.in, left: a.length}
	}
	if a.gzip {
		err = r.unpack(&body, limit)
	} else {
		body.left = limit + 1
		err = r.upTo(&body, limit)
	}
	if err != nil || r.Truncated || !body.ended {
		return false, err
	}
	if a.chunked {
		if err := heads.fields(); err != nil { // trailers, which nobody asked for
			return false, err
		}
	}
	return !a.last, nil
}

// exactly reads a body whose length is known.
func (r *Response) exactly(a *answer, in *bufio.Reader, limit int64) (clean bool, err error) {
	r.Truncated = a.length > limit
	r.Body = make([]byte, min(a.length, limit))
	n, err := io.ReadFull(in, r.Body)
	r.Body = r.Body[:n]
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err == nil && !r.Truncated && !a.last, err
}

// upTo reads a body whose length is not known.
func (r *Response) upTo(in io.Reader, limit int64) error {
	body, err := io.ReadAll(io.LimitReader(in, limit+1))
	if int64(len(body)) > limit {
		body, r.Truncated = body[:limit], true
	}
	r.Body = body
	return err
}

var unpackers sync.Pool // of *gzip.Reader

// unpack reads a body that was packed by gzip.
func (r *Response) unpack(in *wire, limit int64) error {
	z, ok := unpackers.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	defer unpackers.Put(z)
	// A stream that is nothing but empty blocks would never reach the limit. An
	// honest one is hardly longer than what it unpacks to.
	in.left = limit + limit/8 + 4<<10
	err := z.Reset(in)
	if err == nil {
		err = r.upTo(z, limit)
	}
	switch {
	case in.left <= 0 && err != nil:
		r.Truncated = true
		return nil
	case errors.Is(err, io.EOF) && in.ended: // nothing at all
		return nil
	}
	return err
}

// wire bounds what is read of a body as it was sent, and knows whether it has
// been read to its end.
type wire struct {
	in    io.Reader
	left  int64
	ended bool
}

func (w *wire) Read(b []byte) (int, error) {
	if w.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := w.in.Read(b[:min(int64(len(b)), w.left)])
	w.left -= int64(n)
	w.ended = errors.Is(err, io.EOF)
	return n, err
}

// exact is a body of so many bytes, not fewer.
type exact struct {
	in   *bufio.Reader
	left int64
}

func (e *exact) Read(b []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.in.Read(b[:min(int64(len(b)), e.left)])
	e.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// chunks is a chunked body whose errors have a name: those that are neither of
// the connection nor the end.
type chunks struct{ in io.Reader }

func (c chunks) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	var network net.Error
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, &network) {
		err = fmt.Errorf("%w: %w", errChunk, err)
	}
	return n, err
}
