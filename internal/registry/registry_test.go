package registry

import (
	"encoding/json"
	"fanfare/internal/webhook"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"
)

func TestNames(t *testing.T) {
	for _, test := range []struct {
		sentence string
		valid    func(string) bool
		name     string
		want     bool
	}{
		{"an account", ValidAccountName, "jane", true},
		{"an account with all kinds of characters", ValidAccountName, "0Jane.d_e-f", true},
		{"a hundred characters", ValidAccountName, strings.Repeat("a", 100), true},
		{"one more", ValidAccountName, strings.Repeat("a", 101), false},
		{"an account that starts with a dot", ValidAccountName, ".jane", false},
		{"an account that looks like a uuid", ValidAccountName, "01A20DA8-10ce-77e5-8f26-6745b32c7aca", false},
		{"an account that looks like an application", ValidAccountName, "App_jane", false},
		{"an account with a line break", ValidAccountName, "jane\n", false},
		{"an account with an umlaut", ValidAccountName, "jäne", false},
		{"no account", ValidAccountName, "", false},
		{"a dataset", ValidDatasetName, "-flowers.v2_", true},
		{"a dataset of dots", ValidDatasetName, "...", true},
		{"this directory", ValidDatasetName, ".", false},
		{"the one above", ValidDatasetName, "..", false},
		{"a dataset with a space", ValidDatasetName, "a b", false},
		{"a sample in a directory", ValidSampleName, "a/b c/ö.png", true},
		{"255 characters", ValidSampleName, strings.Repeat("ö", 255), true},
		{"256 characters", ValidSampleName, strings.Repeat("ö", 256), false},
		{"a sample that goes up", ValidSampleName, "a/..", false},
		{"a sample with dots in its name", ValidSampleName, "a..b/...", true},
		{"a sample with a tabulator", ValidSampleName, "a\tb", false},
		{"no sample", ValidSampleName, "", false},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			if got := test.valid(test.name); got != test.want {
				t.Errorf("%q: %v", test.name, got)
			}
		})
	}
}

func TestWhatUsersGiveIsPlainInTexts(t *testing.T) {
	for given, want := range map[string]string{
		"rose.png":               "rose.png",
		"<!channel> & <@U1>":     "&lt;!channel&gt; &amp; &lt;@U1&gt;",
		"a\r\n\tb\u0085c\u2028d": "a b c d",
		"&amp;":                  "&amp;amp;",
	} {
		if got := plain(given); got != want {
			t.Errorf("%q became %q", given, got)
		}
	}
}

func FuzzTextsAreOneLineThatPingsNobody(f *testing.F) {
	f.Add("<!here>\n")
	f.Fuzz(func(t *testing.T, given string) {
		got := plain(given)
		if strings.ContainsAny(got, "<>") || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q became %q", given, got)
		}
	})
}

func aSample(attributes, metadata, readme string) *Sample {
	return &Sample{Fields: Fields{
		"name": Quote("rose.png"), "attributes": json.RawMessage(attributes), "metadata": json.RawMessage(metadata),
		"readme": Quote(readme), "priority": json.RawMessage("0"),
		"assigned_labeler": json.RawMessage("null"), "assigned_reviewer": json.RawMessage("null"),
	}}
}

func aDataset() *Dataset {
	return &Dataset{Owner: Account{Name: "jane"}, Fields: Fields{"name": Quote("flowers")}}
}

func TestAnEventThatIsTooLargeLosesWhatTheContractNamesFirst(t *testing.T) {
	big := strings.Repeat("x", 3000)
	for _, test := range []struct {
		sentence string
		sample   *Sample
		most     int
		omitted  string
	}{
		{"all fits", aSample("null", "{}", big), 10_000, ""},
		{"attributes go first", aSample(`{"a":"`+big+`"}`, `{"b":"`+big+`"}`, big), 8_000, `["attributes"]`},
		{"then metadata", aSample(`{"a":"`+big+`"}`, `{"b":"`+big+`"}`, big), 5_000, `["attributes","metadata"]`},
		{"then the readme", aSample(`{"a":"`+big+`"}`, `{"b":"`+big+`"}`, big), 2_000, `["attributes","metadata","readme"]`},
		{"what is empty already is not named", aSample("null", "{}", big), 2_000, `["readme"]`},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			e := SampleCreated(aDataset(), test.sample, time.Unix(1_600_000_000, 0))
			payload := e.Payload(test.most)
			var envelope struct {
				Object struct {
					Omitted json.RawMessage
				}
			}
			if err := json.Unmarshal(payload, &envelope); err != nil {
				t.Fatal(err)
			}
			if len(payload) > test.most || string(envelope.Object.Omitted) != test.omitted {
				t.Errorf("%d bytes, omitted %s", len(payload), envelope.Object.Omitted)
			}
		})
	}
}

func TestARenameAndOtherChangesAreToldTogether(t *testing.T) {
	d, s := aDataset(), aSample("null", "{}", "")
	for _, test := range []struct {
		was     string
		changed []string
		want    string
	}{
		{"rose.png", []string{"priority", "metadata"}, "Sample rose.png updated in dataset jane/flowers: priority, metadata."},
		{"old.png", []string{"name"}, "Sample old.png renamed to rose.png in dataset jane/flowers."},
		{"old.png", []string{"name", "readme"}, "Sample old.png renamed to rose.png in dataset jane/flowers: readme."},
	} {
		if got := SampleUpdated(d, s, test.was, test.changed, time.Now()).Text; got != test.want {
			t.Errorf("got %s", got)
		}
	}
}

// TestApplyingAPatchTwiceChangesNothingTheSecondTime is the rule that ends the
// loops of receivers which write back what they get.
func TestApplyingAPatchTwiceChangesNothingTheSecondTime(t *testing.T) {
	values := []string{"null", "0", "1", "1.0", "true", `"a"`, "{}", `{"a":1,"b":[1,2]}`, `{"b":[1.0,2],"a":1e0}`, `{"b":[2,1]}`}
	rapid.Check(t, func(t *rapid.T) {
		random := func(label string) Fields {
			f := Fields{}
			for _, rule := range SampleFields {
				if rapid.Bool().Draw(t, label+rule.Name) {
					f[rule.Name] = json.RawMessage(rapid.SampledFrom(values).Draw(t, label))
				}
			}
			return f
		}
		before, patch := random("before"), random("patch")
		after, changed := Apply(SampleFields, before, patch)
		if len(changed) > len(patch) {
			t.Fatalf("%d fields changed by a patch of %d", len(changed), len(patch))
		}
		if again, changed := Apply(SampleFields, after, patch); len(changed) > 0 || len(again) != len(after) {
			t.Fatalf("the second time changed %v", changed)
		}
	})
}

func FuzzFieldsOfARequest(f *testing.F) {
	f.Add([]byte(`{"name":"a","attributes":null,"priority":1e400}`))
	f.Add([]byte(`{"description":"\ud800","metadata":{"a":{}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var sent Fields
		if json.Unmarshal(body, &sent) != nil {
			return
		}
		for _, rules := range [][]Field{DatasetFields, SampleFields, AccountFields} {
			made, wrong := Create(rules, sent)
			if len(wrong) > 0 {
				continue
			}
			for _, rule := range rules {
				if made[rule.Name] == nil || !json.Valid(made[rule.Name]) {
					t.Errorf("%s is %s", rule.Name, made[rule.Name])
				}
			}
			patch, wrong := Patch(rules, made)
			if len(wrong) > 0 {
				t.Errorf("what was made is refused as a patch: %v", wrong)
			}
			if _, changed := Apply(rules, made, patch); len(changed) > 0 {
				t.Errorf("applying what is there changed %v", changed)
			}
		}
	})
}

func TestUUIDs(t *testing.T) {
	var ids webhook.IDs
	id := ids.New(time.Now())
	if got, err := ParseUUID(strings.ToUpper(UUID(id))); err != nil || got != id {
		t.Errorf("%s became %v, %v", UUID(id), got, err)
	}
	for _, text := range []string{"", "12345", strings.ReplaceAll(UUID(id), "-", ""), "{" + UUID(id) + "}", strings.Replace(UUID(id), "-", "x", 1)} {
		if _, err := ParseUUID(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
