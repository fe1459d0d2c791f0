package store

import (
	"context"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"sync"
	"time"
)

// application is the configuration that decides where a message goes.
type application struct {
	webhook.Application
	version   int64
	endpoints []*webhook.Endpoint
}

// appCache remembers configurations as of their version. Whoever reads one
// compares versions first, so that what another process changed a moment ago
// is not missed.
type appCache struct {
	mu   sync.RWMutex
	apps map[webhook.ID]*application
}

func newAppCache() *appCache { return &appCache{apps: map[webhook.ID]*application{}} }

func (c *appCache) get(id webhook.ID) *application {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.apps[id]
}

func (c *appCache) put(a *application) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.apps[a.ID]; before == nil || before.version < a.version {
		c.apps[a.ID] = a
	}
}

// application returns the configuration of an application as this transaction
// sees it.
func (t *tx) application(appID webhook.ID) (*application, error) {
	if a := t.apps[appID]; a != nil {
		return a, nil
	}
	var version int64
	err := t.row(`SELECT config_version FROM application WHERE id = $1 AND deleted_at IS NULL`, key(appID)).Scan(&version)
	if err != nil {
		return nil, err
	}
	a := t.s.apps.get(appID)
	if a == nil || a.version != version {
		if a, err = t.loadApplication(appID); err != nil {
			return nil, err
		}
		t.onCommit(func() { t.s.apps.put(a) })
	}
	t.apps[appID] = a
	return a, nil
}

func (t *tx) loadApplication(appID webhook.ID) (*application, error) {
	a, err := scanApplication(t.row(selectApplication+` WHERE id = $1 AND deleted_at IS NULL`, key(appID)))
	if err != nil {
		return nil, err
	}
	rows, err := t.query(selectEndpoint+` WHERE application_id = $1 AND deleted_at IS NULL ORDER BY id`, key(appID))
	a.endpoints, err = collect(rows, err, t.s.scanEndpoint)
	return a, err
}

// touch notes that the configuration of an application changes in this
// transaction.
func (t *tx) touch(appID webhook.ID) error {
	delete(t.apps, appID)
	_, err := t.exec(`UPDATE application SET config_version = config_version + 1 WHERE id = $1`, key(appID))
	return err
}

const selectApplication = `
	SELECT id, environment_id, uid, name, metadata, throttle, account_id, config_version, created_at, updated_at
	FROM application`

func scanApplication(row scanner) (*application, error) {
	var a application
	err := row.Scan(id(&a.ID), id(&a.Environment), intoText{&a.UID}, &a.Name, intoJSON{&a.Metadata}, &a.Throttle,
		id(&a.Account), &a.version, intoTime{&a.CreatedAt}, intoTime{&a.UpdatedAt})
	return &a, err
}

// Application finds an application of an environment by id or uid.
func (s *Store) Application(ctx context.Context, environment webhook.ID, ref string) (webhook.Application, error) {
	where, arg := ` WHERE environment_id = $1 AND uid = $2 AND deleted_at IS NULL`, any(ref)
	if appID, err := webhook.ApplicationID.Parse(ref); err == nil {
		where, arg = ` WHERE environment_id = $1 AND id = $2 AND deleted_at IS NULL`, key(appID)
	}
	a, err := scanApplication(s.row(ctx, selectApplication+where, key(environment), arg))
	if err != nil {
		return webhook.Application{}, fmt.Errorf("application: %w", err)
	}
	return a.Application, nil
}

// CreateApplication stores a new application. The caller gives all but ID and
// times; a uid taken in its environment is ErrConflict.
func (s *Store) CreateApplication(ctx context.Context, a webhook.Application) (webhook.Application, error) {
	err := s.write(ctx, func(t *tx) error {
		now := time.Now()
		a.ID = s.ids.New(now)
		a.CreatedAt = webhook.FromMicros(now.UnixMicro())
		a.UpdatedAt = a.CreatedAt
		return t.createApplication(a)
	})
	if err != nil {
		return a, fmt.Errorf("create application: %w", err)
	}
	return a, nil
}

// createApplication stores a new application; a uid that is taken in its
// environment is ErrConflict.
func (t *tx) createApplication(a webhook.Application) error {
	n, err := t.exec(`
		INSERT INTO application (id, environment_id, uid, name, metadata, throttle, account_id, config_version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8)
		ON CONFLICT DO NOTHING`,
		key(a.ID), key(a.Environment), optionalText(a.UID), a.Name, text(a.Metadata), a.Throttle, optional(a.Account),
		webhook.Micros(a.CreatedAt))
	if err == nil && n == 0 {
		return fmt.Errorf("application uid %q: %w", a.UID, webhook.ErrConflict)
	}
	return err
}

// MainEnvironment is the name of the environment that is always there; the
// registry's accounts live in it.
const MainEnvironment = "main"

// Environment finds an environment by name.
func (s *Store) Environment(ctx context.Context, name string) (webhook.ID, error) {
	var env webhook.ID
	err := s.row(ctx, `SELECT id FROM environment WHERE name = $1`, name).Scan(id(&env))
	if err != nil {
		return env, fmt.Errorf("environment %q: %w", name, err)
	}
	return env, nil
}

func (t *tx) environment(name string) (webhook.ID, error) {
	var env webhook.ID
	err := t.row(`SELECT id FROM environment WHERE name = $1`, name).Scan(id(&env))
	return env, err
}

// prepareData puts in place what every database holds, releases the claims of
// an earlier process on SQLite, and checks the secret key.
func (s *Store) prepareData(ctx context.Context) error {
	err := s.write(ctx, func(t *tx) error {
		if _, err := t.exec(`INSERT INTO environment (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			key(s.ids.New(time.Now())), MainEnvironment, time.Now().UnixMicro()); err != nil {
			return err
		}
		if t.s.dialect.name == sqliteDialect.name && t.s.cfg.Exclusive {
			// A file has one node, and it has just begun: what it was cloning is
			// left behind.
			if _, err := t.exec(`UPDATE dataset SET hidden_at = 1 WHERE hidden_at IS NOT NULL`); err != nil {
				return err
			}
		}
		return t.checkKey()
	})
	if err != nil {
		return err
	}
	if s.dialect.name == sqliteDialect.name && s.cfg.Exclusive {
		return s.releaseAll(ctx)
	}
	return nil
}

// ErrWrongKey means that the secret key is not the one that sealed what the
// database holds.
var ErrWrongKey = errors.New("the secret key is not the one this database was made with; set -secret-key (FANFARE_SECRET_KEY) to that one")

// checkKey compares the secret key with a value that the first one left.
func (t *tx) checkKey() error {
	if _, err := t.exec(`INSERT INTO setting (key, value) VALUES ('key_check', $1) ON CONFLICT DO NOTHING`,
		t.s.sealer.CheckValue()); err != nil {
		return err
	}
	var want []byte
	if err := t.row(`SELECT value FROM setting WHERE key = 'key_check'`).Scan(&want); err != nil {
		return err
	}
	if !t.s.sealer.Checks(want) {
		return ErrWrongKey
	}
	return nil
}
