package web

import (
	"errors"
	"fanfare/internal/webhook"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestBodiesAreAdmittedAsLongAsTheyFit(t *testing.T) {
	read := func(r *http.Request) error {
		_, err := Body(httptest.NewRecorder(), r, Bounds{Wire: 1 << 20, Unpacked: 1 << 20})
		return err
	}
	post := func(n int, known bool) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(strings.Repeat("x", n)))
		if !known {
			r.ContentLength = -1
			r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", n)))
		}
		return r
	}
	var h http.Handler
	h = Admit(100, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Outcome", "admitted")
		if err := read(r); err != nil {
			if !errors.Is(err, ErrOverloaded) || !errors.Is(err, webhook.ErrUnavailable) {
				t.Errorf("refused with %v", err)
			}
			w.Header().Set("Outcome", "refused")
		}
		if inner := r.Header.Get("Inner"); inner != "" { // while this one is under way
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, post(60, inner == "known"))
			w.Header().Set("Inner", rec.Header().Get("Outcome"))
		}
	}))
	outcome := func(r *http.Request) (own, inner string) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec.Header().Get("Outcome"), rec.Header().Get("Inner")
	}
	for _, known := range []bool{true, false} {
		if got, _ := outcome(post(101, known)); got != "refused" {
			t.Errorf("more than fits: %s", got)
		}
		if got, _ := outcome(post(100, known)); got != "admitted" {
			t.Errorf("as much as fits, after one that did not: %s", got)
		}
		for _, inner := range []string{"known", "unknown"} {
			r := post(41, known)
			r.Header.Set("Inner", inner)
			if own, second := outcome(r); own != "admitted" || second != "refused" {
				t.Errorf("a second one that does not fit beside the first: %s, %s", own, second)
			}
			r = post(40, known)
			r.Header.Set("Inner", inner)
			if own, second := outcome(r); own != "admitted" || second != "admitted" {
				t.Errorf("a second one that fits: %s, %s", own, second)
			}
		}
	}
}
