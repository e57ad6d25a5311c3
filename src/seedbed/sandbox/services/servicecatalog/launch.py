"""What a launch is made of: path, version, launch role, template, parameters and tags."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seedbed.sandbox.moto_state import MotoLookup
from seedbed.sandbox.service import unsupported
from seedbed.sandbox.services.servicecatalog.base import (
    Base,
    atomic,
    chosen,
    invalid,
    missing,
    tags_of,
)
from seedbed.sandbox.services.servicecatalog.records import (
    Artifact,
    Constraint,
    Launch,
    Path,
    Provisioned,
)
from seedbed.sandbox.services.servicecatalog.templates import (
    constrained,
    instructions_of,
    outputs_of,
    parameters_of,
)
from seedbed.sandbox.world import Context

LOOKUP = MotoLookup()
NAMES = {
    "PathId": "path_id",
    "PathName": "path_name",
    "ProductId": "product_id",
    "ProductName": "product_name",
    "ProvisioningArtifactId": "artifact_id",
    "ProvisioningArtifactName": "artifact_name",
}


@dataclass(frozen=True)
class Wanted:
    """How a request names product, version and path: by id or by name."""

    product_id: str | None = None
    product_name: str | None = None
    artifact_id: str | None = None
    artifact_name: str | None = None
    path_id: str | None = None
    path_name: str | None = None

    @classmethod
    def of(cls, ctx: Context, given: Mapping[str, str]) -> Wanted:
        """Read what a request gives beside its own parameters.

        Raises:
            ServiceError: It gives something that is not emulated.
        """
        if unknown := sorted(set(given) - set(NAMES)):
            raise unsupported(f"the parameter {unknown[0]} of servicecatalog:{ctx.operation}")
        return cls(**{NAMES[name]: value for name, value in given.items()})


class Launches(Base):
    @atomic
    def list_launch_paths(self, ctx: Context, ProductId: str) -> dict[str, Any]:
        paths = self._paths_to(ctx, Wanted(product_id=ProductId))
        return {
            "LaunchPathSummaries": [
                {
                    "Id": path.id,
                    "Name": path.portfolio.name,
                    "ConstraintSummaries": [one.summary() for one in self.constraints_of(path)],
                    "Tags": [
                        {"Key": key, "Value": value}
                        for key, value in (path.product.tags | path.portfolio.tags).items()
                    ],
                }
                for path in paths
            ]
        }

    @atomic
    def describe_provisioning_parameters(self, ctx: Context, **given: str) -> dict[str, Any]:
        wanted = Wanted.of(ctx, given)
        path = self.path(ctx, wanted)
        body = _active(path, wanted).body
        options = self.tag_choices(path, ctx.account)
        return {
            "ProvisioningArtifactParameters": parameters_of(body),
            "ConstraintSummaries": [one.summary() for one in self.constraints_of(path)],
            "UsageInstructions": instructions_of(body),
            "TagOptions": [{"Key": key, "Values": values} for key, values in options.items()],
            "ProvisioningArtifactOutputKeys": outputs_of(body),
        }

    def path(self, ctx: Context, wanted: Wanted) -> Path:
        """Return the path that a request means: the only one, if it names none.

        Raises:
            ServiceError: The caller has no path to the product, or must choose among several.
        """
        paths = self._paths_to(ctx, wanted)
        if wanted.path_id and wanted.path_name:
            raise invalid("Provide the path id or the path name, but not both.")
        if wanted.path_id or wanted.path_name:
            paths = [
                one
                for one in paths
                if wanted.path_id == one.id or wanted.path_name == one.portfolio.name
            ]
        if not paths:
            raise missing(f"The launch path {wanted.path_id or wanted.path_name} was not found.")
        if len(paths) > 1:
            raise invalid("The product has more than one launch path: provide PathId.")
        return paths[0]

    def _paths_to(self, ctx: Context, wanted: Wanted) -> list[Path]:
        paths = self.paths(ctx.principal, ctx.region)
        reached = {one.product.id: one.product for one in paths}
        if wanted.product_id is not None and wanted.product_id not in reached:
            raise missing(f"No launch paths found for resource: {wanted.product_id}")
        product = chosen(reached, wanted.product_id, wanted.product_name, "product")
        return [one for one in paths if one.product.id == product.id]

    def launch(
        self,
        ctx: Context,
        wanted: Wanted,
        *,
        parameters: Sequence[Mapping[str, Any]] | None,
        tags: list[dict[str, str]] | None,
        notify: Sequence[str] = (),
        existing: Provisioned | None = None,
    ) -> Launch:
        """Return what a request launches, or what it makes of an existing product.

        Raises:
            ServiceError: A version that is retired, tags that the TagOptions forbid, and the like.
        """
        path = self.path(ctx, wanted)
        artifact = _active(path, wanted)
        deprecated = artifact.guidance == "DEPRECATED"
        if deprecated and (existing is None or existing.product_id != path.product.id):
            raise invalid(f"Version {artifact.id} is deprecated: it cannot be launched.")
        constraints = self.constraints_of(path)
        return Launch(
            path,
            artifact,
            existing.role_arn if existing else _role(ctx, constraints),
            constrained(artifact.body, constraints),
            [_parameter(one) for one in parameters or []],
            self._tags(path, ctx.account, constraints, tags, existing),
            [*_topics(constraints), *notify],
        )

    def _tags(
        self,
        path: Path,
        account: str,
        constraints: Iterable[Constraint],
        given: list[dict[str, str]] | None,
        existing: Provisioned | None,
    ) -> dict[str, str]:
        if existing is not None and given is None:
            return existing.tags
        if existing is not None and not _may_retag(constraints):
            raise invalid("Tag updates need a RESOURCE_UPDATE constraint that allows them.")
        own = tags_of(given)
        found = path.portfolio.tags | path.product.tags
        for key, choices in self.tag_choices(path, account).items():
            if not choices:
                if key in own:
                    raise invalid(f"The TagOptions of {key} conflict: it cannot be a tag.")
                conflict = f"sc-tagoption-conflict-{path.portfolio.id}-{path.product.id}"
                found[conflict] = key
            elif key not in own and len(choices) > 1:
                raise invalid(f"Choose a value for the tag {key}: {', '.join(choices)}.")
            elif own.setdefault(key, choices[0]) not in choices:
                raise invalid(f"The tag {key} must be one of: {', '.join(choices)}.")
        return found | own

    def tag_choices(self, path: Path, account: str) -> dict[str, list[str]]:
        """Return the values that the active TagOptions of portfolio and product leave, by key.

        A key on both has the values of both; none left is a conflict, which AWS tells but allows.
        """
        sides: list[dict[str, list[str]]] = []
        for thing in (path.portfolio, path.product):
            values: dict[str, list[str]] = {}
            for one in self.tag_options_on(thing, account, path.portfolio):
                if one.active:
                    values.setdefault(one.key, []).append(one.value)
            sides.append(values)
        portfolio, product = sides
        return {
            key: [
                value
                for value in portfolio.get(key, product.get(key, []))
                if value in product.get(key, [value])
            ]
            for key in {**portfolio, **product}
        }


def _active(path: Path, wanted: Wanted) -> Artifact:
    """Return the version that a request means, which must be active."""
    active = {key: one for key, one in path.product.artifacts.items() if one.active}
    return chosen(active, wanted.artifact_id, wanted.artifact_name, "version")


def _role(ctx: Context, constraints: Iterable[Constraint]) -> str:
    launch = next((one for one in constraints if one.kind == "LAUNCH"), None)
    if launch is None:
        return ""
    said = json.loads(launch.parameters)
    if "RoleArn" in said:
        return str(said["RoleArn"])
    name = said["LocalRoleName"]
    known = LOOKUP.iam_arn(ctx.account, "role", name)
    return known or f"arn:aws:iam::{ctx.account}:role/{name}"


def _topics(constraints: Iterable[Constraint]) -> list[str]:
    return [
        topic
        for one in constraints
        if one.kind == "NOTIFICATION"
        for topic in json.loads(one.parameters)["NotificationArns"]
    ]


def _may_retag(constraints: Iterable[Constraint]) -> bool:
    return any(
        json.loads(one.parameters)["Properties"]["TagUpdateOnProvisionedProduct"] == "ALLOWED"
        for one in constraints
        if one.kind == "RESOURCE_UPDATE"
    )


def _parameter(given: Mapping[str, Any]) -> dict[str, Any]:
    if given.get("UsePreviousValue"):
        return {"ParameterKey": given["Key"], "UsePreviousValue": True}
    return {"ParameterKey": given["Key"], "ParameterValue": given.get("Value", "")}
