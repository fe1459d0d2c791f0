package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fanfare/internal/signature"
	"fanfare/internal/webhook"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// relay is the process that Fanfare is compared with: net/http on both sides,
// a signature, and nothing that outlives the process. As a relay it passes on
// what comes in and answers once that has arrived; as a loop it just sends.
type relay struct {
	client  *http.Client
	server  *http.Server
	serving sync.WaitGroup
	key     signature.Key
	ids     webhook.IDs
}

// relayArgs say where a relay sends to, how it signs and how many calls it
// makes at a time.
type relayArgs struct {
	To       string `json:"to"`
	Secret   string `json:"secret"`
	InFlight int    `json:"inFlight"`
}

// loopArgs say what a loop sends, to each of the URLs in turn.
type loopArgs struct {
	To       []string      `json:"to"`
	Secret   string        `json:"secret"`
	InFlight int           `json:"inFlight"`
	Size     int           `json:"size"`
	First    int64         `json:"first"`
	For      time.Duration `json:"for"`
}

func (r *relay) do(ctx context.Context, what string, args json.RawMessage) (any, error) {
	switch what {
	case "listen":
		var a relayArgs
		if err := json.Unmarshal(args, &a); err != nil {
			return nil, err
		}
		return r.listen(ctx, &a)
	case "loop":
		var a loopArgs
		if err := json.Unmarshal(args, &a); err != nil {
			return nil, err
		}
		return r.loop(ctx, &a)
	default:
		return nil, fmt.Errorf("a relay cannot %q", what)
	}
}

// prepare parses the secret and makes the client, which keeps as many
// connections as it uses.
func (r *relay) prepare(secret string, inFlight int) (err error) {
	r.client = &http.Client{Transport: &http.Transport{MaxIdleConns: 0, MaxIdleConnsPerHost: inFlight}}
	r.key, err = signature.ParseSecret(secret)
	return err
}

func (r *relay) listen(ctx context.Context, a *relayArgs) (string, error) {
	if err := r.prepare(a.Secret, a.InFlight); err != nil {
		return "", err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	r.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, 1<<20))
		if err == nil {
			err = r.call(q.Context(), a.To, body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("{}")) // whoever asked has gone
	})}
	r.serving.Go(func() { _ = r.server.Serve(l) })
	return l.Addr().String(), nil
}

// call signs a payload and sends it.
func (r *relay) call(ctx context.Context, url string, body []byte) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	now := time.Now()
	signature.SetHeaders(q.Header, signature.Both, webhook.MessageID.Format(r.ids.New(now)), now, body, r.key)
	answer, err := r.client.Do(q)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return errors.Join(err, answer.Body.Close())
}

// loop sends one event after another for a while, and returns how many.
func (r *relay) loop(ctx context.Context, a *loopArgs) (*sent, error) {
	if err := r.prepare(a.Secret, a.InFlight); err != nil {
		return nil, err
	}
	defer r.client.CloseIdleConnections()
	out := &sent{Began: time.Now()}
	until := out.Began.Add(a.For)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range a.InFlight {
		workers.Go(func() {
			body := payload(a.Size)
			for now := out.Began; ctx.Err() == nil && now.Before(until); now = time.Now() {
				n := next.Add(1) - 1
				stamp(body, now, a.First+n)
				if err := r.call(ctx, a.To[n%int64(len(a.To))], body); err != nil {
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	out.Ended, out.Accepted = time.Now(), next.Load()
	return out, context.Cause(ctx)
}

func (r *relay) close() {
	if r.server != nil {
		_ = r.server.Close()
	}
	r.serving.Wait()
}
