package webhook

import (
	"math"
	"time"
)

// Hour counts the calls made to an endpoint within an hour.
type Hour struct {
	// At is when the hour began.
	At time.Time
	// Succeeded and Failed count calls by whether they delivered, Canceled
	// deliveries that were given up.
	Succeeded, Failed, Canceled int64
	// Latency counts all of them by how long they took; see LatencyBucket.
	Latency [LatencyBuckets]int64
}

// LatencyBuckets is how many steps latencies are told apart by.
const LatencyBuckets = 40

// firstLatency is where the first bucket ends.
const firstLatency = 100 * time.Microsecond

// LatencyBucket is the bucket of a latency. Each ends at √2 times the end of the
// one before, the first at 0.1 ms, so that a percentile read from them is right
// to a factor of √2.
func LatencyBucket(d time.Duration) int {
	if d <= firstLatency {
		return 0
	}
	return min(int(math.Ceil(2*math.Log2(float64(d)/float64(firstLatency)))), LatencyBuckets-1)
}

// LatencyBound is where a bucket ends.
func LatencyBound(bucket int) time.Duration {
	return time.Duration(float64(firstLatency) * math.Exp2(float64(bucket)/2))
}

// Percentile is a latency that a share p of the calls, from 0 to 1, did not
// exceed, to the precision of the buckets; 0 when there were none.
func (h *Hour) Percentile(p float64) time.Duration {
	var total, seen int64
	for _, n := range h.Latency {
		total += n
	}
	for i, n := range h.Latency {
		seen += n
		if n > 0 && float64(seen) >= p*float64(total) {
			return LatencyBound(i)
		}
	}
	return 0
}
