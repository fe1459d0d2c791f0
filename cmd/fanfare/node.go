package main

import (
	"context"
	"fanfare/internal/app"
	"fanfare/internal/config"
	"fanfare/internal/demo"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

func serve(ctx context.Context, c *cli, in *input) error {
	node, err := app.Open(ctx, in.cfg, logger(in.cfg, c.err), currentVersion())
	if err != nil {
		return err
	}
	return node.Run(ctx)
}

// demoDefaults are the settings of the demo where nobody says otherwise: its
// receiver is on this machine, and retries come soon enough to be watched.
func demoDefaults() config.Config {
	cfg := config.Default()
	cfg.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	cfg.RetrySchedule = []time.Duration{
		2 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute,
	}
	return cfg
}

func runDemo(ctx context.Context, c *cli, in *input) error {
	dir, err := os.MkdirTemp("", "fanfare-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // throw-away
	in.cfg.Database = "sqlite:" + filepath.Join(dir, "demo.db")
	in.cfg.SecretKey = nil
	logFile, err := os.Create(filepath.Join(dir, "log")) //nolint:gosec // our own directory
	if err != nil {
		return err
	}
	defer logFile.Close() //nolint:errcheck // throw-away
	log := logger(in.cfg, logFile)
	node, err := app.Open(ctx, in.cfg, log, currentVersion())
	if err != nil {
		return err
	}
	d, err := demo.Prepare(ctx, node.Store, log)
	if err != nil {
		node.Close()
		return err
	}
	if _, err := fmt.Fprintf(c.out, demoText, node.URL, d.Logins[0].Name, d.Logins[0].Password, d.Logins[1].Name,
		d.Logins[1].Password, d.ReceiverURL, d.Key, node.URL, logFile.Name()); err != nil {
		node.Close()
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return node.Run(ctx) })
	group.Go(func() error { return d.Run(ctx, node.URL) })
	return group.Wait()
}

const demoText = `
  Fanfare demo          %s

  log in as             %s    %s
  or, without webhooks  %s    %s

  The receiver of the demo checks every signature and shows what it got:
                        %s
  An API key of jane's, to change datasets with:
                        %s

  curl %s/user/datasets/ -H "Authorization: APIKey $KEY"

  Endpoints may reach this machine (-allow-networks 127.0.0.0/8,::1/128), which
  is off by default. Everything here is gone when you press Ctrl-C.
  Log: %s

`
