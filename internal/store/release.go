package store

import (
	"context"
	"database/sql"
	"errors"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"fmt"
)

const selectRelease = `
	SELECT r.id, r.name, r.description, r.status, r.samples_count, r.created_at, f.token, f.name
	FROM release r LEFT JOIN file f ON f.id = r.file_id`

func (s *Store) scanRelease(row scanner) (*registry.Release, error) {
	var r registry.Release
	var name, description, token, file string
	err := row.Scan(id(&r.ID), &name, &description, &r.Status, &r.SamplesCount, intoTime{&r.CreatedAt}, intoText{&token}, intoText{&file})
	r.Fields = registry.Fields{"name": registry.Quote(name), "description": registry.Quote(description)}
	if token != "" {
		r.URL = s.FileURL(token, file)
	}
	return &r, err
}

// FileURL is where a file is served.
func (s *Store) FileURL(token, name string) string {
	return s.cfg.PublicURL + registry.FilePath + token + "/" + name
}

// Releases lists the releases of a dataset that the caller may see, newest
// first.
func (s *Store) Releases(ctx context.Context, caller webhook.ID, ref DatasetRef) ([]*registry.Release, error) {
	d, err := s.Dataset(ctx, caller, ref)
	if err != nil {
		return nil, err
	}
	rows, err := s.query(ctx, selectRelease+` WHERE r.dataset_id = $1 ORDER BY r.id DESC`, key(d.ID))
	return collect(rows, err, s.scanRelease)
}

// Release finds a release of a dataset that the caller may see.
func (s *Store) Release(ctx context.Context, caller webhook.ID, ref DatasetRef, name string) (*registry.Release, error) {
	d, err := s.Dataset(ctx, caller, ref)
	if err != nil {
		return nil, err
	}
	r, err := s.scanRelease(s.row(ctx, selectRelease+` WHERE r.dataset_id = $1 AND r.name = $2`, key(d.ID), name))
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	return r, nil
}

// CreateRelease asks for a release; BuildRelease makes its file. Fields are
// complete.
func (s *Store) CreateRelease(ctx context.Context, caller webhook.ID, ref DatasetRef, fields registry.Fields) (*registry.Release, error) {
	var r *registry.Release
	err := s.write(ctx, func(t *tx) error {
		d, err := t.administered(caller, ref)
		if err != nil {
			return err
		}
		at := now()
		r = &registry.Release{ID: s.ids.New(at), Fields: fields, Status: registry.Pending, SamplesCount: d.SamplesCount, CreatedAt: at}
		n, err := t.exec(`INSERT INTO release (id, dataset_id, name, description, status, samples_count, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (dataset_id, name) DO NOTHING`,
			key(r.ID), key(d.ID), fields.String("name"), fields.String("description"), r.Status, r.SamplesCount, webhook.Micros(at))
		if err == nil && n == 0 {
			return registry.ErrReleaseExists
		}
		t.onCommit(t.s.signal)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create release: %w", err)
	}
	return r, nil
}

// DeleteRelease removes a release and its file. No event tells of it; one that
// is being built is not finished.
func (s *Store) DeleteRelease(ctx context.Context, caller webhook.ID, ref DatasetRef, name string) error {
	err := s.write(ctx, func(t *tx) error {
		d, err := t.administered(caller, ref)
		if err != nil {
			return err
		}
		var release, file webhook.ID
		err = t.row(`SELECT id, file_id FROM release WHERE dataset_id = $1 AND name = $2`, key(d.ID), name).Scan(id(&release), id(&file))
		if err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM release WHERE id = $1`, key(release)); err != nil {
			return err
		}
		t.onCommit(t.s.signal)
		_, err = t.exec(`UPDATE content SET dropped = $2 WHERE id = (SELECT content_id FROM file WHERE id = $1)`, key(file), true)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete release: %w", err)
	}
	return nil
}

// BuildRelease builds the oldest release that waits. It reports whether there
// was one. A release whose file cannot be made ends as failed, unless the
// database just cannot take it now.
func (s *Store) BuildRelease(ctx context.Context) (built bool, err error) {
	var dataset webhook.ID
	var release webhook.ID
	err = s.row(ctx, `SELECT r.id, r.dataset_id FROM release r JOIN dataset d ON d.id = r.dataset_id
		WHERE r.status = 'PENDING' AND d.deleted_at IS NULL ORDER BY r.id LIMIT 1`).Scan(id(&release), id(&dataset))
	if errors.Is(err, webhook.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("build release: %w", err)
	}
	content, count, err := s.writeRelease(ctx, release, dataset)
	if err == nil {
		err = s.finishRelease(ctx, release, dataset, content, count)
	}
	if err != nil && !errors.Is(err, webhook.ErrUnavailable) && ctx.Err() == nil {
		failErr := s.write(ctx, func(t *tx) error {
			_, err := t.exec(`UPDATE release SET status = 'FAILED' WHERE id = $1 AND status = 'PENDING'`, key(release))
			return err
		})
		err = errors.Join(err, failErr)
	}
	if err != nil {
		return false, fmt.Errorf("build release: %w", err)
	}
	return true, nil
}

// writeRelease stores the file of a release, from one consistent read.
func (s *Store) writeRelease(ctx context.Context, releaseID, dataset webhook.ID) (c Content, count int64, err error) {
	options := &sql.TxOptions{}
	if s.dialect.name == postgresDialect.name {
		options = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	read, err := s.reads.BeginTx(ctx, options)
	if err != nil {
		return c, 0, translate(err)
	}
	defer read.Rollback() //nolint:errcheck // it only read
	var owner webhook.ID
	if err := read.QueryRowContext(ctx, `SELECT owner_id FROM dataset WHERE id = $1`, key(dataset)).Scan(id(&owner)); err != nil {
		return c, 0, translate(err)
	}
	d, err := scanDataset(read.QueryRowContext(ctx, selectDataset+` AND x.id = $2`, key(owner), key(dataset)))
	if err != nil {
		return c, 0, translate(err)
	}
	r, err := s.scanRelease(read.QueryRowContext(ctx, selectRelease+` WHERE r.id = $1`, key(releaseID)))
	if err != nil {
		return c, 0, translate(err)
	}
	w, err := s.newContent(ctx)
	if err != nil {
		return c, 0, err
	}
	if _, err := w.Write(r.FileHead(d)); err != nil {
		return c, 0, err
	}
	if count, err = writeSamples(ctx, read, d, w); err != nil {
		return c, 0, translate(err)
	}
	if _, err := w.Write([]byte(registry.FileTail)); err != nil {
		return c, 0, err
	}
	if len(w.buf) > 0 {
		err = w.flush()
	}
	return w.content, count, err
}

// writeSamples writes the samples of a release file, each once with all its
// labels.
func writeSamples(ctx context.Context, read *sql.Tx, d *registry.Dataset, w *contentWriter) (count int64, err error) {
	sets := map[webhook.ID]string{}
	for _, l := range d.Labelsets {
		sets[l.ID] = l.Name
	}
	rows, err := read.QueryContext(ctx, `SELECT `+sampleColumns+`, l.labelset_id, l.attributes, `+labelColumns+`
		FROM sample s`+sampleJoins+` LEFT JOIN label l ON l.sample_id = s.id`+labelJoins+`
		WHERE s.dataset_id = $1 ORDER BY s.name, s.id`, key(d.ID))
	if err != nil {
		return 0, err
	}
	defer rows.Close() //nolint:errcheck // Err below tells
	var sample *registry.Sample
	var labels []*registry.Label
	flush := func() error {
		if sample == nil {
			return nil
		}
		line := registry.FileSample(d, sample, labels)
		if count++; count > 1 {
			line = append([]byte{','}, line...)
		}
		_, err := w.Write(line)
		return err
	}
	for rows.Next() {
		var s sampleRow
		var l labelRow
		var set webhook.ID
		if err := rows.Scan(append(append(s.into(), id(&set), &l.attributes), l.into()...)...); err != nil {
			return count, err
		}
		if sample == nil || s.ID != sample.ID {
			if err := flush(); err != nil {
				return count, err
			}
			sample, labels = s.sample(), nil
		}
		if !set.IsZero() {
			labels = append(labels, l.label(sets[set]))
		}
	}
	if err := rows.Err(); err != nil {
		return count, err
	}
	return count, flush()
}

// finishRelease gives a release its file, with its event. A release that is
// gone meanwhile leaves nothing.
func (s *Store) finishRelease(ctx context.Context, releaseID, dataset webhook.ID, c Content, count int64) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.complete(c); err != nil {
			return err
		}
		drop := func() error {
			_, err := t.exec(`UPDATE content SET dropped = $2 WHERE id = $1`, key(c.id), true)
			return err
		}
		var owner webhook.ID
		err := t.row(`SELECT owner_id FROM dataset WHERE id = $1`+t.s.dialect.forUpdate, key(dataset)).Scan(id(&owner))
		if errors.Is(err, sql.ErrNoRows) {
			return drop()
		}
		if err != nil {
			return err
		}
		d, err := scanDataset(t.row(selectDataset+` AND x.id = $2`, key(owner), key(dataset)))
		if errors.Is(err, sql.ErrNoRows) {
			return drop() // deleted
		}
		if err != nil {
			return err
		}
		at := now()
		f := File{ID: s.ids.New(at), Token: newFileToken(), ContentType: "application/json", CreatedAt: at, content: c.id}
		f.Name = d.Name() + ".json"
		if err := t.insertFile(&f, owner); err != nil {
			return err
		}
		n, err := t.exec(`UPDATE release SET status = 'SUCCEEDED', file_id = $2, samples_count = $3 WHERE id = $1 AND status = 'PENDING'`,
			key(releaseID), key(f.ID), count)
		if err != nil {
			return err
		}
		if n == 0 {
			return drop()
		}
		r, err := s.scanRelease(t.row(selectRelease+` WHERE r.id = $1`, key(releaseID)))
		if err != nil {
			return err
		}
		return t.emit(&d.Owner, registry.ReleaseCreated(d, r, at))
	})
}
