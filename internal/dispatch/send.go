package dispatch

import (
	"context"
	"fanfare/internal/chat"
	"fanfare/internal/egress"
	"fanfare/internal/signature"
	"fanfare/internal/webhook"
	"net/http"
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
	plans     plans
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
	p, err := c.plans.of(to, c.userAgent)
	if err != nil {
		// What was stored cannot be sent: a URL or secret that was checked
		// when it was stored.
		a.Outcome, a.Error = webhook.Unreachable, "The request could not be built: "+err.Error()+"."
		return a, -1
	}
	req := &egress.Request{Method: http.MethodPost, To: p.to, Header: c.header(p, j, a.StartedAt), Body: j.Payload}
	a.RequestHead = shown(req.Header, p.hidden)
	res, err := c.client.Do(ctx, req)
	if egress.Retryable(err) && res.Timings.Total < quick {
		res, err = c.client.Do(ctx, req)
	}
	a.Timings = webhook.Timings(res.Timings)
	a.StatusCode = res.StatusCode
	a.Response = res.Body[:min(len(res.Body), webhook.MaxResponse)]
	a.ResponseHead = received(res.Header)
	retryAfter := parseRetryAfter(res.Header.Get("Retry-After"), time.Now())
	switch egress.Class(err) {
	case "":
		a.Outcome, a.Error = judge(to.Kind, res.StatusCode, res.Body, retryAfter)
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

// judge says what came of a call that was answered. A chat service may answer
// that it took nothing with a status of success, and has words that say why.
func judge(k webhook.Kind, status int, body []byte, retryAfter time.Duration) (webhook.Outcome, string) {
	outcome := classify(status, retryAfter)
	taken, meaning := chat.Judge(k, status, body)
	if !taken && outcome == webhook.Delivered {
		outcome = webhook.Refused
	}
	return outcome, meaning
}

// header is what goes out with a delivery: what all calls to the endpoint have
// in common, and the signature.
func (c *HTTPCaller) header(p *plan, j *webhook.Job, at time.Time) []egress.Field {
	h := make([]egress.Field, len(p.header), len(p.header)+6)
	copy(h, p.header)
	var room [4]signature.Key
	for name, value := range signature.Headers(c.families, webhook.MessageID.Format(j.Message), at, j.Payload, p.live(room[:0], at)...) {
		h = append(h, egress.Field{Name: name, Value: value})
	}
	return h
}

// maxHead bounds the evidence kept of headers, in bytes.
const maxHead = 8 << 10

// hiddenValue stands in evidence for a value that is secret.
const hiddenValue = "[hidden]"

// shown writes the fields that are sent one a line, with the first values
// hidden, which are the endpoint's own.
func shown(h []egress.Field, hidden int) []byte {
	size := 0
	for _, f := range h {
		size += len(f.Name) + len(f.Value) + 3
	}
	b := make([]byte, 0, min(size, 2*maxHead))
	for i, f := range h {
		if i < hidden {
			f.Value = hiddenValue
		}
		b = appendLine(b, f.Name, f.Value)
	}
	return b[:min(len(b), maxHead)]
}

// received writes the fields of a response one a line, with cookies hidden.
func received(h egress.Header) []byte {
	b := make([]byte, 0, min(len(h), 2*maxHead))
	for name, value := range h.All() {
		if strings.EqualFold(name, "Set-Cookie") {
			value = hiddenValue
		}
		if b = appendLine(b, name, value); len(b) > maxHead {
			return b[:maxHead]
		}
	}
	return b
}

func appendLine(b []byte, name, value string) []byte {
	return append(append(append(append(b, name...), ": "...), value...), '\n')
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:] + "."
}
