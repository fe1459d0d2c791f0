package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/store"
	"net/http"
	"strings"
	"time"
)

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
		return replied(reply), nil
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

// before answers a request whose body is no good as an earlier one with its key
// was answered, if there was one: the key alone makes a request the same as
// another, whatever its body says.
func (r *request) before(op *operation, wrong error) (answer, error) {
	if _, bad := errors.AsType[invalid](wrong); !bad || r.key.Hash == nil {
		return answer{}, wrong
	}
	reply, message, err := r.a.store.Repeated(r.Context(), r.key)
	switch {
	case err != nil:
		return answer{}, err
	case reply != nil:
		return replied(reply), nil
	case !message.IsZero() && op.repeat != nil && !r.app.ID.IsZero():
		return op.repeat(r, message)
	default:
		return answer{}, wrong
	}
}

// replied is a reply that was kept.
func replied(reply *store.Reply) answer {
	if len(reply.Body) == 0 {
		return answer{status: reply.Status}
	}
	return answer{reply.Status, reply.Body}
}
