package egress

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func serveTLS(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestHTTP2IsSpokenWhenOffered(t *testing.T) {
	proto := ""
	s := serveTLS(t, func(_ http.ResponseWriter, r *http.Request) { proto = r.Proto })
	c := New(Config{Allow: loopback})
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c.tls.RootCAs = roots
	res, err := get(t, c, s.URL)
	if err != nil || proto != "HTTP/2.0" {
		t.Fatalf("protocol %q, error %v", proto, err)
	}
	if res.Timings.TLS == 0 {
		t.Errorf("no time for TLS in %+v", res.Timings)
	}
}

func TestACertificateForAnotherNameIsRefused(t *testing.T) {
	s := serveTLS(t, func(http.ResponseWriter, *http.Request) {})
	c := New(Config{Allow: loopback})
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c.tls.RootCAs = roots
	_, err := get(t, c, strings.Replace(s.URL, "127.0.0.1", "127.0.0.2", 1))
	if err == nil {
		t.Fatal("no error")
	}
	// Where 127.0.0.2 does not lead to a server on 127.0.0.1, it is refused.
	if got := Explain(err); !strings.Contains(got, "another host name") && !strings.Contains(got, "refused") {
		t.Errorf("explained as %q (%v)", got, err)
	}
}

func TestAProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	if New(Config{}).http2.Proxy != nil {
		t.Error("there is a proxy")
	}
}

func TestTheUserOfAURLIsSentAsBasicAuthentication(t *testing.T) {
	var user, password string
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { user, password, _ = r.BasicAuth() })
	if _, err := get(t, New(Config{Allow: loopback}), strings.Replace(s.URL, "//", "//ann:secret@", 1)); err != nil {
		t.Fatal(err)
	}
	if user != "ann" || password != "secret" {
		t.Errorf("user %q, password %q", user, password)
	}
}

func TestARedirectToNowhereIsStillAResponse(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://%zz")
		w.WriteHeader(http.StatusMovedPermanently)
	})
	if res, err := get(t, New(Config{Allow: loopback}), s.URL); err != nil || res.StatusCode != http.StatusMovedPermanently {
		t.Errorf("status %d, %v", res.StatusCode, err)
	}
}

func TestABodyOfExactlyTheBoundIsNotTruncated(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 100)) })
	res, err := get(t, New(Config{Allow: loopback, MaxBody: 100}), s.URL)
	if err != nil || len(res.Body) != 100 || res.Truncated {
		t.Errorf("%d bytes, truncated %v, %v", len(res.Body), res.Truncated, err)
	}
}

// answering is a resolver of a name server that gives every name these
// addresses.
func answering(addresses ...string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			serveName(theirs, addresses)
		}()
		return ours, nil
	}}
}

// serveName answers one query in the form DNS has over a stream, where its
// length goes before each message (RFC 1035, 4.2.2).
func serveName(c io.ReadWriter, addresses []string) {
	var size uint16
	if binary.Read(c, binary.BigEndian, &size) != nil {
		return
	}
	q := make([]byte, size)
	if _, err := io.ReadFull(c, q); err != nil {
		return
	}
	end := 12 // after the header comes the name, as labels, and then type and class
	for q[end] != 0 {
		end += 1 + int(q[end])
	}
	end += 5
	r := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
	for _, address := range addresses {
		a := netip.MustParseAddr(address)
		if kind := q[end-3]; (kind == 1) != a.Is4() || kind != 1 && kind != 28 { // A and AAAA
			continue
		}
		r[7]++
		r = append(r, 0xc0, 12, 0, q[end-3], 0, 1, 0, 0, 0, 0, 0, byte(a.BitLen()/8))
		r = append(r, a.AsSlice()...)
	}
	_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(r))), r...))
}

func resolving(cfg Config, r *net.Resolver) *Client {
	c := New(cfg)
	g := guard{cfg.Allow}
	c.dial = (&net.Dialer{Resolver: r, ControlContext: g.control}).DialContext
	return c
}

func TestANameIsJudgedByTheAddressItResolvesTo(t *testing.T) {
	called := 0
	s := serve(t, func(http.ResponseWriter, *http.Request) { called++ })
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	home := answering("127.0.0.1")
	for _, host := range []string{"rebound.example.", "0x7f000001.", "metadata.google.internal."} {
		res, err := get(t, resolving(Config{}, home), "http://"+host+":"+port)
		if Class(err) != Blocked || !errors.Is(err, ErrBlocked) || !Unsent(err) || Retryable(err) {
			t.Errorf("%s: class %q (%v)", host, Class(err), err)
		}
		if got := Explain(err); strings.Contains(got, "127.0.0.1") {
			t.Errorf("explained as %q", got)
		}
		if res.Timings.DNS == 0 {
			t.Errorf("no time for DNS in %+v", res.Timings)
		}
	}
	if called != 0 {
		t.Error("the server was called")
	}
	if _, err := get(t, resolving(Config{Allow: loopback}, home), "http://rebound.example.:"+port); err != nil || called != 1 {
		t.Errorf("with loopback allowed: %v", err)
	}
}

func TestOfTheAddressesOfANameOnlyThePublicOnesAreTried(t *testing.T) {
	var local []string
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		local = append(local, r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
	})
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// 127.0.0.1 stands for what is public here, and all else for what is not.
	open := Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	for name, addresses := range map[string][]string{
		"public first":           {"127.0.0.1", "10.0.0.1"},
		"public last":            {"10.0.0.1", "169.254.169.254", "127.0.0.1"},
		"private over IPv6":      {"::1", "fd00:ec2::254", "127.0.0.1"},
		"private in other forms": {"::ffff:127.0.0.2", "64:ff9b::7f00:2", "2002:7f00:2::1", "127.0.0.1"},
	} {
		res, err := get(t, resolving(open, answering(addresses...)), "http://mixed.example.:"+port)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d, %v", name, res.StatusCode, err)
		}
	}
	for _, address := range local {
		if address != "127.0.0.1:"+port {
			t.Errorf("called at %s", address)
		}
	}
	for name, addresses := range map[string][]string{
		"none public": {"10.0.0.1", "::1", "127.0.0.2"},
		"all of one":  {"127.0.0.2", "127.0.0.2"},
		"tunnels":     {"2002:7f00:1::1", "2001::80ff:fffe", "64:ff9b::7f00:1"},
	} {
		if _, err := get(t, resolving(open, answering(addresses...)), "http://private.example.:"+port); Class(err) != Blocked {
			t.Errorf("%s: %q (%v)", name, Class(err), err)
		}
	}
}

func TestAnUnknownNameIsSaidToBeOne(t *testing.T) {
	// All digits are no host name, so that no name server is asked.
	_, err := get(t, New(Config{}), "http://2130706433/")
	if Class(err) != Unreachable || Explain(err) != "the host name was not found" {
		t.Errorf("class %q, %q (%v)", Class(err), Explain(err), err)
	}
}

// piped is a client whose every connection is one end of a pipe; serve has the
// other end, and the test waits for it.
func piped(t *testing.T, serve func(net.Conn)) *Client {
	t.Helper()
	var serving sync.WaitGroup
	c := New(Config{})
	t.Cleanup(func() {
		c.Close()
		serving.Wait()
	})
	c.dial = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		serving.Go(func() { serve(theirs) })
		return ours, nil
	}
	return c
}

func TestTheTimeoutCoversEveryStage(t *testing.T) {
	drain := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	for name, tt := range map[string]struct {
		url    string
		serve  func(net.Conn)
		says   string
		unsent bool
	}{
		"it never finishes the TLS handshake": {"https://a.example", drain, "in the TLS handshake", true},
		"it never answers":                    {"http://a.example", drain, "waiting for the response", false},
		"it sends a byte a second, forever": {"http://a.example", func(c net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			for ; err == nil; _, err = c.Write([]byte("x")) {
				time.Sleep(time.Second)
			}
		}, "reading the response", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := piped(t, tt.serve)
				res, err := get(t, c, tt.url)
				if Class(err) != Timeout || Unsent(err) != tt.unsent || Retryable(err) {
					t.Errorf("class %q, unsent %v, retryable %v (%v)", Class(err), Unsent(err), Retryable(err), err)
				}
				if got := Explain(err); got != "timed out while "+tt.says {
					t.Errorf("explained as %q (%v)", got, err)
				}
				if res.Timings.Total != defaultTimeout {
					t.Errorf("timings %+v", res.Timings)
				}
			})
		})
	}
}

func TestACanceledRequestSaysNothingOfTheReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := piped(t, func(conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			cancel()
			_, _ = io.Copy(io.Discard, conn)
		})
		if _, err := c.Do(ctx, post(t, "http://a.example", "{}")); Class(err) != Canceled || Unsent(err) || Retryable(err) {
			t.Errorf("class %q (%v)", Class(err), err)
		}
	})
}

func TestAConnectionThatDiedIdleIsWorthOneMoreTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := piped(t, func(conn net.Conn) {
			defer conn.Close()
			r := bufio.NewReader(conn)
			first, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, first.Body)
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
			// The second request meets a closing connection.
			_, _ = r.ReadByte()
		})
		call := func() error {
			_, err := c.Do(t.Context(), post(t, "http://a.example", "{}"))
			return err
		}
		if err := call(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // until the connection is idle
		if err := call(); Class(err) != Unreachable || Unsent(err) || !Retryable(err) {
			t.Errorf("class %q, unsent %v, retryable %v (%v)", Class(err), Unsent(err), Retryable(err), err)
		}
		if err := call(); err != nil {
			t.Errorf("one more try: %v", err)
		}
	})
}
