"""Templates shaped like AWS's own for projects: each completes, or names what it is refused for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cfn_stacks import ALL, history, outputs, parameters, physical, settle

TEMPLATES = Path(__file__).with_name("templates")
GIVEN = parameters({"SageMakerProjectName": "churn", "SageMakerProjectId": "p-1abc"})


@pytest.fixture
def cf(sandbox):
    return sandbox.client("cloudformation")


def deploy(cf, name):
    text = (TEMPLATES / f"{name}.yml").read_text(encoding="utf-8")
    cf.create_stack(StackName="s", TemplateBody=text, Parameters=GIVEN, Capabilities=ALL)
    return settle(cf, "s")


def complete(cf, name):
    stack = deploy(cf, name)
    assert stack["StackStatus"] == "CREATE_COMPLETE", history(cf, "s")
    return stack


def test_codepipeline_and_codebuild(sandbox, cf):
    name = outputs(complete(cf, "pipeline"))["Pipeline"]
    pipeline = sandbox.client("codepipeline").get_pipeline(name=name)["pipeline"]
    assert [stage["name"] for stage in pipeline["stages"]] == ["Source", "Build", "Approve"]
    build = pipeline["stages"][1]["actions"][0]
    assert build["configuration"] == {"ProjectName": physical(cf, "s", "Build")}
    (project,) = sandbox.client("codebuild").batch_get_projects(names=[name])["projects"]
    assert project["source"] == {"type": "CODEPIPELINE", "buildspec": "buildspec.yml"}
    rule = physical(cf, "s", "Rule")
    (target,) = sandbox.client("events").list_targets_by_rule(Rule=rule)["Targets"]
    assert target["Arn"] == f"arn:aws:codepipeline:eu-west-1:{sandbox.account('dev')}:{name}"


def test_a_function_seeds(sandbox, cf):
    name = outputs(complete(cf, "seeding"))["Seed"]
    stored = sandbox.client("ssm").get_parameter(Name=name)["Parameter"]
    assert (name, stored["Value"]) == ("/projects/p-1abc/seed", "seeded")
    (call,) = [
        one
        for one in sandbox.calls(service="ssm", operation="PutParameter")
        if one["params"]["Name"] == name
    ]
    assert call["principal"].endswith(f"role/{physical(cf, 's', 'Role')}"), "as the function's role"


def test_a_key_a_topic_and_parameters(sandbox, cf):
    complete(cf, "platform")
    key = physical(cf, "s", "Key")
    topic = sandbox.client("sns").get_topic_attributes(TopicArn=physical(cf, "s", "Topic"))
    assert topic["Attributes"]["KmsMasterKeyId"] == key
    stored = sandbox.client("ssm").get_parameter(Name="/projects/p-1abc/key")["Parameter"]
    assert stored["Value"].endswith(f"key/{key}")
    alias = sandbox.client("kms").describe_key(KeyId="alias/churn")
    assert alias["KeyMetadata"]["KeyId"] == key


def test_a_monitoring_schedule(sandbox, cf):
    """Refused until the sandbox has schedules (moto has none), by the resource that wants one."""
    stack = deploy(cf, "monitoring")
    if stack["StackStatus"] == "CREATE_COMPLETE":
        name = {"MonitoringScheduleName": "churn-schedule"}
        found = sandbox.client("sagemaker").describe_monitoring_schedule(**name)
        given = found["MonitoringScheduleConfig"]["ScheduleConfig"]["ScheduleExpression"]
        assert given == "cron(0 * ? * * *)"
        return
    events = cf.describe_stack_events(StackName="s")["StackEvents"]
    (failed,) = [one for one in events if one["ResourceStatus"] == "CREATE_FAILED"]
    assert failed["LogicalResourceId"] == "Schedule"
    assert failed["ResourceType"] == "AWS::SageMaker::MonitoringSchedule"
    reason = failed["ResourceStatusReason"]
    assert "NotImplementedInSandbox" in reason
    assert "sagemaker:CreateMonitoringSchedule" in reason
    assert not sandbox.client("sagemaker").list_data_quality_job_definitions()[
        "JobDefinitionSummaries"
    ]


def test_a_property_that_nothing_carries_out_is_named(cf):
    text = json.dumps(
        {
            "Resources": {
                "Build": {
                    "Type": "AWS::CodeBuild::Project",
                    "Properties": {
                        "Artifacts": {"Type": "NO_ARTIFACTS"},
                        "Source": {"Type": "NO_SOURCE", "BuildSpec": "version: 0.2"},
                        "Environment": {
                            "Type": "LINUX_CONTAINER",
                            "ComputeType": "BUILD_GENERAL1_SMALL",
                            "Image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
                        },
                        "ServiceRole": "arn:aws:iam::333333333333:role/seedbed-admin",
                        "BadgeEnabled": True,
                    },
                }
            }
        }
    )
    cf.create_stack(StackName="s", TemplateBody=text)
    assert settle(cf, "s")["StackStatus"] == "ROLLBACK_COMPLETE"
    events = cf.describe_stack_events(StackName="s")["StackEvents"]
    (failed,) = [one for one in events if one["ResourceStatus"] == "CREATE_FAILED"]
    said = (failed["LogicalResourceId"], failed["ResourceType"])
    assert said == ("Build", "AWS::CodeBuild::Project")
    assert "badgeEnabled" in failed["ResourceStatusReason"]
