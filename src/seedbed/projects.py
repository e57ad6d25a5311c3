"""SageMaker projects from the command line: the calls that Studio's "Create project" makes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from botocore.exceptions import ClientError

from seedbed import cfn
from seedbed.declaration import STUDIO, Declaration
from seedbed.errors import SeedbedError
from seedbed.publishing.aws import Account, reason, told
from seedbed.publishing.observe import CATALOG

NAMED = "SageMakerProjectName"
INJECTED = {NAMED, "SageMakerProjectId"}  # SageMaker gives them
NAME = r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}"  # SageMaker's own rule
Route = Literal["catalog", "s3"]
PAUSE = 2.0  # seconds between two looks at a project
LIMIT = 5400.0  # seconds: the seeder may take an hour, the rest minutes
DONE = {"CreateCompleted", "UpdateCompleted", "DeleteCompleted"}
FAILED = {"CreateFailed", "UpdateFailed", "DeleteFailed"}


@dataclass(frozen=True)
class Project:
    """A project: by which route it was made, from what, and its state."""

    name: str
    id: str
    status: str
    route: str
    origin: str
    message: str
    parameters: Mapping[str, str]

    def plain(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return asdict(self)


def create(
    account: Account,
    declared: Declaration,
    name: str,
    product: str,
    parameters: Mapping[str, str],
    *,
    hub: str,
    route: Route = "catalog",
    tags: Mapping[str, str] | None = None,
) -> None:
    """Start the creation of a project, as the caller.

    Args:
        account: the account and region in which the project is made.
        declared: the products, by their keys.
        name: of the project.
        product: a key of the declaration.
        parameters: what the product's form asks for.
        hub: the hub's account id, whose bucket holds the S3 templates.
        route: from Service Catalog, or from the template in S3.
        tags: of the project and what it consists of.

    Raises:
        SeedbedError: there is no such product, the caller does not see it, or AWS refuses.
    """
    _refuse_name(name)
    for key in tags or {}:
        if key.lower().startswith("aws:"):
            raise SeedbedError(f"--tag {key}: what begins with aws: is AWS's own: use another key")
    known = [key for key, one in declared.products.items() if one.studio]
    if product not in known:
        raise SeedbedError(
            f"--product {product}: no project is made from it: use one of {', '.join(known)}"
        )
    given = [{"Key": key, "Value": value} for key, value in parameters.items()]
    request: dict[str, Any] = {"ProjectName": name}
    if tags:
        request["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    with told(f"project {name}"):
        if route == "catalog":
            id_, artifact = _offered(account, declared.products[product].title)
            _check(_asked(account, id_, artifact), name, parameters)
            request["ServiceCatalogProvisioningDetails"] = {
                "ProductId": id_,
                "ProvisioningArtifactId": artifact,
                "ProvisioningParameters": given,
            }
        else:
            bucket = declared.assets.name(hub, account.region)
            key = f"{STUDIO}{product}.yml"
            role = declared.products[product].launch_role
            body = _template(account, bucket, key)
            _check(cfn.load(body.decode(), key)["Parameters"], name, parameters)
            provider = {
                "TemplateName": product,
                "TemplateURL": account.object_url(bucket, key),
                "RoleARN": f"arn:{account.partition}:iam::{account.id}:role/{role}",
                "Parameters": given,
            }
            request["TemplateProviders"] = [{"CfnTemplateProvider": provider}]
        try:
            account.client("sagemaker").create_project(**request)
        except ClientError as error:
            if "exist" not in str(error):
                raise
            status = show(account, name).status
            line = f"project {name} is there already ({status}): `seedbed project show {name}`"
            if status in FAILED:
                line += f", `aws sagemaker delete-project --project-name {name}`"
            raise SeedbedError(f"{line}, or choose another name") from None


def _refuse_name(name: str) -> None:
    if not re.fullmatch(NAME, name, re.ASCII):
        raise SeedbedError(
            f"NAME is {name!r}: write letters, digits and single hyphens between them, 32 at most"
        )


def _template(account: Account, bucket: str, key: str) -> bytes:
    """Return a template in S3. Raises SeedbedError."""
    try:
        body: bytes = account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucket":
            raise SeedbedError(f"--hub: bucket {bucket} is not there: name the hub") from None
        look = "`seedbed doctor --as scientist --hub ...` tells what is missing"
        raise SeedbedError(f"s3://{bucket}/{key}: {reason(error)}: {look}") from None
    return body


def _offered(account: Account, title: str) -> tuple[str, str]:
    """Return a product that the caller sees, and its newest version that may be launched."""
    views = account.every(CATALOG, "search_products", "ProductViewSummaries")
    found = [view["ProductId"] for view in views if view["Name"] == title]
    if not found:
        raise SeedbedError(
            f"product {title!r}: this role does not see it: have its portfolio shared with this "
            "account's unit, and let the role in (portfolios.yml: permission_sets, principals)"
        )
    client = account.client(CATALOG)
    offered = [  # a product that is declared no more may bear the same title
        (one["CreatedTime"], id_, one["Id"])
        for id_ in found
        for one in client.describe_product(Id=id_)["ProvisioningArtifacts"]
        if one["Guidance"] == "DEFAULT"
    ]
    if not offered:
        raise SeedbedError(f"product {title!r}: no version may be launched: publish one")
    _, newest, version = max(offered)
    return newest, version


def _asked(account: Account, product: str, artifact: str) -> dict[str, Any]:
    """Return a version's parameters as a template has them."""
    client = account.client(CATALOG)
    paths = client.list_launch_paths(ProductId=product)["LaunchPathSummaries"]
    if not paths:
        raise SeedbedError(f"product {product}: no portfolio lets this role launch it: ask the hub")
    said = client.describe_provisioning_parameters(
        ProductId=product, ProvisioningArtifactId=artifact, PathId=paths[0]["Id"]
    )
    return {
        one["ParameterKey"]: {
            "Type": one.get("ParameterType", "String"),
            **({"Default": one["DefaultValue"]} if "DefaultValue" in one else {}),
            **{k: v for k, v in one.get("ParameterConstraints", {}).items() if v not in ("", [])},
        }
        for one in said["ProvisioningArtifactParameters"]
    }


def _check(rules: Mapping[str, Any], name: str, given: Mapping[str, str]) -> None:
    """Hold a project's name and values against a product's form, before anything is made.

    Raises:
        SeedbedError: one is unknown, missing, or does not fit.
    """
    if wrong := cfn.misfit(rules.get(NAMED, {"Type": "String"}), name):
        raise SeedbedError(f"NAME is {wrong}")
    asked = {key: rule for key, rule in rules.items() if key not in INJECTED}
    for key, value in given.items():
        if key not in asked:
            known = ", ".join(asked)
            raise SeedbedError(f"--set {key}: the product does not ask it: use one of {known}")
        if wrong := cfn.misfit(asked[key], value):
            raise SeedbedError(f"--set {key} is {wrong}")
    if missing := [k for k, rule in asked.items() if "Default" not in rule and k not in given]:
        raise SeedbedError(f"the product asks for --set {'=... --set '.join(missing)}=...")


def show(account: Account, name: str) -> Project:
    """Return a project as it is now. Raises SeedbedError if there is none."""
    _refuse_name(name)
    with told(f"project {name}"):
        try:
            said = account.client("sagemaker").describe_project(ProjectName=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationException":
                raise
            where = f"{account.id} {account.region}"
            line = f"project {name}: there is none in {where}: `seedbed project list` shows all"
            raise SeedbedError(line) from None
    details = said.get("ServiceCatalogProvisioningDetails")
    if details:
        message = said.get("ServiceCatalogProvisionedProductDetails", {}).get(
            "ProvisionedProductStatusMessage", ""
        )
        route, origin = "catalog", f"{details['ProductId']} {details['ProvisioningArtifactId']}"
    else:
        details = said["TemplateProviderDetails"][0]["CfnTemplateProviderDetail"]
        message = details.get("StackDetail", {}).get("StatusMessage", "")
        route, origin = "s3", details["TemplateURL"]
    pairs = details.get("ProvisioningParameters") or details.get("Parameters") or ()
    return Project(
        name=said["ProjectName"],
        id=said["ProjectId"],
        status=said["ProjectStatus"],
        route=route,
        origin=origin,
        message=message,
        parameters={pair["Key"]: pair["Value"] for pair in pairs},
    )


def every(account: Account) -> list[str]:
    """Return the names of all projects that are not deleted."""
    with told("projects"):
        pages = account.client("sagemaker").get_paginator("list_projects").paginate()
        return [
            item["ProjectName"]
            for page in pages
            for item in page["ProjectSummaryList"]
            if item["ProjectStatus"] != "DeleteCompleted"
        ]


def wait(
    account: Account,
    name: str,
    progress: Callable[[Project], None] = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> Project:
    """Wait until nothing happens to a project any more.

    Raises:
        SeedbedError: it failed, with AWS's reason, or it takes longer than 90 minutes.
    """
    waited = 0.0
    while True:
        known = show(account, name)
        progress(known)
        if known.status in DONE:
            return known
        if known.status in FAILED:
            why = f"`seedbed doctor --as scientist --project {name}` tells why, and what to do"
            raise SeedbedError(f"project {name}: {known.status}: {known.message}: {why}")
        if waited >= LIMIT:
            raise SeedbedError(
                f"project {name}: still {known.status}: `seedbed project show {name}`"
            )
        pause(PAUSE)
        waited += PAUSE
