package bench

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// crowd is a node with many customers: most of them well, one tenth that never
// answer, one tenth that refuse, and one that gets an import.
type crowd struct {
	node *remote
	// healthy, bad and imports are the paths for their messages.
	healthy, bad, imports []string
}

func (b *run) crowd(ctx context.Context, w *world) (*crowd, error) {
	n, err := b.openNode(ctx)
	if err != nil {
		return nil, err
	}
	c := &crowd{node: n}
	tenth := b.Endpoints / 10
	for i := range b.Endpoints {
		b.report.progress("endpoint %d of %d", i+1, b.Endpoints)
		url, list := fmt.Sprintf("%s/healthy/%d", w.url, i), &c.healthy
		switch {
		case i < tenth:
			url, list = fmt.Sprintf("%s/hang/%d", w.url, i), &c.bad
		case i < 2*tenth:
			url, list = fmt.Sprintf("%s/refuse/%d", refusing, i), &c.bad
		case i == 2*tenth:
			url, list = w.url+"/import", &c.imports
		}
		messages, err := n.application(ctx, fmt.Sprintf("customer %d", i), b.secret, url)
		if err != nil {
			return nil, err
		}
		*list = append(*list, messages)
	}
	return c, nil
}

// refusing is where nobody listens.
const refusing = "http://127.0.0.1:1"

// fair compares how the healthy customers of a node fare alone and beside the
// bad ones.
func fair(ctx context.Context, b *run) error {
	w, err := b.world(ctx)
	if err != nil {
		return err
	}
	quiet, err := b.crowd(ctx, w)
	if err != nil {
		return err
	}
	loud, err := b.crowd(ctx, w)
	if err != nil {
		return err
	}
	var others []*process
	for range 2 {
		p, err := b.start(roleProducer)
		if err != nil {
			return err
		}
		others = append(others, p)
	}
	healthy := func(name string, c *crowd) *side {
		l := b.load(c.node, c.healthy...)
		l.Rate = b.FairRate
		return &side{name: name, groups: []string{"healthy"}, at: []*process{w.producer, c.node.process, w.receiver}, send: w.sends(l)}
	}
	alone, beside := healthy("alone", quiet), healthy("beside bad ones", loud)
	imports := &importing{}
	for i := range b.Rounds + 1 {
		b.report.progress("round %d of %d", i, b.Rounds)
		r, err := b.measure(ctx, alone, b.Duration)
		if err != nil {
			return err
		}
		alone.rounds = append(alone.rounds, r)
		if r, err = b.disturbed(ctx, beside, loud, others, imports); err != nil {
			return err
		}
		beside.rounds = append(beside.rounds, r)
	}
	// The first round of each warms connections up.
	alone.rounds, beside.rounds = alone.rounds[1:], beside.rounds[1:]
	one, other := alone.result(), beside.result()
	b.report.result(one)
	b.report.result(other)
	b.report.figure(other.Rate/one.Rate, "", "rate of the healthy beside bad ones to their rate alone")
	b.report.figure(float64(other.P99)/float64(one.P99), "", "p99 of the healthy beside bad ones to their p99 alone")
	b.report.figure(float64(imports.events)/imports.took.Seconds(), "/s", "deliveries of the import meanwhile and after")
	return nil
}

// importing is what has come of the imports.
type importing struct {
	events int64
	took   time.Duration
}

// disturbed is a round of the healthy while the bad ones get as much each, and
// one customer an import. It ends when the import has arrived.
func (b *run) disturbed(ctx context.Context, s *side, c *crowd, others []*process, all *importing) (*round, error) {
	bad := b.load(c.node, c.bad...)
	bad.Rate, bad.For, bad.First = b.FairRate*float64(len(c.bad))/float64(len(c.healthy)), b.Duration, b.next
	batches := b.load(c.node, c.imports[0]+batchPath)
	batches.Rate = b.ImportRate / float64(b.Batch)
	batches.Batch, batches.InFlight, batches.First, batches.Count, batches.For = b.Batch, 2, b.next, int64(b.Import), b.Duration
	var imported sent
	group, together := errgroup.WithContext(ctx)
	group.Go(func() error { return others[0].ask(together, "send", bad, nil) })
	group.Go(func() error { return others[1].ask(together, "send", batches, &imported) })
	r, err := b.measure(ctx, s, b.Duration)
	if err != nil {
		return nil, err
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	b.next += imported.Accepted
	var counts map[string]received
	args := awaitArgs{[]string{"import"}, imported.Accepted, patience}
	if err := s.at[len(s.at)-1].ask(ctx, "await", args, &counts); err != nil {
		return nil, err
	}
	came := counts["import"]
	all.events, all.took = all.events+came.Events, all.took+came.Last.Sub(imported.Began)
	return r, came.verify("import", imported.Accepted)
}
