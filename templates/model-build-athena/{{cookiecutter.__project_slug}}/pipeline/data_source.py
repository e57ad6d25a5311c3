"""The data: one SELECT over the data lake, run by Athena. No other module knows its source."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.definition import Join
from pipeline.settings import ROOT, Block, Settings, SettingsError
from pipeline.source import Source, StandIn, settable
from pipeline.steps import INPUT, OUTPUT, output

if TYPE_CHECKING:
    from pipeline.steps import Jobs

FILE = "training.sql"  # its name beside the jobs
LAKE = ROOT / "data" / "lake"
GIGABYTE = 10**9
FOLDER = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/([\w.:=+@-]+/)*"


@dataclass(frozen=True)
class Wanted:
    """config/data.yml, checked."""

    sql: str
    parameters: Mapping[str, str | int | float]
    catalog: str
    database: str
    workgroup: str
    scan_limit: int  # bytes
    lake_location: str


def wanted(settings: Settings) -> Wanted:
    """Return config/data.yml, checked. Raises SettingsError for the first wrong value."""
    block = Block("", settings.data, "config/data.yml")
    name = block.text("sql", r"sql/[\w./-]+\.sql", "a file such as sql/training.sql")
    try:
        text = (ROOT / name).read_text(encoding="utf-8")
    except OSError:
        raise block.wrong("sql", name, "the name of a file that exists") from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{name} is not UTF-8 at byte {error.start}: save it as UTF-8"
        ) from None
    found = Wanted(
        sql=text,
        parameters=block.named("parameters"),
        catalog=block.text("catalog", r"[\w@-]{1,128}", "a data catalog such as AwsDataCatalog"),
        database=block.text("database", r"[a-z0-9_]{1,128}", "lower-case letters, digits or _"),
        workgroup=block.text("workgroup", r"[\w.-]{1,128}", "the name of an Athena workgroup"),
        scan_limit=round(block.number("scan_limit_gb", above=0.01) * GIGABYTE),
        lake_location=block.text("lake_location", FOLDER, "a folder such as s3://bucket/lake/"),
    )
    block.finish()
    if settings.target_column != settings.target_column.lower():
        line = f"problem.target_column is {settings.target_column!r}"
        raise SettingsError(f"config/dev.yml: {line}: write it in lower case, as Athena answers")
    return found


def source(jobs: Jobs) -> Source:
    """Return the step Extract, which runs the query and leaves its rows for Preprocess."""
    asked, cloud = wanted(jobs.settings), jobs.settings.cloud
    parameters, words = settable(asked.parameters)
    extract = jobs.processing(
        "Extract",
        "query.py",
        inputs={},
        outputs=["data", "query"],
        arguments=[
            *("--sql", f"{INPUT}/code/{FILE}"),
            *("--output-dir", OUTPUT),
            *("--catalog", asked.catalog),
            *("--database", asked.database),
            *("--workgroup", asked.workgroup),
            *("--scan-limit", str(asked.scan_limit)),
            *("--region", jobs.settings.region),
            *("--bucket", cloud.bucket),
            *("--key", cloud.kms_key),
            *words,
        ],
        fetches=True,
    )
    record = output(extract, "query")
    return Source(
        uri=output(extract, "data"),
        steps=[extract],
        parameters=parameters,
        provenance={
            "DataCatalog": f"{asked.catalog}.{asked.database}",
            "DataQuery": Join(on="/", values=[record, "query.json"]),
        },
    )


def files(settings: Settings) -> dict[str, bytes]:
    """Return what the jobs need besides jobs/ to read the data, by file name: the SQL."""
    return {FILE: wanted(settings).sql.encode()}


def stack_parameters(settings: Settings) -> Mapping[str, str]:
    """Return the parameters of infra/data.yml that config/data.yml gives."""
    asked = wanted(settings)
    return {
        "DataCatalog": asked.catalog,
        "DataDatabase": asked.database,
        "DataLakeLocation": asked.lake_location,
        "DataScanLimit": str(asked.scan_limit),
        "DataWorkgroup": asked.workgroup,
    }


def explain(settings: Settings) -> Iterator[str]:
    """Yield, a line each, the SQL for both engines and what each touches."""
    sys.path.append(str(ROOT / "jobs"))
    import query
    from features import InputError

    asked, lake = wanted(settings), stand_in(settings, None).data
    made = query.Query(
        asked.sql,
        asked.parameters,
        asked.catalog,
        asked.database,
        asked.workgroup,
        asked.scan_limit,
    )
    try:
        text, values = query.statement(made)
        tables, here = query.tables(made, lake), query.local(made, lake)
    except InputError as error:
        raise SettingsError(f"{settings.data['sql']}: {error}") from None
    yield f"Athena runs in workgroup {asked.workgroup}, within {asked.scan_limit / GIGABYTE:g} GB:"
    yield text
    for name, value in zip(asked.parameters, values, strict=True):
        yield f"  {name} = {value}"
    yield f"it reads {', '.join(tables)}, whose files lie below {asked.lake_location}"
    place = f"s3://{settings.cloud.bucket}/runs/unload/"
    yield f"it writes to {place}, encrypted with {settings.cloud.kms_key}, until the job has it"
    yield f"this machine runs, on {lake}:"
    yield here


def stand_in(settings: Settings, data: Path | None) -> StandIn:
    """Return the folder that stands for the lake on this machine: <database>/<table>.csv.

    Without `data` it is the sample, which is exported when it is first needed.
    """
    asked = wanted(settings)
    if data is not None and not any(data.glob("*/*")):
        remedy = f"give it a folder that holds {asked.database}/<table>.csv or .parquet"
        raise SettingsError(f"--data {data} holds no tables: {remedy}")
    if data is None and not (LAKE / asked.database).is_dir():
        from pipeline import sample  # only now: it loads scikit-learn

        draft = LAKE.with_suffix(".draft")  # a killed export is to leave no half of a sample
        shutil.rmtree(draft, ignore_errors=True)
        sample.write_tables(settings.problem_type, draft / asked.database)
        shutil.rmtree(LAKE, ignore_errors=True)
        draft.replace(LAKE)
    lake = data or LAKE
    return StandIn(lake, environment={"LOCAL_LAKE": str(lake.resolve())})
