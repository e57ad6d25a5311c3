"""The project's definition is the one that SageMaker SDK v3 compiles for the same pipeline."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ours, theirs
from normalise import LEFT_OUT, normalise


def test_the_definitions_are_equal(project):
    assert normalise(ours()) == normalise(theirs(project.parent.name))


def test_the_table_of_what_is_left_out_stays_small():
    assert len(LEFT_OUT) <= 12
    never = ("Type", "DependsOn", "Conditions", "PropertyFiles", "InputName", "OutputName", "Get")
    assert not [path for path in LEFT_OUT if path.split(".")[-1] in never]


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


# What must never be normalised: a change in any of these fails the comparison.
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
}


@pytest.fixture(scope="module")
def pair() -> dict[Path, tuple[dict[str, Any], dict[str, Any]]]:
    """Each project's two definitions, compiled once."""
    return {}


def both(project: Path, pair: dict[Path, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    if project not in pair:
        pair[project] = normalise(ours()), normalise(theirs(project.parent.name))
    return pair[project]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(change, project, pair):
    mine, sdk = both(project, pair)
    name, path, value = CHANGES[change]
    changed = copy.deepcopy(mine)
    set_in(step(changed, name), path, value)
    assert changed != mine
    assert normalise(changed) != sdk


PARAMETER_CHANGES: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "type": lambda parameters: parameters[0].update(Type="Integer"),
    "default": lambda parameters: parameters[0].update(DefaultValue="x"),
    "name": lambda parameters: parameters[0].update(Name="x"),
    "missing": lambda parameters: parameters.pop(),
}


@pytest.mark.parametrize("change", PARAMETER_CHANGES)
def test_a_change_of_a_parameter_is_seen(change, project, pair):
    mine, sdk = both(project, pair)
    changed = copy.deepcopy(mine)
    PARAMETER_CHANGES[change](changed["Parameters"])
    assert normalise(changed) != sdk


def test_compiling_twice_elsewhere_gives_the_same_bytes(project, tmp_path):
    program = "from pipeline import pipeline, settings; import sys; sys.stdout.write("
    program += "pipeline.build(settings.Settings.load('dev', {})).definition())"
    found = set()
    for seed, zone, folder in (("0", "UTC", project), ("1", "Asia/Kolkata", tmp_path)):
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(project),
            "PYTHONHASHSEED": seed,
            "TZ": zone,
            "HOME": str(tmp_path),
        }
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
        found.add(done.stdout)
    assert len(found) == 1
    assert json.loads(found.pop())["Version"] == "2020-12-01"


def test_the_escape_hatch_takes_a_tuning_step(project):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    command += ["tests/test_sdk_escape_hatch.py"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
