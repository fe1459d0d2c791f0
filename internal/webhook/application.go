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
	// MessageRetention and AttemptRetention are for how long its messages and
	// attempts are kept; 0 for as long as the installation keeps any, which is
	// the most. Attempts go with their messages at the latest.
	MessageRetention, AttemptRetention time.Duration
	// Account is the registry account that this application belongs to. Such
	// an application keeps its UID and cannot be deleted.
	Account ID
	// Operational marks the application whose endpoints hear of the
	// environment itself. It shows in no list.
	Operational bool
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Limits of the webhooks contract (its section 14).
const (
	// MaxMetadata bounds the JSON of metadata, in bytes.
	MaxMetadata = 4096
	// MaxThrottle is the highest rate limit, in messages a second.
	MaxThrottle = 65535
	// MaxHeaderValue bounds the value of a custom header, in bytes.
	MaxHeaderValue = 4096
	// MaxChannels and MaxTags bound the channels and tags of a message.
	MaxChannels = 10
	MaxTags     = 5
	// MaxOldSecrets is how many rotated keys may sign at the same time.
	MaxOldSecrets = 10
)

// MaxNameLength bounds uids, event ids and event type names.
const MaxNameLength = 256

var (
	name    = regexp.MustCompile(`^[a-zA-Z0-9\-_.]{1,256}$`)
	channel = regexp.MustCompile(`^[a-zA-Z0-9\-_.:+]{1,256}$`)
	tag     = regexp.MustCompile(`^[a-zA-Z0-9\-_./\\#]{1,128}$`)
)

// ValidName reports whether s may be an event type name, a group name or a
// feature flag.
func ValidName(s string) bool { return name.MatchString(s) }

// ValidUID reports whether s may be the uid of a thing whose ids bear prefix.
// A uid that looks like an id would make paths ambiguous.
func ValidUID(s string, prefix Prefix) bool {
	return name.MatchString(s) && !strings.HasPrefix(s, string(prefix))
}

// ValidChannel reports whether s may name a channel.
func ValidChannel(s string) bool { return channel.MatchString(s) }

// ValidTag reports whether s may be a tag of a message.
func ValidTag(s string) bool { return tag.MatchString(s) }
