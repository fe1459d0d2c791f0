package metrics_test

import (
	"fanfare/internal/metrics"
	"fanfare/internal/webhook"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// hand is a dispatcher with something in hand.
type hand struct{ calls, held int }

func (h hand) InFlight() (calls, held int) { return h.calls, h.held }

func scrape(t *testing.T, m *metrics.Metrics) []string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("answered %d: %s", w.Code, w.Body)
	}
	return strings.Split(w.Body.String(), "\n")
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("no line %q in:\n%s", line, strings.Join(got, "\n"))
		}
	}
}

func record(outcome webhook.Outcome, ends webhook.Status) *webhook.Record {
	return &webhook.Record{Attempt: webhook.Attempt{Outcome: outcome, Ends: ends, Timings: webhook.Timings{Total: 3 * time.Millisecond}}}
}

func TestAttemptsAreCountedByWhatCameOfThem(t *testing.T) {
	m := metrics.New("1", hand{calls: 3, held: 7})
	m.Recorded(record(webhook.Delivered, webhook.Succeeded))
	m.Recorded(record(webhook.Unreachable, webhook.Pending))
	m.Recorded(record(webhook.Unreachable, webhook.Failed))
	m.Recorded(record(webhook.NotSent, webhook.Canceled))
	wantLines(t, scrape(t, m),
		`fanfare_attempts_total{outcome="delivered"} 1`,
		`fanfare_attempts_total{outcome="unreachable"} 2`,
		`fanfare_attempts_total{outcome="not_sent"} 1`,
		`fanfare_deliveries_ended_total{status="succeeded"} 1`,
		`fanfare_deliveries_ended_total{status="failed"} 1`,
		`fanfare_deliveries_ended_total{status="canceled"} 1`,
		`fanfare_deliveries_failed_total{reason="unreachable"} 1`,
		`fanfare_deliveries_failed_total{reason="refused"} 0`,
		// What was not sent took no time.
		`fanfare_attempt_duration_seconds_count 3`,
		`fanfare_attempt_duration_seconds_bucket{le="0.0025"} 0`,
		`fanfare_attempt_duration_seconds_bucket{le="0.005"} 3`,
		`fanfare_calls_in_flight 3`,
		`fanfare_deliveries_held 7`,
	)
}

func TestCommitsAreCountedWithWhatTheyHeld(t *testing.T) {
	m := metrics.New("1", hand{})
	m.Committed(64, 40, 2*time.Millisecond)
	m.Committed(1, 0, time.Second)
	wantLines(t, scrape(t, m),
		`fanfare_messages_accepted_total 40`,
		`fanfare_commit_size_sum 65`,
		`fanfare_commit_size_bucket{le="1"} 1`,
		`fanfare_commit_duration_seconds_bucket{le="0.0025"} 1`,
		`fanfare_commit_duration_seconds_count 2`,
	)
}

func TestTheOldestDueGrowsOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New("1", hand{})
		m.Backlog(12, time.Now().Add(time.Minute))
		wantLines(t, scrape(t, m), `fanfare_deliveries_waiting 12`, `fanfare_oldest_due_seconds 0`)
		time.Sleep(90 * time.Second)
		wantLines(t, scrape(t, m), `fanfare_oldest_due_seconds 30`)
		m.Backlog(0, time.Time{})
		wantLines(t, scrape(t, m), `fanfare_deliveries_waiting 0`, `fanfare_oldest_due_seconds 0`)
	})
}

func TestNoSeriesIsAddedByWhatHappens(t *testing.T) {
	m := metrics.New("1", hand{})
	series := func() int {
		return len(slices.DeleteFunc(scrape(t, m), func(line string) bool { return !strings.HasPrefix(line, "fanfare_") }))
	}
	before := series()
	for outcome := webhook.Delivered; outcome <= webhook.NotSent+1; outcome++ {
		for ends := webhook.Pending; ends <= webhook.Canceled; ends++ {
			m.Recorded(record(outcome, ends))
		}
	}
	if after := series(); after != before {
		t.Errorf("%d series before, %d after", before, after)
	}
}

// What an attempt and its share of commits add to the hot path.
func BenchmarkRecorded(b *testing.B) {
	m := metrics.New("1", hand{})
	r := record(webhook.Delivered, webhook.Succeeded)
	for b.Loop() {
		m.Recorded(r)
	}
}

func BenchmarkCommitted(b *testing.B) {
	m := metrics.New("1", hand{})
	for b.Loop() {
		m.Committed(64, 32, time.Millisecond)
	}
}
