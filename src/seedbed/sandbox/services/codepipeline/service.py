"""CodePipeline: pipelines kept as they were given, and executions that really run.

moto only keeps records, so that every operation is answered here or refused by name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from seedbed.sandbox.service import ServiceError, unsupported
from seedbed.sandbox.services.codepipeline import told, triggers
from seedbed.sandbox.services.codepipeline.model import (
    STORE,
    ActionRun,
    Execution,
    Pipeline,
    StageRun,
)
from seedbed.sandbox.services.codepipeline.records import Records
from seedbed.sandbox.services.codepipeline.run import Engine, forget
from seedbed.sandbox.services.git import store
from seedbed.sandbox.services.git.store import Push
from seedbed.sandbox.world import Context, World

ENDED = frozenset({"Succeeded", "Failed", "Stopped", "Superseded", "Cancelled"})
REVISIONS = {
    "COMMIT_ID": ("CodeCommit", "CodeStarSourceConnection"),
    "S3_OBJECT_VERSION_ID": ("S3",),
}


class CodePipeline(Records):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.engine = Engine(world, self.lock)
        store.listeners(world)[STORE] = self.on_push

    def has(self, operation: str) -> bool:
        """Claim every operation: moto's CodePipeline knows nothing of these pipelines."""
        del operation
        return True

    def call(self, ctx: Context, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if not super().has(operation):
            raise unsupported(f"codepipeline:{operation}")
        return super().call(ctx, operation, params)

    # Executions

    def start_pipeline_execution(
        self,
        ctx: Context,
        name: str,
        variables: list[dict[str, str]] | None = None,
        clientRequestToken: str | None = None,
        sourceRevisions: list[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        kept = self.pipeline(ctx, name)
        overrides = dict(_override(kept.declaration, one) for one in sourceRevisions or [])
        kind = "CloudWatchEvent" if ctx.session_name == "events" else "StartPipelineExecution"
        given = {one["name"]: one["value"] for one in variables or []}
        with self.lock:
            known = kept.tokens.get(clientRequestToken or "")
            if known:
                return {"pipelineExecutionId": known}
            trigger = (kind, ctx.principal.session_arn)
            made = self._start(kept, trigger, overrides, given)
            if clientRequestToken:
                kept.tokens[clientRequestToken] = made.id
        return {"pipelineExecutionId": made.id}

    def begun(self, kept: Pipeline, trigger: tuple[str, str]) -> None:
        self._start(kept, trigger, {})

    def _start(
        self,
        kept: Pipeline,
        trigger: tuple[str, str],
        overrides: dict[str, dict[str, str]],
        given: Mapping[str, str] | None = None,
    ) -> Execution:
        variables = _variables(kept.declaration, given or {})
        now = self.world.now()
        made = Execution(
            self.world.uuid(),
            kept.version,
            kept.declaration,
            trigger,
            variables,
            overrides,
            now,
            now,
        )
        stages = [one["name"] for one in kept.declaration["stages"]]
        with self.lock:
            if kept.is_deleted:  # while this request was under way
                raise ServiceError("PipelineNotFoundException", f"{kept.name} was deleted")
            kept.executions.append(made)
            self.engine.begin(kept, made, stages)
        return made

    def on_push(self, push: Push) -> None:
        """Start the pipelines that a push to a repository concerns."""
        place = tuple(push.repository.split(":")[3:5]) if ":" in push.repository else None
        for (account, region), pipelines in self.world.stores(STORE).items():
            if place not in {None, (region, account)}:
                continue
            for kept in list(pipelines.values()):
                with contextlib.suppress(store.GitError):  # the repository is gone by now
                    for one in triggers.started_by(self.world, push, kept.declaration):
                        with contextlib.suppress(ServiceError):  # a variable without a value
                            self._start(kept, one.trigger, one.overrides)

    def stop_pipeline_execution(
        self,
        ctx: Context,
        pipelineName: str,
        pipelineExecutionId: str,
        abandon: bool = False,
        reason: str = "",
    ) -> dict[str, Any]:
        kept, found = self._execution(ctx, pipelineName, pipelineExecutionId)
        with self.lock:
            if found.status in ENDED:
                message = f"{found.id} is {found.status} and cannot be stopped"
                raise ServiceError("PipelineExecutionNotStoppableException", message)
            if found.stopping and not (abandon and not found.abandoned):
                message = f"{found.id} is being stopped"
                raise ServiceError("DuplicatedStopRequestException", message)
            found.stopping, found.abandoned, found.stop_reason = True, abandon, reason
            found.status = "Stopping"
        self.engine.stops(kept, found)
        return {"pipelineExecutionId": found.id}

    def get_pipeline_execution(
        self, ctx: Context, pipelineName: str, pipelineExecutionId: str
    ) -> dict[str, Any]:
        kept, found = self._execution(ctx, pipelineName, pipelineExecutionId)
        return {"pipelineExecution": told.execution(kept, found)}

    def _execution(self, ctx: Context, name: str, number: str) -> tuple[Pipeline, Execution]:
        kept = self.pipeline(ctx, name)
        found = kept.execution(number)
        if found is None:
            message = f"Could not find pipeline execution with execution ID {number}"
            raise ServiceError("PipelineExecutionNotFoundException", message)
        return kept, found

    def list_pipeline_executions(
        self,
        ctx: Context,
        pipelineName: str,
        maxResults: int | None = None,
        filter: dict[str, Any] | None = None,  # noqa: A002 (the API's name)
        nextToken: str | None = None,
    ) -> dict[str, Any]:
        """List executions, the latest first."""
        every = list(reversed(self.pipeline(ctx, pipelineName).executions))
        if passed := (filter or {}).get("succeededInStage"):
            stage = passed.get("stageName", "")
            every = [
                one for one in every if one.stages.get(stage, StageRun("")).status == "Succeeded"
            ]
        found, following = told.page(every, maxResults, nextToken)
        return {"pipelineExecutionSummaries": [told.summary(one) for one in found], **following}

    def list_action_executions(
        self,
        ctx: Context,
        pipelineName: str,
        filter: dict[str, Any] | None = None,  # noqa: A002 (the API's name)
        maxResults: int | None = None,
        nextToken: str | None = None,
    ) -> dict[str, Any]:
        """List tries of actions, the latest first."""
        kept, asked = self.pipeline(ctx, pipelineName), filter or {}
        if "latestInPipelineExecution" in asked:
            raise unsupported(
                "filter.latestInPipelineExecution of codepipeline:ListActionExecutions"
            )
        executions = list(reversed(kept.executions))
        if number := asked.get("pipelineExecutionId"):
            executions = [self._execution(ctx, pipelineName, number)[1]]
        every = [(one, run) for one in executions for run in reversed(one.history)]
        found, following = told.page(every, maxResults, nextToken)
        details = [told.action(kept, one, run) for one, run in found]
        return {"actionExecutionDetails": details, **following}

    def get_pipeline_state(self, ctx: Context, name: str) -> dict[str, Any]:
        with self.lock:
            return told.state(self.pipeline(ctx, name))

    # Stages

    def retry_stage_execution(
        self,
        ctx: Context,
        pipelineName: str,
        stageName: str,
        pipelineExecutionId: str,
        retryMode: str,
    ) -> dict[str, Any]:
        kept, found = self._execution(ctx, pipelineName, pipelineExecutionId)
        stages = self._stages(kept, stageName)
        with self.lock:
            run = found.stages.get(stageName)
            if run is None or run.status not in {"Failed", "Stopped"} or found.status not in ENDED:
                message = f"The stage {stageName} of {found.id} did not fail"
                raise ServiceError("StageNotRetryableException", message)
            last = found.mode == "PARALLEL" or kept.latest.get(stageName) is found
            if not last or found.version != kept.version:
                message = f"{found.id} is not the latest execution in the stage {stageName}"
                raise ServiceError("NotLatestPipelineExecutionException", message)
            found.status, found.updated = "InProgress", self.world.now()
            found.stopping = found.abandoned = False
            found.attempt += 1
            run.manual += 1
            forget(run, retryMode)
            way = [stageName] if found.target else stages[stages.index(stageName) :]
            self.engine.begin(kept, found, way)
        return {"pipelineExecutionId": found.id}

    def rollback_stage(
        self, ctx: Context, pipelineName: str, stageName: str, targetPipelineExecutionId: str
    ) -> dict[str, Any]:
        kept, target = self._execution(ctx, pipelineName, targetPipelineExecutionId)
        if self._stages(kept, stageName)[0] == stageName:
            message = "The source stage cannot be rolled back"
            raise ServiceError("UnableToRollbackStageException", message)
        if target.mode == "PARALLEL":
            message = "A pipeline in PARALLEL mode cannot roll back"
            raise ServiceError("UnableToRollbackStageException", message)
        if target.version != kept.version:
            message = f"{target.id} ran with another version of the pipeline"
            raise ServiceError("PipelineExecutionOutdatedException", message)
        if target.stages.get(stageName, StageRun("")).status != "Succeeded":
            message = f"{target.id} did not succeed in the stage {stageName}"
            raise ServiceError("UnableToRollbackStageException", message)
        trigger = ("ManualRollback", ctx.principal.session_arn)
        made = self.engine.roll_back(kept, target, stageName, trigger)
        return {"pipelineExecutionId": made.id}

    def disable_stage_transition(
        self, ctx: Context, pipelineName: str, stageName: str, transitionType: str, reason: str
    ) -> dict[str, Any]:
        """Close the way into a stage."""
        kept = self._inbound(ctx, pipelineName, stageName, transitionType)
        kept.closed[stageName] = {
            "lastChangedBy": ctx.principal.session_arn,
            "lastChangedAt": self.world.now(),
            "disabledReason": reason,
        }
        return {}

    def enable_stage_transition(
        self, ctx: Context, pipelineName: str, stageName: str, transitionType: str
    ) -> dict[str, Any]:
        self._inbound(ctx, pipelineName, stageName, transitionType).closed.pop(stageName, None)
        return {}

    def _inbound(self, ctx: Context, name: str, stage: str, kind: str) -> Pipeline:
        kept = self.pipeline(ctx, name)
        self._stages(kept, stage)
        if kind != "Inbound":
            raise unsupported(f"the transition type {kind} of a pipeline's stage")
        return kept

    def _stages(self, kept: Pipeline, stage: str) -> list[str]:
        names = [one["name"] for one in kept.declaration["stages"]]
        if stage not in names:
            message = f"{kept.name} has no stage {stage}"
            raise ServiceError("StageNotFoundException", message)
        return names

    # What others tell of an action

    def put_approval_result(
        self,
        ctx: Context,
        *,
        pipelineName: str,
        stageName: str,
        actionName: str,
        result: dict[str, str],
        token: str,
    ) -> dict[str, Any]:
        kept = self.pipeline(ctx, pipelineName)
        self._stages(kept, stageName)
        tries = [
            run
            for one in kept.executions
            for run in one.history
            if (run.stage, run.action["name"]) == (stageName, actionName)
        ]
        if not tries:
            message = f"{actionName} has not run in {stageName}"
            raise ServiceError("ActionNotFoundException", message)
        run = next((one for one in tries if one.token == token), None)
        if run is None or not token:
            raise ServiceError("InvalidApprovalTokenException", f"{token!r} is no valid token")
        with self.lock:
            if run.status != "InProgress" or run.verdict is not None:
                message = f"{actionName} was answered already"
                raise ServiceError("ApprovalAlreadyCompletedException", message)
            run.updated_by = ctx.principal.session_arn
            run.verdict = dict(result)
        return {"approvedAt": self.world.now()}

    def put_job_success_result(
        self,
        ctx: Context,
        jobId: str,
        continuationToken: str | None = None,
        executionDetails: dict[str, Any] | None = None,
        outputVariables: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        verdict = {
            "continuationToken": continuationToken,
            "executionDetails": executionDetails,
            "outputVariables": outputVariables,
        }
        return self._answer(ctx, jobId, verdict)

    def put_job_failure_result(
        self, ctx: Context, jobId: str, failureDetails: dict[str, str]
    ) -> dict[str, Any]:
        return self._answer(ctx, jobId, {"failure": failureDetails})

    def _answer(self, ctx: Context, job: str, verdict: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            run = next((one for one in self._runs(ctx) if one.id == job and one.token == job), None)
            if run is None:
                raise ServiceError("JobNotFoundException", f"there is no job {job}")
            if run.status != "InProgress" or run.verdict is not None:
                raise ServiceError("InvalidJobStateException", f"the job {job} has ended")
            run.verdict = verdict
        return {}

    def _runs(self, ctx: Context) -> Iterable[ActionRun]:
        for kept in self.state(ctx).values():
            for one in kept.executions:
                yield from one.history


def _variables(declaration: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return the values of a pipeline's variables in one execution."""
    known = {one["name"]: one.get("defaultValue") for one in declaration.get("variables", [])}
    if unknown := sorted(set(given) - set(known)):
        raise ServiceError("ValidationException", f"The pipeline has no variable {unknown[0]}")
    values = {**known, **given}
    if missing := [name for name, value in values.items() if value is None]:
        raise ServiceError("ValidationException", f"The variable {missing[0]} has no value")
    return {name: str(value) for name, value in values.items()}


def _override(
    declaration: Mapping[str, Any], said: Mapping[str, str]
) -> tuple[str, dict[str, str]]:
    """Return what a source action takes instead of the latest revision."""
    name, kind = said["actionName"], said["revisionType"]
    action = next((x for x in declaration["stages"][0]["actions"] if x["name"] == name), None)
    if action is None:
        raise ServiceError("ValidationException", f"The pipeline has no source action {name}")
    if kind not in REVISIONS:
        raise unsupported(f"sourceRevisions.revisionType {kind}")
    if action["actionTypeId"]["provider"] not in REVISIONS[kind]:
        raise ServiceError("ValidationException", f"{name} takes no revision of type {kind}")
    return name, {"revision": said["revisionValue"]}
