"""CloudFormation templates as plain values: short forms read as long ones, written the same way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from seedbed.errors import SeedbedError

Template = dict[str, Any]


class _Loader(yaml.SafeLoader):
    pass


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> Template:
    if isinstance(node, yaml.MappingNode):
        value: Any = loader.construct_mapping(node, deep=True)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 (PyYAML's signature)
        return True  # CloudFormation reads no anchors


def load(text: str, where: str) -> Template:
    """Return the template in `text` with every short form as a long one.

    Raises:
        SeedbedError: it is no YAML, or no template; `where` names it.
    """
    try:
        found = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise SeedbedError(f"{where}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict) or "Resources" not in found:
        raise SeedbedError(f"{where}: not a CloudFormation template: it has no Resources")
    return found


def dump(template: Mapping[str, Any]) -> str:
    """Return the template as YAML: the same value gives the same text."""
    return yaml.dump(dict(template), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def misfit(rule: Mapping[str, Any], value: str) -> str:
    """Return what is wrong with a parameter's value, in the template's words; empty if it fits."""
    parts = value.split(",") if rule["Type"] == "CommaDelimitedList" else [value]
    for part in parts:
        if not _fits(rule, part):
            return f"{part!r}: it {rule.get('ConstraintDescription', 'does not fit')}"
    return ""


def _fits(rule: Mapping[str, Any], value: str) -> bool:
    """Hold a value against a parameter's constraints: "Parameters", CloudFormation User Guide."""
    if rule["Type"] == "Number":
        try:
            number = float(value)
        except ValueError:
            return False
        low, high = rule.get("MinValue", number), rule.get("MaxValue", number)
        if not float(low) <= number <= float(high):
            return False
    if not int(rule.get("MinLength", 0)) <= len(value) <= int(rule.get("MaxLength", len(value))):
        return False
    # A pattern stands for the whole value.
    whole = re.compile(f"(?:{rule.get('AllowedPattern', '.*')})\\Z", re.ASCII | re.DOTALL)
    allowed = [str(one) for one in rule.get("AllowedValues", [value])]
    return bool(whole.match(value)) and value in allowed


def walk(value: Any, change: Callable[[Any], Any]) -> Any:  # noqa: ANN401 (any part of a template)
    """Return `value` with `change` applied to each mapping in it, the outer ones first."""
    if isinstance(value, dict):
        changed = change(value)
        if changed is not value:
            return changed
        return {key: walk(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [walk(item, change) for item in value]
    return value
