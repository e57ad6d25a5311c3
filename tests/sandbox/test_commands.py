"""`seedbed sandbox ...`: what a maintainer types."""

import json
import os
import subprocess
import sys

import boto3
import pytest


@pytest.fixture
def seedbed(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}

    def run(*words):
        command = [sys.executable, "-c", "from seedbed.cli import main; main()", "sandbox", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    yield run
    run("down")


def test_it_comes_up_serves_boto3_is_emptied_and_goes(seedbed):
    exports = json.loads(seedbed("up", "--account", "dev", "--json").stdout)
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    s3 = boto3.client(
        "s3",
        endpoint_url=exports["endpoint"],
        region_name=exports["AWS_REGION"],
        **{key.lower(): exports[key] for key in keys},
    )
    place = {"LocationConstraint": exports["AWS_REGION"]}
    s3.create_bucket(Bucket="a-bucket", CreateBucketConfiguration=place)
    assert seedbed("up").stdout.startswith(f"# {exports['endpoint']}"), "the one that runs"
    told = seedbed("status")
    assert told.returncode == 0
    assert "account   governance  666666666666  data" in told.stdout
    report = json.loads(seedbed("report", "--json").stdout)
    assert any("s3:CreateBucket" in one["calls"] for one in report["roles"].values())
    seedbed("reset")
    assert s3.list_buckets()["Buckets"] == []
    assert "has ended" in seedbed("down").stdout
    assert seedbed("status").returncode == 1


@pytest.mark.parametrize("words", [["reset"], ["report"]])
def test_what_needs_a_running_one_says_how_to_start_it(seedbed, words):
    done = seedbed(*words)
    assert done.returncode == 2
    assert "start one with `seedbed sandbox up`" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


WITHOUT = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "moto" else find(name, *rest)
from seedbed.cli import main
main()
"""


@pytest.mark.parametrize("word", ["up", "status", "reset", "down", "report"])
def test_without_the_extra_each_command_says_how_to_get_it(tmp_path, word):
    command = [sys.executable, "-c", WITHOUT, "sandbox", word]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    said = "seedbed: the sandbox needs moto, which is not installed: pip install 'seedbed[sandbox]'"
    assert (done.returncode, done.stderr.strip()) == (2, said)
    assert not list(tmp_path.iterdir())


def test_a_wrong_organisation_is_named_and_nothing_starts(seedbed, tmp_path):
    (tmp_path / "org.yml").write_text("accounts: {hub: {id: '12'}}")
    done = seedbed("up", "--org", "org.yml")
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1)
    assert seedbed("status").returncode == 1
