package chat

import (
	"fmt"
	"strings"
)

// mattermostEscape hides what Mattermost reads as Markdown, and keeps names
// after an @ from being told.
var mattermostEscape = strings.NewReplacer("\\", "\\\\", "*", "\\*", "_", "\\_", "~", "\\~", "`", "\\`", "|", "\\|", ">", "\\>", "<", "\\<",
	"[", "\\[", "]", "\\]", "#", "\\#", "@", "@\u200b")

// mattermost is an attachment, far below the 16,383 characters of a post.
func (n *note) mattermost() []byte {
	text := mattermostEscape.Replace(n.text)
	lines := make([]string, len(n.lines))
	for i := range n.lines {
		lines[i] = "\n* " + mattermostEscape.Replace(n.lines[i])
	}
	text += strings.Join(lines, "")
	if n.quote != "" {
		text += "\n\n> " + strings.ReplaceAll(mattermostEscape.Replace(n.quote), "\n", "\n> ")
	}
	if len(n.links) > 0 {
		parts := make([]string, len(n.links))
		for i, l := range n.links {
			parts[i] = "[" + mattermostEscape.Replace(l.title) + "](" + l.url + ")"
		}
		text += "\n\n" + strings.Join(parts, " · ")
	}
	fields := make([]object, len(n.facts))
	for i, f := range n.facts {
		fields[i] = object{"title": f.name, "value": mattermostEscape.Replace(f.value), "short": true}
	}
	return marshal(object{"attachments": []object{{
		"fallback": n.text, "color": fmt.Sprintf("#%06x", colors[n.tone]), "text": text, "fields": fields,
	}}})
}
