package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"net/http"
	"slices"
	"time"
)

// taskFinder finds a task, or ends it.
type taskFinder func(ctx context.Context, environment, task webhook.ID) (webhook.Task, error)

type pollOut struct {
	Data     []polledOut `json:"data"`
	Iterator string      `json:"iterator"`
	Done     bool        `json:"done"`
}

type polledOut struct {
	ID        string            `json:"id"`
	EventID   *string           `json:"eventId"`
	EventType string            `json:"eventType"`
	Payload   json.RawMessage   `json:"payload"`
	Channels  []string          `json:"channels"`
	Tags      []string          `json:"tags"`
	DeliverAt *time.Time        `json:"deliverAt"`
	Headers   map[string]string `json:"headers"`
	Timestamp time.Time         `json:"timestamp"`
}

func polledOf(m *webhook.Message) polledOut {
	o := messageOf(m, true)
	return polledOut{
		ID: o.ID, EventID: o.EventID, EventType: o.EventType, Payload: o.Payload, Channels: o.Channels, Tags: o.Tags, Timestamp: o.Timestamp,
	}
}

type seekOut struct {
	Iterator string `json:"iterator"`
}

func (a *API) pollers() []operation {
	const path = "/app/{app}/poller/{sink}"
	example := pollOut{Data: []polledOut{{
		ID: exampleMessage.ID, EventType: exampleMessage.EventType, Payload: exampleMessage.Payload, Timestamp: exampleTime,
	}}, Iterator: "AAAAAAAAAAABjMdE0AAAAAAAAAAAAAAA", Done: true}
	return []operation{
		{
			route: "GET " + path, id: "message.poller.poll", summary: "Read the messages of an endpoint in order", access: forApplication,
			can: webhook.ViewBase, query: []field{
				limitField, iteratorField, channelField, afterField,
				{name: "event_type", kind: text, valid: webhook.ValidName, pattern: namePattern, problem: nameProblem, doc: "Only messages of this event type."},
			},
			status: http.StatusOK, out: example, handle: poll,
		},
		{
			route: "GET " + path + "/consumer/{consumer}", id: "message.poller.consumer-poll", summary: "Read the messages of an endpoint from where a consumer stands",
			access: forApplication, can: webhook.ViewBase, query: []field{limitField, iteratorField}, status: http.StatusOK, out: example,
			handle: consumerPoll,
		},
		{
			route: "POST " + path + "/consumer/{consumer}/seek", id: "message.poller.consumer-seek", summary: "Move a consumer",
			access: forApplication, can: webhook.ViewBase, body: []field{{name: "after", kind: instant, required: true, doc: "Where it goes on."}},
			example: `{"after":"2030-01-01T00:00:00Z"}`, status: http.StatusOK, out: seekOut{example.Iterator}, handle: consumerSeek,
		},
	}
}

// poller is what a poll goes by.
type poller struct {
	endpoint *webhook.Endpoint
	limit    int
	from     store.Position
	wanted   func(*webhook.Message) bool
}

func (r *request) poller() (poller, error) {
	e, err := r.a.store.Endpoint(r.Context(), r.app.ID, r.PathValue("sink"))
	if err != nil {
		return poller{}, err
	}
	p := poller{endpoint: e, limit: defaultLimit}
	if n := get[int64](r.query, "limit"); n > 0 {
		p.limit = int(n)
	}
	on := *e
	on.Disabled = false // what is not sent can be fetched all the same
	eventType, channel := get[string](r.query, "event_type"), get[string](r.query, "channel")
	p.wanted = func(m *webhook.Message) bool {
		return on.Wants(m) && (eventType == "" || m.EventType == eventType) && (channel == "" || contains(m.Channels, channel))
	}
	return p, nil
}

func contains(list []string, s string) bool {
	return slices.Contains(list, s)
}

// start is where a poll without an iterator begins.
func (r *request) start(e *webhook.Endpoint, after time.Time) (store.Position, error) {
	if after.Before(e.CreatedAt) {
		after = e.CreatedAt
	}
	return r.a.store.PollFrom(r.Context(), r.app.ID, after)
}

func (r *request) position(iterator string) (store.Position, error) {
	p, err := store.ParsePosition(iterator)
	if err != nil {
		return p, wrong("must be an iterator of this poller", "query", "iterator")
	}
	return p, nil
}

func poll(r *request) (answer, error) {
	p, err := r.poller()
	if err != nil {
		return answer{}, err
	}
	since := p.endpoint.CreatedAt
	if iterator := get[string](r.query, "iterator"); iterator != "" {
		p.from, err = r.position(iterator)
	} else {
		if after := get[time.Time](r.query, "after"); after.After(since) {
			since = after
		}
		p.from, err = r.start(p.endpoint, since)
	}
	if err != nil {
		return answer{}, err
	}
	out, err := r.poll(&p, since)
	return answer{http.StatusOK, out}, err
}

func (r *request) poll(p *poller, since time.Time) (pollOut, error) {
	found, err := r.a.store.Poll(r.Context(), r.app.ID, p.from, since, p.limit, p.wanted)
	out := pollOut{Data: []polledOut{}, Iterator: found.Next.String(), Done: found.Done}
	for i := range found.Messages {
		out.Data = append(out.Data, polledOf(&found.Messages[i]))
	}
	return out, err
}

// maxConsumerName bounds the name that a client gives itself.
const maxConsumerName = 256

func (r *request) consumer(p *poller) (store.Consumer, error) {
	name := r.PathValue("consumer")
	if len(name) > maxConsumerName || !plainText(name) {
		return store.Consumer{}, wrong("must be at most 256 bytes without control characters", "path", "consumer")
	}
	return r.a.store.Consumer(r.Context(), p.endpoint.ID, name)
}

func consumerPoll(r *request) (answer, error) {
	p, err := r.poller()
	if err != nil {
		return answer{}, err
	}
	before, err := r.consumer(&p)
	if err != nil {
		return answer{}, err
	}
	after := before
	switch iterator := get[string](r.query, "iterator"); {
	case iterator != "":
		if _, err := r.position(iterator); err != nil {
			return answer{}, err
		}
		if iterator != before.Offered && iterator != before.Position {
			return answer{}, webhook.ErrSequence
		}
		after.Position = iterator
	case before.Position == "":
		start, err := r.start(p.endpoint, p.endpoint.CreatedAt)
		if err != nil {
			return answer{}, err
		}
		after.Position = start.String()
	}
	if p.from, err = r.position(after.Position); err != nil {
		return answer{}, err
	}
	out, err := r.poll(&p, p.endpoint.CreatedAt)
	if err != nil {
		return answer{}, err
	}
	if after.Offered = out.Iterator; after != before {
		err = r.a.store.SaveConsumer(r.Context(), p.endpoint.ID, r.PathValue("consumer"), before, after)
	}
	return answer{http.StatusOK, out}, err
}

func consumerSeek(r *request) (answer, error) {
	p, err := r.poller()
	if err != nil {
		return answer{}, err
	}
	for {
		before, err := r.consumer(&p)
		if err != nil {
			return answer{}, err
		}
		start, err := r.start(p.endpoint, get[time.Time](r.in, "after"))
		if err != nil {
			return answer{}, err
		}
		after := store.Consumer{Position: start.String(), Offered: start.String()}
		if after != before {
			err = r.a.store.SaveConsumer(r.Context(), p.endpoint.ID, r.PathValue("consumer"), before, after)
		}
		if errors.Is(err, webhook.ErrSequence) && r.Context().Err() == nil {
			continue // it moved meanwhile; a seek goes over that
		}
		return answer{http.StatusOK, seekOut{after.Position}}, err
	}
}
