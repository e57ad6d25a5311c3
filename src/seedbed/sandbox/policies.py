"""Policy documents as they come: what AWS refuses when a policy is put, moto mostly takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from seedbed.sandbox import moto_state
from seedbed.sandbox.iam import listed
from seedbed.sandbox.service import ServiceError, unsupported

if TYPE_CHECKING:
    from seedbed.sandbox.protocol import Operation
    from seedbed.sandbox.world import World

NEWEST = "2012-10-17"
VERSIONS = {None, "2008-10-17", NEWEST}
ELEMENTS = {
    *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction"),
    *("Resource", "NotResource", "Condition"),
}
HOLDER = re.compile(r"arn:aws:iam::(\d{12}):(role|user)/.+")
UNIQUE = re.compile(r"A(ROA|IDA)[A-Z0-9]+(:.+)?")
# S3 user guide, "The meaning of public": who is held to a fixed value of these is not anybody.
NARROWING = {"ArnEquals", "ArnLike", "IpAddress", "StringEquals", "StringLike"}
FIXED = {
    *("aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:sourceaccount"),
    *("aws:sourcearn", "aws:sourceip", "aws:sourceowner", "aws:sourcevpc", "aws:sourcevpce"),
    *("aws:userid", "s3:dataaccesspointaccount", "s3:dataaccesspointarn"),
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
}


@dataclass(frozen=True)
class Spot:
    """Where an operation has a policy: identity, trust or resource; and what refuses it."""

    parameter: str
    kind: str
    code: str
    # Whether the service is documented to look its principals up.
    looks_up: bool = True
    newest: bool = False  # whether the policy has to name the newest version


_IDENTITY = Spot("PolicyDocument", "identity", "MalformedPolicyDocument")
_MANAGED = replace(_IDENTITY, newest=True)
_TRUST = "MalformedPolicyDocument"
_KEY = Spot("Policy", "resource", "MalformedPolicyDocumentException")
_SECRET = Spot("ResourcePolicy", "resource", "MalformedPolicyDocumentException")
SPOTS = {
    "ecr:SetRepositoryPolicy": Spot("policyText", "resource", "InvalidParameterException"),
    "events:PutPermission": Spot("Policy", "resource", "ValidationException", looks_up=False),
    "glue:PutResourcePolicy": Spot(
        "PolicyInJson", "resource", "InvalidInputException", looks_up=False
    ),
    "iam:CreatePolicy": _MANAGED,
    "iam:CreatePolicyVersion": _MANAGED,
    "iam:CreateRole": Spot("AssumeRolePolicyDocument", "trust", _TRUST),
    "iam:PutGroupPolicy": _IDENTITY,
    "iam:PutRolePolicy": _IDENTITY,
    "iam:PutUserPolicy": _IDENTITY,
    "iam:UpdateAssumeRolePolicy": Spot("PolicyDocument", "trust", _TRUST),
    "kms:CreateKey": _KEY,
    "kms:PutKeyPolicy": _KEY,
    "s3:PutBucketPolicy": Spot("Policy", "resource", "MalformedPolicy"),
    "secretsmanager:PutResourcePolicy": _SECRET,
    "sns:CreateTopic": Spot("Attributes.Policy", "resource", "InvalidParameter"),
    "sns:SetTopicAttributes": Spot("AttributeValue", "resource", "InvalidParameter"),
    "sqs:CreateQueue": Spot("Attributes.Policy", "resource", "InvalidAttributeValue"),
    "sqs:SetQueueAttributes": Spot("Attributes.Policy", "resource", "InvalidAttributeValue"),
}


def check(world: World, operation: Operation) -> None:
    """Refuse a request whose policy AWS would refuse.

    Raises:
        ServiceError: The service's own for a malformed policy; the message names what is wrong.
    """
    _check_boundary(operation)
    spot = SPOTS.get(operation.full_name)
    if spot is None:
        return
    if operation.params.get("AttributeName", "Policy") != "Policy":
        return
    text: Any = operation.params
    for part in spot.parameter.split("."):
        text = (text or {}).get(part)
    if not text:
        return
    for wrong in _mistakes(world, text, spot):
        raise ServiceError(spot.code, f"{spot.parameter}: {wrong}", 400)
    if operation.full_name == "s3:PutBucketPolicy":
        _check_public(operation.params["Bucket"], json.loads(text))


def _check_public(bucket: str, document: Mapping[str, Any]) -> None:
    """Refuse a public policy on a bucket that blocks them."""
    if not moto_state.blocks_public_policies(bucket):
        return
    statements = document["Statement"]
    for index, one in enumerate([statements] if isinstance(statements, Mapping) else statements):
        if one["Effect"] == "Allow" and _is_public(one):
            raise ServiceError(
                "AccessDenied",
                f"statement {one.get('Sid') or index} is public, and public policies of {bucket}"
                " are blocked by the BlockPublicPolicy block public access setting.",
                403,
            )


def _is_public(said: Mapping[str, Any]) -> bool:
    """Tell whether a statement lets in anybody: a wildcard without a condition on a fixed value."""
    named = said.get("Principal")
    named = named.get("AWS", []) if isinstance(named, Mapping) else named
    if "*" not in listed(named):
        return False
    for operator, tests in said.get("Condition", {}).items():
        if operator not in NARROWING:
            continue
        for key, values in tests.items():
            if key.lower() in FIXED and not any(set("*?") & set(one) for one in listed(values)):
                return False
    return True


def _check_boundary(operation: Operation) -> None:
    limit = operation.params.get("PermissionsBoundary")
    if operation.service != "iam" or not isinstance(limit, str):
        return
    account = limit.split(":")[4] if limit.count(":") > 4 else ""  # noqa: PLR2004 (an ARN)
    # AWS's own come into being when they are asked for (moto_hooks.prepare).
    if account != "aws" and moto_state.managed_policy(limit, account) is None:
        message = f"Scope ARN: {limit} does not exist or is not attachable."
        raise ServiceError("NoSuchEntity", message, 404)


def _mistakes(world: World, text: str | bytes, spot: Spot) -> Iterator[str]:
    try:
        document = json.loads(text)
    except ValueError:
        yield "it is no JSON"
        return
    if not isinstance(document, Mapping) or "Statement" not in document:
        yield "it has no Statement"
        return
    if document.get("Version") not in VERSIONS:
        yield f"the version {document['Version']} does not exist"
    elif document.get("Version") != NEWEST:
        if spot.newest:
            yield f"Policy document must be version {NEWEST} or greater."
        if "${aws:" in str(text):  # plain text in older policies, but not to our evaluator
            raise unsupported(f"a policy variable in a policy without the Version {NEWEST}")
    statements = document["Statement"]
    for index, one in enumerate([statements] if isinstance(statements, Mapping) else statements):
        for wrong in _of_statement(world, one, spot):
            yield f"statement {one.get('Sid') or index}: {wrong}"


def _of_statement(world: World, said: Mapping[str, Any], spot: Spot) -> Iterator[str]:
    if unknown := sorted(set(said) - ELEMENTS):
        yield f"the element {unknown[0]} does not exist"
    if said.get("Effect") not in {"Allow", "Deny"}:
        yield f"the effect {said.get('Effect')} is neither Allow nor Deny"
    if not {"Action", "NotAction"} & set(said):
        yield "it has no Action"
    principals = {"Principal", "NotPrincipal"} & set(said)
    if spot.kind == "identity" and principals:
        yield "an identity's policy has no Principal"
    if spot.kind != "identity" and not principals:
        yield "it has no Principal"
    if spot.kind == "trust" and {"Resource", "NotResource"} & set(said):
        yield "a trust policy has no Resource"
    if spot.looks_up:
        for name in principals:
            yield from missing(world, said[name])


def missing(world: World, principal: object) -> Iterator[str]:
    """Yield the roles and users of this organisation that a policy names and that do not exist."""
    named = listed(principal.get("AWS", [])) if isinstance(principal, Mapping) else []
    for one in named:
        found = HOLDER.fullmatch(one)
        if found and found[1] in world.account_ids and moto_state.holder(one) is None:
            yield f"the principal {one} does not exist"
        if UNIQUE.fullmatch(one):
            yield f"the principal {one} is an id, of what was deleted: name it by its ARN"
