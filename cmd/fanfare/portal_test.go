package main

import (
	"fanfare/internal/browsertest"
	"fanfare/internal/store/storetest"
	"fmt"
	"html"
	"net/http"
	"strings"
	"testing"
)

// manage logs jane in, who has an endpoint, and opens its page.
func (in *installation) manage(b *browsertest.Browser, r *receiver) {
	in.t.Helper()
	b.Open(in.url + "/login")
	b.Fill("#account", "jane")
	b.Fill("#password", password)
	b.Press("Log in")
	b.Press("Manage webhooks")
	b.See("1 endpoint")
	b.Press(strings.TrimPrefix(r.URL, "http://"))
	b.See("Signing secret")
}

func (in *installation) sample(name string) {
	in.t.Helper()
	in.must("jane", http.MethodPost, "/datasets/jane/flowers/samples/", fmt.Sprintf(`{"name":%q,"attributes":null}`, name))
}

// TestAnOwnerPutsThingsRightInABrowser walks through an outage: see it come,
// find out why, mend it, send again what was missed.
func TestAnOwnerPutsThingsRightInABrowser(t *testing.T) {
	t.Parallel()
	in := install(t, storetest.SQLite(t), []string{"jane"}, "-retry-schedule", "1h,2h")
	in.start()
	r := newReceiver(t)
	in.endpoint("jane", r)
	in.must("jane", http.MethodPost, "/user/datasets/", `{"name":"flowers"}`)
	b := browsertest.New(t)
	in.manage(b, r)

	// The log grows while one looks at it.
	b.See("live")
	b.Until("the page to stay", `(window.stayed = true)`)
	in.sample("rose.png")
	b.See("Sample rose.png created in dataset jane/flowers.")
	r.set(func() { r.failing = true })
	in.sample("tulip.png")
	in.sample("iris.png")
	b.See("Sample iris.png created in dataset jane/flowers.")
	b.See("500")
	if b.Value("window.stayed") != "true" {
		t.Error("the log did not grow: the page was loaded anew")
	}
	b.See("of 4 calls in the last 24 hours succeeded.")
	b.Look("endpoint-live")

	// Find the failures, and why they failed.
	b.Until("the filter", `(document.querySelector("#status").value = "failed") === "failed"`)
	b.Press("Filter")
	b.Until("failures alone", `document.querySelectorAll("#log tbody tr").length === 2`)
	b.Fill("#text", "TULIP")
	b.Press("Filter")
	b.Until("one failure", `document.querySelectorAll("#log tbody tr").length === 1`)
	b.Look("endpoint-filtered")
	b.Fill("#text", "no such text")
	b.Press("Filter")
	b.See("No call to this endpoint fits.")
	b.Press("Clear")
	b.Press("Sample tulip.png created")
	b.See("next attempt")
	b.Press("Request and answer")
	b.See("Your server failed while it worked on the request.")
	b.See("told to fail")
	b.See("Waiting for the answer")
	b.Press("As a curl command")
	b.See("curl -i -X POST '" + r.URL)
	b.Look("event-failed")

	// Mend it and send again what failed: count first, then send.
	r.set(func() { r.failing = false })
	b.Click("header h2 a")
	b.Press("Replay…")
	b.See("What to send again")
	b.Look("replay")
	b.Press("Count first")
	b.See("2 events since")
	b.Look("replay-counted")
	b.Press("Send 2 again")
	b.See("2 sent again")
	b.Look("replay-done")
	r.wait(t, "what failed", func() bool { return r.has("iris.png")() && r.has("tulip.png")() })

	// A test event: what is wrong with it is said, and kept.
	b.Press("To the endpoint")
	b.Press("Send test event")
	b.Until("the example", `document.querySelector("#payload").value.includes("dataset.created")`)
	b.Fill("#payload", "{\n  \"hello\": world\n}")
	b.Press("Send test event")
	b.See("Look at line 2")
	b.Look("trial-wrong")
	b.Fill("#payload", `{"text":"It was only a test."}`)
	b.Press("Send test event")
	b.See("It was only a test.")
	b.Until("the test to arrive", `document.querySelector("#deliveries header .state").innerText === "succeeded"`)
	b.See("Test")
	b.Look("event-test")
	r.set(func() {
		if bodies := r.find(`{"text":"It was only a test."}`); len(bodies) != 1 || r.forged != 0 {
			t.Errorf("the test came %d times, and %d signatures were wrong", len(bodies), r.forged)
		}
	})

	// Everything that happened, and what is looked for.
	b.Click("nav [href$='/events']")
	b.See("Sample rose.png created")
	b.Press("Dataset, sample and time")
	b.Fill("#dataset", "jane/flowers")
	b.Fill("#sample", "iri")
	b.Press("Filter")
	b.Until("one event", `document.querySelectorAll("#events tbody tr").length === 1`)
	b.Look("events-found")
	b.Fill("[name=find]", "msg_nothing")
	b.Press("Go")
	b.See("No event has this id.")
	r.set(func() { b.Fill("[name=find]", r.find("rose.png")[0]) })
	b.Press("Go")
	b.See("About this event")
}

// TestAnOwnerChangesAnEndpointInABrowser goes through its settings.
func TestAnOwnerChangesAnEndpointInABrowser(t *testing.T) {
	t.Parallel()
	in := install(t, storetest.SQLite(t), []string{"jane"}, "-retry-schedule", "1h,2h")
	in.start()
	r := newReceiver(t)
	in.endpoint("jane", r)
	in.must("jane", http.MethodPost, "/user/datasets/", `{"name":"flowers"}`)
	in.sample("rose.png")
	b := browsertest.New(t)
	in.manage(b, r)

	// A URL is checked as it is typed.
	b.Press("Edit")
	b.Fill("#url", "http://10.0.0.1/hook")
	b.See("This address is not public (private)")
	b.Fill("#url", "gopher://example.com")
	b.See("The URL must start with https:// or http://.")
	b.Fill("#url", r.URL)
	b.See("Without https everybody on the way can read what is sent.")

	// Event types are searched, and what a choice means is counted.
	b.Fill("[data-tree-search] input", "label upd")
	b.Until("one type", `[...document.querySelectorAll("[name=event_types]")].filter(t => t.offsetParent).length === 1`)
	b.Click("[name=event_types][value='label.updated']")
	b.See("It would have received 2 of the 2 events of the last 24 hours; with these settings, 0.")
	b.Look("endpoint-form-dry-run")
	b.Fill("[data-tree-search] input", "sample")
	b.Until("three types", `[...document.querySelectorAll("[name=event_types]")].filter(t => t.offsetParent).length === 3`)
	b.Click("[name=event_types][value='sample.created']")
	b.See("with these settings, 1.")
	b.Fill("#datasets", "jane")
	b.Press("Order, rate limit and headers")
	b.Fill("#throttle", "50")
	b.Fill("[name=header_name]", "X-Api-Key")
	b.Fill("[name=header_value]", "open sesame")
	b.Press("Save changes")
	b.See(`"jane" is not the full name of a dataset`)
	b.Look("endpoint-form-problems")
	b.Fill("#datasets", "jane/flowers")
	b.Press("Save changes")
	b.See("Changes are saved.")
	b.See("50 a second")
	b.See("X-Api-Key")
	b.Press("Edit")
	b.See("Save changes")
	if b.Value(`document.querySelector("[name=header_value]").value`) != "" {
		t.Error("the value of a header is in the page")
	}
	b.Press("Save changes")
	b.See("X-Api-Key")

	// The secret is rotated: both sign for a while.
	b.Press("Rotate")
	b.See("The endpoint gets a new signing secret.")
	b.Look("endpoint-rotate")
	b.Press("Rotate secret")
	b.See("The secret before signs as well until")
	b.Press("Reveal")
	b.Until("the secret", `document.querySelector("#secret-text") !== null`)
	secret := b.Value(`document.querySelector("#secret-text").innerText`)
	in.sample("old.png")
	r.wait(t, "a sample for the secret before", r.has("old.png"))
	r.set(func() { r.secret = secret })
	in.sample("new.png")
	r.wait(t, "a sample for the new secret", r.has("new.png"))
	b.Look("endpoint-rotated")

	// Paused: what is for it is held.
	b.Press("Pause")
	b.See("The endpoint is paused.")
	in.sample("held.png")
	b.Press("Resume…")
	b.See("1 webhook is held for")
	b.Fill("#rate", "5")
	b.Look("endpoint-resume")
	b.Press("Resume endpoint")
	b.See("The endpoint is resumed.")
	r.wait(t, "what was held", r.has("held.png"))

	// Disabled: what it would miss is said, and why it missed it.
	b.Press("Disable…")
	b.Press("Disable endpoint")
	b.See("Disabled by its owner")
	in.sample("missed.png")
	b.Click("nav [href$='/events']")
	b.Press("Sample missed.png created")
	b.See("The endpoint was disabled, as it has been since")
	b.Look("event-missed")
	b.Click("header h2 a")
	b.Press("Enable")
	b.See("1 event since")
	b.Press("Send 1 again")
	b.See("1 sent again")
	r.wait(t, "what it missed", r.has("missed.png"))
	r.set(func() {
		if r.forged > 0 {
			t.Errorf("%d signatures were wrong", r.forged)
		}
	})

	// A key is revoked once that is confirmed.
	b.Click("nav [href='/account/jane']")
	b.Press("Revoke")
	b.See("Revoke this key?")
	b.Look("key-revoke")
	b.Press("Revoke key")
	b.See("The key is revoked.")
	if status, _, err := in.call("jane", http.MethodGet, "/user/datasets/", ""); err != nil || status != http.StatusUnauthorized {
		t.Errorf("a revoked key: %d %v", status, err)
	}
}

// TestThePortalWithoutScripts walks the way of an owner whose browser runs no
// JavaScript.
func TestThePortalWithoutScripts(t *testing.T) {
	t.Parallel()
	in := install(t, storetest.SQLite(t), []string{"jane"}, "-retry-schedule", "1h,2h")
	in.start()
	r := newReceiver(t)
	b := browsertest.New(t)
	b.WithoutScripts()
	b.Open(in.url + "/")
	b.Fill("#account", "jane")
	b.Fill("#password", password)
	b.Press("Log in")
	b.Press("Enable")
	b.Press("Manage webhooks")
	b.Press("Add endpoint")
	b.Fill("#url", r.URL)
	b.Press("Try on the last 24 hours")
	b.See("It would have received 0 of the 0 events of the last 24 hours.")
	b.Press("Add endpoint")
	b.See("Nothing sent yet")
	b.Press("Reveal")
	b.See("Copy")
	r.set(func() { r.secret = html.UnescapeString(b.Value(`document.querySelector("#secret-text").textContent`)) })

	b.Press("Send test event")
	b.Press("Show its example")
	b.Press("Send test event")
	b.See("The test is on its way")
	r.wait(t, "the test", func() bool { return len(r.bodies) == 1 })

	in.must("jane", http.MethodPost, "/user/datasets/", `{"name":"flowers"}`)
	r.wait(t, "an event", func() bool { return len(r.bodies) == 2 })
	r.set(func() { r.failing = true })
	in.sample("rose.png")
	b.Click("nav [href$='/events']")
	b.Press("Sample rose.png created")
	b.Press("Request and answer")
	b.Press("Show them on a page of their own")
	b.See("Your server failed while it worked on the request.")
	b.Look("attempt")
	b.Press("Sample rose.png created")
	r.set(func() { r.failing = false })
	b.Press("Raw")
	b.See(`"text":"Sample rose.png created in dataset jane/flowers."`)
	b.Press("Replay")
	b.See("Sent again")
	r.wait(t, "the replay", r.has("rose.png"))

	b.Click("header h2 a")
	b.Press("Replay…")
	b.Click("[value=all]")
	b.Press("Count first")
	b.See("3 events since")
	b.Press("Send 3 again")
	b.See("Everything again")
	r.wait(t, "everything again", func() bool {
		n := 0
		for _, bodies := range r.bodies {
			n += len(bodies)
		}
		return n == 6
	})
	b.Press("To the endpoint")
	b.See("Everything again")
	b.Look("endpoint-without-scripts")
	b.Press("Disable…")
	b.Press("Disable endpoint")
	b.See("Disabled by its owner")
	r.set(func() {
		if r.forged > 0 {
			t.Errorf("%d signatures were wrong", r.forged)
		}
	})
}
