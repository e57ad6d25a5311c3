"""The seam: the step that asks DataZone, and what stands for DataZone on this machine."""

import json
from dataclasses import replace

import botocore.session
import pytest
from botocore.exceptions import ClientError

import datazone
import query
from features import InputError
from pipeline import data_source
from pipeline.pipeline import build
from pipeline.settings import Settings, SettingsError


@pytest.fixture
def settings():
    return Settings.load(environ={})


@pytest.fixture
def wanted(settings):
    return data_source.wanted(settings)


@pytest.fixture
def client(settings):
    return datazone.StandIn(data_source.stand_in(settings, None).data)


def changed(settings, **data):
    return replace(settings, data={**settings.data, **data})


def test_preprocess_reads_what_the_query_left(settings):
    extract, preprocess = json.loads(build(settings).definition())["Steps"][:2]
    assert extract["Arguments"]["NetworkConfig"]["EnableNetworkIsolation"] is False
    inputs = preprocess["Arguments"]["ProcessingInputs"]
    uris = {item["InputName"]: item["S3Input"]["S3Uri"] for item in inputs}
    output = "Steps.Extract.ProcessingOutputConfig.Outputs['data'].S3Output.S3Uri"
    assert uris["data"] == {"Get": output}


def test_what_stands_in_has_the_fields_of_the_real_answers(client):
    model = botocore.session.get_session().get_service_model("datazone")

    def known(value, shape, where):
        if shape.type_name == "structure":
            assert set(value) <= set(shape.members), where
            assert set(shape.required_members) <= set(value), where
            for name, item in value.items():
                known(item, shape.members[name], f"{where}.{name}")
        elif shape.type_name == "list":
            for item in value:
                known(item, shape.member, where)
        elif getattr(shape, "enum", None):
            assert value in shape.enum, where

    for operation, answer in client.answers.items():
        known(answer, model.operation_model(operation).output_shape, operation)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("domain", "domain", "domain is 'domain': write the id of a DataZone domain"),
        ("assets", [], "at least one table"),
        ("assets", ["Orders"], "lower-case"),
        ("resources", {"database": "x"}, "resources.workgroup is missing"),
        ("query", "  ", "one SELECT"),
        ("scan_limit_gb", -1, "scan_limit_gb is -1"),
        ("projct", "x", "projct is no setting"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(settings, key, value, says):
    with pytest.raises(SettingsError, match=says):
        data_source.wanted(changed(settings, **{key: value}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"status": "SUSPENDED"}, "is SUSPENDED: deploy it again"),
        ({"projectId": "another"}, "belongs to the project another"),
        ({"awsAccountRegion": "us-east-1"}, "is in us-east-1, the pipeline in eu-west-1"),
        ({"provisionedResources": []}, "has no resource 'glueConsumerDBName' for the database"),
        ({"id": "gone"}, "does not exist on this machine"),
    ],
)
def test_an_environment_that_cannot_be_queried_is_named(client, wanted, change, says):
    client.answers["GetEnvironment"] |= change
    with pytest.raises(InputError, match=says):
        datazone.resolve(client, wanted)


def test_a_subscription_must_be_approved_and_granted(client, wanted):
    environment = datazone.resolve(client, wanted)
    subscription = client.answers["ListSubscriptions"]["items"][0]
    grants = client.answers["ListSubscriptionGrants"]["items"]
    assert len(datazone.check(wanted["assets"], datazone.assets(client, environment))) == 2

    def refusal():
        with pytest.raises(InputError) as caught:
            datazone.check(wanted["assets"], datazone.assets(client, environment))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    grants[0]["assets"][0]["status"] = "GRANT_IN_PROGRESS"
    assert "'observations' is GRANT_IN_PROGRESS: ask for its approval" in refusal()
    grants.pop(0)
    assert "'observations' is not granted to the environment" in refusal()
    subscription["status"] = "REVOKED"
    assert "'observations' is REVOKED" in refusal()
    client.answers["ListSubscriptions"]["items"].pop(0)
    assert "subscribes to no asset 'observations' (it has outcomes)" in refusal()
    asked = {
        **subscription,
        "status": "PENDING",
        "subscribedListings": [subscription["subscribedListing"]],
    }
    client.answers["ListSubscriptionRequests"]["items"].append(asked)
    assert "'observations' is waiting for approval: ask" in refusal()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("ResourceNotFoundException", "does not exist: correct config/data.yml"),
        ("AccessDeniedException", "must be a member of the DataZone project"),
        ("ExpiredTokenException", "expired during the run: start it again"),
    ],
)
def test_a_refusal_of_datazone_is_one_line(wanted, code, says):
    class Refusing:
        def get_environment(self, **_):
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetEnvironment")

    with pytest.raises(InputError, match=says):
        datazone.resolve(Refusing(), wanted)


def test_the_query_answers_with_the_latest_observation_of_each_record(
    settings, wanted, tmp_path, monkeypatch
):
    stand_in = data_source.stand_in(settings, None)
    monkeypatch.setenv("LOCAL_LAKE", stand_in.environment["LOCAL_LAKE"])
    request = tmp_path / data_source.FILE
    request.write_bytes(data_source.files(settings)[data_source.FILE])
    words = ["--request", str(request), "--output-dir", str(tmp_path)]
    assert datazone.main([*words, "--text", "from_date=2024-06-01"]) == 0
    record = json.loads((tmp_path / "query" / "query.json").read_text())
    assert settings.target_column in record["columns"]
    assert 0 < record["rows"] < 450
    assert [asset["state"] for asset in record["assets"]] == ["GRANTED", "GRANTED"]
    assert record["environment"]["domain"] == wanted["domain"]


def test_credentials_are_asked_for_again_before_they_expire(client, wanted):
    from datetime import UTC, datetime, timedelta

    ends = [datetime.now(UTC) + timedelta(seconds=5), datetime.now(UTC) + timedelta(hours=1)]

    def credentials(**request):
        assert request["environmentIdentifier"] == wanted["environment"]
        end = ends.pop(0)
        known = {"accessKeyId": f"AK{len(ends)}", "secretAccessKey": "s", "sessionToken": "t"}
        return {**known, "expiration": end}

    client.get_environment_credentials = credentials
    make = datazone.clients(client, datazone.resolve(client, wanted))
    signer = make("athena")._request_signer
    assert signer._credentials.get_frozen_credentials().access_key == "AK0"
    assert ends == []


def test_explain_shows_assets_texts_and_what_they_touch(settings):
    told = "\n".join(data_source.explain(settings))
    assert "asset observations of data owners, GRANTED" in told
    assert "decided_on >= CAST(? AS date)" in told
    assert f"AwsDataCatalog.{data_source.DATABASE}.outcomes" in told


def test_explain_names_a_table_that_the_assets_lack(settings):
    with pytest.raises(SettingsError, match="assets lacks 'outcomes'"):
        list(data_source.explain(changed(settings, assets=["observations"])))


def test_the_laptop_and_athena_are_asked_for_the_same_text(wanted, client):
    environment = datazone.resolve(client, wanted)
    asked = datazone.as_query(wanted, environment, wanted["parameters"])
    assert query.statement(asked)[0].count("?") == 1
