package simulation_test

import (
	"bytes"
	"context"
	"fanfare/internal/registry"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"maps"
	"slices"
	"time"
)

// tally counts what was seen, over all seeds.
type tally struct {
	messages, deliveries, calls, crashes, drains int
	// again are calls after one that arrived and whose record was lost.
	again int
}

// check compares the database with what clients and receivers know.
func (w *world) check(s *store.Store) {
	ctx := context.Background()
	stored, err := s.Messages(ctx, w.app, store.MessageFilter{}, store.Page{Limit: 100_000, Ascending: true})
	if err != nil {
		w.problem("read messages: %v", err)
		return
	}
	found := map[*message]*webhook.Message{}
	for i := range stored {
		w.mu.Lock()
		m := w.match(stored[i].ID, string(stored[i].Payload))
		w.mu.Unlock()
		switch {
		case m == nil:
			w.problem("a message that nobody sent: %s", stored[i].Payload)
		case found[m] != nil:
			w.problem("%s is stored twice", m)
		default:
			found[m] = &stored[i]
		}
	}
	for _, m := range w.messages {
		w.checkMessage(s, m, found[m])
	}
	w.checkDatasets(s)
	w.checkLists(s)
	w.checkCalls()
	w.checkGone(s)
	w.checkKeys()
}

func (w *world) checkMessage(s *store.Store, m *message, stored *webhook.Message) {
	switch {
	case stored == nil && m.state == accepted:
		w.problem("%s was accepted and is lost", m)
	case stored != nil && m.state == refused:
		w.problem("%s was refused and is there", m)
	}
	if stored == nil {
		return
	}
	if !m.expunged && string(stored.Payload) != m.payload {
		w.problem("%s is stored with other bytes", m)
	}
	ctx := context.Background()
	states, err := s.Deliveries(ctx, w.app, stored.ID)
	if err != nil {
		w.problem("read the deliveries of %s: %v", m, err)
		return
	}
	attempts, err := s.AttemptsOfMessage(ctx, w.app, stored.ID, store.AttemptFilter{}, store.Page{Limit: 100_000, Ascending: true})
	if err != nil {
		w.problem("read the attempts for %s: %v", m, err)
		return
	}
	for _, a := range attempts {
		w.listed[a.Endpoint] = append(w.listed[a.Endpoint], a.ID)
	}
	for _, e := range w.endpoints {
		w.checkFanOut(m, e, states)
	}
	for _, st := range states {
		w.tally.deliveries++
		d := delivery{world: w, message: m, endpoint: w.endpointOf(st.Endpoint), state: st, siblings: states}
		for _, a := range attempts {
			if a.DeliveryKey == st.DeliveryKey {
				d.attempts = append(d.attempts, a)
			}
		}
		for _, c := range w.net.calls {
			if c.key == st.DeliveryKey {
				d.calls = append(d.calls, c)
			}
		}
		d.check()
	}
}

// checkFanOut sees that an endpoint has the deliveries it has to have and no
// others.
func (w *world) checkFanOut(m *message, e *endpoint, states []webhook.DeliveryState) {
	planned, replays := 0, 0
	for _, st := range states {
		switch {
		case st.Endpoint != e.id || e.id.IsZero():
		case st.Replay == 0:
			planned++
		default:
			replays++
		}
	}
	must, may := true, false
	for _, c := range e.possible(m.asked, m.answered) {
		must, may = must && c.wants(m.eventType), may || c.wants(m.eventType)
	}
	switch {
	case must && planned == 0:
		w.problem("%s has no delivery for e%d, which wanted it", m, e.number)
	case !may && planned > 0:
		w.problem("%s has a delivery for e%d, which did not want it", m, e.number)
	}
	least, most := 0, 0
	for _, r := range w.resends {
		if r.message == m && r.endpoint == e.number && r.tried {
			if r.sent && !r.unknown {
				least++
			}
			if r.sent || r.unknown {
				most++
			}
		}
	}
	if replays < least || replays > most {
		w.problem("%s has %d replays at e%d, want %d to %d", m, replays, e.number, least, most)
	}
}

// checkDatasets sees that each change has its event and each event its change.
func (w *world) checkDatasets(s *store.Store) {
	all, err := s.DatasetsOf(context.Background(), w.jane.ID, w.jane.ID, store.Slice{Limit: 100_000})
	if err != nil {
		w.problem("read datasets: %v", err)
		return
	}
	for _, m := range w.messages {
		if m.dataset == "" {
			continue
		}
		there := slices.ContainsFunc(all, func(d *registry.Dataset) bool { return d.Name() == m.dataset })
		if there != !m.id.IsZero() {
			w.problem("dataset %s: there %v, its event %v", m.dataset, there, !m.id.IsZero())
		}
	}
}

// checkLists sees that each endpoint has a list of the attempts that were made at
// it, and that each counts in its hour.
func (w *world) checkLists(s *store.Store) {
	ctx := context.Background()
	for _, e := range w.endpoints {
		if e.id.IsZero() {
			continue
		}
		attempts, err := s.AttemptsOfEndpoint(ctx, w.app, e.id, store.AttemptFilter{}, store.Page{Limit: 100_000, Ascending: true})
		if err != nil {
			w.problem("read the attempts at e%d: %v", e.number, err)
			return
		}
		byID := func(a, b webhook.ID) int { return bytes.Compare(a[:], b[:]) }
		want := slices.SortedFunc(slices.Values(w.listed[e.id]), byID)
		if !slices.EqualFunc(attempts, want, func(a webhook.Attempt, id webhook.ID) bool { return a.ID == id }) {
			w.problem("e%d has %d attempts, of which %d are listed", e.number, len(want), len(attempts))
		}
		hours, err := s.EndpointHours(ctx, e.id, w.began.Add(-time.Hour))
		if err != nil {
			w.problem("read the hours of e%d: %v", e.number, err)
			return
		}
		counted := int64(0)
		for _, h := range hours {
			counted += h.Succeeded + h.Failed + h.Canceled
		}
		if counted != int64(len(want)) && len(w.net.skewed) == 0 {
			w.problem("e%d has %d attempts, of which %d are counted", e.number, len(want), counted)
		}
	}
}

// checkCalls sees that every call was explained by a delivery and every
// unrecorded one by a death.
func (w *world) checkCalls() {
	for _, c := range w.net.calls {
		w.tally.calls++
		m := w.byID[c.key.Message]
		if m == nil {
			w.problem("%v is for a message that nobody sent", c)
			continue
		}
		if c.body != m.payload {
			w.problem("%v sends other bytes for %s", c, m)
		}
		if c.id != webhook.MessageID.Format(m.id) {
			w.problem("%v sends %s as %s", c, m, c.id)
		}
		died, left := !c.node.died.IsZero(), c.node.leaving.Load()
		switch {
		case c.stored:
		case c.short && !died && !left:
			w.problem("%v was cut short though the node lives", c)
		case !c.told.IsZero() && !died && !c.node.cut.Load():
			w.problem("%v has no record though the node lives", c)
		case !c.told.IsZero() && !c.kept.IsZero() && c.kept.Before(c.node.died):
			w.problem("%v was recorded, and the record is lost", c)
		}
		w.checkOff(c)
	}
}

// checkOff sees that no call goes to an endpoint that is off. With several
// nodes, another may not have heard of it yet.
func (w *world) checkOff(c *call) {
	if w.plan.nodes > 1 {
		return
	}
	for _, p := range w.endpoints[c.endpoint].possible(c.start.Add(-2*time.Millisecond), c.start) {
		if p.on && !p.paused {
			return
		}
	}
	w.problem("%v goes to e%d, which is off or paused", c, c.endpoint)
}

// checkKeys sees that an endpoint that asked for it gets messages with the same
// key one after the other, in the order in which they were accepted.
func (w *world) checkKeys() {
	type order struct {
		endpoint int
		key      string
	}
	planned := map[order]map[webhook.ID][]*call{}
	for _, c := range w.net.calls {
		m := w.byID[c.key.Message]
		if m == nil || m.orderKey == "" || c.key.Replay != 0 || !w.endpoints[c.endpoint].ordered {
			continue
		}
		o := order{c.endpoint, m.orderKey}
		if planned[o] == nil {
			planned[o] = map[webhook.ID][]*call{}
		}
		planned[o][m.id] = append(planned[o][m.id], c)
	}
	for o, calls := range planned {
		var last *call
		for _, id := range slices.SortedFunc(maps.Keys(calls), func(a, b webhook.ID) int { return bytes.Compare(a[:], b[:]) }) {
			first := calls[id][0]
			if last != nil && !w.mayHaveLost(last, first.start) &&
				(first.start.Before(last.start) || !last.kept.IsZero() && first.start.Before(last.kept)) {
				w.problem("%v at e%d begins before the last one with the key %s, %v, has ended", first, o.endpoint, o.key, last)
			}
			last = calls[id][len(calls[id])-1]
		}
	}
}

// checkGone sees that an endpoint whose receiver said 410, and of which nobody
// wanted anything else since, is off.
func (w *world) checkGone(s *store.Store) {
	for _, e := range w.endpoints {
		if len(e.history) == 0 || e.id.IsZero() {
			continue
		}
		var last *call
		for _, c := range w.net.calls {
			if c.endpoint == e.number && c.outcome == webhook.Gone && c.ended && (last == nil || c.kept.After(last.kept)) {
				last = c
			}
		}
		if last == nil || slices.ContainsFunc(e.history, func(c *configChange) bool { return c.on && (c.until.IsZero() || !c.until.Before(last.asked)) }) {
			continue
		}
		stored, err := s.EndpointByID(context.Background(), e.id)
		if err == nil && !stored.Disabled {
			w.problem("e%d is on after %v was answered with 410", e.number, last)
		}
	}
}
