"""A small release, a hub to publish it to, and a dump of all that the hub then holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from seedbed import packaging
from seedbed.declaration import Declaration
from seedbed.packaging.archive import sha256

REGION = "eu-west-1"
SERVICE = "servicecatalog.amazonaws.com"
CATALOG = "servicecatalog"
READS = ("Describe", "Get", "Head", "List", "Search", "AssumeRole")
DEV = "ou-seed-workloadsdev"


def declared(**changes: Any) -> Declaration:
    """Return a declaration of two portfolios and three products, two of them in Studio."""
    product = {"launch_role": "seedbed-launch", "description": "d"}
    content = {
        "owner": "ML platform",
        "support": {"description": "ask", "email": "ml@example.com"},
        "regions": [REGION],
        "versions": {"active": 1, "deprecated": 1, "kept": 3},
        "portfolios": {
            "projects": {
                "title": "SageMaker Projects",
                "description": "p",
                "permission_sets": ["DataScientist"],
                "tag_options": {"cost-center": ["risk", "retail"]},
                "shares": {"units": [DEV], "principals": True},
                "products": {
                    "one": {**product, "title": "One", "studio": True, "tag_updates": True},
                    "two": {**product, "title": "Two", "studio": True},
                },
            },
            "admin": {
                "title": "ML Admin",
                "description": "a",
                "principals": ["arn:aws:iam:::role/platform-admin"],
                "products": {"three": {**product, "title": "Three"}},
            },
        },
    }
    return Declaration.model_validate(content | changes)


def release(
    folder: Path,
    version: str,
    *,
    names: tuple[str, ...] = ("one", "two", "three"),
    changed: tuple[str, ...] = (),
    mark: str = "1",
) -> packaging.Manifest:
    """Write a release whose products named in `changed` carry `mark`, and return its manifest."""
    products, bundles = {}, {}
    for name in names:
        own = mark if name in changed else "0"
        parameter = {"Type": "String", "Default": own, "Description": "d"}
        queue = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "Mark"}}}
        template = {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": f"{name} {version}",
            "Parameters": {"Mark": parameter},
            "Resources": {"Topic": queue},
        }
        made = _write(folder, "products", f"{name}.yml", yaml.safe_dump(template).encode())
        content = sha256(f"{name} {own}".encode())
        products[name] = packaging.ProductObject(**made.model_dump(), content=content)
    bundles["one"] = _write(folder, "bundles", "one.bundle", f"bundle {version}".encode())
    manifest = packaging.Manifest(
        version=version,
        commit=sha256(version.encode())[:40],
        address="https://git.example.com/seedbed.git",
        products=products,
        functions={},
        bundles=bundles,
        wheelhouse="",
        wheels={},
    )
    text = json.dumps(manifest.model_dump(), sort_keys=True)
    (folder / packaging.MANIFEST).write_text(text)
    return manifest


def _write(folder: Path, kind: str, name: str, content: bytes) -> packaging.Object:
    digest = sha256(content)
    path = folder / kind / digest / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return packaging.Object(key=f"{kind}/{digest}/{name}", sha256=digest, size=len(content))


def make_hub(sandbox: Any, *, shares: bool = True) -> None:
    """Give the hub what `seedbed bootstrap hub` gives it, as far as publishing sees it."""
    s3 = sandbox.client("s3", "hub")
    bucket = f"seedbed-assets-{sandbox.account('hub')}-{REGION}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    trust = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": SERVICE},
            "Action": "sts:AssumeRole",
        },
    }
    sandbox.client("iam", "hub").create_role(
        RoleName="seedbed-launch", AssumeRolePolicyDocument=json.dumps(trust)
    )
    if not shares:
        return
    sandbox.client(CATALOG, "management").enable_aws_organizations_access()
    sandbox.client("organizations", "management").register_delegated_administrator(
        AccountId=sandbox.account("hub"), ServicePrincipal=SERVICE
    )


def tell_usage(sandbox: Any, account: str = "dev") -> None:
    """Give a spoke the role by which the hub learns what is provisioned there."""
    hub = {"AWS": f"arn:aws:iam::{sandbox.account('hub')}:root"}
    statement = {"Effect": "Allow", "Principal": hub, "Action": "sts:AssumeRole"}
    iam = sandbox.client("iam", account)
    iam.create_role(
        RoleName="seedbed-inventory",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statement}),
    )
    search = {
        "Effect": "Allow",
        "Action": "servicecatalog:SearchProvisionedProducts",
        "Resource": "*",
    }
    iam.put_role_policy(
        RoleName="seedbed-inventory",
        PolicyName="search",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": search}),
    )


def writes(sandbox: Any) -> list[dict[str, Any]]:
    """Return the calls of the log that change something."""
    return [one for one in sandbox.calls() if not one["operation"].startswith(READS)]


def dump(sandbox: Any) -> dict[str, Any]:
    """Return all that the hub holds, under names instead of ids."""
    catalog, s3 = sandbox.client(CATALOG, "hub"), sandbox.client("s3", "hub")
    listed = catalog.search_products_as_admin()["ProductViewDetails"]
    names = {
        one["ProductViewSummary"]["ProductId"]: one["ProductViewSummary"]["Name"] for one in listed
    }
    portfolios = catalog.list_portfolios()["PortfolioDetails"]
    return {
        "products": sorted((_product(catalog, id_) for id_ in names), key=json.dumps),
        "portfolios": sorted((_portfolio(catalog, one, names) for one in portfolios), key=str),
        "options": sorted(
            f"{one['Key']}={one['Value']}" for one in catalog.list_tag_options()["TagOptionDetails"]
        ),
        "buckets": {one["Name"]: _bucket(s3, one["Name"]) for one in s3.list_buckets()["Buckets"]},
    }


def _product(catalog: Any, id_: str) -> dict[str, Any]:
    detail = catalog.describe_product_as_admin(Id=id_)
    versions = catalog.list_provisioning_artifacts(ProductId=id_)["ProvisioningArtifactDetails"]
    summary = detail["ProductViewDetail"]["ProductViewSummary"]
    own = ("Id", "ProductId")
    return {
        **{key: value for key, value in summary.items() if key not in own},
        "tags": sorted(f"{tag['Key']}={tag['Value']}" for tag in detail["Tags"]),
        "versions": {
            one["Name"]: (one["Active"], one["Guidance"], one["Description"]) for one in versions
        },
        "count": len(versions),
    }


def _portfolio(catalog: Any, one: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    at = {"PortfolioId": one["Id"]}
    detail = catalog.describe_portfolio(Id=one["Id"])
    constraints = catalog.list_constraints_for_portfolio(**at)["ConstraintDetails"]
    shares = [
        {key: share[key] for key in ("Type", "PrincipalId", "SharePrincipals", "ShareTagOptions")}
        for kind in ("ORGANIZATION", "ORGANIZATIONAL_UNIT", "ACCOUNT")
        for share in catalog.describe_portfolio_shares(Type=kind, **at)["PortfolioShareDetails"]
    ]
    products = catalog.search_products_as_admin(**at)["ProductViewDetails"]
    principals = catalog.list_principals_for_portfolio(**at)["Principals"]
    return {
        "title": one["DisplayName"],
        "about": (one["ProviderName"], one["Description"]),
        "tags": sorted(f"{tag['Key']}={tag['Value']}" for tag in detail["Tags"]),
        "options": sorted(f"{o['Key']}={o['Value']}" for o in detail["TagOptions"]),
        "products": sorted(product["ProductViewSummary"]["Name"] for product in products),
        "principals": sorted(principal["PrincipalARN"] for principal in principals),
        "constraints": sorted(
            (
                names[c["ProductId"]],
                c["Type"],
                catalog.describe_constraint(Id=c["ConstraintId"])["ConstraintParameters"],
            )
            for c in constraints
        ),
        "shares": shares,
    }


def _bucket(s3: Any, bucket: str) -> dict[str, Any]:
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
    return {
        key: (
            s3.head_object(Bucket=bucket, Key=key)["Metadata"],
            s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"],
            sha256(s3.get_object(Bucket=bucket, Key=key)["Body"].read()),
        )
        for key in keys
    }
