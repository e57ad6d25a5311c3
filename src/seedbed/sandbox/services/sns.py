"""SNS: moto's, as far as messages can be delivered from here (deliveries.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from seedbed.sandbox.service import Service, unsupported
from seedbed.sandbox.world import Context

# Mail is kept as a subscription, confirmed at once, and never sent.
PROTOCOLS = frozenset({"email", "email-json", "lambda", "sqs"})
ATTRIBUTES = frozenset({"FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy"})
# Of topics: kept by moto, read back, and without effect beyond that but for the policy.
OF_TOPICS = frozenset(
    {
        "ContentBasedDeduplication",
        "DisplayName",
        "FifoTopic",
        "KmsMasterKeyId",
        "Policy",
        "SignatureVersion",
        "TracingConfig",
    }
)


class SNS(Service):
    name: ClassVar[str] = "sns"

    def amend(
        self, ctx: Context, operation: str, params: Mapping[str, Any], environ: dict[str, Any]
    ) -> None:
        del ctx, environ
        if operation == "Subscribe" and params.get("Protocol") not in PROTOCOLS:
            raise unsupported(f"the protocol {params.get('Protocol')} of sns:Subscribe")
        given = {*params.get("Attributes", {}), params.get("AttributeName")} - {None}
        known = ATTRIBUTES if "Subscri" in operation else OF_TOPICS
        if "Endpoint" not in operation and given - known:
            raise unsupported(f"the attribute {min(given - known)} of sns:{operation}")
        for name in ("PhoneNumber", "TargetArn"):
            target = params.get(name)
            if operation == "Publish" and target and ":sns:" not in target:
                raise unsupported(f"the parameter {name} of sns:Publish")
            if operation == "Publish" and target and ":endpoint/" in target:
                raise unsupported(f"the parameter {name} of sns:Publish")
