package dispatch

import (
	"bufio"
	"fanfare/internal/signature"
	"fanfare/internal/webhook"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// meaning is what a status code means for a delivery.
type meaning struct {
	outcome webhook.Outcome
	// ends is how the delivery ends at once; Pending when it is tried again.
	ends webhook.Status
	// steps is how many steps of the schedule are used up.
	steps int
	// least and most bound the wait for the next attempt.
	least, most time.Duration
	disables    bool
}

// The waits of the schedule in these tests.
const (
	step       = 10 * time.Second
	retryAfter = 17 * time.Second
)

// meanings says, for each status code, what it means without a Retry-After of
// 17 seconds and with it. Ranges that come later go before earlier ones.
var meanings = []struct {
	from, to       int
	plain, delayed meaning
}{
	// An answer that is not the last one and after which none comes.
	{100, 199, failed(webhook.Unreachable, step), failed(webhook.Unreachable, step)},
	// Every other failure: by the schedule, drawn out to at most twice the step.
	{300, 599, failed(webhook.Refused, step), failed(webhook.Refused, retryAfter)},
	{200, 299, ended(webhook.Delivered, webhook.Succeeded), ended(webhook.Delivered, webhook.Succeeded)},
	{410, 410, ended(webhook.Gone, webhook.Failed), ended(webhook.Gone, webhook.Failed)},
	// Busy: exactly as long as asked, and no step is used up.
	{429, 429, failed(webhook.Refused, step), meaning{outcome: webhook.Busy, least: retryAfter, most: retryAfter}},
	{503, 503, failed(webhook.Refused, step), meaning{outcome: webhook.Busy, least: retryAfter, most: retryAfter}},
}

// failed uses up a step and is tried again after about so long.
func failed(o webhook.Outcome, wait time.Duration) meaning {
	return meaning{outcome: o, steps: 1, least: wait * 8 / 10, most: wait * 12 / 10}
}

func ended(o webhook.Outcome, s webhook.Status) meaning {
	return meaning{outcome: o, ends: s, disables: o == webhook.Gone}
}

func meaningOf(code int, delayed bool) (m meaning) {
	for _, r := range meanings {
		if code >= r.from && code <= r.to {
			if m = r.plain; delayed {
				m = r.delayed
			}
		}
	}
	return m
}

// answering is a receiver that answers with the code that the path names, byte
// by byte as given, and hangs up.
func answering(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(conn, answer(req.URL.Path))
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func answer(path string) string {
	code, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	head := "HTTP/1.1 " + code + " So\r\n"
	if rest == "delayed" {
		head += fmt.Sprintf("Retry-After: %d\r\n", int(retryAfter.Seconds()))
	}
	if code[0] == '1' {
		if rest == "followed" {
			return head + "\r\nHTTP/1.1 204 No Content\r\n\r\n"
		}
		return head + "\r\n"
	}
	return head + "Connection: close\r\nContent-Length: 0\r\n\r\n"
}

func TestEachStatusCodeMeansWhatItShould(t *testing.T) {
	url, caller := answering(t), newCaller(t, 10*time.Second)
	rules := Rules{Schedule: webhook.Schedule{step, step}, RetryAfterCap: time.Hour}
	for code := 100; code <= 599; code++ {
		for name, delayed := range map[string]bool{"": false, "delayed": true} {
			to := &webhook.Endpoint{URL: url + "/" + strconv.Itoa(code) + "/" + name, Secrets: []webhook.Secret{{Key: signature.NewSecret()}}}
			j := aJob(`{}`)
			a, asked := caller.Call(t.Context(), to, j)
			want := meaningOf(code, delayed)
			if a.Outcome != want.outcome {
				t.Errorf("%d %s: outcome %d, want %d: %+v", code, name, a.Outcome, want.outcome, a)
				continue
			}
			if heard := code >= 200 || code == http.StatusSwitchingProtocols; heard && a.StatusCode != code || !heard && (a.StatusCode != 0 || a.Error == "") {
				t.Errorf("%d %s is on record as %d, %q", code, name, a.StatusCode, a.Error)
			}
			for _, dice := range []float64{0, 0.5, 0.999999} {
				now := time.Now()
				r := rules.Decide(&j.Delivery, a, asked, now, dice)
				if r.Ends != want.ends || r.Attempts != want.steps || (r.Disable != "") != want.disables || r.Retry.IsZero() != (want.ends != webhook.Pending) {
					t.Errorf("%d %s: %+v, want %+v", code, name, r, want)
				}
				if wait := r.Retry.Sub(now); !r.Retry.IsZero() && (wait < want.least || wait > want.most) {
					t.Errorf("%d %s: tried again after %v, want %v to %v", code, name, wait, want.least, want.most)
				}
			}
		}
	}
}

// TestAnAnswerThatIsNotTheLastIsWaitedFor sends informational answers with the
// real one behind them. 101 changes the protocol: nothing of ours follows.
func TestAnAnswerThatIsNotTheLastIsWaitedFor(t *testing.T) {
	url, caller := answering(t), newCaller(t, 10*time.Second)
	for code := 100; code <= 199; code++ {
		to := &webhook.Endpoint{URL: url + "/" + strconv.Itoa(code) + "/followed", Secrets: []webhook.Secret{{Key: signature.NewSecret()}}}
		a, _ := caller.Call(t.Context(), to, aJob(`{}`))
		if ok := code != http.StatusSwitchingProtocols; (a.Outcome == webhook.Delivered) != ok {
			t.Errorf("%d and then 204: outcome %d, code %d, %s", code, a.Outcome, a.StatusCode, a.Error)
		}
	}
}
