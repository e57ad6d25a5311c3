"""How a query is asked of Athena, and how every way to fail ends in one line and no rows."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from io import BytesIO

import botocore.session
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError
from botocore.validate import validate_parameters
from pyarrow import parquet

from seedbed import catalog

LAYERS = catalog.CHECKOUT / "layers"
sys.path[:0] = [str(LAYERS / "data-sql" / "jobs"), str(LAYERS / "model-build" / "jobs")]
import query  # noqa: E402 (found through the line above)
from features import InputError  # noqa: E402

KEY = "arn:aws:kms:eu-west-1:123456789012:key/0a1b"
ASKED = query.Query(
    "SELECT a FROM t WHERE s = :who", {"who": "x"}, "AwsDataCatalog", "lake", "team", 1000
)


class Cloud:
    """Athena and S3 as far as a query needs them; every request is held against botocore."""

    def __init__(self, tables=({"a": [1, 2]},), states=("SUCCEEDED",), reason="", scanned=10):
        self.tables, self.states, self.reason, self.scanned = tables, list(states), reason, scanned
        self.objects: dict[str, bytes] = {}
        self.request: dict = {}
        self.stopped: list[str] = []
        self.errors: dict[str, str] = {}

    def __call__(self, service):
        return Client(self, service)

    def athena_start_query_execution(self, **request):
        self.request = request
        place = request["QueryString"].split("TO 's3://bucket/")[1].split("'")[0]
        for number, table in enumerate(self.tables):
            file = BytesIO()
            parquet.write_table(pa.table(table), file)
            self.objects[f"{place}{number}_part"] = file.getvalue()
        return {"QueryExecutionId": "q-1"}

    def athena_get_query_execution(self, **_):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        status = {"State": state, "StateChangeReason": self.reason}
        found = {"Status": status, "Statistics": {"DataScannedInBytes": self.scanned}}
        return {"QueryExecution": found}

    def athena_stop_query_execution(self, QueryExecutionId):  # noqa: N803 (boto3's name)
        self.stopped.append(QueryExecutionId)
        return {}

    def s3_list_objects_v2(self, Prefix, **_):  # noqa: N803
        return {"Contents": [{"Key": key} for key in self.objects if key.startswith(Prefix)]}

    def s3_delete_objects(self, Delete, **_):  # noqa: N803
        for item in Delete["Objects"]:
            del self.objects[item["Key"]]
        return {}


class Client:
    def __init__(self, cloud, service):
        self.cloud, self.service = cloud, service
        self.model = botocore.session.get_session().get_service_model(service)

    def __getattr__(self, name):
        operation = "".join(word.capitalize() for word in name.split("_"))

        def call(**request):
            validate_parameters(request, self.model.operation_model(operation).input_shape)
            if code := self.cloud.errors.get(operation):
                raise ClientError({"Error": {"Code": code, "Message": "no"}}, operation)
            return getattr(self.cloud, f"{self.service}_{name}")(**request)

        return call

    def get_paginator(self, name):
        class Pages:
            paginate = staticmethod(lambda **request: [getattr(self, name)(**request)])

        return Pages

    def download_file(self, bucket, key, path):
        assert bucket == "bucket"
        with open(path, "wb") as file:  # noqa: PTH123 (as boto3 is given it)
            file.write(self.cloud.objects[key])


def athena(cloud, waits=None):
    pauses = [] if waits is None else waits
    return query.Athena(cloud, "bucket", "runs/unload", KEY, sleep=pauses.append)


def test_a_query_is_unloaded_fetched_removed_and_recorded(tmp_path):
    cloud = Cloud(tables=({"a": [1, 2]}, {"a": [3]}), states=("QUEUED", "RUNNING", "SUCCEEDED"))
    waits: list[float] = []
    query.extract(ASKED, athena(cloud, waits), tmp_path, {"note": "ours"})
    text = cloud.request["QueryString"]
    assert text.startswith("UNLOAD (SELECT a FROM t WHERE s = ?) TO 's3://bucket/runs/unload/")
    assert text.endswith("/data/' WITH (format = 'PARQUET', compression = 'SNAPPY')")
    assert cloud.request["ExecutionParameters"] == ["'x'"]
    assert cloud.request["QueryExecutionContext"] == {
        "Catalog": "AwsDataCatalog",
        "Database": "lake",
    }
    encryption = cloud.request["ResultConfiguration"]["EncryptionConfiguration"]
    assert encryption == {"EncryptionOption": "SSE_KMS", "KmsKey": KEY}
    files = sorted((tmp_path / "data").iterdir())
    assert [file.name for file in files] == ["part-00000.parquet", "part-00001.parquet"]
    assert cloud.objects == {}
    record = json.loads((tmp_path / "query" / "query.json").read_text())
    assert (record["rows"], record["bytes_scanned"], record["note"]) == (3, 10, "ours")
    assert record["query_execution_id"] == "q-1"
    assert waits == sorted(waits)
    assert len(waits) == 2


def test_two_runs_unload_to_two_places(tmp_path):
    texts = set()
    for name in "ab":
        cloud = Cloud()
        query.extract(ASKED, athena(cloud), tmp_path / name)
        texts.add(cloud.request["QueryString"])
    assert len(texts) == 2


@pytest.mark.parametrize(
    ("cloud", "says"),
    [
        (Cloud(tables=()), "the query returns no rows"),
        (Cloud(states=("RUNNING",), scanned=1001), "scanned 1001 bytes, more than its limit 1000"),
        (Cloud(states=("CANCELLED",), reason="by a person"), "failed .by a person"),
        (
            Cloud(
                states=("FAILED",), reason="TABLE_NOT_FOUND: line 1:15: Table 'l.t' does not exist"
            ),
            "correct the table, or ask its owner",
        ),
        (
            Cloud(
                states=("FAILED",),
                reason="COLUMN_NOT_FOUND: line 1:8: Column 'a' cannot be resolved",
            ),
            "correct the column",
        ),
        (Cloud(states=("FAILED",), reason="SCHEMA_NOT_FOUND: lake"), "correct the database"),
        (
            Cloud(states=("FAILED",), reason="Query cancelled! : Bytes scanned limit was exceeded"),
            "raise the workgroup's limit",
        ),
        (
            Cloud(states=("FAILED",), reason="Insufficient Lake Formation permission(s) on t"),
            "ask the data's owner for SELECT",
        ),
        (
            Cloud(states=("FAILED",), reason="Access Denied (Service: Amazon S3)"),
            "must both allow it",
        ),
        (Cloud(tables=({"a": [[1]]},)), "which no model takes"),
        (
            Cloud(tables=({"a": pa.array([1], pa.timestamp("us", tz="UTC"))},)),
            "has a time zone",
        ),
    ],
)
def test_a_query_that_fails_is_one_line_and_leaves_no_rows(tmp_path, cloud, says):
    with pytest.raises(InputError, match=says) as caught:
        query.extract(ASKED, athena(cloud), tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.rglob("*.*")) == []
    assert cloud.objects == {}


def test_a_query_beyond_its_limit_is_stopped(tmp_path):
    cloud = Cloud(states=("RUNNING",), scanned=1001)
    with pytest.raises(InputError):
        query.extract(ASKED, athena(cloud), tmp_path)
    assert cloud.stopped == ["q-1"]


@pytest.mark.parametrize(
    ("operation", "code", "says"),
    [
        ("StartQueryExecution", "InvalidRequestException", "StartQueryExecution: no"),
        ("StartQueryExecution", "AccessDeniedException", "is denied .no.: infra/data.yml"),
        ("GetQueryExecution", "ExpiredTokenException", "expired during the run: start it again"),
        ("ListObjectsV2", "AccessDenied", "ListObjectsV2 is denied"),
    ],
)
def test_a_refusal_of_aws_is_one_line(tmp_path, operation, code, says):
    cloud = Cloud()
    cloud.errors[operation] = code
    with pytest.raises(InputError, match=says):
        query.extract(ASKED, athena(cloud), tmp_path)
    assert list(tmp_path.rglob("*.*")) == []


def test_what_cannot_be_removed_is_left_to_the_lifecycle_rule(tmp_path, capsys):
    cloud = Cloud()
    cloud.errors["DeleteObjects"] = "AccessDenied"
    query.extract(ASKED, athena(cloud), tmp_path)
    assert "is left to its lifecycle rule" in capsys.readouterr().out


def test_a_job_that_is_stopped_stops_its_query(tmp_path):
    cloud = Cloud(states=("RUNNING",))
    before = signal.getsignal(signal.SIGTERM)
    stopping = query.Athena(
        cloud, "bucket", "runs", KEY, sleep=lambda _: os.kill(os.getpid(), signal.SIGTERM)
    )
    with pytest.raises(InputError, match="the job was stopped"):
        query.extract(ASKED, stopping, tmp_path)
    assert cloud.stopped == ["q-1"]
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("sql", "parameters", "says"),
    [
        ("SELECT a FROM t WHERE s = :who", {}, "has :who, which has no value"),
        ("SELECT a FROM t", {"who": "x"}, "'who' is not in the query"),
        ("SELECT a; SELECT b", {}, "a semicolon"),
        ("INSERT INTO t SELECT 1", {}, "write one SELECT"),
    ],
)
def test_a_text_that_cannot_be_asked_is_refused_before_anything_starts(
    tmp_path, sql, parameters, says
):
    cloud = Cloud()
    with pytest.raises(InputError, match=says):
        query.extract(replace(ASKED, sql=sql, parameters=parameters), athena(cloud), tmp_path)
    assert cloud.request == {}


def test_parameters_are_positions_and_literals():
    sql = "SELECT ':no' AS \":no\", a::varchar -- :no\nFROM t "
    sql += "WHERE s = :who AND n > :least OR s = :who"
    text, values = query.statement(
        replace(ASKED, sql=sql, parameters={"who": "O'Neil", "least": 1.5})
    )
    assert text.count("?") == 3
    assert "':no' AS \":no\", a::varchar" in text
    assert values == ["'O''Neil'", "1.5", "'O''Neil'"]


def test_duckdb_stays_within_its_memory_and_its_folder(tmp_path):
    (tmp_path / "lake" / "db").mkdir(parents=True)
    (tmp_path / "lake" / "db" / "t.csv").write_text("a\n1\n")
    (tmp_path / "data").mkdir()
    duck = query.Duck(tmp_path / "lake")
    with duck.connection(tmp_path / "data") as connection:
        duck.views(connection)
        limit = connection.execute("SELECT current_setting('memory_limit')").fetchone()[0]
        assert limit.endswith("MiB")
        with pytest.raises(Exception, match=r"disabled|Permission"):
            connection.execute("SELECT * FROM read_text('/etc/passwd')").fetchall()
        with pytest.raises(Exception, match="locked"):
            connection.execute("SET memory_limit = '10GB'")


@pytest.mark.parametrize(("text", "value"), [("n=3", 3), ("n=-1.5", -1.5)])
def test_a_number_of_the_command_line_is_one(text, value):
    assert query.parameters([], [text]) == {"n": value}


def test_a_number_that_is_none_is_named():
    with pytest.raises(InputError, match="parameter n is 'many': it takes a number"):
        query.parameters([], ["n=many"])
