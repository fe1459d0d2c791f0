// Package config holds the settings of a node: one struct, filled from
// defaults, a file, the environment and flags, each over the one before. It is
// the only package that reads the environment.
package config

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is everything a node can be told.
type Config struct {
	// Listen is the address of the one listener.
	Listen string
	// AdminListen is the address of a listener for operators alone; none if
	// empty.
	AdminListen string
	// Database is "sqlite:PATH" or "postgres://…".
	Database string
	// PublicURL is where people and clients reach the node, without a final
	// slash.
	PublicURL string
	// SecretKey seals secrets at rest: 32 bytes, or nil for the key file
	// beside a SQLite database.
	SecretKey []byte
	// RetrySchedule is how long to wait before each retry of a delivery.
	RetrySchedule []time.Duration
	// RequestTimeout bounds one call, from connecting to the end of the answer.
	RequestTimeout time.Duration
	// DisableAfter is how long an endpoint may fail, without one success,
	// before it is disabled; 0 is never.
	DisableAfter time.Duration
	// AllowNetworks are reachable by endpoints though they are private.
	AllowNetworks []netip.Prefix
	// HTTPSOnly refuses endpoints with plain http.
	HTTPSOnly bool
	// RetryAfterCap bounds how long a receiver may ask us to wait at a time.
	RetryAfterCap time.Duration
	// SignatureType is HMAC or Ed25519: the kind of the signing keys that are
	// made where none is brought.
	SignatureType string
	// SignatureHeaders are the families of headers that carry signatures:
	// "both", "svix" or "webhook".
	SignatureHeaders string
	// MessageRetention and AttemptRetention are for how long messages and
	// attempts are kept.
	MessageRetention, AttemptRetention time.Duration
	// LogFormat is "text" or "json".
	LogFormat string
	// LogLevel is the least level of lines that are written: "debug", "info",
	// "warn" or "error". At debug there is a line for each request.
	LogLevel string
	// MaxBody and MaxUnpacked bound the body of a request, in bytes, as sent
	// and after decompression.
	MaxBody, MaxUnpacked int64
	// MaxInFlight bounds the bytes of all bodies that are under way at a time.
	MaxInFlight int64
	// MaxAsset bounds an uploaded file, in bytes.
	MaxAsset int64
	// MaxEvent bounds the payload of a registry event, in bytes.
	MaxEvent int
	// Portal is for the pages.
	Portal Portal
}

// The kinds of signing keys.
const (
	HMAC    = "hmac"
	Ed25519 = "ed25519"
)

// Secure reports whether people come by https.
func (c *Config) Secure() bool { return strings.HasPrefix(c.PublicURL, "https:") }

// Error is a setting that cannot be used.
type Error struct {
	// Setting is the flag, and where the value came from when that was not
	// the flag; Value is what was given, empty for a secret.
	Setting, Value string
	Problem        string
	Example        string
}

// Error names the setting, the value and an example of a good one.
func (e *Error) Error() string {
	value := ""
	if e.Value != "" {
		value = " " + strconv.Quote(e.Value)
	}
	return fmt.Sprintf("%s%s: %s (for example %s)", e.Setting, value, e.Problem, e.Example)
}

// setting is one line of the configuration.
type setting struct {
	name, usage, example string
	secret, isBool       bool
	get                  func(*Config) string
	// set fills in the value and says what is wrong with it, or "".
	set func(*Config, string) string
}

// settings lists every setting, in the order in which they are printed.
var settings = slices.Concat([]setting{
	{
		name: "listen", usage: "`address` to listen on", example: "127.0.0.1:8080",
		get: func(c *Config) string { return c.Listen },
		set: func(c *Config, v string) string {
			_, port, err := net.SplitHostPort(v)
			if n, portErr := strconv.Atoi(port); err != nil || portErr != nil || n < 0 || n > 65535 {
				return "is no address with a port"
			}
			c.Listen = v
			return ""
		},
	},
	{
		name: "admin-listen", usage: "`address` for operators alone: metrics and health are there, and metrics nowhere else", example: "127.0.0.1:9090",
		get: func(c *Config) string { return c.AdminListen },
		set: func(c *Config, v string) string {
			c.AdminListen = v
			if v == "" {
				return ""
			}
			_, port, err := net.SplitHostPort(v)
			if n, portErr := strconv.Atoi(port); err != nil || portErr != nil || n < 0 || n > 65535 {
				return "is no address with a port"
			}
			return ""
		},
	},
	{
		name: "database", usage: "`URL` of the database: sqlite:PATH or postgres://…", example: "sqlite:fanfare.db",
		get: func(c *Config) string { return redact(c.Database) },
		set: func(c *Config, v string) string {
			path, sqlite := strings.CutPrefix(v, "sqlite:")
			if !sqlite && !strings.HasPrefix(v, "postgres://") && !strings.HasPrefix(v, "postgresql://") || sqlite && path == "" {
				return "is neither sqlite:PATH nor postgres://…"
			}
			if _, err := url.Parse(v); !sqlite && err != nil {
				return "is no URL"
			}
			c.Database = v
			return ""
		},
	},
	{
		name: "public-url", usage: "`URL` by which people reach this node", example: "https://webhooks.example.com",
		get: func(c *Config) string { return c.PublicURL },
		set: func(c *Config, v string) string {
			u, err := url.Parse(v)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
				return "must be http:// or https:// and a host, without a path"
			}
			c.PublicURL = u.Scheme + "://" + u.Host
			return ""
		},
	},
	{
		name: "secret-key", usage: "base64 `key` of 32 bytes that seals secrets in the database (with SQLite: made beside the file when not given)",
		example: "the output of: openssl rand -base64 32", secret: true,
		get: func(c *Config) string {
			if c.SecretKey == nil {
				return ""
			}
			return "(set)"
		},
		set: func(c *Config, v string) string {
			key, err := base64.StdEncoding.DecodeString(v)
			if err != nil || len(key) != 32 {
				return "must be 32 bytes in base64"
			}
			c.SecretKey = key
			return ""
		},
	},
	{
		name: "retry-schedule", usage: "`waits` before each retry, separated by commas; empty for one attempt", example: "5s,5m,30m,2h,5h,10h,10h",
		get: func(c *Config) string {
			texts := make([]string, len(c.RetrySchedule))
			for i, d := range c.RetrySchedule {
				texts[i] = plain(d)
			}
			return strings.Join(texts, ",")
		},
		set: func(c *Config, v string) string {
			c.RetrySchedule = nil
			if strings.TrimSpace(v) == "" {
				return ""
			}
			for part := range strings.SplitSeq(v, ",") {
				d, err := time.ParseDuration(strings.TrimSpace(part))
				if err != nil || d < 0 || d > 30*24*time.Hour {
					return "must be durations of at most 720h separated by commas"
				}
				c.RetrySchedule = append(c.RetrySchedule, d)
			}
			if len(c.RetrySchedule) > 100 {
				return "has more than 100 retries"
			}
			return ""
		},
	},
	duration("request-timeout", "`duration` that one call may take in all", "15s", 10*time.Millisecond, 5*time.Minute,
		func(c *Config) *time.Duration { return &c.RequestTimeout }),
	duration("disable-after", "`duration` of nothing but failures after which an endpoint is disabled; 0 is never", "120h", 0, 10*365*24*time.Hour,
		func(c *Config) *time.Duration { return &c.DisableAfter }),
	{
		name: "allow-networks", usage: "private `networks` that endpoints may reach, as CIDRs separated by commas", example: "10.0.0.0/8,fd00::/8",
		get: func(c *Config) string {
			texts := make([]string, len(c.AllowNetworks))
			for i, p := range c.AllowNetworks {
				texts[i] = p.String()
			}
			return strings.Join(texts, ",")
		},
		set: func(c *Config, v string) string {
			c.AllowNetworks = nil
			if strings.TrimSpace(v) == "" {
				return ""
			}
			for part := range strings.SplitSeq(v, ",") {
				p, err := netip.ParsePrefix(strings.TrimSpace(part))
				if err != nil {
					return "must be CIDRs separated by commas"
				}
				c.AllowNetworks = append(c.AllowNetworks, p.Masked())
			}
			return ""
		},
	},
	{
		name: "https-only", usage: "refuse endpoints with plain http", example: "true", isBool: true,
		get: func(c *Config) string { return strconv.FormatBool(c.HTTPSOnly) },
		set: func(c *Config, v string) string {
			b, err := strconv.ParseBool(v)
			if err != nil {
				return "must be true or false"
			}
			c.HTTPSOnly = b
			return ""
		},
	},
	duration("retry-after-cap", "longest `duration` that a receiver may ask to wait with 429 or 503 and Retry-After", "1h", 0, 24*time.Hour,
		func(c *Config) *time.Duration { return &c.RetryAfterCap }),
	choice("signature-type", "`kind` of signing keys that are made: hmac or ed25519", func(c *Config) *string { return &c.SignatureType },
		HMAC, Ed25519),
	choice("signature-headers", "`names` of the signature headers: svix, webhook or both",
		func(c *Config) *string { return &c.SignatureHeaders }, "both", "svix", "webhook"),
	duration("message-retention", "`duration` for which messages are kept, unless their application asks for less", "2160h", time.Hour, 100*365*24*time.Hour,
		func(c *Config) *time.Duration { return &c.MessageRetention }),
	duration("attempt-retention", "`duration` for which attempts are kept, unless their application asks for less", "720h", time.Hour, 100*365*24*time.Hour,
		func(c *Config) *time.Duration { return &c.AttemptRetention }),
	choice("log-level", "least `level` of log lines: debug (with every request), info, warn or error",
		func(c *Config) *string { return &c.LogLevel }, "debug", "info", "warn", "error"),
	choice("log-format", "`format` of log lines: text or json", func(c *Config) *string { return &c.LogFormat }, "text", "json"),
	size("max-body", "`bytes` that the body of a request may have as sent", "33554432", func(c *Config) *int64 { return &c.MaxBody }),
	size("max-in-flight", "`bytes` of request bodies that may be under way at a time; what exceeds them is answered with 503", "268435456",
		func(c *Config) *int64 { return &c.MaxInFlight }),
	size("max-unpacked-body", "`bytes` that the body of a request may have after decompression", "134217728",
		func(c *Config) *int64 { return &c.MaxUnpacked }),
	{
		name: "max-event", usage: "`bytes` that the payload of a registry event may have before parts of it are left out", example: "262144",
		get: func(c *Config) string { return strconv.Itoa(c.MaxEvent) },
		set: func(c *Config, v string) string {
			n, err := strconv.Atoi(v)
			if err != nil || n < 4096 || n > 64<<20 {
				return "must be a number of bytes from 4096 to 67108864"
			}
			c.MaxEvent = n
			return ""
		},
	},
}, portalSettings)

func choice(name, usage string, field func(*Config) *string, choices ...string) setting {
	return setting{
		name: name, usage: usage, example: choices[len(choices)-1],
		get: func(c *Config) string { return *field(c) },
		set: func(c *Config, v string) string {
			if !slices.Contains(choices, v) {
				return "must be one of " + strings.Join(choices, ", ")
			}
			*field(c) = v
			return ""
		},
	}
}

func duration(name, usage, example string, least, most time.Duration, field func(*Config) *time.Duration) setting {
	return setting{
		name: name, usage: usage, example: example,
		get: func(c *Config) string { return plain(*field(c)) },
		set: func(c *Config, v string) string {
			d, err := time.ParseDuration(v)
			if err != nil || d < least || d > most {
				return fmt.Sprintf("must be a duration from %s to %s", plain(least), plain(most))
			}
			*field(c) = d
			return ""
		},
	}
}

func size(name, usage, example string, field func(*Config) *int64) setting {
	return setting{
		name: name, usage: usage, example: example,
		get: func(c *Config) string { return strconv.FormatInt(*field(c), 10) },
		set: func(c *Config, v string) string {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil || n < 1024 || n > 4<<30 {
				return "must be a number of bytes from 1024 to 4294967296"
			}
			*field(c) = n
			return ""
		},
	}
}

// plain is a duration without the zeros that time.Duration prints.
func plain(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func redact(database string) string {
	u, err := url.Parse(database)
	if err != nil || strings.HasPrefix(database, "sqlite:") {
		return database
	}
	return u.Redacted()
}

// Default is the configuration of a node that was told nothing.
func Default() Config {
	return Config{
		Listen:   "127.0.0.1:8080",
		Database: "sqlite:fanfare.db",
		RetrySchedule: []time.Duration{
			5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
		},
		RequestTimeout: 15 * time.Second,
		DisableAfter:   5 * 24 * time.Hour,
		LogFormat:      "text",
		LogLevel:       "info",
		RetryAfterCap:  time.Hour, SignatureType: HMAC, SignatureHeaders: "both",
		MessageRetention: 90 * 24 * time.Hour, AttemptRetention: 30 * 24 * time.Hour,
		MaxBody:     32 << 20,
		MaxUnpacked: 128 << 20,
		MaxInFlight: 256 << 20,
		MaxAsset:    64 << 20,
		MaxEvent:    256 << 10,
	}
}

// variable is the environment twin of a flag.
func variable(name string) string {
	return "FANFARE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// Loader reads a configuration.
type Loader struct {
	// Base is what counts where nothing else is said; often Default.
	Base Config
	// Lookup finds an environment variable: os.LookupEnv if nil.
	Lookup func(string) (string, bool)

	file  string
	flags map[string]string
}

// Flags adds the flags of the settings to a set. Their values count once Load
// is called.
func (l *Loader) Flags(fs *flag.FlagSet) {
	l.flags = map[string]string{}
	fs.StringVar(&l.file, "config", "", "`file` of settings, one \"name = value\" a line (FANFARE_CONFIG)")
	for _, s := range settings {
		usage := fmt.Sprintf("%s (%s)", s.usage, variable(s.name))
		set := func(v string) error {
			l.flags[s.name] = v
			return nil
		}
		if s.isBool {
			fs.BoolFunc(s.name, usage, set)
		} else {
			fs.Func(s.name, usage, set)
		}
	}
}

// Load puts the settings together and checks them. An error is an *Error or
// says why the file could not be read.
func (l *Loader) Load() (*Config, error) {
	lookup := l.Lookup
	if lookup == nil {
		lookup = os.LookupEnv
	}
	c := l.Base
	if l.file == "" {
		l.file, _ = lookup("FANFARE_CONFIG")
	}
	file, err := readFile(l.file)
	if err != nil {
		return nil, err
	}
	for _, s := range settings {
		value, source := "", ""
		if v, ok := file[s.name]; ok {
			value, source = v, fmt.Sprintf("%s in %s", s.name, l.file)
		}
		if v, ok := lookup(variable(s.name)); ok {
			value, source = v, variable(s.name)
		}
		if v, ok := l.flags[s.name]; ok {
			value, source = v, "-"+s.name
		}
		if source == "" {
			continue
		}
		if problem := s.set(&c, strings.TrimSpace(value)); problem != "" {
			if s.secret {
				value = ""
			}
			return nil, &Error{Setting: source, Value: redact(value), Problem: problem, Example: s.example}
		}
	}
	if !strings.HasPrefix(c.Database, "sqlite:") && c.SecretKey == nil {
		return nil, &Error{Setting: "-secret-key", Problem: "is needed with PostgreSQL", Example: "the output of: openssl rand -base64 32"}
	}
	return &c, nil
}

// maxFile bounds the file of settings, in bytes.
const maxFile = 1 << 20

func readFile(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // no file is no settings
	}
	f, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("-config: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("-config: %w", err)
	}
	values, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("-config %s: %w", path, err)
	}
	return values, nil
}

// parse reads lines of "name = value"; # starts a comment line.
func parse(data []byte) (map[string]string, error) {
	values := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || !known(name) {
			return nil, fmt.Errorf("line %d is no setting (for example: listen = 127.0.0.1:8080)", n)
		}
		values[name] = strings.TrimSpace(value)
	}
	if err := lines.Err(); err != nil {
		return nil, errors.New("a line is too long")
	}
	return values, nil
}

func known(name string) bool {
	for _, s := range settings {
		if s.name == name {
			return true
		}
	}
	return false
}

// Print writes the settings in the form of the file, secrets left out.
func (c *Config) Print(w io.Writer) error {
	for _, s := range settings {
		value := s.get(c)
		line := s.name + " = " + value
		switch {
		case s.secret && value != "":
			line = "# " + s.name + " is set"
		case value == "" && s.set(&Config{}, "") != "":
			line = "# " + s.name + " is not set"
		}
		if _, err := fmt.Fprintln(w, strings.TrimSpace(line)); err != nil {
			return err
		}
	}
	return nil
}
