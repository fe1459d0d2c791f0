package portal

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryPageLooksAsItDid compares every page, full and empty, with what it
// was: FANFARE_UPDATE=1 go test -run TestEveryPageLooks ./internal/portal writes
// down what they are now, for people to look at the difference.
func TestEveryPageLooksAsItDid(t *testing.T) {
	w := newGallery(t, Config{Version: "1.2.3"})
	clients := map[string]*http.Client{"": w.browser(), "jane": w.login("jane"), "john": w.login("john")}
	written := map[string]bool{}
	for _, s := range w.shots() {
		res, body := w.do(clients[s.who], http.MethodGet, s.path, nil)
		strict(t, s.name, res, body)
		if strings.HasPrefix(s.name, "docs-reference") {
			continue // what the OpenAPI document says has a test of its own
		}
		file := s.name + ".html"
		written[file] = true
		golden(t, file, steady(body))
	}
	entries, err := os.ReadDir("testdata/pages")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if written[e.Name()] {
			continue
		}
		if os.Getenv("FANFARE_UPDATE") == "1" {
			err = os.Remove(filepath.Join("testdata/pages", e.Name()))
		} else {
			err = fmt.Errorf("%s is of no page", e.Name())
		}
		if err != nil {
			t.Error(err)
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.Join("testdata/pages", file)
	if os.Getenv("FANFARE_UPDATE") == "1" {
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Errorf("%v; FANFARE_UPDATE=1 writes it", err)
		return
	}
	if got == string(want) {
		return
	}
	a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Errorf("%s, line %d:\n- %s\n+ %s\nFANFARE_UPDATE=1 takes the pages as they are", file, i+1, a[i], b[i])
			return
		}
	}
	t.Errorf("%s has %d lines, not %d; FANFARE_UPDATE=1 takes the pages as they are", file, len(b), len(a))
}

// What differs from run to run.
var unsteady = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`(?s)(<svg class="(?:bars|chart)[^>]*>).*?</svg>`), `$1…</svg>`},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?Z)?`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`), "TIME"},
	{regexp.MustCompile(`\b\d{1,2} (January|February|March|April|May|June|July|August|September|October|November|December) 20\d\d`), "DAY"},
	{regexp.MustCompile(`\b\d{1,2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b`), "DAY"},
	{regexp.MustCompile(`\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b`), "WEEKDAY"},
	{regexp.MustCompile(`\b\d\d:\d\d\b`), "HH:MM"},
	{regexp.MustCompile(`\?v=[0-9a-f]+`), "?v=VERSION"},
	{regexp.MustCompile(`(answers in</dt><dd>)[^<]*<small>[^<]*`), "${1}PING<small>SIZE"},
	{regexp.MustCompile(`(of this process</dt><dd>)[^<]*<small>[^<]*`), "${1}HEAP<small>COUNT"},
	{regexp.MustCompile(`(?m)[ \t]+$`), ""},
	{regexp.MustCompile(`\n{2,}`), "\n"},
}

var anyID = regexp.MustCompile(`\b(msg|ep|app|atmpt|key|qtask)_[0-9a-z]{26}\b|WEBHOOK_SECRET_[0-9A-Z]{6}`)

// steady is the content of a page without what differs from run to run; ids are
// numbered as they come.
func steady(body string) string {
	if start, end := strings.Index(body, "<main"), strings.Index(body, "</main>"); start >= 0 && end > start {
		body = body[start:end]
	}
	for _, u := range unsteady {
		body = u.what.ReplaceAllString(body, u.by)
	}
	numbers := map[string]string{}
	return anyID.ReplaceAllStringFunc(body, func(id string) string {
		if strings.HasPrefix(id, "WEBHOOK_SECRET_") {
			return "WEBHOOK_SECRET_ID"
		}
		prefix, _, _ := strings.Cut(id, "_")
		if numbers[id] == "" {
			numbers[id] = fmt.Sprintf("%s_%d", prefix, len(numbers)+1)
		}
		return numbers[id]
	})
}

var (
	inlineScript  = regexp.MustCompile(`(?i)<script(?:[^>]*)>[^<]`)
	inlineStyle   = regexp.MustCompile(`(?i)<[a-z][^>]*\sstyle\s*=|<style`)
	inlineHandler = regexp.MustCompile(`(?i)<[a-z][^>]*\son[a-z]+\s*=`)
	elsewhere     = regexp.MustCompile(`(?i)<(?:script|link|img|iframe|form)[^>]*\s(?:src|href|action)\s*=\s*"(?:https?:)?//`)
)

// strict checks that a page keeps a content policy that allows nothing but our
// own files, and needs no more.
func strict(t *testing.T, name string, res reply, body string) {
	t.Helper()
	if got, want := res.Header.Get("Content-Security-Policy"), pagePolicy+noFrames; got != want {
		t.Errorf("%s has the policy %q", name, got)
	}
	if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Referrer-Policy") == "" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %v", name, res.Header)
	}
	for what, pattern := range map[string]*regexp.Regexp{
		"a script": inlineScript, "a style": inlineStyle, "a handler": inlineHandler, "something of another site": elsewhere,
	} {
		if found := pattern.FindString(body); found != "" {
			t.Errorf("%s holds %s: %s", name, what, found)
		}
	}
	if strings.Contains(pagePolicy, "unsafe") || strings.Contains(pagePolicy, "*") {
		t.Errorf("the policy is %q", pagePolicy)
	}
}
