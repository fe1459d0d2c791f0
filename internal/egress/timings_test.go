package egress

import (
	"context"
	"fanfare/internal/receivertest"
	"net"
	"net/http/httptrace"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTimingsAreExact is in virtual time: a second for the name, two for the
// connection and for the handshake where there is one, four until the answer
// begins and five until it ends.
func TestTimingsAreExact(t *testing.T) {
	slow := func(c *receivertest.Conn) {
		receivertest.AnsweringSlowly(4*time.Second, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", 5*time.Second, "k")(c)
	}
	for name, tt := range map[string]struct {
		url   string
		serve func(*receivertest.Conn)
		tls   time.Duration
	}{
		"http":  {"http://receiver.example/", slow, 0},
		"https": {"https://receiver.example/", receivertest.Later(2*time.Second, receivertest.Secure(receivertest.Good, nil, slow)), 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Config{})
				c.Trust(receivertest.Roots())
				r := receivertest.New(tt.serve)
				var serving sync.WaitGroup
				t.Cleanup(serving.Wait)
				t.Cleanup(c.Close)
				c.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
					trace := httptrace.ContextClientTrace(ctx)
					trace.DNSStart(httptrace.DNSStartInfo{})
					time.Sleep(time.Second)
					trace.DNSDone(httptrace.DNSDoneInfo{})
					trace.ConnectStart("tcp", "")
					time.Sleep(2 * time.Second)
					trace.ConnectDone("tcp", "", nil)
					ours, theirs := net.Pipe()
					serving.Go(func() { r.Serve(theirs) })
					return ours, nil
				}
				want := Timings{DNS: time.Second, Connect: 2 * time.Second, TLS: tt.tls, FirstByte: 4 * time.Second, Total: 12*time.Second + tt.tls}
				for range 2 {
					res, err := c.Do(t.Context(), post(t, tt.url, "{}"))
					if err != nil || res.Timings != want || string(res.Body) != "ok" {
						t.Errorf("%+v, want %+v (%s, %v)", res.Timings, want, res.Body, err)
					}
					want = Timings{FirstByte: 4 * time.Second, Total: 9 * time.Second} // the connection was there
				}
			})
		})
	}
}
