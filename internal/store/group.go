package store

import (
	"context"
	"fanfare/internal/webhook"
	"sync"
	"sync/atomic"
)

// group commits what callers bring in batches: while one batch is being
// committed the next gathers, so that the cost of a durable commit is shared
// by all who wait for it. There is no timer: a lone caller waits for nobody.
//
// A batch that fails as a whole is taken apart in halves until the item that
// breaks it stands alone, so that it harms no neighbour.
type group[T any] struct {
	queue chan *item[T]
	// heavy is for what takes long by itself.
	heavy chan *item[T]
	max   int
	wg    sync.WaitGroup

	mu     sync.RWMutex
	closed bool
}

// commit brings a batch through and returns an answer for each item, or one
// error for the batch, of which then nothing was done.
type commit[T any] func([]T) ([]error, error)

type item[T any] struct {
	value T
	done  chan error
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
func newGroup[T any](maxBatch int, committers ...commit[T]) *group[T] {
	g := &group[T]{queue: make(chan *item[T], 4*maxBatch), heavy: make(chan *item[T], 4*maxBatch), max: maxBatch}
	for _, c := range committers {
		g.wg.Go(func() { g.run(c) })
	}
	return g
}

// do waits until v is committed, or refused. When ctx ends before a committer
// has taken v, nothing is done; after that the answer is waited for, so that
// the outcome is always known and nothing that v refers to is touched once do
// has returned.
func (g *group[T]) do(ctx context.Context, v T) error { return g.put(ctx, g.queue, v) }

// doHeavy is do for what takes as long as a batch by itself.
func (g *group[T]) doHeavy(ctx context.Context, v T) error { return g.put(ctx, g.heavy, v) }

func (g *group[T]) put(ctx context.Context, queue chan<- *item[T], v T) error {
	it := &item[T]{value: v, done: make(chan error, 1)}
	g.mu.RLock()
	if g.closed {
		g.mu.RUnlock()
		return webhook.ErrUnavailable
	}
	select {
	case queue <- it:
		g.mu.RUnlock()
	case <-ctx.Done():
		g.mu.RUnlock()
		return context.Cause(ctx)
	}
	select {
	case err := <-it.done:
		return err
	case <-ctx.Done():
		if it.state.CompareAndSwap(queued, givenUp) {
			return context.Cause(ctx)
		}
		return <-it.done
	}
}

// close refuses new work, finishes what is queued and waits for it.
func (g *group[T]) close() {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.queue)
		close(g.heavy)
	}
	g.mu.Unlock()
	g.wg.Wait()
}

// run commits batches of what is light, and between two of them one that is
// heavy, alone, so that a stream of imports delays a message by one slice.
func (g *group[T]) run(c commit[T]) {
	batch := make([]*item[T], 0, g.max)
	take := func(it *item[T]) {
		if it.state.CompareAndSwap(queued, taken) {
			batch = append(batch, it)
		}
	}
	commit := func() {
		if len(batch) > 0 {
			settle(c, batch)
			batch = batch[:0]
		}
	}
	light, heavy := g.queue, g.heavy
	for light != nil || heavy != nil {
		select {
		case it, ok := <-light:
			if !ok {
				light = nil
				continue
			}
			take(it)
		case it, ok := <-heavy:
			if !ok {
				heavy = nil
				continue
			}
			take(it)
			commit()
		}
		for more := light != nil; more && len(batch) < g.max; {
			select {
			case it, ok := <-light:
				if more = ok; ok {
					take(it)
				} else {
					light = nil
				}
			default:
				more = false
			}
		}
		commit()
	}
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
			it.done <- answers[i]
		}
	case len(batch) == 1:
		batch[0].done <- err
	default:
		settle(c, batch[:len(batch)/2])
		settle(c, batch[len(batch)/2:])
	}
}
