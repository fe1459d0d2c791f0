package webhook

import "time"

// Throttle spaces calls evenly so that no more than a number of them go out in
// a second (the generic cell rate algorithm). The zero value has sent nothing.
// It is a value: Take returns the next state.
type Throttle struct{ next time.Time }

// throttleSlack is how far calls may bunch up, so that high rates need no
// timer for each call. At rates below 20 a second every call is spaced.
const throttleSlack = 50 * time.Millisecond

// Wait returns how long to wait before the next call may go out at a rate of
// so many a second; 0 means now. A rate of 0 is no limit.
func (t Throttle) Wait(rate int, now time.Time) time.Duration {
	if rate <= 0 {
		return 0
	}
	if !t.next.After(now) {
		return 0 // nothing to subtract from: the difference to the zero time has no room left
	}
	interval := time.Second / time.Duration(rate)
	return max(0, t.next.Sub(now)-max(0, throttleSlack-interval))
}

// Take returns the throttle after a call at now.
func (t Throttle) Take(rate int, now time.Time) Throttle {
	if rate <= 0 {
		return Throttle{}
	}
	if t.next.Before(now) {
		t.next = now
	}
	t.next = t.next.Add(time.Second / time.Duration(rate))
	return t
}
