package registry

import (
	"fanfare/internal/webhook"
	"time"
)

// FileObject is a file that waits for its content, with the form by which it
// gets some.
func FileObject(id webhook.ID, name, url string, at time.Time, formURL string, form [][2]string) Object {
	var o Object
	o.text("uuid", UUID(id))
	o.text("filename", name)
	o.text("url", url)
	o.time("created_at", at)
	o.object("presignedPostFields", postObject(formURL, form))
	return o
}

func postObject(url string, form [][2]string) (o Object) {
	var fields Object
	for _, f := range form {
		fields.text(f[0], f[1])
	}
	o.text("url", url)
	o.object("fields", fields)
	return o
}

// AssetFields are the members that ask for an upload.
var AssetFields = []Field{{Name: "filename", Default: `"label.png"`, Form: AnyText, Means: "The name of the file; its last element counts."}}
