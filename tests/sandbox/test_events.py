"""EventBridge's delivery: what arrives, where, as whom, and what becomes of what does not."""

from __future__ import annotations

import json

import pytest
from access import allow, document, make_role, refused, trusting
from waiting import until

from seedbed.sandbox.services.events import pick, shaped

REGION = "eu-west-1"
PATTERN = json.dumps({"source": ["app"], "detail": {"state": ["done"]}})


def make_queue(sandbox, name, account="dev", *, open_to=("events.amazonaws.com",)):
    sqs = sandbox.client("sqs", account)
    arn = f"arn:aws:sqs:{REGION}:{sandbox.account(account)}:{name}"
    policy = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}
    policy["Principal"] = {"Service": list(open_to)}
    attributes = {"Policy": document(policy)} if open_to else {}
    return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"], arn


def rule(sandbox, name, *targets, account="dev", bus="default", pattern=PATTERN):
    events = sandbox.client("events", account)
    events.put_rule(Name=name, EventPattern=pattern, EventBusName=bus)
    filled = [{"Id": str(number), **one} for number, one in enumerate(targets)]
    return events.put_targets(Rule=name, EventBusName=bus, Targets=filled)


def put(sandbox, account="dev", **more):
    entry = {
        "Source": "app",
        "DetailType": "Change",
        "Detail": json.dumps({"state": "done", "n": 1}),
        "Resources": ["arn:aws:s3:::b"],
        **more,
    }
    return sandbox.client("events", account).put_events(Entries=[entry])


def received(sandbox, url, account="dev"):
    ask = sandbox.client("sqs", account).receive_message
    return until(lambda: ask(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages"))[0]


def test_a_queue_gets_the_whole_event(sandbox):
    url, arn = make_queue(sandbox, "q")
    rule(sandbox, "r", {"Arn": arn})
    event_id = put(sandbox)["Entries"][0]["EventId"]
    got = json.loads(received(sandbox, url)["Body"])
    assert got.pop("time").endswith("Z")
    assert got == {
        "version": "0",
        "id": event_id,
        "source": "app",
        "detail-type": "Change",
        "account": sandbox.account("dev"),
        "region": REGION,
        "resources": ["arn:aws:s3:::b"],
        "detail": {"state": "done", "n": 1},
    }


def test_another_bus_keeps_account_and_resources(sandbox):
    url, arn = make_queue(sandbox, "q", "hub")
    hub = sandbox.client("events", "hub")
    bus = hub.create_event_bus(Name="central")["EventBusArn"]
    statement = {
        "Sid": "Organisation",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "events:PutEvents",
        "Resource": bus,
        "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-seedbed0001"}},
    }
    hub.put_permission(EventBusName="central", Policy=document(statement))
    rule(sandbox, "in", {"Arn": arn}, account="hub", bus="central")
    sender = make_role(
        sandbox,
        "sender",
        allow("events:PutEvents", bus),
        trust=trusting({"Service": "events.amazonaws.com"}),
    )
    rule(sandbox, "out", {"Arn": bus, "RoleArn": sender})
    event_id = put(sandbox)["Entries"][0]["EventId"]
    got = json.loads(received(sandbox, url, "hub")["Body"])
    assert got["id"] == event_id
    assert got["account"] == sandbox.account("dev")
    assert got["resources"] == ["arn:aws:s3:::b"]


def test_a_denied_target_goes_to_its_dead_letter_queue(sandbox):
    _, closed = make_queue(sandbox, "closed", open_to=())
    dead, dead_arn = make_queue(sandbox, "dead")
    rule(sandbox, "r", {"Arn": closed, "DeadLetterConfig": {"Arn": dead_arn}})
    put(sandbox)
    message = received(sandbox, dead)
    said = {key: one["StringValue"] for key, one in message["MessageAttributes"].items()}
    assert said["ERROR_CODE"] == "AccessDenied"
    assert said["RULE_ARN"].endswith(":rule/r")
    assert said["TARGET_ARN"] == closed
    assert json.loads(message["Body"])["source"] == "app"
    tries = [one for one in sandbox.calls(operation="SendMessage") if one["decision"] == "denied"]
    assert len(tries) == 1


def test_a_throttled_target_is_tried_again(sandbox):
    url, arn = make_queue(sandbox, "q")
    rule(sandbox, "r", {"Arn": arn, "RetryPolicy": {"MaximumRetryAttempts": 2}})
    strike = {"match": "sqs:SendMessage", "kind": "fail", "code": "Busy", "status": 400, "times": 2}
    sandbox.chaos(strike)
    put(sandbox)
    assert received(sandbox, url)


def test_no_retry_means_no_retry(sandbox):
    _, arn = make_queue(sandbox, "q")
    dead, dead_arn = make_queue(sandbox, "dead")
    never = {"MaximumRetryAttempts": 0}
    rule(sandbox, "r", {"Arn": arn, "RetryPolicy": never, "DeadLetterConfig": {"Arn": dead_arn}})
    strike = {"match": "sqs:SendMessage", "kind": "fail", "code": "Busy", "status": 400, "at": [1]}
    sandbox.chaos(strike)
    put(sandbox)
    said = received(sandbox, dead)["MessageAttributes"]["ERROR_CODE"]["StringValue"]
    assert said == "Busy"


def test_a_log_group_gets_the_event(sandbox):
    logs = sandbox.client("logs")
    logs.create_log_group(logGroupName="/aws/events/x")
    sender = make_role(
        sandbox, "logger", allow("logs:*"), trust=trusting({"Service": "events.amazonaws.com"})
    )
    arn = f"arn:aws:logs:{REGION}:{sandbox.account('dev')}:log-group:/aws/events/x"
    rule(sandbox, "r", {"Arn": arn, "RoleArn": sender})
    put(sandbox)
    (found,) = until(lambda: logs.filter_log_events(logGroupName="/aws/events/x")["events"])
    assert json.loads(found["message"])["detail"]["n"] == 1


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:kinesis:eu-west-1:333333333333:stream/s",
        "arn:aws:ecs:eu-west-1:333333333333:cluster/c",
        "arn:aws:states:eu-west-1:333333333333:stateMachine:m",
    ],
)
def test_a_target_that_is_not_emulated_is_refused(sandbox, arn):
    with refused("NotImplementedInSandbox", arn):
        rule(sandbox, "r", {"Arn": arn, "RoleArn": "arn:aws:iam::333333333333:role/r"})


def test_a_pipeline_target_needs_its_role(sandbox):
    with refused("ValidationException", "RoleArn"):
        rule(sandbox, "r", {"Arn": "arn:aws:codepipeline:eu-west-1:333333333333:p"})


def test_a_foreign_bus_takes_no_input_transformer(sandbox):
    target = {
        "Arn": f"arn:aws:events:{REGION}:{sandbox.account('hub')}:event-bus/b",
        "InputTransformer": {"InputTemplate": '"x"'},
    }
    with refused("ValidationException", "InputTransformer"):
        rule(sandbox, "r", target)


def test_a_role_cannot_speak_as_aws(sandbox):
    arn = make_role(sandbox, "r", allow("events:PutEvents"))
    entry = {"Source": "aws.sagemaker", "DetailType": "x", "Detail": "{}"}
    said = sandbox.client("events", role=arn).put_events(Entries=[entry])
    assert said["FailedEntryCount"] == 1
    assert said["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"


@pytest.mark.parametrize(
    ("entry", "code"), [({"Detail": "{"}, "MalformedDetail"), ({"Detail": ""}, "InvalidArgument")]
)
def test_a_bad_entry_is_told(sandbox, entry, code):
    assert put(sandbox, **entry)["Entries"][0]["ErrorCode"] == code


def test_an_unknown_bus_is_told(sandbox):
    with refused("ResourceNotFoundException", "nowhere"):
        put(sandbox, EventBusName="nowhere")


class Made:
    arn, name = "arn:r", "r"


EVENT = {"time": "T", "detail": {"name": 'a"b', "items": [{"k": 7}]}}


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ({"Input": '{"a": 1}'}, '{"a": 1}'),
        ({"InputPath": "$.detail.items[0]"}, '{"k": 7}'),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"n": "$.detail.name", "k": "$.detail.items[0].k"},
                    "InputTemplate": '{"text": "<n> is <k>", "k": <k>, "n": <n>, "x": "<none>"}',
                }
            },
            '{"text": "a\\"b is 7", "k": 7, "n": "a\\"b", "x": ""}',
        ),
        (
            {"InputTransformer": {"InputTemplate": '"<aws.events.rule-name>"'}},
            '"r"',
        ),
    ],
)
def test_input_is_shaped(target, body):
    said = shaped(EVENT, Made, target)
    assert json.loads(said) == json.loads(body)


def test_absent_paths_pick_nothing():
    assert pick(EVENT, "$.detail.items[3].k") is None
    assert pick(EVENT, "$.nothing.there") is None
