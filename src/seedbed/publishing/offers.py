"""What a portfolio holds beside its products' versions: who may see it, and their retirement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from seedbed import declaration
from seedbed.publishing.changes import Change, reference
from seedbed.publishing.observe import (
    CATALOG,
    Constraint,
    Observed,
    Pair,
    Portfolio,
    Product,
    Share,
)

Usage = Callable[[str], tuple[set[str], list[str]]]
Id = str | dict[str, str]
NOTHING = declaration.Portfolio(title="-", description="", products={})


class Offers:
    """Compares, and collects the requests; `notes` are what a person should know beside them."""

    def __init__(self, seen: Observed, usage: Usage) -> None:
        self.seen, self.usage = seen, usage
        self.notes: list[str] = []
        self._made: set[Pair] = set()
        self._kept: set[str] = set()  # products that are declared no more, and in use

    def tag_options(
        self, key: str, id_: Id, wanted: Mapping[str, list[str]], known: frozenset[Pair]
    ) -> Iterator[Change]:
        pairs = {(name, value) for name, values in wanted.items() for value in values}
        for pair in sorted(pairs - known):
            name = f"{pair[0]}={pair[1]}"
            if pair not in self.seen.tag_options and pair not in self._made:
                self._made.add(pair)
                request = {"Key": pair[0], "Value": pair[1]}
                gives = {f"tag-option/{name}": "TagOptionDetail.Id"}
                say = f"create {name}"
                yield Change("tag option", key, say, CATALOG, "CreateTagOption", request, gives)
            at = {"ResourceId": id_, "TagOptionId": self._option_id(pair)}
            say, call = f"add {name}", "AssociateTagOptionWithResource"
            yield Change("tag option", key, say, CATALOG, call, at)
        for pair in sorted(known - pairs):
            at = {"ResourceId": id_, "TagOptionId": self._option_id(pair)}
            say, call = f"take {pair[0]}={pair[1]} away", "DisassociateTagOptionFromResource"
            yield Change("tag option", key, say, CATALOG, call, at)

    def principals(self, key: str, wanted: declaration.Portfolio) -> Iterator[Change]:
        known = self.seen.held.get(key)
        there = known.principals if known else frozenset[Pair]()
        declared = {(pattern, "IAM_PATTERN") for pattern in wanted.patterns}
        at = {"PortfolioId": self.portfolio_id(key)}
        for arn, kind in sorted(there - declared):
            request = {**at, "PrincipalARN": arn, "PrincipalType": kind}
            call = "DisassociatePrincipalFromPortfolio"
            yield Change("principal", key, f"take {arn} away", CATALOG, call, request)
        for arn, kind in sorted(declared - there):
            request = {**at, "PrincipalARN": arn, "PrincipalType": kind}
            call = "AssociatePrincipalWithPortfolio"
            yield Change("principal", key, f"let {arn} in", CATALOG, call, request)

    def shares(self, key: str, wanted: declaration.Portfolio) -> Iterator[Change]:
        known = self.seen.held.get(key)
        there = dict(known.shares) if known else {}
        shares, at = wanted.shares, {"PortfolioId": self.portfolio_id(key)}
        nodes = [("ORGANIZATION", self.seen.organization)] if shares.organization else []
        nodes += [("ORGANIZATIONAL_UNIT", unit) for unit in shares.units]
        nodes += [("ACCOUNT", account) for account in shares.accounts]
        for node in nodes:
            request = {
                **at,
                **node_of(node),
                "SharePrincipals": shares.principals,
                "ShareTagOptions": shares.tag_options,
            }
            if node not in there:
                say, call = f"share with {node[1]}", "CreatePortfolioShare"
            elif there[node] != Share(shares.principals, shares.tag_options):
                # CreatePortfolioShare leaves the flags of a share that is there as they are.
                say, call = f"change what is shared with {node[1]}", "UpdatePortfolioShare"
            else:
                continue
            yield Change("share", key, say, CATALOG, call, request)
        # Last: where a new one is refused, nobody has lost what they had.
        for node in sorted(there.keys() - set(nodes)):
            request = {**at, **node_of(node)}
            say = f"share no more with {node[1]}"
            yield Change("share", key, say, CATALOG, "DeletePortfolioShare", request)

    def undeclared(self, key: str, known: Product) -> Iterator[Change]:
        """Retire a product: launched no more at once, deleted when nothing uses it."""
        at: dict[str, Id]
        used, silent = self.usage(known.id)
        if used or silent:
            why = "is in use" if used else f"may be in use in {', '.join(silent)}"
            self.notes.append(f"product {key} is declared no more and {why}: it is only deprecated")
            self._kept.add(known.id)
            for one in known.artifacts:
                if one.guidance != "DEPRECATED":
                    at = {"ProductId": known.id, "ProvisioningArtifactId": one.id}
                    request = {**at, "Guidance": "DEPRECATED"}
                    say, call = f"deprecate version {one.name}", "UpdateProvisioningArtifact"
                    yield Change("version", key, say, CATALOG, call, request)
            return
        for pair in sorted(known.tag_options):
            at = {"ResourceId": known.id, "TagOptionId": self._option_id(pair)}
            say, call = f"take {pair[0]}={pair[1]} away", "DisassociateTagOptionFromResource"
            yield Change("tag option", key, say, CATALOG, call, at)
        for name, portfolio in self.seen.held.items():
            if known.id in portfolio.products:
                for constraint in of(portfolio, known.id):
                    yield unconstrained(key, constraint)
                at = {"PortfolioId": portfolio.id, "ProductId": known.id}
                say, call = f"take out of portfolio {name}", "DisassociateProductFromPortfolio"
                yield Change("product", key, say, CATALOG, call, at)
        yield Change("product", key, "delete", CATALOG, "DeleteProduct", {"Id": known.id})

    def abandoned(self, key: str, known: Portfolio) -> Iterator[Change]:
        """Take a portfolio away which our products have left; `undeclared` goes before."""
        ours = [*self.seen.products.values(), *self.seen.undeclared.values()]
        left = known.products - ({one.id for one in ours} - self._kept)
        if left:
            holds = f"it holds {', '.join(sorted(left))}"
            self.notes.append(f"portfolio {key} is declared no more and stays: {holds}")
            return
        yield from self.closed(key, known)
        yield Change("portfolio", key, "delete", CATALOG, "DeletePortfolio", {"Id": known.id})

    def closed(self, key: str, known: Portfolio) -> Iterator[Change]:
        """Let nobody see a portfolio any more."""
        yield from self.principals(key, NOTHING)
        yield from self.shares(key, NOTHING)
        yield from self.tag_options(key, known.id, {}, known.tag_options)

    def portfolio_id(self, key: str) -> Id:
        known = self.seen.held.get(key)
        return known.id if known else reference(f"portfolio/{key}")

    def product_id(self, key: str) -> Id:
        known = self.seen.products.get(key)
        return known.id if known else reference(f"product/{key}")

    def _option_id(self, pair: Pair) -> Id:
        return self.seen.tag_options.get(pair) or reference(f"tag-option/{pair[0]}={pair[1]}")


def of(portfolio: Portfolio, product: str) -> list[Constraint]:
    own = (one for one in portfolio.constraints if one.product == product)
    return sorted(own, key=lambda one: one.type)


def unconstrained(key: str, constraint: Constraint) -> Change:
    say, request = f"constrain no more: {constraint.type}", {"Id": constraint.id}
    return Change("constraint", key, say, CATALOG, "DeleteConstraint", request)


def node_of(node: Pair) -> dict[str, Any]:
    if node[0] == "ACCOUNT":
        return {"AccountId": node[1]}
    return {"OrganizationNode": {"Type": node[0], "Value": node[1]}}
