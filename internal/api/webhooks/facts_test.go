package webhooks

import (
	"encoding/json"
	"fanfare/internal/auth"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"strings"
	"testing"
)

// TestWhatAnotherProcessChangesCountsAtOnce has a node rely on what it has read
// and another process change that, as the command line and other nodes do.
func TestWhatAnotherProcessChangesCountsAtOnce(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(t, storetest.Open(t, url))
		other, err := store.Open(t.Context(), url, storetest.Sealer(t), storetest.Log(t), store.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(other.Close)
		post := func(payload string) int {
			return w.do("POST", "/app/acme/msg", `{"eventType":"a","payload":`+payload+`}`).status
		}
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		for range 2 { // the second goes by what the first has read
			if got := post(`{}`); got != 202 {
				t.Fatalf("at first: %d", got)
			}
		}
		validated := func(on bool) {
			if _, err := other.UpdateEventType(t.Context(), w.environment, "a", func(e *webhook.EventType, _ bool) error {
				e.Validated = on
				e.Schemas = map[string]json.RawMessage{"1": json.RawMessage(`{"required":["lines"]}`)}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		validated(true)
		if got := post(`{}`); got != 422 {
			t.Errorf("once payloads are validated: %d", got)
		}
		if got := post(`{"lines":1}`); got != 202 {
			t.Errorf("a payload that fits: %d", got)
		}
		validated(false)
		if got := post(`{}`); got != 202 {
			t.Errorf("once payloads are validated no more: %d", got)
		}
		rename := func(from, to string) {
			if _, err := other.UpdateApplication(t.Context(), w.environment, from, func(a *webhook.Application) error {
				a.UID = to
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		rename("acme", "emca")
		if got := post(`{}`); got != 404 {
			t.Errorf("once the application bears another uid: %d", got)
		}
		rename("emca", "acme")
		if got := post(`{}`); got != 202 {
			t.Errorf("once it bears its uid again: %d", got)
		}
		token, err := other.TokenByHash(t.Context(), auth.Hash(w.token))
		if err != nil {
			t.Fatal(err)
		}
		if err := other.RevokeToken(t.Context(), token.ID); err != nil {
			t.Fatal(err)
		}
		if r := w.do("POST", "/app/acme/msg", `{"eventType":"a","payload":{}}`); r.status != 401 || !strings.Contains(r.body, "authentication_failed") {
			t.Errorf("once the token is revoked: %d %s", r.status, r.body)
		}
	})
}
