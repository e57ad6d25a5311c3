"""What is sent to AWS, held against botocore's own models; nothing leaves this machine."""

import json
import shutil
from dataclasses import replace

import boto3
import pytest
from botocore.stub import ANY, Stubber

from pipeline import cloud
from pipeline.definition import DefinitionError
from pipeline.settings import ROOT, Settings, SettingsError

ARN = "arn:aws:sagemaker:eu-west-1:111122223333:pipeline/p"
RUN = f"{ARN}/execution/abcdefghijkl"
CLOUD = {
    "ARTIFACT_BUCKET": "my-bucket",
    "KMS_KEY_ARN": "arn:aws:kms:eu-west-1:111122223333:key/1234-abcd",
    "EXECUTION_ROLE_ARN": "arn:aws:iam::111122223333:role/Execution",
}


@pytest.fixture
def settings():
    return Settings.load(environ=CLOUD)


@pytest.fixture
def project(tmp_path):
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    return tmp_path


def stub(service):
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    client = boto3.client(service, "eu-west-1", **keys)
    return client, Stubber(client)


def sha(settings, root):
    return cloud.package(settings, root).code.sha256


def test_the_codes_address_follows_from_its_content_alone(settings, project):
    before = sha(settings, project)
    (project / "jobs" / "__pycache__").mkdir(exist_ok=True)
    (project / "jobs" / "__pycache__" / "notes").write_text("x")
    (project / "jobs" / "train.pyc").write_text("x")
    (project / "jobs" / ".hidden").write_text("x")
    (project / "jobs" / "train.py").touch()
    assert sha(settings, project) == before
    (project / "jobs" / "train.py").write_text("# another one\n")
    assert sha(settings, project) != before


def test_a_step_whose_script_is_gone_is_told_before_anything_is_sent(settings, project):
    (project / "jobs" / "evaluate.py").rename(project / "jobs" / "judge.py")
    code = cloud.package(settings, project).code
    assert code.script("judge.py") == "judge.py"
    with pytest.raises(DefinitionError, match=r"jobs/evaluate.py does not exist"):
        code.script("evaluate.py")


def test_the_folders_address_is_no_prefix_of_the_archives(settings):
    code = cloud.package(settings).code
    assert not code.archive.startswith(code.folder)
    assert code.sha256 in code.folder


def test_the_archive_is_uploaded_last_and_all_with_the_key(settings):
    package = cloud.package(settings)
    s3, stubber = stub("s3")
    stubber.add_client_error("head_object", "404", http_status_code=404)
    keys = [key for key, _ in package.objects()]
    for key in keys:
        expected = {
            "Bucket": "my-bucket",
            "Key": key,
            "Body": ANY,
            "ServerSideEncryption": "aws:kms",
            "SSEKMSKeyId": CLOUD["KMS_KEY_ARN"],
        }
        stubber.add_response("put_object", {}, expected)
    with stubber:
        assert cloud.upload(package, settings, s3)
    stubber.assert_no_pending_responses()
    assert keys[-1].endswith("/jobs.tar.gz")


def test_code_that_is_there_is_not_uploaded_again(settings):
    s3, stubber = stub("s3")
    stubber.add_response("head_object", {})
    with stubber:
        assert not cloud.upload(cloud.package(settings), settings, s3)


def test_a_refusal_is_one_line(settings):
    s3, stubber = stub("s3")
    stubber.add_client_error("head_object", "500", "try\nagain", http_status_code=500)
    with stubber, pytest.raises(cloud.CloudError, match="try again"):
        cloud.upload(cloud.package(settings), settings, s3)


def test_a_pipeline_that_exists_is_updated(settings):
    sagemaker, stubber = stub("sagemaker")
    expected = {
        "PipelineName": settings.project,
        "PipelineDefinition": "{}",
        "RoleArn": CLOUD["EXECUTION_ROLE_ARN"],
    }
    stubber.add_response("update_pipeline", {"PipelineArn": ARN}, expected)
    with stubber:
        assert cloud.upsert("{}", settings, sagemaker) == ARN


def test_a_pipeline_that_does_not_exist_is_created_with_its_tags(settings):
    sagemaker, stubber = stub("sagemaker")
    stubber.add_client_error("update_pipeline", "ResourceNotFound", http_status_code=404)
    expected = {
        "PipelineName": settings.project,
        "PipelineDefinition": "{}",
        "RoleArn": CLOUD["EXECUTION_ROLE_ARN"],
        "Tags": [
            {"Key": "project", "Value": settings.project},
            {"Key": "owner", "Value": settings.owner},
        ],
    }
    stubber.add_response("create_pipeline", {"PipelineArn": ARN}, expected)
    with stubber:
        assert cloud.upsert("{}", settings, sagemaker) == ARN


def test_a_start_takes_the_parameters(settings):
    sagemaker, stubber = stub("sagemaker")
    expected = {
        "PipelineName": settings.project,
        "PipelineParameters": [{"Name": "SplitSeed", "Value": "7"}],
    }
    stubber.add_response("start_pipeline_execution", {"PipelineExecutionArn": RUN}, expected)
    with stubber:
        assert cloud.start(settings, {"SplitSeed": "7"}, sagemaker) == RUN


def test_a_start_before_an_upsert_says_what_to_do(settings):
    sagemaker, stubber = stub("sagemaker")
    stubber.add_client_error("start_pipeline_execution", "ResourceNotFound", http_status_code=404)
    with stubber, pytest.raises(cloud.CloudError, match="run `make upsert`"):
        cloud.start(settings, {}, sagemaker)


def watch(*looks):
    """Wait for an execution that looks like this, one look after the other."""
    sagemaker, stubber = stub("sagemaker")
    for status, steps in looks:
        stubber.add_response("describe_pipeline_execution", {"PipelineExecutionStatus": status})
        found = [{"StepName": name, **facts} for name, facts in steps.items()]
        stubber.add_response("list_pipeline_execution_steps", {"PipelineExecutionSteps": found})
    told, pauses = [], []
    with stubber:
        try:
            cloud.wait(RUN, sagemaker, told.append, pauses.append)
        finally:
            watch.told = [" ".join(line.split()) for line in told]
    stubber.assert_no_pending_responses()
    return watch.told, pauses


def test_waiting_tells_each_change_once():
    working, done = {"StepStatus": "Executing"}, {"StepStatus": "Succeeded"}
    cached = {**done, "CacheHitResult": {"SourcePipelineExecutionArn": RUN}}
    told, pauses = watch(
        ("Executing", {"Preprocess": cached}),
        ("Executing", {"Preprocess": cached, "Train": working}),
        ("Executing", {"Preprocess": cached, "Train": working}),
        ("Succeeded", {"Preprocess": cached, "Train": done}),
    )
    assert told == ["Preprocess Succeeded (cached)", "Train Executing", "Train Succeeded"]
    assert pauses == [10, 10, 15]


@pytest.mark.parametrize("status", ["Failed", "Stopped", "CompletedWithFailures"])
def test_an_execution_that_does_not_succeed_fails_with_the_steps_reason(status):
    failed = {"StepStatus": "Failed", "FailureReason": "auc is 0.4\nand must be at least 0.9"}
    with pytest.raises(cloud.CloudError, match=r"Reject: auc is 0\.4 and must"):
        watch((status, {"Train": {"StepStatus": "Succeeded"}, "Reject": failed}))


def test_placeholders_are_refused(settings):
    cloud.require(settings)
    lacking = replace(settings, cloud=replace(settings.cloud, missing=("KMS_KEY_ARN",)))
    with pytest.raises(SettingsError, match="KMS_KEY_ARN not set: `make infra`"):
        cloud.require(lacking)


def test_the_definition_that_is_sent_fits_in_one_request(settings):
    from pipeline.pipeline import build

    text = build(settings).definition()
    assert json.loads(text)
    assert len(text) < 100_000
