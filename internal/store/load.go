package store

import (
	"context"
	"database/sql"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"net/url"
	"regexp"
	"time"
)

// LoadHistory stores messages as if they had been sent long ago: attempts[i] is
// the one that was made for messages[i]. It is for measuring with a history of
// any size, and much faster than making one.
func (s *Store) LoadHistory(ctx context.Context, messages []*webhook.Message, attempts []webhook.Attempt) error {
	err := s.write(ctx, func(t *tx) error {
		all := make([]*ingestion, len(messages))
		for i, m := range messages {
			all[i] = &ingestion{message: m}
		}
		if _, err := t.insertMessages(all); err != nil {
			return err
		}
		for i, m := range messages {
			attempts[i].Message, attempts[i].Application = m.ID, m.Application
		}
		return t.insertAttempts(attempts)
	})
	if err != nil {
		return fmt.Errorf("load history: %w", err)
	}
	return nil
}

// schemaName is what a name may be that goes into a statement.
var schemaName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// Scratch makes a schema of its own in a PostgreSQL database, and returns the
// URL by which a store is opened in it. drop removes it with all it holds.
func Scratch(ctx context.Context, database, name string) (own string, drop func() error, err error) {
	u, err := url.Parse(database)
	if err != nil || !schemaName.MatchString(name) {
		return "", nil, fmt.Errorf("a schema %q: not a URL, or not a name", name)
	}
	db, err := sql.Open("pgx", database)
	if err != nil {
		return "", nil, fmt.Errorf("make the schema %s: %w", name, err)
	}
	if _, err := db.ExecContext(ctx, "CREATE SCHEMA "+name); err != nil {
		return "", nil, errors.Join(fmt.Errorf("make the schema %s: %w", name, err), db.Close())
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String(), func() error {
		// It is called when ctx may have ended.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		_, err := db.ExecContext(ctx, "DROP SCHEMA "+name+" CASCADE")
		return errors.Join(err, db.Close())
	}, nil
}
