package webhooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/store"
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
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
	// otherwise are examples of what else it may answer in success, by status.
	otherwise map[int]any
	// inline says that the body may bring the application of the path.
	inline bool
	// once says that the operation itself sees to idempotency keys; repeat
	// answers for the message that an earlier request with the key has made.
	once   bool
	repeat func(*request, webhook.ID) (answer, error)
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
	for _, route := range notServed {
		a.router.Handle(route, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.refuse(w, r, webhook.ErrNotFound) }))
	}
	return a
}

// notServed are methods of the client libraries that have no route here
// (contract, section 17), where a path with a parameter would match theirs and
// make it look as if the method alone were wrong.
var notServed = []string{"POST " + Prefix + "/app/{app}/msg/bulk-expunge"}

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
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
		h.Set("Access-Control-Max-Age", corsAge)
		h.Set("Vary", "Access-Control-Request-Headers")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if strings.HasSuffix(r.URL.Path, "//") { // however many slashes end a path, it is the same path
		at := *r.URL
		at.Path, at.RawPath = strings.TrimRight(at.Path, "/"), strings.TrimRight(at.RawPath, "/")
		r = r.WithContext(r.Context())
		r.URL = &at
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
	facts *store.Facts
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
	if m, ok := body.(messageOut); ok {
		return m.append(make([]byte, 0, 256+len(m.Payload)))
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(body)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// maxStale is how often a request is answered anew because what it relied on
// has changed meanwhile.
const maxStale = 10

func (a *API) answer(w http.ResponseWriter, r *http.Request, op *operation) (answer, error) {
	for n := 1; ; n++ {
		req := &request{Request: r, a: a, facts: a.store.Facts()}
		result, err := req.answer(w, op)
		if err != nil && op.once && !errors.Is(err, store.ErrStale) {
			if stale := req.facts.Check(r.Context()); stale != nil {
				err = stale // it may not be so any more
			}
		}
		if !errors.Is(err, store.ErrStale) || n == maxStale {
			return result, err
		}
		// The body was read; whoever reads again gets the same.
		r.Body, r.Header = io.NopCloser(bytes.NewReader(req.raw)), r.Header.Clone()
		r.Header.Del("Content-Encoding")
	}
}

func (r *request) answer(w http.ResponseWriter, op *operation) (answer, error) {
	if op.access != anybody {
		secret, err := bearer(r.Request)
		if err != nil {
			return answer{}, err
		}
		tokens := r.a.store.TokenByHash
		if op.once {
			tokens = r.facts.TokenByHash
		}
		if r.token, err = tokens(r.Context(), auth.Hash(secret)); err != nil {
			return answer{}, orBadToken(err)
		}
		r.key = idempotencyKey(r.Request, secret)
	}
	if err := r.allowed(op); err != nil {
		return answer{}, err
	}
	if err := r.read(w, op); err != nil {
		return r.before(op, err)
	}
	if r.key.Hash == nil || op.once || r.Method != http.MethodPost {
		return op.handle(r)
	}
	return r.once(op)
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
		applications := r.a.store.Application
		if op.once {
			applications = r.facts.Application
		}
		if r.app, err = applications(r.Context(), r.token.Environment, r.PathValue("app")); err != nil {
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
