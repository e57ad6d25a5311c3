"""The static IAM evaluator: pure, from a request and the policies that apply to it to a decision.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
Undecided counts as denied, and the reason names what was not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from seedbed.sandbox.conditions import Context, Undecided, holds, like, like_resource
from seedbed.sandbox.identity import Principal

# Where IAM is not asked, or answers otherwise than AWS: all of them, each with its reason.
EXCEPTIONS = {
    "account root": "the bootstrap administrator of an account is allowed all in its own account",
    "identity calls": "sts:GetCallerIdentity and GetSessionToken need no permission in AWS either",
    "service events": "AWS services put events on an account's default bus without a policy",
    "secure transport": "aws:SecureTransport is true: the loopback endpoint stands for TLS",
}

# Resource policies without which not even the own account's identity policies count.
Guard = Literal["", "key", "trust"]


@dataclass(frozen=True)
class Policy:
    """A policy document and the name under which reports tell it."""

    name: str
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Policies:
    """What applies to one request. None for boundary, sessions or resource: there is none."""

    identity: tuple[Policy, ...] = ()
    boundary: Policy | None = None
    sessions: tuple[Policy, ...] = ()
    resource: Policy | None = None
    # "key" and "trust": the resource policy must agree, whatever else allows.
    guard: Guard = ""


@dataclass(frozen=True)
class Request:
    """May `principal` do `action` on `resource`? Context keys are lower case."""

    principal: Principal
    action: str
    resource: str
    # The account that owns the resource; None where the action has no resource.
    owner: str | None = None
    context: Context = field(default_factory=dict)
    policies: Policies = Policies()


@dataclass(frozen=True)
class Decision:
    """`statement_id` is the statement that decided: `policy name#Sid or index`."""

    allowed: bool
    reason: str
    statement_id: str | None = None


# How a resource policy names the principal; empty: not at all (or it is no resource policy).
Strength = Literal["session", "direct", "account", ""]
STRENGTHS: tuple[Strength, ...] = ("session", "direct", "account", "")


@dataclass(frozen=True)
class _Match:
    """A statement that applies."""

    statement_id: str
    strength: Strength = ""


_Verdict = tuple[_Match | None, Undecided | None]


def decide(request: Request) -> Decision:
    """Decide one request by the documented evaluation logic.

    Explicit deny wins. Within an account the identity policies, cut down by boundary and session
    policies, or a resource policy that names the principal itself must allow; across accounts
    both must. A key policy and a role's trust policy must agree in every case.
    """
    try:
        return _decide(request)
    except Undecided as unknown:
        return Decision(allowed=False, reason=f"undecided: {unknown}")


def _decide(request: Request) -> Decision:  # noqa: C901, PLR0911 (the documented flow)
    who, policies = request.principal, request.policies
    same = request.owner in {None, who.account}
    if who.is_root and same and policies.guard != "trust":
        return Decision(allowed=True, reason="account root", statement_id="exception#account root")
    if denied := _denied(request):
        return Decision(allowed=False, reason="explicit deny", statement_id=denied)
    resource, doubt = _allowed_by_resource(request)
    if resource is None and (policies.guard or not same or who.kind == "service"):
        kind = f"{policies.guard} policy" if policies.guard else "resource-based policy"
        return _refusal(f"no {kind} allows" + (" across accounts" if not same else ""), doubt)
    if who.kind == "service" and resource:
        return Decision(allowed=True, reason="allowed", statement_id=resource.statement_id)
    identity, identity_doubt = _allowed(request, policies.identity)
    if who.is_root:
        identity = _Match("exception#account root")
    if same and resource and resource.strength == "session":
        return Decision(allowed=True, reason="allowed", statement_id=resource.statement_id)
    for limit in [policy for policy in (policies.boundary, *policies.sessions) if policy]:
        within, limit_doubt = _allowed(request, [limit])
        if within is None:
            return _refusal(f"{limit.name} does not allow", limit_doubt)
    if identity is None and same and resource and resource.strength == "direct":
        identity = resource
    if identity is None:
        return _refusal("no identity-based policy allows", identity_doubt or doubt)
    return Decision(allowed=True, reason="allowed", statement_id=identity.statement_id)


def _refusal(reason: str, doubt: Undecided | None) -> Decision:
    return Decision(allowed=False, reason=f"undecided: {doubt}" if doubt else reason)


def _denied(request: Request) -> str | None:
    policies = request.policies
    plain = [*policies.identity, *policies.sessions]
    plain += [policies.boundary] if policies.boundary else []
    for policy in plain:
        for name, statement in _statements(policy, "Deny"):
            if _applies(statement, request):
                return name
    if policies.resource:
        for name, statement in _statements(policies.resource, "Deny"):
            if _named(statement, request.principal) and _applies(statement, request, guarded=True):
                return name
    return None


def _allowed(request: Request, policies: Iterable[Policy]) -> _Verdict:
    found: list[tuple[str, Mapping[str, Any], Strength]] = [
        (name, statement, "") for policy in policies for name, statement in _statements(policy)
    ]
    return _first(found, request)


def _allowed_by_resource(request: Request) -> _Verdict:
    policy = request.policies.resource
    if policy is None:
        return None, None
    found = [
        (name, statement, strength)
        for name, statement in _statements(policy)
        if (strength := _named(statement, request.principal))
    ]
    # The grant that reaches furthest first: to the session, then the role, then the account.
    found.sort(key=lambda one: STRENGTHS.index(one[2]))
    return _first(found, request)


def _first(found: Iterable[tuple[str, Mapping[str, Any], Strength]], request: Request) -> _Verdict:
    """Return the first statement that applies, or what was not known if none does."""
    doubt = None
    for name, statement, strength in found:
        try:
            if _applies(statement, request, guarded=bool(strength)):
                return _Match(name, strength), None
        except Undecided as unknown:
            doubt = doubt or Undecided(f"{unknown} (in {name})")
    return None, doubt


def _statements(policy: Policy, effect: str = "Allow") -> Iterator[tuple[str, Mapping[str, Any]]]:
    statements = policy.document.get("Statement", [])
    if isinstance(statements, Mapping):
        statements = [statements]
    for index, statement in enumerate(statements):
        if statement.get("Effect") == effect:
            yield f"{policy.name}#{statement.get('Sid') or index}", statement


def applying(
    policy: Policy, request: Request, *, guarded: bool = False
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the statements of a policy that allow this request, each with its name.

    `guarded`: the policy is a resource's, and must name the principal.
    """
    for name, statement in _statements(policy):
        try:
            named = not guarded or _named(statement, request.principal)
            if named and _applies(statement, request, guarded=guarded):
                yield name, statement
        except Undecided:
            continue


def speaking_of(policy: Policy, action: str) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of a policy that allow or deny an action, on whatever resource."""
    for effect in ("Allow", "Deny"):
        for _, statement in _statements(policy, effect):
            excluded = "NotAction" in statement and not _any_action(statement["NotAction"], action)
            if excluded or _any_action(statement.get("Action", []), action):
                yield statement


def _applies(statement: Mapping[str, Any], request: Request, *, guarded: bool = False) -> bool:
    action, resource = request.action, request.resource
    if "NotAction" in statement:
        if _any_action(statement["NotAction"], action):
            return False
    elif not _any_action(statement.get("Action", []), action):
        return False
    # A trust policy has no Resource: it speaks of the role that it hangs on.
    if "NotResource" in statement:
        if _any_resource(statement["NotResource"], resource, request.context):
            return False
    elif "Resource" in statement:
        if not _any_resource(statement["Resource"], resource, request.context):
            return False
    elif not guarded:
        raise Undecided("statement without Resource")
    return holds(statement.get("Condition"), request.context)


def _any_action(patterns: object, action: str) -> bool:
    return any(like(action, pattern, ignore_case=True) for pattern in listed(patterns))


def _any_resource(patterns: object, resource: str, context: Context) -> bool:
    return any(like_resource(resource, pattern, context) for pattern in listed(patterns))


def _named(statement: Mapping[str, Any], who: Principal) -> Strength:
    """Tell whether, and how, a resource policy's statement names the principal."""
    if "NotPrincipal" in statement:
        raise Undecided("NotPrincipal")
    said = statement.get("Principal")
    if said == "*":
        return "direct"
    if not isinstance(said, Mapping):
        raise Undecided("a resource policy's statement without Principal")
    if unknown := set(said) - {"AWS", "Service", "Federated"}:
        raise Undecided(f"principal type {min(unknown)}")
    if who.kind == "service":
        return "direct" if who.arn in listed(said.get("Service", [])) else ""
    named = listed(said.get("AWS", []))
    if who.kind == "role" and who.session_arn in named:
        return "session"
    if "*" in named or (who.kind != "root" and who.arn in named):
        return "direct"
    if {who.account, f"arn:aws:iam::{who.account}:root"} & set(named):
        return "account"
    return ""


def listed(value: object) -> list[str]:
    """Return a policy element that may be one string or a list of them as a list."""
    return [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]
