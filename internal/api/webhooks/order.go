package webhooks

import "fanfare/internal/webhook"

// Fields of our own: what a PUT leaves out stays as it is.
var (
	orderingField = field{
		name: "order", kind: text, nullable: true, enum: []string{string(webhook.PerDataset), string(webhook.PerKey)},
		doc: "Deliver the messages of a dataset, or those with the same orderKey, one after the other: each waits until the one " +
			"before it has arrived or was given up. null is no order.",
	}
	pausedField = field{
		name: "paused", kind: boolean, given: false,
		doc: "A paused endpoint holds its messages until it is paused no more. One that is disabled gets none of them.",
	}
	releaseField = field{
		name: "releaseRate", kind: integer, nullable: true, min: 1, max: webhook.MaxThrottle,
		doc: "How many of the messages that a pause has held are sent a second; null is as fast as it goes.",
	}
	keyField = field{
		name: "orderKey", kind: text, nullable: true, max: webhook.MaxKey, valid: plainText, problem: "must not contain control characters",
		doc: "Endpoints with the order \"key\" get messages that share one in the order in which they were made. A field of our own.",
	}
)

// fillOrder puts order and pause into an endpoint, as far as they were sent.
func fillOrder(e *webhook.Endpoint, v values) {
	if v.has("order") {
		e.Order = webhook.Order(get[string](v, "order"))
	}
	if v.has("paused") {
		e.Paused = get[bool](v, "paused")
	}
	if v.has("releaseRate") {
		e.ReleaseRate = int(get[int64](v, "releaseRate"))
	}
}
