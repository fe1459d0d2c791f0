package signature

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// earlier is what a body may have been before something was done to it.
type earlier struct {
	body []byte
	// text says what was done, advice how not to.
	text, advice string
}

const (
	adviseRaw   = "Verify the bytes as they came, before the body is parsed; take them from the request, not from the parsed object."
	adviseShell = "It may have come with copying; in a receiver, read the body without adding or trimming anything."
)

// undone lists what the body may have been, likely things first. Each is tried
// against the signatures, which alone decide.
func undone(body []byte) []earlier {
	was := []earlier{
		{bytes.TrimRight(body, "\r\n"), "The body has a line break at its end that was not sent.", adviseShell},
		{append(bytes.Clone(body), '\n'), "The line break at the end of the body is missing.", adviseShell},
		{bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), "The line breaks of the body were changed from LF to CRLF.", adviseRaw},
		{bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n")), "The line breaks of the body were changed from CRLF to LF.", adviseRaw},
		{bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), "The body begins with a byte order mark that was not sent.", adviseRaw},
		{bytes.TrimSpace(body), "There are spaces around the body that were not sent.", adviseShell},
	}
	if text, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(body))); err == nil {
		was = append(was, earlier{text, "The body is in base64 here.", "Decode it before you verify: some gateways hand bodies on in base64 and say so in a flag beside it."})
	}
	var inner string
	if json.Unmarshal(body, &inner) == nil {
		was = append(was, earlier{[]byte(inner), "The body was put into a JSON string: it has quotes around it and backslashes in it.", adviseRaw})
	}
	if name, value, ok := strings.Cut(string(body), "="); ok && !strings.ContainsAny(name, "{[\" ") {
		if text, err := url.QueryUnescape(value); err == nil {
			was = append(was, earlier{[]byte(text), "The body was sent on as a form field.", adviseRaw})
		}
	}
	if text, ok := fromLatin1(body); ok {
		was = append(was, earlier{text, "The body was read as Latin-1 though it is UTF-8: letters beyond a to z are garbled.", "Read the body as bytes, or as UTF-8."})
	}
	return append(was, rewritten(body)...)
}

// rewritten are the ways in which JSON is commonly written, if the body is
// JSON: it may have been parsed and written anew in another one.
func rewritten(body []byte) []earlier {
	var compact bytes.Buffer
	if json.Compact(&compact, body) != nil {
		return nil
	}
	var was []earlier
	for _, form := range []struct {
		write func([]byte, string) []byte
		how   string
	}{
		{nil, "spaces or line breaks were added"},
		{appendPlain, "characters were escaped"},
		{appendASCII, "escaped characters were written out"},
		{appendHTML, "escaped characters were written out"},
		{appendSlashed, "escaped slashes were written out"},
	} {
		text := compact.Bytes()
		if form.write != nil {
			text = restring(text, form.write)
		}
		add := func(b []byte, how string) {
			was = append(was, earlier{b, "The body was parsed and its JSON written anew: " + how + ". The values are the same, the bytes are not.", adviseRaw})
		}
		add(text, form.how)
		add(spaced(text), "spaces were removed")
		for _, indent := range []string{"  ", "    ", "\t"} {
			var b bytes.Buffer
			if json.Indent(&b, text, "", indent) == nil {
				add(b.Bytes(), "its indentation was removed or changed")
			}
		}
	}
	return was
}

// restring writes the strings of compact JSON anew.
func restring(compact []byte, write func(dst []byte, s string) []byte) []byte {
	out := make([]byte, 0, len(compact))
	for i := 0; i < len(compact); i++ {
		if compact[i] != '"' {
			out = append(out, compact[i])
			continue
		}
		end := i + 1
		for ; compact[end] != '"'; end++ { // valid JSON closes its strings
			if compact[end] == '\\' {
				end++
			}
		}
		var s string
		if json.Unmarshal(compact[i:end+1], &s) != nil {
			return compact
		}
		out = append(write(append(out, '"'), s), '"')
		i = end
	}
	return out
}

// spaced has a space after each colon and comma, as Python writes it.
func spaced(compact []byte) []byte {
	out := make([]byte, 0, len(compact)+len(compact)/8)
	inside := false
	for i := 0; i < len(compact); i++ {
		out = append(out, compact[i])
		switch c := compact[i]; {
		case inside && c == '\\':
			i++
			out = append(out, compact[i])
		case c == '"':
			inside = !inside
		case !inside && (c == ',' || c == ':'):
			out = append(out, ' ')
		}
	}
	return out
}

// appendPlain escapes what has to be.
func appendPlain(dst []byte, s string) []byte {
	return appendEscaped(dst, s, func(rune) bool { return false })
}

// appendASCII escapes what is not ASCII, as Python does.
func appendASCII(dst []byte, s string) []byte {
	return appendEscaped(dst, s, func(r rune) bool { return r > 0x7e })
}

// appendHTML escapes what would be markup, as Go does.
func appendHTML(dst []byte, s string) []byte {
	return appendEscaped(dst, s, func(r rune) bool { return r == '<' || r == '>' || r == '&' || r == 0x2028 || r == 0x2029 })
}

// appendSlashed escapes slashes and what is not ASCII, as PHP does.
func appendSlashed(dst []byte, s string) []byte {
	for i, part := range strings.Split(s, "/") {
		if i > 0 {
			dst = append(dst, `\/`...)
		}
		dst = appendASCII(dst, part)
	}
	return dst
}

func appendEscaped(dst []byte, s string, escape func(rune) bool) []byte {
	short := map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`}
	for _, r := range s {
		text, ok := short[r]
		switch {
		case ok:
			dst = append(dst, text...)
		case r > 0xffff && escape(r):
			high, low := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
		case r < 0x20 || escape(r):
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// fromLatin1 undoes that UTF-8 was read as Latin-1 and written as UTF-8.
func fromLatin1(body []byte) ([]byte, bool) {
	out := make([]byte, 0, len(body))
	beyond := false
	for _, r := range string(body) {
		if r > 0xff {
			return nil, false
		}
		beyond = beyond || r > 0x7f
		out = append(out, byte(r)) //nolint:gosec // it is at most 0xff
	}
	return out, beyond && utf8.Valid(out)
}
