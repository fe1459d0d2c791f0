package webhooks

import (
	"encoding/json"
	"fanfare/internal/openapi"
	"fanfare/internal/webhook"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The OpenAPI 3.1 document is made of the operations
// (https://spec.openapis.org/oas/v3.1.0).

type jsonObject = map[string]any

// openAPI writes the document.
func (a *API) openAPI() []byte {
	d := documenter{schemas: jsonObject{}}
	doc := openapi.Document{
		Title: "Fanfare",
		Text: "Sends webhooks: signed, retried, in order of nobody's mistakes. Speaks the API of the Svix client libraries.\n\n" +
			"Send the header Authorization with the word Bearer, a space and a token. Tokens are made with fanfare token create.",
		Scheme: "bearer", Security: jsonObject{"type": "http", "scheme": "bearer"},
		PathParameters: parameterDocs, Refusals: map[int]openapi.Content{}, Schemas: d.schemas,
	}
	for i := range a.operations {
		doc.Operations = append(doc.Operations, d.operation(&a.operations[i]))
	}
	for status, out := range documentedRefusals {
		doc.Refusals[status] = d.content(out)
	}
	return doc.Append(nil)
}

// documenter collects the forms of answers.
type documenter struct{ schemas jsonObject }

var parameterDocs = map[string]string{
	"app": "The application, by id or uid.", "ep": "The endpoint, by id or uid.", "msg": "The message, by id or eventId.",
	"at": "The attempt, by id.", "name": "The name of the event type.", "task": "The background task, by id.",
	"sink": "The endpoint, by id or uid.", "consumer": "A name that the client gives itself.",
}

var accessDocs = map[access]string{
	anybody: "Anybody may call it.", anyToken: "Needs a token.", forEnvironment: "Needs a token of the environment.",
	forApplication: "Needs a token of the environment or of the application.",
}

func (d *documenter) operation(op *operation) openapi.Operation {
	tag, _, _ := strings.Cut(op.id, ".")
	o := openapi.Operation{
		Route: routeOf(op), ID: "v1." + op.id, Tag: tag, Summary: op.summary,
		Text:               strings.TrimSpace(op.doc + "\n\n" + accessDocs[op.access] + capabilityDoc(op.can)),
		Answers:            d.answers(op),
		WithoutCredentials: op.access == anybody,
	}
	for i := range op.query {
		f := &op.query[i]
		o.Parameters = append(o.Parameters, openapi.Parameter{Name: f.name, Text: f.doc, Schema: d.field(f), Commas: f.kind == texts})
	}
	if strings.HasPrefix(op.route, http.MethodPost) && op.access != anybody {
		o.Parameters = append(o.Parameters, openapi.Parameter{
			Name: "idempotency-key", Header: true, Schema: jsonObject{"type": "string"},
			Text: "A request that is repeated with its key is done once.",
		})
	}
	switch {
	case op.raw:
		const example = `{"specversion":"1.0","id":"42","source":"/billing","type":"invoice.paid","data":{"invoice":"in_42"}}`
		event := d.object(cloudEventFields)
		o.Body = openapi.Content{
			structured: {Schema: event, Example: json.RawMessage(example)},
			batched:    {Schema: jsonObject{"type": "array", "items": event}, Example: json.RawMessage("[" + example + "]")},
		}
	case op.body != nil:
		o.Body, o.BodyMayBeLeftOut = openapi.JSON(d.object(op.body), json.RawMessage(op.example)), !requires(op.body)
	}
	if op.access != anybody {
		o.Refusals = slices.Collect(maps.Keys(documentedRefusals))
	}
	return o
}

func capabilityDoc(c webhook.Capability) string {
	if c == "" {
		return ""
	}
	return " The latter must have the capability " + string(c) + "."
}

func (d *documenter) answers(op *operation) map[int]openapi.Content {
	all := map[int]openapi.Content{op.status: d.content(op.out)}
	if op.raw { // an event by itself, or a list of them
		either := jsonObject{"anyOf": []any{d.form(reflect.TypeOf(op.out)), d.form(reflect.TypeFor[batchOut]())}}
		all[op.status] = openapi.JSON(either, op.out)
	}
	for status, out := range op.otherwise {
		all[status] = d.content(out)
	}
	return all
}

// content is the body of an answer like out; nil is none.
func (d *documenter) content(out any) openapi.Content {
	if out == nil {
		return nil
	}
	return openapi.JSON(d.form(reflect.TypeOf(out)), out)
}

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
	case t == reflect.TypeFor[json.RawMessage](), t == reflect.TypeFor[webhook.Filter]():
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
	ref := openapi.Ref(name)
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
