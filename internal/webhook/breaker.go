package webhook

import "time"

// Breaker rests an endpoint that fails again and again, so that its first
// attempts do not use up calls that can only fail. The zero value is closed:
// everything may be sent. It is a value: methods return the next state.
type Breaker struct {
	// Failures counts the failures in a row.
	Failures int
	// OpenUntil is when a resting endpoint gets its next probe; zero while
	// closed.
	OpenUntil time.Time
	rest      time.Duration
}

// The rules of the breaker.
const (
	BreakerFailures = 10               // failures in a row that open it
	BreakerRest     = 30 * time.Second // its first rest, doubling
	BreakerMaxRest  = 10 * time.Minute
)

// After returns the breaker after a call that succeeded or failed at now.
func (b Breaker) After(succeeded bool, now time.Time) Breaker {
	if succeeded {
		return Breaker{}
	}
	b.Failures++
	if b.Failures < BreakerFailures || now.Before(b.OpenUntil) {
		// Calls that were in flight when it opened say nothing new.
		return b
	}
	b.rest = min(max(2*b.rest, BreakerRest), BreakerMaxRest)
	b.OpenUntil = now.Add(b.rest)
	return b
}

// Resting reports whether the endpoint rests at now: no first attempt goes out.
func (b Breaker) Resting(now time.Time) bool { return now.Before(b.OpenUntil) }

// Probing reports whether it has rested and may be sent one call, whose
// outcome decides.
func (b Breaker) Probing(now time.Time) bool {
	return !b.OpenUntil.IsZero() && !now.Before(b.OpenUntil)
}
