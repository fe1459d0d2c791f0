package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Row is one member of what a schema describes, as a line of a table.
type Row struct {
	// Depth is how many members it lies within.
	Depth int
	Name  string
	// Type says what it may be, such as "text or null".
	Type string
	// Limits are what else a value must be, in words; "" for nothing.
	Limits               string
	Text                 string
	Required, Deprecated bool
}

// The bounds of a table: what is deeper or more is left out.
const (
	maxTableDepth = 5
	maxTableRows  = 400
	maxTableSteps = 10_000
)

type object = map[string]any

// Table lists the members that a schema describes, each after the one it is a
// member of, in the order of the schema's text if it has one. The document is
// what the schema's references lead into; nil for the schema itself. What is no
// schema has no rows.
func Table(document any, schema json.RawMessage) []Row {
	var root any
	if json.Unmarshal(schema, &root) != nil {
		return nil
	}
	if document == nil {
		document = root
	}
	t := table{document: document, order: memberOrder(schema)}
	t.members(root, 0, "")
	return t.rows
}

type table struct {
	document any
	order    map[string][]string
	rows     []Row
	// steps counts what was looked at: schemas may lead in circles.
	steps int
}

// members adds the members of an object, or of the items of a list.
func (t *table) members(node any, depth int, path string) {
	if t.steps++; depth > maxTableDepth || t.steps > maxTableSteps {
		return
	}
	s := t.resolve(node)
	for _, part := range list(s["allOf"]) {
		t.members(part, depth, path)
	}
	if items := t.resolve(s["items"]); items != nil {
		s = items
		path += "[]"
	}
	if one := t.onlyObject(s); one != nil {
		s = one
	}
	properties, _ := s["properties"].(object)
	var required []string
	for _, name := range list(s["required"]) {
		if name, ok := name.(string); ok {
			required = append(required, name)
		}
	}
	for _, name := range t.names(properties, path) {
		if len(t.rows) >= maxTableRows {
			return
		}
		m := t.resolve(properties[name])
		text, _ := m["description"].(string)
		if own, _ := properties[name].(object); own["description"] != nil {
			text, _ = own["description"].(string) // what stands beside a reference is about this one
		}
		deprecated, _ := m["deprecated"].(bool)
		t.rows = append(t.rows, Row{
			Depth: depth, Name: name, Type: t.typeOf(m), Limits: limits(m), Text: text,
			Required: slices.Contains(required, name), Deprecated: deprecated,
		})
		t.members(m, depth+1, path+"."+name)
	}
}

// names are those of the properties, in the order of the text where it is known.
func (t *table) names(properties object, path string) []string {
	var names []string
	for _, name := range t.order[path] {
		if _, ok := properties[name]; ok && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// onlyObject is the one alternative of a schema that has members; nil when
// there is none, or the choice is open.
func (t *table) onlyObject(s object) object {
	var found object
	for _, word := range []string{"oneOf", "anyOf"} {
		for _, alternative := range list(s[word]) {
			if a := t.resolve(alternative); a["properties"] != nil {
				if found != nil {
					return nil
				}
				found = a
			}
		}
	}
	return found
}

// resolve follows references within the document, a bounded number of times.
func (t *table) resolve(node any) object {
	s, _ := node.(object)
	for range maxTableDepth {
		ref, ok := s["$ref"].(string)
		if !ok {
			return s
		}
		path, within := strings.CutPrefix(ref, "#")
		if !within {
			return nil
		}
		at := t.document
		for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
			if part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~"); part == "" {
				continue
			}
			o, _ := at.(object)
			at = o[part]
		}
		s, _ = at.(object)
	}
	return s
}

// words are the types in words for people.
var words = map[string]string{
	"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "object": "object", "array": "list", "null": "null",
}

var formats = map[string]string{"date-time": "time", "uuid": "UUID", "uri": "URL", "email": "mail address", "date": "date"}

func (t *table) typeOf(s object) string {
	if t.steps++; t.steps > maxTableSteps {
		return ""
	}
	var types []string
	add := func(name string) {
		if name != "" && !slices.Contains(types, name) {
			types = append(types, name)
		}
	}
	one := func(name string) {
		word := words[name]
		if format, _ := s["format"].(string); name == "string" && formats[format] != "" {
			word = formats[format]
		}
		if items := t.resolve(s["items"]); name == "array" && items != nil {
			if of := t.typeOf(items); of != "" && len(of) < 40 {
				word = "list of " + of
			}
		}
		add(word)
	}
	switch kind := s["type"].(type) {
	case string:
		one(kind)
	case []any:
		for _, k := range kind {
			if k, ok := k.(string); ok {
				one(k)
			}
		}
	}
	for _, word := range []string{"oneOf", "anyOf", "allOf"} {
		for _, alternative := range list(s[word]) {
			add(t.typeOf(t.resolve(alternative)))
		}
	}
	if len(types) == 0 && s["properties"] != nil {
		add("object")
	}
	return strings.Join(types, " or ")
}

// limits are the bounds of a value in words.
func limits(s object) string {
	var said []string
	if fixed, ok := s["const"]; ok {
		said = append(said, "always "+literal(fixed))
	}
	if values := list(s["enum"]); len(values) > 0 && len(values) <= 20 {
		var names []string
		for _, v := range values {
			names = append(names, literal(v))
		}
		said = append(said, "one of "+strings.Join(names, ", "))
	}
	for _, b := range []struct{ least, most, unit string }{
		{"minLength", "maxLength", " characters"}, {"minItems", "maxItems", " items"}, {"minimum", "maximum", ""},
	} {
		least, hasLeast := s[b.least].(float64)
		most, hasMost := s[b.most].(float64)
		switch {
		case hasLeast && hasMost:
			said = append(said, fmt.Sprintf("%s to %s%s", number(least), number(most), b.unit))
		case hasMost:
			said = append(said, fmt.Sprintf("at most %s%s", number(most), b.unit))
		case hasLeast:
			said = append(said, fmt.Sprintf("at least %s%s", number(least), b.unit))
		}
	}
	if v, ok := s["default"]; ok && v != nil && v != "" {
		said = append(said, "default "+literal(v))
	}
	return strings.Join(said, "; ")
}

func number(n float64) string { return strings.TrimSuffix(fmt.Sprintf("%.15g", n), ".0") }

func literal(v any) string {
	b, err := json.Marshal(v)
	if err != nil || len(b) > 60 {
		return "…"
	}
	return string(b)
}

func list(v any) []any {
	items, _ := v.([]any)
	return items
}

// memberOrder finds in which order the text of a schema names the members of
// each object, by the path to the object. Readers expect the author's order,
// which a map has forgotten.
func memberOrder(schema json.RawMessage) map[string][]string {
	order := map[string][]string{}
	orderOf(schema, "", order, 0)
	return order
}

func orderOf(schema json.RawMessage, path string, order map[string][]string, depth int) {
	var s struct {
		Properties json.RawMessage `json:"properties"`
		Items      json.RawMessage `json:"items"`
	}
	if depth > maxTableDepth || json.Unmarshal(schema, &s) != nil {
		return
	}
	if s.Items != nil {
		orderOf(s.Items, path+"[]", order, depth+1)
	}
	if s.Properties == nil {
		return
	}
	d := json.NewDecoder(strings.NewReader(string(s.Properties)))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return
		}
		var member json.RawMessage
		if d.Decode(&member) != nil {
			return
		}
		text, _ := name.(string)
		order[path] = append(order[path], text)
		orderOf(member, path+"."+text, order, depth+1)
	}
}

// Example is the first example of a schema, indented; "" when it has none.
func Example(schema json.RawMessage) string {
	var s struct {
		Examples []json.RawMessage `json:"examples"`
		Example  json.RawMessage   `json:"example"`
	}
	if json.Unmarshal(schema, &s) != nil {
		return ""
	}
	if len(s.Examples) > 0 {
		s.Example = s.Examples[0]
	}
	if s.Example == nil {
		return ""
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if e.Encode(s.Example) != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}
