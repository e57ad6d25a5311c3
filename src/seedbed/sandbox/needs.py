"""What a call needs: the actions and resource ARNs that IAM judges it by.

An operation whose resource cannot be told is not guessed: it raises `Undecided` with its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from seedbed.sandbox import iam_actions
from seedbed.sandbox.conditions import Undecided

Extra = Mapping[str, tuple[str, ...]]
ROLE = re.compile(r"arn:aws:iam::\d{12}:role/.+")


class Lookup(Protocol):
    """What only the state knows."""

    def iam_arn(self, account: str, kind: str, name: str) -> str | None:
        """Return the ARN, with its path, of a role, user, group, policy or instance profile."""

    def boundary_arn(self, account: str, role: str) -> str | None:
        """Return the ARN of a role's permissions boundary."""

    def key_arn(self, account: str, region: str, key_id: str) -> str | None:
        """Return the ARN of a KMS key given by id, ARN or alias."""

    def ciphertext_key(self, account: str, region: str, blob: bytes) -> str | None:
        """Return the ARN of the key that a ciphertext was made with."""

    def secret_arn(self, account: str, region: str, name: str) -> str | None: ...

    def workgroup(self, account: str, region: str, query_id: str) -> str | None:
        """Return the Athena workgroup of a query execution or named query."""

    def bucket_owner(self, bucket: str) -> str | None: ...

    def bucket_key(self, bucket: str) -> str | None:
        """Return the KMS key id of a bucket's default encryption."""

    def object_key(self, bucket: str, key: str, version: str | None) -> str | None:
        """Return the KMS key id that an object is encrypted with."""


@dataclass(frozen=True)
class Need:
    """One question to IAM."""

    action: str
    resource: str
    owner: str
    context: Extra = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One API call."""

    service: str
    operation: str
    params: Mapping[str, Any]
    account: str
    region: str
    lookup: Lookup
    # Names of all parameters that the operation has, lower case.
    accepts: frozenset[str] = frozenset()

    @property
    def prefix(self) -> str:
        return iam_actions.prefix_of(self.service)

    def get(self, path: str) -> Any:
        """Return a parameter by its name, whatever its case; dots lead into structures."""
        value: Any = self.params
        for part in path.lower().split("."):
            if isinstance(value, list):
                value = [_member(one, part) for one in value]
            else:
                value = _member(value, part)
        return value

    def arn(self, resource: str, *, region: str | None = None, service: str | None = None) -> str:
        place = self.region if region is None else region
        return f"arn:aws:{service or self.prefix}:{place}:{self.account}:{resource}"

    def need(self, action: str, resource: str, **context: tuple[str, ...]) -> Need:
        owner = owner_of(resource) or self.account
        return Need(
            action, resource, owner, {key.replace("__", ":"): v for key, v in context.items()}
        )


def _member(value: object, name: str) -> Any:
    if not isinstance(value, Mapping):
        return None
    return {str(key).lower(): one for key, one in value.items()}.get(name)


def owner_of(arn: str) -> str | None:
    """Return the account that an ARN names, or None."""
    parts = arn.split(":")
    return parts[4] if len(parts) > 5 and re.fullmatch(r"\d{12}", parts[4]) else None  # noqa: PLR2004


def needs(asked: Asked) -> list[Need]:
    """Return everything that IAM must allow for this call.

    Raises:
        Undecided: The action or its resource is not known.
    """
    if f"{asked.prefix}:{asked.operation}" in iam_actions.FREE:
        return []
    # A registry or catalogue of another account is addressed by its number.
    holder = {"ecr": "registryId", "glue": "CatalogId"}.get(asked.prefix)
    if holder and re.fullmatch(r"\d{12}", str(asked.get(holder))):
        asked = replace(asked, account=str(asked.get(holder)))
    special = SPECIAL.get(asked.prefix)
    found = special(asked) if special else None
    found = plain(asked) if found is None else found
    return [*found, *_tagging(asked, found), *_passed_roles(asked)]


def plain(asked: Asked, action: str | None = None) -> list[Need]:
    """Derive a call's resources from the authorization reference and the parameters' names."""
    action = action or iam_actions.action_of(asked.service, asked.operation)
    prefix, _, name = action.partition(":")
    reference = iam_actions.reference(prefix)
    kinds = reference.actions.get(name.lower()) if reference else None
    if reference is None or kinds is None:
        raise Undecided(f"{action} is not in the authorization reference")
    if not kinds:
        return [asked.need(action, "*")]
    found, optional = [], []
    named = {kind: names for kind in kinds if (names := iam_actions.names_of(prefix, kind))}
    if not named:
        return [asked.need(action, "*")]
    # What does not exist yet, or is listed, has no name: it is judged by its type's wildcard.
    unnamed = asked.operation.startswith(("Create", "Import", "List", "Search"))
    for kind, names in named.items():
        formats = reference.formats.get(kind, ())
        found += [arn for value in _values(asked, names) for arn in _fill(asked, formats, value)]
        if unnamed or any(re.split(r"[./]", one)[0] in asked.accepts for one in names):
            optional += [one for text in formats for one in _fill(asked, (text,), "*")]
    if not found:
        found = _arns(asked) or optional
    if not found:
        raise Undecided(f"the resource of {asked.service}:{asked.operation}")
    return [asked.need(action, arn) for arn in dict.fromkeys(found)]


def _values(asked: Asked, names: tuple[str, ...]) -> list[str]:
    for name in names:
        first, *rest = [asked.get(part) for part in name.split("/")]
        if isinstance(first, str) and first:
            if first.startswith("arn:"):
                return [first]
            return ["/".join([first, *(str(part or "*") for part in rest)])]
        if isinstance(first, list) and first and all(isinstance(one, str) for one in first):
            return list(first)
    return []


def _fill(asked: Asked, formats: tuple[str, ...], value: str) -> Iterator[str]:
    known = {"Partition": "aws", "Region": asked.region, "Account": asked.account}
    for text in formats:
        if value.startswith("arn:"):
            pattern = re.sub(r"\$\{[^}]+\}", "[^:]*", text)
            if re.fullmatch(pattern, value):
                yield value
                return
        else:
            filled = re.sub(r"\$\{(\w+)\}", lambda found: known.get(found[1], "*"), text)
            yield filled.replace(".*", value)
            return


# Parameters that hold an ARN of whatever the operation is about.
ANY_ARN = ("resourcearn", "arn", "resource", "resourceid", "resourcearnlist", "resourcearns")


def _arns(asked: Asked) -> list[str]:
    found = _values(asked, ANY_ARN)
    return [value for value in found if value.startswith("arn:")]


def _tagging(asked: Asked, found: list[Need]) -> list[Need]:
    creates = asked.operation.startswith(("Create", "Put", "Register", "Import"))
    if not (creates and tags_of(asked.params)):
        return []
    action = iam_actions.TAGGING.get(asked.prefix)
    if asked.prefix == "iam":
        action = iam_actions.IAM_TAGGING.get(asked.operation)
    tagged = [replace(need, action=action) for need in found[:1]] if action else []
    if asked.prefix != "cloudformation":
        return tagged
    # AWS's launch role may tag stacks by their own tags alone: a new one has those it is given.
    given = {f"aws:resourcetag/{key.lower()}": (one,) for key, one in tags_of(asked.params).items()}
    return [replace(need, context={**need.context, **given}) for need in tagged]


def tags_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags in a request: a list of Key and Value, or a mapping."""
    for name, value in params.items():
        if name.lower() not in {"tags", "taglist", "tagset"}:
            continue
        if isinstance(value, Mapping):
            return {str(key): str(one) for key, one in value.items()}
        if isinstance(value, list):
            given = [one for one in value if isinstance(one, Mapping)]
            pairs = [{str(k).lower(): v for k, v in one.items()} for one in given]
            keys = [(one.get("key", one.get("tagkey")), one) for one in pairs]
            return {str(k): str(one.get("value", one.get("tagvalue", ""))) for k, one in keys}
    return {}


def _passed_roles(asked: Asked) -> list[Need]:
    service = iam_actions.PASSED_TO.get(asked.prefix)
    verbs = (
        "Create", "Update", "Put", "Start", "Register", "Delete", "Execute", "Run", "Add",
        "Rollback", "Continue",
    )  # fmt: skip
    if service is None or not asked.operation.startswith(verbs):
        return []
    if (asked.prefix, asked.operation) == ("sagemaker", "CreateProject"):
        return []  # it is passed to CloudFormation, when the stack is made
    if asked.prefix == "iam":
        if asked.operation != "AddRoleToInstanceProfile":
            return []
        roles = [_iam_arn(asked, "role", asked.params["RoleName"])]
    elif asked.prefix == "codepipeline":
        # An action's own role is assumed by the pipeline's, not passed.
        roles = [role] if (role := asked.get("pipeline.roleArn")) else []
    elif asked.operation == "CreateConstraint":
        roles = re.findall(r"arn:aws:iam::\d{12}:role/[^\"]+", asked.get("Parameters") or "")
    else:
        roles = list(dict.fromkeys(_roles_in(asked.params)))
    passed = {"iam:passedtoservice": (service,)}
    return [Need("iam:PassRole", role, owner_of(role) or "", passed) for role in roles]


def _roles_in(value: object, name: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _roles_in(one, str(key))
    elif isinstance(value, list):
        for one in value:
            yield from _roles_in(one, name)
    elif isinstance(value, str) and "role" in name.lower() and ROLE.fullmatch(value):
        yield value


def _iam_arn(asked: Asked, kind: str, name: str) -> str:
    if name.startswith("arn:"):
        return name
    known = asked.lookup.iam_arn(asked.account, kind, name)
    path = asked.get("Path") or "/"
    return known or asked.arn(f"{kind}{path}{name}", region="")


# Services whose resources are not told by a name alone


def _iam(asked: Asked) -> list[Need] | None:
    if asked.operation == "CreateServiceLinkedRole":
        return _iam_service_role(asked)
    kinds = {
        "role": "RoleName",
        "user": "UserName",
        "group": "GroupName",
        "instance-profile": "InstanceProfileName",
        "policy": "PolicyArn" if "policyarn" in asked.accepts else "PolicyName",
    }
    reference = iam_actions.reference("iam")
    judged = reference.actions.get(asked.operation.lower(), ()) if reference else ()
    action = f"iam:{asked.operation}"
    found = [
        asked.need(action, _iam_arn(asked, kind, str(asked.get(kinds[kind]))))
        for kind in judged
        if kind in kinds and asked.get(kinds[kind])
    ]
    extra: dict[str, tuple[str, ...]] = {}
    if asked.get("PolicyArn"):
        extra["iam:policyarn"] = (asked.get("PolicyArn"),)
    if boundary := asked.get("PermissionsBoundary") or _boundary_of(asked):
        extra["iam:permissionsboundary"] = (boundary,)
    if asked.get("AWSServiceName"):
        extra["iam:awsservicename"] = (asked.get("AWSServiceName"),)
    return [replace(need, context=extra) for need in found] or None


# What changes a bounded role is judged by the role's boundary.
BOUNDED = {
    *("AttachRolePolicy", "DetachRolePolicy", "PutRolePolicy", "DeleteRolePolicy"),
    "DeleteRolePermissionsBoundary",
}


def _boundary_of(asked: Asked) -> str | None:
    if asked.operation not in BOUNDED:
        return None
    return asked.lookup.boundary_arn(asked.account, str(asked.get("RoleName")))


def _sqs(asked: Asked) -> list[Need] | None:
    action = iam_actions.action_of("sqs", asked.operation)
    url, name = asked.get("QueueUrl"), asked.get("QueueName")
    if url:
        account, name = str(url).rstrip("/").rsplit("/", 2)[1:]
        arn = f"arn:aws:sqs:{asked.region}:{account}:{name}"
        return [asked.need(action, arn)]
    if name:
        account = asked.get("QueueOwnerAWSAccountId") or asked.account
        return [asked.need(action, f"arn:aws:sqs:{asked.region}:{account}:{name}")]
    if asked.operation == "ListQueues":
        return [asked.need(action, asked.arn("*"))]
    return None


def _logs(asked: Asked) -> list[Need] | None:
    group = asked.get("logGroupName") or asked.get("logGroupIdentifier")
    reference = iam_actions.reference("logs")
    kinds = reference.actions.get(asked.operation.lower(), ()) if reference else ()
    if not group:
        return None
    if not {"log-group", "log-stream"} & set(kinds):
        return None
    name = str(group or "").removesuffix(":*")
    arn = name if name.startswith("arn:") else asked.arn(f"log-group:{name}")
    # CloudWatch Logs' own errors name a group with an empty stream.
    arn += f":log-stream:{asked.get('logStreamName') or ''}"
    return [asked.need(f"logs:{asked.operation}", arn)]


def _events(asked: Asked) -> list[Need] | None:
    action = f"events:{asked.operation}"
    if asked.operation == "PutEvents":
        return [
            asked.need(
                action,
                _bus(asked, entry.get("EventBusName")),
                events__source=(str(entry.get("Source", "")),),
                **{"events__detail-type": (str(entry.get("DetailType", "")),)},
            )
            for entry in asked.params.get("Entries", [])
        ]
    rule = asked.get("Rule") or (asked.get("Name") if "Rule" in asked.operation else None)
    bus = asked.get("EventBusName")
    if rule:
        arn = _bus(asked, bus).replace(":event-bus/default", ":rule").replace("event-bus/", "rule/")
        targets = [one["Arn"] for one in asked.params.get("Targets", []) if "Arn" in one]
        extra = {"events__targetarn": tuple(targets)} if targets else {}
        return [asked.need(action, f"{arn}/{rule}", **extra)]
    if asked.operation == "ListRules":
        return [asked.need(action, asked.arn("rule/*"))]
    if "EventBus" in asked.operation or "Permission" in asked.operation:
        return [asked.need(action, _bus(asked, bus or asked.get("Name")))]
    return None


def _bus(asked: Asked, name: object) -> str:
    said = str(name or "default")
    return said if said.startswith("arn:") else asked.arn(f"event-bus/{said}")


def _lambda(asked: Asked) -> list[Need] | None:
    name = asked.get("FunctionName")
    if not name or not isinstance(name, str):
        return None
    found = re.fullmatch(
        r"(?:arn:aws:lambda:([^:]+):)?(?:(\d{12}):)?(?:function:)?([^:]+)(?::(.+))?", name
    )
    if found is None:
        raise Undecided(f"the function name {name}")
    region, account = found[1] or asked.region, found[2] or asked.account
    arn = f"arn:aws:lambda:{region}:{account}:function:{found[3]}"
    qualifier = asked.get("Qualifier") or found[4]
    if qualifier and asked.operation.startswith(("Invoke", "GetFunction", "AddPermission")):
        arn += f":{qualifier}"
    action = iam_actions.action_of("lambda", asked.operation)
    reference = iam_actions.reference("lambda")
    kinds = reference.actions.get(action.split(":")[1].lower(), ()) if reference else ()
    if "EventSourceMapping" in asked.operation:
        mapping = asked.arn(f"event-source-mapping:{asked.get('UUID') or '*'}")
        return [asked.need(action, mapping if kinds else "*", lambda__functionarn=(arn,))]
    extra = {}
    if asked.get("Principal"):
        extra["lambda__principal"] = (str(asked.get("Principal")),)
    return [asked.need(action, arn if kinds else "*", **extra)]


def _sagemaker(asked: Asked) -> list[Need] | None:
    group = asked.get("ModelPackageGroupName")
    if asked.operation not in {"CreateModelPackage", "ListModelPackages"} or not group:
        return None
    # A version is created in, or listed from, a group that may be another account's.
    arn = group if group.startswith("arn:") else asked.arn(f"model-package-group/{group}")
    package = arn.replace(":model-package-group/", ":model-package/") + "/*"
    return [asked.need(f"sagemaker:{asked.operation}", package)]


def _servicecatalog(asked: Asked) -> list[Need] | None:
    if "TagOptionWithResource" not in asked.operation and "TagOptionFrom" not in asked.operation:
        return None
    name = str(asked.params["ResourceId"])
    kind = "portfolio" if name.startswith("port-") else "product"
    arn = asked.arn(f"{kind}/{name}", service="catalog")
    return [asked.need(f"servicecatalog:{asked.operation}", arn)]


def _iam_service_role(asked: Asked) -> list[Need]:
    service = asked.params["AWSServiceName"]
    arn = asked.arn(f"role/aws-service-role/{service}/*", region="")
    return [asked.need("iam:CreateServiceLinkedRole", arn, iam__awsservicename=(service,))]


def _sts(asked: Asked) -> list[Need] | None:
    if asked.operation != "AssumeRole":
        return None
    role = asked.params["RoleArn"]
    extra = {"sts__rolesessionname": (asked.params["RoleSessionName"],)}
    if asked.get("ExternalId"):
        extra["sts__externalid"] = (asked.get("ExternalId"),)
    found = [asked.need("sts:AssumeRole", role, **extra)]
    if asked.get("Tags"):
        found.append(asked.need("sts:TagSession", role, **extra))
    if asked.get("SourceIdentity"):
        found.append(asked.need("sts:SetSourceIdentity", role, **extra))
    return found


SPECIAL: dict[str, Callable[[Asked], list[Need] | None]] = {
    "events": _events,
    "iam": _iam,
    "lambda": _lambda,
    "sagemaker": _sagemaker,
    "servicecatalog": _servicecatalog,
    "logs": _logs,
    "sqs": _sqs,
    "sts": _sts,
}
