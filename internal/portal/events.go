package portal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"net/http"
	"strings"
	"time"
)

type eventsView struct {
	page
	Groups []typeGroup
	Filter eventFilter
	Events []eventRow
	pager
}

// eventFilter is what the form above the list holds. Find is an id to go to.
type eventFilter struct{ Find, EventType, Dataset, Sample, Text, Since, Until string }

// Any reports whether anything is chosen.
func (f eventFilter) Any() bool { return f != eventFilter{} }

// More reports whether anything is chosen beyond what is always shown.
func (f eventFilter) More() bool {
	return f.Dataset != "" || f.Sample != "" || f.Since != "" || f.Until != ""
}

type eventRow struct {
	Type, Text, Ref string
	At              time.Time
	Test            bool
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
		page: v.page("Events", "events"), Groups: groups, Filter: eventFilter{
			Find: strings.TrimSpace(query.Get("find")), EventType: query.Get("type"), Dataset: strings.TrimSpace(query.Get("dataset")),
			Sample: query.Get("sample"), Text: strings.TrimSpace(query.Get("text")), Since: query.Get("since"), Until: query.Get("until"),
		},
	}
	if view.Filter.Find != "" {
		return v.find(&view)
	}
	q, err := eventSearchOf(&view.Filter)
	if err != nil {
		return err
	}
	list, err := pageOf(query, webhook.MessageID,
		func(pg store.Page) (store.Found[webhook.Message], error) {
			return p.store.SearchMessages(v.Context(), v.account.Application, q, pg)
		},
		func(m webhook.Message) webhook.ID { return m.ID })
	if err != nil {
		return err
	}
	view.pager = list.links(v.base()+"/events", query)
	view.Live = view.Newer == "" && !view.Filter.Any()
	for i := range list.rows {
		m := &list.rows[i]
		deliveries, err := p.store.Deliveries(v.Context(), m.Application, m.ID)
		if err != nil {
			return err
		}
		view.Events = append(view.Events, eventRow{
			Type: m.EventType, Text: textOf(m), Ref: webhook.MessageID.Format(m.ID), At: m.CreatedAt, Test: m.IsTest(), States: states(deliveries),
		})
	}
	return v.show(http.StatusOK, "events.html", view)
}

// find goes to the event with the id that was asked for, ours or the
// producer's own.
func (v *visit) find(view *eventsView) error {
	if len(view.Filter.Find) <= webhook.MaxNameLength {
		m, err := v.p.store.Message(v.Context(), v.account.Application, view.Filter.Find)
		if err == nil {
			return v.redirect(v.base() + "/events/" + webhook.MessageID.Format(m.ID))
		}
		if !errors.Is(err, webhook.ErrNotFound) {
			return err
		}
	}
	view.Notice = &notice{"warn", "No event has this id. Ids begin with msg_, unless whoever sent the event gave it one of their own."}
	return v.show(http.StatusOK, "events.html", view)
}

// eventSearchOf reads the filter. What makes no sense in it is as if it was not given.
func eventSearchOf(f *eventFilter) (store.Search, error) {
	times := logFilter{Dataset: f.Dataset, EventType: f.EventType, Text: f.Text, Since: f.Since, Until: f.Until}
	q, err := searchOf(&times)
	f.Since, f.Until = times.Since, times.Until
	if len(f.Sample) > maxQuery {
		return q, webhook.ErrNotFound
	}
	q.Sample = f.Sample
	return q, err
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
	if text := lineOf(m.Payload); text != "" {
		return text
	}
	return m.EventType
}

// largePayload is a payload that is not decoded for its line of text, in bytes.
// The registry writes that last.
const largePayload = 16 << 10

func lineOf(payload []byte) string {
	var envelope struct{ Text string }
	if len(payload) > largePayload {
		at := bytes.LastIndex(payload, []byte(`,"text":"`))
		if at < 0 || json.Unmarshal(append([]byte("{"), payload[at+1:]...), &envelope) != nil {
			return ""
		}
		return envelope.Text
	}
	if json.Unmarshal(payload, &envelope) != nil {
		return ""
	}
	return envelope.Text
}
