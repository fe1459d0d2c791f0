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
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep values nest; readers recurse.
const maxDepth = 100

// decode reads a value with its numbers as written. It reports false for what
// is no JSON, or nests too deep.
func decode(raw json.RawMessage) (v any, ok bool) {
	if tooDeep(raw) || !json.Valid(raw) {
		return nil, false
	}
	r := reader{raw}
	return r.value()
}

// numbers is a list of nothing but numbers, as it was written: labels of point
// clouds have millions of them, which are looked at in place.
type numbers []byte

// each yields the numbers of a list; it reports whether form holds for all.
func (n numbers) each(form func(json.Number) bool) bool {
	for text := range bytes.FieldsFuncSeq(n, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' || r == '\r' }) {
		if !form(json.Number(text)) {
			return false
		}
	}
	return true
}

// all are the numbers of a list, one by one.
func (n numbers) all() []any {
	var list []any
	n.each(func(number json.Number) bool {
		list = append(list, number)
		return true
	})
	return list
}

// reader reads a value that is known to be JSON.
type reader struct{ rest []byte }

func (r *reader) space() { r.rest = bytes.TrimLeft(r.rest, " \t\r\n") }

func (r *reader) value() (any, bool) {
	r.space()
	switch r.rest[0] {
	case '{':
		return r.object()
	case '[':
		return r.list()
	case '"':
		return r.text()
	default:
		end := bytes.IndexAny(r.rest, ",]} \t\r\n")
		if end < 0 {
			end = len(r.rest)
		}
		word := string(r.rest[:end])
		r.rest = r.rest[end:]
		switch word {
		case "null":
			return nil, true
		case "true":
			return true, true
		case "false":
			return false, true
		default:
			return json.Number(word), true
		}
	}
}

func (r *reader) text() (s string, ok bool) {
	quoted := r.quoted()
	if plain := quoted[1 : len(quoted)-1]; bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain) {
		return string(plain), true // what most are costs a copy
	}
	err := json.Unmarshal(quoted, &s)
	return s, err == nil
}

// Text reads JSON, which must be valid, as a string.
func Text(raw json.RawMessage) (s string, ok bool) {
	r := reader{raw}
	if r.space(); len(r.rest) == 0 || r.rest[0] != '"' {
		return "", false
	}
	return r.text()
}

// quoted takes a string as it is written: up to the quote before which stands an
// even number of backslashes.
func (r *reader) quoted() []byte {
	end := 1
	for {
		end += bytes.IndexByte(r.rest[end:], '"')
		escaped := false
		for i := end - 1; r.rest[i] == '\\'; i-- {
			escaped = !escaped
		}
		if !escaped {
			break
		}
		end++
	}
	s := r.rest[:end+1]
	r.rest = r.rest[end+1:]
	return s
}

// raw takes a value as it is written, without a copy.
func (r *reader) raw() json.RawMessage {
	r.space()
	whole := r.rest
	depth := 0
	for {
		switch c := r.rest[0]; c {
		case '"':
			r.quoted()
		case '{', '[':
			depth++
			r.rest = r.rest[1:]
		case '}', ']':
			depth--
			r.rest = r.rest[1:]
		default:
			r.rest = r.rest[1:]
		}
		if depth == 0 && (len(r.rest) == 0 || whole[0] == '"' || whole[0] == '{' || whole[0] == '[' || strings.IndexByte(",}] \t\r\n", r.rest[0]) >= 0) {
			return json.RawMessage(whole[:len(whole)-len(r.rest)])
		}
	}
}

// Members splits an object into its members, which stay where they are in raw.
// It reports false for anything but an object.
func Members(raw []byte) (map[string]json.RawMessage, bool) {
	if !json.Valid(raw) {
		return nil, false
	}
	r := reader{raw}
	if r.space(); r.rest[0] != '{' {
		return nil, false
	}
	r.rest = r.rest[1:]
	members := map[string]json.RawMessage{}
	for {
		if r.space(); r.rest[0] == '}' {
			return members, true
		}
		name, ok := r.text()
		if !ok {
			return nil, false
		}
		r.space()
		r.rest = r.rest[1:] // the colon
		members[name] = r.raw()
		r.comma()
	}
}

// Elements splits a list into its elements, which stay where they are in raw.
// It reports false for anything but a list.
func Elements(raw []byte) ([]json.RawMessage, bool) {
	if !json.Valid(raw) {
		return nil, false
	}
	r := reader{raw}
	if r.space(); r.rest[0] != '[' {
		return nil, false
	}
	r.rest = r.rest[1:]
	elements := []json.RawMessage{}
	for {
		if r.space(); r.rest[0] == ']' {
			return elements, true
		}
		elements = append(elements, r.raw())
		r.comma()
	}
}

func (r *reader) list() (any, bool) {
	r.rest = r.rest[1:]
	if end := bytes.IndexFunc(r.rest, notNumeric); r.rest[end] == ']' && bytes.ContainsAny(r.rest[:end], "0123456789") {
		flat := numbers(r.rest[:end])
		r.rest = r.rest[end+1:]
		return flat, true
	}
	all := []any{}
	for {
		r.space()
		if r.rest[0] == ']' {
			r.rest = r.rest[1:]
			return all, true
		}
		v, ok := r.value()
		if !ok {
			return nil, false
		}
		all = append(all, v)
		r.comma()
	}
}

func notNumeric(c rune) bool { return !strings.ContainsRune("0123456789+-.eE, \t\r\n", c) }

func (r *reader) comma() {
	if r.space(); r.rest[0] == ',' {
		r.rest = r.rest[1:]
	}
}

func (r *reader) object() (any, bool) {
	r.rest = r.rest[1:]
	o := map[string]any{}
	for {
		r.space()
		if r.rest[0] == '}' {
			r.rest = r.rest[1:]
			return o, true
		}
		name, ok := r.text()
		if !ok {
			return nil, false
		}
		r.space()
		r.rest = r.rest[1:] // the colon
		if o[name], ok = r.value(); !ok {
			return nil, false
		}
		r.comma()
	}
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

// Object reports whether raw is a JSON object that nests no deeper than
// readers go.
func Object(raw json.RawMessage) bool {
	v, ok := decode(raw)
	return ok && obj().fits(v)
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
	if flat, ok := a.(numbers); ok {
		other, ok := b.(numbers)
		return ok && sameNumbers(flat, other)
	}
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

func sameNumbers(a, b numbers) bool {
	next, stop := iter.Pull(func(yield func(json.Number) bool) { b.each(yield) })
	defer stop()
	equal := a.each(func(n json.Number) bool {
		other, ok := next()
		return ok && canonical(string(n)) == canonical(string(other))
	})
	_, more := next()
	return equal && !more
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
