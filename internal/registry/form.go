package registry

import (
	"bytes"
	"encoding/json"
	"fanfare/internal/registry/shape"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Form is what a member may hold, told in two ways.
type Form struct {
	// check says what is wrong with a value that is not null, or "".
	check func(json.RawMessage) string
	// schema describes the values that pass, as far as a JSON Schema can.
	schema shape.Schema
}

// typed is a JSON Schema of one type, with further words.
func typed(name string, words ...shape.Schema) shape.Schema {
	s := shape.Schema{"type": name}
	for _, w := range words {
		maps.Copy(s, w)
	}
	return s
}

func between(least, most int) shape.Schema {
	return shape.Schema{"minLength": least, "maxLength": most}
}

// AnyText is any string that a database can hold.
var AnyText = Form{anyText, typed("string")}

var (
	// shortText bounds descriptions and replies.
	shortText = Form{shortEnough, typed("string", shape.Schema{"maxLength": maxText})}

	// someText is a text that says something.
	someText = Form{saysSomething, typed("string", between(1, maxText), shape.Schema{"pattern": `\S`})}

	datasetTitle = Form{named(ValidDatasetName, notAName), typed("string", shape.Schema{"pattern": datasetName.String()})}
	title        = Form{named(ValidTitle, notATitle), typed("string", between(1, 100))}
	sampleTitle  = Form{named(ValidSampleName, notASample), typed("string", between(1, 255))}

	boolean = Form{isBoolean, typed("boolean")}
	number  = Form{isNumber, typed("number")}
	integer = Form{isInteger, typed("integer", shape.Schema{"minimum": math.MinInt32, "maximum": math.MaxInt32})}
	object  = Form{isObject, typed("object")}
)

func oneOf(choices ...string) Form {
	return Form{schema: typed("string", shape.Schema{"enum": choices}), check: func(raw json.RawMessage) string {
		if s, ok := textOf(raw); !ok || !slices.Contains(choices, s) {
			return notChoice
		}
		return ""
	}}
}

func shaped(form shape.Form) Form {
	return Form{schema: form.Schema(), check: func(raw json.RawMessage) string {
		if !form.Fits(raw) {
			return notShape
		}
		return ""
	}}
}

// uuids is a list of so many ids at the most. One that names nothing may be
// among them.
func uuids(most int) Form {
	list := typed("array", shape.Schema{"items": typed("string"), "minItems": 1, "maxItems": most})
	return Form{schema: list, check: func(raw json.RawMessage) string {
		elements, ok := shape.Elements(raw)
		switch {
		case !ok || slices.ContainsFunc(elements, func(e json.RawMessage) bool { return !isText(e) }):
			return "Expected a list of uuids."
		case len(elements) < 1 || len(elements) > most:
			return "Give 1 to " + strconv.Itoa(most) + " uuids."
		default:
			return ""
		}
	}}
}

func isText(raw json.RawMessage) bool {
	_, ok := textOf(raw)
	return ok
}

func anyText(raw json.RawMessage) string {
	s, ok := textOf(raw)
	switch {
	case !ok:
		return notString
	case strings.ContainsRune(s, 0):
		return noNUL
	default:
		return ""
	}
}

func shortEnough(raw json.RawMessage) string {
	if problem := anyText(raw); problem != "" {
		return problem
	}
	if s, _ := textOf(raw); utf8.RuneCountInString(s) > maxText {
		return tooLong
	}
	return ""
}

func saysSomething(raw json.RawMessage) string {
	if problem := shortEnough(raw); problem != "" {
		return problem
	}
	if s, _ := textOf(raw); strings.TrimSpace(s) == "" {
		return notBlank
	}
	return ""
}

func named(valid func(string) bool, problem string) func(json.RawMessage) string {
	return func(raw json.RawMessage) string {
		s, ok := textOf(raw)
		switch {
		case !ok:
			return notString
		case !valid(s):
			return problem
		default:
			return ""
		}
	}
}

func isBoolean(raw json.RawMessage) string {
	if s := string(bytes.TrimSpace(raw)); s != "true" && s != "false" {
		return notBool
	}
	return ""
}

func isNumber(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return notNumber
	}
	if _, err := strconv.ParseFloat(string(raw), 64); err != nil {
		return notNumber // out of range
	}
	return ""
}

func isInteger(raw json.RawMessage) string {
	if isNumber(raw) != "" {
		return notInteger
	}
	n, _ := strconv.ParseFloat(string(bytes.TrimSpace(raw)), 64)
	if n != float64(int32(n)) {
		return notInteger
	}
	return ""
}

func isObject(raw json.RawMessage) string {
	if !shape.Object(raw) {
		return notObject
	}
	return ""
}
