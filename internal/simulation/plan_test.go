package simulation_test

import (
	"fanfare/internal/dispatch"
	"fanfare/internal/webhook"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// plan is everything a seed decides beforehand. Leaving out steps leaves the
// others as they were, which is how a failing plan is made smaller.
type plan struct {
	seed     uint64
	schedule webhook.Schedule
	limits   dispatch.Limits
	timeout  time.Duration
	drain    time.Duration
	sweep    time.Duration
	lease    time.Duration
	// nodes is how many run side by side on one database. With more than one,
	// a node loses its claims when its lease ends.
	nodes     int
	endpoints int
	steps     []step
}

// step is one thing that happens from outside.
type step struct {
	number int
	at     time.Duration
	what   action
	dice   uint64
}

type action string

const (
	sendOne     action = "send"
	sendSeveral action = "send several"
	sendBatch   action = "send a batch"
	change      action = "change"     // something in the registry
	stall       action = "stall"      // the committer, so that the next units meet in one transaction
	disable     action = "disable"    // an endpoint
	enable      action = "enable"     // an endpoint
	narrow      action = "narrow"     // what an endpoint wants
	pause       action = "pause"      // an endpoint
	resume      action = "resume"     // an endpoint, at a rate
	remove      action = "remove"     // an endpoint
	add         action = "add"        // an endpoint
	resend      action = "resend"     // a message
	expunge     action = "expunge"    // a payload
	weather     action = "weather"    // how a receiver answers from now on
	kill        action = "kill"       // a node, now
	fuse        action = "fuse"       // the disk stops in the midst of a commit
	powerCut    action = "power cut"  // now
	powerFuse   action = "power fuse" // in the midst of a commit
	restart     action = "restart"    // a node, with a drain
	fullDisk    action = "full disk"  // for a while
)

// chances are how often each action comes, out of their sum.
var chances = []struct {
	what    action
	one     int // with one node
	several int
}{
	{sendOne, 30, 40},
	{sendSeveral, 16, 16},
	{sendBatch, 6, 6},
	{change, 6, 6},
	{stall, 6, 0},
	{disable, 2, 2},
	{enable, 3, 3},
	{narrow, 2, 2},
	{pause, 2, 2},
	{resume, 3, 3},
	{remove, 1, 1},
	{add, 2, 2},
	{resend, 5, 5},
	{expunge, 1, 1},
	{weather, 12, 12},
	{kill, 3, 5},
	{fuse, 5, 0},
	{powerCut, 1, 0},
	{powerFuse, 2, 0},
	{restart, 3, 3},
	{fullDisk, 2, 0},
}

func newPlan(seed uint64) plan {
	dice := rand.New(rand.NewPCG(seed, 0x5eed))
	p := plan{
		seed: seed,
		limits: dispatch.Limits{
			Calls: 1 + dice.IntN(12), CallsPerEndpoint: 1 + dice.IntN(4), Held: 1 + dice.IntN(24),
			Bytes: 100 << dice.IntN(10), Claims: 1 + dice.IntN(3),
		},
		timeout: time.Duration(1+dice.IntN(15)) * time.Second,
		sweep:   time.Duration(1+dice.IntN(4)) * time.Minute,
		nodes:   1, endpoints: 1 + dice.IntN(3),
	}
	p.limits.YoungCalls = dice.IntN(1 + p.limits.Calls)
	p.drain = p.timeout / time.Duration(1+dice.IntN(3))
	p.lease = 2*p.timeout + 30*time.Second
	if dice.IntN(4) == 0 {
		p.nodes = 2 + dice.IntN(2)
		p.sweep = 15 * time.Second
	} else if dice.IntN(2) == 0 {
		// One node is told of everything: it needs no search.
		p.sweep = 1000 * time.Hour
	}
	for range dice.IntN(4) {
		p.schedule = append(p.schedule, time.Duration(500+dice.IntN(60_000))*time.Millisecond)
	}
	p.steps = p.draw(dice)
	return p
}

func (p plan) draw(dice *rand.Rand) (steps []step) {
	sum := 0
	weight := func(i int) int {
		if p.nodes > 1 {
			return chances[i].several
		}
		return chances[i].one
	}
	for i := range chances {
		sum += weight(i)
	}
	at := time.Duration(0)
	for number := range 10 + dice.IntN(30) {
		at += time.Duration(dice.Int64N(int64(50*time.Millisecond) << dice.IntN(10)))
		n, i := dice.IntN(sum), 0
		for n >= weight(i) {
			n -= weight(i)
			i++
		}
		steps = append(steps, step{number, at, chances[i].what, dice.Uint64()})
	}
	return steps
}

// without leaves out the steps from i to j.
func (p plan) without(i, j int) plan {
	p.steps = slices.Concat(p.steps[:i], p.steps[j:])
	return p
}

func (p plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "schedule %v, limits %+v, timeout %v, drain %v, sweep %v, %d nodes, %d endpoints\n",
		p.schedule, p.limits, p.timeout, p.drain, p.sweep, p.nodes, p.endpoints)
	for _, s := range p.steps {
		fmt.Fprintf(&b, "  %2d at %v: %s\n", s.number, s.at, s.what)
	}
	return b.String()
}

// diceFor are the dice of one thing, which fall the same whenever it happens.
func (p plan) diceFor(what ...any) *rand.Rand {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, what...)
	return rand.New(rand.NewPCG(p.seed, h.Sum64()))
}
