package store

import (
	"context"
	"fanfare/internal/webhook"
	"fmt"
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
			return err
		})
		if err != nil {
			return false, fmt.Errorf("remove what is old: %w", err)
		}
	}
	return more, nil
}
