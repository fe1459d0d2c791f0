package store

import (
	"math"
	"sync"
	"time"
)

// pace says when the next piece of what comes in bulk may be committed. Those who
// come alone share more than the committer with it: reading it, sending it and
// recording that it was sent take processor time as well. So bulk gets as much of
// the committer's time as leaves what one of a hundred of their waits exceeds
// within twice of what it is without bulk, and all of it while nobody comes alone.
type pace struct {
	mu sync.Mutex
	// share is how much of a committer's time bulk may take: 1 is all. It has grown
	// until then, fast until one who comes alone has waited too long, which makes
	// it cautious.
	share    float64
	grown    time.Time
	cautious bool
	// usual is what one of a hundred waits exceeds while there is no bulk, learned
	// from so many waits.
	usual time.Duration
	from  int
	// next is when bulk may go on; bulk and alone are when either was last
	// committed.
	next, bulk, alone time.Time
}

const (
	// leastShare is what bulk gets in any case: an import goes on.
	leastShare = 1. / 16
	// shortWait is what one who comes alone may wait in any case: where hardly
	// anybody waits, twice of it is no burden.
	shortWait = 3 * time.Millisecond
	// paceWhile is for how long what was seen last counts.
	paceWhile = time.Second
	// paceFor is how long bulk waits for others at most: requests have an end.
	paceFor = 5 * time.Second
	// A value that becomes so much more each time it was exceeded, and so much
	// less each time it was not, stands still where one of a hundred exceeds it.
	more, less = 1.1, 0.999
	// A share doubles in fast until it has been too much, and in slow from then
	// on: where few come alone, they shall not hold an import up for long.
	fast, slow = 100 * time.Millisecond, 10 * time.Second
	// enough waits are learned from before there is more than the least of bulk.
	enough = 200
)

// after is when a piece that waits since a time may go.
func (p *pace) after(since, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch last := since.Add(paceFor); {
	case now.Sub(p.alone) > paceWhile:
		return now
	case last.Before(p.next):
		return last
	default:
		return p.next
	}
}

// spent tells that bulk took so much of a committer's time until now.
func (p *pace) spent(took time.Duration, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bulk = now
	if now.Sub(p.alone) > paceWhile {
		return
	}
	double := fast
	if p.cautious {
		double = slow
	}
	p.share = min(1, p.share*math.Exp2(float64(now.Sub(p.grown))/float64(double)))
	p.grown = now
	if began := now.Add(-took); p.next.Before(began) {
		p.next = began
	}
	p.next = p.next.Add(time.Duration(float64(took) / p.share))
}

// waited tells for how long one who came alone has waited until now.
func (p *pace) waited(d time.Duration, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	quiet := now.Sub(p.bulk) > paceWhile || p.from < enough
	if quiet || now.Sub(p.alone) > paceWhile {
		p.share, p.grown, p.cautious = leastShare, now, false
	}
	p.alone = now
	if quiet {
		p.from++
	}
	switch {
	case quiet && d > p.usual:
		p.usual = time.Duration(float64(max(p.usual, shortWait/16)) * more)
	case quiet:
		p.usual = time.Duration(float64(p.usual) * less)
	case d > max(shortWait, 2*p.usual):
		p.share, p.cautious = max(leastShare, p.share/more), true
	default:
		p.share = min(1, p.share/less)
	}
}
