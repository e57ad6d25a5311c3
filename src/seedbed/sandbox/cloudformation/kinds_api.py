"""The table, part three: REST APIs, streams, clusters, log streams, addresses, Glue jobs."""

from __future__ import annotations

from typing import Any

from seedbed.sandbox.cloudformation.kinds import Extra, Kind


def _gateway(noun: str, **more: Any) -> Kind:
    """Return the row of an API Gateway type."""
    return Kind(
        f"apigateway:Create{noun}", f"apigateway:Delete{noun}", f"apigateway:Update{noun}", **more
    )


def _api_tags(path: str) -> dict[str, Any]:
    """Return where the tags of an API Gateway type are changed."""
    arn = f"=arn:{{partition}}:apigateway:{{region}}::{path}"
    return {
        "ident": {"resourceArn": arn},
        "tag": "apigateway:TagResource",
        "untag": "apigateway:UntagResource",
    }


def _named(noun: str, **more: Any) -> Kind:
    """Return the row of a Glue type: its calls say Name, and JobName, ..., where they remove it."""
    arn = f"=arn:{{partition}}:glue:{{region}}:{{account}}:{noun.lower()}/{{Ref}}"
    return Kind(
        f"glue:Create{noun}", f"glue:Delete{noun}", name="Name", limit=255, ref="Name",
        ident={"Name": "Ref", f"{noun}Name": "Ref", "ResourceArn": arn},
        tag="glue:TagResource", untag="glue:UntagResource", **more,
    )  # fmt: skip


GATEWAY: dict[str, Kind] = {
    "AWS::ApiGateway::RestApi": _gateway(
        "RestApi", name="Name", limit=128, ref="RestApiId", attributes={"RestApiId": "id"},
        rename={"ApiKeySourceType": "apiKeySource"},
        **_api_tags("/restapis/{RestApiId}"),
    ),
    "AWS::ApiGateway::Resource": _gateway(
        "Resource", ref="ResourceId", attributes={"ResourceId": "id"},
    ),
    "AWS::ApiGateway::Deployment": _gateway(
        "Deployment", ref="DeploymentId", attributes={"DeploymentId": "id"},
        rename={"DeploymentCanarySettings": "canarySettings"},
    ),
    "AWS::ApiGateway::Stage": _gateway(
        "Stage", name="StageName", limit=128, ref="StageName",
        rename={"CanarySetting": "canarySettings"},
        **_api_tags("/restapis/{RestApiId}/stages/{StageName}"),
    ),
    "AWS::ApiGateway::Authorizer": _gateway(
        "Authorizer", ref="AuthorizerId", attributes={"AuthorizerId": "id"},
    ),
    "AWS::ApiGateway::RequestValidator": _gateway(
        "RequestValidator", ref="RequestValidatorId", attributes={"RequestValidatorId": "id"},
    ),
    "AWS::ApiGateway::Model": _gateway(
        "Model", name="Name", ref="Name", ident={"modelName": "Name"},
        defaults={"ContentType": "application/json"},
    ),
    "AWS::ApiGateway::ApiKey": _gateway(
        "ApiKey", ref="APIKeyId", attributes={"APIKeyId": "id"}, ident={"apiKey": "Ref"},
        name="Name", limit=128,
    ),
    "AWS::ApiGateway::UsagePlan": _gateway(
        "UsagePlan", ref="Id", attributes={"Id": "id"}, ident={"usagePlanId": "Ref"},
        name="UsagePlanName", limit=128, rename={"UsagePlanName": "name"},
    ),
}  # fmt: skip

KINDS: dict[str, Kind] = {
    "AWS::ApiGateway::UsagePlanKey": Kind(
        "apigateway:CreateUsagePlanKey", "apigateway:DeleteUsagePlanKey", ref="Id",
        attributes={"Id": "id"},
    ),
    "AWS::Logs::LogStream": Kind(
        "logs:CreateLogStream", "logs:DeleteLogStream", name="LogStreamName", limit=512,
        ref="LogStreamName",
    ),
    # moto would keep the old filter beside the new: it is not changed in place.
    "AWS::Logs::MetricFilter": Kind(
        "logs:PutMetricFilter", "logs:DeleteMetricFilter",
        name="FilterName", limit=512, ref="FilterName",
    ),
    "AWS::KinesisFirehose::DeliveryStream": Kind(
        "firehose:CreateDeliveryStream", "firehose:DeleteDeliveryStream",
        read="firehose:DescribeDeliveryStream", name="DeliveryStreamName",
        status="DeliveryStreamDescription.DeliveryStreamStatus",
        ident={"DeliveryStreamName": "Ref"},
        attributes={"Arn": "DeliveryStreamDescription.DeliveryStreamARN"},
        tag="firehose:TagDeliveryStream", untag="firehose:UntagDeliveryStream",
    ),
    "AWS::Kinesis::Stream": Kind(
        "kinesis:CreateStream", "kinesis:DeleteStream", read="kinesis:DescribeStreamSummary",
        name="Name", limit=128, rename={"Name": "StreamName"},
        status="StreamDescriptionSummary.StreamStatus",
        ident={"StreamName": "Ref"},
        attributes={"Arn": "StreamDescriptionSummary.StreamARN"},
        extras=(
            Extra(("RetentionPeriodHours",), "kinesis:IncreaseStreamRetentionPeriod"),
            Extra(("StreamEncryption",), "kinesis:StartStreamEncryption",
                  {"StreamEncryption": "."}),
        ),
        tag="kinesis:AddTagsToStream", untag="kinesis:RemoveTagsFromStream", creates_tags=False,
    ),
    "AWS::ECS::Cluster": Kind(
        "ecs:CreateCluster", "ecs:DeleteCluster", "ecs:UpdateCluster",
        name="ClusterName", limit=255, rename={"ClusterSettings": "settings"},
        ident={"cluster": "Ref", "resourceArn": "Arn"}, attributes={"Arn": "cluster.clusterArn"},
        tag="ecs:TagResource", untag="ecs:UntagResource",
    ),
    "AWS::EC2::NetworkAcl": Kind(
        "ec2:CreateNetworkAcl", "ec2:DeleteNetworkAcl", ref="Id",
        attributes={"Id": "NetworkAcl.NetworkAclId"},
        ident={"NetworkAclId": "Ref", "Resources": "Ref"},
        tag="ec2:CreateTags", untag="ec2:DeleteTags", creates_tags=False,
    ),
    "AWS::EC2::EIP": Kind(
        "ec2:AllocateAddress", "ec2:ReleaseAddress", ref="PublicIp",
        ident={"AllocationId": "AllocationId", "Resources": "AllocationId"},
        tag="ec2:CreateTags", untag="ec2:DeleteTags", creates_tags=False,
    ),
    "AWS::EC2::NatGateway": Kind(
        "ec2:CreateNatGateway", "ec2:DeleteNatGateway", read="ec2:DescribeNatGateways",
        ref="NatGatewayId", status="NatGateways[0].State",
        attributes={"NatGatewayId": "NatGateway.NatGatewayId"},
        ident={"NatGatewayId": "Ref", "NatGatewayIds": "Ref", "Resources": "Ref"},
        tag="ec2:CreateTags", untag="ec2:DeleteTags", creates_tags=False,
    ),
    "AWS::Glue::Job": _named("Job"),
    "AWS::Glue::Workflow": _named("Workflow"),
    "AWS::Glue::Trigger": _named("Trigger"),
    "AWS::SageMaker::Image": Kind(
        "sagemaker:CreateImage", "sagemaker:DeleteImage", "sagemaker:UpdateImage",
        ref="ImageArn", ident={"ImageName": "ImageName", "ResourceArn": "Ref"},
        rename={
            "ImageRoleArn": "RoleArn", "ImageDisplayName": "DisplayName",
            "ImageDescription": "Description",
        },
        tag="sagemaker:AddTags", untag="sagemaker:DeleteTags",
    ),
    "AWS::SageMaker::ImageVersion": Kind(
        "sagemaker:CreateImageVersion", "sagemaker:DeleteImageVersion",
        read="sagemaker:DescribeImageVersion", ref="ImageVersionArn",
        attributes={"ImageVersionArn": "ImageVersionArn"},
        ident={"ImageName": "ImageName", "Version": "Version"},
    ),
    "AWS::SageMaker::NotebookInstanceLifecycleConfig": Kind(
        "sagemaker:CreateNotebookInstanceLifecycleConfig",
        "sagemaker:DeleteNotebookInstanceLifecycleConfig",
        "sagemaker:UpdateNotebookInstanceLifecycleConfig",
        name="NotebookInstanceLifecycleConfigName", limit=63,
        ref="NotebookInstanceLifecycleConfigArn", ident={"ResourceArn": "Ref"},
        tag="sagemaker:AddTags", untag="sagemaker:DeleteTags",
    ),
    "AWS::SageMaker::ModelPackage": Kind(
        "sagemaker:CreateModelPackage", "sagemaker:DeleteModelPackage",
        "sagemaker:UpdateModelPackage", ref="ModelPackageArn",
        ident={"ModelPackageName": "Ref", "ModelPackageArn": "Ref", "ResourceArn": "Ref"},
        tag="sagemaker:AddTags", untag="sagemaker:DeleteTags",
    ),
}  # fmt: skip
