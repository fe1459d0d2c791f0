package main

import (
	"fanfare/internal/browsertest"
	"fanfare/internal/slacktest"
	"fanfare/internal/store/storetest"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// slackServer is a Slack that tells when something has come in.
type slackServer struct {
	slacktest.Slack
	*httptest.Server
	mu   sync.Mutex
	came *sync.Cond
}

func newSlackServer(t *testing.T) *slackServer {
	t.Helper()
	s := &slackServer{}
	s.came = sync.NewCond(&s.mu)
	s.Add(slacktest.Path, slacktest.Active)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.came.Broadcast()
	}))
	t.Cleanup(s.Close)
	return s
}

// wait waits until the channel shows a text, and returns the message.
func (s *slackServer) wait(t *testing.T, text string) slacktest.Message {
	t.Helper()
	late := time.AfterFunc(patience, s.came.Broadcast)
	defer late.Stop()
	end := time.Now().Add(patience)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for _, m := range s.Messages() {
			if strings.Contains(m.Text, text) {
				return m
			}
		}
		if time.Now().After(end) {
			t.Fatalf("waited for %q; the channel shows %+v", text, s.Messages())
		}
		s.came.Wait()
	}
}

// TestTheGuideOfSlackInABrowser follows the documentation's page about Slack, step by
// step, with a Slack of its own. FANFARE_PICTURES names the directory for the
// pictures of that page.
func TestTheGuideOfSlackInABrowser(t *testing.T) {
	t.Parallel()
	in := install(t, storetest.SQLite(t), []string{"jane"}, "-retry-schedule", "100ms,1s,1s")
	in.start()
	s := newSlackServer(t)
	b := browsertest.New(t)
	picture := func(name, selector string, height int64) {
		if dir := os.Getenv("FANFARE_PICTURES"); dir != "" {
			b.Run(`document.querySelectorAll("a, p, span, h2, h3").forEach(e => e.childNodes.forEach(n => {
				if (n.nodeType === 3) n.data = n.data.replace(/(http:..)?127[.]0[.]0[.]1:\d+/, "hooks.slack.com") }))`)
			b.Picture(filepath.Join(dir, name+".png"), selector, 960, height)
		}
	}

	// The guide is there for everybody, with its steps and pictures.
	b.Open(in.url + "/docs/slack")
	b.See("Create New App")
	if os.Getenv("FANFARE_PICTURES") == "" {
		b.Until("the pictures", `document.querySelectorAll(".prose img").length === 3 && [...document.querySelectorAll(".prose img")].every(i => { i.loading = "eager"; return i.complete && i.naturalWidth > 0 })`)
	}

	// Enable webhooks.
	b.Press("account page")
	b.See("Log in")
	b.Fill("#account", "jane")
	b.Fill("#password", password)
	b.Press("Log in")
	b.See("Webhooks are automated messages")
	picture("slack-account", "body", 450)
	b.Press("Enable")
	b.See("Webhooks are enabled.")
	b.Press("Manage webhooks")

	// Add the endpoint: the URL is recognised, and the message is shown.
	b.Press("Add endpoint")
	b.See("Events to send")
	b.Fill("#url", "https://hooks.slack.com"+slacktest.Path)
	b.See("This is a URL of Slack.")
	b.Until("a message as it will look", `document.querySelector("#preview .chat .said") !== null`)
	b.Value(`(document.querySelector("#preview-type").value = "issue.created", document.querySelector("#preview-type").dispatchEvent(new Event("change", {bubbles: true})))`)
	b.See("The stem is not labelled.")
	b.Look("endpoint-form-slack")
	picture("slack-form", "#preview", 630)
	b.Fill("#url", s.URL+slacktest.Path)
	b.Value(`(document.querySelector("#kind").value = "slack", document.querySelector("#kind").dispatchEvent(new Event("change", {bubbles: true})))`)
	b.Fill("#version", "1")
	b.Fill("#description", "Tells our channel")
	b.Press("Filter and digest")
	b.Click("[name=label_status][value=REJECTED]")
	b.Value(`(document.querySelector("#digest").value = "on", document.querySelector("#seconds").value = "1")`)
	b.Press("Add endpoint")
	b.See("Nothing sent yet")
	b.See("For up to 1 second, at most 1000 events")
	b.See(`{"label_status":["REJECTED"]}`)

	// Send a test event, and see it.
	b.Press("Send test event")
	b.See("Payload")
	b.Press("Send")
	b.See("200 OK")
	b.See("Told in")
	m := s.wait(t, "jane/flowers")
	if len(m.Pings) != 0 || len(m.Colors) != 1 || m.Header.Get("Webhook-Signature") == "" {
		t.Errorf("the channel shows %+v", m)
	}

	// Change data: each change is told, many at once in one sentence.
	in.must("jane", http.MethodPost, "/user/datasets/", `{"name":"roses","task_type":"bboxes"}`)
	s.wait(t, "Dataset jane/roses created.")
	var bulk []string
	for i := range 200 {
		bulk = append(bulk, fmt.Sprintf(`{"name":"rose-%04d.png","attributes":null}`, i+1))
	}
	if status, _, err := in.call("jane", http.MethodPost, "/datasets/jane/roses/samples_bulk/", "["+strings.Join(bulk, ",")+"]"); status != http.StatusCreated {
		t.Fatalf("bulk: %d %v", status, err)
	}
	s.wait(t, "200 samples created in dataset jane/roses (rose-0001.png … rose-0200.png).")
	b.Click("nav [href$='/events']")
	b.Press("Sample rose-0199.png created")
	b.See("In a digest")
	b.See("with 199 other events")
	b.Look("event-in-digest")
	b.Press("msg_")
	b.See("The 200 events in this digest")
	b.See("Attempt 1")
	b.See("200 OK")
	b.Look("digest")
	picture("slack-event", "main", 450)

	// What goes wrong is told in words.
	s.Add(slacktest.Path, slacktest.Removed)
	in.must("jane", http.MethodPost, "/datasets/jane/roses/samples/", `{"name":"tulip.png","attributes":null}`)
	b.Click("nav [href$='/endpoints']")
	b.Press("services/T00000000")
	b.See("Attempt 4")
	b.Click("nav [href$='/events']")
	b.Press("Sample tulip.png created")
	b.See("The webhook was removed or disabled in Slack")
}
