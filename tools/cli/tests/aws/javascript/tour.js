// A tour of the Kinesis API through the AWS SDK for JavaScript, which speaks HTTP/2 to the plain port: every operation that the server has, and errors.
//
// Takes the endpoint, the region and the access key from the environment, as the SDK does. Ends with status 0 when everything was as AWS documents it.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import * as sdk from "@aws-sdk/client-kinesis";

const kinesis = new sdk.KinesisClient({ maxAttempts: 1 });
const StreamName = "script";
const StreamARN = "arn:aws:kinesis:us-east-1:123456789012:stream/script";
const PATIENCE_S = 60;
const PATIENCE = { client: kinesis, maxWaitTime: PATIENCE_S, minDelay: 1, maxDelay: 1 };
const seen = new Set();

/** Calls an operation by its name. */
function call(operation, input = {}) {
  seen.add(operation);
  return kinesis.send(new sdk[`${operation}Command`](input));
}

async function refused(name, operation, input, needle = "") {
  await assert.rejects(call(operation, input), (error) => {
    assert.equal(error.name, name, String(error));
    assert.equal(error.$metadata.httpStatusCode, 400);
    assert.match(error.$metadata.requestId, /^[0-9a-f-]{36}$/);
    assert.ok(error.message.includes(needle), error.message);
    return true;
  });
}

const summary = async () => (await call("DescribeStreamSummary", { StreamName })).StreamDescriptionSummary;
const isActive = () => sdk.waitUntilStreamExists(PATIENCE, { StreamName });

/** Asks again and again until the answer fits. */
async function until(ask, fits) {
  for (const deadline = Date.now() + PATIENCE_S * 1_000; ; await sleep(200)) {
    const answer = await ask();
    if (fits(answer)) return answer;
    assert.ok(Date.now() < deadline, JSON.stringify(answer));
  }
}

async function streams() {
  await call("CreateStream", { StreamName, ShardCount: 1, Tags: { team: "tide" } });
  await isActive();
  const { StreamDescription: description } = await call("DescribeStream", { StreamName });
  assert.equal(description.StreamARN, StreamARN);
  assert.equal(description.Shards[0].HashKeyRange.EndingHashKey, String(2n ** 128n - 1n));
  assert.ok((await summary()).StreamCreationTimestamp > new Date(Date.now() - 600_000));
  await call("CreateStream", { StreamName: "script-2", ShardCount: 1 });
  const names = [];
  for await (const page of sdk.paginateListStreams({ client: kinesis, pageSize: 1 }, {})) names.push(...page.StreamNames);
  assert.deepEqual(names, ["script", "script-2"]);
  await call("DeleteStream", { StreamName: "script-2" });
  await sdk.waitUntilStreamNotExists(PATIENCE, { StreamName: "script-2" });
  assert.deepEqual((await call("ListStreams")).StreamNames, ["script"]);
  const limits = await call("DescribeLimits");
  assert.ok(limits.OpenShardCount === 1 && limits.ShardLimit > 1, JSON.stringify(limits));
  await refused("ResourceNotFoundException", "DescribeStream", { StreamName: "nowhere" }, "nowhere");
  await refused("ResourceInUseException", "CreateStream", { StreamName, ShardCount: 1 });
  await refused("ValidationException", "CreateStream", { StreamName: "no spaces", ShardCount: 0 }, "2 validation errors detected");
}

async function settings() {
  const tags = async () => (await call("ListTagsForStream", { StreamName })).Tags.map(({ Key, Value }) => `${Key}=${Value}`);
  await call("AddTagsToStream", { StreamName, Tags: { stage: "test" } });
  assert.deepEqual((await tags()).sort(), ["stage=test", "team=tide"]);
  await call("RemoveTagsFromStream", { StreamName, TagKeys: ["stage"] });
  await call("TagResource", { ResourceARN: StreamARN, Tags: { owner: "us" } });
  await call("UntagResource", { ResourceARN: StreamARN, TagKeys: ["team"] });
  assert.deepEqual((await call("ListTagsForResource", { ResourceARN: StreamARN })).Tags, [{ Key: "owner", Value: "us" }]);
  assert.deepEqual(await tags(), ["owner=us"]);

  await call("IncreaseStreamRetentionPeriod", { StreamName, RetentionPeriodHours: 48 });
  assert.equal((await summary()).RetentionPeriodHours, 48);
  await refused("InvalidArgumentException", "IncreaseStreamRetentionPeriod", { StreamName, RetentionPeriodHours: 24 });
  await call("DecreaseStreamRetentionPeriod", { StreamName, RetentionPeriodHours: 24 });
  await refused("InvalidArgumentException", "DecreaseStreamRetentionPeriod", { StreamName, RetentionPeriodHours: 25 });

  const watched = await call("EnableEnhancedMonitoring", { StreamName, ShardLevelMetrics: ["IncomingBytes", "OutgoingBytes"] });
  assert.deepEqual(watched.DesiredShardLevelMetrics.sort(), ["IncomingBytes", "OutgoingBytes"]);
  const left = await call("DisableEnhancedMonitoring", { StreamName, ShardLevelMetrics: ["IncomingBytes"] });
  assert.deepEqual(left.DesiredShardLevelMetrics, ["OutgoingBytes"]);
  await call("UpdateMaxRecordSize", { StreamARN, MaxRecordSizeInKiB: 2_048 });
  assert.equal((await until(summary, (found) => found.StreamStatus === "ACTIVE")).MaxRecordSizeInKiB, 2_048);

  const Policy = JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Principal: { AWS: "123456789012" }, Action: "kinesis:PutRecord", Resource: StreamARN }],
  });
  await call("PutResourcePolicy", { ResourceARN: StreamARN, Policy });
  assert.deepEqual(JSON.parse((await call("GetResourcePolicy", { ResourceARN: StreamARN })).Policy), JSON.parse(Policy));
  await call("DeleteResourcePolicy", { ResourceARN: StreamARN });
}

/** Everything of a shard from its oldest record to its end, or until so many records have come. */
async function read(ShardId, expected) {
  let { ShardIterator } = await call("GetShardIterator", { StreamName, ShardId, ShardIteratorType: "TRIM_HORIZON" });
  const records = [];
  for (const deadline = Date.now() + PATIENCE_S * 1_000; ShardIterator && records.length < expected; ) {
    assert.ok(Date.now() < deadline, `${records.length} of ${expected} records`);
    const answer = await call("GetRecords", { ShardIterator, Limit: 50 });
    records.push(...answer.Records);
    ShardIterator = answer.NextShardIterator;
    if (!answer.Records.length) await sleep(200);
  }
  return records;
}

async function records() {
  const Data = new Uint8Array([0, 255, 10, 13]);
  const { ShardId, SequenceNumber } = await call("PutRecord", { StreamName, PartitionKey: "ключ", Data });
  const after = await call("PutRecord", { StreamName, PartitionKey: "k", ExplicitHashKey: "0", SequenceNumberForOrdering: SequenceNumber, Data });
  assert.ok(BigInt(after.SequenceNumber) > BigInt(SequenceNumber));
  const Records = Array.from({ length: 100 }, (_, at) => ({ PartitionKey: `key-${at}`, Data: Buffer.from(String(at)) }));
  const put = await call("PutRecords", { StreamName, Records });
  assert.deepEqual([put.FailedRecordCount, put.Records.length], [0, 100]);
  const found = await read(ShardId, 102);
  assert.deepEqual([found[0].PartitionKey, found[0].SequenceNumber, found[0].Data], ["ключ", SequenceNumber, Data]);
  assert.deepEqual(found.slice(2).map((record) => Buffer.from(record.Data).toString()), Records.map((record) => String(record.Data)));
  await refused("InvalidArgumentException", "GetRecords", { ShardIterator: "AAAAAAAAAAEnotaniterator" });
  await refused("ResourceNotFoundException", "PutRecord", { StreamName: "nowhere", PartitionKey: "k", Data });
  await refused("ResourceNotFoundException", "GetShardIterator", { StreamName, ShardId: "shardId-000000000009", ShardIteratorType: "LATEST" });
  await refused("ValidationException", "PutRecords", { StreamName, Records: [] }, "'records'");
}

async function consumers() {
  const consumer = async (ConsumerName) => (await call("RegisterStreamConsumer", { StreamARN, ConsumerName })).Consumer;
  const { ConsumerARN } = await consumer("one");
  await consumer("two");
  const described = await until(
    async () => (await call("DescribeStreamConsumer", { ConsumerARN })).ConsumerDescription,
    (found) => found.ConsumerStatus === "ACTIVE",
  );
  assert.equal(described.ConsumerName, "one");
  await refused("ResourceInUseException", "RegisterStreamConsumer", { StreamARN, ConsumerName: "one" });
  const names = [];
  const pages = sdk.paginateListStreamConsumers({ client: kinesis, pageSize: 1 }, { StreamARN });
  for await (const page of pages) names.push(...page.Consumers.map((found) => found.ConsumerName));
  assert.deepEqual(names.sort(), ["one", "two"]);
  await call("ListStreamConsumers", { StreamARN });

  const { EventStream } = await call("SubscribeToShard", {
    ConsumerARN,
    ShardId: "shardId-000000000000",
    StartingPosition: { Type: "TRIM_HORIZON" },
  });
  let pushed = 0;
  for await (const { SubscribeToShardEvent: event } of EventStream) {
    pushed += event.Records.length;
    assert.ok(event.ContinuationSequenceNumber);
    if (pushed >= 102) break;
  }
  assert.equal(pushed, 102);
  await call("DeregisterStreamConsumer", { ConsumerARN });
  await refused("ResourceNotFoundException", "DeregisterStreamConsumer", { StreamARN, ConsumerName: "three" });
}

async function shards() {
  const open = async () => (await call("ListShards", { StreamName, ShardFilter: { Type: "AT_LATEST" } })).Shards;
  await call("SplitShard", { StreamName, ShardToSplit: "shardId-000000000000", NewStartingHashKey: String(2n ** 127n) });
  await isActive();
  const [low, high] = await open();
  assert.deepEqual([low.ParentShardId, high.ParentShardId], ["shardId-000000000000", "shardId-000000000000"]);
  assert.equal((await read("shardId-000000000000", 1_000)).length, 102, "a closed shard is read to its end");
  await call("MergeShards", { StreamName, ShardToMerge: low.ShardId, AdjacentShardToMerge: high.ShardId });
  await isActive();
  assert.equal((await open()).length, 1);
  await call("UpdateShardCount", { StreamName, TargetShardCount: 2, ScalingType: "UNIFORM_SCALING" });
  await isActive();
  assert.equal((await open()).length, 2);
  const hash = { ShardToSplit: "shardId-000000000000", NewStartingHashKey: "7" };
  await refused("InvalidArgumentException", "SplitShard", { StreamName, ...hash });
  await refused("LimitExceededException", "UpdateShardCount", { StreamName, TargetShardCount: 9, ScalingType: "UNIFORM_SCALING" });
}

async function capacity() {
  const mode = (StreamMode) => call("UpdateStreamMode", { StreamARN, StreamModeDetails: { StreamMode } });
  await mode("ON_DEMAND");
  await until(summary, (found) => found.StreamModeDetails.StreamMode === "ON_DEMAND" && found.StreamStatus === "ACTIVE");
  await call("UpdateAccountSettings", { MinimumThroughputBillingCommitment: { Status: "ENABLED" } });
  assert.equal((await call("DescribeAccountSettings")).MinimumThroughputBillingCommitment.Status, "ENABLED");
  const warm = await call("UpdateStreamWarmThroughput", { StreamName, WarmThroughputMiBps: 5 });
  assert.equal(warm.WarmThroughput.TargetMiBps, 5);
  await until(summary, (found) => found.StreamStatus === "ACTIVE" && found.OpenShardCount >= 5);
  await call("UpdateStreamRecordDistributionStrategy", { StreamARN, RecordDistributionStrategy: "AUTO" });
  assert.equal((await summary()).RecordDistributionStrategy, "AUTO");
}

/** What is not there is refused in a way that tells so. */
async function refusals() {
  const key = { StreamName, EncryptionType: "KMS", KeyId: "alias/aws/kinesis" };
  for (const operation of ["StartStreamEncryption", "StopStreamEncryption"]) {
    await assert.rejects(call(operation, key), (error) => error.$metadata.httpStatusCode === 400 && !!error.message);
  }
}

for (const part of [streams, settings, records, consumers, shards, capacity, refusals]) {
  await part().catch((error) => {
    throw new Error(`${part.name}: ${error.message}`, { cause: error });
  });
}
await call("DeleteStream", { StreamName, EnforceConsumerDeletion: true });
await sdk.waitUntilStreamNotExists(PATIENCE, { StreamName });
const all = Object.keys(sdk).filter((name) => /^[A-Z]\w+Command$/.test(name) && !name.includes("Channel"));
const missed = all.map((name) => name.replace(/Command$/, "")).filter((name) => !seen.has(name));
assert.deepEqual(missed, [], "operations that the tour does not call");
kinesis.destroy();
