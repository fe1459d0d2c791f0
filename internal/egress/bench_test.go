package egress_test

import (
	"context"
	"fanfare/internal/egress"
	"fanfare/internal/receivertest"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkClient compares the client with net/http's transport under the same
// watch: a POST of 600 bytes with the usual fields, 64 at a time over loopback.
// Processor time is that of both sides, and steadier than the rate where other
// programs run.
func BenchmarkClient(b *testing.B) {
	type way = func(*egress.Client, context.Context, *egress.Request) (*egress.Response, error)
	for name, do := range map[string]way{"ours": (*egress.Client).Do, "nethttp": (*egress.Client).ThroughNetHTTP} {
		b.Run(name, func(b *testing.B) {
			c := client(b, time.Minute)
			id, signature := "msg_01jdf9zzzzzzzzzzzzzzzzzzzz", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
			req := request(b, receivertest.Start(b, receivertest.Quick).URL(false), strings.Repeat("x", 600))
			req.Header = []egress.Field{
				{Name: "Accept", Value: "*/*"},
				{Name: "Content-Type", Value: "application/json"},
				{Name: "User-Agent", Value: "Fanfare/1.2.3"},
				{Name: "Webhook-Id", Value: id},
				{Name: "Webhook-Timestamp", Value: "1614265330"},
				{Name: "Webhook-Signature", Value: signature},
				{Name: "Svix-Id", Value: id},
				{Name: "Svix-Timestamp", Value: "1614265330"},
				{Name: "Svix-Signature", Value: signature},
			}
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			b.ReportAllocs()
			b.SetParallelism(32)
			b.ResetTimer()
			before := processorTime()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if res, err := do(c, ctx, req); err != nil || res.StatusCode != http.StatusOK || string(res.Body) != "ok" {
						b.Errorf("%+v, %v", res, err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
			b.ReportMetric(float64((processorTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
