package store_test

import (
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"testing"
	"time"
)

// happened stores a message about a sample of a dataset.
func (f *fixture) happened(t *testing.T, dataset, sample, eventType string) webhook.Message {
	t.Helper()
	m := webhook.Message{
		Application: f.app.ID, EventType: eventType, Dataset: dataset, Subject: sample,
		Payload: fmt.Appendf(nil, `{"object":{"name":%q}}`, sample),
	}
	if err := f.AddMessage(t.Context(), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMessagesAreFoundByWhatTheyAreAbout(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		f.happened(t, "jane/flowers", "rose-1.png", "sample.created")
		f.happened(t, "jane/flowers", "Rose-2.png", "sample.deleted")
		f.happened(t, "jane/trees", "rose-3.png", "sample.created")
		last := f.happened(t, "", "", "dataset.created")
		for name, tt := range map[string]struct {
			search store.Search
			want   []string
		}{
			"nothing asked finds all":           {store.Search{}, []string{"", "rose-3.png", "Rose-2.png", "rose-1.png"}},
			"by type":                           {store.Search{EventType: "sample.created"}, []string{"rose-3.png", "rose-1.png"}},
			"by dataset":                        {store.Search{Dataset: "jane/flowers"}, []string{"Rose-2.png", "rose-1.png"}},
			"by how the sample's name begins":   {store.Search{Dataset: "jane/flowers", Sample: "rose"}, []string{"rose-1.png"}},
			"by text, whatever its case":        {store.Search{Text: "ROSE-2"}, []string{"Rose-2.png"}},
			"all that is asked must hold":       {store.Search{EventType: "sample.deleted", Text: "rose-1"}, nil},
			"not what is older than the window": {store.Search{Since: time.Now().Add(time.Hour)}, nil},
			"not what is newer than the window": {store.Search{Until: time.Now().Add(-time.Hour)}, nil},
		} {
			found, err := f.SearchMessages(t.Context(), f.app.ID, tt.search, store.Page{Limit: 10})
			var got []string
			for _, m := range found.Rows {
				got = append(got, m.Subject)
				if m.Payload == nil {
					t.Errorf("%s: a message without its payload", name)
				}
			}
			if err != nil || !slices.Equal(got, tt.want) || !found.Stopped.IsZero() {
				t.Errorf("%s: %q, stopped at %v, %v; want %q", name, got, found.Stopped, err, tt.want)
			}
		}
		found, err := f.SearchMessages(t.Context(), f.app.ID, store.Search{EventType: "sample.created"}, store.Page{Limit: 10, Before: last.ID})
		if err != nil || len(found.Rows) != 2 {
			t.Errorf("before the last: %d, %v", len(found.Rows), err)
		}
	})
}

// TestASearchStopsAndGoesOn lets a search look at more rows than one page of it
// may.
func TestASearchStopsAndGoesOn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		first := f.happened(t, "jane/flowers", "needle", "sample.created")
		const slice = 2500
		for range store.SearchDepth / slice {
			messages, attempts := make([]*webhook.Message, slice), make([]webhook.Attempt, slice)
			for i := range messages {
				messages[i] = &webhook.Message{Application: f.app.ID, EventType: "sample.created", Payload: []byte(`{"hay":1}`)}
				attempts[i] = webhook.Attempt{StartedAt: time.Now()}
			}
			if err := f.LoadHistory(t.Context(), messages, attempts); err != nil {
				t.Fatal(err)
			}
		}
		q := store.Search{Text: "needle"}
		found, err := f.SearchMessages(t.Context(), f.app.ID, q, store.Page{Limit: 10})
		if err != nil || len(found.Rows) != 0 || found.Stopped.IsZero() {
			t.Fatalf("the newest %d rows: %d found, stopped at %v, %v", store.SearchDepth, len(found.Rows), found.Stopped, err)
		}
		found, err = f.SearchMessages(t.Context(), f.app.ID, q, store.Page{Limit: 10, Before: found.Stopped})
		if err != nil || len(found.Rows) != 1 || found.Rows[0].ID != first.ID || !found.Stopped.IsZero() {
			t.Errorf("further: %+v, %v", found, err)
		}
		n := 0
		more, err := f.EachMessage(t.Context(), f.app.ID, time.Now().Add(-time.Hour), false, func(*webhook.Message) { n++ })
		if err != nil || !more || n != store.SearchDepth {
			t.Errorf("each message: %d, more %v, %v", n, more, err)
		}
	})
}

func TestTheLogOfAnEndpointIsSearched(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		e := f.endpoint(t, nil)
		good := f.happened(t, "jane/flowers", "rose.png", "sample.created")
		bad := f.happened(t, "jane/trees", "oak.png", "sample.deleted")
		f.record(t, f.sent[0], func(r *webhook.Record) { r.Ends = webhook.Succeeded })
		f.record(t, f.sent[1], func(r *webhook.Record) {
			r.Outcome, r.StatusCode, r.Retry, r.Attempts = webhook.Refused, 500, time.Now().Add(time.Hour), 1
		})
		succeeded, failed := webhook.Succeeded, webhook.Failed
		for name, tt := range map[string]struct {
			search store.Search
			want   []webhook.ID
		}{
			"all":        {store.Search{}, []webhook.ID{bad.ID, good.ID}},
			"by outcome": {store.Search{Status: &succeeded}, []webhook.ID{good.ID}},
			"by failure": {store.Search{Status: &failed}, []webhook.ID{bad.ID}},
			"by type":    {store.Search{EventType: "sample.deleted"}, []webhook.ID{bad.ID}},
			"by dataset": {store.Search{Dataset: "jane/flowers"}, []webhook.ID{good.ID}},
			"by text":    {store.Search{Text: "Oak"}, []webhook.ID{bad.ID}},
		} {
			found, err := f.SearchAttempts(t.Context(), f.app.ID, e.ID, tt.search, store.Page{Limit: 10})
			var got []webhook.ID
			for _, a := range found.Rows {
				got = append(got, a.Of.ID)
			}
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("%s: %v, %v; want %v", name, got, err, tt.want)
			}
		}
		b, err := f.EndpointBacklog(t.Context(), e.ID)
		if err != nil || b.Waiting != 1 || time.Until(b.NextRetry) < 50*time.Minute {
			t.Errorf("what waits: %+v, %v", b, err)
		}
	})
}

func TestATestGoesToOneEndpointWhateverItWants(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		other := f.endpoint(t, nil)
		e := f.endpoint(t, func(e *webhook.Endpoint) { e.EventTypes = []string{"release.created"} })
		m := webhook.Message{Application: f.app.ID, EventType: "sample.created", Payload: []byte(`{"a":1}`)}
		if sent, err := f.SendTest(t.Context(), &m, webhook.EndpointID.Format(e.ID)); err != nil || !sent {
			t.Fatalf("SendTest = %v, %v", sent, err)
		}
		if c := f.claim(t, e, 10); len(c.Jobs) != 1 || c.Jobs[0].Message != m.ID || c.Jobs[0].Trigger() != webhook.Manual {
			t.Errorf("claimed %+v, want the test", c.Jobs)
		}
		if c := f.claim(t, other, 10); len(c.Jobs) != 0 {
			t.Errorf("another endpoint was sent %+v", c.Jobs)
		}
		stored, err := f.Message(t.Context(), f.app.ID, webhook.MessageID.Format(m.ID))
		if err != nil || !stored.IsTest() {
			t.Errorf("stored %+v, %v, want it marked", stored, err)
		}
		_, err = f.UpdateEndpoint(t.Context(), f.app.ID, webhook.EndpointID.Format(e.ID), func(e *webhook.Endpoint) error {
			e.Disabled = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if sent, err := f.SendTest(t.Context(), &m, webhook.EndpointID.Format(e.ID)); err != nil || sent {
			t.Errorf("to a disabled endpoint: SendTest = %v, %v", sent, err)
		}
	})
}

func TestAReplayIsCountedBeforeItIsMade(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		missed := f.happened(t, "", "", "sample.created")
		e := f.endpoint(t, nil)
		f.happened(t, "", "", "sample.created")
		f.record(t, f.sent[0], func(r *webhook.Record) { r.Outcome, r.StatusCode, r.Ends = webhook.Refused, 500, webhook.Failed })
		task := webhook.Task{Environment: f.app.Environment, Application: f.app.ID, Endpoint: e.ID, Params: webhook.TaskParams{
			Since: missed.CreatedAt.Add(-time.Minute), Until: time.Now().Add(time.Minute),
		}}
		for _, name := range []string{webhook.TaskRecover, webhook.TaskReplayMissing, webhook.TaskBulkReplay} {
			task.Name = name
			if n, more, err := f.CountReplay(t.Context(), task); err != nil || n != 1 || more {
				t.Errorf("%s: %d, more %v, %v; want 1", name, n, more, err)
			}
		}
		made, err := f.CreateTask(t.Context(), task)
		if err != nil {
			t.Fatal(err)
		}
		if list, err := f.EndpointTasks(t.Context(), e.ID, 5); err != nil || len(list) != 1 || list[0].ID != made.ID {
			t.Errorf("tasks of the endpoint: %+v, %v", list, err)
		}
		if k, err := f.EndpointTask(t.Context(), e.ID, webhook.TaskID.Format(made.ID)); err != nil || k.ID != made.ID {
			t.Errorf("the task: %+v, %v", k, err)
		}
		if k, err := f.EndpointTask(t.Context(), missed.ID, webhook.TaskID.Format(made.ID)); err == nil {
			t.Errorf("the task of another endpoint: %+v", k)
		}
	})
}
