package dispatch_test

import (
	"context"
	"fanfare/internal/dispatch"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// receiver answers calls as it is told, and remembers them.
type receiver struct {
	mu     sync.Mutex
	answer func(e *webhook.Endpoint, call int) (webhook.Outcome, time.Duration)
	calls  map[webhook.ID][]time.Time
	most   int
	now    int
	took   time.Duration
}

func (r *receiver) Call(ctx context.Context, to *webhook.Endpoint, _ *webhook.Job) (webhook.Attempt, time.Duration) {
	started := time.Now()
	r.mu.Lock()
	if r.calls == nil {
		r.calls = map[webhook.ID][]time.Time{}
	}
	r.calls[to.ID] = append(r.calls[to.ID], started)
	n := len(r.calls[to.ID])
	r.now++
	r.most = max(r.most, r.now)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.now--
		r.mu.Unlock()
	}()
	select {
	case <-time.After(r.took):
	case <-ctx.Done():
		return webhook.Attempt{Outcome: webhook.NotSent}, -1
	}
	outcome, retryAfter := r.answer(to, n)
	return webhook.Attempt{Outcome: outcome, URL: to.URL, StartedAt: started, StatusCode: 200}, retryAfter
}

func (r *receiver) of(e *webhook.Endpoint) []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]time.Time(nil), r.calls[e.ID]...)
}

// world is a node on a SQLite file with a simulated network.
type world struct {
	t     *testing.T
	url   string
	store *store.Store
	net   *receiver
	app   webhook.Application
	stop  func()
}

func newWorld(t *testing.T, url string, net *receiver, cfg dispatch.Config) *world {
	t.Helper()
	w := newWorldWith(t, url, net, cfg)
	w.net = net
	return w
}

func newWorldWith(t *testing.T, url string, net dispatch.Caller, cfg dispatch.Config) *world {
	t.Helper()
	w := &world{t: t, url: url}
	s, err := store.Open(t.Context(), url, storetest.Sealer(t), storetest.Log(t), store.Config{Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	w.store = s
	if cfg.Rules.Schedule == nil {
		cfg.Rules = dispatch.Rules{Schedule: webhook.DefaultSchedule(), RetryAfterCap: time.Hour}
	}
	d := dispatch.New(s, net, storetest.Log(t), cfg)
	s.Attach(d)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	digests := make(chan struct{})
	go func() {
		defer close(digests)
		if _, ok := net.(*receiver); !ok { // which gets none, and whose tests last for days
			s.RunDigests(ctx, func(err error) { t.Errorf("digests: %v", err) })
		}
	}()
	w.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		<-digests
		s.Close()
	})
	t.Cleanup(w.stop)
	env, err := s.Environment(t.Context(), store.MainEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	w.app, err = s.Application(t.Context(), env, "jane")
	if err != nil {
		if w.app, err = s.CreateApplication(t.Context(), webhook.Application{Environment: env, Name: "jane", UID: "jane"}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) endpoint(change func(*webhook.Endpoint)) *webhook.Endpoint {
	w.t.Helper()
	e := webhook.Endpoint{Application: w.app.ID, URL: "https://example.com/", Version: 1}
	if change != nil {
		change(&e)
	}
	made, err := w.store.CreateEndpoint(w.t.Context(), e)
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

func (w *world) send(n int) []*webhook.Message {
	w.t.Helper()
	all := make([]*webhook.Message, n)
	for i := range all {
		all[i] = &webhook.Message{Application: w.app.ID, EventType: "sample.created", Payload: fmt.Appendf(nil, `{"n":%d}`, i)}
		if err := w.store.AddMessage(w.t.Context(), all[i]); err != nil {
			w.t.Fatal(err)
		}
	}
	return all
}

// status tells how a message's first delivery stands.
func (w *world) status(m *webhook.Message) webhook.DeliveryState {
	w.t.Helper()
	states, err := w.store.Deliveries(w.t.Context(), w.app.ID, m.ID)
	if err != nil || len(states) == 0 {
		w.t.Fatalf("deliveries of the message: %v, %v", states, err)
	}
	return states[0]
}

func (w *world) count(messages []*webhook.Message, s webhook.Status) (n int) {
	w.t.Helper()
	for _, m := range messages {
		if w.status(m).Status == s {
			n++
		}
	}
	return n
}

func always(o webhook.Outcome) func(*webhook.Endpoint, int) (webhook.Outcome, time.Duration) {
	return func(*webhook.Endpoint, int) (webhook.Outcome, time.Duration) { return o, -1 }
}

func TestWholeScheduleIsCarriedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &receiver{answer: always(webhook.Refused)}
		w := newWorld(t, storetest.SQLite(t), net, dispatch.Config{})
		defer w.stop()
		e := w.endpoint(nil)
		m := w.send(1)[0]
		time.Sleep(40 * time.Hour)
		calls := net.of(e)
		schedule := webhook.DefaultSchedule()
		if len(calls) != len(schedule)+1 {
			t.Fatalf("%d calls, want %d", len(calls), len(schedule)+1)
		}
		for i, step := range schedule {
			wait := calls[i+1].Sub(calls[i])
			low, high := webhook.Jittered(step, 0), webhook.Jittered(step, 1)
			if wait < low || wait > high+10*time.Millisecond {
				t.Errorf("wait %d was %v, want %v to %v", i+1, wait, low, high)
			}
		}
		if st := w.status(m); st.Status != webhook.Failed || !st.NextAt.IsZero() || st.Calls != 8 {
			t.Errorf("state %+v, want failed after 8 calls", st)
		}
	})
}

func TestReceiverThatComesBackGetsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(20 * time.Minute)
		net := &receiver{answer: func(*webhook.Endpoint, int) (webhook.Outcome, time.Duration) {
			if time.Now().Before(back) {
				return webhook.Unreachable, -1
			}
			return webhook.Delivered, -1
		}}
		w := newWorld(t, storetest.SQLite(t), net, dispatch.Config{})
		defer w.stop()
		e := w.endpoint(nil)
		messages := w.send(300)
		time.Sleep(4 * time.Hour)
		if n := w.count(messages, webhook.Succeeded); n != 300 {
			t.Errorf("%d of 300 succeeded", n)
		}
		// The breaker spared a receiver that was down: far fewer calls than
		// messages times retries.
		early := 0
		for _, at := range net.of(e) {
			if at.Before(back) {
				early++
			}
		}
		if early > 200 {
			t.Errorf("%d calls while it was down", early)
		}
	})
}

func TestRetryAfterIsObeyedToTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &receiver{answer: func(_ *webhook.Endpoint, call int) (webhook.Outcome, time.Duration) {
			if call < 4 {
				return webhook.Busy, 90 * time.Second
			}
			return webhook.Delivered, -1
		}}
		w := newWorld(t, storetest.SQLite(t), net, dispatch.Config{Rules: dispatch.Rules{
			Schedule: webhook.Schedule{}, RetryAfterCap: time.Hour,
		}})
		defer w.stop()
		e := w.endpoint(nil)
		m := w.send(1)[0]
		time.Sleep(time.Hour)
		calls := net.of(e)
		if len(calls) != 4 || w.status(m).Status != webhook.Succeeded {
			t.Fatalf("%d calls, state %+v: want 4 and succeeded, though no retry is planned", len(calls), w.status(m))
		}
		for i := range 3 {
			if wait := calls[i+1].Sub(calls[i]); wait < 90*time.Second || wait > 91*time.Second {
				t.Errorf("wait %d was %v, want 90s", i+1, wait)
			}
		}
	})
}

func TestThrottleSpacesCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &receiver{answer: always(webhook.Delivered)}
		w := newWorld(t, storetest.SQLite(t), net, dispatch.Config{})
		defer w.stop()
		e := w.endpoint(func(e *webhook.Endpoint) { e.Throttle = 2 })
		messages := w.send(100)
		time.Sleep(2 * time.Minute)
		if n := w.count(messages, webhook.Succeeded); n != 100 {
			t.Fatalf("%d of 100 succeeded", n)
		}
		calls := net.of(e)
		for i := range calls[:99] {
			if gap := calls[i+1].Sub(calls[i]); gap < 500*time.Millisecond {
				t.Fatalf("calls %d and %d are %v apart, want half a second", i, i+1, gap)
			}
		}
		if took := calls[99].Sub(calls[0]); took > 55*time.Second {
			t.Errorf("100 calls took %v at 2 a second", took)
		}
	})
}

func TestSlowEndpointHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &receiver{took: time.Minute}
		net.answer = always(webhook.Delivered)
		w := newWorld(t, storetest.SQLite(t), net, dispatch.Config{Timeout: time.Second})
		defer w.stop()
		slow := w.endpoint(func(e *webhook.Endpoint) { e.EventTypes = []string{"sample.created"} })
		w.send(200)
		quick := w.endpoint(func(e *webhook.Endpoint) { e.EventTypes = []string{"other"} })
		sent := time.Now()
		m := &webhook.Message{Application: w.app.ID, EventType: "other", Payload: []byte("{}")}
		if err := w.store.AddMessage(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if calls := net.of(quick); len(calls) != 1 || calls[0].Sub(sent) > time.Second {
			t.Errorf("the quick endpoint was called %d times, want once and at once", len(calls))
		}
		if n := len(net.of(slow)); n > 32 {
			t.Errorf("%d calls in flight at the slow one, want at most 32", n)
		}
	})
}

func TestRestartSendsWhatWasHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		url := storetest.SQLite(t)
		stuck := &receiver{took: time.Hour, answer: always(webhook.Delivered)}
		w := newWorld(t, url, stuck, dispatch.Config{DrainTimeout: time.Second})
		w.endpoint(nil)
		messages := w.send(100)
		synctest.Wait()
		w.stop() // calls in flight are cut short and come due again

		net := &receiver{answer: always(webhook.Delivered)}
		w = newWorld(t, url, net, dispatch.Config{})
		defer w.stop()
		time.Sleep(time.Minute)
		if n := w.count(messages, webhook.Succeeded); n != 100 {
			t.Errorf("%d of 100 succeeded after the restart", n)
		}
		for _, m := range messages {
			if st := w.status(m); st.Calls != 1 {
				t.Fatalf("state %+v: a call that was cut short is on record", st)
			}
		}
	})
}

func TestDisablingCancelsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &receiver{answer: always(webhook.Refused)}
		w := newWorld(t, storetest.SQLite(t), net, dispatch.Config{})
		defer w.stop()
		e := w.endpoint(nil)
		messages := w.send(3)
		time.Sleep(time.Second)
		if _, err := w.store.UpdateEndpoint(t.Context(), w.app.ID, webhook.EndpointID.Format(e.ID), func(e *webhook.Endpoint) error {
			e.Disabled = true
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if n := w.count(messages, webhook.Canceled); n != 3 {
			t.Errorf("%d of 3 canceled", n)
		}
		if n := len(net.of(e)); n != 3 {
			t.Errorf("%d calls, want the 3 first ones", n)
		}
	})
}

func TestEndpointIsDisabledAfterDaysOfFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &receiver{answer: always(webhook.Refused)}
		w := newWorld(t, storetest.SQLite(t), net, dispatch.Config{Rules: dispatch.Rules{Schedule: webhook.Schedule{time.Minute}}, Sweep: time.Hour})
		defer w.stop()
		e := w.endpoint(nil)
		for range 7 {
			w.send(1)
			time.Sleep(24 * time.Hour)
		}
		now, err := w.store.Endpoint(t.Context(), w.app.ID, webhook.EndpointID.Format(e.ID))
		if err != nil || !now.Disabled || now.DisabledReason == "" {
			t.Errorf("endpoint %+v, %v: want it disabled with a reason after 5 days", now, err)
		}
	})
}

func TestSuccessForgetsThatItWasFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &receiver{answer: func(_ *webhook.Endpoint, call int) (webhook.Outcome, time.Duration) {
			if call%10 == 0 {
				return webhook.Delivered, -1
			}
			return webhook.Refused, -1
		}}
		w := newWorld(t, storetest.SQLite(t), net, dispatch.Config{Rules: dispatch.Rules{Schedule: webhook.Schedule{time.Minute}}, Sweep: time.Hour})
		defer w.stop()
		e := w.endpoint(nil)
		for range 40 {
			w.send(1)
			time.Sleep(12 * time.Hour)
		}
		if now, err := w.store.Endpoint(t.Context(), w.app.ID, webhook.EndpointID.Format(e.ID)); err != nil || now.Disabled {
			t.Errorf("endpoint %+v, %v: want it enabled, it succeeded every few days", now, err)
		}
	})
}
