"""AWS::LanguageExtensions: loops are written out before anything else reads the template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from seedbed.sandbox.cloudformation.errors import StackError
from seedbed.sandbox.cloudformation.intrinsics import Evaluator, text
from seedbed.sandbox.cloudformation.template import Template, from_tree

LOOP = "Fn::ForEach::"


def expand(template: Template, evaluator: Evaluator) -> Template:
    """Write out the loops and evaluate the attributes that the transform opens to functions.

    A template without the transform comes back as it is; a loop in it is an error.
    """
    if not template.extended:
        if _has_loop(template.tree):
            raise StackError("Fn::ForEach needs Transform: AWS::LanguageExtensions")
        return template
    tree = dict(template.tree)
    for section in ("Conditions", "Resources", "Outputs"):
        if section in tree:
            tree[section] = _write_out(tree[section], evaluator)
    resources = {}
    for logical_id, resource in tree["Resources"].items():
        written = dict(resource)
        for attribute in ("DeletionPolicy", "UpdateReplacePolicy"):
            if attribute in written:
                written[attribute] = evaluator.value(written[attribute])
        resources[logical_id] = written
    return from_tree(template.body, {**tree, "Resources": resources})


def _has_loop(node: Any) -> bool:
    if isinstance(node, Mapping):
        return any(str(key).startswith(LOOP) or _has_loop(item) for key, item in node.items())
    return isinstance(node, list) and any(map(_has_loop, node))


def _write_out(node: Any, evaluator: Evaluator) -> Any:
    if isinstance(node, list):
        return [_write_out(item, evaluator) for item in node]
    if not isinstance(node, Mapping):
        return node
    written: dict[str, Any] = {}
    for key, item in node.items():
        pairs = (
            _turns(str(key), item, evaluator)
            if str(key).startswith(LOOP)
            else {key: _write_out(item, evaluator)}
        )
        repeated = sorted(set(written) & set(pairs))
        if repeated:
            raise StackError(f"{key} writes {repeated} a second time")
        written |= pairs
    return written


def _turns(name: str, argument: Any, evaluator: Evaluator) -> dict[str, Any]:
    match argument:
        case [str(identifier), collection, Mapping() as body] if len(body) == 1:
            values = evaluator.value(collection)
            if not isinstance(values, list):
                raise StackError(f"{name}: the collection must be a list")
            written: dict[str, Any] = {}
            for value in values:
                turn = _write_out(_bind(body, identifier, text(value)), evaluator)
                repeated = sorted(set(written) & set(turn))
                if repeated:
                    raise StackError(
                        f"{name} writes {repeated} twice: name ${{{identifier}}} in the key"
                    )
                written |= turn
            return written
    raise StackError(f"{name} takes an identifier, a collection and a mapping of one entry")


def _bind(node: Any, identifier: str, value: str) -> Any:
    """Put one turn's value in the place of the loop's identifier, in keys and in text."""
    if isinstance(node, Mapping):
        if dict(node) == {"Ref": identifier}:
            return value
        return {
            _bind(key, identifier, value): _bind(item, identifier, value)
            for key, item in node.items()
        }
    if isinstance(node, list):
        return [_bind(item, identifier, value) for item in node]
    if isinstance(node, str):
        plain = re.sub(r"[^A-Za-z0-9]", "", value)
        return node.replace(f"${{{identifier}}}", value).replace(f"&{{{identifier}}}", plain)
    return node
