package webhooks

import (
	"bytes"
	"encoding/json"
	"fanfare/internal/auth"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// desk answers requests without a network, in an environment with an
// application "acme", an endpoint "main" and an event type "paid".
type desk struct {
	t     *testing.T
	api   *API
	token string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	s := storetest.Open(t, storetest.SQLite(t))
	environment, err := s.CreateEnvironment(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t, New(s, storetest.Log(t), Config{}), auth.NewToken(auth.BearerPrefix)}
	if _, err := s.CreateToken(t.Context(), webhook.Token{Environment: environment}, auth.Hash(d.token)); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{
		{"POST", "/app", `{"name":"Acme","uid":"acme"}`},
		{"POST", "/app/acme/endpoint", `{"url":"https://example.com","uid":"main"}`},
		{"POST", "/event-type", `{"name":"paid","description":""}`},
		{"POST", "/app/acme/msg", `{"eventType":"paid","eventId":"one","payload":{}}`},
		{"POST", "/operational-webhook/endpoint", `{"url":"https://example.com","uid":"main"}`},
	} {
		if r := d.do(c[0], c[1], c[2]); r.status > 299 {
			t.Fatalf("%s %s: %d %s", c[0], c[1], r.status, r.body)
		}
	}
	return d
}

func (d *desk) do(method, path, body string, headers ...string) reply {
	d.t.Helper()
	r := httptest.NewRequestWithContext(d.t.Context(), method, Prefix+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+d.token)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	d.api.ServeHTTP(rec, r)
	return reply{rec.Code, rec.Header(), strings.TrimSpace(rec.Body.String())}
}

// path fills in the names of what is there.
func (d *desk) path(op *operation) (method, path string) {
	method, path, _ = strings.Cut(op.route, " ")
	return method, strings.NewReplacer("{app}", "acme", "{ep}", "main", "{sink}", "main", "{msg}", "one", "{name}", "paid", "{consumer}", "me").Replace(path)
}

// problems are those of a 422.
func (d *desk) problems(r reply) []problem {
	d.t.Helper()
	var told invalidOut
	if r.status != 422 {
		return nil
	}
	dec := json.NewDecoder(strings.NewReader(r.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&told); err != nil || len(told.Detail) == 0 {
		d.t.Errorf("a 422 that says nothing: %s (%v)", r.body, err)
	}
	for _, p := range told.Detail {
		if len(p.Loc) == 0 || p.Msg == "" || !strings.HasPrefix(p.Type, "value_error") && !strings.HasPrefix(p.Type, "application_uid_") {
			d.t.Errorf("a problem that says too little: %s", r.body)
		}
	}
	return told.Detail
}

// tells reports whether a problem lies at a place, or below it.
func tells(problems []problem, loc ...string) bool {
	return slices.ContainsFunc(problems, func(p problem) bool { return len(p.Loc) >= len(loc) && slices.Equal(p.Loc[:len(loc)], loc) })
}

// wrongForms are values that do not have the form of a field.
var wrongForms = map[kind][]string{
	text: {`1`, `{}`, `[]`, `true`}, integer: {`"1"`, `1.5`, `{}`, `1e2`, `99999999999999999999`}, boolean: {`"true"`, `1`}, texts: {`"a"`, `{}`, `[1]`, `[null]`},
	textMap: {`"a"`, `[]`, `{"a":1}`, `{"a":null}`, `{"a":{}}`}, headerMap: {`"a"`, `[]`, `{"X-A":1}`}, instant: {`1`, `"yesterday"`, `"2030-01-02"`, `""`},
	anyObject: {`"a"`, `[]`, `1`}, objectsMap: {`"a"`, `[]`}, object: {`"a"`, `[]`, `1`}, anyList: {`"a"`, `{}`},
}

// with is an object with one of its members replaced, or removed when value is
// empty.
func with(t *testing.T, body, name, value string) string {
	t.Helper()
	members := map[string]json.RawMessage{}
	if body != "" {
		if err := json.Unmarshal([]byte(body), &members); err != nil {
			t.Fatal(err)
		}
	}
	if value == "" {
		delete(members, name)
	} else {
		members[name] = json.RawMessage(value)
	}
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEveryFieldOfEveryBodySaysWhereAndWhyItIsNoGood(t *testing.T) {
	d := newDesk(t)
	for i := range d.api.operations {
		op := &d.api.operations[i]
		method, path := d.path(op)
		for j := range op.body {
			f := &op.body[j]
			for _, name := range []string{f.name, f.alias} {
				if name == "" {
					continue
				}
				plain := with(t, op.example, f.name, "")
				if f.alias != "" {
					plain = with(t, plain, f.alias, "")
				}
				for _, value := range wrongForms[f.kind] {
					if r := d.do(method, path, with(t, plain, name, value)); !tells(d.problems(r), "body", name) {
						t.Errorf("%s with %s = %s: %d %s", op.route, name, value, r.status, r.body)
					}
				}
				if f.nullable {
					continue
				}
				if r := d.do(method, path, with(t, plain, name, "null")); !tells(d.problems(r), "body", name) {
					t.Errorf("%s with %s = null: %d %s", op.route, name, r.status, r.body)
				}
			}
			if f.required {
				r := d.do(method, path, with(t, op.example, f.name, ""))
				if got := d.problems(r); !tells(got, "body", f.name) || got[0].Type != badForm {
					t.Errorf("%s without %s: %d %s", op.route, f.name, r.status, r.body)
				}
			}
		}
		for _, body := range []string{`{`, `[]`, `"a"`, `null`, `1`, "{\"a\":\"\xff\"}", `{} {}`, `{"a":1,}`} {
			if op.body == nil {
				continue
			}
			if r := d.do(method, path, body); !tells(d.problems(r), "body") || d.problems(r)[0].Type != badForm {
				t.Errorf("%s with %q: %d %s", op.route, body, r.status, r.body)
			}
		}
	}
}

func TestEveryParameterOfEveryQuerySaysThatItIsNoGood(t *testing.T) {
	d := newDesk(t)
	for i := range d.api.operations {
		op := &d.api.operations[i]
		method, path := d.path(op)
		for j := range op.query {
			f := &op.query[j]
			values := map[kind][]string{
				integer: {"x", "1.5", "", "-1", "99999999999999999999"}, boolean: {"yes", "1", "", "TRUE"}, instant: {"yesterday", "", "2030-13-01T00:00:00Z", "12:00"},
				texts: {"a%20b", "", "a,,b", "a,b%00"},
			}[f.kind]
			switch {
			case f.enum != nil:
				values = append(values, "none-of-them")
			case f.name == "iterator" && !strings.Contains(path, "poller"):
				values = []string{"-", "a%20b", "%00", "--x%20", "-msg_%20"}
			case f.valid != nil:
				values = append(values, "a%20b", "", "%ff", "%00", strings.Repeat("x", 300))
			}
			for _, value := range values {
				if r := d.do(method, path+"?"+f.name+"="+value, op.example); !tells(d.problems(r), "query", f.name) {
					t.Errorf("%s?%s=%s: %d %s", op.route, f.name, value, r.status, r.body)
				}
			}
		}
		if r := d.do(method, path+"?a=%zz", op.example); op.access != anybody && (r.status != 400 || !strings.Contains(r.body, `"code":"generic_error"`)) {
			t.Errorf("%s with a query that is none: %d %s", op.route, r.status, r.body)
		}
	}
}

// TestWhoMayCallWhat asks for every operation with no token, with that of
// another application, and with that of the application in the path.
func TestWhoMayCallWhat(t *testing.T) {
	d := newDesk(t)
	if r := d.do("POST", "/app", `{"name":"Other","uid":"other"}`); r.status != 201 {
		t.Fatal(r.body)
	}
	token := func(app string) string {
		var out accessOut
		r := d.do("POST", "/auth/app-portal-access/"+app, `{}`)
		if err := json.Unmarshal([]byte(r.body), &out); err != nil {
			t.Fatal(err)
		}
		return out.Token
	}
	for i := range d.api.operations {
		op := &d.api.operations[i]
		method, path := d.path(op)
		mine, theirs := token("acme"), token("other")
		for _, c := range []struct {
			who, token string
			want       map[access]int // 0 is whatever is no refusal
		}{
			{"nobody", "", map[access]int{anybody: 0, anyToken: 401, forEnvironment: 401, forApplication: 401}},
			{"another application", theirs, map[access]int{anybody: 0, anyToken: 0, forEnvironment: 403, forApplication: 404}},
			{"the application", mine, map[access]int{anybody: 0, anyToken: 0, forEnvironment: 403, forApplication: 0}},
		} {
			if op.id == "endpoint.delete" && c.token == mine {
				continue // the others want it
			}
			r := d.do(method, path, op.example, "Authorization", "Bearer "+c.token)
			want := c.want[op.access]
			refused := r.status == 401 || r.status == 403 || r.status == 404 && !strings.Contains(path, "{")
			if want != 0 && r.status != want || want == 0 && refused {
				t.Errorf("%s, called by %s: %d %s; want %d", op.route, c.who, r.status, r.body, want)
			}
			if want != 0 && !bytes.Contains([]byte(r.body), []byte(`"code":"`)) {
				t.Errorf("%s, called by %s: %s", op.route, c.who, r.body)
			}
		}
	}
}
