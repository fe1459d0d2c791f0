//go:build interop

package main

import (
	"encoding/json"
	"fanfare/internal/store/storetest"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// hold is for how long a node is tried with what its document says, in seconds.
const hold = "25"

// TestTheDocumentIsTrue has the OpenAPI document judged by a validator, and the
// node by Schemathesis, which sends what the document allows and what it does
// not: no answer may be the node's fault or have a form that the document does
// not know.
func TestTheDocumentIsTrue(t *testing.T) {
	bin := sdks(t) + "/openapi/bin/"
	if out, err := exec.CommandContext(t.Context(), bin+"openapi-spec-validator", "../../docs/openapi/webhooks.json").CombinedOutput(); err != nil {
		t.Errorf("openapi-spec-validator: %v\n%s", err, out)
	}
	in := install(t, storetest.SQLite(t), nil)
	in.start()
	words := strings.Fields(run(t, "", in.with("token", "create", "-env", "document")...))
	bearer := "Bearer " + words[len(words)-1]
	call := func(method, path, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, in.url+"/api/v1"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", bearer)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var made struct{ ID string }
		if err := json.NewDecoder(res.Body).Decode(&made); err != nil || made.ID == "" {
			t.Fatalf("%s %s: %d (%v)", method, path, res.StatusCode, err)
		}
		return made.ID
	}
	app := call("POST", "/app", `{"name":"Acme"}`)
	endpoint := call("POST", "/app/"+app+"/endpoint", `{"url":"http://127.0.0.1:1/"}`)
	operational := call("POST", "/operational-webhook/endpoint", `{"url":"http://127.0.0.1:1/"}`)
	// The names of path parameters, and what is there for them.
	settings := fmt.Sprintf(`
[parameters]
"path.app" = %q
"path.ep" = %q
"path.sink" = %[2]q
"path.msg" = %[3]q
"path.task" = %[4]q
"path.name" = "invoice.paid"
"path.consumer" = "me"

[[operations]]
include-path-regex = "operational-webhook"
parameters = { "path.ep" = %[5]q }
`, app, endpoint, call("POST", "/app/"+app+"/msg", `{"eventType":"a","payload":{}}`), call("PUT", "/stats/usage/event-types", ""), operational)
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/schemathesis.toml", []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin+"schemathesis", "--config-file", "schemathesis.toml", "run", in.url+"/api/v1/openapi.json",
		"--url", in.url, "--header", "Authorization: "+bearer, "--max-time", hold, "--phases", "examples,coverage,fuzzing", "--no-color", "--continue-on-failure", "--warnings", "off",
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
		// What the others need stays.
		"--exclude-operation-id-regex", `(application|endpoint|event-type)\.delete`)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), " passed") {
		t.Errorf("schemathesis: %v", err)
	}
}
