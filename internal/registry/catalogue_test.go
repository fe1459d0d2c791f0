package registry

import (
	"encoding/json"
	"fanfare/internal/schema"
	"strings"
	"testing"
)

func TestEachEventTypeHasASchemaThatItsExampleFits(t *testing.T) {
	for i := range EventTypes {
		e := &EventTypes[i]
		compiled, err := schema.Compile(e.Schema())
		if err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}
		var s struct {
			Examples []json.RawMessage `json:"examples"`
		}
		if err := json.Unmarshal(e.Schema(), &s); err != nil || len(s.Examples) != 1 {
			t.Fatalf("%s: %d examples, %v", e.Name, len(s.Examples), err)
		}
		example := string(s.Examples[0])
		for _, p := range compiled.Validate([]byte(example)) {
			t.Errorf("%s: %v: %s", e.Name, p.Path, p.Text)
		}
		// Every member that is sent is described, in the order in which it is.
		object := e.sample().Object
		var sent, described []string
		for _, m := range object {
			sent = append(sent, m.Name)
		}
		for _, p := range e.object {
			described = append(described, p.name)
		}
		if strings.Join(sent, " ") != strings.Join(described, " ") {
			t.Errorf("%s:\nsent      %v\ndescribed %v", e.Name, sent, described)
		}
		for old, bad := range map[string]string{
			`"event_type":"` + e.Name: `"event_type":"other`, `"dataset":"`: `"data":"`, `"api_version":"2021-08-01"`: `"api_version":"2020-01-01"`,
			`},"text":`: `},"texts":`, `"object":{"`: `"object":{"x`,
		} {
			if wrong := strings.Replace(example, old, bad, 1); wrong == example || len(compiled.Validate([]byte(wrong))) == 0 {
				t.Errorf("%s: with %s it fits all the same", e.Name, bad)
			}
		}
	}
}
