"""Producers to a stream and consumers of a queue over it on a server that is killed under them, and what must be there afterwards.

`stream_queue_crash.py work NOTES ROUND` runs until the server is gone and notes every step before and after it is asked for, a line each;
`stream_queue_crash.py check NOTES` receives what is left, dead letters too, and holds it against the notes.
"""

import sys
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PRODUCERS = 2
CONSUMERS = 3
# So short that what stays is a dead letter soon; the pause before the check is longer.
VISIBILITY_S = 1


def client():
    config = Config(retries={"max_attempts": 0}, read_timeout=20, connect_timeout=5)
    return boto3.client("kinesis", config=config)


class Notes:
    def __init__(self, path):
        self.file = open(path, "a", buffering=1)
        self.lock = threading.Lock()

    def note(self, kind, names):
        with self.lock:
            self.file.write("".join(f"{kind} {name}\n" for name in names))


def make_queue():
    kinesis = client()
    try:
        kinesis.create_stream(StreamName="orders", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    except kinesis.exceptions.ResourceInUseException:
        pass
    stream = kinesis.describe_stream_summary(StreamName="orders")["StreamDescriptionSummary"]["StreamARN"]
    known = kinesis.list_queues()["QueueSummaries"]
    if known:
        return known[0]["QueueARN"]
    position = {"StreamARN": stream, "StartingPosition": {"Type": "TRIM_HORIZON"}}
    attributes = {"DeadLetterConfiguration": {"TargetType": "BUILT_IN", "MaxReceiveCount": 1}}
    created = kinesis.create_queue(QueueName="work", StreamConfigurationList=[position], QueueAttributes=attributes)
    return created["QueueDescription"]["QueueARN"]


def produce(notes, prefix, stop):
    kinesis, number = client(), 0
    while not stop.is_set():
        names = [f"{prefix}:{number + step:06}" for step in range(10)]
        number += 10
        notes.note("s", names)
        records = [{"PartitionKey": name, "Data": name.encode()} for name in names]
        put = kinesis.put_records(StreamName="orders", Records=records)["Records"]
        notes.note("S", [name for name, one in zip(names, put) if "ErrorCode" not in one])


def consume(notes, queue, stop):
    kinesis = client()
    receives = [
        (kinesis.receive_queue_records, kinesis.acknowledge_queue_records),
        (kinesis.receive_dead_letter_queue_records, kinesis.acknowledge_dead_letter_queue_records),
    ]
    while not stop.is_set():
        for at, (receive, acknowledge) in enumerate(receives):
            arguments = dict(QueueARN=queue, VisibilityTimeoutSeconds=VISIBILITY_S, WaitTimeSeconds=1)
            received = receive(**arguments, Limit=10 - 7 * at)["QueueRecords"]
            names = {one["ReceiptHandle"]: one["Data"].decode() for one in received}
            # Some stay, and come back.
            done = [handle for handle, name in names.items() if (hash(name) + at) % 4]
            if not done:
                continue
            notes.note("d", [names[handle] for handle in done])
            settled = acknowledge(QueueARN=queue, Entries=[{"ReceiptHandle": handle} for handle in done])
            acknowledged = [names[one["ReceiptHandle"]] for one in settled["Successful"]]
            notes.note("D", acknowledged)
            # Dead letters once more, so that they are counted.
            notes.note("X", acknowledged if at else [])


def work(path, round_number):
    notes, stop, threads = Notes(path), threading.Event(), []

    def run(task, *arguments):
        def until_the_server_is_gone():
            try:
                task(notes, *arguments, stop)
            except (BotoCoreError, ClientError):
                stop.set()

        threads.append(threading.Thread(target=until_the_server_is_gone))

    queue = make_queue()
    for producer in range(PRODUCERS):
        run(produce, f"{round_number}/{producer}")
    for _ in range(CONSUMERS):
        run(consume, queue)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def check(path):
    noted = {kind: set() for kind in "sSdDX"}
    for line in open(path):
        kind, _, name = line.rstrip("\n").partition(" ")
        noted[kind].add(name)
    time.sleep(VISIBILITY_S + 1)
    kinesis, queue, left = client(), make_queue(), []
    for receive in (kinesis.receive_queue_records, kinesis.receive_dead_letter_queue_records):
        empty = 0
        while empty < 2:
            received = receive(QueueARN=queue, VisibilityTimeoutSeconds=3600, WaitTimeSeconds=1)["QueueRecords"]
            empty = 0 if received else empty + 1
            left += [one["Data"].decode() for one in received]
    assert len(left) == len(set(left)), "a record is there twice"
    left = set(left)
    lost = noted["S"] - noted["d"] - left
    assert not lost, f"{len(lost)} records were lost, one is {min(lost)}"
    undead = noted["D"] & left
    assert not undead, f"{len(undead)} acknowledged records came back, one is {min(undead)}"
    unknown = left - noted["s"]
    assert not unknown, f"{min(unknown)} was never put"
    assert noted["X"] and noted["D"] - noted["X"], "nothing was acknowledged on one side"
    print(f"{len(noted['S'])} put, {len(noted['D'])} acknowledged, {len(noted['X'])} as dead letters, {len(left)} left")


if __name__ == "__main__":
    if sys.argv[1] == "work":
        work(sys.argv[2], sys.argv[3])
    else:
        check(sys.argv[2])
