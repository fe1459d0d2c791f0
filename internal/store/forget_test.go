package store_test

import (
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"net/http"
	"testing"
	"time"
)

func TestAFailureNowAndThenNeverDisables(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		const after = 20 * time.Millisecond
		s, err := store.Open(t.Context(), url, storetest.Sealer(t), storetest.Log(t), store.Config{Exclusive: true, DisableAfter: after})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		f := newFixture(t, s)
		f.full = true // deliveries wait in the queue
		e := f.endpoint(t, nil)
		var since time.Time
		for range 3 {
			f.message(t)
			c := f.claim(t, e, 1)
			f.record(t, c.Jobs[0], func(r *webhook.Record) {
				r.Outcome, r.Ends, r.StatusCode = webhook.Refused, webhook.Failed, http.StatusTeapot
			})
			now, err := s.EndpointByID(t.Context(), e.ID)
			if err != nil {
				t.Fatal(err)
			}
			if now.Disabled || !now.FailingSince.After(since) {
				t.Errorf("disabled %t, failing since %v, before that since %v", now.Disabled, now.FailingSince, since)
			}
			since = now.FailingSince
			<-time.After(2*after + time.Millisecond) // what failed longer ago than that is forgotten
		}
	})
}
