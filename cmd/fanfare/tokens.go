package main

import (
	"context"
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"text/tabwriter"
	"time"
)

// tokenCreate makes a token of an environment, which is made with the first
// one, or of an application.
func tokenCreate(ctx context.Context, c *cli, in *input) error {
	if !webhook.ValidName(in.environment) {
		return fmt.Errorf("-env %q: must be 1 to 256 letters, digits, dots, underscores and hyphens", in.environment)
	}
	if in.expires < 0 {
		return fmt.Errorf("-expires %s: must not be negative", in.expires)
	}
	return c.with(ctx, in, func(s *store.Store) error {
		find := s.CreateEnvironment
		if in.application != "" {
			find = s.Environment // an application is in one that is there
		}
		environment, err := find(ctx, in.environment)
		if errors.Is(err, webhook.ErrNotFound) {
			return fmt.Errorf("there is no environment %q", in.environment)
		}
		if err != nil {
			return err
		}
		secret := auth.NewToken(auth.BearerPrefix)
		t := webhook.Token{Environment: environment, Hint: auth.Hint(secret)}
		what := "environment " + in.environment
		if in.application != "" {
			app, err := s.Application(ctx, environment, in.application)
			if errors.Is(err, webhook.ErrNotFound) {
				return fmt.Errorf("there is no application %q in the environment %q", in.application, in.environment)
			}
			if err != nil {
				return err
			}
			t.Application, what = app.ID, "application "+in.application
		}
		if in.expires > 0 {
			t.ExpiresAt = time.Now().Add(in.expires)
		}
		if _, err := s.CreateToken(ctx, t, auth.Hash(secret)); err != nil {
			return err
		}
		return c.say("token of the %s, shown this once: %s", what, secret)
	})
}

// tokensListed is how many tokens are read at a time.
const tokensListed = 500

func tokenList(ctx context.Context, c *cli, in *input) error {
	return c.with(ctx, in, func(s *store.Store) error {
		environment, err := s.Environment(ctx, in.environment)
		if errors.Is(err, webhook.ErrNotFound) {
			return fmt.Errorf("there is no environment %q", in.environment)
		}
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tTOKEN\tFOR\tCREATED\tEXPIRES") //nolint:errcheck // Flush tells
		page := store.Page{Limit: tokensListed}
		for {
			tokens, err := s.Tokens(ctx, environment, page)
			if err != nil {
				return err
			}
			for i := range tokens {
				t := &tokens[i]
				what, expires := "environment", "never"
				if !t.Application.IsZero() {
					what = webhook.ApplicationID.Format(t.Application)
				}
				if !t.ExpiresAt.IsZero() {
					expires = t.ExpiresAt.Format(time.RFC3339)
				}
				fmt.Fprintf(w, "%s\t…%s\t%s\t%s\t%s\n", webhook.TokenID.Format(t.ID), t.Hint, what, t.CreatedAt.Format(time.RFC3339), expires) //nolint:errcheck // Flush tells
			}
			if len(tokens) < tokensListed {
				return w.Flush()
			}
			page.Before = tokens[len(tokens)-1].ID
		}
	})
}

func tokenRevoke(ctx context.Context, c *cli, in *input) error {
	return c.with(ctx, in, func(s *store.Store) error {
		id, err := webhook.TokenID.Parse(in.args[0])
		if err == nil {
			err = s.RevokeToken(ctx, id)
		}
		if errors.Is(err, webhook.ErrNotFound) || errors.Is(err, webhook.ErrBadID) {
			return fmt.Errorf("there is no token %q; fanfare token list shows them", in.args[0])
		}
		if err != nil {
			return err
		}
		return c.say("the token is revoked")
	})
}
