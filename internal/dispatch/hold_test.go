package dispatch_test

import (
	"fanfare/internal/dispatch"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"testing"
	"testing/synctest"
	"time"
)

func (w *world) change(e *webhook.Endpoint, change func(*webhook.Endpoint)) {
	w.t.Helper()
	_, err := w.store.UpdateEndpoint(w.t.Context(), w.app.ID, webhook.EndpointID.Format(e.ID), func(e *webhook.Endpoint) error {
		change(e)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestAPauseHoldsAndReleasesAtItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &receiver{answer: always(webhook.Delivered)}
		w := newWorld(t, storetest.SQLite(t), net, dispatch.Config{})
		defer w.stop()
		e := w.endpoint(nil)
		w.send(1)
		synctest.Wait()
		w.change(e, func(e *webhook.Endpoint) { e.Paused, e.ReleaseRate = true, 10 })
		held := w.send(50)
		time.Sleep(time.Hour)
		if n := len(net.of(e)); n != 1 {
			t.Fatalf("%d calls, want the one before the pause alone", n)
		}
		resumed := time.Now()
		w.change(e, func(e *webhook.Endpoint) { e.Paused = false })
		time.Sleep(time.Minute)
		calls := net.of(e)[1:]
		if len(calls) != 50 || w.count(held, webhook.Succeeded) != 50 {
			t.Fatalf("%d calls after the pause, want 50", len(calls))
		}
		if took := calls[49].Sub(resumed); took < 4800*time.Millisecond || took > 6*time.Second {
			t.Errorf("50 messages were released within %v, want 10 a second", took)
		}
		w.send(50)
		time.Sleep(time.Second)
		if n := len(net.of(e)); n != 101 {
			t.Errorf("%d calls: what came after the pause is not to be held to its rate", n)
		}
	})
}

func TestAStuckHeadBlocksItsOwnKeyAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &receiver{answer: func(_ *webhook.Endpoint, n int) (webhook.Outcome, time.Duration) {
			if n == 1 { // the head of the first dataset
				return webhook.Refused, -1
			}
			return webhook.Delivered, -1
		}}
		w := newWorld(t, storetest.SQLite(t), net, dispatch.Config{})
		defer w.stop()
		w.endpoint(func(e *webhook.Endpoint) { e.Order = webhook.PerDataset })
		add := func(dataset string) *webhook.Message {
			m := &webhook.Message{Application: w.app.ID, EventType: "sample.created", Payload: []byte(`{}`), Dataset: dataset}
			if err := w.store.AddMessage(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return m
		}
		stuck, behind := add("jane/a"), add("jane/a")
		other := add("jane/b")
		if w.status(stuck).Status != webhook.Pending || w.status(behind).Status != webhook.Pending {
			t.Fatal("the second message of a dataset was sent while the first one waits for its retry")
		}
		if w.status(other).Status != webhook.Succeeded {
			t.Error("another dataset had to wait")
		}
		time.Sleep(time.Minute)
		if w.status(stuck).Status != webhook.Succeeded || w.status(behind).Status != webhook.Succeeded {
			t.Errorf("after the retry: %v, %v", w.status(stuck), w.status(behind))
		}
		if first, second := w.status(stuck), w.status(behind); second.LastAt.Before(first.LastAt) {
			t.Errorf("sent at %v and %v", first.LastAt, second.LastAt)
		}
	})
}

func TestAnOwnerIsWarnedBeforeTheEndpointIsDisabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &receiver{answer: func(e *webhook.Endpoint, _ int) (webhook.Outcome, time.Duration) {
			if e.Description == "operator" {
				return webhook.Delivered, -1
			}
			return webhook.Refused, -1
		}}
		w := newWorld(t, storetest.SQLite(t), net, dispatch.Config{Rules: dispatch.Rules{Schedule: webhook.Schedule{}}, Sweep: time.Hour})
		defer w.stop()
		operational, err := w.store.OperationalApplication(t.Context(), w.app.Environment)
		if err != nil {
			t.Fatal(err)
		}
		told, err := w.store.CreateEndpoint(t.Context(), webhook.Endpoint{
			Application: operational, URL: "https://example.com/", Version: 1, Description: "operator", EventTypes: []string{"endpoint.failing", "endpoint.disabled"},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.endpoint(nil)
		var warned []int
		for hour := range 130 {
			before := len(net.of(told))
			w.send(1)
			time.Sleep(time.Hour)
			for range len(net.of(told)) - before {
				warned = append(warned, hour)
			}
		}
		// Half of 120 hours, nine tenths, and the end.
		if len(warned) != 3 || warned[0] != 60 || warned[1] != 108 || warned[2] != 121 {
			t.Errorf("told after %v hours, want warnings at 60 and 108 and the end past 120", warned)
		}
	})
}
