package portal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"slices"
	"time"
)

type eventsView struct {
	page
	Groups       []typeGroup
	Filter       eventFilter
	Filtered     bool
	Events       []eventRow
	Newer, Older string
}

// eventFilter is what the form above the list holds.
type eventFilter struct{ EventType, Dataset string }

type eventRow struct {
	Type, Text, Ref string
	At              time.Time
	// States are those that the event's webhooks are in, each once.
	States []string
}

func (p *Portal) eventsPage(v *visit) error {
	query := v.URL.Query()
	groups, err := v.typeGroups(nil)
	if err != nil {
		return err
	}
	view := eventsView{
		page: v.page("Events", "events"), Groups: groups,
		Filter: eventFilter{query.Get("type"), query.Get("dataset")},
	}
	view.Filtered = view.Filter != eventFilter{}
	filter := store.MessageFilter{Dataset: view.Filter.Dataset}
	if view.Filter.EventType != "" {
		filter.EventTypes = []string{view.Filter.EventType}
	}
	messages, newer, older, err := pageOf(query, webhook.MessageID,
		func(pg store.Page) ([]webhook.Message, error) {
			return p.store.Messages(v.Context(), v.account.Application, filter, pg)
		},
		func(m webhook.Message) webhook.ID { return m.ID })
	if err != nil {
		return err
	}
	here := v.base() + "/events"
	view.Newer, view.Older = link(here, query, "after", newer), link(here, query, "before", older)
	view.Live = view.Newer == ""
	for _, m := range messages {
		deliveries, err := p.store.Deliveries(v.Context(), m.Application, m.ID)
		if err != nil {
			return err
		}
		view.Events = append(view.Events, eventRow{
			Type: m.EventType, Text: textOf(&m), Ref: webhook.MessageID.Format(m.ID), At: m.CreatedAt, States: states(deliveries),
		})
	}
	return v.show(http.StatusOK, "events.html", view)
}

// states lists the states of an event's webhooks, one an endpoint, each state
// once and what asks for attention first.
func states(deliveries []webhook.DeliveryState) []string {
	byEndpoint := map[webhook.ID]webhook.Status{}
	for endpoint, own := range byEndpointOf(deliveries) {
		byEndpoint[endpoint] = summary(own).Status
	}
	var list []string
	for _, status := range []webhook.Status{webhook.Failed, webhook.Pending, webhook.Canceled, webhook.Succeeded} {
		for _, s := range byEndpoint {
			if s == status {
				list = append(list, status.String())
				break
			}
		}
	}
	return list
}

func byEndpointOf(deliveries []webhook.DeliveryState) map[webhook.ID][]webhook.DeliveryState {
	groups := map[webhook.ID][]webhook.DeliveryState{}
	for _, d := range deliveries {
		groups[d.Endpoint] = append(groups[d.Endpoint], d)
	}
	return groups
}

// summary is where the bringing of an event to one endpoint stands, replays
// included: once it arrived, it arrived; otherwise what is under way counts
// more than what failed.
func summary(deliveries []webhook.DeliveryState) webhook.DeliveryState {
	rank := func(d webhook.DeliveryState) int {
		switch d.Status {
		case webhook.Pending:
			return 3
		case webhook.Succeeded:
			return 2
		case webhook.Failed:
			return 1
		case webhook.Canceled:
			return 0
		}
		return 0
	}
	best := deliveries[0]
	for _, d := range deliveries[1:] {
		if rank(d) > rank(best) || rank(d) == rank(best) && d.LastAt.After(best.LastAt) {
			best = d
		}
	}
	return best
}

// textOf is the line for people in a payload of the registry, or the event
// type where there is none.
func textOf(m *webhook.Message) string {
	var envelope struct{ Text string }
	if json.Unmarshal(m.Payload, &envelope) != nil || envelope.Text == "" {
		return m.EventType
	}
	return envelope.Text
}

type eventView struct {
	page
	Message webhook.Message
	Ref     string
	Text    string
	Targets []target
	// Why says why nobody was sent the event.
	Why          string
	Payload, Raw string
}

// target is an endpoint and what became of the event there.
type target struct {
	Endpoint, URL, State string
	Deleted, CanReplay   bool
	NextAt               time.Time
	Attempts             []attemptView
}

type attemptView struct {
	State, Title, Answer, Took, Explain string
	At                                  time.Time
	// Call says that a call was made, so that there is something to show.
	Call                                bool
	RequestHead, ResponseHead, Response string
}

// maxAttempts is how many attempts of an event are shown.
const maxAttempts = 200

func (p *Portal) eventPage(v *visit) error {
	m, err := p.store.Message(v.Context(), v.account.Application, v.PathValue("event"))
	if err != nil {
		return err
	}
	view := eventView{Message: m, Ref: webhook.MessageID.Format(m.ID), Text: textOf(&m), Raw: string(m.Payload)}
	view.page = v.page(view.Text, "events")
	view.Payload = pretty(m.Payload)
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
	view.Live = slices.ContainsFunc(deliveries, func(d webhook.DeliveryState) bool { return d.Status == webhook.Pending })
	view.Why = "No endpoint is there. Add one, and events that it wants are sent to it."
	return v.show(http.StatusOK, "event.html", view)
}

func pretty(payload []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, payload, "", "  ") != nil {
		return string(payload)
	}
	return b.String()
}

// targets lists, in the order in which they were made, the endpoints that are
// there and those deleted ones that the event was for.
func targets(m *webhook.Message, endpoints []*webhook.Endpoint, deliveries []webhook.DeliveryState, newestFirst []webhook.Attempt) []target {
	groups := byEndpointOf(deliveries)
	attempts := map[webhook.ID][]webhook.Attempt{}
	for _, a := range newestFirst {
		attempts[a.Endpoint] = append(attempts[a.Endpoint], a)
	}
	var list []target
	for _, e := range endpoints {
		t := target{Endpoint: endpointRef(e), URL: e.URL, CanReplay: !e.Disabled && m.Payload != nil}
		if own := groups[e.ID]; own != nil {
			t.follow(own, attempts[e.ID])
		} else {
			t.State = "not sent"
			t.Attempts = []attemptView{{State: "not sent", Title: whyNot(e, m), At: m.CreatedAt}}
		}
		delete(groups, e.ID)
		list = append(list, t)
	}
	for _, id := range sortedKeys(groups) {
		t := target{Endpoint: webhook.EndpointID.Format(id), URL: "An endpoint", Deleted: true}
		if own := attempts[id]; len(own) > 0 {
			t.URL = own[0].URL
		}
		t.follow(groups[id], attempts[id])
		list = append(list, t)
	}
	return list
}

func sortedKeys(groups map[webhook.ID][]webhook.DeliveryState) []webhook.ID {
	var ids []webhook.ID
	for id := range groups {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b webhook.ID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

func whyNot(e *webhook.Endpoint, m *webhook.Message) string {
	switch why := e.WhyNot(m); {
	case e.CreatedAt.After(m.CreatedAt):
		return "The endpoint was added after this event."
	case why == webhook.BecauseOff:
		return "The endpoint was disabled."
	case why == webhook.Wanted:
		return "The endpoint did not want it at the time."
	case why == webhook.BecauseFilter:
		return "The filter of the endpoint does not let it through."
	default:
		return fmt.Sprintf("The endpoint does not want this %s.", why)
	}
}

func (t *target) follow(deliveries []webhook.DeliveryState, attempts []webhook.Attempt) {
	s := summary(deliveries)
	t.State = s.Status.String()
	if s.Status == webhook.Pending {
		t.NextAt = s.NextAt
	}
	for _, a := range attempts {
		if a.Outcome == webhook.NotSent && a.Ends == webhook.Succeeded {
			continue // a replay arrived: its own attempt tells
		}
		t.Attempts = append(t.Attempts, attemptView{
			State: attemptState(&a), Title: title(&a), Answer: answer(&a), Took: took(a.Timings.Total), Explain: a.Error,
			At: a.StartedAt, Call: a.Outcome != webhook.NotSent,
			RequestHead: string(a.RequestHead), ResponseHead: string(a.ResponseHead), Response: string(a.Response),
		})
	}
}

func title(a *webhook.Attempt) string {
	switch {
	case a.Outcome == webhook.NotSent:
		return "Not sent"
	case a.Trigger() == webhook.Manual:
		return "Replay"
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
