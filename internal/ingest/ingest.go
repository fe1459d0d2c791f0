// Package ingest holds the rules by which a message is accepted: what a sound
// message is, who wants it, and which of its deliveries this node takes on at
// once.
package ingest

import "fanfare/internal/webhook"

// Dispatcher is the sending side of this node, as the one who stores messages
// sees it. Its methods are called from within and after transactions, so they
// must not block.
type Dispatcher interface {
	// Reserve asks for a place in the lane of e for one delivery that is about
	// to be stored. With a place the delivery is born claimed and comes through
	// Send or, when its transaction fails, ends with Release.
	Reserve(e *webhook.Endpoint) bool
	// Release gives back n places.
	Release(endpoint webhook.ID, n int)
	// Send hands over deliveries that are stored and hold a place.
	Send(jobs []webhook.Job)
	// Waiting says that deliveries wait unclaimed until they are due.
	Waiting(deliveries []webhook.Delivery)
	// Changed says that an endpoint is not what it was: its configuration, or
	// that it was enabled, disabled or deleted.
	Changed(endpoint webhook.ID)
}

// FanOut makes the deliveries of a new message: one for each endpoint that
// wants it, in the order given. Those for which the dispatcher has a place come
// with claim 1, the others wait unclaimed: until somebody has room, until they
// are gathered into a digest, or, when they are ordered, until the store knows
// that no earlier one is open.
func FanOut(m *webhook.Message, endpoints []*webhook.Endpoint, d Dispatcher) (claimed []webhook.Job, waiting []webhook.Delivery) {
	for _, e := range endpoints {
		if !e.Wants(m) {
			continue
		}
		delivery := webhook.Delivery{
			DeliveryKey: webhook.DeliveryKey{Message: m.ID, Endpoint: e.ID},
			Application: m.Application,
			CreatedAt:   m.CreatedAt,
			DueAt:       m.CreatedAt,
		}
		if e.Gathers() {
			delivery.Gathered, delivery.DueAt = true, m.CreatedAt.Add(e.Digest.Window)
			waiting = append(waiting, delivery)
			continue
		}
		if delivery.OrderKey = e.OrderKey(m); delivery.OrderKey != "" || d == nil || !d.Reserve(e) {
			waiting = append(waiting, delivery)
			continue
		}
		delivery.Claim = 1
		claimed = append(claimed, webhook.Job{
			Delivery: delivery, To: e, EventType: m.EventType, Payload: m.Payload,
		})
	}
	return claimed, waiting
}
