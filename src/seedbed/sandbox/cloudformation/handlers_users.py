"""Identities of people and machines: users, groups, memberships, access keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedbed.sandbox.cloudformation.aws import Aws
from seedbed.sandbox.cloudformation.errors import ResourceError
from seedbed.sandbox.cloudformation.handlers_iam import attach, detach
from seedbed.sandbox.cloudformation.resources import Resource, call_unless_gone, tag_map


class User:
    """AWS::IAM::User."""

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        name = given.get("UserName") or resource.unique(64)
        said = {key: given[key] for key in ("Path", "PermissionsBoundary", "Tags") if key in given}
        try:
            made = aws.call("iam:CreateUser", UserName=name, **said)
        except ResourceError as error:
            if error.ambiguous and "UserName" not in given:
                resource.physical_id = name
            raise
        resource.physical_id = name
        resource.attributes["Arn"] = made["User"]["Arn"]
        self._settings(resource, {}, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        new, name = resource.properties, resource.physical_id
        if new.get("Path") != old.get("Path"):
            aws.call("iam:UpdateUser", UserName=name, NewPath=new.get("Path", "/"))
            resource.attributes["Arn"] = aws.call("iam:GetUser", UserName=name)["User"]["Arn"]
        boundary = new.get("PermissionsBoundary")
        if boundary is None and "PermissionsBoundary" in old:
            call_unless_gone(aws, "iam:DeleteUserPermissionsBoundary", UserName=name)
        elif boundary != old.get("PermissionsBoundary"):
            aws.call("iam:PutUserPermissionsBoundary", UserName=name, PermissionsBoundary=boundary)
        before, after = tag_map(old.get("Tags", [])), tag_map(new.get("Tags", []))
        if gone := sorted(set(before) - set(after)):
            aws.call("iam:UntagUser", UserName=name, TagKeys=gone)
        if set(after.items()) - set(before.items()):
            aws.call("iam:TagUser", UserName=name, Tags=new["Tags"])
        self._settings(resource, old, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        name = resource.physical_id
        for group in resource.properties.get("Groups", []):
            call_unless_gone(aws, "iam:RemoveUserFromGroup", UserName=name, GroupName=group)
        detach(resource, "Users", aws)
        if "LoginProfile" in resource.properties:
            call_unless_gone(aws, "iam:DeleteLoginProfile", UserName=name)
        call_unless_gone(aws, "iam:DeleteUser", UserName=name)

    def _settings(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        """Bring the groups, the password and the policies from the old ones to the new."""
        new, name = resource.properties, resource.physical_id
        before, after = old.get("Groups", []), new.get("Groups", [])
        for group in after:
            if group not in before:
                aws.call("iam:AddUserToGroup", UserName=name, GroupName=group)
        for group in before:
            if group not in after:
                call_unless_gone(aws, "iam:RemoveUserFromGroup", UserName=name, GroupName=group)
        was, login = old.get("LoginProfile"), new.get("LoginProfile")
        if login is None:
            if was is not None:
                call_unless_gone(aws, "iam:DeleteLoginProfile", UserName=name)
        elif login != was:
            verb = "Create" if was is None else "Update"
            aws.call(f"iam:{verb}LoginProfile", UserName=name, **login)
        attach(resource, "Users", old, aws)


class Group:
    """AWS::IAM::Group."""

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        name = given.get("GroupName") or resource.unique(128)
        said = {"Path": given["Path"]} if "Path" in given else {}
        try:
            made = aws.call("iam:CreateGroup", GroupName=name, **said)
        except ResourceError as error:
            if error.ambiguous and "GroupName" not in given:
                resource.physical_id = name
            raise
        resource.physical_id = name
        resource.attributes["Arn"] = made["Group"]["Arn"]
        attach(resource, "Groups", {}, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        new, name = resource.properties, resource.physical_id
        if new.get("Path") != old.get("Path"):
            aws.call("iam:UpdateGroup", GroupName=name, NewPath=new.get("Path", "/"))
            resource.attributes["Arn"] = aws.call("iam:GetGroup", GroupName=name)["Group"]["Arn"]
        attach(resource, "Groups", old, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        detach(resource, "Groups", aws)
        call_unless_gone(aws, "iam:DeleteGroup", GroupName=resource.physical_id)


class Membership:
    """AWS::IAM::UserToGroupAddition."""

    def create(self, resource: Resource, aws: Aws) -> None:
        resource.physical_id = resource.attributes["Id"] = resource.unique(64)
        self._bring(resource.properties, {}, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        self._bring(resource.properties, old, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        self._bring({}, resource.properties, aws)

    def _bring(self, new: Mapping[str, Any], old: Mapping[str, Any], aws: Aws) -> None:
        after = [(new["GroupName"], user) for user in new.get("Users", [])]
        before = [(old["GroupName"], user) for user in old.get("Users", [])]
        for group, user in after:
            if (group, user) not in before:
                aws.call("iam:AddUserToGroup", GroupName=group, UserName=user)
        for group, user in before:
            if (group, user) not in after:
                call_unless_gone(aws, "iam:RemoveUserFromGroup", GroupName=group, UserName=user)


class AccessKey:
    """AWS::IAM::AccessKey: `Ref` is the key's id; `Serial` only asks for another key."""

    def create(self, resource: Resource, aws: Aws) -> None:
        made = aws.call("iam:CreateAccessKey", UserName=resource.properties["UserName"])
        key = made["AccessKey"]
        resource.physical_id = resource.attributes["Id"] = key["AccessKeyId"]
        resource.attributes["SecretAccessKey"] = key["SecretAccessKey"]
        if resource.properties.get("Status", "Active") != "Active":
            self._status(resource, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        if resource.properties.get("Status", "Active") != old.get("Status", "Active"):
            self._status(resource, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        call_unless_gone(
            aws, "iam:DeleteAccessKey", UserName=resource.properties["UserName"],
            AccessKeyId=resource.physical_id,
        )  # fmt: skip

    def _status(self, resource: Resource, aws: Aws) -> None:
        aws.call(
            "iam:UpdateAccessKey", UserName=resource.properties["UserName"],
            AccessKeyId=resource.physical_id, Status=resource.properties.get("Status", "Active"),
        )  # fmt: skip
