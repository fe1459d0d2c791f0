package store

import (
	"context"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"time"
)

func (t *tx) insertAttempt(a *webhook.Attempt) error {
	_, err := t.exec(`
		INSERT INTO attempt (id, application_id, message_id, endpoint_id, replay, number, outcome, ends, status_code, url,
			started_at, dns, connect, tls, first_byte, total, request_head, response_head, response, error)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
		key(t.s.ids.New(time.Now())), key(a.Application), key(a.Message), key(a.Endpoint), a.Replay, a.Number,
		int(a.Outcome), int(a.Ends), a.StatusCode, a.URL, webhook.Micros(a.StartedAt),
		a.Timings.DNS.Microseconds(), a.Timings.Connect.Microseconds(), a.Timings.TLS.Microseconds(),
		a.Timings.FirstByte.Microseconds(), a.Timings.Total.Microseconds(),
		notNil(a.RequestHead), notNil(a.ResponseHead), notNil(a.Response), a.Error)
	return err
}

// notNil keeps an empty value apart from NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

const selectAttempt = `
	SELECT id, application_id, message_id, endpoint_id, replay, number, outcome, ends, status_code, url,
		started_at, dns, connect, tls, first_byte, total, request_head, response_head, response, error
	FROM attempt`

func scanAttempt(row scanner) (webhook.Attempt, error) {
	var a webhook.Attempt
	var dns, connect, tls, firstByte, total int64
	err := row.Scan(id(&a.ID), id(&a.Application), id(&a.Message), id(&a.Endpoint), &a.Replay, &a.Number,
		&a.Outcome, &a.Ends, &a.StatusCode, &a.URL, intoTime{&a.StartedAt},
		&dns, &connect, &tls, &firstByte, &total, &a.RequestHead, &a.ResponseHead, &a.Response, &a.Error)
	a.Timings = webhook.Timings{
		DNS: micros(dns), Connect: micros(connect), TLS: micros(tls), FirstByte: micros(firstByte), Total: micros(total),
	}
	return a, err
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// AttemptsOfMessage lists the attempts of a message, newest first.
func (s *Store) AttemptsOfMessage(ctx context.Context, app, message webhook.ID, p Page) ([]webhook.Attempt, error) {
	bounds, order, args := p.where("id", []any{key(app), key(message)})
	rows, err := s.query(ctx, selectAttempt+` WHERE application_id = $1 AND message_id = $2`+bounds+order, args...)
	return collect(rows, err, scanAttempt)
}

// AttemptsOfEndpoint lists the attempts made at an endpoint, newest first.
func (s *Store) AttemptsOfEndpoint(ctx context.Context, app, endpoint webhook.ID, p Page) ([]webhook.Attempt, error) {
	bounds, order, args := p.where("id", []any{key(app), key(endpoint)})
	rows, err := s.query(ctx, selectAttempt+` WHERE application_id = $1 AND endpoint_id = $2`+bounds+order, args...)
	return collect(rows, err, scanAttempt)
}

// Attempt finds an attempt of a message.
func (s *Store) Attempt(ctx context.Context, app, message, attempt webhook.ID) (webhook.Attempt, error) {
	a, err := scanAttempt(s.row(ctx, selectAttempt+` WHERE id = $1 AND application_id = $2 AND message_id = $3`,
		key(attempt), key(app), key(message)))
	if err != nil {
		return a, fmt.Errorf("attempt: %w", err)
	}
	return a, nil
}

// Deliveries tells where each delivery of a message stands, by endpoint in the
// order they were made: those still open from the queue, those that ended from
// their attempts.
func (s *Store) Deliveries(ctx context.Context, app, message webhook.ID) ([]webhook.DeliveryState, error) {
	rows, err := s.query(ctx, `
		SELECT endpoint_id, replay, ends, status_code, started_at, outcome FROM attempt
		WHERE message_id = $1 AND application_id = $2 ORDER BY id`, key(message), key(app))
	states := map[webhook.DeliveryKey]*webhook.DeliveryState{}
	var order []webhook.DeliveryKey
	_, err = collect(rows, err, func(row scanner) (struct{}, error) {
		k := webhook.DeliveryKey{Message: message}
		var ends webhook.Status
		var outcome webhook.Outcome
		var code int
		var at time.Time
		if err := row.Scan(id(&k.Endpoint), &k.Replay, &ends, &code, intoTime{&at}, &outcome); err != nil {
			return struct{}{}, err
		}
		d := states[k]
		if d == nil {
			d = &webhook.DeliveryState{DeliveryKey: k}
			states[k], order = d, append(order, k)
		}
		d.Status = max(d.Status, ends)
		if outcome != webhook.NotSent {
			d.Calls++
			d.LastCode, d.LastAt = code, at
		}
		return struct{}{}, nil
	})
	if err != nil {
		return nil, err
	}
	rows, err = s.query(ctx, `SELECT endpoint_id, replay, due_at FROM delivery WHERE message_id = $1 AND application_id = $2`,
		key(message), key(app))
	_, err = collect(rows, err, func(row scanner) (struct{}, error) {
		k := webhook.DeliveryKey{Message: message}
		var due time.Time
		if err := row.Scan(id(&k.Endpoint), &k.Replay, intoTime{&due}); err != nil {
			return struct{}{}, err
		}
		d := states[k]
		if d == nil {
			d = &webhook.DeliveryState{DeliveryKey: k}
			states[k], order = d, append(order, k)
		}
		d.NextAt = due
		return struct{}{}, nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(order, func(a, b webhook.DeliveryKey) int {
		return slices.Compare(a.Endpoint[:], b.Endpoint[:])
	})
	all := make([]webhook.DeliveryState, len(order))
	for i, k := range order {
		all[i] = *states[k]
	}
	return all, nil
}

// EventTypes tells the event types of messages of an application.
func (s *Store) EventTypes(ctx context.Context, app webhook.ID, messages []webhook.ID) (map[webhook.ID]string, error) {
	types := map[webhook.ID]string{}
	for _, message := range messages {
		var eventType string
		err := s.row(ctx, `SELECT event_type FROM message WHERE id = $1 AND application_id = $2`, key(message), key(app)).Scan(&eventType)
		if err != nil && !errors.Is(err, webhook.ErrNotFound) {
			return nil, fmt.Errorf("event type: %w", err)
		}
		types[message] = eventType
	}
	return types, nil
}
