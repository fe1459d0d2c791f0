package portal

import (
	"errors"
	"fanfare/internal/signature"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
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

// eventTypes are those that the visitor sees.
func (v *visit) eventTypes() ([]webhook.EventType, error) {
	environment, err := v.environment()
	if err != nil {
		return nil, err
	}
	var filter store.EventTypeFilter
	if v.token != nil {
		filter.Flagged, filter.Flags = true, v.token.FeatureFlags
	}
	return v.p.store.EventTypes(v.Context(), environment, filter, store.NamePage{Limit: maxTypes})
}

// typeGroups are the event types as forms offer them: those that the visitor
// sees, and those chosen before that are no longer offered.
func (v *visit) typeGroups(chosen []string) ([]typeGroup, error) {
	types, err := v.eventTypes()
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
		name := groupOf(&t)
		i := slices.IndexFunc(groups, func(g typeGroup) bool { return g.Name == name })
		if i < 0 {
			i = len(groups)
			groups = append(groups, typeGroup{Name: name})
		}
		groups[i].Types = append(groups[i].Types, eventType{t.Name, t.Description})
	}
	return groups, nil
}

// endpointForm is what the form for an endpoint holds.
type endpointForm struct {
	URL, Version, Description string
	AllTypes                  bool
	EventTypes                []string
	// Datasets are those that it wants to hear of, one a line.
	Datasets string
	// Order is by what events are sent one after the other.
	Order    string
	Throttle string
	Headers  []headerRow
	Chat     chatForm
	problems webhook.Invalid
	// before is the endpoint as it is; the zero value when there is none yet.
	before webhook.Endpoint
}

// headerRow is a custom header. The value of one that is there already is not
// shown: it stays as it is when it is left empty.
type headerRow struct {
	Name, Value string
	Kept        bool
}

// spareHeaders is how many empty rows the form offers.
const spareHeaders = 2

// formOf fills the form from an endpoint.
func formOf(e *webhook.Endpoint) endpointForm {
	f := endpointForm{
		URL: e.URL, Version: strconv.Itoa(e.Version), Description: e.Description, AllTypes: e.EventTypes == nil,
		EventTypes: e.EventTypes, Order: string(e.Order), Datasets: strings.Join(e.Datasets, "\n"), Chat: chatFormOf(e), before: *e,
	}
	if e.Throttle > 0 {
		f.Throttle = strconv.Itoa(e.Throttle)
	}
	for _, h := range e.Headers {
		f.Headers = append(f.Headers, headerRow{Name: h.Name, Kept: true})
	}
	return f
}

// Has reports whether a type is ticked.
func (f *endpointForm) Has(name string) bool { return slices.Contains(f.EventTypes, name) }

// Problem is what is wrong with a field; "" names the form as a whole.
func (f *endpointForm) Problem(field string) string { return f.problems.Of(field) }

// Wrong reports whether anything is wrong.
func (f *endpointForm) Wrong() bool { return len(f.problems) > 0 }

// Advanced reports whether something is set that most endpoints do without.
func (f *endpointForm) Advanced() bool {
	return f.Throttle != "" || f.Order != "" || f.Problem("order") != "" || slices.ContainsFunc(f.Headers, func(h headerRow) bool { return h.Name != "" }) ||
		f.Problem("throttle") != "" || f.Problem("headers") != ""
}

type endpointFormView struct {
	page
	Ref, Action string
	Form        *endpointForm
	Groups      []typeGroup
	// Registry says that the application belongs to an account with datasets.
	Registry bool
	URLCheck urlCheck
	DryRun   *dryRun
	Preview  chatPreview
}

func (v *visit) showForm(status int, ref string, f endpointForm, dry *dryRun) error {
	title, action := "Add endpoint", v.base()+"/endpoints"
	if ref != "" {
		title, action = "Edit endpoint", v.base()+"/endpoints/"+ref+"/edit"
	}
	groups, err := v.typeGroups(f.before.EventTypes)
	if err != nil {
		return err
	}
	for range spareHeaders {
		f.Headers = append(f.Headers, headerRow{})
	}
	view := endpointFormView{
		page: v.page(title, "endpoints"), Ref: ref, Action: action, Form: &f, Groups: groups, Registry: v.token == nil, DryRun: dry,
	}
	if f.URL != "" {
		view.URLCheck = v.p.checkURL(f.URL)
	}
	if view.Preview, err = v.previewOf(&f); err != nil {
		return err
	}
	return v.show(status, "endpoint_form.html", view)
}

func (p *Portal) newEndpointPage(v *visit) error {
	return v.showForm(http.StatusOK, "", endpointForm{AllTypes: true, Chat: newChatForm()}, nil)
}

// urlCheck is what can be said of a URL before anything is sent there.
type urlCheck struct{ Problem, Warning string }

func (p *Portal) checkURL(raw string) urlCheck {
	normal, problem := webhook.NormalizeURL(raw, p.cfg.HTTPSOnly)
	if problem != "" {
		return urlCheck{Problem: problem}
	}
	if class := p.cfg.Egress.Refuses(normal); class != "" {
		return urlCheck{Warning: fmt.Sprintf("This address is not public (%s), so nothing will be sent there. "+
			"Whoever runs this installation can allow its network.", class)}
	}
	if strings.HasPrefix(normal, "http:") {
		return urlCheck{Warning: "Without https everybody on the way can read what is sent."}
	}
	return urlCheck{}
}

// checkURLPart says, as somebody types, what is wrong with a URL.
func (p *Portal) checkURLPart(v *visit) error {
	raw := v.URL.Query().Get("url")
	if raw == "" || len(raw) > webhook.MaxURLLength {
		return v.show(http.StatusOK, "url-check", urlCheck{})
	}
	return v.show(http.StatusOK, "url-check", p.checkURL(raw))
}

// The bounds of the form. maxDescription counts characters.
const (
	maxDescription = 1000
	maxDatasets    = 1000
	maxHeaders     = 50
)

// readForm checks the form and fills the endpoint from it. Event types and
// values of headers that were there before may stay.
func (v *visit) readForm(e, before *webhook.Endpoint) (endpointForm, error) {
	if err := v.ParseForm(); err != nil {
		return endpointForm{}, err
	}
	f := endpointForm{
		URL: v.PostFormValue("url"), Version: strings.TrimSpace(v.PostFormValue("version")),
		Description: strings.TrimSpace(v.PostFormValue("description")),
		AllTypes:    v.PostFormValue("all_types") != "", EventTypes: v.PostForm["event_types"],
		Datasets: v.PostFormValue("datasets"), Throttle: strings.TrimSpace(v.PostFormValue("throttle")), before: *before,
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
	f.readOrder(e, v.PostFormValue("order"))
	f.readThrottle(e)
	f.readDatasets(e)
	f.readHeaders(e, v.PostForm["header_name"], v.PostForm["header_value"])
	f.Chat = readChat(v.PostForm, e, &f.problems)
	return f, v.readTypes(&f, e)
}

func (v *visit) readTypes(f *endpointForm, e *webhook.Endpoint) error {
	e.EventTypes = nil
	if f.AllTypes {
		return nil
	}
	groups, err := v.typeGroups(f.before.EventTypes)
	if err != nil {
		return err
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
	return nil
}

func (f *endpointForm) readOrder(e *webhook.Endpoint, order string) {
	switch e.Order = webhook.Order(order); e.Order {
	case webhook.Unordered, webhook.PerDataset, webhook.PerKey:
		f.Order = order
	default:
		f.problems.Add("order", "There is no such order. Choose from the list.")
	}
}

func (f *endpointForm) readThrottle(e *webhook.Endpoint) {
	e.Throttle = 0
	if f.Throttle == "" {
		return
	}
	n, err := strconv.Atoi(f.Throttle)
	if err != nil || n < 1 || n > webhook.MaxThrottle {
		f.problems.Add("throttle", "The rate limit is a whole number from 1 to 65,535, or empty for none.")
		return
	}
	e.Throttle = n
}

func (f *endpointForm) readDatasets(e *webhook.Endpoint) {
	e.Datasets = nil
	for name := range strings.FieldsSeq(strings.ReplaceAll(f.Datasets, ",", " ")) {
		owner, own, ok := strings.Cut(name, "/")
		if !ok || owner == "" || own == "" || strings.Contains(own, "/") || len(name) > 2*webhook.MaxNameLength || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
			f.problems.Add("datasets", fmt.Sprintf("%q is not the full name of a dataset, such as jane/flowers.", short(name)))
			return
		}
		if !slices.Contains(e.Datasets, name) {
			e.Datasets = append(e.Datasets, name)
		}
	}
	if len(e.Datasets) > maxDatasets {
		f.problems.Add("datasets", "At most 1,000 datasets can be named.")
	}
}

func (f *endpointForm) readHeaders(e *webhook.Endpoint, names, values []string) {
	e.Headers = nil
	for i, name := range names {
		name = strings.TrimSpace(name)
		value := ""
		if i < len(values) {
			value = strings.TrimSpace(values[i])
		}
		if name == "" && value == "" {
			continue
		}
		row := headerRow{Name: name, Value: value}
		if value == "" {
			for _, h := range f.before.Headers {
				if strings.EqualFold(h.Name, name) {
					value, row.Kept = h.Value, true
				}
			}
		}
		f.Headers = append(f.Headers, row)
		if problem := webhook.HeaderProblem(name, value); problem != "" {
			f.problems.Add("headers", fmt.Sprintf("%q %s.", short(name), problem))
			continue
		}
		if slices.ContainsFunc(e.Headers, func(h webhook.Header) bool { return strings.EqualFold(h.Name, name) }) {
			f.problems.Add("headers", fmt.Sprintf("%q is given twice.", name))
			continue
		}
		e.Headers = append(e.Headers, webhook.Header{Name: name, Value: value})
	}
	if len(e.Headers) > maxHeaders {
		f.problems.Add("headers", "At most 50 headers can be added.")
	}
}

func (p *Portal) createEndpoint(v *visit) error {
	e := webhook.Endpoint{Application: v.account.Application, Secrets: []webhook.Secret{{Key: signature.NewSecret()}}}
	f, err := v.readForm(&e, &webhook.Endpoint{})
	if err != nil {
		return err
	}
	if v.PostFormValue("preview") != "" {
		f.problems = nil
		return v.showForm(http.StatusOK, "", f, nil)
	}
	if len(f.problems) > 0 {
		return v.showForm(http.StatusUnprocessableEntity, "", f, nil)
	}
	if v.PostFormValue("dry_run") != "" {
		dry, err := v.dryRun(nil, &e)
		if err != nil {
			return err
		}
		return v.showForm(http.StatusOK, "", f, &dry)
	}
	made, err := p.store.CreateEndpoint(v.Context(), e)
	if errors.Is(err, webhook.ErrLimit) {
		f.problems.Add("", fmt.Sprintf("An account has at most %d endpoints. Delete one that is not used.", store.MaxEndpoints))
		return v.showForm(http.StatusUnprocessableEntity, "", f, nil)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.base() + "/endpoints/" + endpointRef(made) + "?done=added")
}

func (p *Portal) editEndpointPage(v *visit) error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	return v.showForm(http.StatusOK, endpointRef(e), formOf(e), nil)
}

func (p *Portal) editEndpoint(v *visit) error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	read := *e
	f, err := v.readForm(&read, e)
	if err != nil {
		return err
	}
	if v.PostFormValue("preview") != "" {
		f.problems = nil
		return v.showForm(http.StatusOK, endpointRef(e), f, nil)
	}
	if len(f.problems) > 0 {
		return v.showForm(http.StatusUnprocessableEntity, endpointRef(e), f, nil)
	}
	if v.PostFormValue("dry_run") != "" {
		dry, err := v.dryRun(e, &read)
		if err != nil {
			return err
		}
		return v.showForm(http.StatusOK, endpointRef(e), f, &dry)
	}
	return v.change("saved", func(e *webhook.Endpoint) error {
		e.URL, e.Version, e.Description, e.EventTypes = read.URL, read.Version, read.Description, read.EventTypes
		e.Datasets, e.Throttle, e.Headers, e.Order = read.Datasets, read.Throttle, read.Headers, read.Order
		e.Kind, e.Filter, e.Digest = read.Kind, read.Filter, read.Digest
		return nil
	})
}

// dryRun is how many events of the last day an endpoint would have received as
// it is, and as the form has it.
type dryRun struct {
	Was, Now, Of string
	// New says that there is no endpoint yet, More that only the newest events
	// were looked at.
	New, More bool
}

// dryRun counts. was is nil for an endpoint that is not there yet.
func (v *visit) dryRun(was, will *webhook.Endpoint) (dryRun, error) {
	var before, after, of int64
	as := *will
	as.Disabled = false
	withPayload := will.Filter != nil || was != nil && was.Filter != nil
	more, err := v.p.store.EachMessage(v.Context(), v.account.Application, time.Now().Add(-24*time.Hour), withPayload, func(m *webhook.Message) {
		of++
		if as.Wants(m) {
			after++
		}
		if was != nil && was.Wants(m) {
			before++
		}
	})
	return dryRun{Was: count(before), Now: count(after), Of: count(of), New: was == nil, More: more}, err
}

// dryRunPart counts for a form that is being filled in.
func (p *Portal) dryRunPart(v *visit) error {
	var was *webhook.Endpoint
	before := &webhook.Endpoint{}
	if ref := v.PathValue("endpoint"); ref != "" {
		e, err := v.endpoint()
		if err != nil {
			return err
		}
		was, before = e, e
	}
	read := *before
	f, err := v.readForm(&read, before)
	if err != nil {
		return err
	}
	for _, field := range []string{"event_types", "datasets", "condition"} {
		if f.Problem(field) != "" {
			return v.show(http.StatusOK, "dry-run", (*dryRun)(nil))
		}
	}
	dry, err := v.dryRun(was, &read)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "dry-run", &dry)
}
