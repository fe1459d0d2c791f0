package main

import (
	"bufio"
	"fanfare/internal/signature"
	"fanfare/internal/store/storetest"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// refused runs a command that must fail, and returns its exit code and what it
// said.
func refused(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := fanfare(t.Context(), args...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("fanfare %s was not refused: %s", strings.Join(args, " "), out)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestABadCommandLineIsRefusedAtOnceWithWhatIsWrong(t *testing.T) {
	t.Parallel()
	database := storetest.SQLite(t)
	for _, test := range []struct {
		sentence string
		args     []string
		says     []string
	}{
		{"an unknown command", []string{"sevre"}, []string{`"sevre"`, "fanfare help"}},
		{"an unknown flag", []string{"serve", "-lisen", "x"}, []string{"-lisen", "usage"}},
		{"a malformed duration", []string{"serve", "-request-timeout", "15"}, []string{"-request-timeout", `"15"`, "15s"}},
		{"a malformed network", []string{"serve", "-allow-networks", "10.0.0.0"}, []string{"-allow-networks", `"10.0.0.0"`, "10.0.0.0/8"}},
		{"a malformed URL", []string{"serve", "-public-url", "example.com"}, []string{"-public-url", `"example.com"`, "https://"}},
		{"an unknown part of the benchmark", []string{"bench", "-only", "nothing"}, []string{"-only", `"nothing"`, "fanout"}},
		{"an argument too few", []string{"account", "create", "-password-stdin"}, []string{"usage: fanfare account create NAME"}},
		{"an argument too many", []string{"apikey", "list", "jane", "john"}, []string{"usage: fanfare apikey list ACCOUNT"}},
	} {
		code, said := refused(t, append(test.args, "-database", database)...)
		if code != exitUsage {
			t.Errorf("%s: exit code %d", test.sentence, code)
		}
		for _, part := range test.says {
			if !strings.Contains(said, part) {
				t.Errorf("%s: %q does not say %q", test.sentence, said, part)
			}
		}
	}
}

func TestAccountsKeysAndMembers(t *testing.T) {
	t.Parallel()
	in := install(t, storetest.SQLite(t), []string{"jane"})
	if info, err := os.Stat(strings.TrimPrefix(in.database, "sqlite:")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the database is %v, %v", info.Mode(), err)
	}
	run(t, "", in.with("account", "create", "acme", "-org")...)
	run(t, "", in.with("member", "add", "acme", "jane", "-admin", "-role", "manager")...)
	run(t, "another password\n", in.with("account", "passwd", "jane", "-password-stdin")...)
	list := run(t, "", in.with("apikey", "list", "jane")...)
	id := regexp.MustCompile(`key_\w+`).FindString(list)
	if id == "" || strings.Contains(list, in.keys["jane"]) || !strings.Contains(list, in.keys["jane"][len(in.keys["jane"])-4:]) {
		t.Errorf("the list is %s", list)
	}
	run(t, "", in.with("apikey", "revoke", "jane", id)...)
	run(t, "", in.with("member", "remove", "acme", "jane")...)
	for _, test := range []struct {
		says string
		args []string
	}{
		{"has no key", []string{"apikey", "revoke", "jane", id}},
		{"is no member", []string{"member", "remove", "acme", "jane"}},
		{"there is no account", []string{"apikey", "create", "nobody"}},
		{"cannot name an account", []string{"account", "create", "a/b", "-org"}},
		{"there is an account", []string{"account", "create", "JANE", "-org"}},
		{"-password-stdin", []string{"account", "create", "john"}},
		{"labeler, reviewer, manager or admin", []string{"member", "add", "acme", "jane", "-role", "viewer"}},
	} {
		if code, said := refused(t, in.with(test.args...)...); code != exitFailed || !strings.Contains(said, test.says) {
			t.Errorf("%v: %d %s", test.args, code, said)
		}
	}
}

func TestTheEffectiveConfigurationIsPrintedWithoutSecrets(t *testing.T) {
	t.Parallel()
	out := run(t, "", "config", "-database", "postgres://u:hunter2@db/f", "-secret-key", testKey, "-retry-schedule", "1s,2.5s")
	for _, want := range []string{"retry-schedule = 1s,2.5s", "listen = 127.0.0.1:8080", "# secret-key is set"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Contains(out, "hunter2") || strings.Contains(out, testKey) {
		t.Errorf("a secret is in\n%s", out)
	}
}

func TestVerifySaysWhetherAWebhookIsGenuine(t *testing.T) {
	t.Parallel()
	secret, dir := signature.NewSecret(), t.TempDir()
	key, err := signature.ParseSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	signature.SetHeaders(h, signature.Both, "msg_1", time.Now(), []byte(`{"a":1}`), key)
	var lines strings.Builder
	if err := h.Write(&lines); err != nil {
		t.Fatal(err)
	}
	headers := filepath.Join(dir, "headers.txt")
	if err := os.WriteFile(headers, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run(t, `{"a":1}`, "verify", "-secret", secret, "-headers", headers); !strings.Contains(out, "the signature is good") {
		t.Errorf("got %s", out)
	}
	body := filepath.Join(dir, "body.json")
	if err := os.WriteFile(body, []byte(`{"a": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, said := refused(t, "verify", "-secret", secret, "-headers", headers, "-body", body); !strings.Contains(said, "written anew") || strings.Contains(said, secret) {
		t.Errorf("said %s", said)
	}
}

// TestTheDemoShowsSomethingWithinAMoment waits for the demo's receiver to show
// a webhook whose signature it has verified.
func TestTheDemoShowsSomethingWithinAMoment(t *testing.T) {
	t.Parallel()
	cmd := fanfare(t.Context(), "demo", "-listen", "127.0.0.1:0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	urls := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Log:") {
			break
		}
	}
	found := urls.FindAllString(said.String(), -1)
	if len(found) < 2 || !strings.Contains(said.String(), "jane") || !strings.Contains(said.String(), "john") {
		t.Fatalf("the demo said %s", said.String())
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	page := ""
	for end := time.Now().Add(patience); !strings.Contains(page, "signature verified"); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("the receiver shows %s", page)
		}
		res, err := http.Get(found[1] + "/")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		page = string(b)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the demo ended with %v", err)
	}
}
