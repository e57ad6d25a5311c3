"""What AWS's own templates need of a launch: joined role names, networks and tags by a role."""

from __future__ import annotations

import pytest
from access import allow, make_role, trusting
from cfn_stacks import create, delete, one, physical, reason, update

TEAM, OTHER = {"team": "ml"}, [{"Key": "team", "Value": "x"}]


@pytest.fixture
def launch(sandbox):
    trust = trusting({"Service": "cloudformation.amazonaws.com"})
    return make_role(sandbox, "launch", allow("*"), trust=trust)


def joined(name):
    account = {"Ref": "AWS::AccountId"}
    return {
        "Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":iam::", account, ":role/", name]]
    }


def test_a_deployment_with_joined_roles_passes_cfn_lint(sandbox, cf):
    role = make_role(sandbox, "deployer", trust=trusting({"Service": "codepipeline.amazonaws.com"}))
    make_role(sandbox, "stacks", trust=trusting({"Service": "cloudformation.amazonaws.com"}))
    source = {
        "Name": "Code", "OutputArtifacts": [{"Name": "Code"}],
        "ActionTypeId": {"Category": "Source", "Owner": "AWS", "Provider": "S3", "Version": "1"},
        "Configuration": {"S3Bucket": "source", "S3ObjectKey": "source.zip"},
    }  # fmt: skip
    deployment = {
        "Name": "Stack", "InputArtifacts": [{"Name": "Code"}],
        "ActionTypeId": {
            "Category": "Deploy", "Owner": "AWS", "Provider": "CloudFormation", "Version": "1",
        },
        "Configuration": {
            "ActionMode": "REPLACE_ON_FAILURE", "StackName": "made",
            "TemplatePath": "Code::stack.yml", "RoleArn": joined("stacks"),
        },
    }  # fmt: skip
    stages = [
        {"Name": "Source", "Actions": [source]},
        {"Name": "Deploy", "Actions": [deployment]},
    ]
    given = {
        "RoleArn": role, "ArtifactStore": {"Type": "S3", "Location": "artifacts"}, "Stages": stages,
    }  # fmt: skip
    made = create(cf, "s", one("AWS::CodePipeline::Pipeline", given))
    assert made["StackStatus"] == "CREATE_COMPLETE", reason(cf, "s")
    read = sandbox.client("codepipeline").get_pipeline(name=physical(cf, "s"))["pipeline"]
    said = read["stages"][1]["actions"][0]["configuration"]["RoleArn"]
    assert said == f"arn:aws:iam::{sandbox.account('dev')}:role/stacks"


VPC = {"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}}
GROUP = {
    "VpcId": {"Ref": "Vpc"}, "GroupDescription": "d",
    "SecurityGroupIngress": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
                              "CidrIp": "10.0.0.0/16"}],
    "SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "10.0.0.0/16"}],
}  # fmt: skip
FLOW = {"Flow": {"Type": "AWS::Glue::Workflow", "Properties": {"Name": "flow"}}}
LAUNCHED = {
    "network": ("AWS::EC2::SecurityGroup", GROUP, VPC),
    "endpoint": (
        "AWS::EC2::VPCEndpoint",
        {"VpcId": {"Ref": "Vpc"}, "ServiceName": "com.amazonaws.eu-west-1.s3"}, VPC,
    ),
    "acl": (
        "AWS::EC2::NetworkAclEntry",
        {"NetworkAclId": {"Ref": "List"}, "RuleNumber": 1, "Protocol": -1, "RuleAction": "allow",
         "CidrBlock": "10.0.0.0/16"},
        {**VPC, "List": {
            "Type": "AWS::EC2::NetworkAcl", "Properties": {"VpcId": {"Ref": "Vpc"}}}},
    ),
    "address": ("AWS::EC2::EIP", {"Domain": "vpc"}, {}),
    "cluster": ("AWS::ECS::Cluster", {"ClusterName": "c"}, {}),
    "stream": ("AWS::Kinesis::Stream", {"Name": "s", "ShardCount": 1}, {}),
    "provider": (
        "AWS::IAM::OIDCProvider",
        {"Url": "https://token.actions.githubusercontent.com",
         "ClientIdList": ["sts.amazonaws.com"], "ThumbprintList": ["0" * 40]}, {},
    ),
    "workflow": (
        "AWS::Glue::Trigger",
        {"Type": "ON_DEMAND", "Actions": [{"JobName": "j"}], "WorkflowName": {"Ref": "Flow"}},
        FLOW,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAUNCHED)
def test_a_role_makes_tags_and_removes_it(cf, launch, name):
    kind, given, beside = LAUNCHED[name]
    resources = {**one(kind, given), **beside}
    made = create(cf, "s", resources, tags=TEAM, RoleARN=launch)
    assert made["StackStatus"] == "CREATE_COMPLETE", reason(cf, "s")
    changed = update(cf, "s", resources, Tags=OTHER, RoleARN=launch)
    assert changed["StackStatus"] == "UPDATE_COMPLETE", reason(cf, "s")
    assert delete(cf, "s")["StackStatus"] == "DELETE_COMPLETE", reason(cf, made["StackId"])


def test_the_tags_of_a_workflow_follow_the_stack(sandbox, cf):
    create(cf, "s", FLOW, tags=TEAM)
    assert update(cf, "s", FLOW, Tags=OTHER)["StackStatus"] == "UPDATE_COMPLETE", reason(cf, "s")
    arn = f"arn:aws:glue:eu-west-1:{sandbox.account('dev')}:workflow/flow"
    assert sandbox.client("glue").get_tags(ResourceArn=arn)["Tags"] == {"team": "x"}
