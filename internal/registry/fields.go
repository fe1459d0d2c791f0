package registry

import (
	"bytes"
	"encoding/json"
	"fanfare/internal/registry/shape"
	"fanfare/internal/webhook"
	"maps"
	"strconv"
)

// Fields are the members of a JSON object as they were sent.
type Fields map[string]json.RawMessage

// ReadFields splits a JSON object into its members. They stay where they are in
// body: a label may have millions of points. It reports false for anything else.
func ReadFields(body []byte) (Fields, bool) {
	members, ok := shape.Members(body)
	return members, ok
}

// ReadList splits a JSON list of objects like ReadFields.
func ReadList(body []byte) ([]Fields, bool) {
	elements, ok := shape.Elements(body)
	list := make([]Fields, len(elements))
	for i := range elements {
		var object bool
		list[i], object = shape.Members(elements[i])
		ok = ok && object
	}
	return list, ok
}

// Field is a rule for one member that clients may write.
type Field struct {
	// Name is the member's name on the wire.
	Name string
	// Nullable members may be null.
	Nullable bool
	// Default is the value of a new object that says nothing; "" means that
	// a new object must say.
	Default string
	// Fixed members are given when the object is made and never change.
	Fixed bool
	// Form is that of a value that is not null.
	Form Form
	// Means says what the member is, in a sentence.
	Means string
}

// What can be wrong with a field. None of these sentences holds a word by
// which official SDKs tell kinds of error apart.
const (
	required   = "This field is required."
	notNull    = "This field may not be null."
	notString  = "Not a valid string."
	notBool    = "Must be a valid boolean."
	notNumber  = "A valid number is required."
	notInteger = "A valid integer is required."
	notChoice  = "Not a valid choice."
	notObject  = "Must be a JSON object."
	notShape   = "Not in a supported format."
	tooLong    = "Ensure this field has no more than 10000 characters."
	notBlank   = "This field may not be blank."
	notATitle  = "Use 1 to 100 letters, digits, spaces, dots, underscores and hyphens, without a space at either end."
	noNUL      = "Null characters are not allowed."
	notAName   = "Use 1 to 100 letters, digits, dots, underscores and hyphens."
	notASample = "Use 1 to 255 characters, without control characters and without '..' as a path segment."
)

// maxText bounds descriptions and replies, in characters.
const maxText = 10_000

// Create reads the members of a new object: those that were sent, where they
// are not null for a member that cannot be, and defaults for the others.
func Create(rules []Field, sent Fields) (Fields, webhook.Invalid) {
	made := make(Fields, len(rules))
	var wrong webhook.Invalid
	for _, rule := range rules {
		raw, ok := sent[rule.Name]
		if ok && isNull(raw) && !rule.Nullable {
			ok = false
		}
		switch {
		case ok:
			made[rule.Name] = compact(raw)
			if problem := rule.problem(raw); problem != "" {
				wrong.Add(rule.Name, problem)
			}
		case rule.Default == "":
			wrong.Add(rule.Name, required)
		default:
			made[rule.Name] = json.RawMessage(rule.Default)
		}
	}
	return made, wrong
}

// Patch reads the members that a change sends.
func Patch(rules []Field, sent Fields) (Fields, webhook.Invalid) {
	patch := Fields{}
	var wrong webhook.Invalid
	for _, rule := range rules {
		raw, ok := sent[rule.Name]
		if !ok || rule.Fixed {
			continue
		}
		patch[rule.Name] = compact(raw)
		if problem := rule.problem(raw); problem != "" {
			wrong.Add(rule.Name, problem)
		}
	}
	return patch, wrong
}

// Apply returns fields with a patch over them, and the names of those whose
// value changed, in the order of the rules.
func Apply(rules []Field, fields, patch Fields) (result Fields, changed []string) {
	result = make(Fields, len(fields))
	maps.Copy(result, fields)
	for _, rule := range rules {
		if value, ok := patch[rule.Name]; ok && !shape.Equal(fields[rule.Name], value) {
			result[rule.Name] = value
			changed = append(changed, rule.Name)
		}
	}
	return result, changed
}

func (f Field) problem(raw json.RawMessage) string {
	if isNull(raw) {
		if f.Nullable {
			return ""
		}
		return notNull
	}
	return f.Form.check(raw)
}

// String is the value of a member that holds a string, or "".
func (f Fields) String(name string) string {
	s, _ := textOf(f[name])
	return s
}

// Strings is the value of a member that holds a list of strings.
func (f Fields) Strings(name string) []string {
	var list []string
	if json.Unmarshal(f[name], &list) != nil {
		return nil
	}
	return list
}

// Bool is the value of a member that holds a boolean.
func (f Fields) Bool(name string) bool { return string(f[name]) == "true" }

// Float is the value of a member that holds a number.
func (f Fields) Float(name string) float64 {
	n, _ := strconv.ParseFloat(string(f[name]), 64)
	return n
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

// compact is a value without space between its parts. Most have none, and stay
// where they are.
func compact(raw json.RawMessage) json.RawMessage {
	if raw = bytes.TrimSpace(raw); !bytes.ContainsAny(raw, " \t\r\n") {
		return raw
	}
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}

func textOf(raw json.RawMessage) (string, bool) {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}
