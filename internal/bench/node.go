package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fanfare/internal/app"
	"fanfare/internal/auth"
	"fanfare/internal/config"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
)

// node is the process that runs Fanfare, as fanfare serve does.
type node struct {
	running sync.WaitGroup
	stop    context.CancelFunc
}

// opened is where a node listens and a token of its main environment.
type opened struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

func (n *node) do(ctx context.Context, what string, args json.RawMessage) (any, error) {
	switch what {
	case "open":
		var cfg config.Config
		if err := json.Unmarshal(args, &cfg); err != nil {
			return nil, err
		}
		return n.open(ctx, &cfg)
	case "load":
		var a loadArgs
		if err := json.Unmarshal(args, &a); err != nil {
			return nil, err
		}
		return loadHistory(ctx, a)
	default:
		return nil, fmt.Errorf("a node cannot %q", what)
	}
}

func (n *node) open(ctx context.Context, cfg *config.Config) (*opened, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	running, err := app.Open(ctx, cfg, log, "bench")
	if err != nil {
		return nil, err
	}
	token, err := newToken(ctx, running.Store)
	if err != nil {
		running.Close()
		return nil, err
	}
	ctx, n.stop = context.WithCancel(ctx)
	n.running.Go(func() {
		if err := running.Run(ctx); err != nil {
			log.ErrorContext(ctx, "node", "error", err)
		}
	})
	return &opened{running.URL, token}, nil
}

func (n *node) close() {
	if n.stop != nil {
		n.stop()
	}
	n.running.Wait()
}

func newToken(ctx context.Context, s *store.Store) (string, error) {
	environment, err := s.Environment(ctx, store.MainEnvironment)
	if err != nil {
		return "", err
	}
	secret := auth.NewToken(auth.BearerPrefix)
	_, err = s.CreateToken(ctx, webhook.Token{Environment: environment, Hint: auth.Hint(secret)}, auth.Hash(secret))
	return secret, err
}

// remote is a node as its clients see it.
type remote struct {
	*process
	opened
	cfg    *config.Config
	client http.Client
}

// openNode starts a node on a fresh database.
func (b *run) openNode(ctx context.Context) (*remote, error) {
	cfg, err := b.fresh(ctx)
	if err != nil {
		return nil, err
	}
	return b.reopen(ctx, cfg)
}

// reopen starts a node on a database that is there, and returns once it
// listens.
func (b *run) reopen(ctx context.Context, cfg *config.Config) (*remote, error) {
	p, err := b.start(roleNode)
	if err != nil {
		return nil, err
	}
	n := &remote{process: p, cfg: cfg}
	return n, p.ask(ctx, "open", cfg, &n.opened)
}

// address is the node's "host:port".
func (n *remote) address() string { return n.URL[len("http://"):] }

// post makes something through the API and returns its id.
func (n *remote) post(ctx context.Context, path string, in any) (id string, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	text, err := n.call(ctx, http.MethodPost, path, body)
	if err != nil {
		return "", err
	}
	var made struct {
		ID string `json:"id"`
	}
	return made.ID, json.Unmarshal(text, &made)
}

// get asks for something and expects to get it.
func (n *remote) get(ctx context.Context, path string) error {
	_, err := n.call(ctx, http.MethodGet, path, nil)
	return err
}

func (n *remote) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, method, n.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Authorization", "Bearer "+n.Token)
	q.Header.Set("Content-Type", "application/json")
	answer, err := n.client.Do(q)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, 16<<20))
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, err
	}
	if answer.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: answered %d: %s", method, path, answer.StatusCode, text)
	}
	return text, nil
}

// application makes an application with an endpoint at each of the URLs, and
// returns the path for its messages.
func (n *remote) application(ctx context.Context, name, secret string, urls ...string) (messages string, err error) {
	app, err := n.post(ctx, "/api/v1/app", map[string]any{"name": name})
	if err != nil {
		return "", err
	}
	path := "/api/v1/app/" + app
	for _, url := range urls {
		if _, err := n.post(ctx, path+"/endpoint", map[string]any{"url": url, "secret": secret}); err != nil {
			return "", err
		}
	}
	return path + "/msg", nil
}
