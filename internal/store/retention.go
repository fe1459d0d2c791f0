package store

import (
	"context"
	"fanfare/internal/webhook"
	"fmt"
	"sync"
	"time"
)

// RemoveOld drops a slice of what is kept no longer: payloads that expire before
// their messages, attempts, and messages that nothing is pending for. It reports
// whether there is more.
func (s *Store) RemoveOld(ctx context.Context) (more bool, err error) {
	at := time.Now()
	for _, old := range []struct {
		statement string
		before    any
	}{
		{
			`UPDATE message SET payload = NULL, expires_at = 0 WHERE (id, application_id) IN (
				SELECT id, application_id FROM message WHERE expires_at > 0 AND expires_at < $1 ORDER BY expires_at LIMIT $2)`,
			at.UnixMicro(),
		},
		{
			`DELETE FROM attempt WHERE (id, application_id) IN (SELECT id, application_id FROM attempt WHERE id < $1 ORDER BY id LIMIT $2)`,
			key(webhook.FloorID(at.Add(-s.cfg.AttemptRetention))),
		},
		{
			`DELETE FROM endpoint_hour WHERE (hour, endpoint_id, result, bucket) IN (
				SELECT hour, endpoint_id, result, bucket FROM endpoint_hour WHERE hour < $1 ORDER BY hour LIMIT $2)`,
			webhook.Micros(at.Add(-s.cfg.AttemptRetention).Truncate(time.Hour)),
		},
		{
			`DELETE FROM message WHERE (id, application_id) IN (SELECT id, application_id FROM message WHERE id < $1
				AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.message_id = message.id) ORDER BY id LIMIT $2)`,
			key(webhook.FloorID(at.Add(-s.cfg.MessageRetention))),
		},
	} {
		err := s.writeSlice(ctx, func(t *tx) error {
			n, err := t.exec(old.statement, old.before, slice)
			more = more || n == slice
			if err != nil {
				return err
			}
			return t.unlisted()
		})
		if err != nil {
			return false, fmt.Errorf("remove what is old: %w", err)
		}
	}
	return more, nil
}

// Retention is for how long messages and attempts are kept, at the most.
func (s *Store) Retention() (messages, attempts time.Duration) {
	return s.cfg.MessageRetention, s.cfg.AttemptRetention
}

// sparing is how far the search for what is old has come among the applications
// that keep what is theirs for less long than others.
type sparing struct {
	mu    sync.Mutex
	after webhook.ID
}

// RemoveOldOfApplications drops a slice of what applications keep no longer
// that keep less than others: attempts, and messages and digests that nothing is
// pending for. It looks at a thousand of them at a time, and begins anew when it
// has seen all. It reports whether there is more.
func (s *Store) RemoveOldOfApplications(ctx context.Context) (more bool, err error) {
	s.sparing.mu.Lock()
	defer s.sparing.mu.Unlock()
	rows, err := s.query(ctx, selectApplication+`
		WHERE (message_retention > 0 OR attempt_retention > 0) AND id > $1 ORDER BY id LIMIT $2`, key(s.sparing.after), slice)
	apps, err := collect(rows, err, scanApplication)
	if err != nil {
		return false, fmt.Errorf("remove what is old of applications: %w", err)
	}
	for _, a := range apps {
		full, err := s.removeOldOf(ctx, &a.Application)
		if err != nil {
			return false, fmt.Errorf("remove what is old of %s: %w", webhook.ApplicationID.Format(a.ID), err)
		}
		more = more || full
	}
	switch {
	case more: // the same ones again
	case len(apps) == slice:
		s.sparing.after = apps[slice-1].ID
	default:
		s.sparing.after = webhook.ID{}
	}
	return more, nil
}

func (s *Store) removeOldOf(ctx context.Context, a *webhook.Application) (more bool, err error) {
	messages, attempts := shorter(s.cfg.MessageRetention, a.MessageRetention), shorter(s.cfg.AttemptRetention, a.AttemptRetention)
	attempts = min(attempts, messages)
	at := time.Now()
	for _, old := range []struct {
		table, list, condition string
		kept                   time.Duration
	}{
		{"attempt", "endpoint_attempt", `endpoint_id IN (SELECT id FROM endpoint WHERE application_id = $2) AND id < $3`, attempts},
		{"message", "message", `application_id = $2 AND id < $3 AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.message_id = message.id)`, messages},
		{"digest", "digest", `application_id = $2 AND id < $3`, messages},
	} {
		before := []any{key(a.ID), key(webhook.FloorID(at.Add(-old.kept)))}
		// Mostly nothing is old, which costs the writer nothing.
		rows, err := s.query(ctx, `SELECT id FROM `+old.list+` WHERE `+old.condition+` LIMIT $1`, append([]any{1}, before...)...)
		found, err := collect(rows, err, scanID)
		if err != nil {
			return false, err
		}
		if len(found) == 0 {
			continue
		}
		err = s.writeSlice(ctx, func(t *tx) error {
			if old.table == "digest" {
				full, err := t.removeDigests(old.condition, before...)
				more = more || full
				return err
			}
			rows, err := t.query(`DELETE FROM `+old.table+` WHERE (id, application_id) IN (
				SELECT id, application_id FROM `+old.list+` WHERE `+old.condition+` LIMIT $1) RETURNING id`, append([]any{slice}, before...)...)
			gone, err := collect(rows, err, scanID)
			t.wrote = t.wrote || len(gone) > 0
			if err == nil && old.table == "message" {
				err = t.removeNamesOf(a.ID, gone)
			}
			n := len(gone)
			more = more || n == slice
			if err != nil {
				return err
			}
			return t.unlisted()
		})
		if err != nil {
			return false, err
		}
	}
	return more, nil
}

// shorter is the least of what the installation keeps and what an application
// asks for, if it asks.
func shorter(most, wanted time.Duration) time.Duration {
	if wanted == 0 {
		return most
	}
	return min(most, wanted)
}
