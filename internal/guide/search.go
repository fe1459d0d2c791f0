package guide

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Hit is a section that a search found.
type Hit struct {
	Section

	// Before, Match and After are the text around the first word found.
	Before, Match, After string
	score                int
}

// The bounds of a search.
const (
	maxQuery = 200
	maxWords = 8
	maxHits  = 20
	// around is how much text is shown on each side of what was found, in bytes.
	around = 90
)

// Search finds the sections that hold every word of a query, the best first.
func (g *Guide) Search(query string) []Hit {
	query = strings.ToValidUTF8(query[:min(len(query), maxQuery)], "")
	words := strings.Fields(strings.ToLower(query))
	words = words[:min(len(words), maxWords)]
	if len(words) == 0 {
		return nil
	}
	var hits []Hit
	for _, s := range g.sections {
		if score := s.score(words); score > 0 {
			hits = append(hits, s.hit(words[0], score))
		}
	}
	slices.SortStableFunc(hits, func(a, b Hit) int { return cmp.Compare(b.score, a.score) })
	return hits[:min(len(hits), maxHits)]
}

// score is 0 unless every word is there. A word in the title counts most, a
// word as a whole more than a part of one.
func (s Section) score(words []string) int {
	total, title := 0, strings.ToLower(s.Title)
	for _, w := range words {
		n := strings.Count(s.folded, w)
		if n == 0 {
			return 0
		}
		total += min(n, 5)
		if strings.Contains(title, w) {
			total += 20
		}
		if strings.Contains(" "+s.folded+" ", " "+w+" ") {
			total += 3
		}
	}
	if !strings.HasPrefix(s.Path, "api/") {
		total += 10 // an explanation before a reference
	}
	return total
}

func (s Section) hit(word string, score int) Hit {
	h := Hit{Section: s, score: score}
	// Lower case may have other lengths; then the beginning is shown.
	at := strings.Index(strings.ToLower(s.text), word)
	if at < 0 || len(strings.ToLower(s.text)) != len(s.text) {
		h.Before = cut(s.text, 2*around)
		return h
	}
	start, end := max(0, at-around), min(len(s.text), at+len(word)+around)
	// Whole words, unless one of them is longer than all that is shown.
	if i := strings.IndexByte(s.text[start:at], ' '); start > 0 && i >= 0 {
		start += i + 1
	}
	if i := strings.LastIndexByte(s.text[at+len(word):end], ' '); end < len(s.text) && i >= 0 {
		end = at + len(word) + i
	}
	for start > 0 && !utf8.RuneStart(s.text[start]) {
		start--
	}
	for end < len(s.text) && !utf8.RuneStart(s.text[end]) {
		end++
	}
	h.Before, h.Match, h.After = s.text[start:at], s.text[at:at+len(word)], s.text[at+len(word):end]
	if start > 0 {
		h.Before = "…" + h.Before
	}
	if end < len(s.text) {
		h.After += "…"
	}
	return h
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}
