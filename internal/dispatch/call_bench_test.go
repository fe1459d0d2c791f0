package dispatch

import (
	"fanfare/internal/receivertest"
	"fanfare/internal/signature"
	"fanfare/internal/webhook"
	"strings"
	"testing"
	"time"
)

// BenchmarkCall makes signed calls to a receiver in the same process, 64 at a
// time.
func BenchmarkCall(b *testing.B) {
	r := receivertest.Start(b, receivertest.Quick)
	to := &webhook.Endpoint{URL: r.URL(false), Secrets: []webhook.Secret{{Key: signature.NewSecret()}}}
	caller := newCaller(b, 15*time.Second)
	job := aJob(`{"data":"` + strings.Repeat("x", 589) + `"}`)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if a, _ := caller.Call(b.Context(), to, job); a.Outcome != webhook.Delivered {
				b.Errorf("%+v", a)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}
