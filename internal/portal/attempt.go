package portal

import (
	"bytes"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"strings"
	"time"
)

type attemptView struct {
	page
	Event, Text, Endpoint, URL string
	Ref, State, Title, Answer  string
	At                         time.Time
	Error                      string
	// Advice says what happened in words, and what to do.
	Advice                              string
	RequestHead, ResponseHead, Response string
	Truncated                           bool
	Phases                              []phase
	Curl                                string
}

// phase is a bar of the waterfall.
type phase struct {
	Name, Class, Took string
	X, W              string
}

// fallWidth is the width of a waterfall, in units.
const fallWidth = 1000

func (p *Portal) attemptPage(v *visit) error {
	m, err := p.store.Message(v.Context(), v.account.Application, v.PathValue("event"))
	if err != nil {
		return err
	}
	ref, err := webhook.AttemptID.Parse(v.PathValue("attempt"))
	if err != nil {
		return webhook.ErrNotFound
	}
	a, err := p.store.Attempt(v.Context(), m.Application, m.ID, ref)
	if err != nil {
		return err
	}
	view := attemptView{
		page:  v.page(title(&a, m.IsTest()), "events"),
		Event: webhook.MessageID.Format(m.ID), Text: textOf(&m), Endpoint: webhook.EndpointID.Format(a.Endpoint), URL: a.URL,
		Ref: webhook.AttemptID.Format(a.ID), State: a.Alone().String(), Title: title(&a, m.IsTest()), Answer: answer(&a), At: a.StartedAt,
		Error: a.Error, Advice: advice(&a),
		RequestHead: string(a.RequestHead), ResponseHead: string(a.ResponseHead), Response: string(a.Response),
		Truncated: len(a.Response) == webhook.MaxResponse, Phases: waterfall(a.Timings), Curl: curl(&a, m.Payload),
	}
	return v.show(http.StatusOK, "attempt.html", view)
}

// waterfall lays the phases of a call one after another.
func waterfall(t webhook.Timings) []phase {
	if t.Total <= 0 {
		return nil
	}
	var phases []phase
	at := time.Duration(0)
	put := func(name, class string, d time.Duration) {
		if d <= 0 {
			return
		}
		d = min(d, t.Total-at)
		x := float64(at) / float64(t.Total) * fallWidth
		w := max(float64(d)/float64(t.Total)*fallWidth, 3)
		phases = append(phases, phase{name, class, took(d), units(min(x, fallWidth-3)), units(w)})
		at += d
	}
	put("DNS lookup", "dns", t.DNS)
	put("Connect", "connect", t.Connect)
	put("TLS handshake", "tls", t.TLS)
	put("Waiting for the answer", "wait", t.FirstByte)
	put("Reading it, and the rest", "rest", t.Total-at)
	return append(phases, phase{"Total", "total", took(t.Total), "0", units(fallWidth)})
}

// advice says in words what a call came to and what whoever runs the receiver
// can do about it; "" when all is well.
func advice(a *webhook.Attempt) string {
	switch a.Outcome {
	case webhook.Delivered:
		return ""
	case webhook.TimedOut:
		return "Your server took longer than we wait. Answer with 2xx as soon as the event is stored, and do the work afterwards."
	case webhook.Unreachable:
		return "No complete answer came. " + unreachable(a.Error)
	case webhook.Blocked:
		return "The URL leads to an address that is not public, where we send nothing. Give the endpoint a URL that is reachable from the internet, or ask whoever runs this installation to allow the network."
	case webhook.Gone:
		return "410 Gone says that the receiver wants no more webhooks, so the endpoint was disabled. Enable it again if that was not meant."
	case webhook.Busy:
		return "Your server asked to wait (Retry-After). We wait for as long as it says; this uses up no retry."
	case webhook.NotSent:
		return "No call was made."
	case webhook.Refused:
		return refused(a.StatusCode)
	}
	return ""
}

// unreachable advises by the words of package egress.
func unreachable(problem string) string {
	problem = strings.ToLower(problem)
	for _, k := range []struct{ word, advice string }{
		{"host name", "Check the host in the endpoint’s URL, and that its DNS record is there."},
		{"certificate has expired", "Renew the TLS certificate of your server."},
		{"another host name", "The certificate of your server does not name the host in the URL. Get one that does."},
		{"certificate", "Your server’s TLS certificate is not one that browsers would accept. Install one of a public authority, with the intermediate certificates."},
		{"tls", "Your server does not speak TLS as we do. Check the port, and whether the URL should begin with http:// or https://."},
		{"refused", "Nothing listens on this port. Check that your server is running and that its port is the one in the URL."},
		{"route", "The network of your server is not reachable. Check its address and its firewall."},
		{"reset", "The connection was cut. A proxy or firewall in front of your server may have done so."},
		{"closed", "Your server closed the connection before it had answered. Its log may say why."},
	} {
		if strings.Contains(problem, k.word) {
			return k.advice
		}
	}
	return "The log of your server may say why."
}

func refused(status int) string {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "Your server refused the request. If it checks the signature, compare its secret with this endpoint’s; if it wants a password or key, add it as a custom header."
	case status == http.StatusNotFound:
		return "Your server knows no such path. Check the path in the endpoint’s URL."
	case status == http.StatusMethodNotAllowed:
		return "Your server does not take POST on this path. Webhooks are sent with POST."
	case status == http.StatusRequestEntityTooLarge:
		return "Your server takes no body of this size. Raise its limit, or that of the proxy in front of it."
	case status == http.StatusTooManyRequests:
		return "Your server asked us to slow down. Give the endpoint a rate limit, or have your server answer with Retry-After."
	case status >= 300 && status < 400:
		return "Your server answered with a redirect, which is never followed. Give the endpoint the URL that it leads to."
	case status >= 400 && status < 500:
		return "Your server refused the request as faulty. Its log, or the answer below, may say why."
	case status >= 500:
		return "Your server failed while it worked on the request. Its log may say why."
	default:
		return "Your server answered with something else than 2xx, so it is tried again."
	}
}

// maxCurl is how large a payload is written into a command, in bytes. Shells
// take about 128 kB in one word.
const maxCurl = 64 << 10

// curl writes the call as a command that makes it again, for whoever wants to
// try a receiver by hand. What was hidden stays hidden.
func curl(a *webhook.Attempt, payload []byte) string {
	if a.Outcome == webhook.NotSent {
		return ""
	}
	var b strings.Builder
	b.WriteString("curl -i -X POST " + quote(a.URL))
	for head := range bytes.Lines(a.RequestHead) {
		b.WriteString(" \\\n  -H " + quote(string(bytes.TrimRight(head, "\n"))))
	}
	switch {
	case payload == nil:
		fmt.Fprintf(&b, " \\\n  --data-binary @payload.json # the payload has expired")
	case len(payload) > maxCurl:
		fmt.Fprintf(&b, " \\\n  --data-binary @payload.json # save the raw payload, %s, as payload.json", size(len(payload)))
	default:
		b.WriteString(" \\\n  --data-binary " + quote(string(payload)))
	}
	return b.String()
}

// quote writes a word for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
