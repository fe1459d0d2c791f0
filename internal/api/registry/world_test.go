package registry

import (
	"encoding/json"
	"fanfare/internal/auth"
	"fanfare/internal/registry"
	"fanfare/internal/schema"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/web"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// world is an API over a fresh store with accounts, each of which has a key of
// its own name.
type world struct {
	t     *testing.T
	store *store.Store
	url   string
	// seen is how many messages of an account were looked at.
	seen map[string]int
}

func each(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		api := New(s, storetest.Log(t), Config{
			Bounds: web.Bounds{Wire: 64 << 10, Unpacked: 256 << 10}, PublicURL: "http://public.example", MaxAsset: 1 << 20,
		})
		server := httptest.NewServer(api)
		t.Cleanup(server.Close)
		w := &world{t: t, store: s, url: server.URL, seen: map[string]int{}}
		for _, name := range []string{"jane", "john", "bert", "Acme"} {
			account, err := s.CreateAccount(t.Context(), registry.Account{Name: name, Organization: name == "Acme", Email: name + "@example.com"}, "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.CreateAPIKey(t.Context(), account.ID, "", auth.Hash(name), ""); err != nil {
				t.Fatal(err)
			}
		}
		for member, admin := range map[string]bool{"jane": true, "bert": false} {
			if err := s.AddMember(t.Context(), "Acme", member, admin, registry.Labeler); err != nil {
				t.Fatal(err)
			}
		}
		fn(t, w)
	})
}

// do makes a call as somebody and returns the status and the body.
func (w *world) do(as, method, path, body string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if as != "" {
		req.Header.Set("Authorization", "APIKey "+as)
	}
	return w.send(req)
}

func (w *world) send(req *http.Request) (int, string) {
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
	if res.StatusCode == http.StatusNoContent && len(b) > 0 || len(b) > 0 && !json.Valid(b) {
		w.t.Errorf("%s %s: %d with %q", req.Method, req.URL.Path, res.StatusCode, b)
	}
	document.Answer(w.t, req.Method, req.URL.EscapedPath(), res.StatusCode, res.Header.Get("Content-Type"), b)
	return res.StatusCode, string(b)
}

// must makes a call that succeeds and returns the object.
func (w *world) must(as, method, path, body string) map[string]any {
	w.t.Helper()
	status, answer := w.do(as, method, path, body)
	if status > 299 {
		w.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	var o map[string]any
	if answer != "" && answer[0] == '{' {
		if err := json.Unmarshal([]byte(answer), &o); err != nil {
			w.t.Fatal(err)
		}
	}
	return o
}

type envelope struct {
	Type      string         `json:"event_type"`
	CreatedAt string         `json:"created_at"`
	Dataset   string         `json:"dataset"`
	Object    map[string]any `json:"object"`
	Text      string         `json:"text"`
	raw       []byte
}

// schemas are those of the catalogue.
var schemas = sync.OnceValue(func() map[string]*schema.Schema {
	compiled := map[string]*schema.Schema{}
	for i := range registry.EventTypes {
		s, err := schema.Compile(registry.EventTypes[i].Schema())
		if err != nil {
			panic(err)
		}
		compiled[registry.EventTypes[i].Name] = s
	}
	return compiled
})

// events are those of an account that nobody has looked at, oldest first.
func (w *world) events(name string) []envelope {
	w.t.Helper()
	account, err := w.store.Account(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	messages, err := w.store.Messages(w.t.Context(), account.Application, store.MessageFilter{}, store.Page{Limit: 10_000, Ascending: true})
	if err != nil {
		w.t.Fatal(err)
	}
	fresh := messages[w.seen[name]:]
	w.seen[name] = len(messages)
	list := make([]envelope, len(fresh))
	for i, m := range fresh {
		if err := json.Unmarshal(m.Payload, &list[i]); err != nil {
			w.t.Fatal(err)
		}
		list[i].raw = m.Payload
		if m.EventType != list[i].Type || m.Dataset != list[i].Dataset {
			w.t.Errorf("the message says %s of %s, its payload %s of %s", m.EventType, m.Dataset, list[i].Type, list[i].Dataset)
		}
		for _, p := range schemas()[m.EventType].Validate(m.Payload) {
			w.t.Errorf("%s does not fit its schema at %v: %s", m.EventType, p.Path, p.Text)
		}
	}
	return list
}

func (w *world) texts(name string) []string {
	w.t.Helper()
	texts := []string{}
	for _, e := range w.events(name) {
		texts = append(texts, e.Type+": "+e.Text)
	}
	return texts
}

func (w *world) expect(name string, want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), w.texts(name)); diff != "" {
		w.t.Errorf("events of %s (-want +got):\n%s", name, diff)
	}
}

// flowers makes the dataset jane/flowers with webhooks enabled.
func (w *world) flowers() {
	w.t.Helper()
	w.must("jane", http.MethodPatch, "/user/", `{"webhooks_enabled":true}`)
	w.must("jane", http.MethodPost, "/user/datasets/", `{"name":"flowers"}`)
	w.expect("jane", "dataset.created: Dataset jane/flowers created.")
}

const rose = `{"name":"rose.png","attributes":{"image":{"url":"https://example.com/rose.png"}}}`
