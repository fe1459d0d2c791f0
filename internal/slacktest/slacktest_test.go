package slacktest_test

import (
	"fanfare/internal/slacktest"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func post(s *slacktest.Slack, method, path, kind, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestSlackAnswersAsDocumented(t *testing.T) {
	section := func(n int) string {
		return `{"type":"section","text":{"type":"mrkdwn","text":"` + strings.Repeat("x", n) + `"}}`
	}
	for name, tt := range map[string]struct {
		state      slacktest.State
		path, body string
		status     int
		want       string
	}{
		"a text":                      {slacktest.Active, slacktest.Path, `{"text":"hello"}`, 200, "ok"},
		"members it does not know":    {slacktest.Active, slacktest.Path, `{"text":"hello","event_type":"x"}`, 200, "ok"},
		"blocks alone":                {slacktest.Active, slacktest.Path, `{"blocks":[` + section(3000) + `]}`, 200, "ok"},
		"no JSON":                     {slacktest.Active, slacktest.Path, `hello`, 400, "invalid_payload"},
		"a control in the JSON":       {slacktest.Active, slacktest.Path, "{\"text\":\"a\nb\"}", 400, "invalid_payload"},
		"a list":                      {slacktest.Active, slacktest.Path, `[]`, 400, "invalid_payload"},
		"a text that is none":         {slacktest.Active, slacktest.Path, `{"text":1}`, 400, "invalid_payload"},
		"no text":                     {slacktest.Active, slacktest.Path, `{"type":"digest"}`, 400, "no_text"},
		"an empty text":               {slacktest.Active, slacktest.Path, `{"text":""}`, 400, "no_text"},
		"a section that is too long":  {slacktest.Active, slacktest.Path, `{"blocks":[` + section(3001) + `]}`, 400, "invalid_blocks"},
		"a block that is none":        {slacktest.Active, slacktest.Path, `{"blocks":[{"type":"x"}]}`, 400, "invalid_blocks"},
		"an empty section":            {slacktest.Active, slacktest.Path, `{"blocks":[` + section(0) + `]}`, 400, "invalid_blocks"},
		"too many attachments":        {slacktest.Active, slacktest.Path, `{"attachments":[{}` + strings.Repeat(",{}", 100) + `]}`, 400, "too_many_attachments"},
		"an archived channel":         {slacktest.Archived, slacktest.Path, `{"text":"x"}`, 410, "channel_is_archived"},
		"a channel that is gone":      {slacktest.NoChannel, slacktest.Path, `{"text":"x"}`, 404, "channel_not_found"},
		"a webhook that was removed":  {slacktest.Removed, slacktest.Path, `{"text":"x"}`, 404, "no_service"},
		"a prohibition":               {slacktest.Prohibited, slacktest.Path, `{"text":"x"}`, 403, "action_prohibited"},
		"a fault":                     {slacktest.Broken, slacktest.Path, `{"text":"x"}`, 500, "rollup_error"},
		"a wrong token":               {slacktest.Active, slacktest.Path + "Y", `{"text":"x"}`, 403, "invalid_token"},
		"another workspace":           {slacktest.Active, "/services/T1/B1/x", `{"text":"x"}`, 404, "no_team"},
		"half a URL":                  {slacktest.Active, "/services/T00000000", `{"text":"x"}`, 404, "no_service_id"},
		"a text that is far too long": {slacktest.Active, slacktest.Path, `{"text":"` + strings.Repeat("x", 40_001) + `"}`, 200, "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			var s slacktest.Slack
			s.Add(slacktest.Path, tt.state)
			w := post(&s, http.MethodPost, tt.path, "application/json", tt.body)
			if w.Code != tt.status || w.Body.String() != tt.want {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tt.status, tt.want)
			}
			if got := len(s.Messages()); (got == 1) != (tt.status == 200) {
				t.Errorf("%d messages are shown", got)
			}
			for _, m := range s.Messages() {
				if len(m.Text) > 40_000 || m.Truncated != (len(tt.body) > 40_000) {
					t.Errorf("%d characters, truncated: %v", len(m.Text), m.Truncated)
				}
			}
		})
	}
}

func TestSlackShowsWhatPeopleSee(t *testing.T) {
	var s slacktest.Slack
	s.Add(slacktest.Path, slacktest.Active)
	post(&s, http.MethodPost, slacktest.Path, "application/json",
		`{"text":"<!channel> a &lt;b&gt; &amp;amp;\u0007 <https://example.com|there> <@U1>","attachments":[{"color":"#fff","text":"<https://example.org>"}]}`)
	post(&s, http.MethodPost, slacktest.Path, "application/x-www-form-urlencoded", "payload=%7B%22text%22%3A%22form%22%7D")
	m := s.Messages()
	if len(m) != 2 || m[0].Text != "@channel a <b> &amp; there @U1" || m[0].Detail != "https://example.org" || m[1].Text != "form" {
		t.Fatalf("%+v", m)
	}
	if !slices.Equal(m[0].Pings, []string{"channel", "U1"}) || !slices.Equal(m[0].Links, []string{"https://example.com", "https://example.org"}) || m[0].Colors[0] != "#fff" {
		t.Errorf("pings %v, links %v, colors %v", m[0].Pings, m[0].Links, m[0].Colors)
	}
}

func TestSlackTakesOneASecondAndSmallBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slacktest.Slack
		s.Add(slacktest.Path, slacktest.Active)
		send := func() *httptest.ResponseRecorder {
			return post(&s, http.MethodPost, slacktest.Path, "application/json", `{"text":"x"}`)
		}
		for i := range 4 {
			if w := send(); w.Code != 200 {
				t.Fatalf("message %d of a burst: %d", i, w.Code)
			}
		}
		if w := send(); w.Code != 429 || w.Header().Get("Retry-After") != "1" || s.Refused() != 1 {
			t.Errorf("%d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
		for range 20 {
			time.Sleep(time.Second)
			if w := send(); w.Code != 200 {
				t.Fatalf("one a second: %d", w.Code)
			}
		}
		s.RetryAfter = 30 * time.Second
		if w := send(); w.Code != 429 || w.Header().Get("Retry-After") != "30" {
			t.Errorf("%d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
		time.Sleep(10 * time.Second)
		if w := send(); w.Code != 429 || w.Header().Get("Retry-After") != "20" {
			t.Errorf("asked too early: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
		time.Sleep(20 * time.Second)
		if w := send(); w.Code != 200 {
			t.Errorf("asked when it may be: %d", w.Code)
		}
	})
}
