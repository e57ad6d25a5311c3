"""What an update would do, without doing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedbed.sandbox.cloudformation.desired import STACK, Declared, Desired
from seedbed.sandbox.cloudformation.engine import differences
from seedbed.sandbox.cloudformation.errors import ResourceError
from seedbed.sandbox.cloudformation.intrinsics import Unknown, references, unknowns
from seedbed.sandbox.cloudformation.records import Made, Stack


class Plan:
    """The changes that bring a stack to what is desired."""

    def __init__(self, stack: Stack, desired: Desired) -> None:
        self.stack = stack
        self.desired = desired
        # Resources whose physical id will be another: for sure (True), or perhaps.
        self.anew: dict[str, bool] = {}
        desired.evaluator.ref = self._ref
        desired.evaluator.get_att = self._get_att

    def changes(self) -> list[dict[str, Any]]:
        """Return the entries of DescribeChangeSet.

        Raises:
            ResourceError: A property is wrong; it names logical id, type and property.
        """
        found = []
        live = self.stack.live
        for name in self.desired.order:
            declared = self.desired.resources[name]
            properties = self.desired.properties(declared)
            old = live.get(name)
            if old is None:
                self.anew[name] = True
                found.append(_change("Add", name, declared.kind))
            else:
                changed = self._modified(declared, old, properties)
                if changed is not None:
                    found.append(changed)
        for name, made in live.items():
            if name not in self.desired.resources:
                keeps = made.deletion_policy.startswith("Retain")
                policy = {"PolicyAction": "Retain" if keeps else "Delete"}
                found.append(
                    _change(
                        "Remove", name, made.kind, PhysicalResourceId=made.physical_id, **policy
                    )
                )
        return found

    def _modified(
        self, declared: Declared, old: Made, new: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        names = differences(old.properties, new)
        details = [
            detail
            for name in sorted(names)
            for detail in self._details(declared, name, old.properties.get(name), new.get(name))
        ]
        scope = sorted({detail["Target"]["Attribute"] for detail in details})
        if declared.kind == STACK:  # its template may have changed behind the same address
            scope = scope or ["Properties"]
            details = details or [_detail("Properties", None, "Never", "Automatic")]
        policies = (old.deletion_policy, old.replace_policy, old.metadata)
        said = (declared.deletion_policy, declared.replace_policy, declared.metadata)
        attributes = ("DeletionPolicy", "UpdateReplacePolicy", "Metadata")
        for attribute, before, after in zip(attributes, policies, said, strict=True):
            if before != after:
                details.append(_detail(attribute, None, "Never", "DirectModification"))
                scope.append(attribute)
        if not details:
            return None
        needs = {
            (detail["Target"]["RequiresRecreation"], detail["Evaluation"]) for detail in details
        }
        replacement = "False"
        if ("Always", "Static") in needs:
            replacement = "True"
        elif any(answer != "Never" for answer, _ in needs):
            replacement = "Conditional"
        if replacement != "False":
            self.anew[declared.logical_id] = replacement == "True"
        more: dict[str, Any] = {"Replacement": replacement}
        if replacement == "True":
            keeps = declared.replace_policy == "Retain"
            more["PolicyAction"] = "ReplaceAndRetain" if keeps else "ReplaceAndDelete"
        return _change(
            "Modify", declared.logical_id, declared.kind, PhysicalResourceId=old.physical_id,
            Scope=scope, Details=details, **more,
        )  # fmt: skip

    def _details(self, declared: Declared, name: str, old: Any, new: Any) -> list[dict[str, Any]]:
        attribute = "Tags" if name == declared.schema.tag_property else "Properties"
        answer = declared.schema.needs_replacement(name, old, new)
        causes = sorted(unknowns(new))
        if causes:
            return [
                _detail(
                    attribute, name, answer,
                    "ResourceAttribute" if "." in cause else "ResourceReference", cause,
                    dynamic=not self.anew.get(cause.partition(".")[0], False),
                )
                for cause in causes
            ]  # fmt: skip
        used = {head for head, _ in references(declared.properties.get(name))}
        parameters = sorted(used & set(self.desired.values))
        if parameters:
            return [
                _detail(attribute, name, answer, "ParameterReference", one) for one in parameters
            ]
        return [_detail(attribute, name, answer, "DirectModification")]

    def _ref(self, name: str) -> Any:
        made = self.stack.live.get(name)
        if made is None or name in self.anew:
            return Unknown(frozenset({name}))
        return made.physical_id

    def _get_att(self, name: str, attribute: str) -> Any:
        made = self.stack.live.get(name)
        if made is None or name in self.anew:
            return Unknown(frozenset({f"{name}.{attribute}"}))
        if attribute in made.attributes:
            return made.attributes[attribute]
        found: Any = made.properties
        for part in attribute.split("."):
            if not isinstance(found, Mapping) or part not in found:
                if made.kind == STACK or made.kind.startswith(
                    ("Custom::", "AWS::CloudFormation::")
                ):
                    return Unknown(frozenset({f"{name}.{attribute}"}))
                raise ResourceError(f"{name} ({made.kind}): attribute {attribute} is not emulated")
            found = found[part]
        return found


def _change(action: str, name: str, kind: str, **more: Any) -> dict[str, Any]:
    said = {"Action": action, "LogicalResourceId": name, "ResourceType": kind, **more}
    return {"Type": "Resource", "ResourceChange": {"Scope": [], "Details": [], **said}}


def _detail(
    attribute: str,
    name: str | None,
    recreation: str,
    source: str,
    cause: str = "",
    *,
    dynamic: bool = False,
) -> dict[str, Any]:
    target = {"Attribute": attribute, "RequiresRecreation": recreation}
    if name is not None and attribute != "Tags":
        target["Name"] = name
    said: dict[str, Any] = {
        "Target": target,
        "Evaluation": "Dynamic" if dynamic else "Static",
        "ChangeSource": source,
    }
    if cause:
        said["CausingEntity"] = cause
    return said
