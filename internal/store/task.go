package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"strings"
	"time"
)

const selectTask = `
	SELECT id, environment_id, application_id, endpoint_id, name, status, params, data, counting, total, done, created_at, updated_at
	FROM task`

func scanTask(row scanner) (webhook.Task, error) {
	var k webhook.Task
	err := row.Scan(intoTask(&k)...)
	return k, err
}

// intoTask lists where the columns of a task go.
func intoTask(k *webhook.Task) []any {
	return []any{
		id(&k.ID), id(&k.Environment), id(&k.Application), id(&k.Endpoint), &k.Name, &k.Status,
		intoJSON{&k.Params},
		intoJSON{&k.Data},
		&k.Counting, &k.Total, &k.Done,
		intoTime{&k.CreatedAt},
		intoTime{&k.UpdatedAt},
	}
}

// CreateTask stores a task, which a node then works on slice by slice. The
// caller gives what it is about.
func (s *Store) CreateTask(ctx context.Context, k webhook.Task) (webhook.Task, error) {
	err := s.write(ctx, func(t *tx) error {
		k.CreatedAt = now()
		k.UpdatedAt, k.ID, k.Data = k.CreatedAt, s.ids.New(k.CreatedAt), json.RawMessage(`{}`)
		_, k.Counting = replays[k.Name]
		t.onCommit(s.signalTask)
		_, err := t.exec(`
			INSERT INTO task (id, environment_id, application_id, endpoint_id, name, status, params, data, counting, position,
				total, done, next_at, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 0, $11, $11)`,
			key(k.ID), key(k.Environment), optional(k.Application), optional(k.Endpoint), k.Name, int(k.Status), text(k.Params),
			string(k.Data), k.Counting, startOf(&k), webhook.Micros(k.CreatedAt))
		return err
	})
	if err != nil {
		return k, fmt.Errorf("create task: %w", err)
	}
	return k, nil
}

// startOf is the position before the first slice.
func startOf(k *webhook.Task) []byte {
	if k.Params.Since.IsZero() {
		return key(webhook.ID{})
	}
	return key(webhook.FloorID(k.Params.Since))
}

// Task finds a task of an environment.
func (s *Store) Task(ctx context.Context, environment, task webhook.ID) (webhook.Task, error) {
	k, err := scanTask(s.row(ctx, selectTask+` WHERE id = $1 AND environment_id = $2`, key(task), key(environment)))
	if err != nil {
		return k, fmt.Errorf("task: %w", err)
	}
	return k, nil
}

// TaskFilter narrows a list of tasks; its zero value lets all through.
type TaskFilter struct {
	Name   string
	Status *webhook.TaskStatus
}

// Tasks lists the tasks of an environment.
func (s *Store) Tasks(ctx context.Context, environment webhook.ID, f TaskFilter, p Page) ([]webhook.Task, error) {
	args, conditions := []any{key(environment)}, ""
	if f.Name != "" {
		args = append(args, f.Name)
		conditions += fmt.Sprintf(` AND name = $%d`, len(args))
	}
	if f.Status != nil {
		args = append(args, int(*f.Status))
		conditions += fmt.Sprintf(` AND status = $%d`, len(args))
	}
	bounds, order, args := p.where("id", args)
	rows, err := s.query(ctx, selectTask+` WHERE environment_id = $1`+conditions+bounds+order, args...)
	return collect(rows, err, scanTask)
}

// CancelTask ends a task that is running; what it has done stays done.
func (s *Store) CancelTask(ctx context.Context, environment, task webhook.ID) (webhook.Task, error) {
	var k webhook.Task
	err := s.write(ctx, func(t *tx) (err error) {
		k, err = scanTask(t.row(selectTask+` WHERE id = $1 AND environment_id = $2`+t.s.dialect.forUpdate, key(task), key(environment)))
		if err != nil || k.Status != webhook.TaskRunning {
			return err
		}
		sent := k.Done
		if k.Counting {
			sent = 0
		}
		k.Status, k.Data = webhook.TaskFailed, json.RawMessage(text(map[string]any{"messagesSent": sent, "error": "canceled"}))
		return t.endTask(&k)
	})
	if err != nil {
		return k, fmt.Errorf("cancel task: %w", err)
	}
	return k, nil
}

// endTask stores the outcome of a task and tells its environment.
func (t *tx) endTask(k *webhook.Task) error {
	k.UpdatedAt, k.Counting = now(), false
	if _, err := t.exec(`UPDATE task SET status = $2, data = $3, counting = FALSE, updated_at = $4 WHERE id = $1`,
		key(k.ID), int(k.Status), string(k.Data), webhook.Micros(k.UpdatedAt)); err != nil {
		return err
	}
	return t.operational(k.Environment, &operationalEvent{"background_task.finished", taskData{
		TaskID: webhook.TaskID.Format(k.ID), Task: k.Name, Status: k.Status.String(), Data: k.Data,
	}})
}

// signalTask says that there is a task to work on.
func (s *Store) signalTask() {
	select {
	case s.tasks <- struct{}{}:
	default:
	}
}

// TaskWork is where a message waits when a task was made.
func (s *Store) TaskWork() <-chan struct{} { return s.tasks }

// RunTask does one slice of the task that has waited longest. It reports when
// the next slice of any task is due; zero when no task runs.
func (s *Store) RunTask(ctx context.Context) (next time.Time, err error) {
	var k webhook.Task
	var position []byte
	err = s.row(ctx, strings.Replace(selectTask, "SELECT id", "SELECT position, id", 1)+` WHERE status = 0 AND next_at <= $1 ORDER BY next_at LIMIT 1`,
		time.Now().UnixMicro()).Scan(append([]any{&position}, intoTask(&k)...)...)
	if err == nil {
		err = s.runSlice(ctx, &k, position)
	}
	if err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return next, fmt.Errorf("task %s: %w", webhook.TaskID.Format(k.ID), err)
	}
	var at sql.NullInt64
	if err := s.row(ctx, `SELECT min(next_at) FROM task WHERE status = 0`).Scan(&at); err != nil || !at.Valid {
		return time.Time{}, err
	}
	return time.UnixMicro(at.Int64), nil
}

func (s *Store) runSlice(ctx context.Context, k *webhook.Task, position []byte) error {
	switch k.Name {
	case webhook.TaskPurge:
		return s.purge(ctx, k, position)
	case webhook.TaskUsage:
		return s.countUsage(ctx, k, position)
	case webhook.TaskAggregate:
		return s.aggregate(ctx, k, position)
	default:
		return s.replaySlice(ctx, k, position)
	}
}

// step is what a slice of a task comes to.
type step struct {
	position []byte
	// end says that this was the last slice of the phase.
	end   bool
	data  json.RawMessage
	total int64
	done  int64
	// pause is how long to wait before the next slice.
	pause time.Duration
}

// advance stores a step and does the work that belongs to it in the same
// transaction, unless the task has moved on meanwhile: another node may work on
// it, or somebody has canceled it.
func (s *Store) advance(ctx context.Context, k *webhook.Task, from []byte, next step, work func(*tx) error) error {
	err := s.writeSlice(ctx, func(t *tx) error {
		counting := k.Counting
		n, err := t.exec(`
			UPDATE task SET position = $3, data = $4, counting = $5, total = $6, done = $7, next_at = $8, updated_at = $9
			WHERE id = $1 AND position = $2 AND counting = $10 AND status = 0`,
			key(k.ID), from, next.position, string(next.data), counting && !next.end, next.total, next.done,
			time.Now().Add(next.pause).UnixMicro(), time.Now().UnixMicro(), counting)
		if err != nil || n == 0 {
			return err
		}
		if work != nil {
			if err := work(t); err != nil {
				return err
			}
		}
		if !next.end || counting {
			return nil
		}
		ended := *k
		ended.Status, ended.Data = webhook.TaskFinished, next.data
		return t.endTask(&ended)
	})
	if err != nil {
		return fmt.Errorf("slice: %w", err)
	}
	return nil
}

// The replays select messages for an endpoint ($2) of an application ($1), in
// slices of the history that begin after $3 and end before $4. Each says over
// which rows it walks and which of them count. (SQLite joins in the order of a
// CROSS JOIN.)
var replays = map[string]struct{ walk, which string }{
	// What failed and has not arrived since: the first failure of each message
	// in the window stands for it.
	webhook.TaskRecover: {
		`SELECT id, message_id, outcome, ends FROM endpoint_attempt WHERE endpoint_id = $2 AND application_id = $1 AND id > $3 AND id < $4 ORDER BY id LIMIT 1000`,
		`SELECT w.message_id FROM walk w
		WHERE w.outcome <> 0 AND NOT (w.outcome = 7 AND w.ends <> 2)
		AND EXISTS (SELECT 1 FROM message m WHERE m.id = w.message_id AND m.application_id = $1)
		AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.message_id = w.message_id AND a.endpoint_id = $2 AND a.outcome = 0)
		AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.message_id = w.message_id AND a.endpoint_id = $2
			AND a.id < w.id AND a.id > $5 AND a.outcome <> 0 AND NOT (a.outcome = 7 AND a.ends <> 2))`,
	},
	webhook.TaskReplayMissing: {
		`SELECT id, id AS message_id FROM message WHERE application_id = $1 AND id > $3 AND id < $4 ORDER BY id LIMIT 1000`,
		`SELECT message.id FROM walk w CROSS JOIN message
		WHERE message.id = w.id AND message.application_id = $1 AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.message_id = message.id AND a.endpoint_id = $2 AND a.outcome <> 7)
		AND NOT ` + planned,
	},
	webhook.TaskBulkReplay: {
		`SELECT id, id AS message_id FROM message WHERE application_id = $1 AND id > $3 AND id < $4 ORDER BY id LIMIT 1000`,
		`SELECT message.id FROM walk w CROSS JOIN message WHERE message.id = w.id AND message.application_id = $1 AND ` + attempted,
	},
}

// maxRecovered is how many messages a recovery sends at most (contract, section
// 9.5).
const maxRecovered = 10_000

// replaySlice counts, or sends, the messages of one slice of a replay.
func (s *Store) replaySlice(ctx context.Context, k *webhook.Task, position []byte) error {
	e, err := s.EndpointByID(ctx, k.Endpoint)
	if err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return err
	}
	if e == nil || e.Disabled {
		// Nothing can be sent: what was sent before stays.
		ended := step{position: position, end: true, data: messagesSent(k), total: k.Total, done: k.Done}
		counted := *k
		counted.Counting = false
		if k.Counting {
			return s.advance(ctx, k, position, ended, func(t *tx) error {
				counted.Status, counted.Data = webhook.TaskFinished, json.RawMessage(`{"messagesSent":0}`)
				return t.endTask(&counted)
			})
		}
		return s.advance(ctx, k, position, ended, nil)
	}
	limit := slice
	if k.Params.Rate > 0 && !k.Counting {
		limit = min(limit, k.Params.Rate)
	}
	last, messages, err := s.replayed(ctx, e, k, position, limit)
	if err != nil {
		return err
	}
	next := step{position: last, end: last == nil, data: json.RawMessage(`{}`), total: k.Total, done: k.Done}
	if next.end {
		next.position = position
	}
	if k.Name == webhook.TaskReplayMissing {
		if messages, err = s.onlyWanted(ctx, e, messages); err != nil {
			return err
		}
	}
	if k.Counting {
		next.total += int64(len(messages))
		if next.end {
			next.position = startOf(k)
		}
		return s.advance(ctx, k, position, next, nil)
	}
	next.done += int64(len(messages))
	if k.Name == webhook.TaskRecover && next.done >= maxRecovered {
		messages = messages[:int64(len(messages))-(next.done-maxRecovered)]
		next.done, next.end = maxRecovered, true
	}
	sent := *k
	sent.Done = next.done
	if next.end {
		next.data = messagesSent(&sent)
	}
	if k.Params.Rate > 0 {
		next.pause = time.Duration(len(messages)) * time.Second / time.Duration(k.Params.Rate)
	}
	return s.advance(ctx, k, position, next, func(t *tx) error { return t.replayAll(k.Application, e, messages) })
}

func messagesSent(k *webhook.Task) json.RawMessage {
	return json.RawMessage(text(map[string]int64{"messagesSent": k.Done}))
}

// replayed walks over one slice of history. It returns the position after the
// slice, nil at the end, and the messages to send.
func (s *Store) replayed(ctx context.Context, e *webhook.Endpoint, k *webhook.Task, position []byte, limit int) (last []byte, messages []webhook.ID, err error) {
	args := []any{key(k.Application), key(k.Endpoint), position, key(webhook.FloorID(k.Params.Until))}
	if k.Name == webhook.TaskRecover {
		args = append(args, startOf(k))
	}
	f := MessageFilter{EventTypes: k.Params.EventTypes, Channel: k.Params.Channel, Tag: k.Params.Tag}
	if k.Name == webhook.TaskReplayMissing && f.EventTypes == nil && len(e.EventTypes) > 0 {
		f.EventTypes = e.EventTypes // it cannot have missed others
	}
	conditions, args := f.where(s.dialect, "message", args)
	if k.Params.SkipSucceeded {
		conditions += ` AND NOT ` + arrived
	}
	if k.Params.Status != nil {
		if state, ok := statusNumbers[*k.Params.Status]; ok {
			conditions += ` AND ` + stateConditions[state]
		} else {
			conditions += ` AND 1 = 0`
		}
	}
	if k.Params.CodeClass != nil {
		args = append(args, *k.Params.CodeClass, *k.Params.CodeClass+99)
		conditions += fmt.Sprintf(` AND EXISTS (SELECT 1 FROM attempt a WHERE a.message_id = message.id AND a.endpoint_id = $2
			AND a.outcome <> 7 AND a.status_code BETWEEN $%d AND $%d)`, len(args)-1, len(args))
	}
	if k.Name == webhook.TaskRecover {
		conditions = "" // it has none of these
	}
	r := replays[k.Name]
	walk := strings.Replace(r.walk, "1000", fmt.Sprint(limit), 1)
	rows, err := s.query(ctx, `WITH walk AS (`+walk+`) SELECT id, NULL FROM (SELECT w.id FROM walk w ORDER BY w.id DESC LIMIT 1) newest
		UNION ALL SELECT NULL, found.id FROM (`+strings.Replace(r.which, "SELECT w.message_id", "SELECT w.message_id AS id", 1)+conditions+`) found`, args...)
	_, err = collect(rows, err, func(row scanner) (struct{}, error) {
		var end, message webhook.ID
		err := row.Scan(id(&end), id(&message))
		if !end.IsZero() {
			last = key(end)
		} else {
			messages = append(messages, message)
		}
		return struct{}{}, err
	})
	return last, messages, err
}

// statusNumbers are the states of a message at an endpoint by the numbers of
// the webhooks API; 1 is never the state of a message that was attempted.
var statusNumbers = map[int]webhook.Status{0: webhook.Succeeded, 2: webhook.Failed, 3: webhook.Pending, 4: webhook.Canceled}

// onlyWanted leaves out messages that the filters of an endpoint exclude.
func (s *Store) onlyWanted(ctx context.Context, e *webhook.Endpoint, messages []webhook.ID) ([]webhook.ID, error) {
	all, err := s.messages(ctx, e.Application, messages, e.Filter != nil)
	var wanted []webhook.ID
	for i := range all {
		if e.Wants(&all[i]) {
			wanted = append(wanted, all[i].ID)
		}
	}
	return wanted, err
}

// replayAll makes a replay of each message whose payload is still there.
func (t *tx) replayAll(app webhook.ID, e *webhook.Endpoint, messages []webhook.ID) error {
	for _, message := range messages {
		var kept bool
		err := t.row(`SELECT payload IS NOT NULL FROM message WHERE id = $1 AND application_id = $2`, key(message), key(app)).Scan(&kept)
		if errors.Is(err, sql.ErrNoRows) || err == nil && !kept {
			continue
		}
		if err != nil {
			return err
		}
		if err := t.replay(&webhook.Message{ID: message, Application: app}, e, !e.Gathers(), true); err != nil {
			return err
		}
	}
	return nil
}
