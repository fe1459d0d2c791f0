package store

import (
	"context"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"time"
)

// work is one thing for a committer to do; exactly one of its members is set.
// The two that make up the life of an event come as values, so that a batch of
// them is written in sets.
type work struct {
	unit       unit
	ingestions []*ingestion
	record     *webhook.Record
	// list has what was made before listed.
	list bool
}

// committers are the groups that work goes to. On SQLite they are one: there
// is one writer, and what arrives together is committed together.
type committers struct {
	units, ingestions, records *group[work]
	writers                    []*writer
}

func (s *Store) startCommitters() {
	start := func(writers, batch int) *group[work] {
		all := make([]commit[work], writers)
		for i := range all {
			w := &writer{s: s}
			s.committers.writers = append(s.committers.writers, w)
			all[i] = w.run
		}
		return newGroup(&s.pace, batch, all...)
	}
	d := s.dialect
	s.committers.units = start(d.writers, d.batch)
	if d.hotBatch == 0 {
		s.committers.ingestions, s.committers.records = s.committers.units, s.committers.units
		return
	}
	s.committers.ingestions, s.committers.records = start(d.ingesters, d.hotBatch), start(1, d.hotBatch)
}

func (c *committers) close() {
	for _, g := range []*group[work]{c.units, c.ingestions, c.records} {
		if g != nil {
			g.close()
		}
	}
	for _, w := range c.writers {
		w.disconnect()
	}
}

// ingestAll stores messages and returns when each of them is durable or has its
// answer. They are written beside what comes one by one, which goes ahead.
func (s *Store) ingestAll(ctx context.Context, all []*ingestion) {
	if len(all) == 0 {
		return
	}
	slice := max(1, bulkRows/s.rowsOf(all[0]))
	var works []work
	for part := range slices.Chunk(all, slice) {
		works = append(works, work{ingestions: part})
	}
	together := len(works)
	if s.dialect.ingesters > 1 {
		together = 1 // the committers would put them out of order
	}
	for part := range slices.Chunk(works, together) {
		for i, err := range s.committers.ingestions.doBulk(ctx, part, bulkRows) {
			for _, in := range part[i].ingestions {
				in.answer = orElse(err, in.answer)
			}
		}
	}
}

// bulkRows is about how many rows a piece of what comes in bulk writes.
const bulkRows = 32

// write runs a unit and returns when it is durable. ctx bounds the wait for a
// committer, not the work.
func (s *Store) write(ctx context.Context, u unit) error {
	began := time.Now()
	err := s.committers.units.do(ctx, work{unit: u}, 1)
	s.pace.waited(time.Since(began), time.Now())
	return err
}

// writeSlice is write for a slice of something large: some hundred rows.
func (s *Store) writeSlice(ctx context.Context, u unit) error {
	return s.committers.units.doHeavy(ctx, work{unit: u})
}

// runAll does a batch of work and commits it. Work that fails before it has
// written anything gets its own error; any other failure is the batch's.
func (t *tx) runAll(batch []work) ([]error, error) {
	if _, err := t.exec(t.s.dialect.begin); err != nil {
		return nil, err
	}
	t.rows = 0 // SQLite tells of the last statement again
	answers := make([]error, len(batch))
	var records []*webhook.Record
	var ingestions []*ingestion
	for _, w := range batch {
		if w.record != nil {
			records = append(records, w.record)
		}
		ingestions = append(ingestions, w.ingestions...)
	}
	if err := t.list(slices.ContainsFunc(batch, func(w work) bool { return w.list })); err != nil {
		return nil, err
	}
	if err := t.recordAll(records); err != nil {
		return nil, err
	}
	if err := t.ingestAll(ingestions); err != nil {
		return nil, err
	}
	for i, w := range batch {
		if w.unit == nil {
			continue
		}
		t.wrote = false
		err := w.unit(t)
		if err != nil && (t.wrote || isBroken(err)) {
			return nil, err
		}
		answers[i] = translate(err)
	}
	if err := t.listLater(); err != nil {
		return nil, err
	}
	if err := t.storeRevision(); err != nil {
		return nil, fmt.Errorf("revision: %w", err)
	}
	rows, worked := t.rows, time.Since(t.began)
	_, err := t.exec("COMMIT")
	t.rows = rows
	if err == nil {
		t.s.setBatch(rows, worked, time.Since(t.began)-worked)
	}
	return answers, err
}

// quickWork is for how long the writer may work on a batch, for others to wait,
// unless making it durable takes longer by itself: then larger batches share
// that.
const quickWork = 4 * time.Millisecond

// setBatch lets the next batches of SQLite's only writer be as large as speed
// allows, by how long so many rows took to write and to make durable.
func (s *Store) setBatch(rows int, worked, synced time.Duration) {
	if s.dialect.writers > 1 || rows == 0 {
		return
	}
	s.rowTook = smooth(s.rowTook, worked/time.Duration(rows))
	s.syncTook = smooth(s.syncTook, synced)
	most := max(quickWork, 2*s.syncTook) / max(s.rowTook, 1)
	s.committers.units.max.Store(int64(min(max(most, minBatch), time.Duration(s.dialect.batch))))
}

// minBatch is how many rows a batch may have in any case.
const minBatch = 128

// smooth follows a value that jumps.
func smooth(was, is time.Duration) time.Duration {
	if was == 0 {
		return is
	}
	return was + (is-was)/16
}
