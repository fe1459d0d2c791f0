package demo

import (
	_ "embed"
	"encoding/json"
	"fanfare/internal/signature"
	"html/template"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// receiver is what a dataset owner would write: it checks the signature of each
// webhook and remembers what it got.
type receiver struct {
	secret string

	mu       sync.Mutex
	failing  bool
	received []received // newest last, at most maxReceived
	total    int
}

type received struct {
	At            time.Time
	ID, Type      string
	Text, Problem string
}

const (
	maxReceived = 100
	maxPayload  = 1 << 20
)

func (r *receiver) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /webhooks", r.receive)
	mux.HandleFunc("GET /{$}", r.show)
	mux.HandleFunc("POST /failing", r.toggle)
	return http.NewCrossOriginProtection().Handler(mux)
}

func (r *receiver) receive(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxPayload))
	if err != nil {
		http.Error(w, "The body could not be read.", http.StatusBadRequest)
		return
	}
	got := received{At: time.Now().UTC(), ID: req.Header.Get("Webhook-Id")}
	if err := signature.Verify(r.secret, req.Header, body, time.Now()); err != nil {
		got.Problem = err.Error()
	} else {
		var envelope struct {
			Type string `json:"event_type"`
			Text string `json:"text"`
		}
		if err := json.Unmarshal(body, &envelope); err != nil {
			got.Problem = err.Error()
		}
		got.Type, got.Text = envelope.Type, envelope.Text
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failing {
		http.Error(w, "The demo's receiver was told to fail.", http.StatusInternalServerError)
		return
	}
	r.total++
	r.received = append(r.received[max(0, len(r.received)-maxReceived+1):], got)
	if got.Problem != "" {
		http.Error(w, got.Problem, http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// toggle makes the receiver fail, or work again, to see retries.
func (r *receiver) toggle(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.failing = req.FormValue("failing") == "true"
	r.mu.Unlock()
	http.Redirect(w, req, "/", http.StatusSeeOther)
}

//go:embed receiver.html
var receiverHTML string

var receiverPage = template.Must(template.New("receiver").Parse(receiverHTML))

func (r *receiver) show(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	newest := slices.Clone(r.received)
	view := struct {
		Failing  bool
		Total    int
		Received []received
	}{r.failing, r.total, newest}
	r.mu.Unlock()
	slices.Reverse(view.Received)
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = receiverPage.Execute(w, view) // whoever asked has gone
}
