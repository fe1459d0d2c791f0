package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// load is what a producer is to send.
type load struct {
	// Address is where to, "host:port", and Paths are asked in turn.
	Address string   `json:"address"`
	Paths   []string `json:"paths"`
	// Token is the bearer token; empty for none.
	Token string `json:"token"`
	// Wrapped sends messages of the sender's API, rather than bare payloads.
	Wrapped bool `json:"wrapped"`
	// Batch is how many events go into one request; 0 for a request that is
	// one event.
	Batch int `json:"batch"`
	// Size is that of a payload, in bytes.
	Size int `json:"size"`
	// First is the number of the first event. They are counted from there.
	First int64 `json:"first"`
	// Count ends the load after so many events, For after so much time;
	// whichever is given.
	Count int64         `json:"count"`
	For   time.Duration `json:"for"`
	// Rate is how many requests are begun in a second; 0 for as many as the
	// other side takes.
	Rate float64 `json:"rate"`
	// InFlight is how many requests are under way at a time.
	InFlight int `json:"inFlight"`
}

// sent is what came of a load.
type sent struct {
	// Accepted are the events that were answered with a 2xx, Refused the
	// requests that were told to come again later, and did.
	Accepted int64 `json:"accepted"`
	Refused  int64 `json:"refused"`
	// Began is when the first request was sent, Ended when the last answer
	// came.
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
	// Answers is how long answers took.
	Answers histogram `json:"answers"`
}

// producer is the process that sends a load.
type producer struct{}

func (*producer) do(ctx context.Context, what string, args json.RawMessage) (any, error) {
	if what != "send" {
		return nil, fmt.Errorf("a producer cannot %q", what)
	}
	var l load
	if err := json.Unmarshal(args, &l); err != nil {
		return nil, err
	}
	return l.send(ctx)
}

func (*producer) close() {}

// sending is a load under way.
type sending struct {
	load
	next    atomic.Int64 // the number of the next request
	refused atomic.Int64
	began   time.Time
	until   time.Time
}

// send sends a load over as many connections as there may be requests in
// flight.
func (l *load) send(ctx context.Context) (*sent, error) {
	s := &sending{load: *l, began: time.Now()}
	if l.For > 0 {
		s.until = s.began.Add(l.For)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts := make([]part, l.InFlight)
	var connections sync.WaitGroup
	for i := range parts {
		connections.Go(func() {
			if err := s.connection(ctx, &parts[i]); err != nil {
				cancel(err)
			}
		})
	}
	connections.Wait()
	out := &sent{Began: s.began, Ended: s.began, Refused: s.refused.Load()}
	for i := range parts {
		out.Accepted += parts[i].accepted
		out.Answers.merge(parts[i].answers.histogram())
		if parts[i].ended.After(out.Ended) {
			out.Ended = parts[i].ended
		}
	}
	return out, context.Cause(ctx)
}

// part is what one connection has sent.
type part struct {
	accepted int64
	answers  buckets
	ended    time.Time
}

// connection sends one request after another.
func (s *sending) connection(ctx context.Context, p *part) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return err
	}
	defer conn.Close()                                          //nolint:errcheck // nothing is under way
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // wakes who waits for an answer
	answers := newWireReader(conn)
	texts := map[string][]byte{}
	for {
		n := s.next.Add(1) - 1
		at, more := s.wait(ctx, n)
		if !more {
			return nil
		}
		path := s.Paths[n%int64(len(s.Paths))]
		text := texts[path]
		if text == nil {
			text = s.text(path)
			texts[path] = text
		}
		s.stamp(text, at, n)
		for try := 0; ; try++ {
			if _, err := conn.Write(text); err != nil {
				return fmt.Errorf("send: %w", err)
			}
			answer, err := answers.read()
			if err != nil {
				return fmt.Errorf("answer: %w", err)
			}
			status := statusOf(answer.head)
			if status/100 == 2 {
				break
			}
			if status != http.StatusServiceUnavailable {
				return fmt.Errorf("answered %d: %s", status, answer.body)
			}
			s.refused.Add(1)
			if err := later(ctx, answer.head); err != nil {
				return err
			}
		}
		p.ended = time.Now()
		p.answers.add(p.ended.Sub(at))
		p.accepted += int64(max(1, s.Batch))
	}
}

// later waits for as long as the answer asks.
func later(ctx context.Context, head []byte) error {
	value, _ := headerValue(head, []byte("retry-after:"))
	seconds, _ := strconv.ParseFloat(string(value), 64)
	select {
	case <-time.After(max(10*time.Millisecond, time.Duration(seconds*float64(time.Second)))):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// wait waits until request n is to be sent and returns the time that counts as
// that: its place in the plan when the other side has kept it from being sent
// in time.
func (s *sending) wait(ctx context.Context, n int64) (at time.Time, more bool) {
	if s.Count > 0 && n*int64(max(1, s.Batch)) >= s.Count {
		return at, false
	}
	at = time.Now()
	if s.Rate > 0 {
		planned := s.began.Add(time.Duration(float64(n) / s.Rate * float64(time.Second)))
		if wait := planned.Sub(at); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return at, false
			}
			at = time.Now()
		} else {
			at = planned
		}
	}
	return at, ctx.Err() == nil && (s.until.IsZero() || at.Before(s.until))
}

// text is a whole request, its events not yet stamped.
func (s *sending) text(path string) []byte {
	var body bytes.Buffer
	event := payload(s.Size)
	if s.Wrapped {
		event = fmt.Appendf(nil, `{"eventType":%q,"payload":%s}`, eventType, event)
	}
	if s.Batch == 0 {
		body.Write(event)
	} else {
		body.WriteString(`{"messages":[`)
		for i := range s.Batch {
			if i > 0 {
				body.WriteByte(',')
			}
			body.Write(event)
		}
		body.WriteString(`]}`)
	}
	authorization := ""
	if s.Token != "" {
		authorization = "Authorization: Bearer " + s.Token + "\r\n"
	}
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		path, s.Address, authorization, body.Len())
	return append([]byte(head), body.Bytes()...)
}

// stamp writes into each event of a request when it is sent and its number.
func (s *sending) stamp(text []byte, at time.Time, n int64) {
	each := int64(max(1, s.Batch))
	for i := range each {
		text = text[bytes.Index(text, []byte(atName)):]
		stamp(text, at, s.First+n*each+i)
		text = text[len(atName):]
	}
}
