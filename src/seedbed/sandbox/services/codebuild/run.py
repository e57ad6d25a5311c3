"""One build, from PROVISIONING to COMPLETED, in a thread of its own."""

from __future__ import annotations

import copy
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from seedbed.sandbox.services.codebuild import artifacts, sources
from seedbed.sandbox.services.codebuild.artifacts import ArtifactError
from seedbed.sandbox.services.codebuild.role import Role
from seedbed.sandbox.services.codebuild.shell import Ended, Shell, host_settings
from seedbed.sandbox.services.codebuild.sources import SourceError
from seedbed.sandbox.services.codebuild.spec import (
    PHASES,
    Phase,
    Spec,
    SpecError,
    Unsupported,
    is_inline,
    parse,
)
from seedbed.sandbox.services.codebuild.told import Log, LogError, tell_phase, tell_state
from seedbed.sandbox.services.codebuild.variables import VariableError, own, resolve
from seedbed.sandbox.world import Context

FLUSH = 1.0  # seconds between two writes of the log
EXECUTION = "COMMAND_EXECUTION_ERROR"
QUIET = frozenset({"QUEUED", "PROVISIONING"})  # phases that the log does not tell of


@dataclass
class Build:
    """A build: what BatchGetBuilds tells, the settings that it runs by, and what was asked.

    `order` is the project with the overrides of StartBuild in place.
    """

    told: dict[str, Any]
    order: Mapping[str, Any]
    asked: Mapping[str, Any]
    lock: threading.RLock = field(default_factory=threading.RLock)
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def tell(self) -> dict[str, Any]:
        with self.lock:
            return copy.deepcopy(self.told)


class Failed(Exception):  # noqa: N818 (a build's, not ours)
    """A phase failed: the context that tells why, and its status."""

    def __init__(self, code: str, message: str, status: str = "FAILED") -> None:
        super().__init__(message)
        self.code, self.status = code, status


class Run:
    """Carries a build out as its service role."""

    def __init__(self, ctx: Context, build: Build, folder: Path) -> None:
        self.ctx, self.world, self.build, self.folder = ctx, ctx.world, build, folder
        self.stopping = self.world.stopping
        told = build.told
        self.role = Role.of(ctx, told)
        self.log = Log(self.role, told)
        self.deadline: datetime = told["startTime"] + timedelta(minutes=told["timeoutInMinutes"])
        self.source = folder / "src"
        self.variables: dict[str, str] = {}
        self.shell: Shell | None = None
        self.succeeding = True
        self.flushed = time.monotonic()

    def run(self) -> None:
        """Run the build; whatever happens, it ends complete."""
        status, contexts = "SUCCEEDED", []
        try:
            tell_state(self.ctx, self.build.tell())
            self._phases()
        except Failed as failed:
            status = failed.status
        except Ended as ended:
            status = str(ended)
        except Exception as defect:  # noqa: BLE001 (a defect of ours is told by the build)
            if not self.stopping.is_set():
                traceback.print_exc()
            status = "FAULT"
            contexts = [{"statusCode": "SandboxDefect", "message": repr(defect)}]
        finally:
            if self.shell is not None:
                self.shell.close()
        if status == "SUCCEEDED" and not self.succeeding:
            status = "FAILED"
        try:
            if not self.stopping.is_set():
                self._complete(status, contexts)
        finally:
            self.build.ended.set()

    def _complete(self, status: str, contexts: list[dict[str, str]]) -> None:
        told, now = self.build.told, self.world.now()
        try:
            self.log.flush()
        except LogError as error:
            status, contexts = "FAULT", [*contexts, _context("ACCESS_DENIED", str(error))]
        with self.build.lock:
            told["phases"].append(
                {"phaseType": "COMPLETED", "startTime": now, "contexts": contexts}
            )
            told |= {
                "currentPhase": "COMPLETED",
                "buildStatus": status,
                "buildComplete": True,
                "endTime": now,
            }
        tell_phase(self.ctx, self.build.tell(), told["phases"][-1])
        tell_state(self.ctx, self.build.tell())

    def _phases(self) -> None:
        tell_phase(self.ctx, self.build.tell(), self.build.told["phases"][0])
        self._end("SUCCEEDED")  # QUEUED
        with self._phase("PROVISIONING"):
            self._provision()
        with self._phase("DOWNLOAD_SOURCE"):
            spec = self._prepare()
        aborted = False
        for name in PHASES:
            phase = spec.phases.get(name, Phase())
            if self._commands(name.upper(), phase) or phase.on_failure == "CONTINUE":
                continue
            # "Build phase transitions": after a failed build come post_build and the artifacts.
            if phase.on_failure == "ABORT" or name in {"install", "pre_build"}:
                aborted = True
                break
        if not aborted:
            with self._phase("UPLOAD_ARTIFACTS"):
                self._upload(spec)
        with self._phase("FINALIZING"):
            self._export(spec)

    @contextmanager
    def _phase(self, kind: str) -> Iterator[None]:
        """Keep account of a phase; what goes wrong in it becomes its context."""
        self._begin(kind)
        try:
            yield
            self.log.flush()
        except Ended as ended:
            code = {"TIMED_OUT": "BUILD_TIMED_OUT"}.get(str(ended), "")
            self._end(str(ended), code, "Build has timed out. " if code else "")
            raise
        except Exception as error:
            failed = _failed(error)
            if failed is None:
                self._end("FAULT", "SandboxDefect", repr(error))
                raise
            self._end(failed.status, failed.code, str(failed))
            raise failed from error
        self._end("SUCCEEDED")

    def _begin(self, kind: str) -> None:
        self._check()
        with self.build.lock:
            self.build.told["currentPhase"] = kind
            self.build.told["phases"].append({"phaseType": kind, "startTime": self.world.now()})
        if kind not in QUIET:
            self.log.say(f"Entering phase {kind}")

    def _end(self, status: str, code: str = "", message: str = "") -> None:
        now = self.world.now()
        with self.build.lock:
            phase = self.build.told["phases"][-1]
            phase |= {
                "phaseStatus": status,
                "endTime": now,
                "durationInSeconds": int((now - phase["startTime"]).total_seconds()),
                "contexts": [_context(code, message)],
            }
        if phase["phaseType"] not in QUIET:
            self.log.say(f"Phase complete: {phase['phaseType']} State: {status}")
            self.log.say(f"Phase context status code: {code} Message: {message}")
        if not self.stopping.is_set():
            tell_phase(self.ctx, self.build.tell(), phase)

    def _check(self) -> None:
        """Raise Ended when the build is to end; write the log from time to time."""
        if self.stopping.is_set() or self.build.stop.is_set():
            raise Ended("STOPPED")
        if self.world.now() >= self.deadline:
            raise Ended("TIMED_OUT")
        if time.monotonic() - self.flushed > FLUSH:
            self.flushed = time.monotonic()
            self.log.flush()

    # The phases

    def _provision(self) -> None:
        self.role.client("sts")  # the service role lets CodeBuild assume it
        self.log.open()
        self.log.say("Waiting for agent ping")
        self.log.flush()

    def _prepare(self) -> Spec:
        """Fetch the sources, read the buildspec and gather the variables."""
        order, told = self.build.order, self.build.told
        fetched = self._fetch(order["source"], told.get("sourceVersion", ""), self.source)
        if fetched.revision:
            told["resolvedSourceVersion"] = fetched.revision
        places = {}
        versions = {
            one["sourceIdentifier"]: one["sourceVersion"]
            for one in order.get("secondarySourceVersions", [])
        }
        for source in order.get("secondarySources", []):
            name = source["sourceIdentifier"]
            place = self.folder / f"src-{name}"
            self._fetch(source, versions.get(name, ""), place)
            places[f"CODEBUILD_SRC_DIR_{name}"] = str(place)
        spec = parse(self._text())
        declared = [{"name": name, "value": one} for name, one in spec.variables.items()]
        for kind, group in (
            ("PARAMETER_STORE", spec.parameters),
            ("SECRETS_MANAGER", spec.secrets),
        ):
            declared += [{"name": n, "value": one, "type": kind} for n, one in group.items()]
        given = order["environment"].get("environmentVariables", [])
        named = {one["name"]: one for one in [*declared, *given]}  # the project's come first
        self.variables = resolve(self.role, named.values())
        self.variables |= own(told, source=str(self.source), url=fetched.url) | places
        self.log.say(f"CODEBUILD_SRC_DIR={self.source}")
        self.shell = Shell(
            self.world,
            self.folder,
            spec.shell,
            self._environment(spec),
            check=self._check,
            heard=self.log.hear,
        )
        return spec

    def _fetch(self, source: Mapping[str, Any], version: str, folder: Path) -> sources.Fetched:
        return sources.fetch(self.role, source, version, folder, self.folder)

    def _text(self) -> str:
        """Return the buildspec: given inline, an object of S3, or a file of the source."""
        said = str(self.build.order["source"].get("buildspec") or "buildspec.yml")
        if is_inline(said):
            return said
        if said.startswith("arn:aws:s3:::"):
            bucket, _, key = said.removeprefix("arn:aws:s3:::").partition("/")
            found = self.role.client("s3").get_object(Bucket=bucket, Key=key)
            return str(found["Body"].read().decode())
        path = self.source / said
        if not path.is_file():
            raise SpecError("YAML file does not exist")
        return path.read_text(encoding="utf-8")

    def _environment(self, spec: Spec) -> dict[str, str]:
        from seedbed.sandbox.services.git.http import git_environment

        session = self.role.environment()
        home = self.folder / "home"
        home.mkdir()
        helper = spec.credential_helper
        return {
            **git_environment(self.world, session, credential_helper=helper),
            **host_settings(),
            "HOME": str(home),
            **self.variables,
        }

    def _commands(self, kind: str, phase: Phase) -> bool:
        """Run a phase's commands and tell whether all of them succeeded."""
        try:
            with self._phase(kind):
                failures: list[Failed] = []
                for command in phase.commands:
                    if failure := self._command(command):
                        failures.append(failure)
                        break
                failures += [late for one in phase.finally_ if (late := self._command(one))]
                if failures:
                    self.succeeding = False
                    raise failures[0]
        except Failed as failed:
            if failed.code != EXECUTION:
                raise
            return False
        return True

    def _command(self, command: str) -> Failed | None:
        """Run one command and return its failure."""
        assert self.shell is not None  # noqa: S101 (there is one since DOWNLOAD_SOURCE)
        self.log.say(f"Running command {command}")
        code = self.shell.run(command, self._succeeding())
        if code == 0:
            return None
        self.log.say(f"Command did not exit successfully {command} exit status {code}")
        text = f"Error while executing command: {command}. Reason: exit status {code}"
        return Failed(EXECUTION, text)

    def _succeeding(self) -> dict[str, str]:
        return {"CODEBUILD_BUILD_SUCCEEDING": "1" if self.succeeding else "0"}

    def _upload(self, spec: Spec) -> None:
        order, told = self.build.order, self.build.told
        main = order["artifacts"]
        outputs = [one for one in [main, *order.get("secondaryArtifacts", [])] if _stored(one)]

        for said in outputs:
            files = spec.secondary.get(str(said.get("artifactIdentifier")))
            if files is None and said is main:
                files = spec.artifacts
            if files is None:
                self.log.say("No artifact files specified")
                continue
            made = artifacts.deliver(self.role, told, said, files, self.source, named=self._value)
            with self.build.lock:
                if said is main:
                    told["artifacts"] = made
                else:
                    told.setdefault("secondaryArtifacts", []).append(made)

    def _value(self, text: str) -> str:
        """Return what a word of the shell's language means at the end of the build."""
        assert self.shell is not None  # noqa: S101 (there is one since DOWNLOAD_SOURCE)
        return self.shell.value(text, self._succeeding())

    def _export(self, spec: Spec) -> None:
        """Keep the values that the exported variables have at the end."""
        values = [{"name": one, "value": self._value(f"${{{one}:-}}")} for one in spec.exported]
        if values:
            with self.build.lock:
                self.build.told["exportedEnvironmentVariables"] = values


def _stored(artifacts: Mapping[str, Any]) -> bool:
    return artifacts["type"] != "NO_ARTIFACTS" and bool(artifacts.get("location"))


def _context(code: str, message: str) -> dict[str, str]:
    return {"statusCode": code, "message": message}


def _failed(error: Exception) -> Failed | None:
    """Return what a build tells of an error; None for a defect of ours."""
    if isinstance(error, Failed):
        return error
    if isinstance(error, Unsupported):
        text = f"the sandbox does not emulate {error}"
        return Failed("NotImplementedInSandbox", text, "FAULT")
    if isinstance(error, VariableError):
        return Failed(error.code, str(error))
    for kind, code in (
        (SpecError, "YAML_FILE_ERROR"),
        (SourceError, "CLIENT_ERROR"),
        (ArtifactError, "CLIENT_ERROR"),
        (LogError, "ACCESS_DENIED"),
    ):
        if isinstance(error, kind):
            return Failed(code, str(error))
    if isinstance(error, ClientError):
        said = error.response["Error"]
        return Failed("CLIENT_ERROR", f"{said['Code']}: {said['Message']}")
    return None
