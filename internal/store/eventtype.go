package store

import (
	"context"
	"encoding/json"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"fmt"
	"slices"
	"strings"
)

const selectEventType = `
	SELECT environment_id, name, description, schemas, archived, deprecated, validated, feature_flags, group_name,
		created_at, updated_at
	FROM event_type`

func scanEventType(row scanner) (webhook.EventType, error) {
	var e webhook.EventType
	err := row.Scan(id(&e.Environment), &e.Name, &e.Description, intoJSON{&e.Schemas}, &e.Archived, &e.Deprecated,
		&e.Validated, intoJSON{&e.FeatureFlags}, intoText{&e.GroupName}, intoTime{&e.CreatedAt}, intoTime{&e.UpdatedAt})
	return e, err
}

// EventTypeFilter narrows a list of event types.
type EventTypeFilter struct {
	// Archived includes those that are archived.
	Archived bool
	// Flags are held by whoever asks; with Flagged, types that need others are
	// left out.
	Flagged bool
	Flags   []string
}

// NamePage bounds a list ordered by name; its bounds are exclusive.
type NamePage struct {
	Limit         int
	After, Before string
	Descending    bool
}

// EventTypes lists the event types of an environment.
func (s *Store) EventTypes(ctx context.Context, environment webhook.ID, f EventTypeFilter, p NamePage) ([]webhook.EventType, error) {
	args := []any{key(environment), p.Limit, p.After}
	conditions, direction := "", ""
	if p.Before != "" {
		args = append(args, p.Before)
		conditions += fmt.Sprintf(` AND name < $%d`, len(args))
	}
	if !f.Archived {
		conditions += ` AND NOT archived`
	}
	if f.Flagged {
		alternatives := []string{"feature_flags IS NULL"}
		for _, flag := range f.Flags {
			args = append(args, text(flag))
			alternatives = append(alternatives, fmt.Sprintf(s.dialect.within, len(args), "feature_flags"))
		}
		conditions += " AND (" + strings.Join(alternatives, " OR ") + ")"
	}
	if p.Descending {
		direction = " DESC"
	}
	rows, err := s.query(ctx, selectEventType+` WHERE environment_id = $1 AND name > $3`+conditions+
		` ORDER BY name`+direction+` LIMIT $2`, args...)
	return collect(rows, err, scanEventType)
}

// EventType finds an event type, archived or not.
func (s *Store) EventType(ctx context.Context, environment webhook.ID, name string) (webhook.EventType, error) {
	e, err := scanEventType(s.row(ctx, selectEventType+` WHERE environment_id = $1 AND name = $2`, key(environment), name))
	if err != nil {
		return e, fmt.Errorf("event type: %w", err)
	}
	return e, nil
}

// UnknownEventTypes returns those of the names that are no event types of the
// environment, or are archived.
func (s *Store) UnknownEventTypes(ctx context.Context, environment webhook.ID, names []string) ([]string, error) {
	var unknown []string
	for _, name := range names {
		var n int
		err := s.row(ctx, `SELECT count(*) FROM event_type WHERE environment_id = $1 AND name = $2 AND NOT archived`,
			key(environment), name).Scan(&n)
		if err != nil {
			return nil, fmt.Errorf("event type: %w", err)
		}
		if n == 0 {
			unknown = append(unknown, name)
		}
	}
	return unknown, nil
}

// CreateEventType stores a new event type, or puts it in the place of an
// archived one. A name in use is webhook.ErrConflict.
func (s *Store) CreateEventType(ctx context.Context, e webhook.EventType) (webhook.EventType, error) {
	made, err := s.UpdateEventType(ctx, e.Environment, e.Name, func(before *webhook.EventType, exists bool) error {
		if exists && !before.Archived {
			return webhook.ErrConflict
		}
		e.CreatedAt = before.CreatedAt
		*before = e
		return nil
	})
	return made, err
}

// UpdateEventType changes an event type, or makes it, by the function given,
// which may be called more than once. A type of the product is
// webhook.ErrBuiltIn.
func (s *Store) UpdateEventType(ctx context.Context, environment webhook.ID, name string,
	change func(e *webhook.EventType, exists bool) error,
) (webhook.EventType, error) {
	var made webhook.EventType
	err := s.write(ctx, func(t *tx) (err error) {
		made, err = t.updateEventType(environment, name, change)
		return err
	})
	if err != nil {
		return made, fmt.Errorf("event type %s: %w", name, err)
	}
	return made, nil
}

func (t *tx) updateEventType(environment webhook.ID, name string, change func(e *webhook.EventType, exists bool) error) (webhook.EventType, error) {
	// Two who make the same type at once must not both be told that they did.
	var locked webhook.ID
	if err := t.row(`SELECT id FROM environment WHERE id = $1`+t.s.dialect.forUpdate, key(environment)).Scan(id(&locked)); err != nil {
		return webhook.EventType{}, err
	}
	rows, err := t.query(selectEventType+` WHERE environment_id = $1 AND name = $2`+t.s.dialect.forUpdate, key(environment), name)
	found, err := collect(rows, err, scanEventType)
	if err != nil {
		return webhook.EventType{}, err
	}
	at := now()
	e := webhook.EventType{Environment: environment, Name: name, CreatedAt: at}
	if len(found) > 0 {
		e = found[0]
	}
	if err := change(&e, len(found) > 0); err != nil {
		return e, err
	}
	if main, err := t.mainEnvironment(); err != nil || main == environment && builtIn(name) {
		return e, orElse(err, webhook.ErrBuiltIn)
	}
	if e.CreatedAt.IsZero() {
		e.CreatedAt = at
	}
	e.UpdatedAt = at
	return e, t.saveEventType(&e)
}

func orElse(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func (t *tx) saveEventType(e *webhook.EventType) error {
	t.revise()
	var schemas any
	if e.Schemas != nil {
		schemas = text(e.Schemas)
	}
	_, err := t.exec(`
		INSERT INTO event_type (environment_id, name, description, schemas, archived, deprecated, validated, feature_flags,
			group_name, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (environment_id, name) DO UPDATE SET description = $3, schemas = $4, archived = $5, deprecated = $6,
			validated = $7, feature_flags = $8, group_name = $9, created_at = $10, updated_at = $11`,
		key(e.Environment), e.Name, e.Description, schemas, e.Archived, e.Deprecated, e.Validated, list(e.FeatureFlags),
		optionalText(e.GroupName), webhook.Micros(e.CreatedAt), webhook.Micros(e.UpdatedAt))
	return err
}

// DeleteEventType archives an event type, or with expunge removes it.
func (s *Store) DeleteEventType(ctx context.Context, environment webhook.ID, name string, expunge bool) error {
	err := s.write(ctx, func(t *tx) error {
		_, err := t.updateEventType(environment, name, func(e *webhook.EventType, exists bool) error {
			if !exists {
				return webhook.ErrNotFound
			}
			e.Archived = true
			return nil
		})
		if err == nil && expunge {
			_, err = t.exec(`DELETE FROM event_type WHERE environment_id = $1 AND name = $2`, key(environment), name)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete event type: %w", err)
	}
	return nil
}

// ImportEventTypes makes the event types given, or changes those that are
// there, and with replaceAll archives all others. It returns the names of those
// that are not as they were; with dryRun nothing is changed. Types of the
// product stay as they are.
func (s *Store) ImportEventTypes(ctx context.Context, environment webhook.ID, types []webhook.EventType, replaceAll, dryRun bool) (changed []string, err error) {
	var wanted []string
	for _, e := range types {
		wanted = append(wanted, e.Name)
	}
	err = s.write(ctx, func(t *tx) error {
		changed = nil
		rows, err := t.query(selectEventType+` WHERE environment_id = $1 ORDER BY name`, key(environment))
		have, err := collect(rows, err, scanEventType)
		if err != nil {
			return err
		}
		main, err := t.mainEnvironment()
		if err != nil {
			return err
		}
		before := map[string]webhook.EventType{}
		var save []webhook.EventType
		for _, e := range have {
			before[e.Name] = e
			if replaceAll && !e.Archived && !slices.Contains(wanted, e.Name) {
				e.Archived = true
				save = append(save, e)
			}
		}
		for _, e := range types {
			old, exists := before[e.Name]
			e.Environment, e.CreatedAt, e.UpdatedAt, e.Validated = environment, old.CreatedAt, old.UpdatedAt, old.Validated
			if !exists || text(e) != text(old) {
				save = append(save, e)
			}
		}
		for _, e := range save {
			if main == environment && builtIn(e.Name) {
				continue
			}
			changed = append(changed, e.Name)
			if dryRun {
				continue
			}
			e.UpdatedAt = now()
			if e.CreatedAt.IsZero() {
				e.CreatedAt = e.UpdatedAt
			}
			if err := t.saveEventType(&e); err != nil {
				return err
			}
		}
		slices.Sort(changed)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("import event types: %w", err)
	}
	return changed, nil
}

// builtIn reports whether an event type belongs to the product.
func builtIn(name string) bool {
	for _, t := range registry.EventTypes {
		if t.Name == name {
			return true
		}
	}
	return false
}

// saveBuiltIn puts the event types of the registry into the main environment,
// as this version of the program knows them.
func (t *tx) saveBuiltIn() error {
	main, err := t.mainEnvironment()
	if err != nil {
		return err
	}
	for i := range registry.EventTypes {
		b := &registry.EventTypes[i]
		e := webhook.EventType{
			Environment: main, Name: b.Name, Description: b.Means, Schemas: map[string]json.RawMessage{"1": b.Schema()},
			GroupName: strings.SplitN(b.Name, ".", 2)[0], CreatedAt: now(), UpdatedAt: now(),
		}
		var same int
		err := t.row(`SELECT count(*) FROM event_type WHERE environment_id = $1 AND name = $2 AND description = $3 AND schemas = $4`,
			key(main), e.Name, e.Description, text(e.Schemas)).Scan(&same)
		if err != nil {
			return err
		}
		if same > 0 {
			continue
		}
		if err := t.saveEventType(&e); err != nil {
			return err
		}
	}
	return nil
}
