package simulation_test

import (
	"bytes"
	"fanfare/internal/auth"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	oneSeed = flag.Uint64("seed", 0, "the one seed to simulate, with its log; also FANFARE_SEED")
	seeds   = flag.Uint64("seeds", 0, "how many seeds to simulate; also FANFARE_SEEDS")
)

// fromEnvironment reads a number that a flag can give as well.
func fromEnvironment(given uint64, name string, otherwise uint64) uint64 {
	if given > 0 {
		return given
	}
	if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return otherwise
}

// few is how many seeds a plain run of the tests simulates, and times how many
// of them twice; `make simulate` does thousands.
func few() (seeds, twice uint64) {
	if raced {
		return 10, 2
	}
	return 100, 5
}

func theSealer() *auth.Sealer {
	s, err := auth.NewSealer(bytes.Repeat([]byte{7}, auth.KeySize))
	if err != nil {
		panic(err)
	}
	return s
}

// result is what came of a run.
type result struct {
	log, problems []string
	tally         tally
}

func simulate(t *testing.T, p plan) (r result) {
	t.Helper()
	dir := t.TempDir()
	if _, err := blank(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, p, dir)
		w.run()
		for _, n := range w.nodes {
			if !n.died.IsZero() {
				w.tally.crashes++
			} else if n.leaving.Load() {
				w.tally.drains++
			}
		}
		w.tally.messages = len(w.messages)
		r = result{w.log, w.problems, w.tally}
	})
	return r
}

// TestNothingIsLostWhateverHappens runs many small worlds. A seed that fails is
// run again with fewer and fewer steps, and the shortest run that still fails
// is shown.
func TestNothingIsLostWhateverHappens(t *testing.T) {
	if seed := fromEnvironment(*oneSeed, "FANFARE_SEED", 0); seed > 0 {
		r := simulate(t, newPlan(seed))
		t.Logf("seed %d: %v%s", seed, newPlan(seed), strings.Join(r.log, "\n"))
		if len(r.problems) > 0 {
			t.Errorf("seed %d:\n%s", seed, strings.Join(r.problems, "\n"))
		}
		return
	}
	n, _ := few()
	n = fromEnvironment(*seeds, "FANFARE_SEEDS", n)
	results := make(chan tally, n)
	began := time.Now()
	t.Run("seed", func(t *testing.T) {
		for seed := range n {
			t.Run(strconv.FormatUint(seed+1, 10), func(t *testing.T) {
				t.Parallel()
				p := newPlan(seed + 1)
				r := simulate(t, p)
				results <- r.tally
				if len(r.problems) > 0 {
					report(t, p)
				}
			})
		}
	})
	close(results)
	var sum tally
	for r := range results {
		sum.messages += r.messages
		sum.deliveries += r.deliveries
		sum.calls += r.calls
		sum.crashes += r.crashes
		sum.drains += r.drains
		sum.again += r.again
	}
	t.Logf("%d seeds in %v: %d messages, %d deliveries, %d calls, %d crashes, %d drains; %d calls were made again, each after a death or a lost lease",
		n, time.Since(began).Round(time.Second), sum.messages, sum.deliveries, sum.calls, sum.crashes, sum.drains, sum.again)
}

// report shows the smallest run of a failing plan.
func report(t *testing.T, p plan) {
	t.Helper()
	p, r := shrink(t, p)
	t.Errorf("seed %d breaks a promise (repeat with FANFARE_SEED=%d or -seed %d):\n%s\n\nThe shortest run that shows it:\n%s\n%s",
		p.seed, p.seed, p.seed, strings.Join(r.problems, "\n"), p, strings.Join(r.log, "\n"))
}

// shrink leaves out steps for as long as the run fails without them.
func shrink(t *testing.T, p plan) (plan, result) {
	t.Helper()
	worst := simulate(t, p)
	for size := len(p.steps) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(p.steps); {
			if r := simulate(t, p.without(at, at+size)); len(r.problems) > 0 {
				p, worst = p.without(at, at+size), r
			} else {
				at += size
			}
		}
	}
	return p, worst
}

func TestASeedRepeatsItself(t *testing.T) {
	t.Parallel()
	_, twice := few()
	for seed := range twice {
		t.Run(fmt.Sprint(seed+1), func(t *testing.T) {
			t.Parallel()
			first, second := simulate(t, newPlan(seed+1)), simulate(t, newPlan(seed+1))
			// What happens in one instant may be told in any order.
			slices.Sort(first.log)
			slices.Sort(second.log)
			if diff := cmp.Diff(first.log, second.log); diff != "" {
				t.Error(diff)
			}
		})
	}
}
