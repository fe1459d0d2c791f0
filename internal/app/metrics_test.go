package app_test

import (
	"context"
	"fanfare/internal/app"
	"fanfare/internal/config"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// runNode runs a node until the test ends.
func runNode(t *testing.T, adminListen string) *app.Node {
	t.Helper()
	cfg := config.Default()
	cfg.Listen, cfg.AdminListen, cfg.Database = "127.0.0.1:0", adminListen, storetest.SQLite(t)
	cfg.RetrySchedule = nil
	cfg.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	n, err := app.Open(t.Context(), &cfg, storetest.Log(t), "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return n
}

func get(t *testing.T, url string, headers ...string) (status int, body string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// send stores a message for an endpoint at each of the URLs.
func send(t *testing.T, s *store.Store, urls ...string) {
	t.Helper()
	environment, err := s.Environment(t.Context(), store.MainEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.CreateApplication(t.Context(), webhook.Application{Environment: environment, Name: "customer"})
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range urls {
		e := webhook.Endpoint{Application: a.ID, URL: url, Version: 1, Secrets: []webhook.Secret{{Key: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}}
		if _, err := s.CreateEndpoint(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddMessage(t.Context(), &webhook.Message{Application: a.ID, EventType: "invoice.paid", Payload: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
}

func TestMetricsTellWhatTheNodeHasDone(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer receiver.Close()
	n := runNode(t, "127.0.0.1:0")
	send(t, n.Store, receiver.URL+"/take", receiver.URL+"/refuse")

	want := []string{
		`fanfare_messages_accepted_total 1`,
		`fanfare_attempts_total{outcome="delivered"} 1`,
		`fanfare_attempts_total{outcome="refused"} 1`,
		`fanfare_attempts_total{outcome="timed_out"} 0`,
		`fanfare_deliveries_ended_total{status="succeeded"} 1`,
		`fanfare_deliveries_ended_total{status="failed"} 1`,
		`fanfare_deliveries_failed_total{reason="refused"} 1`,
		`fanfare_attempt_duration_seconds_count 2`,
		`fanfare_calls_in_flight 0`,
		`fanfare_deliveries_held 0`,
		`fanfare_deliveries_waiting 0`,
		`fanfare_oldest_due_seconds 0`,
		`fanfare_build_info{version="1.2.3"} 1`,
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, text := get(t, n.AdminURL+"/metrics")
		lines := strings.Split(text, "\n")
		missing := slices.DeleteFunc(slices.Clone(want), func(line string) bool { return slices.Contains(lines, line) })
		if len(missing) == 0 {
			if !regexp.MustCompile(`(?m)^fanfare_commit_size_count [1-9]`).MatchString(text) || !strings.Contains(text, "go_goroutines") {
				t.Errorf("commits or the runtime are missing:\n%s", text)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("missing after a while: %q\n%s", missing, text)
		}
	}
}

func TestMetricsAreOnOneListener(t *testing.T) {
	apart, together := runNode(t, "127.0.0.1:0"), runNode(t, "")
	for name, tt := range map[string]struct {
		url     string
		headers []string
		want    int
	}{
		"on the one for operators":                   {apart.AdminURL + "/metrics", nil, http.StatusOK},
		"and then not on the other":                  {apart.URL + "/metrics", nil, http.StatusNotFound},
		"health is there too":                        {apart.AdminURL + "/readyz", nil, http.StatusOK},
		"and nothing else":                           {apart.AdminURL + "/login", nil, http.StatusNotFound},
		"on the main one when it is the only one":    {together.URL + "/metrics", nil, http.StatusOK},
		"but not for those who come through a proxy": {together.URL + "/metrics", []string{"X-Forwarded-For", "203.0.113.7"}, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			if got, body := get(t, tt.url, tt.headers...); got != tt.want {
				t.Errorf("GET %s = %d, want %d:\n%s", tt.url, got, tt.want, body)
			}
		})
	}
}

func TestEveryMetricIsDocumented(t *testing.T) {
	n := runNode(t, "127.0.0.1:0")
	_, text := get(t, n.AdminURL+"/metrics")
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	told, documented := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (fanfare_\w+)`).FindAllStringSubmatch(text, -1) {
		told[m[1]] = true
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(fanfare_\\w+)").FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = true
	}
	if !maps.Equal(told, documented) {
		t.Errorf("the node tells %v,\ndocumented are %v", slices.Sorted(maps.Keys(told)), slices.Sorted(maps.Keys(documented)))
	}
}
