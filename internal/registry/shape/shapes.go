package shape

// The forms of what clients keep here for other clients.
var (
	// SampleAttributes is one of the five forms of a sample's attributes.
	SampleAttributes = named("SampleAttributes", sampleAttributes)
	// TaskAttributes is the task attributes of a dataset.
	TaskAttributes = named("TaskAttributes", taskAttributes)
	// LabelAttributes is the attributes of a label of some task type.
	LabelAttributes = named("LabelAttributes", labelAttributes)
	// Anchor is the anchor of an issue.
	Anchor = named("Anchor", anchor)
)

var (
	textOrNumber = either(str, num)
	xyz          = named("Vector3", obj(req("x", num), req("y", num), req("z", num)))
	xyzw         = named("Quaternion", obj(req("qx", num), req("qy", num), req("qz", num), req("qw", num)))
	location     = named("FileLocation", obj(opt("url", str), opt("signed_url", str)))
)

// Samples.
var (
	image = named("ImageAttributes", obj(req("image", location)))

	imageSequence = named("ImageSequenceAttributes", obj(req("frames", list(obj(
		req("image", location), opt("name", str), opt("timestamp", textOrNumber))))))

	distortion = named("Distortion", either(
		obj(req("model", oneOf("fisheye")), req("coefficients", obj(
			req("k1", num), req("k2", num), req("k3", num), req("k4", num)))),
		obj(req("model", oneOf("brown-conrady")), req("coefficients", obj(
			req("k1", num), req("k2", num), req("p1", num), req("p2", num), req("k3", num),
			opt("k4", num), opt("k5", num), opt("k6", num)))),
	))

	calibratedImage = named("CalibratedImage", both(location, obj(
		opt("row", integer), opt("col", integer),
		opt("intrinsics", obj(req("intrinsic_matrix", list(list(num))))),
		opt("extrinsics", obj(req("translation", xyz), req("rotation", xyzw))),
		opt("distortion", distortion),
		may("camera_convention", oneOf("OpenCV", "OpenGL")),
		opt("name", str), opt("rotation", num))))

	bounds = obj(opt("min_x", num), opt("max_x", num), opt("min_y", num), opt("max_y", num), opt("min_z", num), opt("max_z", num))

	pointCloud = named("PointCloudAttributes", obj(
		req("pcd", obj(
			req("url", str), opt("signed_url", str),
			req("type", oneOf("pcd", "binary-xyzi", "kitti", "binary-xyzir", "nuscenes", "ply", "las", "splat")))),
		may("images", list(calibratedImage)),
		opt("ego_pose", obj(req("position", xyz), req("heading", xyzw))),
		opt("default_z", num), opt("name", str), opt("timestamp", textOrNumber), opt("bounds", bounds)))

	pointCloudSequence = named("PointCloudSequenceAttributes", obj(req("frames", list(pointCloud))))

	pointCloudSensors = []string{"pointcloud-cuboid-sequence", "pointcloud-segmentation-sequence", "pointcloud-vector-sequence"}
	imageSensors      = []string{"image-segmentation-sequence", "image-vector-sequence"}

	multiSensor = named("MultiSensorAttributes", obj(req("sensors", list(either(
		obj(req("name", str), req("task_type", oneOf(pointCloudSensors...)), req("attributes", pointCloudSequence)),
		obj(req("name", str), req("task_type", oneOf(imageSensors...)), req("attributes", imageSequence)),
	)))))

	sampleAttributes = either(image, imageSequence, pointCloud, pointCloudSequence, multiSensor)
)

// Task attributes.
var (
	emptyOrNumber = either(num, is(""))

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

	attribute = named("Attribute", both(both(attributeBase, obj(opt("is_track_level", boolean))),
		either(commonInputs, obj(req("input_type", oneOf("vector3", "quaternion", "points"))))))

	linkAttribute = named("LinkAttribute", both(both(attributeBase, obj(may("is_track_level", is(true)))), commonInputs))

	category = named("Category", obj(
		req("name", str), req("id", integer),
		opt("color", between(3, 4, integer)), opt("has_instances", boolean),
		opt("attributes", list(attribute)),
		opt("dimensions", partialXYZ),
		opt("link_attributes", list(linkAttribute)),
		opt("link_category_restrictions", list(integer))))

	partialXYZ = obj(opt("x", num), opt("y", num), opt("z", num))

	warningRule = named("WarningRule", either(
		obj(req("name", oneOf("intersecting-cuboids")),
			opt("excluded_categories", list(integer)), opt("excluded_set_of_categories", list(integer))),
		obj(req("name", oneOf("cuboid-dimension-limits")),
			opt("categories", list(integer)), opt("min", partialXYZ), opt("max", partialXYZ)),
	))

	taskAttributes = obj(
		opt("format_version", textOrNumber),
		opt("categories", list(category)),
		opt("image_attributes", list(attribute)),
		opt("warning_rules", list(warningRule)))
)

// Labels. A is an annotation; track adds what ties it to others over time.
var (
	attributeValues = mapping(orNull(either(str, boolean, num, list(str))))

	annotation = named("Annotation", obj(req("id", integer), req("category_id", integer), opt("attributes", attributeValues)))

	track = obj(req("track_id", integer), may("is_keyframe", boolean))

	points = req("points", list(list(num)))

	vector = named("VectorAnnotation", both(annotation, obj(req("type", oneOf("bbox", "polygon", "polyline", "point")), points)))

	pointVector = named("PointCloudVectorAnnotation", both(annotation, obj(req("type", oneOf("polygon", "polyline", "point")), points)))

	motion = obj(member{name: "relative", form: num, isNull: true}, req("absolute", num))

	cuboid = named("CuboidAnnotation", both(annotation, obj(
		req("type", oneOf("cuboid", "cuboid-sync")), req("position", xyz), req("dimensions", xyz), req("yaw", num),
		opt("rotation", xyzw), opt("velocity", motion), opt("acceleration", motion))))

	link = named("Link", obj(req("from_id", integer), req("to_id", integer), opt("attributes", attributeValues)))

	top = obj(opt("format_version", textOrNumber), opt("image_attributes", attributeValues))
)

// single is a label of one image or point cloud.
func single(members ...member) Form { return both(top, obj(members...)) }

// sequence is a label of many frames.
func sequence(frame ...member) Form {
	frame = append(frame, opt("timestamp", textOrNumber))
	return both(top, obj(req("frames", list(both(top, obj(frame...))))))
}

func annotations(form Form) member { return req("annotations", list(form)) }

// rows are the forms of a label's attributes by task type, apart from
// multisensor-sequence, which is made of them.
var (
	links = opt("links", list(link))

	imageSegmentationRow = named("SegmentationLabel", single(annotations(annotation), req("segmentation_bitmap", location)))

	imageSegmentationSequenceRow = named("SegmentationSequenceLabel", sequence(annotations(both(annotation, track)), opt("segmentation_bitmap", location)))

	vectorRow = named("VectorLabel", single(annotations(vector)))

	imageVectorSequenceRow = named("VectorSequenceLabel", sequence(annotations(both(vector, track))))

	pointCloudSegmentationRow = named("PointCloudSegmentationLabel", single(annotations(annotation), req("point_annotations", list(integer))))

	pointCloudSegmentationSequenceRow = named("PointCloudSegmentationSequenceLabel", sequence(annotations(both(annotation, track)), req("point_annotations", list(integer))))

	cuboidRow = named("CuboidLabel", single(annotations(cuboid), links))

	cuboidSequenceRow = named("CuboidSequenceLabel", both(sequence(annotations(both(cuboid, track))), obj(links)))

	pointCloudVectorRow = named("PointCloudVectorLabel", single(annotations(either(pointVector, cuboid)), links))

	pointCloudVectorSequenceRow = named("PointCloudVectorSequenceLabel", both(sequence(annotations(both(either(pointVector, cuboid), track))), obj(links)))

	multiSensorRow = named("MultiSensorLabel", both(top, obj(links, req("sensors", list(either(
		sensor("pointcloud-cuboid-sequence", cuboidSequenceRow),
		sensor("pointcloud-vector-sequence", pointCloudVectorSequenceRow),
		sensor("pointcloud-segmentation-sequence", pointCloudSegmentationSequenceRow),
		sensor("image-vector-sequence", imageVectorSequenceRow),
		sensor("image-segmentation-sequence", imageSegmentationSequenceRow),
	))))))

	labelAttributes = either(
		imageSegmentationRow, imageSegmentationSequenceRow, vectorRow, imageVectorSequenceRow, pointCloudSegmentationRow,
		pointCloudSegmentationSequenceRow, cuboidRow, cuboidSequenceRow, pointCloudVectorRow, pointCloudVectorSequenceRow,
		multiSensorRow)
)

// sensor is what one sensor saw; an empty list where nothing is labelled.
func sensor(taskType string, row Form) Form {
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
