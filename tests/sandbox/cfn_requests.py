"""A client that takes calls and checks them against botocore's model, and samples of properties."""

from __future__ import annotations

from botocore.validate import ParamValidator

from seedbed.sandbox.cloudformation import registry, schemas
from seedbed.sandbox.cloudformation.aws import input_shape, service_model
from seedbed.sandbox.cloudformation.resources import Resource

ROLE = "arn:aws:iam::333333333333:role/r"
FUNCTION = "arn:aws:lambda:eu-west-1:333333333333:function:f"
TAGS = [{"Key": "k", "Value": "v"}]


class Recorder:
    """Takes calls, checks their parameters, and answers with every member of the output."""

    account, region, partition = "333333333333", "eu-west-1", "aws"

    def __init__(self, **answers):
        self.calls = []
        self.answers = answers

    def pause(self, _):
        raise AssertionError("nothing here takes time")

    def call(self, operation, **params):
        shape = input_shape(operation)
        if shape is not None:
            required = dict(params)
            for name in shape.required_members:  # botocore fills these in
                if shape.members[name].metadata.get("idempotencyToken"):
                    required.setdefault(name, "token")
            report = ParamValidator().validate(required, shape)
            assert not report.has_errors(), f"{operation}: {report.generate_report()}"
        self.calls.append((operation, params))
        service, name = operation.split(":")
        if name in self.answers:
            answer = self.answers[name]
            if isinstance(answer, Exception):
                raise answer
            return answer
        output = service_model(service).operation_model(name).output_shape
        return {} if output is None else example(output, 3)


def example(shape, depth):
    match shape.type_name:
        case "structure":
            if depth == 0:
                return {}
            return {
                name: f"<{name}>" if member.type_name == "string" else example(member, depth - 1)
                for name, member in shape.members.items()
            }
        case "list":
            return [example(shape.member, depth - 1)] if depth else []
        case "integer" | "long":
            return 1
        case "boolean":
            return True
    return {} if shape.type_name == "map" else ""


def resource(kind, properties, **more):
    schema = schemas.find(kind, "eu-west-1")
    checked = schema.check("Thing", properties)
    made = Resource("Thing", kind, "s", "id", checked, lambda length, _: "X" * length, **more)
    return registry.handler(schema), made


def created(kind, properties, aws=None):
    """Create; return the resource and the calls."""
    aws = aws or Recorder()
    handler, made = resource(kind, properties)
    handler.create(made, aws)
    return made, aws.calls


def updated(kind, old, new):
    """Create and then update; return the calls of the update."""
    made, _ = created(kind, old)
    aws = Recorder()
    handler, now = resource(kind, new, physical_id=made.physical_id, attributes=made.attributes)
    before = schemas.find(kind, "eu-west-1").check("Thing", old)
    handler.update(now, before, aws)
    return aws.calls


def deleted(kind, properties):
    """Create and then delete; return the calls of the deletion."""
    made, _ = created(kind, properties)
    aws = Recorder()
    handler, gone = resource(
        kind, properties, physical_id=made.physical_id, attributes=made.attributes
    )
    handler.delete(gone, aws)
    return aws.calls


PROJECT = {
    "Name": "pr",
    "ServiceRole": ROLE,
    "Artifacts": {"Type": "NO_ARTIFACTS"},
    "Environment": {
        "Type": "LINUX_CONTAINER",
        "ComputeType": "BUILD_GENERAL1_SMALL",
        "Image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
        "EnvironmentVariables": [{"Name": "A", "Value": 1}],
    },
    "Source": {"Type": "NO_SOURCE", "BuildSpec": "version: 0.2"},
    "LogsConfig": {"CloudWatchLogs": {"Status": "ENABLED", "GroupName": "/g"}},
    "TimeoutInMinutes": "30",
    "EncryptionKey": "k",
    "Tags": TAGS,
}
STAGE = {
    "Name": "Source",
    "Actions": [
        {
            "Name": "Get",
            "ActionTypeId": {
                "Category": "Source",
                "Owner": "AWS",
                "Provider": "CodeStarSourceConnection",
                "Version": 1,
            },
            "Configuration": {"DetectChanges": True, "BranchName": "main"},
            "OutputArtifacts": [{"Name": "out"}],
        }
    ],
}
PIPELINE = {
    "RoleArn": ROLE,
    "Stages": [STAGE, {**STAGE, "Name": "Next"}],
    "ArtifactStore": {"Type": "S3", "Location": "bkt"},
    "PipelineType": "V2",
    "Tags": TAGS,
}
SCHEDULE = {
    "MonitoringScheduleName": "m",
    "MonitoringScheduleConfig": {
        "ScheduleConfig": {"ScheduleExpression": "cron(0 * ? * * *)"},
        "MonitoringJobDefinitionName": "d",
        "MonitoringType": "DataQuality",
    },
}
VERSION = {"Name": "v1", "Info": {"LoadTemplateFromURL": "https://b.s3.amazonaws.com/t"}}
PRODUCT = {"Name": "n", "Owner": "o", "ProvisioningArtifactParameters": [VERSION]}
IN_PORTFOLIO = {"PortfolioId": "port-1", "ProductId": "prod-1"}
