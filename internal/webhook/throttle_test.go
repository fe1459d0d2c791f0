package webhook_test

import (
	"fanfare/internal/webhook"
	"testing"
	"time"
)

func TestThrottleSpacesCallsAtEachRate(t *testing.T) {
	for _, rate := range []int{1, 2, 19, 20, 21, 50, 1000, webhook.MaxThrottle} {
		start := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
		var throttle webhook.Throttle
		now, sent := start, 0
		for now.Sub(start) < 10*time.Second {
			wait := throttle.Wait(rate, now)
			if sent == 0 && wait != 0 {
				t.Fatalf("at %d a second the first call waits %v", rate, wait)
			}
			if wait == 0 {
				throttle = throttle.Take(rate, now)
				sent++
				continue
			}
			now = now.Add(wait)
		}
		// Calls may bunch up by 50 ms.
		if least, most := 10*rate, 10*rate+rate/20+1; sent < least || sent > most {
			t.Errorf("at %d a second %d calls went out in 10 s, want %d to %d", rate, sent, least, most)
		}
	}
}
