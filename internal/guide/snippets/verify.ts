import { createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

// Whether a request was signed with the secret (whsec_…) in the last five
// minutes. The body must be the bytes as they came.
export function genuine(secret: string, headers: IncomingHttpHeaders, body: Buffer): boolean {
  const header = (name: string): string => String(headers[name] ?? "");
  const id = header("webhook-id"), sent = header("webhook-timestamp");
  if (!/^\d+$/.test(sent) || Math.abs(Date.now() / 1000 - Number(sent)) > 300) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const mac = createHmac("sha256", key).update(`${id}.${sent}.`).update(body);
  const want = Buffer.from("v1," + mac.digest("base64"));
  // There are several signatures while a secret is being changed.
  return header("webhook-signature").split(" ").some((text) => {
    const got = Buffer.from(text);
    return got.length === want.length && timingSafeEqual(got, want);
  });
}
