package dispatch

import (
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// row is a delivery in the database of a rig.
type row struct {
	job     webhook.Job
	claimed bool
	ended   bool
}

// look is a look into the queue: asked for, done, and then told of.
type look struct {
	claim
	done  bool
	found webhook.Claimed
}

// rig drives a core without goroutines and clocks. What the shell would do
// waits in lists until the test picks it, in any order.
type rig struct {
	t   *rapid.T
	c   *core
	now time.Time

	ids       webhook.IDs
	apps      []webhook.ID
	endpoints []webhook.Endpoint
	deleted   map[webhook.ID]bool
	rows      []*row

	// what the core has asked for
	calls   []call
	looks   []*look
	unclaim []webhook.Job
	// records are calls that have ended and are not on record yet.
	records []record
	// places are reservations whose transaction is under way.
	places []webhook.Job
	wake   time.Time
}

type record struct {
	job  webhook.Job
	ends bool
	wait time.Duration
	gone bool
}

func newRig(t *rapid.T) *rig {
	r := &rig{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), deleted: map[webhook.ID]bool{}}
	l := Limits{
		Calls: rapid.IntRange(1, 12).Draw(t, "calls"), CallsPerEndpoint: rapid.IntRange(1, 4).Draw(t, "calls per endpoint"),
		Held: rapid.IntRange(1, 20).Draw(t, "held"), HeldPerEndpoint: rapid.IntRange(1, 20).Draw(t, "held per endpoint"),
		Bytes: rapid.IntRange(1, 500).Draw(t, "bytes"), Claims: rapid.IntRange(1, 4).Draw(t, "claims"),
	}
	l.YoungCalls = rapid.IntRange(0, l.Calls).Draw(t, "young calls")
	l.FirstCalls = rapid.IntRange(1, l.CallsPerEndpoint).Draw(t, "first calls")
	r.c = newCore(l)
	for range 2 {
		r.apps = append(r.apps, r.ids.New(r.now))
	}
	for range rapid.IntRange(1, 4).Draw(t, "endpoints") {
		r.endpoints = append(r.endpoints, webhook.Endpoint{
			ID: r.ids.New(r.now), Application: rapid.SampledFrom(r.apps).Draw(t, "application"), UpdatedAt: r.now,
			Throttle: rapid.SampledFrom([]int{0, 0, 1, 30, 1000}).Draw(t, "throttle"),
		})
	}
	return r
}

// step lets the core do one thing, collects what it asks for, and looks at it
// from all sides.
func (r *rig) step(f func(*core)) {
	f(r.c)
	todo := r.c.take(r.now)
	for _, call := range todo.calls {
		r.started(call)
	}
	for _, q := range todo.claims {
		r.looks = append(r.looks, &look{claim: q})
	}
	r.unclaim = append(r.unclaim, todo.unclaim...)
	r.wake = todo.wake
	r.check()
}

// started checks a call that begins.
func (r *rig) started(c call) {
	for _, other := range r.calls {
		if other.job.DeliveryKey == c.job.DeliveryKey {
			r.t.Fatalf("a delivery is sent twice at a time")
		}
	}
	of := func(same func(call) bool) (n int) {
		for _, other := range r.calls {
			if same(other) {
				n++
			}
		}
		return n
	}
	lane := r.c.lanes[c.job.Endpoint]
	r.calls = append(r.calls, c)
	on := c.to != nil && !c.to.Disabled
	if now := r.endpoint(c.job.Endpoint); (now == nil) != (c.to == nil) || now != nil && now.Version != c.to.Version {
		r.t.Fatalf("a call with a configuration that has changed: %+v, it is %+v", c.to, now)
	}
	if n := of(func(o call) bool { return o.job.Endpoint == c.job.Endpoint }); on && n > r.c.limits.CallsPerEndpoint {
		r.t.Fatalf("%d calls to one endpoint", n)
	}
	if n := of(func(o call) bool { return o.job.Application == c.job.Application }); n > r.c.callsPerShare() {
		r.t.Fatalf("%d calls for one application", n)
	}
	if on && c.job.First() && lane.resting(r.now) {
		r.t.Fatalf("a first attempt at an endpoint that rests")
	}
	if r.c.draining {
		r.t.Fatalf("a call begins in a drain")
	}
}

// check compares the accounts of the core with what is there.
func (r *rig) check() {
	held, bytes := len(r.places), 0
	for _, q := range r.looks {
		held += q.limit
	}
	count := func(j *webhook.Job) {
		held++
		bytes += len(j.Payload)
	}
	for i := range r.calls {
		count(&r.calls[i].job)
	}
	for i := range r.records {
		count(&r.records[i].job)
	}
	for _, l := range r.c.lanes {
		for k := range l.ready {
			for _, j := range l.ready[k].items[l.ready[k].head:] {
				count(&j)
			}
		}
	}
	switch {
	case r.c.calls != len(r.calls) || r.c.calls > r.c.limits.Calls:
		r.t.Fatalf("%d calls in its books, %d under way, at most %d", r.c.calls, len(r.calls), r.c.limits.Calls)
	case r.c.young > r.c.calls || r.c.limits.YoungCalls > 0 && r.c.young > r.c.limits.YoungCalls:
		r.t.Fatalf("%d of %d calls are young, at most %d may be", r.c.young, r.c.calls, r.c.limits.YoungCalls)
	case r.c.held != held || held > r.c.limits.Held:
		r.t.Fatalf("%d held in its books, %d held, at most %d", r.c.held, held, r.c.limits.Held)
	case r.c.bytes != bytes:
		r.t.Fatalf("%d bytes in its books, %d held", r.c.bytes, bytes)
	case r.c.claims != len(r.looks) || r.c.claims > r.c.limits.Claims:
		r.t.Fatalf("%d looks in its books, %d under way, at most %d", r.c.claims, len(r.looks), r.c.limits.Claims)
	}
}

func (r *rig) endpoint(id webhook.ID) *webhook.Endpoint {
	for i := range r.endpoints {
		if r.endpoints[i].ID == id && !r.deleted[id] {
			e := r.endpoints[i]
			return &e
		}
	}
	return nil
}

func (r *rig) row(k webhook.DeliveryKey) *row {
	for _, row := range r.rows {
		if row.job.DeliveryKey == k {
			return row
		}
	}
	r.t.Fatalf("a delivery that is not there")
	return nil
}

// send begins to store a delivery: with a place it is committed later, without
// it waits at once.
func (r *rig) send() {
	e := rapid.SampledFrom(r.endpoints).Draw(r.t, "endpoint")
	if r.deleted[e.ID] || e.Disabled {
		return // it wants nothing
	}
	j := webhook.Job{Payload: make([]byte, rapid.IntRange(0, 200).Draw(r.t, "size"))}
	j.Message, j.Endpoint, j.Application, j.DueAt = r.ids.New(r.now), e.ID, e.Application, r.now
	if rapid.IntRange(0, 5).Draw(r.t, "replay") == 0 {
		j.Replay = 1
		r.rows = append(r.rows, &row{job: j})
		r.step(func(c *core) { c.waiting(j.Endpoint, retries, j.DueAt, r.now) })
		return
	}
	place := false
	r.step(func(c *core) {
		if place = c.reserve(&e, r.now); place {
			r.places = append(r.places, j)
		}
	})
	if !place {
		r.rows = append(r.rows, &row{job: j})
		r.step(func(c *core) { c.waiting(j.Endpoint, firsts, j.DueAt, r.now) })
	}
}

// commit ends a transaction: its delivery is handed over, or was never there.
func (r *rig) commit() {
	j, ok := pick(r, &r.places, "place")
	if !ok {
		return
	}
	if rapid.IntRange(0, 3).Draw(r.t, "fails") == 0 {
		r.step(func(c *core) { c.release(j.Endpoint, 1, r.now) })
		return
	}
	r.rows = append(r.rows, &row{job: j, claimed: true})
	r.step(func(c *core) { c.add([]webhook.Job{j}, r.now) })
}

// pick takes one item out of a list.
func pick[T any](r *rig, list *[]T, label string) (v T, ok bool) {
	if len(*list) == 0 {
		return v, false
	}
	i := rapid.IntRange(0, len(*list)-1).Draw(r.t, label)
	v = (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return v, true
}

var allOutcomes = []webhook.Outcome{
	webhook.Delivered, webhook.Refused, webhook.Gone, webhook.Busy, webhook.TimedOut, webhook.Unreachable, webhook.NotSent,
}

// end ends a call.
func (r *rig) end(outcomes ...webhook.Outcome) {
	call, ok := pick(r, &r.calls, "call")
	if !ok {
		return
	}
	o := rapid.SampledFrom(outcomes).Draw(r.t, "outcome")
	off := call.to == nil || call.to.Disabled
	if off {
		o = webhook.NotSent
	}
	rec := record{job: call.job, ends: off || o == webhook.Delivered || o == webhook.Gone || call.job.Attempts > 3}
	if o == webhook.Busy || o == webhook.Refused {
		rec.wait = time.Duration(rapid.IntRange(0, 100).Draw(r.t, "wait")) * time.Second
	}
	rec.gone = o == webhook.Gone
	r.records = append(r.records, rec)
	r.step(func(c *core) {
		c.ended(&call, o, time.Duration(rapid.IntRange(0, 3000).Draw(r.t, "took"))*time.Millisecond, r.now)
	})
}

// record writes what came of a call.
func (r *rig) record() {
	rec, ok := pick(r, &r.records, "record")
	if !ok {
		return
	}
	row := r.row(rec.job.DeliveryKey)
	r.step(func(c *core) {
		if row.ended = rec.ends; !rec.ends {
			row.claimed = false
			row.job.Calls++
			row.job.Attempts++
			row.job.DueAt = r.now.Add(rec.wait)
			c.waiting(row.job.Endpoint, kindOf(&row.job.Delivery), row.job.DueAt, r.now)
		}
		if rec.gone {
			r.set(rec.job.Endpoint, func(e *webhook.Endpoint) { e.Disabled = true })
			c.changed(rec.job.Endpoint, r.now)
		}
		c.recorded(&rec.job)
	})
}

// giveBack does what the core asked for.
func (r *rig) giveBack() {
	j, ok := pick(r, &r.unclaim, "given back")
	if !ok {
		return
	}
	row := r.row(j.DeliveryKey)
	row.claimed = false
	r.step(func(c *core) { c.waiting(j.Endpoint, kindOf(&row.job.Delivery), row.job.DueAt, r.now) })
}

// look does the next part of a look into the queue: in the database, and then
// for the core.
func (r *rig) look(fails bool) {
	if len(r.looks) == 0 {
		return
	}
	i := rapid.IntRange(0, len(r.looks)-1).Draw(r.t, "look")
	q := r.looks[i]
	if !q.done {
		r.query(q)
		return
	}
	r.looks = slices.Delete(r.looks, i, i+1)
	if fails {
		for _, j := range q.found.Jobs { // as if it had never been
			r.row(j.DeliveryKey).claimed = false
		}
		r.step(func(c *core) { c.claimFailed(q.claim, r.now) })
		return
	}
	r.step(func(c *core) { c.claimed(q.claim, q.found, r.now) })
}

func (r *rig) query(q *look) {
	q.done = true
	q.found.Endpoint = r.endpoint(q.endpoint)
	off := q.found.Endpoint == nil || q.found.Endpoint.Disabled
	left := q.limit
	cancel := 3 // at a time
	for _, k := range []kind{retries, firsts} {
		var next time.Time
		room := left
		if k == retries && !q.retriesOnly {
			room = (left + 1) / 2
		}
		for _, row := range r.rows {
			d := &row.job.Delivery
			if row.claimed || row.ended || d.Endpoint != q.endpoint || kindOf(d) != k {
				continue
			}
			mine := !d.DueAt.After(r.now) && (k == retries || !q.retriesOnly)
			switch {
			case off && cancel > 0:
				row.ended = true
				cancel--
			case !off && mine && room > 0:
				row.claimed = true
				q.found.Jobs = append(q.found.Jobs, row.job)
				room--
				left--
			default:
				next = earlier(next, d.DueAt)
			}
		}
		if k == firsts {
			q.found.FirstDue = next
		} else {
			q.found.RetryDue = next
		}
	}
}

// set changes an endpoint in the database.
func (r *rig) set(id webhook.ID, f func(*webhook.Endpoint)) {
	for i := range r.endpoints {
		if r.endpoints[i].ID == id {
			f(&r.endpoints[i])
			r.endpoints[i].UpdatedAt = r.now
			r.endpoints[i].Version++
		}
	}
}

// change changes an endpoint and tells the core.
func (r *rig) change(id webhook.ID, f func(*webhook.Endpoint)) {
	r.set(id, f)
	r.step(func(c *core) { c.changed(id, r.now) })
}

// pass lets time go on, at most to when the core wants to be asked.
func (r *rig) pass(d time.Duration) {
	at := r.now.Add(d)
	if !r.wake.IsZero() && r.wake.Before(at) {
		at = r.wake
	}
	if at.After(r.now) {
		r.now = at
	}
	r.step(func(*core) {})
}

func (r *rig) waiting() (n int) {
	for _, row := range r.rows {
		if !row.ended {
			n++
		}
	}
	return n
}

// finish does all that is asked for until nothing is left, and fails when that
// never comes about.
func (r *rig) finish(outcomes ...webhook.Outcome) {
	for range 100_000 {
		switch {
		case len(r.places) > 0:
			r.commit()
		case len(r.calls) > 0:
			r.end(outcomes...)
		case len(r.records) > 0:
			r.record()
		case len(r.looks) > 0:
			r.look(false)
		case len(r.unclaim) > 0:
			r.giveBack()
		case !r.wake.IsZero() && !r.c.draining:
			r.pass(time.Until(r.wake) + 1<<62)
		default:
			return
		}
	}
	r.t.Fatalf("it never comes to rest: %d deliveries wait", r.waiting())
}

func (r *rig) actions() map[string]func(*rapid.T) {
	own := func(f func()) func(*rapid.T) {
		return func(t *rapid.T) {
			r.t = t
			f()
		}
	}
	return map[string]func(*rapid.T){
		"send": own(r.send), "send more": own(r.send), "commit": own(r.commit), "record": own(r.record),
		"give back": own(r.giveBack), "look": own(func() { r.look(false) }), "look on": own(func() { r.look(false) }),
		"look in vain": own(func() { r.look(true) }), "end": own(func() { r.end(allOutcomes...) }),
		"fail": own(func() { r.end(webhook.Unreachable) }),
		"switch": own(func() {
			e := rapid.SampledFrom(r.endpoints).Draw(r.t, "endpoint")
			r.change(e.ID, func(e *webhook.Endpoint) { e.Disabled = !e.Disabled })
		}),
		"delete": own(func() {
			e := rapid.SampledFrom(r.endpoints).Draw(r.t, "endpoint")
			if rapid.IntRange(0, 4).Draw(r.t, "really") == 0 {
				r.deleted[e.ID] = true
				r.change(e.ID, func(*webhook.Endpoint) {})
			}
		}),
		"pass": own(func() { r.pass(time.Duration(rapid.IntRange(0, 60_000).Draw(r.t, "time")) * time.Millisecond) }),
	}
}

func (r *rig) String() string {
	return fmt.Sprintf("held %d, bytes %d, calls %d, claims %d, lanes %d, shares %d, clock %d, wake %v",
		r.c.held, r.c.bytes, r.c.calls, r.c.claims, len(r.c.lanes), len(r.c.shares), len(r.c.clock), r.wake)
}
