"""Drives the registry through every method of the official SDK.

usage: registry.py URL KEY_OF_JANE

Prints one line for each event that its calls should have caused, in order.
"""

import io
import sys
import time

from segments import SegmentsClient, exceptions

url, key = sys.argv[1:3]
client = SegmentsClient(key, url)
expected = []


def expect(event, text):
    expected.append(f"{event}: {text}")


def raises(kind, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except kind:
        return
    raise AssertionError(f"{call.__name__} did not raise {kind.__name__}")


for bad in ("", "wrong"):
    raises(exceptions.AuthenticationError, SegmentsClient, bad, url)

user = client.get_user()
assert user.username == "jane" and user.webhooks_enabled, user
assert client.get_user("john").webhooks_enabled is None

# Datasets and collaborators.
dataset = client.add_dataset("flowers", description="d", task_type="vector", task_attributes={
    "format_version": "0.1", "categories": [{"name": "rose", "id": 1, "color": [1, 2, 3]}]})
expect("dataset.created", "Dataset jane/flowers created.")
assert dataset.full_name == "jane/flowers"
raises(exceptions.AlreadyExistsError, client.add_dataset, "flowers")
client.update_dataset("jane/flowers", description="Flowers", enable_ratings=True)
expect("dataset.updated", "Dataset jane/flowers updated: description, enable_ratings.")
client.update_dataset("jane/flowers", description="Flowers")
assert client.get_dataset("jane/flowers").enable_ratings
assert [d.full_name for d in client.get_datasets()] == ["jane/flowers"]
assert client.get_datasets("john") == []
for missing in ("jane/nothing", "abcde", "nobody/flowers"):
    raises(exceptions.NotFoundError, client.get_dataset, missing)
assert client.add_dataset_collaborator("jane/flowers", "john", "reviewer").user.username == "john"
expect("dataset.updated", "Collaborator john added to dataset jane/flowers as reviewer.")
raises(exceptions.CollaboratorError, client.add_dataset_collaborator, "jane/flowers", "john")
raises(exceptions.CollaboratorError, client.add_dataset_collaborator, "jane/flowers", "jane")
raises(exceptions.NotFoundError, client.add_dataset_collaborator, "jane/flowers", "nobody")
client.update_dataset_collaborator("jane/flowers", "john", "manager")
expect("dataset.updated", "Collaborator john changed from reviewer to manager in dataset jane/flowers.")
assert client.get_dataset_collaborator("jane/flowers", "john").role == "manager"

# Assets and samples.
file = client.upload_asset(io.BytesIO(b"petals"), "rose.png")
assert client.api_session.get(file.url, headers={"Authorization": None}).content == b"petals"
rose = client.add_sample("jane/flowers", "rose.png", {"image": {"url": file.url}}, metadata={"city": "Gent"}, priority=2)
expect("sample.created", "Sample rose.png created in dataset jane/flowers.")
raises(exceptions.AlreadyExistsError, client.add_sample, "jane/flowers", "rose.png", {"image": {"url": "x"}})
samples = client.add_samples("jane/flowers", [
    {"name": "rose.png", "attributes": {"image": {"url": "x"}}},
    {"name": "a & b.png", "attributes": {"image": {"url": "x"}}},
    {"name": "c.png", "attributes": {"image": {"url": "x"}}},
])
expect("sample.created", "Sample a &amp; b.png created in dataset jane/flowers.")
expect("sample.created", "Sample c.png created in dataset jane/flowers.")
assert [s.name for s in samples] == ["rose.png", "a & b.png", "c.png"] and samples[0].uuid == rose.uuid
client.update_sample(rose.uuid, priority=5, assigned_labeler="john")
expect("sample.updated", "Sample rose.png updated in dataset jane/flowers: priority, assigned_labeler.")
client.update_sample(rose.uuid, priority=5)
assert client.get_sample(rose.uuid, labelset="ground-truth", include_signed_url=True).assigned_labeler == "john"
assert [s.name for s in client.get_samples("jane/flowers", metadata="city:Gent")] == ["rose.png"]
assert [s.name for s in client.get_samples("jane/flowers", sort="priority", direction="desc")][0] == "rose.png"
raises(exceptions.NotFoundError, client.get_sample, "12345")
assert client.delete_samples("jane/flowers", [samples[1].uuid, "12345"]).deleted_count == 1
expect("sample.deleted", "Sample a &amp; b.png deleted from dataset jane/flowers.")

# Labelsets and labels.
client.add_labelset("jane/flowers", "model v1", "predictions")
expect("dataset.updated", "Labelset model v1 added to dataset jane/flowers.")
raises(exceptions.AlreadyExistsError, client.add_labelset, "jane/flowers", "model v1")
assert [s.name for s in client.get_labelsets("jane/flowers")] == ["ground-truth", "model v1"]
assert client.get_labelset("jane/flowers", "model v1").description == "predictions"
boxes = {"annotations": [{"id": 1, "category_id": 1, "type": "bbox", "points": [[0, 0], [1, 1]]}]}
raises(exceptions.NotFoundError, client.get_label, rose.uuid)
client.add_label(rose.uuid, "ground-truth", boxes, label_status="LABELED", score=0.5)
expect("label.updated", "Label of sample rose.png created (LABELED) in dataset jane/flowers.")
client.add_label(rose.uuid, "ground-truth", boxes, label_status="LABELED", score=0.5)
client.add_label(rose.uuid, "model v1", boxes)
expect("label.updated", "Label of sample rose.png in labelset model v1 created (PRELABELED) in dataset jane/flowers.")
reviewed = client.update_label(rose.uuid, "ground-truth", label_status="REVIEWED")
expect("label.updated", "Label of sample rose.png changed from LABELED to REVIEWED in dataset jane/flowers.")
assert reviewed.reviewed_by == "jane" and reviewed.attributes.annotations[0].points[1] == [1, 1]
assert client.get_label(rose.uuid).label_type == "vector"
listed = client.get_samples("jane/flowers", labelset="ground-truth", label_status=["REVIEWED"])
assert len(listed) == 1 and listed[0].label.label_status == "REVIEWED"
client.delete_label(rose.uuid, "ground-truth")
expect("label.deleted", "Label of sample rose.png deleted in dataset jane/flowers.")

# Issues.
issue = client.add_issue(rose.uuid, "Petal missing.")
expect("issue.created", 'Issue created on sample rose.png in dataset jane/flowers: "Petal missing."')
client.update_issue(issue.uuid, status="CLOSED")
expect("issue.updated", "Issue on sample rose.png closed in dataset jane/flowers.")
assert [i.status for i in client.get_issues("jane/flowers")] == ["CLOSED"]
assert [i.uuid for i in client.get_sample(rose.uuid).get_issues()] == [issue.uuid]
client.delete_issue(issue.uuid)

# Releases and workunits.
assert client.add_release("jane/flowers", "v0.1", "first").status == "PENDING"
expect("release.created", "Release v0.1 created in dataset jane/flowers.")
deadline = time.monotonic() + 30
while (release := client.get_release("jane/flowers", "v0.1")).status == "PENDING":
    assert time.monotonic() < deadline, "the release is not built"
    time.sleep(0.02)
assert release.status == "SUCCEEDED" and [r.name for r in client.get_releases("jane/flowers")] == ["v0.1"]
content = client.api_session.get(release.attributes.url, headers={"Authorization": None}).json()
assert [s["name"] for s in content["dataset"]["samples"]] == ["c.png", "rose.png"], content
client.delete_release("jane/flowers", "v0.1")
assert client.get_workunits("jane/flowers") == []

# A clone.
clone = client.clone_dataset("jane/flowers", new_name="copy", clone_labels=True)
expect("dataset.created", "Dataset jane/copy created as a clone of jane/flowers.")
expect("sample.created", "Sample rose.png created in dataset jane/copy.")
expect("label.updated", "Label of sample rose.png in labelset model v1 created (PRELABELED) in dataset jane/copy.")
expect("sample.created", "Sample c.png created in dataset jane/copy.")
assert clone.cloned_from == "jane/flowers" and clone.samples_count == 2, clone

# The end of it all.
client.delete_labelset("jane/flowers", "model v1")
expect("label.deleted", "Label of sample rose.png in labelset model v1 deleted in dataset jane/flowers.")
expect("dataset.updated", "Labelset model v1 removed from dataset jane/flowers.")
client.delete_dataset_collaborator("jane/flowers", "john")
expect("dataset.updated", "Collaborator john removed from dataset jane/flowers.")
client.delete_sample(rose.uuid)
expect("sample.deleted", "Sample rose.png deleted from dataset jane/flowers.")
raises(exceptions.NotFoundError, client.delete_sample, rose.uuid)
client.delete_dataset("jane/flowers")
expect("dataset.deleted", "Dataset jane/flowers deleted.")
raises(exceptions.NotFoundError, client.delete_dataset, "jane/flowers")
client.close()

print("\n".join(expected))
