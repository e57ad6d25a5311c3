"""Templates shaped like AWS's own for projects: each completes, or names what it is refused for."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

from access import make_role, trusting
from cfn_stacks import ALL, delete, history, outputs, parameters, physical, settle

TEMPLATES = Path(__file__).with_name("templates")
GIVEN = parameters({"SageMakerProjectName": "churn", "SageMakerProjectId": "p-1abc"})


def deploy(cf, name):
    text = (TEMPLATES / f"{name}.yml").read_text(encoding="utf-8")
    cf.create_stack(StackName="s", TemplateBody=text, Parameters=GIVEN, Capabilities=ALL)
    return settle(cf, "s")


def complete(cf, name):
    stack = deploy(cf, name)
    failed = [event for event in history(cf, "s") if event[1].endswith("_FAILED")]
    assert stack["StackStatus"] == "CREATE_COMPLETE", failed
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


def test_monitoring_schedules(sandbox, cf):
    complete(cf, "monitoring")
    found = {}
    for name in ("schedule", "inline"):
        asked = {"MonitoringScheduleName": f"churn-{name}"}
        found[name] = sandbox.client("sagemaker").describe_monitoring_schedule(**asked)
    config = found["schedule"]["MonitoringScheduleConfig"]
    assert config["ScheduleConfig"] == {"ScheduleExpression": "cron(0 * ? * * *)"}
    assert config["MonitoringJobDefinitionName"] == "churn-quality"
    assert found["inline"]["EndpointName"] == "churn", "the definition's"
    assert delete(cf, "s")["StackStatus"] == "DELETE_COMPLETE"


NETWORK = """
import json, urllib.request
def handler(event, context):
    told = {"Vpc": "vpc-1", "Subnets": ["subnet-1", "subnet-2"], "Groups": ["sg-1"]}
    said = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    said |= {"Status": "SUCCESS", "PhysicalResourceId": "network", "Data": told}
    body = json.dumps(said).encode()
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], body, method="PUT"))
"""


def test_a_repository_and_a_function_that_a_parameter_names(sandbox, cf):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", NETWORK)
    function = sandbox.client("lambda").create_function(
        FunctionName="network",
        Role=make_role(sandbox, "network", trust=trusting({"Service": "lambda.amazonaws.com"})),
        Runtime="python3.13",
        Handler="index.handler",
        Code={"ZipFile": packed.getvalue()},
    )
    ssm = sandbox.client("ssm")
    ssm.put_parameter(Name="/network/function", Value=function["FunctionArn"], Type="String")
    told = outputs(complete(cf, "repository"))
    place = "git-codecommit.eu-west-1.amazonaws.com/v1/repos/churn-p-1abc"
    assert told == {"Https": f"https://{place}", "Ssh": f"ssh://{place}"}
    code = sandbox.client("sagemaker").describe_code_repository(CodeRepositoryName="churn-code")
    assert code["GitConfig"]["RepositoryUrl"] == told["Https"]
    name = physical(cf, "s", "Build")
    (project,) = sandbox.client("codebuild").batch_get_projects(names=[name])["projects"]
    assert project["vpcConfig"]["subnets"] == ["subnet-1", "subnet-2"]
    assert delete(cf, "s")["StackStatus"] == "DELETE_COMPLETE"


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
