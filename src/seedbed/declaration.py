"""What a platform team publishes, as `servicecatalog/portfolios.yml` declares it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from seedbed.errors import SeedbedError

FILE = Path("servicecatalog") / "portfolios.yml"
SCHEMA = Path("servicecatalog") / "portfolios.schema.json"
ACCOUNT = r"^\d{12}$"
KEY = r"^[a-z][a-z0-9-]{0,31}$"
# IAM's own limit of a role's name; Service Catalog finds the role by it in each account.
ROLE_NAME = r"^[\w+=,.@-]{1,64}$"
# "Adding principals": a pattern has no account id, and its wildcards stand in the role's name.
PRINCIPAL = re.compile(r"arn:(aws|aws-cn|aws-us-gov)?:iam:::(role|group|user)/([\w+=,.@*?/-]+)\Z")
WIDE = 8  # letters that a pattern's role name must have before its first wildcard


def _principal(value: str) -> str:
    """Refuse what would let in more than one family of roles: `role/*sagemaker*` is anyone's."""
    match = PRINCIPAL.match(value)
    if not match:
        raise ValueError(
            "write an ARN without account id, such as "
            "arn:aws:iam:::role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_DataScientist_*"
        )
    name = match[3].rsplit("/", 1)[-1]
    fixed = re.split(r"[*?]", name)[0]
    if len(fixed) < WIDE and fixed != name:
        raise ValueError(
            f"the name {name!r} lets in roles that anyone may create: "
            f"begin it with at least {WIDE} letters before a wildcard"
        )
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Versions(_Strict):
    """How long a product's versions live, counted from the newest."""

    active: int = Field(default=1, ge=1, le=50, description="versions that may be launched")
    deprecated: int = Field(
        default=2, ge=0, le=50, description="older versions that projects may still be updated to"
    )
    kept: int = Field(
        default=10, ge=1, le=90, description="versions in all; what a project uses is never deleted"
    )

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.kept < self.active + self.deprecated:
            raise ValueError("kept must be at least active + deprecated")
        return self


class Support(_Strict):
    """Whom a product's page names."""

    description: str = Field(max_length=8191)
    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)
    url: str = Field(default="", pattern=r"^(https://\S+)?$", max_length=2083)


class Product(_Strict):
    """One product: what a user sees, from which template it is made, who creates its stack."""

    title: str = Field(
        min_length=1, max_length=100, description="the product's name in the console"
    )
    description: str = Field(max_length=8191)
    template: str = Field(
        default="", description="the project template; empty: servicecatalog/products/<key>.yml"
    )
    launch_role: str = Field(pattern=ROLE_NAME, description="its name in the hub and each spoke")
    studio: bool = Field(default=False, description="shown in Studio's Create project")
    defaults: dict[str, str] = Field(
        default_factory=dict, description="values for parameters, such as PermissionsBoundaryArn"
    )
    tag_options: dict[str, list[str]] = Field(default_factory=dict)
    tag_updates: bool = Field(
        default=False, description="whether users may change the tags of what they launched"
    )
    notify: list[str] = Field(default_factory=list, description="SNS topics, by ARN", max_length=5)
    rules: dict[str, Any] = Field(
        default_factory=dict, description="CloudFormation Rules that bound what users may enter"
    )


class Shares(_Strict):
    """Who may import a portfolio, and what goes with it."""

    organization: bool = Field(default=False, description="the whole organisation")
    units: list[Annotated[str, Field(pattern=r"^ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}$")]] = Field(
        default_factory=list
    )
    accounts: list[Annotated[str, Field(pattern=ACCOUNT)]] = Field(default_factory=list)
    principals: bool = Field(
        default=False, description="share the principals too; not with single accounts"
    )
    tag_options: bool = False

    @model_validator(mode="after")
    def _principals(self) -> Self:
        if self.principals and self.accounts:
            raise ValueError("principals are shared within an organisation only: name units")
        return self


class Portfolio(_Strict):
    """One portfolio with its products, its users and the accounts that it is shared with."""

    title: str = Field(min_length=1, max_length=100)
    description: str = Field(max_length=2000)
    products: dict[Annotated[str, Field(pattern=KEY)], Product] = Field(max_length=150)
    # At most 10 patterns a portfolio, 100 principals in all: "Service Catalog quotas".
    principals: list[Annotated[str, AfterValidator(_principal)]] = Field(
        default_factory=list, max_length=10
    )
    permission_sets: list[Annotated[str, Field(pattern=r"^[\w+=,.@-]{1,32}$")]] = Field(
        default_factory=list, description="of IAM Identity Center", max_length=10
    )
    tag_options: dict[str, list[str]] = Field(default_factory=dict)
    shares: Shares = Shares()

    @property
    def patterns(self) -> list[str]:
        """Return every principal as IAM_PATTERN; a permission set is the role that it makes."""
        sets = [
            f"arn:aws:iam:::role/aws-reserved/sso.amazonaws.com/*AWSReservedSSO_{name}_*"
            for name in self.permission_sets
        ]
        return [*self.principals, *sets]


class Assets(_Strict):
    """Where the hub's stack keeps what is published; {account} and {region} are filled in."""

    bucket: str = Field(default="seedbed-assets-{account}-{region}", pattern=r"^[a-z0-9.{}-]+$")
    studio_prefix: str = Field(default="studio/", pattern=r"^([\w.-]+/)+$")


class Declaration(_Strict):
    """All that is published, and where to."""

    schema_version: Literal[1] = 1
    owner: str = Field(min_length=1, max_length=8191)
    distributor: str = Field(default="", max_length=8191)
    support: Support
    regions: list[Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[a-z]+)+-\d$")]] = Field(min_length=1)
    targets: list[Literal["service-catalog", "s3-templates"]] = Field(
        default=["service-catalog", "s3-templates"], min_length=1
    )
    assets: Assets = Assets()
    versions: Versions = Versions()
    domains: list[Annotated[str, Field(pattern=r"^d-[a-z0-9-]{1,61}$")]] = Field(
        default_factory=list, description="Studio domains of the hub that show the S3 templates"
    )
    portfolios: dict[Annotated[str, Field(pattern=KEY)], Portfolio] = Field(max_length=100)

    @model_validator(mode="after")
    def _once(self) -> Self:
        seen: dict[str, str] = {}
        for key, portfolio in self.portfolios.items():
            for product in portfolio.products:
                if product in seen:
                    raise ValueError(f"product {product} stands in {seen[product]} and {key}")
                seen[product] = key
        return self

    def chosen(self, regions: Sequence[str] | None) -> list[str]:
        """Return the regions that are named, or all that are declared.

        Raises:
            SeedbedError: one is not declared.
        """
        for name in sorted(set(regions or ()) - set(self.regions)):
            known = ", ".join(self.regions)
            raise SeedbedError(f"--region {name}: not declared: use one of {known}")
        return list(regions or self.regions)

    @property
    def products(self) -> dict[str, Product]:
        """Return the products of all portfolios by their keys."""
        return {
            key: p
            for portfolio in self.portfolios.values()
            for key, p in portfolio.products.items()
        }


def load(path: Path) -> Declaration:
    """Read the declaration.

    Raises:
        SeedbedError: it is missing, no YAML, or a field has a value that AWS or we refuse.
    """
    try:
        content: Any = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SeedbedError(f"{path}: missing; run in a checkout of the templates") from None
    except yaml.YAMLError as error:
        raise SeedbedError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    try:
        return Declaration.model_validate(content)
    except ValidationError as error:
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        field = ".".join(str(part) for part in first["loc"])
        plain = isinstance(first["input"], str | int | float | list)
        plain = plain and first["type"] not in ("missing", "extra_forbidden")
        value = f" is {str(first['input'])[:100]!r}" if plain else ""
        message = first["msg"].removeprefix("Value error, ")
        where = f"{path}: {field}{value}".rstrip(": ")
        raise SeedbedError(f"{where}: {message}") from None


def schema() -> dict[str, Any]:
    """Return the JSON schema by which editors check and complete the declaration."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Declaration.model_json_schema(),
        "title": "Seedbed portfolios",
    }
