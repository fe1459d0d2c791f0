package webhook

import (
	"slices"
	"time"
)

// TestTag marks a message that somebody sent to try an endpoint.
const TestTag = "fanfare.test"

// IsTest reports whether somebody sent the message to try an endpoint.
func (m *Message) IsTest() bool { return slices.Contains(m.Tags, TestTag) }

// Alone is the end that an attempt by itself would mean for its delivery:
// Succeeded, Failed, or Canceled where none was made.
func (a *Attempt) Alone() Status {
	switch {
	case a.Outcome == Delivered:
		return Succeeded
	case a.Outcome == NotSent && a.Ends == Canceled:
		return Canceled
	default:
		return Failed
	}
}

// Rotate makes key the one that signs. The one before signs as well for as long
// as grace, so that a receiver can be given the new one in peace. Too many keys
// in force at a time are ErrLimit.
func (e *Endpoint) Rotate(key string, grace time.Duration, now time.Time) error {
	next := []Secret{{Key: key}}
	for i, old := range e.Secrets {
		switch {
		case i == 0 && grace > 0:
			old.ExpiresAt = now.Add(grace)
			next = append(next, old)
		case i > 0 && old.ExpiresAt.After(now):
			next = append(next, old)
		}
	}
	if len(next) > 1+MaxOldSecrets {
		return ErrLimit
	}
	e.Secrets = next
	return nil
}
