package signature

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestDiagnoseNamesWhatIsWrong(t *testing.T) {
	const body = `{"text":"Sample rosé.png created in a/b & <c>","n":1,"list":[1,2]}`
	secret, other := NewSecret(), NewSecret()
	public := NewAsymmetricSecret()
	now := time.Unix(1_700_000_000, 0)
	type parts struct {
		h      http.Header
		body   string
		secret string
	}
	drop := func(p *parts, prefix string) {
		for name := range p.h {
			if strings.HasPrefix(strings.ToLower(name), prefix) {
				p.h.Del(name)
			}
		}
	}
	resign := func(p *parts, at time.Time, text string, secrets ...string) {
		var keys []Key
		for _, s := range secrets {
			keys = append(keys, mustParse(t, s))
		}
		SetHeaders(p.h, Both, vectorID, at, []byte(text), keys...)
	}
	reserialised := func(p *parts) {
		var v any
		_ = json.Unmarshal([]byte(p.body), &v)
		b, _ := json.Marshal(v)
		p.body = string(b)
	}
	for name, tt := range map[string]struct {
		change func(*parts)
		want   Cause
		says   string
	}{
		"nothing":                        {func(*parts) {}, Good, "good"},
		"the second of two fits":         {func(p *parts) { resign(p, now, body, other, secret) }, Good, "Signature 2 of 2"},
		"old":                            {func(p *parts) { resign(p, now.Add(-3*time.Hour), body, secret) }, TooOld, "3 hours old"},
		"new":                            {func(p *parts) { resign(p, now.Add(time.Hour), body, secret) }, TooNew, "1 hour ahead"},
		"another secret":                 {func(p *parts) { p.secret = other }, OtherSignature, "another secret"},
		"a secret with a line break":     {func(p *parts) { p.secret += "\n" }, BadSecret, "line break around"},
		"an API key for a secret":        {func(p *parts) { p.secret = "ffk_ABCDEF" }, BadSecret, "key of the API"},
		"a secret in another alphabet":   {func(p *parts) { p.secret = "whsec_-_-_aaaaaaaaaaaaaaaaaaaaaaaaaaaa" }, BadSecret, "alphabet"},
		"no secret":                      {func(p *parts) { p.secret = "" }, BadSecret, "begins with whsec_"},
		"the beginning of a secret":      {func(p *parts) { p.secret = secret[:20] }, BadSecret, "whole secret"},
		"no headers":                     {func(p *parts) { p.h = http.Header{} }, NoHeader, "webhook-id"},
		"underscores in names":           {func(p *parts) { p.h = http.Header{"HTTP_WEBHOOK_ID": {"x"}} }, NoHeader, "underscores"},
		"the headers of another service": {func(p *parts) { p.h = http.Header{"Stripe-Signature": {"x"}} }, NoHeader, "another service"},
		"Svix headers alone":             {func(p *parts) { drop(p, "webhook-") }, Good, "good"},
		"a date for a time stamp":        {func(p *parts) { p.h.Set("webhook-timestamp", "2023-11-14T22:13:20Z") }, BadTimestamp, "seconds since 1970"},
		"milliseconds for seconds":       {func(p *parts) { p.h.Set("webhook-timestamp", "1700000000000"); drop(p, "svix-") }, HeaderChanged, "milliseconds"},
		"one family was changed":         {func(p *parts) { p.h.Set("webhook-id", "x") }, HeaderChanged, "svix-* headers fit"},
		"an id in quotes":                {func(p *parts) { p.h.Set("webhook-id", `"`+vectorID+`"`); drop(p, "svix-") }, HeaderChanged, "quotes"},
		"a signature without its scheme": {func(p *parts) { bare(p.h) }, HeaderChanged, "a comma and base64"},
		"a public key for an HMAC":       {func(p *parts) { p.secret = Public(public) }, NoSuchScheme, "no v1a signature"},
		"a line break at the end":        {func(p *parts) { p.body += "\n" }, BodyChanged, "line break at its end"},
		"no line break at the end":       {func(p *parts) { resign(p, now, body+"\n", secret) }, BodyChanged, "is missing"},
		"CRLF":                           {func(p *parts) { resign(p, now, "a\nb", secret); p.body = "a\r\nb" }, BodyChanged, "LF to CRLF"},
		"LF":                             {func(p *parts) { resign(p, now, "a\r\nb", secret); p.body = "a\nb" }, BodyChanged, "CRLF to LF"},
		"a byte order mark":              {func(p *parts) { p.body = "\ufeff" + body }, BodyChanged, "byte order mark"},
		"base64":                         {func(p *parts) { p.body = base64.StdEncoding.EncodeToString([]byte(body)) }, BodyChanged, "base64"},
		"a JSON string":                  {func(p *parts) { p.body = strconv.Quote(body) }, BodyChanged, "JSON string"},
		"a form field":                   {func(p *parts) { p.body = "payload=%7B%22a%22%3A1%7D"; resign(p, now, `{"a":1}`, secret) }, BodyChanged, "form field"},
		"Latin-1":                        {func(p *parts) { p.body = latin1(body) }, BodyChanged, "Latin-1"},
		"indented JSON":                  {func(p *parts) { p.body = indented(body) }, BodyChanged, "spaces or line breaks were added"},
		"JSON with spaces, removed":      {func(p *parts) { resign(p, now, string(spaced([]byte(body))), secret) }, BodyChanged, "spaces were removed"},
		"JSON escaped by Go":             {func(p *parts) { p.body = string(restring([]byte(body), appendHTML)) }, BodyChanged, "characters were escaped"},
		"JSON escaped by PHP":            {func(p *parts) { p.body = string(restring([]byte(body), appendSlashed)) }, BodyChanged, "characters were escaped"},
		"JSON of PHP, written out":       {func(p *parts) { resign(p, now, string(restring([]byte(body), appendSlashed)), secret) }, BodyChanged, "written out"},
		"JSON of Python, compact":        {func(p *parts) { resign(p, now, string(spaced(restring([]byte(body), appendASCII))), secret) }, BodyChanged, "written anew"},
		"JSON with sorted names":         {reserialised, OtherSignature, "sorted names"},
		"another body":                   {func(p *parts) { p.body = "{}" }, OtherSignature, "body was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := parts{http.Header{}, body, secret}
			resign(&p, now, body, secret)
			tt.change(&p)
			d := Diagnose(p.secret, p.h, []byte(p.body), now)
			if d.Cause != tt.want || !strings.Contains(d.Text+" "+d.Advice, tt.says) {
				t.Errorf("got %q: %s %s", d.Cause, d.Text, d.Advice)
			}
			if (d.Err == nil) != (d.Cause == Good) {
				t.Errorf("cause %q, but Verify says %v", d.Cause, d.Err)
			}
			if p.secret != "" && strings.Contains(d.Text+d.Advice, p.secret) {
				t.Error("the diagnosis repeats the secret")
			}
		})
	}
}

func bare(h http.Header) {
	for _, f := range families {
		_, sig, _ := strings.Cut(h.Get(f.signature), ",")
		h.Set(f.signature, sig)
	}
}

func latin1(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteRune(rune(c))
	}
	return b.String()
}

func indented(s string) string {
	var v json.RawMessage = []byte(s)
	b, _ := json.MarshalIndent(v, "", "  ")
	// MarshalIndent escapes as well; this changes spaces alone.
	return string(restring(b, appendPlain))
}

func TestARequestIsReadInTheFormsPeopleHave(t *testing.T) {
	for name, text := range map[string]string{
		"lines":          "webhook-id: a\nwebhook-timestamp: 1",
		"a raw request":  "POST /hook HTTP/1.1\r\nHost: example.com\r\nWebhook-Id: a\r\nWebhook-Timestamp: 1\r\n\r\n{\"a\":1}",
		"curl":           "-H 'webhook-id: a' \\\n  -H \"webhook-timestamp: 1\"",
		"a JSON object":  `{"webhook-id": "a", "Webhook-Timestamp": ["1"]}`,
		"tabs and space": "  webhook-id:\ta\n\twebhook-timestamp : 1",
	} {
		t.Run(name, func(t *testing.T) {
			h, body := ReadRequest(text)
			if h.Get("webhook-id") != "a" || h.Get("webhook-timestamp") != "1" {
				t.Errorf("got %v", h)
			}
			if (body == `{"a":1}`) != (name == "a raw request") {
				t.Errorf("body %q", body)
			}
		})
	}
	if h, _ := ReadRequest("HTTP_WEBHOOK_ID=msg_a=b"); h["Http_webhook_id"] == nil || h["Http_webhook_id"][0] != "msg_a=b" {
		t.Errorf("variables: %v", h)
	}
}

func FuzzDiagnoseAgreesWithVerify(f *testing.F) {
	f.Add("v1,abc v1a,x", "1", `{"a":"\u00e9"}`, vectorSecret)
	f.Add(vectorSig, "1614265330", vectorBody, vectorSecret)
	f.Add("", "-1", `"\`, "whsec_")
	f.Fuzz(func(t *testing.T, sig, timestamp, body, secret string) {
		h, _ := ReadRequest("webhook-id: " + vectorID + "\nwebhook-timestamp: " + timestamp + "\nwebhook-signature: " + sig)
		d := Diagnose(secret, h, []byte(body), vectorTime)
		if (d.Cause == Good) != (d.Err == nil) || d.Text == "" || d.Cause != Good && d.Advice == "" {
			t.Errorf("%+v", d)
		}
	})
}
