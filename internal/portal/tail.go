package portal

import (
	"bytes"
	"errors"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The bounds of live tails: how often one looks for new attempts, how long one
// lasts before the browser asks anew, and how many there are at a time, in all
// and of one application, so that none takes them from the others.
const (
	tailEvery = time.Second
	tailLife  = 10 * time.Minute
	maxTails  = 256
	// Somebody with many windows has fewer.
	maxTailsOf = 32
	// maxTailed is how many rows one look sends at most, maxTailLook how many
	// attempts it finds.
	maxTailed   = 200
	maxTailLook = 20_000
	// tailLag is how much later than its id says an attempt may show up: ids are
	// made before the commit, and commits end in any order.
	tailLag = 5 * time.Second
	// tailWrite bounds a write to a browser that has gone without a word.
	tailWrite = 10 * time.Second
)

// tail sends the rows of new attempts at an endpoint as server-sent events,
// until the browser goes away. After is the oldest attempt that its page shows:
// it is sent those again that are newer, and leaves out what it shows already.
func (p *Portal) tail(v *visit) error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	if !p.tails.begin(e.Application) {
		return fmt.Errorf("too many live tails: %w", webhook.ErrUnavailable)
	}
	defer p.tails.end(e.Application)
	stream := &stream{visit: v, endpoint: e, after: webhook.FloorID(time.Now().Add(-tailLag))}
	if last, err := webhook.AttemptID.Parse(v.Header.Get("Last-Event-Id")); err == nil {
		stream.after, stream.last = behind(last), last
	} else if after, err := webhook.AttemptID.Parse(v.URL.Query().Get("after")); err == nil {
		stream.after, stream.last = after, after
	}
	v.w.Header().Set("Content-Type", "text/event-stream")
	v.w.Header().Set("X-Accel-Buffering", "no") // proxies pass it on as it comes
	if err := stream.send(": here\n\n"); err != nil {
		return nil // the browser has gone
	}
	end := time.NewTimer(tailLife)
	defer end.Stop()
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	for {
		if err := stream.more(); err != nil {
			return nil // the browser has gone, or asks again after a fault of the database
		}
		select {
		case <-tick.C:
		case <-end.C:
			return nil
		case <-p.stopped:
			return nil
		case <-v.Context().Done():
			return nil
		}
	}
}

// tails counts live tails. Its zero value is ready for use.
type tails struct {
	mu  sync.Mutex
	all int
	of  map[webhook.ID]int // by application
}

// begin reports whether there may be one more of an application; then end is
// called when it is over.
func (t *tails) begin(app webhook.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all >= maxTails || t.of[app] >= maxTailsOf {
		return false
	}
	if t.of == nil {
		t.of = map[webhook.ID]int{}
	}
	t.all++
	t.of[app]++
	return true
}

func (t *tails) end(app webhook.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all--
	if t.of[app]--; t.of[app] == 0 {
		delete(t.of, app)
	}
}

// stream is one live tail.
type stream struct {
	*visit
	endpoint *webhook.Endpoint
	// after is where the next look begins, last the newest attempt that was
	// sent, and seen are those that the last look has found.
	after, last webhook.ID
	seen        map[webhook.ID]bool
}

// behind is how far a look goes back behind an attempt that was sent.
func behind(last webhook.ID) webhook.ID { return webhook.FloorID(last.Time().Add(-tailLag)) }

// more sends what is new, late ones too. When that is more than anybody can read
// it is the newest of it: the log has the rest.
func (s *stream) more() error {
	found, err := s.p.store.AttemptsAfter(s.Context(), s.endpoint.Application, s.endpoint.ID, s.after, maxTailLook)
	if err != nil {
		return err
	}
	seen := make(map[webhook.ID]bool, len(found))
	var fresh []webhook.ID
	for _, id := range found {
		if seen[id] = true; !s.seen[id] {
			fresh = append(fresh, id)
		}
	}
	s.seen = seen
	if len(fresh) == 0 {
		return s.send(": still here\n\n")
	}
	fresh = fresh[:min(len(fresh), maxTailed)]
	slices.Reverse(fresh)
	attempts, err := s.p.store.LoggedAttempts(s.Context(), s.endpoint.Application, s.endpoint.ID, fresh)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	for i := range attempts {
		if bytes.Compare(attempts[i].ID[:], s.last[:]) > 0 {
			s.last = attempts[i].ID
		}
		if err := s.write(&out, &attempts[i]); err != nil {
			return err
		}
	}
	if from := behind(s.last); bytes.Compare(from[:], s.after[:]) > 0 {
		s.after = from
	}
	return s.send(out.String())
}

// write renders the row of an attempt as an event. A line break would end its
// data, and means nothing in HTML.
func (s *stream) write(out *bytes.Buffer, a *store.LoggedAttempt) error {
	var row bytes.Buffer
	if err := s.p.templates.ExecuteTemplate(&row, "attempt-row", rowView{s.base(), attemptRowOf(a)}); err != nil {
		return err
	}
	fmt.Fprintf(out, "id: %s\ndata: %s\n\n", webhook.AttemptID.Format(s.last), bytes.Join(bytes.Fields(row.Bytes()), []byte(" ")))
	return nil
}

func (s *stream) send(text string) error {
	c := http.NewResponseController(s.w)
	if err := c.SetWriteDeadline(time.Now().Add(tailWrite)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return c.Flush()
}

// Stop ends what would otherwise go on for as long as a browser looks, so that
// the node can be taken down.
func (p *Portal) Stop() { p.stop() }
