package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fanfare/internal/app"
	"fanfare/internal/auth"
	"fanfare/internal/registry"
	"fanfare/internal/signature"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"
)

func fieldsOf(name string) []string { return strings.Fields(name) }

// with runs f on the database, beside a node that may be running on it.
func (c *cli) with(ctx context.Context, in *input, f func(*store.Store) error) error {
	s, err := app.OpenStore(ctx, in.cfg, slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelWarn})), false)
	if err != nil {
		return err
	}
	defer s.Close()
	return f(s)
}

func (c *cli) say(format string, args ...any) error {
	_, err := fmt.Fprintf(c.out, format+"\n", args...)
	return err
}

func accountCreate(ctx context.Context, c *cli, in *input) error {
	name := in.args[0]
	if !registry.ValidAccountName(name) {
		return fmt.Errorf("%q cannot name an account: use 1 to 100 letters, digits, dots, underscores and hyphens, "+
			"a letter or digit first, and neither a UUID nor app_ at the start", name)
	}
	hash := ""
	if !in.organization {
		var err error
		if hash, err = c.password(in); err != nil {
			return err
		}
	}
	return c.with(ctx, in, func(s *store.Store) error {
		_, err := s.CreateAccount(ctx, registry.Account{Name: name, Organization: in.organization, Email: in.email}, hash)
		if errors.Is(err, webhook.ErrConflict) {
			return fmt.Errorf("there is an account %q already", name)
		}
		if err != nil {
			return err
		}
		return c.say("account %s is made", name)
	})
}

func accountPasswd(ctx context.Context, c *cli, in *input) error {
	hash, err := c.password(in)
	if err != nil {
		return err
	}
	return c.account(ctx, in, func(s *store.Store, a registry.Account) error {
		if err := s.SetPassword(ctx, a.ID, hash); err != nil {
			return err
		}
		return c.say("the password of %s is changed, and its sessions have ended", a.Name)
	})
}

// account runs f with the account that the first argument names.
func (c *cli) account(ctx context.Context, in *input, f func(*store.Store, registry.Account) error) error {
	return c.with(ctx, in, func(s *store.Store) error {
		a, err := s.Account(ctx, in.args[0])
		if errors.Is(err, webhook.ErrNotFound) {
			return fmt.Errorf("there is no account %q", in.args[0])
		}
		if err != nil {
			return err
		}
		return f(s, a)
	})
}

// maxLine bounds what is read of the standard input for a password, in bytes.
const maxLine = 4096

// password reads a new password: from the standard input when told so, and
// otherwise twice from the terminal. It returns the hash.
func (c *cli) password(in *input) (string, error) {
	if in.passwordStdin {
		line, err := bufio.NewReader(io.LimitReader(c.in, maxLine)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return auth.HashPassword(strings.TrimRight(line, "\r\n"))
	}
	terminal := int(c.in.Fd())
	if !term.IsTerminal(terminal) {
		return "", errors.New("no terminal to ask for a password: give it on the standard input with -password-stdin")
	}
	var typed [2][]byte
	for i, prompt := range []string{"Password: ", "Once more: "} {
		fmt.Fprint(c.err, prompt) //nolint:errcheck // a prompt
		var err error
		if typed[i], err = term.ReadPassword(terminal); err != nil {
			return "", err
		}
		fmt.Fprintln(c.err) //nolint:errcheck // a prompt
	}
	if !bytes.Equal(typed[0], typed[1]) {
		return "", errors.New("the two passwords differ")
	}
	return auth.HashPassword(string(typed[0]))
}

func memberAdd(ctx context.Context, c *cli, in *input) error {
	role := registry.NoRole
	if in.role != "" {
		var ok bool
		if role, ok = registry.ParseRole(in.role); !ok {
			return fmt.Errorf("-role %q: must be labeler, reviewer, manager or admin", in.role)
		}
	}
	return c.with(ctx, in, func(s *store.Store) error {
		err := s.AddMember(ctx, in.args[0], in.args[1], in.admin, role)
		if errors.Is(err, webhook.ErrNotFound) {
			return fmt.Errorf("there is no organization %q, or no user %q", in.args[0], in.args[1])
		}
		if err != nil {
			return err
		}
		return c.say("%s is a member of %s", in.args[1], in.args[0])
	})
}

func memberRemove(ctx context.Context, c *cli, in *input) error {
	return c.with(ctx, in, func(s *store.Store) error {
		err := s.RemoveMember(ctx, in.args[0], in.args[1])
		if errors.Is(err, webhook.ErrNotFound) {
			return fmt.Errorf("%s is no member of %s", in.args[1], in.args[0])
		}
		if err != nil {
			return err
		}
		return c.say("%s is no longer a member of %s", in.args[1], in.args[0])
	})
}

// keyID writes ids of API keys.
const keyID webhook.Prefix = "key_"

func apikeyCreate(ctx context.Context, c *cli, in *input) error {
	return c.account(ctx, in, func(s *store.Store, a registry.Account) error {
		key := auth.NewToken(auth.APIKeyPrefix)
		if _, err := s.CreateAPIKey(ctx, a.ID, in.label, auth.Hash(key), auth.Hint(key)); err != nil {
			return err
		}
		return c.say("API key of %s, shown this once: %s", a.Name, key)
	})
}

func apikeyList(ctx context.Context, c *cli, in *input) error {
	return c.account(ctx, in, func(s *store.Store, a registry.Account) error {
		keys, err := s.APIKeys(ctx, a.ID)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tKEY\tCREATED\tLAST USED") //nolint:errcheck // Flush tells
		for _, k := range keys {
			used := "never"
			if !k.LastUsedAt.IsZero() {
				used = k.LastUsedAt.Format(time.RFC3339)
			}
			fmt.Fprintf(w, "%s\t%s\t…%s\t%s\t%s\n", keyID.Format(k.ID), k.Label, k.Hint, k.CreatedAt.Format(time.RFC3339), used) //nolint:errcheck // Flush tells
		}
		return w.Flush()
	})
}

func apikeyRevoke(ctx context.Context, c *cli, in *input) error {
	return c.account(ctx, in, func(s *store.Store, a registry.Account) error {
		id, err := keyID.Parse(in.args[1])
		if err == nil {
			err = s.RevokeAPIKey(ctx, a.ID, id)
		}
		if errors.Is(err, webhook.ErrNotFound) || errors.Is(err, webhook.ErrBadID) {
			return fmt.Errorf("%s has no key %q; fanfare apikey list %s shows them", a.Name, in.args[1], a.Name)
		}
		if err != nil {
			return err
		}
		return c.say("the key is revoked")
	})
}

// maxBody bounds what verify reads, in bytes.
const maxBody = 64 << 20

func verify(_ context.Context, c *cli, in *input) error {
	if in.secret == "" || in.headers == "" {
		return errors.New("-secret and -headers are needed, for example: fanfare verify -secret whsec_… -headers headers.txt < body.json")
	}
	text, err := os.ReadFile(in.headers) //nolint:gosec // whoever runs the command names the file
	if err != nil {
		return fmt.Errorf("-headers: %w", err)
	}
	header, _ := signature.ReadRequest(string(text))
	if len(header) == 0 {
		return fmt.Errorf("-headers %s: must be lines of \"Name: value\"", in.headers)
	}
	var body io.Reader = c.in
	if in.body != "-" {
		f, err := os.Open(in.body) //nolint:gosec // whoever runs the command names the file
		if err != nil {
			return fmt.Errorf("-body: %w", err)
		}
		defer f.Close() //nolint:errcheck // only read
		body = f
	}
	data, err := io.ReadAll(io.LimitReader(body, maxBody))
	if err != nil {
		return fmt.Errorf("-body: %w", err)
	}
	d := signature.Diagnose(in.secret, header, data, time.Now())
	if d.Err != nil {
		return fmt.Errorf("%w\n%s\n%s", d.Err, d.Text, d.Advice)
	}
	return c.say("the signature is good")
}

func printConfig(_ context.Context, c *cli, in *input) error { return in.cfg.Print(c.out) }

func migrate(ctx context.Context, c *cli, in *input) error {
	// Opening a database brings its schema up to date.
	return c.with(ctx, in, func(*store.Store) error { return c.say("the schema is up to date") })
}

func printVersion(_ context.Context, c *cli, _ *input) error {
	return c.say("fanfare %s", currentVersion())
}
