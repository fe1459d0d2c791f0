//go:build interop

package main

import (
	"encoding/json"
	"fanfare/internal/store/storetest"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sdks is where the official SDKs lie; `make interop` puts them there.
func sdks(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("FANFARE_INTEROP")
	if dir == "" {
		t.Fatal("FANFARE_INTEROP is not set: run make interop")
	}
	return dir
}

// TestTheOfficialSvixSDKs drives the sender of a node through every method of
// the unmodified SDKs, old and new.
func TestTheOfficialSvixSDKs(t *testing.T) {
	dir := sdks(t)
	storetest.EachURL(t, func(t *testing.T, url string) {
		in := install(t, url, nil)
		r := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		t.Cleanup(r.Close)
		in.start()
		for name, command := range map[string][]string{
			"python-1": {dir + "/svix-1.99.1/bin/python", "../../interop/sender.py"},
			"python-2": {dir + "/svix-2.9.1/bin/python", "../../interop/sender.py"},
			"node-1":   {"node", "../../interop/sender.mjs", dir + "/npm-1.99.1"},
			"node-2":   {"node", "../../interop/sender.mjs", dir + "/npm-2.5.0"},
		} {
			said, err := fanfare(t.Context(), in.with("token", "create", "-env", name)...).Output()
			if err != nil {
				t.Fatal(err)
			}
			words := strings.Fields(string(said))
			if name == "node-2" && !modernNode(t) {
				t.Log("Node.js is older than 20: svix 2.x for JavaScript was not driven")
				continue
			}
			args := append(command[1:], in.url, words[len(words)-1], r.URL)
			cmd := exec.CommandContext(t.Context(), command[0], args...)
			if out, err := cmd.CombinedOutput(); err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "done") {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	})
}

// modernNode reports whether Node.js is one that svix 2.x can run on.
func modernNode(t *testing.T) bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "node", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(string(out), "v"), ".")
	n, err := strconv.Atoi(major)
	return err == nil && n >= 20
}

// TestTheOfficialSDK drives a node through every method of the unmodified SDK
// and compares the webhooks that arrive, in the order of their ids, with what
// the calls should have caused. `make interop` prepares the interpreter.
func TestTheOfficialSDK(t *testing.T) {
	python := sdks(t) + "/segments/bin/python"
	storetest.EachURL(t, func(t *testing.T, url string) {
		in := install(t, url, []string{"jane", "john"})
		r := newReceiver(t)
		in.start()
		in.endpoint("jane", r)
		cmd := exec.CommandContext(t.Context(), python, "../../interop/registry.py", in.url, in.keys["jane"])
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("the SDK: %v", err)
		}
		want := strings.Split(strings.TrimSpace(string(out)), "\n")
		if len(want) < 25 {
			t.Fatalf("only %d events are expected", len(want))
		}
		r.wait(t, "every event", func() bool { return len(r.bodies) >= len(want) })
		r.mu.Lock()
		defer r.mu.Unlock()
		var ids []string
		for id := range r.bodies {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		var got []string
		for _, id := range ids {
			var e struct {
				Type string `json:"event_type"`
				Text string `json:"text"`
			}
			if err := json.Unmarshal([]byte(r.bodies[id][0]), &e); err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Type+": "+e.Text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if r.forged > 0 {
			t.Errorf("%d signatures were wrong", r.forged)
		}
	})
}
