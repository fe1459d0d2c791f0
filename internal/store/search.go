package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// SearchDepth is how many rows one page of a search looks at. A search that
// finds little says where it stopped, and goes on from there when asked to.
const SearchDepth = 10_000

// searchBytes is how much of payloads one page of a search looks at.
const searchBytes = 16 << 20

// Search is what to look for in the history of an application; its zero value
// lets all through.
type Search struct {
	EventType, Dataset string
	// Sample is how the name of the sample begins that it is about.
	Sample string
	// Text is in the payload, in upper or lower case.
	Text string
	// Since and Until bound when it happened; zero is open.
	Since, Until time.Time
	// Status narrows attempts as AttemptFilter does.
	Status *webhook.Status
}

// Found is one page of a search, in the order of the page.
type Found[T any] struct {
	Rows []T
	// Stopped is where the search stopped because it had looked at as much as a
	// page of it may, and may be asked to go on; zero when the page is full or
	// the history at its end.
	Stopped webhook.ID
}

// within narrows a page to the window of a search.
func (q *Search) within(p Page) Page {
	if !q.Since.IsZero() {
		p = p.from(webhook.FloorID(q.Since))
	}
	if until := webhook.FloorID(q.Until); !q.Until.IsZero() && (p.Before.IsZero() || bytes.Compare(until[:], p.Before[:]) < 0) {
		p.Before = until
	}
	return p
}

// possible reports whether there can be a row with such names at all: PostgreSQL
// refuses to be asked for others.
func (q *Search) possible() bool {
	all := q.EventType + q.Dataset + q.Sample
	return utf8.ValidString(all) && !strings.Contains(all, "\x00")
}

// beyond is the least text that is above all that begin with a prefix; "" when
// there is none.
func beyond(prefix string) string {
	runes := []rune(prefix)
	for i, r := range slices.Backward(runes) {
		switch r {
		case utf8.MaxRune:
			continue
		case 0xD7FF: // what follows are surrogates, which are no characters
			r = 0xE000
		default:
			r++
		}
		return string(append(runes[:i], r))
	}
	return ""
}

// where renders what a search asks of names as conditions on a table of messages
// under an alias.
func (q *Search) where(alias string, args []any) (string, []any) {
	var b strings.Builder
	for _, c := range []struct{ condition, value string }{
		{"%s.event_type = $%d", q.EventType}, {"%s.dataset = $%d", q.Dataset}, {"%s.subject >= $%d", q.Sample}, {"%s.subject < $%d", beyond(q.Sample)},
	} {
		if c.value != "" {
			args = append(args, c.value)
			fmt.Fprintf(&b, " AND "+c.condition, alias, len(args))
		}
	}
	return b.String(), args
}

// SearchMessages looks for messages of an application.
func (s *Store) SearchMessages(ctx context.Context, app webhook.ID, q Search, p Page) (Found[webhook.Message], error) {
	f, err := Found[webhook.ID]{}, error(nil)
	switch p = q.within(p); {
	case !q.possible():
	case q.Dataset != "" || q.Sample != "":
		f, err = s.searchNames(ctx, app, &q, p)
	default:
		f, err = s.scanMessages(ctx, app, &q, p, s.cfg.MaxScan)
	}
	if err != nil {
		return Found[webhook.Message]{}, fmt.Errorf("search messages: %w", err)
	}
	rows, err := s.messages(ctx, app, f.Rows, true)
	if err != nil {
		return Found[webhook.Message]{}, fmt.Errorf("search messages: %w", err)
	}
	return Found[webhook.Message]{rows, f.Stopped}, nil
}

// scanMessages looks at the messages of a page one by one, at most depth of them.
func (s *Store) scanMessages(ctx context.Context, app webhook.ID, q *Search, p Page, depth int) (f Found[webhook.ID], err error) {
	conditions, args := q.where("message", []any{key(app)})
	if conditions == "" && q.Text == "" {
		bounds, order, args := p.where("id", args)
		rows, err := s.query(ctx, `SELECT id FROM message WHERE application_id = $1`+bounds+order, args...)
		f.Rows, err = collect(rows, err, scanID)
		return f, err
	}
	h, err := s.horizon(ctx, `SELECT id FROM message WHERE application_id = $1`, app, p, depth)
	if err != nil {
		return f, err
	}
	p = h.within(p)
	look := func(p Page, columns string) (*sql.Rows, error) {
		bounds, order, args := p.where("id", slices.Clip(args))
		return s.query(ctx, `SELECT `+columns+` FROM message WHERE application_id = $1`+conditions+bounds+order, args...)
	}
	return scan(q, p, h, func(p Page) (*sql.Rows, error) {
		if q.Text == "" {
			return look(p, "id, NULL")
		}
		return look(p, "id, payload")
	})
}

// fewest and most bound how many payloads are asked for at a time: not many
// before it is known how large they are.
const fewest, most = 16, 1024

// scan reads ids, each with a payload to look into, until enough of them are
// hits. Look reads a page of them; h is how far.
func scan(q *Search, p Page, h Horizon, look func(Page) (*sql.Rows, error)) (f Found[webhook.ID], err error) {
	enough, text, size := p.Limit, newFold(q.Text), 0
	if q.Text != "" {
		p.Limit = fewest
	}
	for looked := 0; ; {
		rows, err := look(p)
		if err != nil {
			return f, translate(err)
		}
		n := 0
		var last webhook.ID
		for len(f.Rows) < enough && size < searchBytes && rows.Next() {
			var payload sql.RawBytes
			if err := rows.Scan(id(&last), &payload); err != nil {
				return f, errors.Join(translate(err), rows.Close())
			}
			n, size = n+1, size+len(payload)
			if text.in(payload) {
				f.Rows = append(f.Rows, last)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return f, translate(err)
		}
		switch {
		case len(f.Rows) == enough:
			return f, nil
		case size >= searchBytes:
			f.Stopped = last
			return f, nil
		case n < p.Limit:
			f.Stopped = h.Last
			return f, nil
		}
		p, looked = p.beyond(last), looked+n
		p.Limit = min(4*p.Limit, most, 1+(searchBytes-size)/(1+size/looked))
	}
}

// searchNames finds messages by the index of names, and those that are not in it
// yet by looking at them.
func (s *Store) searchNames(ctx context.Context, app webhook.ID, q *Search, p Page) (f Found[webhook.ID], err error) {
	last, err := s.lastIndexed(ctx)
	if err != nil {
		return f, err
	}
	parts := []func(Page) (Found[webhook.ID], error){
		func(p Page) (Found[webhook.ID], error) {
			return s.scanMessages(ctx, app, q, p.from(following(last)), tailDepth*s.cfg.MaxScan)
		},
		func(p Page) (Found[webhook.ID], error) {
			w := walk{s: s, app: app, q: q, enough: p.Limit, text: newFold(q.Text)}
			return w.found, w.run(ctx, p.to(last))
		},
	}
	if p.Ascending {
		slices.Reverse(parts)
	}
	for _, part := range parts {
		p.Limit -= len(f.Rows)
		found, err := part(p)
		f.Rows, f.Stopped = append(f.Rows, found.Rows...), found.Stopped
		if err != nil || !f.Stopped.IsZero() || len(found.Rows) == p.Limit {
			return f, err
		}
	}
	return f, nil
}

// tailDepth is how many times more rows are looked at that are not in the index
// of names yet: a burst of messages should not hide what is in it.
const tailDepth = 3

// messages reads messages by their ids, in that order; without those that are
// gone, and without payloads unless they are asked for.
func (s *Store) messages(ctx context.Context, app webhook.ID, ids []webhook.ID, payloads bool) ([]webhook.Message, error) {
	payload := "NULL"
	if payloads {
		payload = "payload"
	}
	byID := make(map[webhook.ID]*webhook.Message, len(ids))
	for some := range slices.Chunk(ids, atATime) {
		which, args := s.among(some, []any{key(app)})
		rows, err := s.query(ctx, `
			SELECT id, application_id, event_id, event_type, `+payload+`, channels, tags, dataset, subject, order_key, created_at, expires_at
			FROM message WHERE application_id = $1 AND id`+which, args...)
		found, err := collect(rows, err, scanMessage)
		if err != nil {
			return nil, err
		}
		for i := range found {
			byID[found[i].ID] = &found[i]
		}
	}
	list := make([]webhook.Message, 0, len(ids))
	for _, id := range ids {
		if m := byID[id]; m != nil {
			list = append(list, *m)
		}
	}
	return list, nil
}

// atATime is how many rows are asked for by their ids in one query.
const atATime = 64

// among renders a set of ids as the end of a condition. PostgreSQL looks up the
// members of an array whatever plan it has; SQLite gets as many places as ever,
// so that the statement is one.
func (s *Store) among(ids []webhook.ID, args []any) (string, []any) {
	if s.dialect.sets {
		keys := make([][]byte, len(ids))
		for i := range ids {
			keys[i] = key(ids[i])
		}
		args = append(args, keys)
		return fmt.Sprintf(" = ANY($%d)", len(args)), args
	}
	places := make([]string, atATime)
	for i := range places {
		args = append(args, key(ids[min(i, len(ids)-1)]))
		places[i] = fmt.Sprintf("$%d", len(args))
	}
	return " IN (" + strings.Join(places, ", ") + ")", args
}

// LoggedAttempt is an attempt as the log of an endpoint shows it: without
// headers and answer, and with the message that it was made for.
type LoggedAttempt struct {
	webhook.Attempt
	Of webhook.Message
}

// The log of an endpoint: attempts, but for those that only note that a replay
// made them needless or that a digest told of them, and what they were for.
const (
	logged = ` FROM endpoint_attempt a`
	inLog  = ` WHERE a.application_id = $1 AND a.endpoint_id = $2 AND a.number > 0 AND NOT (a.outcome = 7 AND a.ends IN (0, 1))`
)

// loggedFor joins attempts with their messages or digests, one look-up each:
// PostgreSQL is kept from reading all messages instead.
func (s *Store) loggedFor(from, covered string) string {
	message := ` LEFT JOIN message m` + covered + ` ON m.id = a.message_id AND m.application_id = a.application_id`
	if s.dialect.sets {
		message = ` LEFT JOIN LATERAL (SELECT * FROM message m WHERE m.id = a.message_id AND m.application_id = a.application_id OFFSET 0) m ON TRUE`
	}
	return from + message + ` LEFT JOIN digest g ON m.id IS NULL AND g.id = a.message_id AND g.application_id = a.application_id`
}

// whereLogged renders what a search asks as conditions on the log of an endpoint.
func (q *Search) whereLogged(args []any) (string, []any) {
	conditions := ""
	if q.Status != nil {
		conditions = statusConditions[*q.Status]
	}
	for _, c := range []struct{ condition, value string }{
		{" AND COALESCE(m.event_type, g.event_type) = $%d", q.EventType}, {" AND COALESCE(m.dataset, g.dataset) = $%d", q.Dataset},
	} {
		if c.value != "" {
			args = append(args, c.value)
			conditions += fmt.Sprintf(c.condition, len(args))
		}
	}
	return conditions, args
}

// SearchAttempts looks for attempts made at an endpoint. It asks nothing of the
// names of samples.
func (s *Store) SearchAttempts(ctx context.Context, app, endpoint webhook.ID, q Search, p Page) (Found[LoggedAttempt], error) {
	var f Found[LoggedAttempt]
	if !q.possible() {
		return f, nil
	}
	ids, err := s.scanAttempts(ctx, app, endpoint, &q, q.within(p))
	if err == nil {
		f.Stopped = ids.Stopped
		f.Rows, err = s.LoggedAttempts(ctx, app, endpoint, ids.Rows)
	}
	if err != nil {
		return f, fmt.Errorf("search attempts: %w", err)
	}
	return f, nil
}

func (s *Store) scanAttempts(ctx context.Context, app, endpoint webhook.ID, q *Search, p Page) (Found[webhook.ID], error) {
	conditions, args := q.whereLogged([]any{key(app), key(endpoint)})
	depth := s.cfg.MaxScan
	if named := q.EventType != "" || q.Dataset != ""; q.Text != "" || named && s.dialect.covered == "" {
		depth /= 2 // each message lies somewhere else than its attempt
	}
	h, err := s.horizon(ctx, `SELECT id FROM endpoint_attempt WHERE endpoint_id = $1`, endpoint, p, depth)
	if err != nil {
		return Found[webhook.ID]{}, err
	}
	columns, from := "a.id, NULL", logged
	switch {
	case q.Text != "":
		columns, from = "a.id, COALESCE(m.payload, g.body)", s.loggedFor(logged, "")
	case q.EventType != "" || q.Dataset != "":
		from = s.loggedFor(logged, s.dialect.covered)
	}
	return scan(q, h.within(p), h, func(p Page) (*sql.Rows, error) {
		bounds, order, args := p.where("a.id", slices.Clip(args))
		return s.query(ctx, `SELECT `+columns+from+inLog+conditions+bounds+order, args...)
	})
}

// AttemptsAfter are the newest attempts in the log of an endpoint that were made
// after one, newest first.
func (s *Store) AttemptsAfter(ctx context.Context, app, endpoint, after webhook.ID, limit int) ([]webhook.ID, error) {
	bounds, order, args := Page{After: after, Limit: limit}.where("a.id", []any{key(app), key(endpoint)})
	rows, err := s.query(ctx, `SELECT a.id`+logged+inLog+bounds+order, args...)
	return collect(rows, err, scanID)
}

// LoggedAttempts reads attempts by their ids, in that order.
func (s *Store) LoggedAttempts(ctx context.Context, app, endpoint webhook.ID, ids []webhook.ID) ([]LoggedAttempt, error) {
	byID := make(map[webhook.ID]LoggedAttempt, len(ids))
	for some := range slices.Chunk(ids, atATime) {
		which, args := s.among(some, []any{key(app), key(endpoint)})
		rows, err := s.query(ctx, `
			SELECT a.id, a.message_id, a.replay, a.number, a.outcome, a.ends, a.status_code, a.started_at, a.total, a.error,
				COALESCE(m.event_type, g.event_type), COALESCE(m.dataset, g.dataset), m.subject, m.tags, m.created_at,
				COALESCE(m.payload, g.body)`+s.loggedFor(` FROM attempt a`, "")+inLog+` AND a.id`+which, args...)
		_, err = collect(rows, err, func(row scanner) (struct{}, error) {
			a := LoggedAttempt{Attempt: webhook.Attempt{Application: app}}
			a.Endpoint = endpoint
			var total int64
			err := row.Scan(id(&a.ID), id(&a.Message), &a.Replay, &a.Number, &a.Outcome, &a.Ends, &a.StatusCode, intoTime{&a.StartedAt}, &total,
				&a.Error, intoText{&a.Of.EventType}, intoText{&a.Of.Dataset}, intoText{&a.Of.Subject}, intoJSON{&a.Of.Tags}, intoTime{&a.Of.CreatedAt}, &a.Of.Payload)
			a.Of.ID, a.Timings.Total = a.Message, micros(total)
			byID[a.ID] = a
			return struct{}{}, err
		})
		if err != nil {
			return nil, err
		}
	}
	list := make([]LoggedAttempt, 0, len(ids))
	for _, id := range ids {
		if a, ok := byID[id]; ok {
			list = append(list, a)
		}
	}
	return list, nil
}

// EachMessage hands over the newest messages of an application since a time,
// newest first, at most SearchDepth, as far as endpoints can want them: by type,
// channels, dataset and, when it is asked for, payload. What is handed over is
// valid until use returns. It reports whether there were more.
func (s *Store) EachMessage(ctx context.Context, app webhook.ID, since time.Time, withPayload bool, use func(*webhook.Message)) (more bool, err error) {
	payload := "NULL"
	if withPayload {
		payload = "payload"
	}
	rows, err := s.query(ctx, `SELECT event_type, `+payload+`, channels, tags, dataset, subject FROM message WHERE application_id = $1 AND id >= $2
		ORDER BY id DESC LIMIT $3`, key(app), key(webhook.FloorID(since)), s.cfg.MaxScan+1)
	var m webhook.Message
	n := 0
	_, err = collect(rows, err, func(row scanner) (struct{}, error) {
		m = webhook.Message{}
		err := row.Scan(&m.EventType, (*sql.RawBytes)(&m.Payload), intoJSON{&m.Channels}, intoJSON{&m.Tags}, intoText{&m.Dataset}, intoText{&m.Subject})
		if n++; err == nil && n <= s.cfg.MaxScan {
			use(&m)
		}
		return struct{}{}, err
	})
	if err != nil {
		return false, fmt.Errorf("messages since: %w", err)
	}
	return n > s.cfg.MaxScan, nil
}
