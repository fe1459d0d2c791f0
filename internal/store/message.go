package store

import (
	"context"
	"fanfare/internal/ingest"
	"fanfare/internal/webhook"
	"fmt"
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

func (t *tx) addMessage(m *webhook.Message) error {
	app, err := t.application(m.Application)
	if err != nil {
		return fmt.Errorf("application: %w", err)
	}
	if m.CreatedAt.IsZero() {
		m.CreatedAt = webhook.FromMicros(time.Now().UnixMicro())
	}
	if m.ExpiresAt.IsZero() {
		m.ExpiresAt = m.CreatedAt.Add(t.s.cfg.MessageRetention)
	}
	m.ID = t.s.ids.New(m.CreatedAt)
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
	return t.fanOut(m, app.endpoints)
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
	err := row.Scan(id(&m.ID), id(&m.Application), intoText{&m.EventID}, &m.EventType, &m.Payload,
		intoJSON{&m.Channels}, intoJSON{&m.Tags}, intoText{&m.Dataset}, intoTime{&m.CreatedAt}, intoTime{&m.ExpiresAt})
	return m, err
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
	EventType string
	Dataset   string
}

// Messages lists the messages of an application.
func (s *Store) Messages(ctx context.Context, app webhook.ID, f MessageFilter, p Page) ([]webhook.Message, error) {
	args := []any{key(app)}
	conditions := ""
	if f.EventType != "" {
		args = append(args, f.EventType)
		conditions += fmt.Sprintf(" AND event_type = $%d", len(args))
	}
	if f.Dataset != "" {
		args = append(args, f.Dataset)
		conditions += fmt.Sprintf(" AND dataset = $%d", len(args))
	}
	bounds, order, args := p.where("id", args)
	rows, err := s.query(ctx, selectMessage+` WHERE application_id = $1`+conditions+bounds+order, args...)
	return collect(rows, err, scanMessage)
}
