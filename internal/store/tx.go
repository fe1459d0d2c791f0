package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fanfare/internal/webhook"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// tx is a write transaction. Units run in it one after another; each may be
// rolled back and run again, so what a unit does outside the database it
// registers with onCommit and onRollback. It takes no context of a request:
// a unit shares its transaction with others, who must not suffer when the one
// who brought it goes away.
type tx struct {
	s      *Store
	conn   *sql.Conn
	stmts  map[string]*sql.Stmt
	wrote  bool
	commit []func()
	undo   []func()
	// apps is the configuration that this transaction has already checked.
	apps map[webhook.ID]*application
	// What the dispatcher is told once the transaction is durable.
	sends   []webhook.Job
	waits   []webhook.Delivery
	changes []webhook.ID
	// stored counts the messages that the transaction stores, rows what it
	// changes.
	stored, rows int
	// pages counts those that large values fill.
	pages int
	began time.Time
	// seen is the revision that the transaction has read, revised whether it
	// makes the next one.
	seen    int64
	revised bool
	// attempts is how many the transaction makes, hours what they add to the
	// hourly counts.
	attempts int64
	hours    hourCounts
}

// onCommit calls f once the transaction is durable.
func (t *tx) onCommit(f func()) { t.commit = append(t.commit, f) }

// onRollback calls f when the transaction is undone.
func (t *tx) onRollback(f func()) { t.undo = append(t.undo, f) }

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	stmt, err := t.prepare(query)
	if err != nil {
		return 0, err
	}
	res, err := stmt.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	// What changed nothing need not be undone, so that a unit may still refuse
	// after an insert that met a conflict.
	t.wrote = t.wrote || n > 0
	t.rows += int(n)
	for _, v := range args {
		if b, ok := v.([]byte); ok {
			t.pages += len(b) / pageSize
		}
	}
	return n, err
}

// row reads one row; no row is sql.ErrNoRows.
func (t *tx) row(query string, args ...any) scanner {
	stmt, err := t.prepare(query)
	if err != nil {
		return failed{err}
	}
	return stmt.QueryRowContext(context.Background(), args...)
}

// change is row for a statement that writes and returns what it wrote.
func (t *tx) change(query string, args ...any) scanner {
	t.wrote = true
	return t.row(query, args...)
}

// query reads rows.
func (t *tx) query(query string, args ...any) (*sql.Rows, error) {
	stmt, err := t.prepare(query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(context.Background(), args...)
}

// prepare keeps the statements of a connection: on SQLite that saves a quarter
// of the processor's work of a commit.
func (t *tx) prepare(query string) (*sql.Stmt, error) {
	if stmt, ok := t.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := t.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	t.stmts[query] = stmt
	return stmt, nil
}

// scanner is a row that can be read into variables.
type scanner interface{ Scan(dest ...any) error }

// failed is a row that could not be asked for.
type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

// unit is a piece of work that is done whole or not at all.
type unit func(*tx) error

// writer owns a write connection and commits batches of work on it.
type writer struct {
	s     *Store
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

// maxConflicts is how often a unit is run again after PostgreSQL undid it in
// favour of another (deadlock, serialization), before its caller is told.
const maxConflicts = 5

// run brings a batch through in one transaction. A unit that fails before it
// has written anything gets its own error; any other failure is the batch's.
func (w *writer) run(batch []work) ([]error, error) {
	for n := 1; ; n++ {
		answers, err := w.once(batch)
		switch {
		case isLost(err):
			// It may have been committed: nothing of it is run again.
			return slices.Repeat([]error{translate(err)}, len(batch)), nil
		case err == nil || !isTransient(err) || n == maxConflicts:
			return answers, translate(err)
		}
	}
}

func (w *writer) once(batch []work) ([]error, error) {
	ctx := context.Background()
	if err := w.connect(ctx); err != nil {
		return nil, err
	}
	w.s.checkpoints.before(w)
	t := &tx{began: time.Now(), s: w.s, conn: w.conn, stmts: w.stmts, apps: map[webhook.ID]*application{}, hours: hourCounts{}}
	answers, err := t.runAll(batch)
	if err != nil {
		_, rollbackErr := w.conn.ExecContext(ctx, "ROLLBACK")
		for _, v := range slices.Backward(t.undo) {
			v()
		}
		if !isTransient(err) && isUnavailable(err) || rollbackErr != nil {
			// A new connection next time: this one may be broken, and SQLite
			// has rolled back by itself on a full disk.
			w.disconnect()
		}
		return nil, err
	}
	for _, f := range t.commit {
		f()
	}
	t.tell()
	w.s.unindexed.stored(t.stored, w.s.cfg.NameSlice)
	w.s.checkpoints.after(t)
	if w.s.observe != nil {
		w.s.observe(Commit{Work: len(batch), Messages: t.stored, Took: time.Since(t.began)})
	}
	return answers, nil
}

// tell hands to the dispatcher what has become durable.
func (t *tx) tell() {
	d := t.s.dispatcher
	if d == nil {
		return
	}
	for _, e := range t.changes {
		d.Changed(e)
	}
	if len(t.sends) > 0 {
		d.Send(t.sends)
	}
	if len(t.waits) > 0 {
		d.Waiting(t.waits)
	}
}

// isBroken reports whether err came from the database, after which PostgreSQL
// takes no further statement in the transaction.
func isBroken(err error) bool {
	return isDatabase(err) || isUnavailable(err)
}

func (w *writer) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.s.writes.Conn(ctx)
	if err != nil {
		return err
	}
	w.conn, w.stmts = conn, map[string]*sql.Stmt{}
	if w.s.dialect.writers == 1 {
		// SQLite's writer is in the system's calls half of the time. With a thread
		// of its own it waits less for its turn when it comes back from them.
		runtime.LockOSThread()
	}
	return nil
}

func (w *writer) disconnect() {
	if w.conn == nil {
		return
	}
	for _, stmt := range w.stmts {
		_ = stmt.Close()
	}
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // marks it bad for the pool
	_ = w.conn.Close()
	w.conn, w.stmts = nil, nil
}
