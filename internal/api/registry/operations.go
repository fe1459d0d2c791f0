package registry

import (
	"fanfare/internal/openapi"
	"fanfare/internal/registry"
	"fanfare/internal/store"
	"maps"
	"net/http"
	"slices"
)

// operation is one route of the API, and what is told of it.
type operation struct {
	route   string // such as "GET /users/{user}"
	id      string // its name in the OpenAPI document
	summary string
	doc     string
	// role is what the caller must be in the dataset, where there is one.
	role  registry.Role
	query []openapi.Parameter
	// body are the fields of the request's body; nil when it has none. many
	// says that it is a list of such.
	body    []registry.Field
	many    bool
	example string // of a body
	status  int
	// shows is the kind of object that it answers with, or the schema; lists
	// says that it answers with a list of those.
	shows string
	lists bool
	// otherwise is another status with which it answers in success, conflicts
	// says that it may answer 409.
	otherwise int
	conflicts bool
	// names say what the parameters of the path are, where they are not what
	// they are elsewhere.
	names  map[string]string
	handle handler
	// open handles it in place of handle when it takes no key.
	open func(http.ResponseWriter, *http.Request) error
}

func (a *API) table() []operation {
	return slices.Concat(a.accounts(), a.datasetOperations(), a.sampleOperations(), a.labelOperations(), a.issueOperations(), a.releaseOperations(), a.files())
}

func (a *API) accounts() []operation {
	const enabling = "Enables or disables webhooks. While they are enabled, each change of the account's datasets is recorded as an event; " +
		"what was recorded before is sent in either case."
	return []operation{
		{
			route: "GET /api_status", id: "status.get", summary: "Check the key", handle: a.status, status: http.StatusOK, shows: "Status",
			doc:   "Official clients call it first.",
			query: []openapi.Parameter{{Name: "lib_version", Text: "The version of the client, which is not looked at.", Schema: text()}},
		},
		{
			route: "GET /user", id: "account.get-own", summary: "Get your account", handle: a.user, status: http.StatusOK, shows: "User",
		},
		{
			route: "PATCH /user", id: "account.update-own", summary: "Enable webhooks on your account", handle: a.updateUser,
			doc: enabling, body: registry.AccountFields, example: `{"webhooks_enabled":true}`, status: http.StatusOK, shows: "User", conflicts: true,
		},
		{
			route: "GET /users/{user}", id: "account.get", summary: "Get an account", handle: a.otherUser, status: http.StatusOK, shows: "User",
			doc: "A user or an organization. Administrators of an organization see its settings, members see who else is one.",
		},
		{
			route: "PATCH /organizations/{organization}", id: "account.update-organization", summary: "Enable webhooks on an organization",
			handle: a.updateOrganization, doc: enabling + " For administrators of the organization.",
			body: registry.AccountFields, example: `{"webhooks_enabled":true}`, status: http.StatusOK, shows: "User", conflicts: true,
		},
	}
}

func (a *API) datasetOperations() []operation {
	const example = `{"name":"flowers","description":"Flowers of our garden.","category":"garden","task_type":"bboxes"}`
	return []operation{
		{
			route: "GET /user/datasets", id: "dataset.list-own", summary: "List your datasets", handle: a.datasets, query: paging,
			doc: "Your own, and those of which you are a collaborator, by their full names.", status: http.StatusOK, shows: "Dataset", lists: true,
		},
		{
			route: "GET /users/{user}/datasets", id: "dataset.list", summary: "List the datasets of an account", handle: a.datasetsOf, query: paging,
			doc: "Those that you may see.", status: http.StatusOK, shows: "Dataset", lists: true,
		},
		{
			route: "POST /user/datasets", id: "dataset.create-own", summary: "Create a dataset", handle: a.createDataset,
			doc: "Sends dataset.created.", body: registry.DatasetFields, example: example, status: http.StatusCreated, shows: "Dataset",
		},
		{
			route: "POST /organizations/{organization}/datasets", id: "dataset.create", summary: "Create a dataset of an organization", handle: a.createDataset,
			doc: "For administrators of the organization. Sends dataset.created.", body: registry.DatasetFields, example: example, status: http.StatusCreated, shows: "Dataset",
		},
		{
			route: "GET /datasets/{owner}/{name}", id: "dataset.get", summary: "Get a dataset", handle: a.dataset, status: http.StatusOK, shows: "Dataset",
		},
		{
			route: "PATCH /datasets/{owner}/{name}", id: "dataset.update", summary: "Update a dataset", handle: a.updateDataset, role: registry.Admin,
			doc: "Its name stays. Sends dataset.updated, unless nothing changes.", body: registry.DatasetFields,
			example: `{"description":"Flowers of the neighbours."}`, status: http.StatusOK, shows: "Dataset",
		},
		{
			route: "DELETE /datasets/{owner}/{name}", id: "dataset.delete", summary: "Delete a dataset", handle: a.deleteDataset, role: registry.Admin,
			doc: "With all that it holds. Sends one dataset.deleted.", status: http.StatusNoContent,
		},
		{
			route: "POST /datasets/{owner}/{name}/clone", id: "dataset.clone", summary: "Clone a dataset", handle: a.clone,
			doc: "Copies the settings and the samples, and the labels if you say so. The clone is yours, or that of an organization of which you are an " +
				"administrator. Sends dataset.created, and sample.created and label.updated for what was copied.",
			body: registry.CloneFields, example: `{"name":"flowers-2","clone_labels":true}`, status: http.StatusCreated, shows: "Dataset",
		},
		{
			route: "POST /datasets/{owner}/{name}/collaborators", id: "collaborator.create", summary: "Add a collaborator", handle: a.addCollaborator,
			role: registry.Manager, doc: "Only an admin makes another one. Sends dataset.updated.",
			body: registry.CollaboratorFields, example: `{"user":"bert","role":"labeler"}`, status: http.StatusCreated, shows: "Collaborator",
		},
		{
			route: "GET /datasets/{owner}/{name}/collaborators/{user}", id: "collaborator.get", summary: "Get a collaborator", handle: a.collaborator,
			role: registry.Labeler, status: http.StatusOK, shows: "Collaborator",
		},
		{
			route: "PATCH /datasets/{owner}/{name}/collaborators/{user}", id: "collaborator.update", summary: "Change the role of a collaborator",
			handle: a.updateCollaborator, role: registry.Manager, doc: "Only an admin makes another one or changes one. Sends dataset.updated, unless nothing changes.",
			body: registry.CollaboratorFields, example: `{"role":"reviewer"}`, status: http.StatusOK, shows: "Collaborator",
		},
		{
			route: "DELETE /datasets/{owner}/{name}/collaborators/{user}", id: "collaborator.delete", summary: "Remove a collaborator",
			handle: a.removeCollaborator, role: registry.Manager, doc: "Everybody may remove themselves, and only an admin removes another one. Sends dataset.updated.",
			status: http.StatusNoContent,
		},
	}
}

func (a *API) sampleOperations() []operation {
	const example = `{"name":"rose.png","attributes":{"image":{"url":"https://example.com/rose.png"}}}`
	return []operation{
		{
			route: "GET /datasets/{owner}/{name}/samples", id: "sample.list", summary: "List samples", handle: a.samples, query: listing(),
			doc: "What of the query is unknown or malformed counts as not said.", status: http.StatusOK, shows: "Sample", lists: true,
		},
		{
			route: "POST /datasets/{owner}/{name}/samples", id: "sample.create", summary: "Create a sample", handle: a.createSample, role: registry.Admin,
			doc: "Sends sample.created.", body: registry.SampleFields, example: example, status: http.StatusCreated, shows: "Sample",
		},
		{
			route: "POST /datasets/{owner}/{name}/samples_bulk", id: "sample.create-bulk", summary: "Create many samples", handle: a.createSamples, role: registry.Admin,
			doc: "Answers with a sample for each that was sent, in their order. One whose name is taken is not made; the one there is answered as it is. " +
				"If one is bad, none is made. Sends sample.created for each that is new.",
			body: registry.SampleFields, many: true, example: "[" + example + "]", status: http.StatusCreated, shows: "Sample", lists: true,
		},
		{
			route: "DELETE /datasets/{owner}/{name}/samples_bulk", id: "sample.delete-bulk", summary: "Delete many samples", handle: a.deleteSamples, role: registry.Admin,
			doc:  "Sends sample.deleted for each.",
			body: registry.BulkDeleteFields, example: `{"uuids":["0e1e5b2a-6a5b-7c1e-8d2f-1b7c9a3d4e5f"]}`, status: http.StatusOK, shows: "DeletedCount",
		},
		{
			route: "GET /samples/{sample}", id: "sample.get", summary: "Get a sample", handle: a.sample, status: http.StatusOK, shows: "Sample",
			query: []openapi.Parameter{
				{Name: "labelset", Text: "Show the label that is in this labelset.", Schema: text()},
				{Name: "include_signed_urls", Text: "Changes nothing: URLs are as they were given.", Schema: text()},
			},
		},
		{
			route: "PATCH /samples/{sample}", id: "sample.update", summary: "Update a sample", handle: a.updateSample, role: registry.Manager,
			doc:  "All but priority, assigned_labeler and assigned_reviewer takes the role admin. Sends sample.updated, unless nothing changes.",
			body: registry.SampleFields, example: `{"priority":1,"assigned_labeler":"bert"}`, status: http.StatusOK, shows: "Sample",
		},
		{
			route: "DELETE /samples/{sample}", id: "sample.delete", summary: "Delete a sample", handle: a.deleteSample, role: registry.Admin,
			doc: "With its labels and issues. Sends sample.deleted.", status: http.StatusNoContent,
		},
		{
			route: "GET /datasets/{owner}/{name}/workunits", id: "workunit.list", summary: "List work", handle: a.workunits, role: registry.Manager,
			doc:   "How long who worked on which sample. Nothing records that yet: the list is empty.",
			query: slices.Concat(paging, workunitQuery), status: http.StatusOK, shows: "Workunit", lists: true,
		},
	}
}

func (a *API) labelOperations() []operation {
	const written = " A review (REVIEWING_IN_PROGRESS, REVIEWED, REJECTED, VERIFIED), and any change of a label that is REVIEWED or VERIFIED, takes the role " +
		"reviewer. Sends label.updated, unless nothing changes."
	return []operation{
		{
			route: "GET /labels/{sample}/{labelset}", id: "label.get", summary: "Get a label", handle: a.label, status: http.StatusOK, shows: "Label",
		},
		{
			route: "PUT /labels/{sample}/{labelset}", id: "label.put", summary: "Create or replace a label", handle: a.putLabel, role: registry.Labeler,
			doc:  "Its rating stays." + written,
			body: registry.PutLabelFields, example: `{"label_status":"LABELED","attributes":{"annotations":[` + exampleAnnotation + `]}}`,
			status: http.StatusCreated, otherwise: http.StatusOK, shows: "Label",
		},
		{
			route: "PATCH /labels/{sample}/{labelset}", id: "label.update", summary: "Update a label", handle: a.updateLabel, role: registry.Labeler,
			doc:  "A rating takes the role reviewer." + written,
			body: registry.LabelFields, example: `{"label_status":"SKIPPED"}`, status: http.StatusOK, shows: "Label",
		},
		{
			route: "DELETE /labels/{sample}/{labelset}", id: "label.delete", summary: "Delete a label", handle: a.deleteLabel, role: registry.Manager,
			doc: "Sends label.deleted.", status: http.StatusNoContent,
		},
		{
			route: "GET /datasets/{owner}/{name}/labelsets", id: "labelset.list", summary: "List labelsets", handle: a.labelsets,
			doc: "ground-truth, which every dataset has, is the first.", status: http.StatusOK, shows: "Labelset", lists: true,
		},
		{
			route: "POST /datasets/{owner}/{name}/labelsets", id: "labelset.create", summary: "Create a labelset", handle: a.createLabelset, role: registry.Admin,
			doc: "Sends dataset.updated.", body: registry.LabelsetFields, example: `{"name":"model v1"}`, status: http.StatusCreated, shows: "Labelset",
		},
		{
			route: "GET /datasets/{owner}/{name}/labelsets/{labelset}", id: "labelset.get", summary: "Get a labelset", handle: a.labelset,
			status: http.StatusOK, shows: "Labelset",
		},
		{
			route: "DELETE /datasets/{owner}/{name}/labelsets/{labelset}", id: "labelset.delete", summary: "Delete a labelset", handle: a.deleteLabelset,
			role: registry.Admin, doc: "With its labels. Sends label.deleted for each of them, and dataset.updated. ground-truth stays.", status: http.StatusNoContent,
		},
	}
}

const exampleAnnotation = `{"id":1,"category_id":1,"type":"bbox","points":[[12,34],[56,78]]}`

func (a *API) issueOperations() []operation {
	return []operation{
		{
			route: "GET /datasets/{owner}/{name}/issues", id: "issue.list", summary: "List the issues of a dataset", handle: a.issues,
			doc: "Oldest first.", status: http.StatusOK, shows: "Issue", lists: true,
		},
		{
			route: "GET /datasets/{owner}/issues", id: "issue.list-of-sample", summary: "List the issues of a sample", handle: a.issuesOfSample,
			doc: "The id of the sample stands in the place of an owner: official clients ask so. With the name of an owner it is that dataset which is named issues.", names: map[string]string{"owner": "The id of the sample."}, status: http.StatusOK, shows: "Issue", lists: true,
		},
		{
			route: "POST /samples/{sample}/issues", id: "issue.create", summary: "Open an issue", handle: a.createIssue, role: registry.Labeler,
			doc:  "Sends issue.created.",
			body: registry.IssueFields, example: `{"description":"The stem is not labelled.","anchor":{"type":"basic"}}`, status: http.StatusCreated, shows: "Issue",
		},
		{
			route: "PATCH /issues/{issue}", id: "issue.update", summary: "Update an issue", handle: a.updateIssue, role: registry.Labeler,
			doc:  "Whoever may open issues may close and reopen them. The rest is for whoever opened the issue, and for managers. Sends issue.updated, unless nothing changes.",
			body: registry.IssueFields, example: `{"status":"CLOSED"}`, status: http.StatusOK, shows: "Issue",
		},
		{
			route: "DELETE /issues/{issue}", id: "issue.delete", summary: "Delete an issue", handle: a.deleteIssue, role: registry.Manager,
			doc: "Whoever opened it may, too. Sends no event.", status: http.StatusNoContent,
		},
		{
			route: "POST /issues/{issue}/comments", id: "issue.reply", summary: "Reply to an issue", handle: a.addComment, role: registry.Labeler,
			doc: "Sends issue.updated.", body: registry.CommentFields, example: `{"text":"It is now."}`, status: http.StatusCreated, shows: "Issue",
		},
		{
			route: "DELETE /issues/{issue}/comments/{comment}", id: "issue.delete-reply", summary: "Delete a reply", handle: a.deleteComment, role: registry.Admin,
			doc: "Whoever wrote it may, too. Sends issue.updated.", status: http.StatusNoContent,
		},
	}
}

func (a *API) releaseOperations() []operation {
	return []operation{
		{
			route: "GET /datasets/{owner}/{name}/releases", id: "release.list", summary: "List releases", handle: a.releases,
			doc: "Newest first.", status: http.StatusOK, shows: "Release", lists: true,
		},
		{
			route: "POST /datasets/{owner}/{name}/releases", id: "release.create", summary: "Create a release", handle: a.createRelease, role: registry.Admin,
			doc:  "Its file holds the dataset as it is now, and is built in the background: the release is PENDING until then. Sends release.created when the file is there.",
			body: registry.ReleaseFields, example: `{"name":"v1.0"}`, status: http.StatusCreated, shows: "Release",
		},
		{
			route: "GET /datasets/{owner}/{name}/releases/{release}", id: "release.get", summary: "Get a release", handle: a.release,
			status: http.StatusOK, shows: "Release",
		},
		{
			route: "DELETE /datasets/{owner}/{name}/releases/{release}", id: "release.delete", summary: "Delete a release", handle: a.deleteRelease,
			role: registry.Admin, doc: "With its file. Sends no event.", status: http.StatusNoContent,
		},
	}
}

func (a *API) files() []operation {
	return []operation{
		{
			route: "POST /assets", id: "file.create", summary: "Ask for an upload", handle: a.createAsset,
			doc:  "Answers with the form that brings the file, which is good for an hour, and with the URL at which the file is then. An uploaded file never changes.",
			body: registry.AssetFields, example: `{"filename":"rose.png"}`, status: http.StatusCreated, shows: "File",
		},
		{
			route: "POST " + uploadPath, id: "file.upload", summary: "Upload a file", open: a.upload, status: http.StatusNoContent,
			doc: "Takes the form of an upload: its fields first, the file after them.",
		},
		{
			route: "GET " + registry.FilePath + "{token}/{name}", id: "file.get", summary: "Download a file", open: a.file, status: http.StatusOK,
			doc: "An uploaded file, or that of a release. Its URL is the key.", names: map[string]string{"name": "The name of the file."},
		},
	}
}

// The queries of lists.
var (
	paging = []openapi.Parameter{
		{Name: "per_page", Text: "How many a page has at the most.", Schema: number(defaultPerPage, maxPerPage)},
		{Name: "page", Text: "Which page. One past the end is empty.", Schema: number(1, 0)},
	}

	workunitQuery = []openapi.Parameter{
		{Name: "sort", Text: "In which order; with a hyphen before it the other way around.", Schema: oneOf("created_at", "-created_at")},
		{Name: "start", Text: "Not before then.", Schema: text()},
		{Name: "end", Text: "Not after then.", Schema: text()},
		{Name: "include_session_time_metrics", Text: "Whether to show measurements of the session.", Schema: oneOf("true")},
	}
)

func listing() []openapi.Parameter {
	sorts := slices.Sorted(maps.Keys(store.SampleSorts))
	for _, key := range slices.Clip(sorts) {
		sorts = append(sorts, "-"+key)
	}
	return slices.Concat(paging, []openapi.Parameter{
		{Name: "labelset", Text: "Show the labels in this labelset, in short.", Schema: text()},
		{Name: "include_full_label", Text: "Show them in whole.", Schema: oneOf("1")},
		{Name: "name__contains", Text: "Only samples whose name has this in it. Case counts.", Schema: text()},
		{Name: "filters", Text: "Only samples whose metadata has all these: name:value, apart by commas.", Schema: text()},
		{
			Name: "label_status", Text: "Only samples whose label in the labelset, or in ground-truth, has one of these states. No label is UNLABELED.", Commas: true,
			Schema: map[string]any{"type": "array", "items": oneOf(registry.LabelStatuses()...)},
		},
		{Name: "sort", Text: "In which order; with a hyphen before it the other way around.", Schema: oneOf(sorts...)},
	})
}

func text() map[string]any { return map[string]any{"type": "string"} }

func oneOf(words ...string) map[string]any {
	return map[string]any{"type": "string", "enum": words}
}

func number(given, most int) map[string]any {
	s := map[string]any{"type": "integer", "minimum": 1, "default": given}
	if most > 0 {
		s["maximum"] = most
	}
	return s
}
