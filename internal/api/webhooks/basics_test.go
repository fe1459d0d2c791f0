package webhooks

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPathsAreTakenAsClientsWriteThem(t *testing.T) {
	d := newDesk(t)
	for path, status := range map[string]int{
		"/app": 200, "/app/": 200, "/app//": 200, "/app?limit=1": 200, "/app/?limit=1": 200, "/app/acme/": 200, "/app/%61cme": 200, "/app/acme/endpoint/m%61in/": 200,
		"/event-type/p%61id": 200, "/app/acme%2Fendpoint": 404, "/app//acme": 404, "/APP": 404, "/app/acme/msg/one/endpoint/": 200,
		"/openapi.json": 200, "/openapi.json/": 200, "/": 404, "": 404, "//": 404,
	} {
		if r := d.do("GET", path, ""); r.status != status || !json.Valid([]byte(r.body)) {
			t.Errorf("GET %q: %d %s; want %d", path, r.status, r.body, status)
		}
	}
	// HEAD answers as GET does.
	for path, status := range map[string]int{"/app": 200, "/health": 200, "/app/nobody": 404, "/nothing": 404} {
		if r := d.do("HEAD", path, ""); r.status != status {
			t.Errorf("HEAD %s: %d, want %d", path, r.status, status)
		}
	}
	// What a path does not take is told, with what it takes.
	for route, allow := range map[string]string{
		"DELETE /app": "GET, POST", "PUT /health": "GET", "POST /app/acme": "DELETE, GET, PATCH, PUT", "PATCH /operational-webhook/endpoint/main": "DELETE, GET, PUT",
		"GET /auth/logout": "POST", "POST /openapi.json": "GET",
	} {
		method, path, _ := strings.Cut(route, " ")
		r := d.do(method, path, "{}")
		if r.status != 405 || r.header.Get("Allow") != allow || !strings.Contains(r.body, `"code":"method_not_allowed"`) {
			t.Errorf("%s: %d %q %s; want 405 %q", route, r.status, r.header.Get("Allow"), r.body, allow)
		}
	}
}

func TestWhatIsNotServedIsNotFound(t *testing.T) {
	d := newDesk(t)
	for _, route := range []string{
		"POST /app/acme/msg/bulk-expunge", "GET /app/acme/endpoint/main/transformation", "PATCH /app/acme/endpoint/main/transformation", "GET /app/acme/integration",
		"POST /environment/export", "POST /environment/import", "GET /connector", "GET /stream", "POST /stream/event-type", "GET /ingest/api/v1/source",
		"POST /auth/stream-portal-access/x", "POST /auth/stream-logout", "GET /event-type/paid/retry-schedule", "POST /app/acme/destination", "POST /admin/redrive-dlq",
	} {
		method, path, _ := strings.Cut(route, " ")
		if r := d.do(method, path, "{}"); r.status != 404 || r.body != `{"code":"not_found","detail":"Entity not found"}` {
			t.Errorf("%s: %d %s", route, r.status, r.body)
		}
	}
}

func TestAnyPageMayCall(t *testing.T) {
	d := newDesk(t)
	for _, headers := range [][]string{
		{"Origin", "https://example.com", "Access-Control-Request-Method", "DELETE", "Access-Control-Request-Headers", "authorization, svix-req-id, x-own", "Authorization", ""},
		{"Origin", "null", "Authorization", ""},
	} {
		r := d.do("OPTIONS", "/app/acme/endpoint", "", headers...)
		if r.status > 299 || r.body != "" || r.header.Get("Access-Control-Allow-Origin") != "*" || r.header.Get("Access-Control-Max-Age") != "600" ||
			!strings.Contains(r.header.Get("Access-Control-Allow-Methods"), "PATCH") {
			t.Errorf("%d %v", r.status, r.header)
		}
		if len(headers) > 4 && r.header.Get("Access-Control-Allow-Headers") != headers[5] {
			t.Errorf("the headers that were asked for: %v", r.header)
		}
	}
	for path, status := range map[string]int{"/app": 200, "/nothing": 404, "/app?limit=0": 422, "/app?%zz": 400} {
		if r := d.do("GET", path, "", "Origin", "https://example.com"); r.status != status || r.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", path, r.status, r.header)
		}
	}
}

// has checks that an object has exactly the members that are wanted, beside
// those of our own, and that what is nil is null.
func has(t *testing.T, what string, o, want map[string]any, own ...string) {
	t.Helper()
	for name := range o {
		if _, ok := want[name]; !ok && !slices.Contains(own, name) {
			t.Errorf("%s: has %s: %v", what, name, o[name])
		}
	}
	for name, value := range want {
		got, ok := o[name]
		if !ok {
			t.Errorf("%s: lacks %s", what, name)
			continue
		}
		switch value := value.(type) {
		case func(any) bool:
			if !value(got) {
				t.Errorf("%s: %s is %v", what, name, got)
			}
		default:
			if a, b := fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", value); a != b {
				t.Errorf("%s: %s is %s, want %s", what, name, a, b)
			}
		}
	}
}

// aTime reports whether a value is a time in UTC.
func aTime(v any) bool {
	s, _ := v.(string)
	_, err := time.Parse(time.RFC3339Nano, s)
	return err == nil && strings.HasSuffix(s, "Z")
}

// anID is a check that a value is an id with a prefix.
func anID(prefix string) func(any) bool {
	return func(v any) bool {
		s, _ := v.(string)
		return strings.HasPrefix(s, prefix) && len(s) == len(prefix)+26
	}
}

func also(m, more map[string]any) map[string]any {
	all := maps.Clone(m)
	maps.Copy(all, more)
	return all
}

func TestAnApplicationSaysForHowLongItsThingsAreKept(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		shown := func(a map[string]any) string {
			return fmt.Sprint(a["messageRetentionPeriod"], " ", a["attemptRetentionPeriod"])
		}
		for _, step := range []struct{ sentence, method, path, body, want string }{
			{"a new one says", "POST", "/app", `{"name":"Acme","uid":"acme","messageRetentionPeriod":90,"attemptRetentionPeriod":5}`, "90 5"},
			{"a PATCH of something else changes nothing", "PATCH", "/app/acme", `{"name":"A"}`, "90 5"},
			{"a PATCH", "PATCH", "/app/acme", `{"messageRetentionPeriod":7}`, "7 5"},
			{"a PUT of a client that does not know of it changes nothing", "PUT", "/app/acme", `{"name":"A","uid":"acme"}`, "7 5"},
			{"null is as long as others", "PUT", "/app/acme", `{"name":"A","uid":"acme","attemptRetentionPeriod":null}`, "7 <nil>"},
			{"what is kept is shown", "GET", "/app/acme", "", "7 <nil>"},
			{"one that comes with a message", "POST", "/app/other/msg", `{"eventType":"a","payload":{},"application":{"name":"O","uid":"other","messageRetentionPeriod":1}}`, "<nil> <nil>"},
			{"has what it came with", "GET", "/app/other", "", "1 <nil>"},
		} {
			r := w.do(step.method, step.path, step.body)
			if got := shown(r.object(t)); r.status > 299 || got != step.want {
				t.Errorf("%s: %d, %s instead of %s", step.sentence, r.status, got, step.want)
			}
		}
		for _, c := range []struct{ method, path, body, loc string }{
			{"POST", "/app", `{"name":"A","messageRetentionPeriod":91}`, `["body","messageRetentionPeriod"]`},
			{"POST", "/app", `{"name":"A","attemptRetentionPeriod":31}`, `["body","attemptRetentionPeriod"]`},
			{"PATCH", "/app/acme", `{"messageRetentionPeriod":0}`, `["body","messageRetentionPeriod"]`},
			{"PUT", "/app/acme", `{"name":"A","messageRetentionPeriod":"7"}`, `["body","messageRetentionPeriod"]`},
			{"POST", "/app/third/msg", `{"eventType":"a","payload":{},"application":{"name":"O","uid":"third","messageRetentionPeriod":91}}`, `["body","application","messageRetentionPeriod"]`},
		} {
			if r := w.do(c.method, c.path, c.body); r.status != http.StatusUnprocessableEntity || !strings.Contains(r.body, c.loc) {
				t.Errorf("%s %s: %d %s", c.method, c.body, r.status, r.body)
			}
		}
	})
}

func TestApplications(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		plain := map[string]any{
			"id": anID("app_"), "name": "Acme", "throttleRate": nil, "createdAt": aTime, "updatedAt": aTime, "metadata": map[string]any{},
			"messageRetentionPeriod": nil, "attemptRetentionPeriod": nil,
		}
		made := w.must(201, "POST", "/app", `{"name":"Acme","uid":null,"metadata":null,"rateLimit":null,"unknown":1}`)
		has(t, "one without anything", made, plain)
		id := made["id"].(string)
		full := also(plain, map[string]any{"id": id, "uid": "acme", "throttleRate": 7.0, "rateLimit": 7.0, "metadata": map[string]any{"a": "1"}})
		has(t, "a PUT", w.must(200, "PUT", "/app/"+id, `{"name":"Acme","uid":"acme","throttleRate":7,"rateLimit":9,"metadata":{"a":"1"}}`), full)
		has(t, "what was put", w.must(200, "GET", "/app/acme", ""), full)
		has(t, "a PATCH of nothing", w.must(200, "PATCH", "/app/acme", `{}`), full)
		has(t, "a PATCH without a body", w.must(200, "PATCH", "/app/acme", ``), full)
		has(t, "a PATCH of the metadata", w.must(200, "PATCH", "/app/acme", `{"metadata":{"b":"2"}}`), also(full, map[string]any{"metadata": map[string]any{"b": "2"}}))
		has(t, "a PATCH of the rate", w.must(200, "PATCH", "/app/acme", `{"rateLimit":null,"metadata":null}`), also(plain, map[string]any{"uid": "acme"}))
		has(t, "a PATCH of the uid", w.must(200, "PATCH", "/app/acme", `{"uid":null}`), plain)
		w.must(404, "GET", "/app/acme", "")
		w.must(200, "PUT", "/app/"+id, `{"name":"Acme","uid":"acme"}`)
		has(t, "a PUT clears what it leaves out", w.must(200, "PUT", "/app/acme", `{"name":"Acme"}`), plain)

		// PUT makes what is not there, by the body's uid alone.
		has(t, "a PUT of something new", w.must(201, "PUT", "/app/nobody", `{"name":"Acme"}`), plain)
		w.must(404, "GET", "/app/nobody", "")
		w.must(201, "PUT", "/app/app_nobody", `{"name":"Acme","uid":"two"}`)
		w.must(200, "PUT", "/app/two", `{"name":"Two","uid":"two"}`)
		w.must(409, "PUT", "/app/"+id, `{"name":"Acme","uid":"two"}`)
		w.must(409, "PATCH", "/app/"+id, `{"uid":"two"}`)
		w.must(409, "PUT", "/app/another", `{"name":"Acme","uid":"two"}`)
		if r := w.do("POST", "/app", `{"name":"Acme","uid":"two"}`); r.status != 409 || !strings.Contains(r.body, "An application with that id or uid already exists") {
			t.Errorf("%d %s", r.status, r.body)
		}
		got := w.must(200, "POST", "/app?get_if_exists=true", `{"name":"Other","uid":"two","metadata":{"x":"y"},"throttleRate":3}`)
		has(t, "one that was there", got, also(plain, map[string]any{"name": "Two", "uid": "two"}))
		w.must(201, "POST", "/app?get_if_exists=true", `{"name":"Three","uid":"three"}`)
		w.must(201, "POST", "/app?get_if_exists=true", `{"name":"Three"}`)
		w.must(409, "POST", "/app?get_if_exists=false", `{"name":"Three","uid":"three"}`)

		w.must(204, "DELETE", "/app/two", "")
		w.must(404, "GET", "/app/two", "")
		w.must(404, "DELETE", "/app/two", "")
		w.must(404, "PATCH", "/app/two", `{}`)
		w.must(201, "POST", "/app", `{"name":"Two","uid":"two"}`)

		// What just fits.
		long := strings.Repeat("x", 256)
		w.must(201, "POST", "/app", `{"name":"\u000b\u001f\n é","uid":"`+long+`","throttleRate":65535,"metadata": { "a" : "`+strings.Repeat("y", 4096-8)+`" } }`)
		w.must(200, "GET", "/app/"+long, "")
		for _, body := range []string{
			`{"name":"a","throttleRate":65536}`, `{"name":"a","throttleRate":5,"rateLimit":"x"}`, `{"name":"a","throttleRate":0}`, `{"name":"a","uid":""}`, `{"name":"a","uid":"` + long + `x"}`, `{"name":"a","uid":"a/b"}`,
			`{"name":"a","uid":"app_a"}`, `{"name":"a\u0008"}`, `{"name":"a","metadata":{"a":"` + strings.Repeat("y", 4096-7) + `"}}`,
		} {
			w.must(422, "POST", "/app", body)
		}

		// The filters of the list.
		w.must(201, "POST", "/app/two/endpoint", `{"url":"https://example.com"}`)
		w.must(201, "POST", "/app/three/endpoint", `{"url":"https://example.com","disabled":true}`)
		two, three := w.must(200, "GET", "/app/two", "")["id"].(string), w.must(200, "GET", "/app/three", "")["id"].(string)
		if ids := idsOf(w.must(200, "GET", "/app?exclude_apps_with_no_endpoints=true", "")); !slices.Equal(slices.Sorted(slices.Values(ids)), slices.Sorted(slices.Values([]string{two, three}))) {
			t.Errorf("with endpoints: %v", ids)
		}
		if ids := idsOf(w.must(200, "GET", "/app?exclude_apps_with_disabled_endpoints=true", "")); slices.Contains(ids, three) || !slices.Contains(ids, two) {
			t.Errorf("without disabled endpoints: %v", ids)
		}
		w.must(200, "GET", "/app?exclude_apps_with_svix_play_endpoints=true", "")
	})
}

// endpointWith is an endpoint as it is shown, with some of its members changed.
func endpointWith(more map[string]any) map[string]any {
	return also(map[string]any{
		"id": anID("ep_"), "uid": nil, "url": "https://example.com/", "version": 1.0, "description": "", "disabled": false, "eventTypes": nil, "filterTypes": nil,
		"channels": nil, "metadata": map[string]any{}, "rateLimit": nil, "throttleRate": nil, "createdAt": aTime, "updatedAt": aTime,
	}, more)
}

// ownOfEndpoint are the members of our own.
var ownOfEndpoint = []string{"kind", "datasets", "filter", "order", "digest", "disabledReason", "paused", "releaseRate", "pausedAt"}

func TestEndpoints(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		w.must(201, "POST", "/app", `{"name":"Other","uid":"other"}`)
		for _, name := range []string{"a", "b"} {
			w.must(201, "POST", "/event-type", `{"name":"`+name+`","description":""}`)
		}
		const path = "/app/acme/endpoint"
		made := w.must(201, "POST", path, `{"url":"https://EXAMPLE.com","uid":null,"description":"","secret":null,"headers":null,"eventTypes":null,"channels":null,"metadata":null,"rateLimit":null}`)
		has(t, "one without anything", made, endpointWith(nil), ownOfEndpoint...)
		id := made["id"].(string)
		everything := `{"url":"https://example.com/hook?a=b","uid":"e","description":"d","disabled":true,"version":3,"filterTypes":["a","b","a"],"channels":["x","y","x"],"metadata":{"m":"1"},"rateLimit":5}`
		full := endpointWith(map[string]any{
			"id": id, "url": "https://example.com/hook?a=b", "uid": "e", "description": "d", "disabled": true, "version": 3.0, "eventTypes": []any{"a", "b"}, "filterTypes": []any{"a", "b"},
			"channels": []any{"x", "y"}, "metadata": map[string]any{"m": "1"}, "rateLimit": 5.0, "throttleRate": 5.0,
		})
		has(t, "a PUT", w.must(200, "PUT", path+"/"+id, everything), full, ownOfEndpoint...)
		has(t, "what was put", w.must(200, "GET", path+"/e", ""), full, ownOfEndpoint...)
		has(t, "a PATCH of nothing", w.must(200, "PATCH", path+"/e", `{}`), full, ownOfEndpoint...)
		for body, changed := range map[string]map[string]any{
			`{"eventTypes":["b"],"filterTypes":["a"]}`: {"eventTypes": []any{"b"}, "filterTypes": []any{"b"}},
			`{"filterTypes":null}`:                     {"eventTypes": nil, "filterTypes": nil},
			`{"channels":null}`:                        {"channels": nil},
			`{"throttleRate":null}`:                    {"rateLimit": nil, "throttleRate": nil},
			`{"throttleRate":8,"rateLimit":9}`:         {"rateLimit": 8.0, "throttleRate": 8.0},
			`{"metadata":{}}`:                          {"metadata": map[string]any{}},
			`{"description":""}`:                       {"description": ""},
			`{"disabled":false}`:                       {"disabled": false},
			`{"version":4}`:                            {"version": 4.0},
			`{"url":"http://OTHER.example:8080/A"}`:    {"url": "http://other.example:8080/A"},
		} {
			has(t, "a PATCH with "+body, w.must(200, "PATCH", path+"/e", body), also(full, changed), ownOfEndpoint...)
			w.must(200, "PUT", path+"/"+id, everything)
		}
		has(t, "a PATCH of the uid", w.must(200, "PATCH", path+"/e", `{"uid":null}`), also(full, map[string]any{"uid": nil}), ownOfEndpoint...)
		w.must(404, "GET", path+"/e", "")
		has(t, "a PUT clears what it leaves out", w.must(200, "PUT", path+"/"+id, `{"url":"https://example.com"}`), endpointWith(map[string]any{"id": id}), ownOfEndpoint...)

		has(t, "a PUT of something new", w.must(201, "PUT", path+"/nothing", `{"url":"https://example.com"}`), endpointWith(nil), ownOfEndpoint...)
		w.must(404, "GET", path+"/nothing", "")
		w.must(201, "PUT", path+"/ep_x", `{"url":"https://example.com","uid":"two"}`)
		w.must(200, "PUT", path+"/two", `{"url":"https://example.com","uid":"two"}`)
		for _, c := range [][3]string{
			{"POST", path, `{"url":"https://example.com","uid":"two"}`},
			{"PUT", path + "/" + id, `{"url":"https://example.com","uid":"two"}`},
			{"PUT", path + "/nothing", `{"url":"https://example.com","uid":"two"}`},
			{"PATCH", path + "/" + id, `{"uid":"two"}`},
		} {
			if r := w.do(c[0], c[1], c[2]); r.status != 409 || !strings.Contains(r.body, `"code":"conflict"`) {
				t.Errorf("%s %s: %d %s", c[0], c[1], r.status, r.body)
			}
		}
		w.must(201, "POST", "/app/other/endpoint", `{"url":"https://example.com","uid":"two"}`)
		for _, method := range []string{"GET", "DELETE"} {
			w.must(404, method, "/app/other/endpoint/"+id, "")
		}
		w.must(404, "PATCH", "/app/other/endpoint/"+id, `{}`)
		w.must(204, "DELETE", path+"/two", "")
		w.must(404, "GET", path+"/two", "")
		w.must(201, "POST", path, `{"url":"https://example.com","uid":"two"}`)

		for body, loc := range map[string]string{
			`{"url":""}`: "url", `{"url":"example.com"}`: "url", `{"url":"mailto:a@example.com"}`: "url", `{"url":"https://"}`: "url", `{"url":"https://example.com:0/"}`: "url",
			`{"url":"https://example.com/` + strings.Repeat("x", 65536) + `"}`: "url", `{"url":"https://a","uid":"ep_a"}`: "uid", `{"url":"https://a","version":0}`: "version",
			`{"url":"https://a","eventTypes":[]}`: "eventTypes", `{"url":"https://a","channels":[]}`: "channels", `{"url":"https://a","channels":["a b"]}`: "channels",
			`{"url":"https://a","channels":["1","2","3","4","5","6","7","8","9","10","11"]}`: "channels", `{"url":"https://a","description":"a\u0001"}`: "description",
			`{"url":"https://a","secret":""}`: "secret", `{"url":"https://a","secret":"whsec_****"}`: "secret", `{"url":"https://a","secret":"whsk_YWJj"}`: "secret",
			`{"url":"https://a","headers":{"te":"x"}}`: "headers", `{"url":"https://a","headers":{"X-A":"` + strings.Repeat("x", 4097) + `"}}`: "headers",
		} {
			r := w.do("POST", path, body)
			if r.status != 422 || !strings.Contains(r.body, `"loc":["body","`+loc+`"`) {
				t.Errorf("POST %.80s: %d %s", body, r.status, r.body)
			}
		}
		w.must(204, "DELETE", "/event-type/b", "")
		if r := w.do("PATCH", path+"/"+id, `{"filterTypes":["a","b","c"]}`); r.status != 422 || r.body != `{"detail":[{"loc":["body","eventTypes"],"msg":"The following event types don't exist: b, c","type":"value_error"}]}` {
			t.Errorf("types that are archived or unknown: %d %s", r.status, r.body)
		}
	})
}

func TestHeadersOfEndpoints(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		w.must(201, "POST", "/app/acme/endpoint", fmt.Sprintf(`{"url":%q,"uid":"e","headers":{"X-CaSe":"1","authorization":"Bearer s3cret","X-None":null}}`, w.receiver.url))
		const path = "/app/acme/endpoint/e/headers"
		is := func(want string) {
			t.Helper()
			if r := w.do("GET", path, ""); r.status != 200 || r.body != want {
				t.Errorf("%d %s; want %s", r.status, r.body, want)
			}
		}
		is(`{"headers":{"X-CaSe":"1"},"sensitive":["authorization"]}`)
		if r := w.do("GET", "/app/acme/endpoint/e", ""); strings.Contains(r.body, "s3cret") || strings.Contains(r.body, "whsec_") || strings.Contains(r.body, "X-CaSe") {
			t.Errorf("an endpoint shows what is secret: %s", r.body)
		}
		w.message("acme", `{"eventType":"a","payload":{}}`)
		if got := w.receiver.next(t).header; got.Get("X-Case") != "1" || got.Get("Authorization") != "Bearer s3cret" {
			t.Errorf("sent: %v", got)
		}
		w.must(204, "PATCH", path, `{"headers":{"x-case":"2","X-New":"3"}}`)
		is(`{"headers":{"X-New":"3","x-case":"2"},"sensitive":["authorization"]}`)
		w.must(204, "PATCH", path, `{"headers":{"X-New":null},"deleteHeaders":["AUTHORIZATION","X-Unknown"]}`)
		is(`{"headers":{"x-case":"2"},"sensitive":[]}`)
		w.must(204, "PATCH", path, `{"deleteHeaders":["X-CASE"]}`)
		w.must(204, "PATCH", path, `{}`)
		is(`{"headers":{},"sensitive":[]}`)
		w.must(204, "PUT", path, `{"headers":{"X-A":"1","x-api-key":"k","x-auth-token":"t"}}`)
		is(`{"headers":{"X-A":"1"},"sensitive":["x-api-key","x-auth-token"]}`)
		w.must(204, "PUT", path, `{"headers":{"X-B":"`+strings.Repeat("x", 4096)+`"}}`)
		w.must(204, "PUT", path, `{"headers":{}}`)
		is(`{"headers":{},"sensitive":[]}`)
		for _, name := range []string{
			"User-Agent", "keep-alive", "Proxy-Authenticate", "proxy-authorization", "TE", "trailers", "Transfer-Encoding", "upgrade", "age", "Cache-Control", "warning", "clear-site-data",
			"expires", "pragma", "Content-Length", "content-type", "content-encoding", "content-language", "content-location", "host", "Host", "X-Amz-Date", "x-amzn-trace", "x-google-a",
			"x-googlea", "x-goog-a", "x-gfe", "x-azure-a", "x-fd-a", "x-svix-a", "Svix-Id", "webhook-id", "Webhook-Own", "some:thing", "a b", "", "é", "a\\u0000b",
		} {
			for _, method := range []string{"PUT", "PATCH"} {
				if r := w.do(method, path, `{"headers":{"`+name+`":"x"}}`); r.status != 422 {
					t.Errorf("%s of %q: %d %s", method, name, r.status, r.body)
				}
			}
		}
		many := map[string]string{}
		for i := range maxHeaders + 1 {
			many[fmt.Sprintf("X-%d", i)] = "1"
		}
		b, _ := json.Marshal(many)
		w.must(422, "PUT", path, `{"headers":`+string(b)+`}`)
		w.must(404, "GET", "/app/acme/endpoint/none/headers", "")
		if r := w.do("PUT", path, `{}`); r.status != http.StatusUnprocessableEntity {
			t.Errorf("a PUT without headers: %d", r.status)
		}
	})
}
