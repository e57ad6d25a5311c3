"""Who calls: principals, and the sessions behind access keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

Kind = Literal["root", "user", "role", "service", "sandbox"]


@dataclass(frozen=True)
class Principal:
    """A caller, as policies see it.

    `arn` is what `aws:PrincipalArn` and a policy's Principal compare with: the role's ARN for an
    assumed role, whose session is `session_arn`. A service principal has its host name as `arn`.
    """

    account: str
    arn: str
    kind: Kind
    session_name: str = ""
    # An assumed role's unique id: a new role of the same name is another one.
    role_id: str = ""
    session_policies: tuple[str, ...] = ()
    session_tags: Mapping[str, str] = field(default_factory=dict)
    # What the service acts for: aws:SourceAccount, aws:SourceArn.
    source: Mapping[str, str] = field(default_factory=dict)
    # Services that the call passed through, first to last: aws:CalledVia.
    via: tuple[str, ...] = ()

    @property
    def is_root(self) -> bool:
        return self.kind == "root"

    @property
    def name(self) -> str:
        return self.arn.rsplit("/", 1)[-1]

    @property
    def session_arn(self) -> str:
        """The caller as GetCallerIdentity and CloudTrail tell it."""
        if self.kind != "role":
            return self.arn
        return f"arn:aws:sts::{self.account}:assumed-role/{self.name}/{self.session_name}"

    def through(self, service: str) -> Principal:
        """Return this caller with `service` (a host name) acting on its behalf."""
        return self if self.via[-1:] == (service,) else replace(self, via=(*self.via, service))


@dataclass(frozen=True)
class Session:
    """One set of credentials."""

    access_key: str
    secret_key: str
    token: str | None
    principal: Principal
    expires: datetime | None = None


def root(account: str) -> Principal:
    """Return an account's bootstrap administrator: it is allowed all in that account."""
    return Principal(account, f"arn:aws:iam::{account}:root", "root")


def sandbox(account: str) -> Principal:
    """Return the sandbox itself: its calls go straight to moto, past IAM, chaos and the log."""
    return Principal(account, "sandbox", "sandbox")


def service_principal(account: str, service: str, source_arn: str | None = None) -> Principal:
    """Return an AWS service acting for a resource of `account`.

    `service` is a host name such as `events.amazonaws.com`.
    """
    source = {"aws:SourceAccount": account}
    if source_arn:
        source["aws:SourceArn"] = source_arn
    return Principal(account, service, "service", source=source)
