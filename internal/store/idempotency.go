package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"time"
)

// IdempotencyKey stands for a request: whoever sends the same one again gets
// what the first one got.
type IdempotencyKey struct {
	// Hash covers the key, the token and the URI. The zero value is no key.
	Hash []byte
	// Explicit keys were chosen by the caller and are kept for hours; the
	// others, which client libraries make up, for minutes.
	Explicit bool
}

// How long keys are kept at least, and to what their end is rounded up, so that
// rows are added in few places and dropped by range.
const (
	explicitLife, explicitUnit = 12 * time.Hour, time.Hour
	autoLife, autoUnit         = 10 * time.Minute, 5 * time.Minute
	// replyLock is how long a request may take before the next one with its key
	// is let through.
	replyLock = 5 * time.Second
)

// ends is when a key that is stored now ends, and until is from which end on a
// key stored before may be there.
func (k IdempotencyKey) ends(at time.Time) (end int64) {
	life, unit := autoLife, autoUnit
	if k.Explicit {
		life, unit = explicitLife, explicitUnit
	}
	return at.Add(life).Truncate(unit).Add(unit).UnixMicro()
}

// candidates are the ends under which the key may be stored.
func (k IdempotencyKey) candidates(at time.Time) []int64 {
	unit := autoUnit
	if k.Explicit {
		unit = explicitUnit
	}
	var all []int64
	for end := k.ends(at); end > at.UnixMicro(); end -= unit.Microseconds() {
		all = append(all, end)
	}
	return all
}

// made finds the message that a request with the key has made.
func (t *tx) made(k IdempotencyKey, at time.Time) (message webhook.ID, err error) {
	for _, end := range k.candidates(at) {
		err := t.row(`SELECT message_id FROM idempotency WHERE expires_at = $1 AND hash = $2`, end, k.Hash).Scan(id(&message))
		if !errors.Is(err, sql.ErrNoRows) {
			return message, err
		}
	}
	return message, nil
}

// Reply is the answer to a request that made something other than a message.
type Reply struct {
	Status int
	Body   json.RawMessage
}

// ErrBusy means that a request with the same key is being worked on.
var ErrBusy = errors.New("a request with this idempotency key is being worked on")

// BeginRequest claims a key. It returns the reply of an earlier request that
// bore it, or nil when the caller is to do the work and then to call EndRequest.
// While somebody else does, it is ErrBusy.
func (s *Store) BeginRequest(ctx context.Context, k IdempotencyKey) (*Reply, error) {
	var reply *Reply
	err := s.write(ctx, func(t *tx) error {
		reply = nil
		at := time.Now()
		for _, end := range k.candidates(at) {
			var status int
			var sealed []byte
			var locked int64
			err := t.row(`SELECT status, reply, locked_until FROM idempotency WHERE expires_at = $1 AND hash = $2`+t.s.dialect.forUpdate,
				end, k.Hash).Scan(&status, &sealed, &locked)
			switch {
			case errors.Is(err, sql.ErrNoRows):
				continue
			case err != nil:
				return err
			case status != 0:
				body, err := s.sealer.Open(sealed, k.Hash)
				reply = &Reply{status, body}
				return err
			case locked > at.UnixMicro():
				return ErrBusy
			}
			_, err = t.exec(`UPDATE idempotency SET locked_until = $3 WHERE expires_at = $1 AND hash = $2`,
				end, k.Hash, at.Add(replyLock).UnixMicro())
			return err
		}
		n, err := t.exec(`
			INSERT INTO idempotency (expires_at, hash, status, locked_until) VALUES ($1, $2, 0, $3)
			ON CONFLICT DO NOTHING`, k.ends(at), k.Hash, at.Add(replyLock).UnixMicro())
		if err == nil && n == 0 {
			return ErrBusy
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("idempotency key: %w", err)
	}
	return reply, nil
}

// Repeated tells what an earlier request that bore a key has come to: its reply,
// or the message it made; neither when there was none, or none that has ended.
func (s *Store) Repeated(ctx context.Context, k IdempotencyKey) (reply *Reply, message webhook.ID, err error) {
	for _, end := range k.candidates(time.Now()) {
		var status int
		var sealed []byte
		err = s.row(ctx, `SELECT message_id, status, reply FROM idempotency WHERE expires_at = $1 AND hash = $2`, end, k.Hash).
			Scan(id(&message), &status, &sealed)
		switch {
		case errors.Is(err, webhook.ErrNotFound):
			continue
		case err != nil:
			return nil, message, fmt.Errorf("idempotency key: %w", err)
		case status == 0 || !message.IsZero():
			return nil, message, nil
		}
		body, err := s.sealer.Open(sealed, k.Hash)
		return &Reply{status, body}, message, err
	}
	return nil, message, nil
}

// EndRequest keeps the reply to a request that BeginRequest let through; nil
// forgets the request, so that it can be tried again.
func (s *Store) EndRequest(ctx context.Context, k IdempotencyKey, reply *Reply) error {
	err := s.write(ctx, func(t *tx) error {
		for _, end := range k.candidates(time.Now()) {
			var err error
			if reply == nil {
				_, err = t.exec(`DELETE FROM idempotency WHERE expires_at = $1 AND hash = $2 AND status = 0`, end, k.Hash)
			} else {
				_, err = t.exec(`UPDATE idempotency SET status = $3, reply = $4 WHERE expires_at = $1 AND hash = $2 AND status = 0`,
					end, k.Hash, reply.Status, s.sealer.Seal(reply.Body, k.Hash))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("idempotency key: %w", err)
	}
	return nil
}
