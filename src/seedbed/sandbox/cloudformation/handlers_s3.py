"""Buckets: one property, one call, and names that differ between the two."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from seedbed.sandbox.cloudformation.aws import Aws, convert, input_shape
from seedbed.sandbox.cloudformation.errors import ResourceError
from seedbed.sandbox.cloudformation.resources import Resource, call_unless_gone


def _encryption(value: Mapping[str, Any]) -> dict[str, Any]:
    names = {"ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault"}
    rules = [_renamed(rule, names) for rule in value["ServerSideEncryptionConfiguration"]]
    return {"ServerSideEncryptionConfiguration": {"Rules": rules}}


def _lifecycle(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"LifecycleConfiguration": {"Rules": [_rule(rule) for rule in value["Rules"]]}}


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    names = {"ExpirationInDays": "Days", "ExpirationDate": "Date"}
    expiry = ("ExpirationInDays", "ExpirationDate", "ExpiredObjectDeleteMarker")
    filters = ("Prefix", "TagFilters", "ObjectSizeGreaterThan", "ObjectSizeLessThan")
    aside = {*expiry, *filters, "Transition", "NoncurrentVersionTransition",
             "NoncurrentVersionExpirationInDays"}  # fmt: skip
    made = {name: item for name, item in rule.items() if name not in aside}
    found = {names.get(name, name): rule[name] for name in expiry if name in rule}
    if found:
        made["Expiration"] = found
    if "NoncurrentVersionExpirationInDays" in rule:
        days = rule["NoncurrentVersionExpirationInDays"]
        made["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
    for one, many, days in (
        ("Transition", "Transitions", "Days"),
        ("NoncurrentVersionTransition", "NoncurrentVersionTransitions", "NoncurrentDays"),
    ):
        listed = [*rule.get(many, []), *([rule[one]] if one in rule else [])]
        if listed:
            names = {"TransitionInDays": days, "TransitionDate": "Date"}
            made[many] = [_renamed(item, names) for item in listed]
    tags = rule.get("TagFilters", [])
    parts = {name: rule[name] for name in filters if name in rule and name != "TagFilters"}
    if len(parts) + len(tags) > 1:
        made["Filter"] = {"And": {**parts, **({"Tags": tags} if tags else {})}}
    else:
        made["Filter"] = parts or ({"Tag": tags[0]} if tags else {"Prefix": ""})
    return made


def _cors(value: Mapping[str, Any]) -> dict[str, Any]:
    names = {"ExposedHeaders": "ExposeHeaders", "MaxAge": "MaxAgeSeconds"}
    rules = [_renamed(rule, names) for rule in value["CorsRules"]]
    return {"CORSConfiguration": {"CORSRules": rules}}


def _logging(value: Mapping[str, Any]) -> dict[str, Any]:
    names = {"DestinationBucketName": "TargetBucket", "LogFilePrefix": "TargetPrefix"}
    enabled = {"TargetPrefix": "", **_renamed(value, names)}
    return {"BucketLoggingStatus": {"LoggingEnabled": enabled}}


def _notification(value: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    bridge = value.get("EventBridgeConfiguration")
    if bridge is not None and bridge.get("EventBridgeEnabled", True):
        made["EventBridgeConfiguration"] = {}
    for name, target, arn in (
        ("LambdaConfigurations", "LambdaFunctionConfigurations", ("Function", "LambdaFunctionArn")),
        ("QueueConfigurations", "QueueConfigurations", ("Queue", "QueueArn")),
        ("TopicConfigurations", "TopicConfigurations", ("Topic", "TopicArn")),
    ):
        listed = []
        for item in value.get(name, []):
            entry = {"Events": [item["Event"]], arn[1]: item[arn[0]]}
            if "Filter" in item:
                entry["Filter"] = {"Key": {"FilterRules": item["Filter"]["S3Key"]["Rules"]}}
            listed.append(entry)
        if listed:
            made[target] = listed
    return {"NotificationConfiguration": made}


def _named(name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {name: value}


# property -> the call that sets it, its parameters, and what takes the property away
SETTINGS: dict[str, tuple[str, Callable[[Any], dict[str, Any]], str | dict[str, Any]]] = {
    "OwnershipControls": (
        "PutBucketOwnershipControls", _named("OwnershipControls"), "DeleteBucketOwnershipControls",
    ),
    "VersioningConfiguration": (
        "PutBucketVersioning", _named("VersioningConfiguration"), {"Status": "Suspended"},
    ),
    "BucketEncryption": ("PutBucketEncryption", _encryption, "DeleteBucketEncryption"),
    "PublicAccessBlockConfiguration": (
        "PutPublicAccessBlock", _named("PublicAccessBlockConfiguration"), "DeletePublicAccessBlock",
    ),
    "LifecycleConfiguration": (
        "PutBucketLifecycleConfiguration", _lifecycle, "DeleteBucketLifecycle",
    ),
    "CorsConfiguration": ("PutBucketCors", _cors, "DeleteBucketCors"),
    "LoggingConfiguration": ("PutBucketLogging", _logging, {"BucketLoggingStatus": {}}),
    "NotificationConfiguration": ("PutBucketNotificationConfiguration", _notification, {}),
    "ObjectLockConfiguration": (
        "PutObjectLockConfiguration", _named("ObjectLockConfiguration"), "",
    ),
    "ReplicationConfiguration": (
        "PutBucketReplication", _named("ReplicationConfiguration"), "DeleteBucketReplication",
    ),
    "AccelerateConfiguration": (
        "PutBucketAccelerateConfiguration",
        lambda value: {"AccelerateConfiguration": {"Status": value["AccelerationStatus"]}},
        {"AccelerationStatus": "Suspended"},
    ),
    "Tags": ("PutBucketTagging", lambda tags: {"Tagging": {"TagSet": tags}}, "DeleteBucketTagging"),
}  # fmt: skip
# Canned ACLs of objects: S3 ignores them on a bucket that is created, as its user guide tells.
FOR_OBJECTS = ("BucketOwnerRead", "BucketOwnerFullControl")
LOG_DELIVERY = "LogDeliveryWrite"
AT_CREATION = {"BucketName", "AccessControl", "ObjectLockEnabled"}


class Bucket:
    """AWS::S3::Bucket."""

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        self._check(resource)
        name = given.get("BucketName") or resource.unique(63, lower=True)
        params: dict[str, Any] = {"Bucket": name}
        if aws.region != "us-east-1":
            params["CreateBucketConfiguration"] = {"LocationConstraint": aws.region}
        acl = self._acl(resource)
        if acl and acl != LOG_DELIVERY:
            params["ACL"] = re.sub(r"(?<!^)([A-Z])", r"-\1", acl).lower()
        if "OwnershipControls" in given:
            params["ObjectOwnership"] = _ownership(given)
        if given.get("ObjectLockEnabled"):
            params["ObjectLockEnabledForBucket"] = True
        try:
            aws.call("s3:CreateBucket", **params)
        except ResourceError as error:
            if error.ambiguous and "BucketName" not in given:
                resource.physical_id = name
            raise
        resource.physical_id = name
        self._describe(resource, aws)
        if acl == LOG_DELIVERY:
            self._grant_log_delivery(name, aws)
        for setting in SETTINGS:
            if setting in given:
                self._put(resource, setting, given[setting], aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        self._check(resource)
        new = resource.properties
        for name in AT_CREATION:
            if old.get(name) != new.get(name):
                raise ResourceError(f"{resource.where}: changing property {name} is not emulated")
        for name, (_, _, away) in SETTINGS.items():
            if name in new and old.get(name) != new[name]:
                self._put(resource, name, new[name], aws)
            elif name in old and name not in new:
                if away == "":
                    raise ResourceError(
                        f"{resource.where}: taking away property {name} is not emulated"
                    )
                if isinstance(away, str):
                    call_unless_gone(aws, f"s3:{away}", Bucket=resource.physical_id)
                elif name == "LoggingConfiguration":
                    aws.call("s3:PutBucketLogging", Bucket=resource.physical_id, **away)
                else:
                    self._put(resource, name, away, aws)
        self._describe(resource, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        call_unless_gone(aws, "s3:DeleteBucket", Bucket=resource.physical_id)

    def _acl(self, resource: Resource) -> str:
        """Return the canned ACL that S3 is to be told, if any.

        Raises:
            ResourceError: The bucket's ownership turns ACLs off, as is S3's default.
        """
        acl = str(resource.properties.get("AccessControl", "Private"))
        if acl in ("Private", *FOR_OBJECTS):
            return ""
        if _ownership(resource.properties) == "BucketOwnerEnforced":
            raise ResourceError(
                f"{resource.where}: property AccessControl: Bucket cannot have ACLs set with "
                "ObjectOwnership's BucketOwnerEnforced setting: give OwnershipControls too"
            )
        return acl

    def _grant_log_delivery(self, name: str, aws: Aws) -> None:
        """Grant what the canned ACL log-delivery-write stands for, which CreateBucket lacks."""
        known = aws.call("s3:GetBucketAcl", Bucket=name)
        group = {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/s3/LogDelivery"}
        grants = [{"Grantee": group, "Permission": each} for each in ("WRITE", "READ_ACP")]
        policy = {"Owner": known["Owner"], "Grants": [*known["Grants"], *grants]}
        aws.call("s3:PutBucketAcl", Bucket=name, AccessControlPolicy=policy)

    def _check(self, resource: Resource) -> None:
        for name in resource.properties:
            if name not in SETTINGS and name not in AT_CREATION:
                raise ResourceError(f"{resource.where}: property {name} is not emulated")

    def _put(self, resource: Resource, name: str, value: Any, aws: Aws) -> None:
        operation, build, _ = SETTINGS[name]
        shape = input_shape(f"s3:{operation}")
        params = convert(build(value), shape, f"{resource.where}: property {name}")
        aws.call(f"s3:{operation}", Bucket=resource.physical_id, **params)

    def _describe(self, resource: Resource, aws: Aws) -> None:
        name = resource.physical_id
        resource.attributes |= {
            "Arn": f"arn:{aws.partition}:s3:::{name}",
            "BucketName": name,
            "DomainName": f"{name}.s3.amazonaws.com",
            "DualStackDomainName": f"{name}.s3.dualstack.{aws.region}.amazonaws.com",
            "RegionalDomainName": f"{name}.s3.{aws.region}.amazonaws.com",
            "WebsiteURL": f"http://{name}.s3-website-{aws.region}.amazonaws.com",
        }


def _ownership(given: Mapping[str, Any]) -> str:
    rules = given.get("OwnershipControls", {}).get("Rules") or [{}]
    return str(rules[0].get("ObjectOwnership", "BucketOwnerEnforced"))


def _renamed(value: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): item for name, item in value.items()}
