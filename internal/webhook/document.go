package webhook

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// document reads single members of a JSON text without decoding the rest. An
// object is looked through once, when the first of its members is asked for.
// It expects valid JSON; of anything else it finds what it can.
type document struct {
	raw     []byte
	members map[string]*document
	items   []*document
	opened  bool
}

// newDocument makes a document of a JSON text.
func newDocument(raw []byte) *document { return &document{raw: bytes.TrimSpace(raw)} }

// at finds the value at a path of member names; nil when there is none.
func (d *document) at(path []string) *document {
	for _, name := range path {
		if d = d.member(name); d == nil {
			return nil
		}
	}
	return d
}

func (d *document) member(name string) *document {
	if len(d.raw) == 0 || d.raw[0] != '{' {
		return nil
	}
	d.open()
	return d.members[name]
}

// list returns the items of an array, and nothing for anything else.
func (d *document) list() []*document {
	if len(d.raw) == 0 || d.raw[0] != '[' {
		return nil
	}
	d.open()
	return d.items
}

// open finds where the members or items begin and end.
func (d *document) open() {
	if d.opened {
		return
	}
	d.opened = true
	object := d.raw[0] == '{'
	if object {
		d.members = map[string]*document{}
	}
	for i := blank(d.raw, 1); i < len(d.raw) && d.raw[i] != '}' && d.raw[i] != ']'; {
		var name string
		if object {
			end := jsonEnd(d.raw, i)
			name = unquote(d.raw[i:end])
			if i = blank(d.raw, end); i >= len(d.raw) || d.raw[i] != ':' {
				return
			}
			i = blank(d.raw, i+1)
		}
		end := jsonEnd(d.raw, i)
		if end <= i {
			return
		}
		of := &document{raw: d.raw[i:end]}
		if object {
			d.members[name] = of // of two with one name the last counts, as everywhere
		} else {
			d.items = append(d.items, of)
		}
		if i = blank(d.raw, end); i < len(d.raw) && d.raw[i] == ',' {
			i = blank(d.raw, i+1)
		}
	}
}

// blank passes over white space from i on.
func blank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// jsonEnd tells where the value that begins at i ends.
func jsonEnd(b []byte, i int) int {
	if i >= len(b) {
		return i
	}
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				i = stringEnd(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			i++
			if depth == 0 {
				return i
			}
		}
		return i
	default:
		n := bytes.IndexAny(b[i:], ",]} \n\t\r")
		if n < 0 {
			return len(b)
		}
		return i + n
	}
}

// stringEnd passes over a string that begins at i.
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return len(b)
		}
		// A quote is escaped when an odd number of backslashes stands before
		// it.
		end := i + n
		slashes := 0
		for end-slashes-1 >= i && b[end-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return end + 1
		}
		i = end
	}
	return len(b)
}

// unquote is the text of a JSON string; "" for what is none.
func unquote(raw []byte) string {
	if len(raw) < 2 || raw[0] != '"' {
		return ""
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner)
	}
	var s string
	_ = json.Unmarshal(raw, &s) // what is no string stays ""
	return s
}
