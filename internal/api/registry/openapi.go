package registry

import (
	"encoding/json"
	"fanfare/internal/openapi"
	"fanfare/internal/registry"
	"net/http"
	"strings"
)

// The OpenAPI document is made of the operations, and of the rules by which
// their bodies are read.

// openAPI writes the document.
func (a *API) openAPI() []byte {
	doc := openapi.Document{
		Title: "Fanfare Registry",
		Text: "Datasets, samples, labels, issues and releases. Every change sends its event. Speaks the API of the Segments.ai SDK, at the root of the server.\n\n" +
			"Send the header Authorization with the word APIKey, a space and an API key. Keys are made on the account page, or with fanfare apikey create.\n\n" +
			"Paths may end in a slash. Lists are plain arrays. What a body has and nobody knows is passed over. What you may not see is not found.",
		Scheme: "key", Security: map[string]any{
			"type": "apiKey", "in": "header", "name": "Authorization", "description": "The word APIKey, a space, and an API key of an account.",
		},
		PathParameters: parameterDocs, Refusals: map[int]openapi.Content{}, Schemas: registry.Schemas(),
	}
	doc.Schemas["Status"] = object("status", oneOf("ok"))
	doc.Schemas["DeletedCount"] = object("deleted_count", map[string]any{"type": "integer"})
	doc.Schemas["Detail"] = object("detail", text())
	doc.Schemas["Problems"] = map[string]any{
		"type": "object", "description": "What is wrong, by the name of the field.",
		"additionalProperties": map[string]any{"type": "array", "items": text()},
	}
	examples := map[string]any{"Status": map[string]any{"status": "ok"}, "DeletedCount": map[string]any{"deleted_count": 2}}
	for _, k := range registry.Kinds() {
		if k.Example != nil {
			examples[k.Name] = k.Example
		}
	}
	for i := range a.operations {
		doc.Operations = append(doc.Operations, a.operations[i].describe(examples))
	}
	for status, sentence := range documentedRefusals {
		doc.Refusals[status] = openapi.JSON(openapi.Ref("Detail"), json.RawMessage(detail(sentence)))
	}
	doc.Refusals[http.StatusBadRequest] = openapi.JSON(
		map[string]any{"anyOf": []any{openapi.Ref("Detail"), openapi.Ref("Problems")}}, json.RawMessage(`{"name":["This field is required."]}`))
	return doc.Append(nil)
}

// object is the schema of an object with one member.
func object(name string, schema map[string]any) map[string]any {
	return map[string]any{"type": "object", "properties": map[string]any{name: schema}, "required": []string{name}}
}

func (op *operation) describe(examples map[string]any) openapi.Operation {
	tag, _, _ := strings.Cut(op.id, ".")
	who := ""
	switch {
	case op.open != nil:
		who = " Takes no key."
	case op.inDataset():
		who = " " + roleDocs[op.role]
	}
	o := openapi.Operation{
		Route: op.route, ID: op.id, Tag: tag, Summary: op.summary, Text: strings.TrimSpace(op.doc + who), Parameters: op.query, PathParameters: op.names,
		Answers: map[int]openapi.Content{op.status: op.content(examples)}, Refusals: op.refusals(), WithoutCredentials: op.open != nil,
	}
	if op.otherwise != 0 {
		o.Answers[op.otherwise] = o.Answers[op.status]
	}
	switch op.id {
	case "issue.list-of-sample": // or a dataset of that name
		media := o.Answers[op.status]["application/json"]
		o.Answers[op.status] = openapi.JSON(map[string]any{"anyOf": []any{media.Schema, openapi.Ref("Dataset")}}, media.Example)
	case "file.upload":
		o.Body = uploadForm
	case "file.get":
		o.Answers = fileAnswers
	}
	if op.body != nil {
		schema := registry.Creation(op.body)
		if strings.HasPrefix(op.route, http.MethodPatch) {
			schema = registry.Change(op.body)
		}
		if op.many {
			schema = map[string]any{"type": "array", "items": schema}
		}
		o.Body = openapi.JSON(schema, json.RawMessage(op.example))
	}
	return o
}

// inDataset reports whether an operation is about a dataset or what is in one.
func (op *operation) inDataset() bool {
	_, path, _ := strings.Cut(op.route, " ")
	for _, prefix := range []string{"/datasets/", "/samples/", "/labels/", "/issues/"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// content is the body of an answer.
func (op *operation) content(examples map[string]any) openapi.Content {
	if op.shows == "" {
		return nil
	}
	schema, example := openapi.Ref(op.shows), examples[op.shows]
	if !op.lists {
		return openapi.JSON(schema, example)
	}
	some := []any{}
	if example != nil {
		some = append(some, example)
	}
	return openapi.JSON(map[string]any{"type": "array", "items": schema}, some)
}

// refusals are the statuses that an operation may answer instead.
func (op *operation) refusals() []int {
	if op.id == "file.get" {
		return []int{http.StatusNotFound, http.StatusInternalServerError, http.StatusServiceUnavailable}
	}
	all := []int{http.StatusRequestEntityTooLarge, http.StatusInternalServerError, http.StatusServiceUnavailable}
	if op.open == nil {
		all = append(all, http.StatusUnauthorized, http.StatusUnsupportedMediaType)
	}
	for status, may := range map[int]bool{
		http.StatusBadRequest: op.body != nil || op.open != nil || op.id == "labelset.delete",
		http.StatusForbidden:  op.role > registry.NoRole || op.open != nil || op.id == "dataset.clone" || strings.Contains(op.route, "{organization}"),
		http.StatusNotFound:   strings.Contains(op.route, "{") || op.open != nil,
		http.StatusConflict:   op.conflicts,
	} {
		if may {
			all = append(all, status)
		}
	}
	return all
}

// documentedRefusals are what is said with a status, or the first of several
// such things.
var documentedRefusals = func() map[int]string {
	said := map[int]string{http.StatusInternalServerError: "Internal server error."}
	for _, r := range refusals {
		if said[r.status] == "" {
			said[r.status] = r.detail
		}
	}
	return said
}()

// uploadForm is the body of an upload.
var uploadForm = func() openapi.Content {
	properties := map[string]any{"file": map[string]any{"type": "string", "format": "binary", "description": "The file, as the last part."}}
	required := []string{"file"}
	for _, name := range []string{"key", "policy", "x-amz-signature"} {
		properties[name] = map[string]any{"type": "string", "description": "As it stands in the form."}
		required = append(required, name)
	}
	properties["Content-Type"] = map[string]any{"type": "string", "description": "With which the file is served."}
	return openapi.Content{"multipart/form-data": {Schema: map[string]any{"type": "object", "properties": properties, "required": required}}}
}()

// fileAnswers are those of a download, which may be of a part.
var fileAnswers = map[int]openapi.Content{
	http.StatusOK:                           anyFile,
	http.StatusPartialContent:               anyFile,
	http.StatusNotModified:                  nil,
	http.StatusPreconditionFailed:           nil,
	http.StatusRequestedRangeNotSatisfiable: {"text/plain": {Schema: text()}},
}

var anyFile = openapi.Content{"*/*": {Schema: map[string]any{"type": "string", "format": "binary"}}}

// roleDocs say who may do what in a dataset.
var roleDocs = map[registry.Role]string{
	registry.NoRole:   "For everybody who may see the dataset.",
	registry.Labeler:  "For collaborators.",
	registry.Reviewer: "Takes the role reviewer.",
	registry.Manager:  "Takes the role manager.",
	registry.Admin:    "Takes the role admin.",
}

var parameterDocs = map[string]string{
	"user": "The name of the account.", "organization": "The name of the organization.", "owner": "The name of the account that owns the dataset.",
	"name": "The name of the dataset.", "sample": "The id of the sample.", "labelset": "The name of the labelset.", "release": "The name of the release.",
	"issue": "The id of the issue.", "comment": "The id of the reply.", "token": "What makes the URL a secret.",
}
