package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"strings"
	"time"
)

const selectMessage = `
	SELECT id, application_id, event_id, event_type, payload, channels, tags, dataset, subject, order_key, created_at, expires_at
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
		intoText{&m.Subject},
		intoText{&m.Key},
		intoTime{&m.CreatedAt},
		intoTime{&m.ExpiresAt},
	}
}

// Message finds a message of an application by id or by the producer's event
// id. Its Payload is nil when that is gone. A digest is found by its id as if
// it were a message, whose payload is what was sent.
func (s *Store) Message(ctx context.Context, app webhook.ID, ref string) (webhook.Message, error) {
	where, arg := ` WHERE application_id = $1 AND event_id = $2`, named(ref)
	if messageID, err := webhook.MessageID.Parse(ref); err == nil {
		where, arg = ` WHERE application_id = $1 AND id = $2`, key(messageID)
	}
	m, err := scanMessage(s.row(ctx, selectMessage+where, key(app), arg))
	if digestID, wrong := webhook.MessageID.Parse(ref); wrong == nil && errors.Is(err, webhook.ErrNotFound) {
		m, err = scanDigest(s.row(ctx, selectDigest+` WHERE application_id = $1 AND id = $2`, key(app), key(digestID)))
	}
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

// from narrows the page to ids that are not below one, to to those not above one.
func (p Page) from(first webhook.ID) Page {
	if bytes.Compare(first[:], p.After[:]) > 0 {
		p.After = preceding(first)
	}
	return p
}

func (p Page) to(last webhook.ID) Page {
	if next := following(last); p.Before.IsZero() || bytes.Compare(next[:], p.Before[:]) < 0 {
		p.Before = next
	}
	return p
}

// beyond is the rest of the page behind an id.
func (p Page) beyond(id webhook.ID) Page {
	if p.Ascending {
		p.After = id
	} else {
		p.Before = id
	}
	return p
}

// lets reports whether an id is in the bounds.
func (p Page) lets(id webhook.ID) bool {
	return bytes.Compare(id[:], p.After[:]) > 0 && (p.Before.IsZero() || bytes.Compare(id[:], p.Before[:]) < 0)
}

// following and preceding are the next id and the one before.
func following(id webhook.ID) webhook.ID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			break
		}
	}
	return id
}

func preceding(id webhook.ID) webhook.ID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]--; id[i] != 0xff {
			break
		}
	}
	return id
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

// Horizon is how far one page of a list may look: at Last, and not at Next any
// more. It is the zero value when the list ends before.
type Horizon struct{ Last, Next webhook.ID }

// within narrows a page to what it may look at.
func (h Horizon) within(p Page) Page {
	switch {
	case h.Last.IsZero():
		return p
	case p.Ascending:
		return p.to(h.Last)
	default:
		return p.from(h.Last)
	}
}

// MessageHorizon is that of a list of an application's messages.
func (s *Store) MessageHorizon(ctx context.Context, app webhook.ID, p Page) (Horizon, error) {
	return s.horizon(ctx, `SELECT id FROM message WHERE application_id = $1`, app, p, s.cfg.MaxScan)
}

// AttemptHorizon is that of a list of the attempts made at an endpoint.
func (s *Store) AttemptHorizon(ctx context.Context, endpoint webhook.ID, p Page) (Horizon, error) {
	return s.horizon(ctx, `SELECT id FROM endpoint_attempt WHERE endpoint_id = $1`, endpoint, p, s.cfg.MaxScan)
}

// horizon walks over an index alone, as many rows as a page may look at.
func (s *Store) horizon(ctx context.Context, query string, of webhook.ID, p Page, depth int) (h Horizon, err error) {
	p.Limit = 2
	bounds, order, args := p.where("id", []any{key(of)})
	rows, err := s.query(ctx, query+bounds+order+fmt.Sprintf(" OFFSET %d", depth-1), args...)
	ends, err := collect(rows, err, scanID)
	if err != nil {
		return h, fmt.Errorf("horizon: %w", err)
	}
	if len(ends) == 2 {
		h = Horizon{ends[0], ends[1]}
	}
	return h, nil
}

// MessageFilter narrows a list of messages; its zero value lets all through.
type MessageFilter struct {
	EventTypes []string
	Dataset    string
	// Channel and Tag must be among those of the message.
	Channel, Tag string
}

// IsZero reports whether it lets all through.
func (f *MessageFilter) IsZero() bool {
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
		SELECT id, application_id, event_id, event_type, payload, channels, tags, dataset, subject, order_key, created_at, expires_at,
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
		if err != nil {
			return err
		}
		return t.expungeDigests(message)
	})
	if err != nil {
		return fmt.Errorf("expunge message: %w", err)
	}
	return nil
}
