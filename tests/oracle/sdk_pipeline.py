"""A project's pipeline once more, wired with SageMaker SDK v3's own classes.

It shares the project's settings and nothing of its graph: names, inputs, references, conditions and
the image are written down here a second time, so that a slip in either shows.
"""

from __future__ import annotations

from typing import Any

from sagemaker.core import image_uris
from sagemaker.core.drift_check_baselines import DriftCheckBaselines
from sagemaker.core.metadata_properties import MetadataProperties
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.network import NetworkConfig
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import (
    MetricDefinition,
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)
from sagemaker.core.training.configs import (
    Compute,
    InputData,
    Networking,
    OutputDataConfig,
    StoppingCondition,
)
from sagemaker.core.workflow.conditions import (
    ConditionGreaterThanOrEqualTo,
    ConditionLessThanOrEqualTo,
)
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, TrainingStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train.model_trainer import ModelTrainer

ML = "/opt/ml/processing"
LIMIT = 4 * 3600
SERVING = ["ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge"]
TYPES = ["text/csv", "application/json"]
OFFLINE = {"PIP_NO_BUILD_ISOLATION": "0"}
LOWER_IS_BETTER = {"rmse", "mse", "mae"}
OWN_DISKS = ("ml.m5d.", "ml.g5.")  # encrypted by hardware: a key for the volume is refused
FRAMEWORK, VERSION = "xgboost", "3.2-0"
METRICS = {
    "binary_classification": ["auc", "logloss"],
    "multiclass_classification": ["merror", "mlogloss"],
    "regression": ["mae", "rmse"],
}


class Wiring:
    """The steps of model-build, made by the SDK in one pipeline session."""

    def __init__(self, settings: Any, code: Any, session: PipelineSession) -> None:
        self.settings, self.code, self.session = settings, code, session
        self.cloud = settings.cloud
        self.image = image_uris.retrieve(FRAMEWORK, settings.region, version=VERSION)
        own_disks = settings.instance_type.startswith(OWN_DISKS)
        self.volume_key = None if own_disks else self.cloud.kms_key
        self.instance = ParameterString("InstanceType", settings.instance_type)
        self.threshold = ParameterFloat("GateThreshold", settings.gate.threshold)
        self.seed = ParameterInteger("SplitSeed", settings.split.seed)
        self.commit = ParameterString("GitCommit", "unknown")
        self.cache = (
            CacheConfig(enable_caching=True, expire_after=settings.cache)
            if settings.cache
            else None
        )

    def text(self, *values: Any, on: str = "") -> Join:
        return Join(on=on, values=list(values))

    def folder(self, path: str) -> Join:
        run = ExecutionVariables.PIPELINE_EXECUTION_ID
        return self.text(f"s3://{self.cloud.bucket}/runs", run, path, on="/")

    def processing(
        self,
        name: str,
        inputs: dict[str, Any],
        outputs: list[str],
        arguments: list[Any],
        *,
        script: str = "",
        fetches: bool = False,
        **more: Any,
    ) -> ProcessingStep:
        processor = Processor(
            role=self.cloud.role,
            image_uri=self.image,
            entrypoint=["python3", f"{ML}/input/code/{script or name.lower()}.py"],
            instance_count=1,
            instance_type=self.instance,
            volume_kms_key=self.volume_key,
            output_kms_key=self.cloud.kms_key,
            max_runtime_in_seconds=LIMIT,
            sagemaker_session=self.session,
            network_config=NetworkConfig(
                enable_network_isolation=not fetches,
                encrypt_inter_container_traffic=True,
                subnets=list(self.cloud.subnets) or None,
                security_group_ids=list(self.cloud.security_groups) or None,
            ),
        )
        return ProcessingStep(
            name,
            step_args=processor.run(
                inputs=[
                    ProcessingInput(
                        input_name=key,
                        s3_input=ProcessingS3Input(
                            s3_uri=uri,
                            s3_data_type="S3Prefix",
                            local_path=f"{ML}/input/{key}",
                            s3_input_mode="File",
                            s3_data_distribution_type="FullyReplicated",
                            s3_compression_type="None",
                        ),
                    )
                    for key, uri in {"code": self.code.folder, **inputs}.items()
                ],
                outputs=[
                    ProcessingOutput(
                        output_name=key,
                        s3_output=ProcessingS3Output(
                            s3_uri=self.folder(f"{name}/{key}"),
                            local_path=f"{ML}/output/{key}",
                            s3_upload_mode="EndOfJob",
                        ),
                    )
                    for key in outputs
                ],
                arguments=[*arguments, "--message-file", "/opt/ml/output/message"],
            ),
            cache_config=None if fetches else self.cache,
            **more,
        )

    def preprocess(self, data: Any) -> ProcessingStep:
        ratios = ",".join(f"{ratio:g}" for ratio in self.settings.split.ratios)
        flags = {
            "--data-dir": f"{ML}/input/data",
            "--output-dir": f"{ML}/output",
            "--problem-type": self.settings.problem_type,
            f"--target-column={self.settings.target_column}": None,
            "--ratios": ratios,
            "--seed": self.seed.to_string(),
        }
        return self.processing(
            "Preprocess",
            {"data": data},
            ["train", "validation", "test", "features", "baseline", "summary"],
            [part for flag in flags.items() for part in flag if part is not None],
        )

    def train(self, preprocess: ProcessingStep) -> TrainingStep:
        settings, training = self.settings, self.settings.training
        trainer = ModelTrainer(
            sagemaker_session=self.session,
            role=self.cloud.role,
            base_job_name="train",
            training_image=self.image,
            compute=Compute(
                instance_type=self.instance,
                instance_count=1,
                volume_size_in_gb=30,
                volume_kms_key_id=self.volume_key,
            ),
            networking=Networking(
                enable_network_isolation=True,
                enable_inter_container_traffic_encryption=True,
                subnets=list(self.cloud.subnets) or None,
                security_group_ids=list(self.cloud.security_groups) or None,
            ),
            stopping_condition=StoppingCondition(max_runtime_in_seconds=LIMIT),
            output_data_config=OutputDataConfig(
                s3_output_path=self.folder("Train"),
                kms_key_id=self.cloud.kms_key,
                compression_type="GZIP",
            ),
            environment=OFFLINE,
            hyperparameters={
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": "/opt/ml/input/data/code/jobs.tar.gz",
                "problem-type": settings.problem_type,
                "rounds": str(training.rounds),
                "early-stopping-rounds": str(training.early_stopping_rounds),
                "max-depth": str(training.max_depth),
                "learning-rate": str(training.learning_rate),
                "subsample": str(training.subsample),
                "seed": self.seed.to_string(),
            },
        ).with_metric_definitions(
            [
                MetricDefinition(name=f"{part}:{metric}", regex=rf"{part}:{metric}=([0-9.eE+-]+)")
                for part in ("train", "validation")
                for metric in METRICS[settings.problem_type]
            ]
        )
        channels = {"code": self.code.archive}
        channels |= {part: output(preprocess, part) for part in ("train", "validation", "features")}
        inputs = [InputData(channel_name=k, data_source=uri) for k, uri in channels.items()]
        step_args = trainer.train(input_data_config=inputs)
        return TrainingStep("Train", step_args=step_args, cache_config=self.cache)

    def evaluate(self, preprocess: ProcessingStep, train: TrainingStep) -> ProcessingStep:
        flags = {
            "--model-dir": f"{ML}/input/model",
            "--test-dir": f"{ML}/input/test",
            "--output-dir": f"{ML}/output/evaluation",
        }
        return self.processing(
            "Evaluate",
            {
                "model": train.properties.ModelArtifacts.S3ModelArtifacts,
                "test": output(preprocess, "test"),
            },
            ["evaluation"],
            [part for flag in flags.items() for part in flag if part is not None],
            property_files=[EVALUATION],
        )

    def register(
        self,
        preprocess: ProcessingStep,
        train: TrainingStep,
        evaluate: ProcessingStep,
        provenance: dict[str, Any],
    ) -> ModelStep:
        settings, execution = self.settings, ExecutionVariables.PIPELINE_EXECUTION_ARN

        def json(step: ProcessingStep, folder: str, name: str) -> MetricsSource:
            uri = self.text(output(step, folder), name, on="/")
            return MetricsSource(content_type="application/json", s3_uri=uri)

        quality = json(evaluate, "evaluation", "evaluation.json")
        statistics = json(preprocess, "baseline", "statistics.json")
        constraints = json(preprocess, "baseline", "constraints.json")
        builder = ModelBuilder(
            image_uri=self.image,
            s3_model_data_url=train.properties.ModelArtifacts.S3ModelArtifacts,
            role_arn=self.cloud.role,
            env_vars={
                "SAGEMAKER_PROGRAM": "inference.py",
                "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                **OFFLINE,
            },
            dependencies={},  # the artifact carries its own code: none to upload
            sagemaker_session=self.session,
        )
        builder.framework_version = VERSION
        step_args = builder.register(
            model_package_group_name=settings.model_package_group,
            content_types=TYPES,
            response_types=TYPES,
            inference_instances=SERVING,
            transform_instances=SERVING,
            approval_status="PendingManualApproval",
            model_metrics=ModelMetrics(
                model_statistics=quality,
                model_data_statistics=statistics,
                model_data_constraints=constraints,
            ),
            drift_check_baselines=DriftCheckBaselines(
                model_statistics=quality,
                model_data_statistics=statistics,
                model_data_constraints=constraints,
            ),
            metadata_properties=MetadataProperties(commit_id=self.commit, generated_by=execution),
            customer_metadata_properties={
                **provenance,
                "GitCommit": self.commit,
                "SplitSeed": self.seed.to_string(),
                "GateThreshold": self.threshold.to_string(),
                "CodeSha256": self.code.sha256,
                "PipelineExecutionArn": execution,
                "ProblemType": settings.problem_type,
                "GateMetric": settings.gate.metric,
            },
            domain="MACHINE_LEARNING",
            task="REGRESSION" if settings.problem_type == "regression" else "CLASSIFICATION",
            skip_model_validation="None",
        )
        return ModelStep("Register", step_args=step_args)

    def gate(self, evaluate: ProcessingStep, register: ModelStep) -> ConditionStep:
        metric = self.settings.gate.metric
        lower = metric in LOWER_IS_BETTER
        group = f"{self.settings.problem_type}_metrics"
        measured = JsonGet(
            step_name=evaluate.name, property_file=EVALUATION, json_path=f"{group}.{metric}.value"
        )
        reject = FailStep(
            "Reject",
            error_message=self.text(
                f"{metric} is ",
                measured,
                f" and must be {'at most' if lower else 'at least'} ",
                self.threshold,
                ": the model is not registered",
            ),
        )
        condition = ConditionLessThanOrEqualTo if lower else ConditionGreaterThanOrEqualTo
        conditions = [condition(left=measured, right=self.threshold)]
        return ConditionStep(
            "Gate", conditions=conditions, if_steps=[register], else_steps=[reject]
        )


EVALUATION = PropertyFile(name="evaluation", output_name="evaluation", path="evaluation.json")


def output(step: ProcessingStep, name: str) -> Any:
    return step.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri


def s3(wiring: Wiring) -> tuple[Any, list[Any], list[Any], dict[str, Any]]:
    """Return what Preprocess reads, the steps before it, their parameters and the provenance."""
    location = ParameterString("DataLocation", wiring.settings.data["location"])
    return location, [], [location], {"DataLocation": location}


def started(wiring: Wiring) -> tuple[list[Any], list[Any]]:
    """Return the parameters of the query, and the arguments by which the job gets them."""
    words: list[Any] = []
    parameters: list[Any] = []
    for name, value in wiring.settings.data["parameters"].items():
        parameter = ParameterString(name.title().replace("_", ""), value)
        parameters.append(parameter)
        words += ["--text", wiring.text(f"{name}=", parameter)]
    return parameters, words


def athena(wiring: Wiring) -> tuple[Any, list[Any], list[Any], dict[str, Any]]:
    data, cloud = wiring.settings.data, wiring.cloud
    parameters, words = started(wiring)
    flags = {
        "--sql": f"{ML}/input/code/training.sql",
        "--output-dir": f"{ML}/output",
        "--catalog": data["catalog"],
        "--database": data["database"],
        "--workgroup": data["workgroup"],
        "--scan-limit": str(round(data["scan_limit_gb"] * 10**9)),
        "--region": wiring.settings.region,
        "--bucket": cloud.bucket,
        "--key": cloud.kms_key,
    }
    arguments = [part for flag in flags.items() for part in flag] + words
    outputs = ["data", "query"]
    extract = wiring.processing("Extract", {}, outputs, arguments, script="query", fetches=True)
    provenance = {
        "DataCatalog": f"{data['catalog']}.{data['database']}",
        "DataQuery": wiring.text(output(extract, "query"), "query.json", on="/"),
    }
    return output(extract, "data"), [extract], parameters, provenance


def featurestore(wiring: Wiring) -> tuple[Any, list[Any], list[Any], dict[str, Any]]:
    data, cloud = wiring.settings.data, wiring.cloud
    as_of = ParameterString("AsOf", data["as_of"])
    arguments = ["--request", f"{ML}/input/code/feature-store.json", "--output-dir", f"{ML}/output"]
    arguments += ["--as-of", as_of, "--bucket", cloud.bucket, "--key", cloud.kms_key]
    outputs, fetch = ["data", "query"], {"script": "feature_store", "fetches": True}
    extract = wiring.processing("Extract", {}, outputs, arguments, **fetch)
    steps = [extract]
    if data["write_back"]:
        back = [*arguments, "--write-back"]
        steps.append(wiring.processing("WriteBack", {}, ["report"], back, **fetch))
    labels = [data["labels"][key] for key in ("catalog", "database", "table")]
    provenance = {
        "AsOf": as_of,
        "DataQuery": wiring.text(output(extract, "query"), "query.json", on="/"),
        **{f"FeatureGroup{n}": group["arn"] for n, group in enumerate(data["groups"], start=1)},
        "Labels": ".".join(labels),
    }
    return output(extract, "data"), steps, [as_of], provenance


def datazone(wiring: Wiring) -> tuple[Any, list[Any], list[Any], dict[str, Any]]:
    parameters, words = started(wiring)
    flags = {
        "--request": f"{ML}/input/code/datazone-request.json",
        "--output-dir": f"{ML}/output",
    }
    arguments = [part for flag in flags.items() for part in flag] + words
    outputs = ["data", "query"]
    extract = wiring.processing("Extract", {}, outputs, arguments, script="datazone", fetches=True)
    provenance = {
        "DataZoneDomain": wiring.settings.data["domain"],
        "DataZoneEnvironment": wiring.settings.data["environment"],
        "DataQuery": wiring.text(output(extract, "query"), "query.json", on="/"),
    }
    return output(extract, "data"), [extract], parameters, provenance


SOURCES = {
    "model-build-s3": s3,
    "model-build-athena": athena,
    "model-build-featurestore": featurestore,
    "model-build-datazone": datazone,
}


def build(template: str, settings: Any, code: Any, session: PipelineSession) -> Pipeline:
    """Return the SDK's pipeline for a project of `template`.

    Raises:
        LookupError: if nobody has written down yet where `template` has its data from.
    """
    if template not in SOURCES:
        raise LookupError(f"{template} has no data source here: write one into SOURCES")
    wiring = Wiring(settings, code, session)
    data, steps, parameters, provenance = SOURCES[template](wiring)
    preprocess = wiring.preprocess(data)
    train = wiring.train(preprocess)
    evaluate = wiring.evaluate(preprocess, train)
    register = wiring.register(preprocess, train, evaluate, provenance)
    return Pipeline(
        name=settings.project,
        parameters=[*parameters, wiring.instance, wiring.threshold, wiring.seed, wiring.commit],
        steps=[*steps, preprocess, train, evaluate, wiring.gate(evaluate, register)],
        sagemaker_session=session,
        pipeline_experiment_config=None,
    )
