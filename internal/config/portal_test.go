package config

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSettingsOfThePagesCannotBreakOutOfTheirPlace(t *testing.T) {
	for sentence, args := range map[string][]string{
		"an origin with a path":         {"-embed-origins", "https://app.example.com/x"},
		"an origin that adds a policy":  {"-embed-origins", "https://app.example.com; script-src *"},
		"an origin with a space":        {"-embed-origins", "https://a.example https://b.example"},
		"any origin":                    {"-embed-origins", "*"},
		"any subdomain":                 {"-embed-origins", "https://*.example.com"},
		"an origin of another kind":     {"-embed-origins", "data:text/html,x"},
		"an origin with a user":         {"-embed-origins", "https://a@b.example"},
		"too many origins":              {"-embed-origins", strings.Repeat("https://a.example,", 50) + "https://a.example"},
		"a color by name":               {"-brand-color", "red"},
		"a color that adds a rule":      {"-brand-color", "#00000;}"},
		"a name with a line break":      {"-brand-name", "a\nb"},
		"a name as long as a page":      {"-brand-name", strings.Repeat("a", 41)},
		"a token that could be guessed": {"-operator-token", "secret"},
	} {
		t.Run(sentence, func(t *testing.T) {
			if c, err := load(nil, args...); err == nil {
				t.Errorf("was taken: %+v", c.Portal)
			}
		})
	}
}

func TestSettingsOfThePagesAreTaken(t *testing.T) {
	const token = "0123456789abcdef01234567"
	c, err := load(map[string]string{"FANFARE_EMBED_ORIGINS": "https://App.Example.com/, http://localhost:3000,https://[::1]:8443", "FANFARE_OPERATOR_TOKEN": token},
		"-brand-name", "Žluť & Co", "-brand-color", "#ABCDEF", "-brand-logo", "logo.svg")
	if err != nil {
		t.Fatal(err)
	}
	want := Portal{
		EmbedOrigins: []string{"https://app.example.com", "http://localhost:3000", "https://[::1]:8443"},
		BrandName:    "Žluť & Co", BrandColor: "#abcdef", BrandLogo: "logo.svg", OperatorToken: token,
	}
	if diff := cmp.Diff(want, c.Portal); diff != "" {
		t.Error(diff)
	}
	var out bytes.Buffer
	if err := c.Print(&out); err != nil || strings.Contains(out.String(), token) || !strings.Contains(out.String(), "# operator-token is set") {
		t.Errorf("printed %s %v", out.String(), err)
	}
}
