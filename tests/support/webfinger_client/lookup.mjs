// Looks up each resource that is given a line with webfinger.js, and prints what it made of the
// answer. The host is served at ORIGIN, and asked for by its own name.
import http from "node:http";
import readline from "node:readline";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.MODULES}/`);
const WebFinger = require("webfinger.js").default ?? require("webfinger.js");
const origin = new URL(process.env.ORIGIN);

globalThis.fetch = (url) =>
  new Promise((resolve, reject) => {
    const asked = new URL(url);
    const options = {
      host: origin.hostname,
      port: origin.port,
      path: asked.pathname + asked.search,
      headers: { host: asked.host, accept: "application/jrd+json" },
    };
    http
      .get(options, (answer) => {
        const parts = [];
        answer.on("data", (part) => parts.push(part));
        answer.on("end", () =>
          resolve(
            new Response(Buffer.concat(parts), {
              status: answer.statusCode,
              headers: { "content-type": answer.headers["content-type"] ?? "" },
            }),
          ),
        );
      })
      .on("error", reject);
  });

const client = new WebFinger({ allow_private_addresses: true, uri_fallback: false, request_timeout: 20000 });
for await (const resource of readline.createInterface({ input: process.stdin })) {
  try {
    const found = await client.lookup(resource);
    console.log(JSON.stringify({ object: found.object, idx: found.idx }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error.message ?? error), status: error.status ?? null }));
  }
}
