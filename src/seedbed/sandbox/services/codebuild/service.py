"""CodeBuild: builds of the projects that projects.py keeps, as subprocesses on this host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from seedbed.sandbox import needs
from seedbed.sandbox.iam_actions import action_of
from seedbed.sandbox.needs import Asked, Need
from seedbed.sandbox.service import ServiceError, unsupported
from seedbed.sandbox.services.codebuild import sources
from seedbed.sandbox.services.codebuild.projects import BuildProjects
from seedbed.sandbox.services.codebuild.run import Build, Run
from seedbed.sandbox.services.codebuild.spec import Unsupported
from seedbed.sandbox.services.codebuild.told import logs_of
from seedbed.sandbox.world import Context

PATIENCE = 5.0  # seconds that StopBuild waits for the end
TOKENS = timedelta(minutes=5)  # how long an idempotency token is valid: the StartBuild API
# Override -> the part of the project that it replaces
ENVIRONMENT = {
    "environmentTypeOverride": "type",
    "imageOverride": "image",
    "computeTypeOverride": "computeType",
    "privilegedModeOverride": "privilegedMode",
    "imagePullCredentialsTypeOverride": "imagePullCredentialsType",
}
SOURCE = {
    "sourceTypeOverride": "type",
    "sourceLocationOverride": "location",
    "sourceAuthOverride": "auth",
    "gitCloneDepthOverride": "gitCloneDepth",
    "buildspecOverride": "buildspec",
}
PROJECT = {
    "secondarySourcesOverride": "secondarySources",
    "secondarySourcesVersionOverride": "secondarySourceVersions",
    "sourceVersion": "sourceVersion",
    "artifactsOverride": "artifacts",
    "secondaryArtifactsOverride": "secondaryArtifacts",
    "cacheOverride": "cache",
    "serviceRoleOverride": "serviceRole",
    "timeoutInMinutesOverride": "timeoutInMinutes",
    "queuedTimeoutInMinutesOverride": "queuedTimeoutInMinutes",
    "encryptionKeyOverride": "encryptionKey",
    "logsConfigOverride": "logsConfig",
}
OVERRIDES = frozenset({*ENVIRONMENT, *SOURCE, *PROJECT, "environmentVariablesOverride"})
# What a project may say of a build's surroundings that no build here can have.
REFUSED = ("fileSystemLocations", "autoRetryLimit", "buildBatchConfig")
REFUSED_ENVIRONMENT = ("fleet", "dockerServer", "certificate", "registryCredential", "hostKernel")
# Members of a build that are told as the project, with the overrides, has them.
TOLD = ("secondarySources", "secondarySourceVersions", "cache", "vpcConfig", "sourceVersion")
LEAST, MOST = 5, 2160  # minutes of a timeout
MANY = 100  # ids in one BatchGetBuilds


@dataclass
class Builds:
    """The builds of one account and region, in the order of their starts."""

    known: dict[str, Build] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, tuple[datetime, Mapping[str, Any], Build]] = field(default_factory=dict)


class CodeBuild(BuildProjects):
    """Projects and their builds."""

    name: ClassVar[str] = "codebuild"

    def start_build(
        self, ctx: Context, projectName: str, idempotencyToken: str = "", **given: Any
    ) -> dict[str, Any]:
        """Start a build of a project, with overrides for this build alone."""
        for key in sorted(set(given) - OVERRIDES):
            if given[key]:  # a flag that is false changes nothing
                raise unsupported(f"the parameter {key} of codebuild:StartBuild")
        plain = projectName.rpartition("/")[2]
        with self.lock:
            project = self.state(ctx).get(plain)
        if project is None:
            arn = f"arn:aws:codebuild:{ctx.region}:{ctx.owner}:project/{plain}"
            raise ServiceError("ResourceNotFoundException", f"Project cannot be found: {arn}")
        order = _ordered(project, given)
        _check(order)
        asked = {"projectName": plain, **given}
        with self.lock:
            held = self._builds(ctx)
            if known := self._repeated(held, idempotencyToken, asked):
                return {"build": known.tell()}
            running = [one for one in held.known.values() if _runs(one, plain)]
            limit = order.get("concurrentBuildLimit")
            if limit and len(running) >= limit:
                text = f"Cannot have more than {limit} active builds for the project {plain}"
                raise ServiceError("AccountLimitExceededException", text)
            held.numbers[plain] = held.numbers.get(plain, 0) + 1
            build = Build(self._told(ctx, order, held.numbers[plain]), order, asked)
            held.known[build.told["id"]] = build
            if idempotencyToken:
                held.tokens[idempotencyToken] = (self.world.now(), asked, build)
        told = build.tell()
        folder = self.world.path("codebuild", told["id"].rpartition(":")[2])
        self.world.spawn("codebuild", Run(ctx, build, folder).run)
        return {"build": told}

    def retry_build(self, ctx: Context, id: str, idempotencyToken: str = "") -> dict[str, Any]:  # noqa: A002
        """Start a build anew with the overrides that it had."""
        asked = self._build(ctx, id).asked
        if asked.get("sourceTypeOverride") == "CODEPIPELINE":
            raise unsupported("codebuild:RetryBuild of a build that a pipeline started")
        return self.start_build(ctx, idempotencyToken=idempotencyToken, **asked)

    def stop_build(self, ctx: Context, id: str) -> dict[str, Any]:  # noqa: A002 (the API's name)
        """Have a build end, and wait a moment for it."""
        build = self._build(ctx, id)
        build.stop.set()
        build.ended.wait(PATIENCE)
        return {"build": build.tell()}

    def batch_get_builds(self, ctx: Context, ids: list[str]) -> dict[str, Any]:
        if not ids or len(ids) > MANY:
            raise ServiceError("InvalidInputException", f"1 to {MANY} build ids are needed")
        with self.lock:
            known = dict(self._builds(ctx).known)
        found = {one: known.get(_id(one)) for one in ids}
        return {
            "builds": [build.tell() for build in found.values() if build],
            "buildsNotFound": [one for one, build in found.items() if not build],
        }

    def list_builds(self, ctx: Context, sortOrder: str = "DESCENDING") -> dict[str, Any]:
        with self.lock:
            ids = list(self._builds(ctx).known)
        return {"ids": ids if sortOrder == "ASCENDING" else ids[::-1]}

    def list_builds_for_project(
        self, ctx: Context, projectName: str, sortOrder: str = "DESCENDING"
    ) -> dict[str, Any]:
        plain = projectName.rpartition("/")[2]
        ids = [
            one for one in self.list_builds(ctx, sortOrder)["ids"] if one.startswith(f"{plain}:")
        ]
        with self.lock:
            if not ids and plain not in self.state(ctx):
                raise ServiceError("ResourceNotFoundException", f"Project cannot be found: {plain}")
        return {"ids": ids}

    def _builds(self, ctx: Context) -> Builds:
        found: Builds = self.world.store("codebuild-builds", ctx.owner, ctx.region, Builds)
        return found

    def _build(self, ctx: Context, given: str) -> Build:
        with self.lock:
            build = self._builds(ctx).known.get(_id(given))
        if build is None:
            raise ServiceError("ResourceNotFoundException", f"Build cannot be found: {given}")
        return build

    def _repeated(self, held: Builds, token: str, asked: Mapping[str, Any]) -> Build | None:
        """Return the build that the same request with the same token has started."""
        if token not in held.tokens:
            return None
        when, before, build = held.tokens[token]
        if self.world.now() - when > TOKENS:
            return None
        if before != asked:
            text = "A build was started with the same idempotency token and other parameters"
            raise ServiceError("InvalidInputException", text)
        return build

    def _told(self, ctx: Context, order: Mapping[str, Any], number: int) -> dict[str, Any]:
        name, uuid, now = order["name"], self.world.uuid(), self.world.now()
        arn = f"arn:aws:codebuild:{ctx.region}:{ctx.owner}:build/{name}:{uuid}"
        source = dict(order["source"])
        if source["type"] == "CODEPIPELINE":
            source.pop("location", None)  # a pipeline's build tells it by the version alone
        ended = {"endTime": now, "durationInSeconds": 0, "phaseStatus": "SUCCEEDED"}
        return {
            "id": f"{name}:{uuid}",
            "arn": arn,
            "buildNumber": number,
            "startTime": now,
            "currentPhase": "QUEUED",
            "buildStatus": "IN_PROGRESS",
            "buildComplete": False,
            "projectName": name,
            "phases": [
                {"phaseType": "SUBMITTED", "startTime": now, **ended},
                {"phaseType": "QUEUED", "startTime": now},
            ],
            "source": source,
            "artifacts": {"location": ""},
            "environment": order["environment"],
            "serviceRole": order["serviceRole"],
            "logs": logs_of(order.get("logsConfig") or {}, name, uuid, arn),
            "timeoutInMinutes": order["timeoutInMinutes"],
            "queuedTimeoutInMinutes": order["queuedTimeoutInMinutes"],
            "initiator": _initiator(ctx),
            "encryptionKey": order["encryptionKey"],
            **{key: order[key] for key in TOLD if key in order},
        }


def _ordered(project: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the project with the overrides of one build."""

    def over(table: Mapping[str, str]) -> dict[str, Any]:
        return {key: given[name] for name, key in table.items() if name in given}

    environment = {**project["environment"], **over(ENVIRONMENT)}
    variables = {one["name"]: one for one in environment.get("environmentVariables", [])}
    variables |= {one["name"]: one for one in given.get("environmentVariablesOverride", [])}
    environment["environmentVariables"] = list(variables.values())
    role = str(given.get("serviceRoleOverride") or project["serviceRole"])
    if not role.startswith("arn:"):
        raise ServiceError("InvalidInputException", f"Invalid service role: {role} is no ARN")
    return {
        **project,
        **over(PROJECT),
        "serviceRole": role,
        "environment": environment,
        "source": {**project["source"], **over(SOURCE)},
    }


def _check(order: Mapping[str, Any]) -> None:
    """Refuse what CodeBuild refuses at once, and by name what no build here can have."""
    source, environment = order["source"], order["environment"]
    if order["artifacts"]["type"] == "CODEPIPELINE" and source["type"] != "CODEPIPELINE":
        text = "ArtifactsOverride must be set when using artifacts type CodePipelines"
        raise ServiceError("InvalidInputException", text)
    if source["type"] == "CODEPIPELINE" and not source.get("location"):
        text = "sourceTypeOverride must be set: only a pipeline starts builds of its own sources"
        raise ServiceError("InvalidInputException", text)
    if not LEAST <= order["timeoutInMinutes"] <= MOST:
        text = f"Invalid timeout: it is {LEAST} to {MOST} minutes"
        raise ServiceError("InvalidInputException", text)
    limits = [f"{key} of" for key in REFUSED if order.get(key)]
    limits += [f"environment.{key} of" for key in REFUSED_ENVIRONMENT if environment.get(key)]
    if environment["type"].startswith(("WINDOWS", "MAC")):
        limits.append(f"an environment of type {environment['type']} for")
    if ((order.get("logsConfig") or {}).get("s3Logs") or {}).get("status") == "ENABLED":
        limits.append("logsConfig.s3Logs of")
    if limits:
        raise unsupported(f"{limits[0]} a CodeBuild project that is built")
    try:
        for one in [source, *order.get("secondarySources", [])]:
            sources.check(one)
    except Unsupported as error:
        raise unsupported(str(error)) from error


def _runs(build: Build, project: str) -> bool:
    return build.told["projectName"] == project and not build.told["buildComplete"]


def _id(given: str) -> str:
    """Return the id of a build that is given by id or ARN."""
    return given.partition(":build/")[2] or given


def _initiator(ctx: Context) -> str:
    who = ctx.principal
    if found := re.fullmatch(r"codepipeline-(.+)", who.session_name):
        return f"codepipeline/{found[1]}"
    return f"{who.name}/{who.session_name}" if who.kind == "role" else who.name.rpartition(":")[2]


def _judged(asked: Asked) -> list[Need] | None:
    """Judge calls that name builds by their projects, which are CodeBuild's only resources."""
    ids = asked.get("ids") or ([asked.get("id")] if asked.get("id") else [])
    if asked.operation not in {"BatchGetBuilds", "StopBuild", "RetryBuild"} or not ids:
        return None
    names = dict.fromkeys(_id(str(one)).partition(":")[0] for one in ids)
    action = action_of("codebuild", asked.operation)
    return [asked.need(action, asked.arn(f"project/{name}")) for name in names]


needs.SPECIAL["codebuild"] = _judged
