"""The steps of the pipeline, one function each. Requests are plain values; nothing is sent here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.definition import (
    AnyStep,
    CacheConfig,
    ConditionGreaterThanOrEqualTo,
    ConditionLessThanOrEqualTo,
    ConditionStep,
    DefinitionError,
    ExecutionVariables,
    FailStep,
    InputData,
    Join,
    JsonGet,
    ParameterFloat,
    ParameterInteger,
    ParameterString,
    ProcessingInput,
    ProcessingOutput,
    ProcessingStep,
    PropertyFile,
    RegisterModel,
    Text,
    TrainingStep,
)
from pipeline.settings import LOCAL_STORAGE, Settings

INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"
MESSAGE = "/opt/ml/output/message"  # SageMaker shows it as the reason of a failed processing job
HOURS = 3600
EVALUATION = PropertyFile(name="evaluation", output_name="evaluation", path="evaluation.json")
# What the project expects to serve on; the registry lists it, a deployment may choose another.
SERVING_INSTANCES = ("ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge")
# The image's toolkit installs the job folder with pip. Without a network, pip from 25.3 on can do
# so only if it builds without an isolated environment, and pip reads 0 as just that.
OFFLINE = {"PIP_NO_BUILD_ISOLATION": "0"}


@dataclass(frozen=True)
class Code:
    """The folder jobs/: as files below `folder`, as an archive at `archive`, by content."""

    sha256: str
    folder: str
    archive: str
    files: frozenset[str]

    def script(self, name: str) -> str:
        """Return the name of a script in the folder. Raises DefinitionError if it is not there."""
        if name not in self.files:
            raise DefinitionError(f"jobs/{name} does not exist: write it, or correct the step")
        return name


@dataclass(frozen=True)
class Jobs:
    """What all jobs share: one image, one role, one key; no network but for one that fetches."""

    settings: Settings
    code: Code
    instance_type: ParameterString

    @property
    def common(self) -> dict[str, Any]:
        """Return the arguments that processing and training take alike.

        Single-instance jobs send no traffic between containers; it is encrypted all the same, as
        organisations require it with the condition key sagemaker:InterContainerTrafficEncryption.
        """
        cloud, expiry = self.settings.cloud, self.settings.cache
        own_disks = LOCAL_STORAGE.match(self.settings.instance_type)
        return {
            "role": cloud.role,
            "instance_type": self.instance_type,
            "volume_kms_key": None if own_disks else cloud.kms_key,
            "output_kms_key": cloud.kms_key,
            "max_runtime_in_seconds": 4 * HOURS,
            "enable_network_isolation": True,
            "encrypt_traffic": True,
            "subnets": cloud.subnets or None,
            "security_group_ids": cloud.security_groups or None,
            "cache_config": CacheConfig(enable_caching=True, expire_after=expiry)
            if expiry
            else None,
        }

    def result(self, step: str, output: str = "") -> Join:
        """Return where a step puts a result: a new address in each run."""
        run = ExecutionVariables.PIPELINE_EXECUTION_ID
        path = f"{step}/{output}".rstrip("/")
        return Join(on="/", values=[f"s3://{self.settings.cloud.bucket}/runs", run, path])

    def processing(
        self,
        name: str,
        script: str,
        *,
        inputs: Mapping[str, Text],
        outputs: Sequence[str],
        arguments: Sequence[Text],
        property_files: Sequence[PropertyFile] = (),
        fetches: bool = False,
    ) -> ProcessingStep:
        """Return a step that runs jobs/`script` with each input and output in its own folder.

        One that `fetches` data asks AWS for them: it has a network, and each run asks anew.
        """
        sources = {"code": self.code.folder, **inputs}
        common = {**self.common, "enable_network_isolation": not fetches}
        if fetches:
            common["cache_config"] = None
        return ProcessingStep(
            name,
            image_uri=self.settings.image.uri,
            entrypoint=["python3", f"{INPUT}/code/{self.code.script(script)}"],
            arguments=[*arguments, "--message-file", MESSAGE],
            inputs=[
                ProcessingInput(input_name=key, s3_uri=uri, local_path=f"{INPUT}/{key}")
                for key, uri in sources.items()
            ],
            outputs=[
                ProcessingOutput(
                    output_name=key, s3_uri=self.result(name, key), local_path=f"{OUTPUT}/{key}"
                )
                for key in outputs
            ],
            property_files=property_files,
            **common,
        )


def preprocess(jobs: Jobs, data: Text, seed: ParameterInteger) -> ProcessingStep:
    """Check the data, split it, and encode each part with what the training part taught."""
    settings = jobs.settings
    return jobs.processing(
        "Preprocess",
        "preprocess.py",
        inputs={"data": data},
        outputs=["train", "validation", "test", "features", "baseline", "summary"],
        arguments=[
            *("--data-dir", f"{INPUT}/data"),
            *("--output-dir", OUTPUT),
            *("--problem-type", settings.problem_type),
            f"--target-column={settings.target_column}",  # which may begin with a hyphen
            *("--ratios", ",".join(f"{ratio:g}" for ratio in settings.split.ratios)),
            *("--seed", seed.to_string()),
        ],
    )


def train(jobs: Jobs, preprocess: ProcessingStep, seed: ParameterInteger) -> TrainingStep:
    """Train until the validation part no longer improves.

    The code comes as a channel: an isolated container cannot fetch it from S3 by itself.
    """
    settings, rounds = jobs.settings, jobs.settings.training
    hyperparameters: dict[str, Text] = {
        "sagemaker_program": jobs.code.script("train.py"),
        "sagemaker_submit_directory": "/opt/ml/input/data/code/jobs.tar.gz",
        "problem-type": settings.problem_type,
        "rounds": str(rounds.rounds),
        "early-stopping-rounds": str(rounds.early_stopping_rounds),
        "max-depth": str(rounds.max_depth),
        "learning-rate": str(rounds.learning_rate),
        "subsample": str(rounds.subsample),
        "seed": seed.to_string(),
    }
    channels = {part: output(preprocess, part) for part in ("train", "validation", "features")}
    return TrainingStep(
        "Train",
        training_image=settings.image.uri,
        metric_definitions=[
            {"Name": f"{part}:{metric}", "Regex": rf"{part}:{metric}=([0-9.eE+-]+)"}
            for part in ("train", "validation")
            for metric in settings.problem.training_metrics
        ],
        hyperparameters=hyperparameters,
        environment=OFFLINE,
        input_data_config=[
            InputData(channel_name=channel, data_source=uri)
            for channel, uri in {"code": jobs.code.archive, **channels}.items()
        ],
        output_path=jobs.result("Train"),
        **jobs.common,
    )


def evaluate(jobs: Jobs, preprocess: ProcessingStep, train: TrainingStep) -> ProcessingStep:
    """Judge the model on the test part, which nothing before has seen."""
    return jobs.processing(
        "Evaluate",
        "evaluate.py",
        inputs={
            "model": train.properties.ModelArtifacts.S3ModelArtifacts,
            "test": output(preprocess, "test"),
        },
        outputs=["evaluation"],
        arguments=[
            *("--model-dir", f"{INPUT}/model"),
            *("--test-dir", f"{INPUT}/test"),
            *("--output-dir", f"{OUTPUT}/evaluation"),
        ],
        property_files=[EVALUATION],
    )


def register(
    jobs: Jobs,
    preprocess: ProcessingStep,
    train: TrainingStep,
    evaluate: ProcessingStep,
    provenance: Mapping[str, Text],
) -> RegisterModel:
    """Register the model, pending approval, with its measures and all that it came from."""
    settings, execution = jobs.settings, ExecutionVariables.PIPELINE_EXECUTION_ARN
    data = {
        "Statistics": file(output(preprocess, "baseline"), "statistics.json"),
        "Constraints": file(output(preprocess, "baseline"), "constraints.json"),
    }
    quality = {"Statistics": file(output(evaluate, "evaluation"), EVALUATION.path)}
    return RegisterModel(
        "Register",
        model_package_group_name=settings.model_package_group,
        containers=[
            {
                "Image": settings.image.uri,
                "ModelDataUrl": train.properties.ModelArtifacts.S3ModelArtifacts,
                "Framework": settings.image.framework.upper(),
                "FrameworkVersion": settings.image.version,
                "Environment": {
                    "SAGEMAKER_PROGRAM": "inference.py",
                    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                    **OFFLINE,
                },
            }
        ],
        content_types=["text/csv", "application/json"],
        response_types=["text/csv", "application/json"],
        inference_instances=SERVING_INSTANCES,
        transform_instances=SERVING_INSTANCES,
        model_metrics={"ModelQuality": quality, "ModelDataQuality": data},
        drift_check_baselines={"ModelQuality": quality, "ModelDataQuality": data},
        metadata_properties={"CommitId": provenance["GitCommit"], "GeneratedBy": execution},
        customer_metadata_properties={
            **provenance,
            "CodeSha256": jobs.code.sha256,
            "PipelineExecutionArn": execution,
            "ProblemType": settings.problem_type,
            "GateMetric": settings.gate.metric,
        },
        domain="MACHINE_LEARNING",
        task=settings.problem.task,
    )


def reject(jobs: Jobs, evaluate: ProcessingStep, threshold: ParameterFloat) -> FailStep:
    """End the run as failed, and say by how much."""
    gate = jobs.settings.gate
    bound = "at most" if gate.lower_is_better else "at least"
    return FailStep(
        "Reject",
        error_message=Join(
            values=[
                f"{gate.metric} is ",
                measured(jobs, evaluate),
                f" and must be {bound} ",
                threshold,
                ": the model is not registered",
            ]
        ),
    )


def gate(
    jobs: Jobs,
    evaluate: ProcessingStep,
    threshold: ParameterFloat,
    if_steps: Sequence[AnyStep],
    else_steps: Sequence[AnyStep],
) -> ConditionStep:
    """Hold the metric against the threshold."""
    lower = jobs.settings.gate.lower_is_better
    compare = ConditionLessThanOrEqualTo if lower else ConditionGreaterThanOrEqualTo
    return ConditionStep(
        "Gate",
        conditions=[compare(left=measured(jobs, evaluate), right=threshold)],
        if_steps=if_steps,
        else_steps=else_steps,
    )


def measured(jobs: Jobs, evaluate: ProcessingStep) -> JsonGet:
    """Return the gate's metric as Evaluate measured it."""
    return JsonGet(evaluate.name, EVALUATION, jobs.settings.gate_path)


def output(step: ProcessingStep, name: str) -> Text:
    """Return the address of a step's output."""
    return step.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri


def file(folder: Text, name: str) -> dict[str, Text]:
    """Return a JSON file in a step's output as the registry wants it."""
    return {"ContentType": "application/json", "S3Uri": Join(on="/", values=[folder, name])}
