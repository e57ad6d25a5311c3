"""The registry schemas that cfn-lint bundles, read without importing cfn-lint (3 s)."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from seedbed.sandbox.cloudformation.errors import ResourceError
from seedbed.sandbox.cloudformation.intrinsics import Unknown

CUSTOM = "AWS::CloudFormation::CustomResource"
_MISSING = object()


@lru_cache(maxsize=1)
def _folder() -> Path:
    found = importlib.util.find_spec("cfnlint")
    if found is None or not found.submodule_search_locations:
        raise ImportError("the sandbox needs cfn-lint: install seedbed[sandbox]")
    return Path(found.submodule_search_locations[0]) / "data" / "schemas"


@lru_cache(maxsize=4)
def _types(region: str) -> dict[str, str]:
    listed = _folder() / "providers" / f"{region}.json"
    if not listed.exists():
        listed = _folder() / "providers" / "us-east-1.json"
    types: dict[str, str] = json.loads(listed.read_text(encoding="utf-8"))
    return types


@lru_cache(maxsize=256)
def _load(digest: str) -> dict[str, Any]:
    path = _folder() / "resources" / f"{digest}.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def as_json(value: Any) -> str:
    """Write properties as an event shows them."""
    return json.dumps(value, default=str)


def find(kind: str, region: str) -> Schema | None:
    """Return a type's schema, or None if the registry of that region does not know the type."""
    digest = _types(region).get(CUSTOM if kind.startswith("Custom::") else kind)
    return None if digest is None else Schema(kind, _load(digest))


@dataclass(frozen=True)
class Schema:
    """One resource type as the registry describes it. Pointers become dotted property paths."""

    kind: str
    raw: Mapping[str, Any]

    def _paths(self, key: str) -> list[str]:
        return [pointer.removeprefix("/properties/") for pointer in self.raw.get(key, [])]

    @cached_property
    def identifier(self) -> list[str]:
        return self._paths("primaryIdentifier")

    @cached_property
    def read_only(self) -> list[str]:
        """Attributes of `GetAtt`, with dots between their parts."""
        return [path.replace("/", ".") for path in self._paths("readOnlyProperties")]

    @cached_property
    def create_only(self) -> list[str]:
        return self._paths("createOnlyProperties")

    @cached_property
    def write_only(self) -> list[str]:
        return self._paths("writeOnlyProperties")

    @cached_property
    def properties(self) -> Mapping[str, Any]:
        properties: Mapping[str, Any] = self.raw.get("properties", {})
        return properties

    @property
    def is_open(self) -> bool:
        """Whether any property goes, as with custom resources."""
        return ".*" in self.raw.get("patternProperties", {})

    @property
    def tag_property(self) -> str | None:
        tagging = self.raw.get("tagging", {})
        if tagging.get("taggable") is False:
            return None
        name = str(tagging.get("tagProperty", "/properties/Tags")).removeprefix("/properties/")
        return name if name in self.properties else None

    @property
    def tags_are_map(self) -> bool:
        name = self.tag_property
        return name is not None and "array" not in self.types(self.properties[name])

    def permissions(self, *handlers: str) -> list[str]:
        """Return the IAM actions that the registry lists for some handlers, in its order."""
        listed = self.raw.get("handlers", {})
        return [
            action for name in handlers for action in listed.get(name, {}).get("permissions", [])
        ]

    def needs_replacement(self, name: str, old: Any, new: Any) -> str:
        """Say whether a changed property replaces the resource.

        Returns:
            `Always`, `Conditionally` or `Never`, as DescribeChangeSet has it.
        """
        for key, answer in (
            ("createOnlyProperties", "Always"),
            ("conditionalCreateOnlyProperties", "Conditionally"),
        ):
            for path in self._paths(key):
                head, *rest = path.split("/")
                if head == name and _at(old, rest) != _at(new, rest):
                    return answer
        return "Never"

    def resolve(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow a `$ref` within the schema."""
        while "$ref" in node:
            target: Any = self.raw
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
        return node

    def types(self, node: Mapping[str, Any]) -> list[str]:
        said = self.resolve(node).get("type", [])
        return list(said) if isinstance(said, list) else [said]

    def check(self, logical_id: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return the properties in the schema's types ("5" as 5, true as "true" where it says so).

        Raises:
            ResourceError: Names logical id, type and property, and what is wrong with it.
        """
        where = f"{logical_id} ({self.kind})"
        if self.is_open:
            return dict(properties)
        for name in properties:
            if name not in self.properties:
                raise ResourceError(f"{where}: property {name} is unknown to this type")
            if name in self.read_only:
                raise ResourceError(f"{where}: property {name} is read-only")
        for name in self.raw.get("required", []):
            if name not in properties:
                raise ResourceError(f"{where}: property {name} is required")
        return {
            name: self._fit(value, self.properties[name], f"{where}: property {name}")
            for name, value in properties.items()
        }

    def _fit(self, value: Any, node: Mapping[str, Any], where: str) -> Any:
        node = self.resolve(node)
        if isinstance(value, Unknown) or (isinstance(value, str) and "{{resolve:" in value):
            return value
        value = _scalar(value, self.types(node), where)
        if isinstance(value, Mapping):
            return self._fit_object(value, node, where)
        if isinstance(value, list):
            parts = (part["items"] for part in self._parts(node) if "items" in part)
            items: Mapping[str, Any] = next(parts, {})
            fitted = [self._fit(item, items, f"{where}/{at}") for at, item in enumerate(value)]
            _bound(len(fitted), node, ("minItems", "maxItems"), "items", where)
            return fitted
        _check_scalar(value, node, where)
        return value

    def _fit_object(self, value: Mapping[str, Any], node: Mapping[str, Any], where: str) -> Any:
        if "object" not in self.types(node) and self.types(node):
            raise ResourceError(f"{where} must be of type {'/'.join(self.types(node))}")
        known: dict[str, Any] = {}
        patterns: dict[str, Any] = {}
        for part in self._parts(node):
            known |= part.get("properties", {})
            patterns |= part.get("patternProperties", {})
        if not known and not patterns:
            return value
        for name in node.get("required", []):
            if name not in value:
                raise ResourceError(f"{where}/{name} is required")
        fitted = {}
        for name, item in value.items():
            found = known.get(name, next(iter(patterns.values()), None))
            if found is None:
                if node.get("additionalProperties", True) is not False:
                    fitted[name] = item
                    continue
                raise ResourceError(f"{where}/{name} is unknown to this type")
            fitted[name] = self._fit(item, found, f"{where}/{name}")
        return fitted

    def _parts(self, node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Yield a node and the alternatives that it is composed of."""
        node = self.resolve(node)
        yield node
        for key in ("allOf", "anyOf", "oneOf"):
            for part in node.get(key, []):
                yield from self._parts(part)


def _at(value: Any, path: list[str]) -> Any:
    for at, name in enumerate(path):
        if name == "*" and isinstance(value, list):
            return [_at(item, path[at + 1 :]) for item in value]
        value = value.get(name, _MISSING) if isinstance(value, Mapping) else _MISSING
    return None if value is _MISSING else value


def _scalar(value: Any, types: list[str], where: str) -> Any:
    """Bring a scalar into one of the schema's types, as CloudFormation does."""
    if not types or isinstance(value, (Mapping, list)):
        if isinstance(value, list) and types and "array" not in types:
            raise ResourceError(f"{where} must be of type {'/'.join(types)}")
        return value
    if isinstance(value, bool):
        fits = "boolean" in types
        if not fits and "string" in types:
            return str(value).lower()
    elif isinstance(value, (int, float)):
        fits = "number" in types or ("integer" in types and value == int(value))
        if not fits and "string" in types:
            return str(value)
    else:
        fits = "string" in types
        if not fits and isinstance(value, str):
            return _parsed(value, types, where)
    if not fits:
        raise ResourceError(f"{where} must be of type {'/'.join(types)}, not {value!r}")
    return value


def _parsed(value: str, types: list[str], where: str) -> Any:
    if "boolean" in types and value.lower() in ("true", "false"):
        return value.lower() == "true"
    for name, parse in (("integer", int), ("number", float)):
        if name in types:
            try:
                return parse(value)
            except ValueError:
                continue
    if "object" in types and value.lstrip().startswith("{"):
        return json.loads(value)
    raise ResourceError(f"{where} must be of type {'/'.join(types)}, not {value!r}")


def _check_scalar(value: Any, node: Mapping[str, Any], where: str) -> None:
    if "enum" in node and value not in node["enum"]:
        raise ResourceError(f"{where}: {value!r} is not one of {node['enum']}")
    if isinstance(value, str):
        _bound(len(value), node, ("minLength", "maxLength"), "characters", where)
        pattern = node.get("pattern")
        if pattern and not importlib.import_module("regex").search(pattern, value):
            raise ResourceError(f"{where}: {value!r} does not match {pattern}")
    elif not isinstance(value, bool) and value is not None:
        _bound(value, node, ("minimum", "maximum"), "", where)


def _bound(
    size: float, node: Mapping[str, Any], keys: tuple[str, str], unit: str, where: str
) -> None:
    low, high = node.get(keys[0]), node.get(keys[1])
    if (low is not None and size < low) or (high is not None and size > high):
        raise ResourceError(
            f"{where}: {size} {unit} lies outside of {keys[0]} {low}, {keys[1]} {high}".replace(
                "  ", " "
            )
        )
