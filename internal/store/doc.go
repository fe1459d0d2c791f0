// Package store keeps everything: it holds all SQL, for SQLite and PostgreSQL,
// and is the only package that knows a database.
//
// # Writing
//
// A mutation is one method, one transaction, and names the event it causes.
// Its work is a unit: a function of the transaction that may be run again, and
// that answers conflicts with results rather than broken statements. On SQLite
// units that arrive together are committed together (see [group]); on
// PostgreSQL each has a transaction of its own on one of a few connections.
// A method returns when the commit is durable.
//
// # Reading
//
// Reads see the last commit. Lists are keyset pages: a limit and the key of
// the last row seen, never an offset.
package store
