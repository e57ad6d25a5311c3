"""The table, part one: storage, messaging, compute, code and networks."""

from __future__ import annotations

from typing import Any

from seedbed.sandbox.cloudformation.kinds import Extra, Kind


def _arn(service: str, resource: str) -> str:
    return f"=arn:{{partition}}:{service}:{{region}}:{{account}}:{resource}"


_EC2_TAGS: dict[str, Any] = {
    "tag": "ec2:CreateTags",
    "untag": "ec2:DeleteTags",
    "creates_tags": False,
}
_LOG_GROUP = _arn("logs", "log-group:{LogGroupName}")
_CONNECTION: dict[str, Any] = {"name": "ConnectionName", "limit": 32, "ref": "ConnectionArn"}

KINDS: dict[str, Kind] = {
    "AWS::S3::BucketPolicy": Kind(
        "s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutBucketPolicy",
        rename={"PolicyDocument": "Policy"}, ident={"Bucket": "Bucket"},
    ),
    "AWS::KMS::Key": Kind(
        "kms:CreateKey", "kms:ScheduleKeyDeletion",
        rename={"KeyPolicy": "Policy"}, ref="KeyId",
        attributes={"KeyId": "KeyMetadata.KeyId", "Arn": _arn("kms", "key/{Ref}")},
        ident={"KeyId": "Ref", "PendingWindowInDays": "PendingWindowInDays"},
        ignored=("PendingWindowInDays",),
        extras=(
            Extra(("KeyPolicy",), "kms:PutKeyPolicy", {"KeyPolicy": "Policy"}, later=True,
                  fixed={"PolicyName": "default"}),
            Extra(("Description",), "kms:UpdateKeyDescription", later=True),
        ),
        tag="kms:TagResource", untag="kms:UntagResource",
    ),
    "AWS::KMS::Alias": Kind("kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"),
    "AWS::Logs::LogGroup": Kind(
        "logs:CreateLogGroup", "logs:DeleteLogGroup", name="LogGroupName", limit=512,
        ident={"logGroupName": "Ref", "resourceArn": _LOG_GROUP},
        attributes={"Arn": _LOG_GROUP + ":*"},
        extras=(
            Extra(("RetentionInDays",), "logs:PutRetentionPolicy",
                  remove="logs:DeleteRetentionPolicy"),
            Extra(("KmsKeyId",), "logs:AssociateKmsKey", remove="logs:DisassociateKmsKey",
                  later=True),
        ),
        tag="logs:TagResource", untag="logs:UntagResource",
    ),
    "AWS::SQS::Queue": Kind(
        "sqs:CreateQueue", "sqs:DeleteQueue", "sqs:SetQueueAttributes", "sqs:GetQueueAttributes",
        read_fixed={"AttributeNames": ["All"]}, name="QueueName", limit=80, rest="Attributes",
        rename={"Tags": "tags"}, ident={"QueueUrl": "Ref"},
        attributes={"Arn": "Attributes.QueueArn"},
        resets={
            "RedrivePolicy": "", "RedriveAllowPolicy": "", "KmsMasterKeyId": "",
            "DelaySeconds": 0, "VisibilityTimeout": 30, "MaximumMessageSize": 262_144,
            "MessageRetentionPeriod": 345_600, "ReceiveMessageWaitTimeSeconds": 0,
            "KmsDataKeyReusePeriodSeconds": 300, "SqsManagedSseEnabled": True,
            "ContentBasedDeduplication": False,
        },
        tag="sqs:TagQueue", untag="sqs:UntagQueue",
    ),
    "AWS::Events::EventBus": Kind(
        "events:CreateEventBus", "events:DeleteEventBus", "events:UpdateEventBus",
        ident={"Name": "Ref", "EventBusName": "Ref", "ResourceARN": "Arn"},
        attributes={"Arn": _arn("events", "event-bus/{Name}")},
        extras=(Extra(("Policy",), "events:PutPermission"),),
        resets={"Description": "", "DeadLetterConfig": {}},
        tag="events:TagResource", untag="events:UntagResource",
    ),
    "AWS::Lambda::Permission": Kind(
        "lambda:AddPermission", "lambda:RemovePermission", name="Id", limit=100,
        rename={"Id": "StatementId"}, ref="Id", ident={"StatementId": "Ref"},
    ),
    "AWS::Lambda::Version": Kind(
        "lambda:PublishVersion", "lambda:DeleteFunction",
        ident={"FunctionName": "FunctionName", "Qualifier": "Version"},
    ),
    "AWS::Lambda::Alias": Kind(
        "lambda:CreateAlias", "lambda:DeleteAlias", "lambda:UpdateAlias",
        attributes={"AliasArn": "AliasArn"},
        resets={"Description": "", "RoutingConfig": {"AdditionalVersionWeights": {}}},
    ),
    "AWS::Lambda::EventInvokeConfig": Kind(
        "lambda:PutFunctionEventInvokeConfig", "lambda:DeleteFunctionEventInvokeConfig",
        "lambda:PutFunctionEventInvokeConfig",
    ),
    "AWS::Lambda::EventSourceMapping": Kind(
        "lambda:CreateEventSourceMapping", "lambda:DeleteEventSourceMapping",
        "lambda:UpdateEventSourceMapping", ref="Id", ident={"UUID": "Ref"},
        attributes={
            "Id": "UUID",
            "EventSourceMappingArn": _arn("lambda", "event-source-mapping:{Ref}"),
        },
    ),
    "AWS::Lambda::LayerVersion": Kind(
        "lambda:PublishLayerVersion", "lambda:DeleteLayerVersion", name="LayerName",
        keep={"VersionNumber": "Version"}, attributes={"LayerVersionArn": "LayerVersionArn"},
        ident={"VersionNumber": "VersionNumber"},
    ),
    "AWS::Lambda::Url": Kind(
        "lambda:CreateFunctionUrlConfig", "lambda:DeleteFunctionUrlConfig",
        "lambda:UpdateFunctionUrlConfig", rename={"TargetFunctionArn": "FunctionName"},
        ident={"FunctionName": "TargetFunctionArn"},
    ),
    "AWS::CodeBuild::Project": Kind(
        "codebuild:CreateProject", "codebuild:DeleteProject", "codebuild:UpdateProject",
        name="Name", limit=150, ref="Name", ident={"name": "Ref"},
        attributes={"Arn": _arn("codebuild", "project/{Ref}"), "Id": "={Ref}"},
        resets={
            "Description": "", "Tags": [], "SecondarySources": [], "SecondaryArtifacts": [],
            "Cache": {"Type": "NO_CACHE"}, "TimeoutInMinutes": 60, "QueuedTimeoutInMinutes": 480,
            "VpcConfig": {}, "EncryptionKey": "", "LogsConfig": {}, "SourceVersion": "",
            "ConcurrentBuildLimit": -1, "AutoRetryLimit": 0, "BadgeEnabled": False,
        },
    ),
    "AWS::CodeConnections::Connection": Kind(
        "codeconnections:CreateConnection", "codeconnections:DeleteConnection",
        read="codeconnections:GetConnection", ident={"ConnectionArn": "Ref", "ResourceArn": "Ref"},
        tag="codeconnections:TagResource", untag="codeconnections:UntagResource", **_CONNECTION,
    ),
    "AWS::CodeStarConnections::Connection": Kind(
        "codestar-connections:CreateConnection", "codestar-connections:DeleteConnection",
        read="codestar-connections:GetConnection",
        ident={"ConnectionArn": "Ref", "ResourceArn": "Ref"},
        tag="codestar-connections:TagResource", untag="codestar-connections:UntagResource",
        **_CONNECTION,
    ),
    "AWS::SSM::Parameter": Kind(
        "ssm:PutParameter", "ssm:DeleteParameter", "ssm:PutParameter", name="Name", limit=1011,
        update_fixed={"Overwrite": True}, attributes={"Arn": _arn("ssm", "parameter/{Ref}")},
        ident={"Name": "Ref", "ResourceId": "Ref", "ResourceType": "=Parameter"},
        tag="ssm:AddTagsToResource", untag="ssm:RemoveTagsFromResource",
    ),
    "AWS::SecretsManager::ResourcePolicy": Kind(
        "secretsmanager:PutResourcePolicy", "secretsmanager:DeleteResourcePolicy",
        "secretsmanager:PutResourcePolicy", ref="Id", attributes={"Id": "ARN"},
        ident={"SecretId": "SecretId"},
    ),
    "AWS::ECR::Repository": Kind(
        "ecr:CreateRepository", "ecr:DeleteRepository", name="RepositoryName", lower=True,
        ident={"repositoryName": "Ref", "resourceArn": "Arn", "force": "EmptyOnDelete"},
        attributes={"Arn": "repository.repositoryArn", "RepositoryUri": "repository.repositoryUri"},
        ignored=("EmptyOnDelete",),
        extras=(
            Extra(("LifecyclePolicy",), "ecr:PutLifecyclePolicy",
                  {"LifecyclePolicy": "."}, remove="ecr:DeleteLifecyclePolicy"),
            Extra(("RepositoryPolicyText",), "ecr:SetRepositoryPolicy",
                  {"RepositoryPolicyText": "policyText"}, remove="ecr:DeleteRepositoryPolicy"),
            Extra(("ImageScanningConfiguration",), "ecr:PutImageScanningConfiguration", later=True),
            Extra(("ImageTagMutability", "ImageTagMutabilityExclusionFilters"),
                  "ecr:PutImageTagMutability", later=True),
        ),
        tag="ecr:TagResource", untag="ecr:UntagResource",
    ),
    "AWS::ECR::RegistryPolicy": Kind(
        "ecr:PutRegistryPolicy", "ecr:DeleteRegistryPolicy", "ecr:PutRegistryPolicy",
        rename={"PolicyText": "policyText"}, ref="={account}",
        attributes={"RegistryId": "={account}"},
    ),
    "AWS::ECR::ReplicationConfiguration": Kind(
        "ecr:PutReplicationConfiguration", "ecr:PutReplicationConfiguration",
        "ecr:PutReplicationConfiguration", ref="={account}",
        attributes={"RegistryId": "={account}"},
        delete_fixed={"replicationConfiguration": {"rules": []}},
    ),
    "AWS::CloudWatch::Alarm": Kind(
        "cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm",
        name="AlarmName", limit=255, attributes={"Arn": _arn("cloudwatch", "alarm:{Ref}")},
        ident={"AlarmName": "Ref", "AlarmNames": "Ref", "ResourceARN": "Arn"},
        tag="cloudwatch:TagResource", untag="cloudwatch:UntagResource",
    ),
    "AWS::CloudWatch::Dashboard": Kind(
        "cloudwatch:PutDashboard", "cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard",
        name="DashboardName", limit=255, ident={"DashboardName": "Ref", "DashboardNames": "Ref"},
    ),
    "AWS::Scheduler::Schedule": Kind(
        "scheduler:CreateSchedule", "scheduler:DeleteSchedule", "scheduler:UpdateSchedule",
        name="Name", ident={"Name": "Ref"}, attributes={"Arn": "ScheduleArn"},
    ),
    "AWS::ApplicationAutoScaling::ScalableTarget": Kind(
        "application-autoscaling:RegisterScalableTarget",
        "application-autoscaling:DeregisterScalableTarget",
        "application-autoscaling:RegisterScalableTarget",
        ref="={ResourceId}|{ScalableDimension}|{ServiceNamespace}",
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": Kind(
        "application-autoscaling:PutScalingPolicy", "application-autoscaling:DeleteScalingPolicy",
        "application-autoscaling:PutScalingPolicy", ref="Arn", attributes={"Arn": "PolicyARN"},
    ),
    "AWS::IAM::RolePolicy": Kind(
        "iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:PutRolePolicy", ref="PolicyName",
    ),
    "AWS::IAM::OIDCProvider": Kind(
        "iam:CreateOpenIDConnectProvider", "iam:DeleteOpenIDConnectProvider", ref="Arn",
        attributes={"Arn": "OpenIDConnectProviderArn"}, ident={"OpenIDConnectProviderArn": "Ref"},
        extras=(
            Extra(("ThumbprintList",), "iam:UpdateOpenIDConnectProviderThumbprint", later=True),
        ),
        tag="iam:TagOpenIDConnectProvider", untag="iam:UntagOpenIDConnectProvider",
    ),
    "AWS::EC2::VPC": Kind(
        "ec2:CreateVpc", "ec2:DeleteVpc", ref="VpcId", attributes={"VpcId": "Vpc.VpcId"},
        ident={"VpcId": "Ref", "Resources": "Ref"},
        extras=tuple(
            Extra((name,), "ec2:ModifyVpcAttribute", {name: f"{name}.Value"})
            for name in ("EnableDnsSupport", "EnableDnsHostnames")
        ),
        **_EC2_TAGS,
    ),
    "AWS::EC2::Subnet": Kind(
        "ec2:CreateSubnet", "ec2:DeleteSubnet", ref="SubnetId",
        attributes={"SubnetId": "Subnet.SubnetId"},
        keep={"AvailabilityZone": "Subnet.AvailabilityZone"},
        ident={"SubnetId": "Ref", "Resources": "Ref"},
        extras=tuple(
            Extra((name,), "ec2:ModifySubnetAttribute", {name: f"{name}.Value"})
            for name in ("MapPublicIpOnLaunch", "AssignIpv6AddressOnCreation")
        ),
        **_EC2_TAGS,
    ),
    "AWS::EC2::RouteTable": Kind(
        "ec2:CreateRouteTable", "ec2:DeleteRouteTable", ref="RouteTableId",
        attributes={"RouteTableId": "RouteTable.RouteTableId"},
        ident={"RouteTableId": "Ref", "Resources": "Ref"}, **_EC2_TAGS,
    ),
    "AWS::EC2::Route": Kind(
        "ec2:CreateRoute", "ec2:DeleteRoute", ref="={RouteTableId}|{CidrBlock}",
        attributes={"CidrBlock": "={DestinationCidrBlock}"},
        ident={
            "RouteTableId": "RouteTableId", "DestinationCidrBlock": "DestinationCidrBlock",
            "DestinationIpv6CidrBlock": "DestinationIpv6CidrBlock",
            "DestinationPrefixListId": "DestinationPrefixListId",
        },
    ),
    "AWS::EC2::SubnetRouteTableAssociation": Kind(
        "ec2:AssociateRouteTable", "ec2:DisassociateRouteTable", ref="Id",
        attributes={"Id": "AssociationId"}, ident={"AssociationId": "Ref"},
    ),
    "AWS::EC2::InternetGateway": Kind(
        "ec2:CreateInternetGateway", "ec2:DeleteInternetGateway", ref="InternetGatewayId",
        attributes={"InternetGatewayId": "InternetGateway.InternetGatewayId"},
        ident={"InternetGatewayId": "Ref", "Resources": "Ref"}, **_EC2_TAGS,
    ),
    "AWS::EC2::VPCGatewayAttachment": Kind(
        "ec2:AttachInternetGateway", "ec2:DetachInternetGateway", ref="=IGW|{VpcId}",
        attributes={"AttachmentType": "=IGW"},
    ),
    "AWS::EC2::VPCEndpoint": Kind(
        "ec2:CreateVpcEndpoint", "ec2:DeleteVpcEndpoints", ref="Id",
        defaults={"VpcEndpointType": "Gateway"},
        attributes={
            "Id": "VpcEndpoint.VpcEndpointId",
            "CreationTimestamp": "VpcEndpoint.CreationTimestamp",
        },
        ident={"VpcEndpointId": "Ref", "VpcEndpointIds": "Ref", "Resources": "Ref"},
        extras=(Extra(("PolicyDocument",), "ec2:ModifyVpcEndpoint", later=True),), **_EC2_TAGS,
    ),
    "AWS::EC2::FlowLog": Kind(
        "ec2:CreateFlowLogs", "ec2:DeleteFlowLogs", ref="Id", attributes={"Id": "FlowLogIds[0]"},
        rename={"ResourceId": "ResourceIds"}, ident={"FlowLogIds": "Ref", "Resources": "Ref"},
        **_EC2_TAGS,
    ),
}  # fmt: skip
