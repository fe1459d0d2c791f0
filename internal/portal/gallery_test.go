package portal

import (
	"context"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// newGallery is a site with something of every kind, for tests that look at
// every page: jane, who is an operator, has endpoints that are well, failing
// and disabled, and events that were delivered, refused and not sent; john has
// webhooks enabled and nothing else.
func newGallery(t *testing.T, cfg Config) *site {
	t.Helper()
	w := newSite(t, cfg)
	ctx := t.Context()
	jane, err := w.store.Account(ctx, "jane")
	if err != nil {
		t.Fatal(err)
	}
	john, err := w.store.Account(ctx, "john")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.SetOperator(ctx, jane.ID, true); err != nil {
		t.Fatal(err)
	}
	if err := w.store.Beat(ctx, "1.2.3", "127.0.0.1:8080", time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.EnableWebhooks(ctx, john.ID, "john", true); err != nil {
		t.Fatal(err)
	}
	for _, e := range []webhook.Endpoint{
		{URL: "https://hooks.example.com/a/long/path/that/goes/on/and/on/for/quite/a/while", Description: "Retrains our model", EventTypes: []string{"sample.created", "release.created"}},
		{URL: "https://gone.example.com/", Disabled: true, DisabledReason: "The receiver answered 410 Gone.", DisabledAt: time.Now()},
	} {
		e.Application, e.Version, e.Secrets = jane.Application, 2, []webhook.Secret{{Key: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}
		made, err := w.store.CreateEndpoint(ctx, e)
		if err != nil {
			t.Fatal(err)
		}
		m := webhook.Message{
			Application: jane.Application, EventType: "sample.created", Dataset: "jane/flowers",
			Payload: []byte(`{"event_type":"sample.created","dataset":"jane/flowers","object":{"name":"rose.png"},"text":"Sample rose.png created in dataset jane/flowers."}`),
		}
		if err := w.store.AddMessage(ctx, &m); err != nil {
			t.Fatal(err)
		}
		if !e.Disabled {
			for range 4 { // enough to tell how fast it answers
				more := webhook.Message{Application: jane.Application, EventType: "release.created", Payload: []byte(`{"text":"Release v1 created in dataset jane/flowers."}`)}
				if err := w.store.AddMessage(ctx, &more); err != nil {
					t.Fatal(err)
				}
			}
			w.record(made.ID, func(r *webhook.Record) { r.Ends, r.StatusCode = webhook.Succeeded, 204 })
			w.failure = "/webhooks/jane/events/" + w.event + "/attempts/" + w.attempt
			calls, err := w.store.AttemptsOfMessage(ctx, jane.Application, m.ID, store.AttemptFilter{}, store.Page{Limit: 1})
			if err != nil || len(calls) != 1 {
				t.Fatalf("%d calls, %v", len(calls), err)
			}
			w.event, w.attempt = webhook.MessageID.Format(m.ID), webhook.AttemptID.Format(calls[0].ID)
		}
	}
	return w
}

// record claims what waits for an endpoint and records a call for each.
func (w *site) record(endpoint webhook.ID, change func(*webhook.Record)) {
	w.t.Helper()
	c, err := w.store.Claim(w.t.Context(), endpoint, 10, false)
	if err != nil || len(c.Jobs) == 0 {
		w.t.Fatalf("claimed %d, %v", len(c.Jobs), err)
	}
	for _, j := range c.Jobs {
		r := webhook.Record{Claim: j.Claim, Attempts: j.Attempts, Calls: j.Calls + 1}
		r.Application, r.DeliveryKey, r.Number, r.URL, r.StartedAt = j.Application, j.DeliveryKey, 1, c.Endpoint.URL, time.Now()
		r.RequestHead, r.ResponseHead = []byte("Content-Type: application/json\nWebhook-Id: msg_1\n"), []byte("Server: example\n")
		r.Timings = webhook.Timings{DNS: 2 * time.Millisecond, Connect: 9 * time.Millisecond, TLS: 21 * time.Millisecond, FirstByte: 40 * time.Millisecond, Total: 75 * time.Millisecond}
		change(&r)
		if err := storetest.Record(w.store, &r); err != nil {
			w.t.Fatal(err)
		}
	}
}

// shot is one page of the gallery.
type shot struct {
	// name tells it from others, who is the account that looks, "" for nobody.
	name, who, path string
}

// shots are all whole pages that can be asked for, with everything on them and
// with nothing. New routes are found by themselves.
func (w *site) shots() []shot {
	w.t.Helper()
	list := []shot{
		{"login", "", "/login"},
		{"docs-nobody", "", "/docs/webhooks"},
		{"docs-search", "", "/docs/search?q=habits"},
		{"docs-search-nothing", "", "/docs/search?q=zzz"},
		{"not-found", "jane", "/webhooks/jane/endpoints/nothing"},
		{"attempt-failed", "jane", w.failure},
	}
	for _, page := range w.pagesOfTheGuide() {
		list = append(list, shot{"docs-" + page, "jane", "/docs/" + page})
	}
	link, _ := w.link(webhook.Token{})
	list = append(list, shot{"access", "", link})
	clients := map[string]*http.Client{"jane": w.login("jane"), "john": w.login("john")}
	for _, route := range w.paths() {
		method, path := route[0], route[1]
		if method != http.MethodGet || strings.HasPrefix(path, "/docs") {
			continue
		}
		name := strings.NewReplacer("/webhooks/", "", "/", "-", w.endpoint, "endpoint", w.event, "event", w.application(), "application", w.key, "key", w.task, "task", w.attempt, "attempt").Replace(path)
		name = strings.Trim(strings.TrimPrefix(name, "jane"), "-")
		if w.whole(clients["jane"], path) {
			list = append(list, shot{"full-" + name, "jane", path})
		}
		empty := strings.Replace(path, "jane", "john", 1)
		if empty != path && w.whole(clients["john"], empty) {
			list = append(list, shot{"empty-" + name, "john", empty})
		}
	}
	for name, path := range map[string]string{
		"docs-reference": "/docs/api/webhooks", "docs-reference-group": "/docs/api/webhooks/event-type",
		"docs-reference-registry": "/docs/api/registry", "docs-reference-registry-group": "/docs/api/registry/dataset",
	} {
		list = append(list, shot{name, "jane", path})
	}
	slices.SortStableFunc(list, func(a, b shot) int { return strings.Compare(a.who, b.who) })
	return list
}

func (w *site) pagesOfTheGuide() (names []string) {
	w.t.Helper()
	p, err := New(w.store, storetest.Log(w.t), Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, page := range p.guide.Pages {
		names = append(names, page.Name)
	}
	return names
}

// whole reports whether a path is a whole page: not a part of one, nor a
// stream, nor a way to somewhere else.
func (w *site) whole(c *http.Client, path string) bool {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		return false
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Contains(string(body), "</html>")
}
