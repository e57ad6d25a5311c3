"""How an execution runs: from stage to stage, one at a time in each, unless it is PARALLEL."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from seedbed.sandbox.service import ServiceError
from seedbed.sandbox.services.codepipeline import actions, deploy, sources
from seedbed.sandbox.services.codepipeline.model import (
    PRINCIPAL,
    Abandoned,
    Acting,
    ActionError,
    ActionRun,
    Execution,
    Pipeline,
    StageRun,
)
from seedbed.sandbox.services.git import store
from seedbed.sandbox.world import Context, World

POLL = 0.05
RUNNERS: dict[str, Callable[[Acting], None]] = {
    "CodeBuild": actions.build,
    "CodeCommit": sources.codecommit,
    "CodeStarSourceConnection": sources.connection,
    "CloudFormation": deploy.deploy,
    "Lambda": actions.function,
    "Manual": actions.approval,
    "S3": sources.s3,
}
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError"})
# Our statuses -> the states of events
STATES = {
    "InProgress": "STARTED",
    "Succeeded": "SUCCEEDED",
    "Failed": "FAILED",
    "Stopped": "STOPPED",
    "Stopping": "STOPPING",
    "Superseded": "SUPERSEDED",
    "Abandoned": "ABANDONED",
}


class _Left(Exception):  # noqa: N818 (no error: the execution goes no further)
    """The execution was stopped or superseded while it waited."""


class Engine:
    """Runs the executions of one world's pipelines; `lock` guards every record."""

    def __init__(self, world: World, lock: Any) -> None:
        self.world = world
        self.lock = lock

    # The way in: who waits for a stage, in the order of arrival

    def begin(self, pipeline: Pipeline, execution: Execution, stages: Iterable[str]) -> None:
        """Have an execution run through stages, the first of which it now waits for."""
        way = list(stages)
        with self.lock:
            self._arrive(pipeline, execution, way[0])
        self.world.spawn(
            "codepipeline", self._run, self._context(pipeline), pipeline, execution, way
        )

    def stops(self, pipeline: Pipeline, execution: Execution) -> None:
        """Tell event rules that an execution is being stopped."""
        self._tell(self._context(pipeline), pipeline, execution)

    def _context(self, pipeline: Pipeline) -> Context:
        region, account = pipeline.arn.split(":")[3:5]
        return self.world.context("codepipeline", account, region, operation="Execution")

    def _arrive(self, pipeline: Pipeline, execution: Execution, stage: str) -> None:
        if execution.mode == "PARALLEL":
            return
        waiting = pipeline.waiting.setdefault(stage, [])
        if execution.mode == "SUPERSEDED" and not execution.target:
            born = pipeline.executions.index
            for older in [one for one in waiting if born(one) < born(execution)]:
                older.status = "Superseded"
                older.summary = f"Superseded by {execution.id}"
                waiting.remove(older)
            waiting.insert(0, execution)
        else:
            waiting.append(execution)

    def _enter(self, pipeline: Pipeline, execution: Execution, stage: str) -> None:
        """Wait for the stage.

        Raises:
            _Left: The execution was superseded or stopped in the meantime.
            Abandoned: The sandbox ends.
        """
        while True:
            with self.lock:
                waiting = pipeline.waiting.get(stage, [])
                if execution.stopping or execution.status == "Superseded":
                    if execution in waiting:
                        waiting.remove(execution)
                    raise _Left
                free = execution.mode == "PARALLEL" or (
                    stage not in pipeline.inside and waiting[:1] == [execution]
                )
                if free and stage not in pipeline.closed:
                    if execution in waiting:
                        waiting.remove(execution)
                        pipeline.inside[stage] = execution
                    pipeline.latest[stage] = execution
                    return
            if self.world.wait(POLL):
                raise Abandoned

    def _leave(self, pipeline: Pipeline, execution: Execution, stage: str) -> None:
        with self.lock:
            if pipeline.inside.get(stage) is execution:
                del pipeline.inside[stage]

    # An execution

    def _run(self, ctx: Context, pipeline: Pipeline, execution: Execution, way: list[str]) -> None:
        self._tell(ctx, pipeline, execution)
        try:
            for number, stage in enumerate(way):
                self._enter(pipeline, execution, stage)
                try:
                    passed = self._stage(ctx, pipeline, execution, stage)
                    with self.lock:
                        following = way[number + 1 : number + 2]
                        if passed and following and not execution.stopping:
                            self._arrive(pipeline, execution, following[0])
                finally:
                    self._leave(pipeline, execution, stage)
                if execution.stopping or not passed:
                    self._end(
                        ctx, pipeline, execution, "Stopped" if execution.stopping else "Failed"
                    )
                    if not execution.stopping:
                        self._roll_back(pipeline, execution, stage)
                    return
        except _Left:
            status = "Stopped" if execution.stopping else "Superseded"
            self._end(ctx, pipeline, execution, status)
            return
        except Abandoned:
            return
        self._end(ctx, pipeline, execution, "Succeeded")

    def _end(self, ctx: Context, pipeline: Pipeline, execution: Execution, status: str) -> None:
        with self.lock:
            execution.status, execution.updated = status, self.world.now()
        self._tell(ctx, pipeline, execution)

    def _roll_back(self, pipeline: Pipeline, execution: Execution, stage: str) -> None:
        wanted = execution.stage(stage).get("onFailure", {}).get("result") == "ROLLBACK"
        if not wanted or execution.target:
            return
        target = self.rollback_target(pipeline, execution, stage)
        if target is not None:
            self.roll_back(pipeline, target, stage, ("AutomatedRollback", execution.id))

    def rollback_target(
        self, pipeline: Pipeline, execution: Execution, stage: str
    ) -> Execution | None:
        """Return the latest earlier execution, of the same version, that passed the stage."""
        with self.lock:
            earlier = pipeline.executions[: pipeline.executions.index(execution)]
        for one in reversed(earlier):
            passed = one.stages.get(stage, StageRun("")).status == "Succeeded"
            if passed and one.version == execution.version:
                return one
        return None

    def roll_back(
        self, pipeline: Pipeline, target: Execution, stage: str, trigger: tuple[str, str]
    ) -> Execution:
        """Run one stage again with what an earlier execution had there."""
        now = self.world.now()
        made = replace(
            target,
            id=self.world.uuid(),
            trigger=trigger,
            started=now,
            updated=now,
            status="InProgress",
            summary="",
            stages={},
            artifacts=dict(target.artifacts),
            namespaces=dict(target.namespaces),
            revisions=dict(target.revisions),
            history=[],
            attempt=1,
            stop_reason=None,
            stopping=False,
            abandoned=False,
            target=target.id,
        )
        with self.lock:
            pipeline.executions.append(made)
        self.begin(pipeline, made, [stage])
        return made

    # A stage

    def _stage(self, ctx: Context, pipeline: Pipeline, execution: Execution, stage: str) -> bool:
        declared = execution.stage(stage)
        with self.lock:
            run = execution.stages.setdefault(stage, StageRun())
            run.status = "InProgress"
        failure = declared.get("onFailure", {})
        while True:
            self._tell(ctx, pipeline, execution, stage=stage, state="STARTED")
            passed = self._actions(ctx, pipeline, execution, declared, run)
            again = not passed and failure.get("result") == "RETRY" and not run.automatic
            if not again or execution.stopping:
                break
            with self.lock:
                run.automatic += 1
                mode = failure.get("retryConfiguration", {}).get("retryMode", "FAILED_ACTIONS")
                forget(run, mode)
        status = "Succeeded" if passed else "Stopped" if execution.stopping else "Failed"
        with self.lock:
            run.status = status
        self._tell(ctx, pipeline, execution, stage=stage, state=STATES[status])
        return passed

    def _actions(
        self,
        ctx: Context,
        pipeline: Pipeline,
        execution: Execution,
        declared: Any,
        run: StageRun,
    ) -> bool:
        """Run the actions group by group, the same runOrder side by side; tell if all passed."""
        for order in sorted({one["runOrder"] for one in declared["actions"]}):
            group = [
                self._try(execution, declared["name"], one, run)
                for one in declared["actions"]
                if one["runOrder"] == order and one["name"] not in run.actions
            ]
            for one in group:
                acting = Acting(ctx, pipeline, execution, one)
                self.world.spawn("codepipeline-action", self._act, acting)
            while any(one.status == "InProgress" for one in group):
                if execution.abandoned:
                    for one in group:
                        self._finish(one, "Abandoned")
                if self.world.wait(POLL):
                    raise Abandoned
            if any(one.status != "Succeeded" for one in group):
                return False
            if execution.stopping and order != max(x["runOrder"] for x in declared["actions"]):
                return False
        return True

    def _try(self, execution: Execution, stage: str, declared: Any, run: StageRun) -> ActionRun:
        now = self.world.now()
        made = ActionRun(self.world.uuid(), stage, declared, now, now)
        with self.lock:
            run.actions[declared["name"]] = made
            execution.history.append(made)
            execution.updated = now
        return made

    def _finish(self, run: ActionRun, status: str, error: ActionError | None = None) -> bool:
        with self.lock:
            if run.status != "InProgress":
                return False
            run.updated, run.error = self.world.now(), error
            run.status = status
            return True

    def _act(self, acting: Acting) -> None:
        run, execution = acting.run, acting.execution
        self._tell_action(acting, "STARTED")
        error: ActionError | None = None
        try:
            run.configuration = {
                key: execution.resolve(value) for key, value in run.action["configuration"].items()
            }
            run.inputs = [self._input(execution, one) for one in run.action["inputArtifacts"]]
            run.outputs = [acting.place(one["name"]) for one in run.action["outputArtifacts"]]
            RUNNERS[run.action["actionTypeId"]["provider"]](acting)
        except Abandoned:
            return
        except ActionError as failed:
            error = failed
        except (ClientError, ServiceError, store.GitError) as failed:
            error = _failure(failed)
        except BotoCoreError as failed:
            error = ActionError("SystemUnavailable", str(failed))
        except Exception as defect:  # noqa: BLE001 (a defect of ours is told, not hidden)
            if run.status == "InProgress":  # nobody waits for what was abandoned
                traceback.print_exc()
            error = ActionError("SystemUnavailable", f"SandboxDefect: {defect!r}")
        with self.lock:
            if error is None and run.status == "InProgress":
                execution.artifacts.update(
                    {one.name: self._kept(acting, one) for one in run.outputs}
                )
                if space := run.action.get("namespace"):
                    execution.namespaces[space] = dict(run.variables)
            ended = self._finish(run, "Failed" if error else "Succeeded", error)
        if ended:
            self._tell_action(acting, STATES[run.status])

    def _kept(self, acting: Acting, artifact: Any) -> Any:
        revision = acting.execution.revisions.get(acting.name)
        return replace(artifact, revision=revision.id) if revision else artifact

    def _input(self, execution: Execution, said: Any) -> Any:
        found = execution.artifacts.get(said["name"])
        if found is None:
            message = f"The input artifact {said['name']} was not made"
            raise ActionError("ConfigurationError", message)
        return found

    # Events

    def _tell(
        self,
        ctx: Context,
        pipeline: Pipeline,
        execution: Execution,
        *,
        stage: str | None = None,
        state: str | None = None,
    ) -> None:
        detail = _detail(pipeline, execution)
        if stage is None:
            again = execution.attempt > 1 and execution.status == "InProgress"
            detail["state"] = "RESUMED" if again else STATES[execution.status]
            kind, text = execution.trigger
            detail["execution-trigger"] = {"trigger-type": kind, "trigger-detail": text}
        else:
            detail |= {"stage": stage, "state": state}
        self._put(ctx, pipeline, "Stage" if stage else "Pipeline", detail)

    def _tell_action(self, acting: Acting, state: str) -> None:
        run = acting.run
        detail = {
            **_detail(acting.pipeline, acting.execution),
            "stage": run.stage,
            "action": acting.name,
            "state": state,
            "region": acting.ctx.region,
            "type": dict(run.action["actionTypeId"]),
        }
        if run.error:
            detail["execution-result"] = {
                "external-execution-id": run.external_id,
                "external-execution-summary": run.error.message,
                "error-code": run.error.code,
            }
        self._put(acting.ctx, acting.pipeline, "Action", detail)

    def _put(self, ctx: Context, pipeline: Pipeline, what: str, detail: dict[str, Any]) -> None:
        entry = {
            "Source": "aws.codepipeline",
            "DetailType": f"CodePipeline {what} Execution State Change",
            "Resources": [pipeline.arn],
            "Detail": json.dumps(detail),
        }
        try:
            ctx.client("events", as_service=PRINCIPAL).put_events(Entries=[entry])
        except (ClientError, BotoCoreError):  # best effort, as AWS's
            return


def forget(run: StageRun, mode: str) -> None:
    """Take out of a stage what a retry runs again."""
    for name, tried in list(run.actions.items()):
        if mode == "ALL_ACTIONS" or tried.status != "Succeeded":
            del run.actions[name]


def _detail(pipeline: Pipeline, execution: Execution) -> dict[str, Any]:
    return {
        "pipeline": pipeline.name,
        "execution-id": execution.id,
        "start-time": execution.started.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "version": float(execution.version),
        "pipeline-execution-attempt": float(execution.attempt),
    }


def _failure(failed: ClientError | ServiceError | store.GitError) -> ActionError:
    if isinstance(failed, store.GitError):  # the repository went while it was read
        return ActionError("ConfigurationError", str(failed))
    if isinstance(failed, ServiceError):
        code, message = failed.code, failed.message
    else:
        code, message = failed.response["Error"]["Code"], failed.response["Error"]["Message"]
    if code in DENIED:
        kind = "PermissionError"
    elif code in {"NotImplementedInSandbox", "SandboxDefect"}:
        kind = "SystemUnavailable"
    else:
        kind = "ConfigurationError"
    return ActionError(kind, f"{code}: {message}")
