package store

import (
	"context"
	"database/sql"
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/ingest"
	"fanfare/internal/webhook"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"modernc.org/sqlite"               // and the driver "sqlite"
)

// Store is one open database.
type Store struct {
	dialect dialect
	sealer  *auth.Sealer
	log     *slog.Logger
	node    webhook.ID
	ids     webhook.IDs
	cfg     Config

	writes *sql.DB
	reads  *sql.DB
	stmts  sync.Map // query → *sql.Stmt of reads
	lock   *os.File

	committers committers
	pace       pace
	// checkpoints are SQLite's; nil is none.
	checkpoints *checkpoints
	// listing is what SQLite's one node leaves for later; nil is nothing.
	listing *listing
	// How long SQLite's writer took of late for a row, and to make a commit
	// durable; its alone.
	rowTook, syncTook time.Duration
	// what names the database's clock
	deliverySet     *set
	claimDeliveries string

	// work tells upkeep that there is something to do.
	work chan struct{}
	// tasks tells whoever works on tasks that there is one.
	tasks     chan struct{}
	gathering *gathering

	settled   settled
	unindexed unindexed

	apps       *appCache
	sparing    sparing
	facts      atomic.Pointer[Facts]
	dispatcher ingest.Dispatcher
	observe    func(Commit)
}

// Config is what a Store can be told. Its zero value works.
type Config struct {
	// Exclusive makes Open refuse a SQLite file that another process has open
	// with Exclusive: a file has one node.
	Exclusive bool
	// MessageRetention and AttemptRetention are for how long messages and
	// attempts are kept: 90 and 30 days if zero.
	MessageRetention, AttemptRetention time.Duration
	// PublicURL is where files are served, without a final slash.
	PublicURL string
	// MaxEvent is how many bytes the payload of a registry event may have
	// before members of its object are left out: 256 KiB if zero.
	MaxEvent int
	// MaxScan is how many rows a page of a list looks at that a filter narrows,
	// so that a filter that lets next to nothing through does not make it slow:
	// 10,000 if zero.
	MaxScan int
	// NameSlice is how many messages a slice of the index of names covers: 5,000
	// if zero. Fewer make it slower to search for what is rare, more for what is
	// frequent.
	NameSlice int
	// IndexLag is how old a message is at least when its names are indexed: half
	// of it is what may lie between making an id and writing the row, and what
	// the clocks of nodes may differ by. 1 s on SQLite, 10 s on PostgreSQL if zero.
	IndexLag time.Duration
	// Lease is how long a claim lasts on PostgreSQL: 60 s if zero.
	Lease time.Duration
	// DisableAfter is how long an endpoint may fail without a success before
	// it is disabled: 5 days if zero, never if negative.
	DisableAfter time.Duration
}

// ErrLocked means that another process runs a node on the same file.
var ErrLocked = errors.New("the database is in use by another fanfare process")

// Open opens the database ("sqlite:PATH" or "postgres://…"), brings its schema
// up to date and returns the store. Close it when done.
func Open(ctx context.Context, database string, sealer *auth.Sealer, log *slog.Logger, cfg Config) (*Store, error) {
	d, err := dialectOf(database)
	if err != nil {
		return nil, err
	}
	if cfg.MaxEvent == 0 {
		cfg.MaxEvent = 256 << 10
	}
	if cfg.MessageRetention == 0 {
		cfg.MessageRetention = 90 * 24 * time.Hour
	}
	if cfg.AttemptRetention == 0 {
		cfg.AttemptRetention = 30 * 24 * time.Hour
	}
	if cfg.MaxScan == 0 {
		cfg.MaxScan = SearchDepth
	}
	if cfg.NameSlice == 0 {
		cfg.NameSlice = 5000
	}
	if cfg.IndexLag == 0 {
		cfg.IndexLag = d.indexLag
	}
	if cfg.Lease == 0 {
		cfg.Lease = time.Minute
	}
	if cfg.DisableAfter == 0 {
		cfg.DisableAfter = 5 * 24 * time.Hour
	}
	s := &Store{dialect: d, sealer: sealer, log: log, cfg: cfg, apps: newAppCache(), work: make(chan struct{}, 1), tasks: make(chan struct{}, 1), gathering: newGathering()}
	s.unindexed.told = make(chan struct{}, 1)
	s.node = s.ids.New(time.Now())
	s.newFacts(0)
	s.deliverySet = s.newDeliverySet()
	s.claimDeliveries = fmt.Sprintf(claimDeliveries, s.lease(), d.skipLocked)
	if err := s.open(ctx, database); err != nil {
		s.Close()
		return nil, translate(err)
	}
	if s.dialect.name == sqliteDialect.name {
		s.checkpoints = newCheckpoints(s)
		if cfg.Exclusive {
			s.listing = &listing{hours: hourCounts{}, endpoints: map[webhook.ID]struct{}{}}
		}
	}
	s.startCommitters()
	if err := s.prepareData(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, database string) (err error) {
	if s.dialect.name == postgresDialect.name {
		if s.writes, err = sql.Open("pgx", database); err != nil {
			return err
		}
		s.writes.SetMaxOpenConns(40)
		s.writes.SetMaxIdleConns(20)
		s.reads = s.writes
	} else if err = s.openSQLite(strings.TrimPrefix(database, "sqlite:")); err != nil {
		return err
	}
	if err := s.writes.PingContext(ctx); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	return nil
}

func (s *Store) openSQLite(path string) (err error) {
	if path == "" {
		return errors.New("the database needs a path: sqlite:fanfare.db")
	}
	if s.cfg.Exclusive {
		if s.lock, err = lockFile(path + ".lock"); err != nil {
			return err
		}
	}
	pragmas := url.Values{"_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)",
		"cache_size(-16384)", "wal_autocheckpoint(16000)", "temp_store(MEMORY)",
	}}
	// Where it can be had: with the same durability, a commit does not wait for
	// the file's timestamps.
	_, _ = sqlite.Fdatasync(true)
	file := "file:" + (&url.URL{Path: path}).EscapedPath() + "?"
	if s.writes, err = sql.Open("sqlite", file+pragmas.Encode()); err != nil {
		return err
	}
	s.writes.SetMaxOpenConns(1)
	pragmas["_pragma"] = append(pragmas["_pragma"], "cache_size(-4096)", "query_only(ON)")
	if s.reads, err = sql.Open("sqlite", file+pragmas.Encode()); err != nil {
		return err
	}
	s.reads.SetMaxOpenConns(8)
	s.reads.SetMaxIdleConns(8)
	return nil
}

// lockFile takes the lock that a node holds on its SQLite file for as long as
// the process lives, however it ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator's own path
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w (lock file %s)", ErrLocked, path)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// Attach makes d the one that gets new deliveries. It is called once, before
// the first message is stored; without it every delivery waits for a claim.
func (s *Store) Attach(d ingest.Dispatcher) { s.dispatcher = d }

// Work yields when there is something for upkeep to do.
func (s *Store) Work() <-chan struct{} { return s.work }

func (s *Store) signal() {
	select {
	case s.work <- struct{}{}:
	default: // upkeep has been told and has not looked yet
	}
}

// Close finishes the writes that are queued and lets go of the database.
func (s *Store) Close() {
	s.committers.close()
	s.checkpoints.close()
	s.stmts.Range(func(_, stmt any) bool {
		if stmt, ok := stmt.(*sql.Stmt); ok {
			_ = stmt.Close()
		}
		return true
	})
	if s.reads != nil && s.reads != s.writes {
		_ = s.reads.Close()
	}
	if s.writes != nil {
		_ = s.writes.Close()
	}
	if s.lock != nil {
		_ = s.lock.Close()
	}
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return translate(s.reads.PingContext(ctx))
}

// query reads rows as of the last commit.
func (s *Store) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := s.readStmt(ctx, query)
	if err != nil {
		return nil, translate(err)
	}
	rows, err := stmt.QueryContext(ctx, args...)
	return rows, translate(err)
}

// row reads one row as of the last commit; none is ErrNotFound.
func (s *Store) row(ctx context.Context, query string, args ...any) scanner {
	stmt, err := s.readStmt(ctx, query)
	if err != nil {
		return failed{translate(err)}
	}
	return translated{stmt.QueryRowContext(ctx, args...)}
}

type translated struct{ scanner }

func (t translated) Scan(dest ...any) error { return translate(t.scanner.Scan(dest...)) }

func (s *Store) readStmt(ctx context.Context, query string) (*sql.Stmt, error) {
	s.bringUp(ctx, query)
	if stmt, ok := s.stmts.Load(query); ok {
		return stmt.(*sql.Stmt), nil //nolint:forcetypeassert,errcheck // only statements are put in
	}
	stmt, err := s.reads.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if before, loaded := s.stmts.LoadOrStore(query, stmt); loaded {
		_ = stmt.Close()
		return before.(*sql.Stmt), nil //nolint:forcetypeassert,errcheck // only statements are put in
	}
	return stmt, nil
}

// collect reads all rows with scan and closes them.
func collect[T any](rows *sql.Rows, err error, scan func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close() //nolint:errcheck // Err below tells
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, translate(err)
		}
		all = append(all, v)
	}
	return all, translate(rows.Err())
}
