package store

import (
	"database/sql"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"time"
)

// Record stores an attempt and what follows from it for its delivery and its
// endpoint, and calls done once that is durable or has failed; done must not
// block. When the claim has been lost meanwhile (the delivery was canceled,
// succeeded by a replay, or claimed by another node), the attempt is kept as
// evidence and changes nothing.
func (s *Store) Record(r *webhook.Record, done func(error)) {
	s.committers.records.later(work{record: r}, recordRows, done)
}

// recordRows is how many rows a record changes: the delivery ends, the attempt
// is kept.
const recordRows = 2

// recordAll stores what came of calls, in sets.
func (t *tx) recordAll(records []*webhook.Record) error {
	if len(records) == 0 {
		return nil
	}
	held, err := t.settle(records)
	if err != nil {
		return err
	}
	attempts := make([]webhook.Attempt, len(records))
	for i, r := range records {
		attempts[i] = r.Attempt
		if !held[i] {
			attempts[i].Ends = webhook.Pending
		}
	}
	if err := t.insertAttempts(attempts); err != nil {
		return err
	}
	looked := map[webhook.ID]bool{}
	var orders, ended []orderKey
	for i, r := range records {
		if held[i] {
			orders = append(orders, orderKey{r.Endpoint, r.OrderKey})
		}
	}
	if _, err := t.lockOrders(orders); err != nil {
		return err
	}
	for i, r := range records {
		if !held[i] {
			continue
		}
		if !r.Retry.IsZero() {
			t.waits = append(t.waits, webhook.Delivery{DeliveryKey: r.DeliveryKey, Calls: r.Calls, DueAt: r.Retry, HeldSince: r.HeldSince})
			if err := t.cancelIfOff(r.Endpoint, looked); err != nil {
				return err
			}
			if err := t.endIfReplayed(r.Application, r.DeliveryKey, r.OrderKey); err != nil {
				return err
			}
		} else if r.OrderKey != "" {
			ended = append(ended, orderKey{r.Endpoint, r.OrderKey})
		}
		if err := t.followDigest(r); err != nil {
			return err
		}
		if err := t.tellAttempt(r, attempts[i].ID); err != nil {
			return err
		}
		if err := t.consequences(r); err != nil {
			return err
		}
	}
	return t.releaseNext(ended)
}

// The statements that end a delivery, and that postpone it, if this node still
// holds its claim.
const (
	endOne = `
		DELETE FROM delivery WHERE message_id = ? AND endpoint_id = ? AND replay = ? AND claim = ? AND owner IS NOT NULL`
	postponeOne = `
		UPDATE delivery SET owner = NULL, lane = 1, due_at = $5, attempts = $6, calls = $7, held_since = $8
		WHERE message_id = $1 AND endpoint_id = $2 AND replay = $3 AND claim = $4 AND owner IS NOT NULL`
	// The same for a set, which tell by number for which the claim was held.
	endAll = `
		DELETE FROM delivery d
		USING unnest(CAST($1 AS BYTEA[]), CAST($2 AS BYTEA[]), CAST($3 AS BIGINT[]), CAST($4 AS BIGINT[]))
			WITH ORDINALITY AS r(message_id, endpoint_id, replay, claim, n)
		WHERE d.message_id = r.message_id AND d.endpoint_id = r.endpoint_id AND d.replay = r.replay AND d.claim = r.claim
			AND d.owner IS NOT NULL
		RETURNING r.n`
	postponeAll = `
		UPDATE delivery d SET owner = NULL, lane = 1, due_at = r.due_at, attempts = r.attempts, calls = r.calls, held_since = r.held_since
		FROM unnest(CAST($1 AS BYTEA[]), CAST($2 AS BYTEA[]), CAST($3 AS BIGINT[]), CAST($4 AS BIGINT[]),
			CAST($5 AS BIGINT[]), CAST($6 AS BIGINT[]), CAST($7 AS BIGINT[]), CAST($8 AS BIGINT[]))
			WITH ORDINALITY AS r(message_id, endpoint_id, replay, claim, due_at, attempts, calls, held_since, n)
		WHERE d.message_id = r.message_id AND d.endpoint_id = r.endpoint_id AND d.replay = r.replay AND d.claim = r.claim
			AND d.owner IS NOT NULL
		RETURNING r.n`
)

var (
	endKinds      = []string{"BYTEA", "BYTEA", "BIGINT", "BIGINT"}
	postponeKinds = append(slices.Clone(endKinds), "BIGINT", "BIGINT", "BIGINT", "BIGINT")
)

// settle ends or postpones deliveries and reports for which of them this node
// still held the claim.
func (t *tx) settle(records []*webhook.Record) (held []bool, err error) {
	held = make([]bool, len(records))
	var ended, postponed [][]any
	var endedAt, postponedAt []int
	for i, r := range records {
		row := []any{key(r.Message), key(r.Endpoint), r.Replay, r.Claim}
		if r.Retry.IsZero() {
			ended, endedAt = append(ended, row), append(endedAt, i)
			continue
		}
		postponed = append(postponed, append(row, webhook.Micros(r.Retry), int64(r.Attempts), int64(r.Calls), webhook.Micros(r.HeldSince)))
		postponedAt = append(postponedAt, i)
	}
	err = t.changeRows(endOne, endAll, endKinds, ended, func(n int) { held[endedAt[n]] = true })
	if err != nil {
		return nil, err
	}
	return held, t.changeRows(postponeOne, postponeAll, postponeKinds, postponed, func(n int) { held[postponedAt[n]] = true })
}

// cancelIfOff has what waits for an endpoint canceled that was switched off, or
// deleted, while a call was under way: whoever did that could not see the
// delivery in the queue, and nobody would look at it before it is due.
func (t *tx) cancelIfOff(endpoint webhook.ID, looked map[webhook.ID]bool) error {
	if looked[endpoint] {
		return nil
	}
	looked[endpoint] = true
	var on int
	err := t.row(`SELECT count(*) FROM endpoint WHERE id = $1 AND deleted_at IS NULL AND NOT disabled`, key(endpoint)).Scan(&on)
	if err == nil && on == 0 {
		t.changed(endpoint)
	}
	return err
}

// consequences are what an ended delivery means beyond itself.
func (t *tx) consequences(r *webhook.Record) error {
	switch {
	case r.Disable != "":
		return t.disable(r.Endpoint, r.Disable, r.StartedAt)
	case r.Ends == webhook.Succeeded && r.Trigger() == webhook.Manual:
		// The message has arrived: what was planned for it is no longer needed.
		if err := t.endPlanned(r.Application, r.DeliveryKey); err != nil {
			return err
		}
	case r.Ends == webhook.Failed && r.Trigger() == webhook.Scheduled:
		return t.failing(r.Endpoint)
	}
	if r.Healed {
		t.changed(r.Endpoint)
		_, err := t.exec(`UPDATE endpoint SET failing_since = 0, warnings = 0 WHERE id = $1`, key(r.Endpoint))
		return err
	}
	return nil
}

// endPlanned ends the planned delivery of a message that a replay has brought
// home. One that is ordered and being made just now keeps the next one back
// until its call has ended, so that ends with its record: endIfReplayed.
func (t *tx) endPlanned(app webhook.ID, of webhook.DeliveryKey) error {
	of.Replay = 0
	a := webhook.Attempt{
		Application: app, DeliveryKey: of,
		Outcome: webhook.NotSent, Ends: webhook.Succeeded, StartedAt: time.Now(), Error: "A replay succeeded.",
	}
	k := orderKey{endpoint: of.Endpoint}
	err := t.row(`
		SELECT order_key, (SELECT url FROM endpoint WHERE id = endpoint_id) FROM delivery
		WHERE message_id = $1 AND endpoint_id = $2 AND replay = 0`,
		key(of.Message), key(of.Endpoint)).Scan(intoText{&k.key}, intoText{&a.URL})
	if err == nil {
		_, err = t.lockOrders([]orderKey{k})
	}
	if err == nil {
		err = t.change(`
			DELETE FROM delivery WHERE message_id = $1 AND endpoint_id = $2 AND replay = 0 AND (owner IS NULL OR order_key IS NULL)
			RETURNING calls + 1`, key(of.Message), key(of.Endpoint)).Scan(&a.Number)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := t.insertAttempts([]webhook.Attempt{a}); err != nil {
		return err
	}
	return t.releaseNext([]orderKey{k})
}

// endIfReplayed ends a delivery that is ordered by a key, and no longer under way,
// if a replay has succeeded meanwhile. The key is locked.
func (t *tx) endIfReplayed(app webhook.ID, of webhook.DeliveryKey, orderKey string) error {
	if orderKey == "" {
		return nil
	}
	err := t.row(`SELECT TRUE FROM attempt WHERE message_id = $1 AND endpoint_id = $2 AND replay > 0 AND ends = $3 LIMIT 1`,
		key(of.Message), key(of.Endpoint), webhook.Succeeded).Scan(new(bool))
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.endPlanned(app, of)
}

// warnings are the parts of the time until an endpoint is disabled after which
// its owner is warned.
var warnings = [...]float64{0.5, 0.9}

// DisablesAt is when an endpoint will be disabled unless a delivery succeeds
// before; zero when it is not about to be.
func (s *Store) DisablesAt(e *webhook.Endpoint) time.Time {
	if e.FailingSince.IsZero() || e.Disabled || s.cfg.DisableAfter < 0 {
		return time.Time{}
	}
	return e.FailingSince.Add(s.cfg.DisableAfter)
}

// failing notes that a delivery has used up its retries, and disables an
// endpoint that has done nothing but fail for too long.
func (t *tx) failing(endpoint webhook.ID) error {
	now := time.Now()
	var since time.Time
	var warned int
	// What failed long ago is forgotten, so that a failure now and then never
	// disables.
	forgotten := int64(0)
	if after := t.s.cfg.DisableAfter; after > 0 {
		forgotten = now.Add(-2 * after).UnixMicro()
	}
	err := t.change(`
		UPDATE endpoint SET failing_since = CASE WHEN failing_since <= $3 THEN $2 ELSE failing_since END,
			warnings = CASE WHEN failing_since <= $3 THEN 0 ELSE warnings END
		WHERE id = $1 AND deleted_at IS NULL AND NOT disabled RETURNING failing_since, warnings`,
		key(endpoint), now.UnixMicro(), forgotten).Scan(intoTime{&since}, &warned)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case t.s.cfg.DisableAfter >= 0 && now.Sub(since) > t.s.cfg.DisableAfter:
		return t.disable(endpoint, fmt.Sprintf("Nothing but failures since %s.", since.Format("2 January 2006 15:04 UTC")), since)
	}
	t.changed(endpoint)
	return t.warn(endpoint, now, now.Sub(since), warned)
}

// warn tells the owner of an endpoint that has failed for so long that it will
// be disabled, once for each of the warnings.
func (t *tx) warn(endpoint webhook.ID, now time.Time, failing time.Duration, warned int) error {
	due := 0
	for _, part := range warnings {
		if t.s.cfg.DisableAfter > 0 && failing >= time.Duration(part*float64(t.s.cfg.DisableAfter)) {
			due++
		}
	}
	if due <= warned {
		return nil
	}
	if _, err := t.exec(`UPDATE endpoint SET warnings = $2, updated_at = $3 WHERE id = $1`, key(endpoint), due, now.UnixMicro()); err != nil {
		return err
	}
	e, err := t.s.scanEndpoint(t.row(selectEndpoint+` WHERE id = $1`, key(endpoint)))
	if err != nil {
		return err
	}
	return t.tellFailing(e)
}

// disable switches an endpoint off for a reason that its owner will read. What
// is open for it is canceled when the dispatcher next looks.
func (t *tx) disable(endpoint webhook.ID, reason string, failSince time.Time) error {
	now := time.Now().UnixMicro()
	var app webhook.ID
	err := t.change(`
		UPDATE endpoint SET disabled = TRUE, disabled_reason = $2, disabled_at = $3, updated_at = $3
		WHERE id = $1 AND deleted_at IS NULL AND NOT disabled RETURNING application_id`,
		key(endpoint), reason, now).Scan(id(&app))
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	t.changed(endpoint)
	if err := t.touch(app); err != nil {
		return err
	}
	e, err := t.s.scanEndpoint(t.row(selectEndpoint+` WHERE id = $1`, key(endpoint)))
	if err != nil {
		return err
	}
	return t.tellDisabled(e, failSince, "automatic")
}
