package store

import (
	"errors"
	"fanfare/internal/pgtest"
	"fanfare/internal/webhook"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"
)

// TestALostConnectionRunsNothingAgain ends the connection in the midst of a
// batch: what may have been committed is not run again in halves, since a
// message would be stored twice.
func TestALostConnectionRunsNothingAgain(t *testing.T) {
	s := open(t, pgtest.URL(t), Config{})
	runs := 0
	count := func(t *tx) error {
		runs++
		return t.createEnvironment("other")
	}
	die := func(t *tx) error {
		err := t.conn.Raw(func(c any) error { return c.(*stdlib.Conn).Conn().PgConn().Conn().Close() })
		if err == nil {
			_, err = t.exec(`SELECT 1`)
		}
		return err
	}
	w := &writer{s: s}
	answers, err := w.run([]work{{unit: count}, {unit: die}})
	if err != nil || len(answers) != 2 || !errors.Is(answers[0], webhook.ErrUnavailable) || !errors.Is(answers[1], webhook.ErrUnavailable) {
		t.Errorf("%v, %v: want each answered as unavailable", answers, err)
	}
	if answers, err := w.run([]work{{unit: count}}); err != nil || answers[0] != nil || runs != 2 {
		t.Errorf("%v, %v after %d runs: want a new connection, and 2 runs", answers, err, runs)
	}
	w.disconnect()
}
