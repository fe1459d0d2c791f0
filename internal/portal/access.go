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
	http.SetCookie(w, p.cookie(p.accessCookie(), session, age))
	http.Redirect(w, r, "/webhooks/"+webhook.ApplicationID.Format(token.Application)+"/endpoints", http.StatusSeeOther)
	return nil
}

// accessCookie is apart from that of a login: the same browser may have both.
func (p *Portal) accessCookie() string { return p.cookieName() + "-app" }

// byToken lets in whoever came with a link for the application of the path.
func (p *Portal) byToken(w http.ResponseWriter, r *http.Request, can webhook.Capability, h func(*visit) error) error {
	cookie, err := r.Cookie(p.accessCookie())
	if err != nil {
		return webhook.ErrNotFound
	}
	token, err := p.store.SessionToken(r.Context(), auth.Hash(cookie.Value))
	if err != nil {
		return err
	}
	ref := webhook.ApplicationID.Format(token.Application)
	if ref != r.PathValue("account") || !token.Can(can) {
		return webhook.ErrNotFound
	}
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
