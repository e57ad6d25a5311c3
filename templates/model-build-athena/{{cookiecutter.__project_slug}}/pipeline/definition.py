"""Writes a SageMaker pipeline definition (schema version 2020-12-01): offline, the same bytes.

Classes and arguments bear the SageMaker Python SDK's names, and each argument says where in the
request it goes. What they lack, the SDK has: a pipeline takes any object with `to_request()` as a
step, and the SDK's variables wherever it takes its own (docs/pipeline.md).
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeAlias, TypeVar
from typing import dataclass_transform as transform

VERSION = "2020-12-01"
ESCAPE = "for more, any object with to_request() goes into the graph, such as a step of SDK v3"

Request: TypeAlias = dict[str, Any]
T = TypeVar("T")


class DefinitionError(ValueError):
    """What the builder cannot write, in one line that says what it can."""


class Expression(Protocol):
    """A value that exists only once the pipeline runs: one of ours, or one of the SDK's."""

    @property
    def expr(self) -> Any: ...  # noqa: ANN401 (JSON is what it is)


class AnyStep(Protocol):
    """A step: one of ours, or one of the SDK's."""

    @property
    def name(self) -> str: ...

    def to_request(self) -> Any: ...  # noqa: ANN401 (JSON is what it is)


Text: TypeAlias = str | Expression
Value: TypeAlias = str | float | Expression


class Strict:
    """Answers an unknown argument with the known ones."""

    def __new__(cls, *_args: object, **arguments: object) -> Self:
        known = [f.name for f in fields(cls) if f.init]  # type: ignore[arg-type] # a dataclass
        for name in arguments.keys() - set(known):
            raise DefinitionError(
                f"{cls.__name__} has no argument {name!r}; it takes {', '.join(known)}; {ESCAPE}"
            )
        return super().__new__(cls)


class Variable(Strict):
    """A value that exists only once the pipeline runs: `expr` is how the definition writes it."""

    @property
    def expr(self) -> Request:
        raise NotImplementedError

    def to_string(self) -> Join:
        """Return it as text: arguments, hyperparameters and environments take nothing else."""
        return Join(values=[self])

    def __str__(self) -> str:
        raise DefinitionError(f"{self!r} has no text before the run: use Join(values=[...])")


@dataclass(frozen=True)
class Parameter(Variable):
    """A value that each start of the pipeline may set."""

    name: str
    default_value: str | float | None = None
    type: ClassVar[str]

    @property
    def expr(self) -> Request:
        return {"Get": f"Parameters.{self.name}"}

    def to_request(self) -> Request:
        return {"Name": self.name, "Type": self.type, "DefaultValue": self.default_value}


class ParameterString(Parameter):
    type = "String"


class ParameterInteger(Parameter):
    type = "Integer"


class ParameterFloat(Parameter):
    type = "Float"


@dataclass(frozen=True)
class ExecutionVariable(Variable):
    name: str

    @property
    def expr(self) -> Request:
        return {"Get": f"Execution.{self.name}"}


class ExecutionVariables:
    """What each run knows about itself."""

    START_DATETIME = ExecutionVariable("StartDateTime")
    CURRENT_DATETIME = ExecutionVariable("CurrentDateTime")
    PIPELINE_NAME = ExecutionVariable("PipelineName")
    PIPELINE_ARN = ExecutionVariable("PipelineArn")
    PIPELINE_EXECUTION_ID = ExecutionVariable("PipelineExecutionId")
    PIPELINE_EXECUTION_ARN = ExecutionVariable("PipelineExecutionArn")


@dataclass(frozen=True)
class Properties(Variable):
    """What a step's Describe call will answer: train.properties.ModelArtifacts.S3ModelArtifacts."""

    step_name: str
    path: str = ""

    def __getattr__(self, member: str) -> Properties:
        if not member[:1].isupper():  # AWS's members are, Python's own look-ups are not
            raise AttributeError(member)
        return Properties(self.step_name, f"{self.path}.{member}")

    def __getitem__(self, key: str | int) -> Properties:
        return Properties(self.step_name, f"{self.path}[{key!r}]")

    @property
    def expr(self) -> Request:
        return {"Get": f"Steps.{self.step_name}{self.path}"}


@dataclass(frozen=True)
class Join(Variable):
    on: str = ""
    values: Sequence[Value] = ()

    @property
    def expr(self) -> Request:
        return {"Std:Join": {"On": self.on, "Values": self.values}}

    def to_string(self) -> Join:
        return self


@dataclass(frozen=True)
class JsonGet(Variable):
    step_name: str
    property_file: PropertyFile
    json_path: str

    @property
    def expr(self) -> Request:
        file = {"Get": f"Steps.{self.step_name}.PropertyFiles.{self.property_file.name}"}
        return {"Std:JsonGet": {"PropertyFile": file, "Path": self.json_path}}


def at(path: str, *, default: object = MISSING) -> Any:  # noqa: ANN401 (as dataclasses.field)
    """Declare an argument whose value goes to `path` in the request: member names and dots."""
    known: dict[str, Any] = {} if default is MISSING else {"default": default}
    return field(metadata={"at": path}, **known)


@transform(frozen_default=True, kw_only_default=True, field_specifiers=(field, at))
def shape(cls: type[T]) -> type[T]:
    """Make a frozen dataclass whose arguments are given by name."""
    return dataclass(frozen=True, kw_only=True)(cls)


class Shape(Strict):
    """A part of a request, made of its arguments; what is None stays out."""

    def to_request(self) -> Request:
        request: Request = {}
        for item in fields(self):  # type: ignore[arg-type] # a dataclass
            if "at" in item.metadata and (value := getattr(self, item.name)) is not None:
                *parents, member = item.metadata["at"].split(".")
                target = request
                for parent in parents:
                    target = target.setdefault(parent, {})
                target[member] = value
        return request


@shape
class PropertyFile(Shape):
    """A JSON file in a processing step's output, for JsonGet to read."""

    name: str = at("PropertyFileName")
    output_name: str = at("OutputName")
    path: str = at("FilePath")


@shape
class CacheConfig(Shape):
    """Reuses a step's last result for the same arguments; `expire_after` is as P30D (ISO 8601)."""

    enable_caching: bool = at("Enabled", default=False)
    expire_after: str | None = at("ExpireAfter", default=None)


@shape
class ProcessingInput(Shape):
    """Everything below `s3_uri`, in the container's folder `local_path`."""

    input_name: str = at("InputName")
    s3_uri: Text = at("S3Input.S3Uri")
    local_path: str = at("S3Input.LocalPath")
    s3_data_type: str = at("S3Input.S3DataType", default="S3Prefix")
    s3_input_mode: str = at("S3Input.S3InputMode", default="File")
    s3_data_distribution_type: str = at("S3Input.S3DataDistributionType", default="FullyReplicated")
    s3_compression_type: str = at("S3Input.S3CompressionType", default="None")


@shape
class ProcessingOutput(Shape):
    """The container's folder `local_path`, uploaded to `s3_uri` when the job ends."""

    output_name: str = at("OutputName")
    s3_uri: Text = at("S3Output.S3Uri")
    local_path: str = at("S3Output.LocalPath")
    s3_upload_mode: str = at("S3Output.S3UploadMode", default="EndOfJob")


@shape
class InputData(Shape):
    """A training job's channel: everything below `data_source`."""

    channel_name: str = at("ChannelName")
    data_source: Text = at("DataSource.S3DataSource.S3Uri")
    s3_data_type: str = at("DataSource.S3DataSource.S3DataType", default="S3Prefix")
    s3_data_distribution_type: str = at(
        "DataSource.S3DataSource.S3DataDistributionType", default="FullyReplicated"
    )
    input_mode: str = at("InputMode", default="File")


@shape
class ConditionGreaterThanOrEqualTo(Shape):
    left: Value = at("LeftValue")
    right: Value = at("RightValue")
    type: str = at("Type", default="GreaterThanOrEqualTo")


@shape
class ConditionLessThanOrEqualTo(Shape):
    left: Value = at("LeftValue")
    right: Value = at("RightValue")
    type: str = at("Type", default="LessThanOrEqualTo")


@shape
class Step(Shape):
    """A step depends on those it refers to; `depends_on` adds those it does not refer to."""

    name: str = field(kw_only=False)
    depends_on: Sequence[AnyStep | str] = ()
    cache_config: CacheConfig | None = None
    property_files: Sequence[PropertyFile] = ()
    type: ClassVar[str]

    @property
    def properties(self) -> Properties:
        return Properties(self.name)

    def to_request(self) -> Request:
        more = {
            "DependsOn": self.depends_on,
            "CacheConfig": self.cache_config,
            "PropertyFiles": self.property_files,
        }
        request = {"Name": self.name, "Type": self.type, "Arguments": super().to_request()}
        return request | {key: value for key, value in more.items() if value}


CLUSTER = "ProcessingResources.ClusterConfig."
NETWORK = "NetworkConfig."


@shape
class ProcessingStep(Step):
    """A CreateProcessingJob request."""

    type = "Processing"
    image_uri: Text = at("AppSpecification.ImageUri")
    entrypoint: Sequence[Text] = at("AppSpecification.ContainerEntrypoint")
    arguments: Sequence[Text] = at("AppSpecification.ContainerArguments")
    environment: Mapping[str, Text] | None = at("Environment", default=None)
    inputs: Sequence[ProcessingInput] = at("ProcessingInputs")
    outputs: Sequence[ProcessingOutput] = at("ProcessingOutputConfig.Outputs")
    output_kms_key: Text | None = at("ProcessingOutputConfig.KmsKeyId", default=None)
    role: Text = at("RoleArn")
    instance_type: Text = at(CLUSTER + "InstanceType")
    instance_count: int = at(CLUSTER + "InstanceCount", default=1)
    volume_size_in_gb: int = at(CLUSTER + "VolumeSizeInGB", default=30)
    volume_kms_key: Text | None = at(CLUSTER + "VolumeKmsKeyId", default=None)
    max_runtime_in_seconds: int | None = at("StoppingCondition.MaxRuntimeInSeconds", default=None)
    enable_network_isolation: bool = at(NETWORK + "EnableNetworkIsolation", default=False)
    encrypt_traffic: bool = at(NETWORK + "EnableInterContainerTrafficEncryption", default=False)
    subnets: Sequence[str] | None = at(NETWORK + "VpcConfig.Subnets", default=None)
    security_group_ids: Sequence[str] | None = at(
        NETWORK + "VpcConfig.SecurityGroupIds", default=None
    )


@shape
class TrainingStep(Step):
    """A CreateTrainingJob request in script mode: hyperparameters name the program and its code."""

    type = "Training"
    training_image: Text = at("AlgorithmSpecification.TrainingImage")
    training_input_mode: str = at("AlgorithmSpecification.TrainingInputMode", default="File")
    metric_definitions: Sequence[Mapping[str, str]] | None = at(
        "AlgorithmSpecification.MetricDefinitions", default=None
    )
    hyperparameters: Mapping[str, Text] = at("HyperParameters")
    environment: Mapping[str, Text] | None = at("Environment", default=None)
    input_data_config: Sequence[InputData] = at("InputDataConfig")
    output_path: Text = at("OutputDataConfig.S3OutputPath")
    output_kms_key: Text | None = at("OutputDataConfig.KmsKeyId", default=None)
    compression_type: str = at("OutputDataConfig.CompressionType", default="GZIP")
    role: Text = at("RoleArn")
    instance_type: Text = at("ResourceConfig.InstanceType")
    instance_count: int = at("ResourceConfig.InstanceCount", default=1)
    volume_size_in_gb: int = at("ResourceConfig.VolumeSizeInGB", default=30)
    volume_kms_key: Text | None = at("ResourceConfig.VolumeKmsKeyId", default=None)
    max_runtime_in_seconds: int | None = at("StoppingCondition.MaxRuntimeInSeconds", default=None)
    enable_network_isolation: bool = at("EnableNetworkIsolation", default=False)
    encrypt_traffic: bool = at("EnableInterContainerTrafficEncryption", default=False)
    subnets: Sequence[str] | None = at("VpcConfig.Subnets", default=None)
    security_group_ids: Sequence[str] | None = at("VpcConfig.SecurityGroupIds", default=None)


SERVING = "InferenceSpecification."


@shape
class RegisterModel(Step):
    """A CreateModelPackage request: a new version in a group."""

    type = "RegisterModel"
    model_package_group_name: Text = at("ModelPackageGroupName")
    approval_status: Text = at("ModelApprovalStatus", default="PendingManualApproval")
    containers: Sequence[Mapping[str, object]] = at(SERVING + "Containers")
    content_types: Sequence[str] = at(SERVING + "SupportedContentTypes")
    response_types: Sequence[str] = at(SERVING + "SupportedResponseMIMETypes")
    inference_instances: Sequence[str] = at(SERVING + "SupportedRealtimeInferenceInstanceTypes")
    transform_instances: Sequence[str] = at(SERVING + "SupportedTransformInstanceTypes")
    model_metrics: Mapping[str, object] | None = at("ModelMetrics", default=None)
    drift_check_baselines: Mapping[str, object] | None = at("DriftCheckBaselines", default=None)
    metadata_properties: Mapping[str, Text] | None = at("MetadataProperties", default=None)
    customer_metadata_properties: Mapping[str, Text] | None = at(
        "CustomerMetadataProperties", default=None
    )
    domain: str | None = at("Domain", default=None)
    task: str | None = at("Task", default=None)
    skip_model_validation: str = at("SkipModelValidation", default="None")


@shape
class ConditionStep(Step):
    """Runs `if_steps` where all conditions hold, and otherwise `else_steps`."""

    type = "Condition"
    conditions: Sequence[Shape] = at("Conditions")
    if_steps: Sequence[AnyStep] = at("IfSteps", default=())
    else_steps: Sequence[AnyStep] = at("ElseSteps", default=())


@shape
class FailStep(Step):
    """Ends the run as failed, with a message."""

    type = "Fail"
    error_message: Text = at("ErrorMessage")


@dataclass(frozen=True)
class Pipeline(Strict):
    name: str
    parameters: Sequence[Parameter]
    steps: Sequence[AnyStep]

    def definition(self) -> str:
        """Return the definition as JSON. Raises DefinitionError for what it cannot write."""
        request = {
            "Version": VERSION,
            "Metadata": {},
            "Parameters": [_json(parameter.to_request()) for parameter in self.parameters],
            "Steps": [_json(_step(step)) for step in self.steps],
        }
        return json.dumps(request, indent=2, allow_nan=False) + "\n"


def accept_in_sdk() -> None:
    """Let the installed SageMaker SDK v3 take our variables wherever it takes its own."""
    module = importlib.import_module("sagemaker.core.helper.pipeline_variable")
    module.PipelineVariable.register(Variable)


def _step(step: object) -> Request:
    request = step.to_request() if hasattr(step, "to_request") else {}
    if not {"Name", "Type", "Arguments"} <= set(request):
        raise DefinitionError(
            f"{step!r} is neither a value nor a step; the steps are {', '.join(STEPS)}; {ESCAPE}"
        )
    names = [getattr(other, "name", other) for other in request.get("DependsOn", ())]
    return {**request, "DependsOn": names or None}


def _json(value: object) -> Any:  # noqa: ANN401 (JSON is what it is)
    """Return `value` with every variable, step and other object as the definition writes it."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {key: _json(item) for key, item in value.items() if item is not None}
    if isinstance(value, Sequence):
        return [_json(item) for item in value]
    if hasattr(value, "expr") and not callable(value.expr):  # the SDK's LambdaOutput has a method
        return _json(value.expr)
    if isinstance(value, Shape) and not isinstance(value, Step):
        return _json(value.to_request())
    return _json(_step(value))


STEPS = tuple(cls.__name__ for cls in Step.__subclasses__())

if not TYPE_CHECKING:  # a type checker is to find a misspelt name by itself

    def __getattr__(name: str) -> object:
        """Answer an import of what is not here, such as TuningStep, with what is."""
        if not name[:1].isupper():
            raise AttributeError(name)
        raise DefinitionError(
            f"the builder has no {name}; its steps are {', '.join(STEPS)}; {ESCAPE}"
        )
