package portal

import (
	"encoding/json"
	"fanfare/internal/browsertest"
	"os"
	"strings"
	"testing"
)

// axeVariable names the file of axe-core, which looks for what people with
// disabilities stumble over; `make axe` fetches it. Without it pages are looked
// at all the same.
const axeVariable = "FANFARE_AXE"

// TestEveryPageInABrowser opens every page, full and empty, light and dark, wide
// and narrow: nothing reaches over the edge, the content policy is kept, and
// nothing serious stands in anybody's way.
func TestEveryPageInABrowser(t *testing.T) {
	w := newGallery(t, Config{})
	b := browsertest.New(t)
	axe := ""
	if file := os.Getenv(axeVariable); file != "" {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		axe = string(source)
	}
	who := ""
	for _, s := range w.shots() {
		if s.who != who {
			if who != "" {
				b.Open(w.url + "/account/" + who)
				b.Press("Log out")
				b.See("Password")
			}
			who = s.who
			b.Open(w.url + "/login")
			b.Fill("#account", who)
			b.Fill("#password", password)
			b.Click("main button")
			b.See("API keys")
		}
		b.Open(w.url + s.path)
		for _, refused := range b.Refused() {
			t.Errorf("%s: the content policy refused %s", s.name, refused)
		}
		b.Look(s.name)
		if axe != "" {
			for _, scheme := range []string{"light", "dark"} {
				b.Scheme(scheme)
				examine(t, b, axe, s.name+", "+scheme, scheme == "light")
			}
			b.Scheme("light")
		}
	}
}

// examine runs axe on the page that is open. Colors are all that differs
// between the themes.
func examine(t *testing.T, b *browsertest.Browser, axe, name string, all bool) {
	t.Helper()
	rules := `{runOnly: ["color-contrast"]}`
	if all {
		rules = `{runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}}`
	}
	b.Run(axe)
	b.Run(`window.found = null; axe.run(document, ` + rules + `).then(r => { window.found = JSON.stringify(r.violations.map(v =>
		({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + " " + (n.any[0]?.message ?? ""))}))) })`)
	b.Until("axe", `window.found !== null`)
	var found []struct {
		ID, Impact, Help string
		Nodes            []string
	}
	if err := json.Unmarshal([]byte(b.Value(`window.found`)), &found); err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		say := t.Logf
		if v.Impact == "serious" || v.Impact == "critical" {
			say = t.Errorf
		}
		say("%s: %s (%s): %s\n\t%s", name, v.ID, v.Impact, v.Help, strings.Join(v.Nodes, "\n\t"))
	}
}
