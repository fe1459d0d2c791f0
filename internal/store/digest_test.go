package store_test

import (
	"bytes"
	"errors"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// gathering makes an endpoint at which a digest has three events.
func (f *fixture) gathering(t *testing.T, change func(*webhook.Endpoint)) *webhook.Endpoint {
	t.Helper()
	return f.endpoint(t, func(e *webhook.Endpoint) {
		e.Kind = webhook.Slack
		e.Digest = webhook.Digest{Window: time.Hour, Most: 3}
		if change != nil {
			change(e)
		}
	})
}

func (f *fixture) about(t *testing.T, n int, dataset, eventType string) []*webhook.Message {
	t.Helper()
	all := make([]*webhook.Message, n)
	for i := range all {
		all[i] = &webhook.Message{
			Application: f.app.ID, EventType: eventType, Dataset: dataset, Subject: fmt.Sprintf("rose-%d", i),
			Payload: fmt.Appendf(nil, `{"dataset":%q,"text":"%s %d"}`, dataset, eventType, i),
		}
		if err := f.AddMessage(t.Context(), all[i]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// digests makes digests and reports when the next is due.
func (f *fixture) digests(t *testing.T) time.Time {
	t.Helper()
	next, err := f.MakeDigests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func (f *fixture) standing(t *testing.T, messages []*webhook.Message, want webhook.Status) {
	t.Helper()
	for i, m := range messages {
		if st := f.state(t, m); len(st) == 0 || st[len(st)-1].Status != want {
			t.Errorf("message %d stands at %+v, want %s", i, st, want)
		}
	}
}

func delivered(r *webhook.Record) { r.Outcome, r.Ends = webhook.Delivered, webhook.Succeeded }

func refused(r *webhook.Record) {
	r.Outcome, r.Ends, r.StatusCode = webhook.Refused, webhook.Failed, 500
}

func TestDeliveriesOfADigestEndWithIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e := f.gathering(t, nil)
		full := f.about(t, 3, "jane/flowers", "sample.created")
		others := f.about(t, 2, "jane/flowers", "sample.deleted")
		if next := f.digests(t); next.Before(time.Now().Add(50 * time.Minute)) {
			t.Errorf("the next digest is due at %v, want within an hour", next)
		}
		c := f.claim(t, e, 10)
		if len(c.Jobs) != 1 || !c.Jobs[0].Digest || c.Jobs[0].EventType != "sample.created" || !strings.Contains(string(c.Jobs[0].Payload), "3 samples created") {
			t.Fatalf("claimed %+v", c.Jobs)
		}
		j := c.Jobs[0]
		f.standing(t, full, webhook.Pending)
		retry := time.Now().Add(time.Minute)
		f.record(t, j, func(r *webhook.Record) {
			r.Outcome, r.Retry, r.Attempts, r.Digest = webhook.Refused, retry, 1, true
		})
		if st := f.state(t, full[0]); st[0].Status != webhook.Pending || st[0].NextAt.Before(time.Now()) {
			t.Errorf("while its digest is to be tried again: %+v", st)
		}
		if _, err := f.Resend(t.Context(), f.app.ID, j.Message, webhook.EndpointID.Format(e.ID)); err != nil {
			t.Fatal(err)
		}
		c = f.claim(t, e, 10)
		if len(c.Jobs) != 1 || c.Jobs[0].Message != j.Message || !bytes.Equal(c.Jobs[0].Payload, j.Payload) {
			t.Fatalf("the replay of the digest: %+v", c.Jobs)
		}
		f.record(t, c.Jobs[0], func(r *webhook.Record) { delivered(r); r.Digest = true })
		f.standing(t, full, webhook.Succeeded)
		f.standing(t, others, webhook.Pending)
		if w, err := f.Store.Waiting(t.Context()); err != nil || len(w) == 1 && !w[0].RetryDue.IsZero() {
			t.Errorf("the planned retry of a digest that arrived is still there: %+v, %v", w, err)
		}
		m, err := f.Message(t.Context(), f.app.ID, webhook.MessageID.Format(j.Message))
		if err != nil || !bytes.Equal(m.Payload, j.Payload) || m.EventType != "sample.created" {
			t.Errorf("the digest by its id: %+v, %v", m, err)
		}
		attempts, err := f.AttemptsOfEndpoint(t.Context(), f.app.ID, e.ID, store.AttemptFilter{}, store.Page{Limit: 50})
		if err != nil || len(attempts) != 3 { // the failed one, the note that it is not needed any more, the replay
			for _, a := range attempts {
				if a.Message != j.Message {
					t.Errorf("the calls to the endpoint hold %+v, %v", a, err)
				}
			}
		}
		d, err := f.DigestPart(t.Context(), f.app.ID, j.Message, 2)
		if err != nil || d.Events != 3 || len(d.Messages) != 2 || d.Messages[0] != full[0].ID {
			t.Errorf("what is in the digest: %+v, %v", d, err)
		}
		if d, err := f.DigestPart(t.Context(), f.app.ID, full[0].ID, 2); err != nil || d.Events != 0 || len(d.Told) != 1 || d.Told[0] != j.Message {
			t.Errorf("in which digests an event is: %+v, %v", d, err)
		}
		list, err := f.Messages(t.Context(), f.app.ID, store.MessageFilter{}, store.Page{Limit: 50})
		if err != nil || len(list) != 5 {
			t.Errorf("%d messages are listed, want the 5 events alone: %v", len(list), err)
		}
	})
}

func TestAFailedDigestFailsItsEventsAndAReplayHealsThem(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e := f.gathering(t, nil)
		messages := f.about(t, 3, "jane/flowers", "sample.created")
		f.digests(t)
		j := f.claim(t, e, 10).Jobs[0]
		f.record(t, j, func(r *webhook.Record) { refused(r); r.Digest = true })
		f.standing(t, messages, webhook.Failed)
		attempts, err := f.AttemptsOfMessage(t.Context(), f.app.ID, messages[2].ID, store.AttemptFilter{}, store.Page{Limit: 5})
		if err != nil || len(attempts) != 1 || attempts[0].StatusCode != http.StatusInternalServerError || !strings.Contains(attempts[0].Error, "with 2 other events") {
			t.Errorf("attempts of an event: %+v, %v", attempts, err)
		}
		if _, err := f.Resend(t.Context(), f.app.ID, j.Message, webhook.EndpointID.Format(e.ID)); err != nil {
			t.Fatal(err)
		}
		f.record(t, f.claim(t, e, 10).Jobs[0], func(r *webhook.Record) { delivered(r); r.Digest = true })
		f.standing(t, messages, webhook.Succeeded)
		ok := webhook.Succeeded
		arrived, err := f.AttemptedMessages(t.Context(), f.app.ID, e.ID, store.MessageFilter{}, &ok, store.Page{Limit: 50})
		if err != nil || len(arrived) != 3 {
			t.Errorf("%d events have arrived, %v", len(arrived), err)
		}
	})
}

func TestAnEventIsReplayedByItself(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		chat := f.gathering(t, nil)
		generic := f.gathering(t, func(e *webhook.Endpoint) { e.Kind = webhook.Generic })
		m := f.about(t, 1, "jane/flowers", "sample.created")[0]
		var last webhook.Job
		for n := range 2 {
			if _, err := f.Resend(t.Context(), f.app.ID, m.ID, webhook.EndpointID.Format(chat.ID)); err != nil {
				t.Fatal(err)
			}
			f.digests(t)
			jobs := f.claim(t, chat, 10).Jobs
			if len(jobs) != 1 || !jobs[0].Digest || jobs[0].Trigger() != webhook.Manual {
				t.Fatalf("replay %d at a chat service: %+v", n, jobs)
			}
			if n > 0 && (jobs[0].Message != last.Message || !bytes.Equal(jobs[0].Payload, last.Payload)) {
				t.Errorf("the second replay sends %s as %x, the first %s as %x", jobs[0].Payload, jobs[0].Message, last.Payload, last.Message)
			}
			last = jobs[0]
			f.record(t, last, func(r *webhook.Record) { delivered(r); r.Digest = true })
		}
		// What was gathered of it is not needed any more.
		for _, st := range f.state(t, m) {
			if st.Endpoint == chat.ID && st.Status != webhook.Succeeded {
				t.Errorf("state %+v", st)
			}
		}
		if _, err := f.Resend(t.Context(), f.app.ID, m.ID, webhook.EndpointID.Format(generic.ID)); err != nil {
			t.Fatal(err)
		}
		if jobs := f.claim(t, generic, 10).Jobs; len(jobs) != 1 || jobs[0].Digest || !bytes.Equal(jobs[0].Payload, m.Payload) {
			t.Errorf("replay at a generic endpoint: %+v", jobs)
		}
	})
}

func TestEventsOfOneDatasetAndTypeGoTogether(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e := f.gathering(t, nil)
		for range 3 {
			f.about(t, 1, "jane/flowers", "sample.created")
			f.about(t, 1, "jane/trees", "sample.created")
			f.about(t, 1, "jane/flowers", "sample.deleted")
		}
		f.about(t, 2, "jane/trees", "sample.deleted")
		f.digests(t)
		var texts []string
		for _, j := range f.claim(t, e, 10).Jobs {
			first, _, _ := strings.Cut(string(j.Payload), "\\n")
			texts = append(texts, first)
		}
		if len(texts) != 3 {
			t.Fatalf("%d digests, want the 3 that are full: %q", len(texts), texts)
		}
		for i, want := range []string{"3 samples created in dataset jane/flowers", "3 samples created in dataset jane/trees", "3 samples deleted from dataset jane/flowers"} {
			if !strings.Contains(texts[i], want) {
				t.Errorf("digest %d: %s, want %s", i, texts[i], want)
			}
		}
	})
}

func TestADigestOfAnEndpointThatIsOffIsCanceledWithItsEvents(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e := f.gathering(t, nil)
		messages := f.about(t, 3, "jane/flowers", "sample.created")
		f.digests(t)
		if _, err := f.UpdateEndpoint(t.Context(), f.app.ID, webhook.EndpointID.Format(e.ID), func(e *webhook.Endpoint) error {
			e.Disabled = true
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		f.claim(t, e, 10)
		f.standing(t, messages, webhook.Canceled)
	})
}

func TestWhatIsExpungedIsInNoDigest(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e := f.gathering(t, func(e *webhook.Endpoint) { e.Kind = webhook.Generic })
		messages := f.about(t, 3, "jane/flowers", "sample.created")
		gone := messages[1]
		if err := f.ExpungeMessage(t.Context(), f.app.ID, gone.ID); err != nil {
			t.Fatal(err)
		}
		f.digests(t)
		j := f.claim(t, e, 10).Jobs[0]
		if strings.Contains(string(j.Payload), webhook.MessageID.Format(gone.ID)) || !strings.Contains(string(j.Payload), `"count":2`) {
			t.Errorf("the digest is %s", j.Payload)
		}
		f.standing(t, []*webhook.Message{gone}, webhook.Failed)
		f.record(t, j, func(r *webhook.Record) { delivered(r); r.Digest = true })
		if err := f.ExpungeMessage(t.Context(), f.app.ID, messages[0].ID); err != nil {
			t.Fatal(err)
		}
		if m, err := f.Message(t.Context(), f.app.ID, webhook.MessageID.Format(j.Message)); err != nil || m.Payload != nil {
			t.Errorf("of a digest with an event that was expunged is left: %s, %v", m.Payload, err)
		}
		if _, err := f.Resend(t.Context(), f.app.ID, j.Message, webhook.EndpointID.Format(e.ID)); !errors.Is(err, webhook.ErrPayloadGone) {
			t.Errorf("its replay: %v", err)
		}
	})
}

func TestATestEventDoesNotWaitForAWindow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e := f.gathering(t, nil)
		m := &webhook.Message{Application: f.app.ID, EventType: "sample.created", Dataset: "jane/flowers", Payload: []byte(`{"text":"A test."}`)}
		if err := f.AddMessageFor(t.Context(), m, e.ID); err != nil {
			t.Fatal(err)
		}
		f.digests(t)
		if jobs := f.claim(t, e, 10).Jobs; len(jobs) != 1 || !strings.Contains(string(jobs[0].Payload), "A test.") {
			t.Errorf("claimed %+v", jobs)
		}
	})
}

func TestOldDigestsAreRemoved(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		s, err := store.Open(t.Context(), url, storetest.Sealer(t), storetest.Log(t), store.Config{Exclusive: true, MessageRetention: time.Nanosecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		f := newFixture(t, s)
		e := f.gathering(t, nil)
		f.about(t, 3, "jane/flowers", "sample.created")
		f.digests(t)
		j := f.claim(t, e, 10).Jobs[0]
		ref := webhook.MessageID.Format(j.Message)
		for _, ended := range []bool{false, true} {
			if ended {
				f.record(t, j, func(r *webhook.Record) { delivered(r); r.Digest = true })
			}
			for more := true; more; {
				if more, err = f.RemoveOldDigests(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := f.Message(t.Context(), f.app.ID, ref); errors.Is(err, webhook.ErrNotFound) != ended {
				t.Errorf("the digest, ended: %v: %v", ended, err)
			}
		}
	})
}
