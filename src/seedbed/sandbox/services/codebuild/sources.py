"""Where a build's sources come from: S3, a pipeline's artifact, CodeCommit, a git connection."""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from seedbed.sandbox.service import ServiceError
from seedbed.sandbox.services.codebuild.role import Role
from seedbed.sandbox.services.codebuild.spec import Unsupported
from seedbed.sandbox.services.codepipeline.model import CLONE

# What a pipeline's source action notes on the zip that it uploads: the commit.
REVISION = "codepipeline-artifact-revision"
HOSTS = {"GITHUB": "github.com", "GITLAB": "gitlab.com", "BITBUCKET": "bitbucket.org"}
SERVED = frozenset({"NO_SOURCE", "S3", "CODEPIPELINE", "CODECOMMIT", *HOSTS})


class SourceError(Exception):
    """Why a source could not be had, as the phase's context tells it."""


@dataclass(frozen=True)
class Fetched:
    """What came of a source: the version it was resolved to, and its address."""

    revision: str = ""
    url: str = ""


def check(source: Mapping[str, Any]) -> None:
    """Refuse what no build here can have.

    Raises:
        Unsupported: by its name.
    """
    kind = source["type"]
    if kind not in SERVED:
        raise Unsupported(f"sources of type {kind}")
    if (source.get("gitSubmodulesConfig") or {}).get("fetchSubmodules"):
        raise Unsupported("gitSubmodulesConfig.fetchSubmodules of a source")
    if source.get("reportBuildStatus"):
        raise Unsupported("reportBuildStatus of a source")
    auth = (source.get("auth") or {}).get("type")
    if kind in HOSTS and auth != "CODECONNECTIONS":
        raise Unsupported(f"sources of type {kind} without auth of type CODECONNECTIONS")


def fetch(
    role: Role, source: Mapping[str, Any], version: str, folder: Path, scratch: Path
) -> Fetched:
    """Put a source into a folder, as the service role.

    Raises:
        SourceError: It is not there, or the role may not have it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind, location = source["type"], str(source.get("location", ""))
    try:
        if kind in {"S3", "CODEPIPELINE"}:
            return _objects(role, location, version, folder, scratch)
        if kind == "CODECOMMIT":
            return _clone(role, location, source, version, folder)
        if kind in HOSTS:
            return _clone(role, str(_connected(role, source)), source, version, folder)
    except ClientError as error:
        said = error.response["Error"]
        where = f"primary source and source version {version or location}"
        raise SourceError(f"{said['Code']}: {said['Message']} for {where}") from error
    except ServiceError as error:
        raise SourceError(f"{error.code}: {error.message}") from error
    return Fetched()


def _objects(role: Role, location: str, version: str, folder: Path, scratch: Path) -> Fetched:
    client = role.client("s3")
    bucket, _, key = location.removeprefix("arn:aws:s3:::").partition("/")
    if not key or key.endswith("/"):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        names = [one["Key"] for page in pages for one in page.get("Contents", [])]
        for name in names:
            if not name.endswith("/"):
                target = folder / name.removeprefix(key)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(client.get_object(Bucket=bucket, Key=name)["Body"].read())
        return Fetched(url=f"s3://{bucket}/{key}")
    asked = {"Bucket": bucket, "Key": key}
    if version and not version.startswith("arn:"):
        asked["VersionId"] = version
    answer = client.get_object(**asked)
    if url := answer["Metadata"].get(CLONE):  # a pipeline's CODEBUILD_CLONE_REF
        return _clone(role, url, {"location": url}, answer["Metadata"][REVISION], folder)
    archive = scratch / "source.zip"
    with archive.open("wb") as file:
        file.writelines(answer["Body"].iter_chunks())
    _unpack(archive, folder, f"{bucket}/{key}")
    archive.unlink()
    return Fetched(answer["Metadata"].get(REVISION, ""), f"s3://{bucket}/{key}")


def _unpack(archive: Path, folder: Path, name: str) -> None:
    try:
        with zipfile.ZipFile(archive) as packed:
            for one in packed.infolist():
                target = Path(packed.extract(one, folder))
                mode = (one.external_attr >> 16) & 0o777
                if mode and not one.is_dir():
                    target.chmod(mode | 0o600)
    except zipfile.BadZipFile as error:
        raise SourceError(f"{name} is no zip file: {error}") from error


def _clone(role: Role, url: str, source: Mapping[str, Any], version: str, folder: Path) -> Fetched:
    """Clone a repository and check out the version; a depth of 0 is the whole history."""
    from seedbed.sandbox.services.git.http import git_environment

    told, world = str(source["location"]), role.ctx.world
    if re.fullmatch(r"pr/\d+", version):
        raise Unsupported(f"the pull request {version} as sourceVersion")
    depth = int(source.get("gitCloneDepth") or 0)
    shallow = [f"--depth={depth}", "--no-single-branch"] if depth else []
    environment = git_environment(world, role.environment())

    def git(*words: str) -> str:
        process = world.popen(
            ["git", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said: str = process.communicate()[0].decode(errors="replace").strip()
        if process.returncode:
            where = f"primary source and source version {version or 'of the default branch'}"
            raise SourceError(f"git {words[0]} of {told} failed: {said} for {where}")
        return said

    git("clone", "--quiet", *shallow, "--no-checkout", url, str(folder))
    here = ("-C", str(folder))
    wanted = version.removeprefix("refs/heads/").removeprefix("refs/tags/") or "HEAD"
    branches = git(*here, "branch", "--remotes", "--format=%(refname)").splitlines()
    if f"refs/remotes/origin/{wanted}" in branches:
        wanted = f"refs/remotes/origin/{wanted}"
    git(*here, "checkout", "--quiet", "--detach", wanted)
    return Fetched(git(*here, "rev-parse", "HEAD"), told)


def _connected(role: Role, source: Mapping[str, Any]) -> Path:
    """Return the repository behind a connection, once the role may use it."""
    from seedbed.sandbox.services import permission
    from seedbed.sandbox.services.git import codeconnections

    host, location = HOSTS[source["type"]], str(source.get("location", ""))
    found = re.fullmatch(rf"https://{re.escape(host)}/([^/]+/[^/]+?)(\.git)?/?", location)
    if found is None:
        raise SourceError(f"the location {location} is no repository at {host}")
    connection = str((source.get("auth") or {}).get("resource"))
    world, principal = role.ctx.world, role.principal()
    for action in ("GetConnection", "GetConnectionToken"):
        name = f"{connection.split(':')[2]}:{action}"
        permission.judge(world, principal, name, connection, role.ctx.region)
    path: Path = codeconnections.use(world, principal, connection, found[1], action="GitPull")
    return path
