package registry

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fanfare/internal/registry"
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"strings"
	"time"
)

// uploadPath is where the signed form of an asset is posted.
const uploadPath = "/uploads"

// uploadLife is how long such a form is good for.
const uploadLife = time.Hour

// policy is what the form of an upload allows.
type policy struct {
	Key     string `json:"key"`
	Expires int64  `json:"expires"` // seconds since 1970
	MaxSize int64  `json:"max_size"`
}

// createAsset makes a file without content, and the form with which it gets
// some: the shape of S3's presigned POST, which official clients know.
func (a *API) createAsset(r *request) (answer, error) {
	fields, err := r.create()
	if err != nil {
		return answer{}, err
	}
	f, err := a.store.CreateFile(r.Context(), r.caller.ID, fileName(fields.String("filename")))
	if err != nil {
		return answer{}, err
	}
	raw, err := json.Marshal(policy{registry.UUID(f.ID), f.CreatedAt.Add(uploadLife).Unix(), a.cfg.MaxAsset})
	if err != nil {
		return answer{}, err
	}
	encoded := base64.StdEncoding.EncodeToString(raw)
	return created(registry.FileObject(f.ID, f.Name, a.store.FileURL(f.Token, f.Name), f.CreatedAt, a.cfg.PublicURL+uploadPath, [][2]string{
		{"acl", "private"},
		{"Content-Type", contentType(f.Name)},
		{"key", registry.UUID(f.ID)},
		{"x-amz-algorithm", "HMAC-SHA256"},
		{"x-amz-credential", "fanfare"},
		{"x-amz-date", f.CreatedAt.Format("20060102T150405Z")},
		{"policy", encoded},
		{"x-amz-signature", hex.EncodeToString(a.store.MAC([]byte(encoded)))},
	})), nil
}

// fileName is the last element of a path, with nothing in it that a URL or a
// file system would trip over.
func fileName(s string) string {
	s = path.Base(strings.ReplaceAll(s, `\`, "/"))
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return -1
	}, s)
	const most = 100
	if extension := path.Ext(s); len(s) > most && len(extension) < most/2 {
		s = s[:most-len(extension)] + extension
	}
	if s = s[:min(len(s), most)]; strings.Trim(s, ".") == "" {
		return "file"
	}
	return s
}

func contentType(name string) string {
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// The bounds of a form: its fields are few and short.
const (
	maxFormField  = 8 << 10
	maxFormFields = 20
)

// upload takes the signed form of an asset: all fields first, then the file.
func (a *API) upload(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, a.cfg.MaxAsset+maxFormField*maxFormFields)
	form, err := r.MultipartReader()
	if err != nil {
		return errors.Join(web.ErrSyntax, err)
	}
	fields := map[string]string{}
	for len(fields) <= maxFormFields {
		part, err := form.NextPart()
		if err != nil {
			return formError(err)
		}
		if part.FormName() == "file" {
			return a.receive(w, r, fields, part)
		}
		value, err := io.ReadAll(io.LimitReader(part, maxFormField+1))
		if err != nil || len(value) > maxFormField {
			return formError(err)
		}
		fields[part.FormName()] = string(value)
	}
	return web.ErrSyntax
}

// formError tells a form that is too long from one that cannot be read.
func formError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return web.ErrTooLarge
	}
	return errors.Join(web.ErrSyntax, err)
}

// receive stores a file, once it is certain that its form is ours.
func (a *API) receive(w http.ResponseWriter, r *http.Request, fields map[string]string, part *multipart.Part) error {
	file, p, err := a.allowed(fields, time.Now())
	if err != nil {
		return err
	}
	full, err := a.store.FileState(r.Context(), file)
	if err != nil {
		return err
	}
	if full {
		return registry.ErrForbidden
	}
	sized := &limited{r: part, left: p.MaxSize}
	content, err := a.store.WriteContent(r.Context(), sized)
	if err != nil {
		if sized.over {
			return web.ErrTooLarge
		}
		return err
	}
	kind, _, err := mime.ParseMediaType(fields["Content-Type"])
	if err != nil {
		kind = "application/octet-stream"
	}
	err = a.store.SetContent(r.Context(), file, content, kind)
	if errors.Is(err, webhook.ErrConflict) {
		return registry.ErrForbidden // somebody was faster
	}
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusNoContent, nil)
	return nil
}

// allowed checks the signature of a form and what its policy says.
func (a *API) allowed(fields map[string]string, now time.Time) (file webhook.ID, p policy, err error) {
	signature, hexErr := hex.DecodeString(fields["x-amz-signature"])
	if hexErr != nil || !hmac.Equal(signature, a.store.MAC([]byte(fields["policy"]))) {
		return file, p, registry.ErrForbidden
	}
	raw, err := base64.StdEncoding.DecodeString(fields["policy"])
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err != nil || p.Key != fields["key"] || now.After(time.Unix(p.Expires, 0)) {
		return file, p, registry.ErrForbidden
	}
	file, err = registry.ParseUUID(p.Key)
	return file, p, err
}

// limited reads up to a bound and fails past it.
type limited struct {
	r    io.Reader
	left int64
	over bool
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		l.over = true
		return 0, web.ErrTooLarge
	}
	return n, err
}

// file serves a file to whoever knows its URL.
func (a *API) file(w http.ResponseWriter, r *http.Request) error {
	f, content, err := a.store.OpenFile(r.Context(), r.PathValue("token"))
	if err != nil {
		return err
	}
	if f.Name != r.PathValue("name") {
		return webhook.ErrNotFound
	}
	h := w.Header()
	h.Set("Content-Type", f.ContentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
	http.ServeContent(w, r, f.Name, f.CreatedAt, content)
	return nil
}
