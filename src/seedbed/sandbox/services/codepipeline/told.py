"""Pipelines, executions and actions in the words of CodePipeline's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedbed.sandbox.service import ServiceError
from seedbed.sandbox.services.codepipeline.model import (
    ActionRun,
    Artifact,
    Execution,
    Pipeline,
    StageRun,
)


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that have a value."""
    return {key: value for key, value in values.items() if value not in ("", None, {}, [])}


def execution(pipeline: Pipeline, one: Execution) -> dict[str, Any]:
    """Return an execution as GetPipelineExecution tells it."""
    told = {
        "pipelineName": pipeline.name,
        "pipelineVersion": one.version,
        "pipelineExecutionId": one.id,
        **_common(one),
        "artifactRevisions": [
            _said(
                {
                    "name": found.artifact,
                    "revisionId": found.id,
                    "revisionSummary": found.summary,
                    "revisionUrl": found.url,
                    "created": found.created,
                }
            )
            for found in list(one.revisions.values())
        ],
        "variables": [
            {"name": name, "resolvedValue": value} for name, value in one.variables.items()
        ],
    }
    if not one.variables:
        del told["variables"]
    return told


def summary(one: Execution) -> dict[str, Any]:
    """Return an execution as ListPipelineExecutions tells it."""
    return {
        "pipelineExecutionId": one.id,
        **_common(one),
        "startTime": one.started,
        "lastUpdateTime": one.updated,
        "sourceRevisions": [
            _said(
                {
                    "actionName": found.action,
                    "revisionId": found.id,
                    "revisionSummary": found.summary,
                    "revisionUrl": found.url,
                }
            )
            for found in list(one.revisions.values())
        ],
        **({} if one.stop_reason is None else {"stopTrigger": {"reason": one.stop_reason}}),
    }


def _common(one: Execution) -> dict[str, Any]:
    kind, text = one.trigger
    told: dict[str, Any] = {
        "status": one.status,
        "statusSummary": one.summary,
        "trigger": {"triggerType": kind, "triggerDetail": text},
        "executionMode": one.mode,
        "executionType": one.kind,
    }
    if one.target:
        told["rollbackMetadata"] = {"rollbackTargetPipelineExecutionId": one.target}
    return _said(told)


def action(pipeline: Pipeline, one: Execution, run: ActionRun) -> dict[str, Any]:
    """Return a run of an action as ListActionExecutions tells it."""
    declared = run.action
    result = _said(
        {
            "externalExecutionId": run.external_id,
            "externalExecutionSummary": run.summary,
            "externalExecutionUrl": run.external_url,
            "errorDetails": _error(run),
        }
    )
    return {
        "pipelineExecutionId": one.id,
        "actionExecutionId": run.id,
        "pipelineVersion": one.version,
        "stageName": run.stage,
        "actionName": declared["name"],
        "startTime": run.started,
        "lastUpdateTime": run.updated,
        **({"updatedBy": run.updated_by} if run.updated_by else {}),
        "status": run.status,
        "input": _said(
            {
                "actionTypeId": dict(declared["actionTypeId"]),
                "configuration": dict(declared["configuration"]),
                "resolvedConfiguration": dict(run.configuration),
                "roleArn": declared.get("roleArn"),
                "region": pipeline.arn.split(":")[3],
                "inputArtifacts": [_located(x) for x in run.inputs],
                "namespace": declared.get("namespace"),
            }
        ),
        "output": _said(
            {
                "outputArtifacts": (
                    [_located(x) for x in run.outputs] if run.status == "Succeeded" else []
                ),
                "executionResult": result,
                "outputVariables": dict(run.variables) if run.status == "Succeeded" else {},
            }
        ),
    }


def _located(one: Artifact) -> dict[str, Any]:
    return {"name": one.name, "s3location": {"bucket": one.bucket, "key": one.key}}


def _error(run: ActionRun) -> dict[str, str]:
    return {"code": run.error.code, "message": run.error.message} if run.error else {}


def state(pipeline: Pipeline) -> dict[str, Any]:
    """Return what GetPipelineState tells."""
    return {
        "pipelineName": pipeline.name,
        "pipelineVersion": pipeline.version,
        "created": pipeline.created,
        "updated": pipeline.updated,
        "stageStates": [_stage(pipeline, one) for one in pipeline.declaration["stages"]],
    }


def _stage(pipeline: Pipeline, declared: Mapping[str, Any]) -> dict[str, Any]:
    name = declared["name"]
    told: dict[str, Any] = {
        "stageName": name,
        "inboundTransitionState": {"enabled": True},
        "actionStates": [],
    }
    if closed := pipeline.closed.get(name):
        told["inboundTransitionState"] = {"enabled": False, **closed}
    waiting = [
        {"pipelineExecutionId": one.id, "status": "InProgress", "type": one.kind}
        for one in pipeline.waiting.get(name, [])
    ]
    if waiting:
        told["inboundExecution"], told["inboundExecutions"] = waiting[0], waiting
    latest = pipeline.latest.get(name)
    run = latest.stages.get(name) if latest else None
    for action_ in declared["actions"]:
        tried = run.actions.get(action_["name"]) if run else None
        told["actionStates"].append(_action_state(action_["name"], latest, tried))
    if latest and run:
        status = "Stopping" if latest.stopping and run.status == "InProgress" else run.status
        told["latestExecution"] = {
            "pipelineExecutionId": latest.id,
            "status": status,
            "type": latest.kind,
        }
        if run.automatic or run.manual:
            told["retryStageMetadata"] = _retries(run)
    return told


def _retries(run: StageRun) -> dict[str, Any]:
    trigger = "ManualStageRetry" if run.manual else "AutomatedStageRetry"
    return _said(
        {
            "autoStageRetryAttempt": run.automatic or None,
            "manualStageRetryAttempt": run.manual or None,
            "latestRetryTrigger": trigger,
        }
    )


def _action_state(name: str, latest: Execution | None, run: ActionRun | None) -> dict[str, Any]:
    told: dict[str, Any] = {"actionName": name}
    if run is None:
        return told
    waits = run.status == "InProgress" and run.action["actionTypeId"]["provider"] == "Manual"
    told["latestExecution"] = _said(
        {
            "actionExecutionId": run.id,
            "status": run.status,
            "summary": run.summary,
            "lastStatusChange": run.updated,
            "token": run.token if waits else "",
            "lastUpdatedBy": run.updated_by,
            "externalExecutionId": run.external_id,
            "externalExecutionUrl": run.external_url,
            "errorDetails": _error(run),
        }
    )
    revision = latest.revisions.get(name) if latest else None
    if revision:
        told["currentRevision"] = {
            "revisionId": revision.id,
            "revisionChangeId": revision.id,
            "created": revision.created,
        }
        if revision.url:
            told["revisionUrl"] = revision.url
    return told


def page(found: list[Any], most: int | None, token: str | None) -> tuple[list[Any], dict[str, str]]:
    """Return one page of a list, and the token of the next.

    Raises:
        ServiceError: The token is none of ours.
    """
    if token is not None and not token.isdigit():
        raise ServiceError("InvalidNextTokenException", f"{token} is no valid token")
    start = int(token or 0)
    end = start + (most or 100)
    return found[start:end], ({"nextToken": str(end)} if end < len(found) else {})
