package chat

import (
	"bytes"
	"encoding/json"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	at    = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	links = Links{Base: "https://webhooks.example.com", Account: "jane"}
	chats = []webhook.Kind{webhook.Slack, webhook.Teams, webhook.Discord, webhook.Mattermost}
)

func numbered(n byte) webhook.ID {
	id := webhook.FloorID(at)
	id[15] = n
	return id
}

// example is the message of the documentation of an event type.
func example(t testing.TB, n byte, eventType string) *webhook.Message {
	t.Helper()
	for _, et := range registry.EventTypes {
		if et.Name != eventType {
			continue
		}
		var schema struct{ Examples []json.RawMessage }
		if err := json.Unmarshal(et.Schema(), &schema); err != nil {
			t.Fatal(err)
		}
		m := &webhook.Message{ID: numbered(n), EventType: eventType, Payload: schema.Examples[0], Dataset: "jane/flowers", CreatedAt: at}
		if about, _, _ := strings.Cut(eventType, "."); about == "sample" || about == "label" || about == "issue" {
			m.Subject = "rose.png"
		}
		return m
	}
	t.Fatalf("no event type %s", eventType)
	return nil
}

// replaced is a message with another payload.
func replaced(m *webhook.Message, old, with string) *webhook.Message {
	c := webhook.Message{
		ID: m.ID, EventType: m.EventType, Dataset: m.Dataset, Subject: m.Subject, CreatedAt: m.CreatedAt,
		Payload: bytes.ReplaceAll(m.Payload, []byte(old), []byte(with)),
	}
	return &c
}

// shown are the messages that the golden files show, by what they are.
func shown(t testing.TB) (names []string, messages []*webhook.Message) {
	for i, et := range registry.EventTypes {
		names, messages = append(names, et.Name), append(messages, example(t, byte(i), et.Name))
	}
	label, issue := example(t, 20, "label.updated"), example(t, 21, "issue.created")
	return append(names, "a rejected label", "a reviewed label", "an issue with markup", "an event of another platform", "a text of another platform"),
		append(messages, replaced(label, "LABELED", "REJECTED"), replaced(label, "LABELED", "REVIEWED"),
			replaced(issue, "The stem is not labelled.", `<!channel> *see* [this](https://evil.example) @here & \u0007\nsecond _line_`),
			&webhook.Message{ID: numbered(22), EventType: "invoice.paid", Payload: []byte(`{"amount":12,"object":"an <invoice>"}`), CreatedAt: at},
			&webhook.Message{ID: numbered(23), EventType: "invoice.paid", Payload: []byte(`{"text":"Invoice <!here> paid &amp; booked."}`), CreatedAt: at})
}

func digestOf(k webhook.Kind, messages ...*webhook.Message) *Digest {
	d := NewDigest(numbered(99), k, at, links)
	for _, m := range messages {
		d.Add(m)
	}
	return d
}

func many(t testing.TB, n int, eventType string) []*webhook.Message {
	all := make([]*webhook.Message, n)
	for i := range all {
		all[i] = example(t, byte(i), eventType)
		all[i].Subject = fmt.Sprintf("rose-%04d.png", i+1)
	}
	return all
}

// TestWhatIsRendered compares every event type at every chat service, and
// digests of them, with files that people have looked at.
// FANFARE_UPDATE=1 writes them anew.
func TestWhatIsRendered(t *testing.T) {
	names, messages := shown(t)
	for _, k := range chats {
		t.Run(k.String(), func(t *testing.T) {
			all := map[string]json.RawMessage{}
			for i, m := range messages {
				all[names[i]] = Render(k, m, links)
			}
			rejected := replaced(example(t, 30, "label.updated"), "LABELED", "REJECTED")
			all["digest of 1,204 samples"] = digestOf(k, many(t, 1204, "sample.created")...).Body()
			all["digest of 2 samples"] = digestOf(k, many(t, 2, "sample.deleted")...).Body()
			all["digest of 10 labels"] = digestOf(k, append(many(t, 9, "label.updated"), rejected)...).Body()
			all["digest of 1 issue"] = digestOf(k, example(t, 31, "issue.created")).Body()
			golden(t, k.String(), all)
		})
	}
	t.Run("generic", func(t *testing.T) {
		golden(t, "generic", map[string]json.RawMessage{
			"digest of 2 samples": digestOf(webhook.Generic, many(t, 2, "sample.created")...).Body(),
			"digest of 1 event":   digestOf(webhook.Generic, messages[len(messages)-2]).Body(),
		})
	})
}

func golden(t *testing.T, name string, all map[string]json.RawMessage) {
	t.Helper()
	var got bytes.Buffer
	e := json.NewEncoder(&got)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(all); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", name+".json")
	if os.Getenv("FANFARE_UPDATE") == "1" {
		if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestADigestIsASentence(t *testing.T) {
	rejected := replaced(example(t, 30, "label.updated"), "LABELED", "REJECTED")
	other := &webhook.Message{EventType: "invoice.paid", Payload: []byte(`{}`)}
	for name, tt := range map[string]struct {
		messages []*webhook.Message
		want     string
	}{
		"many samples":       {many(t, 1204, "sample.created"), "1,204 samples created in dataset jane/flowers (rose-0001.png … rose-1204.png)."},
		"two":                {many(t, 2, "sample.deleted"), "2 samples deleted from dataset jane/flowers (rose-0001.png, rose-0002.png)."},
		"one is its text":    {many(t, 1, "sample.created"), "Sample rose.png created in dataset jane/flowers."},
		"labels by status":   {append(many(t, 2, "label.updated"), rejected), "3 labels updated in dataset jane/flowers (rose-0001.png … rose.png): 2 LABELED, 1 REJECTED."},
		"one thing again":    {[]*webhook.Message{example(t, 1, "dataset.updated"), example(t, 2, "dataset.updated")}, "Dataset jane/flowers updated 2 times."},
		"issues":             {many(t, 2, "issue.created"), "2 issues created in dataset jane/flowers (rose-0001.png, rose-0002.png): 2 OPEN."},
		"releases":           {[]*webhook.Message{example(t, 1, "release.created"), example(t, 2, "release.created")}, "2 releases created in dataset jane/flowers."},
		"of other platforms": {[]*webhook.Message{other, other}, "2 events invoice.paid."},
	} {
		t.Run(name, func(t *testing.T) {
			if got := digestOf(webhook.Slack, tt.messages...).Text(); got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestABatchHoldsThePayloadsByteForByte(t *testing.T) {
	messages := many(t, 3, "label.updated")
	body := digestOf(webhook.Generic, messages...).Body()
	var envelope struct {
		Type, ID, Timestamp, Text string
		EventType                 string `json:"event_type"`
		Dataset                   string
		Count                     int
		Events                    []struct {
			ID      string
			Payload json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		t.Fatal(err)
	}
	if envelope.Type != "digest" || envelope.Count != 3 || len(envelope.Events) != 3 || envelope.EventType != "label.updated" || envelope.Dataset != "jane/flowers" {
		t.Errorf("%+v", envelope)
	}
	for i, e := range envelope.Events {
		if e.ID != webhook.MessageID.Format(messages[i].ID) || !bytes.Equal(e.Payload, messages[i].Payload) {
			t.Errorf("event %d: %s %s", i, e.ID, e.Payload)
		}
	}
}

func TestABatchThatIsFullTakesNoMore(t *testing.T) {
	d := NewDigest(numbered(1), webhook.Generic, at, links)
	large := &webhook.Message{EventType: "a", Payload: fmt.Appendf(nil, `{"a":"%s"}`, strings.Repeat("x", MaxBatch*2/3))}
	if !d.Add(large) || d.Add(large) || d.Events() != 1 {
		t.Errorf("%d events", d.Events())
	}
}

// TestNothingIsTooLong sees that whatever a message says, each service can read
// what it is sent, and nothing in it is more than the service takes.
func TestNothingIsTooLong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Just(strings.Repeat(`\*_<&>`+"\u2028\"", 1000)), rapid.Just(strings.Repeat("ü\n", 3000)))
		quote := func(label string) json.RawMessage {
			b, _ := json.Marshal(text.Draw(t, label))
			return b
		}
		of := rapid.SampledFrom(registry.EventTypes).Draw(t, "type").Name
		m := &webhook.Message{
			EventType: of, Dataset: text.Draw(t, "dataset"), Subject: text.Draw(t, "subject"), CreatedAt: at,
			Payload: fmt.Appendf(nil, `{"text":%s,"object":{"label_status":%s,"labelset":%s,"status":"OPEN","description":%s,"updated_by":%s,"created_by":%[5]s}}`,
				quote("text"), quote("status"), quote("labelset"), quote("description"), quote("by")),
		}
		messages := make([]*webhook.Message, rapid.SampledFrom([]int{1, 2, 5, 6}).Draw(t, "n"))
		for i := range messages {
			messages[i] = m
		}
		for _, k := range chats {
			body := digestOf(k, messages...).Body()
			if !json.Valid(body) || !utf8.Valid(body) {
				t.Fatalf("%s: not JSON: %s", k, body)
			}
			if problem := limits[k](body); problem != "" {
				t.Fatalf("%s: %s in %s", k, problem, body)
			}
		}
	})
}

// limits say what a service would not take, from their documentation.
var limits = map[webhook.Kind]func([]byte) string{
	webhook.Slack: func(body []byte) string {
		var m struct {
			Text        string
			Blocks      []slackBlock
			Attachments []struct{ Blocks []slackBlock }
		}
		if err := json.Unmarshal(body, &m); err != nil {
			return err.Error()
		}
		blocks := m.Blocks
		for _, a := range m.Attachments {
			blocks = append(blocks, a.Blocks...)
		}
		for _, b := range blocks {
			if utf8.RuneCountInString(b.Text.Text) > 3000 || b.Type == "section" && b.Text.Text == "" && len(b.Fields) == 0 || len(b.Fields) > 10 || len(b.Elements) > 10 {
				return "a block"
			}
			for _, f := range b.Fields {
				if utf8.RuneCountInString(f.Text) > 2000 {
					return "a field"
				}
			}
		}
		if utf8.RuneCountInString(m.Text) > 40_000 || len(blocks) > 50 {
			return "all of it"
		}
		return ""
	},
	webhook.Teams: func(body []byte) string {
		if len(body) > 28<<10 {
			return fmt.Sprintf("%d bytes", len(body))
		}
		return ""
	},
	webhook.Discord: func(body []byte) string {
		var m struct {
			Embeds []struct {
				Description string
				Fields      []struct{ Name, Value string }
			}
		}
		if err := json.Unmarshal(body, &m); err != nil {
			return err.Error()
		}
		e := m.Embeds[0]
		all := utf8.RuneCountInString(e.Description)
		if all > 4096 || len(e.Fields) > 25 {
			return "the description"
		}
		for _, f := range e.Fields {
			if utf8.RuneCountInString(f.Value) > 1024 || f.Value == "" {
				return "a field"
			}
			all += utf8.RuneCountInString(f.Name + f.Value)
		}
		if all > 6000 {
			return "all of it"
		}
		return ""
	},
	webhook.Mattermost: func(body []byte) string {
		if utf8.RuneCount(body) > 16_383 {
			return fmt.Sprintf("%d characters", utf8.RuneCount(body))
		}
		return ""
	},
}

type slackBlock struct {
	Type     string
	Text     struct{ Text string }
	Fields   []struct{ Text string }
	Elements []struct{ Text string }
}

func TestAnAnswerIsJudged(t *testing.T) {
	for name, tt := range map[string]struct {
		kind    webhook.Kind
		status  int
		body    string
		taken   bool
		meaning string
	}{
		"ok of Slack":                   {webhook.Slack, 200, "ok", true, ""},
		"a page in place of Slack":      {webhook.Slack, 200, "<html>", false, "not the answer of Slack"},
		"an archived channel":           {webhook.Slack, 410, "channel_is_archived", false, "archived"},
		"a webhook that was removed":    {webhook.Slack, 404, "no_service", false, "removed"},
		"a payload that is none":        {webhook.Slack, 400, "invalid_payload", false, "could not read"},
		"blocks that are none":          {webhook.Slack, 400, "invalid_blocks: at 0", false, "could not read"},
		"no text":                       {webhook.Slack, 400, "no_text", false, "no text"},
		"a prohibition":                 {webhook.Slack, 403, "action_prohibited", false, "administrators"},
		"too many for Slack":            {webhook.Slack, 429, "", false, "one message a second"},
		"a fault of Slack":              {webhook.Slack, 502, "bad gateway", false, ""},
		"a workflow that is accepted":   {webhook.Teams, 202, "", true, ""},
		"a failure with status 200":     {webhook.Teams, 200, "Webhook message delivery failed with error: HTTP 413", false, "could not deliver"},
		"a workflow that was removed":   {webhook.Teams, 404, "", false, "removed"},
		"Discord with nothing to say":   {webhook.Discord, 204, "", true, ""},
		"Discord with the message":      {webhook.Discord, 200, `{"id":"1001510015"}`, true, ""},
		"an unknown webhook of Discord": {webhook.Discord, 404, `{"message": "Unknown Webhook", "code": 10015}`, false, "deleted"},
		"a wrong token of Discord":      {webhook.Discord, 401, `{"code": 50027}`, false, "URL"},
		"ok of Mattermost":              {webhook.Mattermost, 200, "ok", true, ""},
		"webhooks that are off":         {webhook.Mattermost, 501, `{"message":"Incoming webhooks have been disabled by the system admin."}`, false, "switched off"},
		"any answer of a generic one":   {webhook.Generic, 201, "thanks", true, ""},
		"a failure of a generic one":    {webhook.Generic, 500, "no_service", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			taken, meaning := Judge(tt.kind, tt.status, []byte(tt.body))
			if taken != tt.taken || !strings.Contains(meaning, tt.meaning) || tt.meaning == "" && meaning != "" {
				t.Errorf("%v %q", taken, meaning)
			}
		})
	}
}
