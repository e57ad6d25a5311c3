"""Failures on demand, the same in every run with the same seed.

A rule: {"match": "s3:Put*", "kind": KIND, "rate": 0..1, "at": [nth matching calls, from 1],
"times": at most so often, "role": "name glob", "account": "id", "code": ..., "status": ...}.
Kinds: throttle (refused, retryable), fail (an internal error, nothing done), timeout (the
connection ends without an answer, nothing done), after (done, then an internal error),
twice (done twice, the first answer counts).
"""

from __future__ import annotations

import fnmatch
import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seedbed.sandbox.identity import Principal
from seedbed.sandbox.protocol import model
from seedbed.sandbox.service import ServiceError

KINDS = ("throttle", "fail", "timeout", "after", "twice")
FIELDS = {"match", "kind", "rate", "at", "times", "role", "account", "code", "status"}


def _whole(value: object, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


# field -> what is a good value, and how to say so
VALUES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "rate": (lambda v: isinstance(v, int | float) and 0 <= v <= 1, "a number from 0 to 1"),
    "at": (
        lambda v: isinstance(v, list | tuple) and all(_whole(one, 1) for one in v),
        "a list of whole numbers from 1",
    ),
    "times": (lambda v: v is None or _whole(v), "a whole number"),
    "role": (lambda v: isinstance(v, str), "a role's name, with * for any"),
    "account": (lambda v: isinstance(v, str), "an account's name or id"),
    "code": (lambda v: v is None or isinstance(v, str), "an error code"),
    "status": (lambda v: v is None or _whole(v, 100), "an HTTP status"),
}


def _check_match(match: str) -> None:
    """Refuse a match that no call can have.

    Raises:
        ValueError: There is no such service, or no such operation.
    """
    service, _, operation = match.partition(":")
    if set(service) & set("*?["):
        return
    known = model(service)
    if known is None:
        raise ValueError(f"chaos: match {match!r}: there is no service {service!r}")
    if not any(fnmatch.fnmatchcase(str(name), operation) for name in known.operation_names):
        raise ValueError(f"chaos: match {match!r}: {service} has no operation {operation!r}")


@dataclass
class Rule:
    match: str
    kind: str
    rate: float = 1.0
    at: tuple[int, ...] = ()
    times: int | None = None
    role: str = "*"
    account: str = "*"
    code: str | None = None
    status: int | None = None
    seen: int = 0
    struck: int = 0

    @classmethod
    def parse(cls, said: Mapping[str, Any]) -> Rule:
        """Read one rule.

        Raises:
            ValueError: A field is unknown, or `match` or `kind` is missing or wrong.
        """
        if unknown := set(said) - FIELDS:
            raise ValueError(f"chaos: unknown field {min(unknown)!r}; use {sorted(FIELDS)}")
        if ":" not in str(said.get("match", "")):
            raise ValueError("chaos: give `match` as service:Operation, with * for any")
        _check_match(str(said["match"]))
        if said.get("kind") not in KINDS:
            raise ValueError(f"chaos: kind {said.get('kind')!r}; use one of {', '.join(KINDS)}")
        for name, (good, wanted) in VALUES.items():
            if name in said and not good(said[name]):
                raise ValueError(f"chaos: {name} {said[name]!r}; give {wanted}")
        return cls(**{**said, "at": tuple(said.get("at", ()))})


@dataclass
class Chaos:
    """The rules in force and how often each has struck."""

    seed: int = 0
    rules: list[Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def parse(cls, seed: int, rules: Sequence[Mapping[str, Any]]) -> Chaos:
        return cls(seed, [Rule.parse(rule) for rule in rules])

    def strike(self, operation: str, principal: Principal) -> Rule | None:
        """Return the first rule that strikes this call, or None."""
        with self._lock:
            for index, rule in enumerate(self.rules):
                if not _concerns(rule, operation, principal):
                    continue
                rule.seen += 1
                spent = rule.times is not None and rule.struck >= rule.times
                if not spent and self._hits(index, rule):
                    rule.struck += 1
                    return rule
        return None

    def _hits(self, index: int, rule: Rule) -> bool:
        if rule.at:
            return rule.seen in rule.at
        # Told from the count, not drawn: threads that race cannot change what the nth call gets.
        digest = hashlib.sha256(f"{self.seed}/{index}/{rule.seen}".encode()).digest()
        return int.from_bytes(digest[:8]) < rule.rate * 2**64


def _concerns(rule: Rule, operation: str, principal: Principal) -> bool:
    return (
        fnmatch.fnmatchcase(operation, rule.match)
        and fnmatch.fnmatchcase(principal.name, rule.role)
        and rule.account in {"*", principal.account}
    )


# service -> code and status of its throttling, where they are not the protocol's
THROTTLES = {"s3": ("SlowDown", 503), "ec2": ("RequestLimitExceeded", 503)}


def error(rule: Rule, service: str, protocol: str) -> ServiceError:
    """Return the error that a struck call gets."""
    if rule.kind == "throttle":
        plain = ("ThrottlingException", 400) if "json" in protocol else ("Throttling", 400)
        code, status = THROTTLES.get(service, plain)
    else:
        code, status = ("InternalServerException" if "json" in protocol else "InternalFailure"), 500
    message = f"chaos: {rule.kind} of {rule.match}"
    return ServiceError(rule.code or code, message, rule.status or status)
