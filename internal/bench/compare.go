package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// patience is how long the receiver waits for something to come before it
// takes what is missing for lost.
const patience = 20 * time.Second

// side is one of those that are compared.
type side struct {
	name string
	// send sends events, the first of them with this number, for so long.
	send func(ctx context.Context, first int64, length time.Duration) (*sent, error)
	// groups are where each event arrives, and at who works for it, the
	// receiver last.
	groups []string
	at     []*process

	rounds []*round
}

// round is what was found in one.
type round struct {
	sent
	// rate is in deliveries a second, from the first request to the last
	// receipt.
	rate      float64
	calls     int64
	again     int64
	delays    histogram
	cpu, peak []int64 // of each at work: nanoseconds, bytes
	// others is how many processors were busy with something else.
	others float64
}

// compare measures the sides in turn, after a short round of each that does not
// count, and reports what it found.
func (b *run) compare(ctx context.Context, sides ...*side) error {
	for i := range b.Rounds + 1 {
		for _, s := range sides {
			length := b.Duration
			if i == 0 {
				length = min(length, time.Second)
			}
			b.report.progress("%s: round %d of %d", s.name, i, b.Rounds)
			stop, err := b.profile(ctx, s, i)
			if err != nil {
				return err
			}
			r, err := b.measure(ctx, s, length)
			if err != nil {
				return err
			}
			if err := stop(); err != nil {
				return err
			}
			if i > 0 {
				s.rounds = append(s.rounds, r)
			}
		}
	}
	for _, s := range sides {
		b.report.result(s.result())
	}
	return nil
}

// measure is one round of a side.
func (b *run) measure(ctx context.Context, s *side, length time.Duration) (*round, error) {
	receiver := s.at[len(s.at)-1]
	if err := receiver.ask(ctx, "reset", nil, nil); err != nil {
		return nil, err
	}
	before, err := usages(ctx, s.at)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	busyBefore, _ := busy()
	sent, err := s.send(ctx, b.next, length)
	if err != nil {
		return nil, err
	}
	b.next += sent.Accepted
	var counts map[string]received
	if err := receiver.ask(ctx, "await", awaitArgs{s.groups, sent.Accepted, patience}, &counts); err != nil {
		return nil, err
	}
	after, err := usages(ctx, s.at)
	if err != nil {
		return nil, err
	}
	r := &round{sent: *sent}
	busyAfter, known := busy()
	others := busyAfter - busyBefore
	for i := range s.at {
		others -= after[i].CPU - before[i].CPU
		r.cpu, r.peak = append(r.cpu, int64(after[i].CPU-before[i].CPU)), append(r.peak, after[i].Peak)
	}
	if known {
		r.others = max(0, others.Seconds()/time.Since(began).Seconds())
	}
	last := sent.Began
	for _, group := range s.groups {
		c := counts[group]
		if err := c.verify(group, sent.Accepted); err != nil {
			return nil, err
		}
		r.calls, r.again = r.calls+c.Events, r.again+c.Again
		r.delays.merge(c.Delays)
		if c.Last.After(last) {
			last = c.Last
		}
	}
	if r.calls == 0 {
		return nil, fmt.Errorf("%s: no event was sent", s.name)
	}
	r.rate = float64(r.calls) / last.Sub(sent.Began).Seconds()
	return r, nil
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

// per is how many deliveries processor time is told for.
const per = 10_000

func (s *side) result() *result {
	v := &result{Name: s.name, CPU: map[string]time.Duration{}, Peak: map[string]int64{}}
	var accepted []float64
	var delays histogram
	for _, r := range s.rounds {
		v.Rounds = append(v.Rounds, r.rate)
		accepted = append(accepted, float64(r.Accepted)/r.Ended.Sub(r.Began).Seconds())
		v.Duplicates += r.again
		v.Others = max(v.Others, r.others)
		delays.merge(r.delays)
	}
	for i, p := range s.at {
		var cpu []time.Duration
		for _, r := range s.rounds {
			cpu = append(cpu, time.Duration(r.cpu[i]*per/r.calls))
			v.Peak[p.role] = r.peak[i]
		}
		v.CPU[p.role] = medianOf(cpu)
	}
	v.Rate, v.Accepted = medianOf(v.Rounds), medianOf(accepted)
	v.P50, v.P99 = delays.quantile(0.5), delays.quantile(0.99)
	return v
}

// cost is the processor time of all at work for 10,000 deliveries.
func (s *side) cost() (all time.Duration) {
	for _, cpu := range s.result().CPU {
		all += cpu
	}
	return all
}

// rate is the median of the rounds, in deliveries a second.
func (s *side) rate() float64 { return s.result().Rate }

// profile writes down where the first round that counts spends its processor
// time, if that is asked for: a file for each process but the producer and the
// receiver.
func (b *run) profile(ctx context.Context, s *side, round int) (stop func() error, err error) {
	var profiled []*process
	for _, p := range s.at {
		if b.Profiles == "" || round != 1 || p.role == roleProducer || p.role == roleReceiver {
			continue
		}
		part := b.report.Sections[len(b.report.Sections)-1].Name
		path := filepath.Join(b.Profiles, part+"-"+s.name+"-"+p.role+".pprof")
		if err := p.ask(ctx, "profile", path, nil); err != nil {
			return nil, err
		}
		profiled = append(profiled, p)
	}
	return func() error {
		for _, p := range profiled {
			if err := p.ask(ctx, "profile", "", nil); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
