package webhooks

import (
	"encoding/json"
	"fanfare/internal/webhook"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestAMessageIsWrittenAsEncodingJSONWould compares the two writers.
func TestAMessageIsWrittenAsEncodingJSONWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOf(rapid.StringMatching(`[a-zA-Z0-9\-_./\\#]{1,20}`))
		m := messageOf(&webhook.Message{
			ID:        webhook.FloorID(time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(t, "id"))),
			EventID:   rapid.StringMatching(`[a-zA-Z0-9\-_.]{0,20}`).Draw(t, "event id"),
			EventType: rapid.StringMatching(`[a-zA-Z0-9\-_.]{1,20}`).Draw(t, "type"),
			Channels:  names.Draw(t, "channels"), Tags: names.Draw(t, "tags"), Key: rapid.String().Draw(t, "key"),
			Payload:   []byte(`{"a":` + rapid.StringMatching(`[0-9]{1,8}`).Draw(t, "payload") + `.5}`),
			CreatedAt: webhook.FromMicros(rapid.Int64Range(1, 1<<50).Draw(t, "at")),
		}, rapid.Bool().Draw(t, "content"))
		own, err := encode(m)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := json.Unmarshal(own, &a); err != nil {
			t.Fatalf("%s: %v", own, err)
		}
		if err := json.Unmarshal(theirs, &b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, a); diff != "" {
			t.Fatal(diff)
		}
	})
}
