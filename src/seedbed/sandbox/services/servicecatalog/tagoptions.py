"""Service Catalog: the library of TagOptions, and what they hang on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedbed.sandbox.service import ServiceError
from seedbed.sandbox.services.servicecatalog.base import Base, atomic, in_use, missing, too_many
from seedbed.sandbox.services.servicecatalog.records import Portfolio, Product, TagOption
from seedbed.sandbox.world import Context

MOST_ON_A_RESOURCE = 25


class TagOptions(Base):
    @atomic
    def create_tag_option(self, ctx: Context, Key: str, Value: str) -> dict[str, Any]:
        known = self.catalog(ctx).tag_options
        self._check_new(ctx, Key, Value)
        made = TagOption(self.new_id("tag"), Key, Value, ctx.account)
        known[made.id] = made
        return {"TagOptionDetail": made.wire()}

    @atomic
    def update_tag_option(
        self, ctx: Context, Id: str, Value: str | None = None, Active: bool | None = None
    ) -> dict[str, Any]:
        found = self._tag_option(ctx, Id)
        if Value is not None and Value != found.value:
            self._check_new(ctx, found.key, Value)
            found.value = Value
        if Active is not None:
            found.active = Active
        return {"TagOptionDetail": found.wire()}

    @atomic
    def describe_tag_option(self, ctx: Context, Id: str) -> dict[str, Any]:
        return {"TagOptionDetail": self._tag_option(ctx, Id).wire()}

    @atomic
    def delete_tag_option(self, ctx: Context, Id: str) -> dict[str, Any]:
        self._tag_option(ctx, Id)
        if holders := [one.id for one in self._things(ctx) if Id in one.tag_options]:
            raise in_use(f"TagOption {Id} is associated with {holders[0]}.")
        del self.catalog(ctx).tag_options[Id]
        return {}

    @atomic
    def list_tag_options(
        self, ctx: Context, Filters: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        found = [one.wire() for one in self.catalog(ctx).tag_options.values()]
        for name, value in (Filters or {}).items():
            found = [one for one in found if one[name] == value]
        return {"TagOptionDetails": found}

    @atomic
    def associate_tag_option_with_resource(
        self, ctx: Context, ResourceId: str, TagOptionId: str
    ) -> dict[str, Any]:
        thing, option = self._thing(ctx, ResourceId), self._tag_option(ctx, TagOptionId)
        if option.id in thing.tag_options:
            message = f"TagOption {TagOptionId} is associated with {ResourceId} already."
            raise ServiceError("DuplicateResourceException", message)
        if len(thing.tag_options) >= MOST_ON_A_RESOURCE:
            raise too_many(f"{ResourceId} has {MOST_ON_A_RESOURCE} TagOptions already.")
        thing.tag_options.append(option.id)
        return {}

    @atomic
    def disassociate_tag_option_from_resource(
        self, ctx: Context, ResourceId: str, TagOptionId: str
    ) -> dict[str, Any]:
        thing, option = self._thing(ctx, ResourceId), self._tag_option(ctx, TagOptionId)
        if option.id not in thing.tag_options:
            raise missing(f"TagOption {TagOptionId} is not associated with {ResourceId}.")
        thing.tag_options.remove(option.id)
        return {}

    @atomic
    def list_resources_for_tag_option(
        self, ctx: Context, TagOptionId: str, ResourceType: str | None = None
    ) -> dict[str, Any]:
        self._tag_option(ctx, TagOptionId)
        return {
            "ResourceDetails": [
                {
                    "Id": one.id,
                    "ARN": one.arn,
                    "Name": one.name,
                    "Description": one.description,
                    "CreatedTime": one.created,
                }
                for one in self._things(ctx)
                if TagOptionId in one.tag_options and ResourceType in (None, type(one).__name__)
            ]
        }

    def _things(self, ctx: Context) -> list[Portfolio | Product]:
        catalog = self.catalog(ctx)
        return [*catalog.portfolios.values(), *catalog.products.values()]

    def _thing(self, ctx: Context, resource_id: str) -> Portfolio | Product:
        found = next((one for one in self._things(ctx) if one.id == resource_id), None)
        if found is None:
            raise missing(f"Resource {resource_id} not found.")
        return found

    def _tag_option(self, ctx: Context, option_id: str) -> TagOption:
        found = self.catalog(ctx).tag_options.get(option_id)
        if found is None:
            raise missing(f"TagOption {option_id} not found.")
        return found

    def _check_new(self, ctx: Context, key: str, value: str) -> None:
        known = self.catalog(ctx).tag_options.values()
        if any((one.key, one.value) == (key, value) for one in known):
            message = f"A TagOption {key}={value} exists already."
            raise ServiceError("DuplicateResourceException", message)
