// Drives a Fanfare node through the unmodified Svix client library.
//
// usage: sender.mjs LIBRARY URL TOKEN RECEIVER
//
// Works with 1.x and 2.x of the library. What says something else than it
// should ends it.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import path from "node:path";

const [library, url, token, receiver] = process.argv.slice(2);
const entry = createRequire(path.join(library, "x.js")).resolve("svix");
const module = await import(pathToFileURL(entry));
const { Svix, Webhook } = module.Svix ? module : module.default;
const svix = new Svix(token, { serverUrl: url });

function check(ok, what) {
  if (!ok) throw new Error(`not so: ${what}`);
}
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const oneOf = (thing, ...names) => thing[names.find((n) => typeof thing[n] === "function")].bind(thing);
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
  for (let i = 0; i < 400; i++) {
    const value = await holds();
    if (value) return value;
    await new Promise((r) => setTimeout(r, 20));
  }
  throw new Error(`never: ${what}`);
}

const two = typeof svix.application.update !== "function";
const types = two ? "eventTypes" : "filterTypes";

await svix.health.get();
await svix.eventType.create({
  name: "user.signup", description: "A user signed up.",
  schemas: { 1: { type: "object", examples: [{ user: "jane" }] } },
});
const app = await svix.application.create({ name: "Acme", uid: "acme", metadata: { plan: "pro" } });
check((await svix.application.getOrCreate({ name: "Acme", uid: "acme" })).id === app.id, "get-or-create finds it");
await refused(409, () => svix.application.create({ name: "Acme", uid: "acme" }));
await refused(422, () => svix.application.create({ name: "" }));
await refused(404, () => svix.application.get("nobody"));
check(same((await svix.application.list()).data[0].metadata, { plan: "pro" }), "metadata");
await oneOf(svix.application, "upsert", "update")("acme", { name: "Acme Inc", uid: "acme" });
await svix.application.patch("acme", { name: "Acme" });

const endpoint = await svix.endpoint.create("acme", {
  url: receiver, uid: "main", description: "users", headers: { "X-Team": "users" }, [types]: ["user.signup"],
});
check(same(endpoint[types], ["user.signup"]), "event types");
check(endpoint.createdAt instanceof Date && !Number.isNaN(endpoint.createdAt.getTime()), "times");
const headers = oneOf(svix.endpoint, "headersGet", "getHeaders");
check(same((await headers("acme", "main")).headers, { "X-Team": "users" }), "headers");
await oneOf(svix.endpoint, "upsert", "update")("acme", "main", { url: receiver, uid: "main", description: "users" });
await svix.endpoint.patch("acme", "main", { description: "all" });
const { key } = await svix.endpoint.getSecret("acme", "main");
new Webhook(key);
await svix.endpoint.rotateSecret("acme", "main", {});
check((await svix.endpoint.getSecret("acme", "main")).key !== key, "the secret is another one");

const message = await svix.message.create("acme", {
  eventType: "user.signup", eventId: "evt-1", payload: { user: "jané" }, tags: ["a"],
});
check(same((await svix.message.get("acme", "evt-1", { withContent: true })).payload, { user: "jané" }), "the payload");
await refused(409, () => svix.message.create("acme", { eventType: "user.signup", eventId: "evt-1", payload: {} }));
const [attempt] = await eventually("an attempt", async () => {
  const { data } = await svix.messageAttempt.listByMsg("acme", message.id);
  return data.length > 0 && data;
});
check(attempt.responseStatusCode === 200 && attempt.status === 0, `the attempt: ${JSON.stringify(attempt)}`);
await svix.messageAttempt.get("acme", message.id, attempt.id);
check((await svix.messageAttempt.listByEndpoint("acme", endpoint.id)).data.length === 1, "attempts of the endpoint");
check((await svix.messageAttempt.listAttemptedMessages("acme", endpoint.id)).data[0].id === message.id, "messages of the endpoint");
check((await svix.messageAttempt.listAttemptedDestinations("acme", message.id)).data[0].id === endpoint.id, "endpoints of the message");
await svix.messageAttempt.resend("acme", message.id, endpoint.id);
await svix.endpoint.sendExample("acme", "main", { eventType: "user.signup" });
await eventually("three attempts", async () => (await svix.endpoint.getStats("acme", "main")).success === 3);
check((await svix.message.precheck("acme", { eventType: "user.signup" })).active, "somebody listens");
check((await svix.message.list("acme", { eventTypes: ["user.signup"] })).data.length === 2, "messages");

const since = new Date(Date.now() - 3600e3);
const tasks = [
  await svix.endpoint.recover("acme", "main", { since }),
  await svix.endpoint.replayMissing("acme", "main", { since }),
  await svix.endpoint.bulkReplay("acme", "main", { since }),
  await svix.statistics.aggregateAppStats({ since, until: new Date(Date.now() + 3600e3) }),
  await svix.statistics.aggregateEventTypes(),
];
for (const task of tasks) {
  await eventually(`${task.task} ends`, async () => (await svix.backgroundTask.get(task.id)).status === "finished");
}
check((await svix.backgroundTask.list()).data.length === tasks.length, "tasks");
const polled = await svix.message.poller.poll("acme", "main");
check(polled.data.length === 2 && polled.done, "polled");
await svix.message.poller.consumerPoll("acme", "main", "me/too");
await svix.message.poller.consumerSeek("acme", "main", "me/too", { after: new Date() });

await svix.eventType.list();
await oneOf(svix.eventType, "upsert", "update")("user.left", { description: "A user left." });
await svix.eventType.patch("user.left", { deprecated: true });
await svix.eventType.importOpenapi({ specRaw: "openapi: 3.1.0\nwebhooks: {user.made: {post: {description: Made.}}}\n" });
check((await svix.eventType.get("user.made")).description === "Made.", "the imported type");
await svix.eventType.delete("user.left");

const operational = await svix.operationalWebhook.endpoint.create({ url: receiver });
await svix.operationalWebhook.endpoint.get(operational.id);
await svix.operationalWebhook.endpoint.getSecret(operational.id);
await svix.operationalWebhook.endpoint.list();
await svix.operationalWebhook.endpoint.delete(operational.id);

const access = await svix.authentication.appPortalAccess("acme", {});
const theirs = new Svix(access.token, { serverUrl: url });
await theirs.endpoint.list("acme");
await refused(403, () => theirs.application.list());
await theirs.authentication.logout();
await refused(401, () => theirs.endpoint.list("acme"));
await svix.authentication.expireAll("acme", {});

await svix.messageAttempt.expungeContent("acme", message.id, attempt.id);
await svix.message.expungeContent("acme", message.id);
await svix.message.expungeAllContents("acme");
await svix.endpoint.delete("acme", "main");
await svix.application.delete("acme");
console.log("done");
