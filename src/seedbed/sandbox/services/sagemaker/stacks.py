"""Projects from a template in S3: their stacks, made, changed and removed as the caller."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from seedbed.sandbox.cloudformation.template import parse
from seedbed.sandbox.services.sagemaker.records import Record, Records, tag_list
from seedbed.sandbox.world import Context

TEMPLATES = "TemplateProviderDetails"
# What a project's template may do, as with a product of Service Catalog.
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


class ProjectError(Exception):
    """What a project was to do did not come about; the message tells why."""


class ProjectStacks(Records):
    """The stack behind a project."""

    def make_stack(self, ctx: Context, record: Record) -> None:
        """Make a project's stack.

        Raises:
            ProjectError: It did not come to rest as it should.
        """
        detail = template_of(record)
        name = f"SP-{record.said['ProjectId']}"
        role = {"RoleARN": detail["RoleARN"]} if "RoleARN" in detail else {}
        made = ctx.client("cloudformation").create_stack(
            StackName=name,
            TemplateURL=detail["TemplateURL"],
            Parameters=_parameters(ctx, record, detail),
            Capabilities=CAPABILITIES,
            Tags=tags_of(record),
            **role,
        )
        with self.lock:
            detail["StackDetail"] |= {"Name": name, "Id": made["StackId"]}
        self._settle(ctx, record, "CREATE_COMPLETE")

    def change_stack(
        self, ctx: Context, record: Record, said: Mapping[str, Any], tags: Mapping[str, str]
    ) -> None:
        """Bring a project's stack to another template, parameters or tags.

        A parameter without a value keeps its own; one that is not named gets its default.

        Raises:
            ProjectError: There is no stack, or it did not come to rest as it should.
        """
        detail = template_of(record)
        if "Id" not in detail["StackDetail"]:
            raise ProjectError("The project has no stack to update.")
        asked: dict[str, Any]
        if said:
            asked = {
                "TemplateURL": said["TemplateURL"],
                "Parameters": _parameters(ctx, record, said),
            }
        else:
            asked = {"UsePreviousTemplate": True, "Parameters": _kept(ctx, detail)}
        labels = {"Tags": tags_of(record)} if tags else {}
        ctx.client("cloudformation").update_stack(
            StackName=detail["StackDetail"]["Id"], Capabilities=CAPABILITIES, **asked, **labels
        )
        self._settle(ctx, record, "UPDATE_COMPLETE")
        if said:
            before = {one["Key"]: one for one in detail.get("Parameters", [])}
            given = [
                one if "Value" in one else before.get(one["Key"], one)
                for one in said.get("Parameters", [])
            ]
            with self.lock:
                detail |= {"TemplateURL": said["TemplateURL"], "Parameters": given}

    def remove_stack(self, ctx: Context, record: Record) -> None:
        """Remove a project's stack, if it has one.

        Raises:
            ProjectError: It did not come to rest as it should.
        """
        detail = template_of(record)["StackDetail"]
        if "Id" in detail:
            ctx.client("cloudformation").delete_stack(StackName=detail["Id"])
            self._settle(ctx, record, "DELETE_COMPLETE")

    def _settle(self, ctx: Context, record: Record, wanted: str) -> None:
        client, detail = ctx.client("cloudformation"), template_of(record)["StackDetail"]
        while True:
            stack = client.describe_stacks(StackName=detail["Id"])["Stacks"][0]
            state, reason = stack["StackStatus"], stack.get("StackStatusReason", "")
            message = f"{state}: {reason}" if reason else state
            with self.lock:
                detail["StatusMessage"] = message
            if not state.endswith("IN_PROGRESS"):
                break
            if self.world.wait(0.1):
                raise ProjectError("the sandbox is stopping")
        if state != wanted:
            raise ProjectError(message)


def template_of(record: Record) -> dict[str, Any]:
    """Return what is told of a project's template."""
    found: dict[str, Any] = record.said[TEMPLATES][0]["CfnTemplateProviderDetail"]
    return found


def injected(record: Record) -> dict[str, str]:
    """Return the parameters that SageMaker gives itself."""
    return {
        "SageMakerProjectName": record.said["ProjectName"],
        "SageMakerProjectId": record.said["ProjectId"],
    }


def tags_of(record: Record) -> list[dict[str, str]]:
    """Return the tags of a project's stack or product: the project's own, and SageMaker's."""
    own = {
        "sagemaker:project-name": record.said["ProjectName"],
        "sagemaker:project-id": record.said["ProjectId"],
    }
    return tag_list({**record.tags, **own})


def _parameters(ctx: Context, record: Record, said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a stack's parameters: those given, and ours where the template declares them."""
    declared = _declared(ctx, said["TemplateURL"])
    found = []
    for one in said.get("Parameters", []):
        value = {"ParameterValue": one["Value"]} if "Value" in one else {"UsePreviousValue": True}
        found.append({"ParameterKey": one["Key"], **value})
    ours = {key: value for key, value in injected(record).items() if key in declared}
    found = [one for one in found if one["ParameterKey"] not in ours]
    return found + [{"ParameterKey": key, "ParameterValue": value} for key, value in ours.items()]


def _declared(ctx: Context, url: str) -> frozenset[str]:
    """Return the parameters that a template in S3 declares, read as the caller."""
    place, s3 = s3_place(url), ctx.client("s3")
    body = s3.get_object(**place)["Body"].read().decode()
    s3.get_object_tagging(**place)
    return frozenset(parse(body).parameters)


def _kept(ctx: Context, detail: Mapping[str, Any]) -> list[dict[str, Any]]:
    client = ctx.client("cloudformation")
    stack = client.describe_stacks(StackName=detail["StackDetail"]["Id"])["Stacks"][0]
    names = [one["ParameterKey"] for one in stack.get("Parameters", [])]
    return [{"ParameterKey": name, "UsePreviousValue": True} for name in names]


def s3_place(url: str) -> dict[str, str]:
    """Return bucket, key and version of an address in S3, of either style.

    Raises:
        ProjectError: It is none.
    """
    parts = urlsplit(url)
    path = unquote(parts.path).lstrip("/")
    virtual = re.fullmatch(r"(.+)\.s3[.-].*", parts.netloc)
    bucket, key = (virtual[1], path) if virtual else path.partition("/")[::2]
    if not bucket or not key:
        raise ProjectError(f"TemplateURL must be the address of an object in S3: {url}")
    version = parse_qs(parts.query).get("versionId")
    return {"Bucket": bucket, "Key": key} | ({"VersionId": version[0]} if version else {})
