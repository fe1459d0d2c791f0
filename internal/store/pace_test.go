package store

import (
	"math/rand/v2"
	"testing"
	"time"
)

// paced is a node on which somebody comes alone every millisecond and waits as
// long as wait says, which may depend on how much of the time goes to bulk.
type paced struct {
	pace
	now  time.Time
	dice *rand.Rand
	wait func(share, exp float64) time.Duration
}

func newPaced(seed uint64, wait func(share, exp float64) time.Duration) *paced {
	return &paced{now: time.Unix(1, 0), dice: rand.New(rand.NewPCG(seed, 0)), wait: wait}
}

// run has so many come alone, and reports how many waited for more than long, and
// how much of the time went to bulk, of which there is always more when there is
// any.
func (p *paced) run(n int, bulk bool, long time.Duration) (longer int, share float64) {
	began, queued, total := p.now, p.now, time.Duration(0)
	for range n {
		p.now = p.now.Add(time.Millisecond)
		used := 0.
		if bulk {
			const piece = time.Millisecond
			if !p.after(queued, p.now).After(p.now) {
				p.spent(piece, p.now)
				total += piece
				queued = p.now
			}
			used = p.share
		}
		d := p.wait(used, p.dice.ExpFloat64())
		if d > long {
			longer++
		}
		p.waited(d, p.now)
	}
	return longer, float64(total) / float64(p.now.Sub(began))
}

// TestBulkGoesAsFastAsThoseWhoComeAloneAllow has nodes of several kinds learn
// what is usual, and then take an import in.
func TestBulkGoesAsFastAsThoseWhoComeAloneAllow(t *testing.T) {
	const ms = float64(time.Millisecond)
	for name, c := range map[string]struct {
		// wait is the mean wait at a share.
		mean        func(share float64) float64
		least, most float64 // share of the time that bulk gets
		longer      float64 // of those who come alone wait more than twice what one of a hundred exceeds without bulk
	}{
		// Exponential waits: one of a hundred exceeds 4.6 times the mean.
		"where bulk costs others little, it gets all": {
			func(share float64) float64 { return ms * (1 + share/2) }, 0.9, 1, 0.003,
		},
		"where it costs them, as much as leaves their waits within twice": {
			func(share float64) float64 { return ms * (1 + 4*share) }, 0.15, 0.35, 0.02,
		},
		"where a slow disk makes all wait, it gets all": {
			func(share float64) float64 { return 50 * ms }, 0.9, 1, 0.003,
		},
		"where hardly anybody waits, it gets all": {
			func(share float64) float64 { return ms / 10 * (1 + 3*share) }, 0.9, 1, 1,
		},
		"where anything is too much, it goes on": {
			func(share float64) float64 { return ms * (1 + 1000*share) }, 0.05, 0.07, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				p := newPaced(seed, func(share, exp float64) time.Duration { return time.Duration(c.mean(share) * exp) })
				usual := time.Duration(4.6 * c.mean(0))
				p.run(20_000, false, 0)
				if p.usual < usual/2 || p.usual > 2*usual {
					t.Errorf("usual: %v, is %v", p.usual, usual)
				}
				longer, share := p.run(50_000, true, 2*usual)
				if share < c.least || share > c.most {
					t.Errorf("bulk got %.3f of the time, want %v to %v", share, c.least, c.most)
				}
				if float64(longer) > 50_000*c.longer {
					t.Errorf("%d of 50,000 waited long, want %v at most", longer, c.longer)
				}
			}
		})
	}
}

// TestANodeThatStartsBesideAnImportLearnsWhatIsUsual has a slow disk make all
// wait, and never a moment without bulk.
func TestANodeThatStartsBesideAnImportLearnsWhatIsUsual(t *testing.T) {
	p := newPaced(0, func(_, exp float64) time.Duration { return time.Duration(exp * float64(50*time.Millisecond)) })
	if _, share := p.run(20_000, true, 0); share < 0.9 {
		t.Errorf("bulk got %.3f of the time; those who come alone wait no less without it", share)
	}
}

// TestBulkWaitsForNobodyWhoIsNotThere lets bulk go at once while nobody comes
// alone, slowly once somebody does, and never wait longer than a request may.
func TestBulkWaitsForNobodyWhoIsNotThere(t *testing.T) {
	var p pace
	at := time.Unix(1, 0)
	for range 10 {
		at = at.Add(100 * time.Millisecond)
		if next := p.after(at, at); !next.Equal(at) {
			t.Fatalf("with nobody there the next may go %v later", next.Sub(at))
		}
		p.spent(100*time.Millisecond, at)
	}
	p.waited(time.Millisecond, at)
	p.spent(time.Second, at)
	if wait := p.after(at, at).Sub(at); wait != paceFor {
		t.Errorf("what has just come waits for %v, want %v", wait, paceFor)
	}
	if wait := p.after(at.Add(-paceFor), at).Sub(at); wait > 0 {
		t.Errorf("what has waited as long as it may waits for %v more", wait)
	}
	at = at.Add(paceWhile + 1)
	if wait := p.after(at, at).Sub(at); wait > 0 {
		t.Errorf("once they are gone it waits for %v", wait)
	}
}
