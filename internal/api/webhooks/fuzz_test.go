package webhooks

import (
	"bytes"
	"fanfare/internal/auth"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// FuzzRequests sends every operation whatever comes: in the path, in the query
// and in the body. Nothing may panic, nothing may be the server's fault, and
// every answer but an empty one is JSON.
func FuzzRequests(f *testing.F) {
	s := storetest.Open(f, storetest.SQLite(f))
	api := New(s, storetest.Log(f), Config{})
	environment, err := s.CreateEnvironment(f.Context(), "fuzz")
	if err != nil {
		f.Fatal(err)
	}
	secret := auth.NewToken(auth.BearerPrefix)
	if _, err := s.CreateToken(f.Context(), webhook.Token{Environment: environment}, auth.Hash(secret)); err != nil {
		f.Fatal(err)
	}
	app, err := s.CreateApplication(f.Context(), webhook.Application{Environment: environment, Name: "a", UID: "a", Metadata: map[string]string{}})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := s.CreateEndpoint(f.Context(), webhook.Endpoint{
		Application: app.ID, UID: "e", URL: "https://example.com/", Version: 1, Secrets: []webhook.Secret{{Key: "whsec_x"}},
	}); err != nil {
		f.Fatal(err)
	}
	for i := range api.operations {
		op := &api.operations[i]
		f.Add(uint(i), "e", "", []byte(op.example))
		f.Add(uint(i), "ep_01j000000000000000000000aa", "iterator=-msg_01j000000000000000000000aa&limit=3", []byte(`{}`))
	}
	f.Add(uint(0), "a", "iterator=-&order=descending&before=2020-01-01T00:00:00Z&after=9999-12-31T23:59:59Z&limit=250", []byte(`[]`))
	f.Add(uint(0), "\x00", "event_types[0]=a&event_types[x]=b&event_types=,", []byte(`{"eventType":"a","payload":{"":{"a":1e999}},"tags":null}`))
	f.Add(uint(0), "-", "iterator=%00", []byte("{\"name\":\"\\u0000\\ud800\"}"))
	f.Fuzz(func(t *testing.T, which uint, ref, query string, body []byte) {
		op := &api.operations[which%uint(len(api.operations))]
		method, path, _ := strings.Cut(op.route, " ")
		path = strings.ReplaceAll(path, "{app}", "a")
		path = anyParameter.ReplaceAllLiteralString(path, url.PathEscape(ref))
		req := httptest.NewRequestWithContext(t.Context(), method, "/", bytes.NewReader(body))
		target, err := url.ParseRequestURI(Prefix + path)
		if err != nil {
			t.Skip()
		}
		target.RawQuery = query
		req.URL = target
		req.Header.Set("Authorization", "Bearer "+secret)
		rec := httptest.NewRecorder()
		api.ServeHTTP(rec, req)
		if rec.Code >= http.StatusInternalServerError || rec.Code == http.StatusUnauthorized {
			t.Errorf("%s %s with %q: %d %s", method, target, body, rec.Code, rec.Body)
		}
		if rec.Code != http.StatusNoContent && !strings.HasPrefix(rec.Header().Get("Content-Type"), "application/json") {
			t.Errorf("%s %s: %d without JSON", method, target, rec.Code)
		}
		if op.id == "application.delete" && rec.Code == http.StatusNoContent {
			// The next calls want it back.
			if _, err := s.CreateApplication(t.Context(), webhook.Application{Environment: environment, Name: "a", UID: "a", Metadata: map[string]string{}}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// anyParameter is a parameter in a path.
var anyParameter = regexp.MustCompile(`\{[a-z]+\}`)
