package webhook

import "time"

// Message is one event as it was accepted. It never changes: the bytes in
// Payload are the bytes that are stored, signed and sent, on every attempt.
type Message struct {
	ID          ID
	Application ID
	// EventID is the producer's own id of the event, unique in the application
	// while the message is kept; empty when it gave none.
	EventID   string
	EventType string
	Payload   []byte
	Channels  []string
	Tags      []string
	// Dataset is the "owner/name" that a registry event is about; empty for
	// messages of other producers.
	Dataset string
	// Subject is the name of the sample that a registry event is about; empty
	// when it is about none.
	Subject string
	// Key is what endpoints with the order PerKey go by; empty for none.
	Key       string
	CreatedAt time.Time
	// ExpiresAt is when the payload is dropped; zero when it is kept for as long
	// as the message.
	ExpiresAt time.Time

	// read is the payload as far as filters have looked into it.
	read *document
}

// document is the payload, to be looked into. All filters that are asked about
// a message share what was found, so it must not be asked for side by side.
func (m *Message) document() *document {
	if m.read == nil {
		m.read = newDocument(m.Payload)
	}
	return m.read
}
