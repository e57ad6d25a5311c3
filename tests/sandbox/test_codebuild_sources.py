"""Where builds get their sources and put their artifacts, always as the service role."""

from __future__ import annotations

import io
import zipfile

import pytest
from access import allow, refused
from codebuild_cases import LOGS, built, log, make_project, phase, spec, why, zipped
from test_git import Git

BUCKET = "builds"
READ = allow(["s3:GetObject", "s3:GetObjectVersion"], f"arn:aws:s3:::{BUCKET}/in/*")
LIST = allow("s3:ListBucket", f"arn:aws:s3:::{BUCKET}")
WRITE = allow("s3:PutObject", f"arn:aws:s3:::{BUCKET}/out/*")
OUT = {"type": "S3", "location": BUCKET, "path": "out", "packaging": "ZIP", "name": "app.zip"}


@pytest.fixture
def s3(sandbox):
    client = sandbox.client("s3", "dev")
    place = {"LocationConstraint": sandbox.region}
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
    return client


def put(s3, key, body, **more):
    return s3.put_object(Bucket=BUCKET, Key=key, Body=body, **more)


def source(location="in/source.zip", **more):
    return {"type": "S3", "location": f"{BUCKET}/{location}", **more}


def unzipped(s3, key):
    body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_a_zip_is_unpacked_with_its_modes(sandbox, s3):
    files = {"buildspec.yml": spec("./tool", "cat sub/data"), "tool": "#!/bin/sh\necho tooled\n"}
    put(s3, "in/source.zip", zipped({**files, "sub/data": "datum"}, {"tool": 0o755}))
    client = make_project(sandbox, "", LOGS, READ, source=source())
    build = built(client)
    assert build["buildStatus"] == "SUCCEEDED"
    assert {"tooled", "datum"} <= set(log(sandbox, build))
    assert "resolvedSourceVersion" not in build


def test_a_version_and_a_buildspec_of_another_name(sandbox, s3):
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    old = put(s3, "in/source.zip", zipped({"ci/b.yml": spec("echo old")}))["VersionId"]
    put(s3, "in/source.zip", zipped({"ci/b.yml": spec("echo new $CODEBUILD_SOURCE_REPO_URL")}))
    client = make_project(sandbox, "", LOGS, READ, source=source(buildspec="ci/b.yml"))
    assert "old" in log(sandbox, built(client, sourceVersion=old))
    assert f"new s3://{BUCKET}/in/source.zip" in log(sandbox, built(client))


def test_a_folder_and_a_second_source(sandbox, s3):
    put(s3, "in/tree/buildspec.yml", spec("cat $CODEBUILD_SRC_DIR_more/data", "cat deep/er"))
    put(s3, "in/tree/deep/er", "deeper")
    put(s3, "in/more.zip", zipped({"data": "second"}))
    more = [source("in/more.zip", sourceIdentifier="more")]
    client = make_project(
        sandbox, "", LOGS, READ, LIST, source=source("in/tree/"), secondarySources=more
    )
    build = built(client)
    assert {"second", "deeper"} <= {line[:6] for line in log(sandbox, build)}


def test_a_buildspec_in_s3(sandbox, s3):
    put(s3, "in/spec.yml", spec("echo from s3"))
    client = make_project(sandbox, f"arn:aws:s3:::{BUCKET}/in/spec.yml", LOGS, READ)
    assert "from s3" in log(sandbox, built(client))


def test_a_role_that_may_not_read_the_source_fails_the_download(sandbox, s3):
    put(s3, "in/source.zip", zipped({"buildspec.yml": spec("true")}))
    client = make_project(sandbox, "", LOGS, source=source())
    build = built(client)
    assert build["buildStatus"] == "FAILED"
    assert phase(build, "DOWNLOAD_SOURCE")["phaseStatus"] == "FAILED"
    assert why(build)[0] == "CLIENT_ERROR"
    assert "s3:GetObject" in why(build)[1]


def test_a_source_that_is_no_zip_fails_the_download(sandbox, s3):
    put(s3, "in/source.zip", b"plain")
    build = built(make_project(sandbox, "", LOGS, READ, source=source()))
    assert "no zip" in why(build)[1]


# Artifacts


def made(sandbox, artifacts, section, *statements, commands=None, **more):
    files = "mkdir -p dist/a; echo 1 > dist/one; echo 2 > dist/a/two; echo 3 > .hidden"
    text = spec(*(commands or [files]), artifacts=section)
    return built(
        make_project(sandbox, text, LOGS, *(statements or [WRITE]), artifacts=artifacts, **more)
    )


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ({"files": ["**/*"]}, {".hidden", "dist/one", "dist/a/two"}),
        ({"files": ["dist/*"]}, {"dist/one"}),
        ({"files": ["**/*"], "base-directory": "dist"}, {"one", "a/two"}),
        ({"files": ["**/*"], "base-directory": "d*"}, {"one", "a/two"}),
        ({"files": ["dist/**/*"], "discard-paths": True}, {"one", "two"}),
        ({"files": ["dist/**/*"], "discard-paths": "yes"}, {"one", "two"}),
        ({"files": ["**/*"], "exclude-paths": ["dist/a/**/*"]}, {".hidden", "dist/one"}),
    ],
)
def test_an_artifact_has_the_files_that_are_named(sandbox, s3, section, names):
    build = made(sandbox, OUT, section)
    assert build["buildStatus"] == "SUCCEEDED"
    assert set(unzipped(s3, "out/app.zip")) == names
    assert build["artifacts"]["location"] == f"arn:aws:s3:::{BUCKET}/out/app.zip"
    assert len(build["artifacts"]["sha256sum"]) == 64


def test_an_artifact_without_packaging_is_a_folder(sandbox, s3):
    folder = {**OUT, "packaging": "NONE", "namespaceType": "BUILD_ID", "name": "x"}
    build = made(sandbox, folder, {"files": ["dist/**/*"]})
    number = build["id"].partition(":")[2]
    listed = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert {one["Key"] for one in listed} == {
        f"out/{number}/x/dist/one",
        f"out/{number}/x/dist/a/two",
    }


def test_an_artifact_is_named_by_the_buildspec_and_sealed_with_the_key(sandbox, s3):
    key = sandbox.client("kms", "dev").create_key()["KeyMetadata"]["Arn"]
    section = {"files": ["dist/one"], "name": "app-$N.zip"}
    commands = ["mkdir dist", "echo 1 > dist/one", "N=7"]
    artifacts = {**OUT, "overrideArtifactName": True}
    seal = allow("kms:GenerateDataKey", key)
    more = {"commands": commands, "encryptionKey": key}
    assert made(sandbox, artifacts, section, WRITE, seal, **more)["buildStatus"] == "SUCCEEDED"
    found = s3.head_object(Bucket=BUCKET, Key="out/app-7.zip")
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", key)


@pytest.mark.parametrize(
    ("section", "statement", "word"),
    [
        ({"files": ["none/*"]}, WRITE, "no matching artifact paths"),
        ({"files": ["*"], "base-directory": "none"}, WRITE, "no matching base directory"),
        ({"files": ["**/*"]}, allow("s3:PutObject", "arn:aws:s3:::other/*"), "s3:PutObject"),
    ],
)
def test_an_artifact_that_cannot_be_fails_the_build(sandbox, s3, section, statement, word):
    build = made(sandbox, OUT, section, statement)
    assert build["buildStatus"] == "FAILED"
    assert phase(build, "UPLOAD_ARTIFACTS")["phaseStatus"] == "FAILED"
    assert word in why(build)[1]
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)


def test_a_failed_build_still_uploads(sandbox, s3):
    commands = ["echo 1 > one", "false"]
    build = made(sandbox, OUT, {"files": ["one"]}, commands=commands)
    assert build["buildStatus"] == "FAILED"
    assert unzipped(s3, "out/app.zip") == {"one": "1\n"}


# A pipeline's


def test_a_pipeline_hands_over_and_takes_back(sandbox, s3):
    commands = [
        "echo $CODEBUILD_RESOLVED_SOURCE_VERSION $CODEBUILD_SOURCE_VERSION $CODEBUILD_INITIATOR",
        "cat $CODEBUILD_SRC_DIR_Other/data",
        "echo built > result; echo more > further",
    ]
    section = {"files": ["result"], "secondary-artifacts": {"Second": {"files": ["further"]}}}
    text = spec(*commands, artifacts=section)
    revision = {"codepipeline-artifact-revision": "c0ffee"}
    put(s3, "in/src", zipped({"buildspec.yml": text}), Metadata=revision)
    put(s3, "in/other", zipped({"data": "of another"}))
    pipelined = {"source": {"type": "CODEPIPELINE"}, "artifacts": {"type": "CODEPIPELINE"}}
    client = make_project(sandbox, "", LOGS, READ, WRITE, **pipelined)
    for asked in ({}, {"sourceVersion": "main"}, {"sourceTypeOverride": "NO_SOURCE"}):
        with refused("InvalidInputException", "verride must be set"):
            client.start_build(projectName="app", **asked)
    out = {"type": "CODEPIPELINE", "location": BUCKET, "path": "out", "packaging": "ZIP"}
    build = built(
        client,
        sourceTypeOverride="CODEPIPELINE",
        sourceLocationOverride=f"{BUCKET}/in/src",
        sourceVersion=f"arn:aws:s3:::{BUCKET}/in/src",
        secondarySourcesOverride=[
            {"type": "CODEPIPELINE", "sourceIdentifier": "Other", "location": f"{BUCKET}/in/other"}
        ],
        artifactsOverride={**out, "name": "first"},
        secondaryArtifactsOverride=[{**out, "name": "second", "artifactIdentifier": "Second"}],
    )
    assert build["buildStatus"] == "SUCCEEDED"
    assert build["resolvedSourceVersion"] == "c0ffee"
    assert build["source"] == {"type": "CODEPIPELINE"}
    lines = log(sandbox, build)
    assert f"c0ffee arn:aws:s3:::{BUCKET}/in/src root" in lines
    assert "of another" in lines
    assert unzipped(s3, "out/first") == {"result": "built\n"}
    assert unzipped(s3, "out/second") == {"further": "more\n"}


# Git


@pytest.fixture
def git(sandbox, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    made = Git(sandbox, folder)
    made("init", "--quiet", "--initial-branch=trunk", ".")
    return made


PULL = allow("codecommit:GitPull", "arn:aws:codecommit:*:*:churn")


def test_a_repository_of_codecommit_is_cloned(sandbox, git):
    codecommit = sandbox.client("codecommit", "dev")
    codecommit.create_repository(repositoryName="churn")
    url = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/churn"
    first = git.commit("buildspec.yml", spec("echo at $(git rev-parse HEAD)"))
    second = git.commit("more", "1")
    git("push", "--quiet", url, "trunk", "trunk:refs/tags/v1")
    where = {"source": {"type": "CODECOMMIT", "location": url, "gitCloneDepth": 0}}
    client = make_project(sandbox, "", LOGS, PULL, **where)
    for version, commit in (("", second), ("trunk", second), (first, first), ("v1", second)):
        build = built(client, **({"sourceVersion": version} if version else {}))
        assert build["buildStatus"] == "SUCCEEDED", why(build)
        assert build["resolvedSourceVersion"] == commit
        assert f"at {commit}" in log(sandbox, build)
    assert sandbox.calls(service="codecommit", operation="GitPull", decision="allowed")
    assert "no-such" in why(built(client, sourceVersion="no-such"))[1]


def test_a_role_that_may_not_pull_fails_the_download(sandbox):
    sandbox.client("codecommit", "dev").create_repository(repositoryName="churn")
    url = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/churn"
    where = {"source": {"type": "CODECOMMIT", "location": url}}
    build = built(make_project(sandbox, "", LOGS, **where))
    assert phase(build, "DOWNLOAD_SOURCE")["phaseStatus"] == "FAILED"
    assert "403" in why(build)[1]


def test_a_repository_behind_a_connection_is_cloned(sandbox, git):
    made = sandbox.client("codeconnections").create_connection(
        ConnectionName="c", ProviderType="GitHub"
    )
    arn = made["ConnectionArn"]
    sandbox.complete_connection(arn)
    commit = git.commit("buildspec.yml", spec("echo $CODEBUILD_SOURCE_REPO_URL"))
    git("push", "--quiet", str(sandbox.git_repository("owner/churn")), "trunk:main")
    where = {
        "type": "GITHUB",
        "location": "https://github.com/owner/churn.git",
        "auth": {"type": "CODECONNECTIONS", "resource": arn},
    }
    actions = ["GetConnection", "GetConnectionToken", "UseConnection"]
    using = allow([f"codeconnections:{one}" for one in actions], arn)
    client = make_project(sandbox, "", LOGS, using, source=where, sourceVersion="main")
    build = built(client)
    assert build["buildStatus"] == "SUCCEEDED", why(build)
    assert build["resolvedSourceVersion"] == commit
    assert "https://github.com/owner/churn.git" in log(sandbox, build)
    iam = sandbox.client("iam", "dev")
    iam.delete_role_policy(RoleName="builder", PolicyName="own")
    assert (
        built(client, logsConfigOverride={"cloudWatchLogs": {"status": "DISABLED"}})["buildStatus"]
        == "FAILED"
    )
    with refused("NotImplementedInSandbox", "GITHUB without auth"):
        client.start_build(projectName="app", sourceAuthOverride={"type": "OAUTH"})


def test_the_credential_helper_is_there_when_asked_for(sandbox, git):
    sandbox.client("codecommit", "dev").create_repository(repositoryName="churn")
    url = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/churn"
    git.commit("a", "1")
    git("push", "--quiet", url, "trunk")
    command = f"git clone --quiet {url} there && cat there/a"
    client = make_project(sandbox, spec(command), LOGS, PULL)
    assert built(client)["buildStatus"] == "FAILED"
    asked = spec(command, env={"git-credential-helper": "yes"})
    assert built(client, buildspecOverride=asked)["buildStatus"] == "SUCCEEDED"
