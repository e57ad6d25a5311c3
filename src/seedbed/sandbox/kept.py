"""What moto forgets of a resource though its Describe would tell it: kept here, and put back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seedbed.sandbox.protocol import Operation, Reply
from seedbed.sandbox.world import Context

STORE = "kept"
FAILED = 300


@dataclass(frozen=True)
class Kind:
    """A resource's operations and the parameter that names it, in a service that speaks JSON."""

    name: str
    create: str
    describe: str
    delete: str


def _sagemaker(kind: str) -> Kind:
    return Kind(f"{kind}Name", f"Create{kind}", f"Describe{kind}", f"Delete{kind}")


KINDS: Mapping[str, tuple[Kind, ...]] = {
    "kms": (
        Kind("KeyId", "EnableKeyRotation", "GetKeyRotationStatus", "DisableKeyRotation"),
    ),
    "sagemaker": tuple(
        _sagemaker(kind)
        for kind in (
            "EndpointConfig", "Experiment", "FeatureGroup", "Model", "NotebookInstance", "Trial",
        )
    ),
}  # fmt: skip


def of(service: str, operation: str) -> Kind | None:
    """Return the kind of resource that an operation creates, describes or deletes."""
    for kind in KINDS.get(service, ()):
        if operation in {kind.create, kind.describe, kind.delete}:
            return kind
    return None


def can_keep(operation: Operation, member: str) -> bool:
    """Tell whether a member of a creation can be kept: whether the description has it."""
    kind = of(operation.service, operation.name)
    if kind is None or operation.name != kind.create:
        return False
    described = operation.model.service_model.operation_model(kind.describe).output_shape
    return described is not None and member in described.members


def carry(ctx: Context, operation: Operation, body: bytes, lost: list[str], reply: Reply) -> Reply:
    """Keep what a creation loses, forget it with a deletion, add it to a description."""
    kind = of(operation.service, operation.name)
    if kind is None or reply.status >= FAILED:
        return reply
    store = ctx.world.store(STORE, ctx.owner, ctx.region)
    key = (kind.create, str(operation.params.get(kind.name)).rsplit("/", 1)[-1])
    if operation.name == kind.create:
        said = json.loads(body)
        store[key] = {name: said[name] for name in lost}
    elif operation.name == kind.delete:
        store.pop(key, None)
    elif store.get(key):
        told: dict[str, Any] = {**json.loads(reply.body), **store[key]}
        return Reply(reply.status, reply.headers, json.dumps(told).encode())
    return reply
