package store

import (
	"context"
	"fmt"
	"time"
)

// Commit is a transaction that has become durable.
type Commit struct {
	// Work is how many pieces of work shared it, Messages how many messages it
	// stored.
	Work, Messages int
	// Took is how long it was under way.
	Took time.Duration
}

// Observe makes f be told of each commit; it must not block. It is called once,
// before the first message is stored.
func (s *Store) Observe(f func(Commit)) { s.observe = f }

// maxCounted bounds how many waiting deliveries are counted: beyond it the
// exact number helps nobody.
const maxCounted = 10_000_000

// countWaiting reads the index of what waits, and no row.
var countWaiting = fmt.Sprintf(`SELECT count(*) FROM (SELECT 1 FROM delivery WHERE owner IS NULL LIMIT %d) AS waiting`, maxCounted)

// Backlog counts the deliveries that no node holds, and says when the first of
// them is or was due; zero when there is none. It takes some 50 ms for each
// million, on a connection that no writer waits for.
func (s *Store) Backlog(ctx context.Context) (waiting int64, oldestDue time.Time, err error) {
	if err := s.row(ctx, countWaiting).Scan(&waiting); err != nil {
		return 0, oldestDue, fmt.Errorf("count what waits: %w", err)
	}
	if waiting == 0 {
		return 0, oldestDue, nil
	}
	endpoints, err := s.Waiting(ctx)
	if err != nil {
		return 0, oldestDue, fmt.Errorf("find what waits longest: %w", err)
	}
	for _, w := range endpoints {
		for _, due := range []time.Time{w.FirstDue, w.RetryDue} {
			if !due.IsZero() && (oldestDue.IsZero() || due.Before(oldestDue)) {
				oldestDue = due
			}
		}
	}
	return waiting, oldestDue, nil
}
