package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// scheme marks a symmetric signature.
const scheme = "v1"

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
		// An HMAC under the empty key is one that anybody can make.
		if k.secret != "" {
			parts = append(parts, scheme+","+k.mac(id, at.Unix(), body))
		}
	}
	return strings.Join(parts, " ")
}

// SetHeaders signs a message and sets its headers, under the names of the
// specification and under those of Svix.
func SetHeaders(h http.Header, id string, at time.Time, body []byte, keys ...Key) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	sig := Sign(id, at, body, keys...)
	for _, f := range families {
		h.Set(f.id, id)
		h.Set(f.timestamp, timestamp)
		h.Set(f.signature, sig)
	}
}

// mac is the base64 HMAC-SHA256 of "id.timestamp.body", timestamp being in
// seconds since 1970.
func (k Key) mac(id string, timestamp int64, body []byte) string {
	m := hmac.New(sha256.New, []byte(k.secret))
	m.Write([]byte(id + "." + strconv.FormatInt(timestamp, 10) + "."))
	m.Write(body)
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}
