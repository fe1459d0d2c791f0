package webhooks

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

func typeWith(more map[string]any) map[string]any {
	return also(map[string]any{
		"name": "paid", "description": "d", "archived": false, "deprecated": false, "schemas": nil, "createdAt": aTime, "updatedAt": aTime,
		"featureFlag": nil, "featureFlags": nil, "groupName": nil,
	}, more)
}

func TestEventTypes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const own = "validatePayload"
		has(t, "one without anything", w.must(201, "POST", "/event-type", `{"name":"paid","description":"d","schemas":null,"featureFlag":null,"featureFlags":null,"groupName":null}`), typeWith(nil), own)
		everything := `{"name":"other","description":"e","archived":true,"deprecated":true,"schemas":{"1":{"type":"object"}},"featureFlags":["x","y","x"],"groupName":"g"}`
		full := typeWith(map[string]any{
			"description": "e", "archived": true, "deprecated": true, "schemas": map[string]any{"1": map[string]any{"type": "object"}},
			"featureFlag": "x", "featureFlags": []any{"x", "y"}, "groupName": "g",
		})
		has(t, "a PUT, which keeps the name", w.must(200, "PUT", "/event-type/paid", everything), full, own)
		has(t, "what was put", w.must(200, "GET", "/event-type/paid", ""), full, own)
		w.must(404, "GET", "/event-type/other", "")
		has(t, "a PATCH of nothing", w.must(200, "PATCH", "/event-type/paid", `{}`), full, own)
		for body, changed := range map[string]map[string]any{
			`{"schemas":{}}`:                           {"schemas": map[string]any{}},
			`{"schemas":null}`:                         {"schemas": nil},
			`{"featureFlag":"z"}`:                      {"featureFlag": "z", "featureFlags": []any{"z"}},
			`{"featureFlag":null}`:                     {"featureFlag": nil, "featureFlags": nil},
			`{"featureFlags":["z"]}`:                   {"featureFlag": "z", "featureFlags": []any{"z"}},
			`{"featureFlag":"a","featureFlags":["z"]}`: {"featureFlag": "z", "featureFlags": []any{"z"}},
			`{"groupName":null,"deprecated":false}`:    {"groupName": nil, "deprecated": false},
			`{"description":""}`:                       {"description": ""},
			`{"archived":false,"name":"another"}`:      {"archived": false},
		} {
			has(t, "a PATCH with "+body, w.must(200, "PATCH", "/event-type/paid", body), also(full, changed), own)
			w.must(200, "PUT", "/event-type/paid", everything)
		}
		if r := w.do("POST", "/event-type", `{"name":"paid","description":"d"}`); r.status != 201 {
			t.Errorf("one that was archived: %d %s", r.status, r.body)
		}
		has(t, "made anew", w.must(200, "GET", "/event-type/paid", ""), typeWith(nil), own)
		if r := w.do("POST", "/event-type", `{"name":"paid","description":"d"}`); r.status != 409 || !strings.Contains(r.body, `"code":"event_type_exists"`) {
			t.Errorf("one that lives: %d %s", r.status, r.body)
		}
		has(t, "a PUT of something new", w.must(201, "PUT", "/event-type/new", `{"description":"d"}`), typeWith(map[string]any{"name": "new"}), own)
		w.must(404, "PATCH", "/event-type/none", `{}`)
		w.must(404, "DELETE", "/event-type/none", "")
		w.must(422, "PUT", "/event-type/a%20b", `{"description":"d"}`)
		for _, body := range []string{
			`{"name":"a","description":"d","featureFlags":[]}`, `{"name":"a","description":"d","featureFlag":"a b"}`, `{"name":"a","description":"d","groupName":""}`,
			`{"name":"a/b","description":"d"}`, `{"name":"` + strings.Repeat("x", 257) + `","description":"d"}`, `{"name":"a"}`,
			`{"name":"a","description":"d","schemas":{"1":{"readOnly":15}}}`, `{"name":"a","description":"d","schemas":{"1":7}}`,
			`{"name":"a","description":"d","schemas":{"1":{"$schema":"https://json-schema.org/draft/2020-12/schema","prefixItems":1}}}`,
		} {
			w.must(422, "POST", "/event-type", body)
		}
		// The draft is the one that $schema names: 2020-12 knows prefixItems, draft 7 does not.
		w.must(201, "POST", "/event-type", `{"name":"draft7","description":"d","schemas":{"1":{"prefixItems":1}}}`)

		w.must(204, "DELETE", "/event-type/paid", "")
		w.must(204, "DELETE", "/event-type/paid", "")
		list := func(query string) []string { return idsOf(w.must(200, "GET", "/event-type"+query, "")) }
		if got := list(""); !slices.Equal(got, []string{"draft7", "new"}) {
			t.Errorf("listed: %v", got)
		}
		if got := list("?include_archived=true"); !slices.Equal(got, []string{"draft7", "new", "paid"}) {
			t.Errorf("listed with what is archived: %v", got)
		}
		first := func(query string) any {
			return w.must(200, "GET", "/event-type"+query, "")["data"].([]any)[0].(map[string]any)["schemas"]
		}
		if first("") != nil || first("?with_content=false") != nil || first("?with_content=true") == nil {
			t.Error("schemas are listed when they are not asked for, or not when they are")
		}
		w.must(204, "DELETE", "/event-type/paid?expunge=true", "")
		w.must(404, "GET", "/event-type/paid", "")
	})
}

func TestOfManyWhoMakeTheSameThingOneDoes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		together := func(method, path, body string) (statuses []int) {
			var mu sync.Mutex
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					status := w.do(method, path, body).status
					mu.Lock()
					defer mu.Unlock()
					statuses = append(statuses, status)
				})
			}
			all.Wait()
			slices.Sort(statuses)
			return statuses
		}
		for i := range 3 {
			for _, c := range []struct{ method, path, body string }{
				{"POST", "/app", `{"name":"a","uid":"post%d"}`},
				{"PUT", "/app/put%d", `{"name":"a","uid":"put%[1]d"}`},
				{"POST", "/app?get_if_exists=true", `{"name":"a","uid":"get%d"}`},
				{"POST", "/app/acme/endpoint", `{"url":"https://example.com","uid":"post%d"}`},
				{"PUT", "/app/acme/endpoint/put%d", `{"url":"https://example.com","uid":"put%[1]d"}`},
				{"POST", "/event-type", `{"name":"post%d","description":""}`},
				{"PUT", "/event-type/put%d", `{"description":""}`},
				{"POST", "/app/acme/msg", `{"eventType":"a","eventId":"post%d","payload":{}}`},
			} {
				path, body := c.path, c.body
				if strings.Contains(path, "%d") {
					path = fmt.Sprintf(path, i)
				}
				if strings.Contains(body, "%") {
					body = fmt.Sprintf(body, i)
				}
				first, others := http.StatusCreated, http.StatusConflict
				switch {
				case strings.HasSuffix(c.path, "/msg"):
					first = http.StatusAccepted
				case c.method == "PUT" || strings.Contains(c.path, "get_if_exists"):
					others = http.StatusOK
				}
				want := slices.Sorted(slices.Values(append(slices.Repeat([]int{others}, 7), first)))
				if got := together(c.method, path, body); !slices.Equal(got, want) {
					t.Errorf("%s %s: %v; want %v", c.method, path, got, want)
				}
			}
		}
	})
}

func TestImportsOfEventTypes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(201, "POST", "/event-type", `{"name":"old","description":"stays or goes"}`)
		w.must(201, "POST", "/event-type", `{"name":"archived","description":"","archived":true}`)
		const document = `{"openapi":"3.1.0","info":{"title":"t","version":"1"},"webhooks":{
			"a.one":{"post":{"description":"One.","requestBody":{"content":{"application/json":{"schema":{"type":"object","properties":{"n":{"type":"integer"}}}}}}}},
			"archived":{"post":{"description":"Back.","deprecated":true}}}}`
		dry := w.must(200, "POST", "/event-type/import/openapi", `{"spec":`+document+`,"dryRun":true,"replaceAll":true}`)["data"].(map[string]any)
		if len(dry["modified"].([]any)) != 0 || len(dry["to_modify"].([]any)) != 2 {
			t.Errorf("a dry run: %v", dry)
		}
		for _, item := range dry["to_modify"].([]any) {
			o := item.(map[string]any)
			for _, name := range []string{"name", "description", "deprecated", "schemas", "groupName", "featureFlags", "featureFlag"} {
				if _, ok := o[name]; !ok {
					t.Errorf("to be modified, without %s: %v", name, o)
				}
			}
		}
		w.must(404, "GET", "/event-type/a.one", "")
		did := w.must(200, "POST", "/event-type/import/openapi", `{"spec":`+document+`}`)["data"].(map[string]any)
		if fmt.Sprint(did["modified"]) != "[a.one archived]" || did["to_modify"] != nil {
			t.Errorf("imported: %v", did)
		}
		if got := w.must(200, "GET", "/event-type/a.one", ""); got["description"] != "One." || fmt.Sprint(got["schemas"]) != "map[1:map[properties:map[n:map[type:integer]] type:object]]" {
			t.Errorf("imported: %v", got)
		}
		if got := w.must(200, "GET", "/event-type/archived", ""); got["archived"] != false || got["deprecated"] != true {
			t.Errorf("what was archived: %v", got)
		}
		if got := w.must(200, "GET", "/event-type/old", ""); got["archived"] != false {
			t.Errorf("what the document does not have: %v", got)
		}
		yaml := `{"specRaw":"openapi: 3.0.0\nx-webhooks:\n  b.two:\n    post:\n      description: Two.\n","replaceAll":true,"spec":null}`
		did = w.must(200, "POST", "/event-type/import/openapi", yaml)["data"].(map[string]any)
		if fmt.Sprint(did["modified"]) != "[a.one archived b.two old]" {
			t.Errorf("imported in place of all: %v", did)
		}
		if got := idsOf(w.must(200, "GET", "/event-type", "")); !slices.Equal(got, []string{"b.two"}) {
			t.Errorf("what is left: %v", got)
		}
		for _, body := range []string{
			`{}`, `{"spec":null}`, `{"spec":{},"specRaw":"a"}`, `{"specRaw":""}`, `{"specRaw":"["}`, `{"specRaw":"just text"}`, `{"spec":{"webhooks":{"a b":{"post":{}}}}}`, `{"spec":[]}`,
			`{"spec":{"webhooks":{"a":{"post":{"requestBody":{"content":{"application/json":{"schema":{"type":7}}}}}}}}}`, `{"spec":{"webhooks":7}}`,
		} {
			w.must(422, "POST", "/event-type/import/openapi", body)
		}
	})
}
