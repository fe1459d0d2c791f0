package webhook

import (
	"encoding/json"
	"slices"
	"time"
)

// EventType is one kind of message in the catalogue of an environment.
type EventType struct {
	Environment ID
	Name        string
	Description string
	// Schemas maps a version ("1") to the JSON Schema of the payload; nil when
	// there is none.
	Schemas map[string]json.RawMessage
	// Archived types are hidden, and endpoints cannot choose them.
	Archived   bool
	Deprecated bool
	// Validated has payloads of this type refused that do not fit the schema.
	Validated bool
	// FeatureFlags hide the type from tokens of applications that hold none of
	// them; nil shows it to everybody.
	FeatureFlags []string
	GroupName    string
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Visible reports whether somebody who holds these feature flags sees the type.
func (t *EventType) Visible(flags []string) bool {
	if t.FeatureFlags == nil {
		return true
	}
	return slices.ContainsFunc(flags, func(held string) bool { return slices.Contains(t.FeatureFlags, held) })
}

// Schema is the schema of the newest version, or nil. Versions are numbers;
// other names come before them.
func (t *EventType) Schema() json.RawMessage {
	best, schema := -1, json.RawMessage(nil)
	for version, s := range t.Schemas {
		n := 0
		for _, c := range version {
			if c < '0' || c > '9' || n > 1e9 {
				n = 0
				break
			}
			n = 10*n + int(c-'0')
		}
		if n > best {
			best, schema = n, s
		}
	}
	return schema
}
