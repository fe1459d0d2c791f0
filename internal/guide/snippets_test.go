package guide

import (
	"encoding/json"
	"fanfare/internal/harness"
	"fanfare/internal/signature"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// snippet writes one to a directory of its own and returns the path of its
// file. The snippets that are part of a starter are run with it.
func snippet(t *testing.T, id, program string) string {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		harness.Missing(t, program+" is not installed: scripts/test-deps installs it")
	}
	for _, c := range Snippets() {
		if c.ID == id {
			file := filepath.Join(t.TempDir(), c.File)
			if err := os.WriteFile(file, []byte(c.Text), 0o600); err != nil {
				t.Fatal(err)
			}
			return file
		}
	}
	t.Fatal("no snippet " + id)
	return ""
}

func key(t *testing.T, secret string) signature.Key {
	t.Helper()
	k, err := signature.ParseSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const snippetBody = `{"text":"Grüße"}`

func TestTheSnippetInRubyVerifies(t *testing.T) {
	file := snippet(t, "ruby", "ruby")
	secret, other := signature.NewSecret(), signature.NewSecret()
	for name, tt := range map[string]struct {
		secret string
		at     time.Time
		body   string
		want   string
	}{
		"good":           {secret, time.Now(), snippetBody, "true"},
		"another secret": {other, time.Now(), snippetBody, "false"},
		"old":            {secret, time.Now().Add(-time.Hour), snippetBody, "false"},
		"changed":        {secret, time.Now(), "{}", "false"},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			signature.SetHeaders(h, signature.Both, "msg_1", tt.at, []byte(snippetBody), key(t, signature.NewSecret()), key(t, secret))
			headers := map[string]string{}
			for name := range h {
				headers[strings.ToLower(name)] = h.Get(name)
			}
			text, err := json.Marshal(headers)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "ruby", "-r", file, "-r", "json", "-e",
				`puts genuine?(ENV["SECRET"], JSON.parse(ENV["HEADERS"]), STDIN.binmode.read)`)
			cmd.Env = append(os.Environ(), "SECRET="+tt.secret, "HEADERS="+string(text))
			cmd.Stdin = strings.NewReader(tt.body)
			out, err := cmd.CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != tt.want {
				t.Errorf("%s %v", out, err)
			}
		})
	}
}

func TestTheSnippetWithOpensslSigns(t *testing.T) {
	file := snippet(t, "curl", "openssl")
	secret, now := signature.NewSecret(), time.Now()
	dir := filepath.Dir(file)
	if err := os.WriteFile(filepath.Join(dir, "body.json"), []byte(snippetBody), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", file)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SECRET="+secret, "ID=msg_1", "TIMESTAMP="+strconv.FormatInt(now.Unix(), 10))
	out, err := cmd.CombinedOutput()
	if want := fmt.Sprintln(signature.Sign("msg_1", now, []byte(snippetBody), key(t, secret))); err != nil || string(out) != want {
		t.Errorf("got %s, want %s, %v", out, want, err)
	}
}
