package store

import (
	"encoding/json"
	"fanfare/internal/webhook"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// key is an id as a query parameter.
func key(id webhook.ID) []byte { return id[:] }

// optional is an id that may be unset, as a query parameter.
func optional(id webhook.ID) any {
	if id.IsZero() {
		return nil
	}
	return id[:]
}

// optionalText is a text that may be unset, as a query parameter.
func optionalText(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// intoID reads an id column; NULL is the zero id.
type intoID webhook.ID

// Scan implements sql.Scanner.
func (d *intoID) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d = intoID{}
	case []byte:
		if len(v) != len(d) {
			return fmt.Errorf("an id of %d bytes", len(v))
		}
		copy(d[:], v)
	default:
		return fmt.Errorf("an id of type %T", src)
	}
	return nil
}

func id(into *webhook.ID) *intoID { return (*intoID)(into) }

// intoTime reads a column of microseconds; NULL and 0 are the zero time.
type intoTime struct{ t *time.Time }

// Scan implements sql.Scanner.
func (d intoTime) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d.t = time.Time{}
	case int64:
		*d.t = webhook.FromMicros(v)
	default:
		return fmt.Errorf("a time of type %T", src)
	}
	return nil
}

// intoText reads a text column; NULL is "".
type intoText struct{ s *string }

// Scan implements sql.Scanner.
func (d intoText) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d.s = ""
	case string:
		*d.s = v
	case []byte:
		*d.s = string(v)
	default:
		return fmt.Errorf("a text of type %T", src)
	}
	return nil
}

// intoJSON reads a column of JSON; NULL leaves the zero value.
type intoJSON struct{ v any }

// Scan implements sql.Scanner.
func (d intoJSON) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		return nil
	case string:
		return json.Unmarshal([]byte(v), d.v)
	case []byte:
		return json.Unmarshal(v, d.v)
	default:
		return fmt.Errorf("JSON of type %T", src)
	}
}

// named is a name to look for, as a query parameter. One that no database holds
// is NULL, which nothing equals.
func named(name string) any {
	if !utf8.ValidString(name) || strings.IndexByte(name, 0) >= 0 {
		return nil
	}
	return name
}

// list is a list of names as a query parameter; nil is NULL.
func list(names []string) any {
	if names == nil {
		return nil
	}
	return text(names)
}

// filter is a condition as a query parameter; nil is NULL.
func filter(f *webhook.Filter) any {
	if f == nil {
		return nil
	}
	return f.String()
}

// text is v as JSON. It is used for values that always have a JSON form.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("store: %T has no JSON form: %v", v, err))
	}
	return string(b)
}
