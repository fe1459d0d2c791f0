package dispatch

import (
	"fanfare/internal/webhook"
	"fmt"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func TestDecide(t *testing.T) {
	rules := Rules{Schedule: webhook.Schedule{5 * time.Second, 5 * time.Minute}, RetryAfterCap: time.Hour}
	none := time.Duration(-1)
	for name, tt := range map[string]struct {
		delivery   webhook.Delivery
		outcome    webhook.Outcome
		retryAfter time.Duration
		ends       webhook.Status
		wait       time.Duration
		attempts   int
		held       time.Time
		disables   bool
	}{
		"a success ends it": {
			outcome: webhook.Delivered, retryAfter: none, ends: webhook.Succeeded,
		},
		"a refusal waits for the first step": {
			outcome: webhook.Refused, retryAfter: none, wait: 5 * time.Second, attempts: 1,
		},
		"a second refusal waits for the second step": {
			delivery: webhook.Delivery{Attempts: 1}, outcome: webhook.Refused, retryAfter: none, wait: 5 * time.Minute, attempts: 2,
		},
		"the last refusal fails it": {
			delivery: webhook.Delivery{Attempts: 2}, outcome: webhook.Refused, retryAfter: none, ends: webhook.Failed, attempts: 3,
		},
		"a timeout waits a minute at least": {
			outcome: webhook.TimedOut, retryAfter: none, wait: time.Minute, attempts: 1,
		},
		"a timeout keeps a longer step": {
			delivery: webhook.Delivery{Attempts: 1}, outcome: webhook.TimedOut, retryAfter: none, wait: 5 * time.Minute, attempts: 2,
		},
		"Retry-After with another status never shortens": {
			delivery: webhook.Delivery{Attempts: 1}, outcome: webhook.Refused, retryAfter: time.Second, wait: 5 * time.Minute, attempts: 2,
		},
		"Retry-After with another status at most doubles": {
			outcome: webhook.Refused, retryAfter: time.Hour, wait: 10 * time.Second, attempts: 1,
		},
		"a busy receiver is waited for exactly, at no cost": {
			outcome: webhook.Busy, retryAfter: 90 * time.Second, wait: 90 * time.Second, held: noon,
		},
		"a busy receiver cannot ask for more than the cap": {
			outcome: webhook.Busy, retryAfter: 48 * time.Hour, wait: time.Hour, held: noon,
		},
		"a receiver busy for a day has failed": {
			delivery: webhook.Delivery{HeldSince: noon.Add(-maxHeld)},
			outcome:  webhook.Busy, retryAfter: time.Minute, wait: 5 * time.Second, attempts: 1,
		},
		"gone fails it and disables the endpoint": {
			outcome: webhook.Gone, retryAfter: none, ends: webhook.Failed, disables: true,
		},
		"a failed replay is not tried again": {
			delivery: webhook.Delivery{DeliveryKey: webhook.DeliveryKey{Replay: 1}},
			outcome:  webhook.Unreachable, retryAfter: none, ends: webhook.Failed, attempts: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := webhook.Attempt{Outcome: tt.outcome, DeliveryKey: tt.delivery.DeliveryKey}
			r := rules.Decide(&tt.delivery, a, tt.retryAfter, noon, 0.5)
			var wait time.Duration
			if !r.Retry.IsZero() {
				wait = r.Retry.Sub(noon)
			}
			if r.Ends != tt.ends || wait != tt.wait || r.Attempts != tt.attempts || r.Calls != tt.delivery.Calls+1 ||
				!r.HeldSince.Equal(tt.held) || (r.Disable != "") != tt.disables {
				t.Errorf("Decide = %+v", r)
			}
			if r.Retry.IsZero() == (r.Ends == webhook.Pending) {
				t.Errorf("the delivery neither ends nor goes on: %+v", r)
			}
		})
	}
}

// TestEveryStatusHasAnOutcome holds the whole table: what each status means,
// with Retry-After and without.
func TestEveryStatusHasAnOutcome(t *testing.T) {
	for status := 100; status <= 599; status++ {
		plain, asked := webhook.Refused, webhook.Refused
		switch {
		case status/100 == 2:
			plain, asked = webhook.Delivered, webhook.Delivered
		case status == 410:
			plain, asked = webhook.Gone, webhook.Gone
		case status == 429 || status == 503:
			asked = webhook.Busy
		}
		if got := classify(status, -1); got != plain {
			t.Errorf("%d means %d, want %d", status, got, plain)
		}
		if got := classify(status, 0); got != asked {
			t.Errorf("%d with Retry-After means %d, want %d", status, got, asked)
		}
	}
}

func TestParseRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"":                              -1,
		"0":                             0,
		"120":                           2 * time.Minute,
		" 7 ":                           7 * time.Second,
		"1.2":                           2 * time.Second,
		"Sat, 31 Jan 2026 12:00:30 GMT": 30 * time.Second,
		"Sat, 31 Jan 2026 11:00:00 GMT": 0,
		"-5":                            -1,
		"soon":                          -1,
		"1e3":                           -1,
		"99999999999999999999":          -1,
		"NaN":                           -1,
	} {
		if got := parseRetryAfter(value, noon); got != want {
			t.Errorf("Retry-After %q is %v, want %v", value, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"1", "1.5", "Sat, 31 Jan 2026 12:00:30 GMT", "..", "9e9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := parseRetryAfter(s, noon); d < -1 {
			t.Errorf("%q is %v", s, d)
		}
	})
}

func ExampleRules_Decide() {
	rules := Rules{Schedule: webhook.DefaultSchedule(), RetryAfterCap: time.Hour}
	d := webhook.Delivery{}
	for {
		r := rules.Decide(&d, webhook.Attempt{Outcome: webhook.Refused}, -1, noon, 0.5)
		if r.Retry.IsZero() {
			fmt.Println(r.Ends, "after", r.Attempts)
			return
		}
		fmt.Println("again in", r.Retry.Sub(noon))
		d.Attempts, d.Calls = r.Attempts, r.Calls
	}
	// Output:
	// again in 5s
	// again in 5m0s
	// again in 30m0s
	// again in 2h0m0s
	// again in 5h0m0s
	// again in 10h0m0s
	// again in 10h0m0s
	// failed after 8
}
