"""Identities: roles with what is attached to them, policies, instance profiles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from seedbed.sandbox.cloudformation.aws import Aws
from seedbed.sandbox.cloudformation.errors import ResourceError
from seedbed.sandbox.cloudformation.resources import (
    Generic,
    Resource,
    call_unless_gone,
    tag_map,
    without,
)

VERSIONS = 5  # of a managed policy, IAM's quota


def _document(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _inline(properties: Mapping[str, Any]) -> dict[str, str]:
    policies = properties.get("Policies", [])
    return {one["PolicyName"]: _document(one["PolicyDocument"]) for one in policies}


OWNERS = {
    "Roles": ("Role", "RoleName"),
    "Users": ("User", "UserName"),
    "Groups": ("Group", "GroupName"),
}


def attach(resource: Resource, owners: str, old: Mapping[str, Any], aws: Aws) -> None:
    """Bring an identity's attached and inline policies from the old ones to the new."""
    noun, key = OWNERS[owners]
    name = {key: resource.physical_id}
    before, after = old.get("ManagedPolicyArns", []), resource.get("ManagedPolicyArns") or []
    for arn in after:
        if arn not in before:
            aws.call(f"iam:Attach{noun}Policy", **name, PolicyArn=arn)
    for arn in before:
        if arn not in after:
            call_unless_gone(aws, f"iam:Detach{noun}Policy", **name, PolicyArn=arn)
    was, now = _inline(old), _inline(resource.properties)
    for policy, document in now.items():
        if was.get(policy) != document:
            aws.call(f"iam:Put{noun}Policy", **name, PolicyName=policy, PolicyDocument=document)
    for policy in was:
        if policy not in now:
            call_unless_gone(aws, f"iam:Delete{noun}Policy", **name, PolicyName=policy)


def detach(resource: Resource, owners: str, aws: Aws) -> None:
    """Take away an identity's policies."""
    bare = replace(resource, properties={})
    attach(bare, owners, resource.properties, aws)


class Role:
    """AWS::IAM::Role."""

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        name = given.get("RoleName") or resource.unique(64)
        said = {
            key: given[key]
            for key in ("Path", "Description", "MaxSessionDuration", "PermissionsBoundary", "Tags")
            if key in given
        }
        trust = _document(given["AssumeRolePolicyDocument"])
        try:
            made = aws.call("iam:CreateRole", RoleName=name, AssumeRolePolicyDocument=trust, **said)
        except ResourceError as error:
            if error.ambiguous and "RoleName" not in given:
                resource.physical_id = name
            raise
        resource.physical_id = name
        resource.attributes |= {
            "Arn": made["Role"]["Arn"], "RoleId": made["Role"]["RoleId"], "RoleName": name,
        }  # fmt: skip
        attach(resource, "Roles", {}, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        new, name = resource.properties, resource.physical_id
        if new["AssumeRolePolicyDocument"] != old["AssumeRolePolicyDocument"]:
            trust = _document(new["AssumeRolePolicyDocument"])
            aws.call("iam:UpdateAssumeRolePolicy", RoleName=name, PolicyDocument=trust)
        settings = {"Description": "", "MaxSessionDuration": 3600}
        if any(new.get(key) != old.get(key) for key in settings):
            said = {key: new.get(key, default) for key, default in settings.items()}
            aws.call("iam:UpdateRole", RoleName=name, **said)
        boundary = new.get("PermissionsBoundary")
        if boundary is None and "PermissionsBoundary" in old:
            call_unless_gone(aws, "iam:DeleteRolePermissionsBoundary", RoleName=name)
        elif boundary != old.get("PermissionsBoundary"):
            aws.call("iam:PutRolePermissionsBoundary", RoleName=name, PermissionsBoundary=boundary)
        before, after = tag_map(old.get("Tags", [])), tag_map(new.get("Tags", []))
        if gone := sorted(set(before) - set(after)):
            aws.call("iam:UntagRole", RoleName=name, TagKeys=gone)
        if set(after.items()) - set(before.items()):
            aws.call("iam:TagRole", RoleName=name, Tags=new["Tags"])
        attach(resource, "Roles", old, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        detach(resource, "Roles", aws)
        call_unless_gone(aws, "iam:DeleteRole", RoleName=resource.physical_id)


class InlinePolicy:
    """AWS::IAM::Policy: one inline policy on several identities."""

    def create(self, resource: Resource, aws: Aws) -> None:
        resource.physical_id = resource.attributes["Id"] = resource.unique(128)
        self._put(resource, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        self._put(resource, aws)
        renamed = old["PolicyName"] != resource.properties["PolicyName"]
        for key in OWNERS:
            kept = [] if renamed else resource.properties.get(key, [])
            gone = [owner for owner in old.get(key, []) if owner not in kept]
            self._remove(key, gone, old["PolicyName"], aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        for key in OWNERS:
            owners = resource.properties.get(key, [])
            self._remove(key, owners, resource.properties["PolicyName"], aws)

    def _put(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        said = {
            "PolicyName": given["PolicyName"],
            "PolicyDocument": _document(given["PolicyDocument"]),
        }
        for key, (noun, name) in OWNERS.items():
            for owner in given.get(key, []):
                aws.call(f"iam:Put{noun}Policy", **{name: owner}, **said)

    def _remove(self, key: str, owners: list[str], policy: str, aws: Aws) -> None:
        noun, name = OWNERS[key]
        for owner in owners:
            call_unless_gone(aws, f"iam:Delete{noun}Policy", **{name: owner}, PolicyName=policy)


class ManagedPolicy:
    """AWS::IAM::ManagedPolicy."""

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        name = given.get("ManagedPolicyName") or resource.unique(128)
        said = {key: given[key] for key in ("Path", "Description") if key in given}
        document = _document(given["PolicyDocument"])
        made = aws.call("iam:CreatePolicy", PolicyName=name, PolicyDocument=document, **said)
        resource.physical_id = made["Policy"]["Arn"]
        resource.attributes |= {"PolicyArn": resource.physical_id, "ManagedPolicyName": name}
        resource.attributes |= {
            key: made["Policy"][key]
            for key in ("PolicyId", "DefaultVersionId", "IsAttachable", "AttachmentCount")
            if key in made["Policy"]
        }
        self._attach(resource, {}, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        new = resource.properties
        if new["PolicyDocument"] != old["PolicyDocument"]:
            arn = resource.physical_id
            versions = aws.call("iam:ListPolicyVersions", PolicyArn=arn)["Versions"]
            spare = [one for one in versions if not one["IsDefaultVersion"]]
            if len(versions) == VERSIONS:
                oldest = min(spare, key=lambda one: int(one["VersionId"][1:]))
                aws.call("iam:DeletePolicyVersion", PolicyArn=arn, VersionId=oldest["VersionId"])
            made = aws.call(
                "iam:CreatePolicyVersion", PolicyArn=arn, SetAsDefault=True,
                PolicyDocument=_document(new["PolicyDocument"]),
            )  # fmt: skip
            resource.attributes["DefaultVersionId"] = made["PolicyVersion"]["VersionId"]
        self._attach(resource, old, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        arn = resource.physical_id
        for key, (noun, name) in OWNERS.items():
            for owner in resource.properties.get(key, []):
                call_unless_gone(aws, f"iam:Detach{noun}Policy", **{name: owner}, PolicyArn=arn)
        versions = call_unless_gone(aws, "iam:ListPolicyVersions", PolicyArn=arn)
        for one in versions.get("Versions", []):
            if not one["IsDefaultVersion"]:
                aws.call("iam:DeletePolicyVersion", PolicyArn=arn, VersionId=one["VersionId"])
        call_unless_gone(aws, "iam:DeletePolicy", PolicyArn=arn)

    def _attach(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        arn = resource.physical_id
        for key, (noun, name) in OWNERS.items():
            before, after = old.get(key, []), resource.properties.get(key, [])
            for owner in after:
                if owner not in before:
                    aws.call(f"iam:Attach{noun}Policy", **{name: owner}, PolicyArn=arn)
            for owner in before:
                if owner not in after:
                    call_unless_gone(aws, f"iam:Detach{noun}Policy", **{name: owner}, PolicyArn=arn)


class InstanceProfile:
    """AWS::IAM::InstanceProfile."""

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        name = given.get("InstanceProfileName") or resource.unique(128)
        said = {"Path": given["Path"]} if "Path" in given else {}
        made = aws.call("iam:CreateInstanceProfile", InstanceProfileName=name, **said)
        resource.physical_id = name
        resource.attributes["Arn"] = made["InstanceProfile"]["Arn"]
        self._roles(resource, {}, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        self._roles(resource, old, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        name = resource.physical_id
        for role in resource.properties["Roles"]:
            call_unless_gone(
                aws, "iam:RemoveRoleFromInstanceProfile", InstanceProfileName=name, RoleName=role
            )
        call_unless_gone(aws, "iam:DeleteInstanceProfile", InstanceProfileName=name)

    def _roles(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        name, after = resource.physical_id, resource.properties["Roles"]
        for role in old.get("Roles", []):
            if role not in after:
                aws.call(
                    "iam:RemoveRoleFromInstanceProfile", InstanceProfileName=name, RoleName=role
                )
        for role in after:
            if role not in old.get("Roles", []):
                aws.call("iam:AddRoleToInstanceProfile", InstanceProfileName=name, RoleName=role)


class Key(Generic):
    """AWS::KMS::Key: rotation and the enabled state are switches of their own."""

    SWITCHES = ("EnableKeyRotation", "RotationPeriodInDays", "Enabled")

    def create(self, resource: Resource, aws: Aws) -> None:
        with resource.sent_as(without(resource.properties, *self.SWITCHES)):
            super().create(resource, aws)
        self._switch(resource, {}, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        with resource.sent_as(without(resource.properties, *self.SWITCHES)):
            super().update(resource, without(old, *self.SWITCHES), aws)
        self._switch(resource, old, aws)

    def _switch(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        given, key = resource.properties, resource.physical_id
        if given.get("Enabled", True) != old.get("Enabled", True):
            aws.call("kms:EnableKey" if given.get("Enabled", True) else "kms:DisableKey", KeyId=key)
        rotation = [given.get(name) for name in self.SWITCHES[:2]]
        if rotation != [old.get(name) for name in self.SWITCHES[:2]]:
            if rotation[0]:
                period = {"RotationPeriodInDays": rotation[1]} if rotation[1] else {}
                aws.call("kms:EnableKeyRotation", KeyId=key, **period)
            elif old.get("EnableKeyRotation"):
                aws.call("kms:DisableKeyRotation", KeyId=key)
