"""What a build tells: its log in CloudWatch Logs, and the events of its states and phases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from seedbed.sandbox.services.codebuild.role import Role
from seedbed.sandbox.world import Context

LONGEST = 10_000  # events in one PutLogEvents


class LogError(Exception):
    """Why the log cannot be written."""


class Log:
    """A build's log stream, written as the service role; a disabled one only listens."""

    def __init__(self, role: Role, build: Mapping[str, Any]) -> None:
        self._role, self._build = role, build
        self._waiting: list[dict[str, Any]] = []
        self._open = False

    def open(self) -> None:
        """Create the stream, and its group if there is none.

        Raises:
            LogError: The service role may not.
        """
        logs = self._build["logs"]
        if "streamName" not in logs:
            return
        named = {"logGroupName": logs["groupName"], "logStreamName": logs["streamName"]}
        try:
            client = self._role.client("logs")
            try:
                client.create_log_stream(**named)
            except client.exceptions.ResourceNotFoundException:
                client.create_log_group(logGroupName=logs["groupName"])
                client.create_log_stream(**named)
        except ClientError as error:
            raise LogError(self._refusal("create Amazon CloudWatch Logs log streams", error)) from (
                error
            )
        self._open = True

    def say(self, text: str) -> None:
        """Note a line of CodeBuild's own."""
        self.hear(f"[Container] {self._role.ctx.world.now():%Y/%m/%d %H:%M:%S.%f} {text}")

    def hear(self, line: str) -> None:
        """Note a line of a command."""
        now = int(self._role.ctx.world.now().timestamp() * 1000)
        self._waiting.append({"timestamp": now, "message": f"{line}\n"})

    def flush(self) -> None:
        """Write what was noted.

        Raises:
            LogError: The service role may not.
        """
        waiting, self._waiting = self._waiting, []
        logs = self._build["logs"]
        while self._open and waiting:
            part, waiting = waiting[:LONGEST], waiting[LONGEST:]
            try:
                self._role.client("logs").put_log_events(
                    logGroupName=logs["groupName"],
                    logStreamName=logs["streamName"],
                    logEvents=part,
                )
            except ClientError as error:
                self._open = False
                raise LogError(self._refusal("put Amazon CloudWatch Logs events", error)) from error

    def _refusal(self, what: str, error: ClientError) -> str:
        return (
            f"Service role {self._build['serviceRole']} does not allow AWS CodeBuild to {what}"
            f" for build {self._build['arn']}. Error message: {error.response['Error']['Message']}"
        )


def logs_of(config: Mapping[str, Any], project: str, build: str, arn: str) -> dict[str, Any]:
    """Return where a build's log goes, as the build tells it."""
    said = config.get("cloudWatchLogs") or {"status": "ENABLED"}
    logs: dict[str, Any] = {"cloudWatchLogs": dict(said)}
    if config.get("s3Logs"):
        logs["s3Logs"] = dict(config["s3Logs"])
    if said["status"] == "ENABLED":
        region, account = arn.split(":")[3:5]
        group = said.get("groupName") or f"/aws/codebuild/{project}"
        stream = "/".join(part for part in (said.get("streamName"), build) if part)
        place = f"arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:{stream}"
        quoted = group.replace("/", "$252F")
        logs |= {
            "groupName": group,
            "streamName": stream,
            "cloudWatchLogsArn": place,
            "deepLink": f"https://console.aws.amazon.com/cloudwatch/home?region={region}"
            f"#logsV2:log-groups/log-group/{quoted}/log-events/{stream.replace('/', '$252F')}",
        }
    return logs


# Events: "Build notifications input format reference" of the CodeBuild user guide


def tell_state(ctx: Context, build: Mapping[str, Any]) -> None:
    """Put a `CodeBuild Build State Change` on the account's default bus."""
    last = build["phases"][-1]
    _put(
        ctx,
        build,
        "CodeBuild Build State Change",
        {
            "build-status": build["buildStatus"],
            "current-phase": build["currentPhase"],
            "current-phase-context": _contexts(last),
        },
    )


def tell_phase(ctx: Context, build: Mapping[str, Any], phase: Mapping[str, Any]) -> None:
    """Put a `CodeBuild Build Phase Change` on the account's default bus."""
    _put(
        ctx,
        build,
        "CodeBuild Build Phase Change",
        {
            "completed-phase": phase["phaseType"],
            "completed-phase-context": _contexts(phase),
            "completed-phase-status": phase.get("phaseStatus", "SUCCEEDED"),
            "completed-phase-duration-seconds": phase.get("durationInSeconds", 0),
            "completed-phase-start": _date(phase["startTime"]),
            "completed-phase-end": _date(phase.get("endTime", phase["startTime"])),
        },
    )


def _put(ctx: Context, build: Mapping[str, Any], kind: str, said: dict[str, Any]) -> None:
    detail = {
        **said,
        "project-name": build["projectName"],
        "build-id": build["arn"],
        "additional-information": _information(build),
        "version": "1",
    }
    entry = {
        "Source": "aws.codebuild",
        "DetailType": kind,
        "Resources": [build["arn"]],
        "Detail": json.dumps(detail),
    }
    with suppress(ClientError):  # AWS delivers these on a best effort basis
        ctx.client("events", as_service="codebuild.amazonaws.com").put_events(Entries=[entry])


def _information(build: Mapping[str, Any]) -> dict[str, Any]:
    environment, logs = build["environment"], build["logs"]
    said: dict[str, Any] = {
        "environment": {
            "image": environment["image"],
            "privileged-mode": environment.get("privilegedMode", False),
            "image-pull-credentials-type": environment.get("imagePullCredentialsType", "CODEBUILD"),
            "compute-type": environment["computeType"],
            "type": environment["type"],
            "environment-variables": [
                {"name": one["name"], "type": one.get("type", "PLAINTEXT"), "value": one["value"]}
                for one in environment.get("environmentVariables", [])
            ],
        },
        "timeout-in-minutes": float(build["timeoutInMinutes"]),
        "queued-timeout-in-minutes": float(build["queuedTimeoutInMinutes"]),
        "build-complete": build["buildComplete"],
        "build-number": float(build["buildNumber"]),
        "initiator": build["initiator"],
        "build-start-time": _date(build["startTime"]),
        "source": {
            key: build["source"][key] for key in ("location", "type") if key in build["source"]
        },
        "logs": {
            name: logs[key]
            for name, key in (
                ("group-name", "groupName"),
                ("stream-name", "streamName"),
                ("deep-link", "deepLink"),
            )
            if key in logs
        },
        "phases": [
            {
                "phase-context": _said(phase),
                "start-time": _date(phase["startTime"]),
                "phase-type": phase["phaseType"],
                **(
                    {
                        "end-time": _date(phase["endTime"]),
                        "duration-in-seconds": float(phase["durationInSeconds"]),
                        "phase-status": phase["phaseStatus"],
                    }
                    if "endTime" in phase
                    else {}
                ),
            }
            for phase in build["phases"]
        ],
    }
    if artifact := build.get("artifacts", {}).get("location"):
        sums = {
            key: build["artifacts"][key]
            for key in ("md5sum", "sha256sum")
            if key in build["artifacts"]
        }
        said["artifact"] = {**sums, "location": artifact}
    if build.get("sourceVersion"):
        said["source-version"] = build["sourceVersion"]
    return said


def _said(phase: Mapping[str, Any]) -> list[str]:
    contexts = phase.get("contexts", [])
    return [f"{one['statusCode']}: {one['message']}" for one in contexts if one["statusCode"]]


def _contexts(phase: Mapping[str, Any]) -> str:
    return f"[{', '.join(_said(phase))}]"


def _date(moment: datetime) -> str:
    return f"{moment:%b} {moment.day}, {moment:%Y} {moment.hour % 12 or 12}:{moment:%M:%S %p}"
