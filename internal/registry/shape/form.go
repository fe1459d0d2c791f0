package shape

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// Schema is a JSON Schema.
type Schema = map[string]any

// Form is a form that JSON can have: whether a value has it, and the same as a
// JSON Schema for those who make values.
type Form struct {
	// fits reports whether a decoded value has it. Numbers are json.Number.
	fits   func(v any) bool
	schema Schema
}

// Fits reports whether raw is null or has the form.
func (f Form) Fits(raw json.RawMessage) bool {
	v, ok := decode(raw)
	return ok && (v == nil || f.fits(v))
}

// Schema describes the form. It may refer to Parts.
func (f Form) Schema() Schema { return f.schema }

// Ref is where a document keeps the part of a name.
func Ref(name string) Schema { return Schema{"$ref": "#/components/schemas/" + name} }

// parts are the schemas of the forms that have a name.
var parts = map[string]Schema{}

// Parts are the schemas that others refer to, by name.
func Parts() map[string]Schema { return maps.Clone(parts) }

// named gives a form a name: documents describe it once.
func named(name string, f Form) Form {
	parts[name] = f.schema
	return Form{f.fits, Ref(name)}
}

// member is one member of an object.
type member struct {
	name           string
	form           Form
	absent, isNull bool // whether it may be so
}

func req(name string, form Form) member { return member{name: name, form: form} }

func opt(name string, form Form) member {
	return member{name: name, form: form, absent: true, isNull: true}
}

func may(name string, form Form) member { return member{name: name, form: form, absent: true} }

// obj is an object with these members, and any others.
func obj(members ...member) Form {
	properties := Schema{}
	required := []any{}
	for _, m := range members {
		properties[m.name] = m.form.schema
		if m.isNull {
			properties[m.name] = OrNull(m.form.schema)
		}
		if !m.absent {
			required = append(required, m.name)
		}
	}
	schema := Schema{"type": "object", "properties": properties, "additionalProperties": true}
	if len(required) > 0 {
		schema["required"] = required
	}
	return Form{schema: schema, fits: func(v any) bool {
		o, ok := v.(map[string]any)
		if !ok {
			return false
		}
		for _, m := range members {
			value, there := o[m.name]
			switch {
			case !there:
				if !m.absent {
					return false
				}
			case value == nil:
				if !m.isNull {
					return false
				}
			case !m.form.fits(value):
				return false
			}
		}
		return true
	}}
}

// OrNull describes what a schema does, and null.
func OrNull(s Schema) Schema {
	kind, simple := s["type"].(string)
	if _, fixed := s["enum"]; !simple || fixed {
		return Schema{"anyOf": []any{s, Schema{"type": "null"}}}
	}
	nullable := maps.Clone(s)
	nullable["type"] = []any{kind, "null"}
	return nullable
}

// both is an object that has two forms at a time.
func both(a, b Form) Form {
	return Form{func(v any) bool { return a.fits(v) && b.fits(v) }, Schema{"allOf": []any{a.schema, b.schema}}}
}

// either has at least one of several forms.
func either(forms ...Form) Form {
	schemas := make([]any, len(forms))
	for i, form := range forms {
		schemas[i] = form.schema
	}
	return Form{schema: Schema{"anyOf": schemas}, fits: func(v any) bool {
		for _, form := range forms {
			if form.fits(v) {
				return true
			}
		}
		return false
	}}
}

func list(form Form) Form {
	return Form{schema: Schema{"type": "array", "items": form.schema}, fits: func(v any) bool {
		if flat, ok := v.(numbers); ok {
			return flat.each(func(n json.Number) bool { return form.fits(n) })
		}
		l, ok := v.([]any)
		if !ok {
			return false
		}
		for _, value := range l {
			if !form.fits(value) {
				return false
			}
		}
		return true
	}}
}

// between is a list of so many.
func between(least, most int, form Form) Form {
	all := list(form)
	schema := maps.Clone(all.schema)
	schema["minItems"], schema["maxItems"] = least, most
	return Form{schema: schema, fits: func(v any) bool {
		if flat, ok := v.(numbers); ok {
			v = flat.all()
		}
		l, ok := v.([]any)
		return ok && len(l) >= least && len(l) <= most && all.fits(v)
	}}
}

// mapping is an object whose values all have a form.
func mapping(form Form) Form {
	return Form{schema: Schema{"type": "object", "additionalProperties": form.schema}, fits: func(v any) bool {
		o, ok := v.(map[string]any)
		if !ok {
			return false
		}
		for _, value := range o {
			if !form.fits(value) {
				return false
			}
		}
		return true
	}}
}

func orNull(form Form) Form {
	return Form{func(v any) bool { return v == nil || form.fits(v) }, OrNull(form.schema)}
}

var (
	str = Form{func(v any) bool {
		_, ok := v.(string)
		return ok
	}, Schema{"type": "string"}}

	boolean = Form{func(v any) bool {
		_, ok := v.(bool)
		return ok
	}, Schema{"type": "boolean"}}

	num = Form{isNumber, Schema{"type": "number"}}

	integer = Form{isInteger, Schema{"type": "integer"}}

	emptyList = between(0, 0, Form{func(any) bool { return false }, Schema{}})
)

func isNumber(v any) bool {
	n, ok := v.(json.Number)
	if !ok {
		return false
	}
	_, err := n.Float64()
	return err == nil // readers keep numbers as floats, which have a range
}

// isInteger reports whether v is a whole number, however written: 1.0 is, 1.5
// is not.
func isInteger(v any) bool {
	n, ok := v.(json.Number)
	if !ok {
		return false
	}
	if _, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return true
	}
	f, err := n.Float64()
	return err == nil && f == float64(int64(f)) && f > -1<<63 && f < 1<<63
}

// is is one value and no other.
func is(value any) Form {
	return Form{func(v any) bool { return v == value }, Schema{"const": value}}
}

func oneOf(words ...string) Form {
	return Form{schema: Schema{"type": "string", "enum": words}, fits: func(v any) bool {
		s, ok := v.(string)
		return ok && slices.Contains(words, s)
	}}
}
