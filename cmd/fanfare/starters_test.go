package main

import (
	"bytes"
	"encoding/json"
	"fanfare/internal/guide"
	"fanfare/internal/harness"
	"fanfare/internal/signature"
	"fanfare/internal/store/storetest"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestEveryStarterReceives runs each receiver of the documentation as its page
// says, and has a node send to it: it verifies, drops repeats and answers fast.
func TestEveryStarterReceives(t *testing.T) {
	t.Parallel()
	in := install(t, storetest.SQLite(t), nil)
	in.start()
	words := strings.Fields(run(t, "", in.with("token", "create")...))
	bearer := words[len(words)-1]
	const variable = "WEBHOOK_SECRET_OF_MINE"
	for _, starter := range guide.Starters(variable) {
		t.Run(starter.ID, func(t *testing.T) {
			t.Parallel()
			secret := signature.NewSecret()
			r := runStarter(t, starter, variable+"="+secret)
			app := "/api/v1/app/" + starter.ID
			sender := sender{t, in.url, bearer}
			sender.call(http.MethodPost, "/api/v1/app", map[string]any{"name": starter.Name, "uid": starter.ID})
			endpoint := sender.call(http.MethodPost, app+"/endpoint", map[string]any{"url": r.url, "secret": secret})["id"]
			id := sender.call(http.MethodPost, app+"/msg", map[string]any{
				"eventType": "greeting.sent", "payload": map[string]any{"text": "Grüße, " + starter.Name},
			})["id"]
			r.wait("received: ")
			r.wait(starter.Name)

			// A repeat is answered like the first, and nothing is done for it.
			sender.call(http.MethodPost, fmt.Sprintf("%s/msg/%s/endpoint/%s/resend", app, id, endpoint), nil)
			sender.attempts(fmt.Sprintf("%s/attempt/msg/%s", app, id), 2)
			second := sender.call(http.MethodPost, app+"/msg", map[string]any{"eventType": "greeting.sent", "payload": map[string]any{"text": "the last"}})["id"]
			sender.attempts(fmt.Sprintf("%s/attempt/msg/%s", app, second), 1)
			r.wait("the last")
			if got := strings.Count(r.output(), "received: "); got != 2 {
				t.Errorf("worked %d times for two messages:\n%s", got, r.output())
			}

			// What is forged or old is refused.
			body := []byte(`{"text":"forged"}`)
			for name, h := range map[string]http.Header{
				"no signature":      {},
				"another secret":    headers(t, signature.NewSecret(), time.Now(), body),
				"an old message":    headers(t, secret, time.Now().Add(-time.Hour), body),
				"a changed message": headers(t, secret, time.Now(), []byte("other")),
			} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url, bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header = h
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				if res.StatusCode != http.StatusBadRequest {
					t.Errorf("%s: %d", name, res.StatusCode)
				}
			}
			if strings.Contains(r.output(), "forged") {
				t.Errorf("worked for a forged message:\n%s", r.output())
			}
		})
	}
}

func headers(t *testing.T, secret string, at time.Time, body []byte) http.Header {
	t.Helper()
	key, err := signature.ParseSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	signature.SetHeaders(h, signature.Both, "msg_forged", at, body, key)
	return h
}

// started is a receiver that runs.
type started struct {
	t      *testing.T
	url    string
	mu     sync.Mutex
	wrote  *sync.Cond
	text   strings.Builder
	exited bool
}

// Write implements io.Writer.
func (r *started) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.wrote.Broadcast()
	return r.text.Write(b)
}

func (r *started) output() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// wait waits until the receiver has said something.
func (r *started) wait(text string) {
	r.t.Helper()
	late := time.AfterFunc(time.Minute, func() { r.end() })
	defer late.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !strings.Contains(r.text.String(), text) {
		if r.exited {
			r.t.Fatalf("waited for %q:\n%s", text, r.text.String())
		}
		r.wrote.Wait()
	}
}

func (r *started) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exited = true
	r.wrote.Broadcast()
}

func runStarter(t *testing.T, c guide.Code, environment string) *started {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, c.File), []byte(c.Text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	command := strings.ReplaceAll(strings.ReplaceAll(c.Run, "8000", port), "0.0.0.0", "127.0.0.1")
	program := strings.Fields(strings.TrimPrefix(command, "PORT="+port+" "))[0]
	if _, err := exec.LookPath(program); err != nil {
		harness.Missing(t, program+" is not installed: scripts/test-deps installs it")
	}
	r := &started{t: t, url: "http://127.0.0.1:" + port + "/"}
	r.wrote = sync.NewCond(&r.mu)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), environment, "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = r, r
	// A program may start others: all of them end with the group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		r.end()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	if c.ID == "php" {
		r.wait("started")
	} else {
		r.wait("listening on port")
	}
	return r
}

// sender calls the sender's API.
type sender struct {
	t           *testing.T
	url, bearer string
}

func (s sender) call(method, path string, in any) map[string]any {
	s.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.bearer)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode > 299 {
		s.t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, text, err)
	}
	var out map[string]any
	_ = json.Unmarshal(text, &out) // or nothing was answered
	return out
}

// attempts waits until so many attempts of a message have succeeded.
func (s sender) attempts(path string, want int) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-tick.C {
		good := 0
		list, _ := s.call(http.MethodGet, path, nil)["data"].([]any)
		for _, a := range list {
			if attempt, ok := a.(map[string]any); ok && attempt["status"] == float64(0) {
				good++
			}
		}
		if good == want {
			return
		}
	}
	s.t.Fatalf("%s: there are not %d attempts that succeeded", path, want)
}
