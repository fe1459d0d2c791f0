// Package metrics counts what a node does, for Prometheus. No label takes
// values without a bound: none names a customer, an endpoint or a path.
package metrics

import (
	"fanfare/internal/webhook"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// outcomes name the outcomes of attempts, in the words of the log.
var outcomes = map[webhook.Outcome]string{
	webhook.Delivered: "delivered", webhook.Refused: "refused", webhook.Gone: "gone", webhook.Busy: "busy",
	webhook.TimedOut: "timed_out", webhook.Unreachable: "unreachable", webhook.Blocked: "blocked", webhook.NotSent: "not_sent",
}

// Metrics are the counts of one node. They may be added to from many goroutines.
type Metrics struct {
	registry *prometheus.Registry

	accepted prometheus.Counter
	// Looked up once, so that an attempt costs an addition and no more.
	attempts map[webhook.Outcome]prometheus.Counter
	ended    map[webhook.Status]prometheus.Counter
	failed   map[webhook.Outcome]prometheus.Counter
	took     prometheus.Histogram
	batch    prometheus.Histogram
	commit   prometheus.Histogram

	waiting   atomic.Int64
	oldestDue atomic.Int64 // in microseconds since 1970; 0 for none
}

// Sending is what a dispatcher has in hand.
type Sending interface {
	// InFlight is how many calls are being made, and how many deliveries are
	// held for a call.
	InFlight() (calls, held int)
}

// New makes the metrics of a node of this version.
func New(version string, sending Sending) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		attempts: map[webhook.Outcome]prometheus.Counter{}, ended: map[webhook.Status]prometheus.Counter{},
		failed: map[webhook.Outcome]prometheus.Counter{},
	}
	m.accepted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "fanfare_messages_accepted_total", Help: "Messages that this node has stored.",
	})
	m.took = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "fanfare_attempt_duration_seconds", Help: "How long calls to endpoints took, whatever came of them.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30},
	})
	m.batch = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "fanfare_commit_size", Help: "How many pieces of work shared one commit.",
		Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512},
	})
	m.commit = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "fanfare_commit_duration_seconds", Help: "How long transactions that write took, until they were durable.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
	})
	attempts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fanfare_attempts_total", Help: "Attempts that this node has recorded, by what came of them.",
	}, []string{"outcome"})
	ended := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fanfare_deliveries_ended_total", Help: "Deliveries that ended with an attempt of this node, by how.",
	}, []string{"status"})
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fanfare_deliveries_failed_total", Help: "Deliveries that failed for good, by what came of the last attempt.",
	}, []string{"reason"})
	for outcome, name := range outcomes {
		m.attempts[outcome] = attempts.WithLabelValues(name)
		if outcome != webhook.Delivered {
			m.failed[outcome] = failed.WithLabelValues(name)
		}
	}
	for _, status := range []webhook.Status{webhook.Succeeded, webhook.Failed, webhook.Canceled} {
		m.ended[status] = ended.WithLabelValues(status.String())
	}
	m.registry.MustRegister(m.accepted, m.took, m.batch, m.commit, attempts, ended, failed,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.gauges(version, sending)
	return m
}

// gauges are what is as it is when somebody looks.
func (m *Metrics) gauges(version string, sending Sending) {
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
	}
	gauge("fanfare_build_info", "1, with the version of this node.", prometheus.Labels{"version": version}, func() float64 { return 1 })
	gauge("fanfare_calls_in_flight", "Calls that this node is making.", nil, func() float64 {
		calls, _ := sending.InFlight()
		return float64(calls)
	})
	gauge("fanfare_deliveries_held", "Deliveries that this node holds in memory, the calls in flight included.", nil, func() float64 {
		_, held := sending.InFlight()
		return float64(held)
	})
	gauge("fanfare_deliveries_waiting", "Deliveries in the database that no node holds, due or not, counted now and then.", nil, func() float64 {
		return float64(m.waiting.Load())
	})
	gauge("fanfare_oldest_due_seconds", "For how long the oldest delivery that is due and that no node holds has been due; 0 when none is.", nil,
		func() float64 {
			due := m.oldestDue.Load()
			if due == 0 {
				return 0
			}
			return max(0, time.Since(time.UnixMicro(due)).Seconds())
		})
}

// Recorded counts an attempt that was stored.
func (m *Metrics) Recorded(r *webhook.Record) {
	if c := m.attempts[r.Outcome]; c != nil {
		c.Inc()
	}
	if r.Outcome != webhook.NotSent {
		m.took.Observe(r.Timings.Total.Seconds())
	}
	if c := m.ended[r.Ends]; c != nil {
		c.Inc()
	}
	if c := m.failed[r.Outcome]; r.Ends == webhook.Failed && c != nil {
		c.Inc()
	}
}

// Committed counts a transaction: how many pieces of work it held, how many
// messages it stored, and how long it took.
func (m *Metrics) Committed(work, messages int, took time.Duration) {
	m.accepted.Add(float64(messages))
	m.batch.Observe(float64(work))
	m.commit.Observe(took.Seconds())
}

// Backlog notes how many deliveries wait, and since when the first is due; the
// zero time is none.
func (m *Metrics) Backlog(waiting int64, oldestDue time.Time) {
	m.waiting.Store(waiting)
	if oldestDue.IsZero() {
		m.oldestDue.Store(0)
	} else {
		m.oldestDue.Store(oldestDue.UnixMicro())
	}
}

// scrapes is how many may look at a time.
const scrapes = 4

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: scrapes, Timeout: 10 * time.Second})
}
