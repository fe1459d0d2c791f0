package webhooks

import (
	"errors"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"strings"
	"time"
)

type applicationOut struct {
	UID          string `json:"uid,omitempty"`
	Name         string `json:"name"`
	RateLimit    *int   `json:"rateLimit,omitempty"`
	ThrottleRate *int   `json:"throttleRate"`

	MessageRetentionPeriod *int `json:"messageRetentionPeriod"`
	AttemptRetentionPeriod *int `json:"attemptRetentionPeriod"`

	ID        string            `json:"id"`
	CreatedAt time.Time         `json:"createdAt"`
	UpdatedAt time.Time         `json:"updatedAt"`
	Metadata  map[string]string `json:"metadata"`
}

func applicationOf(a *webhook.Application) applicationOut {
	return applicationOut{
		UID: a.UID, Name: a.Name, RateLimit: orNull(a.Throttle), ThrottleRate: orNull(a.Throttle),
		MessageRetentionPeriod: orNull(inDays(a.MessageRetention)), AttemptRetentionPeriod: orNull(inDays(a.AttemptRetention)),
		ID: webhook.ApplicationID.Format(a.ID), CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, Metadata: a.Metadata,
	}
}

// exampleTime is when everything in the examples happened.
var exampleTime = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

var exampleApplication = applicationOut{
	UID: "customer-42", Name: "Acme", ID: "app_01j000000000000000000000aa", CreatedAt: exampleTime, UpdatedAt: exampleTime,
	Metadata: map[string]string{"plan": "pro"},
}

var applicationFields = []field{
	{
		name: "name", kind: text, required: true, min: 1, max: 10_000, doc: "What people call the application.",
		valid:   func(s string) bool { return !strings.ContainsFunc(s, func(c rune) bool { return c <= 0x08 }) },
		problem: "must not contain the control characters 0x00 to 0x08",
	},
	uidField("uid", webhook.ApplicationID, "Your own id of the application, unique in the environment."),
	metadataField, throttleField,
	{
		name: "messageRetentionPeriod", kind: integer, nullable: true, min: 1, max: maxDays,
		doc: "For how many days messages are kept; null for as long as the installation keeps any, which is the most.",
	},
	{
		name: "attemptRetentionPeriod", kind: integer, nullable: true, min: 1, max: maxDays,
		doc: "For how many days attempts are kept; null for as long as the installation keeps any, which is the most. They go with their messages at the latest.",
	},
}

// maxDays bounds what is given in days: a hundred years.
const maxDays = 36_500

const day = 24 * time.Hour

func inDays(d time.Duration) int { return int(d / day) }

// retain reads for how long an application keeps messages and attempts, as far
// as that is said. More than the installation keeps would be a promise that it
// does not hold.
func (r *request) retain(v values, a *webhook.Application, loc ...string) error {
	messages, attempts := r.a.store.Retention()
	for _, f := range []struct {
		name string
		most time.Duration
		into *time.Duration
	}{
		{"messageRetentionPeriod", messages, &a.MessageRetention},
		{"attemptRetentionPeriod", attempts, &a.AttemptRetention},
	} {
		if !v.has(f.name) {
			continue // clients that know nothing of it change nothing
		}
		asked := time.Duration(get[int64](v, f.name)) * day
		if asked > f.most {
			return wrong(fmt.Sprintf("must be at most %d: nothing is kept longer here", inDays(f.most)), append(loc, f.name)...)
		}
		*f.into = asked
	}
	return nil
}

// optional returns fields of which none need be there, as in a PATCH.
func optional(fields []field) []field {
	all := make([]field, len(fields))
	for i, f := range fields {
		f.required, f.given = false, nil
		all[i] = f
	}
	return all
}

func (a *API) applications() []operation {
	exists := field{name: "get_if_exists", kind: boolean, doc: "Answer with the application that has the uid, if there is one.", given: false}
	example := `{"name":"Acme","uid":"customer-42","metadata":{"plan":"pro"}}`
	page := listOut[applicationOut]{Data: []applicationOut{exampleApplication}, Done: true}
	return []operation{
		{
			route: "GET /app", id: "application.list", summary: "List applications", access: forEnvironment,
			query: []field{
				limitField, iteratorField, orderField,
				{name: "exclude_apps_with_no_endpoints", kind: boolean, doc: "Leave out applications without endpoints."},
				{name: "exclude_apps_with_disabled_endpoints", kind: boolean, doc: "Leave out applications with a disabled endpoint."},
				{name: "exclude_apps_with_svix_play_endpoints", kind: boolean, doc: "Accepted and of no effect."},
			},
			status: http.StatusOK, out: page, handle: listApplications,
		},
		{
			route: "POST /app", id: "application.create", summary: "Create an application", access: forEnvironment,
			query: []field{exists}, body: applicationFields, example: example,
			status: http.StatusCreated, out: exampleApplication, otherwise: map[int]any{http.StatusOK: exampleApplication}, handle: createApplication,
		},
		{
			route: "GET /app/{app}", id: "application.get", summary: "Get an application", access: forApplication, can: webhook.ViewBase,
			status: http.StatusOK, out: exampleApplication,
			handle: func(r *request) (answer, error) { return answer{http.StatusOK, applicationOf(&r.app)}, nil },
		},
		{
			route: "PUT /app/{app}", id: "application.update", summary: "Create or replace an application", access: forEnvironment,
			body: applicationFields, example: example, status: http.StatusOK, out: exampleApplication, inline: true,
			otherwise: map[int]any{http.StatusCreated: exampleApplication}, handle: putApplication,
		},
		{
			route: "PATCH /app/{app}", id: "application.patch", summary: "Change an application", access: forEnvironment,
			body: optional(applicationFields), example: `{"throttleRate":100}`, status: http.StatusOK, out: exampleApplication,
			handle: patchApplication,
		},
		{
			route: "DELETE /app/{app}", id: "application.delete", summary: "Delete an application", access: forEnvironment,
			doc:    "Its endpoints and tokens end at once. One that belongs to an account of the registry stays: 409.",
			status: http.StatusNoContent,
			handle: func(r *request) (answer, error) {
				return answer{status: http.StatusNoContent},
					r.a.store.DeleteApplication(r.Context(), r.token.Environment, webhook.ApplicationID.Format(r.app.ID))
			},
		},
	}
}

func listApplications(r *request) (answer, error) {
	l, err := r.list(webhook.ApplicationID, true)
	if err != nil {
		return answer{}, err
	}
	rows, err := r.a.store.Applications(r.Context(), r.token.Environment, store.ApplicationFilter{
		WithEndpoints: get[bool](r.query, "exclude_apps_with_no_endpoints"),
		NoneDisabled:  get[bool](r.query, "exclude_apps_with_disabled_endpoints"),
	}, l.Page)
	return answer{http.StatusOK, pageOf(rows, l.limit, l.backward, applicationOf, func(a *webhook.Application) string {
		return webhook.ApplicationID.Format(a.ID)
	})}, err
}

// newApplication is what a body describes, or what of it stands at loc.
func (r *request) newApplication(v values, loc ...string) (webhook.Application, error) {
	a := webhook.Application{
		Environment: r.token.Environment, UID: get[string](v, "uid"), Name: get[string](v, "name"), Metadata: metadata(v), Throttle: throttle(v),
	}
	return a, r.retain(v, &a, loc...)
}

// errUIDTaken means that another application of the environment has the uid.
var errUIDTaken = refusal{http.StatusConflict, "conflict", "An application with that id or uid already exists"}

func orUIDTaken(err error) error {
	if errors.Is(err, webhook.ErrConflict) {
		return errUIDTaken
	}
	return err
}

func createApplication(r *request) (answer, error) {
	wanted, err := r.newApplication(r.in, "body")
	if err != nil {
		return answer{}, err
	}
	if get[bool](r.query, "get_if_exists") && wanted.UID != "" {
		found, created, err := r.a.store.EnsureApplication(r.Context(), wanted)
		if created {
			return answer{http.StatusCreated, applicationOf(&found)}, err
		}
		return answer{http.StatusOK, applicationOf(&found)}, err
	}
	made, err := r.a.store.CreateApplication(r.Context(), wanted)
	return answer{http.StatusCreated, applicationOf(&made)}, orUIDTaken(err)
}

func putApplication(r *request) (answer, error) {
	wanted, err := r.newApplication(r.in, "body")
	if err != nil {
		return answer{}, err
	}
	if r.app.ID.IsZero() {
		made, err := r.a.store.CreateApplication(r.Context(), wanted)
		if !errors.Is(err, webhook.ErrConflict) || wanted.UID != r.PathValue("app") {
			return answer{http.StatusCreated, applicationOf(&made)}, orUIDTaken(err)
		}
		// Somebody has made it in between.
		if r.app, err = r.a.store.Application(r.Context(), r.token.Environment, wanted.UID); err != nil {
			return answer{}, err
		}
	}
	made, err := r.changeApplication(func(a *webhook.Application) error {
		a.UID, a.Name, a.Metadata, a.Throttle = wanted.UID, wanted.Name, wanted.Metadata, wanted.Throttle
		return r.retain(r.in, a, "body")
	})
	return answer{http.StatusOK, applicationOf(&made)}, err
}

func patchApplication(r *request) (answer, error) {
	made, err := r.changeApplication(func(a *webhook.Application) error {
		if r.in.has("name") {
			a.Name = get[string](r.in, "name")
		}
		if r.in.has("uid") {
			a.UID = get[string](r.in, "uid")
		}
		if r.in.has("metadata") {
			a.Metadata = metadata(r.in)
		}
		if r.in.has("throttleRate") {
			a.Throttle = throttle(r.in)
		}
		return r.retain(r.in, a, "body")
	})
	return answer{http.StatusOK, applicationOf(&made)}, err
}

func (r *request) changeApplication(change func(*webhook.Application) error) (webhook.Application, error) {
	made, err := r.a.store.UpdateApplication(r.Context(), r.token.Environment, webhook.ApplicationID.Format(r.app.ID), change)
	return made, orUIDTaken(err)
}

// inlineApplication makes the application that a body brings, when the path
// names one that is not there (contract, section 9.7).
func (r *request) inlineApplication(missing error) error {
	brought := get[values](r.in, "application")
	if brought == nil {
		if r.app.ID.IsZero() {
			return missing
		}
		return nil
	}
	loc := []string{"body", "application", "uid"}
	uid, ref := get[string](brought, "uid"), r.PathValue("app")
	switch {
	case uid == "":
		return invalid{{loc, "Application UID not set in body", "application_uid_missing"}}
	case uid != ref:
		return invalid{{loc, "Application UID in the path and body must match", "application_uid_mismatch"}}
	case !r.app.ID.IsZero():
		return nil
	}
	wanted, err := r.newApplication(brought, "body", "application")
	if err != nil {
		return err
	}
	r.app, _, err = r.a.store.EnsureApplication(r.Context(), wanted)
	return err
}

var inlineField = field{
	name: "application", kind: object, nullable: true, fields: applicationFields,
	doc: "The application, made when the path names one that is not there; its uid must be that of the path.",
}
