package store

import (
	"context"
	"fanfare/internal/webhook"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// group commits what callers bring in batches: while one batch is being
// committed the next gathers, so that the cost of a durable commit is shared
// by all who wait for it. There is no timer: a lone caller waits for nobody.
//
// A batch that fails as a whole is taken apart in halves until the item that
// breaks it stands alone, so that it harms no neighbour.
type group[T any] struct {
	// max is about how many rows a batch writes at most.
	max atomic.Int64
	wg  sync.WaitGroup

	mu   sync.Mutex
	work sync.Cond
	// light is what somebody waits for; bulk is what comes in many pieces at
	// once; heavy is what takes as long as a batch by itself; patient is what
	// nobody waits for.
	light, bulk, heavy, patient []*item[T]
	// heavyNext says whose turn it is when both wait.
	heavyNext bool
	closed    bool
	// pace is when bulk may go on, and timer wakes a committer then.
	pace  *pace
	timer *time.Timer
}

// What nobody waits for gives way to what somebody waits for, until so much of
// it has gathered, or it has waited so long: a commit that comes often writes the
// same pages again and again, and each row that shares one makes all cheaper.
const (
	patientMost = 64
	patientFor  = 5 * time.Millisecond
)

// commit brings a batch through and returns an answer for each item, or one
// error for the batch, of which then nothing was done.
type commit[T any] func([]T) ([]error, error)

type item[T any] struct {
	value T
	// rows is about how many rows it writes.
	rows int
	// since is when it was queued; bulk says that it gives way to those who come
	// alone.
	since time.Time
	bulk  bool
	// done takes the answer; it must not block.
	done   func(error)
	answer <-chan error // nil when nobody waits
	// state says who decides about the item: the committer once it has taken
	// it, the caller once it has given it up.
	state atomic.Int32
}

// The states of an item.
const (
	queued int32 = iota
	taken
	givenUp
)

// newGroup starts a committer for each of the functions given.
func newGroup[T any](p *pace, maxRows int, committers ...commit[T]) *group[T] {
	g := &group[T]{pace: p}
	g.max.Store(int64(maxRows))
	g.work.L = &g.mu
	g.timer = time.AfterFunc(0, g.work.Signal)
	for _, c := range committers {
		g.wg.Go(func() { g.run(c) })
	}
	return g
}

// do waits until v is committed, or refused. When ctx ends before a committer
// has taken v, nothing is done; after that the answer is waited for, so that
// the outcome is always known and nothing that v refers to is touched once do
// has returned. rows is about how many rows v writes.
func (g *group[T]) do(ctx context.Context, v T, rows int) error { return g.put(ctx, &g.light, v, rows) }

// doHeavy is do for what takes as long as a batch by itself.
func (g *group[T]) doHeavy(ctx context.Context, v T) error { return g.put(ctx, &g.heavy, v, 1) }

// doBulk is do for many pieces that come at once, each of which has its answer.
// Those who bring one go ahead of them, into the same batches, and further ahead
// as far as pace says.
func (g *group[T]) doBulk(ctx context.Context, values []T, rows int) []error {
	items := make([]*item[T], len(values))
	for i, v := range values {
		items[i] = newItem(v, rows)
		items[i].bulk = true
	}
	g.enqueue(&g.bulk, items...)
	answers := make([]error, len(items))
	for i, it := range items {
		answers[i] = it.wait(ctx)
	}
	return answers
}

func (g *group[T]) put(ctx context.Context, queue *[]*item[T], v T, rows int) error {
	it := newItem(v, rows)
	g.enqueue(queue, it)
	return it.wait(ctx)
}

// newItem is an item whose answer somebody waits for.
func newItem[T any](v T, rows int) *item[T] {
	answer := make(chan error, 1)
	return &item[T]{value: v, rows: rows, since: time.Now(), answer: answer, done: func(err error) { answer <- err }}
}

func (it *item[T]) wait(ctx context.Context) error {
	select {
	case err := <-it.answer:
		return err
	case <-ctx.Done():
		if it.state.CompareAndSwap(queued, givenUp) {
			return context.Cause(ctx)
		}
		return <-it.answer
	}
}

// later is do for a caller who does not wait: done is called once v is
// committed or refused, by the committer, whom it must not hold up.
func (g *group[T]) later(v T, rows int, done func(error)) {
	g.enqueue(&g.patient, &item[T]{value: v, rows: rows, since: time.Now(), done: done})
}

func (g *group[T]) enqueue(queue *[]*item[T], items ...*item[T]) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		for _, it := range items {
			it.done(webhook.ErrUnavailable)
		}
		return
	}
	*queue = append(*queue, items...)
	g.mu.Unlock()
	g.work.Signal()
}

// close refuses new work, finishes what is queued and waits for it.
func (g *group[T]) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.work.Broadcast()
	g.wg.Wait()
	g.timer.Stop()
}

// run commits batches until the group is closed.
func (g *group[T]) run(c commit[T]) {
	var batch []*item[T]
	for more := true; more; {
		batch, more = g.next(batch[:0])
		if len(batch) > 0 {
			began := time.Now()
			settle(c, batch)
			g.spent(batch, time.Since(began))
			clear(batch)
		}
	}
}

// spent tells the pace how much of the time a batch took was for bulk.
func (g *group[T]) spent(batch []*item[T], took time.Duration) {
	rows, bulk := 0, 0
	for _, it := range batch {
		rows += it.rows
		if it.bulk {
			bulk += it.rows
		}
	}
	if bulk > 0 {
		g.pace.spent(took*time.Duration(bulk)/time.Duration(rows), time.Now())
	}
}

// next waits for work and takes a batch of it: what is light, then what comes in
// bulk, and between two such batches one that is heavy, alone, so that it delays
// a message by one slice; bulk only when its pace allows. There is no more once
// the group is closed and empty.
func (g *group[T]) next(batch []*item[T]) (taken []*item[T], more bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	bulk := g.bulkMay()
	for ; len(g.light)+len(g.heavy)+len(g.patient) == 0 && !bulk; bulk = g.bulkMay() {
		if g.closed {
			return batch, false
		}
		g.work.Wait()
	}
	if len(g.heavy) > 0 && (g.heavyNext || len(g.light)+len(g.patient) == 0 && !bulk) {
		g.heavyNext = false
		batch, _ = take(batch, &g.heavy, 1)
		return batch, true
	}
	g.heavyNext = true
	// A third of a full batch, when both wait: what is taken in must not outrun
	// what is done, of which each writes twice.
	most := int(g.max.Load())
	if bulk || len(g.heavy) > 0 {
		most = max(1, most/4) // who sends little does not wait for who sends much
	}
	rows := most
	due := len(g.patient) >= patientMost || len(g.patient) > 0 && time.Since(g.patient[0].since) >= patientFor
	if due {
		rows = max(most/3, most-g.patient[0].rows*len(g.patient))
	}
	batch, left := take(batch, &g.light, rows)
	if bulk {
		batch, left = take(batch, &g.bulk, left)
	}
	if due || len(batch) == 0 {
		batch, _ = take(batch, &g.patient, max(most-most/3, most-rows+left))
	}
	return batch, true
}

// bulkMay reports whether there is bulk that may be committed now, and has a
// committer woken once it may.
func (g *group[T]) bulkMay() bool {
	if len(g.bulk) == 0 {
		return false
	}
	now := time.Now()
	wait := g.pace.after(g.bulk[0].since, now).Sub(now)
	if wait <= 0 || g.closed {
		return true
	}
	g.timer.Reset(wait)
	return false
}

// take moves items from a queue into a batch, those first that have waited
// longest: one in any case, and more up to so many rows, and returns how many
// rows are left. Those that were given up are left out.
func take[T any](batch []*item[T], queue *[]*item[T], most int) (all []*item[T], left int) {
	n := 0
	for ; n < len(*queue) && (n == 0 || (*queue)[n].rows <= most); n++ {
		it := (*queue)[n]
		if it.state.CompareAndSwap(queued, taken) {
			batch, most = append(batch, it), most-it.rows
		}
	}
	*queue = slices.Delete(*queue, 0, n)
	return batch, most
}

func settle[T any](c commit[T], batch []*item[T]) {
	values := make([]T, len(batch))
	for i, it := range batch {
		values[i] = it.value
	}
	answers, err := c(values)
	switch {
	case err == nil:
		for i, it := range batch {
			it.done(answers[i])
		}
	case len(batch) == 1:
		batch[0].done(err)
	default:
		settle(c, batch[:len(batch)/2])
		settle(c, batch[len(batch)/2:])
	}
}
