// Package storetest gives tests a fresh store on each database.
package storetest

import (
	"bytes"
	"fanfare/internal/auth"
	"fanfare/internal/pgtest"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"log/slog"
	"path/filepath"
	"testing"
)

// Each runs fn on a fresh SQLite file and on a fresh PostgreSQL database.
func Each(t *testing.T, fn func(t *testing.T, s *store.Store)) {
	t.Helper()
	EachURL(t, func(t *testing.T, url string) { fn(t, Open(t, url)) })
}

// EachURL runs fn with the URL of an empty database of each kind.
func EachURL(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { fn(t, pgtest.URL(t)) })
}

// SQLite is the URL of a new file.
func SQLite(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "fanfare.db")
}

// Open opens a store under the test key and closes it with the test.
func Open(t testing.TB, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, Sealer(t), Log(t), store.Config{Exclusive: true, PublicURL: "http://public.example"})
	if err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
	t.Cleanup(s.Close)
	return s
}

// Sealer is the sealer of the test key.
func Sealer(t testing.TB) *auth.Sealer {
	t.Helper()
	sealer, err := auth.NewSealer(bytes.Repeat([]byte{7}, auth.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// Log writes to the output of the test.
func Log(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// Record stores what came of a call, and returns once that is durable.
func Record(s *store.Store, r *webhook.Record) error {
	answer := make(chan error, 1)
	s.Record(r, func(err error) { answer <- err })
	return <-answer
}
