"""S3: moto's, but for what it gets wrong.

A bucket's default encryption does not reach its objects; a sub-resource that moto does not know is
taken for the bucket itself; whose bucket it is, and who may be notified, it does not ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs

from seedbed.sandbox import identity, moto_state
from seedbed.sandbox.moto_state import MotoLookup
from seedbed.sandbox.service import Service, ServiceError, unsupported
from seedbed.sandbox.services import permission
from seedbed.sandbox.world import Context

WRITES = frozenset({"PutObject", "CopyObject", "CreateMultipartUpload"})
# moto answers these with the bucket's listing, or by creating it.
UNKNOWN = frozenset(
    {
        "abac",
        "analytics",
        "annotation",
        "intelligent-tiering",
        "metadataAnnotationTable",
        "metadataConfiguration",
        "metadataInventoryTable",
        "metadataJournalTable",
        "metadataTable",
        "metrics",
        "renameObject",
        "requestPayment",
        "session",
        "torrent",
    }
)
SSE = "HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION"

# Parameters and members of configurations that moto takes and loses, wherever they stand.
LOST = frozenset(
    {
        "AnnotationDirective",
        "BlockedEncryptionTypes",
        "CopySourceIfMatch",
        "CopySourceIfModifiedSince",
        "CopySourceIfUnmodifiedSince",
        "CopySourceSSECustomerAlgorithm",
        "GrantFullControl",
        "GrantRead",
        "GrantReadACP",
        "GrantWrite",
        "GrantWriteACP",
        "IfMatchInitiatedTime",
        "IfMatchLastModifiedTime",
        "IfMatchSize",
        "InvocationRole",
        "MFA",
        "MFADelete",
        "MpuObjectSize",
        "ObjectLockEventHold",
        "ObjectSizeGreaterThan",
        "ObjectSizeLessThan",
        "OptionalObjectAttributes",
        "SSECustomerAlgorithm",
        "SSEKMSEncryptionContext",
        "SourceSelectionCriteria",
        "TargetGrants",
        "TargetObjectKeyFormat",
        "TransitionDefaultMinimumObjectSize",
        "WriteOffsetBytes",
    }
)
# The event's destination in a notification configuration -> what S3 must be allowed.
DESTINATIONS = {
    "LambdaFunctionArn": "lambda:InvokeFunction",
    "QueueArn": "sqs:SendMessage",
    "TopicArn": "sns:Publish",
}


class S3(Service):
    name: ClassVar[str] = "s3"

    def amend(
        self, ctx: Context, operation: str, params: Mapping[str, Any], environ: dict[str, Any]
    ) -> None:
        asked = set(parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        if asked & UNKNOWN:
            raise unsupported(f"s3:{operation}")
        _refuse_lost(operation, params)
        expected = params.get("ExpectedBucketOwner", ctx.owner)
        if expected != ctx.owner:
            raise ServiceError("AccessDenied", f"the bucket is not owned by {expected}", 403)
        if operation == "PutBucketNotificationConfiguration":
            self._ask_destinations(ctx, params)
        lookup = MotoLookup()
        if operation == "GetObject":
            key = lookup.object_key(params["Bucket"], params["Key"], params.get("VersionId"))
            _usable(lookup, ctx.owner, ctx.region, key)
        if operation not in WRITES:
            return
        if SSE in environ:
            _usable(lookup, ctx.account, ctx.region, params.get("SSEKMSKeyId"))
            return
        key = lookup.bucket_key(params["Bucket"])
        if key is not None:
            environ[SSE] = "aws:kms"
            environ[f"{SSE}_AWS_KMS_KEY_ID"] = _usable(lookup, ctx.owner, ctx.region, key)

    def _ask_destinations(self, ctx: Context, params: Mapping[str, Any]) -> None:
        """Have S3 ask, as it does, whether it may send to what a configuration names.

        Raises:
            ServiceError: A destination's policy does not allow it.
        """
        if params.get("SkipDestinationValidation"):
            return
        who = identity.service_principal(
            ctx.owner, "s3.amazonaws.com", f"arn:aws:s3:::{params['Bucket']}"
        )
        for member, action in DESTINATIONS.items():
            for target in _found(params["NotificationConfiguration"], member):
                try:
                    permission.judge(self.world, who, action, target, ctx.region)
                except ServiceError as error:
                    message = "Unable to validate the following destination configurations"
                    message = f"{message}: {target} ({error.message})"
                    raise ServiceError("InvalidArgument", message, 400) from error


def _usable(lookup: MotoLookup, account: str, region: str, key: str | None) -> str:
    """Return the ARN of a key that S3 encrypts or decrypts with; AWS's own keys are always there.

    Raises:
        ServiceError: There is no such key, or it is not enabled.
    """
    if key is None or "alias/aws/" in key:
        return key or ""
    arn = lookup.key_arn(account, region, key)
    state = moto_state.key_state(arn) if arn else None
    if arn is None or state is None:
        raise ServiceError("KMS.NotFoundException", f"Key {key} does not exist", 400)
    if state == "Disabled":
        raise ServiceError("KMS.DisabledException", f"{arn} is disabled.", 400)
    if state != "Enabled":
        raise ServiceError("KMS.KMSInvalidStateException", f"{arn} is {state}.", 400)
    return arn


def _refuse_lost(operation: str, params: Mapping[str, Any]) -> None:
    for name in sorted(LOST):
        if any(_found(params, name)):
            raise unsupported(f"{name} of s3:{operation}")


def _found(value: object, name: str) -> Iterator[Any]:
    """Yield every member of that name, however deep."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            if key == name:
                yield one
            else:
                yield from _found(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from _found(one, name)
