package store

import (
	"context"
	"database/sql"
	"errors"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"fmt"
	"maps"
	"time"
)

// Clone copies a dataset that the caller may see into an account it may act
// for, with its labels when told so. The clone is filled in slices and hidden
// until it is whole; its events go out from then on.
func (s *Store) Clone(ctx context.Context, caller registry.Account, ref DatasetRef, owner string, fields registry.Fields, labels bool) (*registry.Dataset, error) {
	source, err := s.Dataset(ctx, caller.ID, ref)
	if err != nil {
		return nil, err
	}
	c := &clone{s: s, caller: caller, source: source, labels: labels, stats: map[string]int64{}, number: 1}
	if err := c.begin(ctx, owner, fields); err != nil {
		return nil, fmt.Errorf("clone: %w", err)
	}
	for more := true; more; {
		if more, err = c.copySlice(ctx); err != nil {
			c.abandon(context.WithoutCancel(ctx))
			return nil, fmt.Errorf("clone: %w", err)
		}
	}
	if err := c.finish(ctx); err != nil {
		c.abandon(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("clone: %w", err)
	}
	for more := true; more; {
		if more, err = s.SendCloneEvents(ctx); err != nil {
			s.log.WarnContext(ctx, "events of a clone wait for upkeep", "error", err)
			more = false
		}
	}
	return c.made, nil
}

// clone is a dataset on its way to being copied.
type clone struct {
	s      *Store
	caller registry.Account
	source *registry.Dataset
	labels bool

	made   *registry.Dataset
	last   webhook.ID // of the source's samples
	count  int64
	stats  map[string]int64
	number int64 // of the next event; 0 is for that of the dataset
}

func (c *clone) begin(ctx context.Context, owner string, fields registry.Fields) error {
	return c.s.write(ctx, func(t *tx) error {
		account, err := t.administers(c.caller.ID, owner)
		if errors.Is(err, sql.ErrNoRows) {
			return webhook.Invalid{{Field: "owner", Problem: registry.NoSuchUser}}
		}
		if err != nil {
			return err
		}
		at := now()
		d := &registry.Dataset{
			ID: t.s.ids.New(at), Owner: account, Fields: fields, Role: registry.Admin, CreatedAt: at, ClonedFrom: c.source.FullName(),
		}
		for _, l := range c.source.Labelsets {
			if c.labels || l.Name == registry.GroundTruth {
				d.Labelsets = append(d.Labelsets, registry.Labelset{ID: t.s.ids.New(at), Name: l.Name, Description: l.Description, CreatedAt: at})
			}
		}
		n, err := t.exec(`
			INSERT INTO dataset (id, owner_id, name, is_public, properties, labelsets, label_stats, samples_count, cloned_from, created_at, hidden_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $9) ON CONFLICT DO NOTHING`,
			key(d.ID), key(account.ID), d.Name(), d.Public(), []byte(text(fields)), storedLabelsets(d.Labelsets), []byte("{}"),
			d.ClonedFrom, webhook.Micros(at))
		if err == nil && n == 0 {
			return registry.ErrDatasetExists
		}
		c.made = d
		return err
	})
}

// copySlice copies the next samples with their labels, and keeps their events.
func (c *clone) copySlice(ctx context.Context) (more bool, err error) {
	// What a unit counts starts anew when it is run again.
	var after clone
	err = c.s.writeSlice(ctx, func(t *tx) error {
		after = *c
		after.stats = maps.Clone(c.stats)
		// The source may have been hidden from the caller meanwhile.
		if _, err := scanDataset(t.row(selectDataset+` AND x.id = $2`, key(c.caller.ID), key(c.source.ID))); err != nil {
			return err
		}
		rows, err := t.query(selectSample+` WHERE s.dataset_id = $1 AND s.id > $2 ORDER BY s.id LIMIT $3`, key(c.source.ID), key(c.last), slice)
		samples, err := collect(rows, err, scanSample)
		if err != nil {
			return err
		}
		for _, sample := range samples {
			if err := after.copySample(t, sample); err != nil {
				return err
			}
		}
		more = len(samples) == slice
		_, err = t.exec(`UPDATE dataset SET hidden_at = $2 WHERE id = $1`, key(c.made.ID), time.Now().UnixMicro())
		return err
	})
	if err == nil {
		*c = after
	}
	return more, err
}

func (c *clone) copySample(t *tx, from *registry.Sample) error {
	at := now()
	c.last = from.ID
	c.count++
	fields, _ := registry.Apply(registry.SampleFields, from.Fields, registry.Fields{
		"assigned_labeler": []byte("null"), "assigned_reviewer": []byte("null"),
	})
	sample := &registry.Sample{ID: t.s.ids.New(at), Fields: fields, CreatedBy: c.caller.Name, CreatedAt: at}
	if _, err := t.exec(`
		INSERT INTO sample (id, dataset_id, name, attributes, metadata, readme, priority, created_by, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)`,
		key(sample.ID), key(c.made.ID), sample.Name(), nullable(fields["attributes"]), []byte(fields["metadata"]),
		fields.String("readme"), fields.Float("priority"), key(c.caller.ID), webhook.Micros(at)); err != nil {
		return err
	}
	if err := c.keep(t, registry.SampleCreated(c.made, sample, at)); err != nil || !c.labels {
		return err
	}
	for i, set := range c.source.Labelsets {
		label, err := scanLabel(t.row(selectLabel+whereLabel, key(from.ID), key(set.ID)), set.Name)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		label.CreatedBy, label.UpdatedBy, label.CreatedAt, label.UpdatedAt = c.caller.Name, c.caller.Name, at, at
		label.ReviewedBy, label.ReviewedAt = "", time.Time{}
		l := labelled{dataset: c.made, sample: sample, set: &c.made.Labelsets[i], label: label}
		if err := t.saveLabel(&l, c.caller); err != nil {
			return err
		}
		if set.Name == registry.GroundTruth {
			c.stats[label.Status()]++
		}
		if err := c.keep(t, registry.LabelCreated(c.made, sample, label, at)); err != nil {
			return err
		}
	}
	return nil
}

// keep stores an event until the clone is whole.
func (c *clone) keep(t *tx, e registry.Event) error {
	_, err := t.exec(`INSERT INTO clone_event (dataset_id, number, event_type, subject, payload, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		key(c.made.ID), c.number, e.Type, e.Subject, e.Payload(t.s.cfg.MaxEvent), webhook.Micros(e.At))
	c.number++
	return err
}

// finish shows the clone. Whether its events are sent is decided now: when its
// owner has no webhooks enabled, they are not.
func (c *clone) finish(ctx context.Context) error {
	return c.s.write(ctx, func(t *tx) error {
		at := now()
		d := *c.made
		d.SamplesCount, d.LabelStats = c.count, c.stats
		n, err := t.exec(`UPDATE dataset SET hidden_at = NULL, samples_count = $2, label_stats = $3 WHERE id = $1 AND deleted_at IS NULL`,
			key(d.ID), d.SamplesCount, []byte(text(d.LabelStats)))
		if err != nil {
			return err
		}
		if n == 0 {
			return webhook.ErrNotFound
		}
		// The owner may have enabled or disabled webhooks since the start.
		if d.Owner, err = t.accountByName(d.Owner.Name); err != nil {
			return err
		}
		sending := webhook.Micros(at)
		if !d.Owner.WebhooksEnabled {
			sending = -sending
		}
		if _, err := t.exec(`UPDATE dataset SET sending_at = $2 WHERE id = $1`, key(d.ID), sending); err != nil {
			return err
		}
		first := *c
		first.made, first.number = &d, 0
		c.made = &d
		t.onCommit(t.s.signal)
		return first.keep(t, registry.DatasetCloned(&d, at))
	})
}

// abandon removes a clone that could not be filled.
func (c *clone) abandon(ctx context.Context) {
	err := c.s.write(ctx, func(t *tx) error {
		t.onCommit(t.s.signal)
		_, err := t.exec(`UPDATE dataset SET deleted_at = $2 WHERE id = $1`, key(c.made.ID), time.Now().UnixMicro())
		return err
	})
	if err != nil {
		c.s.log.ErrorContext(ctx, "a clone that failed stays hidden until the next start", "error", err)
	}
}

// SendCloneEvents sends a slice of the events of clones that are whole. It
// reports whether there is more.
func (s *Store) SendCloneEvents(ctx context.Context) (more bool, err error) {
	err = s.writeSlice(ctx, func(t *tx) error {
		var dataset, ownerID webhook.ID
		var name string
		var sending int64
		err := t.row(`SELECT id, owner_id, name, sending_at FROM dataset WHERE sending_at IS NOT NULL LIMIT 1`+t.s.dialect.forUpdate).
			Scan(id(&dataset), id(&ownerID), &name, &sending)
		if more = !errors.Is(err, sql.ErrNoRows); !more {
			return nil
		}
		if err != nil {
			return err
		}
		owner, err := scanAccount(t.row(selectAccount+` WHERE a.id = $1`, key(ownerID)))
		if err != nil {
			return err
		}
		rows, err := t.query(`SELECT number, event_type, subject, payload, created_at FROM clone_event WHERE dataset_id = $1 ORDER BY number LIMIT $2`,
			key(dataset), eventSlice)
		kept, err := collect(rows, err, func(row scanner) (e keptEvent, err error) {
			err = row.Scan(&e.number, &e.eventType, &e.subject, &e.payload, intoTime{&e.at})
			return e, err
		})
		if err != nil {
			return err
		}
		if len(kept) < eventSlice {
			if _, err := t.exec(`UPDATE dataset SET sending_at = NULL WHERE id = $1`, key(dataset)); err != nil {
				return err
			}
		}
		return t.sendKept(dataset, owner, owner.Name+"/"+name, kept, sending > 0)
	})
	if err != nil {
		return false, fmt.Errorf("send events of a clone: %w", err)
	}
	return more, nil
}

type keptEvent struct {
	number    int64
	eventType string
	subject   string
	payload   []byte
	at        time.Time
}

// sendKept turns kept events into messages, or forgets them.
func (t *tx) sendKept(dataset webhook.ID, owner registry.Account, fullName string, kept []keptEvent, send bool) error {
	var messages []*webhook.Message
	for _, e := range kept {
		if _, err := t.exec(`DELETE FROM clone_event WHERE dataset_id = $1 AND number = $2`, key(dataset), e.number); err != nil {
			return err
		}
		if send {
			messages = append(messages, &webhook.Message{
				Application: owner.Application, EventType: e.eventType, Dataset: fullName, Subject: e.subject, Payload: e.payload, CreatedAt: e.at,
			})
		}
	}
	return t.addMessages(messages)
}
