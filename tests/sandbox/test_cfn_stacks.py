"""Stacks as a whole: create, update, replace, delete, and the way back when something fails."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError, WaiterError
from cfn_stacks import (
    BROKEN,
    QUEUE,
    attribute,
    body,
    create,
    delete,
    history,
    one,
    outputs,
    physical,
    queues,
    reason,
    role,
    settle,
    update,
)


def test_boto3s_own_waiters_see_a_small_stack_complete_at_once(cf, sqs):
    cf.create_stack(StackName="s", TemplateBody=body(one(QUEUE, {"QueueName": "q"})))
    cf.get_waiter("stack_create_complete").wait(StackName="s", WaiterConfig={"MaxAttempts": 1})
    changed = one(QUEUE, {"QueueName": "q", "DelaySeconds": 7})
    cf.update_stack(StackName="s", TemplateBody=body(changed))
    cf.get_waiter("stack_update_complete").wait(StackName="s", WaiterConfig={"MaxAttempts": 1})
    assert attribute(sqs, physical(cf, "s"), "DelaySeconds") == "7"
    cf.delete_stack(StackName="s")
    cf.get_waiter("stack_delete_complete").wait(StackName="s", WaiterConfig={"MaxAttempts": 1})
    assert queues(sqs) == []


def test_dependencies_outputs_tags_and_generated_names(cf, sqs):
    resources = {
        "Work": {
            "Type": QUEUE,
            "Properties": {
                "RedrivePolicy": {
                    "deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]},
                    "maxReceiveCount": 3,
                }
            },
        },
        "Dead": {"Type": QUEUE, "DependsOn": "First"},
        "First": {"Type": QUEUE, "Metadata": {"Why": "comes first"}},
    }
    said = {"Arn": {"Value": {"Fn::GetAtt": ["Work", "Arn"]}, "Description": "the queue"}}
    stack = create(cf, "s", resources, tags={"team": "ml"}, Outputs=said)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    made = [name for name, status, _ in history(cf, "s") if status == "CREATE_COMPLETE"]
    assert made == ["First", "Dead", "Work", "s"]
    url = physical(cf, "s", "Work")
    assert url.rpartition("/")[2].startswith("s-Work-")
    policy = json.loads(attribute(sqs, url, "RedrivePolicy"))
    assert policy["deadLetterTargetArn"] == attribute(sqs, physical(cf, "s", "Dead"), "QueueArn")
    assert outputs(stack) == {"Arn": attribute(sqs, url, "QueueArn")}
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "ml"}
    detail = cf.describe_stack_resource(StackName="s", LogicalResourceId="First")
    assert json.loads(detail["StackResourceDetail"]["Metadata"]) == {"Why": "comes first"}
    listed = cf.list_stack_resources(StackName="s")["StackResourceSummaries"]
    assert {entry["ResourceStatus"] for entry in listed} == {"CREATE_COMPLETE"}
    found = cf.describe_stack_resources(PhysicalResourceId=url)["StackResources"]
    assert {entry["StackName"] for entry in found} == {"s"}


def test_conditions_leave_resources_and_outputs_out(cf, sqs):
    said = {
        "Conditions": {"Never": {"Fn::Equals": ["a", {"Ref": "P"}]}},
        "Parameters": {"P": {"Type": "String"}},
        "Outputs": {"Url": {"Condition": "Never", "Value": {"Ref": "Gone"}}},
    }
    resources = {
        **one(QUEUE, {"QueueName": "q", "DelaySeconds": {"Fn::If": ["Never", 1, 2]}}),
        "Gone": {"Type": QUEUE, "Condition": "Never"},
    }
    stack = create(cf, "s", resources, {"P": "b"}, **said)
    assert (queues(sqs), outputs(stack)) == (["q"], {})
    assert attribute(sqs, physical(cf, "s"), "DelaySeconds") == "2"


def test_a_failed_creation_leaves_nothing_behind(cf, sqs):
    resources = {
        "First": {"Type": QUEUE},
        "Broken": {**BROKEN, "DependsOn": ["First", "Kept"]},
        "Kept": {"Type": QUEUE, "DeletionPolicy": "RetainExceptOnCreate", "DependsOn": "First"},
    }
    stack = create(cf, "s", resources)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "[Broken]" in str(history(cf, "s"))
    assert queues(sqs) == []
    with pytest.raises(ClientError, match="ROLLBACK_COMPLETE state and can not be updated"):
        update(cf, "s", one(QUEUE))
    assert delete(cf, "s")["StackStatus"] == "DELETE_COMPLETE"


def test_a_resource_that_is_retained_survives_the_rollback(cf, sqs):
    resources = {
        "First": {"Type": QUEUE, "DeletionPolicy": "Retain", "Properties": {"QueueName": "kept"}},
        "Broken": {**BROKEN, "DependsOn": "First"},
    }
    assert create(cf, "s", resources)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert queues(sqs) == ["kept"]
    assert ("First", "DELETE_SKIPPED", "") in history(cf, "s")


@pytest.mark.parametrize(
    ("options", "status", "left"),
    [
        ({"OnFailure": "DO_NOTHING"}, "CREATE_FAILED", ["q"]),
        ({"DisableRollback": True}, "CREATE_FAILED", ["q"]),
        ({"OnFailure": "DELETE"}, "DELETE_COMPLETE", []),
        ({"OnFailure": "ROLLBACK"}, "ROLLBACK_COMPLETE", []),
    ],
)
def test_what_happens_on_failure_is_chosen(cf, sqs, options, status, left):
    resources = {**one(QUEUE, {"QueueName": "q"}), "Broken": {**BROKEN, "DependsOn": "Thing"}}
    assert create(cf, "s", resources, **options)["StackStatus"] == status
    assert queues(sqs) == left


def test_a_creation_kept_as_it_failed_can_be_rolled_back_or_repaired(cf, sqs):
    resources = {**one(QUEUE, {"QueueName": "q"}), "Broken": {**BROKEN, "DependsOn": "Thing"}}
    create(cf, "a", resources, DisableRollback=True)
    cf.rollback_stack(StackName="a")
    assert settle(cf, "a")["StackStatus"] == "ROLLBACK_COMPLETE"
    assert queues(sqs) == []
    create(cf, "b", resources, DisableRollback=True)
    repaired = {**resources, "Broken": {"Type": QUEUE, "Properties": {"QueueName": "r"}}}
    assert update(cf, "b", repaired)["StackStatus"] == "UPDATE_COMPLETE"
    assert queues(sqs) == ["q", "r"]


# Updates


def test_an_update_changes_adds_and_removes(cf, sqs):
    create(cf, "s", {**one(QUEUE, {"QueueName": "q"}), "Old": {"Type": QUEUE}})
    url = physical(cf, "s")
    new = {**one(QUEUE, {"QueueName": "q", "DelaySeconds": 5}), "New": {"Type": QUEUE}}
    said = {"Url": {"Value": {"Ref": "New"}}}
    stack = update(cf, "s", new, Outputs=said)
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert (physical(cf, "s"), attribute(sqs, url, "DelaySeconds")) == (url, "5")
    assert outputs(stack) == {"Url": physical(cf, "s", "New")}
    assert [name.split("-")[:2] for name in queues(sqs)] == [["q"], ["s", "New"]]
    update(cf, "s", one(QUEUE, {"QueueName": "q"}))
    assert attribute(sqs, url, "DelaySeconds") == "0"


def test_a_replacement_is_made_before_the_old_one_goes(cf, sqs):
    create(cf, "s", {**one(QUEUE, {"QueueName": "old"}), "User": user_of_thing()})
    assert update(cf, "s", {**one(QUEUE, {"QueueName": "new"}), "User": user_of_thing()})
    assert queues(sqs)[0] == "new"
    assert "old" not in queues(sqs)
    statuses = [(name, status) for name, status, _ in history(cf, "s")]
    done = statuses.index(("s", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"))
    assert statuses.index(("Thing", "UPDATE_COMPLETE")) < done
    assert statuses.index(("Thing", "DELETE_COMPLETE")) > done
    assert "requires the creation of a new physical resource" in str(history(cf, "s"))
    policy = json.loads(attribute(sqs, physical(cf, "s", "User"), "RedrivePolicy"))
    assert policy["deadLetterTargetArn"].endswith(":new")


def user_of_thing():
    arn = {"Fn::GetAtt": ["Thing", "Arn"]}
    return {
        "Type": QUEUE,
        "Properties": {"RedrivePolicy": {"deadLetterTargetArn": arn, "maxReceiveCount": 3}},
    }


def test_policies_keep_what_is_replaced_dropped_or_deleted(cf, sqs):
    keep = {"UpdateReplacePolicy": "Retain", "DeletionPolicy": "Retain"}
    create(cf, "s", one(QUEUE, {"QueueName": "a"}, **keep))
    update(cf, "s", one(QUEUE, {"QueueName": "b"}, **keep))
    assert queues(sqs) == ["a", "b"]
    other = {"Other": {"Type": QUEUE, "DeletionPolicy": "Retain", "Properties": {"QueueName": "c"}}}
    update(cf, "s", other)
    assert queues(sqs) == ["a", "b", "c"]
    assert delete(cf, "s")["StackStatus"] == "DELETE_COMPLETE"
    assert queues(sqs) == ["a", "b", "c"]


@pytest.mark.parametrize(("replace", "left"), [("Retain", ["a", "b"]), ("Delete", ["b"])])
def test_what_is_replaced_goes_by_the_replace_policy_alone(cf, sqs, replace, left):
    other = {"Retain": "Delete", "Delete": "Retain"}[replace]
    policies = {"UpdateReplacePolicy": replace, "DeletionPolicy": other}
    create(cf, "s", one(QUEUE, {"QueueName": "a"}, **policies))
    update(cf, "s", one(QUEUE, {"QueueName": "b"}, **policies))
    assert queues(sqs) == left


def test_a_failed_update_restores_the_previous_properties(cf, sqs):
    first = {
        **one(QUEUE, {"QueueName": "q", "DelaySeconds": 1}),
        "Named": {"Type": QUEUE, "Properties": {"QueueName": "before"}},
    }
    said = {"Parameters": {"P": {"Type": "String"}}, "Outputs": {"P": {"Value": {"Ref": "P"}}}}
    create(cf, "s", first, {"P": "one"}, **said)
    url, named = physical(cf, "s"), physical(cf, "s", "Named")
    second = {
        **one(QUEUE, {"QueueName": "q", "DelaySeconds": 2, "VisibilityTimeout": 50}),
        "Named": {"Type": QUEUE, "Properties": {"QueueName": "after"}},
        "New": {"Type": QUEUE},
        "Broken": {**BROKEN, "DependsOn": ["Thing", "Named", "New"]},
    }
    stack = update(cf, "s", second, {"P": "two"}, **said)
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert queues(sqs) == ["before", "q"]
    assert attribute(sqs, url, "DelaySeconds") == "1"
    assert attribute(sqs, url, "VisibilityTimeout") == "30"
    assert physical(cf, "s", "Named") == named
    assert outputs(stack) == {"P": "one"}
    assert stack["Parameters"][0]["ParameterValue"] == "one"
    assert "Broken" not in cf.get_template(StackName="s")["TemplateBody"]["Resources"]
    third = {**first, **one(QUEUE, {"QueueName": "q", "DelaySeconds": 3})}
    assert update(cf, "s", third, {"P": "one"}, **said)["StackStatus"] == "UPDATE_COMPLETE"


def test_a_failed_update_can_be_kept_repaired_or_rolled_back(cf, sqs):
    create(cf, "s", one(QUEUE, {"QueueName": "q"}))
    second = {
        **one(QUEUE, {"QueueName": "q", "DelaySeconds": 2}),
        "Broken": {**BROKEN, "DependsOn": "Thing"},
    }
    assert update(cf, "s", second, DisableRollback=True)["StackStatus"] == "UPDATE_FAILED"
    assert attribute(sqs, physical(cf, "s"), "DelaySeconds") == "2"
    cf.rollback_stack(StackName="s")
    assert settle(cf, "s")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert attribute(sqs, physical(cf, "s"), "DelaySeconds") == "0"


def test_a_rollback_that_fails_can_be_continued(cf, sandbox):
    bucket = {"BucketName": "locked", "ObjectLockEnabled": True}
    create(cf, "s", one("AWS::S3::Bucket", bucket))
    # Taking the lock's rule away again is not emulated, so that the way back fails.
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    lock = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", "Rule": rule}}
    second = {
        **one("AWS::S3::Bucket", {**bucket, **lock}),
        "Broken": {**BROKEN, "DependsOn": "Thing"},
    }
    assert update(cf, "s", second)["StackStatus"] == "UPDATE_ROLLBACK_FAILED"
    assert "taking away property ObjectLockConfiguration" in str(history(cf, "s"))
    with pytest.raises(ClientError, match="UPDATE_ROLLBACK_FAILED state and can not be updated"):
        update(cf, "s", one("AWS::S3::Bucket", bucket))
    cf.continue_update_rollback(StackName="s")
    assert settle(cf, "s")["StackStatus"] == "UPDATE_ROLLBACK_FAILED"
    cf.continue_update_rollback(StackName="s", ResourcesToSkip=["Thing"])
    assert settle(cf, "s")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert delete(cf, "s")["StackStatus"] == "DELETE_COMPLETE"
    assert sandbox.client("s3").list_buckets()["Buckets"] == []


def test_one_refused_call_changed_nothing_and_needs_no_undoing(cf, sqs):
    create(cf, "s", one(QUEUE, {"QueueName": "q"}))
    sqs.delete_queue(QueueUrl=physical(cf, "s"))
    stack = update(cf, "s", one(QUEUE, {"QueueName": "q", "DelaySeconds": 2}))
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "sqs:SetQueueAttributes" in reason(cf, "s")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "No updates are to be performed"),
        (
            {"TemplateBody": body(one("AWS::SNS::Topic"))},
            "Update of resource type is not permitted",
        ),
        ({"TemplateBody": body({"Q": {"Type": QUEUE, "DependsOn": "X"}})}, "DependsOn|E3005"),
        ({"StackName": "absent"}, r"Stack with id absent does not exist"),
    ],
)
def test_updates_that_are_refused_leave_the_stack_as_it_is(cf, change, said):
    create(cf, "s", one(QUEUE))
    request = {"StackName": "s", "TemplateBody": body(one(QUEUE)), **change}
    with pytest.raises(ClientError, match=said):
        cf.update_stack(**request)
    assert settle(cf, "s")["StackStatus"] == "CREATE_COMPLETE"


def test_changes_of_policy_metadata_tags_or_outputs_alone_are_updates(cf, sqs):
    create(cf, "s", one(QUEUE))
    assert update(cf, "s", one(QUEUE, DeletionPolicy="Retain"))["StackStatus"] == "UPDATE_COMPLETE"
    assert update(cf, "s", one(QUEUE, Metadata={"a": 1}))["StackStatus"] == "UPDATE_COMPLETE"
    said = {"U": {"Value": {"Ref": "Thing"}}}
    assert outputs(update(cf, "s", one(QUEUE, Metadata={"a": 1}), Outputs=said))
    tags = [{"Key": "team", "Value": "ml"}]
    update(cf, "s", one(QUEUE, Metadata={"a": 1}), Outputs=said, Tags=tags)
    url = physical(cf, "s")
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "ml"}
    update(cf, "s", one(QUEUE), Tags=[])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {}


def test_a_custom_named_resource_is_not_replaced_by_its_namesake(cf, sqs):
    create(cf, "s", one(QUEUE, {"QueueName": "q.fifo", "FifoQueue": True}))
    create(cf, "t", one("AWS::SNS::Topic", {"TopicName": "t"}))
    stack = update(cf, "t", one("AWS::SNS::Topic", {"TopicName": "t.fifo", "FifoTopic": True}))
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    create(cf, "r", one("AWS::IAM::Role", role(RoleName="r")))
    stack = update(cf, "r", one("AWS::IAM::Role", role(RoleName="r", Path="/a/")))
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "custom-named resource requires replacing" in reason(cf, "r")
    assert queues(sqs) == ["q.fifo"]


# Deletion


def test_a_deletion_that_fails_can_be_repeated_or_can_retain(cf, sandbox):
    s3 = sandbox.client("s3")
    create(cf, "s", {**one("AWS::S3::Bucket", {"BucketName": "full-bucket"}), "Q": {"Type": QUEUE}})
    s3.put_object(Bucket="full-bucket", Key="k", Body=b"")
    assert delete(cf, "s")["StackStatus"] == "DELETE_FAILED"
    assert "not empty" in reason(cf, "s")
    assert delete(cf, "s", RetainResources=["Thing"])["StackStatus"] == "DELETE_COMPLETE"
    assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == ["full-bucket"]


def test_what_a_resource_that_stays_depends_on_stays_too(cf, sandbox, sqs):
    full = {
        "Type": "AWS::S3::Bucket",
        "DependsOn": "Thing",
        "Properties": {"BucketName": "full-bucket"},
    }
    create(cf, "s", {**one(QUEUE, {"QueueName": "needed"}), "Full": full, "Q": {"Type": QUEUE}})
    sandbox.client("s3").put_object(Bucket="full-bucket", Key="k", Body=b"")
    assert delete(cf, "s")["StackStatus"] == "DELETE_FAILED"
    assert queues(sqs) == ["needed"]


def test_deleting_what_is_not_there_is_no_error(cf):
    cf.delete_stack(StackName="absent")
    with pytest.raises(WaiterError):
        cf.get_waiter("stack_exists").wait(StackName="absent", WaiterConfig={"MaxAttempts": 1})


def test_termination_protection(cf):
    create(cf, "s", one(QUEUE), EnableTerminationProtection=True)
    with pytest.raises(ClientError, match="TerminationProtection is enabled"):
        cf.delete_stack(StackName="s")
    cf.update_termination_protection(StackName="s", EnableTerminationProtection=False)
    assert delete(cf, "s")["StackStatus"] == "DELETE_COMPLETE"


@pytest.mark.parametrize(
    ("kind", "times"), [("throttle", 1), ("fail", 9), ("after", 1), ("after", 9)]
)
def test_trouble_during_a_creation_leaves_nothing_behind(cf, sandbox, kind, times):
    resources = {
        "Group": {"Type": "AWS::Logs::LogGroup"},
        "Role": {"Type": "AWS::IAM::Role", "Properties": role()},
        "Bucket": {"Type": "AWS::S3::Bucket"},
    }
    for operation in ("logs:CreateLogGroup", "s3:CreateBucket"):
        sandbox.chaos({"match": operation, "kind": kind, "times": times})
        stack = create(cf, "s", resources)
        sandbox.chaos()
        complete = times == 1 and kind != "after"  # the call was tried again
        assert stack["StackStatus"] == ("CREATE" if complete else "ROLLBACK") + "_COMPLETE"
        delete(cf, "s")
    assert sandbox.client("logs").describe_log_groups()["logGroups"] == []
    assert sandbox.client("s3").list_buckets()["Buckets"] == []
    roles = sandbox.client("iam").list_roles()["Roles"]
    assert [entry["RoleName"] for entry in roles] == ["seedbed-admin"]
