package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"time"
)

// Position is how far a poller has read, in the order in which messages were
// committed: on PostgreSQL by transaction, whose number comes first, and on
// SQLite, where one commits at a time, by id alone.
type Position struct {
	transaction uint64
	message     webhook.ID
	// floor is where the poller began: transactions that wrote what is wanted
	// may have written older messages too.
	floor webhook.ID
}

// String writes the position as an iterator.
func (p Position) String() string {
	b := binary.BigEndian.AppendUint64(nil, p.transaction)
	b = append(b, p.message[:]...)
	if !p.floor.IsZero() {
		b = append(b, p.floor[:]...)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParsePosition reads what String wrote. Anything else is webhook.ErrBadID.
func ParsePosition(s string) (Position, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	var p Position
	if err != nil || len(b) != 8+len(p.message) && len(b) != 8+len(p.message)+len(p.floor) {
		return p, webhook.ErrBadID
	}
	p.transaction = binary.BigEndian.Uint64(b)
	copy(p.floor[:], b[8+copy(p.message[:], b[8:]):])
	if p.transaction > 1<<62 {
		return p, webhook.ErrBadID
	}
	return p, nil
}

// pollScan is how many messages one poll looks at, so that a filter that lets
// little through does not make it slow.
const pollScan = 2000

// Polled is what a poll found.
type Polled struct {
	Messages []webhook.Message
	// Next is where the next poll goes on; Done says that there was nothing
	// more.
	Next Position
	Done bool
}

// Poll reads up to limit messages after a position that wanted lets through,
// none older than since.
func (s *Store) Poll(ctx context.Context, app webhook.ID, from Position, since time.Time, limit int,
	wanted func(*webhook.Message) bool,
) (Polled, error) {
	query, args := s.pollQuery(app, from, since)
	rows, err := s.query(ctx, query, args...)
	p := Polled{Next: from, Done: true}
	seen := 0
	_, err = collect(rows, err, func(row scanner) (struct{}, error) {
		var m webhook.Message
		var transaction int64
		if len(p.Messages) == limit {
			p.Done = false
			return struct{}{}, nil
		}
		err := row.Scan(append(intoMessage(&m), &transaction)...)
		seen++
		p.Next = Position{uint64(transaction), m.ID, from.floor} //nolint:gosec // transactions count from 3
		if err == nil && wanted(&m) {
			p.Messages = append(p.Messages, m)
		}
		return struct{}{}, err
	})
	if err != nil {
		return p, fmt.Errorf("poll: %w", err)
	}
	p.Done = p.Done && seen < pollScan
	return p, nil
}

func (s *Store) pollQuery(app webhook.ID, from Position, since time.Time) (query string, args []any) {
	columns := `SELECT id, application_id, event_id, event_type, payload, channels, tags, dataset, subject, created_at, expires_at, `
	floor := webhook.FloorID(since)
	if slices.Compare(floor[:], from.floor[:]) < 0 {
		floor = from.floor
	}
	if s.dialect.name == sqliteDialect.name {
		if slices.Compare(floor[:], from.message[:]) < 0 {
			floor = from.message
		}
		return columns + `0 FROM message WHERE application_id = $1 AND id > $2 ORDER BY id LIMIT $3`, []any{key(app), key(floor), pollScan}
	}
	// Only what no running transaction can still come before.
	return columns + `CAST(CAST(xid AS TEXT) AS BIGINT) FROM message
		WHERE application_id = $1 AND (xid, id) > (CAST(CAST($2 AS TEXT) AS XID8), $3) AND id > $4
			AND xid < pg_snapshot_xmin(pg_current_snapshot())
		ORDER BY xid, id LIMIT $5`, []any{key(app), fmt.Sprint(from.transaction), key(from.message), key(floor), pollScan}
}

// longestTransaction bounds for how long a message may be written before it is
// committed.
const longestTransaction = 10 * time.Minute

// PollFrom is the position from which a poller finds every message made at or
// after a time.
func (s *Store) PollFrom(ctx context.Context, app webhook.ID, since time.Time) (Position, error) {
	if s.dialect.name == sqliteDialect.name {
		return Position{message: webhook.FloorID(since)}, nil
	}
	// A transaction that made such a message began not long before it: the
	// oldest one that wrote around then is a safe start.
	var transaction sql.NullInt64
	err := s.row(ctx, `
		SELECT CAST(CAST(min(xid) AS TEXT) AS BIGINT) FROM (
			SELECT xid FROM message WHERE application_id = $1 AND id > $2 ORDER BY id LIMIT 1000) first`,
		key(app), key(webhook.FloorID(since.Add(-longestTransaction)))).Scan(&transaction)
	if err != nil {
		return Position{}, fmt.Errorf("poll: %w", err)
	}
	return Position{transaction: uint64(max(0, transaction.Int64)), floor: webhook.FloorID(since)}, nil
}

// Consumer is how far a consumer of a poller has read.
type Consumer struct{ Position, Offered string }

// Consumer reads it; one that was never seen is the zero value.
func (s *Store) Consumer(ctx context.Context, endpoint webhook.ID, name string) (Consumer, error) {
	var c Consumer
	err := s.row(ctx, `SELECT position, offered FROM consumer WHERE endpoint_id = $1 AND name = $2`, key(endpoint), name).
		Scan(&c.Position, &c.Offered)
	if err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return c, fmt.Errorf("consumer: %w", err)
	}
	return c, nil
}

// MaxConsumers is how many consumers a poller may have.
const MaxConsumers = 1000

// SaveConsumer stores how far a consumer has read, unless it has moved since
// before was read: then it is webhook.ErrSequence.
func (s *Store) SaveConsumer(ctx context.Context, endpoint webhook.ID, name string, before, after Consumer) error {
	err := s.write(ctx, func(t *tx) error {
		if before != (Consumer{}) {
			n, err := t.exec(`UPDATE consumer SET position = $5, offered = $6 WHERE endpoint_id = $1 AND name = $2 AND position = $3 AND offered = $4`,
				key(endpoint), name, before.Position, before.Offered, after.Position, after.Offered)
			if err == nil && n == 0 {
				return webhook.ErrSequence
			}
			return err
		}
		var have int
		if err := t.row(`SELECT count(*) FROM consumer WHERE endpoint_id = $1`, key(endpoint)).Scan(&have); err != nil {
			return err
		}
		if have >= MaxConsumers {
			return fmt.Errorf("%d consumers: %w", have, webhook.ErrLimit)
		}
		n, err := t.exec(`INSERT INTO consumer (endpoint_id, name, position, offered) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			key(endpoint), name, after.Position, after.Offered)
		if err == nil && n == 0 {
			return webhook.ErrSequence
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	return nil
}
