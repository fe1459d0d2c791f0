package signature

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"iter"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// The schemes: v1 is symmetric, v1a has a public half.
const (
	symmetric  = "v1"
	asymmetric = "v1a"
)

// family is one set of names for the three headers.
type family struct{ id, timestamp, signature string }

// families are the names of the specification and the ones Svix used before
// there was a specification; older receiver libraries know only the latter.
var families = [...]family{
	{"webhook-id", "webhook-timestamp", "webhook-signature"},
	{"svix-id", "svix-timestamp", "svix-signature"},
}

// titled are the same names as they are written on the wire.
var titled = [...]family{
	{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"},
	{"Svix-Id", "Svix-Timestamp", "Svix-Signature"},
}

// Sign returns the signature header of a message: one signature for each key,
// in order, with spaces between. Several keys are for the time in which a
// receiver changes its secret: it accepts a message if any of them fits.
//
// The id must not contain a full stop, which separates the signed parts; at
// counts in whole seconds.
func Sign(id string, at time.Time, body []byte, keys ...Key) string {
	var room [128]byte // for two signatures
	sig := room[:0]
	for _, k := range keys {
		if len(sig) > 0 && (k.private != nil || k.secret != "") {
			sig = append(sig, ' ')
		}
		switch {
		case k.private != nil:
			sig = append(append(sig, asymmetric...), ',')
			sig = base64.StdEncoding.AppendEncode(sig, ed25519.Sign(k.private, signed(id, at.Unix(), body)))
		case k.secret != "": // an HMAC under the empty key is one that anybody can make
			sig = append(append(sig, symmetric...), ',')
			sig = k.appendMAC(sig, id, at.Unix(), body)
		}
	}
	return string(sig)
}

// Families says under which names the headers are set.
type Families int

// The families: all, or those of one.
const (
	Both Families = iota
	SvixOnly
	StandardOnly
)

// ParseFamilies reads "both", "svix" or "webhook".
func ParseFamilies(s string) (Families, bool) {
	f, ok := map[string]Families{"both": Both, "svix": SvixOnly, "webhook": StandardOnly}[s]
	return f, ok
}

// names are the families of names to set.
func (f Families) names() []family {
	switch f {
	case SvixOnly:
		return titled[1:]
	case StandardOnly:
		return titled[:1]
	case Both:
	}
	return titled[:]
}

// Headers signs a message and yields the headers that say so, under the names
// of the families.
func Headers(f Families, id string, at time.Time, body []byte, keys ...Key) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		timestamp := strconv.FormatInt(at.Unix(), 10)
		sig := Sign(id, at, body, keys...)
		for _, n := range f.names() {
			if !yield(n.id, id) || !yield(n.timestamp, timestamp) || !yield(n.signature, sig) {
				return
			}
		}
	}
}

// SetHeaders signs a message and sets its headers.
func SetHeaders(h http.Header, f Families, id string, at time.Time, body []byte, keys ...Key) {
	for name, value := range Headers(f, id, at, body, keys...) {
		h.Set(name, value)
	}
}

// mac is an HMAC-SHA256 under a key, which is costly to set up and can be used
// again and again.
type mac struct {
	hash.Hash
	scratch []byte // for what goes in before the body, and for what comes out
}

// newMACs makes a store of MACs under a secret.
func newMACs(secret []byte) *sync.Pool {
	return &sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, secret)} }}
}

// appendMAC appends the base64 HMAC-SHA256 of "id.timestamp.body", timestamp
// being in seconds since 1970.
func (k Key) appendMAC(b []byte, id string, timestamp int64, body []byte) []byte {
	m := k.macs.Get().(*mac) //nolint:errcheck,forcetypeassert // what newMACs makes
	defer k.macs.Put(m)
	m.Reset()
	m.scratch = appendPrefix(m.scratch[:0], id, timestamp)
	_, _ = m.Write(m.scratch)
	_, _ = m.Write(body)
	m.scratch = m.Sum(m.scratch[:0])
	return base64.StdEncoding.AppendEncode(b, m.scratch)
}

// signed is "id.timestamp.body".
func signed(id string, timestamp int64, body []byte) []byte {
	return append(appendPrefix(nil, id, timestamp), body...)
}

func appendPrefix(b []byte, id string, timestamp int64) []byte {
	b = append(append(b, id...), '.')
	return append(strconv.AppendInt(b, timestamp, 10), '.')
}
