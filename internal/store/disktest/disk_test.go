package disktest_test

import (
	"database/sql"
	"fanfare/internal/store/disktest"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

// open opens a small database with a table of numbers.
func open(t testing.TB, d *disktest.Disk) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(d.URL(), "sqlite:")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE IF NOT EXISTS n (i INTEGER PRIMARY KEY, b BLOB)`); err != nil {
		t.Fatal(err)
	}
	return db
}

func add(t testing.TB, db *sql.DB, i int) error {
	_, err := db.ExecContext(t.Context(), `INSERT INTO n VALUES ($1, randomblob(3000))`, i)
	return err
}

func count(t testing.TB, db *sql.DB) (n int) {
	t.Helper()
	var sound string
	if err := db.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&sound); err != nil || sound != "ok" {
		t.Fatalf("the database is not sound: %q, %v", sound, err)
	}
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM n`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWhatIsCommittedOutlivesAStopAtEachOperation(t *testing.T) {
	for name, loss := range map[string]disktest.Loss{"killed": disktest.Killed, "power cut": disktest.PowerCut} {
		t.Run(name, func(t *testing.T) {
			for ops := range 60 {
				d := disktest.Temp(t)
				db := open(t, d)
				d.StopAfter(ops, loss, rand.New(rand.NewPCG(uint64(ops), 1)))
				done := 0
				for done < 100 && add(t, db, done) == nil {
					done++
				}
				image := d.Image()
				if image == nil {
					t.Fatalf("the disk did not stop after %d operations", ops)
				}
				if n := count(t, open(t, image.Temp(t))); n != done && n != done+1 {
					t.Errorf("stopped after %d operations: %d rows are left of %d that were committed", ops, n, done)
				}
			}
		})
	}
}

func TestWithoutSyncAPowerCutLosesCommits(t *testing.T) {
	lost := 0
	for seed := range uint64(20) {
		d := disktest.Temp(t)
		db := open(t, d)
		if _, err := db.ExecContext(t.Context(), `PRAGMA synchronous = OFF`); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if err := add(t, db, i); err != nil {
				t.Fatal(err)
			}
		}
		if n := count(t, open(t, d.Stop(disktest.PowerCut, rand.New(rand.NewPCG(seed, 1))).Temp(t))); n < 10 {
			lost++
		}
	}
	if lost == 0 {
		t.Error("the disk keeps what was never synced")
	}
}

func TestAFullDiskRefusesAndTakesAgain(t *testing.T) {
	d := disktest.Temp(t)
	db := open(t, d)
	if err := add(t, db, 1); err != nil {
		t.Fatal(err)
	}
	d.Full()
	if err := add(t, db, 2); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("on a full disk: %v", err)
	}
	if n := count(t, db); n != 1 {
		t.Errorf("%d rows", n)
	}
	d.SetRoom(-1)
	if err := add(t, db, 2); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestConnectionsShareADatabase(t *testing.T) {
	d := disktest.Temp(t)
	writer := open(t, d)
	errs := make(chan error, 4)
	for range 4 {
		go func() {
			reader := open(t, d)
			for range 50 {
				var n, most int
				if err := reader.QueryRowContext(t.Context(), `SELECT count(*), coalesce(max(i), -1) FROM n`).Scan(&n, &most); err != nil {
					errs <- err
					return
				}
				if n != most+1 {
					errs <- fmt.Errorf("%d rows up to %d", n, most)
					return
				}
			}
			errs <- nil
		}()
	}
	for i := range 200 {
		if err := add(t, writer, i); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
