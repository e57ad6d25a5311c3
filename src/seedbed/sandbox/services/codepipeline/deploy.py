"""CloudFormation as a deploy action: stacks and change sets, from templates in artifacts."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from botocore.exceptions import ClientError

from seedbed.sandbox.services.codepipeline.model import Acting, ActionError

POLL = 0.2
UNCHANGED = "No updates are to be performed"
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
GONE = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})


def deploy(acting: Acting) -> None:
    """Carry out one action mode and wait until the stack has settled."""
    MODES[acting.configuration["ActionMode"]](acting)


def _create_update(acting: Acting) -> None:
    client, name = acting.client("cloudformation"), acting.configuration["StackName"]
    stack = _stack(client, name)
    replace = acting.configuration["ActionMode"] == "REPLACE_ON_FAILURE"
    if replace and stack is not None and stack["StackStatus"] in GONE:
        _delete(acting)
        stack = None
    asked = _request(acting)
    if stack is None or stack["StackStatus"] == "REVIEW_IN_PROGRESS":
        stack_id = client.create_stack(**asked)["StackId"]
    else:
        try:
            stack_id = client.update_stack(**asked)["StackId"]
        except ClientError as error:
            if UNCHANGED not in error.response["Error"]["Message"]:
                raise
            _told(acting, stack)
            return
    _settle(acting, stack_id)


def _change_set_replace(acting: Acting) -> None:
    client, said = acting.client("cloudformation"), acting.configuration
    stack = _stack(client, said["StackName"])
    fresh = stack is None or stack["StackStatus"] == "REVIEW_IN_PROGRESS"
    named = {"StackName": said["StackName"], "ChangeSetName": said["ChangeSetName"]}
    if stack is not None:
        _forget(client, named)
    kind = "CREATE" if fresh else "UPDATE"
    client.create_change_set(**{**_request(acting), **named}, ChangeSetType=kind)
    while True:
        found = client.describe_change_set(**named)
        if not found["Status"].endswith(("PENDING", "IN_PROGRESS")):
            break
        acting.wait(POLL)
    acting.run.external_id = found["ChangeSetId"]
    acting.run.summary = f"Change set {said['ChangeSetName']} was created."
    if found["Status"] == "FAILED":
        reason = found.get("StatusReason", "")
        if not any(one in reason for one in NO_CHANGES):
            raise ActionError("JobFailed", reason)
        acting.run.summary = "The change set holds no changes."


def _forget(client: Any, named: Mapping[str, str]) -> None:
    try:
        client.delete_change_set(**named)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ChangeSetNotFound":
            raise


def _change_set_execute(acting: Acting) -> None:
    client, said = acting.client("cloudformation"), acting.configuration
    named = {"StackName": said["StackName"], "ChangeSetName": said["ChangeSetName"]}
    found = client.describe_change_set(**named)
    if found["Status"] == "FAILED" and any(
        one in found.get("StatusReason", "") for one in NO_CHANGES
    ):
        acting.run.summary = "The change set holds no changes."
        return
    client.execute_change_set(**named)
    _settle(acting, found["StackId"])


def _delete_only(acting: Acting) -> None:
    if _stack(acting.client("cloudformation"), acting.configuration["StackName"]) is not None:
        _delete(acting)


def _delete(acting: Acting) -> None:
    client, said = acting.client("cloudformation"), acting.configuration
    stack = _stack(client, said["StackName"]) or {}
    role = {"RoleARN": said["RoleArn"]} if "RoleArn" in said else {}
    client.delete_stack(StackName=said["StackName"], **role)
    acting.run.external_id = stack.get("StackId", "")
    while (found := _stack(client, acting.run.external_id)) is not None:
        if found["StackStatus"] == "DELETE_COMPLETE":
            return
        if found["StackStatus"] == "DELETE_FAILED":
            raise ActionError("JobFailed", found.get("StackStatusReason", "DELETE_FAILED"))
        acting.wait(POLL)


MODES: dict[str, Callable[[Acting], None]] = {
    "CREATE_UPDATE": _create_update,
    "REPLACE_ON_FAILURE": _create_update,
    "CHANGE_SET_REPLACE": _change_set_replace,
    "CHANGE_SET_EXECUTE": _change_set_execute,
    "DELETE_ONLY": _delete_only,
}


def _stack(client: Any, name: str) -> dict[str, Any] | None:
    try:
        (found,) = client.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise
    told: dict[str, Any] = found
    return told


def _settle(acting: Acting, stack_id: str) -> None:
    acting.run.external_id = stack_id
    client = acting.client("cloudformation")
    while True:
        found = _stack(client, stack_id)
        if found is None:
            raise ActionError("JobFailed", f"{stack_id} is gone")
        if not found["StackStatus"].endswith("IN_PROGRESS"):
            break
        acting.wait(POLL)
    status = found["StackStatus"]
    if status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        reason = found.get("StackStatusReason", "")
        raise ActionError("JobFailed", f"Stack {found['StackName']} is {status}: {reason}")
    _told(acting, found)


def _told(acting: Acting, stack: Mapping[str, Any]) -> None:
    """Keep the stack's outputs: as variables, and in the output artifact if there is one."""
    run = acting.run
    run.external_id = stack["StackId"]
    run.summary = f"Stack {stack['StackName']} is {stack['StackStatus']}."
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}
    run.variables.update(outputs)
    if name := acting.configuration.get("OutputFileName"):
        if not run.outputs:
            message = "OutputFileName needs an output artifact"
            raise ActionError("ConfigurationError", message)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(name, json.dumps(outputs))
        acting.put(run.outputs[0], packed.getvalue(), {})


def _request(acting: Acting) -> dict[str, Any]:
    said = acting.configuration
    settings: dict[str, Any] = {}
    if "TemplateConfiguration" in said:
        settings = _parsed(_file(acting, said["TemplateConfiguration"]), "TemplateConfiguration")
    if "StackPolicy" in settings:
        message = "the sandbox does not emulate StackPolicy of a TemplateConfiguration"
        raise ActionError("ConfigurationError", message)
    parameters = dict(settings.get("Parameters", {}))
    overrides = _parsed(said.get("ParameterOverrides", "{}"), "ParameterOverrides")
    parameters |= {key: _value(acting, value) for key, value in overrides.items()}
    asked: dict[str, Any] = {
        "StackName": said["StackName"],
        "TemplateBody": _file(acting, said["TemplatePath"]),
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
    }
    if tags := settings.get("Tags"):
        asked["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    if capabilities := said.get("Capabilities"):
        asked["Capabilities"] = [one.strip() for one in capabilities.split(",")]
    if role := said.get("RoleArn"):
        asked["RoleARN"] = role
    return asked


def _parsed(text: str, what: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ActionError("ConfigurationError", f"{what}: {error}") from error
    if not isinstance(found, dict):
        raise ActionError("ConfigurationError", f"{what} is no JSON object")
    return found


def _file(acting: Acting, path: str) -> str:
    """Return a file of an input artifact, given as `artifact::path`."""
    name, _, inner = path.partition("::")
    artifact = next((one for one in acting.run.inputs if one.name == name), None)
    if artifact is None or not inner:
        raise ActionError("ConfigurationError", f"{path} is in no input artifact")
    try:
        with zipfile.ZipFile(io.BytesIO(acting.get(artifact))) as archive:
            return archive.read(inner).decode()
    except (KeyError, zipfile.BadZipFile) as error:
        message = f"{inner} is not in the artifact {name}: {error}"
        raise ActionError("ConfigurationError", message) from error


def _value(acting: Acting, said: Any) -> str:
    """Return a parameter's value: text, or what `Fn::GetParam`/`Fn::GetArtifactAtt` tells."""
    if not isinstance(said, dict):
        return ",".join(said) if isinstance(said, list) else str(said)
    ((kind, words),) = said.items()
    if kind == "Fn::GetParam":
        name, file, key = words
        return str(_parsed(_file(acting, f"{name}::{file}"), file)[key])
    if kind == "Fn::GetArtifactAtt":
        name, key = words
        found = next((one for one in acting.run.inputs if one.name == name), None)
        if found is not None:
            url = f"{acting.ctx.world.endpoint}/{found.bucket}/{found.key}"
            known = {"BucketName": found.bucket, "ObjectKey": found.key, "URL": url}
            if key in known:
                return known[key]
    raise ActionError("ConfigurationError", f"ParameterOverrides: {json.dumps(said)}")
