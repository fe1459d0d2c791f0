package signature

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
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

// Sign returns the signature header of a message: one signature for each key,
// in order, with spaces between. Several keys are for the time in which a
// receiver changes its secret: it accepts a message if any of them fits.
//
// The id must not contain a full stop, which separates the signed parts; at
// counts in whole seconds.
func Sign(id string, at time.Time, body []byte, keys ...Key) string {
	parts := make([]string, 0, len(keys))
	for _, k := range keys {
		switch {
		case k.private != nil:
			parts = append(parts, asymmetric+","+base64.StdEncoding.EncodeToString(ed25519.Sign(k.private, signed(id, at.Unix(), body))))
		case k.secret != "": // an HMAC under the empty key is one that anybody can make
			parts = append(parts, symmetric+","+k.mac(id, at.Unix(), body))
		}
	}
	return strings.Join(parts, " ")
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
		return families[1:]
	case StandardOnly:
		return families[:1]
	case Both:
	}
	return families[:]
}

// SetHeaders signs a message and sets its headers, under the names of the
// specification and under those of Svix.
func SetHeaders(h http.Header, f Families, id string, at time.Time, body []byte, keys ...Key) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	sig := Sign(id, at, body, keys...)
	for _, f := range f.names() {
		h.Set(f.id, id)
		h.Set(f.timestamp, timestamp)
		h.Set(f.signature, sig)
	}
}

// mac is the base64 HMAC-SHA256 of "id.timestamp.body", timestamp being in
// seconds since 1970.
func (k Key) mac(id string, timestamp int64, body []byte) string {
	m := hmac.New(sha256.New, []byte(k.secret))
	m.Write(prefix(id, timestamp))
	m.Write(body)
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// signed is "id.timestamp.body".
func signed(id string, timestamp int64, body []byte) []byte {
	return append(prefix(id, timestamp), body...)
}

func prefix(id string, timestamp int64) []byte {
	return []byte(id + "." + strconv.FormatInt(timestamp, 10) + ".")
}
