package bench

import (
	"math"
	"math/bits"
	"time"
)

// A histogram counts durations in buckets of one sixteenth of a power of two,
// so that a percentile is off by at most some 6 % however many are counted.
type histogram struct {
	Counts map[int]int64 `json:"counts"`
	Max    time.Duration `json:"max"`
}

const bucketBits = 4

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 1))
	shift := max(0, bits.Len64(v)-1-bucketBits)
	return shift<<bucketBits + int(v>>shift) //nolint:gosec // below 1,024
}

// top is the largest duration of a bucket.
func top(bucket int) time.Duration {
	shift := max(0, bucket>>bucketBits-1)
	return time.Duration((bucket-shift<<bucketBits+1)<<shift - 1)
}

// buckets is the count of a histogram while it is being made.
type buckets struct {
	counts [64 << bucketBits]int64
	max    time.Duration
}

func (b *buckets) add(d time.Duration) {
	b.counts[bucketOf(d)]++
	b.max = max(b.max, d)
}

func (b *buckets) histogram() histogram {
	h := histogram{Counts: map[int]int64{}, Max: b.max}
	for i, n := range b.counts {
		if n > 0 {
			h.Counts[i] = n
		}
	}
	return h
}

// merge adds what another has counted.
func (h *histogram) merge(other histogram) {
	if h.Counts == nil {
		h.Counts = map[int]int64{}
	}
	for i, n := range other.Counts {
		h.Counts[i] += n
	}
	h.Max = max(h.Max, other.Max)
}

// quantile is the duration that a share q of the counted does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	var all int64
	for _, n := range h.Counts {
		all += n
	}
	want := int64(math.Ceil(q * float64(all)))
	var seen int64
	for i := range 64 << bucketBits {
		if seen += h.Counts[i]; seen >= want && seen > 0 {
			return min(top(i), h.Max)
		}
	}
	return 0
}
