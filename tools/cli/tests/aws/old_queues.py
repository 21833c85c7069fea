"""The SQS API through a botocore that speaks the query protocol, the last one that did: forms, XML, and requests that are signed beforehand.

Takes the endpoint from AWS_ENDPOINT_URL, which that version does not know itself. Ends with status 0 when everything was as AWS documents it.
"""

import os
import sys
import urllib.request

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

ACCOUNT = "123456789012"
BODY = "a <b> & \"c\" \r\n\t\u00fc \U0001f30a + %20"


def client(**arguments):
    config = Config(retries={"max_attempts": 1}, connect_timeout=10, read_timeout=60)
    session = botocore.session.get_session()
    return session.create_client("sqs", endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=config, **arguments)


def refused(code, status, call, needle, **arguments):
    try:
        call(**arguments)
    except ClientError as raised:
        answer = raised.response
        assert answer["Error"]["Code"] == code and answer["Error"]["Type"] == "Sender", answer
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == status, answer
        assert len(answer["ResponseMetadata"]["RequestId"]) == 36, answer
        assert needle in answer["Error"]["Message"], answer
        return
    raise AssertionError(f"{code} was expected and the call succeeded")


def main():
    sqs = client()
    assert sqs.meta.service_model.protocol == "query"
    attributes = {"VisibilityTimeout": "60", "DelaySeconds": "0"}
    url = sqs.create_queue(QueueName="old", Attributes=attributes, tags={"a": "1", "b": ""})["QueueUrl"]
    assert sqs.get_queue_url(QueueName="old")["QueueUrl"] == url
    assert sqs.list_queues()["QueueUrls"] == [url]
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"a": "1", "b": ""}
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert found["VisibilityTimeout"] == "60" and found["QueueArn"].endswith(f":{ACCOUNT}:old"), found
    sent = sqs.send_message(
        QueueUrl=url,
        MessageBody=BODY,
        MessageAttributes={
            "n": {"DataType": "Number", "StringValue": "7"},
            "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        },
    )
    receive = {"QueueUrl": url, "AttributeNames": ["All"], "MessageAttributeNames": ["All"], "WaitTimeSeconds": 5}
    (message,) = sqs.receive_message(**receive)["Messages"]
    assert message["Body"] == BODY and message["MD5OfBody"] == sent["MD5OfMessageBody"], message
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"], message
    assert message["MessageAttributes"]["b"]["BinaryValue"] == b"\x00\xff", message
    assert message["Attributes"]["SenderId"] == "tour", message
    handle = message["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=100)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
    entries = [{"Id": "a", "MessageBody": "one"}, {"Id": "b", "MessageBody": "\x01"}]
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert answer["Successful"][0]["Id"] == "a" and answer["Failed"][0]["Code"] == "InvalidMessageContents", answer
    (message,) = sqs.receive_message(**receive)["Messages"]
    deleted = sqs.delete_message_batch(QueueUrl=url, Entries=[{"Id": "a", "ReceiptHandle": message["ReceiptHandle"]}])
    assert deleted["Successful"] == [{"Id": "a"}], deleted

    # What is signed beforehand is in the query of a GET.
    signed = sqs.generate_presigned_url("send_message", {"QueueUrl": url, "MessageBody": "signed"}, HttpMethod="GET")
    with urllib.request.urlopen(signed, timeout=30) as answered:
        xml = answered.read().decode()
    assert answered.status == 200 and "<SendMessageResult>" in xml, xml
    (message,) = sqs.receive_message(**receive)["Messages"]
    assert message["Body"] == "signed", message
    try:
        urllib.request.urlopen(signed.replace("MessageBody=signed", "MessageBody=forged"), timeout=30)
        raise AssertionError("a request that was changed is answered")
    except urllib.error.HTTPError as error:
        assert error.code == 403 and b"<Code>SignatureDoesNotMatch</Code>" in error.read(), error

    none = {"QueueUrl": url + "-none"}
    missing = "AWS.SimpleQueueService.NonExistentQueue"
    refused(missing, 400, sqs.receive_message, "for this wsdl version", **none)
    refused("InvalidParameterValue", 400, sqs.receive_message, "10", QueueUrl=url, MaxNumberOfMessages=11)
    wrong = client(aws_access_key_id="AKIDTOUR", aws_secret_access_key="wrong")
    refused("SignatureDoesNotMatch", 403, wrong.list_queues, "does not match")
    unknown = client(aws_access_key_id="AKIDUNKNOWN", aws_secret_access_key="wrong")
    refused("InvalidClientTokenId", 403, unknown.list_queues, "security token")
    sqs.delete_queue(QueueUrl=url)
    refused(missing, 400, sqs.delete_queue, "does not exist", QueueUrl=url)


if __name__ == "__main__":
    sys.exit(main())
