package registry

import (
	"encoding/json"
	"fanfare/internal/webhook"
	"slices"
	"strings"
	"sync"
	"time"
)

// EventType is a kind of event that changes in datasets cause.
type EventType struct {
	Name string
	// Means says when it is sent, in a sentence.
	Means string
	// object is what the event is about, sample makes an example of it.
	object []property
	sample func() Event
}

// EventTypes are all of them.
var EventTypes = []EventType{
	{"dataset.created", "A dataset was created.", datasetProperties, func() Event { return DatasetCreated(sampleDataset(), sampleTime) }},
	{"dataset.updated", "A property of a dataset was updated.", datasetProperties, func() Event {
		return DatasetUpdated(sampleDataset(), []string{"description"}, sampleTime)
	}},
	{"dataset.deleted", "A dataset was deleted.", datasetProperties, func() Event { return DatasetDeleted(sampleDataset(), sampleTime) }},
	{"sample.created", "A sample was created.", sampleProperties, func() Event { return SampleCreated(sampleDataset(), sampleSample(), sampleTime) }},
	{"sample.updated", "A property of a sample was updated.", sampleProperties, func() Event {
		return SampleUpdated(sampleDataset(), sampleSample(), "rose.png", []string{"metadata"}, sampleTime)
	}},
	{"sample.deleted", "A sample was deleted.", sampleProperties, func() Event { return SampleDeleted(sampleDataset(), sampleSample(), sampleTime) }},
	{"label.updated", "A label was created or a property of it was updated.", labelProperties, func() Event {
		return LabelCreated(sampleDataset(), sampleSample(), sampleLabel(), sampleTime)
	}},
	{"label.deleted", "A label was deleted.", labelProperties, func() Event { return LabelDeleted(sampleDataset(), sampleSample(), sampleLabel(), sampleTime) }},
	{"issue.created", "An issue was created.", issueProperties, func() Event { return IssueCreated(sampleDataset(), sampleIssue(), sampleTime) }},
	{"issue.updated", "An issue got a reply or a property of it was updated.", issueProperties, func() Event {
		return IssueReplied(sampleDataset(), sampleIssue(), sampleTime)
	}},
	{"release.created", "A release was built.", releaseProperties, func() Event { return ReleaseCreated(sampleDataset(), sampleRelease(), sampleTime) }},
}

// property is one member of what an event is about. Its form is a type of JSON
// Schema, or "time" or "uuid"; with a question mark it may be null.
type property struct{ name, form, means string }

var datasetProperties = slices.Concat([]property{
	{"name", "string", "The name of the dataset."},
	{"full_name", "string", "The name of the owner, a slash and the name of the dataset."},
	{"owner", "object", "The account that owns the dataset: username and created_at."},
}, written(DatasetFields[1:]), []property{
	{"created_at", "time", "When the dataset was created."},
	{"label_stats", "object", "How many labels of the ground truth have which status."},
	{"samples_count", "integer", "How many samples it has."},
	{"collaborators_count", "integer", "How many collaborators it has."},
	{"labelsets", "array", "The labelsets, each with name, description, is_groundtruth and created_at."},
	{"role", "string?", "The owner's role: admin."},
	{"cloned_from", "string?", "The full name of the dataset that it is a clone of."},
	{"insights_urls", "object?", "Always null."},
	{"noncollaborator_can_label", "boolean", "Always false."},
	{"noncollaborator_can_review", "boolean", "Always false."},
})

var sampleProperties = slices.Concat([]property{
	{"uuid", "uuid", "The id of the sample."},
}, written(SampleFields), []property{
	{"created_at", "time", "When the sample was created."},
	{"created_by", "string", "The account that created it."},
	{"dataset_full_name", "string", "The full name of its dataset."},
})

var labelProperties = slices.Concat([]property{
	{"sample_uuid", "uuid", "The id of the sample that is labelled."},
	{"labelset", "string", "The labelset that the label is in."},
	{"label_type", "string", "The task type of the dataset."},
}, written(LabelFields), []property{
	{"created_at", "time", "When the label was created."},
	{"created_by", "string", "The account that created it."},
	{"updated_at", "time", "When it was last changed."},
	{"updated_by", "string", "The account that last changed it."},
	{"reviewed_at", "time?", "When it was last reviewed or rejected."},
	{"reviewed_by", "string?", "The account that reviewed or rejected it."},
})

var issueProperties = slices.Concat([]property{
	{"uuid", "uuid", "The id of the issue."},
}, written(IssueFields), []property{
	{"created_at", "time", "When the issue was opened."},
	{"created_by", "string", "The account that opened it."},
	{"updated_at", "time", "When it was last changed."},
	{"updated_by", "string", "The account that last changed it."},
	{"sample_uuid", "uuid", "The id of the sample."},
	{"sample_name", "string", "The name of the sample."},
	{"comments", "array", "The replies, oldest first, each with uuid, text, created_at and created_by."},
})

var releaseProperties = slices.Concat([]property{
	{"uuid", "uuid", "The id of the release."},
}, written(ReleaseFields), []property{
	{"release_type", "string", "Always JSON."},
	{"attributes", "object", "url is where the file of the release is."},
	{"status", "string", "Always SUCCEEDED: the event is sent when the file is there."},
	{"created_at", "time", "When the release was made."},
	{"samples_count", "integer", "How many samples are in it."},
})

// written are the properties that clients write, by the type of their form.
func written(fields []Field) []property {
	properties := make([]property, len(fields))
	for i, f := range fields {
		form := "object" // what has a form of its own is one
		if kind, ok := f.Form.schema["type"].(string); ok {
			form = kind
		}
		if f.Nullable {
			form += "?"
		}
		properties[i] = property{f.Name, form, f.Means}
	}
	return properties
}

// schema is the JSON Schema of a property.
func (p property) schema() Object {
	form, nullable := strings.CutSuffix(p.form, "?")
	var o Object
	format := map[string]string{"time": "date-time", "uuid": "uuid"}[form]
	if format != "" {
		form = "string"
	}
	if nullable {
		o.add("type", json.RawMessage(`["`+form+`","null"]`))
	} else {
		o.text("type", form)
	}
	if format != "" {
		o.text("format", format)
	}
	o.text("description", p.means)
	return o
}

// schemaOf describes an object that has these members, and may get more.
func schemaOf(properties []property) Object {
	var required, members Object
	names := make([]string, len(properties))
	for i, p := range properties {
		names[i] = string(Quote(p.name))
		members.object(p.name, p.schema())
	}
	required.text("type", "object")
	required.add("required", json.RawMessage("["+strings.Join(names, ",")+"]"))
	required.object("properties", members)
	return required
}

// schemas are made once.
var schemas = sync.OnceValue(func() map[string]json.RawMessage {
	made := make(map[string]json.RawMessage, len(EventTypes))
	for i := range EventTypes {
		made[EventTypes[i].Name] = EventTypes[i].schema()
	}
	return made
})

// Schema is the JSON Schema (draft 7) of the payload, with an example.
func (t *EventType) Schema() json.RawMessage { return schemas()[t.Name] }

func (t *EventType) schema() json.RawMessage {
	of := schemaOf(t.object)
	omitted := property{"omitted", "array", "The members that were left out of the object because they are too large; not there when none was."}
	members := &of[len(of)-1]
	var all Object
	for _, p := range append(append([]property{}, t.object...), omitted) {
		all.object(p.name, p.schema())
	}
	members.Value = all.Append(nil)
	of.text("description", "What the event is about, after the change; as it was, when it is gone.")

	envelope := schemaOf([]property{
		{"event_type", "string", "What happened."},
		{"created_at", "time", "When it happened."},
		{"api_version", "string", "The version of this form."},
		{"dataset", "string", "The full name of the dataset: owner/name."},
		{"object", "object", ""},
		{"text", "string", "What happened, in a sentence."},
	})
	var properties Object
	properties.object("event_type", constant(t.Name, "What happened."))
	properties.object("created_at", property{"", "time", "When it happened."}.schema())
	properties.object("api_version", constant(APIVersion, "The version of this form."))
	properties.object("dataset", property{"", "string", "The full name of the dataset: owner/name."}.schema())
	properties.object("object", of)
	properties.object("text", property{"", "string", "What happened, in a sentence."}.schema())
	envelope[len(envelope)-1].Value = properties.Append(nil)

	var s Object
	s.text("$schema", "http://json-schema.org/draft-07/schema#")
	s.text("title", t.Name)
	s.text("description", t.Means)
	s = append(s, envelope...)
	example := t.sample()
	s.add("examples", json.RawMessage("["+string(example.Payload(1<<20))+"]"))
	return s.Append(nil)
}

func constant(value, means string) (o Object) {
	o.text("type", "string")
	o.text("const", value)
	o.text("description", means)
	return o
}

// What the examples are made of.

var sampleTime = time.Date(2030, 1, 2, 3, 4, 5, 678901000, time.UTC)

func sampleID(n byte) webhook.ID {
	id := webhook.FloorID(sampleTime)
	id[6], id[8], id[15] = 0x70, 0x80, n // the version and variant of a UUID
	return id
}

func sampleDataset() *Dataset {
	fields, wrong := Create(DatasetFields, Fields{
		"name": Quote("flowers"), "description": Quote("Flowers of our garden."), "category": Quote("garden"), "task_type": Quote("bboxes"),
	})
	if wrong != nil {
		panic(wrong)
	}
	return &Dataset{
		ID: sampleID(1), Owner: Account{Name: "jane", CreatedAt: sampleTime}, Fields: fields, Role: Admin, SamplesCount: 1,
		Labelsets: []Labelset{{Name: GroundTruth, CreatedAt: sampleTime}}, LabelStats: map[string]int64{}, CreatedAt: sampleTime,
	}
}

func sampleSample() *Sample {
	fields, wrong := Create(SampleFields, Fields{
		"name": Quote("rose.png"), "attributes": json.RawMessage(`{"image":{"url":"https://example.com/rose.png"}}`),
		"metadata": json.RawMessage(`{"bed":"north"}`),
	})
	if wrong != nil {
		panic(wrong)
	}
	return &Sample{ID: sampleID(2), Fields: fields, CreatedBy: "jane", CreatedAt: sampleTime}
}

func sampleLabel() *Label {
	fields, wrong := Create(LabelFields, Fields{
		"label_status": Quote("LABELED"),
		"attributes":   json.RawMessage(`{"annotations":[{"id":1,"category_id":1,"type":"bbox","points":[[12,34],[56,78]]}]}`),
	})
	if wrong != nil {
		panic(wrong)
	}
	return &Label{Labelset: GroundTruth, Fields: fields, CreatedBy: "bert", UpdatedBy: "bert", CreatedAt: sampleTime, UpdatedAt: sampleTime}
}

func sampleIssue() *Issue {
	fields, wrong := Create(IssueFields, Fields{"description": Quote("The stem is not labelled.")})
	if wrong != nil {
		panic(wrong)
	}
	return &Issue{
		ID: sampleID(3), Sample: *sampleSample(), Fields: fields, CreatedBy: "jane", UpdatedBy: "bert", CreatedAt: sampleTime, UpdatedAt: sampleTime,
		Comments: []Comment{{ID: sampleID(4), CreatedBy: "bert", CreatedAt: sampleTime, Text: "It is now."}},
	}
}

func sampleRelease() *Release {
	return &Release{
		ID: sampleID(5), Fields: Fields{"name": Quote("v1.0"), "description": Quote("First release.")}, Status: Succeeded,
		URL: "https://webhooks.example.com/files/token/flowers-v1.0.json", SamplesCount: 1, CreatedAt: sampleTime,
	}
}
