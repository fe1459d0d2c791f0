package portal

import (
	"crypto/subtle"
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/registry"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"
)

// operatorLife ends a session that began with the operator's token.
const operatorLife = 12 * time.Hour

func (p *Portal) operatorRoutes(open func(route string, h func(http.ResponseWriter, *http.Request) error)) {
	// Anybody, where a token is configured; there is nothing here otherwise.
	open("GET /operator/login", p.operatorLoginPage)
	open("POST /operator/login", p.operatorLogin)

	// Operator accounts, and whoever has entered the operator's token. To
	// everybody else there is nothing here.
	p.operator("GET /operator", p.operatorPage)
	p.operator("GET /operator/applications", p.tenantsPage)
	p.operator("GET /operator/applications/{app}", p.tenantPage)
	p.operator("GET /operator/event-types", p.typesPage)
	p.operator("POST /operator/logout", p.operatorLogout)
}

func (p *Portal) operatorCookie() string { return p.cookieName() + "-operator" }

// operatorHash is under what a session is found. The token is part of it, so
// that another token ends all sessions of the one before.
func (p *Portal) operatorHash(session string) []byte {
	return auth.Hash(session + "\x00" + p.cfg.OperatorToken)
}

// operator lets in operators. To others it is as if there were no such page.
func (p *Portal) operator(route string, h func(*visit) error) {
	p.router.Handle(route, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := p.operates(r)
		if err == nil {
			w.Header().Set("Cache-Control", "no-store")
			v := &visit{Request: r, w: w, p: p, user: user, account: user}
			if !user.ID.IsZero() {
				v.accounts, err = p.accountsOf(v)
			}
			if err == nil {
				err = h(v)
			}
		}
		if err != nil {
			p.fail(w, r, err)
		}
	}))
}

// operates finds who looks at the operator's pages; for somebody with the
// token it is an account without a name.
func (p *Portal) operates(r *http.Request) (registry.Account, error) {
	user, err := p.session(r)
	if err == nil && user.Operator {
		return user, nil
	}
	if err != nil && !isNotFound(err) {
		return user, err
	}
	cookie, err := r.Cookie(p.operatorCookie())
	if err != nil || p.cfg.OperatorToken == "" {
		return user, webhook.ErrNotFound
	}
	began, err := p.store.OperatorSession(r.Context(), p.operatorHash(cookie.Value))
	if err == nil && time.Since(began) > operatorLife {
		err = webhook.ErrNotFound
	}
	return registry.Account{Operator: true}, err
}

func (p *Portal) operatorLoginPage(w http.ResponseWriter, _ *http.Request) error {
	if p.cfg.OperatorToken == "" {
		return webhook.ErrNotFound
	}
	w.Header().Set("Cache-Control", "no-store")
	return p.render(w, http.StatusOK, "operator_login.html", loginView{Title: "Operator"})
}

func (p *Portal) operatorLogin(w http.ResponseWriter, r *http.Request) error {
	if p.cfg.OperatorToken == "" {
		return webhook.ErrNotFound
	}
	if err := r.ParseForm(); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	now, by := time.Now(), "operator "+auth.AddressKey(r.RemoteAddr)
	if wait := p.guesses.Wait(now, by); wait > 0 {
		seconds := int(math.Ceil(wait.Seconds()))
		w.Header().Set("Retry-After", fmt.Sprint(seconds))
		return p.render(w, http.StatusTooManyRequests, "operator_login.html", loginView{
			Title: "Operator", Problem: fmt.Sprintf("Too many tries. Wait %d seconds and try again.", seconds),
		})
	}
	// Hashes have one length: how long it takes tells nothing.
	given, want := auth.Hash(strings.TrimSpace(r.PostFormValue("token"))), auth.Hash(p.cfg.OperatorToken)
	if subtle.ConstantTimeCompare(given, want) != 1 {
		p.guesses.Failed(now, by)
		return p.render(w, http.StatusUnauthorized, "operator_login.html", loginView{Title: "Operator", Problem: "This is not the operator's token."})
	}
	session := auth.NewToken("")
	if err := p.store.SaveOperatorSession(r.Context(), p.operatorHash(session)); err != nil {
		return err
	}
	http.SetCookie(w, p.cookie(p.operatorCookie(), session, int(operatorLife.Seconds())))
	http.Redirect(w, r, "/operator", http.StatusSeeOther)
	return nil
}

func (p *Portal) operatorLogout(v *visit) error {
	cookie, err := v.Cookie(p.operatorCookie())
	if err == nil {
		err = p.store.DeleteSession(v.Context(), p.operatorHash(cookie.Value), time.Now().Add(-sessionIdle))
	}
	if err != nil && !errors.Is(err, http.ErrNoCookie) {
		return err
	}
	http.SetCookie(v.w, p.cookie(p.operatorCookie(), "", -1))
	return v.redirect("/docs")
}

// operatorView is what an operator sees first.
type operatorView struct {
	page

	Tab              string
	Backlog          store.Queue
	Open, Due        string
	Fullest          []waitingRow
	Succeeded, Calls int64
	Rate             string
	Failing          []troubleRow
	Slowest          []paceRow
	Nodes            []nodeRow
	Database         string
	Heap, Ping       string
	Goroutines       int
	// ByToken says that the visitor has no account and may leave.
	ByToken bool
}

type waitingRow struct{ App, Name, URL, Deliveries string }

type troubleRow struct {
	App, Name, URL, State, Reason string
	Since                         time.Time
}

type paceRow struct {
	App, Name, URL string
	Half, Most     string
	Calls          int64
	Rate           string
}

type nodeRow struct {
	store.Node

	State string
	Self  bool
}

// listed is how many endpoints each list of the operator has.
const listed = 10

func (p *Portal) operatorPage(v *visit) error {
	ctx, hour := v.Context(), time.Now().Add(-time.Hour)
	view := operatorView{page: v.page("Operator", "operator"), Tab: "overview", ByToken: v.user.ID.IsZero()}
	begin := time.Now()
	if err := p.store.Ping(ctx); err != nil {
		return err
	}
	if view.Ping = took(time.Since(begin)); view.Ping == "0.0 ms" {
		view.Ping = "under 0.1 ms"
	}
	backlog, err := p.store.Queued(ctx)
	if err != nil {
		return err
	}
	view.Backlog, view.Open, view.Due = backlog, counted(backlog.Open), counted(backlog.Due)
	for _, w := range backlog.Fullest {
		view.Fullest = append(view.Fullest, waitingRow{appRef(w.Application), w.ApplicationName, w.URL, grouped(w.Deliveries)})
	}
	succeeded, failed, err := p.store.Sent(ctx, hour)
	if err != nil {
		return err
	}
	view.Succeeded, view.Calls, view.Rate = succeeded, succeeded+failed, share(succeeded, succeeded+failed)
	if err := p.troubles(v, &view, hour); err != nil {
		return err
	}
	nodes, err := p.store.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		row := nodeRow{Node: n, State: "alive", Self: n.ID == p.store.Self()}
		if time.Since(n.SeenAt) > store.NodeSilent {
			row.State = "silent"
		}
		view.Nodes = append(view.Nodes, row)
	}
	kind, size, err := p.store.Database(ctx)
	if err != nil {
		return err
	}
	view.Database = databaseName(kind) + ", " + bytesInWords(size)
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	view.Heap, view.Goroutines = bytesInWords(int64(memory.HeapInuse)), runtime.NumGoroutine() //nolint:gosec // no heap has 8 EiB
	return v.show(http.StatusOK, "operator.html", view)
}

// troubles adds the endpoints that fail or are slow.
func (p *Portal) troubles(v *visit, view *operatorView, hour time.Time) error {
	failing, err := p.store.FailingEndpoints(v.Context(), listed)
	if err != nil {
		return err
	}
	for _, f := range failing {
		row := troubleRow{appRef(f.Application), f.ApplicationName, f.URL, "failing", f.Reason, f.Since}
		if f.Disabled {
			row.State = "disabled"
		}
		view.Failing = append(view.Failing, row)
	}
	slowest, err := p.store.SlowestEndpoints(v.Context(), hour, listed)
	for _, s := range slowest {
		calls := s.Hour.Succeeded + s.Hour.Failed
		view.Slowest = append(view.Slowest, paceRow{
			appRef(s.Application), s.ApplicationName, s.URL, took(s.Hour.Percentile(0.5)), took(s.Hour.Percentile(0.95)), calls,
			share(s.Hour.Succeeded, calls),
		})
	}
	return err
}

func appRef(app webhook.ID) string { return webhook.ApplicationID.Format(app) }

// counted is a count that may have stopped.
func counted(n int64) string {
	if n >= store.CountLimit {
		return grouped(store.CountLimit) + " or more"
	}
	return grouped(n)
}

// grouped writes a number with commas between thousands.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// share is a part of a whole in percent; "" when there is no whole. All but
// all is not all.
func share(part, whole int64) string {
	if whole == 0 {
		return ""
	}
	percent := 100 * float64(part) / float64(whole)
	if part < whole {
		percent = min(percent, 99.9)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", percent), ".0") + " %"
}

func databaseName(kind string) string {
	if kind == "postgres" {
		return "PostgreSQL"
	}
	return "SQLite"
}

func bytesInWords(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d bytes", n)
	}
	v, names := float64(n), []string{"KiB", "MiB", "GiB", "TiB"}
	for i, name := range names {
		if v /= unit; v < unit || i == len(names)-1 {
			return fmt.Sprintf("%.1f %s", v, name)
		}
	}
	return ""
}

// tenantsView is a list of applications.
type tenantsView struct {
	page

	Tab          string
	Query        string
	Applications []tenantRow
	Older        string
}

type tenantRow struct {
	store.Tenant

	Ref string
}

// tenantsPerPage is how many applications a page lists.
const tenantsPerPage = 50

func (p *Portal) tenantsPage(v *visit) error {
	query := v.URL.Query()
	view := tenantsView{page: v.page("Applications", "operator"), Tab: "applications", Query: strings.TrimSpace(query.Get("q"))}
	if runes := []rune(view.Query); len(runes) > 200 {
		view.Query = string(runes[:200])
	}
	bounds := store.Page{Limit: tenantsPerPage + 1}
	if before, err := webhook.ApplicationID.Parse(query.Get("before")); err == nil {
		bounds.Before = before
	}
	list, err := p.store.Tenants(v.Context(), strings.ReplaceAll(view.Query, "\x00", ""), bounds)
	if err != nil {
		return err
	}
	if len(list) > tenantsPerPage {
		list = list[:tenantsPerPage]
		view.Older = "/operator/applications?" + url.Values{"q": {view.Query}, "before": {appRef(list[len(list)-1].ID)}}.Encode()
	}
	for _, t := range list {
		view.Applications = append(view.Applications, tenantRow{t, appRef(t.ID)})
	}
	return v.show(http.StatusOK, "tenants.html", view)
}

// tenantView is one application, without anything of what it sends.
type tenantView struct {
	page

	Tab       string
	Tenant    store.Tenant
	Ref       string
	Endpoints []tenantEndpoint
}

type tenantEndpoint struct {
	Ref, URL, Description, State, Reason string
	Succeeded, Calls                     int64
	Rate, Most                           string
}

// tenantEndpoints is how many endpoints of an application are shown.
const tenantEndpoints = 100

func (p *Portal) tenantPage(v *visit) error {
	app, err := webhook.ApplicationID.Parse(v.PathValue("app"))
	if err != nil {
		return webhook.ErrNotFound
	}
	tenant, err := p.store.Tenant(v.Context(), app)
	if err != nil {
		return err
	}
	endpoints, err := p.store.Endpoints(v.Context(), app)
	if err != nil {
		return err
	}
	view := tenantView{page: v.page(tenant.Name, "operator"), Tab: "applications", Tenant: tenant, Ref: appRef(app)}
	for _, e := range endpoints[:min(len(endpoints), tenantEndpoints)] {
		hours, err := p.store.EndpointHours(v.Context(), e.ID, time.Now().Add(-24*time.Hour))
		if err != nil {
			return err
		}
		row := tenantEndpoint{Ref: endpointRef(e), URL: e.URL, Description: e.Description, State: p.standing(e).Word, Reason: e.DisabledReason}
		var day webhook.Hour
		for _, h := range hours {
			day.Succeeded += h.Succeeded
			day.Failed += h.Failed
			for i, n := range h.Latency {
				day.Latency[i] += n
			}
		}
		row.Succeeded, row.Calls = day.Succeeded, day.Succeeded+day.Failed
		if row.Calls > 0 {
			row.Rate, row.Most = share(row.Succeeded, row.Calls), took(day.Percentile(0.95))
		}
		view.Endpoints = append(view.Endpoints, row)
	}
	return v.show(http.StatusOK, "tenant.html", view)
}

// typesView is the event types of all environments.
type typesView struct {
	page

	Tab          string
	Environments []typesOf
	// Cut says that there are more than are shown.
	Cut bool
}

type typesOf struct {
	Name  string
	Types []store.Typed
}

func (p *Portal) typesPage(v *visit) error {
	types, err := p.store.AllEventTypes(v.Context(), maxTypes)
	if err != nil {
		return err
	}
	view := typesView{page: v.page("Event types", "operator"), Tab: "types", Cut: len(types) == maxTypes}
	for _, t := range types {
		i := slices.IndexFunc(view.Environments, func(of typesOf) bool { return of.Name == t.EnvironmentName })
		if i < 0 {
			i = len(view.Environments)
			view.Environments = append(view.Environments, typesOf{Name: t.EnvironmentName})
		}
		view.Environments[i].Types = append(view.Environments[i].Types, t)
	}
	return v.show(http.StatusOK, "operator_types.html", view)
}
