"""CodeBuild's projects, kept as they were given; service.py runs their builds.

moto drops what it does not know (the key, the limit of concurrent builds) and refuses sources of
CodePipeline, so that every operation of CodeBuild is answered here or refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from seedbed.sandbox.service import Service, ServiceError, unsupported
from seedbed.sandbox.world import Context

# What UpdateProject and CreateProject take beside the name, from botocore's model.
MEMBERS = frozenset(
    {
        "artifacts",
        "autoRetryLimit",
        "buildBatchConfig",
        "cache",
        "concurrentBuildLimit",
        "description",
        "encryptionKey",
        "environment",
        "fileSystemLocations",
        "logsConfig",
        "queuedTimeoutInMinutes",
        "secondaryArtifacts",
        "secondarySourceVersions",
        "secondarySources",
        "serviceRole",
        "source",
        "sourceVersion",
        "tags",
        "timeoutInMinutes",
        "vpcConfig",
    }
)
REQUIRED = ("source", "artifacts", "environment", "serviceRole")
WITHOUT_LOCATION = frozenset({"CODEPIPELINE", "NO_SOURCE", "NO_ARTIFACTS"})
SORTS = {"NAME": "name", "CREATED_TIME": "created", "LAST_MODIFIED_TIME": "lastModified"}


class BuildProjects(Service):
    """Projects of all accounts and regions."""

    name: ClassVar[str] = "codebuild"

    def has(self, operation: str) -> bool:
        """Claim every operation: moto's CodeBuild knows nothing of these projects."""
        del operation
        return True

    def call(self, ctx: Context, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if not super().has(operation):
            raise unsupported(f"codebuild:{operation}")
        return super().call(ctx, operation, params)

    def create_project(self, ctx: Context, name: str, **given: Any) -> dict[str, Any]:
        if missing := [key for key in REQUIRED if not given.get(key)]:
            raise ServiceError("InvalidInputException", f"Project {missing[0]} is required")
        arn = f"arn:aws:codebuild:{ctx.region}:{ctx.owner}:project/{name}"
        now = self.world.now()
        project = {
            "name": name,
            "arn": arn,
            "created": now,
            "timeoutInMinutes": 60,
            "queuedTimeoutInMinutes": 480,
            "encryptionKey": f"arn:aws:kms:{ctx.region}:{ctx.owner}:alias/aws/s3",
            "cache": {"type": "NO_CACHE"},
            "badge": {"badgeEnabled": False},
            "projectVisibility": "PRIVATE",
            **self._checked("CreateProject", given),
            "lastModified": now,
        }
        with self.lock:
            if name in self.state(ctx):
                raise ServiceError(
                    "ResourceAlreadyExistsException", f"Project already exists: {arn}"
                )
            self.state(ctx)[name] = project
        return {"project": project}

    def update_project(self, ctx: Context, name: str, **given: Any) -> dict[str, Any]:
        changed = self._checked("UpdateProject", given)
        with self.lock:
            known = self.state(ctx).get(name)
            if known is None:
                raise ServiceError("ResourceNotFoundException", f"Project cannot be found: {name}")
            merged = {**known, **changed, "lastModified": self.world.now()}
            if merged.get("concurrentBuildLimit") == -1:  # AWS: takes the limit away
                del merged["concurrentBuildLimit"]
            self.state(ctx)[name] = merged
        return {"project": merged}

    def delete_project(self, ctx: Context, name: str) -> dict[str, Any]:
        with self.lock:
            self.state(ctx).pop(name.rpartition("/")[2], None)
        return {}

    def batch_get_projects(self, ctx: Context, names: list[str]) -> dict[str, Any]:
        with self.lock:
            known = dict(self.state(ctx))
        asked = {name: known.get(name.rpartition("/")[2]) for name in names}
        return {
            "projects": [project for project in asked.values() if project],
            "projectsNotFound": [name for name, project in asked.items() if not project],
        }

    def list_projects(
        self, ctx: Context, sortBy: str = "NAME", sortOrder: str = "ASCENDING"
    ) -> dict[str, Any]:
        with self.lock:
            known = list(self.state(ctx).values())
        known.sort(key=lambda one: one[SORTS[sortBy]], reverse=sortOrder == "DESCENDING")
        return {"projects": [one["name"] for one in known]}

    def resource_tags(self, arn: str) -> Mapping[str, str] | None:
        parts = arn.split(":", 5)
        project = self.world.stores(self.name).get((parts[4], parts[3]), {})
        found = project.get(parts[5].removeprefix("project/"))
        if found is None:
            return None
        return {tag["key"]: tag["value"] for tag in found.get("tags", [])}

    def _checked(self, operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is given, once it can be kept.

        Raises:
            ServiceError: Something is refused, by CodeBuild or by the sandbox.
        """
        for key in sorted(set(given) - MEMBERS):
            if given[key]:  # badgeEnabled: false changes nothing
                raise unsupported(f"the parameter {key} of codebuild:{operation}")
        for key in ("source", "artifacts"):
            part = given.get(key) or {"type": "NO_SOURCE"}
            if not part.get("location") and part["type"] not in WITHOUT_LOCATION:
                raise ServiceError("InvalidInputException", f"Project {key} location is required")
        return {key: value for key, value in given.items() if key in MEMBERS}
