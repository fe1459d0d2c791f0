package webhook

import (
	"encoding/json"
	"time"
)

// Task is work that goes on after its request was answered: a replay, or a
// count.
type Task struct {
	ID          ID
	Environment ID
	Application ID
	Endpoint    ID
	Name        string
	Status      TaskStatus
	Params      TaskParams
	// Data is the outcome, a JSON object.
	Data json.RawMessage
	// Counting says that Total is still being found; Done counts towards it.
	Counting    bool
	Total, Done int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// TaskStatus is where a task stands.
type TaskStatus int16

// The states of a task.
const (
	TaskRunning TaskStatus = iota
	TaskFinished
	TaskFailed
)

// String names the status as the webhooks API does.
func (s TaskStatus) String() string { return [...]string{"running", "finished", "failed"}[s] }

// The names of tasks, as the webhooks API has them.
const (
	TaskRecover       = "endpoint.recover"
	TaskReplayMissing = "endpoint.replay"
	TaskBulkReplay    = "endpoint.bulk-replay"
	TaskPurge         = "application.purge_content"
	TaskUsage         = "application.stats"
	TaskAggregate     = "event-type.aggregate"
)

// TaskParams say what a task is about. Which of them count depends on its name.
type TaskParams struct {
	// Since and Until bound the messages, or the attempts of a recovery.
	Since, Until time.Time
	// Rate is the most messages a second that a replay sends; 0 is no limit.
	Rate int `json:",omitempty"`
	// The filters of a bulk replay.
	EventTypes   []string `json:",omitempty"`
	Channel, Tag string   `json:",omitempty"`
	// Status is the number that the webhooks API has for the state of a
	// message at the endpoint, CodeClass 100 to 500 or 0 for no answer; nil is
	// any.
	Status, CodeClass *int `json:",omitempty"`
	// SkipSucceeded leaves out what has already arrived.
	SkipSucceeded bool `json:",omitempty"`
	// Applications narrow a count; nil is all.
	Applications []ID `json:",omitempty"`
}
