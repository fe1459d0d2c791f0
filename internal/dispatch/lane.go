package dispatch

import (
	"fanfare/internal/webhook"
	"time"
)

// kind tells first attempts from what keeps its own time.
type kind int

const (
	firsts  kind = iota // first attempts, which a resting endpoint does not get
	retries             // retries and replays
)

func kindOf(d *webhook.Delivery) kind {
	if d.First() {
		return firsts
	}
	return retries
}

// lane is what this node knows of one endpoint that has, or had a moment ago,
// something to send.
type lane struct {
	id webhook.ID
	// application pays for the lane's calls.
	application webhook.ID
	// endpoint is its configuration: known says whether it was ever read, and
	// nil then that it was deleted. stale says that it must be read again, and
	// staleAgain that this became so while a look into the queue was under way.
	endpoint          *webhook.Endpoint
	known             bool
	stale, staleAgain bool

	// ready is what this node holds and has not sent, by kind; due is when the
	// next of each kind that nobody holds comes due.
	ready [2]queue[webhook.Job]
	due   [2]time.Time
	// missed is due for what came while a look was under way, which may or may
	// not have seen it.
	missed   [2]time.Time
	reserved int
	calls    int
	// payload is how large the payloads were of late, in bytes.
	payload int

	pace     pace
	breaker  webhook.Breaker
	throttle webhook.Throttle
	// shareUntil is until when the application's throttle holds the lane back.
	shareUntil time.Time
	// quietUntil is until when a chat service wants no calls at all.
	quietUntil time.Time
	// notBefore puts off looking into the queue after the database refused.
	notBefore time.Time

	claiming, hungry, runnable bool

	wakeAt    time.Time
	wakeIndex int
}

func newLane(endpoint webhook.ID, limits Limits) *lane {
	return &lane{id: endpoint, pace: newPace(limits), wakeIndex: -1}
}

func (l *lane) held() int { return l.ready[firsts].len() + l.ready[retries].len() + l.calls }

// room is how many more deliveries the lane may hold.
func (l *lane) room() int { return l.depth() - l.held() - l.reserved }

// fewest is what a lane may hold however little room the others leave.
const fewest = 64

// share is how many more deliveries the lane may hold where so many places and
// bytes are left for all lanes: a quarter of what is left, so that who takes
// much leaves something for those who come later.
func (l *lane) share(places, bytes int) int {
	places /= 4
	if l.payload > 0 {
		places = min(places, bytes/4/l.payload)
	}
	return min(l.room(), max(places, fewest)-l.held()-l.reserved)
}

// throttledDepth is for how many seconds a throttled lane may hold what it
// sends, which must be less than its claims last.
const throttledDepth = 10

// fit is how many deliveries a look may bring so that their payloads come to so
// many bytes, going by those that came of late: few as long as nothing is known
// of them, and one for a lane that has none, so that one with large payloads
// goes on.
func (l *lane) fit(bytes int) int {
	const unknown = 4
	n := min(unknown, bytes)
	if l.payload > 0 {
		n = bytes / l.payload
	}
	if l.held()+l.reserved == 0 {
		n = max(1, n)
	}
	return max(0, n)
}

// depth is how many deliveries the lane may hold.
func (l *lane) depth() int {
	if !l.breaker.OpenUntil.IsZero() || l.endpoint != nil && l.endpoint.Kind.Chat() {
		return 2
	}
	depth := l.pace.depth()
	if l.endpoint != nil && l.endpoint.Rate() > 0 {
		depth = min(depth, throttledDepth*l.endpoint.Rate())
	}
	return depth
}

// parallel is how many calls may be in flight now: one when the endpoint is
// being probed, and one to a chat service, whose messages are read in order.
func (l *lane) parallel() int {
	if !l.breaker.OpenUntil.IsZero() || l.endpoint != nil && l.endpoint.Kind.Chat() {
		return 1
	}
	return l.pace.parallel()
}

// resting reports whether first attempts are to wait.
func (l *lane) resting(now time.Time) bool { return now.Before(l.restsUntil()) }

func (l *lane) restsUntil() time.Time {
	if l.quietUntil.After(l.breaker.OpenUntil) {
		return l.quietUntil
	}
	return l.breaker.OpenUntil
}

// learn takes a configuration that was read in a transaction, unless the one
// at hand is as new.
func (l *lane) learn(e *webhook.Endpoint) {
	if !l.known || l.endpoint == nil || l.endpoint.UpdatedAt.Before(e.UpdatedAt) {
		l.endpoint, l.known = e, true
	}
}

// paused reports whether the endpoint holds what is for it.
func (l *lane) paused() bool {
	return l.known && l.endpoint != nil && l.endpoint.Paused && !l.endpoint.Disabled
}

// rate is the most calls a second that the next delivery allows: what was held
// by a pause may be released more slowly than the rest.
func (l *lane) rate() int {
	if l.endpoint == nil {
		return 0
	}
	k := firsts
	if l.ready[retries].len() > 0 {
		k = retries
	}
	rate, release := l.endpoint.Rate(), l.endpoint.ReleaseRate
	if release == 0 || l.ready[k].len() == 0 || !l.ready[k].peek().DueAt.Before(l.endpoint.ResumedAt) {
		return rate
	}
	if rate == 0 {
		return release
	}
	return min(rate, release)
}

// off reports whether the endpoint takes nothing any more.
func (l *lane) off() bool { return l.known && (l.endpoint == nil || l.endpoint.Disabled) }

// maySend reports whether a call may start now.
func (l *lane) maySend(now time.Time) bool {
	if l.stale || !l.known {
		return false
	}
	if l.ready[retries].len() == 0 && (l.ready[firsts].len() == 0 || l.resting(now)) {
		return false
	}
	if l.off() {
		return true // to be canceled
	}
	if now.Before(l.shareUntil) || now.Before(l.quietUntil) || l.paused() {
		return false
	}
	return l.calls < l.parallel() && l.throttle.Wait(l.rate(), now) == 0
}

// next takes the delivery to send: what was put off before comes first.
func (l *lane) next() webhook.Job {
	if l.ready[retries].len() > 0 {
		return l.ready[retries].pop()
	}
	return l.ready[firsts].pop()
}

// dueNow is when the lane next wants to look into the queue; zero for never.
func (l *lane) dueNow(now time.Time) time.Time {
	if l.paused() {
		return time.Time{}
	}
	at := l.due[retries]
	if first := l.due[firsts]; !first.IsZero() {
		if l.resting(now) && first.Before(l.restsUntil()) {
			first = l.restsUntil()
		}
		if at.IsZero() || first.Before(at) {
			at = first
		}
	}
	return at
}

// wantsClaim reports whether a look into the queue would help now.
func (l *lane) wantsClaim(now time.Time) bool {
	if l.claiming || now.Before(l.notBefore) {
		return false
	}
	if l.stale || !l.known && l.held() > l.calls {
		return true
	}
	at := l.dueNow(now)
	if at.IsZero() || at.After(now) {
		return false
	}
	// Half empty before it is filled again: fewer, larger looks.
	return l.room() >= max(1, l.depth()/2) || l.held() == l.calls && l.room() > 0
}

// wake is when something about the lane changes by itself; zero for never.
func (l *lane) wake(now time.Time) time.Time {
	var at time.Time
	earliest := func(t time.Time) {
		if t.After(now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	earliest(l.dueNow(now))
	if l.stale || !l.dueNow(now).IsZero() {
		earliest(l.notBefore)
	}
	if l.endpoint != nil {
		earliest(now.Add(l.throttle.Wait(l.rate(), now)))
		earliest(l.quietUntil)
	}
	if l.held() > l.calls {
		earliest(l.shareUntil)
		earliest(l.breaker.OpenUntil)
	}
	if at.IsZero() && l.held() == 0 {
		earliest(l.pace.keepUntil())
	}
	return at
}

// idle reports whether there is nothing to remember.
func (l *lane) idle(now time.Time) bool {
	return !now.Before(l.pace.keepUntil()) && l.held() == 0 && l.reserved == 0 && !l.claiming && !l.hungry && !l.runnable && !l.stale &&
		l.due[firsts].IsZero() && l.due[retries].IsZero() && l.breaker == webhook.Breaker{} && l.wakeIndex < 0
}

// after learns from the outcome of a call.
func (l *lane) after(o webhook.Outcome, took time.Duration, now time.Time) {
	l.pace = l.pace.after(o, took, now)
	if o != webhook.Busy { // who is busy works
		l.breaker = l.breaker.After(o == webhook.Delivered, now)
	}
}
