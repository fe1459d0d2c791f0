package store

import (
	"context"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"time"
)

var attemptSet = newSet("attempt", "id BYTEA", "application_id BYTEA", "message_id BYTEA", "endpoint_id BYTEA", "replay BIGINT mostly 0",
	"number BIGINT mostly 1", "outcome BIGINT mostly 0", "ends BIGINT mostly 1", "status_code BIGINT", "url TEXT", "started_at BIGINT",
	"dns BIGINT mostly 0", "connect BIGINT mostly 0", "tls BIGINT mostly 0", "first_byte BIGINT", "total BIGINT", "request_head BYTEA",
	"response_head BYTEA", "response BYTEA", "error TEXT mostly ''")

// insertAttempts stores attempts under new ids, which it sets.
func (t *tx) insertAttempts(attempts []webhook.Attempt) error {
	t.attempts += int64(len(attempts))
	rows := make([][]any, len(attempts))
	at := time.Now()
	for i := range attempts {
		a := &attempts[i]
		a.ID = t.s.ids.New(at)
		t.hours.count(a)
		rows[i] = []any{
			key(a.ID), key(a.Application), key(a.Message), key(a.Endpoint), a.Replay, int64(a.Number),
			int64(a.Outcome), int64(a.Ends), int64(a.StatusCode), a.URL, webhook.Micros(a.StartedAt),
			a.Timings.DNS.Microseconds(), a.Timings.Connect.Microseconds(), a.Timings.TLS.Microseconds(),
			a.Timings.FirstByte.Microseconds(), a.Timings.Total.Microseconds(),
			notNil(a.RequestHead), notNil(a.ResponseHead), notNil(a.Response), a.Error,
		}
	}
	_, _, err := t.insert(attemptSet, rows)
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

// AttemptFilter narrows a list of attempts; its zero value lets all through.
type AttemptFilter struct {
	// Endpoint narrows the attempts of a message to one endpoint.
	Endpoint webhook.ID
	// Status is the end that an attempt alone would mean: Succeeded, Failed, or
	// Canceled where none was made; nil is any.
	Status *webhook.Status
	// CodeClass is the hundreds of the answer's code, 0 for no answer; nil is
	// any.
	CodeClass *int
	// Message narrows by what the message is.
	Message MessageFilter
}

// IsZero reports whether it lets all through.
func (f *AttemptFilter) IsZero() bool {
	return f.Endpoint.IsZero() && f.Status == nil && f.CodeClass == nil && f.Message.IsZero()
}

// statusConditions narrow a list of attempts to those that alone would mean an
// end.
var statusConditions = map[webhook.Status]string{
	webhook.Pending:   ` AND 1 = 0`,
	webhook.Succeeded: ` AND outcome = 0`,
	webhook.Failed:    ` AND outcome <> 0 AND NOT (outcome = 7 AND ends = 3)`,
	webhook.Canceled:  ` AND outcome = 7 AND ends = 3`,
}

func (f *AttemptFilter) where(d dialect, args []any) (string, []any) {
	// Attempts that only note that a replay made them needless are no calls.
	conditions := ` AND NOT (outcome = 7 AND ends IN (0, 1))`
	if !f.Endpoint.IsZero() {
		args = append(args, key(f.Endpoint))
		conditions += fmt.Sprintf(` AND endpoint_id = $%d`, len(args))
	}
	if f.Status != nil {
		conditions += statusConditions[*f.Status]
	}
	if f.CodeClass != nil {
		args = append(args, *f.CodeClass, *f.CodeClass+99)
		conditions += fmt.Sprintf(` AND status_code BETWEEN $%d AND $%d`, len(args)-1, len(args))
	}
	if !f.Message.IsZero() {
		var of string
		of, args = f.Message.where(d, "m", args)
		conditions += ` AND EXISTS (SELECT 1 FROM message m WHERE m.id = attempt.message_id AND m.application_id = attempt.application_id` + of + `)`
	}
	return conditions, args
}

// AttemptsOfMessage lists the attempts of a message.
func (s *Store) AttemptsOfMessage(ctx context.Context, app, message webhook.ID, f AttemptFilter, p Page) ([]webhook.Attempt, error) {
	conditions, args := f.where(s.dialect, []any{key(app), key(message)})
	bounds, order, args := p.where("id", args)
	rows, err := s.query(ctx, selectAttempt+` WHERE application_id = $1 AND message_id = $2`+conditions+bounds+order, args...)
	return collect(rows, err, scanAttempt)
}

// AttemptsOfEndpoint lists the attempts made at an endpoint. A call for a digest
// is one, of the digest.
func (s *Store) AttemptsOfEndpoint(ctx context.Context, app, endpoint webhook.ID, f AttemptFilter, p Page) ([]webhook.Attempt, error) {
	conditions, args := f.where(s.dialect, []any{key(app), key(endpoint)})
	// PostgreSQL has an index of attempts there, and would join much more than a page.
	from, id := ` WHERE application_id = $1 AND endpoint_id = $2 AND number > 0`, "id"
	if !s.dialect.sets {
		from, id = ` JOIN (SELECT id AS listed FROM endpoint_attempt WHERE endpoint_id = $2 AND number > 0) l ON id = l.listed
			WHERE application_id = $1`, "l.listed"
	}
	bounds, order, args := p.where(id, args)
	rows, err := s.query(ctx, selectAttempt+from+conditions+bounds+order, args...)
	return collect(rows, err, scanAttempt)
}

// Expunged is what is left of an answer that was expunged.
const Expunged = "EXPUNGED"

// ExpungeAttempt forgets what the receiver answered to an attempt.
func (s *Store) ExpungeAttempt(ctx context.Context, app, message, attempt webhook.ID) error {
	err := s.write(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE attempt SET response = $4, response_head = $5, error = '' WHERE id = $1 AND application_id = $2 AND message_id = $3`,
			key(attempt), key(app), key(message), []byte(Expunged), []byte{})
		if err == nil && n == 0 {
			return webhook.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("expunge attempt: %w", err)
	}
	return nil
}

// AttemptedEndpoint is an endpoint, perhaps deleted since, and where a message
// stands at it after the latest attempt.
type AttemptedEndpoint struct {
	*webhook.Endpoint
	State webhook.DeliveryState
}

// AttemptedEndpoints lists the endpoints at which an attempt was made for a
// message, deleted ones too.
func (s *Store) AttemptedEndpoints(ctx context.Context, app, message webhook.ID, p Page) ([]AttemptedEndpoint, error) {
	bounds, order, args := p.where("endpoint_id", []any{key(app), key(message)})
	rows, err := s.query(ctx, `
		SELECT DISTINCT endpoint_id FROM attempt
		WHERE application_id = $1 AND message_id = $2 AND NOT (outcome = 7 AND ends IN (0, 1))`+bounds+order, args...)
	ids, err := collect(rows, err, func(row scanner) (e webhook.ID, err error) {
		err = row.Scan(id(&e))
		return e, err
	})
	if err != nil {
		return nil, err
	}
	var all []AttemptedEndpoint
	for _, endpoint := range ids {
		e, err := s.scanEndpoint(s.row(ctx, selectEndpoint+` WHERE id = $1`, key(endpoint)))
		if err != nil {
			return nil, fmt.Errorf("endpoint: %w", err)
		}
		a := AttemptedEndpoint{Endpoint: e}
		var outcome webhook.Outcome
		err = s.row(ctx, `
			SELECT outcome, ends, (SELECT min(due_at) FROM delivery WHERE message_id = $1 AND endpoint_id = $2)
			FROM attempt WHERE message_id = $1 AND endpoint_id = $2 AND NOT (outcome = 7 AND ends IN (0, 1))
			ORDER BY id DESC LIMIT 1`, key(message), key(endpoint)).Scan(&outcome, &a.State.Status, intoTime{&a.State.NextAt})
		if err != nil {
			return nil, fmt.Errorf("attempt: %w", err)
		}
		switch {
		case outcome == webhook.Delivered:
			a.State.Status = webhook.Succeeded
		case !a.State.NextAt.IsZero():
			a.State.Status = webhook.Pending
		case a.State.Status == webhook.Pending:
			a.State.Status = webhook.Failed
		}
		all = append(all, a)
	}
	return all, nil
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
