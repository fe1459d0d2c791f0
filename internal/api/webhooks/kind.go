package webhooks

import (
	"encoding/json"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"time"
)

// digestOut says how the events of an endpoint are gathered; null when each is
// sent by itself.
type digestOut struct {
	Seconds int64 `json:"seconds"`
	Events  int   `json:"events"`
}

func digestOf(d webhook.Digest) *digestOut {
	if !d.On() {
		return nil
	}
	return &digestOut{int64(d.Window / time.Second), d.Most}
}

// Fields of our own: what a PUT leaves out stays as it is.
var (
	conditionField = field{
		name: "filter", kind: anyObject, nullable: true,
		doc: `A condition on the message, for example {"label_status":["REJECTED"]}; null lets all through. Its names are paths ` +
			"in the payload, or event_type, label_status, labelset and issue_status.",
	}
	kindField = field{
		name: "kind", kind: text, nullable: true, enum: webhook.KindNames(), given: webhook.Generic.String(),
		doc: "What listens at the URL. A generic endpoint is sent the payload as it is, whatever its URL; the others are sent " +
			"messages in the form of that chat service, at most one a second unless throttleRate says otherwise.",
	}
	digestField = field{
		name: "digest", kind: object, nullable: true,
		fields: []field{
			{
				name: "seconds", kind: integer, min: int64(webhook.MinDigestWindow / time.Second), max: int64(webhook.MaxDigestWindow / time.Second),
				required: true, doc: "For how long events are gathered, from the first on.",
			},
			{
				name: "events", kind: integer, min: 1, max: webhook.MaxDigestEvents, given: webhook.MaxDigestEvents,
				doc: "How many events one digest tells of at most; so many are sent before the time is over.",
			},
		},
		doc: "Gathers the events of a dataset and a type, and sends them as one message; null sends each by itself. Unless it is " +
			"given, chat services get a digest of 10 seconds and generic endpoints none.",
	}
)

// normalizeFilter reads the condition of a body.
func (r *request) normalizeFilter() error {
	raw := get[json.RawMessage](r.in, "filter")
	if raw == nil {
		return nil
	}
	filter, err := webhook.ParseFilter(raw)
	if p, ok := errors.AsType[*webhook.FilterError](err); ok {
		return wrong(p.Problem, append([]string{"body", "filter"}, p.At...)...)
	}
	if err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	r.in["filter"] = filter
	return nil
}

// fillKind puts kind, filter and digest into an endpoint, as far as they were
// sent. A digest that was not goes with the kind.
func fillKind(e *webhook.Endpoint, v values) {
	if v.has("filter") {
		e.Filter = get[*webhook.Filter](v, "filter")
	}
	if v.has("kind") {
		was := e.Kind
		e.Kind, _ = webhook.ParseKind(get[string](v, "kind")) // one of the names, or null
		if e.Kind != was {
			e.Digest = e.Kind.DefaultDigest()
		}
	}
	if v.has("digest") {
		e.Digest = webhook.Digest{}
		if in := get[values](v, "digest"); in != nil {
			e.Digest.Window = time.Duration(get[int64](in, "seconds")) * time.Second
			e.Digest.Most = webhook.MaxDigestEvents
			if in.has("events") {
				e.Digest.Most = int(get[int64](in, "events"))
			}
		}
	}
}
