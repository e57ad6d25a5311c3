"""SageMaker projects from a template in S3: what is made, as whom, and what becomes of failures."""

from __future__ import annotations

import json
import re

import pytest
from access import allow, make_role, refused, trusting
from waiting import settled_project

BUCKET, KEY = "templates", "templates/plain.yml"
URL = f"https://{BUCKET}.s3.eu-west-1.amazonaws.com/{KEY}"
TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  SageMakerProjectName: {Type: String}
  SageMakerProjectId: {Type: String}
  Colour: {Type: String, Default: grey}
Resources:
  Note:
    Type: AWS::SSM::Parameter
    Properties:
      Name: !Sub /projects/${SageMakerProjectId}
      Type: String
      Value: !Sub ${SageMakerProjectName} is ${Colour}
"""
LAUNCH_TRUST = trusting({"Service": "cloudformation.amazonaws.com"})
STACKS = "arn:aws:cloudformation:eu-west-1:333333333333:stack/SP-*"
MUTATE = [f"cloudformation:{verb}Stack" for verb in ("Create", "Update", "Delete")]
GRANTS = {
    "project": allow(["sagemaker:*Project", "sagemaker:AddTags", "sagemaker:ListTags"]),
    "stack": allow([*MUTATE, "cloudformation:DescribeStacks"], STACKS),
    "tag": allow("cloudformation:TagResource", STACKS),
    "read": allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*"),
    "tagging": allow("s3:GetObjectTagging", f"arn:aws:s3:::{BUCKET}/*"),
    "pass": allow("iam:PassRole", "arn:aws:iam::333333333333:role/launch"),
}


def put_template(sandbox, body=TEMPLATE, key=KEY):
    s3 = sandbox.client("s3")
    if not s3.list_buckets()["Buckets"]:
        where = {"LocationConstraint": "eu-west-1"}
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    s3.put_object(Bucket=BUCKET, Key=key, Body=body.encode())
    return f"https://{BUCKET}.s3.eu-west-1.amazonaws.com/{key}"


def provider(url=URL, **more):
    return [{"CfnTemplateProvider": {"TemplateName": "plain", "TemplateURL": url, **more}}]


def pairs(**values):
    return [{"Key": key, "Value": value} for key, value in values.items()]


def stack_of(said):
    return said["TemplateProviderDetails"][0]["CfnTemplateProviderDetail"]["StackDetail"]


def note(sandbox, said):
    name = f"/projects/{said['ProjectId']}"
    return sandbox.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]


@pytest.fixture
def user(sandbox):
    """A Studio execution role that may make projects from S3, and the launch role."""
    put_template(sandbox)
    launch = make_role(sandbox, "launch", allow("ssm:*"), trust=LAUNCH_TRUST)
    arn = make_role(sandbox, "studio", *GRANTS.values())
    client = sandbox.become("sagemaker", arn)
    client.launch = launch
    return client


def test_a_template_becomes_a_stack(sandbox, user):
    made = user.create_project(
        ProjectName="churn",
        ProjectDescription="who leaves",
        TemplateProviders=provider(RoleARN=user.launch, Parameters=pairs(Colour="blue")),
        Tags=pairs(team="a"),
    )
    said = settled_project(user)
    assert said["ProjectStatus"] == "CreateCompleted", said
    assert (said["ProjectArn"], said["ProjectId"]) == (made["ProjectArn"], made["ProjectId"])
    assert re.fullmatch(r"p-[a-z0-9]{12}", said["ProjectId"])
    assert said["ProjectDescription"] == "who leaves"
    assert said["CreatedBy"]["IamIdentity"]["Arn"].endswith("assumed-role/studio/sandbox")
    detail = said["TemplateProviderDetails"][0]["CfnTemplateProviderDetail"]
    stack = detail.pop("StackDetail")
    assert detail == {
        "TemplateName": "plain",
        "TemplateURL": URL,
        "RoleARN": user.launch,
        "Parameters": pairs(Colour="blue"),
    }
    assert stack["StatusMessage"] == "CREATE_COMPLETE"
    assert stack["Name"].startswith("SP-")
    assert note(sandbox, said) == "churn is blue"
    found = sandbox.client("cloudformation").describe_stacks(StackName=stack["Id"])["Stacks"][0]
    assert found["RoleARN"] == user.launch
    assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == {
        "team": "a",
        "sagemaker:project-name": "churn",
        "sagemaker:project-id": said["ProjectId"],
    }
    made_by = sandbox.calls(service="ssm", operation="PutParameter")
    assert {call["principal"] for call in made_by} == {user.launch}
    assert user.list_tags(ResourceArn=said["ProjectArn"])["Tags"] == pairs(team="a")


def test_an_update_brings_the_new_template(sandbox, user):
    user.create_project(ProjectName="churn", TemplateProviders=provider(RoleARN=user.launch))
    settled_project(user)
    url = put_template(sandbox, TEMPLATE.replace(" is ", " was "), "templates/v2.yml")
    user.update_project(
        ProjectName="churn",
        ProjectDescription="new",
        TemplateProvidersToUpdate=provider(url, Parameters=pairs(Colour="red")),
    )
    said = settled_project(user)
    assert said["ProjectStatus"] == "UpdateCompleted", said
    assert said["ProjectDescription"] == "new"
    detail = said["TemplateProviderDetails"][0]["CfnTemplateProviderDetail"]
    assert (detail["TemplateURL"], detail["Parameters"]) == (url, pairs(Colour="red"))
    assert note(sandbox, said) == "churn was red"
    assert said["LastModifiedTime"] > said["CreationTime"]


def test_a_parameter_without_a_value_keeps_its_own(sandbox, user):
    said = {"RoleARN": user.launch, "Parameters": pairs(Colour="blue")}
    user.create_project(ProjectName="churn", TemplateProviders=provider(**said))
    settled_project(user)
    url = put_template(sandbox, TEMPLATE.replace(" is ", " was "), "templates/v2.yml")
    kept = provider(url, Parameters=[{"Key": "Colour"}])
    user.update_project(ProjectName="churn", TemplateProvidersToUpdate=kept)
    assert note(sandbox, settled_project(user)) == "churn was blue"
    again = put_template(sandbox, TEMPLATE, "templates/v3.yml")
    user.update_project(ProjectName="churn", TemplateProvidersToUpdate=provider(again))
    assert note(sandbox, settled_project(user)) == "churn is grey"


def test_tags_alone_update_the_stack(sandbox, user):
    user.create_project(ProjectName="churn", TemplateProviders=provider(RoleARN=user.launch))
    stack = stack_of(settled_project(user))
    user.update_project(ProjectName="churn", Tags=pairs(team="b"))
    said = settled_project(user)
    assert said["ProjectStatus"] == "UpdateCompleted", said
    found = sandbox.client("cloudformation").describe_stacks(StackName=stack["Id"])["Stacks"][0]
    assert {"Key": "team", "Value": "b"} in found["Tags"]
    assert len(found["Tags"]) == 3


def test_an_update_that_fails_leaves_what_was(sandbox, user):
    user.create_project(ProjectName="churn", TemplateProviders=provider(RoleARN=user.launch))
    settled_project(user)
    queue = "  Queue: {Type: AWS::SQS::Queue}\n"
    url = put_template(sandbox, TEMPLATE + queue, "templates/v2.yml")
    user.update_project(ProjectName="churn", TemplateProvidersToUpdate=provider(url))
    said = settled_project(user)
    assert said["ProjectStatus"] == "UpdateFailed"
    assert "UPDATE_ROLLBACK_COMPLETE" in stack_of(said)["StatusMessage"]
    detail = said["TemplateProviderDetails"][0]["CfnTemplateProviderDetail"]
    assert detail["TemplateURL"] == URL
    user.update_project(ProjectName="churn", TemplateProvidersToUpdate=provider())
    said = settled_project(user)
    assert said["ProjectStatus"] == "UpdateFailed"
    assert "No updates" in stack_of(said)["StatusMessage"]


def test_a_deleted_project_takes_its_stack_along(sandbox, user):
    user.create_project(ProjectName="churn", TemplateProviders=provider(RoleARN=user.launch))
    stack = stack_of(settled_project(user))
    user.delete_project(ProjectName="churn")
    assert settled_project(user)["ProjectStatus"] == "DeleteCompleted"
    found = sandbox.client("cloudformation").describe_stacks(StackName=stack["Id"])["Stacks"][0]
    assert found["StackStatus"] == "DELETE_COMPLETE"
    with refused("ValidationException", "does not exist"):
        user.delete_project(ProjectName="churn")
    again = user.create_project(ProjectName="churn", TemplateProviders=provider())
    assert settled_project(user)["ProjectId"] == again["ProjectId"]


@pytest.mark.parametrize("missing", ["stack", "tag", "read", "tagging", "pass"])
def test_every_grant_of_the_caller_is_needed(sandbox, missing):
    put_template(sandbox)
    launch = make_role(sandbox, "launch", allow("ssm:*"), trust=LAUNCH_TRUST)
    granted = [one for name, one in GRANTS.items() if name != missing]
    client = sandbox.become("sagemaker", make_role(sandbox, "studio", *granted))
    client.create_project(ProjectName="churn", TemplateProviders=provider(RoleARN=launch))
    said = settled_project(client)
    assert said["ProjectStatus"] == "CreateFailed"
    action = GRANTS[missing]["Action"]
    wanted = action if isinstance(action, str) else action[0]
    assert wanted in stack_of(said)["StatusMessage"]


def test_a_failed_stack_fails_the_project(sandbox, user):
    denied = make_role(sandbox, "weak", allow("ssm:AddTagsToResource"), trust=LAUNCH_TRUST)
    statement = allow("iam:PassRole", denied)
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam = sandbox.client("iam")
    iam.put_role_policy(RoleName="studio", PolicyName="weak", PolicyDocument=policy)
    user.create_project(ProjectName="churn", TemplateProviders=provider(RoleARN=denied))
    said = settled_project(user)
    assert said["ProjectStatus"] == "CreateFailed"
    assert "ROLLBACK_COMPLETE" in stack_of(said)["StatusMessage"]
    with refused("ConflictException", "CreateFailed"):
        user.update_project(ProjectName="churn", TemplateProvidersToUpdate=provider())
    user.delete_project(ProjectName="churn")
    assert settled_project(user)["ProjectStatus"] == "DeleteCompleted"


def test_only_declared_parameters_are_injected(sandbox, user):
    plain = "Resources: {T: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: a}}}"
    url = put_template(sandbox, plain, "templates/bare.yml")
    user.create_project(ProjectName="bare", TemplateProviders=provider(url, RoleARN=user.launch))
    assert settled_project(user, "bare")["ProjectStatus"] == "CreateCompleted"


def test_one_project_of_a_name_and_one_route(user):
    user.create_project(ProjectName="churn", TemplateProviders=provider(RoleARN=user.launch))
    with refused("ValidationException", "already exists"):
        user.create_project(ProjectName="churn", TemplateProviders=provider())
    with refused("ValidationException", "either"):
        user.create_project(ProjectName="other")
    with refused("ValidationException", "does not exist"):
        user.describe_project(ProjectName="other")
    settled_project(user)
    with refused("ValidationException", "not of Service Catalog"):
        user.update_project(ProjectName="churn", ServiceCatalogProvisioningUpdateDetails={})
    other = [{"CfnTemplateProvider": {"TemplateName": "other", "TemplateURL": URL}}]
    with refused("ValidationException", "has no template other"):
        user.update_project(ProjectName="churn", TemplateProvidersToUpdate=other)


def test_projects_are_listed_as_asked(sandbox):
    put_template(sandbox)
    admin = sandbox.client("sagemaker")
    for name in ("b-churn", "a-churn", "c-fraud"):
        admin.create_project(ProjectName=name, TemplateProviders=provider())
    for name in ("b-churn", "a-churn", "c-fraud"):
        settled_project(admin, name)

    def names(**asked):
        found = admin.list_projects(**asked)["ProjectSummaryList"]
        return [one["ProjectName"] for one in found]

    assert names() == ["b-churn", "a-churn", "c-fraud"]
    assert names(SortOrder="Descending") == ["c-fraud", "a-churn", "b-churn"]
    assert names(SortBy="Name", NameContains="churn") == ["a-churn", "b-churn"]
    first = admin.list_projects(MaxResults=2)
    rest = admin.list_projects(MaxResults=2, NextToken=first["NextToken"])
    assert len(first["ProjectSummaryList"]) == 2
    assert [one["ProjectName"] for one in rest["ProjectSummaryList"]] == ["c-fraud"]
    after = first["ProjectSummaryList"][1]["CreationTime"]
    assert names(CreationTimeAfter=after) == ["c-fraud"]
    assert rest["ProjectSummaryList"][0]["ProjectStatus"] == "CreateCompleted"


def test_the_portfolio_is_a_switch(sandbox):
    client = sandbox.client("sagemaker")
    status = client.get_sagemaker_servicecatalog_portfolio_status
    assert status()["Status"] == "Disabled"
    client.enable_sagemaker_servicecatalog_portfolio()
    assert status()["Status"] == "Enabled"
    other = sandbox.client("sagemaker", "test")
    assert other.get_sagemaker_servicecatalog_portfolio_status()["Status"] == "Disabled"
    client.disable_sagemaker_servicecatalog_portfolio()
    assert status()["Status"] == "Disabled"


def test_the_portfolio_is_shared_with_who_enables_it(sandbox):
    client, catalog = sandbox.client("sagemaker"), sandbox.client("servicecatalog")
    client.enable_sagemaker_servicecatalog_portfolio()
    client.enable_sagemaker_servicecatalog_portfolio()
    (found,) = catalog.list_accepted_portfolio_shares()["PortfolioDetails"]
    assert found["ProviderName"] == "Amazon SageMaker"
    role = make_role(sandbox, "studio")
    catalog.associate_principal_with_portfolio(
        PortfolioId=found["Id"], PrincipalARN=role, PrincipalType="IAM"
    )
    listed = catalog.list_principals_for_portfolio(PortfolioId=found["Id"])
    assert [one["PrincipalARN"] for one in listed["Principals"]] == [role]
    client.disable_sagemaker_servicecatalog_portfolio()
    assert catalog.list_accepted_portfolio_shares()["PortfolioDetails"] == []
