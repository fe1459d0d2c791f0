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
		before := time.Now()
		n := 0
		for _, j := range f.sent {
			if j.Endpoint == other.ID {
				f.record(t, j, func(*webhook.Record) {})
				continue
			}
			n++
			f.record(t, j, func(r *webhook.Record) {
				r.Timings.Total = 3 * time.Millisecond
				if n == 2 {
					r.Outcome, r.Ends = webhook.Refused, webhook.Failed
				}
			})
		}
		hours, err := s.EndpointHours(t.Context(), e.ID, before)
		if err != nil {
			t.Fatal(err)
		}
		var all webhook.Hour // of one hour, or of two when it has just struck
		for _, h := range hours {
			if h.At != h.At.Truncate(time.Hour) {
				t.Errorf("an hour that begins at %v", h.At)
			}
			all.Succeeded, all.Failed = all.Succeeded+h.Succeeded, all.Failed+h.Failed
			if p := h.Percentile(0.5); p < 3*time.Millisecond || p > 5*time.Millisecond {
				t.Errorf("half of the calls took up to %v, want 3 ms to a factor of √2", p)
			}
		}
		if all.Succeeded != 1 || all.Failed != 1 {
			t.Errorf("hours %+v", hours)
		}
		for name, c := range map[string]struct {
			since, until time.Time
			want         store.Stats
		}{
			"a day":           {before.Add(-24 * time.Hour), time.Now().Add(time.Second), store.Stats{Succeeded: 1, Failed: 1}},
			"a day to come":   {before.Add(-time.Second), before.Add(24 * time.Hour), store.Stats{Succeeded: 1, Failed: 1}},
			"within the hour": {before.Add(-time.Second), time.Now().Add(time.Second), store.Stats{Succeeded: 1, Failed: 1}},
			"before":          {before.Add(-24 * time.Hour), before.Add(-time.Second), store.Stats{}},
		} {
			if got, err := s.EndpointStats(t.Context(), e.ID, c.since, c.until); err != nil || got != c.want {
				t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
			}
		}
	})
}
