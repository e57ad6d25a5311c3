"""Which actions and resources a call is judged by: a table, and a sweep over botocore's models."""

from __future__ import annotations

import botocore.session
import pytest

from seedbed.sandbox import iam_actions, needs_data
from seedbed.sandbox.conditions import Undecided
from seedbed.sandbox.needs import SPECIAL, Asked, needs, tags_of

DEV, HUB, REGION = "333333333333", "222222222222", "eu-west-1"
MODELS = botocore.session.Session()


class Nothing:
    """A state without anything in it."""

    def bucket_owner(self, bucket):
        return HUB if bucket == "hubs" else None

    def key_arn(self, account, region, key_id):
        return (
            key_id if key_id.startswith("arn:") else f"arn:aws:kms:{region}:{account}:key/{key_id}"
        )

    def iam_arn(self, account, kind, name):
        return None

    secret_arn = ciphertext_key = iam_arn
    bucket_key = object_key = workgroup = boundary_arn = lambda *_: None


def asked(service, operation, **params):
    shape = MODELS.get_service_model(service).operation_model(operation).input_shape
    accepts = frozenset(name.lower() for name in shape.members) if shape else frozenset()
    return Asked(service, operation, params, DEV, REGION, Nothing(), accepts)


def judged(service, operation, **params):
    return [
        (need.action, need.resource.replace(f":{REGION}:{DEV}:", "::"))
        for need in needs(asked(service, operation, **params))
    ]


ROLE = f"arn:aws:iam::{DEV}:role/x"
GROUP = f"arn:aws:sagemaker:{REGION}:{HUB}:model-package-group/g"
CASES = [
    ("s3", "ListObjectsV2", {"Bucket": "b"}, [("s3:ListBucket", "arn:aws:s3:::b")]),
    ("s3", "HeadObject", {"Bucket": "b", "Key": "k"}, [("s3:GetObject", "arn:aws:s3:::b/k")]),
    (
        "s3",
        "GetObject",
        {"Bucket": "b", "Key": "k", "VersionId": "v"},
        [("s3:GetObjectVersion", "arn:aws:s3:::b/k")],
    ),
    (
        "s3",
        "CopyObject",
        {"Bucket": "b", "Key": "k", "CopySource": "c/a%20b"},
        [("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:GetObject", "arn:aws:s3:::c/a b")],
    ),
    (
        "s3",
        "DeleteObjects",
        {"Bucket": "b", "Delete": {"Objects": [{"Key": "1"}, {"Key": "2", "VersionId": "v"}]}},
        [("s3:DeleteObject", "arn:aws:s3:::b/1"), ("s3:DeleteObjectVersion", "arn:aws:s3:::b/2")],
    ),
    (
        "s3",
        "PutObject",
        {"Bucket": "b", "Key": "k", "Tagging": "a=b"},
        [("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:PutObjectTagging", "arn:aws:s3:::b/k")],
    ),
    ("s3", "ListBuckets", {}, [("s3:ListAllMyBuckets", "*")]),
    (
        "kms",
        "CreateAlias",
        {"AliasName": "alias/a", "TargetKeyId": "k"},
        [
            ("kms:CreateAlias", "arn:aws:kms::alias/a"),
            ("kms:CreateAlias", "arn:aws:kms::key/k"),
        ],
    ),
    (
        "sqs",
        "SendMessage",
        {"QueueUrl": f"http://127.0.0.1:1/{HUB}/q", "MessageBody": "x"},
        [("sqs:SendMessage", f"arn:aws:sqs:{REGION}:{HUB}:q")],
    ),
    (
        "sagemaker",
        "CreateModelPackage",
        {"ModelPackageGroupName": GROUP},
        [("sagemaker:CreateModelPackage", f"{GROUP.replace('-group', '')}/*")],
    ),
    (
        "sagemaker",
        "CreateEndpoint",
        {"EndpointName": "e", "EndpointConfigName": "c"},
        [
            ("sagemaker:CreateEndpoint", "arn:aws:sagemaker::endpoint/e"),
            ("sagemaker:CreateEndpoint", "arn:aws:sagemaker::endpoint-config/c"),
        ],
    ),
    (
        "sagemaker",
        "CreateModel",
        {"ModelName": "m", "ExecutionRoleArn": ROLE, "Tags": [{"Key": "a", "Value": "b"}]},
        [
            ("sagemaker:CreateModel", "arn:aws:sagemaker::model/m"),
            ("sagemaker:AddTags", "arn:aws:sagemaker::model/m"),
            ("iam:PassRole", ROLE),
        ],
    ),
    (
        "sagemaker",
        "AddTags",
        {"ResourceArn": GROUP, "Tags": []},
        [("sagemaker:AddTags", GROUP)],
    ),
    (
        "sagemaker",
        "CreateUserProfile",
        {"DomainId": "d", "UserProfileName": "u"},
        [("sagemaker:CreateUserProfile", "arn:aws:sagemaker::user-profile/d/u")],
    ),
    (
        "cloudformation",
        "CreateStack",
        {"StackName": "s", "RoleARN": ROLE},
        [
            ("cloudformation:CreateStack", "arn:aws:cloudformation::stack/s/*"),
            ("iam:PassRole", ROLE),
        ],
    ),
    (
        "codepipeline",
        "CreatePipeline",
        {"pipeline": {"name": "p", "roleArn": ROLE, "stages": [{"roleArn": ROLE + "y"}]}},
        [("codepipeline:CreatePipeline", "arn:aws:codepipeline::p"), ("iam:PassRole", ROLE)],
    ),
    (
        "codepipeline",
        "PutApprovalResult",
        {"pipelineName": "p", "stageName": "s", "actionName": "a"},
        [("codepipeline:PutApprovalResult", "arn:aws:codepipeline::p/s/a")],
    ),
    (
        "codebuild",
        "StartBuild",
        {"projectName": "p"},
        [("codebuild:StartBuild", "arn:aws:codebuild::project/p")],
    ),
    (
        "logs",
        "PutLogEvents",
        {"logGroupName": "/g", "logStreamName": "s"},
        [("logs:PutLogEvents", "arn:aws:logs::log-group:/g:log-stream:s")],
    ),
    (
        "lambda",
        "Invoke",
        {"FunctionName": f"{HUB}:function:f", "Qualifier": "live"},
        [("lambda:InvokeFunction", f"arn:aws:lambda:{REGION}:{HUB}:function:f:live")],
    ),
    (
        "events",
        "PutTargets",
        {"Rule": "r", "EventBusName": "b", "Targets": [{"Id": "1", "Arn": "x", "RoleArn": ROLE}]},
        [("events:PutTargets", "arn:aws:events::rule/b/r"), ("iam:PassRole", ROLE)],
    ),
    ("events", "DescribeRule", {"Name": "r"}, [("events:DescribeRule", "arn:aws:events::rule/r")]),
    (
        "ssm",
        "GetParameters",
        {"Names": ["/a/b", "c"]},
        [
            ("ssm:GetParameters", "arn:aws:ssm::parameter/a/b"),
            ("ssm:GetParameters", "arn:aws:ssm::parameter/c"),
        ],
    ),
    (
        "glue",
        "GetTable",
        {"DatabaseName": "d", "Name": "t"},
        [
            ("glue:GetTable", "arn:aws:glue::catalog"),
            ("glue:GetTable", "arn:aws:glue::database/d"),
            ("glue:GetTable", "arn:aws:glue::table/d/t"),
        ],
    ),
    (
        "ecr",
        "BatchGetImage",
        {"registryId": HUB, "repositoryName": "r"},
        [("ecr:BatchGetImage", f"arn:aws:ecr:{REGION}:{HUB}:repository/r")],
    ),
    (
        "iam",
        "CreateRole",
        {"RoleName": "r", "Path": "/p/", "Tags": [{"Key": "a", "Value": "b"}]},
        [
            ("iam:CreateRole", f"arn:aws:iam::{DEV}:role/p/r"),
            ("iam:TagRole", f"arn:aws:iam::{DEV}:role/p/r"),
        ],
    ),
    (
        "servicecatalog",
        "CreateConstraint",
        {"PortfolioId": "p", "ProductId": "q", "Parameters": '{"RoleArn": "' + ROLE + '"}'},
        [
            ("servicecatalog:CreateConstraint", "arn:aws:catalog::product/q"),
            ("iam:PassRole", ROLE),
        ],
    ),
    ("ec2", "DescribeSubnets", {}, [("ec2:DescribeSubnets", "*")]),
    ("cloudwatch", "PutMetricData", {"Namespace": "n"}, [("cloudwatch:PutMetricData", "*")]),
    ("sts", "GetCallerIdentity", {}, []),
    (
        "apigateway",
        "CreateStage",
        {"restApiId": "a", "stageName": "s", "deploymentId": "d"},
        [("apigateway:POST", "arn:aws:apigateway:eu-west-1::/restapis/a/stages")],
    ),
    (
        "apigateway",
        "UpdateAccount",
        {"patchOperations": [{"op": "replace", "path": "/cloudwatchRoleArn", "value": ROLE}]},
        [
            ("apigateway:PATCH", "arn:aws:apigateway:eu-west-1::/account"),
            ("iam:PassRole", ROLE),
        ],
    ),
]


@pytest.mark.parametrize(
    ("service", "operation", "params", "expected"), CASES, ids=[f"{c[0]}:{c[1]}" for c in CASES]
)
def test_a_call_is_judged_by(service, operation, params, expected):
    assert judged(service, operation, **params) == expected


def test_the_owner_is_told():
    (need,) = needs(asked("s3", "GetObject", Bucket="hubs", Key="k"))
    assert need.owner == HUB


def test_a_new_stack_is_tagged_by_the_tags_it_is_given():
    tags = [{"Key": "Team", "Value": "ml"}]
    made, tagged = needs(asked("cloudformation", "CreateStack", StackName="s", Tags=tags))
    assert (made.context, tagged.action) == ({}, "cloudformation:TagResource")
    assert tagged.context == {"aws:resourcetag/team": ("ml",)}


def test_an_action_that_aws_lacks_is_undecided():
    with pytest.raises(Undecided, match="s3:CreateSession"):
        needs(asked("s3", "CreateSession", Bucket="b"))


@pytest.mark.parametrize(
    "params",
    [
        {"Tags": [{"Key": "a", "Value": "b"}]},
        {"tags": [{"key": "a", "value": "b"}]},
        {"tags": {"a": "b"}},
        {"Tags": [{"TagKey": "a", "TagValue": "b"}]},
    ],
)
def test_tags_in_every_shape(params):
    assert tags_of(params) == {"a": "b"}


def sample(shape, name="", depth=0):
    """Return the smallest input that a shape takes, with ARNs where ARNs belong."""
    kind = shape.type_name
    if kind == "structure":
        return {
            member: sample(shape.members[member], member, depth + 1)
            for member in shape.required_members
            if depth < 4
        }
    if kind == "list":
        return [sample(shape.member, name, depth + 1)] if depth < 5 else []
    if kind == "map":
        return {"k": sample(shape.value, name, depth + 1)}
    plain = {"blob": b"x", "integer": 1, "long": 1, "boolean": True}
    if name == "QueueUrl":
        return f"http://x/{DEV}/q"
    return plain.get(kind, ROLE if name.lower().endswith("rolearn") else f"x{name}")


# Services that a project's stack and its roles use; how many operations are not judged.
SWEPT = {
    "s3": 8,
    "kms": 0,
    "cloudformation": 9,
    "servicecatalog": 2,
    "codebuild": 12,
    "codepipeline": 8,
    "codeconnections": 4,
    "sqs": 3,
    "sns": 2,
    "secretsmanager": 3,
    "ecr": 8,
    "athena": 20,
    "lakeformation": 4,
    "dynamodb": 11,
    "cloudwatch": 18,
    "sagemaker": 70,
    "lambda": 12,
    "iam": 30,
}


@pytest.mark.parametrize(("service", "most"), SWEPT.items())
def test_every_operation_is_judged_or_refused_by_name(service, most):
    refused = []
    for operation in MODELS.get_service_model(service).operation_names:
        shape = MODELS.get_service_model(service).operation_model(operation).input_shape
        try:
            found = needs(asked(service, operation, **(sample(shape) if shape else {})))
        except Undecided as unknown:
            refused.append(f"{operation}: {unknown}")
        else:
            assert all(one.resource == "*" or one.resource.startswith("arn:aws:") for one in found)
    assert len(refused) <= most, refused
    assert all(":" in one.partition(": ")[2] for one in refused)


def test_the_tables_name_what_the_reference_has():
    for operation, action in iam_actions.ACTIONS.items():
        prefix, _, name = action.partition(":")
        assert name.lower() in iam_actions.reference(prefix).actions, operation
    known = {p for p, _ in iam_actions.PARAMETERS if iam_actions.reference(p)}
    assert known == {p for p, _ in iam_actions.PARAMETERS}
    for action in [*iam_actions.TAGGING.values(), *iam_actions.IAM_TAGGING.values()]:
        prefix, _, name = action.partition(":")
        assert name.lower() in iam_actions.reference(prefix).actions, action
    assert SPECIAL["s3"] is needs_data.s3
