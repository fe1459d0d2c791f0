package store

import (
	"bytes"
	"context"
	"database/sql"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"strings"
	"time"
)

// SearchDepth is how many rows one page of a search looks at. A search that
// finds little says where it stopped, and goes on from there when asked to.
const SearchDepth = 10_000

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
	// Stopped is where the search stopped because it had looked at SearchDepth
	// rows, and may be asked to go on; zero when the page is full or the
	// history at its end.
	Stopped webhook.ID
}

// depth is the page of rows to look at for a page of results.
func (q *Search) depth(p Page) Page {
	limit := SearchDepth
	if q.EventType == "" && q.Dataset == "" && q.Sample == "" && q.Text == "" && q.Status == nil {
		limit = p.Limit
	}
	p.Limit = limit
	if since := webhook.FloorID(q.Since); !q.Since.IsZero() && bytes.Compare(since[:], p.After[:]) > 0 {
		p.After = since
	}
	if until := webhook.FloorID(q.Until); !q.Until.IsZero() && (p.Before.IsZero() || bytes.Compare(until[:], p.Before[:]) < 0) {
		p.Before = until
	}
	return p
}

func (q *Search) lets(m *webhook.Message) bool {
	return (q.EventType == "" || q.EventType == m.EventType) && (q.Dataset == "" || q.Dataset == m.Dataset) &&
		strings.HasPrefix(m.Subject, q.Sample) &&
		(q.Text == "" || containsFold(m.Payload, q.Text))
}

// containsFold reports whether a payload holds a text, whatever their case.
func containsFold(payload []byte, s string) bool {
	return bytes.Contains(bytes.ToLower(payload), []byte(strings.ToLower(s)))
}

// search reads rows until limit of them are hits.
func search[T any](rows *sql.Rows, err error, read func(scanner) (row T, at webhook.ID, hit bool, err error), limit int) (Found[T], error) {
	var f Found[T]
	if err != nil {
		return f, translate(err)
	}
	defer rows.Close() //nolint:errcheck // Err below tells
	looked, last := 0, webhook.ID{}
	for len(f.Rows) < limit && rows.Next() {
		row, at, hit, err := read(rows)
		if err != nil {
			return f, translate(err)
		}
		looked, last = looked+1, at
		if hit {
			f.Rows = append(f.Rows, row)
		}
	}
	if len(f.Rows) < limit && looked == SearchDepth {
		f.Stopped = last
	}
	return f, translate(rows.Err())
}

// payloadFor selects the payload where a search looks into it.
func (q *Search) payloadFor(column string) string {
	if q.Text == "" {
		return "NULL"
	}
	return column
}

// SearchMessages looks for messages of an application.
func (s *Store) SearchMessages(ctx context.Context, app webhook.ID, q Search, p Page) (Found[webhook.Message], error) {
	bounds, order, args := q.depth(p).where("id", []any{key(app)})
	rows, err := s.query(ctx, `
		SELECT id, application_id, event_id, event_type, `+q.payloadFor("payload")+`, channels, tags, dataset, subject, order_key, created_at, expires_at
		FROM message WHERE application_id = $1`+bounds+order, args...)
	f, err := search(rows, err, func(row scanner) (webhook.Message, webhook.ID, bool, error) {
		m, err := scanMessage(row)
		return m, m.ID, q.lets(&m), err
	}, p.Limit)
	if err != nil {
		return f, fmt.Errorf("search messages: %w", err)
	}
	ids := make([]webhook.ID, len(f.Rows))
	for i := range f.Rows {
		ids[i] = f.Rows[i].ID
	}
	payloads, err := s.payloads(ctx, app, ids)
	for i := range f.Rows {
		f.Rows[i].Payload = payloads[f.Rows[i].ID]
	}
	return f, err
}

// payloads reads those of a page of messages or digests.
func (s *Store) payloads(ctx context.Context, app webhook.ID, messages []webhook.ID) (map[webhook.ID][]byte, error) {
	found := map[webhook.ID][]byte{}
	slices.SortFunc(messages, func(a, b webhook.ID) int { return bytes.Compare(a[:], b[:]) })
	messages = slices.Compact(messages)
	if len(messages) == 0 {
		return found, nil
	}
	args, places := []any{key(app)}, make([]string, len(messages))
	for i, m := range messages {
		args = append(args, key(m))
		places[i] = fmt.Sprintf("$%d", i+2)
	}
	in := ` WHERE application_id = $1 AND id IN (` + strings.Join(places, ", ") + `)`
	rows, err := s.query(ctx, `SELECT id, payload FROM message`+in+` UNION ALL SELECT id, body FROM digest`+in, args...)
	_, err = collect(rows, err, func(row scanner) (struct{}, error) {
		var m webhook.ID
		var payload []byte
		err := row.Scan(id(&m), &payload)
		found[m] = payload
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("payloads: %w", err)
	}
	return found, nil
}

// LoggedAttempt is an attempt as the log of an endpoint shows it: without
// headers and answer, and with the message that it was made for.
type LoggedAttempt struct {
	webhook.Attempt
	Of webhook.Message
}

// SearchAttempts looks for attempts made at an endpoint.
func (s *Store) SearchAttempts(ctx context.Context, app, endpoint webhook.ID, q Search, p Page) (Found[LoggedAttempt], error) {
	bounds, order, args := q.depth(p).where("a.id", []any{key(app), key(endpoint)})
	rows, err := s.query(ctx, `
		SELECT a.id, a.message_id, a.replay, a.number, a.outcome, a.ends, a.status_code, a.started_at, a.total, a.error,
			COALESCE(m.event_type, g.event_type), COALESCE(m.dataset, g.dataset), m.subject, m.tags, m.created_at, `+
		q.payloadFor("COALESCE(m.payload, g.body)")+`
		FROM attempt a LEFT JOIN message m ON m.id = a.message_id AND m.application_id = a.application_id
		LEFT JOIN digest g ON g.id = a.message_id AND g.application_id = a.application_id
		WHERE a.application_id = $1 AND a.endpoint_id = $2 AND a.number > 0 AND NOT (a.outcome = 7 AND a.ends IN (0, 1))`+bounds+order, args...)
	f, err := search(rows, err, func(row scanner) (LoggedAttempt, webhook.ID, bool, error) {
		a := LoggedAttempt{Attempt: webhook.Attempt{Application: app}}
		a.Endpoint = endpoint
		var total int64
		err := row.Scan(id(&a.ID), id(&a.Message), &a.Replay, &a.Number, &a.Outcome, &a.Ends, &a.StatusCode, intoTime{&a.StartedAt}, &total,
			&a.Error, intoText{&a.Of.EventType}, intoText{&a.Of.Dataset}, intoText{&a.Of.Subject}, intoJSON{&a.Of.Tags}, intoTime{&a.Of.CreatedAt}, &a.Of.Payload)
		a.Of.ID, a.Timings.Total = a.Message, micros(total)
		return a, a.ID, (q.Status == nil || *q.Status == a.Alone()) && q.lets(&a.Of), err
	}, p.Limit)
	if err != nil {
		return f, fmt.Errorf("search attempts: %w", err)
	}
	ids := make([]webhook.ID, len(f.Rows))
	for i := range f.Rows {
		ids[i] = f.Rows[i].Message
	}
	payloads, err := s.payloads(ctx, app, ids)
	for i := range f.Rows {
		f.Rows[i].Of.Payload = payloads[f.Rows[i].Message]
	}
	return f, err
}

// EachMessage hands over the newest messages of an application since a time,
// newest first, at most SearchDepth; payloads only when they are asked for. It
// reports whether there were more.
func (s *Store) EachMessage(ctx context.Context, app webhook.ID, since time.Time, withPayload bool, use func(*webhook.Message)) (more bool, err error) {
	payload := "NULL"
	if withPayload {
		payload = "payload"
	}
	rows, err := s.query(ctx, `
		SELECT id, application_id, event_id, event_type, `+payload+`, channels, tags, dataset, subject, order_key, created_at, expires_at
		FROM message WHERE application_id = $1 AND id >= $2 ORDER BY id DESC LIMIT $3`, key(app), key(webhook.FloorID(since)), SearchDepth+1)
	n := 0
	_, err = search(rows, err, func(row scanner) (struct{}, webhook.ID, bool, error) {
		m, err := scanMessage(row)
		if n++; err == nil && n <= SearchDepth {
			use(&m)
		}
		return struct{}{}, m.ID, false, err
	}, 1)
	if err != nil {
		return false, fmt.Errorf("messages since: %w", err)
	}
	return n > SearchDepth, nil
}
