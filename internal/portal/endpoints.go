package portal

import (
	"errors"
	"fanfare/internal/signature"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// typeGroup is the part of the event types that is about one kind of thing.
type typeGroup struct {
	Name  string
	Types []eventType
}

type eventType struct{ Name, Description string }

// maxTypes is how many event types a form offers.
const maxTypes = 1000

// typeGroups are the event types as forms offer them: those that the visitor
// sees, and those chosen before that are no longer offered.
func (v *visit) typeGroups(chosen []string) ([]typeGroup, error) {
	var environment webhook.ID
	var filter store.EventTypeFilter
	if v.token != nil {
		environment = v.token.Environment
		filter.Flagged, filter.Flags = true, v.token.FeatureFlags
	} else {
		var err error
		if environment, err = v.p.store.Environment(v.Context(), store.MainEnvironment); err != nil {
			return nil, err
		}
	}
	types, err := v.p.store.EventTypes(v.Context(), environment, filter, store.NamePage{Limit: maxTypes})
	if err != nil {
		return nil, err
	}
	for _, name := range chosen {
		if webhook.ValidName(name) && !slices.ContainsFunc(types, func(t webhook.EventType) bool { return t.Name == name }) {
			types = append(types, webhook.EventType{Name: name, Description: "No longer in the catalogue.", Archived: true})
		}
	}
	var groups []typeGroup
	for _, t := range types {
		kind := t.GroupName
		if kind == "" {
			kind, _, _ = strings.Cut(t.Name, ".")
		}
		name := strings.ToUpper(kind[:1]) + kind[1:]
		i := slices.IndexFunc(groups, func(g typeGroup) bool { return g.Name == name })
		if i < 0 {
			i = len(groups)
			groups = append(groups, typeGroup{Name: name})
		}
		groups[i].Types = append(groups[i].Types, eventType{t.Name, t.Description})
	}
	return groups, nil
}

type endpointsView struct {
	page
	Endpoints []endpointRow
}

type endpointRow struct {
	Ref, URL, Description, State string
	EventTypes                   []string
	Health                       health
}

func (p *Portal) endpointsPage(v *visit) error {
	endpoints, err := p.store.Endpoints(v.Context(), v.account.Application)
	if err != nil {
		return err
	}
	view := endpointsView{page: v.page("Endpoints", "endpoints")}
	for _, e := range endpoints {
		attempts, err := p.store.AttemptsOfEndpoint(v.Context(), e.Application, e.ID, store.AttemptFilter{}, store.Page{Limit: healthBars})
		if err != nil {
			return err
		}
		view.Endpoints = append(view.Endpoints, endpointRow{
			Ref: endpointRef(e), URL: e.URL, Description: e.Description, State: endpointState(e), EventTypes: e.EventTypes,
			Health: healthOf(attempts),
		})
	}
	return v.show(http.StatusOK, "endpoints.html", view)
}

func endpointRef(e *webhook.Endpoint) string { return webhook.EndpointID.Format(e.ID) }

func endpointState(e *webhook.Endpoint) string {
	switch {
	case e.Disabled:
		return "disabled"
	case !e.FailingSince.IsZero():
		return "failing"
	default:
		return "enabled"
	}
}

// health shows at a glance how the newest calls of an endpoint went.
type health struct {
	Bars  []bar
	Label string
	Rate  string
	Last  time.Time
}

type bar struct {
	Class   string
	X, Y, H int
}

// healthBars is how many calls are shown; each bar takes 5 units of 120.
const healthBars = 24

func healthOf(newestFirst []webhook.Attempt) health {
	var h health
	made := slices.DeleteFunc(slices.Clone(newestFirst), func(a webhook.Attempt) bool { return a.Outcome == webhook.NotSent })
	if len(made) == 0 {
		h.Label = "no calls yet"
		return h
	}
	good := 0
	h.Last = made[0].StartedAt
	for i, a := range slices.Backward(made) {
		b := bar{Class: "no", X: 120 - 5*(i+1), Y: 2, H: 20}
		if a.Outcome == webhook.Delivered {
			good++
			b.Class, b.Y, b.H = "ok", 8, 14
		}
		h.Bars = append(h.Bars, b)
	}
	h.Rate = fmt.Sprintf("%d %%", 100*good/len(made))
	h.Label = fmt.Sprintf("%d of the newest %d calls succeeded", good, len(made))
	return h
}

// endpointForm is what the form for an endpoint holds.
type endpointForm struct {
	URL, Version, Description string
	AllTypes                  bool
	EventTypes                []string
	problems                  webhook.Invalid
	// before are the event types that the endpoint had.
	before []string
}

// Has reports whether a type is ticked.
func (f endpointForm) Has(name string) bool { return slices.Contains(f.EventTypes, name) }

// Problem is what is wrong with a field; "" names the form as a whole.
func (f endpointForm) Problem(field string) string { return f.problems.Of(field) }

type endpointFormView struct {
	page
	Ref, Action string
	Form        endpointForm
	Groups      []typeGroup
}

func (v *visit) showForm(status int, ref string, f endpointForm) error {
	title, action := "Add endpoint", v.base()+"/endpoints"
	if ref != "" {
		title, action = "Edit endpoint", v.base()+"/endpoints/"+ref+"/edit"
	}
	groups, err := v.typeGroups(f.before)
	if err != nil {
		return err
	}
	return v.show(status, "endpoint_form.html", endpointFormView{
		page: v.page(title, "endpoints"), Ref: ref, Action: action, Form: f, Groups: groups,
	})
}

func (p *Portal) newEndpointPage(v *visit) error {
	return v.showForm(http.StatusOK, "", endpointForm{AllTypes: true})
}

// maxDescription bounds the description of an endpoint, in characters.
const maxDescription = 1000

// readForm checks the form and fills the endpoint from it.
// Event types that were chosen before may stay.
func (v *visit) readForm(e *webhook.Endpoint, before []string) (endpointForm, error) {
	if err := v.ParseForm(); err != nil {
		return endpointForm{}, err
	}
	f := endpointForm{
		URL: v.PostFormValue("url"), Version: strings.TrimSpace(v.PostFormValue("version")),
		Description: strings.TrimSpace(v.PostFormValue("description")),
		AllTypes:    v.PostFormValue("all_types") != "", EventTypes: v.PostForm["event_types"], before: before,
	}
	normal, problem := webhook.NormalizeURL(f.URL, v.p.cfg.HTTPSOnly)
	if problem != "" {
		f.problems.Add("url", problem)
	}
	e.URL, e.Version, e.Description = normal, 1, f.Description
	if f.Version != "" {
		n, err := strconv.ParseInt(f.Version, 10, 32)
		if err != nil || n < 1 {
			f.problems.Add("version", "The version is a whole number from 1, for example 1.")
		}
		e.Version = int(n)
	}
	if utf8.RuneCountInString(f.Description) > maxDescription || strings.ContainsRune(f.Description, 0) {
		f.problems.Add("description", "The description is too long: at most 1,000 characters.")
	}
	e.EventTypes = nil
	if !f.AllTypes {
		groups, err := v.typeGroups(before)
		if err != nil {
			return f, err
		}
		for _, g := range groups { // in our order, and each once
			for _, t := range g.Types {
				if f.Has(t.Name) {
					e.EventTypes = append(e.EventTypes, t.Name)
				}
			}
		}
		switch {
		case len(e.EventTypes) == 0:
			f.problems.Add("event_types", "Choose at least one event, or all.")
		case slices.ContainsFunc(f.EventTypes, func(name string) bool { return !slices.Contains(e.EventTypes, name) }):
			f.problems.Add("event_types", "There is no such event. Choose from the list.")
		}
	}
	return f, nil
}

func (p *Portal) createEndpoint(v *visit) error {
	e := webhook.Endpoint{Application: v.account.Application, Secrets: []webhook.Secret{{Key: signature.NewSecret()}}}
	f, err := v.readForm(&e, nil)
	if err != nil {
		return err
	}
	if len(f.problems) > 0 {
		return v.showForm(http.StatusUnprocessableEntity, "", f)
	}
	made, err := p.store.CreateEndpoint(v.Context(), e)
	if errors.Is(err, webhook.ErrLimit) {
		f.problems.Add("", fmt.Sprintf("An account has at most %d endpoints. Delete one that is not used.", store.MaxEndpoints))
		return v.showForm(http.StatusUnprocessableEntity, "", f)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.base() + "/endpoints/" + endpointRef(made) + "?done=added")
}

func (v *visit) endpoint() (*webhook.Endpoint, error) {
	return v.p.store.Endpoint(v.Context(), v.account.Application, v.PathValue("endpoint"))
}

func (p *Portal) editEndpointPage(v *visit) error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	return v.showForm(http.StatusOK, endpointRef(e), endpointForm{
		URL: e.URL, Version: strconv.Itoa(e.Version), Description: e.Description, AllTypes: e.EventTypes == nil,
		EventTypes: e.EventTypes, before: e.EventTypes,
	})
}

func (p *Portal) editEndpoint(v *visit) error {
	var read webhook.Endpoint
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	f, err := v.readForm(&read, e.EventTypes)
	if err != nil {
		return err
	}
	if len(f.problems) > 0 {
		return v.showForm(http.StatusUnprocessableEntity, endpointRef(e), f)
	}
	return v.change("saved", func(e *webhook.Endpoint) {
		e.URL, e.Version, e.Description, e.EventTypes = read.URL, read.Version, read.Description, read.EventTypes
	})
}

// change changes the endpoint of the path and goes back to its page.
func (v *visit) change(done string, change func(*webhook.Endpoint)) error {
	e, err := v.p.store.UpdateEndpoint(v.Context(), v.account.Application, v.PathValue("endpoint"), func(e *webhook.Endpoint) error {
		change(e)
		return nil
	})
	if err != nil {
		return err
	}
	return v.redirect(v.base() + "/endpoints/" + endpointRef(e) + "?done=" + done)
}

func (p *Portal) enableEndpoint(v *visit) error {
	return v.change("endpoint-enabled", func(e *webhook.Endpoint) { e.Disabled = false })
}

func (p *Portal) disableEndpoint(v *visit) error {
	return v.change("endpoint-disabled", func(e *webhook.Endpoint) { e.Disabled = true })
}

func (p *Portal) deleteEndpoint(v *visit) error {
	if err := p.store.DeleteEndpoint(v.Context(), v.account.Application, v.PathValue("endpoint")); err != nil {
		return err
	}
	return v.redirect(v.base() + "/endpoints?done=deleted")
}

type endpointView struct {
	page
	Endpoint     *webhook.Endpoint
	Ref          string
	State        string
	Secret       string // shown when asked for
	Health       health
	Attempts     []attemptRow
	Newer, Older string
}

// attemptRow is an attempt in the list of an endpoint.
type attemptRow struct {
	EventType, Message, Answer, Took, State string
	At                                      time.Time
}

func (p *Portal) deleteEndpointPage(v *visit) error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "endpoint_delete.html", endpointView{
		page: v.page("Delete endpoint", "endpoints"), Endpoint: e, Ref: endpointRef(e),
	})
}

func (p *Portal) endpointPage(v *visit) error { return p.showEndpoint(v, false) }

// revealSecret shows the signing secret: as a part of the page to htmx, on the
// whole page otherwise.
func (p *Portal) revealSecret(v *visit) error {
	if v.Header.Get("Hx-Request") == "" {
		return p.showEndpoint(v, true)
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "secret", endpointView{Endpoint: e, Ref: endpointRef(e), Secret: signature.Public(e.Secrets[0].Key)})
}

func (p *Portal) showEndpoint(v *visit, reveal bool) error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	view := endpointView{page: v.page(short(e.URL), "endpoints"), Endpoint: e, Ref: endpointRef(e), State: endpointState(e)}
	view.Here = v.base() + "/endpoints/" + view.Ref + "?" + v.URL.RawQuery
	if reveal {
		view.Secret = signature.Public(e.Secrets[0].Key)
	}
	newest, err := p.store.AttemptsOfEndpoint(v.Context(), e.Application, e.ID, store.AttemptFilter{}, store.Page{Limit: healthBars})
	if err != nil {
		return err
	}
	view.Health = healthOf(newest)
	attempts, newer, older, err := pageOf(v.URL.Query(), webhook.AttemptID,
		func(pg store.Page) ([]webhook.Attempt, error) {
			return p.store.AttemptsOfEndpoint(v.Context(), e.Application, e.ID, store.AttemptFilter{}, pg)
		},
		func(a webhook.Attempt) webhook.ID { return a.ID })
	if err != nil {
		return err
	}
	here := v.base() + "/endpoints/" + view.Ref
	view.Newer, view.Older = link(here, nil, "after", newer), link(here, nil, "before", older)
	view.Live = view.Newer == ""
	ids := make([]webhook.ID, len(attempts))
	for i := range attempts {
		ids[i] = attempts[i].Message
	}
	types, err := p.store.MessageTypes(v.Context(), e.Application, ids)
	if err != nil {
		return err
	}
	for _, a := range attempts {
		view.Attempts = append(view.Attempts, attemptRow{
			EventType: types[a.Message], Message: webhook.MessageID.Format(a.Message), Answer: answer(&a), Took: took(a.Timings.Total),
			State: attemptState(&a), At: a.StartedAt,
		})
	}
	return v.show(http.StatusOK, "endpoint.html", view)
}

// perPage is how many rows a page of a list shows.
const perPage = 50

// pageOf reads the page that a query asks for, newest first, and the ids from
// which the pages beside it start: "" where there is none.
func pageOf[T any](query url.Values, prefix webhook.Prefix, read func(store.Page) ([]T, error), id func(T) webhook.ID) (rows []T, newer, older string, err error) {
	pg := store.Page{Limit: perPage + 1}
	if after, err := prefix.Parse(query.Get("after")); err == nil {
		pg.After, pg.Ascending = after, true
	} else if before, err := prefix.Parse(query.Get("before")); err == nil {
		pg.Before = before
	}
	rows, err = read(pg)
	if err != nil || len(rows) == 0 {
		return rows, "", "", err
	}
	more := len(rows) > perPage
	rows = rows[:min(len(rows), perPage)]
	if pg.Ascending {
		slices.Reverse(rows)
	}
	first, last := prefix.Format(id(rows[0])), prefix.Format(id(rows[len(rows)-1]))
	if pg.Ascending && more || !pg.Before.IsZero() {
		newer = first
	}
	if !pg.Ascending && more || pg.Ascending {
		older = last
	}
	return rows, newer, older, nil
}

// link is the address of a page beside this one; "" for none.
func link(here string, query url.Values, name, cursor string) string {
	if cursor == "" {
		return ""
	}
	if query == nil {
		query = url.Values{}
	}
	q := url.Values{name: {cursor}}
	for _, keep := range []string{"type", "dataset"} {
		if value := query.Get(keep); value != "" {
			q.Set(keep, value)
		}
	}
	return here + "?" + q.Encode()
}

func attemptState(a *webhook.Attempt) string {
	if a.Outcome == webhook.Delivered {
		return "succeeded"
	}
	if a.Outcome == webhook.NotSent {
		return a.Ends.String()
	}
	return "failed"
}

func answer(a *webhook.Attempt) string {
	if a.StatusCode == 0 {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.StatusCode, http.StatusText(a.StatusCode)))
}

func took(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}
