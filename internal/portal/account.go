package portal

import (
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/store"
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// keyID writes ids of API keys.
const keyID webhook.Prefix = "key_"

type accountView struct {
	page
	Keys       []keyRow
	NewKey     string
	KeyProblem string
}

type keyRow struct {
	Ref, Label, Hint      string
	CreatedAt, LastUsedAt time.Time
}

func keyRowOf(k *store.APIKey) keyRow {
	return keyRow{keyID.Format(k.ID), k.Label, k.Hint, k.CreatedAt, k.LastUsedAt}
}

func (p *Portal) accountPage(v *visit) error { return p.showAccount(v, http.StatusOK, "", "") }

func (p *Portal) showAccount(v *visit, status int, newKey, problem string) error {
	view := accountView{page: v.page("Account", "account"), NewKey: newKey, KeyProblem: problem}
	keys, err := p.store.APIKeys(v.Context(), v.account.ID)
	if err != nil {
		return err
	}
	for i := range keys {
		view.Keys = append(view.Keys, keyRowOf(&keys[i]))
	}
	return v.show(status, "account.html", view)
}

func (p *Portal) enableWebhooks(v *visit) error {
	if err := v.ParseForm(); err != nil {
		return err
	}
	enabled := v.PostFormValue("enabled") == "true"
	_, err := p.store.EnableWebhooks(v.Context(), v.user.ID, v.account.Name, enabled)
	if errors.Is(err, webhook.ErrConflict) {
		view := accountView{page: v.page("Account", "account")}
		view.Notice = &notice{"bad", "Another webhook application of this installation bears the name of this account. Ask whoever runs it."}
		return v.show(http.StatusConflict, "account.html", view)
	}
	if err != nil {
		return err
	}
	done := "disabled"
	if enabled {
		done = "enabled"
	}
	return v.redirect("/account/" + v.account.Name + "?done=" + done)
}

func (p *Portal) createKey(v *visit) error {
	if err := v.ParseForm(); err != nil {
		return err
	}
	label := strings.TrimSpace(v.PostFormValue("label"))
	if n := utf8.RuneCountInString(label); n < 1 || n > 100 || !web.Storable(label) {
		return p.showAccount(v, http.StatusUnprocessableEntity, "", "Give the key a name of 1 to 100 characters.")
	}
	key := auth.NewToken(auth.APIKeyPrefix)
	_, err := p.store.CreateAPIKey(v.Context(), v.account.ID, label, auth.Hash(key), auth.Hint(key))
	if errors.Is(err, webhook.ErrLimit) {
		return p.showAccount(v, http.StatusUnprocessableEntity, "",
			fmt.Sprintf("An account has at most %d keys. Revoke one that is not used.", store.MaxAPIKeys))
	}
	if err != nil {
		return err
	}
	return p.showAccount(v, http.StatusOK, key, "")
}

type keyView struct {
	page
	Key keyRow
}

// revokeKeyPage asks before a key is revoked for good.
func (p *Portal) revokeKeyPage(v *visit) error {
	keys, err := p.store.APIKeys(v.Context(), v.account.ID)
	if err != nil {
		return err
	}
	for i := range keys {
		if k := keyRowOf(&keys[i]); k.Ref == v.PathValue("key") {
			return v.show(http.StatusOK, "key_revoke.html", keyView{v.page("Revoke key", "account"), k})
		}
	}
	return webhook.ErrNotFound
}

func (p *Portal) revokeKey(v *visit) error {
	id, err := keyID.Parse(v.PathValue("key"))
	if err != nil {
		return webhook.ErrNotFound
	}
	if err := p.store.RevokeAPIKey(v.Context(), v.account.ID, id); err != nil {
		return err
	}
	return v.redirect("/account/" + v.account.Name + "?done=revoked")
}
