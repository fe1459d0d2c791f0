package registry

import (
	"encoding/json"
	"fanfare/internal/webhook"
	"time"
)

// FilePath starts the paths of files. What follows is secret.
const FilePath = "/files/"

// Release is a dataset as it was at a moment, as a file.
type Release struct {
	ID     webhook.ID
	Fields Fields // by ReleaseFields
	Status string
	// URL is where the file is; "" until it is there.
	URL          string
	SamplesCount int64
	CreatedAt    time.Time
}

// The states of a release.
const (
	Pending   = "PENDING"
	Succeeded = "SUCCEEDED"
	Failed    = "FAILED"
)

// ReleaseFields are the members of a release that clients write.
var ReleaseFields = []Field{
	{Name: "name", Form: title, Means: "The name of the release."},
	{Name: "description", Default: `""`, Form: shortText, Means: "What the release is."},
}

// Object is the release as its GET shows it.
func (r *Release) Object() Object {
	var o Object
	o.text("uuid", UUID(r.ID))
	for _, f := range ReleaseFields {
		o.add(f.Name, r.Fields[f.Name])
	}
	o.text("release_type", "JSON")
	o.object("attributes", r.attributes())
	o.text("status", r.Status)
	o.time("created_at", r.CreatedAt)
	o.int("samples_count", r.SamplesCount)
	return o
}

func (r *Release) attributes() (o Object) {
	o.maybeText("url", r.URL)
	return o
}

// ReleaseCreated is the event of a release whose file is there.
func ReleaseCreated(d *Dataset, r *Release, at time.Time) Event {
	return Event{
		Type: "release.created", At: at, Dataset: d.FullName(), Object: r.Object(),
		Text: "Release " + plain(r.Fields.String("name")) + " created in dataset " + plain(d.FullName()) + ".",
	}
}

// FileHead is the start of a release file, up to its samples. FileSample goes
// on for each, with commas between, and FileTail ends it.
func (r *Release) FileHead(d *Dataset) []byte {
	var dataset Object
	dataset.text("name", d.Name())
	dataset.text("owner", d.Owner.Name)
	dataset.add("task_type", d.Fields["task_type"])
	dataset.add("task_attributes", withCategories(d.Fields["task_attributes"]))
	labelsets := make([]Object, len(d.Labelsets))
	for i, l := range d.Labelsets {
		labelsets[i].text("name", l.Name)
		labelsets[i].text("description", l.Description)
	}
	dataset.add("labelsets", List(labelsets))
	var o Object
	for _, f := range ReleaseFields {
		o.add(f.Name, r.Fields[f.Name])
	}
	o.time("created_at", r.CreatedAt)
	o.object("dataset", dataset)
	head := o.Append(nil)
	// The samples are the last member of the dataset, which is the last of all.
	return append(head[:len(head)-2], `,"samples":[`...)
}

// FileTail ends a release file.
const FileTail = "]}}"

// withCategories is task attributes whose categories are an array: readers of
// release files count on it.
func withCategories(raw json.RawMessage) json.RawMessage {
	var fields Fields
	if json.Unmarshal(raw, &fields) != nil || fields == nil {
		return json.RawMessage(`{"categories":[]}`)
	}
	if fields["categories"] != nil && !isNull(fields["categories"]) {
		return raw
	}
	fields["categories"] = json.RawMessage("[]")
	b, err := json.Marshal(fields)
	if err != nil {
		return json.RawMessage(`{"categories":[]}`)
	}
	return b
}

// FileSample is a sample in a release file, with its labels.
func FileSample(d *Dataset, s *Sample, labels []*Label) []byte {
	var o Object
	o.text("uuid", UUID(s.ID))
	for _, name := range []string{"name", "attributes", "metadata"} {
		o.add(name, s.Fields[name])
	}
	var all Object
	for _, set := range d.Labelsets {
		var shown json.RawMessage
		for _, l := range labels {
			if l.Labelset == set.Name {
				var label Object
				for _, f := range LabelFields {
					label.add(f.Name, l.Fields[f.Name])
				}
				label.time("created_at", l.CreatedAt)
				label.text("created_by", l.CreatedBy)
				label.time("updated_at", l.UpdatedAt)
				label.maybeTime("reviewed_at", l.ReviewedAt)
				label.maybeText("reviewed_by", l.ReviewedBy)
				shown = label.Append(nil)
			}
		}
		all.quoted(set.Name, shown)
	}
	o.object("labels", all)
	return o.Append(nil)
}

// CloneFields are what clients say when they clone a dataset.
var CloneFields = []Field{
	{Name: "name", Default: "null", Nullable: true, Form: datasetTitle, Means: "The name of the clone; without one the source's with -clone behind it."},
	{Name: "clone_labels", Default: "false", Form: boolean, Means: "Whether labelsets and labels come too."},
	{Name: "task_type", Default: "null", Nullable: true, Form: taskType, Means: "How the clone's samples are labelled; without one like the source's."},
	{Name: "public", Default: "null", Nullable: true, Form: boolean, Means: "Whether everybody may see the clone; without a word as the source."},
	{Name: "owner", Default: "null", Nullable: true, Form: AnyText, Means: "The organization that gets the clone; without one the caller does."},
}

// Cloned are the fields of a clone of a dataset, as CloneFields say.
func Cloned(source *Dataset, said Fields) (Fields, webhook.Invalid) {
	fields, _ := Apply(DatasetFields, source.Fields, nil)
	fields["name"] = Quote(source.Name() + "-clone")
	for _, name := range []string{"name", "task_type", "public"} {
		if !isNull(said[name]) {
			fields[name] = said[name]
		}
	}
	var wrong webhook.Invalid
	if !ValidDatasetName(fields.String("name")) {
		wrong.Add("name", notAName)
	}
	return fields, wrong
}

// DatasetCloned is the event of a clone that is whole.
func DatasetCloned(d *Dataset, at time.Time) Event {
	return d.event("dataset.created", at, "Dataset "+plain(d.FullName())+" created as a clone of "+plain(d.ClonedFrom)+".")
}
