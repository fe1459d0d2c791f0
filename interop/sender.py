"""Drives a Fanfare node through the unmodified Svix client library.

usage: sender.py URL TOKEN RECEIVER

Works with 1.x and 2.x of the library. Every method of every resource that the
node serves is called; any answer that the library's strict models refuse, and
any that says something else than it should, ends it.
"""

import inspect
import sys
import time
from datetime import datetime, timedelta, timezone

from svix import models
from svix.api import Svix, SvixOptions
from svix.api import application, background_task, event_type, message, message_attempt
from svix.api import MessagePollerPollOptions
from svix.api import endpoint as endpoint_api
from svix.api.message import message_in_raw
from svix.webhooks import Webhook

url, token, receiver = sys.argv[1:]


class Noted:
    """Hands calls on to a resource and notes which methods were called."""

    def __init__(self, resource):
        self.resource, self.called = resource, set()

    def __getattr__(self, name):
        found = getattr(self.resource, name)
        self.called.add(name)
        return found

    def either(self, *names):
        """The method under the name that this version of the library has."""
        for name in names:
            if hasattr(self.resource, name):
                return getattr(self, name)
        raise SystemExit(f"{self.resource} has none of {names}")

    def never_called(self):
        methods = {n for n, f in inspect.getmembers(self.resource, inspect.ismethod) if not n.startswith("_")}
        return {n for n in methods - self.called if "stream" not in n and "transformation" not in n}


svix = Svix(token, SvixOptions(server_url=url + "/"))  # the final slash is to be borne
apps, types, health = Noted(svix.application), Noted(svix.event_type), Noted(svix.health)
endpoints, messages, attempts = Noted(svix.endpoint), Noted(svix.message), Noted(svix.message_attempt)
auth, tasks, statistics = Noted(svix.authentication), Noted(svix.background_task), Noted(svix.statistics)
poller, operational = Noted(svix.message.poller), Noted(svix.operational_webhook.endpoint)

two = not hasattr(svix.application, "update")
chosen = "event_types" if two else "filter_types"
rate = "throttle_rate" if two else "rate_limit"
now = datetime.now(timezone.utc)


def check(ok, what):
    if not ok:
        raise SystemExit(f"not so: {what}")


def model(*names):
    return next(getattr(models, n) for n in names if hasattr(models, n))


def refused(status, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except Exception as e:  # noqa: BLE001 - the library has several kinds
        got = getattr(e, "status_code", None) or getattr(e, "code", None)
        check(str(status) in f"{got} {e!r}", f"{call} is refused with {status}: {e!r}")
        return
    raise SystemExit(f"{call} was not refused with {status}")


def eventually(what, holds):
    for _ in range(1000):
        value = holds()
        if value:
            return value
        time.sleep(0.02)
    raise SystemExit(f"never: {what}")


def walk(page, key="id"):
    """Follows a list to its end, and then back to its beginning. page fetches one."""
    there, last, iterator = [], None, None
    while True:
        last = page(iterator)
        there += [getattr(item, key) for item in last.data]
        if last.done:
            break
        iterator = last.iterator
    back = [getattr(item, key) for item in last.data]
    while len(back) < len(there):
        last = page(last.prev_iterator)
        check(last.data, "there is a page before")
        back = [getattr(item, key) for item in last.data] + back
    check(back == there and last.done == (len(there) > 0), f"the way back is the way there: {there}, {back}")
    return there


health.get()

# Event types.
types.create(models.EventTypeIn(name="user.signup", description="A user signed up.",
                                schemas={"1": {"type": "object", "examples": [{"user": "jane"}]}}))
refused(409, types.create, models.EventTypeIn(name="user.signup", description=""))
types.either("upsert", "update")("user.left", model("EventTypeUpsertIn", "EventTypeUpdate")(description="A user left."))
check(types.patch("user.left", models.EventTypePatch(deprecated=True)).deprecated, "it is deprecated")
imported = types.import_openapi(models.EventTypeImportOpenApiIn(
    spec_raw="openapi: 3.1.0\nwebhooks: {user.made: {post: {description: Made.}}}\n", dry_run=True))
check(imported.data.modified == [] and imported.data.to_modify[0].name == "user.made", f"a dry run: {imported}")
imported = types.import_openapi(models.EventTypeImportOpenApiIn(
    spec={"openapi": "3.1.0", "webhooks": {"user.made": {"post": {"description": "Made."}}}}))
check(imported.data.modified == ["user.made"], f"imported: {imported}")
check(types.get("user.made").description == "Made.", "the imported type")
check(walk(lambda it: types.list(event_type.EventTypeListOptions(limit=1, iterator=it)), "name") == ["user.left", "user.made", "user.signup"],
      "event types by name")
check(types.list(event_type.EventTypeListOptions(order=models.Ordering.DESCENDING)).data[0].name == "user.signup", "backwards by name")
types.delete("user.left")
types.delete("user.made", event_type.EventTypeDeleteOptions(expunge=True))
check(len(types.list(event_type.EventTypeListOptions(include_archived=True, with_content=True)).data) == 2, "with what is archived")

# Applications.
app = apps.create(models.ApplicationIn(name="Acme", uid="acme", metadata={"plan": "pro"}))
check(apps.get_or_create(models.ApplicationIn(name="Other", uid="acme")) == app, "get-or-create finds it")
refused(409, apps.create, models.ApplicationIn(name="Acme", uid="acme"))
refused(422, apps.create, models.ApplicationIn(name=""))
refused(404, apps.get, "nobody")
check(apps.get(app.id).metadata == {"plan": "pro"}, "metadata")
put = apps.either("upsert", "update")("acme", models.ApplicationIn(name="Acme Inc", uid="acme", **{rate: 100}))
check(put.id == app.id and getattr(put, rate) == 100 and put.metadata == {}, f"put: {put}")
check(apps.patch("acme", models.ApplicationPatch(name="Acme", **{rate: None})).name == "Acme", "patched")
for n in range(3):
    apps.create(models.ApplicationIn(name=f"Application {n}"))
ids = walk(lambda it: apps.list(application.ApplicationListOptions(limit=1, iterator=it)))
check(ids == sorted(ids) and ids[0] == app.id and len(ids) == 4, "applications in order")
newest = application.ApplicationListOptions(limit=3, order=models.Ordering.DESCENDING)
check([a.id for a in apps.list(newest).data] == ids[:0:-1], "applications, newest first")

# Endpoints.
endpoint = endpoints.create("acme", models.EndpointIn(url=receiver, uid="main", description="users", headers={"X-Team": "users"},
                                                      **{chosen: ["user.signup"]}))
check(getattr(endpoint, chosen) == ["user.signup"] and endpoint.metadata == {}, f"the endpoint: {endpoint}")
check(endpoints.get("acme", "main") == endpoint, "it is read as it was made")
check(endpoints.get_headers("acme", "main").headers == {"X-Team": "users"}, "headers")
endpoints.either("set_headers", "update_headers")("acme", "main", models.EndpointHeadersIn(headers={"X-A": "1", "Authorization": "s"}))
endpoints.patch_headers("acme", "main", models.EndpointHeadersPatchIn(headers={"X-B": "2"}, delete_headers=["x-a"]))
headers = endpoints.get_headers("acme", "main")
check(headers.headers == {"X-B": "2"} and headers.sensitive == ["Authorization"], f"headers: {headers}")
endpoints.either("upsert", "update")("acme", "main", model("EndpointUpsertIn", "EndpointUpdate")(url=receiver, uid="main", description="users"))
check(getattr(endpoints.get("acme", "main"), chosen) is None, "all event types")
check(endpoints.patch("acme", "main", models.EndpointPatch(description="all", channels=None)).description == "all", "patched")
refused(422, endpoints.create, "acme", models.EndpointIn(url=receiver, **{chosen: ["nothing"]}))
others = [endpoints.create("acme", models.EndpointIn(url=receiver, channels=["never"])).id for n in range(3)]
check(walk(lambda it: endpoints.list("acme", endpoint_api.EndpointListOptions(limit=2, iterator=it))) == others[::-1] + [endpoint.id], "newest first")
secret = endpoints.get_secret("acme", "main").key
Webhook(secret)
endpoints.rotate_secret("acme", "main", models.EndpointSecretRotateIn())
check(endpoints.get_secret("acme", "main").key != secret, "the secret is another one")

# Messages.
made = messages.create("acme", models.MessageIn(event_type="user.signup", event_id="evt-1", payload={"user": "jané"}, tags=["a"], channels=["c"]))
check(made.payload == {"user": "jané"} or two, f"made: {made}")
whole = message.MessageGetOptions(with_content=True)
check(messages.get("acme", "evt-1", whole).payload == {"user": "jané"}, "the payload")
check(messages.get("acme", made.id, message.MessageGetOptions(with_content=False)).payload == {}, "no payload")
refused(409, messages.create, "acme", models.MessageIn(event_type="user.signup", event_id="evt-1", payload={}))
once = message.MessageCreateOptions(idempotency_key="once", with_content=True)
first = messages.create("acme", models.MessageIn(event_type="user.signup", payload={}), once)
check(messages.create("acme", models.MessageIn(event_type="user.signup", payload={}), once).id == first.id, "once")
raw = messages.create("acme", message_in_raw("user.signup", '{ "raw": 1 }', "application/json"))
messages.create("fresh", models.MessageIn(event_type="a", payload={}, application=models.ApplicationIn(name="Fresh", uid="fresh")))
listed = walk(lambda it: messages.list("acme", message.MessageListOptions(limit=1, iterator=it, event_types=["user.signup", "other"])))
check(listed == [raw.id, first.id, made.id], f"messages: {listed}")
check([m.id for m in messages.list("acme", message.MessageListOptions(tag="a", channel="c", after=now - timedelta(hours=1),
                                                                       before=now + timedelta(hours=1))).data] == [made.id], "by tag and channel")
check(messages.precheck("acme", models.MessagePrecheckIn(event_type="user.signup")).active, "somebody listens")

# Attempts.
eventually("three attempts", lambda: endpoints.get_stats("acme", "main").success == 3)
attempt = attempts.list_by_msg("acme", made.id).data[0]
check(attempt.response_status_code == 200 and attempt.status == 0 and attempt.status_text == "success", f"the attempt: {attempt}")
check(attempts.get("acme", made.id, attempt.id).id == attempt.id, "the attempt by itself")
of = message_attempt.MessageAttemptListByEndpointOptions
check(len(walk(lambda it: attempts.list_by_endpoint("acme", endpoint.id, of(limit=1, iterator=it, event_types=["user.signup"])))) == 3, "attempts")
check(attempts.list_by_endpoint("acme", "main", of(with_msg=True, tag="a")).data[0].msg.id == made.id, "the message of an attempt")
by = message_attempt.MessageAttemptListByMsgOptions
check(attempts.list_by_msg("acme", made.id, by(endpoint_id="main", status=models.MessageStatus.SUCCESS,
                                               status_code_class=models.StatusCodeClass.CODE2XX)).data[0].id == attempt.id, "filtered")
at = message_attempt.MessageAttemptListAttemptedMessagesOptions
check(walk(lambda it: attempts.list_attempted_messages("acme", endpoint.id, at(limit=1, iterator=it))) == listed, "messages of the endpoint")
to = message_attempt.MessageAttemptListAttemptedDestinationsOptions
check(walk(lambda it: attempts.list_attempted_destinations("acme", made.id, to(limit=1, iterator=it))) == [endpoint.id], "endpoints of the message")
attempts.resend("acme", made.id, endpoint.id)
check(endpoints.send_example("acme", "main", models.EventExampleIn(event_type="user.signup")).event_type == "user.signup", "an example")
eventually("five attempts", lambda: endpoints.get_stats("acme", "main").success == 5)

# Background tasks.
since = now - timedelta(hours=1)
started = [
    endpoints.recover("acme", "main", models.RecoverIn(since=since)),
    endpoints.replay_missing("acme", "main", models.ReplayIn(since=since)),
    endpoints.bulk_replay("acme", "main", models.BulkReplayIn(since=since, until=datetime.now(timezone.utc), status=models.MessageStatus.SUCCESS)),
    statistics.aggregate_app_stats(models.AppUsageStatsIn(since=since, until=now + timedelta(hours=1), app_ids=["acme", "nobody"])),
    statistics.aggregate_event_types(),
]
check(started[3].unresolved_app_ids == ["nobody"], f"{started[3]}")
for task in started:
    eventually(f"{task.task} ends", lambda: tasks.get(task.id).status == models.BackgroundTaskStatus.FINISHED)
check(tasks.get(started[2].id).data == {"messagesSent": 4}, f"{tasks.get(started[2].id)}")
check(walk(lambda it: tasks.list(background_task.BackgroundTaskListOptions(limit=2, iterator=it))) == [t.id for t in started[::-1]], "tasks")
recoveries = background_task.BackgroundTaskListOptions(task=models.BackgroundTaskType.ENDPOINT_RECOVER, status=models.BackgroundTaskStatus.FINISHED)
check([t.id for t in tasks.list(recoveries).data] == [started[0].id], "recoveries")

# Pollers.
polled = poller.poll("acme", "main")
check([m.id for m in polled.data][:3] == listed[::-1] and polled.done, f"polled: {polled}")
check(poller.poll("acme", "main", MessagePollerPollOptions(iterator=polled.iterator)).data == [], "nothing new")
consumed = poller.consumer_poll("acme", "main", "me")
check([m.id for m in consumed.data] == [m.id for m in polled.data], "consumed")
sought = poller.consumer_seek("acme", "main", "me", models.PollingEndpointConsumerSeekIn(after=since))
check(poller.consumer_poll("acme", "main", "me").data[0].id == made.id and sought.iterator, "after the seek")

# Operational webhooks.
own = operational.create(models.OperationalWebhookEndpointIn(url=receiver, uid="own", **{chosen: ["endpoint.disabled"]}))
check(operational.get("own") == own and [e.id for e in operational.list().data] == [own.id], f"operational: {own}")
operational.either("upsert", "update")("own", model("OperationalWebhookEndpointUpsertIn", "OperationalWebhookEndpointUpdate")(url=receiver, uid="own"))
operational.either("set_headers", "update_headers")("own", models.OperationalWebhookEndpointHeadersIn(headers={"X-A": "1"}))
check(operational.get_headers("own").headers == {"X-A": "1"}, "headers")
key = operational.get_secret("own").key
operational.rotate_secret("own", models.OperationalWebhookEndpointSecretIn())
check(operational.get_secret("own").key != key, "another secret")
operational.delete("own")

# Tokens.
access = auth.app_portal_access("acme", models.AppPortalAccessIn(feature_flags=["beta"], session_id="jane", expiry=3600))
check(access.url.startswith("http"), f"access: {access}")
if not two:
    check(auth.dashboard_access("acme").token != access.token, "another token")
theirs = Svix(access.token, SvixOptions(server_url=url))
theirs.endpoint.list("acme")
refused(403, theirs.application.list)
refused(404, theirs.endpoint.list, "fresh")
refused(403, svix.authentication.logout)
theirs.authentication.logout()
auth.called.add("logout")
refused(401, theirs.endpoint.list, "acme")
theirs = Svix(auth.app_portal_access("acme", models.AppPortalAccessIn(session_id="john")).token, SvixOptions(server_url=url))
auth.expire_all("acme", models.ApplicationTokenExpireIn(session_ids=["jane"]))
theirs.endpoint.list("acme")
auth.expire_all("acme", models.ApplicationTokenExpireIn(expiry=0))
refused(401, theirs.endpoint.list, "acme")

# What is forgotten and deleted.
attempts.expunge_content("acme", made.id, attempt.id)
check(attempts.get("acme", made.id, attempt.id).response == "EXPUNGED", "expunged")
messages.expunge_content("acme", made.id)
check(messages.get("acme", made.id, whole).payload == {"expired": True}, "expired")
refused(400, attempts.resend, "acme", made.id, endpoint.id)
purge = messages.expunge_all_contents("acme")
eventually("the purge ends", lambda: tasks.get(purge.id).data == {"messagesPurged": 4})
if hasattr(svix.message, "bulk_expunge_content"):
    refused(404, messages.bulk_expunge_content, "acme", models.BulkExpungeContentsIn.model_construct())
if hasattr(svix.endpoint, "get_attempt_stats"):
    refused(404, endpoints.get_attempt_stats, "acme", "main")
endpoints.delete("acme", "main")
apps.delete("acme")
refused(404, apps.get, app.id)

for resource in (apps, types, health, endpoints, messages, attempts, auth, tasks, statistics, poller, operational):
    check(not resource.never_called(), f"{type(resource.resource).__name__} was called in full: {resource.never_called()}")
print("done")
