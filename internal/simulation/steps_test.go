package simulation_test

import (
	"context"
	"errors"
	"fanfare/internal/registry"
	"fanfare/internal/store"
	"fanfare/internal/store/disktest"
	"fanfare/internal/webhook"
	"fmt"
	"math/rand/v2"
	"time"
)

// take does one step of the plan.
func (w *world) take(s step) {
	dice := rand.New(rand.NewPCG(w.plan.seed, s.dice))
	time.Sleep(time.Microsecond + time.Duration(dice.IntN(1_000_000)))
	n := w.pick(dice)
	if n == nil {
		w.logf("step %d, %s: nobody is there", s.number, s.what)
		return
	}
	w.logf("step %d, %s", s.number, s.what)
	switch s.what {
	case sendOne:
		w.send(n, dice, s.number, 1)
	case sendSeveral:
		w.send(n, dice, s.number, 2+dice.IntN(8))
	case sendBatch:
		w.sendBatch(n, dice, s.number)
	case change:
		w.changeRegistry(n, s.number)
	case stall:
		w.stall(n, dice)
	case disable:
		w.configure(n, dice, func(e *webhook.Endpoint) { e.Disabled = true })
	case enable:
		w.configure(n, dice, func(e *webhook.Endpoint) { e.Disabled = false })
	case narrow:
		types := drawTypes(dice)
		w.configure(n, dice, func(e *webhook.Endpoint) { e.EventTypes = types })
	case pause:
		w.configure(n, dice, func(e *webhook.Endpoint) { e.Paused = true })
	case resume:
		rate := []int{0, 5, 50}[dice.IntN(3)]
		w.configure(n, dice, func(e *webhook.Endpoint) { e.Paused, e.ReleaseRate = false, rate })
	case remove:
		w.removeEndpoint(n, dice)
	case add:
		w.addEndpoint(n, dice)
	case resend:
		w.resend(n, dice)
	case expunge:
		w.expunge(n, dice)
	case weather:
		w.turn(dice)
	case kill, fuse, powerCut, powerFuse, restart, fullDisk:
		w.harm(n, s.what, dice)
	}
}

// harm does something bad to a node or its disk.
func (w *world) harm(n *node, what action, dice *rand.Rand) {
	w.mu.Lock()
	calm := w.calm
	w.mu.Unlock()
	if calm {
		return
	}
	switch what { //nolint:exhaustive // the others do no harm
	case kill:
		if w.plan.nodes == 1 {
			n.disk.Stop(disktest.Killed, dice)
			return
		}
		n.bury("killed")
		time.Sleep(w.downtime())
		w.reopen()
	case powerCut:
		n.disk.Stop(disktest.PowerCut, dice)
	case fuse:
		n.disk.StopAfter(dice.IntN(40), disktest.Killed, dice)
	case powerFuse:
		n.disk.StopAfter(dice.IntN(40), disktest.PowerCut, dice)
	case restart:
		w.restart(n)
	case fullDisk:
		n.disk.Full()
		time.Sleep(time.Duration(dice.Int64N(int64(20 * time.Second))))
		w.logf("there is room again")
		n.disk.SetRoom(-1)
	}
}

// reopen starts a node on the disk, again and again while that is full.
func (w *world) reopen() {
	for range 20 {
		err := w.open()
		if err == nil || w.current().Image() != nil {
			return
		}
		time.Sleep(5 * time.Second)
	}
	w.problem("no node starts on what is left")
}

// restart drains a node and starts another, unless the disk stops meanwhile.
func (w *world) restart(n *node) {
	if n.leaving.Swap(true) {
		return
	}
	w.logf("node %d drains", n.number)
	began := time.Now()
	n.stop()
	<-n.done
	if n.gone() {
		return
	}
	n.cut.Store(time.Since(began) >= w.plan.drain)
	n.left.Store(true)
	w.mu.Lock()
	for _, e := range w.endpoints {
		e.forget(n)
	}
	w.mu.Unlock()
	n.store.Close()
	if n.disk.Image() != nil {
		return // whoever waits for that starts the next node
	}
	w.logf("node %d has drained", n.number)
	time.Sleep(w.downtime())
	if n.disk.Image() == nil {
		w.reopen()
	}
}

var eventTypes = []string{"a", "b", "c"}

func drawTypes(dice *rand.Rand) (types []string) {
	for _, name := range eventTypes {
		if dice.IntN(2) == 0 {
			types = append(types, name)
		}
	}
	return types // none means every type
}

// send has several clients send a message each, at about the same time.
func (w *world) send(n *node, dice *rand.Rand, step, clients int) {
	for i := range clients {
		m := w.newMessage(fmt.Sprintf("%d.%d", step, i), dice)
		at := time.Duration(dice.IntN(30_000_000))
		w.busy.Go(func() {
			time.Sleep(at)
			w.deliver(n, m)
		})
	}
}

// deliver sends a message, and again when no answer comes.
func (w *world) deliver(n *node, m *message) {
	for try := range 3 {
		w.begins(m)
		stored := webhook.Message{
			Application: w.app, EventID: m.eventID, EventType: m.eventType, Payload: []byte(m.payload), Key: m.orderKey,
		}
		var err error
		if facts := w.facts(n, m, try); facts != nil || m.key.Hash != nil {
			err = n.store.AddMessageOnce(context.Background(), &stored, m.key, facts)
		} else {
			err = n.store.AddMessage(context.Background(), &stored)
		}
		content := w.answered(n, m, &stored, err)
		if m.eventID == "" && m.key.Hash == nil {
			return // without a name of its own it would be another message
		}
		dice := w.plan.diceFor("again", m, try)
		if content && dice.IntN(6) > 0 {
			return // now and then the client does not hear the answer
		}
		time.Sleep(time.Duration(dice.Int64N(int64(30 * time.Second))))
		if n = w.pick(dice); n == nil {
			return
		}
	}
}

// facts are nil, or what the store remembers, as it was a moment ago.
func (w *world) facts(n *node, m *message, try int) *store.Facts {
	dice := w.plan.diceFor("facts", m, try)
	if dice.IntN(2) == 0 {
		return nil
	}
	facts := n.store.Facts()
	time.Sleep(time.Microsecond + time.Duration(dice.IntN(1_000_000)))
	return facts
}

// sendBatch has one client send messages in one call.
func (w *world) sendBatch(n *node, dice *rand.Rand, step int) {
	all := make([]*message, 2+dice.IntN(6))
	stored := make([]*webhook.Message, len(all))
	for i := range all {
		all[i] = w.newMessage(fmt.Sprintf("%d.%d", step, i), dice)
		all[i].key = store.IdempotencyKey{}
		w.begins(all[i])
		stored[i] = &webhook.Message{
			Application: w.app, EventID: all[i].eventID, EventType: all[i].eventType, Payload: []byte(all[i].payload), Key: all[i].orderKey,
		}
	}
	answers, err := n.store.AddMessages(context.Background(), stored, make([]store.IdempotencyKey, len(all)), nil)
	for i, m := range all {
		if err != nil {
			w.answered(n, m, stored[i], err)
		} else {
			w.answered(n, m, stored[i], answers[i])
		}
	}
}

// changeRegistry makes a dataset, which is an event.
func (w *world) changeRegistry(n *node, step int) {
	m := w.newChange(fmt.Sprintf("flowers-%d", step))
	w.begins(m)
	fields, _ := registry.Create(registry.DatasetFields, registry.Fields{"name": registry.Quote(m.dataset)})
	_, err := n.store.CreateDataset(context.Background(), w.jane.ID, "jane", fields)
	w.answered(n, m, &webhook.Message{}, err)
}

var errStalled = errors.New("nothing is changed")

// stall holds the committer up, so that what comes meanwhile is committed
// together.
func (w *world) stall(n *node, dice *rand.Rand) {
	d := time.Duration(dice.Int64N(int64(300 * time.Millisecond)))
	_, _ = n.store.UpdateEndpoint(context.Background(), w.app, "e0", func(*webhook.Endpoint) error {
		time.Sleep(d)
		return errStalled
	})
	w.logf("the committer goes on")
}

// resend asks for a message again.
func (w *world) resend(n *node, dice *rand.Rand) {
	w.mu.Lock()
	if len(w.messages) == 0 {
		w.mu.Unlock()
		return
	}
	m := w.messages[dice.IntN(len(w.messages))]
	r := &resent{message: m, endpoint: dice.IntN(len(w.endpoints))}
	id, known := m.id, !m.id.IsZero()
	w.resends = append(w.resends, r)
	w.mu.Unlock()
	if !known {
		return
	}
	r.tried = true
	sent, err := n.store.Resend(context.Background(), w.app, id, w.endpoints[r.endpoint].uid())
	w.logf("resend of %s to e%d: %v, %v", m, r.endpoint, sent, err)
	r.unknown = n.gone()
	r.sent = sent && err == nil
}

// expunge forgets a payload.
func (w *world) expunge(n *node, dice *rand.Rand) {
	w.mu.Lock()
	if len(w.messages) == 0 {
		w.mu.Unlock()
		return
	}
	m := w.messages[dice.IntN(len(w.messages))]
	id, known := m.id, !m.id.IsZero()
	m.expunged = m.expunged || known
	w.mu.Unlock()
	if known {
		err := n.store.ExpungeMessage(context.Background(), w.app, id)
		w.logf("payload of %s is forgotten: %v", m, err)
	}
}

// turn changes how a receiver answers.
func (w *world) turn(dice *rand.Rand) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, kind := dice.IntN(len(w.endpoints)), drawWeather(dice)
	w.net.weather[e] = kind
	w.note("e%d: %s", e, weatherNames[kind])
}

func (w *world) addEndpoint(n *node, dice *rand.Rand) {
	types := drawTypes(dice)
	made := webhook.Endpoint{Application: w.app, URL: "https://example.com/", Version: 1, EventTypes: types, Throttle: drawThrottle(dice)}
	w.mu.Lock()
	e := &endpoint{number: len(w.endpoints), ordered: dice.IntN(3) == 0}
	made.UID = e.uid()
	if e.ordered {
		made.Order = webhook.PerKey
	}
	w.endpoints = append(w.endpoints, e)
	w.net.weather[e.number] = drawWeather(dice)
	c := e.mayBecome(config{on: true, types: types}, n)
	w.note("e%d wants %v, ordered %v, throttle %d, weather %s", e.number, types, e.ordered, made.Throttle, weatherNames[w.net.weather[e.number]])
	w.mu.Unlock()
	stored, err := n.store.CreateEndpoint(context.Background(), made)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		e.id = stored.ID
	}
	c.settled(n, err)
}

func drawThrottle(dice *rand.Rand) int { return []int{0, 0, 0, 1, 5, 50}[dice.IntN(6)] }

// configure changes one of the endpoints.
func (w *world) configure(n *node, dice *rand.Rand, f func(*webhook.Endpoint)) {
	w.mu.Lock()
	e := w.endpoints[dice.IntN(len(w.endpoints))]
	w.mu.Unlock()
	w.change(n, e, f)
}

func (w *world) change(n *node, e *endpoint, f func(*webhook.Endpoint)) {
	var c *configChange
	_, err := n.store.UpdateEndpoint(context.Background(), w.app, e.uid(), func(stored *webhook.Endpoint) error {
		f(stored)
		w.mu.Lock()
		defer w.mu.Unlock()
		c = e.mayBecome(config{on: !stored.Disabled, paused: stored.Paused, types: stored.EventTypes}, n)
		return nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("e%d changes: %v", e.number, err)
	if c != nil {
		w.note("e%d: on %v, paused %v, wants %v", e.number, c.on, c.paused, c.types)
		c.settled(n, err)
	}
}

func (w *world) removeEndpoint(n *node, dice *rand.Rand) {
	w.mu.Lock()
	e := w.endpoints[dice.IntN(len(w.endpoints))]
	c := e.mayBecome(config{}, n)
	w.mu.Unlock()
	err := n.store.DeleteEndpoint(context.Background(), w.app, e.uid())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("e%d is deleted: %v", e.number, err)
	c.settled(n, err)
}
