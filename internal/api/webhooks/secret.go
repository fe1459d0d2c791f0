package webhooks

import (
	"fanfare/internal/signature"
	"fanfare/internal/webhook"
	"net/http"
	"strconv"
	"strings"
	"time"
)

type secretOut struct {
	Key string `json:"key"`
}

// defaultGrace is how long the old key of a rotation goes on signing.
const defaultGrace = 86400

var rotateFields = []field{
	{
		name: "key", kind: text, nullable: true, max: 200, valid: validSecret, problem: secretField.problem,
		doc: "The new signing key; null has one made.",
	},
	{
		name: "gracePeriodSeconds", kind: integer, nullable: true, min: 0, max: 604800, given: defaultGrace,
		doc: "For how long the old key goes on signing beside the new one; 0 drops it at once.",
	},
}

func (a *API) secrets() []operation {
	return []operation{
		{
			route: "GET " + endpointPath + "/secret", id: "endpoint.get-secret", summary: "Get the signing secret", access: forApplication,
			can: webhook.ViewEndpointSecret, status: http.StatusOK, out: exampleSecret,
			handle: func(r *request) (answer, error) { return r.secret(r.app.ID) },
		},
		{
			route: "POST " + endpointPath + "/secret/rotate", id: "endpoint.rotate-secret", summary: "Rotate the signing secret",
			access: forApplication, can: webhook.ManageEndpointSecret, body: rotateFields, example: `{"gracePeriodSeconds":3600}`,
			status: http.StatusNoContent, otherwise: map[int]any{http.StatusOK: exampleSecret},
			handle: func(r *request) (answer, error) { return r.rotate(r.app.ID) },
		},
	}
}

var exampleSecret = secretOut{"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}

func (r *request) secret(app webhook.ID) (answer, error) {
	e, err := r.a.store.Endpoint(r.Context(), app, r.PathValue("ep"))
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, secretOut{signature.Public(e.Secrets[0].Key)}}, nil
}

func (r *request) rotate(app webhook.ID) (answer, error) {
	key := get[string](r.in, "key")
	if key == "" {
		key = r.a.newSecret()
	}
	grace := int64(defaultGrace)
	if r.in.has("gracePeriodSeconds") && r.in["gracePeriodSeconds"] != nil {
		grace = get[int64](r.in, "gracePeriodSeconds")
	}
	changed, err := r.changeEndpoint(app, func(e *webhook.Endpoint) error {
		return e.Rotate(key, time.Duration(grace)*time.Second, time.Now())
	})
	if err == nil && r.token.Can(webhook.ViewEndpointSecret) && readsRotated(r.UserAgent()) {
		return answer{http.StatusOK, secretOut{signature.Public(changed.Secrets[0].Key)}}, nil
	}
	return answer{status: http.StatusNoContent}, err
}

// readsRotated reports whether a client is a library that reads the new secret
// from the answer to a rotation, and stumbles when there is none: from its
// version 2.7 on. All others expect no body.
func readsRotated(userAgent string) bool {
	version, _ := strings.CutPrefix(userAgent, "svix-libs/")
	if version == userAgent {
		return false
	}
	number, _, _ := strings.Cut(version, "/")
	parts := strings.Split(number, ".")
	if len(parts) < 2 {
		return false
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (major > 2 || major == 2 && minor >= 7)
}
