package store

import (
	"context"
	"errors"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"strings"
	"testing"
)

// TestAFullOrReadOnlyDatabaseRefusesAndRecovers has SQLite itself refuse: its
// file may grow no further, or may not be written. Nothing of a change stays,
// reads go on, and the same store works again once there is room.
func TestAFullOrReadOnlyDatabaseRefusesAndRecovers(t *testing.T) {
	for name, fault := range map[string]struct{ begin, end string }{
		"full":      {"PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000"}, // 1 means: as large as it is
		"read-only": {"PRAGMA query_only = 1", "PRAGMA query_only = 0"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, fileURL(t), Config{})
			jane, err := s.CreateAccount(t.Context(), registry.Account{Name: "jane"}, "")
			if err != nil {
				t.Fatal(err)
			}
			if jane, err = s.EnableWebhooks(t.Context(), jane.ID, "jane", true); err != nil {
				t.Fatal(err)
			}
			fields, wrong := registry.Create(registry.DatasetFields, registry.Fields{"name": []byte(`"flowers"`)})
			if len(wrong) > 0 {
				t.Fatal(wrong)
			}
			fields["readme"] = registry.Quote(strings.Repeat("x", 1<<20)) // more than there is room for
			pragma(t, s, fault.begin)
			if _, err := s.CreateDataset(t.Context(), jane.ID, "jane", fields); !errors.Is(err, webhook.ErrUnavailable) {
				t.Fatalf("got %v", err)
			}
			if _, err := s.Dataset(t.Context(), jane.ID, DatasetRef{"jane", "flowers"}); !errors.Is(err, webhook.ErrNotFound) {
				t.Errorf("half of a change stayed: %v", err)
			}
			pragma(t, s, fault.end)
			if _, err := s.CreateDataset(t.Context(), jane.ID, "jane", fields); err != nil {
				t.Fatalf("after the fault: %v", err)
			}
			messages, err := s.Messages(t.Context(), jane.Application, MessageFilter{}, Page{Limit: 10})
			if err != nil || len(messages) != 1 {
				t.Errorf("%d messages, %v", len(messages), err)
			}
		})
	}
}

// pragma changes the connection that writes, from within a unit, as long as it
// lasts.
func pragma(t *testing.T, s *Store, statement string) {
	t.Helper()
	s.writes.SetMaxOpenConns(2)
	err := s.write(context.Background(), func(tx *tx) error {
		tx.onCommit(func() {
			if _, err := tx.conn.ExecContext(context.Background(), statement); err != nil {
				t.Error(err)
			}
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
