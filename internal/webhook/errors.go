package webhook

import (
	"errors"
	"strings"
	"time"
)

// Kinds of failure that callers ask for with errors.Is. The store returns
// them, package web turns them into status codes, and nothing compares texts.
var (
	// ErrNotFound means the thing is absent, or hidden from the caller.
	ErrNotFound = errors.New("not found")
	// ErrConflict means that a unique name or id is taken.
	ErrConflict = errors.New("conflict")
	// ErrUnavailable means that the database cannot take the work now (full
	// disk, read-only file, connection lost, overload). Nothing was stored;
	// the same call may succeed later.
	ErrUnavailable = errors.New("unavailable")
	// ErrPayloadGone means that a message's payload expired or was expunged,
	// so that it cannot be sent again.
	ErrPayloadGone = errors.New("payload gone")
	// ErrLinked means that the application belongs to a registry account, whose
	// name it bears for as long as the account is there.
	ErrLinked = errors.New("the application belongs to an account of the registry")
	// ErrBuiltIn means that an event type is part of the product.
	ErrBuiltIn = errors.New("the event type is built in")
	// ErrSequence means that a poller's iterator is not the next one.
	ErrSequence = errors.New("iterator out of sequence")
	// ErrLimit means that a bound on how many of something may exist is reached.
	ErrLimit = errors.New("limit reached")
)

// FieldError is one thing wrong with one field of a request.
type FieldError struct {
	// Field is the path of the field as on the wire, for example "url" or
	// "application.uid".
	Field string
	// Problem is a sentence that names the fault and the fix.
	Problem string
}

// Invalid lists everything wrong with a request, so that the caller can mend
// it in one go.
type Invalid []FieldError //nolint:recvcheck // it is built by pointer and read by value

// Error names each field and its problem.
func (e Invalid) Error() string {
	parts := make([]string, len(e))
	for i, f := range e {
		parts[i] = f.Field + ": " + f.Problem
	}
	return strings.Join(parts, "; ")
}

// Add notes a problem of a field.
func (e *Invalid) Add(field, problem string) {
	*e = append(*e, FieldError{field, problem})
}

// Err returns e, or nil when nothing is wrong.
func (e Invalid) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Of returns the first problem noted for field, or "".
func (e Invalid) Of(field string) string {
	for _, f := range e {
		if f.Field == field {
			return f.Problem
		}
	}
	return ""
}

// Micros is a time as the databases keep it: microseconds since 1970, UTC.
// The zero time is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// FromMicros is the inverse of Micros.
func FromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
