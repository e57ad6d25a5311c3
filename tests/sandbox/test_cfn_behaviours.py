"""Each behaviour of CloudFormation through a stack's life: create, update, both rollbacks, delete.

A behaviour decides the delay of a queue. What the stack made is read back after each step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError
from cfn_stacks import BROKEN, QUEUE, attribute, body, create, delete, history, queues, update

LATE = {**BROKEN, "DependsOn": "Thing"}


def queue(delay, **more):
    return {"Type": QUEUE, "Properties": {"QueueName": "q", "DelaySeconds": delay}, **more}


def plain(delay):
    return {"Thing": queue(delay)}


@dataclass
class Behaviour:
    """How a stack says which delay it wants."""

    resources: Callable[[int], dict[str, Any]] = plain
    sections: Callable[[int], dict[str, Any]] = lambda _: {}
    given: Callable[[int], dict[str, str]] = lambda _: {}
    prepare: Callable[[Any, int], None] = lambda *_: None
    queues: tuple[str, ...] = ("q",)
    kept: tuple[str, ...] = ()  # what deleting the stack leaves
    # Attributes of the queue that cannot be made.
    bad: dict[str, Any] = field(default_factory=lambda: LATE)


def store(sandbox, delay):
    sandbox.client("ssm").put_parameter(
        Name=f"/delay/{delay}", Value=str(delay), Type="String", Overwrite=True
    )


def upload(sandbox, delay):
    s3 = sandbox.client("s3")
    if not s3.list_buckets()["Buckets"]:
        place = {"LocationConstraint": "eu-west-1"}
        s3.create_bucket(Bucket="templates", CreateBucketConfiguration=place)
    s3.put_object(Bucket="templates", Key=f"{delay}.json", Body=body(plain(delay)).encode())


def nested(delay):
    url = f"https://templates.s3.eu-west-1.amazonaws.com/{delay}.json"
    return {"Thing": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}}


def looped(delay):
    said = {"Thing${Name}": queue(delay)}
    said["Thing${Name}"]["Properties"]["QueueName"] = {"Fn::Sub": "q${Name}"}
    return {"Fn::ForEach::Queues": ["Name", ["A", "B"], said]}


NUMBER = {"Parameters": {"Delay": {"Type": "Number", "MinValue": 0, "MaxValue": 900}}}
SHORT = {"Fn::Equals": [{"Ref": "Delay"}, "5"]}
BEHAVIOURS = {
    "literal": Behaviour(),
    "parameter": Behaviour(
        lambda _: plain({"Ref": "Delay"}), lambda _: NUMBER, lambda n: {"Delay": str(n)}
    ),
    "rule": Behaviour(
        lambda _: plain({"Ref": "Delay"}),
        lambda _: {
            **NUMBER,
            "Rules": {
                "Odd": {
                    "Assertions": [
                        {"Assert": {"Fn::Contains": [["5", "7", "9"], {"Ref": "Delay"}]}}
                    ]
                }
            },
        },
        lambda n: {"Delay": str(n)},
    ),
    "condition": Behaviour(
        lambda n: plain({"Fn::If": ["IsShort", 5, n]}),
        lambda _: {**NUMBER, "Conditions": {"IsShort": SHORT}},
        lambda n: {"Delay": str(n)},
    ),
    "functions": Behaviour(
        lambda n: plain(
            {"Fn::Select": [1, {"Fn::Split": ["-", {"Fn::Join": ["-", ["a", str(n)]]}]}]}
        ),
    ),
    "mapping": Behaviour(
        lambda _: plain({"Fn::FindInMap": ["Delays", {"Ref": "AWS::Region"}, "Delay"]}),
        lambda n: {"Mappings": {"Delays": {"eu-west-1": {"Delay": str(n)}}}},
    ),
    "language extensions": Behaviour(
        looped, lambda _: {"Transform": "AWS::LanguageExtensions"}, queues=("qA", "qB"),
        bad={**BROKEN, "DependsOn": ["ThingA", "ThingB"]},
    ),
    "dynamic reference": Behaviour(
        lambda n: plain(f"{{{{resolve:ssm:/delay/{n}}}}}"), prepare=store
    ),
    "nested stack": Behaviour(nested, prepare=upload),
    "retained": Behaviour(
        lambda n: {"Thing": queue(n, DeletionPolicy="RetainExceptOnCreate")}, kept=("q",)
    ),
}  # fmt: skip
LIFE = pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)


def carried_out(cf, sandbox, step, behaviour, delay, *, bad=None):
    behaviour.prepare(sandbox, delay)
    resources = behaviour.resources(delay) | ({"Bad": bad} if bad else {})
    said = behaviour.sections(delay)
    stack = step(cf, "s", resources, behaviour.given(delay), **said)
    return stack["StackStatus"]


def delays(sqs):
    return {
        name: attribute(sqs, sqs.get_queue_url(QueueName=name)["QueueUrl"], "DelaySeconds")
        for name in queues(sqs)
    }


@LIFE
def test_a_life(cf, sandbox, sqs, behaviour):
    def stand(delay):
        return dict.fromkeys(behaviour.queues, str(delay))

    assert carried_out(cf, sandbox, create, behaviour, 5) == "CREATE_COMPLETE", history(cf, "s")
    assert delays(sqs) == stand(5)
    assert carried_out(cf, sandbox, update, behaviour, 7) == "UPDATE_COMPLETE", history(cf, "s")
    assert delays(sqs) == stand(7)
    failed = carried_out(cf, sandbox, update, behaviour, 9, bad=behaviour.bad)
    assert failed == "UPDATE_ROLLBACK_COMPLETE", history(cf, "s")
    assert delays(sqs) == stand(7)
    assert delete(cf, "s")["StackStatus"] == "DELETE_COMPLETE"
    assert set(queues(sqs)) == set(behaviour.kept)
    assert cf.describe_stacks()["Stacks"] == []


@LIFE
def test_a_failed_birth(cf, sandbox, sqs, behaviour):
    failed = carried_out(cf, sandbox, create, behaviour, 5, bad=behaviour.bad)
    assert failed == "ROLLBACK_COMPLETE", history(cf, "s")
    made = [name for name, status, _ in history(cf, "s") if status == "CREATE_COMPLETE"]
    assert made, "the failure came after something was made"
    assert queues(sqs) == []


@pytest.mark.parametrize("name", ["parameter", "rule"])
def test_a_value_out_of_bounds_is_refused_and_the_stack_stays(cf, sandbox, sqs, name):
    behaviour = BEHAVIOURS[name]
    with pytest.raises(ClientError):
        carried_out(cf, sandbox, create, behaviour, 901)
    assert cf.describe_stacks()["Stacks"] == []
    carried_out(cf, sandbox, create, behaviour, 5)
    with pytest.raises(ClientError):
        carried_out(cf, sandbox, update, behaviour, 901)
    assert delays(sqs) == {"q": "5"}
    assert cf.describe_stacks()["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"


def test_a_condition_that_turns_takes_its_resource_along_and_back(cf, sqs):
    def resources(bad=None):
        extra = {"Type": QUEUE, "Condition": "HasExtra", "Properties": {"QueueName": "extra"}}
        return plain(5) | {"Extra": extra} | ({"Bad": bad} if bad else {})

    asked = {"Parameters": {"Wanted": {"Type": "String"}}}
    asked["Conditions"] = {"HasExtra": {"Fn::Equals": [{"Ref": "Wanted"}, "yes"]}}
    create(cf, "s", resources(), {"Wanted": "no"}, **asked)
    assert queues(sqs) == ["q"]
    update(cf, "s", resources(), {"Wanted": "yes"}, **asked)
    assert queues(sqs) == ["extra", "q"]
    stack = update(cf, "s", resources(LATE), {"Wanted": "no"}, **asked)
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert queues(sqs) == ["extra", "q"], "it was to go in the cleanup, which never came"
    update(cf, "s", resources(), {"Wanted": "no"}, **asked)
    assert queues(sqs) == ["q"]


def test_a_replacement_that_fails_later_leaves_the_old_resource(cf, sqs):
    def named(name):
        return {"Thing": {"Type": QUEUE, "Properties": {"QueueName": name}}}

    create(cf, "s", named("old"))
    stack = update(cf, "s", named("new") | {"Bad": LATE})
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert queues(sqs) == ["old"]
    assert update(cf, "s", named("new"))["StackStatus"] == "UPDATE_COMPLETE"
    assert queues(sqs) == ["new"]
    delete(cf, "s")
    assert queues(sqs) == []


def test_capabilities_are_demanded_at_each_step(cf, sandbox):
    trust = {"Version": "2012-10-17", "Statement": []}
    trust["Statement"].append(
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    )
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}}
    said = body({"Thing": role})
    with pytest.raises(cf.exceptions.InsufficientCapabilitiesException):
        cf.create_stack(StackName="s", TemplateBody=said)
    create(cf, "s", plain(5))
    with pytest.raises(cf.exceptions.InsufficientCapabilitiesException):
        cf.update_stack(StackName="s", TemplateBody=body(plain(5) | {"Role": role}))
    stack = update(cf, "s", plain(7) | {"Role": role, "Bad": LATE})
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    names = [one["RoleName"] for one in sandbox.client("iam").list_roles()["Roles"]]
    assert names == ["seedbed-admin"], "the rollback removed the role"


def test_a_change_sets_life(cf, sqs):
    def propose(kind, resources):
        said = {"StackName": "s", "ChangeSetName": kind.lower(), "ChangeSetType": kind}
        cf.create_change_set(**said, TemplateBody=body(resources))
        cf.execute_change_set(StackName="s", ChangeSetName=kind.lower())
        cf.get_waiter(f"stack_{kind.lower()}_complete").wait(StackName="s")

    propose("CREATE", plain(5))
    assert delays(sqs) == {"q": "5"}
    propose("UPDATE", plain(7))
    assert delays(sqs) == {"q": "7"}
    with pytest.raises(WaiterError, match="ROLLBACK"):
        propose("UPDATE", plain(9) | {"Bad": LATE})
    assert delays(sqs) == {"q": "7"}
    delete(cf, "s")
    assert queues(sqs) == []
