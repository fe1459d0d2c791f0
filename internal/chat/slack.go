package chat

import (
	"fmt"
	"strings"
)

// slackEscape hides the three characters that mean something to Slack, among
// them those of <!channel>
// (https://docs.slack.dev/messaging/formatting-message-text#escaping).
var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// maxSlackSection bounds the text of a section, in characters.
const maxSlackSection = 3000

// slack is a message of Block Kit. The text at its top is what notifications
// show; the attachment is there for its colour.
func (n *note) slack() []byte {
	text := cut(slackEscape.Replace(n.text), maxSlackSection)
	all := text
	if len(n.lines) > 0 {
		all = cut(text+"\n• "+slackEscape.Replace(strings.Join(n.lines, "\n• ")), maxSlackSection)
	}
	var below []object
	if n.quote != "" {
		below = append(below, slackSection(cut("> "+strings.ReplaceAll(slackEscape.Replace(n.quote), "\n", "\n> "), maxSlackSection)))
	}
	if len(n.facts) > 0 {
		fields := make([]object, len(n.facts))
		for i, f := range n.facts {
			fields[i] = slackText("*" + f.name + "*\n" + slackEscape.Replace(f.value))
		}
		below = append(below, object{"type": "section", "fields": fields})
	}
	if len(n.links) > 0 {
		parts := make([]string, len(n.links))
		for i, l := range n.links {
			// A bar would end the address.
			parts[i] = "<" + l.url + "|" + slackEscape.Replace(strings.ReplaceAll(l.title, "|", "¦")) + ">"
		}
		below = append(below, object{"type": "context", "elements": []object{slackText(strings.Join(parts, " · "))}})
	}
	message := object{
		"text": text, "blocks": []object{slackSection(all)}, "unfurl_links": false, "unfurl_media": false,
	}
	if len(below) > 0 {
		message["attachments"] = []object{{"color": fmt.Sprintf("#%06x", colors[n.tone]), "blocks": below}}
	}
	return marshal(message)
}

func slackSection(text string) object { return object{"type": "section", "text": slackText(text)} }

// slackText is a text in which Slack looks for no names and links of its own.
func slackText(text string) object {
	return object{"type": "mrkdwn", "text": text, "verbatim": true}
}
