"""The pipeline that our projects bring, infra/source.yml, from a push to a build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from access import allow, make_role, trusting
from pipelines import (
    DEV,
    HERE,
    actions,
    ended,
    failure,
)
from test_codeconnections import connect, url
from test_git import Git
from waiting import until

TEMPLATE = Path(__file__).parents[2] / "layers/model-build/infra/source.yml"
SPEC = """
version: 0.2
phases:
  build:
    commands:
      - test "$(cat a)" != bad
      - echo "built $CODEBUILD_RESOLVED_SOURCE_VERSION"
"""
# What a run of the pipeline needs, by where the source is.
SOURCE_ACTIONS = {
    "codecommit": {
        "codecommit:GetBranch",
        "codecommit:GetCommit",
        "codecommit:GetUploadArchiveStatus",
        "codecommit:UploadArchive",
    },
    "github": {"codeconnections:UseConnection"},
}
EVERY = {
    "codebuild:BatchGetBuilds",
    "codebuild:StartBuild",
    "kms:GenerateDataKey",
    "s3:PutObject",
}


@pytest.fixture
def platform(sandbox):
    """What source.yml expects of the other stacks; returns its parameters."""
    key = sandbox.client("kms").create_key()["KeyMetadata"]["Arn"]
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="store", CreateBucketConfiguration=HERE)
    queue = sandbox.client("sqs").create_queue(QueueName="dead")["QueueUrl"].rpartition("/")[2]
    builder = make_role(
        sandbox,
        "builder",
        allow("s3:GetObject", "arn:aws:s3:::store/p-1/*"),
        allow("kms:Decrypt", key),
        allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]),
        trust=trusting({"Service": "codebuild.amazonaws.com"}),
    )
    sandbox.client("codebuild").create_project(
        name="build",
        serviceRole=builder,
        source={"type": "CODEPIPELINE", "buildspec": SPEC},
        artifacts={"type": "CODEPIPELINE"},
        environment={
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
            "computeType": "BUILD_GENERAL1_SMALL",
        },
    )
    return {
        "ArtifactBucketName": "store",
        "BuildProjectName": "build",
        "DeadLetterQueueArn": f"arn:aws:sqs:eu-west-1:{DEV}:{queue}",
        "KmsKeyArn": key,
        "ProjectId": "p-1",
        "ProjectName": "churn",
    }


@pytest.fixture(params=["codecommit", "github"])
def project(request, sandbox, platform, tmp_path):
    """The pipeline's stack, beside a repository with a first commit: git, and where it is."""
    git = Git(sandbox, tmp_path)
    git("init", "--quiet", "--initial-branch=main", ".")
    if request.param == "codecommit":
        made = sandbox.client("codecommit").create_repository(repositoryName="churn")
        git("remote", "add", "origin", made["repositoryMetadata"]["cloneUrlHttp"])
        place = {"RepositoryId": "churn", "ConnectionArn": ""}
    else:
        sandbox.git_repository("owner/churn")
        arn = connect(sandbox)
        git("remote", "add", "origin", url(arn))
        place = {"RepositoryId": "owner/churn", "ConnectionArn": arn}
    git.commit("a", "1")
    git("push", "--quiet", "origin", "main")
    said = {**platform, **place, "GitHost": request.param}
    cf = sandbox.client("cloudformation")
    cf.create_stack(
        StackName="source",
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": one} for key, one in said.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    cf.get_waiter("stack_create_complete").wait(
        StackName="source", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    return request.param, git


def executions(client):
    found = client.list_pipeline_executions(pipelineName="p-1")
    return found["pipelineExecutionSummaries"]


def test_a_push_is_built(sandbox, project):
    host, git = project
    client = sandbox.client("codepipeline")
    assert ended(client, name="p-1") == "Succeeded", failure(client, name="p-1")
    pushed = git.commit("a", "2")
    git("push", "--quiet", "origin", "HEAD:topic", "main")
    found = until(lambda: executions(client), lambda one: len(one) == 2)
    assert ended(client, name="p-1") == "Succeeded", failure(client, name="p-1")
    kinds = {"codecommit": "CloudWatchEvent", "github": "WebhookV2"}
    assert found[0]["trigger"]["triggerType"] == kinds[host]
    number = executions(client)[0]["pipelineExecutionId"]
    _, built = actions(client, number, name="p-1")
    result = built["output"]["executionResult"]
    (build,) = sandbox.client("codebuild").batch_get_builds(ids=[result["externalExecutionId"]])[
        "builds"
    ]
    assert build["resolvedSourceVersion"] == pushed
    used = {
        one["action"]
        for call in sandbox.calls(decision="allowed")
        if call["principal"].endswith("role/seedbed-p-1-pipeline-eu-west-1")
        for one in call["actions"]
    }
    assert used == EVERY | SOURCE_ACTIONS[host]
    assert sandbox.calls(decision="denied") == []


def test_a_failing_build_is_tried_twice(sandbox, project):
    _, git = project
    client = sandbox.client("codepipeline")
    assert ended(client, name="p-1") == "Succeeded", failure(client, name="p-1")
    git.commit("a", "bad")
    git("push", "--quiet", "origin", "main")
    until(lambda: executions(client), lambda one: len(one) == 2)
    assert ended(client, name="p-1") == "Failed"
    number = executions(client)[0]["pipelineExecutionId"]
    tried = [one["actionName"] for one in actions(client, number, name="p-1")]
    assert tried == ["Source", "Build", "Build"]


def test_every_permission_that_was_used_is_needed(sandbox, project):
    host, _ = project
    client, iam = sandbox.client("codepipeline"), sandbox.client("iam")
    ended(client, name="p-1")
    name = "seedbed-p-1-pipeline-eu-west-1"
    for action in sorted(EVERY | SOURCE_ACTIONS[host]):
        said = {"Effect": "Deny", "Action": action, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [said]})
        iam.put_role_policy(RoleName=name, PolicyName="deny", PolicyDocument=document)
        number = client.start_pipeline_execution(name="p-1")["pipelineExecutionId"]
        assert ended(client, number, name="p-1") == "Failed", action
        assert action in failure(client, number, name="p-1")["message"]
