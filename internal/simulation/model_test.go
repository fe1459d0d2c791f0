package simulation_test

import (
	"context"
	"errors"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// state is what a client knows of what it asked for.
type state int

const (
	unknown  state = iota // no answer came
	refused               // told that nothing was stored
	accepted              // told that it is stored
)

// message is an event as its producer knows it.
type message struct {
	name      string
	payload   string
	eventType string
	eventID   string
	key       store.IdempotencyKey
	orderKey  string
	// dataset is the dataset whose creation it tells of; empty for the others.
	dataset string
	id      webhook.ID
	// asked is when its producer began, answered when the last answer came or
	// the last node died that could have given one.
	asked, answered time.Time
	state           state
	// lost says that some answer never came.
	lost     bool
	expunged bool
}

func (m *message) String() string { return "m" + m.name }

// resent is a message that somebody asked for again.
type resent struct {
	message              *message
	endpoint             int
	tried, sent, unknown bool
}

// endpoint is an endpoint and what it may have been when.
type endpoint struct {
	number int
	id     webhook.ID
	// ordered endpoints get messages with the same key one after the other.
	ordered bool
	history []*configChange
}

func (e *endpoint) uid() string { return fmt.Sprintf("e%d", e.number) }

// config is what decides whether an endpoint wants a message.
type config struct {
	on, paused bool
	types      []string
}

func (c config) wants(eventType string) bool {
	return c.on && (c.types == nil || slices.Contains(c.types, eventType))
}

// configChange came into force at some time between from and until; if it is
// not sure, perhaps never. until is zero while that time may still come.
type configChange struct {
	config
	node        *node
	from, until time.Time
	sure, void  bool
}

// mayBecome notes a change that has been asked for.
func (e *endpoint) mayBecome(c config, n *node) *configChange {
	change := &configChange{config: c, node: n, from: time.Now()}
	e.history = append(e.history, change)
	return change
}

// settled notes the answer.
func (c *configChange) settled(n *node, err error) {
	switch {
	case n.gone(): // nobody knows
	case err == nil:
		c.sure, c.until = true, time.Now()
	default:
		c.void = true
	}
}

// forget notes that a node will not do any more what it has not done.
func (e *endpoint) forget(n *node) {
	for _, c := range e.history {
		if c.node == n && c.until.IsZero() {
			c.until = time.Now()
		}
	}
}

// possible are the configurations that may have been in force at some time
// between from and to.
func (e *endpoint) possible(from, to time.Time) (all []config) {
	// Two changes in one transaction have one time; then the history has them in
	// their order.
	overridden := func(i int, c *configChange) bool {
		for k, later := range e.history {
			if later.sure && !later.void && !later.until.After(from) && !c.until.IsZero() &&
				(c.until.Before(later.from) || c.until.Equal(later.from) && k > i) {
				return true
			}
		}
		return false
	}
	sure := false
	for i, c := range e.history {
		if c.void || c.from.After(to) || overridden(i, c) {
			continue
		}
		sure = sure || c.sure && !c.until.After(from)
		all = append(all, c.config)
	}
	if !sure {
		all = append(all, config{}) // it may not have been there at all
	}
	return all
}

func (w *world) newMessage(name string, dice *rand.Rand) *message {
	m := &message{name: name, eventType: eventTypes[dice.IntN(len(eventTypes))]}
	m.payload = fmt.Sprintf(`{"m":%q,  "pad":%q}`, name, strings.Repeat("ä<&>", dice.IntN(60)))
	if dice.IntN(2) == 0 {
		m.eventID = "event-" + name
	}
	if dice.IntN(3) == 0 {
		m.key = store.IdempotencyKey{Hash: []byte(fmt.Sprintf("%032s", name)), Explicit: dice.IntN(2) == 0}
	}
	if dice.IntN(2) == 0 {
		m.orderKey = fmt.Sprintf("key-%d", dice.IntN(3))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages = append(w.messages, m)
	return m
}

func (w *world) newChange(dataset string) *message {
	m := &message{name: dataset, dataset: dataset, eventType: "dataset.created"}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages = append(w.messages, m)
	return m
}

// begins notes that a request for m goes out.
func (w *world) begins(m *message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.asked.IsZero() {
		m.asked = time.Now()
	}
}

// answered notes the answer of a node, if one came, and whether the client is
// content with it.
func (w *world) answered(n *node, m *message, stored *webhook.Message, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.state != accepted {
		m.answered = time.Now()
	}
	if n.gone() {
		m.lost = true
		if m.state == refused {
			m.state = unknown
		}
		w.note("no answer for %s", m)
		return false
	}
	if errors.Is(err, webhook.ErrConflict) && (m.lost || m.state == accepted) {
		err, stored = nil, &webhook.Message{} // a request that was not answered has stored it
	}
	switch {
	case err == nil:
		m.state = accepted
		if !stored.ID.IsZero() {
			m.id = stored.ID
			w.byID[m.id] = m
		}
		w.note("%s is accepted", m)
		return true
	case !errors.Is(err, webhook.ErrUnavailable) && !errors.Is(err, store.ErrStale):
		w.problems = append(w.problems, fmt.Sprintf("%s is answered with %v", m, err))
		return true
	case !m.lost && m.state != accepted:
		m.state = refused
	}
	w.note("%s is refused: %v", m, err)
	return false
}

// learn notes which message an id is of, from its payload.
func (w *world) learn(j *webhook.Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.match(j.Message, string(j.Payload))
}

func (w *world) match(id webhook.ID, payload string) *message {
	if m := w.byID[id]; m != nil {
		return m
	}
	for _, m := range w.messages {
		if m.dataset == "" && m.payload == payload || m.dataset != "" && strings.Contains(payload, m.dataset+" created") {
			m.id, m.payload = id, payload
			w.byID[id] = m
			return m
		}
	}
	return nil
}

// stranger is a message that no client has sent.
var stranger = &message{name: "?"}

func (w *world) messageOf(id webhook.ID) *message {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.byID[id]; m != nil {
		return m
	}
	return stranger
}

// meet learns the ids of endpoints whose creation nobody was told of.
func (w *world) meet(s *store.Store) {
	stored, err := s.Endpoints(context.Background(), w.app)
	if err != nil {
		return // the node does not live long enough to matter
	}
	for _, e := range stored {
		w.know(e)
	}
}

// know learns the id of an endpoint.
func (w *world) know(stored *webhook.Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.endpoints {
		if e.uid() == stored.UID {
			e.id = stored.ID
		}
	}
}

// endpointOf is the number of an endpoint.
func (w *world) endpointOf(id webhook.ID) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.IndexFunc(w.endpoints, func(e *endpoint) bool { return e.id == id })
}

// replayOf numbers the replays of a message at an endpoint.
func (w *world) replayOf(k webhook.DeliveryKey) int {
	if k.Replay == 0 {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.replays[k] == 0 {
		n := 1
		for other := range w.replays {
			if other.Message == k.Message && other.Endpoint == k.Endpoint {
				n++
			}
		}
		w.replays[k] = n
	}
	return w.replays[k]
}
