"""The report: who called what, which statement allowed it, what was granted for nothing."""

from __future__ import annotations

from access import allow, make_role, refused

from seedbed.sandbox.report import text


def test_it_tells_calls_statements_and_idle_grants(sandbox):
    arn = make_role(
        sandbox,
        "build",
        allow(["sqs:ListQueues", "sqs:CreateQueue", "sqs:Delete*"], Sid="Queues"),
        allow("s3:*"),
    )
    sqs = sandbox.client("sqs", role=arn)
    for _ in range(2):
        sqs.list_queues()
    sqs.create_queue(QueueName="q")
    with refused("AccessDenied"):
        sqs.list_dead_letter_source_queues(QueueUrl="http://x/333333333333/q")
    said = sandbox.report()["roles"][arn]
    assert said["calls"]["sqs:ListQueues"] == 2
    assert said["allowed"] == {
        "sqs:CreateQueue": ["build/own#Queues"],
        "sqs:ListQueues": ["build/own#Queues"],
    }
    assert said["denied"] == {
        "sqs:ListDeadLetterSourceQueues on arn:aws:sqs:eu-west-1:333333333333:q": 1
    }
    assert said["unused"] == {"build/own#Queues": ["sqs:Delete*"], "build/own#1": ["s3:*"]}


def test_a_grant_that_another_statement_made_needless_is_idle(sandbox):
    arn = make_role(sandbox, "r", allow("sqs:*"), allow("sqs:ListQueues"))
    sandbox.client("sqs", role=arn).list_queues()
    assert sandbox.report()["roles"][arn]["unused"] == {"r/own#1": ["sqs:ListQueues"]}


def test_refusals_and_exceptions_are_listed(sandbox):
    with refused("NotImplementedInSandbox"):
        sandbox.client("datazone").list_domains()
    said = sandbox.report()
    assert said["refused"] == {"datazone:ListDomains": 1}
    assert "account root" in said["exceptions"]
    printed = text(said)
    assert "refused: datazone:ListDomains (1)" in printed
    assert "exception: account root: " in printed


def test_every_hop_is_in_the_log(sandbox):
    arn = make_role(sandbox, "r", allow("sqs:ListQueues"))
    sandbox.client("sqs", role=arn).list_queues()
    hops = [(one["service"], one["operation"], one["decision"]) for one in sandbox.calls()]
    assert hops[-2:] == [("sts", "AssumeRole", "allowed"), ("sqs", "ListQueues", "allowed")]
