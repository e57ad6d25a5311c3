"""SageMaker's types in a stack: every property given is read back, changed, and removed."""

from __future__ import annotations

import json

import jmespath
import pytest
from access import allow, make_role, refused, trusting
from botocore.exceptions import ClientError
from cfn_cases import ROLE, TAGS, Case, statement
from cfn_stacks import create, delete, history, outputs, physical, reason, update
from test_cfn_kinds import fill
from test_sagemaker_projects import URL, pairs, put_template
from test_sagemaker_studio import DOMAIN, SETTINGS, SPACES

from seedbed.sandbox.cloudformation import schemas

GROUP_ARN = "arn:aws:sagemaker:eu-west-1:333333333333:model-package-group/g"
OTHERS = {"Principal": {"AWS": "arn:aws:iam::222222222222:root"}}
READERS = statement("sagemaker:DescribeModelPackageGroup", GROUP_ARN, **OTHERS)
WRITERS = statement("sagemaker:*", GROUP_ARN, **OTHERS)
BARE = {"DomainName": "d", "AuthMode": "IAM", "DefaultUserSettings": {"ExecutionRole": ROLE}}
PLACE = {"Type": "AWS::SageMaker::Domain", "Properties": BARE}
PERSON = {"Type": "AWS::SageMaker::UserProfile", "Properties": {
    "DomainId": {"Ref": "Place"}, "UserProfileName": "ann"}}  # fmt: skip
LOGIN = "arn:aws:secretsmanager:eu-west-1:333333333333:secret:AmazonSageMaker-{}"
GIT = {
    "RepositoryUrl": "https://git.example.com/a",
    "Branch": "main",
    "SecretArn": LOGIN.format(1),
}
# The registry's schema of a profile knows no idle settings.
MINE = {key: value for key, value in SETTINGS.items() if not key.endswith("AppSettings")}
CLUSTER = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 20}
IMAGE = "333333333333.dkr.ecr.eu-west-1.amazonaws.com/monitor:1"
OUTPUT = {
    "MonitoringOutputs": [
        {"S3Output": {"S3Uri": "s3://b/out", "LocalPath": "/out", "S3UploadMode": "EndOfJob"}}
    ]
}
INPUT = {"EndpointName": "e", "LocalPath": "/in"}
INLINE = {
    "MonitoringInputs": [{"EndpointInput": INPUT}],
    "MonitoringOutputConfig": OUTPUT,
    "MonitoringResources": {"ClusterConfig": CLUSTER},
    "MonitoringAppSpecification": {"ImageUri": IMAGE},
    "RoleArn": ROLE,
}
HOURLY = {"ScheduleExpression": "cron(0 * ? * * *)"}
DAILY = {"ScheduleExpression": "cron(0 0 ? * * *)"}


def definition(noun, **more):
    config = {} if noun.endswith("Quality") else {"ConfigUri": "s3://b/config.json"}
    if noun == "ModelQuality":
        config = {"ProblemType": "Regression"}
    return {
        "JobDefinitionName": "j",
        f"{noun}AppSpecification": {"ImageUri": IMAGE, **config},
        f"{noun}JobInput": {"EndpointInput": INPUT, **more},
        f"{noun}JobOutputConfig": OUTPUT,
        "JobResources": {"ClusterConfig": CLUSTER},
        "RoleArn": ROLE,
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }


def definition_case(noun, method, **more):
    given = definition(noun, **more)
    return Case(
        f"AWS::SageMaker::{noun}JobDefinition", {**given, "Tags": TAGS},
        ("sagemaker", f"describe_{method}_job_definition", {"JobDefinitionName": "j"}, "@"), given,
    )  # fmt: skip


TRUTH = {"GroundTruthS3Input": {"S3Uri": "s3://b/truth"}}
CASES = [
    Case(
        "AWS::SageMaker::ModelPackageGroup",
        {"ModelPackageGroupName": "g", "ModelPackageGroupDescription": "d", "Tags": TAGS,
         "ModelPackageGroupPolicy": READERS},
        ("sagemaker", "get_model_package_group_policy", {"ModelPackageGroupName": "g"},
         "{ModelPackageGroupPolicy: ResourcePolicy}"),
        {"ModelPackageGroupPolicy": READERS},
        {"ModelPackageGroupPolicy": WRITERS}, {"ModelPackageGroupPolicy": WRITERS},
    ),
    Case(
        "AWS::SageMaker::Domain", {**DOMAIN, "HomeEfsFileSystemCreation": "Enabled", "Tags": TAGS},
        ("sagemaker", "describe_domain", {"DomainId": "$"}, "@"),
        {**DOMAIN, "HomeEfsFileSystemCreation": "Enabled"},
        {"DefaultSpaceSettings": {**SPACES, "SecurityGroups": ["sg-00000009"]},
         "DomainSettings": {**DOMAIN["DomainSettings"], "SecurityGroupIds": ["sg-00000008"]},
         "TagPropagation": "DISABLED", "Tags": [{"Key": "team", "Value": "x"}]},
        {**DOMAIN, "DefaultSpaceSettings": {**SPACES, "SecurityGroups": ["sg-00000009"]},
         "DomainSettings": {**DOMAIN["DomainSettings"], "SecurityGroupIds": ["sg-00000008"]},
         "TagPropagation": "DISABLED"},
    ),
    Case(
        "AWS::SageMaker::UserProfile",
        {"DomainId": {"Ref": "Place"}, "UserProfileName": "ann", "UserSettings": MINE,
         "Tags": TAGS},
        ("sagemaker", "describe_user_profile", {"DomainId": "$Place", "UserProfileName": "ann"},
         "@"), {"UserSettings": MINE, "UserProfileName": "ann"},
        {"UserSettings": {**MINE, "SecurityGroups": ["sg-00000009"]}},
        {"UserSettings": {**MINE, "SecurityGroups": ["sg-00000009"]}},
        beside={"Place": PLACE},
    ),
    Case(
        "AWS::SageMaker::Space",
        {"DomainId": {"Ref": "Place"}, "SpaceName": "lab", "SpaceDisplayName": "Lab",
         "OwnershipSettings": {"OwnerUserProfileName": {"Fn::Select": [0, {"Fn::Split": [
             "|", {"Ref": "Person"}]}]}},
         "SpaceSharingSettings": {"SharingType": "Private"},
         "SpaceSettings": {"AppType": "JupyterLab", "JupyterLabAppSettings": {
             "DefaultResourceSpec": {"InstanceType": "ml.t3.medium"}}}, "Tags": TAGS},
        ("sagemaker", "describe_space", {"DomainId": "$Place", "SpaceName": "lab"}, "@"),
        {"SpaceDisplayName": "Lab", "SpaceSharingSettings": {"SharingType": "Private"},
         "OwnershipSettings": {"OwnerUserProfileName": "ann"},
         "SpaceSettings": {"AppType": "JupyterLab", "JupyterLabAppSettings": {
             "DefaultResourceSpec": {"InstanceType": "ml.t3.medium"}}}},
        {"SpaceDisplayName": "Other"}, {"SpaceDisplayName": "Other"},
        beside={"Place": PLACE, "Person": PERSON},
    ),
    Case(
        "AWS::SageMaker::StudioLifecycleConfig",
        {"StudioLifecycleConfigName": "idle", "StudioLifecycleConfigContent": "ZWNobwo=",
         "StudioLifecycleConfigAppType": "JupyterLab", "Tags": TAGS},
        ("sagemaker", "describe_studio_lifecycle_config", {"StudioLifecycleConfigName": "idle"},
         "@"), {"StudioLifecycleConfigContent": "ZWNobwo=",
                "StudioLifecycleConfigAppType": "JupyterLab"},
    ),
    Case(
        "AWS::SageMaker::CodeRepository",
        {"CodeRepositoryName": "code", "GitConfig": GIT, "Tags": TAGS},
        ("sagemaker", "describe_code_repository", {"CodeRepositoryName": "code"}, "@"),
        {"GitConfig": GIT}, {"GitConfig": {**GIT, "SecretArn": LOGIN.format(2)}},
        {"GitConfig": {**GIT, "SecretArn": LOGIN.format(2)}},
    ),
    Case(
        "AWS::SageMaker::MonitoringSchedule",
        {"MonitoringScheduleName": "m", "Tags": TAGS, "MonitoringScheduleConfig": {
            "ScheduleConfig": HOURLY, "MonitoringJobDefinition": INLINE,
            "MonitoringType": "DataQuality"}},
        ("sagemaker", "describe_monitoring_schedule", {"MonitoringScheduleName": "m"}, "@"),
        {"MonitoringScheduleStatus": "Scheduled", "EndpointName": "e",
         "MonitoringType": "DataQuality", "MonitoringScheduleConfig": {
            "ScheduleConfig": HOURLY, "MonitoringJobDefinition": INLINE,
            "MonitoringType": "DataQuality"}},
        {"MonitoringScheduleConfig": {
            "ScheduleConfig": DAILY, "MonitoringJobDefinitionName": "j",
            "MonitoringType": "DataQuality"}},
        {"MonitoringScheduleConfig": {
            "ScheduleConfig": DAILY, "MonitoringJobDefinitionName": "j",
            "MonitoringType": "DataQuality"}},
        beside={"Job": {"Type": "AWS::SageMaker::DataQualityJobDefinition",
                        "Properties": definition("DataQuality")}},
    ),
    definition_case("DataQuality", "data_quality"),
    definition_case("ModelQuality", "model_quality", **TRUTH),
    definition_case("ModelBias", "model_bias", **TRUTH),
    definition_case("ModelExplainability", "model_explainability"),
]  # fmt: skip


def shown(sandbox, case, cf, wanted):
    service, method, params, expression = case.read
    asked = {key: fill(value, cf) for key, value in params.items()}
    found = jmespath.search(expression, getattr(sandbox.client(service), method)(**asked))
    parsed = {key: found.get(key) for key in wanted}
    return {
        key: json.loads(value)
        if isinstance(wanted[key], dict) and isinstance(value, str)
        else value
        for key, value in parsed.items()
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.rpartition(":")[2])
def test_a_type(sandbox, case):
    cf, sagemaker = sandbox.client("cloudformation"), sandbox.client("sagemaker")
    thing = {"Type": case.kind, "Properties": case.properties}
    stack = create(cf, "s", {"Thing": thing, **case.beside})
    assert stack["StackStatus"] == "CREATE_COMPLETE", reason(cf, "s")
    assert shown(sandbox, case, cf, case.shown) == case.shown
    schema = schemas.find(case.kind, "eu-west-1")
    arn = next(name for name in schema.read_only if name.endswith("Arn"))
    told = {"Value": {"Value": {"Fn::GetAtt": ["Thing", arn]}}}
    if case.changed:
        was = physical(cf, "s")
        thing["Properties"] = {**case.properties, **case.changed}
        stack = update(cf, "s", {"Thing": thing, **case.beside}, Outputs=told)
        assert stack["StackStatus"] == "UPDATE_COMPLETE", reason(cf, "s")
        assert physical(cf, "s") == was
        assert shown(sandbox, case, cf, case.then) == case.then
    else:
        stack = update(cf, "s", {"Thing": thing, **case.beside}, Outputs=told)
    tags = sagemaker.list_tags(ResourceArn=outputs(stack)["Value"])["Tags"]
    assert tags == thing["Properties"]["Tags"]
    asked = {key: fill(value, cf) for key, value in case.read[2].items()}
    delete(cf, "s")
    assert not cf.describe_stacks()["Stacks"], history(cf, stack["StackId"])
    with pytest.raises(ClientError) as caught:
        getattr(sagemaker, case.read[1])(**asked)
    assert caught.value.response["Error"]["Code"] in {"ValidationException", "ResourceNotFound"}


def test_a_group_policy_is_taken_away(sandbox):
    cf, sagemaker = sandbox.client("cloudformation"), sandbox.client("sagemaker")
    thing = {"Type": CASES[0].kind, "Properties": dict(CASES[0].properties)}
    create(cf, "s", {"Thing": thing})
    del thing["Properties"]["ModelPackageGroupPolicy"]
    assert update(cf, "s", {"Thing": thing})["StackStatus"] == "UPDATE_COMPLETE"
    with refused("ValidationException", "Cannot find a resource policy"):
        sagemaker.get_model_package_group_policy(ModelPackageGroupName="g")


def test_what_was_deleted_by_hand_is_gone(sandbox):
    """SageMaker tells it with ValidationException, the code of every other wrong request."""
    cf, sagemaker = sandbox.client("cloudformation"), sandbox.client("sagemaker")
    image = {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": "i"}}
    group = {"ModelPackageGroupName": "g", "ModelPackageGroupPolicy": READERS}
    things = {
        "Group": {"Type": CASES[0].kind, "Properties": group},
        "Model": {"Type": "AWS::SageMaker::Model", "Properties": {"ModelName": "m", **image}},
    }
    stack = create(cf, "s", things)
    sagemaker.delete_model_package_group_policy(ModelPackageGroupName="g")
    sagemaker.delete_model_package_group(ModelPackageGroupName="g")
    sagemaker.delete_model(ModelName="m")
    delete(cf, "s")
    assert not cf.describe_stacks()["Stacks"], history(cf, stack["StackId"])


def test_a_group_with_versions_is_not_gone(sandbox):
    cf, sagemaker = sandbox.client("cloudformation"), sandbox.client("sagemaker")
    thing = {"Type": CASES[0].kind, "Properties": {"ModelPackageGroupName": "g"}}
    create(cf, "s", {"Thing": thing})
    sagemaker.create_model_package(ModelPackageGroupName="g")
    assert delete(cf, "s")["StackStatus"] == "DELETE_FAILED"


def test_a_job_definition_gets_a_name(sandbox):
    cf = sandbox.client("cloudformation")
    given = definition("DataQuality")
    del given["JobDefinitionName"]
    thing = {"Type": "AWS::SageMaker::DataQualityJobDefinition", "Properties": given}
    assert create(cf, "s", {"Thing": thing})["StackStatus"] == "CREATE_COMPLETE"
    assert "/s-thing-" in physical(cf, "s").lower()


def test_what_no_call_takes_is_named(sandbox):
    cf = sandbox.client("cloudformation")
    case = next(one for one in CASES if one.kind.endswith("MonitoringSchedule"))
    given = {**case.properties, "MonitoringScheduleStatus": "Stopped"}
    create(cf, "s", {"Thing": {"Type": case.kind, "Properties": given}})
    assert "property MonitoringScheduleStatus is not emulated" in reason(cf, "s")


def project(**more):
    return {"Thing": {"Type": "AWS::SageMaker::Project", "Properties": {
        "ProjectName": "churn", "ProjectDescription": "d", "Tags": TAGS, **more}}}  # fmt: skip


def template(launch, **more):
    said = {"TemplateName": "plain", "TemplateURL": URL, "RoleARN": launch, **more}
    return [{"CfnTemplateProviderDetail": said}]


TOLD = {
    name: {"Value": {"Fn::GetAtt": ["Thing", name]}}
    for name in ("ProjectArn", "ProjectId", "ProjectStatus")
}


def test_a_project_in_a_stack(sandbox):
    put_template(sandbox)
    cf, sagemaker = sandbox.client("cloudformation"), sandbox.client("sagemaker")
    trust = trusting({"Service": "cloudformation.amazonaws.com"})
    launch = make_role(sandbox, "launch", allow("ssm:*"), trust=trust)
    given = project(TemplateProviderDetails=template(launch, Parameters=pairs(Colour="red")))
    stack = create(cf, "s", given, Outputs=TOLD)
    assert stack["StackStatus"] == "CREATE_COMPLETE", reason(cf, "s")
    said = sagemaker.describe_project(ProjectName="churn")
    told = outputs(stack)
    assert told["ProjectStatus"] == "CreateCompleted"
    assert (told["ProjectId"], told["ProjectArn"]) == (said["ProjectId"], said["ProjectArn"])
    assert said["ProjectDescription"] == "d"
    detail = said["TemplateProviderDetails"][0]["CfnTemplateProviderDetail"]
    assert detail.pop("StackDetail")["StatusMessage"] == "CREATE_COMPLETE"
    assert [{"CfnTemplateProviderDetail": detail}] == template(
        launch, Parameters=pairs(Colour="red")
    )
    assert sagemaker.list_tags(ResourceArn=said["ProjectArn"])["Tags"] == TAGS
    assert len(cf.describe_stacks()["Stacks"]) == 2
    delete(cf, "s")
    assert not cf.describe_stacks()["Stacks"]
    assert sagemaker.describe_project(ProjectName="churn")["ProjectStatus"] == "DeleteCompleted"


def test_a_project_that_fails_fails_its_stack(sandbox):
    put_template(sandbox)
    cf = sandbox.client("cloudformation")
    trust = trusting({"Service": "cloudformation.amazonaws.com"})
    launch = make_role(sandbox, "launch", trust=trust)
    stack = create(cf, "s", project(TemplateProviderDetails=template(launch)))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "CreateFailed: ROLLBACK_COMPLETE" in reason(cf, "s")
    assert [one["StackName"] for one in cf.describe_stacks()["Stacks"]] == ["s"]
