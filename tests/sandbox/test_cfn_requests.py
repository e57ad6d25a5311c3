"""From properties to the calls that change and remove, and what is refused, without a server."""

from __future__ import annotations

import io
import zipfile

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
    Recorder,
    created,
    deleted,
    resource,
    updated,
)

from seedbed.sandbox.cloudformation import registry, schemas
from seedbed.sandbox.cloudformation.aws import CallError, input_shape
from seedbed.sandbox.cloudformation.errors import ResourceError


@pytest.mark.parametrize(
    ("kind", "old", "change", "calls"),
    [
        (
            "AWS::CodeBuild::Project", PROJECT, {"Description": "d", "TimeoutInMinutes": None},
            [("codebuild:UpdateProject", {"name": "pr", "description": "d",
             "timeoutInMinutes": 60})],
        ),
        (
            "AWS::CodePipeline::Pipeline", {**PIPELINE, "Name": "p"},
            {"PipelineType": "V1", "RestartExecutionOnUpdate": True, "Tags": None},
            [("codepipeline:UntagResource", {
                "resourceArn": "arn:aws:codepipeline:eu-west-1:333333333333:p", "tagKeys": ["k"]}),
             ("codepipeline:UpdatePipeline", {"pipeline": {"pipelineType": "V1"}}),
             ("codepipeline:StartPipelineExecution", {"name": "p"})],
        ),
        (
            "AWS::SageMaker::Endpoint", {"EndpointConfigName": "c", "EndpointName": "e"},
            {"EndpointConfigName": "d", "RetainAllVariantProperties": True},
            [("sagemaker:UpdateEndpoint", {
                "EndpointName": "e", "EndpointConfigName": "d",
                "RetainAllVariantProperties": True}),
             ("sagemaker:DescribeEndpoint", {})],
        ),
        (
            "AWS::SageMaker::ModelPackageGroup", {"ModelPackageGroupName": "g"},
            {"ModelPackageGroupPolicy": {"Version": "2012-10-17"}},
            [("sagemaker:PutModelPackageGroupPolicy", {
                "ModelPackageGroupName": "g", "ResourcePolicy": '{"Version": "2012-10-17"}'}),
             ("sagemaker:DescribeModelPackageGroup", {})],
        ),
        (
            "AWS::SageMaker::ModelPackageGroup",
            {"ModelPackageGroupName": "g", "ModelPackageGroupPolicy": {}},
            {"ModelPackageGroupPolicy": None, "Tags": TAGS},
            [("sagemaker:AddTags", {"ResourceArn": "<ModelPackageGroupArn>", "Tags": TAGS}),
             ("sagemaker:DeleteModelPackageGroupPolicy", {"ModelPackageGroupName": "g"}),
             ("sagemaker:DescribeModelPackageGroup", {})],
        ),
        (
            "AWS::SageMaker::MonitoringSchedule", SCHEDULE,
            {"MonitoringScheduleConfig": {"MonitoringJobDefinitionName": "e",
                                          "MonitoringType": "DataQuality"}},
            [("sagemaker:UpdateMonitoringSchedule", {
                "MonitoringScheduleName": "m", "MonitoringScheduleConfig": {
                    "MonitoringJobDefinitionName": "e", "MonitoringType": "DataQuality"}}),
             ("sagemaker:DescribeMonitoringSchedule", {})],
        ),
        (
            "AWS::ServiceCatalog::Portfolio",
            {"DisplayName": "n", "ProviderName": "p", "Tags": TAGS, "Description": "d"},
            {"Tags": [{"Key": "l", "Value": "w"}], "Description": None},
            [("servicecatalog:UpdatePortfolio", {"Id": "<Id>", "RemoveTags": ["k"]}),
             ("servicecatalog:UpdatePortfolio",
              {"Id": "<Id>", "AddTags": [{"Key": "l", "Value": "w"}]}),
             ("servicecatalog:UpdatePortfolio", {"Id": "<Id>", "Description": ""})],
        ),
        (
            "AWS::ServiceCatalog::CloudFormationProduct", PRODUCT,
            {"SupportUrl": "https://x", "ProvisioningArtifactParameters": [
                {**VERSION, "Name": "v1.1"},
                {"Name": "v2", "Info": {"LoadTemplateFromURL": "https://b.s3.amazonaws.com/u"}}]},
            [("servicecatalog:UpdateProduct", {"Id": "<ProductId>", "SupportUrl": "https://x"}),
             ("servicecatalog:UpdateProvisioningArtifact", {
                 "ProductId": "<ProductId>", "ProvisioningArtifactId": "<Id>", "Name": "v1.1"}),
             ("servicecatalog:CreateProvisioningArtifact", {})],
        ),
        (
            "AWS::ServiceCatalog::CloudFormationProduct", PRODUCT,
            {"ProvisioningArtifactParameters": [
                {"Name": "v2", "Info": {"LoadTemplateFromURL": "https://b.s3.amazonaws.com/u"}}]},
            [("servicecatalog:CreateProvisioningArtifact", {}),
             ("servicecatalog:DeleteProvisioningArtifact", {
                 "ProductId": "<ProductId>", "ProvisioningArtifactId": "<Id>"})],
        ),
        (
            "AWS::ServiceCatalog::LaunchRoleConstraint", {**IN_PORTFOLIO, "LocalRoleName": "r"},
            {"LocalRoleName": "q"},
            [("servicecatalog:UpdateConstraint",
              {"Id": "<ConstraintId>", "Parameters": '{"LocalRoleName": "q"}', "Description": ""})],
        ),
        (
            "AWS::Lambda::Function",
            {"Code": {"S3Bucket": "bkt", "S3Key": "k"}, "Role": ROLE, "Runtime": "python3.13",
             "Handler": "h.h", "FunctionName": "f", "ReservedConcurrentExecutions": 1},
            {"Code": {"S3Bucket": "bkt", "S3Key": "l"}, "Tags": TAGS,
             "ReservedConcurrentExecutions": None, "Timeout": 4},
            [("lambda:UpdateFunctionCode",
              {"FunctionName": "f", "S3Bucket": "bkt", "S3Key": "l"}),
             ("lambda:GetFunction", {}),
             ("lambda:DeleteFunctionConcurrency", {"FunctionName": "f"}),
             ("lambda:TagResource", {"Resource": FUNCTION, "Tags": {"k": "v"}}),
             ("lambda:UpdateFunctionConfiguration", {"FunctionName": "f", "Timeout": 4}),
             ("lambda:GetFunction", {})],
        ),
        (
            "AWS::Lambda::Alias", {"FunctionName": "f", "Name": "live", "FunctionVersion": "2"},
            {"FunctionVersion": "3"},
            [("lambda:UpdateAlias", {"FunctionName": "f", "Name": "live", "FunctionVersion": "3"})],
        ),
        (
            "AWS::Athena::WorkGroup",
            {"Name": "w", "WorkGroupConfiguration": {"BytesScannedCutoffPerQuery": 10_000_000}},
            {"WorkGroupConfiguration": {"BytesScannedCutoffPerQuery": 20_000_000}},
            [("athena:UpdateWorkGroup", {
                "WorkGroup": "w",
                "ConfigurationUpdates": {"BytesScannedCutoffPerQuery": 20_000_000}})],
        ),
        (
            "AWS::Events::EventBus", {"Name": "b", "Description": "d"}, {"Description": "e"},
            [("events:UpdateEventBus", {"Name": "b", "Description": "e"})],
        ),
    ],
)  # fmt: skip
def test_update(kind, old, change, calls):
    new = {key: value for key, value in {**old, **change}.items() if value is not None}
    asked = updated(kind, old, new)
    assert [operation for operation, _ in asked] == [operation for operation, _ in calls]
    for (operation, params), (_, wanted) in zip(asked, calls, strict=True):
        for key, value in wanted.items():
            found = params[key]
            if isinstance(value, dict) and isinstance(found, dict):
                found = {inner: found[inner] for inner in value}
            assert found == value, operation


@pytest.mark.parametrize(
    ("kind", "properties", "calls"),
    [
        ("AWS::CodeBuild::Project", PROJECT, [("codebuild:DeleteProject", {"name": "pr"})]),
        (
            "AWS::CodePipeline::Pipeline", {**PIPELINE, "Name": "p"},
            [("codepipeline:DeletePipeline", {"name": "p"})],
        ),
        (
            "AWS::SageMaker::Project", {"ProjectName": "p"},
            [("sagemaker:DeleteProject", {"ProjectName": "p"}),
             ("sagemaker:DescribeProject", {"ProjectName": "p"})],
        ),
        (
            "AWS::SageMaker::UserProfile", {"DomainId": "d-1", "UserProfileName": "u"},
            [("sagemaker:DeleteUserProfile", {"DomainId": "d-1", "UserProfileName": "u"})],
        ),
        (
            "AWS::ServiceCatalog::PortfolioProductAssociation", IN_PORTFOLIO,
            [("servicecatalog:DisassociateProductFromPortfolio", IN_PORTFOLIO)],
        ),
        (
            "AWS::ServiceCatalog::CloudFormationProduct", PRODUCT,
            [("servicecatalog:DeleteProduct", {"Id": "<ProductId>"})],
        ),
        (
            "AWS::Lambda::Version", {"FunctionName": "f"},
            [("lambda:DeleteFunction", {"FunctionName": "f", "Qualifier": "<Version>"})],
        ),
        (
            "AWS::Lambda::Permission",
            {"FunctionName": "f", "Action": "lambda:InvokeFunction", "Principal": "p"},
            [("lambda:RemovePermission",
              {"FunctionName": "f", "StatementId": "s-Thing-XXXXXXXXXXXX"})],
        ),
        (
            "AWS::EC2::FlowLog",
            {"ResourceId": "vpc-1", "ResourceType": "VPC", "TrafficType": "ALL",
             "LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::b"},
            [("ec2:DeleteFlowLogs", {"FlowLogIds": [""]})],
        ),
    ],
)  # fmt: skip
def test_deletion(kind, properties, calls):
    assert deleted(kind, properties) == calls


def test_code_commit_is_seeded_once_from_s3():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/b.txt", "hello")
    packed.seek(0)
    code = {"S3": {"Bucket": "bkt", "Key": "k"}, "BranchName": "trunk"}
    aws = Recorder(GetObject={"Body": packed})
    said = {"RepositoryName": "r", "Code": code}
    created("AWS::CodeCommit::Repository", said, aws)
    operation, params = aws.calls[-1]
    assert operation == "codecommit:CreateCommit"
    assert params["branchName"] == "trunk"
    assert params["putFiles"] == [{"filePath": "a/b.txt", "fileContent": b"hello"}]
    calls = updated("AWS::CodeCommit::Repository", {"RepositoryName": "r"}, said)
    assert all(operation != "codecommit:CreateCommit" for operation, _ in calls)


def test_inline_code_is_packed_with_its_response_module_and_always_the_same():
    said = {"ZipFile": "import cfnresponse"}
    first = created("AWS::Lambda::Function", function(Code=said))[1]
    second = created("AWS::Lambda::Function", function(Code=said))[1]
    code = first[0][1]["Code"]["ZipFile"]
    assert code == second[0][1]["Code"]["ZipFile"]
    assert zipfile.ZipFile(io.BytesIO(code)).namelist() == ["index.py", "cfnresponse.py"]
    with pytest.raises(ResourceError, match=r"Code/ZipFile.*not java21"):
        created("AWS::Lambda::Function", function(Code=said, Runtime="java21"))


def function(**more):
    return {
        "Role": ROLE,
        "Runtime": "python3.13",
        "Handler": "index.h",
        "FunctionName": "f",
        **more,
    }


@pytest.mark.parametrize(
    ("kind", "properties", "said"),
    [
        ("AWS::S3::Bucket", {"WebsiteConfiguration": {}}, "property WebsiteConfiguration is not"),
        ("AWS::SNS::Topic", {"DeliveryStatusLogging": []}, "property DeliveryStatusLogging is not"),
        (
            "AWS::CodeBuild::Project", {**PROJECT, "Visibility": "PRIVATE"},
            r"Thing \(AWS::CodeBuild::Project\): property Visibility is not emulated",
        ),
        (
            "AWS::CodeBuild::Project", {**PROJECT, "Triggers": {"Webhook": True}},
            "property Triggers is not emulated",
        ),
        (
            "AWS::Lambda::Version",
            {"FunctionName": "f",
             "ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": 1}},
            "property ProvisionedConcurrencyConfig is not emulated",
        ),
        ("AWS::SQS::Queue", {"Colour": "red"}, "property Colour is unknown"),
        ("AWS::SQS::Queue", {"Arn": "a"}, "property Arn is read-only"),
        ("AWS::SQS::Queue", {"DelaySeconds": "soon"}, "must be of type integer, not 'soon'"),
        ("AWS::IAM::Role", {}, "property AssumeRolePolicyDocument is required"),
        (
            "AWS::SageMaker::Domain", {"DomainName": "d", "AuthMode": "LDAP",
            "DefaultUserSettings": {}},
            r"property AuthMode: 'LDAP' is not one of \['SSO', 'IAM'\]",
        ),
    ],
)  # fmt: skip
def test_a_property_that_cannot_be_carried_out_is_named(kind, properties, said):
    with pytest.raises(ResourceError, match=said):
        created(kind, properties)


def test_scalars_take_the_schemas_types():
    schema = schemas.find("AWS::SQS::Queue", "eu-west-1")
    said = {"DelaySeconds": "5", "FifoQueue": "true", "QueueName": 7}
    assert schema.check("Q", said) == {"DelaySeconds": 5, "FifoQueue": True, "QueueName": "7"}


def test_a_call_that_may_have_worked_leaves_a_name_to_delete_by():
    broken = CallError("timeout", "ReadTimeoutError", ambiguous=True)
    for kind, operation, properties in (
        ("AWS::Logs::LogGroup", "CreateLogGroup", {}),
        ("AWS::S3::Bucket", "CreateBucket", {}),
        ("AWS::IAM::Role", "CreateRole", {"AssumeRolePolicyDocument": {}}),
    ):
        handler, made = resource(kind, properties)
        with pytest.raises(CallError):
            handler.create(made, Recorder(**{operation: broken}))
        assert made.physical_id.lower() == "s-thing-xxxxxxxxxxxx"
    handler, made = resource("AWS::Logs::LogGroup", {"LogGroupName": "given"})
    with pytest.raises(CallError):
        handler.create(made, Recorder(CreateLogGroup=broken))
    assert made.physical_id == ""  # it may be somebody else's


def test_every_operation_of_the_table_is_one_of_botocores():
    rows = {**registry.KINDS, **{kind: row for kind, (_, row) in registry.DRIVEN.items()}}
    for kind, row in rows.items():
        schema = schemas.find(kind, "eu-west-1")
        assert schema is not None, kind
        extras = row.extras
        calls = [row.create, row.delete, row.update, row.read, row.tag, row.untag]
        calls += [call for extra in extras for call in (extra.operation, extra.remove)]
        for call in filter(None, calls):
            input_shape(call)
        named = [*row.rename, *row.resets, *row.ignored, *row.update_only]
        named += [name for extra in extras for name in extra.properties]
        unknown = set(named) - set(schema.properties)
        assert not unknown - {"PipelineDefinition"}, kind


@pytest.mark.parametrize("kind", sorted(registry.REFUSED))
def test_types_that_are_refused(kind):
    schema = schemas.find(kind, "us-east-1")
    if schema is not None:
        with pytest.raises(ResourceError, match=f"type {kind} is not emulated"):
            registry.handler(schema)


def test_a_type_without_a_row_is_read_off_its_schema_and_as_strict():
    row = registry.inferred(schemas.find("AWS::Logs::MetricFilter", "eu-west-1"))
    assert (row.create, row.delete) == ("logs:PutMetricFilter", "logs:DeleteMetricFilter")
    for kind, said in (
        ("AWS::EC2::EIP", "names no call that makes it"),
        ("AWS::Glue::Connection", "what glue:DeleteConnection takes as ConnectionName"),
    ):
        with pytest.raises(ResourceError, match=said):
            registry.inferred(schemas.find(kind, "eu-west-1"))
    said = "property Description is not emulated: elasticache:CreateCacheSubnetGroup"
    with pytest.raises(ResourceError, match=said):
        created("AWS::ElastiCache::SubnetGroup", {"Description": "d", "SubnetIds": ["s"]})
