package portal

import (
	"fanfare/internal/schema"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"net/http"
	"slices"
	"strings"
)

// catalogueView is the list of event types.
type catalogueView struct {
	page

	Groups []catalogueGroup
}

type catalogueGroup struct {
	Name  string
	Types []catalogueRow
}

type catalogueRow struct {
	Name, Description string
	Deprecated        bool
	// Listening is how many endpoints are told of it.
	Listening int
}

// environment is where the application of the path lives.
func (v *visit) environment() (webhook.ID, error) {
	if v.token != nil {
		return v.token.Environment, nil
	}
	return v.p.store.Environment(v.Context(), store.MainEnvironment)
}

func (p *Portal) cataloguePage(v *visit) error {
	types, err := v.eventTypes()
	if err != nil {
		return err
	}
	endpoints, err := p.store.Endpoints(v.Context(), v.account.Application)
	if err != nil {
		return err
	}
	view := catalogueView{page: v.page("Event catalogue", "catalogue")}
	for _, t := range types {
		name := groupOf(&t)
		i := slices.IndexFunc(view.Groups, func(g catalogueGroup) bool { return g.Name == name })
		if i < 0 {
			i = len(view.Groups)
			view.Groups = append(view.Groups, catalogueGroup{Name: name})
		}
		view.Groups[i].Types = append(view.Groups[i].Types, catalogueRow{
			Name: t.Name, Description: t.Description, Deprecated: t.Deprecated, Listening: len(listening(endpoints, t.Name)),
		})
	}
	return v.show(http.StatusOK, "catalogue.html", view)
}

// groupOf is the heading under which a type is listed.
func groupOf(t *webhook.EventType) string {
	name := t.GroupName
	if name == "" {
		name, _, _ = strings.Cut(t.Name, ".")
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// listening are the endpoints that are told of a type, disabled ones too.
func listening(endpoints []*webhook.Endpoint, name string) []*webhook.Endpoint {
	var list []*webhook.Endpoint
	for _, e := range endpoints {
		if e.EventTypes == nil || slices.Contains(e.EventTypes, name) {
			list = append(list, e)
		}
	}
	return list
}

// typeView is one event type.
type typeView struct {
	page

	Type      webhook.EventType
	Rows      []schema.Row
	Example   string
	Schema    string
	Listening []typeListener
}

type typeListener struct{ Ref, URL, Description, State string }

func (p *Portal) typePage(v *visit) error {
	environment, err := v.environment()
	if err != nil {
		return err
	}
	t, err := p.store.EventType(v.Context(), environment, v.PathValue("type"))
	if err != nil {
		return err
	}
	if v.token != nil && !t.Visible(v.token.FeatureFlags) {
		return webhook.ErrNotFound
	}
	endpoints, err := p.store.Endpoints(v.Context(), v.account.Application)
	if err != nil {
		return err
	}
	view := typeView{page: v.page(t.Name, "catalogue"), Type: t}
	if doc := t.Schema(); doc != nil {
		view.Rows, view.Example, view.Schema = schema.Table(nil, doc), schema.Example(doc), pretty(doc)
	}
	for _, e := range listening(endpoints, t.Name) {
		view.Listening = append(view.Listening, typeListener{endpointRef(e), e.URL, e.Description, p.standing(e).Word})
	}
	return v.show(http.StatusOK, "type.html", view)
}
