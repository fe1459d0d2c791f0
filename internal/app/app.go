// Package app puts a node together from its parts, runs it, and takes it down
// in the right order.
package app

import (
	"context"
	"encoding/base64"
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/config"
	"fanfare/internal/dispatch"
	"fanfare/internal/egress"
	"fanfare/internal/metrics"
	"fanfare/internal/portal"
	"fanfare/internal/signature"
	"fanfare/internal/store"
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apiregistry "fanfare/internal/api/registry"
	apiwebhooks "fanfare/internal/api/webhooks"
)

// OpenStore opens the database of a configuration. exclusive says that a node
// is about to run on it.
func OpenStore(ctx context.Context, cfg *config.Config, log *slog.Logger, exclusive bool) (*store.Store, error) {
	key := cfg.SecretKey
	if path, sqlite := strings.CutPrefix(cfg.Database, "sqlite:"); key == nil && sqlite {
		var err error
		if key, err = keyFile(path + ".key"); err != nil {
			return nil, err
		}
	}
	sealer, err := auth.NewSealer(key)
	if err != nil {
		return nil, err
	}
	if path, sqlite := strings.CutPrefix(cfg.Database, "sqlite:"); sqlite {
		// SQLite would make the file readable for everybody.
		f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600) //nolint:gosec // the operator names it
		if err != nil {
			return nil, fmt.Errorf("-database: %w", err)
		}
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("-database: %w", err)
		}
	}
	disableAfter := cfg.DisableAfter
	if disableAfter == 0 {
		disableAfter = -1
	}
	return store.Open(ctx, cfg.Database, sealer, log, store.Config{
		Exclusive: exclusive, MaxEvent: cfg.MaxEvent, PublicURL: cfg.PublicURL, DisableAfter: disableAfter,
		Lease:            2*cfg.RequestTimeout + 30*time.Second,
		MessageRetention: cfg.MessageRetention, AttemptRetention: cfg.AttemptRetention,
	})
}

// keyFile reads the secret key beside a SQLite database, and makes one on the
// first start.
func keyFile(path string) ([]byte, error) {
	text, err := os.ReadFile(path) //nolint:gosec // beside the database that the operator names
	if errors.Is(err, fs.ErrNotExist) {
		return makeKeyFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != auth.KeySize {
		return nil, fmt.Errorf("secret key: %s does not hold %d bytes in base64", path, auth.KeySize)
	}
	return key, nil
}

func makeKeyFile(path string) ([]byte, error) {
	key := auth.NewSecretKey()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // beside the database that the operator names
	if errors.Is(err, fs.ErrExist) {
		return keyFile(path) // another process was faster
	}
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	_, err = fmt.Fprintln(f, base64.StdEncoding.EncodeToString(key))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	return key, nil
}

// Node is a node that is open and listens.
type Node struct {
	// Store is its database.
	Store *store.Store
	// URL is where it listens, AdminURL where it does so for operators; empty
	// where it does not.
	URL, AdminURL string

	log        *slog.Logger
	version    string
	client     *egress.Client
	dispatcher *dispatch.Dispatcher
	listener   net.Listener
	server     *http.Server
	draining   atomic.Bool
	metrics    *metrics.Metrics

	admin         *http.Server
	adminListener net.Listener
}

// The bounds of a connection. Large bodies may take minutes on a slow line.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 5 * time.Minute
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
	// drainTimeout is how long requests that are being answered may take once
	// the node is told to stop.
	drainTimeout = 10 * time.Second
)

// Open listens and opens the database. Run serves; whoever does not call it
// must Close the node.
func Open(ctx context.Context, cfg *config.Config, log *slog.Logger, version string) (*Node, error) {
	n := &Node{log: log, version: version}
	var err error
	if n.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("-listen %s: %w", cfg.Listen, err)
	}
	n.URL = "http://" + n.listener.Addr().String()
	own := *cfg
	if own.PublicURL == "" {
		own.PublicURL = n.URL
	}
	if n.Store, err = OpenStore(ctx, &own, log, true); err == nil {
		err = n.open(&own, version)
	}
	if err == nil {
		err = n.openAdmin(ctx, own.AdminListen)
	}
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// Close lets go of everything. Run does so by itself.
func (n *Node) Close() {
	_ = n.listener.Close() // or the server has
	n.closeAdmin()
	if n.Store != nil {
		n.Store.Close()
	}
}

func (n *Node) open(cfg *config.Config, version string) error {
	n.client = egress.New(egress.Config{Allow: cfg.AllowNetworks, Timeout: cfg.RequestTimeout})
	families, _ := signature.ParseFamilies(cfg.SignatureHeaders) // checked with the configuration
	n.dispatcher = dispatch.New(n.Store, dispatch.NewHTTPCaller(n.client, version, families), n.log, dispatch.Config{
		Rules:   dispatch.Rules{Schedule: webhook.Schedule(cfg.RetrySchedule), RetryAfterCap: cfg.RetryAfterCap},
		Timeout: cfg.RequestTimeout,
		Observe: func(r *webhook.Record) { n.metrics.Recorded(r) },
	})
	n.observe(version)
	n.Store.Attach(n.dispatcher)
	logo, err := readLogo(cfg.Portal.BrandLogo)
	if err != nil {
		return err
	}
	pages, err := portal.New(n.Store, n.log, portal.Config{
		Version: version, Secure: cfg.Secure(), HTTPSOnly: cfg.HTTPSOnly,
		Promises: portal.Promises{
			RetrySchedule: cfg.RetrySchedule, RequestTimeout: cfg.RequestTimeout, DisableAfter: cfg.DisableAfter,
			RetryAfterCap: cfg.RetryAfterCap, MessageRetention: cfg.MessageRetention, AttemptRetention: cfg.AttemptRetention,
		},
		EmbedOrigins: cfg.Portal.EmbedOrigins, OperatorToken: cfg.Portal.OperatorToken,
		Brand:  portal.Brand{Name: cfg.Portal.BrandName, Color: cfg.Portal.BrandColor, Logo: logo},
		Egress: egress.Config{Allow: cfg.AllowNetworks}, Breaker: n.dispatcher.Breaker,
	})
	if err != nil {
		return err
	}
	api := apiregistry.New(n.Store, n.log, apiregistry.Config{
		Bounds: web.Bounds{Wire: cfg.MaxBody, Unpacked: cfg.MaxUnpacked}, PublicURL: cfg.PublicURL, MaxAsset: cfg.MaxAsset,
	})
	sender := apiwebhooks.New(n.Store, n.log, apiwebhooks.Config{
		PublicURL: cfg.PublicURL, HTTPSOnly: cfg.HTTPSOnly, Asymmetric: cfg.SignatureType == config.Ed25519,
	})
	n.server = &http.Server{
		Handler:           web.Log(n.log, broken(pages), web.Admit(cfg.MaxInFlight, n.faces(pages, api, sender))),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: bodyTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(n.log.Handler(), slog.LevelWarn),
	}
	n.server.RegisterOnShutdown(pages.Stop)
	return nil
}

// readLogo reads the picture that pages show; nil where there is none.
func readLogo(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("-brand-logo: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	logo, err := io.ReadAll(io.LimitReader(f, portal.MaxLogo+1))
	if err != nil {
		return nil, fmt.Errorf("-brand-logo: %w", err)
	}
	if err := portal.CheckLogo(logo); err != nil {
		return nil, fmt.Errorf("-brand-logo %s: %w", path, err)
	}
	return logo, nil
}

// isPage reports whether a path is one of the pages. All others are the
// registry's, whose clients take no prefix.
func isPage(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "":
		return path == "/" || path == ""
	case "login", "logout", "account", "webhooks", "operator", "docs", "static", "metrics":
		return true
	default:
		return false
	}
}

// isSender reports whether a path is one of the sender's API.
func isSender(path string) bool {
	return strings.HasPrefix(path, apiwebhooks.Prefix+"/") || path == apiwebhooks.Prefix
}

// faces chooses who answers, by the raw path.
func (n *Node) faces(pages, api, sender http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isSender(strings.TrimPrefix(r.URL.EscapedPath(), "/")) {
			// A client library leaves the last slash of its server's URL there.
			r.URL.Path, r.URL.RawPath = r.URL.Path[1:], strings.TrimPrefix(r.URL.RawPath, "/")
		}
		switch path := r.URL.EscapedPath(); {
		case isSender(path):
			sender.ServeHTTP(w, r)
		case path == "/healthz":
			healthy(w, r)
		case path == metricsPath:
			n.scrape(w, r)
		case path == "/readyz":
			n.ready(w, r)
		case isPage(path):
			pages.ServeHTTP(w, r)
		default:
			api.ServeHTTP(w, r)
		}
	})
}

func broken(pages *portal.Portal) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.EscapedPath(); {
		case isSender(path):
			apiwebhooks.Broken(w, r)
		case isPage(path):
			pages.Broken(w, r)
		default:
			apiregistry.Broken(w, r)
		}
	})
}

// ready says whether the node takes work: the database answers, and it is not
// about to stop.
func (n *Node) ready(w http.ResponseWriter, r *http.Request) {
	if err := n.Store.Ping(r.Context()); err != nil || n.draining.Load() {
		web.JSON(w, http.StatusServiceUnavailable, []byte(`{"status":"unavailable"}`))
		return
	}
	web.JSON(w, http.StatusOK, []byte(`{"status":"ok"}`))
}

// Run serves until ctx ends, then takes the node down: requests that are being
// answered are finished, calls in flight end or are given back, and the
// database is closed.
func (n *Node) Run(ctx context.Context) error {
	defer n.Close()
	defer n.client.Close()
	oneMoreProcessor()
	relaxGC()
	var background sync.WaitGroup
	dispatching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer background.Wait()
	defer stop()
	background.Go(func() {
		if err := n.dispatcher.Run(dispatching); err != nil {
			n.log.ErrorContext(ctx, "dispatcher", "error", err)
		}
	})
	background.Go(func() { n.upkeep(dispatching) })
	background.Go(func() { n.tasks(dispatching) })
	background.Go(func() { n.index(dispatching) })
	background.Go(func() { n.watch(dispatching) })
	background.Go(func() { n.serveAdmin(dispatching) })
	defer n.closeAdmin()
	background.Go(func() {
		n.Store.RunDigests(dispatching, func(err error) { n.log.ErrorContext(ctx, "digests", "error", err) })
	})

	failed := make(chan error, 1)
	go func() { failed <- n.server.Serve(n.listener) }()
	n.log.InfoContext(ctx, "listening", "url", n.URL)
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	n.draining.Store(true)
	n.log.InfoContext(ctx, "draining")
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := n.server.Shutdown(wait); err != nil {
		n.log.WarnContext(ctx, "requests were cut short", "error", err)
		_ = n.server.Close()
	}
	return nil
}

// upkeepEvery is how often the node looks for work that nobody told it of.
const upkeepEvery = 15 * time.Second

// upkeep does in the background, a slice at a time, what nobody waits for:
// builds releases, sends the events of clones, and removes what is no longer
// held.
func (n *Node) upkeep(ctx context.Context) {
	tick := time.NewTicker(upkeepEvery)
	defer tick.Stop()
	started := time.Now()
	defer func() {
		if err := n.Store.Leave(context.WithoutCancel(ctx)); err != nil {
			n.log.WarnContext(ctx, "upkeep", "error", err)
		}
	}()
	for {
		if err := n.Store.Beat(ctx, n.version, n.listener.Addr().String(), started); err != nil && ctx.Err() == nil {
			n.log.ErrorContext(ctx, "upkeep", "error", err)
		}
		for _, work := range []func(context.Context) (bool, error){
			n.Store.SendCloneEvents, n.Store.BuildRelease, n.Store.RemoveDeleted, n.Store.RemoveContent,
			n.Store.RemoveExpired, n.Store.RemoveOld, n.Store.RemoveOldNames, n.Store.RemoveOldDigests, n.Store.RemoveOldOfApplications,
		} {
			for more := true; more && ctx.Err() == nil; {
				var err error
				if more, err = work(ctx); err != nil && ctx.Err() == nil {
					n.log.ErrorContext(ctx, "upkeep", "error", err)
				}
			}
		}
		select {
		case <-tick.C:
		case <-n.Store.Work():
		case <-ctx.Done():
			return
		}
	}
}

// index keeps the index of names close behind the messages, whatever else there
// is to do.
func (n *Node) index(ctx context.Context) {
	tick := time.NewTicker(upkeepEvery)
	defer tick.Stop()
	for {
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = n.Store.IndexNames(ctx); err != nil && ctx.Err() == nil {
				n.log.ErrorContext(ctx, "index of names", "error", err)
			}
		}
		select {
		case <-tick.C:
		case <-n.Store.NamesToIndex():
		case <-ctx.Done():
			return
		}
	}
}

// tasks works on background tasks, one slice of one of them at a time, so that
// none holds up another.
func (n *Node) tasks(ctx context.Context) {
	for {
		next, err := n.Store.RunTask(ctx)
		wait := upkeepEvery
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			n.log.ErrorContext(ctx, "background task", "error", err)
		case !next.IsZero():
			wait = min(wait, time.Until(next))
		}
		select {
		case <-time.After(max(0, wait)):
		case <-n.Store.TaskWork():
		case <-ctx.Done():
			return
		}
	}
}
