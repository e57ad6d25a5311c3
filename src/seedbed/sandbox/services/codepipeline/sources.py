"""Source actions: CodeCommit, git connections and S3, zipped into the artifact store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from seedbed.sandbox.services.codebuild.sources import REVISION
from seedbed.sandbox.services.codepipeline.model import CLONE, Acting, ActionError, Revision
from seedbed.sandbox.services.git import codecommit_files, codeconnections, store
from seedbed.sandbox.services.permission import judge

# What CodePipeline asks a git host for, one after the other.
HOST_ACTIONS = ("GetBranch", "StartUploadArchiveToS3", "GetUploadArchiveToS3Status")


def codecommit(acting: Acting) -> None:
    """Take the tip of a branch, or the commit that the execution was started with."""
    said, world, region = acting.configuration, acting.ctx.world, acting.ctx.region
    name, branch = said["RepositoryName"], said["BranchName"]
    override = acting.execution.overrides.get(acting.name, {})
    client = acting.client("codecommit")
    commit = (
        override.get("revision")
        or (client.get_branch(repositoryName=name, branchName=branch)["branch"]["commitId"])
    )
    told = client.get_commit(repositoryName=name, commitId=commit)["commit"]
    principal = acting.principal()
    if _clones(acting):
        client.get_repository(repositoryName=name)
        body, extra = _reference(f"https://git-codecommit.{region}.amazonaws.com/v1/repos/{name}")
    else:
        arn = f"arn:aws:codecommit:{region}:{principal.account}:{name}"
        for action in ("UploadArchive", "GetUploadArchiveStatus"):
            asked = {"repositoryName": name}
            judge(world, principal, f"codecommit:{action}", arn, region, params=asked)
        held = world.store("codecommit", principal.account, region).get(name)
        if held is None:
            raise ActionError("ConfigurationError", f"The repository {name} does not exist")
        folder: Path = held.folder
        body, extra = store.archive(world, folder, commit), {}
    _upload(acting, body, commit, told["message"].strip(), extra=extra)
    acting.run.variables.update(
        {
            "RepositoryName": name,
            "BranchName": branch,
            **_variables(commit, told),
        }
    )


def connection(acting: Acting) -> None:
    """Take the tip of a branch at the git host, or what a push or a start named."""
    said, world = acting.configuration, acting.ctx.world
    repository = said["FullRepositoryId"]
    override = acting.execution.overrides.get(acting.name, {})
    branch = override.get("branch") or said["BranchName"]
    principal = acting.principal()
    arn = said["ConnectionArn"]
    folder = codeconnections.use(world, principal, arn, repository, HOST_ACTIONS[0])
    wanted = override.get("revision") or f"refs/heads/{branch}"
    commit = store.commit_of(world, folder, wanted)
    if commit is None:
        message = f"{wanted} was not found in {repository}"
        raise ActionError("ConfigurationError", message)
    if _clones(acting):
        service, region, account, own = arn.split(":")[2:6]
        place = f"git-http/{account}/{region}/{own.partition('/')[2]}/{repository}.git"
        body, extra = _reference(f"https://{service}.{region}.amazonaws.com/{place}")
    else:
        for action in HOST_ACTIONS[1:]:
            codeconnections.use(world, principal, arn, repository, action)
        body, extra = store.archive(world, folder, commit), {}
    told = codecommit_files.commit(world, folder, commit)
    url = f"https://{codeconnections.host_name(world, arn)}/{repository}/commit/{commit}"
    _upload(acting, body, commit, told["message"].strip(), url=url, extra=extra)
    tag = {"TagName": override["tag"]} if "tag" in override else {}
    acting.run.variables.update(
        {
            "ConnectionArn": arn,
            "FullRepositoryName": repository,
            "BranchName": branch,
            **tag,
            **_variables(commit, told),
        }
    )


def _variables(commit: str, told: dict[str, dict[str, str] | str]) -> dict[str, str]:
    author, committer = told["author"], told["committer"]
    return {
        "CommitId": commit,
        "CommitMessage": str(told["message"]),
        "AuthorDate": _date(author),
        "CommitterDate": _date(committer),
    }


def _date(person: dict[str, str] | str) -> str:
    seconds = int(person["date"].split()[0]) if isinstance(person, dict) else 0
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _clones(acting: Acting) -> bool:
    """Tell whether the build clones by itself, and the artifact only says what."""
    return acting.configuration.get("OutputArtifactFormat") == "CODEBUILD_CLONE_REF"


def _reference(url: str) -> tuple[bytes, dict[str, str]]:
    return json.dumps({"cloneUrl": url}).encode(), {CLONE: url}


def s3(acting: Acting) -> None:
    """Copy an object, of a versioned bucket, into the artifact store."""
    said, client = acting.configuration, acting.client("s3")
    bucket, key = said["S3Bucket"], said["S3ObjectKey"]
    if client.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        message = f"The bucket {bucket} has no versioning, which a source needs"
        raise ActionError("ConfigurationError", message)
    override = acting.execution.overrides.get(acting.name, {})
    version = {"VersionId": override["revision"]} if "revision" in override else {}
    found = client.get_object(Bucket=bucket, Key=key, **version)
    summary = found["Metadata"].get("codepipeline-artifact-revision-summary", "")
    revision = found["VersionId"]
    _upload(acting, found["Body"].read(), revision, summary or f"Amazon S3 version id: {revision}")
    acting.run.variables.update(
        {
            "BucketName": bucket,
            "ObjectKey": key,
            "ETag": found["ETag"].strip('"'),
            "VersionId": revision,
        }
    )


def _upload(
    acting: Acting,
    body: bytes,
    revision: str,
    summary: str,
    *,
    url: str = "",
    extra: Mapping[str, str] = MappingProxyType({}),
) -> None:
    (wanted,) = acting.run.outputs
    acting.put(wanted, body, {REVISION: revision, **extra})
    found = Revision(acting.name, wanted.name, revision, summary, url, acting.ctx.world.now())
    acting.execution.revisions[acting.name] = found
    acting.run.external_id, acting.run.external_url = revision, url
    acting.run.summary = summary
