package webhooks

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// shown is what an endpoint says of a field, as JSON.
func shown(endpoint map[string]any, name string) string {
	b, _ := json.Marshal(endpoint[name])
	return string(b)
}

func TestKindFilterAndDigestOfAnEndpoint(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		slackURL := "https://hooks.slack.com/services/T0/B0/x"
		path := ""
		for _, c := range []struct{ name, method, body, kind, filter, digest string }{
			{"a Slack URL alone makes no Slack endpoint", "POST", fmt.Sprintf(`{"url":%q}`, slackURL), `"generic"`, `null`, `null`},
			{"a kind brings its digest", "PATCH", `{"kind":"slack"}`, `"slack"`, `null`, `{"events":1000,"seconds":10}`},
			{"a digest of its own", "PATCH", `{"digest":{"seconds":60,"events":20}}`, `"slack"`, `null`, `{"events":20,"seconds":60}`},
			{"a filter", "PATCH", `{"filter":{"label_status": ["REJECTED"]}}`, `"slack"`, `{"label_status":["REJECTED"]}`, `{"events":20,"seconds":60}`},
			{"what a PUT leaves out stays", "PUT", fmt.Sprintf(`{"url":%q}`, slackURL), `"slack"`, `{"label_status":["REJECTED"]}`, `{"events":20,"seconds":60}`},
			{"null clears", "PUT", fmt.Sprintf(`{"url":%q,"filter":null,"digest":null}`, slackURL), `"slack"`, `null`, `null`},
			{"the most events have a default", "PATCH", `{"digest":{"seconds":5}}`, `"slack"`, `null`, `{"events":1000,"seconds":5}`},
			{"no kind is generic, without a digest", "PUT", fmt.Sprintf(`{"url":%q,"kind":null}`, slackURL), `"generic"`, `null`, `null`},
			{"a generic endpoint may have one", "PATCH", `{"digest":{"seconds":5,"events":2}}`, `"generic"`, `null`, `{"events":2,"seconds":5}`},
		} {
			status := 200
			if c.method == "POST" {
				status = 201
			}
			out := w.must(status, c.method, "/app/acme/endpoint"+path, c.body)
			path = fmt.Sprint("/", out["id"])
			for _, endpoint := range []map[string]any{out, w.must(200, "GET", "/app/acme/endpoint"+path, "")} {
				if k, f, d := shown(endpoint, "kind"), shown(endpoint, "filter"), shown(endpoint, "digest"); k != c.kind || f != c.filter || d != c.digest {
					t.Errorf("%s: kind %s, filter %s, digest %s", c.name, k, f, d)
				}
			}
		}
		for body, want := range map[string]string{
			`{"kind":"irc"}`:                         `"loc":["body","kind"]`,
			`{"filter":[]}`:                          `"loc":["body","filter"]`,
			`{"filter":{"any":[{"a":{"like":1}}]}}`:  `"loc":["body","filter","any","0","a","like"]`,
			`{"digest":{"seconds":0}}`:               `"loc":["body","digest","seconds"]`,
			`{"digest":{"seconds":3601}}`:            `"loc":["body","digest","seconds"]`,
			`{"digest":{"events":5}}`:                `"loc":["body","digest","seconds"]`,
			`{"digest":{"seconds":5,"events":1001}}`: `"loc":["body","digest","events"]`,
		} {
			if r := w.do("PATCH", "/app/acme/endpoint"+path, body); r.status != 422 || !strings.Contains(r.body, want) {
				t.Errorf("%s: %d %s, want %s", body, r.status, r.body, want)
			}
		}
	})
}

func TestAFilterDecidesWhatIsSent(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		w.must(201, "POST", "/app/acme/endpoint", fmt.Sprintf(`{"url":%q,"filter":{"object.size":{"gt":10}}}`, w.receiver.url))
		w.must(202, "POST", "/app/acme/msg", `{"eventType":"a","eventId":"small","payload":{"object":{"size":5}}}`)
		w.must(202, "POST", "/app/acme/msg", `{"eventType":"a","eventId":"large","payload":{"object":{"size":50}}}`)
		if got := w.receiver.next(t); !strings.Contains(got.body, "50") {
			t.Errorf("the receiver got %s", got.body)
		}
		if out := w.must(200, "GET", "/app/acme/msg/small/endpoint", ""); len(idsOf(out)) != 0 {
			t.Errorf("what the filter held back went to %v", out)
		}
	})
}
