package dispatch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fanfare/internal/dispatch"
	"fanfare/internal/registry"
	"fanfare/internal/slacktest"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slackCaller makes calls to a Slack of its own.
type slackCaller struct{ *slacktest.Slack }

func (c slackCaller) Call(_ context.Context, to *webhook.Endpoint, j *webhook.Job) (webhook.Attempt, time.Duration) {
	a := webhook.Attempt{URL: to.URL, StartedAt: time.Now()}
	r := httptest.NewRequest(http.MethodPost, to.URL, bytes.NewReader(j.Payload))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Webhook-Id", webhook.MessageID.Format(j.Message))
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	retryAfter := dispatch.ParseRetryAfter(w.Header().Get("Retry-After"), time.Now())
	a.StatusCode, a.Response = w.Code, w.Body.Bytes()
	a.Outcome, a.Error = dispatch.Judge(to.Kind, w.Code, a.Response, retryAfter)
	return a, retryAfter
}

// newSlackWorld is a node with one endpoint at a Slack.
func newSlackWorld(t *testing.T, s *slacktest.Slack, change func(*webhook.Endpoint)) (*world, *webhook.Endpoint) {
	t.Helper()
	s.Add(slacktest.Path, slacktest.Active)
	w := newWorldWith(t, storetest.SQLite(t), slackCaller{s}, dispatch.Config{})
	return w, w.endpoint(func(e *webhook.Endpoint) {
		e.URL = "https://hooks.slack.com" + slacktest.Path
		e.Kind = webhook.Slack
		e.Digest = e.Kind.DefaultDigest()
		if change != nil {
			change(e)
		}
	})
}

// imported makes samples as a bulk import does, in slices.
func (w *world) imported(from, n int) []*webhook.Message {
	w.t.Helper()
	var all []*webhook.Message
	for at := 0; at < n; at += 1000 {
		var slice []*webhook.Message
		for i := range min(1000, n-at) {
			name := fmt.Sprintf("rose-%05d.png", from+at+i)
			slice = append(slice, &webhook.Message{
				Application: w.app.ID, EventType: "sample.created", Dataset: "jane/flowers", Subject: name,
				Payload: fmt.Appendf(nil, `{"object":{"name":%q},"text":"Sample %s created in dataset jane/flowers."}`, name, name),
			})
		}
		if _, err := w.store.AddMessages(w.t.Context(), slice, make([]store.IdempotencyKey, len(slice)), nil); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, slice...)
	}
	return all
}

// told reads "N samples created … (first … last)" from the messages of a Slack,
// and sees that they are whole and in order.
func told(t *testing.T, messages []slacktest.Message, n int) {
	t.Helper()
	next := 1
	for _, m := range messages {
		var first, last int
		if i := strings.IndexByte(m.Text, '('); i < 0 {
			if _, err := fmt.Sscanf(m.Text, "Sample rose-%05d.png", &first); err != nil {
				t.Fatalf("%q: %v", m.Text, err)
			}
			last = first
		} else if _, err := fmt.Sscanf(strings.NewReplacer(" … ", " ", ", ", " ").Replace(m.Text[i:]), "(rose-%05d.png rose-%05d.png)", &first, &last); err != nil {
			t.Fatalf("%q: %v", m.Text, err)
		}
		if first != next {
			t.Fatalf("%q comes where %d was to come", m.Text, next)
		}
		next = last + 1
	}
	if next != n+1 {
		t.Errorf("%d of %d samples were told of", next-1, n)
	}
}

func TestABulkImportReachesSlackAsAHandfulOfMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slacktest.Slack
		w, _ := newSlackWorld(t, &s, nil)
		defer w.stop()
		messages := w.imported(1, 10_000)
		time.Sleep(time.Minute)
		got := s.Messages()
		if len(got) > 12 || s.Refused() != 0 {
			t.Errorf("%d messages, %d too many", len(got), s.Refused())
		}
		told(t, got, 10_000)
		for i := range len(got) - 1 {
			if gap := got[i+1].At.Sub(got[i].At); gap < time.Second {
				t.Errorf("messages %d and %d are %v apart", i, i+1, gap)
			}
		}
		if n := w.count(messages, webhook.Succeeded); n != len(messages) {
			t.Errorf("%d of %d deliveries succeeded", n, len(messages))
		}
		if next, err := w.store.MakeDigests(t.Context()); err != nil || !next.IsZero() {
			t.Errorf("something is still gathered: %v, %v", next, err)
		}
	})
}

func TestAWindowGathersUntilItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slacktest.Slack
		w, _ := newSlackWorld(t, &s, nil)
		defer w.stop()
		started := time.Now()
		for i := range 5 {
			w.imported(i+1, 1)
			time.Sleep(2 * time.Second)
		}
		time.Sleep(time.Millisecond)
		w.imported(6, 1) // the window of the first has just ended
		time.Sleep(20 * time.Second)
		got := s.Messages()
		if len(got) != 2 {
			t.Fatalf("%d messages, want one for each window", len(got))
		}
		told(t, got, 6)
		if at := got[0].At.Sub(started); at < 10*time.Second || at > 11*time.Second {
			t.Errorf("the first was told after %v, want 10 s", at)
		}
	})
}

func TestWhatSlackRefusesForNowComesLaterAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slacktest.Slack{RetryAfter: 30 * time.Second}
		w, _ := newSlackWorld(t, &s, func(e *webhook.Endpoint) {
			e.Digest = webhook.Digest{} // each by itself
			e.Throttle = 50             // more than Slack takes
		})
		defer w.stop()
		messages := w.imported(1, 60)
		time.Sleep(30 * time.Minute)
		told(t, s.Messages(), 60)
		if s.Refused() == 0 || s.Refused() > 20 {
			t.Errorf("%d were refused: want some, and that it was left alone as it asked", s.Refused())
		}
		if n := w.count(messages, webhook.Succeeded); n != 60 {
			t.Errorf("%d of 60 deliveries succeeded", n)
		}
	})
}

func TestWithoutADigestSlackGetsOneMessageASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slacktest.Slack
		w, _ := newSlackWorld(t, &s, func(e *webhook.Endpoint) { e.Digest = webhook.Digest{} })
		defer w.stop()
		w.imported(1, 100)
		time.Sleep(2 * time.Minute)
		told(t, s.Messages(), 100)
		if s.Refused() != 0 || len(s.Messages()) != 100 {
			t.Errorf("%d messages, %d refused", len(s.Messages()), s.Refused())
		}
	})
}

func TestADigestIsTheSameOnEveryAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slacktest.Slack
		var mu sync.Mutex
		var sent []string
		w, e := newSlackWorld(t, &s, nil)
		w.stop()
		calls := 0
		w = newWorldWith(t, w.url, callerFunc(func(ctx context.Context, to *webhook.Endpoint, j *webhook.Job) (webhook.Attempt, time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, webhook.MessageID.Format(j.Message)+string(j.Payload))
			if calls++; calls < 4 {
				return webhook.Attempt{Outcome: webhook.Refused, StatusCode: 500, StartedAt: time.Now(), URL: to.URL}, -1
			}
			return slackCaller{&s}.Call(ctx, to, j)
		}), dispatch.Config{})
		defer w.stop()
		messages := w.imported(1, 3)
		time.Sleep(20 * time.Second)
		if st := w.status(messages[1]); st.Status != webhook.Pending || !st.NextAt.After(time.Now()) {
			t.Errorf("while it is to be tried again: %+v", st)
		}
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		if n := w.count(messages, webhook.Succeeded); n != 3 {
			t.Errorf("%d of 3 deliveries succeeded", n)
		}
		digest, _, _ := strings.Cut(sent[0], "{")
		again := func(ref string) {
			t.Helper()
			id, err := webhook.MessageID.Parse(ref)
			if err != nil {
				t.Fatal(err)
			}
			if ok, err := w.store.Resend(t.Context(), w.app.ID, id, webhook.EndpointID.Format(e.ID)); err != nil || !ok {
				t.Fatalf("replay: %v, %v", ok, err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		again(digest)
		for i, body := range sent {
			if body != sent[0] {
				t.Errorf("attempt %d sent %s, the first %s", i, body, sent[0])
			}
		}
		// An event by itself is told by itself, and each time the same.
		one := webhook.MessageID.Format(messages[1].ID)
		again(one)
		again(one)
		if len(sent) != 7 || sent[5] != sent[6] || sent[5] == sent[0] {
			t.Errorf("%d calls; the replays of one event sent %s and %s", len(sent), sent[5], sent[6])
		}
		if !strings.Contains(sent[5], "rose-00002.png created in dataset") {
			t.Errorf("the replay of one event sent %s", sent[5])
		}
	})
}

type callerFunc func(context.Context, *webhook.Endpoint, *webhook.Job) (webhook.Attempt, time.Duration)

func (f callerFunc) Call(ctx context.Context, to *webhook.Endpoint, j *webhook.Job) (webhook.Attempt, time.Duration) {
	return f(ctx, to, j)
}

func TestAnArchivedChannelDisablesTheEndpointAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slacktest.Slack
		w, e := newSlackWorld(t, &s, nil)
		defer w.stop()
		s.Add(slacktest.Path, slacktest.Archived)
		first := w.imported(1, 2)
		time.Sleep(9 * time.Second)
		second := w.imported(3, 1)
		time.Sleep(time.Minute)
		now, err := w.store.Endpoint(t.Context(), w.app.ID, webhook.EndpointID.Format(e.ID))
		if err != nil || !now.Disabled || !strings.Contains(now.DisabledReason, "archived") {
			t.Errorf("endpoint %+v, %v", now, err)
		}
		if n := w.count(first, webhook.Failed); n != 2 {
			t.Errorf("%d of the 2 events in the digest failed", n)
		}
		if n := w.count(second, webhook.Failed) + w.count(second, webhook.Canceled); n != 1 {
			t.Errorf("what was gathered then stands at %+v", w.status(second[0]))
		}
	})
}

// As the documentation says, a Slack URL works without further ado: the plain
// payload has a text, which Slack shows.
func TestThePlainPayloadIsReadInSlack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slacktest.Slack
		w, _ := newSlackWorld(t, &s, func(e *webhook.Endpoint) {
			e.Kind, e.Digest, e.Throttle = webhook.Generic, webhook.Digest{}, 1
		})
		defer w.stop()
		var want []string
		for _, et := range registry.EventTypes {
			var schema struct{ Examples []json.RawMessage }
			var payload struct{ Text string }
			if err := json.Unmarshal(et.Schema(), &schema); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(schema.Examples[0], &payload); err != nil {
				t.Fatal(err)
			}
			want = append(want, payload.Text)
			if err := w.store.AddMessage(t.Context(), &webhook.Message{Application: w.app.ID, EventType: et.Name, Payload: schema.Examples[0]}); err != nil {
				t.Fatal(err)
			}
		}
		hostile := registry.Event{Type: "sample.created", Dataset: "jane/flowers", Object: registry.Object{}, Text: "Sample &lt;!channel&gt; \u0007 created."}
		if err := w.store.AddMessage(t.Context(), &webhook.Message{Application: w.app.ID, EventType: "sample.created", Payload: hostile.Payload(1 << 20)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		got := s.Messages()
		if len(got) != len(want)+1 || s.Refused() != 0 {
			t.Fatalf("%d messages, %d refused", len(got), s.Refused())
		}
		for i, text := range want {
			if !slices.ContainsFunc(got, func(m slacktest.Message) bool { return m.Text == text }) {
				t.Errorf("nobody sees %q of event %d", text, i)
			}
		}
		for _, m := range got {
			if len(m.Pings) > 0 || strings.ContainsRune(m.Text, 7) {
				t.Errorf("people see %q, and %v are alerted", m.Text, m.Pings)
			}
		}
	})
}

func TestAGenericEndpointGetsABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var sent [][]byte
		w := newWorldWith(t, storetest.SQLite(t), callerFunc(func(_ context.Context, to *webhook.Endpoint, j *webhook.Job) (webhook.Attempt, time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, j.Payload)
			return webhook.Attempt{Outcome: webhook.Delivered, StatusCode: 200, StartedAt: time.Now(), URL: to.URL}, -1
		}), dispatch.Config{})
		defer w.stop()
		w.endpoint(func(e *webhook.Endpoint) { e.Digest = webhook.Digest{Window: time.Minute, Most: 4} })
		started := time.Now()
		messages := w.imported(1, 10)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if len(sent) != 2 {
			t.Errorf("%d batches before the window ends, want the 2 that are full", len(sent))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(sent) != 3 || time.Since(started) < time.Minute {
			t.Fatalf("%d batches", len(sent))
		}
		events := 0
		for _, body := range sent {
			var envelope struct {
				Events []struct {
					ID      string
					Payload json.RawMessage
				}
			}
			if err := json.Unmarshal(body, &envelope); err != nil {
				t.Fatal(err)
			}
			for _, e := range envelope.Events {
				if m := messages[events]; e.ID != webhook.MessageID.Format(m.ID) || !bytes.Equal(e.Payload, m.Payload) {
					t.Errorf("event %d: %+v", events, e)
				}
				events++
			}
		}
		if n := w.count(messages, webhook.Succeeded); n != 10 || events != 10 {
			t.Errorf("%d events, %d deliveries succeeded", events, n)
		}
	})
}
