"""What the comparison with the SDK leaves out: one table, each path with its value and reason."""

from __future__ import annotations

from typing import Any

REGISTER = "Steps.*.Arguments.IfSteps.*.Arguments."
FRAMEWORK = REGISTER + "InferenceSpecification.Containers.*.Framework"

# Only this very value is left out at a path: any other is compared.
LEFT_OUT: dict[str, tuple[Any, str]] = {
    "PipelineExperimentConfig": (
        None,
        'the guide\'s page "Disable Experiments Integration" leaves it out; the SDK writes null',
    ),
    "MlflowConfig": (None, "the SDK writes null where no MLflow server is named"),
    REGISTER + "ModelMetrics.Bias": ({}, "the SDK writes an empty object for what is not measured"),
    REGISTER + "ModelMetrics.Explainability": ({}, "the SDK writes an empty object likewise"),
    FRAMEWORK: (
        "XGBOOST",
        "ModelBuilder 1.27 takes only an enum here, which its own JSON then refuses",
    ),
}


def normalise(value: Any, path: str = "") -> Any:
    """Return a copy of a definition, or of its part at `path`, without what LEFT_OUT names."""
    if isinstance(value, list):
        return [normalise(item, f"{path}*.") for item in value]
    if isinstance(value, dict):
        return {
            key: normalise(item, f"{path}{key}.")
            for key, item in value.items()
            if not left_out(path + key, item)
        }
    return value


def left_out(path: str, value: Any) -> bool:
    return path in LEFT_OUT and not differences(LEFT_OUT[path][0], value)


class Nothing:
    """What stands where only the other definition has something."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING = Nothing()


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Say where two definitions differ. In JSON 1, 1.0 and true are three values."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        both = [(k, ours.get(k, NOTHING), theirs.get(k, NOTHING)) for k in {**ours, **theirs}]
        return [found for k, a, b in both for found in differences(a, b, f"{path}/{k}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [found for k, (a, b) in pairs for found in differences(a, b, f"{path}/{k}")]
    if type(ours) is type(theirs) and ours == theirs:
        return []
    return [f"{path}: ours is {ours!r}, the SDK's {theirs!r}"]


def compare(ours: Any, theirs: Any) -> list[str]:
    return differences(normalise(ours), normalise(theirs))
