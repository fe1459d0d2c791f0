package openapi

import (
	"encoding/json"
	"errors"
	"fanfare/internal/schema"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const shop = `
openapi: 3.1.0
info: {title: Shop, version: "1"}
webhooks:
  order.paid:
    post:
      summary: not this
      description: An order was paid.
      x-svix-group-name: order
      x-svix-feature-flags: [beta]
      requestBody: {$ref: '#/components/requestBodies/Order'}
      responses:
        200: {description: ok}
  order.sent:
    $ref: '#/components/pathItems/Sent'
x-webhooks:
  old.event:
    post: {summary: An old event., deprecated: true, x-svix-feature-flag: legacy}
components:
  pathItems:
    Sent:
      summary: An order was sent.
      put:
        requestBody:
          content:
            application/vnd.shop+json:
              schema: {type: object}
              examples: {b: {value: {n: 2}}, a: {value: {n: 1}}}
  requestBodies:
    Order:
      content:
        application/json:
          schema: {$ref: '#/components/schemas/Order'}
          example: {id: 1, parent: {id: 2}}
  schemas:
    Order:
      type: object
      required: [id]
      properties:
        id: {$ref: '#/components/schemas/Id'}
        parent: {$ref: '#/components/schemas/Order'}
    Id: {type: integer}
    Unused: {type: string}
`

var want = []EventType{
	{Name: "old.event", Description: "An old event.", Deprecated: true, FeatureFlags: []string{"legacy"}},
	{
		Name: "order.paid", Description: "An order was paid.", GroupName: "order", FeatureFlags: []string{"beta"},
		Schema: json.RawMessage(`{"allOf":[{"$ref":"#/definitions/Order"}],"definitions":{"Id":{"type":"integer"},"Order":{"properties":{"id":{"$ref":"#/definitions/Id"},"parent":{"$ref":"#/definitions/Order"}},"required":["id"],"type":"object"}},"examples":[{"id":1,"parent":{"id":2}}]}`),
	},
	{
		Name: "order.sent", Description: "An order was sent.",
		Schema: json.RawMessage(`{"examples":[{"n":1},{"n":2}],"type":"object"}`),
	},
}

func TestWebhooksOfADocumentBecomeEventTypes(t *testing.T) {
	var parsed any
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(shop, "200:", `"200":`)), &parsed); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"YAML": shop, "JSON": string(asJSON)} {
		got, err := ReadEventTypes([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	s, err := schema.Compile(want[1].Schema)
	if err != nil {
		t.Fatal(err)
	}
	if p := s.Validate([]byte(`{"id":1,"parent":{"id":"x"}}`)); len(p) != 1 || strings.Join(p[0].Path, "/") != "parent/id" {
		t.Errorf("problems: %v", p)
	}
}

func TestWhatIsNoDocumentIsRefused(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat("*"+string(c-1)+",", 8)+"*"+string(c-1))
	}
	for name, text := range map[string]string{
		"a list": "[]", "a text": "hello", "broken YAML": "a: [", "too long": strings.Repeat(" ", maxSize+1), "webhooks that are a list": "webhooks: []",
		"a name with a blank": "webhooks: {a b: {}}", "an alias bomb": bomb, "a group with a blank": "webhooks: {a: {post: {x-svix-group-name: a b}}}",
		"too deep": strings.Repeat("{a: ", 300) + "1" + strings.Repeat("}", 300), "infinity": "webhooks: {a: {post: {x: .inf}}}",
	} {
		if got, err := ReadEventTypes([]byte(text)); !errors.Is(err, ErrDocument) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, text := range map[string]string{
		"no webhooks": "openapi: 3.1.0", "a webhook of nothing": "webhooks: {a: }", "a reference to itself": "webhooks: {a: {$ref: '#/webhooks/a'}}",
		"a reference to nowhere": "webhooks: {a: {post: {requestBody: {$ref: '#/x/y'}}}}",
	} {
		if _, err := ReadEventTypes([]byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDocuments(f *testing.F) {
	f.Add([]byte(shop))
	f.Add([]byte(`{"webhooks":{"a":{"post":{"requestBody":{"content":{"application/json":{"schema":true}}}}}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		types, err := ReadEventTypes(text)
		if err != nil && !errors.Is(err, ErrDocument) {
			t.Errorf("%v is no ErrDocument", err)
		}
		for _, e := range types {
			if e.Schema != nil && !json.Valid(e.Schema) {
				t.Errorf("%s has a schema that is no JSON", e.Name)
			}
		}
	})
}
