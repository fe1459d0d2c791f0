package main

import (
	"bufio"
	"context"
	"errors"
	"fanfare/internal/registry"
	"fanfare/internal/store"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"
)

func accountOperator(ctx context.Context, c *cli, in *input) error {
	return c.account(ctx, in, func(s *store.Store, a registry.Account) error {
		if a.Organization && !in.revoke {
			return fmt.Errorf("%s is an organization: nobody logs in to it", a.Name)
		}
		if err := s.SetOperator(ctx, a.ID, !in.revoke); err != nil {
			return err
		}
		if in.revoke {
			return c.say("%s is no longer an operator", a.Name)
		}
		return c.say("%s is an operator: the pages are under /operator", a.Name)
	})
}

func accountDelete(ctx context.Context, c *cli, in *input) error {
	return c.account(ctx, in, func(s *store.Store, a registry.Account) error {
		if !in.yes {
			if err := c.confirm(a.Name); err != nil {
				return err
			}
		}
		err := s.DeleteAccount(ctx, a.ID)
		if errors.Is(err, registry.ErrLastAdministrator) {
			return fmt.Errorf("%s: %w; add one with fanfare member add ORGANIZATION USER -admin, or delete the organization first", a.Name, err)
		}
		if err != nil {
			return err
		}
		return c.say("account %s is deleted, with its datasets; its recorded events are still delivered", a.Name)
	})
}

// confirm has somebody at a terminal type the name of what is to be deleted.
func (c *cli) confirm(name string) error {
	if !term.IsTerminal(int(c.in.Fd())) {
		return errors.New("no terminal to ask at: say -yes")
	}
	fmt.Fprintf(c.err, "This deletes the account %s, its datasets and its files for good. Type its name to go on: ", name) //nolint:errcheck // a prompt
	line, err := bufio.NewReader(io.LimitReader(c.in, maxLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != name {
		return errors.New("nothing was deleted")
	}
	return nil
}
