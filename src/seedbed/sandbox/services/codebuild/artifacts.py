"""What a build leaves in S3: the files that its buildspec names, packed and placed."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seedbed.sandbox.services.codebuild.role import Role
from seedbed.sandbox.services.codebuild.spec import Files, Unsupported


class ArtifactError(Exception):
    """Why an artifact could not be made, as the phase's context tells it."""


def collect(root: Path, wanted: Files) -> dict[str, Path]:
    """Return the files of an artifact by the names that they have in it.

    Raises:
        ArtifactError: There is no such folder, or nothing matches.
    """
    base_ = wanted.base.rstrip("/")
    bases = [root] if base_ in {"", "."} else [one for one in _matches(root, base_) if one.is_dir()]
    if not bases:
        raise ArtifactError(f"no matching base directory path found for {wanted.base}")
    found: dict[str, Path] = {}
    for base in bases:
        excluded = {path for pattern in wanted.exclude for path in _matches(base, pattern)}
        for pattern in wanted.files:
            for path in _matches(base, pattern):
                if path.is_file() and path not in excluded:
                    name = path.name if wanted.discard_paths else str(path.relative_to(base))
                    found.setdefault(name, path)
    if not found:
        raise ArtifactError("no matching artifact paths found")
    return found


def _matches(base: Path, pattern: str) -> list[Path]:
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise Unsupported(f"the path {pattern} of an artifact outside the source's folder")
    return sorted(base.glob(pattern.removeprefix("./")))


def pack(files: Mapping[str, Path]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in files.items():
            archive.write(path, name)
    return packed.getvalue()


def upload(
    client: Any,
    said: Mapping[str, Any],
    files: Mapping[str, Path],
    *,
    name: str,
    build: str,
    key: str,
) -> dict[str, Any]:
    """Put an artifact where the project says, and return the build's account of it.

    Args:
        client: S3 as the service role.
        said: the project's artifacts.
        files: what `collect` found.
        name: the artifact's name.
        build: the build's id without the project.
        key: what encrypts it.
    """
    space = build if said.get("namespaceType") == "BUILD_ID" else ""
    parts = [str(said.get("path") or "").strip("/"), space, name.strip("/")]
    place = "/".join(part for part in parts if part)
    bucket = str(said["location"]).removeprefix("arn:aws:s3:::")
    account: dict[str, Any] = {"location": f"arn:aws:s3:::{bucket}/{place}"}
    sealed = _sealed(said, key)
    if said["type"] == "CODEPIPELINE" or said.get("packaging") == "ZIP":
        body = pack(files)
        client.put_object(Bucket=bucket, Key=place, Body=body, **sealed)
        account["sha256sum"] = hashlib.sha256(body).hexdigest()
        account["md5sum"] = hashlib.md5(body, usedforsecurity=False).hexdigest()
    else:
        for one, path in files.items():
            target = f"{place}/{one}" if place else one
            client.put_object(Bucket=bucket, Key=target, Body=path.read_bytes(), **sealed)
    if said.get("encryptionDisabled"):
        account["encryptionDisabled"] = True
    if said.get("artifactIdentifier"):
        account["artifactIdentifier"] = said["artifactIdentifier"]
    return account


def _sealed(said: Mapping[str, Any], key: str) -> dict[str, str]:
    if said.get("encryptionDisabled"):
        return {}
    own = {} if key.endswith("alias/aws/s3") else {"SSEKMSKeyId": key}
    return {"ServerSideEncryption": "aws:kms", **own}


def deliver(
    role: Role,
    build: Mapping[str, Any],
    said: Mapping[str, Any],
    wanted: Files,
    root: Path,
    *,
    named: Callable[[str], str],
) -> dict[str, Any]:
    """Make one artifact and upload it as the service role; `named` reads the shell's words."""
    files = collect(root, wanted)
    own = named(wanted.name) if said.get("overrideArtifactName") and wanted.name else ""
    return upload(
        role.client("s3"),
        said,
        files,
        name=own or said.get("name") or build["projectName"],
        build=build["id"].rpartition(":")[2],
        key=build["encryptionKey"],
    )
