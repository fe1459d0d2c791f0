package main

import (
	"fanfare/internal/store/storetest"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestAnOperatorComesAndGoes makes an operator beside a running node, looks at
// the pages, and deletes the account.
func TestAnOperatorComesAndGoes(t *testing.T) {
	t.Parallel()
	in := install(t, storetest.SQLite(t), []string{"jane"}, "-retry-schedule", "100ms,200ms,400ms,1s,2s")
	in.start()
	r := newReceiver(t)
	in.endpoint("jane", r)
	jane := in.browserless("jane")
	page := func() (int, string) {
		res, err := jane.Get(in.url + "/operator")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	if status, _ := page(); status != http.StatusNotFound {
		t.Errorf("before: %d", status)
	}
	run(t, "", in.with("account", "operator", "jane")...)
	if status, body := page(); status != http.StatusOK || !strings.Contains(body, "this one") {
		t.Errorf("an operator: %d %s", status, body)
	}
	run(t, "", in.with("account", "operator", "jane", "-revoke")...)
	if status, _ := page(); status != http.StatusNotFound {
		t.Errorf("after: %d", status)
	}

	in.must("jane", http.MethodPost, "/user/datasets/", `{"name":"flowers"}`)
	r.wait(t, "the dataset", r.has("Dataset jane/flowers created."))
	if code, said := refused(t, in.with("account", "delete", "jane")...); code == 0 || !strings.Contains(said, "-yes") {
		t.Errorf("deleted without asking: %d %s", code, said)
	}
	run(t, "", in.with("account", "delete", "jane", "-yes")...)
	if status, _, err := in.call("jane", http.MethodGet, "/user", ""); err != nil || status != http.StatusUnauthorized {
		t.Errorf("the key of a deleted account: %d %v", status, err)
	}
	if res, err := jane.Get(in.url + "/account/jane"); err != nil || res.Request.URL.Path != "/login" {
		t.Errorf("the session of a deleted account: %v %v", res, err)
	} else {
		_ = res.Body.Close()
	}
}
