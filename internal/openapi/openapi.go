// Package openapi writes the OpenAPI documents of the HTTP faces, and reads
// event types out of those of others, which describe webhooks since version 3.1
// (https://spec.openapis.org/oas/v3.1.0#oasWebhooks).
package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// EventType is one webhook of a document.
type EventType struct {
	Name, Description string
	Deprecated        bool
	// Schema is the JSON Schema of the payload, with what it refers to in its
	// definitions and the document's examples in its examples; nil when the
	// document has none.
	Schema       json.RawMessage
	GroupName    string
	FeatureFlags []string
}

// ErrDocument means that a text is no OpenAPI document that can be read. The
// errors that wrap it say why, in a sentence.
var ErrDocument = errors.New("not an OpenAPI document")

const (
	maxSize  = 8 << 20
	maxDepth = 200
	// maxParts bounds the schemas that one event type refers to.
	maxParts = 2000
)

var validName = regexp.MustCompile(`^[a-zA-Z0-9\-_.]{1,256}$`)

type object = map[string]any

// ReadEventTypes reads the webhooks of a document that is YAML or JSON, by
// name.
func ReadEventTypes(text []byte) ([]EventType, error) {
	if len(text) > maxSize {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrDocument, maxSize)
	}
	parsed, err := parse(text)
	if err != nil {
		return nil, err
	}
	root, ok := parsed.(object)
	if !ok {
		return nil, fmt.Errorf("%w: it is no object", ErrDocument)
	}
	d := document{root}
	found := map[string]EventType{}
	for _, member := range []string{"x-webhooks", "webhooks"} {
		webhooks, ok := root[member].(object)
		if !ok && root[member] != nil {
			return nil, fmt.Errorf("%w: %s is no object", ErrDocument, member)
		}
		for _, name := range slices.Sorted(maps.Keys(webhooks)) {
			if !validName.MatchString(name) {
				return nil, fmt.Errorf("%w: %q cannot name an event type: use 1 to 256 letters, digits, dots, underscores and hyphens", ErrDocument, name)
			}
			if found[name], err = d.eventType(name, webhooks[name]); err != nil {
				return nil, err
			}
		}
	}
	types := make([]EventType, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		types = append(types, found[name])
	}
	return types, nil
}

func parse(text []byte) (any, error) {
	var v any
	if json.Unmarshal(text, &v) == nil {
		return v, nil
	}
	if err := yaml.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("%w: it is neither JSON nor YAML: %s", ErrDocument, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return plain(v, 0)
}

// plain turns what YAML can say into what JSON can.
func plain(v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: it is nested too deeply", ErrDocument)
	}
	var err error
	switch v := v.(type) {
	case object:
		for name := range v {
			if v[name], err = plain(v[name], depth+1); err != nil {
				return nil, err
			}
		}
		return v, nil
	case map[any]any:
		o := object{}
		for name, member := range v { // status codes are numbers
			if o[fmt.Sprint(name)], err = plain(member, depth+1); err != nil {
				return nil, err
			}
		}
		return o, nil
	case []any:
		for i := range v {
			if v[i], err = plain(v[i], depth+1); err != nil {
				return nil, err
			}
		}
		return v, nil
	default:
		if _, err := json.Marshal(v); err != nil {
			return nil, fmt.Errorf("%w: %v has no form in JSON", ErrDocument, v)
		}
		return v, nil
	}
}

type document struct{ root object }

// resolve follows references inside the document, as long as they lead on.
func (d document) resolve(v any) object {
	for range maxDepth {
		o, ok := v.(object)
		ref, isRef := o["$ref"].(string)
		if !ok || !isRef {
			return o
		}
		v = d.at(ref)
	}
	return nil
}

// at finds what a reference such as #/components/schemas/User points to; nil
// for nothing.
func (d document) at(ref string) any {
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil
	}
	var v any = d.root
	for part := range strings.SplitSeq(path, "/") {
		o, ok := v.(object)
		if !ok {
			return nil
		}
		v = o[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return v
}

func text(o object, name string) string {
	s, _ := o[name].(string)
	return s
}

func (d document) eventType(name string, v any) (EventType, error) {
	item := d.resolve(v)
	op := d.operation(item)
	e := EventType{Name: name}
	for _, from := range []string{text(op, "description"), text(op, "summary"), text(item, "description"), text(item, "summary")} {
		if e.Description == "" {
			e.Description = from
		}
	}
	e.Deprecated, _ = op["deprecated"].(bool)
	for _, o := range []object{item, op} {
		if group := text(o, "x-svix-group-name"); group != "" {
			e.GroupName = group
		}
		if flag := text(o, "x-svix-feature-flag"); flag != "" {
			e.FeatureFlags = []string{flag}
		}
		if flags, ok := o["x-svix-feature-flags"].([]any); ok && len(flags) > 0 {
			e.FeatureFlags = nil
			for _, flag := range flags {
				e.FeatureFlags = append(e.FeatureFlags, fmt.Sprint(flag))
			}
		}
	}
	for _, word := range append([]string{e.GroupName}, e.FeatureFlags...) {
		if word != "" && !validName.MatchString(word) {
			return e, fmt.Errorf("%w: %s: %q can name no group and no feature flag", ErrDocument, name, word)
		}
	}
	media := d.media(d.resolve(op["requestBody"]))
	if media["schema"] == nil {
		return e, nil
	}
	schema, err := d.schema(media)
	if err != nil {
		return e, fmt.Errorf("%w: %s: %w", ErrDocument, name, err)
	}
	e.Schema = schema
	return e, nil
}

// operation is what is sent: that of POST, else that of PUT, else the only one.
func (d document) operation(item object) object {
	for _, method := range []string{"post", "put", "patch", "get", "delete"} {
		if op, ok := item[method].(object); ok {
			return op
		}
	}
	return nil
}

// media is the part of a body that is JSON.
func (d document) media(body object) object {
	content, ok := body["content"].(object)
	if !ok {
		return nil
	}
	if media, ok := content["application/json"].(object); ok {
		return media
	}
	for _, name := range slices.Sorted(maps.Keys(content)) {
		if strings.Contains(name, "json") {
			return d.resolve(content[name])
		}
	}
	return nil
}

var errTooMany = errors.New("its schema refers to too many others")

// schema makes a schema that stands alone.
func (d document) schema(media object) (json.RawMessage, error) {
	definitions := object{}
	root, ok := d.inline(media["schema"], definitions).(object)
	if !ok {
		root = object{"allOf": []any{media["schema"]}}
	}
	if len(definitions) > maxParts {
		return nil, errTooMany
	}
	if own, ok := root["definitions"].(object); ok {
		maps.Copy(definitions, own)
	}
	if len(definitions) > 0 {
		if _, isRef := root["$ref"]; isRef {
			// Before draft 2019-09 nothing counts beside a reference.
			root = object{"allOf": []any{root}}
		}
		root["definitions"] = definitions
	}
	if root["examples"] == nil {
		if examples := d.examples(media); examples != nil {
			root["examples"] = examples
		}
	}
	return json.Marshal(root)
}

const componentRef = "#/components/schemas/"

// inline copies a schema, with references to the document's components turned
// into references to definitions, which it collects.
func (d document) inline(v any, definitions object) any {
	switch v := v.(type) {
	case object:
		copied := make(object, len(v))
		for name, member := range v {
			copied[name] = d.inline(member, definitions)
		}
		ref, _ := v["$ref"].(string)
		name, ok := strings.CutPrefix(ref, componentRef)
		if !ok {
			return copied
		}
		copied["$ref"] = "#/definitions/" + name
		if _, seen := definitions[name]; !seen && len(definitions) <= maxParts {
			definitions[name] = true // so that what refers to itself ends
			if component := d.at(ref); component != nil {
				definitions[name] = d.inline(component, definitions)
			}
		}
		return copied
	case []any:
		copied := make([]any, len(v))
		for i := range v {
			copied[i] = d.inline(v[i], definitions)
		}
		return copied
	default:
		return v
	}
}

// examples are those that stand beside a schema.
func (d document) examples(media object) []any {
	if example, ok := media["example"]; ok {
		return []any{example}
	}
	named, ok := media["examples"].(object)
	if !ok {
		return nil
	}
	var all []any
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if example := d.resolve(named[name]); example["value"] != nil {
			all = append(all, example["value"])
		}
	}
	return all
}
