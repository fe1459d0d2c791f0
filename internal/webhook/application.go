package webhook

import (
	"regexp"
	"strings"
	"time"
)

// Application is one customer of the sender. It owns endpoints and messages
// and sees nothing of another's.
type Application struct {
	ID          ID
	Environment ID
	// UID is the platform's own name for the application, unique in its
	// environment; empty when it has none.
	UID  string
	Name string
	// Metadata is the platform's own; never nil when read from the store.
	Metadata map[string]string
	// Throttle is the most messages a second sent for all endpoints together;
	// 0 means no limit.
	Throttle int
	// Account is the registry account that this application belongs to. Such
	// an application keeps its UID and cannot be deleted.
	Account   ID
	CreatedAt time.Time
	UpdatedAt time.Time
}

// MaxNameLength bounds uids, event ids and event type names.
const MaxNameLength = 256

var name = regexp.MustCompile(`^[a-zA-Z0-9\-_.]{1,256}$`)

// ValidName reports whether s may be an event type name, a group name or a
// feature flag.
func ValidName(s string) bool { return name.MatchString(s) }

// ValidUID reports whether s may be the uid of a thing whose ids bear prefix.
// A uid that looks like an id would make paths ambiguous.
func ValidUID(s string, prefix Prefix) bool {
	return name.MatchString(s) && !strings.HasPrefix(s, string(prefix))
}
