"""The data: CSV (or Parquet) files below an address in S3. No other module knows its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.definition import AnyStep, Parameter, ParameterString, Text
from pipeline.settings import ROOT, Block

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.steps import Jobs

# What the model registry takes as metadata: CustomerMetadataValue in botocore.
ADDRESS = r"(?=.{1,256}$)s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.:/=+@-]*)?"


@dataclass(frozen=True)
class Source:
    """What the pipeline is to know of its data."""

    uri: Text  # what Preprocess reads: an S3 address, or a reference to a step's output
    steps: Sequence[AnyStep]  # what must run before Preprocess
    parameters: Sequence[Parameter]  # what each start may set
    provenance: Mapping[str, Text]  # what the registered model says of its data


def source(jobs: Jobs) -> Source:
    """Return the parameter DataLocation as the data. Raises SettingsError for a wrong address."""
    location = ParameterString("DataLocation", address(jobs.settings))
    return Source(
        uri=location,
        steps=(),
        parameters=(location,),
        provenance={"DataLocation": location},
    )


def address(settings: Settings) -> str:
    """Return the S3 address in config/data.yml. Raises SettingsError if it is none."""
    block = Block("", settings.data, "config/data.yml")
    location = block.text(
        "location",
        ADDRESS,
        "an S3 address such as s3://bucket/folder/, of letters, digits or _.:/=+@-",
    )
    block.finish()
    return location


def local_mounts(settings: Settings, data: Path | None) -> dict[str, Path]:
    """Return which file or folder stands for which S3 address on this machine.

    Without `data` it is the sample, which is exported when it is first needed.
    """
    if data is None:
        data = ROOT / "data" / "sample.csv"
        if not data.exists():
            from pipeline import sample  # only now: it loads scikit-learn

            draft = data.with_suffix(".draft")  # a killed export is to leave no half of a sample
            sample.write(settings.problem_type, settings.target_column, draft)
            draft.replace(data)
    return {address(settings): data}
