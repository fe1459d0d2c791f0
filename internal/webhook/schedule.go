package webhook

import "time"

// Schedule is the waits between the attempts of a delivery: the n-th wait
// follows the n-th failed attempt. A delivery fails when they are used up, so
// an empty schedule means one attempt.
type Schedule []time.Duration

// DefaultSchedule makes eight attempts over about 27 hours and a half.
func DefaultSchedule() Schedule {
	return Schedule{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute,
		2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
	}
}

// Jitter is how far a wait may stray from its step, as a share of it: enough
// to break up a herd of deliveries that failed together.
const Jitter = 0.2

// Next returns how long to wait after the given number of attempts, and
// whether there is another attempt at all. dice is a number in [0, 1).
func (s Schedule) Next(attempts int, dice float64) (wait time.Duration, ok bool) {
	if attempts < 1 || attempts > len(s) {
		return 0, false
	}
	return Jittered(s[attempts-1], dice), true
}

// Jittered moves d by up to Jitter either way. dice is a number in [0, 1).
func Jittered(d time.Duration, dice float64) time.Duration {
	return time.Duration(float64(d) * (1 - Jitter + 2*Jitter*dice))
}
