// Package schema holds payloads against the JSON Schemas of their event types.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// MaxSize bounds the text of a schema, in bytes.
const MaxSize = 1 << 20

// Schema is a schema that can be used. It is safe for concurrent use.
type Schema struct{ compiled *jsonschema.Schema }

// Problem is one thing in a payload that does not fit.
type Problem struct {
	// Path leads to it: names of members and numbers of items.
	Path []string
	// Text says what is wrong, in words.
	Text string
}

// maxProblems is how many problems are told.
const maxProblems = 20

// errElsewhere means that a schema refers to another document.
var errElsewhere = errors.New("schemas of other documents are not read")

// nowhere loads no document: a schema is what was given and no more.
type nowhere struct{}

// Load implements jsonschema.URLLoader.
func (nowhere) Load(string) (any, error) { return nil, errElsewhere }

// Compile reads a JSON Schema. $schema says which draft it follows; without it
// that is draft 7. The error is a sentence for whoever wrote it.
func Compile(doc json.RawMessage) (*Schema, error) {
	if len(doc) > MaxSize {
		return nil, fmt.Errorf("the schema has more than %d bytes", MaxSize)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		return nil, errors.New("the schema is no JSON")
	}
	const name = "https://schema.invalid/"
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.UseLoader(nowhere{})
	if err := c.AddResource(name, parsed); err != nil {
		return nil, fmt.Errorf("the schema cannot be used: %w", err)
	}
	compiled, err := c.Compile(name)
	if err != nil {
		return nil, inWords(err)
	}
	return &Schema{compiled}, nil
}

// inWords says why a schema cannot be compiled.
func inWords(err error) error {
	if _, ok := errors.AsType[*jsonschema.LoadURLError](err); ok {
		return errors.New("the schema refers to another document; put what it needs into definitions")
	}
	if broken, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		if inner, ok := errors.AsType[*jsonschema.ValidationError](broken.Err); ok {
			first := leaves(inner, nil)[0]
			return fmt.Errorf("the schema is not valid at /%s: %s", strings.Join(first.Path, "/"), first.Text)
		}
	}
	return errors.New("the schema cannot be used: " + strings.TrimPrefix(err.Error(), "jsonschema "))
}

// Validate lists what of a payload does not fit; nothing when all does.
func (s *Schema) Validate(payload []byte) []Problem {
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return []Problem{{nil, "must be JSON"}}
	}
	err = s.compiled.Validate(parsed)
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return []Problem{{nil, err.Error()}}
	}
	return leaves(invalid, nil)
}

var printer = message.NewPrinter(language.English)

// leaves are the problems that have no other for a cause.
func leaves(e *jsonschema.ValidationError, found []Problem) []Problem {
	if len(found) >= maxProblems {
		return found
	}
	if len(e.Causes) == 0 {
		return append(found, Problem{e.InstanceLocation, e.ErrorKind.LocalizedString(printer)})
	}
	for _, cause := range e.Causes {
		found = leaves(cause, found)
	}
	return found
}
