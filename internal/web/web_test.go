package web

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// answer is a handler that says which route was found and with what.
func answer(route string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, route+" "+r.PathValue("owner")+" "+r.PathValue("name"))
	})
}

func router() *Router {
	rt := &Router{NotFound: http.NotFoundHandler()}
	for _, route := range []string{"GET /", "GET /user", "GET /users/{owner}", "GET /users/me", "POST /datasets/{owner}/{name}", "GET /datasets/{owner}/{name}/samples"} {
		rt.Handle(route, answer(route))
	}
	return rt
}

func get(h http.Handler, method, target string) (int, string) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, "/", nil)
	if parsed, err := url.Parse(target); err == nil {
		r.URL = parsed
	}
	h.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestRoutes(t *testing.T) {
	for _, test := range []struct{ sentence, method, path, want string }{
		{"the root", "GET", "/", "GET /"},
		{"without a slash at the end", "GET", "/user", "GET /user"},
		{"with one", "GET", "/user/", "GET /user"},
		{"HEAD is GET", "HEAD", "/user", "GET /user"},
		{"a parameter", "GET", "/users/jane", "GET /users/{owner} jane"},
		{"a literal is preferred", "GET", "/users/me", "GET /users/me"},
		{"an escaped slash stays in its segment", "POST", "/datasets/a%2Fb/c%20d/", "POST /datasets/{owner}/{name} a/b c d"},
		{"dots are not cleaned", "GET", "/users/..", "GET /users/{owner} .."},
		{"two parameters", "GET", "/datasets/jane/flowers/samples/", "GET /datasets/{owner}/{name}/samples jane flowers"},
		{"another method is not found", "PUT", "/user", ""},
		{"two slashes at the end are not found", "GET", "/user//", ""},
		{"an empty segment is not found", "GET", "/users//", ""},
		{"half a path is not found", "GET", "/datasets/jane", ""},
		{"case counts", "GET", "/User", ""},
		{"a null character is in no name", "GET", "/users/a%00b", ""},
		{"what is not UTF-8 is no name", "GET", "/users/%ff", ""},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			status, body := get(router(), test.method, test.path)
			if test.want == "" && status != http.StatusNotFound || test.want != "" && body != test.want {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

func TestRoutesAreListed(t *testing.T) {
	routes := router().Routes()
	slices.Sort(routes)
	if len(routes) != 6 || routes[len(routes)-1] != "POST /datasets/{owner}/{name}" {
		t.Errorf("got %q", routes)
	}
}

func FuzzTheRouterFindsWhatIsThereOrNothing(f *testing.F) {
	f.Add("GET", "/users/%2e%2e/")
	f.Add("GET", "/datasets/%zz/b/samples")
	f.Add("POST", "//")
	f.Fuzz(func(t *testing.T, method, path string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method, r.URL.Path = method, path
		w := httptest.NewRecorder()
		router().ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusNotFound {
			t.Errorf("%s %q: %d", method, path, w.Code)
		}
	})
}

func zip(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.Bytes()
}

func TestBodies(t *testing.T) {
	bounds := Bounds{Wire: 100, Unpacked: 200}
	for _, test := range []struct {
		sentence, encoding string
		body               []byte
		want               string
		err                error
	}{
		{"a plain one", "", []byte("{}"), "{}", nil},
		{"one that says it is plain", "identity", []byte("{}"), "{}", nil},
		{"a zipped one", "gzip", zip("{}"), "{}", nil},
		{"nothing at all, zipped", "gzip", nil, "", nil},
		{"as much as fits", "", bytes.Repeat([]byte("x"), 100), strings.Repeat("x", 100), nil},
		{"one byte more", "", bytes.Repeat([]byte("x"), 101), "", ErrTooLarge},
		{"as much as fits unpacked", "gzip", zip(strings.Repeat("x", 200)), strings.Repeat("x", 200), nil},
		{"a bomb", "gzip", zip(strings.Repeat("x", 10_000)), "", ErrTooLarge},
		{"zipped and cut", "gzip", zip("{}")[:12], "", ErrSyntax},
		{"not zipped at all", "gzip", []byte("{}"), "", ErrSyntax},
		{"an encoding nobody knows", "zstd", []byte("{}"), "", ErrEncoding},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			for _, chunked := range []bool{false, true} {
				r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(test.body))
				r.Header.Set("Content-Encoding", test.encoding)
				if chunked {
					r.ContentLength = -1
				}
				got, err := Body(httptest.NewRecorder(), r, bounds)
				if string(got) != test.want || !errors.Is(err, test.err) {
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	}
}

func FuzzBody(f *testing.F) {
	f.Add(zip("{}"), true)
	f.Add([]byte("{}"), false)
	f.Fuzz(func(t *testing.T, body []byte, zipped bool) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		if zipped {
			r.Header.Set("Content-Encoding", "gzip")
		}
		got, err := Body(httptest.NewRecorder(), r, Bounds{Wire: 1000, Unpacked: 2000})
		if len(got) > 2000 || err != nil && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrSyntax) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if text, err := Text(got); err == nil != utf8.Valid(got) || err == nil && len(text) == 0 {
			t.Errorf("%q, %v", text, err)
		}
	})
}

func TestAPanicIsAnsweredAndLoggedWithoutWhatIsSecret(t *testing.T) {
	var lines bytes.Buffer
	broken := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	h := Log(slog.New(slog.NewTextHandler(&lines, nil)), broken, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("ouch") }))
	r := httptest.NewRequest(http.MethodGet, "/path?token=secret-query", nil)
	r.Header.Set("Authorization", "APIKey secret-header")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError || w.Header().Get("X-Request-Id") == "" {
		t.Errorf("got %d", w.Code)
	}
	for _, want := range []string{"ouch", "path=/path", "status=500", w.Header().Get("X-Request-Id")} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("the log lacks %s: %s", want, lines.String())
		}
	}
	if strings.Contains(lines.String(), "secret") {
		t.Errorf("the log tells secrets: %s", lines.String())
	}
}

func TestAStreamTellsAnErrorOrIsCutShort(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		sentence string
		size     int
		fails    bool
	}{
		{"nothing", 0, false}, {"a little", 10, false}, {"more than waits", held + 10, false}, {"an error at once", 10, true}, {"an error late", 2*held + 10, true},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			w := httptest.NewRecorder()
			var err error
			cut := false
			func() {
				defer func() { cut = recover() != nil }()
				err = Stream(w, http.StatusOK, func(to io.Writer) error {
					for range test.size / 10 {
						if _, err := io.WriteString(to, "0123456789"); err != nil {
							return err
						}
					}
					if test.fails {
						return broken
					}
					return nil
				})
			}()
			switch {
			case !test.fails && (err != nil || cut || w.Body.Len() != test.size/10*10):
				t.Errorf("%v, %v, %d bytes", err, cut, w.Body.Len())
			case test.fails && test.size < held && (!errors.Is(err, broken) || w.Body.Len() > 0):
				t.Errorf("%v, %d bytes", err, w.Body.Len())
			case test.fails && test.size > held && !cut:
				t.Error("half an answer was taken for a whole one")
			}
		})
	}
}
