"""What a data source tells the pipeline: pipeline/data_source.py, which alone differs, fills it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.definition import (
    AnyStep,
    Join,
    Parameter,
    ParameterFloat,
    ParameterInteger,
    ParameterString,
    Text,
)

Value = str | int | float


@dataclass(frozen=True)
class Source:
    """What the pipeline is to know of its data."""

    uri: Text  # what Preprocess reads: an S3 address, or a reference to a step's output
    steps: Sequence[AnyStep]  # what must run before Preprocess
    parameters: Sequence[Parameter]  # what each start may set
    provenance: Mapping[str, Text]  # what the registered model says of its data


@dataclass(frozen=True)
class StandIn:
    """What stands for the data on this machine."""

    data: Path  # the file or folder, for people
    mounts: Mapping[str, Path] = field(default_factory=dict)  # by S3 address
    environment: Mapping[str, str] = field(default_factory=dict)  # of each job, here only


def settable(values: Mapping[str, Value]) -> tuple[list[Parameter], list[Text]]:
    """Return a pipeline parameter for each value, and the arguments by which a job gets them.

    `from_date` becomes the parameter FromDate and the arguments --text from_date=..., a number
    those of --number; the values are what a start takes unless it says otherwise.
    """
    parameters: list[Parameter] = []
    arguments: list[Text] = []
    for key, value in values.items():
        name = "".join(map(str.capitalize, key.split("_")))
        parameter: Parameter
        if isinstance(value, str):
            parameter = ParameterString(name, value)
            arguments += ["--text", Join(values=[f"{key}=", parameter])]
        else:
            number = ParameterInteger if isinstance(value, int) else ParameterFloat
            parameter = number(name, value)
            arguments += ["--number", Join(values=[f"{key}=", parameter.to_string()])]
        parameters.append(parameter)
    return parameters, arguments
