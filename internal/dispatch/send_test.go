package dispatch

import (
	"context"
	"fanfare/internal/egress"
	"fanfare/internal/signature"
	"fanfare/internal/webhook"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	svix "github.com/svix/svix-webhooks/go"
)

func newCaller(t testing.TB, timeout time.Duration) *HTTPCaller {
	t.Helper()
	client := egress.New(egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: timeout})
	t.Cleanup(client.Close)
	return NewHTTPCaller(client, "1.2.3", signature.Both)
}

func aJob(payload string) *webhook.Job {
	var ids webhook.IDs
	return &webhook.Job{Delivery: webhook.Delivery{DeliveryKey: webhook.DeliveryKey{Message: ids.New(time.Now())}}, Payload: []byte(payload)}
}

func TestACallIsSignedSoThatOfficialLibrariesAcceptIt(t *testing.T) {
	current, old, expired := signature.NewSecret(), signature.NewSecret(), signature.NewSecret()
	const payload = `{"text":"<&> and  spaces"}`
	var got *http.Request
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Set-Cookie", "session=secret")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "thanks")
	}))
	defer s.Close()
	to := &webhook.Endpoint{
		URL:     s.URL + "/hook?a=b",
		Headers: []webhook.Header{{Name: "X-Token", Value: "hunter2"}, {Name: "Content-Type", Value: "text/evil"}},
		Secrets: []webhook.Secret{{Key: current}, {Key: old, ExpiresAt: time.Now().Add(time.Hour)}, {Key: expired, ExpiresAt: time.Now().Add(-time.Hour)}},
	}
	a, retryAfter := newCaller(t, 0).Call(t.Context(), to, aJob(payload))
	if a.Outcome != webhook.Delivered || a.StatusCode != http.StatusAccepted || string(a.Response) != "thanks" || retryAfter >= 0 {
		t.Fatalf("got %+v", a)
	}
	if string(body) != payload || got.URL.String() != "/hook?a=b" || got.Method != http.MethodPost {
		t.Errorf("%s %s with %s", got.Method, got.URL, body)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "User-Agent": "Fanfare/1.2.3", "X-Token": "hunter2"} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q", name, got.Header.Get(name))
		}
	}
	for _, secret := range []string{current, old, expired} {
		standard, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		official, err := svix.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		want := secret != expired
		if (standard.Verify(body, got.Header) == nil) != want || (official.Verify(body, got.Header) == nil) != want {
			t.Errorf("a secret is accepted or refused wrongly: expired %v", !want)
		}
	}
	if evidence := string(a.RequestHead) + string(a.ResponseHead); strings.Contains(evidence, "hunter2") ||
		strings.Contains(evidence, "session=secret") || !strings.Contains(evidence, "X-Token: [hidden]") {
		t.Errorf("the evidence is %s", evidence)
	}
}

func TestAnswersBecomeOutcomes(t *testing.T) {
	for _, test := range []struct {
		sentence   string
		answer     http.HandlerFunc
		want       webhook.Outcome
		retryAfter time.Duration
	}{
		{"204 is delivered", status(http.StatusNoContent, ""), webhook.Delivered, -1},
		{"a redirect is refused and not followed", status(http.StatusMovedPermanently, ""), webhook.Refused, -1},
		{"410 is gone", status(http.StatusGone, ""), webhook.Gone, -1},
		{"429 with Retry-After is busy", status(http.StatusTooManyRequests, "7"), webhook.Busy, 7 * time.Second},
		{"503 without Retry-After is refused", status(http.StatusServiceUnavailable, ""), webhook.Refused, -1},
		{"no answer is timed out", hang(func() {}), webhook.TimedOut, -1},
		{"hanging up is unreachable", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, webhook.Unreachable, -1},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			s := httptest.NewServer(test.answer)
			defer s.Close()
			to := &webhook.Endpoint{URL: s.URL, Secrets: []webhook.Secret{{Key: signature.NewSecret()}}}
			a, retryAfter := newCaller(t, 300*time.Millisecond).Call(t.Context(), to, aJob("{}"))
			if a.Outcome != test.want || retryAfter != test.retryAfter || (a.StatusCode == 0) != (a.Error != "") {
				t.Errorf("got %+v, %v", a, retryAfter)
			}
		})
	}
}

// hang never answers. It reads the body first: only then does a server notice
// that the client has gone.
func hang(began func()) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		began()
		<-r.Context().Done()
	}
}

func status(code int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(code)
	}
}

func TestACallThatIsCutShortWasNotSent(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(hang(cancel))
	defer s.Close()
	to := &webhook.Endpoint{URL: s.URL, Secrets: []webhook.Secret{{Key: signature.NewSecret()}}}
	if a, _ := newCaller(t, 0).Call(ctx, to, aJob("{}")); a.Outcome != webhook.NotSent || a.Ends != webhook.Pending {
		t.Errorf("got %+v", a)
	}
}

func TestAChangedEndpointIsCalledAsItIsNow(t *testing.T) {
	var got http.Header
	var path string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, path = r.Header, r.URL.Path }))
	defer s.Close()
	caller := newCaller(t, 0)
	old, current := signature.NewSecret(), signature.NewSecret()
	to := &webhook.Endpoint{ID: webhook.ID{1}, URL: s.URL + "/a", Secrets: []webhook.Secret{{Key: old}}, Headers: []webhook.Header{{Name: "X-Of", Value: "old"}}}
	call := func() {
		t.Helper()
		if a, _ := caller.Call(t.Context(), to, aJob("{}")); a.Outcome != webhook.Delivered {
			t.Fatalf("got %+v", a)
		}
	}
	verifies := func(secret string) bool { return signature.Verify(secret, got, []byte("{}"), time.Now()) == nil }
	call()
	if !verifies(old) || got.Get("X-Of") != "old" || path != "/a" {
		t.Errorf("at first: %s, %v", path, got)
	}
	// The same value changed in place, as well as another value, must be noticed.
	to.Secrets[0].Key = current
	to.Headers[0].Value = "new"
	to.URL = s.URL + "/b"
	call()
	if verifies(old) || !verifies(current) || got.Get("X-Of") != "new" || path != "/b" {
		t.Errorf("after the change: %s, %v", path, got)
	}
	to.Secrets = []webhook.Secret{{Key: old}, {Key: current, ExpiresAt: time.Now().Add(-time.Second)}}
	call()
	if !verifies(old) || verifies(current) {
		t.Errorf("after the end of a key: %v", got)
	}
}

func TestAHeaderThatCouldNotBeStoredTodayIsNotSent(t *testing.T) {
	var got *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
	defer s.Close()
	to := &webhook.Endpoint{URL: s.URL, Secrets: []webhook.Secret{{Key: signature.NewSecret()}}, Headers: []webhook.Header{
		{Name: "Host", Value: "other.example"},
		{Name: "Content-Length", Value: "1"},
		{Name: "webhook-id", Value: "msg_1"},
		{Name: "X-Break", Value: "a\r\nX-Smuggled: b"},
		{Name: "accept", Value: "text/plain"},
	}}
	if a, _ := newCaller(t, 0).Call(t.Context(), to, aJob("{}")); a.Outcome != webhook.Delivered {
		t.Fatalf("got %+v", a)
	}
	if got.Host == "other.example" || got.ContentLength != 2 || len(got.Header["Webhook-Id"]) != 1 || got.Header.Get("Webhook-Id") == "msg_1" ||
		got.Header["X-Break"] != nil || got.Header["X-Smuggled"] != nil || len(got.Header["Accept"]) != 1 || got.Header.Get("Accept") != "text/plain" {
		t.Errorf("%s: %v", got.Host, got.Header)
	}
}
