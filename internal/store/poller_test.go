package store_test

import (
	"context"
	"database/sql"
	"fanfare/internal/pgtest"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // another client of the database
)

// underWay begins a transaction that has its number and does not end by itself.
func underWay(t *testing.T, url string) *sql.Tx {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(context.WithoutCancel(t.Context()), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = tx.Rollback() // or it has ended
		_ = db.Close()
	})
	if _, err := tx.ExecContext(t.Context(), `SELECT pg_current_xact_id()`); err != nil {
		t.Fatal(err)
	}
	return tx
}

func TestAPollerTellsNothingThatSomethingEarlierMayStillComeBefore(t *testing.T) {
	url := pgtest.URL(t)
	s := storetest.Open(t, url)
	environment, err := s.CreateEnvironment(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	app, err := s.CreateApplication(t.Context(), webhook.Application{Environment: environment, Name: "a", Metadata: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	var from store.Position
	poll := func() (n int) {
		t.Helper()
		p, err := s.Poll(t.Context(), app.ID, from, time.Time{}, 10, func(*webhook.Message) bool { return true })
		if err != nil || !p.Done {
			t.Fatalf("%+v, %v", p, err)
		}
		from = p.Next
		return len(p.Messages)
	}
	add := func() {
		t.Helper()
		if err := s.AddMessage(t.Context(), &webhook.Message{Application: app.ID, EventType: "a", Payload: []byte(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	// What is under way in another database of the server can bring nothing.
	underWay(t, pgtest.URL(t))
	add()
	if n := poll(); n != 1 {
		t.Errorf("%d messages beside another database", n)
	}
	earlier := underWay(t, url)
	add()
	if n := poll(); n != 0 {
		t.Errorf("%d messages while something earlier is under way", n)
	}
	if err := earlier.Rollback(); err != nil {
		t.Fatal(err)
	}
	if n := poll(); n != 1 {
		t.Errorf("%d messages after it has ended", n)
	}
	// A poll waits a moment for what is about to end.
	earlier = underWay(t, url)
	add()
	time.AfterFunc(50*time.Millisecond, func() { _ = earlier.Rollback() })
	if n := poll(); n != 1 {
		t.Errorf("%d messages once it has ended", n)
	}
}
