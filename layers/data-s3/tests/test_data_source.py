"""The seam: what the pipeline is told of its data, and what stands for it on this machine."""

import json
from dataclasses import replace

import pytest

from pipeline import data_source
from pipeline.pipeline import build
from pipeline.settings import Settings, SettingsError


@pytest.fixture
def settings():
    return replace(Settings.load(environ={}), data={"location": "s3://bucket/rows/"})


def test_preprocess_reads_the_address_that_a_start_can_set(settings):
    definition = json.loads(build(settings).definition())
    assert definition["Parameters"][0] == {
        "Name": "DataLocation",
        "Type": "String",
        "DefaultValue": "s3://bucket/rows/",
    }
    sources = definition["Steps"][0]["Arguments"]["ProcessingInputs"]
    inputs = {source["InputName"]: source["S3Input"]["S3Uri"] for source in sources}
    assert inputs["data"] == {"Get": "Parameters.DataLocation"}


def test_the_registered_model_names_its_data(settings):
    register = json.loads(build(settings).definition())["Steps"][-1]["Arguments"]["IfSteps"][0]
    known = register["Arguments"]["CustomerMetadataProperties"]
    assert known["DataLocation"] == {"Get": "Parameters.DataLocation"}


@pytest.mark.parametrize(
    "location",
    ["", "bucket/rows", "s3://Bucket/", "s3://bucket/a,b", "s3://bucket/" + "x" * 250, None],
)
def test_an_address_that_is_none_is_named_with_its_remedy(settings, location):
    wrong = replace(settings, data={"location": location})
    with pytest.raises(
        SettingsError, match=r"config/data.yml: location is .*: write an S3 address"
    ):
        build(wrong)


def test_a_misspelt_key_is_named(settings):
    wrong = replace(settings, data={"location": "s3://bucket/rows/", "loction": "x"})
    with pytest.raises(SettingsError, match="loction is no setting: use one of location"):
        build(wrong)


def test_a_file_of_ones_own_stands_for_the_address(settings, tmp_path):
    assert data_source.stand_in(settings, tmp_path).mounts == {"s3://bucket/rows/": tmp_path}


def test_without_a_file_it_is_the_sample_which_is_exported_once(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(data_source, "ROOT", tmp_path)
    first = data_source.stand_in(settings, None).data
    assert settings.target_column in first.read_text().splitlines()[0].split(",")
    first.write_text("kept")
    second = data_source.stand_in(settings, None).data
    assert second.read_text() == "kept"
