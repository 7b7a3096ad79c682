#!/usr/bin/env node
// Receives webhooks, verifies their signatures and prints the events. Nothing but what Node brings along.
//
//     WEBHOOK_SECRET=whsec_... node receiver.mjs [PORT]
//
// The secret is the one that was shown when the webhook was made. A webhook is made by whoever knows it, and is
// not older than five minutes, or it is answered with 401 and not believed. Delivery is at least once: an event
// that comes again has the same webhook-id and is printed once.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE_SECONDS = 300;
const LARGEST_BODY = 1024 * 1024;
const REMEMBERED = 10_000;

const secret = process.env.WEBHOOK_SECRET ?? "";
if (!secret.startsWith("whsec_")) {
  console.error("WEBHOOK_SECRET must be the webhook's secret (whsec_...)");
  process.exit(1);
}
const key = Buffer.from(secret.slice("whsec_".length), "base64");
const seen = new Set();

/** Whether `signed` (the body, or the query string of a GET) is signed as Standard Webhooks has it. */
function verified(headers, signed) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  const age = Math.abs(Date.now() / 1000 - Number(timestamp));
  if (!id || !timestamp || !(age <= TOLERANCE_SECONDS)) return false;
  const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), signed]);
  const expected = createHmac("sha256", key).update(content).digest();
  // While a secret is changed there are two signatures.
  return (headers["webhook-signature"] ?? "").split(" ").some((signature) => {
    const [version, value] = signature.split(",");
    const offered = Buffer.from(value ?? "", "base64");
    return version === "v1" && offered.length === expected.length && timingSafeEqual(offered, expected);
  });
}

async function bodyOf(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > LARGEST_BODY) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function receive(request) {
  const body = await bodyOf(request);
  if (body === null) return 413;
  const query = request.url.split("?").slice(1).join("?");
  const signed = request.method === "GET" ? Buffer.from(query) : body;
  if (!verified(request.headers, signed)) return 401;
  const event =
    request.headers["content-type"] === "application/json"
      ? JSON.parse(signed.toString())
      : Object.fromEntries(new URLSearchParams(signed.toString()));
  const id = request.headers["webhook-id"];
  if (!seen.has(id)) {
    seen.add(id);
    if (seen.size > REMEMBERED) seen.delete(seen.values().next().value);
    console.log(JSON.stringify(event));
  }
  // An empty answer to a GET: no instructions.
  return 200;
}

const server = createServer(async (request, response) => {
  const status = await receive(request).catch(() => 400);
  response.writeHead(status, { "content-length": "0" }).end();
});
server.listen(Number(process.argv[2] ?? 8900), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}/`);
});
