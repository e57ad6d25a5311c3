"""Organizations: moto keeps the tree and asks nobody; who may call what is in botocore's model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from seedbed.sandbox import moto_state
from seedbed.sandbox.service import Service, ServiceError
from seedbed.sandbox.world import Context

# "You can call this operation from any account", or from one that is in no organisation.
ANYWHERE = frozenset(
    {
        "CreateOrganization",
        "DescribeEffectivePolicy",
        "DescribeHandshake",
        "DescribeOrganization",
        "ListHandshakesForAccount",
    }
)


class Organizations(Service):
    name: ClassVar[str] = "organizations"

    def amend(
        self, ctx: Context, operation: str, params: Mapping[str, Any], environ: dict[str, Any]
    ) -> None:
        """Let members read nothing but the organisation, unless they are delegated administrators.

        Raises:
            ServiceError: It is for the management account.
        """
        del params, environ
        management = self.world.account_id("management")
        if ctx.account == management or operation in ANYWHERE:
            return
        reads = operation.startswith(("Describe", "List"))
        if not (reads and ctx.account in moto_state.delegated_administrators(management)):
            message = "You don't have permissions to access this resource."
            raise ServiceError("AccessDeniedException", message, 400)
