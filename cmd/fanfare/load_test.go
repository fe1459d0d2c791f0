package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// load is clients that change samples and send events, and what they know of
// it. They go on when no answer comes: with the same event, by its id, and with
// another sample.
type load struct {
	in    *installation
	token string
	http  *http.Client

	stop chan struct{}
	busy sync.WaitGroup

	mu sync.Mutex
	// accepted are the ids of events, and the names of samples, that a node has
	// said are stored.
	events, samples map[string]bool
	// unanswered counts calls without an answer, statuses the answers.
	unanswered int
	statuses   map[int]int
	// without are answers that something was not stored and that did not say
	// when to come again.
	without int
	// outages says that the database was away at times.
	outages bool
	// deaths are when nodes died: from the signal to the end.
	deaths [][2]time.Time
}

// begin starts clients of each kind against an account with webhooks enabled.
func begin(in *installation, token string) *load {
	l := &load{
		in: in, token: token, stop: make(chan struct{}), http: &http.Client{Timeout: 20 * time.Second},
		events: map[string]bool{}, samples: map[string]bool{}, statuses: map[int]int{},
	}
	for n := range 4 {
		l.busy.Go(func() { l.send(n) })
	}
	for n := range 2 {
		l.busy.Go(func() { l.change(n) })
	}
	return l
}

// end stops the clients.
func (l *load) end() {
	close(l.stop)
	l.busy.Wait()
	l.http.CloseIdleConnections()
}

// rest waits a little, and reports whether to go on.
func (l *load) rest(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-l.stop:
		return false
	}
}

// post makes a call; a status of 0 means that no answer came.
func (l *load) post(path, authorization, body string) int {
	req, err := http.NewRequest(http.MethodPost, l.in.url+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", authorization)
	res, err := l.http.Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.unanswered++
		return 0
	}
	l.statuses[res.StatusCode]++
	if res.StatusCode >= 500 && res.Header.Get("Retry-After") == "" {
		l.without++
	}
	return res.StatusCode
}

func (l *load) note(accepted map[string]bool, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	accepted[name] = true
}

func (l *load) send(client int) {
	for n := 0; ; n++ {
		event := fmt.Sprintf("event-%d-%d", client, n)
		body := fmt.Sprintf(`{"eventType":"order.paid","eventId":%q,"payload":{"event":%q}}`, event, event)
		for {
			status := l.post("/api/v1/app/jane/msg", "Bearer "+l.token, body)
			if status == http.StatusAccepted || status == http.StatusConflict { // an earlier call has stored it
				l.note(l.events, event)
				break
			}
			if !l.rest(50 * time.Millisecond) {
				return
			}
		}
		if !l.rest(5 * time.Millisecond) {
			return
		}
	}
}

func (l *load) change(client int) {
	for n := 0; ; n++ {
		name := fmt.Sprintf("sample-%d-%d", client, n)
		status := l.post("/datasets/jane/flowers/samples/", "APIKey "+l.in.keys["jane"], fmt.Sprintf(`{"name":%q,"attributes":null}`, name))
		wait := 5 * time.Millisecond
		if status == http.StatusCreated {
			l.note(l.samples, name)
		} else {
			wait = 50 * time.Millisecond
		}
		if !l.rest(wait) {
			return
		}
	}
}

// reached waits until so many events have been accepted in all.
func (l *load) reached(t *testing.T, events int) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		l.mu.Lock()
		n := len(l.events)
		l.mu.Unlock()
		if n >= events {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d events were accepted, want %d; answers %v", n, events, l.statuses)
		}
		l.rest(5 * time.Millisecond)
	}
}

func (l *load) accepted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.events)
}

// dies notes a death.
func (l *load) dies(how func()) {
	began := time.Now()
	how()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaths = append(l.deaths, [2]time.Time{began, time.Now()})
}

// account settles up: what was accepted is there and has arrived, what is there
// has one event, and what came twice came after a death.
func (l *load) account(t *testing.T, r *receiver) {
	t.Helper()
	stored := map[string]bool{}
	for page := 1; ; page++ {
		names := l.in.names(page)
		for _, name := range names {
			stored[name] = true
		}
		if len(names) == 0 {
			break
		}
	}
	for name := range l.samples {
		if !stored[name] {
			t.Errorf("%s was accepted and is lost", name)
		}
	}
	var ids map[string][]string
	r.wait(t, "the events of everything that was accepted", func() bool {
		ids = r.byName()
		for _, names := range []map[string]bool{l.events, stored} {
			for name := range names {
				if len(ids[name]) == 0 {
					return false
				}
			}
		}
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, messages := range ids {
		if len(messages) != 1 {
			t.Errorf("%s has %d messages", name, len(messages))
		}
		if strings.HasPrefix(name, "sample-") && !stored[name] {
			t.Errorf("an event of %s, which is not there", name)
		}
	}
	if r.forged > 0 {
		t.Errorf("%d signatures were wrong", r.forged)
	}
	twice := 0
	for id, bodies := range r.bodies {
		for i := 1; i < len(bodies); i++ {
			twice++
			if bodies[i] != bodies[0] {
				t.Errorf("message %s came with other bytes", id)
			}
			if first, second := r.came[id][i-1], r.came[id][i]; !l.explained(first, second) {
				t.Errorf("message %s came twice, %v apart, and no node died in between", id, second.Sub(first))
			}
		}
	}
	t.Logf("%d deaths: %d events and %d samples accepted, %d calls unanswered, answers %v; %d messages arrived, %d of them again after a death; nothing lost",
		len(l.deaths), len(l.events), len(l.samples), l.unanswered, l.statuses, len(r.bodies), twice)
}

// onlyRefused sees that what could not be done was refused so that clients come
// again: with 503 and a time.
func (l *load) onlyRefused(t *testing.T) {
	t.Helper()
	if l.without > 0 {
		t.Errorf("%d refusals without Retry-After", l.without)
	}
	for status, n := range l.statuses {
		switch status {
		case http.StatusAccepted, http.StatusCreated, http.StatusConflict, http.StatusServiceUnavailable:
		default:
			t.Errorf("%d answers with %d", n, status)
		}
	}
}

// explained reports whether a node died between two arrivals, or had no
// database for so long that it lost its claim: two timeouts and 30 s.
func (l *load) explained(first, second time.Time) bool {
	if l.outages && second.Sub(first) > 30*time.Second {
		return true
	}
	for _, d := range l.deaths {
		if !first.After(d[1]) && !second.Before(d[0]) {
			return true
		}
	}
	return false
}

// byName finds the messages that tell of an event or a sample; the caller holds
// the lock.
func (r *receiver) byName() map[string][]string {
	ids := map[string][]string{}
	for id, bodies := range r.bodies {
		var body struct{ Event, Text string }
		_ = json.Unmarshal([]byte(bodies[0]), &body) // what is something else names nothing
		name := body.Event
		if rest, ok := strings.CutPrefix(body.Text, "Sample "); ok {
			name, _, _ = strings.Cut(rest, " ")
		}
		if name != "" {
			ids[name] = append(ids[name], id)
		}
	}
	return ids
}
