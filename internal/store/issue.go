package store

import (
	"context"
	"fanfare/internal/registry"
	"fanfare/internal/webhook"
	"fmt"
)

const selectIssue = `
	SELECT i.id, i.sample_id, s.name, i.description, i.status, i.anchor, i.created_by, maker.name, i.created_at, updater.name, i.updated_at
	FROM issue i
	JOIN sample s ON s.id = i.sample_id
	LEFT JOIN account maker ON maker.id = i.created_by
	LEFT JOIN account updater ON updater.id = i.updated_by`

func scanIssue(row scanner) (*registry.Issue, error) {
	var i registry.Issue
	var name, description, status string
	var anchor []byte
	err := row.Scan(id(&i.ID), id(&i.Sample.ID), &name, &description, &status, &anchor, id(&i.Author), intoText{&i.CreatedBy},
		intoTime{&i.CreatedAt}, intoText{&i.UpdatedBy}, intoTime{&i.UpdatedAt})
	i.Sample.Fields = registry.Fields{"name": registry.Quote(name)}
	i.Fields = registry.Fields{
		"description": registry.Quote(description), "status": registry.Quote(status), "anchor": orNull(anchor),
	}
	return &i, err
}

const selectComment = `
	SELECT c.issue_id, c.id, c.text, c.created_by, a.name, c.created_at FROM comment c LEFT JOIN account a ON a.id = c.created_by`

type commentRow struct {
	registry.Comment
	issue webhook.ID
}

func scanComment(row scanner) (c commentRow, err error) {
	err = row.Scan(id(&c.issue), id(&c.ID), &c.Text, id(&c.Author), intoText{&c.CreatedBy}, intoTime{&c.CreatedAt})
	return c, err
}

// Issues lists the issues of a dataset that the caller may see, oldest first.
func (s *Store) Issues(ctx context.Context, caller webhook.ID, ref DatasetRef) ([]*registry.Issue, error) {
	d, err := s.Dataset(ctx, caller, ref)
	if err != nil {
		return nil, err
	}
	return s.issues(ctx, "dataset_id", d.ID)
}

// IssuesOfSample lists the issues of a sample that the caller may see, oldest
// first.
func (s *Store) IssuesOfSample(ctx context.Context, caller, sampleID webhook.ID) ([]*registry.Issue, error) {
	if _, _, err := s.Sample(ctx, caller, sampleID); err != nil {
		return nil, err
	}
	return s.issues(ctx, "sample_id", sampleID)
}

func (s *Store) issues(ctx context.Context, column string, of webhook.ID) ([]*registry.Issue, error) {
	rows, err := s.query(ctx, selectIssue+` WHERE i.`+column+` = $1 ORDER BY i.id`, key(of))
	issues, err := collect(rows, err, scanIssue)
	if err != nil {
		return nil, err
	}
	rows, err = s.query(ctx, selectComment+` JOIN issue i ON i.id = c.issue_id WHERE i.`+column+` = $1 ORDER BY c.id`, key(of))
	comments, err := collect(rows, err, scanComment)
	byID := map[webhook.ID]*registry.Issue{}
	for _, i := range issues {
		byID[i.ID] = i
	}
	for _, c := range comments {
		if i := byID[c.issue]; i != nil {
			i.Comments = append(i.Comments, c.Comment)
		}
	}
	return issues, err
}

// CreateIssue makes an issue of a sample. Fields are complete.
func (s *Store) CreateIssue(ctx context.Context, caller registry.Account, sampleID webhook.ID, fields registry.Fields) (*registry.Issue, error) {
	var i *registry.Issue
	err := s.write(ctx, func(t *tx) error {
		d, err := t.dataset(caller.ID, registry.Labeler, whereDatasetOfSample, key(sampleID))
		if err != nil {
			return err
		}
		sample, err := scanSample(t.row(selectSample+` WHERE s.id = $1`, key(sampleID)))
		if err != nil {
			return err
		}
		at := now()
		i = &registry.Issue{
			ID: s.ids.New(at), Sample: *sample, Fields: fields, Author: caller.ID, CreatedBy: caller.Name, UpdatedBy: caller.Name,
			CreatedAt: at, UpdatedAt: at,
		}
		_, err = t.exec(`
			INSERT INTO issue (id, dataset_id, sample_id, description, status, anchor, created_by, created_at, updated_by, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7, $8)`,
			key(i.ID), key(d.ID), key(sampleID), fields.String("description"), fields.String("status"), nullable(fields["anchor"]),
			key(caller.ID), webhook.Micros(at))
		if err != nil {
			return err
		}
		return t.emit(&d.Owner, registry.IssueCreated(d, i, at))
	})
	if err != nil {
		return nil, fmt.Errorf("create issue: %w", err)
	}
	return i, nil
}

// issue finds an issue, with its dataset in which the caller has a role.
func (t *tx) issue(caller, issueID webhook.ID) (*registry.Dataset, *registry.Issue, error) {
	d, err := t.dataset(caller, registry.Labeler, ` AND x.id = (SELECT dataset_id FROM issue WHERE id = $2)`, key(issueID))
	if err != nil {
		return nil, nil, err
	}
	i, err := scanIssue(t.row(selectIssue+` WHERE i.id = $1`, key(issueID)))
	if err != nil {
		return nil, nil, err
	}
	rows, err := t.query(selectComment+` WHERE c.issue_id = $1 ORDER BY c.id`, key(issueID))
	comments, err := collect(rows, err, scanComment)
	for _, c := range comments {
		i.Comments = append(i.Comments, c.Comment)
	}
	return d, i, err
}

// UpdateIssue changes members of an issue, as registry.Patch returns them. What
// it says is for its author and managers to change.
func (s *Store) UpdateIssue(ctx context.Context, caller registry.Account, issueID webhook.ID, patch registry.Fields) (*registry.Issue, error) {
	var i *registry.Issue
	err := s.write(ctx, func(t *tx) (err error) {
		var d *registry.Dataset
		if d, i, err = t.issue(caller.ID, issueID); err != nil {
			return err
		}
		if !registry.Settles(patch) && i.Author != caller.ID && d.Role < registry.Manager {
			return registry.ErrForbidden
		}
		fields, changed := registry.Apply(registry.IssueFields, i.Fields, patch)
		if len(changed) == 0 {
			return nil
		}
		i.Fields = fields
		if err := t.touchIssue(i, caller); err != nil {
			return err
		}
		return t.emit(&d.Owner, registry.IssueUpdated(d, i, changed, i.UpdatedAt))
	})
	if err != nil {
		return nil, fmt.Errorf("update issue: %w", err)
	}
	return i, nil
}

// touchIssue stores an issue that caller has just changed.
func (t *tx) touchIssue(i *registry.Issue, caller registry.Account) error {
	i.UpdatedBy, i.UpdatedAt = caller.Name, now()
	_, err := t.exec(`UPDATE issue SET description = $2, status = $3, anchor = $4, updated_by = $5, updated_at = $6 WHERE id = $1`,
		key(i.ID), i.Fields.String("description"), i.Fields.String("status"), nullable(i.Fields["anchor"]), key(caller.ID),
		webhook.Micros(i.UpdatedAt))
	return err
}

// DeleteIssue removes an issue with its comments. No event tells of it.
func (s *Store) DeleteIssue(ctx context.Context, caller, issueID webhook.ID) error {
	err := s.write(ctx, func(t *tx) error {
		d, i, err := t.issue(caller, issueID)
		if err != nil {
			return err
		}
		if i.Author != caller && d.Role < registry.Manager {
			return registry.ErrForbidden
		}
		if _, err := t.exec(`DELETE FROM comment WHERE issue_id = $1`, key(issueID)); err != nil {
			return err
		}
		_, err = t.exec(`DELETE FROM issue WHERE id = $1`, key(issueID))
		return err
	})
	if err != nil {
		return fmt.Errorf("delete issue: %w", err)
	}
	return nil
}

// MaxComments is how many replies an issue may have.
const MaxComments = 10_000

// AddComment adds a reply to an issue.
func (s *Store) AddComment(ctx context.Context, caller registry.Account, issueID webhook.ID, said string) (*registry.Issue, error) {
	var i *registry.Issue
	err := s.write(ctx, func(t *tx) (err error) {
		var d *registry.Dataset
		if d, i, err = t.issue(caller.ID, issueID); err != nil {
			return err
		}
		if len(i.Comments) >= MaxComments {
			return webhook.ErrLimit
		}
		if err := t.touchIssue(i, caller); err != nil {
			return err
		}
		c := registry.Comment{ID: s.ids.New(i.UpdatedAt), Author: caller.ID, CreatedBy: caller.Name, CreatedAt: i.UpdatedAt, Text: said}
		if _, err := t.exec(`INSERT INTO comment (id, issue_id, text, created_by, created_at) VALUES ($1, $2, $3, $4, $5)`,
			key(c.ID), key(issueID), c.Text, key(caller.ID), webhook.Micros(c.CreatedAt)); err != nil {
			return err
		}
		i.Comments = append(i.Comments, c)
		return t.emit(&d.Owner, registry.IssueReplied(d, i, i.UpdatedAt))
	})
	if err != nil {
		return nil, fmt.Errorf("add comment: %w", err)
	}
	return i, nil
}

// DeleteComment removes a reply: one's own, or any as an administrator.
func (s *Store) DeleteComment(ctx context.Context, caller registry.Account, issueID, commentID webhook.ID) error {
	err := s.write(ctx, func(t *tx) error {
		d, i, err := t.issue(caller.ID, issueID)
		if err != nil {
			return err
		}
		var kept []registry.Comment
		for _, c := range i.Comments {
			if c.ID != commentID {
				kept = append(kept, c)
			} else if c.Author != caller.ID && d.Role < registry.Admin {
				return registry.ErrForbidden
			}
		}
		if len(kept) == len(i.Comments) {
			return webhook.ErrNotFound
		}
		i.Comments = kept
		if _, err := t.exec(`DELETE FROM comment WHERE id = $1`, key(commentID)); err != nil {
			return err
		}
		if err := t.touchIssue(i, caller); err != nil {
			return err
		}
		return t.emit(&d.Owner, registry.ReplyDeleted(d, i, i.UpdatedAt))
	})
	if err != nil {
		return fmt.Errorf("delete comment: %w", err)
	}
	return nil
}
