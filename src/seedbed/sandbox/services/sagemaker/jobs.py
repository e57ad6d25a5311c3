"""Processing and training jobs: real ones, run on this host by the projects' own executor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from seedbed.sandbox.service import ServiceError, unsupported
from seedbed.sandbox.services.permission import judge
from seedbed.sandbox.services.sagemaker.job_run import EXECUTOR, Job, JobRun
from seedbed.sandbox.services.sagemaker.records import Kind, Records
from seedbed.sandbox.world import Context

PROCESSING = Kind(
    "ProcessingJob",
    ("ProcessingJobName",),
    "processing-job/{ProcessingJobName}",
    status=("ProcessingJobStatus", "InProgress"),
)
TRAINING = Kind(
    "TrainingJob",
    ("TrainingJobName",),
    "training-job/{TrainingJobName}",
    status=("TrainingJobStatus", "InProgress"),
)
# What a job may say; all else is refused by name.
TAKEN = {
    "Processing": frozenset(
        {
            "ProcessingInputs",
            "ProcessingOutputConfig",
            "ProcessingJobName",
            "ProcessingResources",
            "StoppingCondition",
            "AppSpecification",
            "Environment",
            "NetworkConfig",
            "RoleArn",
            "Tags",
            "ExperimentConfig",
        }
    ),
    "Training": frozenset(
        {
            "TrainingJobName",
            "HyperParameters",
            "AlgorithmSpecification",
            "RoleArn",
            "InputDataConfig",
            "OutputDataConfig",
            "ResourceConfig",
            "VpcConfig",
            "StoppingCondition",
            "Tags",
            "EnableNetworkIsolation",
            "EnableInterContainerTrafficEncryption",
            "Environment",
            "ExperimentConfig",
        }
    ),
}


class Jobs(Records):
    """Jobs of all accounts and regions."""

    kinds: ClassVar[tuple[Kind, ...]] = (PROCESSING, TRAINING)

    def create_processing_job(self, ctx: Context, **params: Any) -> dict[str, Any]:
        """Start a job with its inputs, command and outputs, as its role."""
        return self._created_job(ctx, "Processing", PROCESSING, params)

    def create_training_job(self, ctx: Context, **params: Any) -> dict[str, Any]:
        """Start a training script with its channels, and leave its model, as its role."""
        if params.get("EnableManagedSpotTraining") is False:
            del params["EnableManagedSpotTraining"]
        return self._created_job(ctx, "Training", TRAINING, params)

    def stop_processing_job(self, ctx: Context, ProcessingJobName: str) -> None:
        self._stop_job(ctx, PROCESSING, {"ProcessingJobName": ProcessingJobName})

    def stop_training_job(self, ctx: Context, TrainingJobName: str) -> None:
        self._stop_job(ctx, TRAINING, {"TrainingJobName": TrainingJobName})

    def update_training_job(self, ctx: Context, **params: Any) -> dict[str, Any]:
        del ctx, params
        raise unsupported("sagemaker:UpdateTrainingJob")

    def job(self, arn: str) -> Job:
        """Return a job that was created here."""
        found: Job = self.world.store("sagemaker-jobs", "", "")[arn]
        return found

    def _created_job(
        self, ctx: Context, kind: str, row: Kind, params: Mapping[str, Any]
    ) -> dict[str, Any]:
        for name in sorted(set(params) - TAKEN[kind]):
            raise unsupported(f"the parameter {name} of sagemaker:Create{kind}Job")
        limits(kind, params)
        self.assumed(ctx, params["RoleArn"])
        for given in _volume_keys(params):
            plain = f"arn:aws:kms:{ctx.region}:{ctx.owner}:key/{given}"
            key = given if given.startswith("arn:") else plain
            judge(
                self.world,
                ctx.principal.through("sagemaker.amazonaws.com"),
                "kms:CreateGrant",
                key,
                ctx.region,
                context={"kms:grantisforawsresource": ("true",)},
            )
        more: dict[str, Any] = {}
        if kind == "Training":
            more = {"SecondaryStatus": "Starting", "SecondaryStatusTransitions": []}
        answer = self.make(ctx, row, params, **more)
        record = self.find(ctx, row, params)
        job = Job(record, kind)
        self.world.store("sagemaker-jobs", "", "")[record.arn] = job
        self.world.spawn("sagemaker", JobRun(ctx, job, self.lock).run)
        return answer

    def assumed(self, ctx: Context, role: str) -> None:
        """Have SageMaker assume a role once.

        Raises:
            ServiceError: It may not.
        """
        try:
            ctx.client("sts", role_arn=role)
        except ClientError as error:
            text = (
                f"Could not assume role {role}. Please ensure that the role exists and allows"
                " principal 'sagemaker.amazonaws.com' to assume the role."
                f" ({error.response['Error']['Message']})"
            )
            raise ServiceError("ValidationException", text) from error

    def _stop_job(self, ctx: Context, row: Kind, params: Mapping[str, Any]) -> None:
        record = self.find(ctx, row, params)
        job = self.job(record.arn)
        if job.ended.is_set():
            text = (
                f"The request was rejected because the {row.noun} is in status "
                + (record.said[row.status[0]])
            )
            raise ServiceError("ValidationException", text)
        with self.lock:
            record.said[row.status[0]] = "Stopping"
        job.stop.set()


def limits(kind: str, params: Mapping[str, Any]) -> None:
    """Refuse by name what no job here can be.

    Raises:
        ServiceError: the first such thing.
    """
    if not EXECUTOR.is_file():
        raise unsupported("jobs of SageMaker without a checkout of seedbed")
    for what, is_so in (_processing if kind == "Processing" else _training)(params):
        if is_so:
            raise unsupported(f"{what} of sagemaker:Create{kind}Job")


Found = list[tuple[str, Any]]


def _processing(params: Mapping[str, Any]) -> Found:
    app, cluster = params["AppSpecification"], params["ProcessingResources"]["ClusterConfig"]
    found: Found = [
        ("more than one instance", cluster.get("InstanceCount", 1) > 1),
        ("an image's own entry point", not app.get("ContainerEntrypoint")),
    ]
    for one in params.get("ProcessingInputs", []):
        said = one.get("S3Input", {})
        found += [
            ("an input that is no S3Input", not said),
            *_source(said, said.get("S3InputMode")),
            ("S3CompressionType Gzip", said.get("S3CompressionType") == "Gzip"),
        ]
    for one in params.get("ProcessingOutputConfig", {}).get("Outputs", []):
        said = one.get("S3Output", {})
        found += [
            ("an output that is no S3Output", not said),
            ("S3UploadMode Continuous", said.get("S3UploadMode") == "Continuous"),
        ]
    return found


def _training(params: Mapping[str, Any]) -> Found:
    algorithm, hyper = params.get("AlgorithmSpecification", {}), params.get("HyperParameters", {})
    cluster = params.get("ResourceConfig", {})
    found: Found = [
        ("more than one instance", cluster.get("InstanceCount", 1) > 1),
        ("InstanceGroups", cluster.get("InstanceGroups")),
        ("a built-in algorithm", "sagemaker_program" not in hyper),
        ("AlgorithmName", algorithm.get("AlgorithmName")),
        ("TrainingInputMode Pipe", algorithm.get("TrainingInputMode") == "Pipe"),
        ("ContainerEntrypoint", algorithm.get("ContainerEntrypoint")),
    ]
    for one in params.get("InputDataConfig", []):
        said = one["DataSource"].get("S3DataSource", {})
        found += [
            ("a channel that is no S3DataSource", not said),
            *_source(said, one.get("InputMode")),
            ("CompressionType Gzip", one.get("CompressionType") == "Gzip"),
            ("RecordWrapperType RecordIO", one.get("RecordWrapperType") == "RecordIO"),
        ]
    return found


def _source(said: Mapping[str, Any], mode: str | None) -> Found:
    kind = said.get("S3DataType", "S3Prefix")
    return [(f"S3DataType {kind}", kind != "S3Prefix"), ("mode Pipe of an input", mode == "Pipe")]


def _volume_keys(params: Mapping[str, Any]) -> list[str]:
    clusters = (
        params.get("ProcessingResources", {}).get("ClusterConfig", {}),
        params.get("ResourceConfig", {}),
    )
    return [one["VolumeKmsKeyId"] for one in clusters if one.get("VolumeKmsKeyId")]
