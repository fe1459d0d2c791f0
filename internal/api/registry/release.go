package registry

import (
	"fanfare/internal/registry"
)

func (a *API) releases(r *request) (answer, error) {
	releases, err := a.store.Releases(r.Context(), r.caller.ID, r.dataset())
	objects := make([]registry.Object, len(releases))
	for i, release := range releases {
		objects[i] = release.Object()
	}
	return list(objects), err
}

func (a *API) release(r *request) (answer, error) {
	release, err := a.store.Release(r.Context(), r.caller.ID, r.dataset(), r.PathValue("release"))
	if err != nil {
		return answer{}, err
	}
	return ok(release.Object()), nil
}

func (a *API) createRelease(r *request) (answer, error) {
	fields, err := r.create()
	if err != nil {
		return answer{}, a.wrong(r, err)
	}
	release, err := a.store.CreateRelease(r.Context(), r.caller.ID, r.dataset(), fields)
	if err != nil {
		return answer{}, err
	}
	return created(release.Object()), nil
}

func (a *API) deleteRelease(r *request) (answer, error) {
	return noContent, a.store.DeleteRelease(r.Context(), r.caller.ID, r.dataset(), r.PathValue("release"))
}

func (a *API) clone(r *request) (answer, error) {
	source, err := a.store.Dataset(r.Context(), r.caller.ID, r.dataset())
	if err != nil {
		return answer{}, err
	}
	said, err := r.create()
	if err != nil {
		return answer{}, err
	}
	fields, wrong := registry.Cloned(source, said)
	if err := wrong.Err(); err != nil {
		return answer{}, err
	}
	owner := said.String("owner")
	if owner == "" {
		owner = r.caller.Name
	}
	d, err := a.store.Clone(r.Context(), r.caller, r.dataset(), owner, fields, said.Bool("clone_labels"))
	if err != nil {
		return answer{}, err
	}
	return created(d.Object()), nil
}
