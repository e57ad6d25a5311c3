"""One execution of a SageMaker pipeline: its steps, one after the other, as its role."""

from __future__ import annotations

import copy
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from seedbed.sandbox.services.sagemaker.job_run import put_event
from seedbed.sandbox.services.sagemaker.jobs import Jobs
from seedbed.sandbox.world import Context

LONGEST_NAME = 63  # characters of a job's name
FAILED = "Step failure: One or multiple steps failed."


@dataclass
class Execution:
    """One execution: what Describe tells, its steps, and what it was started with."""

    said: dict[str, Any]
    definition: str
    parameters: list[dict[str, str]]
    token: str
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def arn(self) -> str:
        return str(self.said["PipelineExecutionArn"])


class Stopped(Exception):  # noqa: N818 (no error)
    """The execution is stopped, or the sandbox is."""


class Work:
    """Carries one execution out, in a thread of its own."""

    def __init__(
        self,
        service: Jobs,
        ctx: Context,
        execution: Execution,
        *,
        local: Any,
        nodes: list[Any],
        values: dict[str, Any],
    ) -> None:
        self.service, self.ctx, self.world = service, ctx, ctx.world
        self.execution, self.local = execution, local
        self.stopping = self.world.stopping
        arn = execution.arn
        now = execution.said["CreationTime"].isoformat(timespec="seconds")
        self.number = arn.rpartition("/")[2]
        self.flow = local.Run(
            nodes,
            values,
            None,
            root=self.world.path("sagemaker", "executions"),
            on_progress=self._progress,
            execution={
                "PipelineName": execution.said["PipelineArn"].rpartition("/")[2],
                "PipelineArn": execution.said["PipelineArn"],
                "PipelineExecutionId": self.number,
                "PipelineExecutionArn": arn,
                "StartDateTime": now,
                "CurrentDateTime": now,
            },
            environment={},
        )
        # What the executor would do on a laptop, the role asks SageMaker for.
        self.flow._Processing = lambda node: self._job("Processing", node)  # noqa: SLF001
        self.flow._Training = lambda node: self._job("Training", node)  # noqa: SLF001
        self.flow._RegisterModel = self._register  # noqa: SLF001
        self.flow.resolve = self._resolve

    def run(self) -> None:
        """Run the steps; whatever happens, the execution ends."""
        execution = self.execution
        try:
            self._tell(None)
            result = self.flow.run()
            status = "Failed" if result.failure else "Succeeded"
            reason = FAILED if result.failure else ""
        except Stopped:
            status, reason = "Stopped", ""
        except Exception as defect:  # noqa: BLE001 (a defect of ours is told by the execution)
            traceback.print_exc()
            status, reason = "Failed", f"SandboxDefect: {defect!r}"
        try:
            if self.stopping.is_set():
                return
            with self.service.lock:
                for step in execution.steps.values():
                    if "EndTime" not in step:
                        step |= {"StepStatus": status, "EndTime": self.service.now()}
                before = execution.said["PipelineExecutionStatus"]
                execution.said["PipelineExecutionStatus"] = status
                execution.said["LastModifiedTime"] = self.service.now()
                if reason:
                    execution.said["FailureReason"] = reason
            self._tell(before)
        finally:
            execution.ended.set()

    def _client(self, service: str) -> Any:
        role = self.execution.said["RoleArn"]
        return self.ctx.client(service, role_arn=role, session_name="SageMaker")

    def _call(self, operation: str, **params: Any) -> dict[str, Any]:
        """Call SageMaker as the execution's role.

        Raises:
            local.StepError: as the step's reason tells it.
        """
        try:
            method = getattr(self._client("sagemaker"), xform_name(operation))
            answer: dict[str, Any] = method(**params)
        except ClientError as error:
            said = error.response["Error"]
            raise self.local.StepError(
                f"ClientError: Failed to invoke sagemaker:{operation}."
                f" Error Details: {said['Code']}: {said['Message']}"
            ) from error
        return answer

    def _check(self) -> None:
        if self.stopping.is_set() or self.execution.stop.is_set():
            raise Stopped

    def _job(self, kind: str, node: Any) -> dict[str, str]:
        """Create a step's job and wait for it."""
        self._check()
        request = self.flow.resolve(node.request["Arguments"])
        tail = f"-{self.world.token(10)}"
        name = f"pipelines-{self.number}-{node.name}"[: LONGEST_NAME - len(tail)] + tail
        tags = [
            {"Key": "sagemaker:pipeline-execution-arn", "Value": self.execution.arn},
            {"Key": "sagemaker:pipeline-step-name", "Value": node.name},
        ]
        request |= {f"{kind}JobName": name, "Tags": [*request.get("Tags", []), *tags]}
        arn = self._call(f"Create{kind}Job", **request)[f"{kind}JobArn"]
        self._note(node.name, {f"{kind}Job": {"Arn": arn}})
        job = self.service.job(arn)
        while not job.ended.wait(0.05):
            if self.stopping.is_set() or self.execution.stop.is_set():
                if not self.stopping.is_set():
                    self._call(f"Stop{kind}Job", **{f"{kind}JobName": name})
                    job.ended.wait(10)
                raise Stopped
        said = self._call(f"Describe{kind}Job", **{f"{kind}JobName": name})
        self.flow.known["Steps"][node.name] = said
        if said[f"{kind}JobStatus"] != "Completed":
            reason = said.get("FailureReason") or f"the job is {said[f'{kind}JobStatus']}"
            raise self.local.StepError(reason)
        outputs = said.get("ProcessingOutputConfig", {}).get("Outputs", [])
        place = self.flow.folder / "properties" / node.name
        return {one["OutputName"]: str(place / one["OutputName"]) for one in outputs}

    def _register(self, node: Any) -> dict[str, str]:
        self._check()
        request = self.flow.resolve(node.request["Arguments"])
        arn = self._call("CreateModelPackage", **request)["ModelPackageArn"]
        self._note(node.name, {"RegisterModel": {"Arn": arn}})
        known = {**request, "ModelPackageArn": arn, "ModelPackageStatus": "Completed"}
        self.flow.known["Steps"][node.name] = known
        return {"package": arn}

    def _resolve(self, value: Any) -> Any:
        """Resolve an expression; a property file is read from S3 as the role."""
        if isinstance(value, Mapping) and (source := value.get("Std:JsonGet")):
            _, step, _, name = source["PropertyFile"]["Get"].split(".", 3)
            self._property_file(step, name)
        return self.local.Run.resolve(self.flow, value)

    def _property_file(self, step: str, name: str) -> None:
        node = next(one for one in self.flow.nodes if one.name == step)
        files = node.request.get("PropertyFiles", ())
        file = next((one for one in files if one["PropertyFileName"] == name), None)
        if file is None:
            return  # the executor tells of it
        outputs = self.flow.known["Steps"][step]["ProcessingOutputConfig"]["Outputs"]
        output = next(one for one in outputs if one["OutputName"] == file["OutputName"])
        uri = f"{output['S3Output']['S3Uri'].rstrip('/')}/{file['FilePath']}"
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        target = self.flow.folder / "properties" / step / file["OutputName"] / file["FilePath"]
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            body = self._client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            text = f"ClientError: the property file {uri} cannot be read: {error}"
            raise self.local.StepError(text) from error
        target.write_bytes(body)

    # What it tells

    def _note(self, name: str, metadata: dict[str, Any]) -> None:
        with self.service.lock:
            self.execution.steps[name].setdefault("Metadata", {}).update(metadata)

    def _progress(self, step: Any) -> None:
        """Keep a step's state as ListPipelineExecutionSteps tells it."""
        if step.status in {"NotRun", "Skipped"}:
            return
        steps, now = self.execution.steps, self.service.now()
        with self.service.lock:
            before = steps.get(step.name, {}).get("StepStatus")
            known = steps.setdefault(
                step.name,
                {"StepName": step.name, "StartTime": now, "AttemptCount": 1},
            )
            known["StepStatus"] = step.status
            if step.status != "Executing":
                known["EndTime"] = now
            if step.reason:
                known["FailureReason"] = step.reason
        if step.type == "Condition" and step.outputs:
            self._note(step.name, {"Condition": {"Outcome": step.outputs["Outcome"]}})
        if step.type == "Fail" and step.reason:
            self._note(step.name, {"Fail": {"ErrorMessage": step.reason}})
        if before != step.status:
            self._tell_step(step, before)

    def _tell(self, before: str | None) -> None:
        said = self.execution.said
        detail = {
            "pipelineExecutionDisplayName": said["PipelineExecutionDisplayName"],
            "pipelineExecutionDescription": said.get("PipelineExecutionDescription"),
            "currentPipelineExecutionStatus": said["PipelineExecutionStatus"],
            "previousPipelineExecutionStatus": before,
            "executionStartTime": _date(said["CreationTime"]),
            "pipelineArn": said["PipelineArn"],
            "pipelineExecutionArn": self.execution.arn,
        }
        if before is not None:
            detail["executionEndTime"] = _date(said["LastModifiedTime"])
        self._put("Execution Status Change", detail)

    def _tell_step(self, step: Any, before: str | None) -> None:
        known = copy.deepcopy(self.execution.steps[step.name])
        detail = {
            "stepName": step.name,
            "stepType": step.type,
            "stepStartTime": _date(known["StartTime"]),
            "currentStepStatus": known["StepStatus"],
            "previousStepStatus": before,
            "metadata": known.get("Metadata", {}),
            "failureReason": known.get("FailureReason"),
            "pipelineArn": self.execution.said["PipelineArn"],
            "pipelineExecutionArn": self.execution.arn,
        }
        if "EndTime" in known:
            detail["stepEndTime"] = _date(known["EndTime"])
        self._put("Execution Step Status Change", detail)

    def _put(self, kind: str, detail: Mapping[str, Any]) -> None:
        arns = [self.execution.said["PipelineArn"], self.execution.arn]
        plain = {key: value for key, value in detail.items() if value is not None}
        put_event(self.ctx, f"SageMaker Model Building Pipeline {kind}", arns, plain)


def _date(moment: Any) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
