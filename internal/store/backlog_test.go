package store_test

import (
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"strings"
	"testing"
	"time"
)

func TestTheBacklogIsWhatNobodyHolds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		if n, due, err := s.Backlog(t.Context()); n != 0 || !due.IsZero() || err != nil {
			t.Fatalf("Backlog of nothing = %d, %v, %v", n, due, err)
		}
		environment, err := s.Environment(t.Context(), store.MainEnvironment)
		if err != nil {
			t.Fatal(err)
		}
		a, err := s.CreateApplication(t.Context(), webhook.Application{Environment: environment, Name: "customer"})
		if err != nil {
			t.Fatal(err)
		}
		var endpoints []*webhook.Endpoint
		for range 2 {
			e, err := s.CreateEndpoint(t.Context(), webhook.Endpoint{Application: a.ID, URL: "http://receiver.example", Version: 1})
			if err != nil {
				t.Fatal(err)
			}
			endpoints = append(endpoints, e)
		}
		var first time.Time
		for range 3 {
			m := &webhook.Message{Application: a.ID, EventType: "invoice.paid", Payload: []byte(`{}`)}
			if err := s.AddMessage(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if first.IsZero() {
				first = m.CreatedAt
			}
		}
		if n, due, err := s.Backlog(t.Context()); n != 6 || !due.Equal(first) || err != nil {
			t.Errorf("Backlog = %d, %v, %v; want 6 and %v", n, due, err, first)
		}
		if _, err := s.Claim(t.Context(), endpoints[0].ID, 3, false); err != nil {
			t.Fatal(err)
		}
		if n, _, err := s.Backlog(t.Context()); n != 3 || err != nil {
			t.Errorf("Backlog once three are held = %d, %v; want 3", n, err)
		}
	})
}

func TestCommitsAreObserved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		seen := make(chan store.Commit, 100)
		s.Observe(func(c store.Commit) { seen <- c })
		environment, err := s.Environment(t.Context(), store.MainEnvironment)
		if err != nil {
			t.Fatal(err)
		}
		a, err := s.CreateApplication(t.Context(), webhook.Application{Environment: environment, Name: "customer"})
		if err != nil {
			t.Fatal(err)
		}
		if c := <-seen; c.Work != 1 || c.Messages != 0 || c.Took <= 0 {
			t.Errorf("the commit of an application is %+v", c)
		}
		if err := s.AddMessage(t.Context(), &webhook.Message{Application: a.ID, EventType: "invoice.paid", Payload: []byte(`{}`)}); err != nil {
			t.Fatal(err)
		}
		if c := <-seen; c.Work != 1 || c.Messages != 1 {
			t.Errorf("the commit of a message is %+v", c)
		}
	})
}

func TestAScratchSchemaStandsApart(t *testing.T) {
	for name, bad := range map[string]string{"no name": "", "a statement": "a; DROP TABLE message", "an upper-case one": "Bench"} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := store.Scratch(t.Context(), "postgres://nowhere", bad); err == nil || !strings.Contains(err.Error(), "not a name") {
				t.Errorf("Scratch = %v, want a refusal", err)
			}
		})
	}
}
