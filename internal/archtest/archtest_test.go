// Package archtest breaks every import rule of .golangci.yml on purpose, in a
// tree of its own, to see that the linter says so.
package archtest_test

import (
	"bytes"
	"encoding/json"
	"fanfare/internal/harness"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A plant is one file of the tree, in a package of its path's directory.
type plant struct {
	path string
	// imports are what the file imports for nothing.
	imports []string
	// code is more of the file.
	code string
	// want are the findings in this file, each as the linter, a space and a part
	// of what it says. Where there are none, the file is to pass.
	want []string
}

// Whatever is below a package is denied with it. The planted files import an
// empty package there, so that no planted import closes a cycle.
const below = "/below"

const (
	buildsClient = "\nvar _ = &http.Client{}\n"
	readsEnv     = "\nvar _ = os.Getenv(\"FANFARE_LISTEN\")\n"
)

// denied are the findings of depguard that name imports and the rule.
func denied(rule string, imports ...string) []string {
	var want []string
	for _, i := range imports {
		want = append(want, fmt.Sprintf("depguard import '%s' is not allowed from list '%s'", i, rule))
	}
	return want
}

func fanfare(names ...string) []string {
	imports := make([]string, 0, len(names))
	for _, name := range names {
		imports = append(imports, "fanfare/internal/"+name)
	}
	return imports
}

func under(name string) string { return "fanfare/internal/" + name + below }

// breaks is a file whose one import the rule denies.
func breaks(rule, file, imported string) plant {
	return plant{path: file, imports: []string{imported}, want: denied(rule, imported)}
}

// allowed is a file whose imports pass.
func allowed(file string, imports ...string) plant {
	return plant{path: file, imports: imports}
}

// plants are the planted files by what the rules say of them.
var plants = map[string]plant{
	"webhook does not import the store":          breaks("nouns", "internal/webhook/store.go", under("store")),
	"webhook does not import registry":           breaks("nouns", "internal/webhook/registry.go", under("registry")),
	"webhook imports the standard library alone": breaks("nouns", "internal/webhook/third.go", third),
	"what is below webhook keeps its rules":      breaks("nouns", "internal/webhook/deep/store.go", under("store")),
	"signature does not import webhook":          breaks("nouns", "internal/signature/webhook.go", under("webhook")),
	"egress does not import webhook":             breaks("nouns", "internal/egress/webhook.go", under("webhook")),
	"egress does not import config":              breaks("nouns", "internal/egress/config.go", under("config")),
	"config does not import egress":              breaks("nouns", "internal/config/egress.go", under("egress")),
	"webhook may import the standard library":    allowed("internal/webhook/std.go", "net/http", "time"),

	"registry does not import the store":          breaks("registry", "internal/registry/store.go", under("store")),
	"registry does not import auth":               breaks("registry", "internal/registry/auth.go", under("auth")),
	"registry imports the standard library alone": breaks("registry", "internal/registry/third.go", third),
	"the shapes do not import the store":          breaks("registry", "internal/registry/shape/store.go", under("store")),
	"registry may import webhook and the shapes":  allowed("internal/registry/ok.go", fanfare("webhook", "registry/shape")...),

	"auth does not import the store":   breaks("auth", "internal/auth/store.go", under("store")),
	"auth does not import web":         breaks("auth", "internal/auth/web.go", under("web")),
	"auth may import a crypto library": allowed("internal/auth/third.go", third),

	"guide does not import the store":      breaks("guide", "internal/guide/store.go", under("store")),
	"guide does not import portal":         breaks("guide", "internal/guide/portal.go", under("portal")),
	"guide may import registry and schema": allowed("internal/guide/ok.go", fanfare("registry", "schema")...),

	"chat does not import registry":           breaks("chat", "internal/chat/registry.go", under("registry")),
	"chat does not import the store":          breaks("chat", "internal/chat/store.go", under("store")),
	"chat imports the standard library alone": breaks("chat", "internal/chat/third.go", third),
	"chat may import webhook":                 allowed("internal/chat/ok.go", fanfare("webhook")...),

	"ingest does not import the store": breaks("ingest", "internal/ingest/store.go", under("store")),
	"ingest does not import dispatch":  breaks("ingest", "internal/ingest/dispatch.go", under("dispatch")),
	"ingest does not import a face":    breaks("ingest", "internal/ingest/api.go", under("api/webhooks")),
	"dispatch does not import the store": breaks("dispatch", "internal/dispatch/store.go",
		under("store")),
	"dispatch does not import registry": breaks("dispatch", "internal/dispatch/registry.go", under("registry")),
	"dispatch does not import a face":   breaks("dispatch", "internal/dispatch/portal.go", under("portal")),
	"dispatch may import webhook, ingest, egress, signature and chat": allowed("internal/dispatch/ok.go",
		fanfare("webhook", "ingest", "egress", "signature", "chat")...),

	"metrics do not import the store":  breaks("metrics", "internal/metrics/store.go", under("store")),
	"metrics do not import dispatch":   breaks("metrics", "internal/metrics/dispatch.go", under("dispatch")),
	"metrics may know what is counted": allowed("internal/metrics/ok.go", "net/http", "fanfare/internal/webhook"),

	"the store does not import net/http": breaks("store", "internal/store/http.go", "net/http"),
	"the store does not import web":      breaks("store", "internal/store/web.go", "fanfare/internal/web"),
	"the store does not import the APIs": breaks("store", "internal/store/api.go", under("api/webhooks")),
	"the store does not import portal":   breaks("store", "internal/store/portal.go", under("portal")),
	"the store does not import egress":   breaks("store", "internal/store/egress.go", under("egress")),
	"the store does not import config":   breaks("store", "internal/store/config.go", under("config")),
	"the store may import nouns and verbs": allowed("internal/store/ok.go",
		fanfare("webhook", "registry", "auth", "ingest")...),
	"the store may speak SQL":     allowed("internal/store/sql.go", "database/sql"),
	"storetest may speak SQL":     allowed("internal/store/storetest/sql.go", "database/sql", "testing"),
	"pgtest may speak SQL":        allowed("internal/pgtest/sql.go", "database/sql", "testing"),
	"storetest may import pgtest": allowed("internal/store/storetest/pgtest.go", fanfare("pgtest", "harness")...),

	"web does not import an API": breaks("web", "internal/web/api.go", under("api/registry")),
	"web does not import portal": breaks("web", "internal/web/portal.go", under("portal")),
	"the registry's API does not import the sender's": breaks("api-registry", "internal/api/registry/api.go",
		under("api/webhooks")),
	"the registry's API does not import portal": breaks("api-registry", "internal/api/registry/portal.go", under("portal")),
	"the sender's API does not import the registry's": breaks("api-webhooks", "internal/api/webhooks/api.go",
		under("api/registry")),
	"the sender's API does not import portal":      breaks("api-webhooks", "internal/api/webhooks/portal.go", under("portal")),
	"portal does not import the registry's API":    breaks("portal", "internal/portal/registry.go", under("api/registry")),
	"portal does not import the sender's API":      breaks("portal", "internal/portal/webhooks.go", under("api/webhooks")),
	"a page's test does not import an API":         breaks("portal", "internal/portal/api_test.go", under("api/registry")),
	"the registry's API may import web and store":  allowed("internal/api/registry/ok.go", fanfare("web", "store", "registry")...),
	"the sender's API may import web and store":    allowed("internal/api/webhooks/ok.go", fanfare("web", "store", "webhook")...),
	"portal may import web and store":              allowed("internal/portal/ok.go", fanfare("web", "store", "webhook", "registry")...),
	"the composition root may import all the rest": allowed("internal/app/ok.go", fanfare("api/registry", "api/webhooks", "portal", "store", "dispatch", "config")...),

	"no package imports the composition root": breaks("app", "internal/portal/app.go", under("app")),
	"the store does not import the root":      breaks("app", "internal/store/app.go", under("app")),
	"main may import the composition root":    allowed("cmd/fanfare/app.go", "fanfare/internal/app"),
	"bench may import the composition root":   allowed("internal/bench/app.go", "fanfare/internal/app"),
	"a test may import the composition root":  allowed("internal/web/app_test.go", under("app")),

	"an API does not speak SQL":    breaks("sql", "internal/api/registry/sql.go", "database/sql"),
	"portal does not speak SQL":    breaks("sql", "internal/portal/sql.go", "database/sql"),
	"dispatch does not speak SQL":  breaks("sql", "internal/dispatch/sql.go", "database/sql"),
	"webhook does not speak SQL":   breaks("sql", "internal/webhook/sql.go", "database/sql"),
	"main does not speak SQL":      breaks("sql", "cmd/fanfare/sql.go", "database/sql"),
	"no driver is driven directly": breaks("sql", "internal/web/driver.go", "github.com/jackc/pgx/v5"),
	"tests do not speak SQL":       breaks("sql", "internal/app/sql_test.go", "database/sql"),

	"the program does not import testing": breaks("harnesses", "internal/web/testing.go", "testing"),
	"the program does not import a test harness": {
		path:    "internal/app/harness.go",
		imports: fanfare("harness", "pgtest", "browsertest", "receivertest", "openapitest", "store/storetest", "store/disktest"),
		want:    denied("harnesses", fanfare("harness", "pgtest", "browsertest", "receivertest", "openapitest", "store/storetest", "store/disktest")...),
	},
	"a test may import the harnesses": allowed("internal/app/harness_test.go", fanfare("pgtest", "store/storetest")...),

	"no assertion library":     breaks("everywhere", "internal/app/assert_test.go", "github.com/stretchr/testify/assert"),
	"no library of errors":     breaks("everywhere", "internal/app/errors.go", "github.com/pkg/errors"),
	"not the old math/rand":    breaks("everywhere", "internal/app/rand.go", "math/rand"),
	"not the old log":          breaks("everywhere", "internal/app/log.go", "log"),
	"the new ones are allowed": allowed("internal/app/new.go", "math/rand/v2", "log/slog"),

	"only egress builds an http.Client": {
		path: "internal/dispatch/client.go", imports: []string{"net/http"}, code: buildsClient,
		want: []string{"forbidigo all calls out go through package egress"},
	},
	"an http.Client by another name is one": {
		path: "internal/portal/client.go", code: "\nimport web \"net/http\"\n\nvar _ = &web.Client{}\n",
		want: []string{"forbidigo all calls out go through package egress"},
	},
	"nobody uses the default client": {
		path: "internal/app/client.go", imports: []string{"net/http"}, code: "\nvar _ = http.DefaultClient\n",
		want: []string{"forbidigo all calls out go through package egress"},
	},
	"nobody builds a transport": {
		path: "internal/store/transport.go", imports: []string{"net/http"}, code: "\nvar _ = &http.Transport{}\n",
		want: append(denied("store", "net/http"), "forbidigo all calls out go through package egress"),
	},
	"egress may build an http.Client": {path: "internal/egress/client.go", imports: []string{"net/http"}, code: buildsClient},
	"bench may build an http.Client":  {path: "internal/bench/client.go", imports: []string{"net/http"}, code: buildsClient},
	"a test may build an http.Client": {path: "internal/web/client_test.go", imports: []string{"net/http"}, code: buildsClient},

	"only config reads the environment": {
		path: "internal/app/env.go", imports: []string{"os"}, code: readsEnv,
		want: []string{"forbidigo package config reads the environment"},
	},
	"main does not read the environment": {
		path: "cmd/fanfare/env.go", imports: []string{"os"}, code: "\nvar _, _ = os.LookupEnv(\"HOME\")\n\nvar _ = os.Environ()\n",
		want: []string{
			"forbidigo use of `os.LookupEnv` forbidden because \"package config reads the environment\"",
			"forbidigo use of `os.Environ` forbidden because \"package config reads the environment\"",
		},
	},
	"config may read the environment":      {path: "internal/config/env.go", imports: []string{"os"}, code: readsEnv},
	"pgtest may read the environment":      {path: "internal/pgtest/env.go", imports: []string{"os"}, code: readsEnv},
	"browsertest may read the environment": {path: "internal/browsertest/env.go", imports: []string{"os"}, code: readsEnv},
	"openapitest may read the environment": {path: "internal/openapitest/env.go", imports: []string{"os"}, code: readsEnv},
	"harness may read the environment":     {path: "internal/harness/env.go", imports: []string{"os"}, code: readsEnv},
	"a test may read the environment":      {path: "internal/web/env_test.go", imports: []string{"os"}, code: readsEnv},
}

// third is a library that is no part of Go.
const third = "golang.org/x/third"

// modules are empty stand-ins for libraries, by the module that each is in.
var modules = map[string]string{
	third:                         ".",
	"github.com/jackc/pgx/v5":     ".",
	"github.com/pkg/errors":       ".",
	"github.com/stretchr/testify": "assert",
}

func TestImportRules(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	linter := buildLinter(t, root)
	tree := plantAll(t, root)
	found := lint(t, linter, tree)

	for name, p := range plants {
		t.Run(name, func(t *testing.T) {
			if got := found[p.path]; len(got) != len(p.want) {
				t.Errorf("%d findings in %s, want %d:\n%s", len(got), p.path, len(p.want), strings.Join(got, "\n"))
			}
			for _, want := range p.want {
				linter, text, _ := strings.Cut(want, " ")
				if !slices.ContainsFunc(found[p.path], func(got string) bool {
					return strings.HasPrefix(got, linter+" ") && strings.Contains(got, text)
				}) {
					t.Errorf("no finding %q in %s, only:\n%s", want, p.path, strings.Join(found[p.path], "\n"))
				}
			}
			delete(found, p.path)
		})
	}
	t.Run("there is no finding in a file that was not planted", func(t *testing.T) {
		for file, findings := range found {
			t.Errorf("%s: %s", file, strings.Join(findings, "\n"))
		}
	})
	t.Run("every rule is broken by a planted file", func(t *testing.T) {
		everyRuleIsBroken(t, filepath.Join(root, ".golangci.yml"))
	})
}

// buildLinter returns the linter of the repository's tools, which Go builds
// once and then keeps in its cache.
func buildLinter(t *testing.T, root string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-modfile=tools/go.mod", "-n", "golangci-lint")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		harness.Missing(t, fmt.Sprintf("golangci-lint cannot be built (%v): run make lint once with a connection\n%s", err, stderr.Bytes()))
	}
	return strings.TrimSpace(string(out))
}

// plantAll writes a module with the planted files, empty packages for what
// they import, and the linter's configuration of this repository.
func plantAll(t *testing.T, root string) (tree string) {
	t.Helper()
	tree = t.TempDir()
	// The linter names files by their real path.
	tree, err := filepath.EvalSymlinks(tree)
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(root, ".golangci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, tree, ".golangci.yml", string(config))

	gomod := "module fanfare\n\ngo 1.26.0\n"
	for _, module := range slices.Sorted(maps.Keys(modules)) {
		dir := "third/" + module
		write(t, tree, dir+"/go.mod", "module "+module+"\n\ngo 1.26.0\n")
		write(t, tree, path.Join(dir, modules[module], "doc.go"), "package empty\n")
		version := "v1.0.0"
		if major := path.Base(module); major == "v5" {
			version = "v5.0.0"
		}
		gomod += fmt.Sprintf("\nrequire %s %s\n\nreplace %[1]s => ./%[3]s\n", module, version, dir)
	}
	write(t, tree, "go.mod", gomod)

	packages := map[string]bool{}
	for _, p := range plants {
		packages[path.Dir(p.path)] = true
		for _, i := range p.imports {
			if dir, ok := strings.CutPrefix(i, "fanfare/"); ok {
				packages[dir] = true
			}
		}
		write(t, tree, p.path, source(p))
	}
	for dir := range packages {
		write(t, tree, dir+"/doc.go", "package "+path.Base(dir)+"\n")
	}
	return tree
}

// source is the text of a planted file.
func source(p plant) string {
	var b strings.Builder
	name := path.Base(path.Dir(p.path))
	if strings.HasSuffix(p.path, "_test.go") {
		name += "_test"
	}
	fmt.Fprintf(&b, "package %s\n", name)
	for _, i := range p.imports {
		as := "_ "
		if p.code != "" {
			as = ""
		}
		fmt.Fprintf(&b, "\nimport %s%q\n", as, i)
	}
	b.WriteString(p.code)
	return b.String()
}

func write(t *testing.T, tree, name, text string) {
	t.Helper()
	file := filepath.Join(tree, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// lint runs the linter over the tree and returns what it found by file, each
// as the linter, a space and what it says.
func lint(t *testing.T, linter, tree string) map[string][]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), linter, "run", "--enable-only=depguard,forbidigo",
		"--output.json.path=stdout", "--show-stats=false", "--allow-parallel-runners", "./...")
	cmd.Dir = tree
	// Nothing is to be fetched for the planted module.
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var report struct {
		Issues []struct {
			FromLinter, Text string
			Pos              struct{ Filename string }
		}
	}
	// The linter ends with 1 when it found something, which is told by its report.
	if jsonErr := json.NewDecoder(bytes.NewReader(out)).Decode(&report); jsonErr != nil {
		t.Fatalf("golangci-lint: %v, %v\n%s%s", err, jsonErr, out, stderr.Bytes())
	}
	if len(report.Issues) == 0 {
		t.Fatalf("golangci-lint found nothing at all: %v\n%s", err, stderr.Bytes())
	}
	found := map[string][]string{}
	for _, i := range report.Issues {
		file := filepath.ToSlash(i.Pos.Filename)
		found[file] = append(found[file], i.FromLinter+" "+i.Text)
	}
	return found
}

// everyRuleIsBroken fails for a depguard rule of the configuration that no
// planted file breaks.
func everyRuleIsBroken(t *testing.T, config string) {
	t.Helper()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	_, rules, found := strings.Cut(string(text), "\n    depguard:\n      rules:\n")
	if !found {
		t.Fatalf("%s has no rules of depguard where this test looks for them", config)
	}
	rules, _, _ = strings.Cut(rules, "\n  exclusions:")
	names := regexp.MustCompile(`(?m)^ {8}([a-z-]+):`).FindAllStringSubmatch(rules, -1)
	if len(names) == 0 {
		t.Fatalf("found no rule of depguard in %s", config)
	}
	broken := map[string]bool{}
	for _, p := range plants {
		for _, want := range p.want {
			if _, rest, ok := strings.Cut(want, "from list '"); ok {
				broken[strings.TrimSuffix(rest, "'")] = true
			}
		}
	}
	for _, name := range names {
		if !broken[name[1]] {
			t.Errorf("no planted file breaks the rule %q", name[1])
		}
	}
}
