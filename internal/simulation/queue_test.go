package simulation_test

import (
	"context"
	"errors"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"fmt"
	"time"
)

// errDead is what the ghost of a node that was killed is told.
var errDead = errors.New("the node is dead")

// queue stands between a dispatcher and its store. It makes each operation take
// time before and after, so that a node can die in between. It implements
// dispatch.Queue.
type queue struct {
	*node
	counts map[string]int
}

// do runs one operation of the given name.
func (q *queue) do(name string, f func() error) error {
	q.w.mu.Lock()
	n := q.counts[name]
	q.counts[name]++
	q.w.mu.Unlock()
	dice := q.w.plan.diceFor(q.number, name, n)
	pause := func() error {
		longest := int64(20 * time.Millisecond)
		if dice.IntN(20) == 0 {
			longest = int64(2 * time.Second)
		}
		time.Sleep(time.Microsecond + time.Duration(dice.Int64N(longest)))
		if q.gone() {
			return errDead
		}
		return nil
	}
	if err := pause(); err != nil {
		return err
	}
	err := f()
	if err != nil {
		q.w.logf("node %d: %s: %v", q.number, name, err)
	}
	return errors.Join(err, pause())
}

// Waiting implements dispatch.Queue.
func (q *queue) Waiting(ctx context.Context) (all []webhook.Waiting, err error) {
	err = q.do("look for what waits", func() (err error) {
		all, err = q.store.Waiting(ctx)
		return err
	})
	return all, err
}

// Claim implements dispatch.Queue.
func (q *queue) Claim(ctx context.Context, endpoint webhook.ID, limit int, retriesOnly bool) (c webhook.Claimed, err error) {
	e := q.w.endpointOf(endpoint)
	err = q.do(fmt.Sprintf("claim for e%d", e), func() (err error) {
		if c, err = q.store.Claim(ctx, endpoint, limit, retriesOnly); err == nil {
			for i := range c.Jobs {
				q.w.learn(&c.Jobs[i])
			}
			q.w.logf("node %d claims %d of at most %d for e%d, retries only: %v", q.number, len(c.Jobs), limit, e, retriesOnly)
		}
		return err
	})
	if err != nil {
		return webhook.Claimed{}, err
	}
	return c, nil
}

// Unclaim implements dispatch.Queue.
func (q *queue) Unclaim(ctx context.Context, jobs []webhook.Job) error {
	j := jobs[0]
	return q.do(fmt.Sprintf("give back %s at e%d", q.w.messageOf(j.Message), q.w.endpointOf(j.Endpoint)), func() error {
		q.w.logf("node %d gives back %d", q.number, len(jobs))
		return q.store.Unclaim(ctx, jobs)
	})
}

// Record implements dispatch.Queue.
func (q *queue) Record(r *webhook.Record, done func(error)) {
	m, e := q.w.messageOf(r.Message), q.w.endpointOf(r.Endpoint)
	c := q.w.net.byTag(string(r.Response))
	go func() {
		done(q.do(fmt.Sprintf("record of %s at e%d", m, e), func() error {
			asked := time.Now()
			err := storetest.Record(q.store, r)
			if err == nil && !q.gone() {
				q.w.recorded(c, r, asked)
				q.w.logf("node %d records %s at e%d: outcome %d, ends %v", q.number, m, e, r.Outcome, r.Ends)
			}
			return err
		}))
	}()
}

// recorded notes that the outcome of a call, of none if nil, is durable.
func (w *world) recorded(c *call, r *webhook.Record, asked time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c != nil {
		c.record, c.asked, c.kept = r, asked, time.Now()
	}
	if c != nil && c.disables != nil {
		c.disables.until = time.Now()
	}
}

// ReleaseExpired implements dispatch.Queue.
func (q *queue) ReleaseExpired(ctx context.Context) (n int64, err error) {
	err = q.do("release what dead nodes held", func() (err error) {
		if n, err = q.store.ReleaseExpired(ctx); n > 0 {
			q.w.logf("node %d frees %d claims that have run out", q.number, n)
		}
		return err
	})
	return n, err
}

// byTag finds the call whose tag an attempt bears.
func (n *network) byTag(tag string) *call {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	var number int
	if _, err := fmt.Sscanf(tag, "call %d", &number); err != nil || number < 1 || number > len(n.calls) {
		return nil
	}
	return n.calls[number-1]
}
