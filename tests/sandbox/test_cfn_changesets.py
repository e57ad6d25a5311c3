"""Change sets: what they say that an update would do, and carrying them out."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from cfn_stacks import ALL, TRUST, body, create, delete, one, parameters, physical, settle, update

QUEUE = "AWS::SQS::Queue"


def propose(cf, resources, given=None, *, stack="s", name="c", kind="UPDATE", **options):
    """Create a change set; return its description."""
    sections = {key: options.pop(key) for key in ("Parameters", "Outputs") if key in options}
    cf.create_change_set(
        StackName=stack,
        ChangeSetName=name,
        ChangeSetType=kind,
        TemplateBody=body(resources, **sections),
        Parameters=parameters(given or {}),
        Capabilities=ALL,
        **options,
    )
    return cf.describe_change_set(StackName=stack, ChangeSetName=name)


def changes(described):
    """Return logical id -> (action, replacement)."""
    found = [entry["ResourceChange"] for entry in described["Changes"]]
    return {one["LogicalResourceId"]: (one["Action"], one.get("Replacement")) for one in found}


def details(described, logical_id="Thing"):
    """Return (attribute, name, recreation, evaluation, source, cause) of one resource's change."""
    found = (entry["ResourceChange"] for entry in described["Changes"])
    change = next(one for one in found if one["LogicalResourceId"] == logical_id)
    return [
        (
            detail["Target"]["Attribute"],
            detail["Target"].get("Name"),
            detail["Target"]["RequiresRecreation"],
            detail["Evaluation"],
            detail["ChangeSource"],
            detail.get("CausingEntity"),
        )
        for detail in change["Details"]
    ]


def dead_letters(arn):
    return {
        "Type": QUEUE,
        "Properties": {"RedrivePolicy": {"deadLetterTargetArn": arn, "maxReceiveCount": 3}},
    }


def test_a_stack_is_created_by_a_change_set(cf):
    said = propose(cf, one(QUEUE, {"QueueName": "q"}), kind="CREATE", Description="first")
    assert (said["Status"], said["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert changes(said) == {"Thing": ("Add", None)}
    stack = cf.describe_stacks(StackName="s")["Stacks"][0]
    assert stack["StackStatus"] == "REVIEW_IN_PROGRESS"
    cf.get_waiter("change_set_create_complete").wait(
        StackName="s", ChangeSetName="c", WaiterConfig={"MaxAttempts": 1}
    )
    listed = cf.list_change_sets(StackName="s")["Summaries"]
    assert [entry["Description"] for entry in listed] == ["first"]
    template = cf.get_template(StackName="s", ChangeSetName="c")["TemplateBody"]
    assert template["Resources"]["Thing"]["Properties"] == {"QueueName": "q"}
    cf.execute_change_set(StackName="s", ChangeSetName="c")
    stack = settle(cf, "s")
    assert (stack["StackStatus"], stack["ChangeSetId"]) == ("CREATE_COMPLETE", said["ChangeSetId"])
    assert physical(cf, "s").endswith("/q")
    with pytest.raises(ClientError, match="ChangeSetNotFound"):
        cf.describe_change_set(StackName="s", ChangeSetName="c")


def test_what_an_update_would_do(cf, sandbox):
    first = {
        **one(QUEUE, {"QueueName": "q", "DelaySeconds": {"Ref": "Delay"}}),
        "Replaced": {"Type": QUEUE, "Properties": {"QueueName": "old"}},
        "User": dead_letters({"Fn::GetAtt": ["Replaced", "Arn"]}),
        "Gone": {"Type": QUEUE},
        "Kept": {"Type": QUEUE, "DeletionPolicy": "Retain"},
        "Same": {"Type": QUEUE},
    }
    declared = {"Delay": {"Type": "Number"}}
    create(cf, "s", first, {"Delay": "1"}, Parameters=declared)
    second = {
        **one(QUEUE, {"QueueName": "q", "DelaySeconds": {"Ref": "Delay"}, "VisibilityTimeout": 9}),
        "Replaced": {"Type": QUEUE, "Properties": {"QueueName": "new"}},
        "User": dead_letters({"Fn::GetAtt": ["Replaced", "Arn"]}),
        "Same": {"Type": QUEUE},
        "New": {"Type": QUEUE},
    }
    before = sandbox.client("sqs").list_queues()["QueueUrls"]
    said = propose(cf, second, {"Delay": "2"}, Parameters=declared)
    assert changes(said) == {
        "Thing": ("Modify", "False"),
        "Replaced": ("Modify", "True"),
        "User": ("Modify", "False"),
        "New": ("Add", None),
        "Gone": ("Remove", None),
        "Kept": ("Remove", None),
    }
    prop = "Properties"
    assert details(said) == [
        (prop, "DelaySeconds", "Never", "Static", "ParameterReference", "Delay"),
        (prop, "VisibilityTimeout", "Never", "Static", "DirectModification", None),
    ]
    assert details(said, "Replaced") == [
        (prop, "QueueName", "Always", "Static", "DirectModification", None)
    ]
    assert details(said, "User") == [
        (prop, "RedrivePolicy", "Never", "Static", "ResourceAttribute", "Replaced.Arn")
    ]
    policies = {
        entry["ResourceChange"]["LogicalResourceId"]: entry["ResourceChange"].get("PolicyAction")
        for entry in said["Changes"]
    }
    assert (policies["Gone"], policies["Kept"]) == ("Delete", "Retain")
    assert policies["Replaced"] == "ReplaceAndDelete"
    assert sandbox.client("sqs").list_queues()["QueueUrls"] == before  # nothing was touched
    cf.execute_change_set(ChangeSetName=said["ChangeSetId"])
    assert settle(cf, "s")["StackStatus"] == "UPDATE_COMPLETE"
    names = {url.rpartition("/")[2].split("-")[0] for url in queue_urls(sandbox)}
    assert names == {"q", "new", "s"}


def queue_urls(sandbox):
    return sandbox.client("sqs").list_queues()["QueueUrls"]


def test_a_reference_that_may_change_makes_the_next_replacement_conditional(cf):
    def resources(bus):
        return {
            **one("AWS::Events::Rule", {"ScheduleExpression": "rate(1 hour)", "EventBusName": bus}),
            "Alarm": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Ref": "Thing"}}},
        }

    create(cf, "s", resources("default"))
    said = propose(cf, resources("other"))
    assert changes(said)["Thing"] == ("Modify", "Conditional")
    assert changes(said)["Alarm"] == ("Modify", "Conditional")
    assert details(said, "Alarm")[0][2:] == ("Always", "Dynamic", "ResourceReference", "Thing")


def test_changes_of_tags_policies_and_metadata_are_told_apart(cf):
    create(cf, "s", one(QUEUE))
    tags = [{"Key": "a", "Value": "b"}]
    changed = one(QUEUE, DeletionPolicy="Retain", Metadata={"a": 1})
    said = propose(cf, changed, Tags=tags)
    scope = said["Changes"][0]["ResourceChange"]["Scope"]
    assert sorted(scope) == ["DeletionPolicy", "Metadata", "Tags"]


def test_a_change_set_without_changes_fails_and_says_so(cf):
    create(cf, "s", one(QUEUE))
    said = propose(cf, one(QUEUE))
    assert (said["Status"], said["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert said["StatusReason"].startswith("The submitted information didn't contain changes")
    with pytest.raises(ClientError, match="InvalidChangeSetStatus"):
        cf.execute_change_set(StackName="s", ChangeSetName="c")
    cf.delete_change_set(StackName="s", ChangeSetName="c")
    assert cf.list_change_sets(StackName="s")["Summaries"] == []
    assert propose(cf, one(QUEUE), Outputs={"A": {"Value": "b"}})["Status"] == "CREATE_COMPLETE"


def test_a_change_set_that_fails_rolls_back(cf):
    create(cf, "s", one(QUEUE, {"QueueName": "q"}))
    broken = dead_letters("arn:aws:sqs:eu-west-1:333333333333:absent")
    propose(cf, {**one(QUEUE, {"QueueName": "q", "DelaySeconds": 3}), "Broken": broken})
    cf.execute_change_set(StackName="s", ChangeSetName="c")
    assert settle(cf, "s")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    propose(cf, {"Broken": broken}, stack="t", kind="CREATE", OnStackFailure="DELETE")
    identifier = cf.describe_stacks(StackName="t")["Stacks"][0]["StackId"]
    cf.execute_change_set(StackName="t", ChangeSetName="c")
    assert settle(cf, identifier)["StackStatus"] == "DELETE_COMPLETE"


def test_other_change_sets_are_gone_after_an_execution(cf):
    create(cf, "s", one(QUEUE))
    for name in ("c", "d"):
        propose(cf, one(QUEUE, {"DelaySeconds": 1}), name=name)
    cf.execute_change_set(StackName="s", ChangeSetName="c")
    settle(cf, "s")
    assert cf.list_change_sets(StackName="s")["Summaries"] == []


def test_a_review_is_abandoned_by_deleting_the_stack(cf):
    propose(cf, one(QUEUE), kind="CREATE")
    propose(cf, one(QUEUE), kind="CREATE", name="d")
    with pytest.raises(ClientError, match="AlreadyExists"):
        propose(cf, one(QUEUE), kind="CREATE", name="d")
    delete(cf, "s")
    assert cf.describe_stacks()["Stacks"] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stack": "absent"}, r"Stack \[absent\] does not exist"),
        ({"kind": "CREATE"}, "already exists"),
        ({"kind": "IMPORT"}, "NotImplementedInSandbox.*IMPORT"),
        ({"IncludeNestedStacks": True}, "CreateChangeSet with IncludeNestedStacks"),
        ({"ResourcesToImport": [
            {"ResourceType": QUEUE, "LogicalResourceId": "a", "ResourceIdentifier": {"a": "b"}}
        ]}, "CreateChangeSet with ResourcesToImport"),
    ],
)  # fmt: skip
def test_change_sets_that_are_refused(cf, options, said):
    create(cf, "s", one(QUEUE))
    with pytest.raises(ClientError, match=said):
        propose(cf, one(QUEUE, {"DelaySeconds": 1}), **options)


def test_capabilities_are_demanded_but_a_transform_needs_none(cf):
    role = one("AWS::IAM::Role", {"AssumeRolePolicyDocument": TRUST})
    request = {"StackName": "s", "ChangeSetName": "c", "ChangeSetType": "CREATE"}
    with pytest.raises(ClientError, match="CAPABILITY_IAM"):
        cf.create_change_set(**request, TemplateBody=body(role))
    text = body(one(QUEUE), Transform="AWS::LanguageExtensions")
    cf.create_change_set(**request, TemplateBody=text)
    cf.execute_change_set(StackName="s", ChangeSetName="c")
    assert settle(cf, "s")["StackStatus"] == "CREATE_COMPLETE"


def test_a_proposal_with_a_bad_value_fails_and_names_it(cf):
    declared = {"Delay": {"Type": "Number"}}
    said = propose(
        cf, one(QUEUE, {"DelaySeconds": {"Ref": "Delay"}}), {"Delay": "901"}, kind="CREATE",
        Parameters=declared,
    )  # fmt: skip
    assert said["Status"] == "FAILED"
    assert "Thing (AWS::SQS::Queue): property DelaySeconds: 901" in said["StatusReason"]


def test_an_update_after_a_created_stack_is_an_ordinary_one(cf):
    propose(cf, one(QUEUE), kind="CREATE")
    cf.execute_change_set(StackName="s", ChangeSetName="c")
    settle(cf, "s")
    assert update(cf, "s", one(QUEUE, {"DelaySeconds": 1}))["StackStatus"] == "UPDATE_COMPLETE"
