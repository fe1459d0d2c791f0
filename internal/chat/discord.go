package chat

import (
	"strings"
	"time"
)

// discordEscape hides what Discord reads as Markdown or as a mention.
var discordEscape = strings.NewReplacer("\\", "\\\\", "*", "\\*", "_", "\\_", "~", "\\~", "`", "\\`", "|", "\\|", ">", "\\>", "<", "\\<",
	"[", "\\[", "]", "\\]", "(", "\\(", ")", "\\)", "#", "\\#", "-", "\\-")

// maxDiscord bounds the description of an embed so that all of it has fewer
// than the 6,000 characters that an embed may have.
const maxDiscord = 3500

// discord is an embed. Nobody is mentioned by it, whatever it says.
func (n *note) discord() []byte {
	text := discordEscape.Replace(n.text)
	if len(n.lines) > 0 {
		text += "\n• " + discordEscape.Replace(strings.Join(n.lines, "\n• "))
	}
	if n.quote != "" {
		text += "\n> " + strings.ReplaceAll(discordEscape.Replace(n.quote), "\n", "\n> ")
	}
	embed := object{"description": cut(text, maxDiscord), "color": colors[n.tone]}
	if !n.at.IsZero() {
		embed["timestamp"] = n.at.UTC().Format(time.RFC3339)
	}
	var fields []object
	for _, f := range n.facts {
		fields = append(fields, object{"name": f.name, "value": discordEscape.Replace(f.value), "inline": true})
	}
	if len(n.links) > 0 {
		parts := make([]string, len(n.links))
		for i, l := range n.links {
			parts[i] = "[" + discordEscape.Replace(l.title) + "](" + l.url + ")"
		}
		if links := strings.Join(parts, " · "); len(links) <= maxDiscordField {
			fields = append(fields, object{"name": "See", "value": links, "inline": false})
		} else {
			fields = append(fields, object{"name": "See", "value": parts[len(parts)-1], "inline": false})
		}
	}
	if len(fields) > 0 {
		embed["fields"] = fields
	}
	return marshal(object{"embeds": []object{embed}, "allowed_mentions": object{"parse": []string{}}})
}

// maxDiscordField bounds the value of a field, in characters.
const maxDiscordField = 1024
