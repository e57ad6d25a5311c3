"""How Service Catalog differs from the declaration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from packaging.version import InvalidVersion, Version

from seedbed import declaration
from seedbed.declaration import Declaration
from seedbed.errors import SeedbedError
from seedbed.packaging import Manifest, ProductObject
from seedbed.publishing.changes import Change
from seedbed.publishing.observe import (
    CATALOG,
    PORTFOLIO_TAG,
    PRODUCT_TAG,
    Artifact,
    Constraint,
    Observed,
    Pair,
    Product,
)
from seedbed.publishing.offers import Id, Offers, Usage, of, unconstrained

STUDIO = {"sagemaker:studio-visibility": "true"}


class Catalog(Offers):
    """Compares with the declaration and a release."""

    def __init__(
        self, seen: Observed, declared: Declaration, manifest: Manifest, usage: Usage
    ) -> None:
        super().__init__(seen, usage)
        self.declared, self.manifest = declared, manifest

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
        for key, known in sorted(self.seen.undeclared.items()):
            if prune:
                found += self.undeclared(key, known)
            else:
                self.notes.append(f"product {key} is declared no more: --prune retires it")
        for key, there in sorted(self.seen.abandoned.items()):
            if prune:
                found += self.abandoned(key, there)
            else:
                self.notes.append(f"portfolio {key} is declared no more: --prune takes it away")
        for key, wanted in self.declared.portfolios.items():
            found += self.principals(key, wanted)
            found += self.shares(key, wanted)
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
        yield from self.tag_options(key, self.portfolio_id(key), wanted.tag_options, options)

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
        product, holder = self.product_id(key), self.seen.portfolios.get(portfolio)
        at = {"PortfolioId": self.portfolio_id(portfolio), "ProductId": product}
        if holder is None or known is None or known.id not in holder.products:
            say = f"add to portfolio {portfolio}"
            yield Change("product", key, say, CATALOG, "AssociateProductWithPortfolio", at)
        there_are = of(holder, known.id) if holder and known else []
        yield from self._constraints(key, at, wanted, {one.type: one for one in there_are})
        options = known.tag_options if known else frozenset[Pair]()
        yield from self.tag_options(key, product, wanted.tag_options, options)
        for other, there in self.seen.held.items():
            if known and other != portfolio and known.id in there.products:
                away = {"PortfolioId": there.id, "ProductId": known.id}
                for constraint in of(there, known.id):
                    yield unconstrained(key, constraint)
                say = f"take out of portfolio {other}"
                yield Change("product", key, say, CATALOG, "DisassociateProductFromPortfolio", away)

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
            yield unconstrained(key, known[kind])


def tokened(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return a request with its own hash as IdempotencyToken: sent twice, it happens once."""
    text = json.dumps(parameters, sort_keys=True)
    return {**parameters, "IdempotencyToken": hashlib.sha256(text.encode()).hexdigest()}


def _differing(wanted: Mapping[str, str], known: Mapping[str, str]) -> dict[str, Any]:
    return {key: value for key, value in wanted.items() if value != known.get(key, "")}


def order(name: str) -> Version:
    """Return by what versions are put in order."""
    try:
        return Version(name)
    except InvalidVersion:
        return Version("0")  # somebody's own name: older than all of ours


def _age(one: Artifact) -> tuple[Version, str]:
    return order(one.name), one.created.isoformat()
