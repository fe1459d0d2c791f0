package webhooks

import (
	"context"
	"net/http"
	"time"
)

type healthOut struct {
	Database healthState `json:"database"`
	Queue    healthState `json:"queue"`
	Cache    healthState `json:"cache"`
}

type healthState struct {
	Status string `json:"status"`
}

// healthTimeout is how long the database may take to answer.
const healthTimeout = 5 * time.Second

func (a *API) health() []operation {
	ok := healthState{"ok"}
	return []operation{
		{
			route: "GET /health", id: "health.get", summary: "Ask whether the server works", access: anybody,
			doc:    "The queue and the cache are the database here.",
			status: http.StatusOK, out: healthOut{ok, ok, ok}, handle: func(r *request) (answer, error) {
				ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
				defer cancel()
				if err := a.store.Ping(ctx); err != nil {
					broken := healthState{"error"}
					return answer{http.StatusInternalServerError, healthOut{broken, broken, broken}}, nil
				}
				return answer{http.StatusOK, healthOut{ok, ok, ok}}, nil
			},
		},
		{
			route: "GET /health/ping", id: "health.ping", summary: "Ask whether the server answers", access: anybody,
			status: http.StatusNoContent, handle: func(*request) (answer, error) { return answer{status: http.StatusNoContent}, nil },
		},
	}
}
