package signature

import (
	"crypto/ed25519"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Tolerance is how far a message's timestamp may lie from the receiver's clock,
// on either side. It bounds the time in which a recorded message can be played
// again. The reference libraries use the same five minutes.
const Tolerance = 5 * time.Minute

// What [Verify] finds wrong with a message. The errors that wrap them say more.
var (
	// ErrMissing: a header is absent or empty; the error names it.
	ErrMissing = errors.New("missing header")
	// ErrTimestamp: the timestamp is malformed, too old or too new.
	ErrTimestamp = errors.New("timestamp not accepted")
	// ErrTooOld is an ErrTimestamp more than [Tolerance] in the past.
	ErrTooOld = fmt.Errorf("%w: too old", ErrTimestamp)
	// ErrTooNew is an ErrTimestamp more than [Tolerance] in the future.
	ErrTooNew = fmt.Errorf("%w: too new", ErrTimestamp)
	// ErrMismatch: no signature fits this id, timestamp, body and secret.
	ErrMismatch = errors.New("signature does not match")
)

// Verify reports whether a message was signed with the secret and is fresh at
// now. Body must be the bytes as received; parsed and rebuilt JSON does not fit.
// It reads the headers of the specification and, if those are not complete,
// those of Svix.
//
// The error is an [ErrSecret], [ErrMissing], [ErrTimestamp] or [ErrMismatch].
func Verify(secret string, h http.Header, body []byte, now time.Time) error {
	key, err := ParseSecret(secret)
	if err != nil {
		return err
	}
	f, err := present(h)
	if err != nil {
		return err
	}
	timestamp, err := parseTimestamp(h.Get(f.timestamp), now)
	if err != nil {
		return fmt.Errorf("%s: %w", f.timestamp, err)
	}
	scheme, fits := key.verifier(h.Get(f.id), timestamp, body)
	known := false
	for sig := range strings.SplitSeq(h.Get(f.signature), " ") {
		version, got, _ := strings.Cut(sig, ",")
		if version != scheme {
			continue
		}
		known = true
		if fits(got) {
			return nil
		}
	}
	if !known {
		return fmt.Errorf("%w: %s has no %s signature", ErrMismatch, f.signature, scheme)
	}
	return fmt.Errorf("%w: the secret is another one, or the id, timestamp or body was changed on the way", ErrMismatch)
}

// verifier returns the scheme of the key and what tells whether a signature of
// that scheme is good.
func (k Key) verifier(id string, timestamp int64, body []byte) (scheme string, fits func(string) bool) {
	if k.public != nil {
		return asymmetric, func(got string) bool {
			sig, err := base64.StdEncoding.DecodeString(got)
			return err == nil && ed25519.Verify(k.public, signed(id, timestamp, body), sig)
		}
	}
	want := k.appendMAC(nil, id, timestamp, body)
	return symmetric, func(got string) bool { return hmac.Equal([]byte(got), want) } // constant time
}

// present returns the first family whose headers are all there. If none is,
// the error names what is absent from the one that comes nearest.
func present(h http.Header) (family, error) {
	nearest := families[0].missing(h)
	for _, f := range families {
		missing := f.missing(h)
		if len(missing) == 0 {
			return f, nil
		}
		if len(missing) < len(nearest) {
			nearest = missing
		}
	}
	return family{}, fmt.Errorf("%w: %s", ErrMissing, strings.Join(nearest, ", "))
}

// missing names the headers of f that h does not have.
func (f family) missing(h http.Header) []string {
	var names []string
	for _, n := range []string{f.id, f.timestamp, f.signature} {
		if h.Get(n) == "" {
			names = append(names, n)
		}
	}
	return names
}

// parseTimestamp reads seconds since 1970 and holds them against now.
func parseTimestamp(s string, now time.Time) (int64, error) {
	u, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%w: it must be whole seconds since 1970", ErrTimestamp)
	}
	// Compared as numbers: a time.Duration holds no more than 292 years.
	at, tolerance := int64(u), int64(Tolerance/time.Second)
	switch {
	case at < now.Unix()-tolerance:
		return 0, fmt.Errorf("%w: %d is more than %s before %d", ErrTooOld, at, Tolerance, now.Unix())
	case at > now.Unix()+tolerance:
		return 0, fmt.Errorf("%w: %d is more than %s after %d", ErrTooNew, at, Tolerance, now.Unix())
	}
	return at, nil
}
