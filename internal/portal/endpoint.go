package portal

import (
	"fanfare/internal/signature"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

type endpointView struct {
	page
	Endpoint *webhook.Endpoint
	Ref      string
	Standing standing
	Windows  []tab
	Health   health
	Backlog  store.Backlog
	Secrets  secretView
	Log      logView
	Tasks    []taskRow
}

// secretView is the part of the page that shows the signing secret.
type secretView struct {
	page
	Ref string
	// Secret is shown when asked for.
	Secret string
	// Old is until when each of the secrets before it signs as well.
	Old []time.Time
}

// logView is the list of what was sent to an endpoint.
type logView struct {
	page
	Ref    string
	Filter logFilter
	Groups []typeGroup
	Rows   []attemptRow
	pager
	// Tail is where new rows come from as they are made; "" where they do not.
	Tail string
}

// logFilter is what the form above the log holds.
type logFilter struct{ Status, EventType, Dataset, Text, Since, Until string }

// Any reports whether anything is chosen.
func (f logFilter) Any() bool { return f != logFilter{} }

// More reports whether anything is chosen beyond what is always shown.
func (f logFilter) More() bool { return f.Dataset != "" || f.Since != "" || f.Until != "" }

// attemptRow is an attempt in the log of an endpoint.
type attemptRow struct {
	Ref, EventType, Text, Message, Took, State, Title string
	// Code is the answer in short, Answer with its words.
	Code, Answer string
	At           time.Time
	Test         bool
}

// rowView is a row of the log and the path that its links begin with.
type rowView struct {
	Base string
	Row  attemptRow
}

func (p *Portal) endpointPage(v *visit) error { return p.showEndpoint(v, false) }

// revealSecret shows the signing secret: as a part of the page to htmx, on the
// whole page otherwise.
func (p *Portal) revealSecret(v *visit) error {
	if v.Header.Get("Hx-Request") == "" {
		return p.showEndpoint(v, true)
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "secret", v.secretOf(e, true))
}

func (v *visit) secretOf(e *webhook.Endpoint, reveal bool) secretView {
	view := secretView{page: v.page("", "endpoints"), Ref: endpointRef(e)}
	if reveal {
		view.Secret = signature.Public(e.Secrets[0].Key)
	}
	for _, s := range e.Secrets[1:] {
		if s.ExpiresAt.After(time.Now()) {
			view.Old = append(view.Old, s.ExpiresAt)
		}
	}
	return view
}

// The size of the charts on the page of an endpoint.
const chartWidth, chartHeight = 480, 96

func (p *Portal) showEndpoint(v *visit, reveal bool) error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	here := v.base() + "/endpoints/" + endpointRef(e)
	w := windowOf(v.URL.Query())
	view := endpointView{
		page: v.page(short(e.URL), "endpoints"), Endpoint: e, Ref: endpointRef(e), Standing: p.standing(e),
		Windows: windowTabs(here, w), Secrets: v.secretOf(e, reveal),
	}
	if reveal {
		view.Here = here
	}
	if view.Health, err = v.health(e, w, chartWidth, chartHeight); err != nil {
		return err
	}
	if view.Backlog, err = p.store.EndpointBacklog(v.Context(), e.ID); err != nil {
		return err
	}
	if view.Log, err = v.log(e, here); err != nil {
		return err
	}
	tasks, err := p.store.EndpointTasks(v.Context(), e.ID, shownTasks)
	if err != nil {
		return err
	}
	for i := range tasks {
		view.Tasks = append(view.Tasks, taskRowOf(&tasks[i]))
	}
	return v.show(http.StatusOK, "endpoint.html", view)
}

// log reads the page of the log that the query asks for.
func (v *visit) log(e *webhook.Endpoint, here string) (logView, error) {
	query := v.URL.Query()
	groups, err := v.typeGroups(nil)
	if err != nil {
		return logView{}, err
	}
	view := logView{
		page: v.page("", "endpoints"), Ref: endpointRef(e), Groups: groups, Filter: logFilter{
			Status: query.Get("status"), EventType: query.Get("type"), Dataset: strings.TrimSpace(query.Get("dataset")),
			Text: strings.TrimSpace(query.Get("text")), Since: query.Get("since"), Until: query.Get("until"),
		},
	}
	q, err := searchOf(&view.Filter)
	if err != nil {
		return view, err
	}
	list, err := pageOf(query, webhook.AttemptID,
		func(pg store.Page) (store.Found[store.LoggedAttempt], error) {
			return v.p.store.SearchAttempts(v.Context(), e.Application, e.ID, q, pg)
		},
		func(a store.LoggedAttempt) webhook.ID { return a.ID })
	if err != nil {
		return view, err
	}
	view.pager = list.links(here, query)
	for i := range list.rows {
		view.Rows = append(view.Rows, attemptRowOf(&list.rows[i]))
	}
	if !view.Filter.Any() && view.Newer == "" {
		view.Tail = here + "/tail"
		if n := len(list.rows); n > 0 {
			view.Tail += "?after=" + webhook.AttemptID.Format(list.rows[n-1].ID)
		}
	}
	return view, nil
}

var statuses = map[string]webhook.Status{"succeeded": webhook.Succeeded, "failed": webhook.Failed, "canceled": webhook.Canceled}

// searchOf reads the filter. What makes no sense in it is as if it was not given.
func searchOf(f *logFilter) (store.Search, error) {
	q := store.Search{EventType: f.EventType, Dataset: f.Dataset, Text: f.Text}
	if status, ok := statuses[f.Status]; ok {
		q.Status = &status
	} else {
		f.Status = ""
	}
	var ok bool
	if q.Since, ok = readTime(f.Since); !ok {
		f.Since = ""
	}
	if q.Until, ok = readTime(f.Until); !ok {
		f.Until = ""
	}
	if len(q.Text) > maxQuery || len(q.Dataset) > maxQuery {
		return q, webhook.ErrNotFound
	}
	return q, nil
}

// maxQuery bounds what people search for, in bytes.
const maxQuery = 1000

// timeForm is how forms write times (HTML's local date and time), in UTC.
const timeForm = "2006-01-02T15:04"

func formTime(t time.Time) string { return t.UTC().Format(timeForm) }

// readTime reads a time of a form; an empty one is the zero time.
func readTime(s string) (t time.Time, ok bool) {
	if s == "" {
		return t, true
	}
	for _, form := range []string{timeForm, "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.Parse(form, s); err == nil && t.Year() >= 1970 && t.Year() < 10000 {
			return t, true
		}
	}
	return t, false
}

func attemptRowOf(a *store.LoggedAttempt) attemptRow {
	code := answer(&a.Attempt)
	if a.StatusCode != 0 {
		code = strconv.Itoa(a.StatusCode)
	}
	return attemptRow{
		Code: code,
		Ref:  webhook.AttemptID.Format(a.ID), EventType: a.Of.EventType, Text: textOf(&a.Of), Message: webhook.MessageID.Format(a.Message),
		Answer: answer(&a.Attempt), Took: took(a.Timings.Total), State: a.Alone().String(), At: a.StartedAt, Test: a.Of.IsTest(),
		Title: title(&a.Attempt, a.Of.IsTest()),
	}
}

// answer says what came back, or in a word why nothing did.
func answer(a *webhook.Attempt) string {
	switch {
	case a.StatusCode != 0:
		return strings.TrimSpace(fmt.Sprintf("%d %s", a.StatusCode, http.StatusText(a.StatusCode)))
	case a.Outcome == webhook.TimedOut:
		return "timed out"
	case a.Outcome == webhook.Blocked:
		return "address refused"
	case a.Outcome == webhook.Unreachable:
		return "not reached"
	default:
		return ""
	}
}

func took(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < 50*time.Microsecond:
		return "< 0.1 ms"
	case d < time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return strings.Replace(fmt.Sprintf("%.1f s", d.Seconds()), ".0 s", " s", 1)
	default:
		return d.Round(time.Second).String()
	}
}

// rotation is how long the secret before signs beside a new one.
const rotation = 24 * time.Hour

func (p *Portal) rotatePage(v *visit) error { return v.ask("endpoint_rotate.html", "Rotate secret") }

// rotateSecret gives the endpoint a new signing secret. The one before goes on
// signing for a day, or ends at once when the form says that it is known to
// others.
func (p *Portal) rotateSecret(v *visit) error {
	if err := v.ParseForm(); err != nil {
		return err
	}
	grace, done := rotation, "rotated"
	if v.PostFormValue("at_once") != "" {
		grace, done = 0, "rotated-at-once"
	}
	return v.change(done, func(e *webhook.Endpoint) error {
		key := signature.NewSecret()
		if old := e.Secrets[0].Key; signature.Public(old) != old {
			key = signature.NewAsymmetricSecret()
		}
		err := e.Rotate(key, grace, time.Now())
		if err != nil { // too many in force: the oldest make room
			e.Secrets = e.Secrets[:webhook.MaxOldSecrets]
			err = e.Rotate(key, grace, time.Now())
		}
		return err
	})
}

// pager leads to the pages beside the one that is shown; "" where there is none.
type pager struct {
	Newer, Older string
	// Further goes on with a search that has looked at SearchDepth rows.
	Further string
}

// perPage is how many rows a page of a list shows.
const perPage = 50

// listPage is a page of a list.
type listPage[T any] struct {
	rows                  []T
	newer, older, further string
}

// pageOf reads the page that a query asks for, newest first, and the ids from
// which the pages beside it start: "" where there is none.
func pageOf[T any](query url.Values, prefix webhook.Prefix, read func(store.Page) (store.Found[T], error), id func(T) webhook.ID) (listPage[T], error) {
	var l listPage[T]
	pg := store.Page{Limit: perPage + 1}
	if after, err := prefix.Parse(query.Get("after")); err == nil {
		pg.After, pg.Ascending = after, true
	} else if before, err := prefix.Parse(query.Get("before")); err == nil {
		pg.Before = before
	}
	found, err := read(pg)
	if err != nil {
		return l, err
	}
	rows := found.Rows
	more := len(rows) > perPage
	l.rows = rows[:min(len(rows), perPage)]
	if pg.Ascending {
		slices.Reverse(l.rows)
	}
	switch {
	case found.Stopped.IsZero():
	case pg.Ascending:
		l.newer = prefix.Format(found.Stopped)
	default:
		l.further = prefix.Format(found.Stopped)
	}
	if len(l.rows) == 0 {
		return l, nil
	}
	first, last := prefix.Format(id(l.rows[0])), prefix.Format(id(l.rows[len(l.rows)-1]))
	if pg.Ascending && more || !pg.Before.IsZero() {
		l.newer = first
	}
	if !pg.Ascending && more || pg.Ascending {
		l.older = last
	}
	return l, nil
}

// links are the addresses of the pages beside this one, which keep its filter.
func (l *listPage[T]) links(here string, query url.Values) pager {
	link := func(name, cursor string) string {
		if cursor == "" {
			return ""
		}
		q := url.Values{name: {cursor}}
		for key, values := range query {
			if key != "after" && key != "before" && key != "done" && values[0] != "" {
				q[key] = values[:1]
			}
		}
		return here + "?" + q.Encode()
	}
	return pager{link("after", l.newer), link("before", l.older), link("before", l.further)}
}
