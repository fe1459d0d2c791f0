package registry

import (
	"fanfare/internal/registry/shape"
	"fanfare/internal/webhook"
	"slices"
	"time"
)

// GroundTruth is the labelset that every dataset has.
const GroundTruth = "ground-truth"

// Labelset is a set of labels, at most one for each sample.
type Labelset struct {
	ID          webhook.ID
	Name        string
	Description string
	CreatedAt   time.Time
}

// LabelsetFields are the members of a labelset that clients write.
var LabelsetFields = []Field{
	{Name: "name", Fixed: true, Form: title, Means: "The name of the labelset."},
	{Name: "description", Default: `""`, Form: shortText, Means: "What its labels are."},
}

// Object is the labelset as its GET shows it.
func (l *Labelset) Object() Object {
	var o Object
	o.text("name", l.Name)
	o.text("description", l.Description)
	o.bool("is_groundtruth", l.Name == GroundTruth)
	o.time("created_at", l.CreatedAt)
	return o
}

// The states of a label that rules speak of.
const (
	unlabeledStatus = "UNLABELED"
	Reviewed        = "REVIEWED"
	Rejected        = "REJECTED"
	verified        = "VERIFIED"
	reviewing       = "REVIEWING_IN_PROGRESS"
)

// labelStatuses are the states of a label, as statistics list them.
var labelStatuses = []string{
	Reviewed, reviewing, "LABELED", "LABELING_IN_PROGRESS", Rejected, "PRELABELED", "SKIPPED", verified, unlabeledStatus,
}

var labelStatus = oneOf(labelStatuses...)

// LabelFields are the members of a label that clients write (contract section
// 4.5), in the order in which texts name them.
var LabelFields = []Field{
	{Name: "label_status", Default: `"PRELABELED"`, Form: labelStatus, Means: "How far labelling is, for example LABELED, REVIEWED or REJECTED."},
	{Name: "attributes", Nullable: true, Default: "null", Form: shaped(shape.LabelAttributes), Means: "The label itself: annotations, or what the task type has."},
	{Name: "score", Nullable: true, Default: "null", Form: number, Means: "How sure a model was."},
	{Name: "rating", Nullable: true, Default: "null", Form: number, Means: "How good a reviewer found the label."},
}

// Label is what a sample shows, as somebody or something labelled it.
type Label struct {
	Labelset string
	// Fields are the members that clients write, by LabelFields.
	Fields               Fields
	CreatedBy, UpdatedBy string
	// ReviewedBy is who last reviewed or rejected it; "" for nobody.
	ReviewedBy           string
	CreatedAt, UpdatedAt time.Time
	ReviewedAt           time.Time
}

// Status is the state of the label.
func (l *Label) Status() string { return l.Fields.String("label_status") }

// LabelRole is the role that writing these members takes. was is the state of
// the label before, "" for a new one.
func LabelRole(was string, patch Fields) Role {
	if _, rates := patch["rating"]; rates || was == Reviewed || was == verified {
		return Reviewer
	}
	switch patch.String("label_status") {
	case reviewing, Reviewed, Rejected, verified:
		return Reviewer
	default:
		return Labeler
	}
}

// Object is the label as its GET shows it.
func (l *Label) Object(d *Dataset, s *Sample) Object {
	var o Object
	o.text("sample_uuid", UUID(s.ID))
	o.text("labelset", l.Labelset)
	o.add("label_type", d.Fields["task_type"])
	for _, f := range LabelFields {
		o.add(f.Name, l.Fields[f.Name])
	}
	o.time("created_at", l.CreatedAt)
	o.text("created_by", l.CreatedBy)
	o.time("updated_at", l.UpdatedAt)
	o.text("updated_by", l.UpdatedBy)
	o.maybeTime("reviewed_at", l.ReviewedAt)
	o.maybeText("reviewed_by", l.ReviewedBy)
	return o
}

// Summary is the label as lists of samples show it.
func (l *Label) Summary() Object {
	var o Object
	o.add("label_status", l.Fields["label_status"])
	o.add("score", l.Fields["score"])
	o.time("updated_at", l.UpdatedAt)
	o.text("created_by", l.CreatedBy)
	o.maybeText("reviewed_by", l.ReviewedBy)
	return o
}

// subject names a label in texts.
func (l *Label) subject(s *Sample) string {
	text := "Label of sample " + plain(s.Name())
	if l.Labelset != GroundTruth {
		text += " in labelset " + plain(l.Labelset)
	}
	return text
}

// LabelCreated is the event of a new label.
func LabelCreated(d *Dataset, s *Sample, l *Label, at time.Time) Event {
	return l.event(d, s, "label.updated", at, " created ("+l.Status()+") in dataset "+plain(d.FullName())+".")
}

// LabelUpdated is the event of a label of which the fields named changed. was
// is its status before.
func LabelUpdated(d *Dataset, s *Sample, l *Label, was string, changed []string, at time.Time) Event {
	text := " updated"
	if changed[0] == "label_status" {
		text = " changed from " + was + " to " + l.Status()
		changed = changed[1:]
	}
	return l.event(d, s, "label.updated", at, text+" in dataset "+plain(d.FullName())+and(changed))
}

// LabelDeleted is the event of a label that is about to go.
func LabelDeleted(d *Dataset, s *Sample, l *Label, at time.Time) Event {
	return l.event(d, s, "label.deleted", at, " deleted in dataset "+plain(d.FullName())+".")
}

func (l *Label) event(d *Dataset, s *Sample, eventType string, at time.Time, text string) Event {
	return Event{
		Type: eventType, At: at, Dataset: d.FullName(), Subject: s.Name(), Object: l.Object(d, s), Text: l.subject(s) + text,
		sheds: []shed{emptied("attributes", "null")},
	}
}

// and ends a text with the names of changed fields.
func and(changed []string) string {
	if len(changed) == 0 {
		return "."
	}
	return ": " + enumerate(changed) + "."
}

// PutLabelFields are the members that replacing a label sends: its rating
// stays.
var PutLabelFields = LabelFields[:3]

// KnownStatuses are those of the words that are states of a label.
func KnownStatuses(words []string) []string {
	return slices.DeleteFunc(words, func(word string) bool { return !slices.Contains(labelStatuses, word) })
}

// StatusIn reports whether a status, "" for no label at all, is one of those
// wanted; none wanted lets all through.
func StatusIn(status string, wanted []string) bool {
	if status == "" {
		status = unlabeledStatus
	}
	return len(wanted) == 0 || slices.Contains(wanted, status)
}
