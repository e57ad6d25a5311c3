"""Runs one SageMaker job: `python job_runner.py CONFIG.json`, as the job's role.

The container is this interpreter with its packages; the rest is done by the generated projects'
own executor, whose S3 is the sandbox's here. How it went goes to `result.json` beside the config.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

MESSAGES = ("message", "failure")  # files below /opt/ml/output in which a job says why it failed
CHUNK = 1 << 20
LONGEST = 1024  # characters of such a reason: DescribeTrainingJob's FailureReason


class Bucket:
    """What the executor asks of S3."""

    def __init__(self, local: ModuleType, scratch: Path, key: str | None) -> None:
        self.local, self.scratch, self.key = local, scratch, key
        self.wanted: set[str] = set()
        style = Config(s3={"addressing_style": "path"})
        self.client = boto3.client("s3", config=style)

    def path(self, uri: str) -> Path:
        """Return the file that stands for an address here: code that is fetched, or a model."""
        target = self.scratch / uri.removeprefix("s3://")
        if uri in self.wanted and not target.exists():
            self.download(uri, target.parent, "the code")
        return target

    def download(self, uri: str, folder: Path, what: str) -> None:
        """Put everything below an address into a folder, as an S3Prefix input is."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        try:
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix
            )
            keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
            keys = [key for key in keys if not key.endswith("/")]
            for key in keys:
                target = folder / beneath(prefix, key)
                target.parent.mkdir(parents=True, exist_ok=True)
                body = self.client.get_object(Bucket=bucket, Key=key)["Body"]
                with target.open("wb") as file:
                    file.writelines(body.iter_chunks(CHUNK))
        except ClientError as error:
            raise self.failure(f"{what}: {error}") from error
        if not keys:
            raise self.failure(f"{what}: No S3 objects found under {uri}")

    def upload(self, folder: Path, uri: str) -> str:
        """Put everything in a folder to an address, encrypted with the job's key."""
        for file in sorted(one for one in folder.rglob("*") if one.is_file()):
            self.put(file, f"{uri.rstrip('/')}/{file.relative_to(folder).as_posix()}")
        return uri

    def put(self, file: Path, uri: str) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        sealed = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.key} if self.key else {}
        try:
            self.client.upload_file(str(file), bucket, key, ExtraArgs=sealed)
        except Exception as error:  # boto3 wraps what S3 says in an error of its own
            raise self.failure(f"upload to {uri}: {error}") from error

    def failure(self, text: str) -> Exception:
        made: Exception = self.local.StepError(f"ClientError: {text}")
        return made


def beneath(prefix: str, key: str) -> str:
    """Return where an object lies in an input's folder."""
    if key == prefix:
        return key.rpartition("/")[2]
    if key.startswith(f"{prefix.rstrip('/')}/"):
        return key[len(prefix.rstrip("/")) + 1 :]
    return key[len(prefix.rpartition("/")[0]) :].lstrip("/")  # `data/part` also names data/part-1


def load(path: str) -> ModuleType:
    """Return the executor, loaded from a file."""
    spec = importlib.util.spec_from_file_location("seedbed_sandbox_local", path)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 (the file is there)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def work(config: dict[str, Any], root: Path) -> dict[str, str]:
    """Run the job and return its status, why it failed, and where its model is."""
    local, kind, request = load(config["executor"]), config["kind"], config["request"]
    outputs = "ProcessingOutputConfig" if kind == "Processing" else "OutputDataConfig"
    bucket = Bucket(local, root / "s3", request.get(outputs, {}).get("KmsKeyId"))
    if config["isolated"]:  # a container without a network has no credentials either
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
    node = local.Node("job", kind, {"Arguments": request}, frozenset(), None)
    environment = config["environment"]
    execution = {"PipelineExecutionId": "run"}
    run = local.Run(
        [node],
        {},
        bucket,
        root=root,
        on_progress=lambda _: None,
        execution=execution,
        environment=environment,
    )

    def describe(_node: Any, _kind: str, _request: Any) -> str:
        run.known["Steps"]["job"] = {}
        return str(config["name"])

    run._describe = describe  # noqa: SLF001 (the job has its name already)
    bucket.wanted.add(request.get("HyperParameters", {}).get("sagemaker_submit_directory", ""))
    result = run.run()
    failure, model = result.failure, ""
    if failure is None and kind == "Training":
        model = run.known["Steps"]["job"]["ModelArtifacts"]["S3ModelArtifacts"]
        bucket.put(Path(result.steps[0].outputs["model"]), model)
    if failure is None:
        return {"status": "Completed", "model": model}
    said = [root / "runs/run/job/opt/ml/output" / name for name in MESSAGES]
    texts = [path.read_text(errors="replace").strip() for path in said if path.is_file()]
    reason = failure.reason
    if not reason.startswith("ClientError:"):
        code = re.search(r"ended with code (\d+)", reason)
        reason = f"AlgorithmError: {next(filter(None, texts), reason)}"
        reason += f", exit code: {code[1] if code else result.code}"
    return {"status": "Failed", "reason": reason[:LONGEST], "message": "\n".join(texts)[:LONGEST]}


def main() -> int:
    path = Path(sys.argv[1])
    config = json.loads(path.read_text(encoding="utf-8"))
    try:
        result = work(config, path.parent)
    except Exception as error:  # noqa: BLE001 (an upload that fails after the job is its failure)
        result = {"status": "Failed", "reason": str(error)[:LONGEST]}
    path.with_name("result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
