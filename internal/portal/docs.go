package portal

import (
	"errors"
	"fanfare/internal/guide"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"
)

func isNotFound(err error) bool { return errors.Is(err, webhook.ErrNotFound) }

// anybody lets in everybody. Whoever is logged in, or came with a link, sees
// their own navigation.
func (p *Portal) anybody(route string, h func(*visit) error) {
	p.router.Handle(route, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := p.visitor(w, r)
		if err == nil {
			w.Header().Set("Cache-Control", "no-store")
			err = h(v)
		}
		if err != nil {
			p.fail(w, r, err)
		}
	}))
}

// visitor finds out who is there, if anybody is known.
func (p *Portal) visitor(w http.ResponseWriter, r *http.Request) (*visit, error) {
	v := &visit{Request: r, w: w, p: p}
	user, err := p.session(r)
	if err == nil {
		v.user, v.account = user, user
		v.accounts, err = p.accountsOf(v)
		return v, err
	}
	if !isNotFound(err) {
		return nil, err
	}
	token, err := p.accessToken(r, "")
	if isNotFound(err) {
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	ref := webhook.ApplicationID.Format(token.Application)
	app, err := p.store.Application(r.Context(), token.Environment, ref)
	if isNotFound(err) {
		return v, nil
	}
	v.token = &token
	v.user = registry.Account{Name: app.Name}
	v.account = registry.Account{Name: ref, Application: app.ID, WebhooksEnabled: true}
	return v, err
}

// docsView is a page of the documentation.
type docsView struct {
	page

	Pages      []guide.Page
	References []guide.Reference
	// Current is the name of the page or document that is shown.
	Current string
	Doc     guide.Page

	Query string
	Hits  []guide.Hit

	Reference guide.Reference
	Group     guide.Group
}

func (v *visit) docs(title, current string) docsView {
	return docsView{page: v.page(title, "docs"), Pages: v.p.guide.Pages, References: v.p.guide.Reference, Current: current}
}

func (p *Portal) docsPage(v *visit) error {
	doc, ok := p.guide.Page(v.PathValue("page"))
	if !ok {
		return webhook.ErrNotFound
	}
	view := v.docs(doc.Title, doc.Name)
	view.Doc = doc
	return v.show(http.StatusOK, "docs.html", view)
}

func (p *Portal) docsSearch(v *visit) error {
	view := v.docs("Search", "")
	view.Query = strings.TrimSpace(v.URL.Query().Get("q"))
	view.Hits = p.guide.Search(view.Query)
	return v.show(http.StatusOK, "docs_search.html", view)
}

func (p *Portal) reference(name string) (guide.Reference, error) {
	for _, r := range p.guide.Reference {
		if r.Name == name {
			return r, nil
		}
	}
	return guide.Reference{}, webhook.ErrNotFound
}

func (p *Portal) referencePage(v *visit) error {
	r, err := p.reference(v.PathValue("document"))
	if err != nil {
		return err
	}
	view := v.docs(r.Title, "api/"+r.Name)
	view.Reference = r
	return v.show(http.StatusOK, "reference.html", view)
}

func (p *Portal) referenceGroup(v *visit) error {
	r, err := p.reference(v.PathValue("document"))
	if err != nil {
		return err
	}
	group, ok := r.Group(v.PathValue("group"))
	if !ok {
		return webhook.ErrNotFound
	}
	view := v.docs(group.Title, "api/"+r.Name)
	view.Reference, view.Group = r, group
	return v.show(http.StatusOK, "reference_group.html", view)
}

// openapi serves the documents themselves.
func (p *Portal) openapi(w http.ResponseWriter, r *http.Request) error {
	name, ok := strings.CutSuffix(path.Base(r.PathValue("file")), ".json")
	document, err := p.reference(name)
	if !ok || err != nil {
		return webhook.ErrNotFound
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(document.Source) // whoever asked has gone
	return nil
}

// receiverView is a receiver to start from, for one endpoint.
type receiverView struct {
	page

	Ref, URL string
	Variable string
	Starters []guide.Code
	Current  guide.Code
}

// receiverPage shows whole receivers with the name that this endpoint's secret
// has in them.
func (p *Portal) receiverPage(v *visit) error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	ref := endpointRef(e)
	view := receiverView{page: v.page("A receiver", "endpoints"), Ref: ref, URL: e.URL, Variable: secretVariable(ref)}
	view.Starters = guide.Starters(view.Variable)
	view.Current = view.Starters[0]
	for _, s := range view.Starters {
		if s.ID == v.URL.Query().Get("language") {
			view.Current = s
		}
	}
	return v.show(http.StatusOK, "receiver.html", view)
}

// secretVariable is the environment variable for the secret of an endpoint:
// somebody with several endpoints needs several.
func secretVariable(ref string) string {
	return guide.Variable + "_" + strings.ToUpper(ref[max(0, len(ref)-6):])
}

// inWords is a length of time as the documentation says it.
func inWords(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := d / unit.length; n > 0 && d%unit.length == 0 && (n > 1 || unit.name != "day") {
			if n == 1 {
				return "1 " + unit.name
			}
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return d.String()
}

// Promises are the settings of the node of which the documentation tells.
type Promises struct {
	RetrySchedule                               []time.Duration
	RequestTimeout, DisableAfter, RetryAfterCap time.Duration
	MessageRetention, AttemptRetention          time.Duration
}

func (p *Promises) facts() guide.Facts {
	f := guide.Facts{RequestTimeout: inWords(p.RequestTimeout), RetryAfterCap: inWords(p.RetryAfterCap)}
	f.MessageRetention, f.AttemptRetention = inWords(p.MessageRetention), inWords(p.AttemptRetention)
	if p.DisableAfter > 0 {
		f.DisableAfter = inWords(p.DisableAfter)
	}
	for _, d := range p.RetrySchedule {
		f.RetrySchedule = append(f.RetrySchedule, inWords(d))
	}
	return f
}
