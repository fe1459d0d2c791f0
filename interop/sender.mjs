// Drives a Fanfare node through the unmodified Svix client library.
//
// usage: sender.mjs LIBRARY URL TOKEN RECEIVER
//
// Works with 1.x and 2.x of the library. Every method of every resource that the
// node serves is called; what says something else than it should ends it.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import path from "node:path";

const [library, url, token, receiver] = process.argv.slice(2);
const entry = createRequire(path.join(library, "x.js")).resolve("svix");
const module = await import(pathToFileURL(entry));
const { Svix, Webhook, messageInRaw } = module.Svix ? module : module.default;
const svix = new Svix(token, { serverUrl: `${url}/` }); // the final slash is to be borne

function check(ok, what) {
  if (!ok) throw new Error(`not so: ${what}`);
}
const show = JSON.stringify;
function same(got, want, what) {
  check(show(got) === show(want), `${what}: ${show(got)}, not ${show(want)}`);
}
async function refused(status, call) {
  try {
    await call();
  } catch (e) {
    check(e.code === status, `refused with ${status}: ${e}`);
    return;
  }
  throw new Error(`not refused with ${status}: ${call}`);
}
async function eventually(what, holds) {
  for (let i = 0; i < 1000; i++) {
    const value = await holds();
    if (value) return value;
    await new Promise((r) => setTimeout(r, 20));
  }
  throw new Error(`never: ${what}`);
}

// What the library offers beyond what the node serves: 404, in JSON.
const elsewhere = /stream|transformation|bulkExpunge|Poller(Token)?$/i;

// noted hands calls on to a resource and notes which methods were called.
function noted(resource) {
  const called = new Set();
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(resource)).filter(
    (n) => n !== "constructor" && typeof Object.getOwnPropertyDescriptor(Object.getPrototypeOf(resource), n).value === "function",
  );
  return new Proxy(resource, {
    get(_, name) {
      if (name === "neverCalled") return methods.filter((n) => !called.has(n) && !elsewhere.test(n));
      if (name === "either") {
        return (...names) => {
          const has = names.filter((n) => typeof resource[n] === "function");
          has.forEach((n) => called.add(n));
          return resource[has[0]].bind(resource);
        };
      }
      called.add(name);
      return typeof resource[name] === "function" ? resource[name].bind(resource) : resource[name];
    },
  });
}
const [apps, types, health] = [svix.application, svix.eventType, svix.health].map(noted);
const [endpoints, messages, attempts] = [svix.endpoint, svix.message, svix.messageAttempt].map(noted);
const [auth, tasks, statistics] = [svix.authentication, svix.backgroundTask, svix.statistics].map(noted);
const [poller, operational] = [svix.message.poller, svix.operationalWebhook.endpoint].map(noted);

const two = typeof svix.application.update !== "function";
const chosen = two ? "eventTypes" : "filterTypes";
const rate = two ? "throttleRate" : "rateLimit";
const ids = (list) => list.map((item) => item.id);

// walk follows a list to its end, and then back to its beginning.
async function walk(page, key = "id") {
  const there = [];
  let last;
  let iterator;
  do {
    last = await page(iterator);
    there.push(...last.data.map((item) => item[key]));
    iterator = last.iterator;
  } while (!last.done);
  let back = last.data.map((item) => item[key]);
  while (back.length < there.length) {
    last = await page(last.prevIterator);
    check(last.data.length > 0, "there is a page before");
    back = [...last.data.map((item) => item[key]), ...back];
  }
  same(back, there, "the way back");
  return there;
}

await health.get();

// Event types.
await types.create({
  name: "user.signup", description: "A user signed up.",
  schemas: { 1: { type: "object", examples: [{ user: "jane" }] } },
});
await refused(409, () => types.create({ name: "user.signup", description: "" }));
await types.either("upsert", "update")("user.left", { description: "A user left." });
check((await types.patch("user.left", { deprecated: true })).deprecated, "it is deprecated");
const specRaw = "openapi: 3.1.0\nwebhooks: {user.made: {post: {description: Made.}}}\n";
const dry = await types.importOpenapi({ specRaw, dryRun: true });
check(dry.data.modified.length === 0 && dry.data.toModify[0].name === "user.made", `a dry run: ${show(dry)}`);
same((await types.importOpenapi({ specRaw })).data.modified, ["user.made"], "imported");
same((await types.get("user.made")).description, "Made.", "the imported type");
same(await walk((iterator) => types.list({ limit: 1, iterator }), "name"), ["user.left", "user.made", "user.signup"], "event types by name");
await types.delete("user.left");
await types.delete("user.made", { expunge: true });
same((await types.list({ includeArchived: true, withContent: true })).data.length, 2, "with what is archived");

// Applications.
const app = await apps.create({ name: "Acme", uid: "acme", metadata: { plan: "pro" } });
same(await apps.getOrCreate({ name: "Other", uid: "acme" }), app, "get-or-create");
await refused(409, () => apps.create({ name: "Acme", uid: "acme" }));
await refused(422, () => apps.create({ name: "" }));
await refused(404, () => apps.get("nobody"));
same((await apps.get(app.id)).metadata, { plan: "pro" }, "metadata");
const put = await apps.either("upsert", "update")("acme", { name: "Acme Inc", uid: "acme", [rate]: 100 });
check(put.id === app.id && put[rate] === 100 && show(put.metadata) === "{}", `put: ${show(put)}`);
same((await apps.patch("acme", { name: "Acme", [rate]: null })).name, "Acme", "patched");
for (let n = 0; n < 3; n++) await apps.create({ name: `Application ${n}` });
const all = await walk((iterator) => apps.list({ limit: 1, iterator }));
check(show(all) === show([...all].sort()) && all[0] === app.id && all.length === 4, `applications in order: ${all}`);
same(ids((await apps.list({ limit: 3, order: "descending" })).data), [...all].reverse().slice(0, 3), "newest first");

// Endpoints.
const endpoint = await endpoints.create("acme", {
  url: receiver, uid: "main", description: "users", headers: { "X-Team": "users" }, [chosen]: ["user.signup"],
});
same(endpoint[chosen], ["user.signup"], "event types");
check(endpoint.createdAt instanceof Date && !Number.isNaN(endpoint.createdAt.getTime()), "times");
same(await endpoints.get("acme", "main"), endpoint, "read as it was made");
same((await endpoints.getHeaders("acme", "main")).headers, { "X-Team": "users" }, "headers");
await endpoints.either("setHeaders", "updateHeaders", "headersUpdate")("acme", "main", { headers: { "X-A": "1", Authorization: "s" } });
await endpoints.either("patchHeaders", "headersPatch")("acme", "main", { headers: { "X-B": "2" }, deleteHeaders: ["x-a"] });
const headers = await endpoints.getHeaders("acme", "main");
same([headers.headers, headers.sensitive], [{ "X-B": "2" }, ["Authorization"]], "headers");
await endpoints.either("upsert", "update")("acme", "main", { url: receiver, uid: "main", description: "users" });
same((await endpoints.get("acme", "main"))[chosen], null, "all event types");
same((await endpoints.patch("acme", "main", { description: "all", channels: null })).description, "all", "patched");
await refused(422, () => endpoints.create("acme", { url: receiver, [chosen]: ["nothing"] }));
const others = [];
for (let n = 0; n < 3; n++) others.unshift((await endpoints.create("acme", { url: receiver, channels: ["never"] })).id);
same(await walk((iterator) => endpoints.list("acme", { limit: 2, iterator })), [...others, endpoint.id], "newest first");
const { key } = await endpoints.getSecret("acme", "main");
new Webhook(key);
await endpoints.rotateSecret("acme", "main", {});
check((await endpoints.getSecret("acme", "main")).key !== key, "the secret is another one");

// Messages.
const made = await messages.create("acme", { eventType: "user.signup", eventId: "evt-1", payload: { user: "jané" }, tags: ["a"], channels: ["c"] });
same((await messages.get("acme", "evt-1", { withContent: true })).payload, { user: "jané" }, "the payload");
same((await messages.get("acme", made.id, { withContent: false })).payload, {}, "no payload");
await refused(409, () => messages.create("acme", { eventType: "user.signup", eventId: "evt-1", payload: {} }));
const create = () => messages.create("acme", { eventType: "user.signup", payload: {} }, { idempotencyKey: "once", withContent: true });
const first = await create();
same((await create()).id, first.id, "once");
const raw = await messages.create("acme", messageInRaw("user.signup", '{ "raw": 1 }', "application/json"));
await messages.create("fresh", { eventType: "a", payload: {}, application: { name: "Fresh", uid: "fresh" } });
const listed = await walk((iterator) => messages.list("acme", { limit: 1, iterator, eventTypes: ["user.signup", "other"] }));
same(listed, [raw.id, first.id, made.id], "messages");
const hour = 3600e3;
const [since, until] = [new Date(Date.now() - hour), new Date(Date.now() + hour)];
same(ids((await messages.list("acme", { tag: "a", channel: "c", after: since, before: until })).data), [made.id], "by tag and channel");
check((await messages.precheck("acme", { eventType: "user.signup" })).active, "somebody listens");

// Attempts.
await eventually("three attempts", async () => (await endpoints.getStats("acme", "main")).success === 3);
const [attempt] = (await attempts.listByMsg("acme", made.id)).data;
check(attempt.responseStatusCode === 200 && attempt.status === 0 && attempt.statusText === "success", `the attempt: ${show(attempt)}`);
same((await attempts.get("acme", made.id, attempt.id)).id, attempt.id, "the attempt by itself");
const eventTypes = ["user.signup"];
same((await walk((iterator) => attempts.listByEndpoint("acme", endpoint.id, { limit: 1, iterator, eventTypes }))).length, 3, "attempts");
same((await attempts.listByEndpoint("acme", "main", { withMsg: true, tag: "a" })).data[0].msg.id, made.id, "the message of an attempt");
same(ids((await attempts.listByMsg("acme", made.id, { endpointId: "main", status: 0, statusCodeClass: 200 })).data), [attempt.id], "filtered");
same(await walk((iterator) => attempts.listAttemptedMessages("acme", endpoint.id, { limit: 1, iterator })), listed, "messages of the endpoint");
same(await walk((iterator) => attempts.listAttemptedDestinations("acme", made.id, { limit: 1, iterator })), [endpoint.id], "endpoints of the message");
await attempts.resend("acme", made.id, endpoint.id);
same((await endpoints.sendExample("acme", "main", { eventType: "user.signup" })).eventType, "user.signup", "an example");
await eventually("five attempts", async () => (await endpoints.getStats("acme", "main")).success === 5);

// Background tasks.
const started = [
  await endpoints.recover("acme", "main", { since }),
  await endpoints.replayMissing("acme", "main", { since }),
  await endpoints.bulkReplay("acme", "main", { since, until: new Date(), status: 0 }),
  await statistics.aggregateAppStats({ since, until, appIds: ["acme", "nobody"] }),
  await statistics.aggregateEventTypes(),
];
same(started[3].unresolvedAppIds, ["nobody"], "who is not there");
for (const task of started) {
  await eventually(`${task.task} ends`, async () => (await tasks.get(task.id)).status === "finished");
}
same((await tasks.get(started[2].id)).data, { messagesSent: 4 }, "sent again");
same(await walk((iterator) => tasks.either("list", "listByEndpoint")({ limit: 2, iterator })), ids(started).reverse(), "tasks");
same(ids((await tasks.list({ task: "endpoint.recover", status: "finished" })).data), [started[0].id], "recoveries");

// Pollers.
const polled = await poller.poll("acme", "main");
check(show(ids(polled.data).slice(0, 3)) === show([...listed].reverse()) && polled.done, `polled: ${show(polled)}`);
same((await poller.poll("acme", "main", { iterator: polled.iterator })).data, [], "nothing new");
same(ids((await poller.consumerPoll("acme", "main", "me/too")).data), ids(polled.data), "consumed");
check((await poller.consumerSeek("acme", "main", "me/too", { after: since })).iterator, "an iterator");
same((await poller.consumerPoll("acme", "main", "me/too")).data[0].id, made.id, "after the seek");

// Operational webhooks.
const own = await operational.create({ url: receiver, uid: "own", [chosen]: ["endpoint.disabled"] });
same(await operational.get("own"), own, "operational");
same(ids((await operational.list()).data), [own.id], "operational ones");
await operational.either("upsert", "update")("own", { url: receiver, uid: "own" });
await operational.either("setHeaders", "updateHeaders")("own", { headers: { "X-A": "1" } });
same((await operational.getHeaders("own")).headers, { "X-A": "1" }, "headers");
const before = (await operational.getSecret("own")).key;
await operational.rotateSecret("own", {});
check((await operational.getSecret("own")).key !== before, "another secret");
await operational.delete("own");

// Tokens.
const access = await auth.appPortalAccess("acme", { featureFlags: ["beta"], sessionId: "jane", expiry: 3600 });
check(access.url.startsWith("http"), "a URL");
if (!two) check((await auth.dashboardAccess("acme")).token !== access.token, "another token");
let theirs = new Svix(access.token, { serverUrl: url });
await theirs.endpoint.list("acme");
await refused(403, () => theirs.application.list());
await refused(404, () => theirs.endpoint.list("fresh"));
await refused(403, () => auth.logout());
await theirs.authentication.logout();
await refused(401, () => theirs.endpoint.list("acme"));
theirs = new Svix((await auth.appPortalAccess("acme", { sessionId: "john" })).token, { serverUrl: url });
await auth.expireAll("acme", { sessionIds: ["jane"] });
await theirs.endpoint.list("acme");
await auth.expireAll("acme", { expiry: 0 });
await refused(401, () => theirs.endpoint.list("acme"));

// What is forgotten and deleted.
await attempts.expungeContent("acme", made.id, attempt.id);
same((await attempts.get("acme", made.id, attempt.id)).response, "EXPUNGED", "expunged");
await messages.expungeContent("acme", made.id);
same((await messages.get("acme", made.id, { withContent: true })).payload, { expired: true }, "expired");
await refused(400, () => attempts.resend("acme", made.id, endpoint.id));
const purge = await messages.expungeAllContents("acme");
await eventually("the purge ends", async () => show((await tasks.get(purge.id)).data) === '{"messagesPurged":4}');
if (messages.bulkExpungeContent) await refused(404, () => svix.message.bulkExpungeContent("acme", {}));
await refused(404, () => svix.endpoint.transformationPartialUpdate("acme", "main", { code: "", enabled: true }));
await endpoints.delete("acme", "main");
await apps.delete("acme");
await refused(404, () => apps.get(app.id));

for (const resource of [apps, types, health, endpoints, messages, attempts, auth, tasks, statistics, poller, operational]) {
  same(resource.neverCalled, [], `never called of ${resource.constructor.name}`);
}
console.log("done");
