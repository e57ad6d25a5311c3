"""The comparison is strict: whatever changes in a definition, it sees."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import PROJECTS, definitions
from normalise import LEFT_OUT, compare, differences, normalise


def test_the_table_of_what_is_left_out_stays_small():
    assert len(LEFT_OUT) <= 12
    assert all(reason for _value, reason in LEFT_OUT.values())


def members(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every member of a definition, as LEFT_OUT writes it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield path + key
            yield from members(item, f"{path}{key}.")
    elif isinstance(value, list):
        for item in value:
            yield from members(item, f"{path}*.")


@pytest.mark.parametrize("path", LEFT_OUT)
def test_what_is_left_out_stands_in_one_definition_only(path):
    """No path is left over from earlier, and none hides what could be compared."""
    for project in PROJECTS:
        ours, theirs = definitions(project)
        assert (path in members(ours)) != (path in members(theirs))


def edits(value: Any) -> Iterator[Any]:
    """Yield every definition that differs from `value` in one spot."""
    yield "changed"
    yield None if value is not None else 0
    if isinstance(value, dict):
        yield {**value, "Added": "x"}
        for key, item in value.items():
            yield {k: v for k, v in value.items() if k != key}
            yield from ({**value, key: edited} for edited in edits(item))
    elif isinstance(value, list):
        yield [*value, "x"]
        yield from [value[::-1]] * (value != value[::-1])
        for k, item in enumerate(value):
            yield value[:k] + value[k + 1 :]
            yield from ([*value[:k], edited, *value[k + 1 :]] for edited in edits(item))
    elif isinstance(value, bool | int | float):
        yield from (
            other
            for other in (str(value), int(value), float(value), bool(value))
            if type(other) is not type(value)
        )


def test_every_change_is_seen(project):
    ours, theirs = (normalise(definition) for definition in definitions(project))
    unseen = [edited for edited in edits(ours) if not compare(edited, theirs)]
    assert [differences(ours, edited) for edited in unseen] == []


def step(definition: dict[str, Any], name: str) -> dict[str, Any]:
    steps = definition["Steps"]
    for branch in ("IfSteps", "ElseSteps"):
        steps = steps + [s for one in steps for s in one["Arguments"].get(branch, [])]
    return next(found for found in steps if found["Name"] == name)


def set_in(value: Any, path: str, new: Any) -> None:
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for part in parents:
        value = value[part]
    if isinstance(last, str):
        assert last in value or last == "DependsOn", f"{path}: the definition has no {last}"
    value[last] = new


# What the issue and good sense name, each by itself: the test above has them all and many more.
CHANGES: dict[str, tuple[str, str, Any]] = {
    "step type": ("Preprocess", "Type", "Training"),
    "step name": ("Train", "Name", "Fit"),
    "dependency": ("Evaluate", "DependsOn", ["Preprocess"]),
    "reference to an output": (
        "Train",
        "Arguments/InputDataConfig/1/DataSource/S3DataSource/S3Uri",
        {"Get": "Steps.Preprocess.ProcessingOutputConfig.Outputs['test'].S3Output.S3Uri"},
    ),
    "reference to the model": (
        "Evaluate",
        "Arguments/ProcessingInputs/1/S3Input/S3Uri",
        {"Get": "Steps.Train.OutputDataConfig.S3OutputPath"},
    ),
    "reference to a parameter": (
        "Train",
        "Arguments/ResourceConfig/InstanceType",
        {"Get": "Parameters.GitCommit"},
    ),
    "condition operator": ("Gate", "Arguments/Conditions/0/Type", "Equals"),
    "condition, left": (
        "Gate",
        "Arguments/Conditions/0/LeftValue/Std:JsonGet/Path",
        "regression_metrics.mae.value",
    ),
    "condition, right": ("Gate", "Arguments/Conditions/0/RightValue", 0.5),
    "property file's name": ("Evaluate", "PropertyFiles/0/PropertyFileName", "metrics"),
    "property file's path": ("Evaluate", "PropertyFiles/0/FilePath", "other.json"),
    "property file's output": ("Evaluate", "PropertyFiles/0/OutputName", "other"),
    "training channel": ("Train", "Arguments/InputDataConfig/1/ChannelName", "training"),
    "processing input": ("Evaluate", "Arguments/ProcessingInputs/1/InputName", "artifact"),
    "processing output": (
        "Preprocess",
        "Arguments/ProcessingOutputConfig/Outputs/0/OutputName",
        "training",
    ),
    "container argument": ("Preprocess", "Arguments/AppSpecification/ContainerArguments/1", "/x"),
    "hyperparameter": ("Train", "Arguments/HyperParameters/rounds", "1"),
    "code location": (
        "Train",
        "Arguments/InputDataConfig/0/DataSource/S3DataSource/S3Uri",
        "s3://b/k",
    ),
    "network isolation": ("Train", "Arguments/EnableNetworkIsolation", False),
    "key of the outputs": ("Preprocess", "Arguments/ProcessingOutputConfig/KmsKeyId", "alias/x"),
    "role": ("Train", "Arguments/RoleArn", "arn:aws:iam::000000000000:role/other"),
    "step cache": ("Train", "CacheConfig/ExpireAfter", "P1D"),
    "approval status": ("Register", "Arguments/ModelApprovalStatus", "Approved"),
    "drift baseline": (
        "Register",
        "Arguments/DriftCheckBaselines/ModelDataQuality/Statistics/S3Uri",
        "s3://b/k",
    ),
    "customer metadata": ("Register", "Arguments/CustomerMetadataProperties/GitCommit", "x"),
    "served program": (
        "Register",
        "Arguments/InferenceSpecification/Containers/0/Environment/SAGEMAKER_PROGRAM",
        "x.py",
    ),
    "fail message": ("Reject", "Arguments/ErrorMessage/Std:Join/Values/0", "x is "),
    "framework": (
        "Register",
        "Arguments/InferenceSpecification/Containers/0/Framework",
        "TENSORFLOW",
    ),
    "a number of another type": ("Train", "Arguments/ResourceConfig/InstanceCount", 1.0),
    "a number for a truth": ("Train", "Arguments/EnableNetworkIsolation", 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(change, project):
    ours, theirs = definitions(project)
    name, path, value = CHANGES[change]
    changed = copy.deepcopy(ours)
    set_in(step(changed, name), path, value)
    assert len(compare(changed, theirs)) == 1


PARAMETER_CHANGES: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "type": lambda parameters: parameters[0].update(Type="Integer"),
    "default": lambda parameters: parameters[0].update(DefaultValue="x"),
    "name": lambda parameters: parameters[0].update(Name="x"),
    "missing": lambda parameters: parameters.pop(),
}


@pytest.mark.parametrize("change", PARAMETER_CHANGES)
def test_a_change_of_a_parameter_is_seen(change, project):
    ours, theirs = definitions(project)
    changed = copy.deepcopy(ours)
    PARAMETER_CHANGES[change](changed["Parameters"])
    assert compare(changed, theirs)
