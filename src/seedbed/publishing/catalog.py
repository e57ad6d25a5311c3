"""How Service Catalog differs from the declaration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from packaging.version import InvalidVersion, Version

from seedbed import declaration
from seedbed.declaration import Declaration
from seedbed.errors import SeedbedError
from seedbed.packaging import Manifest, ProductObject
from seedbed.publishing.changes import Change, reference
from seedbed.publishing.observe import (
    CATALOG,
    PORTFOLIO_TAG,
    PRODUCT_TAG,
    Artifact,
    Constraint,
    Observed,
    Pair,
    Portfolio,
    Product,
    Share,
)

STUDIO = {"sagemaker:studio-visibility": "true"}
Usage = Callable[[str], tuple[set[str], list[str]]]
Id = str | dict[str, str]


class Catalog:
    """Compares, and collects the requests; `notes` are what a person should know beside them."""

    def __init__(
        self, seen: Observed, declared: Declaration, manifest: Manifest, usage: Usage
    ) -> None:
        self.seen, self.declared, self.manifest, self.usage = seen, declared, manifest, usage
        self.notes: list[str] = []
        self._made: set[Pair] = set()

    def changes(self, *, prune: bool = False) -> list[Change]:
        """Return the requests in the order in which they are to be sent.

        Who may see a portfolio comes last: nobody launches what has no launch constraint yet.

        Raises:
            SeedbedError: a version exists with another content.
        """
        found: list[Change] = []
        for key, wanted in self.declared.portfolios.items():
            found += self._portfolio(key, wanted)
            for product in wanted.products:
                found += self._product(key, product, wanted.products[product])
        for key, known in self.seen.undeclared.items():
            if prune:
                found += self._undeclared(key, known)
            else:
                self.notes.append(f"product {key} is declared no more: --prune retires it")
        for key, wanted in self.declared.portfolios.items():
            found += self._principals(key, wanted)
            found += self._shares(key, wanted)
        return found

    def _portfolio(self, key: str, wanted: declaration.Portfolio) -> Iterator[Change]:
        known = self.seen.portfolios.get(key)
        fields = {
            "DisplayName": wanted.title,
            "Description": wanted.description,
            "ProviderName": self.declared.owner[:50],
        }
        if known is None:
            parameters = {**fields, "Tags": [{"Key": PORTFOLIO_TAG, "Value": key}]}
            yield Change(
                "portfolio",
                key,
                f"create {wanted.title!r}",
                CATALOG,
                "CreatePortfolio",
                tokened(parameters),
                {f"portfolio/{key}": "PortfolioDetail.Id"},
            )
        elif other := _differing(fields, known.fields):
            parameters = {"Id": known.id, **other}
            say = f"update {', '.join(other)}"
            yield Change("portfolio", key, say, CATALOG, "UpdatePortfolio", parameters)
        options = known.tag_options if known else frozenset[Pair]()
        yield from self._tag_options(key, self._portfolio_id(key), wanted.tag_options, options)

    def _product(self, portfolio: str, key: str, wanted: declaration.Product) -> Iterator[Change]:
        made = self.manifest.products.get(key)
        if made is None:
            raise SeedbedError(f"product {key}: not in the release: run `seedbed package` again")
        known = self.seen.products.get(key)
        fields, tags = self._fields(wanted), {PRODUCT_TAG: key, **(STUDIO if wanted.studio else {})}
        if known is None:
            parameters = {
                **{name: value for name, value in fields.items() if value},
                "ProductType": "CLOUD_FORMATION_TEMPLATE",
                "Tags": [{"Key": k, "Value": v} for k, v in tags.items()],
                "ProvisioningArtifactParameters": self._artifact(made),
            }
            yield Change(
                "product",
                key,
                f"create {wanted.title!r}, version {self.manifest.version}",
                CATALOG,
                "CreateProduct",
                tokened(parameters),
                {f"product/{key}": "ProductViewDetail.ProductViewSummary.ProductId"},
            )
        else:
            yield from self._update(key, known, fields, tags)
            yield from self._versions(key, known, made)
        yield from self._in_portfolio(portfolio, key, wanted, known)

    def _in_portfolio(
        self, portfolio: str, key: str, wanted: declaration.Product, known: Product | None
    ) -> Iterator[Change]:
        product, holder = self._product_id(key), self.seen.portfolios.get(portfolio)
        at = {"PortfolioId": self._portfolio_id(portfolio), "ProductId": product}
        if holder is None or known is None or known.id not in holder.products:
            say = f"add to portfolio {portfolio}"
            yield Change("product", key, say, CATALOG, "AssociateProductWithPortfolio", at)
        for other, there in self.seen.portfolios.items():
            if known and other != portfolio and known.id in there.products:
                away = {"PortfolioId": there.id, "ProductId": known.id}
                for constraint in _of(there, known.id):
                    yield _unconstrained(key, constraint)
                say = f"take out of portfolio {other}"
                yield Change("product", key, say, CATALOG, "DisassociateProductFromPortfolio", away)
        there_are = _of(holder, known.id) if holder and known else []
        yield from self._constraints(key, at, wanted, {one.type: one for one in there_are})
        options = known.tag_options if known else frozenset[Pair]()
        yield from self._tag_options(key, product, wanted.tag_options, options)

    def _fields(self, wanted: declaration.Product) -> dict[str, str]:
        support = self.declared.support
        return {
            "Name": wanted.title,
            "Owner": self.declared.owner,
            "Description": wanted.description,
            "Distributor": self.declared.distributor,
            "SupportDescription": support.description,
            "SupportEmail": support.email,
            "SupportUrl": support.url,
        }

    def _update(
        self, key: str, known: Product, fields: Mapping[str, str], tags: Mapping[str, str]
    ) -> Iterator[Change]:
        parameters: dict[str, Any] = _differing(fields, known.fields)
        # Other tags are somebody else's.
        ours = {k: v for k, v in known.tags.items() if k in {PRODUCT_TAG, *STUDIO}}
        if missing := {k: v for k, v in tags.items() if ours.get(k) != v}:
            parameters["AddTags"] = [{"Key": k, "Value": v} for k, v in missing.items()]
        if extra := sorted(ours.keys() - tags.keys()):
            parameters["RemoveTags"] = extra
        if parameters:
            say = f"update {', '.join(parameters)}"
            parameters = {"Id": known.id, **parameters}
            yield Change("product", key, say, CATALOG, "UpdateProduct", parameters)

    def _artifact(self, made: ProductObject) -> dict[str, Any]:
        url = self.seen.account.object_url(self.seen.bucket, made.key)
        about = f"content:{made.content} sha256:{made.sha256} commit:{self.manifest.commit}"
        return {
            "Name": self.manifest.version,
            "Description": about,
            "Info": {"LoadTemplateFromURL": url},
            "Type": "CLOUD_FORMATION_TEMPLATE",
        }

    def _versions(self, key: str, known: Product, made: ProductObject) -> Iterator[Change]:
        """Add the release's version if its content is new, and retire older ones."""
        version = self.manifest.version
        same = [one for one in known.artifacts if one.content == made.content]
        named = [one for one in known.artifacts if one.name == version]
        if named and named[0].content != made.content:
            there = f"{named[0].id} is {version} with another content"
            raise SeedbedError(f"product {key}: {there}: a version never changes, tag a new one")
        head = max(named or same, key=_age, default=None)
        if head is None:
            parameters = {"ProductId": known.id, "Parameters": self._artifact(made)}
            say, call = f"add version {version}", "CreateProvisioningArtifact"
            yield Change("version", key, say, CATALOG, call, tokened(parameters))
        newest = order(version if head is None else head.name)
        older = sorted((one for one in known.artifacts if one is not head), key=_age, reverse=True)
        ranked = [*([head] if head else []), *older]
        for rank, one in enumerate(ranked, start=0 if head else 1):
            withdrawn = one is not head and order(one.name) > newest  # a release was taken back
            yield from self._rank(key, known, one, rank, withdrawn=withdrawn)

    def _rank(
        self, key: str, known: Product, one: Artifact, rank: int, *, withdrawn: bool
    ) -> Iterator[Change]:
        """Bring one version to the state of its rank, 0 being what the release holds."""
        keep = self.declared.versions
        launch = rank < keep.active and not withdrawn
        update = rank < keep.active + keep.deprecated
        other: dict[str, Any] = {}
        guidance = "DEFAULT" if launch else "DEPRECATED"
        if one.guidance != guidance:
            other["Guidance"] = guidance
        if update and not one.active:
            other["Active"] = True
        gone = not update and self._unused(key, known, one, "deleted" if rank >= keep.kept else "")
        at = {"ProductId": known.id, "ProvisioningArtifactId": one.id}
        if gone and rank >= keep.kept:
            say = f"delete version {one.name}"
            yield Change("version", key, say, CATALOG, "DeleteProvisioningArtifact", at)
            return
        if gone and one.active:
            other["Active"] = False
        if other:
            words = {"DEFAULT": "offer", "DEPRECATED": "deprecate"}
            say = words.get(other.get("Guidance", ""), "")
            state = {True: "activate", False: "deactivate"}.get(other.get("Active", ""), "")
            say = f"{' and '.join(filter(None, (say, state)))} version {one.name}"
            call = "UpdateProvisioningArtifact"
            yield Change("version", key, say, CATALOG, call, at | other)

    def _unused(self, key: str, known: Product, one: Artifact, deleted: str) -> bool:
        """Tell whether nothing uses a version; a note says why it stays otherwise."""
        if not one.active and not deleted:
            return True  # deactivated already: there is nothing to find out
        used, silent = self.usage(known.id)
        if one.id in used:
            self.notes.append(f"product {key}: version {one.name} is in use: it stays active")
            return False
        if silent:
            who = ", ".join(silent)
            self.notes.append(
                f"product {key}: version {one.name} stays active: accounts {who} do not tell what "
                "they use: run `seedbed bootstrap spoke` there"
            )
            return False
        return True

    def _constraints(
        self,
        key: str,
        at: Mapping[str, Id],
        wanted: declaration.Product,
        known: Mapping[str, Constraint],
    ) -> Iterator[Change]:
        """Bring a product's constraints to what is declared: at most one of each type."""
        declared: dict[str, dict[str, Any]] = {"LAUNCH": {"LocalRoleName": wanted.launch_role}}
        if wanted.tag_updates:
            allowed = {"TagUpdateOnProvisionedProduct": "ALLOWED"}
            declared["RESOURCE_UPDATE"] = {"Version": "2.0", "Properties": allowed}
        if wanted.notify:
            declared["NOTIFICATION"] = {"NotificationArns": list(wanted.notify)}
        if wanted.rules:
            declared["TEMPLATE"] = {"Rules": dict(wanted.rules)}
        for kind, parameters in declared.items():
            text, known_one = json.dumps(parameters, sort_keys=True), known.get(kind)
            if known_one is None:
                request = tokened({**at, "Type": kind, "Parameters": text})
                say = f"constrain: {kind} {text}"
                yield Change("constraint", key, say, CATALOG, "CreateConstraint", request)
            elif known_one.parameters != parameters:
                request = {"Id": known_one.id, "Parameters": text}
                say = f"change constraint: {kind} {text}"
                yield Change("constraint", key, say, CATALOG, "UpdateConstraint", request)
        for kind in sorted(known.keys() - declared.keys()):
            yield _unconstrained(key, known[kind])

    def _tag_options(
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

    def _principals(self, key: str, wanted: declaration.Portfolio) -> Iterator[Change]:
        known = self.seen.portfolios.get(key)
        there = known.principals if known else frozenset[Pair]()
        declared = {(pattern, "IAM_PATTERN") for pattern in wanted.patterns}
        at = {"PortfolioId": self._portfolio_id(key)}
        for arn, kind in sorted(there - declared):
            request = {**at, "PrincipalARN": arn, "PrincipalType": kind}
            call = "DisassociatePrincipalFromPortfolio"
            yield Change("principal", key, f"take {arn} away", CATALOG, call, request)
        for arn, kind in sorted(declared - there):
            request = {**at, "PrincipalARN": arn, "PrincipalType": kind}
            call = "AssociatePrincipalWithPortfolio"
            yield Change("principal", key, f"let {arn} in", CATALOG, call, request)

    def _shares(self, key: str, wanted: declaration.Portfolio) -> Iterator[Change]:
        known = self.seen.portfolios.get(key)
        there = dict(known.shares) if known else {}
        shares, at = wanted.shares, {"PortfolioId": self._portfolio_id(key)}
        nodes = [("ORGANIZATION", self.seen.organization)] if shares.organization else []
        nodes += [("ORGANIZATIONAL_UNIT", unit) for unit in shares.units]
        nodes += [("ACCOUNT", account) for account in shares.accounts]
        for node in sorted(there.keys() - set(nodes)):
            request = {**at, **node_of(node)}
            say = f"share no more with {node[1]}"
            yield Change("share", key, say, CATALOG, "DeletePortfolioShare", request)
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

    def _undeclared(self, key: str, known: Product) -> Iterator[Change]:
        """Retire a product: launched no more at once, deleted when nothing uses it."""
        at: dict[str, Id]
        used, silent = self.usage(known.id)
        if used or silent:
            why = "is in use" if used else f"may be in use in {', '.join(silent)}"
            self.notes.append(f"product {key} is declared no more and {why}: it is only deprecated")
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
        for name, portfolio in self.seen.portfolios.items():
            if known.id in portfolio.products:
                for constraint in _of(portfolio, known.id):
                    yield _unconstrained(key, constraint)
                at = {"PortfolioId": portfolio.id, "ProductId": known.id}
                say, call = f"take out of portfolio {name}", "DisassociateProductFromPortfolio"
                yield Change("product", key, say, CATALOG, call, at)
        yield Change("product", key, "delete", CATALOG, "DeleteProduct", {"Id": known.id})

    def _portfolio_id(self, key: str) -> Id:
        known = self.seen.portfolios.get(key)
        return known.id if known else reference(f"portfolio/{key}")

    def _product_id(self, key: str) -> Id:
        known = self.seen.products.get(key)
        return known.id if known else reference(f"product/{key}")

    def _option_id(self, pair: Pair) -> Id:
        return self.seen.tag_options.get(pair) or reference(f"tag-option/{pair[0]}={pair[1]}")


def tokened(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return a request with its own hash as IdempotencyToken: sent twice, it happens once."""
    text = json.dumps(parameters, sort_keys=True)
    return {**parameters, "IdempotencyToken": hashlib.sha256(text.encode()).hexdigest()}


def _differing(wanted: Mapping[str, str], known: Mapping[str, str]) -> dict[str, Any]:
    return {key: value for key, value in wanted.items() if value != known.get(key, "")}


def _of(portfolio: Portfolio, product: str) -> list[Constraint]:
    return [one for one in portfolio.constraints if one.product == product]


def _unconstrained(key: str, constraint: Constraint) -> Change:
    say, request = f"constrain no more: {constraint.type}", {"Id": constraint.id}
    return Change("constraint", key, say, CATALOG, "DeleteConstraint", request)


def node_of(node: Pair) -> dict[str, Any]:
    if node[0] == "ACCOUNT":
        return {"AccountId": node[1]}
    return {"OrganizationNode": {"Type": node[0], "Value": node[1]}}


def order(name: str) -> Version:
    """Return by what versions are put in order."""
    try:
        return Version(name)
    except InvalidVersion:
        return Version("0")  # somebody's own name: older than all of ours


def _age(one: Artifact) -> tuple[Version, str]:
    return order(one.name), one.created.isoformat()
