"""Service Catalog: what administrators find, and what end users find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from seedbed.sandbox.services.servicecatalog.base import Base, atomic, chosen, invalid
from seedbed.sandbox.services.servicecatalog.records import TEMPLATE, Path, Product
from seedbed.sandbox.world import Context

FILTERS = ("FullTextSearch", "Owner", "ProductType", "SourceProductId")
SORTS = {
    "Title": lambda one: one.name.lower(),
    "VersionCount": lambda one: len(one.artifacts),
    "CreationDate": lambda one: one.created,
}


class Search(Base):
    @atomic
    def search_products_as_admin(
        self,
        ctx: Context,
        *,
        PortfolioId: str | None = None,
        Filters: Mapping[str, list[str]] | None = None,
        SortBy: str | None = None,
        SortOrder: str = "ASCENDING",
        ProductSource: str = "ACCOUNT",
    ) -> dict[str, Any]:
        del ProductSource  # has but one value
        known = self.products_of(ctx.account, ctx.region)
        if PortfolioId is not None:
            held = self.portfolio(ctx, PortfolioId).products
            found = [known[one] for one in held if one in known]
        else:
            found = list(self.catalog(ctx).products.values())
        found = _sorted(_filtered(found, Filters or {}), SortBy, SortOrder)
        return {"ProductViewDetails": [one.view() for one in found]}

    @atomic
    def search_products(
        self,
        ctx: Context,
        *,
        Filters: Mapping[str, list[str]] | None = None,
        SortBy: str | None = None,
        SortOrder: str = "ASCENDING",
    ) -> dict[str, Any]:
        paths = self.paths(ctx.principal, ctx.region)
        ways = Counter(path.product.id for path in paths)
        reached = {path.product.id: path.product for path in paths}
        found = _sorted(_filtered(reached.values(), Filters or {}), SortBy, SortOrder)
        owners = Counter(one.texts["Owner"] for one in found)
        types = Counter(TEMPLATE for _ in found)
        return {
            "ProductViewSummaries": [one.summary(default_path=ways[one.id] == 1) for one in found],
            "ProductViewAggregations": {"Owner": _counted(owners), "ProductType": _counted(types)},
        }

    @atomic
    def describe_product(
        self, ctx: Context, Id: str | None = None, Name: str | None = None
    ) -> dict[str, Any]:
        paths = self.paths(ctx.principal, ctx.region)
        product = chosen({one.product.id: one.product for one in paths}, Id, Name, "product")
        own = [one for one in paths if one.product.id == product.id]
        return {
            **_viewed(product, own),
            "Budgets": [],
            "LaunchPaths": [{"Id": one.id, "Name": one.portfolio.name} for one in own],
        }

    @atomic
    def describe_product_view(self, ctx: Context, Id: str) -> dict[str, Any]:
        paths = self.paths(ctx.principal, ctx.region)
        product = chosen({one.product.view_id: one.product for one in paths}, Id, None, "product")
        return _viewed(product, [one for one in paths if one.product.id == product.id])


def _viewed(product: Product, paths: list[Path]) -> dict[str, Any]:
    """Return a product as its end users see it: inactive versions are not there."""
    return {
        "ProductViewSummary": product.summary(default_path=len(paths) == 1),
        "ProvisioningArtifacts": [
            {**one.brief(), "Guidance": one.guidance}
            for one in product.artifacts.values()
            if one.active
        ],
    }


def _filtered(products: Iterable[Product], filters: Mapping[str, list[str]]) -> list[Product]:
    if unknown := sorted(set(filters) - set(FILTERS)):
        raise invalid(f"{unknown[0]} is no filter; use {', '.join(FILTERS)}.")
    return [one for one in products if all(_has(one, *said) for said in filters.items())]


def _has(product: Product, name: str, values: list[str]) -> bool:
    match name:
        case "Owner":
            return product.texts["Owner"] in values
        case "ProductType":
            return TEMPLATE in values
        case "SourceProductId":
            return product.id in values
    text = " ".join(product.texts.values()).lower()
    return any(value.lower() in text for value in values)


def _sorted(products: list[Product], by: str | None, order: str) -> list[Product]:
    if by is None:
        return products
    return sorted(products, key=SORTS[by], reverse=order == "DESCENDING")


def _counted(counter: Counter[str]) -> list[dict[str, Any]]:
    return [{"Value": value, "ApproximateCount": count} for value, count in counter.items()]
