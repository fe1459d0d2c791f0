package store

import (
	"context"
	"fanfare/internal/webhook"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// wholeTable is a step of SQLite that reads all of history, or all of an index
// of it, or what is older than something.
var wholeTable = regexp.MustCompile(`^SCAN (message|attempt|endpoint_attempt|m|a|l|x|message_name|n)\b|^SEARCH attempt .*\(id<\?\)`)

// TestNoPageReadsAllOfHistory asks SQLite how it would run what pages and lists
// ask. It has no statistics there, and likes to read an index that covers a
// statement where it should look up rows.
func TestNoPageReadsAllOfHistory(t *testing.T) {
	s := open(t, fileURL(t), Config{NameSlice: 1, IndexLag: -time.Hour})
	if err := askAll(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	asked := 0
	s.stmts.Range(func(query, _ any) bool {
		text := query.(string) //nolint:forcetypeassert // only texts are put in
		var args []any
		for strings.Contains(text, fmt.Sprintf("$%d", len(args)+1)) {
			args = append(args, 1)
		}
		rows, err := s.reads.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
		steps, err := collect(rows, err, func(row scanner) (step string, err error) {
			var none int
			err = row.Scan(&none, &none, &none, &step)
			return step, err
		})
		if err != nil {
			t.Errorf("%v\n%s", err, text)
		}
		if slices.ContainsFunc(steps, wholeTable.MatchString) {
			t.Errorf("%s\nis done by\n%s", text, strings.Join(steps, "\n"))
		}
		asked++
		return true
	})
	if asked < 50 {
		t.Errorf("only %d statements were asked", asked)
	}
}

// askAll asks whatever looks at history.
func askAll(ctx context.Context, s *Store) error {
	environment, err := s.Environment(ctx, MainEnvironment)
	if err != nil {
		return err
	}
	app, err := s.CreateApplication(ctx, webhook.Application{Environment: environment, Name: "a", AttemptRetention: time.Hour})
	if err != nil {
		return err
	}
	e, err := s.CreateEndpoint(ctx, webhook.Endpoint{Application: app.ID, URL: "https://example.com/", Version: 1, EventTypes: []string{"a.b"}})
	if err != nil {
		return err
	}
	m := webhook.Message{Application: app.ID, EventType: "a.b", Dataset: "a/b", Subject: "c", Payload: []byte("{}")}
	if err := s.AddMessage(ctx, &m); err != nil {
		return err
	}
	var failure error
	note := func(err error) {
		if failure == nil {
			failure = err
		}
	}
	_, err = s.IndexNames(ctx)
	note(err)
	pages := []Page{{Limit: 5}, {Limit: 5, After: webhook.ID{1}, Ascending: true}, {Limit: 5, Before: m.ID}}
	states := []*webhook.Status{nil}
	for _, state := range []webhook.Status{webhook.Pending, webhook.Succeeded, webhook.Failed, webhook.Canceled} {
		states = append(states, &state)
	}
	for _, p := range pages {
		for _, q := range []Search{{}, {EventType: "a.b"}, {Dataset: "a/b"}, {Sample: "c"}, {Dataset: "a/b", Sample: "c"}, {Sample: "c", EventType: "a.b"}, {Text: "c"}, {Sample: "c", Text: "{"}} {
			for _, status := range states {
				q.Status = status
				_, err = s.SearchAttempts(ctx, app.ID, e.ID, q, p)
				note(err)
			}
			_, err = s.SearchMessages(ctx, app.ID, q, p)
			note(err)
		}
		for _, f := range []MessageFilter{{}, {EventTypes: []string{"a.b"}}, {Dataset: "a/b"}, {Tag: "a"}} {
			_, err = s.Messages(ctx, app.ID, f, p)
			note(err)
			for _, state := range states {
				_, err = s.AttemptedMessages(ctx, app.ID, e.ID, f, state, p)
				note(err)
				_, err = s.AttemptsOfEndpoint(ctx, app.ID, e.ID, AttemptFilter{Status: state, Message: f}, p)
				note(err)
				_, err = s.AttemptsOfMessage(ctx, app.ID, m.ID, AttemptFilter{Status: state, Endpoint: e.ID}, p)
				note(err)
			}
		}
		_, err = s.MessageHorizon(ctx, app.ID, p)
		note(err)
		_, err = s.AttemptHorizon(ctx, e.ID, p)
		note(err)
	}
	for _, name := range []string{webhook.TaskRecover, webhook.TaskReplayMissing, webhook.TaskBulkReplay} {
		_, _, err = s.CountReplay(ctx, webhook.Task{
			Name: name, Application: app.ID, Endpoint: e.ID, Params: webhook.TaskParams{Since: time.Now().Add(-time.Hour), Until: time.Now()},
		})
		note(err)
	}
	_, err = s.Deliveries(ctx, app.ID, m.ID)
	note(err)
	_, err = s.AttemptedEndpoints(ctx, app.ID, m.ID, Page{Limit: 5})
	note(err)
	_, err = s.AttemptsAfter(ctx, app.ID, e.ID, webhook.ID{1}, 5)
	note(err)
	_, err = s.LoggedAttempts(ctx, app.ID, e.ID, []webhook.ID{m.ID})
	note(err)
	_, err = s.EachMessage(ctx, app.ID, time.Now(), true, func(*webhook.Message) {})
	note(err)
	_, err = s.RemoveOldOfApplications(ctx)
	note(err)
	return failure
}
