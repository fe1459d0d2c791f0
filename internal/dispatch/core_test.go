package dispatch

import (
	"fanfare/internal/webhook"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTheCoreKeepsItsBooksAndForgetsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t)
		t.Repeat(r.actions())
		r.t = t
		r.finish(webhook.Delivered)
		if n := r.waiting(); n > 0 {
			t.Fatalf("%d deliveries are forgotten: %v", n, r)
		}
		if r.c.held != 0 || r.c.bytes != 0 || r.c.calls != 0 || r.c.claims != 0 || len(r.c.clock) != 0 {
			t.Fatalf("it does not come to rest: %v", r)
		}
		for _, l := range r.c.lanes {
			if l.breaker == (webhook.Breaker{}) {
				t.Fatalf("a lane is kept for nothing: %+v", l)
			}
		}
	})
}

func TestADrainOfTheCoreGivesEverythingBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t)
		t.Repeat(r.actions())
		r.t = t
		r.step(func(c *core) { c.drain() })
		r.finish(allOutcomes...)
		for _, row := range r.rows {
			if row.claimed && !row.ended {
				t.Fatalf("a delivery is still claimed: %v", r)
			}
		}
		if r.c.held != 0 || r.c.bytes != 0 || r.c.calls != 0 || r.c.claims != 0 {
			t.Fatalf("something is still held: %v", r)
		}
	})
}

// TestApplicationsAreServedInTurn has one application with many endpoints and
// mountains of deliveries, and another with one endpoint: whatever ends in
// whatever order, the small one never waits while the large one has two turns.
func TestApplicationsAreServedInTurn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t)
		r.c = newCore(Limits{Calls: 8, CallsPerEndpoint: 4, Held: 10_000, Bytes: 1 << 30, Claims: 4})
		r.endpoints = nil
		large, small := r.apps[0], r.apps[1]
		for i := range 21 {
			app, rows := large, 20
			if i == 20 {
				app, rows = small, 5
			}
			e := webhook.Endpoint{ID: r.ids.New(r.now), Application: app, UpdatedAt: r.now}
			r.endpoints = append(r.endpoints, e)
			for range rows {
				j := webhook.Job{}
				j.Message, j.Endpoint, j.Application, j.DueAt = r.ids.New(r.now), e.ID, app, r.now
				r.rows = append(r.rows, &row{job: j})
			}
			r.step(func(c *core) { c.waiting(e.ID, firsts, r.now, r.now) })
		}
		for len(r.looks) > 0 {
			r.look(false)
		}
		of := func(app webhook.ID) (n int) {
			for _, row := range r.rows {
				if row.job.Application == app && !row.ended {
					n++
				}
			}
			return n
		}
		if n := len(r.calls); n != 8 {
			t.Fatalf("%d calls are under way, want all 8", n)
		}
		for of(small) > 0 {
			largeBefore, smallBefore := of(large), of(small)
			for range 2 { // turns
				r.end(webhook.Delivered)
				r.record()
				for len(r.looks) > 0 {
					r.look(false)
				}
			}
			lane := r.c.lanes[r.endpoints[20].ID]
			if lane != nil && lane.maySend(r.now) && !slices.ContainsFunc(r.calls, func(c call) bool { return c.job.Application == small }) {
				t.Fatalf("the small application has no call, with %d deliveries of %d left; the large one has %d of %d",
					of(small), smallBefore, of(large), largeBefore)
			}
		}
	})
}

// TestAHangingApplicationLeavesRoomForOthers has every call of one application
// hang.
func TestAHangingApplicationLeavesRoomForOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t)
		r.c = newCore(Limits{Calls: 8, CallsPerEndpoint: 4, Held: 10_000, Bytes: 1 << 30, Claims: 4})
		r.endpoints = nil
		hanging, other := r.apps[0], r.apps[1]
		send := func(app webhook.ID) {
			e := webhook.Endpoint{ID: r.ids.New(r.now), Application: app, UpdatedAt: r.now}
			r.endpoints = append(r.endpoints, e)
			for range 10 {
				j := webhook.Job{}
				j.Message, j.Endpoint, j.Application, j.DueAt = r.ids.New(r.now), e.ID, app, r.now
				r.rows = append(r.rows, &row{job: j})
			}
			r.step(func(c *core) { c.waiting(e.ID, firsts, r.now, r.now) })
			for len(r.looks) > 0 {
				r.look(false)
			}
		}
		for range rapid.IntRange(2, 30).Draw(t, "hanging endpoints") {
			send(hanging)
		}
		send(other)
		if n := len(r.calls); n != 8 {
			t.Fatalf("%d calls are under way, want all 8", n)
		}
		if !slices.ContainsFunc(r.calls, func(c call) bool { return c.job.Application == other }) {
			t.Fatal("the other application has no call")
		}
	})
}

// TestCallsThatTakeLongMakeRoomForOthers has receivers that answer late: no more
// calls begin at once than may be young, and others once those are not.
func TestCallsThatTakeLongMakeRoomForOthers(t *testing.T) {
	var ids webhook.IDs
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := newCore(Limits{Calls: 28, YoungCalls: 5, CallsPerEndpoint: 20, Held: 1000, Bytes: 1 << 20, Claims: 4})
	e := webhook.Endpoint{ID: ids.New(now), Application: ids.New(now), UpdatedAt: now}
	for range 30 {
		if !c.reserve(&e, now) {
			t.Fatal("no place is left")
		}
		j := webhook.Job{To: &e}
		j.Message, j.Endpoint, j.Application, j.DueAt = ids.New(now), e.ID, e.Application, now
		c.add([]webhook.Job{j}, now)
	}
	begun := 0
	for _, want := range []int{5, 10, 15, 20} {
		todo := c.take(now)
		if begun += len(todo.calls); begun != want {
			t.Fatalf("%d calls have begun, want %d", begun, want)
		}
		if next := now.Add(youth); want < 20 && !todo.wake.Equal(next) {
			t.Fatalf("asks to be woken at %v, want %v", todo.wake, next)
		}
		now = now.Add(youth)
	}
	if todo := c.take(now); len(todo.calls) > 0 {
		t.Errorf("%d more than may be in flight have begun", len(todo.calls))
	}
}

// TestLargePayloadsAreBounded has many endpoints that never answer and for which
// large payloads wait: however often the queue is looked into, what is held comes
// to little more than it may.
func TestLargePayloadsAreBounded(t *testing.T) {
	var ids webhook.IDs
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	limits := DefaultLimits()
	c := newCore(limits)
	const endpoints, size = 20, 1 << 20
	var waiting [endpoints]*webhook.Endpoint
	for i := range waiting {
		waiting[i] = &webhook.Endpoint{ID: ids.New(now), Application: ids.New(now), UpdatedAt: now}
		c.waiting(waiting[i].ID, firsts, now, now)
	}
	payload := make([]byte, size)
	looks := 0
	for ; looks < 1000; looks++ {
		todo := c.take(now)
		if len(todo.claims) == 0 {
			break
		}
		for _, q := range todo.claims {
			found := webhook.Claimed{FirstDue: now}
			for _, e := range waiting {
				if e.ID == q.endpoint {
					found.Endpoint = e
				}
			}
			for range q.limit {
				j := webhook.Job{To: found.Endpoint, Payload: payload}
				j.Message, j.Endpoint, j.Application, j.DueAt = ids.New(now), q.endpoint, found.Endpoint.Application, now
				found.Jobs = append(found.Jobs, j)
			}
			c.claimed(q, found, now)
		}
	}
	if looks == 1000 {
		t.Error("it looks for ever")
	}
	// One for each endpoint, and what the first looks brought before it was known
	// how large they are.
	if most := limits.Bytes + (endpoints+4*limits.Claims)*size; c.bytes > most {
		t.Errorf("%d MiB are held, %d may be", c.bytes>>20, limits.Bytes>>20)
	}
}
