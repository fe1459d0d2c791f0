package registry

import (
	"fanfare/internal/registry"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// calls are one good call for each operation that is about a dataset.
func calls(t *testing.T) map[string]mutation {
	t.Helper()
	all := maps.Clone(mutations)
	// What the table does takes more than the role, or somebody else.
	all["PATCH /issues/{issue}"] = mutation{path: "/issues/{issue}", body: `{"status":"CLOSED"}`}
	all["PATCH /labels/{sample}/{labelset}"] = mutation{path: "/labels/{labelled}/ground-truth", body: `{"score":1}`}
	all["POST /datasets/{owner}/{name}/collaborators"] = mutation{path: "/datasets/jane/flowers/collaborators", body: `{"user":"bert"}`}
	for route, path := range map[string]string{
		"GET /datasets/{owner}/{name}":                      "/datasets/jane/flowers",
		"GET /datasets/{owner}/{name}/samples":              "/datasets/jane/flowers/samples",
		"GET /samples/{sample}":                             "/samples/{sample}?labelset=ground-truth",
		"GET /labels/{sample}/{labelset}":                   "/labels/{labelled}/ground-truth",
		"GET /datasets/{owner}/{name}/labelsets":            "/datasets/jane/flowers/labelsets",
		"GET /datasets/{owner}/{name}/labelsets/{labelset}": "/datasets/jane/flowers/labelsets/ground-truth",
		"GET /datasets/{owner}/{name}/collaborators/{user}": "/datasets/jane/flowers/collaborators/bert",
		"GET /datasets/{owner}/{name}/issues":               "/datasets/jane/flowers/issues",
		"GET /datasets/{owner}/issues":                      "/datasets/{labelled}/issues",
		"GET /datasets/{owner}/{name}/releases":             "/datasets/jane/flowers/releases",
		"GET /datasets/{owner}/{name}/releases/{release}":   "/datasets/jane/flowers/releases/v0",
		"GET /datasets/{owner}/{name}/workunits":            "/datasets/jane/flowers/workunits",
	} {
		all[route] = mutation{path: path}
	}
	api := New(nil, nil, Config{})
	for i := range api.operations {
		if op := &api.operations[i]; op.inDataset() && all[op.route].path == "" {
			t.Errorf("%s has no call", op.route)
		}
	}
	return all
}

// TestEveryOperationTakesTheRoleThatItsDocumentSays makes each call with the
// role below, and with that role.
func TestEveryOperationTakesTheRoleThatItsDocumentSays(t *testing.T) {
	t.Parallel()
	all := calls(t)
	api := New(nil, nil, Config{})
	for i := range api.operations {
		op := &api.operations[i]
		if !op.inDataset() {
			continue
		}
		t.Run(op.id, func(t *testing.T) {
			t.Parallel() // they wait for their disks more than they compute
			each(t, func(t *testing.T, w *world) {
				th := w.furnish()
				w.must("jane", http.MethodPatch, "/datasets/jane/flowers", `{"public":true}`)
				method, _, _ := strings.Cut(op.route, " ")
				call := all[op.route]
				be := func(role registry.Role) {
					t.Helper()
					if role > registry.NoRole {
						w.do("jane", http.MethodDelete, "/datasets/jane/flowers/collaborators/john", "")
						w.must("jane", http.MethodPost, "/datasets/jane/flowers/collaborators", `{"user":"john","role":"`+role.String()+`"}`)
					}
				}
				if op.role > registry.NoRole {
					be(op.role - 1)
					for _, body := range []string{call.body, `{"name":1,"text":1,"description":1,"role":1,"label_status":1,"priority":"x"}`} {
						if status, answer := w.do("john", method, th.fill(call.path), th.fill(body)); status != http.StatusForbidden {
							t.Errorf("with the role %q and %s: %d %s", (op.role - 1).String(), body, status, answer)
						}
					}
				}
				be(op.role)
				if op.id == "collaborator.create" {
					w.must("jane", http.MethodDelete, "/datasets/jane/flowers/collaborators/bert", "")
				}
				if status, answer := w.do("john", method, th.fill(call.path), th.fill(call.body)); status > 299 {
					t.Errorf("with the role %q: %d %s", op.role.String(), status, answer)
				}
			})
		})
	}
}

// TestAPrivateDatasetIsNotThereForStrangers makes each call as somebody without
// a role: whatever the body, nothing tells that the dataset exists.
func TestAPrivateDatasetIsNotThereForStrangers(t *testing.T) {
	all := calls(t)
	api := New(nil, nil, Config{})
	each(t, func(t *testing.T, w *world) {
		th := w.furnish()
		for i := range api.operations {
			op := &api.operations[i]
			if !op.inDataset() {
				continue
			}
			method, _, _ := strings.Cut(op.route, " ")
			call := all[op.route]
			bodies := []string{call.body}
			if op.body != nil {
				bodies = append(bodies, `{`, `[]`, `{}`, `{"name":1,"text":1,"description":1,"role":1,"user":1,"label_status":1,"priority":"x","clone_labels":1}`)
			}
			for _, body := range bodies {
				if status, answer := w.do("john", method, th.fill(call.path), th.fill(body)); status != http.StatusNotFound {
					t.Errorf("%s %s: %d %s", op.route, body, status, answer)
				}
			}
		}
		if got := w.texts("jane"); !slices.Equal(got, []string{}) {
			t.Errorf("it changed all the same: %v", got)
		}
	})
}

// TestNamesThatNothingHasAreNotFound puts into each parameter of a path what no
// database holds, or takes for something else.
func TestNamesThatNothingHasAreNotFound(t *testing.T) {
	api := New(nil, nil, Config{})
	all := calls(t)
	each(t, func(t *testing.T, w *world) {
		th := w.furnish()
		for _, odd := range []string{"%00", "%ff", "a%00b", "%ed%a0%80", "..", "%2e%2e", "%25", "%27", strings.Repeat("x", 5000), "%F0%9F%92%A9", "a%0ab", "%2f"} {
			for i := range api.operations {
				op := &api.operations[i]
				method, template, _ := strings.Cut(op.route, " ")
				if op.open != nil && method == http.MethodPost {
					continue
				}
				for _, m := range anyParameter.FindAllString(template, -1) {
					path := strings.NewReplacer(m, odd, "{owner}", "jane", "{name}", "flowers", "{sample}", th.labelled, "{labelset}", "ground-truth", "{issue}", th.issue,
						"{comment}", th.comment, "{release}", "v0", "{user}", "bert", "{organization}", "Acme").Replace(template)
					if status, answer := w.do("jane", method, path, th.fill(all[op.route].body)); status != http.StatusNotFound {
						t.Errorf("%s: %d %s", strings.ReplaceAll(op.route, m, odd[:min(len(odd), 20)]), status, answer)
					}
				}
			}
			for _, query := range []string{"labelset", "name__contains", "filters=a:", "label_status", "sort", "per_page", "page"} {
				name, value, _ := strings.Cut(query, "=")
				for _, path := range []string{"/datasets/jane/flowers/samples", "/samples/" + th.labelled} {
					if status, answer := w.do("jane", http.MethodGet, path+"?"+name+"="+value+odd, ""); status != http.StatusOK {
						t.Errorf("%s?%s=%s%.20s: %d %s", path, name, value, odd, status, answer)
					}
				}
			}
		}
		if got := w.texts("jane"); !slices.Equal(got, []string{}) {
			t.Errorf("something changed: %v", got)
		}
	})
}

var anyParameter = regexp.MustCompile(`\{[a-z]+\}`)
