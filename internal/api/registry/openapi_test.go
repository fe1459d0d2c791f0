package registry

import (
	"encoding/json"
	"fanfare/internal/openapitest"
	"fanfare/internal/registry"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// document is the document, against which every answer of the tests is held.
var document = openapitest.Of(func() []byte { return New(nil, nil, Config{}).document() })

func TestTheDocumentInTheRepositoryIsTheOneServed(t *testing.T) {
	document.Kept(t, "../../../docs/openapi/registry.json")
}

func TestTheDocumentHasEveryRouteAndNoOther(t *testing.T) {
	api := New(nil, nil, Config{})
	served := slices.DeleteFunc(api.router.Routes(), func(route string) bool { return route == "GET /openapi.json" })
	document.Routes(t, served)
	seen := map[string]bool{}
	for i := range api.operations {
		op := &api.operations[i]
		if seen[op.id] || op.summary == "" {
			t.Errorf("%s: the id %q or the summary %q will not do", op.route, op.id, op.summary)
		}
		seen[op.id] = true
	}
}

// TestExamplesFitTheirSchemas holds the examples of bodies against the rules
// by which they are read, too.
func TestExamplesFitTheirSchemas(t *testing.T) {
	document.Examples(t, 60)
	api := New(nil, nil, Config{})
	for i := range api.operations {
		op := &api.operations[i]
		if op.body == nil {
			continue
		}
		read := registry.Create
		if strings.HasPrefix(op.route, http.MethodPatch) {
			read = registry.Patch
		}
		sent, ok := registry.ReadList([]byte(op.example))
		if !op.many {
			sent = make([]registry.Fields, 1)
			sent[0], ok = registry.ReadFields([]byte(op.example))
		}
		if !ok {
			t.Errorf("%s: the example is %s", op.id, op.example)
			continue
		}
		fields, wrong := read(op.body, sent[0])
		if wrong != nil {
			t.Errorf("%s: %v", op.id, wrong)
		}
		for name := range sent[0] {
			if fields[name] == nil {
				t.Errorf("%s: the example has %s, which is not read", op.id, name)
			}
		}
	}
}

func TestTheDocumentIsServedToEverybody(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		status, answer := w.do("", http.MethodGet, "/openapi.json", "")
		var d struct{ OpenAPI string }
		if err := json.Unmarshal([]byte(answer), &d); err != nil || status != http.StatusOK || d.OpenAPI != "3.1.0" {
			t.Errorf("%d %.100s", status, answer)
		}
	})
}
