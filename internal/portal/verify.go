package portal

import (
	"fanfare/internal/guide"
	"fanfare/internal/signature"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// verifyView is the page on which a request that was received is examined. It
// shows again what was pasted, but never the secret.
type verifyView struct {
	page

	Headers, Body string
	// Endpoint is the one whose secrets are used, unless one is pasted.
	Endpoint  string
	Endpoints []typeListener
	Snippets  []guide.Code
	Result    *verdict
	Problem   string
}

// verdict is what was found.
type verdict struct {
	signature.Diagnosis

	// Good says that the request verifies.
	Good bool
	// Known says in a sentence what is known of the message here, Event is the
	// address of its page; "" when it is not known.
	Known, Event string
	// Signer is the endpoint whose secret made the signature, when it was not
	// the one that was given; "" otherwise.
	Signer string
}

func (p *Portal) verifyPage(v *visit) error {
	view, _, err := p.newVerifyView(v)
	if err != nil {
		return err
	}
	view.Endpoint = v.URL.Query().Get("endpoint")
	return v.show(http.StatusOK, "verify.html", view)
}

func (p *Portal) newVerifyView(v *visit) (verifyView, []*webhook.Endpoint, error) {
	endpoints, err := p.store.Endpoints(v.Context(), v.account.Application)
	view := verifyView{page: v.page("Verify a webhook", "verify"), Snippets: guide.Snippets()}
	for _, e := range endpoints {
		view.Endpoints = append(view.Endpoints, typeListener{Ref: endpointRef(e), URL: e.URL, Description: e.Description})
	}
	return view, endpoints, err
}

// verify examines what was pasted. Nothing of it is stored or logged.
func (p *Portal) verify(v *visit) error {
	if err := v.ParseForm(); err != nil {
		return err
	}
	view, endpoints, err := p.newVerifyView(v)
	if err != nil {
		return err
	}
	// Browsers send each line break of a text field as CRLF, whatever it was.
	view.Headers = strings.ReplaceAll(v.PostFormValue("headers"), "\r\n", "\n")
	view.Body = strings.ReplaceAll(v.PostFormValue("body"), "\r\n", "\n")
	view.Endpoint = v.PostFormValue("endpoint")
	header, body := signature.ReadRequest(view.Headers)
	if view.Body != "" {
		body = view.Body
	}
	secrets := []string{v.PostFormValue("secret")}
	if chosen := byRef(endpoints, view.Endpoint); chosen != nil && secrets[0] == "" {
		secrets = liveSecrets(chosen, time.Now())
	}
	if strings.TrimSpace(view.Headers) == "" && view.Body == "" {
		view.Problem = "Paste the headers and the body of a request that you received."
		return v.show(http.StatusUnprocessableEntity, "verify.html", view)
	}
	found := verdict{Diagnosis: diagnose(secrets, header, []byte(body))}
	found.Good = found.Cause == signature.Good
	if found.Cause == signature.OtherSignature || found.Cause == signature.NoSuchScheme {
		found.Signer = signer(endpoints, header, []byte(body))
	}
	if err := p.recall(v, &found, []byte(body)); err != nil {
		return err
	}
	view.Result = &found
	return v.show(http.StatusOK, "verify.html", view)
}

func byRef(endpoints []*webhook.Endpoint, ref string) *webhook.Endpoint {
	for _, e := range endpoints {
		if endpointRef(e) == ref {
			return e
		}
	}
	return nil
}

// liveSecrets are what receivers are given of the secrets in force, the
// current one first.
func liveSecrets(e *webhook.Endpoint, now time.Time) []string {
	var list []string
	for _, s := range e.Secrets {
		if s.ExpiresAt.IsZero() || s.ExpiresAt.After(now) {
			list = append(list, signature.Public(s.Key))
		}
	}
	return list
}

// diagnose tries the secrets in turn; when none fits, what the first says
// counts, unless another finds what was changed.
func diagnose(secrets []string, h http.Header, body []byte) signature.Diagnosis {
	if len(secrets) == 0 {
		secrets = []string{""}
	}
	now := time.Now()
	first := signature.Diagnose(secrets[0], h, body, now)
	for _, s := range secrets[1:] {
		if first.Cause != signature.OtherSignature && first.Cause != signature.NoSuchScheme {
			break
		}
		if d := signature.Diagnose(s, h, body, now); d.Cause != signature.OtherSignature {
			return d
		}
	}
	return first
}

// maxSigners bounds of how many endpoints the secrets are tried.
const maxSigners = 100

// signer is the URL of the endpoint with whose secret a message was signed.
func signer(endpoints []*webhook.Endpoint, h http.Header, body []byte) string {
	now := time.Now()
	for _, e := range endpoints[:min(len(endpoints), maxSigners)] {
		for _, s := range liveSecrets(e, now) {
			switch signature.Diagnose(s, h, body, now).Cause {
			case signature.Good, signature.TooOld, signature.TooNew, signature.BodyChanged, signature.HeaderChanged:
				return e.URL
			case signature.BadSecret, signature.NoHeader, signature.BadTimestamp, signature.NoSuchScheme, signature.OtherSignature:
			}
		}
	}
	return ""
}

// recall compares what was pasted with what was sent, when the message is one
// of this application.
func (p *Portal) recall(v *visit, found *verdict, body []byte) error {
	id, err := webhook.MessageID.Parse(found.ID)
	if err != nil {
		return nil //nolint:nilerr // the id of somebody else
	}
	ref := webhook.MessageID.Format(id)
	m, err := p.store.Message(v.Context(), v.account.Application, ref)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	found.Event = v.base() + "/events/" + ref
	if m.Payload == nil {
		found.Known = "This event was sent from here. Its payload has expired, so that the body cannot be compared."
		return nil
	}
	found.Known = compare(m.Payload, body)
	return nil
}

// compare says where a body differs from what was sent.
func compare(sent, body []byte) string {
	at := 0
	for at < len(sent) && at < len(body) && sent[at] == body[at] {
		at++
	}
	if at == len(sent) && at == len(body) {
		return "This event was sent from here, and the body is byte for byte what was sent."
	}
	return fmt.Sprintf("This event was sent from here with a body of %d bytes; yours has %d. They differ from byte %d on: sent was %s, you have %s.",
		len(sent), len(body), at+1, excerpt(sent, at), excerpt(body, at))
}

// excerpt shows a few characters from a place on.
func excerpt(b []byte, at int) string {
	const most = 24
	if at >= len(b) {
		return "the end"
	}
	for at > 0 && !utf8.RuneStart(b[at]) {
		at--
	}
	return fmt.Sprintf("%q", strings.ToValidUTF8(string(b[at:min(len(b), at+most)]), "�"))
}
