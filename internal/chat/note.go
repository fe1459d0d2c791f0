package chat

import (
	"encoding/json"
	"fanfare/internal/webhook"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// note is what a chat message says, before it takes the form of a service. All
// texts in it are plain: nothing is escaped, no character is a control.
type note struct {
	// text is one sentence; lines are further ones below it.
	text  string
	lines []string
	tone  tone
	// quote is what somebody wrote.
	quote string
	facts []fact
	links []link
	at    time.Time
}

type fact struct{ name, value string }

type link struct{ title, url string }

// tone is the mood of a note, which services show as a colour.
type tone int

const (
	plainTone  tone = iota
	goodTone        // reviewed, closed, released
	badTone         // rejected
	warnTone        // issues, and what is gone
	accentTone      // new
)

// colors are the tones as RGB.
var colors = map[tone]int{plainTone: 0x6b7280, goodTone: 0x2e9e5b, badTone: 0xd13438, warnTone: 0xd9822b, accentTone: 0x3b6fd4}

// How much of a text is shown, in characters. Services take more than that; what
// is cut is behind the links.
const (
	maxText  = 1000
	maxQuote = 1500
	maxLine  = 300
	maxValue = 200
	maxTitle = 80
	maxURL   = 1500
)

// Links lead from a chat message to the pages of the portal.
type Links struct {
	// Base is the public URL of the service, Account the name of the account
	// whose webhooks these are. Without either there are no links.
	Base, Account string
}

func (l Links) to(title, path string, query url.Values) []link {
	if l.Base == "" || l.Account == "" {
		return nil
	}
	u := l.Base + "/webhooks/" + url.PathEscape(l.Account) + path
	if query != nil {
		u += "?" + query.Encode()
	}
	if len(u) > maxURL {
		return nil
	}
	return []link{{cut(line(title), maxTitle), u}}
}

// toEvent leads to one event or digest, toDataset and toSample to the events of
// those.
func (l Links) toEvent(title, id string) []link { return l.to(title, "/events/"+id, nil) }

func (l Links) toDataset(dataset string) []link {
	if dataset == "" {
		return nil
	}
	return l.to(dataset, "/events", url.Values{"dataset": {dataset}})
}

func (l Links) toSample(dataset, sample string) []link {
	if sample == "" {
		return nil
	}
	return l.to(sample, "/events", url.Values{"dataset": {dataset}, "sample": {sample}})
}

// payload is what is read of a message. Only events of the registry have the
// object; text may be there in any.
type payload struct {
	Text   string `json:"text"`
	Object struct {
		Name         string `json:"name"`
		LabelStatus  string `json:"label_status"`
		Labelset     string `json:"labelset"`
		Status       string `json:"status"`
		Description  string `json:"description"`
		CreatedBy    string `json:"created_by"`
		UpdatedBy    string `json:"updated_by"`
		ReviewedBy   string `json:"reviewed_by"`
		SamplesCount int    `json:"samples_count"`
		Comments     []struct {
			Text      string `json:"text"`
			CreatedBy string `json:"created_by"`
		} `json:"comments"`
	} `json:"object"`
}

func read(m *webhook.Message) payload {
	var p payload
	// What has another form than ours is passed over.
	_ = json.Unmarshal(m.Payload, &p)
	return p
}

// unescape undoes what the registry did to names in texts so that Slack shows
// them as they are.
var unescape = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

// noteOf says what happened in one message.
func noteOf(m *webhook.Message, l Links) note {
	p := read(m)
	n := note{text: cut(line(unescape.Replace(p.Text)), maxText), at: m.CreatedAt}
	id := webhook.MessageID.Format(m.ID)
	n.links = append(append(append(n.links, l.toDataset(m.Dataset)...), l.toSample(m.Dataset, m.Subject)...), l.toEvent("Event", id)...)
	if m.Dataset == "" {
		n.foreign(m)
		return n
	}
	if n.text == "" {
		n.text = "Event " + m.EventType + "."
	}
	about, what, _ := strings.Cut(m.EventType, ".")
	n.tone = map[string]tone{"created": accentTone, "deleted": warnTone}[what]
	switch about {
	case "label":
		n.label(&p)
	case "issue":
		n.issue(&p, m.Dataset)
	case "release":
		n.tone = goodTone
		n.fact("Samples", grouped(p.Object.SamplesCount))
	case "sample":
		n.fact("Created by", p.Object.CreatedBy)
	}
	return n
}

// foreign shows a message of another platform: its text, or else its payload.
func (n *note) foreign(m *webhook.Message) {
	n.tone = accentTone
	n.fact("Event", m.EventType)
	if n.text == "" {
		n.text = "Event " + m.EventType + "."
		n.quote = cut(line(string(m.Payload)), maxQuote)
	}
}

func (n *note) fact(name, value string) {
	if value = cut(line(value), maxValue); value != "" {
		n.facts = append(n.facts, fact{name, value})
	}
}

// toneOf is the mood of a label by its status.
func toneOf(labelStatus string) tone {
	switch labelStatus {
	case "REJECTED":
		return badTone
	case "REVIEWED", "VERIFIED":
		return goodTone
	default:
		return plainTone
	}
}

func (n *note) label(p *payload) {
	if n.tone == plainTone {
		n.tone = toneOf(p.Object.LabelStatus)
	}
	n.fact("Status", p.Object.LabelStatus)
	n.fact("Labelset", p.Object.Labelset)
	n.fact("By", p.Object.UpdatedBy)
	n.fact("Reviewed by", p.Object.ReviewedBy)
}

func (n *note) issue(p *payload, dataset string) {
	n.tone = warnTone
	if p.Object.Status == "CLOSED" {
		n.tone = goodTone
	}
	n.fact("Status", p.Object.Status)
	n.fact("By", p.Object.UpdatedBy)
	n.quote = p.Object.Description
	if last := len(p.Object.Comments) - 1; last >= 0 && strings.HasPrefix(n.text, line(p.Object.Comments[last].CreatedBy)+" replied ") {
		n.quote = p.Object.Comments[last].Text
	}
	n.quote = cut(lines(n.quote), maxQuote)
	// The sentence ends with the start of what is quoted in full below.
	at := "dataset " + line(dataset)
	if i := strings.Index(n.text, at); i >= 0 && strings.HasPrefix(n.text[i+len(at):], `: "`) {
		n.text = n.text[:i+len(at)] + "."
	}
}

// line makes one line of a text, without controls and without the characters
// that turn the direction of what follows.
func line(s string) string { return strings.Join(strings.Fields(lines(s)), " ") }

// lines is line for a text that may have several.
func lines(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069':
			return -1
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar:
			return ' '
		default:
			return r
		}
	}, strings.ToValidUTF8(s, " ")))
}

// cut shortens a text to so many characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	count := 0
	for i := range s {
		if count == most-1 && len([]rune(s[i:])) > 1 {
			return s[:i] + "…"
		}
		count++
	}
	return s
}

// marshal writes what is rendered. Unlike json.Marshal it leaves <, > and & as
// they are; none of it goes into a page unescaped.
func marshal(v any) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // maps, lists, strings and numbers always have a form
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// object is a JSON object that is being put together.
type object map[string]any

// Render puts one message into the form of a chat service.
func Render(k webhook.Kind, m *webhook.Message, l Links) []byte {
	n := noteOf(m, l)
	return n.render(k, m.Payload)
}

func (n *note) render(k webhook.Kind, generic []byte) []byte {
	switch k {
	case webhook.Slack:
		return n.slack()
	case webhook.Teams:
		return n.teams()
	case webhook.Discord:
		return n.discord()
	case webhook.Mattermost:
		return n.mattermost()
	case webhook.Generic:
	}
	return generic
}
