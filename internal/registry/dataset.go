package registry

import (
	"fanfare/internal/registry/shape"
	"fanfare/internal/webhook"
	"time"
)

// Dataset is a collection of samples that an account owns.
type Dataset struct {
	ID    webhook.ID
	Owner Account
	// Fields are the members that clients write, by DatasetFields.
	Fields Fields
	// Labelsets are in the order in which they were made, GroundTruth first.
	Labelsets []Labelset
	// LabelStats counts the labels of GroundTruth by status.
	LabelStats map[string]int64
	// ClonedFrom is the full name of the dataset of which this is a clone.
	ClonedFrom string
	// Role is the caller's.
	Role Role
	// SamplesCount and CollaboratorsCount are derived.
	SamplesCount       int64
	CollaboratorsCount int64
	CreatedAt          time.Time
}

// Name is the dataset's own name.
func (d *Dataset) Name() string { return d.Fields.String("name") }

// FullName is the owner's name, a slash and the dataset's own.
func (d *Dataset) FullName() string { return d.Owner.Name + "/" + d.Name() }

// Public datasets are visible to every account.
func (d *Dataset) Public() bool { return d.Fields.Bool("public") }

func flag(name, def, means string) Field {
	return Field{Name: name, Default: def, Form: boolean, Means: means}
}

// taskType is how the samples of a dataset are labelled.
var taskType = oneOf(
	"segmentation-bitmap", "segmentation-bitmap-highres", "image-segmentation-sequence", "bboxes", "vector",
	"image-vector-sequence", "keypoints", "pointcloud-cuboid", "pointcloud-cuboid-sequence",
	"pointcloud-segmentation", "pointcloud-segmentation-sequence", "pointcloud-vector",
	"pointcloud-vector-sequence", "multisensor-sequence", "")

// DatasetFields are the members of a dataset that clients write (contract
// section 4.1), in the order in which texts name them.
var DatasetFields = []Field{
	{Name: "name", Fixed: true, Form: datasetTitle, Means: "The name of the dataset."},
	{Name: "description", Default: `""`, Form: shortText, Means: "What the dataset is."},
	{Name: "category", Default: `"other"`, Form: oneOf(
		"street_scenery", "garden", "agriculture", "satellite", "people", "medical", "fruit", "other"), Means: "What the samples show, for example garden."},
	{Name: "task_type", Default: `"segmentation-bitmap"`, Form: taskType, Means: "How samples are labelled, for example bboxes."},
	{Name: "task_attributes", Nullable: true, Default: "null", Form: shaped(shape.TaskAttributes), Means: "The categories and attributes to label with."},
	flag("public", "false", "Whether everybody may see the dataset."),
	flag("archived", "false", "Whether it is archived."),
	{Name: "readme", Nullable: true, Default: `""`, Form: AnyText, Means: "A longer text about the dataset."},
	{Name: "metadata", Default: "{}", Form: object, Means: "Names and values of your own."},
	{Name: "labeling_inactivity_timeout_seconds", Nullable: true, Default: "300", Form: integer, Means: "After how many seconds without input labelling is paused."},
	{Name: "region_of_interest", Nullable: true, Default: "null", Form: object, Means: "The part of a sample that is to be labelled."},
	flag("enable_skip_labeling", "true", "Whether labelers may skip samples."),
	flag("enable_interpolation", "true", "Whether labels between keyframes are interpolated."),
	flag("enable_skip_reviewing", "false", "Whether reviewers may skip samples."),
	flag("enable_ratings", "false", "Whether labels are rated."),
	flag("enable_save_button", "false", "Whether there is a save button."),
	flag("enable_label_status_verified", "false", "Whether labels can be verified."),
	flag("enable_same_dimensions_track_constraint", "false", "Whether an object keeps its dimensions."),
	flag("enable_3d_region_of_interest", "false", "Whether the region of interest is in three dimensions."),
	flag("enable_object_linking", "false", "Whether objects can be linked."),
	flag("use_timestamps_for_interpolation", "false", "Whether interpolation goes by time stamps."),
	{Name: "enable_3d_cuboid_rotation", Nullable: true, Default: "false", Form: boolean, Means: "Whether cuboids turn about all axes."},
	{Name: "enable_confirm_on_submit", Nullable: true, Default: "false", Form: boolean, Means: "Whether submitting is to be confirmed."},
	flag("enable_object_link_category_restrictions", "false", "Whether links are restricted by category."),
	flag("enable_extrapolation", "false", "Whether labels beyond keyframes are extrapolated."),
}

// Object is the dataset as a GET by somebody of the dataset's Role shows it.
func (d *Dataset) Object() Object {
	var o Object
	o.text("name", d.Name())
	o.text("full_name", d.FullName())
	o.object("owner", d.owner())
	for _, f := range DatasetFields[1:] {
		o.add(f.Name, d.Fields[f.Name])
	}
	o.time("created_at", d.CreatedAt)
	o.object("label_stats", d.labelStats())
	o.int("samples_count", d.SamplesCount)
	o.int("collaborators_count", d.CollaboratorsCount)
	labelsets := make([]Object, len(d.Labelsets))
	for i := range d.Labelsets {
		labelsets[i] = d.Labelsets[i].Object()
	}
	o.add("labelsets", List(labelsets))
	if d.Role == NoRole {
		o.add("role", nil)
	} else {
		o.text("role", d.Role.String())
	}
	o.maybeText("cloned_from", d.ClonedFrom)
	o.add("insights_urls", nil)
	o.bool("noncollaborator_can_label", false)
	o.bool("noncollaborator_can_review", false)
	return o
}

func (d *Dataset) owner() (o Object) {
	o.text("username", d.Owner.Name)
	o.time("created_at", d.Owner.CreatedAt)
	return o
}

func (d *Dataset) labelStats() Object {
	var stats Object
	unlabeled := d.SamplesCount
	for _, status := range labelStatuses {
		if status != unlabeledStatus {
			stats.int(status, d.LabelStats[status])
			unlabeled -= d.LabelStats[status]
		}
	}
	stats.int(unlabeledStatus, unlabeled) // without a label, or with one that says so
	stats.int("TOTAL", d.SamplesCount)
	return stats
}

// owned is the dataset as its owner sees it.
func (d *Dataset) owned() Object {
	own := *d
	own.Role = Admin
	return own.Object()
}

// DatasetCreated is the event of a new dataset.
func DatasetCreated(d *Dataset, at time.Time) Event {
	return d.event("dataset.created", at, "Dataset "+plain(d.FullName())+" created.")
}

// DatasetUpdated is the event of a dataset of which the fields named changed.
func DatasetUpdated(d *Dataset, changed []string, at time.Time) Event {
	return d.event("dataset.updated", at, "Dataset "+plain(d.FullName())+" updated: "+enumerate(changed)+".")
}

// DatasetDeleted is the event of a dataset that is about to go.
func DatasetDeleted(d *Dataset, at time.Time) Event {
	return d.event("dataset.deleted", at, "Dataset "+plain(d.FullName())+" deleted.")
}

func (d *Dataset) event(eventType string, at time.Time, text string) Event {
	return Event{
		Type: eventType, At: at, Dataset: d.FullName(), Object: d.owned(), Text: text,
		sheds: []shed{
			emptied("task_attributes", "null"), emptied("readme", `""`), emptied("metadata", "{}"), emptied("region_of_interest", "null"),
		},
	}
}

// LabelsetAdded is the event of a new labelset of a dataset.
func LabelsetAdded(d *Dataset, name string, at time.Time) Event {
	return d.event("dataset.updated", at, "Labelset "+plain(name)+" added to dataset "+plain(d.FullName())+".")
}

// LabelsetRemoved is the event of a dataset that lost a labelset.
func LabelsetRemoved(d *Dataset, name string, at time.Time) Event {
	return d.event("dataset.updated", at, "Labelset "+plain(name)+" removed from dataset "+plain(d.FullName())+".")
}

// CollaboratorAdded is the event of a new collaborator.
func CollaboratorAdded(d *Dataset, name string, role Role, at time.Time) Event {
	return d.event("dataset.updated", at, "Collaborator "+plain(name)+" added to dataset "+plain(d.FullName())+" as "+role.String()+".")
}

// CollaboratorChanged is the event of a collaborator whose role changed.
func CollaboratorChanged(d *Dataset, name string, from, to Role, at time.Time) Event {
	return d.event("dataset.updated", at,
		"Collaborator "+plain(name)+" changed from "+from.String()+" to "+to.String()+" in dataset "+plain(d.FullName())+".")
}

// CollaboratorRemoved is the event of a dataset that lost a collaborator.
func CollaboratorRemoved(d *Dataset, name string, at time.Time) Event {
	return d.event("dataset.updated", at, "Collaborator "+plain(name)+" removed from dataset "+plain(d.FullName())+".")
}
