package webhook_test

import (
	"fanfare/internal/webhook"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestALatencyLiesInItsBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(60*time.Second)).Draw(t, "latency"))
		b := webhook.LatencyBucket(d)
		if end := webhook.LatencyBound(b); d > end+end/1000 && b < webhook.LatencyBuckets-1 {
			t.Fatalf("%v is beyond bucket %d, which ends at %v", d, b, end)
		}
		if b > 0 {
			if start := webhook.LatencyBound(b - 1); d < start-start/1000 {
				t.Fatalf("%v is before bucket %d, which starts at %v", d, b, start)
			}
		}
	})
}

func TestAPercentileOfNothingIsZero(t *testing.T) {
	if p := (&webhook.Hour{}).Percentile(0.99); p != 0 {
		t.Errorf("got %v", p)
	}
}
