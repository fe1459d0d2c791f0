package store_test

import (
	"bytes"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"fmt"
	"sync"
	"testing"
	"time"
)

// keyed stores a message with a key.
func (f *fixture) keyed(t *testing.T, k string) *webhook.Message {
	t.Helper()
	m := &webhook.Message{Application: f.app.ID, EventType: "a", Payload: []byte(`{}`), Key: k}
	if err := f.AddMessage(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return m
}

// replay has a message sent again, with success.
func (f *fixture) replay(t *testing.T, e *webhook.Endpoint, m *webhook.Message) {
	t.Helper()
	if _, err := f.Resend(t.Context(), f.app.ID, m.ID, webhook.EndpointID.Format(e.ID)); err != nil {
		t.Fatal(err)
	}
	c := f.claim(t, e, 10)
	if len(c.Jobs) != 1 || c.Jobs[0].Replay == 0 {
		t.Fatalf("claimed %v, want the replay", c.Jobs)
	}
	f.record(t, c.Jobs[0], func(r *webhook.Record) { r.Ends = webhook.Succeeded })
}

func TestOnlyTheOldestOpenDeliveryOfAKeyIsClaimed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e := f.endpoint(t, func(e *webhook.Endpoint) { e.Order = webhook.PerKey })
		first, second, third := f.keyed(t, "a"), f.keyed(t, "a"), f.keyed(t, "a")
		other, free := f.keyed(t, "b"), f.keyed(t, "")
		if len(f.sent) != 1 || f.sent[0].Message != free.ID {
			t.Fatalf("born claimed: %v, want the one without a key", f.sent)
		}
		c := f.claim(t, e, 10)
		if len(c.Jobs) != 2 || c.Jobs[0].Message != first.ID || c.Jobs[1].Message != other.ID {
			t.Fatalf("claimed %v, want the oldest of each key", c.Jobs)
		}
		head := c.Jobs[0]
		f.record(t, head, func(r *webhook.Record) { // it fails and is to be tried again
			r.OrderKey, r.Outcome, r.Attempts, r.Retry = head.OrderKey, webhook.Refused, 1, time.Now().Add(-time.Second)
		})
		if c = f.claim(t, e, 10); len(c.Jobs) != 1 || c.Jobs[0].Message != first.ID {
			t.Fatalf("claimed %v, want the head again: it blocks its key while it waits for a retry", c.Jobs)
		}
		head = c.Jobs[0]
		f.record(t, head, func(r *webhook.Record) {
			r.OrderKey, r.Outcome, r.Attempts, r.Ends = head.OrderKey, webhook.Refused, 2, webhook.Failed
		})
		if c = f.claim(t, e, 10); len(c.Jobs) != 1 || c.Jobs[0].Message != second.ID {
			t.Fatalf("claimed %v, want the second: the head was given up", c.Jobs)
		}
		// A replay succeeds during the call of the planned delivery.
		planned := c.Jobs[0]
		f.replay(t, e, second)
		if c = f.claim(t, e, 10); len(c.Jobs) != 0 {
			t.Fatalf("claimed %v, want none: the call of the second has not ended", c.Jobs)
		}
		f.record(t, planned, func(r *webhook.Record) {
			r.OrderKey, r.Outcome, r.Attempts, r.Retry = planned.OrderKey, webhook.Refused, 1, time.Now().Add(-time.Second)
		})
		if c = f.claim(t, e, 10); len(c.Jobs) != 1 || c.Jobs[0].Message != third.ID {
			t.Fatalf("claimed %v, want the third: the second has arrived by its replay and needs no retry", c.Jobs)
		}
	})
}

// TestAReplayEndsAnOrderedDeliveryThatIsGivenBack has a replay succeed while the
// planned delivery is held and will not be sent.
func TestAReplayEndsAnOrderedDeliveryThatIsGivenBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e := f.endpoint(t, func(e *webhook.Endpoint) { e.Order = webhook.PerKey })
		first, second := f.keyed(t, "a"), f.keyed(t, "a")
		held := f.claim(t, e, 1).Jobs
		f.replay(t, e, first)
		if err := s.Unclaim(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		if c := f.claim(t, e, 10); len(c.Jobs) != 1 || c.Jobs[0].Message != second.ID {
			t.Fatalf("claimed %v, want the second", c.Jobs)
		}
	})
}

func TestAReplayEndsAnOrderedDeliveryThatWaits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e := f.endpoint(t, func(e *webhook.Endpoint) { e.Order = webhook.PerKey })
		first, second := f.keyed(t, "a"), f.keyed(t, "a")
		f.record(t, f.claim(t, e, 1).Jobs[0], func(r *webhook.Record) {
			r.OrderKey, r.Outcome, r.Attempts, r.Retry = "a", webhook.Refused, 1, time.Now().Add(time.Hour)
		})
		f.replay(t, e, first)
		if c := f.claim(t, e, 10); len(c.Jobs) != 1 || c.Jobs[0].Message != second.ID {
			t.Fatalf("claimed %v, want the second", c.Jobs)
		}
	})
}

func TestWhatIsOrderedEndsWhenItsEndpointIsOff(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e := f.endpoint(t, func(e *webhook.Endpoint) { e.Order = webhook.PerKey })
		var messages []*webhook.Message
		for range 5 {
			messages = append(messages, f.keyed(t, "a"))
		}
		set := func(off bool) {
			if _, err := s.UpdateEndpoint(t.Context(), f.app.ID, webhook.EndpointID.Format(e.ID), func(e *webhook.Endpoint) error {
				e.Disabled = off
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		set(true)
		f.claim(t, e, 2) // cancels two
		set(false)
		for range 5 {
			c := f.claim(t, e, 10)
			for _, j := range c.Jobs {
				f.record(t, j, func(r *webhook.Record) { r.OrderKey, r.Ends = j.OrderKey, webhook.Succeeded })
			}
		}
		for i, m := range messages {
			states, err := s.Deliveries(t.Context(), f.app.ID, m.ID)
			if err != nil || len(states) != 1 || states[0].Status == webhook.Pending {
				t.Errorf("message %d: %+v, %v; nothing may be stranded behind what was canceled", i, states, err)
			}
		}
	})
}

// TestNoOrderedDeliveryIsStranded has many add to a key while others end what is
// open of it.
func TestNoOrderedDeliveryIsStranded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e := f.endpoint(t, func(e *webhook.Endpoint) { e.Order = webhook.PerKey })
		const writers, each = 4, 15
		var adding sync.WaitGroup
		for n := range writers {
			adding.Go(func() {
				for range each {
					m := &webhook.Message{Application: f.app.ID, EventType: "a", Payload: []byte(`{}`), Key: fmt.Sprint(n)}
					if err := f.AddMessage(t.Context(), m); err != nil {
						t.Error(err)
					}
				}
			})
		}
		last := map[string]webhook.ID{}
		for done := 0; done < writers*each && !t.Failed(); {
			c := f.claim(t, e, 10)
			for _, j := range c.Jobs {
				if before := last[j.OrderKey]; bytes.Compare(j.Message[:], before[:]) <= 0 {
					t.Errorf("key %s: %v after %v", j.OrderKey, j.Message, last[j.OrderKey])
				}
				last[j.OrderKey] = j.Message
				f.record(t, j, func(r *webhook.Record) { r.OrderKey, r.Ends = j.OrderKey, webhook.Succeeded })
				done++
			}
		}
		adding.Wait()
	})
}

func TestAPausedEndpointHoldsWhatIsForIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		f.full = true
		e := f.endpoint(t, func(e *webhook.Endpoint) { e.Paused, e.ReleaseRate = true, 5 })
		f.message(t)
		if c := f.claim(t, e, 10); len(c.Jobs) != 0 || c.FirstDue.IsZero() {
			t.Fatalf("claimed %v of a paused endpoint; due %v", c.Jobs, c.FirstDue)
		}
		e, err := s.UpdateEndpoint(t.Context(), f.app.ID, webhook.EndpointID.Format(e.ID), func(e *webhook.Endpoint) error {
			e.Paused = false
			return nil
		})
		if err != nil || e.ResumedAt.IsZero() || e.ReleaseRate != 5 {
			t.Fatalf("resumed: %+v, %v", e, err)
		}
		if c := f.claim(t, e, 10); len(c.Jobs) != 1 || !c.Jobs[0].DueAt.Before(e.ResumedAt) {
			t.Fatalf("claimed %v, want what the pause has held", c.Jobs)
		}
	})
}
