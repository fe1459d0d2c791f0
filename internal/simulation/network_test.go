package simulation_test

import (
	"context"
	"fanfare/internal/webhook"
	"fmt"
	"math/rand/v2"
	"time"
)

// network is the receivers, and what they have seen.
type network struct {
	w *world
	// weather is how each endpoint answers.
	weather map[int]weatherKind
	calls   []*call
	// healed receivers answer, and do so with success.
	healed bool
	// skewed are the times at which the clock of a node differed from the last
	// one's.
	skewed []time.Time
}

// call is one call as the receiver and the node saw it.
type call struct {
	number   int
	node     *node
	key      webhook.DeliveryKey
	endpoint int
	id, body string
	claimed  int64
	start    time.Time
	// told is when the node learned the outcome; zero when it was cut short,
	// or has not ended.
	told       time.Time
	short      bool
	outcome    webhook.Outcome
	retryAfter time.Duration
	// arrived says that the receiver has done its work.
	arrived bool
	// record is what the node asked the store to keep, asked and kept when.
	record      *webhook.Record
	asked, kept time.Time
	// disables is what a 410 does to the endpoint once it is recorded.
	disables *configChange
	// stored says that the attempt was found in the end.
	stored bool
	// ended says that its record ended the delivery.
	ended bool
}

func (c *call) String() string {
	return fmt.Sprintf("call %d of node %d", c.number, c.node.number)
}

type weatherKind int

const (
	fair     weatherKind = iota // success, at once
	slow                        // success, late or too late
	broken                      // 500, sometimes with Retry-After
	busy                        // 429 or 503 with Retry-After
	hanging                     // no answer in time
	refusing                    // no connection
	torn                        // the receiver has done its work, and its answer is cut
	mixed                       // any of these
	gone                        // 410
)

var weatherNames = map[weatherKind]string{
	fair: "fair", slow: "slow", broken: "broken", busy: "busy", hanging: "hanging", refusing: "refusing", torn: "torn",
	mixed: "mixed", gone: "gone",
}

func drawWeather(dice *rand.Rand) weatherKind {
	if dice.IntN(12) == 0 {
		return gone
	}
	return weatherKind(dice.IntN(int(gone)))
}

// answer is what a receiver does with a call.
type answer struct {
	outcome    webhook.Outcome
	code       int
	retryAfter time.Duration
	took       time.Duration
	arrived    bool
}

func (n *network) answer(endpoint int, dice *rand.Rand) answer {
	timeout := n.w.plan.timeout
	kind := n.weather[endpoint]
	if n.healed {
		kind = fair
	}
	if kind == mixed {
		kind = weatherKind(dice.IntN(int(mixed)))
	}
	quick := time.Duration(dice.Int64N(int64(80 * time.Millisecond)))
	switch kind {
	case slow:
		if took := time.Duration(dice.Int64N(int64(timeout) * 3 / 2)); took < timeout {
			return answer{webhook.Delivered, 200, -1, took, true}
		}
		return answer{webhook.TimedOut, 0, -1, timeout + quick, true}
	case broken:
		if dice.IntN(3) == 0 {
			return answer{webhook.Refused, 500, time.Duration(dice.IntN(300)) * time.Second, quick, true}
		}
		return answer{webhook.Refused, 500, -1, quick, true}
	case busy:
		// Now and then longer than anybody waits.
		return answer{webhook.Busy, 429 + 74*dice.IntN(2), time.Duration(dice.IntN(90)) * time.Second << (6 * (dice.IntN(8) / 7)), quick, false}
	case hanging:
		return answer{webhook.TimedOut, 0, -1, timeout + quick, dice.IntN(2) == 0}
	case refusing:
		return answer{webhook.Unreachable, 0, -1, quick, false}
	case torn:
		return answer{webhook.Unreachable, 200 * dice.IntN(2), -1, quick, true}
	case gone:
		return answer{webhook.Gone, 410, -1, quick, true}
	case fair, mixed:
		return answer{webhook.Delivered, 200, -1, quick, true}
	default:
		panic("unknown weather")
	}
}

// caller is the way out of one node. It implements dispatch.Caller.
type caller struct {
	*network
	node *node
}

// Call implements dispatch.Caller.
func (n caller) Call(ctx context.Context, to *webhook.Endpoint, j *webhook.Job) (webhook.Attempt, time.Duration) {
	w := n.w
	w.learn(j)
	w.know(to)
	m, e := w.messageOf(j.Message), w.endpointOf(to.ID)
	dice := w.plan.diceFor("call", m, e, w.replayOf(j.DeliveryKey), j.Calls, j.Claim)
	time.Sleep(time.Microsecond + time.Duration(dice.IntN(1_000_000)))
	a := webhook.Attempt{URL: to.URL, StartedAt: time.Now(), Outcome: webhook.NotSent}
	if n.node.gone() {
		return a, -1
	}
	c, answer := n.begin(e, j, dice)
	w.logf("node %d calls e%d with %s (%d, call %d)", n.node.number, e, m, j.Calls+1, c.number)
	select {
	case <-time.After(time.Microsecond + answer.took + time.Duration(dice.IntN(1_000_000))):
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		c.short = true
		w.note("call %d is cut short", c.number)
		return a, -1
	}
	w.mu.Lock()
	c.arrived = answer.arrived
	dead := n.node.gone()
	if !dead {
		c.told, c.outcome, c.retryAfter = time.Now(), answer.outcome, answer.retryAfter
		if c.outcome == webhook.Gone {
			c.disables = w.endpoints[e].mayBecome(config{}, n.node)
		}
	}
	w.mu.Unlock()
	if dead {
		w.logf("call %d ends, and nobody is there to hear it", c.number)
		return a, -1
	}
	a.Outcome, a.StatusCode, a.Response = answer.outcome, answer.code, fmt.Appendf(nil, "call %d", c.number)
	w.logf("call %d ends: outcome %d, code %d, Retry-After %v", c.number, a.Outcome, a.StatusCode, answer.retryAfter)
	return a, answer.retryAfter
}

// begin notes a call and draws its answer.
func (n caller) begin(e int, j *webhook.Job, dice *rand.Rand) (*call, answer) {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	c := &call{
		number: len(n.calls) + 1, node: n.node, key: j.DeliveryKey, endpoint: e, start: time.Now(), claimed: j.Claim,
		id: webhook.MessageID.Format(j.Message), body: string(j.Payload),
	}
	n.calls = append(n.calls, c)
	answer := n.answer(e, dice)
	if n.w.plan.nodes > 1 && dice.IntN(12) == 0 {
		// The node stands still until its lease is over, and longer.
		answer.took += n.w.plan.lease + time.Duration(dice.Int64N(int64(time.Minute)))
	}
	return c, answer
}
