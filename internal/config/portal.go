package config

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Portal is what the pages can be told.
type Portal struct {
	// EmbedOrigins are the sites that may show the pages of an application in
	// a frame.
	EmbedOrigins []string
	// BrandName stands in the place of the product's name; BrandColor is
	// #rrggbb; BrandLogo is the path of a picture. Each may be empty.
	BrandName, BrandColor, BrandLogo string
	// OperatorToken opens the operator's pages for whoever enters it; empty
	// leaves them to operator accounts.
	OperatorToken string
}

// maxOrigins bounds how many sites may embed: all stand in a header.
const maxOrigins = 50

// minOperatorToken is how many characters the operator's token has at least.
const minOperatorToken = 24

var (
	validColor = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	// A host as it can stand in a content policy: nothing of it could end the
	// directive.
	validOrigin = regexp.MustCompile(`^https?://([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$`)
)

var portalSettings = []setting{
	{
		name: "embed-origins", usage: "`origins` whose pages may show the portal of an application in a frame, separated by commas",
		example: "https://app.example.com",
		get:     func(c *Config) string { return strings.Join(c.Portal.EmbedOrigins, ",") },
		set: func(c *Config, v string) string {
			c.Portal.EmbedOrigins = nil
			if v == "" {
				return ""
			}
			for part := range strings.SplitSeq(v, ",") {
				origin := strings.ToLower(strings.TrimSuffix(strings.TrimSpace(part), "/"))
				if u, err := url.Parse(origin); err != nil || !validOrigin.MatchString(origin) || u.Host == "" {
					return "must be origins, each https:// and a host, separated by commas"
				}
				c.Portal.EmbedOrigins = append(c.Portal.EmbedOrigins, origin)
			}
			if len(c.Portal.EmbedOrigins) > maxOrigins {
				return "has more than 50 origins"
			}
			return ""
		},
	},
	{
		name: "brand-name", usage: "`name` that pages bear instead of Fanfare", example: "Example Webhooks",
		get: func(c *Config) string { return c.Portal.BrandName },
		set: func(c *Config, v string) string {
			if utf8.RuneCountInString(v) > 40 || !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl) {
				return "must be at most 40 characters, none of them a control character"
			}
			c.Portal.BrandName = v
			return ""
		},
	},
	{
		name: "brand-color", usage: "`color` of links and buttons", example: "#0a7d55",
		get: func(c *Config) string { return c.Portal.BrandColor },
		set: func(c *Config, v string) string {
			if v != "" && !validColor.MatchString(v) {
				return "must be # and six hexadecimal digits"
			}
			c.Portal.BrandColor = strings.ToLower(v)
			return ""
		},
	},
	{
		name: "brand-logo", usage: "`path` of a square picture that stands beside the name: SVG, PNG, JPEG or WebP", example: "logo.svg",
		get: func(c *Config) string { return c.Portal.BrandLogo },
		set: func(c *Config, v string) string {
			c.Portal.BrandLogo = v
			return ""
		},
	},
	{
		name: "operator-token", usage: "`text` that opens the operator's pages for whoever enters it", secret: true,
		example: "the output of: openssl rand -base64 32",
		get: func(c *Config) string {
			if c.Portal.OperatorToken == "" {
				return ""
			}
			return "(set)"
		},
		set: func(c *Config, v string) string {
			if n := utf8.RuneCountInString(v); n > 0 && n < minOperatorToken || n > 1000 {
				return "must have 24 to 1000 characters"
			}
			c.Portal.OperatorToken = v
			return ""
		},
	},
}
