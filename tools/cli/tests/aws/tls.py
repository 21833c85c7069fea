"""Calls over TLS with boto3, and asks for HTTP/2 by ALPN. The endpoint and the certificates to trust come from the environment."""

import os
import socket
import ssl
import urllib.parse

import boto3
from botocore.config import Config

endpoint = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"])
for wanted in ["h2", "http/1.1"]:
    context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
    context.set_alpn_protocols([wanted])
    with socket.create_connection((endpoint.hostname, endpoint.port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=endpoint.hostname) as tls:
            assert tls.selected_alpn_protocol() == wanted, tls.selected_alpn_protocol()

config = Config(retries={"max_attempts": 0}, connect_timeout=10, read_timeout=10)
kinesis = boto3.client("kinesis", config=config)
names = kinesis.list_streams()["StreamNames"]
if "tls" not in names:
    kinesis.create_stream(StreamName="tls", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName="tls", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
# Larger than one TLS record, both ways.
data = os.urandom(300_000)
put = kinesis.put_record(StreamName="tls", PartitionKey="key", Data=data)
iterator = kinesis.get_shard_iterator(
    StreamName="tls",
    ShardId=put["ShardId"],
    ShardIteratorType="AT_SEQUENCE_NUMBER",
    StartingSequenceNumber=put["SequenceNumber"],
)
records = kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
assert [record["Data"] for record in records] == [data]
