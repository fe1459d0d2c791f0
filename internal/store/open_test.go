package store

import (
	"bytes"
	"fanfare/internal/auth"
	"log/slog"
	"path/filepath"
	"testing"
)

// fileURL is the URL of a new SQLite file. (Package storetest, which has the
// same for tests from outside, imports this one.)
func fileURL(t *testing.T) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "fanfare.db")
}

// open opens a store and closes it with the test.
func open(t *testing.T, url string, cfg Config) *Store {
	t.Helper()
	sealer, err := auth.NewSealer(bytes.Repeat([]byte{1}, auth.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), url, sealer, slog.New(slog.NewTextHandler(t.Output(), nil)), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
