package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fanfare/internal/signature"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// receiver is the process that webhooks are sent to. It counts them in groups,
// by the first part of the path: /fast/7 counts as fast. What comes to a path
// that begins with hang is never answered.
type receiver struct {
	listener    net.Listener
	connections sync.WaitGroup
	secret      string

	mu     sync.Mutex
	open   map[net.Conn]bool
	groups map[string]*tally
}

// tally counts what a group has received.
type tally struct {
	mu sync.Mutex
	received
	delays buckets
	seen   bitmap
}

// received is what a group has received.
type received struct {
	// Events are those received, each counted once, and Again those that came
	// more than once.
	Events int64 `json:"events"`
	Again  int64 `json:"again"`
	// Wrong are webhooks without a stamp or with a signature that does not
	// fit; the signature of one in checkEvery is looked at.
	Wrong int64     `json:"wrong"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Delays is how long after they were sent they came.
	Delays histogram `json:"delays"`
}

// checkEvery says how many webhooks share one look at a signature: checking
// all would take a share of the machine.
const checkEvery = 64

// bitmap is a set of numbers that are close together.
type bitmap struct {
	first int64
	words []uint64
}

// add reports whether n was not there yet.
func (b *bitmap) add(n int64) bool {
	if b.words == nil {
		b.first = n &^ 63
	}
	if n < b.first {
		more := (b.first - n + 63) / 64
		b.first -= more * 64
		b.words = slices.Concat(make([]uint64, more), b.words)
	}
	i := (n - b.first) / 64
	for int64(len(b.words)) <= i {
		b.words = append(b.words, 0)
	}
	bit := uint64(1) << (n & 63)
	fresh := b.words[i]&bit == 0
	b.words[i] |= bit
	return fresh
}

func newReceiver() *receiver {
	return &receiver{open: map[net.Conn]bool{}, groups: map[string]*tally{}}
}

// listenArgs say where a receiver listens and with which secret it is to be
// called.
type listenArgs struct {
	Address string `json:"address"`
	Secret  string `json:"secret"`
}

// awaitArgs name what to wait for: so many events of each of the groups, for
// as long as there is some progress.
type awaitArgs struct {
	Groups   []string      `json:"groups"`
	Events   int64         `json:"events"`
	Patience time.Duration `json:"patience"`
}

func (r *receiver) do(ctx context.Context, what string, args json.RawMessage) (any, error) {
	switch what {
	case "listen":
		var l listenArgs
		if err := json.Unmarshal(args, &l); err != nil {
			return nil, err
		}
		r.secret = l.Secret
		return r.listen(ctx, l.Address)
	case "close":
		r.close()
		return nil, nil //nolint:nilnil // there is nothing to tell
	case "reset":
		r.mu.Lock()
		defer r.mu.Unlock()
		r.groups = map[string]*tally{}
		return nil, nil //nolint:nilnil // there is nothing to tell
	case "await":
		var a awaitArgs
		if err := json.Unmarshal(args, &a); err != nil {
			return nil, err
		}
		r.await(ctx, &a)
		return r.counts(), nil
	case "counts":
		return r.counts(), nil
	default:
		return nil, fmt.Errorf("a receiver cannot %q", what)
	}
}

func (r *receiver) listen(ctx context.Context, address string) (string, error) {
	var err error
	if r.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address); err != nil {
		return "", err
	}
	r.connections.Go(func() {
		for {
			conn, err := r.listener.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.open[conn] = true
			r.mu.Unlock()
			r.connections.Go(func() {
				r.serve(conn)
				_ = conn.Close()
				r.mu.Lock()
				delete(r.open, conn)
				r.mu.Unlock()
			})
		}
	})
	return r.listener.Addr().String(), nil
}

func (r *receiver) close() {
	if r.listener == nil {
		return
	}
	_ = r.listener.Close()
	r.mu.Lock()
	for conn := range r.open {
		_ = conn.Close()
	}
	r.mu.Unlock()
	r.connections.Wait()
	r.listener = nil
}

var noContent = []byte("HTTP/1.1 204 No Content\r\n\r\n")

// serve answers what comes on a connection.
func (r *receiver) serve(conn net.Conn) {
	requests := newWireReader(conn)
	for n := 0; ; n++ {
		m, err := requests.read()
		if err != nil {
			return
		}
		at := time.Now()
		path := pathOf(m.head)
		if bytes.HasPrefix(path, []byte("/hang")) {
			_, _ = requests.read() // returns when the sender has had enough
			return
		}
		r.count(path, &m, at, n%checkEvery == 0)
		if _, err := conn.Write(noContent); err != nil {
			return
		}
	}
}

func (r *receiver) count(path []byte, m *httpMessage, at time.Time, check bool) {
	group := bytes.TrimPrefix(path, []byte("/"))
	group, _, _ = bytes.Cut(group, []byte("/"))
	r.mu.Lock()
	t := r.groups[string(group)]
	if t == nil {
		t = &tally{}
		r.groups[string(group)] = t
	}
	r.mu.Unlock()
	sentAt, number, ok := readStamp(m.body)
	ok = ok && (!check || r.signed(m, at))
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !ok:
		t.Wrong++
	case !t.seen.add(number):
		t.Again++
	default:
		if t.Events == 0 {
			t.First = at
		}
		t.Events++
		t.Last = at
		t.delays.add(at.Sub(sentAt))
	}
}

func (r *receiver) signed(m *httpMessage, now time.Time) bool {
	h := http.Header{}
	for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
		if value, ok := headerValue(m.head, bytes.ToLower([]byte(name+":"))); ok {
			h.Set(name, string(value))
		}
	}
	return signature.Verify(r.secret, h, m.body, now) == nil
}

func (r *receiver) counts() map[string]received {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]received{}
	for name, t := range r.groups {
		t.mu.Lock()
		c := t.received
		c.Delays = t.delays.histogram()
		t.mu.Unlock()
		all[name] = c
	}
	return all
}

// await looks every so often, which costs those at work less than being told.
func (r *receiver) await(ctx context.Context, a *awaitArgs) {
	const every = 5 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	before, still := int64(-1), time.Now()
	for {
		all, done := int64(0), true
		r.mu.Lock()
		for _, name := range a.Groups {
			n := int64(0)
			if t := r.groups[name]; t != nil {
				t.mu.Lock()
				n = t.Events
				t.mu.Unlock()
			}
			all += n
			done = done && n >= a.Events
		}
		r.mu.Unlock()
		if all != before {
			before, still = all, time.Now()
		}
		if done || time.Since(still) > a.Patience {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

var errLost = errors.New("events were lost")

// verify reports what a group has received otherwise than it should.
func (c *received) verify(group string, want int64) error {
	switch {
	case c.Wrong > 0:
		return fmt.Errorf("%s: %d webhooks were not signed as they should be", group, c.Wrong)
	case c.Events != want:
		return fmt.Errorf("%s: %w: %d of %d came", group, errLost, c.Events, want)
	default:
		return nil
	}
}
