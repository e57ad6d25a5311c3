"""Tables: which actions an operation needs, and which parameters name its resources.

Actions, their resource types and the types' ARN formats are AWS's service authorization reference
as cfn-lint bundles it (it is pinned here anyway, and kept current). What that lacks stands below:
operations that are no action of their own, and parameters that do not carry their type's name.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# botocore service -> prefix of its actions, where they differ
PREFIXES = {
    "bedrock-agent": "bedrock",
    "bedrock-agent-runtime": "bedrock",
    "bedrock-runtime": "bedrock",
    "resourcegroupstaggingapi": "tag",
    "sagemaker-featurestore-runtime": "sagemaker",
    "sagemaker-metrics": "sagemaker",
    "sagemaker-runtime": "sagemaker",
    "service-quotas": "servicequotas",
    "sesv2": "ses",
    "sso-admin": "sso",
    "stepfunctions": "states",
    "dynamodbstreams": "dynamodb",
    "s3control": "s3",
    "elbv2": "elasticloadbalancing",
    "elb": "elasticloadbalancing",
}

# Operations that need no permission in AWS.
FREE = frozenset({"sts:GetCallerIdentity", "sts:GetSessionToken"})

# Operations that are no action of their own -> the action that they are judged as.
# S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
ACTIONS = {
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:CopyObject": "s3:PutObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:DeleteBucketAnalyticsConfiguration": "s3:PutAnalyticsConfiguration",
    "s3:DeleteBucketCors": "s3:PutBucketCORS",
    "s3:DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:DeleteBucketIntelligentTieringConfiguration": "s3:PutIntelligentTieringConfiguration",
    "s3:DeleteBucketInventoryConfiguration": "s3:PutInventoryConfiguration",
    "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:DeleteBucketMetricsConfiguration": "s3:PutMetricsConfiguration",
    "s3:DeleteBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "s3:DeleteBucketReplication": "s3:PutReplicationConfiguration",
    "s3:DeleteBucketTagging": "s3:PutBucketTagging",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3:GetBucketAnalyticsConfiguration": "s3:GetAnalyticsConfiguration",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketIntelligentTieringConfiguration": "s3:GetIntelligentTieringConfiguration",
    "s3:GetBucketInventoryConfiguration": "s3:GetInventoryConfiguration",
    "s3:GetBucketLifecycle": "s3:GetLifecycleConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketMetricsConfiguration": "s3:GetMetricsConfiguration",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListBucketAnalyticsConfigurations": "s3:GetAnalyticsConfiguration",
    "s3:ListBucketIntelligentTieringConfigurations": "s3:GetIntelligentTieringConfiguration",
    "s3:ListBucketInventoryConfigurations": "s3:GetInventoryConfiguration",
    "s3:ListBucketMetricsConfigurations": "s3:GetMetricsConfiguration",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListObjects": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListParts": "s3:ListMultipartUploadParts",
    "s3:PutBucketAccelerateConfiguration": "s3:PutAccelerateConfiguration",
    "s3:PutBucketAnalyticsConfiguration": "s3:PutAnalyticsConfiguration",
    "s3:PutBucketCors": "s3:PutBucketCORS",
    "s3:GetBucketCors": "s3:GetBucketCORS",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketIntelligentTieringConfiguration": "s3:PutIntelligentTieringConfiguration",
    "s3:PutBucketInventoryConfiguration": "s3:PutInventoryConfiguration",
    "s3:PutBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutBucketMetricsConfiguration": "s3:PutMetricsConfiguration",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification",
    "s3:PutBucketReplication": "s3:PutReplicationConfiguration",
    "s3:PutObjectLockConfiguration": "s3:PutBucketObjectLockConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:UploadPart": "s3:PutObject",
    "s3:UploadPartCopy": "s3:PutObject",
    "lambda:Invoke": "lambda:InvokeFunction",
    "lambda:InvokeAsync": "lambda:InvokeFunction",
    "lambda:InvokeWithResponseStream": "lambda:InvokeFunction",
    "lambda:GetLayerVersionByArn": "lambda:GetLayerVersion",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sns:PublishBatch": "sns:Publish",
    "kms:ReEncrypt": "kms:ReEncryptFrom",
    "dynamodb:TransactGetItems": "dynamodb:GetItem",
}
for _operation in ("Create", "Delete", "Update"):
    ACTIONS[f"budgets:{_operation}Budget"] = "budgets:ModifyBudget"
    ACTIONS[f"budgets:{_operation}Notification"] = "budgets:ModifyBudget"
    ACTIONS[f"budgets:{_operation}Subscriber"] = "budgets:ModifyBudget"
for _operation in ("Budget", "Budgets", "NotificationsForBudget", "SubscribersForNotification"):
    ACTIONS[f"budgets:Describe{_operation}"] = "budgets:ViewBudget"

# (prefix, resource type) -> parameters that name it, where they do not carry the type's name;
# dots lead into structures. Without an entry: <type>Name, <type>Arn, <type>Id, <type>.
PARAMETERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("application-autoscaling", "scalabletarget"): ("ResourceARN",),
    ("athena", "workgroup"): ("WorkGroup", "Name"),
    ("athena", "datacatalog"): ("CatalogName", "Name"),
    ("budgets", "budget"): ("BudgetName", "Budget.BudgetName", "ResourceARN"),
    ("cloudformation", "stack"): ("StackName/*", "StackId/*"),
    ("cloudformation", "changeset"): (),  # a change set is judged by its stack
    ("cloudformation", "stackset-target"): (),
    ("cloudformation", "type"): (),
    ("cloudwatch", "alarm"): ("AlarmName", "AlarmNames", "ResourceARN"),
    ("cloudwatch", "dashboard"): ("DashboardName", "DashboardNames"),
    ("cloudwatch", "dataset"): (),
    ("codebuild", "report-group"): ("name", "reportGroupArn", "reportGroupArns", "arn"),
    ("codebuild", "project"): (
        "projectName",
        "project",
        "name",
        "names",
        "ids",
        "id",
        "resourceArn",
        "projectArn",
        "arn",
    ),
    ("codecommit", "repository"): (
        "repositoryName",
        "repositoryNames",
        "resourceArn",
        "oldName",
        "targets.repositoryName",
    ),
    ("codepipeline", "pipeline"): ("pipelineName", "pipeline.name", "name", "resourceArn"),
    ("codepipeline", "stage"): ("pipelineName/stageName",),
    ("codepipeline", "action"): ("pipelineName/stageName/actionName",),
    ("codepipeline", "actiontype"): (),
    ("dynamodb", "table"): ("TableName", "TableArn", "ResourceArn", "SourceTableName"),
    ("dynamodb", "index"): (),
    ("dynamodb", "stream"): ("StreamArn",),
    ("ec2", "elastic-ip"): ("AllocationId",),
    ("ec2", "network-acl"): ("NetworkAclId",),
    ("ec2", "security-group"): ("GroupId", "GroupIds"),
    ("ec2", "vpc-endpoint"): ("VpcEndpointId", "VpcEndpointIds"),
    ("ecr", "repository"): ("repositoryName", "repositoryNames", "resourceArn"),
    ("ecs", "cluster"): ("cluster", "clusters", "clusterName", "resourceArn"),
    ("glue", "trigger"): ("Name", "TriggerName"),
    ("glue", "workflow"): ("Name",),
    ("iam", "oidc-provider"): ("OpenIDConnectProviderArn",),
    ("kinesis", "stream"): ("StreamName", "StreamARN", "ResourceARN"),
    ("lambda", "function"): ("FunctionName", "Resource"),
    ("lambda", "function alias"): ("FunctionName",),
    ("lambda", "function version"): ("FunctionName",),
    ("lambda", "eventsourcemapping"): ("UUID",),
    ("lambda", "layerversion"): ("LayerName", "Arn"),
    ("lambda", "layer"): ("LayerName",),
    ("organizations", "account"): ("AccountId", "TargetId", "ChildId", "ResourceId"),
    ("organizations", "root"): ("ParentId", "RootId", "TargetId", "SourceParentId"),
    ("organizations", "organizationalunit"): ("OrganizationalUnitId", "ParentId", "ChildId"),
    ("ram", "resource-share"): ("resourceShareArn", "resourceShareArns"),
    ("ram", "permission"): ("permissionArn",),
    ("secretsmanager", "secret"): ("SecretId", "Name"),
    ("servicecatalog", "portfolio"): ("PortfolioId", "Id"),
    ("servicecatalog", "product"): ("ProductId", "Id"),
    ("sns", "topic"): ("TopicArn", "Name", "ResourceArn", "SubscriptionArn", "TargetArn"),
    ("ssm", "parameter"): ("Name", "Names", "ResourceId"),
    ("ssm", "document"): ("Name", "DocumentName"),
    ("states", "statemachine"): ("stateMachineArn", "name", "resourceArn"),
    ("states", "execution"): ("executionArn",),
    ("states", "express"): (),
    ("sts", "role"): ("RoleArn",),
    ("datazone", "domain"): ("domainIdentifier", "identifier"),
    ("sagemaker", "experiment-trial"): ("TrialName",),
    ("sagemaker", "experiment-trial-component"): ("TrialComponentName",),
    ("sagemaker", "hyper-parameter-tuning-job"): ("HyperParameterTuningJobName",),
    ("sagemaker", "automl-job"): ("AutoMLJobName",),
    ("sagemaker", "data-quality-job-definition"): ("JobDefinitionName",),
    ("sagemaker", "model-quality-job-definition"): ("JobDefinitionName",),
    ("sagemaker", "model-bias-job-definition"): ("JobDefinitionName",),
    ("sagemaker", "model-explainability-job-definition"): ("JobDefinitionName",),
    ("sagemaker", "image-version"): ("ImageName/Version",),
    ("sagemaker", "reserved-capacity"): (),
    ("sagemaker", "training-plan"): ("TrainingPlanName",),
    ("sagemaker", "user-profile"): ("DomainId/UserProfileName",),
    ("sagemaker", "space"): ("DomainId/SpaceName",),
    ("sagemaker", "app"): ("DomainId/UserProfileName/AppType/AppName",),
    ("sagemaker", "pipeline-execution"): ("PipelineExecutionArn",),
    ("sagemaker", "feature-group"): ("FeatureGroupName", "Identifiers.FeatureGroupName"),
    ("sagemaker", "model-package"): ("ModelPackageName", "ModelPackageArn", "ModelPackageArnList"),
}

# prefix -> the action that tagging at creation needs beside the creation
TAGGING = {
    "cloudformation": "cloudformation:TagResource",
    "codecommit": "codecommit:TagResource",
    "codeconnections": "codeconnections:TagResource",
    "codepipeline": "codepipeline:TagResource",
    "codestar-connections": "codestar-connections:TagResource",
    "dynamodb": "dynamodb:TagResource",
    "ecr": "ecr:TagResource",
    "events": "events:TagResource",
    "glue": "glue:TagResource",
    "kms": "kms:TagResource",
    "lambda": "lambda:TagResource",
    "logs": "logs:TagResource",
    "sagemaker": "sagemaker:AddTags",
    "secretsmanager": "secretsmanager:TagResource",
    "sns": "sns:TagResource",
    "sqs": "sqs:TagQueue",
    "ssm": "ssm:AddTagsToResource",
    "states": "states:TagResource",
}
IAM_TAGGING = {
    "CreateRole": "iam:TagRole",
    "CreateUser": "iam:TagUser",
    "CreatePolicy": "iam:TagPolicy",
    "CreateInstanceProfile": "iam:TagInstanceProfile",
}

# prefix -> the service that a role in the request is passed to (iam:PassedToService)
PASSED_TO = {
    "application-autoscaling": "application-autoscaling.amazonaws.com",
    "cloudformation": "cloudformation.amazonaws.com",
    "codebuild": "codebuild.amazonaws.com",
    "codepipeline": "codepipeline.amazonaws.com",
    "datazone": "datazone.amazonaws.com",
    "ec2": "ec2.amazonaws.com",
    "events": "events.amazonaws.com",
    "firehose": "firehose.amazonaws.com",
    "glue": "glue.amazonaws.com",
    "iam": "ec2.amazonaws.com",
    "lakeformation": "lakeformation.amazonaws.com",
    "lambda": "lambda.amazonaws.com",
    "logs": "logs.amazonaws.com",
    "s3": "s3.amazonaws.com",
    "sagemaker": "sagemaker.amazonaws.com",
    "scheduler": "scheduler.amazonaws.com",
    "servicecatalog": "servicecatalog.amazonaws.com",
    "states": "states.amazonaws.com",
}


@dataclass(frozen=True)
class Reference:
    """One service's part of the authorization reference; all names are lower case."""

    # action -> its resource types; empty: no resource-level permission
    actions: Mapping[str, tuple[str, ...]]
    # resource type -> ARN formats, with `.*` for what is to be filled in
    formats: Mapping[str, tuple[str, ...]]


@cache
def _texts() -> dict[str, str]:
    # Found, not imported: importing cfn-lint takes seconds.
    found = importlib.util.find_spec("cfnlint")
    folder = Path((found.submodule_search_locations or [""])[0]) if found else Path()
    path = folder / "data" / "AdditionalSpecs" / "Policies.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    # Kept as text until asked for: as objects, 450 services weigh 40 MB.
    return {prefix: json.dumps(said) for prefix, said in document.items()}


@cache
def reference(prefix: str) -> Reference | None:
    """Return the authorization reference of the actions `prefix:...`, or None if AWS has none."""
    text = _texts().get(prefix)
    if text is None:
        return None
    said = json.loads(text)
    actions = {
        name: tuple(kind.lower() for kind in entry.get("Resources", []))
        for name, entry in said["Actions"].items()
    }
    formats = {
        kind.lower(): tuple(entry["ARNFormats"]) for kind, entry in said["Resources"].items()
    }
    return Reference(actions, formats)


def prefix_of(service: str) -> str:
    return PREFIXES.get(service, service)


def action_of(service: str, operation: str) -> str:
    """Return the action that an operation is judged as."""
    full = f"{prefix_of(service)}:{operation}"
    return ACTIONS.get(full, full)


def names_of(prefix: str, kind: str) -> tuple[str, ...]:
    """Return the lower-case parameter names (or paths) that name a resource of this type."""
    if (said := PARAMETERS.get((prefix, kind))) is not None:
        return tuple(name.lower() for name in said)
    plain = re.sub(r"[^a-z0-9]", "", kind)
    return (f"{plain}name", f"{plain}arn", f"{plain}id", plain, f"{plain}names", f"{plain}arns")
