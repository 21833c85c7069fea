"""Queues over a stream through boto3, unmodified: managed, received from, acknowledged, and their dead letters."""

import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

kinesis = boto3.client("kinesis", config=Config(retries={"max_attempts": 0}))


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return
    raise AssertionError(f"{call.__name__} was not refused")


kinesis.create_stream(StreamName="orders", StreamModeDetails={"StreamMode": "ON_DEMAND"})
stream = kinesis.describe_stream_summary(StreamName="orders")["StreamDescriptionSummary"]["StreamARN"]
kinesis.put_record(StreamName="orders", PartitionKey="early", Data=b"early")
created = kinesis.create_queue(
    QueueName="work",
    StreamConfigurationList=[{"StreamARN": stream}],
    QueueAttributes={"DeadLetterConfiguration": {"TargetType": "BUILT_IN", "MaxReceiveCount": 2}},
    Tags={"team": "tide"},
)["QueueDescription"]
assert created["QueueStatus"] == "CREATING", created
queue = created["QueueARN"]
described = kinesis.describe_queue(QueueARN=queue)["QueueDescription"]
assert described["QueueStatus"] == "ACTIVE", described
assert described["StreamConfigurationList"][0]["StartingPosition"]["Type"] == "LATEST", described
assert described["QueueAttributes"]["VisibilityTimeoutSeconds"] == 30, described
refused("ResourceInUseException", kinesis.create_queue, QueueName="work", StreamConfigurationList=[{"StreamARN": stream}])
pages = kinesis.get_paginator("list_queues").paginate(StreamFilter=[{"StreamARN": stream}])
assert [one["QueueARN"] for page in pages for one in page["QueueSummaries"]] == [queue]
assert kinesis.list_tags_for_resource(ResourceARN=queue)["Tags"] == [{"Key": "team", "Value": "tide"}]

# A receive that waits is woken by the put.
got = []


def wait_for_one():
    records = boto3.client("kinesis").receive_queue_records(QueueARN=queue, WaitTimeSeconds=20)["QueueRecords"]
    got.append((time.monotonic(), records))


waiting = threading.Thread(target=wait_for_one)
waiting.start()
time.sleep(0.5)
put = kinesis.put_record(StreamName="orders", PartitionKey="key", Data=b"first")
waiting.join(30)
(_, [record]) = got[0]
assert (record["Data"], record["PartitionKey"], record["ReceiveCount"]) == (b"first", "key", 1), record
assert record["RecordId"] == put["SequenceNumber"], record
handle = {"ReceiptHandle": record["ReceiptHandle"]}
done = kinesis.acknowledge_queue_records(QueueARN=queue, Entries=[handle, {"ReceiptHandle": "none"}])
assert [one["ReceiptHandle"] for one in done["Successful"]] == [record["ReceiptHandle"]], done
assert [one["ErrorCode"] for one in done["Failed"]] == ["InvalidArgumentException"], done

# What is received in vain is a dead letter, and is tried again when it is restored.
kinesis.put_record(StreamName="orders", PartitionKey="key", Data=b"second")
for count in (1, 2):
    [record] = kinesis.receive_queue_records(QueueARN=queue)["QueueRecords"]
    assert (record["Data"], record["ReceiveCount"]) == (b"second", count), record
    change = {"ReceiptHandle": record["ReceiptHandle"], "VisibilityTimeoutSeconds": 0}
    assert not kinesis.update_queue_records_visibility(QueueARN=queue, Entries=[change])["Failed"]
assert kinesis.receive_queue_records(QueueARN=queue, WaitTimeSeconds=1)["QueueRecords"] == []
[letter] = kinesis.receive_dead_letter_queue_records(QueueARN=queue)["QueueRecords"]
assert letter["Data"] == b"second", letter
handle = {"ReceiptHandle": letter["ReceiptHandle"]}
change = handle | {"VisibilityTimeoutSeconds": 600}
assert not kinesis.update_dead_letter_queue_records_visibility(QueueARN=queue, Entries=[change])["Failed"]
assert not kinesis.restore_dead_letter_queue_records(QueueARN=queue, Entries=[handle])["Failed"]
[record] = kinesis.receive_queue_records(QueueARN=queue, VisibilityTimeoutSeconds=0)["QueueRecords"]
assert (record["Data"], record["ReceiveCount"]) == (b"second", 1), record
[record] = kinesis.receive_queue_records(QueueARN=queue, VisibilityTimeoutSeconds=0)["QueueRecords"]
[letter] = kinesis.receive_dead_letter_queue_records(QueueARN=queue)["QueueRecords"]
handle = {"ReceiptHandle": letter["ReceiptHandle"]}
assert not kinesis.acknowledge_dead_letter_queue_records(QueueARN=queue, Entries=[handle])["Failed"]
assert kinesis.receive_dead_letter_queue_records(QueueARN=queue, WaitTimeSeconds=1)["QueueRecords"] == []

updated = kinesis.update_queue(QueueARN=queue, QueueAttributes={"VisibilityTimeoutSeconds": 7})["QueueDescription"]
assert updated["QueueAttributes"]["DeadLetterConfiguration"]["MaxReceiveCount"] == 2, updated
refused("ResourceInUseException", kinesis.delete_stream, StreamName="orders", EnforceConsumerDeletion=True)
kinesis.delete_queue(QueueARN=queue)
refused("ResourceNotFoundException", kinesis.receive_queue_records, QueueARN=queue)
kinesis.delete_stream(StreamName="orders")
