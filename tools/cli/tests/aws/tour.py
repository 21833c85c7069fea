"""A tour of the Kinesis API through boto3, as a program that knows AWS alone would use it.

Takes the endpoint and the access key from the environment, as boto3 does. Ends with status 0 when everything was as AWS documents it.
"""

import datetime
import hashlib
import sys
import time
from unittest import mock

import boto3
import botocore.auth
from botocore.config import Config
from botocore.exceptions import ClientError

CONFIG = {"retries": {"max_attempts": 1}, "connect_timeout": 10, "read_timeout": 60}
QUICK = {"Delay": 1, "MaxAttempts": 60}
RECORDS = 200


def client(**arguments):
    config = Config(**CONFIG, **arguments.pop("config", {}))
    return boto3.session.Session().client("kinesis", config=config, **arguments)


def refused(name, call, *needles, status=400, **arguments):
    """Calls, and expects this error."""
    try:
        call(**arguments)
    except ClientError as error:
        answer = error.response
        assert answer["Error"]["Code"] == name, answer
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == status, answer
        assert len(answer["ResponseMetadata"]["RequestId"]) == 36, answer
        for needle in needles:
            assert needle in answer["Error"]["Message"], (needle, answer)
        return answer["Error"]["Message"]
    raise AssertionError(f"{name} was expected and the call succeeded")


def shard_ids(kinesis, stream):
    pages = kinesis.get_paginator("list_shards").paginate(StreamName=stream)
    return [shard["ShardId"] for page in pages for shard in page["Shards"]]


def read_all(kinesis, iterator, expected):
    """Reads until so many records have come, or nothing comes any more."""
    records, deadline = [], time.monotonic() + 60
    while iterator and len(records) < expected and time.monotonic() < deadline:
        answer = kinesis.get_records(ShardIterator=iterator, Limit=50)
        records += answer["Records"]
        iterator = answer.get("NextShardIterator")
        if not answer["Records"]:
            assert answer["MillisBehindLatest"] >= 0
            time.sleep(0.2)
    return records


def streams(kinesis):
    kinesis.create_stream(StreamName="tour", ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName="tour", WaiterConfig=QUICK)
    description = kinesis.describe_stream(StreamName="tour")["StreamDescription"]
    assert description["StreamStatus"] == "ACTIVE", description
    assert description["StreamARN"] == "arn:aws:kinesis:us-east-1:123456789012:stream/tour", description
    assert [shard["ShardId"] for shard in description["Shards"]] == [
        "shardId-000000000000",
        "shardId-000000000001",
    ], description
    assert description["Shards"][0]["HashKeyRange"]["StartingHashKey"] == "0"
    assert description["Shards"][1]["HashKeyRange"]["EndingHashKey"] == str(2**128 - 1)
    summary = kinesis.describe_stream_summary(StreamName="tour")["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 2 and summary["RetentionPeriodHours"] == 24, summary
    by_arn = kinesis.describe_stream_summary(StreamARN=description["StreamARN"])
    assert by_arn["StreamDescriptionSummary"]["StreamName"] == "tour", by_arn
    for name in ["tour-a", "tour-b", "tour-c"]:
        kinesis.create_stream(StreamName=name, ShardCount=1)
        kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig=QUICK)
    pages = list(kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 2}))
    names = [name for page in pages for name in page["StreamNames"]]
    assert names == ["tour", "tour-a", "tour-b", "tour-c"], names
    assert len(pages) == 2, pages
    assert shard_ids(kinesis, "tour") == ["shardId-000000000000", "shardId-000000000001"]
    pages = kinesis.get_paginator("describe_stream").paginate(StreamName="tour", PaginationConfig={"PageSize": 1})
    pages = [[shard["ShardId"] for shard in page["StreamDescription"]["Shards"]] for page in pages]
    assert pages == [["shardId-000000000000"], ["shardId-000000000001"]], pages
    # Those of consumers and of queues have tours of their own; there are no channels here.
    operations = kinesis.meta.method_to_api_mapping
    paginated = {name for name in operations if kinesis.can_paginate(name)} - {"list_channels"}
    assert paginated == {"describe_stream", "list_queues", "list_shards", "list_stream_consumers", "list_streams"}, paginated
    assert set(kinesis.waiter_names) - {"channel_active"} == {"stream_exists", "stream_not_exists"}, kinesis.waiter_names


def records(kinesis):
    began = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=5)
    first = kinesis.put_record(StreamName="tour", PartitionKey="key", Data=b"\x00first\xff")
    assert first["ShardId"].startswith("shardId-") and int(first["SequenceNumber"]) >= 0, first
    keys = [f"key-{index}" for index in range(RECORDS)]
    batch = [{"PartitionKey": key, "Data": f"record of {key}".encode()} for key in keys]
    answer = kinesis.put_records(StreamName="tour", Records=batch)
    assert answer["FailedRecordCount"] == 0 and len(answer["Records"]) == RECORDS, answer
    # The MD5 of its key decides about a record's shard.
    for key, result in zip(keys, answer["Records"]):
        half = hashlib.md5(key.encode()).digest()[0] >> 7
        assert result["ShardId"] == f"shardId-{half:012}", (key, result)
    placed = {"key": first, **dict(zip(keys, answer["Records"]))}

    for shard in shard_ids(kinesis, "tour"):
        here = {key: put for key, put in placed.items() if put["ShardId"] == shard}
        iterator = kinesis.get_shard_iterator(StreamName="tour", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        found = read_all(kinesis, iterator["ShardIterator"], len(here))
        assert {record["PartitionKey"] for record in found} == set(here), (shard, len(found), len(here))
        numbers = [int(record["SequenceNumber"]) for record in found]
        assert numbers == sorted(set(numbers)), "numbers grow"
        for record in found:
            key = record["PartitionKey"]
            expected = b"\x00first\xff" if key == "key" else f"record of {key}".encode()
            assert record["Data"] == expected, record
            assert record["SequenceNumber"] == here[key]["SequenceNumber"], record
            assert record["ApproximateArrivalTimestamp"] >= began, record

        middle = found[len(found) // 2]["SequenceNumber"]
        for kind, skip in [("AT_SEQUENCE_NUMBER", 0), ("AFTER_SEQUENCE_NUMBER", 1)]:
            iterator = kinesis.get_shard_iterator(
                StreamName="tour", ShardId=shard, ShardIteratorType=kind, StartingSequenceNumber=middle
            )
            rest = found[len(found) // 2 + skip :]
            assert read_all(kinesis, iterator["ShardIterator"], len(rest)) == rest, kind
        iterator = kinesis.get_shard_iterator(
            StreamName="tour", ShardId=shard, ShardIteratorType="AT_TIMESTAMP", Timestamp=began
        )
        assert read_all(kinesis, iterator["ShardIterator"], len(found)) == found
        iterator = kinesis.get_shard_iterator(StreamName="tour", ShardId=shard, ShardIteratorType="LATEST")
        assert kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"] == []


def follow(kinesis, stream, shards):
    """Reads every record as Amazon's client library does: a shard when its parents were read to their ends."""
    records, ended, begun = [], set(), set(shards)
    waiting = list(shards)
    while waiting:
        shard = waiting.pop(0)
        iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        iterator = iterator["ShardIterator"]
        while iterator:
            answer = kinesis.get_records(ShardIterator=iterator, Limit=20)
            records += answer["Records"]
            iterator = answer.get("NextShardIterator")
            if iterator and not answer["Records"]:
                break
        if not iterator:
            ended.add(shard)
            assert answer["ChildShards"], answer
            for child in answer["ChildShards"]:
                if child["ShardId"] not in begun and set(child["ParentShards"]) <= ended:
                    begun.add(child["ShardId"])
                    waiting.append(child["ShardId"])
    return records


def reshard(kinesis):
    kinesis.create_stream(StreamName="moving", ShardCount=2)
    active = kinesis.get_waiter("stream_exists")
    sent, counter = {}, 0

    def put():
        nonlocal counter
        batch = []
        for key in (f"key-{index}" for index in range(30)):
            counter += 1
            sent.setdefault(key, []).append(str(counter).encode())
            batch.append({"PartitionKey": key, "Data": str(counter).encode()})
        assert kinesis.put_records(StreamName="moving", Records=batch)["FailedRecordCount"] == 0

    def open_shards():
        shards = kinesis.list_shards(StreamName="moving", ShardFilter={"Type": "AT_LATEST"})["Shards"]
        return sorted(shards, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))

    def scale(target):
        return kinesis.update_shard_count(StreamName="moving", TargetShardCount=target, ScalingType="UNIFORM_SCALING")

    put()
    kinesis.split_shard(StreamName="moving", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**126))
    active.wait(StreamName="moving", WaiterConfig=QUICK)
    put()
    shards = kinesis.describe_stream(StreamName="moving")["StreamDescription"]["Shards"]
    assert [shard.get("ParentShardId") for shard in shards] == [None, None] + ["shardId-000000000000"] * 2, shards
    assert ["EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in shards] == [True] + [False] * 3, shards
    assert int(shards[0]["SequenceNumberRange"]["EndingSequenceNumber"]) < int(
        shards[2]["SequenceNumberRange"]["StartingSequenceNumber"]
    )
    middle, last = open_shards()[1:]
    kinesis.merge_shards(
        StreamName="moving", ShardToMerge=middle["ShardId"], AdjacentShardToMerge=last["ShardId"]
    )
    active.wait(StreamName="moving", WaiterConfig=QUICK)
    put()
    merged = open_shards()[1]
    assert (merged["ParentShardId"], merged["AdjacentParentShardId"]) == (middle["ShardId"], last["ShardId"]), merged
    for target in [4, 3]:
        before = len(open_shards())
        answer = scale(target)
        assert (answer["CurrentShardCount"], answer["TargetShardCount"]) == (before, target), answer
        active.wait(StreamName="moving", WaiterConfig=QUICK)
        assert len(open_shards()) == target
        put()
    summary = kinesis.describe_stream_summary(StreamName="moving")["StreamDescriptionSummary"]
    assert summary["StreamStatus"] == "ACTIVE" and summary["OpenShardCount"] == 3, summary
    ids = [shard["ShardId"] for shard in open_shards()]
    refused("LimitExceededException", scale, target=7)
    refused(
        "InvalidArgumentException", kinesis.split_shard, "already been merged or split",
        StreamName="moving", ShardToSplit="shardId-000000000000", NewStartingHashKey="1000",
    )
    refused(
        "InvalidArgumentException", kinesis.split_shard, "is not both greater than",
        StreamName="moving", ShardToSplit=ids[0], NewStartingHashKey="0",
    )
    refused(
        "InvalidArgumentException", kinesis.merge_shards, "not an adjacent pair",
        StreamName="moving", ShardToMerge=ids[0], AdjacentShardToMerge=ids[2],
    )
    refused(
        "ResourceNotFoundException", kinesis.merge_shards, "shardId-000000009999",
        StreamName="moving", ShardToMerge=ids[0], AdjacentShardToMerge="shardId-000000009999",
    )
    found, numbers = {}, {}
    for record in follow(kinesis, "moving", ["shardId-000000000000", "shardId-000000000001"]):
        key, number = record["PartitionKey"], int(record["SequenceNumber"])
        found.setdefault(key, []).append(record["Data"])
        assert numbers.get(key, -1) < number, "numbers grow from parent to child"
        numbers[key] = number
    assert found == sent
    kinesis.delete_stream(StreamName="moving")


def errors(kinesis):
    unchecked = client(config={"parameter_validation": False})
    refused("ResourceNotFoundException", kinesis.describe_stream, "nowhere", StreamName="nowhere")
    refused("ResourceInUseException", kinesis.create_stream, "tour", StreamName="tour", ShardCount=1)
    message = refused(
        "ValidationException", unchecked.create_stream, "validation error", StreamName="no spaces", ShardCount=0
    )
    assert "'streamName'" in message and "'shardCount'" in message, message
    refused("ValidationException", unchecked.put_record, "validation error", StreamName="tour", Data=b"x")
    refused(
        "InvalidArgumentException", kinesis.get_records, ShardIterator="AAAAAAAAAAEnotaniteratoratall"
    )


def signatures(kinesis):
    wrong = client(aws_secret_access_key="wrong", aws_access_key_id="AKIDTOUR")
    message = "The request signature we calculated does not match the signature you provided."
    refused("InvalidSignatureException", wrong.list_streams, message)
    unknown = client(aws_secret_access_key="wrong", aws_access_key_id="AKIDUNKNOWN")
    refused("UnrecognizedClientException", unknown.list_streams, "The security token included in the request is invalid.")
    tokened = client(
        aws_access_key_id="AKIDTOUR", aws_secret_access_key="tour/secret", aws_session_token="surplus"
    )
    refused("UnrecognizedClientException", tokened.list_streams, "security token")
    elsewhere = client(region_name="eu-west-1")
    refused("InvalidSignatureException", elsewhere.list_streams, "should be scoped to a valid region, not 'eu-west-1'")
    from botocore import UNSIGNED

    unsigned = client(config={"signature_version": UNSIGNED})
    refused("MissingAuthenticationTokenException", unsigned.list_streams, "Missing Authentication Token")
    real = botocore.auth.get_current_datetime
    for minutes, needle in [(-20, "Signature expired: "), (20, "Signature not yet current: ")]:
        shift = datetime.timedelta(minutes=minutes)
        with mock.patch("botocore.auth.get_current_datetime", lambda *a, **k: real(*a, **k) + shift):
            refused("InvalidSignatureException", kinesis.list_streams, needle)
    temporary = client(
        aws_access_key_id="ASIATOUR", aws_secret_access_key="temporary/secret", aws_session_token="to/ken+="
    )
    assert "tour" in temporary.list_streams()["StreamNames"]


def capacity(kinesis):
    arn = "arn:aws:kinesis:us-east-1:123456789012:stream/tour-d"
    kinesis.create_stream(StreamName="tour-d", StreamModeDetails={"StreamMode": "ON_DEMAND"})

    def summary():
        return kinesis.describe_stream_summary(StreamName="tour-d")["StreamDescriptionSummary"]

    assert summary()["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"} and summary()["OpenShardCount"] == 4
    scale = {"StreamName": "tour-d", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"}
    refused("ValidationException", kinesis.update_shard_count, "PROVISIONED", **scale)
    refused("ValidationException", kinesis.update_stream_warm_throughput, "commitment", StreamName="tour-d", WarmThroughputMiBps=6)
    enabled = kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    assert enabled["MinimumThroughputBillingCommitment"]["Status"] == "ENABLED", enabled
    warm = kinesis.update_stream_warm_throughput(StreamName="tour-d", WarmThroughputMiBps=6)["WarmThroughput"]
    assert warm["TargetMiBps"] == 6, warm
    deadline = time.monotonic() + 60
    while summary()["OpenShardCount"] < 7:
        assert time.monotonic() < deadline, summary()
        time.sleep(0.5)
    put = lambda: kinesis.put_record(StreamName="tour-d", PartitionKey="k", Data=b"d")["ShardId"]
    assert len({put() for _ in range(10)}) == 1
    kinesis.update_stream_record_distribution_strategy(StreamARN=arn, RecordDistributionStrategy="AUTO")
    assert len({put() for _ in range(40)}) > 1 and summary()["RecordDistributionStrategy"] == "AUTO"
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "PROVISIONED"})
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    mode = {"StreamARN": arn, "StreamModeDetails": {"StreamMode": "PROVISIONED"}}
    refused("LimitExceededException", kinesis.update_stream_mode, "24 hours", **mode)
    watched = kinesis.enable_enhanced_monitoring(StreamName="tour-d", ShardLevelMetrics=["IncomingBytes"])
    assert watched["DesiredShardLevelMetrics"] == ["IncomingBytes"], watched
    kinesis.disable_enhanced_monitoring(StreamName="tour-d", ShardLevelMetrics=["ALL"])
    kinesis.delete_stream(StreamName="tour-d")


def end(kinesis):
    for name in ["tour", "tour-a", "tour-b", "tour-c"]:
        kinesis.delete_stream(StreamName=name)
        kinesis.get_waiter("stream_not_exists").wait(StreamName=name, WaiterConfig=QUICK)
    assert kinesis.list_streams()["StreamNames"] == []
    refused("ResourceNotFoundException", kinesis.delete_stream, StreamName="tour")


def main():
    kinesis = client()
    for step in [streams, records, reshard, capacity, errors, signatures, end]:
        began = time.monotonic()
        step(kinesis)
        print(f"{step.__name__}: {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
