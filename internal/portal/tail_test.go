package portal

import (
	"fanfare/internal/webhook"
	"testing"
)

func TestNoApplicationTakesTheTailsOfOthers(t *testing.T) {
	var all tails
	begun := func(app byte) (n int) {
		for all.begin(webhook.ID{app}) {
			n++
		}
		return n
	}
	if n := begun(1); n != maxTailsOf {
		t.Errorf("the first has %d", n)
	}
	if n := begun(2); n != maxTailsOf {
		t.Errorf("beside it the second has %d", n)
	}
	all.end(webhook.ID{1})
	if n := begun(1); n != 1 {
		t.Errorf("one has ended, and %d more begin", n)
	}
	sum := 2 * maxTailsOf
	for app := byte(3); app < 100; app++ {
		sum += begun(app)
	}
	if sum != maxTails {
		t.Errorf("there are %d in all", sum)
	}
	for app := byte(1); app < 100; app++ {
		for all.of[webhook.ID{app}] > 0 {
			all.end(webhook.ID{app})
		}
	}
	if all.all != 0 || len(all.of) != 0 {
		t.Errorf("when all have ended there are %d of %d", all.all, len(all.of))
	}
}
