package simulation_test

import (
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"time"
)

// delivery is one delivery with all that is known of it in the end.
type delivery struct {
	*world
	message  *message
	endpoint int
	state    webhook.DeliveryState
	siblings []webhook.DeliveryState
	// attempts are those on record, calls those the receiver saw, in order.
	attempts []webhook.Attempt
	calls    []*call
}

func (d *delivery) String() string {
	return fmt.Sprintf("%s at e%d, replay %d", d.message, d.endpoint, d.replayOf(d.state.DeliveryKey))
}

func (d *delivery) broken(format string, args ...any) {
	d.problem("%s: %s", d, fmt.Sprintf(format, args...))
}

func (d *delivery) check() {
	if d.state.Status == webhook.Pending || !d.state.NextAt.IsZero() {
		d.broken("has not ended: %+v", d.state)
		return
	}
	d.checkEnd(d.checkAttempts())
	d.checkOrder()
	d.checkWaits()
}

// usesStep tells whether an outcome uses up a step of the schedule. Nobody here is
// busy for a whole day.
func usesStep(o webhook.Outcome) bool {
	switch o {
	case webhook.Refused, webhook.TimedOut, webhook.Unreachable, webhook.Blocked:
		return true
	case webhook.Delivered, webhook.Gone, webhook.Busy, webhook.NotSent:
		return false
	default:
		return false
	}
}

// checkAttempts sees that each attempt on record is a call that was made, once
// and with its outcome, and finds the one that ended the delivery.
func (d *delivery) checkAttempts() (steps int, end *webhook.Attempt) {
	for i := range d.attempts {
		a := &d.attempts[i]
		if d.plan.nodes == 1 && a.Number != i+1 {
			d.broken("attempt %d has the number %d", i+1, a.Number)
		}
		if a.Ends != webhook.Pending {
			if end != nil {
				d.broken("ended twice")
			}
			end = a
		}
		if a.Outcome == webhook.NotSent {
			continue
		}
		if usesStep(a.Outcome) {
			steps++
		}
		c := d.net.byTag(string(a.Response))
		switch {
		case c == nil || c.key != a.DeliveryKey:
			d.broken("an attempt that nobody made: %+v", a)
			continue
		case c.stored:
			d.broken("%v is on record twice", c)
		case c.outcome != a.Outcome:
			d.broken("%v is on record with outcome %d, it was %d", c, a.Outcome, c.outcome)
		}
		if a.Ends != webhook.Pending && d.lost(c) {
			d.broken("%v ended it, though its node had lost the claim", c)
		}
		c.stored = true
		c.ended = c.ended || a.Ends != webhook.Pending
	}
	return steps, end
}

// lost reports whether somebody else had claimed the delivery, and called,
// before a call was on record.
func (d *delivery) lost(c *call) bool {
	return slices.ContainsFunc(d.calls, func(o *call) bool { return o.claimed > c.claimed && !c.kept.IsZero() && o.start.Before(c.kept) })
}

// checkEnd sees that the delivery ended as it had to.
func (d *delivery) checkEnd(steps int, end *webhook.Attempt) {
	all := len(d.plan.schedule) + 1
	if d.state.Replay != 0 {
		all = 1
	}
	if d.plan.nodes == 1 && steps > all {
		d.broken("%d attempts used up a step, there are %d", steps, all)
	}
	switch d.state.Status {
	case webhook.Succeeded:
		replayed := d.state.Replay == 0 && slices.ContainsFunc(d.siblings, func(s webhook.DeliveryState) bool {
			return s.Endpoint == d.state.Endpoint && s.Replay != 0 && s.Status == webhook.Succeeded
		})
		if !replayed && (end == nil || end.Outcome != webhook.Delivered) {
			d.broken("succeeded without an answer of success")
		}
	case webhook.Failed:
		switch {
		case end == nil:
			d.broken("failed without an attempt that says so")
		case end.Outcome == webhook.Gone:
		case end.Outcome == webhook.NotSent && d.message.expunged:
		case steps < all || end.Outcome == webhook.NotSent:
			d.broken("failed after %d attempts that used up a step, want %d", steps, all)
		}
	case webhook.Canceled:
		off := slices.ContainsFunc(d.endpoints[d.endpoint].possible(d.message.asked, time.Now()), func(c config) bool { return !c.on })
		if !off {
			d.broken("canceled, though the endpoint was never off")
		}
	case webhook.Pending:
	}
}

// checkOrder sees that calls follow one another: the next begins when the last
// is on record, or when its node has died or lost its lease.
func (d *delivery) checkOrder() {
	var finished time.Time
	for _, c := range d.calls {
		if c.ended {
			finished = c.kept
		}
	}
	for i, c := range d.calls {
		if !finished.IsZero() && c.start.After(finished) {
			d.broken("%v begins after the delivery has ended", c)
		}
		if i == 0 {
			continue
		}
		last := d.calls[i-1]
		switch {
		case !last.kept.IsZero() && !c.start.Before(last.kept):
			continue // as it should be
		case d.mayHaveLost(last, c.start):
		default:
			d.broken("%v begins while %v is under way", c, last)
		}
		if last.arrived {
			d.tally.again++
		}
	}
}

// mayHaveLost reports whether the node of a call may have lost its claim by then:
// it died, was cut short, or stood still until its lease was over.
func (w *world) mayHaveLost(c *call, by time.Time) bool {
	return !c.node.died.IsZero() && !by.Before(c.node.died) || c.node.cut.Load() ||
		w.plan.nodes > 1 && by.Sub(c.start) > w.plan.timeout-5*time.Millisecond
}

// checkWaits sees that nothing is sent before its time.
func (d *delivery) checkWaits() {
	if d.plan.nodes > 1 {
		return
	}
	steps := 0
	for i, c := range d.calls {
		if !c.stored {
			continue
		}
		if usesStep(c.outcome) {
			steps++
		}
		if i+1 == len(d.calls) {
			continue
		}
		next := d.calls[i+1]
		skewed := slices.ContainsFunc(d.net.skewed, func(at time.Time) bool { return at.After(c.told) && at.Before(next.start) })
		if wait, least := next.start.Sub(c.told), d.leastWait(c, steps); wait < least-2*time.Microsecond && !skewed {
			d.broken("%v begins %v after %v, want at least %v", next, wait, c, least)
		}
	}
}

func (d *delivery) leastWait(c *call, steps int) time.Duration {
	if c.outcome == webhook.Busy {
		return min(c.retryAfter, time.Hour)
	}
	if steps < 1 || steps > len(d.plan.schedule) {
		return 0
	}
	base := d.plan.schedule[steps-1]
	if c.outcome == webhook.TimedOut {
		base = max(base, time.Minute)
	}
	if c.retryAfter >= 0 {
		base = min(max(c.retryAfter, base), 2*base)
	}
	return base * 8 / 10
}
