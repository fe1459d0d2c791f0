// Package receivertest is receivers that misbehave on purpose, for tests of
// what calls them: [Catalogue] has one of each kind, and [Start] puts any of
// them behind a port of this machine.
package receivertest

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Receiver listens on a port of the loopback address.
type Receiver struct {
	// Address is host and port.
	Address string
	// Connections counts those that were accepted, Requests those requests of
	// HTTP/1.1 that were read whole.
	Connections, Requests atomic.Int64

	serve   []func(*Conn)
	stopped chan struct{}
	mu      sync.Mutex
	open    map[net.Conn]struct{}
}

// Conn is a connection that a receiver has accepted.
type Conn struct {
	net.Conn
	in *bufio.Reader
	of *Receiver
}

// Start starts a receiver that treats its connections in these ways, one after
// the other, and all that come after in the last. It stops with the test.
func Start(t testing.TB, serve ...func(*Conn)) *Receiver {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := New(serve...)
	r.Address = l.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.add(c)
			serving.Go(func() { r.Serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.Stop()
		r.hangUp()
		serving.Wait()
	})
	return r
}

// New is a receiver without a port: its connections come through Serve.
func New(serve ...func(*Conn)) *Receiver {
	return &Receiver{serve: serve, stopped: make(chan struct{}), open: make(map[net.Conn]struct{})}
}

// Stop lets those of its connections go that hang.
func (r *Receiver) Stop() { close(r.stopped) }

// URL is where the receiver is, over TLS or not.
func (r *Receiver) URL(overTLS bool) string {
	if overTLS {
		return "https://" + r.Address + "/hook"
	}
	return "http://" + r.Address + "/hook"
}

// Serve treats a connection as its number says, and closes it.
func (r *Receiver) Serve(c net.Conn) {
	n := int(r.Connections.Add(1))
	r.serve[min(n, len(r.serve))-1](&Conn{Conn: c, in: bufio.NewReader(c), of: r})
	_ = c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
}

// Open is how many connections are open.
func (r *Receiver) Open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}

// Dial connects to the receiver without a port: over a pipe.
func (r *Receiver) Dial() net.Conn {
	ours, theirs := net.Pipe()
	go r.Serve(theirs)
	return ours
}

func (r *Receiver) add(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[c] = struct{}{}
}

func (r *Receiver) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.open {
		_ = c.Close()
	}
}

// request reads a request of HTTP/1.1 and reports whether one came.
func (c *Conn) request() bool {
	req, err := http.ReadRequest(c.in)
	if err != nil {
		return false
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return false
	}
	c.of.Requests.Add(1)
	return true
}

// say writes, and reports whether somebody listens still.
func (c *Conn) say(s string) bool {
	_, err := io.WriteString(c, s)
	return err == nil
}

// wait reads until the other side goes away.
func (c *Conn) wait() { _, _ = io.Copy(io.Discard, c.in) }

// Hang keeps the connection without reading from it, until the receiver stops.
func (c *Conn) Hang() { <-c.of.stopped }

// reset ends a connection in the way that throws away what is under way.
func (c *Conn) reset() {
	under := c.Conn
	if over, ok := under.(interface{ NetConn() net.Conn }); ok {
		under = over.NetConn()
	}
	if tcp, ok := under.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = under.Close()
}

// Healthy answers each request with 200 and "ok".
func Healthy(c *Conn) {
	for c.request() {
		if !c.say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok") {
			return
		}
	}
}

// Answering answers each request with the same bytes and keeps the connection.
func Answering(answer string) func(*Conn) {
	return func(c *Conn) {
		for c.request() && c.say(answer) {
		}
	}
}

// AnsweringSlowly answers each request in two parts, each after a while.
func AnsweringSlowly(wait time.Duration, first string, pause time.Duration, rest string) func(*Conn) {
	return func(c *Conn) {
		for c.request() {
			<-time.After(wait)
			c.say(first)
			<-time.After(pause)
			c.say(rest)
		}
	}
}

// Later serves after a while.
func Later(wait time.Duration, serve func(*Conn)) func(*Conn) {
	return func(c *Conn) {
		<-time.After(wait)
		serve(c)
	}
}

// Closing answers a request with these bytes and closes the connection.
func Closing(answer string) func(*Conn) {
	return func(c *Conn) {
		if c.request() {
			c.say(answer)
		}
	}
}

// Quick is Healthy with as little work as can be done, for benchmarks of what
// calls it: it understands POST requests whose Content-Length is written so.
func Quick(c *Conn) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\nContent-Length: 2\r\n\r\nok")
	for {
		length, line := 0, []byte(nil)
		for len(line) != len("\r\n") {
			var err error
			if line, err = c.in.ReadSlice('\n'); err != nil {
				return
			}
			if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
				if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
					return
				}
			}
		}
		if _, err := c.in.Discard(length); err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}
