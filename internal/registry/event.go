package registry

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Event is one change, as the owner of the dataset is told of it.
type Event struct {
	Type string
	// At is when the change was made.
	At time.Time
	// Dataset is the full name of the dataset at that moment.
	Dataset string
	// Subject is the name of the sample it is about; empty for a dataset or a
	// release.
	Subject string
	// Object is the thing after the change; before it, when it is gone.
	Object Object
	// Text is one line for people.
	Text string
	// sheds are the members that Payload makes smaller when there is too much,
	// in this order.
	sheds []shed
}

// shed is a member that can be made smaller.
type shed struct {
	name string
	// value is what is left of it when it must lose so many bytes.
	value func(lose int) json.RawMessage
}

// emptied is a member of which nothing is left but an empty value.
func emptied(name, empty string) shed {
	return shed{name, func(int) json.RawMessage { return json.RawMessage(empty) }}
}

// APIVersion is the version of the payload's form.
const APIVersion = "2021-08-01"

// envelopeTime is the layout of the envelope's created_at, which prints
// "+00:00" for UTC where objects print "Z".
const envelopeTime = "2006-01-02T15:04:05.000000-07:00"

// Payload is the JSON that is stored, signed and sent: six members in the
// order of the documentation page. When it would be longer than most bytes,
// large members of the object are emptied and named in its member "omitted".
func (e *Event) Payload(most int) []byte {
	object := e.Object
	around := 160 + len(e.Dataset) + len(e.Type) + len(e.Text)
	var omitted []string
	for _, shed := range e.sheds {
		lose := around + object.Size() - most
		if lose <= 0 {
			break
		}
		i := slices.IndexFunc(object, func(m Member) bool { return m.Name == shed.name })
		value := shed.value(lose)
		if bytes.Equal(object[i].Value, value) {
			continue
		}
		if omitted == nil {
			object = append(slices.Clip(slices.Clone(object)), Member{Name: "omitted"})
		}
		object[i].Value = value
		omitted = append(omitted, shed.name)
		object[len(object)-1].Value = []byte(`["` + strings.Join(omitted, `","`) + `"]`)
	}
	var envelope Object
	envelope.text("event_type", e.Type)
	envelope.text("created_at", e.At.UTC().Format(envelopeTime))
	envelope.text("api_version", APIVersion)
	envelope.text("dataset", e.Dataset)
	envelope.object("object", object)
	envelope.text("text", e.Text)
	return envelope.Append(make([]byte, 0, envelope.Size()))
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// plain makes what a user gave fit for a text: one line, and without the
// characters that mean something to Slack, where <!channel> would ping people
// (https://api.slack.com/reference/surfaces/formatting#escaping).
func plain(s string) string { return escaper.Replace(fold(s)) }

// fold makes one line of a text.
func fold(s string) string {
	var b strings.Builder
	control := false
	for _, r := range s {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			if !control {
				b.WriteByte(' ')
			}
			control = true
			continue
		}
		control = false
		b.WriteRune(r)
	}
	return b.String()
}

// quoted is what somebody wrote, plain and not too long.
func quoted(s string) string {
	const most = 200
	s = fold(s)
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "…"
	}
	return `"` + escaper.Replace(s) + `"`
}

func enumerate(names []string) string { return strings.Join(names, ", ") }
