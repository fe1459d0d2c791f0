package portal

import (
	"fanfare/internal/webhook"
	"net/http"
)

// furtherRoutes are those of the catalogue, of verifying, of the documentation
// and of the operator.
func (p *Portal) furtherRoutes(open func(route string, h func(http.ResponseWriter, *http.Request) error)) {
	// Anybody; whoever is logged in sees their navigation beside it.
	p.anybody("GET /docs", func(v *visit) error { return v.redirect("/docs/" + p.guide.Pages[0].Name) })
	p.anybody("GET /docs/search", p.docsSearch)
	p.anybody("GET /docs/{page}", p.docsPage)
	p.anybody("GET /docs/api/{document}", p.referencePage)
	p.anybody("GET /docs/api/{document}/{group}", p.referenceGroup)
	open("GET /docs/openapi/{file}", p.openapi)

	// Whoever may act for the account, and whoever came with a link.
	view := webhook.ViewBase
	p.webhooks("GET /webhooks/{account}/catalogue", view, p.cataloguePage)
	p.webhooks("GET /webhooks/{account}/catalogue/{type}", view, p.typePage)
	p.webhooks("GET /webhooks/{account}/verify", view, p.verifyPage)
	p.webhooks("POST /webhooks/{account}/verify", view, p.verify)
	p.webhooks("GET /webhooks/{account}/endpoints/{endpoint}/receiver", view, p.receiverPage)

	p.operatorRoutes(open)
}
