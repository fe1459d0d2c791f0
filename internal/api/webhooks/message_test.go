package webhooks

import (
	"encoding/json"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestAPostWithAnIdempotencyKeyIsDoneOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.app("acme")
		message := `{"eventType":"a","payload":{"n":1}}`
		for _, key := range []string{"auto_1", "explicit"} {
			first := w.do("POST", "/app/acme/msg", message, "Idempotency-Key", key)
			again := w.do("POST", "/app/acme/msg", `{"eventType":"b","payload":{}}`, "Idempotency-Key", key)
			if first.status != 202 || again.status != 202 || again.body != first.body {
				t.Errorf("%s: %s, then %s", key, first.body, again.body)
			}
			w.receiver.next(t)
		}
		other := w.do("POST", "/app/acme/msg?with_content=false", message, "Idempotency-Key", "explicit")
		w.receiver.next(t)
		if got := idsOf(w.must(200, "GET", "/app/acme/msg", "")); len(got) != 3 || got[0] != other.object(t)["id"] {
			t.Errorf("messages: %v", got)
		}
		// Anything else keeps its reply.
		first := w.do("POST", "/app", `{"name":"One"}`, "Idempotency-Key", "k")
		again := w.do("POST", "/app", `{"name":"Two"}`, "Idempotency-Key", "k")
		if again.status != 201 || again.body != first.body {
			t.Errorf("%s, then %s", first.body, again.body)
		}
		// What was refused can be mended.
		if r := w.do("POST", "/app", `{"name":"X","uid":"acme"}`, "Idempotency-Key", "mend"); r.status != 409 {
			t.Errorf("%d %s", r.status, r.body)
		}
		if r := w.do("POST", "/app", `{"name":"X","uid":"fine"}`, "Idempotency-Key", "mend"); r.status != 201 {
			t.Errorf("%d %s", r.status, r.body)
		}
		// A token that is given out comes back from the reply that was kept.
		link := w.do("POST", "/auth/app-portal-access/acme", `{}`, "Idempotency-Key", "link")
		if again := w.do("POST", "/auth/app-portal-access/acme", `{}`, "Idempotency-Key", "link"); again.body != link.body {
			t.Errorf("%s, then %s", link.body, again.body)
		}
		// Another token is another caller.
		second := w.newToken(webhook.Token{Environment: w.environment})
		if r := w.do("POST", "/app", `{"name":"Three"}`, "Idempotency-Key", "k", "Authorization", "Bearer "+second); r.body == first.body {
			t.Error("the reply of another caller")
		}
		// A batch is repeated message by message.
		batch := `{"messages":[` + message + `,` + message + `]}`
		made := w.do("POST", "/app/acme/msg/batch", batch, "Idempotency-Key", "b")
		if again := w.do("POST", "/app/acme/msg/batch", batch, "Idempotency-Key", "b"); again.body != made.body {
			t.Errorf("%s, then %s", made.body, again.body)
		}
	})
}

func TestRequestsWithOneKeyAtTheSameTimeAreDoneOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		for _, c := range [][2]string{{"/app/acme/msg", `{"eventType":"a","payload":{}}`}, {"/app", `{"name":"a"}`}} {
			replies := make(chan string, 10)
			for range cap(replies) {
				go func() { replies <- w.do("POST", c[0], c[1], "Idempotency-Key", "same").body }()
			}
			first := <-replies
			for range cap(replies) - 1 {
				if again := <-replies; again != first {
					t.Errorf("%s: %s and %s", c[0], first, again)
				}
			}
		}
	})
}

func TestABatchAnswersEachMessageOnItsOwn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.app("acme")
		w.message("acme", `{"eventType":"a","eventId":"taken","payload":{}}`)
		w.receiver.next(t)
		out := w.must(202, "POST", "/app/acme/msg/batch", `{"messages":[
			{"eventType":"a","eventId":"one","payload":{"n": 1}},
			{"eventType":"a","eventId":"taken","payload":{}},
			{"eventType":"a","eventId":"one","payload":{}},
			{"eventType":"a","payload":{"n":2}}]}`)["data"].([]any)
		var statuses []float64
		for _, item := range out {
			statuses = append(statuses, item.(map[string]any)["status"].(float64))
		}
		if !slices.Equal(statuses, []float64{202, 409, 409, 202}) {
			t.Errorf("%v", out)
		}
		var bodies []string
		for range 2 {
			bodies = append(bodies, w.receiver.next(t).body)
		}
		slices.Sort(bodies)
		if !slices.Equal(bodies, []string{`{"n": 1}`, `{"n":2}`}) {
			t.Errorf("sent: %q", bodies)
		}
		r := w.do("POST", "/app/acme/msg/batch?with_content=false", `{"messages":[{"eventType":"a b","payload":{}},{"eventType":"a","payload":{"n":3}},7,{"eventType":"a","payload":{"x":"`+strings.Repeat("y", maxBody)+`"}}]}`)
		for _, part := range []string{
			`{"status":422,"error":{"detail":[{"loc":["body","messages","0","eventType"],"msg":`, `{"status":202,"message":{"id":"msg_`, `"payload":{}`,
			`{"status":422,"error":{"detail":[{"loc":["body","messages","2"],"msg":"must be a JSON object","type":"value_error.jsondecode"}]}}`,
			`{"status":413,"error":{"code":"payload_too_large"`,
		} {
			if r.status != 202 || !strings.Contains(r.body, part) {
				t.Errorf("some are no good: %d %s; want %s", r.status, r.body, part)
			}
		}
		w.receiver.next(t)
		if r := w.do("POST", "/app/acme/msg/batch", `{"messages":[7,{"eventType":"a b","payload":{}}]}`); r.status != 202 || strings.Count(r.body, `"status":422`) != 2 {
			t.Errorf("none is any good: %d %s", r.status, r.body)
		}
		if r := w.do("POST", "/app/acme/msg/batch", `{"messages":[]}`); r.status != 422 {
			t.Errorf("an empty batch: %d %s", r.status, r.body)
		}
	})
}

func TestPayloadsAreSentByteForByteAndKeptAsLongAsAsked(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.app("acme")
		odd := `{ "b" : 1.00, "a":"é<&>",  "a": 2 }`
		r := w.do("POST", "/app/acme/msg", `{"eventType":"a","payload":`+odd+`}`)
		if r.status != 202 {
			t.Fatal(r.body)
		}
		if got := w.receiver.next(t); got.body != odd {
			t.Errorf("sent %q", got.body)
		}
		raw := w.message("acme", `{"eventType":"a","payload":{},"transformationsParams":{"rawPayload":"no <JSON>"}}`)
		if got := w.receiver.next(t); got.body != "no <JSON>" {
			t.Errorf("sent %q", got.body)
		}
		if m := w.must(200, "GET", "/app/acme/msg/"+raw, ""); fmt.Sprint(m["payload"]) != "map[expired:true]" {
			t.Errorf("a raw payload reads as %v", m["payload"])
		}
		inline := w.must(202, "POST", "/app/fresh/msg", `{"eventType":"a","payload":{},"application":{"name":"Fresh","uid":"fresh"}}`)
		w.must(200, "GET", "/app/fresh/msg/"+inline["id"].(string), "")
		w.must(202, "POST", "/app/fresh/msg", `{"eventType":"a","payload":{},"application":{"name":"Changed","uid":"fresh"}}`)
		if a := w.must(200, "GET", "/app/fresh", ""); a["name"] != "Fresh" {
			t.Errorf("an application that was there: %v", a)
		}
		w.must(409, "POST", "/app", `{"name":"x","uid":"fresh"}`)
	})
}

func TestPayloadsCanBeHeldAgainstTheirSchema(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.app("acme")
		w.must(201, "POST", "/event-type", `{"name":"paid","description":"","validatePayload":true,"schemas":{"1":{"type":"object"},
			"2":{"type":"object","required":["lines"],"properties":{"lines":{"type":"array","items":{"type":"object","required":["price"]}}}}}}`)
		r := w.do("POST", "/app/acme/msg", `{"eventType":"paid","payload":{"lines":[{"price":1},{}]}}`)
		if r.status != 422 || !strings.Contains(r.body, `"loc":["body","payload","lines","1"]`) {
			t.Errorf("%d %s", r.status, r.body)
		}
		w.message("acme", `{"eventType":"paid","payload":{"lines":[]}}`)
		out := w.must(202, "POST", "/app/acme/msg/batch", `{"messages":[{"eventType":"paid","payload":{}},{"eventType":"paid","payload":{"lines":[]}}]}`)
		if text, _ := json.Marshal(out); !strings.Contains(string(text), `"status":422`) || !strings.Contains(string(text), `"status":202`) {
			t.Errorf("%s", text)
		}
		w.must(200, "PATCH", "/event-type/paid", `{"validatePayload":false}`)
		w.message("acme", `{"eventType":"paid","payload":{}}`)
	})
}

func TestCloudEventsBecomeMessages(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.app("acme")
		structuredEvent := `{ "specversion":"1.0","id":"1","source":"/shop","type":"order.paid","data":{"n":1} }`
		post := func(body string, headers ...string) reply {
			return w.do("POST", "/app/acme/cloudevents", body, headers...)
		}
		first := post(structuredEvent, "Content-Type", "application/cloudevents+json; charset=utf-8")
		if first.status != 202 || first.object(t)["eventType"] != "order.paid" {
			t.Fatalf("%d %s", first.status, first.body)
		}
		if got := w.receiver.next(t); got.body != structuredEvent {
			t.Errorf("sent %q", got.body)
		}
		if again := post(structuredEvent, "Content-Type", "application/cloudevents+json"); again.status != 202 || again.object(t)["id"] != first.object(t)["id"] {
			t.Errorf("the same event: %d %s", again.status, again.body)
		}
		binary := post(`{"n": 2}`, "Content-Type", "application/json", "ce-specversion", "1.0", "ce-id", "2", "ce-source", "/shop",
			"ce-type", "order.paid", "ce-subject", "Euro%20%E2%82%AC")
		if binary.status != 202 {
			t.Fatalf("%d %s", binary.status, binary.body)
		}
		want := `{"specversion":"1.0","id":"2","source":"/shop","type":"order.paid","subject":"Euro €","datacontenttype":"application/json","data":{"n": 2}}`
		if got := w.receiver.next(t); got.body != want {
			t.Errorf("sent %s\nwant %s", got.body, want)
		}
		post("<a/>", "Content-Type", "text/xml", "ce-specversion", "1.0", "ce-id", "3", "ce-source", "/shop", "ce-type", "order.paid")
		if got := w.receiver.next(t); !strings.Contains(got.body, `"data_base64":"PGEvPg=="`) {
			t.Errorf("sent %s", got.body)
		}
		batch := post(`[`+structuredEvent+`,{"specversion":"1.0","id":"4","source":"/shop","type":"order.sent"},{"specversion":"1.0"}]`, "Content-Type", batched).object(t)["data"].([]any)
		if got := w.receiver.next(t).body; got != `{"specversion":"1.0","id":"4","source":"/shop","type":"order.sent"}` {
			t.Errorf("sent of the batch: %s", got)
		}
		for i, want := range []struct {
			status float64
			part   string
		}{{202, first.object(t)["id"].(string)}, {202, "order.sent"}, {422, "[body 2 id]"}} {
			if item := batch[i].(map[string]any); item["status"] != want.status || !strings.Contains(fmt.Sprint(item), want.part) {
				t.Errorf("event %d of a batch: %v; want %v", i, item, want)
			}
		}
		for name, c := range map[string][]string{
			"no headers":           {`{}`, "Content-Type", "application/json"},
			"another version":      {`{"specversion":"0.3","id":"1","source":"/","type":"a"}`, "Content-Type", structured},
			"no id":                {`{"specversion":"1.0","source":"/","type":"a"}`, "Content-Type", structured},
			"a list":               {`[]`, "Content-Type", structured},
			"a batch of none":      {`[]`, "Content-Type", batched},
			"a batch of one":       {structuredEvent, "Content-Type", batched},
			"a format not known":   {`<a/>`, "Content-Type", "application/cloudevents+xml"},
			"data that is no text": {"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"a\",\"data\":\"\xff\"}", "Content-Type", structured},
			"data that is not":     {`{`, "Content-Type", "application/json", "ce-specversion", "1.0", "ce-id", "2", "ce-source", "/shop", "ce-type", "a"},
			"a type of blanks":     {`{}`, "ce-specversion", "1.0", "ce-id", "2", "ce-source", "/shop", "ce-type", "a b"},
			"a bad content type":   {`{}`, "Content-Type", ";", "ce-specversion", "1.0", "ce-id", "2", "ce-source", "/shop", "ce-type", "a"},
			"data twice":           {`{"specversion":"1.0","id":"9","source":"/","type":"a","data":1,"data_base64":""}`, "Content-Type", structured},
			"an attribute of ours": {`{}`, "ce-specversion", "1.0", "ce-id", "2", "ce-source", "/shop", "ce-type", "a", "ce-data", "x"},
		} {
			if r := post(c[0], c[1:]...); r.status != 422 {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
		}
	})
}

func TestHealthAndCORSNeedNoToken(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if r := w.do("GET", "/health", "", "Authorization", ""); r.status != 200 || !strings.Contains(r.body, `"database":{"status":"ok"}`) {
			t.Errorf("%d %s", r.status, r.body)
		}
		if r := w.do("HEAD", "/health", "", "Authorization", ""); r.status != 200 {
			t.Errorf("HEAD: %d", r.status)
		}
		w.must(204, "GET", "/health/ping/", "")
		r := w.do("OPTIONS", "/app", "", "Origin", "https://example.com", "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "authorization, svix-req-id")
		if r.status != http.StatusNoContent || r.header.Get("Access-Control-Allow-Headers") != "authorization, svix-req-id" ||
			r.header.Get("Access-Control-Allow-Origin") != "*" || r.header.Get("Access-Control-Max-Age") != "600" {
			t.Errorf("%d %v", r.status, r.header)
		}
	})
}
