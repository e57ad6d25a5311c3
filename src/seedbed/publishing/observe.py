"""What AWS holds now, as plain values: only Describe, List, Get, Head and Search are called.

Nothing is kept elsewhere: tags say which portfolio and product is which, an artifact's description
says what it was made from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from seedbed.declaration import Declaration
from seedbed.errors import SeedbedError
from seedbed.publishing.aws import Account

CATALOG = "servicecatalog"
PORTFOLIO_TAG, PRODUCT_TAG = "seedbed:portfolio", "seedbed:product"
INVENTORY_ROLE = "seedbed-inventory"  # of each spoke: what is provisioned there
LOCATION_TAG = "sagemaker:projectS3TemplatesLocation"
NODES = ("ORGANIZATION", "ORGANIZATIONAL_UNIT", "ACCOUNT")
Tags = dict[str, str]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Artifact:
    """A provisioning artifact; `content` is the hash in its description, empty without one."""

    id: str
    name: str
    content: str
    active: bool
    guidance: str
    created: datetime


@dataclass(frozen=True)
class Product:
    """A product and its artifacts."""

    id: str
    fields: Mapping[str, str]
    tags: Tags
    tag_options: frozenset[Pair]
    artifacts: tuple[Artifact, ...]


@dataclass(frozen=True)
class Constraint:
    """A constraint of one product in one portfolio."""

    id: str
    type: str
    product: str
    parameters: Any


@dataclass(frozen=True)
class Share:
    """A share with a node of the organisation or an account, and what goes with it."""

    principals: bool
    tag_options: bool


@dataclass(frozen=True)
class Portfolio:
    """A portfolio; `products` are ids, `shares` go by the node's type and id."""

    id: str
    fields: Mapping[str, str]
    tags: Tags
    tag_options: frozenset[Pair]
    products: frozenset[str]
    principals: frozenset[Pair]
    constraints: tuple[Constraint, ...]
    shares: Mapping[Pair, Share]


@dataclass(frozen=True)
class Stored:
    """An S3 object at a stable key: what it was made from, and its tags."""

    content: str
    tags: Tags


@dataclass(frozen=True)
class Observed:
    """The state of one region of the hub; `abandoned` portfolios are ours, and declared no more."""

    account: Account
    bucket: str
    portfolios: Mapping[str, Portfolio]
    abandoned: Mapping[str, Portfolio]
    products: Mapping[str, Product]
    undeclared: Mapping[str, Product]
    tag_options: Mapping[Pair, str]
    keys: frozenset[str]
    stable: Mapping[str, Stored]
    cors: list[dict[str, Any]]
    domains: Mapping[str, Tags]
    organization: str

    @property
    def held(self) -> dict[str, Portfolio]:
        """Return all portfolios of ours by their keys."""
        return {**self.portfolios, **self.abandoned}


def observe(account: Account, declared: Declaration, stable: Iterable[str]) -> Observed:
    """Read one region.

    Args:
        account: the hub, in that region.
        declared: which portfolios, products and domains to look for.
        stable: keys of S3 objects whose content and tags are to be known.

    Raises:
        SeedbedError: the asset bucket is missing, or something in AWS has a declared title but not
            our tag.
        botocore.exceptions.ClientError: AWS refuses.
    """
    bucket = declared.assets.name(account.id, account.region)
    keys = _keys(account, bucket)
    catalog = "service-catalog" in declared.targets
    held = _portfolios(account, declared) if catalog else {}
    mine, others = _products(account, declared, held) if catalog else ({}, {})
    options = account.every(CATALOG, "list_tag_options", "TagOptionDetails") if catalog else ()
    organization = ""
    if any(portfolio.shares.organization for portfolio in declared.portfolios.values()):
        answer = account.client("organizations").describe_organization()
        organization = answer["Organization"]["Id"]
    return Observed(
        account=account,
        bucket=bucket,
        portfolios={key: one for key, one in held.items() if key in declared.portfolios},
        abandoned={key: one for key, one in held.items() if key not in declared.portfolios},
        products=mine,
        undeclared=others,
        tag_options={(o["Key"], o["Value"]): o["Id"] for o in options},
        keys=keys,
        stable={key: _stored(account, bucket, key) for key in stable if key in keys},
        cors=cors(account, bucket),
        domains={domain: _domain(account, domain) for domain in declared.domains},
        organization=organization,
    )


def _portfolios(account: Account, declared: Declaration) -> dict[str, Portfolio]:
    """Return all portfolios of ours by their keys, those that are declared no more too."""
    titles = {portfolio.title: key for key, portfolio in declared.portfolios.items()}
    found: dict[str, Portfolio] = {}
    for item in account.every(CATALOG, "list_portfolios", "PortfolioDetails"):
        title = item["DisplayName"]
        detail = account.client(CATALOG).describe_portfolio(Id=item["Id"])
        tags = tags_of(detail["Tags"])
        key = tags.get(PORTFOLIO_TAG)
        if key is None and title in titles:
            raise _unknown("portfolio", title, item["Id"], PORTFOLIO_TAG, titles[title])
        if key is None:
            continue
        if key in found:
            both = f"{found[key].id} and {item['Id']}"
            raise SeedbedError(f"portfolio {key}: two have its tag, {both}: delete one")
        found[key] = _portfolio(account, item, tags, _options(detail))
    return found


def _portfolio(
    account: Account, item: Mapping[str, str], tags: Tags, options: frozenset[Pair]
) -> Portfolio:
    at = {"PortfolioId": item["Id"]}
    every = account.every
    shares = {
        (kind, one["PrincipalId"]): Share(one["SharePrincipals"], one["ShareTagOptions"])
        for kind in NODES
        for one in every(
            CATALOG, "describe_portfolio_shares", "PortfolioShareDetails", Type=kind, **at
        )
    }
    products = every(CATALOG, "search_products_as_admin", "ProductViewDetails", **at)
    principals = every(CATALOG, "list_principals_for_portfolio", "Principals", **at)
    constraints = every(CATALOG, "list_constraints_for_portfolio", "ConstraintDetails", **at)
    return Portfolio(
        id=item["Id"],
        fields={key: item.get(key, "") for key in ("DisplayName", "Description", "ProviderName")},
        tags=tags,
        tag_options=options,
        products=frozenset(one["ProductViewSummary"]["ProductId"] for one in products),
        principals=frozenset((one["PrincipalARN"], one["PrincipalType"]) for one in principals),
        constraints=tuple(_constraint(account, one) for one in constraints),
        shares=shares,
    )


def _constraint(account: Account, item: Mapping[str, str]) -> Constraint:
    known = account.client(CATALOG).describe_constraint(Id=item["ConstraintId"])
    parameters = json.loads(known["ConstraintParameters"])
    return Constraint(item["ConstraintId"], item["Type"], item["ProductId"], parameters)


def _products(
    account: Account, declared: Declaration, portfolios: Mapping[str, Portfolio]
) -> tuple[dict[str, Product], dict[str, Product]]:
    """Return the declared products by their keys, and those of ours that are declared no more."""
    titles = {product.title: key for key, product in declared.products.items()}
    ours = {id_ for portfolio in portfolios.values() for id_ in portfolio.products}
    mine: dict[str, Product] = {}
    others: dict[str, Product] = {}
    for item in account.every(CATALOG, "search_products_as_admin", "ProductViewDetails"):
        summary = item["ProductViewSummary"]
        if summary["ProductId"] not in ours and summary["Name"] not in titles:
            continue
        detail = account.client(CATALOG).describe_product_as_admin(Id=summary["ProductId"])
        tags = tags_of(detail["Tags"])
        key = tags.get(PRODUCT_TAG)
        if key is None:
            if summary["Name"] not in titles:
                continue  # somebody added a product of their own to our portfolio: it is theirs
            known = titles[summary["Name"]]
            raise _unknown("product", summary["Name"], summary["ProductId"], PRODUCT_TAG, known)
        if key in mine:
            both = f"{mine[key].id} and {summary['ProductId']}"
            raise SeedbedError(f"product {key}: two have its tag, {both}: delete one")
        made = _product(account, summary, tags, _options(detail))
        (mine if key in declared.products else others)[key] = made
    return mine, others


def _product(
    account: Account, summary: Mapping[str, str], tags: Tags, options: frozenset[Pair]
) -> Product:
    id_ = summary["ProductId"]
    answer = account.client(CATALOG).list_provisioning_artifacts(ProductId=id_)
    names = ("Name", "Owner", "Distributor", "SupportDescription", "SupportEmail", "SupportUrl")
    fields = {key: summary.get(key, "") for key in names}
    fields["Description"] = summary.get("ShortDescription", "")
    artifacts = tuple(_artifact(item) for item in answer["ProvisioningArtifactDetails"])
    return Product(id_, fields, tags, options, artifacts)


def _artifact(item: Mapping[str, Any]) -> Artifact:
    found = re.search(r"\bcontent:([0-9a-f]{64})\b", item.get("Description", ""))
    return Artifact(
        id=item["Id"],
        name=item["Name"],
        content=found[1] if found else "",
        active=item.get("Active", True),
        guidance=item.get("Guidance", "DEFAULT"),
        created=item["CreatedTime"],
    )


def usage(account: Account, product: str, held: Iterable[Portfolio]) -> tuple[set[str], list[str]]:
    """Return the artifacts of a product that something provisioned uses, and who did not tell.

    The hub sees its own account only: each account that a portfolio is shared with is asked
    through its role `seedbed-inventory`.
    """
    shared = {
        id_
        for portfolio in held
        for kind, node in portfolio.shares
        for id_ in (
            [node]
            if kind == "ACCOUNT"
            else account.every(
                CATALOG,
                "list_portfolio_access",
                "AccountIds",
                PortfolioId=portfolio.id,
                OrganizationParentId=node,
            )
        )
    }
    used: set[str] = set()
    silent: list[str] = []
    for id_ in sorted({account.id, *shared}):
        role = f"arn:{account.partition}:iam::{id_}:role/{INVENTORY_ROLE}"
        there = account if id_ == account.id else account.assume(role)
        if there is None:
            silent.append(id_)
            continue
        provisioned = there.every(
            CATALOG,
            "search_provisioned_products",
            "ProvisionedProducts",
            AccessLevelFilter={"Key": "Account", "Value": "self"},
            Filters={"SearchQuery": [f"productId:{product}"]},
        )
        try:
            used |= {one["ProvisioningArtifactId"] for one in provisioned}
        except ClientError as error:
            if there is account or "AccessDenied" not in error.response["Error"]["Code"]:
                raise
            silent.append(id_)  # its role was changed
    return used, silent


def _keys(account: Account, bucket: str) -> frozenset[str]:
    pages = account.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
    try:
        return frozenset(item["Key"] for page in pages for item in page.get("Contents", ()))
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
        remedy = f"if {account.id} is the hub, run `seedbed bootstrap hub`; else choose its profile"
        raise SeedbedError(f"asset bucket {bucket}: there is none: {remedy}") from None


def _stored(account: Account, bucket: str, key: str) -> Stored:
    s3 = account.client("s3")
    head = s3.head_object(Bucket=bucket, Key=key)
    tagging = s3.get_object_tagging(Bucket=bucket, Key=key)
    return Stored(head["Metadata"].get("content", ""), tags_of(tagging["TagSet"]))


def cors(account: Account, bucket: str) -> list[dict[str, Any]]:
    """Return a bucket's CORS rules. Raises botocore's ClientError if AWS refuses."""
    try:
        answer = account.client("s3").get_bucket_cors(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchCORSConfiguration":
            raise
        return []
    rules: list[dict[str, Any]] = answer["CORSRules"]
    return rules


def domain_tags(account: Account, domain: str) -> Tags:
    """Return a Studio domain's tags. Raises botocore's ClientError if there is no such domain."""
    arn = domain_arn(account, domain)
    pages = account.client("sagemaker").get_paginator("list_tags").paginate(ResourceArn=arn)
    return tags_of(tag for page in pages for tag in page["Tags"])


def _domain(account: Account, domain: str) -> Tags:
    try:
        return domain_tags(account, domain)
    except ClientError as error:
        text = error.response["Error"]["Message"]
        raise SeedbedError(f"domains: {domain}: {text}: name a domain of {account.id}") from None


def domain_arn(account: Account, domain: str) -> str:
    """Return a Studio domain's ARN."""
    return f"arn:{account.partition}:sagemaker:{account.region}:{account.id}:domain/{domain}"


def tags_of(pairs: Iterable[Mapping[str, str]]) -> Tags:
    """Return tags, as AWS lists them, by their keys."""
    return {pair["Key"]: pair["Value"] for pair in pairs}


def _options(detail: Mapping[str, Any]) -> frozenset[Pair]:
    return frozenset((one["Key"], one["Value"]) for one in detail.get("TagOptions", ()))


def _unknown(kind: str, title: str, id_: str, tag: str, key: str) -> SeedbedError:
    remedy = f"tag it {tag}={key} to have it managed, or give it another name"
    return SeedbedError(f"{kind} {title!r} is there as {id_} without our tag: {remedy}")
