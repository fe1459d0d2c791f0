package openapi

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Document describes an HTTP API. The faces make theirs of the tables by which
// they serve (https://spec.openapis.org/oas/v3.1.0).
type Document struct {
	Title, Text string
	// Scheme is the name of the way in which callers say who they are, Security
	// what it is.
	Scheme   string
	Security map[string]any
	// PathParameters say what the parameters in paths are, by name.
	PathParameters map[string]string
	// Refusals are what operations answer instead, by status.
	Refusals   map[int]Content
	Operations []Operation
	// Schemas are what the schemas of operations refer to, by name.
	Schemas map[string]any
}

// Operation is one route of an API.
type Operation struct {
	// Route is a method and a path, such as "POST /app/{app}".
	Route         string
	ID, Tag       string
	Summary, Text string
	Parameters    []Parameter
	// PathParameters are those of which the document's do not hold.
	PathParameters     map[string]string
	Body               Content
	BodyMayBeLeftOut   bool
	Answers            map[int]Content
	Refusals           []int
	WithoutCredentials bool
}

// Parameter is one of the query, or a header.
type Parameter struct {
	Name   string
	Header bool
	Text   string
	Schema map[string]any
	// Commas says that the items of a list stand in one value, apart by commas.
	Commas bool
}

// Content is what a body may be, by media type; nil for none.
type Content map[string]Media

// Media is the form of a body, with an example.
type Media struct {
	Example any `json:"example,omitempty"`
	Schema  any `json:"schema"`
}

// JSON is a body that is JSON.
func JSON(schema, example any) Content {
	return Content{"application/json": {Schema: schema, Example: example}}
}

// Ref refers to one of the schemas of a document.
func Ref(name string) map[string]any { return object{"$ref": componentRef + name} }

// Append writes the document to b.
func (d *Document) Append(b []byte) []byte {
	paths := map[string]object{}
	for i := range d.Operations {
		op := &d.Operations[i]
		method, path, _ := strings.Cut(op.Route, " ")
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path][strings.ToLower(method)] = d.operation(op, path)
	}
	responses := object{}
	for status, content := range d.Refusals {
		responses[responseName(status)] = response(status, content)
	}
	text, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": d.Title, "version": "1", "description": d.Text,
			"license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"paths":    paths,
		"security": []any{object{d.Scheme: []any{}}},
		"components": object{
			"schemas":         d.Schemas,
			"responses":       responses,
			"securitySchemes": object{d.Scheme: d.Security},
		},
	}, "", "  ")
	if err != nil {
		panic(err) // everything in it has a JSON form
	}
	return append(append(b, text...), '\n')
}

var pathParameter = regexp.MustCompile(`\{([a-z]+)\}`)

func (d *Document) operation(op *Operation, path string) object {
	o := object{
		"operationId": op.ID, "summary": op.Summary, "tags": []any{op.Tag}, "description": op.Text, "responses": d.responses(op),
	}
	var parameters []any
	for _, m := range pathParameter.FindAllStringSubmatch(path, -1) {
		text := cmp.Or(op.PathParameters[m[1]], d.PathParameters[m[1]])
		parameters = append(parameters, object{"name": m[1], "in": "path", "required": true, "description": text, "schema": object{"type": "string"}})
	}
	for _, p := range op.Parameters {
		parameters = append(parameters, p.describe())
	}
	if parameters != nil {
		o["parameters"] = parameters
	}
	if op.Body != nil {
		o["requestBody"] = object{"required": !op.BodyMayBeLeftOut, "content": op.Body}
	}
	if op.WithoutCredentials {
		o["security"] = []any{}
	}
	return o
}

func (p *Parameter) describe() object {
	o := object{"name": p.Name, "in": "query", "description": p.Text, "schema": p.Schema}
	if p.Header {
		o["in"] = "header"
	}
	if p.Commas {
		o["style"], o["explode"] = "form", false
	}
	return o
}

func (d *Document) responses(op *Operation) object {
	all := object{}
	for status, content := range op.Answers {
		all[strconv.Itoa(status)] = response(status, content)
	}
	for _, status := range op.Refusals {
		all[strconv.Itoa(status)] = object{"$ref": "#/components/responses/" + responseName(status)}
	}
	return all
}

func response(status int, content Content) object {
	o := object{"description": http.StatusText(status)}
	if content != nil {
		o["content"] = maps.Clone(content)
	}
	return o
}

func responseName(status int) string { return strings.ReplaceAll(http.StatusText(status), " ", "") }
