package webhooks

import (
	"encoding/json"
	"fanfare/internal/auth"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCountsOfTheEnvironment(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(201, "POST", "/event-type", `{"name":"a","description":""}`)
		w.must(201, "POST", "/event-type", `{"name":"b","description":""}`)
		first := w.must(201, "POST", "/app", `{"name":"First","uid":"first"}`)["id"].(string)
		second := w.must(201, "POST", "/app", `{"name":"Second"}`)["id"].(string)
		w.must(201, "POST", "/app/first/endpoint", fmt.Sprintf(`{"url":%q,"uid":"x","eventTypes":["b","a"]}`, w.receiver.url))
		w.must(201, "POST", "/app/first/endpoint", fmt.Sprintf(`{"url":%q,"uid":"y","eventTypes":["a"]}`, w.receiver.url))
		w.must(201, "POST", "/app/"+second+"/endpoint", `{"url":"https://example.invalid"}`)
		w.message("first", `{"eventType":"a","payload":{}}`)
		for range 2 {
			w.receiver.next(t)
		}
		for _, endpoint := range []string{"x", "y"} {
			w.eventually("recorded", func() bool {
				return len(w.must(200, "GET", "/app/first/attempt/endpoint/"+endpoint, "")["data"].([]any)) == 1
			})
		}
		finish := func(started map[string]any, name string) map[string]any {
			t.Helper()
			reply := map[string]any{"id": anID("qtask_"), "status": "running", "task": name, "updatedAt": aTime}
			has(t, "begun", started, reply, "unresolvedAppIds")
			w.runTasks()
			task := w.must(200, "GET", "/background-task/"+started["id"].(string), "")
			has(t, "finished", task, also(reply, map[string]any{"id": started["id"], "status": "finished", "data": func(v any) bool { return len(v.(map[string]any)) == 1 }}), "progress")
			return task["data"].(map[string]any)
		}
		window := func(from, to time.Duration) string {
			at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
			return fmt.Sprintf(`"since":%q,"until":%q`, at(from), at(to))
		}
		usage := func(body string) []any {
			t.Helper()
			return finish(w.must(202, "POST", "/stats/usage/app", body), "application.stats")["appStats"].([]any)
		}
		count := func(app string, uid any, n float64) map[string]any {
			return map[string]any{"appId": app, "appUid": uid, "messageDestinations": n}
		}
		for body, want := range map[string][]any{
			`{` + window(-time.Hour, time.Hour) + `}`:                                    {count(first, "first", 2), count(second, nil, 0)},
			`{` + window(-time.Hour, time.Hour) + `,"appIds":["` + second + `","none"]}`: {count(second, nil, 0)},
			`{` + window(-time.Hour, time.Hour) + `,"appIds":["first","` + first + `"]}`: {count(first, "first", 2)},
			`{` + window(-2*time.Hour, -time.Hour) + `,"appIds":null}`:                   {count(first, "first", 0), count(second, nil, 0)},
		} {
			if got := usage(body); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %v; want %v", body, got, want)
			}
		}
		if got := w.must(202, "POST", "/stats/usage/app", `{`+window(-time.Hour, time.Hour)+`,"appIds":["none","first","app_none"]}`)["unresolvedAppIds"]; fmt.Sprint(got) != "[none app_none]" {
			t.Errorf("not found: %v", got)
		}
		for _, body := range []string{
			`{}`, `{"since":"2020-01-01T00:00:00Z"}`, `{` + window(time.Hour, -time.Hour) + `}`, `{` + window(-time.Hour, time.Hour) + `,"appIds":[]}`,
			`{` + window(-time.Hour, time.Hour) + `,"appIds":["first","first"]}`,
		} {
			w.must(422, "POST", "/stats/usage/app", body)
		}
		types := finish(w.must(202, "PUT", "/stats/usage/event-types", ""), "event-type.aggregate")["event_types"]
		want := []any{
			map[string]any{"appId": first, "explicitlySubscribedEventTypes": []any{"a", "b"}, "hasCatchAllEndpoint": false},
			map[string]any{"appId": second, "explicitlySubscribedEventTypes": []any{}, "hasCatchAllEndpoint": true},
		}
		if fmt.Sprint(types) != fmt.Sprint(want) {
			t.Errorf("event types: %v; want %v", types, want)
		}
		w.message("first", `{"eventType":"b","eventId":"kept","payload":{"n":1}}`)
		if got := finish(w.must(202, "POST", "/app/first/msg/expunge-all-contents", ""), "application.purge_content"); fmt.Sprint(got) != "map[messagesPurged:2]" {
			t.Errorf("purged: %v", got)
		}
		if got := w.must(200, "GET", "/app/first/msg/kept", ""); fmt.Sprint(got["payload"]) != "map[expired:true]" {
			t.Errorf("after the purge: %v", got)
		}
	})
}

func TestWhereOnlyHTTPSIsAllowed(t *testing.T) {
	d := newDesk(t)
	d.api.cfg.HTTPSOnly = true
	for _, c := range [][2]string{
		{"POST", "/app/acme/endpoint"},
		{"PUT", "/app/acme/endpoint/main"},
		{"PATCH", "/app/acme/endpoint/main"},
		{"POST", "/operational-webhook/endpoint"},
		{"PUT", "/operational-webhook/endpoint/main"},
	} {
		if r := d.do(c[0], c[1], `{"url":"http://example.com"}`); !tells(d.problems(r), "body", "url") {
			t.Errorf("%s %s: %d %s", c[0], c[1], r.status, r.body)
		}
		if r := d.do(c[0], c[1], `{"url":"HTTPS://example.com"`+map[string]string{"PUT": `,"uid":"main"`}[c[0]]+`}`); r.status > 299 {
			t.Errorf("%s %s: %d %s", c[0], c[1], r.status, r.body)
		}
	}
}

func TestAFaultOfOursIsToldInJSONUnderAnID(t *testing.T) {
	d := newDesk(t)
	h := web.Log(storetest.Log(t), http.HandlerFunc(Broken), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("ouch") }))
	for what, h := range map[string]http.Handler{"a panic": h, "a database that is gone": web.Log(storetest.Log(t), http.HandlerFunc(Broken), d.api)} {
		if what != "a panic" {
			d.api.store.Close()
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, Prefix+"/app", nil)
		r.Header.Set("Authorization", "Bearer "+d.token)
		r.Header.Set("Svix-Req-Id", "42")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		var told errorOut
		if err := json.Unmarshal(rec.Body.Bytes(), &told); err != nil || rec.Code < 500 || rec.Header().Get("X-Request-Id") != "42" || told.Detail == "" {
			t.Errorf("%s: %d %v %s", what, rec.Code, rec.Header(), rec.Body)
		}
		if want := map[int]string{500: "server_error", 503: "unavailable"}[rec.Code]; told.Code != want || (rec.Code == 503) != (rec.Header().Get("Retry-After") != "") {
			t.Errorf("%s: %d %v %s", what, rec.Code, rec.Header(), rec.Body)
		}
	}
}

func TestBatchesHaveTheirOwnBounds(t *testing.T) {
	d := newDesk(t)
	item := `{"eventType":"paid","payload":{}}`
	for n, status := range map[int]int{maxBatch: 202, maxBatch + 1: 422} {
		body := `{"messages":[` + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + `]}`
		r := d.do("POST", "/app/acme/msg/batch", body)
		if r.status != status {
			t.Errorf("%d messages: %d %.200s", n, r.status, r.body)
		}
		if status == 202 && strings.Count(r.body, `{"status":202,`) != n {
			t.Errorf("%d messages: %.300s", n, r.body)
		}
	}
	padding := strings.Repeat(" ", maxBatchBody)
	for _, path := range []string{"/app/acme/msg/batch", "/app/acme/msg", "/app", "/app/acme/cloudevents", "/event-type/import/openapi"} {
		if r := d.do("POST", path, `{}`+padding, "Content-Type", batched); r.status != 413 || r.body != `{"code":"payload_too_large","detail":"Request payload is too large."}` {
			t.Errorf("%s: %d %.200s", path, r.status, r.body)
		}
	}
	// Exactly what fits does.
	for size, status := range map[int]int{maxBody: 202, maxBody + 1: 413} {
		body := item + strings.Repeat(" ", size-len(item))
		if r := d.do("POST", "/app/acme/msg", body); r.status != status {
			t.Errorf("%d bytes: %d %.200s", size, r.status, r.body)
		}
	}
}

func TestTokensEndWithTheirApplication(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.app("acme")
		token := w.must(200, "POST", "/auth/app-portal-access/acme", `{}`)["token"].(string)
		w.must(200, "GET", "/app/acme", "", "Authorization", "bearer   "+token)
		w.must(204, "DELETE", "/app/acme", "")
		w.must(401, "GET", "/app/acme", "", "Authorization", "Bearer "+token)
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		w.must(401, "GET", "/app/acme", "", "Authorization", "Bearer "+token)
		if page := w.must(200, "GET", "/app/acme/endpoint", ""); idsOf(page) != nil {
			t.Errorf("the endpoints of another one: %v", page)
		}
		// What is sealed is nowhere in the clear, and tokens are kept as hashes alone.
		if _, err := w.store.TokenByHash(t.Context(), []byte(w.token)); err == nil {
			t.Error("a token is found by itself")
		}
		if _, err := w.store.TokenByHash(t.Context(), auth.Hash(w.token)); err != nil {
			t.Error(err)
		}
	})
}

func TestEnvironmentsSeeNothingOfEachOther(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		endpoint := w.app("acme")
		message := w.message("acme", `{"eventType":"a","payload":{}}`)
		w.receiver.next(t)
		w.must(201, "POST", "/event-type", `{"name":"a","description":""}`)
		task := w.must(202, "PUT", "/stats/usage/event-types", "")["id"].(string)
		other, err := w.store.CreateEnvironment(t.Context(), "other")
		if err != nil {
			t.Fatal(err)
		}
		token := "Bearer " + w.newToken(webhook.Token{Environment: other})
		for _, path := range []string{
			"/app/acme", "/app/acme/endpoint", "/app/acme/endpoint/" + endpoint + "/secret", "/app/acme/msg/" + message, "/event-type/a", "/background-task/" + task, "/app/acme/poller/" + endpoint,
		} {
			w.must(404, "GET", path, "", "Authorization", token)
		}
		for _, path := range []string{"/app", "/event-type", "/background-task", "/operational-webhook/endpoint"} {
			if page := w.must(200, "GET", path, "", "Authorization", token); idsOf(page) != nil {
				t.Errorf("%s of another environment: %v", path, page)
			}
		}
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`, "Authorization", token)
		w.must(422, "POST", "/app/acme/endpoint", `{"url":"https://example.com","eventTypes":["a"]}`, "Authorization", token)
		main, err := w.store.Environment(t.Context(), store.MainEnvironment)
		if err != nil {
			t.Fatal(err)
		}
		names := idsOf(w.must(200, "GET", "/event-type", "", "Authorization", "Bearer "+w.newToken(webhook.Token{Environment: main})))
		if len(names) != 11 || !slices.Contains(names, "release.created") {
			t.Errorf("of main: %v", names)
		}
	})
}
