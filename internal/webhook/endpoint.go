package webhook

import (
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Endpoint is one URL of an application, and what it wants to hear.
type Endpoint struct {
	ID          ID
	Application ID
	// UID is the owner's own name for the endpoint; empty when it has none.
	UID         string
	URL         string
	Version     int
	Description string
	// EventTypes are the types it wants; nil means every type.
	EventTypes []string
	// Channels are the channels it listens to; nil means every message, with
	// channels or without.
	Channels []string
	// Datasets are the datasets ("owner/name") it wants to hear of; nil means
	// every dataset.
	Datasets []string
	// Filter is a condition on what it wants to hear of; nil lets all through.
	Filter *Filter
	// Kind is what listens at the URL.
	Kind Kind
	// Digest says whether its events are gathered and told together.
	Digest Digest
	// Order says by what its messages are delivered one after the other.
	Order Order
	// Paused endpoints hold what is for them. ResumedAt is when the last pause
	// ended; what was held then is released at ReleaseRate messages a second, 0
	// being as fast as it goes.
	Paused      bool
	ResumedAt   time.Time
	ReleaseRate int
	// Headers are sent with each call, in this order; names keep their case.
	Headers  []Header
	Metadata map[string]string
	// Throttle is the most calls a second; 0 means no limit but that of its kind.
	Throttle int
	// ApplicationThrottle is the Throttle of its application.
	ApplicationThrottle int
	// Disabled endpoints get nothing; DisabledReason says why in words when
	// it was not the owner who did it.
	Disabled       bool
	DisabledReason string
	DisabledAt     time.Time
	// Secrets are the signing keys in force, the current one first, then those
	// that a rotation keeps alive for a while.
	Secrets   []Secret
	CreatedAt time.Time
	UpdatedAt time.Time
	// FailingSince is when the first of an unbroken row of exhausted
	// deliveries ended; zero while all is well.
	FailingSince time.Time
	// Warnings counts how often its owner was warned, since then, that it will
	// be disabled.
	Warnings int
}

// Header is a custom header of an endpoint.
type Header struct{ Name, Value string }

// Secret is one signing key of an endpoint in its text form (whsec_… or
// whsk_…). It never shows itself in a log line.
type Secret struct {
	Key string
	// ExpiresAt is when a rotated key stops signing; zero for the current one.
	ExpiresAt time.Time
}

// String hides the key.
func (Secret) String() string { return "[secret]" }

// GoString hides the key.
func (Secret) GoString() string { return "[secret]" }

// Wants reports whether a message is to be delivered to e: e is on, and each
// of its filters is open or lets the message through.
func (e *Endpoint) Wants(m *Message) bool {
	return e.WhyNot(m) == Wanted
}

// Exclusion is the rule that keeps a message from an endpoint.
type Exclusion string

// The rules, in the order in which they are asked.
const (
	Wanted         Exclusion = ""
	BecauseOff     Exclusion = "disabled"
	BecauseType    Exclusion = "event type"
	BecauseChannel Exclusion = "channel"
	BecauseDataset Exclusion = "dataset"
	BecauseFilter  Exclusion = "filter"
)

// WhyNot names the first rule that keeps m from e, or Wanted.
func (e *Endpoint) WhyNot(m *Message) Exclusion {
	switch {
	case e.Disabled:
		return BecauseOff
	case e.EventTypes != nil && !slices.Contains(e.EventTypes, m.EventType):
		return BecauseType
	case e.Channels != nil && !slices.ContainsFunc(m.Channels, func(c string) bool { return slices.Contains(e.Channels, c) }):
		return BecauseChannel
	case e.Datasets != nil && !slices.Contains(e.Datasets, m.Dataset):
		return BecauseDataset
	case !e.Filter.Holds(m):
		return BecauseFilter
	default:
		return Wanted
	}
}

// MaxURLLength bounds an endpoint's URL, in characters.
const MaxURLLength = 65536

// NormalizeURL checks that raw can be an endpoint's URL and returns the form
// that is stored: scheme and host in lower case, a bare host with "/". With
// httpsOnly, plain http is refused. The problem, when there is one, is a
// sentence for the person who typed the URL.
func NormalizeURL(raw string, httpsOnly bool) (normal, problem string) {
	if utf8.RuneCountInString(raw) > MaxURLLength {
		return "", "The URL is too long: at most 65,536 characters."
	}
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return "", "This is not a URL. Give one such as https://example.com/webhooks."
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", "The URL must start with https:// or http://."
	case httpsOnly && u.Scheme != "https":
		return "", "The URL must start with https://: plain http is switched off here."
	case u.Hostname() == "" || u.Opaque != "":
		return "", "The URL has no host. Give one such as https://example.com/webhooks."
	case !validPort(u.Port()) || strings.HasSuffix(u.Host, ":"):
		return "", "The port must be a number from 1 to 65535."
	}
	u.Fragment, u.RawFragment = "", "" // never sent to a server (RFC 9110 section 4.2.5)
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), ""
}

func validPort(p string) bool {
	if p == "" {
		return true
	}
	n := 0
	for _, c := range p {
		if c < '0' || c > '9' {
			return false
		}
		if n = n*10 + int(c-'0'); n > 65535 {
			return false
		}
	}
	return n > 0
}
