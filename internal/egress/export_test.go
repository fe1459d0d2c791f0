package egress

import (
	"context"
	"crypto/x509"
	"net"
	"time"
)

// Trust makes a client accept the certificates of these authorities alone.
func (c *Client) Trust(roots *x509.CertPool) { c.tls.RootCAs = roots }

// DialWith makes a client take its connections from elsewhere, unguarded.
func (c *Client) DialWith(dial func() net.Conn) {
	c.dial = func(context.Context, string, string) (net.Conn, error) { return dial(), nil }
}

// Idle is how many connections a client keeps for later.
func (c *Client) Idle() int {
	c.idle.mu.Lock()
	defer c.idle.mu.Unlock()
	return c.idle.count
}

// Sweep looks at the idle connections as the client does from time to time.
func (c *Client) Sweep() { c.idle.clean() }

// ThroughNetHTTP sends a request in net/http's way, whatever it speaks: the
// judge of how a response is to be read.
func (c *Client) ThroughNetHTTP(ctx context.Context, req *Request) (*Response, error) {
	start := time.Now()
	x := exchange{client: c, req: req, res: new(Response), start: start, deadline: start.Add(c.timeout), over2: &watch{start: start}}
	err := c.overHTTP2(ctx, &x, nil)
	v := x.verdict()
	x.res.Timings = v.timings
	if err != nil {
		return x.res, &failure{host: req.To.host, err: err, class: classify(ctx, err), verdict: v}
	}
	return x.res, nil
}
