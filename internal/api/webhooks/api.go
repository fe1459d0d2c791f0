package webhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/signature"
	"fanfare/internal/store"
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Prefix is where the API lies.
const Prefix = "/api/v1"

// Config is what an API can be told.
type Config struct {
	// PublicURL is where people reach the portal, without a final slash.
	PublicURL string
	// HTTPSOnly refuses endpoints with plain http.
	HTTPSOnly bool
	// Asymmetric makes the keys that are generated ed25519 keys.
	Asymmetric bool
	// Version is that of the program.
	Version string
}

// API serves the sender under Prefix.
type API struct {
	store      *store.Store
	log        *slog.Logger
	cfg        Config
	operations []operation
	router     web.Router
	document   func() []byte
	schemas    schemaCache
}

// access says who may call an operation.
type access int

const (
	anybody        access = iota // without a token
	anyToken                     // any token
	forEnvironment               // a token of the environment
	forApplication               // a token of the environment, or of the application in the path
)

// operation is one route of the API.
type operation struct {
	route   string // such as "GET /app/{app}"
	id      string // its name in the OpenAPI document
	summary string
	doc     string
	access  access
	// can is what a token of an application must be able to do.
	can   webhook.Capability
	query []field
	// body are the fields of the request's body; nil when it has none. What
	// has only optional ones may be left out.
	body    []field
	example string // of a body
	// maxBody bounds the body in bytes; maxBody if zero.
	maxBody int64
	status  int
	// out is an example of the answer's body, from which its form is read; nil
	// when there is none.
	out any
	// inline says that the body may bring the application of the path.
	inline bool
	// once says that the operation itself sees to idempotency keys.
	once bool
	// raw gives the operation its body unread.
	raw    bool
	handle func(*request) (answer, error)
}

// answer is what an operation says; a nil body is none.
type answer struct {
	status int
	body   any
}

// maxBody bounds a request's body (contract, section 14); batches may have
// more.
const (
	maxBody      = 2 << 20
	maxBatchBody = 32 << 20
)

// New makes the face of a store.
func New(s *store.Store, log *slog.Logger, cfg Config) *API {
	a := &API{store: s, log: log, cfg: cfg}
	for _, group := range [][]operation{
		a.applications(), a.endpoints(), a.secrets(), a.replays(), a.eventTypes(), a.messages(), a.attempts(), a.tokens(),
		a.tasks(), a.operational(), a.pollers(), a.health(),
	} {
		a.operations = append(a.operations, group...)
	}
	for i := range a.operations {
		a.router.Handle(routeOf(&a.operations[i]), a.serve(&a.operations[i]))
	}
	a.document = sync.OnceValue(a.openAPI)
	a.router.Handle("GET "+Prefix+"/openapi.json", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		web.JSON(w, http.StatusOK, a.document())
	}))
	a.router.NotFound = http.HandlerFunc(a.unknown)
	return a
}

func routeOf(op *operation) string {
	method, path, _ := strings.Cut(op.route, " ")
	return method + " " + Prefix + path
}

// corsAge is for how long browsers may remember what we allow, in seconds.
const corsAge = "600"

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	// Any page may call: tokens are sent by hand, never by a browser alone.
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
		h.Set("Access-Control-Max-Age", corsAge)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if path, err := url.PathUnescape(r.URL.EscapedPath()); err != nil || !utf8.ValidString(path) || strings.ContainsRune(path, 0) {
		a.refuse(w, r, webhook.ErrNotFound) // nothing has such a name
		return
	}
	a.router.ServeHTTP(w, r)
}

// unknown answers where there is no such route, or not with this method.
func (a *API) unknown(w http.ResponseWriter, r *http.Request) {
	methods := a.router.Methods(r)
	if len(methods) == 0 {
		a.refuse(w, r, webhook.ErrNotFound)
		return
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	a.refuse(w, r, refusal{http.StatusMethodNotAllowed, "method_not_allowed", "This path takes " + strings.Join(methods, ", ") + "."})
}

// request is a request that was found good.
type request struct {
	*http.Request
	a     *API
	token webhook.Token
	// app is the application of the path.
	app   webhook.Application
	query values
	in    values
	raw   []byte
	key   store.IdempotencyKey
}

func (a *API) serve(op *operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		result, err := a.answer(w, r, op)
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		body, err := encode(result.body)
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		web.JSON(w, result.status, body)
	})
}

// encode writes an answer's body, with the characters < > & as they are.
func encode(body any) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(body)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func (a *API) answer(w http.ResponseWriter, r *http.Request, op *operation) (answer, error) {
	req := &request{Request: r, a: a}
	if op.access != anybody {
		secret, err := bearer(r)
		if err != nil {
			return answer{}, err
		}
		if req.token, err = a.store.TokenByHash(r.Context(), auth.Hash(secret)); err != nil {
			return answer{}, orBadToken(err)
		}
		req.key = idempotencyKey(r, secret)
	}
	if err := req.allowed(op); err != nil {
		return answer{}, err
	}
	if err := req.read(w, op); err != nil {
		return answer{}, err
	}
	if req.key.Hash == nil || op.once || r.Method != http.MethodPost {
		return op.handle(req)
	}
	return req.once(op)
}

// errBadToken means that a token is missing or not known.
var errBadToken = refusal{http.StatusUnauthorized, "authentication_failed", "Invalid token"}

func orBadToken(err error) error {
	if errors.Is(err, webhook.ErrNotFound) {
		return errBadToken
	}
	return err
}

func bearer(r *http.Request) (string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errBadToken
	}
	return strings.TrimSpace(token), nil
}

// allowed finds the application of the path and reports whether the token may
// do the operation.
func (r *request) allowed(op *operation) error {
	one := !r.token.Application.IsZero()
	if one && op.access == forEnvironment {
		return errForbidden
	}
	if op.access == forApplication || strings.Contains(op.route, "{app}") {
		var err error
		if r.app, err = r.a.store.Application(r.Context(), r.token.Environment, r.PathValue("app")); err != nil {
			if errors.Is(err, webhook.ErrNotFound) && op.inline {
				return nil // the body may bring it
			}
			return err
		}
		if one && r.app.ID != r.token.Application {
			return webhook.ErrNotFound
		}
	}
	if one && op.can != "" && !r.token.Can(op.can) {
		return errForbidden
	}
	return nil
}

var errForbidden = refusal{http.StatusForbidden, "insufficient access", "Insufficient access for the given operation."}

// read reads the query and the body by the operation's fields.
func (r *request) read(w http.ResponseWriter, op *operation) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refusal{http.StatusBadRequest, "generic_error", "The query string cannot be parsed."}
	}
	var rd reader
	r.query = rd.query(query, op.query)
	if op.body != nil || op.raw {
		most := op.maxBody
		if most == 0 {
			most = maxBody
		}
		if r.raw, err = web.Body(w, r.Request, web.Bounds{Wire: most, Unpacked: most}); err != nil {
			return err
		}
	}
	if op.body != nil && !op.raw {
		body, err := web.Text(r.raw)
		switch {
		case err != nil:
			rd.add([]string{"body"}, badForm, "must be UTF-8")
		case len(r.raw) == 0 && requires(op.body):
			rd.add([]string{"body"}, badForm, "must be a JSON object")
		default:
			r.in = rd.body(body, op.body, []string{"body"})
		}
	}
	return rd.problems.err()
}

func requires(fields []field) bool {
	for i := range fields {
		if fields[i].required {
			return true
		}
	}
	return false
}

// idempotencyKey hashes what makes a request the same as another.
func idempotencyKey(r *http.Request, token string) store.IdempotencyKey {
	key := r.Header.Get("Idempotency-Key")
	if key == "" || r.Method != http.MethodPost {
		return store.IdempotencyKey{}
	}
	parts, err := json.Marshal([]string{token, key, r.URL.RequestURI()})
	if err != nil {
		return store.IdempotencyKey{} // strings always have a JSON form
	}
	return store.IdempotencyKey{Hash: auth.Hash(string(parts)), Explicit: !strings.HasPrefix(key, "auto_")}
}

// How often and for how long a request waits for another one with its key.
const (
	pollBusy = 200 * time.Millisecond
	waitBusy = 5 * time.Second
)

// once does an operation unless a request with the same key has done it.
func (r *request) once(op *operation) (answer, error) {
	reply, err := r.begin()
	if err != nil {
		return answer{}, err
	}
	if reply != nil {
		if len(reply.Body) == 0 {
			return answer{status: reply.Status}, nil
		}
		return answer{reply.Status, reply.Body}, nil
	}
	// Who asked may go away; what was done is to be remembered all the same.
	ctx := context.WithoutCancel(r.Context())
	result, err := op.handle(r)
	if err != nil {
		return result, errors.Join(err, r.a.store.EndRequest(ctx, r.key, nil))
	}
	body, err := encode(result.body)
	if err != nil {
		return result, err
	}
	return result, r.a.store.EndRequest(ctx, r.key, &store.Reply{Status: result.status, Body: body})
}

func (r *request) begin() (*store.Reply, error) {
	deadline := time.Now().Add(waitBusy)
	for {
		reply, err := r.a.store.BeginRequest(r.Context(), r.key)
		if !errors.Is(err, store.ErrBusy) || time.Now().After(deadline) {
			return reply, err
		}
		select {
		case <-time.After(pollBusy):
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
}

// refusal is an answer that says why not.
type refusal struct {
	status       int
	code, detail string
}

// Error is the detail.
func (r refusal) Error() string { return r.detail }

// refusals are the answers to errors; the first that matches counts.
var refusals = []struct {
	err error
	refusal
}{
	{web.ErrTooLarge, refusal{http.StatusRequestEntityTooLarge, "payload_too_large", "Request payload is too large."}},
	{web.ErrEncoding, refusal{http.StatusUnsupportedMediaType, "unsupported_encoding", "The content encoding must be gzip or none."}},
	{webhook.ErrLinked, refusal{
		http.StatusConflict, "conflict",
		"The application belongs to an account of the registry: it bears the account's name as uid and cannot be deleted.",
	}},
	{webhook.ErrBuiltIn, refusal{http.StatusConflict, "conflict", "The event type is built in: it cannot be changed, archived or deleted."}},
	{webhook.ErrSequence, refusal{
		http.StatusConflict, "conflict",
		"The iterator is not the one that this consumer was given last. Call without an iterator to go on from where it stands.",
	}},
	{webhook.ErrConflict, refusal{http.StatusConflict, "conflict", "A conflict has occurred"}},
	{webhook.ErrPayloadGone, refusal{http.StatusBadRequest, "missing_payload", "The payload of this message has expired or was expunged: it cannot be sent again."}},
	{webhook.ErrLimit, refusal{http.StatusBadRequest, "limit_reached", "There are as many of these as there may be."}},
	{webhook.ErrNotFound, refusal{http.StatusNotFound, "not_found", "Entity not found"}},
	{store.ErrBusy, refusal{http.StatusServiceUnavailable, "unavailable", "A request with this idempotency key is still being worked on. Try again."}},
	{webhook.ErrUnavailable, refusal{http.StatusServiceUnavailable, "unavailable", "The database cannot take this now. Nothing was changed; try again."}},
	{signature.ErrSecret, refusal{http.StatusUnprocessableEntity, "validation", "Not a signing secret."}},
}

// retryAfter is how long clients wait before they try again after a 503, in
// seconds.
const retryAfter = "1"

func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, body := a.refusal(r.Context(), err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	encoded, err := encode(body)
	if err != nil {
		panic(err) // a refusal always has a JSON form
	}
	web.JSON(w, status, encoded)
}

// errorOut is the body of every refusal but 422.
type errorOut struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// invalidOut is the body of a 422.
type invalidOut struct {
	Detail []problem `json:"detail"`
}

// refusal is the status and body for an error.
func (a *API) refusal(ctx context.Context, err error) (status int, body any) {
	if problems, ok := errors.AsType[invalid](err); ok {
		return http.StatusUnprocessableEntity, invalidOut{problems}
	}
	if errors.Is(err, web.ErrSyntax) {
		return http.StatusUnprocessableEntity, invalidOut{[]problem{{[]string{"body"}, "cannot be unpacked", badForm}}}
	}
	refused, ok := errors.AsType[refusal](err)
	for _, known := range refusals {
		if ok {
			break
		}
		if errors.Is(err, known.err) {
			refused, ok = known.refusal, true
		}
	}
	if !ok {
		refused = refusal{http.StatusInternalServerError, "server_error", "The fault is ours; it is in the log under the id of this request."}
	}
	if refused.status >= http.StatusInternalServerError && ctx.Err() == nil {
		a.log.ErrorContext(ctx, "request failed", "request", web.RequestID(ctx), "error", err)
	}
	return refused.status, errorOut{refused.code, refused.detail}
}

// Broken answers for a handler that panicked.
func Broken(w http.ResponseWriter, _ *http.Request) {
	web.JSON(w, http.StatusInternalServerError,
		[]byte(`{"code":"server_error","detail":"The fault is ours; it is in the log under the id of this request."}`))
}
