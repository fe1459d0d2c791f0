package store

import (
	"context"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"fmt"
	"time"
)

// selectLastAdmin finds an organization that a user is the only administrator of.
const selectLastAdmin = `
	SELECT a.name FROM member m JOIN account a ON a.id = m.organization_id
	WHERE m.user_id = $1 AND m.is_admin
	AND NOT EXISTS (SELECT 1 FROM member o WHERE o.organization_id = m.organization_id AND o.user_id <> m.user_id AND o.is_admin)
	ORDER BY a.name LIMIT 1`

// DeleteAccount removes an account. What it made stays, under a name that
// nobody else can take; what it owned goes:
//
//   - nobody can log in or call the API as the account from the first moment;
//   - each of its datasets is deleted like by its owner, with its event;
//   - its files go;
//   - its webhook application is nobody's from then on: what was recorded is
//     still delivered, and an operator may delete it.
//
// It can be called again after it was interrupted. The only administrator of
// an organization is registry.ErrLastAdministrator.
func (s *Store) DeleteAccount(ctx context.Context, account webhook.ID) error {
	if err := s.write(ctx, func(t *tx) error { return t.lockOut(account) }); err != nil {
		return fmt.Errorf("delete account: %w", err)
	}
	for {
		datasets, err := s.DatasetsOf(ctx, account, account, Slice{Limit: 100})
		if err != nil {
			return fmt.Errorf("delete account: %w", err)
		}
		for _, d := range datasets {
			if err := s.DeleteDataset(ctx, account, DatasetRef{Owner: d.Owner.Name, Name: d.Name()}); err != nil {
				return fmt.Errorf("delete account: dataset %s: %w", d.Name(), err)
			}
		}
		if len(datasets) == 0 {
			break
		}
	}
	for more := true; more; {
		err := s.write(ctx, func(t *tx) (err error) {
			more, err = t.dropFiles(account)
			return err
		})
		if err != nil {
			return fmt.Errorf("delete account: files: %w", err)
		}
	}
	if err := s.write(ctx, func(t *tx) error { return t.forget(account) }); err != nil {
		return fmt.Errorf("delete account: %w", err)
	}
	return nil
}

// lockOut ends every way to act as the account.
func (t *tx) lockOut(account webhook.ID) error {
	rows, err := t.query(selectLastAdmin, key(account))
	organizations, err := collect(rows, err, func(row scanner) (name string, err error) {
		err = row.Scan(&name)
		return name, err
	})
	if err != nil {
		return err
	}
	if len(organizations) > 0 {
		return fmt.Errorf("%s: %w", organizations[0], registry.ErrLastAdministrator)
	}
	if n, err := t.exec(`UPDATE account SET password_hash = '', is_operator = $2 WHERE id = $1`, key(account), false); err != nil || n == 0 {
		return orNotFound(err)
	}
	for _, statement := range []string{
		`DELETE FROM session WHERE account_id = $1`,
		`DELETE FROM api_key WHERE account_id = $1`,
		`DELETE FROM member WHERE user_id = $1`,
		`DELETE FROM member WHERE organization_id = $1`,
		`DELETE FROM collaborator WHERE account_id = $1`,
	} {
		if _, err := t.exec(statement, key(account)); err != nil {
			return err
		}
	}
	return nil
}

// dropFiles gives up a slice of the files of an account, whose content is then
// removed by and by.
func (t *tx) dropFiles(account webhook.ID) (more bool, err error) {
	const some = ` IN (SELECT content_id FROM file WHERE owner_id = $1 AND content_id IS NOT NULL AND content_id IN
		(SELECT id FROM content WHERE NOT dropped) LIMIT $2)`
	n, err := t.exec(`UPDATE content SET dropped = (1 = 1) WHERE id`+some, key(account), slice)
	t.onCommit(t.s.signal)
	return n == slice, err
}

// forget leaves of an account only what others refer to.
func (t *tx) forget(account webhook.ID) error {
	a, err := scanAccount(t.row(selectAccount+` WHERE a.id = $1`, key(account)))
	if err != nil {
		return err
	}
	if !a.Application.IsZero() {
		// The uid comes free, so that somebody else can take the name.
		if _, err := t.exec(`UPDATE application SET account_id = NULL, uid = NULL, name = $2, updated_at = $3 WHERE id = $1`,
			key(a.Application), a.Name+" (deleted)", time.Now().UnixMicro()); err != nil {
			return err
		}
		if err := t.touch(a.Application); err != nil {
			return err
		}
	}
	// What is still being filled has no owner to show it to.
	if _, err := t.exec(`UPDATE dataset SET deleted_at = $2 WHERE owner_id = $1 AND deleted_at IS NULL`, key(account), time.Now().UnixMicro()); err != nil {
		return err
	}
	t.onCommit(t.s.signal)
	name := "deleted-" + accountBody(account)
	_, err = t.exec(`UPDATE account SET name = $2, lower_name = $2, email = '', webhooks_enabled = $3, application_id = NULL WHERE id = $1`,
		key(account), name, false)
	return err
}

// accountBody is what tells the deleted accounts apart.
func accountBody(account webhook.ID) string { return webhook.Prefix("").Format(account) }

// SetOperator lets an account see the pages of the operator, or no longer.
func (s *Store) SetOperator(ctx context.Context, account webhook.ID, operator bool) error {
	err := s.write(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE account SET is_operator = $2 WHERE id = $1`, key(account), operator)
		if err == nil && n == 0 {
			return webhook.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("set operator: %w", err)
	}
	return nil
}
