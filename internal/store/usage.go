package store

import (
	"context"
	"encoding/json"
	"fanfare/internal/webhook"
	"slices"
)

// purge forgets the payloads of a slice of an application's messages.
func (s *Store) purge(ctx context.Context, k *webhook.Task, position []byte) error {
	// What comes in later is not meant.
	rows, err := s.query(ctx, `SELECT id FROM message WHERE application_id = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4`,
		key(k.Application), position, key(k.ID), slice)
	messages, err := collect(rows, err, scanID)
	if err != nil {
		return err
	}
	next := step{position: position, end: len(messages) < slice, data: json.RawMessage(`{}`), done: k.Done + int64(len(messages))}
	if len(messages) > 0 {
		next.position = key(messages[len(messages)-1])
	}
	if next.end {
		next.data = json.RawMessage(text(map[string]int64{"messagesPurged": next.done}))
	}
	return s.advance(ctx, k, position, next, func(t *tx) error {
		if len(messages) == 0 {
			return nil
		}
		_, err := t.exec(`UPDATE message SET payload = NULL WHERE application_id = $1 AND id > $2 AND id <= $3 AND payload IS NOT NULL`,
			key(k.Application), position, next.position)
		if err != nil {
			return err
		}
		_, err = t.exec(`UPDATE digest SET body = NULL WHERE application_id = $1 AND body IS NOT NULL AND id IN (
			SELECT digest_id FROM digest_event WHERE message_id > $2 AND message_id <= $3)`,
			key(k.Application), position, next.position)
		return err
	})
}

func scanID(row scanner) (found webhook.ID, err error) {
	err = row.Scan(id(&found))
	return found, err
}

type appUsage struct {
	AppID               string  `json:"appId"`
	AppUID              *string `json:"appUid"`
	MessageDestinations int64   `json:"messageDestinations"`
}

// usageSlice is how many attempts, or applications, are counted at a time.
const usageSlice = 10_000

// countUsage counts a slice of the attempts of each application.
func (s *Store) countUsage(ctx context.Context, k *webhook.Task, position []byte) error {
	counts := map[webhook.ID]int64{}
	var kept map[string]int64
	if err := json.Unmarshal(k.Data, &kept); err != nil {
		return err
	}
	for app, n := range kept {
		parsed, err := webhook.ApplicationID.Parse(app)
		if err != nil {
			return err
		}
		counts[parsed] = n
	}
	rows, err := s.query(ctx, `SELECT id, application_id FROM attempt WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3`,
		position, key(webhook.FloorID(k.Params.Until)), usageSlice)
	n := 0
	last := position
	_, err = collect(rows, err, func(row scanner) (struct{}, error) {
		var attempt, app webhook.ID
		err := row.Scan(id(&attempt), id(&app))
		last = key(attempt)
		counts[app]++
		n++
		return struct{}{}, err
	})
	if err != nil {
		return err
	}
	next := step{position: last, end: n < usageSlice, done: k.Done + int64(n)}
	if !next.end {
		kept = map[string]int64{}
		for app, n := range counts {
			kept[webhook.ApplicationID.Format(app)] = n
		}
		next.data = json.RawMessage(text(kept))
		return s.advance(ctx, k, position, next, nil)
	}
	stats := []appUsage{}
	p := Page{Limit: slice, Ascending: true}
	for {
		apps, err := s.Applications(ctx, k.Environment, ApplicationFilter{}, p)
		if err != nil {
			return err
		}
		for i := range apps {
			if k.Params.Applications == nil || slices.Contains(k.Params.Applications, apps[i].ID) {
				stats = append(stats, appUsage{webhook.ApplicationID.Format(apps[i].ID), textOrNull(apps[i].UID), counts[apps[i].ID]})
			}
		}
		if len(apps) < slice {
			break
		}
		p.After = apps[len(apps)-1].ID
	}
	next.data = json.RawMessage(text(map[string]any{"appStats": stats}))
	return s.advance(ctx, k, position, next, nil)
}

type appTypes struct {
	AppID      string   `json:"appId"`
	EventTypes []string `json:"explicitlySubscribedEventTypes"`
	CatchAll   bool     `json:"hasCatchAllEndpoint"`
}

// aggregate tells for a slice of the applications which event types their
// endpoints have chosen.
func (s *Store) aggregate(ctx context.Context, k *webhook.Task, position []byte) error {
	var kept struct {
		EventTypes []appTypes `json:"event_types"`
	}
	if err := json.Unmarshal(k.Data, &kept); err != nil {
		return err
	}
	all := append([]appTypes{}, kept.EventTypes...)
	var after webhook.ID
	copy(after[:], position)
	apps, err := s.Applications(ctx, k.Environment, ApplicationFilter{}, Page{Limit: slice, Ascending: true, After: after})
	if err != nil {
		return err
	}
	for i := range apps {
		endpoints, err := s.Endpoints(ctx, apps[i].ID)
		if err != nil {
			return err
		}
		types := appTypes{AppID: webhook.ApplicationID.Format(apps[i].ID), EventTypes: []string{}}
		for _, e := range endpoints {
			types.CatchAll = types.CatchAll || e.EventTypes == nil
			types.EventTypes = append(types.EventTypes, e.EventTypes...)
		}
		slices.Sort(types.EventTypes)
		types.EventTypes = slices.Compact(types.EventTypes)
		all = append(all, types)
		after = apps[i].ID
	}
	return s.advance(ctx, k, position, step{
		position: key(after), end: len(apps) < slice, done: k.Done + int64(len(apps)),
		data: json.RawMessage(text(map[string]any{"event_types": all})),
	}, nil)
}
