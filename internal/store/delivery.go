package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"time"
)

// The lanes of the queue; see the table.
const (
	firstLane   int64 = 0
	retryLane   int64 = 1
	gatherLane  int64 = 2
	digestLane  int64 = 3
	blockedLane int64 = 4
)

func laneOf(d *webhook.Delivery) int64 {
	switch {
	case d.Gathered:
		return gatherLane
	case d.Blocked:
		return blockedLane
	case d.First():
		return firstLane
	default:
		return retryLane
	}
}

// lease is when a claim made now ends, on the database's clock: at no time for
// the one node of a SQLite file, which releases all claims when it starts.
func (s *Store) lease() string {
	if s.dialect.name == sqliteDialect.name && s.cfg.Exclusive {
		return "0"
	}
	return fmt.Sprintf("%s + %d", s.dialect.clock, s.cfg.Lease.Microseconds())
}

// newDeliverySet is how open deliveries are stored. Those with a claim are
// claimed by this node.
func (s *Store) newDeliverySet() *set {
	return newSet("delivery", "message_id BYTEA", "endpoint_id BYTEA", "replay BIGINT mostly 0", "application_id BYTEA",
		"lane BIGINT mostly 0", "order_key TEXT mostly NULL", "created_at BIGINT", "due_at BIGINT", "owner BYTEA", "claim BIGINT mostly 1",
		"attempts = 0", "calls = 0", "held_since = 0", "lease_until = "+s.lease())
}

func (t *tx) deliveryRow(d *webhook.Delivery) []any {
	var owner any
	if d.Claim > 0 {
		owner = key(t.s.node)
	}
	return []any{
		key(d.Message), key(d.Endpoint), d.Replay, key(d.Application), laneOf(d), optionalText(d.OrderKey), webhook.Micros(d.CreatedAt),
		webhook.Micros(d.DueAt), owner, d.Claim,
	}
}

// claimDeliveries takes the oldest due rows of one lane of an endpoint.
const claimDeliveries = `
	UPDATE delivery SET owner = $1, claim = claim + 1, lease_until = %s
	WHERE (message_id, endpoint_id, replay) IN (
		SELECT message_id, endpoint_id, replay FROM delivery
		WHERE endpoint_id = $2 AND lane = $3 AND owner IS NULL AND due_at <= $4
		ORDER BY due_at LIMIT $5%s)
	RETURNING message_id, endpoint_id, replay, application_id, attempts, calls, created_at, due_at, held_since, claim, order_key,
		(SELECT event_type FROM message m WHERE m.id = delivery.message_id AND m.application_id = delivery.application_id),
		(SELECT payload FROM message m WHERE m.id = delivery.message_id AND m.application_id = delivery.application_id)`

// Claim takes up to limit deliveries of an endpoint that are due. With
// retriesOnly, first attempts are left where they are: the endpoint rests. An
// endpoint that is paused gets nothing.
// What waits for an endpoint that is disabled or deleted is canceled instead,
// in slices.
func (s *Store) Claim(ctx context.Context, endpoint webhook.ID, limit int, retriesOnly bool) (webhook.Claimed, error) {
	var c webhook.Claimed
	err := s.committers.units.do(ctx, work{unit: func(t *tx) (err error) {
		c = webhook.Claimed{}
		c.Endpoint, err = s.scanEndpoint(t.row(selectEndpoint+` WHERE id = $1 AND deleted_at IS NULL`, key(endpoint)))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if c.Endpoint == nil || c.Endpoint.Disabled {
			err = t.cancelWaiting(endpoint, c.Endpoint)
		} else if !c.Endpoint.Paused {
			c.Jobs, err = t.claim(c.Endpoint, limit, retriesOnly)
		}
		if err != nil {
			return err
		}
		if c.FirstDue, err = t.nextDue(endpoint, firstLane); err != nil {
			return err
		}
		c.RetryDue, err = t.nextDue(endpoint, retryLane)
		return err
	}}, max(1, limit))
	if err != nil {
		return webhook.Claimed{}, fmt.Errorf("claim for endpoint %s: %w", webhook.EndpointID.Format(endpoint), err)
	}
	return c, nil
}

// claim shares what room there is between retries and first attempts, so that
// neither waits behind a mountain of the other.
func (t *tx) claim(e *webhook.Endpoint, limit int, retriesOnly bool) ([]webhook.Job, error) {
	retries := limit
	if !retriesOnly {
		retries = (limit + 1) / 2
	}
	jobs, err := t.claimLane(nil, e, retryLane, retries)
	if err != nil || retriesOnly {
		return jobs, err
	}
	jobs, err = t.claimLane(jobs, e, firstLane, limit-len(jobs))
	if err != nil {
		return nil, err
	}
	return jobs, nil
}

func (t *tx) claimLane(jobs []webhook.Job, e *webhook.Endpoint, lane int64, limit int) ([]webhook.Job, error) {
	now := time.Now()
	rows, err := t.query(t.s.claimDeliveries, key(t.s.node), key(e.ID), lane, now.UnixMicro(), limit)
	claimed, err := collect(rows, err, func(row scanner) (webhook.Job, error) {
		j := webhook.Job{To: e, LeaseEnds: now.Add(t.s.cfg.Lease)}
		err := row.Scan(id(&j.Message), id(&j.Endpoint), &j.Replay, id(&j.Application), &j.Attempts, &j.Calls,
			intoTime{&j.CreatedAt}, intoTime{&j.DueAt}, intoTime{&j.HeldSince}, &j.Claim, intoText{&j.OrderKey}, intoText{&j.EventType}, &j.Payload)
		j.Expired = j.Payload == nil
		return j, err
	})
	if err != nil {
		return nil, err
	}
	t.wrote = t.wrote || len(claimed) > 0
	t.rows += len(claimed)
	// What an UPDATE returns is in no order.
	slices.SortFunc(claimed, func(a, b webhook.Job) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), bytes.Compare(a.Message[:], b.Message[:]))
	})
	err = t.fillDigests(claimed)
	return append(jobs, claimed...), err
}

func (t *tx) nextDue(endpoint webhook.ID, lane int64) (due time.Time, err error) {
	err = t.row(`SELECT min(due_at) FROM delivery WHERE endpoint_id = $1 AND lane = $2 AND owner IS NULL`,
		key(endpoint), lane).Scan(intoTime{&due})
	return due, err
}

// cancelSlice is how many deliveries to an endpoint that is off are canceled in
// one transaction.
const cancelSlice = 100

// cancelWaiting ends deliveries that wait for an endpoint that is off. e is
// nil when it was deleted. What is part of a digest ends with that, and what is
// gathered when it is due.
func (t *tx) cancelWaiting(endpoint webhook.ID, e *webhook.Endpoint) error {
	rows, err := t.query(`
		DELETE FROM delivery WHERE (message_id, endpoint_id, replay) IN (
			SELECT message_id, endpoint_id, replay FROM delivery
			WHERE endpoint_id = $1 AND lane IN (0, 1, 4) AND owner IS NULL LIMIT $2`+t.s.dialect.skipLocked+`)
		RETURNING message_id, replay, application_id, calls, order_key`, key(endpoint), cancelSlice)
	var ended []orderKey
	canceled, err := collect(rows, err, func(row scanner) (webhook.Attempt, error) {
		a := webhook.Attempt{Outcome: webhook.NotSent, Ends: webhook.Canceled, StartedAt: time.Now()}
		a.Endpoint = endpoint
		k := orderKey{endpoint: endpoint}
		err := row.Scan(id(&a.Message), &a.Replay, id(&a.Application), &a.Number, intoText{&k.key})
		ended = append(ended, k)
		a.Number++
		return a, err
	})
	if err != nil {
		return err
	}
	t.wrote = t.wrote || len(canceled) > 0
	t.rows += len(canceled)
	for i := range canceled {
		canceled[i].Error = "The endpoint was deleted."
		if e != nil {
			canceled[i].URL, canceled[i].Error = e.URL, "The endpoint was disabled."
		}
	}
	if err := t.insertAttempts(canceled); err != nil {
		return err
	}
	if err := t.cancelDigests(canceled); err != nil {
		return err
	}
	return t.releaseNext(ended)
}

// Resend makes a new delivery of a message to an endpoint, whatever the
// endpoint's filters say. A disabled endpoint gets none: sent is false. A
// message whose payload is gone is ErrPayloadGone.
func (s *Store) Resend(ctx context.Context, app, message webhook.ID, endpointRef string) (sent bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		sent = false
		m, digest, err := t.messageOrDigest(app, message)
		if err != nil {
			return fmt.Errorf("message: %w", err)
		}
		e, err := t.endpoint(app, endpointRef)
		switch {
		case err != nil:
			return fmt.Errorf("endpoint: %w", err)
		case m.Payload == nil:
			return webhook.ErrPayloadGone
		case e.Disabled:
			return nil
		}
		if digest {
			if made, err := t.madeFor(m.ID, e.ID); err != nil || !made {
				return err
			}
		}
		sent = true
		return t.replay(&m, e, digest || !e.Kind.Chat(), false)
	})
	if err != nil {
		return false, fmt.Errorf("resend %s: %w", webhook.MessageID.Format(message), err)
	}
	return sent, nil
}

// replay makes a delivery of what was sent before. Unless it is asked for as it
// is stored, an endpoint that gathers gets it as a digest: by itself, or
// together with others that are replayed.
func (t *tx) replay(m *webhook.Message, e *webhook.Endpoint, asStored, together bool) error {
	now := webhook.FromMicros(time.Now().UnixMicro())
	d := webhook.Delivery{
		DeliveryKey: webhook.DeliveryKey{Message: m.ID, Endpoint: e.ID, Replay: now.UnixMicro()},
		Application: m.Application, CreatedAt: now, DueAt: now, Gathered: e.Gathers() && !asStored,
	}
	if d.Gathered && together {
		d.DueAt = now.Add(e.Digest.Window)
	}
	for {
		n, _, err := t.insert(t.s.deliverySet, [][]any{t.deliveryRow(&d)})
		if err != nil || n > 0 {
			t.waits = append(t.waits, t.gather([]webhook.Delivery{d}, e.Digest.Most)...)
			return err
		}
		d.Replay++ // another replay in the same microsecond
	}
}

// waitingEndpoints hops through the index from endpoint to endpoint, so that a
// million rows of one cost no more than a row. What waits for an endpoint that
// is off is due at once: to be canceled.
const waitingEndpoints = `
	WITH RECURSIVE e(id) AS (
		SELECT (SELECT endpoint_id FROM delivery WHERE owner IS NULL ORDER BY endpoint_id LIMIT 1)
		UNION ALL
		SELECT (SELECT d.endpoint_id FROM delivery d WHERE d.owner IS NULL AND d.endpoint_id > e.id ORDER BY d.endpoint_id LIMIT 1)
		FROM e WHERE e.id IS NOT NULL
	)
	SELECT id,
		CASE WHEN EXISTS (SELECT 1 FROM endpoint p WHERE p.id = e.id AND p.deleted_at IS NULL AND NOT p.disabled)
			THEN (SELECT min(due_at) FROM delivery d WHERE d.endpoint_id = e.id AND d.lane = 0 AND d.owner IS NULL) ELSE 1 END,
		(SELECT min(due_at) FROM delivery d WHERE d.endpoint_id = e.id AND d.lane = 1 AND d.owner IS NULL)
	FROM e WHERE id IS NOT NULL`

// Waiting lists the endpoints for which deliveries wait unclaimed, and when
// the first of each comes due.
func (s *Store) Waiting(ctx context.Context) ([]webhook.Waiting, error) {
	rows, err := s.query(ctx, waitingEndpoints)
	return collect(rows, err, func(row scanner) (w webhook.Waiting, err error) {
		err = row.Scan(id(&w.Endpoint), intoTime{&w.FirstDue}, intoTime{&w.RetryDue})
		return w, err
	})
}

// releaseAll gives up every claim of an earlier process on this file: with the
// file locked there is no other that could hold one.
func (s *Store) releaseAll(ctx context.Context) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE delivery SET owner = NULL WHERE owner IS NOT NULL`)
		return err
	})
}

// ReleaseExpired frees deliveries whose claims have run out because their node
// died, and reports how many. The one node of a SQLite file has nothing to do.
func (s *Store) ReleaseExpired(ctx context.Context) (int64, error) {
	if s.lock != nil {
		return 0, nil
	}
	var n int64
	err := s.write(ctx, func(t *tx) (err error) {
		n, err = t.exec(`UPDATE delivery SET owner = NULL WHERE owner IS NOT NULL AND lease_until < ` + s.dialect.clock)
		return err
	})
	return n, err
}

// Unclaim gives back deliveries that this node holds and will not send, so
// that they can be claimed at once.
func (s *Store) Unclaim(ctx context.Context, jobs []webhook.Job) error {
	return s.committers.units.do(ctx, work{unit: func(t *tx) error {
		orders := make([]orderKey, len(jobs))
		for i, j := range jobs {
			orders[i] = orderKey{j.Endpoint, j.OrderKey}
		}
		if _, err := t.lockOrders(orders); err != nil {
			return err
		}
		for _, j := range jobs {
			n, err := t.exec(`
				UPDATE delivery SET owner = NULL
				WHERE message_id = $1 AND endpoint_id = $2 AND replay = $3 AND claim = $4 AND owner IS NOT NULL`,
				key(j.Message), key(j.Endpoint), j.Replay, j.Claim)
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			t.waits = append(t.waits, j.Delivery)
			if err := t.endIfReplayed(j.Application, j.DeliveryKey, j.OrderKey); err != nil {
				return err
			}
		}
		return nil
	}}, len(jobs))
}
