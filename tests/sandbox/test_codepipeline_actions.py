"""What a pipeline's actions do: sources, builds, stacks, functions, and pushes that start it."""

from __future__ import annotations

import json

import pytest
from access import allow, document, make_role, trusting
from pipelines import (
    DEV,
    action,
    actions,
    answer,
    buckets,
    ended,
    failure,
    pipeline,
    push,
    role,
    source,
    stage,
    unzipped,
    waits,
    zipped,
)
from test_codeconnections import connect, url
from test_git import Git
from waiting import until

REPOSITORY = f"arn:aws:codecommit:eu-west-1:{DEV}:churn"
COMMIT_ACTIONS = ("GetBranch", "GetCommit", "UploadArchive", "GetUploadArchiveStatus")


@pytest.fixture
def client(sandbox):
    return sandbox.client("codepipeline")


def approve():
    return stage("Approve", action("Approve", "Manual"))


def permit(sandbox, name, *statements):
    """Give a role of the dev account more."""
    iam = sandbox.client("iam")
    said = document(*statements)
    iam.put_role_policy(RoleName=name, PolicyName="more", PolicyDocument=said)


def executions(client):
    found = client.list_pipeline_executions(pipelineName="churn")
    return found["pipelineExecutionSummaries"]


def artifact(sandbox, run):
    """Return the files of an action's output, from the artifact store."""
    (place,) = run["output"]["outputArtifacts"]
    said = place["s3location"]
    body = sandbox.client("s3").get_object(Bucket=said["bucket"], Key=said["key"])["Body"]
    return unzipped(body.read())


# CodeCommit


@pytest.fixture
def commits(sandbox):
    """A repository with one commit; returns a function that makes another."""
    codecommit = sandbox.client("codecommit")
    codecommit.create_repository(repositoryName="churn")
    tip = {}

    def commit(**files):
        put = [{"filePath": name, "fileContent": text.encode()} for name, text in files.items()]
        made = codecommit.create_commit(
            repositoryName="churn", branchName="main", commitMessage="m", putFiles=put, **tip
        )
        tip["parentCommitId"] = made["commitId"]
        return made["commitId"]

    return commit


@pytest.fixture
def from_commits(sandbox, commits):
    """A pipeline of a CodeCommit source and an approval, and its first commit."""
    first = commits(a="1")
    buckets(sandbox)
    may = allow([f"codecommit:{one}" for one in COMMIT_ACTIONS], REPOSITORY)
    said = {"RepositoryName": "churn", "BranchName": "main", "PollForSourceChanges": "false"}
    get = action("Source", "CodeCommit", outputs=["src"], namespace="Src", **said)
    return pipeline(role(sandbox, may), stage("Source", get), approve()), first


def test_a_commit_is_packed(sandbox, client, from_commits):
    declared, first = from_commits
    declared["stages"][1]["actions"][0]["configuration"] = {"CustomData": "#{Src.CommitId}"}
    client.create_pipeline(pipeline=declared)
    waits(client)
    got, asked = actions(client)
    assert artifact(sandbox, got) == {"a": "1"}
    assert asked["input"]["resolvedConfiguration"]["CustomData"] == first
    assert got["output"]["outputVariables"]["CommitMessage"].strip() == "m"
    (revision,) = executions(client)[0]["sourceRevisions"]
    assert revision == {"actionName": "Source", "revisionId": first, "revisionSummary": "m"}
    judged = {
        one["operation"]
        for one in sandbox.calls(service="codecommit", decision="allowed")
        if one["principal"].endswith("role/pipeline")
    }
    assert judged == set(COMMIT_ACTIONS)


@pytest.mark.parametrize("missing", COMMIT_ACTIONS)
def test_every_permission_of_the_source_is_needed(sandbox, client, from_commits, missing):
    declared, _ = from_commits
    deny = {**allow(f"codecommit:{missing}", REPOSITORY), "Effect": "Deny"}
    permit(sandbox, "pipeline", deny)
    client.create_pipeline(pipeline=declared)
    assert ended(client) == "Failed"
    why = failure(client)
    assert (why["code"], f"codecommit:{missing}" in why["message"]) == ("PermissionError", True)


def test_a_repository_of_another_account(sandbox, client, from_commits):
    """The action's role, of the repository's account, gives the zip to the bucket's owner."""
    hub = sandbox.account("hub")
    far = sandbox.client("codecommit", "hub")
    far.create_repository(repositoryName="churn")
    far.put_file(repositoryName="churn", branchName="main", filePath="b", fileContent=b"far")
    store = "arn:aws:s3:::artifacts/*"
    fetcher = make_role(
        sandbox,
        "fetcher",
        allow("codecommit:*"),
        allow(["s3:PutObject", "s3:PutObjectAcl"], store),
        account="hub",
        trust=trusting({"AWS": f"arn:aws:iam::{DEV}:root"}),
    )
    theirs = {"Principal": {"AWS": f"arn:aws:iam::{hub}:root"}}
    may = allow(["s3:PutObject", "s3:PutObjectAcl"], store, **theirs)
    sandbox.client("s3").put_bucket_policy(Bucket="artifacts", Policy=document(may))
    permit(sandbox, "pipeline", allow("sts:AssumeRole", fetcher))
    declared, _ = from_commits
    declared["stages"][0]["actions"][0]["roleArn"] = fetcher
    client.create_pipeline(pipeline=declared)
    waits(client)
    assert artifact(sandbox, actions(client)[0]) == {"b": "far"}
    (put,) = [one for one in sandbox.calls(operation="PutObject") if one["account"] == hub]
    assert put["params"]["ACL"] == "bucket-owner-full-control"


def test_an_older_commit_can_be_asked_for(sandbox, client, from_commits, commits):
    declared, first = from_commits
    commits(a="2")
    client.create_pipeline(pipeline=declared)
    answer(client, "Approved", waits(client))
    ended(client)
    said = {"actionName": "Source", "revisionType": "COMMIT_ID", "revisionValue": first}
    started = client.start_pipeline_execution(name="churn", sourceRevisions=[said])
    number = started["pipelineExecutionId"]
    until(lambda: actions(client, number), lambda one: len(one) == 2)
    assert artifact(sandbox, actions(client, number)[0]) == {"a": "1"}


def test_an_event_rule_starts_it(sandbox, client, from_commits, commits):
    declared, _ = from_commits
    client.create_pipeline(pipeline=declared)
    answer(client, "Approved", waits(client))
    ended(client)
    events, here = sandbox.client("events"), f"arn:aws:codepipeline:eu-west-1:{DEV}:churn"
    trust = trusting({"Service": "events.amazonaws.com"})
    starter = make_role(
        sandbox, "starter", allow("codepipeline:StartPipelineExecution", here), trust=trust
    )
    pattern = {"source": ["aws.codecommit"], "resources": [REPOSITORY]}
    events.put_rule(Name="r", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="r", Targets=[{"Id": "p", "Arn": here, "RoleArn": starter}])
    second = commits(a="2")
    found = until(lambda: executions(client), lambda one: len(one) == 2)
    assert found[0]["trigger"]["triggerType"] == "CloudWatchEvent"
    waits(client)
    assert executions(client)[0]["sourceRevisions"][0]["revisionId"] == second


@pytest.mark.parametrize("polls", ["true", "false"])
def test_polling_for_changes(sandbox, client, from_commits, commits, polls):
    declared, count = from_commits[0], 2 if polls == "true" else 1
    declared["stages"][0]["actions"][0]["configuration"]["PollForSourceChanges"] = polls
    client.create_pipeline(pipeline=declared)
    answer(client, "Approved", waits(client))
    ended(client)
    tip = commits(a="2")
    codecommit = sandbox.client("codecommit")
    codecommit.create_branch(repositoryName="churn", branchName="topic", commitId=tip)
    until(lambda: len(executions(client)), lambda one: one == count)
    client.start_pipeline_execution(name="churn")
    assert len(executions(client)) == count + 1


# Connections


@pytest.fixture
def host(sandbox, tmp_path):
    """A repository at the git host, a connection to it, and git in a folder."""
    sandbox.git_repository("owner/churn")
    arn = connect(sandbox)
    git = Git(sandbox, tmp_path)
    git("init", "--quiet", "--initial-branch=main", ".")
    git("remote", "add", "origin", url(arn))
    git.commit("src/a.py", "1")
    git("push", "--quiet", "origin", "main")
    return arn, git


def connected(sandbox, arn, *triggers, condition=None, **more):
    """Return a pipeline of a connection's source and an approval."""
    buckets(sandbox)
    service = arn.split(":")[2]
    extra = {"Condition": condition} if condition else {}
    may = allow(f"{service}:UseConnection", arn, **extra)
    said = {"ConnectionArn": arn, "FullRepositoryId": "owner/churn", "BranchName": "main"}
    get = action("Source", "CodeStarSourceConnection", outputs=["src"], **(said | more))
    declared = pipeline(role(sandbox, may), stage("Source", get), approve())
    if triggers:
        declared["triggers"] = [
            {
                "providerType": "CodeStarSourceConnection",
                "gitConfiguration": {"sourceActionName": "Source", "push": list(triggers)},
            }
        ]
    return declared


def test_a_connection_is_used_as_the_role(sandbox, client, host):
    arn, git = host
    only = {"StringEquals": {"codeconnections:FullRepositoryId": "owner/churn"}}
    client.create_pipeline(pipeline=connected(sandbox, arn, condition=only))
    waits(client)
    got = actions(client)[0]
    assert artifact(sandbox, got) == {"src/a.py": "1"}
    said = got["output"]["outputVariables"]
    assert (said["CommitId"], said["BranchName"]) == (git("rev-parse", "HEAD"), "main")
    (revision,) = executions(client)[0]["sourceRevisions"]
    assert revision["revisionUrl"].startswith("https://github.com/owner/churn/commit/")
    used = [
        one["params"]["ProviderAction"]
        for one in sandbox.calls(operation="UseConnection")
        if one["principal"].endswith("role/pipeline")
    ]
    assert used == ["GetBranch", "StartUploadArchiveToS3", "GetUploadArchiveToS3Status"]


def test_a_connection_that_may_not_be_used(sandbox, client, host):
    arn, _ = host
    only = {"StringEquals": {"codeconnections:FullRepositoryId": "owner/other"}}
    client.create_pipeline(pipeline=connected(sandbox, arn, condition=only))
    assert ended(client) == "Failed"
    assert failure(client)["code"] == "PermissionError"


def test_a_branch_that_is_not_there(sandbox, client, host):
    client.create_pipeline(pipeline=connected(sandbox, host[0], BranchName="absent"))
    assert ended(client) == "Failed"
    assert "refs/heads/absent" in failure(client)["message"]


MAIN = {"branches": {"includes": ["main"]}}


@pytest.mark.parametrize("detects", [True, False])
def test_a_push_starts_it(sandbox, client, host, detects):
    """By a trigger, or by the source's own detection; a push to another branch does not."""
    arn, git = host
    declared = connected(sandbox, arn, *([] if detects else [MAIN]), DetectChanges=str(detects))
    client.create_pipeline(pipeline=declared)
    answer(client, "Approved", waits(client))
    ended(client)
    git("push", "--quiet", "origin", "HEAD:topic")
    commit = git.commit("a", "changed")
    git("push", "--quiet", "origin", "main")
    found = until(lambda: executions(client), lambda one: len(one) == 2)
    assert found[0]["trigger"] == {"triggerType": "WebhookV2", "triggerDetail": arn}
    waits(client)
    assert executions(client)[0]["sourceRevisions"][0]["revisionId"] == commit
    assert len(executions(client)) == 2


def test_a_pull_request_trigger_is_refused(sandbox, client, host):
    declared = connected(sandbox, host[0], MAIN)
    said = declared["triggers"][0]["gitConfiguration"]
    said["pullRequest"] = [{"branches": {"includes": ["main"]}}]
    with pytest.raises(client.exceptions.ClientError, match="pullRequest"):
        client.create_pipeline(pipeline=declared)
    del said["pullRequest"]
    said["push"] = [{"branches": {"includes": ["{a,b}"]}}]
    with pytest.raises(client.exceptions.ClientError, match=r"\{a,b\}"):
        client.create_pipeline(pipeline=declared)


# CodeBuild

SPEC = """
version: 0.2
env:
  exported-variables: [ANSWER]
phases:
  build:
    commands:
      - export ANSWER="$WORD of $(cat a)"
      - echo "$ANSWER" > out.txt
artifacts:
  files: [out.txt]
"""


def project(sandbox, *statements, name="build", bucket="artifacts"):
    """Make a project whose sources a pipeline gives."""
    logs = allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"])
    s3 = allow(["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{bucket}/*")
    trust = trusting({"Service": "codebuild.amazonaws.com"})
    arn = make_role(sandbox, name, logs, s3, *statements, trust=trust)
    sandbox.client("codebuild").create_project(
        name="build",
        serviceRole=arn,
        source={"type": "CODEPIPELINE"},
        artifacts={"type": "CODEPIPELINE"},
        environment={
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
            "computeType": "BUILD_GENERAL1_SMALL",
        },
    )
    return allow(
        ["codebuild:StartBuild", "codebuild:BatchGetBuilds"],
        f"arn:aws:codebuild:eu-west-1:{DEV}:project/build",
    )


@pytest.fixture
def building(sandbox):
    """A pipeline of a source and a build, not made yet."""
    buckets(sandbox, buildspec__yml=SPEC, a="question")
    given = json.dumps([{"name": "WORD", "value": "#{variables.word}"}])
    build = action(
        "Build",
        "CodeBuild",
        inputs=["src"],
        outputs=["made"],
        namespace="Made",
        ProjectName="build",
        EnvironmentVariables=given,
    )
    show = action("Approve", "Manual", CustomData="#{Made.ANSWER}")
    return pipeline(
        role(sandbox, project(sandbox)),
        stage("Source", source()),
        stage("Build", build),
        stage("Approve", show),
        variables=[{"name": "word", "defaultValue": "answer"}],
    )


def test_a_build_gets_the_source_and_gives_its_artifact(sandbox, client, building):
    client.create_pipeline(pipeline=building)
    waits(client)
    _, built, shown = actions(client)
    assert artifact(sandbox, built) == {"out.txt": "answer of question\n"}
    assert shown["input"]["resolvedConfiguration"]["CustomData"] == "answer of question"
    number = built["output"]["executionResult"]["externalExecutionId"]
    (found,) = sandbox.client("codebuild").batch_get_builds(ids=[number])["builds"]
    assert found["initiator"] == "codepipeline/churn"
    assert found["source"]["type"] == "CODEPIPELINE"


TWO = """
version: 0.2
phases:
  build:
    commands:
      - cat a "$CODEBUILD_SRC_DIR_other/b" > both.txt
      - echo second > second.txt
artifacts:
  secondary-artifacts:
    one: {files: [both.txt]}
    two: {files: [second.txt]}
"""


def test_a_build_of_two_sources_and_two_artifacts(sandbox, client):
    buckets(sandbox, buildspec__yml=TWO, a="1")
    other = zipped(b="2")
    sandbox.client("s3").put_object(Bucket="sources", Key="other.zip", Body=other)
    build = action(
        "Build",
        "CodeBuild",
        inputs=["other", "src"],
        outputs=["one", "two"],
        ProjectName="build",
        PrimarySource="src",
    )
    second = source("Other", S3ObjectKey="other.zip", outputs=["other"])
    declared = pipeline(
        role(sandbox, project(sandbox)), stage("Source", source(), second), stage("Build", build)
    )
    client.create_pipeline(pipeline=declared)
    assert ended(client) == "Succeeded", failure(client)
    built = actions(client)[-1]
    one, two = built["output"]["outputArtifacts"]
    for place, files in ((one, {"both.txt": "12"}), (two, {"second.txt": "second\n"})):
        run = {"output": {"outputArtifacts": [place]}}
        assert artifact(sandbox, run) == files
    del build["configuration"]["PrimarySource"]
    with pytest.raises(client.exceptions.ClientError, match="PrimarySource"):
        client.update_pipeline(pipeline=declared)


def test_a_failed_build_fails_and_is_retried(sandbox, client, building):
    push(sandbox, buildspec__yml=SPEC.replace("- echo", "- false; exit 3; echo"), a="x")
    failing = {"result": "RETRY", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}}
    building["stages"][1]["onFailure"] = failing
    client.create_pipeline(pipeline=building)
    assert ended(client) == "Failed"
    assert [one["actionName"] for one in actions(client)] == ["Source", "Build", "Build"]
    assert "Phase: BUILD" in failure(client)["message"]
    builds = sandbox.client("codebuild").list_builds_for_project(projectName="build")["ids"]
    assert len(builds) == 2


def test_a_build_that_the_role_may_not_start(sandbox, client, building):
    here = f"arn:aws:codebuild:eu-west-1:{DEV}:project/build"
    permit(sandbox, "pipeline", {**allow("codebuild:StartBuild", here), "Effect": "Deny"})
    client.create_pipeline(pipeline=building)
    assert ended(client) == "Failed"
    why = failure(client)
    assert (why["code"], "codebuild:StartBuild" in why["message"]) == ("PermissionError", True)


# CloudFormation

TEMPLATE = json.dumps(
    {
        "Parameters": {"Word": {"Type": "String"}, "Place": {"Type": "String", "Default": "-"}},
        "Resources": {
            "P": {
                "Type": "AWS::SSM::Parameter",
                "Properties": {"Name": "/p", "Type": "String", "Value": {"Ref": "Word"}},
            }
        },
        "Outputs": {"Word": {"Value": {"Ref": "Word"}}, "Place": {"Value": {"Ref": "Place"}}},
    }
)
SETTINGS = json.dumps({"Parameters": {"Word": "one"}, "Tags": {"team": "ml"}})
STACK = [
    *(f"{one}Stack" for one in ("Create", "Update", "Delete")),
    *(f"{one}ChangeSet" for one in ("Create", "Describe", "Delete", "Execute")),
    "DescribeStacks",
    "TagResource",
]
SSM = [f"ssm:{one}Parameter{more}" for one in ("Get", "Put", "Delete") for more in ("", "s")]


def deploying(sandbox, *deploys, files=None):
    """Return a pipeline of a source and deploy actions, one after the other."""
    buckets(sandbox, **(files or {"t__json": TEMPLATE, "s__json": SETTINGS}))
    trust = trusting({"Service": "cloudformation.amazonaws.com"})
    ssm = allow([*SSM, "ssm:AddTagsToResource", "ssm:RemoveTagsFromResource"])
    stacks = make_role(sandbox, "stacks", ssm, trust=trust)
    may = [
        allow([f"cloudformation:{one}" for one in STACK]),
        allow("iam:PassRole", stacks),
    ]
    found = [
        action(
            f"Deploy{number}",
            "CloudFormation",
            inputs=["src"],
            runOrder=number + 1,
            RoleArn=stacks,
            StackName="s",
            **said,
        )
        for number, said in enumerate(deploys)
    ]
    return pipeline(role(sandbox, *may), stage("Source", source()), stage("Deploy", *found))


def stored(sandbox, account="dev"):
    return sandbox.client("ssm", account).get_parameter(Name="/p")["Parameter"]["Value"]


def test_a_stack_is_made_and_changed(sandbox, client):
    overrides = {"Place": {"Fn::GetArtifactAtt": ["src", "BucketName"]}}
    said = {
        "ActionMode": "CREATE_UPDATE",
        "TemplatePath": "src::t.json",
        "TemplateConfiguration": "src::s.json",
        "ParameterOverrides": json.dumps(overrides),
    }
    declared = deploying(
        sandbox, {**said, "namespace": "Out", "outputs": ["told"], "OutputFileName": "o.json"}
    )
    client.create_pipeline(pipeline=declared)
    assert ended(client) == "Succeeded", failure(client)
    assert stored(sandbox) == "one"
    run = actions(client)[1]
    assert run["output"]["outputVariables"] == {"Word": "one", "Place": "artifacts"}
    assert json.loads(artifact(sandbox, run)["o.json"])["Word"] == "one"
    (stack,) = sandbox.client("cloudformation").describe_stacks(StackName="s")["Stacks"]
    assert {"Key": "team", "Value": "ml"} in stack["Tags"]
    assert stack["RoleARN"].endswith("role/stacks")
    push(sandbox, t__json=TEMPLATE, s__json=SETTINGS.replace("one", "two"))
    for _ in range(2):  # the second time there is nothing to change
        number = client.start_pipeline_execution(name="churn")["pipelineExecutionId"]
        assert ended(client, number) == "Succeeded", failure(client)
        assert stored(sandbox) == "two"


def test_a_change_set_is_made_carried_out_and_the_stack_deleted(sandbox, client):
    changes = {"ChangeSetName": "c"}
    overrides = {"Word": {"Fn::GetParam": ["src", "w.json", "word"]}}
    replace = {
        **changes,
        "ActionMode": "CHANGE_SET_REPLACE",
        "TemplatePath": "src::t.json",
        "ParameterOverrides": json.dumps(overrides),
    }
    carry_out = {**changes, "ActionMode": "CHANGE_SET_EXECUTE"}
    files = {"t__json": TEMPLATE, "w__json": '{"word": "three"}'}
    declared = deploying(sandbox, replace, carry_out, replace, carry_out, files=files)
    client.create_pipeline(pipeline=declared)
    assert ended(client) == "Succeeded", failure(client)
    assert stored(sandbox) == "three"
    gone = {"ActionMode": "DELETE_ONLY"}
    declared["stages"][1]["actions"] = [
        {
            **declared["stages"][1]["actions"][0],
            "configuration": {"StackName": "s", **gone},
            "inputArtifacts": [],
        }
    ]
    client.update_pipeline(pipeline=declared)
    for _ in range(2):  # a stack that is not there is no failure
        number = client.start_pipeline_execution(name="churn")["pipelineExecutionId"]
        assert ended(client, number) == "Succeeded", failure(client)
    assert (
        sandbox.client("cloudformation").list_stacks(StackStatusFilter=["CREATE_COMPLETE"])[
            "StackSummaries"
        ]
        == []
    )


def test_a_stack_that_fails_fails_the_action(sandbox, client):
    said = {"ActionMode": "CREATE_UPDATE", "TemplatePath": "src::t.json"}
    declared = deploying(sandbox, {**said, "ParameterOverrides": '{"Word": "x"}'})
    permit_nothing = {**allow("ssm:PutParameter"), "Effect": "Deny"}
    permit(sandbox, "stacks", permit_nothing)
    client.create_pipeline(pipeline=declared)
    assert ended(client) == "Failed"
    assert "ROLLBACK_COMPLETE" in failure(client)["message"]
    sandbox.client("iam").delete_role_policy(RoleName="stacks", PolicyName="more")
    declared["stages"][1]["actions"][0]["configuration"]["ActionMode"] = "REPLACE_ON_FAILURE"
    client.update_pipeline(pipeline=declared)
    number = client.start_pipeline_execution(name="churn")["pipelineExecutionId"]
    assert ended(client, number) == "Succeeded", failure(client)
    assert stored(sandbox) == "x"


def test_a_file_that_is_not_in_the_artifact(sandbox, client):
    said = {"ActionMode": "CREATE_UPDATE", "TemplatePath": "src::absent.json"}
    client.create_pipeline(pipeline=deploying(sandbox, said))
    assert ended(client) == "Failed"
    assert failure(client)["code"] == "ConfigurationError"
    assert "absent.json" in failure(client)["message"]


def test_a_stack_in_another_account(sandbox, client):
    """An action's role is assumed by the pipeline's, and reads artifacts with a key's consent."""
    production = sandbox.account("prod")
    key = sandbox.client("kms").create_key()["KeyMetadata"]["Arn"]
    stacks = make_role(
        sandbox,
        "stacks",
        allow([*SSM, "ssm:AddTagsToResource", "ssm:RemoveTagsFromResource"]),
        account="prod",
        trust=trusting({"Service": "cloudformation.amazonaws.com"}),
    )
    deployer = make_role(
        sandbox,
        "deployer",
        allow([f"cloudformation:{one}" for one in STACK]),
        allow("iam:PassRole", stacks),
        allow("s3:GetObject", "arn:aws:s3:::artifacts/*"),
        allow("kms:Decrypt", key),
        account="prod",
        trust=trusting({"AWS": f"arn:aws:iam::{DEV}:root"}),
    )
    buckets(sandbox, t__json=TEMPLATE)
    theirs = {"Principal": {"AWS": f"arn:aws:iam::{production}:root"}}
    sandbox.client("s3").put_bucket_policy(
        Bucket="artifacts",
        Policy=document(allow("s3:GetObject", "arn:aws:s3:::artifacts/*", **theirs)),
    )
    own = {"Principal": {"AWS": f"arn:aws:iam::{DEV}:root"}}
    sandbox.client("kms").put_key_policy(
        KeyId=key,
        PolicyName="default",
        Policy=document(allow("kms:*", **own), allow("kms:Decrypt", **theirs)),
    )
    deploy = action(
        "Deploy",
        "CloudFormation",
        inputs=["src"],
        roleArn=deployer,
        ActionMode="CREATE_UPDATE",
        StackName="s",
        TemplatePath="src::t.json",
        ParameterOverrides='{"Word": "far"}',
        RoleArn=stacks,
    )
    uses = allow(["kms:GenerateDataKey", "kms:Decrypt"], key)
    declared = pipeline(
        role(sandbox, uses, allow("sts:AssumeRole", deployer)),
        stage("Source", source()),
        stage("Deploy", deploy),
    )
    declared["artifactStore"]["encryptionKey"] = {"type": "KMS", "id": key}
    client.create_pipeline(pipeline=declared)
    assert ended(client) == "Succeeded", failure(client)
    assert stored(sandbox, "prod") == "far"
    sandbox.client("s3").delete_bucket_policy(Bucket="artifacts")
    number = client.start_pipeline_execution(name="churn")["pipelineExecutionId"]
    assert ended(client, number) == "Failed"
    assert "s3:GetObject" in failure(client)["message"]


# Lambda

HANDLER = """
import boto3, io, json, zipfile
def handler(event, context):
    job = event["CodePipeline.job"]
    data, codepipeline = job["data"], boto3.client("codepipeline")
    said = data["artifactCredentials"]
    s3 = boto3.client(
        "s3",
        aws_access_key_id=said["accessKeyId"],
        aws_secret_access_key=said["secretAccessKey"],
        aws_session_token=said["sessionToken"],
    )
    place = data["inputArtifacts"][0]["location"]["s3Location"]
    body = s3.get_object(Bucket=place["bucketName"], Key=place["objectKey"])["Body"].read()
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        text = archive.read("a").decode()
    word = data["actionConfiguration"]["configuration"]["UserParameters"]
    if word == "fail":
        failure = {"type": "JobFailed", "message": "as asked"}
        codepipeline.put_job_failure_result(jobId=job["id"], failureDetails=failure)
    elif word == "twice" and "continuationToken" not in data:
        codepipeline.put_job_success_result(jobId=job["id"], continuationToken="more")
    else:
        codepipeline.put_job_success_result(jobId=job["id"], outputVariables={"Text": text})
"""


@pytest.mark.parametrize("word", ["once", "twice", "fail"])
def test_a_function_tells_how_its_job_ended(sandbox, client, word):
    buckets(sandbox, a="question")
    made = make_role(
        sandbox,
        "function",
        allow(["codepipeline:PutJobSuccessResult", "codepipeline:PutJobFailureResult"]),
        trust=trusting({"Service": "lambda.amazonaws.com"}),
    )
    function = sandbox.client("lambda").create_function(
        FunctionName="f",
        Runtime="python3.12",
        Handler="h.handler",
        Role=made,
        Timeout=60,
        Code={"ZipFile": zipped(h__py=HANDLER)},
    )["FunctionArn"]
    invoke = action(
        "Ask", "Lambda", inputs=["src"], FunctionName="f", UserParameters=word, namespace="Told"
    )
    may = allow("lambda:InvokeFunction", function)
    declared = pipeline(role(sandbox, may), stage("Source", source()), stage("Ask", invoke))
    client.create_pipeline(pipeline=declared)
    if word == "fail":
        assert ended(client) == "Failed"
        assert failure(client) == {"code": "JobFailed", "message": "as asked"}
        return
    assert ended(client) == "Succeeded", failure(client)
    assert actions(client)[1]["output"]["outputVariables"] == {"Text": "question"}
    invoked = sandbox.calls(service="lambda", operation="Invoke")
    assert len(invoked) == (2 if word == "twice" else 1)
    job = actions(client)[1]["actionExecutionId"]
    with pytest.raises(client.exceptions.InvalidJobStateException):
        client.put_job_success_result(jobId=job)


def test_actions_of_one_order_run_side_by_side(sandbox, client):
    buckets(sandbox)
    pair = [action(name, "Manual") for name in ("First", "Second")]
    last = action("Last", "Manual", runOrder=2)
    declared = pipeline(role(sandbox), stage("Source", source()), stage("Ask", *pair, last))
    client.create_pipeline(pipeline=declared)
    tokens = {name: waits(client, "Ask", name) for name in ("First", "Second")}
    assert len(actions(client)) == 3
    for name, token in tokens.items():
        answer(client, "Approved", token, "Ask", name)
    answer(client, "Approved", waits(client, "Ask", "Last"), "Ask", "Last")
    assert ended(client) == "Succeeded"
