package storetest

import (
	"database/sql"
	"strings"
	"testing"
	"time"
)

// MoveTimes moves the times of the queue in a SQLite database that nobody has
// open: to a node that starts on it now, they look as if the clock of the last
// one had been ahead by so much.
func MoveTimes(t testing.TB, url string, by time.Duration) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // nothing is lost with it
	if _, err := db.ExecContext(t.Context(), `UPDATE delivery SET due_at = due_at + $1, lease_until = lease_until + $1`, by.Microseconds()); err != nil {
		t.Fatalf("move the times of the queue: %v", err)
	}
}
