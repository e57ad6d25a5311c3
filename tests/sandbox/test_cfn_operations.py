"""Requests: exports, capabilities, parameters, templates, roles, and what is refused."""

from __future__ import annotations

import json

import pytest
from access import allow, document, make_role, refused
from botocore.exceptions import ClientError
from cfn_stacks import (
    QUEUE,
    TRUST,
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

# Exports


def test_exports_are_imported_listed_and_guarded(cf, sqs):
    def exporting(name, value):
        return {"Out": {"Value": value, "Export": {"Name": name}}}

    create(cf, "a", one(QUEUE), Outputs=exporting("shared", "q-name"))
    assert create(cf, "b", one(QUEUE, {"QueueName": {"Fn::ImportValue": "shared"}}))
    assert queues(sqs)[-1] == "q-name"
    assert cf.list_exports()["Exports"][0]["Value"] == "q-name"
    assert cf.list_imports(ExportName="shared")["Imports"] == ["b"]
    changed = update(cf, "a", one(QUEUE), Outputs=exporting("shared", "other"))
    assert changed["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "cannot be updated as it is in use by b" in str(history(cf, "a"))
    assert delete(cf, "a")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert (
        "Cannot delete export shared"
        in cf.describe_stacks(StackName="a")["Stacks"][0]["StackStatusReason"]
    )
    again = create(cf, "c", one(QUEUE), Outputs=exporting("shared", "x"))
    assert again["StackStatus"] == "ROLLBACK_COMPLETE"
    delete(cf, "b")
    assert delete(cf, "a")["StackStatus"] == "DELETE_COMPLETE"


# Requests


@pytest.mark.parametrize(
    ("resources", "needed"),
    [
        (one("AWS::IAM::Role", role()), "CAPABILITY_IAM"),
        (one("AWS::IAM::Role", role(RoleName="r")), "CAPABILITY_NAMED_IAM"),
    ],
)
def test_capabilities_are_demanded(cf, resources, needed):
    with pytest.raises(ClientError, match=rf"Requires capabilities : \[{needed}\]"):
        cf.create_stack(StackName="s", TemplateBody=body(resources))
    with pytest.raises(ClientError, match="does not exist"):
        cf.describe_stacks(StackName="s")


def test_transforms_demand_auto_expand(cf):
    said = body(one(QUEUE), Transform="AWS::LanguageExtensions")
    with pytest.raises(ClientError, match=r"\[CAPABILITY_AUTO_EXPAND\]"):
        cf.create_stack(StackName="s", TemplateBody=said)


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        (one(QUEUE, {"Colour": "red"}), r"E3002 at Thing/Properties/Colour \(AWS::SQS::Queue\)"),
        (one("AWS::SQS::Kew"), r"E3006 at Thing/Type \(AWS::SQS::Kew\)"),
        (one("AWS::CloudFormation::WaitConditionHandle"), "Thing: type AWS::CloudFormation::Wait"),
        (one(QUEUE, {"QueueName": {"Ref": "Nobody"}}), "E1020.*Nobody|Nobody.*E1020"),
        (one(QUEUE, {"DelaySeconds": {"Ref": "P"}}), "E1020|P"),
        ({"Fn::ForEach::Q": ["N", ["a"], {"Q${N}": {"Type": QUEUE}}]}, "E1032.*Missing Transform"),
    ],
)
def test_cfn_lint_and_the_schemas_refuse_a_template(cf, resources, said):
    with pytest.raises(ClientError, match=said):
        cf.create_stack(StackName="s", TemplateBody=body(resources))


def test_a_value_that_only_the_parameters_tell_is_checked_by_the_schema(cf, sqs):
    said = {"Parameters": {"Delay": {"Type": "Number"}}}
    stack = create(
        cf, "s", one(QUEUE, {"DelaySeconds": {"Ref": "Delay"}}), {"Delay": "901"}, **said
    )
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "Thing (AWS::SQS::Queue): property DelaySeconds: 901" in reason(cf, "s")
    assert queues(sqs) == []


def test_parameters_rules_and_stored_values(cf, sandbox, sqs):
    sandbox.client("ssm").put_parameter(Name="/queue", Value="stored", Type="String")
    said = {
        "Parameters": {
            "Name": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/queue"},
            "Env": {"Type": "String", "AllowedValues": ["dev", "prod"]},
            "Token": {"Type": "String", "NoEcho": True, "Default": "hush"},
        },
        "Rules": {
            "NotProd": {
                "Assertions": [
                    {
                        "Assert": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Env"}, "prod"]}]},
                        "AssertDescription": "not here",
                    }
                ]
            }
        },
    }
    resources = one(QUEUE, {"QueueName": {"Ref": "Name"}})
    for env, words in (("test", "AllowedValues"), ("prod", "not here")):
        with pytest.raises(ClientError, match=words):
            create(cf, "s", resources, {"Env": env}, **said)
    stack = create(cf, "s", resources, {"Env": "dev"}, **said)
    assert queues(sqs) == ["stored"]
    shown = {entry["ParameterKey"]: entry for entry in stack["Parameters"]}
    assert shown["Name"]["ResolvedValue"] == "stored"
    assert shown["Token"]["ParameterValue"] == "****"
    again = {"ParameterKey": "Env", "UsePreviousValue": True}
    with pytest.raises(ClientError, match="No updates"):
        cf.update_stack(StackName="s", UsePreviousTemplate=True, Parameters=[again])
    with pytest.raises(ClientError, match=r"Parameters: \[Colour\] do not exist"):
        create(cf, "t", resources, {"Env": "dev", "Colour": "red"}, **said)


def test_dynamic_references_are_resolved_for_the_call_and_kept_as_they_stand(cf, sandbox, sqs):
    sandbox.client("ssm").put_parameter(Name="/delay", Value="9", Type="String")
    sandbox.client("secretsmanager").create_secret(Name="s", SecretString='{"name": "hidden"}')
    said = {
        "QueueName": "{{resolve:secretsmanager:s:SecretString:name}}",
        "DelaySeconds": "{{resolve:ssm:/delay}}",
    }
    assert create(cf, "s", one(QUEUE, said))["StackStatus"] == "CREATE_COMPLETE"
    assert queues(sqs) == ["hidden"]
    assert attribute(sqs, physical(cf, "s"), "DelaySeconds") == "9"
    told = [
        one.get("ResourceProperties", "")
        for one in cf.describe_stack_events(StackName="s")["StackEvents"]
    ]
    assert not any("hidden" in text for text in told)
    with pytest.raises(ClientError, match="No updates"):
        update(cf, "s", one(QUEUE, said))


def test_loops_and_other_language_extensions(cf, sqs):
    resources = {
        "Fn::ForEach::Queues": [
            "Name",
            {"Ref": "Names"},
            {"Queue${Name}": {"Type": QUEUE, "Properties": {"QueueName": {"Ref": "Name"}}}},
        ]
    }
    said = {
        "Transform": "AWS::LanguageExtensions",
        "Parameters": {"Names": {"Type": "CommaDelimitedList"}},
        "Outputs": {"Count": {"Value": {"Fn::Length": {"Ref": "Names"}}}},
    }
    stack = create(cf, "s", resources, {"Names": "a,b"}, **said)
    assert (queues(sqs), outputs(stack)) == (["a", "b"], {"Count": "2"})
    processed = cf.get_template(StackName="s", TemplateStage="Processed")["TemplateBody"]
    assert list(processed["Resources"]) == ["Queuea", "Queueb"]
    assert "Fn::ForEach::Queues" in cf.get_template(StackName="s")["TemplateBody"]["Resources"]
    update(cf, "s", resources, {"Names": "b,c"}, **said)
    assert queues(sqs) == ["b", "c"]


def test_a_stacks_role_makes_the_resources(cf, sandbox, sqs):
    iam = sandbox.client("iam")
    arn = iam.create_role(RoleName="maker", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"][
        "Arn"
    ]
    statement = {"Effect": "Allow", "Action": ["sqs:*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName="maker", PolicyName="p", PolicyDocument=policy)
    stack = create(cf, "s", one(QUEUE, {"QueueName": "q"}), RoleARN=arn)
    assert (stack["StackStatus"], stack["RoleARN"]) == ("CREATE_COMPLETE", arn)
    calls = sandbox.calls(service="sqs", operation="CreateQueue")
    assert {call["principal"] for call in calls} == {arn}
    assert queues(sqs) == ["q"]
    with pytest.raises(ClientError, match="absent is invalid or cannot be assumed"):
        create(cf, "t", one(QUEUE), RoleARN=arn.replace("maker", "absent"))


@pytest.mark.parametrize("service", ["cloudformation.amazonaws.com", "lambda.amazonaws.com", ""])
def test_whoever_names_a_stacks_role_must_be_allowed_to_pass_it(sandbox, service):
    maker = make_role(sandbox, "maker", allow("sqs:*"), trust=json.dumps(TRUST))
    condition = {"StringEquals": {"iam:PassedToService": service}}
    passing = [allow("iam:PassRole", maker, Condition=condition)] if service else []
    make_role(sandbox, "person", allow("cloudformation:*"), *passing)
    cf = sandbox.client("cloudformation", role="person")
    thing = one(QUEUE, {"QueueName": "q"})
    said = {"StackName": "s", "TemplateBody": body(thing)}
    change_set = {"ChangeSetName": "c", "ChangeSetType": "CREATE"}
    if service.startswith("cloudformation"):
        assert create(cf, "s", thing, RoleARN=maker)["StackStatus"] == "CREATE_COMPLETE"
        cf.update_stack(**{**said, "TemplateBody": body(one(QUEUE))}, RoleARN=maker)
        assert settle(cf, "s")["StackStatus"] == "UPDATE_COMPLETE"
        assert delete(cf, "s", RoleARN=maker)["StackStatus"] == "DELETE_COMPLETE"
        return
    for ask in (
        lambda: cf.create_stack(**said, RoleARN=maker),
        lambda: cf.create_change_set(**said, **change_set, RoleARN=maker),
    ):
        with refused("AccessDenied", "iam:PassRole", maker):
            ask()
    admin = sandbox.client("cloudformation")
    create(admin, "s", thing, RoleARN=maker)
    for ask in (
        lambda: cf.update_stack(**{**said, "TemplateBody": body(one(QUEUE))}, RoleARN=maker),
        lambda: cf.delete_stack(StackName="s", RoleARN=maker),
        lambda: cf.rollback_stack(StackName="s", RoleARN=maker),
        lambda: cf.continue_update_rollback(StackName="s", RoleARN=maker),
    ):
        with refused("AccessDenied", "iam:PassRole", maker):
            ask()
    # The stack keeps its role: whoever may change the stack need not pass it again.
    assert update(cf, "s", one(QUEUE))["StackStatus"] == "UPDATE_COMPLETE"


# Templates


def test_templates_come_from_s3_and_are_summarised(cf, sandbox):
    s3 = sandbox.client("s3")
    s3.create_bucket(
        Bucket="templates", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    said = body(
        one("AWS::IAM::Role", role(RoleName={"Ref": "P"})),
        Parameters={"P": {"Type": "String", "Default": "r", "AllowedValues": ["r"]}},
        Description="a role",
        Metadata={"A": 1},
    )
    s3.put_object(Bucket="templates", Key="a/t.json", Body=said.encode())
    url = "https://templates.s3.eu-west-1.amazonaws.com/a/t.json"
    for address in (url, "https://s3.eu-west-1.amazonaws.com/templates/a/t.json"):
        summary = cf.get_template_summary(TemplateURL=address)
        assert summary["Capabilities"] == ["CAPABILITY_NAMED_IAM"]
        assert summary["ResourceTypes"] == ["AWS::IAM::Role"]
        assert summary["Parameters"][0]["ParameterConstraints"] == {"AllowedValues": ["r"]}
    assert cf.validate_template(TemplateURL=url)["Description"] == "a role"
    cf.create_stack(StackName="s", TemplateURL=url, Capabilities=["CAPABILITY_NAMED_IAM"])
    assert settle(cf, "s")["StackStatus"] == "CREATE_COMPLETE"
    with pytest.raises(ClientError, match=r"NoSuchKey.*absent\.json"):
        cf.validate_template(TemplateURL=url.replace("t.json", "absent.json"))
    with pytest.raises(ClientError, match="51200"):
        cf.validate_template(TemplateBody=" " * 51201)


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("detect_stack_drift", {"StackName": "s"}),
        ("set_stack_policy", {"StackName": "s", "StackPolicyBody": "{}"}),
        ("create_stack_set", {"StackSetName": "s"}),
        ("list_stack_sets", {}),
        ("cancel_update_stack", {"StackName": "s"}),
        (
            "signal_resource",
            {"StackName": "s", "LogicalResourceId": "R", "UniqueId": "u", "Status": "SUCCESS"},
        ),
    ],
)
def test_what_is_not_emulated_is_refused_by_name(cf, operation, request_):
    with pytest.raises(ClientError, match=r"NotImplementedInSandbox.*cloudformation:"):
        getattr(cf, operation)(**request_)


def test_parts_of_a_request_that_are_not_emulated_are_refused(cf):
    said = {"StackName": "s", "TemplateBody": body(one(QUEUE)), "StackPolicyBody": "{}"}
    with pytest.raises(ClientError, match="CreateStack with StackPolicyBody"):
        cf.create_stack(**said)


def test_names_are_checked_and_unique_and_tokens_make_creation_repeatable(cf):
    said = {"TemplateBody": body(one(QUEUE)), "ClientRequestToken": "once"}
    first = cf.create_stack(StackName="s", **said)["StackId"]
    assert cf.create_stack(StackName="s", **said)["StackId"] == first
    with pytest.raises(ClientError, match="AlreadyExistsException"):
        cf.create_stack(StackName="s", TemplateBody=said["TemplateBody"])
    with pytest.raises(ClientError, match="regular expression"):
        cf.create_stack(StackName="1_s", **said)
    delete(cf, "s")
    assert cf.create_stack(StackName="s", **said)["StackId"] != first
    listed = cf.list_stacks(StackStatusFilter=["DELETE_COMPLETE"])["StackSummaries"]
    assert [entry["StackId"] for entry in listed] == [first]


def test_stacks_of_accounts_and_regions_are_apart(cf, sandbox):
    create(cf, "s", one(QUEUE))
    for other in (
        sandbox.client("cloudformation", "hub"),
        sandbox.client("cloudformation", region="us-east-1"),
    ):
        assert other.describe_stacks()["Stacks"] == []
        assert create(other, "s", one(QUEUE))["StackStatus"] == "CREATE_COMPLETE"


def test_events_reach_the_topics_that_are_named(cf, sandbox, sqs):
    sns = sandbox.client("sns")
    topic = sns.create_topic(Name="t")["TopicArn"]
    let = document(allow("sqs:SendMessage", Principal={"Service": "sns.amazonaws.com"}))
    url = sqs.create_queue(QueueName="told", Attributes={"Policy": let})["QueueUrl"]
    arn = attribute(sqs, url, "QueueArn")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    create(cf, "s", one(QUEUE), NotificationARNs=[topic])
    told = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert any("ResourceStatus='CREATE_COMPLETE'" in one["Body"] for one in told)


def test_a_topic_that_is_not_there_is_refused_before_anything_is_done(cf, sandbox):
    topic = sandbox.client("sns").create_topic(Name="t")["TopicArn"]
    gone, far = topic.replace(":t", ":gone"), topic.replace("eu-west-1", "us-east-1")
    body = json.dumps({"Resources": one(QUEUE)})
    for arn, word in ((gone, "does not exist"), (far, "TopicArn"), ("x", "TopicArn")):
        with refused("ValidationError", word, arn):
            cf.create_stack(StackName="s", TemplateBody=body, NotificationARNs=[arn])
    assert cf.describe_stacks()["Stacks"] == []
    create(cf, "s", one(QUEUE))
    with refused("ValidationError", gone):
        cf.update_stack(StackName="s", UsePreviousTemplate=True, NotificationARNs=[gone])
    asked = {"StackName": "s", "ChangeSetName": "c", "NotificationARNs": [gone]}
    cf.create_change_set(**asked, TemplateBody=body.replace("{}", '{"VisibilityTimeout": 5}'))
    with refused("ValidationError", gone):
        cf.execute_change_set(StackName="s", ChangeSetName="c")
    assert cf.describe_stacks()["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"


@pytest.mark.parametrize("missing", ["sqs:CreateQueue", "sqs:GetQueueAttributes", "sqs:TagQueue"])
def test_the_role_needs_every_action_that_making_the_resources_takes(cf, sandbox, missing):
    granted = {"sqs:CreateQueue", "sqs:GetQueueAttributes", "sqs:TagQueue", "sqs:DeleteQueue"}
    trust = json.dumps(TRUST)
    arn = make_role(sandbox, "maker", allow(sorted(granted - {missing})), trust=trust)
    stack = create(cf, "s", one(QUEUE), tags={"team": "ml"}, RoleARN=arn)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert f"not authorized to perform: {missing}" in reason(cf, "s")
    assert queues(sandbox.client("sqs")) == []
    delete(cf, "s")
    make_role(sandbox, "able", allow(sorted(granted)), trust=trust)
    stack = create(cf, "s", one(QUEUE), tags={"team": "ml"}, RoleARN=arn.replace("maker", "able"))
    assert stack["StackStatus"] == "CREATE_COMPLETE"


def test_without_a_role_the_callers_own_permissions_count(sandbox):
    make_role(sandbox, "person", allow(["cloudformation:*", "logs:*"]))
    cf = sandbox.client("cloudformation", role="person")
    assert create(cf, "a", one("AWS::Logs::LogGroup"))["StackStatus"] == "CREATE_COMPLETE"
    assert create(cf, "b", one(QUEUE))["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "not authorized to perform: sqs:CreateQueue" in reason(cf, "b")


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("continue_update_rollback", {"ForceRollback": True}),
        ("describe_change_set", {"ChangeSetName": "c", "IncludePropertyValues": True}),
        ("get_template_summary", {"StackSetName": "set"}),
        ("update_stack", {"RollbackConfiguration": {"MonitoringTimeInMinutes": 5}}),
    ],
)
def test_a_part_that_would_be_lost_is_refused_by_name(cf, operation, more):
    asked = {} if "StackSetName" in more else {"StackName": "s"}
    word = next(name for name in more if name != "ChangeSetName")
    with refused("NotImplementedInSandbox", word):
        getattr(cf, operation)(**asked, **more)


def test_a_rolled_back_update_deletes_what_it_made_if_asked(cf, sqs):
    create(cf, "s", one(QUEUE))
    kept = {"Type": QUEUE, "DeletionPolicy": "Retain", "Properties": {"QueueName": "new"}}
    wrong = {"Type": "AWS::SQS::Queue", "DependsOn": "New", "Properties": {"QueueName": "no.good"}}
    resources = {**one(QUEUE), "New": kept, "Wrong": wrong}
    cf.update_stack(
        StackName="s",
        TemplateBody=json.dumps({"Resources": resources}),
        RetainExceptOnCreate=True,
    )
    assert settle(cf, "s")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert not [url for url in sqs.list_queues()["QueueUrls"] if url.endswith("/new")]


def test_a_tag_of_aws_s_own_is_refused(cf):
    with refused("ValidationError", "aws:mine"):
        create(cf, "s", one(QUEUE), tags={"aws:mine": "1"})
