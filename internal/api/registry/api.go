package registry

import (
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/registry"
	"fanfare/internal/store"
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
)

// API serves the registry at the root of an origin.
type API struct {
	store      *store.Store
	log        *slog.Logger
	cfg        Config
	operations []operation
	router     web.Router
	document   func() []byte
}

// Config is what an API can be told.
type Config struct {
	// Bounds are those of a request's body.
	Bounds web.Bounds
	// PublicURL is where clients reach the API, without a final slash.
	PublicURL string
	// MaxAsset bounds an uploaded file, in bytes.
	MaxAsset int64
}

// New makes the face of a store.
func New(s *store.Store, log *slog.Logger, cfg Config) *API {
	a := &API{store: s, log: log, cfg: cfg}
	a.router.NotFound = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.refuse(w, r, webhook.ErrNotFound)
	})
	a.operations = a.table()
	for i := range a.operations {
		op := &a.operations[i]
		if op.open != nil {
			a.router.Handle(op.route, a.open(op.open))
		} else {
			a.router.Handle(op.route, a.handle(op))
		}
	}
	a.document = sync.OnceValue(a.openAPI)
	a.router.Handle("GET /openapi.json", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		web.JSON(w, http.StatusOK, a.document())
	}))
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.router.ServeHTTP(w, r) }

// request is a request whose key was found good.
type request struct {
	*http.Request
	op     *operation
	caller registry.Account
	body   []byte
}

// answer is what a handler says; a nil body is none. A body that may be large
// is written by stream instead.
type answer struct {
	status int
	body   []byte
	stream func(io.Writer) error
}

type handler func(*request) (answer, error)

func (a *API) handle(op *operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		result, err := a.serve(w, r, op)
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		if result.stream == nil {
			web.JSON(w, result.status, result.body)
			return
		}
		if err := web.Stream(w, result.status, result.stream); err != nil {
			a.refuse(w, r, err)
		}
	})
}

// open handles a request that needs no key.
func (a *API) open(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			a.refuse(w, r, err)
		}
	})
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, op *operation) (answer, error) {
	caller, err := a.authenticate(r)
	if err != nil {
		return answer{}, err
	}
	body, err := web.Body(w, r, a.cfg.Bounds)
	if err != nil {
		return answer{}, err
	}
	return op.handle(&request{Request: r, op: op, caller: caller, body: body})
}

var (
	errNoKey  = errors.New("no Authorization header")
	errBadKey = errors.New("unknown API key")
)

func (a *API) authenticate(r *http.Request) (registry.Account, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return registry.Account{}, errNoKey
	}
	scheme, key, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "APIKey") {
		return registry.Account{}, errBadKey
	}
	account, err := a.store.AccountByKey(r.Context(), auth.Hash(strings.TrimSpace(key)))
	if errors.Is(err, webhook.ErrNotFound) {
		err = errBadKey
	}
	return account, err
}

// refusals are the answers to errors; the first that matches counts.
var refusals = []struct {
	err    error
	status int
	detail string
}{
	{errNoKey, http.StatusUnauthorized, "Authentication credentials were not provided."},
	{errBadKey, http.StatusUnauthorized, "Invalid API key."},
	{web.ErrTooLarge, http.StatusRequestEntityTooLarge, "Request body too large."},
	{web.ErrEncoding, http.StatusUnsupportedMediaType, "Unsupported content encoding."},
	{web.ErrSyntax, http.StatusBadRequest, "JSON parse error."},
	{registry.ErrForbidden, http.StatusForbidden, registry.ErrForbidden.Error()},
	{registry.ErrNotAdministrator, http.StatusForbidden, registry.ErrNotAdministrator.Error()},
	{registry.ErrDatasetExists, http.StatusBadRequest, registry.ErrDatasetExists.Error()},
	{registry.ErrSampleExists, http.StatusBadRequest, registry.ErrSampleExists.Error()},
	{registry.ErrLabelsetExists, http.StatusBadRequest, registry.ErrLabelsetExists.Error()},
	{registry.ErrReleaseExists, http.StatusBadRequest, registry.ErrReleaseExists.Error()},
	{registry.ErrGroundTruth, http.StatusBadRequest, registry.ErrGroundTruth.Error()},
	{registry.ErrCollaboratorExists, http.StatusBadRequest, registry.ErrCollaboratorExists.Error()},
	{registry.ErrNoCollaborator, http.StatusBadRequest, registry.ErrNoCollaborator.Error()},
	{webhook.ErrLimit, http.StatusBadRequest, "There are too many of these."},
	{errUIDTaken, http.StatusConflict, "The account's name is in use as the uid of another webhook application."},
	{webhook.ErrNotFound, http.StatusNotFound, "Not found."},
	{webhook.ErrUnavailable, http.StatusServiceUnavailable, "Service unavailable."},
}

// retryAfter is how long clients wait before they try again after a 503, in
// seconds. The SDK sleeps as told.
const retryAfter = "2"

func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if invalid, ok := errors.AsType[webhook.Invalid](err); ok {
		web.JSON(w, http.StatusBadRequest, problems(invalid))
		return
	}
	for _, refusal := range refusals {
		if !errors.Is(err, refusal.err) {
			continue
		}
		if refusal.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", retryAfter)
			a.log.ErrorContext(r.Context(), "unavailable", "request", web.RequestID(r.Context()), "error", err)
		}
		web.JSON(w, refusal.status, detail(refusal.detail))
		return
	}
	if r.Context().Err() == nil {
		a.log.ErrorContext(r.Context(), "internal error", "request", web.RequestID(r.Context()), "error", err)
	}
	web.JSON(w, http.StatusInternalServerError, detail("Internal server error."))
}

// Broken answers for a handler that panicked.
func Broken(w http.ResponseWriter, _ *http.Request) {
	web.JSON(w, http.StatusInternalServerError, detail("Internal server error."))
}

func detail(sentence string) []byte {
	return registry.Object{{Name: "detail", Value: registry.Quote(sentence)}}.Append(nil)
}

// problems lists what is wrong, one member a field.
func problems(invalid webhook.Invalid) []byte {
	var o registry.Object
	for _, p := range invalid {
		o = append(o, registry.Member{Name: p.Field, Value: append(append([]byte{'['}, registry.Quote(p.Problem)...), ']')})
	}
	return o.Append(nil)
}

func ok(o registry.Object) answer { return answer{status: http.StatusOK, body: o.Append(nil)} }

func created(o registry.Object) answer {
	return answer{status: http.StatusCreated, body: o.Append(nil)}
}

func list(objects []registry.Object) answer {
	return answer{status: http.StatusOK, body: registry.List(objects)}
}

var noContent = answer{status: http.StatusNoContent}

// fields reads the body as an object.
func (r *request) fields() (registry.Fields, error) {
	body, err := web.Text(r.body)
	if err != nil {
		return nil, err
	}
	f, ok := registry.ReadFields(body)
	if !ok {
		return nil, web.ErrSyntax
	}
	return f, nil
}

// create reads the body as a new object, by the operation's fields.
func (r *request) create() (registry.Fields, error) { return r.read(registry.Create) }

// patch reads the body as a change, by the operation's fields.
func (r *request) patch() (registry.Fields, error) { return r.read(registry.Patch) }

func (r *request) read(as func([]registry.Field, registry.Fields) (registry.Fields, webhook.Invalid)) (registry.Fields, error) {
	sent, err := r.fields()
	if err != nil {
		return nil, err
	}
	fields, wrong := as(r.op.body, sent)
	return fields, wrong.Err()
}

// id reads an id of the path.
func (r *request) id(name string) (webhook.ID, error) { return registry.ParseUUID(r.PathValue(name)) }

func (r *request) dataset() store.DatasetRef {
	return store.DatasetRef{Owner: r.PathValue("owner"), Name: r.PathValue("name")}
}
