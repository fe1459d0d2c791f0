// Package openapitest holds an OpenAPI document of ours against the API that it
// describes. Only tests import it.
package openapitest

import (
	"bytes"
	"fmt"
	"mime"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Document is a document that answers can be held against. It is safe for use
// by many tests at a time.
type Document struct {
	write    func() []byte
	read     sync.Once
	text     []byte
	root     object
	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

type object = map[string]any

// Of is the document that write writes, when a test first asks for it. Where
// its schemas list the members of an answer and say nothing of others, an
// answer with others does not fit.
func Of(write func() []byte) *Document { return &Document{write: write} }

func (d *Document) load(t *testing.T) {
	t.Helper()
	d.read.Do(func() {
		d.text, d.compiler, d.compiled = d.write(), jsonschema.NewCompiler(), map[string]*jsonschema.Schema{}
		d.compiler.DefaultDraft(jsonschema.Draft2020)
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(d.text))
		if err != nil {
			t.Fatal(err)
		}
		d.root, _ = parsed.(object)
		for _, s := range d.at("#/components/schemas") {
			if s, _ := s.(object); s["properties"] != nil && s["additionalProperties"] == nil {
				s["additionalProperties"] = false
			}
		}
		if err := d.compiler.AddResource(base, parsed); err != nil {
			t.Fatal(err)
		}
	})
}

const base = "https://document.invalid/"

// Kept checks that a file of the repository holds the document, or writes it
// there when FANFARE_UPDATE is 1.
func (d *Document) Kept(t *testing.T, file string) {
	t.Helper()
	d.load(t)
	if os.Getenv("FANFARE_UPDATE") == "1" {
		if err := os.WriteFile(file, d.text, 0o644); err != nil { //nolint:gosec // it is for everybody
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(file) //nolint:gosec // a test names it
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, d.text) {
		t.Errorf("%s is old: make openapi writes it anew", file)
	}
}

// Routes checks that the document describes the routes that are served and no
// others.
func (d *Document) Routes(t *testing.T, served []string) {
	t.Helper()
	d.load(t)
	var told []string
	for path, item := range d.at("#/paths") {
		item, _ := item.(object)
		for method := range item {
			told = append(told, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(told)
	if served = slices.Sorted(slices.Values(served)); !slices.Equal(told, served) {
		t.Errorf("the document has\n%q\nand the router\n%q", told, served)
	}
}

// Examples holds each example of the document against the schema that stands
// beside it, and sees that each reference leads somewhere. There must be some.
func (d *Document) Examples(t *testing.T, atLeast int) {
	t.Helper()
	d.load(t)
	examples := 0
	var walk func(v any, pointer string)
	walk = func(v any, pointer string) {
		if list, ok := v.([]any); ok {
			for i, item := range list {
				walk(item, fmt.Sprint(pointer, "/", i))
			}
			return
		}
		o, _ := v.(object)
		if ref, ok := o["$ref"].(string); ok {
			if target := d.at(ref); target == nil || target["$ref"] != nil {
				t.Errorf("%s leads to nothing: %s", pointer, ref)
			}
		}
		example, hasExample := o["example"]
		if _, hasSchema := o["schema"]; hasSchema && hasExample {
			if problem := d.misfit(pointer+"/schema", example); problem != "" {
				t.Error(problem)
			}
			examples++
		}
		for name, member := range o {
			if name != "example" {
				walk(member, pointer+"/"+escape(name))
			}
		}
	}
	walk(d.root, "")
	if examples < atLeast {
		t.Errorf("only %d examples", examples)
	}
}

// Answer holds an answer against the document. What no operation of the
// document matches may answer what it wants.
func (d *Document) Answer(t *testing.T, method, path string, status int, contentType string, body []byte) {
	t.Helper()
	d.load(t)
	if problem := d.problem(method, path, status, contentType, body); problem != "" {
		t.Errorf("%s %s answers %d: %s", method, path, status, problem)
	}
}

// problem says where an answer is not what the document says, or "".
func (d *Document) problem(method, path string, status int, contentType string, body []byte) string {
	template := d.template(method, path)
	if template == "" {
		return ""
	}
	pointer := "/paths/" + escape(template) + "/" + strings.ToLower(method) + "/responses/" + fmt.Sprint(status)
	response := d.at("#" + pointer)
	if ref, ok := response["$ref"].(string); ok {
		pointer = strings.TrimPrefix(ref, "#")
		response = d.at(ref)
	}
	content, hasContent := response["content"].(object)
	kind, _, _ := mime.ParseMediaType(contentType)
	switch {
	case response == nil:
		return fmt.Sprintf("the document knows no such status; the body is %s", body)
	case !hasContent && len(body) > 0:
		return fmt.Sprintf("in the document it has no body; it is %s", body)
	case !hasContent || content["*/*"] != nil:
		return ""
	case content[kind] == nil:
		return fmt.Sprintf("the document knows no %q", contentType)
	case kind != "application/json":
		return ""
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Sprintf("%v: %s", err, body)
	}
	return d.misfit(pointer+"/content/"+escape(kind)+"/schema", value)
}

// template is the path of the document that matches, the one with the fewest
// parameters; "" for none.
func (d *Document) template(method, path string) string {
	segments, best := strings.Split(strings.TrimSuffix(path, "/"), "/"), ""
	for template, item := range d.at("#/paths") {
		if item, _ := item.(object); item[strings.ToLower(method)] == nil {
			continue
		}
		if matches(strings.Split(template, "/"), segments) && (best == "" || strings.Count(template, "{") < strings.Count(best, "{")) {
			best = template
		}
	}
	return best
}

func matches(template, segments []string) bool {
	return slices.EqualFunc(template, segments, func(want, got string) bool {
		return want == got || strings.HasPrefix(want, "{") && got != ""
	})
}

// misfit says how a value does not fit the schema at a place of the document,
// or "".
func (d *Document) misfit(pointer string, value any) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	schema, ok := d.compiled[pointer]
	if !ok {
		var err error
		if schema, err = d.compiler.Compile(base + "#" + pointer); err != nil {
			return err.Error()
		}
		d.compiled[pointer] = schema
	}
	if err := schema.Validate(value); err != nil {
		return err.Error()
	}
	return ""
}

// at is what a reference leads to; nil for nothing.
func (d *Document) at(ref string) object {
	at := d.root
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at, _ = at[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)].(object)
	}
	return at
}

// escape writes a name into a JSON pointer.
func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }
