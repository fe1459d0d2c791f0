package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
)

// handover is a connection on its way to net/http, which dials itself: it is
// found in the context of the request that it was made for.
type handover struct {
	conn  atomic.Pointer[tls.Conn]
	dials atomic.Int32 // how often net/http has dialled for the request
}

type handoverKey struct{}

// maxDials bounds how often a request over HTTP/2 is begun anew, which net/http
// does for as long as each connection fails before it can be used.
const maxDials = 3

var errNoUse = errors.New("http2: each connection was closed before it could be used")

const maxWindow = 128 << 10 // bytes

// newTransport makes what speaks HTTP/2.
func (c *Client) newTransport() *http.Transport {
	return &http.Transport{
		Proxy: nil, // a proxy would look up names where guard cannot see it
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return c.dial(ctx, network, address)
		},
		DialTLSContext:         c.dialHTTP2,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
		HTTP2: &http.HTTP2Config{
			// Without pings a connection whose peer vanished would fail every
			// request until the kernel gives it up, a quarter of an hour later.
			SendPingTimeout: c.timeout, PingTimeout: c.timeout,
			// What a receiver may send before we have asked for it, which
			// would be 4 MiB for each request.
			MaxReceiveBufferPerStream: maxWindow, MaxReceiveBufferPerConnection: 4 * maxWindow,
		},
	}
}

// dialHTTP2 is net/http's way to a connection. It dials without the request's
// deadline, since another request may use the connection; so dialling needs its
// own.
func (c *Client) dialHTTP2(ctx context.Context, _, address string) (net.Conn, error) {
	if h, ok := ctx.Value(handoverKey{}).(*handover); ok {
		if conn := h.conn.Swap(nil); conn != nil {
			return conn, nil
		}
		if h.dials.Add(1) > maxDials {
			return nil, errNoUse
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	key := hostKey{tls: true, address: address}
	conn, http2, err := c.connect(ctx, key, name)
	if err == nil && !http2 {
		c.offers2.remove(key)
	}
	return conn, err
}

// overHTTP2 makes an exchange through net/http. made is the connection that the
// receiver was found to speak HTTP/2 on, or nil.
func (c *Client) overHTTP2(ctx context.Context, x *exchange, made *tls.Conn) error {
	h := new(handover)
	h.conn.Store(made)
	defer func() {
		// Not taken: another one was there already.
		if conn := h.conn.Swap(nil); conn != nil {
			_ = conn.Close()
		}
	}()
	ctx, cancel := context.WithDeadline(context.WithValue(ctx, handoverKey{}, h), x.deadline)
	defer cancel()
	req, packed, err := x.req.http(httptrace.WithClientTrace(ctx, x.over2.trace()))
	if err != nil {
		return err
	}
	// The transport itself rather than an http.Client, which would report a
	// redirect with a malformed Location as an error.
	resp, err := c.http2.RoundTrip(req)
	if err != nil {
		return err
	}
	x.res.StatusCode, x.res.Header = resp.StatusCode, section(resp.Header)
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return errSwitched // and such a body ignores the context
	}
	if packed && strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		return x.res.unpack(&wire{in: resp.Body}, c.maxBody)
	}
	return x.res.upTo(resp.Body, c.maxBody)
}

// maxHosts bounds what is remembered of receivers.
const maxHosts = 4096

// hosts is a set of receivers. When it is full it forgets one or the other,
// which is then found out anew.
type hosts struct {
	mu  sync.RWMutex
	set map[hostKey]struct{}
}

func (h *hosts) has(key hostKey) bool {
	if !key.tls {
		return false
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	_, ok := h.set[key]
	return ok
}

func (h *hosts) add(key hostKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.set == nil {
		h.set = make(map[hostKey]struct{})
	}
	for old := range h.set {
		if len(h.set) < maxHosts {
			break
		}
		delete(h.set, old)
	}
	h.set[key] = struct{}{}
}

func (h *hosts) remove(key hostKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.set, key)
}
