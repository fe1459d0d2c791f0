package portal

import (
	"fanfare/internal/browsertest"
	"strings"
	"testing"
	"time"
)

// TestAJourneyWithTheKeyboardAlone logs in, goes to a page, fills in its form
// and reads what came of it without ever touching a mouse. Whatever has the
// focus shows it.
func TestAJourneyWithTheKeyboardAlone(t *testing.T) {
	w := newSite(t, Config{})
	b := browsertest.New(t)
	b.Open(w.url + "/login")
	b.Until("the focus in the first field", `document.activeElement.id === "account"`)
	b.Type("jane\t" + password + "\r")
	b.See("API keys")

	// The first stop leads past the navigation.
	b.Type("\t")
	if got := b.Value(`document.activeElement.className + " " + document.activeElement.getBoundingClientRect().left`); !strings.HasPrefix(got, "skip ") || strings.Contains(got, "-") {
		t.Errorf("the first stop is %s", got)
	}
	b.Type("\r")
	b.Until("the focus in the content", `document.activeElement.id === "main"`)

	b.Open(w.url + "/account/jane")
	tabTo(t, b, `document.activeElement.matches("nav a") && document.activeElement.innerText.trim() === "Verify"`)
	b.Type("\r")
	b.See("Paste it here")
	tabTo(t, b, `document.activeElement.id === "headers"`)
	const body = `{"a":1}`
	// Enter within the field is a line break.
	b.Type(strings.ReplaceAll(strings.ReplaceAll(signed(t, "msg_1", time.Now(), body, w.secret), "\r\n", "\n"), "\n", "\r"))
	tabTo(t, b, `document.activeElement.id === "body"`)
	b.Type(body)
	tabTo(t, b, `document.activeElement.innerText === "Verify" && document.activeElement.type === "submit"`)
	b.Type("\r")
	b.See("This request verifies.")
	b.Look("verify-result")

	// Code opens and closes with the keyboard, and can be scrolled.
	tabTo(t, b, `document.activeElement.matches("summary") && document.activeElement.innerText === "Python"`)
	b.Type("\r")
	b.Until("the snippet", `document.activeElement.parentElement.open`)
	tabTo(t, b, `document.activeElement.matches("pre") && document.activeElement.getAttribute("aria-label") === "Python"`)
}

// tabTo presses Tab until the focus is where an expression says.
func tabTo(t *testing.T, b *browsertest.Browser, there string) {
	t.Helper()
	for range 80 {
		b.Type("\t")
		if b.Value(`document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle !== "none"`) != "true" {
			t.Errorf("the focus does not show on %s", b.Value(`document.activeElement.outerHTML.slice(0, 200)`))
		}
		if b.Value(there) == "true" {
			return
		}
	}
	t.Fatalf("Tab does not lead to where %s; it is on %s", there, b.Value(`document.activeElement.outerHTML.slice(0, 200)`))
}
