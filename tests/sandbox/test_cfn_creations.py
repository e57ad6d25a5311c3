"""From properties to the calls that create, without a server.

Here are the types whose services moto lacks in part; test_cfn_kinds.py reads the others back.
"""

from __future__ import annotations

import pytest
from cfn_requests import (
    FUNCTION,
    IN_PORTFOLIO,
    PIPELINE,
    PRODUCT,
    PROJECT,
    ROLE,
    SCHEDULE,
    TAGS,
    VERSION,
    created,
)

QUEUE_ARN = "arn:aws:sqs:eu-west-1:333333333333:q"


@pytest.mark.parametrize(
    ("kind", "properties", "calls", "ref"),
    [
        (
            "AWS::CodeBuild::Project", PROJECT,
            [("codebuild:CreateProject", {
                "name": "pr", "serviceRole": ROLE, "artifacts": {"type": "NO_ARTIFACTS"},
                "environment": {
                    "type": "LINUX_CONTAINER", "computeType": "BUILD_GENERAL1_SMALL",
                    "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
                    "environmentVariables": [{"name": "A", "value": "1"}],
                },
                "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2"},
                "logsConfig": {"cloudWatchLogs": {"status": "ENABLED", "groupName": "/g"}},
                "timeoutInMinutes": 30, "encryptionKey": "k", "tags": [{"key": "k", "value": "v"}],
            })], "pr",
        ),
        (
            "AWS::CodePipeline::Pipeline", {**PIPELINE, "RestartExecutionOnUpdate": False},
            [("codepipeline:CreatePipeline", {
                "pipeline": {
                    "name": "s-Thing-XXXXXXXXXXXX", "roleArn": ROLE, "pipelineType": "V2",
                    "artifactStore": {"type": "S3", "location": "bkt"},
                    "stages": [{"name": name, "actions": [{
                        "name": "Get",
                        "actionTypeId": {"category": "Source", "owner": "AWS", "version": "1",
                                         "provider": "CodeStarSourceConnection"},
                        "configuration": {"DetectChanges": "true", "BranchName": "main"},
                        "outputArtifacts": [{"name": "out"}],
                    }]} for name in ("Source", "Next")],
                },
                "tags": [{"key": "k", "value": "v"}],
            })], "s-Thing-XXXXXXXXXXXX",
        ),
        (
            "AWS::CodeConnections::Connection",
            {"ConnectionName": "c", "ProviderType": "GitHub", "Tags": TAGS},
            [("codeconnections:CreateConnection",
              {"ConnectionName": "c", "ProviderType": "GitHub", "Tags": TAGS}),
             ("codeconnections:GetConnection", {"ConnectionArn": "<ConnectionArn>"})],
            "<ConnectionArn>",
        ),
        (
            "AWS::CodeStarConnections::Connection", {"ConnectionName": "c",
            "ProviderType": "GitHub"},
            [("codestar-connections:CreateConnection",
              {"ConnectionName": "c", "ProviderType": "GitHub"}),
             ("codestar-connections:GetConnection", {"ConnectionArn": "<ConnectionArn>"})],
            "<ConnectionArn>",
        ),
        (
            "AWS::SageMaker::UserProfile",
            {"DomainId": "d-1", "UserProfileName": "u", "UserSettings": {"ExecutionRole": ROLE}},
            [("sagemaker:CreateUserProfile", {
                "DomainId": "d-1", "UserProfileName": "u",
                "UserSettings": {"ExecutionRole": ROLE}}),
             ("sagemaker:DescribeUserProfile", {"DomainId": "d-1", "UserProfileName": "u"})],
            "u|d-1",
        ),
        (
            "AWS::SageMaker::Project",
            {"ProjectName": "p", "TemplateProviderDetails": [{"CfnTemplateProviderDetail": {
                "TemplateName": "t", "TemplateURL": "https://x/t", "RoleARN": ROLE,
                "Parameters": [{"Key": "a", "Value": "b"}]}}]},
            [("sagemaker:CreateProject", {"ProjectName": "p", "TemplateProviders": [
                {"CfnTemplateProvider": {"TemplateName": "t", "TemplateURL": "https://x/t",
                                         "RoleARN": ROLE,
                                         "Parameters": [{"Key": "a", "Value": "b"}]}}]}),
             ("sagemaker:DescribeProject", {"ProjectName": "p"})],
            "<ProjectArn>",
        ),
        (
            "AWS::SageMaker::MonitoringSchedule", SCHEDULE,
            [("sagemaker:CreateMonitoringSchedule", SCHEDULE),
             ("sagemaker:DescribeMonitoringSchedule", {"MonitoringScheduleName": "m"})],
            "<MonitoringScheduleArn>",
        ),
        (
            "AWS::SageMaker::CodeRepository",
            {"GitConfig": {"RepositoryUrl": "https://x/y.git"}, "Tags": TAGS},
            [("sagemaker:CreateCodeRepository", {
                "CodeRepositoryName": "s-Thing-XXXXXXXXXXXX", "Tags": TAGS,
                "GitConfig": {"RepositoryUrl": "https://x/y.git"}}),
             ("sagemaker:DescribeCodeRepository", {"CodeRepositoryName": "s-Thing-XXXXXXXXXXXX"})],
            "<CodeRepositoryArn>",
        ),
        (
            "AWS::SageMaker::Endpoint",
            {"EndpointConfigName": "c", "RetainAllVariantProperties": True},
            [("sagemaker:CreateEndpoint",
              {"EndpointConfigName": "c", "EndpointName": "s-Thing-XXXXXXXXXXXX"}),
             ("sagemaker:DescribeEndpoint", {"EndpointName": "s-Thing-XXXXXXXXXXXX"})],
            "<EndpointArn>",
        ),
        (
            "AWS::ServiceCatalog::Portfolio", {"DisplayName": "n", "ProviderName": "p",
            "Tags": TAGS},
            [("servicecatalog:CreatePortfolio",
              {"DisplayName": "n", "ProviderName": "p", "Tags": TAGS})], "<Id>",
        ),
        (
            "AWS::ServiceCatalog::CloudFormationProduct",
            {**PRODUCT, "ProvisioningArtifactParameters": [VERSION, {**VERSION, "Name": "v2"}]},
            [("servicecatalog:CreateProduct", {
                "Name": "n", "Owner": "o", "ProductType": "CLOUD_FORMATION_TEMPLATE",
                "ProvisioningArtifactParameters": {"Type": "CLOUD_FORMATION_TEMPLATE", **VERSION}}),
             ("servicecatalog:CreateProvisioningArtifact", {"ProductId": "<ProductId>",
              "Parameters": {
                 "Type": "CLOUD_FORMATION_TEMPLATE", **VERSION, "Name": "v2"}})], "<ProductId>",
        ),
        (
            "AWS::ServiceCatalog::LaunchRoleConstraint", {**IN_PORTFOLIO, "LocalRoleName": "r"},
            [("servicecatalog:CreateConstraint",
              {**IN_PORTFOLIO, "Type": "LAUNCH", "Parameters": '{"LocalRoleName": "r"}'})],
            "<ConstraintId>",
        ),
        (
            "AWS::ServiceCatalog::ResourceUpdateConstraint",
            {**IN_PORTFOLIO, "TagUpdateOnProvisionedProduct": "ALLOWED"},
            [("servicecatalog:CreateConstraint", {
                **IN_PORTFOLIO, "Type": "RESOURCE_UPDATE",
                "Parameters": '{"Version": "2.0", "Properties": '
                              '{"TagUpdateOnProvisionedProduct": "ALLOWED"}}'})],
            "<ConstraintId>",
        ),
        (
            "AWS::ServiceCatalog::LaunchNotificationConstraint",
            {**IN_PORTFOLIO, "NotificationArns": ["a"]},
            [("servicecatalog:CreateConstraint", {
                **IN_PORTFOLIO, "Type": "NOTIFICATION",
                 "Parameters": '{"NotificationArns": ["a"]}'})],
            "<ConstraintId>",
        ),
        (
            "AWS::ServiceCatalog::LaunchTemplateConstraint", {**IN_PORTFOLIO, "Rules": '{"R": 1}'},
            [("servicecatalog:CreateConstraint", {
                **IN_PORTFOLIO, "Type": "TEMPLATE", "Parameters": '{"Rules": {"R": 1}}'})],
            "<ConstraintId>",
        ),
        (
            "AWS::ServiceCatalog::PortfolioPrincipalAssociation",
            {"PortfolioId": "port-1", "PrincipalARN": ROLE, "PrincipalType": "IAM"},
            [("servicecatalog:AssociatePrincipalWithPortfolio",
              {"PortfolioId": "port-1", "PrincipalARN": ROLE, "PrincipalType": "IAM"})],
            f"port-1|{ROLE}",
        ),
        (
            "AWS::ServiceCatalog::TagOption", {"Key": "k", "Value": "v", "Active": False},
            [("servicecatalog:CreateTagOption", {"Key": "k", "Value": "v"}),
             ("servicecatalog:UpdateTagOption", {"Id": "<Id>", "Active": False})], "<Id>",
        ),
        (
            "AWS::ServiceCatalog::TagOptionAssociation", {"TagOptionId": "t",
            "ResourceId": "prod-1"},
            [("servicecatalog:AssociateTagOptionWithResource",
              {"TagOptionId": "t", "ResourceId": "prod-1"})], "t|prod-1",
        ),
        (
            "AWS::Lambda::Permission",
            {"FunctionName": FUNCTION, "Action": "lambda:InvokeFunction", "Principal": "p"},
            [("lambda:AddPermission", {
                "FunctionName": FUNCTION, "Action": "lambda:InvokeFunction", "Principal": "p",
                "StatementId": "s-Thing-XXXXXXXXXXXX"})], "s-Thing-XXXXXXXXXXXX",
        ),
        (
            "AWS::Lambda::Version", {"FunctionName": "f", "Description": "d"},
            [("lambda:PublishVersion", {"FunctionName": "f", "Description": "d"})], "<FunctionArn>",
        ),
        (
            "AWS::Lambda::Alias",
            {"FunctionName": "f", "Name": "live", "FunctionVersion": "2", "RoutingConfig": {
                "AdditionalVersionWeights": [{"FunctionVersion": "1", "FunctionWeight": 0.1}]}},
            [("lambda:CreateAlias", {
                "FunctionName": "f", "Name": "live", "FunctionVersion": "2",
                "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.1}}})], "<AliasArn>",
        ),
        (
            "AWS::Lambda::EventInvokeConfig",
            {"FunctionName": "f", "Qualifier": "$LATEST", "MaximumRetryAttempts": 0,
             "DestinationConfig": {"OnFailure": {"Destination": QUEUE_ARN}}},
            [("lambda:PutFunctionEventInvokeConfig", {
                "FunctionName": "f", "Qualifier": "$LATEST", "MaximumRetryAttempts": 0,
                "DestinationConfig": {"OnFailure": {"Destination": QUEUE_ARN}}})],
            "f|$LATEST",
        ),
        (
            "AWS::Lambda::EventSourceMapping",
            {"FunctionName": "f", "EventSourceArn": QUEUE_ARN,
             "BatchSize": 1},
            [("lambda:CreateEventSourceMapping", {
                "FunctionName": "f", "EventSourceArn": QUEUE_ARN,
                "BatchSize": 1})], "<UUID>",
        ),
        (
            "AWS::RAM::ResourceShare",
            {"Name": "n", "Principals": ["o"], "ResourceArns": ["a"], "PermissionArns": ["p"]},
            [("ram:CreateResourceShare", {
                "name": "n", "principals": ["o"], "resourceArns": ["a"], "permissionArns": ["p"]})],
            "<resourceShareArn>",
        ),
        (
            "AWS::LakeFormation::Permissions",
            {"DataLakePrincipal": {"DataLakePrincipalIdentifier": ROLE}, "Permissions": ["SELECT"],
             "Resource": {"TableResource": {"DatabaseName": "d", "Name": "t"}}},
            [("lakeformation:GrantPermissions", {
                "Principal": {"DataLakePrincipalIdentifier": ROLE}, "Permissions": ["SELECT"],
                "Resource": {"Table": {"DatabaseName": "d", "Name": "t"}}})],
            "s-Thing-XXXXXXXXXXXX",
        ),
        (
            "AWS::ApplicationAutoScaling::ScalableTarget",
            {"MaxCapacity": 2, "MinCapacity": 1, "ResourceId": "r", "ServiceNamespace": "sagemaker",
             "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"},
            [("application-autoscaling:RegisterScalableTarget", {
                "MaxCapacity": 2, "MinCapacity": 1, "ResourceId": "r",
                "ServiceNamespace": "sagemaker",
                "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"})],
            "r|sagemaker:variant:DesiredInstanceCount|sagemaker",
        ),
    ],
    ids=lambda value: value.split("::", 1)[1] if str(value).startswith("AWS::") else "",
)  # fmt: skip
def test_creation(kind, properties, calls, ref):
    made, asked = created(kind, properties)
    assert asked == calls
    assert made.physical_id == ref
