package registry

import (
	"fanfare/internal/registry"
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"net/http"
)

func (a *API) label(r *request) (answer, error) {
	sampleID, err := r.id("sample")
	if err != nil {
		return answer{}, err
	}
	d, s, l, err := a.store.Label(r.Context(), r.caller.ID, sampleID, r.PathValue("labelset"))
	if err != nil {
		return answer{}, err
	}
	return ok(l.Object(d, s)), nil
}

// putLabel makes or replaces a label.
func (a *API) putLabel(r *request) (answer, error) {
	sampleID, err := r.id("sample")
	if err != nil {
		return answer{}, err
	}
	fields, err := r.create()
	if err != nil {
		return answer{}, a.wrongSample(r, sampleID, registry.Labeler, err)
	}
	result, err := a.store.PutLabel(r.Context(), r.caller, sampleID, r.PathValue("labelset"), fields)
	return labelAnswer(result, err)
}

func (a *API) updateLabel(r *request) (answer, error) {
	sampleID, err := r.id("sample")
	if err != nil {
		return answer{}, err
	}
	patch, err := r.patch()
	if err != nil {
		return answer{}, a.wrongSample(r, sampleID, registry.Labeler, err)
	}
	result, err := a.store.UpdateLabel(r.Context(), r.caller, sampleID, r.PathValue("labelset"), patch)
	return labelAnswer(result, err)
}

func labelAnswer(r store.LabelResult, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	status := http.StatusOK
	if r.Created {
		status = http.StatusCreated
	}
	return answer{status: status, body: r.Label.Object(r.Dataset, r.Sample).Append(nil)}, nil
}

func (a *API) deleteLabel(r *request) (answer, error) {
	sampleID, err := r.id("sample")
	if err != nil {
		return answer{}, err
	}
	return noContent, a.store.DeleteLabel(r.Context(), r.caller.ID, sampleID, r.PathValue("labelset"))
}

func (a *API) labelsets(r *request) (answer, error) {
	d, err := a.store.Dataset(r.Context(), r.caller.ID, r.dataset())
	if err != nil {
		return answer{}, err
	}
	objects := make([]registry.Object, len(d.Labelsets))
	for i := range d.Labelsets {
		objects[i] = d.Labelsets[i].Object()
	}
	return list(objects), nil
}

func (a *API) labelset(r *request) (answer, error) {
	d, err := a.store.Dataset(r.Context(), r.caller.ID, r.dataset())
	if err != nil {
		return answer{}, err
	}
	for _, l := range d.Labelsets {
		if l.Name == r.PathValue("labelset") {
			return ok(l.Object()), nil
		}
	}
	return answer{}, webhook.ErrNotFound
}

func (a *API) createLabelset(r *request) (answer, error) {
	fields, err := r.create()
	if err != nil {
		return answer{}, a.wrong(r, err)
	}
	l, err := a.store.CreateLabelset(r.Context(), r.caller.ID, r.dataset(), fields)
	if err != nil {
		return answer{}, err
	}
	return created(l.Object()), nil
}

func (a *API) deleteLabelset(r *request) (answer, error) {
	return noContent, a.store.DeleteLabelset(r.Context(), r.caller.ID, r.dataset(), r.PathValue("labelset"))
}

// workunits lists nothing: a front end for labelling would record them.
func (a *API) workunits(r *request) (answer, error) {
	d, err := a.store.Dataset(r.Context(), r.caller.ID, r.dataset())
	return list(nil), refusal(d, err, registry.Manager, nil)
}
