package schema

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestSchemasThatAreNoneAreRefusedInWords(t *testing.T) {
	for doc, want := range map[string]string{
		``:                                       "no JSON",
		`{`:                                      "no JSON",
		`{"type":7}`:                             "/type",
		`{"type":"nothing"}`:                     "/type",
		`{"pattern":"("}`:                        "regex",
		`{"$ref":"https://example.com/a"}`:       "another document",
		`{"$ref":"file:///etc/passwd"}`:          "another document",
		`{"$ref":"other.json"}`:                  "another document",
		`{"$ref":"#/definitions/x"}`:             "definitions/x",
		`{"$schema":"https://example.com"}`:      "another document",
		`"` + strings.Repeat("x", MaxSize) + `"`: "bytes",
		`[]`:                                     "schema",
	} {
		if _, err := Compile(json.RawMessage(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v; want %q", doc, err, want)
		}
	}
}

func TestWhatDoesNotFitIsNamedByItsPath(t *testing.T) {
	s, err := Compile(json.RawMessage(`{"type":"object","required":["id"],"properties":{
		"id":{"type":"integer","maximum":9007199254740993},
		"labels":{"type":"array","items":{"$ref":"#/definitions/label"}}},
		"definitions":{"label":{"type":"object","properties":{"name":{"type":"string"},"parts":{"type":"array","items":{"$ref":"#/definitions/label"}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for payload, want := range map[string][]string{
		`{"id":1}`:                nil,
		`{"id":9007199254740993}`: nil,
		`{"id":9007199254740994}`: {"id"},
		`{}`:                      {""},
		`[]`:                      {""},
		`{`:                       {""},
		`{"id":"1"}`:              {"id"},
		`{"id":1,"labels":[{"name":"a"},{"name":2}]}`:       {"labels/1/name"},
		`{"id":1,"labels":[{"parts":[{"parts":[{},[]]}]}]}`: {"labels/0/parts/0/parts/1"},
		`{"id":"x","labels":7}`:                             {"id", "labels"},
	} {
		var got []string
		for _, p := range s.Validate([]byte(payload)) {
			got = append(got, strings.Join(p.Path, "/"))
			if p.Text == "" {
				t.Errorf("%s: a problem without words", payload)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q; want %q", payload, got, want)
		}
	}
	many, err := Compile(json.RawMessage(`{"items":{"type":"string"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := many.Validate([]byte(`[` + strings.Repeat("1,", 1000) + `1]`)); len(got) != maxProblems {
		t.Errorf("%d problems", len(got))
	}
}

func TestTheDraftIsThatOfTheSchema(t *testing.T) {
	const doc = `"type":"object","dependentRequired":{"a":["b"]}}`
	for schema, fits := range map[string]bool{
		`{` + doc: true, `{"$schema":"https://json-schema.org/draft/2020-12/schema",` + doc: false,
	} {
		s, err := Compile(json.RawMessage(schema))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Validate([]byte(`{"a":1}`)); (len(got) == 0) != fits {
			t.Errorf("%s: %v", schema, got)
		}
	}
}

func FuzzSchemas(f *testing.F) {
	f.Add([]byte(`{"$ref":"#"}`), []byte(`{}`))
	f.Add([]byte(`{"items":{"$ref":"#"}}`), []byte(`[[[]]]`))
	f.Add([]byte(`{"$id":"x","allOf":[{"$ref":"x"}]}`), []byte(`1`))
	f.Add([]byte(`true`), []byte(`null`))
	f.Fuzz(func(_ *testing.T, doc, payload []byte) {
		if s, err := Compile(doc); err == nil {
			s.Validate(payload)
		}
	})
}
