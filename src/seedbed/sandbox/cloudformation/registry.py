"""Which handler serves a type: a class of its own, a row of the table, or what the schema tells."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from botocore.exceptions import UnknownServiceError

from seedbed.sandbox.cloudformation import (
    handlers_api,
    handlers_catalog,
    handlers_compute,
    handlers_iam,
    handlers_messaging,
    handlers_ml,
    handlers_users,
    kinds_api,
    kinds_ml,
    kinds_platform,
)
from seedbed.sandbox.cloudformation.aws import input_shape, service_model
from seedbed.sandbox.cloudformation.errors import ResourceError
from seedbed.sandbox.cloudformation.handlers_s3 import Bucket
from seedbed.sandbox.cloudformation.kinds import Extra, Kind
from seedbed.sandbox.cloudformation.resources import Generic, Handler, NothingMade, same_name
from seedbed.sandbox.cloudformation.schemas import Schema

KINDS: dict[str, Kind] = {
    **kinds_platform.KINDS,
    **kinds_ml.KINDS,
    **kinds_api.KINDS,
    **kinds_api.GATEWAY,
}

# Types with a class of their own that no row drives.
PLAIN: dict[str, Callable[[], Handler]] = {
    "AWS::S3::Bucket": Bucket,
    "AWS::IAM::Role": handlers_iam.Role,
    "AWS::IAM::Policy": handlers_iam.InlinePolicy,
    "AWS::IAM::ManagedPolicy": handlers_iam.ManagedPolicy,
    "AWS::IAM::InstanceProfile": handlers_iam.InstanceProfile,
    "AWS::IAM::User": handlers_users.User,
    "AWS::IAM::Group": handlers_users.Group,
    "AWS::IAM::UserToGroupAddition": handlers_users.Membership,
    "AWS::IAM::AccessKey": handlers_users.AccessKey,
    "AWS::ApiGateway::Account": handlers_api.Account,
    "AWS::ApiGateway::Method": handlers_api.Method,
    "AWS::CDK::Metadata": NothingMade,
    "AWS::SNS::Topic": handlers_messaging.Topic,
    "AWS::SNS::Subscription": handlers_messaging.Subscription,
    "AWS::SNS::TopicPolicy": partial(handlers_messaging.AttachedPolicy, "Topics"),
    "AWS::SQS::QueuePolicy": partial(handlers_messaging.AttachedPolicy, "Queues"),
    "AWS::Events::Rule": handlers_messaging.Rule,
    "AWS::Events::EventBusPolicy": handlers_messaging.EventBusPolicy,
    "AWS::EC2::SecurityGroupIngress": partial(handlers_compute.SecurityGroupRule, "Ingress"),
    "AWS::EC2::SecurityGroupEgress": partial(handlers_compute.SecurityGroupRule, "Egress"),
    "AWS::ServiceCatalog::CloudFormationProvisionedProduct": handlers_catalog.ProvisionedProduct,
    "AWS::LakeFormation::PrincipalPermissions": handlers_ml.Grant,
    "AWS::LakeFormation::Permissions": handlers_ml.Grant,
    "AWS::LakeFormation::DataLakeSettings": handlers_ml.DataLakeSettings,
    **{
        f"AWS::ServiceCatalog::{noun}": partial(handlers_ml.Constraint, noun)
        for noun in handlers_ml.CONSTRAINTS
    },
}

PROSE = ("Description", "Distributor", "SupportDescription", "SupportEmail", "SupportUrl")

# Types with a class that a row drives; rows that stand nowhere else are given here.
DRIVEN: dict[str, tuple[type[Generic], Kind]] = {
    **{kind: (handlers_api.Patched, row) for kind, row in kinds_api.GATEWAY.items()},
    "AWS::ApiGateway::Deployment": (
        handlers_api.Deployment, KINDS["AWS::ApiGateway::Deployment"],
    ),
    "AWS::ApiGateway::Stage": (handlers_api.Stage, KINDS["AWS::ApiGateway::Stage"]),
    "AWS::KMS::Key": (handlers_iam.Key, KINDS["AWS::KMS::Key"]),
    "AWS::SQS::Queue": (handlers_messaging.Queue, KINDS["AWS::SQS::Queue"]),
    "AWS::EC2::VPC": (handlers_compute.Vpc, KINDS["AWS::EC2::VPC"]),
    "AWS::EC2::SecurityGroup": (
        handlers_compute.SecurityGroup,
        Kind(
            "ec2:CreateSecurityGroup", "ec2:DeleteSecurityGroup", ref="GroupId",
            name="GroupName", limit=255, rename={"GroupDescription": "Description"},
            attributes={"GroupId": "GroupId", "Id": "={Ref}"},
            ident={"GroupId": "Ref", "Resources": "Ref"},
            tag="ec2:CreateTags", untag="ec2:DeleteTags", creates_tags=False,
        ),
    ),
    "AWS::EC2::NetworkAclEntry": (
        handlers_compute.AclEntry,
        Kind(
            "ec2:CreateNetworkAclEntry", "ec2:DeleteNetworkAclEntry",
            "ec2:ReplaceNetworkAclEntry", ref="Id", rename={"Icmp": "IcmpTypeCode"},
            ident={
                "NetworkAclId": "NetworkAclId", "RuleNumber": "RuleNumber", "Egress": "Egress",
            },
        ),
    ),
    "AWS::Lambda::Function": (
        handlers_compute.Function,
        Kind(
            "lambda:CreateFunction", "lambda:DeleteFunction", read="lambda:GetFunction",
            name="FunctionName", status="Configuration.State",
            ident={"FunctionName": "Ref", "Resource": "Arn"},
            attributes={"Arn": "=arn:{partition}:lambda:{region}:{account}:function:{Ref}"},
            extras=(
                Extra(("ReservedConcurrentExecutions",), "lambda:PutFunctionConcurrency",
                      remove="lambda:DeleteFunctionConcurrency"),
            ),
            tag="lambda:TagResource", untag="lambda:UntagResource",
        ),
    ),
    "AWS::CodePipeline::Pipeline": (
        handlers_compute.Pipeline,
        Kind(
            "codepipeline:CreatePipeline", "codepipeline:DeletePipeline",
            "codepipeline:UpdatePipeline", name="Name", limit=100, body="pipeline",
            rename={"Tags": "tags"}, ignored=("RestartExecutionOnUpdate",),
            ident={"name": "Ref", "resourceArn": "Arn"},
            attributes={
                "Arn": "=arn:{partition}:codepipeline:{region}:{account}:{Ref}",
                "Version": "pipeline.version",
            },
            resets={"Triggers": [], "Variables": []},
            tag="codepipeline:TagResource", untag="codepipeline:UntagResource",
        ),
    ),
    "AWS::CodeCommit::Repository": (
        handlers_compute.Repository,
        Kind(
            "codecommit:CreateRepository", "codecommit:DeleteRepository",
            read="codecommit:GetRepository", ref="RepositoryId",
            ident={"repositoryName": "RepositoryName", "resourceArn": "Arn"},
            attributes={
                "RepositoryId": "repositoryMetadata.repositoryId",
                "Name": "repositoryMetadata.repositoryName",
                # AWS's addresses: other types take no other, and git is led here from them.
                "CloneUrlHttp": "=https://git-codecommit.{region}.amazonaws.com/v1/repos/{Name}",
                "CloneUrlSsh": "=ssh://git-codecommit.{region}.amazonaws.com/v1/repos/{Name}",
            },
            extras=(
                Extra(("RepositoryDescription",), "codecommit:UpdateRepositoryDescription",
                      later=True),
                Extra(("Triggers",), "codecommit:PutRepositoryTriggers"),
            ),
            tag="codecommit:TagResource", untag="codecommit:UntagResource",
        ),
    ),
    "AWS::SecretsManager::Secret": (
        handlers_compute.Secret,
        Kind(
            "secretsmanager:CreateSecret", "secretsmanager:DeleteSecret",
            "secretsmanager:UpdateSecret", name="Name", limit=512,
            rename={"ReplicaRegions": "AddReplicaRegions"}, ref="Id", attributes={"Id": "ARN"},
            ident={"SecretId": "Ref"}, delete_fixed={"ForceDeleteWithoutRecovery": True},
            resets={"Description": ""},
            tag="secretsmanager:TagResource", untag="secretsmanager:UntagResource",
        ),
    ),
    "AWS::DynamoDB::Table": (
        handlers_compute.Table,
        Kind(
            "dynamodb:CreateTable", "dynamodb:DeleteTable", "dynamodb:UpdateTable",
            "dynamodb:DescribeTable", name="TableName", limit=255, status="Table.TableStatus",
            ident={"TableName": "Ref", "ResourceArn": "Arn"},
            attributes={"Arn": "Table.TableArn", "StreamArn": "Table.LatestStreamArn"},
            extras=(
                Extra(("TimeToLiveSpecification",), "dynamodb:UpdateTimeToLive"),
                Extra(("PointInTimeRecoverySpecification",), "dynamodb:UpdateContinuousBackups"),
                Extra(("ResourcePolicy",), "dynamodb:PutResourcePolicy",
                      {"ResourcePolicy": "Policy"}, remove="dynamodb:DeleteResourcePolicy",
                      later=True),
            ),
            resets={"DeletionProtectionEnabled": False},
            tag="dynamodb:TagResource", untag="dynamodb:UntagResource",
        ),
    ),
    "AWS::StepFunctions::StateMachine": (
        handlers_compute.StateMachine,
        Kind(
            "stepfunctions:CreateStateMachine", "stepfunctions:DeleteStateMachine",
            "stepfunctions:UpdateStateMachine", name="StateMachineName", limit=80, ref="Arn",
            rename={"StateMachineName": "name", "StateMachineType": "type"},
            attributes={"Arn": "stateMachineArn", "Name": "={StateMachineName}"},
            ident={"stateMachineArn": "Ref", "resourceArn": "Ref"},
            tag="stepfunctions:TagResource", untag="stepfunctions:UntagResource",
        ),
    ),
    "AWS::SageMaker::Pipeline": (
        handlers_ml.MlPipeline,
        Kind(
            "sagemaker:CreatePipeline", "sagemaker:DeletePipeline", "sagemaker:UpdatePipeline",
            ref="PipelineName",
            ident={"ResourceArn": "=arn:{partition}:sagemaker:{region}:{account}:pipeline/{Ref}"},
            resets={"PipelineDescription": "", "PipelineDisplayName": ""},
            tag="sagemaker:AddTags", untag="sagemaker:DeleteTags",
        ),
    ),
    "AWS::SageMaker::CodeRepository": (
        handlers_ml.CodeRepository, KINDS["AWS::SageMaker::CodeRepository"],
    ),
    "AWS::SageMaker::Domain": (handlers_ml.Domain, KINDS["AWS::SageMaker::Domain"]),
    "AWS::SageMaker::NotebookInstance": (
        handlers_ml.Notebook, KINDS["AWS::SageMaker::NotebookInstance"],
    ),
    "AWS::SageMaker::Project": (
        handlers_ml.Project,
        Kind(
            "sagemaker:CreateProject", "sagemaker:DeleteProject", read="sagemaker:DescribeProject",
            ref="ProjectArn", status="ProjectStatus", ident={"ResourceArn": "Ref"},
        ),
    ),
    "AWS::ServiceCatalog::CloudFormationProduct": (
        handlers_ml.Product,
        Kind(
            "servicecatalog:CreateProduct", "servicecatalog:DeleteProduct",
            "servicecatalog:UpdateProduct", ref="Id", ident={"Id": "Ref"},
            attributes={"Id": "ProductViewDetail.ProductViewSummary.ProductId"},
            keep={"Artifact": "ProvisioningArtifactDetail.Id"},
            resets=dict.fromkeys(PROSE, ""),
            tag="servicecatalog:UpdateProduct", untag="servicecatalog:UpdateProduct",
        ),
    ),
    "AWS::Glue::Database": (handlers_ml.GlueDatabase, KINDS["AWS::Glue::Database"]),
    "AWS::Glue::Table": (
        handlers_ml.GlueTable,
        Kind(
            "glue:CreateTable", "glue:DeleteTable", "glue:UpdateTable", ref="Name",
            ident={"DatabaseName": "DatabaseName", "Name": "Name", "CatalogId": "CatalogId"},
        ),
    ),
}  # fmt: skip

# Types that need more than the sandbox has.
REFUSED = {
    "AWS::CloudFormation::WaitCondition", "AWS::CloudFormation::WaitConditionHandle",
    "AWS::CloudFormation::Macro", "AWS::CloudFormation::StackSet",
    "AWS::CloudFormation::ModuleVersion", "AWS::CloudFormation::ResourceVersion",
    "AWS::CloudFormation::GuardHook", "AWS::CloudFormation::LambdaHook",
    "AWS::CloudFormation::HookVersion", "AWS::Budgets::Budget", "AWS::Budgets::BudgetsAction",
}  # fmt: skip

# Namespaces whose botocore service is named otherwise than in lower case.
SERVICES = {
    "ApplicationAutoScaling": "application-autoscaling", "CertificateManager": "acm",
    "CodeStarConnections": "codestar-connections", "ElasticLoadBalancingV2": "elbv2",
}  # fmt: skip


def handler(schema: Schema) -> Handler:
    """Return the handler of a type.

    Raises:
        ResourceError: Nothing tells how the type is made.
    """
    if schema.kind in REFUSED:
        raise ResourceError(f"type {schema.kind} is not emulated by the sandbox")
    if schema.kind in PLAIN:
        return PLAIN[schema.kind]()
    if schema.kind in DRIVEN:
        driver, kind = DRIVEN[schema.kind]
        return driver(schema, kind)
    return Generic(schema, KINDS.get(schema.kind) or inferred(schema))


def inferred(schema: Schema) -> Kind:
    """Read a row off the schema: the first call of each handler that creates, changes, removes.

    Raises:
        ResourceError: The schema names no such call that botocore knows.
    """
    _, space, noun = schema.kind.split("::")
    service = SERVICES.get(space, space.lower())
    try:
        known = set(service_model(service).operation_names)
    except UnknownServiceError as error:
        raise ResourceError(
            f"type {schema.kind} is not emulated: no service is called {service}"
        ) from error

    def first(step: str, verbs: tuple[str, ...]) -> str:
        names = [action.partition(":")[2] for action in schema.permissions(step)]
        names = [name for name in names if name in known and name.startswith(verbs)]
        names.sort(key=lambda name: not name.endswith(noun))  # stable: the schema's order otherwise
        return f"{service}:{names[0]}" if names else ""

    create = first("create", ("Create", "Put", "Register"))
    delete = first("delete", ("Delete", "Deregister"))
    if not create or not delete:
        raise ResourceError(
            f"type {schema.kind} is not emulated: its schema names no call that makes it"
        )
    known_names = {*schema.properties, *schema.read_only, *schema.identifier}
    for wanted in input_shape(delete).required_members:
        if not any(same_name(name, wanted) for name in known_names):
            raise ResourceError(
                f"type {schema.kind} is not emulated: its schema does not tell what {delete} "
                f"takes as {wanted}"
            )
    identifier = schema.identifier[0] if schema.identifier else ""
    settable = identifier in schema.properties and identifier not in schema.read_only
    return Kind(
        create, delete, first("update", ("Update", "Put", "Modify")),
        name=identifier if settable and identifier not in schema.raw.get("required", []) else "",
    )  # fmt: skip
