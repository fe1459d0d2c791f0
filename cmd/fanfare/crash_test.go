package main

import (
	"fanfare/internal/store/storetest"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestKillingTheNodeLosesNothing changes samples from several sides while the
// node is killed, again and again, at moments that chance picks. Then it
// accounts for every change: what was accepted is there and its event arrived;
// what is there has one event; and an event that arrived twice is the same
// message with the same bytes.
func TestKillingTheNodeLosesNothing(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		const rounds, workers, perRound = 5, 4, 60
		in := install(t, url, []string{"jane"}, "-retry-schedule", "100ms,200ms,400ms,800ms,2s,5s,5s,5s",
			"-request-timeout", "1s") // what a dead node had claimed on PostgreSQL comes free after 2 of these and 30 s
		r := newReceiver(t)
		in.start()
		in.endpoint("jane", r)
		in.must("jane", http.MethodPost, "/user/datasets/", `{"name":"flowers"}`)

		var accepted sync.Map // name → nothing
		var count atomic.Int64
		for round := range rounds {
			if round > 0 {
				in.start()
			}
			target := int64((round + 1) * perRound)
			reached := make(chan struct{})
			var once sync.Once
			var group sync.WaitGroup
			for worker := range workers {
				group.Go(func() {
					for n := 0; ; n++ {
						name := fmt.Sprintf("sample-%d-%d-%d", round, worker, n)
						status, _, err := in.call("jane", http.MethodPost, "/datasets/jane/flowers/samples/",
							fmt.Sprintf(`{"name":%q,"attributes":null}`, name))
						if err != nil {
							return // the node is dead; this change may or may not have been made
						}
						if status != http.StatusCreated {
							t.Errorf("%s: %d", name, status)
							return
						}
						accepted.Store(name, true)
						if count.Add(1) >= target {
							once.Do(func() { close(reached) })
						}
					}
				})
			}
			<-reached
			in.kill()
			group.Wait()
		}
		in.start()

		stored := map[string]bool{}
		for page := 1; ; page++ {
			names := in.names(page)
			for _, name := range names {
				stored[name] = true
			}
			if len(names) == 0 {
				break
			}
		}
		accepted.Range(func(name, _ any) bool {
			if !stored[fmt.Sprint(name)] {
				t.Errorf("%s was accepted and is lost", name)
			}
			return true
		})
		created := func(name string) string { return "Sample " + name + " created in" }
		r.wait(t, "the event of every sample", func() bool {
			for name := range stored {
				if len(r.find(created(name))) == 0 {
					return false
				}
			}
			return true
		})
		r.mu.Lock()
		defer r.mu.Unlock()
		for name := range stored {
			if ids := r.find(created(name)); len(ids) != 1 {
				t.Errorf("%s has %d events", name, len(ids))
			}
		}
		twice := 0
		for id, bodies := range r.bodies {
			twice += len(bodies) - 1
			for _, body := range bodies[1:] {
				if body != bodies[0] {
					t.Errorf("message %s came with other bytes", id)
				}
			}
			if name, ok := strings.CutPrefix(bodies[0], `{"event_type":"sample.created"`); ok && !anyOf(stored, name) {
				t.Errorf("an event without its change: %s", bodies[0])
			}
		}
		if r.forged > 0 {
			t.Errorf("%d signatures were wrong", r.forged)
		}
		t.Logf("%d samples, %d messages, %d of them sent again after a kill", len(stored), len(r.bodies), twice)
	})
}

func anyOf(names map[string]bool, body string) bool {
	_, rest, _ := strings.Cut(body, `"text":"Sample `)
	name, _, _ := strings.Cut(rest, " ")
	return names[name]
}

func TestSIGTERMDrainsAndExitsWithZero(t *testing.T) {
	t.Parallel()
	in := install(t, storetest.SQLite(t), []string{"jane"})
	r := newReceiver(t)
	in.start()
	in.endpoint("jane", r)
	in.must("jane", http.MethodPost, "/user/datasets/", `{"name":"flowers"}`)
	r.wait(t, "the event", r.has("Dataset jane/flowers created."))
	if code := in.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestASecondNodeOnTheSameFileIsRefusedClearly(t *testing.T) {
	t.Parallel()
	in := install(t, storetest.SQLite(t), nil)
	in.start()
	out, err := fanfare(t.Context(), in.with("serve", "-listen", "127.0.0.1:0")...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use by another fanfare process") {
		t.Errorf("%v: %s", err, out)
	}
	// Commands beside it work.
	run(t, "", in.with("account", "create", "acme", "-org")...)
}
