package signature

import (
	"encoding/json"
	"net/http"
	"strings"
)

// ReadRequest reads the headers of a request in the forms in which people have
// them at hand: lines of "Name: value", with a request line above and a body
// below or without, the -H options of curl, variables such as
// HTTP_WEBHOOK_ID=…, or a JSON object. What cannot be read is passed over.
// Names with underscores stay as they are.
func ReadRequest(text string) (h http.Header, body string) {
	h = http.Header{}
	text = strings.TrimPrefix(strings.ReplaceAll(text, "\r\n", "\n"), "\ufeff")
	if readObject(strings.TrimSpace(text), h) {
		return h, ""
	}
	head, body, _ := strings.Cut(strings.TrimLeft(text, "\n"), "\n\n")
	for line := range strings.Lines(head) {
		line = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), `\`))
		if option, ok := strings.CutPrefix(line, "-H "); ok {
			line = strings.Trim(strings.TrimSpace(option), `'"`)
		}
		name, value, ok := strings.Cut(line, ":")
		if variable, rest, found := strings.Cut(line, "="); found && (!ok || len(variable) < len(name)) {
			name, value, ok = variable, rest, true
		}
		if name = strings.TrimSpace(name); ok && validName(name) {
			h.Add(name, strings.TrimSpace(value))
		}
	}
	return h, body
}

// readObject reads a JSON object of texts, or of lists of texts.
func readObject(text string, h http.Header) bool {
	var members map[string]any
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &members) != nil {
		return false
	}
	for name, value := range members {
		if !validName(name) {
			continue
		}
		switch value := value.(type) {
		case string:
			h.Add(name, value)
		case []any:
			if len(value) > 0 {
				if first, ok := value[0].(string); ok {
					h.Add(name, first)
				}
			}
		}
	}
	return true
}

// validName reports whether a text can be the name of a header (RFC 9110
// section 5.6.2).
func validName(name string) bool {
	const others = "!#$%&'*+-.^_`|~"
	for _, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune(others, r) {
			return false
		}
	}
	return name != ""
}
