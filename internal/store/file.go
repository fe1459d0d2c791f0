package store

import (
	"context"
	"database/sql"
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/webhook"
	"fmt"
	"io"
	"time"
)

// File is a file whose bytes are, or will be, in the database.
type File struct {
	ID webhook.ID
	// Token makes the file's URL unguessable.
	Token       string
	Name        string
	ContentType string
	Size        int64
	CreatedAt   time.Time

	content webhook.ID
}

// CreateFile makes a file without content.
func (s *Store) CreateFile(ctx context.Context, owner webhook.ID, name string) (File, error) {
	at := now()
	f := File{ID: s.ids.New(at), Token: newFileToken(), Name: name, CreatedAt: at}
	err := s.write(ctx, func(t *tx) error { return t.insertFile(&f, owner) })
	if err != nil {
		return f, fmt.Errorf("create file: %w", err)
	}
	return f, nil
}

// newFileToken is 160 random bits.
func newFileToken() string { return auth.NewToken("")[:32] }

func (t *tx) insertFile(f *File, owner webhook.ID) error {
	_, err := t.exec(`INSERT INTO file (id, owner_id, token, name, content_type, content_id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		key(f.ID), key(owner), f.Token, f.Name, f.ContentType, optional(f.content), webhook.Micros(f.CreatedAt))
	return err
}

// chunkSize is how many bytes of a file a row holds.
const chunkSize = 256 << 10

// Content is bytes that are stored and belong to no file yet.
type Content struct {
	id   webhook.ID
	size int64
}

// contentWriter stores what is written to it, chunk by chunk.
type contentWriter struct {
	s       *Store
	ctx     context.Context //nolint:containedctx // that of the caller, who writes and closes
	content Content
	number  int64
	buf     []byte
}

func (s *Store) newContent(ctx context.Context) (*contentWriter, error) {
	w := &contentWriter{s: s, ctx: ctx, content: Content{id: s.ids.New(time.Now())}, buf: make([]byte, 0, chunkSize)}
	return w, s.write(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO content (id, size, complete, dropped, created_at) VALUES ($1, 0, $2, $2, $3)`,
			key(w.content.id), false, time.Now().UnixMicro())
		return err
	})
}

// Write implements io.Writer.
func (w *contentWriter) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := min(len(p), chunkSize-len(w.buf))
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
		if len(w.buf) == chunkSize {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

func (w *contentWriter) flush() error {
	err := w.s.write(w.ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO chunk (content_id, number, data) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			key(w.content.id), w.number, w.buf)
		return err
	})
	w.content.size += int64(len(w.buf))
	w.number++
	w.buf = w.buf[:0]
	return err
}

// WriteContent stores what r yields.
func (s *Store) WriteContent(ctx context.Context, r io.Reader) (Content, error) {
	w, err := s.newContent(ctx)
	if err == nil {
		_, err = io.Copy(struct{ io.Writer }{w}, r)
	}
	if err == nil && len(w.buf) > 0 {
		err = w.flush()
	}
	if err != nil {
		return Content{}, fmt.Errorf("write content: %w", err)
	}
	return w.content, nil
}

// complete marks content as whole.
func (t *tx) complete(c Content) error {
	_, err := t.exec(`UPDATE content SET size = $2, complete = $3 WHERE id = $1`, key(c.id), c.size, true)
	return err
}

// SetContent gives a file its content, once: a file that has some is
// webhook.ErrConflict, and stays as it is.
func (s *Store) SetContent(ctx context.Context, file webhook.ID, c Content, contentType string) error {
	err := s.write(ctx, func(t *tx) error {
		if err := t.complete(c); err != nil {
			return err
		}
		n, err := t.exec(`UPDATE file SET content_id = $2, content_type = $3 WHERE id = $1 AND content_id IS NULL`, key(file), key(c.id), contentType)
		if err == nil && n == 0 {
			return webhook.ErrConflict
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("set content: %w", err)
	}
	return nil
}

// FileState finds a file by id, and tells whether it has content.
func (s *Store) FileState(ctx context.Context, file webhook.ID) (full bool, err error) {
	var content webhook.ID
	err = s.row(ctx, `SELECT content_id FROM file WHERE id = $1`, key(file)).Scan(id(&content))
	if err != nil {
		return false, fmt.Errorf("file: %w", err)
	}
	return !content.IsZero(), nil
}

// OpenFile finds a file that has content by its token. The reader reads from
// the database as it goes, for as long as ctx lasts.
func (s *Store) OpenFile(ctx context.Context, token string) (File, io.ReadSeeker, error) {
	var f File
	err := s.row(ctx, `SELECT f.id, f.token, f.name, f.content_type, f.created_at, c.id, c.size
		FROM file f JOIN content c ON c.id = f.content_id WHERE f.token = $1`, token).
		Scan(id(&f.ID), &f.Token, &f.Name, &f.ContentType, intoTime{&f.CreatedAt}, id(&f.content), &f.Size)
	if err != nil {
		return f, nil, fmt.Errorf("file: %w", err)
	}
	return f, &contentReader{s: s, ctx: ctx, file: f, number: -1}, nil
}

// contentReader reads a file and keeps one chunk of it.
type contentReader struct {
	s      *Store
	ctx    context.Context //nolint:containedctx // io.Reader takes none
	file   File
	offset int64
	number int64
	chunk  []byte
}

// Read implements io.Reader.
func (r *contentReader) Read(p []byte) (int, error) {
	if r.offset >= r.file.Size {
		return 0, io.EOF
	}
	if number := r.offset / chunkSize; number != r.number {
		r.chunk = nil
		err := r.s.row(r.ctx, `SELECT data FROM chunk WHERE content_id = $1 AND number = $2`, key(r.file.content), number).Scan(&r.chunk)
		if err != nil {
			return 0, fmt.Errorf("chunk: %w", err)
		}
		r.number = number
	}
	n := copy(p, r.chunk[r.offset%chunkSize:])
	r.offset += int64(n)
	return n, nil
}

// Seek implements io.Seeker.
func (r *contentReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.file.Size
	}
	if offset < 0 {
		return 0, errors.New("before the start")
	}
	r.offset = offset
	return offset, nil
}

// MAC authenticates data that clients bring back.
func (s *Store) MAC(data []byte) []byte { return s.sealer.MAC(data) }

// abandoned is how long content may be written before it counts as left behind
// by a node that died.
const abandoned = 24 * time.Hour

// RemoveContent removes a slice of what no file holds any more. It reports
// whether there is more.
func (s *Store) RemoveContent(ctx context.Context) (more bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		var content webhook.ID
		err := t.row(`SELECT id FROM content WHERE (dropped OR NOT complete) AND (dropped OR created_at < $1) ORDER BY created_at LIMIT 1`,
			time.Now().Add(-abandoned).UnixMicro()).Scan(id(&content))
		if more = !errors.Is(err, sql.ErrNoRows); !more {
			return nil
		}
		if err != nil {
			return err
		}
		const most = 64 // chunks, 16 MiB
		n, err := t.exec(`DELETE FROM chunk WHERE content_id = $1 AND number IN
			(SELECT number FROM chunk WHERE content_id = $1 ORDER BY number LIMIT $2)`, key(content), most)
		if err != nil || n == most {
			return err
		}
		if _, err := t.exec(`DELETE FROM file WHERE content_id = $1`, key(content)); err != nil {
			return err
		}
		_, err = t.exec(`DELETE FROM content WHERE id = $1`, key(content))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("remove content: %w", err)
	}
	return more, nil
}
