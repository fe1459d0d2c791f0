package webhooks

import (
	"encoding/json"
	"fanfare/internal/openapitest"
	"slices"
	"testing"
)

// document is the document, against which every answer of the tests is held.
var document = openapitest.Of(func() []byte { return New(nil, nil, Config{}).document() })

func TestTheDocumentInTheRepositoryIsTheOneServed(t *testing.T) {
	document.Kept(t, "../../../docs/openapi/webhooks.json")
}

func TestTheDocumentHasEveryRouteAndNoOther(t *testing.T) {
	served := slices.DeleteFunc(New(nil, nil, Config{}).router.Routes(), func(route string) bool {
		return route == "GET "+Prefix+"/openapi.json" || slices.Contains(notServed, route)
	})
	document.Routes(t, served)
}

// TestExamplesFitTheirSchemas holds the examples of bodies against the reader,
// too.
func TestExamplesFitTheirSchemas(t *testing.T) {
	document.Examples(t, 70)
	api := New(nil, nil, Config{})
	for i := range api.operations {
		op := &api.operations[i]
		if op.body == nil {
			continue
		}
		var r reader
		r.body(json.RawMessage(op.example), op.body, []string{"body"})
		if r.problems != nil {
			t.Errorf("%s: %v", op.id, r.problems)
		}
	}
}
