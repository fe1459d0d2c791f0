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

// hold is for how long a node is tried with what one document says, in seconds.
const hold = "25"

// TestTheDocumentOfTheSenderIsTrue has the document judged by a validator, and
// the node by Schemathesis.
func TestTheDocumentOfTheSenderIsTrue(t *testing.T) {
	in := install(t, storetest.SQLite(t), nil)
	in.start()
	words := strings.Fields(run(t, "", in.with("token", "create", "-env", "document")...))
	c := caller{t, in.url + "/api/v1", "Bearer " + words[len(words)-1]}
	app := c.told("id", "POST", "/app", `{"name":"Acme"}`)
	endpoint := c.told("id", "POST", "/app/"+app+"/endpoint", `{"url":"http://127.0.0.1:1/"}`)
	operational := c.told("id", "POST", "/operational-webhook/endpoint", `{"url":"http://127.0.0.1:1/"}`)
	message := c.told("id", "POST", "/app/"+app+"/msg", `{"eventType":"a","payload":{}}`)
	task := c.told("id", "PUT", "/stats/usage/event-types", "")
	judge(t, in, document{
		name: "webhooks", at: "/api/v1/openapi.json", authorization: c.authorization,
		settings: fmt.Sprintf(`
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
`, app, endpoint, message, task, operational),
		kept: `(application|endpoint|event-type)\.delete`,
	})
}

// TestTheDocumentOfTheRegistryIsTrue does the same for the registry.
func TestTheDocumentOfTheRegistryIsTrue(t *testing.T) {
	in := install(t, storetest.SQLite(t), []string{"jane"})
	run(t, "", in.with("account", "create", "Acme", "-org")...)
	run(t, "", in.with("member", "add", "Acme", "jane", "-admin")...)
	run(t, password+"\n", in.with("account", "create", "bert", "-password-stdin")...)
	in.start()
	c := caller{t, in.url, "APIKey " + in.keys["jane"]}
	c.told("username", "PATCH", "/user", `{"webhooks_enabled":true}`)
	c.told("name", "POST", "/user/datasets", `{"name":"flowers"}`)
	c.told("role", "POST", "/datasets/jane/flowers/collaborators", `{"user":"bert"}`)
	sample := c.told("uuid", "POST", "/datasets/jane/flowers/samples", `{"name":"rose.png","attributes":null}`)
	c.told("labelset", "PUT", "/labels/"+sample+"/ground-truth", `{"attributes":null}`)
	issue := c.told("uuid", "POST", "/samples/"+sample+"/issues", `{"description":"The stem is not labelled."}`)
	c.told("uuid", "POST", "/datasets/jane/flowers/releases", `{"name":"v1.0"}`)
	judge(t, in, document{
		name: "registry", at: "/openapi.json", authorization: c.authorization,
		settings: fmt.Sprintf(`
[parameters]
"path.user" = "bert"
"path.organization" = "Acme"
"path.owner" = "jane"
"path.name" = "flowers"
"path.sample" = %q
"path.labelset" = "ground-truth"
"path.issue" = %q
"path.release" = "v1.0"

[[operations]]
include-operation-id = "issue.list-of-sample"
parameters = { "path.owner" = %[1]q }
`, sample, issue),
		kept: `(dataset|collaborator|sample|label|issue|release)\.delete$`,
	})
}

// document is an OpenAPI document and what is needed to try what it says.
type document struct {
	// name is that of its file, at where a node serves it.
	name, at string
	// authorization is the header of a caller who may do everything.
	authorization string
	// settings tell Schemathesis what is there for the parameters of paths.
	settings string
	// kept are the operations that are left out: what they would take away is
	// needed by the others.
	kept string
}

// judge has a document judged by a validator, and the node by Schemathesis,
// which sends what the document allows and what it does not: no answer may be
// the node's fault or have a form that the document does not know.
func judge(t *testing.T, in *installation, d document) {
	t.Helper()
	bin := sdks(t) + "/openapi/bin/"
	if out, err := exec.CommandContext(t.Context(), bin+"openapi-spec-validator", "../../docs/openapi/"+d.name+".json").CombinedOutput(); err != nil {
		t.Errorf("openapi-spec-validator: %v\n%s", err, out)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/schemathesis.toml", []byte(d.settings), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin+"schemathesis", "--config-file", "schemathesis.toml", "run", in.url+d.at,
		"--url", in.url, "--header", "Authorization: "+d.authorization, "--max-time", hold, "--phases", "examples,coverage,fuzzing", "--no-color", "--continue-on-failure", "--warnings", "off",
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
		"--exclude-operation-id-regex", d.kept)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), " passed") {
		t.Errorf("schemathesis: %v", err)
	}
}

// caller makes calls that prepare a node.
type caller struct {
	t                 *testing.T
	at, authorization string
}

// told makes a call and returns what the answer says of something.
func (c caller) told(what, method, path, body string) string {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.at+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", c.authorization)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer map[string]any
	err = json.NewDecoder(res.Body).Decode(&answer)
	said, _ := answer[what].(string)
	if err != nil || said == "" {
		c.t.Fatalf("%s %s: %d %v (%v)", method, path, res.StatusCode, answer, err)
	}
	return said
}
