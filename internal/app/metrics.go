package app

import (
	"context"
	"errors"
	"fanfare/internal/metrics"
	"fanfare/internal/store"
	"fanfare/internal/web"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// metricsPath is where Prometheus looks.
const metricsPath = "/metrics"

// observe has the metrics told of what the node does.
func (n *Node) observe(version string) {
	n.metrics = metrics.New(version, n.dispatcher)
	n.Store.Observe(func(c store.Commit) { n.metrics.Committed(c.Work, c.Messages, c.Took) })
}

// watch counts what waits, often enough to be of use and so seldom that the
// counting takes no more than a fiftieth of the time.
func (n *Node) watch(ctx context.Context) {
	const often, share = 5 * time.Second, 50
	for {
		began := time.Now()
		waiting, oldestDue, err := n.Store.Backlog(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			n.log.ErrorContext(ctx, "count of what waits", "error", err)
		default:
			n.metrics.Backlog(waiting, oldestDue)
		}
		select {
		case <-time.After(max(often, share*time.Since(began))):
		case <-ctx.Done():
			return
		}
	}
}

// proxied are headers that a proxy adds.
var proxied = []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"}

// scrape answers on the main listener, where there is no other: to programs on
// this machine alone, and not through a proxy, behind which everybody looks
// like one.
func (n *Node) scrape(w http.ResponseWriter, r *http.Request) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	local := err == nil && peer.Addr().Unmap().IsLoopback()
	for _, name := range proxied {
		local = local && r.Header.Get(name) == ""
	}
	if !local || n.admin != nil {
		http.NotFound(w, r)
		return
	}
	n.metrics.Handler().ServeHTTP(w, r)
}

// openAdmin listens on the address for operators, if there is one: whoever
// reaches it may read the metrics and the health of the node.
func (n *Node) openAdmin(ctx context.Context, address string) error {
	if address == "" {
		return nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("-admin-listen %s: %w", address, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+metricsPath, n.metrics.Handler())
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /readyz", n.ready)
	n.AdminURL = "http://" + l.Addr().String()
	n.admin = &http.Server{
		Handler: mux, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: idleTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
	}
	n.adminListener = l
	return nil
}

// serveAdmin serves operators until the node closes.
func (n *Node) serveAdmin(ctx context.Context) {
	if n.admin == nil {
		return
	}
	n.log.InfoContext(ctx, "listening for operators", "url", n.AdminURL)
	if err := n.admin.Serve(n.adminListener); !errors.Is(err, http.ErrServerClosed) {
		n.log.ErrorContext(ctx, "listener for operators", "error", err)
	}
}

func (n *Node) closeAdmin() {
	if n.admin != nil {
		_ = n.admin.Close()
		_ = n.adminListener.Close() // or the server has
	}
}

func healthy(w http.ResponseWriter, _ *http.Request) {
	web.JSON(w, http.StatusOK, []byte(`{"status":"ok"}`))
}
