package guide

import (
	"encoding/json"
	"fanfare/docs/openapi"
	"fanfare/internal/schema"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Reference is an OpenAPI document, ready to be shown.
type Reference struct {
	// Name is that of its file, without the extension.
	Name, Title string
	// Lead says in a sentence or two what the API is for, Text how it is called.
	Lead, Text string
	Groups     []Group
	// Source is the document itself.
	Source []byte
}

// Group is the operations on one kind of thing.
type Group struct {
	Name, Title string
	Operations  []Operation
}

// Operation is one thing that a client can do.
type Operation struct {
	ID, Method, Path, Summary, Text string
	Parameters, Body                []schema.Row
	Example                         string
	Answers                         []Answer
}

// Answer is one way in which an operation is answered.
type Answer struct {
	Status, Text string
	Rows         []schema.Row
	Example      string
}

// titles of the documents, in the order in which they are listed.
var documents = []struct{ name, title string }{
	{"webhooks", "Sender API"},
	{"registry", "Registry API"},
}

func readReferences() ([]Reference, error) {
	var all []Reference
	for _, d := range documents {
		source, err := openapi.Files.ReadFile(d.name + ".json")
		if err != nil {
			continue // there is none of this face
		}
		r, err := readReference(source)
		if err != nil {
			return nil, fmt.Errorf("docs/openapi/%s.json: %w", d.name, err)
		}
		r.Name, r.Title, r.Source = d.name, d.title, source
		all = append(all, r)
	}
	return all, nil
}

// document is the part of an OpenAPI document that is shown.
type document struct {
	Info  struct{ Description string }
	Paths map[string]map[string]operation
}

type operation struct {
	OperationID          string `json:"operationId"`
	Summary, Description string
	Tags                 []string
	Parameters           []struct {
		Name, In, Description string
		Required              bool
		Schema                json.RawMessage
	}
	RequestBody struct{ Content map[string]media } `json:"requestBody"`
	Responses   map[string]struct {
		Description string
		Content     map[string]media
	}
}

type media struct {
	Schema  json.RawMessage
	Example json.RawMessage
}

func readReference(source []byte) (Reference, error) {
	var d document
	var root any
	if err := json.Unmarshal(source, &root); err != nil {
		return Reference{}, err
	}
	if err := json.Unmarshal(source, &d); err != nil {
		return Reference{}, err
	}
	var r Reference
	r.Lead, r.Text, _ = strings.Cut(d.Info.Description, "\n\n")
	groups := map[string]*Group{}
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range []string{"get", "post", "put", "patch", "delete"} {
			op, ok := d.Paths[path][method]
			if !ok {
				continue
			}
			tag := "other"
			if len(op.Tags) > 0 {
				tag = op.Tags[0]
			}
			if groups[tag] == nil {
				groups[tag] = &Group{Name: tag, Title: titleOf(tag)}
			}
			groups[tag].Operations = append(groups[tag].Operations, op.show(root, strings.ToUpper(method), path))
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(groups)) {
		r.Groups = append(r.Groups, *groups[tag])
	}
	return r, nil
}

// titleOf makes a title of a tag: "background-task" is "Background tasks".
func titleOf(tag string) string {
	text := strings.ReplaceAll(tag, "-", " ")
	return strings.ToUpper(text[:1]) + text[1:]
}

func (op *operation) show(root any, method, path string) Operation {
	o := Operation{ID: strings.TrimPrefix(op.OperationID, "v1."), Method: method, Path: path, Summary: op.Summary, Text: op.Description}
	for _, p := range op.Parameters {
		row := schema.Row{Name: p.Name, Text: p.Description, Required: p.Required}
		// The schema of a parameter stands alone: it is shown as the one
		// member of an object.
		if rows := schema.Table(root, json.RawMessage(`{"properties":{"p":`+orEmpty(p.Schema)+`}}`)); len(rows) > 0 {
			row.Type, row.Limits = rows[0].Type, rows[0].Limits
		}
		row.Type = strings.TrimSpace(row.Type + ", in the " + p.In)
		o.Parameters = append(o.Parameters, row)
	}
	if m, ok := jsonOf(op.RequestBody.Content); ok {
		o.Body, o.Example = schema.Table(root, m.Schema), m.example()
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		answer := op.Responses[status]
		a := Answer{Status: status, Text: answer.Description}
		if code, err := strconv.Atoi(status); err == nil {
			a.Status += " " + http.StatusText(code)
		}
		// What goes wrong looks the same everywhere, and is not repeated.
		if m, ok := jsonOf(answer.Content); ok && status < "300" {
			a.Rows, a.Example = schema.Table(root, m.Schema), m.example()
		}
		o.Answers = append(o.Answers, a)
	}
	return o
}

func orEmpty(schema json.RawMessage) string {
	if len(schema) == 0 {
		return "{}"
	}
	return string(schema)
}

func jsonOf(content map[string]media) (media, bool) {
	if m, ok := content["application/json"]; ok {
		return m, true
	}
	for _, name := range slices.Sorted(maps.Keys(content)) {
		return content[name], true
	}
	return media{}, false
}

func (m media) example() string {
	if m.Example == nil {
		return exampleOf(m.Schema)
	}
	return exampleOf(json.RawMessage(`{"example":` + string(m.Example) + `}`))
}

func exampleOf(s json.RawMessage) string { return schema.Example(s) }

// Anchor is the address of an operation on its page.
func (o Operation) Anchor() string { return strings.ToLower(strings.ReplaceAll(o.ID, ".", "-")) }

// Group finds a group by its name.
func (r Reference) Group(name string) (Group, bool) {
	for _, g := range r.Groups {
		if g.Name == name {
			return g, true
		}
	}
	return Group{}, false
}

func (r Reference) sections() []Section {
	var list []Section
	for _, g := range r.Groups {
		for _, o := range g.Operations {
			var text strings.Builder
			fmt.Fprintf(&text, "%s %s %s", o.Method, o.Path, o.Text)
			for _, row := range slices.Concat(o.Parameters, o.Body) {
				fmt.Fprintf(&text, " %s %s", row.Name, row.Text)
			}
			list = append(list, Section{
				Path: "api/" + r.Name + "/" + g.Name + "#" + o.Anchor(), Page: r.Title, Title: o.Summary, text: text.String(),
			}.fold())
		}
	}
	return list
}
