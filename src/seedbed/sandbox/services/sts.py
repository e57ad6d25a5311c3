"""STS: moto checks no trust policy, and knows no session policies or tags.

The front has asked IAM before a method here runs: the trust policy and the caller's own policies.
"""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from seedbed.sandbox import moto_state
from seedbed.sandbox.identity import Principal
from seedbed.sandbox.service import Service, ServiceError, unsupported
from seedbed.sandbox.world import Context

SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}")
SHORTEST, LONGEST, CHAINED = 900, 43200, 3600


class STS(Service):
    name: ClassVar[str] = "sts"

    def get_caller_identity(self, ctx: Context) -> dict[str, Any]:
        who = ctx.principal
        return {"Account": who.account, "Arn": who.session_arn, "UserId": _user_id(who)}

    def assume_role(
        self,
        ctx: Context,
        *,
        RoleArn: str,
        RoleSessionName: str,
        DurationSeconds: int = 3600,
        Policy: str | None = None,
        PolicyArns: list[dict[str, str]] | None = None,
        Tags: list[dict[str, str]] | None = None,
        TransitiveTagKeys: list[str] | None = None,
        ExternalId: str | None = None,
    ) -> dict[str, Any]:
        """Mint a role's credentials; limits as documented for AssumeRole."""
        del ExternalId  # a matter of the trust policy
        if TransitiveTagKeys:
            raise unsupported("the parameter TransitiveTagKeys of sts:AssumeRole")
        if not SESSION_NAME.fullmatch(RoleSessionName):
            raise ServiceError("ValidationError", f"roleSessionName {RoleSessionName!r} is invalid")
        role = moto_state.role(RoleArn)
        if role is None:  # unreachable by IAM's verdict, unless it goes in between
            raise ServiceError("AccessDenied", f"{RoleArn} does not exist", 403)
        longest = int(role.max_session_duration or 3600)
        if ctx.principal.kind == "role":
            longest = min(longest, CHAINED)
        if not SHORTEST <= DurationSeconds <= min(longest, LONGEST):
            message = f"The requested DurationSeconds exceeds the {longest} s of this role"
            raise ServiceError("ValidationError", message)
        principal = Principal(
            RoleArn.split(":")[4],
            RoleArn,
            "role",
            session_name=RoleSessionName,
            role_id=str(role.id),
            session_policies=_session_policies(RoleArn, Policy, PolicyArns or []),
            session_tags={tag["Key"]: tag["Value"] for tag in Tags or []},
        )
        session = self.world.grant(principal, DurationSeconds)
        return {
            "Credentials": {
                "AccessKeyId": session.access_key,
                "SecretAccessKey": session.secret_key,
                "SessionToken": session.token,
                "Expiration": session.expires,
            },
            "AssumedRoleUser": {
                "Arn": principal.session_arn,
                "AssumedRoleId": f"{role.id}:{RoleSessionName}",
            },
        }

    def get_session_token(self, ctx: Context, **params: Any) -> dict[str, Any]:
        del ctx, params
        raise unsupported("sts:GetSessionToken")

    def get_federation_token(self, ctx: Context, **params: Any) -> dict[str, Any]:
        del ctx, params
        raise unsupported("sts:GetFederationToken")


def _user_id(who: Principal) -> str:
    if who.kind == "role" and (role := moto_state.role(who.arn)) is not None:
        return f"{role.id}:{who.session_name}"
    return who.account


def _session_policies(
    role_arn: str, inline: str | None, attached: list[dict[str, str]]
) -> tuple[str, ...]:
    """Return the session's policies as one document: what any of them allows."""
    texts = [inline] if inline else []
    for one in attached:
        text = moto_state.managed_policy(one["arn"], role_arn.split(":")[4])
        if text is None:
            raise ServiceError("MalformedPolicyDocument", f"no managed policy {one['arn']}")
        texts.append(text)
    if not texts:
        return ()
    statements: list[Any] = []
    for text in texts:
        try:
            said = json.loads(text)["Statement"]
        except (ValueError, KeyError, TypeError) as error:
            raise ServiceError("MalformedPolicyDocument", f"session policy: {error}") from error
        statements += said if isinstance(said, list) else [said]
    return (json.dumps({"Version": "2012-10-17", "Statement": statements}),)
