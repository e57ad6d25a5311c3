"""Cases of REST APIs, users and groups, streams, clusters, networks, Glue jobs and images."""

from __future__ import annotations

from cfn_cases import ACCOUNT, ARN, KEY, ROLE, TAGS, Case, statement

READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
API = {"Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "api"}}}
ROOT = {"Fn::GetAtt": ["Api", "RootResourceId"]}
PLACE = {"RestApiId": {"Ref": "Api"}, "ResourceId": ROOT, "HttpMethod": "GET"}
MOCK = {
    "Type": "MOCK", "RequestTemplates": {"application/json": '{"statusCode": 200}'},
    "IntegrationResponses": [{"StatusCode": "200"}],
}  # fmt: skip
METHOD = {"Type": "AWS::ApiGateway::Method", "Properties": {**PLACE, "Integration": MOCK}}
DEPLOYED = {
    **API,
    "Method": METHOD,
    "Deployment": {
        "Type": "AWS::ApiGateway::Deployment", "DependsOn": "Method",
        "Properties": {"RestApiId": {"Ref": "Api"}},
    },
}  # fmt: skip
USERS = {
    "User": {"Type": "AWS::IAM::User", "Properties": {"UserName": "u"}},
    "Group": {"Type": "AWS::IAM::Group", "Properties": {"GroupName": "g"}},
}
LOGS = {"Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "logs"}}}
BUCKET = {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "delivered"}}}
VPC = {"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}}
SUBNET = {
    "Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24"}
}  # fmt: skip
JOB = {"Role": ROLE, "Command": {"Name": "glueetl", "ScriptLocation": "s3://b/job.py"}}
IMAGE = {
    "Type": "AWS::SageMaker::Image", "Properties": {"ImageName": "i", "ImageRoleArn": ROLE}
}  # fmt: skip
CONTAINER = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/r:latest"
GROUP = {
    "Type": "AWS::SageMaker::ModelPackageGroup", "Properties": {"ModelPackageGroupName": "g"}
}  # fmt: skip


def last(logical_id):
    """Return the name at the end of a resource's ARN."""
    return {"Fn::Select": ["1", {"Fn::Split": ["/", {"Ref": logical_id}]}]}


CASES = [
    Case(
        "AWS::IAM::User",
        {"UserName": "jenkins", "Groups": [{"Ref": "Group"}], "ManagedPolicyArns": [READ_ONLY],
         "Policies": [{"PolicyName": "builds", "PolicyDocument": statement("codebuild:*")}],
         "LoginProfile": {"Password": "Secret-123", "PasswordResetRequired": True}, "Tags": TAGS},
        ("iam", "list_groups_for_user", {"UserName": "jenkins"}, "Groups[].GroupName"), ["g"],
        {"Groups": [], "ManagedPolicyArns": None, "Tags": None, "LoginProfile": None}, [],
        {"Group": USERS["Group"]},
    ),
    Case(
        "AWS::IAM::User", {"Policies": [{"PolicyName": "p", "PolicyDocument": statement("s3:*")}]},
        ("iam", "list_user_policies", {"UserName": "$"}, "PolicyNames"), ["p"],
        {"Policies": [{"PolicyName": "q", "PolicyDocument": statement("s3:*")}]}, ["q"],
    ),
    Case(
        "AWS::IAM::Group",
        {"ManagedPolicyArns": [READ_ONLY],
         "Policies": [{"PolicyName": "p", "PolicyDocument": statement("s3:*")}]},
        ("iam", "list_attached_group_policies", {"GroupName": "$"},
         "AttachedPolicies[].PolicyArn"), [READ_ONLY], {"ManagedPolicyArns": []}, [],
    ),
    Case(
        "AWS::IAM::UserToGroupAddition",
        {"GroupName": {"Ref": "Group"}, "Users": [{"Ref": "User"}]},
        ("iam", "get_group", {"GroupName": "g"}, "Users[].UserName"), ["u"],
        {"Users": [{"Ref": "Other"}]}, ["v"],
        {**USERS, "Other": {"Type": "AWS::IAM::User", "Properties": {"UserName": "v"}}},
    ),
    Case(
        "AWS::IAM::AccessKey", {"UserName": {"Ref": "User"}},
        ("iam", "list_access_keys", {"UserName": "u"}, "AccessKeyMetadata[0].Status"), "Active",
        {"Status": "Inactive"}, "Inactive", USERS,
    ),
    Case(
        "AWS::ApiGateway::RestApi",
        {"Name": "models", "Description": "a", "EndpointConfiguration": {"Types": ["REGIONAL"]},
         "Tags": TAGS},
        ("apigateway", "get_rest_api", {"restApiId": "$"},
         "[name, description, endpointConfiguration.types, tags.team]"),
        ["models", "a", ["REGIONAL"], "ml"],
        {"Description": "b"}, ["models", "b", ["REGIONAL"], "ml"],
    ),
    Case(
        "AWS::ApiGateway::Resource",
        {"RestApiId": {"Ref": "Api"}, "ParentId": ROOT, "PathPart": "{proxy+}"},
        ("apigateway", "get_resource", {"restApiId": "$Api", "resourceId": "$"}, "path"),
        "/{proxy+}", beside=API,
    ),
    Case(
        "AWS::ApiGateway::Method",
        {"RestApiId": {"Ref": "Api"}, "ResourceId": {"Ref": "Part"}, "HttpMethod": "POST",
         "ApiKeyRequired": True, "MethodResponses": [{"StatusCode": "200"}], "Integration": MOCK},
        ("apigateway", "get_method",
         {"restApiId": "$Api", "resourceId": "$Part", "httpMethod": "POST"},
         ("[apiKeyRequired, methodIntegration.type, keys(methodResponses), "
          "keys(methodIntegration.integrationResponses)]")),
        [True, "MOCK", ["200"], ["200"]],
        {"ApiKeyRequired": False}, [False, "MOCK", ["200"], ["200"]],
        {**API, "Part": {"Type": "AWS::ApiGateway::Resource", "Properties": {
            "RestApiId": {"Ref": "Api"}, "ParentId": ROOT, "PathPart": "predict"}}},
    ),
    Case(
        "AWS::ApiGateway::Deployment",
        {"RestApiId": {"Ref": "Api"}, "StageName": "dev", "Description": {"Ref": "Part"},
         "StageDescription": {"Variables": {"a": "b"}}},
        ("apigateway", "get_stages", {"restApiId": "$Api"}, "item[].[stageName, variables.a]"),
        [["dev", "b"]], beside={**API, "Part": METHOD},
    ),
    Case(
        "AWS::ApiGateway::Stage",
        {"RestApiId": {"Ref": "Api"}, "DeploymentId": {"Ref": "Deployment"}, "StageName": "prod",
         "AccessLogSetting": {"DestinationArn": ARN.format("logs", "log-group:l"), "Format": "$x"},
         "MethodSettings": [{"ResourcePath": "/*", "HttpMethod": "*", "MetricsEnabled": True}],
         "Tags": TAGS},
        ("apigateway", "get_stage", {"restApiId": "$Api", "stageName": "prod"},
         '[accessLogSettings.format, methodSettings."*/*".metricsEnabled, description]'),
        ["$x", True, ""], {"Description": "b"}, ["$x", True, "b"], DEPLOYED,
    ),
    Case(
        "AWS::ApiGateway::Account", {"CloudWatchRoleArn": ROLE},
        ("apigateway", "get_account", {}, "cloudwatchRoleArn"), ROLE, stays=True,
    ),
    Case(
        "AWS::ApiGateway::RequestValidator",
        {"RestApiId": {"Ref": "Api"}, "Name": "v", "ValidateRequestBody": True},
        ("apigateway", "get_request_validators", {"restApiId": "$Api"},
         "items[].[name, validateRequestBody]"), [["v", True]], beside=API,
    ),
    Case(
        "AWS::ApiGateway::Authorizer",
        {"RestApiId": {"Ref": "Api"}, "Name": "a", "Type": "TOKEN",
         "AuthorizerUri": ARN.format("lambda", "function:f"),
         "IdentitySource": "method.request.header.Authorization"},
        ("apigateway", "get_authorizers", {"restApiId": "$Api"}, "items[].[name, type]"),
        [["a", "TOKEN"]], beside=API,
    ),
    Case(
        "AWS::ApiGateway::Model",
        {"RestApiId": {"Ref": "Api"}, "Name": "m", "Schema": {"type": "object"}},
        ("apigateway", "get_model", {"restApiId": "$Api", "modelName": "m"}, "contentType"),
        "application/json", beside=API,
    ),
    Case(
        "AWS::ApiGateway::ApiKey", {"Name": "k", "Enabled": True},
        ("apigateway", "get_api_key", {"apiKey": "$"}, "[name, enabled]"), ["k", True],
    ),
    Case(
        "AWS::ApiGateway::UsagePlanKey",
        {"KeyId": {"Ref": "Key"}, "KeyType": "API_KEY", "UsagePlanId": {"Ref": "Plan"}},
        ("apigateway", "get_usage_plan_keys", {"usagePlanId": "$Plan"}, "items[].type"),
        ["API_KEY"],
        beside={
            "Key": {"Type": "AWS::ApiGateway::ApiKey", "Properties": {"Name": "k"}},
            "Plan": {"Type": "AWS::ApiGateway::UsagePlan",
                     "Properties": {"UsagePlanName": "plan", "Throttle": {"RateLimit": 5}}},
        },
    ),
    Case(
        "AWS::Logs::LogStream", {"LogGroupName": {"Ref": "Logs"}},
        ("logs", "describe_log_streams", {"logGroupName": "logs"}, "length(logStreams)"), 1,
        beside=LOGS,
    ),
    Case(
        "AWS::Logs::MetricFilter",
        {"LogGroupName": {"Ref": "Logs"}, "FilterPattern": "ERROR",
         "MetricTransformations": [
             {"MetricName": "m", "MetricNamespace": "n", "MetricValue": "1"}]},
        ("logs", "describe_metric_filters", {"logGroupName": "logs"},
         "metricFilters[].filterPattern"), ["ERROR"], beside=LOGS,
    ),
    Case(
        "AWS::KinesisFirehose::DeliveryStream",
        {"DeliveryStreamName": "events", "Tags": TAGS,
         "S3DestinationConfiguration": {
             "BucketARN": {"Fn::GetAtt": ["Bucket", "Arn"]}, "RoleARN": ROLE, "Prefix": "dev/"}},
        ("firehose", "describe_delivery_stream", {"DeliveryStreamName": "$"},
         ("DeliveryStreamDescription.Destinations[0].S3DestinationDescription."
          "[BucketARN, Prefix]")), ["arn:aws:s3:::delivered", "dev/"], beside=BUCKET,
    ),
    Case(
        "AWS::EC2::NatGateway",
        {"SubnetId": {"Ref": "Subnet"}, "AllocationId": {"Fn::GetAtt": ["Address", "AllocationId"]},
         "Tags": TAGS},
        ("ec2", "describe_nat_gateways", {"NatGatewayIds": ["$"]},
         "NatGateways[?State != 'deleted'] | [0].Tags"), TAGS,
        beside={**VPC, "Subnet": SUBNET,
                "Address": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}}},
    ),
    Case(
        "AWS::Glue::Trigger",
        {"Type": "ON_DEMAND", "Actions": [{"JobName": {"Ref": "Job"}}],
         "WorkflowName": {"Ref": "Flow"}},
        ("glue", "get_trigger", {"Name": "$"}, "Trigger.[Type, WorkflowName]"),
        ["ON_DEMAND", "flow"],
        beside={
            "Job": {"Type": "AWS::Glue::Job", "Properties": JOB},
            "Flow": {"Type": "AWS::Glue::Workflow", "Properties": {"Name": "flow"}},
        },
    ),
    Case(
        "AWS::SageMaker::Image",
        {"ImageName": "i", "ImageRoleArn": ROLE, "ImageDisplayName": "a", "Tags": TAGS},
        ("sagemaker", "describe_image", {"ImageName": "i"}, "[DisplayName, RoleArn, ImageStatus]"),
        ["a", ROLE, "CREATED"], {"ImageDisplayName": "b"}, ["b", ROLE, "CREATED"],
    ),
    Case(
        "AWS::SageMaker::ImageVersion",
        {"ImageName": last("Image"), "BaseImage": CONTAINER},
        ("sagemaker", "list_image_versions", {"ImageName": "i"}, "ImageVersions[].Version"), [1],
        beside={"Image": IMAGE},
    ),
    Case(
        "AWS::SageMaker::AppImageConfig",
        {"AppImageConfigName": "c", "KernelGatewayImageConfig": {"KernelSpecs": [{"Name": "k"}]}},
        ("sagemaker", "describe_app_image_config", {"AppImageConfigName": "c"},
         "KernelGatewayImageConfig.KernelSpecs[0].Name"), "k",
        {"KernelGatewayImageConfig": {"KernelSpecs": [{"Name": "j"}]}, "Tags": TAGS}, "j",
    ),
    Case(
        "AWS::SageMaker::AppImageConfig",
        {"AppImageConfigName": "c", "Tags": TAGS},
        ("sagemaker", "list_tags",
         {"ResourceArn": ARN.format("sagemaker", "app-image-config/c")}, "Tags"), TAGS,
        {"Tags": [{"Key": "team", "Value": "x"}]}, [{"Key": "team", "Value": "x"}],
    ),
    Case(
        "AWS::ECS::Cluster",
        {"ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}], "Tags": TAGS},
        ("ecs", "describe_clusters", {"clusters": ["$"], "include": ["SETTINGS", "TAGS"]},
         "clusters[?status == 'ACTIVE'] | [0].[settings[0].value, tags]"),
        ["enabled", [{"key": "team", "value": "ml"}]],
        {"ClusterSettings": [{"Name": "containerInsights", "Value": "disabled"}]},
        ["disabled", [{"key": "team", "value": "ml"}]],
    ),
    Case(
        "AWS::Kinesis::Stream",
        {"ShardCount": 2, "RetentionPeriodHours": 48,
         "StreamEncryption": {"EncryptionType": "KMS", "KeyId": KEY}, "Tags": TAGS},
        ("kinesis", "describe_stream_summary", {"StreamName": "$"},
         "StreamDescriptionSummary.[OpenShardCount, RetentionPeriodHours, KeyId]"), [2, 48, KEY],
        {"RetentionPeriodHours": 72}, [2, 72, KEY],
    ),
    Case(
        "AWS::Kinesis::Stream", {"Name": "stream", "ShardCount": 1, "Tags": TAGS},
        ("kinesis", "list_tags_for_stream", {"StreamName": "$"}, "Tags"), TAGS,
        {"Tags": [{"Key": "team", "Value": "x"}]}, [{"Key": "team", "Value": "x"}],
    ),
    Case(
        "AWS::EC2::NetworkAcl", {"VpcId": {"Ref": "Vpc"}, "Tags": TAGS},
        ("ec2", "describe_network_acls", {"NetworkAclIds": ["$"]}, "NetworkAcls[0].Tags"), TAGS,
        {"Tags": [{"Key": "team", "Value": "x"}]}, [{"Key": "team", "Value": "x"}], beside=VPC,
    ),
    Case(
        "AWS::EC2::NetworkAclEntry",
        {"NetworkAclId": {"Ref": "List"}, "RuleNumber": 100, "Protocol": 6,
         "RuleAction": "allow", "CidrBlock": "10.1.0.0/16", "PortRange": {"From": 1, "To": 2}},
        ("ec2", "describe_network_acls", {"NetworkAclIds": ["$List"]},
         "NetworkAcls[0].Entries[?RuleNumber == `100`] | [0].[Egress, RuleAction, PortRange.To]"),
        [False, "allow", 2], {"RuleAction": "deny"}, [False, "deny", 2],
        beside={**VPC, "List": {
            "Type": "AWS::EC2::NetworkAcl", "Properties": {"VpcId": {"Ref": "Vpc"}}}},
    ),
    Case(
        "AWS::SageMaker::NotebookInstance",
        {"NotebookInstanceName": "n", "InstanceType": "ml.t3.medium", "RoleArn": ROLE,
         "LifecycleConfigName": {
             "Fn::GetAtt": ["Start", "NotebookInstanceLifecycleConfigName"]}},
        ("sagemaker", "describe_notebook_instance", {"NotebookInstanceName": "n"},
         "starts_with(NotebookInstanceLifecycleConfigName, 's-Start-')"), True,
        beside={"Start": {"Type": "AWS::SageMaker::NotebookInstanceLifecycleConfig",
                          "Properties": {"OnStart": [{"Content": "ZWNobyBoaQ=="}]}}},
    ),
    Case(
        "AWS::SageMaker::ModelPackage",
        {"ModelPackageGroupName": last("Group"), "ModelApprovalStatus": "Approved",
         "InferenceSpecification": {"Containers": [{"Image": CONTAINER}],
                                    "SupportedContentTypes": ["text/csv"],
                                    "SupportedResponseMIMETypes": ["text/csv"]}},
        ("sagemaker", "list_model_packages", {"ModelPackageGroupName": "g"},
         "ModelPackageSummaryList[].ModelApprovalStatus"), ["Approved"],
        beside={"Group": GROUP},
    ),
]  # fmt: skip
