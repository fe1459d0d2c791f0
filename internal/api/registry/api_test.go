package registry

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheStoryOfADataset(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.flowers()
		sample := w.must("jane", http.MethodPost, "/datasets/jane/flowers/samples/", rose)
		created := w.events("jane")
		if len(created) != 1 {
			t.Fatalf("%d events", len(created))
		}
		prefix := `{"event_type":"sample.created","created_at":"` + created[0].CreatedAt + `","api_version":"2021-08-01","dataset":"jane/flowers","object":{`
		suffix := `},"text":"Sample rose.png created in dataset jane/flowers."}`
		if got := string(created[0].raw); !strings.HasPrefix(got, prefix) || !strings.HasSuffix(got, suffix) {
			t.Errorf("the payload is %s", got)
		}
		if len(created[0].CreatedAt) != len("2021-08-09T14:40:19.987691+00:00") || !strings.HasSuffix(created[0].CreatedAt, "+00:00") {
			t.Errorf("created_at is %s", created[0].CreatedAt)
		}
		delete(sample, "label") // never in events
		if diff := cmp.Diff(sample, created[0].Object); diff != "" {
			t.Errorf("object and answer differ: %s", diff)
		}

		path := "/samples/" + fmt.Sprint(sample["uuid"])
		w.must("jane", http.MethodPatch, path, `{"priority":3,"metadata":{"a":"b"}}`)
		w.expect("jane", "sample.updated: Sample rose.png updated in dataset jane/flowers: metadata, priority.")
		w.must("jane", http.MethodPatch, path, `{"priority":3.0,"metadata":{"a":"b"},"unknown":1}`)
		w.must("jane", http.MethodPatch, path, `{}`)
		w.expect("jane")
		w.must("jane", http.MethodPatch, path, `{"name":"red <rose>.png"}`)
		w.expect("jane", "sample.updated: Sample rose.png renamed to red &lt;rose&gt;.png in dataset jane/flowers.")
		w.must("jane", http.MethodPatch, path, `{"name":"rose.png","readme":"x","assigned_labeler":"JANE"}`)
		w.expect("jane", "sample.updated: Sample red &lt;rose&gt;.png renamed to rose.png in dataset jane/flowers: readme, assigned_labeler.")
		if got := w.must("jane", http.MethodGet, path, ""); got["assigned_labeler"] != "jane" || got["priority"] != 3.0 {
			t.Errorf("the sample is %v", got)
		}
		w.must("jane", http.MethodPatch, path, `{"assigned_labeler":null}`)
		w.expect("jane", "sample.updated: Sample rose.png updated in dataset jane/flowers: assigned_labeler.")

		w.must("jane", http.MethodPatch, "/datasets/jane/flowers", `{"description":"d","public":true,"name":"ignored","category":"other"}`)
		w.expect("jane", "dataset.updated: Dataset jane/flowers updated: description, public.")
		w.must("jane", http.MethodPatch, "/datasets/jane/flowers", `{"description":"d"}`)
		w.expect("jane")

		w.must("jane", http.MethodDelete, path, "")
		deleted := w.events("jane")
		if len(deleted) != 1 || deleted[0].Text != "Sample rose.png deleted from dataset jane/flowers." || deleted[0].Object["readme"] != "x" {
			t.Errorf("got %+v", deleted)
		}
		w.must("jane", http.MethodPost, "/datasets/jane/flowers/samples/", rose)
		w.expect("jane", "sample.created: Sample rose.png created in dataset jane/flowers.")
		w.must("jane", http.MethodDelete, "/datasets/jane/flowers/", "")
		deleted = w.events("jane")
		if len(deleted) != 1 || deleted[0].Text != "Dataset jane/flowers deleted." || deleted[0].Object["samples_count"] != 1.0 {
			t.Errorf("got %+v", deleted)
		}
		if status, _ := w.do("jane", http.MethodDelete, "/datasets/jane/flowers/", ""); status != http.StatusNotFound {
			t.Errorf("a second delete is %d", status)
		}
		w.must("jane", http.MethodPost, "/user/datasets/", `{"name":"flowers"}`)
		w.expect("jane", "dataset.created: Dataset jane/flowers created.")
		for more := true; more; {
			var err error
			if more, err = w.store.RemoveDeleted(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := w.must("jane", http.MethodGet, "/datasets/jane/flowers/", ""); got["samples_count"] != 0.0 {
			t.Errorf("the new dataset is %v", got)
		}
	})
}

func TestBulkCallsMakeOneEventAChangedSample(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.flowers()
		w.must("jane", http.MethodPost, "/datasets/jane/flowers/samples/", rose)
		w.events("jane")
		names := []string{"rose.png", "a", "b", "a"}
		var items []string
		for _, name := range names {
			items = append(items, fmt.Sprintf(`{"name":%q,"attributes":null,"priority":7}`, name))
		}
		status, answer := w.do("jane", http.MethodPost, "/datasets/jane/flowers/samples_bulk/", "["+strings.Join(items, ",")+"]")
		var made []map[string]any
		if err := json.Unmarshal([]byte(answer), &made); err != nil || status != http.StatusCreated || len(made) != 4 {
			t.Fatalf("%d %s", status, answer)
		}
		for i, sample := range made {
			if sample["name"] != names[i] {
				t.Errorf("sample %d is %v", i, sample)
			}
		}
		if made[1]["uuid"] != made[3]["uuid"] || made[0]["priority"] != 0.0 {
			t.Errorf("got %v", made)
		}
		w.expect("jane", "sample.created: Sample a created in dataset jane/flowers.", "sample.created: Sample b created in dataset jane/flowers.")

		status, answer = w.do("jane", http.MethodPost, "/datasets/jane/flowers/samples_bulk/", `[{"name":"c","attributes":null},{"name":"d"}]`)
		if status != http.StatusBadRequest || answer != `{"attributes":["This field is required."]}` {
			t.Errorf("%d %s", status, answer)
		}
		status, answer = w.do("jane", http.MethodPost, "/datasets/jane/flowers/samples_bulk/",
			`[{"name":"c","attributes":null},{"name":"d","attributes":null,"assigned_reviewer":"nobody"}]`)
		if status != http.StatusBadRequest || answer != `{"assigned_reviewer":["User does not exist."]}` {
			t.Errorf("%d %s", status, answer)
		}
		w.expect("jane")

		ids := fmt.Sprintf(`{"uuids":[%q,%q,"12345","01a20da8-10ce-77e5-8f26-6745b32c7aca"]}`, made[1]["uuid"], made[2]["uuid"])
		status, answer = w.do("jane", http.MethodDelete, "/datasets/jane/flowers/samples_bulk/", ids)
		if status != http.StatusOK || answer != `{"deleted_count":2}` {
			t.Errorf("%d %s", status, answer)
		}
		w.expect("jane", "sample.deleted: Sample a deleted from dataset jane/flowers.", "sample.deleted: Sample b deleted from dataset jane/flowers.")
		if got := w.must("jane", http.MethodGet, "/datasets/jane/flowers", ""); got["samples_count"] != 1.0 {
			t.Errorf("samples_count is %v", got["samples_count"])
		}
		for _, body := range []string{`{"uuids":[]}`, `{}`, `{"uuids":"x"}`, `{"uuids":[1]}`, `{"uuids":["` + strings.Repeat(`x","`, 1000) + `x"]}`} {
			if status, answer := w.do("jane", http.MethodDelete, "/datasets/jane/flowers/samples_bulk/", body); status != http.StatusBadRequest {
				t.Errorf("%d %s", status, answer)
			}
		}
	})
}

func TestALongImportIsCutIntoSlices(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.flowers()
		var items []string
		for n := range 2345 {
			items = append(items, fmt.Sprintf(`{"name":"%d","attributes":null}`, n))
		}
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		if _, err := io.WriteString(z, "["+strings.Join(items, ",")+"]"); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/datasets/jane/flowers/samples_bulk/", &zipped)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "APIKey jane")
		req.Header.Set("Content-Encoding", "gzip")
		if status, answer := w.send(req); status != http.StatusCreated || strings.Count(answer, `"uuid"`) != 2345 {
			t.Fatalf("%d with %d bytes", status, len(answer))
		}
		if n := len(w.events("jane")); n != 2345 {
			t.Errorf("%d events", n)
		}
		w.must("jane", http.MethodDelete, "/datasets/jane/flowers", "")
		w.expect("jane", "dataset.deleted: Dataset jane/flowers deleted.")
	})
}

func TestEventsAreRecordedForTheOwnerOnlyAndOnlyWhileEnabled(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must("jane", http.MethodPost, "/user/datasets/", `{"name":"early"}`)
		w.flowers()
		w.must("bert", http.MethodPatch, "/user/", `{"webhooks_enabled":true}`)
		w.must("jane", http.MethodPatch, "/organizations/Acme/", `{"webhooks_enabled":true}`)
		dataset := w.must("jane", http.MethodPost, "/organizations/acme/datasets/", `{"name":"cars"}`)
		if dataset["full_name"] != "Acme/cars" || dataset["collaborators_count"] != 2.0 {
			t.Errorf("got %v", dataset)
		}
		w.expect("Acme", "dataset.created: Dataset Acme/cars created.")
		w.expect("jane")
		w.expect("bert")
		w.must("jane", http.MethodPatch, "/user/", `{"webhooks_enabled":false}`)
		w.must("jane", http.MethodPost, "/datasets/jane/flowers/samples/", rose)
		w.must("jane", http.MethodPatch, "/user/", `{"webhooks_enabled":true}`)
		w.expect("jane")
		w.must("jane", http.MethodPatch, "/datasets/jane/early/", `{"archived":true}`)
		w.expect("jane", "dataset.updated: Dataset jane/early updated: archived.")
	})
}

func TestPermissions(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.flowers()
		sample := w.must("jane", http.MethodPost, "/datasets/jane/flowers/samples/", rose)
		path := "/samples/" + fmt.Sprint(sample["uuid"])
		w.must("jane", http.MethodPost, "/organizations/Acme/datasets/", `{"name":"cars"}`)
		car := fmt.Sprint("/samples/", w.must("jane", http.MethodPost, "/datasets/Acme/cars/samples", rose)["uuid"])
		w.events("jane")
		const notFound, forbidden, notAdmin = `{"detail":"Not found."}`, `{"detail":"You do not have permission to perform this action."}`,
			`{"detail":"You need to be an administrator of this organization."}`
		type call struct{ as, method, path, body, want string }
		check := func(calls ...call) {
			t.Helper()
			for _, c := range calls {
				status, answer := w.do(c.as, c.method, c.path, c.body)
				wanted := map[string]int{notFound: 404, forbidden: 403, notAdmin: 403, "": 200}[c.want]
				if status != wanted || c.want != "" && answer != c.want {
					t.Errorf("%s %s %s: %d %s", c.as, c.method, c.path, status, answer)
				}
			}
		}
		writes := func(as, ds, sample, want string) {
			t.Helper()
			check(
				call{as, "PATCH", ds, `{}`, want}, call{as, "PATCH", ds, `{"category":"no such"}`, want}, call{as, "DELETE", ds, "", want},
				call{as, "POST", ds + "/samples", rose, want}, call{as, "POST", ds + "/samples", `{}`, want},
				call{as, "POST", ds + "/samples_bulk", "[]", want}, call{as, "DELETE", ds + "/samples_bulk", `{"uuids":["x"]}`, want},
				call{as, "PATCH", sample, `{"priority":1}`, want}, call{as, "PATCH", sample, `{"name":""}`, want},
				call{as, "PATCH", sample, `{}`, want}, call{as, "DELETE", sample, "", want},
			)
		}
		// A private dataset is hidden from those without a role.
		writes("john", "/datasets/jane/flowers", path, notFound)
		check(
			call{"john", "GET", "/datasets/jane/flowers", "", notFound}, call{"john", "GET", path, "", notFound},
			call{"john", "GET", "/datasets/jane/flowers/samples", "", notFound},
			call{"john", "POST", "/organizations/Acme/datasets", `{"name":"x"}`, notFound},
			call{"john", "PATCH", "/organizations/Acme", `{"webhooks_enabled":true}`, notFound},
			call{"bert", "POST", "/organizations/Acme/datasets", `{"name":"x"}`, notAdmin},
			call{"bert", "PATCH", "/organizations/Acme", `{"webhooks_enabled":true}`, notAdmin},
			call{"jane", "PATCH", "/organizations/jane", `{"webhooks_enabled":true}`, notFound},
		)
		// A member with a role sees it and may not change it.
		writes("bert", "/datasets/Acme/cars", car, forbidden)
		check(call{"bert", "GET", "/datasets/Acme/cars", "", ""}, call{"bert", "GET", car, "", ""})
		if got := w.must("bert", http.MethodGet, "/datasets/Acme/cars", ""); got["role"] != "labeler" {
			t.Errorf("role is %v", got["role"])
		}
		// A public one is read by anybody.
		w.must("jane", http.MethodPatch, "/datasets/jane/flowers", `{"public":true}`)
		writes("john", "/datasets/jane/flowers", path, forbidden)
		check(call{"john", "GET", "/datasets/jane/flowers", "", ""}, call{"john", "GET", path, "", ""})
		if got := w.must("john", http.MethodGet, "/datasets/jane/flowers", ""); got["role"] != nil {
			t.Errorf("role is %v", got["role"])
		}
		w.expect("jane", "dataset.updated: Dataset jane/flowers updated: public.")
		// Who may not see a dataset cannot be assigned to its samples.
		w.must("jane", http.MethodPatch, car, `{"assigned_labeler":"bert","assigned_reviewer":"acme"}`)
		if status, answer := w.do("jane", http.MethodPatch, car, `{"assigned_labeler":"john"}`); status != 400 || answer != `{"assigned_labeler":["User does not exist."]}` {
			t.Errorf("%d %s", status, answer)
		}
	})
}

func TestBadInputIsRefusedWithTheContractsBody(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.flowers()
		sample := fmt.Sprint("/samples/", w.must("jane", http.MethodPost, "/datasets/jane/flowers/samples/", rose)["uuid"])
		w.must("jane", http.MethodPost, "/datasets/jane/flowers/samples/", strings.Replace(rose, "rose.png", "other", 1))
		w.events("jane")
		for _, test := range []struct {
			sentence, method, path, body string
			status                       int
			answer                       string
		}{
			{"half an object", "POST", "/user/datasets", `{"name":`, 400, `{"detail":"JSON parse error."}`},
			{"an object and more", "POST", "/user/datasets", `{"name":"a"} x`, 400, `{"detail":"JSON parse error."}`},
			{"a list for an object", "POST", "/user/datasets", `[]`, 400, `{"detail":"JSON parse error."}`},
			{"null for an object", "PATCH", sample, `null`, 400, `{"detail":"JSON parse error."}`},
			{"an object for a list", "POST", "/datasets/jane/flowers/samples_bulk", `{}`, 400, `{"detail":"JSON parse error."}`},
			{"a list of numbers", "POST", "/datasets/jane/flowers/samples_bulk", `[1]`, 400, `{"detail":"JSON parse error."}`},
			{"bytes that are no UTF-8", "POST", "/user/datasets", "{\"name\":\"\xff\"}", 400, `{"detail":"JSON parse error."}`},
			{"no body", "POST", "/user/datasets", ``, 400, `{"name":["This field is required."]}`},
			{"a body over the cap", "POST", "/user/datasets", strings.Repeat(" ", 70_000), 413, `{"detail":"Request body too large."}`},
			{"a dataset name with a slash", "POST", "/user/datasets", `{"name":"a/b"}`, 400, `{"name":["Use 1 to 100 letters, digits, dots, underscores and hyphens."]}`},
			{"a dataset named ..", "POST", "/user/datasets", `{"name":".."}`, 400, `{"name":["Use 1 to 100 letters, digits, dots, underscores and hyphens."]}`},
			{"a dataset name that is taken", "POST", "/user/datasets", `{"name":"flowers"}`, 400, `{"detail":"You already have a dataset with this name."}`},
			{"an unknown category", "POST", "/user/datasets", `{"name":"a","category":"custom-x"}`, 400, `{"category":["Not a valid choice."]}`},
			{
				"several things wrong", "PATCH", "/datasets/jane/flowers", `{"public":1,"description":null,"metadata":[]}`, 400,
				`{"description":["This field may not be null."],"public":["Must be a valid boolean."],"metadata":["Must be a JSON object."]}`,
			},
			{
				"a description that is too long", "PATCH", "/datasets/jane/flowers", `{"description":"` + strings.Repeat("é", 10_001) + `"}`, 400,
				`{"description":["Ensure this field has no more than 10000 characters."]}`,
			},
			{
				"task attributes nobody could read back", "PATCH", "/datasets/jane/flowers", `{"task_attributes":{"categories":[{"id":1}]}}`, 400,
				`{"task_attributes":["Not in a supported format."]}`,
			},
			{
				"a sample name that goes up", "POST", "/datasets/jane/flowers/samples", `{"name":"a/../b","attributes":null}`, 400,
				`{"name":["Use 1 to 255 characters, without control characters and without '..' as a path segment."]}`,
			},
			{
				"a sample name with a control character", "POST", "/datasets/jane/flowers/samples", `{"name":"a\u0007","attributes":null}`, 400,
				`{"name":["Use 1 to 255 characters, without control characters and without '..' as a path segment."]}`,
			},
			{"a sample without attributes", "POST", "/datasets/jane/flowers/samples", `{"name":"a"}`, 400, `{"attributes":["This field is required."]}`},
			{"empty attributes", "POST", "/datasets/jane/flowers/samples", `{"name":"a","attributes":{}}`, 400, `{"attributes":["Not in a supported format."]}`},
			{"a readme with a zero", "PATCH", sample, `{"readme":"a\u0000"}`, 400, `{"readme":["Null characters are not allowed."]}`},
			{"a priority beyond all numbers", "PATCH", sample, `{"priority":1e999}`, 400, `{"priority":["A valid number is required."]}`},
			{"a sample name that is taken", "POST", "/datasets/jane/flowers/samples", rose, 400, `{"detail":"A sample with this name already exists."}`},
			{"a rename to a name that is taken", "PATCH", sample, `{"name":"other"}`, 400, `{"detail":"A sample with this name already exists."}`},
			{"an account nobody has", "PATCH", sample, `{"assigned_labeler":"nobody"}`, 400, `{"assigned_labeler":["User does not exist."]}`},
			{"webhooks_enabled that is no boolean", "PATCH", "/user", `{"webhooks_enabled":"yes"}`, 400, `{"webhooks_enabled":["Must be a valid boolean."]}`},
			{"webhooks_enabled that is null", "PATCH", "/user", `{"webhooks_enabled":null}`, 400, `{"webhooks_enabled":["This field may not be null."]}`},
			{"a malformed id", "GET", "/samples/12345", ``, 404, `{"detail":"Not found."}`},
			{"an id nobody has", "GET", "/samples/01a20da8-10ce-77e5-8f26-6745b32c7aca/", ``, 404, `{"detail":"Not found."}`},
			{"an unknown path", "GET", "/nowhere", ``, 404, `{"detail":"Not found."}`},
			{"a method the path lacks", "PUT", "/user", ``, 404, `{"detail":"Not found."}`},
			{"a dataset of one segment", "PATCH", "/datasets/abcde/", `{}`, 404, `{"detail":"Not found."}`},
			{"two slashes", "GET", "//user", ``, 404, `{"detail":"Not found."}`},
			{"dots that a mux would clean", "GET", "/users/../user", ``, 404, `{"detail":"Not found."}`},
			{"a sample with a slash in its path", "GET", "/samples/a%2fb", ``, 404, `{"detail":"Not found."}`},
		} {
			t.Run(test.sentence, func(t *testing.T) {
				status, answer := w.do("jane", test.method, test.path, test.body)
				if status != test.status || answer != test.answer {
					t.Errorf("%d %s", status, answer)
				}
			})
		}
		w.expect("jane")
	})
}
