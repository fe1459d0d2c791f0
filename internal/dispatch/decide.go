package dispatch

import (
	"fanfare/internal/webhook"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Rules are the settings that decide what follows a call.
type Rules struct {
	Schedule webhook.Schedule
	// RetryAfterCap bounds how long a receiver may ask us to wait at a time.
	RetryAfterCap time.Duration
}

const (
	// minAfterTimeout is the least wait after a call that got no answer in
	// time: a receiver that is slow is not helped by being asked again at once.
	minAfterTimeout = time.Minute
	// maxHeld is how long a receiver may put a delivery off with Retry-After
	// before its answers count as failures.
	maxHeld = 24 * time.Hour
)

// Decide says what follows from an attempt for its delivery: the record to be
// written. now is when the attempt ended, retryAfter what the receiver asked
// for (negative when it asked for nothing), dice a number in [0, 1).
func (r Rules) Decide(d *webhook.Delivery, a webhook.Attempt, retryAfter time.Duration, now time.Time, dice float64) webhook.Record {
	rec := webhook.Record{
		Attempt: a, Claim: d.Claim, Attempts: d.Attempts, Calls: d.Calls + 1, HeldSince: d.HeldSince, Digest: d.Digest,
		OrderKey: d.OrderKey,
	}
	switch a.Outcome {
	case webhook.Delivered:
		rec.Ends = webhook.Succeeded
	case webhook.Gone:
		rec.Ends = webhook.Failed
		rec.Disable = "The receiver answered 410 Gone: it wants no more webhooks."
		if a.Error != "" {
			rec.Disable = a.Error
		}
	case webhook.Busy:
		r.hold(&rec, retryAfter, now, dice)
	case webhook.NotSent:
		// Ends was set by whoever decided not to send.
	case webhook.Refused, webhook.TimedOut, webhook.Unreachable, webhook.Blocked:
		r.retry(&rec, retryAfter, now, dice)
	}
	return rec
}

// hold waits as the receiver asked, without using up a step of the schedule.
func (r Rules) hold(rec *webhook.Record, retryAfter time.Duration, now time.Time, dice float64) {
	if rec.HeldSince.IsZero() {
		rec.HeldSince = now
	}
	wait := min(retryAfter, r.RetryAfterCap)
	if now.Add(wait).Sub(rec.HeldSince) > maxHeld {
		r.retry(rec, -1, now, dice)
		return
	}
	rec.Retry = now.Add(wait)
}

// retry plans the next attempt, or ends the delivery when none is left. Replays
// are asked for by a person, who sees the failure and can ask again.
func (r Rules) retry(rec *webhook.Record, retryAfter time.Duration, now time.Time, dice float64) {
	rec.Attempts++
	rec.HeldSince = time.Time{}
	if rec.Trigger() == webhook.Manual || rec.Attempts > len(r.Schedule) {
		rec.Ends = webhook.Failed
		return
	}
	base := r.Schedule[rec.Attempts-1]
	if rec.Outcome == webhook.TimedOut {
		base = max(base, minAfterTimeout)
	}
	if retryAfter >= 0 {
		base = min(max(retryAfter, base), 2*base)
	}
	rec.Retry = now.Add(webhook.Jittered(base, dice))
}

// classify turns the status of an answer into an outcome. retryAfter is
// negative when the answer has no such header, or one that cannot be read.
func classify(status int, retryAfter time.Duration) webhook.Outcome {
	switch {
	case status >= 200 && status <= 299:
		return webhook.Delivered
	case status == http.StatusGone:
		return webhook.Gone
	case retryAfter >= 0 && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable):
		return webhook.Busy
	default:
		return webhook.Refused
	}
}

// parseRetryAfter reads a Retry-After header (RFC 9110 section 10.2.3): whole
// seconds, or a date. Fractions of a second, which some receivers send, are
// rounded up. It returns a negative duration for anything else.
func parseRetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return -1
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	if strings.Trim(value, "0123456789.") != "" {
		return -1
	}
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || seconds > 1e9 {
		return -1
	}
	return time.Duration(int64(seconds)+ceil(seconds)) * time.Second
}

func ceil(f float64) int64 {
	if f > float64(int64(f)) {
		return 1
	}
	return 0
}
