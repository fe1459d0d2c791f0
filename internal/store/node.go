package store

import (
	"context"
	"fanfare/internal/webhook"
	"fmt"
	"time"
)

// Node is a process that serves this database.
type Node struct {
	ID                webhook.ID
	Version, Address  string
	StartedAt, SeenAt time.Time
}

const (
	// nodeForgotten is how long after its last sign a node is no longer listed.
	nodeForgotten = time.Hour
	// NodeSilent is how long after its last sign a node counts as gone.
	NodeSilent = time.Minute
)

// Beat notes that this process is alive, for others to see.
func (s *Store) Beat(ctx context.Context, version, address string, started time.Time) error {
	err := s.write(ctx, func(t *tx) error {
		at := time.Now()
		if _, err := t.exec(`
			INSERT INTO node (id, version, address, started_at, seen_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at`,
			key(s.node), version, address, webhook.Micros(started), at.UnixMicro()); err != nil {
			return err
		}
		_, err := t.exec(`DELETE FROM node WHERE seen_at < $1`, at.Add(-nodeForgotten).UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("note that the node lives: %w", err)
	}
	return nil
}

// Leave notes that this process has ended.
func (s *Store) Leave(ctx context.Context) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM node WHERE id = $1`, key(s.node))
		return err
	})
}

// Nodes lists the processes that were seen lately, the oldest first.
func (s *Store) Nodes(ctx context.Context) ([]Node, error) {
	rows, err := s.query(ctx, `SELECT id, version, address, started_at, seen_at FROM node ORDER BY id LIMIT 1000`)
	return collect(rows, err, func(row scanner) (n Node, err error) {
		err = row.Scan(id(&n.ID), &n.Version, &n.Address, intoTime{&n.StartedAt}, intoTime{&n.SeenAt})
		return n, err
	})
}

// Self is the node that this process is.
func (s *Store) Self() webhook.ID { return s.node }

// Database says which database this is, and how many bytes it takes.
func (s *Store) Database(ctx context.Context) (kind string, size int64, err error) {
	query := `SELECT pg_database_size(current_database())`
	if kind = s.dialect.name; kind == sqliteDialect.name {
		query = `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`
	}
	err = s.row(ctx, query).Scan(&size)
	return kind, size, err
}
