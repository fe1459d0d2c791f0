package webhooks

import (
	"context"
	"errors"
	"fanfare/internal/signature"
	"fanfare/internal/store"
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"net/http"
)

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
		refused = ownFault
	}
	if refused.status >= http.StatusInternalServerError && ctx.Err() == nil {
		a.log.ErrorContext(ctx, "request failed", "request", web.RequestID(ctx), "error", err)
	}
	return refused.status, errorOut{refused.code, refused.detail}
}

// ownFault is the answer when something went wrong here.
var ownFault = refusal{http.StatusInternalServerError, "server_error", "The fault is ours; it is in the log under the id of this request."}

// Broken answers for a handler that panicked.
func Broken(w http.ResponseWriter, _ *http.Request) {
	body, err := encode(errorOut{ownFault.code, ownFault.detail})
	if err != nil {
		panic(err) // it always has a JSON form
	}
	web.JSON(w, ownFault.status, body)
}
