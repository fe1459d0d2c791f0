package webhooks

import (
	"errors"
	"fanfare/internal/signature"
	"fanfare/internal/webhook"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

type endpointOut struct {
	ID           string            `json:"id"`
	UID          *string           `json:"uid"`
	URL          string            `json:"url"`
	Version      int               `json:"version"`
	Description  string            `json:"description"`
	Disabled     bool              `json:"disabled"`
	EventTypes   []string          `json:"eventTypes"`
	FilterTypes  []string          `json:"filterTypes"`
	Channels     []string          `json:"channels"`
	Metadata     map[string]string `json:"metadata"`
	RateLimit    *int              `json:"rateLimit"`
	ThrottleRate *int              `json:"throttleRate"`
	CreatedAt    time.Time         `json:"createdAt"`
	UpdatedAt    time.Time         `json:"updatedAt"`
	// The fields of our own.
	Datasets       []string        `json:"datasets"`
	Filter         *webhook.Filter `json:"filter"`
	Kind           string          `json:"kind"`
	Digest         *digestOut      `json:"digest"`
	Order          *string         `json:"order"`
	Paused         bool            `json:"paused"`
	ReleaseRate    *int            `json:"releaseRate"`
	DisabledReason *string         `json:"disabledReason"`
}

func endpointOf(e *webhook.Endpoint) endpointOut {
	return endpointOut{
		ID: webhook.EndpointID.Format(e.ID), UID: orNull(e.UID), URL: e.URL, Version: e.Version, Description: e.Description,
		Disabled: e.Disabled, EventTypes: e.EventTypes, FilterTypes: e.EventTypes, Channels: e.Channels, Metadata: e.Metadata,
		RateLimit: orNull(e.Throttle), ThrottleRate: orNull(e.Throttle), CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt,
		Datasets: e.Datasets, Filter: e.Filter, Kind: e.Kind.String(), Digest: digestOf(e.Digest), DisabledReason: orNull(e.DisabledReason),
		Order: orNull(string(e.Order)), Paused: e.Paused, ReleaseRate: orNull(e.ReleaseRate),
	}
}

var exampleEndpoint = endpointOut{
	ID: "ep_01j000000000000000000000aa", URL: "https://example.com/webhooks", Version: 1, Description: "retrain",
	EventTypes: []string{"release.created"}, FilterTypes: []string{"release.created"}, Metadata: map[string]string{},
	CreatedAt: exampleTime, UpdatedAt: exampleTime, Kind: webhook.Generic.String(),
}

var (
	urlField = field{
		name: "url", kind: text, required: true, max: webhook.MaxURLLength, doc: "Where messages are sent, by http or https.",
	}
	versionField = field{
		name: "version", kind: integer, min: 1, max: 1 << 30, doc: "For your own use.", given: 1, nullable: true,
	}
	disabledField = field{name: "disabled", kind: boolean, doc: "A disabled endpoint gets nothing.", given: false}
	filterField   = field{
		name: "eventTypes", alias: "filterTypes", kind: texts, nullable: true, min: 1, max: 10_000, once: true,
		valid: webhook.ValidName, pattern: namePattern, problem: nameProblem, doc: "The event types it wants; null is all.",
	}
	channelsField = field{
		name: "channels", kind: texts, nullable: true, min: 1, max: webhook.MaxChannels, once: true,
		valid: webhook.ValidChannel, pattern: channelPattern, problem: channelProblem, doc: "The channels it listens to; null is all.",
	}
	datasetsField = field{
		name: "datasets", kind: texts, nullable: true, min: 1, max: 1000, unique: true, valid: validDataset,
		problem: "must be the full name of a dataset, owner/name",
		doc:     "The datasets (owner/name) it wants to hear of; null is all. A field of our own: what a PUT leaves out stays.",
	}
	secretField = field{
		name: "secret", kind: text, nullable: true, max: 200, doc: "The signing key, whsec_… or whsk_…; null has one made.",
		valid: validSecret, problem: "must be whsec_ and 24 to 75 bytes in base64, or whsk_ and an ed25519 key of 64 bytes in base64",
	}
	headersField = field{
		name: "headers", kind: headerMap, nullable: true, doc: "Headers that are sent with each message.",
	}
)

func validDataset(s string) bool {
	owner, name, ok := strings.Cut(s, "/")
	return ok && owner != "" && name != "" && len(s) <= 2*webhook.MaxNameLength && plainText(s)
}

func validSecret(s string) bool { return signature.CheckSecret(s) == nil }

var (
	endpointFields = []field{
		urlField, descriptionField, disabledField, uidField("uid", webhook.EndpointID, "Your own id of the endpoint, unique in the application."),
		versionField, filterField, channelsField, metadataField, throttleField, datasetsField, conditionField, kindField, digestField,
		orderingField, pausedField, releaseField,
	}
	newEndpointFields   = append(slices.Clone(endpointFields), secretField, headersField)
	patchEndpointFields = append(optional(endpointFields), secretField)
)

const endpointPath = "/app/{app}/endpoint/{ep}"

func (a *API) endpoints() []operation {
	example := `{"url":"https://example.com/webhooks","eventTypes":["release.created"],"description":"retrain"}`
	page := listOut[endpointOut]{Data: []endpointOut{exampleEndpoint}, Done: true}
	return []operation{
		{
			route: "GET /app/{app}/endpoint", id: "endpoint.list", summary: "List endpoints", access: forApplication, can: webhook.ViewBase,
			query: []field{limitField, iteratorField, orderField}, status: http.StatusOK, out: page, handle: listEndpoints,
		},
		{
			route: "POST /app/{app}/endpoint", id: "endpoint.create", summary: "Create an endpoint", access: forApplication,
			can: webhook.ManageEndpoint, body: newEndpointFields, example: example, status: http.StatusCreated, out: exampleEndpoint,
			handle: createEndpoint,
		},
		{
			route: "GET " + endpointPath, id: "endpoint.get", summary: "Get an endpoint", access: forApplication, can: webhook.ViewBase,
			status: http.StatusOK, out: exampleEndpoint, handle: getEndpoint,
		},
		{
			route: "PUT " + endpointPath, id: "endpoint.update", summary: "Create or replace an endpoint", access: forApplication,
			can: webhook.ManageEndpoint, body: endpointFields, example: example, status: http.StatusOK, out: exampleEndpoint,
			otherwise: map[int]any{http.StatusCreated: exampleEndpoint}, handle: putEndpoint,
		},
		{
			route: "PATCH " + endpointPath, id: "endpoint.patch", summary: "Change an endpoint", access: forApplication,
			can: webhook.ManageEndpoint, body: patchEndpointFields, example: `{"disabled":true}`, status: http.StatusOK, out: exampleEndpoint,
			handle: patchEndpoint,
		},
		{
			route: "DELETE " + endpointPath, id: "endpoint.delete", summary: "Delete an endpoint", access: forApplication,
			can: webhook.ManageEndpoint, status: http.StatusNoContent, handle: deleteEndpoint,
		},
		{
			route: "GET " + endpointPath + "/headers", id: "endpoint.get-headers", summary: "Get the custom headers", access: forApplication,
			can: webhook.ViewBase, status: http.StatusOK, out: headersOut{map[string]string{"X-Team": "ml"}, []string{"Authorization"}},
			handle: getHeaders,
		},
		{
			route: "PUT " + endpointPath + "/headers", id: "endpoint.update-headers", summary: "Replace the custom headers",
			access: forApplication, can: webhook.ManageEndpoint, body: putHeadersFields, example: `{"headers":{"X-Team":"ml"}}`,
			status: http.StatusNoContent, handle: putHeaders,
		},
		{
			route: "PATCH " + endpointPath + "/headers", id: "endpoint.patch-headers", summary: "Change some of the custom headers",
			access: forApplication, can: webhook.ManageEndpoint, body: patchHeadersFields,
			example: `{"headers":{"X-Team":"ml"},"deleteHeaders":["X-Old"]}`, status: http.StatusNoContent, handle: patchHeaders,
		},
		{
			route: "GET " + endpointPath + "/stats", id: "endpoint.get-stats", summary: "Count attempts by what came of them",
			access: forApplication, can: webhook.ViewBase, query: []field{
				{name: "since", kind: instant, doc: "Where the window begins; 28 days ago if absent."},
				{name: "until", kind: instant, doc: "Where the window ends; now if absent."},
			},
			status: http.StatusOK, out: statsOut{Success: 97, Fail: 3}, handle: endpointStats,
		},
	}
}

func listEndpoints(r *request) (answer, error) { return r.endpointPage(r.app.ID) }

func (r *request) endpointPage(app webhook.ID) (answer, error) {
	l, err := r.list(webhook.EndpointID, false)
	if err != nil {
		return answer{}, err
	}
	rows, err := r.a.store.EndpointPage(r.Context(), app, l.Page)
	return answer{http.StatusOK, pageOf(rows, l.limit, l.backward,
		func(e **webhook.Endpoint) endpointOut { return endpointOf(*e) },
		func(e **webhook.Endpoint) string { return webhook.EndpointID.Format((*e).ID) })}, err
}

func (r *request) endpoint() (*webhook.Endpoint, error) {
	return r.a.store.Endpoint(r.Context(), r.app.ID, r.PathValue("ep"))
}

func getEndpoint(r *request) (answer, error) {
	e, err := r.endpoint()
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, endpointOf(e)}, nil
}

// normalize checks the fields of an endpoint that depend on more than
// themselves, and puts the URL into the form that is stored.
func (r *request) normalize() error {
	if r.in.has("url") {
		if err := r.normalizeURL(); err != nil {
			return err
		}
	}
	if err := r.normalizeFilter(); err != nil {
		return err
	}
	return r.knownTypes()
}

// knownTypes refuses event types that are not in the catalogue.
func (r *request) knownTypes() error {
	unknown, err := r.a.store.UnknownEventTypes(r.Context(), r.token.Environment, get[[]string](r.in, "eventTypes"))
	if err == nil && len(unknown) > 0 {
		err = wrong("The following event types don't exist: "+strings.Join(unknown, ", "), "body", "eventTypes")
	}
	return err
}

// fillEndpoint puts the fields of a body that was sent whole into an endpoint.
func fillEndpoint(e *webhook.Endpoint, v values) {
	e.URL, e.Description, e.Disabled, e.UID = get[string](v, "url"), get[string](v, "description"), get[bool](v, "disabled"), get[string](v, "uid")
	e.Version = max(1, int(get[int64](v, "version")))
	e.EventTypes, e.Channels = get[[]string](v, "eventTypes"), get[[]string](v, "channels")
	e.Metadata, e.Throttle = metadata(v), throttle(v)
	if v.has("datasets") {
		e.Datasets = get[[]string](v, "datasets")
	}
	fillKind(e, v)
	fillOrder(e, v)
}

// newSecret makes the key of an endpoint that brings none.
func (a *API) newSecret() string {
	if a.cfg.Asymmetric {
		return signature.NewAsymmetricSecret()
	}
	return signature.NewSecret()
}

// newEndpoint is what a body describes.
func (r *request) newEndpoint(app webhook.ID) webhook.Endpoint {
	e := webhook.Endpoint{Application: app}
	fillEndpoint(&e, r.in)
	secret := get[string](r.in, "secret")
	if secret == "" {
		secret = r.a.newSecret()
	}
	e.Secrets = []webhook.Secret{{Key: secret}}
	e.Headers = mergeHeaders(nil, get[map[string]*string](r.in, "headers"), nil)
	return e
}

func createEndpoint(r *request) (answer, error) {
	if err := r.normalize(); err != nil {
		return answer{}, err
	}
	made, err := r.a.store.CreateEndpoint(r.Context(), r.newEndpoint(r.app.ID))
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusCreated, endpointOf(made)}, nil
}

func putEndpoint(r *request) (answer, error) {
	if err := r.normalize(); err != nil {
		return answer{}, err
	}
	return r.saveEndpoint(r.app.ID)
}

// saveEndpoint puts a body that was sent whole into the endpoint of the path,
// or makes one.
func (r *request) saveEndpoint(app webhook.ID) (answer, error) {
	replaced, err := r.replaceEndpoint(app)
	if !errors.Is(err, webhook.ErrNotFound) {
		return replaced, err
	}
	made, err := r.a.store.CreateEndpoint(r.Context(), r.newEndpoint(app))
	if errors.Is(err, webhook.ErrConflict) && get[string](r.in, "uid") == r.PathValue("ep") {
		return r.replaceEndpoint(app) // somebody has made it in between
	}
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusCreated, endpointOf(made)}, nil
}

// replaceEndpoint puts a body that was sent whole into the endpoint of the path.
func (r *request) replaceEndpoint(app webhook.ID) (answer, error) {
	made, err := r.changeEndpoint(app, func(e *webhook.Endpoint) error {
		fillEndpoint(e, r.in)
		return nil
	})
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, endpointOf(made)}, nil
}

// changeEndpoint changes the endpoint of the path.
func (r *request) changeEndpoint(app webhook.ID, change func(*webhook.Endpoint) error) (*webhook.Endpoint, error) {
	return r.a.store.UpdateEndpoint(r.Context(), app, r.PathValue("ep"), change)
}

func patchEndpoint(r *request) (answer, error) {
	if err := r.normalize(); err != nil {
		return answer{}, err
	}
	made, err := r.changeEndpoint(r.app.ID, func(e *webhook.Endpoint) error {
		// What was not sent stays as it is.
		now := values{
			"url": e.URL, "description": e.Description, "disabled": e.Disabled, "uid": e.UID, "version": int64(e.Version),
			"eventTypes": e.EventTypes, "channels": e.Channels, "metadata": e.Metadata, "throttleRate": int64(e.Throttle),
		}
		maps.Copy(now, r.in)
		fillEndpoint(e, now)
		if secret := get[string](r.in, "secret"); secret != "" {
			e.Secrets[0] = webhook.Secret{Key: secret}
		}
		return nil
	})
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, endpointOf(made)}, nil
}

func deleteEndpoint(r *request) (answer, error) {
	return answer{status: http.StatusNoContent}, r.a.store.DeleteEndpoint(r.Context(), r.app.ID, r.PathValue("ep"))
}

type headersOut struct {
	Headers   map[string]string `json:"headers"`
	Sensitive []string          `json:"sensitive"`
}

var (
	putHeadersFields   = []field{{name: "headers", kind: headerMap, required: true, doc: "All custom headers."}}
	patchHeadersFields = []field{
		{name: "headers", kind: headerMap, nullable: true, doc: "Headers to add or change; null removes one."},
		{name: "deleteHeaders", kind: texts, nullable: true, max: 1000, doc: "Names of headers to remove, in any case."},
	}
)

func getHeaders(r *request) (answer, error) { return r.headers(r.app.ID) }

func (r *request) headers(app webhook.ID) (answer, error) {
	e, err := r.a.store.Endpoint(r.Context(), app, r.PathValue("ep"))
	if err != nil {
		return answer{}, err
	}
	out := headersOut{map[string]string{}, []string{}}
	for _, h := range e.Headers {
		if webhook.SensitiveHeader(h.Name) {
			out.Sensitive = append(out.Sensitive, h.Name)
		} else {
			out.Headers[h.Name] = h.Value
		}
	}
	return answer{http.StatusOK, out}, nil
}

// mergeHeaders puts changes into a list of headers, which it returns sorted.
func mergeHeaders(have []webhook.Header, change map[string]*string, remove []string) []webhook.Header {
	merged := slices.DeleteFunc(slices.Clone(have), func(h webhook.Header) bool {
		for name := range change {
			if strings.EqualFold(name, h.Name) {
				return true
			}
		}
		return slices.ContainsFunc(remove, func(name string) bool { return strings.EqualFold(name, h.Name) })
	})
	for name, value := range change {
		if value != nil && !slices.ContainsFunc(remove, func(r string) bool { return strings.EqualFold(name, r) }) {
			merged = append(merged, webhook.Header{Name: name, Value: *value})
		}
	}
	slices.SortFunc(merged, func(a, b webhook.Header) int { return strings.Compare(a.Name, b.Name) })
	return merged
}

// maxHeaders is how many custom headers an endpoint may have.
const maxHeaders = 100

func putHeaders(r *request) (answer, error) { return r.putHeaders(r.app.ID) }

func (r *request) putHeaders(app webhook.ID) (answer, error) {
	return r.changeHeaders(app, func(*webhook.Endpoint) []webhook.Header {
		return mergeHeaders(nil, get[map[string]*string](r.in, "headers"), nil)
	})
}

func patchHeaders(r *request) (answer, error) {
	return r.changeHeaders(r.app.ID, func(e *webhook.Endpoint) []webhook.Header {
		return mergeHeaders(e.Headers, get[map[string]*string](r.in, "headers"), get[[]string](r.in, "deleteHeaders"))
	})
}

func (r *request) changeHeaders(app webhook.ID, change func(*webhook.Endpoint) []webhook.Header) (answer, error) {
	_, err := r.changeEndpoint(app, func(e *webhook.Endpoint) error {
		if e.Headers = change(e); len(e.Headers) > maxHeaders {
			return wrong("must be at most 100 headers", "body", "headers")
		}
		return nil
	})
	return answer{status: http.StatusNoContent}, err
}

type statsOut struct {
	Success  int64 `json:"success"`
	Pending  int64 `json:"pending"`
	Sending  int64 `json:"sending"`
	Fail     int64 `json:"fail"`
	Canceled int64 `json:"canceled"`
}

// The window of statistics.
const (
	statsWindow = 28 * 24 * time.Hour
	slack       = 5 * time.Minute
)

func endpointStats(r *request) (answer, error) {
	e, err := r.endpoint()
	if err != nil {
		return answer{}, err
	}
	now := time.Now()
	since, until := get[time.Time](r.query, "since"), get[time.Time](r.query, "until")
	if until.IsZero() {
		until = now
	}
	if since.IsZero() {
		since = until.Add(-statsWindow)
	}
	if until.Sub(since) > statsWindow+slack || until.After(now.Add(time.Second)) || until.Before(since) {
		return answer{}, refusal{http.StatusBadRequest, "invalid_range", "The window must end by now, begin before it ends and have at most 28 days."}
	}
	// What has just been recorded counts, whatever the rounding of ids.
	counts, err := r.a.store.EndpointStats(r.Context(), e.ID, since, until.Add(time.Millisecond))
	return answer{http.StatusOK, statsOut{Success: counts.Succeeded, Fail: counts.Failed, Canceled: counts.Canceled}}, err
}
