package bench

import (
	"context"
	"time"
)

// round is what one measurement found.
type round struct {
	// Rate is in deliveries a second, from the first request to the last
	// receipt.
	Rate  float64
	sent  sent
	came  received
	cpu   map[string]time.Duration // by role, of all in the round
	peak  map[string]int64         // by role, so far
	calls int64                    // deliveries in the round
}

// patience is how long the receiver waits for something to come before it
// takes what is missing for lost.
const patience = 20 * time.Second

// side is one of those that are compared: what the producer sends to and the
// processes that work for it.
type side struct {
	name  string
	group string
	load  load
	at    []*process
	all   []round
}

// single compares one message a request, sent to one endpoint, with the relay.
func single(ctx context.Context, b *run) error {
	receiver, url, err := b.receive(ctx)
	if err != nil {
		return err
	}
	producer, err := b.start(roleProducer)
	if err != nil {
		return err
	}
	bare, err := b.relaySide(ctx, url, producer, receiver)
	if err != nil {
		return err
	}
	n, err := b.openNode(ctx, b.nodeConfig("single"), true)
	if err != nil {
		return err
	}
	messages, err := n.application(ctx, "single", b.secret, url+"/fanfare")
	if err != nil {
		return err
	}
	own := &side{
		name: "fanfare", group: "fanfare", at: []*process{producer, n.process, receiver},
		load: load{Address: n.address(), Paths: []string{messages}, Token: n.Token, Wrapped: true, Size: b.Size, InFlight: b.InFlight},
	}
	if err := b.compare(ctx, bare, own); err != nil {
		return err
	}
	b.ratio = median(own.all, rate) / median(bare.all, rate)
	return nil
}

// relaySide starts the bare relay.
func (b *run) relaySide(ctx context.Context, url string, producer, receiver *process) (*side, error) {
	r, err := b.start(roleRelay)
	if err != nil {
		return nil, err
	}
	var address string
	err = r.ask(ctx, "listen", relayArgs{To: url + "/relay", Secret: b.secret, InFlight: b.InFlight}, &address)
	return &side{
		name: "relay", group: "relay", at: []*process{producer, r, receiver},
		load: load{Address: address, Paths: []string{"/"}, Size: b.Size, InFlight: b.InFlight},
	}, err
}

// compare measures the sides in turn, after a round of each that does not
// count, and prints what it found.
func (b *run) compare(ctx context.Context, sides ...*side) error {
	for i := range b.Rounds + 1 {
		for _, s := range sides {
			length := b.Duration
			if i == 0 {
				length = min(length, time.Second)
			}
			b.out.progress("%s: round %d of %d", s.name, i, b.Rounds)
			r, err := b.measure(ctx, s, length)
			if err != nil {
				return err
			}
			if i > 0 {
				s.all = append(s.all, *r)
			}
		}
	}
	for _, s := range sides {
		b.out.side(s)
	}
	return nil
}

// measure is one round of a side.
func (b *run) measure(ctx context.Context, s *side, length time.Duration) (*round, error) {
	producer, receiver := s.at[0], s.at[len(s.at)-1]
	if err := receiver.ask(ctx, "reset", nil, nil); err != nil {
		return nil, err
	}
	before, err := usages(ctx, s.at)
	if err != nil {
		return nil, err
	}
	l := s.load
	l.First, l.For = b.next, length
	r := &round{cpu: map[string]time.Duration{}, peak: map[string]int64{}}
	if err := producer.ask(ctx, "send", l, &r.sent); err != nil {
		return nil, err
	}
	b.next += r.sent.Accepted
	var counts map[string]received
	err = receiver.ask(ctx, "await", awaitArgs{[]string{s.group}, r.sent.Accepted, patience}, &counts)
	if err != nil {
		return nil, err
	}
	after, err := usages(ctx, s.at)
	if err != nil {
		return nil, err
	}
	for i, p := range s.at {
		r.cpu[p.role], r.peak[p.role] = after[i].CPU-before[i].CPU, after[i].Peak
	}
	r.came = counts[s.group]
	r.calls = r.came.Events + r.came.Again
	r.Rate = float64(r.came.Events) / r.came.Last.Sub(r.sent.Began).Seconds()
	return r, r.came.verify(s.group, r.sent.Accepted)
}

func usages(ctx context.Context, all []*process) ([]usage, error) {
	found := make([]usage, len(all))
	for i, p := range all {
		var err error
		if found[i], err = p.usage(ctx); err != nil {
			return nil, err
		}
	}
	return found, nil
}
