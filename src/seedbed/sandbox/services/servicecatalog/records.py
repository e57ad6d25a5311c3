"""What Service Catalog keeps: the catalogue of one account and region, and how it is told."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

TEMPLATE = "CLOUD_FORMATION_TEMPLATE"


@dataclass
class Share:
    """Whom a portfolio is shared with; not `ready` while made, `leaving` while withdrawn."""

    kind: str  # ACCOUNT, ORGANIZATION, ORGANIZATIONAL_UNIT or ORGANIZATION_MEMBER_ACCOUNT
    value: str
    tag_options: bool = False
    principals: bool = False
    accepted: bool = True
    ready: bool = False
    leaving: bool = False

    def wire(self) -> dict[str, Any]:
        return {
            "PrincipalId": self.value,
            "Type": self.kind,
            "Accepted": self.accepted,
            "ShareTagOptions": self.tag_options,
            "SharePrincipals": self.principals,
        }


@dataclass
class Operation:
    """A share that is being made, changed or taken away."""

    token: str
    portfolio_id: str
    node: str
    status: str = "NOT_STARTED"
    done: list[str] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Portfolio:
    id: str
    account: str
    region: str
    name: str
    provider: str
    created: datetime
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    # product id -> the portfolio that it was imported with, if it is another account's
    products: dict[str, str | None] = field(default_factory=dict)
    tag_options: list[str] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)

    @property
    def arn(self) -> str:
        return f"arn:aws:catalog:{self.region}:{self.account}:portfolio/{self.id}"

    def wire(self) -> dict[str, Any]:
        return {
            "Id": self.id,
            "ARN": self.arn,
            "DisplayName": self.name,
            "Description": self.description,
            "CreatedTime": self.created,
            "ProviderName": self.provider,
        }


@dataclass
class Artifact:
    """One version of a product; `body` is the template as it was when the version was made."""

    id: str
    name: str
    description: str
    url: str
    body: str
    created: datetime
    active: bool = True
    guidance: str = "DEFAULT"

    def brief(self) -> dict[str, Any]:
        """Return what SearchProducts and the like tell of a version."""
        return {
            "Id": self.id,
            "Name": self.name,
            "Description": self.description,
            "CreatedTime": self.created,
        }

    def wire(self) -> dict[str, Any]:
        return {
            **self.brief(),
            "Type": TEMPLATE,
            "Active": self.active,
            "Guidance": self.guidance,
        }


@dataclass
class Product:
    id: str
    view_id: str
    account: str
    region: str
    created: datetime
    # Name, Owner, ShortDescription, Distributor and the support texts, as ProductViewSummary has.
    texts: dict[str, str]
    tags: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    tag_options: list[str] = field(default_factory=list)

    @property
    def arn(self) -> str:
        return f"arn:aws:catalog:{self.region}:{self.account}:product/{self.id}"

    @property
    def name(self) -> str:
        return self.texts["Name"]

    @property
    def description(self) -> str:
        return self.texts["ShortDescription"]

    def summary(self, *, default_path: bool = False) -> dict[str, Any]:
        return {
            "Id": self.view_id,
            "ProductId": self.id,
            "Type": TEMPLATE,
            "HasDefaultPath": default_path,
            **self.texts,
        }

    def view(self) -> dict[str, Any]:
        return {
            "ProductViewSummary": self.summary(),
            "Status": "AVAILABLE",
            "ProductARN": self.arn,
            "CreatedTime": self.created,
        }


@dataclass
class Constraint:
    id: str
    kind: str
    account: str
    portfolio_id: str
    product_id: str
    parameters: str
    description: str = ""

    def wire(self) -> dict[str, Any]:
        detail = {
            "ConstraintId": self.id,
            "Type": self.kind,
            "Description": self.description,
            "Owner": self.account,
            "ProductId": self.product_id,
            "PortfolioId": self.portfolio_id,
        }
        return {
            "ConstraintDetail": detail,
            "ConstraintParameters": self.parameters,
            "Status": "AVAILABLE",
        }

    def summary(self) -> dict[str, str]:
        return {"Type": self.kind, "Description": self.description}


@dataclass
class TagOption:
    id: str
    key: str
    value: str
    account: str
    active: bool = True

    def wire(self) -> dict[str, Any]:
        return {
            "Id": self.id,
            "Key": self.key,
            "Value": self.value,
            "Active": self.active,
            "Owner": self.account,
        }


@dataclass
class Record:
    """One request to provision, update or terminate, and how it went."""

    id: str
    kind: str
    created: datetime
    provisioned_id: str
    provisioned_name: str
    product_id: str
    artifact_id: str
    path_id: str
    tags: dict[str, str]
    role_arn: str
    # Who asked: an IAM ARN and the session's.
    user: str
    session: str
    updated: datetime | None = None
    status: str = "CREATED"
    errors: list[dict[str, str]] = field(default_factory=list)
    outputs: list[dict[str, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.id

    def wire(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "RecordId": self.id,
            "ProvisionedProductName": self.provisioned_name,
            "Status": self.status,
            "CreatedTime": self.created,
            "UpdatedTime": self.updated or self.created,
            "ProvisionedProductType": "CFN_STACK",
            "RecordType": self.kind,
            "ProvisionedProductId": self.provisioned_id,
            "ProductId": self.product_id,
            "ProvisioningArtifactId": self.artifact_id,
            "PathId": self.path_id,
            "RecordErrors": list(self.errors),
            "RecordTags": [{"Key": k, "Value": v} for k, v in self.tags.items()],
        }
        return said | ({"LaunchRoleArn": self.role_arn} if self.role_arn else {})


@dataclass
class Provisioned:
    """A provisioned product: one stack."""

    id: str
    name: str
    account: str
    region: str
    created: datetime
    token: str
    product_id: str
    product_name: str
    artifact_id: str
    artifact_name: str
    path_id: str
    user: str
    session: str
    role_arn: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    system_tags: dict[str, str] = field(default_factory=dict)
    status: str = "UNDER_CHANGE"
    message: str = ""
    stack_id: str = ""
    outputs: list[dict[str, str]] = field(default_factory=list)
    last_record: str = ""
    last_successful: str = ""

    @property
    def arn(self) -> str:
        place = f"arn:aws:servicecatalog:{self.region}:{self.account}"
        return f"{place}:stack/{self.name}/{self.id}"

    @property
    def stack_name(self) -> str:
        return f"SC-{self.account}-{self.id}"

    def _wire(self) -> dict[str, Any]:
        said = {
            "Name": self.name,
            "Arn": self.arn,
            "Type": "CFN_STACK",
            "Id": self.id,
            "Status": self.status,
            "CreatedTime": self.created,
            "IdempotencyToken": self.token,
            "LastRecordId": self.last_record,
            "LastProvisioningRecordId": self.last_record,
            "ProductId": self.product_id,
            "ProvisioningArtifactId": self.artifact_id,
        }
        optional = {
            "StatusMessage": self.message,
            "LastSuccessfulProvisioningRecordId": self.last_successful,
        }
        return {**said, **{key: value for key, value in optional.items() if value}}

    def wire(self) -> dict[str, Any]:
        """Return the entry of DescribeProvisionedProduct and ScanProvisionedProducts."""
        return self._wire() | ({"LaunchRoleArn": self.role_arn} if self.role_arn else {})

    def attributes(self) -> dict[str, Any]:
        """Return the entry of SearchProvisionedProducts."""
        return {
            **self._wire(),
            "Tags": [
                {"Key": key, "Value": value}
                for key, value in {**self.tags, **self.system_tags}.items()
            ],
            "PhysicalId": self.stack_id,
            "ProductName": self.product_name,
            "ProvisioningArtifactName": self.artifact_name,
            "UserArn": self.user,
            "UserArnSession": self.session,
        }


@dataclass(frozen=True)
class Path:
    """One way by which a caller reaches a product: through a portfolio."""

    portfolio: Portfolio
    product: Product

    @property
    def id(self) -> str:
        digest = hashlib.sha256(f"{self.portfolio.id}/{self.product.id}".encode()).hexdigest()
        return f"lpv3-{digest[:13]}"


@dataclass(frozen=True)
class Launch:
    """All that CloudFormation is told; the launch role is empty if the caller's rights count."""

    path: Path
    artifact: Artifact
    role_arn: str
    body: str
    parameters: Sequence[Mapping[str, Any]]
    tags: Mapping[str, str]
    notify: Sequence[str]

    def origin(self, made: Provisioned) -> dict[str, str]:
        """Return the tags that Service Catalog gives by itself."""
        said = {
            "portfolioArn": self.path.portfolio.arn,
            "productArn": self.path.product.arn,
            "provisionedProductArn": made.arn,
            "provisioningArtifactIdentifier": self.artifact.id,
            "provisioningPrincipalArn": made.session,
        }
        return {f"aws:servicecatalog:{name}": value for name, value in said.items()}


@dataclass
class Plan:
    """A change set that waits for ExecuteProvisionedProductPlan."""

    id: str
    name: str
    provisioned: Provisioned
    artifact_id: str
    path_id: str
    product_id: str
    created: datetime
    user: str
    session: str
    launch: Launch
    parameters: list[dict[str, Any]] = field(default_factory=list)
    tags: list[dict[str, str]] = field(default_factory=list)
    notify: list[str] = field(default_factory=list)
    status: str = "CREATE_IN_PROGRESS"
    message: str = ""
    changes: list[dict[str, Any]] = field(default_factory=list)
    updated: datetime | None = None
    made: bool = False  # whether its change set was
    fresh: bool = True  # whether it is for a product that does not exist yet

    def summary(self) -> dict[str, Any]:
        return {
            "PlanName": self.name,
            "PlanId": self.id,
            "ProvisionProductId": self.provisioned.id,
            "ProvisionProductName": self.provisioned.name,
            "PlanType": "CLOUDFORMATION",
            "ProvisioningArtifactId": self.artifact_id,
        }

    def wire(self) -> dict[str, Any]:
        said = {
            **self.summary(),
            "CreatedTime": self.created,
            "UpdatedTime": self.updated or self.created,
            "PathId": self.path_id,
            "ProductId": self.product_id,
            "Status": self.status,
            "NotificationArns": self.notify,
            "ProvisioningParameters": self.parameters,
            "Tags": self.tags,
        }
        return said | ({"StatusMessage": self.message} if self.message else {})


@dataclass
class Catalog:
    """Everything of one account and region."""

    portfolios: dict[str, Portfolio] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    constraints: dict[str, Constraint] = field(default_factory=dict)
    tag_options: dict[str, TagOption] = field(default_factory=dict)
    # portfolio id (our own or an imported one) -> principal ARN -> IAM or IAM_PATTERN
    principals: dict[str, dict[str, str]] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    operations: dict[str, Operation] = field(default_factory=dict)
    provisioned: dict[str, Provisioned] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    # (operation, idempotency token) -> parameters and answer
    tokens: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = field(
        default_factory=dict
    )
    organisation_access: bool = False
