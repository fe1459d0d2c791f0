package registry

import (
	"encoding/json"
	"fanfare/internal/registry/shape"
	"maps"
	"slices"
)

// Kind is a kind of object that the API shows.
type Kind struct {
	Name string
	// Example is one, as its GET shows it; nil where nothing makes any.
	Example Object
	// properties are its members, in the order in which they are sent.
	properties []property
	// fields are those that clients write, with their forms.
	fields []Field
	// forms are the schemas of others of which a type does not say enough.
	forms map[string]shape.Schema
	// optional are those that are not always there.
	optional []string
}

// Kinds are all of them.
func Kinds() []Kind {
	dataset, sample, label, issue, release := sampleDataset(), sampleSample(), sampleLabel(), sampleIssue(), sampleRelease()
	file := sampleFile()
	return []Kind{
		{
			Name: "User", Example: dataset.Owner.OwnObject(), properties: userProperties,
			optional: []string{"email", "webhooks_enabled", "organization_role", "organizations", "members"},
			forms: map[string]shape.Schema{
				"organization_role": shape.OrNull(role.schema), "organizations": listOf("User"), "members": listOf("User"),
			},
		},
		{Name: "Owner", Example: dataset.owner(), properties: userProperties[:2]},
		{
			Name: "Collaborator", Example: (&Collaborator{Account{Name: "bert", CreatedAt: sampleTime}, Labeler}).Object(),
			properties: append([]property{{"user", "object", "The account."}}, written(CollaboratorFields[1:])...),
			fields:     CollaboratorFields[1:], forms: map[string]shape.Schema{"user": shape.Ref("User")},
		},
		{
			Name: "Dataset", Example: dataset.Object(), properties: datasetProperties, fields: DatasetFields,
			forms: map[string]shape.Schema{
				"owner": shape.Ref("Owner"), "label_stats": shape.Ref("LabelStats"), "labelsets": listOf("Labelset"),
				"role": means(shape.OrNull(role.schema), "What the caller may do; null for one who sees it only because it is public."),
			},
		},
		{Name: "LabelStats", Example: dataset.labelStats(), properties: statsProperties()},
		{Name: "Labelset", Example: dataset.Labelsets[0].Object(), properties: labelsetProperties, fields: LabelsetFields},
		{
			Name: "Sample", Example: sample.Shown(dataset, nil), fields: SampleFields,
			properties: append(slices.Clone(sampleProperties), property{"label", "object?", "The label of the labelset that was asked for, if any."}),
			forms:      map[string]shape.Schema{"label": {"anyOf": []any{shape.Ref("Label"), shape.Ref("LabelSummary"), typed("null")}}},
		},
		{
			Name: "Label", Example: label.Object(dataset, sample), properties: labelProperties, fields: LabelFields,
			forms: map[string]shape.Schema{"label_type": taskType.schema},
		},
		{
			Name: "LabelSummary", Example: label.Summary(), fields: LabelFields,
			properties: some(labelProperties, "label_status", "score", "updated_at", "created_by", "reviewed_by"),
		},
		{
			Name: "Issue", Example: issue.Object(), properties: issueProperties, fields: IssueFields,
			forms: map[string]shape.Schema{"comments": listOf("Comment")},
		},
		{Name: "Comment", Example: issue.Comments[0].object(), properties: commentProperties, fields: CommentFields},
		{
			Name: "Release", Example: release.Object(), properties: releaseProperties, fields: ReleaseFields,
			forms: map[string]shape.Schema{
				"release_type": {"const": "JSON"}, "attributes": shape.Ref("ReleaseAttributes"),
				"status": means(oneOf(Pending, Succeeded, Failed).schema, "SUCCEEDED when the file is there."),
			},
		},
		{Name: "ReleaseAttributes", Example: release.attributes(), properties: []property{{"url", "string?", "Where the file is; null until it is there."}}},
		{Name: "File", Example: file, properties: fileProperties, forms: map[string]shape.Schema{"presignedPostFields": shape.Ref("PresignedPost")}},
		{
			Name: "PresignedPost", Example: samplePost(), properties: postProperties,
			forms: map[string]shape.Schema{"fields": typed("object", shape.Schema{"additionalProperties": typed("string")})},
		},
		{
			Name: "Workunit", properties: workunitProperties, optional: []string{"uuid", "next_label_status", "label_rating", "session_time_metrics"},
			forms: map[string]shape.Schema{"work_type": oneOf("label", "review", "normal").schema},
		},
	}
}

var userProperties = []property{
	{"username", "string", "The name of the account."},
	{"created_at", "time", "When the account was made."},
	{"is_organization", "boolean", "Whether it is an organization."},
	{"email", "string?", "Its address, for those who may act for it."},
	{"webhooks_enabled", "boolean?", "Whether changes of its datasets are recorded as events; for those who may act for it."},
	{"organization_role", "string?", "admin for an administrator of the organization, null for a plain member."},
	{"organizations", "array?", "The organizations that a user is a member of, for the user."},
	{"members", "array?", "The members of an organization, for them."},
}

var labelsetProperties = append(written(LabelsetFields), []property{
	{"is_groundtruth", "boolean", "Whether it is " + GroundTruth + ", which every dataset has."},
	{"created_at", "time", "When the labelset was made."},
}...)

var commentProperties = slices.Concat([]property{{"uuid", "uuid", "The id of the reply."}}, written(CommentFields), []property{
	{"created_at", "time", "When the reply was made."},
	{"created_by", "string", "The account that made it."},
})

var fileProperties = []property{
	{"uuid", "uuid", "The id of the file."},
	{"filename", "string", "Its name."},
	{"url", "string", "Where it is, once it was sent: for whoever knows this URL."},
	{"created_at", "time", "When it was asked for."},
	{"presignedPostFields", "object", "The form with which it is sent."},
}

var postProperties = []property{
	{"url", "string", "Where to post the form, as multipart/form-data."},
	{"fields", "object", "The fields of the form. They come first, and the file after them as a part named file."},
}

var workunitProperties = []property{
	{"uuid", "uuid?", "The id of the work."},
	{"created_at", "time", "When it was done."},
	{"created_by", "string", "The account that did it."},
	{"work_type", "string", "What was done."},
	{"time", "integer", "How long it took, in milliseconds."},
	{"inactive_time", "integer", "How much of that was idle, in milliseconds."},
	{"sample_uuid", "uuid", "The id of the sample."},
	{"sample_name", "string", "The name of the sample."},
	{"next_label_status", "string?", "The status of the label after it."},
	{"label_rating", "integer?", "The rating of the label."},
	{"session_time_metrics", "object?", "Measurements of the session, when they are asked for."},
}

func statsProperties() []property {
	var all []property
	for _, status := range labelStatuses {
		all = append(all, property{status, "integer", "How many samples are " + status + "."})
	}
	return append(all, property{"TOTAL", "integer", "How many samples there are."})
}

// Schemas are the JSON Schemas of the kinds and of what they refer to, by name.
func Schemas() map[string]any {
	all := map[string]any{}
	for name, part := range shape.Parts() {
		all[name] = part
	}
	for _, k := range Kinds() {
		all[k.Name] = k.schema()
	}
	return all
}

func (k *Kind) schema() shape.Schema {
	var properties Object
	required := []string{}
	for _, p := range k.properties {
		properties.add(p.name, k.form(p))
		if !slices.Contains(k.optional, p.name) {
			required = append(required, p.name)
		}
	}
	return typed("object", shape.Schema{"properties": properties, "required": required})
}

func (k *Kind) form(p property) json.RawMessage {
	for _, f := range k.fields {
		if f.Name == p.name {
			return marshal(means(f.values(), p.means))
		}
	}
	form, ok := k.forms[p.name]
	switch {
	case !ok:
		return p.schema().Append(nil)
	case form["description"] == nil:
		form = means(form, p.means)
	}
	return marshal(form)
}

// values describes what the member may hold.
func (f Field) values() shape.Schema {
	if f.Nullable {
		return shape.OrNull(f.Form.schema)
	}
	return f.Form.schema
}

// Creation describes the body that makes a thing of these fields.
func Creation(fields []Field) any { return body(fields, true) }

// Change describes the body that changes a thing of these fields.
func Change(fields []Field) any { return body(fields, false) }

func body(fields []Field, whole bool) shape.Schema {
	var properties Object
	required := []string{}
	for _, f := range fields {
		if f.Fixed && !whole {
			continue
		}
		s := means(f.values(), f.Means)
		switch {
		case whole && f.Default == "":
			required = append(required, f.Name)
		case whole && f.Default != "null":
			s["default"] = json.RawMessage(f.Default)
		}
		properties.add(f.Name, marshal(s))
	}
	s := typed("object", shape.Schema{"properties": properties})
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func marshal(s shape.Schema) json.RawMessage {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err) // it is one of ours
	}
	return raw
}

func listOf(name string) shape.Schema {
	return typed("array", shape.Schema{"items": shape.Ref(name)})
}

// means is a schema with what it is about.
func means(s shape.Schema, text string) shape.Schema {
	s = maps.Clone(s)
	s["description"] = text
	return s
}

// some are the properties of these names.
func some(properties []property, names ...string) []property {
	return slices.DeleteFunc(slices.Clone(properties), func(p property) bool { return !slices.Contains(names, p.name) })
}

// sampleForm is the form of an upload.
var sampleForm = [][2]string{
	{"acl", "private"},
	{"Content-Type", "image/png"},
	{"key", UUID(sampleID(6))},
	{"x-amz-algorithm", "HMAC-SHA256"},
	{"x-amz-credential", "fanfare"},
	{"x-amz-date", "20300102T030405Z"},
	{"policy", "eyJrZXki…"},
	{"x-amz-signature", "5f2b…"},
}

func samplePost() Object { return postObject("https://webhooks.example.com/uploads", sampleForm) }

func sampleFile() Object {
	return FileObject(sampleID(6), "rose.png", "https://webhooks.example.com/files/token/rose.png", sampleTime, "https://webhooks.example.com/uploads", sampleForm)
}
