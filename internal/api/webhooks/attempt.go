package webhooks

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"net/http"
	"time"
	"unicode/utf8"
)

type attemptOut struct {
	ID                 string          `json:"id"`
	MsgID              string          `json:"msgId"`
	EndpointID         string          `json:"endpointId"`
	URL                string          `json:"url"`
	Response           string          `json:"response"`
	ResponseStatusCode int             `json:"responseStatusCode"`
	ResponseDurationMs int64           `json:"responseDurationMs"`
	Status             int             `json:"status"`
	StatusText         string          `json:"statusText"`
	TriggerType        webhook.Trigger `json:"triggerType"`
	Timestamp          time.Time       `json:"timestamp"`
	Msg                *messageOut     `json:"msg,omitempty"`
}

// The states of the contract (its section 9.8).
const (
	statusSuccess  = 0
	statusPending  = 1
	statusFail     = 2
	statusSending  = 3
	statusCanceled = 4
)

var statusTexts = [...]string{"success", "pending", "fail", "sending", "canceled"}

func attemptStatus(a *webhook.Attempt) int {
	switch {
	case a.Outcome == webhook.Delivered:
		return statusSuccess
	case a.Outcome == webhook.NotSent && a.Ends == webhook.Canceled:
		return statusCanceled
	default:
		return statusFail
	}
}

func attemptOf(a *webhook.Attempt, withContent bool) attemptOut {
	status := attemptStatus(a)
	out := attemptOut{
		ID: webhook.AttemptID.Format(a.ID), MsgID: webhook.MessageID.Format(a.Message), EndpointID: webhook.EndpointID.Format(a.Endpoint),
		URL: a.URL, Response: "{}", ResponseStatusCode: a.StatusCode, ResponseDurationMs: a.Timings.Total.Milliseconds(),
		Status: status, StatusText: statusTexts[status], TriggerType: a.Trigger(), Timestamp: a.StartedAt,
	}
	if withContent {
		out.Response = responseOf(a)
	}
	return out
}

// blockedText is what the contract has for calls to addresses that are refused
// (its section 13).
const blockedText = "requests to this IP range are blocked (see the server configuration)"

func responseOf(a *webhook.Attempt) string {
	switch {
	case string(a.Response) == store.Expunged:
		return store.Expunged
	case a.Outcome == webhook.Blocked:
		return blockedText
	case a.Error != "" && a.StatusCode == 0:
		return a.Error
	default:
		return readable(a.Response)
	}
}

// readable is an answer as text, in base64 when it is none. The bound on what is
// kept of an answer may have cut its last character in two.
func readable(response []byte) string {
	text := response
	for cut := 1; cut < utf8.UTFMax && len(response) >= webhook.MaxResponse && !utf8.Valid(text); cut++ {
		text = response[:len(response)-cut]
	}
	if utf8.Valid(text) {
		return string(text)
	}
	return base64.StdEncoding.EncodeToString(response)
}

var exampleAttempt = attemptOut{
	ID: "atmpt_01j000000000000000000000aa", MsgID: exampleMessage.ID, EndpointID: exampleEndpoint.ID, URL: exampleEndpoint.URL,
	Response: "ok", ResponseStatusCode: 200, ResponseDurationMs: 12, StatusText: "success", Timestamp: exampleTime,
}

// attemptedMessageOut is a message, and where it stands at an endpoint.
type attemptedMessageOut struct {
	messageOut
	Status      int        `json:"status"`
	StatusText  string     `json:"statusText"`
	NextAttempt *time.Time `json:"nextAttempt,omitempty"`
}

// attemptedEndpointOut is an endpoint, and where a message stands at it.
type attemptedEndpointOut struct {
	endpointOut
	Status      int        `json:"status"`
	StatusText  string     `json:"statusText"`
	NextAttempt *time.Time `json:"nextAttempt,omitempty"`
}

// stateNumbers are the numbers of the states of a delivery; one that is still
// to be tried again is being sent.
var stateNumbers = map[webhook.Status]int{
	webhook.Succeeded: statusSuccess, webhook.Pending: statusSending, webhook.Failed: statusFail, webhook.Canceled: statusCanceled,
}

func nextAttempt(s *webhook.DeliveryState) *time.Time {
	if s.Status != webhook.Pending || s.NextAt.IsZero() {
		return nil
	}
	return &s.NextAt
}

var (
	statusField      = field{name: "status", kind: integer, min: 0, max: 4, doc: "0 success, 1 pending, 2 fail, 3 sending, 4 canceled."}
	codeClassField   = field{name: "status_code_class", kind: integer, enum: codeClasses, max: 500, doc: "The class of the answer's code; 0 is no answer."}
	expandedField    = field{name: "expanded_statuses", kind: boolean, doc: "Accepted and of no effect: canceled is always shown as such."}
	endpointRefField = field{name: "endpoint_id", kind: text, max: 300, doc: "Only attempts at this endpoint, by id or uid."}
	attemptQuery     = []field{
		limitField, iteratorField, statusField, codeClassField, channelField, tagField, typesField, beforeField, afterField,
		contentField, expandedField,
	}
)

func (a *API) attempts() []operation {
	page := listOut[attemptOut]{Data: []attemptOut{exampleAttempt}, Done: true}
	list := func(route, id, summary string, extra []field, handle func(*request) (answer, error)) operation {
		return operation{
			route: "GET " + route, id: id, summary: summary, access: forApplication, can: webhook.ViewBase,
			query: append(append([]field{}, attemptQuery...), extra...), status: http.StatusOK, out: page, handle: handle,
		}
	}
	attemptPath := messagePath + "/attempt/{at}"
	withMsg := []field{{name: "with_msg", kind: boolean, doc: "Include the message, without its payload.", given: false}}
	return []operation{
		list("/app/{app}/attempt/endpoint/{ep}", "message-attempt.list-by-endpoint", "List attempts at an endpoint", withMsg, endpointAttempts),
		list("/app/{app}/attempt/msg/{msg}", "message-attempt.list-by-msg", "List attempts for a message", []field{endpointRefField}, messageAttempts),
		list(messagePath+"/attempt", "message-attempt.list-by-msg-old", "List attempts for a message (old clients)", []field{endpointRefField}, messageAttempts),
		list(messagePath+"/endpoint/{ep}/attempt", "message-attempt.list-by-endpoint-old", "List attempts for a message at an endpoint (old clients)", nil, messageAttempts),
		{
			route: "GET " + endpointPath + "/msg", id: "message-attempt.list-attempted-messages", summary: "List the messages of an endpoint",
			access: forApplication, can: webhook.ViewBase,
			query:  []field{limitField, iteratorField, statusField, channelField, tagField, typesField, beforeField, afterField, contentField, expandedField},
			status: http.StatusOK, handle: attemptedMessages,
			out: listOut[attemptedMessageOut]{Data: []attemptedMessageOut{{messageOut: exampleMessage, StatusText: "success"}}, Done: true},
		},
		{
			route: "GET " + messagePath + "/endpoint", id: "message-attempt.list-attempted-destinations", summary: "List the endpoints of a message",
			access: forApplication, can: webhook.ViewBase, query: []field{limitField, iteratorField, expandedField},
			status: http.StatusOK, handle: attemptedEndpoints,
			out: listOut[attemptedEndpointOut]{Data: []attemptedEndpointOut{{endpointOut: exampleEndpoint, StatusText: "success"}}, Done: true},
		},
		{
			route: "GET " + attemptPath, id: "message-attempt.get", summary: "Get an attempt", access: forApplication, can: webhook.ViewBase,
			query: []field{expandedField}, status: http.StatusOK, out: exampleAttempt, handle: getAttempt,
		},
		{
			route: "DELETE " + attemptPath + "/content", id: "message-attempt.expunge-content", summary: "Forget the answer to an attempt",
			access: forEnvironment, status: http.StatusNoContent, handle: expungeAttempt,
		},
		{
			route: "POST " + messagePath + "/endpoint/{ep}/resend", id: "message-attempt.resend", summary: "Send a message to an endpoint again",
			doc:    "One attempt, whatever the filters of the endpoint say. A disabled endpoint gets nothing.",
			access: forApplication, can: webhook.CreateAttempts, status: http.StatusAccepted, out: emptyOut{}, handle: resend,
		},
	}
}

type emptyOut struct{}

// attemptFilter reads the parameters that narrow a list of attempts.
func (r *request) attemptFilter() store.AttemptFilter {
	f := store.AttemptFilter{Message: r.messageFilter(), CodeClass: number(r.query, "status_code_class")}
	if n := number(r.query, "status"); n != nil {
		// An attempt is never pending, nor being sent.
		state := map[int]webhook.Status{statusSuccess: webhook.Succeeded, statusFail: webhook.Failed, statusCanceled: webhook.Canceled}[*n]
		f.Status = &state
	}
	return f
}

// attemptPage is a page of attempts. horizon, unless nil, is how far one may
// look.
func (r *request) attemptPage(fetch func(store.AttemptFilter, store.Page) ([]webhook.Attempt, error),
	horizon func(store.Page) (store.Horizon, error),
) (answer, error) {
	l, err := r.list(webhook.AttemptID, false)
	if err != nil {
		return answer{}, err
	}
	l.recent()
	f := r.attemptFilter()
	if horizon != nil && !f.IsZero() {
		h, err := horizon(l.Page)
		if err != nil {
			return answer{}, err
		}
		l.stopAt(h)
	}
	rows, err := fetch(f, l.Page)
	if err != nil {
		return answer{}, err
	}
	withContent := r.withContent()
	page := pageOf(rows, l.limit, l.backward,
		func(a *webhook.Attempt) attemptOut { return attemptOf(a, withContent) },
		func(a *webhook.Attempt) string { return webhook.AttemptID.Format(a.ID) })
	goOn(&page, &l, webhook.AttemptID)
	if get[bool](r.query, "with_msg") {
		for i := range page.Data {
			if err := r.addMessage(&page.Data[i]); err != nil {
				return answer{}, err
			}
		}
	}
	return answer{http.StatusOK, page}, nil
}

// addMessage shows the message with its attempt, while it is kept.
func (r *request) addMessage(a *attemptOut) error {
	m, err := r.a.store.Message(r.Context(), r.app.ID, a.MsgID)
	if errors.Is(err, webhook.ErrNotFound) {
		return nil
	}
	out := messageOf(&m, false)
	a.Msg = &out
	return err
}

func endpointAttempts(r *request) (answer, error) {
	e, err := r.endpoint()
	if err != nil {
		return answer{}, err
	}
	return r.attemptPage(func(f store.AttemptFilter, p store.Page) ([]webhook.Attempt, error) {
		return r.a.store.AttemptsOfEndpoint(r.Context(), r.app.ID, e.ID, f, p)
	}, func(p store.Page) (store.Horizon, error) { return r.a.store.AttemptHorizon(r.Context(), e.ID, p) })
}

func messageAttempts(r *request) (answer, error) {
	m, err := r.message()
	if err != nil {
		return answer{}, err
	}
	ref := get[string](r.query, "endpoint_id")
	if path := r.PathValue("ep"); path != "" {
		ref = path
	}
	var endpoint webhook.ID
	if ref != "" {
		e, err := r.a.store.Endpoint(r.Context(), r.app.ID, ref)
		if err != nil {
			return answer{}, err
		}
		endpoint = e.ID
	}
	return r.attemptPage(func(f store.AttemptFilter, p store.Page) ([]webhook.Attempt, error) {
		f.Endpoint = endpoint
		return r.a.store.AttemptsOfMessage(r.Context(), r.app.ID, m.ID, f, p)
	}, nil)
}

// sendingLookBack is how far the list of what is being sent goes.
const sendingLookBack = 7 * 24 * time.Hour

func attemptedMessages(r *request) (answer, error) {
	e, err := r.endpoint()
	if err != nil {
		return answer{}, err
	}
	l, err := r.list(webhook.MessageID, false)
	if err != nil {
		return answer{}, err
	}
	var state *webhook.Status
	if n := number(r.query, "status"); n != nil {
		if *n == statusPending {
			return answer{http.StatusOK, listOut[attemptedMessageOut]{Data: []attemptedMessageOut{}, Done: true}}, nil
		}
		if *n == statusSending {
			l.After = later(l.After, webhook.FloorID(time.Now().Add(-sendingLookBack)))
		}
		found := map[int]webhook.Status{
			statusSuccess: webhook.Succeeded, statusFail: webhook.Failed, statusSending: webhook.Pending, statusCanceled: webhook.Canceled,
		}[*n]
		state = &found
	}
	l.recent()
	// Even without a filter: few of the application's messages may be its.
	horizon, err := r.a.store.MessageHorizon(r.Context(), r.app.ID, l.Page)
	if err != nil {
		return answer{}, err
	}
	l.stopAt(horizon)
	rows, err := r.a.store.AttemptedMessages(r.Context(), r.app.ID, e.ID, r.messageFilter(), state, l.Page)
	withContent := r.withContent()
	page := pageOf(rows, l.limit, l.backward,
		func(m *store.AttemptedMessage) attemptedMessageOut {
			n := stateNumbers[m.State.Status]
			return attemptedMessageOut{messageOf(&m.Message, withContent), n, statusTexts[n], nextAttempt(&m.State)}
		},
		func(m *store.AttemptedMessage) string { return webhook.MessageID.Format(m.ID) })
	goOn(&page, &l, webhook.MessageID)
	return answer{http.StatusOK, page}, err
}

func attemptedEndpoints(r *request) (answer, error) {
	m, err := r.message()
	if err != nil {
		return answer{}, err
	}
	l, err := r.list(webhook.EndpointID, true)
	if err != nil {
		return answer{}, err
	}
	rows, err := r.a.store.AttemptedEndpoints(r.Context(), r.app.ID, m.ID, l.Page)
	return answer{http.StatusOK, pageOf(rows, l.limit, l.backward,
		func(e *store.AttemptedEndpoint) attemptedEndpointOut {
			n := stateNumbers[e.State.Status]
			return attemptedEndpointOut{endpointOf(e.Endpoint), n, statusTexts[n], nextAttempt(&e.State)}
		},
		func(e *store.AttemptedEndpoint) string { return webhook.EndpointID.Format(e.ID) })}, err
}

// attempt finds the attempt of the path.
func (r *request) attempt() (webhook.Attempt, error) {
	m, err := r.message()
	if err != nil {
		return webhook.Attempt{}, err
	}
	id, err := webhook.AttemptID.Parse(r.PathValue("at"))
	if err != nil {
		return webhook.Attempt{}, webhook.ErrNotFound
	}
	a, err := r.a.store.Attempt(r.Context(), r.app.ID, m.ID, id)
	if err == nil && a.Outcome == webhook.NotSent && (a.Ends == webhook.Succeeded || a.Ends == webhook.Pending) {
		err = webhook.ErrNotFound // no call, but a note that none was needed
	}
	return a, err
}

func getAttempt(r *request) (answer, error) {
	a, err := r.attempt()
	return answer{http.StatusOK, attemptOf(&a, true)}, err
}

func expungeAttempt(r *request) (answer, error) {
	a, err := r.attempt()
	if err == nil {
		err = r.a.store.ExpungeAttempt(r.Context(), r.app.ID, a.Message, a.ID)
	}
	return answer{status: http.StatusNoContent}, err
}

func resend(r *request) (answer, error) {
	m, err := r.message()
	if err != nil {
		return answer{}, err
	}
	e, err := r.endpoint()
	if err != nil {
		return answer{}, err
	}
	if !json.Valid(m.Payload) {
		return answer{}, webhook.ErrPayloadGone
	}
	_, err = r.a.store.Resend(r.Context(), r.app.ID, m.ID, webhook.EndpointID.Format(e.ID))
	return answer{http.StatusAccepted, emptyOut{}}, err
}
