package egress

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
)

// Kind is the class of an error from [Client.Do].
type Kind string

const (
	// Blocked says that the address is not public; nothing was sent. See [ErrBlocked].
	Blocked Kind = "blocked"
	// Timeout says that the request did not end in time; it may have been received.
	Timeout Kind = "timeout"
	// Canceled says that the caller ended the request, which says nothing of the receiver.
	Canceled Kind = "canceled"
	// Unreachable is everything else, from an unknown name to a response that
	// breaks off.
	Unreachable Kind = "unreachable"
)

// failure is the error of [Client.Do].
type failure struct {
	host    string
	err     error
	class   Kind
	verdict verdict
}

// Error names the host but neither the path nor the user of the URL, which may
// hold secrets. It is for the operator; [Explain] is for everybody.
func (f *failure) Error() string { return fmt.Sprintf("send to %s: %v", f.host, f.err) }

func (f *failure) Unwrap() error { return f.err }

func classify(ctx context.Context, err error) Kind {
	var slow net.Error
	switch {
	case errors.Is(err, ErrBlocked):
		return Blocked
	case errors.Is(ctx.Err(), context.Canceled):
		return Canceled
	case ctx.Err() != nil, errors.As(err, &slow) && slow.Timeout():
		return Timeout
	}
	return Unreachable
}

// Class sorts an error of [Client.Do]. It is "" for nil.
func Class(err error) Kind {
	if err == nil {
		return ""
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.class
	}
	return Unreachable
}

// Unsent reports whether no part of the request can have reached the receiver:
// the address was blocked, or the lookup, the connection or the TLS handshake
// failed.
func Unsent(err error) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && f.verdict.unsent
}

// Retryable reports whether the request may be sent again at once. That is so
// if it is [Unsent] for another reason than a blocked address or a timeout. It
// is also so if an idle connection was used again and closed without a byte of
// response: the receiver has most likely dropped it before the request came
// (RFC 9110, 9.2.2), and if it has not, it knows the message by its id.
func Retryable(err error) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && f.class == Unreachable && (f.verdict.unsent || f.verdict.stale)
}

// Explain says in one short sentence, without a full stop, why a request
// failed. It names no address, so that it can be shown to whoever registered
// the receiver. It is "" for nil.
func Explain(err error) string {
	var (
		f       *failure
		blocked blockedError
		name    *net.DNSError
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &blocked):
		return blocked.Error()
	case errors.As(err, &name) && name.IsNotFound:
		return "the host name was not found"
	case errors.As(err, &f) && f.class == Timeout:
		return "timed out while " + string(f.verdict.stage)
	case errors.As(err, &f) && f.class == Canceled:
		return "the request was canceled"
	case errors.As(err, &name):
		return "the host name could not be looked up"
	}
	if s := explainTLS(err); s != "" {
		return s
	}
	return explainConnection(err)
}

func explainTLS(err error) string {
	var (
		invalid   x509.CertificateInvalidError
		host      x509.HostnameError
		authority x509.UnknownAuthorityError
		other     *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		remote    *net.OpError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the TLS certificate has expired or is not valid yet"
	case errors.As(err, &host):
		return "the TLS certificate is for another host name"
	case errors.As(err, &authority):
		return "the TLS certificate is signed by an unknown authority"
	case errors.As(err, &invalid), errors.As(err, &other):
		return "the TLS certificate is not valid"
	case errors.As(err, &remote) && remote.Op == "remote error": // an alert
		return "the receiver refused the TLS connection"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "the receiver does not speak TLS on this port"
	}
	return ""
}

func explainConnection(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was reset"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no route to the host"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before the response was complete"
	case headerTooLarge(err):
		return "the response headers are too large"
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return "the response is not valid gzip"
	case errors.Is(err, errSwitched):
		return "the receiver switched to another protocol unasked"
	case errors.Is(err, errMalformed), errors.Is(err, errLength), errors.Is(err, errEncoding), errors.Is(err, errChunk):
		return "the response is not valid HTTP"
	case brokenOff(err):
		return "the receiver broke off the HTTP/2 connection"
	}
	return "the request could not be completed"
}

// brokenOff goes by the text as well: the errors of HTTP/2 have no names outside
// of net/http.
func brokenOff(err error) bool {
	return slices.ContainsFunc([]string{"http2: ", "stream error: ", "connection error: "}, func(s string) bool {
		return strings.Contains(err.Error(), s)
	})
}

// headerTooLarge goes by the text where the response is read by net/http, which
// has no value for it: neither for HTTP/1 nor for HTTP/2. A test notices if the
// text changes.
func headerTooLarge(err error) bool {
	return errors.Is(err, errHeaderTooLarge) || strings.Contains(err.Error(), "response headers exceeded") ||
		strings.Contains(err.Error(), "response header list larger")
}
