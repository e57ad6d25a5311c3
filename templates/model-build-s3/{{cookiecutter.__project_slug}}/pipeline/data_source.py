"""The data: CSV (or Parquet) files below an address in S3. No other module knows its source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.definition import ParameterString
from pipeline.settings import ROOT, Block
from pipeline.source import Source, StandIn

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.steps import Jobs

# What the model registry takes as metadata: CustomerMetadataValue in botocore.
ADDRESS = r"(?=.{1,256}$)s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.:/=+@-]*)?"


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


def files(_: Settings) -> dict[str, bytes]:
    """Return what the jobs need besides jobs/ to read the data, by file name: nothing."""
    return {}


def stack_parameters(settings: Settings) -> Mapping[str, str]:
    """Return the parameters of infra/data.yml that config/data.yml gives."""
    return {"DataLocation": address(settings)}


def explain(settings: Settings) -> Iterator[str]:
    """Yield, a line each, what a run reads."""
    location = address(settings)
    every = "" if location.endswith((".csv", ".parquet")) else "every .csv or .parquet file below "
    yield f"SageMaker reads {every}{location}"
    yield "this machine reads data/sample.csv, or what DATA= names"


def stand_in(settings: Settings, data: Path | None) -> StandIn:
    """Return the file or folder that stands for the address on this machine.

    Without `data` it is the sample, which is exported when it is first needed.
    """
    if data is None:
        data = ROOT / "data" / "sample.csv"
        if not data.exists():
            from pipeline import sample  # only now: it loads scikit-learn

            draft = data.with_suffix(".draft")  # a killed export is to leave no half of a sample
            sample.write(settings.problem_type, settings.target_column, draft)
            draft.replace(data)
    return StandIn(data, mounts={address(settings): data})
