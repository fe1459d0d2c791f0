package webhooks

import (
	"bytes"
	"encoding/json"
	"fanfare/internal/registry"
	"fanfare/internal/registry/shape"
	"fanfare/internal/webhook"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// kind is the form of a field's value.
type kind int

const (
	text       kind = iota // string
	integer                // int64
	boolean                // bool
	texts                  // []string
	textMap                // map[string]string
	headerMap              // map[string]*string: null removes a header
	instant                // time.Time
	anyObject              // json.RawMessage of an object, as it was sent
	objectsMap             // map[string]json.RawMessage
	object                 // values, by the fields below it
	anyList                // []json.RawMessage, each read by itself later
)

// field is one member of a request's body, or one parameter of its query.
type field struct {
	name string
	// alias is another name of it, which counts when the first is absent.
	alias string
	kind  kind
	doc   string
	// required must be there; nullable may be null.
	required, nullable bool
	// min and max bound a number, the characters of a text or the length of a
	// list. A list has at least min items when it is not null.
	min, max int64
	// unique refuses items that come twice; once keeps the first of them.
	unique, once bool
	// valid is the rule for a text or each item, pattern its form in words that
	// machines read, problem what breaks it.
	valid            func(string) bool
	pattern, problem string
	// enum lists what is allowed.
	enum []string
	// maxBytes bounds a map's JSON.
	maxBytes int
	fields   []field
	// given is the value that an absent field has, for the document.
	given any
}

// problem is one thing wrong with a request (contract, section 4).
type problem struct {
	Loc  []string `json:"loc"`
	Msg  string   `json:"msg"`
	Type string   `json:"type"`
}

// The types of problems: what does not have the form of the field, and what
// breaks one of its rules.
const (
	badForm = "value_error.jsondecode"
	badRule = "value_error"
)

// invalid is a request that cannot be taken, with everything wrong with it.
type invalid []problem

// Error names each place and problem.
func (e invalid) Error() string {
	parts := make([]string, len(e))
	for i, p := range e {
		parts[i] = strings.Join(p.Loc, ".") + ": " + p.Msg
	}
	return strings.Join(parts, "; ")
}

func (e invalid) err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// wrong is a request with one problem.
func wrong(msg string, loc ...string) error { return invalid{{loc, msg, badRule}} }

// values are the fields that were there, by name; a null is nil.
type values map[string]any

// has reports whether a field was there, perhaps as null.
func (v values) has(name string) bool {
	_, ok := v[name]
	return ok
}

// get returns the value of a field; the zero value when it is absent or null.
func get[T any](v values, name string) T {
	value, _ := v[name].(T)
	return value
}

// reader checks a body against fields and collects what is wrong.
type reader struct{ problems invalid }

func (r *reader) add(loc []string, kind, format string, args ...any) {
	r.problems = append(r.problems, problem{slices.Clone(loc), fmt.Sprintf(format, args...), kind})
}

// maxProblems is how many problems are told at a time.
const maxProblems = 50

// body reads a JSON object.
func (r *reader) body(raw []byte, fields []field, loc []string) values {
	members, ok := registry.ReadFields(raw)
	if !ok {
		r.add(loc, badForm, "must be a JSON object")
		return nil
	}
	v := values{}
	for i := range fields {
		f := &fields[i]
		name := f.name
		raw, ok := members[name]
		if old, both := members[f.alias]; f.alias != "" && both {
			if !ok {
				raw, ok, name = old, true, f.alias
			} else if string(old) != "null" {
				r.value(old, f, append(slices.Clone(loc), f.alias)) // it does not count, and must be good all the same
			}
		}
		here := append(slices.Clone(loc), name)
		switch {
		case len(r.problems) >= maxProblems:
			return v
		case !ok && f.required:
			r.add(here, badForm, "is required")
		case !ok:
		case string(raw) == "null" && f.nullable:
			v[f.name] = nil
		case string(raw) == "null":
			r.add(here, badForm, "must not be null")
		default:
			if value := r.value(raw, f, here); value != nil {
				v[f.name] = value
			}
		}
	}
	return v
}

// value reads the value of a field; nil when it has problems.
func (r *reader) value(raw json.RawMessage, f *field, loc []string) any {
	before := len(r.problems)
	value := r.form(raw, f, loc)
	if len(r.problems) > before {
		return nil
	}
	return value
}

// decode reads raw as a T, or notes that it is none.
func decode[T any](r *reader, raw json.RawMessage, what string, loc []string) T {
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		r.add(loc, badForm, "must be %s", what)
	}
	return v
}

func (r *reader) form(raw json.RawMessage, f *field, loc []string) any {
	switch f.kind {
	case text:
		s, ok := shape.Text(raw)
		if !ok {
			r.add(loc, badForm, "must be %s", "a string")
		}
		return r.text(s, f, loc)
	case integer:
		return r.integer(raw, f, loc)
	case boolean:
		return decode[bool](r, raw, "true or false", loc)
	case texts:
		return r.texts(raw, f, loc)
	case textMap:
		var compact bytes.Buffer
		if f.maxBytes > 0 && json.Compact(&compact, raw) == nil && compact.Len() > f.maxBytes {
			r.add(loc, badRule, "must have at most %d bytes as JSON", f.maxBytes)
			return nil
		}
		m := decode[map[string]*string](r, raw, "an object whose members are strings", loc)
		plain := make(map[string]string, len(m))
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if m[name] == nil {
				r.add(append(slices.Clone(loc), name), badForm, "must be a string")
				continue
			}
			plain[name] = *m[name]
		}
		return plain
	case headerMap:
		m := decode[map[string]*string](r, raw, "an object whose members are strings", loc)
		r.headers(m, loc)
		return m
	case instant:
		return r.instant(decode[string](r, raw, "a time", loc), loc)
	case anyObject:
		if len(raw) == 0 || raw[0] != '{' {
			r.add(loc, badForm, "must be an object")
		}
		return slices.Clone(raw)
	case objectsMap:
		return decode[map[string]json.RawMessage](r, raw, "an object", loc)
	case object:
		return r.body(raw, f.fields, loc)
	case anyList:
		return r.list(raw, f, loc)
	}
	return nil
}

func (r *reader) text(s string, f *field, loc []string) any {
	n := int64(utf8.RuneCountInString(s))
	switch {
	case f.enum != nil && !slices.Contains(f.enum, s):
		r.add(loc, badRule, "must be one of %s", strings.Join(f.enum, ", "))
	case strings.ContainsRune(s, 0) || !utf8.ValidString(s):
		r.add(loc, badRule, "must be UTF-8 without NUL")
	case n < f.min:
		r.add(loc, badRule, "must have at least %d characters", f.min)
	case f.max > 0 && n > f.max:
		r.add(loc, badRule, "must have at most %d characters", f.max)
	case f.valid != nil && !f.valid(s):
		r.add(loc, badRule, "%s", f.problem)
	}
	return s
}

func (r *reader) integer(raw json.RawMessage, f *field, loc []string) any {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	switch {
	case err != nil:
		r.add(loc, badForm, "must be an integer")
	case n < f.min || f.max > 0 && n > f.max:
		r.add(loc, badRule, "%s", f.between())
	case f.enum != nil && !slices.Contains(f.enum, string(raw)):
		r.add(loc, badRule, "must be one of %s", strings.Join(f.enum, ", "))
	}
	return n
}

func (f *field) between() string {
	if f.max > 0 {
		return fmt.Sprintf("must be between %d and %d", f.min, f.max)
	}
	return fmt.Sprintf("must be at least %d", f.min)
}

func (r *reader) texts(raw json.RawMessage, f *field, loc []string) any {
	items := decode[[]*string](r, raw, "a list of strings", loc)
	plain := make([]string, 0, len(items))
	if n := int64(len(items)); n < f.min || f.max > 0 && n > f.max {
		if f.max > 0 {
			r.add(loc, badRule, "must have %d to %d items", f.min, f.max)
		} else {
			r.add(loc, badRule, "must have at least %d item, or be null", f.min)
		}
		return nil
	}
	seen := make(map[string]bool, len(items))
	for i, item := range items {
		here := append(slices.Clone(loc), strconv.Itoa(i))
		switch {
		case len(r.problems) >= maxProblems:
			return nil
		case item == nil:
			r.add(here, badForm, "must be a string")
			continue
		case f.valid != nil && !f.valid(*item):
			r.add(here, badRule, "%s", f.problem)
		case f.enum != nil && !slices.Contains(f.enum, *item):
			r.add(here, badRule, "must be one of %s", strings.Join(f.enum, ", "))
		case f.unique && seen[*item]:
			r.add(here, badRule, "must not come twice")
		case f.once && seen[*item]:
			continue
		}
		seen[*item] = true
		plain = append(plain, *item)
	}
	return plain
}

func (r *reader) headers(m map[string]*string, loc []string) {
	if len(m) > maxHeaders {
		r.add(loc, badRule, "must be at most %d headers", maxHeaders)
		return
	}
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		value := m[name]
		if value == nil {
			continue
		}
		if p := webhook.HeaderProblem(name, *value); p != "" {
			r.add(append(slices.Clone(loc), name), badRule, "%s", p)
		}
		if seen[strings.ToLower(name)] {
			r.add(append(slices.Clone(loc), name), badRule, "must not come twice")
		}
		seen[strings.ToLower(name)] = true
	}
}

// timeForms are the forms that clients write times in.
var timeForms = []string{time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05.999999999 UTC", "2006-01-02 15:04:05.999999999Z07:00"}

// beginning is the earliest time that a bound can be: nothing is older, and
// the zero time is no bound at all.
var beginning = time.UnixMilli(1).UTC()

func (r *reader) instant(s string, loc []string) any {
	for _, form := range timeForms {
		at, err := time.Parse(form, s)
		switch {
		case err != nil:
		case at.Before(beginning):
			return beginning
		case at.UTC().Year() < 10000: // what JSON can tell
			return at.UTC()
		}
	}
	r.add(loc, badForm, "must be a time such as 2030-01-02T03:04:05Z")
	return nil
}

func (r *reader) list(raw json.RawMessage, f *field, loc []string) any {
	items := decode[[]json.RawMessage](r, raw, "a list", loc)
	if n := int64(len(items)); n < f.min || n > f.max {
		r.add(loc, badRule, "must have %d to %d items", f.min, f.max)
	}
	return items
}

// query reads the parameters of a query string.
func (r *reader) query(query map[string][]string, fields []field) values {
	v := values{}
	for i := range fields {
		f := &fields[i]
		loc := []string{"query", f.name}
		raw, ok := lastOf(query, f.name)
		if f.kind == texts {
			if items, ok := listOf(query, f.name); ok {
				if value := r.value(json.RawMessage(quoteAll(items)), f, loc); value != nil {
					v[f.name] = value
				}
			}
			continue
		}
		if !ok {
			continue
		}
		if value := r.parameter(raw, f, loc); value != nil {
			v[f.name] = value
		}
	}
	return v
}

func (r *reader) parameter(raw string, f *field, loc []string) any {
	before := len(r.problems)
	var value any
	switch f.kind { //nolint:exhaustive // parameters have no other form
	case integer:
		value = r.integer(json.RawMessage(raw), f, loc)
	case boolean:
		value = raw == "true"
		if raw != "true" && raw != "false" {
			r.add(loc, badRule, "must be true or false")
		}
	case instant:
		// A plus sign that was not escaped arrives as a space.
		if i := len(raw) - len(" 00:00"); i > 0 && raw[i] == ' ' && strings.ContainsRune(raw, 'T') {
			raw = raw[:i] + "+" + raw[i+1:]
		}
		value = r.instant(raw, loc)
	default:
		value = r.text(raw, f, loc)
	}
	if len(r.problems) > before {
		return nil
	}
	return value
}

func lastOf(query map[string][]string, name string) (string, bool) {
	all := query[name]
	if len(all) == 0 {
		return "", false
	}
	return all[len(all)-1], true
}

// listOf reads a list in each of the forms in which clients send one: a=x,y and
// a[]=x and a[0]=x.
func listOf(query map[string][]string, name string) (items []string, ok bool) {
	for _, joined := range query[name] {
		items, ok = append(items, strings.Split(joined, ",")...), true
	}
	for _, item := range query[name+"[]"] {
		items, ok = append(items, item), true
	}
	var numbered []int
	for key := range query {
		if rest, found := strings.CutPrefix(key, name+"["); found {
			if n, err := strconv.Atoi(strings.TrimSuffix(rest, "]")); err == nil {
				numbered = append(numbered, n)
			}
		}
	}
	slices.Sort(numbered)
	for _, n := range numbered {
		items, ok = append(items, query[fmt.Sprintf("%s[%d]", name, n)]...), true
	}
	return items, ok
}

func quoteAll(items []string) string {
	b, err := json.Marshal(items)
	if err != nil {
		return "[]" // strings always have a JSON form
	}
	return string(b)
}
