"""A stand-in for the AWS CLI where a laptop has none: the few commands that builds need.

What it does not know it refuses loudly, with exit code 2.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

QUIET = frozenset({"--only-show-errors", "--quiet", "--no-progress"})


class Refused(Exception):  # noqa: N818 (an answer, no defect)
    """The command is not known here."""


def main(words: Sequence[str]) -> int:
    try:
        if list(words) == ["--version"]:
            print("aws-cli/2.0.0 seedbed-sandbox-shim")
            return 0
        return COMMANDS.get(tuple(words[:2]), _unknown)(list(words[2:]))
    except Refused as refused:
        about = f": {refused}" if str(refused) else ""
        told = " ".join(words[:2]) or "without a command"
        print(f"aws (seedbed's stand-in): it does not know `aws {told}`{about}", file=sys.stderr)
        return 2


def credential_helper(words: list[str]) -> int:
    """Answer git: the access key as user; the sandbox verifies no signature."""
    words = [one for one in words if one != "--ignore-host-check"]
    if words[:1] != ["get"]:
        return 0  # store and erase: there is nothing to keep
    sys.stdin.read()
    user = os.environ["AWS_ACCESS_KEY_ID"]
    if token := os.environ.get("AWS_SESSION_TOKEN"):
        user += f"%{token}"
    print(f"username={user}\npassword={datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    return 0


def caller_identity(words: list[str]) -> int:
    query, output = None, "json"
    while words:
        name, value, words = words[0], words[1] if len(words) > 1 else "", words[2:]
        if name == "--query":
            query = value
        elif name == "--output" and value in {"json", "text"}:
            output = value
        else:
            raise Refused(name)
    answer = _client("sts").get_caller_identity()
    told: Any = {key: answer[key] for key in ("UserId", "Account", "Arn")}
    if query is not None:
        if query not in told:
            raise Refused(f"--query {query}")
        told = told[query]
    if output == "text":
        print("\t".join(told.values()) if isinstance(told, dict) else told)
    else:
        print(json.dumps(told, indent=4))
    return 0


def copy(words: list[str]) -> int:
    """Copy a file or, with --recursive, a folder, to or from S3."""
    recursive = "--recursive" in words
    said = [one for one in words if one not in QUIET and one != "--recursive"]
    source, target = _places(said)
    if source.startswith("s3://") == target.startswith("s3://"):
        raise Refused("only between a folder and S3")
    s3 = _client("s3")
    if target.startswith("s3://"):
        _upload(s3, Path(source), target, recursive=recursive)
    else:
        _download(s3, source, target, recursive=recursive)
    return 0


def sync(words: list[str]) -> int:
    """Copy all, changed or not: the outcome is the same without --delete."""
    return copy([*words, "--recursive"])


def _places(words: list[str]) -> tuple[str, str]:
    if unknown := [one for one in words if one.startswith("-") and one != "-"]:
        raise Refused(unknown[0])
    if len(words) != 2 or "-" in words:  # noqa: PLR2004 (source and target)
        raise Refused("a source and a target, no streams")
    return words[0], words[1]


def _upload(s3: Any, source: Path, target: str, *, recursive: bool) -> None:
    bucket, _, key = target.removeprefix("s3://").partition("/")
    if recursive:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                name = path.relative_to(source).as_posix()
                s3.upload_file(str(path), bucket, f"{key.rstrip('/')}/{name}".lstrip("/"))
        return
    if not key or key.endswith("/"):
        key += source.name
    s3.upload_file(str(source), bucket, key)


def _download(s3: Any, source: str, target: str, *, recursive: bool) -> None:
    bucket, _, key = source.removeprefix("s3://").partition("/")
    if not recursive:
        folder = target.endswith("/") or Path(target).is_dir()
        path = Path(target) / key.rpartition("/")[2] if folder else Path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, key, str(path))
        return
    prefix = f"{key.rstrip('/')}/" if key else ""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            name = found["Key"].removeprefix(prefix)
            if name and not name.endswith("/"):
                path = Path(target) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                s3.download_file(bucket, found["Key"], str(path))


def _unknown(_: list[str]) -> int:
    raise Refused


def _client(service: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(service, config=Config(s3={"addressing_style": "path"}))


COMMANDS: dict[tuple[str, ...], Callable[[list[str]], int]] = {
    ("codecommit", "credential-helper"): credential_helper,
    ("s3", "cp"): copy,
    ("s3", "sync"): sync,
    ("sts", "get-caller-identity"): caller_identity,
}

if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except Exception as error:  # noqa: BLE001 (as the CLI does: one line, and its exit code)
        print(f"\n{error}", file=sys.stderr)
        code = 255
    sys.exit(code)
