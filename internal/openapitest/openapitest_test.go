package openapitest

import "testing"

const toy = `{
	"paths": {
		"/things/{thing}": {"get": {"responses": {
			"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
			"404": {"$ref": "#/components/responses/NotFound"}
		}}, "delete": {"responses": {"204": {}}}},
		"/things/all": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"type": "array"}}}}}}},
		"/file": {"get": {"responses": {"200": {"content": {"*/*": {}}}}}}
	},
	"components": {
		"schemas": {"Thing": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}},
		"responses": {"NotFound": {"content": {"application/json": {"schema": {"type": "object", "required": ["detail"]}}}}}
	}
}`

func TestAnAnswerThatIsNotInTheDocumentIsFound(t *testing.T) {
	d := Of(func() []byte { return []byte(toy) })
	d.load(t)
	for name, test := range map[string]struct {
		method, path string
		status       int
		kind, body   string
		fits         bool
	}{
		"one that fits":               {"GET", "/things/a", 200, "application/json", `{"name":"a"}`, true},
		"with a charset":              {"GET", "/things/a", 200, "application/json; charset=utf-8", `{"name":"a"}`, true},
		"with a slash behind it":      {"GET", "/things/a/", 200, "application/json", `{"name":"a"}`, true},
		"a member is missing":         {"GET", "/things/a", 200, "application/json", `{}`, false},
		"a member is told of nowhere": {"GET", "/things/a", 200, "application/json", `{"name":"a","more":1}`, false},
		"it is no JSON":               {"GET", "/things/a", 200, "application/json", `name`, false},
		"it is something else":        {"GET", "/things/a", 200, "text/html", `{"name":"a"}`, false},
		"a refusal":                   {"GET", "/things/a", 404, "application/json", `{"detail":"x"}`, true},
		"a refusal of another form":   {"GET", "/things/a", 404, "application/json", `{"error":"x"}`, false},
		"a status of no operation":    {"GET", "/things/a", 500, "application/json", `{"detail":"x"}`, false},
		"a word before a parameter":   {"GET", "/things/all", 200, "application/json", `[]`, true},
		"nothing where nothing is":    {"DELETE", "/things/a", 204, "", "", true},
		"a body where none is":        {"DELETE", "/things/a", 204, "application/json", "{}", false},
		"anything at all":             {"GET", "/file", 200, "image/png", "png", true},
		"a path of no operation":      {"GET", "/nothing", 404, "text/html", "no", true},
	} {
		t.Run(name, func(t *testing.T) {
			if problem := d.problem(test.method, test.path, test.status, test.kind, []byte(test.body)); (problem == "") != test.fits {
				t.Errorf("the problem is %q", problem)
			}
		})
	}
}
