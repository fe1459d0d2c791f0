package store

import (
	"context"
	"database/sql"
	"errors"
	"fanfare/internal/ingest"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"strings"
	"time"
)

// AddMessage stores a message with a delivery for every endpoint that wants
// it, and hands those to the dispatcher once they are durable. It sets the
// message's ID and, where they are zero, CreatedAt and ExpiresAt. An EventID
// that the application has used is ErrConflict, an unknown application
// ErrNotFound.
func (s *Store) AddMessage(ctx context.Context, m *webhook.Message) error {
	err := s.write(ctx, func(t *tx) error { return t.addMessage(m) })
	if err != nil {
		return fmt.Errorf("add message: %w", err)
	}
	return nil
}

// AddMessageOnce is AddMessage for a request that bears an idempotency key:
// when an earlier one with the same key has made a message, m becomes that.
func (s *Store) AddMessageOnce(ctx context.Context, m *webhook.Message, k IdempotencyKey) error {
	err := s.write(ctx, func(t *tx) error { return t.addMessageOnce(m, k) })
	if err != nil {
		return fmt.Errorf("add message: %w", err)
	}
	return nil
}

// AddMessages stores messages of one application in one transaction. Each is
// answered on its own: those whose EventID is taken with ErrConflict. keys
// holds the idempotency key of each.
func (s *Store) AddMessages(ctx context.Context, messages []*webhook.Message, keys []IdempotencyKey) (answers []error, err error) {
	err = s.write(ctx, func(t *tx) error {
		answers = make([]error, len(messages))
		taken, err := t.takenEventIDs(messages, keys)
		if err != nil {
			return err
		}
		for i, m := range messages {
			if taken[i] {
				answers[i] = fmt.Errorf("event id %q: %w", m.EventID, webhook.ErrConflict)
				continue
			}
			if err := t.addMessageOnce(m, keys[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("add messages: %w", err)
	}
	return answers, nil
}

// takenEventIDs tells which of the messages bear an event id that is in use,
// in the database or earlier in the list, and are not repeats of a request.
func (t *tx) takenEventIDs(messages []*webhook.Message, keys []IdempotencyKey) ([]bool, error) {
	taken := make([]bool, len(messages))
	seen := map[string]bool{}
	for i, m := range messages {
		if m.EventID == "" {
			continue
		}
		if seen[m.EventID] {
			taken[i] = true
			continue
		}
		seen[m.EventID] = true
		var owner webhook.ID
		err := t.row(`SELECT id FROM message WHERE application_id = $1 AND event_id = $2`, key(m.Application), m.EventID).Scan(id(&owner))
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		before, err := t.made(keys[i], time.Now())
		if err != nil {
			return nil, err
		}
		taken[i] = before != owner
	}
	return taken, nil
}

func (t *tx) addMessageOnce(m *webhook.Message, k IdempotencyKey) error {
	if k.Hash == nil {
		return t.addMessage(m)
	}
	at := now()
	before, err := t.made(k, at)
	if err != nil {
		return err
	}
	if before.IsZero() {
		messageID := t.s.ids.New(at)
		first, err := t.keep(k, at, messageID)
		if err != nil {
			return err
		}
		if first {
			m.CreatedAt = at
			return t.addMessageAs(m, messageID)
		}
		if before, err = t.made(k, at); err != nil {
			return err
		}
	}
	found, err := scanMessage(t.row(selectMessage+` WHERE id = $1 AND application_id = $2`, key(before), key(m.Application)))
	if err == nil {
		*m = found
	}
	return err
}

func (t *tx) addMessage(m *webhook.Message) error {
	if m.CreatedAt.IsZero() {
		m.CreatedAt = now()
	}
	return t.addMessageAs(m, t.s.ids.New(m.CreatedAt))
}

func (t *tx) addMessageAs(m *webhook.Message, messageID webhook.ID) error {
	return t.storeMessage(m, messageID, nil)
}

// storeMessage stores a message under an id, with a delivery for each endpoint
// that wants it and that only, unless nil, lets through.
func (t *tx) storeMessage(m *webhook.Message, messageID webhook.ID, only func(*webhook.Endpoint) bool) error {
	app, err := t.application(m.Application)
	if err != nil {
		return fmt.Errorf("application: %w", err)
	}
	m.ID = messageID
	n, err := t.exec(`
		INSERT INTO message (id, application_id, event_id, event_type, payload, channels, tags, dataset, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT DO NOTHING`,
		key(m.ID), key(m.Application), optionalText(m.EventID), m.EventType, m.Payload, list(m.Channels), list(m.Tags),
		optionalText(m.Dataset), webhook.Micros(m.CreatedAt), webhook.Micros(m.ExpiresAt))
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("event id %q: %w", m.EventID, webhook.ErrConflict)
	}
	endpoints := app.endpoints
	if only != nil {
		endpoints = slices.DeleteFunc(slices.Clone(endpoints), func(e *webhook.Endpoint) bool { return !only(e) })
	}
	return t.fanOut(m, endpoints)
}

// AddMessageFor is AddMessage for one endpoint alone, which must want it all
// the same.
func (s *Store) AddMessageFor(ctx context.Context, m *webhook.Message, endpoint webhook.ID) error {
	err := s.write(ctx, func(t *tx) error {
		m.CreatedAt = now()
		return t.storeMessage(m, t.s.ids.New(m.CreatedAt), func(e *webhook.Endpoint) bool { return e.ID == endpoint })
	})
	if err != nil {
		return fmt.Errorf("add message: %w", err)
	}
	return nil
}

// fanOut stores the deliveries of a message that was just added.
func (t *tx) fanOut(m *webhook.Message, endpoints []*webhook.Endpoint) error {
	claimed, waiting := ingest.FanOut(m, endpoints, t.s.dispatcher)
	if len(claimed) > 0 {
		t.onRollback(func() {
			for _, j := range claimed {
				t.s.dispatcher.Release(j.Endpoint, 1)
			}
		})
		lease := time.Now().Add(t.s.cfg.Lease)
		for i := range claimed {
			claimed[i].LeaseEnds = lease
			if err := t.insertDelivery(&claimed[i].Delivery); err != nil {
				return err
			}
		}
		t.onCommit(func() { t.s.dispatcher.Send(claimed) })
	}
	for i := range waiting {
		if err := t.insertDelivery(&waiting[i]); err != nil {
			return err
		}
		t.waiting(waiting[i])
	}
	return nil
}

// waiting tells the dispatcher, once it is durable, that a delivery waits.
func (t *tx) waiting(d webhook.Delivery) {
	t.onCommit(func() {
		if t.s.dispatcher != nil {
			t.s.dispatcher.Waiting(d)
		}
	})
}

const selectMessage = `
	SELECT id, application_id, event_id, event_type, payload, channels, tags, dataset, created_at, expires_at
	FROM message`

func scanMessage(row scanner) (webhook.Message, error) {
	var m webhook.Message
	err := row.Scan(intoMessage(&m)...)
	return m, err
}

// intoMessage lists where the columns of a message go.
func intoMessage(m *webhook.Message) []any {
	return []any{
		id(&m.ID), id(&m.Application),
		intoText{&m.EventID},
		&m.EventType, &m.Payload,
		intoJSON{&m.Channels},
		intoJSON{&m.Tags},
		intoText{&m.Dataset},
		intoTime{&m.CreatedAt},
		intoTime{&m.ExpiresAt},
	}
}

// Message finds a message of an application by id or by the producer's event
// id. Its Payload is nil when that is gone.
func (s *Store) Message(ctx context.Context, app webhook.ID, ref string) (webhook.Message, error) {
	where, arg := ` WHERE application_id = $1 AND event_id = $2`, any(ref)
	if messageID, err := webhook.MessageID.Parse(ref); err == nil {
		where, arg = ` WHERE application_id = $1 AND id = $2`, key(messageID)
	}
	m, err := scanMessage(s.row(ctx, selectMessage+where, key(app), arg))
	if err != nil {
		return m, fmt.Errorf("message: %w", err)
	}
	return m, nil
}

// Page bounds a list ordered by id.
type Page struct {
	// Limit is the most rows to return.
	Limit int
	// After and Before bound the ids, both exclusive; zero is open.
	After, Before webhook.ID
	// Ascending lists the oldest first; otherwise the newest come first.
	Ascending bool
}

// where renders the bounds as conditions on a column, and the order.
func (p Page) where(column string, args []any) (conditions, order string, _ []any) {
	var b strings.Builder
	if !p.After.IsZero() {
		args = append(args, key(p.After))
		fmt.Fprintf(&b, " AND %s > $%d", column, len(args))
	}
	if !p.Before.IsZero() {
		args = append(args, key(p.Before))
		fmt.Fprintf(&b, " AND %s < $%d", column, len(args))
	}
	direction := "DESC"
	if p.Ascending {
		direction = "ASC"
	}
	args = append(args, p.Limit)
	return b.String(), fmt.Sprintf(" ORDER BY %s %s LIMIT $%d", column, direction, len(args)), args
}

// MessageFilter narrows a list of messages; its zero value lets all through.
type MessageFilter struct {
	EventTypes []string
	Dataset    string
	// Channel and Tag must be among those of the message.
	Channel, Tag string
}

func (f *MessageFilter) isZero() bool {
	return f.EventTypes == nil && f.Dataset == "" && f.Channel == "" && f.Tag == ""
}

// where renders the filter as conditions on the columns of the message table
// under an alias.
func (f *MessageFilter) where(d dialect, alias string, args []any) (string, []any) {
	var b strings.Builder
	if f.EventTypes != nil {
		places := make([]string, len(f.EventTypes))
		for i, name := range f.EventTypes {
			args = append(args, name)
			places[i] = fmt.Sprintf("$%d", len(args))
		}
		fmt.Fprintf(&b, " AND %s.event_type IN (%s)", alias, strings.Join(places, ", "))
	}
	if f.Dataset != "" {
		args = append(args, f.Dataset)
		fmt.Fprintf(&b, " AND %s.dataset = $%d", alias, len(args))
	}
	for column, name := range map[string]string{"channels": f.Channel, "tags": f.Tag} {
		if name != "" {
			args = append(args, text(name))
			b.WriteString(" AND " + fmt.Sprintf(d.within, len(args), alias+"."+column))
		}
	}
	return b.String(), args
}

// Messages lists the messages of an application.
func (s *Store) Messages(ctx context.Context, app webhook.ID, f MessageFilter, p Page) ([]webhook.Message, error) {
	conditions, args := f.where(s.dialect, "message", []any{key(app)})
	bounds, order, args := p.where("id", args)
	rows, err := s.query(ctx, selectMessage+` WHERE application_id = $1`+conditions+bounds+order, args...)
	return collect(rows, err, scanMessage)
}

// AttemptedMessage is a message and where it stands at an endpoint.
type AttemptedMessage struct {
	webhook.Message
	State webhook.DeliveryState
}

// The states of a message at an endpoint, as conditions on the table message
// with the endpoint in $2. They exclude each other.
const (
	attempted  = `EXISTS (SELECT 1 FROM attempt a WHERE a.message_id = message.id AND a.endpoint_id = $2)`
	arrived    = `EXISTS (SELECT 1 FROM attempt a WHERE a.message_id = message.id AND a.endpoint_id = $2 AND a.outcome = 0)`
	planned    = `EXISTS (SELECT 1 FROM delivery d WHERE d.message_id = message.id AND d.endpoint_id = $2)`
	lastEnd    = `(SELECT a.ends FROM attempt a WHERE a.message_id = message.id AND a.endpoint_id = $2 AND a.ends <> 0 ORDER BY a.id DESC LIMIT 1)`
	stillToTry = `NOT ` + arrived + ` AND ` + planned
)

// stateConditions narrow a list of attempted messages to one state.
var stateConditions = map[webhook.Status]string{
	webhook.Succeeded: arrived,
	webhook.Pending:   stillToTry,
	webhook.Failed:    `NOT ` + arrived + ` AND NOT ` + planned + ` AND COALESCE(` + lastEnd + `, 2) <> 3`,
	webhook.Canceled:  `NOT ` + arrived + ` AND NOT ` + planned + ` AND ` + lastEnd + ` = 3`,
}

// AttemptedMessages lists the messages for which an attempt was made at an
// endpoint, with where they stand there; state, unless nil, narrows the list.
func (s *Store) AttemptedMessages(ctx context.Context, app, endpoint webhook.ID, f MessageFilter, state *webhook.Status, p Page) ([]AttemptedMessage, error) {
	conditions, args := f.where(s.dialect, "message", []any{key(app), key(endpoint)})
	if state != nil {
		conditions += ` AND ` + stateConditions[*state]
	}
	bounds, order, args := p.where("id", args)
	rows, err := s.query(ctx, `
		SELECT id, application_id, event_id, event_type, payload, channels, tags, dataset, created_at, expires_at,
			`+arrived+`, (SELECT min(d.due_at) FROM delivery d WHERE d.message_id = message.id AND d.endpoint_id = $2), `+lastEnd+`
		FROM message WHERE application_id = $1 AND `+attempted+conditions+bounds+order, args...)
	return collect(rows, err, func(row scanner) (AttemptedMessage, error) {
		var m AttemptedMessage
		var arrived bool
		var end sql.NullInt16
		err := row.Scan(append(intoMessage(&m.Message), &arrived, intoTime{&m.State.NextAt}, &end)...)
		switch {
		case arrived:
			m.State.Status, m.State.NextAt = webhook.Succeeded, time.Time{}
		case !m.State.NextAt.IsZero():
			m.State.Status = webhook.Pending
		case end.Valid:
			m.State.Status = webhook.Status(end.Int16)
		default:
			m.State.Status = webhook.Failed
		}
		return m, err
	})
}

// ExpungeMessage forgets the payload of a message.
func (s *Store) ExpungeMessage(ctx context.Context, app, message webhook.ID) error {
	err := s.write(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE message SET payload = NULL WHERE id = $1 AND application_id = $2`, key(message), key(app))
		if err == nil && n == 0 {
			return webhook.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("expunge message: %w", err)
	}
	return nil
}
