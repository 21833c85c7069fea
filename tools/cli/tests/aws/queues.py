"""A tour of the SQS API through boto3, as a program that knows AWS alone would use it: every operation, and every error that it documents here.

Takes the endpoint and the access key from the environment, as boto3 does. Ends with status 0 when everything was as AWS documents it. boto3 itself
checks the digests of messages.
"""

import hashlib
import json
import sys
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ACCOUNT = "123456789012"
CONFIG = {"retries": {"max_attempts": 1}, "connect_timeout": 10, "read_timeout": 60}
OLD = "AWS.SimpleQueueService."
NO_QUEUE = ("QueueDoesNotExist", OLD + "NonExistentQueue")
INVALID = (None, "InvalidParameterValue")
MISSING = (None, "MissingParameter")


def client(**arguments):
    return boto3.session.Session().client("sqs", config=Config(**CONFIG), **arguments)


def arn(name):
    return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"


def refused(error, call, *needles, status=400, **arguments):
    """Calls, and expects an error: the class that boto3 has for it, and its older name."""
    kind, code = error
    try:
        call(**arguments)
    except ClientError as raised:
        answer = raised.response
        assert answer["Error"]["Code"] == code, answer
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == status, answer
        assert len(answer["ResponseMetadata"]["RequestId"]) == 36, answer
        if kind is not None:
            assert type(raised).__name__ == kind, (type(raised), answer)
        for needle in needles:
            assert needle in answer["Error"]["Message"], (needle, answer)
        return
    raise AssertionError(f"{code} was expected and the call succeeded")


def receive_all(sqs, url, count):
    messages, deadline = [], time.monotonic() + 60
    while len(messages) < count and time.monotonic() < deadline:
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages += answer.get("Messages", [])
    assert len(messages) == count, messages
    return messages


def until(what, seconds=60):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.05)


def queues(sqs):
    url = sqs.create_queue(
        QueueName="tour", Attributes={"VisibilityTimeout": "60"}, tags={"team": "orders"}
    )["QueueUrl"]
    assert url.endswith(f"/{ACCOUNT}/tour") and url.startswith("http://127.0.0.1:"), url
    assert sqs.create_queue(QueueName="tour", tags={"team": "orders"})["QueueUrl"] == url
    assert sqs.get_queue_url(QueueName="tour")["QueueUrl"] == url
    refused(
        ("QueueNameExists", "QueueAlreadyExists"),
        sqs.create_queue,
        "different value for attribute DelaySeconds",
        QueueName="tour",
        Attributes={"DelaySeconds": "9"},
        tags={"team": "orders"},
    )
    refused(INVALID, sqs.create_queue, "1 to 80 in length", QueueName="a b")
    refused(NO_QUEUE, sqs.get_queue_url, "The specified queue does not exist.", QueueName="none")
    for name in ["tour-a", "tour-b", "tour-c"]:
        sqs.create_queue(QueueName=name)
    pages = list(sqs.get_paginator("list_queues").paginate(QueueNamePrefix="tour-", PaginationConfig={"PageSize": 2}))
    names = [url.rsplit("/", 1)[1] for page in pages for url in page["QueueUrls"]]
    assert (names, len(pages)) == (["tour-a", "tour-b", "tour-c"], 2), pages
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="none")

    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["QueueArn"] == arn("tour") and attributes["VisibilityTimeout"] == "60", attributes
    assert attributes["MessageRetentionPeriod"] == "345600", attributes
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "30", "MaximumMessageSize": "2048"})
    changed = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout", "MaximumMessageSize"])
    assert changed["Attributes"] == {"VisibilityTimeout": "30", "MaximumMessageSize": "2048"}, changed
    name, value = ("InvalidAttributeName",) * 2, ("InvalidAttributeValue",) * 2
    set_attributes = lambda **pairs: {"QueueUrl": url, "Attributes": pairs}
    refused(name, sqs.set_queue_attributes, "Unknown Attribute Odd.", **set_attributes(Odd="1"))
    refused(value, sqs.set_queue_attributes, "DelaySeconds", **set_attributes(DelaySeconds="901"))
    refused(name, sqs.get_queue_attributes, "Odd", QueueUrl=url, AttributeNames=["Odd"])
    unsupported = ("UnsupportedOperation", OLD + "UnsupportedOperation")
    refused(unsupported, sqs.set_queue_attributes, "not encrypted", **set_attributes(KmsMasterKeyId="alias/x"))

    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "orders"}
    sqs.tag_queue(QueueUrl=url, Tags={"stage": "test"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["team"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"stage": "test"}
    refused(NO_QUEUE, sqs.list_queue_tags, QueueUrl=url + "-none")
    refused(("InvalidAddress",) * 2, sqs.list_queue_tags, QueueUrl="nowhere")

    sqs.add_permission(QueueUrl=url, Label="send", AWSAccountIds=["111111111111"], Actions=["SendMessage"])
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    assert json.loads(policy)["Statement"][0]["Sid"] == "send", policy
    again = {"QueueUrl": url, "Label": "send", "AWSAccountIds": ["111111111111"], "Actions": ["SendMessage"]}
    refused(INVALID, sqs.add_permission, "Already exists.", **again)
    many = {**again, "Label": "many", "Actions": ["SendMessage"] * 8}
    refused(("OverLimit",) * 2, sqs.add_permission, "maximum allowed is 7", **many)
    sqs.remove_permission(QueueUrl=url, Label="send")
    refused(INVALID, sqs.remove_permission, "can't find label", QueueUrl=url, Label="send")
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])


def messages(sqs):
    url = sqs.get_queue_url(QueueName="tour")["QueueUrl"]
    body = "first \u00fc \U0001f30a <&>\r\n"
    sent = sqs.send_message(
        QueueUrl=url,
        MessageBody=body,
        MessageAttributes={
            "number": {"DataType": "Number", "StringValue": "-1.5e3"},
            "color.of": {"DataType": "String.hex", "StringValue": "#fff"},
            "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        },
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}},
    )
    assert sent["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest(), sent
    (message,) = receive_all(sqs, url, 1)
    assert message["Body"] == body and message["MessageId"] == sent["MessageId"], message
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"], message
    assert message["MessageAttributes"]["bytes"] == {"BinaryValue": b"\x00\xff", "DataType": "Binary"}, message
    system = message["Attributes"]
    assert (system["AWSTraceHeader"], system["SenderId"], system["ApproximateReceiveCount"]) == ("Root=1", "tour", "1")
    assert abs(int(system["SentTimestamp"]) / 1000 - time.time()) < 300, system
    handle = message["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    (again,) = receive_all(sqs, url, 1)
    assert again["Attributes"]["ApproximateReceiveCount"] == "2", again
    late = ("MessageNotInflight", OLD + "MessageNotInflight")
    change = {"QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": 9}
    refused(late, sqs.change_message_visibility, "not in flight", **change)
    refused(INVALID, sqs.change_message_visibility, "43200", **{**change, "VisibilityTimeout": 43_201})
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    receipt = ("ReceiptHandleIsInvalid",) * 2
    refused(receipt, sqs.delete_message, "not a valid receipt handle", QueueUrl=url, ReceiptHandle="x")

    entries = [{"Id": f"id-{index}", "MessageBody": f"body {index}"} for index in range(9)]
    bad = {"Id": "bad", "MessageBody": "x", "DelaySeconds": 901}
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries + [bad])
    assert [entry["Id"] for entry in answer["Successful"]] == [entry["Id"] for entry in entries], answer
    assert answer["Failed"][0]["Code"] == "InvalidParameterValue" and answer["Failed"][0]["SenderFault"], answer
    found = receive_all(sqs, url, 9)
    assert sorted(message["Body"] for message in found) == [entry["MessageBody"] for entry in entries]
    handles = [{"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]} for index, message in enumerate(found)]
    longer = [{**entry, "VisibilityTimeout": 100} for entry in handles]
    changed = sqs.change_message_visibility_batch(QueueUrl=url, Entries=longer)
    assert len(changed["Successful"]) == 9 and not changed.get("Failed"), changed
    deleted = sqs.delete_message_batch(QueueUrl=url, Entries=handles + [{"Id": "x", "ReceiptHandle": "x"}])
    assert len(deleted["Successful"]) == 9 and deleted["Failed"][0]["Code"] == "ReceiptHandleIsInvalid", deleted
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0", counts


def batches(sqs):
    url = sqs.get_queue_url(QueueName="tour")["QueueUrl"]
    big = sqs.get_queue_url(QueueName="tour-a")["QueueUrl"]

    def check(name, entries, needle, url=url):
        kind = (name, OLD + name)
        send = [{"Id": identity, "MessageBody": body} for identity, body in entries]
        refused(kind, sqs.send_message_batch, needle, QueueUrl=url, Entries=send)

    check("EmptyBatchRequest", [], "at least one SendMessageBatchRequestEntry")
    check("TooManyEntriesInBatchRequest", [(str(index), "x") for index in range(11)], "You have sent 11.")
    check("InvalidBatchEntryId", [("a b", "x")], "alphanumeric characters, hyphens and underscores")
    check("BatchEntryIdsNotDistinct", [("a", "x"), ("a", "y")], "Id a repeated.")
    check("BatchRequestTooLong", [("a", "x" * 600_000), ("b", "y" * 600_000)], "1200000 bytes", url=big)
    send = lambda body, **more: {"QueueUrl": url, "MessageBody": body, **more}
    contents = ("InvalidMessageContents",) * 2
    refused(contents, sqs.send_message, "Invalid characters found", **send("\x0b"))
    refused(INVALID, sqs.send_message, "shorter than 2048 bytes", **send("x" * 2049))
    refused(MISSING, sqs.send_message, "MessageBody", **send(""))
    refused(INVALID, sqs.send_message, "DelaySeconds", **send("x", DelaySeconds=901))
    attribute = {"DataType": "Odd", "StringValue": "x"}
    refused(INVALID, sqs.send_message, "type prefixes", **send("x", MessageAttributes={"a": attribute}))
    receive = lambda **more: {"QueueUrl": url, **more}
    refused(INVALID, sqs.receive_message, "between 1 and 10", **receive(MaxNumberOfMessages=11))
    refused(INVALID, sqs.receive_message, "<= 20", **receive(WaitTimeSeconds=21))
    refused(NO_QUEUE, sqs.receive_message, QueueUrl=url + "-none")


def waiting(sqs):
    url = sqs.get_queue_url(QueueName="tour")["QueueUrl"]
    began = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)
    assert time.monotonic() - began > 0.9
    got = []
    consumer = threading.Thread(target=lambda: got.extend(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]))
    consumer.start()
    time.sleep(0.3)
    began = time.monotonic()
    client().send_message(QueueUrl=url, MessageBody="awaited")
    consumer.join()
    assert got[0]["Body"] == "awaited" and time.monotonic() - began < 15, got
    sqs.delete_message(QueueUrl=url, ReceiptHandle=got[0]["ReceiptHandle"])
    sqs.send_message(QueueUrl=url, MessageBody="late", DelaySeconds=1)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    (late,) = receive_all(sqs, url, 1)
    assert late["Body"] == "late", late
    sqs.purge_queue(QueueUrl=url)
    purge = ("PurgeQueueInProgress", OLD + "PurgeQueueInProgress")
    refused(purge, sqs.purge_queue, "Only one PurgeQueue operation on tour", QueueUrl=url)


def fifo(sqs):
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs.create_queue(QueueName="tour.fifo", Attributes=attributes)["QueueUrl"]
    send = lambda body, group, **more: sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group, **more)
    numbers = [send(body, "a")["SequenceNumber"] for body in ["1", "2"]]
    assert numbers == sorted(numbers), numbers
    assert send("2", "a")["SequenceNumber"] == numbers[1]
    assert send("3", "a", MessageDeduplicationId="id")["MessageId"] == send("4", "a", MessageDeduplicationId="id")["MessageId"]
    seen = []
    for _ in range(3):
        (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, MessageSystemAttributeNames=["All"])["Messages"]
        assert message["Attributes"]["MessageGroupId"] == "a", message
        assert "Messages" not in sqs.receive_message(QueueUrl=url)
        seen.append(message["Body"])
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert seen == ["1", "2", "3"], seen
    refused(MISSING, sqs.send_message, "MessageGroupId", QueueUrl=url, MessageBody="x")
    delayed = {"QueueUrl": url, "MessageBody": "x", "MessageGroupId": "a", "DelaySeconds": 2}
    refused(INVALID, sqs.send_message, "not valid for this queue type", **delayed)
    refused(INVALID, sqs.create_queue, ".fifo suffix", QueueName="tour-d", Attributes={"FifoQueue": "true"})


def moves(sqs):
    dead = sqs.create_queue(QueueName="tour-dead")["QueueUrl"]
    policy = json.dumps({"deadLetterTargetArn": arn("tour-dead"), "maxReceiveCount": "1"})
    url = sqs.create_queue(QueueName="tour-moved", Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "0"})["QueueUrl"]
    sources = sqs.get_paginator("list_dead_letter_source_queues").paginate(QueueUrl=dead)
    assert [source for page in sources for source in page["queueUrls"]] == [url]
    count = lambda url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    for body in ["x", "y"]:
        sqs.send_message(QueueUrl=url, MessageBody=body)

    def all_dead():
        sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return count(dead)["ApproximateNumberOfMessages"] == "2"

    until(all_dead)
    start = {"SourceArn": arn("tour-dead"), "MaxNumberOfMessagesPerSecond": 1}
    handle = sqs.start_message_move_task(**start)["TaskHandle"]
    refused(INVALID, sqs.start_message_move_task, "already a task running", **start)
    sqs.cancel_message_move_task(TaskHandle=handle)
    status = lambda: sqs.list_message_move_tasks(SourceArn=arn("tour-dead"))["Results"][0]["Status"]
    until(lambda: status() == "CANCELLED")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "60"})
    sqs.start_message_move_task(SourceArn=arn("tour-dead"))
    until(lambda: status() == "COMPLETED")
    assert len(sqs.list_message_move_tasks(SourceArn=arn("tour-dead"), MaxResults=10)["Results"]) == 2
    assert sorted(message["Body"] for message in receive_all(sqs, url, 2)) == ["x", "y"]
    absent = ("ResourceNotFoundException",) * 2
    refused(absent, sqs.start_message_move_task, "SourceArn", SourceArn=arn("none"))
    refused(absent, sqs.list_message_move_tasks, "SourceArn", SourceArn=arn("none"))
    refused(INVALID, sqs.start_message_move_task, "Dead Letter Queue", SourceArn=arn("tour"))
    refused(INVALID, sqs.cancel_message_move_task, "TaskHandle is invalid", TaskHandle="x")


def resource(sqs):
    """The same through boto3's resources."""
    queue = boto3.resource("sqs", config=Config(**CONFIG)).get_queue_by_name(QueueName="tour-b")
    queue.send_message(MessageBody="of a resource")
    (message,) = queue.receive_messages(WaitTimeSeconds=5)
    assert message.body == "of a resource"
    message.delete()


def signatures(sqs):
    wrong = client(aws_secret_access_key="wrong", aws_access_key_id="AKIDTOUR")
    refused((None, "SignatureDoesNotMatch"), wrong.list_queues, "does not match")
    unknown = client(aws_secret_access_key="wrong", aws_access_key_id="AKIDUNKNOWN")
    refused((None, "InvalidClientTokenId"), unknown.list_queues, "security token")


def end(sqs):
    for url in sqs.list_queues()["QueueUrls"]:
        sqs.delete_queue(QueueUrl=url)
        refused(NO_QUEUE, sqs.delete_queue, QueueUrl=url)
    assert "QueueUrls" not in sqs.list_queues()
    recently = ("QueueDeletedRecently", OLD + "QueueDeletedRecently")
    refused(recently, sqs.create_queue, "You must wait", QueueName="tour")


def main():
    sqs = client()
    for step in [queues, messages, batches, waiting, fifo, moves, resource, signatures, end]:
        began = time.monotonic()
        step(sqs)
        print(f"{step.__name__}: {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
