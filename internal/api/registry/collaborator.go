package registry

import (
	"fanfare/internal/registry"
)

func (a *API) collaborator(r *request) (answer, error) {
	c, err := a.store.Collaborator(r.Context(), r.caller.ID, r.dataset(), r.PathValue("user"))
	if err != nil {
		return answer{}, err
	}
	return ok(c.Object()), nil
}

// wrongRole is the error of a bad request about collaborators.
func (a *API) wrongRole(r *request, err error) error {
	d, findErr := a.store.Dataset(r.Context(), r.caller.ID, r.dataset())
	return refusal(d, findErr, registry.Manager, err)
}

func (a *API) addCollaborator(r *request) (answer, error) {
	fields, err := r.create()
	if err != nil {
		return answer{}, a.wrongRole(r, err)
	}
	role, _ := registry.ParseRole(fields.String("role"))
	c, err := a.store.AddCollaborator(r.Context(), r.caller.ID, r.dataset(), fields.String("user"), role)
	if err != nil {
		return answer{}, err
	}
	return created(c.Object()), nil
}

func (a *API) updateCollaborator(r *request) (answer, error) {
	patch, err := r.patch()
	if err != nil {
		return answer{}, a.wrongRole(r, err)
	}
	role, _ := registry.ParseRole(patch.String("role")) // NoRole when it is not said, which changes nothing
	c, err := a.store.UpdateCollaborator(r.Context(), r.caller.ID, r.dataset(), r.PathValue("user"), role)
	if err != nil {
		return answer{}, err
	}
	return ok(c.Object()), nil
}

func (a *API) removeCollaborator(r *request) (answer, error) {
	return noContent, a.store.RemoveCollaborator(r.Context(), r.caller.ID, r.dataset(), r.PathValue("user"))
}
