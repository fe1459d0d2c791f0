package egress

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestATargetIsWhatItsURLSays(t *testing.T) {
	for raw, want := range map[string]Target{
		"http://example.com":                     {host: "example.com", path: "/", name: "example.com", key: hostKey{false, "example.com:80"}},
		"https://example.com/a?b=c#d":            {host: "example.com", path: "/a?b=c", name: "example.com", key: hostKey{true, "example.com:443"}},
		"https://example.com.:8443/":             {host: "example.com.:8443", path: "/", name: "example.com.", key: hostKey{true, "example.com.:8443"}},
		"http://[2001:db8::1]/":                  {host: "[2001:db8::1]", path: "/", name: "2001:db8::1", key: hostKey{false, "[2001:db8::1]:80"}},
		"http://[fe80::1%25eth0]:8080/":          {host: "[fe80::1]:8080", path: "/", name: "fe80::1%eth0", key: hostKey{false, "[fe80::1%eth0]:8080"}},
		"http://bücher.example/ü":                {host: "xn--bcher-kva.example", path: "/%C3%BC", name: "xn--bcher-kva.example", key: hostKey{false, "xn--bcher-kva.example:80"}},
		"http://127．0．0．1/":                      {host: "xn--127001-kn68abab", path: "/", name: "xn--127001-kn68abab", key: hostKey{false, "xn--127001-kn68abab:80"}}, // no address, a name that nobody has
		"http://ann:s3cret@example.com/":         {host: "example.com", path: "/", name: "example.com", key: hostKey{false, "example.com:80"}, auth: "Basic YW5uOnMzY3JldA=="},
		"http://example.com/a b?c d&e=ü\"":       {host: "example.com", path: "/a%20b?c%20d&e=%C3%BC\"", name: "example.com", key: hostKey{false, "example.com:80"}},
		"http://example.com/?x HTTP/1.1":         {host: "example.com", path: "/?x%20HTTP/1.1", name: "example.com", key: hostKey{false, "example.com:80"}},
		"http://example.com//other.example/..//": {host: "example.com", path: "//other.example/..//", name: "example.com", key: hostKey{false, "example.com:80"}},
	} {
		got, err := ParseTarget(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if got.url = nil; *got != want {
			t.Errorf("%s:\n%+v, want\n%+v", raw, *got, want)
		}
	}
}

func TestWhatIsNoTargetIsRefusedWithoutRepeatingIt(t *testing.T) {
	for _, raw := range []string{
		"", "/s3cret", "s3cret.example", "ftp://s3cret.example/", "file:///s3cret", "http:///s3cret", "http:s3cret", "http://a b/s3cret",
		"http://a.example/s3cret\r\nX: y", "http://a.example\x00/s3cret", "https://a.example:99999999/s3cret%zz", "http://s3cret@[::1/",
		"gopher://s3cret/", "unix:///run/s3cret.sock", "http://\u202es3cret\uff0e/%",
	} {
		if to, err := ParseTarget(raw); err == nil {
			t.Errorf("%q goes to %+v", raw, to)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func TestALineBreakInAFieldIsNotSent(t *testing.T) {
	called := false
	s := serve(t, func(http.ResponseWriter, *http.Request) { called = true })
	for _, f := range []Field{
		{"X", "a\r\nX-Smuggled: b"}, {"X", "a\nb"}, {"X", "a\rb"}, {"X\r\nY", "a"}, {"X: y\r\n\r\nGET / HTTP/1.1\r\nHost", "a"}, {"X", "\r\n"},
	} {
		c := New(Config{Allow: loopback})
		t.Cleanup(c.Close)
		req := post(t, s.URL, "{}")
		req.Header = []Field{f}
		if _, err := c.Do(t.Context(), req); !errors.Is(err, errLineBreak) || !Unsent(err) || called {
			t.Errorf("%q: %v", f, err)
		}
	}
}

// FuzzParseTarget: nothing in a URL gets out of its line of the request.
func FuzzParseTarget(f *testing.F) {
	for _, raw := range []string{"http://a.example/b?c", "https://u:p@[::1%25x]:1/?a b", "http://ü/", "http://a/\x7f", "http://a/%0d%0a?\t"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		to, err := ParseTarget(raw)
		if err != nil {
			return
		}
		head, _, err := (&Request{Method: http.MethodPost, To: to}).appendHead(nil)
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		line, _, _ := strings.Cut(string(head), "\r\n")
		if parts := strings.Split(line, " "); len(parts) != 3 || !strings.HasPrefix(parts[1], "/") {
			t.Errorf("%q makes the request line %q", raw, line)
		}
		for _, c := range head {
			if c < ' ' && c != '\r' && c != '\n' || c >= 0x7f {
				t.Errorf("%q makes %q", raw, head)
			}
		}
	})
}
