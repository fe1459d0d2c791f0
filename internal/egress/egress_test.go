package egress

import (
	"compress/gzip"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func get(t *testing.T, c *Client, url string) (*Response, error) {
	t.Helper()
	t.Cleanup(c.Close)
	to, err := ParseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	return c.Do(t.Context(), &Request{Method: http.MethodGet, To: to})
}

func post(t *testing.T, url, body string) *Request {
	t.Helper()
	to, err := ParseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	return &Request{Method: http.MethodPost, To: to, Body: []byte(body)}
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestAddressesThatAreNotPublicAreBlocked(t *testing.T) {
	for _, address := range []string{
		"0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255",
		"192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.9",
		"224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
		"64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254",
		"fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
	} {
		if blocked(netip.MustParseAddr(address)) == "" {
			t.Errorf("%s is taken for public", address)
		}
	}
}

func TestPublicAddressesAreNotBlocked(t *testing.T) {
	for _, address := range []string{
		"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.32.0.1", "198.20.0.1", "223.255.255.255",
		"2606:4700:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
	} {
		if class := blocked(netip.MustParseAddr(address)); class != "" {
			t.Errorf("%s is taken for %s", address, class)
		}
	}
}

func FuzzAnIPv4AddressIsTheSameInEveryForm(f *testing.F) {
	f.Add(byte(127), byte(0), byte(0), byte(1))
	f.Add(byte(8), byte(8), byte(8), byte(8))
	f.Fuzz(func(t *testing.T, a, b, c, d byte) {
		plain := netip.AddrFrom4([4]byte{a, b, c, d})
		translated := netip.MustParseAddr(fmt.Sprintf("64:ff9b::%02x%02x:%02x%02x", a, b, c, d))
		for _, other := range []netip.Addr{netip.AddrFrom16(plain.As16()), translated} {
			if blocked(plain) != blocked(other) {
				t.Errorf("%s is %q and %s is %q", plain, blocked(plain), other, blocked(other))
			}
		}
	})
}

func TestNoWayOfWritingAnAddressLeadsHome(t *testing.T) {
	called := false
	s := serve(t, func(http.ResponseWriter, *http.Request) { called = true })
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"} {
		res, err := get(t, New(Config{}), "http://"+net.JoinHostPort(strings.Trim(host, "[]"), port))
		if !errors.Is(err, ErrBlocked) || res.StatusCode != 0 {
			t.Errorf("%s: %v", host, err)
		}
	}
	// What only some resolvers read as an address must not connect either, be
	// it that the name server does.
	home := answering("127.0.0.1")
	for _, host := range []string{"2130706433", "0x7f000001", "0177.0.0.1", "127.1"} {
		if _, err := get(t, resolving(Config{}, home), "http://"+host+":"+port); err == nil {
			t.Errorf("%s was called", host)
		}
	}
	if called {
		t.Error("the server was called")
	}
}

func TestAnAllowedNetworkIsReached(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Seen", "yes")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "short and stout")
	})
	c := New(Config{Allow: loopback})
	res, err := get(t, c, s.URL)
	if err != nil || res.StatusCode != http.StatusTeapot || string(res.Body) != "short and stout" || res.Header.Get("X-Seen") != "yes" {
		t.Fatalf("got %+v, %v", res, err)
	}
	if res.Timings.Connect == 0 || res.Timings.FirstByte == 0 || res.Timings.Total < res.Timings.FirstByte {
		t.Errorf("timings %+v", res.Timings)
	}
	if res, err = get(t, c, s.URL); err != nil || res.Timings.Connect != 0 {
		t.Errorf("the connection was not used again: %+v, %v", res.Timings, err)
	}
}

func TestARedirectIsAnAnswerAndNotFollowed(t *testing.T) {
	followed := false
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		followed = followed || r.URL.Path != "/"
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	res, err := get(t, New(Config{Allow: loopback}), s.URL)
	if err != nil || res.StatusCode != http.StatusFound || followed {
		t.Errorf("got %d, %v, followed %v", res.StatusCode, err, followed)
	}
}

func TestAnAnswerWithoutEndIsReadUpToTheBound(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"plain": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		},
		"a bomb of gzip": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for r.Context().Err() == nil {
				if _, err := z.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := get(t, New(Config{Allow: loopback, MaxBody: 10_000}), serve(t, h).URL)
			if err != nil || len(res.Body) != 10_000 || !res.Truncated {
				t.Errorf("read %d bytes, %v", len(res.Body), err)
			}
		})
	}
}

func TestWhatGoesWrongIsToldInWords(t *testing.T) {
	nobody := serve(t, nil)
	nobody.Close()
	rude := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	big := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Big", strings.Repeat("x", 128<<10)) })
	notGzip := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		fmt.Fprint(w, "these are not the bytes of a gzip file")
	})
	upgrade := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "anything")
		w.WriteHeader(http.StatusSwitchingProtocols)
	})
	selfSigned := serveTLS(t, func(http.ResponseWriter, *http.Request) {})
	open := Config{Allow: loopback}
	for name, tt := range map[string]struct {
		url               string
		cfg               Config
		class             Kind
		unsent, retryable bool
		says              string
		status            int
	}{
		"nobody listens":                     {nobody.URL, open, Unreachable, true, true, "refused", 0},
		"it hangs up":                        {rude.URL, open, Unreachable, false, false, "closed before", 0},
		"its certificate is its own":         {selfSigned.URL, open, Unreachable, true, true, "unknown authority", 0},
		"it speaks no TLS":                   {strings.Replace(rude.URL, "http:", "https:", 1), open, Unreachable, true, true, "does not speak TLS", 0},
		"it is at home":                      {rude.URL, Config{}, Blocked, true, false, "not public (loopback)", 0},
		"its headers are too large":          {big.URL, open, Unreachable, false, false, "headers are too large", 0},
		"its body is not what it says it is": {notGzip.URL, open, Unreachable, false, false, "not valid gzip", 200},
		"it changes the protocol, unasked":   {upgrade.URL, open, Unreachable, false, false, "another protocol unasked", 101},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := get(t, New(tt.cfg), tt.url)
			if Class(err) != tt.class || Unsent(err) != tt.unsent || Retryable(err) != tt.retryable {
				t.Errorf("class %q, unsent %v, retryable %v (%v)", Class(err), Unsent(err), Retryable(err), err)
			}
			if got := Explain(err); !strings.Contains(got, tt.says) || strings.Contains(got, "127.0.0.1") {
				t.Errorf("explained as %q (%v)", got, err)
			}
			if res.StatusCode != tt.status || res.Timings.Total == 0 {
				t.Errorf("got %+v", res)
			}
		})
	}
}

func TestNoErrorHasNoClassAndNoExplanation(t *testing.T) {
	if Class(nil) != "" || Explain(nil) != "" || Unsent(nil) || Retryable(nil) {
		t.Error("nil is taken for an error")
	}
}

func TestAnErrorKeepsTheSecretsOfTheURL(t *testing.T) {
	_, err := get(t, New(Config{}), "http://user:hunter2@127.0.0.1/hook/s3cret?token=s3cret")
	if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
}
