"""Builds, approvals and functions: actions that others carry out and a pipeline waits for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError

from seedbed.sandbox.services.codepipeline.model import (
    PRINCIPAL,
    Acting,
    ActionError,
    Artifact,
)

POLL = 0.1  # seconds
THROTTLED = frozenset({"Throttling", "ThrottlingException", "TooManyRequestsException"})
# Minutes until an action fails by itself: "Quotas in CodePipeline".
APPROVAL, BUILD, FUNCTION = 7 * 24 * 60, 36 * 60, 24 * 60


def build(acting: Acting) -> None:
    """Start a build of the input artifact and wait for its end."""
    client = acting.client("codebuild")
    started = client.start_build(**_build_request(acting))["build"]
    acting.run.external_id = started["id"]
    acting.run.external_url = started.get("logs", {}).get("deepLink", "")
    until = _deadline(acting, BUILD)
    while started["buildStatus"] == "IN_PROGRESS":
        _until(acting, until)
        try:
            asked = acting.client("codebuild").batch_get_builds(ids=[started["id"]])
        except ClientError as error:
            if error.response["Error"]["Code"] in THROTTLED:
                continue
            raise
        (started,) = asked["builds"]
    if started["buildStatus"] != "SUCCEEDED":
        raise ActionError("JobFailed", _why(started))
    exported = started.get("exportedEnvironmentVariables", [])
    acting.run.variables.update({one["name"]: one["value"] for one in exported})


def _why(told: Mapping[str, Any]) -> str:
    message = f"Build terminated with state: {told['buildStatus']}"
    for phase in told.get("phases", []):
        for said in phase.get("contexts", []):
            if phase.get("phaseStatus", "SUCCEEDED") != "SUCCEEDED" and said.get("message"):
                code = said.get("statusCode", "")
                return f"{message}. Phase: {phase['phaseType']}, Code: {code}, {said['message']}"
    return message


def _build_request(acting: Acting) -> dict[str, Any]:
    said, run = acting.configuration, acting.run
    primary = said.get("PrimarySource") or run.inputs[0].name
    inputs = {one.name: one for one in run.inputs}
    first = inputs.pop(primary)
    asked: dict[str, Any] = {
        "projectName": said["ProjectName"],
        "idempotencyToken": run.id,
        "sourceTypeOverride": "CODEPIPELINE",
        "sourceLocationOverride": f"{first.bucket}/{first.key}",
        "sourceVersion": f"arn:aws:s3:::{first.bucket}/{first.key}",
    }
    if inputs:
        asked["secondarySourcesOverride"] = [
            {
                "type": "CODEPIPELINE",
                "sourceIdentifier": one.name,
                "location": f"{one.bucket}/{one.key}",
            }
            for one in inputs.values()
        ]
    places = [_place(one) for one in run.outputs]
    if len(places) > 1:  # then each is a secondary artifact of the buildspec, by its name
        for place, one in zip(places, run.outputs, strict=True):
            place["artifactIdentifier"] = one.name
        asked["secondaryArtifactsOverride"] = places[1:]
    if places:
        asked["artifactsOverride"] = places[0]
    if key := acting.store.get("encryptionKey"):
        asked["encryptionKeyOverride"] = key["id"]
    if "EnvironmentVariables" in said:
        try:
            given = json.loads(said["EnvironmentVariables"])
            asked["environmentVariablesOverride"] = [
                {"name": one["name"], "value": one["value"], "type": one.get("type", "PLAINTEXT")}
                for one in given
            ]
        except (ValueError, KeyError, TypeError) as error:
            message = f"EnvironmentVariables: {error}"
            raise ActionError("ConfigurationError", message) from error
    return asked


def _place(artifact: Artifact) -> dict[str, str]:
    path, _, name = artifact.key.rpartition("/")
    place = {"type": "CODEPIPELINE", "location": artifact.bucket, "path": path, "name": name}
    return {**place, "packaging": "ZIP", "namespaceType": "NONE"}


def approval(acting: Acting) -> None:
    """Wait for a person's answer, whom a topic may tell."""
    run, said = acting.run, acting.configuration
    until = _deadline(acting, APPROVAL)
    run.token = acting.ctx.world.uuid()
    if topic := said.get("NotificationArn"):
        asked = {
            "region": acting.ctx.region,
            "consoleLink": "",
            "approval": {
                "pipelineName": acting.pipeline.name,
                "stageName": run.stage,
                "actionName": acting.name,
                "token": run.token,
                "expires": until.strftime("%Y-%m-%dT%H:%MZ"),
                "externalEntityLink": said.get("ExternalEntityLink"),
                "approvalReviewLink": "",
                "customData": said.get("CustomData"),
            },
        }
        subject = f"APPROVAL NEEDED: AWS CodePipeline {acting.pipeline.name}"[:100]
        acting.client("sns").publish(TopicArn=topic, Subject=subject, Message=json.dumps(asked))
    while run.verdict is None:
        _until(acting, until)
    run.summary = run.verdict["summary"]
    if run.verdict["status"] == "Rejected":
        raise ActionError("JobFailed", f"Rejected: {run.summary}")


def function(acting: Acting) -> None:
    """Invoke a function and wait until it tells how its job ended."""
    run = acting.run
    until = _deadline(acting, FUNCTION)
    token = ""
    while True:
        run.verdict, run.token = None, run.id
        event = {"CodePipeline.job": _job(acting, token)}
        acting.client("lambda").invoke(
            FunctionName=acting.configuration["FunctionName"],
            InvocationType="Event",
            Payload=json.dumps(event).encode(),
        )
        while run.verdict is None:
            _until(acting, until)
        verdict: dict[str, Any] = run.verdict
        if failure := verdict.get("failure"):
            run.external_id = failure.get("externalExecutionId", "")
            raise ActionError(failure["type"], failure["message"])
        details = verdict.get("executionDetails") or {}
        run.summary = details.get("summary", "")
        run.external_id = details.get("externalExecutionId", "")
        token = verdict.get("continuationToken") or ""
        if not token:
            run.variables.update(verdict.get("outputVariables") or {})
            return
        acting.wait(POLL)


def _job(acting: Acting, token: str) -> dict[str, Any]:
    said = acting.configuration
    data: dict[str, Any] = {
        "actionConfiguration": {"configuration": dict(said)},
        "inputArtifacts": [_located(one) for one in acting.run.inputs],
        "outputArtifacts": [_located(one) for one in acting.run.outputs],
        "artifactCredentials": _credentials(acting),
    }
    if token:
        data["continuationToken"] = token
    if key := acting.store.get("encryptionKey"):
        data["encryptionKey"] = dict(key)
    return {"id": acting.run.id, "accountId": acting.ctx.account, "data": data}


def _located(one: Artifact) -> dict[str, Any]:
    place = {"bucketName": one.bucket, "objectKey": one.key}
    return {
        "name": one.name,
        "revision": one.revision or None,
        "location": {"type": "S3", "s3Location": place},
    }


def _credentials(acting: Acting) -> dict[str, str]:
    """Return the pipeline role's credentials, cut down to the artifacts of this action."""
    ctx = acting.ctx
    places = [
        (actions, f"arn:aws:s3:::{one.bucket}/{one.key}")
        for actions, found in (
            (["s3:GetObject", "s3:GetObjectVersion"], acting.run.inputs),
            (["s3:PutObject"], acting.run.outputs),
        )
        for one in found
    ]
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": actions, "Resource": place} for actions, place in places
    ]
    keys = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:DescribeKey"]
    statements.append({"Effect": "Allow", "Action": keys, "Resource": "*"})
    sts = ctx.client("sts", as_service=PRINCIPAL, source_arn=acting.pipeline.arn)
    said = sts.assume_role(
        RoleArn=acting.execution.declaration["roleArn"],
        RoleSessionName=acting.session_name[:64],
        Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}),
    )["Credentials"]
    return {
        "accessKeyId": said["AccessKeyId"],
        "secretAccessKey": said["SecretAccessKey"],
        "sessionToken": said["SessionToken"],
    }


def _deadline(acting: Acting, minutes: int) -> Any:
    own = acting.run.action.get("timeoutInMinutes") or minutes
    return acting.ctx.world.now() + timedelta(minutes=own)


def _until(acting: Acting, deadline: Any) -> None:
    if acting.ctx.world.now() > deadline:
        raise ActionError("JobFailed", "The action timed out")
    acting.wait(POLL)
