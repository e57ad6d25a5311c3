"""Templates shaped like AWS's own for projects: each completes, or names what it is refused for."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from access import make_role, refused, trusting
from cfn_stacks import (
    ALL,
    QUEUE,
    body,
    create,
    delete,
    history,
    one,
    outputs,
    parameters,
    physical,
    reason,
    settle,
    update,
)

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


def test_an_api_as_the_cdk_writes_it(sandbox, cf):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("python/shared.py", "")
    s3, place = sandbox.client("s3"), {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="seedcode", CreateBucketConfiguration=place)
    s3.put_object(Bucket="seedcode", Key="layer.zip", Body=packed.getvalue())
    told = outputs(complete(cf, "api"))
    api = physical(cf, "s", "Api")
    assert told["Url"] == f"https://{api}.execute-api.eu-west-1.amazonaws.com/dev/"
    gateway = sandbox.client("apigateway")
    proxy = {"restApiId": api, "resourceId": physical(cf, "s", "Proxy"), "httpMethod": "ANY"}
    uri = gateway.get_integration(**proxy)["uri"]
    assert f":function:{physical(cf, 's', 'Function')}/invocations" in uri
    (stage,) = gateway.get_stages(restApiId=api)["item"]
    assert stage["deploymentId"] == physical(cf, "s", "Deployment")
    assert physical(cf, "s", "CDKMetadata").startswith("s-CDKMetadata-")
    assert delete(cf, "s")["StackStatus"] == "DELETE_COMPLETE"
    assert sandbox.client("lambda").list_layers()["Layers"] == []
    assert gateway.get_rest_apis()["items"] == []


def test_aws_own_launch_policy_makes_a_stack_of_a_project(sandbox):
    role = make_role(sandbox, "launch")
    policy = "arn:aws:iam::aws:policy/AmazonSageMakerAdmin-ServiceCatalogProductsServiceRolePolicy"
    sandbox.client("iam").attach_role_policy(RoleName="launch", PolicyArn=policy)
    cf = sandbox.become("cloudformation", role)
    said = {
        "StackName": "SC-1",
        "TemplateBody": body(one("AWS::S3::Bucket", {"BucketName": "sagemaker-project-p-1"})),
    }
    with refused("AccessDenied", "cloudformation:TagResource"):
        cf.create_stack(**said, Tags=[{"Key": "team", "Value": "ml"}])
    cf.create_stack(**said, Tags=[{"Key": "sagemaker:project-name", "Value": "churn"}])
    assert settle(cf, "SC-1")["StackStatus"] == "CREATE_COMPLETE"
    tagged = sandbox.client("s3").get_bucket_tagging(Bucket="sagemaker-project-p-1")["TagSet"]
    assert tagged == [{"Key": "sagemaker:project-name", "Value": "churn"}]


def test_a_layer_of_nobody_here_is_named(sandbox, cf):
    layer = "arn:aws:lambda:eu-west-1:017000801446:layer:AWSLambdaPowertoolsPython:4"
    role = make_role(sandbox, "runner", trust=trusting({"Service": "lambda.amazonaws.com"}))
    function = {
        "Role": role, "Runtime": "python3.13", "Handler": "index.handler", "Layers": [layer],
        "Code": {"ZipFile": "handler = print"},
    }  # fmt: skip
    stack = create(cf, "s", one("AWS::Lambda::Function", function))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert f"Thing (AWS::Lambda::Function): property Layers: {layer}" in reason(cf, "s")


def test_the_serverless_transform_has_to_have_nothing_to_write(cf):
    own = {"Handler": "index.handler", "Runtime": "python3.13", "InlineCode": "handler = print"}
    sections = {"Transform": "AWS::Serverless-2016-10-31"}
    cf.create_stack(StackName="s", TemplateBody=body(one(QUEUE), **sections), Capabilities=ALL)
    assert settle(cf, "s")["StackStatus"] == "CREATE_COMPLETE"
    with refused("NotImplementedInSandbox", "Thing (AWS::Serverless::Function)", "Transform"):
        text = body(one("AWS::Serverless::Function", own), **sections)
        cf.create_stack(StackName="t", TemplateBody=text, Capabilities=ALL)


def pipeline(sandbox, *actions):
    """Return a pipeline of a source and then these actions, each a stage of its own."""
    source = action("Code", "Source/AWS/S3", S3Bucket="source", S3ObjectKey="source.zip")
    source["OutputArtifacts"] = [{"Name": "Code"}]
    trust = trusting({"Service": "codepipeline.amazonaws.com"})
    stages = [{"Name": f"Stage{at}", "Actions": [one]} for at, one in enumerate((source, *actions))]
    return {
        "RoleArn": make_role(sandbox, "runner", trust=trust),
        "ArtifactStore": {"Type": "S3", "Location": "artifacts"},
        "Stages": stages,
    }


def action(name, kind, **configuration):
    category, owner, provider = kind.split("/")
    said = {"Category": category, "Owner": owner, "Provider": provider, "Version": "1"}
    return {"Name": name, "ActionTypeId": said, "Configuration": configuration}


@pytest.mark.parametrize(
    ("stages", "place"),
    [
        ([action("Run", "Invoke/AWS/StepFunctions", StateMachineArn="arn")],
         "Stages/1/Actions/0/ActionTypeId"),
        ([action("Ok", "Approval/AWS/Manual"),
          {**action("Ask", "Approval/AWS/Manual"), "Region": "us-east-1"}], "Stages/2/Actions/0"),
    ],
)  # fmt: skip
def test_an_action_that_is_not_emulated_is_named_with_its_place(sandbox, cf, stages, place):
    made = create(cf, "s", one("AWS::CodePipeline::Pipeline", pipeline(sandbox, *stages)))
    assert made["StackStatus"] == "ROLLBACK_COMPLETE"
    assert f"Thing (AWS::CodePipeline::Pipeline): property {place}: " in reason(cf, "s")
    assert stages[-1]["Name"] in reason(cf, "s")


def test_an_update_names_the_action_that_is_not_emulated_and_leaves_the_pipeline(sandbox, cf):
    approve = action("Ok", "Approval/AWS/Manual")
    kind = "AWS::CodePipeline::Pipeline"
    given = pipeline(sandbox, approve)
    assert create(cf, "s", one(kind, given))["StackStatus"] == "CREATE_COMPLETE", reason(cf, "s")
    scan = {"Name": "Scan", "Actions": [action("Scan", "Invoke/AWS/InspectorScan")]}
    changed = {**given, "Stages": [*given["Stages"], scan]}
    assert update(cf, "s", one(kind, changed))["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "Thing (AWS::CodePipeline::Pipeline): property Stages/2/Actions/0" in reason(cf, "s")
    name = physical(cf, "s")
    kept = sandbox.client("codepipeline").get_pipeline(name=name)["pipeline"]
    assert [stage["name"] for stage in kept["stages"]] == ["Stage0", "Stage1"]


def test_a_target_that_is_not_emulated_is_named_with_its_place(cf):
    machine = "arn:aws:states:eu-west-1:333333333333:stateMachine:m"
    role = "arn:aws:iam::333333333333:role/seedbed-admin"
    queue = {"Id": "a", "Arn": "arn:aws:sqs:eu-west-1:333333333333:q"}
    rule = {
        "ScheduleExpression": "rate(1 hour)",
        "Targets": [queue, {"Id": "b", "Arn": machine, "RoleArn": role}],
    }
    assert create(cf, "s", one("AWS::Events::Rule", rule))["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "Thing (AWS::Events::Rule): property Targets/1/Arn: " in reason(cf, "s")
    assert machine in reason(cf, "s")


def test_a_type_that_no_service_makes_is_named(cf):
    kind = "AWS::Cassandra::Keyspace"
    with refused("NotImplementedInSandbox", f"Thing: type {kind} is not emulated") as caught:
        cf.create_stack(StackName="s", TemplateBody=body(one(kind)))
    assert len(str(caught.value)) < 300, "not every service that there is"


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
