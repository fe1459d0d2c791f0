package egress

import (
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Header is the header section of a response as it came: a "Name: value" line
// for each field, each with a line feed at its end. Over HTTP/2 the fields are
// sorted and their names in Title-Case.
type Header string

// All walks through the fields.
func (h Header) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for rest := h; rest != ""; {
			var name, value string
			if name, value, rest = rest.cut(); !yield(name, value) {
				return
			}
		}
	}
}

// Get returns the value of the first field with this name, in whatever case, or
// "".
func (h Header) Get(name string) string {
	for is, value := range h.All() {
		if sameName(is, name) {
			return value
		}
	}
	return ""
}

// cut takes the first field off.
func (h Header) cut() (name, value string, rest Header) {
	line, after, _ := strings.Cut(string(h), "\n")
	name, value, _ = strings.Cut(line, ": ")
	return name, value, Header(after)
}

// sameName compares two names of fields.
func sameName(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// section writes a header of net/http as a Header.
func section(h http.Header) Header {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			b.WriteString(name + ": " + value + "\n")
		}
	}
	return Header(b.String())
}
