package webhooks

import (
	"encoding/json"
	"fanfare/internal/webhook"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The OpenAPI 3.1 document is made of the operations
// (https://spec.openapis.org/oas/v3.1.0).

type jsonObject = map[string]any

// openAPI writes the document.
func (a *API) openAPI() []byte {
	d := documenter{schemas: jsonObject{}}
	paths := jsonObject{}
	for i := range a.operations {
		op := &a.operations[i]
		method, path, _ := strings.Cut(op.route, " ")
		item, ok := paths[Prefix+path].(jsonObject)
		if !ok {
			item = jsonObject{}
			paths[Prefix+path] = item
		}
		item[strings.ToLower(method)] = d.operation(op, path)
	}
	responses := jsonObject{}
	for status, out := range documentedRefusals {
		responses[responseName(status)] = d.response(status, out)
	}
	doc, err := json.MarshalIndent(jsonObject{
		"openapi": "3.1.0",
		"info": jsonObject{
			"title": "Fanfare", "version": "1",
			"description": "Sends webhooks: signed, retried, in order of nobody's mistakes. Speaks the API of the Svix client libraries.",
			"license":     jsonObject{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"paths":    paths,
		"security": []any{jsonObject{"bearer": []any{}}},
		"components": jsonObject{
			"schemas":         d.schemas,
			"responses":       responses,
			"securitySchemes": jsonObject{"bearer": jsonObject{"type": "http", "scheme": "bearer"}},
		},
	}, "", "  ")
	if err != nil {
		panic(err) // everything in it has a JSON form
	}
	return append(doc, '\n')
}

// documenter collects the forms of answers.
type documenter struct{ schemas jsonObject }

var pathParameter = regexp.MustCompile(`\{([a-z]+)\}`)

var parameterDocs = map[string]string{
	"app": "The application, by id or uid.", "ep": "The endpoint, by id or uid.", "msg": "The message, by id or eventId.",
	"at": "The attempt, by id.", "name": "The name of the event type.", "task": "The background task, by id.",
	"sink": "The endpoint, by id or uid.", "consumer": "A name that the client gives itself.",
}

var accessDocs = map[access]string{
	anybody: "Anybody may call it.", anyToken: "Needs a token.", forEnvironment: "Needs a token of the environment.",
	forApplication: "Needs a token of the environment or of the application.",
}

func (d *documenter) operation(op *operation, path string) jsonObject {
	tag, _, _ := strings.Cut(op.id, ".")
	o := jsonObject{
		"operationId": "v1." + op.id, "summary": op.summary, "tags": []any{tag},
		"description": strings.TrimSpace(op.doc + "\n\n" + accessDocs[op.access] + capabilityDoc(op.can)),
		"responses":   d.responses(op),
	}
	var parameters []any
	for _, m := range pathParameter.FindAllStringSubmatch(path, -1) {
		parameters = append(parameters, jsonObject{
			"name": m[1], "in": "path", "required": true, "description": parameterDocs[m[1]], "schema": jsonObject{"type": "string"},
		})
	}
	for i := range op.query {
		f := &op.query[i]
		parameter := jsonObject{"name": f.name, "in": "query", "description": f.doc, "schema": d.field(f)}
		if f.kind == texts {
			parameter["style"], parameter["explode"] = "form", false
		}
		parameters = append(parameters, parameter)
	}
	if strings.HasPrefix(op.route, http.MethodPost) && op.access != anybody {
		parameters = append(parameters, jsonObject{
			"name": "idempotency-key", "in": "header", "schema": jsonObject{"type": "string"},
			"description": "A request that is repeated with its key is done once.",
		})
	}
	if parameters != nil {
		o["parameters"] = parameters
	}
	switch {
	case op.raw:
		const example = `{"specversion":"1.0","id":"42","source":"/billing","type":"invoice.paid","data":{"invoice":"in_42"}}`
		event := d.object(cloudEventFields)
		o["requestBody"] = jsonObject{"required": true, "content": jsonObject{
			structured: jsonObject{"schema": event, "example": json.RawMessage(example)},
			batched:    jsonObject{"schema": jsonObject{"type": "array", "items": event}, "example": json.RawMessage("[" + example + "]")},
		}}
	case op.body != nil:
		o["requestBody"] = jsonObject{"required": requires(op.body), "content": jsonObject{"application/json": jsonObject{
			"schema": d.object(op.body), "example": json.RawMessage(op.example),
		}}}
	}
	if op.access == anybody {
		o["security"] = []any{}
	}
	return o
}

func capabilityDoc(c webhook.Capability) string {
	if c == "" {
		return ""
	}
	return " The latter must have the capability " + string(c) + "."
}

func (d *documenter) responses(op *operation) jsonObject {
	all := jsonObject{}
	all[strconv.Itoa(op.status)] = d.response(op.status, op.out)
	if op.raw { // an event by itself, or a list of them
		all[strconv.Itoa(op.status)] = jsonObject{"description": http.StatusText(op.status), "content": jsonObject{"application/json": jsonObject{
			"schema": jsonObject{"anyOf": []any{d.form(reflect.TypeOf(op.out)), d.form(reflect.TypeFor[batchOut]())}}, "example": op.out,
		}}}
	}
	for status, out := range op.otherwise {
		all[strconv.Itoa(status)] = d.response(status, out)
	}
	if op.access == anybody {
		return all
	}
	for status := range documentedRefusals {
		all[strconv.Itoa(status)] = jsonObject{"$ref": "#/components/responses/" + responseName(status)}
	}
	return all
}

func (d *documenter) response(status int, out any) jsonObject {
	r := jsonObject{"description": http.StatusText(status)}
	if out != nil {
		r["content"] = jsonObject{"application/json": jsonObject{"schema": d.form(reflect.TypeOf(out)), "example": out}}
	}
	return r
}

func responseName(status int) string { return strings.ReplaceAll(http.StatusText(status), " ", "") }

// documentedRefusals are examples of what an operation may answer instead.
var documentedRefusals = map[int]any{
	http.StatusBadRequest:            errorOut{"generic_error", "The query string cannot be parsed."},
	http.StatusUnauthorized:          errorOut{errBadToken.code, errBadToken.detail},
	http.StatusForbidden:             errorOut{errForbidden.code, errForbidden.detail},
	http.StatusNotFound:              errorOut{"not_found", "Entity not found"},
	http.StatusConflict:              errorOut{"conflict", "A conflict has occurred"},
	http.StatusRequestEntityTooLarge: errorOut{"payload_too_large", "Request payload is too large."},
	http.StatusUnsupportedMediaType:  errorOut{"unsupported_encoding", "The content encoding must be gzip or none."},
	http.StatusUnprocessableEntity:   invalidOut{[]problem{{[]string{"body", "url"}, "must be a string", badForm}}},
	http.StatusInternalServerError:   errorOut{ownFault.code, ownFault.detail},
	http.StatusServiceUnavailable:    errorOut{"unavailable", "The database cannot take this now. Nothing was changed; try again."},
}

// object is the JSON Schema of a body.
func (d *documenter) object(fields []field) jsonObject {
	properties := jsonObject{}
	var required []string
	for i := range fields {
		f := &fields[i]
		s := d.field(f)
		if f.doc != "" {
			s["description"] = f.doc
		}
		properties[f.name] = s
		if f.alias != "" {
			old := d.field(f)
			old["deprecated"], old["description"] = true, "The same as "+f.name+"."
			properties[f.alias] = old
		}
		if f.required && f.alias == "" {
			required = append(required, f.name)
		}
	}
	s := jsonObject{"type": "object", "properties": properties}
	if required != nil {
		s["required"] = required
	}
	for i := range fields {
		if f := &fields[i]; f.required && f.alias != "" {
			s["anyOf"] = []any{jsonObject{"required": []any{f.name}}, jsonObject{"required": []any{f.alias}}}
		}
	}
	return s
}

// field is the JSON Schema of one field.
func (d *documenter) field(f *field) jsonObject {
	var s jsonObject
	switch f.kind {
	case text:
		s = f.textForm("minLength", "maxLength")
	case integer:
		s = jsonObject{"type": "integer", "minimum": f.min}
		if f.max > 0 {
			s["maximum"] = f.max
		}
		if f.enum != nil {
			var numbers []any
			for _, n := range f.enum {
				numbers = append(numbers, json.RawMessage(n))
			}
			s["enum"] = numbers
		}
	case boolean:
		s = jsonObject{"type": "boolean"}
	case texts:
		item := *f
		item.min, item.max = 0, 0
		s = jsonObject{"type": "array", "items": item.textForm("", "")}
		bound(s, f, "minItems", "maxItems")
		if f.unique {
			s["uniqueItems"] = true
		}
	case textMap:
		s = jsonObject{"type": "object", "additionalProperties": jsonObject{"type": "string"}}
	case headerMap:
		s = jsonObject{"type": "object", "additionalProperties": jsonObject{"type": []any{"string", "null"}}}
	case instant:
		s = jsonObject{"type": "string", "format": "date-time"}
	case anyObject:
		s = jsonObject{"type": "object"}
	case objectsMap:
		s = jsonObject{"type": "object", "additionalProperties": true}
	case object:
		s = d.object(f.fields)
	case anyList:
		s = jsonObject{"type": "array", "items": d.object(f.fields)}
		bound(s, f, "minItems", "maxItems")
	}
	if f.given != nil {
		s["default"] = f.given
	}
	if f.nullable {
		s["type"] = []any{s["type"], "null"}
		if enum, ok := s["enum"].([]string); ok {
			s["enum"] = append(anyOf(enum), nil)
		}
	}
	return s
}

func anyOf(list []string) []any {
	all := make([]any, len(list))
	for i, s := range list {
		all[i] = s
	}
	return all
}

func bound(s jsonObject, f *field, least, most string) {
	if f.min > 0 && least != "" {
		s[least] = f.min
	}
	if f.max > 0 && most != "" {
		s[most] = f.max
	}
}

func (f *field) textForm(least, most string) jsonObject {
	s := jsonObject{"type": "string"}
	bound(s, f, least, most)
	if f.pattern != "" {
		s["pattern"] = f.pattern
	}
	if f.enum != nil {
		s["enum"] = slices.Clone(f.enum)
	}
	return s
}

// form is the JSON Schema of an answer, read from its type. Structs are named.
func (d *documenter) form(t reflect.Type) jsonObject {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return jsonObject{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return jsonObject{"type": "object"}
	}
	switch t.Kind() { //nolint:exhaustive // answers have no other kinds
	case reflect.Pointer:
		s := d.form(t.Elem())
		if ref, ok := s["$ref"]; ok {
			return jsonObject{"oneOf": []any{jsonObject{"$ref": ref}, jsonObject{"type": "null"}}}
		}
		s["type"] = []any{s["type"], "null"}
		return s
	case reflect.String:
		return jsonObject{"type": "string"}
	case reflect.Bool:
		return jsonObject{"type": "boolean"}
	case reflect.Slice:
		s := jsonObject{"type": []any{"array", "null"}, "items": d.form(t.Elem())}
		if t.Elem().Kind() == reflect.Struct {
			s["type"] = "array"
		}
		return s
	case reflect.Map:
		return jsonObject{"type": []any{"object", "null"}, "additionalProperties": d.form(t.Elem())}
	case reflect.Struct:
		return d.structure(t)
	case reflect.Interface:
		return jsonObject{"type": "object"}
	default:
		return jsonObject{"type": "integer"}
	}
}

func (d *documenter) structure(t reflect.Type) jsonObject {
	name := schemaName(t)
	ref := jsonObject{"$ref": "#/components/schemas/" + name}
	if _, done := d.schemas[name]; done {
		return ref
	}
	properties := jsonObject{}
	var required []string
	s := jsonObject{"type": "object", "properties": properties}
	d.schemas[name] = s
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		if tag == "" {
			continue // what is embedded shows its own fields
		}
		name, rest, _ := strings.Cut(tag, ",")
		properties[name] = d.form(f.Type)
		if rest != "omitempty" {
			required = append(required, name)
		}
	}
	if required != nil {
		slices.Sort(required)
		s["required"] = required
	}
	return ref
}

var listName = regexp.MustCompile(`^listOut\[.*\.(\w+)\]$`)

// schemaName is the name of a struct in the document: ListResponse_EndpointOut
// for a list of them.
func schemaName(t reflect.Type) string {
	name := t.Name()
	if name == "invalidOut" {
		return "HTTPValidationError" // as the client libraries call it
	}
	if m := listName.FindStringSubmatch(name); m != nil {
		return "ListResponse_" + upper(m[1])
	}
	return upper(name)
}

func upper(name string) string { return strings.ToUpper(name[:1]) + name[1:] }
