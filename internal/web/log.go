package web

import (
	"context"
	"fanfare/internal/auth"
	"fanfare/internal/registry"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

type contextKey int

const requestKey contextKey = iota

// RequestID is the id under which a request is logged.
func RequestID(ctx context.Context) string {
	s, _ := ctx.Value(requestKey).(string)
	return s
}

// clientRequestID is the header in which the client libraries of the sender's
// API send an id of their own.
const clientRequestID = "Svix-Req-Id"

var validRequestID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Log gives each request an id (that of the client, if it sent one), which the
// answer carries as X-Request-Id,
// writes a line when it is done, and turns a panic into what broken answers.
// The line holds no query, no header and no body: they may be secret.
func Log(log *slog.Logger, broken, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := r.Header.Get(clientRequestID)
		if !validRequestID.MatchString(id) {
			id = newRequestID()
		}
		w.Header().Set("X-Request-Id", id)
		r = r.WithContext(context.WithValue(r.Context(), requestKey, id))
		seen := &recorder{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint,err113 // net/http compares it so
					panic(p)
				}
				log.ErrorContext(r.Context(), "panic", "request", id, "panic", p, "stack", string(debug.Stack()))
				if seen.status == 0 {
					broken.ServeHTTP(seen, r)
				}
			}
			log.Log(r.Context(), levelOf(seen.status), "request", "request", id, "method", r.Method, "path", short(r.URL.Path),
				"status", seen.status, "bytes", seen.bytes, "took", time.Since(start).Round(time.Microsecond))
		}()
		next.ServeHTTP(seen, r)
	})
}

// Requests without an id of their own are numbered, behind what no other
// process has.
var (
	processID = strings.ToLower(auth.NewToken("")[:10])
	requests  atomic.Uint64
)

func newRequestID() string { return processID + "-" + strconv.FormatUint(requests.Add(1), 36) }

// levelOf is the level of a request's line: what was answered well is told when
// somebody looks for it, since at thousands of requests a second the lines cost
// as much as the work.
func levelOf(status int) slog.Level {
	if status < http.StatusBadRequest {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// AccessPath is before the codes that open the portal once.
const AccessPath = "/webhooks/access/"

// short bounds a path in a log line, and leaves out what is secret of it.
func short(path string) string {
	for _, secret := range []string{registry.FilePath, AccessPath} {
		if strings.HasPrefix(path, secret) {
			return secret + "…"
		}
	}
	const most = 300
	if len(path) > most {
		path = path[:most] + "…"
	}
	return strings.ToValidUTF8(path, string(utf8.RuneError))
}

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
