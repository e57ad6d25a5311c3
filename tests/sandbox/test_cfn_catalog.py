"""The platform's stacks and products: every property of every resource is read back."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from access import refused
from cfn_stacks import ALL, outputs, parameters, reason, settle
from readback import read_stack

from seedbed.sandbox.cloudformation.template import parse
from seedbed.sandbox.handle import Sandbox
from seedbed.sandbox.server import Server
from seedbed.sandbox.world import World

CATALOG = Path(__file__).parents[2] / "servicecatalog"
STACKS = (  # in an order in which each finds what it names
    "hub/assets.yml",
    "hub/publish.yml",
    "spoke/roles.yml",
    "spoke/users.yml",
    "spoke/admin.yml",
    "spoke/seeder.yml",
    "spoke/endpoints.yml",
    "products/studio-domain.yml",
    "products/team-buckets.yml",
    "products/user-profile.yml",
    "products/data-lake-share.yml",
)
GIVEN = {
    "AlertEmail": "team@example.com",
    "AuthMode": "IAM",
    "CodeCommit": "true",
    "Connections": "true",
    "ConnectionArn": "arn:aws:codeconnections:eu-west-1:333333333333:connection/0a1b-2c3d",
    "ConsumerAccountIds": "555555555555",
    "ConsumerPrincipal": "555555555555",
    "DatabaseName": "lake",
    "DomainName": "main",
    "FeatureGroupArns": "arn:aws:sagemaker:eu-west-1:333333333333:feature-group/f",
    "FeatureReaderAccountIds": "555555555555",
    "FeatureStore": "true",
    "HubAccountId": "222222222222",
    "ModelReaderAccountIds": "444444444444",
    "OfflineStoreKeyArn": "arn:aws:kms:eu-west-1:333333333333:key/0a1b-2c3d",
    "OfflineStoreLocation": "s3://store-bucket/store/",
    "OrganizationId": "o-seedbed0001",
    "OrganizationPaths": "o-seedbed0001/*",
    "RepositoryId": "ml-platform/seedbed",
    "SeedCodeKey": f"functions/{'0' * 64}/seed.zip",
    "ShareName": "features",
    "Team": "vision",
    "UserName": "ann",
    "Way": "role",
}
# What the sandbox does not carry out: a type of its own, and feature groups in RAM (moto's).
DATAZONE, SHARE = "products/datazone-publisher.yml", "products/feature-group-share.yml"


def network(sandbox):
    """Make a VPC and what belongs to it; return its parameters."""
    ec2 = sandbox.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    group = ec2.create_security_group(GroupName="jobs", Description="jobs", VpcId=vpc)["GroupId"]
    return {
        "VpcId": vpc,
        "SubnetIds": ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"],
        "RouteTableIds": ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"],
        "SecurityGroupIds": group,
        "SourceSecurityGroupId": group,
    }


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """A sandbox, and what the stacks tell each other."""
    world = World(tmp_path_factory.mktemp("world"))
    server = Server(world).start()
    sandbox = Sandbox(world.endpoint, world.folder, world.organisation)
    yield sandbox, GIVEN | network(sandbox)
    server.stop()


def deploy(sandbox, path, given):
    cf = sandbox.client("cloudformation")
    text = (CATALOG / path).read_text(encoding="utf-8")
    name = path.replace("/", "-").removesuffix(".yml")
    known = parse(text).parameters
    said = parameters({key: given[key] for key in known if key in given})
    cf.create_stack(StackName=name, TemplateBody=text, Capabilities=ALL, Parameters=said)
    return name, settle(cf, name)


@pytest.fixture(scope="module")
def deployed(platform):
    sandbox, given = platform
    names = {}
    for path in STACKS:
        if path == "spoke/seeder.yml":  # its function's code is published before
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                archive.writestr("index.py", "def handler(event, context): pass")
            bucket = given["AssetBucketName"]
            sandbox.client("s3").put_object(
                Bucket=bucket, Key=given["SeedCodeKey"], Body=packed.getvalue()
            )
        names[path], stack = deploy(sandbox, path, given)
        assert stack["StackStatus"] == "CREATE_COMPLETE", reason(
            sandbox.client("cloudformation"), names[path]
        )
        given |= {key: value for key, value in outputs(stack).items() if key not in given}
    return sandbox, names


@pytest.mark.parametrize("path", STACKS)
def test_every_property_is_read_back(deployed, path):
    sandbox, names = deployed
    read_stack(sandbox, names[path])


def test_a_type_that_is_not_carried_out_is_named(platform):
    sandbox, given = platform
    ids = {"DomainId": "dzd_4k2example9q", "EnvironmentId": "e1", "ProjectId": "j1"}
    with refused("NotImplementedInSandbox", "Tables", "AWS::DataZone::DataSource"):
        deploy(sandbox, DATAZONE, given | ids)


def test_a_share_of_feature_groups_is_refused(platform):
    sandbox, given = platform
    name, stack = deploy(sandbox, SHARE, given)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    events = sandbox.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    (failed,) = [one for one in events if one["ResourceStatus"] == "CREATE_FAILED"]
    assert failed["ResourceType"] == "AWS::RAM::ResourceShare"
    assert "permissionArns of ram:CreateResourceShare" in failed["ResourceStatusReason"]


def test_no_stack_is_forgotten():
    found = {f"{path.parent.name}/{path.name}" for path in CATALOG.glob("*/*.yml")}
    assert found == {*STACKS, DATAZONE, SHARE}
