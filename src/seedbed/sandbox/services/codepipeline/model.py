"""What CodePipeline remembers: pipelines, their executions, and every run of an action."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from seedbed.sandbox.world import Context

STORE = "codepipeline"
PRINCIPAL = "codepipeline.amazonaws.com"
# Metadata of an artifact that is no zip: where a build clones from, as its own role.
CLONE = "codepipeline-artifact-clone"
REFERENCE = re.compile(r"#\{([A-Za-z0-9@_-]+)\.([A-Za-z0-9@_-]+)\}")


class ActionError(Exception):
    """Why an action failed: a type of failure as in the API, and what was said."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Abandoned(Exception):  # noqa: N818 (no error: nobody waits for this action any more)
    """The action's execution was stopped, or the sandbox ends."""


@dataclass(frozen=True)
class Artifact:
    """A zip in the artifact store, and the revision it came from."""

    name: str
    bucket: str
    key: str
    revision: str = ""


@dataclass
class ActionRun:
    """One try of one action."""

    id: str
    stage: str
    action: Mapping[str, Any]
    started: datetime
    updated: datetime
    status: str = "InProgress"
    summary: str = ""
    external_id: str = ""
    external_url: str = ""
    error: ActionError | None = None
    token: str = ""
    updated_by: str = ""
    configuration: dict[str, str] = field(default_factory=dict)
    inputs: list[Artifact] = field(default_factory=list)
    outputs: list[Artifact] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    # What a person (an approval) or a function (a job) has said of it.
    verdict: dict[str, Any] | None = None


@dataclass
class StageRun:
    """One stage of one execution; `actions` are the latest tries."""

    status: str = "InProgress"
    actions: dict[str, ActionRun] = field(default_factory=dict)
    automatic: int = 0
    manual: int = 0


@dataclass(frozen=True)
class Revision:
    """What a source action found."""

    action: str
    artifact: str
    id: str
    summary: str
    url: str
    created: datetime


@dataclass
class Execution:
    id: str
    version: int
    declaration: Mapping[str, Any]
    trigger: tuple[str, str]
    variables: dict[str, str]
    # Of source actions: the commit or object version to take, and the branch it was pushed to.
    overrides: dict[str, dict[str, str]]
    started: datetime
    updated: datetime
    status: str = "InProgress"
    summary: str = ""
    stages: dict[str, StageRun] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    revisions: dict[str, Revision] = field(default_factory=dict)
    history: list[ActionRun] = field(default_factory=list)
    attempt: int = 1
    stop_reason: str | None = None
    stopping: bool = False
    abandoned: bool = False
    # Of a rollback: the execution whose artifacts and variables it uses.
    target: str = ""

    @property
    def mode(self) -> str:
        return str(self.declaration["executionMode"])

    @property
    def kind(self) -> str:
        return "ROLLBACK" if self.target else "STANDARD"

    def stage(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = next(
            one for one in self.declaration["stages"] if one["name"] == name
        )
        return found

    def resolve(self, text: str) -> str:
        """Fill in `#{namespace.variable}`.

        Raises:
            ActionError: There is no such variable.
        """

        def value(found: re.Match[str]) -> str:
            space, name = found[1], found[2]
            known = {
                **self.namespaces,
                "variables": self.variables,
                "codepipeline": {"PipelineExecutionId": self.id},
            }.get(space, {})
            if name not in known:
                message = f"The variable {found[0]} cannot be resolved"
                raise ActionError("ConfigurationError", message)
            return known[name]

        return REFERENCE.sub(value, text)


@dataclass
class Pipeline:
    name: str
    arn: str
    versions: dict[int, dict[str, Any]]
    created: datetime
    updated: datetime
    tags: dict[str, str]
    executions: list[Execution] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    # By stage: who is in it, who waits for it, who was in it last, and since when it is closed.
    inside: dict[str, Execution] = field(default_factory=dict)
    waiting: dict[str, list[Execution]] = field(default_factory=dict)
    latest: dict[str, Execution] = field(default_factory=dict)
    closed: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_deleted: bool = False

    @property
    def version(self) -> int:
        return max(self.versions)

    @property
    def declaration(self) -> dict[str, Any]:
        return self.versions[self.version]

    def execution(self, number: str) -> Execution | None:
        return next((one for one in self.executions if one.id == number), None)


@dataclass(frozen=True)
class Acting:
    """All that the code of a provider needs for one try of an action."""

    ctx: Context
    pipeline: Pipeline
    execution: Execution
    run: ActionRun

    @property
    def configuration(self) -> dict[str, str]:
        return self.run.configuration

    @property
    def name(self) -> str:
        return str(self.run.action["name"])

    @property
    def session_name(self) -> str:
        return f"codepipeline-{self.pipeline.name}"

    @property
    def store(self) -> Mapping[str, Any]:
        """The artifact store of the pipeline's region."""
        said = self.execution.declaration
        found: Mapping[str, Any] = (
            said["artifactStore"]
            if "artifactStore" in said
            else (said["artifactStores"][self.ctx.region])
        )
        return found

    def client(self, service: str) -> Any:
        """Return a client as the action's role, which the pipeline's assumes, or the pipeline's."""
        world, ctx = self.ctx.world, self.ctx
        role = self.execution.declaration["roleArn"]
        said = {"source_arn": self.pipeline.arn, "session_name": self.session_name}
        own = self.run.action.get("roleArn")
        if own is None:
            return ctx.client(service, role_arn=role, **said)
        return world.client(service, self._session(own), ctx.region)

    def principal(self) -> Any:
        """Return the principal behind `client`."""
        own = self.run.action.get("roleArn") or self.execution.declaration["roleArn"]
        return self._session(own).principal

    def _session(self, role: str) -> Any:
        from seedbed.sandbox import identity

        world, ctx = self.ctx.world, self.ctx
        pipelines = self.execution.declaration["roleArn"]
        actor = identity.service_principal(ctx.account, PRINCIPAL, self.pipeline.arn)
        session = world.assume(actor, pipelines, self.session_name, ctx.region, ctx.request_id)
        if role == pipelines:
            return session
        return world.assume(session.principal, role, self.session_name, ctx.region, ctx.request_id)

    def wait(self, seconds: float) -> None:
        """Wait a moment.

        Raises:
            Abandoned: Nobody waits for this action any more.
        """
        if self.ctx.world.wait(seconds) or self.run.status != "InProgress":
            raise Abandoned

    def place(self, artifact: str) -> Artifact:
        """Return where a new artifact goes, as CodePipeline names it."""
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        number = self.ctx.world.token(7, letters)
        key = f"{self.pipeline.name[:20]}/{artifact[:10]}/{number}"
        return Artifact(artifact, self.store["location"], key)

    def sealed(self) -> dict[str, str]:
        """Return S3's parameters of the store's encryption."""
        key = self.store.get("encryptionKey")
        return {"ServerSideEncryption": "aws:kms", **({"SSEKMSKeyId": key["id"]} if key else {})}

    def put(self, artifact: Artifact, body: bytes, metadata: Mapping[str, str]) -> None:
        """Upload an artifact; another account's action gives it to the bucket's owner."""
        role = self.run.action.get("roleArn")
        foreign = role is not None and role.split(":")[4] != self.ctx.account
        acl = {"ACL": "bucket-owner-full-control"} if foreign else {}
        self.client("s3").put_object(
            Bucket=artifact.bucket,
            Key=artifact.key,
            Body=body,
            Metadata=dict(metadata),
            ContentType="application/zip",
            **acl,
            **self.sealed(),
        )

    def get(self, artifact: Artifact) -> bytes:
        said = self.client("s3").get_object(Bucket=artifact.bucket, Key=artifact.key)
        body: bytes = said["Body"].read()
        return body
