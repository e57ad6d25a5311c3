"""Who has which portfolio, and who reaches which product: shares, principals, launch paths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from moto.organizations.models import organizations_backends

from seedbed.sandbox.organisation import ORGANISATION
from seedbed.sandbox.service import Service
from seedbed.sandbox.services.servicecatalog.records import (
    Catalog,
    Constraint,
    Path,
    Portfolio,
    Product,
    Share,
    TagOption,
)

if TYPE_CHECKING:
    from seedbed.sandbox.identity import Principal

PRINCIPAL = "servicecatalog.amazonaws.com"
ARN_PARTS = 5


class Access(Service):
    """Questions about the catalogues of one region; the caller holds the lock."""

    def catalog_of(self, account: str, region: str) -> Catalog:
        found: Catalog = self.world.store(self.name, account, region, Catalog)
        return found

    def portfolios_of(self, account: str, region: str) -> dict[str, Portfolio]:
        """Return an account's own portfolios and those that it imported."""
        own = dict(self.catalog_of(account, region).portfolios)
        return own | {one.id: one for one, _ in self.imported(account, region)}

    def imported(self, account: str, region: str) -> Iterator[tuple[Portfolio, Share]]:
        """Yield the portfolios that others share with an account, and the share that does."""
        rejected = self.catalog_of(account, region).rejected
        for one, share in self.offered(account, region):
            if share.accepted and (share.kind == "ACCOUNT" or one.id not in rejected):
                yield one, share

    def offered(self, account: str, region: str) -> Iterator[tuple[Portfolio, Share]]:
        """Yield every share that reaches an account, accepted or not."""
        nodes = self.nodes_above(account)
        for (owner, where), catalog in self.world.stores(self.name).items():
            if where != region or owner == account:
                continue
            for one in catalog.portfolios.values():
                for share in one.shares:
                    if share.ready and share.value in {account, *nodes}:
                        yield one, share

    def products_of(self, account: str, region: str) -> dict[str, Product]:
        """Return an account's own products and those of its portfolios."""
        found = dict(self.catalog_of(account, region).products)
        for one in self.portfolios_of(account, region).values():
            for product_id in one.products:
                product = self._product(product_id, region)
                if product is not None:
                    found.setdefault(product_id, product)
        return found

    def _product(self, product_id: str, region: str) -> Product | None:
        for (_, where), catalog in self.world.stores(self.name).items():
            if where == region and product_id in catalog.products:
                found: Product = catalog.products[product_id]
                return found
        return None

    def constraints_of(self, path: Path) -> list[Constraint]:
        """Return the constraints on a product in a portfolio, oldest first."""
        held = self.catalog_of(path.portfolio.account, path.portfolio.region).constraints
        there = (path.portfolio.id, path.product.id)
        return [one for one in held.values() if (one.portfolio_id, one.product_id) == there]

    def tag_options_on(
        self, thing: Portfolio | Product, account: str, portfolio: Portfolio
    ) -> list[TagOption]:
        """Return the TagOptions of a portfolio, or of a product in it, that an account sees."""
        if thing.account != account and not any(
            one.id == portfolio.id and share.tag_options
            for one, share in self.imported(account, portfolio.region)
        ):
            return []
        held = self.catalog_of(thing.account, thing.region).tag_options
        return [held[one] for one in thing.tag_options]

    # Who reaches what

    def paths(self, who: Principal, region: str, product_id: str | None = None) -> list[Path]:
        """Return the launch paths of a caller, to one product or to all."""
        found = []
        for portfolio in self.portfolios_of(who.account, region).values():
            if not self.admits(portfolio, who):
                continue
            for one in portfolio.products:
                product = self._product(one, region)
                if product is not None and product_id in (None, one):
                    found.append(Path(portfolio, product))
        return found

    def admits(self, portfolio: Portfolio, who: Principal) -> bool:
        """Tell whether a portfolio's principals, local or shared, have the caller among them."""
        return any(
            matches(arn, kind, who.arn)
            for arn, kind in self.principals_of(portfolio, who.account).items()
        )

    def principals_of(self, portfolio: Portfolio, account: str) -> Mapping[str, str]:
        """Return a portfolio's principals as an account sees them."""
        region = portfolio.region
        local = self.catalog_of(account, region).principals.get(portfolio.id, {})
        shared = any(
            one.id == portfolio.id and share.principals
            for one, share in self.imported(account, region)
        )
        if not shared:
            return local
        theirs = self.catalog_of(portfolio.account, region).principals.get(portfolio.id, {})
        return {arn: kind for arn, kind in theirs.items() if kind == "IAM_PATTERN"} | dict(local)

    # The organisation, as moto keeps it now

    def nodes_above(self, account: str) -> set[str]:
        """Return the ids of the units above an account, its root and its organisation."""
        backend = self._organisation()
        parents = {unit.id: unit.parent_id for unit in backend.ou}
        node = next((one.parent_id for one in backend.accounts if one.id == account), None)
        found = {ORGANISATION} if node else set()
        while node:
            found.add(node)
            node = parents.get(node)
        return found

    def accounts_below(self, node: str) -> dict[str, str]:
        """Return the accounts below a unit, a root, the organisation, or one account: states."""
        return {
            one.id: one.status
            for one in self._organisation().accounts
            if node == one.id or node in self.nodes_above(one.id)
        }

    def knows_node(self, kind: str, value: str) -> bool:
        backend = self._organisation()
        if kind == "ORGANIZATION":
            return value == ORGANISATION
        held = backend.accounts if kind == "ACCOUNT" else backend.ou
        return any(one.id == value for one in held)

    def delegated_administrators(self) -> set[str]:
        admins = self._organisation().admins
        return {one.account.id for one in admins if PRINCIPAL in one.services}

    def _organisation(self) -> Any:
        return organizations_backends[self.world.account_id("management")]["aws"]


def matches(arn: str, kind: str, caller: str) -> bool:
    """Tell whether an associated principal is the caller, given by their ARNs."""
    if kind == "IAM":
        return arn == caller
    parts = caller.split(":", ARN_PARTS)
    if len(parts) <= ARN_PARTS:
        return False
    # AWS: `*` is any number of any characters, slashes too; `?` is zero or one.
    pattern = re.escape(arn).replace(r"\*", ".*").replace(r"\?", ".?")
    parts[4] = ""
    return re.fullmatch(pattern, ":".join(parts)) is not None
