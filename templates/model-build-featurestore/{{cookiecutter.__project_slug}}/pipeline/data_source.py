{% raw %}"""The data: feature groups of a central feature store, joined at the labels' event time."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.definition import AnyStep, Join, ParameterString, Text
from pipeline.settings import ROOT, Block, Settings, SettingsError
from pipeline.source import Source, StandIn
from pipeline.steps import INPUT, OUTPUT, output

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from pipeline.steps import Jobs

FILE = "feature-store.json"  # what the job is to know, beside its code
LAKE = ROOT / "data" / "lake"
FEATURE = r"[a-zA-Z0-9]([-_]*[a-zA-Z0-9]){0,63}"  # FeatureName in botocore; groups are named so too
GROUP = rf"arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{{12}}:feature-group/{FEATURE}"
ROLE = r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+"
NAME = r"[\w@-]{1,128}"
FOLDER = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/([\w.:=+@-]+/)*"
FOLDER_HINT = "a folder in S3 that ends in /, such as s3://bucket/folder/"
INSTANT = "now, or an instant in quotes such as '2024-12-31T00:00:00Z'"
CLOCKS = ("iso", "epoch", "timestamp")
GIGABYTE = 10**9


def source(jobs: Jobs) -> Source:
    """Return the step that makes the training set; with write_back also the one that puts rows."""
    wanted = request(jobs.settings)
    as_of = ParameterString("AsOf", wanted["as_of"])
    arguments: list[Text] = [
        *("--request", f"{INPUT}/code/{FILE}"),
        *("--output-dir", OUTPUT),
        *("--as-of", as_of),
        *("--bucket", jobs.settings.cloud.bucket),
        *("--key", jobs.settings.cloud.kms_key),
    ]
    extract = jobs.processing(
        "Extract",
        "feature_store.py",
        inputs={},
        outputs=["data", "query"],
        arguments=arguments,
        fetches=True,
    )
    steps: list[AnyStep] = [extract]
    if wanted["write_back"]:
        steps.append(
            jobs.processing(
                "WriteBack",
                "feature_store.py",
                inputs={},
                outputs=["report"],
                arguments=[*arguments, "--write-back"],
                fetches=True,
            )
        )
    groups = {f"FeatureGroup{n}": one["arn"] for n, one in enumerate(wanted["groups"], start=1)}
    labels = {"Labels": _named(wanted["labels"])} if wanted["labels"] else {}
    ran = Join(on="/", values=[output(extract, "query"), "query.json"])
    return Source(
        uri=output(extract, "data"),
        steps=steps,
        parameters=[as_of],
        provenance={"AsOf": as_of, "DataQuery": ran, **groups, **labels},
    )


def request(settings: Settings) -> dict[str, Any]:
    """Return config/data.yml, checked. Raises SettingsError for the first wrong value."""
    top = Block("", settings.data, "config/data.yml")
    wanted: dict[str, Any] = {
        "groups": [_group(n, one, top) for n, one in enumerate(_list(top, "groups"))],
        "labels": _labels(top),
        "as_of": top.text("as_of", r"now|\d{4}-\d\d-\d\d[T\d:.+Z-]*", INSTANT),
        "as_known": _switch(top, "as_known"),
        "catalog": top.text("catalog", NAME, "1 to 128 letters, digits or _ @ -"),
        "workgroup": top.text("workgroup", r"[\w.-]{1,128}", "an Athena workgroup's name"),
        "scan_limit": round(top.number("scan_limit_gb", above=0) * GIGABYTE),
        "offline_store": top.text("offline_store", FOLDER, FOLDER_HINT),
        "role": top.text("role", f"({ROLE})?", "a role's ARN, or nothing"),
        "results": top.text("results", f"({FOLDER})?", FOLDER_HINT),
        "write_back": _write_back(top),
        "target": settings.target_column,
        "region": settings.region,
    }
    top.finish()
    if not wanted["groups"]:
        raise top.wrong("groups", [], "at least one feature group, by its ARN")
    places = [one["arn"].split(":")[3:5] for one in [*wanted["groups"], *_target(wanted)]]
    for region, account in places:
        if region != settings.region:
            remedy = f"groups of {settings.region}, where the pipeline runs (aws.region)"
            raise top.wrong("groups", f"a group in {region}", remedy)
        if account != places[0][1]:
            raise top.wrong("groups", f"of {places[0][1]} and {account}", "groups of one account")
    if bool(wanted["role"]) != bool(wanted["results"]):
        raise top.wrong("results", wanted["results"], "role and results, or neither")
    if wanted["as_known"] and not wanted["labels"]:
        raise top.wrong("as_known", True, "false: without labels the records are the latest ones")
    if settings.target_column != settings.target_column.lower():
        problem = Block("problem", {}, "config/dev.yml")
        remedy = "it in lower case, as Athena names all columns"
        raise problem.wrong("target_column", settings.target_column, remedy)
    # A catalog is what Athena's query context takes; the query names each table in full.
    wanted["database"] = (wanted["labels"] or {"database": "default"})["database"]
    return wanted


def _list(top: Block, key: str) -> list[Any]:
    return list(top.take(key, list, "a list, in [] or a line each"))


def _switch(block: Block, key: str) -> bool:
    block.taken.append(key)
    value = block.values.get(key, False)  # noqa: PD011 (a mapping)
    if not isinstance(value, bool):
        raise block.wrong(key, value, "true or false")
    return value


def _group(number: int, value: object, top: Block) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise top.wrong(f"groups[{number}]", value, "a block with arn, features, prefix and on")
    block = Block(f"groups[{number}]", {"features": [], "prefix": "", "on": "", **value}, top.file)
    features = _list(block, "features")
    for feature in features:
        if not re.fullmatch(FEATURE, str(feature)):
            raise block.wrong("features", feature, "names of features; [] for all")
    made = {
        "arn": block.text("arn", GROUP, "the ARN of a feature group"),
        "features": [str(feature) for feature in features],
        "prefix": block.text("prefix", r"[a-z0-9_]{0,32}", "lower-case letters, digits or _"),
        "on": block.text("on", r".{0,128}", "a column's name, or nothing for the identifier's own"),
    }
    block.finish()
    return made


def _labels(top: Block) -> dict[str, str] | None:
    value = top.take("labels", dict, "a table, or {} for the latest records")
    if not value:
        return None
    block = Block("labels", value, top.file)
    made = {
        "catalog": block.text("catalog", NAME, "AwsDataCatalog, or another catalog's name"),
        "database": block.text("database", r".{1,255}", "a database's name"),
        "table": block.text("table", r".{1,255}", "a table's name"),
        "event_time": block.text("event_time", r".{1,255}", "the event time's column"),
        "clock": block.choice("clock", CLOCKS),
    }
    block.finish()
    return made


def _write_back(top: Block) -> dict[str, str] | None:
    value = top.take("write_back", dict, "a group and a query, or {} for none")
    if not value:
        return None
    block = Block("write_back", value, top.file)
    made = {
        "group": block.text("group", GROUP, "the ARN of a feature group"),
        "query": block.text("query", r"(?s).*\S.*", "a SELECT with the group's features"),
    }
    block.finish()
    return made


def _target(wanted: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"arn": wanted["write_back"]["group"]}] if wanted["write_back"] else []


def _named(labels: Mapping[str, str]) -> str:
    return ".".join(labels[part] for part in ("catalog", "database", "table"))


def files(settings: Settings) -> dict[str, bytes]:
    """Return what the job reads beside its code: the checked configuration."""
    text = json.dumps(request(settings), indent=2, ensure_ascii=False)
    return {FILE: (text + "\n").encode()}


def stack_parameters(settings: Settings) -> Mapping[str, str]:
    """Return the parameters of infra/data.yml that config/data.yml gives."""
    wanted = request(settings)
    labels = wanted["labels"] or {"catalog": "", "database": "", "table": ""}
    own = labels["catalog"] == "AwsDataCatalog"
    return {
        "CatalogName": wanted["catalog"],
        "FeatureGroupArns": ",".join(one["arn"] for one in wanted["groups"]),
        "LabelDatabase": labels["database"] if own else "",
        "LabelTable": labels["table"] if own else "",
        "OfflineStoreLocation": wanted["offline_store"],
        "OwnerAccountId": wanted["groups"][0]["arn"].split(":")[4],
        "OwnerRoleArn": wanted["role"],
        "WorkGroupName": wanted["workgroup"],
        "WriteBackGroupArn": (wanted["write_back"] or {"group": ""})["group"],
    }


def explain(settings: Settings) -> Iterator[str]:
    """Yield, a line each, the groups, their tables, the SQL for both engines and its parameter.

    The groups are described by the sample: what SageMaker says of yours shows in the run's log.
    """
    sys.path.append(str(ROOT / "jobs"))
    import feature_store
    import query
    from features import InputError

    lake = str(stand_in(settings, None).environment["LOCAL_LAKE"])
    asking = feature_store.Request(request(settings))
    describe = feature_store.describer({"LOCAL_LAKE": lake}, lambda _: None)
    try:
        asked, known = feature_store.training_set(asking, describe, asking.wanted["as_of"])
        here = query.local(asked, Path(lake))
    except InputError as error:
        raise SettingsError(f"config/data.yml: {error}") from None
    for one in known["feature_groups"]:
        yield f"feature group {one['arn']} of account {one['owner']}"
        yield f"  table {one['table']}, by {one['record_identifier']} and {one['event_time']}"
        yield f"  features {', '.join(one['features'])}"
    yield f"labels {known['labels'] or 'none: the latest record of each identifier'}"
    limit = asking.wanted["scan_limit"] / GIGABYTE
    yield f"Athena runs, in workgroup {asked.workgroup}, within {limit:g} GB, with AsOf as as_of:"
    yield asked.sql.rstrip()
    yield f"this machine runs, on {lake}:"
    yield here.rstrip()


def stand_in(settings: Settings, data: Path | None) -> StandIn:
    """Return the folder that stands for the lake on this machine: DATA=folder, or the sample.

    It holds feature-groups.json and <database>/<table>.parquet. The sample is made when it is
    first needed, and again when the configuration names other groups.
    """
    wanted = request(settings)
    if data is not None and not (data / "feature-groups.json").is_file():
        line = f"--data {data} holds no feature-groups.json"
        raise SettingsError(f"{line}: give it a folder like the sample's, data/lake")
    if data is None:
        known = LAKE / "feature-groups.json"
        arns = [one["arn"] for one in [*wanted["groups"], *_target(wanted)]]
        if not known.exists() or set(arns) - set(json.loads(known.read_text("utf-8"))):
            draft = LAKE.with_suffix(".draft")  # a killed export is to leave no half of a sample
            shutil.rmtree(draft, ignore_errors=True)
            _sample(settings, wanted, draft)
            shutil.rmtree(LAKE, ignore_errors=True)
            draft.replace(LAKE)
    return StandIn(data or LAKE, environment={"LOCAL_LAKE": str((data or LAKE).resolve())})


# The sample: real data as a feature store would hold them, with all that makes the join hard

DAY = 86_400.0
ZONES = ((0, "Z"), (2 * 3600, "+02:00"), (-5 * 3600, "-05:00"), (0, ""))


def _sample(settings: Settings, wanted: Mapping[str, Any], lake: Path) -> None:
    """Write scikit-learn's data set as feature groups and a label table, the same each time."""
    import numpy as np
    import pandas as pd

    from pipeline.sample import LOADERS

    bunch = LOADERS[settings.problem_type](as_frame=True)
    frame = bunch.data.rename(columns=lambda name: re.sub(r"[^a-zA-Z0-9]+", "_", name).strip("_"))
    frame = frame.rename(columns={settings.target_column: f"{settings.target_column}_feature"})
    names = getattr(bunch, "target_names", None)  # the labels in words; a regression has none
    target = bunch.target if names is None else pd.Series(names[bunch.target])
    moments = 1_700_000_000.0 + 3600.0 * np.arange(len(frame))
    columns = {"event_time": _iso(moments), settings.target_column: target}
    if not wanted["labels"]:
        frame[settings.target_column] = target
    parts = np.array_split(np.array(frame.columns), len(wanted["groups"]))
    descriptions = {}
    for number, (one, part) in enumerate(zip(wanted["groups"], parts, strict=True)):
        own = number and wanted["labels"]  # a group may have an identifier of its own
        key = f"subject_{number}" if own else "record_id"
        values = pd.Series(1000 * number + np.arange(len(frame)))
        identifiers = values if own else values.map("R{:05d}".format)
        columns[one["on"] or key] = identifiers
        found = _description(one["arn"], key, number, frame[list(part)])
        rows = _history(frame[list(part)], moments, number, labelled=bool(wanted["labels"]))
        rows.insert(0, key, identifiers.iloc[rows.pop("row")].to_numpy())
        rows["event_time"] = _iso(rows["event_time"]) if number % 2 == 0 else rows["event_time"]
        _write(lake, found, rows)
        descriptions[one["arn"]] = found
    for one in _target(wanted):
        empty = frame.iloc[:0, :2]
        descriptions[one["arn"]] = _description(one["arn"], "record_id", 0, empty)
    if labels := wanted["labels"]:
        path = lake / labels["database"] / f"{labels['table']}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(columns).rename(columns={"event_time": labels["event_time"]}).to_parquet(
            path, index=False
        )
    text = json.dumps(descriptions, indent=2)
    (lake / "feature-groups.json").write_text(text + "\n", encoding="utf-8")


def _history(
    frame: pd.DataFrame,
    moments: npt.NDArray[Any],
    seed: int,
    *,
    labelled: bool,
) -> pd.DataFrame:
    """Return versions of each row as the offline store keeps them; `row` is its position.

    At the label's time the true values are known. Others, another row's, came before, come later,
    arrive late, or lose a tie; some records are deleted and made again, a few are gone.
    """
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    here = np.arange(len(frame))
    other = rng.permutation(len(frame))
    late = 40 * DAY

    def version(
        share: float,
        offset: float,
        values: npt.NDArray[Any],
        *,
        wait: float = 30.0,
        gone: bool = False,
    ) -> pd.DataFrame:
        chosen = here[rng.random(len(here)) < share]
        rows = frame.iloc[values[chosen]].reset_index(drop=True)
        if gone:  # a deletion marker has no features
            rows = rows.iloc[:0].reindex(range(len(chosen)))
        asked = moments[chosen] + offset + wait
        made: pd.DataFrame = rows.assign(
            row=chosen,
            event_time=moments[chosen] + offset,
            write_time=asked + 300,
            api_invocation_time=asked,
            is_deleted=gone,
        )
        return made

    versions = [
        version(1, -30 * DAY, other),
        version(0.1, -20 * DAY, other, gone=True),  # made again before the label
        version(1, 0.0, here),  # known just in time
        version(0.05, 0.0, other, wait=1.0),  # loses the tie: it was put earlier
        version(0.1, -10 * DAY, other, wait=late),  # arrives late
    ]
    if labelled:
        versions += [
            version(1, 5 * DAY, other),
            version(0.05, 2 * DAY, other, gone=True),
            version(0.01, -1.0, other, gone=True, wait=late),
        ]
    whole = [name for name in frame if pd.api.types.is_integer_dtype(frame[name])]
    rows = pd.concat([part for part in versions if len(part)], ignore_index=True)
    rows = pd.concat([rows, rows.sample(frac=0.05, random_state=seed)])  # retried ingests
    for column in ("write_time", "api_invocation_time"):
        rows[column] = pd.to_datetime(rows[column], unit="s").astype("datetime64[ms]")
    return rows.astype(dict.fromkeys(whole, "Int64")).sample(frac=1, random_state=seed)


def _iso(moments: Iterable[float]) -> list[str]:
    """Return instants as text, in one time zone after the other, or in none, which is UTC."""
    from datetime import UTC, datetime

    found = []
    for number, moment in enumerate(moments):
        offset, suffix = ZONES[number % len(ZONES)]
        local = datetime.fromtimestamp(float(moment) + offset, UTC)
        found.append(f"{local:%Y-%m-%dT%H:%M:%S}{suffix}")
    return found


def _description(arn: str, key: str, number: int, frame: pd.DataFrame) -> dict[str, Any]:
    """Return what DescribeFeatureGroup would answer for a group."""
    _, _, _, region, account, path = arn.split(":")
    name = path.partition("/")[2]
    kinds = {"i": "Integral", "f": "Fractional", "O": "String"}
    clock = "String" if number % 2 == 0 else "Fractional"
    types = {key: "Integral" if key.startswith("subject") else "String", "event_time": clock}
    types |= {str(column): kinds[frame[column].dtype.kind] for column in frame}
    folder = f"s3://amzn-s3-demo-bucket/offline-store/{account}/sagemaker/{region}/offline-store"
    return {
        "FeatureGroupArn": arn,
        "FeatureGroupName": name,
        "RecordIdentifierFeatureName": key,
        "EventTimeFeatureName": "event_time",
        "FeatureDefinitions": [
            {"FeatureName": feature, "FeatureType": kind} for feature, kind in types.items()
        ],
        "CreationTime": "2023-11-14T22:13:20+00:00",
        "OnlineStoreConfig": {"EnableOnlineStore": True},
        "OfflineStoreConfig": {
            "S3StorageConfig": {
                "S3Uri": "s3://amzn-s3-demo-bucket/offline-store",
                "ResolvedOutputS3Uri": f"{folder}/{name}-1700000000/data",
            },
            "DisableGlueTableCreation": False,
            "DataCatalogConfig": {
                "TableName": f"{name.replace('-', '_').lower()}_1700000000",
                "Catalog": "AwsDataCatalog",
                "Database": "sagemaker_featurestore",
            },
            "TableFormat": "Iceberg" if number % 2 else "Glue",
        },
        "RoleArn": f"arn:aws:iam::{account}:role/feature-store",
        "FeatureGroupStatus": "Created",
        "OfflineStoreStatus": {"Status": "Active"},
        "NextToken": "",
    }


def _write(lake: Path, found: Mapping[str, Any], rows: pd.DataFrame) -> None:
    place = found["OfflineStoreConfig"]["DataCatalogConfig"]
    path = lake / place["Database"] / f"{place['TableName']}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(path, index=False)
{% endraw %}