package bench

import (
	"context"
	"errors"
	"fanfare/internal/app"
	"fanfare/internal/auth"
	"fanfare/internal/config"
	"fanfare/internal/registry"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"
)

// loadArgs say what history a database is to have.
type loadArgs struct {
	Config config.Config `json:"config"`
	// Messages is how many there are to be, each delivered once: half of them
	// of one account with many endpoints, about samples of its datasets, the
	// others of Customers with one endpoint each.
	Messages  int    `json:"messages"`
	Customers int    `json:"customers"`
	Size      int    `json:"size"`
	URL       string `json:"url"`
	Secret    string `json:"secret"`
}

// history is what a database holds.
type history struct {
	// Paths are where messages of each of the customers go.
	Paths []string `json:"paths"`
	// Lists are the lists that are looked at, by what they show, and Pages the
	// pages of the portal. Cookie is the session that opens those.
	Lists  map[string]string `json:"lists"`
	Pages  map[string]string `json:"pages"`
	Cookie string            `json:"cookie"`
}

// bigEndpoints is how many endpoints the account has.
const bigEndpoints = 10

// loader fills a database.
type loader struct {
	loadArgs
	store       *store.Store
	environment webhook.ID
	account     registry.Account
	session     string
	big         []*webhook.Endpoint
	small       []*webhook.Endpoint
	// middle is the message halfway.
	middle webhook.ID
}

// slice is how many messages are stored at a time.
const slice = 1000

func loadHistory(ctx context.Context, args loadArgs) (*history, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := app.OpenStore(ctx, &args.Config, log, true)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	l := &loader{loadArgs: args, store: s}
	if l.environment, err = s.Environment(ctx, store.MainEnvironment); err != nil {
		return nil, err
	}
	if err := errors.Join(l.owner(ctx), l.customers(ctx)); err != nil {
		return nil, err
	}
	for first := 0; first < l.Messages; first += slice {
		if err := l.load(ctx, first, min(first+slice, l.Messages)); err != nil {
			return nil, err
		}
	}
	return l.history(), l.index(ctx)
}

// index brings what was stored into the index of names. What is too young for
// that is left to the node.
func (l *loader) index(ctx context.Context) error {
	const looks = 2 // the first may only note which transactions are under way
	for range looks {
		for more := true; more; {
			var err error
			if more, err = l.store.IndexNames(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// owner makes the account with most of the messages, which sees the pages of
// the operator too, and a session of its own.
func (l *loader) owner(ctx context.Context) (err error) {
	if l.account, err = l.store.CreateAccount(ctx, registry.Account{Name: accountName, Operator: true}, ""); err != nil {
		return err
	}
	if l.account, err = l.store.EnableWebhooks(ctx, l.account.ID, accountName, true); err != nil {
		return err
	}
	l.session = auth.NewToken("")
	return l.store.SaveSession(ctx, auth.Hash(l.session), l.account.ID)
}

// customers makes the applications with their endpoints. Each endpoint of the
// account wants a type of its own, and the first the type that is sent.
func (l *loader) customers(ctx context.Context) error {
	for i := range l.Customers + 1 {
		a := webhook.Application{ID: l.account.Application}
		count, list := bigEndpoints, &l.big
		if i > 0 {
			var err error
			count, list = 1, &l.small
			a, err = l.store.CreateApplication(ctx, webhook.Application{
				Environment: l.environment, Name: fmt.Sprintf("customer %d", i), Metadata: map[string]string{},
			})
			if err != nil {
				return err
			}
		}
		for n := range count {
			e := webhook.Endpoint{
				Application: a.ID, URL: fmt.Sprintf("%s/%d-%d", l.URL, i, n), Version: 1, Metadata: map[string]string{},
				Secrets: []webhook.Secret{{Key: l.Secret}}, EventTypes: []string{typeOf(n)},
			}
			made, err := l.store.CreateEndpoint(ctx, e)
			if err != nil {
				return err
			}
			*list = append(*list, made)
		}
	}
	return nil
}

// onceType is the event type of the oldest message, and of no other.
const onceType = eventType + ".once"

// typeOf is the event type that the n-th endpoint of a customer wants.
func typeOf(n int) string {
	if n == 0 {
		return eventType
	}
	return fmt.Sprintf("%s.%d", eventType, n)
}

// The account has a few datasets, and works on one for a while before the next.
// Names of samples come in no order. That of the oldest sample, of one in the
// middle and of the newest begin otherwise, and the payload of the oldest holds
// a word of its own.
const (
	accountName = "bench"
	datasets    = 20
	atOnce      = 997
	rareSample  = "needle"
	rareWord    = "haystack"
)

// about says what the k-th message of the account is about.
func (l *loader) about(k int) (dataset, sample string) {
	dataset = fmt.Sprintf("%s/photos-%d", accountName, k/atOnce%datasets)
	const prime = 10_000_019
	sample = fmt.Sprintf("img_%08d.jpg", k*7919%prime)
	if newest := (l.Messages - 1) / 2; k == 0 || k == newest/2 || k == newest {
		sample = fmt.Sprintf("%s_%d.jpg", rareSample, k)
	}
	return dataset, sample
}

// told is the payload of a message about a sample.
func told(eventType, dataset, sample, note string, size int) []byte {
	const form = `{"event_type":%q,"created_at":"2026-08-09T14:40:19.987691+00:00","api_version":"2021-08-01","dataset":%q,` +
		`"object":{"name":%q,"note":%q},"text":"Sample %s changed in dataset %s."}`
	text := fmt.Sprintf(form, eventType, dataset, sample, note, sample, dataset)
	const filler = "The quick brown fox jumps over the lazy dog. "
	if room := size - len(text); room > 0 {
		note += strings.Repeat(filler, room/len(filler)+1)[:room]
		text = fmt.Sprintf(form, eventType, dataset, sample, note, sample, dataset)
	}
	return []byte(text)
}

// load stores the messages of a slice. One attempt in a thousand has failed.
func (l *loader) load(ctx context.Context, first, end int) error {
	text := payload(l.Size)
	messages := make([]*webhook.Message, 0, end-first)
	attempts := make([]webhook.Attempt, 0, end-first)
	for i := first; i < end; i++ {
		n := i / 2 % bigEndpoints
		to := l.big[n]
		if i%2 == 1 {
			// One after another, so that it loads fast whatever the index.
			n, to = 0, l.small[i*len(l.small)/l.Messages]
		}
		kind := typeOf(n)
		if i == 0 {
			kind = onceType
		}
		now := time.Now()
		a := webhook.Attempt{
			DeliveryKey: webhook.DeliveryKey{Endpoint: to.ID}, Number: 1, Outcome: webhook.Delivered, Ends: webhook.Succeeded,
			StatusCode: 204, URL: to.URL, StartedAt: now, RequestHead: []byte("Content-Type: application/json\n"),
		}
		if i/2%1000 == 0 {
			a.Outcome, a.Ends, a.StatusCode, a.Response = webhook.Refused, webhook.Failed, 500, []byte("no")
		}
		m := &webhook.Message{Application: to.Application, EventType: kind, Payload: text, CreatedAt: now}
		if i%2 == 0 {
			m.Dataset, m.Subject = l.about(i / 2)
			note := ""
			if i == 0 {
				note = rareWord
			}
			m.Payload = told(kind, m.Dataset, m.Subject, note, l.Size)
		}
		messages = append(messages, m)
		attempts = append(attempts, a)
	}
	if err := l.store.LoadHistory(ctx, messages, attempts); err != nil {
		return err
	}
	if first <= l.Messages/2 {
		l.middle = messages[0].ID
	}
	return nil
}

func (l *loader) history() *history {
	h := &history{Cookie: l.session, Pages: l.pages()}
	path := func(id webhook.ID) string { return "/api/v1/app/" + webhook.ApplicationID.Format(id) }
	for _, e := range l.small {
		h.Paths = append(h.Paths, path(e.Application)+"/msg")
	}
	app, endpoint := path(l.big[0].Application), webhook.EndpointID.Format(l.big[0].ID)
	middle := webhook.MessageID.Format(l.middle)
	h.Lists = map[string]string{
		"messages":                          app + "/msg?limit=50",
		"messages, from the middle":         app + "/msg?limit=50&iterator=" + middle,
		"messages of a type":                app + "/msg?limit=50&event_types=" + typeOf(3),
		"messages of a type that came once": app + "/msg?limit=50&event_types=" + onceType,
		"attempts at an endpoint":           app + "/attempt/endpoint/" + endpoint + "?limit=50",
		"attempts at an endpoint, 250":      app + "/attempt/endpoint/" + endpoint + "?limit=250",
		"failed attempts at an endpoint":    app + "/attempt/endpoint/" + endpoint + "?limit=5&status=2",
		"attempts for a message":            app + "/attempt/msg/" + middle,
		"messages of an endpoint":           app + "/endpoint/" + endpoint + "/msg?limit=50",
		"messages that failed, by endpoint": app + "/endpoint/" + endpoint + "/msg?limit=5&status=2",
	}
	return h
}

// aged is a node with a history of a size.
type aged struct {
	history
	size  int
	node  *remote
	times map[string][]time.Duration
	spent map[string]time.Duration
}

// ages measures what a delivery costs and how long a page of a list takes when
// few messages are stored and when many are.
func ages(ctx context.Context, b *run) error {
	w, err := b.world(ctx)
	if err != nil {
		return err
	}
	var all []*aged
	var sides []*side
	for _, size := range b.History {
		a, err := b.aged(ctx, w, size)
		if err != nil {
			return err
		}
		l := b.load(a.node, a.Paths...)
		all = append(all, a)
		sides = append(sides, &side{
			name: fmt.Sprintf("%d stored", size), groups: []string{fmt.Sprintf("of-%d", size)},
			at: []*process{w.producer, a.node.process, w.receiver}, send: w.sends(l),
		})
	}
	if err := b.compare(ctx, sides...); err != nil {
		return err
	}
	cost := func(s *side) float64 { return s.result().CPU[roleNode].Seconds() }
	last := len(sides) - 1
	b.report.figure(cost(sides[last])/cost(sides[0]), "", "processor time of the node, %d stored to %d", all[last].size, all[0].size)
	return b.lists(ctx, all)
}

// aged makes a database with a history, and starts a node on it.
func (b *run) aged(ctx context.Context, w *world, size int) (*aged, error) {
	cfg, err := b.fresh(ctx)
	if err != nil {
		return nil, err
	}
	p, err := b.start(roleNode)
	if err != nil {
		return nil, err
	}
	b.report.progress("%d messages are stored", size)
	a := &aged{size: size, times: map[string][]time.Duration{}, spent: map[string]time.Duration{}}
	began := time.Now()
	err = p.ask(ctx, "load", loadArgs{
		Config: *cfg, Messages: size, Customers: b.Endpoints, Size: b.Size, URL: fmt.Sprintf("%s/of-%d", w.url, size), Secret: b.secret,
	}, &a.history)
	if err != nil {
		return nil, err
	}
	b.report.figure(time.Since(began).Seconds(), "s", "time to store %d messages with an attempt each", size)
	p.stop()
	a.node, err = b.reopen(ctx, cfg)
	return a, err
}

// looks is how often each page is asked for, unless that takes too long.
const (
	looks   = 60
	tooLong = 10 * time.Second
)

// lists takes the times of pages of lists at the nodes in turn.
func (b *run) lists(ctx context.Context, all []*aged) error {
	for i := range looks {
		b.report.progress("look %d of %d at each list", i+1, looks)
		for _, a := range all {
			for name, path := range a.Lists {
				if a.spent[name] > tooLong {
					continue
				}
				began := time.Now()
				if err := a.node.get(ctx, path); err != nil {
					return err
				}
				took := time.Since(began)
				a.times[name], a.spent[name] = append(a.times[name], took), a.spent[name]+took
			}
		}
	}
	for _, name := range sortedKeys(all[0].Lists) {
		var times []string
		for _, a := range all {
			times = append(times, show(medianOf(a.times[name])))
		}
		first, last := medianOf(all[0].times[name]), medianOf(all[len(all)-1].times[name])
		b.report.figure(float64(last)/float64(first), "", "page of %s (%s)", name, strings.Join(times, ", "))
	}
	return nil
}
