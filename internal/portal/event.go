package portal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"
)

type eventView struct {
	page
	Message webhook.Message
	Ref     string
	Text    string
	Test    bool
	Targets []target
	// Enabled is to how many endpoints it can be sent again.
	Enabled int
	// Forms are the ways to look at the payload.
	Forms []tab
	Raw   string
	// Pretty is the payload indented and coloured; "" when it is shown raw.
	Pretty template.HTML
	Size   string
	// Digest is what there is to tell of digests; nil when nothing is.
	Digest *digestPart
}

// target is an endpoint and what became of the event there.
type target struct {
	Endpoint, URL, State string
	Deleted, CanReplay   bool
	// Why says why the event was not sent there.
	Why    string
	NextAt time.Time
	// Attempts are the steps on the way, oldest first.
	Attempts []attemptStep
}

// attemptStep is an attempt on the time line.
type attemptStep struct {
	Ref, State, Title, Answer, Took, Explain string
	At                                       time.Time
	// Call says that a call was made, so that there is something to show.
	Call bool
}

// maxAttempts is how many attempts of an event are shown.
const maxAttempts = 200

func (p *Portal) eventPage(v *visit) error {
	m, err := p.store.Message(v.Context(), v.account.Application, v.PathValue("event"))
	if err != nil {
		return err
	}
	view := eventView{Message: m, Ref: webhook.MessageID.Format(m.ID), Text: textOf(&m), Test: m.IsTest(), Size: size(len(m.Payload))}
	view.page = v.page(view.Text, "events")
	raw := v.URL.Query().Get("payload") == "raw"
	here := v.base() + "/events/" + view.Ref
	view.Forms = []tab{{"Pretty", here + "#payload", !raw}, {"Raw", here + "?payload=raw#payload", raw}}
	view.Raw = string(m.Payload)
	if !raw {
		view.Pretty = highlight(m.Payload)
	}
	if view.Digest, err = v.digestOf(&m); err != nil {
		return err
	}
	deliveries, err := p.store.Deliveries(v.Context(), m.Application, m.ID)
	if err != nil {
		return err
	}
	endpoints, err := p.store.Endpoints(v.Context(), m.Application)
	if err != nil {
		return err
	}
	attempts, err := p.store.AttemptsOfMessage(v.Context(), m.Application, m.ID, store.AttemptFilter{}, store.Page{Limit: maxAttempts})
	if err != nil {
		return err
	}
	view.Targets = targets(&m, endpoints, deliveries, attempts)
	if view.Digest.isDigest() { // made for one endpoint
		view.Targets = slices.DeleteFunc(view.Targets, func(t target) bool { return t.Why != "" })
	}
	for _, t := range view.Targets {
		if t.CanReplay {
			view.Enabled++
		}
	}
	view.Live = slices.ContainsFunc(deliveries, func(d webhook.DeliveryState) bool { return d.Status == webhook.Pending })
	return v.show(http.StatusOK, "event.html", view)
}

// size writes a number of bytes.
func size(n int) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	default:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
}

// targets lists, in the order in which they were made, the endpoints that are
// there and those deleted ones that the event was for.
func targets(m *webhook.Message, endpoints []*webhook.Endpoint, deliveries []webhook.DeliveryState, newestFirst []webhook.Attempt) []target {
	groups := byEndpointOf(deliveries)
	attempts := map[webhook.ID][]webhook.Attempt{}
	for _, a := range slices.Backward(newestFirst) {
		attempts[a.Endpoint] = append(attempts[a.Endpoint], a)
	}
	var list []target
	for _, e := range endpoints {
		t := target{Endpoint: endpointRef(e), URL: e.URL, CanReplay: !e.Disabled && m.Payload != nil}
		if own := groups[e.ID]; own != nil {
			t.follow(m, own, attempts[e.ID])
		} else {
			t.State, t.Why = "not sent", whyNot(e, m)
		}
		delete(groups, e.ID)
		list = append(list, t)
	}
	for _, id := range sortedKeys(groups) {
		t := target{Endpoint: webhook.EndpointID.Format(id), URL: "An endpoint", Deleted: true}
		if own := attempts[id]; len(own) > 0 {
			t.URL = own[0].URL
		}
		t.follow(m, groups[id], attempts[id])
		list = append(list, t)
	}
	// What the event was sent to comes before what did not want it.
	slices.SortStableFunc(list, func(a, b target) int { return notSent(a) - notSent(b) })
	return list
}

func notSent(t target) int {
	if t.Why != "" {
		return 1
	}
	return 0
}

func sortedKeys(groups map[webhook.ID][]webhook.DeliveryState) []webhook.ID {
	var ids []webhook.ID
	for id := range groups {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b webhook.ID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// whyNot names the rule that kept an event from an endpoint, in a sentence.
func whyNot(e *webhook.Endpoint, m *webhook.Message) string {
	if m.IsTest() {
		return "It is a test of another endpoint."
	}
	if e.CreatedAt.After(m.CreatedAt) {
		return "The endpoint was added after this event."
	}
	switch e.WhyNot(m) {
	case webhook.BecauseOff:
		if e.DisabledAt.After(m.CreatedAt) {
			return "The endpoint did not want it at the time, and has been disabled since."
		}
		return "The endpoint was disabled, as it has been since " + e.DisabledAt.UTC().Format("2 January 2006 15:04 UTC") + "."
	case webhook.BecauseType:
		return "The endpoint does not want events of the type " + m.EventType + "."
	case webhook.BecauseChannel:
		return "The endpoint listens to other channels."
	case webhook.BecauseDataset:
		if m.Dataset == "" {
			return "The endpoint wants events of certain datasets, and this one is of none."
		}
		return "The endpoint does not want events of the dataset " + m.Dataset + "."
	case webhook.BecauseFilter:
		return "The condition of the endpoint’s filter does not hold for it."
	case webhook.Wanted:
		return "The endpoint did not want it at the time. It would now: its settings have changed since."
	default:
		return "The endpoint does not want it."
	}
}

func (t *target) follow(m *webhook.Message, deliveries []webhook.DeliveryState, attempts []webhook.Attempt) {
	s := summary(deliveries)
	t.State = s.Status.String()
	if s.Status == webhook.Pending {
		t.NextAt = s.NextAt
	}
	for i := range attempts {
		a := &attempts[i]
		if a.Outcome == webhook.NotSent && a.Ends == webhook.Succeeded {
			continue // a replay arrived: its own attempt tells
		}
		t.Attempts = append(t.Attempts, attemptStep{
			Ref: webhook.AttemptID.Format(a.ID), State: a.Alone().String(), Title: title(a, m.IsTest()), Answer: answer(a),
			Took: took(a.Timings.Total), Explain: a.Error, At: a.StartedAt, Call: a.Outcome != webhook.NotSent && a.Number > 0,
		})
	}
}

func title(a *webhook.Attempt, test bool) string {
	switch {
	case a.Outcome == webhook.NotSent:
		return "Not sent"
	case a.Number == 0 && strings.HasPrefix(a.Error, "Sent in digest "):
		return "In a digest"
	case test && a.Trigger() == webhook.Manual:
		return "Test"
	case a.Trigger() == webhook.Manual:
		return "Replay"
	case a.Number == 0:
		return "Sent as a message"
	default:
		return fmt.Sprintf("Attempt %d", a.Number)
	}
}

// replay sends an event again: to the endpoint that the form names, or to all
// that are enabled.
func (p *Portal) replay(v *visit) error {
	if err := v.ParseForm(); err != nil {
		return err
	}
	m, err := p.store.Message(v.Context(), v.account.Application, v.PathValue("event"))
	if err != nil {
		return err
	}
	refs := []string{v.PostFormValue("endpoint")}
	if refs[0] == "" {
		if refs, err = p.enabled(v); err != nil {
			return err
		}
	}
	done := "nobody"
	for _, ref := range refs {
		sent, err := p.store.Resend(v.Context(), m.Application, m.ID, ref)
		if errors.Is(err, webhook.ErrPayloadGone) {
			done = "payload-gone"
			break
		}
		if err != nil {
			return err
		}
		if sent {
			done = "replayed"
		}
	}
	return v.redirect(v.base() + "/events/" + webhook.MessageID.Format(m.ID) + "?done=" + done)
}

func (p *Portal) enabled(v *visit) (refs []string, err error) {
	endpoints, err := p.store.Endpoints(v.Context(), v.account.Application)
	for _, e := range endpoints {
		if !e.Disabled {
			refs = append(refs, endpointRef(e))
		}
	}
	return refs, err
}

// pretty indents JSON. What is no JSON is shown as it is.
func pretty(payload []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, payload, "", "  ") != nil {
		return string(payload)
	}
	return b.String()
}

// maxHighlight is how large a payload is coloured, in bytes: beyond it the page
// would grow heavy.
const maxHighlight = 256 << 10

// highlight indents JSON and marks its parts with classes. What is no JSON is
// shown as it is.
func highlight(payload []byte) template.HTML {
	var b bytes.Buffer
	if len(payload) > maxHighlight || json.Indent(&b, payload, "", "  ") != nil {
		return template.HTML(template.HTMLEscapeString(string(payload))) //nolint:gosec // escaped
	}
	var out bytes.Buffer
	pretty := b.Bytes()
	for i := 0; i < len(pretty); {
		end, class := token(pretty, i)
		text := template.HTMLEscapeString(string(pretty[i:end]))
		if class == "" {
			out.WriteString(text)
		} else {
			out.WriteString(`<span class="` + class + `">` + text + `</span>`)
		}
		i = end
	}
	return template.HTML(out.String()) //nolint:gosec // each part is escaped
}

// token finds where the part of sound, indented JSON ends that begins at i, and
// its class: k for a name, s for a text, n for other values.
func token(pretty []byte, i int) (end int, class string) {
	switch c := pretty[i]; {
	case c == '"':
		end = i + 1
		for pretty[end] != '"' {
			if pretty[end] == '\\' {
				end++
			}
			end++
		}
		end++
		if end < len(pretty) && pretty[end] == ':' {
			return end, "k"
		}
		return end, "s"
	case c >= '0' && c <= '9' || c == '-' || c >= 'a' && c <= 'z':
		for end = i; end < len(pretty) && bytes.IndexByte([]byte(",]} \n"), pretty[end]) < 0; {
			end++
		}
		return end, "n"
	default:
		for end = i + 1; end < len(pretty) && bytes.IndexByte([]byte("\"-0123456789tfn"), pretty[end]) < 0; {
			end++
		}
		return end, ""
	}
}
