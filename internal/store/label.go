package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// labelColumns are those of a label apart from its attributes.
const labelColumns = `l.status, l.score, l.rating, labelmaker.name, l.created_at, updater.name, l.updated_at, judge.name, l.reviewed_at`

const labelJoins = `
	LEFT JOIN account labelmaker ON labelmaker.id = l.created_by
	LEFT JOIN account updater ON updater.id = l.updated_by
	LEFT JOIN account judge ON judge.id = l.reviewed_by`

const selectLabel = `SELECT l.attributes, ` + labelColumns + ` FROM label l` + labelJoins

// labelRow is a label as a query reads it.
type labelRow struct {
	registry.Label
	attributes    []byte
	status        string
	score, rating sql.NullFloat64
}

func (r *labelRow) into() []any {
	return []any{
		intoText{&r.status},
		&r.score, &r.rating,
		intoText{&r.CreatedBy},
		intoTime{&r.CreatedAt},
		intoText{&r.UpdatedBy},
		intoTime{&r.UpdatedAt},
		intoText{&r.ReviewedBy},
		intoTime{&r.ReviewedAt},
	}
}

func (r *labelRow) label(labelset string) *registry.Label {
	r.Labelset = labelset
	r.Fields = registry.Fields{
		"label_status": registry.Quote(r.status), "attributes": orNull(r.attributes),
		"score": floatOrNull(r.score), "rating": floatOrNull(r.rating),
	}
	return &r.Label
}

func floatOrNull(f sql.NullFloat64) json.RawMessage {
	if !f.Valid {
		return json.RawMessage("null")
	}
	return strconv.AppendFloat(nil, f.Float64, 'g', -1, 64)
}

func scanLabel(row scanner, labelset string) (*registry.Label, error) {
	var r labelRow
	if err := row.Scan(append([]any{&r.attributes}, r.into()...)...); err != nil {
		return nil, err
	}
	return r.label(labelset), nil
}

// labelsetOf finds a labelset of a dataset; nil when it has none of that name.
func labelsetOf(d *registry.Dataset, name string) *registry.Labelset {
	i := slices.IndexFunc(d.Labelsets, func(l registry.Labelset) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return &d.Labelsets[i]
}

const whereLabel = ` WHERE l.sample_id = $1 AND l.labelset_id = $2`

// Label finds the label of a sample that the caller may see.
func (s *Store) Label(ctx context.Context, caller, sampleID webhook.ID, labelset string) (*registry.Dataset, *registry.Sample, *registry.Label, error) {
	d, sample, err := s.Sample(ctx, caller, sampleID)
	if err != nil {
		return nil, nil, nil, err
	}
	set := labelsetOf(d, labelset)
	if set == nil {
		return nil, nil, nil, fmt.Errorf("labelset: %w", webhook.ErrNotFound)
	}
	label, err := scanLabel(s.row(ctx, selectLabel+whereLabel, key(sampleID), key(set.ID)), labelset)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("label: %w", err)
	}
	return d, sample, label, nil
}

// labelled is a label in a transaction, with all that it belongs to.
type labelled struct {
	dataset *registry.Dataset
	sample  *registry.Sample
	set     *registry.Labelset
	label   *registry.Label // nil for none
}

func (t *tx) labelled(caller, sampleID webhook.ID, least registry.Role, labelset string) (l labelled, err error) {
	if l.dataset, err = t.dataset(caller, least, whereDatasetOfSample, key(sampleID)); err != nil {
		return l, err
	}
	if l.set = labelsetOf(l.dataset, labelset); l.set == nil {
		return l, webhook.ErrNotFound
	}
	if l.sample, err = scanSample(t.row(selectSample+` WHERE s.id = $1`, key(sampleID))); err != nil {
		return l, err
	}
	l.label, err = scanLabel(t.row(selectLabel+whereLabel, key(sampleID), key(l.set.ID)), labelset)
	if errors.Is(err, sql.ErrNoRows) {
		return l, nil
	}
	return l, err
}

// LabelResult is a label after a change, with all that it belongs to.
type LabelResult struct {
	Dataset *registry.Dataset
	Sample  *registry.Sample
	Label   *registry.Label
	// Created says that there was none before.
	Created bool
}

// PutLabel makes or replaces a label. Fields are complete but for the rating,
// which stays.
func (s *Store) PutLabel(ctx context.Context, caller registry.Account, sampleID webhook.ID, labelset string, fields registry.Fields) (LabelResult, error) {
	var r LabelResult
	err := s.write(ctx, func(t *tx) error {
		l, err := t.labelled(caller.ID, sampleID, registry.Labeler, labelset)
		if err != nil {
			return err
		}
		if r.Created = l.label == nil; r.Created {
			err = t.createLabel(&l, caller, fields)
		} else {
			err = t.updateLabel(&l, caller, fields)
		}
		r.Dataset, r.Sample, r.Label = l.dataset, l.sample, l.label
		return err
	})
	if err != nil {
		return r, fmt.Errorf("put label: %w", err)
	}
	return r, nil
}

// UpdateLabel changes members of a label, as registry.Patch returns them.
func (s *Store) UpdateLabel(ctx context.Context, caller registry.Account, sampleID webhook.ID, labelset string, patch registry.Fields) (LabelResult, error) {
	var r LabelResult
	err := s.write(ctx, func(t *tx) error {
		l, err := t.labelled(caller.ID, sampleID, registry.Labeler, labelset)
		if err != nil {
			return err
		}
		if l.label == nil {
			return webhook.ErrNotFound
		}
		err = t.updateLabel(&l, caller, patch)
		r = LabelResult{Dataset: l.dataset, Sample: l.sample, Label: l.label}
		return err
	})
	if err != nil {
		return r, fmt.Errorf("update label: %w", err)
	}
	return r, nil
}

func (t *tx) createLabel(l *labelled, caller registry.Account, fields registry.Fields) error {
	if l.dataset.Role < registry.LabelRole("", fields) {
		return registry.ErrForbidden
	}
	at := now()
	whole := registry.Fields{"rating": json.RawMessage("null")}
	maps.Copy(whole, fields)
	l.label = &registry.Label{
		Labelset: l.set.Name, Fields: whole, CreatedBy: caller.Name, UpdatedBy: caller.Name, CreatedAt: at, UpdatedAt: at,
	}
	review(l.label, caller)
	if err := t.saveLabel(l, caller); err != nil {
		return err
	}
	if err := t.countLabel(l.dataset, l.set, "", l.label.Status()); err != nil {
		return err
	}
	return t.emit(&l.dataset.Owner, registry.LabelCreated(l.dataset, l.sample, l.label, at))
}

func (t *tx) updateLabel(l *labelled, caller registry.Account, patch registry.Fields) error {
	was := l.label.Status()
	if l.dataset.Role < registry.LabelRole(was, patch) {
		return registry.ErrForbidden
	}
	fields, changed := registry.Apply(registry.LabelFields, l.label.Fields, patch)
	if len(changed) == 0 {
		return nil
	}
	l.label.Fields, l.label.UpdatedBy, l.label.UpdatedAt = fields, caller.Name, now()
	if l.label.Status() != was {
		review(l.label, caller)
		if err := t.countLabel(l.dataset, l.set, was, l.label.Status()); err != nil {
			return err
		}
	}
	if err := t.saveLabel(l, caller); err != nil {
		return err
	}
	return t.emit(&l.dataset.Owner, registry.LabelUpdated(l.dataset, l.sample, l.label, was, changed, l.label.UpdatedAt))
}

// review notes who reviewed a label, when its new status says that somebody
// did.
func review(l *registry.Label, caller registry.Account) {
	if status := l.Status(); status == registry.Reviewed || status == registry.Rejected {
		l.ReviewedBy, l.ReviewedAt = caller.Name, l.UpdatedAt
	}
}

// saveLabel stores a label that caller made or changed. Who reviewed it changes
// only together with the time, which is then that of the change.
func (t *tx) saveLabel(l *labelled, caller registry.Account) error {
	f := l.label.Fields
	var reviewer webhook.ID // only when that changes
	if l.label.ReviewedAt.Equal(l.label.UpdatedAt) && l.label.ReviewedBy == caller.Name {
		reviewer = caller.ID
	}
	_, err := t.exec(`
		INSERT INTO label (sample_id, labelset_id, attributes, status, score, rating, created_by, created_at, updated_by, updated_at,
			reviewed_by, reviewed_at)
		VALUES ($1, $2, $3, $4, CAST($5 AS DOUBLE PRECISION), CAST($6 AS DOUBLE PRECISION), $7, $8, $7, $9, $10, $11)
		ON CONFLICT (sample_id, labelset_id) DO UPDATE SET attributes = excluded.attributes, status = excluded.status,
			score = excluded.score, rating = excluded.rating, updated_by = excluded.updated_by, updated_at = excluded.updated_at,
			reviewed_by = coalesce(excluded.reviewed_by, label.reviewed_by), reviewed_at = excluded.reviewed_at`,
		key(l.sample.ID), key(l.set.ID), nullable(f["attributes"]), l.label.Status(), nullableFloat(f, "score"), nullableFloat(f, "rating"),
		key(caller.ID), webhook.Micros(l.label.CreatedAt), webhook.Micros(l.label.UpdatedAt), optional(reviewer), webhook.Micros(l.label.ReviewedAt))
	return err
}

func nullableFloat(f registry.Fields, name string) any {
	if string(f[name]) == "null" {
		return nil
	}
	return f.Float(name)
}

// countLabel keeps the statistics of a dataset when a label of its ground truth
// goes from one status to another; "" is none.
func (t *tx) countLabel(d *registry.Dataset, set *registry.Labelset, from, to string) error {
	if set.Name != registry.GroundTruth || from == to {
		return nil
	}
	stats := map[string]int64{}
	maps.Copy(stats, d.LabelStats)
	if from != "" {
		stats[from]--
	}
	if to != "" {
		stats[to]++
	}
	d.LabelStats = stats
	_, err := t.exec(`UPDATE dataset SET label_stats = $2 WHERE id = $1`, key(d.ID), []byte(text(stats)))
	return err
}

// DeleteLabel removes a label.
func (s *Store) DeleteLabel(ctx context.Context, caller, sampleID webhook.ID, labelset string) error {
	err := s.write(ctx, func(t *tx) error {
		l, err := t.labelled(caller, sampleID, registry.Manager, labelset)
		if err != nil {
			return err
		}
		if l.label == nil {
			return webhook.ErrNotFound
		}
		return t.deleteLabel(&l)
	})
	if err != nil {
		return fmt.Errorf("delete label: %w", err)
	}
	return nil
}

func (t *tx) deleteLabel(l *labelled) error {
	if _, err := t.exec(`DELETE FROM label WHERE sample_id = $1 AND labelset_id = $2`, key(l.sample.ID), key(l.set.ID)); err != nil {
		return err
	}
	if err := t.countLabel(l.dataset, l.set, l.label.Status(), ""); err != nil {
		return err
	}
	return t.emit(&l.dataset.Owner, registry.LabelDeleted(l.dataset, l.sample, l.label, now()))
}

// MaxLabelsets is how many labelsets a dataset may have.
const MaxLabelsets = 1000

// CreateLabelset adds a labelset to a dataset. Fields are complete.
func (s *Store) CreateLabelset(ctx context.Context, caller webhook.ID, ref DatasetRef, fields registry.Fields) (*registry.Labelset, error) {
	var set registry.Labelset
	err := s.write(ctx, func(t *tx) error {
		d, err := t.administered(caller, ref)
		if err != nil {
			return err
		}
		at := now()
		set = registry.Labelset{ID: s.ids.New(at), Name: fields.String("name"), Description: fields.String("description"), CreatedAt: at}
		if labelsetOf(d, set.Name) != nil {
			return registry.ErrLabelsetExists
		}
		if len(d.Labelsets) >= MaxLabelsets {
			return webhook.ErrLimit
		}
		d.Labelsets = append(d.Labelsets, set)
		if err := t.saveLabelsets(d); err != nil {
			return err
		}
		return t.emit(&d.Owner, registry.LabelsetAdded(d, set.Name, at))
	})
	if err != nil {
		return nil, fmt.Errorf("create labelset: %w", err)
	}
	return &set, nil
}

func (t *tx) saveLabelsets(d *registry.Dataset) error {
	_, err := t.exec(`UPDATE dataset SET labelsets = $2 WHERE id = $1`, key(d.ID), storedLabelsets(d.Labelsets))
	return err
}

// DeleteLabelset removes a labelset with its labels, in slices; each label
// speaks for itself, and the dataset at last.
func (s *Store) DeleteLabelset(ctx context.Context, caller webhook.ID, ref DatasetRef, name string) error {
	for more := true; more; {
		err := s.write(ctx, func(t *tx) error {
			d, err := t.administered(caller, ref)
			if err != nil {
				return err
			}
			set := labelsetOf(d, name)
			switch {
			case set == nil:
				return webhook.ErrNotFound
			case name == registry.GroundTruth:
				return registry.ErrGroundTruth
			}
			n, err := t.emptyLabelset(d, set)
			if err != nil {
				return err
			}
			if more = n == slice; more {
				return nil
			}
			d.Labelsets = slices.DeleteFunc(d.Labelsets, func(l registry.Labelset) bool { return l.Name == name })
			if err := t.saveLabelsets(d); err != nil {
				return err
			}
			return t.emit(&d.Owner, registry.LabelsetRemoved(d, name, now()))
		})
		if err != nil {
			return fmt.Errorf("delete labelset: %w", err)
		}
	}
	return nil
}

// emptyLabelset removes a slice of the labels of a labelset.
func (t *tx) emptyLabelset(d *registry.Dataset, set *registry.Labelset) (int, error) {
	rows, err := t.query(`SELECT sample_id FROM label WHERE labelset_id = $1 ORDER BY sample_id LIMIT $2`, key(set.ID), slice)
	samples, err := collect(rows, err, func(row scanner) (sample webhook.ID, err error) {
		err = row.Scan(id(&sample))
		return sample, err
	})
	if err != nil {
		return 0, err
	}
	for _, sampleID := range samples {
		l := labelled{dataset: d, set: set}
		if l.sample, err = scanSample(t.row(selectSample+` WHERE s.id = $1`, key(sampleID))); err != nil {
			return 0, err
		}
		if l.label, err = scanLabel(t.row(selectLabel+whereLabel, key(sampleID), key(set.ID)), set.Name); err != nil {
			return 0, err
		}
		if err := t.deleteLabel(&l); err != nil {
			return 0, err
		}
	}
	return len(samples), nil
}
