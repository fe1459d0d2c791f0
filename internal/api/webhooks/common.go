package webhooks

import (
	"fanfare/internal/webhook"
	"math"
	"strings"
)

// Rules that several resources share (contract, sections 5 and 9).
const (
	namePattern    = `^[a-zA-Z0-9\-_.]{1,256}$`
	nameProblem    = "must be 1 to 256 letters, digits, dots, underscores and hyphens"
	channelPattern = `^[a-zA-Z0-9\-_.:+]{1,256}$`
	channelProblem = "must be 1 to 256 letters, digits and characters of -_.:+"
	tagPattern     = `^[a-zA-Z0-9\-_./\\#]{1,128}$`
	tagProblem     = `must be 1 to 128 letters, digits and characters of -_./\#`
)

func uidField(name string, prefix webhook.Prefix, doc string) field {
	return field{
		name: name, kind: text, nullable: true, doc: doc, pattern: namePattern,
		valid:   func(s string) bool { return webhook.ValidUID(s, prefix) },
		problem: nameProblem + ", and must not begin with " + string(prefix),
	}
}

// plainText reports whether s has no control characters, but for line breaks
// and tabs.
func plainText(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f })
}

var (
	metadataField = field{
		name: "metadata", kind: textMap, nullable: true, maxBytes: webhook.MaxMetadata,
		doc: "Names and values of your own, at most 4096 bytes as JSON.",
	}
	throttleField = field{
		name: "throttleRate", alias: "rateLimit", kind: integer, nullable: true, min: 1, max: webhook.MaxThrottle,
		doc: "The most messages a second; null is no limit.",
	}
	descriptionField = field{
		name: "description", kind: text, max: 10_000, valid: plainText, problem: "must not contain control characters",
		doc: "For people.", given: "",
	}
)

// orNull is a pointer to v, or nil when it is the zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// metadata is the map that a body holds, never nil.
func metadata(v values) map[string]string {
	if m := get[map[string]string](v, "metadata"); m != nil {
		return m
	}
	return map[string]string{}
}

func throttle(v values) int { return int(min(get[int64](v, "throttleRate"), math.MaxInt32)) }
