"""What a run did: calls by role, the statements that allowed them, granted actions never used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from seedbed.sandbox import moto_state
from seedbed.sandbox.conditions import like
from seedbed.sandbox.iam import EXCEPTIONS, listed
from seedbed.sandbox.world import Call


def report(calls: Iterable[Call]) -> dict[str, Any]:
    """Return the report as plain data.

    roles: ARN -> calls (with counts), allowed (action -> statements), denied, unused (statement ->
    granted action patterns that no call used); services: the same for service principals; refused:
    what the sandbox does not emulate; exceptions: the table of those that IAM was not asked about.
    """
    by_principal: dict[str, list[Call]] = {}
    for call in calls:
        by_principal.setdefault(call.principal, []).append(call)
    roles = {arn: _of(arn, made) for arn, made in sorted(by_principal.items())}
    refused = Counter(
        f"{call.service}:{call.operation}"
        for made in by_principal.values()
        for call in made
        if call.error == "NotImplementedInSandbox"
    )
    return {"roles": roles, "refused": dict(refused), "exceptions": EXCEPTIONS}


def _of(arn: str, calls: list[Call]) -> dict[str, Any]:
    allowed: dict[str, set[str]] = {}
    denied: Counter[str] = Counter()
    for call in calls:
        for one in call.actions:
            if one["allowed"]:
                allowed.setdefault(one["action"], set()).add(str(one["statement"]))
            else:
                denied[f"{one['action']} on {one['resource']}"] += 1
        if call.decision == "denied" and not call.actions:
            denied[f"{call.service}:{call.operation} ({call.reason})"] += 1
    return {
        "calls": dict(Counter(f"{call.service}:{call.operation}" for call in calls)),
        "allowed": {action: sorted(names) for action, names in sorted(allowed.items())},
        "denied": dict(denied),
        "unused": _unused(arn, allowed) if ":role/" in arn else {},
    }


def _unused(arn: str, allowed: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """Return the granted patterns, by statement, for which that statement decided no call."""
    unused: dict[str, list[str]] = {}
    for policy in moto_state.identity_policies(arn):
        statements = policy.document.get("Statement", [])
        for index, statement in enumerate(
            statements if isinstance(statements, list) else [statements]
        ):
            if statement.get("Effect") != "Allow":
                continue
            name = f"{policy.name}#{statement.get('Sid') or index}"
            idle = [
                pattern
                for pattern in listed(statement.get("Action", []))
                if not any(
                    name in names and like(action, pattern, ignore_case=True)
                    for action, names in allowed.items()
                )
            ]
            if idle:
                unused[name] = idle
    return unused


def text(said: dict[str, Any]) -> str:
    """Return the report for a terminal."""
    lines = []
    for arn, one in said["roles"].items():
        lines.append(arn)
        lines += [f"  {count:5d}  {name}" for name, count in sorted(one["calls"].items())]
        lines += [
            f"  allowed  {action}  by {', '.join(names)}"
            for action, names in one["allowed"].items()
        ]
        lines += [f"  denied   {name} ({count})" for name, count in one["denied"].items()]
        lines += [
            f"  unused   {pattern}  in {name}"
            for name, patterns in one["unused"].items()
            for pattern in patterns
        ]
    lines += [f"refused: {name} ({count})" for name, count in said["refused"].items()]
    lines += [f"exception: {name}: {why}" for name, why in said["exceptions"].items()]
    return "\n".join(lines) + "\n"
