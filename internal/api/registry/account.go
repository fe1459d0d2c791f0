package registry

import (
	"context"
	"errors"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"net/http"
)

// errUIDTaken means that an application which is not the account's bears the
// account's name as its uid.
var errUIDTaken = errors.New("uid taken")

func (a *API) status(*request) (answer, error) {
	return answer{status: http.StatusOK, body: []byte(`{"status":"ok"}`)}, nil
}

func (a *API) user(r *request) (answer, error) {
	return a.ownView(r.Context(), r.caller)
}

// otherUser shows the own view of an account to those who may act for it, a
// part of it to members, and the public view to everybody else.
func (a *API) otherUser(r *request) (answer, error) {
	account, err := a.store.Administers(r.Context(), r.caller.ID, r.PathValue("user"))
	switch {
	case err == nil:
		return a.ownView(r.Context(), account)
	case errors.Is(err, registry.ErrNotAdministrator):
		o := account.Object()
		members, err := a.members(r.Context(), account.ID)
		return ok(append(o, members)), err
	}
	account, err = a.store.Account(r.Context(), r.PathValue("user"))
	return ok(account.Object()), err
}

func (a *API) ownView(ctx context.Context, account registry.Account) (answer, error) {
	o := account.OwnObject()
	if account.Organization {
		members, err := a.members(ctx, account.ID)
		return ok(append(o, members)), err
	}
	memberships, err := a.store.Memberships(ctx, account.ID)
	if err != nil {
		return answer{}, err
	}
	organizations := make([]registry.Object, len(memberships))
	for i, m := range memberships {
		organizations[i] = m.OrganizationObject()
	}
	return ok(append(o, registry.Member{Name: "organizations", Value: registry.List(organizations)})), nil
}

func (a *API) members(ctx context.Context, organization webhook.ID) (registry.Member, error) {
	memberships, err := a.store.Members(ctx, organization)
	members := make([]registry.Object, len(memberships))
	for i, m := range memberships {
		members[i] = m.UserObject()
	}
	return registry.Member{Name: "members", Value: registry.List(members)}, err
}

func (a *API) updateUser(r *request) (answer, error) {
	return a.updateAccount(r, r.caller.Name)
}

func (a *API) updateOrganization(r *request) (answer, error) {
	account, err := a.store.Administers(r.Context(), r.caller.ID, r.PathValue("organization"))
	if err != nil {
		return answer{}, err
	}
	if !account.Organization {
		return answer{}, webhook.ErrNotFound
	}
	return a.updateAccount(r, account.Name)
}

func (a *API) updateAccount(r *request, name string) (answer, error) {
	patch, err := r.patch()
	if err != nil {
		return answer{}, err
	}
	account, err := a.store.Account(r.Context(), name)
	if err == nil && patch["webhooks_enabled"] != nil {
		account, err = a.store.EnableWebhooks(r.Context(), r.caller.ID, name, patch.Bool("webhooks_enabled"))
		if errors.Is(err, webhook.ErrConflict) {
			err = errUIDTaken
		}
	}
	if err != nil {
		return answer{}, err
	}
	return a.ownView(r.Context(), account)
}
