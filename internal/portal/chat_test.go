package portal

import (
	"fanfare/internal/webhook"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const slackURL = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"

func TestChoicesMakeAFilterAndAFilterMakesChoices(t *testing.T) {
	for name, tt := range map[string]struct {
		form             url.Values
		filter, problem  string
		condition, label string
	}{
		"nothing":             {url.Values{}, "", "", "", ""},
		"rejected labels":     {url.Values{"label_status": {"REJECTED"}}, `{"label_status":["REJECTED"]}`, "", "", "REJECTED"},
		"all of the choices":  {url.Values{"label_status": {"REJECTED", "REVIEWED"}, "labelset": {" ground-truth, v2 ,"}, "issue_status": {"OPEN"}}, `{"issue_status":["OPEN"],"label_status":["REJECTED","REVIEWED"],"labelset":["ground-truth","v2"]}`, "", "", "REJECTED,REVIEWED"},
		"one's own condition": {url.Values{"condition": {`{"object.score": {"lt": 1}}`}, "label_status": {"REJECTED"}}, `{"object.score":{"lt":1}}`, "", `{"object.score":{"lt":1}}`, ""},
		"one of our choices":  {url.Values{"condition": {`{"label_status": "REVIEWED"}`}}, `{"label_status":"REVIEWED"}`, "", "", "REVIEWED"},
		"what no choice says": {url.Values{"condition": {`{"label_status": ["REVIEWED", null]}`}}, `{"label_status":["REVIEWED",null]}`, "", `{"label_status":["REVIEWED",null]}`, ""},
		"a wrong condition":   {url.Values{"condition": {`{"any":[{"a":{"like":1}}]}`}}, "", "The condition at any.0.a.like must be one of is, not, prefix, exists, lt, lte, gt, gte.", "", ""},
		"no JSON":             {url.Values{"condition": {`{`}}, "", "The condition must be JSON.", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var e webhook.Endpoint
			var problems webhook.Invalid
			readChat(tt.form, &e, &problems)
			if got := problems.Of("condition"); got != tt.problem {
				t.Fatalf("problem %q, want %q", got, tt.problem)
			}
			got := ""
			if e.Filter != nil {
				got = e.Filter.String()
			}
			if got != tt.filter {
				t.Fatalf("filter %s, want %s", got, tt.filter)
			}
			back := chatFormOf(&e)
			if back.Condition != tt.condition || strings.Join(back.LabelStatus, ",") != tt.label {
				t.Errorf("the form says %+v", back)
			}
		})
	}
}

func TestKindAndDigestOfTheForm(t *testing.T) {
	usual := webhook.Slack.DefaultDigest()
	for name, tt := range map[string]struct {
		url     string
		form    url.Values
		kind    webhook.Kind
		digest  webhook.Digest
		problem string
	}{
		"a server":                 {"https://example.com/", url.Values{}, webhook.Generic, webhook.Digest{}, ""},
		"a URL of Slack":           {slackURL, url.Values{}, webhook.Slack, usual, ""},
		"a URL of Slack, as it is": {slackURL, url.Values{"kind": {"generic"}}, webhook.Generic, webhook.Digest{}, ""},
		"another kind":             {"https://example.com/", url.Values{"kind": {"mattermost"}}, webhook.Mattermost, usual, ""},
		"each by itself":           {slackURL, url.Values{"digest": {"off"}}, webhook.Slack, webhook.Digest{}, ""},
		"gathered":                 {"https://example.com/", url.Values{"digest": {"on"}, "seconds": {"60"}, "events": {"20"}}, webhook.Generic, webhook.Digest{Window: time.Minute, Most: 20}, ""},
		"for too long":             {"https://example.com/", url.Values{"digest": {"on"}, "seconds": {"3601"}, "events": {"20"}}, webhook.Generic, webhook.Digest{}, "digest"},
		"for no time":              {"https://example.com/", url.Values{"digest": {"on"}, "seconds": {"0"}, "events": {"20"}}, webhook.Generic, webhook.Digest{}, "digest"},
		"for words":                {"https://example.com/", url.Values{"digest": {"on"}, "seconds": {"ten"}, "events": {"20"}}, webhook.Generic, webhook.Digest{}, "digest"},
		"a kind that is none":      {slackURL, url.Values{"kind": {"irc"}}, webhook.Generic, webhook.Digest{}, "kind"},
	} {
		t.Run(name, func(t *testing.T) {
			e := webhook.Endpoint{URL: tt.url}
			var problems webhook.Invalid
			readChat(tt.form, &e, &problems)
			if tt.problem != "" {
				if problems.Of(tt.problem) == "" {
					t.Errorf("nothing is wrong: %+v", e)
				}
				return
			}
			if len(problems) > 0 || e.Kind != tt.kind || e.Digest != tt.digest {
				t.Fatalf("%v: %s, %+v", problems, e.Kind, e.Digest)
			}
			again := webhook.Endpoint{URL: tt.url}
			f := chatFormOf(&e)
			f.apply(&again, &problems)
			if again.Kind != e.Kind || again.Digest != e.Digest {
				t.Errorf("saved as it is shown it becomes %s, %+v", again.Kind, again.Digest)
			}
		})
	}
}

func TestAFormShowsHowEventsWillLook(t *testing.T) {
	w := newSite(t, Config{})
	jane := w.login("jane")
	for name, tt := range map[string]struct {
		path string
		form url.Values
		says []string
	}{
		"a part of the page": {
			"/webhooks/jane/endpoints/preview",
			url.Values{"url": {slackURL}, "preview_type": {"issue.created"}},
			[]string{"This is a URL of <strong>Slack</strong>", "Issue created on sample rose.png in dataset jane/flowers.", "The stem is not labelled.", "Many of them at once:", "24 issues created"},
		},
		"the plain payload": {
			"/webhooks/jane/endpoints/preview",
			url.Values{"url": {slackURL}, "kind": {"generic"}, "preview_type": {"sample.created"}},
			[]string{"to which the payload is sent as it is", `"event_type": "sample.created"`},
		},
		"Discord": {
			"/webhooks/jane/endpoints/preview",
			url.Values{"url": {"https://example.com"}, "kind": {"discord"}, "preview_type": {"release.created"}},
			[]string{"Release v1.0 created in dataset jane/flowers.", `"allowed_mentions"`},
		},
		"the page without scripts": {
			"/webhooks/jane/endpoints",
			url.Values{"url": {slackURL}, "preview": {"1"}, "description": {"kept"}, "all_types": {"1"}, "preview_type": {"label.updated"}},
			[]string{"This is a URL of <strong>Slack</strong>", `value="kept"`, "Label of sample rose.png"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := w.do(jane, http.MethodPost, tt.path, tt.form)
			for _, text := range tt.says {
				if !has(body, text) {
					t.Errorf("%d, does not say %q:\n%s", res.StatusCode, text, body)
				}
			}
		})
	}
	if all, err := w.store.Endpoints(t.Context(), w.jane(t)); err != nil || len(all) != 1 {
		t.Errorf("a preview has saved something: %d endpoints, %v", len(all), err)
	}
}

func (w *site) jane(t *testing.T) webhook.ID {
	t.Helper()
	a, err := w.store.Account(t.Context(), "jane")
	if err != nil {
		t.Fatal(err)
	}
	return a.Application
}
