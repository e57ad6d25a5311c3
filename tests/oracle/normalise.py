"""What the comparison with the SDK leaves out: one table, each path with its reason."""

from __future__ import annotations

from typing import Any

REGISTER = "Steps.*.Arguments.IfSteps.*.Arguments."
CONTAINER = REGISTER + "InferenceSpecification.Containers.*."

LEFT_OUT = {
    "PipelineExperimentConfig": "the SDK writes null where no experiment is kept",
    "MlflowConfig": "the SDK writes null where no MLflow server is named",
    REGISTER + "ModelMetrics.Bias": "the SDK writes an empty object for what is not measured",
    REGISTER + "ModelMetrics.Explainability": "the SDK writes an empty object likewise",
    CONTAINER + "Environment.SAGEMAKER_CONTAINER_LOG_LEVEL": "ModelBuilder's own default",
    CONTAINER + "Environment.SAGEMAKER_REGION": "ModelBuilder's own; the service sets AWS_REGION",
    CONTAINER + "Framework": "ModelBuilder 1.27 keeps an enum here that JSON then refuses",
    CONTAINER + "FrameworkVersion": "goes with Framework",
}


def normalise(definition: dict[str, Any]) -> dict[str, Any]:
    """Return `definition` without what LEFT_OUT names; the original is changed."""
    for path in LEFT_OUT:
        *parents, last = path.split(".")
        for owner in _at(definition, parents):
            if isinstance(owner, dict):
                owner.pop(last, None)
    return definition


def _at(value: Any, path: list[str]) -> list[Any]:
    if not path:
        return [value]
    head, *rest = path
    if head == "*":
        children = value if isinstance(value, list) else []
    else:
        children = [value[head]] if isinstance(value, dict) and head in value else []
    return [found for child in children for found in _at(child, rest)]
