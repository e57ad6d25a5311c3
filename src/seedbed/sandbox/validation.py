"""Requests against botocore's models: what no AWS service would take is refused with its name.

SDKs check less than services do: neither enumerations nor patterns, and no longest lengths.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from seedbed.sandbox.protocol import Operation
from seedbed.sandbox.service import ServiceError, unsupported

# service -> the code of its complaint, where it is not the protocol's
CODES = {
    "ec2": "InvalidParameterValue",
    "logs": "InvalidParameterException",
    "s3": "InvalidArgument",
    "sns": "InvalidParameter",
    "sqs": "InvalidParameterValue",
}

QUEUE = re.compile(r".*/\d{12}/[^/]+/?")
LONGEST = 4096  # characters that a pattern is tried on: some would run for ever
UNTRUE = {r"[^\r\n]"}  # one character, where Glue takes a text


def check(operation: Operation, body: bytes) -> None:
    """Refuse a request that its model does not allow.

    Raises:
        ServiceError: A value is missing or out of its bounds (the service's own error), or a
            member is unknown to the pinned models.
    """
    shape = operation.model.input_shape
    if shape is None:
        return
    if "json" in operation.protocol and body.lstrip()[:1] == b"{":
        for path in _unknown(json.loads(body), shape):
            raise unsupported(f"the parameter {path} of {operation.full_name}")
    url = operation.params.get("QueueUrl") if operation.service == "sqs" else None
    if isinstance(url, str) and not QUEUE.fullmatch(url):
        message = f"The address {url} is not valid for this endpoint."
        raise ServiceError("InvalidAddress", message, 404)
    strict = "json" in operation.protocol
    for wrong in _wrong(operation.params, shape, "", strict=strict):
        plain = "ValidationException" if strict else "ValidationError"
        message = f"1 validation error detected: {wrong}"
        raise ServiceError(CODES.get(operation.service, plain), message, 400)


def _unknown(value: object, shape: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of members that the model lacks: of a newer SDK, or misspelt."""
    if getattr(shape, "is_document_type", False):
        return
    if shape.type_name == "structure" and isinstance(value, Mapping):
        members = _members(shape, top=not path)
        for name, one in value.items():
            if name in members:
                yield from _unknown(one, members[name], f"{path}{name}.")
            elif members and name != "__type":
                yield f"{path}{name}"
    elif shape.type_name == "list" and isinstance(value, list):
        for one in value:
            yield from _unknown(one, shape.member, path)
    elif shape.type_name == "map" and isinstance(value, Mapping):
        for one in value.values():
            yield from _unknown(one, shape.value, path)


def _members(shape: Any, *, top: bool) -> dict[str, Any]:
    """Return the members of a JSON body by their names on the wire; empty: the body is opaque."""
    payload = shape.serialization.get("payload") if top else None
    if payload is not None:
        shape = shape.members[payload]
    return {
        one.serialization.get("name", name): one
        for name, one in getattr(shape, "members", {}).items()
        if one.serialization.get("location") is None
    }


TYPES: Mapping[str, tuple[Any, ...]] = {
    "boolean": (bool,),
    "double": (int, float),
    "float": (int, float),
    "integer": (int,),
    "list": (list,),
    "long": (int,),
    "map": (dict,),
    "string": (str,),
    "structure": (dict,),
}


def _wrong(value: Any, shape: Any, path: str, *, strict: bool) -> Iterator[str]:
    """Yield what is wrong with a value, as AWS words it."""
    kind = shape.type_name
    if getattr(shape, "is_document_type", False):
        return
    if not isinstance(value, TYPES.get(kind, (object,))):
        if strict:
            yield f"Value at '{path}' failed to satisfy constraint: Member must be a {kind}"
    elif kind in PARTS:
        if kind != "structure":
            yield from _size(len(value), shape.metadata, path, strict=strict)
        yield from PARTS[kind](value, shape, path, strict)
    elif kind == "string":
        yield from _of_text(value, shape, path, strict=strict)
    elif kind in {"integer", "long", "double", "float"}:
        yield from _range(value, shape.metadata, path)


def _of_structure(value: Any, shape: Any, path: str, strict: bool) -> Iterator[str]:
    for name in shape.required_members:
        # An empty list or structure has no place in a query or a header.
        if name not in value and (strict or shape.members[name].type_name == "string"):
            where = _below(path, name)
            yield f"Value null at '{where}' failed to satisfy constraint: must not be null"
    for name, one in value.items():
        if name in shape.members and one is not None:
            yield from _wrong(one, shape.members[name], _below(path, name), strict=strict)


def _of_list(value: Any, shape: Any, path: str, strict: bool) -> Iterator[str]:
    for index, one in enumerate(value, 1):
        yield from _wrong(one, shape.member, f"{path}.{index}.member", strict=strict)


def _of_map(value: Any, shape: Any, path: str, strict: bool) -> Iterator[str]:
    for name, one in value.items():
        yield from _wrong(name, shape.key, f"{path}.key", strict=strict)
        yield from _wrong(one, shape.value, f"{path}.{name}", strict=strict)


PARTS = {"list": _of_list, "map": _of_map, "structure": _of_structure}


def _below(path: str, name: str) -> str:
    name = name[0].lower() + name[1:]
    return f"{path}.{name}" if path else name


def _of_text(value: str, shape: Any, path: str, *, strict: bool) -> Iterator[str]:
    limits = shape.metadata
    shown = "***" if limits.get("sensitive") else value
    said = f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must"
    if limits.get("enum") and value not in limits["enum"]:
        yield f"{said} satisfy enum value set: [{', '.join(limits['enum'])}]"
        return
    yield from _size(len(value), limits, path, strict=strict)
    pattern = _pattern(limits["pattern"]) if limits.get("pattern") else None
    if pattern and len(value) <= LONGEST and not pattern.fullmatch(value):
        yield f"{said} satisfy regular expression pattern: {limits['pattern']}"


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str] | None:
    """Return a model's pattern, or None: a few are not Python's."""
    # Services match the whole value, whether or not the pattern has anchors; what a dot matches
    # is not documented, so it matches all.
    try:
        return None if text in UNTRUE else re.compile(text, re.DOTALL)
    except re.error:
        return None


def _size(size: int, limits: Mapping[str, Any], path: str, *, strict: bool) -> Iterator[str]:
    said = f"Value at '{path}' failed to satisfy constraint: Member must have length"
    if strict and size < limits.get("min", 0):
        yield f"{said} greater than or equal to {limits['min']}"
    if "max" in limits and size > limits["max"]:
        yield f"{said} less than or equal to {limits['max']}"


def _range(value: float, limits: Mapping[str, Any], path: str) -> Iterator[str]:
    said = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have value"
    if "min" in limits and value < limits["min"]:
        yield f"{said} greater than or equal to {limits['min']}"
    if "max" in limits and value > limits["max"]:
        yield f"{said} less than or equal to {limits['max']}"
