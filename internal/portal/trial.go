package portal

import (
	"bytes"
	"encoding/json"
	"fanfare/internal/schema"
	"fanfare/internal/webhook"
	"net/http"
	"slices"
	"unicode/utf8"
)

type trialView struct {
	page
	Endpoint *webhook.Endpoint
	Ref      string
	Groups   []typeGroup
	// EventType and Payload are what the form holds.
	EventType, Payload string
	Problem            string
}

// maxTrial bounds the payload of a test event, in bytes.
const maxTrial = 256 << 10

// trialPage offers to send a test event: the example of a type, to be edited.
func (p *Portal) trialPage(v *visit) error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	types, err := v.eventTypes()
	if err != nil {
		return err
	}
	chosen := v.URL.Query().Get("type")
	at := slices.IndexFunc(types, func(t webhook.EventType) bool { return t.Name == chosen })
	if at < 0 {
		at = slices.IndexFunc(types, func(t webhook.EventType) bool { return e.EventTypes == nil || slices.Contains(e.EventTypes, t.Name) })
	}
	view := trialView{Endpoint: e, Payload: "{}"}
	if at >= 0 {
		view.EventType = types[at].Name
		if example := schema.Example(types[at].Schema()); example != "" {
			view.Payload = example
		}
	}
	return v.showTrial(http.StatusOK, view)
}

func (v *visit) showTrial(status int, view trialView) (err error) {
	view.page, view.Ref = v.page("Send test event", "endpoints"), endpointRef(view.Endpoint)
	if view.Groups, err = v.typeGroups(nil); err != nil {
		return err
	}
	return v.show(status, "trial.html", view)
}

// sendTrial sends the test event that the form holds, really signed and really
// sent, and goes to where its outcome shows.
func (p *Portal) sendTrial(v *visit) error {
	if err := v.ParseForm(); err != nil {
		return err
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	view := trialView{Endpoint: e, EventType: v.PostFormValue("type"), Payload: v.PostFormValue("payload")}
	types, err := v.eventTypes()
	if err != nil {
		return err
	}
	var payload bytes.Buffer
	switch {
	case !slices.ContainsFunc(types, func(t webhook.EventType) bool { return t.Name == view.EventType }):
		view.Problem = "There is no such event type. Choose one from the list."
	case len(view.Payload) > maxTrial:
		view.Problem = "The payload of a test has at most 256 kB."
	case !utf8.ValidString(view.Payload) || json.Compact(&payload, []byte(view.Payload)) != nil:
		view.Problem = "This is not JSON. " + jsonProblem(view.Payload)
	case payload.Len() == 0 || payload.Bytes()[0] != '{':
		view.Problem = "The payload is a JSON object: it begins with { and ends with }."
	}
	if view.Problem != "" {
		return v.showTrial(http.StatusUnprocessableEntity, view)
	}
	m := webhook.Message{Application: v.account.Application, EventType: view.EventType, Payload: payload.Bytes()}
	sent, err := p.store.SendTest(v.Context(), &m, endpointRef(e))
	if err != nil {
		return err
	}
	if !sent {
		view.Problem = "The endpoint is disabled. Enable it to send something there."
		return v.showTrial(http.StatusUnprocessableEntity, view)
	}
	return v.redirect(v.base() + "/events/" + webhook.MessageID.Format(m.ID) + "?done=tested")
}
