package store_test

import (
	"bytes"
	"database/sql"
	"fanfare/internal/store"
	"fanfare/internal/store/disktest"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// calls makes attempts for new messages, at endpoints in no order.
func (f *fixture) calls(t *testing.T, n int) {
	t.Helper()
	for range n {
		f.sent = nil
		f.message(t)
		for _, j := range f.sent {
			f.record(t, j, func(r *webhook.Record) {
				r.Ends, r.Timings.Total = webhook.Succeeded, time.Duration(rand.IntN(200))*time.Millisecond
			})
		}
	}
}

// checkLists compares what is listed for the endpoints, and counted, with the
// attempts of all messages; so many of each endpoint are gone that were counted.
func (f *fixture) checkLists(t *testing.T, what string, endpoints []*webhook.Endpoint, gone int64) {
	t.Helper()
	all := store.Page{Limit: 100_000, Ascending: true}
	messages, err := f.Messages(t.Context(), f.app.ID, store.MessageFilter{}, all)
	if err != nil {
		t.Fatal(err)
	}
	want := map[webhook.ID][]webhook.ID{}
	for i := range messages {
		attempts, err := f.AttemptsOfMessage(t.Context(), f.app.ID, messages[i].ID, store.AttemptFilter{}, all)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range attempts {
			want[a.Endpoint] = append(want[a.Endpoint], a.ID)
		}
	}
	for _, e := range endpoints {
		hours, err := f.EndpointHours(t.Context(), e.ID, time.Now().Add(-2*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		counted := int64(0)
		for _, h := range hours {
			counted += h.Succeeded + h.Failed + h.Canceled
		}
		listed, err := f.AttemptsOfEndpoint(t.Context(), f.app.ID, e.ID, store.AttemptFilter{}, all)
		if err != nil {
			t.Fatal(err)
		}
		ids := make([]webhook.ID, len(listed))
		for i, a := range listed {
			ids[i] = a.ID
		}
		slices.SortFunc(want[e.ID], func(a, b webhook.ID) int { return bytes.Compare(a[:], b[:]) })
		if !slices.Equal(ids, want[e.ID]) || counted != int64(len(ids))+gone {
			t.Errorf("%s: endpoint %s has %d attempts, %d are listed and %d counted", what, e.URL, len(want[e.ID]), len(ids), counted)
		}
	}
}

func (f *fixture) several(t *testing.T, n int) (endpoints []*webhook.Endpoint) {
	t.Helper()
	for i := range n {
		endpoints = append(endpoints, f.endpoint(t, func(e *webhook.Endpoint) { e.URL = fmt.Sprintf("https://example.com/%d", i) }))
	}
	return endpoints
}

// TestListsAreWholeThoughTheyAreWrittenLater has the process die, or the power
// go, with attempts that are listed and others that are not.
func TestListsAreWholeThoughTheyAreWrittenLater(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	d := disktest.Temp(t)
	s := storetest.Open(t, d.URL())
	f := newFixture(t, s)
	endpoints := f.several(t, 3)
	for _, loss := range []disktest.Loss{disktest.Killed, disktest.PowerCut, disktest.Killed} {
		f.calls(t, 400) // more than are listed at once
		f.checkLists(t, "before", endpoints, 0)
		f.calls(t, 20)
		image := d.Stop(loss, dice)
		s.Close()
		d = image.Temp(t)
		s = storetest.Open(t, d.URL())
		f.Store = s
		s.Attach(f.recorder)
		f.checkLists(t, "after", endpoints, 0)
	}
}

// TestListsSurviveThatPlacesChange has rows get other places while attempts are
// not listed, as happens when a database is written out and read in again: some
// of the oldest are gone, and what is left moves up.
func TestListsSurviveThatPlacesChange(t *testing.T) {
	url := storetest.SQLite(t)
	f := newFixture(t, storetest.Open(t, url))
	endpoints := f.several(t, 2)
	f.calls(t, 30)
	f.checkLists(t, "before", endpoints, 0)
	f.calls(t, 10)
	f.Close()
	db, err := sql.Open("sqlite", url[len("sqlite:"):])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{`DELETE FROM attempt WHERE rowid <= 24`, `UPDATE attempt SET rowid = rowid - 24`} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	f.Store = storetest.Open(t, url)
	f.checkLists(t, "after", endpoints, 12)
}

// TestListsGoOnWhenAllThatWasListedIsGone has new attempts take the places of old
// ones in the table.
func TestListsGoOnWhenAllThatWasListedIsGone(t *testing.T) {
	s, err := store.Open(t.Context(), storetest.SQLite(t), storetest.Sealer(t), storetest.Log(t),
		store.Config{Exclusive: true, MessageRetention: -time.Hour, AttemptRetention: -time.Hour}) // all is old
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	f := newFixture(t, s)
	endpoints := f.several(t, 2)
	f.calls(t, 30)
	f.checkLists(t, "before", endpoints, 0)
	for more := true; more; {
		if more, err = s.RemoveOld(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f.calls(t, 10)
	f.checkLists(t, "after", endpoints, 0) // counts are gone as well
}
