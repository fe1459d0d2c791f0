//go:build interop

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/internal/store/storetest"
)

// TestTheOfficialSDK drives a node through every method of the unmodified SDK
// and compares the webhooks that arrive, in the order of their ids, with what
// the calls should have caused. `make interop` prepares the interpreter.
func TestTheOfficialSDK(t *testing.T) {
	python := os.Getenv("FANFARE_PYTHON") //nolint:forbidigo // which interpreter has the SDK
	storetest.EachURL(t, func(t *testing.T, url string) {
		in := install(t, url, []string{"jane", "john"})
		r := newReceiver(t)
		in.start()
		in.endpoint("jane", r)
		cmd := exec.CommandContext(t.Context(), python, "../../interop/sdk.py", in.url, in.keys["jane"])
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
