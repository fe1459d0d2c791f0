package shape

import "encoding/json"

// SampleAttributes reports whether raw is null or one of the five forms of a
// sample's attributes.
func SampleAttributes(raw json.RawMessage) bool { return fits(raw, sampleAttributes) }

// TaskAttributes reports whether raw is null or the task attributes of a
// dataset.
func TaskAttributes(raw json.RawMessage) bool { return fits(raw, taskAttributes) }

// LabelAttributes reports whether raw is null or the attributes of a label of
// some task type.
func LabelAttributes(raw json.RawMessage) bool { return fits(raw, labelAttributes) }

// Anchor reports whether raw is null or the anchor of an issue.
func Anchor(raw json.RawMessage) bool { return fits(raw, anchor) }

var (
	textOrNumber = either(str, num)
	xyz          = obj(req("x", num), req("y", num), req("z", num))
	xyzw         = obj(req("qx", num), req("qy", num), req("qz", num), req("qw", num))
	location     = obj(opt("url", str), opt("signed_url", str))
)

// Samples.
var (
	image = obj(req("image", location))

	imageSequence = obj(req("frames", list(obj(
		req("image", location), opt("name", str), opt("timestamp", textOrNumber)))))

	distortion = either(
		obj(req("model", oneOf("fisheye")), req("coefficients", obj(
			req("k1", num), req("k2", num), req("k3", num), req("k4", num)))),
		obj(req("model", oneOf("brown-conrady")), req("coefficients", obj(
			req("k1", num), req("k2", num), req("p1", num), req("p2", num), req("k3", num),
			opt("k4", num), opt("k5", num), opt("k6", num)))),
	)

	calibratedImage = both(location, obj(
		opt("row", integer), opt("col", integer),
		opt("intrinsics", obj(req("intrinsic_matrix", list(list(num))))),
		opt("extrinsics", obj(req("translation", xyz), req("rotation", xyzw))),
		opt("distortion", distortion),
		may("camera_convention", oneOf("OpenCV", "OpenGL")),
		opt("name", str), opt("rotation", num)))

	bounds = obj(opt("min_x", num), opt("max_x", num), opt("min_y", num), opt("max_y", num), opt("min_z", num), opt("max_z", num))

	pointCloud = obj(
		req("pcd", obj(
			req("url", str), opt("signed_url", str),
			req("type", oneOf("pcd", "binary-xyzi", "kitti", "binary-xyzir", "nuscenes", "ply", "las", "splat")))),
		may("images", list(calibratedImage)),
		opt("ego_pose", obj(req("position", xyz), req("heading", xyzw))),
		opt("default_z", num), opt("name", str), opt("timestamp", textOrNumber), opt("bounds", bounds))

	pointCloudSequence = obj(req("frames", list(pointCloud)))

	pointCloudSensors = []string{"pointcloud-cuboid-sequence", "pointcloud-segmentation-sequence", "pointcloud-vector-sequence"}
	imageSensors      = []string{"image-segmentation-sequence", "image-vector-sequence"}

	multiSensor = obj(req("sensors", list(either(
		obj(req("name", str), req("task_type", oneOf(pointCloudSensors...)), req("attributes", pointCloudSequence)),
		obj(req("name", str), req("task_type", oneOf(imageSensors...)), req("attributes", imageSequence)),
	))))

	sampleAttributes = either(image, imageSequence, pointCloud, pointCloudSequence, multiSensor)
)

// Task attributes.
var (
	emptyOrNumber = either(num, func(v any) bool { return v == "" })

	attributeBase = obj(
		req("name", str), opt("is_mandatory", boolean),
		opt("synced_across_sensors", boolean), opt("sensor_filter", str))

	// commonInputs are the kinds that attributes of categories, images and
	// links share.
	commonInputs = either(
		obj(req("input_type", oneOf("select", "multiselect")), req("values", list(str)), opt("default_value", str)),
		obj(req("input_type", oneOf("text")), opt("default_value", str)),
		obj(req("input_type", oneOf("number")), opt("default_value", num),
			opt("min", emptyOrNumber), opt("max", emptyOrNumber), opt("step", emptyOrNumber)),
		obj(req("input_type", oneOf("checkbox")), opt("default_value", boolean)),
	)

	attribute = both(both(attributeBase, obj(opt("is_track_level", boolean))),
		either(commonInputs, obj(req("input_type", oneOf("vector3", "quaternion", "points")))))

	linkAttribute = both(both(attributeBase, obj(may("is_track_level", func(v any) bool { return v == true }))), commonInputs)

	category = obj(
		req("name", str), req("id", integer),
		opt("color", between(3, 4, integer)), opt("has_instances", boolean),
		opt("attributes", list(attribute)),
		opt("dimensions", partialXYZ),
		opt("link_attributes", list(linkAttribute)),
		opt("link_category_restrictions", list(integer)))

	partialXYZ = obj(opt("x", num), opt("y", num), opt("z", num))

	warningRule = either(
		obj(req("name", oneOf("intersecting-cuboids")),
			opt("excluded_categories", list(integer)), opt("excluded_set_of_categories", list(integer))),
		obj(req("name", oneOf("cuboid-dimension-limits")),
			opt("categories", list(integer)), opt("min", partialXYZ), opt("max", partialXYZ)),
	)

	taskAttributes = obj(
		opt("format_version", textOrNumber),
		opt("categories", list(category)),
		opt("image_attributes", list(attribute)),
		opt("warning_rules", list(warningRule)))
)

// Labels. A is an annotation; track adds what ties it to others over time.
var (
	attributeValues = mapping(orNull(either(str, boolean, num, list(str))))

	annotation = obj(req("id", integer), req("category_id", integer), opt("attributes", attributeValues))

	track = obj(req("track_id", integer), may("is_keyframe", boolean))

	points = req("points", list(list(num)))

	vector = both(annotation, obj(req("type", oneOf("bbox", "polygon", "polyline", "point")), points))

	pointVector = both(annotation, obj(req("type", oneOf("polygon", "polyline", "point")), points))

	motion = obj(member{name: "relative", form: num, isNull: true}, req("absolute", num))

	cuboid = both(annotation, obj(
		req("type", oneOf("cuboid", "cuboid-sync")), req("position", xyz), req("dimensions", xyz), req("yaw", num),
		opt("rotation", xyzw), opt("velocity", motion), opt("acceleration", motion)))

	link = obj(req("from_id", integer), req("to_id", integer), opt("attributes", attributeValues))

	top = obj(opt("format_version", textOrNumber), opt("image_attributes", attributeValues))
)

// single is a label of one image or point cloud.
func single(members ...member) check { return both(top, obj(members...)) }

// sequence is a label of many frames.
func sequence(frame ...member) check {
	frame = append(frame, opt("timestamp", textOrNumber))
	return both(top, obj(req("frames", list(both(top, obj(frame...))))))
}

func annotations(form check) member { return req("annotations", list(form)) }

// rows are the forms of a label's attributes by task type, apart from
// multisensor-sequence, which is made of them.
var (
	links = opt("links", list(link))

	imageSegmentationRow = single(annotations(annotation), req("segmentation_bitmap", location))

	imageSegmentationSequenceRow = sequence(annotations(both(annotation, track)), opt("segmentation_bitmap", location))

	vectorRow = single(annotations(vector))

	imageVectorSequenceRow = sequence(annotations(both(vector, track)))

	pointCloudSegmentationRow = single(annotations(annotation), req("point_annotations", list(integer)))

	pointCloudSegmentationSequenceRow = sequence(annotations(both(annotation, track)), req("point_annotations", list(integer)))

	cuboidRow = single(annotations(cuboid), links)

	cuboidSequenceRow = both(sequence(annotations(both(cuboid, track))), obj(links))

	pointCloudVectorRow = single(annotations(either(pointVector, cuboid)), links)

	pointCloudVectorSequenceRow = both(sequence(annotations(both(either(pointVector, cuboid), track))), obj(links))

	multiSensorRow = both(top, obj(links, req("sensors", list(either(
		sensor("pointcloud-cuboid-sequence", cuboidSequenceRow),
		sensor("pointcloud-vector-sequence", pointCloudVectorSequenceRow),
		sensor("pointcloud-segmentation-sequence", pointCloudSegmentationSequenceRow),
		sensor("image-vector-sequence", imageVectorSequenceRow),
		sensor("image-segmentation-sequence", imageSegmentationSequenceRow),
	)))))

	labelAttributes = either(
		imageSegmentationRow, imageSegmentationSequenceRow, vectorRow, imageVectorSequenceRow, pointCloudSegmentationRow,
		pointCloudSegmentationSequenceRow, cuboidRow, cuboidSequenceRow, pointCloudVectorRow, pointCloudVectorSequenceRow,
		multiSensorRow)
)

// sensor is what one sensor saw; an empty list where nothing is labelled.
func sensor(taskType string, row check) check {
	return obj(req("name", str), req("task_type", oneOf(taskType)), req("attributes", either(row, emptyList)))
}

// Issues.
var (
	anchorBase = obj(opt("sensor", str), opt("frame", integer))

	anchor = both(anchorBase, either(
		obj(req("type", oneOf("basic"))),
		obj(req("type", oneOf("track")), req("trackNumber", integer), opt("trackAttribute", str)),
		obj(req("type", oneOf("sceneAttribute")), req("sceneAttribute", str)),
		obj(req("type", oneOf("location")), req("location", either(
			obj(req("type", oneOf("2d")), req("x", num), req("y", num)),
			obj(req("type", oneOf("3d")), req("x", num), req("y", num), req("z", num))))),
	))
)
