"""The seam: which feature groups a run reads, what it refuses, what stands for them here."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from botocore.exceptions import ClientError
from botocore.session import Session

import feature_store
from features import InputError
from pipeline import data_source
from pipeline.pipeline import build
from pipeline.settings import ROOT, Settings, SettingsError

SETTINGS = Settings.load(environ={})
REGION = SETTINGS.region
ARN = f"arn:aws:sagemaker:{REGION}:111122223333:feature-group/"
OUT = f"arn:aws:sagemaker:{REGION}:111122223333:feature-group/scores"


def changed(**values):
    return replace(SETTINGS, data={**SETTINGS.data, **values})


def group(name="measurements", **values):
    return {"arn": ARN + name, "features": [], "prefix": "", "on": "", **values}


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """The sample of a configuration with two groups and a third to write to."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("sample")
        patch.setattr(data_source, "LAKE", folder / "lake")
        write_back = {"group": OUT, "query": "SELECT 1"}
        settings = changed(groups=[group(), group("background")], write_back=write_back)
        data_source.stand_in(settings, None)
    return folder / "lake"


@pytest.fixture
def run(lake, tmp_path, monkeypatch, capsys):
    """Return a function that runs the job as SageMaker would: exit code, output, what it said."""

    def run_it(settings, *more, as_of="now", here=lake):
        monkeypatch.setenv("LOCAL_LAKE", str(here))
        request = tmp_path / data_source.FILE
        request.write_bytes(data_source.files(settings)[data_source.FILE])
        arguments = ["--request", str(request), "--output-dir", str(tmp_path / "out")]
        arguments += ["--as-of", as_of, "--bucket", "bucket", "--key", "key", *more]
        code = feature_store.main(arguments)
        return code, tmp_path / "out", "".join(capsys.readouterr())

    return run_it


def rows(output):
    return pd.concat([pd.read_parquet(path) for path in (output / "data").glob("*.parquet")])


TWO = [group(), group("background")]


# The pipeline


def test_preprocess_reads_what_the_extraction_leaves():
    first, second = json.loads(build(changed(groups=TWO)).definition())["Steps"][:2]
    assert (first["Name"], second["Name"]) == ("Extract", "Preprocess")
    assert first["Arguments"]["NetworkConfig"]["EnableNetworkIsolation"] is False
    sources = {
        i["InputName"]: i["S3Input"]["S3Uri"] for i in second["Arguments"]["ProcessingInputs"]
    }
    outputs = "Steps.Extract.ProcessingOutputConfig.Outputs['data'].S3Output.S3Uri"
    assert sources["data"] == {"Get": outputs}
    arguments = first["Arguments"]["AppSpecification"]["ContainerArguments"]
    assert {"Get": "Parameters.AsOf"} in arguments
    assert max(len(a) for a in arguments if isinstance(a, str)) <= 256


def test_the_registered_model_names_groups_labels_and_instant():
    register = json.loads(build(changed(groups=TWO)).definition())["Steps"][-1]["Arguments"][
        "IfSteps"
    ][0]
    known = register["Arguments"]["CustomerMetadataProperties"]
    assert known["FeatureGroup2"] == ARN + "background"
    assert known["Labels"].startswith("AwsDataCatalog.")
    assert known["AsOf"] == {"Get": "Parameters.AsOf"}


def test_writing_back_is_a_step_of_its_own():
    write_back = {"group": OUT, "query": "SELECT 1"}
    steps = json.loads(build(changed(groups=TWO, write_back=write_back)).definition())["Steps"]
    assert [step["Name"] for step in steps][:2] == ["Extract", "WriteBack"]
    assert "--write-back" in steps[1]["Arguments"]["AppSpecification"]["ContainerArguments"]


WRONG = {
    "no group": ({"groups": []}, "at least one feature group"),
    "no ARN": ({"groups": [group(arn="measurements")]}, "ARN of a feature group"),
    "another region": (
        {"groups": [group(arn=ARN.replace(REGION, "ap-east-1") + "x")]},
        "ap-east-1",
    ),
    "two owners": (
        {"groups": [group(), group(arn=ARN.replace("1111", "4444") + "x")]},
        "one account",
    ),
    "a misspelt key": ({"groups": [group(feature=[])]}, "feature is no setting"),
    "a prefix": ({"groups": [group(prefix="A-")]}, "lower-case"),
    "a clock": ({"labels": {**(SETTINGS.data["labels"] or {}), "clock": "sun"}}, "one of iso"),
    "as_known alone": ({"labels": {}, "as_known": True}, "without labels"),
    "a role alone": ({"role": "arn:aws:iam::111122223333:role/r"}, "role and results"),
    "an instant": ({"as_of": "yesterday"}, "now, or an instant"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_setting_is_named_with_its_remedy(case):
    values, says = WRONG[case]
    with pytest.raises(SettingsError, match=says) as told:
        build(changed(**values))
    assert "\n" not in str(told.value)


def test_explain_shows_groups_owner_tables_and_both_texts(lake, monkeypatch):
    monkeypatch.setattr(data_source, "LAKE", lake)
    text = "\n".join(data_source.explain(changed(groups=TWO)))
    for part in ("of account 111122223333", ".sagemaker_featurestore.", ":as_of", "this machine"):
        assert part in text


# The job, over the sample


def test_each_label_is_one_row_without_identifiers_and_event_times(run, lake):
    code, output, _ = run(changed(groups=TWO))
    found = rows(output)
    labels = pd.read_parquet(next(lake.glob(f"{SETTINGS.data['labels']['database']}/*.parquet")))
    assert code == 0
    assert len(found) == len(labels)
    assert SETTINGS.target_column in found
    assert not {"record_id", "subject_1", "event_time"} & set(found)
    record = json.loads((output / "query" / "query.json").read_text())
    assert [one["owner"] for one in record["feature_groups"]] == ["111122223333"] * 2
    assert record["parameters"]["as_of"].startswith(str(datetime.now(UTC).year))


def test_the_sample_hides_no_answer_and_gives_the_true_values(run):
    """Of the sample's records all but few are the ones known at the label's time."""
    from pipeline.sample import LOADERS

    _, output, _ = run(changed(groups=TWO))
    found = rows(output)
    true = LOADERS[SETTINGS.problem_type](as_frame=True).data
    feature = next(c for c in found if c != SETTINGS.target_column)
    column = next(c for c in true if c.replace(" ", "_") == feature)
    share = (found[feature].sort_values().reset_index(drop=True)).isna().mean()
    assert share < 0.05
    assert set(found[feature].dropna()) <= set(true[column])


def test_an_instant_repeats_what_was_known_then(run):
    everything = rows(run(changed(groups=TWO))[1])
    code, output, _ = run(changed(groups=TWO), as_of="2023-11-20T00:00:00Z")
    earlier = rows(output)
    assert code == 0
    assert len(earlier) == len(everything)
    assert earlier.isna().sum().sum() > everything.isna().sum().sum()


def test_known_late_is_not_known(run):
    code, output, _ = run(changed(groups=TWO, as_known=True))
    assert code == 0
    assert len(rows(output)) > 0


def describes(lake, tmp_path, change):
    known = json.loads((lake / "feature-groups.json").read_text())
    change(known[ARN + "measurements"])
    shutil.copytree(lake, tmp_path, dirs_exist_ok=True)
    (tmp_path / "feature-groups.json").write_text(json.dumps(known))
    return tmp_path


BROKEN = {
    "not made yet": (lambda d: d.update(FeatureGroupStatus="Creating"), "is Creating"),
    "online only": (lambda d: d.pop("OfflineStoreConfig"), "has no offline store"),
    "disabled": (lambda d: d.update(OfflineStoreStatus={"Status": "Disabled"}), "no offline store"),
    "blocked": (
        lambda d: d.update(OfflineStoreStatus={"Status": "Blocked", "BlockedReason": "KMS"}),
        r"is blocked \(KMS\)",
    ),
    "a list": (
        lambda d: d["FeatureDefinitions"][-1].update(CollectionType="List"),
        "is a List, which no model takes",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_group_that_cannot_be_trained_from_is_named(case, run, lake, tmp_path_factory):
    change, says = BROKEN[case]
    here = describes(lake, tmp_path_factory.mktemp("lake"), change)
    code, output, said = run(changed(groups=TWO), here=here)
    assert code == 2
    assert pd.Series([said]).str.contains(says).all(), said
    assert len(said.strip().splitlines()) == 1
    assert not list(output.rglob("*.parquet"))


REFUSED = {
    "no such group": ({"groups": [group("nobody")]}, "does not exist"),
    "no such feature": ({"groups": [group(features=["colour"])]}, "feature 'colour' is not in"),
    "the identifier": ({"groups": [group(features=["record_id"])]}, "no feature"),
    "one name twice": ({"groups": [group(), group()]}, "give that group a prefix"),
    "no such label column": ({"groups": [group(on="colour")]}, "colour"),
    "no target": ({"groups": [group()], "labels": {}}, "without labels the target is a feature"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_joined_is_one_line(case, run):
    values, says = REFUSED[case]
    code, output, said = run(changed(**values))
    assert code == 2
    assert says in said
    assert len(said.strip().splitlines()) == 1
    assert not list(output.rglob("*.parquet"))


def test_no_label_is_no_training_set(run, lake, tmp_path_factory):
    here = describes(lake, tmp_path_factory.mktemp("lake"), lambda _: None)
    labels = SETTINGS.data["labels"]
    path = f"{labels['database']}/{labels['table']}.parquet"
    pd.read_parquet(lake / path).iloc[:0].astype("string").to_parquet(here / path, index=False)
    code, _, said = run(changed(groups=TWO), here=here)
    assert code == 2
    assert "no rows" in said


def test_a_wrong_instant_at_the_start_is_named(run):
    code, _, said = run(changed(groups=TWO), as_of="soon")
    assert (code, "AsOf is 'soon'" in said) == (2, True)


# SageMaker's side


def test_the_sample_describes_groups_as_sagemaker_does(lake):
    model = Session().get_service_model("sagemaker").operation_model("DescribeFeatureGroup")

    def check(value, shape):
        if shape.type_name == "structure":
            assert set(value) <= set(shape.members), shape.name
            assert set(shape.required_members) <= set(value), shape.name
            for key, item in value.items():
                check(item, shape.members[key])
        elif shape.type_name == "list":
            for item in value:
                check(item, shape.member)
        elif getattr(shape, "enum", None):
            assert value in shape.enum
        else:
            kinds = {"string": str, "boolean": bool, "timestamp": str}
            assert isinstance(value, kinds[shape.type_name])

    for one in json.loads((lake / "feature-groups.json").read_text()).values():
        check(one, model.output_shape)


class Sagemaker:
    """Answers as SageMaker: in two pages, or with an error; puts all records but one."""

    def __init__(self, found=None, code=""):
        self.found, self.code, self.put = found, code, []

    def describe_feature_group(self, FeatureGroupName, NextToken=""):  # noqa: ARG002, N803
        if self.code:
            raise ClientError({"Error": {"Code": self.code, "Message": "no"}}, "Describe")
        half = slice(2, None) if NextToken else slice(2)
        features = self.found["FeatureDefinitions"][half]
        return {**self.found, "FeatureDefinitions": features, "NextToken": "" if NextToken else "x"}

    def put_record(self, FeatureGroupName, Record):  # noqa: ARG002, N803
        values = {item["FeatureName"]: item["ValueAsString"] for item in Record}
        if values["record_id"] == "bad":
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "odd"}}, "PutRecord")
        self.put.append(values)


def test_all_pages_of_features_are_read(lake):
    found = json.loads((lake / "feature-groups.json").read_text())[ARN + "measurements"]
    answer = feature_store.describe(ARN + "measurements", lambda _: Sagemaker(found))
    assert answer["FeatureDefinitions"] == found["FeatureDefinitions"]


@pytest.mark.parametrize(
    ("code", "says"),
    [("AccessDeniedException", "RAM share"), ("ResourceNotFound", "does not exist"), ("X", "X")],
)
def test_what_the_owner_has_not_granted_is_named(code, says):
    with pytest.raises(InputError, match=says):
        feature_store.describe(ARN + "x", lambda _: Sagemaker(code=code))


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("User is not authorized to perform: glue:GetTable", "Glue catalog policy"),
        ("Access Denied (Service: Amazon S3; Status Code: 403)", "bucket policy"),
        ("not authorized to perform: kms:Decrypt on S3 object", "key grant"),
        ("Insufficient Lake Formation permission(s)", "Lake Formation grant"),
    ],
)
def test_a_refusal_of_athena_names_the_grant(reason, says):
    assert f"the owner's {says}" in feature_store.grant(reason)


def test_another_failure_is_told_as_it_is():
    assert feature_store.grant("SYNTAX_ERROR: line 1") == "SYNTAX_ERROR: line 1"


def test_the_owners_role_is_assumed_again_before_it_expires(monkeypatch):
    made, times = [], iter([1, 60])

    class Boto:
        def __init__(self, **_):
            pass

        def client(self, service, **keys):
            made.append((service, keys.get("aws_session_token")))
            return self

        def assume_role(self, **_):
            expires = datetime.now(UTC) + timedelta(minutes=next(times))
            keys = {"AccessKeyId": "a", "SecretAccessKey": "b"}  # pragma: allowlist secret
            return {"Credentials": {**keys, "SessionToken": str(expires), "Expiration": expires}}

    monkeypatch.setattr("boto3.Session", Boto)
    make = feature_store.clients(REGION, "arn:aws:iam::111122223333:role/reader")
    for _ in range(3):
        make("athena")
    assert [name for name, _ in made] == ["sts", "athena", "sts", "athena", "athena"]
    assert made[3] == made[4]


# Writing back

BACK = """
SELECT "record_id", "event_time", 2.5 AS "{0}"
FROM "{1}"."sagemaker_featurestore"."measurements_1700000000"
WHERE NOT is_deleted AND "event_time" > '2023' LIMIT 5
"""


@pytest.fixture
def written(lake):
    found = json.loads((lake / "feature-groups.json").read_text())[OUT]
    feature = found["FeatureDefinitions"][-1]["FeatureName"]
    return changed(
        groups=TWO,
        write_back={"group": OUT, "query": BACK.format(feature, SETTINGS.data["catalog"])},
    )


def test_rows_are_put_into_the_group_and_counted(run, written, lake):
    path = lake / "sagemaker_featurestore" / "scores_1700000000.parquet"
    for times in (1, 2):
        code, output, said = run(written, "--write-back")
        assert code == 0, said
        assert len(pd.read_parquet(path)) == 5 * times
    report = json.loads((output / "report" / "write-back.json").read_text())
    assert (report["rows"], report["put"], report["failed"]) == (5, 5, [])
    assert {"write_time", "api_invocation_time", "is_deleted"} <= set(pd.read_parquet(path))
    path.unlink()


def test_a_refused_record_is_named_and_the_others_are_in(lake):
    found = json.loads((lake / "feature-groups.json").read_text())[OUT]
    one = feature_store.group({"arn": OUT}, found, "", REGION)
    frame = pd.DataFrame({"record_id": ["a", "bad", "c"], "event_time": "2024-01-01T00:00:00Z"})
    frame[next(iter(one.columns))] = [1.5, 2.5, None]
    runtime = Sagemaker()
    failed = feature_store.put(feature_store.records(frame, one), one, runtime)
    assert [failure["record"] for failure in failed] == ["bad"]
    assert "ValidationError" in failed[0]["reason"]
    assert sorted(values["record_id"] for values in runtime.put) == ["a", "c"]
    assert sorted(map(len, runtime.put)) == [2, 3]  # what is missing stays out


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ({"record_id": ["a"]}, "no column 'event_time'"),
        ({"record_id": ["a"], "event_time": ["x"], "colour": [1]}, "'colour'"),
        ({"record_id": [None], "event_time": ["x"]}, "rows without 'record_id'"),
    ],
)
def test_rows_that_the_group_cannot_take_are_named(frame, says, lake):
    found = json.loads((lake / "feature-groups.json").read_text())[OUT]
    one = feature_store.group({"arn": OUT}, found, "", REGION)
    with pytest.raises(InputError, match=says):
        feature_store.records(pd.DataFrame(frame), one)


# This machine


def test_a_folder_of_ones_own_must_describe_its_groups(tmp_path):
    with pytest.raises(SettingsError, match=r"feature-groups\.json"):
        data_source.stand_in(SETTINGS, tmp_path)


def test_the_sample_is_made_once_and_again_for_other_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(data_source, "LAKE", tmp_path / "lake")
    first = data_source.stand_in(changed(groups=TWO), None).environment["LOCAL_LAKE"]
    marker = tmp_path / "lake" / "kept"
    marker.touch()
    data_source.stand_in(changed(groups=TWO), None)
    assert marker.exists()
    data_source.stand_in(changed(groups=[group("other")]), None)
    assert not marker.exists()
    assert first == str(tmp_path / "lake")


def test_the_job_needs_nothing_that_the_container_lacks():
    text = (ROOT / "jobs" / "feature_store.py").read_text(encoding="utf-8")
    for absent in ("import yaml", "import duckdb", "import sqlglot"):
        assert absent not in text
