package webhooks

import (
	"fanfare/internal/registry"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// app makes an application with an endpoint and returns the endpoint's id.
func (w *world) app(uid string) string {
	w.t.Helper()
	w.must(201, "POST", "/app", fmt.Sprintf(`{"name":"Acme","uid":%q}`, uid))
	return w.must(201, "POST", "/app/"+uid+"/endpoint", fmt.Sprintf(`{"url":%q}`, w.receiver.url))["id"].(string)
}

func (w *world) message(app, body string) string {
	w.t.Helper()
	return w.must(202, "POST", "/app/"+app+"/msg", body)["id"].(string)
}

func TestWhatIsRefusedIsToldInJSON(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		endpoint := w.app("acme")
		theirs := w.newToken(webhook.Token{Environment: w.environment, Application: w.applicationID("acme")})
		w.must(201, "POST", "/app", `{"name":"Other","uid":"other"}`)
		expired := w.newToken(webhook.Token{Environment: w.environment, ExpiresAt: time.Now().Add(-time.Second)})
		long := strings.Repeat("x", 300)
		for _, c := range []struct {
			name, method, path, body string
			headers                  []string
			status                   int
			want                     string
		}{
			{"no token", "GET", "/app", "", []string{"Authorization", ""}, 401, `{"code":"authentication_failed","detail":"Invalid token"}`},
			{"another scheme", "GET", "/app", "", []string{"Authorization", "Basic x"}, 401, `authentication_failed`},
			{"an unknown token", "GET", "/app", "", []string{"Authorization", "Bearer x"}, 401, `authentication_failed`},
			{"an expired token", "GET", "/app", "", []string{"Authorization", "Bearer " + expired}, 401, `authentication_failed`},
			{"a token of an application at what is the environment's", "GET", "/app", "", []string{"Authorization", "Bearer " + theirs}, 403, `{"code":"insufficient access","detail":"Insufficient access for the given operation."}`},
			{"a token of another application", "GET", "/app/other/endpoint", "", []string{"Authorization", "Bearer " + theirs}, 404, `{"code":"not_found","detail":"Entity not found"}`},
			{"an unknown route", "GET", "/nothing", "", nil, 404, `{"code":"not_found","detail":"Entity not found"}`},
			{"a path with NUL", "GET", "/app/a%00b/endpoint", "", nil, 404, `not_found`},
			{"a path that is not UTF-8", "GET", "/app/acme/msg/%ff", "", nil, 404, `not_found`},
			{"a query that is not UTF-8", "GET", "/app/acme/attempt/msg/x?endpoint_id=%ff", "", nil, 422, `"loc":["query","endpoint_id"]`},
			{"a query with NUL", "GET", "/app/acme/msg?tag=%00", "", nil, 422, `"loc":["query","tag"]`},
			{"a text with NUL", "POST", "/app", `{"name":"a\u0000b"}`, nil, 422, `"loc":["body","name"]`},
			{"another method", "PATCH", "/app", "", nil, 405, `"code":"method_not_allowed"`},
			{"an unknown application", "POST", "/app/nobody/msg", `{"eventType":"a","payload":{}}`, nil, 404, `{"code":"not_found","detail":"Application not found"}`},
			{"a malformed id", "GET", "/app/app_!!!/endpoint", "", nil, 404, `not_found`},
			{"a malformed id of a message", "GET", "/app/acme/msg/msg_x", "", nil, 404, `not_found`},
			{"a malformed id of an attempt", "GET", "/app/acme/msg/msg_x/attempt/y", "", nil, 404, `not_found`},
			{"a body that is no JSON", "POST", "/app", `{`, nil, 422, `{"detail":[{"loc":["body"],"msg":"must be a JSON object","type":"value_error.jsondecode"}]}`},
			{"a body that is a list", "POST", "/app", `[]`, nil, 422, `"loc":["body"]`},
			{"no body", "POST", "/app", ``, nil, 422, `"loc":["body"]`},
			{"a missing field", "POST", "/app", `{}`, nil, 422, `{"loc":["body","name"],"msg":"is required","type":"value_error.jsondecode"}`},
			{"a field of another form", "POST", "/app", `{"name":1}`, nil, 422, `{"loc":["body","name"],"msg":"must be a string","type":"value_error.jsondecode"}`},
			{"an empty name", "POST", "/app", `{"name":""}`, nil, 422, `"loc":["body","name"]`},
			{"a uid like an id", "POST", "/app", `{"name":"a","uid":"app_x"}`, nil, 422, `"loc":["body","uid"]`},
			{"a long uid", "POST", "/app", `{"name":"a","uid":"` + long + `"}`, nil, 422, `"loc":["body","uid"]`},
			{"a rate of 0", "POST", "/app", `{"name":"a","rateLimit":0}`, nil, 422, `"loc":["body","rateLimit"]`},
			{"metadata of numbers", "POST", "/app", `{"name":"a","metadata":{"x":1}}`, nil, 422, `"loc":["body","metadata"]`},
			{"large metadata", "POST", "/app", `{"name":"a","metadata":{"x":"` + strings.Repeat("y", 4096) + `"}}`, nil, 422, `"loc":["body","metadata"]`},
			{"a uid that is taken", "POST", "/app", `{"name":"a","uid":"acme"}`, nil, 409, `{"code":"conflict","detail":"An application with that id or uid already exists"}`},
			{"a limit of 0", "GET", "/app?limit=0", "", nil, 422, `"loc":["query","limit"]`},
			{"a limit of 251", "GET", "/app?limit=251", "", nil, 422, `"loc":["query","limit"]`},
			{"a foreign iterator", "GET", "/app?iterator=" + endpoint, "", nil, 422, `"loc":["query","iterator"]`},
			{"an iterator of nothing", "GET", "/app?iterator=-", "", nil, 422, `"loc":["query","iterator"]`},
			{"another order", "GET", "/app?order=random", "", nil, 422, `"loc":["query","order"]`},
			{"a boolean of another form", "GET", "/app/acme/msg?with_content=yes", "", nil, 422, `"loc":["query","with_content"]`},
			{"a time of another form", "GET", "/app/acme/msg?before=yesterday", "", nil, 422, `"loc":["query","before"]`},
			{"a query that cannot be parsed", "GET", "/app?limit=%zz", "", nil, 400, `"code":"generic_error"`},
			{"a status beyond 4", "GET", "/app/acme/attempt/endpoint/" + endpoint + "?status=5", "", nil, 422, `"loc":["query","status"]`},
			{"a class that is none", "GET", "/app/acme/attempt/endpoint/" + endpoint + "?status_code_class=600", "", nil, 422, `"loc":["query","status_code_class"]`},
			{"a URL of another scheme", "POST", "/app/acme/endpoint", `{"url":"ftp://example.com"}`, nil, 422, `"loc":["body","url"]`},
			{"no event types", "POST", "/app/acme/endpoint", `{"url":"https://example.com","filterTypes":[]}`, nil, 422, `"loc":["body","filterTypes"]`},
			{"no channels", "POST", "/app/acme/endpoint", `{"url":"https://example.com","channels":[]}`, nil, 422, `"loc":["body","channels"]`},
			{"unknown event types", "POST", "/app/acme/endpoint", `{"url":"https://example.com","eventTypes":["a","b"]}`, nil, 422, `{"loc":["body","eventTypes"],"msg":"The following event types don't exist: a, b","type":"value_error"}`},
			{"a secret without a prefix", "POST", "/app/acme/endpoint", `{"url":"https://example.com","secret":"C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}`, nil, 422, `"loc":["body","secret"]`},
			{"a short secret", "POST", "/app/acme/endpoint", `{"url":"https://example.com","secret":"whsec_YWJj"}`, nil, 422, `"loc":["body","secret"]`},
			{"a header of ours", "PUT", "/app/acme/endpoint/" + endpoint + "/headers", `{"headers":{"Webhook-Id":"x"}}`, nil, 422, `"loc":["body","headers","Webhook-Id"]`},
			{"a header that is none", "PUT", "/app/acme/endpoint/" + endpoint + "/headers", `{"headers":{"a b":"x"}}`, nil, 422, `"loc":["body","headers","a b"]`},
			{"the host", "PUT", "/app/acme/endpoint/" + endpoint + "/headers", `{"headers":{"HOST":"x"}}`, nil, 422, `"loc":["body","headers","HOST"]`},
			{"a header with a line break", "PUT", "/app/acme/endpoint/" + endpoint + "/headers", `{"headers":{"X-A":"a\nb"}}`, nil, 422, `"loc":["body","headers","X-A"]`},
			{"a payload that is a list", "POST", "/app/acme/msg", `{"eventType":"a","payload":[1]}`, nil, 422, `"loc":["body","payload"]`},
			{"a payload that is a text", "POST", "/app/acme/msg", `{"eventType":"a","data":"x"}`, nil, 422, `"loc":["body","data"]`},
			{"an event type that is none", "POST", "/app/acme/msg", `{"eventType":"a b","payload":{}}`, nil, 422, `"loc":["body","eventType"]`},
			{"a channel twice", "POST", "/app/acme/msg", `{"eventType":"a","payload":{},"channels":["x","x"]}`, nil, 422, `"loc":["body","channels","1"]`},
			{"too many tags", "POST", "/app/acme/msg", `{"eventType":"a","payload":{},"tags":["1","2","3","4","5","6"]}`, nil, 422, `"loc":["body","tags"]`},
			{"two retentions", "POST", "/app/acme/msg", `{"eventType":"a","payload":{},"payloadRetentionPeriod":5,"payloadRetentionHours":5}`, nil, 422, `payloadRetentionHours`},
			{"an inline application with another uid", "POST", "/app/acme/msg", `{"eventType":"a","payload":{},"application":{"name":"a","uid":"b"}}`, nil, 422, `{"loc":["body","application","uid"],"msg":"Application UID in the path and body must match","type":"application_uid_mismatch"}`},
			{"an inline application without a uid", "POST", "/app/acme/msg", `{"eventType":"a","payload":{},"application":{"name":"a"}}`, nil, 422, `"type":"application_uid_missing"`},
			{"a body that is too large", "POST", "/app/acme/msg", `{"eventType":"a","payload":{"x":"` + strings.Repeat("y", maxBody) + `"}}`, nil, 413, `{"code":"payload_too_large","detail":"Request payload is too large."}`},
			{"statistics of more than 28 days", "GET", "/app/acme/endpoint/" + endpoint + "/stats?since=2020-01-01T00:00:00Z", "", nil, 400, `"code":"invalid_range"`},
			{"statistics of the future", "GET", "/app/acme/endpoint/" + endpoint + "/stats?until=2100-01-01T00:00:00Z", "", nil, 400, `"code":"invalid_range"`},
			{"a recovery of more than 14 days", "POST", "/app/acme/endpoint/" + endpoint + "/recover", `{"since":"2020-01-01T00:00:00Z"}`, nil, 422, `"loc":["body","since"]`},
			{"a replay that ends before it begins", "POST", "/app/acme/endpoint/" + endpoint + "/bulk-replay", `{"since":"2020-01-02T00:00:00Z","until":"2020-01-01T00:00:00Z"}`, nil, 422, `"loc":["body","since"]`},
			{"an example of an unknown type", "POST", "/app/acme/endpoint/" + endpoint + "/send-example", `{"eventType":"nothing"}`, nil, 404, `not_found`},
			{"a grace of more than a week", "POST", "/app/acme/endpoint/" + endpoint + "/secret/rotate", `{"gracePeriodSeconds":604801}`, nil, 422, `"loc":["body","gracePeriodSeconds"]`},
			{"an operational endpoint for other events", "POST", "/operational-webhook/endpoint", `{"url":"https://example.com","eventTypes":["a"]}`, nil, 422, `"loc":["body","eventTypes","0"]`},
			{"capabilities that are none", "POST", "/auth/app-portal-access/acme", `{"capabilities":["Fly"]}`, nil, 422, `"loc":["body","capabilities","0"]`},
			{"logout with a token of the environment", "POST", "/auth/logout", ``, nil, 403, `insufficient access`},
			{"both forms of a document", "POST", "/event-type/import/openapi", `{"spec":{},"specRaw":"x"}`, nil, 422, `"loc":["body","specRaw"]`},
			{"an iterator of a poller that is none", "GET", "/app/acme/poller/" + endpoint + "?iterator=x", "", nil, 422, `"loc":["query","iterator"]`},
			{"usage of nobody", "POST", "/stats/usage/app", `{"since":"2020-01-01T00:00:00Z","until":"2020-01-02T00:00:00Z","appIds":["nobody"]}`, nil, 422, `"loc":["body","appIds"]`},
		} {
			r := w.do(c.method, c.path, c.body, c.headers...)
			if r.status != c.status || !strings.Contains(r.body, c.want) {
				t.Errorf("%s: %d %s; want %d %s", c.name, r.status, r.body, c.status, c.want)
			}
		}
	})
}

func (w *world) applicationID(ref string) webhook.ID {
	w.t.Helper()
	a, err := w.store.Application(w.t.Context(), w.environment, ref)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.ID
}

func TestListsArePagedInBothDirections(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var ids []string
		for i := range 7 {
			ids = append(ids, w.must(201, "POST", "/app", fmt.Sprintf(`{"name":"app %d"}`, i))["id"].(string))
		}
		w.must(201, "POST", "/app", `{"name":"with messages","uid":"m"}`)
		ids = append(ids, w.must(200, "GET", "/app/m", "")["id"].(string))
		descending := slices.Clone(ids)
		slices.Reverse(descending)
		for _, c := range []struct {
			order string
			want  []string
		}{{"ascending", ids}, {"descending", descending}} {
			walked, last := w.walk("/app?limit=3&order="+c.order, "iterator")
			if !slices.Equal(walked, c.want) {
				t.Errorf("%s: %v; want %v", c.order, walked, c.want)
			}
			// And back from the last page.
			var back []string
			page := last
			for {
				prev, ok := page["prevIterator"].(string)
				if !ok {
					t.Fatalf("no way back: %v", page)
				}
				page = w.must(200, "GET", "/app?limit=3&order="+c.order+"&iterator="+prev, "")
				back = append(idsOf(page), back...)
				if page["done"] == true {
					break
				}
			}
			if want := c.want[:len(c.want)-len(idsOf(last))]; !slices.Equal(back, want) {
				t.Errorf("%s, back: %v; want %v", c.order, back, want)
			}
		}

		var messages []string
		for i := range 5 {
			body := fmt.Sprintf(`{"eventType":"type.%d","payload":{},"channels":["c%d"],"tags":["t%d"]}`, i%2, i%2, i%3)
			messages = append([]string{w.message("m", body)}, messages...)
		}
		for query, want := range map[string][]string{
			"limit=2":                                       messages,
			"limit=1&event_types=type.0":                    {messages[0], messages[2], messages[4]},
			"limit=1&event_types=type.1,type.0":             messages,
			"limit=1&event_types[]=type.1":                  {messages[1], messages[3]},
			"event_types%5B0%5D=type.1&event_types[1]=no":   {messages[1], messages[3]},
			"channel=c1":                                    {messages[1], messages[3]},
			"channel=c":                                     nil,
			"tag=t2":                                        {messages[2]},
			"before=2020-01-01T00:00:00Z":                   nil,
			"limit=2&before=2100-01-01T00:00:00%2B01:00":    messages,
			"after=2100-01-01T00:00:00Z":                    nil,
			"after=2020-01-01%2000:00:00.000%20UTC&limit=9": messages,
		} {
			if walked, _ := w.walk("/app/m/msg?"+query, "iterator"); !slices.Equal(walked, want) {
				t.Errorf("%s: %v; want %v", query, walked, want)
			}
		}
		// With a time alone, the page nearest to it comes, newest first.
		nearest := w.must(200, "GET", "/app/m/msg?limit=2&after=2020-01-01T00:00:00Z", "")
		if got := idsOf(nearest); !slices.Equal(got, messages[3:]) || nearest["done"] != false {
			t.Errorf("nearest to a time: %v; want %v", nearest, messages[3:])
		}
		empty := w.do("GET", "/app/m/msg?tag=none", "")
		if empty.body != `{"data":[],"iterator":null,"done":true}` {
			t.Errorf("an empty list: %s", empty.body)
		}
	})
}

// walk follows the iterators of a list to its end and returns the last page.
func (w *world) walk(path, parameter string) (ids []string, page map[string]any) {
	w.t.Helper()
	next := path
	for range 100 {
		page = w.must(200, "GET", next, "")
		ids = append(ids, idsOf(page)...)
		if page["done"] == true {
			return ids, page
		}
		next = path + "&" + parameter + "=" + page["iterator"].(string)
	}
	w.t.Fatalf("%s has no end", path)
	return nil, nil
}

func idsOf(page map[string]any) (ids []string) {
	for _, item := range page["data"].([]any) {
		o := item.(map[string]any)
		if id, ok := o["id"].(string); ok {
			ids = append(ids, id)
		} else {
			ids = append(ids, o["name"].(string))
		}
	}
	return ids
}

func TestEventTypesAreListedByName(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		names := []string{"A", "Z", "a", "b.c", "b.d", "zz"}
		for _, name := range []string{"zz", "a", "Z", "b.d", "A", "b.c"} {
			w.must(201, "POST", "/event-type", fmt.Sprintf(`{"name":%q,"description":""}`, name))
		}
		if walked, _ := w.walk("/event-type?limit=2", "iterator"); !slices.Equal(walked, names) {
			t.Errorf("%v; want %v", walked, names)
		}
		page := w.must(200, "GET", "/event-type?limit=2&iterator=-b.c", "")
		if got := idsOf(page); !slices.Equal(got, []string{"Z", "a"}) || page["done"] != false {
			t.Errorf("before b.c: %v", page)
		}
		slices.Reverse(names)
		if walked, _ := w.walk("/event-type?limit=4&order=descending", "iterator"); !slices.Equal(walked, names) {
			t.Errorf("descending: %v; want %v", walked, names)
		}
		if r := w.do("POST", "/event-type", `{"name":"a","description":""}`); r.status != 409 || !strings.Contains(r.body, `"event_type_exists"`) {
			t.Errorf("a second time: %d %s", r.status, r.body)
		}
		w.must(204, "DELETE", "/event-type/a", "")
		if got := w.must(200, "GET", "/event-type/a", ""); got["archived"] != true {
			t.Errorf("archived: %v", got)
		}
		if walked, _ := w.walk("/event-type?limit=50", "iterator"); slices.Contains(walked, "a") {
			t.Errorf("listed though archived: %v", walked)
		}
		if walked, _ := w.walk("/event-type?limit=50&include_archived=true", "iterator"); !slices.Contains(walked, "a") {
			t.Errorf("not listed: %v", walked)
		}
		w.must(201, "POST", "/event-type", `{"name":"a","description":"anew"}`)
		if got := w.must(200, "GET", "/event-type/a", ""); got["archived"] != false || got["description"] != "anew" {
			t.Errorf("made anew: %v", got)
		}
		w.must(204, "DELETE", "/event-type/a?expunge=true", "")
		w.must(404, "GET", "/event-type/a", "")
		if r := w.do("POST", "/event-type", `{"name":"bad","description":"","schemas":{"1":{"type":7}}}`); r.status != 422 || !strings.Contains(r.body, `"loc":["body","schemas","1"]`) {
			t.Errorf("a schema that is none: %d %s", r.status, r.body)
		}
		w.must(200, "PATCH", "/event-type/zz", `{"featureFlag":"beta"}`)
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		for _, c := range []struct {
			body string
			sees bool
		}{{`{}`, false}, {`{"featureFlags":["other"]}`, false}, {`{"featureFlags":["other","beta"]}`, true}} {
			token := w.must(200, "POST", "/auth/app-portal-access/acme", c.body)["token"].(string)
			got := w.do("GET", "/event-type/zz", "", "Authorization", "Bearer "+token)
			list := w.do("GET", "/event-type", "", "Authorization", "Bearer "+token)
			if (got.status == 200) != c.sees || strings.Contains(list.body, `"zz"`) != c.sees {
				t.Errorf("%s: %d %s; want to see it: %t", c.body, got.status, list.body, c.sees)
			}
		}
	})
}

func TestBuiltInEventTypesAndAccountsApplicationsStay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		main, err := w.store.Environment(t.Context(), store.MainEnvironment)
		if err != nil {
			t.Fatal(err)
		}
		w.token = w.newToken(webhook.Token{Environment: main})
		page := w.must(200, "GET", "/event-type?with_content=true", "")
		var names []string
		for _, b := range registry.EventTypes {
			names = append(names, b.Name)
		}
		slices.Sort(names)
		if got := idsOf(page); !slices.Equal(got, names) {
			t.Errorf("in the catalogue: %v", got)
		}
		for _, item := range page["data"].([]any) {
			o := item.(map[string]any)
			if o["description"] == "" || o["schemas"].(map[string]any)["1"] == nil {
				t.Errorf("without a schema or description: %v", o)
			}
		}
		for _, c := range [][3]string{
			{"PUT", "/event-type/label.updated", `{"description":""}`},
			{"PATCH", "/event-type/label.updated", `{"archived":true}`},
			{"DELETE", "/event-type/label.updated", ""},
			{"DELETE", "/event-type/label.updated?expunge=true", ""},
		} {
			if r := w.do(c[0], c[1], c[2]); r.status != 409 {
				t.Errorf("%s %s: %d %s", c[0], c[1], r.status, r.body)
			}
		}
		w.must(200, "POST", "/event-type/import/openapi", `{"spec":{"openapi":"3.1.0","webhooks":{}},"replaceAll":true}`)
		if got := idsOf(w.must(200, "GET", "/event-type", "")); len(got) != len(names) {
			t.Errorf("after an import that replaces all: %v", got)
		}

		jane, err := w.store.CreateAccount(t.Context(), registry.Account{Name: "jane"}, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.EnableWebhooks(t.Context(), jane.ID, "jane", true); err != nil {
			t.Fatal(err)
		}
		for _, c := range [][3]string{
			{"DELETE", "/app/jane", ""}, {"PATCH", "/app/jane", `{"uid":"john"}`}, {"PATCH", "/app/jane", `{"uid":null}`}, {"PUT", "/app/jane", `{"name":"jane"}`},
		} {
			if r := w.do(c[0], c[1], c[2]); r.status != 409 || !strings.Contains(r.body, "account") {
				t.Errorf("%s %s %s: %d %s", c[0], c[1], c[2], r.status, r.body)
			}
		}
		w.must(200, "PUT", "/app/jane", `{"name":"Jane","uid":"jane","throttleRate":5}`)
		endpoint := w.must(201, "POST", "/app/jane/endpoint", fmt.Sprintf(`{"url":%q,"datasets":["jane/flowers"]}`, w.receiver.url))["id"].(string)
		w.must(200, "POST", "/app/jane/endpoint/"+endpoint+"/send-example", `{"eventType":"release.created"}`)
		put := w.must(200, "PUT", "/app/jane/endpoint/"+endpoint, fmt.Sprintf(`{"url":%q}`, w.receiver.url))
		if fmt.Sprint(put["datasets"]) != "[jane/flowers]" {
			t.Errorf("a PUT without datasets: %v", put["datasets"])
		}
		put = w.must(200, "PUT", "/app/jane/endpoint/"+endpoint, fmt.Sprintf(`{"url":%q,"datasets":null}`, w.receiver.url))
		if put["datasets"] != nil {
			t.Errorf("a PUT with datasets null: %v", put["datasets"])
		}
	})
}
