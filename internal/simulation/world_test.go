package simulation_test

import (
	"context"
	"fanfare/internal/dispatch"
	"fanfare/internal/registry"
	"fanfare/internal/store"
	"fanfare/internal/store/disktest"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// world is one run of a plan.
type world struct {
	t    *testing.T
	plan plan
	dir  string
	net  *network
	// began is when the run began, on its own clock.
	began time.Time
	// busy counts the goroutines that the end waits for.
	busy sync.WaitGroup
	over chan struct{}

	mu        sync.Mutex
	log       []string
	disk      *disktest.Disk
	disks     int
	nodes     []*node
	started   int
	jane      registry.Account
	app       webhook.ID
	endpoints []*endpoint
	messages  []*message
	byID      map[webhook.ID]*message
	replays   map[webhook.DeliveryKey]int
	// listed are the attempts at each endpoint, by the messages' own lists.
	listed  map[webhook.ID][]webhook.ID
	resends []*resent
	// calm means that nothing bad happens any more.
	calm     bool
	problems []string
	tally    tally
}

// node is one process.
type node struct {
	w          *world
	number     int
	disk       *disktest.Disk
	store      *store.Store
	dispatcher *dispatch.Dispatcher
	stop       context.CancelFunc
	done       chan struct{}
	// dead nodes have been killed. What they still do is a ghost's work.
	dead atomic.Bool
	// leaving nodes drain and take no requests.
	leaving atomic.Bool
	died    time.Time // mu of world
	// left nodes have drained; cut says that it took longer than it may.
	left, cut atomic.Bool
}

// gone reports whether the node is dead, or is about to be told so.
func (n *node) gone() bool { return n.dead.Load() || !n.left.Load() && n.disk.Image() != nil }

func newWorld(t *testing.T, p plan, dir string) *world {
	w := &world{
		t: t, plan: p, dir: dir, began: time.Now(), over: make(chan struct{}),
		byID: map[webhook.ID]*message{}, replays: map[webhook.DeliveryKey]int{}, listed: map[webhook.ID][]webhook.ID{},
	}
	w.net = &network{w: w, weather: map[int]weatherKind{}}
	return w
}

func (w *world) logf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note(format, args...)
}

func (w *world) note(format string, args ...any) {
	line := fmt.Sprintf("%14v  ", time.Since(w.began)) + fmt.Sprintf(format, args...)
	w.log = append(w.log, chance.ReplaceAllString(line, "${1}…"))
}

// chance is what differs from run to run: ids.
var chance = regexp.MustCompile(`\b(msg_|ep_)[0-9a-z]{26}`)

// problem notes a promise that was broken.
func (w *world) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// blank is a disk with a database that nobody has used.
var blank = sync.OnceValues(func() (*disktest.Image, error) {
	dir, err := os.MkdirTemp("", "fanfare-simulation-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	d := disktest.New(dir)
	defer d.Remove()
	s, err := store.Open(context.Background(), d.URL(), theSealer(), slog.New(slog.DiscardHandler), store.Config{})
	if err != nil {
		return nil, err
	}
	s.Close()
	return d.Copy(), nil
})

// insert puts a disk with what the image holds in the place of the last one.
func (w *world) insert(image *disktest.Image) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	dir := filepath.Join(w.dir, strconv.Itoa(w.disks))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	w.disks++
	w.disk = image.Disk(dir)
	return nil
}

// open starts a node on the disk.
func (w *world) open() error {
	w.mu.Lock()
	w.started++
	n := &node{w: w, number: w.started, disk: w.disk, done: make(chan struct{})}
	w.mu.Unlock()
	s, err := store.Open(context.Background(), n.disk.URL(), theSealer(), slog.New(slog.DiscardHandler), store.Config{
		Exclusive: w.plan.nodes == 1, Lease: w.plan.lease, DisableAfter: -1,
	})
	if err != nil {
		w.logf("node %d does not start: %v", n.number, err)
		return err
	}
	n.store = s
	w.meet(s)
	n.dispatcher = dispatch.New(&queue{n, map[string]int{}}, caller{w.net, n}, slog.New(slog.DiscardHandler), dispatch.Config{
		Rules:  dispatch.Rules{Schedule: w.plan.schedule, RetryAfterCap: time.Hour},
		Limits: w.plan.limits, Timeout: w.plan.timeout, DrainTimeout: w.plan.drain, Sweep: w.plan.sweep,
		Dice: func() float64 { return w.plan.diceFor("jitter", time.Since(w.began)).Float64() },
	})
	s.Attach(n.dispatcher)
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	w.busy.Go(func() {
		defer close(n.done)
		if err := n.dispatcher.Run(ctx); err != nil {
			w.problem("node %d: Run: %v", n.number, err)
		}
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes = append(w.nodes, n)
	w.note("node %d starts", n.number)
	return nil
}

// live are the nodes that take requests.
func (w *world) live() []*node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return n.dead.Load() || n.leaving.Load() })
}

// bury notes the death of a node and lets its ghost come to an end.
func (n *node) bury(how string) {
	w := n.w
	w.mu.Lock()
	if n.dead.Load() {
		w.mu.Unlock()
		return
	}
	if n.died.IsZero() {
		n.died = time.Now()
	}
	n.dead.Store(true)
	w.note("node %d dies: %s", n.number, how)
	for _, e := range w.endpoints {
		e.forget(n)
	}
	w.mu.Unlock()
	n.stop()
	w.busy.Go(func() {
		<-n.done
		n.store.Close()
	})
}

// watch waits for the disk to stop, and goes on with what is left of it.
func (w *world) watch() {
	for {
		w.mu.Lock()
		d := w.disk
		w.mu.Unlock()
		select {
		case <-d.Stopped():
		case <-w.over:
			return
		}
		for _, n := range w.all() {
			if n.disk == d && !n.left.Load() {
				n.bury("its disk stopped")
			}
		}
		time.Sleep(w.downtime())
		if err := w.insert(d.Image()); err != nil {
			w.problem("insert a disk: %v", err)
			return
		}
		d.Remove()
		w.skew()
		w.reopen()
	}
}

// skew moves the times in the database, as if the clock of the next node were
// behind or ahead of the last one's.
func (w *world) skew() {
	dice := w.plan.diceFor("skew", len(w.all()))
	if dice.IntN(4) > 0 {
		return
	}
	by := time.Duration(dice.Int64N(int64(10*time.Minute))) - 5*time.Minute
	storetest.MoveTimes(w.t, w.current().URL(), by)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("the clock of the next node is %v behind", by)
	w.net.skewed = append(w.net.skewed, time.Now())
}

func (w *world) current() *disktest.Disk {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.disk
}

func (w *world) all() []*node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.nodes)
}

func (w *world) downtime() time.Duration {
	dice := w.plan.diceFor("downtime", len(w.all()))
	return time.Microsecond + time.Duration(dice.Int64N(int64(10*time.Second)>>(4*dice.IntN(4))))
}

// pick is a live node, or nil.
func (w *world) pick(dice *rand.Rand) *node {
	live := w.live()
	if len(live) == 0 {
		return nil
	}
	return live[dice.IntN(len(live))]
}

// run carries the plan out and returns when everything has come to rest.
func (w *world) run() {
	if err := w.begin(); err != nil {
		w.problem("begin: %v", err)
		return
	}
	if w.plan.nodes == 1 {
		w.busy.Go(w.watch)
	}
	for _, s := range w.plan.steps {
		time.Sleep(max(0, time.Until(w.began.Add(s.at))))
		w.busy.Go(func() { w.take(s) })
	}
	time.Sleep(3 * time.Second)
	w.settle()
	close(w.over)
	for _, n := range w.live() {
		n.stop()
		<-n.done
		n.store.Close()
	}
	w.busy.Wait()
	w.current().Remove()
}

// begin makes the application and its endpoints, and starts the nodes.
func (w *world) begin() error {
	image, err := blank()
	if err != nil {
		return err
	}
	if err := w.insert(image); err != nil {
		return err
	}
	ctx := context.Background()
	for i := range w.plan.nodes {
		if err := w.open(); err != nil {
			return err
		}
		s := w.nodes[i].store
		if i == 0 {
			if w.jane, err = s.CreateAccount(ctx, registry.Account{Name: "jane"}, ""); err != nil {
				return err
			}
			if w.jane, err = s.EnableWebhooks(ctx, w.jane.ID, "jane", true); err != nil {
				return err
			}
			w.app = w.jane.Application
		}
		time.Sleep(time.Duration(1001+i) * time.Microsecond)
	}
	for range w.plan.endpoints {
		w.addEndpoint(w.nodes[0], w.plan.diceFor("endpoint", len(w.endpoints)))
	}
	w.began = time.Now()
	return nil
}

// settle ends all faults and waits until every delivery has ended.
func (w *world) settle() {
	w.mu.Lock()
	w.calm = true
	w.net.healed = true
	w.disk.StopAfter(-1, disktest.Killed, nil)
	w.disk.SetRoom(-1)
	w.note("all is well from now on")
	w.mu.Unlock()
	for _, e := range w.endpoints {
		// What a pause holds is held for good.
		for len(w.live()) == 0 {
			time.Sleep(time.Second)
		}
		n := w.live()[0]
		if stored, err := n.store.Endpoint(context.Background(), w.app, e.uid()); err == nil && stored.Paused {
			w.change(n, e, func(e *webhook.Endpoint) { e.Paused = false })
		}
	}
	// A receiver may ask to wait for an hour, and a breaker rests for minutes.
	for wait := time.Minute; wait < 3*time.Hour; wait = wait * 3 / 2 {
		time.Sleep(wait)
		live := w.live()
		if len(live) == 0 {
			continue
		}
		open, err := w.openDeliveries(live[0].store)
		if err != nil {
			w.problem("read: %v", err)
			return
		}
		if open == 0 && !w.busyCalls() {
			w.check(live[0].store)
			return
		}
	}
	for _, n := range w.live() {
		w.check(n.store)
		return
	}
	w.problem("no node is left")
}

// busyCalls reports whether a call has no record yet that will get one: that of
// a node that stood still comes when its delivery has long been ended by another.
func (w *world) busyCalls() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.net.calls, func(c *call) bool {
		return c.kept.IsZero() && !c.short && !c.node.dead.Load() && !c.node.leaving.Load()
	})
}

// openDeliveries counts the messages with deliveries that have not ended.
func (w *world) openDeliveries(s *store.Store) (open int, err error) {
	stored, err := s.Messages(context.Background(), w.app, store.MessageFilter{}, store.Page{Limit: 100_000})
	if err != nil {
		return 0, err
	}
	for i := range stored {
		states, err := s.Deliveries(context.Background(), w.app, stored[i].ID)
		if err != nil {
			return 0, err
		}
		for _, st := range states {
			if st.Status == webhook.Pending || !st.NextAt.IsZero() {
				return 1, nil
			}
		}
	}
	return 0, nil
}
