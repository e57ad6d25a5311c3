"""The checks find every seeded mistake, and nothing in the definition as it is."""

import json
import re

import pytest

from pipeline import check
from pipeline.pipeline import build
from pipeline.settings import Settings


@pytest.fixture
def compiled():
    return json.loads(build(Settings.load(environ={})).definition())


def at(compiled, path):
    """Return the part of the definition that holds the last member of a path, and that member.

    An item of a list goes by its number, or by its Name: what stands before it is the source's.
    """
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    value = compiled
    for part in parents:
        if isinstance(value, list) and isinstance(part, str):
            value = next(item for item in value if item["Name"] == part)
        else:
            value = value[part]
    return value, last


NOWHERE = {"Get": "Steps.Nowhere.ModelArtifacts.S3ModelArtifacts"}
CLUSTER = "Steps/Preprocess/Arguments/ProcessingResources/ClusterConfig"
ENTRYPOINT = "Steps/Preprocess/Arguments/AppSpecification/ContainerEntrypoint"
CONDITION = "Steps/Gate/Arguments/Conditions/0"
REGISTER = "Steps/Gate/Arguments/IfSteps/0/Arguments"
CHANNEL = "Steps/Train/Arguments/InputDataConfig/1/DataSource/S3DataSource/S3Uri"
SEEDED = {
    "an unknown member": ("Steps/Train/Arguments/HyperParams", {}, "did you mean HyperParameters"),
    "a missing member": ("Steps/Train/Arguments/RoleArn", None, "requires it"),
    "a number for text": ("Steps/Train/Arguments/HyperParameters/rounds", 400, "write it as text"),
    "a number parameter for text": (
        "Steps/Train/Arguments/HyperParameters/seed",
        {"Get": "Parameters.SplitSeed"},
        "write it as text, or wrap it in Join",
    ),
    "a text for a number": (f"{CLUSTER}/InstanceCount", "1", "it takes type integer"),
    "a flag for a number": (f"{CLUSTER}/InstanceCount", True, "it takes type integer"),
    "a number for a flag": (
        "Steps/Train/Arguments/EnableNetworkIsolation",
        1,
        "it takes type boolean",
    ),
    "a number too high": (f"{CLUSTER}/VolumeSizeInGB", 99999, "at most 16384"),
    "an unknown choice": (
        "Steps/Preprocess/Arguments/ProcessingInputs/0/S3Input/S3DataType",
        "S3Folder",
        "such as S3Prefix",
    ),
    "an instance type that is none": (
        "Parameters/InstanceType/DefaultValue",
        "ml.m5.xlrage",
        "ml.m5.xlarge",
    ),
    "a key where the disks have none": (
        "Parameters/InstanceType/DefaultValue",
        "ml.g5.xlarge",
        "of its own",
    ),
    "an ARN that is none": (
        "Steps/Train/Arguments/RoleArn",
        "Execution-role-of-ours",
        "must match",
    ),
    "a long entrypoint": (f"{ENTRYPOINT}/1", "x" * 257, "at most 256"),
    "a long entrypoint with a variable": (
        f"{ENTRYPOINT}/1",
        {"Std:Join": {"On": "", "Values": ["x" * 257, {"Get": "Execution.PipelineName"}]}},
        "at least 257 characters",
    ),
    "too many items": (ENTRYPOINT, ["x"] * 101, "at most 100"),
    "an unknown parameter": (CHANNEL, {"Get": "Parameters.Data"}, "parameter 'Data'"),
    "an unknown execution variable": (CHANNEL, {"Get": "Execution.Id"}, "variable 'Id'"),
    "an unknown step": (CHANNEL, NOWHERE, "needs Nowhere"),
    "an unknown output": (
        CHANNEL,
        {"Get": "Steps.Preprocess.ProcessingOutputConfig.Outputs['trian'].S3Output.S3Uri"},
        "OutputName 'trian' of Preprocess",
    ),
    "an unknown property": (CHANNEL, {"Get": "Steps.Preprocess.Modell"}, "no such property"),
    "a property that is no value": (
        CHANNEL,
        {"Get": "Steps.Preprocess.ProcessingOutputConfig"},
        "which is a structure",
    ),
    "a property of another type": (
        CHANNEL,
        {"Get": "Steps.Preprocess.ProcessingResources.ClusterConfig.InstanceCount"},
        "gives type integer",
    ),
    "an unknown property file": (
        f"{CONDITION}/LeftValue",
        {
            "Std:JsonGet": {
                "PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.metrics"},
                "Path": "x",
            }
        },
        "property file 'metrics' of Evaluate",
    ),
    "a property file in no output": (
        "Steps/Evaluate/PropertyFiles/0/OutputName",
        "metrics",
        "the step has evaluation",
    ),
    "no path in a property file": (f"{CONDITION}/LeftValue/Std:JsonGet/Path", "", "no Path"),
    "an unknown condition": (f"{CONDITION}/Type", "AtLeast", "GreaterThanOrEqualTo"),
    "no condition": ("Steps/Gate/Arguments/Conditions", [], "is empty"),
    "an unknown step type": ("Steps/Preprocess/Type", "Preprocessing", "use one of Processing"),
    "the same name twice": ("Steps/Train/Name", "Preprocess", "rename all but one"),
    "a name that is none": ("Steps/Gate/Name", "The gate", "must match"),
    "a cycle": (
        "Steps/Preprocess/Arguments/ProcessingInputs/1/S3Input/S3Uri",
        {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"},
        "a cycle",
    ),
    "a default of another type": ("Parameters/GateThreshold/DefaultValue", "high", "no Float"),
    "a parameter type that is none": (
        "Parameters/GateThreshold/Type",
        "Number",
        "use one of String",
    ),
    "metadata too long": (f"{REGISTER}/CustomerMetadataProperties/Note", "x" * 257, "at most 256"),
    "metadata with a comma": (f"{REGISTER}/CustomerMetadataProperties/Note", "a, b", "must match"),
    "a cache without a duration": (
        "Steps/Preprocess/CacheConfig/ExpireAfter",
        "soon",
        "write one as P30D",
    ),
    "another version": ("Version", "2021-01-01", "write 2020-12-01"),
}


def test_nothing_is_wrong_with_the_definition_as_it_is(compiled):
    assert check.findings(compiled) == []


@pytest.mark.parametrize("mistake", SEEDED)
def test_each_mistake_is_one_line_that_names_it(compiled, mistake):
    path, value, line = SEEDED[mistake]
    target, member = at(compiled, path)
    if value is None:
        del target[member]
    else:
        target[member] = value
    found = check.findings(compiled)
    assert any(line in text for text in found), found
    assert all("\n" not in text for text in found)


def test_what_a_start_gives_is_checked_like_a_default(compiled):
    wrong = {"InstanceType": "ml.m5.xlrage"}
    assert "ml.m5.xlarge" in check.findings(compiled, wrong)[0]


def test_every_pattern_of_botocore_is_understood():
    patterns = [shape["pattern"] for shape in check.shapes().values() if "pattern" in shape]
    lenient = [text for text in patterns if check.pattern(text).pattern == r"[\S\s]*"]
    assert len(patterns) > 400
    assert [text for text in lenient if not re.fullmatch(r"\[\\S\\s\]\*|\[\\s\\S\]\*", text)] == [
        text for text in lenient if "uD7FF" in text
    ]
