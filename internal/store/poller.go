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
// little through does not make it slow; it does so in slices of at least
// pollSlice.
const pollScan, pollSlice = 2000, 50

// Polled is what a poll found.
type Polled struct {
	Messages []webhook.Message
	// Next is where the next poll goes on; Done says that there was nothing
	// more.
	Next Position
	Done bool
}

// How long a poll that finds nothing waits for transactions under way, before
// which nothing that was committed later may be told, and how often it looks.
const (
	pollPatience = time.Second
	pollAgain    = 10 * time.Millisecond
)

// Poll reads up to limit messages after a position that wanted lets through,
// none older than since.
func (s *Store) Poll(ctx context.Context, app webhook.ID, from Position, since time.Time, limit int,
	wanted func(*webhook.Message) bool,
) (Polled, error) {
	began := time.Now()
	for seen := 0; ; {
		p, looked, held, err := s.pollOnce(ctx, app, from, since, limit, wanted)
		seen += looked
		switch {
		case err != nil:
			return p, fmt.Errorf("poll: %w", err)
		case len(p.Messages) > 0:
			p.Done = p.Done && !held
			return p, nil
		case !held && (p.Done || seen >= pollScan), time.Since(began) > pollPatience:
			return p, nil
		}
		from = p.Next
		if !held {
			continue
		}
		select {
		case <-time.After(pollAgain):
		case <-ctx.Done():
			return p, context.Cause(ctx)
		}
	}
}

// pollOnce looks at a slice. It also reports how many messages it has looked at,
// and whether there are some that cannot be told yet: a transaction that began
// before theirs may still bring one that comes earlier.
func (s *Store) pollOnce(ctx context.Context, app webhook.ID, from Position, since time.Time, limit int,
	wanted func(*webhook.Message) bool,
) (p Polled, seen int, held bool, err error) {
	few := max(limit+1, pollSlice)
	query, args := s.pollQuery(app, from, since, few)
	rows, err := s.query(ctx, query, args...)
	p = Polled{Next: from, Done: true}
	_, err = collect(rows, err, func(row scanner) (struct{}, error) {
		var m webhook.Message
		var transaction int64
		var settled bool
		if held || !p.Done {
			return struct{}{}, nil
		}
		err := row.Scan(append(intoMessage(&m), &transaction, &settled)...)
		switch {
		case err != nil:
			return struct{}{}, err
		case !settled:
			held = true
			return struct{}{}, nil
		case len(p.Messages) == limit:
			p.Done = false
			return struct{}{}, nil
		}
		seen++
		p.Next = Position{uint64(transaction), m.ID, from.floor} //nolint:gosec // transactions count from 3
		if wanted(&m) {
			p.Messages = append(p.Messages, m)
		}
		return struct{}{}, nil
	})
	p.Done = p.Done && seen < few
	return p, seen, held, err
}

func (s *Store) pollQuery(app webhook.ID, from Position, since time.Time, few int) (query string, args []any) {
	columns := `SELECT id, application_id, event_id, event_type, payload, channels, tags, dataset, subject, order_key, created_at, expires_at, `
	floor := webhook.FloorID(since)
	if slices.Compare(floor[:], from.floor[:]) < 0 {
		floor = from.floor
	}
	if s.dialect.name == sqliteDialect.name {
		if slices.Compare(floor[:], from.message[:]) < 0 {
			floor = from.message
		}
		return columns + `0, TRUE FROM message WHERE application_id = $1 AND id > $2 ORDER BY id LIMIT $3`, []any{key(app), key(floor), few}
	}
	return settledBefore + columns + `CAST(CAST(xid AS TEXT) AS BIGINT), xid < (SELECT x FROM horizon) FROM message
		WHERE application_id = $1 AND (xid, id) > (CAST(CAST($2 AS TEXT) AS XID8), $3) AND id > $4
		ORDER BY xid, id LIMIT $5`, []any{key(app), fmt.Sprint(from.transaction), key(from.message), key(floor), few}
}

// settledBefore is the first transaction that is under way in this database:
// what came before it is all there is. Those of other databases of the server,
// as far as we may see whose they are, write nothing here.
const settledBefore = `
	WITH horizon AS MATERIALIZED (SELECT COALESCE((
		SELECT x FROM pg_snapshot_xip(pg_current_snapshot()) AS x
		WHERE NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.datname <> current_database()
			AND CAST(CAST(a.backend_xid AS TEXT) AS BIGINT) = CAST(CAST(x AS TEXT) AS BIGINT) % 4294967296)
		ORDER BY x LIMIT 1), pg_snapshot_xmax(pg_current_snapshot())) AS x)
	`

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
