package schema_test

import (
	"encoding/json"
	"fanfare/internal/registry"
	"fanfare/internal/schema"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestATableListsMembersInTheAuthorsOrder(t *testing.T) {
	doc := json.RawMessage(`{
		"type": "object", "required": ["zone", "list"],
		"properties": {
			"zone": {"type": "string", "description": "Where.", "enum": ["a", "b"]},
			"at": {"type": ["string", "null"], "format": "date-time"},
			"list": {"type": "array", "minItems": 1, "maxItems": 9, "items": {"$ref": "#/definitions/thing"}},
			"either": {"oneOf": [{"$ref": "#/definitions/thing"}, {"type": "null"}]},
			"told": {"$ref": "#/definitions/thing", "description": "This thing."},
			"n": {"type": "integer", "minimum": 1, "default": 3, "deprecated": true}
		},
		"definitions": {"thing": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}}}
	}`)
	want := []schema.Row{
		{Name: "zone", Type: "text", Limits: `one of "a", "b"`, Text: "Where.", Required: true},
		{Name: "at", Type: "time or null"},
		{Name: "list", Type: "list of object", Limits: "1 to 9 items", Required: true},
		{Depth: 1, Name: "name", Type: "text", Limits: "at most 5 characters"},
		{Name: "either", Type: "object or null"},
		{Depth: 1, Name: "name", Type: "text", Limits: "at most 5 characters"},
		{Name: "told", Type: "object", Text: "This thing."},
		{Depth: 1, Name: "name", Type: "text", Limits: "at most 5 characters"},
		{Name: "n", Type: "whole number", Limits: "at least 1; default 3", Deprecated: true},
	}
	if diff := cmp.Diff(want, schema.Table(nil, doc)); diff != "" {
		t.Error(diff)
	}
}

func TestATableIsBoundedWhateverTheSchema(t *testing.T) {
	for name, doc := range map[string]string{
		"no JSON":             `{`,
		"no schema":           `[1]`,
		"a circle":            `{"$ref": "#"}`,
		"members in a circle": `{"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}}`,
		"a list of itself":    `{"items": {"$ref": "#"}}`,
		"all of itself":       `{"allOf": [{"$ref": "#"}, {"$ref": "#"}]}`,
		"a member of circles": `{"properties": {"a": {"items": {"$ref": "#/properties/a"}, "type": "array", "oneOf": [{"$ref": "#/properties/a"}]}}}`,
		"another document":    `{"$ref": "https://example.com/"}`,
		"strange words":       `{"properties": {"a": {"type": 1, "enum": 1, "required": {}, "oneOf": [1], "description": []}}, "required": 1}`,
		"many members":        `{"properties": {` + strings.Repeat(`"a": 1, `, 5000) + `"b": 1}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if rows := schema.Table(nil, json.RawMessage(doc)); len(rows) > 400 {
				t.Errorf("%d rows", len(rows))
			}
		})
	}
}

func TestEveryTypeOfTheProductHasATableAndAnExample(t *testing.T) {
	for _, e := range registry.EventTypes {
		rows := schema.Table(nil, e.Schema())
		var names []string
		for _, r := range rows {
			if r.Depth == 0 {
				names = append(names, r.Name)
			}
			if r.Depth == 0 && (r.Type == "" || r.Text == "") {
				t.Errorf("%s says nothing of %s", e.Name, r.Name)
			}
		}
		for _, name := range []string{"event_type", "created_at", "api_version", "dataset", "object", "text"} {
			if !strings.Contains(strings.Join(names, " "), name) {
				t.Errorf("%s has no row for %s: %v", e.Name, name, names)
			}
		}
		if !strings.Contains(schema.Example(e.Schema()), `"event_type": "`+e.Name+`"`) {
			t.Errorf("the example of %s is %s", e.Name, schema.Example(e.Schema()))
		}
	}
}

func FuzzATableOfAnything(f *testing.F) {
	f.Add(`{"properties":{"a":{"items":{"allOf":[{"$ref":"#"}]}}}}`)
	f.Fuzz(func(t *testing.T, doc string) {
		if rows := schema.Table(nil, json.RawMessage(doc)); len(rows) > 400 {
			t.Errorf("%d rows", len(rows))
		}
		schema.Example(json.RawMessage(doc))
	})
}
