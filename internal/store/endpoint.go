package store

import (
	"context"
	"encoding/json"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"time"
)

const selectEndpoint = `
	SELECT id, application_id, uid, url, version, description, event_types, channels, datasets, filter, kind, digest_window,
		digest_most, headers, metadata, throttle, disabled, disabled_reason, disabled_at, secrets, failing_since, warnings,
		order_by, paused, resumed_at, release_rate, created_at, updated_at, (SELECT a.throttle FROM application a WHERE a.id = endpoint.application_id)
	FROM endpoint`

func (s *Store) scanEndpoint(row scanner) (*webhook.Endpoint, error) {
	var e webhook.Endpoint
	var headers, secrets []byte
	var window int64
	err := row.Scan(id(&e.ID), id(&e.Application), intoText{&e.UID}, &e.URL, &e.Version, &e.Description,
		intoJSON{&e.EventTypes}, intoJSON{&e.Channels}, intoJSON{&e.Datasets}, intoJSON{&e.Filter}, &e.Kind, &window,
		&e.Digest.Most, &headers, intoJSON{&e.Metadata},
		&e.Throttle, &e.Disabled, &e.DisabledReason, intoTime{&e.DisabledAt}, &secrets,
		intoTime{&e.FailingSince}, &e.Warnings, &e.Order, &e.Paused, intoTime{&e.ResumedAt}, &e.ReleaseRate, intoTime{&e.CreatedAt}, intoTime{&e.UpdatedAt}, &e.ApplicationThrottle)
	if err != nil {
		return nil, err
	}
	e.Digest.Window = micros(window)
	if err := s.unseal(headers, e.ID, &e.Headers); err != nil {
		return nil, fmt.Errorf("headers of endpoint %s: %w", webhook.EndpointID.Format(e.ID), err)
	}
	if err := s.unseal(secrets, e.ID, &e.Secrets); err != nil {
		return nil, fmt.Errorf("secrets of endpoint %s: %w", webhook.EndpointID.Format(e.ID), err)
	}
	return &e, nil
}

// seal encrypts v for the row it belongs to, so that it opens nowhere else.
func (s *Store) seal(v any, row webhook.ID) []byte {
	return s.sealer.Seal([]byte(text(v)), row[:])
}

func (s *Store) unseal(sealed []byte, row webhook.ID, into any) error {
	plain, err := s.sealer.Open(sealed, row[:])
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, into)
}

// endpoint finds an endpoint of an application by id or uid and, on
// PostgreSQL, locks it for the change that follows.
func (t *tx) endpoint(app webhook.ID, ref string) (*webhook.Endpoint, error) {
	where, args := endpointWhere(app, ref)
	return t.s.scanEndpoint(t.row(selectEndpoint+where+t.s.dialect.forUpdate, args...))
}

func endpointWhere(app webhook.ID, ref string) (where string, args []any) {
	if endpointID, err := webhook.EndpointID.Parse(ref); err == nil {
		return ` WHERE application_id = $1 AND id = $2 AND deleted_at IS NULL`, []any{key(app), key(endpointID)}
	}
	return ` WHERE application_id = $1 AND uid = $2 AND deleted_at IS NULL`, []any{key(app), named(ref)}
}

// Endpoint finds an endpoint of an application by id or uid.
func (s *Store) Endpoint(ctx context.Context, app webhook.ID, ref string) (*webhook.Endpoint, error) {
	where, args := endpointWhere(app, ref)
	e, err := s.scanEndpoint(s.row(ctx, selectEndpoint+where, args...))
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	return e, nil
}

// EndpointByID finds an endpoint whatever its application, for the dispatcher.
// A deleted one is ErrNotFound.
func (s *Store) EndpointByID(ctx context.Context, endpoint webhook.ID) (*webhook.Endpoint, error) {
	e, err := s.scanEndpoint(s.row(ctx, selectEndpoint+` WHERE id = $1 AND deleted_at IS NULL`, key(endpoint)))
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", webhook.EndpointID.Format(endpoint), err)
	}
	return e, nil
}

// Endpoints lists all endpoints of an application, oldest first. Applications
// have few; MaxEndpoints bounds them.
func (s *Store) Endpoints(ctx context.Context, app webhook.ID) ([]*webhook.Endpoint, error) {
	rows, err := s.query(ctx, selectEndpoint+` WHERE application_id = $1 AND deleted_at IS NULL ORDER BY id`, key(app))
	return collect(rows, err, s.scanEndpoint)
}

// EndpointPage lists endpoints of an application.
func (s *Store) EndpointPage(ctx context.Context, app webhook.ID, p Page) ([]*webhook.Endpoint, error) {
	bounds, order, args := p.where("id", []any{key(app)})
	rows, err := s.query(ctx, selectEndpoint+` WHERE application_id = $1 AND deleted_at IS NULL`+bounds+order, args...)
	return collect(rows, err, s.scanEndpoint)
}

// MaxEndpoints is how many endpoints an application may have. All of them are
// asked for each message, in memory.
const MaxEndpoints = 1000

// CreateEndpoint stores a new endpoint. The caller gives all but ID and times;
// a uid taken in the application is ErrConflict.
func (s *Store) CreateEndpoint(ctx context.Context, e webhook.Endpoint) (*webhook.Endpoint, error) {
	err := s.write(ctx, func(t *tx) error {
		app, err := t.application(e.Application)
		if err != nil {
			return fmt.Errorf("application: %w", err)
		}
		if len(app.endpoints) >= MaxEndpoints {
			return fmt.Errorf("%d endpoints: %w", len(app.endpoints), webhook.ErrLimit)
		}
		now := time.Now()
		e.ID = s.ids.New(now)
		e.CreatedAt = webhook.FromMicros(now.UnixMicro())
		e.UpdatedAt = e.CreatedAt
		if err := t.insertEndpoint(&e); err != nil {
			return err
		}
		return t.operational(app.Environment, endpointEvent("endpoint.created", &app.Application, &e))
	})
	if err != nil {
		return nil, fmt.Errorf("create endpoint: %w", err)
	}
	return &e, nil
}

func (t *tx) insertEndpoint(e *webhook.Endpoint) error {
	n, err := t.exec(`
		INSERT INTO endpoint (id, application_id, uid, url, version, description, event_types, channels, datasets, headers,
			metadata, throttle, disabled, disabled_reason, disabled_at, secrets, failing_since, created_at, updated_at,
			filter, kind, digest_window, digest_most, warnings, order_by, paused, resumed_at, release_rate)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0, $17, $17, $18, $19, $20, $21, 0, $22, $23, 0, $24)
		ON CONFLICT DO NOTHING`,
		key(e.ID), key(e.Application), optionalText(e.UID), e.URL, e.Version, e.Description, list(e.EventTypes),
		list(e.Channels), list(e.Datasets), t.s.seal(e.Headers, e.ID), text(e.Metadata), e.Throttle, e.Disabled,
		e.DisabledReason, webhook.Micros(e.DisabledAt), t.s.seal(e.Secrets, e.ID), webhook.Micros(e.CreatedAt),
		filter(e.Filter), int(e.Kind), e.Digest.Window.Microseconds(), e.Digest.Most, string(e.Order), e.Paused, e.ReleaseRate)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("endpoint uid %q: %w", e.UID, webhook.ErrConflict)
	}
	return t.touch(e.Application)
}

// UpdateEndpoint changes an endpoint by the function given, which may be
// called more than once. Deliveries that are open when it becomes disabled are
// canceled.
func (s *Store) UpdateEndpoint(ctx context.Context, app webhook.ID, ref string, change func(*webhook.Endpoint) error) (*webhook.Endpoint, error) {
	var e *webhook.Endpoint
	err := s.write(ctx, func(t *tx) (err error) {
		if e, err = t.endpoint(app, ref); err != nil {
			return err
		}
		was, uid, paused := e.Disabled, e.UID, e.Paused
		if err := change(e); err != nil {
			return err
		}
		if e.UID != uid {
			if err := t.freeEndpointUID(e); err != nil {
				return err
			}
		}
		now := webhook.FromMicros(time.Now().UnixMicro())
		switch {
		case e.Disabled && !was:
			e.DisabledAt = now
		case !e.Disabled:
			e.DisabledAt, e.DisabledReason, e.FailingSince, e.Warnings = time.Time{}, "", time.Time{}, 0
		}
		if paused && !e.Paused {
			e.ResumedAt = now
		}
		e.UpdatedAt = now
		e.Secrets = slices.DeleteFunc(e.Secrets, func(s webhook.Secret) bool {
			return !s.ExpiresAt.IsZero() && !s.ExpiresAt.After(now)
		})
		if err := t.saveEndpoint(e); err != nil {
			return err
		}
		return t.endpointChanged(e, was)
	})
	if err != nil {
		return nil, fmt.Errorf("update endpoint: %w", err)
	}
	return e, nil
}

// freeEndpointUID refuses a uid that another endpoint of the application bears.
func (t *tx) freeEndpointUID(e *webhook.Endpoint) error {
	var n int
	err := t.row(`SELECT count(*) FROM endpoint WHERE application_id = $1 AND uid = $2 AND id <> $3 AND deleted_at IS NULL`,
		key(e.Application), e.UID, key(e.ID)).Scan(&n)
	if err == nil && n > 0 {
		return fmt.Errorf("endpoint uid %q: %w", e.UID, webhook.ErrConflict)
	}
	return err
}

func (t *tx) saveEndpoint(e *webhook.Endpoint) error {
	_, err := t.exec(`
		UPDATE endpoint SET uid = $2, url = $3, version = $4, description = $5, event_types = $6, channels = $7,
			datasets = $8, headers = $9, metadata = $10, throttle = $11, disabled = $12, disabled_reason = $13,
			disabled_at = $14, secrets = $15, failing_since = $16, updated_at = $17, filter = $18, kind = $19,
			digest_window = $20, digest_most = $21, warnings = $22, order_by = $23, paused = $24, resumed_at = $25, release_rate = $26
		WHERE id = $1`,
		key(e.ID), optionalText(e.UID), e.URL, e.Version, e.Description, list(e.EventTypes), list(e.Channels),
		list(e.Datasets), t.s.seal(e.Headers, e.ID), text(e.Metadata), e.Throttle, e.Disabled, e.DisabledReason,
		webhook.Micros(e.DisabledAt), t.s.seal(e.Secrets, e.ID), webhook.Micros(e.FailingSince), webhook.Micros(e.UpdatedAt),
		filter(e.Filter), int(e.Kind), e.Digest.Window.Microseconds(), e.Digest.Most, e.Warnings, string(e.Order), e.Paused,
		webhook.Micros(e.ResumedAt), e.ReleaseRate)
	if err != nil {
		return err
	}
	t.changed(e.ID)
	return t.touch(e.Application)
}

// changed tells the dispatcher, once the change is durable.
func (t *tx) changed(endpoint webhook.ID) {
	t.changes = append(t.changes, endpoint)
}

// DeleteEndpoint removes an endpoint. Its history stays; its open deliveries
// are canceled.
func (s *Store) DeleteEndpoint(ctx context.Context, app webhook.ID, ref string) error {
	err := s.write(ctx, func(t *tx) error {
		e, err := t.endpoint(app, ref)
		if err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE endpoint SET deleted_at = $2 WHERE id = $1`, key(e.ID), time.Now().UnixMicro()); err != nil {
			return err
		}
		t.changed(e.ID)
		if err := t.touch(app); err != nil {
			return err
		}
		return t.tellEndpoint("endpoint.deleted", e)
	})
	if err != nil {
		return fmt.Errorf("delete endpoint: %w", err)
	}
	return nil
}

// Stats counts the attempts made at an endpoint from since to until, by what
// came of them.
type Stats struct{ Succeeded, Failed, Canceled int64 }

// EndpointStats counts: whole hours by what was counted with each commit, and
// what the window has of other hours attempt by attempt.
func (s *Store) EndpointStats(ctx context.Context, endpoint webhook.ID, since, until time.Time) (Stats, error) {
	first, last := since.Add(time.Hour-1).Truncate(time.Hour), until.Truncate(time.Hour)
	parts := [][2]time.Time{{since, first}, {last, until}}
	if first.After(last) {
		first, last = since, since // within one hour
		parts = [][2]time.Time{{since, until}}
	}
	var c, n Stats
	hours, err := s.EndpointHours(ctx, endpoint, first)
	for _, h := range hours {
		if !h.At.Before(first) && h.At.Before(last) {
			c.Succeeded, c.Failed, c.Canceled = c.Succeeded+h.Succeeded, c.Failed+h.Failed, c.Canceled+h.Canceled
		}
	}
	for _, part := range parts {
		if err != nil {
			break
		}
		err = s.row(ctx, `
			SELECT count(*) FILTER (WHERE outcome = 0), count(*) FILTER (WHERE outcome <> 0 AND NOT (outcome = 7 AND ends <> 2)),
				count(*) FILTER (WHERE outcome = 7 AND ends = 3)
			FROM endpoint_attempt WHERE endpoint_id = $1 AND number > 0 AND id >= $2 AND id < $3`,
			key(endpoint), key(webhook.FloorID(part[0])), key(webhook.FloorID(part[1]))).Scan(&n.Succeeded, &n.Failed, &n.Canceled)
		c.Succeeded, c.Failed, c.Canceled = c.Succeeded+n.Succeeded, c.Failed+n.Failed, c.Canceled+n.Canceled
	}
	if err != nil {
		return c, fmt.Errorf("stats: %w", err)
	}
	return c, nil
}
