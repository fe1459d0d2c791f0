package portal

import (
	"bytes"
	"context"
	"embed"
	"encoding/hex"
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/egress"
	"fanfare/internal/guide"
	"fanfare/internal/registry"
	"fanfare/internal/store"
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// Config is what a Portal can be told.
type Config struct {
	// Version is shown at the foot of each page.
	Version string
	// Secure says that people come by https, so that cookies may say so too.
	Secure bool
	// HTTPSOnly refuses endpoints with plain http.
	HTTPSOnly bool
	// Promises are what the documentation tells.
	Promises Promises
	// EmbedOrigins may show what a link opens in a frame.
	EmbedOrigins []string
	Brand        Brand
	// OperatorToken opens the operator's pages; empty leaves them to accounts.
	OperatorToken string
	// Egress is what endpoints can be reached by, so that forms can warn.
	Egress egress.Config
	// Breaker tells whether this node rests an endpoint; nil when nothing is
	// sent from here.
	Breaker func(endpoint webhook.ID) webhook.Breaker
}

// Portal serves the pages.
type Portal struct {
	store     *store.Store
	log       *slog.Logger
	cfg       Config
	templates *template.Template
	assets    map[string][]byte
	versions  map[string]string
	guesses   auth.Limiter
	guide     *guide.Guide
	router    web.Router
	// routesKnown are the routes of router.
	routesKnown []string
	// tails counts the live tails; stopped ends them all.
	tails   tails
	stopped chan struct{}
	stop    func()
}

// New makes the pages of a store.
func New(s *store.Store, log *slog.Logger, cfg Config) (*Portal, error) {
	p := &Portal{
		store: s, log: log, cfg: cfg,
		assets: map[string][]byte{}, versions: map[string]string{},
		guesses: auth.Limiter{Burst: 10, Refill: 30 * time.Second},
		stopped: make(chan struct{}),
	}
	p.stop = sync.OnceFunc(func() { close(p.stopped) })
	if p.cfg.Breaker == nil {
		p.cfg.Breaker = func(webhook.ID) webhook.Breaker { return webhook.Breaker{} }
	}
	if err := errors.Join(p.loadAssets(), p.loadBrand(cfg.Brand)); err != nil {
		return nil, err
	}
	var err error
	if p.guide, err = guide.New(cfg.Promises.facts()); err != nil {
		return nil, err
	}
	p.templates, err = template.New("").Funcs(p.functions()).ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	p.router.NotFound = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.fail(w, r, webhook.ErrNotFound) })
	p.routes()
	p.routesKnown = p.router.Routes()
	return p, nil
}

// functions are what templates can call.
func (p *Portal) functions() template.FuncMap {
	return template.FuncMap{
		"asset":     func(name string) string { return "/static/" + name + "?v=" + p.versions[name] },
		"rfc3339":   func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"exact":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"exactForm": func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"clock":     func(t time.Time) string { return t.UTC().Format("2 Jan 15:04") },
		"day":       func(t time.Time) string { return t.UTC().Format("2 January 2006") },
		"short":     short,
		"gathers":   gathers,
		"count":     count,
		"mark":      mark,
		"waiting":   waiting,
		"icon":      p.icon,
		"brand":     p.brandName,
		"has":       func(asset string) bool { return p.assets[asset] != nil },
		"join":      func(names []string) string { return strings.Join(names, ", ") },
		"list":      func(items ...string) []string { return items },
		"row":       func(base string, row attemptRow) rowView { return rowView{base, row} },
	}
}

func (p *Portal) loadAssets() error {
	return fs.WalkDir(staticFiles, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := staticFiles.ReadFile(name)
		p.addAsset(path.Base(name), data)
		return err
	})
}

func (p *Portal) addAsset(name string, data []byte) {
	p.assets[name] = data
	p.versions[name] = hex.EncodeToString(auth.Hash(string(data))[:6])
}

func (p *Portal) routes() {
	open := func(route string, h func(http.ResponseWriter, *http.Request) error) {
		p.router.Handle(route, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := h(w, r); err != nil {
				p.fail(w, r, err)
			}
		}))
	}
	// Anybody.
	open("GET /static/{file}", p.asset)
	open("GET /login", p.loginPage)
	open("POST /login", p.login)
	open("POST /logout", p.logout)
	open("GET "+web.AccessPath+"{code}", p.accessPage)
	open("POST "+web.AccessPath+"{code}", p.access)

	// Whoever is logged in.
	p.member("GET /", func(v *visit) error { return v.redirect("/account") })
	p.member("GET /account", func(v *visit) error { return v.redirect("/account/" + v.user.Name) })

	// Whoever may act for the account.
	p.owner("GET /account/{account}", p.accountPage)
	p.owner("POST /account/{account}/webhooks", p.enableWebhooks)
	p.owner("POST /account/{account}/keys", p.createKey)
	p.owner("GET /account/{account}/keys/{key}/revoke", p.revokeKeyPage)
	p.owner("POST /account/{account}/keys/{key}/revoke", p.revokeKey)

	// Whoever may act for the account, once it has had webhooks enabled, and
	// whoever came with a link for the application and has the capability.
	view, manage, send := webhook.ViewBase, webhook.ManageEndpoint, webhook.CreateAttempts
	p.webhooks("GET /webhooks/{account}", view, func(v *visit) error { return v.redirect(v.base() + "/endpoints") })
	p.webhooks("GET /webhooks/{account}/endpoints", view, p.endpointsPage)
	p.webhooks("POST /webhooks/{account}/endpoints", manage, p.createEndpoint)
	p.webhooks("GET /webhooks/{account}/endpoints/new", manage, p.newEndpointPage)
	p.webhooks("GET /webhooks/{account}/endpoints/check-url", manage, p.checkURLPart)
	p.webhooks("POST /webhooks/{account}/endpoints/dry-run", manage, p.dryRunPart)
	p.webhooks("POST /webhooks/{account}/endpoints/preview", manage, p.chatPreviewPart)
	p.endpointRoutes()
	p.webhooks("GET /webhooks/{account}/events", view, p.eventsPage)
	p.webhooks("GET /webhooks/{account}/events/{event}", view, p.eventPage)
	p.webhooks("GET /webhooks/{account}/events/{event}/attempts/{attempt}", view, p.attemptPage)
	p.webhooks("POST /webhooks/{account}/events/{event}/replay", send, p.replay)

	p.furtherRoutes(open)
}

// endpointRoutes are those of a single endpoint.
func (p *Portal) endpointRoutes() {
	view, manage, send := webhook.ViewBase, webhook.ManageEndpoint, webhook.CreateAttempts
	const endpoint = " /webhooks/{account}/endpoints/{endpoint}"
	p.webhooks("GET"+endpoint, view, p.endpointPage)
	p.webhooks("GET"+endpoint+"/tail", view, p.tail)
	p.webhooks("GET"+endpoint+"/edit", manage, p.editEndpointPage)
	p.webhooks("POST"+endpoint+"/edit", manage, p.editEndpoint)
	p.webhooks("POST"+endpoint+"/dry-run", manage, p.dryRunPart)
	p.webhooks("POST"+endpoint+"/enable", manage, p.enableEndpoint)
	p.webhooks("POST"+endpoint+"/pause", manage, p.pauseEndpoint)
	p.webhooks("GET"+endpoint+"/resume", manage, p.resumePage)
	p.webhooks("POST"+endpoint+"/resume", manage, p.resumeEndpoint)
	p.webhooks("GET"+endpoint+"/disable", manage, p.disableEndpointPage)
	p.webhooks("POST"+endpoint+"/disable", manage, p.disableEndpoint)
	p.webhooks("GET"+endpoint+"/delete", manage, p.deleteEndpointPage)
	p.webhooks("POST"+endpoint+"/delete", manage, p.deleteEndpoint)
	p.webhooks("POST"+endpoint+"/secret", webhook.ViewEndpointSecret, p.revealSecret)
	p.webhooks("GET"+endpoint+"/rotate", webhook.ManageEndpointSecret, p.rotatePage)
	p.webhooks("POST"+endpoint+"/rotate", webhook.ManageEndpointSecret, p.rotateSecret)
	p.webhooks("GET"+endpoint+"/test", send, p.trialPage)
	p.webhooks("POST"+endpoint+"/test", send, p.sendTrial)
	p.webhooks("GET"+endpoint+"/replay", send, p.replayPage)
	p.webhooks("POST"+endpoint+"/replay", send, p.startReplay)
	p.webhooks("GET"+endpoint+"/replays/{task}", view, p.taskPage)
	p.webhooks("POST"+endpoint+"/replays/{task}/cancel", send, p.cancelTask)
}

// maxForm bounds what a form may send, in bytes.
const maxForm = 1 << 20

// ServeHTTP implements http.Handler.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", p.contentPolicy(r.URL.Path))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	if p.cfg.Secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	p.guard().Handler(&p.router).ServeHTTP(w, r)
}

// guard refuses forms that another site had a browser send.
func (p *Portal) guard() *http.CrossOriginProtection {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.fail(w, r, registry.ErrForbidden) }))
	return guard
}

func (p *Portal) asset(w http.ResponseWriter, r *http.Request) error {
	data, ok := p.assets[r.PathValue("file")]
	if !ok {
		return webhook.ErrNotFound
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	if r.PathValue("file") == logoAsset {
		w.Header().Set("Content-Type", logoType(data))
		// It is a picture, also when somebody opens it by itself.
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	}
	http.ServeContent(w, r, r.PathValue("file"), time.Time{}, bytes.NewReader(data))
	return nil
}

// visit is a request of somebody who is logged in.
type visit struct {
	*http.Request
	w       http.ResponseWriter
	p       *Portal
	user    registry.Account
	account registry.Account
	// accounts are those that the user may act for.
	accounts []registry.Account
	// token is what somebody came with who has no account here. Then account
	// stands for the application and is no account of the registry.
	token *webhook.Token
}

func (p *Portal) member(route string, h func(*visit) error) { p.router.Handle(route, p.asMember(h)) }

func (p *Portal) owner(route string, h func(*visit) error) { p.router.Handle(route, p.asOwner(h)) }

// asMember lets in whoever is logged in.
func (p *Portal) asMember(h func(*visit) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := p.session(r)
		if errors.Is(err, webhook.ErrNotFound) {
			p.toLogin(w, r)
			return
		}
		if err == nil {
			w.Header().Set("Cache-Control", "no-store")
			err = h(&visit{Request: r, w: w, p: p, user: user, account: user})
		}
		if err != nil {
			p.fail(w, r, err)
		}
	})
}

// asOwner lets in whoever may act for the account of the path.
func (p *Portal) asOwner(h func(*visit) error) http.Handler {
	return p.asMember(func(v *visit) (err error) {
		v.account, err = p.store.Administers(v.Context(), v.user.ID, v.PathValue("account"))
		if errors.Is(err, registry.ErrNotAdministrator) {
			err = webhook.ErrNotFound
		}
		if err == nil {
			v.accounts, err = p.accountsOf(v)
		}
		if err != nil {
			return err
		}
		return h(v)
	})
}

// accountsOf lists the accounts that the user may act for.
func (p *Portal) accountsOf(v *visit) ([]registry.Account, error) {
	memberships, err := p.store.Memberships(v.Context(), v.user.ID)
	accounts := []registry.Account{v.user}
	for _, m := range memberships {
		if m.Admin {
			accounts = append(accounts, m.Organization)
		}
	}
	return accounts, err
}

func (p *Portal) webhooks(route string, can webhook.Capability, h func(*visit) error) {
	var byAccount http.Handler
	p.router.Handle(route, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := webhook.ApplicationID.Parse(r.PathValue("account")); err != nil {
			byAccount.ServeHTTP(w, r)
			return
		}
		if err := p.byToken(w, r, can, h); err != nil {
			p.fail(w, r, err)
		}
	}))
	byAccount = p.asOwner(func(v *visit) error {
		if v.account.Application.IsZero() {
			return v.redirect("/account/" + v.account.Name)
		}
		return h(v)
	})
}

// can reports whether the visitor may do a thing.
func (v *visit) can(c webhook.Capability) bool { return v.token == nil || v.token.Can(c) }

func (v *visit) base() string { return "/webhooks/" + v.account.Name }

// redirect sends the browser to a page of ours (303, so that it asks with GET).
func (v *visit) redirect(to string) error {
	http.Redirect(v.w, v.Request, to, http.StatusSeeOther) //nolint:gosec // a path of ours
	return nil
}

// show renders a page whole before the first byte goes out, so that a fault
// shows as an error page and not as half of this one.
func (v *visit) show(status int, name string, data any) error {
	return v.p.render(v.w, status, name, data)
}

func (p *Portal) render(w http.ResponseWriter, status int, name string, data any) error {
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // whoever asked has gone
	return nil
}

// icon draws the icon that a template holds.
func (p *Portal) icon(name string) (template.HTML, error) {
	var b bytes.Buffer
	err := p.templates.ExecuteTemplate(&b, name, nil)
	return template.HTML(b.String()), err //nolint:gosec // a template of ours without data
}

// failure is what the page of an error shows.
type failure struct{ Title, Text, RequestID string }

// fail shows what went wrong.
func (p *Portal) fail(w http.ResponseWriter, r *http.Request, err error) {
	data := failure{"Something went wrong", "The fault is ours. It is in the log under this number.", web.RequestID(r.Context())}
	status := http.StatusInternalServerError
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case errors.Is(err, webhook.ErrNotFound):
		status, data.Title, data.Text, data.RequestID = http.StatusNotFound, "Not found", "There is nothing here, or it is not yours to see.", ""
	case errors.Is(err, registry.ErrForbidden):
		status, data.Title, data.Text = http.StatusForbidden, "Refused", "This form was sent by another site. Go back and try again from here."
	case tooLarge:
		status, data.Title, data.Text = http.StatusRequestEntityTooLarge, "Too much", "The form sent more than fits."
	case errors.Is(err, webhook.ErrUnavailable):
		w.Header().Set("Retry-After", "2")
		status, data.Title, data.Text = http.StatusServiceUnavailable, "Not available now", "The database cannot take this at the moment. Nothing was changed; try again."
	}
	if status >= http.StatusInternalServerError && !errors.Is(r.Context().Err(), context.Canceled) {
		p.log.ErrorContext(r.Context(), "page failed", "request", data.RequestID, "error", err)
	}
	if err := p.render(w, status, "error.html", data); err != nil {
		http.Error(w, data.Title, status)
	}
}

// short leaves out what makes a URL long.
func short(raw string) string {
	const most = 60
	u, err := url.Parse(raw)
	if err == nil {
		raw = u.Host + u.EscapedPath()
	}
	if runes := []rune(raw); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return raw
}

// Broken shows the page for a handler that panicked.
func (p *Portal) Broken(w http.ResponseWriter, r *http.Request) { p.fail(w, r, errors.New("panic")) }
