"""Every error that AWS documents for an operation of Kinesis, through boto3: provoked here, or listed below with why it never comes.

Takes the endpoint and the access key from the environment, as boto3 does, and the file of the server's secret as its argument: with it tokens are made older than they
are. Fails if boto3's own model documents an error of an operation that is neither provoked nor listed.
"""

import base64
import hashlib
import hmac
import pathlib
import sys
import time

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

SECRET = pathlib.Path(sys.argv[1]).read_bytes()
PATIENCE_S = 60
TOKEN_AGE_MS = 6 * 60 * 1_000
SHARD = "shardId-000000000000"
PREFIX = "arn:aws:kinesis:us-east-1:123456789012"

CONFIG = {"retries": {"max_attempts": 1}, "connect_timeout": 10, "read_timeout": 60, "parameter_validation": False}
kinesis = boto3.client("kinesis", config=Config(**CONFIG))
model = kinesis.meta.service_model
# boto3 sends calls that have a StreamId to a host of AWS's own, whatever endpoint it was given. This one does not look for another.
at_endpoint = boto3.client("kinesis", config=Config(**CONFIG))
at_endpoint._ruleset_resolver = None

# Errors that no operation has here.
NEVER = {
    "AccessDeniedException": "policies of identities and resources are kept and not enforced",
    "InternalFailureException": "the server's own failure",
} | {f"KMS{name}": "streams are not encrypted" for name in [
    "AccessDeniedException", "DisabledException", "InvalidStateException", "NotFoundException", "OptInRequired", "ThrottlingException",
]}
REFUSED = {"StartStreamEncryption", "StopStreamEncryption"} | {
    f"{verb}Channel{'s' if verb == 'List' else ''}" for verb in ["Create", "Delete", "Describe", "List", "Update"]
}
UNLIMITED = "the rates of control operations are not limited"
QUICK = "a stream is ACTIVE when its creation answers, gone when its deletion does, and UPDATING for milliseconds"
BUSY = "more records in flight than a test puts: 120,000"
PLAIN = "what the model allows is valid, or names nothing"

# By name of the error: the operations that document it and never have it, and why.
LISTED = {
    "LimitExceededException": (UNLIMITED, """
        DecreaseStreamRetentionPeriod DeleteQueue DeleteResourcePolicy DeleteStream DeregisterStreamConsumer DescribeAccountSettings DescribeLimits DescribeQueue
        DescribeStream DescribeStreamConsumer DescribeStreamSummary DisableEnhancedMonitoring EnableEnhancedMonitoring GetResourcePolicy
        IncreaseStreamRetentionPeriod ListQueues ListShards ListStreamConsumers ListStreams ListTagsForResource ListTagsForStream MergeShards
        RemoveTagsFromStream SubscribeToShard UntagResource UpdateAccountSettings UpdateMaxRecordSize UpdateQueue
        UpdateStreamRecordDistributionStrategy"""),
    "ResourceInUseException": (QUICK, """
        AddTagsToStream DecreaseStreamRetentionPeriod DeleteResourcePolicy DisableEnhancedMonitoring EnableEnhancedMonitoring GetResourcePolicy
        IncreaseStreamRetentionPeriod ListShards ListStreamConsumers ListTagsForResource MergeShards PutResourcePolicy RemoveTagsFromStream SplitShard
        TagResource UntagResource UpdateMaxRecordSize UpdateQueue UpdateShardCount UpdateStreamRecordDistributionStrategy UpdateStreamWarmThroughput"""),
    "ThrottlingException": (BUSY, """
        AcknowledgeDeadLetterQueueRecords AcknowledgeQueueRecords ReceiveDeadLetterQueueRecords ReceiveQueueRecords RestoreDeadLetterQueueRecords
        UpdateDeadLetterQueueRecordsVisibility UpdateQueueRecordsVisibility"""),
    "InvalidArgumentException": (PLAIN, "DeleteQueue DescribeQueue ReceiveDeadLetterQueueRecords ReceiveQueueRecords UpdateAccountSettings UpdateQueue"),
    "ProvisionedThroughputExceededException": (UNLIMITED, "GetShardIterator"),
}
seen = set()


def call(operation, **arguments):
    client = at_endpoint if "StreamId" in arguments else kinesis
    return getattr(client, xform_name(operation))(**arguments)


def refused(operation, error, **arguments):
    """Calls, and expects this error."""
    try:
        answer = call(operation, **arguments)
    except ClientError as found:
        answer = found.response
        assert answer["Error"]["Code"] == error, (operation, arguments, answer)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400, (operation, answer)
        assert answer["Error"]["Message"] and len(answer["ResponseMetadata"]["RequestId"]) == 36, (operation, answer)
        documented = {shape.name for shape in model.operation_model(operation).error_shapes}
        if error in documented:
            client = at_endpoint if "StreamId" in arguments else kinesis
            assert isinstance(found, getattr(client.exceptions, error)), (operation, found)
        seen.add((operation, error))
        return
    raise AssertionError(f"{operation} {arguments}: {error} was expected: {answer}")


def aged(token):
    """The token as it were if it had been made six minutes ago. What it looks like is drawn in the server's source, `protocol/aws/seal.rs`."""
    signed = base64.b64decode(token)[:-16]
    made = int.from_bytes(signed[1:9], "big") - TOKEN_AGE_MS
    signed = signed[:1] + made.to_bytes(8, "big") + signed[9:]
    return base64.b64encode(signed + hmac.new(SECRET, signed, hashlib.sha256).digest()[:16]).decode()


def until_refused(operation, error, **arguments):
    """Calls until a rate is used up, or a place taken: a machine that was asleep between two calls has them again."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            answer = call(operation, **arguments)
        except ClientError as found:
            assert found.response["Error"]["Code"] == error, found
            seen.add((operation, error))
            return
        if "EventStream" in answer:
            answer["EventStream"].close()
    raise AssertionError(f"{operation} is never refused")


def setup():
    """The streams, consumer and queue that the calls below are about."""
    call("CreateStream", StreamName="one", ShardCount=2)
    call("CreateStream", StreamName="other", ShardCount=1)
    call("CreateStream", StreamName="demand", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    summary = lambda name: call("DescribeStreamSummary", StreamName=name)["StreamDescriptionSummary"]
    queue = call("CreateQueue", QueueName="queue", StreamConfigurationList=[{"StreamARN": summary("demand")["StreamARN"]}])
    consumer = call("RegisterStreamConsumer", StreamARN=summary("one")["StreamARN"], ConsumerName="consumer")
    start = {"StreamName": "one", "ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"}
    return {
        "arn": summary("one")["StreamARN"],
        "demand": summary("demand")["StreamARN"],
        "other_id": summary("other")["StreamId"],
        "queue": queue["QueueDescription"]["QueueARN"],
        "consumer": consumer["Consumer"]["ConsumerARN"],
        "iterator": call("GetShardIterator", **start)["ShardIterator"],
    }


def inputs(name, arn, queue, consumer, iterator):
    """A valid input of each operation that is about something, by the names of what it is about."""
    stream, of_arn, of_queue, resource = {"StreamName": name}, {"StreamARN": arn}, {"QueueARN": queue}, {"ResourceARN": arn}
    entries, key = {"Entries": [{"ReceiptHandle": "none"}]}, {"PartitionKey": "key", "Data": b"data"}
    hidden = {"Entries": [{"ReceiptHandle": "none", "VisibilityTimeoutSeconds": 1}]}
    return {
        "AcknowledgeDeadLetterQueueRecords": of_queue | entries,
        "AcknowledgeQueueRecords": of_queue | entries,
        "AddTagsToStream": stream | {"Tags": {"a": "b"}},
        "CreateQueue": {"QueueName": "new", "StreamConfigurationList": [{"StreamARN": arn}]},
        "DecreaseStreamRetentionPeriod": stream | {"RetentionPeriodHours": 24},
        "DeleteQueue": of_queue,
        "DeleteResourcePolicy": resource,
        "DeleteStream": stream,
        "DeregisterStreamConsumer": {"ConsumerARN": consumer},
        "DescribeQueue": of_queue,
        "DescribeStream": stream,
        "DescribeStreamConsumer": {"ConsumerARN": consumer},
        "DescribeStreamSummary": stream,
        "DisableEnhancedMonitoring": stream | {"ShardLevelMetrics": ["ALL"]},
        "EnableEnhancedMonitoring": stream | {"ShardLevelMetrics": ["ALL"]},
        "GetRecords": {"ShardIterator": iterator},
        "GetResourcePolicy": resource,
        "GetShardIterator": stream | {"ShardId": SHARD, "ShardIteratorType": "LATEST"},
        "IncreaseStreamRetentionPeriod": stream | {"RetentionPeriodHours": 48},
        "ListShards": stream,
        "ListStreamConsumers": of_arn,
        "ListTagsForResource": resource,
        "ListTagsForStream": stream,
        "MergeShards": stream | {"ShardToMerge": SHARD, "AdjacentShardToMerge": "shardId-000000000001"},
        "PutRecord": stream | key,
        "PutRecords": stream | {"Records": [key]},
        "PutResourcePolicy": resource | {"Policy": "{}"},
        "ReceiveDeadLetterQueueRecords": of_queue | {"WaitTimeSeconds": 1},
        "ReceiveQueueRecords": of_queue | {"WaitTimeSeconds": 1},
        "RegisterStreamConsumer": of_arn | {"ConsumerName": "more"},
        "RemoveTagsFromStream": stream | {"TagKeys": ["a"]},
        "RestoreDeadLetterQueueRecords": of_queue | entries,
        "SplitShard": stream | {"ShardToSplit": SHARD, "NewStartingHashKey": "7"},
        "SubscribeToShard": {"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": {"Type": "LATEST"}},
        "TagResource": resource | {"Tags": {"a": "b"}},
        "UntagResource": resource | {"TagKeys": ["a"]},
        "UpdateDeadLetterQueueRecordsVisibility": of_queue | hidden,
        "UpdateMaxRecordSize": of_arn | {"MaxRecordSizeInKiB": 1_024},
        "UpdateQueue": of_queue | {"QueueAttributes": {"VisibilityTimeoutSeconds": 1}},
        "UpdateQueueRecordsVisibility": of_queue | hidden,
        "UpdateShardCount": stream | {"TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"},
        "UpdateStreamMode": of_arn | {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}},
        "UpdateStreamRecordDistributionStrategy": of_arn | {"RecordDistributionStrategy": "AUTO"},
        "UpdateStreamWarmThroughput": stream | {"WarmThroughputMiBps": 0},
    }


def documented(error):
    names = [name for name in model.operation_names if name not in REFUSED]
    return [name for name in names if error in {shape.name for shape in model.operation_model(name).error_shapes}]


def not_found():
    call("CreateStream", StreamName="gone", ShardCount=1)
    of_gone = call("GetShardIterator", StreamName="gone", ShardId=SHARD, ShardIteratorType="LATEST")["ShardIterator"]
    call("DeleteStream", StreamName="gone")
    nowhere = f"{PREFIX}:stream/nowhere"
    missing = inputs("nowhere", nowhere, f"{PREFIX}:queue/nothing", f"{nowhere}/consumer/nobody:1", of_gone)
    for operation in documented("ResourceNotFoundException"):
        refused(operation, "ResourceNotFoundException", **missing[operation])


def invalid_arguments(good, known):
    """Names that mean different streams, and what else an operation takes and cannot mean."""
    others = {
        "CreateQueue": {"QueueName": "new", "StreamConfigurationList": 2 * [{"StreamARN": known["demand"]}]},
        "CreateStream": {"StreamName": "new"},
        "DecreaseStreamRetentionPeriod": good["DecreaseStreamRetentionPeriod"] | {"RetentionPeriodHours": 23},
        "DeregisterStreamConsumer": {"ConsumerName": "consumer"},
        "DescribeStreamConsumer": {"ConsumerName": "consumer"},
        "GetRecords": {"ShardIterator": "AAAAAAAAAAEnotaniteratoratall"},
        "GetShardIterator": good["GetShardIterator"] | {"ShardIteratorType": "AT_TIMESTAMP"},
        "IncreaseStreamRetentionPeriod": good["IncreaseStreamRetentionPeriod"] | {"RetentionPeriodHours": 8_761},
        "ListQueues": {"NextToken": "none"},
        "ListShards": {"NextToken": "none"},
        "ListStreams": {"NextToken": "none"},
        "MergeShards": good["MergeShards"] | {"AdjacentShardToMerge": SHARD},
        "PutRecord": good["PutRecord"] | {"Data": b"x" * (2 << 20)},
        "PutResourcePolicy": good["PutResourcePolicy"] | {"Policy": "none"},
        "SplitShard": good["SplitShard"] | {"NewStartingHashKey": "0"},
        "SubscribeToShard": good["SubscribeToShard"] | {"StartingPosition": {"Type": "AT_TIMESTAMP"}},
    }
    settled = ["AcknowledgeQueueRecords", "UpdateQueueRecordsVisibility", "RestoreDeadLetterQueueRecords"]
    settled += ["AcknowledgeDeadLetterQueueRecords", "UpdateDeadLetterQueueRecordsVisibility"]
    for operation in settled:
        # Each entry has an outcome of its own.
        [failed] = call(operation, **good[operation])["Failed"]
        assert failed["ErrorCode"] == "InvalidArgumentException", (operation, failed)
        seen.add((operation, "InvalidArgumentException"))
    for operation in documented("InvalidArgumentException"):
        if operation in LISTED["InvalidArgumentException"][1].split() or operation in settled:
            continue
        mismatch = good.get(operation, {}) | {"StreamId": known["other_id"]}
        refused(operation, "InvalidArgumentException", **others.get(operation, mismatch))


def invalid_values():
    """A member that has to be there and is not, or one that is out of its range."""
    for operation in documented("ValidationException"):
        required = model.operation_model(operation).input_shape.required_members
        refused(operation, "ValidationException", **({} if required else {"MaxResults": 0}))


def limits(good, known):
    many = {f"key-{number}": "value" for number in range(50)}
    call("TagResource", ResourceARN=known["arn"], Tags=many)
    refused("TagResource", "LimitExceededException", ResourceARN=known["arn"], Tags={"one": "more"})
    refused("AddTagsToStream", "LimitExceededException", StreamName="one", Tags={"one": "more"})
    refused("CreateStream", "LimitExceededException", StreamName="large", ShardCount=9)
    refused("UpdateShardCount", "LimitExceededException", **good["UpdateShardCount"] | {"TargetShardCount": 5})
    long = {"ResourceARN": known["arn"], "Policy": '{"a":"' + "x" * 30_000 + '"}'}
    refused("PutResourcePolicy", "LimitExceededException", **long)
    call("CreateStream", StreamName="full", ShardCount=8)
    split = {"StreamName": "full", "ShardToSplit": SHARD, "NewStartingHashKey": "7"}
    refused("SplitShard", "LimitExceededException", **split)
    for number in range(19):
        call("RegisterStreamConsumer", StreamARN=known["arn"], ConsumerName=f"consumer-{number}")
        call("RegisterStreamConsumer", StreamARN=known["demand"], ConsumerName=f"consumer-{number}")
    refused("RegisterStreamConsumer", "LimitExceededException", **good["RegisterStreamConsumer"])
    one_more = {"QueueName": "more", "StreamConfigurationList": [{"StreamARN": known["demand"]}]}
    refused("CreateQueue", "LimitExceededException", **one_more)
    call("UpdateAccountSettings", MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    warm = {"StreamName": "demand", "WarmThroughputMiBps": 100}
    refused("UpdateStreamWarmThroughput", "LimitExceededException", **warm)
    # The account has two streams on demand at most.
    call("CreateStream", StreamName="second", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    refused("UpdateStreamMode", "LimitExceededException", **good["UpdateStreamMode"])
    told = call("DescribeLimits")
    assert (told["OnDemandStreamCount"], told["OnDemandStreamCountLimit"]) == (2, 2), told


def in_use(good, known):
    name = "ResourceInUseException"
    refused("CreateStream", name, StreamName="one", ShardCount=1)
    refused("CreateQueue", name, QueueName="queue", StreamConfigurationList=[{"StreamARN": known["demand"]}])
    refused("DeleteStream", name, StreamName="one")
    refused("RegisterStreamConsumer", name, StreamARN=known["arn"], ConsumerName="consumer")
    provisioned = {"StreamARN": known["demand"], "StreamModeDetails": {"StreamMode": "PROVISIONED"}}
    refused("UpdateStreamMode", name, **provisioned)
    until_refused("SubscribeToShard", name, **good["SubscribeToShard"])


def expired(good, known):
    refused("GetRecords", "ExpiredIteratorException", ShardIterator=aged(known["iterator"]))
    name = "ExpiredNextTokenException"
    token = lambda operation, **arguments: {"NextToken": aged(call(operation, **arguments)["NextToken"])}
    refused("ListStreams", name, **token("ListStreams", Limit=1))
    refused("ListShards", name, **token("ListShards", StreamName="one", MaxResults=1))
    of_stream = {"StreamARN": known["arn"]}
    refused("ListStreamConsumers", name, **of_stream | token("ListStreamConsumers", MaxResults=1, **of_stream))
    demand = {"QueueName": "second", "StreamConfigurationList": [{"StreamARN": f"{PREFIX}:stream/second"}]}
    call("CreateQueue", **demand)
    refused("ListQueues", name, **token("ListQueues", MaxResults=1))


def dry(good):
    for operation in documented("DryRunOperationException"):
        refused(operation, "DryRunOperationException", **good[operation] | {"DryRun": True})


def throttled(good):
    name = "ProvisionedThroughputExceededException"
    until_refused("GetRecords", name, **good["GetRecords"])
    until_refused("PutRecord", name, **good["PutRecord"] | {"Data": b"x" * 900_000})
    records = {"StreamName": "one", "Records": [{"PartitionKey": "key", "Data": b"x" * 900_000}] * 5}
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := call("PutRecords", **records))["FailedRecordCount"]:
        assert time.monotonic() < deadline, "PutRecords is never refused"
    codes = {record.get("ErrorCode") for record in answer["Records"]} - {None}
    assert codes == {name}, answer
    seen.add(("PutRecords", name))


def what_is_not_there():
    for operation in sorted(REFUSED):
        arguments = {
            "StreamName": "one", "EncryptionType": "KMS", "KeyId": "key", "ChannelName": "channel", "ChannelARN": f"{PREFIX}:channel/one",
            "ServiceExecutionRoleARN": "arn:aws:iam::123456789012:role/one", "StreamConfigurationList": [{"StreamARN": f"{PREFIX}:stream/one"}],
        }
        members = model.operation_model(operation).input_shape.members
        refused(operation, "UnsupportedOperationException", **{name: value for name, value in arguments.items() if name in members})


def check():
    listed = {(operation, error) for error, (_, names) in LISTED.items() for operation in names.split()}
    pairs = {
        (name, shape.name) for name in model.operation_names if name not in REFUSED for shape in model.operation_model(name).error_shapes
    }
    assert not listed - pairs, f"listed and not documented: {sorted(listed - pairs)}"
    assert not listed & seen, f"listed and provoked: {sorted(listed & seen)}"
    missed = {pair for pair in pairs - listed - seen if pair[1] not in NEVER}
    assert not missed, f"documented, and neither provoked nor listed: {sorted(missed)}"
    print(f"{len(pairs & seen)} errors of {len(pairs)} that are documented are provoked, {len(listed)} have a reason each, the others are {sorted(NEVER)}")


def main():
    known = setup()
    good = inputs("one", known["arn"], known["queue"], known["consumer"], known["iterator"])
    not_found()
    invalid_arguments(good, known)
    invalid_values()
    dry(good)
    in_use(good, known)
    limits(good, known)
    expired(good, known)
    throttled(good)
    what_is_not_there()
    check()


if __name__ == "__main__":
    main()
