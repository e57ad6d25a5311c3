"""Executions of SageMaker pipelines: the definition is carried out, step by step, as its role.

The generated projects' executor orders the steps and resolves their expressions; each job is one
that the role creates through the API, and a model is registered the same way.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from seedbed.sandbox.service import ServiceError, unsupported
from seedbed.sandbox.services.sagemaker.execution_run import Execution, Work
from seedbed.sandbox.services.sagemaker.job_run import EXECUTOR
from seedbed.sandbox.services.sagemaker.job_runner import load
from seedbed.sandbox.services.sagemaker.jobs import Jobs
from seedbed.sandbox.services.sagemaker.records import paged, who
from seedbed.sandbox.world import Context

STORE = "sagemaker-executions"


class Executions(Jobs):
    """Pipelines, as moto keeps them, and their executions, of all accounts and regions."""

    def create_pipeline(self, ctx: Context, **params: Any) -> dict[str, Any]:
        """Have moto keep a pipeline.

        Raises:
            ServiceError: The definition is no JSON.
        """
        return self._kept(ctx, "CreatePipeline", params)

    def update_pipeline(self, ctx: Context, **params: Any) -> dict[str, Any]:
        return self._kept(ctx, "UpdatePipeline", params)

    def delete_pipeline(
        self, ctx: Context, PipelineName: str, ClientRequestToken: str
    ) -> dict[str, Any]:
        said = {"PipelineName": PipelineName, "ClientRequestToken": ClientRequestToken}
        return self._kept(ctx, "DeletePipeline", said)

    def describe_pipeline(self, ctx: Context, PipelineName: str) -> dict[str, Any]:
        """Return what moto keeps of a pipeline, and when it ran last."""
        told = self._kept(ctx, "DescribePipeline", {"PipelineName": PipelineName})
        with self.lock:
            every = [one.said for one in self._all(ctx).values()]
        times = [one["CreationTime"] for one in every if one["PipelineArn"] == told["PipelineArn"]]
        told.pop("LastRunTime", None)
        return {**told, **({"LastRunTime": max(times)} if times else {})}

    def _kept(self, ctx: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Have moto answer an operation on a pipeline, with SageMaker's error for a missing one."""
        if "PipelineDefinition" in params:
            try:
                json.loads(params["PipelineDefinition"])
            except ValueError as error:
                text = f"Unable to parse pipeline definition: {error}"
                raise ServiceError("ValidationException", text) from error
        name = params["PipelineName"].rpartition("/")[2]
        try:
            return self.forward(ctx, operation, {**params, "PipelineName": name})
        except ClientError as error:
            if "Could not find pipeline" not in error.response["Error"]["Message"]:
                raise
            arn = f"arn:aws:sagemaker:{ctx.region}:{ctx.owner}:pipeline/{name}"
            text = f"Pipeline '{arn}' does not exist."
            raise ServiceError("ResourceNotFound", text) from error

    def start_pipeline_execution(
        self,
        ctx: Context,
        *,
        PipelineName: str,
        ClientRequestToken: str,
        PipelineExecutionDisplayName: str | None = None,
        PipelineExecutionDescription: str | None = None,
        PipelineParameters: list[dict[str, str]] | None = None,
        ParallelismConfiguration: dict[str, Any] | None = None,
        RoleArn: str | None = None,
    ) -> dict[str, Any]:
        """Start an execution of a pipeline, whose record moto keeps.

        Raises:
            ServiceError: There is no such pipeline, its parameters are others, its role cannot be
                assumed, or it has a step that cannot run here.
        """
        pipeline = self._kept(ctx, "DescribePipeline", {"PipelineName": PipelineName})
        given = PipelineParameters or []
        if known := self._begun(ctx, pipeline["PipelineArn"], ClientRequestToken):
            return {"PipelineExecutionArn": known}
        definition = json.loads(pipeline["PipelineDefinition"])
        local = self._executor()
        nodes, values = _planned(local, definition, given)
        role = RoleArn or pipeline["RoleArn"]
        self.assumed(ctx, role)
        number, now = self.world.token(12), self.now()
        said = {
            "PipelineArn": pipeline["PipelineArn"],
            "PipelineExecutionArn": f"{pipeline['PipelineArn']}/execution/{number}",
            "PipelineExecutionDisplayName": PipelineExecutionDisplayName
            or f"execution-{int(now.timestamp() * 1000)}",
            "PipelineExecutionDescription": PipelineExecutionDescription,
            "PipelineExecutionStatus": "Executing",
            "CreationTime": now,
            "LastModifiedTime": now,
            "CreatedBy": who(ctx),
            "LastModifiedBy": who(ctx),
            "ParallelismConfiguration": ParallelismConfiguration,
            "RoleArn": role,
        }
        plain = {key: value for key, value in said.items() if value is not None}
        execution = Execution(plain, pipeline["PipelineDefinition"], given, ClientRequestToken)
        with self.lock:
            if known := self._begun(ctx, pipeline["PipelineArn"], ClientRequestToken):
                return {"PipelineExecutionArn": known}  # another request was faster
            self._all(ctx)[execution.arn] = execution
        work = Work(self, ctx, execution, local=local, nodes=nodes, values=values)
        self.world.spawn("sagemaker", work.run)
        return {"PipelineExecutionArn": execution.arn}

    def describe_pipeline_execution(
        self, ctx: Context, PipelineExecutionArn: str
    ) -> dict[str, Any]:
        with self.lock:
            return copy.deepcopy(self._execution(ctx, PipelineExecutionArn).said)

    def list_pipeline_executions(
        self,
        ctx: Context,
        *,
        PipelineName: str,
        CreatedAfter: Any = None,
        CreatedBefore: Any = None,
        SortBy: str = "CreationTime",
        SortOrder: str = "Descending",
        **page: Any,
    ) -> dict[str, Any]:
        """List a pipeline's executions, latest first unless asked otherwise."""
        if unknown := sorted(set(page) - {"NextToken", "MaxResults"}):
            raise unsupported(f"the parameter {unknown[0]} of sagemaker:ListPipelineExecutions")
        arn = self._kept(ctx, "DescribePipeline", {"PipelineName": PipelineName})["PipelineArn"]
        with self.lock:
            found = [dict(one.said) for one in self._all(ctx).values()]
        found = [
            one
            for one in found
            if one["PipelineArn"] == arn
            and (CreatedAfter is None or one["CreationTime"] > CreatedAfter)
            and (CreatedBefore is None or one["CreationTime"] < CreatedBefore)
        ]
        by = "PipelineExecutionArn" if SortBy == "PipelineExecutionArn" else "CreationTime"
        found.sort(key=lambda one: one[by], reverse=SortOrder == "Descending")
        summaries = [_summary(one) for one in found]
        return paged(summaries, page, "PipelineExecutionSummaries")

    def list_pipeline_execution_steps(
        self,
        ctx: Context,
        *,
        PipelineExecutionArn: str,
        SortOrder: str = "Descending",
        **page: Any,
    ) -> dict[str, Any]:
        """List the steps that have begun."""
        with self.lock:
            execution = self._execution(ctx, PipelineExecutionArn)
            steps = copy.deepcopy(list(execution.steps.values()))
        if SortOrder == "Descending":
            steps.reverse()
        return paged(steps, page, "PipelineExecutionSteps")

    def list_pipeline_parameters_for_execution(
        self, ctx: Context, PipelineExecutionArn: str, **page: Any
    ) -> dict[str, Any]:
        execution = self._execution(ctx, PipelineExecutionArn)
        return paged(list(execution.parameters), page, "PipelineParameters")

    def describe_pipeline_definition_for_execution(
        self, ctx: Context, PipelineExecutionArn: str
    ) -> dict[str, Any]:
        execution = self._execution(ctx, PipelineExecutionArn)
        return {
            "PipelineDefinition": execution.definition,
            "CreationTime": execution.said["CreationTime"],
        }

    def stop_pipeline_execution(
        self, ctx: Context, PipelineExecutionArn: str, ClientRequestToken: str
    ) -> dict[str, Any]:
        """Have an execution end, and the job that it waits for."""
        del ClientRequestToken
        execution = self._execution(ctx, PipelineExecutionArn)
        with self.lock:
            status = execution.said["PipelineExecutionStatus"]
            if status not in {"Executing", "Stopping"}:
                text = f"Pipeline execution with ARN {execution.arn} status is {status}."
                raise ServiceError("ConflictException", text)
            execution.said["PipelineExecutionStatus"] = "Stopping"
        execution.stop.set()
        return {"PipelineExecutionArn": execution.arn}

    def _begun(self, ctx: Context, pipeline: str, token: str) -> str | None:
        """Return the execution of a pipeline that was started with a token."""
        with self.lock:
            every = list(self._all(ctx).values())
        found = (one for one in every if one.token == token)
        return next((one.arn for one in found if one.said["PipelineArn"] == pipeline), None)

    def _executor(self) -> Any:
        if not EXECUTOR.is_file():
            raise unsupported("executions of pipelines without a checkout of seedbed")
        return self.world.store("sagemaker-executor", "", "", lambda: load(str(EXECUTOR)))

    def _all(self, ctx: Context) -> dict[str, Execution]:
        found: dict[str, Execution] = self.world.store(STORE, ctx.owner, ctx.region)
        return found

    def _execution(self, ctx: Context, arn: str) -> Execution:
        with self.lock:
            found = self._all(ctx).get(arn)
        if found is None:
            text = f"Pipeline execution {arn} does not exist."
            raise ServiceError("ResourceNotFound", text)
        return found


def _planned(
    local: Any, definition: Mapping[str, Any], given: list[dict[str, str]]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the steps in their order and the parameters' values."""
    try:
        nodes: list[Any] = local.order(definition["Steps"])
        wanted = {one["Name"]: one["Value"] for one in given}
        declared = definition.get("Parameters", ())
        values: dict[str, Any] = local.parameter_values(declared, wanted)
    except local.LocalError as error:
        raise ServiceError("ValidationException", str(error)) from error
    open_ = [one["Name"] for one in declared if one["Name"] not in wanted]
    if bare := [
        one["Name"] for one in declared if one["Name"] in open_ and "DefaultValue" not in one
    ]:
        raise ServiceError("ValidationException", f"Parameter {bare[0]} has no value")
    for node in nodes:
        if node.unsupported:
            raise unsupported(f"this step of a pipeline: {node.unsupported}")
    return nodes, values


def _summary(said: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {
        "PipelineExecutionArn": "PipelineExecutionArn",
        "StartTime": "CreationTime",
        "PipelineExecutionStatus": "PipelineExecutionStatus",
        "PipelineExecutionDescription": "PipelineExecutionDescription",
        "PipelineExecutionDisplayName": "PipelineExecutionDisplayName",
        "PipelineExecutionFailureReason": "FailureReason",
    }
    return {name: said[key] for name, key in renamed.items() if key in said}
