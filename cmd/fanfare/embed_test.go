package main

import (
	"fanfare/internal/browsertest"
	"fanfare/internal/store/storetest"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// watched passes requests on to a node and notes what came of them.
type watched struct {
	*httptest.Server
	mu    sync.Mutex
	lines []string
	seen  chan struct{}
}

func watch(t *testing.T, node string) *watched {
	t.Helper()
	target, err := url.Parse(node)
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{seen: make(chan struct{}, 1000)}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(res *http.Response) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		path, _, _ := strings.Cut(res.Request.URL.Path, "ffl_")
		w.lines = append(w.lines, fmt.Sprintf("%s %s %d in a %s", res.Request.Method, path, res.StatusCode, res.Request.Header.Get("Sec-Fetch-Dest")))
		w.seen <- struct{}{}
		return nil
	}
	w.Server = httptest.NewServer(proxy)
	t.Cleanup(w.Close)
	return w
}

func (w *watched) has(line string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.lines, line)
}

func (w *watched) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = nil
}

// wait waits until a request was answered in a way.
func (w *watched) wait(t *testing.T, line string) {
	t.Helper()
	late := time.After(patience)
	for !w.has(line) {
		select {
		case <-w.seen:
		case <-late:
			t.Fatalf("there was no %q:\n%s", line, strings.Join(w.lines, "\n"))
		}
	}
}

// TestThePortalInAFrameOfAnotherSite has a real browser show the link of an
// application on a page of another site, open it there, and go on from there.
func TestThePortalInAFrameOfAnotherSite(t *testing.T) {
	t.Parallel()
	// To browsers localhost and 127.0.0.1 are two sites.
	var link string
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><body style="margin:0"><iframe src="%s" style="border:0;width:100vw;height:100vh"></iframe>`, link)
	}))
	t.Cleanup(site.Close)
	origin := strings.Replace(site.URL, "127.0.0.1", "localhost", 1)

	in := install(t, storetest.SQLite(t), nil)
	proxy := watch(t, in.url)
	in.flags = append(in.flags, "-embed-origins", origin, "-public-url", proxy.URL)
	in.start()
	words := strings.Fields(run(t, "", in.with("token", "create")...))
	s := sender{t, in.url, words[len(words)-1]}
	app := s.call(http.MethodPost, "/api/v1/app", map[string]any{"name": "Jane & Co", "uid": "jane"})["id"]
	open := func() string {
		made, _ := s.call(http.MethodPost, "/api/v1/auth/app-portal-access/jane", map[string]any{})["url"].(string)
		return made
	}

	b := browsertest.New(t)
	b.Resize(800, 600)
	link = open()
	b.Open(link) // to look at it does not use it up
	number := func(expression string) float64 {
		n, err := strconv.ParseFloat(b.Value(expression), 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const box = `document.querySelector("button").getBoundingClientRect()`
	x, y := number(box+".x")+10, number(box+".y")+10

	b.Open(origin)
	proxy.wait(t, "GET /webhooks/access/ 200 in a iframe")
	// A frame of another site does not say when it can be clicked.
	const opened = "POST /webhooks/access/ 303 in a iframe"
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for tries := 0; !proxy.has(opened) && tries < 300; tries++ {
		b.ClickAt(x, y)
		<-tick.C
	}
	proxy.wait(t, opened)
	proxy.wait(t, fmt.Sprintf("GET /webhooks/%s/endpoints 200 in a iframe", app))
	proxy.wait(t, "GET /static/app.css 200 in a style")

	// Its cookie is for the frame: the site by itself knows nothing of it.
	b.Open(fmt.Sprintf("%s/webhooks/%s/endpoints", proxy.URL, app))
	b.See("Not found")
	// Opened by itself, a link works too, and can be looked at.
	b.Open(open())
	b.Press("Open webhooks")
	b.See("No endpoints yet")
	if b.Value(`document.querySelectorAll("a[href^='/account'], form[action='/logout']").length`) != "0" {
		t.Error("an account is offered to somebody who has none")
	}
	b.Look("embedded-endpoints")

	// A site that was not named shows nothing.
	link = open()
	proxy.forget()
	b.Open(site.URL)
	proxy.wait(t, "GET /webhooks/access/ 200 in a iframe")
	for range 5 {
		b.ClickAt(x, y)
		<-tick.C
	}
	b.Open(link)
	b.Press("Open webhooks") // not used up: the click reached nothing
	b.See("No endpoints yet")
}

// TestCookiesOpenNoAPI has the cookies of a login and of a link go to both APIs.
func TestCookiesOpenNoAPI(t *testing.T) {
	t.Parallel()
	in := install(t, storetest.SQLite(t), []string{"jane"})
	in.start()
	jane := in.browserless("jane")
	in.form(jane, "/account/jane/webhooks", map[string][]string{"enabled": {"true"}})
	words := strings.Fields(run(t, "", in.with("token", "create")...))
	s := sender{t, in.url, words[len(words)-1]}
	link, _ := s.call(http.MethodPost, "/api/v1/auth/app-portal-access/jane", map[string]any{})["url"].(string)
	in.form(jane, strings.TrimPrefix(link, in.url), nil) // the same browser now has both cookies

	node, err := url.Parse(in.url)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(jane.Jar.Cookies(node)); n != 2 {
		t.Fatalf("%d cookies", n)
	}
	for _, call := range []string{
		"GET /api/v1/app", "POST /api/v1/app", "GET /api/v1/app/jane/endpoint", "POST /api/v1/auth/app-portal-access/jane",
		"POST /api/v1/auth/logout", "GET /user", "GET /user/datasets/", "POST /user/datasets/", "GET /api_status/",
	} {
		method, path, _ := strings.Cut(call, " ")
		req, err := http.NewRequestWithContext(t.Context(), method, in.url+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := jane.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s with cookies: %d", call, res.StatusCode)
		}
	}
}
