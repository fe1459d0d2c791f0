package store_test

import (
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"os"
	"strings"
	"testing"
)

// TestAClosedFileIsWhole sees that the last connection has gone with the store:
// it brings the log home, so that the one file can be copied.
func TestAClosedFileIsWhole(t *testing.T) {
	file := strings.TrimPrefix(storetest.SQLite(t), "sqlite:")
	s := storetest.Open(t, "sqlite:"+file)
	f := newFixture(t, s)
	m := &webhook.Message{Application: f.app.ID, EventType: "a", Payload: []byte(`{}`)}
	if err := f.AddMessage(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file + "-wal"); err != nil {
		t.Fatalf("%v: want a log while the store is open", err)
	}
	s.Close()
	if _, err := os.Stat(file + "-wal"); !os.IsNotExist(err) {
		t.Errorf("%v: the log is still there", err)
	}
}
