"""What Studio's page "Create project" offers a role; no operation of AWS tells it.

What the user's browser reads is read as the role; what Studio knows anyway (tags of domains and
products, a bucket's CORS rules) is read as the account's administrator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import yaml
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from seedbed.sandbox.handle import Sandbox

VISIBLE = ("sagemaker:studio-visibility", "true")
LOCATION = "sagemaker:projectS3TemplatesLocation"
TEMPLATES = (".yml", ".yaml")
ORIGIN = "https://d-xxxxxxxxxxxx.studio.eu-west-1.sagemaker.aws"
METHODS = {"GET", "HEAD"}


def listing(
    sandbox: Sandbox, account: str, role_arn: str, domain: str
) -> dict[str, list[dict[str, str]]]:
    """Return the templates of the page's tabs, `organization` and `s3`.

    Each has a name, an id or URL, and a reason: empty, or why it cannot be used.
    """
    return {
        "organization": list(_products(sandbox, account, role_arn)),
        "s3": list(_stored(sandbox, account, role_arn, domain)),
    }


def _products(sandbox: Sandbox, account: str, role_arn: str) -> Iterator[dict[str, str]]:
    catalog = sandbox.become("servicecatalog", role_arn)
    summaries: list[dict[str, Any]] = []
    page: dict[str, str] = {}
    try:
        while True:
            answer = catalog.search_products(**page)
            summaries += answer["ProductViewSummaries"]
            if "NextPageToken" not in answer:
                break
            page = {"PageToken": answer["NextPageToken"]}
    except ClientError as error:
        yield _entry("servicecatalog:SearchProducts", id="", reason=_said(error))
        return
    for summary in summaries:
        if VISIBLE in _product_tags(sandbox, account, summary["ProductId"]).items():
            yield _entry(summary["Name"], id=summary["ProductId"], reason="")


def _product_tags(sandbox: Sandbox, account: str, product: str) -> dict[str, str]:
    found = sandbox.client("servicecatalog", account).describe_product_as_admin(Id=product)
    owner = found["ProductViewDetail"]["ProductARN"].split(":")[4]
    if owner != sandbox.account(account):
        found = sandbox.client("servicecatalog", owner).describe_product_as_admin(Id=product)
    return _tags(found["Tags"])


def _stored(sandbox: Sandbox, account: str, role_arn: str, domain: str) -> Iterator[dict[str, str]]:
    admin = sandbox.client("sagemaker", account)
    arn = admin.describe_domain(DomainId=domain)["DomainArn"]
    location = _tags(admin.list_tags(ResourceArn=arn)["Tags"]).get(LOCATION)
    if location is None:
        return
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    s3 = sandbox.become("s3", role_arn)
    try:
        pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix))
    except ClientError as error:
        yield _entry(location, url=location, reason=_said(error))
        return
    closed = _closed(sandbox, bucket)
    for key in (one["Key"] for page in pages for one in page.get("Contents", [])):
        if key.endswith(TEMPLATES):
            reason = _reason(s3, bucket, key)
            if reason is not None:
                url = f"https://{bucket}.s3.{sandbox.region}.amazonaws.com/{key}"
                yield _entry(key, url=url, reason=reason or closed)


def _reason(s3: Any, bucket: str, key: str) -> str | None:
    """Return why a template cannot be read, nothing if it can, None if it is not to be shown."""
    try:
        tags = _tags(s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"])
        if VISIBLE not in tags.items():
            return None
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        # Only the form matters: CloudFormation's short tags are any tags here.
        events = [type(event).__name__ for event in yaml.parse(body)]
    except ClientError as error:
        return _said(error)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return f"no YAML: {' '.join(str(error).split())}"
    return "" if "MappingStartEvent" in events else "no YAML mapping"


def _closed(sandbox: Sandbox, bucket: str) -> str:
    """Return why a browser on Studio's pages may not read a bucket, nothing if it may."""
    for account in sandbox.organisation.accounts:
        s3 = sandbox.client("s3", account)
        if bucket not in {one["Name"] for one in s3.list_buckets()["Buckets"]}:
            continue
        try:
            rules = s3.get_bucket_cors(Bucket=bucket)["CORSRules"]
        except ClientError as error:
            return f"CORS: {_said(error)}"
        if not any(_admits(rule) for rule in rules):
            return "CORS: no rule lets https://*.sagemaker.aws GET and HEAD"
    return ""


def _admits(rule: Mapping[str, Any]) -> bool:
    origins = any(fnmatchcase(ORIGIN, one) for one in rule["AllowedOrigins"])
    return origins and set(rule["AllowedMethods"]) >= METHODS


def _tags(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in pairs}


def _entry(name: str, **more: str) -> dict[str, str]:
    return {"name": name, **more}


def _said(error: ClientError) -> str:
    said = error.response["Error"]
    return f"{said['Code']}: {said['Message']}"
