package webhooks

import (
	"encoding/json"
	"fanfare/internal/signature"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestARepeatedRequestIsAnsweredAsTheFirstWasWhateverItsBodySays(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		endpoint := w.must(201, "POST", "/app/acme/endpoint", `{"url":"https://example.invalid","uid":"e"}`)["id"].(string)
		for _, c := range []struct{ path, body string }{
			{"/app", `{"name":"One"}`},
			{"/app?get_if_exists=true", `{"name":"Two","uid":"two"}`},
			{"/app/acme/endpoint", `{"url":"https://example.invalid"}`},
			{"/event-type", `{"name":"a","description":""}`},
			{"/app/acme/msg", `{"eventType":"a","eventId":"m","payload":{"n":1}}`},
			{"/app/acme/endpoint/e/recover", `{"since":"` + time.Now().UTC().Add(-time.Hour).Format(time.RFC3339) + `"}`},
			{"/app/acme/endpoint/e/secret/rotate", `{}`},
			{"/auth/app-portal-access/acme", `{}`},
			{"/stats/usage/app", `{"since":"2020-01-01T00:00:00Z","until":"2021-01-01T00:00:00Z"}`},
			{"/operational-webhook/endpoint", `{"url":"https://example.invalid"}`},
			{"/app/acme/msg/m/endpoint/" + endpoint + "/resend", ``},
		} {
			for _, key := range []string{"auto_7cf0ea6c-2b8e-4d3a-9a0f-6f3f6f6f6f6f", "my own key, with blanks: é"} {
				first := w.do("POST", c.path, c.body, "Idempotency-Key", key)
				if first.status > 299 && first.status != 409 {
					t.Errorf("%s: %d %s", c.path, first.status, first.body)
				}
				if first.status > 299 {
					continue // the other key has made it
				}
				for _, body := range []string{c.body, `{"name":"Another","eventType":"b"}`, `no JSON`} {
					again := w.do("POST", c.path, body, "Idempotency-Key", key)
					if again.status != first.status || again.body != first.body {
						t.Errorf("%s with %s: %d %s; at first %d %s", c.path, body, again.status, again.body, first.status, first.body)
					}
				}
			}
		}
		// What was refused is not remembered, and the key counts for its URI alone.
		w.must(422, "POST", "/app", `{}`, "Idempotency-Key", "mended")
		first := w.must(201, "POST", "/app", `{"name":"a"}`, "Idempotency-Key", "mended")
		if second := w.must(201, "POST", "/app?get_if_exists=false", `{"name":"a"}`, "Idempotency-Key", "mended"); second["id"] == first["id"] {
			t.Error("another URI was taken for the same request")
		}
		// Other methods have no such keys.
		for _, name := range []string{"a", "b"} {
			if got := w.must(200, "PATCH", "/app/acme", `{"name":"`+name+`"}`, "Idempotency-Key", "patch"); got["name"] != name {
				t.Errorf("a PATCH with a key: %v", got)
			}
		}
		if got := idsOf(w.must(200, "GET", "/app/acme/msg", "", "Idempotency-Key", "mended")); len(got) != 1 {
			t.Errorf("messages: %v", got)
		}
	})
}

func TestSecretsAreShownToWhoAsksAndAfterARotationToLibrariesThatReadThem(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.app("acme")
		endpoint := w.must(200, "GET", "/app/acme/endpoint", "")["data"].([]any)[0].(map[string]any)["id"].(string)
		w.must(201, "POST", "/operational-webhook/endpoint", `{"url":"https://example.invalid","uid":"o"}`)
		for _, path := range []string{"/app/acme/endpoint/" + endpoint + "/secret", "/operational-webhook/endpoint/o/secret"} {
			key := func() string {
				t.Helper()
				r := w.do("GET", path, "")
				var out map[string]string
				if err := json.Unmarshal([]byte(r.body), &out); err != nil || len(out) != 1 || !strings.HasPrefix(out["key"], "whsec_") || len(out["key"]) != len("whsec_")+32 {
					t.Errorf("the secret: %s (%v)", r.body, err)
				}
				return out["key"]
			}
			before := key()
			for agent, status := range map[string]int{
				"": 204, "svix-libs/1.99.1/go": 204, "svix-libs/2.5.0/javascript": 204, "svix-libs/2.6.9/python": 204, "svix-libs/2.7.0/python": 200, "svix-libs/2.10.0/python": 200,
				"svix-libs/3.0.0/ruby": 200, "svix-libs/x": 204, "svix-libs/": 204, "curl/8.0": 204,
			} {
				r := w.do("POST", path+"/rotate", `{"key":null,"gracePeriodSeconds":0}`, "User-Agent", agent)
				if r.status != status || status == 200 && r.body != `{"key":"`+key()+`"}` || status == 204 && r.body != "" {
					t.Errorf("a rotation by %q: %d %s", agent, r.status, r.body)
				}
			}
			if key() == before {
				t.Error("the secret is as it was")
			}
			for _, body := range []string{
				`{"key":"whsec_"}`, `{"key":""}`, `{"key":"C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}`, `{"key":"whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="}`, `{"gracePeriodSeconds":-1}`,
				`{"gracePeriodSeconds":604801}`, `{"key":"whsec_` + strings.Repeat("QUJD", 26) + `"}`, `{"key":"whsec_QUJDQUJDQUJDQUJDQUJDQUJDQUJDQUI"}`,
			} {
				w.must(422, "POST", path+"/rotate", body)
			}
			for _, own := range []string{"whsec_" + strings.Repeat("QUJD", 8), "whsec_" + strings.Repeat("QUJD", 25)} { // 24 and 75 bytes
				w.must(204, "POST", path+"/rotate", `{"key":"`+own+`","gracePeriodSeconds":604800}`)
				if got := w.must(200, "GET", path, "")["key"]; got != own {
					t.Errorf("the key is %v, not %s", got, own)
				}
			}
			w.must(204, "POST", path+"/rotate", ``)
		}
		// A token that may rotate and not look is not shown the new secret.
		token := w.must(200, "POST", "/auth/app-portal-access/acme", `{"capabilities":["ManageEndpointSecret"]}`)["token"].(string)
		w.must(204, "POST", "/app/acme/endpoint/"+endpoint+"/secret/rotate", `{}`, "Authorization", "Bearer "+token, "User-Agent", "svix-libs/2.9.1/python")
		w.must(403, "GET", "/app/acme/endpoint/"+endpoint+"/secret", "", "Authorization", "Bearer "+token)
		// Each of the keys that sign verifies.
		current := w.must(200, "GET", "/app/acme/endpoint/"+endpoint+"/secret", "")["key"].(string)
		w.message("acme", `{"eventType":"a","payload":{}}`)
		got := w.receiver.next(t)
		for _, secret := range []string{current, "whsec_" + strings.Repeat("QUJD", 8), "whsec_" + strings.Repeat("QUJD", 25)} {
			if err := signature.Verify(secret, got.header, []byte(got.body), time.Now()); err != nil {
				t.Errorf("with %s: %v", secret[:10], err)
			}
		}
	})
}

func TestExamplesAreSentAsOrdinaryMessages(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		endpoint := w.app("acme")
		second := newReceiver(t)
		w.must(201, "POST", "/app/acme/endpoint", fmt.Sprintf(`{"url":%q,"uid":"second"}`, second.url))
		w.must(201, "POST", "/event-type", `{"name":"paid","description":"","schemas":{"2":{"examples":[{"v":2}]},"1":{"examples":[{"v":1},{"v":"other"}]}}}`)
		w.must(201, "POST", "/event-type", `{"name":"none","description":""}`)
		path := "/app/acme/endpoint/" + endpoint + "/send-example"
		for body, sent := range map[string]string{
			`{"eventType":"paid"}`: `{"v":1}`, `{"eventType":"paid","exampleIndex":0}`: `{"v":1}`, `{"eventType":"paid","exampleIndex":1}`: `{"v":"other"}`, `{"eventType":"svix.ping"}`: `{"success": true}`,
		} {
			out := w.must(200, "POST", path, body)
			has(t, body, out, messageWith(map[string]any{"payload": map[string]any{}, "eventType": func(any) bool { return true }}))
			if got := w.receiver.next(t); got.body != sent || got.header.Get("Svix-Id") != out["id"] {
				t.Errorf("%s sent %s", body, got.body)
			}
		}
		if r := w.do("POST", path, `{"eventType":"none"}`); r.status != 400 || !strings.Contains(r.body, `"code":"invalid_scheme"`) {
			t.Errorf("a type without an example: %d %s", r.status, r.body)
		}
		if r := w.do("POST", path, `{"eventType":"paid","exampleIndex":2}`); r.status != 400 || !strings.Contains(r.body, `"code":"invalid_scheme"`) {
			t.Errorf("an example that is not there: %d %s", r.status, r.body)
		}
		w.must(404, "POST", path, `{"eventType":"unknown"}`)
		w.must(404, "POST", "/app/acme/endpoint/unknown/send-example", `{"eventType":"paid"}`)
		// Those who do not want it get nothing, and nobody is told so.
		w.must(200, "PATCH", "/app/acme/endpoint/"+endpoint, `{"eventTypes":["none"]}`)
		w.must(200, "POST", path, `{"eventType":"paid"}`)
		w.must(200, "PATCH", "/app/acme/endpoint/"+endpoint, `{"eventTypes":null,"disabled":true}`)
		w.must(200, "POST", path, `{"eventType":"paid"}`)
		w.must(200, "PATCH", "/app/acme/endpoint/"+endpoint, `{"disabled":false}`)
		w.must(200, "POST", path, `{"eventType":"paid","exampleIndex":1}`)
		if got := w.receiver.next(t); got.body != `{"v":"other"}` {
			t.Errorf("sent %s", got.body)
		}
		if len(second.got) > 0 || len(w.receiver.got) > 0 {
			t.Error("others got examples, or those who did not want them")
		}
	})
}

func TestWhoWouldGetAMessage(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		w.must(201, "POST", "/event-type", `{"name":"a","description":""}`)
		active := func(body string) bool {
			t.Helper()
			out := w.must(200, "POST", "/app/acme/msg/precheck/active", body)
			if len(out) != 1 {
				t.Errorf("%v", out)
			}
			return out["active"].(bool)
		}
		if active(`{"eventType":"a"}`) {
			t.Error("without endpoints")
		}
		w.must(201, "POST", "/app/acme/endpoint", `{"url":"https://example.invalid","uid":"e","eventTypes":["a"],"channels":["x","y"]}`)
		for body, want := range map[string]bool{
			`{"eventType":"a"}`: false, `{"eventType":"a","channels":null}`: false, `{"eventType":"a","channels":["x"]}`: true, `{"eventType":"a","channels":["z","y"]}`: true,
			`{"eventType":"a","channels":["z"]}`: false, `{"eventType":"b","channels":["x"]}`: false,
		} {
			if got := active(body); got != want {
				t.Errorf("%s: %t", body, got)
			}
		}
		w.must(200, "PATCH", "/app/acme/endpoint/e", `{"disabled":true}`)
		if active(`{"eventType":"a","channels":["x"]}`) {
			t.Error("a disabled endpoint")
		}
		for _, body := range []string{`{}`, `{"eventType":"a","channels":[]}`, `{"eventType":"a","channels":["x","x"]}`, `{"eventType":"a b"}`} {
			w.must(422, "POST", "/app/acme/msg/precheck/active", body)
		}
		w.must(404, "POST", "/app/none/msg/precheck/active", `{"eventType":"a"}`)
	})
}

func TestStatisticsOfAnEndpoint(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		endpoint := w.app("acme")
		path := "/app/acme/endpoint/" + endpoint + "/stats"
		has(t, "of nothing", w.must(200, "GET", path, ""), map[string]any{"success": 0.0, "pending": 0.0, "sending": 0.0, "fail": 0.0, "canceled": 0.0})
		w.message("acme", `{"eventType":"a","payload":{}}`)
		w.receiver.next(t)
		counted := func(query string) bool { return w.must(200, "GET", path+query, "")["success"] == 1.0 }
		w.eventually("counted", func() bool { return counted("") })
		at := func(d time.Duration) string { return url.QueryEscape(time.Now().Add(d).UTC().Format(time.RFC3339Nano)) }
		for query, want := range map[string]bool{
			"?since=" + at(-time.Minute): true, "?since=" + at(-28*24*time.Hour): true, "?since=" + at(-28*24*time.Hour-4*time.Minute): true,
			"?since=" + at(-48*time.Hour) + "&until=" + at(-47*time.Hour): false, "?until=" + at(-20*24*time.Hour): false,
		} {
			if got := counted(query); got != want {
				t.Errorf("%s: counted %t", query, got)
			}
		}
		for _, query := range []string{
			"?since=" + at(-28*24*time.Hour-6*time.Minute), "?until=" + at(time.Hour), "?since=" + at(time.Hour), "?since=" + at(-time.Hour) + "&until=" + at(-2*time.Hour),
			"?since=" + at(-60*24*time.Hour) + "&until=" + at(-30*24*time.Hour),
		} {
			if r := w.do("GET", path+query, ""); r.status != 400 || !strings.Contains(r.body, `"code":"invalid_range"`) {
				t.Errorf("%s: %d %s", query, r.status, r.body)
			}
		}
		w.must(404, "GET", "/app/acme/endpoint/none/stats", "")
	})
}

// heard is the next operational webhook.
func heard(t *testing.T, r *receiver) (eventType string, data map[string]any) {
	t.Helper()
	var body struct {
		Type string         `json:"type"`
		Data map[string]any `json:"data"`
	}
	got := r.next(t).body
	dec := json.NewDecoder(strings.NewReader(got))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	return body.Type, body.Data
}

func TestOperationalWebhooksSayExactlyWhatTheyShould(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		operations := newReceiver(t)
		w.must(201, "POST", "/operational-webhook/endpoint", fmt.Sprintf(`{"url":%q,"uid":"all"}`, operations.url))
		few := newReceiver(t)
		w.must(201, "POST", "/operational-webhook/endpoint", fmt.Sprintf(`{"url":%q,"filterTypes":["endpoint.deleted"]}`, few.url))
		app := w.must(201, "POST", "/app", `{"name":"Acme"}`)["id"].(string)
		endpoint := w.must(201, "POST", "/app/"+app+"/endpoint", fmt.Sprintf(`{"url":%q}`, w.receiver.url))["id"].(string)
		about := map[string]any{"appId": app, "appUid": nil, "endpointId": endpoint, "endpointUid": nil}
		next := func(want string, data map[string]any) {
			t.Helper()
			eventType, got := heard(t, operations)
			if eventType != want {
				t.Fatalf("heard %s %v; want %s", eventType, got, want)
			}
			has(t, want, got, data)
		}
		path := "/app/" + app + "/endpoint/" + endpoint
		next("endpoint.created", about)
		w.must(200, "PATCH", path, `{"description":"d"}`)
		next("endpoint.updated", about)
		w.must(204, "PUT", path+"/headers", `{"headers":{"X-A":"1"}}`)
		next("endpoint.updated", about)
		w.must(204, "POST", path+"/secret/rotate", `{"gracePeriodSeconds":0}`)
		next("endpoint.updated", about)
		w.must(200, "PATCH", "/app/"+app, `{"uid":"acme"}`)
		w.must(200, "PATCH", path, `{"uid":"e"}`)
		about = also(about, map[string]any{"appUid": "acme", "endpointUid": "e"})
		next("endpoint.updated", about)

		// Four attempts fail, then it recovers; then five fail.
		calls := 0
		w.receiver.answers(func(received) int {
			if calls++; calls == 5 {
				return http.StatusOK
			}
			return http.StatusTeapot
		})
		last := func(status float64) func(any) bool {
			return func(v any) bool {
				has(t, "the last attempt", v.(map[string]any), map[string]any{"id": anID("atmpt_"), "responseStatusCode": status, "timestamp": aTime})
				return true
			}
		}
		message := w.message("acme", `{"eventType":"a","eventId":"m","payload":{}}`)
		of := map[string]any{"appId": app, "appUid": "acme", "endpointId": endpoint, "msgId": message, "msgEventId": "m", "lastAttempt": last(418)}
		next("message.attempt.failing", of)
		w.must(202, "POST", "/app/acme/msg/m/endpoint/e/resend", "") // a success by hand recovers nothing that was scheduled
		w.eventually("it has arrived", func() bool { return slices.Contains(w.states("acme", endpoint, "0"), message) })
		w.receiver.answers(func(received) int { return http.StatusGone })
		gone := w.message("acme", `{"eventType":"a","payload":{}}`)
		both := map[string]map[string]any{}
		for range 2 {
			eventType, data := heard(t, operations)
			both[eventType] = data
		}
		has(t, "exhausted", both["message.attempt.exhausted"], also(of, map[string]any{"msgId": gone, "msgEventId": nil, "lastAttempt": last(410)}))
		has(t, "disabled", both["endpoint.disabled"], also(about, map[string]any{"failSince": aTime, "trigger": "automatic"}))
		w.must(200, "PATCH", path, `{"disabled":false}`)
		for range 2 {
			eventType, data := heard(t, operations)
			both[eventType] = data
		}
		has(t, "enabled", both["endpoint.enabled"], about)
		w.must(200, "PATCH", path, `{"disabled":true}`)
		for range 2 {
			eventType, data := heard(t, operations)
			both[eventType] = data
		}
		has(t, "disabled by hand", both["endpoint.disabled"], also(about, map[string]any{"failSince": nil, "trigger": "manual"}))
		w.must(204, "DELETE", path, "")
		next("endpoint.deleted", about)
		if eventType, data := heard(t, few); eventType != "endpoint.deleted" {
			t.Errorf("who asked for deletions alone heard %s %v", eventType, data)
		}
		task := w.must(202, "POST", "/app/acme/msg/expunge-all-contents", "")["id"]
		w.runTasks()
		next("background_task.finished", map[string]any{"taskId": task, "task": "application.purge_content", "status": "finished", "data": map[string]any{"messagesPurged": 2.0}})
		// Its own endpoints are told nothing about.
		w.must(200, "PUT", "/operational-webhook/endpoint/all", fmt.Sprintf(`{"url":%q,"uid":"all","description":"changed"}`, operations.url))
		w.must(204, "POST", "/operational-webhook/endpoint/all/secret/rotate", `{}`)
		w.must(202, "PUT", "/stats/usage/event-types", "")
		w.runTasks()
		if eventType, data := heard(t, operations); eventType != "background_task.finished" {
			t.Errorf("heard %s %v", eventType, data)
		}
	})
}

func TestOperationalEndpoints(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const path = "/operational-webhook/endpoint"
		own := append([]string{"version", "channels"}, ownOfEndpoint...)
		shown := endpointWith(nil)
		delete(shown, "version")
		delete(shown, "channels")
		has(t, "one without anything", w.must(201, "POST", path, `{"url":"https://example.com"}`), shown, own...)
		full := also(shown, map[string]any{
			"uid": "o", "description": "d", "disabled": true, "eventTypes": []any{"endpoint.disabled"}, "filterTypes": []any{"endpoint.disabled"}, "metadata": map[string]any{"a": "b"},
			"rateLimit": 3.0, "throttleRate": 3.0,
		})
		has(t, "one with everything", w.must(201, "POST", path, `{"url":"https://example.com","uid":"o","description":"d","disabled":true,"filterTypes":["endpoint.disabled"],"metadata":{"a":"b"},"rateLimit":3,
			"secret":"whsec_`+strings.Repeat("QUJD", 8)+`","headers":{"X-A":"1"}}`), full, own...)
		if got := w.must(200, "GET", path+"/o/secret", "")["key"]; got != "whsec_"+strings.Repeat("QUJD", 8) {
			t.Errorf("the secret: %v", got)
		}
		if r := w.do("GET", path+"/o/headers", ""); r.body != `{"headers":{"X-A":"1"},"sensitive":[]}` {
			t.Errorf("headers: %s", r.body)
		}
		w.must(204, "PUT", path+"/o/headers", `{"headers":{"X-B":"2"}}`)
		has(t, "a PUT clears what it leaves out", w.must(200, "PUT", path+"/o", `{"url":"https://example.com"}`), shown, own...)
		w.must(404, "GET", path+"/o", "")
		w.must(201, "PUT", path+"/o", `{"url":"https://example.com","uid":"o"}`)
		w.must(409, "POST", path, `{"url":"https://example.com","uid":"o"}`)
		w.must(204, "DELETE", path+"/o", "")
		w.must(404, "DELETE", path+"/o", "")
		for _, body := range []string{`{"url":"https://example.com","eventTypes":["invoice.paid"]}`, `{"url":"https://example.com","eventTypes":[]}`, `{"url":"x"}`, `{"url":"https://example.com","eventTypes":["endpoint.created","endpoint.created"]}`} {
			w.must(422, "POST", path, body)
		}
		// They are no endpoints of an application, and those are none of them.
		id := w.must(201, "PUT", path+"/o", `{"url":"https://example.com","uid":"o"}`)["id"].(string)
		endpoint := w.app("acme")
		w.must(404, "GET", "/app/acme/endpoint/"+id, "")
		w.must(404, "GET", path+"/"+endpoint, "")
		other, err := w.store.CreateEnvironment(t.Context(), "other")
		if err != nil {
			t.Fatal(err)
		}
		w.must(404, "GET", path+"/"+id, "", "Authorization", "Bearer "+w.newToken(webhook.Token{Environment: other}))
	})
}
