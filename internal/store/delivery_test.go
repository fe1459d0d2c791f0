package store_test

import (
	"context"
	"errors"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"fmt"
	"sync"
	"testing"
	"time"
)

// recorder is a dispatcher that takes what it is told to take and remembers
// what it was told.
type recorder struct {
	mu       sync.Mutex
	full     bool
	reserved int
	sent     []webhook.Job
	waiting  []webhook.Delivery
	changed  []webhook.ID
}

func (r *recorder) Reserve(*webhook.Endpoint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.full {
		r.reserved++
	}
	return !r.full
}

func (r *recorder) Release(_ webhook.ID, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reserved -= n
}

func (r *recorder) Send(jobs []webhook.Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent, jobs...)
}

func (r *recorder) Waiting(ds []webhook.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(r.waiting, ds...)
}

func (r *recorder) Changed(e webhook.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = append(r.changed, e)
}

// fixture is an application with its endpoints.
type fixture struct {
	*store.Store
	*recorder
	app webhook.Application
}

func newFixture(t *testing.T, s *store.Store) *fixture {
	t.Helper()
	f := &fixture{Store: s, recorder: &recorder{}}
	s.Attach(f.recorder)
	env, err := s.Environment(t.Context(), store.MainEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	f.app, err = s.CreateApplication(t.Context(), webhook.Application{Environment: env, Name: "jane", UID: "jane"})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) endpoint(t *testing.T, change func(*webhook.Endpoint)) *webhook.Endpoint {
	t.Helper()
	e := webhook.Endpoint{
		Application: f.app.ID, URL: "https://example.com/hooks", Version: 1,
		Secrets: []webhook.Secret{{Key: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}},
		Headers: []webhook.Header{{Name: "Authorization", Value: "Bearer secret"}},
	}
	if change != nil {
		change(&e)
	}
	stored, err := f.CreateEndpoint(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func (f *fixture) message(t *testing.T) *webhook.Message {
	t.Helper()
	m := &webhook.Message{Application: f.app.ID, EventType: "sample.created", Payload: []byte(`{"a":1}`)}
	if err := f.AddMessage(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (f *fixture) claim(t *testing.T, e *webhook.Endpoint, limit int) webhook.Claimed {
	t.Helper()
	c, err := f.Claim(t.Context(), e.ID, limit, false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *fixture) record(t *testing.T, j webhook.Job, change func(*webhook.Record)) {
	t.Helper()
	r := webhook.Record{Claim: j.Claim, Attempts: j.Attempts, Calls: j.Calls + 1}
	r.Application, r.DeliveryKey, r.Number = j.Application, j.DeliveryKey, j.Calls+1
	r.URL, r.StartedAt, r.StatusCode = j.To.URL, time.Now(), 200
	change(&r)
	if err := storetest.Record(f.Store, &r); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) state(t *testing.T, m *webhook.Message) []webhook.DeliveryState {
	t.Helper()
	d, err := f.Deliveries(t.Context(), f.app.ID, m.ID)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestMessageReachesThoseWhoWantIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		all := f.endpoint(t, nil)
		typed := f.endpoint(t, func(e *webhook.Endpoint) { e.EventTypes = []string{"sample.created", "sample.deleted"} })
		f.endpoint(t, func(e *webhook.Endpoint) { e.EventTypes = []string{"label.deleted"} })
		f.endpoint(t, func(e *webhook.Endpoint) { e.Disabled = true })
		m := f.message(t)

		if len(f.sent) != 2 || f.sent[0].Endpoint != all.ID || f.sent[1].Endpoint != typed.ID {
			t.Fatalf("sent %+v, want one to each of the two that want it", f.sent)
		}
		for _, j := range f.sent {
			if string(j.Payload) != `{"a":1}` || j.Claim != 1 || j.EventType != m.EventType {
				t.Errorf("job %+v is not the message as it was given", j)
			}
			if len(j.To.Headers) != 1 || j.To.Headers[0].Value != "Bearer secret" || j.To.Secrets[0].Key == "" {
				t.Errorf("endpoint %+v has lost its headers or secret", j.To)
			}
		}
		if c := f.claim(t, all, 10); len(c.Jobs) != 0 {
			t.Errorf("claimed %d deliveries that were born claimed", len(c.Jobs))
		}
	})
}

func TestEndpointMadeAMomentAgoIsNotMissed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		f.message(t) // fills the cache with no endpoints
		e := f.endpoint(t, nil)
		f.message(t)
		if len(f.sent) != 1 {
			t.Fatalf("sent %d, want 1", len(f.sent))
		}
		if _, err := f.UpdateEndpoint(t.Context(), f.app.ID, webhook.EndpointID.Format(e.ID), func(e *webhook.Endpoint) error {
			e.EventTypes = []string{"label.updated"}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		f.message(t)
		if len(f.sent) != 1 {
			t.Errorf("a changed filter was not seen")
		}
		if len(f.changed) != 1 || f.changed[0] != e.ID {
			t.Errorf("changed = %v, want the endpoint", f.changed)
		}
	})
}

func TestClaimTakesWhatIsDue(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		f.full = true
		e := f.endpoint(t, nil)
		for range 5 {
			f.message(t)
		}
		if len(f.waiting) != 5 || len(f.sent) != 0 {
			t.Fatalf("%d waiting, %d sent, want 5 and 0", len(f.waiting), len(f.sent))
		}
		w, err := f.Store.Waiting(t.Context())
		if err != nil || len(w) != 1 || w[0].Endpoint != e.ID || w[0].FirstDue.IsZero() || !w[0].RetryDue.IsZero() {
			t.Fatalf("Waiting = %+v, %v, want the endpoint with first attempts due", w, err)
		}
		if c, err := f.Claim(t.Context(), e.ID, 10, true); err != nil || len(c.Jobs) != 0 {
			t.Fatalf("an endpoint at rest was given %d first attempts (%v)", len(c.Jobs), err)
		}
		c := f.claim(t, e, 4)
		if len(c.Jobs) != 4 || c.FirstDue.IsZero() {
			t.Fatalf("claimed %d, next due %v, want 4 and one more", len(c.Jobs), c.FirstDue)
		}
		if string(c.Jobs[0].Payload) != `{"a":1}` || c.Jobs[0].To.URL != e.URL || c.Jobs[0].EventType == "" {
			t.Errorf("job %+v lacks what is needed to send it", c.Jobs[0])
		}
		if c := f.claim(t, e, 10); len(c.Jobs) != 1 || !c.FirstDue.IsZero() {
			t.Errorf("claimed %d, next due %v, want the last one", len(c.Jobs), c.FirstDue)
		}
		if err := f.Unclaim(t.Context(), c.Jobs); err != nil {
			t.Fatal(err)
		}
		if c := f.claim(t, e, 10); len(c.Jobs) != 4 || c.Jobs[0].Claim != 2 {
			t.Errorf("claimed %d after they were given back, want 4 with the second claim", len(c.Jobs))
		}
	})
}

func TestRecordEndsOrPostpones(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e := f.endpoint(t, nil)
		m := f.message(t)
		due := time.Now().Add(time.Hour)
		f.record(t, f.sent[0], func(r *webhook.Record) {
			r.Outcome, r.StatusCode, r.Retry, r.Attempts = webhook.Refused, 500, due, 1
			r.Response, r.ResponseHead = []byte("no\x00\xff"), []byte("A: b\n")
		})
		st := f.state(t, m)
		if len(st) != 1 || st[0].Status != webhook.Pending || st[0].Calls != 1 || st[0].LastCode != 500 || st[0].NextAt.UnixMicro() != due.UnixMicro() {
			t.Fatalf("state %+v, want a retry at %v", st, due)
		}
		if c := f.claim(t, e, 1); len(c.Jobs) != 0 || c.RetryDue.UnixMicro() != due.UnixMicro() {
			t.Fatalf("claimed %d before they are due; next %v, want %v", len(c.Jobs), c.RetryDue, due)
		}
		attempts, err := f.AttemptsOfMessage(t.Context(), f.app.ID, m.ID, store.AttemptFilter{}, store.Page{Limit: 10})
		if err != nil || len(attempts) != 1 || string(attempts[0].Response) != "no\x00\xff" || attempts[0].Number != 1 {
			t.Fatalf("attempts %+v, %v", attempts, err)
		}
		// The claim was given up with the retry: a late record is evidence only.
		f.record(t, f.sent[0], func(r *webhook.Record) { r.Ends = webhook.Succeeded })
		if st := f.state(t, m); st[0].Status != webhook.Pending || st[0].Calls != 2 || st[0].NextAt.IsZero() {
			t.Errorf("state %+v: a lost claim changed the delivery", st)
		}
	})
}

func TestReplayThatSucceedsEndsWhatWasPlanned(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e := f.endpoint(t, nil)
		m := f.message(t)
		f.record(t, f.sent[0], func(r *webhook.Record) {
			r.Outcome, r.StatusCode, r.Retry, r.Attempts = webhook.Refused, 500, time.Now().Add(time.Hour), 1
		})
		resend := func() webhook.Job {
			t.Helper()
			if sent, err := f.Resend(t.Context(), f.app.ID, m.ID, webhook.EndpointID.Format(e.ID)); err != nil || !sent {
				t.Fatalf("Resend = %v, %v", sent, err)
			}
			c := f.claim(t, e, 1)
			if len(c.Jobs) != 1 || c.Jobs[0].Trigger() != webhook.Manual {
				t.Fatalf("claimed %+v, want the replay", c.Jobs)
			}
			return c.Jobs[0]
		}
		f.record(t, resend(), func(r *webhook.Record) { r.Outcome, r.StatusCode, r.Ends = webhook.Refused, 500, webhook.Failed })
		if st := f.state(t, m); st[0].Status != webhook.Pending || st[0].NextAt.IsZero() || st[1].Status != webhook.Failed {
			t.Fatalf("state %+v: a failed replay changed what was planned", st)
		}
		f.record(t, resend(), func(r *webhook.Record) { r.Ends = webhook.Succeeded })
		for _, st := range f.state(t, m) {
			if st.Replay == 0 && (st.Status != webhook.Succeeded || !st.NextAt.IsZero()) {
				t.Errorf("state %+v, want the planned delivery ended by the replay", st)
			}
		}
	})
}

func TestDisabledEndpointGetsNothingMore(t *testing.T) {
	for name, off := range map[string]func(context.Context, *fixture, *webhook.Endpoint) error{
		"disabled by its owner": func(ctx context.Context, f *fixture, e *webhook.Endpoint) error {
			_, err := f.UpdateEndpoint(ctx, f.app.ID, webhook.EndpointID.Format(e.ID), func(e *webhook.Endpoint) error {
				e.Disabled = true
				return nil
			})
			return err
		},
		"deleted": func(ctx context.Context, f *fixture, e *webhook.Endpoint) error {
			return f.DeleteEndpoint(ctx, f.app.ID, webhook.EndpointID.Format(e.ID))
		},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, s *store.Store) {
				f := newFixture(t, s)
				f.full = true
				e := f.endpoint(t, nil)
				first := f.message(t)
				more := make([]*webhook.Message, 100) // what is canceled at a time
				for i := range more {
					more[i] = &webhook.Message{Application: f.app.ID, EventType: "sample.created", Payload: []byte(`{}`)}
				}
				if _, err := f.AddMessages(t.Context(), more, make([]store.IdempotencyKey, len(more)), nil); err != nil {
					t.Fatal(err)
				}
				if err := off(t.Context(), f, e); err != nil {
					t.Fatal(err)
				}
				if c := f.claim(t, e, 0); len(c.Jobs) != 0 || c.FirstDue.IsZero() {
					t.Fatalf("claim of what is off: %+v, want a slice canceled and another left", c)
				}
				if c := f.claim(t, e, 0); len(c.Jobs) != 0 || !c.FirstDue.IsZero() {
					t.Fatalf("claim of what is off: %+v, want nothing left", c)
				}
				for _, m := range []*webhook.Message{first, more[0], more[99]} {
					if st := f.state(t, m); len(st) != 1 || st[0].Status != webhook.Canceled || st[0].Calls != 0 {
						t.Errorf("state %+v, want canceled without a call", st)
					}
				}
				if sent, err := f.Resend(t.Context(), f.app.ID, first.ID, webhook.EndpointID.Format(e.ID)); sent || err != nil && !errors.Is(err, webhook.ErrNotFound) {
					t.Errorf("Resend = %v, %v, want nothing sent", sent, err)
				}
			})
		})
	}
}

func TestGoneDisablesTheEndpoint(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e := f.endpoint(t, nil)
		m := f.message(t)
		f.record(t, f.sent[0], func(r *webhook.Record) {
			r.Outcome, r.StatusCode, r.Ends, r.Disable = webhook.Gone, 410, webhook.Failed, "It wants no more."
		})
		now, err := f.Endpoint(t.Context(), f.app.ID, webhook.EndpointID.Format(e.ID))
		if err != nil || !now.Disabled || now.DisabledReason != "It wants no more." || now.DisabledAt.IsZero() {
			t.Errorf("endpoint %+v, %v, want it disabled with its reason", now, err)
		}
		if st := f.state(t, m); st[0].Status != webhook.Failed {
			t.Errorf("state %+v, want failed", st)
		}
	})
}

func TestEventIDIsTakenOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		f.endpoint(t, nil)
		add := func() error {
			return f.AddMessage(t.Context(), &webhook.Message{
				Application: f.app.ID, EventType: "a", EventID: "one", Payload: []byte("{}"),
			})
		}
		if err := add(); err != nil {
			t.Fatal(err)
		}
		if err := add(); !errors.Is(err, webhook.ErrConflict) {
			t.Errorf("the second message with the same event id: %v, want ErrConflict", err)
		}
		if len(f.sent) != 1 || f.reserved != 1 {
			t.Errorf("%d sent, %d places held, want 1 and 1", len(f.sent), f.reserved)
		}
	})
}

// TestOneBadUnitHarmsNoNeighbour brings messages side by side, every fifth to an
// application that does not exist.
func TestOneBadUnitHarmsNoNeighbour(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		f.endpoint(t, nil)
		var wg sync.WaitGroup
		errs := make([]error, 200)
		for i := range errs {
			wg.Go(func() {
				m := &webhook.Message{Application: f.app.ID, EventType: "a", EventID: fmt.Sprint(i), Payload: []byte("{}")}
				switch i % 5 {
				case 0:
					m.Application = webhook.ID{1}
				case 1:
					m.EventID = "always the same"
				}
				errs[i] = s.AddMessage(t.Context(), m)
			})
		}
		wg.Wait()
		good, same := 0, 0
		for i, err := range errs {
			switch {
			case i%5 == 0:
				if !errors.Is(err, webhook.ErrNotFound) {
					t.Errorf("message %d: %v, want ErrNotFound", i, err)
				}
			case err == nil && i%5 == 1:
				same++
			case err == nil:
				good++
			case i%5 != 1 || !errors.Is(err, webhook.ErrConflict):
				t.Errorf("message %d: %v", i, err)
			}
		}
		if good != 120 || same != 1 || len(f.sent) != 121 {
			t.Errorf("%d + %d stored, %d sent, want 120 + 1 and 121", good, same, len(f.sent))
		}
	})
}
