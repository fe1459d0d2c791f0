package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// runMain makes the test binary be fanfare itself, so that tests can start and
// kill the real program.
const runMain = "FANFARE_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) == "1" {
		if dir := os.Getenv(runOnDisk); dir != "" {
			insertDisk(dir)
		}
		main()
	}
	os.Exit(m.Run())
}

// testKey is a secret key for databases that need one.
const testKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func fanfare(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), runMain+"=1")
	return cmd
}

// run runs a command to its end and returns what it printed.
func run(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := fanfare(t.Context(), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("fanfare %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// installation is a database with accounts, and the node that runs on it.
type installation struct {
	t        *testing.T
	database string
	listen   string
	url      string
	flags    []string
	keys     map[string]string
	node     *exec.Cmd
	// disk, unless empty, is the directory whose files are the disk that the
	// node runs on; see insertDisk.
	disk string
}

// password is that of every account in these tests.
const password = "correct horse battery"

func install(t *testing.T, database string, accounts []string, flags ...string) *installation {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	in := &installation{
		t: t, database: database, listen: l.Addr().String(), url: "http://" + l.Addr().String(), keys: map[string]string{},
		flags: append([]string{"-allow-networks", "127.0.0.0/8"}, flags...),
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range accounts {
		run(t, password+"\n", in.with("account", "create", name, "-password-stdin")...)
		words := strings.Fields(run(t, "", in.with("apikey", "create", name)...))
		in.keys[name] = words[len(words)-1]
	}
	return in
}

func (in *installation) with(args ...string) []string {
	return append(args, "-database", in.database, "-secret-key", testKey)
}

// start runs the node and waits until it listens.
func (in *installation) start() {
	in.t.Helper()
	in.node = fanfare(context.Background(), in.with(append([]string{"serve", "-listen", in.listen}, in.flags...)...)...)
	in.node.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if in.disk != "" {
		in.node.Env = append(in.node.Env, runOnDisk+"="+in.disk)
	}
	log, err := in.node.StderrPipe()
	if err != nil {
		in.t.Fatal(err)
	}
	if err := in.node.Start(); err != nil {
		in.t.Fatal(err)
	}
	node := in.node
	in.t.Cleanup(func() {
		_ = node.Process.Kill()
		_, _ = node.Process.Wait()
	})
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "msg=listening") {
				ready <- true
			}
			if !strings.Contains(lines.Text(), "msg=request") {
				_, _ = fmt.Fprintln(in.t.Output(), lines.Text())
			}
		}
		ready <- false
	}()
	if !<-ready {
		in.t.Fatal("the node did not start")
	}
}

// kill ends the node as a power cut would.
func (in *installation) kill() {
	in.t.Helper()
	if err := in.node.Process.Kill(); err != nil {
		in.t.Fatal(err)
	}
	_ = in.node.Wait()
}

// terminate asks the node to stop and returns its exit code.
func (in *installation) terminate() int {
	in.t.Helper()
	if err := in.node.Process.Signal(syscall.SIGTERM); err != nil {
		in.t.Fatal(err)
	}
	_ = in.node.Wait()
	return in.node.ProcessState.ExitCode()
}

// call makes an API call as an account; an error means that no answer came.
func (in *installation) call(as, method, path, body string) (int, map[string]any, error) {
	req, err := http.NewRequest(method, in.url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "APIKey "+in.keys[as])
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, nil, err
	}
	var o map[string]any
	_ = json.Unmarshal(b, &o) // a list or nothing is no object
	return res.StatusCode, o, nil
}

func (in *installation) must(as, method, path, body string) map[string]any {
	in.t.Helper()
	status, o, err := in.call(as, method, path, body)
	if err != nil || status > 299 {
		in.t.Fatalf("%s %s: %d %v %v", method, path, status, o, err)
	}
	return o
}

// receiver is a server somebody wrote with the official library.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	arrived *sync.Cond
	secret  string
	failing bool
	bodies  map[string][]string // by message id
	came    map[string][]time.Time
	calls   int
	forged  int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{bodies: map[string][]string{}, came: map[string][]time.Time{}}
	r.arrived = sync.NewCond(&r.mu)
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, "broken", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.arrived.Broadcast()
	r.calls++
	if r.failing {
		http.Error(w, "told to fail", http.StatusInternalServerError)
		return
	}
	if r.secret != "" {
		official, err := standardwebhooks.NewWebhook(r.secret)
		if err == nil {
			err = official.Verify(body, req.Header)
		}
		if err != nil {
			r.forged++
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
	}
	id := req.Header.Get("Webhook-Id")
	r.bodies[id] = append(r.bodies[id], string(body))
	r.came[id] = append(r.came[id], time.Now())
	w.WriteHeader(http.StatusNoContent)
}

func (r *receiver) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// patience ends a test that waits for what never comes.
const patience = 90 * time.Second

// wait waits until something is true of what has arrived.
func (r *receiver) wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.AfterFunc(patience, r.arrived.Broadcast)
	defer late.Stop()
	end := time.Now().Add(patience)
	r.mu.Lock()
	defer r.mu.Unlock()
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s: %d calls came, %d of them with a wrong signature, and %d messages", patience, what, r.calls,
				r.forged, len(r.bodies))
		}
		r.arrived.Wait()
	}
}

// find returns the ids of messages whose body contains a text; the caller
// holds the lock, or nobody else does.
func (r *receiver) find(text string) (ids []string) {
	for id, bodies := range r.bodies {
		if strings.Contains(bodies[0], text) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (r *receiver) has(text string) func() bool {
	return func() bool { return len(r.find(text)) > 0 }
}

var hidden = regexp.MustCompile(`whsec_[A-Za-z0-9+/=]+`)

// browserless logs in with a form and returns a client that keeps the session.
func (in *installation) browserless(name string) *http.Client {
	in.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		in.t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	res, err := client.PostForm(in.url+"/login", map[string][]string{"account": {name}, "password": {password}})
	if err != nil {
		in.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Request.URL.Path != "/account/"+name {
		in.t.Fatalf("log in as %s: %d at %s", name, res.StatusCode, res.Request.URL)
	}
	return client
}

// form posts a form of the portal and returns the page it leads to.
func (in *installation) form(client *http.Client, path string, fields map[string][]string) (at, page string) {
	in.t.Helper()
	res, err := client.PostForm(in.url+path, fields)
	if err != nil {
		in.t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		in.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		in.t.Fatalf("POST %s: %d %s", path, res.StatusCode, b.String())
	}
	return res.Request.URL.Path, b.String()
}

// endpoint enables the webhooks of an account and adds an endpoint by the
// portal's forms; the receiver learns its secret.
func (in *installation) endpoint(name string, r *receiver) {
	in.t.Helper()
	client := in.browserless(name)
	in.form(client, "/account/"+name+"/webhooks", map[string][]string{"enabled": {"true"}})
	at, _ := in.form(client, "/webhooks/"+name+"/endpoints", map[string][]string{"url": {r.URL}, "all_types": {"1"}})
	_, page := in.form(client, at+"/secret", nil)
	r.set(func() { r.secret = hidden.FindString(html.UnescapeString(page)) })
}

// names lists a page of the samples of jane/flowers.
func (in *installation) names(page int) (names []string) {
	in.t.Helper()
	req, err := http.NewRequestWithContext(in.t.Context(), http.MethodGet,
		fmt.Sprintf("%s/datasets/jane/flowers/samples/?page=%d", in.url, page), nil)
	if err != nil {
		in.t.Fatal(err)
	}
	req.Header.Set("Authorization", "APIKey "+in.keys["jane"])
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		in.t.Fatal(err)
	}
	defer res.Body.Close()
	var list []struct{ Name string }
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		in.t.Fatal(err)
	}
	for _, s := range list {
		names = append(names, s.Name)
	}
	return names
}
