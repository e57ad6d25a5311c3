"""Makes the training set from feature groups, most likely another account's.

It asks SageMaker what the groups are, writes one SQL text in Athena's dialect over their offline
stores, and has jobs/query.py run it. With labels it is a point-in-time join: each label gets what
the feature store knew at its event time. Without, it is the latest record of each identifier.
"""

# ruff: noqa: S608 (names are quoted, no value is formatted in)

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

import job
import query
from features import InputError, listing

CONFIG = "config/data.yml"
DESCRIPTIONS = "feature-groups.json"  # in the local lake: what DescribeFeatureGroup would answer
TYPES = {"Integral": "BIGINT", "Fractional": "DOUBLE", "String": "VARCHAR"}
# How an event time is written: each becomes seconds since 1970, so that time zones do not matter.
CLOCKS = {
    "iso": "to_unixtime(from_iso8601_timestamp(CAST({} AS VARCHAR)))",
    "epoch": "CAST({} AS DOUBLE)",
    "timestamp": "to_unixtime(CAST({} AS TIMESTAMP WITH TIME ZONE))",
}
CLOCK_OF = {"String": "iso", "Fractional": "epoch"}  # by the type of the event time's feature
NOW = "now"  # the instant of the run, which the audit record names
WRITERS = 8  # records are put by so many threads
EARLY = timedelta(minutes=5)  # credentials are renewed so long before they expire

Clients = Callable[[str], Any]  # the name of a service -> its client


@dataclass(frozen=True)
class Group:
    """A feature group: what SageMaker says of it, and what the configuration wants of it."""

    arn: str
    table: tuple[str, str, str]  # catalog, database, table
    key: str  # the record identifier
    time: str  # the event time
    clock: str
    types: Mapping[str, str]  # of all features, in Athena's words
    columns: Mapping[str, str]  # feature -> column of the training set
    on: str  # the column that holds the identifier, in the labels or in the first group


@dataclass(frozen=True)
class Labels:
    """The table that says for which identifier and instant which answer was right."""

    table: tuple[str, str, str]
    time: str
    clock: str


# What the groups are


def describe(arn: str, clients: Clients) -> dict[str, Any]:
    """Return what DescribeFeatureGroup answers, with all features. Raises InputError, a line."""
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

    found: dict[str, Any] = {}
    token: dict[str, str] = {}
    try:
        while True:
            answer = clients("sagemaker").describe_feature_group(FeatureGroupName=arn, **token)
            features = found.get("FeatureDefinitions", []) + answer["FeatureDefinitions"]
            found = {**answer, "FeatureDefinitions": features}
            if not answer.get("NextToken"):
                return found
            token = {"NextToken": answer["NextToken"]}
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("ResourceNotFound", "ResourceNotFoundException"):
            raise InputError(missing(arn)) from None
        if "AccessDenied" in code:
            line = f"{arn} may not be described: the owner's RAM share of the group is missing"
            remedy = "or its invitation is not accepted (docs/data-source.md has both commands)"
            raise InputError(f"{line}, {remedy}") from None
        raise InputError(f"{arn} cannot be described: {error}") from None
    except BotoCoreError as error:
        raise InputError(f"{arn} cannot be described: {error}") from None


def missing(arn: str) -> str:
    """Return the line for a group that does not exist."""
    return f"feature group {arn} does not exist: correct groups in {CONFIG}, or ask its owner"


def group(wish: Mapping[str, Any], found: Mapping[str, Any], catalog: str, region: str) -> Group:
    """Return a group, as described, with the features that are wished for, or all.

    Args:
        wish: arn, features, prefix and on, as the configuration says.
        found: the answer of DescribeFeatureGroup (shapes: botocore's model of sagemaker).
        catalog: the Athena data catalog in which the owner's tables are, if not what `found` says.
        region: the pipeline's own.

    Raises:
        InputError: the group cannot be trained from, or lacks a feature.
    """
    arn = wish["arn"]
    if (there := arn.split(":")[3]) != region:
        line = f"feature group {arn} is in {there}, the pipeline in {region}"
        raise InputError(f"{line}: name a group of {region} in {CONFIG}")
    status = found.get("FeatureGroupStatus", "Created")
    if status != "Created":
        reason = found.get("FailureReason", "no reason given")
        raise InputError(f"feature group {arn} is {status} ({reason}): ask its owner to mend it")
    store = found.get("OfflineStoreConfig", {})
    state = found.get("OfflineStoreStatus", {})
    if not store.get("DataCatalogConfig") or state.get("Status", "Active") == "Disabled":
        line = f"feature group {arn} has no offline store with a table"
        raise InputError(f"{line}: training needs one; ask its owner, or name another group")
    if state.get("Status") == "Blocked":
        reason = state.get("BlockedReason", "no reason given")
        raise InputError(f"the offline store of {arn} is blocked ({reason}): ask its owner")
    definitions = {item["FeatureName"]: item for item in found["FeatureDefinitions"]}
    key, time = found["RecordIdentifierFeatureName"], found["EventTimeFeatureName"]
    chosen = wish.get("features") or [name for name in definitions if name not in (key, time)]
    for name in chosen:
        if name not in definitions:
            known = listing([name for name in definitions if name not in (key, time)])
            line = f"feature {name!r} is not in {arn}, which has {known}"
            raise InputError(f"{line}: correct features in {CONFIG}")
        if name in (key, time):
            line = f"{name!r} is the record identifier or event time of {arn}, no feature"
            raise InputError(f"{line}: remove it from features in {CONFIG}")
        if kind := definitions[name].get("CollectionType"):
            line = f"feature {name!r} of {arn} is a {kind}, which no model takes here"
            raise InputError(f"{line}: list the features to train on in {CONFIG}")
    place = store["DataCatalogConfig"]
    return Group(
        arn=arn,
        table=(catalog or place["Catalog"], place["Database"], place["TableName"]),
        key=key,
        time=time,
        clock=CLOCK_OF[definitions[time]["FeatureType"]],
        types={name: TYPES[item["FeatureType"]] for name, item in definitions.items()},
        columns={name: wish.get("prefix", "") + name for name in chosen},
        on=wish.get("on") or key,
    )


# The SQL


def sql(
    groups: Sequence[Group], labels: Labels | None, target: str, *, as_known: bool = False
) -> str:
    """Return one SELECT in Athena's dialect; its one parameter is `:as_of`.

    Its columns are the target and the features; identifiers and event times are none. Rows of an
    offline store that were written after `:as_of` do not exist, so the same value gives the same
    training set again. Of a record's rows the latest event time counts, then the latest
    api_invocation_time, then write_time; if that row is a deletion, there is no record.

    With labels each label gives one row, whatever the groups know of it: event time <= its own.
    `as_known` also leaves out what was written only later. First a running last value over labels
    and instants finds the instant of the record that each label is to have, then it is fetched by
    equality: n log n steps, however many records an identifier has (docs/decisions/0006).

    Raises:
        InputError: two columns of one name, or a target or join column that does not exist.
    """
    _check(groups, labels, target)
    hidden, each = _hidden(groups), list(enumerate(groups))
    columns = [
        f"v{n}.c{position} AS {_name(column)}"
        for n, one in each
        for position, column in enumerate(one.columns.values())
    ]
    if labels is None:
        parts = [f"latest_{n} AS (\n{_latest(one, hidden if n == 0 else [])}\n)" for n, one in each]
        joins = [
            f"LEFT JOIN latest_{n} v{n} ON v{n}.k = {_reference(groups[0], one, hidden)}"
            for n, one in each[1:]
        ]
        source, order = ["FROM latest_0 v0", *joins], "v0.k"
    else:
        columns.insert(0, f"labels.y AS {_name(target)}")
        keys = [f"CAST({_name(one.on)} AS {one.types[one.key]}) AS k{n}" for n, one in each]
        own = [*keys, f"{_instant(labels.time, labels.clock)} AS t", f"{_name(target)} AS y"]
        parts = [f"joined AS (\n  SELECT {_lines(own)}\n  FROM {_table(labels.table)}\n)"]
        for n, one in each:
            if as_known:
                parts.append(f"known_{n} AS (\n{_known(one)}\n)")
            instants = f"SELECT k, t FROM known_{n}" if as_known else _records(one, [])
            before = "joined" if n == 0 else f"joined_{n - 1}"
            parts.append(f"joined_{n} AS (\n{_joined(len(groups), n, instants, before)}\n)")
            versions = _versions(one, f"known_{n}" if as_known else "")
            parts.append(f"versions_{n} AS (\n{versions}\n)")
        source = [
            f"FROM joined_{len(groups) - 1} labels",
            *(
                f"LEFT JOIN versions_{n} v{n} ON v{n}.k = labels.k{n} AND v{n}.t = labels.at{n}"
                for n, _ in each
            ),
        ]
        order = ", ".join([*(f"labels.k{n}" for n, _ in each), "labels.t", "labels.y"])
    ctes, tables = ",\n".join(parts), "\n".join(source)
    return f"WITH {ctes}\nSELECT {_lines(columns)}\n{tables}\nORDER BY {order}\n"


def _check(groups: Sequence[Group], labels: Labels | None, target: str) -> None:
    seen = {target.lower(): "the labels"} if labels else {}
    for one in groups:
        for column in one.columns.values():
            if column.lower() in seen:
                line = f"column {column!r} comes from {seen[column.lower()]} and from {one.arn}"
                raise InputError(f"{line}: give that group a prefix in {CONFIG}, or list features")
            seen[column.lower()] = one.arn
    if labels is None and target.lower() not in seen:
        line = f"without labels the target is a feature, and there is no {target!r}"
        raise InputError(f"{line}: correct problem.target_column in config/dev.yml")
    if labels is None:
        for one in groups[1:]:
            if one.on != groups[0].key and one.on not in groups[0].types:
                line = f"{one.arn} joins on {one.on!r}, which {groups[0].arn} has not"
                raise InputError(
                    f"{line}: set its `on` in {CONFIG} to a feature of the first group"
                )


def _hidden(groups: Sequence[Group]) -> list[str]:
    """Return the features of the first group that others join on, though no one asked for them."""
    wanted = dict.fromkeys(one.on for one in groups[1:])
    return [name for name in wanted if name != groups[0].key]


def _reference(first: Group, one: Group, hidden: Sequence[str]) -> str:
    place = "k" if one.on == first.key else f"c{len(first.columns) + hidden.index(one.on)}"
    return f"CAST(v0.{place} AS {one.types[one.key]})"


def _records(one: Group, features: Sequence[str], times: Sequence[str] = ()) -> str:
    """Return the rows of an offline store: k identifier, t event time, times and c features."""
    columns = [
        f"CAST({_name(one.key)} AS {one.types[one.key]}) AS k",
        f"{_instant(one.time, one.clock)} AS t",
        *times,
        *(f"{_name(feature)} AS c{n}" for n, feature in enumerate(features)),
    ]
    return (
        f"SELECT {_lines(columns)}\n  FROM {_table(one.table)}\n"
        f"  WHERE {_name(one.key)} IS NOT NULL AND {_name(one.time)} IS NOT NULL\n"
        "    AND to_unixtime(write_time) <= to_unixtime(from_iso8601_timestamp(:as_of))"
    )


TIMES = (
    "api_invocation_time AS a",
    "write_time AS w",
    "coalesce(is_deleted, false) AS d",
)
RANK = "t {0}, a {0} NULLS {1}, w {0} NULLS {1}, d {0}"


def _features(one: Group, hidden: Sequence[str] = ()) -> str:
    return ", ".join(f"c{n}" for n in range(len(one.columns) + len(hidden)))


def _latest(one: Group, hidden: Sequence[str]) -> str:
    """Return the latest record of each identifier that is not deleted."""
    return (
        f"  SELECT k, {_features(one, hidden)}\n  FROM (\n"
        f"    SELECT *, row_number() OVER (\n"
        f"      PARTITION BY k ORDER BY {RANK.format('DESC', 'LAST')}) AS place\n"
        f"    FROM (\n  {_records(one, [*one.columns, *hidden], TIMES)}\n    ) records\n"
        "  ) ranked\n  WHERE place = 1 AND NOT d"
    )


def _known(one: Group) -> str:
    """Return the records that were the latest ones when they were written, from then on (t)."""
    features = _features(one)
    return (
        f"  SELECT k, v AS t, place, d, {features}\n  FROM (\n"
        "    SELECT *, max(place) OVER (PARTITION BY k ORDER BY v, place\n"
        "      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before\n"
        "    FROM (\n"
        f"      SELECT k, d, {features}, greatest(t, to_unixtime(w)) AS v, row_number() OVER (\n"
        f"        PARTITION BY k ORDER BY {RANK.format('ASC', 'FIRST')}) AS place\n"
        f"      FROM (\n  {_records(one, list(one.columns), TIMES)}\n      ) records\n"
        "    ) placed\n  ) known\n  WHERE before IS NULL OR place > before"
    )


def _versions(one: Group, known: str) -> str:
    """Return one row for each identifier and instant, the one that counts, unless it is deleted."""
    rank = "t, place" if known else RANK.format("ASC", "FIRST")
    rows = known or f"(\n  {_records(one, list(one.columns), TIMES)}\n    ) records"
    return (
        f"  SELECT k, t, {_features(one)}\n  FROM (\n"
        f"    SELECT *, lead(t) OVER (PARTITION BY k ORDER BY {rank}) AS next\n"
        f"    FROM {rows}\n  ) versions\n  WHERE (next IS NULL OR next > t) AND NOT d"
    )


def _joined(count: int, n: int, instants: str, before: str) -> str:
    """Return the labels with at<n>: the latest instant of group n for their k<n> up to their t."""
    carried = [*(f"k{number}" for number in range(count)), "y", *(f"at{m}" for m in range(n))]
    empty = ", ".join(f"NULL AS {name}" for name in carried)
    # A label without an event time comes first, and so meets no record.
    return (
        f"  SELECT {', '.join([*carried, 't', f'at{n}'])}\n  FROM (\n"
        f"    SELECT q, t, {', '.join(carried)}, max(CASE WHEN q = 0 THEN t END) OVER (\n"
        "      PARTITION BY k ORDER BY t NULLS FIRST, q\n"
        f"      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS at{n}\n"
        "    FROM (\n"
        f"      SELECT 0 AS q, k, t, {empty} FROM (\n  {instants}\n      ) instants\n"
        "      UNION ALL\n"
        f"      SELECT 1, k{n}, t, {', '.join(carried)} FROM {before}\n"
        "    ) events\n  ) seen\n  WHERE q = 1"
    )


def _instant(column: str, clock: str) -> str:
    return CLOCKS[clock].format(_name(column))


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _table(parts: tuple[str, str, str]) -> str:
    return ".".join(map(_name, parts))


def _lines(columns: Sequence[str]) -> str:
    return ",\n    ".join(columns)


# The run


def clients(region: str, role: str) -> Clients:
    """Return what makes clients: of the job's own role, or of the owner's `role` that it assumes.

    The role is assumed anew before its credentials end, so that a long query outlives them.
    """
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    session = boto3.Session(region_name=region)
    config = Config(retries={"mode": "adaptive", "max_attempts": 10})
    if not role:
        return lambda service: session.client(service, config=config)
    known: dict[str, Any] = {}

    def assumed(service: str) -> Any:  # noqa: ANN401 (boto3 makes its classes as it runs)
        if not known or known["Expiration"] - EARLY < datetime.now(UTC):
            known.update(_assume(session.client("sts", config=config), role))
        keys = {
            "aws_access_key_id": known["AccessKeyId"],
            "aws_secret_access_key": known["SecretAccessKey"],
            "aws_session_token": known["SessionToken"],
        }
        return session.client(service, config=config, **keys)

    return assumed


def _assume(sts: Any, role: str) -> dict[str, Any]:  # noqa: ANN401
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = sts.assume_role(RoleArn=role, RoleSessionName="seedbed-feature-store")
    except (BotoCoreError, ClientError) as error:
        line = f"the owner's role {role} cannot be assumed ({error})"
        raise InputError(f"{line}: the owner's stack must name the execution role") from None
    return dict(answer["Credentials"])


def describer(environ: Mapping[str, str], make: Clients) -> Callable[[str], dict[str, Any]]:
    """Return what describes a group: SageMaker, or on the laptop the file beside the tables."""
    if "LOCAL_LAKE" not in environ:
        return lambda arn: describe(arn, make)
    known = job.read_json(Path(environ["LOCAL_LAKE"]) / DESCRIPTIONS)

    def look_up(arn: str) -> dict[str, Any]:
        if arn not in known:
            raise InputError(missing(arn))
        return dict(known[arn])

    return look_up


def grant(line: str) -> str:
    """Return a refusal of Athena with the grant of the owner that is missing, if it is one."""
    refusals = ("not authorized", "AccessDenied", "Access Denied", "denied", "Insufficient")
    if not any(word in line for word in refusals):
        return line
    for words, name in (
        (("kms",), "key grant"),
        (("Lake Formation", "lakeformation"), "Lake Formation grant"),
        (("glue", "Glue"), "Glue catalog policy"),
        (("s3", "S3"), "bucket policy"),
    ):
        if any(word in line for word in words):
            return f"{line}: the owner's {name} for this project is missing (docs/data-source.md)"
    return line


@dataclass(frozen=True)
class Request:
    """What pipeline/data_source.py wrote of the configuration, beside the jobs."""

    wanted: Mapping[str, Any]

    @property
    def catalog(self) -> str:
        """The catalog of the groups' tables: with the owner's role it is the owner's own."""
        return "" if self.wanted["role"] else str(self.wanted["catalog"])

    @property
    def labels(self) -> Labels | None:
        """The label table, if there is one."""
        found = self.wanted["labels"]
        if not found:
            return None
        place = (found["catalog"], found["database"], found["table"])
        return Labels(place, found["event_time"], found["clock"])

    def groups(self, describe: Callable[[str], dict[str, Any]]) -> list[Group]:
        """Return the groups as they are described now."""
        region = self.wanted["region"]
        wishes = self.wanted["groups"]
        return [group(wish, describe(wish["arn"]), self.catalog, region) for wish in wishes]

    def query(self, text: str, as_of: str) -> query.Query:
        """Return a text as a query of this project. Raises InputError for a wrong `as_of`."""
        try:
            as_of = datetime.now(UTC).isoformat() if as_of == NOW else as_of
            datetime.fromisoformat(as_of)
        except ValueError:
            remedy = f"write {NOW}, or an instant such as 2024-12-31T00:00:00Z"
            raise InputError(f"parameter AsOf is {as_of!r}: {remedy}") from None
        return query.Query(
            sql=text,
            parameters={"as_of": as_of} if ":as_of" in text else {},
            catalog=self.wanted["catalog"],
            database=self.wanted["database"],
            workgroup=self.wanted["workgroup"],
            scan_limit=self.wanted["scan_limit"],
        )


def training_set(
    request: Request, describe: Callable[[str], dict[str, Any]], as_of: str
) -> tuple[query.Query, dict[str, Any]]:
    """Return the query of the training set, and what the audit record is to say besides it."""
    groups, labels = request.groups(describe), request.labels
    text = sql(groups, labels, request.wanted["target"], as_known=request.wanted["as_known"])
    facts = [
        {
            "arn": one.arn,
            "owner": one.arn.split(":")[4],
            "table": ".".join(one.table),
            "record_identifier": one.key,
            "event_time": one.time,
            "features": list(one.columns),
        }
        for one in groups
    ]
    known: dict[str, Any] = {"feature_groups": facts, "as_known": request.wanted["as_known"]}
    return request.query(text, as_of), known | {"labels": labels and ".".join(labels.table)}


# Writing back


def records(frame: pd.DataFrame, one: Group) -> list[list[dict[str, str]]]:
    """Return the rows of `frame` as PutRecord takes them; a missing value stays out.

    Raises InputError for a column that the group has not, and without identifier or event time.
    """
    names = {name.lower(): name for name in one.types}  # Athena answers in lower case
    for column in frame.columns:
        if column.lower() not in names:
            line = f"write_back.query has the column {column!r}, which {one.arn} has not"
            raise InputError(f"{line}: select {listing(list(one.types))}")
    columns = [names[column.lower()] for column in frame.columns]
    for name in (one.key, one.time):
        if name not in columns:
            raise InputError(f"write_back.query has no column {name!r}: {one.arn} needs it")
        if frame.iloc[:, columns.index(name)].isna().any():
            raise InputError(f"write_back.query has rows without {name!r}: leave them out")
    return [
        [
            {"FeatureName": name, "ValueAsString": _text(value)}
            for name, value in zip(columns, row, strict=True)
            if not pd.isna(value)
        ]
        for row in frame.itertuples(index=False, name=None)
    ]


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def put(
    rows: Sequence[Sequence[Mapping[str, str]]],
    one: Group,
    runtime: Any,  # noqa: ANN401
) -> list[dict[str, str]]:
    """Put each record; return those that were refused, each with its identifier and the reason.

    A record that is put twice is the same record still, so a failed run can be started again.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    def send(row: Sequence[Mapping[str, str]]) -> dict[str, str]:
        try:
            runtime.put_record(FeatureGroupName=one.arn, Record=list(row))
        except (BotoCoreError, ClientError) as error:
            name = next(v["ValueAsString"] for v in row if v["FeatureName"] == one.key)
            return {"record": name, "reason": " ".join(str(error).split())}
        return {}

    with ThreadPoolExecutor(WRITERS) as pool:
        return [failure for failure in pool.map(send, rows) if failure]


def append(frame: pd.DataFrame, one: Group, lake: Path) -> None:
    """Add rows to the file that stands for the group's offline store, as the service would."""
    path = lake / one.table[1] / f"{one.table[2]}.parquet"
    now = pd.Timestamp.now("UTC").tz_localize(None)
    new = frame.assign(write_time=now, api_invocation_time=now, is_deleted=False)
    there = pd.read_parquet(path) if path.exists() else new.iloc[:0]
    both = pd.concat([there, new], ignore_index=True) if len(there) else new
    draft = path.with_suffix(".draft")
    both.to_parquet(draft, index=False)
    draft.replace(path)


def write_back(
    request: Request,
    describe: Callable[[str], dict[str, Any]],
    engine: query.Engine,
    make: Clients,
    *,
    as_of: str,
    output: Path,
    lake: Path | None,
) -> None:
    """Run the configured query and put its rows into the group; tell how many went in.

    Raises InputError if the query has no rows, or a record was refused; the others are in.
    """
    wish = request.wanted["write_back"]
    one = group(
        {"arn": wish["group"]}, describe(wish["group"]), request.catalog, request.wanted["region"]
    )
    folder = output / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    engine.run(request.query(wish["query"], as_of), folder)
    frame = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))])
    rows = records(frame, one)
    if not rows:
        raise InputError("write_back.query has no rows: correct it, or switch write_back off")
    if lake:
        append(frame, one, lake)
    failed = [] if lake else put(rows, one, make("sagemaker-featurestore-runtime"))
    report = {"group": one.arn, "rows": len(rows), "put": len(rows) - len(failed), "failed": failed}
    job.write_json(output / "report" / "write-back.json", report)
    print(f"{report['put']} of {len(rows)} records put into {one.arn}")
    if failed:
        first = f"{failed[0]['record']} ({failed[0]['reason']})"
        line = f"{len(failed)} of {len(rows)} records were not put into {one.arn}, first {first}"
        raise InputError(f"{line}: mend them and start again; records that are in stay the same")


def main(argv: Sequence[str] | None = None) -> int:
    parser = job.Parser(description=__doc__)
    parser.add_argument("--request", type=Path, required=True, help="what data_source.py wrote")
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--as-of", required=True, help="rows written later do not exist")
    parser.add_argument("--bucket", required=True, help="receives what Athena unloads, for a while")
    parser.add_argument("--key", required=True, help="encrypts it")
    parser.add_argument("--write-back", action="store_true", help="put the configured rows instead")
    job.add_message_file(parser)

    def work(args: argparse.Namespace) -> None:
        request = Request(job.read_json(args.request))
        wanted = request.wanted
        make = clients(wanted["region"], wanted["role"])
        describe = describer(os.environ, make)
        place = wanted["results"] or f"s3://{args.bucket}/runs/unload"
        bucket, _, prefix = place.removeprefix("s3://").rstrip("/").partition("/")
        key = None if wanted["results"] else args.key
        engine = query.engine(os.environ, lambda: query.Athena(make, bucket, prefix, key))
        lake = os.environ.get("LOCAL_LAKE")
        try:
            if args.write_back:
                here = Path(lake) if lake else None
                write_back(
                    request,
                    describe,
                    engine,
                    make,
                    as_of=args.as_of,
                    output=args.output_dir,
                    lake=here,
                )
                return
            asked, known = training_set(request, describe, args.as_of)
            query.extract(asked, engine, args.output_dir, known)
        except InputError as error:
            raise InputError(grant(str(error.args[0])), error.cell) from error

    return job.run(parser, work, argv)


if __name__ == "__main__":
    sys.exit(main())
