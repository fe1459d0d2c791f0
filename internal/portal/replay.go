package portal

import (
	"encoding/json"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// recovery is a kind of replay that the form offers.
type recovery struct {
	Key, Name, Means string
	task             string
}

var recoveries = []recovery{
	{"failed", "What failed", "Each event whose webhook failed and has not arrived since is sent once more.", webhook.TaskRecover},
	{"missed", "What it never got", "Each event that the endpoint wants and was never sent: from before it was added or changed, or while it was disabled.", webhook.TaskReplayMissing},
	{"all", "Everything again", "Each event that was sent to the endpoint before is sent again, also what has arrived.", webhook.TaskBulkReplay},
}

// spans are how far back the form offers to go.
var spans = []struct {
	Key, Name string
	length    time.Duration
}{
	{"1h", "1 hour", time.Hour}, {"24h", "24 hours", 24 * time.Hour}, {"7d", "7 days", 7 * 24 * time.Hour}, {"14d", "14 days", maxSpan},
}

// maxSpan is how far back a replay may go, as the webhooks API has it for
// recoveries.
const maxSpan = 14 * 24 * time.Hour

type replayView struct {
	page
	Endpoint *webhook.Endpoint
	Ref      string
	Kinds    []recovery
	Spans    any
	// What, Span, Since and Rate are what the form holds.
	What, Span, Since, Rate string
	Problem                 string
	// Counted says that the events were counted, which comes before they are
	// sent: Count of them, More if the history was too long to count at once.
	Counted bool
	Count   string
	None    bool
	More    bool
	From    time.Time
}

// replayPage offers to send events again: a form first, then, once it says what
// and since when, how many events that are.
func (p *Portal) replayPage(v *visit) error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	query := v.URL.Query()
	view := replayView{
		page: v.page("Replay", "endpoints"), Endpoint: e, Ref: endpointRef(e), Kinds: recoveries, Spans: spans,
		What: query.Get("what"), Span: query.Get("span"), Since: query.Get("since"), Rate: query.Get("rate"),
	}
	asked := view.What != ""
	if !asked {
		view.What, view.Span = "failed", "24h"
		return v.show(http.StatusOK, "replay.html", view)
	}
	task, err := v.replayTask(e, &view)
	if err != nil {
		return err
	}
	if view.Problem == "" {
		n, more, err := p.store.CountReplay(v.Context(), task)
		if err != nil {
			return err
		}
		view.Counted, view.Count, view.None, view.More, view.From = true, count(n), n == 0 && !more, more, task.Params.Since
	}
	return v.show(http.StatusOK, "replay.html", view)
}

// replayTask reads what the form asks for; Problem says what is wrong with it.
func (v *visit) replayTask(e *webhook.Endpoint, view *replayView) (webhook.Task, error) {
	environment, err := v.environment()
	if err != nil {
		return webhook.Task{}, err
	}
	now := time.Now()
	task := webhook.Task{Environment: environment, Application: e.Application, Endpoint: e.ID}
	// What was made just now counts, whatever the rounding of ids.
	task.Params.Until = now.Add(time.Millisecond)
	for _, k := range recoveries {
		if k.Key == view.What {
			task.Name = k.task
		}
	}
	for _, s := range spans {
		if s.Key == view.Span {
			task.Params.Since = now.Add(-s.length)
		}
	}
	if view.Since != "" {
		since, ok := readTime(view.Since)
		if !ok {
			view.Problem = "Give the time as in 2030-01-31T14:05, in UTC."
			return task, nil
		}
		task.Params.Since, view.Span = since, ""
	}
	if view.Rate != "" {
		if task.Params.Rate, err = strconv.Atoi(view.Rate); err != nil || task.Params.Rate < 1 || task.Params.Rate > webhook.MaxThrottle {
			view.Problem = "The most events a second is a whole number from 1 to 65,535, or empty for no limit."
		}
	}
	switch {
	case task.Name == "" || task.Params.Since.IsZero():
		view.Problem = "Choose what to send, and from when on."
	case !task.Params.Since.Before(now):
		view.Problem = "This time has not come yet."
	case now.Sub(task.Params.Since) > maxSpan+time.Minute:
		view.Problem = "A replay goes back at most 14 days."
	case e.Disabled:
		view.Problem = "The endpoint is disabled. Enable it to send something there."
	}
	return task, nil
}

// startReplay starts the replay that the form asks for, and goes to where its
// progress shows.
func (p *Portal) startReplay(v *visit) error {
	if err := v.ParseForm(); err != nil {
		return err
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	view := replayView{
		page: v.page("Replay", "endpoints"), Endpoint: e, Ref: endpointRef(e), Kinds: recoveries, Spans: spans,
		What: v.PostFormValue("what"), Since: v.PostFormValue("since"), Rate: v.PostFormValue("rate"),
	}
	task, err := v.replayTask(e, &view)
	if err != nil {
		return err
	}
	if view.Problem != "" {
		return v.show(http.StatusUnprocessableEntity, "replay.html", view)
	}
	task, err = p.store.CreateTask(v.Context(), task)
	if err != nil {
		return err
	}
	return v.redirect(v.base() + "/endpoints/" + view.Ref + "/replays/" + webhook.TaskID.Format(task.ID))
}

// shownTasks is how many replays the page of an endpoint lists.
const shownTasks = 5

type taskView struct {
	page
	Endpoint *webhook.Endpoint
	Ref      string
	Task     taskRow
}

// taskRow is a replay as pages show it.
type taskRow struct {
	Ref, Name, State, Text string
	Running                bool
	Done, Total            int64
	Since, CreatedAt       time.Time
}

func taskRowOf(k *webhook.Task) taskRow {
	row := taskRow{
		Ref: webhook.TaskID.Format(k.ID), Name: k.Name, Done: k.Done, Total: max(k.Total, k.Done), Since: k.Params.Since, CreatedAt: k.CreatedAt,
	}
	for _, r := range recoveries {
		if r.task == k.Name {
			row.Name = r.Name
		}
	}
	var data struct {
		Sent  int64  `json:"messagesSent"`
		Error string `json:"error"`
	}
	_ = json.Unmarshal(k.Data, &data) // written by us; without it the counts say enough
	switch k.Status {
	case webhook.TaskRunning:
		row.Running, row.State = true, "running"
		row.Text = fmt.Sprintf("%s of %s sent", count(row.Done), count(row.Total))
		if k.Counting {
			row.Done = 0
			row.Text = fmt.Sprintf("counting: %s so far", count(k.Total))
		}
	case webhook.TaskFinished:
		row.State, row.Text = "finished", count(data.Sent)+" sent again"
	case webhook.TaskFailed:
		row.State, row.Text = "stopped", fmt.Sprintf("%s after %s were sent again", data.Error, count(data.Sent))
	}
	return row
}

func (p *Portal) taskPage(v *visit) error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	task, err := p.store.EndpointTask(v.Context(), e.ID, v.PathValue("task"))
	if err != nil {
		return err
	}
	view := taskView{page: v.page("Replay", "endpoints"), Endpoint: e, Ref: endpointRef(e), Task: taskRowOf(&task)}
	view.Live = view.Task.Running
	return v.show(http.StatusOK, "task.html", view)
}

// cancelTask stops a replay; what it has sent stays sent.
func (p *Portal) cancelTask(v *visit) error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	task, err := p.store.EndpointTask(v.Context(), e.ID, v.PathValue("task"))
	if err != nil {
		return err
	}
	if _, err := p.store.CancelTask(v.Context(), task.Environment, task.ID); err != nil {
		return err
	}
	return v.redirect(v.base() + "/endpoints/" + endpointRef(e) + "/replays/" + webhook.TaskID.Format(task.ID))
}

// jsonProblem says where a text stops being JSON.
func jsonProblem(text string) string {
	var v any
	wrong, ok := errors.AsType[*json.SyntaxError](json.Unmarshal([]byte(text), &v))
	if !ok {
		return ""
	}
	before := text[:min(int(wrong.Offset), len(text))]
	return fmt.Sprintf("Look at line %d: %s.", strings.Count(before, "\n")+1, strings.TrimPrefix(wrong.Error(), "json: "))
}
