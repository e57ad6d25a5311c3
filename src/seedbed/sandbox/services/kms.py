"""KMS: moto's, but a key that is disabled or to be deleted is of no use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from seedbed.sandbox import moto_state
from seedbed.sandbox.service import Service, ServiceError
from seedbed.sandbox.world import Context

# https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
USES = frozenset(
    {
        "Decrypt",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyPair",
        "GenerateDataKeyPairWithoutPlaintext",
        "GenerateDataKeyWithoutPlaintext",
        "GenerateMac",
        "ReEncrypt",
        "Sign",
        "Verify",
        "VerifyMac",
    }
)


class KMS(Service):
    name: ClassVar[str] = "kms"

    def amend(
        self, ctx: Context, operation: str, params: Mapping[str, Any], environ: dict[str, Any]
    ) -> None:
        del environ
        if operation not in USES:
            return
        lookup = moto_state.MotoLookup()
        named = [params.get(name) for name in ("KeyId", "SourceKeyId", "DestinationKeyId")]
        arns = [lookup.key_arn(ctx.account, ctx.region, name) for name in named if name]
        if blob := params.get("CiphertextBlob"):
            arns.append(lookup.ciphertext_key(ctx.account, ctx.region, blob))
        for arn in arns:
            state = moto_state.key_state(arn) if arn else None
            if state == "Disabled":
                raise ServiceError("DisabledException", f"{arn} is disabled.")
            if state not in {None, "Enabled"}:
                message = f"{arn} is {state}; only an enabled key can be used."
                raise ServiceError("KMSInvalidStateException", message)
