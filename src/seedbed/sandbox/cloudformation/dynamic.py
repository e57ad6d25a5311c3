"""Dynamic references: `{{resolve:ssm:...}}`, `ssm-secure` and `secretsmanager`.

They are resolved when a handler is called and never kept: a stack's record holds the reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

from seedbed.sandbox.cloudformation.errors import ResourceError

REFERENCE = re.compile(r"\{\{resolve:([a-z-]+):([^{}]*?)\}\}")
# The properties that accept ssm-secure, from the CloudFormation user guide.
SECURE = {
    "AWS::DirectoryService::MicrosoftAD": "Password",
    "AWS::DirectoryService::SimpleAD": "Password",
    "AWS::ElastiCache::ReplicationGroup": "AuthToken",
    "AWS::IAM::User": "LoginProfile",
    "AWS::KinesisFirehose::DeliveryStream": "RedshiftDestinationConfiguration",
    "AWS::RDS::DBCluster": "MasterUserPassword",
    "AWS::RDS::DBInstance": "MasterUserPassword",
    "AWS::Redshift::Cluster": "MasterUserPassword",
}


class Reader(Protocol):
    """The calls that a reference needs, with the credentials of the stack's operation."""

    def call(self, operation: str, **params: Any) -> dict[str, Any]: ...


def resolve(properties: Mapping[str, Any], kind: str, aws: Reader) -> dict[str, Any]:
    """Put values in the place of the references in a resource's properties.

    Raises:
        ResourceError: A reference is malformed, not allowed at this property, or not readable.
    """
    return {
        name: _walk(value, aws, secure=SECURE.get(kind) == name)
        for name, value in properties.items()
    }


def _walk(node: Any, aws: Reader, *, secure: bool) -> Any:
    if isinstance(node, Mapping):
        return {key: _walk(item, aws, secure=secure) for key, item in node.items()}
    if isinstance(node, list):
        return [_walk(item, aws, secure=secure) for item in node]
    if isinstance(node, str) and "{{resolve:" in node:
        return REFERENCE.sub(lambda match: _one(match, aws, secure=secure), node)
    return node


def _one(match: re.Match[str], aws: Reader, *, secure: bool) -> str:
    service, rest = match[1], match[2]
    if service == "ssm" or (service == "ssm-secure" and secure):
        name = rest if rest.rpartition(":")[2].isdigit() or ":" not in rest else None
        if name is None:
            raise ResourceError(f"{match[0]}: give ssm references as name or name:version")
        secure_value = service == "ssm-secure"
        found = aws.call("ssm:GetParameters", Names=[name], WithDecryption=secure_value)
        if not found["Parameters"]:
            raise ResourceError(f"{match[0]}: the parameter store has no parameter {name}")
        parameter = found["Parameters"][0]
        if service == "ssm" and parameter["Type"] == "SecureString":
            raise ResourceError(f"{match[0]}: a SecureString needs ssm-secure")
        return str(parameter["Value"])
    if service == "ssm-secure":
        raise ResourceError(f"{match[0]}: SSM Secure reference is not supported in this property")
    if service == "secretsmanager":
        return _secret(match[0], rest, aws)
    raise ResourceError(f"{match[0]}: unknown service {service} in a dynamic reference")


def _secret(reference: str, rest: str, aws: Reader) -> str:
    if rest.startswith("arn:"):
        parts = rest.split(":")
        identifier, options = ":".join(parts[:7]), parts[7:]
    else:
        identifier, *options = rest.split(":")
    kind, key, stage, version = [*options, "", "", "", ""][:4]
    if kind not in ("", "SecretString"):
        raise ResourceError(f"{reference}: only SecretString can be referred to")
    asked = {"VersionStage": stage, "VersionId": version}
    found = aws.call(
        "secretsmanager:GetSecretValue",
        SecretId=identifier,
        **{name: value for name, value in asked.items() if value},
    )
    secret = str(found["SecretString"])
    if not key:
        return secret
    try:
        return str(json.loads(secret)[key])
    except (ValueError, KeyError, TypeError) as error:
        raise ResourceError(f"{reference}: the secret has no JSON key {key}") from error
