package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// upkeep does what a node does in the background, until nothing is left.
func (w *world) upkeep() {
	w.t.Helper()
	for _, work := range []func() (bool, error){
		func() (bool, error) { return w.store.SendCloneEvents(w.t.Context()) },
		func() (bool, error) { return w.store.BuildRelease(w.t.Context()) },
		func() (bool, error) { return w.store.RemoveDeleted(w.t.Context()) },
		func() (bool, error) { return w.store.RemoveContent(w.t.Context()) },
	} {
		for more := true; more; {
			var err error
			if more, err = work(); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

const box = `{"annotations":[{"id":1,"category_id":1,"type":"bbox","points":[[0,0],[1,1]]}]}`

// things are what the calls of the table below are about.
type things struct{ sample, labelled, issue, comment string }

// fill puts their ids in the place of their names.
func (th things) fill(s string) string {
	return strings.NewReplacer("{sample}", th.sample, "{labelled}", th.labelled, "{issue}", th.issue, "{comment}", th.comment).Replace(s)
}

// furnish fills jane/flowers and looks away from the events of that.
func (w *world) furnish() things {
	w.t.Helper()
	w.flowers()
	uuid := func(o map[string]any) string { return fmt.Sprint(o["uuid"]) }
	var th things
	th.sample = uuid(w.must("jane", http.MethodPost, "/datasets/jane/flowers/samples", rose))
	th.labelled = uuid(w.must("jane", http.MethodPost, "/datasets/jane/flowers/samples", `{"name":"tulip.png","attributes":null}`))
	w.must("jane", http.MethodPost, "/datasets/jane/flowers/labelsets", `{"name":"model v1"}`)
	for _, set := range []string{"ground-truth", "model%20v1"} {
		w.must("jane", http.MethodPut, "/labels/"+th.labelled+"/"+set, `{"attributes":`+box+`,"label_status":"LABELED","score":0.5}`)
	}
	w.must("jane", http.MethodPost, "/datasets/jane/flowers/collaborators", `{"user":"bert"}`)
	issue := w.must("jane", http.MethodPost, "/samples/"+th.labelled+"/issues", `{"description":"Petal <missing>."}`)
	th.issue = uuid(issue)
	replied := w.must("bert", http.MethodPost, "/issues/"+th.issue+"/comments", `{"text":"Fixed."}`)
	th.comment = uuid(replied["comments"].([]any)[0].(map[string]any)) //nolint:forcetypeassert // the shape of the contract
	w.must("jane", http.MethodPost, "/datasets/jane/flowers/releases", `{"name":"v0"}`)
	w.upkeep()
	w.events("jane")
	return th
}

// mutation is a call that changes something in what furnish makes, and the
// events that jane's account is to have of it.
type mutation struct {
	path, body string
	want       []string
}

// mutations have one for each route that changes something.
var mutations = map[string]mutation{
	"PATCH /user":                                 {"/user", `{"webhooks_enabled":true}`, nil},
	"PATCH /organizations/{organization}":         {"/organizations/Acme", `{"webhooks_enabled":false}`, nil},
	"POST /user/datasets":                         {"/user/datasets", `{"name":"new"}`, []string{"dataset.created: Dataset jane/new created."}},
	"POST /organizations/{organization}/datasets": {"/organizations/Acme/datasets", `{"name":"new"}`, nil}, // Acme's own
	"PATCH /datasets/{owner}/{name}": {
		"/datasets/jane/flowers", `{"description":"x"}`,
		[]string{"dataset.updated: Dataset jane/flowers updated: description."},
	},
	"DELETE /datasets/{owner}/{name}": {"/datasets/jane/flowers", "", []string{"dataset.deleted: Dataset jane/flowers deleted."}},
	"POST /datasets/{owner}/{name}/clone": {"/datasets/jane/flowers/clone", `{"clone_labels":true}`, []string{
		"dataset.created: Dataset jane/flowers-clone created as a clone of jane/flowers.",
		"sample.created: Sample rose.png created in dataset jane/flowers-clone.",
		"sample.created: Sample tulip.png created in dataset jane/flowers-clone.",
		"label.updated: Label of sample tulip.png created (LABELED) in dataset jane/flowers-clone.",
		"label.updated: Label of sample tulip.png in labelset model v1 created (LABELED) in dataset jane/flowers-clone.",
	}},
	"POST /datasets/{owner}/{name}/samples": {
		"/datasets/jane/flowers/samples", `{"name":"a","attributes":null}`,
		[]string{"sample.created: Sample a created in dataset jane/flowers."},
	},
	"POST /datasets/{owner}/{name}/samples_bulk": {
		"/datasets/jane/flowers/samples_bulk", `[{"name":"a","attributes":null},{"name":"rose.png","attributes":null},{"name":"b","attributes":null}]`,
		[]string{"sample.created: Sample a created in dataset jane/flowers.", "sample.created: Sample b created in dataset jane/flowers."},
	},
	"DELETE /datasets/{owner}/{name}/samples_bulk": {
		"/datasets/jane/flowers/samples_bulk", `{"uuids":["{labelled}","{sample}"]}`,
		[]string{"sample.deleted: Sample tulip.png deleted from dataset jane/flowers.", "sample.deleted: Sample rose.png deleted from dataset jane/flowers."},
	},
	"PATCH /samples/{sample}": {
		"/samples/{sample}", `{"priority":1}`,
		[]string{"sample.updated: Sample rose.png updated in dataset jane/flowers: priority."},
	},
	"DELETE /samples/{sample}": {"/samples/{labelled}", "", []string{"sample.deleted: Sample tulip.png deleted from dataset jane/flowers."}},
	"PUT /labels/{sample}/{labelset}": {
		"/labels/{sample}/ground-truth", `{"attributes":` + box + `}`,
		[]string{"label.updated: Label of sample rose.png created (PRELABELED) in dataset jane/flowers."},
	},
	"PATCH /labels/{sample}/{labelset}": {
		"/labels/{labelled}/ground-truth", `{"label_status":"REVIEWED","score":1}`,
		[]string{"label.updated: Label of sample tulip.png changed from LABELED to REVIEWED in dataset jane/flowers: score."},
	},
	"DELETE /labels/{sample}/{labelset}": {
		"/labels/{labelled}/ground-truth", "",
		[]string{"label.deleted: Label of sample tulip.png deleted in dataset jane/flowers."},
	},
	"POST /datasets/{owner}/{name}/labelsets": {
		"/datasets/jane/flowers/labelsets", `{"name":"model v2","description":"x"}`,
		[]string{"dataset.updated: Labelset model v2 added to dataset jane/flowers."},
	},
	"DELETE /datasets/{owner}/{name}/labelsets/{labelset}": {"/datasets/jane/flowers/labelsets/model%20v1", "", []string{
		"label.deleted: Label of sample tulip.png in labelset model v1 deleted in dataset jane/flowers.",
		"dataset.updated: Labelset model v1 removed from dataset jane/flowers.",
	}},
	"POST /datasets/{owner}/{name}/collaborators": {
		"/datasets/jane/flowers/collaborators", `{"user":"john","role":"reviewer"}`,
		[]string{"dataset.updated: Collaborator john added to dataset jane/flowers as reviewer."},
	},
	"PATCH /datasets/{owner}/{name}/collaborators/{user}": {
		"/datasets/jane/flowers/collaborators/bert", `{"role":"reviewer"}`,
		[]string{"dataset.updated: Collaborator bert changed from labeler to reviewer in dataset jane/flowers."},
	},
	"DELETE /datasets/{owner}/{name}/collaborators/{user}": {
		"/datasets/jane/flowers/collaborators/bert", "",
		[]string{"dataset.updated: Collaborator bert removed from dataset jane/flowers."},
	},
	"POST /samples/{sample}/issues": {
		"/samples/{sample}/issues", `{"description":"Too\n<dark>","anchor":{"type":"basic"}}`,
		[]string{`issue.created: Issue created on sample rose.png in dataset jane/flowers: "Too &lt;dark&gt;"`},
	},
	"PATCH /issues/{issue}": {
		"/issues/{issue}", `{"status":"CLOSED","description":"x"}`,
		[]string{"issue.updated: Issue on sample tulip.png closed in dataset jane/flowers: description."},
	},
	"DELETE /issues/{issue}": {"/issues/{issue}", "", nil},
	"POST /issues/{issue}/comments": {
		"/issues/{issue}/comments", `{"text":"Thanks"}`,
		[]string{`issue.updated: jane replied to an issue on sample tulip.png in dataset jane/flowers: "Thanks"`},
	},
	"DELETE /issues/{issue}/comments/{comment}": {
		"/issues/{issue}/comments/{comment}", "",
		[]string{"issue.updated: Reply deleted from an issue on sample tulip.png in dataset jane/flowers."},
	},
	"POST /datasets/{owner}/{name}/releases": {
		"/datasets/jane/flowers/releases", `{"name":"v1"}`,
		[]string{"release.created: Release v1 created in dataset jane/flowers."},
	},
	"DELETE /datasets/{owner}/{name}/releases/{release}": {"/datasets/jane/flowers/releases/v0", "", nil},
	"POST /assets": {"/assets", `{"filename":"a.png"}`, nil},
}

// TestEveryMutatingRouteEmitsWhatTheContractSays makes one call by each route
// that changes something. A route that is not in the table fails the test.
func TestEveryMutatingRouteEmitsWhatTheContractSays(t *testing.T) {
	storeless := New(nil, nil, Config{})
	for _, route := range storeless.router.Routes() {
		if _, ok := mutations[route]; !ok && !strings.HasPrefix(route, "GET ") && route != "POST "+uploadPath {
			t.Errorf("%s is not in the table", route)
		}
	}
	for route, test := range mutations {
		t.Run(route, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				th := w.furnish()
				method, _, _ := strings.Cut(route, " ")
				status, answer := w.do("jane", method, th.fill(test.path), th.fill(test.body))
				if status > 299 {
					t.Fatalf("%d %s", status, answer)
				}
				w.upkeep()
				w.expect("jane", test.want...)
				// The same again is no change, where it is not a new thing or gone.
				if method == http.MethodPatch || method == http.MethodPut {
					if status, answer := w.do("jane", method, th.fill(test.path), th.fill(test.body)); status != http.StatusOK {
						t.Errorf("again: %d %s", status, answer)
					}
					w.expect("jane")
				}
			})
		})
	}
}

func TestTheEventHoldsWhatTheOwnersGETShows(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		th := w.furnish()
		for _, test := range []struct{ method, path, body, get string }{
			{"PUT", "/labels/" + th.sample + "/ground-truth", `{"attributes":` + box + `,"label_status":"REJECTED"}`, "/labels/" + th.sample + "/ground-truth"},
			{"PATCH", "/labels/" + th.sample + "/ground-truth", `{"rating":3}`, "/labels/" + th.sample + "/ground-truth"},
			{"PATCH", "/datasets/jane/flowers", `{"readme":"x"}`, "/datasets/jane/flowers"},
		} {
			w.must("jane", test.method, test.path, test.body)
			events := w.events("jane")
			if len(events) != 1 {
				t.Fatalf("%d events", len(events))
			}
			_, shown := w.do("jane", http.MethodGet, test.get, "")
			object, err := json.Marshal(events[0].Object)
			if err != nil {
				t.Fatal(err)
			}
			var a, b any
			_ = json.Unmarshal([]byte(shown), &a)
			_ = json.Unmarshal(object, &b)
			if fmt.Sprint(a) != fmt.Sprint(b) {
				t.Errorf("GET shows\n%s\nand the event holds\n%s", shown, object)
			}
		}
		d := w.must("jane", http.MethodGet, "/datasets/jane/flowers", "")
		if got := fmt.Sprint(d["label_stats"]); !strings.Contains(got, "REJECTED:1") || !strings.Contains(got, "LABELED:1") ||
			!strings.Contains(got, "TOTAL:2") || !strings.Contains(got, "UNLABELED:0") {
			t.Errorf("statistics are %s", got)
		}
		w.must("jane", http.MethodDelete, "/samples/"+th.labelled, "")
		d = w.must("jane", http.MethodGet, "/datasets/jane/flowers", "")
		if got := fmt.Sprint(d["label_stats"]); strings.Contains(got, " LABELED:1") || !strings.Contains(got, "TOTAL:1") {
			t.Errorf("statistics are %s", got)
		}
	})
}

func TestPermissionsOnLabelsAndIssues(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		th := w.furnish()
		w.must("jane", http.MethodPut, "/labels/"+th.sample+"/ground-truth", `{"label_status":"REVIEWED"}`)
		w.must("jane", http.MethodPost, "/datasets/jane/flowers/collaborators", `{"user":"john","role":"manager"}`)
		labelled, reviewed := "/labels/"+th.labelled+"/ground-truth", "/labels/"+th.sample+"/ground-truth"
		for _, test := range []struct {
			as, method, path, body string
			want                   int
		}{
			{"bert", "PATCH", labelled, `{"label_status":"SKIPPED"}`, 200},
			{"bert", "PATCH", labelled, `{"label_status":"REVIEWED"}`, 403},
			{"bert", "PATCH", labelled, `{"rating":1}`, 403},
			{"bert", "PATCH", reviewed, `{"score":1}`, 403},
			{"bert", "PUT", reviewed, `{"attributes":null}`, 403},
			{"bert", "DELETE", labelled, ``, 403},
			{"bert", "PATCH", "/issues/" + th.issue, `{"status":"CLOSED"}`, 200},
			{"bert", "PATCH", "/issues/" + th.issue, `{"description":"y"}`, 403},
			{"bert", "PATCH", "/issues/" + th.issue, `{"description":1}`, 400},
			{"bert", "DELETE", "/issues/" + th.issue, ``, 403},
			{"bert", "GET", "/datasets/jane/flowers/collaborators/john", ``, 200},
			{"bert", "POST", "/datasets/jane/flowers/collaborators", `{"user":"x"}`, 403},
			{"bert", "GET", "/datasets/jane/flowers/workunits", ``, 403},
			{"john", "GET", "/datasets/jane/flowers/workunits", ``, 200},
			{"john", "POST", "/datasets/jane/flowers/collaborators", `{"user":"jane"}`, 400},
			{"john", "POST", "/datasets/jane/flowers/collaborators", `{"user":"bert"}`, 400},
			{"john", "POST", "/datasets/jane/flowers/collaborators", `{"user":"nobody"}`, 400},
			{"john", "PATCH", "/datasets/jane/flowers/collaborators/bert", `{"role":"admin"}`, 403},
			{"john", "PATCH", "/datasets/jane/flowers/collaborators/bert", `{"role":"viewer"}`, 400},
			{"john", "DELETE", "/issues/" + th.issue + "/comments/" + th.comment, ``, 403},
			{"john", "POST", "/datasets/jane/flowers/labelsets", `{"name":"x"}`, 403},
			{"john", "POST", "/datasets/jane/flowers/releases", `{"name":"x"}`, 403},
			{"john", "PATCH", "/samples/" + th.sample, `{"priority":5}`, 200},
			{"john", "PATCH", "/samples/" + th.sample, `{"priority":5,"name":"x"}`, 403},
			{"john", "DELETE", labelled, ``, 204},
			{"jane", "GET", labelled, ``, 404},
			{"jane", "PUT", "/labels/" + th.sample + "/nowhere", `{}`, 404},
			{"jane", "DELETE", "/datasets/jane/flowers/labelsets/ground-truth", ``, 400},
			{"jane", "POST", "/datasets/jane/flowers/labelsets", `{"name":"model v1"}`, 400},
			{"jane", "POST", "/datasets/jane/flowers/labelsets", `{"name":" x"}`, 400},
			{"jane", "POST", "/samples/" + th.sample + "/issues", `{"description":" "}`, 400},
			{"jane", "POST", "/samples/" + th.sample + "/issues", `{"description":"x","anchor":{}}`, 400},
			{"jane", "PUT", "/labels/" + th.sample + "/ground-truth", `{"attributes":{}}`, 400},
			{"jane", "POST", "/datasets/jane/flowers/releases", `{"name":"v0"}`, 400},
			{"bert", "DELETE", "/datasets/jane/flowers/collaborators/bert", ``, 204},
			{"bert", "GET", labelled, ``, 404},
			{"bert", "PATCH", "/issues/" + th.issue, `{}`, 404},
		} {
			if status, answer := w.do(test.as, test.method, test.path, test.body); status != test.want {
				t.Errorf("%s %s %s %s: %d %s", test.as, test.method, test.path, test.body, status, answer)
			}
		}
		if n := len(w.events("bert")) + len(w.events("john")); n > 0 {
			t.Errorf("collaborators got %d events", n)
		}
	})
}

func TestAReleaseIsAFileOfWhatWasThere(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.furnish()
		release := w.must("jane", http.MethodPost, "/datasets/jane/flowers/releases", `{"name":"v1","description":"d"}`)
		if release["status"] != "PENDING" || fmt.Sprint(release["attributes"]) != "map[url:<nil>]" {
			t.Errorf("got %v", release)
		}
		w.must("jane", http.MethodPost, "/datasets/jane/flowers/releases", `{"name":"v2"}`)
		w.must("jane", http.MethodDelete, "/datasets/jane/flowers/releases/v2", "")
		w.upkeep()
		w.expect("jane", "release.created: Release v1 created in dataset jane/flowers.")
		release = w.must("jane", http.MethodGet, "/datasets/jane/flowers/releases/v1", "")
		at := release["attributes"].(map[string]any)["url"].(string) //nolint:forcetypeassert // the shape of the contract
		if release["status"] != "SUCCEEDED" || release["samples_count"] != 2.0 || !strings.HasPrefix(at, "http://public.example/files/") {
			t.Errorf("got %v", release)
		}
		file := w.must("", http.MethodGet, strings.TrimPrefix(at, "http://public.example"), "")
		dataset := file["dataset"].(map[string]any)  //nolint:forcetypeassert // the shape of the contract
		samples := dataset["samples"].([]any)        //nolint:forcetypeassert // the shape of the contract
		first := samples[0].(map[string]any)         //nolint:forcetypeassert // the shape of the contract
		second := samples[1].(map[string]any)        //nolint:forcetypeassert // the shape of the contract
		labels := second["labels"].(map[string]any)  //nolint:forcetypeassert // the shape of the contract
		label := labels["model v1"].(map[string]any) //nolint:forcetypeassert // the shape of the contract
		if len(samples) != 2 || dataset["owner"] != "jane" || first["name"] != "rose.png" || label["label_status"] != "LABELED" ||
			fmt.Sprint(first["labels"]) != "map[ground-truth:<nil> model v1:<nil>]" ||
			fmt.Sprint(dataset["task_attributes"]) != "map[categories:[]]" {
			t.Errorf("the file is %v", file)
		}
		w.must("jane", http.MethodDelete, "/datasets/jane/flowers/releases/v1", "")
		w.upkeep()
		if status, _ := w.do("", http.MethodGet, strings.TrimPrefix(at, "http://public.example"), ""); status != http.StatusNotFound {
			t.Errorf("the file of a deleted release is %d", status)
		}
		w.expect("jane")
	})
}

// post sends a form with a file, as official clients do.
func (w *world) post(fields map[string]any, file string) int {
	w.t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for name, value := range fields {
		if err := form.WriteField(name, fmt.Sprint(value)); err != nil {
			w.t.Fatal(err)
		}
	}
	part, err := form.CreateFormFile("file", "x")
	if err == nil {
		_, err = io.WriteString(part, file)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+uploadPath, &b)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	status, _ := w.send(req)
	return status
}

func TestAnAssetIsUploadedOnceByASignedFormAndReadByWhoeverKnowsItsURL(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		asset := w.must("john", http.MethodPost, "/assets/", `{"filename":"a/../my rose é.png"}`)
		post := asset["presignedPostFields"].(map[string]any) //nolint:forcetypeassert // the shape of the contract
		fields := post["fields"].(map[string]any)             //nolint:forcetypeassert // the shape of the contract
		at, err := url.Parse(fmt.Sprint(asset["url"]))
		if err != nil || asset["filename"] != "myrose.png" || !strings.HasSuffix(at.Path, "/myrose.png") || len(fields) != 8 ||
			post["url"] != "http://public.example"+uploadPath {
			t.Fatalf("got %v", asset)
		}
		if status, _ := w.do("", http.MethodGet, at.Path, ""); status != http.StatusNotFound {
			t.Errorf("before the upload: %d", status)
		}
		with := func(name, value string) map[string]any {
			changed := map[string]any{}
			maps.Copy(changed, fields)
			changed[name] = value
			return changed
		}
		for name, value := range map[string]string{
			"x-amz-signature": strings.Repeat("0", 64), "policy": "e30=", "key": "01a20da8-10ce-77e5-8f26-6745b32c7aca",
		} {
			if status := w.post(with(name, value), "x"); status != http.StatusForbidden {
				t.Errorf("another %s: %d", name, status)
			}
		}
		if status := w.post(fields, strings.Repeat("x", 1<<20+1)); status != http.StatusRequestEntityTooLarge {
			t.Errorf("too much: %d", status)
		}
		content := strings.Repeat("0123456789", 60_000) // more than two chunks
		if status := w.post(fields, content); status != http.StatusNoContent {
			t.Fatalf("upload: %d", status)
		}
		if status := w.post(fields, "other"); status != http.StatusForbidden {
			t.Errorf("a second upload: %d", status)
		}
		read := func(header string) (*http.Response, string) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+at.Path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if header != "" {
				req.Header.Set("Range", header)
			}
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return res, string(b)
		}
		res, got := read("") //nolint:bodyclose // closed in read
		if got != content || res.Header.Get("Content-Type") != "image/png" || res.Header.Get("Content-Security-Policy") != "sandbox" ||
			res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%d bytes with %v", len(got), res.Header)
		}
		if res, got := read("bytes=262140-262149"); res.StatusCode != http.StatusPartialContent || got != content[262140:262150] { //nolint:bodyclose // closed in read
			t.Errorf("%d %s", res.StatusCode, got)
		}
		if status, _ := w.do("", http.MethodGet, at.Path+"x", ""); status != http.StatusNotFound {
			t.Errorf("another name: %d", status)
		}
	})
}

func TestAClone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.furnish()
		var items []string
		for n := range 2100 {
			items = append(items, fmt.Sprintf(`{"name":"%04d","attributes":null}`, n))
		}
		for part := range slices.Chunk(items, 1000) {
			w.must("jane", http.MethodPost, "/datasets/jane/flowers/samples_bulk", "["+strings.Join(part, ",")+"]")
		}
		w.must("jane", http.MethodPatch, "/datasets/jane/flowers", `{"public":true}`)
		w.must("jane", http.MethodPatch, "/organizations/Acme", `{"webhooks_enabled":true}`)
		w.events("jane")

		made := w.must("jane", http.MethodPost, "/datasets/jane/flowers/clone", `{"name":"copy","owner":"acme","clone_labels":true,"public":false}`)
		if made["full_name"] != "Acme/copy" || made["cloned_from"] != "jane/flowers" || made["samples_count"] != 2102.0 || made["public"] != false {
			t.Errorf("got %v", made)
		}
		events := w.events("Acme")
		if len(events) != 2105 || events[0].Type != "dataset.created" || events[0].Object["samples_count"] != 2102.0 {
			t.Errorf("%d events, first %+v", len(events), events[0])
		}
		w.expect("jane")
		if status, answer := w.do("jane", http.MethodPost, "/datasets/jane/flowers/clone", `{"name":"copy","owner":"acme"}`); status != 400 || !strings.Contains(answer, "already have") {
			t.Errorf("%d %s", status, answer)
		}
		for body, want := range map[string]int{
			`{"owner":"nobody"}`: 400, `{"owner":"john"}`: 400, `{"name":"a/b"}`: 400, `{"task_type":"x"}`: 400, `{"clone_labels":1}`: 400,
		} {
			if status, answer := w.do("jane", http.MethodPost, "/datasets/jane/flowers/clone", body); status != want {
				t.Errorf("%s: %d %s", body, status, answer)
			}
		}
		// Whoever may read it may clone it; without webhooks nothing is recorded.
		w.must("john", http.MethodPost, "/datasets/jane/flowers/clone", `{}`)
		w.must("john", http.MethodPatch, "/user", `{"webhooks_enabled":true}`)
		w.upkeep()
		w.expect("john")
		if got := w.must("john", http.MethodGet, "/datasets/john/flowers-clone", ""); fmt.Sprint(got["label_stats"]) == "" || got["samples_count"] != 2102.0 {
			t.Errorf("got %v", got)
		}
	})
}

func TestListsOfSamplesWithLabels(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		th := w.furnish()
		names := func(query string) (list []string, labels []any) {
			status, answer := w.do("jane", http.MethodGet, "/datasets/jane/flowers/samples/?"+query, "")
			var samples []map[string]any
			if err := json.Unmarshal([]byte(answer), &samples); err != nil || status != http.StatusOK {
				t.Fatalf("%d %s", status, answer)
			}
			for _, s := range samples {
				list, labels = append(list, fmt.Sprint(s["name"])), append(labels, s["label"])
			}
			return list, labels
		}
		for query, want := range map[string]string{
			"label_status=LABELED":                             "tulip.png",
			"label_status=UNLABELED":                           "rose.png",
			"label_status=UNLABELED,LABELED,x":                 "rose.png,tulip.png",
			"label_status=nonsense":                            "rose.png,tulip.png",
			"label_status=LABELED&labelset=model%20v1":         "tulip.png",
			"label_status=UNLABELED&labelset=nowhere":          "rose.png,tulip.png",
			"sort=gt_label__updated_at":                        "tulip.png,rose.png",
			"sort=-gt_label__updated_at":                       "tulip.png,rose.png",
			"label_status=LABELED&name__contains=rose":         "",
			"label_status=UNLABELED,LABELED&per_page=1&page=2": "tulip.png",
		} {
			if got, _ := names(query); strings.Join(got, ",") != want {
				t.Errorf("%s: %v", query, got)
			}
		}
		_, labels := names("labelset=ground-truth")
		summary, _ := labels[1].(map[string]any)
		if labels[0] != nil || summary["label_status"] != "LABELED" || summary["attributes"] != nil {
			t.Errorf("got %v", labels)
		}
		_, labels = names("labelset=ground-truth&include_full_label=1")
		full, _ := labels[1].(map[string]any)
		if full["attributes"] == nil || full["label_type"] != "segmentation-bitmap" {
			t.Errorf("got %v", full)
		}
		// One URL of clients carries two question marks.
		got := w.must("jane", http.MethodGet, "/samples/"+th.labelled+"/?labelset=model%20v1?include_signed_urls=1", "")
		if label, _ := got["label"].(map[string]any); label["labelset"] != "model v1" {
			t.Errorf("got %v", got)
		}
		if list := w.listed("/datasets/" + th.labelled + "/issues"); len(list) != 1 {
			t.Errorf("the sample's issues are %v", list)
		}
		if list := w.listed("/datasets/jane/flowers/labelsets"); len(list) != 2 || fmt.Sprint(list[0]["name"]) != "ground-truth" {
			t.Errorf("the labelsets are %v", list)
		}
	})
}

func (w *world) listed(path string) (list []map[string]any) {
	w.t.Helper()
	_, answer := w.do("jane", http.MethodGet, path, "")
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		w.t.Fatalf("%s: %s", path, answer)
	}
	return list
}
