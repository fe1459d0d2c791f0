package webhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"fanfare/internal/auth"
	"fanfare/internal/dispatch"
	"fanfare/internal/egress"
	"fanfare/internal/signature"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// world is an API over a fresh store with a dispatcher that runs, and a
// receiver that answers as told.
type world struct {
	t           *testing.T
	store       *store.Store
	environment webhook.ID
	url         string
	// token is one of the environment.
	token    string
	receiver *receiver
}

// receiver keeps what it gets.
type receiver struct {
	url string
	got chan received
	// says is the body of its answers.
	says string

	mu     sync.Mutex
	answer func(received) int
}

type received struct {
	path   string
	header http.Header
	body   string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	got := received{req.URL.Path, req.Header, string(body)}
	r.mu.Lock()
	status := http.StatusOK
	if r.answer != nil {
		status = r.answer(got)
	}
	r.mu.Unlock()
	w.WriteHeader(status)
	_, _ = io.WriteString(w, r.says)
	r.got <- got
}

// answers sets how it answers from now on.
func (r *receiver) answers(f func(received) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// next waits for the next call.
func (r *receiver) next(t *testing.T) received {
	t.Helper()
	select {
	case got := <-r.got:
		return got
	case <-time.After(20 * time.Second):
		t.Fatal("nothing arrived")
		return received{}
	}
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{got: make(chan received, 10_000), says: "thanks"}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// schedule is how soon retries follow in these tests.
var schedule = webhook.Schedule{time.Millisecond, time.Millisecond, time.Millisecond, time.Hour}

func each(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel() // they wait for each other's disks more than they compute
	storetest.Each(t, func(t *testing.T, s *store.Store) { fn(t, newWorld(t, s)) })
}

func newWorld(t *testing.T, s *store.Store) *world {
	t.Helper()
	client := egress.New(egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: 10 * time.Second})
	d := dispatch.New(s, dispatch.NewHTTPCaller(client, "test", signature.Both), storetest.Log(t), dispatch.Config{
		Rules: dispatch.Rules{Schedule: schedule, RetryAfterCap: time.Hour},
	})
	s.Attach(d)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var background sync.WaitGroup
	background.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		background.Wait()
		client.Close()
	})
	server := httptest.NewServer(New(s, storetest.Log(t), Config{PublicURL: "http://public.example"}))
	t.Cleanup(server.Close)
	w := &world{t: t, store: s, url: server.URL + Prefix, receiver: newReceiver(t)}
	var err error
	if w.environment, err = s.CreateEnvironment(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	w.token = w.newToken(webhook.Token{Environment: w.environment})
	return w
}

func (w *world) newToken(k webhook.Token) string {
	w.t.Helper()
	secret := auth.NewToken(auth.BearerPrefix)
	if _, err := w.store.CreateToken(w.t.Context(), k, auth.Hash(secret)); err != nil {
		w.t.Fatal(err)
	}
	return secret
}

// reply is what the API answered.
type reply struct {
	status int
	header http.Header
	body   string
}

// object is the body as an object.
func (r reply) object(t *testing.T) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(r.body), &o); err != nil {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	return o
}

// do makes a call with the token of the environment. Headers come as names and
// values in turn.
func (w *world) do(method, path, body string, headers ...string) reply {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return w.send(req)
}

func (w *world) send(req *http.Request) reply {
	w.t.Helper()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	switch {
	case res.StatusCode == http.StatusNoContent && len(b) > 0:
		w.t.Errorf("%s %s: 204 with a body", req.Method, req.URL)
	case res.StatusCode != http.StatusNoContent && req.Method != http.MethodHead && !json.Valid(b):
		w.t.Errorf("%s %s: %d with %q, which is no JSON", req.Method, req.URL, res.StatusCode, b)
	}
	document.Answer(w.t, req.Method, req.URL.EscapedPath(), res.StatusCode, res.Header.Get("Content-Type"), b)
	return reply{res.StatusCode, res.Header, string(bytes.TrimSpace(b))}
}

// must makes a call that answers with a status, and returns the body.
func (w *world) must(status int, method, path, body string, headers ...string) map[string]any {
	w.t.Helper()
	r := w.do(method, path, body, headers...)
	if r.status != status {
		w.t.Fatalf("%s %s: %d %s; want %d", method, path, r.status, r.body, status)
	}
	if status == http.StatusNoContent {
		return nil
	}
	return r.object(w.t)
}

// runTasks works on background tasks until none runs.
func (w *world) runTasks() {
	w.t.Helper()
	for {
		next, err := w.store.RunTask(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if next.IsZero() {
			return
		}
	}
}

// eventually waits until a condition holds.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			w.t.Fatalf("never: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
