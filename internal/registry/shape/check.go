// Package shape tells whether JSON that clients send has a form that other
// clients can read back: the attributes of samples, labels and datasets are
// kept raw, and one that official clients cannot parse would fail every list
// it stands in.
//
// The tables in shapes.go read like the contract: req is a member that must be
// there and not be null, opt one that may be absent or null, and may one that
// may be absent but not null. Members nobody knows pass.
package shape

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// check reports whether a decoded value has a form. Numbers are json.Number.
type check func(v any) bool

// member is one member of an object.
type member struct {
	name           string
	form           check
	absent, isNull bool // whether it may be so
}

func req(name string, form check) member { return member{name: name, form: form} }

func opt(name string, form check) member {
	return member{name: name, form: form, absent: true, isNull: true}
}

func may(name string, form check) member { return member{name: name, form: form, absent: true} }

// obj is an object with these members, and any others.
func obj(members ...member) check {
	return func(v any) bool {
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
			case !m.form(value):
				return false
			}
		}
		return true
	}
}

// both is an object that has two forms at a time.
func both(a, b check) check { return func(v any) bool { return a(v) && b(v) } }

// either has at least one of several forms.
func either(forms ...check) check {
	return func(v any) bool {
		for _, form := range forms {
			if form(v) {
				return true
			}
		}
		return false
	}
}

func list(form check) check {
	return func(v any) bool {
		l, ok := v.([]any)
		if !ok {
			return false
		}
		for _, value := range l {
			if !form(value) {
				return false
			}
		}
		return true
	}
}

// between is a list of so many.
func between(least, most int, form check) check {
	return func(v any) bool {
		l, ok := v.([]any)
		return ok && len(l) >= least && len(l) <= most && list(form)(v)
	}
}

// mapping is an object whose values all have a form.
func mapping(form check) check {
	return func(v any) bool {
		o, ok := v.(map[string]any)
		if !ok {
			return false
		}
		for _, value := range o {
			if !form(value) {
				return false
			}
		}
		return true
	}
}

func orNull(form check) check { return func(v any) bool { return v == nil || form(v) } }

func str(v any) bool {
	_, ok := v.(string)
	return ok
}

func boolean(v any) bool {
	_, ok := v.(bool)
	return ok
}

func num(v any) bool {
	n, ok := v.(json.Number)
	if !ok {
		return false
	}
	_, err := n.Float64()
	return err == nil // readers keep numbers as floats, which have a range
}

// integer is a whole number, however written: 1.0 passes, 1.5 does not.
func integer(v any) bool {
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

func oneOf(words ...string) check {
	return func(v any) bool {
		s, ok := v.(string)
		if !ok {
			return false
		}
		return slices.Contains(words, s)
	}
}

func emptyList(v any) bool {
	l, ok := v.([]any)
	return ok && len(l) == 0
}

// maxDepth bounds how deep values nest; readers recurse.
const maxDepth = 100

// decode reads a value with its numbers as written. It reports false for what
// is no JSON, or nests too deep.
func decode(raw json.RawMessage) (v any, ok bool) {
	if tooDeep(raw) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return v, d.Decode(&v) == nil
}

func tooDeep(raw []byte) bool {
	depth, inText, escaped := 0, false, false
	for _, c := range raw {
		switch {
		case escaped:
			escaped = false
		case inText:
			inText = c != '"'
			escaped = c == '\\'
		case c == '"':
			inText = true
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return true
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return false
}

// fits reports whether raw is null or has a form.
func fits(raw json.RawMessage, form check) bool {
	v, ok := decode(raw)
	return ok && (v == nil || form(v))
}

// Object reports whether raw is a JSON object that nests no deeper than
// readers go.
func Object(raw json.RawMessage) bool {
	v, ok := decode(raw)
	return ok && obj()(v)
}

// Equal reports whether two values mean the same: the order of members and the
// way numbers are written (1, 1.0, 1e0) do not count, the order of lists does.
// Nothing at all means the same as null.
func Equal(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, okX := decodeOrNull(a)
	y, okY := decodeOrNull(b)
	return okX && okY && same(x, y)
}

func decodeOrNull(raw json.RawMessage) (any, bool) {
	if raw == nil {
		return nil, true
	}
	return decode(raw)
}

func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, value := range a {
			other, there := b[name]
			if !there || !same(value, other) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !same(a[i], b[i]) {
				return false
			}
		}
		return true
	case json.Number:
		b, ok := b.(json.Number)
		return ok && canonical(string(a)) == canonical(string(b))
	default:
		return a == b
	}
}

// decimal is a number as digits times a power of ten, without zeros at either
// end of the digits: every number has one such form, however large its
// exponent.
type decimal struct {
	negative bool
	digits   string
	exponent int64
}

func canonical(n string) decimal {
	n, negative := strings.CutPrefix(n, "-")
	mantissa, power, scientific := strings.Cut(strings.ToLower(n), "e")
	var exponent int64
	if scientific {
		var err error
		if exponent, err = strconv.ParseInt(power, 10, 62); err != nil {
			// Beyond any number of ours: told apart by how it is written.
			return decimal{negative, n, 0}
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	exponent -= int64(len(fraction))
	if digits == "" {
		return decimal{} // zero, minus zero among it
	}
	trimmed := strings.TrimRight(digits, "0")
	return decimal{negative, trimmed, exponent + int64(len(digits)-len(trimmed))}
}
