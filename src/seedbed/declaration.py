"""What a platform team publishes, as `servicecatalog/portfolios.yml` declares it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from seedbed.errors import SeedbedError

FILE = Path("servicecatalog") / "portfolios.yml"
SCHEMA = Path("servicecatalog") / "portfolios.schema.json"
ACCOUNT = r"^\d{12}$"
KEY = r"^[a-z][a-z0-9-]{0,31}$"
# IAM's own limit of a role's name; Service Catalog finds the role by it in each account.
ROLE_NAME = r"^[\w+=,.@-]{1,64}$"
UNIT = r"^ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}$"
REGION = r"^[a-z]{2,3}(-[a-z]+)+-\d$"
PERMISSION_SET = r"^[\w+=,.@-]{1,32}$"
DOMAIN = r"^d-[a-z0-9-]{1,61}$"
TOPIC = r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w.-]+$"
EMAIL = r"^[^@\s]+@[^@\s]+$"
ADDRESS = r"^(https://\S+)?$"
BUCKET = r"^[a-z0-9][a-z0-9-]{1,25}[a-z0-9]$"  # AssetBucketPrefix of the stacks
STUDIO = "studio/"  # below it Studio finds templates; the stacks' policies name it
WORDS = {  # pattern -> what to write
    ACCOUNT: "an account id: 12 digits, in quotes",
    KEY: "lower-case letters, digits and hyphens, a letter first, 32 at most",
    ROLE_NAME: "a role's name, the same in each account, without account id and path",
    UNIT: "an organisational unit's id, such as ou-ab12-11111111",
    REGION: "a region, such as eu-west-1",
    PERMISSION_SET: "a permission set's name, without wildcards",
    DOMAIN: "a Studio domain's id, such as d-abcdefghijkl",
    TOPIC: "an SNS topic's ARN",
    EMAIL: "an email address",
    ADDRESS: "an address that begins with https://, or nothing",
    BUCKET: "3 to 27 lower-case letters, digits and inner hyphens; account and region follow",
}
REMEDIES = {  # kind of pydantic's error -> what to do
    "missing": "missing: write it",
    "string_type": "write a text, in quotes",
    "list_type": "write a list, such as [a, b]",
    "model_type": "write fields below it, `field: value` a line",
    "dict_type": "write fields below it, `field: value` a line",
    "bool_parsing": "write true or false",
    "int_parsing": "write a whole number",
}
Item = TypeVar("Item")
# "Adding principals": a pattern has no account id, and its wildcards stand in the role's name.
PRINCIPAL = re.compile(r"arn:(aws|aws-cn|aws-us-gov)?:iam:::(role|group|user)/([\w+=,.@*?/-]+)\Z")
WIDE = 8  # letters that a pattern's role name must have before its first wildcard
SSO = "AWSReservedSSO_"  # begins the role of every permission set
PATTERNS = 10  # a portfolio; 100 principals in all: "Service Catalog quotas"


def principal(value: str) -> str:
    """Refuse what would let in more than one family of roles: `role/*sagemaker*` is anyone's.

    Raises:
        ValueError: it is such a pattern, or none.
    """
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
    if fixed == SSO and fixed != name:
        raise ValueError(
            f"the name {name!r} lets in every permission set: name them under permission_sets"
        )
    return value


def _once(values: list[Item]) -> list[Item]:
    if twice := _twice(values):
        raise ValueError(f"{twice!r} stands twice: name it once")
    return values


def _twice(values: Iterable[Item]) -> Item | None:
    seen: set[Item] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


Once = AfterValidator(_once)
TagOptions = dict[str, Annotated[list[str], Field(min_length=1), Once]]


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
    email: str = Field(pattern=EMAIL, max_length=254)
    url: str = Field(default="", pattern=ADDRESS, max_length=2083)


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
    tag_options: TagOptions = Field(default_factory=dict)
    tag_updates: bool = Field(
        default=False, description="whether users may change the tags of what they launched"
    )
    notify: Annotated[list[Annotated[str, Field(pattern=TOPIC)]], Once] = Field(
        default_factory=list, description="SNS topics, by ARN", max_length=5
    )
    rules: dict[str, Any] = Field(
        default_factory=dict, description="CloudFormation Rules that bound what users may enter"
    )


class Shares(_Strict):
    """Who may import a portfolio, and what goes with it."""

    organization: bool = Field(default=False, description="the whole organisation")
    units: Annotated[list[Annotated[str, Field(pattern=UNIT)]], Once] = Field(default_factory=list)
    accounts: Annotated[list[Annotated[str, Field(pattern=ACCOUNT)]], Once] = Field(
        default_factory=list
    )
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
    principals: Annotated[list[Annotated[str, AfterValidator(principal)]], Once] = Field(
        default_factory=list, max_length=PATTERNS
    )
    permission_sets: Annotated[list[Annotated[str, Field(pattern=PERMISSION_SET)]], Once] = Field(
        default_factory=list, description="of IAM Identity Center", max_length=PATTERNS
    )
    tag_options: TagOptions = Field(default_factory=dict)
    shares: Shares = Shares()

    @model_validator(mode="after")
    def _few(self) -> Self:
        if len(self.patterns) > PATTERNS:
            raise ValueError(
                f"{len(self.patterns)} principals and permission sets: AWS takes {PATTERNS} "
                "patterns a portfolio: use fewer, wider ones"
            )
        return self

    @property
    def patterns(self) -> list[str]:
        """Return every principal as IAM_PATTERN; a permission set is the role that it makes."""
        sets = [
            f"arn:aws:iam:::role/aws-reserved/sso.amazonaws.com/*{SSO}{name}_*"
            for name in self.permission_sets
        ]
        return [*self.principals, *sets]


class Assets(_Strict):
    """What the stacks of hub and spokes call the buckets that hold what is published."""

    bucket: str = Field(
        default="seedbed-assets",
        pattern=BUCKET,
        description="what the buckets' names begin with; account and region follow",
    )

    def name(self, account: str, region: str) -> str:
        """Return the name of a hub's bucket in a region."""
        return f"{self.bucket}-{account}-{region}"


class Declaration(_Strict):
    """All that is published, and where to."""

    schema_version: Literal[1] = 1
    owner: str = Field(min_length=1, max_length=8191)
    distributor: str = Field(default="", max_length=8191)
    support: Support
    regions: Annotated[list[Annotated[str, Field(pattern=REGION)]], Once] = Field(min_length=1)
    targets: Annotated[list[Literal["service-catalog", "s3-templates"]], Once] = Field(
        default=["service-catalog", "s3-templates"], min_length=1
    )
    assets: Assets = Assets()
    versions: Versions = Versions()
    domains: Annotated[list[Annotated[str, Field(pattern=DOMAIN)]], Once] = Field(
        default_factory=list, description="Studio domains of the hub that show the S3 templates"
    )
    portfolios: dict[Annotated[str, Field(pattern=KEY)], Portfolio] = Field(
        min_length=1, max_length=100
    )

    @model_validator(mode="after")
    def _apart(self) -> Self:
        seen: dict[str, str] = {}
        for key, portfolio in self.portfolios.items():
            for product in portfolio.products:
                if product in seen:
                    raise ValueError(f"product {product} stands in {seen[product]} and {key}")
                seen[product] = key
        titles = [one.title for one in self.portfolios.values()]
        names = [one.title for one in self.products.values()]
        for what, values in (("portfolio", titles), ("product", names)):
            if twice := _twice(values):
                raise ValueError(f"title {twice!r} is that of two {what}s: nobody could choose")
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


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice: PyYAML would keep the last and drop a portfolio."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := _twice(key.value for key in keys):
            last = [key for key in keys if key.value == twice][-1]
            raise yaml.MarkedYAMLError(
                problem=f"{twice!r} stands twice in one place: name it once",
                problem_mark=last.start_mark,
            )
        return super().construct_mapping(node, deep)


def load(path: Path) -> Declaration:
    """Read the declaration.

    Raises:
        SeedbedError: it is missing, no YAML, or a field has a value that AWS or we refuse.
    """
    try:
        content: Any = yaml.load(path.read_text("utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError:
        raise SeedbedError(f"{path}: missing; run in a checkout of the templates") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SeedbedError(f"{path}: {error}: make it a readable UTF-8 file") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SeedbedError(f"{path}: not YAML: line {line}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise SeedbedError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise SeedbedError(f"{path}: holds no declaration: begin it with `owner: <your team>`")
    try:
        return Declaration.model_validate(content)
    except ValidationError as error:
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        field = ".".join(str(part) for part in first["loc"])
        plain = isinstance(first["input"], str | int | float)
        plain = plain and first["type"] not in ("missing", "extra_forbidden")
        value = f" is {str(first['input'])[:100]!r}" if plain else ""
        where = f"{path}: {field}{value}".rstrip(": ")
        raise SeedbedError(f"{where}: {_remedy(first)}") from None


def _remedy(error: Mapping[str, Any]) -> str:
    """Return what to write instead of what pydantic refuses."""
    if error["type"] in REMEDIES:
        return REMEDIES[error["type"]]
    if error["type"] == "string_pattern_mismatch":
        return f"write {WORDS[error['ctx']['pattern']]}"
    if error["type"] == "extra_forbidden":
        fields = [name for model in _Strict.__subclasses__() for name in model.model_fields]
        close = difflib.get_close_matches(str(error["loc"][-1]), fields, n=1)
        hint = f"did you mean {close[0]}?" if close else f"{SCHEMA.name} lists the fields"
        return f"no such field: {hint}"
    plain = error["msg"].removeprefix("Value error, ").partition(" after validation")[0]
    return re.sub(r"^(Input|String|List|Dictionary) should ", "it must ", plain)


def schema() -> dict[str, Any]:
    """Return the JSON schema by which editors check and complete the declaration."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Declaration.model_json_schema(),
        "title": "Seedbed portfolios",
    }
