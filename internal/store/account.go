package store

import (
	"context"
	"errors"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"fmt"
	"time"
)

// accountColumns are the columns of an account under the alias a.
const accountColumns = `a.id, a.name, a.is_organization, a.is_operator, a.email, a.webhooks_enabled, a.application_id, a.created_at`

const selectAccount = `SELECT ` + accountColumns + ` FROM account a`

// intoAccount lists where the columns of an account go.
func intoAccount(a *registry.Account) []any {
	return []any{
		id(&a.ID), &a.Name, &a.Organization, &a.Operator, &a.Email, &a.WebhooksEnabled, id(&a.Application),
		intoTime{&a.CreatedAt},
	}
}

func scanAccount(row scanner) (registry.Account, error) {
	var a registry.Account
	err := row.Scan(intoAccount(&a)...)
	return a, err
}

func (t *tx) accountByName(name string) (registry.Account, error) {
	return scanAccount(t.row(selectAccount+` WHERE a.lower_name = $1`, registry.NormalName(name)))
}

// Account finds an account by name, whatever its case.
func (s *Store) Account(ctx context.Context, name string) (registry.Account, error) {
	a, err := scanAccount(s.row(ctx, selectAccount+` WHERE a.lower_name = $1`, registry.NormalName(name)))
	if err != nil {
		return a, fmt.Errorf("account: %w", err)
	}
	return a, nil
}

// CreateAccount stores a new account under a password hash; "" for an account
// that nobody can log in to. A name that is taken is webhook.ErrConflict.
func (s *Store) CreateAccount(ctx context.Context, a registry.Account, passwordHash string) (registry.Account, error) {
	err := s.write(ctx, func(t *tx) error {
		now := time.Now()
		a.ID = s.ids.New(now)
		a.CreatedAt = webhook.FromMicros(now.UnixMicro())
		n, err := t.exec(`
			INSERT INTO account (id, name, lower_name, is_organization, is_operator, email, password_hash, webhooks_enabled, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT DO NOTHING`,
			key(a.ID), a.Name, registry.NormalName(a.Name), a.Organization, a.Operator, a.Email, passwordHash, false,
			webhook.Micros(a.CreatedAt))
		if err == nil && n == 0 {
			return webhook.ErrConflict
		}
		return err
	})
	if err != nil {
		return a, fmt.Errorf("create account: %w", err)
	}
	return a, nil
}

// PasswordHash is the hash of an account's password; "" when it has none.
func (s *Store) PasswordHash(ctx context.Context, account webhook.ID) (string, error) {
	var hash string
	err := s.row(ctx, `SELECT password_hash FROM account WHERE id = $1`, key(account)).Scan(&hash)
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	return hash, nil
}

// SetPassword changes the password hash of an account and ends its sessions.
func (s *Store) SetPassword(ctx context.Context, account webhook.ID, hash string) error {
	err := s.write(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE account SET password_hash = $2 WHERE id = $1`, key(account), hash)
		if err == nil && n == 0 {
			return webhook.ErrNotFound
		}
		if err == nil {
			_, err = t.exec(`DELETE FROM session WHERE account_id = $1`, key(account))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	return nil
}

// AddMember makes a user a member of an organization, or changes what the
// membership says. Either name unknown, or of the wrong kind, is
// webhook.ErrNotFound.
func (s *Store) AddMember(ctx context.Context, organization, user string, admin bool, role registry.Role) error {
	err := s.write(ctx, func(t *tx) error {
		org, err := t.accountByName(organization)
		if err != nil || !org.Organization {
			return fmt.Errorf("organization: %w", orNotFound(err))
		}
		member, err := t.accountByName(user)
		if err != nil || member.Organization {
			return fmt.Errorf("user: %w", orNotFound(err))
		}
		_, err = t.exec(`
			INSERT INTO member (organization_id, user_id, is_admin, default_role, created_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (organization_id, user_id) DO UPDATE SET is_admin = excluded.is_admin, default_role = excluded.default_role`,
			key(org.ID), key(member.ID), admin, role, time.Now().UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("add member: %w", err)
	}
	return nil
}

// RemoveMember ends a membership; one that is not there is webhook.ErrNotFound.
func (s *Store) RemoveMember(ctx context.Context, organization, user string) error {
	err := s.write(ctx, func(t *tx) error {
		n, err := t.exec(`
			DELETE FROM member WHERE organization_id = (SELECT id FROM account WHERE lower_name = $1)
			AND user_id = (SELECT id FROM account WHERE lower_name = $2)`,
			registry.NormalName(organization), registry.NormalName(user))
		if err == nil && n == 0 {
			return webhook.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("remove member: %w", err)
	}
	return nil
}

func orNotFound(err error) error {
	if err == nil {
		return webhook.ErrNotFound
	}
	return err
}

const membershipsWhere = `
	SELECT ` + accountColumns + `, u.id, u.name, u.is_organization, u.is_operator, u.email, u.webhooks_enabled, u.application_id,
		u.created_at, m.is_admin, m.default_role
	FROM member m JOIN account a ON a.id = m.organization_id JOIN account u ON u.id = m.user_id WHERE `

func scanMembership(row scanner) (registry.Membership, error) {
	var m registry.Membership
	err := row.Scan(append(append(intoAccount(&m.Organization), intoAccount(&m.User)...), &m.Admin, &m.DefaultRole)...)
	return m, err
}

// Memberships lists the organizations of a user, by name.
func (s *Store) Memberships(ctx context.Context, user webhook.ID) ([]registry.Membership, error) {
	rows, err := s.query(ctx, membershipsWhere+`m.user_id = $1 ORDER BY a.lower_name`, key(user))
	return collect(rows, err, scanMembership)
}

// Members lists the members of an organization, by name.
func (s *Store) Members(ctx context.Context, organization webhook.ID) ([]registry.Membership, error) {
	rows, err := s.query(ctx, membershipsWhere+`m.organization_id = $1 ORDER BY u.lower_name`, key(organization))
	return collect(rows, err, scanMembership)
}

// Administers finds the account that bears a name and that the caller may act
// for: its own, or that of an organization it administers. A plain member gets
// registry.ErrNotAdministrator, anybody else webhook.ErrNotFound.
func (s *Store) Administers(ctx context.Context, caller webhook.ID, name string) (registry.Account, error) {
	a, err := s.Account(ctx, name)
	if err != nil || a.ID == caller {
		return a, err
	}
	var admin bool
	err = s.row(ctx, selectIsAdmin, key(a.ID), key(caller)).Scan(&admin)
	return a, administers(admin, err)
}

const selectIsAdmin = `SELECT is_admin FROM member WHERE organization_id = $1 AND user_id = $2`

func administers(admin bool, err error) error {
	if err == nil && !admin {
		return registry.ErrNotAdministrator
	}
	return err
}

// administers is Administers within a transaction.
func (t *tx) administers(caller webhook.ID, name string) (registry.Account, error) {
	a, err := t.accountByName(name)
	if err != nil || a.ID == caller {
		return a, err
	}
	var admin bool
	err = t.row(selectIsAdmin, key(a.ID), key(caller)).Scan(&admin)
	return a, administers(admin, err)
}

// EnableWebhooks switches the recording of events on or off for an account
// that the caller may act for. The first time it makes the account's webhook
// application; when another application bears the account's name as its uid,
// that is webhook.ErrConflict.
func (s *Store) EnableWebhooks(ctx context.Context, caller webhook.ID, name string, enabled bool) (registry.Account, error) {
	var a registry.Account
	err := s.write(ctx, func(t *tx) (err error) {
		if a, err = t.administers(caller, name); err != nil || a.WebhooksEnabled == enabled {
			return err
		}
		if enabled && a.Application.IsZero() {
			if a.Application, err = t.openApplication(a); err != nil {
				return err
			}
		}
		a.WebhooksEnabled = enabled
		_, err = t.exec(`UPDATE account SET webhooks_enabled = $2, application_id = $3 WHERE id = $1`,
			key(a.ID), enabled, optional(a.Application))
		return err
	})
	if err != nil {
		return a, fmt.Errorf("enable webhooks: %w", err)
	}
	return a, nil
}

// openApplication makes the webhook application of an account.
func (t *tx) openApplication(a registry.Account) (webhook.ID, error) {
	env, err := t.mainEnvironment()
	if err != nil {
		return webhook.ID{}, err
	}
	now := time.Now()
	app := webhook.Application{
		ID: t.s.ids.New(now), Environment: env, UID: a.Name, Name: a.Name, Account: a.ID,
		CreatedAt: webhook.FromMicros(now.UnixMicro()),
	}
	return app.ID, t.createApplication(app)
}

// Session finds whose session a token's hash belongs to, and when it began and
// was last seen.
func (s *Store) Session(ctx context.Context, hash []byte) (a registry.Account, began, seen time.Time, err error) {
	err = s.row(ctx, `SELECT `+accountColumns+`, s.created_at, s.seen_at
		FROM session s JOIN account a ON a.id = s.account_id WHERE s.hash = $1`, hash).
		Scan(append(intoAccount(&a), intoTime{&began}, intoTime{&seen})...)
	if err != nil {
		return a, began, seen, fmt.Errorf("session: %w", err)
	}
	return a, began, seen, nil
}

// SaveSession stores a session, or that it was seen now.
func (s *Store) SaveSession(ctx context.Context, hash []byte, account webhook.ID) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO session (hash, account_id, created_at, seen_at) VALUES ($1, $2, $3, $3)
			ON CONFLICT (hash) DO UPDATE SET seen_at = excluded.seen_at`, hash, key(account), time.Now().UnixMicro())
		return err
	})
}

// DeleteSession ends a session. Those last seen before stale go too.
func (s *Store) DeleteSession(ctx context.Context, hash []byte, stale time.Time) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM session WHERE hash = $1 OR seen_at < $2`, hash, webhook.Micros(stale))
		return err
	})
}

// APIKey is a key of an account as it can be shown: without the key.
type APIKey struct {
	ID      webhook.ID
	Account webhook.ID
	// Label is what its owner calls it; Hint is the end of the key itself.
	Label     string
	Hint      string
	CreatedAt time.Time
	// LastUsedAt is zero while it was never used, and otherwise right to
	// within some minutes.
	LastUsedAt time.Time
}

// MaxAPIKeys is how many keys an account may have.
const MaxAPIKeys = 100

// CreateAPIKey stores the hash of a key of an account.
func (s *Store) CreateAPIKey(ctx context.Context, account webhook.ID, label string, hash []byte, hint string) (APIKey, error) {
	k := APIKey{Account: account, Label: label, Hint: hint}
	err := s.write(ctx, func(t *tx) error {
		var n int
		if err := t.row(`SELECT count(*) FROM api_key WHERE account_id = $1`, key(account)).Scan(&n); err != nil {
			return err
		}
		if n >= MaxAPIKeys {
			return webhook.ErrLimit
		}
		now := time.Now()
		k.ID, k.CreatedAt = s.ids.New(now), webhook.FromMicros(now.UnixMicro())
		_, err := t.exec(`INSERT INTO api_key (id, account_id, label, hash, hint, created_at, last_used_at) VALUES ($1, $2, $3, $4, $5, $6, 0)`,
			key(k.ID), key(account), label, hash, hint, webhook.Micros(k.CreatedAt))
		return err
	})
	if err != nil {
		return k, fmt.Errorf("create API key: %w", err)
	}
	return k, nil
}

// APIKeys lists the keys of an account, oldest first.
func (s *Store) APIKeys(ctx context.Context, account webhook.ID) ([]APIKey, error) {
	rows, err := s.query(ctx, `SELECT id, account_id, label, hint, created_at, last_used_at FROM api_key WHERE account_id = $1 ORDER BY id`,
		key(account))
	return collect(rows, err, func(row scanner) (k APIKey, err error) {
		err = row.Scan(id(&k.ID), id(&k.Account), &k.Label, &k.Hint, intoTime{&k.CreatedAt}, intoTime{&k.LastUsedAt})
		return k, err
	})
}

// RevokeAPIKey removes a key of an account.
func (s *Store) RevokeAPIKey(ctx context.Context, account, keyID webhook.ID) error {
	err := s.write(ctx, func(t *tx) error {
		n, err := t.exec(`DELETE FROM api_key WHERE account_id = $1 AND id = $2`, key(account), key(keyID))
		if err == nil && n == 0 {
			return webhook.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("revoke API key: %w", err)
	}
	return nil
}

// keyUse is how exactly the last use of a key is kept.
const keyUse = 5 * time.Minute

// AccountByKey finds whose API key has this hash, and notes that it was used.
func (s *Store) AccountByKey(ctx context.Context, hash []byte) (registry.Account, error) {
	var a registry.Account
	var used time.Time
	err := s.row(ctx, `SELECT `+accountColumns+`, k.last_used_at FROM api_key k JOIN account a ON a.id = k.account_id WHERE k.hash = $1`,
		hash).Scan(append(intoAccount(&a), intoTime{&used})...)
	if err != nil {
		return a, fmt.Errorf("API key: %w", err)
	}
	if time.Since(used) > keyUse {
		err := s.write(ctx, func(t *tx) error {
			_, err := t.exec(`UPDATE api_key SET last_used_at = $2 WHERE hash = $1`, hash, time.Now().UnixMicro())
			return err
		})
		if err != nil && !errors.Is(err, webhook.ErrUnavailable) { // a full disk stops no reader
			return a, err
		}
	}
	return a, nil
}
