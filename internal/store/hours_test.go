package store_test

import (
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"testing"
	"time"
)

func TestAttemptsAreCountedByTheHour(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e, other := f.endpoint(t, nil), f.endpoint(t, nil)
		f.message(t)
		f.message(t)
		if len(f.sent) != 4 {
			t.Fatalf("%d deliveries were handed over", len(f.sent))
		}
		hour := time.Now().UTC().Truncate(time.Hour).Add(-2 * time.Hour)
		n := 0
		for _, j := range f.sent {
			if j.Endpoint == other.ID {
				f.record(t, j, func(*webhook.Record) {})
				continue
			}
			n++
			f.record(t, j, func(r *webhook.Record) {
				r.StartedAt = hour.Add(time.Duration(n) * 59 * time.Minute)
				r.Timings.Total = 3 * time.Millisecond
				if n == 2 {
					r.Outcome, r.Ends = webhook.Refused, webhook.Failed
				}
			})
		}
		hours, err := s.EndpointHours(t.Context(), e.ID, hour)
		if err != nil {
			t.Fatal(err)
		}
		if len(hours) != 2 || hours[0].Succeeded != 1 || hours[0].Failed != 0 || hours[1].Succeeded != 0 || hours[1].Failed != 1 {
			t.Errorf("hours %+v", hours)
		}
		for _, h := range hours {
			if p := h.Percentile(0.5); p < 3*time.Millisecond || p > 5*time.Millisecond {
				t.Errorf("half of the calls took up to %v, want 3 ms to a factor of √2", p)
			}
		}
		if hours, err = s.EndpointHours(t.Context(), e.ID, hour.Add(time.Hour)); err != nil || len(hours) != 1 {
			t.Errorf("from the second hour on: %+v, %v", hours, err)
		}
	})
}
