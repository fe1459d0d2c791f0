package store

import (
	"context"
	"database/sql"
	"errors"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"fmt"
)

const selectCollaborator = `
	SELECT ` + accountColumns + `, c.role FROM collaborator c JOIN account a ON a.id = c.account_id
	WHERE c.dataset_id = $1 AND a.lower_name = $2`

func scanCollaborator(row scanner) (registry.Collaborator, error) {
	var c registry.Collaborator
	err := row.Scan(append(intoAccount(&c.User), &c.Role)...)
	return c, err
}

// Collaborator finds a collaborator of a dataset in which the caller has a
// role.
func (s *Store) Collaborator(ctx context.Context, caller webhook.ID, ref DatasetRef, name string) (registry.Collaborator, error) {
	d, err := s.Dataset(ctx, caller, ref)
	if err == nil && d.Role < registry.Labeler {
		err = registry.ErrForbidden
	}
	if err != nil {
		return registry.Collaborator{}, err
	}
	c, err := scanCollaborator(s.row(ctx, selectCollaborator, key(d.ID), registry.NormalName(name)))
	if err != nil {
		return c, fmt.Errorf("collaborator: %w", err)
	}
	return c, nil
}

// mayGrant refuses what only administrators give and take: their own role.
func mayGrant(d *registry.Dataset, roles ...registry.Role) error {
	for _, role := range roles {
		if role == registry.Admin && d.Role < registry.Admin {
			return registry.ErrForbidden
		}
	}
	return nil
}

// AddCollaborator gives an account a role in a dataset.
func (s *Store) AddCollaborator(ctx context.Context, caller webhook.ID, ref DatasetRef, name string, role registry.Role) (registry.Collaborator, error) {
	c := registry.Collaborator{Role: role}
	err := s.write(ctx, func(t *tx) error {
		d, err := t.datasetByRef(caller, registry.Manager, ref)
		if err != nil {
			return err
		}
		if err := mayGrant(d, role); err != nil {
			return err
		}
		c.User, err = t.accountByName(name)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return webhook.Invalid{{Field: "user", Problem: registry.NoSuchUser}}
		case err != nil:
			return err
		case c.User.ID == d.Owner.ID, c.User.Organization:
			return registry.ErrNoCollaborator
		}
		at := now()
		n, err := t.exec(`INSERT INTO collaborator (dataset_id, account_id, role, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			key(d.ID), key(c.User.ID), role, webhook.Micros(at))
		if err != nil {
			return err
		}
		if n == 0 {
			return registry.ErrCollaboratorExists
		}
		d.CollaboratorsCount++
		return t.emit(&d.Owner, registry.CollaboratorAdded(d, c.User.Name, role, at))
	})
	if err != nil {
		return c, fmt.Errorf("add collaborator: %w", err)
	}
	return c, nil
}

// UpdateCollaborator changes the role of a collaborator.
func (s *Store) UpdateCollaborator(ctx context.Context, caller webhook.ID, ref DatasetRef, name string, role registry.Role) (registry.Collaborator, error) {
	var c registry.Collaborator
	err := s.write(ctx, func(t *tx) error {
		d, err := t.datasetByRef(caller, registry.Manager, ref)
		if err != nil {
			return err
		}
		if c, err = scanCollaborator(t.row(selectCollaborator, key(d.ID), registry.NormalName(name))); err != nil {
			return err
		}
		was := c.Role
		if err := mayGrant(d, was, role); err != nil || was == role || role == registry.NoRole {
			return err
		}
		c.Role = role
		if _, err := t.exec(`UPDATE collaborator SET role = $3 WHERE dataset_id = $1 AND account_id = $2`, key(d.ID), key(c.User.ID), role); err != nil {
			return err
		}
		return t.emit(&d.Owner, registry.CollaboratorChanged(d, c.User.Name, was, role, now()))
	})
	if err != nil {
		return c, fmt.Errorf("update collaborator: %w", err)
	}
	return c, nil
}

// RemoveCollaborator takes an account's role away. Everybody may give up their
// own.
func (s *Store) RemoveCollaborator(ctx context.Context, caller webhook.ID, ref DatasetRef, name string) error {
	err := s.write(ctx, func(t *tx) error {
		d, err := t.datasetByRef(caller, registry.Labeler, ref)
		if err != nil {
			return err
		}
		c, err := scanCollaborator(t.row(selectCollaborator, key(d.ID), registry.NormalName(name)))
		self := err == nil && c.User.ID == caller
		if !self && d.Role < registry.Manager {
			return registry.ErrForbidden
		}
		if err != nil {
			return err
		}
		if !self {
			if err := mayGrant(d, c.Role); err != nil {
				return err
			}
		}
		if _, err := t.exec(`DELETE FROM collaborator WHERE dataset_id = $1 AND account_id = $2`, key(d.ID), key(c.User.ID)); err != nil {
			return err
		}
		d.CollaboratorsCount--
		return t.emit(&d.Owner, registry.CollaboratorRemoved(d, c.User.Name, now()))
	})
	if err != nil {
		return fmt.Errorf("remove collaborator: %w", err)
	}
	return nil
}
