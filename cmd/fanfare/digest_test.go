package main

import (
	"encoding/json"
	"fanfare/internal/store/storetest"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestWhatWaitsInAWindowSurvivesAKill makes samples while the node is killed
// again and again, at an endpoint that gathers events. Each sample that was
// accepted is told of in one digest, and a digest that comes twice is the same.
func TestWhatWaitsInAWindowSurvivesAKill(t *testing.T) {
	t.Parallel()
	const rounds, perRound = 4, 40
	in := install(t, storetest.SQLite(t), []string{"jane"}, "-retry-schedule", "100ms,200ms,400ms,800ms,2s,5s,5s")
	r := newReceiver(t)
	in.start()
	in.endpoint("jane", r)
	printed := strings.Fields(run(t, "", in.with("token", "create")...))
	list := in.sender(printed[len(printed)-1], http.MethodGet, "/app/jane/endpoint", "")
	endpoints, _ := list["data"].([]any)
	endpoint, _ := endpoints[0].(map[string]any)
	in.sender(printed[len(printed)-1], http.MethodPatch, fmt.Sprint("/app/jane/endpoint/", endpoint["id"]), `{"digest":{"seconds":1,"events":25}}`)
	in.must("jane", http.MethodPost, "/user/datasets/", `{"name":"flowers"}`)

	accepted := map[string]bool{}
	for round := range rounds {
		if round > 0 {
			in.start()
		}
		for n := range perRound {
			name := fmt.Sprintf("sample-%d-%d", round, n)
			in.must("jane", http.MethodPost, "/datasets/jane/flowers/samples/", fmt.Sprintf(`{"name":%q,"attributes":null}`, name))
			accepted[name] = true
		}
		in.kill()
	}
	in.start()

	type digest struct {
		Type   string
		Count  int
		Events []struct {
			ID      string
			Payload struct{ Object struct{ Name string } }
		}
	}
	told := func() map[string][]string {
		names := map[string][]string{}
		for id, bodies := range r.bodies {
			var d digest
			if err := json.Unmarshal([]byte(bodies[0]), &d); err != nil || d.Type != "digest" || d.Count != len(d.Events) {
				t.Fatalf("%v: %s", err, bodies[0])
			}
			for _, e := range d.Events {
				names[e.Payload.Object.Name] = append(names[e.Payload.Object.Name], id)
			}
		}
		return names
	}
	r.wait(t, "every sample in a digest", func() bool {
		names := told()
		for name := range accepted {
			if len(names[name]) == 0 {
				return false
			}
		}
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, ids := range told() {
		if accepted[name] && len(ids) != 1 {
			t.Errorf("%s is told of in the digests %v", name, ids)
		}
	}
	for id, bodies := range r.bodies {
		for _, body := range bodies[1:] {
			if body != bodies[0] {
				t.Errorf("digest %s came with other bytes", id)
			}
		}
	}
	if r.forged > 0 {
		t.Errorf("%d signatures were wrong", r.forged)
	}
	t.Logf("%d samples in %d digests", len(accepted), len(r.bodies))
}

// sender makes a call of the sender's API with a token.
func (in *installation) sender(token, method, path, body string) map[string]any {
	in.t.Helper()
	req, err := http.NewRequestWithContext(in.t.Context(), method, in.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		in.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		in.t.Fatal(err)
	}
	defer res.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || res.StatusCode > 299 {
		in.t.Fatalf("%s %s: %d %v %v", method, path, res.StatusCode, out, err)
	}
	return out
}
