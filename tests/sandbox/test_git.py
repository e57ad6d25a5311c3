"""CodeCommit and connections: unmodified git clones, pushes, and is refused."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from access import allow, make_role, refused
from botocore.exceptions import ClientError
from cfn_stacks import delete, settle
from waiting import until

REPOSITORY = "arn:aws:codecommit:eu-west-1:333333333333:churn"
AWS_URL = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos"


class Git:
    """Git in a folder, as somebody."""

    def __init__(self, sandbox, folder, account="dev", role=None):
        self.folder = folder
        self.environment = {
            **sandbox.git_environment(account, role),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.com",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.com",
            "HOME": str(folder),
        }

    def __call__(self, *words, ok=True):
        ended = subprocess.run(
            ["git", *words], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        if ok:
            assert ended.returncode == 0, ended.stderr
            return ended.stdout.strip()
        assert ended.returncode != 0
        return ended.stderr

    def commit(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self("add", "--all")
        self("commit", "--quiet", "-m", f"change {name}")
        return self("rev-parse", "HEAD")


@pytest.fixture
def codecommit(sandbox):
    return sandbox.client("codecommit")


@pytest.fixture
def repository(codecommit):
    return codecommit.create_repository(repositoryName="churn")["repositoryMetadata"]


@pytest.fixture
def git(sandbox, tmp_path):
    made = Git(sandbox, tmp_path)
    made("init", "--quiet", "--initial-branch=trunk", ".")
    return made


def drained(sandbox, queue, count):
    """Return the events of a queue, once there are as many."""
    sqs, found = sandbox.client("sqs"), []

    def look():
        said = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        found.extend(json.loads(one["Body"]) for one in said.get("Messages", []))
        return found

    return until(look, lambda _: len(found) >= count)


@pytest.fixture
def queue(sandbox):
    """A queue that hears of every change of every repository."""
    sqs, events = sandbox.client("sqs"), sandbox.client("events")
    url = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = "arn:aws:sqs:eu-west-1:333333333333:heard"
    may = allow("sqs:SendMessage", arn, Principal={"Service": "events.amazonaws.com"})
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    pattern = {"source": ["aws.codecommit"], "detail-type": ["CodeCommit Repository State Change"]}
    events.put_rule(Name="r", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="r", Targets=[{"Id": "q", "Arn": arn}])
    return url


# Git over HTTP


def test_a_push_is_cloned_back(git, codecommit, repository, tmp_path):
    tip = git.commit("src/a.py", "print(1)\n")
    git("push", "--quiet", repository["cloneUrlHttp"], "trunk", "HEAD:refs/tags/v1")
    assert codecommit.get_branch(repositoryName="churn", branchName="trunk")["branch"] == {
        "branchName": "trunk",
        "commitId": tip,
    }
    found = codecommit.get_repository(repositoryName="churn")["repositoryMetadata"]
    assert found["defaultBranch"] == "trunk"
    git("clone", "--quiet", f"{AWS_URL}/churn", "copy")
    assert (tmp_path / "copy/src/a.py").read_text() == "print(1)\n"
    assert git("-C", "copy", "describe", "--tags") == "v1"


def test_a_push_larger_than_a_buffer(git, repository):
    git.commit("large.txt", "".join(f"{number * 7919}\n" for number in range(600_000)))
    git("-c", "http.postBuffer=65536", "push", "--quiet", repository["cloneUrlHttp"], "trunk")
    git("clone", "--quiet", repository["cloneUrlHttp"], "copy")
    assert (git.folder / "copy/large.txt").read_text() == (git.folder / "large.txt").read_text()


def test_a_role_pulls_and_does_not_push(sandbox, git, repository, tmp_path):
    git.commit("a", "1")
    git("push", "--quiet", repository["cloneUrlHttp"], "trunk")
    make_role(sandbox, "reader", allow("codecommit:GitPull", REPOSITORY))
    folder = tmp_path / "reader"
    folder.mkdir()
    reader = Git(sandbox, folder, role="reader")
    reader("clone", "--quiet", f"{AWS_URL}/churn", ".")
    reader.commit("b", "2")
    assert "403" in reader("push", "origin", "trunk", ok=False)
    (denied,) = sandbox.calls(operation="GitPush", decision="denied")
    assert denied["principal"].endswith("role/reader")
    (first, *_) = sandbox.calls(operation="GitPull", decision="allowed", service="codecommit")
    assert first["actions"][0]["resource"] == REPOSITORY
    assert first["actions"][0]["statement"]


def test_a_branch_is_protected_by_its_name(sandbox, git, repository):
    only = {
        "StringEqualsIfExists": {"codecommit:References": ["refs/heads/trunk"]},
        "Null": {"codecommit:References": "false"},
    }
    deny = {**allow("codecommit:GitPush", REPOSITORY, Condition=only), "Effect": "Deny"}
    make_role(sandbox, "writer", allow("codecommit:Git*", REPOSITORY), deny)
    git.commit("a", "1")
    git.environment = {**git.environment, **sandbox.git_environment(role="writer")}
    git("push", "--quiet", repository["cloneUrlHttp"], "trunk:topic")
    assert "403" in git("push", repository["cloneUrlHttp"], "trunk:other", "trunk", ok=False)
    listed = git("ls-remote", repository["cloneUrlHttp"])
    assert "topic" in listed
    assert "other" not in listed


def test_a_branch_is_protected_from_the_api_too(sandbox, codecommit):
    codecommit.create_repository(repositoryName="churn")
    main = {"StringEquals": {"codecommit:References": "refs/heads/main"}}
    deny = {**allow("codecommit:*", REPOSITORY, Condition=main), "Effect": "Deny"}
    make_role(sandbox, "writer", allow("codecommit:*", REPOSITORY), deny)
    writer = sandbox.client("codecommit", role="writer")
    put = {"repositoryName": "churn", "filePath": "a", "fileContent": b"1"}
    with refused("AccessDeniedException", "codecommit:PutFile"):
        writer.put_file(**put, branchName="main")
    commit = writer.put_file(**put, branchName="topic")["commitId"]
    with refused("AccessDeniedException", "codecommit:CreateBranch"):
        writer.create_branch(repositoryName="churn", branchName="main", commitId=commit)


@pytest.mark.parametrize(
    ("user", "word"), [("nobody:x", "403"), ("", "could not read Username")], ids=["bad", "none"]
)
def test_credentials_are_needed(git, repository, user, word):
    git.environment = {
        key: said for key, said in git.environment.items() if not key.startswith("GIT_CONFIG_")
    }
    url = repository["cloneUrlHttp"].replace("//", f"//{user}@" if user else "//")
    assert word in git("ls-remote", url, ok=False)


def test_a_roles_credentials_expire(sandbox, git, repository):
    make_role(sandbox, "reader", allow("codecommit:GitPull", REPOSITORY))
    git.environment |= sandbox.git_environment(role="reader")
    git("ls-remote", repository["cloneUrlHttp"])
    sandbox.advance(7200)
    assert "403" in git("ls-remote", repository["cloneUrlHttp"], ok=False)


def test_a_session_needs_its_token(sandbox, git, repository):
    make_role(sandbox, "reader", allow("codecommit:GitPull", REPOSITORY))
    git.environment |= sandbox.git_environment(role="reader")
    del git.environment["AWS_SESSION_TOKEN"]
    assert "403" in git("ls-remote", repository["cloneUrlHttp"], ok=False)


def test_the_helper_is_ours_whatever_aws_comes_first(git, repository, tmp_path):
    other = tmp_path / "bin/aws"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    git.environment["PATH"] = f"{other.parent}:{git.environment['PATH']}"
    git("ls-remote", repository["cloneUrlHttp"])


def test_an_unknown_repository_is_not_found(git):
    assert "not found" in git("ls-remote", f"{AWS_URL}/absent", ok=False)


def test_repositories_of_another_region(sandbox, git):
    client = sandbox.client("codecommit", region="us-east-1")
    made = client.create_repository(repositoryName="far")["repositoryMetadata"]
    git.commit("a", "1")
    git("push", "--quiet", made["cloneUrlHttp"], "trunk")
    assert git("ls-remote", "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/far")
    assert "not found" in git("ls-remote", f"{AWS_URL}/far", ok=False)


def test_a_push_is_told_to_event_rules(sandbox, git, repository, queue):
    first = git.commit("a", "1")
    url = repository["cloneUrlHttp"]
    git("push", "--quiet", url, "trunk")
    git("push", "--quiet", url, "trunk:topic")
    second = git.commit("a", "2")
    git("push", "--quiet", url, "trunk", ":topic")
    heard = drained(sandbox, queue, 4)
    told = {(one["detail"]["event"], one["detail"]["referenceName"]): one for one in heard}
    assert set(told) == {
        ("referenceCreated", "trunk"),
        ("referenceCreated", "topic"),
        ("referenceUpdated", "trunk"),
        ("referenceDeleted", "topic"),
    }
    event = told["referenceUpdated", "trunk"]
    assert event["resources"] == [repository["Arn"]]
    assert (event["source"], event["account"]) == ("aws.codecommit", "333333333333")
    assert event["detail"] == {
        "event": "referenceUpdated",
        "repositoryName": "churn",
        "repositoryId": repository["repositoryId"],
        "referenceType": "branch",
        "referenceName": "trunk",
        "referenceFullName": "refs/heads/trunk",
        "callerUserArn": "arn:aws:iam::333333333333:root",
        "commitId": second,
        "oldCommitId": first,
    }


# CodeCommit's API


def test_a_repository_is_read_back(codecommit):
    made = codecommit.create_repository(
        repositoryName="churn", repositoryDescription="d", tags={"team": "ml"}, kmsKeyId="k"
    )["repositoryMetadata"]
    found = codecommit.get_repository(repositoryName="churn")["repositoryMetadata"]
    assert found == made
    assert (found["repositoryDescription"], found["kmsKeyId"]) == ("d", "k")
    assert found["Arn"] == REPOSITORY
    assert "defaultBranch" not in found
    codecommit.update_repository_description(repositoryName="churn", repositoryDescription="e")
    codecommit.update_repository_name(oldName="churn", newName="churn2")
    said = codecommit.update_repository_encryption_key(repositoryName="churn2", kmsKeyId="l")
    assert (said["originalKmsKeyId"], said["kmsKeyId"]) == ("k", "l")
    (told,) = codecommit.batch_get_repositories(repositoryNames=["churn2", "churn"])["repositories"]
    assert (told["repositoryDescription"], told["Arn"]) == ("e", f"{REPOSITORY}2")
    listed = codecommit.list_repositories()["repositories"]
    assert listed == [{"repositoryName": "churn2", "repositoryId": made["repositoryId"]}]
    codecommit.delete_repository(repositoryName="churn2")
    with refused("RepositoryDoesNotExistException", "churn2"):
        codecommit.get_repository(repositoryName="churn2")


def test_tags_decide(sandbox, codecommit, repository):
    codecommit.tag_resource(resourceArn=repository["Arn"], tags={"team": "ml", "x": "y"})
    codecommit.untag_resource(resourceArn=repository["Arn"], tagKeys=["x"])
    assert codecommit.list_tags_for_resource(resourceArn=repository["Arn"])["tags"] == {
        "team": "ml"
    }
    for team in ("ml", "web"):
        said = {"StringEquals": {"aws:ResourceTag/team": team}}
        make_role(sandbox, team, allow("codecommit:*", Condition=said))
    sandbox.client("codecommit", role="ml").get_repository(repositoryName="churn")
    with refused("AccessDeniedException", "codecommit:GetRepository"):
        sandbox.client("codecommit", role="web").get_repository(repositoryName="churn")


def test_commits_are_made_and_read(git, codecommit, repository, queue, sandbox):
    said = {"repositoryName": "churn", "branchName": "main"}
    put = [
        {"filePath": "run.sh", "fileMode": "EXECUTABLE", "fileContent": b"#!/bin/sh\n"},
        {"filePath": 'a "b"/ä.txt', "fileContent": b"one"},
    ]
    first = codecommit.create_commit(
        **said, putFiles=put, authorName="Ann", email="a@x", commitMessage="seed"
    )
    assert [one["absolutePath"] for one in first["filesAdded"]] == ['a "b"/ä.txt', "run.sh"]
    told = codecommit.get_commit(repositoryName="churn", commitId=first["commitId"])["commit"]
    assert (told["message"].strip(), told["author"]["name"], told["parents"]) == ("seed", "Ann", [])
    assert told["treeId"] == first["treeId"]
    second = codecommit.put_file(
        **said, filePath="b", fileContent=b"two", parentCommitId=first["commitId"]
    )
    with refused("ParentCommitIdOutdatedException", second["commitId"]):
        codecommit.put_file(
            **said, filePath="c", fileContent=b"3", parentCommitId=first["commitId"]
        )
    third = codecommit.create_commit(
        **said, parentCommitId=second["commitId"], deleteFiles=[{"filePath": "b"}]
    )
    assert [one["absolutePath"] for one in third["filesDeleted"]] == ["b"]
    file = codecommit.get_file(repositoryName="churn", filePath="run.sh")
    assert (file["fileContent"], file["fileMode"]) == (b"#!/bin/sh\n", "EXECUTABLE")
    with refused("FileDoesNotExistException", "b"):
        codecommit.get_file(repositoryName="churn", filePath="b")
    old = codecommit.get_file(
        repositoryName="churn", filePath="b", commitSpecifier=second["commitId"]
    )
    assert old["fileContent"] == b"two"
    folder = codecommit.get_folder(repositoryName="churn", folderPath="/")
    assert [one["relativePath"] for one in folder["subFolders"]] == ['a "b"']
    assert [one["absolutePath"] for one in folder["files"]] == ["run.sh"]
    events = [one["detail"]["event"] for one in drained(sandbox, queue, 3)]
    assert sorted(events) == ["referenceCreated", "referenceUpdated", "referenceUpdated"]
    git("clone", "--quiet", repository["cloneUrlHttp"], "copy")
    assert (git.folder / 'copy/a "b"/ä.txt').read_text() == "one"


@pytest.mark.usefixtures("repository")
def test_branches(codecommit):
    said = {"repositoryName": "churn"}
    put = [{"filePath": "a", "fileContent": b"1"}]
    commit = codecommit.create_commit(**said, branchName="main", putFiles=put)["commitId"]
    codecommit.create_branch(**said, branchName="topic", commitId=commit)
    assert codecommit.list_branches(**said)["branches"] == ["main", "topic"]
    with refused("BranchNameExistsException", "topic"):
        codecommit.create_branch(**said, branchName="topic", commitId=commit)
    with refused("CommitDoesNotExistException", "0000"):
        codecommit.create_branch(**said, branchName="x", commitId="0" * 40)
    codecommit.update_default_branch(**said, defaultBranchName="topic")
    with refused("DefaultBranchCannotBeDeletedException", "topic"):
        codecommit.delete_branch(**said, branchName="topic")
    assert codecommit.delete_branch(**said, branchName="main")["deletedBranch"] == {
        "branchName": "main",
        "commitId": commit,
    }
    with refused("BranchDoesNotExistException", "main"):
        codecommit.get_branch(**said, branchName="main")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"putFiles": [{"filePath": "../a", "fileContent": b"1"}]}, "InvalidPathException"),
        ({"putFiles": []}, "FileEntryRequiredException"),
        ({"deleteFiles": [{"filePath": "b"}]}, "FileDoesNotExistException"),
        ({"putFiles": [{"filePath": "a", "fileContent": b"1"}]}, "NoChangeException"),
        ({"parentCommitId": ""}, "ParentCommitIdRequiredException"),
        ({"branchName": "other"}, "BranchDoesNotExistException"),
        ({"keepEmptyFolders": True}, "NotImplementedInSandbox"),
        (
            {"putFiles": [{"filePath": "c", "sourceFile": {"filePath": "a"}}]},
            "NotImplementedInSandbox",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
@pytest.mark.usefixtures("repository")
def test_a_commit_is_refused(codecommit, change, code):
    said = {"repositoryName": "churn", "branchName": "main"}
    put = [{"filePath": "a", "fileContent": b"1"}]
    tip = codecommit.create_commit(**said, putFiles=put)["commitId"]
    asked = {**said, "parentCommitId": tip, **change}
    with refused(code):
        codecommit.create_commit(**{key: value for key, value in asked.items() if value != ""})
    assert codecommit.get_branch(**said)["branch"]["commitId"] == tip


@pytest.mark.usefixtures("repository")
def test_everything_else_is_refused(codecommit):
    with refused("NotImplementedInSandbox", "codecommit:PutRepositoryTriggers"):
        codecommit.put_repository_triggers(repositoryName="churn", triggers=[])


def test_a_stack_seeds_a_repository(sandbox, git, codecommit):
    s3, packed = sandbox.client("s3"), io.BytesIO()
    s3.create_bucket(Bucket="seeds", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/b.txt", "hello")
    s3.put_object(Bucket="seeds", Key="seed.zip", Body=packed.getvalue())
    code = {"S3": {"Bucket": "seeds", "Key": "seed.zip"}, "BranchName": "main"}
    named = {"RepositoryName": "seeded", "RepositoryDescription": "d", "Code": code}
    tags = [{"Key": "team", "Value": "ml"}]
    resources = {
        "R": {"Type": "AWS::CodeCommit::Repository", "Properties": {**named, "Tags": tags}}
    }
    outputs = {"Url": {"Value": {"Fn::GetAtt": ["R", "CloneUrlHttp"]}}}
    cf = sandbox.client("cloudformation")
    body = json.dumps({"Resources": resources, "Outputs": outputs})
    cf.create_stack(StackName="s", TemplateBody=body)
    stack = settle(cf, "s")
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    git("clone", "--quiet", stack["Outputs"][0]["OutputValue"], "copy")
    assert (git.folder / "copy/a/b.txt").read_text() == "hello"
    arn = codecommit.get_repository(repositoryName="seeded")["repositoryMetadata"]["Arn"]
    found = codecommit.list_tags_for_resource(resourceArn=arn)["tags"]
    assert found["team"] == "ml"
    delete(cf, "s")
    with refused("RepositoryDoesNotExistException"):
        codecommit.get_repository(repositoryName="seeded")


def test_a_repository_that_goes_while_it_is_read_does_not_exist(sandbox):
    client = sandbox.client("codecommit")
    put = [{"filePath": "a", "fileContent": b"x"}]

    def read_until_gone(name, commit):
        while True:
            try:
                client.get_commit(repositoryName=name, commitId=commit)
            except ClientError as error:
                return error.response["Error"]["Code"]

    codes = []
    with ThreadPoolExecutor() as pool:
        for name in "abcdef":
            client.create_repository(repositoryName=name)
            made = client.create_commit(repositoryName=name, branchName="main", putFiles=put)
            reads = [pool.submit(read_until_gone, name, made["commitId"]) for _ in range(3)]
            client.delete_repository(repositoryName=name)
            codes += [read.result() for read in reads]
    assert set(codes) == {"RepositoryDoesNotExistException"}
