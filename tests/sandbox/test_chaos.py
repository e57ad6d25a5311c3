"""Chaos: each kind does what it says, at the calls that it says, the same in every run."""

from __future__ import annotations

import threading

import boto3
import pytest
from access import make_role, refused
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError
from waiting import until

from seedbed.errors import SeedbedError
from seedbed.sandbox.chaos import KINDS, Chaos
from seedbed.sandbox.handle import Sandbox
from seedbed.sandbox.identity import Principal
from seedbed.sandbox.server import Server
from seedbed.sandbox.world import World

ANN = Principal("333333333333", "arn:aws:iam::333333333333:role/ann", "role", session_name="s")


@pytest.fixture
def sqs(sandbox):
    """A client that does not retry, so that a test sees what the wire says."""
    once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
    return boto3.client(
        "sqs",
        endpoint_url=sandbox.endpoint,
        region_name="eu-west-1",
        config=once,
        **sandbox.credentials("dev"),
    )


def queues(sandbox):
    return len(sandbox.client("sqs").list_queues().get("QueueUrls", []))


def test_throttle_is_retried_by_boto3_and_nothing_was_done(sandbox, sqs):
    sandbox.chaos({"match": "sqs:CreateQueue", "kind": "throttle", "times": 1})
    with refused("ThrottlingException", "chaos"):
        sqs.create_queue(QueueName="q")
    assert queues(sandbox) == 0
    sandbox.chaos({"match": "sqs:CreateQueue", "kind": "throttle", "times": 1})
    made = sandbox.client("sqs").create_queue(QueueName="q")
    assert made["ResponseMetadata"]["RetryAttempts"] == 1


def test_fail_leaves_nothing(sandbox, sqs):
    sandbox.chaos({"match": "sqs:Create*", "kind": "fail", "code": "Broken", "status": 400})
    with refused("Broken"):
        sqs.create_queue(QueueName="q")
    assert queues(sandbox) == 0


def test_timeout_ends_the_connection(sandbox, sqs):
    sandbox.chaos({"match": "sqs:CreateQueue", "kind": "timeout"})
    with pytest.raises(ConnectionClosedError):
        sqs.create_queue(QueueName="q")
    assert queues(sandbox) == 0
    assert sandbox.calls(operation="CreateQueue")[0]["error"] == "ConnectionClosed"


def test_a_timeout_leaves_no_connection_behind(tmp_path):
    server = Server(World(tmp_path / "w")).start()
    try:
        sandbox = Sandbox(server.world.endpoint, server.world.folder, server.world.organisation)
        sandbox.chaos({"match": "sqs:*", "kind": "timeout"})
        sqs = sandbox.client("sqs")
        before = set(threading.enumerate())
        with pytest.raises(ConnectionClosedError):
            sqs.list_queues()
        tries = sandbox.calls(operation="ListQueues")
        assert len(tries) > 1, "boto3 has tried again"

        def left():
            now = {one for one in threading.enumerate() if "process_request" in one.name}
            return now - before

        # The connection of `sandbox.calls` has been answered, and may stay.
        until(left, lambda some: len(some) <= 1)
    finally:
        server.stop()


def test_after_takes_effect_and_fails(sandbox, sqs):
    sandbox.chaos({"match": "sqs:CreateQueue", "kind": "after"})
    with refused("InternalServerException"):
        sqs.create_queue(QueueName="q")
    assert queues(sandbox) == 1


def test_twice_runs_twice_and_answers_once(sandbox, sqs):
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    sandbox.chaos({"match": "sqs:SendMessage", "kind": "twice"})
    sqs.send_message(QueueUrl=url, MessageBody="x")
    count = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])[
        "Attributes"
    ]["ApproximateNumberOfMessages"]
    assert count == "2"


def test_it_strikes_the_nth_call_of_one_role(sandbox):
    arn = make_role(sandbox, "ann", {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"})
    sandbox.chaos({"match": "sqs:*", "kind": "fail", "at": [2], "role": "ann", "status": 400})
    admin, ann = sandbox.client("sqs"), sandbox.client("sqs", role=arn)
    for _ in range(3):
        admin.list_queues()
    ann.list_queues()
    with refused("InternalServerException"):
        ann.list_queues()
    ann.list_queues()
    struck = [call["chaos"] for call in sandbox.calls(service="sqs", principal=arn)]
    assert struck == [None, "fail", None]


def test_the_seed_decides():
    def strikes(seed):
        rules = [{"match": "s3:*", "kind": "fail", "rate": 0.3}]
        chaos = Chaos.parse(seed, rules)
        return [chaos.strike("s3:GetObject", ANN) is not None for _ in range(200)]

    assert strikes(1) == strikes(1)
    assert strikes(1) != strikes(2)
    assert 30 < sum(strikes(1)) < 90


def test_reset_calms(sandbox):
    sandbox.chaos({"match": "*:*", "kind": "fail", "status": 400})
    sandbox.reset()
    sandbox.client("sqs").list_queues()


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ({"match": "s3", "kind": "fail"}, "service:Operation"),
        ({"match": "s3:*", "kind": "melt"}, KINDS[0]),
        ({"match": "s3:*", "kind": "fail", "when": 1}, "when"),
    ],
)
def test_a_wrong_rule_is_told(sandbox, rule, word):
    with pytest.raises(SeedbedError, match=word):
        sandbox.chaos(rule)


SLIPS = {
    "operation": ({"match": "s3:PutObjct"}, "PutObjct"),
    "service": ({"match": "sss:PutObject"}, "sss"),
    "no API call": ({"match": "codecommit:GitPull"}, "GitPull"),
    "account": ({"match": "s3:*", "account": "devv"}, "devv"),
    "rate": ({"match": "s3:*", "rate": 2}, "rate"),
    "at": ({"match": "s3:*", "at": 1}, "at"),
    "times": ({"match": "s3:*", "times": "2"}, "times"),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_rule_that_could_never_strike_is_refused(sandbox, name):
    rule, word = SLIPS[name]
    with pytest.raises(SeedbedError, match=word):
        sandbox.chaos({"kind": "fail", **rule})
    assert sandbox.struck() == []


def test_an_account_is_given_by_name_too(sandbox, sqs):
    sandbox.chaos({"match": "sqs:ListQueues", "kind": "fail", "account": "test"})
    sqs.list_queues()
    sandbox.chaos({"match": "sqs:ListQueues", "kind": "fail", "account": "dev"})
    with refused("InternalServerException"):
        sqs.list_queues()
    (rule,) = sandbox.struck()
    assert (rule["seen"], rule["struck"]) == (1, 1)
