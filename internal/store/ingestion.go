package store

import (
	"context"
	"database/sql"
	"errors"
	"fanfare/internal/ingest"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"time"
)

// ingestion is a message to be stored with a delivery for every endpoint that
// wants it.
type ingestion struct {
	message *webhook.Message
	// key is the idempotency key of the request; the zero value is none.
	key IdempotencyKey
	// only, unless zero, narrows the fan-out to one endpoint, which must want
	// the message all the same.
	only webhook.ID
	// facts are what the caller relied on; nil when it relied on nothing.
	facts *Facts
	// answer is why it was refused, once the transaction that stores it is
	// durable.
	answer error
}

// AddMessage stores a message with a delivery for every endpoint that wants
// it, and hands those to the dispatcher once they are durable. It sets the
// message's ID and, where they are zero, CreatedAt and ExpiresAt. An EventID
// that the application has used is ErrConflict, an unknown application
// ErrNotFound.
func (s *Store) AddMessage(ctx context.Context, m *webhook.Message) error {
	return s.ingest(ctx, &ingestion{message: m})
}

// AddMessageOnce is AddMessage for a request that bears an idempotency key:
// when an earlier one with the same key has made a message, m becomes that. When
// the facts are no longer so, it is ErrStale and nothing was done.
func (s *Store) AddMessageOnce(ctx context.Context, m *webhook.Message, k IdempotencyKey, f *Facts) error {
	return s.ingest(ctx, &ingestion{message: m, key: k, facts: f})
}

// AddMessageFor is AddMessage for one endpoint alone, which must want it all
// the same.
func (s *Store) AddMessageFor(ctx context.Context, m *webhook.Message, endpoint webhook.ID) error {
	return s.ingest(ctx, &ingestion{message: m, only: endpoint})
}

func (s *Store) ingest(ctx context.Context, in *ingestion) error {
	began := time.Now()
	for {
		err := s.committers.ingestions.do(ctx, work{ingestions: []*ingestion{in}}, s.rowsOf(in))
		if err = orElse(err, in.answer); errors.Is(err, ErrBusy) {
			continue // its twin was in the same batch, and is there now
		}
		s.pace.waited(time.Since(began), time.Now())
		if err != nil {
			return fmt.Errorf("add message: %w", err)
		}
		return nil
	}
}

// rowsOf is about how many rows a message writes.
func (s *Store) rowsOf(in *ingestion) int {
	if app := s.apps.get(in.message.Application); app != nil {
		return 1 + int(app.spread.Load())
	}
	return 1
}

// AddMessages stores messages, in as many transactions as it takes for others to
// get between. Each is answered on its own: those whose EventID is taken with
// ErrConflict. keys holds the idempotency key of each. When nothing was done, for
// one reason, that is the error: ErrStale when the facts are not so any more.
func (s *Store) AddMessages(ctx context.Context, messages []*webhook.Message, keys []IdempotencyKey, f *Facts) ([]error, error) {
	all := make([]*ingestion, len(messages))
	for i, m := range messages {
		all[i] = &ingestion{message: m, key: keys[i], facts: f}
	}
	s.ingestAll(ctx, all)
	done := slices.ContainsFunc(all, func(in *ingestion) bool {
		return in.answer == nil || errors.Is(in.answer, webhook.ErrConflict) || errors.Is(in.answer, ErrBusy)
	})
	answers := make([]error, len(all))
	for i, in := range all {
		switch {
		case !done:
			return nil, fmt.Errorf("add messages: %w", in.answer)
		case errors.Is(in.answer, ErrStale), errors.Is(in.answer, ErrBusy):
			in.facts = nil // what was so at the first is enough
			in.answer = s.ingest(ctx, in)
		}
		answers[i] = in.answer
	}
	return answers, nil
}

// addMessage stores one message as part of a unit.
func (t *tx) addMessage(m *webhook.Message) error { return t.addMessages([]*webhook.Message{m}) }

// addMessages stores messages as part of a unit, all or none.
func (t *tx) addMessages(messages []*webhook.Message) error {
	all := make([]*ingestion, len(messages))
	for i, m := range messages {
		all[i] = &ingestion{message: m}
	}
	err := t.ingestAll(all)
	for _, in := range all {
		err = errors.Join(err, in.answer)
	}
	return err
}

// ingestAll stores messages with their deliveries, in sets. Each is answered
// on its own as long as nothing was written for it.
func (t *tx) ingestAll(all []*ingestion) error {
	if len(all) == 0 {
		return nil
	}
	for _, in := range all {
		in.answer = nil // of a batch that was undone
	}
	if err := t.loadApplications(all); err != nil {
		return err
	}
	found, err := t.answerRepeats(all)
	if err != nil {
		return err
	}
	fresh := make([]*ingestion, 0, len(all))
	for i, in := range all {
		if in.answer == nil && !found[i] {
			fresh = append(fresh, in)
		}
	}
	stored, err := t.insertMessages(fresh)
	if err != nil {
		return err
	}
	kept := fresh[:0]
	for n, in := range fresh {
		if !stored[n] {
			in.answer = fmt.Errorf("event id %q: %w", in.message.EventID, webhook.ErrConflict)
			continue
		}
		kept = append(kept, in)
	}
	if err := t.keepKeys(kept); err != nil {
		return err
	}
	t.stored += len(kept)
	return t.fanOut(kept)
}

// loadApplications finds the configuration of each application, as this
// transaction sees it.
func (t *tx) loadApplications(all []*ingestion) error {
	revision, err := t.revision()
	if err != nil {
		return err
	}
	for _, in := range all {
		if in.facts != nil && in.facts.revision != revision {
			in.answer = ErrStale
			continue
		}
		_, err := t.application(in.message.Application)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			in.answer = fmt.Errorf("application: %w", webhook.ErrNotFound)
		case err != nil:
			return fmt.Errorf("application: %w", err)
		}
	}
	return nil
}

// answerRepeats lets messages of repeated requests become what the first
// request has made, and reports which these are. Of two requests with one key
// in the same batch the second is answered with ErrBusy: it comes again in a
// moment, and finds the first.
func (t *tx) answerRepeats(all []*ingestion) ([]bool, error) {
	found := make([]bool, len(all))
	at := now()
	seen := map[string]bool{}
	for i, in := range all {
		if in.key.Hash == nil || in.answer != nil {
			continue
		}
		if seen[string(in.key.Hash)] {
			in.answer = ErrBusy
			continue
		}
		seen[string(in.key.Hash)] = true
		before, err := t.made(in.key, at)
		if err != nil {
			return nil, err
		}
		if before.IsZero() {
			continue
		}
		m, err := scanMessage(t.row(selectMessage+` WHERE id = $1 AND application_id = $2`, key(before), key(in.message.Application)))
		if err != nil {
			return nil, err
		}
		*in.message, found[i] = m, true
	}
	return found, nil
}

var messageSet = newSet("message", "id BYTEA", "application_id BYTEA", "event_id TEXT mostly NULL", "event_type TEXT", "payload BYTEA",
	"channels TEXT mostly NULL", "tags TEXT mostly NULL", "dataset TEXT mostly NULL", "subject TEXT mostly NULL",
	"order_key TEXT mostly NULL", "created_at BIGINT", "expires_at BIGINT mostly 0")

// insertMessages stores messages under new ids and reports which were stored:
// not those whose event id is taken.
func (t *tx) insertMessages(all []*ingestion) ([]bool, error) {
	rows := make([][]any, len(all))
	for i, in := range all {
		m := in.message
		if m.CreatedAt.IsZero() {
			m.CreatedAt = now()
		}
		m.ID = t.s.ids.New(m.CreatedAt)
		rows[i] = []any{
			key(m.ID), key(m.Application), optionalText(m.EventID), m.EventType, m.Payload, list(m.Channels), list(m.Tags),
			optionalText(m.Dataset), optionalText(m.Subject), optionalText(m.Key), webhook.Micros(m.CreatedAt), webhook.Micros(m.ExpiresAt),
		}
	}
	_, stored, err := t.insert(messageSet, rows)
	which := make([]bool, len(all))
	for i, in := range all {
		which[i] = stored[string(in.message.ID[:])]
	}
	if err != nil {
		return nil, err
	}
	return which, t.indexLate(all)
}

var keySet = newSet("idempotency", "hash BYTEA", "expires_at BIGINT", "message_id BYTEA", "status = 1", "locked_until = 0")

// keepKeys notes which messages the requests with keys have made. When another
// node has committed a request with one of the keys in between, the batch is
// run again, and finds it.
func (t *tx) keepKeys(all []*ingestion) error {
	var rows [][]any
	for _, in := range all {
		if in.key.Hash != nil {
			rows = append(rows, []any{in.key.Hash, in.key.ends(in.message.CreatedAt), key(in.message.ID)})
		}
	}
	n, _, err := t.insert(keySet, rows)
	if err == nil && n < len(rows) {
		err = errRaced
	}
	return err
}

// fanOut stores the deliveries of messages that were just added.
func (t *tx) fanOut(all []*ingestion) error {
	var claimed []webhook.Job
	var waiting []webhook.Delivery
	for _, in := range all {
		app := t.apps[in.message.Application]
		endpoints := app.endpoints
		if !in.only.IsZero() {
			endpoints = atOnce(slices.DeleteFunc(slices.Clone(endpoints), func(e *webhook.Endpoint) bool { return e.ID != in.only }))
		}
		mine, others := ingest.FanOut(in.message, endpoints, t.s.dispatcher)
		app.spread.Store(int32(len(mine) + len(others))) //nolint:gosec // an application has thousands of endpoints at most
		claimed, waiting = append(claimed, mine...), append(waiting, others...)
	}
	if len(claimed) > 0 {
		t.onRollback(func() {
			for i := range claimed {
				t.s.dispatcher.Release(claimed[i].Endpoint, 1)
			}
		})
	}
	lease := time.Now().Add(t.s.cfg.Lease)
	rows := make([][]any, 0, len(claimed)+len(waiting))
	for i := range claimed {
		claimed[i].LeaseEnds = lease
		rows = append(rows, t.deliveryRow(&claimed[i].Delivery))
	}
	if err := t.block(waiting); err != nil {
		return err
	}
	for i := range waiting {
		rows = append(rows, t.deliveryRow(&waiting[i]))
	}
	n, _, err := t.insert(t.s.deliverySet, rows)
	if err != nil {
		return err
	}
	if n < len(rows) {
		return fmt.Errorf("deliveries of new messages: %w", webhook.ErrConflict)
	}
	t.sends = append(t.sends, claimed...)
	waiting = slices.DeleteFunc(waiting, func(d webhook.Delivery) bool { return d.Blocked })
	t.waits = append(t.waits, t.gatherAll(waiting)...)
	return nil
}
