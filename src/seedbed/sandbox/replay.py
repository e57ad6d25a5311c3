"""Judges a run's requests again with one grant less: which of them stood on it?

A grant is one action of one statement, in any policy that allowed a request: of identities,
resources, trust, permissions boundaries. The evaluator is the same, and so are the policies and the
context, which each request keeps as they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from seedbed.sandbox import iam
from seedbed.sandbox.conditions import like
from seedbed.sandbox.world import Call


@dataclass(frozen=True, order=True)
class Grant:
    """`holder` is the ARN of the role or resource that has the policy; `action` as written."""

    holder: str
    statement: str  # policy name#Sid or index
    action: str


@dataclass
class Use:
    """What a grant was worth in a run, as service:operation of the calls."""

    needed: set[str] = field(default_factory=set)  # denied without it
    spared: set[str] = field(default_factory=set)  # allowed without it
    instead: set[str] = field(default_factory=set)  # by which statements


def grants(calls: Iterable[Call]) -> dict[Grant, Use]:
    """Return every grant that allowed something in these calls, and what its removal changes."""
    found: dict[Grant, Use] = {}
    for call in calls:
        name = f"{call.service}:{call.operation}"
        for request in call.requests:
            if request.principal.is_root or not iam.decide(request).allowed:
                continue
            for grant, fewer in _fewer(request):
                use = found.setdefault(grant, Use())
                again = iam.decide(replace(request, policies=fewer))
                if again.allowed:
                    use.spared.add(name)
                    use.instead.add(str(again.statement_id))
                else:
                    use.needed.add(name)
    return found


def _fewer(request: iam.Request) -> Iterator[tuple[Grant, iam.Policies]]:
    """Yield each grant that applies to a request, with the policies as they are without it."""
    policies, who = request.policies, request.principal.arn
    for index, policy in enumerate(policies.identity):
        others = policies.identity[:index], policies.identity[index + 1 :]
        for grant, less in _cut(policy, request, who):
            yield grant, replace(policies, identity=(*others[0], less, *others[1]))
    if policies.boundary:
        for grant, less in _cut(policies.boundary, request, who):
            yield grant, replace(policies, boundary=less)
    if policies.resource:
        for grant, less in _cut(policies.resource, request, request.resource, guarded=True):
            yield grant, replace(policies, resource=less)


def _cut(
    policy: iam.Policy, request: iam.Request, holder: str, *, guarded: bool = False
) -> Iterator[tuple[Grant, iam.Policy]]:
    for name, statement in iam.applying(policy, request, guarded=guarded):
        for action in iam.listed(statement.get("Action", [])):
            if like(request.action, action, ignore_case=True):
                yield Grant(holder, name, action), without(policy, statement, action)


def without(policy: iam.Policy, statement: Mapping[str, Any], action: str) -> iam.Policy:
    """Return a policy whose statement does not list that action."""
    listed = policy.document["Statement"]
    kept = {**statement, "Action": [a for a in iam.listed(statement["Action"]) if a != action]}
    said = [kept if one is statement else one for one in _statements(listed)]
    return iam.Policy(policy.name, {**policy.document, "Statement": said})


def _statements(said: Any) -> list[Mapping[str, Any]]:
    return said if isinstance(said, list) else [said]


def told(calls: Iterable[Call]) -> list[dict[str, Any]]:
    """Return the grants as plain data."""
    return [
        {
            "holder": grant.holder,
            "statement": grant.statement,
            "action": grant.action,
            "needed": sorted(use.needed),
            "spared": sorted(use.spared),
            "instead": sorted(use.instead),
        }
        for grant, use in sorted(grants(calls).items(), key=lambda one: one[0])
    ]
