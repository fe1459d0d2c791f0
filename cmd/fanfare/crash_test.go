package main

import (
	"fanfare/internal/pgtest"
	"fanfare/internal/store/storetest"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// quickRetries are settings under which a test sees the end of every delivery.
// What a dead node had claimed on PostgreSQL comes free after two timeouts and
// 30 s.
var quickRetries = []string{"-retry-schedule", "100ms,200ms,400ms,800ms,2s,5s,5s,5s,5s,5s,5s", "-request-timeout", "1s"}

// loaded starts a node with clients at work, if onDisk on a disk that can fail.
func loaded(t *testing.T, url string, onDisk bool) (*installation, *receiver, *load) {
	t.Helper()
	in := install(t, url, []string{"jane"}, quickRetries...)
	words := strings.Fields(run(t, "", in.with("token", "create")...))
	r := newReceiver(t)
	if onDisk {
		in.disk = filepath.Dir(strings.TrimPrefix(url, "sqlite:"))
	}
	in.start()
	in.endpoint("jane", r)
	in.must("jane", http.MethodPost, "/user/datasets/", `{"name":"flowers"}`)
	return in, r, begin(in, words[len(words)-1])
}

// times is how often something is done: few times by default, and many with
// `make crash`.
func times(t *testing.T, few int) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv("FANFARE_CRASHES")); err == nil {
		return n
	}
	return few
}

// chance lets the clients work for a while that nobody can foresee.
func (l *load) chance() { l.rest(time.Duration(rand.Int64N(int64(150 * time.Millisecond)))) }

// TestKillingTheNodeLosesNothing kills the node again and again, at moments
// that chance picks, while clients send events and change samples. Then it
// accounts for everything: what was accepted is there and has arrived; what is
// there has one event; and what arrived twice is the same message with the same
// bytes, and a node had died in between.
func TestKillingTheNodeLosesNothing(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		t.Parallel()
		in, r, l := loaded(t, url, false)
		for range times(t, 10) {
			l.reached(t, l.accepted()+10)
			l.chance()
			l.dies(in.kill)
			in.start()
		}
		l.reached(t, l.accepted()+10)
		l.end()
		l.account(t, r)
	})
}

// TestCuttingThePowerLosesNothing does the same with a disk that loses, in part
// or whole, what was not synced.
func TestCuttingThePowerLosesNothing(t *testing.T) {
	t.Parallel()
	in, r, l := loaded(t, storetest.SQLite(t), true)
	for range times(t, 8) {
		l.reached(t, l.accepted()+10)
		l.chance()
		l.dies(in.cutPower)
		in.start()
	}
	l.reached(t, l.accepted()+10)
	l.end()
	l.account(t, r)
}

// TestAFullDiskRefusesAndRecovers fills the disk under load: what cannot be
// stored is refused with 503 and Retry-After and leaves nothing behind, and all
// goes on when there is room again.
func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	t.Parallel()
	in, r, l := loaded(t, storetest.SQLite(t), true)
	for range times(t, 3) {
		l.reached(t, l.accepted()+10)
		in.toggleFull()
		refused := func() int {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.statuses[http.StatusServiceUnavailable]
		}
		for before, end := refused(), time.Now().Add(patience); refused() < before+10; {
			if time.Now().After(end) {
				t.Fatalf("a full disk refuses nothing: answers %v", l.statuses)
			}
			l.rest(5 * time.Millisecond)
		}
		l.chance()
		in.toggleFull()
	}
	l.reached(t, l.accepted()+10)
	l.end()
	l.account(t, r)
	l.onlyRefused(t)
}

// TestSIGTERMDrainsAndExitsWithZero stops the node under load: it exits with 0,
// and nothing is lost or comes twice.
func TestSIGTERMDrainsAndExitsWithZero(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		t.Parallel()
		in, r, l := loaded(t, url, false)
		for range times(t, 4) {
			l.reached(t, l.accepted()+10)
			l.chance()
			if code := in.terminate(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			in.start()
		}
		l.reached(t, l.accepted()+10)
		l.end()
		l.account(t, r) // no death explains anything here
	})
}

// TestKillingPostgreSQLLosesNothing kills the database server under a node that
// goes on, and starts it again.
func TestKillingPostgreSQLLosesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.Own(t)
	in, r, l := loaded(t, db.URL, false)
	l.outages = true
	for range times(t, 3) {
		l.reached(t, l.accepted()+10)
		l.chance()
		db.Kill(t)
		l.rest(100 * time.Millisecond)
		db.Start(t)
	}
	l.reached(t, l.accepted()+10)
	l.end()
	l.account(t, r)
	l.onlyRefused(t)
	if code := in.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestASecondNodeOnTheSameFileIsRefusedClearly(t *testing.T) {
	t.Parallel()
	in := install(t, storetest.SQLite(t), nil)
	in.start()
	out, err := fanfare(t.Context(), in.with("serve", "-listen", "127.0.0.1:0")...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use by another fanfare process") {
		t.Errorf("%v: %s", err, out)
	}
	// Commands beside it work.
	run(t, "", in.with("account", "create", "acme", "-org")...)
}
