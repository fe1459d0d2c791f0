package registry

import (
	"encoding/hex"
	"encoding/json"
	"fanfare/internal/registry/shape"
	"fanfare/internal/webhook"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Sample is one item of a dataset.
type Sample struct {
	ID webhook.ID
	// Fields are the members that clients write, by SampleFields.
	Fields    Fields
	CreatedBy string
	CreatedAt time.Time
}

// Name is the sample's name.
func (s *Sample) Name() string { return s.Fields.String("name") }

// SampleFields are the members of a sample that clients write (contract
// section 4.4), in the order in which texts name them.
var SampleFields = []Field{
	{Name: "name", Form: sampleTitle, Means: "The name of the sample."},
	{Name: "attributes", Nullable: true, Form: shaped(shape.SampleAttributes), Means: "What the sample is, for example an image and its URL."},
	{Name: "metadata", Default: "{}", Form: object, Means: "Names and values of your own."},
	{Name: "readme", Default: `""`, Form: AnyText, Means: "A text about the sample."},
	{Name: "priority", Default: "0", Form: number, Means: "Samples with a higher priority are labelled first."},
	{Name: "assigned_labeler", Nullable: true, Default: "null", Form: AnyText, Means: "The account that is to label the sample."},
	{Name: "assigned_reviewer", Nullable: true, Default: "null", Form: AnyText, Means: "The account that is to review the label."},
}

// maxBulkDelete is how many samples one call may delete.
const maxBulkDelete = 1000

// BulkDeleteFields are what clients say when they delete many samples.
var BulkDeleteFields = []Field{
	{Name: "uuids", Form: uuids(maxBulkDelete), Means: "The ids of the samples. What is no sample of the dataset is passed over."},
}

// Assignments are the members of a sample that name an account.
var Assignments = []string{"assigned_labeler", "assigned_reviewer"}

// SampleRole is the role that changing these members of a sample takes.
func SampleRole(patch Fields) Role {
	for name := range patch {
		switch name {
		case "priority", "assigned_labeler", "assigned_reviewer":
		default:
			return Admin
		}
	}
	return Manager
}

// ValidSampleName reports whether s can name a sample. Clients name files by
// it, hence no way up out of a directory.
func ValidSampleName(s string) bool {
	if n := utf8.RuneCountInString(s); n < 1 || n > 255 || strings.ContainsFunc(s, unicode.IsControl) {
		return false
	}
	for segment := range strings.SplitSeq(s, "/") {
		if segment == ".." {
			return false
		}
	}
	return true
}

// Object is the sample as its own GET shows it, apart from its label.
func (s *Sample) Object(d *Dataset) Object {
	var o Object
	o.text("uuid", UUID(s.ID))
	for _, f := range SampleFields {
		value := s.Fields[f.Name]
		if f.Name == "priority" {
			value = strconv.AppendFloat(nil, s.Fields.Float("priority"), 'f', -1, 64)
		}
		o.add(f.Name, value)
	}
	o.time("created_at", s.CreatedAt)
	o.text("created_by", s.CreatedBy)
	o.text("dataset_full_name", d.FullName())
	return o
}

// Shown is the sample as answers show it, with its label; nil for none.
func (s *Sample) Shown(d *Dataset, label json.RawMessage) Object {
	o := s.Object(d)
	o.add("label", label)
	return o
}

// UUID writes an id in the form of RFC 9562.
func UUID(id webhook.ID) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// ParseUUID reads the form of RFC 9562, in either case. Anything else is
// webhook.ErrNotFound: such an id names nothing.
func ParseUUID(s string) (webhook.ID, error) {
	if !uuidShape.MatchString(s) {
		return webhook.ID{}, webhook.ErrNotFound
	}
	var id webhook.ID
	_, err := hex.Decode(id[:], []byte(strings.ReplaceAll(s, "-", "")))
	return id, err
}

// SampleCreated is the event of a new sample.
func SampleCreated(d *Dataset, s *Sample, at time.Time) Event {
	return s.event(d, "sample.created", at, "Sample "+plain(s.Name())+" created in dataset "+plain(d.FullName())+".")
}

// SampleUpdated is the event of a sample of which the fields named changed.
// was is its name before.
func SampleUpdated(d *Dataset, s *Sample, was string, changed []string, at time.Time) Event {
	text := "Sample " + plain(s.Name()) + " updated"
	if changed[0] == "name" {
		text = "Sample " + plain(was) + " renamed to " + plain(s.Name())
		changed = changed[1:]
	}
	text += " in dataset " + plain(d.FullName())
	if len(changed) > 0 {
		text += ": " + enumerate(changed)
	}
	return s.event(d, "sample.updated", at, text+".")
}

// SampleDeleted is the event of a sample that is about to go.
func SampleDeleted(d *Dataset, s *Sample, at time.Time) Event {
	return s.event(d, "sample.deleted", at, "Sample "+plain(s.Name())+" deleted from dataset "+plain(d.FullName())+".")
}

func (s *Sample) event(d *Dataset, eventType string, at time.Time, text string) Event {
	return Event{
		Type: eventType, At: at, Dataset: d.FullName(), Subject: s.Name(), Object: s.Object(d), Text: text,
		sheds: []shed{emptied("attributes", "null"), emptied("metadata", "{}"), emptied("readme", `""`)},
	}
}

// MetadataHas reports whether the metadata of a sample has all the members
// wanted, their values compared as text: a string as itself, anything else as
// its JSON.
func MetadataHas(metadata json.RawMessage, wanted map[string]string) bool {
	var has Fields
	if json.Unmarshal(metadata, &has) != nil {
		return false
	}
	for name, value := range wanted {
		raw, ok := has[name]
		if !ok {
			return false
		}
		if s, isText := textOf(raw); isText && s != value || !isText && string(raw) != value {
			return false
		}
	}
	return true
}
