// A receiver of webhooks: it checks the signature, drops repeats, answers at
// once and works afterwards.
//
//   WEBHOOK_SECRET='whsec_…' PORT=8000 node receiver.mjs
import { createServer } from "node:http";
// BEGIN verify
import { createHmac, timingSafeEqual } from "node:crypto";

// Whether a request was signed with the secret (whsec_…) in the last five
// minutes. The body must be the bytes as they came, a Buffer.
export function genuine(secret, headers, body) {
  const id = headers["webhook-id"] ?? "", sent = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(sent) || Math.abs(Date.now() / 1000 - Number(sent)) > 300) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const mac = createHmac("sha256", key).update(`${id}.${sent}.`).update(body);
  const want = Buffer.from("v1," + mac.digest("base64"));
  // There are several signatures while a secret is being changed.
  return (headers["webhook-signature"] ?? "").split(" ").some((text) => {
    const got = Buffer.from(text);
    return got.length === want.length && timingSafeEqual(got, want);
  });
}
// END verify

// The newest ids. A server that may restart keeps them in its database instead,
// in the transaction that does the work.
const seen = new Set();
function first(id) {
  if (seen.has(id)) return false;
  seen.add(id);
  if (seen.size > 10_000) seen.delete(seen.values().next().value);
  return true;
}

function work(body) {
  const event = JSON.parse(body.toString("utf8"));
  console.log("received:", event.text); // your work goes here
}

createServer((request, response) => {
  const chunks = [];
  let size = 0;
  request.on("data", (chunk) => {
    size += chunk.length;
    if (size > 1 << 20) request.destroy();
    chunks.push(chunk);
  });
  request.on("end", () => {
    const body = Buffer.concat(chunks);
    const good = genuine(process.env.WEBHOOK_SECRET, request.headers, body);
    response.writeHead(good ? 204 : 400).end();
    if (good && first(request.headers["webhook-id"])) setImmediate(work, body);
  });
}).listen(Number(process.env.PORT), () => console.log("listening on port", process.env.PORT));
