"""Actions without a public API, judged and logged like calls: GitPull, UseConnection and such."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from seedbed.sandbox import iam
from seedbed.sandbox.authorizer import Authorizer, noted
from seedbed.sandbox.identity import Principal
from seedbed.sandbox.needs import Extra, Need, owner_of
from seedbed.sandbox.protocol import Operation, summary
from seedbed.sandbox.service import ServiceError
from seedbed.sandbox.services import Registry
from seedbed.sandbox.world import Call, World

MODEL = cast("Any", None)  # no botocore model has these operations


class _Judge(Authorizer):
    def verdict(
        self, principal: Principal, need: Need, operation: Operation, region: str, call: Call
    ) -> tuple[iam.Decision, ServiceError]:
        decision = self._decide(principal, need, operation, region, call)
        told = self._refusal(principal, operation, need.action, need.resource, decision.reason)
        return decision, told


def judge(
    world: World,
    principal: Principal,
    action: str,
    resource: str,
    region: str,
    *,
    context: Extra | None = None,
    params: Mapping[str, Any] | None = None,
) -> None:
    """Have IAM judge one action on one resource, and log it as a call.

    `context` are condition keys in lower case.

    Raises:
        ServiceError: IAM denies it, or cannot decide.
    """
    asking: _Judge = world.store("permission", "", "", lambda: _Judge(world, Registry(world)))
    service, _, name = action.partition(":")
    operation = Operation(service, name, MODEL, "json", dict(params or {}))
    need = Need(action, resource, owner_of(resource) or principal.account, context or {})
    call = Call(
        time=world.now(),
        account=principal.account,
        principal=principal.arn,
        session=principal.session_arn,
        service=service,
        operation=name,
        region=region,
        params=summary(operation.params),
        via=principal.via,
    )
    decision, refusal = asking.verdict(principal, need, operation, region, call)
    call.actions = [noted(need, decision)]
    call.decision, call.reason = "allowed" if decision.allowed else "denied", decision.reason
    call.status, call.error = (200, None) if decision.allowed else (403, refusal.code)
    world.calls.append(call)
    if not decision.allowed:
        raise refusal
