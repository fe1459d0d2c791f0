package store

import (
	"context"
	"fanfare/internal/webhook"
	"fmt"
	"time"
)

//nolint:gosec // it selects tokens and is none
const selectToken = `
	SELECT id, environment_id, application_id, hint, session_id, capabilities, feature_flags, created_at, expires_at
	FROM token`

func scanToken(row scanner) (webhook.Token, error) {
	var k webhook.Token
	err := row.Scan(id(&k.ID), id(&k.Environment), id(&k.Application), &k.Hint, intoText{&k.Session},
		intoJSON{&k.Capabilities}, intoJSON{&k.FeatureFlags}, intoTime{&k.CreatedAt}, intoTime{&k.ExpiresAt})
	return k, err
}

// CreateToken stores a token by its hash. The caller gives all but ID and
// CreatedAt.
func (s *Store) CreateToken(ctx context.Context, k webhook.Token, hash []byte) (webhook.Token, error) {
	err := s.write(ctx, func(t *tx) error {
		k.CreatedAt = now()
		k.ID = s.ids.New(k.CreatedAt)
		var capabilities any
		if k.Capabilities != nil {
			capabilities = text(k.Capabilities)
		}
		_, err := t.exec(`
			INSERT INTO token (id, environment_id, application_id, hash, hint, session_id, capabilities, feature_flags,
				created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			key(k.ID), key(k.Environment), optional(k.Application), hash, k.Hint, optionalText(k.Session), capabilities,
			list(k.FeatureFlags), webhook.Micros(k.CreatedAt), webhook.Micros(k.ExpiresAt))
		return err
	})
	if err != nil {
		return k, fmt.Errorf("create token: %w", err)
	}
	return k, nil
}

// TokenByHash finds a token that has not expired.
func (s *Store) TokenByHash(ctx context.Context, hash []byte) (webhook.Token, error) {
	k, err := scanToken(s.row(ctx, selectToken+` WHERE hash = $1 AND (expires_at = 0 OR expires_at > $2)`,
		hash, time.Now().UnixMicro()))
	if err != nil {
		return k, fmt.Errorf("token: %w", err)
	}
	return k, nil
}

// Tokens lists the tokens of an environment that have not expired, newest
// first.
func (s *Store) Tokens(ctx context.Context, environment webhook.ID, p Page) ([]webhook.Token, error) {
	bounds, order, args := p.where("id", []any{key(environment), time.Now().UnixMicro()})
	rows, err := s.query(ctx, selectToken+` WHERE environment_id = $1 AND (expires_at = 0 OR expires_at > $2)`+bounds+order, args...)
	return collect(rows, err, scanToken)
}

// CreateLink stores the hash of a code that opens the portal once, as the
// bearer of a token and for as long as that works.
func (s *Store) CreateLink(ctx context.Context, code []byte, token webhook.ID) error {
	err := s.write(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO link (hash, token_id) VALUES ($1, $2)`, code, key(token))
		return err
	})
	if err != nil {
		return fmt.Errorf("create link: %w", err)
	}
	return nil
}

// UseLink begins a session of the portal with a code, which then is used up.
// A code that is not known any more is webhook.ErrNotFound.
func (s *Store) UseLink(ctx context.Context, code, session []byte) (webhook.Token, error) {
	var k webhook.Token
	err := s.write(ctx, func(t *tx) error {
		var token webhook.ID
		at := time.Now().UnixMicro()
		if err := t.row(`DELETE FROM link WHERE hash = $1 RETURNING token_id`, code).Scan(id(&token)); err != nil {
			return err
		}
		t.wrote = true
		var err error
		if k, err = scanToken(t.row(selectToken+` WHERE id = $1 AND (expires_at = 0 OR expires_at > $2)`, key(token), at)); err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO session (hash, token_id, created_at, seen_at) VALUES ($1, $2, $3, $3)`, session, key(token), at)
		return err
	})
	if err != nil {
		return k, fmt.Errorf("use link: %w", err)
	}
	return k, nil
}

// SessionToken finds the token of a session that began with a link, while it
// works; otherwise webhook.ErrNotFound.
func (s *Store) SessionToken(ctx context.Context, session []byte) (webhook.Token, error) {
	k, err := scanToken(s.row(ctx, selectToken+` WHERE id = (SELECT token_id FROM session WHERE hash = $1) AND (expires_at = 0 OR expires_at > $2)`,
		session, time.Now().UnixMicro()))
	if err != nil {
		return k, fmt.Errorf("session: %w", err)
	}
	return k, nil
}

// What removes a slice of what has run out.
const (
	dropTokens = `DELETE FROM token WHERE id IN (SELECT id FROM token WHERE expires_at > 0 AND expires_at < $1 LIMIT $2)`
	dropKeys   = `DELETE FROM idempotency WHERE (expires_at, hash) IN (SELECT expires_at, hash FROM idempotency WHERE expires_at < $1 LIMIT $2)`
)

// RevokeToken removes a token; sessions that began with it end.
func (s *Store) RevokeToken(ctx context.Context, token webhook.ID) error {
	err := s.write(ctx, func(t *tx) error {
		t.revise()
		n, err := t.exec(`DELETE FROM token WHERE id = $1`, key(token))
		if err == nil && n == 0 {
			return webhook.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	return nil
}

// ExpireTokens has the tokens of an application end at a time, unless they end
// before it. With sessions, only those that were made for one of them.
func (s *Store) ExpireTokens(ctx context.Context, app webhook.ID, sessions []string, at time.Time) error {
	conditions, args := ``, []any{key(app), webhook.Micros(at)}
	for i, session := range sessions {
		args = append(args, session)
		separator := `, `
		if i == 0 {
			separator = ` AND session_id IN (`
		}
		conditions += fmt.Sprintf(`%s$%d`, separator, len(args))
	}
	if len(sessions) > 0 {
		conditions += `)`
	}
	err := s.write(ctx, func(t *tx) error {
		t.revise()
		_, err := t.exec(`UPDATE token SET expires_at = $2 WHERE application_id = $1 AND (expires_at = 0 OR expires_at > $2)`+conditions, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("expire tokens: %w", err)
	}
	return nil
}

// RemoveExpired removes a slice of what has run out: tokens, and the memory of
// requests.
func (s *Store) RemoveExpired(ctx context.Context) (more bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		more = false
		for _, statement := range []string{dropTokens, dropKeys} {
			n, err := t.exec(statement, time.Now().UnixMicro(), slice)
			if err != nil {
				return err
			}
			more = more || n == slice
		}
		for _, statement := range []string{
			`DELETE FROM link WHERE NOT EXISTS (SELECT 1 FROM token WHERE token.id = link.token_id)`,
			`DELETE FROM session WHERE token_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM token WHERE token.id = session.token_id)`,
		} {
			if _, err := t.exec(statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("remove what has expired: %w", err)
	}
	return more, nil
}
