"""Calls on behalf of a stack, and the way from a resource's properties to an API's parameters."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from seedbed.sandbox.cloudformation.errors import ResourceError

REFUSED = 501  # what the sandbox answers to operations that it lacks
GONE = ("NotFound", "NoSuch", "NonExistent", "DoesNotExist", "NotExist", "UnknownResource", "404")
# SageMaker says it in words alone, with the code of every other wrong request.
GONE_IN_WORDS = ("does not exist", "could not find", "cannot find")


class CallError(ResourceError):
    """A call that AWS refused; `code` is its error code, `said` its own message."""

    def __init__(self, message: str, code: str, *, ambiguous: bool, said: str = "") -> None:
        super().__init__(message, ambiguous=ambiguous)
        self.code = code
        self.said = said

    @property
    def is_gone(self) -> bool:
        """Whether the call failed because the thing does not exist."""
        if self.code == "ValidationException":
            return any(words in self.said.lower() for words in GONE_IN_WORDS)
        return any(word in self.code for word in GONE)


class Aws:
    """Clients with the credentials of one stack operation."""

    def __init__(
        self,
        client: Callable[[str], Any],
        account: str,
        region: str,
        pause: Callable[[float], Any] = time.sleep,
    ) -> None:
        self._client = client
        self.pause = pause
        self.made = 0  # calls so far
        self.account = account
        self.region = region
        self.partition = partition(region)

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """Make one call, `service:Operation`.

        Raises:
            CallError: Gives the operation, the error's code and its message.
        """
        if self.pause(0):  # nothing may reach the emulator after its state was forgotten
            raise CallError(f"{operation}: the sandbox is stopping", "Stopping", ambiguous=False)
        service, name = operation.split(":")
        self.made += 1
        try:
            method = getattr(self._client(service), xform_name(name))
            answer: dict[str, Any] = method(**params)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            metadata = error.response.get("ResponseMetadata", {})
            status = metadata.get("HTTPStatusCode", 0)
            said = error.response["Error"].get("Message", "")
            message = f"{said} (Operation: {operation}, Status Code: {status}, Error Code: {code})"
            # A 5xx may have taken effect, and so may an attempt before the one that was refused.
            ambiguous = status >= 500 and status != REFUSED  # noqa: PLR2004
            ambiguous = ambiguous or metadata.get("RetryAttempts", 0) > 0
            raise CallError(message, code, ambiguous=ambiguous, said=said) from error
        except BotoCoreError as error:
            name = type(error).__name__
            ambiguous = "Timeout" in name or "Connection" in name
            raise CallError(f"{operation}: {error}", name, ambiguous=ambiguous) from error
        return answer


def partition(region: str) -> str:
    for prefix, name in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
        if region.startswith(prefix):
            return name
    return "aws"


@lru_cache(maxsize=64)
def service_model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def input_shape(operation: str) -> Any:
    """Return the shape of an operation's input, or None if it takes nothing.

    Raises:
        ResourceError: botocore knows no such operation.
    """
    service, name = operation.split(":")
    model = service_model(service)
    if name not in model.operation_names:
        raise ResourceError(f"botocore has no operation {operation}")
    return model.operation_model(name).input_shape


def member(shape: Any, name: str) -> str | None:
    """Return the member of a structure that a property names, whatever its case."""
    if shape is None or shape.type_name != "structure":
        return None
    plain = _plain(name)
    return next((known for known in shape.members if _plain(known) == plain), None)


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def convert(value: Any, shape: Any, where: str) -> Any:
    """Bring a property's value into the form of an API's parameter.

    Raises:
        ResourceError: Names the part of the value that the API has no member for.
    """
    match shape.type_name:
        case "structure":
            return _structure(value, shape, where)
        case "list":
            return _list(value, shape, where)
        case "map":
            return _map(value, shape, where)
        case kind if kind in SCALARS:
            return SCALARS[kind](value)
    return value


def _list(value: Any, shape: Any, where: str) -> list[Any]:
    if isinstance(value, Mapping):  # Tags as a mapping, where the API lists pairs
        value = [{"Key": key, "Value": item} for key, item in value.items()]
    items = value if isinstance(value, list) else [value]
    return [convert(item, shape.member, f"{where}/{at}") for at, item in enumerate(items)]


def _map(value: Any, shape: Any, where: str) -> dict[str, Any]:
    if isinstance(value, list):  # Tags as pairs, where the API has a mapping
        value = {_pair(item, "key"): _pair(item, "value") for item in value}
    return {key: convert(item, shape.value, f"{where}/{key}") for key, item in value.items()}


def _structure(value: Any, shape: Any, where: str) -> Any:
    if getattr(shape, "is_document_type", False):
        return value
    if isinstance(value, str):
        value = json.loads(value)
    converted = {}
    for name, item in value.items():
        known = member(shape, name)
        if known is None and name in ("Key", "Value"):  # KMS says TagKey
            known = member(shape, f"Tag{name}")
        if known is None:
            raise ResourceError(f"{where}/{name} is not emulated: {shape.name} has no such member")
        converted[known] = convert(item, shape.members[known], f"{where}/{name}")
    return converted


def _pair(item: Mapping[str, Any], wanted: str) -> Any:
    names = {"key": ("key", "name", "functionversion"), "value": ("value", "functionweight")}[
        wanted
    ]
    return next(value for name, value in item.items() if name.lower() in names)


def _text(value: Any) -> str:
    if isinstance(value, (Mapping, list)):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).lower() == "true"


def _blob(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


SCALARS: dict[str, Callable[[Any], Any]] = {
    "string": _text, "boolean": _boolean, "integer": int, "long": int, "float": float,
    "double": float, "blob": _blob,
}  # fmt: skip
