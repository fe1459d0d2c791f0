package webhook

// Order says by what an endpoint wants its messages one after the other. A
// message without such a key is sent as soon as it may be.
type Order string

// The orders.
const (
	Unordered  Order = ""
	PerDataset Order = "dataset" // those of a dataset
	PerKey     Order = "key"     // those with the same Message.Key
)

// OrderKey is what m has to share with another message for the two to be
// delivered to e one after the other; "" when nothing has to wait for it.
func (e *Endpoint) OrderKey(m *Message) string {
	switch e.Order {
	case PerDataset:
		return m.Dataset
	case PerKey:
		return m.Key
	case Unordered:
	}
	return ""
}

// MaxKey bounds Message.Key, in characters.
const MaxKey = 256
