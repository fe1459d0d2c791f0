package registry

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestEachKindIsDescribedMemberByMember(t *testing.T) {
	for _, k := range Kinds() {
		described := map[string]bool{}
		for _, p := range k.properties {
			if p.name == "" || p.means == "" || described[p.name] {
				t.Errorf("%s: %q means %q", k.Name, p.name, p.means)
			}
			described[p.name] = true
		}
		sent := map[string]bool{}
		for _, m := range k.Example {
			sent[m.Name] = true
			if !described[m.Name] {
				t.Errorf("%s: %s is sent and not described", k.Name, m.Name)
			}
			if !json.Valid(m.Value) {
				t.Errorf("%s: the example of %s is %s", k.Name, m.Name, m.Value)
			}
		}
		for name := range described {
			if k.Example != nil && !sent[name] && !slices.Contains(k.optional, name) {
				t.Errorf("%s: %s is described and not sent", k.Name, name)
			}
		}
		for _, names := range [][]string{k.optional, keys(k.forms)} {
			for _, name := range names {
				if !described[name] {
					t.Errorf("%s: %s is none of its members", k.Name, name)
				}
			}
		}
	}
}

func keys[V any](m map[string]V) (list []string) {
	for name := range m {
		list = append(list, name)
	}
	return list
}

func TestEachFieldSaysWhatItMeans(t *testing.T) {
	for name, fields := range map[string][]Field{
		"dataset": DatasetFields, "sample": SampleFields, "label": LabelFields, "labelset": LabelsetFields, "issue": IssueFields, "comment": CommentFields,
		"release": ReleaseFields, "clone": CloneFields, "account": AccountFields, "collaborator": CollaboratorFields, "asset": AssetFields, "bulk delete": BulkDeleteFields,
	} {
		for _, f := range fields {
			if f.Means == "" || f.Form.check == nil || f.Form.schema == nil {
				t.Errorf("%s: %s says nothing", name, f.Name)
			}
		}
	}
}
