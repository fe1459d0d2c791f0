package egress_test

import (
	"context"
	"errors"
	"fanfare/internal/dispatch"
	"fanfare/internal/egress"
	"fanfare/internal/receivertest"
	"fanfare/internal/signature"
	"fanfare/internal/webhook"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errStopping = errors.New("the node is stopping")

const answerOK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestAConnectionThatWentBadWhileIdleIsNotUsedAgain(t *testing.T) {
	secure := func(serve func(*receivertest.Conn)) func(*receivertest.Conn) {
		return receivertest.Secure(receivertest.Good, []string{"http/1.1"}, serve)
	}
	for name, tt := range map[string]struct {
		tls   bool
		serve func(*receivertest.Conn)
	}{
		"it was closed":          {false, receivertest.Closing(answerOK)},
		"it was closed over TLS": {true, secure(receivertest.Closing(answerOK))},
		"it said more":           {false, receivertest.Answering(answerOK + "HTTP/1.1 500 Not Asked For\r\nContent-Length: 0\r\n\r\n")},
		"it said more over TLS":  {true, secure(receivertest.Answering(answerOK + "HTTP/1.1 500 Not Asked For\r\nContent-Length: 0\r\n\r\n"))},
		"it timed us out":        {false, receivertest.Closing(answerOK + "HTTP/1.1 408 Request Timeout\r\n\r\n")},
	} {
		t.Run(name, func(t *testing.T) {
			r := receivertest.Start(t, tt.serve)
			c := client(t, time.Minute)
			for range 5 {
				res, err := c.Do(t.Context(), request(t, r.URL(tt.tls), "{}"))
				if err != nil || string(res.Body) != "ok" || res.StatusCode != http.StatusOK {
					t.Fatalf("%d %s (%v)", res.StatusCode, res.Body, err)
				}
				for c.Idle() > 0 { // until it is seen to have gone bad
					c.Sweep()
					runtime.Gosched()
				}
			}
			if got := r.Connections.Load(); got != 5 {
				t.Errorf("%d connections for 5 calls", got)
			}
		})
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		tls   bool
		serve func(*receivertest.Conn)
	}{
		"plain":                {false, receivertest.Healthy},
		"over TLS":             {true, receivertest.Secure(receivertest.Good, nil, receivertest.Healthy)},
		"over HTTP/2":          {true, receivertest.Healthy2},
		"no body":              {false, receivertest.Answering("HTTP/1.1 204 No Content\r\n\r\n")},
		"chunks":               {false, receivertest.Answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;a=b\r\nk\r\n0\r\nX-Trailer: x\r\n\r\n")},
		"HTTP/1.0, kept alive": {false, receivertest.Answering("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")},
		"after early hints":    {false, receivertest.Answering("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + answerOK)},
	} {
		t.Run(name, func(t *testing.T) {
			r := receivertest.Start(t, tt.serve)
			c := client(t, time.Minute)
			for range 3 {
				res, err := c.Do(t.Context(), request(t, r.URL(tt.tls), "{}"))
				if err != nil || string(res.Body) != "ok" && res.StatusCode != http.StatusNoContent {
					t.Fatalf("%d %s (%v)", res.StatusCode, res.Body, err)
				}
			}
			if got := r.Connections.Load(); got != 1 {
				t.Errorf("%d connections", got)
			}
		})
	}
}

func TestAConnectionThatTheReceiverWantsToEndIsNotUsedAgain(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nConnection: Close, x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
		"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	} {
		r := receivertest.Start(t, receivertest.Answering(answer))
		c := client(t, time.Minute)
		for range 3 {
			if _, err := c.Do(t.Context(), request(t, r.URL(false), "{}")); err != nil {
				t.Errorf("%q: %v", answer, err)
			}
		}
		if got := r.Connections.Load(); got != 3 || c.Idle() != 0 {
			t.Errorf("%q: %d connections, %d kept", answer, got, c.Idle())
		}
	}
}

func TestTheTimesOfAHandshakeAreToldOnce(t *testing.T) {
	for name, serve := range map[string]func(*receivertest.Conn){
		"HTTP/1.1": receivertest.Secure(receivertest.Good, nil, receivertest.Healthy),
		"HTTP/2":   receivertest.Healthy2,
	} {
		t.Run(name, func(t *testing.T) {
			r := receivertest.Start(t, serve)
			c := client(t, time.Minute)
			for first := true; ; first = false {
				res, err := c.Do(t.Context(), request(t, r.URL(true), "{}"))
				if err != nil {
					t.Fatal(err)
				}
				if made := res.Timings.TLS > 0 && res.Timings.Connect > 0; made != first || res.Timings.FirstByte == 0 ||
					res.Timings.Total < res.Timings.TLS+res.Timings.Connect+res.Timings.FirstByte {
					t.Errorf("first %v: %+v", first, res.Timings)
				}
				if !first {
					break
				}
			}
		})
	}
}

func TestIdleConnectionsAreBoundedAndClosedInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Slow, so that the calls of a burst are all under way at once.
		r := receivertest.New(receivertest.AnsweringSlowly(time.Second, answerOK[:len(answerOK)-2], time.Second, "ok"))
		var serving sync.WaitGroup
		t.Cleanup(serving.Wait)
		c := client(t, 0)
		c.DialWith(func() net.Conn {
			ours, theirs := net.Pipe()
			serving.Go(func() { r.Serve(theirs) })
			return ours
		})
		burst := func(n int, url string) {
			var calls sync.WaitGroup
			for range n {
				calls.Go(func() {
					if _, err := c.Do(t.Context(), request(t, url, "{}")); err != nil {
						t.Error(err)
					}
				})
			}
			calls.Wait()
		}
		for host := range 5 {
			burst(600, "http://"+strings.Repeat("a", host+1)+".example/")
			if got := c.Idle(); host == 0 && got != 512 {
				t.Errorf("%d connections to one receiver are idle", got)
			}
		}
		if got := c.Idle(); got > 1024 {
			t.Errorf("%d connections are idle", got)
		}
		time.Sleep(80 * time.Second)
		burst(1, "http://a.example/")
		time.Sleep(25 * time.Second)
		if got := c.Idle(); got != 1 {
			t.Errorf("after a while %d connections are idle, and one was used", got)
		}
		time.Sleep(100 * time.Second)
		if got := c.Idle(); got != 0 {
			t.Errorf("in the end %d connections are idle", got)
		}
	})
}

func TestALargeBodyIsAnsweredBeforeItIsRead(t *testing.T) {
	body := strings.Repeat("x", 8<<20)
	early := receivertest.Start(t, func(c *receivertest.Conn) {
		_, _ = c.Write([]byte("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"))
		c.Hang()
	})
	c := client(t, time.Minute)
	if res, err := c.Do(t.Context(), request(t, early.URL(false), body)); err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%d (%v)", res.StatusCode, err)
	}
	for name, serve := range map[string]func(*receivertest.Conn){
		"http":       receivertest.Healthy,
		"https":      receivertest.Secure(receivertest.Good, nil, receivertest.Healthy),
		"over http2": receivertest.Healthy2,
	} {
		r := receivertest.Start(t, serve)
		for range 2 {
			if res, err := c.Do(t.Context(), request(t, r.URL(name != "http"), body[:1<<20])); err != nil || string(res.Body) != "ok" {
				t.Errorf("%s: %s (%v)", name, res.Body, err)
			}
		}
		if got := r.Connections.Load(); got != 1 {
			t.Errorf("%s: %d connections", name, got)
		}
	}
}

func TestACanceledCallEndsAtOnceWithItsCause(t *testing.T) {
	for name, tt := range map[string]struct {
		tls  bool
		body string
	}{
		"while it waits":              {false, "{}"},
		"while it waits over TLS":     {true, "{}"},
		"while a large body is sent":  {false, strings.Repeat("x", 8<<20)},
		"while the handshake is made": {true, "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			hang := func(c *receivertest.Conn) {
				cancel(errStopping)
				c.Hang()
			}
			if strings.HasSuffix(name, "over TLS") {
				hang = receivertest.Secure(receivertest.Good, nil, hang)
			}
			r := receivertest.Start(t, hang)
			_, err := client(t, time.Minute).Do(ctx, request(t, r.URL(tt.tls), tt.body))
			if egress.Class(err) != egress.Canceled || !strings.Contains(err.Error(), errStopping.Error()) {
				t.Errorf("%q (%v)", egress.Class(err), err)
			}
		})
	}
}

func TestAConnectionThatWasClosedWhileIdleCostsNoDelivery(t *testing.T) {
	for name, tt := range map[string]struct {
		tls   bool
		serve func(*receivertest.Conn)
	}{
		"HTTP/1.1": {false, receivertest.Closing(answerOK)},
		"TLS":      {true, receivertest.Secure(receivertest.Good, nil, receivertest.Closing(answerOK))},
		"HTTP/2":   {true, receivertest.Leaving2},
	} {
		t.Run(name, func(t *testing.T) {
			r := receivertest.Start(t, tt.serve)
			to := &webhook.Endpoint{URL: r.URL(tt.tls), Secrets: []webhook.Secret{{Key: signature.NewSecret()}}}
			caller := dispatch.NewHTTPCaller(client(t, time.Minute), "1.2.3", signature.Both)
			// Now and then it is closed in the moment in which it is used.
			for range 100 {
				if a, _ := caller.Call(t.Context(), to, &webhook.Job{Payload: []byte("{}")}); a.Outcome != webhook.Delivered {
					t.Fatalf("outcome %d: %s", a.Outcome, a.Error)
				}
			}
		})
	}
}

func TestAReceiverMayChangeTheProtocolItSpeaks(t *testing.T) {
	over1 := receivertest.Secure(receivertest.Good, []string{"http/1.1"}, receivertest.Healthy)
	for name, serve := range map[string][]func(*receivertest.Conn){
		"from HTTP/2 to HTTP/1.1": {receivertest.Leaving2, over1},
		"from HTTP/1.1 to HTTP/2": {receivertest.Secure(receivertest.Good, nil, receivertest.Closing(answerOK)), receivertest.Healthy2},
		"to and fro":              {receivertest.Leaving2, receivertest.Secure(receivertest.Good, nil, receivertest.Closing(answerOK)), receivertest.Leaving2, over1},
	} {
		t.Run(name, func(t *testing.T) {
			r := receivertest.Start(t, serve...)
			c := client(t, time.Minute)
			for range 6 {
				res, err := c.Do(t.Context(), request(t, r.URL(true), "{}"))
				if egress.Retryable(err) {
					res, err = c.Do(t.Context(), request(t, r.URL(true), "{}"))
				}
				if err != nil || string(res.Body) != "ok" {
					t.Fatalf("%s (%v)", res.Body, err)
				}
			}
			if last := name != "from HTTP/1.1 to HTTP/2"; last != (c.Idle() == 1) {
				t.Errorf("%d connections of HTTP/1.1 are kept", c.Idle())
			}
		})
	}
}

func TestManyCallsToANewReceiverShareOneConnectionOfHTTP2InTheEnd(t *testing.T) {
	r := receivertest.Start(t, receivertest.Healthy2)
	c := client(t, time.Minute)
	var calls sync.WaitGroup
	for range 30 {
		calls.Go(func() {
			if res, err := c.Do(t.Context(), request(t, r.URL(true), "{}")); err != nil || string(res.Body) != "ok" {
				t.Errorf("%s (%v)", res.Body, err)
			}
		})
	}
	calls.Wait()
	for r.Open() > 1 { // until those that nobody needed are closed
		runtime.Gosched()
	}
	if c.Idle() != 0 {
		t.Errorf("%d connections of HTTP/1.1", c.Idle())
	}
}

func TestAReceiverThatClosesEachConnectionOfHTTP2IsNotDialledWithoutEnd(t *testing.T) {
	r := receivertest.Start(t, receivertest.Secure(receivertest.Good, []string{"h2"}, func(*receivertest.Conn) {}))
	c := client(t, time.Minute)
	const calls = 50
	var under sync.WaitGroup
	for range calls {
		under.Go(func() {
			if _, err := c.Do(t.Context(), request(t, r.URL(true), "{}")); egress.Class(err) != egress.Unreachable {
				t.Errorf("%q (%v)", egress.Class(err), err)
			}
		})
	}
	under.Wait()
	if got := r.Connections.Load(); got > 4*calls {
		t.Errorf("%d connections for %d calls", got, calls)
	}
}
