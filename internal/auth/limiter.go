package auth

import (
	"net/netip"
	"sync"
	"time"
)

// Limiter slows down guessing: each key, such as an address or the name of an
// account, may fail Burst times, and then once each Refill.
type Limiter struct {
	// Burst is how many failures are free; Refill how long until one more is.
	Burst  int
	Refill time.Duration

	mu   sync.Mutex
	full map[string]time.Time // when the key's failures are all forgiven
}

// maxKeys bounds the memory of a Limiter. Past it, those that are forgiven
// soonest are forgotten.
const maxKeys = 10_000

// Wait is how long a key must wait before it may try again; 0 when it may now.
func (l *Limiter) Wait(now time.Time, keys ...string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var wait time.Duration
	for _, key := range keys {
		if full, ok := l.full[key]; ok {
			wait = max(wait, full.Sub(now)-time.Duration(l.Burst-1)*l.Refill)
		}
	}
	return wait
}

// Failed notes that a try with these keys failed.
func (l *Limiter) Failed(now time.Time, keys ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full == nil {
		l.full = map[string]time.Time{}
	}
	for _, key := range keys {
		from := l.full[key]
		if from.Before(now) {
			from = now
		}
		l.full[key] = from.Add(l.Refill)
	}
	if len(l.full) > maxKeys {
		l.forget(now)
	}
}

// Succeeded forgives the failures of a key.
func (l *Limiter) Succeeded(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.full, key)
}

// forget drops what is forgiven, and when that is not enough whatever comes
// first.
func (l *Limiter) forget(now time.Time) {
	for key, at := range l.full {
		if at.Before(now) {
			delete(l.full, key)
		}
	}
	for key := range l.full {
		if len(l.full) <= maxKeys {
			return
		}
		delete(l.full, key)
	}
}

// AddressKey is the key of whoever calls from an address: the address itself,
// and for IPv6 its network of 64 bits, which one subscriber has to itself.
func AddressKey(remote string) string {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	a := ap.Addr().Unmap()
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
