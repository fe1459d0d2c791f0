package egress

import (
	"context"
	"errors"
	"io"
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
	maxIdle        = 1024     // connections kept open, over all receivers
	maxIdlePerHost = 16
	idleTimeout    = 90 * time.Second
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
	Header     http.Header
	Body       []byte // at most Config.MaxBody bytes
	Truncated  bool   // whether the receiver sent more than Body
	Timings    Timings
}

// Client sends requests to receivers. It keeps connections open between them
// and may be used from many goroutines.
type Client struct {
	transport *http.Transport
	timeout   time.Duration
	maxBody   int64
}

// New makes a client. Close it to let go of its idle connections.
func New(cfg Config) *Client {
	c := &Client{timeout: cfg.Timeout, maxBody: cfg.MaxBody}
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
	// The transport dials without the request's deadline, since another
	// request may use the connection; so dialling needs its own.
	dialer := &net.Dialer{Timeout: c.timeout, ControlContext: g.control}
	c.transport = &http.Transport{
		Proxy:                  nil, // a proxy would look up names where guard cannot see it
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    c.timeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
		// Without pings a connection whose peer vanished would fail every
		// request until the kernel gives it up, a quarter of an hour later.
		HTTP2: &http.HTTP2Config{SendPingTimeout: c.timeout, PingTimeout: c.timeout},
	}
	return c
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Do sends a request and reads the response. Any status is a response, a
// redirect too: it is returned and not followed. The response is never nil: with
// an error it holds the timings and whatever had arrived.
//
// A request with a body needs GetBody, which http.NewRequest sets for bytes and
// strings, for the transport to pass over a connection that died while idle.
func (c *Client) Do(ctx context.Context, req *http.Request) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	w := &watch{start: time.Now()}
	req = req.Clone(httptrace.WithClientTrace(ctx, w.trace()))
	if u := req.URL.User; u != nil && req.Header.Get("Authorization") == "" {
		password, _ := u.Password()
		req.SetBasicAuth(u.Username(), password)
	}
	res := &Response{}
	// The transport itself rather than an http.Client, which would report a
	// redirect with a malformed Location as an error.
	resp, err := c.transport.RoundTrip(req)
	if err == nil {
		res.StatusCode, res.Header = resp.StatusCode, resp.Header
		err = res.read(resp, c.maxBody)
	}
	v := w.stop()
	res.Timings = v.timings
	if err != nil {
		return res, &failure{host: req.URL.Host, err: err, class: classify(ctx, err), verdict: v}
	}
	return res, nil
}

// read takes the body up to the limit, keeps what came before an error, and
// closes it. What lies beyond the limit costs the connection, not our time.
func (r *Response) read(resp *http.Response, limit int64) error {
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// Nobody asked for it, and such a body ignores the context.
		return errors.New("protocol switched unasked")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if int64(len(body)) > limit {
		body, r.Truncated = body[:limit], true
	}
	r.Body = body
	return err
}
