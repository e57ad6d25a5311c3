"""Runs one SELECT in Athena's dialect, and leaves its rows as Parquet files and a record of it.

On SageMaker Athena runs it. On a laptop, where LOCAL_LAKE names a folder of tables, DuckDB runs the
same text: what DuckDB would answer otherwise is rewritten or refused, never answered silently.
"""

import argparse
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import job
from features import InputError, listing

LAKE = "LOCAL_LAKE"  # on the laptop: a folder that holds <database>/<table>.csv or .parquet
MEMORY = "1GB"  # what DuckDB may take; beyond it, it uses the disk
BATCH = 100_000  # rows
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0  # seconds between two looks at a running query
DELETED_AT_ONCE = 1000  # DeleteObjects takes no more keys
Value = str | int | float
Lake = dict[str, dict[str, dict[str, str]]]  # database -> table -> column -> DuckDB's type
Clients = Callable[[str], Any]  # the name of a service -> a client, made anew at each call


@dataclass(frozen=True)
class Query:
    """One SELECT: `:name` in `sql` marks a parameter, which is bound and never formatted in."""

    sql: str
    parameters: Mapping[str, Value]
    catalog: str
    database: str
    workgroup: str
    scan_limit: int  # bytes


@dataclass(frozen=True)
class Extracted:
    """What a query left: `scanned` bytes were read; `sql` is the text as it ran."""

    rows: int
    scanned: int
    columns: Mapping[str, str]  # name -> type, as the Parquet files have it
    id: str
    sql: str


class Engine(Protocol):
    """What runs a query: Athena, or DuckDB on the laptop."""

    name: str

    def run(self, query: Query, folder: Path) -> Extracted:
        """Run the query and write its rows to `folder`/part-*.parquet.

        Raises InputError, in one line, for whatever the query's owner must mend.
        """


def engine(environ: Mapping[str, str], make: Callable[[], "Athena"]) -> Engine:
    """Return DuckDB where the environment names a local lake, otherwise what `make` makes."""
    return Duck(Path(environ[LAKE])) if LAKE in environ else make()


def extract(
    query: Query, engine: Engine, output: Path, more: Mapping[str, object] | None = None
) -> None:
    """Run the query; write `output`/data/part-*.parquet and `output`/query/query.json, the record.

    `more` is added to the record. Raises InputError also for no rows, and for a column that no
    model takes: then neither folder has a file.
    """
    folder = output / "data"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        found = engine.run(query, folder)
        check_rows(found)
    except BaseException:
        shutil.rmtree(folder)
        raise
    record = {
        "engine": engine.name,
        "sql": found.sql,
        "parameters": dict(query.parameters),
        "catalog": query.catalog,
        "database": query.database,
        "workgroup": query.workgroup,
        "query_execution_id": found.id,
        "bytes_scanned": found.scanned,
        "scan_limit": query.scan_limit,
        "rows": found.rows,
        "columns": dict(found.columns),
        **(more or {}),
    }
    job.write_json(output / "query" / "query.json", record)
    print(f"{engine.name}: {found.rows} rows, {found.scanned} bytes scanned, id {found.id}")


def check_rows(found: Extracted) -> None:
    """Refuse an empty result, a column that no model takes, and two columns of one name."""
    if not found.rows:
        raise InputError("the query returns no rows: look at its conditions and parameters")
    for name, kind in found.columns.items():
        if not re.match(
            r"u?int|float|double|halffloat|decimal|bool|(large_)?string|date|timestamp", kind
        ):
            line = f"column {name!r} of the query is {kind}, which no model takes"
            raise InputError(f"{line}: select its parts, or CAST it")
        if kind.startswith("timestamp") and "tz=" in kind:
            line = f"column {name!r} of the query has a time zone, which UNLOAD does not write"
            raise InputError(f"{line}: select to_unixtime({name})")


# The text


TOKEN = re.compile(
    r"""
    (?P<text>'(?:[^']|'')*')            # a string
    | (?P<name>"(?:[^"]|"")*")          # a quoted identifier
    | (?P<comment>--[^\n]*|/\*.*?\*/)
    | (?P<cast>::)
    | :(?P<parameter>[A-Za-z_]\w*)
    | (?P<mark>[;?'"]|/\*)              # what must not stand alone
    """,
    re.VERBOSE | re.DOTALL,
)
WORDS = {";": "a semicolon", "?": "a question mark", "'": "an open quote", '"': "an open quote"}


def statement(query: Query) -> tuple[str, list[str]]:
    """Return the SELECT with `?` for each parameter, and Athena's ExecutionParameters for them.

    Source: "Use parameterized queries" in the Athena guide: parameters are positional, and one is
    a string if it stands in single quotes. Raises InputError for a text that is not one SELECT,
    and for a parameter without a value or a value without its parameter.
    """
    values: list[str] = []
    used: set[str] = set()

    def swap(match: re.Match[str]) -> str:
        if comment := match["comment"]:
            return "\n" if comment.startswith("--") else " "
        if mark := match["mark"]:
            raise InputError(f"the query has {WORDS.get(mark, 'an open comment')}: remove it")
        if not (name := match["parameter"]):
            return match[0]
        if name not in query.parameters:
            known = listing(list(query.parameters)) or "none"
            raise InputError(f"the query has :{name}, which has no value: give one (has: {known})")
        used.add(name)
        values.append(literal(query.parameters[name]))
        return "?"

    text = TOKEN.sub(swap, query.sql).strip()
    if not re.match(r"(?is)\(*\s*(select|with)\b", text):
        raise InputError(f"the query begins with {text[:20]!r}: write one SELECT")
    if unused := sorted(query.parameters.keys() - used):
        raise InputError(f"parameter {unused[0]!r} is not in the query: write :{unused[0]} there")
    return text, values


def literal(value: Value) -> str:
    """Return a value as Athena's literal: a string in single quotes, doubled where it has some."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


# Athena


class Athena:
    """Runs queries in Athena: UNLOAD to a place of its own, copied to the job and removed there."""

    name = "athena"

    def __init__(
        self,
        clients: Clients,
        bucket: str,
        prefix: str,
        key: str | None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.clients, self.bucket, self.key, self.sleep = clients, bucket, key, sleep
        self.prefix = prefix.strip("/")

    def run(self, query: Query, folder: Path) -> Extracted:
        text, values = statement(query)
        place = f"{self.prefix}/{uuid.uuid4()}/".lstrip("/")
        sql = f"UNLOAD ({text}) TO 's3://{self.bucket}/{place}data/'"
        sql += " WITH (format = 'PARQUET', compression = 'SNAPPY')"
        encryption = {"EncryptionOption": "SSE_KMS", "KmsKey": self.key} if self.key else None
        request = {
            "QueryString": sql,
            "QueryExecutionContext": {"Catalog": query.catalog, "Database": query.database},
            "WorkGroup": query.workgroup,
            "ResultConfiguration": {
                "OutputLocation": f"s3://{self.bucket}/{place}",
                **({"EncryptionConfiguration": encryption} if encryption else {}),
            },
            **({"ExecutionParameters": values} if values else {}),
        }
        with told():
            started = self.clients("athena").start_query_execution(**request)
        run = str(started["QueryExecutionId"])
        print(f"athena: started {run} in workgroup {query.workgroup}", flush=True)
        try:
            with self._stopped_with_the_job(run):
                scanned = self._wait(run, query)
            self._download(f"{place}data/", folder)
        finally:
            self._remove(place)
        rows, columns = parquet(folder)
        return Extracted(rows, scanned, columns, run, sql)

    def _wait(self, run: str, query: Query) -> int:
        """Return the bytes that were scanned, once the query has succeeded."""
        pause = FIRST_PAUSE
        while True:
            with told():
                answer = self.clients("athena").get_query_execution(QueryExecutionId=run)
            execution = answer["QueryExecution"]
            scanned = int(execution.get("Statistics", {}).get("DataScannedInBytes", 0))
            state = execution["Status"]["State"]
            if state == "SUCCEEDED":
                return scanned
            if state not in ("QUEUED", "RUNNING"):
                raise InputError(
                    failure(execution["Status"].get("StateChangeReason", state), query)
                )
            if scanned > query.scan_limit:
                self._stop(run)
                line = f"the query scanned {scanned} bytes, more than its limit {query.scan_limit}"
                raise InputError(f"{line}: select less, by partitions, or raise scan_limit_gb")
            self.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _stop(self, run: str) -> None:
        with told():
            self.clients("athena").stop_query_execution(QueryExecutionId=run)

    @contextmanager
    def _stopped_with_the_job(self, run: str) -> Iterator[None]:
        """A job that SageMaker stops gets SIGTERM: its query is not to go on and cost."""

        def stop(*_: object) -> NoReturn:
            self._stop(run)
            raise InputError("the job was stopped, and its query with it: start it again")

        before = signal.signal(signal.SIGTERM, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _keys(self, prefix: str) -> list[str]:
        pages = self.clients("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in found for item in page.get("Contents", [])]

    def _download(self, prefix: str, folder: Path) -> None:
        with told():
            for number, key in enumerate(self._keys(prefix)):
                path = folder / f"part-{number:05}.parquet"
                self.clients("s3").download_file(self.bucket, key, str(path))

    def _remove(self, prefix: str) -> None:
        """Remove what the query left in S3; what cannot be, the bucket's lifecycle rule removes."""
        try:
            with told():
                keys = [{"Key": key} for key in self._keys(prefix)]
                for start in range(0, len(keys), DELETED_AT_ONCE):
                    some = {"Objects": keys[start : start + DELETED_AT_ONCE], "Quiet": True}
                    self.clients("s3").delete_objects(Bucket=self.bucket, Delete=some)
        except InputError as error:
            print(f"athena: s3://{self.bucket}/{prefix} is left to its lifecycle rule: {error}")


@contextmanager
def told() -> Iterator[None]:
    """Turn what AWS or the way to it refuses into one line."""
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

    try:
        yield
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if "Expired" in code:
            line = "the credentials expired during the run: start it again"
        elif "AccessDenied" in code or code in ("403", "Forbidden"):
            line = (
                f"{error.operation_name} is denied ({message}): infra/data.yml and the data's owner"
            )
            line += " must both allow it (docs/data-source.md)"
        else:
            line = f"{error.operation_name}: {message}"
        raise InputError(" ".join(line.split())) from error
    except BotoCoreError as error:
        raise InputError(" ".join(str(error).split())) from error


ACCESS = "infra/data.yml and the data's owner must both allow it (docs/data-source.md)"
FAILURES = {  # what Athena's reasons say -> what to do
    r"TABLE_NOT_FOUND|Table .* does not exist": "correct the table, or ask its owner for access",
    r"SCHEMA_NOT_FOUND|Schema .* does not exist": "correct the database in config/data.yml",
    r"CATALOG_NOT_FOUND|Catalog .* does not exist": "correct the catalog in config/data.yml",
    r"COLUMN_NOT_FOUND|Column .* cannot be resolved": "correct the column in the query",
    r"[Bb]ytes scanned limit": "select less, by partitions, or raise the workgroup's limit",
    r"Lake ?Formation": "ask the data's owner for SELECT on the table",
    r"Access ?Denied|not authorized|PERMISSION_DENIED": ACCESS,
}


def failure(reason: str, query: Query) -> str:
    """Return Athena's reason in one line with what to do."""
    remedy = next((r for pattern, r in FAILURES.items() if re.search(pattern, reason)), "")
    line = " ".join(reason.split())
    return (
        f"the query in {query.catalog}.{query.database} failed ({line}): {remedy or 'correct it'}"
    )


def parquet(folder: Path) -> tuple[int, dict[str, str]]:
    """Return the number of rows and the columns' types of the Parquet files in a folder."""
    try:
        from pyarrow import parquet as files  # type: ignore[import-untyped]
    except ImportError as error:
        line = "pyarrow is not installed, so no Parquet can be read"
        raise InputError(f"{line}: take an image that has it (config/container.json)") from error
    rows, columns = 0, dict[str, str]()
    for path in sorted(folder.glob("*.parquet")):
        rows += files.read_metadata(path).num_rows
        columns = {column.name: str(column.type) for column in files.read_schema(path)}
    return rows, columns


# The laptop


class Duck:
    """Runs queries with DuckDB over the files of a local lake, within bounded memory."""

    name = "duckdb"

    def __init__(self, lake: Path) -> None:
        self.lake = lake

    def run(self, query: Query, folder: Path) -> Extracted:
        from pyarrow import parquet as files

        with self.connection(folder) as connection:
            known = self.views(connection)
            text, tables = translated(query, known)
            scanned = sum(self._file(*table).stat().st_size for table in tables)
            if scanned > query.scan_limit:
                line = f"the query scans {scanned} bytes, more than its limit {query.scan_limit}"
                raise InputError(f"{line}: select less, or raise scan_limit_gb")
            rows, schema = 0, None
            with self._refused():
                reader = connection.sql(text, params=dict(query.parameters)).to_arrow_reader(BATCH)
                schema = reader.schema
                with files.ParquetWriter(folder / "part-00000.parquet", schema) as writer:
                    for batch in reader:
                        writer.write_batch(batch)
                        rows += batch.num_rows
        columns = {column.name: str(column.type) for column in schema}
        return Extracted(rows, scanned, columns, "local", text)

    @contextmanager
    def connection(self, folder: Path) -> Iterator[Any]:
        import duckdb

        with tempfile.TemporaryDirectory(dir=folder.parent) as disk, duckdb.connect() as connection:
            for setting, value in (
                ("memory_limit", MEMORY),
                ("temp_directory", disk),
                ("TimeZone", "UTC"),
                ("default_null_order", "NULLS_LAST"),
                ("preserve_insertion_order", False),
                ("allowed_directories", [str(self.lake.resolve()), disk]),
            ):
                connection.execute(f"SET {setting} = {value!r}")
            yield connection

    def views(self, connection: Any) -> Lake:  # noqa: ANN401 (a connection of DuckDB)
        """Make each file a view, then lock the way to any other; return the columns' types."""
        known: Lake = {}
        for path in sorted([*self.lake.glob("*/*.csv"), *self.lake.glob("*/*.parquet")]):
            database, table = path.parent.name.lower(), path.stem.lower()
            read = "read_csv" if path.suffix == ".csv" else "read_parquet"
            name = f"{quoted(database)}.{quoted(table)}"
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(database)}")
            source = f"{read}({literal(str(path.resolve()))})"
            found = f"SELECT * FROM {source}"  # noqa: S608 (quoted above)
            columns = connection.execute(f"DESCRIBE {found}").fetchall()
            chosen = ", ".join(f"{quoted(c[0])} AS {quoted(c[0].lower())}" for c in columns)
            made = f"SELECT {chosen} FROM {source}"  # noqa: S608 (quoted above)
            connection.execute(f"CREATE VIEW {name} AS {made}")
            types = {column[0].lower(): column[1] for column in columns}
            known.setdefault(database, {})[table] = types
        if not known:
            line = f"{self.lake} holds no <database>/<table>.csv or .parquet"
            raise InputError(f"{line}: give DATA= a folder of tables, or none for the sample")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        return known

    def _file(self, database: str, table: str) -> Path:
        found = (*self.lake.glob("*/*.csv"), *self.lake.glob("*/*.parquet"))
        wanted = (database, table)
        return next(p for p in found if (p.parent.name.lower(), p.stem.lower()) == wanted)

    @contextmanager
    def _refused(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            line = str(error).splitlines()[0].partition("Error: ")[2] or str(error).splitlines()[0]
            raise InputError(f"the query failed on this machine ({line}): correct it") from error


def quoted(name: str) -> str:
    """Return a name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def schema(lake: Path) -> Lake:
    """Return the types of a local lake's columns: database -> table -> column -> DuckDB's type."""
    duck = Duck(lake)
    with tempfile.TemporaryDirectory() as scratch, duck.connection(Path(scratch) / "x") as found:
        return duck.views(found)


def local(query: Query, lake: Path) -> str:
    """Return the text that DuckDB runs over `lake`. Raises InputError as the run would."""
    return translated(query, schema(lake))[0]


def tables(query: Query, lake: Path) -> list[str]:
    """Return what the query reads, as catalog.database.table."""
    return [f"{query.catalog}.{d}.{t}" for d, t in translated(query, schema(lake))[1]]


# From Athena's dialect to DuckDB's: what is not known to mean the same is refused by name


Node = Any  # a node of sqlglot's tree; sqlglot is on the laptop only
KINDS = {
    "int": ("TINYINT", "SMALLINT", "INT", "BIGINT"),
    "float": ("FLOAT", "DOUBLE"),
    "decimal": ("DECIMAL",),
    "text": ("VARCHAR", "TEXT", "CHAR"),
    "bool": ("BOOLEAN",),
    "date": ("DATE",),
    "timestamp": ("TIMESTAMP", "TIMESTAMPNTZ", "DATETIME"),
    "instant": ("TIMESTAMPTZ", "TIMESTAMPLTZ"),
    "interval": ("INTERVAL",),
    "array": ("ARRAY", "LIST"),
    "map": ("MAP",),
    "null": ("NULL",),
}
KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}
NUMBERS = ("int", "float", "decimal")
TIMES = ("date", "timestamp")
FAMILY = dict.fromkeys(NUMBERS, "number") | dict.fromkeys((*TIMES, "instant"), "time")
# Structure, and functions that give the same answer in both for the kinds that Athena takes.
# fmt: off
SAME = frozenset({
    "Select", "From", "Join", "Where", "Group", "Having", "Order", "Ordered", "Limit",
    "Offset", "Subquery", "TableAlias", "Alias", "Column", "Identifier", "Star", "With",
    "CTE", "Union", "Intersect", "Except", "Distinct", "Tuple", "Values", "Literal", "Null",
    "Boolean", "Paren", "Window", "WindowSpec", "IgnoreNulls", "Filter", "Case", "If",
    "Coalesce", "Nullif", "Interval", "Var", "DataType", "DataTypeParam", "Array", "Lambda",
    "And", "Or", "Not", "Is", "Like", "Escape", "Neg", "Exists", "Rollup", "Cube",
    "GroupingSets", "JSONPath", "JSONPathKey", "JSONPathRoot", "JSONPathSubscript", "Count",
    "Min", "Max", "CountIf", "LogicalAnd", "LogicalOr", "Stddev", "StddevSamp", "StddevPop",
    "Variance", "VariancePop", "Corr", "CovarSamp", "CovarPop", "ArrayAgg", "RowNumber",
    "Rank", "DenseRank", "Ntile", "PercentRank", "CumeDist", "Lag", "Lead", "FirstValue",
    "LastValue", "NthValue", "Abs", "Sign", "Ceil", "Floor", "Round", "Trunc", "Sqrt", "Exp",
    "Ln", "Log", "Pow", "Replace", "Pad", "ConcatWs", "ArrayContains", "Transform",
    "ArrayFilter", "Map", "MapKeys", "CurrentDate", "CurrentTimestamp", "Greatest", "Least",
})
# fmt: on
CLOCK_FIELDS = ("Hour", "Minute", "Second")
UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")
WHOLE_DAYS = ("day", "week", "month", "quarter", "year")
FORMATS = ("%Y", "%m", "%d", "%H", "%M", "%S")  # as strftime has them
BLANKS = " \t\n\x0b\x0c\r"
INTEGER = r"[+-]?[0-9]+"
NUMBER = r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*"
DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
TIMESTAMP = DATE + r"( [0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?"
INSTANT = DATE + r"T[0-9]{2}(:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
ZONED = TIMESTAMP + r"( UTC|Z|[+-][0-9]{2}:[0-9]{2})"
WAYS = {  # what else to write, by the name that Athena has for it
    "APPROX_DISTINCT": "count(DISTINCT x)",
    "APPROX_PERCENTILE": "a rank by row_number()",
    "TRY": "try_cast, or nullif before a division",
    "REDUCE": "an aggregate over UNNEST",
    "AT_TIMEZONE": "to_unixtime of the instant",
    "ARBITRARY": "max",
    "RAND": "a hash of a column",
}


def translated(query: Query, known: Lake) -> tuple[str, list[tuple[str, str]]]:
    """Return DuckDB's text for a query, with $name for each parameter, and its tables.

    Args:
        query: in Athena's dialect.
        known: the columns of the lake's tables.

    Raises:
        InputError: a table or column is missing, Athena would refuse the text, or it has something
            that this machine cannot answer as Athena would: "not supported locally: X".
    """
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.annotate_types import annotate_types
    from sqlglot.optimizer.qualify import qualify

    statement(query)
    tree = _read(query.sql)
    used = _tables(tree, query.database, known)
    _bind(tree, query.parameters)
    types: dict[str, object] = {
        database: {
            table: {column: _athena_type(kind) for column, kind in columns.items()}
            for table, columns in tables.items()
        }
        for database, tables in known.items()
    }
    try:
        tree = qualify(tree, schema=types, dialect="athena", db=query.database.lower())
        tree = annotate_types(tree, schema=types, dialect="athena")
    except SqlglotError as error:
        line = re.sub(r"\x1b\[\d*m|\"", "", str(error).splitlines()[0]).rstrip(".")
        columns = "; ".join(f"{t} has {listing(list(known[d][t]), 20)}" for d, t in used)
        raise InputError(f"{line}: correct the query ({columns})") from None
    names = [column.alias_or_name for column in tree.selects]
    if double := next((name for name in names if names.count(name) > 1), ""):
        raise InputError(f"the query has two columns named {double!r}: rename one with AS")
    _rewrite(tree)
    for mark in list(tree.find_all(exp.Literal)):
        if name := mark.meta.get("parameter"):
            mark.replace(exp.Placeholder(this=name))
    return tree.sql("duckdb", pretty=True), used


def _read(text: str) -> Node:
    """Return the tree of one SELECT, each column of it named."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        trees = sqlglot.parse(text, read="athena")
    except SqlglotError as error:
        line = re.sub(r"\x1b\[\d*m", "", str(error).splitlines()[0])
        raise InputError(f"the query cannot be read ({line}): correct it") from None
    tree = trees[0]
    if len(trees) != 1 or not isinstance(tree, exp.Query):
        raise InputError("the query must be one SELECT: write just that")
    for column in tree.selects:
        if not isinstance(column, exp.Alias | exp.Column | exp.Star):
            line = f"a column of the query has no name: {column.sql('athena')[:80]}"
            raise InputError(f"{line}: add AS and a name")
    return tree


def _bind(tree: Node, parameters: Mapping[str, Value]) -> None:
    """Put each parameter in as a value that is marked, and give numbers with a point their type."""
    from sqlglot import exp

    for mark in list(tree.find_all(exp.Placeholder, exp.Parameter)):
        if not mark.find_ancestor(exp.Where):
            line = f"parameter {mark.name!r} stands outside of WHERE"
            raise InputError(f"{line}, where Athena takes none: move it there")
        value = parameters[mark.name]
        made = exp.Literal.string(value) if isinstance(value, str) else exp.Literal.number(value)
        made.meta["parameter"] = mark.name
        mark.replace(made)
    for number in list(tree.find_all(exp.Literal)):
        whole, point, part = number.name.partition(".")
        plain = number.is_string or "parameter" in number.meta or "e" in number.name.lower()
        if point and not plain:
            size = max(len(whole) + len(part), 1)
            number.replace(exp.cast(number.copy(), f"DECIMAL({size}, {len(part)})"))


def _rewrite(tree: Node) -> None:
    """Turn what differs into what DuckDB answers alike; refuse what is not known."""
    rewrite = Rewrite()
    for node in tree.walk():
        node.meta["text"] = node.sql("athena")  # for messages: what is inside is rewritten first
        if type(node).__name__ not in SAME and not Rewrite.knows(node):
            raise unsupported(node)
    for node in reversed(list(tree.walk(bfs=True))):
        made = rewrite(node)
        if made is not node:
            made.type = made.type or node.type
            node.replace(made)


def _tables(tree: Node, database: str, known: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the lake's tables that a query reads, and leave out their catalogs' names."""
    from sqlglot import exp

    made = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    used: list[tuple[str, str]] = []
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            raise unsupported(table.this)
        if not table.db and table.name.lower() in made:
            continue
        table.set("catalog", None)
        place = (table.db or database).lower(), table.name.lower()
        if place[1] not in known.get(place[0], {}):
            there = listing([f"{d}.{t}" for d, tables in known.items() for t in tables], 20)
            line = f"table {'.'.join(place)} does not exist on this machine, which has {there}"
            raise InputError(f"{line}: correct the query, or add the file")
        if place not in used:
            used.append(place)
    return used


def _athena_type(kind: str) -> str:
    """Return DuckDB's type of a column in words that sqlglot's Athena reads."""
    plain = kind.upper()
    if plain in ("HUGEINT", "UBIGINT", "UINTEGER", "USMALLINT", "UTINYINT"):
        return "BIGINT"
    if plain.endswith("[]"):
        return f"ARRAY({_athena_type(kind[:-2])})"
    if plain == "INTEGER" or plain.split("(")[0] in KIND_OF or plain.startswith("TIMESTAMP"):
        return "TIMESTAMP WITH TIME ZONE" if "ZONE" in plain else kind
    return "UNKNOWN"


def unsupported(node: Node, why: str = "") -> InputError:
    """Return the refusal of something, with what else to write."""
    text = node.meta.get("text") or node.sql("athena")
    text = " ".join(text.replace('"', "").split())
    name = text.partition("(")[0].upper()
    hint = why or (f"write {WAYS[name]}" if name in WAYS else "write it in other words")
    return InputError(f"not supported locally: {text[:80]}: {hint}, or run it in AWS")


def kind(node: Node) -> str:
    """Return what sort of value an expression has; "" where it is not known."""
    if type(node).__name__ == "Null":
        return "null"
    found = node.type.this.name if node.type else ""
    return KIND_OF.get(found, "")


class Rewrite:
    """Turns one node at a time, the inner ones first; refuses what it does not know."""

    def __call__(self, node: Node) -> Node:
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        made: Node = method(node) if method else node
        return made

    @classmethod
    def knows(cls, node: Node) -> bool:
        """Say whether a node that is not the same in both can be rewritten."""
        return hasattr(cls, f"_{type(node).__name__.lower()}")

    def _parsed(self, text: str, **parts: Node) -> Node:
        """Return DuckDB's `text` as a tree, with a part for each name in it."""
        import sqlglot
        from sqlglot import exp

        tree = sqlglot.parse_one(text, read="duckdb")
        for column in list(tree.find_all(exp.Column)):
            if column.name in parts:
                made = parts[column.name].copy()
                if column is tree:
                    return made
                column.replace(made)
        return tree

    def _typed(self, node: Node, name: str) -> Node:
        from sqlglot import exp

        node.type = exp.DataType.build(name)
        return node

    def _kinds(self, node: Node, operand: Node, *allowed: str) -> Node:
        if kind(operand) not in (*allowed, "null"):
            found = kind(operand) or "a value of unknown type"
            raise unsupported(
                node, f"Athena takes {' or '.join(allowed)} here, not {found}: CAST it"
            )
        return node

    # Structure

    def _select(self, node: Node) -> Node:
        known = {"with", "expressions", "distinct", "from", "joins", "where", "group", "having"}
        known |= {"windows", "order", "limit", "offset", "kind"}
        for key, value in node.args.items():
            if value and key.rstrip("_") not in known:
                raise unsupported(node, f"Athena has no {key.upper()} here")
        return node

    def _table(self, node: Node) -> Node:
        if any(node.args.get(key) for key in ("sample", "pivots", "version", "when", "hints")):
            raise unsupported(node)
        return node

    def _join(self, node: Node) -> Node:
        if node.args.get("method") or (node.args.get("kind") or "").upper() in ("SEMI", "ANTI"):
            raise unsupported(node, "Athena has no such join")
        return node

    def _distinct(self, node: Node) -> Node:
        if node.args.get("on"):
            raise unsupported(node, "Athena has no DISTINCT ON")
        return node

    def _unnest(self, node: Node) -> Node:
        if len(node.expressions) != 1:
            raise unsupported(node, "unnest one array at a time")
        return self._kinds(node, node.expressions[0], "array")

    # Arithmetic and comparison

    def _div(self, node: Node) -> Node:
        from sqlglot import exp

        kinds = {kind(node.this), kind(node.expression)}
        if kinds == {"int"}:  # Athena cuts 7 / 2 to 3, and so does DuckDB's //
            return exp.IntDiv(this=node.this, expression=node.expression)
        if "float" in kinds and kinds <= set(NUMBERS):
            return self._parsed("a / b", a=node.this, b=node.expression)
        raise unsupported(node, "write CAST(x AS double) / y")

    def _mod(self, node: Node) -> Node:
        self._kinds(node, node.this, "int")
        return self._kinds(node, node.expression, "int")

    def _mul(self, node: Node) -> Node:
        for side in (node.this, node.expression):
            if kind(side):
                self._kinds(node, side, *NUMBERS)
        return node

    def _add(self, node: Node) -> Node:
        kinds = [kind(node.this), kind(node.expression)]
        if "interval" not in kinds and type(node.expression).__name__ != "Interval":
            return self._mul(node)
        times, span = (node.this, node.expression)
        if kinds[0] == "interval":
            times, span = span, times
        if type(span).__name__ != "Interval" or not span.unit:
            raise unsupported(node)
        return self._moved(node, times, span.unit.name.lower())

    def _sub(self, node: Node) -> Node:
        if kind(node.this) in TIMES and kind(node.expression) in TIMES:
            raise unsupported(node, "write date_diff('day', earlier, later)")
        return self._add(node)

    def _moved(self, node: Node, times: Node, unit: str) -> Node:
        """A date stays a date in Athena, in DuckDB it becomes a timestamp."""
        self._kinds(node, times, *TIMES)
        if unit not in UNITS:
            raise unsupported(node)
        if kind(times) == "timestamp":
            return node
        if unit not in WHOLE_DAYS:
            raise unsupported(node, "a date moves by days and more: CAST it AS timestamp")
        return self._typed(self._parsed("CAST(a AS DATE)", a=node), "DATE")

    def _compared(self, node: Node) -> Node:
        self._alike(node, node.this, node.expression)
        return node

    _eq = _neq = _gt = _gte = _lt = _lte = _nullsafeeq = _nullsafeneq = _compared

    def _between(self, node: Node) -> Node:
        self._alike(node, node.this, node.args["low"])
        self._alike(node, node.this, node.args["high"])
        return node

    def _in(self, node: Node) -> Node:
        for item in node.expressions:
            self._alike(node, node.this, item)
        return node

    def _alike(self, node: Node, left: Node, right: Node) -> None:
        kinds = [kind(left), kind(right)]
        families = {FAMILY.get(found, found) for found in kinds} - {"", "null"}
        if len(families) > 1:
            text = node.sql("athena").replace('"', "")[:80]
            line = f"Athena compares no {' with '.join(sorted(set(kinds)))} ({text})"
            raise InputError(f"{line}: CAST one of them")

    def _dpipe(self, node: Node) -> Node:
        for part in (node.this, node.expression):
            self._kinds(node, part, "text")
        return node

    def _concat(self, node: Node) -> Node:
        for part in node.expressions:
            self._kinds(node, part, "text")
        return node

    def _sum(self, node: Node) -> Node:
        if kind(node.this) == "int":  # DuckDB's sum is wider than Athena's, which stops at 64 bits
            made = self._parsed("CAST(a AS BIGINT)", a=node)
            return made if not node.find_ancestor(*_within()) else node
        return self._kinds(node, node.this, "float", "decimal")

    def _avg(self, node: Node) -> Node:
        return self._kinds(node, node.this, "int", "float")

    # Casts

    def _cast(self, node: Node) -> Node:
        from_, to = kind(node.this), KIND_OF.get(node.to.this.name, "")
        trying = type(node).__name__ == "TryCast"
        written = type(node.this).__name__ == "Literal" and not node.this.is_string
        if (
            from_ == "null"
            or (from_, to) in PLAIN_CASTS
            or (written and to in ("float", "decimal"))
        ):
            if to == "text" and node.to.expressions:
                raise unsupported(node, "CAST it AS varchar, without a length")
            return node
        if (from_, to) == ("float", "int"):  # half away from zero, DuckDB: half to even
            return self._parsed(
                f"{'TRY_' if trying else ''}CAST(ROUND(a) AS t)", a=node.this
            ).transform(lambda part: node.to.copy() if type(part).__name__ == "DataType" else part)
        pattern = TEXT_CASTS.get(to) if from_ == "text" else None
        if not pattern:
            found = from_ or "a value of unknown type"
            raise unsupported(node, f"CAST from {found} to {node.to.sql('athena').lower()} differs")
        if type(node.this).__name__ == "Literal" and not trying:
            if not re.fullmatch(pattern, node.this.name):
                raise unsupported(node, f"write it as {SHAPES[to]}")
            return node
        return self._guarded(node, node.this, pattern, SHAPES[to], trying=trying)

    _trycast = _cast

    def _guarded(
        self, node: Node, text: Node, pattern: str, shape: str, *, trying: bool = False
    ) -> Node:
        """Let only such text through that both read alike; else fail, or NULL where it is tried."""
        odd = f"not supported locally: text that is not {shape}"
        if not trying:
            condition = f"a IS NULL OR REGEXP_FULL_MATCH(a, {literal(pattern)})"
            return self._parsed(
                f"CASE WHEN {condition} THEN b ELSE ERROR({literal(odd)}) END", a=text, b=node
            )
        other = r"(?i).*[0-9].*|\s*[+-]?(inf|infinity|nan)\s*" if shape != "an integer" else "$^"
        return self._parsed(
            f"CASE WHEN REGEXP_FULL_MATCH(a, {literal(pattern)}) THEN b "
            f"WHEN REGEXP_FULL_MATCH(a, {literal(other)}) THEN ERROR({literal(odd)}) END",
            a=text,
            b=node,
        )

    # Dates and times

    def _part(self, node: Node) -> Node:
        clock = type(node).__name__ in CLOCK_FIELDS
        return self._kinds(node, node.this, *(("timestamp",) if clock else TIMES))

    _year = _month = _day = _dayofmonth = _dayofyear = _dayofweekiso = _weekofyear = _quarter = (
        _part
    )
    _hour = _minute = _second = _part

    def _extract(self, node: Node) -> Node:
        if node.name.lower() not in ("year", "quarter", "month", "day", "hour", "minute", "second"):
            raise unsupported(node, "write day_of_week, week or day_of_year")
        return self._kinds(node, node.expression, *TIMES)

    def _datetrunc(self, node: Node) -> Node:
        if node.unit.name.lower() not in UNITS:
            raise unsupported(node)
        self._kinds(node, node.this, *TIMES)
        if kind(node.this) == "timestamp":
            return node
        return self._typed(self._parsed("CAST(a AS DATE)", a=node), "DATE")

    _timestamptrunc = _datetrunc

    def _dateadd(self, node: Node) -> Node:
        self._kinds(node, node.expression, "int")
        return self._moved(node, node.this, node.unit.name.lower())

    def _datediff(self, node: Node) -> Node:
        unit = node.unit.name.lower()
        if unit not in ("second", "minute", "hour", "day", "week"):
            raise unsupported(node, "months differ in length: count days")
        later, earlier = node.this, node.expression
        allowed = TIMES if unit in WHOLE_DAYS else (*TIMES, "instant")
        for side in (later, earlier):
            self._kinds(node, side, *allowed)
        return self._parsed(f"DATE_SUB('{unit}', a, b)", a=earlier, b=later)

    def _unixtotime(self, node: Node) -> Node:
        self._kinds(node, node.this, "int")
        return self._typed(self._parsed("TO_TIMESTAMP(a)", a=node.this), "TIMESTAMPTZ")

    def _timetounix(self, node: Node) -> Node:
        return self._kinds(node, node.this, *TIMES, "instant")

    def _fromiso8601timestamp(self, node: Node) -> Node:
        self._kinds(node, node.this, "text")
        made = self._parsed("CAST(a AS TIMESTAMPTZ)", a=node.this)
        shape = "an instant such as 2024-12-31T00:00:00Z"
        return self._typed(self._guarded(made, node.this, INSTANT, shape), "TIMESTAMPTZ")

    def _fromiso8601date(self, node: Node) -> Node:
        self._kinds(node, node.this, "text")
        made = self._parsed("CAST(a AS DATE)", a=node.this)
        return self._typed(self._guarded(made, node.this, DATE, SHAPES["date"]), "DATE")

    def _date(self, node: Node) -> Node:
        if kind(node.this) == "text":
            made = self._parsed("CAST(a AS DATE)", a=node.this)
            return self._typed(self._guarded(made, node.this, DATE, SHAPES["date"]), "DATE")
        return self._kinds(node, node.this, *TIMES)

    def _strtotime(self, node: Node) -> Node:
        return self._formatted(node, "text")

    def _timetostr(self, node: Node) -> Node:
        return self._formatted(node, *TIMES)

    def _formatted(self, node: Node, *kinds: str) -> Node:
        wanted = re.findall(r"%-?.", node.args["format"].name)
        if type(node.args["format"]).__name__ != "Literal" or set(wanted) - set(FORMATS):
            raise unsupported(node, "use %Y %m %d %H %i %s only")
        return self._kinds(node, node.this, *kinds)

    # Text

    def _text(self, node: Node) -> Node:
        return self._kinds(node, node.this, "text")

    _upper = _lower = _length = _reverse = _startswith = _text

    def _trim(self, node: Node) -> Node:
        """Athena trims every blank, DuckDB spaces only."""
        self._kinds(node, node.this, "text")
        if node.args.get("expression"):
            raise unsupported(node, "trim blanks only, or use regexp_replace")
        name = {"LEADING": "LTRIM", "TRAILING": "RTRIM"}.get(
            node.args.get("position") or "", "TRIM"
        )
        return self._parsed(f"{name}(a, {literal(BLANKS)})", a=node.this)

    def _substring(self, node: Node) -> Node:
        self._kinds(node, node.this, "text")
        for part in (node.args.get("start"), node.args.get("length")):
            if part is not None and not _counted(part):
                raise unsupported(node, "begin at 1 or later, by numbers that are written")
        return node

    def _strposition(self, node: Node) -> Node:
        if any(node.args.get(key) for key in ("position", "occurrence")):
            raise unsupported(node)
        return self._kinds(node, node.this, "text")

    def _split(self, node: Node) -> Node:
        if node.args.get("limit"):
            raise unsupported(node)
        self._kinds(node, node.this, "text")
        return self._typed(node, "ARRAY<VARCHAR>")

    def _splitpart(self, node: Node) -> Node:
        index = node.args["part_index"]
        if not _counted(index):
            raise unsupported(node, "count from 1, by a number that is written")
        parts = {"a": node.this, "b": node.args["delimiter"], "c": index}
        return self._parsed("LIST_EXTRACT(STR_SPLIT(a, b), c)", **parts)

    def _pattern(self, node: Node) -> str:
        pattern = node.expression
        if type(pattern).__name__ != "Literal" or re.search(
            r"\(\?[=!<]|\\[1-9]|[*+?}]\+", pattern.name
        ):
            raise unsupported(node, "write a plain pattern, without look-around")
        self._kinds(node, node.this, "text")
        return str(pattern.name)

    def _regexplike(self, node: Node) -> Node:
        self._pattern(node)
        return node

    def _regexpextract(self, node: Node) -> Node:
        pattern, group = self._pattern(node), node.args.get("group")
        if group is not None and (not group.is_int or re.search(r"\)[?*{]|\|", pattern)):
            raise unsupported(node, "a group that may be absent differs")
        return self._parsed(
            "CASE WHEN REGEXP_MATCHES(a, b) THEN c END", a=node.this, b=node.expression, c=node
        )

    def _regexpreplace(self, node: Node) -> Node:
        from sqlglot import exp

        self._pattern(node)
        made = node.args.get("replacement")
        if made is not None and (type(made).__name__ != "Literal" or "\\" in made.name):
            raise unsupported(node, "write the replacement as text, without a backslash")
        new = exp.Literal.string(re.sub(r"\$(\d)", r"\\\1", made.name if made else ""))
        parts = {"a": node.this, "b": node.expression, "c": new}
        return self._parsed("REGEXP_REPLACE(a, b, c, 'g')", **parts)

    def _jsonextractscalar(self, node: Node) -> Node:
        self._kinds(node, node.this, "text")
        path = node.expression.sql("duckdb")
        scalar = f"JSON_TYPE(a, {path}) IN ('VARCHAR', 'BOOLEAN', 'UBIGINT', 'BIGINT')"
        whole = f"JSON_EXTRACT_STRING(a, {path})"
        none = (
            f"JSON_TYPE(a, {path}) IS NULL OR JSON_TYPE(a, {path}) IN ('NULL', 'OBJECT', 'ARRAY')"
        )
        odd = literal("not supported locally: json_extract_scalar of a number with a point")
        return self._parsed(
            f"CASE WHEN NOT JSON_VALID(a) THEN NULL WHEN {scalar} THEN {whole} "
            f"WHEN {none} THEN NULL ELSE ERROR({odd}) END",
            a=node.this,
        )

    # Arrays and maps, aggregates by another's order

    def _bracket(self, node: Node) -> Node:
        if not node.args.get("safe"):
            raise unsupported(node, "Athena fails beyond the end: write element_at(x, i)")
        index = node.expressions[0]
        if kind(node.this) == "array" and index.is_int and int(index.sql()) < 0:
            raise unsupported(node, "count from the front")
        return self._kinds(node, node.this, "array", "map")

    def _arraysize(self, node: Node) -> Node:
        return self._kinds(node, node.this, "array")

    def _generateseries(self, node: Node) -> Node:
        for key in ("start", "end", "step"):
            if part := node.args.get(key):
                self._kinds(node, part, "int")
        return node

    def _arraytostring(self, node: Node) -> Node:
        if node.args.get("null"):
            raise unsupported(node)
        return self._kinds(node, node.this, "array")

    def _argmax(self, node: Node) -> Node:
        if node.args.get("count"):
            raise unsupported(node)
        name = type(node).__name__[3:].upper()  # DuckDB's arg_max skips rows whose value is NULL
        return self._parsed(f"ARG_{name}_NULL(a, b)", a=node.this, b=node.expression)

    _argmin = _argmax


def _counted(node: Node) -> bool:
    """Say whether a node is a written whole number from 1."""
    return type(node).__name__ == "Literal" and node.is_int and int(node.name) > 0


def _within() -> tuple[type, ...]:
    from sqlglot import exp

    return (exp.Window, exp.Filter)


PLAIN_CASTS = {
    *((kind, kind) for kind in KINDS),
    *(("int", to) for to in ("float", "decimal", "text", "bool")),
    *(("decimal", to) for to in ("int", "float")),
    *(("bool", to) for to in ("int", "float", "text")),
    ("float", "float"),
    ("date", "text"),
    ("date", "timestamp"),
    ("timestamp", "date"),
    ("timestamp", "instant"),
}
TEXT_CASTS = {
    "int": INTEGER,
    "float": NUMBER,
    "date": DATE,
    "timestamp": TIMESTAMP,
    "instant": ZONED,
}
SHAPES = {
    "int": "an integer",
    "float": "a number",
    "date": "a date such as 2024-12-31",
    "timestamp": "a time such as 2024-12-31 23:59:59",
    "instant": "an instant such as 2024-12-31 23:59:59 UTC",
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = job.Parser(description=__doc__)
    parser.add_argument("--sql", type=Path, required=True, help="the file that holds the SELECT")
    parser.add_argument("--output-dir", type=Path, required=True)
    for name, hint in (
        ("catalog", "Athena's data catalog"),
        ("database", "where tables without a database are"),
        ("workgroup", "Athena's workgroup"),
        ("region", "where all of it is"),
        ("bucket", "receives what Athena unloads, for a while"),
        ("key", "encrypts it"),
    ):
        parser.add_argument(f"--{name}", required=True, help=hint)
    parser.add_argument("--scan-limit", type=int, required=True, metavar="BYTES")
    for kind in ("text", "number"):
        parser.add_argument(f"--{kind}", action="append", default=[], metavar="NAME=VALUE")
    job.add_message_file(parser)

    def work(args: argparse.Namespace) -> None:
        query = Query(
            sql=args.sql.read_text(encoding="utf-8"),
            parameters=parameters(args.text, args.number),
            catalog=args.catalog,
            database=args.database,
            workgroup=args.workgroup,
            scan_limit=args.scan_limit,
        )
        made = engine(os.environ, lambda: athena(args.region, args.bucket, args.key))
        extract(query, made, args.output_dir)

    return job.run(parser, work, argv)


def athena(region: str, bucket: str, key: str) -> Athena:
    """Return Athena with the job's own role. `key` is the ARN of the project's key."""
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    session = boto3.Session(region_name=region)
    retried = Config(retries={"mode": "adaptive", "max_attempts": 10})
    return Athena(lambda name: session.client(name, config=retried), bucket, "runs/unload", key)


def parameters(texts: Sequence[str], numbers: Sequence[str]) -> dict[str, Value]:
    """Return the parameters as they came from the command line."""
    found: dict[str, Value] = dict(item.partition("=")[::2] for item in texts)
    for name, value in (item.partition("=")[::2] for item in numbers):
        if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
            raise InputError(f"parameter {name} is {value!r}: it takes a number such as 1.5")
        found[name] = float(value) if "." in value else int(value)
    return found


if __name__ == "__main__":
    sys.exit(main())
