package webhooks

import (
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"net/http"
	"slices"
)

var operationalTypesField = field{
	name: "eventTypes", alias: "filterTypes", kind: texts, nullable: true, min: 1, max: 100, unique: true,
	enum: store.OperationalTypes(), doc: "The events it wants; null is all.",
}

var (
	operationalFields = []field{
		urlField, descriptionField, disabledField, uidField("uid", webhook.EndpointID, "Your own id of the endpoint."),
		operationalTypesField, metadataField, throttleField,
	}
	newOperationalFields = append(slices.Clone(operationalFields), secretField, headersField)
)

// operational are the endpoints that hear of the environment itself.
func (a *API) operational() []operation {
	const path = "/operational-webhook/endpoint"
	example := `{"url":"https://example.com/operations","eventTypes":["endpoint.disabled"]}`
	one := exampleEndpoint
	one.EventTypes, one.FilterTypes = []string{"endpoint.disabled"}, []string{"endpoint.disabled"}
	op := func(route, id, summary string, status int, out any, handle func(*request, webhook.ID) (answer, error)) operation {
		return operation{
			route: route, id: "operational-webhook.endpoint." + id, summary: summary, access: forEnvironment, status: status, out: out,
			handle: func(r *request) (answer, error) {
				app, err := r.a.store.OperationalApplication(r.Context(), r.token.Environment)
				if err != nil {
					return answer{}, err
				}
				return handle(r, app)
			},
		}
	}
	with := func(o operation, body []field, example string) operation {
		o.body, o.example = body, example
		switch o.id {
		case "operational-webhook.endpoint.update":
			o.otherwise = map[int]any{http.StatusCreated: one}
		case "operational-webhook.endpoint.rotate-secret":
			o.otherwise = map[int]any{http.StatusOK: exampleSecret}
		}
		return o
	}
	list := op("GET "+path, "list", "List operational endpoints", http.StatusOK, listOut[endpointOut]{Data: []endpointOut{one}, Done: true},
		func(r *request, app webhook.ID) (answer, error) { return r.endpointPage(app) })
	list.query = []field{limitField, iteratorField, orderField}
	return []operation{
		list,
		with(op("POST "+path, "create", "Create an operational endpoint", http.StatusCreated, one, createOperational), newOperationalFields, example),
		op("GET "+path+"/{ep}", "get", "Get an operational endpoint", http.StatusOK, one, getOperational),
		with(op("PUT "+path+"/{ep}", "update", "Create or replace an operational endpoint", http.StatusOK, one, putOperational), operationalFields, example),
		op("DELETE "+path+"/{ep}", "delete", "Delete an operational endpoint", http.StatusNoContent, nil,
			func(r *request, app webhook.ID) (answer, error) {
				return answer{status: http.StatusNoContent}, r.a.store.DeleteEndpoint(r.Context(), app, r.PathValue("ep"))
			}),
		op("GET "+path+"/{ep}/secret", "get-secret", "Get its signing secret", http.StatusOK, exampleSecret, (*request).secret),
		with(op("POST "+path+"/{ep}/secret/rotate", "rotate-secret", "Rotate its signing secret", http.StatusNoContent, nil, (*request).rotate),
			rotateFields, `{"gracePeriodSeconds":3600}`),
		op("GET "+path+"/{ep}/headers", "get-headers", "Get its custom headers", http.StatusOK, headersOut{map[string]string{"X-Team": "ops"}, []string{}}, (*request).headers),
		with(op("PUT "+path+"/{ep}/headers", "update-headers", "Replace its custom headers", http.StatusNoContent, nil, (*request).putHeaders),
			putHeadersFields, `{"headers":{"X-Team":"ops"}}`),
	}
}

// normalizeURL puts the URL of a body into the form that is stored.
func (r *request) normalizeURL() error {
	url, problem := webhook.NormalizeURL(get[string](r.in, "url"), r.a.cfg.HTTPSOnly)
	if problem != "" {
		return wrong(problem, "body", "url")
	}
	r.in["url"] = url
	return nil
}

func createOperational(r *request, app webhook.ID) (answer, error) {
	if err := r.normalizeURL(); err != nil {
		return answer{}, err
	}
	made, err := r.a.store.CreateEndpoint(r.Context(), r.newEndpoint(app))
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusCreated, endpointOf(made)}, nil
}

func getOperational(r *request, app webhook.ID) (answer, error) {
	e, err := r.a.store.Endpoint(r.Context(), app, r.PathValue("ep"))
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, endpointOf(e)}, nil
}

func putOperational(r *request, app webhook.ID) (answer, error) {
	if err := r.normalizeURL(); err != nil {
		return answer{}, err
	}
	return r.saveEndpoint(app)
}
