package egress_test

import (
	"fanfare/internal/dispatch"
	"fanfare/internal/egress"
	"fanfare/internal/receivertest"
	"fanfare/internal/signature"
	"fanfare/internal/webhook"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// verdict is what a caller should make of a receiver.
type verdict struct {
	status int
	class  egress.Kind
	says   string // one of these, with | between
	whole  bool   // whether it is taken for all that the receiver had to say
}

// What receivers of one kind have in common.
var (
	notHTTP   = verdict{0, egress.Unreachable, "the response is not valid HTTP", false}
	tooLarge  = verdict{0, egress.Unreachable, "the response headers are too large", false}
	notTLS    = verdict{0, egress.Unreachable, "the receiver does not speak TLS on this port", false}
	closed    = verdict{0, egress.Unreachable, "the connection was closed before the response was complete|the connection was reset", false}
	broke2    = verdict{0, egress.Unreachable, "the receiver broke off the HTTP/2 connection", false}
	noAnswer  = verdict{0, egress.Timeout, "timed out while waiting for the response", false}
	half      = verdict{0, egress.Timeout, "timed out while reading the response", false}
	halfBody  = verdict{200, egress.Timeout, "timed out while reading the response", false}
	cut       = verdict{200, "", "", false}
	delivered = verdict{200, "", "", true}
)

// with is v for another status.
func (v verdict) with(status int) verdict {
	v.status = status
	return v
}

var verdicts = map[string]verdict{
	"hangs without reading":          noAnswer,
	"hangs without answering":        noAnswer,
	"hangs before the headers":       noAnswer,
	"hangs in the status line":       half,
	"hangs in the headers":           half,
	"hangs after the headers":        halfBody,
	"hangs in the body":              halfBody,
	"hangs in a chunk":               halfBody,
	"hangs in the trailers":          halfBody,
	"hangs after an answer to come":  half,
	"trickles the headers":           half,
	"trickles the body":              halfBody,
	"trickles chunks":                halfBody,
	"never begins the TLS handshake": {0, egress.Timeout, "timed out while in the TLS handshake", false},

	"sends a body without end":           cut,
	"sends a body of an exabyte":         cut,
	"sends chunks without end":           cut,
	"sends a bomb of gzip":               cut,
	"sends gzip of nothing without end":  cut,
	"sends a chunk size without end":     notHTTP.with(200),
	"sends chunk extensions without end": notHTTP.with(200),
	"sends trailers without end":         tooLarge.with(200),
	"sends headers without end":          tooLarge,
	"sends a header without end":         tooLarge,
	"sends a status line without end":    tooLarge,
	"sends answers to come without end":  tooLarge,

	"redirects to itself":                           {307, "", "", true},
	"redirects to a private address":                {301, "", "", true},
	"sends less than it says":                       closed.with(200),
	"sends more than it says":                       delivered,
	"sends two answers at once":                     delivered,
	"says two lengths":                              notHTTP,
	"says a negative length":                        notHTTP,
	"says a length and chunks":                      delivered,
	"says an unknown encoding":                      notHTTP,
	"sends a malformed chunk":                       notHTTP.with(200),
	"sends half of a gzip file":                     closed.with(200),
	"resets before the answer":                      closed,
	"resets in the headers":                         closed,
	"resets in the body":                            closed.with(200),
	"closes before the answer":                      closed,
	"closes in the headers":                         closed,
	"closes at once":                                closed,
	"closes its half of the connection":             closed,
	"answers and closes its half of the connection": delivered,
	"answers before it reads, and hangs":            {413, "", "", true},
	"switches the protocol unasked":                 {101, egress.Unreachable, "the receiver switched to another protocol unasked", false},
	"speaks SSH":                                    notHTTP,
	"sends garbage":                                 notHTTP,
	"sends a body alone":                            closed,
	"says HTTP/2 in the clear":                      notHTTP,
	"sends a NUL in a header":                       notHTTP,
	"begins with a folded header":                   notHTTP,
	"closes while idle":                             delivered,
	"speaks while idle":                             delivered,
	"trickles the TLS handshake":                    notTLS,
	"speaks no TLS":                                 notTLS,
	"resets in the TLS handshake":                   closed,
	"refuses the TLS handshake":                     {0, egress.Unreachable, "the receiver refused the TLS connection", false},
	"shows an expired certificate":                  {0, egress.Unreachable, "the TLS certificate has expired or is not valid yet", false},
	"shows a certificate of another host":           {0, egress.Unreachable, "the TLS certificate is for another host name", false},
	"shows a certificate of an unknown authority":   {0, egress.Unreachable, "the TLS certificate is signed by an unknown authority", false},
	"closes while idle over TLS":                    delivered,
	"hangs without reading over TLS":                noAnswer,
	"hangs before the headers over TLS":             noAnswer,
	"resets in the body over TLS":                   closed.with(200),
	"goes away while idle over HTTP/2":              delivered,
	"goes away before the answer over HTTP/2":       broke2,
	"calms us down over HTTP/2":                     broke2,
	"resets the stream over HTTP/2":                 broke2,
	"resets the stream in the body over HTTP/2":     broke2.with(200),
	"refuses each stream over HTTP/2":               noAnswer,
	"hangs before the headers over HTTP/2":          noAnswer,
	"hangs in the body over HTTP/2":                 halfBody,
	"hangs before the settings over HTTP/2":         noAnswer,
	"never opens the window over HTTP/2":            noAnswer,
	"allows no streams over HTTP/2":                 noAnswer,
	"overruns the window over HTTP/2":               cut,
	"sends headers without end over HTTP/2":         broke2,
	"sends pings without end over HTTP/2":           noAnswer,
	"sends garbage over HTTP/2":                     broke2,
	"sends a window of too much over HTTP/2":        broke2,
	"closes before the answer over HTTP/2":          closed,
	"closes before the settings over HTTP/2":        {0, egress.Unreachable, broke2.says + "|" + closed.says, false},
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func client(t testing.TB, timeout time.Duration) *egress.Client {
	t.Helper()
	c := egress.New(egress.Config{Allow: loopback, Timeout: timeout})
	c.Trust(receivertest.Roots())
	t.Cleanup(c.Close)
	return c
}

func request(t testing.TB, url, body string) *egress.Request {
	t.Helper()
	to, err := egress.ParseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	return &egress.Request{Method: http.MethodPost, To: to, Body: []byte(body)}
}

// scene is a client before a receiver that misbehaves.
type scene struct {
	client *egress.Client
	bad    *receivertest.Receiver
	url    string
}

// eachScene plays a scene for each receiver of the catalogue: those that hang
// in virtual time, where the timeout of 15 s is exact and costs nothing, the
// others over sockets of this machine and long before the timeout.
func eachScene(t *testing.T, play func(t *testing.T, s scene, want verdict)) {
	t.Helper()
	for _, m := range receivertest.Catalogue() {
		want, known := verdicts[m.Name]
		switch {
		case !known:
			t.Errorf("what is to be made of one that %s?", m.Name)
		case want.class == egress.Timeout && !strings.Contains(m.Name, "without end"): // which leaves no moment of rest
			t.Run(m.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { play(t, virtual(t, m), want) })
			})
		default:
			t.Run(m.Name, func(t *testing.T) {
				t.Parallel()
				timeout := time.Minute
				if want.class == egress.Timeout {
					timeout = time.Second
				}
				r := receivertest.Start(t, m.Serve)
				play(t, scene{client(t, timeout), r, r.URL(m.TLS)}, want)
			})
		}
	}
}

// virtual is a scene without sockets, whose actors have left when it ends.
func virtual(t *testing.T, m receivertest.Misbehaviour) scene {
	t.Helper()
	r := receivertest.New(m.Serve)
	var serving sync.WaitGroup
	t.Cleanup(func() {
		r.Stop()
		serving.Wait()
	})
	c := client(t, 0)
	c.DialWith(func() net.Conn {
		ours, theirs := net.Pipe()
		b := &buffered{Conn: theirs, out: make(chan []byte, 1024), gone: make(chan struct{})}
		serving.Go(b.pump)
		serving.Go(func() { r.Serve(b) })
		return ours
	})
	r.Address = "receiver.example"
	return scene{c, r, r.URL(m.TLS)}
}

// buffered is the receiver's end of a pipe, which does not wait for what it
// writes to be read: as with sockets, both sides can write at once.
type buffered struct {
	net.Conn
	out  chan []byte
	gone chan struct{}
	once sync.Once
}

func (b *buffered) Write(p []byte) (int, error) {
	select {
	case b.out <- slices.Clone(p):
		return len(p), nil
	case <-b.gone:
		return 0, net.ErrClosed
	}
}

func (b *buffered) pump() {
	defer b.Close()
	for {
		select {
		case p := <-b.out:
			if _, err := b.Conn.Write(p); err != nil {
				return
			}
		case <-b.gone:
			return
		}
	}
}

func (b *buffered) Close() error {
	b.once.Do(func() { close(b.gone) })
	return b.Conn.Close()
}

func TestReceiversThatMisbehaveAreFoundOut(t *testing.T) {
	t.Parallel()
	good := receivertest.Start(t, receivertest.Healthy)
	eachScene(t, func(t *testing.T, s scene, want verdict) {
		res, err := s.client.Do(t.Context(), request(t, s.url, "{}"))
		if res.StatusCode != want.status || egress.Class(err) != want.class || res.Truncated != (err == nil && !want.whole) {
			t.Errorf("status %d, class %q, truncated %v (%v)", res.StatusCode, egress.Class(err), res.Truncated, err)
		}
		if got := egress.Explain(err); !slices.Contains(strings.Split(want.says, "|"), got) {
			t.Errorf("explained as %q (%v)", got, err)
		}
		if res.StatusCode == http.StatusOK && want.whole && string(res.Body) != "ok" || len(res.Body) > 64<<10 {
			t.Errorf("the body is %.20q…", res.Body)
		}
		if s.bad.Address == "receiver.example" {
			if res.Timings.Total != 15*time.Second {
				t.Errorf("it took %v", res.Timings.Total)
			}
			return
		}
		// Nothing of that is left to trouble others.
		if res, err := s.client.Do(t.Context(), request(t, good.URL(false), "{}")); err != nil || string(res.Body) != "ok" {
			t.Errorf("a healthy receiver: %s (%v)", res.Body, err)
		}
	})
}

func TestADeliveryToAReceiverThatMisbehavesIsToldAsItWas(t *testing.T) {
	t.Parallel()
	outcomes := map[egress.Kind]webhook.Outcome{egress.Timeout: webhook.TimedOut, egress.Unreachable: webhook.Unreachable}
	eachScene(t, func(t *testing.T, s scene, want verdict) {
		to := &webhook.Endpoint{URL: s.url, Secrets: []webhook.Secret{{Key: signature.NewSecret()}}}
		caller := dispatch.NewHTTPCaller(s.client, "1.2.3", signature.Both)
		a, retryAfter := caller.Call(t.Context(), to, &webhook.Job{Payload: []byte(`{"a":1}`)})
		outcome, failed := outcomes[want.class]
		if !failed && want.status != 200 {
			outcome = webhook.Refused
		}
		if a.Outcome != outcome || a.StatusCode != want.status || retryAfter >= 0 || len(a.Response) > webhook.MaxResponse {
			t.Errorf("outcome %d, status %d, retry after %v (%s)", a.Outcome, a.StatusCode, retryAfter, a.Error)
		}
		says := func(s string) bool {
			return s == "" && a.Error == "" || s != "" && strings.EqualFold(s+".", a.Error)
		}
		if !slices.ContainsFunc(strings.Split(want.says, "|"), says) {
			t.Errorf("it says %q", a.Error)
		}
		if calls := s.bad.Requests.Load(); calls > 1 {
			t.Errorf("it was called %d times", calls)
		}
	})
}

func TestAReceiverCannotMakeACallTakeMuchMemory(t *testing.T) {
	for _, m := range receivertest.Catalogue() {
		if verdicts[m.Name].class == egress.Timeout || !strings.Contains(m.Name, "without end") &&
			!strings.Contains(m.Name, "bomb") && !strings.Contains(m.Name, "exabyte") && !strings.Contains(m.Name, "overruns") {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			r := receivertest.Start(t, m.Serve)
			c := client(t, time.Minute)
			req := request(t, r.URL(m.TLS), "{}")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = c.Do(t.Context(), req)
			runtime.ReadMemStats(&after)
			// All that was allocated, by both sides, be it free again or not.
			if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
				t.Errorf("%d KiB were allocated", got>>10)
			}
		})
	}
}
