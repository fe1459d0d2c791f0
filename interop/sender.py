"""Drives a Fanfare node through the unmodified Svix client library.

usage: sender.py URL TOKEN RECEIVER

Works with 1.x and 2.x of the library. Any answer that the library's strict
models refuse, and any that says something else than it should, ends it.
"""

import sys
import time
from datetime import datetime, timedelta, timezone

from svix.api import Svix, SvixOptions
from svix import models
from svix.webhooks import Webhook

url, token, receiver = sys.argv[1:]
svix = Svix(token, SvixOptions(server_url=url))
calls = 0


def check(ok, what):
    if not ok:
        raise SystemExit(f"not so: {what}")


def one_of(thing, *names):
    for name in names:
        if hasattr(thing, name):
            return getattr(thing, name)
    raise SystemExit(f"{thing} has none of {names}")


def refused(status, call, *args, **kwargs):
    global calls
    calls += 1
    try:
        call(*args, **kwargs)
    except Exception as e:  # noqa: BLE001 - the library has several kinds
        got = getattr(e, "status_code", None) or getattr(e, "code", None)
        check(str(status) in f"{got} {e!r}", f"{call} is refused with {status}: {e!r}")
        return
    raise SystemExit(f"{call} was not refused")


def eventually(what, holds):
    for _ in range(400):
        value = holds()
        if value:
            return value
        time.sleep(0.02)
    raise SystemExit(f"never: {what}")


two = not hasattr(svix.application, "update")
types = "event_types" if two else "filter_types"
now = datetime.now(timezone.utc)

svix.health.get()
svix.event_type.create(models.EventTypeIn(name="user.signup", description="A user signed up.",
                                          schemas={"1": {"type": "object", "examples": [{"user": "jane"}]}}))
app = svix.application.create(models.ApplicationIn(name="Acme", uid="acme", metadata={"plan": "pro"}))
check(svix.application.get_or_create(models.ApplicationIn(name="Acme", uid="acme")).id == app.id, "get-or-create finds it")
refused(409, svix.application.create, models.ApplicationIn(name="Acme", uid="acme"))
refused(422, svix.application.create, models.ApplicationIn(name=""))
refused(404, svix.application.get, "nobody")
check(svix.application.list().data[0].metadata == {"plan": "pro"}, "metadata")
one_of(svix.application, "upsert", "update")("acme", models.ApplicationIn(name="Acme Inc", uid="acme"))
svix.application.patch("acme", models.ApplicationPatch(name="Acme"))

endpoint = svix.endpoint.create("acme", models.EndpointIn(url=receiver, uid="main", description="users",
                                                          headers={"X-Team": "users"}, **{types: ["user.signup"]}))
check(getattr(endpoint, types) == ["user.signup"], "event types")
check(one_of(svix.endpoint, "headers_get", "get_headers")("acme", "main").headers == {"X-Team": "users"}, "headers")
update = one_of(models, "EndpointUpsertIn", "EndpointUpdate")(url=receiver, uid="main", description="users")
one_of(svix.endpoint, "upsert", "update")("acme", "main", update)
svix.endpoint.patch("acme", "main", models.EndpointPatch(description="all"))
secret = svix.endpoint.get_secret("acme", "main").key
Webhook(secret)
svix.endpoint.rotate_secret("acme", "main", models.EndpointSecretRotateIn())
check(svix.endpoint.get_secret("acme", "main").key != secret, "the secret is another one")

message = svix.message.create("acme", models.MessageIn(event_type="user.signup", event_id="evt-1", payload={"user": "jané"}, tags=["a"]))
check(svix.message.get("acme", "evt-1").payload == {"user": "jané"}, "the payload")
refused(409, svix.message.create, "acme", models.MessageIn(event_type="user.signup", event_id="evt-1", payload={}))
attempt = eventually("an attempt", lambda: svix.message_attempt.list_by_msg("acme", message.id).data)[0]
check(attempt.response_status_code == 200 and attempt.status == 0, f"the attempt: {attempt}")
svix.message_attempt.get("acme", message.id, attempt.id)
check(len(svix.message_attempt.list_by_endpoint("acme", endpoint.id).data) == 1, "attempts of the endpoint")
check(svix.message_attempt.list_attempted_messages("acme", endpoint.id).data[0].id == message.id, "messages of the endpoint")
check(svix.message_attempt.list_attempted_destinations("acme", message.id).data[0].id == endpoint.id, "endpoints of the message")
svix.message_attempt.resend("acme", message.id, endpoint.id)
svix.endpoint.send_example("acme", "main", models.EventExampleIn(event_type="user.signup"))
eventually("three attempts", lambda: svix.endpoint.get_stats("acme", "main").success == 3)
check(svix.message.precheck("acme", models.MessagePrecheckIn(event_type="user.signup")).active, "somebody listens")
check(len(svix.message.list("acme").data) == 2, "messages")

since = now - timedelta(hours=1)
tasks = [
    svix.endpoint.recover("acme", "main", models.RecoverIn(since=since)),
    svix.endpoint.replay_missing("acme", "main", models.ReplayIn(since=since)),
    svix.endpoint.bulk_replay("acme", "main", models.BulkReplayIn(since=since)),
    svix.statistics.aggregate_app_stats(models.AppUsageStatsIn(since=since, until=now + timedelta(hours=1))),
    svix.statistics.aggregate_event_types(),
]
for task in tasks:
    eventually(f"{task.task} ends", lambda: str(svix.background_task.get(task.id).status).lower().endswith("finished"))
check(len(svix.background_task.list().data) == len(tasks), "tasks")
polled = svix.message.poller.poll("acme", "main")
check(len(polled.data) == 2 and polled.done, "polled")
svix.message.poller.consumer_poll("acme", "main", "me")
svix.message.poller.consumer_seek("acme", "main", "me", models.PollingEndpointConsumerSeekIn(after=now))

svix.event_type.list()
one_of(svix.event_type, "upsert", "update")("user.left", one_of(models, "EventTypeUpsertIn", "EventTypeUpdate")(description="A user left."))
svix.event_type.patch("user.left", models.EventTypePatch(deprecated=True))
svix.event_type.import_openapi(models.EventTypeImportOpenApiIn(spec_raw="openapi: 3.1.0\nwebhooks: {user.made: {post: {description: Made.}}}\n"))
check(svix.event_type.get("user.made").description == "Made.", "the imported type")
svix.event_type.delete("user.left")

operational = svix.operational_webhook.endpoint.create(models.OperationalWebhookEndpointIn(url=receiver))
svix.operational_webhook.endpoint.get(operational.id)
svix.operational_webhook.endpoint.get_secret(operational.id)
svix.operational_webhook.endpoint.list()
svix.operational_webhook.endpoint.delete(operational.id)

access = svix.authentication.app_portal_access("acme", models.AppPortalAccessIn())
theirs = Svix(access.token, SvixOptions(server_url=url))
theirs.endpoint.list("acme")
refused(403, theirs.application.list)
theirs.authentication.logout()
refused(401, theirs.endpoint.list, "acme")
svix.authentication.expire_all("acme", models.ApplicationTokenExpireIn())

svix.message_attempt.expunge_content("acme", message.id, attempt.id)
svix.message.expunge_content("acme", message.id)
svix.message.expunge_all_contents("acme")
svix.endpoint.delete("acme", "main")
svix.application.delete("acme")
print("done")
