package egress

import (
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	maxIdle = 1024 // connections kept open, over all receivers
	// One host may serve many endpoints. With fewer than are used at a time,
	// each call beyond them costs a connection that is made and closed: with 64,
	// a quarter of the processor time of ten endpoints there.
	maxIdlePerHost = 512
	idleTimeout    = 90 * time.Second
	// sweepEvery is how often the idle connections are looked at while there
	// are any. Nobody reads from them, so that nothing else would notice that
	// the receiver has closed one.
	sweepEvery = 10 * time.Second
)

// conn is a connection that speaks HTTP/1.1, plain or over TLS.
type conn struct {
	net.Conn
	key  hostKey
	used bool // has carried a request
	// under is what carries it, the same but for TLS; raw is the socket, nil
	// when there is none; look and quiet are of [conn.alive].
	under net.Conn
	raw   syscall.RawConn
	look  func(fd uintptr)
	quiet bool
	// abort makes whoever waits for the connection wait no longer.
	abort func()

	// Of the pool: since when it is idle, and its neighbours by that time.
	since      time.Time
	prev, next *conn
}

func newConn(c net.Conn, key hostKey) *conn {
	made := &conn{Conn: c, key: key, under: c}
	made.abort = func() { _ = c.SetDeadline(time.Unix(1, 0)) }
	if over, ok := c.(interface{ NetConn() net.Conn }); ok { // *tls.Conn
		made.under = over.NetConn()
	}
	if socket, ok := made.under.(syscall.Conn); ok {
		made.raw, _ = socket.SyscallConn()
	}
	made.look = func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		made.quiet = n < 0 && (err == syscall.EAGAIN || err == syscall.EINTR)
	}
	return made
}

// drop ends a connection without a word: to say goodbye, TLS would wait for five
// seconds for a receiver that does not read.
func (c *conn) drop() { _ = c.under.Close() }

// alive reports whether an idle connection can carry a request, for all that
// can be known: it has neither been closed nor sent what nobody asked for.
func (c *conn) alive() bool {
	if c.raw == nil {
		return true
	}
	c.quiet = false
	return c.raw.Control(c.look) == nil && c.quiet
}

// pool keeps connections open between requests, and takes the one first that
// was used last. Connections stand in a ring by the time they came in; hosts
// holds them by receiver, in the same order.
type pool struct {
	mu    sync.Mutex
	hosts map[hostKey][]*conn
	ring  conn // its next is the oldest
	count int
	sweep *time.Timer
}

func newPool() *pool {
	p := &pool{hosts: make(map[hostKey][]*conn)}
	p.ring.prev, p.ring.next = &p.ring, &p.ring
	return p
}

// get takes a connection that is still alive, or returns nil.
func (p *pool) get(key hostKey) *conn {
	for {
		p.mu.Lock()
		idle := p.hosts[key]
		if len(idle) == 0 {
			p.mu.Unlock()
			return nil
		}
		c := idle[len(idle)-1]
		p.remove(c)
		p.mu.Unlock()
		if c.alive() {
			return c
		}
		c.drop()
	}
}

// put keeps a connection for the next request, or closes it, or another one
// that has been idle for longer.
func (p *pool) put(c *conn) {
	c.used = true
	p.mu.Lock()
	out := c
	if idle := p.hosts[c.key]; len(idle) < maxIdlePerHost {
		out = nil
		if p.count >= maxIdle {
			out = p.ring.next
			p.remove(out)
		}
		c.since = time.Now()
		c.prev, c.next = p.ring.prev, &p.ring
		c.prev.next, c.next.prev = c, c
		p.hosts[c.key] = append(p.hosts[c.key], c)
		p.count++
		if p.sweep == nil {
			p.sweep = time.AfterFunc(sweepEvery, p.clean)
		}
	}
	p.mu.Unlock()
	if out != nil {
		_ = out.Close()
	}
}

// remove takes a connection out; mu is held.
func (p *pool) remove(c *conn) {
	c.prev.next, c.next.prev = c.next, c.prev
	c.prev, c.next = nil, nil
	p.count--
	idle := p.hosts[c.key]
	if len(idle) == 1 {
		delete(p.hosts, c.key)
		return
	}
	// It is the first or the last one, but for what clean finds dead.
	for i, other := range slices.Backward(idle) {
		if other == c {
			p.hosts[c.key] = slices.Delete(idle, i, i+1)
			return
		}
	}
}

// clean closes what has been idle for too long or was closed by the receiver.
func (p *pool) clean() {
	p.drop(func(c *conn, now time.Time) bool { return now.Sub(c.since) >= idleTimeout || !c.alive() })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep = nil
	if p.count > 0 {
		p.sweep = time.AfterFunc(sweepEvery, p.clean)
	}
}

// close closes all idle connections.
func (p *pool) close() { p.drop(func(*conn, time.Time) bool { return true }) }

func (p *pool) drop(which func(c *conn, now time.Time) bool) {
	var out []*conn
	p.mu.Lock()
	now := time.Now()
	for c := p.ring.next; c != &p.ring; {
		next := c.next
		if which(c, now) {
			p.remove(c)
			out = append(out, c)
		}
		c = next
	}
	p.mu.Unlock()
	for _, c := range out {
		_ = c.Close()
	}
}
