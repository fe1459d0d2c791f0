package webhook

import "time"

// Status is where a delivery stands. Succeeded, Failed and Canceled are ends.
type Status int16

// The states of a delivery.
const (
	Pending Status = iota
	Succeeded
	Failed
	Canceled
)

// String names the status in the product's words.
func (s Status) String() string {
	switch s {
	case Pending:
		return "pending"
	case Succeeded:
		return "succeeded"
	case Failed:
		return "failed"
	case Canceled:
		return "canceled"
	default:
		return "unknown"
	}
}

// Trigger says what asked for a delivery.
type Trigger int16

// The triggers, numbered as the webhooks API shows them.
const (
	Scheduled Trigger = 0 // the message itself
	Manual    Trigger = 1 // a person or a task asked again
)

// DeliveryKey names a delivery: the promise to bring one message to one
// endpoint. Replay is 0 for the promise made when the message was accepted;
// each replay is a delivery of its own with a number of its own.
type DeliveryKey struct {
	Message  ID
	Endpoint ID
	Replay   int64
}

// Trigger says whether the delivery was planned or asked for by hand.
func (k DeliveryKey) Trigger() Trigger {
	if k.Replay == 0 {
		return Scheduled
	}
	return Manual
}

// Delivery is an open delivery, as it waits in the queue.
type Delivery struct {
	DeliveryKey
	Application ID
	// Attempts counts the recorded attempts that used up a step of the
	// schedule. An attempt that a crash cut short is not among them.
	Attempts int
	// Calls counts every recorded call, those that used up no step included.
	Calls int
	// DueAt is when it may be sent.
	DueAt time.Time
	// CreatedAt is when the delivery was made.
	CreatedAt time.Time
	// HeldSince is when a receiver first asked to wait (Retry-After) without
	// having used up a step; zero when none did since the last step.
	HeldSince time.Time
	// OrderKey is what it shares with the deliveries to the same endpoint that
	// it is ordered with; empty when it is not ordered. Blocked says that an
	// earlier one of them is still open.
	OrderKey string
	Blocked  bool
	// Claim is the fence: only the holder of the latest claim may record an
	// outcome.
	Claim int64
	// Gathered means that it is not sent itself: it waits to be told of in a
	// digest, which is made when it is due.
	Gathered bool
	// Digest means that Message names a digest, and no message.
	Digest bool
}

// First reports whether nothing has been sent for d yet and nobody asked for it
// by hand: such a delivery waits while its endpoint rests, where retries and
// replays keep their times.
func (d *Delivery) First() bool { return d.Attempts == 0 && d.Calls == 0 && d.Replay == 0 }

// Job is a delivery that this node has claimed, with what is needed to send it.
type Job struct {
	Delivery
	// To is the endpoint as it was when the job was claimed.
	To        *Endpoint
	EventType string
	Payload   []byte
	// Expired means that the payload is gone: the delivery ends as failed.
	Expired bool
	// LeaseEnds is when the claim may pass to another node.
	LeaseEnds time.Time
}

// Outcome is what came of one HTTP call.
type Outcome int16

// The outcomes. All but Delivered are failures.
const (
	Delivered   Outcome = iota // 2xx
	Refused                    // an answer that is not 2xx
	Gone                       // 410: the receiver wants no more
	Busy                       // 429 or 503 with Retry-After
	TimedOut                   // no complete answer in time
	Unreachable                // DNS, connect, TLS, reset, protocol
	Blocked                    // the address is one we do not call
	NotSent                    // no call was made: canceled, or the payload expired
)

// Attempt is one HTTP call made for a delivery, kept as evidence.
type Attempt struct {
	ID          ID
	Application ID
	DeliveryKey
	// Number counts the calls of this delivery from 1. An attempt with number 0
	// is none of its own: it tells what came of the digest that the message was
	// part of.
	Number  int
	Outcome Outcome
	// StatusCode is that of the answer; 0 when there was none.
	StatusCode int
	URL        string
	StartedAt  time.Time
	Timings    Timings
	// RequestHead and ResponseHead are the headers as sent and received, one
	// "Name: value" a line, without the values that are secret.
	RequestHead  []byte
	ResponseHead []byte
	// Response is the start of the answer's body, at most MaxResponse bytes.
	Response []byte
	// Error says in words why there was no answer, or what the answer of a chat
	// service means; empty when there is nothing to say.
	Error string
	// Ends is the final state this attempt brought its delivery to, or
	// Pending when another is planned.
	Ends Status
}

// Record is what is written after a call: the attempt, and what follows for
// its delivery.
type Record struct {
	Attempt
	// Claim is the fence under which the call was made.
	Claim int64
	// Retry is when the delivery comes due again; zero when it ended, as
	// Attempt.Ends says.
	Retry time.Time
	// Attempts, Calls and HeldSince are the delivery's after the call.
	Attempts  int
	Calls     int
	HeldSince time.Time
	// OrderKey is the delivery's.
	OrderKey string
	// Disable says why the endpoint is to be disabled; empty when it is not.
	Disable string
	// Healed means that the endpoint had been failing until this success.
	Healed bool
	// Digest means that a digest was sent, with whose end the deliveries of its
	// messages end.
	Digest bool
}

// DeliveryState is where a delivery stands, as people see it.
type DeliveryState struct {
	DeliveryKey
	Status Status
	// Calls is how many calls were made; LastCode and LastAt are those of the
	// newest.
	Calls    int
	LastCode int
	LastAt   time.Time
	// NextAt is when the next call is planned; zero when none is.
	NextAt time.Time
}

// MaxResponse is how many bytes of an answer's body are kept.
const MaxResponse = 20_000

// Timings are the phases of a call. A phase that did not happen (a connection
// that was used again has no DNS, Connect and TLS) is 0.
type Timings struct {
	DNS       time.Duration
	Connect   time.Duration
	TLS       time.Duration
	FirstByte time.Duration
	Total     time.Duration
}
