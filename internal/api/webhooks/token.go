package webhooks

import (
	"fanfare/internal/auth"
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"net/http"
	"regexp"
	"time"
)

type accessOut struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

const defaultExpiry = 604800

var validSession = regexp.MustCompile(`^[a-zA-Z0-9@_-]{1,64}$`)

const sessionPattern = `^[a-zA-Z0-9@_-]{1,64}$`

var (
	sessionField = field{
		name: "sessionId", kind: text, nullable: true, valid: validSession.MatchString, pattern: sessionPattern,
		problem: "must be 1 to 64 letters, digits and characters of @_-", doc: "Groups tokens that are expired together.",
	}
	accessFields = []field{
		{
			name: "featureFlags", kind: texts, nullable: true, max: 100, valid: webhook.ValidName, pattern: namePattern, problem: nameProblem,
			doc: "What the bearer holds, of the feature flags of event types.",
		},
		inlineField,
		{name: "expiry", kind: integer, nullable: true, min: 3600, max: 604800, doc: "For how many seconds it works.", given: defaultExpiry},
		sessionField,
		{name: "readOnly", kind: boolean, nullable: true, doc: "The same as the capability ViewBase alone."},
		{name: "capabilities", kind: texts, nullable: true, unique: true, enum: capabilityNames(), max: 6, doc: "What the bearer may do; null is all."},
	}
)

func capabilityNames() []string {
	var names []string
	for _, c := range webhook.Capabilities() {
		names = append(names, string(c))
	}
	return names
}

func (a *API) tokens() []operation {
	out := accessOut{"https://webhooks.example.com/webhooks/access/ffl_example", "fft_example"}
	return []operation{
		{
			route: "POST /auth/app-portal-access/{app}", id: "authentication.app-portal-access", summary: "Open the portal for an application",
			doc:    "The URL works once. The token is for the API, as the application.",
			access: forEnvironment, inline: true, body: accessFields, example: `{"expiry":3600}`, status: http.StatusOK, out: out,
			handle: portalAccess,
		},
		{
			route: "POST /auth/dashboard-access/{app}", id: "authentication.dashboard-access", summary: "Open the portal for an application (old clients)",
			access: forEnvironment, status: http.StatusOK, out: out, handle: portalAccess,
		},
		{
			route: "POST /auth/logout", id: "authentication.logout", summary: "Revoke the token of this request", access: anyToken, once: true,
			doc: "Only tokens of an application.", status: http.StatusNoContent, handle: logout,
		},
		{
			route: "POST /auth/app/{app}/expire-all", id: "authentication.expire-all", summary: "Expire the tokens of an application",
			access: forEnvironment, body: []field{
				{name: "expiry", kind: integer, nullable: true, min: 0, max: 259200, doc: "In how many seconds they stop working.", given: 0},
				{
					name: "sessionIds", kind: texts, max: 1000, nullable: true, valid: validSession.MatchString, pattern: sessionPattern, problem: sessionField.problem,
					doc: "Only tokens made for one of these sessions; all if none is given.",
				},
			},
			example: `{"sessionIds":["jane"]}`, status: http.StatusNoContent, handle: expireAll,
		},
	}
}

func portalAccess(r *request) (answer, error) {
	if err := r.inlineApplication(webhook.ErrNotFound); err != nil {
		return answer{}, err
	}
	expiry := get[int64](r.in, "expiry")
	if expiry == 0 {
		expiry = defaultExpiry
	}
	t := webhook.Token{
		Environment: r.token.Environment, Application: r.app.ID, Session: get[string](r.in, "sessionId"),
		FeatureFlags: get[[]string](r.in, "featureFlags"), ExpiresAt: time.Now().Add(time.Duration(expiry) * time.Second),
	}
	if r.in["capabilities"] != nil {
		t.Capabilities = []webhook.Capability{}
		for _, c := range get[[]string](r.in, "capabilities") {
			t.Capabilities = append(t.Capabilities, webhook.Capability(c))
		}
	}
	if get[bool](r.in, "readOnly") {
		t.Capabilities = []webhook.Capability{webhook.ViewBase}
	}
	secret, code := auth.NewToken(auth.BearerPrefix), auth.NewToken(auth.LinkPrefix)
	t.Hint = auth.Hint(secret)
	made, err := r.a.store.CreateToken(r.Context(), t, auth.Hash(secret))
	if err != nil {
		return answer{}, err
	}
	if err := r.a.store.CreateLink(r.Context(), auth.Hash(code), made.ID); err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, accessOut{r.a.cfg.PublicURL + web.AccessPath + code, secret}}, nil
}

func logout(r *request) (answer, error) {
	if r.token.Application.IsZero() {
		return answer{}, errForbidden
	}
	return answer{status: http.StatusNoContent}, r.a.store.RevokeToken(r.Context(), r.token.ID)
}

func expireAll(r *request) (answer, error) {
	at := time.Now().Add(time.Duration(get[int64](r.in, "expiry")) * time.Second)
	return answer{status: http.StatusNoContent}, r.a.store.ExpireTokens(r.Context(), r.app.ID, get[[]string](r.in, "sessionIds"), at)
}
