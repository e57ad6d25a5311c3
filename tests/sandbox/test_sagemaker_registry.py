"""The model registry: versions keep all they are given, approvals stay, events tell of changes."""

from __future__ import annotations

import json

import pytest
from access import allow, document, make_role, refused
from botocore.exceptions import ClientError
from test_events import make_queue, received, rule

DEV, HUB = "333333333333", "222222222222"
GROUP = f"arn:aws:sagemaker:eu-west-1:{HUB}:model-package-group/churn"
VERSIONS = f"arn:aws:sagemaker:eu-west-1:{HUB}:model-package/churn/*"
CONTAINER = {"Image": f"{DEV}.dkr.ecr.eu-west-1.amazonaws.com/x:1", "ModelDataUrl": "s3://b/m"}
INFERENCE = {
    "Containers": [CONTAINER],
    "SupportedContentTypes": ["text/csv"],
    "SupportedResponseMIMETypes": ["text/csv"],
}
SOURCE = {"ContentType": "application/json", "S3Uri": "s3://b/stats.json"}
METRICS = {"ModelQuality": {"Statistics": SOURCE}, "Bias": {"Report": SOURCE}}
GIVEN = {
    "ModelPackageDescription": "a model",
    "ModelPackageRegistrationType": "Registered",
    "InferenceSpecification": INFERENCE,
    "ModelApprovalStatus": "Approved",
    "MetadataProperties": {"CommitId": "c1", "ProjectId": "p-1"},
    "ModelMetrics": METRICS,
    "Domain": "MACHINE_LEARNING",
    "Task": "CLASSIFICATION",
    "SamplePayloadUrl": "s3://b/sample.tar.gz",
    "CustomerMetadataProperties": {"owner": "me", "stage": "dev"},
    "DriftCheckBaselines": {"ModelQuality": {"Statistics": SOURCE}},
    "AdditionalInferenceSpecifications": [{"Name": "neo", "Containers": [CONTAINER]}],
    "SkipModelValidation": "All",
    "SourceUri": "s3://b/source",
    "SecurityConfig": {"KmsKeyId": "k"},
    "ModelCard": {"ModelCardContent": "{}", "ModelCardStatus": "Draft"},
    "ModelLifeCycle": {"Stage": "Dev", "StageStatus": "Ready", "StageDescription": "d"},
    "ValidationSpecification": {
        "ValidationRole": f"arn:aws:iam::{DEV}:role/v",
        "ValidationProfiles": [],
    },
    "SourceAlgorithmSpecification": {"SourceAlgorithms": [{"AlgorithmName": "a"}]},
}
PATTERN = json.dumps({"source": ["aws.sagemaker"]})


@pytest.fixture
def registry(sandbox):
    client = sandbox.client("sagemaker")
    client.create_model_package_group(ModelPackageGroupName="churn")
    return client


def register(client, group="churn", **more):
    said = {"ModelPackageGroupName": group, "InferenceSpecification": INFERENCE, **more}
    return client.create_model_package(**said)["ModelPackageArn"]


def described(client, arn):
    said = client.describe_model_package(ModelPackageName=arn)
    said.pop("ResponseMetadata")
    return said


def test_a_version_keeps_all_it_is_given(registry):
    arn = register(registry, **GIVEN, Tags=[{"Key": "a", "Value": "b"}])
    assert arn == f"arn:aws:sagemaker:eu-west-1:{DEV}:model-package/churn/1"
    said = described(registry, arn)
    assert {name: said.get(name) for name in GIVEN} == GIVEN
    assert said["ModelPackageVersion"] == 1
    assert (said["ModelPackageGroupName"], said["ModelPackageArn"]) == ("churn", arn)
    assert said["ModelPackageStatus"] == "Completed"
    assert said["ModelPackageStatusDetails"] == {"ValidationStatuses": [], "ImageScanStatuses": []}
    assert said["CreatedBy"]["IamIdentity"]["Arn"] == f"arn:aws:iam::{DEV}:root"
    assert registry.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]


def test_every_member_that_can_be_given_is_described():
    from moto.core.utils import get_service_model

    model = get_service_model("sagemaker")
    given = set(model.operation_model("CreateModelPackage").input_shape.members)
    told = set(model.operation_model("DescribeModelPackage").output_shape.members)
    assert given - told == {"Tags", "ClientToken"}
    group = {"ModelPackageGroupName", "ModelPackageName", "CertifyForMarketplace"}
    assert given - set(GIVEN) - group == {"Tags", "ClientToken", "ManagedStorageType"}


def test_an_update_without_a_status_keeps_the_approval(registry):
    arn = register(registry, **GIVEN)
    registry.update_model_package(
        ModelPackageArn=arn,
        CustomerMetadataProperties={"stage": "prod", "new": "1"},
        CustomerMetadataPropertiesToRemove=["owner"],
    )
    said = described(registry, arn)
    assert said["ModelApprovalStatus"] == "Approved"
    assert said["CustomerMetadataProperties"] == {"stage": "prod", "new": "1"}
    assert {name: said[name] for name in GIVEN if not name.startswith("Customer")} == {
        name: value for name, value in GIVEN.items() if not name.startswith("Customer")
    }
    assert said["LastModifiedTime"] > said["CreationTime"]


def test_every_updatable_member_is_updated(registry):
    arn = register(registry, **GIVEN)
    other = {**INFERENCE, "SupportedContentTypes": ["application/json"]}
    changes = {
        "ModelApprovalStatus": "Rejected",
        "ApprovalDescription": "too old",
        "ModelPackageRegistrationType": "Logged",
        "InferenceSpecification": other,
        "SourceUri": "s3://b/other",
        "ModelLifeCycle": {"Stage": "Prod", "StageStatus": "Live"},
    }
    extra = {"Name": "second", "Containers": [CONTAINER]}
    registry.update_model_package(
        ModelPackageArn=arn,
        AdditionalInferenceSpecificationsToAdd=[extra],
        ModelCard={"ModelCardStatus": "Approved"},
        ClientToken="t",
        **changes,
    )
    said = described(registry, arn)
    assert {name: said[name] for name in changes} == changes
    assert [one["Name"] for one in said["AdditionalInferenceSpecifications"]] == ["neo", "second"]
    assert said["ModelCard"] == {"ModelCardContent": "{}", "ModelCardStatus": "Approved"}
    assert said["LastModifiedBy"]["IamIdentity"]["Arn"] == f"arn:aws:iam::{DEV}:root"
    with refused("ValidationException", "15"):
        registry.update_model_package(
            ModelPackageArn=arn, AdditionalInferenceSpecificationsToAdd=[extra] * 14
        )


def test_versions_count_on_and_wait_for_approval(registry):
    first, second = register(registry), register(registry)
    assert described(registry, first)["ModelApprovalStatus"] == "PendingManualApproval"
    registry.delete_model_package(ModelPackageName=second)
    assert register(registry).endswith("/churn/3")
    with refused("ValidationException", "does not exist"):
        registry.describe_model_package(ModelPackageName=second)
    with refused("ValidationException", "does not exist"):
        register(registry, "nobody")
    token = {"ClientToken": "once"}
    assert register(registry, **token) == register(registry, **token)


def test_versions_are_listed_oldest_first_unless_asked(registry):
    one, two, three = (register(registry) for _ in range(3))
    registry.update_model_package(ModelPackageArn=two, ModelApprovalStatus="Approved")
    alone = registry.create_model_package(
        ModelPackageName="alone", InferenceSpecification=INFERENCE
    )["ModelPackageArn"]
    assert described(registry, "alone")["ModelPackageArn"] == alone

    def arns(**asked):
        found = registry.list_model_packages(**asked)["ModelPackageSummaryList"]
        return [entry["ModelPackageArn"] for entry in found]

    group = {"ModelPackageGroupName": "churn"}
    assert arns(**group) == [one, two, three]
    assert arns(**group, SortOrder="Descending", SortBy="CreationTime") == [three, two, one]
    assert arns(**group, ModelApprovalStatus="Approved") == [two]
    assert arns() == [alone]
    assert arns(ModelPackageType="Both") == [one, two, three, alone]
    assert arns(ModelPackageType="Versioned", NameContains="nothing") == []
    page = registry.list_model_packages(**group, MaxResults=2)
    assert len(page["ModelPackageSummaryList"]) == 2
    assert arns(**group, NextToken=page["NextToken"]) == [three]
    summary = page["ModelPackageSummaryList"][1]
    assert summary["ModelPackageVersion"] == 2
    assert summary["ModelApprovalStatus"] == "Approved"
    assert "ModelPackageName" not in summary
    many = registry.batch_describe_model_package(ModelPackageArnList=[one, one[:-1] + "9"])
    assert many["ModelPackageSummaries"][one]["ModelPackageVersion"] == 1
    assert list(many["BatchDescribeModelPackageErrorMap"]) == [one[:-1] + "9"]


def test_a_page_has_ten_unless_asked(registry):
    every = [register(registry) for _ in range(11)]
    group = {"ModelPackageGroupName": "churn"}
    page = registry.list_model_packages(**group)
    assert len(page["ModelPackageSummaryList"]) == 10
    pages = registry.get_paginator("list_model_packages").paginate(**group)
    found = [one for page in pages for one in page["ModelPackageSummaryList"]]
    assert [one["ModelPackageArn"] for one in found] == every


def test_a_group_with_versions_stays(registry):
    arn = register(registry)
    with refused("ConflictException", "still has"):
        registry.delete_model_package_group(ModelPackageGroupName="churn")
    registry.delete_model_package(ModelPackageName=arn)
    registry.delete_model_package_group(ModelPackageGroupName="churn")
    assert not registry.list_model_package_groups()["ModelPackageGroupSummaryList"]
    with refused("ValidationException", "does not exist"):
        registry.describe_model_package_group(ModelPackageGroupName="churn")


def test_a_group_is_described_and_listed(sandbox):
    client = sandbox.client("sagemaker")
    tags = [{"Key": "a", "Value": "b"}]
    for name in ("b-group", "a-group"):
        client.create_model_package_group(
            ModelPackageGroupName=name, ModelPackageGroupDescription="d", Tags=tags
        )
    said = client.describe_model_package_group(ModelPackageGroupName="b-group")
    assert said["ModelPackageGroupDescription"] == "d"
    assert said["ModelPackageGroupStatus"] == "Completed"
    assert client.list_tags(ResourceArn=said["ModelPackageGroupArn"])["Tags"] == tags
    found = client.list_model_package_groups(SortBy="Name", SortOrder="Descending")
    names = [one["ModelPackageGroupName"] for one in found["ModelPackageGroupSummaryList"]]
    assert names == ["b-group", "a-group"]
    with refused("ValidationException", "already exists"):
        client.create_model_package_group(ModelPackageGroupName="a-group")
    with refused("NotImplementedInSandbox", "CrossAccountFilterOption"):
        client.list_model_package_groups(CrossAccountFilterOption="CrossAccount")
    for kind in ("ModelPackage", "ModelPackageGroup", "Project"):
        with refused("NotImplementedInSandbox", f"Search for {kind}"):
            client.search(Resource=kind)
    assert client.search(Resource="Pipeline")["Results"] == []


@pytest.fixture
def central(sandbox):
    """The hub's registry with a policy for dev, and a role of dev that may use it."""
    hub = sandbox.client("sagemaker", "hub")
    hub.create_model_package_group(ModelPackageGroupName="churn")
    role = make_role(sandbox, "builder", allow("sagemaker:*", [GROUP, VERSIONS]))
    return hub, sandbox.become("sagemaker", role)


def open_to_dev(hub, *actions):
    policy = {
        "Sid": "Dev",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{DEV}:root"},
        "Action": [f"sagemaker:{action}" for action in actions],
        "Resource": [GROUP, VERSIONS],
    }
    hub.put_model_package_group_policy(
        ModelPackageGroupName="churn", ResourcePolicy=document(policy)
    )


def test_another_account_uses_a_group_by_its_policy_alone(central):
    hub, dev = central
    with refused("AccessDeniedException", "sagemaker:CreateModelPackage"):
        register(dev, GROUP)
    open_to_dev(
        hub,
        "CreateModelPackage",
        "DescribeModelPackage",
        "DescribeModelPackageGroup",
        "ListModelPackages",
        "UpdateModelPackage",
    )
    given = {name: value for name, value in GIVEN.items() if name != "ValidationSpecification"}
    arn = register(dev, GROUP, **given)
    assert arn == f"arn:aws:sagemaker:eu-west-1:{HUB}:model-package/churn/1"
    assert described(dev, arn)["CustomerMetadataProperties"] == {"owner": "me", "stage": "dev"}
    assert described(dev, arn)["CreatedBy"]["IamIdentity"]["Arn"].endswith("builder/sandbox")
    listed = dev.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
    assert [one["ModelPackageArn"] for one in listed] == [arn]
    dev.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected")
    assert described(hub, arn)["ModelApprovalStatus"] == "Rejected"
    said = dev.describe_model_package_group(ModelPackageGroupName=GROUP)
    assert said["ModelPackageGroupArn"] == GROUP
    with refused("AccessDeniedException", "sagemaker:DeleteModelPackage"):
        dev.delete_model_package(ModelPackageName=arn)


def test_a_group_policy_is_kept_and_removed(central):
    hub, dev = central
    with refused("ValidationException", "Cannot find"):
        hub.get_model_package_group_policy(ModelPackageGroupName="churn")
    open_to_dev(hub, "CreateModelPackage")
    said = hub.get_model_package_group_policy(ModelPackageGroupName="churn")
    assert json.loads(said["ResourcePolicy"])["Statement"][0]["Sid"] == "Dev"
    arn = register(dev, GROUP)
    with refused("AccessDeniedException", "sagemaker:DescribeModelPackage"):
        described(dev, arn)
    hub.delete_model_package_group_policy(ModelPackageGroupName="churn")
    with refused("AccessDeniedException"):
        register(dev, GROUP)
    with refused("ValidationException", "policy"):
        hub.put_model_package_group_policy(ModelPackageGroupName="churn", ResourcePolicy="{}")


def test_tags_of_a_group_decide(sandbox, registry):
    tagged = {"StringEquals": {"aws:ResourceTag/team": "a"}}
    role = make_role(sandbox, "reader", allow("sagemaker:Describe*", Condition=tagged))
    client = sandbox.become("sagemaker", role)
    with refused("AccessDeniedException"):
        client.describe_model_package_group(ModelPackageGroupName="churn")
    arn = f"arn:aws:sagemaker:eu-west-1:{DEV}:model-package-group/churn"
    registry.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "a"}])
    assert client.describe_model_package_group(ModelPackageGroupName="churn")
    registry.delete_tags(ResourceArn=arn, TagKeys=["team"])
    with refused("AccessDeniedException"):
        client.describe_model_package_group(ModelPackageGroupName="churn")


def event(sandbox, url, account="dev"):
    return json.loads(received(sandbox, url, account)["Body"])


def test_creating_and_updating_emit_events(sandbox, registry):
    url, queue = make_queue(sandbox, "q")
    rule(sandbox, "models", {"Arn": queue}, pattern=PATTERN)
    arn = register(registry, **GIVEN)
    got = event(sandbox, url)
    assert got["detail-type"] == "SageMaker Model Package State Change"
    assert (got["source"], got["account"], got["resources"]) == ("aws.sagemaker", DEV, [arn])
    detail = got["detail"]
    assert detail["ModelPackageGroupName"] == "churn"
    assert detail["ModelPackageVersion"] == 1
    assert detail["ModelPackageArn"] == arn
    assert detail["ModelPackageStatus"] == "Completed"
    assert detail["ModelApprovalStatus"] == "Approved"
    assert detail["InferenceSpecification"] == INFERENCE
    assert detail["ModelMetrics"] == METRICS
    assert detail["CreationTime"].endswith("Z")
    assert "UpdatedModelPackageFields" not in detail
    change = {"Stage": "Prod", "StageStatus": "Live"}
    registry.update_model_package(ModelPackageArn=arn, ModelLifeCycle=change)
    detail = event(sandbox, url)["detail"]
    assert detail["UpdatedModelPackageFields"] == ["ModelLifeCycle"]
    assert detail["ModelLifeCycle"] == change
    registry.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Rejected", ApprovalDescription="no"
    )
    detail = event(sandbox, url)["detail"]
    assert detail["UpdatedModelPackageFields"] == ["ApprovalDescription", "ModelApprovalStatus"]
    assert detail["ModelApprovalStatus"] == "Rejected"


def test_the_event_goes_to_the_registry_s_account(sandbox, central):
    hub, dev = central
    open_to_dev(hub, "CreateModelPackage")
    url, queue = make_queue(sandbox, "q", "hub")
    rule(sandbox, "models", {"Arn": queue}, account="hub", pattern=PATTERN)
    arn = register(dev, GROUP)
    got = event(sandbox, url, "hub")
    assert (got["account"], got["detail"]["ModelPackageArn"]) == (HUB, arn)


def test_an_event_that_cannot_be_sent_fails_no_registration(sandbox, registry):
    sandbox.chaos({"match": "events:PutEvents", "kind": "fail", "code": "Busy", "status": 400})
    arn = register(registry)
    try:
        registry.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    except ClientError as error:
        pytest.fail(str(error))
    assert described(registry, arn)["ModelApprovalStatus"] == "Approved"
