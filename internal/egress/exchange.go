package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// maxInline is how large a body is sent before the response is looked for. A
// larger one may not fit into what the system buffers, and a receiver may
// answer and stop reading before it has come to its end.
const maxInline = 32 << 10 // bytes

// grace is how long the end of a large body may take after the response came.
const grace = 50 * time.Millisecond

// exchange is one request and what has come of it so far.
type exchange struct {
	client   *Client
	req      *Request
	res      *Response
	deadline time.Time

	start     time.Time
	dialled   *watch    // of the last connection that was made, nil if none was
	connected time.Time // zero while there is no connection
	first     time.Time // when the first byte of the response came
	reused    bool      // the connection has carried a request before
	wrote     bool      // something of the request may be on the wire
	packed    bool      // the response may be packed by gzip
	// over2 tells of a request that went out over HTTP/2, instead of all this.
	over2 *watch
}

// buffers are what an exchange needs beside its connection.
type buffers struct {
	heads headReader
	out   []byte
}

var spare = sync.Pool{New: func() any { return &buffers{heads: headReader{in: bufio.NewReader(nil)}} }}

// release gives the buffers back unless they have grown out of proportion.
func (b *buffers) release() {
	if cap(b.out) <= 2*maxInline && cap(b.heads.line)+cap(b.heads.head) <= 8<<10 {
		b.heads.in.Reset(nil)
		spare.Put(b)
	}
}

// run makes the exchange, if need be on several connections: those that the
// receiver closed while they were idle, and that did not take a byte.
func (x *exchange) run(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	key := x.req.To.key
	if x.client.offers2.has(key) {
		return x.overHTTP2(ctx, nil)
	}
	b := spare.Get().(*buffers) //nolint:errcheck,forcetypeassert // what New makes
	defer b.release()
	var err error
	if b.out, x.packed, err = x.req.appendHead(b.out[:0]); err != nil {
		return err
	}
	for {
		c := x.client.idle.get(key)
		x.reused = c != nil
		if c == nil {
			made, http2, err := x.connect(ctx)
			if err != nil {
				return err
			}
			if http2 {
				x.client.offers2.add(key)
				return x.overHTTP2(ctx, made)
			}
			c = newConn(made, key)
		}
		x.connected = time.Now()
		err := x.on(ctx, c, b)
		if err == nil || !x.reused || x.wrote {
			return err
		}
	}
}

// connect makes a connection within the time that is left.
func (x *exchange) connect(ctx context.Context) (made net.Conn, http2 bool, err error) {
	x.connected, x.dialled = time.Time{}, &watch{start: time.Now()}
	ctx, cancel := context.WithDeadline(httptrace.WithClientTrace(ctx, x.dialled.trace()), x.deadline)
	defer cancel()
	return x.client.connect(ctx, x.req.To.key, x.req.To.name)
}

// on makes the exchange on a connection, which it keeps or closes.
func (x *exchange) on(ctx context.Context, c *conn, b *buffers) error {
	clean := false
	if err := c.SetDeadline(x.deadline); err != nil {
		c.drop()
		return err
	}
	stop := func() bool { return true }
	if ctx.Done() != nil {
		stop = context.AfterFunc(ctx, c.abort)
	}
	defer func() {
		// An abort that has begun may come at any time.
		if stop() && clean {
			x.client.idle.put(c)
		} else {
			c.drop()
		}
	}()
	b.heads.in.Reset(c)
	var err error
	if len(x.req.Body) > maxInline {
		clean, err = x.aside(c, b)
	} else {
		clean, err = x.inline(c, b)
	}
	return err
}

// inline sends the request with one write and then reads the response.
func (x *exchange) inline(c *conn, b *buffers) (clean bool, err error) {
	b.out = append(b.out, x.req.Body...)
	n, wrong := c.Write(b.out)
	b.out = b.out[:len(b.out)-len(x.req.Body)]
	if x.wrote = n > 0; wrong != nil && !x.wrote {
		return false, wrong
	}
	clean, err = x.read(&b.heads)
	return x.settle(clean, err, wrong)
}

// aside sends the request in another goroutine while it reads the response.
func (x *exchange) aside(c *conn, b *buffers) (clean bool, err error) {
	type result struct {
		n   int64
		err error
	}
	sent := make(chan result, 1)
	go func() {
		parts := net.Buffers{b.out, x.req.Body}
		n, err := parts.WriteTo(c.Conn)
		sent <- result{n, err}
	}()
	clean, err = x.read(&b.heads)
	var wrote result
	patience := time.NewTimer(0)
	defer patience.Stop()
	if clean { // the end of the request is just being sent, or nobody will read it
		patience.Reset(grace)
	}
	select {
	case wrote = <-sent:
	case <-patience.C:
		c.drop()
		wrote, clean = <-sent, false
	}
	x.wrote = wrote.n > 0
	return x.settle(clean, err, wrote.err)
}

// settle says what came of an exchange whose request could not be sent whole. A
// receiver may answer and hang up before it has read everything.
func (x *exchange) settle(clean bool, err, wrong error) (bool, error) {
	if wrong == nil {
		return clean, err
	}
	if x.first.IsZero() {
		err = wrong
	}
	return false, err
}

// read reads the response.
func (x *exchange) read(heads *headReader) (clean bool, err error) {
	heads.left = maxHeader
	if _, err := heads.in.Peek(1); err != nil {
		return false, err
	}
	x.first = time.Now()
	a, err := heads.read(x.req.Method)
	if err != nil {
		return false, err
	}
	x.res.StatusCode, x.res.Header = a.status, a.header
	if a.status == http.StatusSwitchingProtocols {
		return false, errSwitched
	}
	a.gzip = a.gzip && x.packed
	clean, err = x.res.read(&a, heads, x.client.maxBody)
	return clean && heads.in.Buffered() == 0, err
}

// verdict tells what is known at the end.
func (x *exchange) verdict() verdict {
	if x.over2 != nil {
		return x.over2.stop()
	}
	now := time.Now()
	var v verdict
	if x.dialled != nil {
		v = x.dialled.stop()
	}
	v.timings.FirstByte, v.timings.Total = 0, now.Sub(x.start)
	v.unsent = !x.wrote
	if x.connected.IsZero() {
		return v
	}
	if x.reused {
		v.timings.DNS, v.timings.Connect, v.timings.TLS = 0, 0, 0
	}
	v.stage, v.timings.FirstByte = reading, x.first.Sub(x.connected)
	if x.first.IsZero() {
		v.stage, v.timings.FirstByte = waiting, now.Sub(x.connected)
		v.stale = x.reused && x.wrote
	}
	return v
}

// overHTTP2 sends the request through net/http, over the connection that was
// just made or one that net/http has.
func (x *exchange) overHTTP2(ctx context.Context, made net.Conn) error {
	x.over2 = &watch{start: x.start}
	if made != nil {
		x.over2.adopt(x.dialled)
	}
	over, _ := made.(*tls.Conn)
	return x.client.overHTTP2(ctx, x, over)
}
