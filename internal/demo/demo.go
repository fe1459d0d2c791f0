// Package demo fills a fresh node with something to look at: two accounts, a
// dataset, an endpoint with a receiver that checks every signature, and a feed
// of changes that goes through the public HTTP API like anybody's.
package demo

import (
	"context"
	"fanfare/internal/auth"
	"fanfare/internal/registry"
	"fanfare/internal/signature"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Demo is what the demo made.
type Demo struct {
	// Logins are the accounts and their passwords, jane first.
	Logins []Login
	// Key is an API key of jane.
	Key string
	// ReceiverURL is where the receiver shows what it got.
	ReceiverURL string

	receiver *receiver
	listener net.Listener
	log      *slog.Logger
}

// Login is an account somebody can log in as.
type Login struct{ Name, Password string }

// Prepare makes the accounts and the endpoint in an empty store, and listens
// for webhooks.
func Prepare(ctx context.Context, s *store.Store, log *slog.Logger) (*Demo, error) {
	d := &Demo{log: log, Key: auth.NewToken(auth.APIKeyPrefix)}
	var jane registry.Account
	for _, name := range []string{"jane", "john"} {
		password := auth.NewToken("")[:12]
		hash, err := auth.HashPassword(password)
		if err != nil {
			return nil, err
		}
		account, err := s.CreateAccount(ctx, registry.Account{Name: name, Email: name + "@example.com"}, hash)
		if err != nil {
			return nil, err
		}
		d.Logins = append(d.Logins, Login{name, password})
		if name == "jane" {
			jane = account
		}
	}
	if _, err := s.CreateAPIKey(ctx, jane.ID, "demo feed", auth.Hash(d.Key), auth.Hint(d.Key)); err != nil {
		return nil, err
	}
	jane, err := s.EnableWebhooks(ctx, jane.ID, jane.Name, true)
	if err != nil {
		return nil, err
	}
	if d.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	d.ReceiverURL = "http://" + d.listener.Addr().String() + "/"
	secret := signature.NewSecret()
	d.receiver = &receiver{secret: secret}
	_, err = s.CreateEndpoint(ctx, webhook.Endpoint{
		Application: jane.Application, URL: d.ReceiverURL + "webhooks", Version: 1, Description: "The receiver of this demo",
		Secrets: []webhook.Secret{{Key: secret}},
	})
	return d, err
}

// Run receives webhooks and feeds changes to the node at url until ctx ends.
func (d *Demo) Run(ctx context.Context, url string) error {
	server := &http.Server{Handler: d.receiver.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	f := feed{url: url, key: d.Key}
	go func() {
		if err := f.run(ctx); err != nil && ctx.Err() == nil {
			d.log.ErrorContext(ctx, "the demo's feed stopped", "error", err)
		}
	}()
	if err := server.Serve(d.listener); ctx.Err() == nil {
		return fmt.Errorf("demo receiver: %w", err)
	}
	return nil
}
