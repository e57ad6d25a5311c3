"""S3: moto's, but for two things that it gets wrong.

A bucket's default encryption does not reach its objects; and a sub-resource that moto does not
know is taken for the bucket itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs

from seedbed.sandbox.moto_state import MotoLookup
from seedbed.sandbox.service import Service, unsupported
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


class S3(Service):
    name: ClassVar[str] = "s3"

    def amend(
        self, ctx: Context, operation: str, params: Mapping[str, Any], environ: dict[str, Any]
    ) -> None:
        asked = set(parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        if asked & UNKNOWN:
            raise unsupported(f"s3:{operation}")
        if operation not in WRITES or SSE in environ:
            return
        lookup = MotoLookup()
        key = lookup.bucket_key(params["Bucket"])
        if key is not None:
            environ[SSE] = "aws:kms"
            arn = lookup.key_arn(ctx.owner, ctx.region, key)
            environ[f"{SSE}_AWS_KMS_KEY_ID"] = arn or key
