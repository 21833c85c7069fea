"""Producers and consumers of queues on a server that is killed under them, and what must be there afterwards.

`queue_crash.py work NOTES ROUND` runs until the server is gone and notes every step before and after it is asked for, a line each;
`queue_crash.py check NOTES` receives what is left and holds it against the notes.
"""

import sys
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

QUEUES = {"standard": {}, "ordered.fifo": {"FifoQueue": "true"}}
PRODUCERS = 2
CONSUMERS = 2
# Longer than a round takes to be told of, shorter than the pause before the check.
VISIBILITY_S = 4


def client():
    return boto3.client("sqs", config=Config(retries={"max_attempts": 0}, read_timeout=20, connect_timeout=5))


class Notes:
    def __init__(self, path):
        self.file = open(path, "a", buffering=1)
        self.lock = threading.Lock()

    def note(self, kind, names):
        with self.lock:
            self.file.write("".join(f"{kind} {name}\n" for name in names))


def produce(notes, url, is_fifo, group, stop):
    sqs, number = client(), 0
    while not stop.is_set():
        names = [f"{group}:{number + step:06}" for step in range(10)]
        number += 10
        entries = [{"Id": str(at), "MessageBody": name} for at, name in enumerate(names)]
        if is_fifo:
            for entry in entries:
                entry.update(MessageGroupId=group, MessageDeduplicationId=entry["MessageBody"])
        notes.note("s", names)
        sent = sqs.send_message_batch(QueueUrl=url, Entries=entries)
        notes.note("S", [names[int(one["Id"])] for one in sent.get("Successful", [])])


def consume(notes, url, stop):
    sqs = client()
    while not stop.is_set():
        received = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=VISIBILITY_S, WaitTimeSeconds=1
        ).get("Messages", [])
        # Some stay, and come back.
        done = [one for one in received if hash(one["Body"]) % 4]
        if not done:
            continue
        notes.note("d", [one["Body"] for one in done])
        entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(done)]
        deleted = sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        notes.note("D", [done[int(one["Id"])]["Body"] for one in deleted.get("Successful", [])])


def work(path, round_number):
    notes, stop, threads = Notes(path), threading.Event(), []

    def run(task, *arguments):
        def until_the_server_is_gone():
            try:
                task(notes, *arguments, stop)
            except (BotoCoreError, ClientError):
                stop.set()

        threads.append(threading.Thread(target=until_the_server_is_gone))

    for name, attributes in QUEUES.items():
        url = client().create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        for producer in range(PRODUCERS):
            run(produce, url, bool(attributes), f"{name}/{round_number}/{producer}")
        for _ in range(CONSUMERS):
            run(consume, url)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def check(path):
    noted = {kind: set() for kind in "sSdD"}
    for line in open(path):
        kind, _, name = line.rstrip("\n").partition(" ")
        noted[kind].add(name)
    time.sleep(VISIBILITY_S + 1)
    left = []
    for name in QUEUES:
        sqs = client()
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        empty, last = 0, {}
        while empty < 2:
            received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600).get("Messages", [])
            empty = 0 if received else empty + 1
            left += [one["Body"] for one in received]
            if name.endswith(".fifo"):
                for one in received:
                    group, _, number = one["Body"].rpartition(":")
                    assert last.get(group, "") < number, f"{one['Body']} came after {last[group]}"
                    last[group] = number
                # The next of their groups come when these are done.
                entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(received)]
                if entries:
                    deleted = sqs.delete_message_batch(QueueUrl=url, Entries=entries)
                    assert not deleted.get("Failed"), deleted["Failed"]
        counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        assert counts["Attributes"]["ApproximateNumberOfMessages"] == "0", counts
    assert len(left) == len(set(left)), "a message is there twice"
    left = set(left)
    lost = noted["S"] - noted["d"] - left
    assert not lost, f"{len(lost)} messages were lost, one is {min(lost)}"
    undead = noted["D"] & left
    assert not undead, f"{len(undead)} deleted messages came back, one is {min(undead)}"
    unknown = left - noted["s"]
    assert not unknown, f"{min(unknown)} was never sent"
    print(f"{len(noted['S'])} sent, {len(noted['D'])} deleted, {len(left)} left")


if __name__ == "__main__":
    if sys.argv[1] == "work":
        work(sys.argv[2], sys.argv[3])
    else:
        check(sys.argv[2])
