package main

import (
	"encoding/json"
	"fanfare/internal/store/storetest"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// word is the last word that a command printed.
func (in *installation) word(args ...string) string {
	in.t.Helper()
	words := strings.Fields(run(in.t, "", in.with(args...)...))
	return words[len(words)-1]
}

// reply is an answer of the sender's API.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) object(t *testing.T) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(r.body), &o); err != nil {
		t.Fatalf("%d %q: %v", r.status, r.body, err)
	}
	return o
}

// send makes a call under a bearer token. Headers come as names and values in
// turn.
func (in *installation) send(token, method, path, body string, headers ...string) reply {
	in.t.Helper()
	req, err := http.NewRequestWithContext(in.t.Context(), method, in.url+path, strings.NewReader(body))
	if err != nil {
		in.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		in.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(b)}
}

func TestTheSenderOfARealNode(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		arrived := make(chan http.Header, 100)
		receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { arrived <- r.Header }))
		t.Cleanup(receiver.Close)
		in := install(t, url, nil, "-signature-type", "ed25519")
		in.start()
		token := in.word("token", "create", "-env", "shop")

		// Paths as clients write them, and who answers.
		for path, status := range map[string]int{
			"/api/v1/app": 200, "/api/v1/app/": 200, "//api/v1/app": 200, "//api/v1/app/?limit=1": 200, "/api/v1/health/": 200, "/api/v1": 404, "/api/v1/": 404, "/api/v1/users/": 404,
		} {
			r := in.send(token, "GET", path, "", "svix-req-id", "12345")
			if r.status != status || r.header.Get("X-Request-Id") != "12345" || !json.Valid([]byte(r.body)) {
				t.Errorf("GET %s: %d %v %s", path, r.status, r.header, r.body)
			}
			if r.status == 404 && r.body != `{"code":"not_found","detail":"Entity not found"}` {
				t.Errorf("GET %s: %s", path, r.body)
			}
		}
		for _, id := range []string{"", "with blanks", strings.Repeat("x", 65)} {
			if got := in.send("wrong", "GET", "/api/v1/app", "", "Svix-Req-Id", id); got.status != 401 || got.header.Get("X-Request-Id") == "" || got.header.Get("X-Request-Id") == id {
				t.Errorf("a request id %q: %d %v", id, got.status, got.header)
			}
		}

		// A key means the same request after a restart, too.
		if r := in.send(token, "POST", "/api/v1/app", `{"name":"Acme","uid":"acme"}`, "Idempotency-Key", "app"); r.status != 201 {
			t.Fatalf("%d %s", r.status, r.body)
		}
		endpoint := in.send(token, "POST", "/api/v1/app/acme/endpoint", fmt.Sprintf(`{"url":%q}`, receiver.URL)).object(t)["id"].(string)
		post := func(path, body string) reply { return in.send(token, "POST", path, body, "Idempotency-Key", "once") }
		calls := [][2]string{
			{"/api/v1/app/acme/msg", `{"eventType":"a","payload":{"n":1}}`},
			{"/api/v1/event-type", `{"name":"a","description":""}`},
			{"/api/v1/auth/app-portal-access/acme", `{}`},
		}
		var first []reply
		for _, c := range calls {
			first = append(first, post(c[0], c[1]))
		}
		header := <-arrived
		if !strings.HasPrefix(header.Get("Webhook-Signature"), "v1a,") || header.Get("Svix-Signature") != header.Get("Webhook-Signature") {
			t.Errorf("signed: %v", header)
		}
		if key := in.send(token, "GET", "/api/v1/app/acme/endpoint/"+endpoint+"/secret", "").object(t)["key"]; !strings.HasPrefix(key.(string), "whpk_") {
			t.Errorf("the public key: %v", key)
		}
		in.kill()
		in.start()
		for i, c := range calls {
			if again := post(c[0], c[1]); again.status != first[i].status || again.body != first[i].body {
				t.Errorf("%s: %d %s, then %d %s", c[0], first[i].status, first[i].body, again.status, again.body)
			}
		}

		// Tokens made, expired and revoked beside the node count at once.
		own := in.word("token", "create", "-env", "shop", "-app", "acme")
		short := in.word("token", "create", "-env", "shop", "-expires", "1s")
		for _, c := range []struct {
			token, path string
			status      int
		}{{own, "/api/v1/app/acme", 200}, {own, "/api/v1/app", 403}, {own, "/api/v1/app/other", 404}, {in.word("token", "create", "-env", "other"), "/api/v1/app/acme", 404}} {
			if r := in.send(c.token, "GET", c.path, ""); r.status != c.status {
				t.Errorf("GET %s: %d %s, want %d", c.path, r.status, r.body, c.status)
			}
		}
		list := run(t, "", in.with("token", "list", "-env", "shop")...)
		for _, secret := range []string{token, own, short} {
			if strings.Contains(list, secret) {
				t.Errorf("the list tells a token: %s", list)
			}
		}
		for line := range strings.Lines(list) {
			if strings.Contains(line, own[len(own)-4:]) {
				run(t, "", in.with("token", "revoke", strings.Fields(line)[0])...)
			}
		}
		if r := in.send(own, "GET", "/api/v1/app/acme", ""); r.status != 401 || r.body != `{"code":"authentication_failed","detail":"Invalid token"}` {
			t.Errorf("a token that was revoked: %d %s", r.status, r.body)
		}
		for deadline := time.Now().Add(20 * time.Second); in.send(short, "GET", "/api/v1/app", "").status != 401; {
			if time.Now().After(deadline) {
				t.Fatal("a token of a second never ends")
			}
		}
	})
}
