package webhooks

import (
	"encoding/json"
	"errors"
	"fanfare/internal/openapi"
	"fanfare/internal/schema"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

type eventTypeOut struct {
	Name         string                     `json:"name"`
	Description  string                     `json:"description"`
	Archived     bool                       `json:"archived"`
	Deprecated   bool                       `json:"deprecated"`
	Schemas      map[string]json.RawMessage `json:"schemas"`
	CreatedAt    time.Time                  `json:"createdAt"`
	UpdatedAt    time.Time                  `json:"updatedAt"`
	FeatureFlag  *string                    `json:"featureFlag"`
	FeatureFlags []string                   `json:"featureFlags"`
	GroupName    *string                    `json:"groupName"`
	// A field of our own.
	ValidatePayload bool `json:"validatePayload"`
}

func eventTypeOf(t *webhook.EventType, withContent bool) eventTypeOut {
	out := eventTypeOut{
		Name: t.Name, Description: t.Description, Archived: t.Archived, Deprecated: t.Deprecated, CreatedAt: t.CreatedAt,
		UpdatedAt: t.UpdatedAt, FeatureFlags: t.FeatureFlags, GroupName: orNull(t.GroupName), ValidatePayload: t.Validated,
	}
	if withContent {
		out.Schemas = t.Schemas
	}
	if len(t.FeatureFlags) > 0 {
		out.FeatureFlag = &t.FeatureFlags[0]
	}
	return out
}

var exampleEventType = eventTypeOut{
	Name: "invoice.paid", Description: "An invoice was paid in full.", GroupName: orNull("invoice"), CreatedAt: exampleTime, UpdatedAt: exampleTime,
	Schemas: map[string]json.RawMessage{"1": json.RawMessage(
		`{"type":"object","required":["invoice"],"properties":{"invoice":{"type":"string"}},"examples":[{"invoice":"in_42"}]}`)},
}

var (
	typeNameField = field{
		name: "name", kind: text, required: true, valid: webhook.ValidName, pattern: namePattern, problem: nameProblem,
		doc: "The name, such as invoice.paid.",
	}
	eventTypeFields = []field{
		{
			name: "description", kind: text, required: true, max: 10_000, valid: plainText, problem: "must not contain control characters",
			doc: "What the event means.",
		},
		{name: "archived", kind: boolean, doc: "Archived types are hidden.", given: false},
		{name: "deprecated", kind: boolean, doc: "Deprecated types are on their way out.", given: false},
		{name: "schemas", kind: objectsMap, nullable: true, doc: "JSON Schemas of the payload by version; draft 7 unless $schema says otherwise."},
		{name: "featureFlag", kind: text, nullable: true, valid: webhook.ValidName, pattern: namePattern, problem: nameProblem, doc: "The same as a list of one."},
		{
			name: "featureFlags", kind: texts, nullable: true, min: 1, max: 100, once: true, valid: webhook.ValidName, pattern: namePattern,
			problem: nameProblem, doc: "Only tokens that hold one of these see the type.",
		},
		{name: "groupName", kind: text, nullable: true, valid: webhook.ValidName, pattern: namePattern, problem: nameProblem, doc: "What it is listed under."},
		{
			name: "validatePayload", kind: boolean, given: false,
			doc: "Refuse messages of this type whose payload does not fit the newest schema. A field of our own.",
		},
	}
)

func (a *API) eventTypes() []operation {
	example := `{"name":"invoice.paid","description":"An invoice was paid in full.","groupName":"invoice"}`
	page := listOut[eventTypeOut]{Data: []eventTypeOut{exampleEventType}, Done: true}
	withContent := field{name: "with_content", kind: boolean, doc: "Include the schemas.", given: false}
	return []operation{
		{
			route: "GET /event-type", id: "event-type.list", summary: "List event types", access: anyToken,
			query: []field{
				limitField, iteratorField, orderField, withContent,
				{name: "include_archived", kind: boolean, doc: "Include archived types.", given: false},
			},
			status: http.StatusOK, out: page, handle: listEventTypes,
		},
		{
			route: "POST /event-type", id: "event-type.create", summary: "Create an event type", access: forEnvironment,
			body: append([]field{typeNameField}, eventTypeFields...), example: example, status: http.StatusCreated, out: exampleEventType,
			handle: createEventType,
		},
		{
			route: "POST /event-type/import/openapi", id: "event-type.import-openapi", summary: "Import event types from an OpenAPI document",
			access: forEnvironment, maxBody: maxBatchBody, body: []field{
				{name: "spec", kind: anyObject, nullable: true, doc: "The document as JSON."},
				{name: "specRaw", kind: text, nullable: true, max: 8 << 20, doc: "The document as JSON or YAML text."},
				{name: "dryRun", kind: boolean, doc: "Change nothing; say what would change.", given: false},
				{name: "replaceAll", kind: boolean, doc: "Archive every type that the document does not have.", given: false},
			},
			example: `{"specRaw":"openapi: 3.1.0\nwebhooks:\n  invoice.paid:\n    post:\n      description: An invoice was paid in full.\n"}`,
			status:  http.StatusOK, out: importOut{Data: importedOut{Modified: []string{"invoice.paid"}}}, handle: importEventTypes,
		},
		{
			route: "GET /event-type/{name}", id: "event-type.get", summary: "Get an event type", access: anyToken, status: http.StatusOK,
			out: exampleEventType, handle: getEventType,
		},
		{
			route: "PUT /event-type/{name}", id: "event-type.update", summary: "Create or replace an event type", access: forEnvironment,
			body: eventTypeFields, example: `{"description":"An invoice was paid in full."}`, status: http.StatusOK, out: exampleEventType,
			otherwise: map[int]any{http.StatusCreated: exampleEventType}, handle: putEventType,
		},
		{
			route: "PATCH /event-type/{name}", id: "event-type.patch", summary: "Change an event type", access: forEnvironment,
			body: optional(eventTypeFields), example: `{"deprecated":true}`, status: http.StatusOK, out: exampleEventType, handle: patchEventType,
		},
		{
			route: "DELETE /event-type/{name}", id: "event-type.delete", summary: "Archive or remove an event type", access: forEnvironment,
			query:  []field{{name: "expunge", kind: boolean, doc: "Remove it for good.", given: false}},
			status: http.StatusNoContent, handle: func(r *request) (answer, error) {
				return answer{status: http.StatusNoContent},
					r.a.store.DeleteEventType(r.Context(), r.token.Environment, r.PathValue("name"), get[bool](r.query, "expunge"))
			},
		},
	}
}

func listEventTypes(r *request) (answer, error) {
	limit := defaultLimit
	if n := get[int64](r.query, "limit"); n > 0 {
		limit = int(n)
	}
	descending := get[string](r.query, "order") == "descending"
	p := store.NamePage{Limit: limit + 1, Descending: descending}
	name, back := strings.CutPrefix(get[string](r.query, "iterator"), "-")
	if forward, ok := strings.CutPrefix(name, "="); ok && !back {
		name = forward
	}
	if name != "" || back {
		if !webhook.ValidName(name) {
			return answer{}, wrong("must be an iterator of this list", "query", "iterator")
		}
		p.Descending = descending != back
		if p.Descending {
			p.Before = name
		} else {
			p.After = name
		}
	}
	rows, err := r.a.store.EventTypes(r.Context(), r.token.Environment, store.EventTypeFilter{
		Archived: get[bool](r.query, "include_archived"), Flagged: !r.token.Application.IsZero(), Flags: r.token.FeatureFlags,
	}, p)
	withContent := get[bool](r.query, "with_content")
	return answer{http.StatusOK, pageOf(rows, limit, back,
		func(t *webhook.EventType) eventTypeOut { return eventTypeOf(t, withContent) },
		nameIterator)}, err
}

// nameIterator is the name of an event type as an iterator. One that begins
// with a hyphen would lead backwards from the rest of it.
func nameIterator(t *webhook.EventType) string {
	if strings.HasPrefix(t.Name, "-") {
		return "=" + t.Name
	}
	return t.Name
}

func getEventType(r *request) (answer, error) {
	t, err := r.a.store.EventType(r.Context(), r.token.Environment, r.PathValue("name"))
	if err == nil && !r.token.Application.IsZero() && !t.Visible(r.token.FeatureFlags) {
		err = webhook.ErrNotFound
	}
	return answer{http.StatusOK, eventTypeOf(&t, true)}, err
}

// fillEventType puts the fields that were sent into an event type, and checks
// the schemas.
func fillEventType(t *webhook.EventType, v values, whole bool) {
	sent := func(name string) bool { return whole || v.has(name) }
	if sent("description") {
		t.Description = get[string](v, "description")
	}
	if sent("archived") {
		t.Archived = get[bool](v, "archived")
	}
	if sent("deprecated") {
		t.Deprecated = get[bool](v, "deprecated")
	}
	if sent("schemas") {
		t.Schemas = get[map[string]json.RawMessage](v, "schemas")
	}
	if sent("groupName") {
		t.GroupName = get[string](v, "groupName")
	}
	if sent("validatePayload") {
		t.Validated = get[bool](v, "validatePayload")
	}
	if sent("featureFlag") || sent("featureFlags") {
		t.FeatureFlags = get[[]string](v, "featureFlags")
		if one := get[string](v, "featureFlag"); t.FeatureFlags == nil && one != "" {
			t.FeatureFlags = []string{one}
		}
	}
}

// checkSchemas refuses what is no JSON Schema.
func (r *request) checkSchemas() error {
	var problems invalid
	schemas := get[map[string]json.RawMessage](r.in, "schemas")
	for _, version := range slices.Sorted(maps.Keys(schemas)) {
		if _, err := schema.Compile(schemas[version]); err != nil {
			problems = append(problems, problem{[]string{"body", "schemas", version}, err.Error(), badRule})
		}
	}
	return problems.err()
}

var errTypeExists = refusal{http.StatusConflict, "event_type_exists", "An event type with this name exists already."}

func createEventType(r *request) (answer, error) {
	if err := r.checkSchemas(); err != nil {
		return answer{}, err
	}
	t := webhook.EventType{Environment: r.token.Environment, Name: get[string](r.in, "name")}
	fillEventType(&t, r.in, true)
	made, err := r.a.store.CreateEventType(r.Context(), t)
	if errors.Is(err, webhook.ErrConflict) {
		err = errTypeExists
	}
	return answer{http.StatusCreated, eventTypeOf(&made, true)}, err
}

func putEventType(r *request) (answer, error) {
	if !webhook.ValidName(r.PathValue("name")) {
		return answer{}, wrong(nameProblem, "path", "name")
	}
	return r.changeEventType(func(t *webhook.EventType, _ bool) error {
		fillEventType(t, r.in, true)
		return nil
	})
}

func patchEventType(r *request) (answer, error) {
	return r.changeEventType(func(t *webhook.EventType, exists bool) error {
		if !exists {
			return webhook.ErrNotFound
		}
		fillEventType(t, r.in, false)
		return nil
	})
}

func (r *request) changeEventType(change func(*webhook.EventType, bool) error) (answer, error) {
	if err := r.checkSchemas(); err != nil {
		return answer{}, err
	}
	status := http.StatusOK
	made, err := r.a.store.UpdateEventType(r.Context(), r.token.Environment, r.PathValue("name"), func(t *webhook.EventType, exists bool) error {
		status = http.StatusOK
		if !exists {
			status = http.StatusCreated
		}
		return change(t, exists)
	})
	return answer{status, eventTypeOf(&made, true)}, err
}

type importOut struct {
	Data importedOut `json:"data"`
}

type importedOut struct {
	Modified []string       `json:"modified"`
	ToModify *[]toModifyOut `json:"to_modify"` // of a dry run
}

type toModifyOut struct {
	Name         string                     `json:"name"`
	Description  string                     `json:"description"`
	Deprecated   bool                       `json:"deprecated"`
	Schemas      map[string]json.RawMessage `json:"schemas"`
	GroupName    *string                    `json:"groupName"`
	FeatureFlags []string                   `json:"featureFlags"`
	FeatureFlag  *string                    `json:"featureFlag"`
}

func importEventTypes(r *request) (answer, error) {
	document, raw := get[json.RawMessage](r.in, "spec"), get[string](r.in, "specRaw")
	where := "spec"
	if raw != "" {
		where = "specRaw"
	}
	if (document != nil) == (raw != "") {
		return answer{}, wrong("give either spec or specRaw", "body", where)
	}
	if document == nil {
		document = json.RawMessage(raw)
	}
	found, err := openapi.ReadEventTypes(document)
	if err != nil {
		return answer{}, wrong(err.Error(), "body", where)
	}
	types := make([]webhook.EventType, len(found))
	byName := map[string]*webhook.EventType{}
	for i, f := range found {
		types[i] = webhook.EventType{
			Name: f.Name, Description: f.Description, Deprecated: f.Deprecated, GroupName: f.GroupName, FeatureFlags: f.FeatureFlags,
		}
		if f.Schema != nil {
			if _, err := schema.Compile(f.Schema); err != nil {
				return answer{}, wrong(f.Name+": "+err.Error(), "body", where)
			}
			types[i].Schemas = map[string]json.RawMessage{"1": f.Schema}
		}
		byName[f.Name] = &types[i]
	}
	dryRun := get[bool](r.in, "dryRun")
	changed, err := r.a.store.ImportEventTypes(r.Context(), r.token.Environment, types, get[bool](r.in, "replaceAll"), dryRun)
	if err != nil {
		return answer{}, err
	}
	out := importedOut{Modified: append([]string{}, changed...)}
	if dryRun {
		out.Modified = []string{}
		toModify := []toModifyOut{}
		for _, name := range changed {
			if t := byName[name]; t != nil {
				o := eventTypeOf(t, true)
				toModify = append(toModify, toModifyOut{
					o.Name, o.Description, o.Deprecated, o.Schemas, o.GroupName, o.FeatureFlags, o.FeatureFlag,
				})
			}
		}
		out.ToModify = &toModify
	}
	return answer{http.StatusOK, importOut{out}}, nil
}

// schemaCache keeps compiled schemas by their text.
type schemaCache struct {
	mu   sync.Mutex
	made map[string]*schema.Schema
}

// maxCached is how many schemas are kept compiled.
const maxCached = 1000

func (c *schemaCache) get(doc json.RawMessage) (*schema.Schema, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.made[string(doc)]; s != nil {
		return s, nil
	}
	s, err := schema.Compile(doc)
	if err != nil {
		return nil, err
	}
	if c.made == nil || len(c.made) >= maxCached {
		c.made = map[string]*schema.Schema{}
	}
	c.made[string(doc)] = s
	return s, nil
}

// validate checks a payload against the schema of its event type, where that is
// asked for.
func (r *request) validate(eventType string, payload []byte, loc ...string) error {
	t, err := r.facts.EventType(r.Context(), r.token.Environment, eventType)
	if err != nil || t == nil || !t.Validated || t.Schema() == nil {
		return err
	}
	s, err := r.a.schemas.get(t.Schema())
	if err != nil {
		return err
	}
	var problems invalid
	for _, p := range s.Validate(payload) {
		problems = append(problems, problem{append(slices.Clone(loc), p.Path...), p.Text, badRule})
	}
	return problems.err()
}
