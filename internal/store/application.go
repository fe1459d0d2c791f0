package store

import (
	"context"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// application is the configuration that decides where a message goes.
type application struct {
	webhook.Application
	version   int64
	endpoints []*webhook.Endpoint
	// checked is the newest revision at which version was the current one.
	checked atomic.Int64
	// spread is to how many endpoints the last message went.
	spread atomic.Int32
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
	revision, err := t.revision()
	if err != nil {
		return nil, err
	}
	a := t.s.apps.get(appID)
	if a != nil && a.checked.Load() == revision && !t.revised {
		t.apps[appID] = a
		return a, nil
	}
	version, err := t.configVersion(appID)
	if err != nil {
		return nil, err
	}
	if a != nil && a.version == version {
		a.checked.Store(revision)
	} else {
		if a, err = t.loadApplication(appID); err != nil {
			return nil, err
		}
		t.onCommit(func() { t.s.apps.put(a) })
	}
	t.apps[appID] = a
	return a, nil
}

func (t *tx) configVersion(appID webhook.ID) (version int64, err error) {
	err = t.row(`SELECT config_version FROM application WHERE id = $1 AND deleted_at IS NULL`, key(appID)).Scan(&version)
	return version, err
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
	t.revise()
	_, err := t.exec(`UPDATE application SET config_version = config_version + 1 WHERE id = $1`, key(appID))
	return err
}

const selectApplication = `
	SELECT id, environment_id, uid, name, metadata, throttle, message_retention, attempt_retention, account_id, operational,
		config_version, created_at, updated_at
	FROM application`

func scanApplication(row scanner) (*application, error) {
	var a application
	var messages, attempts int64
	err := row.Scan(id(&a.ID), id(&a.Environment), intoText{&a.UID}, &a.Name, intoJSON{&a.Metadata}, &a.Throttle,
		&messages, &attempts, id(&a.Account), &a.Operational, &a.version, intoTime{&a.CreatedAt}, intoTime{&a.UpdatedAt})
	a.MessageRetention, a.AttemptRetention = micros(messages), micros(attempts)
	return &a, err
}

func applicationWhere(environment webhook.ID, ref string) (where string, args []any) {
	if appID, err := webhook.ApplicationID.Parse(ref); err == nil {
		return ` WHERE environment_id = $1 AND id = $2 AND NOT operational AND deleted_at IS NULL`, []any{key(environment), key(appID)}
	}
	return ` WHERE environment_id = $1 AND uid = $2 AND NOT operational AND deleted_at IS NULL`, []any{key(environment), named(ref)}
}

// Application finds an application of an environment by id or uid.
func (s *Store) Application(ctx context.Context, environment webhook.ID, ref string) (webhook.Application, error) {
	where, args := applicationWhere(environment, ref)
	a, err := scanApplication(s.row(ctx, selectApplication+where, args...))
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
		INSERT INTO application (id, environment_id, uid, name, metadata, throttle, account_id, operational, config_version,
			created_at, updated_at, message_retention, attempt_retention)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $9, $10, $11)
		ON CONFLICT DO NOTHING`,
		key(a.ID), key(a.Environment), optionalText(a.UID), a.Name, text(a.Metadata), a.Throttle, optional(a.Account),
		a.Operational, webhook.Micros(a.CreatedAt), a.MessageRetention.Microseconds(), a.AttemptRetention.Microseconds())
	if err == nil && n == 0 {
		return fmt.Errorf("application uid %q: %w", a.UID, webhook.ErrConflict)
	}
	return err
}

// EnsureApplication finds the application with the uid of a, or creates a.
func (s *Store) EnsureApplication(ctx context.Context, a webhook.Application) (found webhook.Application, created bool, err error) {
	for range 2 { // somebody else may create it in between
		if found, err = s.Application(ctx, a.Environment, a.UID); !errors.Is(err, webhook.ErrNotFound) {
			return found, false, err
		}
		if found, err = s.CreateApplication(ctx, a); !errors.Is(err, webhook.ErrConflict) {
			return found, err == nil, err
		}
	}
	return found, false, err
}

// ApplicationFilter narrows a list of applications.
type ApplicationFilter struct {
	// WithEndpoints leaves out applications that have none, NoneDisabled those
	// with one that is disabled.
	WithEndpoints, NoneDisabled bool
}

// Applications lists the applications of an environment.
func (s *Store) Applications(ctx context.Context, environment webhook.ID, f ApplicationFilter, p Page) ([]webhook.Application, error) {
	conditions := ""
	if f.WithEndpoints {
		conditions += ` AND EXISTS (SELECT 1 FROM endpoint e WHERE e.application_id = application.id AND e.deleted_at IS NULL)`
	}
	if f.NoneDisabled {
		conditions += ` AND NOT EXISTS (SELECT 1 FROM endpoint e WHERE e.application_id = application.id AND e.deleted_at IS NULL AND e.disabled)`
	}
	bounds, order, args := p.where("id", []any{key(environment)})
	rows, err := s.query(ctx, selectApplication+` WHERE environment_id = $1 AND deleted_at IS NULL AND NOT operational`+
		conditions+bounds+order, args...)
	return collect(rows, err, func(row scanner) (webhook.Application, error) {
		a, err := scanApplication(row)
		return a.Application, err
	})
}

// UpdateApplication changes an application by the function given, which may be
// called more than once. The uid of one that belongs to an account stays:
// changing it is ErrLinked.
func (s *Store) UpdateApplication(ctx context.Context, environment webhook.ID, ref string, change func(*webhook.Application) error) (webhook.Application, error) {
	var a *application
	err := s.write(ctx, func(t *tx) (err error) {
		where, args := applicationWhere(environment, ref)
		if a, err = scanApplication(t.row(selectApplication+where+t.s.dialect.forUpdate, args...)); err != nil {
			return err
		}
		before := a.Application
		if err := change(&a.Application); err != nil {
			return err
		}
		if a.UID != before.UID {
			if !a.Account.IsZero() {
				return webhook.ErrLinked
			}
			if err := t.freeUID(a.Application); err != nil {
				return err
			}
		}
		a.UpdatedAt = now()
		if _, err := t.exec(`
			UPDATE application SET uid = $2, name = $3, metadata = $4, throttle = $5, updated_at = $6, message_retention = $7, attempt_retention = $8
			WHERE id = $1`,
			key(a.ID), optionalText(a.UID), a.Name, text(a.Metadata), a.Throttle, webhook.Micros(a.UpdatedAt),
			a.MessageRetention.Microseconds(), a.AttemptRetention.Microseconds()); err != nil {
			return err
		}
		if a.Throttle != before.Throttle {
			if err := t.changedAll(a.ID); err != nil {
				return err
			}
		}
		return t.touch(a.ID)
	})
	if err != nil {
		return webhook.Application{}, fmt.Errorf("update application: %w", err)
	}
	return a.Application, nil
}

// freeUID refuses a uid that another application bears.
func (t *tx) freeUID(a webhook.Application) error {
	var n int
	err := t.row(`SELECT count(*) FROM application WHERE environment_id = $1 AND uid = $2 AND id <> $3 AND deleted_at IS NULL`,
		key(a.Environment), a.UID, key(a.ID)).Scan(&n)
	if err == nil && n > 0 {
		return fmt.Errorf("application uid %q: %w", a.UID, webhook.ErrConflict)
	}
	return err
}

// changedAll tells the dispatcher, once the change is durable, of each
// endpoint of an application.
func (t *tx) changedAll(app webhook.ID) error {
	rows, err := t.query(`SELECT id FROM endpoint WHERE application_id = $1 AND deleted_at IS NULL`, key(app))
	endpoints, err := collect(rows, err, func(row scanner) (e webhook.ID, err error) {
		err = row.Scan(id(&e))
		return e, err
	})
	for _, e := range endpoints {
		t.changed(e)
	}
	return err
}

// DeleteApplication removes an application with its endpoints and tokens. Its
// history stays until it is old; its open deliveries are canceled. One that
// belongs to an account is ErrLinked.
func (s *Store) DeleteApplication(ctx context.Context, environment webhook.ID, ref string) error {
	err := s.write(ctx, func(t *tx) error {
		where, args := applicationWhere(environment, ref)
		a, err := scanApplication(t.row(selectApplication+where+t.s.dialect.forUpdate, args...))
		switch {
		case err != nil:
			return err
		case !a.Account.IsZero():
			return webhook.ErrLinked
		}
		if err := t.changedAll(a.ID); err != nil {
			return err
		}
		for _, statement := range []string{
			`UPDATE endpoint SET deleted_at = $2 WHERE application_id = $1 AND deleted_at IS NULL`,
			`UPDATE application SET deleted_at = $2 WHERE id = $1`,
		} {
			if _, err := t.exec(statement, key(a.ID), time.Now().UnixMicro()); err != nil {
				return err
			}
		}
		if _, err := t.exec(`DELETE FROM token WHERE application_id = $1`, key(a.ID)); err != nil {
			return err
		}
		return t.touch(a.ID)
	})
	if err != nil {
		return fmt.Errorf("delete application: %w", err)
	}
	return nil
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

// CreateEnvironment finds an environment by name, or makes it.
func (s *Store) CreateEnvironment(ctx context.Context, name string) (webhook.ID, error) {
	err := s.write(ctx, func(t *tx) error { return t.createEnvironment(name) })
	if err != nil {
		return webhook.ID{}, fmt.Errorf("create environment %q: %w", name, err)
	}
	return s.Environment(ctx, name)
}

func (t *tx) createEnvironment(name string) error {
	at := time.Now()
	_, err := t.exec(`INSERT INTO environment (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		key(t.s.ids.New(at)), name, at.UnixMicro())
	return err
}

func (t *tx) mainEnvironment() (webhook.ID, error) {
	var env webhook.ID
	err := t.row(`SELECT id FROM environment WHERE name = $1`, MainEnvironment).Scan(id(&env))
	return env, err
}

// prepareData puts in place what every database holds, releases the claims of
// an earlier process on SQLite, and checks the secret key.
func (s *Store) prepareData(ctx context.Context) error {
	err := s.write(ctx, func(t *tx) error {
		if _, err := t.exec(`INSERT INTO revision (id, n) VALUES (1, 1) ON CONFLICT DO NOTHING`); err != nil {
			return err
		}
		if _, err := t.revision(); err != nil {
			return err
		}
		if err := t.createEnvironment(MainEnvironment); err != nil {
			return err
		}
		if err := t.saveBuiltIn(); err != nil {
			return err
		}
		if t.s.dialect.name == sqliteDialect.name && t.s.cfg.Exclusive {
			// A file has one node, and it has just begun: what it was cloning is
			// left behind.
			if _, err := t.exec(`UPDATE dataset SET hidden_at = 1 WHERE hidden_at IS NOT NULL`); err != nil {
				return err
			}
		}
		if err := t.checkKey(); err != nil {
			return err
		}
		return t.resumeListing()
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
