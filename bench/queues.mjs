#!/usr/bin/env node
// Very many queues, and very many receives that wait, over HTTP/2 on a server that asks for no signatures.
//
//   tidemill serve --data DIR --set aws.authentication=off
//   bench/queues.mjs create COUNT [URL]   creates COUNT queues
//   bench/queues.mjs send COUNT [URL]     sends a message to each of them
//   bench/queues.mjs wait COUNT [URL]     has COUNT receives wait on one queue, and times how 200 messages, one after the other, reach one of them
//
// Prints the rate, percentiles, and what the server's own memory (RssAnon of /proc, of the process that listens on the URL's port) has grown by. Node alone is needed.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import http2 from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";

const [mode, count, base = "http://127.0.0.1:7690"] = process.argv.slice(2);
const COUNT = Number(count);
if (!["create", "send", "wait"].includes(mode) || !(COUNT > 0)) {
  console.error("usage: bench/queues.mjs create|send|wait COUNT [URL]");
  process.exit(2);
}
/** Calls of one connection at a time; what a peer of HTTP/2 allows is at least as much. */
const STREAMS = 100;
const WAIT_S = 20;
const MESSAGES = 200;

function connect() {
  const connection = http2.connect(base);
  connection.on("error", (error) => {
    console.error(String(error));
    process.exit(1);
  });
  return connection;
}

function call(connection, operation, input) {
  return new Promise((resolve, reject) => {
    const target = `AmazonSQS.${operation}`;
    const request = connection.request({ ":method": "POST", ":path": "/", "content-type": "application/x-amz-json-1.0", "x-amz-target": target });
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("error", reject);
    request.on("end", () => {
      const answer = JSON.parse(Buffer.concat(pieces).toString() || "{}");
      return answer.__type ? reject(new Error(JSON.stringify(answer))) : resolve(answer);
    });
    request.end(JSON.stringify(input));
  });
}

/** The process that listens on the port, as `ss` tells. */
function serverPid() {
  const listening = execFileSync("ss", ["-Hltnp", `sport = :${new URL(base).port}`]).toString();
  return listening.match(/pid=(\d+)/)?.[1];
}

const pid = serverPid();
const memory = () => 1_024 * Number(readFileSync(`/proc/${pid}/status`, "utf8").match(/RssAnon:\s+(\d+)/)[1]);
/** Seconds of a processor that the server has used. */
const used = () => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

function percentiles(milliseconds) {
  const sorted = milliseconds.toSorted((one, other) => one - other);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))].toFixed(2);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`;
}

/** Calls once for each number, a few at a time. */
async function each(operation, input) {
  const connection = connect();
  const [before, began, times] = [memory(), performance.now(), []];
  let next = 0;
  const work = async () => {
    while (next < COUNT) {
      const sent = performance.now();
      await call(connection, operation, input(next++));
      times.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: 16 }, work));
  const seconds = (performance.now() - began) / 1_000;
  const bytes = Math.round((memory() - before) / COUNT);
  console.log(`${COUNT} × ${operation} in ${seconds.toFixed(1)} s, ${Math.round(COUNT / seconds)}/s, ${percentiles(times)}, ${bytes} bytes of memory each`);
}

async function wait() {
  const control = connect();
  const { QueueUrl } = await call(control, "CreateQueue", { QueueName: `waited-${Date.now()}` });
  const [before, arrivals, counts] = [memory(), new Map(), { messages: 0, empty: 0, failed: 0 }];
  const waiting = [];
  for (let begun = 0; begun < COUNT; ) {
    const connection = connect();
    for (const end = Math.min(COUNT, begun + STREAMS); begun < end; begun++) {
      const received = call(connection, "ReceiveMessage", { QueueUrl, WaitTimeSeconds: WAIT_S });
      waiting.push(
        received.then(
          ({ Messages }) => {
            Messages?.forEach((message) => arrivals.set(message.Body, performance.now()));
            counts[Messages ? "messages" : "empty"]++;
          },
          () => counts.failed++,
        ),
      );
    }
  }
  await sleep(6_000);
  console.log(`${COUNT} receives wait: ${Math.round((memory() - before) / COUNT)} bytes of memory each`);
  const [work, since] = [used(), performance.now()];
  await sleep(2_000);
  console.log(`cores used by them: ${((used() - work) / ((performance.now() - since) / 1_000)).toFixed(3)}`);
  const times = [];
  for (let number = 0; number < MESSAGES; number++) {
    const [sent, MessageBody] = [performance.now(), `${number}`];
    await call(control, "SendMessage", { QueueUrl, MessageBody });
    for (const late = sent + 5_000; !arrivals.has(MessageBody) && performance.now() < late; ) await new Promise(setImmediate);
    if (!arrivals.has(MessageBody)) throw new Error(`message ${number} was not received`);
    times.push(arrivals.get(MessageBody) - sent);
  }
  console.log(`from the call that sends to the message at a receiver: ${percentiles(times)}`);
  await Promise.all(waiting);
  console.log(counts);
}

if (mode === "create") await each("CreateQueue", (number) => ({ QueueName: `queue-${number}` }));
if (mode === "send") await each("SendMessage", (number) => ({ QueueUrl: `${base}/000000000000/queue-${number}`, MessageBody: "hello" }));
if (mode === "wait") await wait();
process.exit();
