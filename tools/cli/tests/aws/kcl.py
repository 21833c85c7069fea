"""Two workers of Amazon's Kinesis Client Library 3 read a stream while it is split and merged: every record comes, and the records of a key in order.

Takes the endpoint and the access key from the environment, as boto3 does, and needs `java` (17 or newer). The library's leases are in moto's DynamoDB, which this
starts. `kcl.py MODE` reads by `FANOUT` (SubscribeToShard) or `POLLING` (GetRecords). `kcl.py process` is what the library starts for each shard.

A worker that loses a lease before its checkpoint has its records read again by the next, so a record may come more than once, but never again after its checkpoint:
each batch is noted before it is checkpointed, and the checkpoint after it is.
"""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

import boto3

STREAM = "leased"
KEYS = [f"key-{number}" for number in range(40)]
ROUNDS = 60
PATIENCE_S = 240


# The side that the library starts: a process for each shard, which is told of records on its input.


def process():
    from amazon_kclpy import kcl
    from amazon_kclpy.v3 import processor

    notes = os.environ["NOTES"]

    def note(*lines):
        # A write for each, at the end of what is there, so that processes do not write into each other's lines.
        with open(notes, "a", buffering=1) as file:
            for line in lines:
                file.write(line + "\n")

    class Processor(processor.RecordProcessorBase):
        def initialize(self, begun):
            self.shard = begun.shard_id
            note(f"begin {self.shard} {os.environ['WORKER']} {begun.sequence_number}")

        def process_records(self, batch):
            lines = [
                f"record {self.shard} {record.sequence_number} {record.partition_key} {record.binary_data.decode()}"
                for record in batch.records
            ]
            note(*lines)
            if batch.records:
                last = batch.records[-1].sequence_number
                batch.checkpointer.checkpoint(last)
                note(f"checkpoint {self.shard} {last}")

        def lease_lost(self, lost):
            note(f"lost {self.shard}")

        def shard_ended(self, ended):
            ended.checkpointer.checkpoint()
            note(f"end {self.shard}")

        def shutdown_requested(self, asked):
            asked.checkpointer.checkpoint()

    kcl.KCLProcess(Processor()).run()


# The side that puts, splits, merges and checks.


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"nothing listens on {port}")


def worker(folder, name, mode, dynamodb):
    """Starts a worker, which is one Java process and one of Python for each shard that it has."""
    import amazon_kclpy

    kinesis = os.environ["AWS_ENDPOINT_URL"]
    jars = pathlib.Path(amazon_kclpy.__file__).parent / "jars" / "*"
    properties = {
        "executableName": f"{sys.executable} {os.path.abspath(__file__)} process",
        "streamName": STREAM,
        "applicationName": f"tour-{mode.lower()}",
        "workerId": name,
        "regionName": os.environ["AWS_DEFAULT_REGION"],
        "AwsCredentialsProvider": "DefaultCredentialsProvider",
        "kinesisEndpoint": kinesis,
        "dynamoDBEndpoint": dynamodb,
        "initialPositionInStream": "TRIM_HORIZON",
        "retrievalMode": mode,
        "metricsLevel": "NONE",
        "failoverTimeMillis": 5_000,
        "shardSyncIntervalMillis": 2_000,
        "parentShardPollIntervalMillis": 500,
        "leaseTableDeletionProtectionEnabled": "false",
        "idleTimeBetweenReadsInMillis": 250,
    }
    path = folder / f"{name}.properties"
    path.write_text("".join(f"{key} = {value}\n" for key, value in properties.items()))
    environment = os.environ | {
        "NOTES": str(folder / "notes"),
        "WORKER": name,
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb,
        "AWS_ENDPOINT_URL_KINESIS": kinesis,
    }
    main = "software.amazon.kinesis.multilang.MultiLangDaemon"
    log = open(folder / f"{name}.log", "w")
    return subprocess.Popen(
        ["java", "-Xmx256m", "-cp", str(jars), main, "--properties-file", str(path)],
        env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=folder,
    )


def put_rounds(kinesis, sent, until):
    """Puts the next number of every key, round after round, through splits and merges."""
    for number in range(ROUNDS):
        records = [{"PartitionKey": key, "Data": f"{number}".encode()} for key in KEYS]
        answer = kinesis.put_records(StreamName=STREAM, Records=records)
        assert answer["FailedRecordCount"] == 0, answer
        sent.append(number)
        until.wait(0.5)


def reshard(kinesis, sent):
    active = kinesis.get_waiter("stream_exists")

    def reach(count):
        while len(sent) < count:
            time.sleep(0.1)

    reach(ROUNDS // 3)
    kinesis.split_shard(StreamName=STREAM, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**126))
    active.wait(StreamName=STREAM, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    reach(2 * ROUNDS // 3)
    kinesis.merge_shards(
        StreamName=STREAM, ShardToMerge="shardId-000000000003", AdjacentShardToMerge="shardId-000000000001"
    )
    active.wait(StreamName=STREAM, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def read_notes(path):
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def check(notes):
    """Holds what was processed against the promises; returns what is missing."""
    kept, done, found, repeated = {}, {}, {key: [] for key in KEYS}, 0
    for kind, shard, *rest in notes:
        if kind == "record":
            sequence, key, number = int(rest[0]), rest[1], int(rest[2])
            assert sequence > kept.get(shard, -1), f"{shard} {sequence} comes after the checkpoint {kept[shard]}"
            if number in found[key]:
                assert (shard, key, number) in done, f"{key} {number} comes from two shards"
                repeated += 1
                continue
            assert number == len(found[key]), f"{key}: {number} comes after {found[key][-1:]}"
            found[key].append(number)
            done[shard, key, number] = sequence
        elif kind == "checkpoint":
            kept[shard] = max(kept.get(shard, -1), int(rest[0]))
    missing = sum(ROUNDS - len(numbers) for numbers in found.values())
    return missing, repeated


def tour(mode):
    kinesis = boto3.client("kinesis")
    kinesis.create_stream(StreamName=STREAM, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=STREAM, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        port = free_port()
        moto = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        processes = [subprocess.Popen(moto, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
        stop, sent = threading.Event(), []
        try:
            wait_for_port(port)
            dynamodb = f"http://127.0.0.1:{port}"
            processes += [worker(folder, name, mode, dynamodb) for name in ["one", "two"]]
            putting = threading.Thread(target=put_rounds, args=(kinesis, sent, stop), daemon=True)
            putting.start()
            reshard(kinesis, sent)
            putting.join()
            deadline = time.monotonic() + PATIENCE_S
            while check(read_notes(folder / "notes"))[0] and time.monotonic() < deadline:
                time.sleep(1)
            notes = read_notes(folder / "notes")
            missing, repeated = check(notes)
            ended = sorted(line[1] for line in notes if line[0] == "end")
            if missing or len(ended) < 2:
                for log in folder.glob("*.log"):
                    print(f"== {log.name}", log.read_text()[-8_000:], sep="\n")
            assert not missing, f"{missing} records are missing; {len(notes)} notes, ended {ended}"
            workers = sorted({line[2] for line in notes if line[0] == "begin"})
            print(f"{mode}: {len(KEYS) * ROUNDS} records by workers {workers}, {repeated} more than once, shards read to their end: {ended}")
        finally:
            stop.set()
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(30)
    kinesis.delete_stream(StreamName=STREAM, EnforceConsumerDeletion=True)


if __name__ == "__main__":
    process() if sys.argv[1] == "process" else tour(sys.argv[1])
