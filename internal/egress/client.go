package egress

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"time"
)

const (
	defaultTimeout = 15 * time.Second
	defaultMaxBody = 64 << 10 // bytes
	maxHeader      = 64 << 10 // bytes
)

// Config is what an operator may change. The zero value is the strict one.
type Config struct {
	// Allow lists networks that are reached although they are not public, for
	// receivers in the operator's own. 0.0.0.0/0 opens all of IPv4.
	Allow []netip.Prefix
	// Timeout bounds a request as a whole, from the lookup of the name to the
	// last byte of the body. Zero means 15 s. The deadline of the context
	// counts as well if it is earlier.
	Timeout time.Duration
	// MaxBody is how much of a response's body is kept, in bytes, counted
	// after decompression. Zero means 64 KiB.
	MaxBody int64
}

// Response is what came back. It is complete: nothing is left to read or close.
type Response struct {
	StatusCode int // zero if no response began
	Header     Header
	Body       []byte // at most Config.MaxBody bytes
	Truncated  bool   // whether the receiver sent more than Body
	Timings    Timings
}

// Client sends requests to receivers. It keeps connections open between them
// and may be used from many goroutines.
//
// HTTP/1.1 it speaks itself, in the goroutine of the caller, which costs half
// of what net/http's does. HTTP/2, for receivers that offer it, is net/http's.
type Client struct {
	timeout time.Duration
	maxBody int64
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	tls     *tls.Config // of every connection, without the name
	idle    *pool
	http2   *http.Transport
	offers2 hosts // those that speak HTTP/2
}

// New makes a client. Close it to let go of its idle connections.
func New(cfg Config) *Client {
	c := &Client{timeout: cfg.Timeout, maxBody: cfg.MaxBody, idle: newPool()}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	if c.maxBody <= 0 {
		c.maxBody = defaultMaxBody
	}
	var g guard
	for _, p := range cfg.Allow {
		g.allow = append(g.allow, plainPrefix(p))
	}
	c.dial = (&net.Dialer{ControlContext: g.control}).DialContext
	c.tls = &tls.Config{NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
	c.http2 = c.newTransport()
	return c
}

// Close closes the connections that are not in use.
func (c *Client) Close() {
	c.idle.close()
	c.http2.CloseIdleConnections()
}

// Do sends a request and reads the response. Any status is a response, a
// redirect too: it is returned and not followed. The response is never nil: with
// an error it holds the timings and whatever had arrived.
func (c *Client) Do(ctx context.Context, req *Request) (*Response, error) {
	x := exchange{client: c, req: req, res: new(Response), start: time.Now()}
	x.deadline = x.start.Add(c.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(x.deadline) {
		x.deadline = d
	}
	err := x.run(ctx)
	v := x.verdict()
	x.res.Timings = v.timings
	if err != nil {
		class := classify(ctx, err)
		if class == Canceled {
			err = context.Cause(ctx)
		}
		return x.res, &failure{host: req.To.host, err: err, class: class, verdict: v}
	}
	return x.res, nil
}

// connect makes a connection to a receiver, and tells whether it speaks HTTP/2.
func (c *Client) connect(ctx context.Context, to hostKey, name string) (conn net.Conn, http2 bool, err error) {
	conn, err = c.dial(ctx, "tcp", to.address)
	if err != nil || !to.tls {
		return conn, false, err
	}
	trace := httptrace.ContextClientTrace(ctx)
	cfg := c.tls.Clone()
	cfg.ServerName = name
	over := tls.Client(conn, cfg)
	if trace != nil {
		trace.TLSHandshakeStart()
	}
	err = over.HandshakeContext(ctx)
	state := over.ConnectionState()
	if trace != nil {
		trace.TLSHandshakeDone(state, err)
	}
	if err != nil {
		_ = conn.Close()
		return nil, false, err
	}
	return over, state.NegotiatedProtocol == "h2", nil
}
