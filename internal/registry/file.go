package registry

import (
	"encoding/json"
	"fanfare/internal/webhook"
	"time"
)

// FileObject is a file that waits for its content, with the form by which it
// gets some.
func FileObject(id webhook.ID, name, url string, at time.Time, formURL string, form [][2]string) Object {
	var fields Object
	for _, f := range form {
		fields.text(f[0], f[1])
	}
	var post Object
	post.text("url", formURL)
	post.object("fields", fields)
	var o Object
	o.text("uuid", UUID(id))
	o.text("filename", name)
	o.text("url", url)
	o.time("created_at", at)
	o.object("presignedPostFields", post)
	return o
}

// AnyText accepts any string.
func AnyText(raw json.RawMessage) string { return anyText(raw) }
