package webhooks

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// messageWith is a message as it is shown, with some of its members changed.
func messageWith(more map[string]any) map[string]any {
	return also(map[string]any{
		"id": anID("msg_"), "eventId": nil, "eventType": "paid", "payload": map[string]any{"n": 1.0}, "channels": nil, "tags": nil, "deliverAt": nil, "timestamp": aTime,
	}, more)
}

func TestMessages(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		const path = "/app/acme/msg"
		has(t, "one without anything", w.must(202, "POST", path, `{"eventType":"paid","payload":{"n":1},"eventId":null,"channels":null,"tags":null,"application":null,
			"payloadRetentionPeriod":null,"payloadRetentionHours":null,"transformationsParams":null,"deliverAt":"2030-01-01T00:00:00Z"}`), messageWith(nil))
		full := messageWith(map[string]any{"eventId": "one", "channels": []any{"b", "a"}, "tags": []any{"x/y", `c\d#e`}})
		made := w.must(202, "POST", path+"?with_content=true", `{"eventType":"paid","data":{"n":1},"eventId":"one","channels":["b","a"],"tags":["x/y","c\\d#e"],"payloadRetentionPeriod":90}`)
		has(t, "one with everything", made, full)
		id := made["id"].(string)
		for _, ref := range []string{id, "one"} {
			has(t, "read as "+ref, w.must(200, "GET", path+"/"+ref, ""), also(full, map[string]any{"id": id}))
			has(t, "read without content", w.must(200, "GET", path+"/"+ref+"?with_content=false", ""), also(full, map[string]any{"payload": map[string]any{}}))
		}
		has(t, "made without content", w.must(202, "POST", path+"?with_content=false", `{"eventType":"paid","payload":{"n":1}}`), messageWith(map[string]any{"payload": map[string]any{}}))
		has(t, "payload before data", w.must(202, "POST", path, `{"eventType":"paid","data":{"n":2},"payload":{"n":1},"tags":[]}`), messageWith(map[string]any{"tags": func(v any) bool {
			l, ok := v.([]any)
			return v == nil || ok && len(l) == 0
		}}))
		for _, item := range w.must(200, "GET", path+"?with_content=false", "")["data"].([]any) {
			if fmt.Sprint(item.(map[string]any)["payload"]) != "map[]" {
				t.Errorf("listed without content: %v", item)
			}
		}
		for _, item := range w.must(200, "GET", path, "")["data"].([]any) {
			if fmt.Sprint(item.(map[string]any)["payload"]) != "map[n:1]" {
				t.Errorf("listed: %v", item)
			}
		}
		if r := w.do("POST", path, `{"eventType":"paid","payload":{},"eventId":"one"}`); r.status != 409 || !strings.Contains(r.body, `"code":"conflict"`) {
			t.Errorf("an event id that is taken: %d %s", r.status, r.body)
		}
		w.must(201, "POST", "/app", `{"name":"Other","uid":"other"}`)
		w.must(202, "POST", "/app/other/msg", `{"eventType":"paid","payload":{},"eventId":"one"}`)
		w.must(404, "GET", "/app/other/msg/"+id, "")

		ten := `["1","2","3","4","5","6","7","8","9","10"`
		for _, more := range []string{
			`"channels":` + ten + `]`, `"channels":["` + strings.Repeat("c", 256) + `"]`, `"channels":["a:b+c"]`, `"tags":["1","2","3","4","5"]`, `"tags":["` + strings.Repeat("t", 128) + `"]`,
			`"eventId":"` + strings.Repeat("e", 256) + `"`, `"payloadRetentionPeriod":5`, `"payloadRetentionPeriod":90`, `"payloadRetentionHours":1`, `"payloadRetentionHours":2160`,
			`"transformationsParams":{}`, `"transformationsParams":{"headers":{"content-type":"text/plain"},"rawPayload":null}`, `"transformationsParams":{"other":1}`,
		} {
			w.must(202, "POST", path, `{"eventType":"paid","payload":{},`+more+`}`)
		}
		for _, more := range []string{
			`"channels":` + ten + `,"11"]`, `"channels":[]`, `"channels":["a","a"]`, `"channels":["` + strings.Repeat("c", 257) + `"]`, `"tags":["1","2","3","4","5","6"]`, `"tags":["a","a"]`,
			`"tags":["a b"]`, `"tags":["` + strings.Repeat("t", 129) + `"]`, `"eventId":"msg_a"`, `"eventId":""`, `"eventId":"` + strings.Repeat("e", 257) + `"`, `"payloadRetentionPeriod":0`,
			`"payloadRetentionPeriod":91`, `"payloadRetentionHours":0`, `"payloadRetentionHours":2161`, `"payloadRetentionHours":24,"payloadRetentionPeriod":5`,
			`"transformationsParams":{"rawPayload":7}`, `"application":{"uid":"acme"}`, `"application":{"name":"","uid":"acme"}`, `"application":{"name":"a","uid":"acme","throttleRate":0}`,
		} {
			w.must(422, "POST", path, `{"eventType":"paid","payload":{},`+more+`}`)
		}
		for _, body := range []string{`{"eventType":"paid"}`, `{"payload":{}}`, `{"eventType":"","payload":{}}`, `{"eventType":"paid","payload":null}`, `{"eventType":"paid","payload":"{}"}`} {
			w.must(422, "POST", path, body)
		}

		w.must(204, "DELETE", path+"/one/content", "")
		w.must(204, "DELETE", path+"/one/content", "")
		has(t, "expunged", w.must(200, "GET", path+"/one", ""), also(full, map[string]any{"payload": map[string]any{"expired": true}}))
		has(t, "expunged, without content", w.must(200, "GET", path+"/one?with_content=false", ""), also(full, map[string]any{"payload": map[string]any{}}))
		w.must(404, "DELETE", path+"/none/content", "")
		endpoint := w.must(201, "POST", "/app/acme/endpoint", `{"url":"https://example.invalid"}`)["id"].(string)
		if r := w.do("POST", path+"/one/endpoint/"+endpoint+"/resend", ""); r.status != 400 || !strings.Contains(r.body, `"code":"missing_payload"`) {
			t.Errorf("a resend of what was expunged: %d %s", r.status, r.body)
		}
	})
}

func TestRawPayloads(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		endpoint := w.app("acme")
		for _, c := range []struct {
			raw, shown string
			resend     int
		}{
			{"plain text", `{"expired":true}`, 400}, {"<a/>", `{"expired":true}`, 400}, {` {"a" : 1} `, `{"a":1}`, 202}, {"[1,2]", `{"expired":true}`, 202}, {`{"a":`, `{"expired":true}`, 400},
		} {
			b, err := json.Marshal(c.raw)
			if err != nil {
				t.Fatal(err)
			}
			id := w.message("acme", `{"eventType":"a","payload":{},"transformationsParams":{"rawPayload":`+string(b)+`,"headers":{"content-type":"text/plain"}}}`)
			if got := w.receiver.next(t).body; got != c.raw {
				t.Errorf("sent %q, want %q", got, c.raw)
			}
			if r := w.do("GET", "/app/acme/msg/"+id, ""); !strings.Contains(strings.ReplaceAll(r.body, " ", ""), `"payload":`+c.shown) {
				t.Errorf("%q is shown as %s", c.raw, r.body)
			}
			if r := w.do("POST", "/app/acme/msg/"+id+"/endpoint/"+endpoint+"/resend", ""); r.status != c.resend {
				t.Errorf("a resend of %q: %d %s", c.raw, r.status, r.body)
			}
			if c.resend == 202 {
				if got := w.receiver.next(t).body; got != c.raw {
					t.Errorf("sent again %q, want %q", got, c.raw)
				}
			}
		}
	})
}

func TestMessagesThatBringTheirApplication(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, c := range []struct {
			path, body string
			status     int
			want       string
		}{
			{"/app/fresh/msg", `{"eventType":"a","payload":{}}`, 404, `{"code":"not_found","detail":"Application not found"}`},
			{"/app/fresh/msg", `{"eventType":"a","payload":{},"application":{"name":"Fresh"}}`, 422, `{"detail":[{"loc":["body","application","uid"],"msg":"Application UID not set in body","type":"application_uid_missing"}]}`},
			{"/app/fresh/msg", `{"eventType":"a","payload":{},"application":{"name":"Fresh","uid":null}}`, 422, `"application_uid_missing"`},
			{"/app/fresh/msg", `{"eventType":"a","payload":{},"application":{"name":"Fresh","uid":"other"}}`, 422, `{"detail":[{"loc":["body","application","uid"],"msg":"Application UID in the path and body must match","type":"application_uid_mismatch"}]}`},
			{"/app/fresh/msg", `{"eventType":"a","payload":[],"application":{"name":"Fresh","uid":"fresh"}}`, 422, `"loc":["body","payload"]`},
			{"/auth/app-portal-access/fresh", `{}`, 404, `{"code":"not_found","detail":"Entity not found"}`},
			{"/auth/app-portal-access/fresh", `{"application":{"name":"Fresh"}}`, 422, `"application_uid_missing"`},
			{"/auth/app-portal-access/fresh", `{"application":{"name":"Fresh","uid":"other"}}`, 422, `"application_uid_mismatch"`},
			{"/auth/dashboard-access/fresh", ``, 404, `not_found`},
		} {
			if r := w.do("POST", c.path, c.body); r.status != c.status || !strings.Contains(r.body, c.want) {
				t.Errorf("%s %s: %d %s; want %d %s", c.path, c.body, r.status, r.body, c.status, c.want)
			}
			w.must(404, "GET", "/app/fresh", "") // what was refused has made nothing
		}
		w.must(202, "POST", "/app/fresh/msg", `{"eventType":"a","payload":{},"application":{"name":"Fresh","uid":"fresh","metadata":{"a":"b"},"rateLimit":4}}`)
		made := w.must(200, "GET", "/app/fresh", "")
		if made["name"] != "Fresh" || made["throttleRate"] != 4.0 || fmt.Sprint(made["metadata"]) != "map[a:b]" {
			t.Errorf("made: %v", made)
		}
		w.must(202, "POST", "/app/fresh/msg", `{"eventType":"a","payload":{},"application":{"name":"Changed","uid":"fresh"}}`)
		w.must(422, "POST", "/app/"+made["id"].(string)+"/msg", `{"eventType":"a","payload":{},"application":{"name":"Changed","uid":"fresh"}}`)
		out := w.must(200, "POST", "/auth/app-portal-access/second", `{"application":{"name":"Second","uid":"second"},"expiry":3600,"featureFlags":[],"sessionId":"jane@example","capabilities":null,"readOnly":null}`)
		has(t, "access", out, map[string]any{"url": func(v any) bool { return strings.HasPrefix(v.(string), "http://public.example/") }, "token": func(v any) bool { return v != "" }})
		w.must(200, "GET", "/app/second", "", "Authorization", "Bearer "+out["token"].(string))
		has(t, "access of old", w.must(200, "POST", "/auth/dashboard-access/second", ``), map[string]any{
			"url": func(v any) bool { return v != "" }, "token": func(v any) bool { return v != out["token"] },
		})
		for body, status := range map[string]int{
			`{"expiry":3599}`: 422, `{"expiry":604801}`: 422, `{"expiry":604800}`: 200, `{"sessionId":"a b"}`: 422, `{"sessionId":""}`: 422, `{"sessionId":"` + strings.Repeat("s", 65) + `"}`: 422,
			`{"capabilities":["ViewBase","ViewBase"]}`: 422, `{"capabilities":["ViewBase","ViewEndpointSecret","ManageEndpointSecret","ManageTransformations","CreateAttempts","ManageEndpoint"]}`: 200, ``: 200,
		} {
			w.must(status, "POST", "/auth/app-portal-access/second", body)
		}
	})
}

// attemptWith is an attempt as it is shown.
func attemptWith(more map[string]any) map[string]any {
	return also(map[string]any{
		"id": anID("atmpt_"), "msgId": anID("msg_"), "endpointId": anID("ep_"), "url": func(v any) bool { return strings.HasPrefix(v.(string), "http://127.0.0.1") },
		"response": "thanks", "responseStatusCode": 200.0, "responseDurationMs": func(v any) bool { n, ok := v.(float64); return ok && n == float64(int(n)) },
		"status": 0.0, "statusText": "success", "triggerType": 0.0, "timestamp": aTime,
	}, more)
}

func TestAttempts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		endpoint := w.app("acme")
		message := w.message("acme", `{"eventType":"paid","eventId":"one","payload":{"n":1}}`)
		w.receiver.next(t)
		byMessage := func(ref, query string) (all []map[string]any) {
			t.Helper()
			for _, item := range w.must(200, "GET", "/app/acme/attempt/msg/"+ref+query, "")["data"].([]any) {
				all = append(all, item.(map[string]any))
			}
			return all
		}
		w.eventually("recorded", func() bool { return len(byMessage("one", "")) == 1 })
		shown := attemptWith(map[string]any{"msgId": message, "endpointId": endpoint, "url": w.receiver.url + "/"})
		attempt := byMessage(message, "?with_msg=true")[0] // which is a parameter of the other list
		has(t, "of a message", attempt, shown)
		at := "/app/acme/msg/one/attempt/" + attempt["id"].(string)
		has(t, "by itself", w.must(200, "GET", at+"?expanded_statuses=true", ""), also(shown, map[string]any{"id": attempt["id"]}))
		has(t, "without content", byMessage("one", "?with_content=false&expanded_statuses=false")[0], also(shown, map[string]any{"response": "{}"}))
		has(t, "of an endpoint, with its message", w.must(200, "GET", "/app/acme/attempt/endpoint/"+endpoint+"?with_msg=true", "")["data"].([]any)[0].(map[string]any), also(shown, map[string]any{
			"msg": func(v any) bool {
				has(t, "the message of an attempt", v.(map[string]any), messageWith(map[string]any{"id": message, "eventId": "one", "payload": map[string]any{}}))
				return true
			},
		}))
		has(t, "a message of an endpoint", w.must(200, "GET", "/app/acme/endpoint/"+endpoint+"/msg", "")["data"].([]any)[0].(map[string]any),
			messageWith(map[string]any{"id": message, "eventId": "one", "status": 0.0, "statusText": "success"}))
		has(t, "an endpoint of a message", w.must(200, "GET", "/app/acme/msg/one/endpoint", "")["data"].([]any)[0].(map[string]any),
			endpointWith(map[string]any{"id": endpoint, "url": w.receiver.url + "/", "status": 0.0, "statusText": "success"}), ownOfEndpoint...)
		if r := w.do("POST", "/app/acme/msg/one/endpoint/"+endpoint+"/resend", "garbage"); r.status != 202 || r.body != "{}" {
			t.Errorf("a resend: %d %s", r.status, r.body)
		}
		w.receiver.next(t)
		w.eventually("recorded again", func() bool { return len(byMessage("one", "")) == 2 })
		has(t, "by hand", byMessage("one", "")[0], also(shown, map[string]any{"triggerType": 1.0}))
		w.must(204, "DELETE", at+"/content", "")
		has(t, "expunged", w.must(200, "GET", at, ""), also(shown, map[string]any{"response": "EXPUNGED"}))

		// Other messages, endpoints and applications do not have it.
		other := w.message("acme", `{"eventType":"paid","payload":{}}`)
		w.receiver.next(t)
		w.must(201, "POST", "/app", `{"name":"Other","uid":"other"}`)
		for _, path := range []string{
			"/app/acme/msg/" + other + "/attempt/" + attempt["id"].(string), "/app/other/attempt/msg/" + message, "/app/other/attempt/endpoint/" + endpoint, "/app/other/endpoint/" + endpoint + "/msg",
			"/app/other/msg/" + message + "/endpoint", "/app/acme/msg/one/attempt/atmpt_01j000000000000000000000aa", "/app/acme/attempt/msg/none", "/app/acme/attempt/endpoint/none",
			"/app/acme/attempt/msg/one?endpoint_id=none", "/app/acme/msg/one/endpoint/none/attempt",
		} {
			w.must(404, "GET", path, "")
		}
		w.must(404, "POST", "/app/acme/msg/one/endpoint/none/resend", "")
		w.must(404, "POST", "/app/acme/msg/none/endpoint/"+endpoint+"/resend", "")
		w.must(404, "DELETE", "/app/acme/msg/"+other+"/attempt/"+attempt["id"].(string)+"/content", "")
	})
}

func TestAnswersOfReceiversAreShownAsText(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		long := "x" + strings.Repeat("é", 15_000)
		for _, c := range []struct{ name, sent, shown string }{
			{"text", "é\n<&>", "é\n<&>"},
			{"nothing", "", ""},
			{"a NUL", "a\x00b", "a\x00b"},
			{"bytes", "\xff\xfe", base64.StdEncoding.EncodeToString([]byte("\xff\xfe"))},
			{"too much, cut within a character", long, long[:19_999]},
			{"too many bytes", strings.Repeat("\xff", 30_000), base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\xff", 20_000)))},
		} {
			r := newReceiver(t)
			r.says = c.sent
			endpoint := w.must(201, "POST", "/app/acme/endpoint", fmt.Sprintf(`{"url":%q}`, r.url))["id"].(string)
			w.message("acme", `{"eventType":"a","payload":{}}`)
			r.next(t)
			var shown any
			w.eventually(c.name, func() bool {
				data := w.must(200, "GET", "/app/acme/attempt/endpoint/"+endpoint, "")["data"].([]any)
				if len(data) > 0 {
					shown = data[0].(map[string]any)["response"]
				}
				return len(data) > 0
			})
			if shown != c.shown {
				t.Errorf("%s is shown as %.100q", c.name, shown)
			}
			w.must(204, "DELETE", "/app/acme/endpoint/"+endpoint, "")
		}
		// No answer is code 0 and says why.
		for url, want := range map[string]string{"http://10.0.0.1/": blockedText, "http://127.0.0.1:1/": "refused", "http://nowhere.invalid/": "not found"} {
			endpoint := w.must(201, "POST", "/app/acme/endpoint", fmt.Sprintf(`{"url":%q}`, url))["id"].(string)
			w.message("acme", `{"eventType":"a","payload":{}}`)
			list := "/app/acme/attempt/endpoint/" + endpoint + "?status_code_class=0&status=2"
			w.eventually(url, func() bool { return len(w.must(200, "GET", list, "")["data"].([]any)) > 0 })
			if shown := w.must(200, "GET", list, "")["data"].([]any)[0].(map[string]any); shown["responseStatusCode"] != 0.0 || !strings.Contains(shown["response"].(string), want) {
				t.Errorf("%s: %v", url, shown)
			}
			w.must(204, "DELETE", "/app/acme/endpoint/"+endpoint, "")
		}
	})
}

func TestWhatIsUnderWayWhenAnEndpointGoesOffEndsAsCanceled(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		endpoint := w.app("acme")
		entered, leave := make(chan struct{}, 10), make(chan struct{})
		w.receiver.answers(func(received) int {
			entered <- struct{}{}
			<-leave
			return http.StatusInternalServerError
		})
		message := w.message("acme", `{"eventType":"a","payload":{}}`)
		<-entered
		w.must(200, "PATCH", "/app/acme/endpoint/"+endpoint, `{"disabled":true}`)
		close(leave)
		w.eventually("canceled", func() bool { return slices.Equal(w.states("acme", endpoint, "4"), []string{message}) })
		shown := w.must(200, "GET", "/app/acme/msg/"+message+"/endpoint", "")["data"].([]any)[0].(map[string]any)
		if _, planned := shown["nextAttempt"]; planned || shown["status"] != 4.0 || shown["statusText"] != "canceled" {
			t.Errorf("%v", shown)
		}
	})
}

func TestTimesAreShownInUTCAndFit(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		before := time.Now().Add(-time.Second)
		made := w.must(201, "POST", "/app", `{"name":"Acme"}`)
		if made["createdAt"] != made["updatedAt"] {
			t.Errorf("made at %v, updated at %v", made["createdAt"], made["updatedAt"])
		}
		at, err := time.Parse(time.RFC3339, made["createdAt"].(string))
		if err != nil || at.Before(before) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("made at %v (%v)", made["createdAt"], err)
		}
		changed := w.must(200, "PATCH", "/app/"+made["id"].(string), `{"name":"New"}`)
		if changed["createdAt"] != made["createdAt"] || changed["updatedAt"] == made["updatedAt"] {
			t.Errorf("%v, then %v", made, changed)
		}
	})
}
