package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"strings"
	"sync/atomic"
)

// listing is what follows from attempts and what their transactions leave for
// later, on SQLite with one node: each endpoint's list of them, and the counts by
// the hour. With many endpoints each attempt would add a page to its transaction
// that has little new in it; a thousand attempts together share them. Whoever
// reads lists or counts has them brought up first, and after a crash what is
// missing follows from the attempts (docs/adr/0014).
type listing struct {
	// hours are the counts of what is not listed, endpoints where it was made; only
	// the committer knows them.
	hours     hourCounts
	endpoints map[webhook.ID]struct{}
	// behind is how many attempts are not listed.
	behind atomic.Int64
}

// Attempts are listed together when there are so many of them, or when they were
// made at so many endpoints, each of which has a page of its own: that takes the
// writer a few milliseconds.
const (
	listAfter     = 1024
	listEndpoints = 128
)

// bringUp has everything listed that is committed, before a statement that reads
// lists or counts. When that cannot be written, it sees what is listed.
func (s *Store) bringUp(ctx context.Context, query string) {
	if s.listing == nil || s.listing.behind.Load() == 0 {
		return
	}
	if strings.Contains(query, "endpoint_attempt") || strings.Contains(query, "endpoint_hour") {
		_ = s.committers.units.do(ctx, work{list: true}, 1)
	}
}

const (
	listNew = `
		INSERT OR IGNORE INTO endpoint_attempt (endpoint_id, id, application_id, message_id, number, outcome, ends)
		SELECT endpoint_id, id, application_id, message_id, number, outcome, ends FROM attempt
		WHERE rowid > (SELECT place FROM listed) ORDER BY endpoint_id, id`
	listedAll = `UPDATE listed SET (place, id) = (SELECT rowid, id FROM attempt ORDER BY rowid DESC LIMIT 1) WHERE EXISTS (SELECT 1 FROM attempt)`
)

// list lists what earlier transactions have left, if it is enough, or at once if
// asked. It comes first in a transaction, before there are more attempts.
func (t *tx) list(atOnce bool) error {
	l := t.s.listing
	if l == nil {
		return nil
	}
	switch behind := l.behind.Load(); {
	case behind == 0:
		return nil
	case behind < listAfter && len(l.endpoints) < listEndpoints && !atOnce:
		return nil
	}
	if err := t.listAll(l.hours); err != nil {
		return err
	}
	t.onCommit(func() {
		clear(l.hours)
		clear(l.endpoints)
		l.behind.Store(0)
	})
	return nil
}

// listAll lists all attempts, with their counts by the hour.
func (t *tx) listAll(hours hourCounts) error {
	if _, err := t.exec(listNew); err != nil {
		return fmt.Errorf("list attempts: %w", err)
	}
	if err := t.storeHours(hours); err != nil {
		return err
	}
	_, err := t.exec(listedAll)
	return err
}

// listLater ends a transaction that has made attempts.
func (t *tx) listLater() error {
	switch l := t.s.listing; {
	case t.attempts == 0:
		return nil
	case t.s.dialect.sets:
		return t.storeHours(t.hours)
	case l == nil:
		return t.listAll(t.hours)
	default:
		t.onCommit(func() {
			for k, n := range t.hours {
				l.hours[k] += n
				l.endpoints[k.endpoint] = struct{}{}
			}
			l.behind.Add(t.attempts)
		})
		return nil
	}
}

// unlisted notes that attempts were deleted: a new one may get the place of one
// that has been listed.
func (t *tx) unlisted() error {
	if t.s.dialect.sets {
		return nil
	}
	_, err := t.exec(`UPDATE listed SET place = (SELECT coalesce(max(rowid), 0) FROM attempt) WHERE place > (SELECT coalesce(max(rowid), 0) FROM attempt)`)
	return err
}

// resumeListing lists what a crash has left. When places have changed, as a
// VACUUM does, the last id that was listed tells.
func (t *tx) resumeListing() error {
	if t.s.listing == nil {
		return nil
	}
	var place int64
	var last, there []byte
	err := t.row(`SELECT place, l.id, a.id FROM listed l LEFT JOIN attempt a ON a.rowid = l.place`).Scan(&place, &last, &there)
	if err == nil && !bytes.Equal(last, there) {
		place = 0
		err = t.row(`SELECT rowid FROM attempt WHERE id <= $1 ORDER BY id DESC LIMIT 1`, last).Scan(&place)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("resume the lists: %w", err)
	}
	if _, err := t.exec(`UPDATE listed SET place = $1`, place); err != nil {
		return err
	}
	rows, err := t.query(`SELECT id, endpoint_id, number, outcome, ends, total FROM attempt WHERE rowid > $1`, place)
	left, err := collect(rows, err, func(row scanner) (a webhook.Attempt, err error) {
		var total int64
		err = row.Scan(id(&a.ID), id(&a.Endpoint), &a.Number, &a.Outcome, &a.Ends, &total)
		a.Timings.Total = micros(total)
		return a, err
	})
	if err != nil {
		return fmt.Errorf("resume the lists: %w", err)
	}
	hours := hourCounts{}
	for i := range left {
		hours.count(&left[i])
	}
	return t.listAll(hours)
}
