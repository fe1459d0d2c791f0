package registry

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fanfare/internal/registry"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestEncodingsOfTheBody(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.flowers()
		post := func(encoding string, body []byte) (int, string) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/user/datasets", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "apikey jane")
			req.Header.Set("Content-Encoding", encoding)
			return w.send(req)
		}
		zip := func(text string) []byte {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = io.WriteString(z, text)
			_ = z.Close()
			return b.Bytes()
		}
		if status, answer := post("gzip", zip(`{"name":"zipped"}`)); status != 201 {
			t.Errorf("%d %s", status, answer)
		}
		if status, answer := post("gzip", zip(strings.Repeat(" ", 300<<10))); status != 413 || answer != `{"detail":"Request body too large."}` {
			t.Errorf("a bomb: %d %s", status, answer)
		}
		if status, answer := post("gzip", []byte(`{"name":"plain"}`)); status != 400 || answer != `{"detail":"JSON parse error."}` {
			t.Errorf("no gzip: %d %s", status, answer)
		}
		if status, answer := post("gzip", zip(`{"name":"cut"}`)[:20]); status != 400 {
			t.Errorf("half a gzip: %d %s", status, answer)
		}
		if status, answer := post("br", []byte(`{}`)); status != 415 || answer != `{"detail":"Unsupported content encoding."}` {
			t.Errorf("brotli: %d %s", status, answer)
		}
		w.expect("jane", "dataset.created: Dataset jane/zipped created.")
	})
}

func TestKeys(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for header, want := range map[string]string{
			"":              `{"detail":"Authentication credentials were not provided."}`,
			"APIKey wrong":  `{"detail":"Invalid API key."}`,
			"Bearer jane":   `{"detail":"Invalid API key."}`,
			"APIKey":        `{"detail":"Invalid API key."}`,
			"Basic amFuZTo": `{"detail":"Invalid API key."}`,
		} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/api_status/?lib_version=1.30.0", nil)
			if err != nil {
				t.Fatal(err)
			}
			if header != "" {
				req.Header.Set("Authorization", header)
			}
			if status, answer := w.send(req); status != http.StatusUnauthorized || answer != want {
				t.Errorf("%q: %d %s", header, status, answer)
			}
		}
		if got := w.must("jane", http.MethodGet, "/api_status/?lib_version=1.30.0", ""); got["status"] != "ok" {
			t.Errorf("got %v", got)
		}
	})
}

func TestEveryRouteAsksForAKey(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		api := New(w.store, storetest.Log(t), Config{})
		routes := api.router.Routes()
		if len(routes) < 19 {
			t.Fatalf("only %d routes", len(routes))
		}
		for _, route := range routes {
			method, path, _ := strings.Cut(route, " ")
			if path == uploadPath || strings.HasPrefix(path, registry.FilePath) || path == "/openapi.json" {
				continue // said by the URL, or by a signed form; or no secret
			}
			if status, answer := w.do("", method, strings.NewReplacer("{", "", "}", "").Replace(path), ""); status != http.StatusUnauthorized {
				t.Errorf("%s: %d %s", route, status, answer)
			}
		}
	})
}

func TestUsers(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		keys := func(o map[string]any) []string {
			var names []string
			for name := range o {
				names = append(names, name)
			}
			slices.Sort(names)
			return names
		}
		public := []string{"created_at", "is_organization", "username"}
		for _, test := range []struct {
			sentence, as, path string
			want               []string
		}{
			{"oneself", "jane", "/user", []string{"created_at", "email", "is_organization", "organizations", "username", "webhooks_enabled"}},
			{"somebody else", "john", "/users/JANE/", public},
			{"an organization seen by its administrator", "jane", "/users/Acme", []string{"created_at", "email", "is_organization", "members", "username", "webhooks_enabled"}},
			{"an organization seen by a member", "bert", "/users/Acme", []string{"created_at", "is_organization", "members", "username"}},
			{"an organization seen by a stranger", "john", "/users/Acme", public},
		} {
			if got := keys(w.must(test.as, http.MethodGet, test.path, "")); !slices.Equal(got, test.want) {
				t.Errorf("%s: %v", test.sentence, got)
			}
		}
		if status, answer := w.do("jane", http.MethodGet, "/users/nobody", ""); status != 404 {
			t.Errorf("%d %s", status, answer)
		}
	})
}

func TestEnablingWhileAnotherApplicationBearsTheNameIsAConflict(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		env, err := w.store.Environment(t.Context(), store.MainEnvironment)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.CreateApplication(t.Context(), webhook.Application{Environment: env, UID: "john", Name: "foreign"}); err != nil {
			t.Fatal(err)
		}
		if status, answer := w.do("john", http.MethodPatch, "/user", `{"webhooks_enabled":true}`); status != http.StatusConflict {
			t.Errorf("%d %s", status, answer)
		}
		if got := w.must("john", http.MethodGet, "/user", ""); got["webhooks_enabled"] != false {
			t.Errorf("got %v", got)
		}
	})
}

func TestListsOfSamples(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.flowers()
		for _, body := range []string{
			`{"name":"b","attributes":null,"priority":1,"metadata":{"city":"Gent","n":1}}`,
			`{"name":"a","attributes":null,"priority":3,"metadata":{"city":"Gent","ok":true}}`,
			`{"name":"C c","attributes":null,"priority":2,"metadata":{"city":"Brugge"}}`,
		} {
			w.must("jane", http.MethodPost, "/datasets/jane/flowers/samples", body)
		}
		for query, want := range map[string]string{
			"":                                  "C c,a,b",
			"sort=-name":                        "b,a,C c",
			"sort=priority":                     "b,C c,a",
			"sort=-priority":                    "a,C c,b",
			"sort=created_at":                   "b,a,C c",
			"sort=-created":                     "C c,a,b",
			"sort=-None":                        "C c,a,b",
			"per_page=2&page=1":                 "C c,a",
			"per_page=2&page=2":                 "b",
			"per_page=2&page=3":                 "",
			"per_page=desc&page=0":              "C c,a,b",
			"page=99999999999999999999":         "C c,a,b",
			"page=9223372036854775807":          "",
			"name__contains=c":                  "C c",
			"name__contains=C%20c":              "C c",
			"name__contains=B":                  "",
			"filters=city:Gent":                 "a,b",
			"filters=city:Gent,n:1":             "b",
			"filters=city:Gent,nocolon,ok:true": "a",
			"filters=city:Gent&per_page=1&page=2&sort=-name": "a",
			"labelset=jane/flowers":                          "C c,a,b",
		} {
			status, answer := w.do("jane", http.MethodGet, "/datasets/jane/flowers/samples/?"+query, "")
			var list []struct{ Name string }
			if err := json.Unmarshal([]byte(answer), &list); err != nil || status != http.StatusOK {
				t.Errorf("%s: %d %s", query, status, answer)
			}
			var names []string
			for _, s := range list {
				names = append(names, s.Name)
			}
			if got := strings.Join(names, ","); got != want {
				t.Errorf("%s: got %s, not %s", query, got, want)
			}
		}
	})
}

func TestListsOfDatasets(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, body := range []string{`{"name":"b"}`, `{"name":"a","public":true}`, `{"name":"B"}`} {
			w.must("jane", http.MethodPost, "/user/datasets", body)
		}
		w.must("jane", http.MethodPost, "/organizations/Acme/datasets", `{"name":"z"}`)
		names := func(as, path string) string {
			status, answer := w.do(as, http.MethodGet, path, "")
			var list []struct {
				Name string `json:"full_name"`
			}
			if err := json.Unmarshal([]byte(answer), &list); err != nil || status != http.StatusOK {
				t.Fatalf("%d %s", status, answer)
			}
			var names []string
			for _, d := range list {
				names = append(names, d.Name)
			}
			return strings.Join(names, ",")
		}
		for _, test := range [][3]string{
			{"jane", "/user/datasets/", "Acme/z,jane/B,jane/a,jane/b"},
			{"jane", "/user/datasets/?per_page=2&page=2", "jane/a,jane/b"},
			{"john", "/user/datasets/", ""},
			{"bert", "/user/datasets/", "Acme/z"},
			{"john", "/users/jane/datasets/", "jane/a"},
			{"jane", "/users/jane/datasets/", "jane/B,jane/a,jane/b"},
			{"john", "/users/Acme/datasets/", ""},
		} {
			if got := names(test[0], test[1]); got != test[2] {
				t.Errorf("%s %s: %s", test[0], test[1], got)
			}
		}
		if status, _ := w.do("jane", http.MethodGet, "/users/nobody/datasets", ""); status != 404 {
			t.Errorf("got %d", status)
		}
	})
}

func TestADatasetMayBearAnyNameThatIsAWordOfAPath(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, name := range []string{"issues", "samples", "samples_bulk", "labelsets", "collaborators", "releases", "clone", "workunits", "datasets", "user"} {
			path := "/datasets/jane/" + name
			w.must("jane", http.MethodPost, "/user/datasets", `{"name":"`+name+`"}`)
			if got := w.must("jane", http.MethodPatch, path, `{"description":"x"}`); got["name"] != name {
				t.Errorf("%s was changed as %v", name, got["name"])
			}
			if got := w.must("jane", http.MethodGet, path+"/", ""); got["name"] != name || got["description"] != "x" {
				t.Errorf("%s is shown as %v", name, got)
			}
			if list := w.listed(path + "/issues"); len(list) != 0 {
				t.Errorf("the issues of %s are %v", name, list)
			}
			if status, _ := w.do("john", http.MethodGet, path, ""); status != http.StatusNotFound {
				t.Errorf("a stranger gets %d for %s", status, name)
			}
			w.must("jane", http.MethodDelete, path, "")
		}
	})
}

func TestALargeObjectLosesItsLargestFieldsInTheEventOnly(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.flowers()
		var frames []string
		for range 900 {
			frames = append(frames, `{"image":{"url":"https://example.com/`+strings.Repeat("x", 30)+`"}}`)
		}
		body := `{"name":"long","attributes":{"frames":[` + strings.Join(frames, ",") + `]}}`
		for i := range 5 {
			status, answer := w.do("jane", http.MethodPatch, "/datasets/jane/flowers", fmt.Sprintf(`{"readme":%q,"metadata":{"x":%q}}`,
				strings.Repeat(fmt.Sprint(i), 30_000), strings.Repeat("y", 20_000)))
			if status != 200 {
				t.Fatalf("%d %s", status, answer)
			}
		}
		w.must("jane", http.MethodPost, "/datasets/jane/flowers/samples", body)
		for _, e := range w.events("jane") {
			if len(e.raw) > 256<<10 || e.Object["omitted"] != nil {
				t.Errorf("%s has %d bytes and omits %v", e.Type, len(e.raw), e.Object["omitted"])
			}
		}
	})
}

func TestSortsAreAllKnown(t *testing.T) {
	var keys []string
	for key := range store.SampleSorts {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if want := []string{"created_at", "gt_label__updated_at", "name", "priority", "updated_at"}; !slices.Equal(keys, want) {
		t.Errorf("got %v", keys)
	}
}
