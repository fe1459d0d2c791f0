package guide

import (
	"fanfare/internal/registry"
	"html/template"
	"regexp"
	"strings"
	"testing"
)

var facts = Facts{RetrySchedule: []string{"5 seconds", "5 minutes"}, RequestTimeout: "15 seconds", DisableAfter: "5 days", RetryAfterCap: "1 hour", MessageRetention: "90 days", AttemptRetention: "30 days"}

func newGuide(t testing.TB) *Guide {
	t.Helper()
	g, err := New(facts)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestTheSetUpPageSaysWhatIsPromised(t *testing.T) {
	p, ok := newGuide(t).Page("webhooks")
	if !ok {
		t.Fatal("no page")
	}
	text := plainText(string(p.HTML))
	for _, e := range registry.EventTypes {
		if !strings.Contains(text, e.Name+" "+e.Means) {
			t.Errorf("%s is not explained", e.Name)
		}
	}
	for _, words := range []string{"Enable", "Manage webhooks", "Add endpoint", "signing secret", "api_version", "2021-08-01", "within 15 seconds"} {
		if !strings.Contains(text, words) {
			t.Errorf("nothing is said of %q", words)
		}
	}
}

func TestLinksWithinTheDocumentationLeadSomewhere(t *testing.T) {
	g := newGuide(t)
	paths := map[string]bool{}
	for _, s := range g.sections {
		if paths[s.Path] {
			t.Errorf("%s is there twice", s.Path)
		}
		paths[s.Path] = true
	}
	for _, p := range g.Pages {
		for _, m := range regexp.MustCompile(`href="/docs/([^"]*)"`).FindAllStringSubmatch(string(p.HTML), -1) {
			if !paths[m[1]] && !strings.HasPrefix(m[1], "api") {
				t.Errorf("%s links to %s", p.Name, m[1])
			}
		}
		if strings.Contains(string(p.HTML), "style=") || strings.Contains(string(p.HTML), "<script") {
			t.Errorf("%s holds what the content policy forbids", p.Name)
		}
	}
}

func TestASearchFindsWhatPeopleLookFor(t *testing.T) {
	g := newGuide(t)
	for query, want := range map[string]string{
		"replay":                "retries#replay",
		"RETRY-AFTER":           "retries#busy",
		"rotate secret replace": "",
		"replace secret":        "verify#rotate",
		"duplicate":             "",
		"iframe":                "embedding#frame",
		"create an endpoint":    "api/webhooks/endpoint#endpoint-create",
		"label.updated":         "webhooks#events",
		"":                      "",
		"  ":                    "",
		"nothing of the sort":   "",
	} {
		hits := g.Search(query)
		if want == "" {
			if len(hits) > 0 && strings.TrimSpace(query) == "" {
				t.Errorf("%q found %v", query, hits[0].Path)
			}
			continue
		}
		if len(hits) == 0 || hits[0].Path != want {
			t.Errorf("%q did not find %s first: %+v", query, want, hits)
		}
	}
}

func FuzzASearchShowsOnlyWhatIsThere(f *testing.F) {
	g := newGuide(f)
	for _, q := range []string{"webhook", "é", "\xff", "…", "a b c d e f g h i j", strings.Repeat("ä", 300)} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, h := range g.Search(query) {
			shown := strings.TrimSuffix(strings.TrimPrefix(h.Before+h.Match+h.After, "…"), "…")
			if !strings.Contains(h.text, shown) {
				t.Errorf("%q shows %q", query, shown)
			}
		}
	})
}

func TestCodeIsWholeAndNamesTheVariable(t *testing.T) {
	list := Starters("WEBHOOK_SECRET_AB12")
	if len(list) != 5 {
		t.Fatalf("%d starters", len(list))
	}
	for _, c := range list {
		if !strings.Contains(c.Text, "WEBHOOK_SECRET_AB12") || strings.Contains(c.Text, "verify\n") || strings.Contains(c.Text, "\n\n\n\n") {
			t.Errorf("%s:\n%s", c.Name, c.Text)
		}
		if !strings.Contains(c.Text, "webhook-signature") {
			t.Errorf("the starter in %s does not verify", c.Name)
		}
	}
	for _, c := range Snippets() {
		if c.Text == "" || strings.HasPrefix(c.Text, " ") || strings.Contains(c.Text, "BEGIN verify") || !strings.Contains(strings.ToLower(c.Text), "webhook-id") {
			t.Errorf("%s:\n%s", c.Name, c.Text)
		}
	}
	if len(Snippets()) != 10 {
		t.Errorf("%d snippets", len(Snippets()))
	}
}

func TestTheReferenceShowsEveryOperationOfTheDocument(t *testing.T) {
	g := newGuide(t)
	if len(g.Reference) == 0 {
		t.Fatal("no reference")
	}
	for _, r := range g.Reference {
		total, anchors := 0, map[string]bool{}
		for _, group := range r.Groups {
			for _, o := range group.Operations {
				total++
				if o.Summary == "" || o.ID == "" || len(o.Answers) == 0 {
					t.Errorf("%s %s: %+v", o.Method, o.Path, o)
				}
				if key := group.Name + o.Anchor(); anchors[key] {
					t.Errorf("two operations at %s", key)
				} else {
					anchors[key] = true
				}
				for _, row := range append(o.Parameters, o.Body...) {
					if row.Name == "" || row.Type == "" {
						t.Errorf("%s: %+v", o.ID, row)
					}
				}
			}
		}
		if want := strings.Count(string(r.Source), `"operationId"`); total != want || want == 0 {
			t.Errorf("%s: %d of %d operations", r.Name, total, want)
		}
	}
}

func TestAPageOfAnotherFormIsRefused(t *testing.T) {
	for file, source := range map[string]string{
		"webhooks.html": `<h1>A</h1><p class="lead">b</p>`,
		"10-a.html":     `<h1>A</h1>`,
		"10-b.html":     `<p class="lead">b</p>`,
	} {
		if p, err := readPage(file, source); err == nil {
			t.Errorf("%s is %+v", file, p)
		}
	}
	p, err := readPage("10-a.html", `<h1>A &amp; b</h1><p class="lead">c</p>d<h2 id="x">E</h2>f`)
	if err != nil || p.Title != "A & b" || len(p.Sections) != 2 || p.Sections[1].Path != "a#x" || p.HTML == template.HTML("") {
		t.Errorf("%+v %v", p, err)
	}
}
