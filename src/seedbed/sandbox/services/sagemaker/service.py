"""SageMaker: moto keeps pipelines, models and endpoint configurations; what it lacks is ours.

Each concern is a mixin of its own module; this one holds what they share: tags, policies, search.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedbed.sandbox.service import ServiceError, unsupported
from seedbed.sandbox.services.sagemaker.executions import Executions
from seedbed.sandbox.services.sagemaker.images import Images
from seedbed.sandbox.services.sagemaker.monitoring import Monitoring
from seedbed.sandbox.services.sagemaker.projects import Projects
from seedbed.sandbox.services.sagemaker.records import Record, Store, paged, tag_list, tag_map
from seedbed.sandbox.services.sagemaker.registry import Registry
from seedbed.sandbox.services.sagemaker.studio import Studio
from seedbed.sandbox.world import Context

# What moto's Search would find nothing of: it is kept here.
NOT_SEARCHED = frozenset({"ModelPackage", "ModelPackageGroup", "Project"})
# ARN resource types that moto tells the tags of.
OF_MOTO = frozenset(
    {
        "automl-job",
        "cluster",
        "compilation-job",
        "endpoint",
        "endpoint-config",
        "experiment",
        "experiment-trial",
        "experiment-trial-component",
        "hyper-parameter-tuning-job",
        "model",
        "model-card",
        "notebook-instance",
        "pipeline",
        "processing-job",
        "training-job",
        "transform-job",
    }
)


class SageMaker(Projects, Registry, Studio, Images, Monitoring, Executions):
    """SageMaker of all accounts and regions."""

    def add_tags(
        self, ctx: Context, ResourceArn: str, Tags: list[dict[str, str]]
    ) -> dict[str, Any]:
        record = self._tagged(ResourceArn)
        if record is None:
            # moto appends: a key would be there twice.
            keys = [tag["Key"] for tag in Tags]
            self.forward(ctx, "DeleteTags", {"ResourceArn": ResourceArn, "TagKeys": keys})
            return self.forward(ctx, "AddTags", {"ResourceArn": ResourceArn, "Tags": Tags})
        with self.lock:
            record.tags |= tag_map(Tags)
            return {"Tags": tag_list(record.tags)}

    def list_tags(self, ctx: Context, ResourceArn: str, **page: Any) -> dict[str, Any]:
        record = self._tagged(ResourceArn)
        if record is None:
            return self.forward(ctx, "ListTags", {"ResourceArn": ResourceArn, **page})
        with self.lock:
            return paged(tag_list(record.tags), page, "Tags")

    def delete_tags(self, ctx: Context, ResourceArn: str, TagKeys: list[str]) -> dict[str, Any]:
        record = self._tagged(ResourceArn)
        if record is None:
            params = {"ResourceArn": ResourceArn, "TagKeys": TagKeys}
            return self.forward(ctx, "DeleteTags", params)
        with self.lock:
            for key in TagKeys:
                record.tags.pop(key, None)
        return {}

    def search(self, ctx: Context, **params: Any) -> dict[str, Any]:
        if params["Resource"] in NOT_SEARCHED:
            raise unsupported(f"sagemaker:Search for {params['Resource']}")
        return self.forward(ctx, "Search", params)

    def resource_tags(self, arn: str) -> Mapping[str, str] | None:
        if _type(arn) not in self._types():
            return None
        record = self._record(arn)
        return dict(record.tags) if record else {}

    def _tagged(self, arn: str) -> Record | None:
        """Return our record of an ARN, or None if it is moto's to tag.

        Raises:
            ServiceError: There is no such resource, or nobody keeps its tags.
        """
        record = self._record(arn)
        if record is not None or _type(arn) in OF_MOTO:
            return record
        if _type(arn) in self._types():
            raise ServiceError("ValidationException", f"Could not find resource {arn}")
        raise unsupported(f"tags of {arn}")

    def _types(self) -> set[str]:
        return {kind.arn.split("/")[0] for _, kind in self.rows().values()}

    def _record(self, arn: str) -> Record | None:
        region, account = arn.split(":")[3:5]
        store: Store | None = self.world.stores(self.name).get((account, region))
        if store is None:
            return None
        with self.lock:
            every = [record for table in store.tables.values() for record in table.values()]
        return next((record for record in every if record.arn == arn), None)


def _type(arn: str) -> str:
    return arn.split(":", 5)[5].split("/", maxsplit=1)[0]
