package portal

import (
	"bufio"
	"context"
	"fanfare/internal/webhook"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestALiveTailBringsNewRows opens a tail and makes an attempt meanwhile.
func TestALiveTailBringsNewRows(t *testing.T) {
	w := newSite(t, Config{})
	jane := w.login("jane")
	path := "/webhooks/jane/endpoints/" + w.endpoint + "/tail?after=" + w.attempt
	for _, c := range []*http.Client{w.browser(), w.login("john")} {
		if res, body := w.do(c, http.MethodGet, path, nil); res.StatusCode == http.StatusOK {
			t.Errorf("somebody else may look: %s", body)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := jane.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("the type of a tail is %q", got)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Scan() // it is there
	account, err := w.store.Account(t.Context(), "jane")
	if err != nil {
		t.Fatal(err)
	}
	m := webhook.Message{Application: account.Application, EventType: "sample.created", Payload: []byte(`{"text":"<b>bold</b>"}`)}
	if err := w.store.AddMessage(t.Context(), &m); err != nil {
		t.Fatal(err)
	}
	e, err := w.store.Endpoint(t.Context(), account.Application, w.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	w.failed(e)
	var id string
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			id = rest
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if !strings.Contains(data, webhook.MessageID.Format(m.ID)) || strings.Contains(data, "<b>") || !strings.HasPrefix(id, "atmpt_") {
				t.Errorf("the row %q under the id %q", data, id)
			}
			return
		}
	}
	t.Errorf("no row came: %v", lines.Err())
}

// TestALiveTailMissesNothing opens a tail on a page that shows the first of many
// attempts: all that were committed since are sent, whatever their ids.
func TestALiveTailMissesNothing(t *testing.T) {
	w := newSite(t, Config{})
	account, err := w.store.Account(t.Context(), "jane")
	if err != nil {
		t.Fatal(err)
	}
	e, err := w.store.Endpoint(t.Context(), account.Application, w.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	made := func(n int) (first webhook.ID) {
		messages, attempts := make([]*webhook.Message, n), make([]webhook.Attempt, n)
		for i := range n {
			messages[i] = &webhook.Message{Application: e.Application, EventType: "sample.created", Payload: []byte("{}")}
			attempts[i] = webhook.Attempt{DeliveryKey: webhook.DeliveryKey{Endpoint: e.ID}, Number: 1, StatusCode: 204, StartedAt: time.Now()}
		}
		if err := w.store.LoadHistory(t.Context(), messages, attempts); err != nil {
			t.Fatal(err)
		}
		return attempts[0].ID
	}
	oldest := made(3)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet,
		w.url+"/webhooks/jane/endpoints/"+w.endpoint+"/tail?after="+webhook.AttemptID.Format(oldest), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.login("jane").Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	rows := func(n int) {
		t.Helper()
		for n > 0 && lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data: ") {
				n--
			}
		}
		if n > 0 {
			t.Fatalf("%d rows did not come: %v", n, lines.Err())
		}
	}
	rows(2)
	// More than one look sends: the newest of them, and then what is new again.
	made(maxTailed + 50)
	rows(maxTailed)
	made(1)
	rows(1)
}

func TestEveryOutcomeIsExplained(t *testing.T) {
	for outcome := webhook.Refused; outcome <= webhook.NotSent; outcome++ {
		if advice(&webhook.Attempt{Outcome: outcome, StatusCode: 500}) == "" {
			t.Errorf("outcome %d says nothing", outcome)
		}
	}
	if got := advice(&webhook.Attempt{Outcome: webhook.Delivered, StatusCode: 204}); got != "" {
		t.Errorf("a success is explained: %q", got)
	}
	for problem, want := range map[string]string{
		"The TLS certificate has expired or is not valid yet.": "Renew",
		"The receiver refused the TLS handshake.":              "does not speak TLS",
		"The connection was refused.":                          "Nothing listens",
		"The host name was not found.":                         "DNS",
	} {
		if got := unreachable(problem); !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", problem, got, want)
		}
	}
}

func TestTheWaterfallFillsTheCall(t *testing.T) {
	phases := waterfall(webhook.Timings{DNS: 10 * time.Millisecond, TLS: 20 * time.Millisecond, FirstByte: 60 * time.Millisecond, Total: 100 * time.Millisecond})
	var got []string
	for _, p := range phases {
		got = append(got, p.Class+" "+p.X+"+"+p.W)
	}
	if want := "dns 0+100, tls 100+200, wait 300+600, rest 900+100, total 0+1000"; strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", strings.Join(got, ", "), want)
	}
	if waterfall(webhook.Timings{}) != nil {
		t.Error("a call that took no time has phases")
	}
}

// TestACurlCommandSaysWhatWasSent has a shell take the command apart again.
func TestACurlCommandSaysWhatWasSent(t *testing.T) {
	payload := `{"text":"it's $HOME \"and\" ` + "`more`" + `"}`
	command := curl(&webhook.Attempt{URL: "https://example.com/?a='b'&c", RequestHead: []byte("Webhook-Id: msg_1\nX: it's\n")}, []byte(payload))
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `curl() { printf '%s\n' "$@"; }; `+command).Output()
	if want := "-i\n-X\nPOST\nhttps://example.com/?a='b'&c\n-H\nWebhook-Id: msg_1\n-H\nX: it's\n--data-binary\n" + payload + "\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
}

func FuzzColouredJSONIsTheSameText(f *testing.F) {
	f.Add([]byte(`{"a":[1,-2.5e3,true,null,"<b>\"\\"],"b":{}}`))
	f.Add([]byte(`no JSON <b>`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		out := string(highlight(payload))
		plain := strings.NewReplacer(`<span class="k">`, "", `<span class="s">`, "", `<span class="n">`, "", `</span>`, "").Replace(out)
		if strings.ContainsAny(plain, `<>`) {
			t.Errorf("%q became markup: %q", payload, out)
		}
		plain = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&#34;", `"`, "&#39;", "'", "&amp;", "&").Replace(plain)
		if want := strings.ReplaceAll(pretty(payload), "\x00", "\ufffd"); plain != want {
			t.Errorf("%q became %q, want %q", payload, plain, want)
		}
	})
}

func TestHealthAddsUpTheHoursOfAWindow(t *testing.T) {
	now := time.Date(2030, 1, 2, 15, 30, 0, 0, time.UTC)
	fast, slow := webhook.LatencyBucket(time.Millisecond), webhook.LatencyBucket(time.Second)
	hours := []webhook.Hour{{At: now.Add(-30 * time.Hour).Truncate(time.Hour), Failed: 7}, {At: now.Truncate(time.Hour), Succeeded: 2, Failed: 1}}
	hours[1].Latency[fast], hours[1].Latency[slow] = 2, 1
	day := healthOf(windows[0], now, hours, 240, 20)
	if day.Good != 2 || day.Bad != 1 || day.Rate != "66 %" || day.Label != "2 of 3 calls in the last 24 hours succeeded." {
		t.Errorf("a day: %+v", day)
	}
	last := day.Volume.Bars[len(day.Volume.Bars)-1]
	if len(day.Volume.Bars) != 25 || last.Class != "no" || last.X != "231" {
		t.Errorf("%d bars, the last %+v", len(day.Volume.Bars), last)
	}
	if week := healthOf(windows[1], now, hours, 240, 20); week.Bad != 8 {
		t.Errorf("a week: %+v", week)
	}
	if none := healthOf(windows[0], now, nil, 240, 20); none.Rate != "" || none.Label != "No calls in the last 24 hours." {
		t.Errorf("nothing: %+v", none)
	}
}
