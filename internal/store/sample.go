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

const sampleColumns = `s.id, s.name, s.attributes, s.metadata, s.readme, s.priority, s.created_at, labeler.name, reviewer.name, maker.name`

const sampleJoins = `
	LEFT JOIN account labeler ON labeler.id = s.assigned_labeler
	LEFT JOIN account reviewer ON reviewer.id = s.assigned_reviewer
	LEFT JOIN account maker ON maker.id = s.created_by`

const selectSample = `SELECT ` + sampleColumns + ` FROM sample s` + sampleJoins

// sampleRow is a sample as a query reads it.
type sampleRow struct {
	registry.Sample
	name, readme, labeler, reviewer string
	attributes, metadata            []byte
	priority                        float64
}

func (r *sampleRow) into() []any {
	return []any{
		id(&r.ID), &r.name, &r.attributes, &r.metadata, &r.readme, &r.priority,
		intoTime{&r.CreatedAt},
		intoText{&r.labeler},
		intoText{&r.reviewer},
		intoText{&r.CreatedBy},
	}
}

func (r *sampleRow) sample() *registry.Sample {
	r.Fields = registry.Fields{
		"name": registry.Quote(r.name), "attributes": orNull(r.attributes), "metadata": r.metadata, "readme": registry.Quote(r.readme),
		"priority":         strconv.AppendFloat(nil, r.priority, 'g', -1, 64),
		"assigned_labeler": quoteOrNull(r.labeler), "assigned_reviewer": quoteOrNull(r.reviewer),
	}
	return &r.Sample
}

func scanSample(row scanner) (*registry.Sample, error) {
	var r sampleRow
	if err := row.Scan(r.into()...); err != nil {
		return nil, err
	}
	return r.sample(), nil
}

// orNull is JSON from a column where NULL is null.
func orNull(raw []byte) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}

func quoteOrNull(s string) json.RawMessage {
	if s == "" {
		return json.RawMessage("null")
	}
	return registry.Quote(s)
}

// nullable is JSON as a query parameter, where null is NULL.
func nullable(raw json.RawMessage) any {
	if string(raw) == "null" {
		return nil
	}
	return []byte(raw)
}

// SampleQuery says which samples a list holds, and in which order.
type SampleQuery struct {
	Slice
	// Sort is one of the keys of SampleSorts; Descending turns it around.
	// Samples without a value come last either way.
	Sort       string
	Descending bool
	// Labelset names the labelset whose labels are listed; "" for
	// registry.GroundTruth. One that is not there has no labels.
	Labelset string
	// Full lists labels with their attributes.
	Full bool
	// Match lets a sample through by its name, its metadata and the status of
	// its label, "" when it has none; nil lets all through.
	Match func(name string, metadata json.RawMessage, status string) bool
}

// SampleSorts are the columns by which lists of samples can be sorted.
var SampleSorts = map[string]string{
	"name": "s.name", "created_at": "s.created_at", "priority": "s.priority", "updated_at": "s.updated_at",
	"gt_label__updated_at": "truth.updated_at",
}

// ListedSample is a sample with its label; nil for none.
type ListedSample struct {
	*registry.Sample
	Label *registry.Label
}

const selectListed = `
	SELECT ` + sampleColumns + `, l.sample_id IS NOT NULL, CASE WHEN $4 THEN l.attributes END, ` + labelColumns + `
	FROM sample s` + sampleJoins + `
	LEFT JOIN label truth ON truth.sample_id = s.id AND truth.labelset_id = $2
	LEFT JOIN label l ON l.sample_id = s.id AND l.labelset_id = $3` + labelJoins

// EachSample yields the samples of a dataset that a query lists, one by one: a
// page of them may be larger than memory. It ends with the first error of
// yield.
func (s *Store) EachSample(ctx context.Context, d *registry.Dataset, q SampleQuery, yield func(ListedSample) error) error {
	name := q.Labelset
	if name == "" {
		name = registry.GroundTruth
	}
	statement, args := q.statement(d, name)
	rows, err := s.query(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // read to the end, or given up
	for n := 0; n < q.Limit && rows.Next(); {
		l, err := scanListed(rows, name)
		if err != nil {
			return err
		}
		if !q.matches(l) {
			continue
		}
		if q.Match != nil && q.Offset > 0 {
			q.Offset--
			continue
		}
		if err := yield(l); err != nil {
			return err
		}
		n++
	}
	return translate(rows.Err())
}

// statement is the query in SQL. What Match says is asked afterwards, and only
// then can rows be counted.
func (q *SampleQuery) statement(d *registry.Dataset, labelset string) (statement string, args []any) {
	direction := "ASC"
	if q.Descending {
		direction = "DESC"
	}
	column := SampleSorts[q.Sort]
	statement = selectListed + fmt.Sprintf(" WHERE s.dataset_id = $1 ORDER BY %s IS NULL, %s %s, s.id %s", column, column, direction, direction)
	var set webhook.ID // that of no labelset, unless found
	if l := labelsetOf(d, labelset); l != nil {
		set = l.ID
	}
	args = []any{key(d.ID), key(labelsetOf(d, registry.GroundTruth).ID), key(set), q.Full}
	if q.Match == nil {
		statement += " LIMIT $5 OFFSET $6"
		args = append(args, q.Limit, q.Offset)
	}
	return statement, args
}

func (q *SampleQuery) matches(l ListedSample) bool {
	if q.Match == nil {
		return true
	}
	status := ""
	if l.Label != nil {
		status = l.Label.Status()
	}
	return q.Match(l.Name(), l.Fields["metadata"], status)
}

func scanListed(row scanner, labelset string) (ListedSample, error) {
	var s sampleRow
	var l labelRow
	var labelled bool
	err := row.Scan(append(append(s.into(), &labelled, &l.attributes), l.into()...)...)
	if err != nil {
		return ListedSample{}, err
	}
	listed := ListedSample{Sample: s.sample()}
	if labelled {
		listed.Label = l.label(labelset)
	}
	return listed, nil
}

const whereDatasetOfSample = ` AND x.id = (SELECT dataset_id FROM sample WHERE id = $2)`

// Sample finds a sample that the caller may see, with its dataset.
func (s *Store) Sample(ctx context.Context, caller, sampleID webhook.ID) (*registry.Dataset, *registry.Sample, error) {
	d, err := scanDataset(s.row(ctx, selectDataset+whereDatasetOfSample, key(caller), key(sampleID)))
	if err != nil {
		return nil, nil, fmt.Errorf("dataset: %w", err)
	}
	sample, err := scanSample(s.row(ctx, selectSample+` WHERE s.id = $1`, key(sampleID)))
	if err != nil {
		return nil, nil, fmt.Errorf("sample: %w", err)
	}
	return d, sample, nil
}

// CreateSample makes a sample. Fields are complete, as registry.Create returns
// them. A name that is taken is registry.ErrSampleExists.
func (s *Store) CreateSample(ctx context.Context, caller registry.Account, ref DatasetRef, fields registry.Fields) (*registry.Dataset, *registry.Sample, error) {
	var d *registry.Dataset
	var sample *registry.Sample
	err := s.write(ctx, func(t *tx) (err error) {
		if d, err = t.administered(caller.ID, ref); err != nil {
			return err
		}
		made, err := t.addSamples(d, caller, []registry.Fields{fields})
		if err != nil {
			return err
		}
		if made[0] == nil {
			return registry.ErrSampleExists
		}
		sample = made[0]
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("create sample: %w", err)
	}
	return d, sample, nil
}

// CreateSamples makes many samples, in slices. A name that is there already
// returns the sample that bears it, unchanged.
func (s *Store) CreateSamples(ctx context.Context, caller registry.Account, ref DatasetRef, list []registry.Fields) (*registry.Dataset, []*registry.Sample, error) {
	d, err := s.checkSamples(ctx, caller, ref, list)
	if err != nil {
		return nil, nil, fmt.Errorf("create samples: %w", err)
	}
	samples := make([]*registry.Sample, 0, len(list))
	for len(list) > 0 {
		part := list[:min(eventSlice, len(list))]
		list = list[len(part):]
		var made []*registry.Sample
		err := s.writeSlice(ctx, func(t *tx) (err error) {
			if d, err = t.administered(caller.ID, ref); err != nil {
				return err
			}
			if made, err = t.addSamples(d, caller, part); err != nil {
				return err
			}
			return t.fillIn(d, made, part)
		})
		if err != nil {
			return nil, nil, fmt.Errorf("create samples: %w", err)
		}
		samples = append(samples, made...)
	}
	return d, samples, nil
}

// checkSamples refuses a list of which any part would be refused, before the
// first slice is written.
func (s *Store) checkSamples(ctx context.Context, caller registry.Account, ref DatasetRef, list []registry.Fields) (d *registry.Dataset, err error) {
	err = s.writeSlice(ctx, func(t *tx) error {
		if d, err = t.administered(caller.ID, ref); err != nil {
			return err
		}
		assignees := t.assignees(d)
		for _, fields := range list {
			if err := assignees.check(fields); err != nil {
				return err
			}
		}
		return nil
	})
	return d, err
}

// addSamples inserts samples with their events. The place of one whose name is
// taken stays nil.
func (t *tx) addSamples(d *registry.Dataset, caller registry.Account, list []registry.Fields) ([]*registry.Sample, error) {
	made := make([]*registry.Sample, len(list))
	assignees := t.assignees(d)
	at := now()
	var events []registry.Event
	for i, fields := range list {
		if err := assignees.check(fields); err != nil {
			return nil, err
		}
		sample := &registry.Sample{ID: t.s.ids.New(at), Fields: assignees.named(fields), CreatedBy: caller.Name, CreatedAt: at}
		n, err := t.exec(`
			INSERT INTO sample (id, dataset_id, name, attributes, metadata, readme, priority, assigned_labeler, assigned_reviewer,
				created_by, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
			ON CONFLICT (dataset_id, name) DO NOTHING`,
			key(sample.ID), key(d.ID), sample.Name(), nullable(fields["attributes"]), []byte(fields["metadata"]),
			fields.String("readme"), fields.Float("priority"), assignees.id(fields, "assigned_labeler"),
			assignees.id(fields, "assigned_reviewer"), key(caller.ID), webhook.Micros(at))
		if err != nil {
			return nil, err
		}
		if n == 0 {
			continue
		}
		made[i] = sample
		events = append(events, registry.SampleCreated(d, sample, at))
	}
	if err := t.emitAll(&d.Owner, events); err != nil {
		return nil, err
	}
	return made, t.countSamples(d, int64(len(events)))
}

// countSamples keeps the number of a dataset's samples.
func (t *tx) countSamples(d *registry.Dataset, more int64) error {
	if more == 0 {
		return nil
	}
	d.SamplesCount += more
	_, err := t.exec(`UPDATE dataset SET samples_count = samples_count + $2 WHERE id = $1`, key(d.ID), more)
	return err
}

// fillIn reads the samples whose names were taken.
func (t *tx) fillIn(d *registry.Dataset, made []*registry.Sample, list []registry.Fields) (err error) {
	for i, sample := range made {
		if sample != nil {
			continue
		}
		made[i], err = scanSample(t.row(selectSample+` WHERE s.dataset_id = $1 AND s.name = $2`, key(d.ID), list[i].String("name")))
		if err != nil {
			return err
		}
	}
	return nil
}

// UpdateSample changes members of a sample, as registry.Patch returns them.
func (s *Store) UpdateSample(ctx context.Context, caller, sampleID webhook.ID, patch registry.Fields) (*registry.Dataset, *registry.Sample, error) {
	var d *registry.Dataset
	var sample *registry.Sample
	err := s.write(ctx, func(t *tx) (err error) {
		if d, err = t.dataset(caller, registry.SampleRole(patch), whereDatasetOfSample, key(sampleID)); err != nil {
			return err
		}
		if sample, err = scanSample(t.row(selectSample+` WHERE s.id = $1`, key(sampleID))); err != nil {
			return err
		}
		return t.updateSample(d, sample, patch)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("update sample: %w", err)
	}
	return d, sample, nil
}

func (t *tx) updateSample(d *registry.Dataset, sample *registry.Sample, patch registry.Fields) error {
	assignees := t.assignees(d)
	if err := assignees.check(patch); err != nil {
		return err
	}
	was := sample.Name()
	fields, changed := registry.Apply(registry.SampleFields, sample.Fields, assignees.named(patch))
	if len(changed) == 0 {
		return nil
	}
	if name := fields.String("name"); name != was {
		var one int
		err := t.row(`SELECT 1 FROM sample WHERE dataset_id = $1 AND name = $2`, key(d.ID), name).Scan(&one)
		if err == nil {
			return registry.ErrSampleExists
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	sample.Fields = fields
	at := now()
	_, err := t.exec(`
		UPDATE sample SET name = $2, attributes = $3, metadata = $4, readme = $5, priority = $6, updated_at = $7,
			assigned_labeler = CASE WHEN $8 THEN $9 ELSE assigned_labeler END,
			assigned_reviewer = CASE WHEN $10 THEN $11 ELSE assigned_reviewer END
		WHERE id = $1`,
		key(sample.ID), sample.Name(), nullable(fields["attributes"]), []byte(fields["metadata"]), fields.String("readme"),
		fields.Float("priority"), webhook.Micros(at),
		slices.Contains(changed, "assigned_labeler"), assignees.id(patch, "assigned_labeler"),
		slices.Contains(changed, "assigned_reviewer"), assignees.id(patch, "assigned_reviewer"))
	if err != nil {
		return err
	}
	return t.emit(&d.Owner, registry.SampleUpdated(d, sample, was, changed, at))
}

// DeleteSample removes a sample.
func (s *Store) DeleteSample(ctx context.Context, caller, sampleID webhook.ID) error {
	err := s.write(ctx, func(t *tx) error {
		d, err := t.dataset(caller, registry.Admin, whereDatasetOfSample, key(sampleID))
		if err != nil {
			return err
		}
		n, err := t.deleteSamples(d, []webhook.ID{sampleID})
		if err == nil && n == 0 {
			return webhook.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete sample: %w", err)
	}
	return nil
}

// DeleteSamples removes those of the samples named that are the dataset's, all
// in one transaction, and says how many there were.
func (s *Store) DeleteSamples(ctx context.Context, caller webhook.ID, ref DatasetRef, ids []webhook.ID) (deleted int64, err error) {
	err = s.writeSlice(ctx, func(t *tx) error {
		d, err := t.administered(caller, ref)
		if err != nil {
			return err
		}
		deleted, err = t.deleteSamples(d, ids)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete samples: %w", err)
	}
	return deleted, nil
}

func (t *tx) deleteSamples(d *registry.Dataset, ids []webhook.ID) (deleted int64, err error) {
	at := now()
	var events []registry.Event
	for _, sampleID := range ids {
		sample, err := scanSample(t.row(selectSample+` WHERE s.id = $1 AND s.dataset_id = $2`, key(sampleID), key(d.ID)))
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if err := t.removeSample(d, sampleID); err != nil {
			return 0, err
		}
		events = append(events, registry.SampleDeleted(d, sample, at))
	}
	if err := t.emitAll(&d.Owner, events); err != nil {
		return 0, err
	}
	deleted = int64(len(events))
	return deleted, t.countSamples(d, -deleted)
}

// removeSample removes a sample with its labels and issues, for which the
// sample's own event speaks.
func (t *tx) removeSample(d *registry.Dataset, sampleID webhook.ID) error {
	truth := labelsetOf(d, registry.GroundTruth)
	var status string
	err := t.row(`SELECT status FROM label WHERE sample_id = $1 AND labelset_id = $2`, key(sampleID), key(truth.ID)).Scan(&status)
	if err == nil {
		err = t.countLabel(d, truth, status, "")
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	for _, statement := range []string{
		`DELETE FROM label WHERE sample_id = $1`,
		`DELETE FROM comment WHERE issue_id IN (SELECT id FROM issue WHERE sample_id = $1)`,
		`DELETE FROM issue WHERE sample_id = $1`,
		`DELETE FROM sample WHERE id = $1`,
	} {
		if _, err := t.exec(statement, key(sampleID)); err != nil {
			return err
		}
	}
	return nil
}

// assignees resolves the names of accounts to which samples are assigned.
type assignees struct {
	t       *tx
	dataset *registry.Dataset
	known   map[string]*registry.Account // by normal name; nil for one that may not be named
}

func (t *tx) assignees(d *registry.Dataset) *assignees {
	return &assignees{t: t, dataset: d, known: map[string]*registry.Account{}}
}

// check finds the accounts that fields name. One that is not there, or may not
// see the dataset, is a webhook.Invalid.
func (a *assignees) check(fields registry.Fields) error {
	var wrong webhook.Invalid
	for _, field := range registry.Assignments {
		name := fields.String(field)
		if raw, ok := fields[field]; !ok || string(raw) == "null" {
			continue
		}
		account, err := a.find(registry.NormalName(name))
		if err != nil {
			return err
		}
		if account == nil {
			wrong.Add(field, registry.NoSuchUser)
		}
	}
	return wrong.Err()
}

func (a *assignees) find(name string) (*registry.Account, error) {
	account, ok := a.known[name]
	if ok {
		return account, nil
	}
	found, err := a.t.accountByName(name)
	if err == nil && !a.dataset.Public() {
		// Whoever may see a dataset finds it.
		_, err = scanDataset(a.t.row(selectDataset+` AND x.id = $2`, key(found.ID), key(a.dataset.ID)))
	}
	switch {
	case err == nil:
		account = &found
	case !errors.Is(err, sql.ErrNoRows):
		return nil, err
	}
	a.known[name] = account
	return account, nil
}

// named returns fields with accounts spelled as they spell themselves.
func (a *assignees) named(fields registry.Fields) registry.Fields {
	spelled := make(registry.Fields, len(fields))
	maps.Copy(spelled, fields)
	for _, field := range registry.Assignments {
		if account := a.known[registry.NormalName(fields.String(field))]; account != nil {
			spelled[field] = registry.Quote(account.Name)
		}
	}
	return spelled
}

// id is the account that a field names, as a query parameter.
func (a *assignees) id(fields registry.Fields, field string) any {
	if account := a.known[registry.NormalName(fields.String(field))]; account != nil {
		return key(account.ID)
	}
	return nil
}
