package store

import (
	"context"
	"database/sql"
	"errors"
	"fanfare/internal/chat"
	"fanfare/internal/webhook"
	"fmt"
	"time"
)

const selectDigest = `
	SELECT id, application_id, event_type, body, dataset, created_at, expires_at
	FROM digest`

// scanDigest reads a digest as the message that it is to whoever gets it.
func scanDigest(row scanner) (m webhook.Message, err error) {
	err = row.Scan(id(&m.ID), id(&m.Application), &m.EventType, &m.Payload, intoText{&m.Dataset}, intoTime{&m.CreatedAt}, intoTime{&m.ExpiresAt})
	return m, err
}

// messageOrDigest finds what was sent under an id.
func (t *tx) messageOrDigest(app, message webhook.ID) (m webhook.Message, digest bool, err error) {
	const where = ` WHERE id = $1 AND application_id = $2`
	m, err = scanMessage(t.row(selectMessage+where, key(message), key(app)))
	if errors.Is(err, sql.ErrNoRows) {
		m, err = scanDigest(t.row(selectDigest+where, key(message), key(app)))
		digest = true
	}
	return m, digest, err
}

// madeFor reports whether a digest was made for an endpoint: no other can read
// it.
func (t *tx) madeFor(digest, endpoint webhook.ID) (made bool, err error) {
	err = t.row(`SELECT count(*) > 0 FROM digest WHERE id = $1 AND endpoint_id = $2`, key(digest), key(endpoint)).Scan(&made)
	return made, err
}

// fillDigests gives the deliveries of digests among those that were claimed
// what is to be sent.
func (t *tx) fillDigests(jobs []webhook.Job) error {
	for i := range jobs {
		j := &jobs[i]
		if j.EventType != "" {
			continue // there is a message
		}
		m, err := scanDigest(t.row(selectDigest+` WHERE id = $1 AND application_id = $2`, key(j.Message), key(j.Application)))
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		j.EventType, j.Payload, j.Digest = m.EventType, m.Payload, true
		j.Expired = m.Payload == nil
	}
	return nil
}

var (
	digestEventSet = newSet("digest_event", "digest_id BYTEA", "replay BIGINT", "message_id BYTEA", "message_replay BIGINT")
	keyKinds       = []string{"BYTEA", "BYTEA", "BIGINT"}
)

// The statements that bind gathered deliveries to a digest, and that end those
// that are gathered or bound.
const (
	bindOne = `UPDATE delivery SET lane = 3 WHERE message_id = $1 AND endpoint_id = $2 AND replay = $3 AND lane = 2 AND owner IS NULL`
	bindAll = `
		UPDATE delivery d SET lane = 3
		FROM unnest(CAST($1 AS BYTEA[]), CAST($2 AS BYTEA[]), CAST($3 AS BIGINT[])) WITH ORDINALITY AS r(message_id, endpoint_id, replay, n)
		WHERE d.message_id = r.message_id AND d.endpoint_id = r.endpoint_id AND d.replay = r.replay AND d.lane = 2 AND d.owner IS NULL
		RETURNING r.n`
	dropOne = `DELETE FROM delivery WHERE message_id = $1 AND endpoint_id = $2 AND replay = $3 AND lane >= 2`
	dropAll = `
		DELETE FROM delivery d
		USING unnest(CAST($1 AS BYTEA[]), CAST($2 AS BYTEA[]), CAST($3 AS BIGINT[])) WITH ORDINALITY AS r(message_id, endpoint_id, replay, n)
		WHERE d.message_id = r.message_id AND d.endpoint_id = r.endpoint_id AND d.replay = r.replay AND d.lane >= 2
		RETURNING r.n`
)

func keyRows(keys []webhook.DeliveryKey) [][]any {
	rows := make([][]any, len(keys))
	for i, k := range keys {
		rows[i] = []any{key(k.Message), key(k.Endpoint), k.Replay}
	}
	return rows
}

func keysOf(rows []gatheredRow) []webhook.DeliveryKey {
	keys := make([]webhook.DeliveryKey, len(rows))
	for i, r := range rows {
		keys[i] = r.key
	}
	return keys
}

// storeDigest stores a digest, binds the deliveries that it tells of, and makes
// its own. Those whose payloads are gone have failed.
func (s *Store) storeDigest(ctx context.Context, e *webhook.Endpoint, d *chat.Digest, members, expired []gatheredRow, expires time.Time) error {
	return s.writeSlice(ctx, func(t *tx) error {
		ends := webhook.Attempt{
			Application: e.Application, Number: 1, Outcome: webhook.NotSent, Ends: webhook.Failed, URL: e.URL, StartedAt: time.Now(),
			Error: "The payload expired before it was delivered.",
		}
		if _, err := t.endAll(keysOf(expired), ends); err != nil || len(members) == 0 {
			return err
		}
		bound := 0
		if err := t.changeRows(bindOne, bindAll, keyKinds, keyRows(keysOf(members)), func(int) { bound++ }); err != nil {
			return err
		}
		if bound < len(members) {
			return errMoved
		}
		digestID, err := t.sameAgain(e, members)
		if err != nil {
			return err
		}
		if digestID.IsZero() {
			digestID = d.ID
			if err := t.insertDigest(e, d, members, expires); err != nil {
				return err
			}
		}
		own := webhook.Delivery{
			DeliveryKey: webhook.DeliveryKey{Message: digestID, Endpoint: e.ID, Replay: members[0].key.Replay},
			Application: e.Application, CreatedAt: d.CreatedAt, DueAt: d.CreatedAt,
		}
		rows := make([][]any, len(members))
		for i, r := range members {
			rows[i] = []any{key(digestID), own.Replay, key(r.key.Message), r.key.Replay}
		}
		if _, _, err := t.insert(digestEventSet, rows); err != nil {
			return err
		}
		n, _, err := t.insert(t.s.deliverySet, [][]any{t.deliveryRow(&own)})
		if err == nil && n == 0 {
			err = fmt.Errorf("delivery of digest %s: %w", webhook.MessageID.Format(digestID), webhook.ErrConflict)
		}
		t.waits = append(t.waits, own)
		return err
	})
}

// sameAgain finds what one message was rendered to when it was sent by itself
// before: a replay sends the same bytes under the same id. Zero when it was not.
func (t *tx) sameAgain(e *webhook.Endpoint, members []gatheredRow) (digest webhook.ID, err error) {
	if len(members) != 1 || members[0].key.Replay == 0 || !e.Kind.Chat() {
		return digest, nil
	}
	err = t.row(`
		SELECT d.id FROM digest_event m JOIN digest d ON d.id = m.digest_id AND d.application_id = $2
		WHERE m.message_id = $1 AND d.endpoint_id = $3 AND d.kind = $4 AND d.events = 1 AND d.body IS NOT NULL ORDER BY d.id LIMIT 1`,
		key(members[0].key.Message), key(e.Application), key(e.ID), int(e.Kind)).Scan(id(&digest))
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return digest, err
}

func (t *tx) insertDigest(e *webhook.Endpoint, d *chat.Digest, members []gatheredRow, expires time.Time) error {
	_, err := t.exec(`
		INSERT INTO digest (id, application_id, endpoint_id, kind, event_type, dataset, events, body, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		key(d.ID), key(e.Application), key(e.ID), int(e.Kind), members[0].about.eventType, optionalText(members[0].about.dataset),
		d.Events(), d.Body(), webhook.Micros(d.CreatedAt), webhook.Micros(expires))
	return err
}

// endAll ends deliveries that are gathered or part of a digest, each with an
// attempt that tells how, and reports for which there was one to end.
func (t *tx) endAll(keys []webhook.DeliveryKey, how webhook.Attempt) (ended []bool, err error) {
	ended = make([]bool, len(keys))
	var attempts []webhook.Attempt
	err = t.changeRows(dropOne, dropAll, keyKinds, keyRows(keys), func(n int) {
		a := how
		a.DeliveryKey = keys[n]
		ended[n], attempts = true, append(attempts, a)
	})
	if err != nil {
		return nil, err
	}
	return ended, t.insertAttempts(attempts)
}

// cancelGathered ends what is gathered for an endpoint that is off. e is nil
// when it was deleted.
func (s *Store) cancelGathered(ctx context.Context, endpoint webhook.ID, e *webhook.Endpoint) error {
	rows, err := s.gathered(ctx, endpoint)
	if err != nil {
		return err
	}
	a := webhook.Attempt{Number: 1, Outcome: webhook.NotSent, Ends: webhook.Canceled, StartedAt: time.Now(), Error: "The endpoint was deleted."}
	if e != nil {
		a.URL, a.Error = e.URL, "The endpoint was disabled."
	}
	for len(rows) > 0 {
		n := min(len(rows), slice)
		a.Application = rows[0].app
		if err := s.writeSlice(ctx, func(t *tx) error {
			_, err := t.endAll(keysOf(rows[:n]), a)
			return err
		}); err != nil {
			return fmt.Errorf("cancel gathered deliveries: %w", err)
		}
		rows = rows[n:]
	}
	return nil
}

// digestMember is a delivery that a digest tells of.
type digestMember struct {
	key webhook.DeliveryKey
	// of is the replay of the digest that it was sent with.
	of int64
}

func (t *tx) digestMembers(digest, endpoint webhook.ID) ([]digestMember, error) {
	rows, err := t.query(`
		SELECT message_id, message_replay, replay FROM digest_event WHERE digest_id = $1 ORDER BY message_id, message_replay`, key(digest))
	return collect(rows, err, func(row scanner) (digestMember, error) {
		m := digestMember{key: webhook.DeliveryKey{Endpoint: endpoint}}
		err := row.Scan(id(&m.key.Message), &m.key.Replay, &m.of)
		return m, err
	})
}

// followDigest lets the deliveries that a digest tells of go the way of its own:
// they wait until it is tried again, or end as it ends. A success, of a replay
// too, is the success of them all.
func (t *tx) followDigest(r *webhook.Record) error {
	if !r.Digest {
		return nil
	}
	members, err := t.digestMembers(r.Message, r.Endpoint)
	if err != nil {
		return err
	}
	var keys, anew []webhook.DeliveryKey
	whole := true
	for _, m := range members {
		whole = whole && m.of != r.Replay
		if m.of == r.Replay || r.Ends == webhook.Succeeded {
			keys = append(keys, m.key)
		}
	}
	if !r.Retry.IsZero() {
		_, err := t.exec(`
			UPDATE delivery SET due_at = $1 WHERE endpoint_id = $2 AND lane = 3 AND (message_id, replay) IN (
				SELECT message_id, message_replay FROM digest_event WHERE digest_id = $3 AND replay = $4)`,
			webhook.Micros(r.Retry), key(r.Endpoint), key(r.Message), r.Replay)
		return err
	}
	how := memberAttempt(r, len(members))
	ended, err := t.endAll(keys, how)
	if err != nil || r.Ends != webhook.Succeeded {
		return err
	}
	for n, k := range keys {
		switch {
		case k.Replay != 0 && ended[n]:
			// It has arrived: what else was planned for it is not needed.
			if err := t.endPlanned(r.Application, k); err != nil {
				return err
			}
		case whole && !ended[n] && k.Replay == 0:
			anew = append(anew, webhook.DeliveryKey{Message: k.Message, Endpoint: k.Endpoint, Replay: r.Replay})
		}
	}
	attempts := make([]webhook.Attempt, len(anew))
	for i, k := range anew {
		attempts[i] = how
		attempts[i].DeliveryKey = k
	}
	return t.insertAttempts(attempts)
}

// memberResponse is how much of an answer is kept with each message of a
// digest, in bytes; all of it is kept with the digest.
const memberResponse = 200

// memberAttempt is what a call for a digest means for a message in it.
func memberAttempt(r *webhook.Record, events int) webhook.Attempt {
	a := webhook.Attempt{
		Application: r.Application, Outcome: r.Outcome, Ends: r.Ends, StatusCode: r.StatusCode, URL: r.URL, StartedAt: r.StartedAt,
		Timings: r.Timings, Response: r.Response[:min(len(r.Response), memberResponse)], Error: r.Error,
	}
	if events > 1 {
		told := fmt.Sprintf("Sent in digest %s, with %d other events.", webhook.MessageID.Format(r.Message), events-1)
		if events == 2 {
			told = fmt.Sprintf("Sent in digest %s, with one other event.", webhook.MessageID.Format(r.Message))
		}
		if a.Error != "" {
			told += " " + a.Error
		}
		a.Error = told
	}
	return a
}

// cancelDigests ends what canceled digests would have told of.
func (t *tx) cancelDigests(canceled []webhook.Attempt) error {
	for i := range canceled {
		a := canceled[i]
		members, err := t.digestMembers(a.Message, a.Endpoint)
		if err != nil {
			return err
		}
		var keys []webhook.DeliveryKey
		for _, m := range members {
			if m.of == a.Replay {
				keys = append(keys, m.key)
			}
		}
		a.Number = 0
		if _, err := t.endAll(keys, a); err != nil {
			return err
		}
	}
	return nil
}

// expungeDigests forgets what was made of a message, or a digest itself.
func (t *tx) expungeDigests(message webhook.ID) error {
	_, err := t.exec(`UPDATE digest SET body = NULL WHERE id IN (SELECT digest_id FROM digest_event WHERE message_id = $1)`, key(message))
	return err
}

// RemoveOldDigests drops a slice of what digests are kept no longer: bodies whose
// payloads expire, and digests as old as messages get. It reports whether there
// is more.
func (s *Store) RemoveOldDigests(ctx context.Context) (more bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		at := time.Now()
		n, err := t.exec(`
			UPDATE digest SET body = NULL, expires_at = 0 WHERE (id, application_id) IN (
				SELECT id, application_id FROM digest WHERE expires_at > 0 AND expires_at < $1 ORDER BY expires_at LIMIT $2)`, at.UnixMicro(), slice)
		if err != nil {
			return err
		}
		full, err := t.removeDigests(`id < $2`, key(webhook.FloorID(at.Add(-s.cfg.MessageRetention))))
		more = n == slice || full
		return err
	})
	if err != nil {
		return false, fmt.Errorf("remove old digests: %w", err)
	}
	return more, nil
}

// removeDigests removes a few digests that nothing is pending for. The condition
// on them counts its parameters from 2. It reports whether there may be more.
func (t *tx) removeDigests(condition string, args ...any) (more bool, err error) {
	const few = slice / 100 // a digest has a thousand events at most
	rows, err := t.query(`
		SELECT id FROM digest WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.message_id = digest.id) AND `+condition+`
		ORDER BY id LIMIT $1`, append([]any{few}, args...)...)
	old, err := collect(rows, err, scanID)
	if err != nil {
		return false, err
	}
	for _, digest := range old {
		for _, statement := range []string{`DELETE FROM digest_event WHERE digest_id = $1`, `DELETE FROM digest WHERE id = $1`} {
			if _, err := t.exec(statement, key(digest)); err != nil {
				return false, err
			}
		}
	}
	return len(old) == few, nil
}

// DigestPart is what there is to tell of digests about a message or a digest.
type DigestPart struct {
	// Events is of how many events a digest tells; 0 for a message.
	Events int
	// Messages are the first of the events that a digest tells of, Told the
	// digests that tell of a message.
	Messages, Told []webhook.ID
}

// DigestPart looks that up; most bounds both lists.
func (s *Store) DigestPart(ctx context.Context, app, message webhook.ID, most int) (d DigestPart, err error) {
	err = s.row(ctx, `SELECT events FROM digest WHERE id = $1 AND application_id = $2`, key(message), key(app)).Scan(&d.Events)
	list, into := `SELECT DISTINCT message_id FROM digest_event WHERE digest_id = $1 ORDER BY message_id LIMIT $2`, &d.Messages
	if errors.Is(err, webhook.ErrNotFound) {
		list, into = `SELECT DISTINCT digest_id FROM digest_event WHERE message_id = $1 ORDER BY digest_id LIMIT $2`, &d.Told
		err = nil
	}
	if err == nil {
		rows, wrong := s.query(ctx, list, key(message), most)
		*into, err = collect(rows, wrong, scanID)
	}
	if err != nil {
		return d, fmt.Errorf("digest: %w", err)
	}
	return d, nil
}
