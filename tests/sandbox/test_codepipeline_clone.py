"""CODEBUILD_CLONE_REF: the build clones by itself, as its own role, tags and history included."""

from __future__ import annotations

import pytest
from access import allow
from pipelines import (
    action,
    actions,
    buckets,
    ended,
    failure,
    pipeline,
    role,
    stage,
)
from test_codeconnections import connect, url
from test_codepipeline_actions import REPOSITORY, project
from test_git import Git
from waiting import until

SPEC = """
version: 0.2
env:
  git-credential-helper: yes
  exported-variables: [VERSION, COUNT]
phases:
  build:
    commands:
      - git fetch --quiet --tags --force
      - export VERSION="$(git describe --tags --exact-match)"
      - export COUNT="$(git rev-list --count HEAD)"
"""
CLONE = {"BranchName": "main", "OutputArtifactFormat": "CODEBUILD_CLONE_REF"}


@pytest.fixture
def git(sandbox, tmp_path):
    made = Git(sandbox, tmp_path)
    made("init", "--quiet", "--initial-branch=main", ".")
    made.commit("a", "1")
    made.commit("buildspec.yml", SPEC)
    made("tag", "v1")
    return made


def cloning(sandbox, source, mays, **more):
    buckets(sandbox)
    get = action("Source", source.pop("Provider"), outputs=["src"], **source, **CLONE)
    build = action("Build", "CodeBuild", inputs=["src"], ProjectName="build", namespace="Made")
    pipeline_may, build_may = mays
    started = project(sandbox, *build_may)
    roles = role(sandbox, *pipeline_may, started)
    return pipeline(roles, stage("Source", get), stage("Build", build), **more)


def check(client, git, *, missing):
    """Expect a build of the tag, or what its role lacks."""
    if missing:
        assert ended(client) == "Failed"
        phases = {"build": "DOWNLOAD_SOURCE", "source": "not authorized"}
        assert phases[missing] in failure(client)["message"]
        return
    assert ended(client) == "Succeeded", failure(client)
    got, built = actions(client)
    assert built["output"]["outputVariables"] == {"VERSION": "v1", "COUNT": "2"}
    assert got["output"]["outputVariables"]["CommitId"] == git("rev-parse", "HEAD")


@pytest.mark.parametrize("missing", ["", "build", "source"])
def test_a_connection_is_cloned_through(sandbox, git, missing):
    client = sandbox.client("codepipeline")
    sandbox.git_repository("owner/churn")
    arn = connect(sandbox)
    git("push", "--quiet", url(arn), "main", "v1")
    may = allow("codeconnections:UseConnection", arn)
    source = {"Provider": "CodeStarSourceConnection", "DetectChanges": "false"}
    source |= {"ConnectionArn": arn, "FullRepositoryId": "owner/churn"}
    tags = {"sourceActionName": "Source", "push": [{"tags": {"includes": ["v*"]}}]}
    trigger = {"providerType": "CodeStarSourceConnection", "gitConfiguration": tags}
    mays = [[] if missing == one else [may] for one in ("source", "build")]
    client.create_pipeline(pipeline=cloning(sandbox, source, mays, triggers=[trigger]))
    check(client, git, missing=missing)
    git("push", "--quiet", url(arn), "v1:refs/tags/v2")
    listed = until(
        lambda: client.list_pipeline_executions(pipelineName="churn"),
        lambda one: len(one["pipelineExecutionSummaries"]) == 2,
    )
    assert listed["pipelineExecutionSummaries"][0]["trigger"]["triggerType"] == "WebhookV2"


@pytest.mark.parametrize("missing", ["", "build", "source"])
def test_a_repository_is_cloned(sandbox, git, missing):
    client = sandbox.client("codepipeline")
    made = sandbox.client("codecommit").create_repository(repositoryName="churn")
    git("push", "--quiet", made["repositoryMetadata"]["cloneUrlHttp"], "main", "v1")
    gets = ["codecommit:GetBranch", "codecommit:GetCommit"]
    gets += [] if missing == "source" else ["codecommit:GetRepository"]
    pulls = [] if missing == "build" else [allow("codecommit:GitPull", REPOSITORY)]
    mays = ([allow(gets, REPOSITORY)], pulls)
    source = {"Provider": "CodeCommit", "RepositoryName": "churn", "PollForSourceChanges": "false"}
    client.create_pipeline(pipeline=cloning(sandbox, source, mays))
    check(client, git, missing=missing)
