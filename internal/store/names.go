package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

// Searches find messages by dataset and by how the name of a sample begins. The
// index for that (message_name) is filled behind the hot path: IndexNames takes
// the next messages, puts their names in order and appends them as a slice. A
// search looks into each slice, and at every message that is newer than the last.
//
// A slice is whole: every message with an id in its range is in it. Ids are made
// before the commit, so a slice ends Config.IndexLag ago, and is made when all
// transactions have ended that were under way then. Whoever stores a message
// whose id has grown old meanwhile adds it to its slice; if that is still being
// made, its maker finds more messages than it has read, and makes it anew.

// The kinds of names.
const (
	datasetName int64 = iota
	sampleName
)

// nameKey is what messages are about. Rows of the index are in its order.
type nameKey struct {
	application webhook.ID
	kind        int64
	name        string
}

func (k nameKey) compare(o nameKey) int {
	return cmp.Or(bytes.Compare(k.application[:], o.application[:]), cmp.Compare(k.kind, o.kind), cmp.Compare(k.name, o.name))
}

// names are the ids of messages, one after another, by what they are about.
type names map[nameKey][]byte

func (n names) add(m *webhook.Message) {
	for kind, name := range []string{datasetName: m.Dataset, sampleName: m.Subject} {
		if name != "" {
			k := nameKey{m.Application, int64(kind), name}
			n[k] = append(n[k], m.ID[:]...)
		}
	}
}

// span is the range of a slice: its number, its first and its last id.
type span struct {
	number      int64
	first, last webhook.ID
}

// settled is what IndexNames knows of transactions on PostgreSQL.
type settled struct {
	// before is when all had ended that could add ids older than Config.IndexLag, but
	// for what their writers add to the index themselves.
	before time.Time
	// at is a later time, next the transaction that would have begun then.
	at   time.Time
	next int64
}

// settle returns the time before which messages are all there.
func (s *Store) settle(ctx context.Context) (time.Time, error) {
	at := time.Now()
	if s.dialect.name == sqliteDialect.name {
		return at.Add(-s.cfg.IndexLag), nil
	}
	var oldest, next int64
	err := s.row(ctx, settledBefore+`SELECT CAST(CAST((SELECT x FROM horizon) AS TEXT) AS BIGINT),
		CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS TEXT) AS BIGINT)`).Scan(&oldest, &next)
	if err != nil {
		return time.Time{}, err
	}
	if oldest >= s.settled.next {
		if !s.settled.at.IsZero() {
			s.settled.before = s.settled.at.Add(-s.cfg.IndexLag)
		}
		s.settled.at, s.settled.next = at, next
	}
	return s.settled.before, nil
}

// unindexed counts the messages that this node has stored and not told of.
type unindexed struct {
	count atomic.Int64
	told  chan struct{}
}

// stored counts messages, and tells when they are enough for a slice.
func (u *unindexed) stored(n, slice int) {
	if u.count.Add(int64(n)) < int64(slice) {
		return
	}
	u.count.Store(0)
	select {
	case u.told <- struct{}{}:
	default: // told before, and not looked yet
	}
}

// NamesToIndex yields when there may be enough messages for a slice of the index
// of names.
func (s *Store) NamesToIndex() <-chan struct{} { return s.unindexed.told }

// IndexNames adds the next slice to the index of names, and reports whether there
// was one. One goroutine of a node calls it.
func (s *Store) IndexNames(ctx context.Context) (more bool, err error) {
	before, err := s.settle(ctx)
	switch {
	case err != nil || before.IsZero():
	case s.dialect.name == sqliteDialect.name:
		// Nobody else does this, but all others wait for the writer: it is held
		// for a part of the slice at a time.
		more, err = s.indexNames(webhook.FloorID(before), slice,
			func(query string, args ...any) (*sql.Rows, error) { return s.query(ctx, query, args...) },
			func(u unit) error { return s.writeSlice(ctx, u) })
	default:
		err = s.writeSlice(ctx, func(t *tx) (err error) {
			if err := t.lockNames(); err != nil {
				return err
			}
			more, err = s.indexNames(webhook.FloorID(before), s.cfg.NameSlice, t.query, func(u unit) error { return u(t) })
			return err
		})
	}
	if err != nil {
		return false, fmt.Errorf("index names: %w", err)
	}
	return more, nil
}

type queryFunc func(query string, args ...any) (*sql.Rows, error)

// indexNames makes the slice after the last, of messages before an id, with at
// most a number of rows in each unit.
func (s *Store) indexNames(before webhook.ID, most int, query queryFunc, write func(unit) error) (more bool, err error) {
	var next span
	rows, err := query(`SELECT number, last_id FROM message_slice ORDER BY number DESC LIMIT 1`)
	_, err = collect(rows, err, func(row scanner) (struct{}, error) { return struct{}{}, row.Scan(&next.number, id(&next.last)) })
	if err != nil {
		return false, err
	}
	next.number, next.first = next.number+1, following(next.last)
	found := names{}
	rows, err = query(`SELECT id, application_id, dataset, subject FROM message WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3`,
		key(next.first), key(before), s.cfg.NameSlice)
	all, err := collect(rows, err, func(row scanner) (struct{}, error) {
		var m webhook.Message
		err := row.Scan(id(&m.ID), id(&m.Application), intoText{&m.Dataset}, intoText{&m.Subject})
		found.add(&m)
		next.last = m.ID
		return struct{}{}, err
	})
	if err != nil || len(all) < s.cfg.NameSlice {
		return false, err
	}
	for left := true; left && err == nil; { // of one that was not finished
		err = write(func(t *tx) (err error) {
			left, err = t.removeNames(next.number)
			return err
		})
	}
	var set [][]any
	for _, k := range slices.SortedFunc(maps.Keys(found), nameKey.compare) {
		part := int64(0)
		for messages := range slices.Chunk(found[k], idsPerRow*len(webhook.ID{})) {
			set = append(set, []any{next.number, key(k.application), k.kind, k.name, part, messages})
			part++
		}
	}
	for part := range slices.Chunk(set, most) {
		if err == nil {
			err = write(func(t *tx) error {
				_, _, err := t.insert(nameSet, part)
				return err
			})
		}
	}
	if err != nil {
		return false, err
	}
	return true, write(func(t *tx) error { return t.showSlice(next, len(all)) })
}

// idsPerRow is how many messages a row names: as many as SQLite keeps beside the
// key, so that it need not read them to compare that.
const idsPerRow = 48

var nameSet = newSet("message_name", "slice BIGINT", "application_id BYTEA", "kind BIGINT", "name TEXT", "part BIGINT", "message_ids BYTEA")

// showSlice makes a slice count that covers so many messages, unless there are
// more by now: then it is made anew.
func (t *tx) showSlice(s span, messages int) error {
	var have int
	err := t.row(`SELECT count(*) FROM message WHERE id >= $1 AND id <= $2`, key(s.first), key(s.last)).Scan(&have)
	if err != nil || have != messages {
		return err
	}
	_, err = t.exec(`INSERT INTO message_slice (number, first_id, last_id) VALUES ($1, $2, $3)`, s.number, key(s.first), key(s.last))
	return err
}

// lockNames keeps other nodes from changing the index until this transaction has
// ended. SQLite has one writer.
func (t *tx) lockNames() error {
	if t.s.dialect.name == sqliteDialect.name {
		return nil
	}
	var none sql.RawBytes
	rows, err := t.query(`SELECT pg_advisory_xact_lock($1)`, namesLock)
	_, err = collect(rows, err, func(row scanner) (struct{}, error) { return struct{}{}, row.Scan(&none) })
	return err
}

// namesLock is an arbitrary number that all nodes agree on.
const namesLock = 7116283452

// indexLate adds messages that were just stored to their slices, if their ids are
// so old that there may be such.
func (t *tx) indexLate(all []*ingestion) error {
	old, late := webhook.FloorID(time.Now().Add(-t.s.cfg.IndexLag/2)), names{}
	for _, in := range all {
		if bytes.Compare(in.message.ID[:], old[:]) < 0 {
			late.add(in.message)
		}
	}
	if len(late) == 0 {
		return nil
	}
	if err := t.lockNames(); err != nil {
		return err
	}
	for _, k := range slices.SortedFunc(maps.Keys(late), nameKey.compare) {
		for message := range slices.Chunk(late[k], len(webhook.ID{})) {
			if err := t.indexName(k, message); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tx) indexName(k nameKey, message []byte) error {
	var slice int64
	err := t.row(`SELECT number FROM message_slice WHERE first_id <= $1 AND last_id >= $1`, message).Scan(&slice)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // whoever makes it will find the message
	}
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO message_name (slice, application_id, kind, name, part, message_ids)
		SELECT $1, $2, $3, $4, COALESCE(max(part), 0) + 1, $5 FROM message_name
		WHERE slice = $1 AND application_id = $2 AND kind = $3 AND name = $4`,
		slice, key(k.application), k.kind, k.name, message)
	return err
}

// removeNames removes some rows of a slice, and reports whether there are more.
func (t *tx) removeNames(number int64) (more bool, err error) {
	n, err := t.exec(`DELETE FROM message_name WHERE (slice, application_id, kind, name, part) IN (
		SELECT slice, application_id, kind, name, part FROM message_name WHERE slice = $1 LIMIT $2)`, number, slice)
	return n == slice, err
}

// removeNamesOf removes what the index has of an application in slices in which
// all of its messages are gone, now that some are.
func (t *tx) removeNamesOf(app webhook.ID, gone []webhook.ID) error {
	if len(gone) == 0 {
		return nil
	}
	compare := func(a, b webhook.ID) int { return bytes.Compare(a[:], b[:]) }
	_, err := t.exec(`DELETE FROM message_name WHERE application_id = $1 AND slice IN (
		SELECT number FROM message_slice s WHERE s.last_id >= $2 AND s.first_id <= $3
		AND NOT EXISTS (SELECT 1 FROM message m WHERE m.application_id = $1 AND m.id >= s.first_id AND m.id <= s.last_id))`,
		key(app), key(slices.MinFunc(gone, compare)), key(slices.MaxFunc(gone, compare)))
	return err
}

// RemoveOldNames removes a part of a slice of the index of names whose messages
// are all gone. It reports whether there is more.
func (s *Store) RemoveOldNames(ctx context.Context) (more bool, err error) {
	err = s.writeSlice(ctx, func(t *tx) error {
		var number int64
		err := t.row(`SELECT number FROM message_slice s WHERE last_id < $1
			AND NOT EXISTS (SELECT 1 FROM message m WHERE m.id >= s.first_id AND m.id <= s.last_id) ORDER BY number LIMIT 1`,
			key(webhook.FloorID(time.Now().Add(-s.cfg.MessageRetention)))).Scan(&number)
		if more = err == nil; errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		left, err := t.removeNames(number)
		if err == nil && !left {
			_, err = t.exec(`DELETE FROM message_slice WHERE number = $1`, number)
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("remove old names: %w", err)
	}
	return more, nil
}

// lastIndexed is the newest id that the index of names covers; zero when it is
// empty.
func (s *Store) lastIndexed(ctx context.Context) (last webhook.ID, err error) {
	err = s.row(ctx, `SELECT last_id FROM message_slice ORDER BY number DESC LIMIT 1`).Scan(id(&last))
	if errors.Is(err, webhook.ErrNotFound) {
		err = nil
	}
	return last, err
}

// namedSlice is a slice with the ids of those of its messages that are about
// what is looked for.
type namedSlice struct {
	span
	ids []webhook.ID
}

// walk is a search through the index of names.
type walk struct {
	s      *Store
	app    webhook.ID
	q      *Search
	text   *fold
	enough int

	found Found[webhook.ID]
	// named counts the ids that were read, looked the messages, size the bytes
	// of their payloads.
	named, looked, size int
}

// run searches a page. It looks at a few slices where what is looked for is
// frequent, and at all of them where it is rare.
func (w *walk) run(ctx context.Context, p Page) error {
	most := w.s.cfg.NameSlice * 3 / 2
	if w.q.Sample == "" {
		most = 2 + most/idsPerRow
	}
	for {
		list, more, err := w.read(ctx, p, most)
		if err != nil {
			return err
		}
		if more && len(list) == 0 { // not even one slice fits
			most *= 2
			continue
		}
		for i := range list {
			if done, err := w.look(ctx, p, &list[i]); done || err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
		end := list[len(list)-1].end(p.Ascending)
		if p = p.beyond(end); w.named >= 2*w.s.cfg.NameSlice {
			w.found.Stopped = end
			return nil
		}
	}
}

// end is the id at which a slice is done, in the order of a page.
func (s *span) end(ascending bool) webhook.ID {
	if ascending {
		return s.last
	}
	return s.first
}

// read reads the slices of a page from most rows of the index. More says that
// there are further ones.
func (w *walk) read(ctx context.Context, p Page, most int) (list []namedSlice, more bool, err error) {
	query, args := w.query(p, most)
	rows, err := w.s.query(ctx, query, args...)
	all, err := collect(rows, err, func(row scanner) (struct{}, error) {
		var at span
		var messages []byte
		err := row.Scan(&at.number, id(&at.first), id(&at.last), &messages)
		if n := len(list); n == 0 || list[n-1].number != at.number {
			list = append(list, namedSlice{span: at})
		}
		s := &list[len(list)-1]
		for message := range slices.Chunk(messages, len(webhook.ID{})) {
			s.ids = append(s.ids, webhook.ID(message))
		}
		return struct{}{}, err
	})
	if more = len(all) == most; more {
		list = list[:len(list)-1] // there may be more of it
	}
	return list, more, err
}

func (w *walk) query(p Page, most int) (string, []any) {
	args := []any{key(w.app), sampleName, w.q.Sample}
	names, with := `n.application_id = $1 AND n.kind = $2 AND n.name >= $3`, ""
	switch end := beyond(w.q.Sample); {
	case w.q.Sample == "":
		args[1], args[2] = datasetName, w.q.Dataset
		names = `n.application_id = $1 AND n.kind = $2 AND n.name = $3`
	case end != "":
		args = append(args, end)
		names += ` AND n.name < $4`
	}
	if w.q.Sample != "" && w.q.Dataset != "" {
		args = append(args, datasetName, w.q.Dataset)
		with = fmt.Sprintf(` AND EXISTS (SELECT 1 FROM message_name d WHERE d.slice = s.number AND d.application_id = $1 AND d.kind = $%d AND d.name = $%d)`,
			len(args)-1, len(args))
	}
	if !p.After.IsZero() {
		args = append(args, key(p.After))
		with += fmt.Sprintf(` AND s.last_id > $%d`, len(args))
	}
	if !p.Before.IsZero() {
		args = append(args, key(p.Before))
		with += fmt.Sprintf(` AND s.first_id < $%d`, len(args))
	}
	direction := "DESC"
	if p.Ascending {
		direction = "ASC"
	}
	args = append(args, most)
	return `SELECT s.number, s.first_id, s.last_id, n.message_ids FROM ` + fmt.Sprintf(w.s.dialect.each, names) + ` WHERE TRUE` + with +
		fmt.Sprintf(` ORDER BY s.number %s LIMIT $%d`, direction, len(args)), args
}

// look looks at what is named in a slice, and reports whether the search is done.
func (w *walk) look(ctx context.Context, p Page, s *namedSlice) (done bool, err error) {
	w.named += len(s.ids)
	ids := slices.DeleteFunc(s.ids, func(id webhook.ID) bool { return !p.lets(id) })
	if w.q.Sample != "" && w.q.Dataset != "" {
		if ids, err = w.ofDataset(ctx, s.number, ids); err != nil {
			return false, err
		}
	}
	slices.SortFunc(ids, func(a, b webhook.ID) int { return bytes.Compare(a[:], b[:]) })
	if !p.Ascending {
		slices.Reverse(ids)
	}
	for some := range slices.Chunk(ids, atATime) {
		hits, err := w.hits(ctx, some)
		if err != nil {
			return false, err
		}
		for _, id := range some {
			if w.looked++; hits[id] {
				w.found.Rows = append(w.found.Rows, id)
			}
			if len(w.found.Rows) == w.enough {
				return true, nil
			}
			if w.looked >= w.s.cfg.MaxScan/2 || w.size >= searchBytes {
				w.found.Stopped = id
				return true, nil
			}
		}
	}
	return false, nil
}

// hits are those of the messages that the index has named that are there and are
// what is looked for.
func (w *walk) hits(ctx context.Context, ids []webhook.ID) (map[webhook.ID]bool, error) {
	columns, from := "id, NULL", " FROM message"+w.s.dialect.covered
	if w.q.Text != "" {
		columns, from = "id, payload", " FROM message"
	}
	which, args := w.s.among(ids, []any{key(w.app)})
	conditions, args := (&Search{EventType: w.q.EventType}).where("message", args)
	rows, err := w.s.query(ctx, `SELECT `+columns+from+` WHERE application_id = $1 AND id`+which+conditions, args...)
	hits := make(map[webhook.ID]bool, len(ids))
	_, err = collect(rows, err, func(row scanner) (struct{}, error) {
		var hit webhook.ID
		var payload sql.RawBytes
		err := row.Scan(id(&hit), &payload)
		w.size += len(payload)
		if w.text.in(payload) {
			hits[hit] = true
		}
		return struct{}{}, err
	})
	return hits, err
}

// ofDataset leaves of the ids of a slice those of messages about the dataset.
func (w *walk) ofDataset(ctx context.Context, number int64, ids []webhook.ID) ([]webhook.ID, error) {
	rows, err := w.s.query(ctx, `SELECT message_ids FROM message_name WHERE slice = $1 AND application_id = $2 AND kind = $3 AND name = $4`,
		number, key(w.app), datasetName, w.q.Dataset)
	has := make(map[webhook.ID]bool)
	_, err = collect(rows, err, func(row scanner) (struct{}, error) {
		var messages sql.RawBytes
		err := row.Scan(&messages)
		for message := range slices.Chunk(messages, len(webhook.ID{})) {
			has[webhook.ID(message)] = true
		}
		return struct{}{}, err
	})
	return slices.DeleteFunc(ids, func(id webhook.ID) bool { return !has[id] }), err
}
