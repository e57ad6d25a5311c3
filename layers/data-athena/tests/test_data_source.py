"""The seam: the step that asks Athena, and what stands for the lake on this machine."""

import json
from dataclasses import replace

import pytest

import query
from features import InputError
from pipeline import data_source, local
from pipeline.pipeline import build
from pipeline.settings import Settings, SettingsError


@pytest.fixture
def settings():
    return Settings.load(environ={})


def changed(settings, **data):
    return replace(settings, data={**settings.data, **data})


def ask(settings, sql, **parameters):
    asked = data_source.wanted(settings)
    place = (asked.catalog, asked.database, asked.workgroup, asked.scan_limit)
    return query.Query(sql, parameters, *place)


def test_preprocess_reads_what_the_query_left(settings):
    extract, preprocess = json.loads(build(settings).definition())["Steps"][:2]
    assert extract["Name"] == "Extract"
    assert extract["Arguments"]["NetworkConfig"]["EnableNetworkIsolation"] is False
    assert "CacheConfig" not in extract
    inputs = preprocess["Arguments"]["ProcessingInputs"]
    uris = {item["InputName"]: item["S3Input"]["S3Uri"] for item in inputs}
    output = "Steps.Extract.ProcessingOutputConfig.Outputs['data'].S3Output.S3Uri"
    assert uris["data"] == {"Get": output}


def test_each_parameter_of_the_query_can_be_set_by_a_start(settings):
    chosen = changed(settings, parameters={"from_date": "2024-01-01", "least": 3, "share": 0.5})
    definition = json.loads(build(chosen).definition())
    values = {
        item["Name"]: (item["Type"], item["DefaultValue"]) for item in definition["Parameters"]
    }
    assert values["FromDate"] == ("String", "2024-01-01")
    assert (values["Least"], values["Share"]) == (("Integer", 3), ("Float", 0.5))


def test_the_sql_travels_with_the_code(settings):
    assert data_source.files(settings)["training.sql"].decode() == data_source.wanted(settings).sql


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("sql", "sql/none.sql", "sql is 'sql/none.sql': write the name of a file that exists"),
        ("sql", "/etc/passwd", "write a file such as"),
        ("database", "Lake", "database is 'Lake': write lower-case"),
        ("scan_limit_gb", 0, "scan_limit_gb is 0"),
        ("parameters", {"from_date": ""}, "parameters.from_date is ''"),
        ("parameters", {"from_date": "x" * 300}, "text of 1 to 200"),
        ("parameters", {"From": "x"}, "names of lower-case"),
        ("lake_location", "s3://bucket/lake", "a folder such as"),
        ("databse", "x", "databse is no setting"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(settings, key, value, says):
    with pytest.raises(SettingsError, match=says):
        data_source.wanted(changed(settings, **{key: value}))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"-- gro\xdf\nSELECT 1 AS a", r"sql/mine.sql is not UTF-8 at byte 6: save it as UTF-8"),
        (b"SELECT 1 AS a; SELECT 2 AS b", r"sql/mine.sql: the query has a semicolon"),
    ],
)
def test_what_is_wrong_in_the_sql_names_its_file(settings, tmp_path, monkeypatch, content, says):
    monkeypatch.setattr(data_source, "ROOT", tmp_path)
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "mine.sql").write_bytes(content)
    with pytest.raises(SettingsError, match=says):
        list(data_source.explain(changed(settings, sql="sql/mine.sql", parameters={})))


def test_a_target_in_capitals_is_refused_as_athena_answers_in_lower_case(settings):
    with pytest.raises(SettingsError, match="write it in lower case"):
        data_source.wanted(replace(settings, target_column="Target"))


def test_the_sample_is_exported_once(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(data_source, "LAKE", tmp_path / "lake")
    stand_in = data_source.stand_in(settings, None)
    file = stand_in.data / data_source.wanted(settings).database / "outcomes.csv"
    file.write_text("kept")
    assert data_source.stand_in(settings, None).data == stand_in.data
    assert file.read_text() == "kept"


def test_the_query_answers_with_the_latest_observation_of_each_record(settings, tmp_path):
    lake = data_source.stand_in(settings, None).data
    asked = ask(settings, data_source.wanted(settings).sql, from_date="2024-06-01")
    query.extract(asked, query.Duck(lake), tmp_path)
    record = json.loads((tmp_path / "query" / "query.json").read_text())
    assert settings.target_column in record["columns"]
    assert 0 < record["rows"] < 450
    assert record["parameters"] == {"from_date": "2024-06-01"}


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT record_id FROM outcome", "table .*outcome does not exist on this machine"),
        ("SELECT outcom FROM outcomes", "outcom.* could not be resolved.* has record_id"),
        ("SELECT record_id FROM outcomes WHERE false", "no rows"),
        ("SELECT record_id FROM outcomes; DROP TABLE outcomes", "semicolon"),
        ("DELETE FROM outcomes", "begins with 'DELETE"),
        ("SELECT approx_distinct(record_id) AS n FROM outcomes", "not supported locally: APPROX"),
        ("SELECT record_id FROM read_csv('/etc/passwd')", "not supported locally"),
        ("SELECT array_agg(record_id) AS a FROM outcomes", "which no model takes"),
    ],
)
def test_a_query_that_cannot_be_answered_is_one_line_and_leaves_nothing(
    settings, tmp_path, sql, says
):
    lake = data_source.stand_in(settings, None).data
    with pytest.raises(InputError, match=says) as caught:
        query.extract(ask(settings, sql), query.Duck(lake), tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.rglob("*.*")) == []


def test_a_query_beyond_the_scan_limit_is_stopped(settings, tmp_path):
    lake = data_source.stand_in(settings, None).data
    asked = replace(ask(settings, "SELECT record_id FROM outcomes"), scan_limit=100)
    with pytest.raises(InputError, match="more than its limit 100"):
        query.extract(asked, query.Duck(lake), tmp_path)


def test_explain_shows_both_texts_and_what_they_touch(settings):
    told = "\n".join(data_source.explain(settings))
    assert "decided_on >= CAST(? AS date)" in told
    assert "from_date = '2020-01-01'" in told
    assert f"AwsDataCatalog.{data_source.wanted(settings).database}.observations" in told


def test_a_parameter_reaches_the_query_of_a_run(settings, tmp_path):
    stand_in = data_source.stand_in(settings, None)
    definition = json.loads(build(settings).definition())
    definition["Steps"] = definition["Steps"][:1]
    code = definition["Steps"][0]["Arguments"]["ProcessingInputs"][0]["S3Input"]["S3Uri"]
    folder = tmp_path / "code"
    folder.mkdir()
    for name, content in data_source.files(settings).items():
        (folder / name).write_bytes(content)
    for path in (data_source.ROOT / "jobs").glob("*.py"):
        (folder / path.name).write_bytes(path.read_bytes())
    result = local.run(
        definition,
        parameters={"FromDate": "2030-01-01"},
        mounts={code: folder},
        root=tmp_path / "local",
        environment=stand_in.environment,
    )
    assert (result.code, result.failure.reason) == (
        2,
        "the query returns no rows: look at its conditions and parameters",
    )
