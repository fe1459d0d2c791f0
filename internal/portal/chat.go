package portal

import (
	"encoding/json"
	"errors"
	"fanfare/internal/chat"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// chatForm is the part of an endpoint's form about what listens at the URL,
// what is worth a message, and how events are gathered.
type chatForm struct { //nolint:recvcheck // it is read by pointer and shown by value
	// Kind is the name of a kind; "" has it recognised from the URL.
	Kind string
	// Digest is "" for what is usual for the kind, "on" or "off".
	Digest, Seconds, Events   string
	LabelStatus, IssueStatus  []string
	Labelset, Condition, Type string
}

// choice is something that a form offers.
type choice struct {
	Value, Title string
	Chosen       bool
}

func choices(values, chosen []string) []choice {
	all := make([]choice, len(values))
	for i, v := range values {
		all[i] = choice{v, v, slices.Contains(chosen, v)}
	}
	return all
}

// Kinds are what the form offers.
func (f chatForm) Kinds() []choice {
	all := []choice{{"", "Recognise it from the URL", f.Kind == ""}}
	for _, name := range webhook.KindNames() {
		k, _ := webhook.ParseKind(name)
		title := k.Title()
		if k == webhook.Generic {
			title = "Your own server"
		}
		all = append(all, choice{name, title, f.Kind == name})
	}
	return all
}

// LabelStatuses and IssueStatuses are what labels and issues can be.
func (f chatForm) LabelStatuses() []choice { return choices(registry.LabelStatuses(), f.LabelStatus) }

// IssueStatuses are what issues can be.
func (f chatForm) IssueStatuses() []choice {
	return choices(registry.IssueStatuses(), f.IssueStatus)
}

// Digests are the ways to gather.
func (f chatForm) Digests() []choice {
	return []choice{
		{"", "As is usual: ten seconds for a chat service, not at all for your own server", f.Digest == ""},
		{"on", "Gather them", f.Digest == "on"},
		{"off", "Send each by itself", f.Digest == "off"},
	}
}

// Open reports whether something is chosen that is not usual.
func (f chatForm) Open() bool {
	return f.Digest == "on" || f.Condition != "" || f.Labelset != "" || len(f.LabelStatus)+len(f.IssueStatus) > 0
}

// The defaults of a digest that is asked for.
const (
	usualSeconds = 10
	usualEvents  = webhook.MaxDigestEvents
)

// newChatForm is the form of an endpoint that is to be added.
func newChatForm() chatForm {
	return chatForm{Seconds: strconv.Itoa(usualSeconds), Events: strconv.Itoa(usualEvents)}
}

// chatFormOf is the form of an endpoint as it is.
func chatFormOf(e *webhook.Endpoint) chatForm {
	f := newChatForm()
	f.Kind = e.Kind.String()
	switch {
	case e.Digest.On():
		f.Digest, f.Seconds, f.Events = "on", strconv.Itoa(int(e.Digest.Window/time.Second)), strconv.Itoa(e.Digest.Most)
		if e.Digest == e.Kind.DefaultDigest() {
			f.Digest = ""
		}
	case e.Kind.Chat():
		f.Digest = "off"
	}
	if e.Filter != nil && !f.simple(e.Filter.String()) {
		f.LabelStatus, f.IssueStatus, f.Labelset = nil, nil, ""
		f.Condition = e.Filter.String()
	}
	return f
}

// simple reads a filter that the choices of the form can say, and reports
// whether it is one.
func (f *chatForm) simple(condition string) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(condition), &members) != nil {
		return false
	}
	for name, raw := range members {
		var values []*string
		var one string
		if json.Unmarshal(raw, &one) == nil && string(raw) != "null" {
			values = []*string{&one}
		} else if json.Unmarshal(raw, &values) != nil {
			return false
		}
		plain := make([]string, len(values))
		for i, v := range values {
			if v == nil || strings.Contains(*v, ",") {
				return false
			}
			plain[i] = *v
		}
		known := func(names []string) bool {
			return !slices.ContainsFunc(plain, func(v string) bool { return !slices.Contains(names, v) })
		}
		switch {
		case name == "label_status" && known(registry.LabelStatuses()):
			f.LabelStatus = plain
		case name == "issue_status" && known(registry.IssueStatuses()):
			f.IssueStatus = plain
		case name == "labelset":
			f.Labelset = strings.Join(plain, ", ")
		default:
			return false
		}
	}
	return true
}

// readChat reads that part of the form into an endpoint, whose URL is read
// already.
func readChat(form url.Values, e *webhook.Endpoint, problems *webhook.Invalid) chatForm {
	f := chatForm{
		Kind: form.Get("kind"), Digest: form.Get("digest"), Seconds: strings.TrimSpace(form.Get("seconds")), Events: strings.TrimSpace(form.Get("events")),
		LabelStatus: form["label_status"], IssueStatus: form["issue_status"], Labelset: strings.TrimSpace(form.Get("labelset")),
		Condition: strings.TrimSpace(form.Get("condition")), Type: form.Get("preview_type"),
	}
	f.apply(e, problems)
	f.readFilter(e, problems)
	return f
}

// apply puts kind and digest into an endpoint.
func (f *chatForm) apply(e *webhook.Endpoint, problems *webhook.Invalid) {
	kind, ok := webhook.ParseKind(f.Kind)
	switch {
	case f.Kind == "":
		kind = webhook.KindOf(e.URL)
	case !ok:
		problems.Add("kind", "There is no such kind. Choose from the list.")
	}
	e.Kind = kind
	f.readDigest(e, problems)
}

func (f *chatForm) readDigest(e *webhook.Endpoint, problems *webhook.Invalid) {
	switch f.Digest {
	case "":
		e.Digest = e.Kind.DefaultDigest()
	case "off":
		e.Digest = webhook.Digest{}
	case "on":
		seconds, err := strconv.Atoi(f.Seconds)
		most, wrong := strconv.Atoi(f.Events)
		e.Digest = webhook.Digest{Window: time.Duration(min(max(seconds, 0), 1e6)) * time.Second, Most: most}
		if err != nil || wrong != nil || !e.Digest.On() || e.Digest.Check() != nil {
			problems.Add("digest", "Gather for 1 to 3,600 seconds, and 1 to 1,000 events.")
		}
	default:
		problems.Add("digest", "Choose one of the three.")
	}
}

// readFilter makes a condition of the choices, or takes the one that was
// written.
func (f *chatForm) readFilter(e *webhook.Endpoint, problems *webhook.Invalid) {
	source := f.Condition
	if source == "" {
		members := map[string][]string{}
		for name, values := range map[string][]string{
			"label_status": f.LabelStatus, "issue_status": f.IssueStatus, "labelset": strings.FieldsFunc(f.Labelset, func(r rune) bool { return r == ',' || r == '\n' }),
		} {
			for _, v := range values {
				if v = strings.TrimSpace(v); v != "" {
					members[name] = append(members[name], v)
				}
			}
		}
		e.Filter = nil
		if len(members) == 0 {
			return
		}
		b, err := json.Marshal(members)
		if err != nil {
			problems.Add("condition", "These choices cannot be kept.")
			return
		}
		source = string(b)
	}
	filter, err := webhook.ParseFilter([]byte(source))
	if p, ok := errors.AsType[*webhook.FilterError](err); ok {
		at := "The condition"
		if len(p.At) > 0 {
			at += " at " + strings.Join(p.At, ".")
		}
		problems.Add("condition", at+" "+p.Problem+".")
		return
	}
	e.Filter = filter
}

// chatPreview shows how a type of event will look at an endpoint.
type chatPreview struct {
	// Recognised is the title of the service that the URL is of; "" for none.
	Recognised string
	Kind       webhook.Kind
	Types      []choice
	// Message is the event, Digest many of them; nil for a generic endpoint.
	Message, Digest *chat.Preview
	// Sent is what is sent, indented.
	Sent string
}

// Chat reports whether people will read it.
func (p chatPreview) Chat() bool { return p.Kind.Chat() }

// Name is the name of the service.
func (p chatPreview) Name() string { return p.Kind.Title() }

// previewOf is the preview for what a form holds.
func (v *visit) previewOf(f *endpointForm) (chatPreview, error) {
	e := webhook.Endpoint{URL: f.URL}
	var ignored webhook.Invalid
	f.Chat.apply(&e, &ignored)
	return v.preview(&e, f.Chat.Type)
}

// preview is what an endpoint with these settings will be sent.
func (v *visit) preview(e *webhook.Endpoint, eventType string) (chatPreview, error) {
	p := chatPreview{Kind: e.Kind}
	if k := webhook.KindOf(e.URL); k.Chat() {
		p.Recognised = k.Title()
	}
	types, err := v.exampleTypes()
	if err != nil || len(types) == 0 {
		return p, err
	}
	chosen := types[max(0, slices.IndexFunc(types, func(t webhook.EventType) bool { return t.Name == eventType }))]
	for _, t := range types {
		p.Types = append(p.Types, choice{t.Name, t.Name, t.Name == chosen.Name})
	}
	m := exampleMessage(&chosen)
	links := chat.Links{Base: "https://…", Account: v.account.Name}
	if e.Kind.Chat() {
		shown := chat.Show(&m, links)
		p.Message = &shown
	}
	p.Sent = pretty(chat.Render(e.Kind, &m, links))
	if !e.Digest.On() {
		return p, nil
	}
	d := chat.NewDigest(m.ID, e.Kind, m.CreatedAt, links)
	for i := range previewEvents {
		one := exampleMessage(&chosen)
		if one.Subject != "" {
			one.Subject = fmt.Sprintf("rose-%04d.png", i+1)
		}
		d.Add(&one)
	}
	if e.Kind.Chat() {
		shown := d.Show()
		p.Digest = &shown
	}
	return p, nil
}

// previewEvents is of how many events the preview of a digest tells.
const previewEvents = 24

// exampleTypes are the types that have an example.
func (v *visit) exampleTypes() ([]webhook.EventType, error) {
	types, err := v.eventTypes()
	return slices.DeleteFunc(types, func(t webhook.EventType) bool { return exampleOf(&t) == nil }), err
}

// exampleOf is the example of an event type's newest schema; nil for none.
func exampleOf(t *webhook.EventType) json.RawMessage {
	var doc struct {
		Examples []json.RawMessage `json:"examples"`
	}
	if json.Unmarshal(t.Schema(), &doc) != nil || len(doc.Examples) == 0 {
		return nil
	}
	return doc.Examples[0]
}

// exampleMessage is the example of an event type as a message.
func exampleMessage(t *webhook.EventType) webhook.Message {
	m := webhook.Message{EventType: t.Name, Payload: exampleOf(t), CreatedAt: time.Now()}
	var p struct {
		Dataset string
		Object  struct {
			Name       string
			SampleName string `json:"sample_name"`
		}
	}
	if json.Unmarshal(m.Payload, &p) != nil || p.Dataset == "" {
		return m
	}
	m.Dataset = p.Dataset
	switch about, _, _ := strings.Cut(t.Name, "."); about {
	case "sample":
		m.Subject = p.Object.Name
	case "issue":
		m.Subject = p.Object.SampleName
	case "label":
		m.Subject = "rose.png"
	}
	return m
}

// chatPreviewPart shows the preview for what a form holds.
func (p *Portal) chatPreviewPart(v *visit) error {
	if err := v.ParseForm(); err != nil {
		return err
	}
	e := webhook.Endpoint{URL: v.PostFormValue("url")}
	var ignored webhook.Invalid
	f := readChat(v.PostForm, &e, &ignored)
	preview, err := v.preview(&e, f.Type)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "chat-preview", preview)
}

// digestPart is what the page of an event tells of digests.
type digestPart struct {
	// Events is of how many events a digest tells; 0 when the page is of an
	// event.
	Events int
	// Messages are the first of them, Told the digests in which an event was.
	Messages, Told []string
}

func (d *digestPart) isDigest() bool { return d != nil && d.Events > 0 }

// shownMessages is how many events of a digest its page lists.
const shownMessages = 100

// digestOf is what there is to tell of digests about a message or digest; nil
// when there is nothing.
func (v *visit) digestOf(m *webhook.Message) (*digestPart, error) {
	part, err := v.p.store.DigestPart(v.Context(), m.Application, m.ID, shownMessages)
	if err != nil || part.Events == 0 && len(part.Told) == 0 {
		return nil, err
	}
	d := &digestPart{Events: part.Events}
	for _, id := range part.Messages {
		d.Messages = append(d.Messages, webhook.MessageID.Format(id))
	}
	for _, id := range part.Told {
		d.Told = append(d.Told, webhook.MessageID.Format(id))
	}
	return d, nil
}

// gathers says in words how an endpoint's events are gathered.
func gathers(d webhook.Digest) string {
	if !d.On() {
		return "Each by itself"
	}
	return fmt.Sprintf("For up to %s, at most %d events of a dataset and type", inWords(d.Window), d.Most)
}
