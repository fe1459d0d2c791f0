// Package guide holds what the documentation says: pages, code in many
// languages, and the reference of the API. How it looks is for the portal.
package guide

import (
	"bytes"
	"embed"
	"fanfare/internal/registry"
	"fmt"
	"html"
	"html/template"
	"path"
	"regexp"
	"strings"
)

// pageFiles are the pages, in the order of their numbers: pages/NN-NAME.html is
// the page NAME. A page begins with its h1 and a paragraph of class lead; each
// h2 has an id and begins a section.
//
//go:embed pages/*.html
var pageFiles embed.FS

// Page is one page of the documentation.
type Page struct {
	Name, Title string
	// Lead says in a sentence what the page is about.
	Lead     string
	HTML     template.HTML
	Sections []Section
}

// Section is a part of a page, with an address of its own.
type Section struct {
	// Path leads to it from the root of the documentation.
	Path         string
	Page, Title  string
	text, folded string
}

// Guide is the documentation as a whole.
type Guide struct {
	Pages     []Page
	Reference []Reference
	sections  []Section
}

// Facts are what pages tell of the node that serves them.
type Facts struct {
	// RetrySchedule are the waits before each retry, in words.
	RetrySchedule []string
	// RequestTimeout, DisableAfter and RetryAfterCap are lengths of time in words.
	RequestTimeout, DisableAfter, RetryAfterCap string
	// MessageRetention and AttemptRetention are, too.
	MessageRetention, AttemptRetention string
}

// contents are what the templates of pages see.
type contents struct {
	Facts

	EventTypes []registry.EventType
	Snippets   []Code
	Example    string
}

// New renders the pages.
func New(f Facts) (*Guide, error) {
	all, err := template.New("").Funcs(template.FuncMap{
		"join": func(list []string) string { return strings.Join(list, ", ") },
	}).ParseFS(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	entries, err := pageFiles.ReadDir("pages")
	if err != nil {
		return nil, err
	}
	g := &Guide{}
	data := contents{f, registry.EventTypes, Snippets(), exampleEvent()}
	for _, e := range entries {
		var b bytes.Buffer
		if err := all.ExecuteTemplate(&b, e.Name(), data); err != nil {
			return nil, err
		}
		p, err := readPage(e.Name(), b.String())
		if err != nil {
			return nil, err
		}
		g.Pages = append(g.Pages, p)
		g.sections = append(g.sections, p.Sections...)
	}
	if g.Reference, err = readReferences(); err != nil {
		return nil, err
	}
	for _, r := range g.Reference {
		g.sections = append(g.sections, r.sections()...)
	}
	return g, nil
}

// Page finds a page by its name.
func (g *Guide) Page(name string) (Page, bool) {
	for _, p := range g.Pages {
		if p.Name == name {
			return p, true
		}
	}
	return Page{}, false
}

var (
	titleTag   = regexp.MustCompile(`(?s)<h1>(.*?)</h1>`)
	leadTag    = regexp.MustCompile(`(?s)<p class="lead">(.*?)</p>`)
	sectionTag = regexp.MustCompile(`(?s)<h2 id="([a-z0-9-]+)">(.*?)</h2>`)
	anyTag     = regexp.MustCompile(`(?s)<[^>]*>`)
	numbered   = regexp.MustCompile(`^[0-9]+-([a-z]+)\.html$`)
)

func readPage(file, source string) (Page, error) {
	name := numbered.FindStringSubmatch(file)
	title, lead := titleTag.FindStringSubmatch(source), leadTag.FindStringSubmatch(source)
	if name == nil || title == nil || lead == nil {
		return Page{}, fmt.Errorf("documentation page %s: wants a name NN-NAME.html, an h1 and a paragraph of class lead", path.Base(file))
	}
	p := Page{
		Name: name[1], Title: plainText(title[1]), Lead: plainText(lead[1]),
		HTML: template.HTML(source), //nolint:gosec // our own pages, rendered by html/template
	}
	at := sectionTag.FindAllStringSubmatchIndex(source, -1)
	end := len(source)
	if len(at) > 0 {
		end = at[0][0]
	}
	p.add(Section{Path: p.Name, Title: p.Title, text: plainText(strings.Replace(source[:end], title[0], "", 1))})
	for i, m := range at {
		end := len(source)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		p.add(Section{Path: p.Name + "#" + source[m[2]:m[3]], Title: plainText(source[m[4]:m[5]]), text: plainText(source[m[1]:end])})
	}
	return p, nil
}

func (p *Page) add(s Section) {
	s.Page = p.Title
	p.Sections = append(p.Sections, s.fold())
}

func (s Section) fold() Section {
	s.folded = strings.ToLower(s.Title + " " + s.text)
	return s
}

// plainText is what people read of a piece of HTML.
func plainText(source string) string {
	return strings.Join(strings.Fields(html.UnescapeString(anyTag.ReplaceAllString(source, " "))), " ")
}

func exampleEvent() string {
	for _, e := range registry.EventTypes {
		if e.Name == "sample.created" {
			return exampleOf(e.Schema())
		}
	}
	return ""
}
