package store

import (
	"context"
	"sync"
	"sync/atomic"
)

// checkpoints brings what SQLite has committed to its log home into the
// database file. SQLite itself would do that in the commit that makes the log
// long enough, which then takes tens of milliseconds, and all who wait for the
// writer with it. Here another connection does it beside the writer, who only
// moves the few pages that came meanwhile: once all are home, the log begins
// again. SQLite's own rule stays as the bound of the log, in case.
type checkpoints struct {
	s   *Store
	due chan struct{}
	// rest says that only a rest is left, for the writer.
	rest atomic.Bool
	wg   sync.WaitGroup
	stop func()
	// pages is about how many the log has got since the last checkpoint began;
	// it is the writer's alone.
	pages int
}

// A checkpoint begins after about so many pages; a row takes about half a page
// and a commit leaves a few unfilled.
const (
	checkpointPages = 4000
	commitPages     = 6
	rowsPerPage     = 2
	pageSize        = 4096
)

const checkpoint = `PRAGMA wal_checkpoint(PASSIVE)`

func newCheckpoints(s *Store) *checkpoints {
	c := &checkpoints{s: s, due: make(chan struct{}, 1)}
	c.stop = sync.OnceFunc(func() { close(c.due) })
	c.wg.Go(c.run)
	return c
}

func (c *checkpoints) run() {
	for range c.due {
		var busy, log, done int
		err := c.s.reads.QueryRowContext(context.Background(), checkpoint).Scan(&busy, &log, &done)
		// A disk that takes nothing more is for the writer to report.
		c.rest.Store(err == nil)
	}
}

// before moves what is left of a checkpoint, before the writer begins.
func (c *checkpoints) before(w *writer) {
	if c != nil && c.rest.CompareAndSwap(true, false) {
		var busy, log, done int
		_ = w.conn.QueryRowContext(context.Background(), checkpoint).Scan(&busy, &log, &done) // as above
	}
}

// after counts a commit of the writer.
func (c *checkpoints) after(t *tx) {
	if c == nil {
		return
	}
	c.pages += commitPages + t.rows/rowsPerPage + t.pages
	if c.pages < checkpointPages {
		return
	}
	select {
	case c.due <- struct{}{}:
		c.pages = 0
	default: // the last one is still under way
	}
}

// close ends when no checkpoint is under way any more; there is no writer.
func (c *checkpoints) close() {
	if c == nil {
		return
	}
	c.stop()
	c.wg.Wait()
}
