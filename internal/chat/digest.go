package chat

import (
	"fanfare/internal/webhook"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Digest gathers what many messages of one dataset and type say, so that it
// can be told at once.
type Digest struct {
	// ID is the digest's own, under which it is sent.
	ID webhook.ID
	// CreatedAt is when it was put together.
	CreatedAt time.Time
	kind      webhook.Kind
	links     Links

	eventType, dataset string
	events             int
	first, last        string
	statuses           map[string]int
	// texts are those of the first few messages.
	texts []string
	// only is the message while there is one.
	only *webhook.Message
	// batch is the messages as a generic endpoint gets them.
	batch []byte
}

// maxLines is how many messages are told one by one; of more only the sum is.
const maxLines = 5

// MaxBatch bounds the JSON of a digest for a generic endpoint, in bytes. One
// message alone may be more.
const MaxBatch = 1 << 20

// NewDigest makes a digest for an endpoint of a kind.
func NewDigest(id webhook.ID, k webhook.Kind, at time.Time, l Links) *Digest {
	return &Digest{ID: id, CreatedAt: at, kind: k, links: l, statuses: map[string]int{}}
}

// Add takes a message in, and reports whether there was room for it. All of a
// digest are of one dataset and type; order is the order of telling.
func (d *Digest) Add(m *webhook.Message) bool {
	if !d.kind.Chat() {
		item := batchItem(m)
		if d.events > 0 && len(d.batch)+len(item) > MaxBatch {
			return false
		}
		d.batch = append(append(d.batch, ','), item...)
	}
	if d.events == 0 {
		d.eventType, d.dataset, d.first, d.only = m.EventType, m.Dataset, m.Subject, m
	} else {
		d.only = nil
	}
	d.events++
	d.last = m.Subject
	p := read(m)
	switch about, _, _ := strings.Cut(m.EventType, "."); {
	case m.Dataset == "":
	case about == "label" && p.Object.LabelStatus != "":
		d.statuses[p.Object.LabelStatus]++
	case about == "issue" && p.Object.Status != "":
		d.statuses[p.Object.Status]++
	}
	if d.events <= maxLines {
		text := p.Text
		if text == "" {
			text = m.EventType
		}
		d.texts = append(d.texts, cut(line(unescape.Replace(text)), maxLine))
	}
	return true
}

// Events is how many messages the digest tells of.
func (d *Digest) Events() int { return d.events }

// Body is what is sent: for a chat service a message in its form, which is that
// of the event when there is one alone; for a generic endpoint the messages in
// an envelope.
func (d *Digest) Body() []byte {
	switch {
	case !d.kind.Chat():
		return d.envelope()
	case d.only != nil:
		return Render(d.kind, d.only, d.links)
	}
	n := d.note()
	return n.render(d.kind, nil)
}

func (d *Digest) note() note {
	n := note{text: cut(d.sentence(), maxText), at: d.CreatedAt, tone: d.tone()}
	if d.events <= maxLines {
		n.lines = d.texts
	}
	n.links = append(d.links.toDataset(d.dataset), d.links.toEvent("Events", webhook.MessageID.Format(d.ID))...)
	return n
}

// Text is the digest in a sentence.
func (d *Digest) Text() string {
	if d.events == 1 {
		return d.texts[0]
	}
	return d.sentence()
}

func (d *Digest) sentence() string {
	about, what, dotted := strings.Cut(d.eventType, ".")
	number := grouped(d.events)
	switch {
	case d.dataset == "" || !dotted:
		return number + " events " + line(d.eventType) + "."
	case about == "dataset":
		return "Dataset " + line(d.dataset) + " " + what + " " + number + " times."
	}
	where := " in dataset "
	if what == "deleted" {
		where = " from dataset "
	}
	return number + " " + about + "s " + what + where + line(d.dataset) + d.names() + d.tally() + "."
}

// names tells from which to which the digest goes.
func (d *Digest) names() string {
	first, last := cut(line(d.first), maxTitle), cut(line(d.last), maxTitle)
	switch {
	case first == "" || last == "":
		return ""
	case first == last:
		return " (" + first + ")"
	case d.events == 2:
		return " (" + first + ", " + last + ")"
	default:
		return " (" + first + " … " + last + ")"
	}
}

// tally counts by status, what comes most often first.
func (d *Digest) tally() string {
	if len(d.statuses) == 0 {
		return ""
	}
	names := slices.SortedFunc(maps.Keys(d.statuses), func(a, b string) int {
		if n := d.statuses[b] - d.statuses[a]; n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = grouped(d.statuses[name]) + " " + cut(line(name), maxTitle)
	}
	return ": " + strings.Join(parts, ", ")
}

func (d *Digest) tone() tone {
	about, what, _ := strings.Cut(d.eventType, ".")
	switch {
	case what == "deleted":
		return warnTone
	case about == "release":
		return goodTone
	case about == "issue":
		if d.statuses["CLOSED"] == d.events {
			return goodTone
		}
		return warnTone
	case about == "label" && d.statuses["REJECTED"] > 0:
		return badTone
	case about == "label" && d.statuses["REVIEWED"]+d.statuses["VERIFIED"] == d.events:
		return goodTone
	case what == "created" || d.dataset == "":
		return accentTone
	default:
		return plainTone
	}
}

// envelopeTime is how the envelope gives times.
const envelopeTime = "2006-01-02T15:04:05.000000Z"

// batchItem is one message in the envelope, its payload byte for byte.
func batchItem(m *webhook.Message) []byte {
	b := append([]byte(`{"id":"`), webhook.MessageID.Format(m.ID)...)
	b = append(b, `","timestamp":"`...)
	b = m.CreatedAt.UTC().AppendFormat(b, envelopeTime)
	b = append(b, `","payload":`...)
	return append(append(b, m.Payload...), '}')
}

// envelope is the batch that a generic endpoint gets; docs/digests.md has its
// form.
func (d *Digest) envelope() []byte {
	dataset := []byte("null")
	if d.dataset != "" {
		dataset = marshal(d.dataset)
	}
	b := append([]byte(`{"type":"digest","id":"`), webhook.MessageID.Format(d.ID)...)
	b = append(b, `","timestamp":"`...)
	b = d.CreatedAt.UTC().AppendFormat(b, envelopeTime)
	b = append(b, `","event_type":`...)
	b = append(b, marshal(d.eventType)...)
	b = append(append(b, `,"dataset":`...), dataset...)
	b = strconv.AppendInt(append(b, `,"count":`...), int64(d.events), 10)
	b = append(append(b, `,"text":`...), marshal(slackEscape.Replace(d.Text()))...)
	b = append(append(b, `,"events":[`...), d.batch[1:]...)
	return append(b, "]}"...)
}

// grouped writes a number with commas between its thousands.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
