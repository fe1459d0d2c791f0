package web

import (
	"fanfare/internal/webhook"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
)

// ErrOverloaded means that the bodies of requests under way leave no room for
// another. It is a webhook.ErrUnavailable: the faces answer 503 with Retry-After,
// which clients try again.
var ErrOverloaded = fmt.Errorf("too many requests at a time: %w", webhook.ErrUnavailable)

// Admit bounds the bytes of all request bodies that are under way at a time, so
// that a burst of large requests costs some of them a repeat and never the
// process its memory. What a request has said it will send is counted from its
// start to its end, a body of unknown length as it comes. A request that does
// not fit is handed on with a body whose first read is ErrOverloaded.
func Admit(most int64, next http.Handler) http.Handler {
	var used atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := &admitted{ReadCloser: r.Body, used: &used, most: most}
		defer b.release()
		if r.ContentLength > 0 {
			b.err = b.take(r.ContentLength)
			b.counted = true
		}
		if r.ContentLength != 0 {
			r.Body = b
		}
		next.ServeHTTP(w, r)
	})
}

// admitted is a body that counts.
type admitted struct {
	io.ReadCloser
	used *atomic.Int64
	most int64
	// mine is what this body has taken; counted says that this is all of it.
	mine    int64
	counted bool
	err     error
}

func (b *admitted) take(n int64) error {
	b.mine += n
	if b.used.Add(n) > b.most {
		return ErrOverloaded
	}
	return nil
}

func (b *admitted) release() { b.used.Add(-b.mine) }

// Read implements io.Reader.
func (b *admitted) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p)
	if !b.counted {
		if b.err = b.take(int64(n)); b.err != nil {
			return 0, b.err
		}
	}
	return n, err
}
