package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Filter is a condition on a message: what it is about, and not only of which
// type. It is written in JSON; docs/filters.md has the grammar. It never
// changes once it is read.
//
//	{"dataset": "jane/flowers", "label_status": ["REJECTED", "REVIEWED"]}
type Filter struct {
	source string
	root   condition
}

// The bounds of a filter.
const (
	MaxFilter       = 8 << 10 // bytes of its JSON
	MaxFilterDepth  = 8       // conditions in each other
	MaxFilterValues = 500     // values compared with, in all
	maxFilterPath   = 16      // names in a path
)

// FilterError says what is wrong with a filter, and where in it.
type FilterError struct {
	At      []string
	Problem string
}

// Error names the place and the problem.
func (e *FilterError) Error() string {
	return "filter: " + strings.Join(append(slices.Clone(e.At), e.Problem), ": ")
}

// ParseFilter reads a condition. What is wrong with it is a *FilterError.
func ParseFilter(raw []byte) (*Filter, error) {
	var compact bytes.Buffer
	if json.Compact(&compact, raw) != nil {
		return nil, &FilterError{Problem: "must be JSON"}
	}
	if compact.Len() > MaxFilter {
		return nil, &FilterError{Problem: fmt.Sprintf("must have at most %d bytes", MaxFilter)}
	}
	p := filterParser{values: MaxFilterValues}
	root := p.condition(compact.Bytes(), nil, 1, false)
	if p.problem != nil {
		return nil, p.problem
	}
	return &Filter{compact.String(), root}, nil
}

// String is the filter as JSON.
func (f *Filter) String() string { return f.source }

// MarshalJSON implements json.Marshaler.
func (f *Filter) MarshalJSON() ([]byte, error) { return []byte(f.source), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (f *Filter) UnmarshalJSON(raw []byte) error {
	read, err := ParseFilter(raw)
	if err == nil {
		*f = *read
	}
	return err
}

// Holds reports whether the condition is true of a message. No filter is true
// of every message.
func (f *Filter) Holds(m *Message) bool { return f == nil || f.root.holds(m) }

// condition is one node of a filter. Negations were carried down to the tests
// when it was read, so that a test that does not apply is true either way.
type condition interface{ holds(m *Message) bool }

type (
	allOf []condition
	anyOf []condition
)

func (c allOf) holds(m *Message) bool {
	return !slices.ContainsFunc(c, func(c condition) bool { return !c.holds(m) })
}

func (c anyOf) holds(m *Message) bool {
	return slices.ContainsFunc(c, func(c condition) bool { return c.holds(m) })
}

// comparison is the tests of one value of a message.
type comparison struct {
	// types is the beginning of the event types that have the value by its
	// short name; of all others the comparison is true.
	types string
	// path leads to the value in the payload; nil stands for the event type.
	path    []string
	negated bool
	tests   []test
}

func (c *comparison) holds(m *Message) bool {
	if !strings.HasPrefix(m.EventType, c.types) {
		return true
	}
	found := []*document{nil}
	if c.path == nil {
		found[0] = &document{raw: strconv.AppendQuote(nil, m.EventType)}
	} else if found[0] = m.document().at(c.path); found[0] != nil {
		if items := found[0].list(); items != nil {
			found = items // true of a list is what is true of one of its items
		}
	}
	return c.tested(found) != c.negated
}

func (c *comparison) tested(found []*document) bool {
	for _, t := range c.tests {
		if slices.ContainsFunc(found, t.of) == t.none {
			return false
		}
	}
	return true
}

// test is a rule for one value. With none it is true when the rule is met by
// nothing that was found.
type test struct {
	of   func(*document) bool
	none bool
}

// shortNames are the names that a condition may use for what is asked for most.
var shortNames = map[string]comparison{
	"event_type":   {},
	"label_status": {types: "label.", path: []string{"object", "label_status"}},
	"labelset":     {types: "label.", path: []string{"object", "labelset"}},
	"issue_status": {types: "issue.", path: []string{"object", "status"}},
}

// filterParser reads a condition. It stops at the first problem.
type filterParser struct {
	problem *FilterError
	values  int
}

func (p *filterParser) fail(at []string, format string, args ...any) condition {
	if p.problem == nil {
		p.problem = &FilterError{slices.Clone(at), fmt.Sprintf(format, args...)}
	}
	return allOf(nil)
}

// object reads the members of an object.
func (p *filterParser) object(raw json.RawMessage, at []string, what string) map[string]json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || len(members) == 0 {
		p.fail(at, "must be %s", what)
	}
	return members
}

// condition reads an object, all of whose members must hold; negated, one of
// them must not.
func (p *filterParser) condition(raw json.RawMessage, at []string, depth int, negated bool) condition {
	if depth > MaxFilterDepth {
		return p.fail(at, "must be at most %d conditions deep", MaxFilterDepth)
	}
	members := p.object(raw, at, "an object with at least one member")
	parts := make([]condition, 0, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		here := append(slices.Clone(at), name)
		switch name {
		case "all", "any":
			parts = append(parts, p.conditions(members[name], here, depth, (name == "any") != negated, negated))
		case "not":
			parts = append(parts, p.condition(members[name], here, depth+1, !negated))
		default:
			parts = append(parts, p.comparison(name, members[name], here, negated))
		}
	}
	return joined(parts, negated)
}

// joined is one condition of several.
func joined(parts []condition, either bool) condition {
	switch {
	case len(parts) == 1:
		return parts[0]
	case either:
		return anyOf(parts)
	default:
		return allOf(parts)
	}
}

func (p *filterParser) conditions(raw json.RawMessage, at []string, depth int, either, negated bool) condition {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil || len(items) == 0 {
		return p.fail(at, "must be a list of conditions")
	}
	parts := make([]condition, 0, len(items))
	for i, item := range items {
		if p.problem != nil {
			break
		}
		parts = append(parts, p.condition(item, append(slices.Clone(at), strconv.Itoa(i)), depth+1, negated))
	}
	return joined(parts, either)
}

func (p *filterParser) comparison(name string, raw json.RawMessage, at []string, negated bool) condition {
	c, short := shortNames[name]
	c.negated = negated
	if !short {
		c.path = filterPath(name)
	}
	if !short && c.path == nil {
		return p.fail(at, "must be a short name, or the path of a value in the payload such as object.name or /object/name, of at most %d names", maxFilterPath)
	}
	if raw[0] != '{' {
		c.tests = []test{{of: p.among(raw, at)}}
		return &c
	}
	operators := p.object(raw, at, "a value, a list of values, or an object of operators")
	for _, operator := range slices.Sorted(maps.Keys(operators)) {
		c.tests = append(c.tests, p.operator(operator, operators[operator], append(slices.Clone(at), operator)))
	}
	return &c
}

// filterPath reads a path: names with dots between, or a JSON Pointer (RFC
// 6901) for names that hold dots; nil when it is neither.
func filterPath(s string) []string {
	var path []string
	if pointer, ok := strings.CutPrefix(s, "/"); ok {
		path = strings.Split(pointer, "/")
		for i := range path {
			path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(path[i])
		}
	} else if path = strings.Split(s, "."); slices.Contains(path, "") {
		return nil
	}
	if len(path) > maxFilterPath {
		return nil
	}
	return path
}

func (p *filterParser) operator(name string, raw json.RawMessage, at []string) test {
	switch name {
	case "is":
		return test{of: p.among(raw, at)}
	case "not":
		return test{of: p.among(raw, at), none: true}
	case "exists":
		if string(raw) != "true" && string(raw) != "false" {
			p.fail(at, "must be true or false")
		}
		return test{of: func(d *document) bool { return d != nil }, none: string(raw) == "false"}
	case "prefix":
		if raw[0] != '"' {
			p.fail(at, "must be a string")
		}
		begin := unquote(raw)
		return test{of: func(d *document) bool {
			return d != nil && d.raw[0] == '"' && strings.HasPrefix(unquote(d.raw), begin)
		}}
	case "lt", "lte", "gt", "gte":
		limit, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			p.fail(at, "must be a number")
		}
		return test{of: func(d *document) bool {
			n, ok := d.number()
			return ok && (name == "lt" && n < limit || name == "lte" && n <= limit || name == "gt" && n > limit || name == "gte" && n >= limit)
		}}
	default:
		p.fail(at, "must be one of is, not, prefix, exists, lt, lte, gt, gte")
		return test{}
	}
}

// among reads a value or a list of values that something is compared with.
func (p *filterParser) among(raw json.RawMessage, at []string) func(*document) bool {
	items := []*document{newDocument(raw)}
	if raw[0] == '[' {
		if items = items[0].list(); len(items) == 0 {
			p.fail(at, "must have at least one value")
		}
	}
	if p.values -= len(items); p.values < 0 {
		p.fail(at, "must compare with at most %d values in all", MaxFilterValues)
	}
	texts := map[string]bool{}
	var others []*document
	for _, item := range items {
		switch item.raw[0] {
		case '"':
			texts[unquote(item.raw)] = true
		case '{', '[':
			p.fail(at, "must be a string, a number, true, false or null, or a list of them")
		default:
			others = append(others, item)
		}
	}
	return func(d *document) bool {
		if d != nil && d.raw[0] == '"' {
			return texts[unquote(d.raw)]
		}
		return slices.ContainsFunc(others, d.same)
	}
}

// same reports whether two values that are no texts are equal. What is absent
// is null.
func (d *document) same(as *document) bool {
	if d == nil {
		return string(as.raw) == "null"
	}
	if bytes.Equal(d.raw, as.raw) {
		return true
	}
	n, ok := d.number()
	m, also := as.number()
	// Integers from 2^53 on are not what a float64 makes of them.
	return ok && also && n == m && math.Abs(n) < 1<<53
}

func (d *document) number() (float64, bool) {
	if d == nil || d.raw[0] != '-' && (d.raw[0] < '0' || d.raw[0] > '9') {
		return 0, false
	}
	n, err := strconv.ParseFloat(string(d.raw), 64)
	return n, err == nil
}
