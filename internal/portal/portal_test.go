package portal

import (
	"fanfare/internal/auth"
	"fanfare/internal/registry"
	"fanfare/internal/signature"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

const password = "correct horse battery"

// site is a portal with the accounts jane, who has an endpoint and an event,
// and john, who has nothing.
type site struct {
	t               *testing.T
	store           *store.Store
	url             string
	endpoint, event string
	key             string
	attempt, task   string
	// failure is the path of an attempt that failed, in a gallery.
	failure string
	secret  string
}

func newSite(t *testing.T, cfg Config) *site {
	t.Helper()
	return newSiteOn(t, storetest.Open(t, storetest.SQLite(t)), cfg)
}

// newSiteOn is newSite on a store of which the test knows more.
func newSiteOn(t *testing.T, s *store.Store, cfg Config) *site {
	t.Helper()
	p, err := New(s, storetest.Log(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	w := &site{t: t, store: s, url: server.URL, secret: signature.NewSecret()}
	hash, err := auth.HashPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"jane", "john"} {
		if _, err := s.CreateAccount(t.Context(), registry.Account{Name: name}, hash); err != nil {
			t.Fatal(err)
		}
	}
	jane, err := s.Account(t.Context(), "jane")
	if err != nil {
		t.Fatal(err)
	}
	if jane, err = s.EnableWebhooks(t.Context(), jane.ID, "jane", true); err != nil {
		t.Fatal(err)
	}
	e, err := s.CreateEndpoint(t.Context(), webhook.Endpoint{
		Application: jane.Application, URL: "https://example.com/", Version: 1, Secrets: []webhook.Secret{{Key: w.secret}},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := webhook.Message{Application: jane.Application, EventType: "sample.created", Payload: []byte(`{"text":"<script>alert(1)</script>"}`)}
	if err := s.AddMessage(t.Context(), &m); err != nil {
		t.Fatal(err)
	}
	k, err := s.CreateAPIKey(t.Context(), jane.ID, "importer", auth.Hash("key"), "…")
	if err != nil {
		t.Fatal(err)
	}
	w.key = keyID.Format(k.ID)
	w.attempt, w.task = w.failed(e), w.replay(e)
	w.endpoint, w.event = webhook.EndpointID.Format(e.ID), webhook.MessageID.Format(m.ID)
	return w
}

// failed makes a first attempt at what waits for an endpoint.
func (w *site) failed(e *webhook.Endpoint) string {
	w.t.Helper()
	claimed, err := w.store.Claim(w.t.Context(), e.ID, 1, false)
	if err != nil || len(claimed.Jobs) != 1 {
		w.t.Fatalf("claimed %+v, %v", claimed, err)
	}
	j := claimed.Jobs[0]
	r := webhook.Record{Claim: j.Claim, Retry: time.Now().Add(time.Hour), Attempts: 1, Calls: 1, Attempt: webhook.Attempt{
		Application: j.Application, DeliveryKey: j.DeliveryKey, Number: 1, Outcome: webhook.Refused, StatusCode: 500, URL: e.URL, StartedAt: time.Now(),
		RequestHead: []byte("Content-Type: application/json\n"), ResponseHead: []byte("Date: today\n"), Response: []byte("it's broken"),
		Timings: webhook.Timings{DNS: time.Millisecond, Connect: 2 * time.Millisecond, FirstByte: 30 * time.Millisecond, Total: 34 * time.Millisecond},
	}}
	if err := storetest.Record(w.store, &r); err != nil {
		w.t.Fatal(err)
	}
	made, err := w.store.AttemptsOfEndpoint(w.t.Context(), j.Application, e.ID, store.AttemptFilter{}, store.Page{Limit: 1})
	if err != nil || len(made) != 1 {
		w.t.Fatalf("attempts %+v, %v", made, err)
	}
	return webhook.AttemptID.Format(made[0].ID)
}

// replay begins to send again what failed.
func (w *site) replay(e *webhook.Endpoint) string {
	w.t.Helper()
	env, err := w.store.Environment(w.t.Context(), store.MainEnvironment)
	if err != nil {
		w.t.Fatal(err)
	}
	k, err := w.store.CreateTask(w.t.Context(), webhook.Task{
		Environment: env, Application: e.Application, Endpoint: e.ID, Name: webhook.TaskRecover,
		Params: webhook.TaskParams{Since: time.Now().Add(-time.Hour), Until: time.Now()},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return webhook.TaskID.Format(k.ID)
}

// browser is a client that keeps cookies and follows nothing.
func (w *site) browser() *http.Client {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (w *site) do(c *http.Client, method, path string, form url.Values, headers ...string) (reply, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, res.Cookies()}, string(body)
}

// reply is an answer whose body was read.
type reply struct {
	StatusCode int
	Header     http.Header
	Cookies    []*http.Cookie
}

func (w *site) login(name string) *http.Client {
	w.t.Helper()
	c := w.browser()
	if res, _ := w.do(c, http.MethodPost, "/login", url.Values{"account": {name}, "password": {password}}); res.StatusCode != http.StatusSeeOther {
		w.t.Fatalf("log in: %d", res.StatusCode)
	}
	return c
}

// paths are all routes of the portal with the things of jane in them, but for
// live tails, which do not end.
func (w *site) paths() (routes [][2]string) {
	w.t.Helper()
	p, err := New(w.store, storetest.Log(w.t), Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	fill := strings.NewReplacer("{account}", "jane", "{endpoint}", w.endpoint, "{event}", w.event, "{key}", w.key,
		"{attempt}", w.attempt, "{task}", w.task,
		"{app}", w.application(), "{type}", "sample.created", "{page}", "webhooks", "{document}", "webhooks", "{group}", "endpoint", "/openapi/{file}", "/openapi/webhooks.json")
	for _, route := range p.router.Routes() {
		method, path, _ := strings.Cut(fill.Replace(route), " ")
		if !strings.HasPrefix(path, "/login") && !strings.HasPrefix(path, "/logout") && !strings.HasPrefix(path, "/static") && !strings.HasPrefix(path, web.AccessPath) && !strings.HasSuffix(path, "/tail") {
			routes = append(routes, [2]string{method, path})
		}
	}
	return routes
}

func TestEveryPageAsksForALogin(t *testing.T) {
	w := newSite(t, Config{})
	routes := w.paths()
	if len(routes) < 20 {
		t.Fatalf("only %d routes", len(routes))
	}
	for _, route := range routes {
		res, body := w.do(w.browser(), route[0], route[1], nil)
		if strings.HasPrefix(route[1], "/docs") { // open to everybody
			if res.StatusCode >= 400 || strings.Contains(res.Header.Get("Location"), "/login") {
				t.Errorf("%s: %d %s", route, res.StatusCode, body)
			}
			continue
		}
		if strings.HasPrefix(route[1], "/operator") { // its own tests
			continue
		}
		if res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(res.Header.Get("Location"), "/login") || strings.Contains(body, "whsec_") {
			t.Errorf("%s: %d %s", route, res.StatusCode, body)
		}
	}
}

func TestNothingOfAnotherAccountIsFound(t *testing.T) {
	w := newSite(t, Config{})
	john := w.login("john")
	for _, route := range w.paths() {
		if !strings.Contains(route[1], "jane") {
			continue
		}
		if res, body := w.do(john, route[0], route[1], url.Values{}); res.StatusCode != http.StatusNotFound || strings.Contains(body, "example.com") {
			t.Errorf("%s: %d %s", route, res.StatusCode, body)
		}
	}
	// Nor under an account of one's own.
	w.do(john, http.MethodPost, "/account/john/webhooks", url.Values{"enabled": {"true"}})
	for _, path := range []string{"/endpoints/" + w.endpoint, "/endpoints/" + w.endpoint + "/edit", "/events/" + w.event} {
		if res, _ := w.do(john, http.MethodGet, "/webhooks/john"+path, nil); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	e, err := w.store.Account(t.Context(), "jane")
	if err != nil {
		t.Fatal(err)
	}
	if list, err := w.store.Endpoints(t.Context(), e.Application); err != nil || len(list) != 1 || list[0].Disabled {
		t.Errorf("john changed %+v, %v", list, err)
	}
}

func TestASecretIsInNoPageUntilItIsAskedFor(t *testing.T) {
	w := newSite(t, Config{})
	jane := w.login("jane")
	for _, route := range w.paths() {
		if route[0] != http.MethodGet || strings.HasPrefix(route[1], "/operator") {
			continue
		}
		res, body := w.do(jane, route[0], route[1], nil)
		if res.StatusCode >= 400 || strings.Contains(body, w.secret) {
			t.Errorf("%s: %d", route, res.StatusCode)
		}
		if res.StatusCode == http.StatusOK && (res.Header.Get("Cache-Control") != "no-store" || !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'")) {
			t.Errorf("%s has headers %v", route, res.Header)
		}
	}
	for _, headers := range [][]string{nil, {"HX-Request", "true"}} {
		res, body := w.do(jane, http.MethodPost, "/webhooks/jane/endpoints/"+w.endpoint+"/secret", url.Values{}, headers...)
		if res.StatusCode != http.StatusOK || !strings.Contains(strings.ReplaceAll(body, "&#43;", "+"), w.secret) || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("asked with %v: %d %s", headers, res.StatusCode, body)
		}
	}
}

func TestWhatUsersGiveIsNeverMarkup(t *testing.T) {
	w := newSite(t, Config{})
	jane := w.login("jane")
	for _, path := range []string{"/webhooks/jane/events", "/webhooks/jane/events/" + w.event} {
		if _, body := w.do(jane, http.MethodGet, path, nil); strings.Contains(body, "<script>alert") || !strings.Contains(body, "&lt;script&gt;") {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestAFormOfAnotherSiteIsRefused(t *testing.T) {
	w := newSite(t, Config{})
	jane := w.login("jane")
	res, _ := w.do(jane, http.MethodPost, "/webhooks/jane/endpoints/"+w.endpoint+"/delete", url.Values{},
		"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("got %d", res.StatusCode)
	}
	if res, _ := w.do(jane, http.MethodGet, "/webhooks/jane/endpoints/"+w.endpoint, nil); res.StatusCode != http.StatusOK {
		t.Errorf("the endpoint is gone: %d", res.StatusCode)
	}
}

func TestGuessingAPasswordIsSlowedDown(t *testing.T) {
	w := newSite(t, Config{})
	for n := range 11 {
		res, body := w.do(w.browser(), http.MethodPost, "/login", url.Values{"account": {"jane"}, "password": {"wrong password"}})
		if want := map[bool]int{true: http.StatusUnauthorized, false: http.StatusTooManyRequests}[n < 10]; res.StatusCode != want {
			t.Fatalf("try %d: %d %s", n+1, res.StatusCode, body)
		}
	}
}

func TestTheSessionsCookie(t *testing.T) {
	for _, secure := range []bool{false, true} {
		w := newSite(t, Config{Secure: secure})
		res, _ := w.do(w.browser(), http.MethodPost, "/login", url.Values{"account": {"jane"}, "password": {password}})
		cookies := res.Cookies
		if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode || cookies[0].Secure != secure ||
			strings.HasPrefix(cookies[0].Name, "__Host-") != secure {
			t.Errorf("got %v", cookies)
		}
	}
}

func TestALoginLeadsNowhereElse(t *testing.T) {
	for next, want := range map[string]string{
		"/webhooks/jane/events?type=a": "/webhooks/jane/events?type=a",
		"":                             "/account",
		"https://evil.example/":        "/account",
		"//evil.example":               "/account",
		"/\\evil.example":              "/account",
		"/a\r\nb":                      "/account",
		"javascript:alert(1)":          "/account",
	} {
		if got := localPath(next); got != want {
			t.Errorf("%q led to %q", next, got)
		}
	}
}

func FuzzALoginStaysHere(f *testing.F) {
	f.Add("//x")
	f.Add("/%2F/x")
	f.Fuzz(func(t *testing.T, next string) {
		got := localPath(next)
		u, err := url.Parse(got)
		if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") {
			t.Errorf("%q led to %q", next, got)
		}
	})
}
