package portal

import (
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// sessionIdle ends a session that was not used for so long, sessionLife
	// any session.
	sessionIdle = 14 * 24 * time.Hour
	sessionLife = 90 * 24 * time.Hour
	// seenEvery is how exactly the last use of a session is kept.
	seenEvery = time.Hour
)

// cookieName is the name of the session's cookie. The prefix has browsers
// refuse it from anywhere but this very host by https (RFC 6265bis section
// 4.1.3).
func (p *Portal) cookieName() string {
	if p.cfg.Secure {
		return "__Host-fanfare"
	}
	return "fanfare"
}

// session finds who is logged in; nobody is webhook.ErrNotFound.
func (p *Portal) session(r *http.Request) (registry.Account, error) {
	cookie, err := r.Cookie(p.cookieName())
	if err != nil {
		return registry.Account{}, webhook.ErrNotFound
	}
	hash := auth.Hash(cookie.Value)
	user, began, seen, err := p.store.Session(r.Context(), hash)
	if err != nil {
		return user, err
	}
	if time.Since(seen) > sessionIdle || time.Since(began) > sessionLife {
		return user, webhook.ErrNotFound
	}
	if time.Since(seen) > seenEvery {
		if err := p.store.SaveSession(r.Context(), hash, user.ID); err != nil && !errors.Is(err, webhook.ErrUnavailable) {
			return user, err
		}
	}
	return user, nil
}

// toLogin sends whoever is not logged in to the login page, and back here
// afterwards. A part of a page that refreshes itself reloads the whole page.
func (p *Portal) toLogin(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Hx-Request") != "" {
		w.Header().Set("Hx-Refresh", "true")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	to := "/login"
	if r.Method == http.MethodGet && r.URL.Path != "/" && r.URL.Path != "/account" {
		to += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// loginView is what the login page shows.
type loginView struct{ Title, Problem, Next, Name string }

func (p *Portal) loginPage(w http.ResponseWriter, r *http.Request) error {
	if _, err := p.session(r); err == nil {
		http.Redirect(w, r, "/account", http.StatusSeeOther)
		return nil
	}
	w.Header().Set("Cache-Control", "no-store")
	return p.render(w, http.StatusOK, "login.html", loginView{Title: "Log in", Next: r.URL.Query().Get("next")})
}

func (p *Portal) login(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	view := loginView{Title: "Log in", Next: r.PostFormValue("next"), Name: r.PostFormValue("account")}
	now := time.Now()
	byAddress, byName := "address "+auth.AddressKey(r.RemoteAddr), "account "+registry.NormalName(view.Name)
	if wait := p.guesses.Wait(now, byAddress, byName); wait > 0 {
		seconds := int(math.Ceil(wait.Seconds()))
		w.Header().Set("Retry-After", fmt.Sprint(seconds))
		view.Problem = fmt.Sprintf("Too many tries. Wait %d seconds and try again.", seconds)
		return p.render(w, http.StatusTooManyRequests, "login.html", view)
	}
	account, ok, err := p.check(r, view.Name)
	if err != nil {
		return err
	}
	if !ok {
		p.guesses.Failed(now, byAddress, byName)
		view.Problem = "No account has this name and password."
		return p.render(w, http.StatusUnauthorized, "login.html", view)
	}
	p.guesses.Succeeded(byName)
	token := auth.NewToken("")
	if err := p.store.SaveSession(r.Context(), auth.Hash(token), account.ID); err != nil {
		return err
	}
	http.SetCookie(w, p.cookie(p.cookieName(), token, int(sessionLife.Seconds())))
	http.Redirect(w, r, localPath(view.Next), http.StatusSeeOther)
	return nil
}

// check finds the account and compares the password, which takes as long for
// an account that is not there.
func (p *Portal) check(r *http.Request, name string) (account registry.Account, ok bool, err error) {
	account, err = p.store.Account(r.Context(), name)
	hash := ""
	if err == nil {
		hash, err = p.store.PasswordHash(r.Context(), account.ID)
	}
	if err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return account, false, err
	}
	return account, auth.CheckPassword(hash, r.PostFormValue("password")), nil
}

func (p *Portal) logout(w http.ResponseWriter, r *http.Request) error {
	if cookie, err := r.Cookie(p.cookieName()); err == nil {
		if err := p.store.DeleteSession(r.Context(), auth.Hash(cookie.Value), time.Now().Add(-sessionIdle)); err != nil {
			return err
		}
	}
	http.SetCookie(w, p.cookie(p.cookieName(), "", -1))
	http.Redirect(w, r, "/login", http.StatusSeeOther)
	return nil
}

func (p *Portal) cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // not Secure where people come by plain http, as on their own machine
		Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: p.cfg.Secure,
		SameSite: http.SameSiteLaxMode,
	}
}

// localPath is a path of this site, or that of the account page: a login must
// lead nowhere else.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(next, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/account"
	}
	return u.RequestURI()
}
