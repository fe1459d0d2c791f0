package signature

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Cause is why a message does not verify.
type Cause string

// The causes, in the order in which they are asked.
const (
	Good           Cause = ""
	BadSecret      Cause = "secret"
	NoHeader       Cause = "header"
	BadTimestamp   Cause = "timestamp"
	TooOld         Cause = "old"
	TooNew         Cause = "new"
	NoSuchScheme   Cause = "scheme"
	HeaderChanged  Cause = "header changed"
	BodyChanged    Cause = "body"
	OtherSignature Cause = "signature"
)

// Diagnosis says whether a message verifies and, if not, why: for whoever looks
// for the fault in a receiver. It holds no secret and nothing of the body.
type Diagnosis struct {
	// Err is what [Verify] says; nil when the message is good.
	Err   error
	Cause Cause
	// Text says in a sentence what was found, Advice what to do about it.
	Text, Advice string
	// ID and At are those of the message, as far as they could be read.
	ID string
	At time.Time
	// Signatures are those of the header, in order.
	Signatures []Judged
}

// Judged is one signature of a message.
type Judged struct {
	// Scheme is v1, v1a, or what stood there in its place.
	Scheme string
	// Fits says that it was made with the secret, of this very message.
	Fits bool
}

// maxJudged bounds how many signatures are looked at.
const maxJudged = 32

// Diagnose holds a message against a secret like [Verify], and goes on where
// that stops: it looks for what was changed on the way.
func Diagnose(secret string, h http.Header, body []byte, now time.Time) Diagnosis {
	d := Diagnosis{Err: Verify(secret, h, body, now)}
	key, err := ParseSecret(secret)
	if err != nil {
		d.Cause, d.Text, d.Advice = BadSecret, sentence(err), adviseSecret(secret)
		return d
	}
	f, err := present(h)
	if err != nil {
		d.Cause, d.Text, d.Advice = NoHeader, sentence(err), adviseHeaders(h)
		return d
	}
	d.ID = h.Get(f.id)
	seconds, err := strconv.ParseUint(h.Get(f.timestamp), 10, 62)
	if err != nil {
		d.Cause, d.Text = BadTimestamp, fmt.Sprintf("%s is not a number of seconds since 1970.", f.timestamp)
		d.Advice = "Pass the header on as it came; a date in words or with a fraction is not what was signed."
		return d
	}
	m := received{h, f, d.ID, int64(seconds), body, key}
	d.At = time.Unix(m.timestamp, 0).UTC()
	if d.Signatures = m.judge(); slices.ContainsFunc(d.Signatures, func(j Judged) bool { return j.Fits }) {
		d.fresh(m, now)
		return d
	}
	d.unfit(m)
	return d
}

// received is a message with all of its headers.
type received struct {
	header    http.Header
	family    family
	id        string
	timestamp int64
	body      []byte
	key       Key
}

// signatures are those of the header, with and without their scheme.
func (m received) signatures() []string {
	all := strings.Fields(m.header.Get(m.family.signature))
	return all[:min(len(all), maxJudged)]
}

func (m received) judge() []Judged {
	scheme, fits := m.key.verifier(m.id, m.timestamp, m.body)
	var judged []Judged
	for _, sig := range m.signatures() {
		version, got, _ := strings.Cut(sig, ",")
		judged = append(judged, Judged{shown(version), version == scheme && fits(got)})
	}
	return judged
}

// shown is a scheme as far as it can be one: what else stands there may be
// anything.
func shown(version string) string {
	if len(version) > 8 {
		return "?"
	}
	return version
}

// fits reports whether any signature is one of this message, whatever it is
// called.
func (m received) fits() bool {
	_, fits := m.key.verifier(m.id, m.timestamp, m.body)
	for _, sig := range m.signatures() {
		sig = strings.Trim(sig, `"'`)
		if _, got, ok := strings.Cut(sig, ","); ok && fits(got) || fits(sig) {
			return true
		}
	}
	return false
}

// fresh judges the time of a message whose signature is good.
func (d *Diagnosis) fresh(m received, now time.Time) {
	age := now.Unix() - m.timestamp
	switch tolerance := int64(Tolerance / time.Second); {
	case age > tolerance:
		d.Cause, d.Text = TooOld, fmt.Sprintf("The signature is right, but the message is %s old: more than the %s that are allowed.", span(age), span(tolerance))
		d.Advice = "A receiver refuses it, so that nobody can play a recorded message again. If it was new when it arrived, the clock of the receiver is fast. " +
			"A replay is signed anew with the time at which it is sent."
	case -age > tolerance:
		d.Cause, d.Text = TooNew, fmt.Sprintf("The signature is right, but the message is from %s ahead of the clock here.", span(-age))
		d.Advice = "Set the clock of the receiver: it is slow."
		if m.timestamp > 100*now.Unix() {
			d.Advice = "The time stamp looks like milliseconds; it counts in seconds."
		}
	default:
		d.Text = "The signature is good."
		if n := len(d.Signatures); n > 1 {
			which := 1 + slices.IndexFunc(d.Signatures, func(j Judged) bool { return j.Fits })
			d.Text = fmt.Sprintf("Signature %d of %d is good: one that fits is enough. Several are sent while a secret is being changed.", which, n)
		}
	}
}

// unfit looks for why no signature fits.
func (d *Diagnosis) unfit(m received) {
	scheme, _ := m.key.verifier(m.id, m.timestamp, nil)
	if m.fits() {
		d.Cause, d.Text = HeaderChanged, fmt.Sprintf("The signature itself is right, but %s does not say so in its form.", m.family.signature)
		d.Advice = fmt.Sprintf("It is a list with spaces between, each entry %s, a comma and base64, without quotes. Pass the header on as it came.", scheme)
		return
	}
	if text, advice := m.otherHeader(); text != "" {
		d.Cause, d.Text, d.Advice = HeaderChanged, text, advice
		return
	}
	if text, advice := m.otherBody(); text != "" {
		d.Cause, d.Text, d.Advice = BodyChanged, text, advice
		return
	}
	if !slices.ContainsFunc(d.Signatures, func(j Judged) bool { return j.Scheme == scheme }) {
		d.Cause, d.Text = NoSuchScheme, fmt.Sprintf("%s has no %s signature, which is what this secret verifies.", m.family.signature, scheme)
		d.Advice = "The secret is of another kind than the signature. A secret that begins with whsec_ makes v1 signatures; a public key that begins with whpk_ verifies those of v1a. " +
			"Copy the secret from the page of the endpoint."
		if len(d.Signatures) > 0 && d.Signatures[0].Scheme == "?" {
			d.Advice = "An entry is the scheme, a comma and base64, such as v1,K5oZ…= — this header has something else."
		}
		return
	}
	d.Cause, d.Text = OtherSignature, "No signature fits: the message was signed with another secret, or its id, time stamp or body was changed."
	d.Advice = "Compare the secret with that on the page of the endpoint: each endpoint has its own, and a replaced one works for 24 hours. " +
		"Then check that the body is the bytes as they came, before any parser touched them: changed numbers and sorted names cannot be recognised."
}

// otherHeader says which header was changed on the way, by what else would fit.
func (m received) otherHeader() (text, advice string) {
	for _, f := range families {
		if f == m.family || len(f.missing(m.header)) > 0 {
			continue
		}
		other := m
		other.family, other.id = f, m.header.Get(f.id)
		if n, err := strconv.ParseInt(m.header.Get(f.timestamp), 10, 64); err == nil {
			other.timestamp = n
		}
		if other.fits() {
			return fmt.Sprintf("The %s headers fit, the %s headers do not.", prefixOf(f), prefixOf(m.family)),
				"Both carry the same signature when they are sent. Something on the way changed or replaced one of them."
		}
	}
	trimmed := m
	trimmed.id = strings.Trim(m.id, " \t\"'")
	if trimmed.id != m.id && trimmed.fits() {
		return fmt.Sprintf("%s has quotes or spaces around it that were not sent.", m.family.id), "Pass the header on as it came."
	}
	seconds := m
	if seconds.timestamp /= 1000; seconds.fits() {
		return fmt.Sprintf("%s was sent in seconds and is in milliseconds here.", m.family.timestamp), "Pass the header on as it came."
	}
	return "", ""
}

func prefixOf(f family) string { return strings.TrimSuffix(f.id, "id") + "*" }

// otherBody says what was done to the body, by what fits when it is undone.
func (m received) otherBody() (text, advice string) {
	for _, v := range undone(m.body) {
		was := m
		was.body = v.body
		if was.fits() {
			return v.text, v.advice
		}
	}
	return "", ""
}

// adviseSecret guesses what was given in place of a secret.
func adviseSecret(s string) string {
	trimmed := strings.Trim(strings.TrimSpace(s), `"'`)
	switch _, err := ParseSecret(trimmed); {
	case trimmed == "":
		return "Give the signing secret of the endpoint: it begins with whsec_ and stands on the endpoint's page."
	case err == nil:
		return "There are quotes, spaces or a line break around the secret. Without them it can be read."
	case strings.HasPrefix(trimmed, "ffk_"), strings.HasPrefix(trimmed, "fft_"):
		return "This is a key of the API. The signing secret is another one: it begins with whsec_ and stands on the endpoint's page."
	case strings.ContainsAny(strings.TrimPrefix(trimmed, secretPrefix), "-_"):
		return "It has characters of another alphabet, - and _: secrets are in standard base64, with + and /. Copy it anew from the endpoint's page."
	default:
		return "Copy the whole secret from the endpoint's page, from whsec_ to the last character, = included."
	}
}

// foreign are headers that carry the signatures of others.
var foreign = []string{
	"Stripe-Signature", "X-Hub-Signature-256", "X-Hub-Signature", "X-Slack-Signature", "X-Shopify-Hmac-Sha256",
	"X-Twilio-Signature", "X-Gitlab-Token", "X-Signature",
}

// adviseHeaders guesses where the headers went.
func adviseHeaders(h http.Header) string {
	for name := range h {
		plain := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(strings.ToUpper(name), "HTTP_"), "_", "-"))
		for _, f := range families {
			if slices.Contains([]string{f.id, f.timestamp, f.signature}, plain) && h.Get(plain) == "" {
				return fmt.Sprintf("There is %s: the server in front of the receiver writes headers with underscores. The name is %s.", shortName(name), plain)
			}
		}
	}
	for _, name := range foreign {
		if h.Get(name) != "" {
			return fmt.Sprintf("There is %s: this request was signed by another service, by other rules.", name)
		}
	}
	return "Paste all headers of the request as they came. If they are not there at all, something in front of the receiver removes headers that it does not know."
}

func shortName(name string) string { return name[:min(len(name), 40)] }

// sentence is an error as a sentence of a page.
func sentence(err error) string {
	text := err.Error()
	switch {
	case errors.Is(err, ErrSecret):
		text = "This is not a signing secret" + strings.TrimPrefix(text, ErrSecret.Error())
	case errors.Is(err, ErrMissing):
		text = "A header is missing" + strings.TrimPrefix(text, ErrMissing.Error())
	}
	return text + "."
}

// span is a length of time in words, from seconds.
func span(seconds int64) string {
	for _, unit := range []struct {
		length int64
		name   string
	}{{86400, "day"}, {3600, "hour"}, {60, "minute"}} {
		if n := seconds / unit.length; n >= 2 || n == 1 && seconds%unit.length == 0 {
			return plural(n, unit.name)
		}
	}
	return plural(seconds, "second")
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
