"""Celery with a queue of SQS for a broker: jobs that are handed out, and the worker that does them.

`celery_jobs.py hand-out NOTES COUNT` queues the jobs 0 to COUNT - 1. `celery_jobs.py work` does jobs until it is killed, and appends the number of each one
that it has done to NOTES, a line each. A job is acknowledged when it is done and not before, so one whose worker was killed comes back.
"""

import os
import sys
import time
from urllib.parse import urlsplit

from celery import Celery

ENDPOINT = urlsplit(os.environ["AWS_ENDPOINT_URL"])
# Well over the time that a job takes, and short enough to wait for.
VISIBILITY_S = 5

app = Celery("jobs", broker=f"sqs://{ENDPOINT.netloc}")
app.conf.update(
    broker_transport_options={
        "region": os.environ["AWS_DEFAULT_REGION"],
        "is_secure": ENDPOINT.scheme == "https",
        "visibility_timeout": VISIBILITY_S,
        "wait_time_seconds": 1,
        "polling_interval": 0.1,
    },
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    task_default_queue="jobs",
    task_ignore_result=True,
    worker_concurrency=2,
    worker_enable_remote_control=False,
    worker_prefetch_multiplier=4,
)


@app.task(name="job")
def job(notes, number):
    time.sleep(0.02)
    with open(notes, "a") as file:
        file.write(f"{number}\n")


def main():
    if sys.argv[1] == "hand-out":
        for number in range(int(sys.argv[3])):
            job.delay(sys.argv[2], number)
    else:
        app.worker_main(["worker", "--pool=threads", "--loglevel=WARNING", "--without-gossip", "--without-mingle"])


if __name__ == "__main__":
    main()
