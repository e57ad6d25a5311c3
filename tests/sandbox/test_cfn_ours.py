"""The stacks of a project of ours: every property of every resource is read back through boto3."""

from __future__ import annotations

from pathlib import Path

import pytest
from access import allow, document
from cfn_stacks import ALL, delete, history, outputs, parameters, physical, reason, settle
from readback import read_stack

from seedbed.sandbox.cloudformation.template import parse
from seedbed.sandbox.handle import Sandbox
from seedbed.sandbox.server import Server
from seedbed.sandbox.services import CLASSES
from seedbed.sandbox.world import World

LAYERS = Path(__file__).parents[2] / "layers"
STACKS = {  # in the order in which a project deploys them
    "project": "model-build/infra/project.yml",
    "data-s3": "data-s3/infra/data.yml",
    "registry": "model-build/infra/registry.yml",
    "build": "model-build/infra/build.yml",
    "source": "model-build/infra/source.yml",
    "data-athena": "data-athena/infra/data.yml",
    "data-featurestore": "data-featurestore/infra/data.yml",
}
GIVEN = {
    "ProjectId": "p1",
    "ProjectName": "churn",
    "ModelPackageGroupName": "churn",
    "DataLocation": "s3://data-bucket/in/",
    "AlertEmail": "team@example.com",
    "ReaderAccountIds": "222222222222,444444444444",
    "HubBusArn": "arn:aws:events:eu-west-1:222222222222:event-bus/hub",
    "PermissionsBoundaryArn": "arn:aws:iam::333333333333:policy/boundary",
    "VpcId": "vpc-0123456789abcdef0",
    "SubnetIds": "subnet-0123456789abcdef0",
    "SecurityGroupIds": "sg-0123456789abcdef0",
    "PackageIndexUrl": "https://packages.example.com/simple",
    "RepositoryId": "churn",
    "GitHost": "codecommit",
    "ConnectionArn": "",
    "DataDatabase": "lake",
    "DataOwnerAccountId": "666666666666",
    "DataSharedDatabase": "shared",
    "DataLakeLocation": "s3://lake-bucket/lake/",
    "FeatureGroupArns": "arn:aws:sagemaker:eu-west-1:666666666666:feature-group/f",
    "OfflineStoreLocation": "s3://store-bucket/store/",
    "OwnerAccountId": "666666666666",
    "CatalogName": "owner",
    "WorkGroupName": "churn",
}
OVERRIDES = {
    "build": {"GitHost": "github", "GitHubActions": "true", "RepositoryId": "team/churn"},
    "data-athena": {"ProjectId": "p2"},  # one data source a project: their policies share a name
    "data-featurestore": {"ProjectId": "p3"},
}
if "sagemaker" not in CLASSES:  # moto keeps no policy of a model package group
    OVERRIDES["registry"] = {"ReaderAccountIds": ""}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    """A sandbox in which the project's stacks stand, with every option switched on."""
    world = World(tmp_path_factory.mktemp("world"))
    server = Server(world).start()
    sandbox = Sandbox(world.endpoint, world.folder, world.organisation)
    have = dict(GIVEN)
    sandbox.client("iam").create_policy(PolicyName="boundary", PolicyDocument=document(allow("*")))
    cf = sandbox.client("cloudformation")
    for name, path in STACKS.items():
        text = (LAYERS / path).read_text(encoding="utf-8")
        declared = parse(text).parameters
        given = have | OVERRIDES.get(name, {})
        cf.create_stack(
            StackName=name,
            TemplateBody=text,
            Capabilities=ALL,
            Parameters=parameters({key: given[key] for key in declared if key in given}),
            Tags=[{"Key": "team", "Value": "ml"}],
        )
        stack = settle(cf, name)
        assert stack["StackStatus"] == "CREATE_COMPLETE", reason(cf, name)
        have |= outputs(stack)
    yield sandbox
    server.stop()


@pytest.mark.parametrize("name", STACKS)
def test_every_property_is_read_back(deployed, name):
    read_stack(deployed, name)


def test_what_no_service_carries_out_is_refused_by_name(deployed):
    cf = deployed.client("cloudformation")
    text = (LAYERS / "data-datazone/infra/data.yml").read_text(encoding="utf-8")
    given = {
        "DataDomainId": "dzd_1",
        "DataEnvironmentId": "e1",
        "DataProjectId": "j1",
        "ExecutionRoleArn": f"arn:aws:iam::{deployed.account('dev')}:role/seedbed-admin",
        "ExecutionRoleName": "seedbed-admin",
        "ProjectId": "p4",
    }
    said = {"TemplateBody": text, "Capabilities": ALL, "Parameters": parameters(given)}
    cf.create_stack(StackName="datazone", **said)
    assert settle(cf, "datazone")["StackStatus"] == "ROLLBACK_COMPLETE"
    events = cf.describe_stack_events(StackName="datazone")["StackEvents"]
    (failed,) = [one for one in events if one["ResourceStatus"] == "CREATE_FAILED"]
    told = (failed["LogicalResourceId"], failed["ResourceType"])
    assert told == ("Membership", "AWS::DataZone::ProjectMembership")
    assert "NotImplementedInSandbox" in failed["ResourceStatusReason"]


def test_what_holds_models_and_data_stays_when_the_stack_is_deleted(deployed):
    cf, s3 = deployed.client("cloudformation"), deployed.client("s3")

    def buckets():
        return {one["Name"] for one in s3.list_buckets()["Buckets"]}

    there = cf.describe_stacks(StackName="project")["Stacks"][0]["Parameters"]
    given = {one["ParameterKey"]: one["ParameterValue"] for one in there}
    text, before = (LAYERS / STACKS["project"]).read_text(encoding="utf-8"), buckets()
    said = {"TemplateBody": text, "Parameters": parameters({**given, "ProjectId": "p9"})}
    cf.create_stack(StackName="other", Capabilities=ALL, **said)
    stack = settle(cf, "other")
    assert stack["StackStatus"] == "CREATE_COMPLETE", reason(cf, "other")
    made, key = buckets() - before, physical(cf, "other", "Key")
    assert len(made) == 2
    assert delete(cf, "other")["StackStatus"] == "DELETE_COMPLETE", history(cf, stack["StackId"])
    assert made < buckets()
    told = deployed.client("kms").describe_key(KeyId=key)["KeyMetadata"]
    assert told["KeyState"] == "Enabled"
