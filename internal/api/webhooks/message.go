package webhooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/store"
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"net/http"
	"strconv"
	"time"
)

type messageOut struct {
	ID        string          `json:"id"`
	EventID   *string         `json:"eventId"`
	EventType string          `json:"eventType"`
	Payload   json.RawMessage `json:"payload"`
	Channels  []string        `json:"channels"`
	Tags      []string        `json:"tags"`
	OrderKey  *string         `json:"orderKey,omitempty"`
	DeliverAt *time.Time      `json:"deliverAt"`
	Timestamp time.Time       `json:"timestamp"`
}

var (
	noPayload      = json.RawMessage(`{}`)
	expiredPayload = json.RawMessage(`{"expired":true}`)
)

func messageOf(m *webhook.Message, withContent bool) messageOut {
	out := messageOut{
		ID: webhook.MessageID.Format(m.ID), EventID: orNull(m.EventID), EventType: m.EventType, Payload: noPayload,
		Channels: m.Channels, Tags: m.Tags, OrderKey: orNull(m.Key), Timestamp: m.CreatedAt,
	}
	if withContent {
		out.Payload = payloadOf(m)
	}
	return out
}

// append writes m as encoding/json would, but for the payload, which is known to
// be JSON and goes out as it is: the answer to what is asked most often is worth
// a writer of its own.
func (m messageOut) append(b []byte) ([]byte, error) {
	var err error
	field := func(name string, v any, none bool) {
		b = append(b, name...)
		if none {
			b = append(b, "null"...)
			return
		}
		text, e := encode(v)
		b, err = append(b, text...), errors.Join(err, e)
	}
	b = append(append(b, `{"id":"`...), m.ID...)
	field(`","eventId":`, m.EventID, m.EventID == nil)
	b = append(append(b, `,"eventType":"`...), m.EventType...) // a name, of characters that stand for themselves
	b = append(append(b, `","payload":`...), m.Payload...)
	field(`,"channels":`, m.Channels, m.Channels == nil)
	field(`,"tags":`, m.Tags, m.Tags == nil)
	if m.OrderKey != nil {
		field(`,"orderKey":`, m.OrderKey, false)
	}
	field(`,"deliverAt":`, m.DeliverAt, m.DeliverAt == nil)
	b = append(b, `,"timestamp":"`...)
	return append(m.Timestamp.AppendFormat(b, time.RFC3339Nano), `"}`...), err
}

// payloadOf is a payload as it can be shown: clients take objects alone.
func payloadOf(m *webhook.Message) json.RawMessage {
	if !isObject(m.Payload) {
		return expiredPayload
	}
	return m.Payload
}

func isObject(payload []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(payload, " \t\r\n"), []byte("{")) && json.Valid(payload)
}

var exampleMessage = messageOut{
	ID: "msg_01j000000000000000000000aa", EventType: "invoice.paid", Payload: json.RawMessage(`{"invoice":"in_42"}`), Timestamp: exampleTime,
}

var messageFields = []field{
	{name: "eventType", kind: text, required: true, valid: webhook.ValidName, pattern: namePattern, problem: nameProblem, doc: "The event type; it need not be in the catalogue."},
	{name: "payload", alias: "data", kind: anyObject, required: true, doc: "What is sent, byte for byte."},
	uidField("eventId", webhook.MessageID, "Your own id of the event, unique in the application."),
	{
		name: "channels", kind: texts, nullable: true, min: 1, max: webhook.MaxChannels, unique: true, valid: webhook.ValidChannel,
		pattern: channelPattern, problem: channelProblem, doc: "Endpoints with channels get it only if they share one.",
	},
	{
		name: "tags", kind: texts, nullable: true, max: webhook.MaxTags, unique: true, valid: webhook.ValidTag, pattern: tagPattern,
		problem: tagProblem, doc: "For finding it again.",
	},
	{name: "payloadRetentionPeriod", kind: integer, nullable: true, min: 1, max: 90, doc: "For how many days the payload is kept.", given: 90},
	{name: "payloadRetentionHours", kind: integer, nullable: true, min: 1, max: 2160, doc: "The same in hours; not both."},
	{
		name: "transformationsParams", kind: object, nullable: true, doc: "rawPayload is sent in place of the payload.",
		fields: []field{{name: "rawPayload", kind: text, nullable: true, doc: "The body, as text."}},
	},
	keyField,
	inlineField,
}

// batchFields are those of a message in a batch, which brings no application.
var batchFields = messageFields[:len(messageFields)-1]

const messagePath = "/app/{app}/msg/{msg}"

var contentField = field{name: "with_content", kind: boolean, doc: "Include the content.", given: true}

func (a *API) messages() []operation {
	example := `{"eventType":"invoice.paid","eventId":"evt-42","payload":{"invoice":"in_42"}}`
	page := listOut[messageOut]{Data: []messageOut{exampleMessage}, Done: true}
	return append([]operation{
		{
			route: "GET /app/{app}/msg", id: "message.list", summary: "List messages", access: forApplication, can: webhook.ViewBase,
			query:  []field{limitField, iteratorField, channelField, tagField, typesField, beforeField, afterField, contentField},
			status: http.StatusOK, out: page, handle: listMessages,
		},
		{
			route: "POST /app/{app}/msg", id: "message.create", summary: "Create a message", access: forEnvironment, inline: true, once: true,
			doc:   "It is durable, with a delivery for each endpoint that wants it, before the answer.",
			query: []field{contentField}, body: messageFields, example: example, status: http.StatusAccepted, out: exampleMessage,
			handle: createMessage, repeat: repeatMessage,
		},
		{
			route: "POST /app/{app}/msg/batch", id: "message.create-batch", summary: "Create up to 1,000 messages at once", access: forEnvironment,
			doc: "Each is answered on its own, once all are durable. An addition of ours.", once: true, maxBody: maxBatchBody,
			query: []field{contentField},
			body: []field{
				{name: "messages", kind: anyList, required: true, min: 1, max: maxBatch, fields: batchFields, doc: "The messages, in order."},
			},
			example: `{"messages":[` + example + `]}`, status: http.StatusAccepted, out: batchOut{[]batchItem{{Status: 202, Message: &exampleMessage}}},
			handle: createBatch,
		},
		{
			route: "GET " + messagePath, id: "message.get", summary: "Get a message", access: forApplication, can: webhook.ViewBase,
			query: []field{contentField}, status: http.StatusOK, out: exampleMessage, handle: getMessage,
		},
		{
			route: "DELETE " + messagePath + "/content", id: "message.expunge-content", summary: "Forget the payload of a message",
			access: forEnvironment, status: http.StatusNoContent, handle: expungeMessage,
		},
		{
			route: "POST /app/{app}/msg/precheck/active", id: "message.precheck", summary: "Ask whether any endpoint would get a message",
			access: forEnvironment, body: []field{messageFields[0], messageFields[3]}, example: `{"eventType":"invoice.paid"}`,
			status: http.StatusOK, out: precheckOut{true}, handle: precheck,
		},
		{
			route: "POST /app/{app}/msg/expunge-all-contents", id: "message.expunge-all-contents", summary: "Forget all payloads of an application",
			access: forEnvironment, status: http.StatusAccepted, out: exampleTask(webhook.TaskPurge), handle: func(r *request) (answer, error) {
				return r.startTask(webhook.Task{Application: r.app.ID, Name: webhook.TaskPurge})
			},
		},
	}, cloudEvents())
}

func listMessages(r *request) (answer, error) {
	l, err := r.list(webhook.MessageID, false)
	if err != nil {
		return answer{}, err
	}
	l.recent()
	f := r.messageFilter()
	if !f.IsZero() {
		horizon, err := r.a.store.MessageHorizon(r.Context(), r.app.ID, l.Page)
		if err != nil {
			return answer{}, err
		}
		l.stopAt(horizon)
	}
	rows, err := r.a.store.Messages(r.Context(), r.app.ID, f, l.Page)
	withContent := r.withContent()
	page := pageOf(rows, l.limit, l.backward,
		func(m *webhook.Message) messageOut { return messageOf(m, withContent) },
		func(m *webhook.Message) string { return webhook.MessageID.Format(m.ID) })
	goOn(&page, &l, webhook.MessageID)
	return answer{http.StatusOK, page}, err
}

var errNoApplication = refusal{http.StatusNotFound, "not_found", "Application not found"}

// newMessage is what a body, or an item of a batch, describes.
func (r *request) newMessage(v values, loc ...string) (*webhook.Message, error) {
	m := &webhook.Message{
		Application: r.app.ID, EventID: get[string](v, "eventId"), EventType: get[string](v, "eventType"),
		Payload: get[json.RawMessage](v, "payload"), Channels: get[[]string](v, "channels"), Tags: get[[]string](v, "tags"),
		Key: get[string](v, "orderKey"),
	}
	raw, isRaw := get[values](v, "transformationsParams")["rawPayload"].(string)
	if isRaw {
		m.Payload = []byte(raw)
	}
	days, hours := get[int64](v, "payloadRetentionPeriod"), get[int64](v, "payloadRetentionHours")
	switch {
	case days > 0 && hours > 0:
		return nil, wrong("give either payloadRetentionPeriod or payloadRetentionHours", append(loc, "payloadRetentionHours")...)
	case days > 0:
		hours = 24 * days
		fallthrough
	case hours > 0:
		m.ExpiresAt = time.Now().Add(time.Duration(hours) * time.Hour)
	}
	if isRaw {
		return m, nil
	}
	return m, r.validate(m.EventType, m.Payload, append(loc, "payload")...)
}

func createMessage(r *request) (answer, error) {
	if err := r.inlineApplication(errNoApplication); err != nil {
		return answer{}, err
	}
	m, err := r.newMessage(r.in, "body")
	if err != nil {
		return answer{}, err
	}
	if err := r.a.store.AddMessageOnce(r.Context(), m, r.key, r.facts); err != nil {
		return answer{}, err
	}
	if given := get[json.RawMessage](r.in, "payload"); r.withContent() && sameBytes(given, m.Payload) {
		out := messageOf(m, false)
		out.Payload = given // an object, as the reader has checked
		return answer{http.StatusAccepted, out}, nil
	}
	return answer{http.StatusAccepted, messageOf(m, r.withContent())}, nil
}

// sameBytes reports whether a and b are not only equal but one.
func sameBytes(a, b []byte) bool { return len(a) > 0 && len(a) == len(b) && &a[0] == &b[0] }

// repeatMessage answers with a message that was made before.
func repeatMessage(r *request, made webhook.ID) (answer, error) {
	m, err := r.a.store.Message(r.Context(), r.app.ID, webhook.MessageID.Format(made))
	return answer{http.StatusAccepted, messageOf(&m, r.withContent())}, err
}

// maxBatch is how many messages may come at once.
const maxBatch = 1000

type batchOut struct {
	Data []batchItem `json:"data"`
}

// batchItem is the answer to one message of a batch: its status, and the message
// or what is wrong with it.
type batchItem struct {
	Status  int         `json:"status"`
	Message *messageOut `json:"message,omitempty"`
	Error   any         `json:"error,omitempty"`
}

func createBatch(r *request) (answer, error) {
	return r.addBatch(get[[]json.RawMessage](r.in, "messages"), false, func(i int, item json.RawMessage) (*webhook.Message, error) {
		loc := []string{"body", "messages", strconv.Itoa(i)}
		var rd reader
		v := rd.body(item, batchFields, loc)
		if rd.problems != nil {
			return nil, rd.problems
		}
		return r.newMessage(v, loc...)
	})
}

// addBatch stores what read makes of each item; each is answered on its own. An
// event id that is in use is a conflict, or with again means the message that
// has it.
func (r *request) addBatch(items []json.RawMessage, again bool, read func(int, json.RawMessage) (*webhook.Message, error)) (answer, error) {
	out := batchOut{make([]batchItem, len(items))}
	fail := func(i int, err error) {
		out.Data[i].Status, out.Data[i].Error = r.a.refusal(r.Context(), err)
	}
	var messages []*webhook.Message
	var keys []store.IdempotencyKey
	var places []int
	for i, item := range items {
		if len(item) > maxBody {
			fail(i, web.ErrTooLarge)
			continue
		}
		m, err := read(i, item)
		if err != nil {
			if _, ok := errors.AsType[invalid](err); !ok {
				return answer{}, err
			}
			fail(i, err)
			continue
		}
		messages, keys, places = append(messages, m), append(keys, r.itemKey(i)), append(places, i)
	}
	answers, err := r.a.store.AddMessages(r.Context(), messages, keys, r.facts)
	if err != nil {
		return answer{}, err
	}
	for n, i := range places {
		if again && errors.Is(answers[n], webhook.ErrConflict) {
			*messages[n], answers[n] = r.a.store.Message(r.Context(), r.app.ID, messages[n].EventID)
		}
		if answers[n] != nil {
			fail(i, answers[n])
			continue
		}
		made := messageOf(messages[n], r.withContent())
		out.Data[i] = batchItem{Status: http.StatusAccepted, Message: &made}
	}
	return answer{http.StatusAccepted, out}, nil
}

// itemKey is the idempotency key of one message of a batch.
func (r *request) itemKey(i int) store.IdempotencyKey {
	if r.key.Hash == nil {
		return r.key
	}
	return store.IdempotencyKey{Hash: auth.Hash(string(r.key.Hash) + strconv.Itoa(i)), Explicit: r.key.Explicit}
}

func (r *request) message() (webhook.Message, error) {
	return r.a.store.Message(r.Context(), r.app.ID, r.PathValue("msg"))
}

func getMessage(r *request) (answer, error) {
	m, err := r.message()
	return answer{http.StatusOK, messageOf(&m, r.withContent())}, err
}

func expungeMessage(r *request) (answer, error) {
	m, err := r.message()
	if err == nil {
		err = r.a.store.ExpungeMessage(r.Context(), r.app.ID, m.ID)
	}
	return answer{status: http.StatusNoContent}, err
}

type precheckOut struct {
	Active bool `json:"active"`
}

func precheck(r *request) (answer, error) {
	endpoints, err := r.a.store.Endpoints(r.Context(), r.app.ID)
	if err != nil {
		return answer{}, err
	}
	m := webhook.Message{EventType: get[string](r.in, "eventType"), Channels: get[[]string](r.in, "channels")}
	out := precheckOut{}
	for _, e := range endpoints {
		out.Active = out.Active || e.Wants(&m)
	}
	return answer{http.StatusOK, out}, nil
}
