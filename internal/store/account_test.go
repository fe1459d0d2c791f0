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

func account(t *testing.T, s *store.Store, name string) registry.Account {
	t.Helper()
	a, err := s.CreateAccount(t.Context(), registry.Account{Name: name}, "hash of "+name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestNamesOfAccountsAreUniqueWhateverTheirCase(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		jane := account(t, s, "Jane")
		if _, err := s.CreateAccount(t.Context(), registry.Account{Name: "jANE"}, ""); !errors.Is(err, webhook.ErrConflict) {
			t.Errorf("got %v", err)
		}
		if found, err := s.Account(t.Context(), "JANE"); err != nil || found.ID != jane.ID || found.Name != "Jane" {
			t.Errorf("got %+v, %v", found, err)
		}
		if _, err := s.Account(t.Context(), "john"); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAKeyWorksUntilItIsRevoked(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		jane, john := account(t, s, "jane"), account(t, s, "john")
		hash := auth.Hash("a key")
		k, err := s.CreateAPIKey(t.Context(), jane.ID, "importer", hash, "key")
		if err != nil {
			t.Fatal(err)
		}
		if a, err := s.AccountByKey(t.Context(), hash); err != nil || a.ID != jane.ID {
			t.Errorf("got %+v, %v", a, err)
		}
		if keys, err := s.APIKeys(t.Context(), jane.ID); err != nil || len(keys) != 1 || keys[0].LastUsedAt.IsZero() || keys[0].Label != "importer" {
			t.Errorf("got %+v, %v", keys, err)
		}
		if err := s.RevokeAPIKey(t.Context(), john.ID, k.ID); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("somebody else revoked it: %v", err)
		}
		if err := s.RevokeAPIKey(t.Context(), jane.ID, k.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.AccountByKey(t.Context(), hash); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		for n := range store.MaxAPIKeys {
			if _, err := s.CreateAPIKey(t.Context(), jane.ID, "", []byte{byte(n)}, ""); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.CreateAPIKey(t.Context(), jane.ID, "", []byte("more"), ""); !errors.Is(err, webhook.ErrLimit) {
			t.Errorf("got %v", err)
		}
	})
}

func TestANewPasswordEndsSessions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		jane, john := account(t, s, "jane"), account(t, s, "john")
		for name, id := range map[string]webhook.ID{"jane": jane.ID, "john": john.ID} {
			if err := s.SaveSession(t.Context(), []byte(name), id); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.SetPassword(t.Context(), jane.ID, "another"); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := s.Session(t.Context(), []byte("jane")); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		if a, began, seen, err := s.Session(t.Context(), []byte("john")); err != nil || a.ID != john.ID || began.IsZero() || seen.Before(began) {
			t.Errorf("got %+v, %v", a, err)
		}
		if err := s.DeleteSession(t.Context(), []byte("x"), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := s.Session(t.Context(), []byte("john")); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("a stale session stayed: %v", err)
		}
	})
}

func TestMembersActForAnOrganizationWhenTheyAdministerIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		jane, john, bert := account(t, s, "jane"), account(t, s, "john"), account(t, s, "bert")
		if _, err := s.CreateAccount(t.Context(), registry.Account{Name: "acme", Organization: true}, ""); err != nil {
			t.Fatal(err)
		}
		if err := s.AddMember(t.Context(), "ACME", "jane", true, registry.NoRole); err != nil {
			t.Fatal(err)
		}
		if err := s.AddMember(t.Context(), "acme", "john", false, registry.Reviewer); err != nil {
			t.Fatal(err)
		}
		for _, bad := range [][2]string{{"jane", "john"}, {"acme", "nobody"}, {"nobody", "jane"}, {"acme", "acme"}} {
			if err := s.AddMember(t.Context(), bad[0], bad[1], true, registry.NoRole); !errors.Is(err, webhook.ErrNotFound) {
				t.Errorf("%v: %v", bad, err)
			}
		}
		for caller, want := range map[webhook.ID]error{jane.ID: nil, john.ID: registry.ErrNotAdministrator, bert.ID: webhook.ErrNotFound} {
			if _, err := s.Administers(t.Context(), caller, "acme"); !errors.Is(err, want) {
				t.Errorf("got %v, not %v", err, want)
			}
			if _, err := s.EnableWebhooks(t.Context(), caller, "acme", true); !errors.Is(err, want) {
				t.Errorf("got %v, not %v", err, want)
			}
		}
		acme, err := s.EnableWebhooks(t.Context(), jane.ID, "acme", false)
		if err != nil || acme.WebhooksEnabled || acme.Application.IsZero() {
			t.Errorf("got %+v, %v", acme, err)
		}
		if again, err := s.EnableWebhooks(t.Context(), jane.ID, "acme", true); err != nil || again.Application != acme.Application {
			t.Errorf("enabling again made another application: %v", err)
		}
		if err := s.RemoveMember(t.Context(), "acme", "jane"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Administers(t.Context(), jane.ID, "acme"); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}
