package portal

import (
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"net/http"
	"time"
)

type endpointsView struct {
	page
	Window    window
	Windows   []tab
	Endpoints []endpointRow
}

type endpointRow struct {
	Ref, URL, Description string
	Standing              standing
	EventTypes            []string
	Health                health
	Backlog               store.Backlog
}

// The size of the small charts in the list.
const smallWidth, smallHeight = 132, 24

func (p *Portal) endpointsPage(v *visit) error {
	endpoints, err := p.store.Endpoints(v.Context(), v.account.Application)
	if err != nil {
		return err
	}
	w := windowOf(v.URL.Query())
	view := endpointsView{
		page: v.page("Endpoints", "endpoints"), Window: w, Windows: windowTabs(v.base()+"/endpoints", w),
	}
	view.Live = len(endpoints) > 0
	for _, e := range endpoints {
		row := endpointRow{
			Ref: endpointRef(e), URL: e.URL, Description: e.Description, Standing: p.standing(e), EventTypes: e.EventTypes,
		}
		if row.Health, err = v.health(e, w, smallWidth, smallHeight); err != nil {
			return err
		}
		if row.Backlog, err = p.store.EndpointBacklog(v.Context(), e.ID); err != nil {
			return err
		}
		view.Endpoints = append(view.Endpoints, row)
	}
	return v.show(http.StatusOK, "endpoints.html", view)
}

func endpointRef(e *webhook.Endpoint) string { return webhook.EndpointID.Format(e.ID) }

func (v *visit) endpoint() (*webhook.Endpoint, error) {
	return v.p.store.Endpoint(v.Context(), v.account.Application, v.PathValue("endpoint"))
}

// change changes the endpoint of the path and goes back to its page.
func (v *visit) change(done string, change func(*webhook.Endpoint) error) error {
	e, err := v.p.store.UpdateEndpoint(v.Context(), v.account.Application, v.PathValue("endpoint"), change)
	if err != nil {
		return err
	}
	return v.redirect(v.base() + "/endpoints/" + endpointRef(e) + "?done=" + done)
}

// enableEndpoint switches an endpoint on again, and leads to what it missed if
// there may be such.
func (p *Portal) enableEndpoint(v *visit) error {
	var since time.Time
	e, err := p.store.UpdateEndpoint(v.Context(), v.account.Application, v.PathValue("endpoint"), func(e *webhook.Endpoint) error {
		since, e.Disabled = e.DisabledAt, false
		return nil
	})
	if err != nil {
		return err
	}
	here := v.base() + "/endpoints/" + endpointRef(e)
	if since.IsZero() || !v.can(webhook.CreateAttempts) {
		return v.redirect(here + "?done=endpoint-enabled")
	}
	return v.redirect(here + "/replay?done=enabled-replay&what=missed&since=" + formTime(since))
}

func (p *Portal) disableEndpoint(v *visit) error {
	return v.change("endpoint-disabled", func(e *webhook.Endpoint) error {
		e.Disabled = true
		return nil
	})
}

func (p *Portal) disableEndpointPage(v *visit) error {
	return v.ask("endpoint_disable.html", "Disable endpoint")
}

func (p *Portal) deleteEndpointPage(v *visit) error {
	return v.ask("endpoint_delete.html", "Delete endpoint")
}

// ask shows the page that asks before something is done to the endpoint.
func (v *visit) ask(template, title string) error {
	view, err := v.asking(title)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, template, view)
}

func (v *visit) asking(title string) (askView, error) {
	e, err := v.endpoint()
	if err != nil {
		return askView{}, err
	}
	backlog, err := v.p.store.EndpointBacklog(v.Context(), e.ID)
	return askView{page: v.page(title, "endpoints"), Endpoint: e, Ref: endpointRef(e), Backlog: backlog}, err
}

type askView struct {
	page
	Endpoint *webhook.Endpoint
	Ref      string
	Backlog  store.Backlog
}

func (p *Portal) deleteEndpoint(v *visit) error {
	if err := p.store.DeleteEndpoint(v.Context(), v.account.Application, v.PathValue("endpoint")); err != nil {
		return err
	}
	return v.redirect(v.base() + "/endpoints?done=deleted")
}

// waiting counts what waits.
func waiting(b store.Backlog) string {
	if b.Waiting >= store.MaxBacklog {
		return "At least " + count(store.MaxBacklog)
	}
	return count(int64(b.Waiting))
}
