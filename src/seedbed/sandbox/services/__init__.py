"""Our own services, by botocore name; a module is imported when its service is first called."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seedbed.sandbox.service import Service
    from seedbed.sandbox.world import World

# botocore name -> "module:Class" below this package
CLASSES = {
    "cloudformation": "cloudformation:CloudFormation",
    "codebuild": "codebuild.service:CodeBuild",
    "codecommit": "git.codecommit:CodeCommit",
    "codeconnections": "git.codeconnections:CodeConnections",
    "codepipeline": "codepipeline.service:CodePipeline",
    "codestar-connections": "git.codeconnections:CodeStarConnections",
    "events": "events:Events",
    "kms": "kms:KMS",
    "lambda": "lambda_:Lambda",
    "logs": "logs:Logs",
    "organizations": "organizations:Organizations",
    "s3": "s3:S3",
    "sagemaker": "sagemaker.service:SageMaker",
    "servicecatalog": "servicecatalog.service:ServiceCatalog",
    "sns": "sns:SNS",
    "sts": "sts:STS",
}

# What moto would answer as if it had happened, though nothing runs, is sent or is computed, and has
# no service of ours yet: a service, and its operations or * for all. Every one is refused by name,
# as moto's silent success would be a false green.
REFUSED = {
    "athena": ("StartQueryExecution",),
    "bedrock": ("CreateModelCustomizationJob",),
    "bedrock-runtime": ("*",),
    # Nothing is sent to whom an alarm names.
    "cloudwatch": ("SetAlarmState",),
    "comprehend": ("*",),
    "databrew": ("CreateProfileJob", "CreateRecipeJob"),
    "datasync": ("StartTaskExecution",),
    "dms": ("StartReplicationTask",),
    "ec2": ("RunInstances", "StartInstances"),
    "ecr": ("StartImageScan",),
    "ecs": ("RunTask", "StartTask"),
    "emr": ("RunJobFlow",),
    "emr-containers": ("StartJobRun",),
    "emr-serverless": ("StartJobRun",),
    "events": ("StartReplay", "TestEventPattern"),
    "fis": ("StartExperiment",),
    "forecast": ("*",),
    "glue": (
        "CreateDevEndpoint", "CreateSession", "StartCrawler", "StartJobRun", "StartTrigger",
        "StartWorkflowRun",
    ),
    "lambda": (
        "CreateEventSourceMapping", "CreateFunctionUrlConfig", "InvokeAsync",
        "UpdateEventSourceMapping",
    ),
    "logs": ("CreateExportTask", "StartLiveTail", "StartQuery"),
    # Policies of the organisation judge nothing; new accounts would have no credentials.
    "organizations": (
        "AttachPolicy", "CreateAccount", "CreatePolicy", "DeleteOrganization",
        "EnablePolicyType", "RemoveAccountFromOrganization",
    ),
    "personalize": ("*",),
    "pipes": ("*",),
    "polly": ("*",),
    "rds-data": ("*",),
    "redshift-data": ("*",),
    "rekognition": ("*",),
    "sagemaker": (
        "CreateAutoMLJob", "CreateAutoMLJobV2", "CreateCluster", "CreateCompilationJob",
        "CreateEndpoint", "CreateHyperParameterTuningJob", "CreateTransformJob",
    ),
    "sagemaker-metrics": ("*",),
    "sagemaker-runtime": ("*",),
    "ses": ("SendBulkTemplatedEmail", "SendEmail", "SendRawEmail", "SendTemplatedEmail"),
    "sesv2": ("SendBulkEmail", "SendEmail"),
    "sns": ("CreatePlatformApplication", "SetSMSAttributes"),
    "ssm": ("SendCommand",),
    # moto would assign what does not exist, to accounts that get no role of it.
    "sso-admin": ("*",),
    "stepfunctions": ("StartExecution", "StartSyncExecution"),
    "swf": ("*",),
    "textract": ("*",),
    "transcribe": ("*",),
}  # fmt: skip


def is_refused(service: str, operation: str) -> bool:
    """Tell whether moto's answer to an operation would claim what did not happen."""
    return bool({"*", operation} & set(REFUSED.get(service, ())))


# Path prefix -> botocore name of the service whose `serve` answers plain HTTP there
PATHS = {
    "/_cfn/": "cloudformation",
    "/_git/codeconnections/": "codeconnections",
    "/_git/codestar-connections/": "codeconnections",
    "/_git/git-codecommit/": "codecommit",
    "/_sandbox/git/": "codeconnections",
    "/git-http/": "codeconnections",
    "/v1/repos/": "codecommit",
}


class Registry:
    """The services of one world, made on first use."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._made: dict[str, Service | None] = {}

    def get(self, name: str) -> Service | None:
        """Return our service of that botocore name, or None: then moto answers."""
        with self._world.lock:
            if name not in self._made:
                self._made[name] = self._make(name)
            return self._made[name]

    def _make(self, name: str) -> Service | None:
        if name not in CLASSES:
            return None
        module_name, class_name = CLASSES[name].split(":")
        module = importlib.import_module(f"{__name__}.{module_name}")
        made: Service = getattr(module, class_name)(self._world)
        return made

    def at(self, path: str) -> Service | None:
        """Return the service that answers plain HTTP at a path."""
        for prefix, name in PATHS.items():
            if path.startswith(prefix):
                return self.get(name)
        return None

    def forget(self) -> None:
        self._made.clear()
