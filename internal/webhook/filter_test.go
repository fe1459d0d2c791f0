package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func mustFilter(t testing.TB, source string) *Filter {
	t.Helper()
	f, err := ParseFilter([]byte(source))
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return f
}

func TestFilterHolds(t *testing.T) {
	label := &Message{EventType: "label.updated", Payload: []byte(`{"event_type":"x","dataset":"jane/flowers",
		"object":{"label_status":"REJECTED","labelset":"ground-truth","score":0.5,"rating":null,"tags":["a","b"],"a.b":{"c/d":1},"big":9007199254740993}}`)}
	issue := &Message{EventType: "issue.created", Payload: []byte(`{"dataset":"jane/flowers","object":{"status":"OPEN","description":"say \"no\" \u00fc"}}`)}
	release := &Message{EventType: "release.created", Payload: []byte(`{"dataset":"jane/trees","object":{"status":"SUCCEEDED"}}`)}
	gone := &Message{EventType: "sample.created"}
	for name, tt := range map[string]struct {
		filter string
		of     *Message
		want   bool
	}{
		"a dataset that is meant":    {`{"dataset":"jane/flowers"}`, label, true},
		"a dataset that is not":      {`{"dataset":"jane/trees"}`, label, false},
		"one of several":             {`{"dataset":["jane/trees","jane/flowers"]}`, label, true},
		"a prefix":                   {`{"dataset":{"prefix":"jane/"}}`, label, true},
		"another prefix":             {`{"dataset":{"prefix":"john/"}}`, label, false},
		"a status by its short name": {`{"label_status":"REJECTED"}`, label, true},
		"another status":             {`{"label_status":["REVIEWED","LABELED"]}`, label, false},
		"a short name passes over what has no such thing": {`{"label_status":"REVIEWED"}`, issue, true},
		"also when it is negated":                         {`{"not":{"label_status":"REVIEWED"}}`, issue, true},
		"a negated status":                                {`{"not":{"label_status":"REJECTED"}}`, label, false},
		"a labelset":                                      {`{"labelset":{"not":["predictions","ground-truth"]}}`, label, false},
		"the status of an issue":                          {`{"issue_status":"OPEN"}`, issue, true},
		"the status of a release is no issue's":           {`{"issue_status":"OPEN"}`, release, true},
		"a path in the payload":                           {`{"object.status":"OPEN"}`, issue, true},
		"a path that other events have too":               {`{"object.status":"OPEN"}`, release, false},
		"a path that is absent":                           {`{"object.status":"OPEN"}`, label, false},
		"null is what is absent":                          {`{"object.status":null}`, label, true},
		"null is null":                                    {`{"object.rating":null}`, label, true},
		"null is nothing else":                            {`{"object.score":null}`, label, false},
		"there":                                           {`{"object.score":{"exists":true}}`, label, true},
		"not there":                                       {`{"object.scor":{"exists":false}}`, label, true},
		"a number":                                        {`{"object.score":0.50}`, label, true},
		"a large number is compared to its last digit":    {`{"object.big":9007199254740992}`, label, false},
		"less":                                      {`{"object.score":{"lt":0.6,"gte":0.5}}`, label, true},
		"not less":                                  {`{"object.score":{"lt":0.5}}`, label, false},
		"more than a text is nothing":               {`{"object.labelset":{"gt":0}}`, label, false},
		"a list has one of them":                    {`{"object.tags":["b","c"]}`, label, true},
		"a list has none of them":                   {`{"object.tags":{"not":["b","c"]}}`, label, false},
		"an item is compared as a whole":            {`{"object.tags":"ab"}`, label, false},
		"names with dots and slashes, by a pointer": {`{"/object/a.b/c~1d":1}`, label, true},
		"escapes are read":                          {`{"object.description":"say \"no\" ü"}`, issue, true},
		"the event type":                            {`{"event_type":{"prefix":"label."}}`, label, true},
		"a member of the payload that is called event_type": {`{"/event_type":"x"}`, label, true},
		"all of them":            {`{"dataset":"jane/flowers","label_status":"REVIEWED"}`, label, false},
		"any of them":            {`{"any":[{"dataset":"no/no"},{"labelset":"ground-truth"}]}`, label, true},
		"none of them":           {`{"not":{"any":[{"dataset":"no/no"},{"labelset":"ground-truth"}]}}`, label, false},
		"not all of them":        {`{"not":{"all":[{"dataset":"no/no"},{"labelset":"ground-truth"}]}}`, label, true},
		"not not":                {`{"not":{"not":{"dataset":"jane/flowers"}}}`, label, true},
		"a payload that is gone": {`{"dataset":"jane/flowers"}`, gone, false},
		"true is no text":        {`{"dataset":true}`, label, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mustFilter(t, tt.filter).Holds(tt.of); got != tt.want {
				t.Errorf("%s holds of %s: %v, want %v", tt.filter, tt.of.Payload, got, tt.want)
			}
		})
	}
}

func TestFilterIsRefusedWithItsPlace(t *testing.T) {
	deep := strings.Repeat(`{"not":`, MaxFilterDepth) + `{"a":1}` + strings.Repeat("}", MaxFilterDepth)
	many := `{"a":[1` + strings.Repeat(",1", MaxFilterValues) + `]}`
	for name, tt := range map[string]struct{ filter, want string }{
		"no JSON":              {`{`, "filter: must be JSON"},
		"no object":            {`[]`, "filter: must be an object with at least one member"},
		"nothing in it":        {`{}`, "filter: must be an object with at least one member"},
		"an empty list":        {`{"any":[]}`, "filter: any: must be a list of conditions"},
		"no condition in any":  {`{"any":[{"a":1},2]}`, "filter: any: 1: must be an object with at least one member"},
		"an unknown operator":  {`{"a":{"like":"b"}}`, "filter: a: like: must be one of is, not, prefix, exists, lt, lte, gt, gte"},
		"a list of lists":      {`{"a":[[1]]}`, "filter: a: must be a string, a number, true, false or null, or a list of them"},
		"no value":             {`{"a":[]}`, "filter: a: must have at least one value"},
		"an empty name":        {`{"a..b":1}`, "filter: a..b: must be a short name, or the path of a value in the payload such as object.name or /object/name, of at most 16 names"},
		"a prefix of a number": {`{"a":{"prefix":1}}`, "filter: a: prefix: must be a string"},
		"less than a text":     {`{"a":{"lt":"1"}}`, "filter: a: lt: must be a number"},
		"perhaps there":        {`{"a":{"exists":1}}`, "filter: a: exists: must be true or false"},
		"too deep":             {deep, "filter: " + strings.Repeat("not: ", MaxFilterDepth) + "must be at most 8 conditions deep"},
		"too many values":      {many, "filter: a: must compare with at most 500 values in all"},
		"too long":             {`{"a":"` + strings.Repeat("b", MaxFilter) + `"}`, "filter: must have at most 8192 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := ParseFilter([]byte(tt.filter))
			if _, ok := errors.AsType[*FilterError](err); !ok || err.Error() != tt.want {
				t.Errorf("%v, %v, want %s", f, err, tt.want)
			}
		})
	}
}

func TestFilterSurvivesItsJSON(t *testing.T) {
	f := mustFilter(t, ` { "dataset" : [ "jane/flowers" ] } `)
	b, err := json.Marshal(f)
	if err != nil || string(b) != `{"dataset":["jane/flowers"]}` {
		t.Fatalf("%s, %v", b, err)
	}
	var again *Filter
	if err := json.Unmarshal(b, &again); err != nil || again.String() != f.String() {
		t.Errorf("%v, %v", again, err)
	}
}

// FuzzFilter sees that no filter and no payload break anything, and that a
// condition and its negation never say the same of a value without a short
// name.
func FuzzFilter(f *testing.F) {
	f.Add(`{"any":[{"a.b":{"lt":2,"not":[1,null]}},{"not":{"all":[{"/c":"d"}]}}]}`, `{"a":{"b":1},"c":["d"]}`)
	f.Add(`{"label_status":"x","event_type":{"prefix":"l"}}`, `{"object":{"label_status":"\u0078"}}`)
	f.Add(`{"a":{"exists":false}}`, `{"a`)
	f.Fuzz(func(t *testing.T, source, payload string) {
		filter, err := ParseFilter([]byte(source))
		if err != nil {
			return
		}
		holds := filter.Holds(&Message{EventType: "label.updated", Payload: []byte(payload)})
		if strings.Contains(source, "issue_status") || strings.Contains(source, `\u`) {
			return
		}
		negated, err := ParseFilter([]byte(`{"not":` + source + `}`))
		if err != nil {
			return // one too deep
		}
		if negated.Holds(&Message{EventType: "label.updated", Payload: []byte(payload)}) == holds {
			t.Errorf("%s and its negation are both %v of %s", source, holds, payload)
		}
	})
}

// FuzzDocument sees that a document has what encoding/json finds in the text.
func FuzzDocument(f *testing.F) {
	for _, s := range []string{`{"a":{"b":[1,"\"]",{"c":null}]},"\u0061b":"x\\"}`, ` [ true , {} ] `, `{"a":1,"a":2}`, `"\\"`, `{"":{"":""}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		newDocument([]byte(s)).member("a")
		newDocument([]byte(s)).list()
		if json.Valid([]byte(s)) {
			same(t, newDocument([]byte(s)), json.RawMessage(s))
		}
	})
}

func same(t *testing.T, d *document, raw json.RawMessage) {
	t.Helper()
	switch d.raw[0] {
	case '{':
		var want map[string]json.RawMessage
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		d.open()
		if !slices.Equal(slices.Sorted(maps.Keys(d.members)), slices.Sorted(maps.Keys(want))) {
			t.Fatalf("%s has %v", raw, slices.Collect(maps.Keys(d.members)))
		}
		for name, value := range want {
			same(t, d.members[name], value)
		}
	case '[':
		var want []json.RawMessage
		if err := json.Unmarshal(raw, &want); err != nil || len(d.list()) != len(want) {
			t.Fatalf("%s has %d items, %v", raw, len(d.list()), err)
		}
		for i := range want {
			same(t, d.items[i], want[i])
		}
	case '"':
		var want string
		if err := json.Unmarshal(raw, &want); err != nil || unquote(d.raw) != want {
			t.Errorf("%s is %q, want %q, %v", raw, unquote(d.raw), want, err)
		}
	default:
		if string(d.raw) != strings.TrimSpace(string(raw)) {
			t.Errorf("%q, want %q", d.raw, raw)
		}
	}
}

// BenchmarkFilter asks ten endpoints about one message, which looks into its
// payload once.
func BenchmarkFilter(b *testing.B) {
	payload := []byte(`{"event_type":"label.updated","dataset":"jane/flowers","object":{"attributes":{"annotations":[` +
		strings.Repeat(`{"id":1,"category_id":1,"points":[[1,2],[3,4]]},`, 15) + `{}]},"label_status":"REJECTED","labelset":"ground-truth"}}`)
	filters := make([]*Filter, 10)
	for i := range filters {
		filters[i] = mustFilter(b, fmt.Sprintf(`{"label_status":["A%d","REJECTED"],"dataset":{"prefix":"jane/"}}`, i))
	}
	b.ReportAllocs()
	for b.Loop() {
		m := &Message{EventType: "label.updated", Payload: payload}
		for _, f := range filters {
			f.Holds(m)
		}
	}
}
