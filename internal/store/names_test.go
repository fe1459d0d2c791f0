package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// openNames opens a store with an index of names whose slices are small, and
// which has every message as soon as it is there.
func openNames(t *testing.T, url string, cfg store.Config) *store.Store {
	t.Helper()
	cfg.NameSlice, cfg.IndexLag = 7, -time.Hour
	s, err := store.Open(t.Context(), url, storetest.Sealer(t), storetest.Log(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func application(t *testing.T, s *store.Store, name string) webhook.ID {
	t.Helper()
	environment, err := s.Environment(t.Context(), store.MainEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	app, err := s.CreateApplication(t.Context(), webhook.Application{Environment: environment, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return app.ID
}

// index fills the index of names as far as it goes. On PostgreSQL the first look
// only notes which transactions are under way.
func index(t interface {
	Context() context.Context
	Fatal(args ...any)
}, s *store.Store, looks int,
) {
	for range looks {
		for more := true; more; {
			var err error
			if more, err = s.IndexNames(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

var (
	someDatasets = []string{"", "jane/flowers", "jane/trees", "jane/tr"}
	someSamples  = []string{
		"", "a", "ab", "abc", "ab\U0010FFFFc", "ab\uD7FFz", "ab\uE000a", "é", "éa", "É", "a%", "a_b", "rose-1.png", "rose-2.png", "rose-10.png",
	}
	someTypes    = []string{"sample.created", "sample.deleted"}
	somePayloads = []string{`{"a":"Rose"}`, `{"a":"ÉTÉ"}`, `{"a":"straße"}`, `{}`}
)

// TestASearchFindsWhatIsThere compares pages of searches with a list of all that
// was stored, while the index of names covers more or less of it.
func TestASearchFindsWhatIsThere(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		// The ids of another node lag behind: some fall into slices that are there.
		slow := openNames(t, url, store.Config{MaxScan: 5})
		began := time.Now()
		s := openNames(t, url, store.Config{MaxScan: 5})
		rapid.Check(t, func(r *rapid.T) {
			app := application(t, s, "a")
			var all []webhook.Message
			for range rapid.IntRange(1, 6).Draw(r, "batches") {
				node, at := s, time.Time{}
				if rapid.IntRange(0, 3).Draw(r, "late") == 0 {
					node, at = slow, began
				}
				var messages []*webhook.Message
				for range rapid.IntRange(1, 12).Draw(r, "messages") {
					messages = append(messages, &webhook.Message{
						Application: app, CreatedAt: at, EventType: rapid.SampledFrom(someTypes).Draw(r, "type"),
						Dataset: rapid.SampledFrom(someDatasets).Draw(r, "dataset"), Subject: rapid.SampledFrom(someSamples).Draw(r, "sample"),
						Payload: []byte(rapid.SampledFrom(somePayloads).Draw(r, "payload")),
					})
				}
				if err := node.LoadHistory(t.Context(), messages, make([]webhook.Attempt, len(messages))); err != nil {
					r.Fatal(err)
				}
				for _, m := range messages {
					all = append(all, *m)
				}
				index(r, s, rapid.IntRange(0, 2).Draw(r, "looks"))
			}
			slices.SortFunc(all, func(a, b webhook.Message) int { return bytes.Compare(a.ID[:], b.ID[:]) })
			for range 5 {
				compareSearch(r, s, app, all)
			}
		})
	})
}

// compareSearch follows a search from page to page.
func compareSearch(r *rapid.T, s *store.Store, app webhook.ID, all []webhook.Message) {
	q := store.Search{
		EventType: rapid.SampledFrom([]string{"", "", someTypes[0], "none"}).Draw(r, "of type"),
		Dataset:   rapid.SampledFrom(append(someDatasets, "none", "jane/\x00", "\xff")).Draw(r, "of dataset"),
		Sample:    rapid.SampledFrom(append(someSamples, "r", "ab\U0010FFFF", "ab\uD7FF", "none", "\x00", "\xff")).Draw(r, "of sample"),
		Text:      rapid.SampledFrom([]string{"", "", "ROSE", "été", "STRASSE", "Straße"}).Draw(r, "text"),
	}
	p := store.Page{Limit: rapid.IntRange(1, 8).Draw(r, "limit"), Ascending: rapid.Bool().Draw(r, "ascending")}
	bound := func(name string) (id webhook.ID) {
		if rapid.Bool().Draw(r, name) {
			id = rapid.SampledFrom(all).Draw(r, name).ID
		}
		return id
	}
	p.After, p.Before = bound("after"), bound("before")
	var want []webhook.ID
	for _, m := range all {
		if bytes.Compare(m.ID[:], p.After[:]) > 0 && (p.Before.IsZero() || bytes.Compare(m.ID[:], p.Before[:]) < 0) && fits(&q, &m) {
			want = append(want, m.ID)
		}
	}
	if !p.Ascending {
		slices.Reverse(want)
	}
	var got []webhook.ID
	for {
		found, err := s.SearchMessages(r.Context(), app, q, p)
		if err != nil {
			r.Fatal(err)
		}
		for _, m := range found.Rows {
			if got = append(got, m.ID); m.Payload == nil {
				r.Error("a message without its payload")
			}
		}
		end := found.Stopped
		switch {
		case len(found.Rows) > p.Limit, len(found.Rows) == p.Limit && !found.Stopped.IsZero():
			r.Fatalf("%d rows on a page of %d, stopped at %v", len(found.Rows), p.Limit, found.Stopped)
		case len(found.Rows) == p.Limit:
			end = got[len(got)-1]
		}
		if end.IsZero() {
			break
		}
		if p.Ascending {
			p.After = end
		} else {
			p.Before = end
		}
	}
	if !slices.Equal(got, want) {
		r.Fatalf("found %d, want %d: %+v, %+v", len(got), len(want), q, p)
	}
}

func fits(q *store.Search, m *webhook.Message) bool {
	return (q.EventType == "" || q.EventType == m.EventType) && (q.Dataset == "" || q.Dataset == m.Dataset) &&
		strings.HasPrefix(m.Subject, q.Sample) && strings.Contains(strings.ToLower(string(m.Payload)), strings.ToLower(q.Text))
}

// rowsOf counts the rows of a table.
func rowsOf(t *testing.T, url, table string) (n int) {
	t.Helper()
	driver, source := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path
	}
	db, err := sql.Open(driver, source)
	if err == nil {
		defer db.Close()
		err = db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNamesGoWithTheMessagesOfTheirApplication(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := openNames(t, url, store.Config{})
		f := newFixture(t, s)
		brief, err := s.CreateApplication(t.Context(), webhook.Application{
			Environment: f.app.Environment, Name: "brief", MessageRetention: time.Microsecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 14 {
			m := &webhook.Message{Application: []webhook.ID{f.app.ID, brief.ID}[i%2], Dataset: "jane/flowers", Payload: []byte("{}")}
			if err := s.AddMessage(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		index(t, s, 2)
		// Ids tell times to the millisecond: all that was made so far is to be of
		// an earlier one.
		for made := time.Now().UnixMilli(); time.Now().Add(-time.Microsecond).UnixMilli() <= made; {
		}
		for more := true; more; {
			if more, err = s.RemoveOldOfApplications(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := rowsOf(t, url, "message_name"); n != 2 {
			t.Errorf("%d rows are left in the index, want those of the other application, one for each slice", n)
		}
	})
}

func TestNamesGoWithTheirMessages(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := openNames(t, url, store.Config{MessageRetention: -time.Hour, AttemptRetention: -time.Hour})
		f := newFixture(t, s)
		f.endpoint(t, nil)
		kept := f.happened(t, "jane/flowers", "kept", "sample.created") // and not delivered yet
		for i := range 30 {
			messages := []*webhook.Message{{Application: f.app.ID, Dataset: "jane/flowers", Subject: fmt.Sprint("sample ", i), Payload: []byte("{}")}}
			if err := f.LoadHistory(t.Context(), messages, make([]webhook.Attempt, 1)); err != nil {
				t.Fatal(err)
			}
		}
		index(t, s, 2)
		for what, want := range map[string]int{"message_slice": 4, "message_name": 4 + 28} {
			if n := rowsOf(t, url, what); n != want {
				t.Errorf("%s has %d rows, want %d", what, n, want)
			}
		}
		for _, remove := range []func() (bool, error){
			func() (bool, error) { return s.RemoveOld(t.Context()) }, func() (bool, error) { return s.RemoveOldNames(t.Context()) },
		} {
			for more := true; more; {
				var err error
				if more, err = remove(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := rowsOf(t, url, "message_slice"); n != 1 {
			t.Errorf("%d slices are left, want that of what is still to be delivered", n)
		}
		found, err := s.SearchMessages(t.Context(), f.app.ID, store.Search{Dataset: "jane/flowers"}, store.Page{Limit: 50})
		if err != nil || len(found.Rows) != 1 || found.Rows[0].ID != kept.ID {
			t.Errorf("found %+v, %v; want what is still to be delivered", found, err)
		}
		f.happened(t, "jane/flowers", "new", "sample.created")
		index(t, s, 2)
		if found, err = s.SearchMessages(t.Context(), f.app.ID, store.Search{Sample: "new"}, store.Page{Limit: 50}); err != nil || len(found.Rows) != 1 {
			t.Errorf("found %+v, %v; want what came afterwards", found, err)
		}
	})
}
