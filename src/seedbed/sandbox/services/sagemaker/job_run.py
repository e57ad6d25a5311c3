"""One job of SageMaker in a process of its own: started, watched, and told of."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from seedbed.catalog import CHECKOUT
from seedbed.sandbox.services.sagemaker.records import Record
from seedbed.sandbox.world import Context

EXECUTOR = CHECKOUT / "layers/model-build/pipeline/local.py"
RUNNER = Path(__file__).with_name("job_runner.py")
DAY = 86_400  # seconds: how long a job may run that does not say, as the API's default
PAUSE = 0.05
MOST_EVENTS = 10_000  # in one PutLogEvents


@dataclass
class Job:
    """A job that runs, or has run."""

    record: Record
    kind: str  # Processing or Training
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class JobRun:
    """Carries one job out, in a thread of its own; `lock` guards its record."""

    def __init__(self, ctx: Context, job: Job, lock: threading.RLock) -> None:
        self.ctx, self.world, self.job, self.lock = ctx, ctx.world, job, lock
        self.said, self.kind = job.record.said, job.kind
        self.name: str = self.said[f"{self.kind}JobName"]
        self.stopping = self.world.stopping
        self.folder = self.world.path("sagemaker", "jobs", self.name)

    def run(self) -> None:
        """Run the job to its end, and tell how it went."""
        try:
            self._change({f"{self.kind}StartTime": self._now()}, "Downloading")
            self._tell()
            try:
                result = self._run()
            except ClientError as error:  # the role is gone, or trusts SageMaker no more
                said = error.response["Error"]
                reason = f"ClientError: {said['Code']}: {said['Message']}"
                result = {"status": "Failed", "reason": reason}
            if not self.stopping.is_set():
                self._log()
                self._change(self._outcome(result), result.get("second", result["status"]))
                self._tell()
        finally:
            self.job.ended.set()

    def _run(self) -> dict[str, str]:
        """Return the job's status, and what beside it is to be told."""
        path = self.folder / "config.json"
        path.write_text(json.dumps(self._config(), default=str), encoding="utf-8")
        role = self.said["RoleArn"]
        with (self.folder / "runner.log").open("wb") as output:
            process = self.world.popen(
                [sys.executable, "-P", str(RUNNER), str(path)],
                env=self.ctx.environment(role_arn=role, session_name="SageMaker"),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        longest = self.said.get("StoppingCondition", {}).get("MaxRuntimeInSeconds") or DAY
        deadline = self.said[f"{self.kind}StartTime"] + timedelta(seconds=longest)
        result: dict[str, str] = {}
        try:
            while process.poll() is None and not result:
                if self.stopping.is_set() or self.job.stop.is_set():
                    result = {"status": "Stopped"}
                elif self.world.now() >= deadline:
                    result = {"status": "Stopped", "second": "MaxRuntimeExceeded"}
                self.world.wait(PAUSE)
        finally:
            process.kill()
            process.wait()
        if result:
            return result
        try:
            told: dict[str, str] = json.loads((self.folder / "result.json").read_bytes())
        except OSError:
            text = (self.folder / "runner.log").read_text(errors="replace")
            return {"status": "Failed", "reason": f"InternalServerError: {text[-900:]}"}
        return told

    def _config(self) -> dict[str, Any]:
        isolated = (
            self.said.get("EnableNetworkIsolation")
            if self.kind == "Training"
            else self.said.get("NetworkConfig", {}).get("EnableNetworkIsolation")
        )
        return {
            "executor": str(EXECUTOR),
            "kind": self.kind,
            "name": self.name,
            "isolated": bool(isolated),
            "environment": {
                "AWS_REGION": self.ctx.region,
                f"{self.kind.upper()}_JOB_NAME": self.name,
                f"{self.kind.upper()}_JOB_ARN": self.job.record.arn,
            },
            "request": self.said,
        }

    def _outcome(self, result: Mapping[str, str]) -> dict[str, Any]:
        now, kind = self._now(), self.kind
        said: dict[str, Any] = {f"{kind}JobStatus": result["status"], f"{kind}EndTime": now}
        if reason := result.get("reason"):
            said["FailureReason"] = reason
        if kind == "Processing" and result.get("message"):
            said["ExitMessage"] = result["message"]
        if result.get("model"):
            said["ModelArtifacts"] = {"S3ModelArtifacts": result["model"]}
        if kind == "Training":
            seconds = int((now - self.said["TrainingStartTime"]).total_seconds())
            said |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
        return said

    def _now(self) -> datetime:
        now = self.world.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def _change(self, said: Mapping[str, Any], second: str) -> None:
        now = self._now()
        with self.lock:
            self.said.update(said, LastModifiedTime=now)
            if self.kind == "Training":
                self.said["SecondaryStatus"] = second
                move = {"Status": second, "StartTime": now}
                self.said["SecondaryStatusTransitions"].append(move)

    def _log(self) -> None:
        """Write the job's output as its role: one that may not has no log, as in AWS."""
        path = self.folder / "runs/run/job.log"
        lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
        now = int(self.world.now().timestamp() * 1000)
        group = f"/aws/sagemaker/{self.kind}Jobs"
        place = {"logGroupName": group, "logStreamName": f"{self.name}/algo-1-{now // 1000}"}
        events = [{"timestamp": now, "message": line or " "} for line in lines]
        role = self.said["RoleArn"]
        with suppress(ClientError):
            client = self.ctx.client("logs", role_arn=role, session_name="SageMaker")
            with suppress(client.exceptions.ResourceAlreadyExistsException):
                client.create_log_group(logGroupName=group)
            client.create_log_stream(**place)
            for start in range(0, len(events), MOST_EVENTS):
                client.put_log_events(**place, logEvents=events[start : start + MOST_EVENTS])

    def _tell(self) -> None:
        with self.lock:
            said = {**self.said, "Tags": dict(self.job.record.tags)}
        put_event(self.ctx, f"SageMaker {self.kind} Job State Change", [self.job.record.arn], said)


def put_event(ctx: Context, kind: str, resources: list[str], detail: Mapping[str, Any]) -> None:
    """Put an event of SageMaker on the account's default bus, on a best effort basis."""
    entry = {
        "Source": "aws.sagemaker",
        "DetailType": kind,
        "Resources": resources,
        "Detail": json.dumps(detail, default=lambda moment: int(moment.timestamp() * 1000)),
    }
    with suppress(ClientError):
        client = ctx.client("events", as_service="sagemaker.amazonaws.com")
        client.put_events(Entries=[entry])
