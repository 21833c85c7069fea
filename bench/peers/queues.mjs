#!/usr/bin/env node
// Messages through a queue of any server that speaks SQS in JSON, over HTTP/1.1: sent, received and deleted in batches, in a closed loop. Node alone is needed.
//
//   bench/peers/queues.mjs URL SECONDS BATCH [CALLERS]
//
// Prints messages a second that went all the way, and percentiles of each call in milliseconds, as JSON. The first second does not count. The signature says what service is meant, and is
// none: servers that check signatures refuse it.

import http from "node:http";

const [url, seconds, batch, callers = "4"] = process.argv.slice(2);
const [SECONDS, BATCH, CALLERS] = [Number(seconds), Number(batch), Number(callers)];
if (!url || !(SECONDS > 0) || !(BATCH >= 1 && BATCH <= 10) || !(CALLERS > 0)) {
  console.error("usage: bench/peers/queues.mjs URL SECONDS BATCH [CALLERS]");
  process.exit(2);
}
const BODY = "x".repeat(1_000);
const WARM_UP_MS = 1_000;
const agent = new http.Agent({ keepAlive: true, maxSockets: CALLERS });
const AUTHORIZATION =
  "AWS4-HMAC-SHA256 Credential=AKIDPEERS/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=none";

function call(operation, input) {
  const body = JSON.stringify(input);
  const headers = {
    "content-type": "application/x-amz-json-1.0",
    "content-length": Buffer.byteLength(body),
    "x-amz-target": `AmazonSQS.${operation}`,
    authorization: AUTHORIZATION,
  };
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method: "POST", agent, headers }, (response) => {
      const pieces = [];
      response.on("data", (piece) => pieces.push(piece));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(pieces).toString();
        if (response.statusCode !== 200) return reject(new Error(`${operation}: ${response.statusCode} ${text}`));
        resolve(text ? JSON.parse(text) : {});
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

const times = { send: [], receive: [], delete: [] };
let deleted = 0;
let counts = false;

async function timed(name, operation, input) {
  const began = performance.now();
  const answer = await call(operation, input);
  if (counts) times[name].push(performance.now() - began);
  return answer;
}

function whole(answer, what) {
  if (answer.Failed?.length) throw new Error(`${what}: ${JSON.stringify(answer.Failed)}`);
}

async function work(QueueUrl, until) {
  const entries = Array.from({ length: BATCH }, (_, at) => ({ Id: `${at}`, MessageBody: BODY }));
  while (performance.now() < until()) {
    if (BATCH === 1) await timed("send", "SendMessage", { QueueUrl, MessageBody: BODY });
    else whole(await timed("send", "SendMessageBatch", { QueueUrl, Entries: entries }), "send");
    const { Messages = [] } = await timed("receive", "ReceiveMessage", { QueueUrl, MaxNumberOfMessages: BATCH });
    if (Messages.length === 0) continue;
    const Entries = Messages.map(({ ReceiptHandle }, at) => ({ Id: `${at}`, ReceiptHandle }));
    if (BATCH === 1) await timed("delete", "DeleteMessage", { QueueUrl, ReceiptHandle: Entries[0].ReceiptHandle });
    else whole(await timed("delete", "DeleteMessageBatch", { QueueUrl, Entries }), "delete");
    if (counts) deleted += Messages.length;
  }
}

const { QueueUrl } = await call("CreateQueue", { QueueName: `peers-${BATCH}` });
let [began, end] = [0, Infinity];
const workers = Array.from({ length: CALLERS }, () => work(QueueUrl, () => end));
setTimeout(() => {
  began = performance.now();
  counts = true;
  end = began + SECONDS * 1_000;
}, WARM_UP_MS);
await Promise.all(workers);
const measured = (performance.now() - began) / 1_000;
const percentiles = (list) => {
  const sorted = list.toSorted((one, other) => one - other);
  const at = (share) => Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN).toFixed(3));
  return { p50: at(0.5), p99: at(0.99) };
};
const calls = Object.fromEntries(Object.entries(times).map(([name, list]) => [name, percentiles(list)]));
console.log(JSON.stringify({ batch: BATCH, messages_per_second: deleted / measured, ...calls }));
process.exit();
