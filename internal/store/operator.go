package store

import (
	"context"
	"encoding/json"
	"fanfare/internal/webhook"
	"fmt"
	"strings"
	"time"
)

// What an operator looks at. Everything here is bounded: counts stop at a
// limit, and history is read through its hourly counts.

// CountLimit is where counting the queue stops.
const CountLimit = 100_000

// Queue is what waits to be sent, counted within bounds that suit a page.
type Queue struct {
	// Open are the deliveries that have not ended, Due those of them that are
	// due and that nobody has taken; counting stops at CountLimit.
	Open, Due int64
	// Oldest is when the one was due that waits longest; zero for none.
	Oldest time.Time
	// Fullest are the endpoints for which most is waiting.
	Fullest []Waiting
}

// Waiting is how much waits for an endpoint.
type Waiting struct {
	Subject

	Deliveries int64
}

// Subject is an endpoint as an operator sees it.
type Subject struct {
	Endpoint, Application webhook.ID
	URL, ApplicationName  string
}

const (
	// fullest is how many endpoints are listed, distinct how many are looked at.
	fullest  = 10
	distinct = 1000
	// eachLimit is where counting for one endpoint stops.
	eachLimit = 10_000
)

// countFullest walks over the endpoints for which something waits, a look-up in
// the index for each.
const countFullest = `
	WITH RECURSIVE e(id) AS (
		SELECT (SELECT endpoint_id FROM delivery WHERE owner IS NULL ORDER BY endpoint_id LIMIT 1)
		UNION ALL
		SELECT (SELECT d.endpoint_id FROM delivery d WHERE d.owner IS NULL AND d.endpoint_id > e.id ORDER BY d.endpoint_id LIMIT 1)
		FROM e WHERE e.id IS NOT NULL
	)
	SELECT w.id, a.id, p.url, a.name, w.waiting FROM (
		SELECT f.id, (SELECT count(*) FROM (SELECT 1 FROM delivery d WHERE d.endpoint_id = f.id AND d.owner IS NULL LIMIT $2) n) AS waiting
		FROM (SELECT id FROM e WHERE id IS NOT NULL LIMIT $3) f
	) w JOIN endpoint p ON p.id = w.id JOIN application a ON a.id = p.application_id
	ORDER BY w.waiting DESC, w.id LIMIT $1`

// Queued counts what waits.
func (s *Store) Queued(ctx context.Context) (Queue, error) {
	var b Queue
	err := s.row(ctx, `
		SELECT (SELECT count(*) FROM (SELECT 1 FROM delivery LIMIT $1) o),
			count(*), coalesce(min(w.due_at), 0)
		FROM (SELECT due_at FROM delivery WHERE owner IS NULL LIMIT $1) w WHERE w.due_at <= $2`, CountLimit, time.Now().UnixMicro()).
		Scan(&b.Open, &b.Due, intoTime{&b.Oldest})
	if err != nil {
		return b, fmt.Errorf("queue: %w", err)
	}
	rows, err := s.query(ctx, countFullest, fullest, eachLimit, distinct)
	b.Fullest, err = collect(rows, err, func(row scanner) (w Waiting, err error) {
		err = row.Scan(id(&w.Endpoint), id(&w.Application), &w.URL, &w.ApplicationName, &w.Deliveries)
		return w, err
	})
	return b, err
}

// Trouble is an endpoint that fails, or was disabled because it did.
type Trouble struct {
	Subject

	Since    time.Time
	Disabled bool
	Reason   string
}

// FailingEndpoints lists the endpoints that fail, those that have for longest
// first, and then those that were disabled for it, the newest first.
func (s *Store) FailingEndpoints(ctx context.Context, limit int) ([]Trouble, error) {
	rows, err := s.query(ctx, `
		SELECT e.id, a.id, e.url, a.name, CASE WHEN e.disabled THEN e.disabled_at ELSE e.failing_since END, e.disabled, e.disabled_reason
		FROM endpoint e JOIN application a ON a.id = e.application_id
		WHERE (e.failing_since > 0 OR e.disabled_reason <> '') AND e.deleted_at IS NULL AND a.deleted_at IS NULL
			AND (NOT e.disabled AND e.failing_since > 0 OR e.disabled AND e.disabled_reason <> '')
		ORDER BY e.disabled, CASE WHEN e.disabled THEN -e.disabled_at ELSE e.failing_since END, e.id LIMIT $1`, limit)
	return collect(rows, err, func(row scanner) (f Trouble, err error) {
		err = row.Scan(id(&f.Endpoint), id(&f.Application), &f.URL, &f.ApplicationName, intoTime{&f.Since}, &f.Disabled, &f.Reason)
		return f, err
	})
}

// Pace is how fast an endpoint answers.
type Pace struct {
	Subject

	Hour webhook.Hour
}

// minCalls is how many calls make an endpoint's pace worth telling.
const minCalls = 5

// SlowestEndpoints lists the endpoints whose calls took longest on the average,
// since the beginning of an hour, slowest first.
func (s *Store) SlowestEndpoints(ctx context.Context, since time.Time, limit int) ([]Pace, error) {
	since = since.Truncate(time.Hour)
	rows, err := s.query(ctx, `
		SELECT h.endpoint_id, a.id, e.url, a.name FROM (
			SELECT endpoint_id, sum(bucket * attempts) * 1.0 / sum(attempts) AS slowness FROM endpoint_hour WHERE hour >= $1 AND result < 2
			GROUP BY endpoint_id HAVING sum(attempts) >= $2
		) h JOIN endpoint e ON e.id = h.endpoint_id JOIN application a ON a.id = e.application_id
		WHERE e.deleted_at IS NULL
		ORDER BY h.slowness DESC, h.endpoint_id LIMIT $3`, webhook.Micros(since), minCalls, limit)
	list, err := collect(rows, err, func(row scanner) (p Pace, err error) {
		err = row.Scan(id(&p.Endpoint), id(&p.Application), &p.URL, &p.ApplicationName)
		return p, err
	})
	if err != nil {
		return nil, err
	}
	for i := range list {
		hours, err := s.EndpointHours(ctx, list[i].Endpoint, since)
		if err != nil {
			return nil, err
		}
		for _, h := range hours {
			list[i].Hour.Succeeded += h.Succeeded
			list[i].Hour.Failed += h.Failed
			for bucket, n := range h.Latency {
				list[i].Hour.Latency[bucket] += n
			}
		}
	}
	return list, nil
}

// Sent counts the calls of all endpoints since the beginning of an hour.
func (s *Store) Sent(ctx context.Context, since time.Time) (succeeded, failed int64, err error) {
	err = s.row(ctx, `
		SELECT coalesce(sum(CASE WHEN result = 0 THEN attempts ELSE 0 END), 0), coalesce(sum(CASE WHEN result = 1 THEN attempts ELSE 0 END), 0)
		FROM endpoint_hour WHERE hour >= $1`, webhook.Micros(since.Truncate(time.Hour))).Scan(&succeeded, &failed)
	return succeeded, failed, err
}

// Tenant is an application as an operator sees it.
type Tenant struct {
	webhook.Application

	EnvironmentName string
	// AccountName is that of the account it belongs to; "" for none.
	AccountName string
	Endpoints   int
}

// Tenants lists the applications of all environments whose name, uid or id
// holds a text, the newest first.
func (s *Store) Tenants(ctx context.Context, text string, p Page) ([]Tenant, error) {
	pattern := "%" + likeEscaper.Replace(strings.ToLower(text)) + "%"
	exact, err := webhook.ApplicationID.Parse(strings.ToLower(text))
	if err != nil {
		exact = webhook.ID{}
	}
	bounds, order, args := p.where("application.id", []any{pattern, key(exact)})
	rows, err := s.query(ctx, `
		SELECT application.id, application.environment_id, application.uid, application.name, application.throttle,
			application.account_id, application.created_at, v.name, c.name,
			(SELECT count(*) FROM endpoint e WHERE e.application_id = application.id AND e.deleted_at IS NULL)
		FROM application JOIN environment v ON v.id = application.environment_id LEFT JOIN account c ON c.id = application.account_id
		WHERE application.deleted_at IS NULL AND NOT application.operational
		AND (lower(application.name) LIKE $1 ESCAPE '!' OR lower(coalesce(application.uid, '')) LIKE $1 ESCAPE '!' OR application.id = $2)`+
		bounds+order, args...)
	return collect(rows, err, func(row scanner) (t Tenant, err error) {
		err = row.Scan(id(&t.ID), id(&t.Environment), intoText{&t.UID}, &t.Name, &t.Throttle, id(&t.Account), intoTime{&t.CreatedAt},
			&t.EnvironmentName, intoText{&t.AccountName}, &t.Endpoints)
		return t, err
	})
}

// likeEscaper takes from a text what LIKE would read as a wildcard.
var likeEscaper = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

// Typed is an event type as an operator sees it.
type Typed struct {
	webhook.EventType

	EnvironmentName string
}

// AllEventTypes lists the event types of all environments, archived ones too.
func (s *Store) AllEventTypes(ctx context.Context, limit int) ([]Typed, error) {
	rows, err := s.query(ctx, `
		SELECT v.name, t.name, t.description, t.archived, t.deprecated, t.validated, t.group_name, t.created_at,
			CASE WHEN t.schemas IS NULL THEN 0 ELSE 1 END
		FROM event_type t JOIN environment v ON v.id = t.environment_id ORDER BY v.name, t.name LIMIT $1`, limit)
	return collect(rows, err, func(row scanner) (t Typed, err error) {
		var described int
		err = row.Scan(&t.EnvironmentName, &t.Name, &t.Description, &t.Archived, &t.Deprecated, &t.Validated, intoText{&t.GroupName},
			intoTime{&t.CreatedAt}, &described)
		if described > 0 {
			t.Schemas = map[string]json.RawMessage{"": nil} // that there are some
		}
		return t, err
	})
}

// SaveOperatorSession begins a session of somebody who has no account and knows
// the operator's token.
func (s *Store) SaveOperatorSession(ctx context.Context, hash []byte) error {
	return s.write(ctx, func(t *tx) error {
		at := time.Now().UnixMicro()
		_, err := t.exec(`INSERT INTO session (hash, created_at, seen_at) VALUES ($1, $2, $2)`, hash, at)
		return err
	})
}

// OperatorSession says when such a session began; one that is not there is
// webhook.ErrNotFound.
func (s *Store) OperatorSession(ctx context.Context, hash []byte) (began time.Time, err error) {
	err = s.row(ctx, `SELECT created_at FROM session WHERE hash = $1 AND account_id IS NULL AND token_id IS NULL`, hash).Scan(intoTime{&began})
	if err != nil {
		return began, fmt.Errorf("operator session: %w", err)
	}
	return began, nil
}

// Tenant finds an application of any environment.
func (s *Store) Tenant(ctx context.Context, app webhook.ID) (Tenant, error) {
	list, err := s.Tenants(ctx, webhook.ApplicationID.Format(app), Page{Limit: 1})
	if err == nil && len(list) == 0 {
		err = webhook.ErrNotFound
	}
	if err != nil {
		return Tenant{}, fmt.Errorf("application: %w", err)
	}
	return list[0], nil
}
