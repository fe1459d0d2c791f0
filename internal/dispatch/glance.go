package dispatch

import "fanfare/internal/webhook"

// Breaker is what this node makes of an endpoint's health now.
func (d *Dispatcher) Breaker(endpoint webhook.ID) webhook.Breaker {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.core.lanes[endpoint]; l != nil {
		return l.breaker
	}
	return webhook.Breaker{}
}
