package store

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// dialect is what differs between the two databases; everything else is one
// SQL text.
type dialect struct {
	name string
	// forUpdate ends a SELECT whose rows the same transaction is about to
	// change. SQLite has one writer and needs none.
	forUpdate string
	// skipLocked ends a SELECT that passes over rows somebody else has locked.
	skipLocked string
	// begin starts a write transaction.
	begin string
	// writers is how many units may be committed side by side, batch about how
	// many rows one transaction may write.
	writers, batch int
	// sets says that rows are written in sets. Then messages and records have
	// committers of their own, with up to hotBatch rows in a transaction.
	sets                bool
	ingesters, hotBatch int
	// within is a condition: the text of parameter %d is part of the column %s.
	within string
	// clock is the database's own time in microseconds, as an expression.
	clock string
	// indexLag is the default of Config.IndexLag.
	indexLag time.Duration
	// covered has a join use the index of messages alone where that is enough.
	covered string
	// each is a join of message_slice s with its rows of message_name n that
	// fulfil a condition, slice by slice in the order that is asked for.
	each string
}

var (
	sqliteDialect = dialect{
		name: "sqlite", begin: "BEGIN IMMEDIATE", writers: 1, batch: 1024, within: `instr(%[2]s, $%[1]d) > 0`,
		clock:    `CAST(unixepoch('subsec') * 1000000 AS BIGINT)`,
		indexLag: time.Second,
		covered:  ` INDEXED BY message_list`,
		each:     `message_slice s CROSS JOIN message_name n ON n.slice = s.number AND %s`,
	}
	postgresDialect = dialect{
		name: "postgres", begin: "BEGIN", writers: 8, batch: 1, sets: true, ingesters: 2, hotBatch: 1024, within: `strpos(%[2]s, $%[1]d) > 0`,
		forUpdate: " FOR UPDATE", skipLocked: " FOR UPDATE SKIP LOCKED",
		clock:    `CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)`,
		indexLag: 10 * time.Second,
		// OFFSET keeps the planner from joining in any other way.
		each: `message_slice s CROSS JOIN LATERAL (SELECT message_ids FROM message_name n WHERE n.slice = s.number AND %s OFFSET 0) n`,
	}
)

// marked finds the comments that are code for one database.
var marked = regexp.MustCompile(`(?s)/\*(sqlite|postgres): (.*?) \*/`)

// text returns a migration as this database is to read it.
func (d dialect) text(sql string) string {
	return marked.ReplaceAllStringFunc(sql, func(s string) string {
		m := marked.FindStringSubmatch(s)
		if m[1] != d.name {
			return ""
		}
		return m[2]
	})
}

// SQLSTATE codes and classes of PostgreSQL (Appendix A of its manual).
const (
	pgUniqueViolation      = "23505"
	pgSerializationFailure = "40001"
	pgDeadlock             = "40P01"
	pgReadOnly             = "25006"
)

// isUnique reports whether err is the violation of a unique constraint.
func isUnique(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == pgUniqueViolation
	}
	return false
}

// isDatabase reports whether err is the database's own word.
func isDatabase(err error) bool {
	_, lite := errors.AsType[*sqlite.Error](err)
	_, pg := errors.AsType[*pgconn.PgError](err)
	return lite || pg
}

// errRaced means that another node has committed what this transaction found
// missing before.
var errRaced = errors.New("another node was faster")

// isTransient reports whether the same unit, run again now, may well succeed.
func isTransient(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == pgSerializationFailure || e.Code == pgDeadlock) || errors.Is(err, errRaced)
}

// isUnavailable reports whether the database could not do the work, whatever
// the work was: full, read-only, gone, or busy.
func isUnavailable(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff { // the primary code of an extended one
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY,
			sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM:
			return true
		}
		return false
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code[:2] {
		case "08", "53", "57", "58": // connection, resources, operator, system
			return true
		}
		return e.Code == pgReadOnly || isTransient(err)
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	// A server that dies says nothing more: to the driver that is the end of a
	// file.
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

// isLost reports whether err is the end of a connection, after which nobody
// knows what the database has done.
func isLost(err error) bool { return err != nil && isUnavailable(err) && !isDatabase(err) }

// translate turns a driver's error into one of the kinds that callers know.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return webhook.ErrNotFound
	case isUnique(err):
		return fmt.Errorf("%w: %w", webhook.ErrConflict, err)
	case isUnavailable(err):
		return fmt.Errorf("%w: %w", webhook.ErrUnavailable, err)
	default:
		return err
	}
}

// dialectOf tells the databases apart by the form of their URL.
func dialectOf(database string) (dialect, error) {
	switch {
	case strings.HasPrefix(database, "sqlite:"):
		return sqliteDialect, nil
	case strings.HasPrefix(database, "postgres://"), strings.HasPrefix(database, "postgresql://"):
		return postgresDialect, nil
	default:
		return dialect{}, errors.New(`the database must be "sqlite:PATH" or "postgres://…"`)
	}
}
