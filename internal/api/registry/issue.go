package registry

import (
	"fanfare/internal/registry"
	"fanfare/internal/store"
)

func (a *API) issues(r *request) (answer, error) {
	return issueList(a.store.Issues(r.Context(), r.caller.ID, r.dataset()))
}

// issuesOfSample answers clients that ask for a sample's issues by its id in
// the place of a dataset. No account has a name like an id: with one, the path
// is that of a dataset which is named issues.
func (a *API) issuesOfSample(r *request) (answer, error) {
	sampleID, err := r.id("owner")
	if err != nil {
		return shown(a.store.Dataset(r.Context(), r.caller.ID, store.DatasetRef{Owner: r.PathValue("owner"), Name: "issues"}))
	}
	return issueList(a.store.IssuesOfSample(r.Context(), r.caller.ID, sampleID))
}

func issueList(issues []*registry.Issue, err error) (answer, error) {
	objects := make([]registry.Object, len(issues))
	for n, i := range issues {
		objects[n] = i.Object()
	}
	return list(objects), err
}

func (a *API) createIssue(r *request) (answer, error) {
	sampleID, err := r.id("sample")
	if err != nil {
		return answer{}, err
	}
	fields, err := r.create()
	if err != nil {
		return answer{}, a.wrongSample(r, sampleID, registry.Labeler, err)
	}
	i, err := a.store.CreateIssue(r.Context(), r.caller, sampleID, fields)
	if err != nil {
		return answer{}, err
	}
	return created(i.Object()), nil
}

// wrongIssue is the error of a bad request about an issue: one that changes
// nothing tells whether the caller may change it.
func (a *API) wrongIssue(r *request, err error) error {
	id, idErr := r.id("issue")
	if idErr != nil {
		return idErr
	}
	if _, mayErr := a.store.UpdateIssue(r.Context(), r.caller, id, nil); mayErr != nil {
		return mayErr
	}
	return err
}

func (a *API) updateIssue(r *request) (answer, error) {
	patch, err := r.patch()
	if err != nil {
		return answer{}, a.wrongIssue(r, err)
	}
	id, err := r.id("issue")
	if err != nil {
		return answer{}, err
	}
	i, err := a.store.UpdateIssue(r.Context(), r.caller, id, patch)
	if err != nil {
		return answer{}, err
	}
	return ok(i.Object()), nil
}

func (a *API) deleteIssue(r *request) (answer, error) {
	id, err := r.id("issue")
	if err != nil {
		return answer{}, err
	}
	return noContent, a.store.DeleteIssue(r.Context(), r.caller.ID, id)
}

func (a *API) addComment(r *request) (answer, error) {
	fields, err := r.create()
	if err != nil {
		return answer{}, a.wrongIssue(r, err)
	}
	id, err := r.id("issue")
	if err != nil {
		return answer{}, err
	}
	i, err := a.store.AddComment(r.Context(), r.caller, id, fields.String("text"))
	if err != nil {
		return answer{}, err
	}
	return created(i.Object()), nil
}

func (a *API) deleteComment(r *request) (answer, error) {
	id, err := r.id("issue")
	if err != nil {
		return answer{}, err
	}
	comment, err := r.id("comment")
	if err != nil {
		return answer{}, err
	}
	return noContent, a.store.DeleteComment(r.Context(), r.caller, id, comment)
}
