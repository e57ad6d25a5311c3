"""Pipelines as they were given, with every version and their tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from seedbed.sandbox.service import Service, ServiceError
from seedbed.sandbox.services.codepipeline import told
from seedbed.sandbox.services.codepipeline.check import declared
from seedbed.sandbox.services.codepipeline.model import STORE, Pipeline
from seedbed.sandbox.world import Context


class Records(Service):
    """The records of CodePipeline; what starts executions is in the class below it."""

    name: ClassVar[str] = STORE

    def begun(self, kept: Pipeline, trigger: tuple[str, str]) -> None:
        """Start the first execution of a new pipeline."""
        raise NotImplementedError

    def create_pipeline(
        self,
        ctx: Context,
        pipeline: dict[str, Any],
        tags: list[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """Keep a pipeline and start its first execution."""
        made = declared(pipeline, ctx.region) | {"version": 1}
        name, now = made["name"], self.world.now()
        arn = f"arn:aws:codepipeline:{ctx.region}:{ctx.owner}:{name}"
        self._check_role(ctx, made["roleArn"], arn)
        pairs = {tag["key"]: tag["value"] for tag in tags or []}
        kept = Pipeline(name, arn, {1: made}, now, now, pairs)
        with self.lock:
            if name in self.state(ctx):
                message = f"A pipeline with the name '{name}' already exists"
                raise ServiceError("PipelineNameInUseException", message)
            self.state(ctx)[name] = kept
        if all("defaultValue" in one for one in made.get("variables", [])):
            self.begun(kept, ("CreatePipeline", ctx.principal.session_arn))
        return {"pipeline": made, **({"tags": tags} if tags else {})}

    def update_pipeline(self, ctx: Context, pipeline: dict[str, Any]) -> dict[str, Any]:
        """Keep a new version; executions under way go on with theirs."""
        kept = self.pipeline(ctx, pipeline["name"])
        made = declared(pipeline, ctx.region)
        self._check_role(ctx, made["roleArn"], kept.arn)
        with self.lock:
            made["version"] = kept.version + 1
            kept.versions[made["version"]] = made
            kept.updated = self.world.now()
        return {"pipeline": made}

    def _check_role(self, ctx: Context, role: str, arn: str) -> None:
        try:
            ctx.client("sts", role_arn=role, source_arn=arn, session_name="codepipeline")
        except ClientError as error:
            said = error.response["Error"]["Message"]
            message = f"CodePipeline is not authorized to perform AssumeRole on role {role}: {said}"
            raise ServiceError("InvalidStructureException", message) from error

    def get_pipeline(self, ctx: Context, name: str, version: int | None = None) -> dict[str, Any]:
        kept = self.pipeline(ctx, name)
        found = kept.versions.get(version or kept.version)
        if found is None:
            message = f"{name} has no version {version}"
            raise ServiceError("PipelineVersionNotFoundException", message)
        times = {"created": kept.created, "updated": kept.updated}
        return {"pipeline": found, "metadata": {"pipelineArn": kept.arn, **times}}

    def list_pipelines(
        self, ctx: Context, maxResults: int | None = None, nextToken: str | None = None
    ) -> dict[str, Any]:
        found, following = told.page(list(self.state(ctx).values()), maxResults, nextToken)
        return {
            "pipelines": [
                {
                    "name": one.name,
                    "version": one.version,
                    "pipelineType": one.declaration["pipelineType"],
                    "executionMode": one.declaration["executionMode"],
                    "created": one.created,
                    "updated": one.updated,
                }
                for one in found
            ],
            **following,
        }

    def delete_pipeline(self, ctx: Context, name: str) -> dict[str, Any]:
        with self.lock:
            gone = self.state(ctx).pop(name, None)
            if gone is not None:
                gone.is_deleted = True
                for one in gone.executions:
                    one.stopping = one.abandoned = True
        return {}

    def pipeline(self, ctx: Context, name: str) -> Pipeline:
        found = self.state(ctx).get(name)
        if not isinstance(found, Pipeline):
            account = f"Account '{ctx.owner}' does not have a pipeline with name '{name}'"
            raise ServiceError("PipelineNotFoundException", account)
        return found

    # Tags

    def tag_resource(
        self, ctx: Context, resourceArn: str, tags: list[dict[str, str]]
    ) -> dict[str, Any]:
        self._by_arn(ctx, resourceArn).tags.update({one["key"]: one["value"] for one in tags})
        return {}

    def untag_resource(self, ctx: Context, resourceArn: str, tagKeys: list[str]) -> dict[str, Any]:
        for key in tagKeys:
            self._by_arn(ctx, resourceArn).tags.pop(key, None)
        return {}

    def list_tags_for_resource(self, ctx: Context, resourceArn: str) -> dict[str, Any]:
        tags = self._by_arn(ctx, resourceArn).tags
        return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}

    def _by_arn(self, ctx: Context, arn: str) -> Pipeline:
        found = self.state(ctx).get(arn.rpartition(":")[2])
        if not isinstance(found, Pipeline) or found.arn != arn:
            raise ServiceError("ResourceNotFoundException", f"{arn} does not exist")
        return found

    def resource_tags(self, arn: str) -> Mapping[str, str] | None:
        """Return a pipeline's tags, for its stages and actions too."""
        region, account, name = arn.split(":")[3:6]
        found = self.world.stores(STORE).get((account, region), {}).get(name.partition("/")[0])
        return None if found is None else dict(found.tags)
