"""A tour of registered consumers through boto3: register, list in pages, tag, subscribe to shards, deregister.

Takes the endpoint and the access key from the environment, as boto3 does. Ends with status 0 when everything was as AWS documents it, and prints how
long records took from their put to their delivery.
"""

import datetime
import json
import statistics
import sys
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

CONFIG = Config(retries={"max_attempts": 1}, connect_timeout=10, read_timeout=60, max_pool_connections=50)
SHARD = "shardId-000000000000"
RECORDS = 50


def refused(name, call, **arguments):
    """Calls, and expects this error."""
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == name, error.response
        return error.response["Error"]["Message"]
    raise AssertionError(f"{name} was expected and the call succeeded")


def wait_for(kinesis, arn):
    """There is no waiter for consumers in boto3, so programs write this."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        described = kinesis.describe_stream_consumer(ConsumerARN=arn)["ConsumerDescription"]
        if described["ConsumerStatus"] == "ACTIVE":
            return described
        time.sleep(0.2)
    raise AssertionError("the consumer does not become active")


def consumers(kinesis, stream):
    names = [f"consumer-{number:02}" for number in range(20)]
    for name in names:
        registered = kinesis.register_stream_consumer(StreamARN=stream, ConsumerName=name, Tags={"name": name})["Consumer"]
        assert registered["ConsumerStatus"] == "CREATING", registered
        wait_for(kinesis, registered["ConsumerARN"])
    refused("ResourceInUseException", kinesis.register_stream_consumer, StreamARN=stream, ConsumerName=names[0])
    refused("LimitExceededException", kinesis.register_stream_consumer, StreamARN=stream, ConsumerName="one-more")
    pages = kinesis.get_paginator("list_stream_consumers").paginate(StreamARN=stream, PaginationConfig={"PageSize": 7})
    pages = list(pages)
    assert len(pages) == 3, len(pages)
    listed = [consumer for page in pages for consumer in page["Consumers"]]
    assert [consumer["ConsumerName"] for consumer in listed] == names, listed
    summary = kinesis.describe_stream_summary(StreamARN=stream)["StreamDescriptionSummary"]
    assert summary["ConsumerCount"] == 20, summary
    arn = listed[3]["ConsumerARN"]
    kinesis.tag_resource(ResourceARN=arn, Tags={"stage": "test"})
    kinesis.untag_resource(ResourceARN=arn, TagKeys=["name"])
    tags = kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"]
    assert tags == [{"Key": "stage", "Value": "test"}], tags
    for consumer in listed[2:]:
        kinesis.deregister_stream_consumer(StreamARN=stream, ConsumerName=consumer["ConsumerName"])
    refused("ResourceNotFoundException", kinesis.describe_stream_consumer, ConsumerARN=arn)
    refused("ResourceInUseException", kinesis.delete_stream, StreamName="fan-out")
    return [consumer["ConsumerARN"] for consumer in listed[:2]]


def subscribe(kinesis, consumer, **start):
    answer = kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=SHARD, StartingPosition=start)
    return answer["EventStream"]


def take(events, count):
    """Takes events until so many records have come; gives them and the last event."""
    records, last = [], None
    for event in events:
        last = event["SubscribeToShardEvent"]
        assert last["MillisBehindLatest"] >= 0 and last["ContinuationSequenceNumber"], last
        records += last["Records"]
        if len(records) >= count:
            return records, last
    raise AssertionError(f"the subscription ended with {len(records)} of {count} records")


def positions(kinesis, consumers):
    first, second = consumers
    began = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=5)
    puts = [kinesis.put_record(StreamName="fan-out", PartitionKey=f"key-{n}", Data=b"\x00%d\xff" % n) for n in range(5)]
    events = subscribe(kinesis, first, Type="TRIM_HORIZON")
    records, last = take(events, 5)
    assert [record["SequenceNumber"] for record in records] == [put["SequenceNumber"] for put in puts]
    assert [record["Data"] for record in records] == [b"\x00%d\xff" % n for n in range(5)], records
    assert records[2]["PartitionKey"] == "key-2" and records[2]["ApproximateArrivalTimestamp"], records[2]
    assert last["ContinuationSequenceNumber"] == puts[-1]["SequenceNumber"], last
    again = {"ConsumerARN": first, "ShardId": SHARD, "StartingPosition": {"Type": "LATEST"}}
    message = refused("ResourceInUseException", kinesis.subscribe_to_shard, **again)
    assert "Another active subscription exists" in message, message
    after = subscribe(kinesis, second, Type="AFTER_SEQUENCE_NUMBER", SequenceNumber=puts[2]["SequenceNumber"])
    assert [record["PartitionKey"] for record in take(after, 2)[0]] == ["key-3", "key-4"]
    after.close()
    time.sleep(5.2)
    taken_over = subscribe(kinesis, first, Type="AT_SEQUENCE_NUMBER", SequenceNumber=puts[4]["SequenceNumber"])
    assert [record["PartitionKey"] for record in take(taken_over, 1)[0]] == ["key-4"]
    try:
        for _ in events:
            pass
        raise AssertionError("the first subscription goes on after it was taken over")
    except EventStreamError as error:
        assert error.response["Error"]["Code"] == "ResourceInUseException", error.response
    at = subscribe(kinesis, second, Type="AT_TIMESTAMP", Timestamp=began)
    assert len(take(at, 5)[0]) == 5
    at.close()
    taken_over.close()


def latency(kinesis, consumers):
    """From the beginning of a put to its record in the hands of the subscriber, over boto3 on both sides."""
    time.sleep(5.2)
    events = subscribe(kinesis, consumers[0], Type="LATEST")
    sent, times = {}, []

    def put():
        for number in range(RECORDS):
            key = f"timed-{number}"
            sent[key] = time.perf_counter()
            kinesis.put_record(StreamName="fan-out", PartitionKey=key, Data=b"x")
            time.sleep(0.01)

    # The first event tells that the position is taken.
    next(iter(events))
    producer = threading.Thread(target=put)
    producer.start()
    keys = []
    while len(keys) < RECORDS:
        for record in take(events, 1)[0]:
            keys.append(record["PartitionKey"])
            times.append(time.perf_counter() - sent[record["PartitionKey"]])
    producer.join()
    assert keys == [f"timed-{number}" for number in range(RECORDS)], keys
    print(f"put to delivery: median {statistics.median(times) * 1e3:.2f} ms, worst {max(times) * 1e3:.2f} ms of {RECORDS}")
    events.close()


def policies(kinesis, consumers):
    """Policies, how large records may be, and what is refused rather than pretended."""
    stream = consumers[0].split("/consumer/")[0]
    for arn in [stream, consumers[0]]:
        assert kinesis.get_resource_policy(ResourceARN=arn)["Policy"] == "{}"
        policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": arn}]})
        kinesis.put_resource_policy(ResourceARN=arn, Policy=policy)
        assert kinesis.get_resource_policy(ResourceARN=arn)["Policy"] == policy
        refused("InvalidArgumentException", kinesis.put_resource_policy, ResourceARN=arn, Policy="no JSON")
        kinesis.delete_resource_policy(ResourceARN=arn)
        refused("ResourceNotFoundException", kinesis.delete_resource_policy, ResourceARN=arn)
    large = {"StreamName": "fan-out", "PartitionKey": "large", "Data": b"x" * (3 << 20)}
    refused("InvalidArgumentException", kinesis.put_record, **large)
    kinesis.update_max_record_size(StreamARN=stream, MaxRecordSizeInKiB=4_096)
    put = kinesis.put_record(**large)
    before = {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": put["SequenceNumber"]}
    events = subscribe(kinesis, consumers[1], **before)
    assert [len(record["Data"]) for record in take(events, 1)[0]] == [3 << 20]
    events.close()
    watched = kinesis.enable_enhanced_monitoring(StreamARN=stream, ShardLevelMetrics=["ALL"])
    assert len(watched["DesiredShardLevelMetrics"]) == 7, watched


def end(kinesis, consumers):
    time.sleep(5.2)
    events = subscribe(kinesis, consumers[1], Type="LATEST")
    kinesis.deregister_stream_consumer(ConsumerARN=consumers[1])
    try:
        for _ in events:
            pass
        raise AssertionError("the subscription of a consumer that is gone ended without a word")
    except EventStreamError as error:
        assert error.response["Error"]["Code"] == "ResourceNotFoundException", error.response
    kinesis.delete_stream(StreamName="fan-out", EnforceConsumerDeletion=True)
    kinesis.get_waiter("stream_not_exists").wait(StreamName="fan-out", WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def main():
    kinesis = boto3.session.Session().client("kinesis", config=CONFIG)
    kinesis.create_stream(StreamName="fan-out", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName="fan-out", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    stream = kinesis.describe_stream_summary(StreamName="fan-out")["StreamDescriptionSummary"]["StreamARN"]
    registered = consumers(kinesis, stream)
    for step in [positions, latency, policies, end]:
        began = time.monotonic()
        step(kinesis, registered)
        print(f"{step.__name__}: {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
