package store

import (
	"context"
	"errors"
	"fanfare/internal/chat"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Digests are made in three steps, each one transaction. A delivery of an
// endpoint that gathers is stored in the lane gatherLane, due when its window
// ends. MakeDigests moves what is due to digestLane and stores a digest of it,
// with a delivery of its own, which is sent like any other. When that ends, the
// deliveries it tells of end with it.

// gathering knows what this node has gathered, so that digests are made when
// they are due or full without asking the database all the time. It is a hint:
// what it does not know of is found by the next look.
type gathering struct {
	mu sync.Mutex
	// next is when the next digest is due that is known of; zero for never.
	next time.Time
	// counts is how many deliveries were gathered since the last look, full the
	// endpoints for which that is enough for a digest.
	counts map[webhook.ID]int
	full   map[webhook.ID]bool
	// last is when the newest delivery of a digest is due: they are sent in the
	// order of these times.
	last int64
	wake chan struct{}
}

func newGathering() *gathering {
	return &gathering{counts: map[webhook.ID]int{}, full: map[webhook.ID]bool{}, wake: make(chan struct{}, 1)}
}

// add notes deliveries that are durable now. most is how many make a digest of
// their endpoint full.
func (g *gathering) add(deliveries []webhook.Delivery, most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	tell := false
	for i := range deliveries {
		d := &deliveries[i]
		if g.next.IsZero() || d.DueAt.Before(g.next) {
			g.next, tell = d.DueAt, true
		}
		g.counts[d.Endpoint]++
		if g.counts[d.Endpoint] == max(most, 1) {
			g.full[d.Endpoint], tell = true, true
		}
	}
	if tell {
		select {
		case g.wake <- struct{}{}:
		default: // told, and not looked yet
		}
	}
}

// take begins a look: it returns the endpoints that may have a full digest.
func (g *gathering) take() []webhook.ID {
	g.mu.Lock()
	defer g.mu.Unlock()
	var full []webhook.ID
	for endpoint := range g.full {
		full = append(full, endpoint)
	}
	clear(g.counts)
	clear(g.full)
	g.next = time.Time{}
	return full
}

// found ends a look: next is when the database has the next digest due.
func (g *gathering) found(next time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !next.IsZero() && (g.next.IsZero() || next.Before(g.next)) {
		g.next = next
	}
	return g.next
}

// order is a time for the delivery of a new digest, after all those before.
func (g *gathering) order() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = max(g.last+1, time.Now().UnixMicro())
	return webhook.FromMicros(g.last)
}

// atOnce are the endpoints as they are asked when nobody wants to wait for a
// digest to gather.
func atOnce(endpoints []*webhook.Endpoint) []*webhook.Endpoint {
	for i, e := range endpoints {
		once := *e
		once.Digest = webhook.Digest{}
		endpoints[i] = &once
	}
	return endpoints
}

// gatherAll takes the deliveries that are gathered out of those that wait, and
// returns the others.
func (t *tx) gatherAll(waiting []webhook.Delivery) []webhook.Delivery {
	byEndpoint := map[webhook.ID][]webhook.Delivery{}
	most := map[webhook.ID]int{}
	others := slices.DeleteFunc(waiting, func(d webhook.Delivery) bool {
		if !d.Gathered {
			return false
		}
		if _, known := most[d.Endpoint]; !known {
			for _, e := range t.apps[d.Application].endpoints {
				if e.ID == d.Endpoint {
					most[d.Endpoint] = e.Digest.Most
				}
			}
		}
		byEndpoint[d.Endpoint] = append(byEndpoint[d.Endpoint], d)
		return true
	})
	for endpoint, gathered := range byEndpoint {
		t.gather(gathered, most[endpoint])
	}
	return others
}

// gather is gatherAll for deliveries of one endpoint.
func (t *tx) gather(waiting []webhook.Delivery, most int) []webhook.Delivery {
	var gathered, others []webhook.Delivery
	for _, d := range waiting {
		if d.Gathered {
			gathered = append(gathered, d)
		} else {
			others = append(others, d)
		}
	}
	if len(gathered) > 0 {
		t.onCommit(func() { t.s.gathering.add(gathered, most) })
	}
	return others
}

// DigestWork yields when a digest may be due earlier than MakeDigests has said.
func (s *Store) DigestWork() <-chan struct{} { return s.gathering.wake }

// errMoved means that what was gathered is not what it was when it was read.
var errMoved = errors.New("gathered deliveries changed")

// MakeDigests makes the digests that are due or full, and reports when the next
// one is due; zero when nothing is gathered.
func (s *Store) MakeDigests(ctx context.Context) (next time.Time, err error) {
	for _, endpoint := range s.gathering.take() {
		if err := s.digestEndpoint(ctx, endpoint); err != nil {
			return time.Time{}, err
		}
	}
	for {
		var endpoint webhook.ID
		err := s.row(ctx, `SELECT endpoint_id, due_at FROM delivery WHERE lane = 2 ORDER BY due_at LIMIT 1`).Scan(id(&endpoint), intoTime{&next})
		if errors.Is(err, webhook.ErrNotFound) {
			return s.gathering.found(time.Time{}), nil
		}
		if err != nil {
			return next, fmt.Errorf("gathered deliveries: %w", err)
		}
		if next.After(time.Now()) {
			return s.gathering.found(next), nil
		}
		if err := s.digestEndpoint(ctx, endpoint); err != nil {
			return time.Time{}, err
		}
	}
}

// gatheredRow is a delivery that waits to be told of.
type gatheredRow struct {
	key        webhook.DeliveryKey
	due        time.Time
	about      digestKey
	alone      bool
	app        webhook.ID
	hasMessage bool
}

// digestKey is what the events of one digest have in common. Replays are told
// apart, because what becomes of them means something else.
type digestKey struct {
	eventType, dataset string
	manual             bool
}

// maxLook is how many gathered deliveries of an endpoint are looked at at a
// time.
const maxLook = 10_000

// digestEndpoint makes the digests of one endpoint that are due or full.
func (s *Store) digestEndpoint(ctx context.Context, endpoint webhook.ID) error {
	e, err := s.scanEndpoint(s.row(ctx, selectEndpoint+` WHERE id = $1 AND deleted_at IS NULL`, key(endpoint)))
	if err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return fmt.Errorf("endpoint %s: %w", webhook.EndpointID.Format(endpoint), err)
	}
	if e == nil || e.Disabled {
		return s.cancelGathered(ctx, endpoint, e)
	}
	links, err := s.links(ctx, e.Application)
	if err != nil {
		return err
	}
	rows, err := s.gathered(ctx, endpoint)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, group := range groups(rows) {
		for len(group) > 0 {
			n, most := 1, max(e.Digest.Most, 1)
			if !group[0].alone {
				alone := slices.IndexFunc(group, func(r gatheredRow) bool { return r.alone })
				if n = len(group); alone > 0 {
					n = alone
				}
				if n < most && group[0].due.After(now) {
					break
				}
				n = min(n, most)
			}
			taken, err := s.makeDigest(ctx, e, links, group[:n])
			if errors.Is(err, errMoved) {
				return nil // the next look finds what is left
			}
			if err != nil {
				return fmt.Errorf("digest for endpoint %s: %w", webhook.EndpointID.Format(endpoint), err)
			}
			group = group[taken:]
		}
	}
	return nil
}

// links lead to the pages of the account that an application belongs to.
func (s *Store) links(ctx context.Context, app webhook.ID) (chat.Links, error) {
	l := chat.Links{Base: s.cfg.PublicURL}
	var account webhook.ID
	err := s.row(ctx, `SELECT uid, account_id FROM application WHERE id = $1`, key(app)).Scan(intoText{&l.Account}, id(&account))
	if err != nil {
		return l, fmt.Errorf("application: %w", err)
	}
	if account.IsZero() {
		l.Account = "" // nobody has its pages without a link of their own
	}
	return l, nil
}

// gathered lists what waits for an endpoint, in the order in which it came.
func (s *Store) gathered(ctx context.Context, endpoint webhook.ID) ([]gatheredRow, error) {
	rows, err := s.query(ctx, `
		SELECT d.message_id, d.replay, d.application_id, d.due_at, d.created_at, m.id, m.event_type, m.dataset
		FROM (SELECT message_id, endpoint_id, replay, application_id, due_at, created_at FROM delivery
			WHERE endpoint_id = $1 AND lane = 2 AND owner IS NULL ORDER BY due_at LIMIT $2) d
		LEFT JOIN message m ON m.id = d.message_id AND m.application_id = d.application_id
		ORDER BY d.due_at, d.message_id`, key(endpoint), maxLook)
	return collect(rows, err, func(row scanner) (gatheredRow, error) {
		r := gatheredRow{key: webhook.DeliveryKey{Endpoint: endpoint}}
		var created time.Time
		var message webhook.ID
		err := row.Scan(id(&r.key.Message), &r.key.Replay, id(&r.app), intoTime{&r.due}, intoTime{&created}, id(&message),
			intoText{&r.about.eventType}, intoText{&r.about.dataset})
		r.about.manual, r.hasMessage = r.key.Replay != 0, !message.IsZero()
		r.alone = !r.due.After(created)
		return r, err
	})
}

// groups parts deliveries by what they have in common. Groups come in the order
// of their first ones.
func groups(rows []gatheredRow) [][]gatheredRow {
	var all [][]gatheredRow
	at := map[digestKey]int{}
	for _, r := range rows {
		i, ok := at[r.about]
		if !ok {
			i = len(all)
			at[r.about] = i
			all = append(all, nil)
		}
		all[i] = append(all[i], r)
	}
	return all
}

// makeDigest makes one digest of the first of some deliveries, as many as have
// room in it, and reports how many those were.
func (s *Store) makeDigest(ctx context.Context, e *webhook.Endpoint, links chat.Links, rows []gatheredRow) (taken int, err error) {
	at := s.gathering.order()
	d := chat.NewDigest(s.ids.New(at), e.Kind, at, links)
	var members, expired []gatheredRow
	var expires time.Time
	for _, r := range rows {
		m, err := scanMessage(s.row(ctx, selectMessage+` WHERE id = $1 AND application_id = $2`, key(r.key.Message), key(r.app)))
		if err != nil && !errors.Is(err, webhook.ErrNotFound) {
			return 0, err
		}
		switch {
		case err != nil || m.Payload == nil:
			expired = append(expired, r)
		case d.Add(&m):
			members = append(members, r)
			expires = earlierOf(expires, m.ExpiresAt)
		default:
			return len(members) + len(expired), s.storeDigest(ctx, e, d, members, expired, expires)
		}
	}
	return len(rows), s.storeDigest(ctx, e, d, members, expired, expires)
}

// earlierOf is the first of two times, of which the zero time is none.
func earlierOf(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// RunDigests makes digests when they are due, until ctx ends. failed is told
// what went wrong; it goes on after that.
func (s *Store) RunDigests(ctx context.Context, failed func(error)) {
	for {
		next, err := s.MakeDigests(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := digestLook
		switch {
		case err != nil:
			failed(err)
			wait = time.Second
		case !next.IsZero():
			wait = min(wait, max(0, time.Until(next)))
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.gathering.wake:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// digestLook is how often the queue is searched for what another node has
// gathered.
const digestLook = 15 * time.Second
