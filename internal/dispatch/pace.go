package dispatch

import (
	"fanfare/internal/webhook"
	"time"
)

// pace is how fast an endpoint has shown to take calls. It starts low, so that
// a receiver nobody knows yet and that never answers costs little; it doubles
// with each round of successes until the first failure, and then grows by one
// each round and is halved by each failure, as TCP does it (RFC 5681).
type pace struct {
	limit float64
	most  float64
	// eager lasts until the first failure.
	eager bool
	// rate is how many calls a second have succeeded of late: ended of them
	// since.
	rate  float64
	ended int
	since time.Time
	// held bounds the depth.
	held int
}

const (
	// slowAnswer is when a success no longer speaks for more calls at a time,
	// but for fewer, down to slowCalls: many receivers are slow and take calls
	// side by side all the same.
	slowAnswer = 2 * time.Second
	slowCalls  = 4
	// paceWindow is over what rate is measured, and depthTime how long what is
	// held is to last at that rate, so that the lane does not run dry while
	// the queue is looked into.
	paceWindow = 100 * time.Millisecond
	depthTime  = 500 * time.Millisecond
	// An endpoint that has not failed may have more held for it, since what
	// goes through the queue costs half as much again: what it takes within
	// eagerTime, which is far less than a claim lasts, and room for a burst.
	eagerTime  = 5 * time.Second
	eagerDepth = 1024
	// paceMemory is for how long a pace is kept when there is nothing to send.
	paceMemory = 10 * time.Second
)

func newPace(l Limits) pace {
	first := l.FirstCalls
	if first == 0 {
		first = l.CallsPerEndpoint
	}
	held := l.HeldPerEndpoint
	if held == 0 {
		held = 2 * l.CallsPerEndpoint
	}
	return pace{limit: float64(first), most: float64(l.CallsPerEndpoint), eager: true, held: held}
}

// parallel is how many calls may be in flight.
func (p pace) parallel() int { return max(1, int(p.limit)) }

// depth is how many deliveries may be held: what is in flight and as much
// again, or what is sent in a moment.
func (p pace) depth() int {
	depth := max(2*p.parallel(), int(p.rate*depthTime.Seconds()))
	if p.eager {
		depth = max(depth, eagerDepth, int(p.rate*eagerTime.Seconds()))
	}
	return max(2, min(depth, p.held))
}

// after is the pace once a call has ended.
func (p pace) after(o webhook.Outcome, took time.Duration, now time.Time) pace {
	switch {
	case o != webhook.Delivered:
		p.eager, p.limit = false, max(1, p.limit/2)
		return p
	case took > slowAnswer:
		p.eager, p.limit = false, max(min(p.limit, slowCalls), p.limit-0.5)
	case p.eager:
		p.limit = min(p.most, p.limit+1)
	default:
		p.limit = min(p.most, p.limit+1/p.limit)
	}
	p.ended++
	switch past := now.Sub(p.since); {
	case past > 10*paceWindow:
		p.ended, p.since = 1, now // after a pause
	case past >= paceWindow:
		p.rate = float64(p.ended) / past.Seconds()
		p.ended, p.since = 0, now
	}
	return p
}

// keepUntil is until when the pace is worth remembering although there is
// nothing to send; zero when nothing was learned.
func (p pace) keepUntil() time.Time {
	if p.since.IsZero() {
		return time.Time{}
	}
	return p.since.Add(paceMemory)
}
