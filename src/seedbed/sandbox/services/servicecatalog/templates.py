"""Templates of products: their parameters, outputs and rules, and the copies that are launched."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from seedbed.sandbox.cloudformation.template import parse
from seedbed.sandbox.services.servicecatalog.base import invalid
from seedbed.sandbox.services.servicecatalog.records import Constraint
from seedbed.sandbox.world import Context

# The account that stands for AWS's own: it holds the copies that stacks are made from.
SERVICE_ACCOUNT = "000000000000"
MARK = "servicecatalog:provisioning"
MAKING = threading.Lock()
CONSTRAINTS = (
    "AllowedPattern",
    "ConstraintDescription",
    "MaxLength",
    "MinLength",
    "MaxValue",
    "MinValue",
)


def parameters_of(body: str) -> list[dict[str, Any]]:
    """Return a template's parameters as DescribeProvisioningParameters tells them."""
    return [_parameter(key, one) for key, one in parse(body).parameters.items()]


def _parameter(key: str, declared: Mapping[str, Any]) -> dict[str, Any]:
    limits: dict[str, Any] = {
        name: _text(declared[name]) for name in CONSTRAINTS if name in declared
    }
    if "AllowedValues" in declared:
        limits["AllowedValues"] = [_text(one) for one in declared["AllowedValues"]]
    said: dict[str, Any] = {
        "ParameterKey": key,
        "ParameterType": str(declared.get("Type", "String")),
        "IsNoEcho": _text(declared.get("NoEcho", False)) == "true",
        "ParameterConstraints": limits,
    }
    if "Default" in declared:
        said["DefaultValue"] = _text(declared["Default"])
    if "Description" in declared:
        said["Description"] = str(declared["Description"])
    return said


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def outputs_of(body: str) -> list[dict[str, str]]:
    return [
        {"Key": key, "Description": str(one.get("Description", ""))}
        for key, one in parse(body).outputs.items()
    ]


def instructions_of(body: str) -> list[dict[str, str]]:
    """Return a template's version, description and metadata as usage instructions."""
    tree = parse(body).tree
    said = {
        "version": tree.get("AWSTemplateFormatVersion"),
        "description": tree.get("Description"),
        "metadata": json.dumps(tree["Metadata"]) if "Metadata" in tree else None,
    }
    return [{"Type": kind, "Value": str(value)} for kind, value in said.items() if value]


def constrained(body: str, constraints: Iterable[Constraint]) -> str:
    """Return a template with the rules of its TEMPLATE constraints added.

    Raises:
        ServiceError: A constraint's rule has the name of another.
    """
    rules = [json.loads(one.parameters)["Rules"] for one in constraints if one.kind == "TEMPLATE"]
    if not rules:
        return body
    tree = dict(parse(body).tree)
    merged = dict(tree.get("Rules") or {})
    for added in rules:
        if twice := sorted(set(merged) & set(added)):
            raise invalid(f"The rule {twice[0]} of a template constraint is in the template too.")
        merged |= added
    return json.dumps({**tree, "Rules": merged}, default=str)


def copy_of(ctx: Context, body: str) -> str:
    """Put a template where launches read it, as AWS does, and return its address.

    AWS: launch roles need s3:GetObject on objects tagged servicecatalog:provisioning=true.
    """
    s3 = ctx.client("s3", account=SERVICE_ACCOUNT)
    bucket = f"sandbox-servicecatalog-{ctx.region}"
    key = f"{hashlib.sha256(body.encode()).hexdigest()}.template"
    with MAKING:
        try:
            s3.head_bucket(Bucket=bucket)
        except ClientError:
            _make(s3, bucket, ctx.region)
    s3.put_object(Bucket=bucket, Key=key, Body=body.encode(), Tagging=f"{MARK}=true")
    return f"https://s3.{ctx.region}.amazonaws.com/{bucket}/{key}"


def _make(s3: Any, bucket: str, region: str) -> None:
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
