"""Service Catalog: portfolios, their products and principals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from seedbed.sandbox.moto_state import MotoLookup
from seedbed.sandbox.service import unsupported
from seedbed.sandbox.services.servicecatalog.base import (
    Base,
    atomic,
    in_use,
    invalid,
    listed,
    missing,
    tags_of,
    too_many,
)
from seedbed.sandbox.services.servicecatalog.records import Portfolio
from seedbed.sandbox.world import Context

MOST_PORTFOLIOS, MOST_PRODUCTS = 100, 150
MOST_PRINCIPALS, MOST_PATTERNS = 100, 10
LOOKUP = MotoLookup()
IAM = re.compile(r"arn:aws:iam::\d{12}:(user|group|role)/.+")
IAM_PATTERN = re.compile(r"arn:aws:iam:::(user|group|role)/.+")


class Portfolios(Base):
    @atomic
    def create_portfolio(
        self,
        ctx: Context,
        *,
        DisplayName: str,
        ProviderName: str,
        IdempotencyToken: str,
        Description: str = "",
        Tags: list[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        del IdempotencyToken
        known = self.catalog(ctx).portfolios
        if len(known) >= MOST_PORTFOLIOS:
            raise too_many(f"An account has at most {MOST_PORTFOLIOS} portfolios in a region.")
        made = Portfolio(
            self.new_id("port"),
            ctx.account,
            ctx.region,
            DisplayName,
            ProviderName,
            self.world.now(),
            Description,
            tags_of(Tags),
        )
        known[made.id] = made
        return {"PortfolioDetail": made.wire(), "Tags": listed(made.tags)}

    @atomic
    def update_portfolio(
        self,
        ctx: Context,
        *,
        Id: str,
        DisplayName: str | None = None,
        Description: str | None = None,
        ProviderName: str | None = None,
        AddTags: list[dict[str, str]] | None = None,
        RemoveTags: Sequence[str] = (),
    ) -> dict[str, Any]:
        portfolio = self.own_portfolio(ctx, Id)
        portfolio.tags = changed_tags(portfolio.tags, AddTags, RemoveTags)
        portfolio.name = DisplayName or portfolio.name
        portfolio.provider = ProviderName or portfolio.provider
        if Description is not None:
            portfolio.description = Description
        return {"PortfolioDetail": portfolio.wire(), "Tags": listed(portfolio.tags)}

    @atomic
    def describe_portfolio(self, ctx: Context, Id: str) -> dict[str, Any]:
        portfolio = self.portfolio(ctx, Id)
        options = self.tag_options_on(portfolio, ctx.account, portfolio)
        return {
            "PortfolioDetail": portfolio.wire(),
            "Tags": listed(portfolio.tags) if portfolio.account == ctx.account else [],
            "TagOptions": [one.wire() for one in options],
            "Budgets": [],
        }

    @atomic
    def list_portfolios(self, ctx: Context) -> dict[str, Any]:
        return {
            "PortfolioDetails": [one.wire() for one in self.catalog(ctx).portfolios.values()],
        }

    @atomic
    def delete_portfolio(self, ctx: Context, Id: str) -> dict[str, Any]:
        portfolio = self.own_portfolio(ctx, Id)
        catalog = self.catalog(ctx)
        held = {
            "products": portfolio.products,
            "users": catalog.principals.get(Id),
            "constraints": [one for one in catalog.constraints.values() if one.portfolio_id == Id],
            "shares": portfolio.shares,
            "TagOptions": portfolio.tag_options,
        }
        if named := [name for name, some in held.items() if some]:
            raise in_use(f"Portfolio {Id} still has {', '.join(named)} associated with it.")
        del catalog.portfolios[Id]
        self.forget(ctx, Id)
        return {}

    # Products in portfolios

    @atomic
    def associate_product_with_portfolio(
        self, ctx: Context, ProductId: str, PortfolioId: str, SourcePortfolioId: str | None = None
    ) -> dict[str, Any]:
        portfolio = self.own_portfolio(ctx, PortfolioId)
        product = self.product(ctx, ProductId)
        if product.account != ctx.account:
            if SourcePortfolioId is None:
                raise invalid(f"Product {ProductId} is imported: provide SourcePortfolioId.")
            if ProductId not in self.portfolio(ctx, SourcePortfolioId).products:
                raise missing(f"Product {ProductId} is not in portfolio {SourcePortfolioId}.")
            if portfolio.shares:
                raise invalid("A portfolio that is shared cannot hold a shared product.")
        if ProductId not in portfolio.products and len(portfolio.products) >= MOST_PRODUCTS:
            raise too_many(f"A portfolio holds at most {MOST_PRODUCTS} products.")
        imported = product.account != ctx.account
        portfolio.products[ProductId] = SourcePortfolioId if imported else None
        return {}

    @atomic
    def disassociate_product_from_portfolio(
        self, ctx: Context, ProductId: str, PortfolioId: str
    ) -> dict[str, Any]:
        portfolio = self.own_portfolio(ctx, PortfolioId)
        if ProductId not in portfolio.products:
            raise missing(f"Product {ProductId} is not in portfolio {PortfolioId}.")
        there = (PortfolioId, ProductId)
        constraints = self.catalog(ctx).constraints.values()
        if any((one.portfolio_id, one.product_id) == there for one in constraints):
            raise in_use(f"Product {ProductId} has constraints in portfolio {PortfolioId}.")
        del portfolio.products[ProductId]
        return {}

    @atomic
    def list_portfolios_for_product(self, ctx: Context, ProductId: str) -> dict[str, Any]:
        self.product(ctx, ProductId)
        known = self.portfolios_of(ctx.account, ctx.region).values()
        return {"PortfolioDetails": [one.wire() for one in known if ProductId in one.products]}

    # Principals

    @atomic
    def associate_principal_with_portfolio(
        self, ctx: Context, PortfolioId: str, PrincipalARN: str, PrincipalType: str
    ) -> dict[str, Any]:
        self.portfolio(ctx, PortfolioId)
        form = IAM if PrincipalType == "IAM" else IAM_PATTERN
        found = form.fullmatch(PrincipalARN)
        if found is None:
            raise invalid(f"{PrincipalARN} is not a principal ARN of type {PrincipalType}.")
        if found[1] == "group":
            raise unsupported(f"a group as a principal of a portfolio ({PrincipalARN})")
        if PrincipalType == "IAM" and not _exists(PrincipalARN, ctx.account):
            raise invalid(f"Principal {PrincipalARN} does not exist in account {ctx.account}.")
        held = self.catalog(ctx).principals.setdefault(PortfolioId, {})
        if PrincipalARN not in held:
            patterns = sum(kind == "IAM_PATTERN" for kind in held.values())
            if PrincipalType == "IAM_PATTERN" and patterns >= MOST_PATTERNS:
                raise too_many(f"A portfolio has at most {MOST_PATTERNS} IAM_PATTERN principals.")
            if len(held) >= MOST_PRINCIPALS:
                raise too_many(f"A portfolio has at most {MOST_PRINCIPALS} principals.")
        held[PrincipalARN] = PrincipalType
        return {}

    @atomic
    def disassociate_principal_from_portfolio(
        self, ctx: Context, PortfolioId: str, PrincipalARN: str, PrincipalType: str = "IAM"
    ) -> dict[str, Any]:
        self.portfolio(ctx, PortfolioId)
        held = self.catalog(ctx).principals.get(PortfolioId, {})
        if held.get(PrincipalARN) != PrincipalType:
            raise missing(f"{PrincipalType} {PrincipalARN} is not associated with {PortfolioId}.")
        del held[PrincipalARN]
        return {}

    @atomic
    def list_principals_for_portfolio(self, ctx: Context, PortfolioId: str) -> dict[str, Any]:
        portfolio = self.portfolio(ctx, PortfolioId)
        known = self.principals_of(portfolio, ctx.account)
        return {
            "Principals": [
                {"PrincipalARN": arn, "PrincipalType": kind} for arn, kind in known.items()
            ]
        }


def changed_tags(
    tags: dict[str, str], add: list[dict[str, str]] | None, remove: Sequence[str]
) -> dict[str, str]:
    """Return tags after an update: removed first, then added."""
    kept = {key: value for key, value in tags.items() if key not in remove}
    return kept | tags_of(add)


def _exists(arn: str, account: str) -> bool:
    kind, name = arn.split(":")[5].split("/", 1)
    return LOOKUP.iam_arn(account, kind, name.rsplit("/", 1)[-1]) == arn
