// Package slacktest stands in for Slack's incoming webhooks in tests, from
// Slack's public documentation: what it takes, what it answers, how fast, and
// what people get to see.
//
//   - https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
//   - https://docs.slack.dev/apis/web-api/rate-limits
//   - https://docs.slack.dev/messaging/formatting-message-text
//   - https://docs.slack.dev/reference/block-kit/blocks
package slacktest

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// State is what became of a webhook.
type State int

// The states, and what Slack answers in them.
const (
	Active     State = iota
	Archived         // 410 channel_is_archived
	NoChannel        // 404 channel_not_found
	Removed          // 404 no_service
	Prohibited       // 403 action_prohibited
	Broken           // 500 rollup_error
)

// Message is what a channel shows.
type Message struct {
	// At is when it came in.
	At time.Time
	// Path is the webhook it came by.
	Path string
	// Text is the text as people see it, Detail what blocks and attachments
	// show. References are resolved: of a link its label is left.
	Text, Detail string
	// Links are where links lead.
	Links []string
	// Colors are those of the attachments.
	Colors []string
	// Pings are the mentions by which people are alerted: here, channel,
	// everyone, or the id of a user.
	Pings []string
	// Truncated says that the text was longer than Slack shows.
	Truncated bool
	// Header and Body are the request as it came.
	Header http.Header
	Body   []byte
}

// The bounds of Slack.
const (
	maxText        = 40_000 // characters of a message; the rest is not shown
	maxSection     = 3_000  // characters of a section's text
	maxField       = 2_000  // characters of a section's field
	maxFields      = 10     // fields of a section, elements of a context
	maxBlocks      = 50
	maxAttachments = 100
	burst          = 4 // messages that may come at once, before one a second
)

// Slack is one workspace. The zero value has no webhook.
type Slack struct {
	// RetryAfter is how long it wants to be left alone after too many messages;
	// zero is until the next may come.
	RetryAfter time.Duration

	mu       sync.Mutex
	hooks    map[string]*hook
	messages []Message
	refused  int
}

// hook is one webhook and how many messages it may send now.
type hook struct {
	state  State
	tokens float64
	at     time.Time
	quiet  time.Time
}

// Path is a path of the form that Slack gives webhooks.
const Path = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"

// Add makes a webhook at a path, or changes its state.
func (s *Slack) Add(path string, state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hooks == nil {
		s.hooks = map[string]*hook{}
	}
	if h := s.hooks[path]; h != nil {
		h.state = state
		return
	}
	s.hooks[path] = &hook{state: state, tokens: burst}
}

// Messages are what the channels have shown so far, in order.
func (s *Slack) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Refused is how many messages were too many.
func (s *Slack) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// answer is one of Slack's.
type answer struct {
	status     int
	text       string
	retryAfter time.Duration
}

// ServeHTTP implements http.Handler.
func (s *Slack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		body = nil
	}
	a := s.post(r, body)
	w.Header().Set("Content-Type", "text/html")
	if a.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((a.retryAfter+time.Second-1)/time.Second)))
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.text)
}

func (s *Slack) post(r *http.Request, body []byte) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.find(r); a.status != 0 {
		return a
	}
	h, now := s.hooks[r.URL.Path], time.Now()
	if a := h.take(now, s.RetryAfter); a.status != 0 {
		s.refused++
		return a
	}
	switch h.state {
	case Archived:
		return answer{status: http.StatusGone, text: "channel_is_archived"}
	case NoChannel:
		return answer{status: http.StatusNotFound, text: "channel_not_found"}
	case Prohibited:
		return answer{status: http.StatusForbidden, text: "action_prohibited"}
	case Broken:
		return answer{status: http.StatusInternalServerError, text: "rollup_error"}
	case Active, Removed:
	}
	m, refusal := read(payload(r, body))
	if refusal != "" {
		return answer{status: http.StatusBadRequest, text: refusal}
	}
	m.At, m.Path, m.Header, m.Body = now, r.URL.Path, r.Header.Clone(), body
	s.messages = append(s.messages, m)
	return answer{status: http.StatusOK, text: "ok"}
}

// find answers for URLs at which there is no webhook.
func (s *Slack) find(r *http.Request) answer {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	h := s.hooks[r.URL.Path]
	switch {
	case r.Method != http.MethodPost:
		return answer{status: http.StatusBadRequest, text: "invalid_payload"}
	case len(parts) != 4 || parts[0] != "services":
		return answer{status: http.StatusNotFound, text: "no_service_id"}
	case h != nil && h.state == Removed:
		return answer{status: http.StatusNotFound, text: "no_service"}
	case h != nil:
		return answer{}
	}
	for path := range s.hooks {
		if strings.HasPrefix(path, "/services/"+parts[1]+"/") {
			return answer{status: http.StatusForbidden, text: "invalid_token"}
		}
	}
	return answer{status: http.StatusNotFound, text: "no_team"}
}

// take counts a message against the rate: one a second, short bursts more.
func (h *hook) take(now time.Time, retryAfter time.Duration) answer {
	if !h.at.IsZero() {
		h.tokens = min(burst, h.tokens+now.Sub(h.at).Seconds())
	}
	h.at = now
	if h.tokens >= 1 && !now.Before(h.quiet) {
		h.tokens--
		return answer{}
	}
	wait := max(retryAfter, time.Duration((1-h.tokens)*float64(time.Second)), time.Second)
	if now.Before(h.quiet) {
		wait = max(h.quiet.Sub(now), time.Second)
	} else {
		h.quiet = now.Add(retryAfter)
	}
	return answer{status: http.StatusTooManyRequests, text: "rate_limited", retryAfter: wait}
}

// payload is the JSON of a request: its body, or the member of a form.
func payload(r *http.Request, body []byte) []byte {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && kind == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil
		}
		return []byte(form.Get("payload"))
	}
	return body
}

type message struct {
	Text        *string      `json:"text"`
	Blocks      []block      `json:"blocks"`
	Attachments []attachment `json:"attachments"`
}

type attachment struct {
	Color    string  `json:"color"`
	Fallback string  `json:"fallback"`
	Text     string  `json:"text"`
	Blocks   []block `json:"blocks"`
}

type block struct {
	Type     string  `json:"type"`
	Text     *text   `json:"text"`
	Fields   []*text `json:"fields"`
	Elements []*text `json:"elements"`
}

type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// read takes a message apart, or says why it cannot be shown.
func read(raw []byte) (m Message, refusal string) {
	var in message
	if !utf8.Valid(raw) || json.Unmarshal(raw, &in) != nil || len(raw) == 0 || raw[0] != '{' {
		return m, "invalid_payload"
	}
	switch {
	case (in.Text == nil || *in.Text == "") && len(in.Blocks) == 0 && len(in.Attachments) == 0:
		return m, "no_text"
	case len(in.Attachments) > maxAttachments:
		return m, "too_many_attachments"
	}
	if in.Text != nil {
		m.Text = m.see(*in.Text)
	}
	if characters := []rune(m.Text); len(characters) > maxText {
		m.Text, m.Truncated = string(characters[:maxText]), true
	}
	all := in.Blocks
	var details []string
	for _, a := range in.Attachments {
		m.Colors = append(m.Colors, a.Color)
		all = append(all, a.Blocks...)
		if a.Text != "" {
			details = append(details, m.see(a.Text))
		}
	}
	if len(all) > maxBlocks {
		return m, "invalid_blocks"
	}
	for _, b := range all {
		if !b.sound() {
			return m, "invalid_blocks"
		}
		for _, t := range b.texts() {
			details = append(details, m.see(t.Text))
		}
	}
	m.Detail = strings.Join(details, "\n")
	return m, ""
}

func (b *block) texts() []*text {
	all := append(slices.Clone(b.Fields), b.Elements...)
	if b.Text != nil {
		all = append(all, b.Text)
	}
	return all
}

// sound reports whether a block is one that Slack takes.
func (b *block) sound() bool {
	if len(b.Fields) > maxFields || len(b.Elements) > maxFields {
		return false
	}
	for _, t := range b.texts() {
		if t == nil || t.Text == "" || t.Type != "mrkdwn" && t.Type != "plain_text" {
			return false
		}
	}
	for _, f := range b.Fields {
		if utf8.RuneCountInString(f.Text) > maxField {
			return false
		}
	}
	switch b.Type {
	case "section":
		return (b.Text != nil || len(b.Fields) > 0) && (b.Text == nil || utf8.RuneCountInString(b.Text.Text) <= maxSection)
	case "context":
		return len(b.Elements) > 0
	case "divider":
		return true
	default:
		return false
	}
}

// reference is what stands between angle brackets: a link, or a mention.
var reference = regexp.MustCompile(`<([^<>|]*)(?:\|([^<>]*))?>`)

// see shows a text as people see it: references are resolved, entities decoded,
// and controls are not there.
func (m *Message) see(s string) string {
	s = reference.ReplaceAllStringFunc(s, func(found string) string {
		parts := reference.FindStringSubmatch(found)
		to, label := parts[1], parts[2]
		switch {
		case strings.HasPrefix(to, "!"), strings.HasPrefix(to, "@"):
			m.Pings = append(m.Pings, to[1:])
			return "@" + to[1:]
		case strings.HasPrefix(to, "#"):
			return to
		}
		m.Links = append(m.Links, to)
		if label == "" {
			return to
		}
		return label
	})
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, s)
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(s)
}
