package shape

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const pcd = `{"pcd":{"url":"https://a/b.pcd","type":"pcd"}}`

// holds checks that a value has a form or not, and that the form's schema says
// the same.
func holds(t *testing.T, form Form, raw string, want bool) {
	t.Helper()
	if got := form.Fits(json.RawMessage(raw)); got != want {
		t.Errorf("%s: fits is %v", raw, got)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	err = schemas(t)[form.Schema()["$ref"].(string)].Validate(value) //nolint:forcetypeassert // all of these have a name
	if got := value == nil || err == nil; got != want && !unsaid[raw] {
		t.Errorf("%s: its schema says %v: %v", raw, got, err)
	}
}

// unsaid is what is refused for a reason that a schema cannot give.
var unsaid = map[string]bool{hugeNumber: true, deep: true}

const hugeNumber = `{"pcd":{"url":"x","type":"pcd"},"default_z":1e999}`

var deep = `{"image":{"url":"x"},"more":` + nested(200) + `}`

// schemas are those of the parts, by reference.
func schemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"components": map[string]any{"schemas": Parts()}})
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("https://schema.invalid/", document); err != nil {
		t.Fatal(err)
	}
	compiled := map[string]*jsonschema.Schema{}
	for name := range Parts() {
		ref := "#/components/schemas/" + name
		if compiled[ref], err = c.Compile("https://schema.invalid/" + ref); err != nil {
			t.Fatal(err)
		}
	}
	return compiled
}

func TestSampleAttributes(t *testing.T) {
	for _, test := range []struct {
		sentence, raw string
		want          bool
	}{
		{"null is no attributes", `null`, true},
		{"an image", `{"image":{"url":"https://a/b.png"}}`, true},
		{"an image whose URL is null", `{"image":{"url":null}}`, true},
		{"members nobody knows pass", `{"image":{"url":"x","more":[1]},"more":{}}`, true},
		{"a sequence of images", `{"frames":[{"image":{"url":"x"},"name":null,"timestamp":1.5},{"image":{},"timestamp":"1"}]}`, true},
		{"a sequence of nothing", `{"frames":[]}`, true},
		{"a point cloud", pcd, true},
		{"a point cloud with a camera", `{"pcd":{"url":"x","type":"las"},"images":[{"url":"y","row":1.0,"camera_convention":"OpenCV",
			"intrinsics":{"intrinsic_matrix":[[1,0],[0,1]]},"extrinsics":{"translation":{"x":0,"y":0,"z":0},"rotation":{"qx":0,"qy":0,"qz":0,"qw":1}},
			"distortion":{"model":"fisheye","coefficients":{"k1":0,"k2":0,"k3":0,"k4":0}}}]}`, true},
		{"a sequence of point clouds", `{"frames":[` + pcd + `]}`, true},
		{"several sensors", `{"sensors":[{"name":"a","task_type":"pointcloud-cuboid-sequence","attributes":{"frames":[` + pcd + `]}},
			{"name":"b","task_type":"image-vector-sequence","attributes":{"frames":[{"image":{"url":"x"}}]}}]}`, true},
		{"an empty object", `{}`, false},
		{"a list", `[]`, false},
		{"a text", `"image"`, false},
		{"an image that is null", `{"image":null}`, false},
		{"an image that is a text", `{"image":"x"}`, false},
		{"a URL that is a number", `{"image":{"url":1}}`, false},
		{"a point cloud without a type", `{"pcd":{"url":"x"}}`, false},
		{"a point cloud of an unknown type", `{"pcd":{"url":"x","type":"obj"}}`, false},
		{"cameras that are null", `{"pcd":{"url":"x","type":"pcd"},"images":null}`, false},
		{"a row that is not whole", `{"pcd":{"url":"x","type":"pcd"},"images":[{"row":1.5}]}`, false},
		{"a pose without a heading", `{"pcd":{"url":"x","type":"pcd"},"ego_pose":{"position":{"x":0,"y":0,"z":0}}}`, false},
		{"a sensor without a name", `{"sensors":[{"task_type":"image-vector-sequence","attributes":{"frames":[]}}]}`, false},
		{"a number no float holds", hugeNumber, false},
		{"an endless nesting", deep, false},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			holds(t, SampleAttributes, test.raw, test.want)
		})
	}
}

func nested(depth int) string {
	return string(bytes.Repeat([]byte{'['}, depth)) + string(bytes.Repeat([]byte{']'}, depth))
}

func TestTaskAttributes(t *testing.T) {
	for _, test := range []struct {
		sentence, raw string
		want          bool
	}{
		{"null", `null`, true},
		{"an empty object", `{}`, true},
		{"everything null", `{"format_version":null,"categories":null,"image_attributes":null,"warning_rules":null}`, true},
		{"a category", `{"format_version":"0.1","categories":[{"name":"rose","id":1,"color":[1,2,3],"attributes":[
			{"name":"a","input_type":"select","values":["x"],"default_value":"x"},{"name":"b","input_type":"number","min":"","max":2},
			{"name":"c","input_type":"checkbox","default_value":true},{"name":"d","input_type":"vector3"}]}]}`, true},
		{"a category without an id", `{"categories":[{"name":"rose"}]}`, false},
		{"a category whose id is not whole", `{"categories":[{"name":"rose","id":1.5}]}`, false},
		{"a color of two numbers", `{"categories":[{"name":"rose","id":1,"color":[1,2]}]}`, false},
		{"a choice without values", `{"categories":[{"name":"rose","id":1,"attributes":[{"name":"a","input_type":"select"}]}]}`, false},
		{"a link attribute of three numbers", `{"categories":[{"name":"rose","id":1,"link_attributes":[{"name":"a","input_type":"vector3"}]}]}`, false},
		{"warning rules", `{"warning_rules":[{"name":"intersecting-cuboids","excluded_categories":[1]},{"name":"cuboid-dimension-limits","min":{"x":1}}]}`, true},
		{"a warning rule nobody knows", `{"warning_rules":[{"name":"x"}]}`, false},
		{"a limit that is no size", `{"warning_rules":[{"name":"cuboid-dimension-limits","min":1}]}`, false},
		{"categories that are an object", `{"categories":{}}`, false},
		{"a list", `[]`, false},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			holds(t, TaskAttributes, test.raw, test.want)
		})
	}
}

func TestLabelAttributes(t *testing.T) {
	for _, test := range []struct {
		sentence, raw string
		want          bool
	}{
		{"null", `null`, true},
		{"a bitmap", `{"annotations":[{"id":1,"category_id":1.0}],"segmentation_bitmap":{"url":"x"}}`, true},
		{"boxes", `{"annotations":[{"id":1,"category_id":1,"type":"bbox","points":[[0,0],[1.5,1]],"attributes":{"a":"b","c":null,"d":["e"]}}]}`, true},
		{"frames with tracks", `{"frames":[{"annotations":[{"id":1,"category_id":1,"type":"point","points":[[1,1]],"track_id":1,"is_keyframe":true}],"timestamp":null}]}`, true},
		{"points of a cloud", `{"annotations":[],"point_annotations":[0,1,2]}`, true},
		{"a cuboid", `{"annotations":[{"id":1,"category_id":1,"type":"cuboid","position":{"x":0,"y":0,"z":0},"dimensions":{"x":1,"y":1,"z":1},"yaw":0,
			"velocity":{"relative":null,"absolute":1.5}}],"links":null}`, true},
		{"a sensor with nothing labelled", `{"sensors":[{"name":"a","task_type":"image-vector-sequence","attributes":[]}]}`, true},
		{"a sensor with null", `{"sensors":[{"name":"a","task_type":"image-vector-sequence","attributes":null}]}`, false},
		{"frames without the points of the cloud", `{"frames":[{"annotations":[{"id":1,"category_id":1,"track_id":1}],"point_annotations":null}]}`, true}, // as images
		{"points that are not whole", `{"annotations":[{"id":1,"category_id":1}],"point_annotations":[0,1.5]}`, false},
		{"an empty object", `{}`, false},
		{"a keyframe that is null", `{"frames":[{"annotations":[{"id":1,"category_id":1,"type":"point","points":[[1,1]],"track_id":1,"is_keyframe":null}]}]}`, false},
		{"an attribute that is an object", `{"annotations":[{"id":1,"category_id":1,"type":"bbox","points":[],"attributes":{"a":{}}}]}`, false},
		{"a category that is not whole", `{"annotations":[{"id":1,"category_id":1.5,"type":"bbox","points":[]}]}`, false},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			holds(t, LabelAttributes, test.raw, test.want)
		})
	}
}

func TestAnchor(t *testing.T) {
	for raw, want := range map[string]bool{
		`null`:                             true,
		`{"type":"basic","sensor":"a"}`:    true,
		`{"type":"track","trackNumber":1}`: true,
		`{"type":"location","location":{"type":"2d","x":1,"y":2}}`: true,
		`{"type":"location","location":{"type":"3d","x":1,"y":2}}`: false,
		`{"type":"track"}`:             false,
		`{"type":"basic","frame":"1"}`: false,
		`{}`:                           false,
		`[]`:                           false,
	} {
		holds(t, Anchor, raw, want)
	}
}

func TestEqual(t *testing.T) {
	for _, test := range []struct {
		sentence, a, b string
		want           bool
	}{
		{"the order of members does not count", `{"a":1,"b":2}`, `{"b":2,"a":1}`, true},
		{"the way numbers are written does not count", `[1,10,0,0.5,-3]`, `[1.0,1e1,-0,5E-1,-30e-1]`, true},
		{"space does not count", `{"a" : [ 1 ]}`, `{"a":[1]}`, true},
		{"escapes do not count", `"\u0061"`, `"a"`, true},
		{"nothing is null", ``, `null`, true},
		{"the order of lists counts", `[1,2]`, `[2,1]`, false},
		{"a number is no text", `1`, `"1"`, false},
		{"null is no absence in an object", `{"a":null}`, `{}`, false},
		{"numbers no float tells apart", `9007199254740993`, `9007199254740992`, false},
		{"numbers beyond all bounds", `1e99999999999999999999`, `1e99999999999999999998`, false},
		{"a large exponent", `1e1000000000`, `10e999999999`, true},
		{"true is not false", `true`, `false`, false},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			a, b := json.RawMessage(test.a), json.RawMessage(test.b)
			if test.a == "" {
				a = nil
			}
			if got := Equal(a, b); got != test.want || Equal(b, a) != got {
				t.Errorf("got %v and, the other way, %v", got, Equal(b, a))
			}
		})
	}
}

func FuzzAValueEqualsItselfWrittenAnew(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.50,1e3],"b":null}`, pcd, `[[]]`, `"\ud800"`, nested(150)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _, _, _ = SampleAttributes.Fits(raw), TaskAttributes.Fits(raw), LabelAttributes.Fits(raw), Anchor.Fits(raw)
		v, ok := decode(raw)
		if !ok || !json.Valid(raw) {
			return
		}
		var std any
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if err := d.Decode(&std); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(std)
		if err != nil {
			t.Fatal(err)
		}
		if !same(v, plainly(std)) {
			t.Errorf("%s was read as %v", raw, v)
		}
		if !Equal(raw, again) || !Equal(again, raw) {
			t.Errorf("%s is not %s", raw, again)
		}
	})
}

func FuzzMembersAndElementsAreThoseOfTheStandardDecoder(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":"]}"}],"c" : null , "a":"\\\""}`, `[1 ,"x",[2,[]],{"a":1},-1.5e3, true]`, `{}`, `[]`, ` [ ] `, `1`, `"x"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var wantMembers map[string]json.RawMessage
		members, ok := Members(raw)
		if isObject := json.Unmarshal(raw, &wantMembers) == nil && wantMembers != nil; ok != isObject {
			t.Fatalf("%s: an object %v", raw, ok)
		}
		if ok && !reflect.DeepEqual(members, wantMembers) {
			t.Errorf("%s has members %s", raw, members)
		}
		var wantElements []json.RawMessage
		elements, ok := Elements(raw)
		if isList := json.Unmarshal(raw, &wantElements) == nil && wantElements != nil; ok != isList {
			t.Fatalf("%s: a list %v", raw, ok)
		}
		if ok && !reflect.DeepEqual(elements, wantElements) {
			t.Errorf("%s has elements %s", raw, elements)
		}
	})
}

// plainly is what the standard decoder reads, with lists of numbers as decode
// gives them.
func plainly(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = plainly(v[name])
		}
	case []any:
		flat := []byte{}
		for i := range v {
			n, ok := v[i].(json.Number)
			if !ok {
				flat = nil
			}
			if flat != nil {
				flat = append(append(flat, n...), ',')
			}
			v[i] = plainly(v[i])
		}
		if len(flat) > 0 {
			return numbers(flat)
		}
	}
	return v
}

// BenchmarkALabelWithMillionsOfPoints is why lists of numbers are looked at in
// place.
func BenchmarkALabelWithMillionsOfPoints(b *testing.B) {
	raw := append([]byte(`{"annotations":[],"point_annotations":[0`), bytes.Repeat([]byte(",17"), 2_000_000)...)
	raw = append(raw, "]}"...)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if !LabelAttributes.Fits(raw) {
			b.Fatal("refused")
		}
	}
}

func FuzzTextIsThatOfTheStandardDecoder(f *testing.F) {
	for _, seed := range []string{`"a"`, `""`, ` "a\nb" `, `"é"`, `"\ud800"`, "\"\xff\"", `1`, `null`, `"\\"`, `"a\"b"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return
		}
		var want *string
		err := json.Unmarshal(raw, &want)
		got, ok := Text(raw)
		if ok != (err == nil && want != nil) || ok && got != *want {
			t.Errorf("%q is %q, %v; the standard decoder says %v, %v", raw, got, ok, want, err)
		}
	})
}
