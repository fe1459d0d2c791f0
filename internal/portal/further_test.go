package portal

import (
	"encoding/json"
	"fanfare/internal/registry"
	"fanfare/internal/signature"
	"fanfare/internal/webhook"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// has reports whether a page says something, whatever its markup escapes.
func has(body, text string) bool { return strings.Contains(html.UnescapeString(body), text) }

// signed are the headers of a message, as somebody would paste them.
func signed(t *testing.T, id string, at time.Time, body string, secrets ...string) string {
	t.Helper()
	var keys []signature.Key
	for _, s := range secrets {
		key, err := signature.ParseSecret(s)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	h := http.Header{}
	signature.SetHeaders(h, signature.Both, id, at, []byte(body), keys...)
	var text strings.Builder
	if err := h.Write(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestThePageVerifySaysWhatIsWrong(t *testing.T) {
	w := newSite(t, Config{})
	jane := w.login("jane")
	const payload = `{"text":"<script>alert(1)</script>"}` // that of the event of jane
	app, err := w.store.Account(t.Context(), "jane")
	if err != nil {
		t.Fatal(err)
	}
	other := signature.NewSecret()
	if _, err := w.store.CreateEndpoint(t.Context(), webhook.Endpoint{
		Application: app.Application, URL: "https://other.example/", Version: 1, Secrets: []webhook.Secret{{Key: other}},
	}); err != nil {
		t.Fatal(err)
	}
	unknown := signature.NewSecret()
	for name, tt := range map[string]struct {
		headers, body, secret, endpoint string
		says                            []string
	}{
		"good":                     {signed(t, w.event, time.Now(), payload, w.secret), payload, w.secret, "", []string{"This request verifies.", "byte for byte what was sent", "v1 fits"}},
		"with the endpoint's own":  {signed(t, w.event, time.Now(), payload, w.secret), payload, "", w.endpoint, []string{"This request verifies."}},
		"several signatures":       {signed(t, w.event, time.Now(), payload, unknown, w.secret), payload, w.secret, "", []string{"Signature 2 of 2 is good", "v1 does not fit, v1 fits"}},
		"a whole request":          {"POST / HTTP/1.1\r\n" + signed(t, "msg_x", time.Now(), "a", w.secret) + "\r\na", "", w.secret, "", []string{"This request verifies."}},
		"old":                      {signed(t, w.event, time.Now().Add(-26*time.Hour), payload, w.secret), payload, w.secret, "", []string{"does not verify", "26 hours old"}},
		"another endpoint's":       {signed(t, w.event, time.Now(), payload, other), payload, "", w.endpoint, []string{"another endpoint of yours", "other.example"}},
		"nobody's":                 {signed(t, w.event, time.Now(), payload, unknown), payload, w.secret, "", []string{"No signature fits"}},
		"written anew":             {signed(t, w.event, time.Now(), payload, w.secret), `{"text": "<script>alert(1)</script>"}`, w.secret, "", []string{"written anew", "differ from byte 9 on"}},
		"with other line breaks":   {signed(t, "msg_y", time.Now(), "a\nb", w.secret), "a\r\nb", w.secret, "", []string{"This request verifies."}},
		"without headers":          {"content-type: text/plain", payload, w.secret, "", []string{"A header is missing: webhook-id"}},
		"with a key for a secret":  {signed(t, w.event, time.Now(), payload, w.secret), payload, "ffk_ABC", "", []string{"key of the API"}},
		"nothing":                  {"", "", "", "", []string{"Paste the headers"}},
		"of an endpoint elsewhere": {signed(t, w.event, time.Now(), payload, w.secret), payload, "", "ep_01m86vh111ebm9zvrzxzkwm0v3", []string{"begins with whsec_"}},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := w.do(jane, http.MethodPost, "/webhooks/jane/verify", url.Values{
				"headers": {tt.headers}, "body": {tt.body}, "secret": {tt.secret}, "endpoint": {tt.endpoint},
			})
			for _, text := range tt.says {
				if !has(body, text) {
					t.Errorf("%d, does not say %q:\n%s", res.StatusCode, text, body)
				}
			}
			for _, secret := range []string{w.secret, other, unknown, tt.secret} {
				if secret != "" && has(body, secret) {
					t.Error("a secret is in the page")
				}
			}
			if tt.body != "" && !has(body, strings.ReplaceAll(tt.body, "\r\n", "\n")) {
				t.Error("what was pasted is not kept")
			}
		})
	}
}

func TestTheCatalogueShowsTheTypesAndWhoListens(t *testing.T) {
	w := newSite(t, Config{})
	jane := w.login("jane")
	_, body := w.do(jane, http.MethodGet, "/webhooks/jane/catalogue", nil)
	for _, e := range registry.EventTypes {
		if !has(body, e.Name) || !has(body, e.Means) {
			t.Errorf("%s is not in the catalogue", e.Name)
		}
		_, of := w.do(jane, http.MethodGet, "/webhooks/jane/catalogue/"+e.Name, nil)
		for _, text := range []string{e.Means, `"event_type": "` + e.Name + `"`, "example.com", "The full name of the dataset: owner/name.", "<code>api_version</code>"} {
			if !has(of, text) {
				t.Errorf("the page of %s does not show %q", e.Name, text)
			}
		}
	}
	if res, _ := w.do(jane, http.MethodGet, "/webhooks/jane/catalogue/no.such", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown type: %d", res.StatusCode)
	}
}

func TestAVisitorSeesTheTypesOfTheirFlagsAlone(t *testing.T) {
	w := newSite(t, Config{})
	c, base := w.visitor(webhook.Token{FeatureFlags: []string{"beta"}})
	for name, flags := range map[string][]string{"shown.beta": {"beta"}, "hidden.alpha": {"alpha"}, "shown.all": nil} {
		if _, err := w.store.CreateEventType(t.Context(), webhook.EventType{
			Environment: w.environment(), Name: name, Description: "d", FeatureFlags: flags, Schemas: map[string]json.RawMessage{"1": json.RawMessage(`{"properties":{"<b>":{}}}`)},
		}); err != nil {
			t.Fatal(err)
		}
	}
	_, body := w.do(c, http.MethodGet, base+"/catalogue", nil)
	if !has(body, "shown.beta") || !has(body, "shown.all") || has(body, "hidden.alpha") {
		t.Errorf("got %s", body)
	}
	for name, want := range map[string]int{"shown.beta": 200, "hidden.alpha": 404} {
		if res, body := w.do(c, http.MethodGet, base+"/catalogue/"+name, nil); res.StatusCode != want || strings.Contains(body, "<b>") {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
}

func TestTheDocumentationIsOpenToEverybody(t *testing.T) {
	w := newSite(t, Config{Promises: Promises{RetrySchedule: []time.Duration{5 * time.Second, 90 * time.Second}, RequestTimeout: 15 * time.Second, DisableAfter: 120 * time.Hour, MessageRetention: 2160 * time.Hour, AttemptRetention: 36 * time.Hour}})
	nobody := w.browser()
	for path, says := range map[string]string{
		"/docs/webhooks":              "Occurs",
		"/docs/retries":               "after 5 seconds, 90 seconds",
		"/docs/retries?":              "kept for 90 days and attempts for 36 hours",
		"/docs/verify":                "five minutes",
		"/docs/search?q=retry-after":  "<mark>retry-after</mark>",
		"/docs/search?q=%3Cscript%3E": "Nothing was found for “<script>”",
		"/docs/api/webhooks":          "/api/v1/app/{app}/endpoint",
		"/docs/api/webhooks/endpoint": "Needs a token",
		"/docs/api/registry":          "the word APIKey, a space and an API key",
		"/docs/api/registry/sample":   "/datasets/{owner}/{name}/samples_bulk",
		"/docs/api/registry/label":    "Takes the role manager",
		"/docs/openapi/webhooks.json": `"openapi": "3.1.0"`,
		"/docs/openapi/registry.json": `"openapi": "3.1.0"`,
	} {
		res, body := w.do(nobody, http.MethodGet, path, nil)
		if path == "/docs/webhooks" {
			says = "A sample was created."
		}
		if path == "/docs/search?q=retry-after" {
			body, says = strings.ToLower(body), strings.ToLower(says)
		}
		if res.StatusCode != http.StatusOK || !has(body, says) || strings.Contains(body, "<script>”") {
			t.Errorf("%s: %d, does not say %q", path, res.StatusCode, says)
		}
	}
	if res, _ := w.do(nobody, http.MethodGet, "/docs", nil); res.Header.Get("Location") != "/docs/webhooks" {
		t.Errorf("/docs leads to %q", res.Header.Get("Location"))
	}
	for _, path := range []string{"/docs/nothing", "/docs/api/nothing", "/docs/api/webhooks/nothing", "/docs/openapi/nothing.json", "/docs/openapi/webhooks"} {
		if res, _ := w.do(nobody, http.MethodGet, path, nil); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	if _, body := w.do(w.login("jane"), http.MethodGet, "/docs/webhooks", nil); !has(body, "/webhooks/jane/endpoints") {
		t.Error("whoever is logged in does not see their navigation")
	}
}

func TestAReceiverNamesTheSecretOfItsEndpoint(t *testing.T) {
	w := newSite(t, Config{})
	jane := w.login("jane")
	for _, language := range []string{"", "go", "python", "javascript", "java", "php"} {
		_, body := w.do(jane, http.MethodGet, fmt.Sprintf("/webhooks/jane/endpoints/%s/receiver?language=%s", w.endpoint, language), nil)
		if n := strings.Count(body, secretVariable(w.endpoint)); n < 3 || has(body, w.secret) {
			t.Errorf("%q names the variable %d times", language, n)
		}
	}
}

func TestLengthsOfTimeAreInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * time.Second: "5 seconds", time.Minute: "1 minute", 90 * time.Minute: "90 minutes", 120 * time.Hour: "5 days",
		24 * time.Hour: "24 hours", time.Hour: "1 hour", 1500 * time.Millisecond: "1.5s",
	} {
		if got := inWords(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
