"""CloudWatch Logs: moto's; filters deliver to functions alone (deliveries.py), keys must let it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from seedbed.sandbox import identity, moto_state
from seedbed.sandbox.service import Service, ServiceError, unsupported
from seedbed.sandbox.services import permission
from seedbed.sandbox.world import Context

KEY = re.compile(r"arn:aws:kms:[^:]+:\d{12}:key/.+")
# What the documented key policy grants for a group; DescribeKey knows no encryption context.
ENCRYPTS = (
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:GenerateDataKey",
)


class Logs(Service):
    name: ClassVar[str] = "logs"

    def amend(
        self, ctx: Context, operation: str, params: Mapping[str, Any], environ: dict[str, Any]
    ) -> None:
        """Have CloudWatch Logs ask, as it does, whether it may use a key or invoke a function."""
        del environ
        if operation in {"AssociateKmsKey", "CreateLogGroup"} and params.get("kmsKeyId"):
            self._check_key(ctx, params)
        elif operation == "PutSubscriptionFilter":
            self._check_filter(ctx, params)

    def _check_key(self, ctx: Context, params: Mapping[str, Any]) -> None:
        key = str(params["kmsKeyId"])
        named = params.get("logGroupName") or params.get("resourceIdentifier")
        group = f"arn:aws:logs:{ctx.region}:{ctx.owner}:log-group:{named}"
        context = {"kms:encryptioncontext:aws:logs:arn": (group,)}
        who = identity.service_principal(ctx.owner, f"logs.{ctx.region}.amazonaws.com")
        message = "The specified KMS key does not exist or is not allowed to be used with Arn"
        message = f"{message} '{group}': {key}"
        if not KEY.fullmatch(key) or moto_state.key_state(key) != "Enabled":
            raise ServiceError("AccessDeniedException", message)
        for action in ENCRYPTS:
            try:
                permission.judge(self.world, who, action, key, ctx.region, context=context)
            except ServiceError as error:
                raise ServiceError("AccessDeniedException", f"{message} ({action})") from error

    def _check_filter(self, ctx: Context, params: Mapping[str, Any]) -> None:
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
