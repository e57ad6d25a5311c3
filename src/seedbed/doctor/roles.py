"""Launch roles and whom they trust, users' roles and what they may, boundary, Lake Formation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from botocore.exceptions import ClientError

from seedbed import cfn
from seedbed.bootstrap import FOLDER
from seedbed.declaration import FILE, STUDIO
from seedbed.doctor.checks import Finding, SkipError, check, denied, problem
from seedbed.doctor.site import Site, pages
from seedbed.publishing.observe import INVENTORY_ROLE

CATALOG, STACKS = "servicecatalog.amazonaws.com", "cloudformation.amazonaws.com"
ROLES_STACK, USERS_STACK = "seedbed-spoke-roles", "seedbed-spoke-users"
ADMIN_STACK, ADMIN_ROLE = "seedbed-spoke-admin", "seedbed-launch-admin"
ROLES, ADMIN = "spoke/roles.yml", "spoke/admin.yml"
ANYONE = "IAM_ALLOWED_PRINCIPALS"  # Lake Formation's word for: IAM decides


@check("launch roles", "the role that creates each product's stack", "hub", "admin", once=True)
def launch_roles(site: Site) -> Iterator[Finding]:
    for name in _launch_roles(site):
        if site.account.role(name) is None:
            yield problem(f"role {name} is missing in {site.id}", _repair(site, name))
        else:
            file = ADMIN if name == ADMIN_ROLE else ROLES
            yield from incomplete(site, name, file, _repair(site, name))


@check("launch roles' trust", "who may take the launch roles", "hub", "admin", once=True)
def trust(site: Site) -> Iterator[Finding]:
    for name, services in _launch_roles(site).items():
        role = site.account.role(name)
        for service in sorted(services) if role else ():
            if not _trusts(role["AssumeRolePolicyDocument"], "Service", service, site.id):
                yield problem(f"role {name} does not trust {service}", _repair(site, name))


@check("inventory role", "the role by which the hub learns what is in use here", "admin", once=True)
def inventory(site: Site) -> Iterator[Finding]:
    role = site.account.role(INVENTORY_ROLE)
    root = f"arn:{site.account.partition}:iam::{site.hub}:root"
    if role is None:
        yield problem(f"role {INVENTORY_ROLE} is missing in {site.id}", site.repair(ROLES_STACK))
    elif site.hub and not _trusts(role["AssumeRolePolicyDocument"], "AWS", root, site.id):
        say = f"role {INVENTORY_ROLE} does not trust the hub {site.hub}"
        yield problem(say, f"{site.bootstrap}; if nothing changes, {site.repair(ROLES_STACK)}")
    else:
        yield from incomplete(site, INVENTORY_ROLE, ROLES, site.repair(ROLES_STACK))


def incomplete(site: Site, name: str, file: str, remedy: str) -> Iterator[Finding]:
    """Tell which policies a role lacks that its stack gave it."""
    resources = cfn.load((site.base / FOLDER / file).read_text("utf-8"), file)["Resources"]
    roles = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::IAM::Role"]
    given = {
        policy
        for role in roles
        if _named(role, site) == name
        for policy in _policies(role, resources)
    }
    iam = site.client("iam")
    attached = iam.get_paginator("list_attached_role_policies").paginate(RoleName=name)
    own = iam.get_paginator("list_role_policies").paginate(RoleName=name)
    there = {one["PolicyName"] for page in attached for one in page["AttachedPolicies"]}
    there |= {one for page in own for one in page["PolicyNames"]}
    if lacking := sorted(given - there):
        yield problem(f"role {name} lacks {', '.join(lacking)}", remedy)


def _named(role: Mapping[str, Any], site: Site) -> str:
    name = role["RoleName"]
    return name if isinstance(name, str) else name["Fn::Sub"].replace("${AWS::Region}", site.region)


def _policies(role: Mapping[str, Any], resources: Mapping[str, Any]) -> list[str]:
    """Return the names of the policies that a template gives a role in any case."""
    own = [one["PolicyName"] for one in role.get("Policies", ()) if "PolicyName" in one]
    arns = role.get("ManagedPolicyArns", ())
    refs = [one["Ref"] for one in arns if "Ref" in one] if isinstance(arns, list) else []
    return [*own, *(resources[one]["Properties"]["ManagedPolicyName"] for one in refs)]


@check("users' roles", "the roles that people have in Studio", "hub", "admin", once=True)
def users_roles(site: Site) -> Iterator[Finding]:
    for name in _users_roles(site):
        if site.account.role(name) is None:
            yield problem(f"role {name} is missing in {site.id}", site.repair(USERS_STACK))


@check("permissions", "what the S3 templates ask of users' roles", "hub", "admin", once=True)
def permissions(site: Site) -> Iterator[Finding]:
    for name in _users_roles(site):
        if role := site.account.role(name):
            yield from _permitted(site, role["Arn"])


@check("permissions", "what the S3 templates ask of this role", "scientist", once=True)
def own_permissions(site: Site) -> Iterator[Finding]:
    arn = site.client("sts").get_caller_identity()["Arn"]
    if ":assumed-role/" not in arn:
        raise SkipError(f"{arn} is no role; Studio works as one")
    name = arn.split("/")[1]
    yield from _permitted(site, f"arn:{site.account.partition}:iam::{site.id}:role/{name}")


def _repair(site: Site, launch_role: str) -> str:
    return site.repair(ADMIN_STACK if launch_role == ADMIN_ROLE else ROLES_STACK)


def _permitted(site: Site, arn: str) -> Iterator[Finding]:
    partition, name = site.account.partition, arn.rsplit("/", 1)[-1]
    stack = f"arn:{partition}:cloudformation:{site.region}:{site.id}:stack/SP-p-x/x"
    studio = STUDIO
    asked = [("cloudformation:CreateStack", stack), ("cloudformation:TagResource", stack)]
    asked += [("cloudformation:DescribeStacks", stack), ("cloudformation:DeleteStack", stack)]
    if site.hub:
        objects = f"arn:{partition}:s3:::{site.bucket}/{studio}x.yml"
        asked += [("s3:GetObject", objects), ("s3:GetObjectTagging", objects)]
    for role in {product.launch_role for _, product, _ in site.studio()}:
        asked.append(("iam:PassRole", f"arn:{partition}:iam::{site.id}:role/{role}"))
    policies: list[Mapping[str, Any]] | None = None
    lacking = []
    for action, resource in asked:
        allowed = _simulated(site, arn, action, resource) if policies is None else None
        if allowed is None:
            policies = _statements(site, name) if policies is None else policies
            allowed = _allows(policies, action, resource)
        if not allowed:
            lacking.append(action)
    if lacking:
        yield problem(
            f"role {name} is not allowed {', '.join(lacking)}",
            f"attach the policy seedbed-projects to it; if it has it, {site.repair(USERS_STACK)}",
        )


def _simulated(site: Site, arn: str, action: str, resource: str) -> bool | None:
    """Return what IAM's simulation says, or None where it is not to be had."""
    launch = {product.launch_role for _, product, _ in site.studio()}
    values = {
        "iam:PassedToService": [STACKS],
        "cloudformation:RoleArn": [
            f"arn:{site.account.partition}:iam::{site.id}:role/{role}" for role in launch
        ],
        "cloudformation:TemplateUrl": [site.account.object_url(site.bucket, f"{STUDIO}x.yml")],
        "aws:RequestedRegion": [site.region],
    }
    context = [
        {"ContextKeyName": key, "ContextKeyValues": found, "ContextKeyType": "string"}
        for key, found in values.items()
    ]
    try:
        said = site.client("iam").simulate_principal_policy(
            PolicySourceArn=arn,
            ActionNames=[action],
            ResourceArns=[resource],
            ContextEntries=context,
        )
    except ClientError as error:
        if denied(error) or error.response["Error"]["Code"].startswith("NotImplemented"):
            return None
        raise
    return all(one["EvalDecision"] == "allowed" for one in said["EvaluationResults"])


def _statements(site: Site, name: str) -> list[Mapping[str, Any]]:
    """Return the statements of all policies of a role."""
    iam = site.client("iam")
    documents = []
    for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName=name):
        for item in page["AttachedPolicies"]:
            version = iam.get_policy(PolicyArn=item["PolicyArn"])["Policy"]["DefaultVersionId"]
            at = {"PolicyArn": item["PolicyArn"], "VersionId": version}
            documents.append(iam.get_policy_version(**at)["PolicyVersion"]["Document"])
    for page in iam.get_paginator("list_role_policies").paginate(RoleName=name):
        for own in page["PolicyNames"]:
            said = iam.get_role_policy(RoleName=name, PolicyName=own)
            documents.append(said["PolicyDocument"])
    return [statement for one in documents for statement in _list(one["Statement"])]


def _allows(statements: list[Mapping[str, Any]], action: str, resource: str) -> bool:
    """Tell whether a statement allows it, whatever its conditions but the service passed to."""
    found = [
        one
        for one in statements
        if any(fnmatchcase(action.lower(), said.lower()) for said in _list(one.get("Action", ())))
        and any(fnmatchcase(resource, said) for said in _list(one.get("Resource", ())))
    ]
    if any(one["Effect"] == "Deny" and not one.get("Condition") for one in found):
        return False
    return any(one["Effect"] == "Allow" and _passes(one, action) for one in found)


def _passes(statement: Mapping[str, Any], action: str) -> bool:
    services = [
        service
        for operator in statement.get("Condition", {}).values()
        for key, values in operator.items()
        if key.lower() == "iam:passedtoservice"
        for service in _list(values)
    ]
    return action != "iam:PassRole" or not services or STACKS in services


@check(
    "permissions boundary",
    "whether launches give the boundary that the launch role demands",
    "hub",
    "admin",
    once=True,
)
def boundary(site: Site) -> Iterator[Finding]:
    demanded = _parameter(site, ROLES_STACK, "ProjectBoundary")
    if not demanded:
        raise SkipError(f"{ROLES_STACK} demands none")
    policy = f"arn:{site.account.partition}:iam::{site.id}:policy/seedbed-project-boundary"
    arn = policy if demanded == "seedbed" else demanded
    for key, product in site.declared.products.items():
        given = product.defaults.get("PermissionsBoundaryArn", "")
        if product.template and given != arn:
            yield problem(
                f"a project from {key} must be given the boundary {arn}",
                f"enter PermissionsBoundaryArn={arn} at each launch, or set it in "
                f"products.{key}.defaults in {FILE}",
            )


def _parameter(site: Site, stack: str, key: str) -> str:
    try:
        said = site.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        raise SkipError(f"there is no stack {stack}") from None
    given = {one["ParameterKey"]: one["ParameterValue"] for one in said.get("Parameters", ())}
    return str(given.get(key, ""))


@check("Lake Formation", "whether projects may link to a data lake that it governs", "admin")
def lake_formation(site: Site) -> Iterator[Finding]:
    client = site.client("lakeformation")
    settings = client.get_data_lake_settings()["DataLakeSettings"]
    default = settings.get("CreateTableDefaultPermissions", ())
    if any(_principal(one) == ANYONE for one in default):
        raise SkipError("IAM alone decides here")
    role = {product.launch_role for _, product, _ in site.studio()}
    names = [one["DataLakePrincipalIdentifier"] for one in settings.get("DataLakeAdmins", ())]
    listed = pages(client.list_permissions)
    names += [_principal(one) for page in listed for one in page["PrincipalResourcePermissions"]]
    for name in sorted(role):
        if not any(one.endswith(f":role/{name}") for one in names):
            yield problem(
                f"Lake Formation decides here, and {name} is neither administrator nor has grants",
                f"make {name} an administrator of Lake Formation, or grant it what is linked to",
            )


def _principal(one: Mapping[str, Any]) -> str:
    return str(one["Principal"]["DataLakePrincipalIdentifier"])


def _launch_roles(site: Site) -> dict[str, set[str]]:
    """Return the launch roles, and the services that each must trust."""
    found: dict[str, set[str]] = {}
    for product in site.declared.products.values():
        services = found.setdefault(product.launch_role, set())
        services.add(CATALOG)
        if product.studio and "s3-templates" in site.declared.targets:
            services.add(STACKS)
    return found


def _users_roles(site: Site) -> list[str]:
    """Return the roles without wildcard that portfolios with Studio's products let in."""
    patterns = {
        pattern
        for _, _, portfolio in site.studio()
        for pattern in portfolio.principals
        if ":role/" in pattern and "*" not in pattern
    }
    return sorted(pattern.rsplit("/", 1)[-1] for pattern in patterns)


def _trusts(document: Mapping[str, Any], kind: str, principal: str, account: str) -> bool:
    for one in _list(document["Statement"]):
        named = one.get("Principal", {})
        if one["Effect"] == "Allow" and named != "*" and principal in _list(named.get(kind, ())):
            bound = one.get("Condition", {}).get("StringEquals", {})
            if account in _list(bound.get("aws:SourceAccount", account)):
                return True
    return False


def _list(value: Any) -> list[Any]:  # noqa: ANN401 (one or several, as policies have it)
    return list(value) if isinstance(value, list | tuple) else [value]
