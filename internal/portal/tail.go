package portal

import (
	"bytes"
	"errors"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"time"
)

// The bounds of live tails: how often one looks for new attempts, how long one
// lasts before the browser asks anew, and how many there are at a time.
const (
	tailEvery = time.Second
	tailLife  = 10 * time.Minute
	maxTails  = 256
	// maxTailed is how many rows one look sends at most.
	maxTailed = 200
	// tailLag is how much later than its id says an attempt may show up: ids are
	// made before the commit, and commits end in any order.
	tailLag = 5 * time.Second
	// tailWrite bounds a write to a browser that has gone without a word.
	tailWrite = 10 * time.Second
)

// tail sends the rows of new attempts at an endpoint as server-sent events,
// until the browser goes away. After says behind which attempt to begin.
func (p *Portal) tail(v *visit) error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	select {
	case p.tails <- struct{}{}:
		defer func() { <-p.tails }()
	default:
		return fmt.Errorf("%d live tails: %w", maxTails, webhook.ErrUnavailable)
	}
	ref := v.Header.Get("Last-Event-Id")
	if ref == "" {
		ref = v.URL.Query().Get("after")
	}
	last, err := webhook.AttemptID.Parse(ref)
	if err != nil {
		last = webhook.FloorID(time.Now())
	}
	stream := &stream{visit: v, endpoint: e, last: last, seen: map[webhook.ID]bool{last: true}, begin: last}
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

// stream is one live tail.
type stream struct {
	*visit
	endpoint *webhook.Endpoint
	// begin is where it began, last the newest attempt that it has sent.
	begin, last webhook.ID
	seen        map[webhook.ID]bool
}

// more sends what is new. It looks back a little, for what was late.
func (s *stream) more() error {
	after := webhook.FloorID(s.last.Time().Add(-tailLag))
	if bytes.Compare(after[:], s.begin[:]) < 0 {
		after = s.begin
	}
	found, err := s.p.store.SearchAttempts(s.Context(), s.endpoint.Application, s.endpoint.ID, store.Search{},
		store.Page{Limit: maxTailed, After: after, Ascending: true})
	if err != nil {
		return err
	}
	if len(found.Rows) == 0 {
		return s.send(": still here\n\n")
	}
	seen := make(map[webhook.ID]bool, len(found.Rows))
	var out bytes.Buffer
	for i := range found.Rows {
		a := &found.Rows[i]
		seen[a.ID] = true
		if s.seen[a.ID] {
			continue
		}
		if bytes.Compare(a.ID[:], s.last[:]) > 0 {
			s.last = a.ID
		}
		if err := s.write(&out, a); err != nil {
			return err
		}
	}
	s.seen = seen
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
