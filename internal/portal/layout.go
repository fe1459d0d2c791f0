package portal

import (
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"slices"
	"strings"
)

// page is what every page shows.
type page struct {
	Title, Section string
	Account        registry.Account
	User           registry.Account
	// Accounts are those that the user may act for, the user's own first.
	Accounts []registry.Account
	Base     string
	Notice   *notice
	Version  string
	// Here is the address of the page itself, from which htmx reads it anew;
	// Live says whether it should.
	Here string
	Live bool
	// Token is what somebody came with who has no account here; nil otherwise.
	Token *webhook.Token
	// routes are those of the portal: a section without one is not offered.
	routes []string
}

// Can reports whether whoever looks at the page may do a thing.
func (p page) Can(c webhook.Capability) bool { return p.Token == nil || p.Token.Can(c) }

// section is an entry of the navigation.
type section struct {
	Name, Key, Path string
	// Icon names the template that draws it.
	Icon string
}

// Nav lists the sections for whoever looks at the page.
func (p page) Nav() []section {
	var list []section
	add := func(route string, s section) {
		if slices.Contains(p.routes, "GET "+route) {
			list = append(list, s)
		}
	}
	if p.User.Name != "" && p.Token == nil {
		add("/account/{account}", section{"Account", "account", "/account/" + p.Account.Name, "icon-account"})
	}
	if !p.Account.Application.IsZero() {
		add("/webhooks/{account}/endpoints", section{"Endpoints", "endpoints", p.Base + "/endpoints", "icon-endpoints"})
		add("/webhooks/{account}/events", section{"Events", "events", p.Base + "/events", "icon-events"})
		add("/webhooks/{account}/catalogue", section{"Catalogue", "catalogue", p.Base + "/catalogue", "icon-catalogue"})
		add("/webhooks/{account}/verify", section{"Verify", "verify", p.Base + "/verify", "icon-verify"})
	}
	add("/docs", section{"Docs", "docs", "/docs", "icon-docs"})
	if p.User.Operator && p.Token == nil {
		add("/operator", section{"Operator", "operator", "/operator", "icon-operator"})
	}
	return list
}

// SwitchTo is where the switcher leads for another account: to the same section
// there.
func (p page) SwitchTo(a registry.Account) string {
	if p.Section != "account" && !a.Application.IsZero() && strings.HasPrefix(p.Base, "/webhooks/") {
		return "/webhooks/" + a.Name + "/" + p.Section
	}
	return "/account/" + a.Name
}

// Home is where the name of the product leads.
func (p page) Home() string {
	if p.Token != nil {
		return p.Base
	}
	return "/account"
}

type notice struct{ Kind, Text string }

// notices are told after a redirect, by the word in the query "done".
var notices = map[string]notice{
	"enabled":           {"good", "Webhooks are enabled. Add an endpoint to hear of changes."},
	"disabled":          {"warn", "Webhooks are disabled: changes make no events."},
	"revoked":           {"good", "The key is revoked. Programs that use it are refused from now on."},
	"added":             {"good", "The endpoint is there. Events that it wants are sent to it from now on."},
	"saved":             {"good", "Changes are saved."},
	"endpoint-enabled":  {"good", "The endpoint is enabled."},
	"endpoint-disabled": {"warn", "The endpoint is disabled. What was waiting for it is canceled."},
	"enabled-replay":    {"good", "The endpoint is enabled. Below is what it missed while it was disabled."},
	"paused":            {"good", "The endpoint is paused. What is for it is held, in order, until you resume it."},
	"resumed":           {"good", "The endpoint is resumed. What was held is on its way."},
	"rotated":           {"good", "The endpoint has a new secret. The one before signs as well for 24 hours: give your server the new one until then."},
	"rotated-at-once":   {"warn", "The endpoint has a new secret, and the one before signs nothing more. Give your server the new one now."},
	"tested":            {"good", "The test is on its way: the outcome shows below in a moment."},
	"deleted":           {"good", "The endpoint is deleted."},
	"replayed":          {"good", "Sent again: the outcome shows below in a moment."},
	"nobody":            {"warn", "No endpoint is there to send it to."},
	"payload-gone":      {"bad", "The payload has expired: this event cannot be sent again."},
}

func (v *visit) page(title, section string) page {
	pg := page{
		Title: title, Section: section, Account: v.account, User: v.user, Accounts: v.accounts, Base: v.base(), Version: v.p.cfg.Version,
		Here: v.URL.RequestURI(), Token: v.token, routes: v.p.routesKnown,
	}
	if n, ok := notices[v.URL.Query().Get("done")]; ok {
		pg.Notice = &n
		// What was done is told once, not with every refresh.
		here := *v.URL
		query := here.Query()
		query.Del("done")
		here.RawQuery = query.Encode()
		pg.Here = here.RequestURI()
	}
	return pg
}
