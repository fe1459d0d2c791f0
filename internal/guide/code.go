package guide

import (
	"embed"
	"regexp"
	"strings"
)

//go:embed starters snippets
var codeFiles embed.FS

// Code is a piece of a program.
type Code struct {
	// ID names its language in addresses, Name to people.
	ID, Name string
	// File is what to call it, Run how to run it.
	File, Run string
	Text      string
}

// Variable is the environment variable from which starters read the secret.
const Variable = "WEBHOOK_SECRET"

// starters are receivers that need their language and nothing else.
var starters = []Code{
	{ID: "go", Name: "Go", File: "receiver.go", Run: "PORT=8000 go run receiver.go"},
	{ID: "python", Name: "Python", File: "receiver.py", Run: "PORT=8000 python3 receiver.py"},
	{ID: "javascript", Name: "JavaScript", File: "receiver.mjs", Run: "PORT=8000 node receiver.mjs"},
	{ID: "java", Name: "Java", File: "Receiver.java", Run: "PORT=8000 java Receiver.java"},
	{ID: "php", Name: "PHP", File: "receiver.php", Run: "php -S 0.0.0.0:8000 receiver.php"},
}

// others are the languages for which there is a snippet alone, by its file.
var others = []Code{
	{ID: "typescript", Name: "TypeScript", File: "verify.ts"},
	{ID: "ruby", Name: "Ruby", File: "verify.rb"},
	{ID: "csharp", Name: "C#", File: "verify.cs"},
	{ID: "rust", Name: "Rust", File: "verify.rs"},
	{ID: "curl", Name: "curl and openssl", File: "verify.sh"},
}

var (
	marker   = regexp.MustCompile(`(?m)^[ \t]*(?://|#) (?:BEGIN|END) verify\n(?:\n)?`)
	verifier = regexp.MustCompile(`(?s)[ \t]*(?://|#) BEGIN verify\n(.*?)\n[ \t]*(?://|#) END verify`)
)

// Starters are whole receivers: they verify, drop repeats and answer fast.
// Where the name of the variable with the secret is given, they use that.
func Starters(variable string) []Code {
	list := make([]Code, len(starters))
	for i, c := range starters {
		c.Text = marker.ReplaceAllString(source("starters/"+c.File), "")
		if variable != "" {
			c.Text = strings.ReplaceAll(c.Text, Variable, variable)
		}
		list[i] = c
	}
	return list
}

// Snippets are functions that verify: those of the starters, and more.
func Snippets() []Code {
	var list []Code
	for _, c := range starters {
		c.Text = unindented(verifier.FindStringSubmatch(source("starters/" + c.File))[1])
		list = append(list, c)
	}
	for _, c := range others {
		c.Text = strings.TrimSpace(source("snippets/" + c.File))
		list = append(list, c)
	}
	return list
}

// source reads a file of ours. A program in Go is kept under another name, so
// that it is not taken for a part of this one.
func source(name string) string {
	if strings.HasSuffix(name, ".go") {
		name += ".txt"
	}
	text, err := codeFiles.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(text)
}

// unindented removes the indentation that all lines of Java share.
func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for _, line := range lines {
		if line != "" && !strings.HasPrefix(line, "  ") {
			return strings.TrimSpace(text)
		}
	}
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
