package webhooks

import (
	"encoding/json"
	"errors"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"net/http"
	"time"
)

// taskOut is the answer to what starts a task.
type taskOut struct {
	ID        string    `json:"id"`
	Status    string    `json:"status"`
	Task      string    `json:"task"`
	UpdatedAt time.Time `json:"updatedAt"`
}

type backgroundTaskOut struct {
	taskOut
	Data json.RawMessage `json:"data"`
	// A field of our own.
	Progress progressOut `json:"progress"`
}

// progressOut says how far a task is. Total is found before a replay sends
// anything.
type progressOut struct {
	Counting bool  `json:"counting"`
	Total    int64 `json:"total"`
	Done     int64 `json:"done"`
}

func exampleTask(name string) taskOut {
	return taskOut{ID: "qtask_01j000000000000000000000aa", Status: "running", Task: name, UpdatedAt: exampleTime}
}

func taskOf(t *webhook.Task) taskOut {
	return taskOut{webhook.TaskID.Format(t.ID), t.Status.String(), t.Name, t.UpdatedAt}
}

func backgroundTaskOf(t *webhook.Task) backgroundTaskOut {
	out := backgroundTaskOut{taskOf(t), t.Data, progressOut{t.Counting, t.Total, t.Done}}
	if t.Status == webhook.TaskRunning {
		out.Data = json.RawMessage(`{}`) // what is kept there until then is for nobody
	}
	return out
}

func (r *request) startTask(t webhook.Task) (answer, error) {
	t.Environment = r.token.Environment
	made, err := r.a.store.CreateTask(r.Context(), t)
	return answer{http.StatusAccepted, taskOf(&made)}, err
}

func (a *API) tasks() []operation {
	example := backgroundTaskOut{exampleTask(webhook.TaskBulkReplay), json.RawMessage(`{"messagesSent":42}`), progressOut{false, 42, 42}}
	example.Status = "finished"
	return []operation{
		{
			route: "GET /background-task", id: "background-task.list", summary: "List background tasks", access: forEnvironment,
			query: []field{
				limitField, iteratorField, orderField,
				{name: "status", kind: text, enum: []string{"running", "finished", "failed"}, doc: "Only tasks that stand so."},
				{name: "task", kind: text, enum: []string{
					"endpoint.replay", "endpoint.bulk-replay", "endpoint.recover", "application.stats", "message.broadcast", "sdk.generate",
					"event-type.aggregate", "application.purge_content",
				}, doc: "Only tasks of this name."},
			},
			status: http.StatusOK, out: listOut[backgroundTaskOut]{Data: []backgroundTaskOut{example}, Done: true}, handle: listTasks,
		},
		{
			route: "GET /background-task/{task}", id: "background-task.get", summary: "Get a background task", access: forEnvironment,
			status: http.StatusOK, out: example, handle: func(r *request) (answer, error) { return r.task(r.a.store.Task) },
		},
		{
			route: "POST /background-task/{task}/cancel", id: "background-task.cancel", summary: "Cancel a background task", access: forEnvironment,
			doc: "What it has done stays done. An addition of ours.", status: http.StatusOK, out: example,
			handle: func(r *request) (answer, error) { return r.task(r.a.store.CancelTask) },
		},
		{
			route: "POST /stats/usage/app", id: "statistics.aggregate-app-stats", summary: "Count the attempts of each application",
			access: forEnvironment, body: []field{
				{name: "since", kind: instant, required: true, doc: "Where the window begins."},
				{name: "until", kind: instant, required: true, doc: "Where the window ends."},
				{
					name: "appIds", kind: texts, nullable: true, unique: true, max: 1000, valid: webhook.ValidName, pattern: namePattern,
					problem: nameProblem, doc: "Ids or uids; null is all.",
				},
			},
			example: `{"since":"2030-01-01T00:00:00Z","until":"2030-01-02T00:00:00Z"}`, status: http.StatusAccepted,
			out: usageOut{exampleTask(webhook.TaskUsage), []string{}}, handle: startUsage,
		},
		{
			route: "PUT /stats/usage/event-types", id: "statistics.aggregate-event-types", summary: "Tell which event types endpoints chose",
			access: forEnvironment, status: http.StatusAccepted, out: exampleTask(webhook.TaskAggregate),
			handle: func(r *request) (answer, error) { return r.startTask(webhook.Task{Name: webhook.TaskAggregate}) },
		},
	}
}

func listTasks(r *request) (answer, error) {
	l, err := r.list(webhook.TaskID, false)
	if err != nil {
		return answer{}, err
	}
	f := store.TaskFilter{Name: get[string](r.query, "task")}
	for _, status := range []webhook.TaskStatus{webhook.TaskRunning, webhook.TaskFinished, webhook.TaskFailed} {
		if get[string](r.query, "status") == status.String() {
			f.Status = &status
		}
	}
	rows, err := r.a.store.Tasks(r.Context(), r.token.Environment, f, l.Page)
	return answer{http.StatusOK, pageOf(rows, l.limit, l.backward, backgroundTaskOf,
		func(t *webhook.Task) string { return webhook.TaskID.Format(t.ID) })}, err
}

func (r *request) task(find taskFinder) (answer, error) {
	id, err := webhook.TaskID.Parse(r.PathValue("task"))
	if err != nil {
		return answer{}, webhook.ErrNotFound
	}
	t, err := find(r.Context(), r.token.Environment, id)
	return answer{http.StatusOK, backgroundTaskOf(&t)}, err
}

type usageOut struct {
	taskOut
	UnresolvedAppIDs []string `json:"unresolvedAppIds"`
}

func startUsage(r *request) (answer, error) {
	p := webhook.TaskParams{Since: get[time.Time](r.in, "since"), Until: get[time.Time](r.in, "until")}
	if !p.Until.After(p.Since) {
		return answer{}, wrong("must be before until", "body", "since")
	}
	unresolved := []string{}
	if refs := get[[]string](r.in, "appIds"); refs != nil {
		for _, ref := range refs {
			app, err := r.a.store.Application(r.Context(), r.token.Environment, ref)
			switch {
			case errors.Is(err, webhook.ErrNotFound):
				unresolved = append(unresolved, ref)
				continue
			case err != nil:
				return answer{}, err
			}
			p.Applications = append(p.Applications, app.ID)
		}
		if p.Applications == nil {
			return answer{}, wrong("none of these applications exists", "body", "appIds")
		}
	}
	started, err := r.startTask(webhook.Task{Name: webhook.TaskUsage, Params: p})
	if task, ok := started.body.(taskOut); ok {
		started.body = usageOut{task, unresolved}
	}
	return started, err
}
