"""How the asset bucket and the Studio domains differ from a release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seedbed.declaration import STUDIO, Declaration
from seedbed.errors import SeedbedError
from seedbed.packaging import MANIFEST, Manifest
from seedbed.packaging.archive import sha256
from seedbed.publishing.changes import FILE, Change
from seedbed.publishing.observe import LOCATION_TAG, Observed, domain_arn

VISIBLE = {"sagemaker:studio-visibility": "true"}
TYPES = {".yml": "application/yaml", ".zip": "application/zip", ".json": "application/json"}
# What Studio needs to read templates from a bucket: "Create a MLOps project using custom
# templates from Amazon S3".
CORS: dict[str, list[str]] = {
    "AllowedHeaders": ["*"],
    "AllowedMethods": ["GET", "HEAD", "PUT", "POST", "DELETE"],
    "AllowedOrigins": ["https://*.sagemaker.aws"],
    "ExposeHeaders": [
        "ETag",
        "x-amz-delete-marker",
        "x-amz-id-2",
        "x-amz-request-id",
        "x-amz-server-side-encryption",
        "x-amz-version-id",
    ],
}


def stable(declared: Declaration, manifest: Manifest, folder: Path) -> dict[str, tuple[str, str]]:
    """Return the keys that hold the newest of something: key -> file of the release, content."""
    release = sha256((folder / MANIFEST).read_bytes())
    wanted = {f"manifests/{manifest.version}.json": (MANIFEST, release)}
    if "s3-templates" in declared.targets:
        for key, product in declared.products.items():
            if product.studio and key in manifest.products:
                made = manifest.products[key]
                wanted[f"{STUDIO}{key}.yml"] = made.key, made.content
    return wanted


def changes(
    seen: Observed,
    declared: Declaration,
    manifest: Manifest,
    wanted: dict[str, tuple[str, str]],
) -> tuple[list[Change], list[Change]]:
    """Return what goes before the catalog's changes, and what may be seen only after them.

    Raises:
        SeedbedError: this version was published with another content.
    """
    first = {item.key: item.key for item in manifest.objects() if item.key not in seen.keys}
    early = [_put(seen, key, file) for key, file in first.items()]
    late = list(_stable(seen, manifest, wanted))
    if "s3-templates" in declared.targets:
        if not any(allows(rule) for rule in seen.cors):
            rules = {"Bucket": seen.bucket, "CORSConfiguration": {"CORSRules": [*seen.cors, CORS]}}
            say = "let Studio's pages read templates"
            early.append(Change("bucket", seen.bucket, say, "s3", "PutBucketCors", rules))
        location = f"s3://{seen.bucket}/{STUDIO}"
        for domain, tags in seen.domains.items():
            if tags.get(LOCATION_TAG) != location:
                pairs = [{"Key": LOCATION_TAG, "Value": location}]
                request = {"ResourceArn": domain_arn(seen.account, domain), "Tags": pairs}
                say = f"show the templates at {location}"
                late.append(Change("domain", domain, say, "sagemaker", "AddTags", request))
    return early, late


def _stable(
    seen: Observed, manifest: Manifest, wanted: dict[str, tuple[str, str]]
) -> Iterator[Change]:
    for key, (file, content) in sorted(wanted.items(), key=lambda item: item[1][0] == MANIFEST):
        known = seen.stable.get(key)
        if file == MANIFEST:
            if known is None:
                yield _put(seen, key, file, content)
            elif known.content != content:
                there = f"{manifest.version} was published with another content"
                raise SeedbedError(f"{key}: {there}: a version never changes, tag a new one")
        elif known is None or known.content != content:
            yield _put(seen, key, file, content, VISIBLE)
        elif known.tags != VISIBLE:
            pairs = [{"Key": k, "Value": v} for k, v in VISIBLE.items()]
            request = {"Bucket": seen.bucket, "Key": key, "Tagging": {"TagSet": pairs}}
            say = "make visible in Studio"
            yield Change("object", key, say, "s3", "PutObjectTagging", request)


def allows(rule: Mapping[str, Any]) -> bool:
    """Tell whether a CORS rule lets in Studio's pages."""
    return all(set(values) <= set(rule.get(key, ())) for key, values in CORS.items())


def _put(
    seen: Observed,
    key: str,
    file: str,
    content: str = "",
    tags: dict[str, str] | None = None,
) -> Change:
    """Return an upload; the bucket's default key encrypts it, a new upload drops old tags."""
    kind = next((name for end, name in TYPES.items() if file.endswith(end)), "")
    request: dict[str, Any] = {
        "Bucket": seen.bucket,
        "Key": key,
        "Body": {FILE: file},
        "ContentType": kind or "application/octet-stream",
        "ChecksumAlgorithm": "SHA256",
    }
    if content:
        request["Metadata"] = {"content": content}
    if tags:
        request["Tagging"] = "&".join(f"{k}={v}" for k, v in tags.items())
    return Change("object", key, "upload", "s3", "PutObject", request)
