"""Custom resources, with a function of the test's own behind lambda:Invoke, and nested stacks."""

from __future__ import annotations

import io
import json
import threading
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError
from cfn_stacks import (
    BROKEN,
    body,
    create,
    delete,
    history,
    one,
    outputs,
    physical,
    reason,
    settle,
    update,
)

from seedbed.sandbox.cloudformation.customresource import Callbacks, as_text
from seedbed.sandbox.handle import Sandbox
from seedbed.sandbox.server import Server
from seedbed.sandbox.service import Service
from seedbed.sandbox.world import World

FUNCTION = "arn:aws:lambda:eu-west-1:333333333333:function:f"
CUSTOM = "Custom::Thing"
QUEUE = "AWS::SQS::Queue"
LATE = {**BROKEN, "DependsOn": "Thing"}


class Function(Service):
    """A function behind lambda:Invoke; `behave` is what it does with an event."""

    name = "lambda"

    def __init__(self, world):
        super().__init__(world)
        self.events = []
        self.behave = succeed

    def invoke(self, _, **asked):
        assert asked["FunctionName"] == FUNCTION
        event = json.loads(asked["Payload"])
        self.events.append(event)
        failed = self.behave(event)
        if failed:
            return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": failed.encode()}
        return {"StatusCode": 200, "Payload": io.BytesIO(b"null").read()}

    def asked(self):
        """Return what was asked for so far: request type and physical id."""
        return [(one["RequestType"], one.get("PhysicalResourceId")) for one in self.events]


def put(event, **said):
    """Answer as any function does; return the HTTP status."""
    answer = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    answer |= {"Status": "SUCCESS", "PhysicalResourceId": "id-1", **said}
    return send(event["ResponseURL"], json.dumps(answer).encode())


def send(url, data):
    headers = {"content-type": ""}
    request = urllib.request.Request(url, data=data, method="PUT", headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 (our own endpoint)
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def succeed(event):
    put(event, PhysicalResourceId=event.get("PhysicalResourceId", "id-1"), Data={"Url": "u"})


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("world"))
    server = Server(world).start()
    yield server
    server.stop()


@pytest.fixture
def local(server):
    server.front.reset()
    world = server.world
    return Sandbox(world.endpoint, world.folder, world.organisation)


@pytest.fixture
def function(server, local):  # noqa: ARG001 (the reset comes first)
    fake = Function(server.world)
    server.front.services._made["lambda"] = fake
    return fake


@pytest.fixture
def cf(local):
    return local.client("cloudformation")


def custom(**properties):
    return one(CUSTOM, {"ServiceToken": FUNCTION, **properties})


def test_a_custom_resources_life(cf, function):
    said = {"Url": {"Value": {"Fn::GetAtt": ["Thing", "Url"]}}, "Id": {"Value": {"Ref": "Thing"}}}
    stack = create(cf, "s", custom(Count=1, On=True, List=["a", 2]), Outputs=said)
    assert outputs(stack) == {"Url": "u", "Id": "id-1"}
    event = function.events[0]
    assert event["ResourceProperties"] == {
        "ServiceToken": FUNCTION,
        "Count": "1",
        "On": "true",
        "List": ["a", "2"],
    }
    assert event["ResourceType"] == CUSTOM
    assert event["StackId"] == stack["StackId"]
    with pytest.raises(ClientError, match="No updates"):
        update(cf, "s", custom(Count=1, On=True, List=["a", 2]), Outputs=said)
    update(cf, "s", custom(Count=2), Outputs=said)
    event = function.events[1]
    assert event["OldResourceProperties"]["Count"] == "1"
    assert event["ResourceProperties"]["Count"] == "2"
    delete(cf, "s")
    assert function.asked() == [("Create", None), ("Update", "id-1"), ("Delete", "id-1")]


def test_a_new_physical_id_deletes_the_old_one_in_the_cleanup(cf, function):
    create(cf, "s", custom(Count=1))
    function.behave = lambda event: put(event, PhysicalResourceId="id-2") and None
    assert update(cf, "s", custom(Count=2))["StackStatus"] == "UPDATE_COMPLETE"
    assert function.asked()[1:] == [("Update", "id-1"), ("Delete", "id-1")]
    statuses = [status for _, status, _ in history(cf, "s")]
    cleanup = statuses.index("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    assert statuses.index("DELETE_IN_PROGRESS") > cleanup
    assert physical(cf, "s") == "id-2"
    delete(cf, "s")
    assert function.asked()[-1] == ("Delete", "id-2")


def test_a_failed_update_is_taken_back_with_the_old_properties(cf, function):
    create(cf, "s", custom(Count=1))
    stack = update(cf, "s", {**custom(Count=2), "Broken": LATE})
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert function.asked()[1:] == [("Update", "id-1"), ("Update", "id-1")]
    assert function.events[-1]["ResourceProperties"]["Count"] == "1"
    assert function.events[-1]["OldResourceProperties"]["Count"] == "2"


def test_what_was_updated_last_is_taken_back_first(cf, function):
    def resources(count):
        second = {**custom(Count=count)["Thing"], "DependsOn": "Thing"}
        return {**custom(Count=count), "Second": second}

    create(cf, "s", resources(1))
    function.events.clear()
    broken = {**BROKEN, "DependsOn": "Second"}
    update(cf, "s", {**resources(2), "Broken": broken})
    order = [event["LogicalResourceId"] for event in function.events]
    assert order == ["Thing", "Second", "Second", "Thing"]


def test_a_taken_back_update_removes_what_the_update_made_anew(cf, function):
    create(cf, "s", custom(Count=1))

    def anew(event):
        count = event["ResourceProperties"]["Count"]
        put(event, PhysicalResourceId=f"id-{count}")

    function.behave = anew
    update(cf, "s", {**custom(Count=2), "Broken": LATE})
    assert function.asked()[1:] == [("Update", "id-1"), ("Update", "id-2"), ("Delete", "id-2")]
    assert physical(cf, "s") == "id-1"


def test_an_update_that_the_function_fails_is_taken_back_too(cf, function):
    create(cf, "s", custom(Count=1))

    def behave(event):
        failed = event["ResourceProperties"]["Count"] == "2"
        put(event, Status="FAILED" if failed else "SUCCESS", Reason="no two")

    function.behave = behave
    assert update(cf, "s", custom(Count=2))["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "no two" in reason(cf, "s")
    assert function.asked()[1:] == [("Update", "id-1"), ("Update", "id-1")]


def test_an_update_that_failed_and_was_kept_is_tried_again(cf, function):
    create(cf, "s", custom(Count=1))
    function.behave = failing("not yet")
    stack = update(cf, "s", custom(Count=2), DisableRollback=True)
    assert stack["StackStatus"] == "UPDATE_FAILED"
    function.behave = succeed
    assert update(cf, "s", custom(Count=2))["StackStatus"] == "UPDATE_COMPLETE"
    assert [verb for verb, _ in function.asked()] == ["Create", "Update", "Update"]


def failing(reason):
    return lambda event: put(event, Status="FAILED", Reason=reason) and None


def test_a_failed_creation_is_deleted_by_the_id_that_it_told(cf, function):
    def behave(event):
        failed = event["RequestType"] == "Create"
        put(event, Status="FAILED" if failed else "SUCCESS", Reason="boom")

    function.behave = behave
    assert create(cf, "s", custom())["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "boom" in reason(cf, "s")
    assert function.asked() == [("Create", None), ("Delete", "id-1")]


def test_a_rollback_of_others_deletes_the_custom_resource(cf, function):
    assert create(cf, "s", {**custom(), "Broken": LATE})["StackStatus"] == "ROLLBACK_COMPLETE"
    assert function.asked() == [("Create", None), ("Delete", "id-1")]


def test_a_deletion_that_the_function_refuses_fails_the_stack(cf, function):
    create(cf, "s", custom())
    function.behave = failing("not mine")
    assert delete(cf, "s")["StackStatus"] == "DELETE_FAILED"
    function.behave = succeed
    assert delete(cf, "s")["StackStatus"] == "DELETE_COMPLETE"


def test_a_function_that_raises_fails_at_once_and_is_asked_to_delete(cf, function):
    def behave(event):
        if event["RequestType"] == "Create":
            return '{"errorMessage": "KeyError"}'
        return succeed(event)

    function.behave = behave
    assert create(cf, "s", custom())["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "KeyError" in reason(cf, "s")
    assert [verb for verb, _ in function.asked()] == ["Create", "Delete"]
    assert function.asked()[1][1].startswith("s-Thing-")


def test_a_silent_function_runs_into_its_service_timeout(cf, function, server):
    invoked = threading.Event()
    function.behave = lambda _: invoked.set()
    cf.create_stack(
        StackName="s", TemplateBody=body(custom(ServiceTimeout=60)), OnFailure="DO_NOTHING"
    )
    assert invoked.wait(60)
    assert cf.list_stacks()["StackSummaries"][0]["StackStatus"] == "CREATE_IN_PROGRESS"
    server.world.advance(61)
    assert settle(cf, "s")["StackStatus"] == "CREATE_FAILED"
    assert "did not receive a response from your Custom Resource within 60 s" in reason(cf, "s")


def test_the_answer_may_come_later_from_somebody_else(cf, function):
    asked = threading.Event()
    function.behave = lambda _: asked.set()  # as one that starts a build and returns
    cf.create_stack(StackName="s", TemplateBody=body(custom()))
    assert asked.wait(60)
    event = function.events[0]
    assert put(event, PhysicalResourceId="owner/repository") == 200
    assert settle(cf, "s")["StackStatus"] == "CREATE_COMPLETE"
    assert physical(cf, "s") == "owner/repository"
    assert put(event) == 403  # the address is spent
    function.behave = succeed
    delete(cf, "s")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"PhysicalResourceId": None}, "Invalid PhysicalResourceId"),
        ({"RequestId": "other"}, "RequestId must match"),
        ({"Status": "GREAT"}, "must be SUCCESS or FAILED"),
        ({"Data": ["a"]}, "Data must be an object"),
        ({"Data": {"a": "x" * 5000}}, "too long"),
    ],
)
def test_answers_that_cloudformation_would_not_take(cf, function, said, words):
    function.behave = lambda event: (
        put(event, **(said if event["RequestType"] == "Create" else {})) and None
    )
    assert create(cf, "s", custom())["StackStatus"] == "ROLLBACK_COMPLETE"
    assert words in reason(cf, "s")


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("arn:aws:sns:eu-west-1:333333333333:t", "an SNS topic is not emulated"),
        (FUNCTION.replace("eu-west-1", "us-east-1"), "a function of another region"),
        ("f", "is no function's ARN"),
    ],
)
def test_service_tokens_that_are_refused(cf, function, token, words):
    assert create(cf, "s", custom(ServiceToken=token))["StackStatus"] == "ROLLBACK_COMPLETE"
    assert words in reason(cf, "s")
    assert function.events == []


def test_references_reach_the_function_at_its_deletion_too(cf, local, function):
    """The record keeps the reference, so that it has to be read again."""
    ssm = local.client("ssm")
    for name, value in (("/token", FUNCTION), ("/colour", "red")):
        ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    said = {"ServiceToken": "{{resolve:ssm:/token}}", "Colour": "{{resolve:ssm:/colour}}"}
    create(cf, "s", one(CUSTOM, said))
    assert delete(cf, "s")["StackStatus"] == "DELETE_COMPLETE"
    assert [one["ResourceProperties"]["Colour"] for one in function.events] == ["red", "red"]


@pytest.mark.usefixtures("function")
def test_the_service_token_cannot_change(cf):
    create(cf, "s", custom())
    other = one(CUSTOM, {"ServiceToken": FUNCTION + "2"})
    assert update(cf, "s", other)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "Modifying service token is not allowed" in str(history(cf, "s"))


@pytest.mark.usefixtures("function")
def test_an_attribute_that_the_function_did_not_tell_is_named(cf):
    said = {"A": {"Value": {"Fn::GetAtt": ["Thing", "Absent"]}}}
    assert create(cf, "s", custom(), Outputs=said)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "Thing (Custom::Thing): attribute Absent" in str(history(cf, "s"))


def test_unknown_addresses_and_other_methods_are_refused(local):
    assert send(f"{local.endpoint}/_cfn/unknown", b"{}") == 403
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(f"{local.endpoint}/_cfn/unknown")  # noqa: S310
    assert Callbacks().put("unknown", b"") == 403


def test_an_address_takes_one_answer():
    callbacks = Callbacks()
    pending = callbacks.open("t", {"StackId": "s", "RequestId": "r", "LogicalResourceId": "l"})
    assert [callbacks.put("t", b"{}"), callbacks.put("t", b"{}")] == [200, 403]
    assert pending.answer["Status"] == "FAILED"


def test_scalars_reach_the_function_as_text():
    assert as_text({"a": [1, True, None, {"b": 1.5}]}) == {"a": ["1", "true", "None", {"b": "1.5"}]}


# Nested stacks


CHILD = body(
    one(QUEUE, {"QueueName": {"Ref": "Name"}, "DelaySeconds": {"Ref": "Delay"}}),
    Parameters={
        "Name": {"Type": "String"},
        "Delay": {"Type": "Number", "Default": "0", "MaxValue": 900},
    },
    Outputs={"Arn": {"Value": {"Fn::GetAtt": ["Thing", "Arn"]}}},
)
URL = "https://templates.s3.eu-west-1.amazonaws.com/child.json"


@pytest.fixture
def upload(local):
    s3 = local.client("s3")
    s3.create_bucket(
        Bucket="templates", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )

    def put_template(text):
        s3.put_object(Bucket="templates", Key="child.json", Body=text.encode())

    put_template(CHILD)
    return put_template


def parent(**given):
    return one("AWS::CloudFormation::Stack", {"TemplateURL": URL, "Parameters": given})


OUT = {"Arn": {"Value": {"Fn::GetAtt": ["Thing", "Outputs.Arn"]}}}


def delay(local):
    sqs = local.client("sqs")
    url = sqs.get_queue_url(QueueName="q")["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds"])
    return found["Attributes"]["DelaySeconds"]


def test_a_nested_stacks_life(cf, local, upload):
    stack = create(cf, "s", parent(Name="q"), tags={"team": "ml"}, Outputs=OUT)
    assert outputs(stack)["Arn"].endswith(":q")
    child = cf.describe_stacks(StackName=physical(cf, "s"))["Stacks"][0]
    assert child["StackName"].startswith("s-Thing-")
    assert (child["ParentId"], child["RootId"]) == (stack["StackId"], stack["StackId"])
    assert child["Tags"] == [{"Key": "team", "Value": "ml"}]
    assert update(cf, "s", parent(Name="q", Delay="5"), Outputs=OUT)
    assert delay(local) == "5"
    # The same address, another template: a parent's update looks again.
    upload(CHILD.replace('"Default": "0"', '"Default": "7"'))
    assert update(cf, "s", parent(Name="q"), Outputs=OUT)["StackStatus"] == "UPDATE_COMPLETE"
    assert delay(local) == "7"
    with pytest.raises(ClientError, match="nested stack"):
        cf.update_termination_protection(
            StackName=child["StackId"], EnableTerminationProtection=True
        )
    delete(cf, "s")
    assert cf.describe_stacks()["Stacks"] == []
    assert "QueueUrls" not in local.client("sqs").list_queues()


def test_a_nested_stack_that_fails_fails_its_parent_and_nothing_stays(cf, local, upload):
    stack = create(cf, "s", {**parent(Name="q", Delay="901"), "Q": {"Type": QUEUE}})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "Delay" in reason(cf, "s")
    upload(body({**one(QUEUE), "Broken": LATE}))
    stack = create(cf, "t", one("AWS::CloudFormation::Stack", {"TemplateURL": URL}))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "was not successfully created" in reason(cf, "t")
    assert "QueueUrls" not in local.client("sqs").list_queues()
    states = {one["StackName"]: one["StackStatus"] for one in cf.describe_stacks()["Stacks"]}
    assert states == {"s": "ROLLBACK_COMPLETE", "t": "ROLLBACK_COMPLETE"}


def test_a_parents_rollback_takes_its_nested_stacks_back(cf, local, upload):
    create(cf, "s", parent(Name="q", Delay="1"), Outputs=OUT)
    upload(CHILD.replace('"Default": "0"', '"Default": "3"'))
    stack = update(cf, "s", {**parent(Name="q", Delay="2"), "Broken": LATE}, Outputs=OUT)
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert delay(local) == "1"
    child = cf.get_template(StackName=physical(cf, "s"))["TemplateBody"]
    assert child["Parameters"]["Delay"]["Default"] == "0"
    delete(cf, "s")
    assert cf.describe_stacks()["Stacks"] == []


def test_a_nested_stack_demands_its_parents_capabilities(cf, upload):
    role = {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}}
    upload(body(one("AWS::IAM::Role", role)))
    text = body(one("AWS::CloudFormation::Stack", {"TemplateURL": URL}))
    cf.create_stack(StackName="s", TemplateBody=text)
    assert settle(cf, "s")["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "Requires capabilities" in reason(cf, "s") or "E3" in reason(cf, "s")
