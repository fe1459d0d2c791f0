package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewerSchema means that a later version of the program has already changed
// the database. An older program must not write to it.
var ErrNewerSchema = errors.New("the database was made by a newer version of fanfare; run that version or a later one")

// migrationLock is an arbitrary number that all versions agree on.
const migrationLock = 7116283451

// migrate brings the schema up to date, each step in a transaction of its own,
// while other processes that start at the same moment wait.
func (s *Store) migrate(ctx context.Context) error {
	conn, err := s.writes.Conn(ctx)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer conn.Close() //nolint:errcheck // only returns it to the pool
	if s.dialect.name == postgresDialect.name {
		if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", migrationLock); err != nil {
			return fmt.Errorf("lock the schema: %w", err)
		}
		defer conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", migrationLock) //nolint:errcheck // ends with the connection
	}
	if _, err := conn.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema_migration (version BIGINT NOT NULL PRIMARY KEY)`); err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	slices.Sort(steps)
	for _, step := range steps {
		if err := s.migrateStep(ctx, conn, step); err != nil {
			return fmt.Errorf("migrate to %s: %w", step, err)
		}
	}
	return checkVersion(ctx, conn, len(steps))
}

func (s *Store) migrateStep(ctx context.Context, conn *sql.Conn, step string) error {
	number, _, _ := strings.Cut(strings.TrimPrefix(step, "migrations/"), "_")
	version, err := strconv.Atoi(number)
	if err != nil {
		return fmt.Errorf("the name of a migration starts with its number: %w", err)
	}
	text, err := fs.ReadFile(migrations, step)
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, s.dialect.begin); err != nil {
		return err
	}
	if err := applyStep(ctx, conn, version, s.dialect.text(string(text))); err != nil {
		_, _ = conn.ExecContext(ctx, "ROLLBACK")
		return err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// applyStep runs a step unless it has been run, inside the transaction that
// also notes it: of two processes one does the work and the other sees it.
func applyStep(ctx context.Context, conn *sql.Conn, version int, text string) error {
	var done bool
	err := conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM schema_migration WHERE version >= $1)`, version).Scan(&done)
	if err != nil || done {
		return err
	}
	if _, err := conn.ExecContext(ctx, text); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `INSERT INTO schema_migration (version) VALUES ($1)`, version)
	return err
}

func checkVersion(ctx context.Context, conn *sql.Conn, known int) error {
	var version int
	if err := conn.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM schema_migration`).Scan(&version); err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	if version > known {
		return fmt.Errorf("%w (its schema is version %d, this program knows %d)", ErrNewerSchema, version, known)
	}
	return nil
}
