"""Needs of S3, KMS (also on the way), secrets, parameters, Glue, Athena and API Gateway."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from moto.core.utils import get_service_model

from seedbed.sandbox import iam_actions
from seedbed.sandbox.conditions import Undecided
from seedbed.sandbox.needs import ROLE, SPECIAL, Asked, Need, owner_of, plain

ENCRYPTS = {"PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy"}
MULTIPART = {"CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"}
DECRYPTS = {"GetObject", "HeadObject", "GetObjectAttributes"}
HEADERS = {
    "ACL": "s3:x-amz-acl",
    "CopySource": "s3:x-amz-copy-source",
    "ServerSideEncryption": "s3:x-amz-server-side-encryption",
    "SSEKMSKeyId": "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "StorageClass": "s3:x-amz-storage-class",
    "Prefix": "s3:prefix",
    "Delimiter": "s3:delimiter",
    "MaxKeys": "s3:max-keys",
    "VersionId": "s3:versionid",
}


def s3(asked: Asked) -> list[Need] | None:
    """Judge S3 by bucket and object ARNs; what is encrypted with KMS needs its key too."""
    bucket, key, operation = asked.get("Bucket"), asked.get("Key"), asked.operation
    if bucket is None:
        return None
    action = iam_actions.action_of("s3", operation)
    reference = iam_actions.reference("s3")
    kinds = reference.actions.get(action.split(":")[1].lower()) if reference else None
    if kinds is None:
        raise Undecided(f"{action} is not in the authorization reference")
    extra = {
        key: (str(asked.params[name]),) for name, key in HEADERS.items() if name in asked.params
    }
    owner = asked.lookup.bucket_owner(bucket) or asked.account
    if operation == "DeleteObjects":
        return [
            Need(_versioned("s3:DeleteObject", one), _object(bucket, one["Key"]), owner, extra)
            for one in asked.params["Delete"]["Objects"]
        ]
    if "object" not in kinds:
        return [Need(action, f"arn:aws:s3:::{bucket}", owner, extra)]
    found = [Need(_versioned(action, asked.params), _object(bucket, key), owner, extra)]
    if asked.get("Tagging") and operation in ENCRYPTS:
        found.append(Need("s3:PutObjectTagging", _object(bucket, key), owner, extra))
    if asked.get("ACL") and operation in ENCRYPTS:
        found.append(Need("s3:PutObjectAcl", _object(bucket, key), owner, extra))
    if "CopySource" in asked.params:
        found += _copied(asked)
    return [*found, *_encryption(asked, bucket, key)]


def _object(bucket: str, key: str) -> str:
    return f"arn:aws:s3:::{bucket}/{key}"


def _versioned(action: str, params: Any) -> str:
    has = action in {
        "s3:GetObject",
        "s3:DeleteObject",
        "s3:GetObjectTagging",
        "s3:PutObjectTagging",
        "s3:DeleteObjectTagging",
        "s3:GetObjectAcl",
        "s3:PutObjectAcl",
    }
    return (
        action.replace("Object", "ObjectVersion", 1) if has and params.get("VersionId") else action
    )


def _copied(asked: Asked) -> list[Need]:
    source = asked.params["CopySource"]
    if not isinstance(source, dict):
        path, _, version = unquote(str(source)).lstrip("/").partition("?versionId=")
        bucket, _, key = path.partition("/")
        source = {"Bucket": bucket, "Key": key} | ({"VersionId": version} if version else {})
    bucket, key = source["Bucket"], source["Key"]
    owner = asked.lookup.bucket_owner(bucket) or asked.account
    needed = [Need(_versioned("s3:GetObject", source), _object(bucket, key), owner)]
    key_id = asked.lookup.object_key(bucket, key, source.get("VersionId"))
    return needed + _kms(asked, key_id, owner, ["kms:Decrypt"], bucket)


def _encryption(asked: Asked, bucket: str, key: str) -> list[Need]:
    owner = asked.lookup.bucket_owner(bucket) or asked.account
    if asked.operation in DECRYPTS:
        key_id = asked.lookup.object_key(bucket, key, asked.get("VersionId"))
        return _kms(asked, key_id, owner, ["kms:Decrypt"], bucket)
    said = asked.get("ServerSideEncryption")
    key_id = asked.get("SSEKMSKeyId") if said else asked.lookup.bucket_key(bucket)
    if asked.operation in ENCRYPTS or asked.operation in MULTIPART:
        actions = [] if asked.operation == "CompleteMultipartUpload" else ["kms:GenerateDataKey"]
        actions += ["kms:Decrypt"] if asked.operation in MULTIPART else []
        # S3 evaluates a key given by id or alias in the caller's account for the header.
        return _kms(asked, key_id, asked.account if said else owner, actions, bucket)
    return []


def _kms(
    asked: Asked, key_id: str | None, account: str, actions: list[str], bucket: str
) -> list[Need]:
    """Return the needs on a customer's key; AWS's own keys ask nobody."""
    arn = asked.lookup.key_arn(account, asked.region, key_id) if key_id else None
    if arn is None:
        return []
    extra = {
        "kms:viaservice": (f"s3.{asked.region}.amazonaws.com",),
        "kms:encryptioncontext:aws:s3:arn": (f"arn:aws:s3:::{bucket}",),
        "kms:encryptioncontextkeys": ("aws:s3:arn",),
        "aws:viaawsservice": ("true",),
    }
    return [Need(action, arn, arn.split(":")[4], extra) for action in actions]


def kms(asked: Asked) -> list[Need] | None:
    """Judge KMS by its keys' ARNs, whatever names them."""
    operation, action = asked.operation, f"kms:{asked.operation}"
    extra = _kms_context(asked)
    if operation == "ReEncrypt":
        source = asked.get("SourceKeyId") or asked.lookup.ciphertext_key(
            asked.account, asked.region, asked.get("CiphertextBlob") or b""
        )
        pairs = (("kms:ReEncryptFrom", source), ("kms:ReEncryptTo", asked.get("DestinationKeyId")))
        return [_on_key(asked, one, key_id, extra) for one, key_id in pairs]
    if "alias" in operation.lower() and asked.get("AliasName"):
        target = asked.get("TargetKeyId") or asked.get("AliasName")
        alias = asked.arn(str(asked.get("AliasName")))
        return [asked.need(action, alias), _on_key(asked, action, target, extra)]
    key_id = asked.get("KeyId")
    if key_id is None and operation == "Decrypt":
        blob = asked.get("CiphertextBlob") or b""
        key_id = asked.lookup.ciphertext_key(asked.account, asked.region, blob)
    if key_id is None:
        return (
            plain(asked)
            if "keyid" not in asked.accepts
            else [asked.need(action, asked.arn("key/*"))]
        )
    return [_on_key(asked, action, key_id, extra)]


def _on_key(asked: Asked, action: str, key_id: Any, extra: dict[str, tuple[str, ...]]) -> Need:
    arn = asked.lookup.key_arn(asked.account, asked.region, str(key_id))
    if arn is None:
        arn = key_id if str(key_id).startswith("arn:") else asked.arn(f"key/{key_id}")
    return Need(action, arn, arn.split(":")[4], extra)


def _kms_context(asked: Asked) -> dict[str, tuple[str, ...]]:
    extra: dict[str, tuple[str, ...]] = {}
    given = asked.get("EncryptionContext") or {}
    for name, value in given.items():
        extra[f"kms:encryptioncontext:{name.lower()}"] = (str(value),)
    if given:
        extra["kms:encryptioncontextkeys"] = tuple(given)
    if asked.get("Operations"):
        extra["kms:grantoperations"] = tuple(asked.get("Operations"))
    for name in ("KeySpec", "KeyUsage"):
        if asked.get(name):
            extra[f"kms:{name.lower()}"] = (str(asked.get(name)),)
    if asked.operation == "CreateGrant":
        extra["kms:grantisforawsresource"] = ("false",)
    if str(asked.get("KeyId") or "").startswith("alias/"):
        extra["kms:requestalias"] = (str(asked.get("KeyId")),)
    return extra


def secret_key(asked: Asked, key_id: str | None, service: str) -> list[Need]:
    """Return the decryption of a secret, parameter or message under a customer's key."""
    arn = asked.lookup.key_arn(asked.account, asked.region, key_id) if key_id else None
    if arn is None:
        return []
    extra = {
        "kms:viaservice": (f"{service}.{asked.region}.amazonaws.com",),
        "aws:viaawsservice": ("true",),
    }
    return [Need("kms:Decrypt", arn, arn.split(":")[4], extra)]


def ssm(asked: Asked) -> list[Need] | None:
    names = asked.get("Names") or [
        asked.get("Path") or asked.get("Name") or asked.get("ResourceId")
    ]
    reference = iam_actions.reference("ssm")
    kinds = reference.actions.get(asked.operation.lower(), ()) if reference else ()
    if "parameter" not in kinds or not all(names):
        return None
    if asked.get("ResourceType") not in {None, "Parameter"}:
        return None
    action = f"ssm:{asked.operation}"
    found = []
    for name in names:
        whole = str(name).split(":")[0] if not str(name).startswith("arn:") else str(name)
        arn = whole if whole.startswith("arn:") else asked.arn(f"parameter/{whole.lstrip('/')}")
        found.append(asked.need(action, arn))
    return found


def secretsmanager(asked: Asked) -> list[Need] | None:
    name = asked.get("SecretId") or asked.get("Name")
    if not name:
        return None
    known = asked.lookup.secret_arn(asked.account, asked.region, str(name))
    arn = known or (name if str(name).startswith("arn:") else asked.arn(f"secret:{name}-xxxxxx"))
    return [asked.need(f"secretsmanager:{asked.operation}", str(arn))]


def glue(asked: Asked) -> list[Need] | None:
    reference = iam_actions.reference("glue")
    kinds = reference.actions.get(asked.operation.lower(), ()) if reference else ()
    if not {"catalog", "database", "table"} & set(kinds):
        return None
    database = asked.get("DatabaseName") or asked.get("DatabaseInput.Name")
    if "Database" in asked.operation:
        database = asked.get("Name") or database
    table = asked.get("TableName") or asked.get("TableInput.Name")
    if "Table" in asked.operation:
        table = asked.get("Name") or table
    found = [asked.arn("catalog")]
    if "database" in kinds:
        found.append(asked.arn(f"database/{database or '*'}"))
    if "table" in kinds:
        found.append(asked.arn(f"table/{database or '*'}/{table or '*'}"))
    return [asked.need(f"glue:{asked.operation}", arn) for arn in found]


def athena(asked: Asked) -> list[Need] | None:
    """Judge queries by their workgroup, `primary` unless said."""
    reference = iam_actions.reference("athena")
    kinds = reference.actions.get(asked.operation.lower(), ()) if reference else ()
    if "workgroup" not in kinds or asked.get("WorkGroup") or "WorkGroup" in asked.operation:
        return None
    listed = asked.get("QueryExecutionIds") or asked.get("NamedQueryIds")
    ids = listed or [asked.get("QueryExecutionId") or asked.get("NamedQueryId")]
    found = [asked.lookup.workgroup(asked.account, asked.region, str(one)) for one in ids]
    groups = dict.fromkeys(name or "primary" for name in found)
    action = f"athena:{asked.operation}"
    return [asked.need(action, asked.arn(f"workgroup/{name}")) for name in groups]


def apigateway(asked: Asked) -> list[Need]:
    """Judge API Gateway by what it names its actions for: the request's HTTP method and path."""
    model = get_service_model("apigateway").operation_model(asked.operation)
    members = model.input_shape.members if model.input_shape else {}
    named = {shape.serialization.get("name", name): name for name, shape in members.items()}

    def fill(found: re.Match[str]) -> str:
        return str(asked.get(named[found[1]]) or "*")

    path = re.sub(r"\{([^}+]+)\+?\}", fill, model.http["requestUri"].partition("?")[0])
    resource = f"arn:aws:apigateway:{asked.region}::{path}"
    patched = asked.get("patchOperations.value") or []
    given = [*patched, asked.get("credentials"), asked.get("authorizerCredentials")]
    passed = {"iam:passedtoservice": ("apigateway.amazonaws.com",)}
    roles = [one for one in given if ROLE.fullmatch(str(one))]
    return [
        asked.need(f"apigateway:{model.http['method']}", resource),
        *(Need("iam:PassRole", role, owner_of(role) or "", passed) for role in roles),
    ]


for _prefix, _judge in {
    "apigateway": apigateway,
    "athena": athena,
    "glue": glue,
    "kms": kms,
    "s3": s3,
    "secretsmanager": secretsmanager,
    "ssm": ssm,
}.items():
    SPECIAL[_prefix] = _judge
