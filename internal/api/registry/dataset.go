package registry

import (
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
)

func (a *API) datasets(r *request) (answer, error) {
	return datasetList(a.store.Datasets(r.Context(), r.caller.ID, r.page()))
}

func (a *API) datasetsOf(r *request) (answer, error) {
	owner, err := a.store.Account(r.Context(), r.PathValue("user"))
	if err != nil {
		return answer{}, err
	}
	return datasetList(a.store.DatasetsOf(r.Context(), r.caller.ID, owner.ID, r.page()))
}

func datasetList(datasets []*registry.Dataset, err error) (answer, error) {
	objects := make([]registry.Object, len(datasets))
	for i, d := range datasets {
		objects[i] = d.Object()
	}
	return list(objects), err
}

func (a *API) dataset(r *request) (answer, error) {
	return shown(a.store.Dataset(r.Context(), r.caller.ID, r.dataset()))
}

func shown(d *registry.Dataset, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	return ok(d.Object()), nil
}

// createDataset makes a dataset of the caller, or of the organization that the
// path names.
func (a *API) createDataset(r *request) (answer, error) {
	owner := r.caller.Name
	if name := r.PathValue("organization"); name != "" {
		// Who may not act for it learns nothing of what is wrong with the body.
		account, err := a.store.Administers(r.Context(), r.caller.ID, name)
		if err != nil {
			return answer{}, err
		}
		if !account.Organization {
			return answer{}, webhook.ErrNotFound
		}
		owner = account.Name
	}
	fields, err := r.create()
	if err != nil {
		return answer{}, err
	}
	d, err := a.store.CreateDataset(r.Context(), r.caller.ID, owner, fields)
	if err != nil {
		return answer{}, err
	}
	return created(d.Object()), nil
}

func (a *API) updateDataset(r *request) (answer, error) {
	patch, err := r.patch()
	if err != nil {
		return answer{}, a.wrong(r, err)
	}
	return shown(a.store.UpdateDataset(r.Context(), r.caller.ID, r.dataset(), patch))
}

// wrong is the error of a request with a bad body: what is wrong with it is
// told only to administrators of the dataset, who might have done it right.
func (a *API) wrong(r *request, err error) error {
	d, findErr := a.store.Dataset(r.Context(), r.caller.ID, r.dataset())
	return refusal(d, findErr, registry.Admin, err)
}

// wrongSample is wrong for a request about a sample, which takes a role.
func (a *API) wrongSample(r *request, sampleID webhook.ID, least registry.Role, err error) error {
	d, _, findErr := a.store.Sample(r.Context(), r.caller.ID, sampleID)
	return refusal(d, findErr, least, err)
}

// refusal is the first thing that speaks against a request: that its dataset is
// not found, that the caller's role is too small, or what is wrong with it.
func refusal(d *registry.Dataset, findErr error, least registry.Role, err error) error {
	switch {
	case findErr != nil:
		return findErr
	case d.Role < least:
		return registry.ErrForbidden
	default:
		return err
	}
}

func (a *API) deleteDataset(r *request) (answer, error) {
	return noContent, a.store.DeleteDataset(r.Context(), r.caller.ID, r.dataset())
}
