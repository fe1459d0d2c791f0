package dispatch

import (
	"fanfare/internal/egress"
	"fanfare/internal/signature"
	"fanfare/internal/webhook"
	"slices"
	"strings"
	"sync"
	"time"
)

// plan is what all calls to an endpoint have in common, worked out once: until
// its URL, headers or secrets change.
type plan struct {
	url     string
	headers []webhook.Header
	secrets []webhook.Secret

	to *egress.Target
	// header is what is sent apart from the signature. The values of the
	// first fields, so many as hidden says, are nobody's business but the
	// owner's.
	header []egress.Field
	hidden int
	keys   []signature.Key // of secrets
}

// fits reports whether the plan is one for the endpoint as it is now.
func (p *plan) fits(to *webhook.Endpoint) bool {
	return p.url == to.URL && slices.Equal(p.headers, to.Headers) && slices.Equal(p.secrets, to.Secrets)
}

// live appends the keys that are in force.
func (p *plan) live(keys []signature.Key, at time.Time) []signature.Key {
	for i, s := range p.secrets {
		if s.ExpiresAt.IsZero() || s.ExpiresAt.After(at) {
			keys = append(keys, p.keys[i])
		}
	}
	return keys
}

func newPlan(to *webhook.Endpoint, userAgent string) (*plan, error) {
	p := &plan{url: to.URL, headers: slices.Clone(to.Headers), secrets: slices.Clone(to.Secrets)}
	var err error
	if p.to, err = egress.ParseTarget(to.URL); err != nil {
		return nil, err
	}
	for _, s := range p.secrets {
		key, err := signature.ParseSecret(s.Key)
		if err != nil {
			return nil, err
		}
		p.keys = append(p.keys, key)
	}
	accept := true
	for _, h := range p.headers {
		if webhook.HeaderProblem(h.Name, h.Value) != "" {
			continue // it cannot be stored any more, and none of ours is to be replaced
		}
		p.header = append(p.header, egress.Field{Name: h.Name, Value: h.Value})
		accept = accept && !strings.EqualFold(h.Name, "Accept")
	}
	p.hidden = len(p.header)
	if accept {
		p.header = append(p.header, egress.Field{Name: "Accept", Value: "*/*"})
	}
	p.header = append(p.header, egress.Field{Name: "Content-Type", Value: "application/json"},
		egress.Field{Name: "User-Agent", Value: userAgent})
	return p, nil
}

// maxPlans bounds the plans that are kept. One that was forgotten is made anew.
const maxPlans = 10_000

// plans keeps the plans of endpoints. Its zero value works.
type plans struct {
	mu   sync.RWMutex
	kept map[webhook.ID]*plan
}

// of returns the plan for an endpoint.
func (ps *plans) of(to *webhook.Endpoint, userAgent string) (*plan, error) {
	ps.mu.RLock()
	p := ps.kept[to.ID]
	ps.mu.RUnlock()
	if p != nil && p.fits(to) {
		return p, nil
	}
	p, err := newPlan(to, userAgent)
	if err != nil {
		return nil, err
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.kept == nil {
		ps.kept = make(map[webhook.ID]*plan)
	}
	for id := range ps.kept {
		if len(ps.kept) < maxPlans {
			break
		}
		delete(ps.kept, id)
	}
	ps.kept[to.ID] = p
	return p, nil
}
