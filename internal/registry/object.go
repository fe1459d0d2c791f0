package registry

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// Object is a JSON object whose members keep their order.
type Object []Member //nolint:recvcheck // it is built by pointer and read by value

// Member is one member of an Object. Value is JSON.
type Member struct {
	Name  string
	Value json.RawMessage
}

// timeLayout is how objects give times: UTC with microseconds.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// Append writes the object to b.
func (o Object) Append(b []byte) []byte {
	b = append(b, '{')
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, m.Name...) // a name of ours: nothing to escape
		b = append(b, '"', ':')
		b = append(b, m.Value...)
	}
	return append(b, '}')
}

// MarshalJSON implements json.Marshaler.
func (o Object) MarshalJSON() ([]byte, error) { return o.Append(nil), nil }

// Size is how many bytes Append writes.
func (o Object) Size() int {
	n := 2
	for _, m := range o {
		n += len(m.Name) + len(m.Value) + 4
	}
	return n
}

func (o *Object) add(name string, value json.RawMessage) {
	if value == nil {
		value = json.RawMessage("null")
	}
	*o = append(*o, Member{name, value})
}

func (o *Object) text(name, s string) { o.add(name, Quote(s)) }

func (o *Object) time(name string, t time.Time) {
	o.add(name, Quote(t.UTC().Format(timeLayout)))
}

// maybeText adds a text that may be missing; "" is null.
func (o *Object) maybeText(name, s string) {
	if s == "" {
		o.add(name, nil)
	} else {
		o.text(name, s)
	}
}

// maybeTime adds a time that may be missing; zero is null.
func (o *Object) maybeTime(name string, t time.Time) {
	if t.IsZero() {
		o.add(name, nil)
	} else {
		o.time(name, t)
	}
}

func (o *Object) int(name string, n int64) { o.add(name, strconv.AppendInt(nil, n, 10)) }

func (o *Object) bool(name string, b bool) { o.add(name, strconv.AppendBool(nil, b)) }

func (o *Object) object(name string, v Object) { o.add(name, v.Append(nil)) }

// Quote writes s as a JSON string. Unlike json.Marshal it leaves &, < and > as
// they are: what is written here goes into no page.
func Quote(s string) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always has a form
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// List writes objects as a JSON array.
func List(objects []Object) json.RawMessage {
	b := []byte{'['}
	for i, o := range objects {
		if i > 0 {
			b = append(b, ',')
		}
		b = o.Append(b)
	}
	return append(b, ']')
}

// quoted adds a member whose name is not one of ours.
func (o *Object) quoted(name string, value json.RawMessage) {
	q := Quote(name)
	o.add(string(q[1:len(q)-1]), value)
}
