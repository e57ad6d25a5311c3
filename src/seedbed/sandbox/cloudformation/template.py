"""Reading a template: YAML or JSON text to a plain tree, and its sections."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from seedbed.sandbox.cloudformation.errors import StackError, refused

LANGUAGE_EXTENSIONS = "AWS::LanguageExtensions"
SERVERLESS = "AWS::Serverless-2016-10-31"
INLINE_LIMIT = 51_200  # bytes, CloudFormation's quota for TemplateBody
STORED_LIMIT = 1_048_576  # bytes, for TemplateURL

SECTIONS = {
    "AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Mappings", "Conditions",
    "Rules", "Transform", "Resources", "Outputs",
}  # fmt: skip
ATTRIBUTES = {
    "Type", "Properties", "DependsOn", "Condition", "Metadata", "DeletionPolicy",
    "UpdateReplacePolicy", "CreationPolicy", "UpdatePolicy",
}  # fmt: skip
POLICIES = {"Delete", "Retain", "RetainExceptOnCreate", "Snapshot"}


class _Loader(yaml.SafeLoader):
    """Safe YAML with CloudFormation's short tags; dates stay text, a repeated key is an error."""


def _short_tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_object(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key, _ in node.value:
        name = loader.construct_object(key, deep=True)
        if name in seen:
            line = key.start_mark.line + 1
            raise StackError(f"Template format error: duplicate key {name!r} in line {line}")
        seen.add(name)
    return loader.construct_mapping(node, deep=True)


_Loader.add_multi_constructor("!", _short_tag)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Template:
    """A parsed template; every section is a plain mapping, empty where it is absent."""

    body: str
    tree: Mapping[str, Any]
    transforms: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def extended(self) -> bool:
        return LANGUAGE_EXTENSIONS in self.transforms


def parse(body: str) -> Template:
    """Read a template.

    Raises:
        StackError: It is no YAML or JSON mapping, has an unknown section or transform.
    """
    try:
        tree = json.loads(body) if body.lstrip().startswith("{") else yaml.load(body, _Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        said = " ".join(str(error).split())
        raise StackError(f"Template format error: YAML not well-formed. ({said})") from error
    if not isinstance(tree, dict):
        raise StackError("Template format error: unsupported structure.")
    return from_tree(body, tree)


def from_tree(body: str, tree: Mapping[str, Any]) -> Template:
    """Split a tree into its sections and check their outer form."""
    unknown = sorted(set(map(str, tree)) - SECTIONS)
    if unknown:
        raise StackError(f"Invalid template property or properties {unknown}")
    said = tree.get("Transform") or []
    transforms = tuple(said if isinstance(said, list) else [said])
    for transform in transforms:
        if transform == SERVERLESS:
            _check_serverless(tree)
        elif transform != LANGUAGE_EXTENSIONS:
            name = transform.get("Name") if isinstance(transform, Mapping) else transform
            raise refused(f"Transform {name}")
    sections = {}
    for name in ("Parameters", "Mappings", "Conditions", "Rules", "Resources", "Outputs"):
        section = tree.get(name) or {}
        if not isinstance(section, Mapping):
            raise StackError(f"Template format error: {name} must be a mapping.")
        sections[name.lower()] = section
    if not sections["resources"]:
        raise StackError("Template format error: At least one Resources member must be defined.")
    return Template(body=body, tree=tree, transforms=transforms, **sections)


def _check_serverless(tree: Mapping[str, Any]) -> None:
    """Check that the transform has nothing to write: it leaves all but its own types as they are.

    Raises:
        StackError: Names the first resource that it would have to write out.
    """
    for logical_id, resource in (tree.get("Resources") or {}).items():
        kind = str(resource.get("Type")) if isinstance(resource, Mapping) else ""
        if kind.startswith("AWS::Serverless::"):
            raise refused(f"{logical_id} ({kind}): Transform {SERVERLESS}")


def check_resources(resources: Mapping[str, Any]) -> None:
    """Check each resource's outer form: a type, known attributes, a policy that is emulated.

    Raises:
        StackError: Names the logical id and what is wrong with it.
    """
    for logical_id, resource in resources.items():
        if not isinstance(resource, Mapping) or not isinstance(resource.get("Type"), str):
            raise StackError(
                "Template format error: [/Resources/"
                f"{logical_id}] Every Resources object must contain a Type member."
            )
        kind = resource["Type"]
        unknown = sorted(set(resource) - ATTRIBUTES)
        if unknown:
            raise StackError(f"Invalid template resource property {unknown} of {logical_id}")
        for attribute in ("CreationPolicy", "UpdatePolicy"):
            if attribute in resource:
                raise refused(f"{logical_id} ({kind}): {attribute}")
        for attribute in ("DeletionPolicy", "UpdateReplacePolicy"):
            policy = resource.get(attribute, "Delete")
            if policy == "Snapshot":
                raise refused(f"{logical_id} ({kind}): {attribute} Snapshot")
            if policy not in POLICIES or (
                attribute == "UpdateReplacePolicy" and policy == "RetainExceptOnCreate"
            ):
                raise StackError(
                    f"Template error: {logical_id}: {attribute} {policy!r} is not valid"
                )
