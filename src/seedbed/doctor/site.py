"""Where doctor looks: an account in a region, and what several checks want to know of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from botocore.exceptions import ClientError

from seedbed.bootstrap import SEEDER
from seedbed.declaration import Declaration, Portfolio, Product
from seedbed.errors import SeedbedError
from seedbed.packaging import Manifest
from seedbed.portfolios import ALONE, TOGETHER
from seedbed.publishing.aws import Account
from seedbed.publishing.catalog import order
from seedbed.publishing.observe import CATALOG, PORTFOLIO_TAG, PRODUCT_TAG, tags_of

View = Literal["hub", "admin", "scientist"]
SHAPES = {
    "hub": (r"\d{12}", "an account id of 12 digits"),
    "project": (r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}", "a project's name"),
    "connection": (
        r"arn:[a-z-]+:(codeconnections|codestar-connections):[a-z0-9-]+:\d{12}:connection/[\w-]+",
        "the ARN of a connection",
    ),
    "domain": (r"d-[a-z0-9-]{1,61}", "the id of a Studio domain, such as d-abc123"),
    "vpc": (r"vpc-[0-9a-f]+", "the id of a VPC, such as vpc-0123456789abcdef0"),
}
T = TypeVar("T")


class Fact(Generic[T]):
    """A property that is asked for once, whichever thread wants it first."""

    def __init__(self, ask: Callable[[Site], T]) -> None:
        self.ask = ask

    def __get__(self, site: Site, _: type[Site]) -> T:
        with site.asking:
            if self.ask.__name__ not in site.facts:
                site.facts[self.ask.__name__] = self.ask(site)
            value: T = site.facts[self.ask.__name__]
            return value


@dataclass(frozen=True)
class Asked:
    """What to look at: a project by its name, the others by id or ARN; empty for what is found.

    `hub` is the hub's account id; empty to take the owner of what is shared.
    """

    hub: str = ""
    project: str = ""
    connection: str = ""
    domain: str = ""
    vpc: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            SeedbedError: a value is not what AWS calls such a thing.
        """
        for name, (pattern, example) in SHAPES.items():
            value = getattr(self, name)
            if value and not re.fullmatch(pattern, value, re.ASCII):
                raise SeedbedError(f"--{name} is {value!r}: write {example}")


@dataclass
class Site:
    """One account in one region, seen by its caller.

    Args:
        account: whose credentials ask.
        declared: what is to be there.
        base: a checkout of the templates.
        asked: what to look at.
        view: the point of view.
        first: whether it is the first region that is looked at.
    """

    account: Account
    declared: Declaration
    base: Path
    asked: Asked = Asked()
    view: View = "admin"
    first: bool = True
    facts: dict[str, Any] = field(default_factory=dict)
    asking: Any = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.id = self.account.id

    @property
    def is_hub(self) -> bool:
        return self.view == "hub"

    @property
    def region(self) -> str:
        return self.account.region

    def client(self, service: str) -> Any:  # noqa: ANN401 (boto3 makes its classes as it runs)
        return self.account.client(service)

    @property
    def bootstrap(self) -> str:
        """Return the command that deploys what is missing here."""
        if self.is_hub:
            return "run `seedbed bootstrap hub`"
        return f"run `seedbed bootstrap spoke --hub {self.hub or 'ACCOUNT'}` as an administrator"

    def repair(self, stack: str) -> str:
        """Return how to put back what a stack of ours makes.

        CloudFormation compares templates, not what is there: a stack that is deployed leaves as
        they are the things that somebody deleted or changed by hand.
        """
        first = self.declared.regions[0]
        here = stack == SEEDER.name or self.region == first
        there = self.account if here else self.account.at(first)
        try:
            said = there.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        except ClientError:
            said = []  # it is not there, or not for this caller
        if not said or said[0]["StackStatus"] == "REVIEW_IN_PROGRESS":
            return self.bootstrap
        gone = f"`aws cloudformation delete-stack --region {there.region} --stack-name {stack}`"
        return f"it was changed by hand: {gone}; when the stack is gone, {self.bootstrap}"

    # Service Catalog

    @Fact
    def accepted(self) -> dict[str, dict[str, str]]:
        """Return what is shared with this account, by title."""
        return {
            item["DisplayName"]: item
            for kind in (ALONE, TOGETHER)
            for item in self.account.every(
                CATALOG,
                "list_accepted_portfolio_shares",
                "PortfolioDetails",
                PortfolioShareType=kind,
            )
        }

    @Fact
    def published(self) -> dict[str, str]:
        """Return the ids of the hub's own portfolios by their keys."""
        found = {}
        for item in self.account.every(CATALOG, "list_portfolios", "PortfolioDetails"):
            said = self.client(CATALOG).describe_portfolio(Id=item["Id"])
            if key := tags_of(said["Tags"]).get(PORTFOLIO_TAG):
                found[key] = item["Id"]
        return found

    @Fact
    def portfolios(self) -> dict[str, str]:
        """Return the ids of the declared portfolios that are here, by their keys."""
        if self.is_hub:
            return {
                key: id_ for key, id_ in self.published.items() if key in self.declared.portfolios
            }
        return {
            key: self.accepted[one.title]["Id"]
            for key, one in self.declared.portfolios.items()
            if one.title in self.accepted
        }

    @Fact
    def products(self) -> dict[str, dict[str, Any]]:
        """Return the declared products that are here, by their keys, as an administrator does."""
        titles = {one.title: key for key, one in self.declared.products.items()}
        found = {}
        for id_ in self.portfolios.values():
            for item in self.account.every(
                CATALOG, "search_products_as_admin", "ProductViewDetails", PortfolioId=id_
            ):
                summary = item["ProductViewSummary"]
                if summary["Name"] in titles:
                    said = self.client(CATALOG).describe_product_as_admin(Id=summary["ProductId"])
                    own = tags_of(said["Tags"]).get(PRODUCT_TAG, titles[summary["Name"]])
                    found[own] = {**said, "ProductId": summary["ProductId"], "PortfolioId": id_}
        return found

    def studio(self) -> Iterator[tuple[str, Product, Portfolio]]:
        """Yield the declared products that Studio shows."""
        for portfolio in self.declared.portfolios.values():
            for key, product in portfolio.products.items():
                if product.studio:
                    yield key, product, portfolio

    # The hub's assets

    @Fact
    def hub(self) -> str:
        """Return the hub's account id; empty if nobody knows it."""
        if self.is_hub or self.asked.hub:
            return self.id if self.is_hub else self.asked.hub
        titles = {one.title for one in self.declared.portfolios.values()}
        try:
            accepted = self.accepted
        except ClientError:
            return ""
        owners = {item["ARN"].split(":")[4] for title, item in accepted.items() if title in titles}
        return owners.pop() if len(owners) == 1 else ""

    @property
    def bucket(self) -> str:
        return self.declared.assets.name(self.hub, self.region)

    @property
    def version(self) -> str:
        """Return the newest version of any product here; empty without one."""
        names = {
            one["Name"]
            for said in self.products.values()
            for one in said["ProvisioningArtifactSummaries"]
        }
        return max(names, key=order, default="")

    @property
    def manifest(self) -> str:
        """Return the key of the newest version's manifest."""
        return f"manifests/{self.version}.json"

    @Fact
    def release(self) -> Manifest:
        """Return the manifest of the newest version.

        Raises:
            botocore.exceptions.ClientError: it is not readable.
            ValueError: it is no manifest.
        """
        said = self.client("s3").get_object(Bucket=self.bucket, Key=self.manifest)
        return Manifest.model_validate_json(said["Body"].read())


def pages(ask: Callable[..., dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the pages of an operation for which boto3 has no paginator."""
    token: dict[str, str] = {}
    while True:
        page = ask(**token)
        yield page
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}
