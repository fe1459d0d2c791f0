package dispatch

import (
	"container/heap"
	"fanfare/internal/webhook"
	"runtime"
	"time"
)

// Limits bound what one node holds and does at a time.
type Limits struct {
	// Calls is how many calls are in flight in all, YoungCalls how many of them
	// may have begun within youth, 0 for all: a machine gets no faster by more
	// calls at once than keep it busy, and each costs memory. Those that
	// receivers take longer to answer do not count.
	Calls, YoungCalls int
	// CallsPerEndpoint is how many calls a healthy endpoint gets at a time. One
	// that is not known yet begins with FirstCalls and earns the others.
	CallsPerEndpoint, FirstCalls int
	// Held is how many deliveries are held in memory, HeldPerEndpoint for one
	// endpoint at most, and Bytes how much their payloads may come to. What
	// exceeds them waits in the database.
	Held, HeldPerEndpoint int
	Bytes                 int
	// Claims is how many looks into the queue run side by side.
	Claims int
}

// youth is for how long a call is young: answers from nearby come sooner.
const youth = 5 * time.Millisecond

// DefaultLimits suit a small machine and keep memory low.
func DefaultLimits() Limits {
	return Limits{
		Calls: 2048, YoungCalls: 64 * runtime.GOMAXPROCS(0), CallsPerEndpoint: 32, FirstCalls: 4, Held: 32 << 10, HeldPerEndpoint: 2048, Bytes: 32 << 20, Claims: 4,
	}
}

// core decides what is sent when. It is not safe for concurrent use.
type core struct {
	limits Limits
	lanes  map[webhook.ID]*lane
	shares map[webhook.ID]*share
	// ring holds the applications that have a lane ready to send.
	ring queue[*share]
	// hungry holds the lanes that want to look into the queue.
	hungry queue[*lane]
	clock  clock
	// started holds the calls that may be young, the oldest first; young counts
	// those that are.
	started queue[*flight]
	young   int

	calls, held, bytes, claims int
	draining                   bool
	todo                       actions
}

// share is what one application uses of the process.
type share struct {
	id       webhook.ID
	calls    int
	runnable queue[*lane]
	inRing   bool
	// throttle spaces the calls of all its endpoints together, at a rate.
	throttle webhook.Throttle
	rate     int
}

// call is a delivery to send now, with the endpoint as it is now: nil when it
// was deleted.
type call struct {
	job    webhook.Job
	to     *webhook.Endpoint
	flight *flight
}

// flight is what the core knows of a call in flight.
type flight struct {
	began time.Time
	// young lasts until the call has ended or has taken longer than youth.
	young bool
}

// claim is a look into the queue of an endpoint.
type claim struct {
	endpoint    webhook.ID
	limit       int
	retriesOnly bool
}

// actions are what the shell has to do next.
type actions struct {
	calls   []call
	claims  []claim
	unclaim []webhook.Job
	// wake is when the core wants to be asked again; zero for never.
	wake time.Time
}

func newCore(l Limits) *core {
	return &core{limits: l, lanes: map[webhook.ID]*lane{}, shares: map[webhook.ID]*share{}}
}

// take hands the collected actions over.
func (c *core) take(now time.Time) actions {
	for {
		l, ok := c.clock.pop(now)
		if !ok {
			break
		}
		c.consider(l, now)
	}
	for c.started.len() > 0 {
		f := *c.started.peek()
		if f.young && now.Before(f.began.Add(youth)) {
			break
		}
		c.started.pop()
		c.age(f)
	}
	c.feed(now)
	c.start(now)
	todo := c.todo
	todo.wake = c.next()
	c.todo = actions{}
	return todo
}

// next is when the core wants to be asked again; zero for never.
func (c *core) next() time.Time {
	at := c.clock.next()
	if c.ring.len() > 0 && c.tooManyYoung() && c.calls < c.limits.Calls {
		at = earlier(at, (*c.started.peek()).began.Add(youth))
	}
	return at
}

func (c *core) tooManyYoung() bool { return c.limits.YoungCalls > 0 && c.young >= c.limits.YoungCalls }

// age notes that a call is not young any more.
func (c *core) age(f *flight) {
	if f.young {
		f.young = false
		c.young--
	}
}

func (c *core) lane(endpoint webhook.ID) *lane {
	l := c.lanes[endpoint]
	if l == nil {
		l = newLane(endpoint, c.limits)
		c.lanes[endpoint] = l
	}
	return l
}

// reserve keeps a place for one delivery that is about to be stored.
func (c *core) reserve(e *webhook.Endpoint, now time.Time) bool {
	l := c.lane(e.ID)
	if c.draining || c.held >= c.limits.Held || c.bytes >= c.limits.Bytes || l.share(c.limits.Held-c.held, c.limits.Bytes-c.bytes) < 1 ||
		!l.breaker.OpenUntil.IsZero() || !l.due[firsts].IsZero() || e.Paused {
		// What cannot be sent soon, or would overtake what waits, goes to the
		// queue.
		c.forget(l, now)
		return false
	}
	l.learn(e)
	l.reserved++
	c.held++
	return true
}

func (c *core) release(endpoint webhook.ID, n int, now time.Time) {
	l := c.lane(endpoint)
	l.reserved -= n
	c.held -= n
	c.consider(l, now)
}

// add takes over deliveries that hold a reserved place.
func (c *core) add(jobs []webhook.Job, now time.Time) {
	for i := range jobs {
		l := c.lane(jobs[i].Endpoint)
		l.reserved--
		c.held--
		c.put(l, jobs[i])
		c.consider(l, now)
	}
}

func (c *core) put(l *lane, j webhook.Job) {
	c.held++
	c.bytes += len(j.Payload)
	l.payload = max(len(j.Payload), l.payload-l.payload/8)
	l.application = j.Application
	l.ready[kindOf(&j.Delivery)].push(j)
}

// waiting notes that an unclaimed delivery comes due.
func (c *core) waiting(endpoint webhook.ID, k kind, due, now time.Time) {
	l := c.lane(endpoint)
	l.due[k] = earlier(l.due[k], due)
	if l.claiming {
		l.missed[k] = earlier(l.missed[k], due)
	}
	c.consider(l, now)
}

// earlier is the first of two times, of which the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// changed notes that the endpoint must be read again before its next call.
func (c *core) changed(endpoint webhook.ID, now time.Time) {
	l := c.lane(endpoint)
	l.stale = true
	l.staleAgain = l.claiming
	c.consider(l, now)
}

// claimed takes what a look into the queue found.
func (c *core) claimed(q claim, found webhook.Claimed, now time.Time) {
	l := c.lane(q.endpoint)
	l.reserved -= q.limit
	c.held -= q.limit
	c.claims--
	l.claiming = false
	l.endpoint, l.known = found.Endpoint, true
	l.stale = l.staleAgain
	l.staleAgain = false
	l.due[firsts] = earlier(found.FirstDue, l.missed[firsts])
	l.due[retries] = earlier(found.RetryDue, l.missed[retries])
	l.missed = [2]time.Time{}
	if l.off() {
		l.breaker = webhook.Breaker{} // what is off has no health
		// What waits is canceled now, whenever it would have been sent.
		for k := range l.due {
			if l.due[k].After(now) {
				l.due[k] = now
			}
		}
	}
	for _, j := range found.Jobs {
		c.put(l, j)
	}
	c.consider(l, now)
	c.feed(now)
}

// claimFailed puts off the next look after the database refused one.
func (c *core) claimFailed(q claim, now time.Time) {
	l := c.lane(q.endpoint)
	l.reserved -= q.limit
	c.held -= q.limit
	c.claims--
	l.claiming = false
	l.missed = [2]time.Time{}
	l.stale = l.stale || l.staleAgain
	l.staleAgain = false
	l.notBefore = now.Add(time.Second)
	c.consider(l, now)
	c.feed(now)
}

// ended notes the end of a call and frees its place for the next one. Its
// outcome is still to be recorded; a call that was not made, or that we cut
// short, is NotSent.
func (c *core) ended(ended *call, outcome webhook.Outcome, took time.Duration, now time.Time) {
	l := c.lane(ended.job.Endpoint)
	l.calls--
	c.calls--
	c.age(ended.flight)
	s := c.share(ended.job.Application)
	s.calls--
	if outcome != webhook.NotSent {
		l.after(outcome, took, now)
	}
	c.consider(l, now)
	c.enter(s)
	if s.calls == 0 && !s.inRing && s.runnable.len() == 0 && s.throttle.Wait(s.rate, now) == 0 {
		delete(c.shares, s.id)
	}
}

// quiet holds all calls to a chat service back until it takes messages again,
// so that none overtakes the one that it refused.
func (c *core) quiet(endpoint webhook.ID, until, now time.Time) {
	l := c.lane(endpoint)
	if l.endpoint != nil && l.endpoint.Kind.Chat() {
		l.quietUntil = until
	}
	c.consider(l, now)
}

// recorded notes that nothing of a delivery is left in memory.
func (c *core) recorded(j *webhook.Job) {
	c.held--
	c.bytes -= len(j.Payload)
}

// drain stops everything that has not started: no claims, no calls. What is
// held is given back.
func (c *core) drain() {
	c.draining = true
	for _, l := range c.lanes {
		c.giveBack(l, firsts)
		c.giveBack(l, retries)
	}
}

func (c *core) giveBack(l *lane, k kind) {
	for l.ready[k].len() > 0 {
		j := l.ready[k].pop()
		c.held--
		c.bytes -= len(j.Payload)
		c.todo.unclaim = append(c.todo.unclaim, j)
	}
}

// consider brings a lane to where it belongs after anything has happened to
// it: into the ring, to the queue, to sleep, or away.
func (c *core) consider(l *lane, now time.Time) {
	if c.draining {
		c.giveBack(l, firsts)
		c.giveBack(l, retries)
		return
	}
	if l.resting(now) || l.paused() {
		c.giveBack(l, firsts)
	}
	if l.paused() {
		c.giveBack(l, retries)
	}
	if l.wantsClaim(now) && !l.claiming && !l.hungry {
		l.hungry = true
		c.hungry.push(l)
		c.feed(now)
	}
	if l.maySend(now) && !l.runnable {
		l.runnable = true
		s := c.share(l.application)
		s.runnable.push(l)
		c.enter(s)
	}
	c.clock.set(l, l.wake(now))
	c.forget(l, now)
}

func (c *core) share(app webhook.ID) *share {
	s := c.shares[app]
	if s == nil {
		s = &share{id: app}
		c.shares[app] = s
	}
	return s
}

// maySend reports whether the application may make a call now; otherwise the
// lane waits until it may.
func (s *share) maySend(l *lane, now time.Time) bool {
	if l.off() {
		return true // to be canceled
	}
	s.rate = l.endpoint.ApplicationThrottle
	wait := s.throttle.Wait(s.rate, now)
	if wait > 0 {
		l.shareUntil = now.Add(wait)
	}
	return wait == 0
}

// callsPerShare leaves room for others: one application alone may use three
// quarters of the calls.
func (c *core) callsPerShare() int { return max(1, c.limits.Calls*3/4) }

func (c *core) enter(s *share) {
	if s.inRing || s.runnable.len() == 0 || s.calls >= c.callsPerShare() {
		return
	}
	s.inRing = true
	c.ring.push(s)
}

// start fills the calls that are free, one lane of one application at a time.
func (c *core) start(now time.Time) {
	for c.calls < c.limits.Calls && !c.tooManyYoung() && c.ring.len() > 0 {
		s := c.ring.pop()
		s.inRing = false
		l := s.runnable.pop()
		l.runnable = false
		if l.maySend(now) && s.maySend(l, now) {
			c.todo.calls = append(c.todo.calls, c.send(l, s, now))
		}
		c.consider(l, now)
		c.enter(s)
	}
}

func (c *core) send(l *lane, s *share, now time.Time) call {
	rate := l.rate()
	j := l.next()
	l.calls++
	c.calls++
	s.calls++
	if l.endpoint != nil {
		l.throttle = l.throttle.Take(rate, now)
		s.throttle = s.throttle.Take(s.rate, now)
	}
	f := &flight{began: now, young: true}
	c.young++
	c.started.push(f)
	return call{job: j, to: l.endpoint, flight: f}
}

// mostClaimed is how many deliveries one look brings: while the database works
// on them, others wait.
const mostClaimed = 32

// feed lets hungry lanes look into the queue, as many at a time as the limit
// allows.
func (c *core) feed(now time.Time) {
	waits := 0
	for c.hungry.len() > 0 && c.claims+waits < c.limits.Claims {
		l := c.hungry.pop()
		l.hungry = false
		if !l.wantsClaim(now) || l.claiming || c.draining {
			continue
		}
		limit := max(0, min(mostClaimed, l.share(c.limits.Held-c.held, c.limits.Bytes-c.bytes), c.limits.Held-c.held))
		limit = min(limit, l.fit(c.limits.Bytes-c.bytes))
		if at := l.dueNow(now); at.IsZero() || at.After(now) {
			limit = 0 // it is about the endpoint alone
		} else if limit < 1 && l.known && !l.stale && !l.off() {
			// All that may be held is: a look would bring nothing.
			if l.held()+l.reserved > 0 {
				continue // it is considered again when something of its own is done
			}
			l.hungry = true
			c.hungry.push(l)
			waits++
			continue
		}
		l.claiming = true
		// What it may bring has its places.
		l.reserved += limit
		c.held += limit
		c.claims++
		c.todo.claims = append(c.todo.claims, claim{l.id, limit, l.resting(now)})
	}
}

// forget drops a lane about which there is nothing to remember.
func (c *core) forget(l *lane, now time.Time) {
	if l.idle(now) {
		c.clock.set(l, time.Time{})
		delete(c.lanes, l.id)
	}
}

// clock is the lanes that wait for a time, the earliest first.
type clock []*lane //nolint:recvcheck // as container/heap wants it

func (c clock) Len() int           { return len(c) }
func (c clock) Less(i, j int) bool { return c[i].wakeAt.Before(c[j].wakeAt) }
func (c clock) Swap(i, j int) {
	c[i], c[j] = c[j], c[i]
	c[i].wakeIndex, c[j].wakeIndex = i, j
}

// Push implements heap.Interface.
func (c *clock) Push(x any) {
	l := x.(*lane) //nolint:forcetypeassert,errcheck // only set pushes
	l.wakeIndex = len(*c)
	*c = append(*c, l)
}

// Pop implements heap.Interface.
func (c *clock) Pop() any {
	old := *c
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*c = old[:len(old)-1]
	l.wakeIndex = -1
	return l
}

// set makes l wake at a time; zero lets it sleep.
func (c *clock) set(l *lane, at time.Time) {
	switch {
	case at.IsZero() && l.wakeIndex >= 0:
		heap.Remove(c, l.wakeIndex)
	case at.IsZero():
	case l.wakeIndex >= 0:
		l.wakeAt = at
		heap.Fix(c, l.wakeIndex)
	default:
		l.wakeAt = at
		heap.Push(c, l)
	}
}

// pop takes the next lane whose time has come.
func (c *clock) pop(now time.Time) (*lane, bool) {
	if len(*c) == 0 || (*c)[0].wakeAt.After(now) {
		return nil, false
	}
	return heap.Pop(c).(*lane), true //nolint:forcetypeassert,errcheck // only lanes are in it
}

func (c *clock) next() time.Time {
	if len(*c) == 0 {
		return time.Time{}
	}
	return (*c)[0].wakeAt
}

// queue is first in, first out.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int { return len(q.items) - q.head }

func (q *queue[T]) push(v T) {
	if q.head > 32 && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

// peek is what pop would take.
func (q *queue[T]) peek() *T { return &q.items[q.head] }

func (q *queue[T]) pop() T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return v
}
