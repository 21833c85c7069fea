// Jobs in a queue, done by sqs-consumer.
//
// `jobs.js hand-out NOTES COUNT` queues the jobs 0 to COUNT - 1. `jobs.js work` does jobs until it is killed, and appends the number of each one that it has done
// to NOTES, a line each. A job's message is deleted when the job is done and not before, so one whose worker was killed comes back.

import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { CreateQueueCommand, SendMessageBatchCommand, SQSClient } from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";

// Well over the time that a job takes, and short enough to wait for.
const Attributes = { VisibilityTimeout: "5" };
const BATCH_MAX = 10;

const sqs = new SQSClient();
const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "script-jobs", Attributes }));
const [what, notes, count] = process.argv.slice(2);

if (what === "hand-out") {
  for (let first = 0; first < Number(count); first += BATCH_MAX) {
    const numbers = Array.from({ length: Math.min(BATCH_MAX, count - first) }, (_, at) => String(first + at));
    const Entries = numbers.map((number) => ({ Id: number, MessageBody: JSON.stringify({ notes, number }) }));
    const { Failed } = await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
    if (Failed?.length) throw new Error(JSON.stringify(Failed));
  }
} else {
  const consumer = Consumer.create({
    queueUrl: QueueUrl,
    sqs,
    batchSize: BATCH_MAX,
    waitTimeSeconds: 1,
    handleMessage: async (message) => {
      const { notes, number } = JSON.parse(message.Body);
      await sleep(20);
      appendFileSync(notes, `${number}\n`);
      return message;
    },
  });
  for (const kind of ["error", "processing_error", "timeout_error"]) {
    consumer.on(kind, (error) => console.error(kind, error));
  }
  consumer.start();
}
