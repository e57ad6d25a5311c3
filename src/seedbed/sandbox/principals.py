"""Roles and users that are deleted: policies that named them name the id they had.

So a new role of that name is not meant by them, as in AWS (IAM user guide, "AWS JSON policy
elements: Principal"). Policies of event buses, Glue and SageMaker's model package groups, of which
no such thing is documented, go on naming the ARN.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from moto.backends import get_backend

from seedbed.sandbox import moto_hooks, moto_state

if TYPE_CHECKING:
    from seedbed.sandbox.identity import Principal
    from seedbed.sandbox.protocol import Operation

DELETIONS = {"DeleteRole": ("role", "RoleName"), "DeleteUser": ("user", "UserName")}
# moto's services -> where they keep what has a policy, and the member that holds it
HOLDERS: Mapping[str, tuple[str, str]] = {
    "ecr": ("repositories", "policy"),
    "iam": ("roles", "assume_role_policy_document"),
    "kms": ("keys", "policy"),
    "s3": ("buckets", "policy"),
    "secretsmanager": ("secrets", "policy"),
    "sns": ("topics", "policy"),
    "sqs": ("queues", "policy"),
}


def deleted_by(operation: Operation, account: str) -> tuple[str, str] | None:
    """Return ARN and id of the role or user that a request is about to delete."""
    if operation.service != "iam" or operation.name not in DELETIONS:
        return None
    kind, parameter = DELETIONS[operation.name]
    arn = moto_state.MotoLookup().iam_arn(account, kind, operation.params[parameter])
    return (arn, str(moto_state.holder(arn).id)) if arn else None


def outlive(arn: str, number: str) -> None:
    """Have every policy that names a deleted principal name its id."""
    for holder, member in _held():
        text = getattr(holder, member, None)
        said = json.loads(text) if text else {}
        if _renamed(said, arn, number):
            changed = json.dumps(said)
            setattr(holder, member, changed.encode() if isinstance(text, bytes) else changed)
    if "moto.awslambda.models" in sys.modules:
        for backend in _backends("lambda"):
            for group in list(backend._lambdas._functions.values()):  # noqa: SLF001 (all() copies)
                for function in (group["latest"], *group["versions"]):
                    _renamed({"Statement": function.policy.statements}, arn, number)


def is_stale(principal: Principal) -> bool:
    """Tell whether a session is of a role that was deleted, whatever bears its name now."""
    if principal.kind != "role" or not principal.role_id:
        return False
    found = moto_state.role(principal.arn)
    return found is None or str(found.id) != principal.role_id


def _held() -> Iterator[tuple[Any, str]]:
    for service, (collection, member) in HOLDERS.items():
        # What was never used need not be loaded.
        if f"moto.{moto_hooks.package(service)}.models" in sys.modules:
            for backend in _backends(service):
                for one in list(getattr(backend, collection).values()):
                    yield one, member


def _backends(service: Any) -> Iterator[Any]:
    for regions in list(get_backend(service).values()):
        yield from list(regions.values())


def _renamed(document: Mapping[str, Any], arn: str, number: str) -> bool:
    """Replace a principal in a policy, in place, and tell whether it was named."""
    statements, found = document.get("Statement", []), False
    for one in [statements] if isinstance(statements, Mapping) else statements:
        for said in (one.get("Principal"), one.get("NotPrincipal")):
            if not isinstance(said, dict) or "AWS" not in said:
                continue
            named = said["AWS"]
            if isinstance(named, str):
                said["AWS"] = _name(named, arn, number)
            else:
                said["AWS"] = [_name(text, arn, number) for text in named]
            found |= said["AWS"] != named
    return found


def _name(text: str, arn: str, number: str) -> str:
    if text == arn:
        return number
    account, own = arn.split(":", 5)[4:]
    session = f"arn:aws:sts::{account}:assumed-role/{own.rpartition('/')[2]}/"
    if own.startswith("role/") and text.startswith(session):
        return f"{number}:{text.removeprefix(session)}"
    return text
