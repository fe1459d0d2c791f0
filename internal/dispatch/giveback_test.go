package dispatch_test

import (
	"context"
	"errors"
	"fanfare/internal/dispatch"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// refusing is a store that takes nothing back for some time.
type refusing struct {
	*store.Store
	times atomic.Int32
}

func (r *refusing) Unclaim(ctx context.Context, jobs []webhook.Job) error {
	if r.times.Add(-1) >= 0 {
		return errors.New("the disk is full")
	}
	return r.Store.Unclaim(ctx, jobs)
}

// TestWhatCannotBeGivenBackIsNotForgotten has a node try to give back what a
// pause keeps it from sending, while the database refuses.
func TestWhatCannotBeGivenBackIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &receiver{answer: always(webhook.Delivered)}
		w := &world{t: t, net: net}
		s, err := store.Open(t.Context(), storetest.SQLite(t), storetest.Sealer(t), storetest.Log(t), store.Config{Exclusive: true})
		if err != nil {
			t.Fatal(err)
		}
		w.store = s
		queue := &refusing{Store: s}
		d := dispatch.New(queue, net, storetest.Log(t), dispatch.Config{})
		s.Attach(d)
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		done := make(chan error)
		go func() { done <- d.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			s.Close()
		}()
		env, err := s.Environment(t.Context(), store.MainEnvironment)
		if err != nil {
			t.Fatal(err)
		}
		if w.app, err = s.CreateApplication(t.Context(), webhook.Application{Environment: env, Name: "jane"}); err != nil {
			t.Fatal(err)
		}
		e := w.endpoint(func(e *webhook.Endpoint) { e.Throttle = 1 })
		messages := w.send(5) // one goes out, the others are held
		synctest.Wait()
		queue.times.Store(4)
		w.change(e, func(e *webhook.Endpoint) { e.Paused = true })
		time.Sleep(time.Minute)
		if queue.times.Load() >= 0 {
			t.Fatal("nothing was given back")
		}
		w.change(e, func(e *webhook.Endpoint) { e.Paused = false })
		time.Sleep(time.Minute)
		if n := w.count(messages, webhook.Succeeded); n != 5 {
			t.Errorf("%d of 5 arrived", n)
		}
	})
}
