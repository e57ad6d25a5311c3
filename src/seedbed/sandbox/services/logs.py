"""CloudWatch Logs: moto's; subscription filters deliver to functions alone (deliveries.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from seedbed.sandbox import identity
from seedbed.sandbox.service import Service, ServiceError, unsupported
from seedbed.sandbox.services import permission
from seedbed.sandbox.world import Context


class Logs(Service):
    name: ClassVar[str] = "logs"

    def amend(
        self, ctx: Context, operation: str, params: Mapping[str, Any], environ: dict[str, Any]
    ) -> None:
        """Have CloudWatch Logs ask, as it does, whether it may invoke a filter's function."""
        del environ
        if operation != "PutSubscriptionFilter":
            return
        target = str(params.get("destinationArn"))
        if not target.startswith("arn:aws:lambda:"):
            raise unsupported(f"the destination {target} of logs:PutSubscriptionFilter")
        group = f"arn:aws:logs:{ctx.region}:{ctx.owner}:log-group:{params.get('logGroupName')}:*"
        who = identity.service_principal(ctx.owner, "logs.amazonaws.com", group)
        try:
            permission.judge(self.world, who, "lambda:InvokeFunction", target, ctx.region)
        except ServiceError as error:
            message = "Could not execute the lambda function. Make sure you have given CloudWatch"
            message += f" Logs permission to execute your function. ({error.message})"
            raise ServiceError("InvalidParameterException", message) from error
