package chat

import (
	"fanfare/internal/webhook"
)

// Preview is what people will see of a message in a channel, whatever the
// service.
type Preview struct {
	Text  string
	Lines []string
	Quote string
	Facts []Fact
	// Links are the titles of links.
	Links []string
	// Tone is the name of the colour: plain, good, bad, warn or accent.
	Tone string
}

// Fact is a name and a value.
type Fact struct{ Name, Value string }

var toneNames = map[tone]string{plainTone: "plain", goodTone: "good", badTone: "bad", warnTone: "warn", accentTone: "accent"}

// Show previews one message.
func Show(m *webhook.Message, l Links) Preview {
	n := noteOf(m, l)
	return n.preview()
}

// Show previews a digest.
func (d *Digest) Show() Preview {
	if d.only != nil {
		return Show(d.only, d.links)
	}
	n := d.note()
	return n.preview()
}

func (n *note) preview() Preview {
	p := Preview{Text: n.text, Lines: n.lines, Quote: n.quote, Tone: toneNames[n.tone]}
	for _, f := range n.facts {
		p.Facts = append(p.Facts, Fact{f.name, f.value})
	}
	for _, l := range n.links {
		p.Links = append(p.Links, l.title)
	}
	return p
}
