package webhooks

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/registry"
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// structured is the media type of an event that comes whole
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md).
const structured = "application/cloudevents+json"

// batched is the media type of a list of such events.
const batched = "application/cloudevents-batch+json"

func cloudEvents() operation {
	return operation{
		route: "POST /app/{app}/cloudevents", id: "message.create-cloudevent", summary: "Create a message from a CloudEvent",
		doc: "CloudEvents 1.0 over HTTP, structured (application/cloudevents+json), binary (ce- headers) or batched " +
			"(application/cloudevents-batch+json: up to 1,000, answered as a batch of messages is). Its type is the event type. " +
			"Receivers get the event in the structured JSON form. The same source and id make one message. An addition of ours.",
		access: forEnvironment, raw: true, once: true, maxBody: maxBatchBody, query: []field{contentField}, status: http.StatusAccepted, out: exampleMessage,
		handle: createCloudEvent,
	}
}

func createCloudEvent(r *request) (answer, error) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		return answer{}, wrong("must be a media type", "header", "content-type")
	}
	if mediaType == batched {
		return r.createCloudEvents()
	}
	if len(r.raw) > maxBody {
		return answer{}, web.ErrTooLarge
	}
	event, err := r.cloudEvent(mediaType)
	if err != nil {
		return answer{}, err
	}
	m, err := r.eventMessage(event, "body")
	if err != nil {
		return answer{}, err
	}
	err = r.a.store.AddMessageOnce(r.Context(), m, r.key, r.facts)
	if errors.Is(err, webhook.ErrConflict) {
		// Events with the same source and id are the same event.
		*m, err = r.a.store.Message(r.Context(), r.app.ID, m.EventID)
	}
	return answer{http.StatusAccepted, messageOf(m, r.withContent())}, err
}

func (r *request) createCloudEvents() (answer, error) {
	var rd reader
	events, _ := rd.list(r.raw, &field{min: 1, max: maxBatch}, []string{"body"}).([]json.RawMessage)
	if rd.problems != nil {
		return answer{}, rd.problems
	}
	return r.addBatch(events, true, func(i int, event json.RawMessage) (*webhook.Message, error) {
		return r.eventMessage(event, "body", strconv.Itoa(i))
	})
}

// eventMessage is the message of an event in its structured form.
func (r *request) eventMessage(event []byte, loc ...string) (*webhook.Message, error) {
	if _, err := web.Text(event); err != nil {
		return nil, invalid{{loc, "must be UTF-8", badForm}}
	}
	var rd reader
	v := rd.body(event, cloudEventFields, loc)
	if rd.problems != nil {
		return nil, rd.problems
	}
	if fields, _ := registry.ReadFields(event); fields["data"] != nil && fields["data_base64"] != nil {
		return nil, wrong("give either data or data_base64", append(loc, "data_base64")...)
	}
	m := &webhook.Message{
		Application: r.app.ID, EventType: get[string](v, "type"), Payload: event, EventID: cloudEventID(get[string](v, "source"), get[string](v, "id")),
	}
	return m, r.validate(m.EventType, event, loc...)
}

// cloudEventID makes an event id of what is unique about an event.
func cloudEventID(source, id string) string {
	return "ce_" + hex.EncodeToString(auth.Hash(source + "\n" + id)[:16])
}

func notEmpty(s string) bool { return s != "" }

// cloudEventFields are the attributes that must be there, and those that have a
// form.
var cloudEventFields = []field{
	{name: "specversion", kind: text, required: true, enum: []string{"1.0"}},
	{name: "id", kind: text, required: true, valid: notEmpty, problem: "must not be empty"},
	{name: "source", kind: text, required: true, valid: validURIReference, problem: "must be a URI reference that is not empty"},
	{name: "type", kind: text, required: true, valid: webhook.ValidName, problem: nameProblem},
	{name: "time", kind: instant, nullable: true},
	{name: "subject", kind: text, nullable: true, valid: notEmpty, problem: "must not be empty"},
	{name: "datacontenttype", kind: text, nullable: true},
	{name: "dataschema", kind: text, nullable: true, valid: validURIReference, problem: "must be a URI"},
	{name: "data_base64", kind: text, nullable: true, valid: validBase64, problem: "must be base64"},
}

func validURIReference(s string) bool {
	_, err := url.Parse(s)
	return err == nil && s != ""
}

func validBase64(s string) bool {
	_, err := base64.StdEncoding.DecodeString(s)
	return err == nil
}

// cloudEvent is the event in its structured form: as it came, or built of
// headers and body.
func (r *request) cloudEvent(mediaType string) ([]byte, error) {
	if mediaType == structured {
		return bytes.TrimSpace(r.raw), nil
	}
	if strings.HasPrefix(mediaType, "application/cloudevents") {
		return nil, wrong("must be "+structured+" or "+batched+", or the event comes in ce- headers", "header", "content-type")
	}
	attributes := map[string]string{}
	for name, values := range r.Header {
		attribute, ok := strings.CutPrefix(strings.ToLower(name), "ce-")
		if !ok {
			continue
		}
		if !validAttribute(attribute) {
			return nil, wrong("must have a name of lower-case letters and digits", "header", strings.ToLower(name))
		}
		// Header values are percent-encoded (section 3.1.3.2 of the binding).
		value, err := url.PathUnescape(values[0])
		if err != nil {
			value = values[0]
		}
		attributes[attribute] = value
	}
	if len(attributes) == 0 {
		return nil, wrong("must be "+structured+", or the event comes in ce- headers", "header", "content-type")
	}
	return buildCloudEvent(attributes, mediaType, r.Header.Get("Content-Type"), r.raw)
}

func validAttribute(name string) bool {
	return name != "" && name != "data" && name != "data_base64" && name != "datacontenttype" &&
		!strings.ContainsFunc(name, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') })
}

// buildCloudEvent writes an event that came in the binary form in the
// structured one.
func buildCloudEvent(attributes map[string]string, mediaType, contentType string, data []byte) ([]byte, error) {
	var o registry.Object
	add := func(name string, value json.RawMessage) { o = append(o, registry.Member{Name: name, Value: value}) }
	names := []string{"specversion", "id", "source", "type"}
	for name := range attributes {
		if !slices.Contains(names[:4], name) {
			names = append(names, name)
		}
	}
	slices.Sort(names[4:])
	for _, name := range names {
		if value, ok := attributes[name]; ok {
			add(name, registry.Quote(value))
		}
	}
	if contentType != "" {
		add("datacontenttype", registry.Quote(contentType))
	}
	switch isJSON := mediaType == "" || mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"); {
	case len(data) == 0:
	case isJSON && !json.Valid(data):
		return nil, invalid{{[]string{"body"}, "must be JSON, as its content type says", badForm}}
	case isJSON:
		add("data", data)
	default:
		add("data_base64", registry.Quote(base64.StdEncoding.EncodeToString(data)))
	}
	return o.Append(nil), nil
}
