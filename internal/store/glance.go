package store

import (
	"context"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"time"
)

// Backlog is what waits for an endpoint and is held by nobody.
type Backlog struct {
	// Waiting counts deliveries, up to MaxBacklog.
	Waiting int
	// NextRetry is when the next planned retry, or replay, comes due; zero when
	// there is none.
	NextRetry time.Time
}

// MaxBacklog is how far a backlog is counted.
const MaxBacklog = 1000

// EndpointBacklog tells what waits for an endpoint.
func (s *Store) EndpointBacklog(ctx context.Context, endpoint webhook.ID) (Backlog, error) {
	var b Backlog
	err := s.row(ctx, `
		SELECT (SELECT count(*) FROM (SELECT 1 FROM delivery WHERE endpoint_id = $1 AND owner IS NULL LIMIT $2) waiting),
			(SELECT min(due_at) FROM delivery WHERE endpoint_id = $1 AND lane = 1 AND owner IS NULL)`,
		key(endpoint), MaxBacklog).Scan(&b.Waiting, intoTime{&b.NextRetry})
	if err != nil {
		return b, fmt.Errorf("backlog: %w", err)
	}
	return b, nil
}

// SendTest stores a message that is marked as a test, and brings it to one
// endpoint alone, whatever that wants. It is called once, as a replay is. A
// disabled endpoint gets none: sent is false.
func (s *Store) SendTest(ctx context.Context, m *webhook.Message, endpointRef string) (sent bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		sent = false
		e, err := t.endpoint(m.Application, endpointRef)
		if err != nil || e.Disabled {
			return err
		}
		sent = true
		m.CreatedAt, m.Tags = now(), []string{webhook.TestTag}
		if _, err := t.insertMessages([]*ingestion{{message: m}}); err != nil {
			return err
		}
		return t.replay(m, e, !e.Kind.Chat(), false)
	})
	if err != nil {
		return false, fmt.Errorf("send test: %w", err)
	}
	return sent, nil
}

// countSlices bounds how much of the history CountReplay walks over.
const countSlices = 10

// CountReplay counts the messages that a replay would send now. It looks at so
// much of the history as is read in a moment: more says that there is more.
func (s *Store) CountReplay(ctx context.Context, k webhook.Task) (n int64, more bool, err error) {
	e, err := s.EndpointByID(ctx, k.Endpoint)
	if err != nil {
		return 0, false, err
	}
	position := startOf(&k)
	for range countSlices {
		last, messages, err := s.replayed(ctx, e, &k, position, slice)
		if err == nil && k.Name == webhook.TaskReplayMissing {
			messages, err = s.onlyWanted(ctx, e, messages)
		}
		if err != nil {
			return 0, false, fmt.Errorf("count replay: %w", err)
		}
		n += int64(len(messages))
		if last == nil {
			return n, false, nil
		}
		position = last
	}
	return n, true, nil
}

// EndpointTasks lists the newest replays to an endpoint.
func (s *Store) EndpointTasks(ctx context.Context, endpoint webhook.ID, limit int) ([]webhook.Task, error) {
	rows, err := s.query(ctx, selectTask+` WHERE endpoint_id = $1 ORDER BY id DESC LIMIT $2`, key(endpoint), limit)
	return collect(rows, err, scanTask)
}

// EndpointTask finds a replay to an endpoint.
func (s *Store) EndpointTask(ctx context.Context, endpoint webhook.ID, ref string) (webhook.Task, error) {
	task, err := webhook.TaskID.Parse(ref)
	if err != nil {
		return webhook.Task{}, fmt.Errorf("task: %w", errors.Join(webhook.ErrNotFound, err))
	}
	k, err := scanTask(s.row(ctx, selectTask+` WHERE id = $1 AND endpoint_id = $2`, key(task), key(endpoint)))
	if err != nil {
		return k, fmt.Errorf("task: %w", err)
	}
	return k, nil
}
