"""Portfolios, products, versions, constraints, principals, shares, quotas."""

from __future__ import annotations

import json
from collections.abc import Iterator

from botocore.exceptions import ClientError

from seedbed.declaration import FILE, Portfolio
from seedbed.doctor.checks import Finding, SkipError, check, denied, problem
from seedbed.doctor.site import Site
from seedbed.publishing.observe import CATALOG, PRODUCT_TAG, tags_of
from seedbed.publishing.store import VISIBLE

SERVICE = "servicecatalog.amazonaws.com"
PUBLISH = "run `seedbed publish` in the hub"
CLOSE = 0.8  # of a quota
# "Service Catalog quotas": all but the patterns can be raised.
VERSIONS, PRODUCTS, PORTFOLIOS, PRINCIPALS, PATTERNS = 100, 150, 100, 100, 10


@check("organisation access", "whether Service Catalog may share within the organisation", "hub")
def organisation_access(site: Site) -> Iterator[Finding]:
    _shared_by_units(site)
    try:
        said = site.client(CATALOG).get_aws_organizations_access_status()["AccessStatus"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "OperationNotSupportedException":
            raise
        raise SkipError("only a delegated administrator may ask: see that check") from None
    if said != "ENABLED":
        yield problem(
            f"Service Catalog's access to the organisation is {said}",
            "in the management account: `aws servicecatalog enable-aws-organizations-access`",
        )


@check("delegated administrator", "whether this account may share with units", "hub")
def delegated(site: Site) -> Iterator[Finding]:
    _shared_by_units(site)
    client = site.client("organizations")
    try:
        said = client.list_delegated_administrators(ServicePrincipal=SERVICE)
        ids = {one["Id"] for one in said["DelegatedAdministrators"]}
    except ClientError as error:
        # AWS answers so to any account that is neither; IAM's own denial names the action.
        if not denied(error) or "not authorized to perform" in str(error):
            raise
        ids = set()
    master = client.describe_organization()["Organization"]["MasterAccountId"]
    if site.id not in {*ids, master}:
        yield problem(
            f"{site.id} is no delegated administrator of Service Catalog",
            "in the management account: `aws organizations register-delegated-administrator "
            f"--account-id {site.id} --service-principal {SERVICE}`",
        )


def _shared_by_units(site: Site) -> None:
    shares = [one.shares for one in site.declared.portfolios.values()]
    if not any(one.organization or one.units for one in shares):
        raise SkipError(f"{FILE} shares with no unit")


@check("portfolios", "whether just the declared portfolios are published", "hub")
def published(site: Site) -> Iterator[Finding]:
    for key in site.declared.portfolios.keys() - site.portfolios.keys():
        yield problem(f"portfolio {key} is not in {site.region}", PUBLISH)
    for key in site.published.keys() - site.declared.portfolios.keys():
        yield problem(
            f"portfolio {key} is offered in {site.region}, and declared no more",
            "run `seedbed publish --prune` in the hub",
        )


@check(
    "portfolios", "whether the hub's portfolios are shared with this account", "admin", "scientist"
)
def imported(site: Site) -> Iterator[Finding]:
    for key, one in site.declared.portfolios.items():
        if one.title not in site.accepted and _expected(site, one):
            yield problem(
                f"{one.title} is not shared with {site.id} in {site.region}",
                f"in the hub: add this account's unit to portfolios.{key}.shares.units in {FILE}, "
                "then `seedbed publish`; a share with the account alone is taken here by "
                "`seedbed portfolio import --accept ID`",
            )


def _expected(site: Site, one: Portfolio) -> bool:
    """Tell whether a spoke should have it: units are not known here, so Studio's products only."""
    named = one.shares.organization or site.id in one.shares.accounts
    return named or any(product.studio for product in one.products.values())


@check("products", "whether the portfolios hold each declared product", "hub", "admin")
def products(site: Site) -> Iterator[Finding]:
    for key in _held(site):
        for product in site.declared.portfolios[key].products:
            if product not in site.products:
                yield problem(f"product {product} is not in portfolio {key}", PUBLISH)


@check("visibility tag", "whether Studio shows the products", "hub")
def visibility(site: Site) -> Iterator[Finding]:
    _held(site)
    for key, _, _ in site.studio():
        if key in site.products:
            tags = tags_of(site.products[key]["Tags"])
            if not VISIBLE.items() <= tags.items():
                yield problem(
                    f"product {key} lacks the tag sagemaker:studio-visibility=true",
                    f"{PUBLISH}: it tags the product again",
                )
            if PRODUCT_TAG not in tags:
                yield problem(f"product {key} lacks our tag", f"tag it {PRODUCT_TAG}={key}")


@check("versions", "whether each product has a version that may be launched", "hub")
def versions(site: Site) -> Iterator[Finding]:
    _held(site)
    for key, said in site.products.items():
        answer = site.client(CATALOG).list_provisioning_artifacts(ProductId=said["ProductId"])
        found = answer["ProvisioningArtifactDetails"]
        if not any(one["Active"] and one.get("Guidance") == "DEFAULT" for one in found):
            yield problem(f"no version of product {key} may be launched", PUBLISH)


@check("launch constraints", "by which role each product is launched", "hub")
def constraints(site: Site) -> Iterator[Finding]:
    for key, id_ in _held(site).items():
        found = {
            one["ProductId"]: one["ConstraintId"]
            for one in site.account.every(
                CATALOG, "list_constraints_for_portfolio", "ConstraintDetails", PortfolioId=id_
            )
            if one["Type"] == "LAUNCH"
        }
        for product, wanted in site.declared.portfolios[key].products.items():
            there = (
                found.get(site.products[product]["ProductId"]) if product in site.products else ""
            )
            if there is None:
                yield problem(f"product {product} has no launch constraint", PUBLISH)
            elif there:
                said = site.client(CATALOG).describe_constraint(Id=there)["ConstraintParameters"]
                if json.loads(said) != {"LocalRoleName": wanted.launch_role}:
                    say = f"product {product} is launched by {said}, not by {wanted.launch_role}"
                    yield problem(say, PUBLISH)


@check("principals", "whether the declared roles may see the portfolios", "hub", "admin")
def principals(site: Site) -> Iterator[Finding]:
    for key, id_ in _held(site).items():
        declared = site.declared.portfolios[key]
        found = {
            one["PrincipalARN"]
            for one in site.account.every(
                CATALOG, "list_principals_for_portfolio", "Principals", PortfolioId=id_
            )
        }
        if site.is_hub or declared.shares.principals:
            for pattern in declared.patterns:
                if pattern not in found:
                    yield problem(f"portfolio {key} does not let in {pattern}", PUBLISH)
        elif not found:
            yield problem(
                f"no role of this account may see {declared.title}",
                f"as an administrator: `seedbed portfolio import --portfolio {key} "
                "--principal ROLE_ARN`",
            )


@check("shares", "whether the portfolios are shared as declared", "hub")
def shares(site: Site) -> Iterator[Finding]:
    wanted = {key: one.shares for key, one in site.declared.portfolios.items()}
    if not any(one.organization or one.units or one.accounts for one in wanted.values()):
        raise SkipError(f"{FILE} shares with nobody: no spoke sees a product")
    for key, id_ in _held(site).items():
        nodes = {"ORGANIZATIONAL_UNIT": wanted[key].units, "ACCOUNT": wanted[key].accounts}
        if wanted[key].organization:
            nodes["ORGANIZATION"] = [""]
        for kind, names in nodes.items():
            found = {
                one["PrincipalId"]: one
                for one in (
                    site.account.every(
                        CATALOG,
                        "describe_portfolio_shares",
                        "PortfolioShareDetails",
                        PortfolioId=id_,
                        Type=kind,
                    )
                    if names
                    else ()
                )
            }
            for name in names:
                there = found.get(name) if name else next(iter(found.values()), None)
                if there is None:
                    node = name or "the organisation"
                    yield problem(f"portfolio {key} is not shared with {node}", PUBLISH)
                elif wanted[key].principals and not there.get("SharePrincipals"):
                    yield problem(f"portfolio {key} is shared without its principals", PUBLISH)


@check("quotas", "whether a quota of Service Catalog is close", "hub")
def quotas(site: Site) -> Iterator[Finding]:
    raised = "ask for more in Service Quotas"
    listed = list(site.account.every(CATALOG, "list_portfolios", "PortfolioDetails"))
    yield from _close("portfolios in the region", len(listed), PORTFOLIOS, raised)
    for key, said in site.products.items():
        count = len(said["ProvisioningArtifactSummaries"])
        fewer = f"lower versions.kept in {FILE}, upgrade projects, then `seedbed publish`"
        yield from _close(f"versions of product {key}", count, VERSIONS, fewer)
    for key, id_ in site.portfolios.items():
        ask, at = site.account.every, {"PortfolioId": id_}
        count = sum(1 for _ in ask(CATALOG, "search_products_as_admin", "ProductViewDetails", **at))
        yield from _close(f"products of portfolio {key}", count, PRODUCTS, raised)
        found = list(ask(CATALOG, "list_principals_for_portfolio", "Principals", **at))
        yield from _close(f"principals of portfolio {key}", len(found), PRINCIPALS, raised)
        count = sum(1 for one in found if one["PrincipalType"] == "IAM_PATTERN")
        join = f"join patterns of portfolios.{key} in {FILE} by a common prefix"
        yield from _close(f"patterns of portfolio {key}", count, PATTERNS, join)


def _close(what: str, count: int, quota: int, remedy: str) -> Iterator[Finding]:
    if count >= CLOSE * quota:
        yield problem(f"{count} {what} of at most {quota}", remedy)


@check(
    "products seen", "whether this role sees Studio's products, and may launch them", "scientist"
)
def seen(site: Site) -> Iterator[Finding]:
    client, let_in = site.client(CATALOG), f"have its pattern added to {FILE}, principals"
    try:
        views = list(site.account.every(CATALOG, "search_products", "ProductViewSummaries"))
    except ClientError as error:
        if not denied(error):
            raise
        give = "attach the policy seedbed-projects to it"
        yield problem("this role may not search Service Catalog", give)
        return
    ids = {one["Name"]: one["ProductId"] for one in views}
    if not site.accepted:
        raise SkipError("no portfolio is shared with this account")
    for key, product, portfolio in site.studio():
        if portfolio.title not in site.accepted:
            continue
        if product.title not in ids:
            yield problem(
                f"this role does not see product {key}",
                f"{let_in}, and published; use a role that it lets in",
            )
            continue
        versions = client.describe_product(Id=ids[product.title])["ProvisioningArtifacts"]
        if not any(one["Guidance"] == "DEFAULT" for one in versions):
            yield problem(f"no version of product {key} may be launched", PUBLISH)
        paths = client.list_launch_paths(ProductId=ids[product.title])["LaunchPathSummaries"]
        kinds = {one["Type"] for path in paths for one in path.get("ConstraintSummaries", ())}
        if "LAUNCH" not in kinds:
            yield problem(f"product {key} has no launch constraint", PUBLISH)


def _held(site: Site) -> dict[str, str]:
    """Return the portfolios that are here; without one there is nothing to look at."""
    if not site.portfolios:
        raise SkipError("no declared portfolio is here: see portfolios")
    return site.portfolios
