package dispatch

import (
	"context"
	"errors"
	"fanfare/internal/webhook"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Queue is where deliveries wait and where their outcomes are kept.
type Queue interface {
	// Waiting lists the endpoints for which deliveries wait unclaimed.
	Waiting(ctx context.Context) ([]webhook.Waiting, error)
	// Claim takes deliveries of an endpoint that are due, or cancels them when
	// the endpoint is off.
	Claim(ctx context.Context, endpoint webhook.ID, limit int, retriesOnly bool) (webhook.Claimed, error)
	// Unclaim gives deliveries back unsent.
	Unclaim(ctx context.Context, jobs []webhook.Job) error
	// Record stores an attempt and what follows from it, and calls done once
	// that is durable or has failed; done does not block.
	Record(r *webhook.Record, done func(error))
	// ReleaseExpired frees what dead nodes held.
	ReleaseExpired(ctx context.Context) (int64, error)
}

// Caller makes the HTTP call of a delivery.
type Caller interface {
	// Call sends a delivery to an endpoint and tells what came of it.
	// retryAfter is how long the receiver asked us to wait, negative when it
	// did not ask. When ctx ends first, the attempt's outcome is NotSent.
	Call(ctx context.Context, to *webhook.Endpoint, j *webhook.Job) (a webhook.Attempt, retryAfter time.Duration)
}

// Config is what a Dispatcher can be told. Its zero value works.
type Config struct {
	// Rules decide what follows a call. The zero value makes one attempt.
	Rules Rules
	// Limits bound what is held and done at a time: DefaultLimits if zero.
	Limits Limits
	// Timeout is what a call may take in all: 15 s if zero. A delivery with
	// less than that left of its lease is not sent.
	Timeout time.Duration
	// DrainTimeout is how long Run waits for calls in flight when it is told
	// to stop: Timeout plus 5 s if zero.
	DrainTimeout time.Duration
	// Sweep is how often the queue is searched for what nobody has told us of:
	// 15 s if zero.
	Sweep time.Duration
	// Dice yields numbers in [0, 1) for jitter: chance if nil.
	Dice func() float64
	// Observe is called with each record once it is stored; it must not block.
	Observe func(*webhook.Record)
}

// Dispatcher sends deliveries. Make it with New, attach it to the store, and
// call Run. It implements ingest.Dispatcher.
type Dispatcher struct {
	queue  Queue
	caller Caller
	log    *slog.Logger
	cfg    Config

	mu    sync.Mutex
	core  *core
	armed time.Time // what the timer of Run waits for
	rearm chan struct{}
	// active counts the goroutines at work; idle is closed when a drain has
	// seen the last of them, after which none starts.
	active  int
	idle    chan struct{}
	stopped bool
	// sweeping says that the queue is being searched.
	sweeping atomic.Bool

	// life ends when calls in flight are to be cut short.
	life context.Context //nolint:containedctx // calls begin in whoever's goroutine, and end with the dispatcher
	stop context.CancelCauseFunc
}

// New makes a dispatcher that takes from queue and sends through caller.
func New(queue Queue, caller Caller, log *slog.Logger, cfg Config) *Dispatcher {
	if cfg.Limits == (Limits{}) {
		cfg.Limits = DefaultLimits()
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 15 * time.Second
	}
	if cfg.DrainTimeout == 0 {
		cfg.DrainTimeout = cfg.Timeout + 5*time.Second
	}
	if cfg.Sweep == 0 {
		cfg.Sweep = 15 * time.Second
	}
	if cfg.Dice == nil {
		cfg.Dice = rand.Float64
	}
	if cfg.Observe == nil {
		cfg.Observe = func(*webhook.Record) {}
	}
	life, stop := context.WithCancelCause(context.Background())
	return &Dispatcher{
		queue: queue, caller: caller, log: log, cfg: cfg,
		core: newCore(cfg.Limits), rearm: make(chan struct{}, 1), life: life, stop: stop,
	}
}

// errStopped is the cause with which calls end that outlive the drain.
var errStopped = errors.New("the node is stopping")

// Run sends until ctx ends, then drains: it claims nothing more, gives back
// what it has not sent, waits for the calls in flight and returns nil.
func (d *Dispatcher) Run(ctx context.Context) error {
	defer d.stop(errStopped)
	d.sweep(ctx)

	wake, sweep := time.NewTimer(0), time.NewTicker(d.cfg.Sweep)
	defer wake.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-wake.C:
			d.step(func(*core, time.Time) {})
		case <-d.rearm:
		case <-sweep.C:
			d.sweepBeside(ctx)
		case <-ctx.Done():
			d.drain()
			return nil
		}
		d.mu.Lock()
		d.armed = d.core.next()
		if d.armed.IsZero() {
			wake.Stop()
		} else {
			wake.Reset(time.Until(d.armed))
		}
		d.mu.Unlock()
	}
}

// drain ends when nothing is under way any more. Calls and records outlive the
// context of Run: they are what it waits for.
func (d *Dispatcher) drain() {
	idle := make(chan struct{})
	d.step(func(c *core, _ time.Time) {
		c.drain()
		d.idle = idle
		d.active++ // until the first step of the drain is through
	})
	d.exit()
	select {
	case <-idle:
	case <-time.After(d.cfg.DrainTimeout):
		d.stop(errStopped)
		<-idle
	}
}

// step lets the core do one thing and then does what the core asks for.
func (d *Dispatcher) step(f func(*core, time.Time)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	f(d.core, now)
	d.act(d.core.take(now))
}

// act does what the core asks for; mu is held.
func (d *Dispatcher) act(todo actions) {
	for _, c := range todo.calls {
		d.spawn(func() { d.deliver(c) })
	}
	for _, q := range todo.claims {
		d.spawn(func() { d.claim(d.life, q) })
	}
	if len(todo.unclaim) > 0 {
		d.spawn(func() { d.unclaim(d.life, todo.unclaim) })
	}
	if !todo.wake.IsZero() && (d.armed.IsZero() || todo.wake.Before(d.armed)) {
		d.armed = todo.wake
		select {
		case d.rearm <- struct{}{}:
		default: // Run has been told and has not looked yet
		}
	}
}

// spawn starts a piece of work that a drain waits for; mu is held.
func (d *Dispatcher) spawn(f func()) {
	if d.stopped {
		return
	}
	d.active++
	go func() {
		defer d.exit()
		f()
	}()
}

func (d *Dispatcher) exit() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left()
}

// left notes that a piece of work is done; mu is held.
func (d *Dispatcher) left() {
	d.active--
	if d.active == 0 && d.idle != nil {
		close(d.idle)
		d.idle, d.stopped = nil, true
	}
}

// sweepBeside sweeps while Run goes on, unless the last sweep still does.
func (d *Dispatcher) sweepBeside(ctx context.Context) {
	if !d.sweeping.CompareAndSwap(false, true) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spawn(func() {
		defer d.sweeping.Store(false)
		d.sweep(ctx)
	})
}

// sweep asks the queue for everything that waits, and frees what dead nodes
// held.
func (d *Dispatcher) sweep(ctx context.Context) {
	if n, err := d.queue.ReleaseExpired(ctx); err != nil {
		d.log.ErrorContext(ctx, "release of expired claims", "error", err)
	} else if n > 0 {
		d.log.InfoContext(ctx, "expired claims released", "deliveries", n)
	}
	waiting, err := d.queue.Waiting(ctx)
	if err != nil {
		d.log.ErrorContext(ctx, "sweep of the queue", "error", err)
		return
	}
	d.step(func(c *core, now time.Time) {
		for _, w := range waiting {
			if !w.FirstDue.IsZero() {
				c.waiting(w.Endpoint, firsts, w.FirstDue, now)
			}
			if !w.RetryDue.IsZero() {
				c.waiting(w.Endpoint, retries, w.RetryDue, now)
			}
		}
	})
}

func (d *Dispatcher) claim(ctx context.Context, q claim) {
	found, err := d.queue.Claim(ctx, q.endpoint, q.limit, q.retriesOnly)
	if err != nil {
		d.log.ErrorContext(ctx, "claim", "endpoint", webhook.EndpointID.Format(q.endpoint), "error", err)
	}
	d.step(func(c *core, now time.Time) {
		if err != nil {
			c.claimFailed(q, now)
		} else {
			c.claimed(q, found, now)
		}
	})
}

// unclaim gives jobs back, for as long as it takes: what is neither held nor
// given back would be sent by nobody while this node lives.
func (d *Dispatcher) unclaim(ctx context.Context, jobs []webhook.Job) {
	for len(jobs) > 0 {
		n := min(len(jobs), 1000)
		again := func() error { return d.queue.Unclaim(ctx, jobs[:n]) }
		d.persist(ctx, again(), again, "unclaim", "deliveries", n)
		jobs = jobs[n:]
	}
}

// persist does again what has failed with err, which must reach the database,
// until it has, or the dispatcher has to stop: then the end of the lease, or the
// next start, frees what it is about. It reports whether it was done.
func (d *Dispatcher) persist(ctx context.Context, err error, again func() error, what string, about ...any) bool {
	for wait := 50 * time.Millisecond; err != nil; wait = min(2*wait, 5*time.Second) {
		d.log.ErrorContext(ctx, "database", append([]any{"doing", what, "error", err}, about...)...)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
			err = again()
		}
	}
	return true
}

// deliver makes a call and has its outcome recorded, and goes on with the next
// call that the end of this one makes room for: a goroutine that is at work
// already costs less than a new one.
func (d *Dispatcher) deliver(c call) {
	for more := true; more; {
		a, retryAfter, send := d.unsendable(&c)
		if send {
			a, retryAfter = d.caller.Call(d.life, c.to, &c.job)
		}
		a.Application, a.DeliveryKey, a.Number = c.job.Application, c.job.DeliveryKey, c.job.Calls+1
		job := c.job
		giveBack := a.Outcome == webhook.NotSent && a.Ends == webhook.Pending
		var r *webhook.Record
		if !giveBack {
			record := d.cfg.Rules.Decide(&job.Delivery, a, retryAfter, time.Now(), d.cfg.Dice())
			r = &record
			r.Healed = r.Ends == webhook.Succeeded && c.to != nil && !c.to.FailingSince.IsZero()
		}
		c, more = d.ended(&c, &a, retryAfter)
		if giveBack {
			go func() {
				d.unclaim(d.life, []webhook.Job{job})
				d.recorded(&job)
			}()
		} else {
			d.record(&job, r)
		}
	}
}

// ended tells the core of the end of a call, and returns the call to go on
// with, if any. What becomes of the outcome is one more piece of work.
func (d *Dispatcher) ended(ended *call, a *webhook.Attempt, retryAfter time.Duration) (next call, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.core.ended(ended, a.Outcome, a.Timings.Total, now)
	if a.Outcome == webhook.Busy {
		d.core.quiet(ended.job.Endpoint, now.Add(min(retryAfter, d.cfg.Rules.RetryAfterCap)), now)
	}
	todo := d.core.take(now)
	if len(todo.calls) > 0 && !d.stopped {
		next, more, todo.calls = todo.calls[0], true, todo.calls[1:]
	}
	d.act(todo)
	d.active++
	return next, more
}

// unsendable decides what must not be sent: to an endpoint that is off, without
// a payload, or under a lease that may end during the call.
func (d *Dispatcher) unsendable(c *call) (a webhook.Attempt, retryAfter time.Duration, send bool) {
	now := time.Now()
	a = webhook.Attempt{Outcome: webhook.NotSent, StartedAt: now}
	if c.to != nil {
		a.URL = c.to.URL
	}
	switch {
	case c.to == nil:
		a.Ends, a.Error = webhook.Canceled, "The endpoint was deleted."
	case c.to.Disabled:
		a.Ends, a.Error = webhook.Canceled, "The endpoint was disabled."
	case c.job.Expired:
		a.Ends, a.Error = webhook.Failed, "The payload expired before it was delivered."
	case c.job.LeaseEnds.Sub(now) < d.cfg.Timeout:
		// Given back: somebody else may send it meanwhile.
	default:
		send = true
	}
	return a, -1, send
}

// record stores r, for as long as it takes: a delivery that was made and not
// recorded would be made again.
func (d *Dispatcher) record(j *webhook.Job, r *webhook.Record) {
	d.queue.Record(r, func(err error) {
		if err != nil {
			go d.recordAgain(j, r, err)
			return
		}
		d.cfg.Observe(r)
		d.recorded(j)
	})
}

func (d *Dispatcher) recordAgain(j *webhook.Job, r *webhook.Record, err error) {
	again := func() error {
		answer := make(chan error, 1)
		d.queue.Record(r, func(err error) { answer <- err })
		return <-answer
	}
	if d.persist(d.life, err, again, "record",
		"message", webhook.MessageID.Format(r.Message), "endpoint", webhook.EndpointID.Format(r.Endpoint)) {
		d.cfg.Observe(r)
	}
	d.recorded(j)
}

// recorded notes that nothing of a delivery is left in memory, which may make
// room for others.
func (d *Dispatcher) recorded(j *webhook.Job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.core.recorded(j)
	if d.core.hungry.len() > 0 {
		d.act(d.core.take(time.Now()))
	}
	d.left()
}

// InFlight is how many calls are being made, and how many deliveries are held
// in memory, those included.
func (d *Dispatcher) InFlight() (calls, held int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.core.calls, d.core.held
}

// Reserve implements ingest.Dispatcher.
func (d *Dispatcher) Reserve(e *webhook.Endpoint) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.core.reserve(e, time.Now())
}

// Release implements ingest.Dispatcher.
func (d *Dispatcher) Release(endpoint webhook.ID, n int) {
	d.step(func(c *core, now time.Time) { c.release(endpoint, n, now) })
}

// Send implements ingest.Dispatcher.
func (d *Dispatcher) Send(jobs []webhook.Job) {
	d.step(func(c *core, now time.Time) { c.add(jobs, now) })
}

// Waiting implements ingest.Dispatcher.
func (d *Dispatcher) Waiting(deliveries []webhook.Delivery) {
	d.step(func(c *core, now time.Time) {
		for i := range deliveries {
			w := &deliveries[i]
			c.waiting(w.Endpoint, kindOf(w), w.DueAt, now)
			if !w.HeldSince.IsZero() {
				c.quiet(w.Endpoint, w.DueAt, now) // to the moment at which it is called again
			}
		}
	})
}

// Changed implements ingest.Dispatcher.
func (d *Dispatcher) Changed(endpoint webhook.ID) {
	d.step(func(c *core, now time.Time) { c.changed(endpoint, now) })
}
