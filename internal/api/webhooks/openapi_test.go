package webhooks

import (
	"bytes"
	"encoding/json"
	"fanfare/internal/store/storetest"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const documentFile = "../../../docs/openapi/webhooks.json"

func newAPI(t *testing.T) *API {
	t.Helper()
	return New(storetest.Open(t, storetest.SQLite(t)), storetest.Log(t), Config{})
}

func TestTheDocumentInTheRepositoryIsTheOneServed(t *testing.T) {
	served := newAPI(t).document()
	if os.Getenv("FANFARE_UPDATE") == "1" {
		if err := os.WriteFile(documentFile, served, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(documentFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, served) {
		t.Error("docs/openapi/webhooks.json is old: make openapi writes it anew")
	}
}

// TestExamplesFitTheirSchemas holds each example of the document against the
// schema that stands beside it, and each example of a body against the reader.
func TestExamplesFitTheirSchemas(t *testing.T) {
	api := newAPI(t)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(api.document()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource("doc.json", doc); err != nil {
		t.Fatal(err)
	}
	checked := 0
	var walk func(v any, pointer string)
	walk = func(v any, pointer string) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				at := doc
				for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
					at, _ = at.(map[string]any)[name]
				}
				if target, ok := at.(map[string]any); !ok || target["$ref"] != nil {
					t.Errorf("%s leads to nothing: %s", pointer, ref)
				}
			}
			example, hasExample := v["example"]
			if _, hasSchema := v["schema"]; hasSchema && hasExample {
				schema, err := compiler.Compile("doc.json#" + pointer + "/schema")
				if err != nil {
					t.Errorf("%s: %v", pointer, err)
					return
				}
				if err := schema.Validate(example); err != nil {
					t.Errorf("%s: %v", pointer, err)
				}
				checked++
			}
			for name, member := range v {
				if name != "example" {
					walk(member, pointer+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
				}
			}
		case []any:
			// Examples stand in no list.
		}
	}
	walk(doc, "")
	if checked < 70 {
		t.Errorf("only %d examples", checked)
	}
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
