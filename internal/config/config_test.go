package config

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func load(env map[string]string, args ...string) (*Config, error) {
	l := Loader{Base: Default(), Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
	fs := flag.NewFlagSet("fanfare", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	l.Flags(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	return l.Load()
}

func TestFlagsCountMoreThanTheEnvironmentAndThatMoreThanTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fanfare.conf")
	if err := os.WriteFile(file, []byte("# settings\nlisten = 127.0.0.1:1\nhttps-only = true\nlog-format=json\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(map[string]string{"FANFARE_LISTEN": "127.0.0.1:2", "FANFARE_LOG_FORMAT": "text"},
		"-config", file, "-listen", "127.0.0.1:3")
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:3" || c.LogFormat != "text" || !c.HTTPSOnly || c.RequestTimeout != 15*time.Second {
		t.Errorf("got %+v", c)
	}
}

func TestBadSettingsAreRefusedWithTheirNameTheirValueAndAnExample(t *testing.T) {
	for _, test := range []struct {
		sentence string
		env      map[string]string
		args     []string
		says     []string
	}{
		{"a malformed duration", nil, []string{"-request-timeout", "15"}, []string{"-request-timeout", `"15"`, "15s"}},
		{"a malformed duration in the schedule", nil, []string{"-retry-schedule", "5s,soon"}, []string{"-retry-schedule", "5s,soon", "5s,5m"}},
		{"a negative wait", nil, []string{"-retry-schedule", "-5s"}, []string{"-retry-schedule"}},
		{"a malformed CIDR", nil, []string{"-allow-networks", "10.0.0.1"}, []string{"-allow-networks", "10.0.0.1", "10.0.0.0/8"}},
		{"a URL with a path", nil, []string{"-public-url", "https://example.com/x"}, []string{"-public-url", "example.com/x"}},
		{"a URL without a scheme", nil, []string{"-public-url", "example.com"}, []string{"-public-url", "example.com"}},
		{"an unknown database", nil, []string{"-database", "mysql://x"}, []string{"-database", "mysql://x", "sqlite:fanfare.db"}},
		{"an address without a port", map[string]string{"FANFARE_LISTEN": "localhost"}, nil, []string{"FANFARE_LISTEN", "localhost", "127.0.0.1:8080"}},
		{"a log format", nil, []string{"-log-format", "xml"}, []string{"-log-format", "xml", "json"}},
		{"a flag nobody knows", nil, []string{"-lisen", "x"}, []string{"-lisen"}},
		{"PostgreSQL without a key", nil, []string{"-database", "postgres://x/y"}, []string{"-secret-key", "openssl"}},
		{"a body of no bytes", nil, []string{"-max-body", "0"}, []string{"-max-body", `"0"`}},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			_, err := load(test.env, test.args...)
			if err == nil {
				t.Fatal("was taken")
			}
			for _, part := range test.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	const key, password = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I=", "hunter2"
	c, err := load(map[string]string{"FANFARE_SECRET_KEY": key}, "-database", "postgres://fanfare:"+password+"@db/fanfare")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{key, password} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("printed %s", b.String())
		}
	}
	_, err = load(map[string]string{"FANFARE_SECRET_KEY": "not-so-secret"})
	if _, ok := errors.AsType[*Error](err); !ok || strings.Contains(err.Error(), "not-so-secret") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsPrintedIsAFileThatMeansTheSame(t *testing.T) {
	c, err := load(nil, "-allow-networks", "10.1.2.3/8, fd00::/8", "-retry-schedule", "", "-disable-after", "0s", "-https-only")
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	if err := c.Print(&first); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "fanfare.conf")
	if err := os.WriteFile(file, first.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := load(nil, "-config", file)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Print(&second); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("first\n%s\nthen\n%s", first.String(), second.String())
	}
}

func FuzzTheFileOfSettings(f *testing.F) {
	f.Add([]byte("listen = 127.0.0.1:1\n#x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := parse(data)
		for name := range values {
			if err != nil || !known(name) {
				t.Errorf("%q: %v", name, err)
			}
		}
	})
}
