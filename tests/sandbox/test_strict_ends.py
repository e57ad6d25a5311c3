"""What goes while something is under way: it ends with a reason, and without a defect."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from access import allow, make_role, refused, trusting
from botocore.exceptions import ClientError
from pipelines import action, actions, buckets, ended, failure, pipeline, role, source, stage, waits
from test_lambda import zipped
from waiting import until

from seedbed.sandbox.services.codepipeline import run
from seedbed.sandbox.services.codepipeline.model import ActionRun
from seedbed.sandbox.services.git import store
from seedbed.sandbox.services.sagemaker.job_run import JobRun
from seedbed.sandbox.world import World

DEV = "333333333333"
QUEUE = {"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {}}}}


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.stop()


# Background work


def test_what_background_work_raises_is_told(world, capfd):
    def wrong():
        raise ValueError("a slip of ours")

    done = world.spawn("x", wrong)
    assert isinstance(done.exception(timeout=60), ValueError)
    assert "a slip of ours" in capfd.readouterr().err


# Repositories


def test_a_repository_that_is_gone_is_git_s_error(world, tmp_path):
    with pytest.raises(store.GitError, match=r"gone\.git is gone"):
        store.refs(world, tmp_path / "gone.git")


def test_a_pipeline_whose_repository_goes_fails_by_its_name(sandbox):
    buckets(sandbox)
    sandbox.client("codecommit").create_repository(repositoryName="churn")
    made = sandbox.client("codecommit").create_commit(
        repositoryName="churn", branchName="main", putFiles=[{"filePath": "a", "fileContent": b"1"}]
    )
    arn = f"arn:aws:codecommit:eu-west-1:{DEV}:churn"
    take = action(
        "Source", "CodeCommit", RepositoryName="churn", BranchName="main", outputs=["src"]
    )
    wait = action("Approve", "Manual", runOrder=2)
    client = sandbox.client("codepipeline")
    stages = stage("Source", source()), stage("Approve", wait)
    stages[0]["actions"] = [take]
    client.create_pipeline(pipeline=pipeline(role(sandbox, allow("codecommit:*", arn)), *stages))
    waits(client)
    sandbox.client("codecommit").delete_repository(repositoryName="churn")
    number = client.start_pipeline_execution(
        name="churn",
        sourceRevisions=[
            {
                "actionName": "Source",
                "revisionType": "COMMIT_ID",
                "revisionValue": made["commitId"],
            }
        ],
    )["pipelineExecutionId"]
    assert ended(client, number) == "Failed"
    why = failure(client, number)
    assert (why["code"], "churn" in why["message"]) == ("ConfigurationError", True)
    assert "Defect" not in why["message"]


@pytest.mark.parametrize(
    ("status", "raised", "code", "is_told"),
    [
        ("InProgress", store.GitError("x.git is gone"), "ConfigurationError", False),
        ("InProgress", KeyError("x"), "SystemUnavailable", True),
        ("Abandoned", KeyError("x"), None, False),
    ],
)
def test_only_a_defect_that_somebody_waits_for_is_traced(  # noqa: PLR0917
    world, monkeypatch, capfd, status, raised, code, is_told
):
    """A repository goes between two looks at it; nobody waits for what was abandoned."""

    def fails(_):
        raise raised

    monkeypatch.setitem(run.RUNNERS, "CodeCommit", fails)
    monkeypatch.setattr(run.Engine, "_tell_action", lambda *_: None)
    declared = {
        "name": "Source",
        "actionTypeId": {"provider": "CodeCommit"},
        **{key: [] for key in ("inputArtifacts", "outputArtifacts")},
        "configuration": {},
    }
    tried = ActionRun("id", "Source", declared, world.now(), world.now(), status)
    acting = SimpleNamespace(run=tried, execution=SimpleNamespace(), name="Source")
    run.Engine(world, threading.RLock())._act(acting)
    assert (tried.error.code if tried.error else None) == code
    assert ("Traceback" in capfd.readouterr().err) == is_told


def test_a_branch_that_git_would_not_name_is_refused(sandbox):
    client = sandbox.client("codecommit")
    client.create_repository(repositoryName="churn")
    with refused("InvalidBranchNameException", "a..b"):
        client.put_file(repositoryName="churn", branchName="a..b", fileContent=b"1", filePath="a")


# Pipelines


def test_a_deleted_pipeline_ends_and_a_new_one_of_its_name_is_another(sandbox):
    buckets(sandbox)
    client = sandbox.client("codepipeline")
    declared = pipeline(
        role(sandbox), stage("Source", source()), stage("Approve", action("Approve", "Manual"))
    )
    client.create_pipeline(pipeline=declared)
    waits(client)
    heard = len(sandbox.calls(operation="PutEvents"))
    client.delete_pipeline(name="churn")
    # The stage, the action and the execution tell of their end.
    until(lambda: len(sandbox.calls(operation="PutEvents")), lambda now: now >= heard + 2)
    with refused("PipelineNotFoundException"):
        client.start_pipeline_execution(name="churn")
    client.create_pipeline(pipeline=declared)
    waits(client)
    assert len(actions(client)) == 2


# SageMaker


def test_a_job_whose_role_goes_fails_with_what_was_said(world, monkeypatch):
    said = {"Error": {"Code": "AccessDenied", "Message": "role/r does not exist"}}
    monkeypatch.setattr(
        JobRun, "_run", lambda _: (_ for _ in ()).throw(ClientError(said, "AssumeRole"))
    )
    monkeypatch.setattr(JobRun, "_tell", lambda _: None)
    monkeypatch.setattr(JobRun, "_log", lambda _: None)
    ends = SimpleNamespace(set=lambda: None)
    record = SimpleNamespace(said={"ProcessingJobName": "j", "RoleArn": "r"}, tags={}, arn="a")
    job = SimpleNamespace(record=record, kind="Processing", ended=ends, stop=None)
    ctx = world.context("sagemaker", DEV)
    JobRun(ctx, job, world.lock).run()
    assert record.said["ProcessingJobStatus"] == "Failed"
    assert "role/r does not exist" in record.said["FailureReason"]


# Lambda


def test_an_event_for_a_function_whose_role_is_gone_is_lost(sandbox):
    trust = trusting({"Service": "lambda.amazonaws.com"})
    arn = make_role(sandbox, "worker", trust=trust)
    client = sandbox.client("lambda")
    client.create_function(
        FunctionName="f",
        Runtime="python3.13",
        Handler="i.h",
        Role=arn,
        Code={"ZipFile": zipped("def h(e, c): ...")},
    )
    sandbox.client("iam").delete_role(RoleName="worker")
    assert client.invoke(FunctionName="f", InvocationType="Event")["StatusCode"] == 202
    asked = until(lambda: sandbox.calls(operation="AssumeRole", decision="denied"))
    assert asked[0]["principal"] == "lambda.amazonaws.com"


# Requests side by side


def at_once(call, times=4):
    """Call several times at once; return the answers and the codes of errors."""

    def one(_):
        try:
            return call()
        except ClientError as error:
            return error.response["Error"]["Code"]

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


def test_a_change_set_is_carried_out_once(sandbox):
    client = sandbox.client("cloudformation")
    said = {"StackName": "s", "ChangeSetName": "c"}
    client.create_change_set(ChangeSetType="CREATE", TemplateBody=json.dumps(QUEUE), **said)
    found = at_once(lambda: client.execute_change_set(**said))
    assert sum(isinstance(one, dict) for one in found) == 1
    stack = until(
        lambda: client.describe_stacks(StackName="s")["Stacks"][0]["StackStatus"],
        lambda one: not one.endswith("PROGRESS"),
    )
    assert stack == "CREATE_COMPLETE"
    assert len(sandbox.client("sqs").list_queues()["QueueUrls"]) == 1


def test_a_stack_of_one_token_is_made_once(sandbox):
    client = sandbox.client("cloudformation")
    asked = {"StackName": "s", "TemplateBody": json.dumps(QUEUE), "ClientRequestToken": "t"}
    found = at_once(lambda: client.create_stack(**asked)["StackId"])
    assert len(set(found)) == 1


def test_a_refused_update_leaves_the_stack_s_settings(sandbox):
    """The role and topics of an update that runs are not those of one that was refused."""
    trust = trusting({"Service": "cloudformation.amazonaws.com"})
    arn = make_role(sandbox, "maker", allow("sqs:*"), trust=trust)
    client = sandbox.client("cloudformation")
    client.create_stack(StackName="s", TemplateBody=json.dumps(QUEUE))
    status = lambda: client.describe_stacks(StackName="s")["Stacks"][0]  # noqa: E731
    until(lambda: status()["StackStatus"], "CREATE_COMPLETE".__eq__)
    with pytest.raises(ClientError, match="No updates"):
        client.update_stack(StackName="s", UsePreviousTemplate=True)
    changed = json.dumps(QUEUE).replace("{}", '{"VisibilityTimeout": 5}')
    asked = {"StackName": "s", "TemplateBody": changed}
    found = at_once(lambda: client.update_stack(**asked, RoleARN=arn), 3)
    assert sum(isinstance(one, dict) for one in found) >= 1
    until(lambda: status()["StackStatus"], "UPDATE_COMPLETE".__eq__)
    assert status()["RoleARN"] == arn
