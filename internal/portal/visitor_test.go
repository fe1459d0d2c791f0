package portal

import (
	"fanfare/internal/auth"
	"fanfare/internal/store"
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"net/http"
	"net/url"
)

func (w *site) environment() webhook.ID {
	w.t.Helper()
	id, err := w.store.Environment(w.t.Context(), store.MainEnvironment)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// link makes a link for the application of jane, as a token allows it, and
// returns its path and where it leads.
func (w *site) link(k webhook.Token) (path, base string) {
	w.t.Helper()
	jane, err := w.store.Account(w.t.Context(), "jane")
	if err != nil {
		w.t.Fatal(err)
	}
	k.Environment, k.Application = w.environment(), jane.Application
	made, err := w.store.CreateToken(w.t.Context(), k, auth.Hash(auth.NewToken("fft_")))
	if err != nil {
		w.t.Fatal(err)
	}
	code := auth.NewToken(auth.LinkPrefix)
	if err := w.store.CreateLink(w.t.Context(), auth.Hash(code), made.ID); err != nil {
		w.t.Fatal(err)
	}
	return web.AccessPath + code, "/webhooks/" + webhook.ApplicationID.Format(jane.Application)
}

// visitor is a browser that came with a link.
func (w *site) visitor(k webhook.Token) (c *http.Client, base string) {
	w.t.Helper()
	path, base := w.link(k)
	c = w.browser()
	if res, body := w.do(c, http.MethodPost, path, url.Values{}); res.StatusCode != http.StatusSeeOther {
		w.t.Fatalf("open the link: %d %s", res.StatusCode, body)
	}
	return c, base
}

// application is the id of jane's application.
func (w *site) application() string {
	w.t.Helper()
	jane, err := w.store.Account(w.t.Context(), "jane")
	if err != nil {
		w.t.Fatal(err)
	}
	return webhook.ApplicationID.Format(jane.Application)
}
