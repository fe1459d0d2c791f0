package webhooks

import (
	"encoding/json"
	"fanfare/internal/webhook"
	"net/http"
	"slices"
	"time"
)

// maxRecovery is how wide the window of a recovery may be.
const maxRecovery = 14 * 24 * time.Hour

var (
	windowFields = []field{
		{name: "since", kind: instant, required: true, doc: "Where the window begins."},
		{name: "until", kind: instant, nullable: true, doc: "Where the window ends; now if absent."},
		{name: "rate", kind: integer, nullable: true, min: 1, max: webhook.MaxThrottle, doc: "The most messages a second; a field of our own."},
	}
	bulkFields = append(slices.Clone(windowFields),
		field{
			name: "eventTypes", kind: texts, nullable: true, min: 1, max: 250, unique: true, valid: webhook.ValidName,
			pattern: namePattern, problem: nameProblem, doc: "Only messages of these event types.",
		},
		nullableField(channelField), nullableField(tagField),
		field{name: "status", kind: integer, nullable: true, min: 0, max: 4, doc: "Only messages with this status at the endpoint."},
		field{
			name: "statusCodeClass", kind: integer, nullable: true, enum: codeClasses, min: 0, max: 500,
			doc: "Only messages that were answered so; 0 is no answer.",
		},
		field{name: "skipSucceeded", kind: boolean, doc: "Leave out what has arrived; a field of our own.", given: false},
	)
	codeClasses = []string{"0", "100", "200", "300", "400", "500"}
)

func nullableField(f field) field {
	f.nullable = true
	return f
}

func (a *API) replays() []operation {
	example := `{"since":"2030-01-01T00:00:00Z"}`
	out := taskOut{ID: "qtask_01j000000000000000000000aa", Status: "running", Task: webhook.TaskRecover, UpdatedAt: exampleTime}
	replay := func(path, id, summary, doc, task string, body []field) operation {
		return operation{
			route: "POST " + endpointPath + path, id: id, summary: summary, doc: doc, access: forApplication, can: webhook.CreateAttempts,
			body: body, example: example, status: http.StatusAccepted, out: out,
			handle: func(r *request) (answer, error) { return r.replay(task) },
		}
	}
	return []operation{
		replay("/recover", "endpoint.recover", "Send again what failed", "Each message that failed in the window and has not arrived since is sent once more.",
			webhook.TaskRecover, windowFields),
		replay("/replay-missing", "endpoint.replay-missing", "Send what was never sent", "Each message of the window that the endpoint wants and never got is sent.",
			webhook.TaskReplayMissing, windowFields),
		replay("/bulk-replay", "endpoint.bulk-replay", "Send messages again", "Each message of the window that was sent to the endpoint and fits the filters is sent again.",
			webhook.TaskBulkReplay, bulkFields),
		{
			route: "POST " + endpointPath + "/send-example", id: "endpoint.send-example", summary: "Send the example of an event type",
			access: forEnvironment, body: []field{
				{name: "eventType", kind: text, required: true, valid: webhook.ValidName, pattern: namePattern, problem: nameProblem, doc: "The event type."},
				{name: "exampleIndex", kind: integer, min: 0, max: 1000, doc: "Which of its examples.", given: 0},
			},
			example: `{"eventType":"sample.created"}`, status: http.StatusOK, out: exampleMessage, handle: sendExample,
		},
	}
}

func (r *request) replay(task string) (answer, error) {
	e, err := r.endpoint()
	if err != nil {
		return answer{}, err
	}
	p := webhook.TaskParams{
		Since: get[time.Time](r.in, "since"), Until: get[time.Time](r.in, "until"), Rate: int(get[int64](r.in, "rate")),
		EventTypes: get[[]string](r.in, "eventTypes"), Channel: get[string](r.in, "channel"), Tag: get[string](r.in, "tag"),
		SkipSucceeded: get[bool](r.in, "skipSucceeded"), Status: number(r.in, "status"), CodeClass: number(r.in, "statusCodeClass"),
	}
	if p.Until.IsZero() {
		p.Until = time.Now()
	}
	switch {
	case !p.Until.After(p.Since):
		return answer{}, wrong("must be before until", "body", "since")
	case task == webhook.TaskRecover && p.Until.Sub(p.Since) > maxRecovery+slack:
		return answer{}, wrong("must be at most 14 days before until", "body", "since")
	}
	p.Until = p.Until.Add(time.Millisecond) // what was made just now counts, whatever the rounding of ids
	return r.startTask(webhook.Task{Application: r.app.ID, Endpoint: e.ID, Name: task, Params: p})
}

// number is an integer that may be absent.
func number(v values, name string) *int {
	n, ok := v[name].(int64)
	if !ok {
		return nil
	}
	small := int(n)
	return &small
}

// pingType is an event type that every endpoint can be sent.
const pingType = "svix.ping"

func sendExample(r *request) (answer, error) {
	e, err := r.endpoint()
	if err != nil {
		return answer{}, err
	}
	m := webhook.Message{Application: r.app.ID, EventType: get[string](r.in, "eventType"), Payload: []byte(`{"success": true}`)}
	if m.EventType != pingType {
		t, err := r.a.store.EventType(r.Context(), r.token.Environment, m.EventType)
		if err != nil {
			return answer{}, err
		}
		if m.Payload = exampleOf(&t, int(get[int64](r.in, "exampleIndex"))); m.Payload == nil {
			return answer{}, refusal{http.StatusBadRequest, "invalid_scheme", "The event type has no such example."}
		}
	}
	if err := r.a.store.AddMessageFor(r.Context(), &m, e.ID); err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, messageOf(&m, false)}, nil
}

// exampleOf is an example in the schema of an event type, nil when there is
// none.
func exampleOf(t *webhook.EventType, index int) []byte {
	schema := t.Schemas["1"]
	if schema == nil {
		schema = t.Schema()
	}
	var s struct {
		Examples []json.RawMessage `json:"examples"`
	}
	if schema == nil || json.Unmarshal(schema, &s) != nil || index >= len(s.Examples) || len(s.Examples[index]) == 0 || s.Examples[index][0] != '{' {
		return nil
	}
	return s.Examples[index]
}
