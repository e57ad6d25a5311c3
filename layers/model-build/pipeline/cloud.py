"""Packs the jobs' code by its content, and talks to AWS: upload, create or update, start, wait."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import data_source
from pipeline.local import pack
from pipeline.settings import ROOT, Settings, SettingsError
from pipeline.steps import Code

UNFINISHED = ("Executing", "Stopping")
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 60.0  # seconds between two looks at an execution


class CloudError(Exception):
    """What AWS refused, or how an execution failed, in one line."""


@dataclass(frozen=True)
class Package:
    """The jobs' files, and where they go: the address follows from the content alone."""

    files: Mapping[str, bytes]
    code: Code
    prefix: str

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """Yield keys and contents, the archive last: where it is, everything is."""
        for name, content in self.files.items():
            yield f"{self.prefix}/jobs/{name}", content
        archive = io.BytesIO()
        pack(self.files, archive)
        yield f"{self.prefix}/jobs.tar.gz", archive.getvalue()


def package(settings: Settings, root: Path = ROOT) -> Package:
    """Return the package of jobs/ and what the data source adds to it.

    The same files give the same addresses everywhere.
    """
    folder, digest = root / "jobs", hashlib.sha256()
    paths = [path for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    found = {name: path.read_bytes() for name, path in names.items() if not _ignored(name)}
    files = dict(sorted((found | data_source.files(settings)).items()))
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    prefix = f"code/{digest.hexdigest()}"
    base = f"s3://{settings.cloud.bucket}/{prefix}"
    # With the slash the folder's address is no prefix of the archive's.
    code = Code(digest.hexdigest(), f"{base}/jobs/", f"{base}/jobs.tar.gz", files=frozenset(files))
    return Package(files, code, prefix)


def _ignored(name: str) -> bool:
    return name.endswith(".pyc") or any(
        part == "__pycache__" or part.startswith(".") for part in name.split("/")
    )


def require(settings: Settings) -> None:
    """Raise SettingsError if a placeholder stands where AWS needs the real thing."""
    if settings.cloud.missing:
        names = ", ".join(settings.cloud.missing)
        raise SettingsError(f"environment: {names} not set: `make infra` prints the values")


def client(service: str, region: str) -> Any:  # noqa: ANN401 (boto3 makes its classes as it runs)
    """Return a boto3 client. Raises CloudError if boto3 finds no way to make one."""
    import boto3  # type: ignore[import-untyped]

    with told():
        return boto3.Session(region_name=region).client(service)


@contextmanager
def told() -> Iterator[None]:
    """Turn what AWS or the way to it refuses into one line."""
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise CloudError(" ".join(str(error).split())) from error


def upload(package: Package, settings: Settings, s3: Any) -> bool:  # noqa: ANN401
    """Upload the code unless it is there already; return whether it was uploaded."""
    from botocore.exceptions import ClientError

    bucket, key = settings.cloud.bucket, settings.cloud.kms_key
    with told():
        try:
            s3.head_object(Bucket=bucket, Key=f"{package.prefix}/jobs.tar.gz")
        except ClientError as error:
            # Without s3:ListBucket a missing key answers 403.
            if error.response["Error"]["Code"] not in ("403", "404"):
                raise
        else:
            return False
        for name, body in package.objects():
            s3.put_object(
                Bucket=bucket,
                Key=name,
                Body=body,
                ServerSideEncryption="aws:kms",
                SSEKMSKeyId=key,
            )
    return True


def upsert(definition: str, settings: Settings, sagemaker: Any) -> str:  # noqa: ANN401
    """Update the pipeline, or create it if there is none; return its ARN."""
    request = {
        "PipelineName": settings.project,
        "PipelineDefinition": definition,
        "RoleArn": settings.cloud.role,
    }
    with told():
        try:
            answer = sagemaker.update_pipeline(**request)
        except sagemaker.exceptions.ResourceNotFound:
            tags = {"project": settings.project, "owner": settings.owner}
            pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
            answer = sagemaker.create_pipeline(**request, Tags=pairs)
    return str(answer["PipelineArn"])


def start(settings: Settings, parameters: Mapping[str, str], sagemaker: Any) -> str:  # noqa: ANN401
    """Start the pipeline as it is in AWS; return the execution's ARN."""
    values = [{"Name": name, "Value": value} for name, value in parameters.items()]
    with told():
        try:
            answer = sagemaker.start_pipeline_execution(
                PipelineName=settings.project, PipelineParameters=values
            )
        except sagemaker.exceptions.ResourceNotFound:
            raise CloudError(
                f"there is no pipeline {settings.project}: run `make upsert`"
            ) from None
    return str(answer["PipelineExecutionArn"])


def wait(
    arn: str,
    sagemaker: Any,  # noqa: ANN401
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Tell each change of a step until the execution ends.

    Raises:
        CloudError: with the failed step's reason, if it ends in any way but well.
    """
    seen: dict[str, str] = {}
    pause = FIRST_PAUSE
    while True:
        with told():
            execution = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
            pages = sagemaker.get_paginator("list_pipeline_execution_steps")
            found = pages.paginate(PipelineExecutionArn=arn, SortOrder="Ascending")
            steps = [step for page in found for step in page["PipelineExecutionSteps"]]
        for step in steps:
            name, status = step["StepName"], step["StepStatus"]
            if seen.get(name) != status:
                seen[name] = status
                cached = " (cached)" if step.get("CacheHitResult") else ""
                say(f"{name:<12} {status}{cached}")
                pause = FIRST_PAUSE
        status = execution["PipelineExecutionStatus"]
        if status == "Succeeded":
            return
        if status not in UNFINISHED:
            failed = [step for step in steps if step.get("FailureReason")]
            reasons = [f"{step['StepName']}: {step['FailureReason']}" for step in failed]
            reason = "; ".join(reasons) or execution.get("FailureReason", "no reason given")
            raise CloudError(f"the execution {status.lower()}: {' '.join(reason.split())}")
        sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)
