package webhook

import (
	"slices"
	"time"
)

// Token lets its bearer use the sender's API: for a whole environment, or for
// one application.
type Token struct {
	ID          ID
	Environment ID
	// Application is the one application it is for; zero for all of the
	// environment.
	Application ID
	// Hint is the end of the token, by which people tell it from others.
	Hint string
	// Session groups tokens that are expired together; empty for none.
	Session string
	// Capabilities limit what a token of an application may do; nil is all.
	Capabilities []Capability
	// FeatureFlags are held by the bearer; see EventType.
	FeatureFlags []string
	CreatedAt    time.Time
	// ExpiresAt is when it stops working; zero for never.
	ExpiresAt time.Time
}

// Capability is one thing that the bearer of an application's token may do
// beyond looking.
type Capability string

// The capabilities of the webhooks contract (its section 9.10).
const (
	ViewBase              Capability = "ViewBase"
	ViewEndpointSecret    Capability = "ViewEndpointSecret"
	ManageEndpointSecret  Capability = "ManageEndpointSecret"
	ManageTransformations Capability = "ManageTransformations"
	CreateAttempts        Capability = "CreateAttempts"
	ManageEndpoint        Capability = "ManageEndpoint"
)

// Capabilities lists them all.
func Capabilities() []Capability {
	return []Capability{ViewBase, ViewEndpointSecret, ManageEndpointSecret, ManageTransformations, CreateAttempts, ManageEndpoint}
}

// Can reports whether the token has a capability.
func (t *Token) Can(c Capability) bool {
	return t.Capabilities == nil || slices.Contains(t.Capabilities, c)
}
