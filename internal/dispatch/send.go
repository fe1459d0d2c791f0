package dispatch

import (
	"bytes"
	"context"
	"fanfare/internal/egress"
	"fanfare/internal/signature"
	"fanfare/internal/webhook"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// HTTPCaller sends deliveries as signed POST requests. It implements Caller.
type HTTPCaller struct {
	client    *egress.Client
	userAgent string
	families  signature.Families
}

// NewHTTPCaller makes a caller that goes out through client, says that it is
// Fanfare of this version, and signs in headers of these families.
func NewHTTPCaller(client *egress.Client, version string, families signature.Families) *HTTPCaller {
	return &HTTPCaller{client: client, userAgent: "Fanfare/" + version, families: families}
}

// quick is how soon a connection must have failed for one more try at once: a
// connection that a receiver dropped while it was idle, or one that a restart
// of the receiver refused.
const quick = time.Second

// Call implements Caller.
func (c *HTTPCaller) Call(ctx context.Context, to *webhook.Endpoint, j *webhook.Job) (webhook.Attempt, time.Duration) {
	a := webhook.Attempt{URL: to.URL, StartedAt: webhook.FromMicros(time.Now().UnixMicro())}
	req, err := c.request(ctx, to, j, a.StartedAt)
	if err != nil {
		// What was stored cannot be sent: a URL or secret that was checked
		// when it was stored.
		a.Outcome, a.Error = webhook.Unreachable, "The request could not be built: "+err.Error()+"."
		return a, -1
	}
	a.RequestHead = head(req.Header, func(name string) bool {
		return slices.ContainsFunc(to.Headers, func(h webhook.Header) bool { return strings.EqualFold(h.Name, name) })
	})
	res, err := c.client.Do(ctx, req)
	if egress.Retryable(err) && res.Timings.Total < quick {
		res, err = c.client.Do(ctx, req)
	}
	a.Timings = webhook.Timings(res.Timings)
	a.StatusCode = res.StatusCode
	a.Response = res.Body[:min(len(res.Body), webhook.MaxResponse)]
	a.ResponseHead = head(res.Header, func(name string) bool { return name == "Set-Cookie" })
	retryAfter := parseRetryAfter(res.Header.Get("Retry-After"), time.Now())
	switch egress.Class(err) {
	case "":
		a.Outcome = classify(res.StatusCode, retryAfter)
		return a, retryAfter
	case egress.Blocked:
		a.Outcome = webhook.Blocked
	case egress.Timeout:
		a.Outcome = webhook.TimedOut
	case egress.Canceled:
		a.Outcome = webhook.NotSent
	case egress.Unreachable:
		a.Outcome = webhook.Unreachable
	}
	a.Error = sentence(egress.Explain(err))
	return a, -1
}

// request builds the call of a delivery. The headers of the endpoint come
// first, so that none of them can stand in for one of ours.
func (c *HTTPCaller) request(ctx context.Context, to *webhook.Endpoint, j *webhook.Job, at time.Time) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(j.Payload))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "*/*")
	for _, h := range to.Headers {
		req.Header.Del(h.Name)
		req.Header[h.Name] = []string{h.Value}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	var keys []signature.Key
	for _, s := range to.Secrets {
		if !s.ExpiresAt.IsZero() && !s.ExpiresAt.After(at) {
			continue
		}
		key, err := signature.ParseSecret(s.Key)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	signature.SetHeaders(req.Header, c.families, webhook.MessageID.Format(j.Message), at, j.Payload, keys...)
	return req, nil
}

// maxHead bounds the evidence kept of headers, in bytes.
const maxHead = 8 << 10

// head writes headers one a line, sorted, with the values hidden that are
// secret.
func head(h http.Header, secret func(name string) bool) []byte {
	var b bytes.Buffer
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			if secret(name) {
				value = "[hidden]"
			}
			b.WriteString(name + ": " + value + "\n")
			if b.Len() > maxHead {
				b.Truncate(maxHead)
				return b.Bytes()
			}
		}
	}
	return b.Bytes()
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:] + "."
}
