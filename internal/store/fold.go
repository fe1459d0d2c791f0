package store

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// fold looks for a text in payloads, whatever the case of its letters. It is made
// for one search, and copies no payload that is ASCII where the text is.
type fold struct {
	text []byte // in lower case
	// skip is how far on to look when a byte stands where the last one of the
	// text should (the algorithm of Horspool, 1980).
	skip [256]int
	// ascii says that the text has no other letters; lower holds a payload in
	// lower case where it has.
	ascii bool
	lower []byte
}

func newFold(text string) *fold {
	f := &fold{text: []byte(strings.ToLower(text)), ascii: true}
	n := len(f.text)
	for i := range f.skip {
		f.skip[i] = max(n, 1)
	}
	for i, c := range f.text {
		f.ascii = f.ascii && c < utf8.RuneSelf
		if i < n-1 {
			f.skip[c], f.skip[upper(c)] = n-1-i, n-1-i
		}
	}
	return f
}

// in reports whether a payload holds the text.
func (f *fold) in(payload []byte) bool {
	if !f.ascii {
		f.lower = f.lower[:0]
		for i := 0; i < len(payload); {
			r, n := rune(payload[i]), 1
			if r >= utf8.RuneSelf {
				r, n = utf8.DecodeRune(payload[i:])
			}
			f.lower = utf8.AppendRune(f.lower, unicode.ToLower(r))
			i += n
		}
		return bytes.Contains(f.lower, f.text)
	}
	n := len(f.text)
	for end := n; end <= len(payload); {
		i := 1
		for i <= n && lower(payload[end-i]) == f.text[n-i] {
			i++
		}
		if i > n {
			return true
		}
		end += f.skip[payload[end-1]]
	}
	return false
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}
