"""Intrinsic functions, conditions and pseudo parameters.

Functions of resources (`Ref`, `GetAtt`) ask the caller; a value that is only known once a change
set has run is `Unknown` and makes whatever is built from it unknown too.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from seedbed.sandbox.cloudformation.errors import StackError, refused

SUBSTITUTION = re.compile(r"\$\{([^}]*)\}")


class _NoValue:
    def __repr__(self) -> str:
        return "AWS::NoValue"


NO_VALUE = _NoValue()


@dataclass(frozen=True)
class Unknown:
    """A value that depends on resources which do not exist yet; `causes` are `Id` or `Id.Attr`."""

    causes: frozenset[str]


def unknowns(*values: Any) -> frozenset[str]:
    """Return what the unknown parts of some values depend on."""
    found: set[str] = set()
    for value in values:
        if isinstance(value, Unknown):
            found |= value.causes
        elif isinstance(value, Mapping):
            found |= unknowns(*value.values())
        elif isinstance(value, list):
            found |= unknowns(*value)
    return frozenset(found)


def text(value: Any) -> str:
    """Write a scalar as CloudFormation does: booleans in lower case, whole numbers without dot."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    raise StackError(f"Template error: {json.dumps(value, default=str)} must be a string here")


def function(node: Any) -> tuple[str, Any] | None:
    """Return an intrinsic's name and argument, or None if the node is plain data."""
    if isinstance(node, Mapping) and len(node) == 1:
        ((name, argument),) = node.items()
        if name in ("Ref", "Condition") or (isinstance(name, str) and name.startswith("Fn::")):
            return name, argument
    return None


def references(node: Any) -> Iterator[tuple[str, str | None]]:
    """Yield every (logical id, attribute or None) that a tree refers to, parameters included."""
    match function(node):
        case ("Ref", name):
            yield str(name), None
        case ("Fn::GetAtt", [name, attribute]) if isinstance(name, str):
            yield name, attribute if isinstance(attribute, str) else ""
            yield from references(attribute)
        case ("Fn::GetAtt", str(dotted)):
            name, _, attribute = dotted.partition(".")
            yield name, attribute
        case ("Fn::Sub", argument):
            template, variables = _sub_parts(argument)
            for name in SUBSTITUTION.findall(template):
                if not name.startswith("!") and name.strip() not in variables:
                    head, _, attribute = name.strip().partition(".")
                    yield head, attribute or None
            yield from references(variables)
        case _:
            parts = node.values() if isinstance(node, Mapping) else node
            for part in parts if isinstance(node, (Mapping, list)) else ():
                yield from references(part)


def _sub_parts(argument: Any) -> tuple[str, Mapping[str, Any]]:
    match argument:
        case str():
            return argument, {}
        case [str(template), Mapping() as variables]:
            return template, variables
    raise StackError(
        "Template error: every Fn::Sub object must have a string, "
        "or a list of a string and a mapping of variables"
    )


def _absent(name: str, *_: str) -> Any:
    raise StackError(f"Template error: unresolved dependency {name}: no resource may be named here")


def _no_import(name: str) -> str:
    raise StackError(f"No export named {name} found.")


@dataclass
class Evaluator:
    """What a template's functions are evaluated against."""

    parameters: Mapping[str, Any]  # values: text, or list of text
    pseudo: Mapping[str, Any]  # AWS::Region and the like; AWS::NoValue is built in
    mappings: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    extended: bool = False  # the template declares AWS::LanguageExtensions
    ref: Callable[[str], Any] = _absent
    get_att: Callable[[str, str], Any] = _absent
    import_value: Callable[[str], Any] = _no_import
    zones: Callable[[str], list[str]] = lambda region: [f"{region}{zone}" for zone in "abc"]
    _decided: dict[str, bool] = field(default_factory=dict)
    _deciding: list[str] = field(default_factory=list)

    def value(self, node: Any) -> Any:
        """Evaluate a tree; entries that become AWS::NoValue are left out."""
        called = function(node)
        if called is not None:
            return self._call(*called)
        if isinstance(node, Mapping):
            pairs = ((str(key), self.value(item)) for key, item in node.items())
            return {key: item for key, item in pairs if item is not NO_VALUE}
        if isinstance(node, list):
            return [item for item in map(self.value, node) if item is not NO_VALUE]
        return node

    def prune(self, node: Any) -> Any:
        """Decide every Fn::If and leave all else as it stands."""
        match function(node):
            case ("Fn::If", argument):
                return self.prune(self._branch(argument))
        if isinstance(node, Mapping):
            pairs = ((key, self.prune(item)) for key, item in node.items())
            return {key: item for key, item in pairs if item != {"Ref": "AWS::NoValue"}}
        if isinstance(node, list):
            return [item for item in map(self.prune, node) if item != {"Ref": "AWS::NoValue"}]
        return node

    def holds(self, name: str) -> bool:
        """Decide a named condition."""
        if name not in self._decided:
            if name not in self.conditions:
                raise StackError(f"Template error: unresolved condition dependency {name}")
            if name in self._deciding:
                raise StackError(f"Template error: circular dependency of condition {name}")
            self._deciding.append(name)
            self._decided[name] = self.decide(self.conditions[name])
            self._deciding.pop()
        return self._decided[name]

    def decide(self, node: Any) -> bool:
        """Evaluate a condition's tree."""
        match function(node):
            case ("Condition", str(name)):
                return self.holds(name)
            case ("Fn::Equals", [left, right]):
                return bool(_comparable(self.value(left)) == _comparable(self.value(right)))
            case ("Fn::Not", [term]):
                return not self.decide(term)
            case ("Fn::And", [*terms]) if 2 <= len(terms) <= 10:  # noqa: PLR2004 (CloudFormation's bounds)
                return all(map(self.decide, terms))
            case ("Fn::Or", [*terms]) if 2 <= len(terms) <= 10:  # noqa: PLR2004
                return any(map(self.decide, terms))
        if isinstance(node, bool) or node in ("true", "false"):
            return node in (True, "true")
        raise StackError(
            f"Template error: {json.dumps(node, default=str)} is no condition: use Fn::Equals, "
            "Fn::Not, Fn::And, Fn::Or (2 to 10 terms) or Condition"
        )

    def _branch(self, argument: Any) -> Any:
        match argument:
            case [str(name), yes, no]:
                return yes if self.holds(name) else no
        raise StackError("Template error: Fn::If takes a condition's name and two values")

    def _call(self, name: str, argument: Any) -> Any:
        handler = _FUNCTIONS.get(name)
        if handler is None:
            if name in ("Fn::Transform", "Fn::GetStackOutput"):
                raise refused(name)
            raise StackError(f"Template error: function {name} is unknown or not allowed here")
        if name in ("Fn::Length", "Fn::ToJsonString") and not self.extended:
            raise StackError(f"Template error: {name} needs Transform: AWS::LanguageExtensions")
        return getattr(self, handler)(argument)

    def _ref(self, name: Any) -> Any:
        if not isinstance(name, str):
            name = self.value(name)
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self.parameters:
            return self.parameters[name]
        if name in self.pseudo:
            return self.pseudo[name]
        return self.ref(name)

    def _get_att(self, argument: Any) -> Any:
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        match parts:
            case [str(name), attribute]:
                return self.get_att(name, text(self.value(attribute)))
        raise StackError("Template error: Fn::GetAtt takes a resource's logical id and attribute")

    def _sub(self, argument: Any) -> Any:
        template, variables = _sub_parts(argument)
        known = {key: self.value(value) for key, value in variables.items()}
        causes: set[str] = set()

        def replace(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in known:
                value = known[name]
            elif "." in name:
                value = self._get_att(name)
            else:
                value = self._ref(name)
            if isinstance(value, Unknown):
                causes.update(value.causes)
                return ""
            if isinstance(value, list):
                raise StackError(f"Template error: Fn::Sub: ${{{name}}} is a list, not a string")
            return "" if value is NO_VALUE else text(value)

        result = SUBSTITUTION.sub(replace, template)
        return Unknown(frozenset(causes)) if causes else result

    def _join(self, argument: Any) -> Any:
        match argument:
            case [str(delimiter), items]:
                values = self.value(items)
                if isinstance(values, Unknown):
                    return values
                if not isinstance(values, list):
                    raise StackError("Template error: Fn::Join takes a list to join")
                causes = unknowns(values)
                return Unknown(causes) if causes else delimiter.join(map(text, values))
        raise StackError("Template error: Fn::Join takes a delimiter and a list")

    def _split(self, argument: Any) -> Any:
        match argument:
            case [str(delimiter), source]:
                value = self.value(source)
                return value if isinstance(value, Unknown) else text(value).split(delimiter)
        raise StackError("Template error: Fn::Split takes a delimiter and a string")

    def _select(self, argument: Any) -> Any:
        match argument:
            case [position, items]:
                values, index = self.value(items), self.value(position)
                if isinstance(values, Unknown):
                    return values
                if not isinstance(values, list):
                    raise StackError("Template error: Fn::Select takes a list to select from")
                if not str(index).isdigit() or int(index) >= len(values):
                    raise StackError(
                        f"Template error: Fn::Select cannot select value {index} "
                        f"of a list of {len(values)}"
                    )
                return values[int(index)]
        raise StackError("Template error: Fn::Select takes an index and a list")

    def _if(self, argument: Any) -> Any:
        return self.value(self._branch(argument))

    def _find_in_map(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) not in (3, 4):
            raise StackError("Template error: Fn::FindInMap takes a map and two keys")
        default = NO_VALUE
        if len(argument) == 4:  # noqa: PLR2004 (the default)
            if not self.extended:
                raise StackError(
                    "Template error: Fn::FindInMap's DefaultValue needs "
                    "Transform: AWS::LanguageExtensions"
                )
            default = self.value(argument[3]["DefaultValue"])
        names = [text(self.value(part)) for part in argument[:3]]
        found: Any = self.mappings
        for name in names:
            if not isinstance(found, Mapping) or name not in {str(key) for key in found}:
                if default is not NO_VALUE:
                    return default
                raise StackError(f"Template error: Unable to get mapping for {'::'.join(names)}")
            found = next(value for key, value in found.items() if str(key) == name)
        return self.value(found)

    def _base64(self, argument: Any) -> Any:
        value = self.value(argument)
        if isinstance(value, Unknown):
            return value
        return base64.b64encode(text(value).encode()).decode()

    def _cidr(self, argument: Any) -> Any:
        values = [self.value(part) for part in argument]
        if unknowns(values):
            return Unknown(unknowns(values))
        block, count = ipaddress.ip_network(text(values[0])), int(values[1])
        bits = int(values[2]) if len(values) > 2 else 8  # noqa: PLR2004 (the optional third)
        prefix = block.max_prefixlen - bits
        if prefix < block.prefixlen or 2 ** (prefix - block.prefixlen) < count:
            raise StackError(f"Template error: Fn::Cidr: {block} has no {count} blocks /{prefix}")
        networks = block.subnets(new_prefix=prefix)
        return [str(next(networks)) for _ in range(count)]

    def _get_azs(self, argument: Any) -> Any:
        return self.zones(text(self.value(argument)) or self.pseudo["AWS::Region"])

    def _import_value(self, argument: Any) -> Any:
        name = self.value(argument)
        return name if isinstance(name, Unknown) else self.import_value(text(name))

    def _length(self, argument: Any) -> Any:
        value = self.value(argument)
        if isinstance(value, Unknown):
            return value
        if not isinstance(value, list):
            raise StackError("Template error: Fn::Length takes a list")
        return len(value)

    def _to_json(self, argument: Any) -> Any:
        value = self.value(argument)
        causes = unknowns(value)
        return Unknown(causes) if causes else json.dumps(value, separators=(",", ":"))

    def _condition(self, argument: Any) -> Any:
        # A policy statement holds a key "Condition" of its own: only text names a condition.
        return {"Condition": self.value(argument)}


def _comparable(value: Any) -> Any:
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    return value if isinstance(value, (Mapping, Unknown, _NoValue)) else text(value)


# function -> the method that evaluates it
_FUNCTIONS = {
    "Ref": "_ref",
    "Condition": "_condition",
    "Fn::GetAtt": "_get_att",
    "Fn::Sub": "_sub",
    "Fn::Join": "_join",
    "Fn::Split": "_split",
    "Fn::Select": "_select",
    "Fn::If": "_if",
    "Fn::FindInMap": "_find_in_map",
    "Fn::Base64": "_base64",
    "Fn::Cidr": "_cidr",
    "Fn::GetAZs": "_get_azs",
    "Fn::ImportValue": "_import_value",
    "Fn::Length": "_length",
    "Fn::ToJsonString": "_to_json",
}
