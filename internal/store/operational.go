package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"time"
)

// OperationalTypes are the events that an environment tells of itself
// (contract, section 12).
func OperationalTypes() []string {
	return []string{
		"background_task.finished", "endpoint.created", "endpoint.deleted", "endpoint.disabled", "endpoint.enabled",
		"endpoint.failing", "endpoint.updated", "message.attempt.exhausted", "message.attempt.failing", "message.attempt.recovered",
	}
}

// operationalEvent is one of them. Data is an object.
type operationalEvent struct {
	Type string `json:"type"`
	Data any    `json:"data"`
}

type endpointData struct {
	AppID       string  `json:"appId"`
	AppUID      *string `json:"appUid"`
	EndpointID  string  `json:"endpointId"`
	EndpointUID *string `json:"endpointUid"`
}

// disabledData says since when the endpoint failed, null when it did not, and
// whether a person disabled it.
type disabledData struct {
	endpointData
	FailSince *time.Time `json:"failSince"`
	Trigger   string     `json:"trigger"`
}

type attemptData struct {
	AppID       string      `json:"appId"`
	AppUID      *string     `json:"appUid"`
	MsgID       string      `json:"msgId"`
	MsgEventID  *string     `json:"msgEventId"`
	EndpointID  string      `json:"endpointId"`
	LastAttempt lastAttempt `json:"lastAttempt"`
}

type lastAttempt struct {
	ID                 string    `json:"id"`
	ResponseStatusCode int       `json:"responseStatusCode"`
	Timestamp          time.Time `json:"timestamp"`
}

type taskData struct {
	TaskID string          `json:"taskId"`
	Task   string          `json:"task"`
	Status string          `json:"status"`
	Data   json.RawMessage `json:"data"`
}

// textOrNull is a text, or null when there is none.
func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func endpointDataOf(a *webhook.Application, e *webhook.Endpoint) endpointData {
	return endpointData{
		AppID: webhook.ApplicationID.Format(a.ID), AppUID: textOrNull(a.UID),
		EndpointID: webhook.EndpointID.Format(e.ID), EndpointUID: textOrNull(e.UID),
	}
}

// endpointEvent makes an event about an endpoint; nil for an endpoint of the
// environment itself, about which nothing is told.
func endpointEvent(eventType string, a *webhook.Application, e *webhook.Endpoint) *operationalEvent {
	if a.Operational {
		return nil
	}
	return &operationalEvent{eventType, endpointDataOf(a, e)}
}

// operational records an event of an environment, in the transaction that
// caused it, if anybody ever asked to hear of such.
func (t *tx) operational(environment webhook.ID, event *operationalEvent) error {
	if event == nil {
		return nil
	}
	var app webhook.ID
	err := t.row(`SELECT operational_id FROM environment WHERE id = $1`, key(environment)).Scan(id(&app))
	if err != nil || app.IsZero() {
		return err
	}
	return t.addMessage(&webhook.Message{Application: app, EventType: event.Type, Payload: []byte(text(event))})
}

func (t *tx) tellEndpoint(eventType string, e *webhook.Endpoint) error {
	a, err := t.anyApplication(e.Application)
	if err != nil {
		return err
	}
	return t.operational(a.Environment, endpointEvent(eventType, &a.Application, e))
}

// anyApplication reads an application that may be deleted.
func (t *tx) anyApplication(app webhook.ID) (*application, error) {
	return scanApplication(t.row(selectApplication+` WHERE id = $1`, key(app)))
}

// endpointChanged tells that an endpoint was changed by somebody, and whether
// it was switched on or off.
func (t *tx) endpointChanged(e *webhook.Endpoint, wasDisabled bool) error {
	if err := t.tellEndpoint("endpoint.updated", e); err != nil || e.Disabled == wasDisabled {
		return err
	}
	if e.Disabled {
		return t.tellDisabled(e, time.Time{}, "manual")
	}
	return t.tellEndpoint("endpoint.enabled", e)
}

func (t *tx) tellDisabled(e *webhook.Endpoint, failSince time.Time, trigger string) error {
	a, err := t.anyApplication(e.Application)
	if err != nil || a.Operational {
		return err
	}
	data := disabledData{endpointData: endpointDataOf(&a.Application, e), Trigger: trigger}
	if !failSince.IsZero() {
		data.FailSince = &failSince
	}
	return t.operational(a.Environment, &operationalEvent{"endpoint.disabled", data})
}

// failingData warns of an endpoint that will be disabled.
type failingData struct {
	endpointData
	FailSince time.Time `json:"failSince"`
	DisableAt time.Time `json:"disableAt"`
}

func (t *tx) tellFailing(e *webhook.Endpoint) error {
	a, err := t.anyApplication(e.Application)
	if err != nil || a.Operational {
		return err
	}
	return t.operational(a.Environment, &operationalEvent{
		"endpoint.failing", failingData{endpointDataOf(&a.Application, e), e.FailingSince, t.s.DisablesAt(e)},
	})
}

// failingAttempts is after how many failed attempts of a delivery its
// environment is told.
const failingAttempts = 4

// tellAttempt tells of a delivery that fails again and again, has failed for
// good, or has arrived after all.
func (t *tx) tellAttempt(r *webhook.Record, attempt webhook.ID) error {
	var eventType string
	switch {
	case r.Trigger() != webhook.Scheduled:
		return nil
	case r.Ends == webhook.Failed && r.Outcome != webhook.NotSent:
		eventType = "message.attempt.exhausted"
	case r.Ends == webhook.Pending && r.Attempts == failingAttempts && r.HeldSince.IsZero():
		eventType = "message.attempt.failing"
	case r.Ends == webhook.Succeeded && r.Attempts >= failingAttempts:
		eventType = "message.attempt.recovered"
	default:
		return nil
	}
	a, err := t.anyApplication(r.Application)
	if err != nil || a.Operational {
		return err
	}
	data := attemptData{
		AppID: webhook.ApplicationID.Format(a.ID), AppUID: textOrNull(a.UID), MsgID: webhook.MessageID.Format(r.Message),
		EndpointID:  webhook.EndpointID.Format(r.Endpoint),
		LastAttempt: lastAttempt{webhook.AttemptID.Format(attempt), r.StatusCode, r.StartedAt},
	}
	var eventID string
	err = t.row(`SELECT event_id FROM message WHERE id = $1 AND application_id = $2`, key(r.Message), key(r.Application)).
		Scan(intoText{&eventID})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	data.MsgEventID = textOrNull(eventID)
	return t.operational(a.Environment, &operationalEvent{eventType, data})
}

// OperationalApplication is the application of an environment whose endpoints
// hear of the environment itself; it is made when it is first asked for.
func (s *Store) OperationalApplication(ctx context.Context, environment webhook.ID) (webhook.ID, error) {
	app, err := s.operationalApplication(ctx, environment)
	if err != nil || !app.IsZero() {
		return app, err
	}
	err = s.write(ctx, func(t *tx) error {
		// Two may ask at once: the second finds what the first has made.
		if err := t.row(`SELECT operational_id FROM environment WHERE id = $1`+t.s.dialect.forUpdate, key(environment)).
			Scan(id(&app)); err != nil || !app.IsZero() {
			return err
		}
		a := webhook.Application{
			ID: s.ids.New(time.Now()), Environment: environment, Name: "operational webhooks", Metadata: map[string]string{},
			Operational: true, CreatedAt: now(),
		}
		if err := t.createApplication(a); err != nil {
			return err
		}
		app = a.ID
		_, err := t.exec(`UPDATE environment SET operational_id = $2 WHERE id = $1`, key(environment), key(app))
		return err
	})
	if err != nil {
		return app, fmt.Errorf("operational webhooks: %w", err)
	}
	return app, nil
}

func (s *Store) operationalApplication(ctx context.Context, environment webhook.ID) (app webhook.ID, err error) {
	err = s.row(ctx, `SELECT operational_id FROM environment WHERE id = $1`, key(environment)).Scan(id(&app))
	return app, err
}
