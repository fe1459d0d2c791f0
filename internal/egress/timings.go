package egress

import (
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"
)

// Timings say where the time of one request went. A stage that did not happen
// is zero, such as the first three on a connection used again; one that was
// under way when the request ended lasts until that end.
type Timings struct {
	DNS       time.Duration // looking up the host name
	Connect   time.Duration // from the first TCP connection tried to the last
	TLS       time.Duration // the TLS handshake
	FirstByte time.Duration // from having a connection to the first byte of the response
	Total     time.Duration // all of it, with the body
}

// stage is what a request is doing, in the words of [Explain].
type stage string

const (
	lookup     stage = "looking up the host name"
	connecting stage = "connecting"
	handshake  stage = "in the TLS handshake"
	waiting    stage = "waiting for the response"
	reading    stage = "reading the response"
)

type span struct{ start, end time.Time }

// within is the length of the span, ended by now if nothing else did.
func (s span) within(now time.Time) time.Duration {
	switch {
	case s.start.IsZero():
		return 0
	case s.end.IsZero():
		return now.Sub(s.start)
	}
	return s.end.Sub(s.start)
}

func (s span) open() bool { return !s.start.IsZero() && s.end.IsZero() }

// watch times one request. The transport may go on dialling after the request
// has ended, or been given another connection, hence the lock and stopped.
type watch struct {
	mu                      sync.Mutex
	start                   time.Time
	dns, connect, tls, wait span
	connected               bool // has a connection
	reused                  bool // which carried a request before
	adopted                 bool // was given a connection that had been dialled before
	wrote                   bool // some request headers may be on the wire
	stopped                 bool
}

// verdict is what a watch knows at the end of a request.
type verdict struct {
	timings Timings
	stage   stage // under way at the end
	unsent  bool  // no part of the request left
	stale   bool  // it went out on a used connection and not a byte came back
}

// at runs f under the lock while the request lasts.
func (w *watch) at(f func(now time.Time)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		f(time.Now())
	}
}

// dialling is at for the hooks of a dial, which no longer matters once there
// is a connection.
func (w *watch) dialling(f func(now time.Time)) {
	w.at(func(now time.Time) {
		if !w.connected {
			f(now)
		}
	})
}

func (w *watch) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		// Once for each connection the transport tries, if the first was stale.
		GetConn: func(string) {
			w.at(func(time.Time) {
				if !w.adopted {
					w.dns, w.connect, w.tls = span{}, span{}, span{}
				}
				w.wait, w.connected, w.adopted = span{}, false, false
			})
		},
		DNSStart: func(httptrace.DNSStartInfo) { w.dialling(func(now time.Time) { w.dns.start = now }) },
		DNSDone:  func(httptrace.DNSDoneInfo) { w.dialling(func(now time.Time) { w.dns.end = now }) },
		ConnectStart: func(_, _ string) {
			w.dialling(func(now time.Time) {
				if w.connect.start.IsZero() {
					w.connect.start = now
				}
				w.connect.end = time.Time{}
			})
		},
		ConnectDone: func(_, _ string, _ error) { w.dialling(func(now time.Time) { w.connect.end = now }) },
		// Told again by net/http of a handshake that is over.
		TLSHandshakeStart: func() {
			w.dialling(func(now time.Time) {
				if w.tls.start.IsZero() {
					w.tls.start = now
				}
			})
		},
		TLSHandshakeDone: func(tls.ConnectionState, error) {
			w.dialling(func(now time.Time) {
				if w.tls.end.IsZero() {
					w.tls.end = now
				}
			})
		},
		GotConn: func(info httptrace.GotConnInfo) {
			w.at(func(now time.Time) {
				if info.Reused {
					w.dns, w.connect, w.tls = span{}, span{}, span{}
				}
				w.connected, w.reused, w.wait = true, info.Reused, span{start: now}
			})
		},
		WroteHeaderField:     func(string, []string) { w.at(func(time.Time) { w.wrote = true }) },
		GotFirstResponseByte: func() { w.at(func(now time.Time) { w.wait.end = now }) },
	}
}

// adopt takes over what another watch saw of the dialling, for a connection that
// is used for the first time.
func (w *watch) adopt(dialled *watch) {
	dialled.stop()
	dialled.mu.Lock()
	defer dialled.mu.Unlock()
	w.dns, w.connect, w.tls, w.adopted = dialled.dns, dialled.connect, dialled.tls, true
}

// stop ends the request.
func (w *watch) stop() verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	now := time.Now()
	return verdict{
		timings: Timings{
			DNS:       w.dns.within(now),
			Connect:   w.connect.within(now),
			TLS:       w.tls.within(now),
			FirstByte: w.wait.within(now),
			Total:     now.Sub(w.start),
		},
		stage:  w.stage(),
		unsent: !w.wrote,
		stale:  w.connected && w.reused && w.wait.open(),
	}
}

// stage is the last one begun. A dial may end by its own timeout just before
// the request does, so that whether it is open says nothing.
func (w *watch) stage() stage {
	switch {
	case w.wait.open():
		return waiting
	case w.connected:
		return reading
	case !w.tls.start.IsZero():
		return handshake
	case !w.connect.start.IsZero(), w.dns.start.IsZero():
		return connecting
	}
	return lookup
}
