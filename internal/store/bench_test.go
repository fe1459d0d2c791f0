package store_test

import (
	"context"
	"fanfare/internal/pgtest"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// instant is a dispatcher whose calls all succeed at once.
type instant struct {
	s    *store.Store
	done sync.WaitGroup
}

func (*instant) Reserve(*webhook.Endpoint) bool { return true }
func (*instant) Release(webhook.ID, int)        {}
func (*instant) Waiting([]webhook.Delivery)     {}
func (*instant) Changed(webhook.ID)             {}

func (d *instant) Send(jobs []webhook.Job) {
	for _, j := range jobs {
		d.done.Add(1)
		go func() {
			r := &webhook.Record{Claim: j.Claim, Calls: 1}
			r.Application, r.DeliveryKey, r.Number = j.Application, j.DeliveryKey, 1
			r.URL, r.StartedAt, r.StatusCode, r.Ends = "https://example.com/", time.Now(), 204, webhook.Succeeded
			r.RequestHead, r.ResponseHead = []byte(strings.Repeat("x", 300)), []byte(strings.Repeat("x", 100))
			d.s.Record(r, func(err error) {
				if err != nil {
					panic(err)
				}
				d.done.Done()
			})
		}()
	}
}

// BenchmarkCycle is what storage alone costs: a message with its delivery is
// stored, and the delivery ends with an attempt. 64 producers wait for their
// commits.
func BenchmarkCycle(b *testing.B) {
	benchmarkCycle(b, func(*webhook.Message, int64) {})
}

// BenchmarkCycleOfSamples is the same with messages about samples of a dataset,
// whose names come in no order.
func BenchmarkCycleOfSamples(b *testing.B) {
	benchmarkCycle(b, func(m *webhook.Message, n int64) {
		m.Dataset, m.Subject = "jane/flowers", fmt.Sprintf("img_%08d.jpg", n*7919%10_000_019)
	})
}

func benchmarkCycle(b *testing.B, about func(m *webhook.Message, n int64)) {
	b.Helper()
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": pgtest.URL} {
		b.Run(name, func(b *testing.B) {
			s := storetest.Open(b, url(b))
			d := &instant{s: s}
			s.Attach(d)
			env, err := s.Environment(b.Context(), store.MainEnvironment)
			if err != nil {
				b.Fatal(err)
			}
			app, err := s.CreateApplication(b.Context(), webhook.Application{Environment: env, Name: "a"})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := s.CreateEndpoint(b.Context(), webhook.Endpoint{Application: app.ID, URL: "https://example.com/", Version: 1}); err != nil {
				b.Fatal(err)
			}
			payload := []byte(`{"a":"` + strings.Repeat("x", 590) + `"}`)
			var n atomic.Int64
			b.SetParallelism(32)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					m := &webhook.Message{Application: app.ID, EventType: "sample.created", Payload: payload}
					about(m, n.Add(1))
					if err := s.AddMessage(context.Background(), m); err != nil {
						b.Error(err)
					}
				}
			})
			d.done.Wait()
		})
	}
}

// BenchmarkIndexNames is what it costs for a message to come into the index of
// names, behind the hot path.
func BenchmarkIndexNames(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": pgtest.URL} {
		b.Run(name, func(b *testing.B) {
			s, err := store.Open(b.Context(), url(b), storetest.Sealer(b), storetest.Log(b), store.Config{IndexLag: -time.Hour})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			const most = 1000
			for first := 0; first < b.N; first += most {
				messages, attempts := make([]*webhook.Message, most), make([]webhook.Attempt, most)
				for i := range messages {
					sample := fmt.Sprintf("img_%08d.jpg", (first+i)*7919%10_000_019)
					messages[i] = &webhook.Message{
						Application: webhook.ID{1}, EventType: "sample.created", Dataset: "jane/flowers", Subject: sample, Payload: make([]byte, 600),
					}
				}
				if err := s.LoadHistory(b.Context(), messages, attempts); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			for range 2 {
				for more := true; more; {
					if more, err = s.IndexNames(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
