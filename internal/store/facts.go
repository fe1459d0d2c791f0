package store

import (
	"context"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"sync"
	"time"
)

// ErrStale means that what a caller had read in Facts is no longer so. Whoever
// takes the Facts anew finds how it is now.
var ErrStale = errors.New("the configuration has changed")

// Facts are what accepting a message relies on, remembered as of a revision of
// the configuration: tokens, applications and event types. The transaction that
// stores the message asks whether the revision is still that one, so that what
// anybody has changed or revoked before, in whatever process, counts at once.
type Facts struct {
	s        *Store
	revision int64

	tokens       memo[string, webhook.Token]
	applications memo[applicationRef, webhook.Application]
	eventTypes   memo[eventTypeRef, *webhook.EventType]
}

type applicationRef struct {
	environment webhook.ID
	ref         string
}

type eventTypeRef struct {
	environment webhook.ID
	name        string
}

// Facts are those of the newest revision that this process has seen.
func (s *Store) Facts() *Facts { return s.facts.Load() }

// Check is ErrStale when the facts are no longer so. Whoever refuses because of
// facts asks first; who stores something gives them to the store instead.
func (f *Facts) Check(ctx context.Context) error {
	var n int64
	if err := f.s.row(ctx, `SELECT n FROM revision`).Scan(&n); err != nil {
		return fmt.Errorf("revision: %w", err)
	}
	if n == f.revision {
		return nil
	}
	if f.s.Facts() == f {
		f.s.newFacts(n)
	}
	return ErrStale
}

// TokenByHash is Store.TokenByHash, remembered.
func (f *Facts) TokenByHash(ctx context.Context, hash []byte) (webhook.Token, error) {
	k, err := f.tokens.get(string(hash), func() (webhook.Token, error) { return f.s.TokenByHash(ctx, hash) })
	if err == nil && !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(time.Now()) {
		return webhook.Token{}, webhook.ErrNotFound
	}
	return k, err
}

// Application is Store.Application, remembered.
func (f *Facts) Application(ctx context.Context, environment webhook.ID, ref string) (webhook.Application, error) {
	return f.applications.get(applicationRef{environment, ref}, func() (webhook.Application, error) {
		return f.s.Application(ctx, environment, ref)
	})
}

// EventType is Store.EventType, remembered; nil when there is none.
func (f *Facts) EventType(ctx context.Context, environment webhook.ID, name string) (*webhook.EventType, error) {
	return f.eventTypes.get(eventTypeRef{environment, name}, func() (*webhook.EventType, error) {
		t, err := f.s.EventType(ctx, environment, name)
		if errors.Is(err, webhook.ErrNotFound) {
			return nil, nil //nolint:nilnil // that there is none is a fact
		}
		return &t, err
	})
}

// memo remembers values that were found.
type memo[K comparable, V any] struct {
	mu     sync.RWMutex
	values map[K]V
}

// maxMemo is how many values a memo holds before it begins anew.
const maxMemo = 10_000

func (m *memo[K, V]) get(k K, load func() (V, error)) (V, error) {
	m.mu.RLock()
	v, ok := m.values[k]
	m.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := load()
	if err != nil {
		return v, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil || len(m.values) >= maxMemo {
		m.values = map[K]V{}
	}
	m.values[k] = v
	return v, nil
}

// newFacts begins to remember as of a revision.
func (s *Store) newFacts(revision int64) { s.facts.Store(&Facts{s: s, revision: revision}) }

// revision is that of the configuration as this transaction sees it.
func (t *tx) revision() (n int64, err error) {
	if t.seen != 0 {
		return t.seen, nil
	}
	if err := t.row(`SELECT n FROM revision`).Scan(&n); err != nil {
		return 0, err
	}
	t.seen = n
	if f := t.s.Facts(); f.revision != n {
		t.s.newFacts(n)
	}
	return n, nil
}

// revise notes that the configuration changes in this transaction.
func (t *tx) revise() { t.revised = true }

// storeRevision makes what has changed known, last of all, so that nobody waits
// long for the row that all changes share.
func (t *tx) storeRevision() error {
	if !t.revised {
		return nil
	}
	_, err := t.exec(`UPDATE revision SET n = n + 1`)
	return err
}
