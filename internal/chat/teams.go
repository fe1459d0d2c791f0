package chat

// teams is an Adaptive Card in the envelope that workflows of Microsoft Teams
// take. Texts are runs, in which no Markdown is looked for. All of it stays far
// below the 28 KB that a card may have.
func (n *note) teams() []byte {
	style := map[tone]string{goodTone: "good", badTone: "attention", warnTone: "warning", accentTone: "accent", plainTone: "default"}[n.tone]
	head := object{"type": "Container", "style": style, "bleed": true, "items": []object{teamsText(object{"text": n.text, "weight": "bolder"})}}
	body := []object{head}
	for _, line := range n.lines {
		body = append(body, teamsText(object{"text": "• " + line}))
	}
	if n.quote != "" {
		body = append(body, teamsText(object{"text": n.quote, "italic": true}))
	}
	for _, f := range n.facts {
		body = append(body, teamsText(object{"text": f.name + ": ", "isSubtle": true}, object{"text": f.value}))
	}
	card := object{
		"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
		"msteams": object{"width": "Full"}, "fallbackText": n.text, "body": body,
	}
	if len(n.links) > 0 {
		actions := make([]object, len(n.links))
		for i, l := range n.links {
			actions[i] = object{"type": "Action.OpenUrl", "title": l.title, "url": l.url}
		}
		card["actions"] = actions
	}
	return marshal(object{"type": "message", "attachments": []object{{
		"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil, "content": card,
	}}})
}

func teamsText(runs ...object) object {
	for _, run := range runs {
		run["type"] = "TextRun"
	}
	return object{"type": "RichTextBlock", "inlines": runs}
}
