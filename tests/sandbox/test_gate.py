"""A reset while requests are under way: it waits for them, and lets none in between."""

from __future__ import annotations

import threading
import time

from botocore.exceptions import ClientError

from seedbed.sandbox.gate import Gate


def test_the_gate_waits_for_those_inside():
    gate, order = Gate(), []
    inside, leave = threading.Event(), threading.Event()

    def passes():
        with gate.passing() as is_open:
            assert is_open
            inside.set()
            leave.wait(60)
            order.append("left")

    def closes():
        with gate.closed(10):
            order.append("closed")

    threads = [threading.Thread(target=work) for work in (passes, closes)]
    threads[0].start()
    assert inside.wait(60)
    threads[1].start()
    leave.set()
    for thread in threads:
        thread.join(60)
    assert order == ["left", "closed"]


def test_a_closed_gate_lets_nobody_in_and_opens_again():
    gate = Gate()
    with gate.closed(10), gate.passing() as is_open:
        assert not is_open
    with gate.passing() as is_open:
        assert is_open


def test_the_gate_is_not_patient_for_ever():
    gate = Gate()
    with gate.passing():
        started = time.monotonic()
        with gate.closed(0.05):
            assert time.monotonic() - started < 5


def test_a_reset_amid_requests(sandbox):
    """Moto's state is emptied while others read and write it: no reset may fail for that."""
    stop, odd = threading.Event(), []

    def hammer(number):
        sqs = sandbox.client("sqs")
        while not stop.is_set():
            try:
                sqs.create_queue(QueueName=f"q{number}")
                sandbox.client("s3").list_buckets()
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if status != 503:  # told that the sandbox is being reset
                    odd.append(str(error))

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            sandbox.reset()
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert odd == []
