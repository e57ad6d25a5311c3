"""The operations that read stacks and templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from seedbed.sandbox.cloudformation import lint
from seedbed.sandbox.cloudformation.base import Base
from seedbed.sandbox.cloudformation.desired import IAM_TYPES
from seedbed.sandbox.cloudformation.errors import StackError
from seedbed.sandbox.cloudformation.records import Made, Stacks
from seedbed.sandbox.cloudformation.template import Template, parse
from seedbed.sandbox.world import Context

PATIENCE = 5  # seconds that DescribeStacks waits for a stack under way: waiters poll every 30 s


class Reading(Base):
    """Describe, list and get. All answers come on one page."""

    def describe_stacks(
        self, ctx: Context, StackName: str | None = None, **_: Any
    ) -> dict[str, Any]:
        if StackName is not None:
            stack = self.stack(ctx, StackName)
            if stack.is_busy:
                stack.done.wait(PATIENCE)
            return {"Stacks": [stack.wire()]}
        with self.lock:
            stacks = list(self.state(ctx).by_id.values())
        return {"Stacks": [one.wire() for one in stacks if one.status != "DELETE_COMPLETE"]}

    def list_stacks(
        self, ctx: Context, StackStatusFilter: list[str] | None = None, **_: Any
    ) -> dict[str, Any]:
        with self.lock:
            stacks = list(self.state(ctx).by_id.values())
        wanted = [one for one in stacks if not StackStatusFilter or one.status in StackStatusFilter]
        return {"StackSummaries": [one.summary() for one in wanted]}

    def describe_stack_events(self, ctx: Context, StackName: str, **_: Any) -> dict[str, Any]:
        return {"StackEvents": list(reversed(self.stack(ctx, StackName).events))}

    def describe_stack_resources(
        self,
        ctx: Context,
        StackName: str | None = None,
        LogicalResourceId: str | None = None,
        PhysicalResourceId: str | None = None,
    ) -> dict[str, Any]:
        with self.lock:
            stacks = list(self.state(ctx).by_id.values())
        if StackName is not None:
            stacks = [self.stack(ctx, StackName)]
        elif PhysicalResourceId is not None:
            stacks = [
                one
                for one in stacks
                if any(made.physical_id == PhysicalResourceId for made in one.live.values())
            ]
            if not stacks:
                raise StackError(f"Stack for {PhysicalResourceId} does not exist")
        found = [
            {**_resource(made), "Timestamp": made.time, "StackName": one.name, "StackId": one.id}
            for one in stacks
            for made in list(one.resources.values())
            if LogicalResourceId in (None, made.logical_id)
        ]
        return {"StackResources": found}

    def describe_stack_resource(
        self, ctx: Context, StackName: str, LogicalResourceId: str
    ) -> dict[str, Any]:
        stack = self.stack(ctx, StackName)
        made = stack.resources.get(LogicalResourceId)
        if made is None:
            raise StackError(f"Resource {LogicalResourceId} does not exist for stack {stack.name}")
        said = {
            **_resource(made), "LastUpdatedTimestamp": made.time,
            "StackName": stack.name, "StackId": stack.id,
        }  # fmt: skip
        if made.metadata is not None:
            said["Metadata"] = json.dumps(made.metadata)
        return {"StackResourceDetail": said}

    def list_stack_resources(self, ctx: Context, StackName: str, **_: Any) -> dict[str, Any]:
        made = list(self.stack(ctx, StackName).resources.values())
        found = [{**_resource(one), "LastUpdatedTimestamp": one.time} for one in made]
        return {"StackResourceSummaries": found}

    def list_exports(self, ctx: Context, **_: Any) -> dict[str, Any]:
        stacks: Stacks = self.state(ctx)
        with self.lock:
            found = stacks.exports()
        return {
            "Exports": [
                {"ExportingStackId": stack.id, "Name": name, "Value": value}
                for name, (value, stack) in sorted(found.items())
            ]
        }

    def list_imports(self, ctx: Context, ExportName: str, **_: Any) -> dict[str, Any]:
        stacks: Stacks = self.state(ctx)
        with self.lock:
            users = [stack.name for stack in stacks.importers(ExportName)]
        if not users:
            raise StackError(f"Export '{ExportName}' is not imported by any stack.")
        return {"Imports": users}

    def get_template(
        self,
        ctx: Context,
        StackName: str | None = None,
        ChangeSetName: str | None = None,
        TemplateStage: str = "Original",
    ) -> dict[str, Any]:
        if ChangeSetName is not None:
            version = self.change_set(ctx, ChangeSetName, StackName).version
        elif StackName is not None:
            version = self.stack(ctx, StackName).version
        else:
            raise StackError("Either StackName or ChangeSetName must be specified.")
        body = version.body
        if TemplateStage == "Processed" and version.processed:
            body = json.dumps(version.processed, default=str)
        return {"TemplateBody": body, "StagesAvailable": ["Original", "Processed"]}

    def get_template_summary(self, ctx: Context, **params: Any) -> dict[str, Any]:
        if params.get("StackName"):
            body = self.stack(ctx, params["StackName"]).version.body
        else:
            body = self.body(params, self.aws(ctx))
        template = parse(body)
        kinds = sorted({str(one.get("Type")) for one in template.resources.values()})
        said: dict[str, Any] = {**_summary(template), "ResourceTypes": kinds}
        said["Parameters"] = [
            _parameter(key, declared) for key, declared in template.parameters.items()
        ]
        if "Metadata" in template.tree:
            said["Metadata"] = json.dumps(template.tree["Metadata"])
        if "AWSTemplateFormatVersion" in template.tree:
            said["Version"] = str(template.tree["AWSTemplateFormatVersion"])
        return said

    def validate_template(self, ctx: Context, **params: Any) -> dict[str, Any]:
        body = self.body(params, self.aws(ctx))
        lint.check(body, ctx.region)
        template = parse(body)
        shown = ("ParameterKey", "DefaultValue", "NoEcho", "Description")
        listed = [_parameter(key, one) for key, one in template.parameters.items()]
        parameters = [{key: one[key] for key in shown if key in one} for one in listed]
        return {**_summary(template), "Parameters": parameters}

    def change_set(self, ctx: Context, name: str, stack: str | None) -> Any:
        raise NotImplementedError


def _resource(made: Made) -> dict[str, Any]:
    said: dict[str, Any] = {
        "LogicalResourceId": made.logical_id,
        "ResourceType": made.kind,
        "ResourceStatus": made.status,
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    }
    if made.physical_id:
        said["PhysicalResourceId"] = made.physical_id
    if made.reason:
        said["ResourceStatusReason"] = made.reason
    return said


def _summary(template: Template) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if template.tree.get("Description"):
        said["Description"] = str(template.tree["Description"])
    if template.transforms:
        said["DeclaredTransforms"] = list(template.transforms)
    iam = [name for name, one in template.resources.items() if one.get("Type") in IAM_TYPES]
    if iam:
        declared = [template.resources[name] for name in iam]
        named = any(IAM_TYPES[one["Type"]] in (one.get("Properties") or {}) for one in declared)
        said["Capabilities"] = ["CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM"]
        listed = ", ".join(template.resources[name]["Type"] for name in iam)
        said["CapabilitiesReason"] = f"The following resource(s) require capabilities: [{listed}]"
    return said


def _parameter(key: str, declared: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "ParameterKey": key,
        "ParameterType": str(declared.get("Type", "String")),
        "NoEcho": str(declared.get("NoEcho", "false")).lower() == "true",
    }
    if "Default" in declared:
        said["DefaultValue"] = str(declared["Default"])
    if "Description" in declared:
        said["Description"] = str(declared["Description"])
    if "AllowedValues" in declared:
        allowed = [str(value) for value in declared["AllowedValues"]]
        said["ParameterConstraints"] = {"AllowedValues": allowed}
    return said
