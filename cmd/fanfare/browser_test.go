package main

import (
	"fanfare/internal/browsertest"
	"fanfare/internal/store/storetest"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestADatasetOwnerInABrowser walks the way of somebody who is new: log in,
// enable webhooks, add an endpoint, change data, look at what was sent, replay
// it, watch retries through an outage of the receiver and a crash of the node.
// Every page on the way is looked at.
func TestADatasetOwnerInABrowser(t *testing.T) {
	t.Parallel()
	in := install(t, storetest.SQLite(t), []string{"john"}, "-retry-schedule", "200ms,400ms,1s,2s,3s,5s,5s,5s,5s")
	in.start()
	r := newReceiver(t)
	b := browsertest.New(t)

	// Log in.
	b.Open(in.url + "/")
	b.See("Log in")
	b.Look("login")
	b.Fill("#account", "john")
	b.Fill("#password", "wrong password")
	b.Press("Log in")
	b.See("No account has this name and password.")
	b.Fill("#password", password)
	b.Press("Log in")

	// Enable webhooks.
	b.See("Webhooks are automated messages")
	b.Look("account-disabled")
	b.Press("Enable")
	b.See("Webhooks are enabled.")
	b.Look("account")
	b.Press("Manage webhooks")
	b.See("No endpoints yet")
	b.Look("endpoints-empty")

	// Add an endpoint.
	b.Press("Add endpoint")
	b.See("Events to send")
	b.Fill("#url", "ftp://example.com")
	b.Press("Add endpoint")
	b.See("The URL must start with https:// or http://.")
	b.Look("endpoint-form-wrong")
	b.Fill("#url", r.URL+"/hook")
	b.Fill("#version", "3")
	b.Fill("#description", "Retrains our model")
	if b.Value(`document.querySelectorAll("[name=event_types]").length`) != "11" || b.Value(`document.querySelector("[name=all_types]").checked`) != "true" {
		t.Error("the form does not offer the eleven event types, all of them by default")
	}
	b.Press("Add endpoint")
	b.See("Nothing sent yet")
	if strings.Contains(b.Value(`document.documentElement.outerHTML`), "whsec_") && b.Value(`document.querySelector("#secret").innerText.includes("whsec_A")`) == "true" {
		t.Error("the secret is in the page before anybody asked")
	}
	b.Press("Reveal")
	b.Until("the secret", `document.querySelector("#secret-text") !== null`)
	secret := b.Value(`document.querySelector("#secret-text").innerText`)
	r.set(func() { r.secret = secret })

	// Change data; each change arrives, signed.
	in.must("john", http.MethodPost, "/user/datasets/", `{"name":"flowers"}`)
	rose := in.must("john", http.MethodPost, "/datasets/john/flowers/samples/", `{"name":"rose.png","attributes":null}`)
	path := fmt.Sprint("/samples/", rose["uuid"])
	in.must("john", http.MethodPatch, path, `{"priority":2}`)
	if status, _, err := in.call("john", http.MethodPost, "/datasets/john/flowers/samples_bulk/", `[{"name":"a","attributes":null},{"name":"b","attributes":null}]`); status != http.StatusCreated {
		t.Errorf("bulk: %d %v", status, err)
	}
	in.must("john", http.MethodDelete, path, "")
	for _, text := range []string{
		"Dataset john/flowers created.", "Sample rose.png created in dataset john/flowers.",
		"Sample rose.png updated in dataset john/flowers: priority.", "Sample a created in dataset john/flowers.",
		"Sample b created in dataset john/flowers.", "Sample rose.png deleted from dataset john/flowers.",
	} {
		r.wait(t, text, r.has(text))
	}
	b.See("Sample rose.png deleted from dataset john/flowers.")
	b.See("204")
	b.Look("endpoint")

	// See the events, open one, replay it.
	b.Click("nav [href$='/events']")
	b.See("Sample rose.png updated in dataset john/flowers: priority.")
	b.Look("events")
	b.Press("Sample rose.png updated")
	b.See("Attempt 1")
	b.See(`"api_version": "2021-08-01"`)
	b.Press("Request and answer")
	b.See("Webhook-Signature")
	b.Look("event")
	b.Press("Replay")
	b.Until("the attempt of the replay", `[...document.querySelectorAll("#deliveries li")].filter(li => li.innerText.includes("succeeded")).length === 2`)
	r.set(func() {
		bodies := r.bodies[r.find("rose.png updated")[0]]
		if len(bodies) != 2 || bodies[0] != bodies[1] {
			t.Errorf("the replay brought %q", bodies)
		}
	})

	// An outage of the receiver, and a crash of the node in the middle of it.
	r.set(func() { r.failing = true })
	in.must("john", http.MethodPost, "/datasets/john/flowers/samples/", `{"name":"tulip.png","attributes":null}`)
	b.Click("nav [href$='/events']")
	b.Press("Sample tulip.png created")
	b.See("Attempt 2")
	b.See("next attempt")
	b.See("500 Internal Server Error")
	b.Look("event-retrying")
	in.kill()
	in.start()
	r.set(func() { r.failing = false })
	r.wait(t, "the event through outage and crash", r.has("Sample tulip.png created"))
	b.Open(b.Value("location.href"))
	b.Until("success", `document.querySelector("#deliveries header .state").innerText === "succeeded"`)
	b.Look("event-after-retries")
	r.set(func() {
		if r.forged > 0 {
			t.Errorf("%d signatures were wrong", r.forged)
		}
	})

	// Edit, disable, delete.
	b.Click("nav [href$='/endpoints']")
	b.See("Retrains our model")
	b.Look("endpoints")
	b.Press(strings.TrimPrefix(r.URL, "http://"))
	b.Press("Edit")
	b.Click("[name=event_types][value='sample.deleted']")
	b.Look("endpoint-form")
	b.Press("Save changes")
	b.See("Changes are saved.")
	in.must("john", http.MethodPost, "/datasets/john/flowers/samples/", `{"name":"unwanted","attributes":null}`)
	b.Click("nav [href$='/events']")
	b.Press("Sample unwanted created")
	b.See("The endpoint does not want events of the type sample.created.")
	b.Look("event-unwanted")
	b.Click("nav [href$='/endpoints']")
	b.Press(strings.TrimPrefix(r.URL, "http://"))
	b.Press("Disable…")
	b.See("Send nothing more to")
	b.Look("endpoint-disable")
	b.Press("Disable endpoint")
	b.See("The endpoint is disabled.")
	b.Look("endpoint-disabled")
	b.Press("Enable")
	b.See("The endpoint is enabled.")
	b.See("There is nothing to send")
	b.Look("replay-nothing")
	b.Press("Cancel")
	b.Press("Delete…")
	b.See("Delete the endpoint")
	b.Look("endpoint-delete")
	b.Press("Delete endpoint")
	b.See("No endpoints yet")

	// API keys, and away.
	b.Click("nav [href='/account/john']")
	b.Fill("#label", "importer")
	b.Press("Create key")
	b.See("This is the new key.")
	b.Look("account-key")
	b.Open(in.url + "/webhooks/jane/endpoints")
	b.See("Not found")
	b.Look("not-found")
	b.Open(in.url + "/account")
	b.Press("Log out")
	b.See("Password")
	b.Open(in.url + "/account/john")
	b.See("Password")
}
