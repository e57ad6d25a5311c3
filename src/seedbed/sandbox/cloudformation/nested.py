"""AWS::CloudFormation::Stack: a stack within a stack, made by the same API as any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from seedbed.sandbox.cloudformation.aws import Aws, CallError
from seedbed.sandbox.cloudformation.errors import ResourceError
from seedbed.sandbox.cloudformation.records import Stack
from seedbed.sandbox.cloudformation.resources import Resource


@dataclass(frozen=True)
class Parent:
    """What a nested stack takes over; the request's token leads to it."""

    stack: Stack
    restore: bool = False  # return to what the stack was before its last update


class NestedStack:
    """The handler of nested stacks; `announce` gives a token for a parent, `settled` waits."""

    def __init__(
        self,
        parent: Stack,
        announce: Callable[[Parent], str],
        settled: Callable[[str], Stack],
        *,
        restore: bool,
    ) -> None:
        self.parent = parent
        self.announce = announce
        self.settled = settled
        self.restore = restore

    def create(self, resource: Resource, aws: Aws) -> None:
        token = self.announce(Parent(self.parent))
        timeout = resource.properties.get("TimeoutInMinutes")
        made = aws.call(
            "cloudformation:CreateStack", StackName=resource.unique(128), ClientRequestToken=token,
            **self._said(resource), **({"TimeoutInMinutes": timeout} if timeout else {}),
        )  # fmt: skip
        resource.physical_id = made["StackId"]
        self._await(resource, "CREATE_COMPLETE", "created")

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        del old
        token = self.announce(Parent(self.parent, restore=self.restore))
        try:
            aws.call(
                "cloudformation:UpdateStack", StackName=resource.physical_id,
                ClientRequestToken=token, **self._said(resource),
            )  # fmt: skip
        except CallError as error:
            if "No updates are to be performed" not in error.message:
                raise
        else:
            self._await(resource, "UPDATE_COMPLETE", "updated")

    def delete(self, resource: Resource, aws: Aws) -> None:
        aws.call("cloudformation:DeleteStack", StackName=resource.physical_id)
        self._await(resource, "DELETE_COMPLETE", "deleted")

    def _said(self, resource: Resource) -> dict[str, Any]:
        given = resource.properties
        said: dict[str, Any] = {
            "TemplateURL": given["TemplateURL"],
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": str(value)}
                for key, value in given.get("Parameters", {}).items()
            ],
            "Capabilities": self.parent.version.capabilities,
            "NotificationARNs": given.get("NotificationARNs", []),
        }
        if given.get("Tags"):
            said["Tags"] = given["Tags"]
        return said

    def _await(self, resource: Resource, wanted: str, verb: str) -> None:
        stack = self.settled(resource.physical_id)
        resource.attributes = {
            f"Outputs.{one['OutputKey']}": one["OutputValue"] for one in stack.version.outputs
        }
        if stack.status != wanted:
            said = next(
                (
                    event["ResourceStatusReason"]
                    for event in stack.events
                    if event["ResourceStatus"].endswith("_FAILED")
                    and event.get("ResourceStatusReason")
                ),
                stack.reason,
            )
            raise ResourceError(f"Embedded stack {stack.id} was not successfully {verb}: {said}")
