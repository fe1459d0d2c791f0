package portal

import (
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"net/http"
	"time"
)

// accessPage asks whoever opens a link to go on. The link is used up by the form
// alone, so that programs which look at links in mails and chats do not use it.
func (p *Portal) accessPage(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	return p.render(w, http.StatusOK, "access.html", struct{ Title string }{"Webhooks"})
}

// access begins a session with the code of a link.
func (p *Portal) access(w http.ResponseWriter, r *http.Request) error {
	session := auth.NewToken("")
	token, err := p.store.UseLink(r.Context(), auth.Hash(r.PathValue("code")), auth.Hash(session))
	if errors.Is(err, webhook.ErrNotFound) {
		return p.render(w, http.StatusGone, "error.html", failure{
			Title: "This link no longer works", Text: "It works once, and for a while. Go back to where you found it and open it anew.",
		})
	}
	if err != nil {
		return err
	}
	age := int(sessionLife.Seconds())
	if !token.ExpiresAt.IsZero() {
		age = min(age, int(time.Until(token.ExpiresAt).Seconds()))
	}
	http.SetCookie(w, p.accessSession(r, session, age))
	http.Redirect(w, r, "/webhooks/"+webhook.ApplicationID.Format(token.Application)+"/endpoints", http.StatusSeeOther)
	return nil
}

// accessCookie is apart from that of a login: the same browser may have both.
func (p *Portal) accessCookie() string { return p.cookieName() + "-app" }

// byToken lets in whoever came with a link for the application of the path.
func (p *Portal) byToken(w http.ResponseWriter, r *http.Request, can webhook.Capability, h func(*visit) error) error {
	token, err := p.accessToken(r, r.PathValue("account"))
	if err != nil {
		return err
	}
	if !token.Can(can) {
		return webhook.ErrNotFound
	}
	ref := r.PathValue("account")
	app, err := p.store.Application(r.Context(), token.Environment, ref)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return h(&visit{
		Request: r, w: w, p: p, token: &token,
		account: registry.Account{Name: ref, Application: app.ID, WebhooksEnabled: true}, user: registry.Account{Name: app.Name},
	})
}

// accessToken finds the token of whoever came with a link; for the application
// that ref names, if it names one. There are two cookies in a frame of a site
// that is partly ours: the one kept apart and the other.
func (p *Portal) accessToken(r *http.Request, ref string) (webhook.Token, error) {
	cookies := r.CookiesNamed(p.accessCookie())
	for _, cookie := range cookies[:min(len(cookies), 2)] {
		token, err := p.store.SessionToken(r.Context(), auth.Hash(cookie.Value))
		if err == nil && ref != "" && webhook.ApplicationID.Format(token.Application) != ref {
			err = webhook.ErrNotFound
		}
		if !isNotFound(err) {
			return token, err
		}
	}
	return webhook.Token{}, webhook.ErrNotFound
}
