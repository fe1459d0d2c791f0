package store

import (
	"context"
	"database/sql"
	"errors"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"fmt"
	"time"
)

// selectDataset reads datasets as x with the role of the account $1 in each.
const selectDataset = `
	SELECT x.id, x.fields, x.labelsets, x.label_stats, x.cloned_from, x.created_at, x.samples_count, x.collaborators, x.role,
		x.owner_id, x.owner_name, x.is_organization, x.is_operator, x.email, x.webhooks_enabled, x.application_id, x.owner_created_at
	FROM (
		SELECT d.id, d.properties AS fields, d.labelsets, d.label_stats, d.cloned_from, d.is_public,
			d.samples_count, d.created_at, d.name, o.name || '/' || d.name AS full_name,
			(SELECT count(*) FROM collaborator c WHERE c.dataset_id = d.id) AS collaborators,
			CASE
				WHEN d.owner_id = $1 THEN 4
				WHEN EXISTS (SELECT 1 FROM member m WHERE m.organization_id = d.owner_id AND m.user_id = $1 AND m.is_admin) THEN 4
				ELSE coalesce((SELECT c.role FROM collaborator c WHERE c.dataset_id = d.id AND c.account_id = $1), 0)
			END AS role,
			d.owner_id, o.name AS owner_name, o.lower_name, o.is_organization, o.is_operator, o.email, o.webhooks_enabled,
			o.application_id, o.created_at AS owner_created_at
		FROM dataset d JOIN account o ON o.id = d.owner_id
		WHERE d.deleted_at IS NULL AND d.hidden_at IS NULL
	) x
	WHERE (x.role > 0 OR x.is_public)`

func scanDataset(row scanner) (*registry.Dataset, error) {
	var d registry.Dataset
	var labelsets []storedLabelset
	err := row.Scan(append([]any{
		id(&d.ID), intoJSON{&d.Fields}, intoJSON{&labelsets}, intoJSON{&d.LabelStats}, intoText{&d.ClonedFrom}, intoTime{&d.CreatedAt}, &d.SamplesCount, &d.CollaboratorsCount, &d.Role,
	}, intoAccount(&d.Owner)...)...)
	for _, l := range labelsets {
		d.Labelsets = append(d.Labelsets, registry.Labelset{
			ID: webhook.ID(l.ID), Name: l.Name, Description: l.Description, CreatedAt: webhook.FromMicros(l.CreatedAt),
		})
	}
	return &d, err
}

// storedLabelset is a labelset as its dataset's row holds it.
type storedLabelset struct {
	ID                []byte
	Name, Description string
	CreatedAt         int64
}

func storedLabelsets(labelsets []registry.Labelset) []byte {
	stored := make([]storedLabelset, len(labelsets))
	for i, l := range labelsets {
		stored[i] = storedLabelset{l.ID[:], l.Name, l.Description, webhook.Micros(l.CreatedAt)}
	}
	return []byte(text(stored))
}

// DatasetRef names a dataset.
type DatasetRef struct{ Owner, Name string }

const whereDatasetRef = ` AND x.lower_name = $2 AND x.name = $3`

// Dataset finds a dataset that the caller may see; any other is
// webhook.ErrNotFound.
func (s *Store) Dataset(ctx context.Context, caller webhook.ID, ref DatasetRef) (*registry.Dataset, error) {
	d, err := scanDataset(s.row(ctx, selectDataset+whereDatasetRef, key(caller), registry.NormalName(ref.Owner), ref.Name))
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	return d, nil
}

// Slice is a part of a list: Limit rows after the first Offset.
type Slice struct{ Limit, Offset int }

// Datasets lists, by full name, the caller's own datasets and those in which
// it collaborates.
func (s *Store) Datasets(ctx context.Context, caller webhook.ID, p Slice) ([]*registry.Dataset, error) {
	rows, err := s.query(ctx, selectDataset+`
		AND (x.owner_id = $1 OR x.id IN (SELECT c.dataset_id FROM collaborator c WHERE c.account_id = $1))
		ORDER BY x.full_name LIMIT $2 OFFSET $3`, key(caller), p.Limit, p.Offset)
	return collect(rows, err, scanDataset)
}

// DatasetsOf lists, by full name, the datasets of an owner that the caller may
// see.
func (s *Store) DatasetsOf(ctx context.Context, caller, owner webhook.ID, p Slice) ([]*registry.Dataset, error) {
	rows, err := s.query(ctx, selectDataset+` AND x.owner_id = $2 ORDER BY x.full_name LIMIT $3 OFFSET $4`,
		key(caller), key(owner), p.Limit, p.Offset)
	return collect(rows, err, scanDataset)
}

// dataset finds a dataset in which the caller has a role, and keeps others
// from changing it until this transaction ends: changes of one dataset, and
// their events, follow one another.
func (t *tx) dataset(caller webhook.ID, least registry.Role, where string, args ...any) (*registry.Dataset, error) {
	if t.s.dialect.forUpdate != "" {
		// The lock comes before the read, which then sees what the last
		// holder did.
		found, err := scanDataset(t.row(selectDataset+where, append([]any{key(caller)}, args...)...))
		if err != nil {
			return nil, err
		}
		var one int
		if err := t.row(`SELECT 1 FROM dataset WHERE id = $1`+t.s.dialect.forUpdate, key(found.ID)).Scan(&one); err != nil {
			return nil, err
		}
	}
	d, err := scanDataset(t.row(selectDataset+where, append([]any{key(caller)}, args...)...))
	if err != nil {
		return nil, err
	}
	if d.Role < least {
		return nil, registry.ErrForbidden
	}
	return d, nil
}

func (t *tx) datasetByRef(caller webhook.ID, least registry.Role, ref DatasetRef) (*registry.Dataset, error) {
	return t.dataset(caller, least, whereDatasetRef, registry.NormalName(ref.Owner), ref.Name)
}

// administered finds a dataset in which the caller may do everything.
func (t *tx) administered(caller webhook.ID, ref DatasetRef) (*registry.Dataset, error) {
	return t.datasetByRef(caller, registry.Admin, ref)
}

// emit records an event for the owner of a dataset, when the owner has
// webhooks enabled.
func (t *tx) emit(owner *registry.Account, e registry.Event) error {
	return t.emitAll(owner, []registry.Event{e})
}

func (t *tx) eventMessage(owner *registry.Account, e *registry.Event) *webhook.Message {
	return &webhook.Message{
		Application: owner.Application, EventType: e.Type, Dataset: e.Dataset, Subject: e.Subject,
		Payload: e.Payload(t.s.cfg.MaxEvent), CreatedAt: e.At,
	}
}

// emitAll records events for the owner of a dataset, in one go.
func (t *tx) emitAll(owner *registry.Account, events []registry.Event) error {
	if !owner.WebhooksEnabled {
		return nil
	}
	messages := make([]*webhook.Message, len(events))
	for i := range events {
		messages[i] = t.eventMessage(owner, &events[i])
	}
	return t.addMessages(messages)
}

// now is the time of a change, as precise as it is stored.
func now() time.Time { return webhook.FromMicros(time.Now().UnixMicro()) }

// CreateDataset makes a dataset of the caller, or of an organization that the
// caller administers. Fields are complete, as registry.Create returns them.
func (s *Store) CreateDataset(ctx context.Context, caller webhook.ID, owner string, fields registry.Fields) (*registry.Dataset, error) {
	var d *registry.Dataset
	err := s.write(ctx, func(t *tx) error {
		account, err := t.administers(caller, owner)
		if err != nil {
			return err
		}
		at := now()
		d = &registry.Dataset{
			ID: s.ids.New(at), Owner: account, Fields: fields, Role: registry.Admin, CreatedAt: at,
			Labelsets: []registry.Labelset{{ID: s.ids.New(at), Name: registry.GroundTruth, CreatedAt: at}},
		}
		n, err := t.exec(`
			INSERT INTO dataset (id, owner_id, name, is_public, properties, labelsets, label_stats, samples_count, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8) ON CONFLICT DO NOTHING`,
			key(d.ID), key(account.ID), d.Name(), d.Public(), []byte(text(fields)), storedLabelsets(d.Labelsets),
			[]byte("{}"), webhook.Micros(at))
		if err != nil {
			return err
		}
		if n == 0 {
			return registry.ErrDatasetExists
		}
		if account.Organization {
			d.CollaboratorsCount, err = t.exec(`
				INSERT INTO collaborator (dataset_id, account_id, role, created_at)
				SELECT $1, user_id, default_role, CAST($2 AS BIGINT) FROM member WHERE organization_id = $3 AND default_role > 0`,
				key(d.ID), webhook.Micros(at), key(account.ID))
			if err != nil {
				return err
			}
		}
		return t.emit(&d.Owner, registry.DatasetCreated(d, at))
	})
	if err != nil {
		return nil, fmt.Errorf("create dataset: %w", err)
	}
	return d, nil
}

// UpdateDataset changes members of a dataset, as registry.Patch returns them.
func (s *Store) UpdateDataset(ctx context.Context, caller webhook.ID, ref DatasetRef, patch registry.Fields) (*registry.Dataset, error) {
	var d *registry.Dataset
	err := s.write(ctx, func(t *tx) (err error) {
		if d, err = t.administered(caller, ref); err != nil {
			return err
		}
		var changed []string
		if d.Fields, changed = registry.Apply(registry.DatasetFields, d.Fields, patch); len(changed) == 0 {
			return nil
		}
		if _, err := t.exec(`UPDATE dataset SET is_public = $2, properties = $3 WHERE id = $1`,
			key(d.ID), d.Public(), []byte(text(d.Fields))); err != nil {
			return err
		}
		return t.emit(&d.Owner, registry.DatasetUpdated(d, changed, now()))
	})
	if err != nil {
		return nil, fmt.Errorf("update dataset: %w", err)
	}
	return d, nil
}

// DeleteDataset removes a dataset with all it holds. It is gone for everybody
// at once; its rows are removed by and by, in slices.
func (s *Store) DeleteDataset(ctx context.Context, caller webhook.ID, ref DatasetRef) error {
	err := s.write(ctx, func(t *tx) error {
		d, err := t.administered(caller, ref)
		if err != nil {
			return err
		}
		at := now()
		if _, err := t.exec(`UPDATE dataset SET deleted_at = $2 WHERE id = $1`, key(d.ID), webhook.Micros(at)); err != nil {
			return err
		}
		t.onCommit(t.s.signal)
		return t.emit(&d.Owner, registry.DatasetDeleted(d, at))
	})
	if err != nil {
		return fmt.Errorf("delete dataset: %w", err)
	}
	return nil
}

// slice is how many rows one transaction changes at most, so that the writer
// is free for others in between; eventSlice is the same where each row causes an
// event with its deliveries.
const (
	slice      = 200
	eventSlice = 25
)

// abandonedClone is how long after its last slice a clone counts as left behind
// by a node that died.
const abandonedClone = time.Hour

// RemoveDeleted removes a slice of what deleted datasets held, and clones that
// were never finished. It reports
// whether there is more.
func (s *Store) RemoveDeleted(ctx context.Context) (more bool, err error) {
	err = s.writeSlice(ctx, func(t *tx) error {
		more = true
		var dataset webhook.ID
		err := t.row(`SELECT id FROM dataset WHERE (deleted_at IS NOT NULL OR hidden_at < $1) AND sending_at IS NULL LIMIT 1`,
			time.Now().Add(-abandonedClone).UnixMicro()).Scan(id(&dataset))
		if errors.Is(err, sql.ErrNoRows) {
			more = false
			return nil
		}
		if err != nil {
			return err
		}
		const some = ` IN (SELECT id FROM sample WHERE dataset_id = $1 ORDER BY id LIMIT $2)`
		for _, statement := range []string{
			`DELETE FROM label WHERE sample_id` + some,
			`DELETE FROM comment WHERE issue_id IN (SELECT id FROM issue WHERE sample_id` + some + `)`,
			`DELETE FROM issue WHERE sample_id` + some,
		} {
			if _, err := t.exec(statement, key(dataset), slice); err != nil {
				return err
			}
		}
		n, err := t.exec(`DELETE FROM sample WHERE id`+some, key(dataset), slice)
		if err != nil || n == slice {
			return err
		}
		if n, err := t.exec(`DELETE FROM clone_event WHERE dataset_id = $1 AND number IN
			(SELECT number FROM clone_event WHERE dataset_id = $1 ORDER BY number LIMIT $2)`, key(dataset), slice); err != nil || n == slice {
			return err
		}
		for _, statement := range []string{
			`UPDATE content SET dropped = (1 = 1) WHERE id IN (SELECT f.content_id FROM file f JOIN release r ON r.file_id = f.id WHERE r.dataset_id = $1)`,
			`DELETE FROM release WHERE dataset_id = $1`,
			`DELETE FROM collaborator WHERE dataset_id = $1`,
			`DELETE FROM dataset WHERE id = $1`,
		} {
			if _, err := t.exec(statement, key(dataset)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("remove deleted datasets: %w", err)
	}
	return more, nil
}
