// Command fanfare is a webhook service: a dataset registry whose every change
// causes an event, and a sender that brings events to endpoints.
package main

import (
	"context"
	"errors"
	"fanfare/internal/bench"
	"fanfare/internal/config"
	"fanfare/internal/store"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

// version is set by the Makefile; a build without it tells its module version.
var version = ""

func main() {
	// The first signal drains; a second one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	c := &cli{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	os.Exit(c.main(ctx, os.Args[1:]))
}

// cli is one run of the command.
type cli struct {
	in       *os.File
	out, err io.Writer
}

// command is something that fanfare does.
type command struct {
	// name is one word or two; args are its arguments as the help shows them.
	// One that says not what it does is not for people, and not in the help.
	name, args, does string
	// count is how many arguments it takes.
	count int
	// flags adds its own flags; nil for none.
	run func(ctx context.Context, c *cli, in *input) error
}

// commands are listed in the order of the help.
var commands = []command{
	{"serve", "", "run a node", 0, serve},
	{"demo", "", "run a node on a throw-away database, with something to look at", 0, runDemo},
	{"account create", "NAME [-org] [-email ADDRESS] [-password-stdin]", "make an account", 1, accountCreate},
	{"account passwd", "NAME [-password-stdin]", "change the password of an account and end its sessions", 1, accountPasswd},
	{"account operator", "NAME [-revoke]", "let an account see the operator's pages, or no longer", 1, accountOperator},
	{"account delete", "NAME [-yes]", "delete an account with its datasets; what it recorded is still delivered", 1, accountDelete},
	{"member add", "ORGANIZATION USER [-admin] [-role ROLE]", "make a user a member of an organization", 2, memberAdd},
	{"member remove", "ORGANIZATION USER", "end a membership", 2, memberRemove},
	{"apikey create", "ACCOUNT [-label TEXT]", "make an API key; it is the last word printed, and not shown again", 1, apikeyCreate},
	{"apikey list", "ACCOUNT", "list the API keys of an account", 1, apikeyList},
	{"apikey revoke", "ACCOUNT KEY", "revoke an API key, by its id", 2, apikeyRevoke},
	{"token create", "[-env NAME] [-app APP] [-expires DURATION]", "make a bearer token of the sender's API; it is the last word printed, and not shown again", 0, tokenCreate},
	{"token list", "[-env NAME]", "list the tokens of an environment", 0, tokenList},
	{"token revoke", "TOKEN", "revoke a token, by its id", 1, tokenRevoke},
	{"verify", "-secret SECRET -headers FILE [-body FILE]", "check a webhook that was received and say what is wrong with it", 0, verify},
	{"bench", "[-only PARTS]", "measure speed on this machine, against a relay that stores nothing; the last line is the ratio", 0, runBench},
	{bench.Command, "ROLE", "", 1, benchProcess},
	{"config", "", "print the effective configuration, without secrets", 0, printConfig},
	{"migrate", "", "bring the schema of the database up to date", 0, migrate},
	{"version", "", "print the version", 0, printVersion},
}

// input is what a command was told.
type input struct {
	args []string
	cfg  *config.Config

	// Flags of single commands.
	organization, admin, passwordStdin bool
	revoke, yes                        bool
	email, role, label                 string
	secret, headers, body              string
	environment, application           string
	expires                            time.Duration
	bench                              bench.Config
}

// The exit codes: 2 for what the caller can mend in the command line.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// errUsage means that the command line was wrong and was told so.
var errUsage = errors.New("usage")

func (c *cli) main(ctx context.Context, args []string) int {
	err := c.dispatch(ctx, args)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		return exitUsage
	}
	fmt.Fprintln(c.err, "fanfare:", err) //nolint:errcheck // nowhere else to say it
	if _, ok := errors.AsType[*config.Error](err); ok {
		return exitUsage
	}
	return exitFailed
}

func (c *cli) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
		c.help(c.out)
		return nil
	}
	for _, cmd := range commands {
		if rest, ok := cmd.matches(args); ok {
			in, err := c.parse(cmd, rest)
			if err != nil {
				return err
			}
			return cmd.run(ctx, c, in)
		}
	}
	fmt.Fprintf(c.err, "fanfare: there is no command %q; fanfare help lists them\n", args[0]) //nolint:errcheck // nowhere else to say it
	return errUsage
}

func (cmd command) matches(args []string) ([]string, bool) {
	words := fieldsOf(cmd.name)
	if len(args) < len(words) {
		return nil, false
	}
	for i, word := range words {
		if args[i] != word {
			return nil, false
		}
	}
	return args[len(words):], true
}

// parse reads flags and arguments in any order.
func (c *cli) parse(cmd command, args []string) (*input, error) {
	in := &input{}
	base := config.Default()
	switch cmd.name {
	case "demo":
		base = demoDefaults()
	case "bench":
		base = benchDefaults()
	}
	loader := config.Loader{Base: base}
	fs := flag.NewFlagSet("fanfare "+cmd.name, flag.ContinueOnError)
	fs.SetOutput(c.err)
	fs.Usage = func() {
		fmt.Fprintf(c.err, "usage: fanfare %s %s\n\n%s\n\n", cmd.name, cmd.args, cmd.does) //nolint:errcheck // help
		fs.PrintDefaults()
	}
	loader.Flags(fs)
	in.flags(cmd.name, fs)
	for len(args) > 0 {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, errUsage
		}
		if args = fs.Args(); len(args) > 0 {
			in.args, args = append(in.args, args[0]), args[1:]
		}
	}
	if len(in.args) != cmd.count {
		fmt.Fprintf(c.err, "usage: fanfare %s %s\n", cmd.name, cmd.args) //nolint:errcheck // nowhere else to say it
		return nil, errUsage
	}
	var err error
	in.cfg, err = loader.Load()
	return in, err
}

func (in *input) flags(name string, fs *flag.FlagSet) {
	switch name {
	case "account create":
		fs.BoolVar(&in.organization, "org", false, "an organization: nobody logs in to it, members act for it")
		fs.StringVar(&in.email, "email", "", "`address` of whoever it belongs to")
		fs.BoolVar(&in.passwordStdin, "password-stdin", false, "read the password from the standard input")
	case "account passwd":
		fs.BoolVar(&in.passwordStdin, "password-stdin", false, "read the password from the standard input")
	case "account operator":
		fs.BoolVar(&in.revoke, "revoke", false, "no longer")
	case "account delete":
		fs.BoolVar(&in.yes, "yes", false, "do not ask")
	case "member add":
		fs.BoolVar(&in.admin, "admin", false, "may do everything in the name of the organization")
		fs.StringVar(&in.role, "role", "", "`role` in the organization's new datasets: labeler, reviewer, manager or admin")
	case "apikey create":
		fs.StringVar(&in.label, "label", "", "`name` by which the key is told from others")
	case "token create":
		fs.StringVar(&in.environment, "env", store.MainEnvironment, "`name` of the environment; a new name makes one")
		fs.StringVar(&in.application, "app", "", "`id` or uid of the one application that the token is for")
		fs.DurationVar(&in.expires, "expires", 0, "`duration` for which it works; forever if 0")
	case "token list":
		fs.StringVar(&in.environment, "env", store.MainEnvironment, "`name` of the environment")
	case "bench":
		benchFlags(fs, &in.bench)
	case "verify":
		fs.StringVar(&in.secret, "secret", "", "the endpoint's signing `secret` (whsec_…)")
		fs.StringVar(&in.headers, "headers", "", "`file` with the headers received, one \"Name: value\" a line")
		fs.StringVar(&in.body, "body", "-", "`file` with the body received, byte for byte; - for the standard input")
	}
}

func (c *cli) help(w io.Writer) {
	fmt.Fprint(w, "Fanfare sends webhooks, and never loses one.\n\nusage: fanfare COMMAND [flags]\n\n") //nolint:errcheck // help
	for _, cmd := range commands {
		if cmd.does == "" {
			continue
		}
		fmt.Fprintf(w, "  %-16s %s\n", cmd.name, cmd.does) //nolint:errcheck // help
	}
	fmt.Fprint(w, "\nfanfare COMMAND -h shows the flags of a command. Each has a twin in the environment:\n"+ //nolint:errcheck // help
		"-retry-schedule is FANFARE_RETRY_SCHEDULE.\n")
}

func logger(cfg *config.Config, w io.Writer) *slog.Logger {
	var options slog.HandlerOptions
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err == nil { // checked with the configuration
		options.Level = level
	}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, &options))
	}
	return slog.New(slog.NewTextHandler(w, &options))
}

func currentVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "dev"
}
