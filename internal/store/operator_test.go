package store_test

import (
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/registry"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"testing"
	"time"
)

func TestAnOperatorSeesWhatWaitsFailsAndIsSlow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		fast, slow := f.endpoint(t, nil), f.endpoint(t, nil)
		for range 6 {
			f.message(t)
		}
		for _, j := range f.sent {
			f.record(t, j, func(r *webhook.Record) {
				if r.Timings.Total = 3 * time.Millisecond; j.Endpoint == slow.ID {
					r.Timings.Total = 2 * time.Second
				}
			})
		}
		f.full = true // from now on everything waits
		f.message(t)
		f.message(t)

		b, err := s.Queued(t.Context())
		if err != nil || b.Open != 4 || b.Due != 4 || time.Since(b.Oldest) > time.Minute || len(b.Fullest) != 2 || b.Fullest[0].Deliveries != 2 {
			t.Errorf("backlog %+v %v", b, err)
		}
		paces, err := s.SlowestEndpoints(t.Context(), time.Now().Add(-time.Hour), 10)
		if err != nil || len(paces) != 2 || paces[0].Endpoint != slow.ID || paces[1].Endpoint != fast.ID || paces[0].Hour.Succeeded != 6 ||
			paces[0].Hour.Percentile(0.5) < time.Second || paces[0].ApplicationName == "" || paces[0].URL == "" {
			t.Errorf("paces %+v %v", paces, err)
		}
		if good, bad, err := s.Sent(t.Context(), time.Now().Add(-time.Hour)); err != nil || good != 12 || bad != 0 {
			t.Errorf("sent %d and %d, %v", good, bad, err)
		}
		if list, err := s.FailingEndpoints(t.Context(), 10); err != nil || len(list) != 0 {
			t.Errorf("failing %+v %v", list, err)
		}
		if _, err := s.UpdateEndpoint(t.Context(), slow.Application, webhook.EndpointID.Format(slow.ID), func(e *webhook.Endpoint) error {
			e.Disabled, e.DisabledReason, e.DisabledAt = true, "nothing but failures", time.Now()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if list, err := s.FailingEndpoints(t.Context(), 10); err != nil || len(list) != 1 || !list[0].Disabled || list[0].Endpoint != slow.ID {
			t.Errorf("failing %+v %v", list, err)
		}
	})
}

func TestAnOperatorFindsApplications(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		jane := account(t, s, "jane")
		jane, err := s.EnableWebhooks(t.Context(), jane.ID, "jane", true)
		if err != nil {
			t.Fatal(err)
		}
		env, err := s.CreateEnvironment(t.Context(), "second")
		if err != nil {
			t.Fatal(err)
		}
		odd, err := s.CreateApplication(t.Context(), webhook.Application{Environment: env, Name: "100% Žluť_! Ltd", UID: "odd"})
		if err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]webhook.ID{
			"JAN": jane.Application, "odd": odd.ID, "100%": odd.ID, "_!": odd.ID, webhook.ApplicationID.Format(odd.ID): odd.ID,
		} {
			list, err := s.Tenants(t.Context(), text, store.Page{Limit: 10})
			if err != nil || len(list) != 1 || list[0].ID != want {
				t.Errorf("%q found %+v %v", text, list, err)
			}
		}
		all, err := s.Tenants(t.Context(), "", store.Page{Limit: 10})
		if err != nil || len(all) != 2 || all[0].EnvironmentName != "second" || all[1].AccountName != "jane" {
			t.Errorf("%+v %v", all, err)
		}
		if list, err := s.Tenants(t.Context(), "%", store.Page{Limit: 10}); err != nil || len(list) != 1 {
			t.Errorf("%+v %v", list, err)
		}
		types, err := s.AllEventTypes(t.Context(), 1000)
		if err != nil || len(types) < len(registry.EventTypes) || types[0].EnvironmentName != store.MainEnvironment || types[0].Schemas == nil {
			t.Errorf("%d types %v", len(types), err)
		}
	})
}

func TestANodeIsSeenUntilItLeaves(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		started := time.Now().Add(-time.Hour)
		for range 2 {
			if err := s.Beat(t.Context(), "1.2.3", "127.0.0.1:8080", started); err != nil {
				t.Fatal(err)
			}
		}
		nodes, err := s.Nodes(t.Context())
		if err != nil || len(nodes) != 1 || nodes[0].ID != s.Self() || nodes[0].Version != "1.2.3" || time.Since(nodes[0].SeenAt) > time.Minute {
			t.Errorf("%+v %v", nodes, err)
		}
		if err := s.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if nodes, err := s.Nodes(t.Context()); err != nil || len(nodes) != 0 {
			t.Errorf("%+v %v", nodes, err)
		}
		if kind, size, err := s.Database(t.Context()); err != nil || kind == "" || size == 0 {
			t.Errorf("%s of %d bytes, %v", kind, size, err)
		}
	})
}

func TestADeletedAccountLeavesItsEventsAndNothingElse(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		jane, john := account(t, s, "jane"), account(t, s, "john")
		jane, err := s.EnableWebhooks(t.Context(), jane.ID, "jane", true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateEndpoint(t.Context(), webhook.Endpoint{
			Application: jane.Application, URL: "https://example.com/", Version: 1, Secrets: []webhook.Secret{{Key: "whsec_" + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}},
		}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"flowers", "trees"} {
			fields, problems := registry.Create(registry.DatasetFields, registry.Fields{"name": registry.Quote(name)})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if _, err := s.CreateDataset(t.Context(), jane.ID, "jane", fields); err != nil {
				t.Fatal(err)
			}
		}
		key, session := auth.Hash("a key"), auth.Hash("a session")
		if _, err := s.CreateAPIKey(t.Context(), jane.ID, "x", key, "key"); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveSession(t.Context(), session, jane.ID); err != nil {
			t.Fatal(err)
		}
		for range 2 { // as after an interruption
			if err := s.DeleteAccount(t.Context(), jane.ID); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Account(t.Context(), "jane"); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("the account: %v", err)
		}
		if _, err := s.AccountByKey(t.Context(), key); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("the key: %v", err)
		}
		if _, _, _, err := s.Session(t.Context(), session); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("the session: %v", err)
		}
		if list, err := s.DatasetsOf(t.Context(), jane.ID, jane.ID, store.Slice{Limit: 10}); err != nil || len(list) != 0 {
			t.Errorf("datasets: %v %v", list, err)
		}
		// What was recorded stays and is delivered; the application is nobody's.
		b, err := s.Queued(t.Context())
		if err != nil || b.Open != 4 {
			t.Errorf("%d deliveries are open, want those of two datasets made and deleted; %v", b.Open, err)
		}
		tenants, err := s.Tenants(t.Context(), "", store.Page{Limit: 10})
		if err != nil || len(tenants) != 1 || tenants[0].AccountName != "" || tenants[0].UID != "" || tenants[0].Name != "jane (deleted)" {
			t.Errorf("%+v %v", tenants, err)
		}
		env, err := s.Environment(t.Context(), store.MainEnvironment)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteApplication(t.Context(), env, webhook.ApplicationID.Format(jane.Application)); err != nil {
			t.Errorf("an operator cannot delete what is left: %v", err)
		}
		// The name is free, and whoever takes it begins anew.
		again := account(t, s, "Jane")
		if again, err = s.EnableWebhooks(t.Context(), again.ID, "jane", true); err != nil || again.Application == jane.Application {
			t.Errorf("the name is not free: %+v %v", again, err)
		}

		org, err := s.CreateAccount(t.Context(), registry.Account{Name: "acme", Organization: true}, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AddMember(t.Context(), org.Name, "john", true, registry.NoRole); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteAccount(t.Context(), john.ID); !errors.Is(err, registry.ErrLastAdministrator) {
			t.Errorf("an organization is left without an administrator: %v", err)
		}
		if err := s.DeleteAccount(t.Context(), org.ID); err != nil {
			t.Errorf("an organization cannot be deleted: %v", err)
		}
		if err := s.DeleteAccount(t.Context(), john.ID); err != nil {
			t.Error(err)
		}
	})
}
