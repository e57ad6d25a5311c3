"""The stand-in for the AWS CLI: what it does, and how it refuses the rest."""

from __future__ import annotations

import json
import subprocess

import pytest


@pytest.fixture
def aws(sandbox, tmp_path):
    environment = sandbox.git_environment()
    bucket = {"LocationConstraint": "eu-west-1"}
    sandbox.client("s3").create_bucket(Bucket="bkt", CreateBucketConfiguration=bucket)

    def run(*words, code=0):
        ended = subprocess.run(
            ["aws", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert ended.returncode == code, ended
        return ended.stdout if code == 0 else ended.stderr

    return run


def test_files_are_copied_both_ways(sandbox, aws, tmp_path):
    (tmp_path / "a.txt").write_text("1")
    aws("s3", "cp", "--only-show-errors", "a.txt", "s3://bkt/in/")
    body = sandbox.client("s3").get_object(Bucket="bkt", Key="in/a.txt")["Body"].read()
    assert body == b"1"
    aws("s3", "cp", "s3://bkt/in/a.txt", "out/b.txt")
    assert (tmp_path / "out/b.txt").read_text() == "1"
    aws("s3", "cp", "s3://bkt/in/a.txt", "out")
    assert (tmp_path / "out/a.txt").read_text() == "1"


@pytest.mark.parametrize("command", [("cp", "--recursive"), ("sync",)], ids=["cp", "sync"])
def test_folders_are_copied_both_ways(sandbox, aws, tmp_path, command):
    (tmp_path / "from/deep").mkdir(parents=True)
    (tmp_path / "from/a").write_text("1")
    (tmp_path / "from/deep/b").write_text("2")
    aws("s3", *command, "from", "s3://bkt/x/")
    listed = sandbox.client("s3").list_objects_v2(Bucket="bkt")["Contents"]
    assert [one["Key"] for one in listed] == ["x/a", "x/deep/b"]
    aws("s3", *command, "s3://bkt/x", "to")
    assert (tmp_path / "to/deep/b").read_text() == "2"


def test_who_calls(aws):
    assert json.loads(aws("sts", "get-caller-identity"))["Account"] == "333333333333"
    said = aws("sts", "get-caller-identity", "--query", "Account", "--output", "text")
    assert said == "333333333333\n"
    assert aws("--version").startswith("aws-cli/2")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("sagemaker", "list-models"), "aws sagemaker list-models"),
        (("s3", "cp", "--sse", "a", "s3://bkt/a"), "--sse"),
        (("s3", "cp", "s3://bkt/a", "s3://bkt/b"), "between a folder and S3"),
        (("s3", "sync", "--delete", "a", "s3://bkt/a"), "--delete"),
        (("sts", "get-caller-identity", "--query", "x.y"), "--query x.y"),
        ((), "without a command"),
    ],
)
def test_the_rest_is_refused(aws, words, named):
    assert named in aws(*words, code=2)


def test_an_error_of_aws_is_told(aws):
    assert "NoSuchBucket" in aws("s3", "cp", "--recursive", "s3://absent/x", "to", code=255)
