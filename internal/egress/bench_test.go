package egress

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
	"testing"
)

// quickReceiver answers POST requests on keep-alive connections with as little
// work as possible, so that a benchmark measures the sender.
func quickReceiver(b *testing.B) (url string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answerQuickly(c)
		}
	}()
	return "http://" + l.Addr().String() + "/hook"
}

func answerQuickly(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\nContent-Length: 2\r\n\r\nok")
	for {
		length := 0
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
				length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
			}
			if len(line) == 2 {
				break
			}
		}
		if _, err := in.Discard(length); err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// BenchmarkClient compares the client with net/http's transport under the same
// watch: a POST of 600 bytes with the usual fields, 64 at a time over loopback.
func BenchmarkClient(b *testing.B) {
	for name, do := range map[string]func(context.Context, *Client, *Request) (*Response, error){
		"ours": func(ctx context.Context, c *Client, req *Request) (*Response, error) { return c.Do(ctx, req) },
		"nethttp": func(ctx context.Context, c *Client, req *Request) (*Response, error) {
			return c.ThroughNetHTTP(ctx, req)
		},
	} {
		b.Run(name, func(b *testing.B) {
			to, err := ParseTarget(quickReceiver(b))
			if err != nil {
				b.Fatal(err)
			}
			c := New(Config{Allow: loopback})
			defer c.Close()
			id, signature := "msg_01jdf9zzzzzzzzzzzzzzzzzzzz", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
			req := &Request{Method: http.MethodPost, To: to, Body: bytes.Repeat([]byte("x"), 600), Header: []Field{
				{"Accept", "*/*"}, {"Content-Type", "application/json"}, {"User-Agent", "Fanfare/1.2.3"},
				{"Webhook-Id", id}, {"Webhook-Timestamp", "1614265330"}, {"Webhook-Signature", signature},
				{"Svix-Id", id}, {"Svix-Timestamp", "1614265330"}, {"Svix-Signature", signature},
			}}
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if res, err := do(ctx, c, req); err != nil || res.StatusCode != http.StatusOK || string(res.Body) != "ok" {
						b.Errorf("%+v, %v", res, err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}
