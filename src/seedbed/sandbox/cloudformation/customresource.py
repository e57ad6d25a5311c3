"""Custom resources: a function is invoked, and answers by a PUT to a URL of this endpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from seedbed.sandbox.cloudformation.aws import Aws
from seedbed.sandbox.cloudformation.errors import ResourceError
from seedbed.sandbox.cloudformation.resources import Resource

TIMEOUT = 3600  # seconds, what AWS waits if ServiceTimeout is absent
LONGEST = 4096  # bytes of an answer, CloudFormation's limit
IDENTITY = ("StackId", "RequestId", "LogicalResourceId")


@dataclass
class Pending:
    """One request that a function has to answer."""

    request: Mapping[str, Any]
    arrived: threading.Event = field(default_factory=threading.Event)
    answer: dict[str, Any] = field(default_factory=dict)


class Callbacks:
    """The open requests by their token; the front hands PUTs to `put`."""

    def __init__(self) -> None:
        self._pending: dict[str, Pending] = {}
        self._lock = threading.Lock()

    def open(self, token: str, request: Mapping[str, Any]) -> Pending:
        pending = Pending(request)
        with self._lock:
            self._pending[token] = pending
        return pending

    def close(self, token: str) -> None:
        with self._lock:
            self._pending.pop(token, None)

    def put(self, token: str, body: bytes) -> int:
        """Take an answer; return the HTTP status: 403 for a URL that is unknown or spent."""
        with self._lock:
            pending = self._pending.get(token)
            if pending is None or pending.arrived.is_set():
                return 403
            pending.answer = _read(body, pending.request)
            pending.arrived.set()
        return 200


@dataclass(frozen=True)
class Surroundings:
    """What a custom resource needs of the sandbox."""

    callbacks: Callbacks
    endpoint: str
    now: Callable[[], datetime]
    stopping: Callable[[float], bool]  # waits that long; True when the sandbox is stopping
    spawn: Callable[..., Future[Any]]
    uuid: Callable[[], str]


class CustomResource:
    """`Custom::...` and AWS::CloudFormation::CustomResource, backed by a Lambda function."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.here = surroundings

    def create(self, resource: Resource, aws: Aws) -> None:
        self._ask("Create", resource, {}, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        said = {
            "PhysicalResourceId": resource.physical_id,
            "OldResourceProperties": as_text(old),
        }
        self._ask("Update", resource, said, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        self._ask("Delete", resource, {"PhysicalResourceId": resource.physical_id}, aws)

    def _ask(self, verb: str, resource: Resource, said: Mapping[str, Any], aws: Aws) -> None:
        function = self._function(resource, aws)
        token = self.here.uuid()
        request = {
            "RequestType": verb,
            "ServiceToken": function,
            "ResponseURL": f"{self.here.endpoint}/_cfn/{token}?X-Amz-Signature=sandbox",
            "StackId": resource.stack_id,
            "RequestId": self.here.uuid(),
            "ResourceType": resource.kind,
            "LogicalResourceId": resource.logical_id,
            "ResourceProperties": as_text(resource.properties),
            **said,
        }
        pending = self.here.callbacks.open(token, request)
        try:
            invoked = self.here.spawn("custom-resource", _invoke, aws, function, request)
            answer = self._await(pending, invoked, resource)
        finally:
            self.here.callbacks.close(token)
        if answer["Status"] != "SUCCESS":
            if verb == "Create" and isinstance(answer.get("PhysicalResourceId"), str):
                resource.physical_id = answer["PhysicalResourceId"]
            raise ResourceError(
                f"Received response status [FAILED] from custom resource. Message returned: "
                f"{answer.get('Reason', '')} (RequestId: {request['RequestId']})"
            )
        if verb != "Delete":
            resource.physical_id = str(answer["PhysicalResourceId"])
            resource.attributes = dict(answer.get("Data") or {})

    def _function(self, resource: Resource, aws: Aws) -> str:
        function = str(resource.properties.get("ServiceToken", ""))
        parts = function.split(":")
        if parts[2:3] == ["sns"]:
            raise ResourceError(
                f"{resource.where}: property ServiceToken: an SNS topic is not emulated"
            )
        if len(parts) < 7 or parts[2] != "lambda":  # noqa: PLR2004 (an ARN's parts)
            raise ResourceError(f"Invalid service token: {function!r} is no function's ARN")
        if parts[3] != aws.region:
            raise ResourceError(
                f"{resource.where}: property ServiceToken: a function of another region "
                f"({parts[3]}) is not emulated"
            )
        return function

    def _await(self, pending: Pending, invoked: Future[Any], resource: Resource) -> dict[str, Any]:
        """Wait for the answer: until the timeout, or the invocation ends in an error."""
        seconds = int(resource.properties.get("ServiceTimeout", TIMEOUT))
        deadline = self.here.now() + timedelta(seconds=seconds)
        while not pending.arrived.wait(0.02):
            if invoked.done() and not pending.arrived.is_set():
                # AWS would invoke again and wait for the timeout: the answer would be no other.
                failure = invoked.exception() or invoked.result()
                if isinstance(failure, ResourceError):
                    raise failure
                if failure and not pending.arrived.wait(0.1):
                    self._name(resource)
                    raise ResourceError(f"The function failed without an answer: {failure}")
            if self.here.now() > deadline:
                self._name(resource)
                raise ResourceError(
                    "CloudFormation did not receive a response from your Custom Resource within "
                    f"{seconds} s. Please check your logs for requestId "
                    f"[{pending.request['RequestId']}]."
                )
            if self.here.stopping(0):
                raise ResourceError("the sandbox is stopping")
        self._name(resource)
        return pending.answer

    def _name(self, resource: Resource) -> None:
        """Give a resource whose function ran an id: its deletion will be asked for."""
        if not resource.physical_id:
            resource.physical_id = resource.unique(128)


def _invoke(aws: Aws, function: str, request: Mapping[str, Any]) -> str | ResourceError:
    """Invoke the function; return what it failed with, or nothing."""
    try:
        answer = aws.call(
            "lambda:Invoke", FunctionName=function, InvocationType="RequestResponse",
            Payload=json.dumps(request).encode(),
        )  # fmt: skip
    except ResourceError as refused:
        return refused
    if "FunctionError" not in answer:
        return ""
    said: str = answer["Payload"].read().decode(errors="replace")
    return said or str(answer["FunctionError"])


def _read(body: bytes, request: Mapping[str, Any]) -> dict[str, Any]:
    """Check an answer; one that CloudFormation would not take becomes a failure."""
    if len(body) > LONGEST:
        return {"Status": "FAILED", "Reason": "Response object is too long."}
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return {"Status": "FAILED", "Reason": "Invalid response object: no JSON object"}
    wrong = _wrong(answer, request)
    return {"Status": "FAILED", "Reason": wrong} if wrong else answer


def _wrong(answer: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    """Return what is wrong with an answer, or nothing."""
    for name in IDENTITY:
        if answer.get(name) != request[name]:
            return f"Invalid response object: Value of property {name} must match the request"
    if answer.get("Status") not in ("SUCCESS", "FAILED"):
        return "Invalid response object: Value of property Status must be SUCCESS or FAILED"
    physical_id = answer.get("PhysicalResourceId")
    if answer["Status"] == "SUCCESS" and not (isinstance(physical_id, str) and physical_id):
        return "Invalid PhysicalResourceId: it must be a string"
    if not isinstance(answer.get("Data") or {}, dict):
        return "Invalid response object: Data must be an object"
    return ""


def as_text(value: Any) -> Any:
    """Return properties as a function receives them: every scalar is a string."""
    if isinstance(value, Mapping):
        return {key: as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_text(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value)
