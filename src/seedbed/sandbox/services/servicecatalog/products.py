"""Service Catalog: products and their versions, which are templates read from S3."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from seedbed.sandbox.cloudformation.aws import Aws
from seedbed.sandbox.cloudformation.base import fetch
from seedbed.sandbox.cloudformation.errors import StackError
from seedbed.sandbox.service import ServiceError, unsupported
from seedbed.sandbox.services.servicecatalog.base import (
    Base,
    atomic,
    chosen,
    in_use,
    invalid,
    listed,
    missing,
    tags_of,
    too_many,
)
from seedbed.sandbox.services.servicecatalog.portfolios import changed_tags
from seedbed.sandbox.services.servicecatalog.records import TEMPLATE, Artifact, Product
from seedbed.sandbox.services.servicecatalog.templates import parameters_of
from seedbed.sandbox.world import Context

MOST_PRODUCTS, MOST_VERSIONS = 350, 100
SOURCE = "LoadTemplateFromURL"
TEXTS = ("Distributor", "SupportDescription", "SupportEmail", "SupportUrl")


class Products(Base):
    def create_product(
        self,
        ctx: Context,
        *,
        Name: str,
        Owner: str,
        ProductType: str,
        IdempotencyToken: str,
        ProvisioningArtifactParameters: dict[str, Any] | None = None,
        Description: str = "",
        Tags: list[dict[str, str]] | None = None,
        **texts: str,
    ) -> dict[str, Any]:
        del IdempotencyToken
        if ProductType != TEMPLATE:
            raise unsupported(f"the product type {ProductType}")
        if unknown := sorted(set(texts) - set(TEXTS)):
            raise unsupported(f"the parameter {unknown[0]} of servicecatalog:CreateProduct")
        if ProvisioningArtifactParameters is None:
            raise invalid("ProvisioningArtifactParameters is required for this product type.")
        _check_url(texts.get("SupportUrl"))
        tags = tags_of(Tags)
        artifact = self._read(ctx, ProvisioningArtifactParameters)
        said = {"Name": Name, "Owner": Owner, "ShortDescription": Description, **texts}
        with self.lock:
            known = self.catalog(ctx).products
            if len(known) >= MOST_PRODUCTS:
                raise too_many(f"An account has at most {MOST_PRODUCTS} products in a region.")
            made = Product(
                self.new_id("prod"),
                self.new_id("prodview"),
                ctx.account,
                ctx.region,
                self.world.now(),
                said,
                tags,
                {artifact.id: artifact},
            )
            known[made.id] = made
            return {
                "ProductViewDetail": made.view(),
                "ProvisioningArtifactDetail": artifact.wire(),
                "Tags": listed(made.tags),
            }

    @atomic
    def update_product(
        self,
        ctx: Context,
        *,
        Id: str,
        AddTags: list[dict[str, str]] | None = None,
        RemoveTags: Sequence[str] = (),
        Description: str | None = None,
        **texts: str,
    ) -> dict[str, Any]:
        if unknown := sorted(set(texts) - {"Name", "Owner", *TEXTS}):
            raise unsupported(f"the parameter {unknown[0]} of servicecatalog:UpdateProduct")
        product = self.own_product(ctx, Id)
        _check_url(texts.get("SupportUrl"))
        product.tags = changed_tags(product.tags, AddTags, RemoveTags)
        product.texts |= texts
        if Description is not None:
            product.texts["ShortDescription"] = Description
        return {"ProductViewDetail": product.view(), "Tags": listed(product.tags)}

    @atomic
    def delete_product(self, ctx: Context, Id: str) -> dict[str, Any]:
        product = self.own_product(ctx, Id)
        holders = [one.id for one in self.catalog(ctx).portfolios.values() if Id in one.products]
        if holders:
            raise in_use(f"Product {Id} is associated with portfolio {holders[0]}.")
        if product.tag_options:
            raise in_use(f"Product {Id} has TagOptions associated with it.")
        del self.catalog(ctx).products[Id]
        self.forget(ctx, Id)
        for artifact_id in product.artifacts:
            self.forget(ctx, artifact_id)
        return {}

    @atomic
    def describe_product_as_admin(
        self,
        ctx: Context,
        *,
        Id: str | None = None,
        Name: str | None = None,
        SourcePortfolioId: str | None = None,
    ) -> dict[str, Any]:
        product = self.product(ctx, Id, Name)
        options = []
        if SourcePortfolioId is not None:
            portfolio = self.portfolio(ctx, SourcePortfolioId)
            if product.id not in portfolio.products:
                raise missing(f"Product {product.id} is not in portfolio {SourcePortfolioId}.")
            options = self.tag_options_on(product, ctx.account, portfolio)
        elif product.account == ctx.account:
            held = self.catalog(ctx).tag_options
            options = [held[one] for one in product.tag_options]
        return {
            "ProductViewDetail": product.view(),
            "ProvisioningArtifactSummaries": [one.brief() for one in product.artifacts.values()],
            "Tags": listed(product.tags) if product.account == ctx.account else [],
            "TagOptions": [one.wire() for one in options],
            "Budgets": [],
        }

    # Versions

    def create_provisioning_artifact(
        self, ctx: Context, ProductId: str, Parameters: dict[str, Any], IdempotencyToken: str
    ) -> dict[str, Any]:
        del IdempotencyToken
        with self.lock:
            self._check_room(self.own_product(ctx, ProductId))
        artifact = self._read(ctx, Parameters)
        with self.lock:
            product = self.own_product(ctx, ProductId)
            self._check_room(product)
            product.artifacts[artifact.id] = artifact
            return _told(artifact)

    @atomic
    def update_provisioning_artifact(
        self,
        ctx: Context,
        *,
        ProductId: str,
        ProvisioningArtifactId: str,
        Name: str | None = None,
        Description: str | None = None,
        Active: bool | None = None,
        Guidance: str | None = None,
    ) -> dict[str, Any]:
        artifact = self._version(self.own_product(ctx, ProductId), ProvisioningArtifactId)
        if Name is not None:
            artifact.name = _checked_name(Name)
        if Description is not None:
            artifact.description = Description
        if Active is not None:
            artifact.active = Active
        artifact.guidance = Guidance or artifact.guidance
        return _told(artifact)

    @atomic
    def delete_provisioning_artifact(
        self, ctx: Context, ProductId: str, ProvisioningArtifactId: str
    ) -> dict[str, Any]:
        product = self.own_product(ctx, ProductId)
        self._version(product, ProvisioningArtifactId)
        if len(product.artifacts) == 1:
            raise in_use(f"{ProvisioningArtifactId} is the last version of product {ProductId}.")
        del product.artifacts[ProvisioningArtifactId]
        self.forget(ctx, ProvisioningArtifactId)
        return {}

    @atomic
    def describe_provisioning_artifact(
        self,
        ctx: Context,
        *,
        ProductId: str | None = None,
        ProductName: str | None = None,
        ProvisioningArtifactId: str | None = None,
        ProvisioningArtifactName: str | None = None,
        Verbose: bool = False,
        IncludeProvisioningArtifactParameters: bool = False,
    ) -> dict[str, Any]:
        product = self.product(ctx, ProductId, ProductName)
        artifact = chosen(
            product.artifacts, ProvisioningArtifactId, ProvisioningArtifactName, "version"
        )
        said = _told(artifact) if Verbose else _told(artifact) | {"Info": {}}
        if IncludeProvisioningArtifactParameters:
            said["ProvisioningArtifactParameters"] = parameters_of(artifact.body)
        return said

    @atomic
    def list_provisioning_artifacts(self, ctx: Context, ProductId: str) -> dict[str, Any]:
        product = self.product(ctx, ProductId)
        return {"ProvisioningArtifactDetails": [one.wire() for one in product.artifacts.values()]}

    def _version(self, product: Product, artifact_id: str) -> Artifact:
        return chosen(product.artifacts, artifact_id, None, "version")

    def _check_room(self, product: Product) -> None:
        if len(product.artifacts) >= MOST_VERSIONS:
            raise too_many(f"Product {product.id} has {MOST_VERSIONS} versions already.")

    def _read(self, ctx: Context, given: Mapping[str, Any]) -> Artifact:
        """Make a version of a template in S3, which the caller may read.

        Raises:
            ServiceError: It cannot be read, or CloudFormation finds it invalid.
        """
        if given.get("Type", TEMPLATE) != TEMPLATE:
            raise unsupported(f"the version type {given['Type']}")
        info = given.get("Info", {})
        if "ImportFromPhysicalId" in info:
            raise unsupported("ImportFromPhysicalId of servicecatalog")
        if set(info) != {SOURCE}:
            raise invalid(f"Info must have the key {SOURCE}.")
        url = info[SOURCE]
        try:
            body = fetch(url, Aws(ctx.client, ctx.account, ctx.region, self.world.wait))
            if not given.get("DisableTemplateValidation"):
                ctx.client("cloudformation").validate_template(TemplateURL=url)
        except StackError as error:
            raise invalid(f"Invalid templateBody. {error.message}") from error
        except ClientError as error:
            said = error.response["Error"]
            if said["Code"] == "ValidationError":
                raise invalid(f"Invalid templateBody. {said['Message']}") from error
            raise
        return Artifact(
            self.new_id("pa"),
            _checked_name(given.get("Name", "v1")),
            given.get("Description", ""),
            url,
            body,
            self.world.now(),
        )


def _told(artifact: Artifact) -> dict[str, Any]:
    return {
        "ProvisioningArtifactDetail": artifact.wire(),
        "Info": {"TemplateUrl": artifact.url},
        "Status": "AVAILABLE",
    }


def _checked_name(name: str) -> str:
    if not name or " " in name:
        raise invalid(f"The version name {name!r} must not be empty or have spaces.")
    return name


def _check_url(url: str | None) -> None:
    if url and not re.match(r"https?://", url):
        raise ServiceError("InvalidParametersException", f"SupportUrl {url} is no http address.")
