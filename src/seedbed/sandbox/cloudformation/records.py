"""What is kept of a stack: its resources, events, parameters and outputs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from seedbed.sandbox.cloudformation.parameters import Value

LIVE_ENDS = ("_COMPLETE", "_FAILED")
# Where another service keeps the tags of a stack that AWS sets by itself, by the stack's name.
SYSTEM_TAGS = "cloudformation-system-tags"


@dataclass
class Made:
    """One physical resource of a stack."""

    logical_id: str
    kind: str
    properties: dict[str, Any] = field(default_factory=dict)  # dynamic references unresolved
    physical_id: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    depends: frozenset[str] = frozenset()
    deletion_policy: str = "Delete"
    replace_policy: str = "Delete"
    metadata: Any = None
    status: str = "CREATE_IN_PROGRESS"
    reason: str = ""
    time: datetime | None = None
    fresh: bool = True  # made by the operation that is under way

    @property
    def is_live(self) -> bool:
        return self.status not in ("DELETE_COMPLETE", "DELETE_SKIPPED")


@dataclass
class Version:
    """What a stack was asked for: kept so that a failed update can return to it."""

    body: str
    parameters: dict[str, Value]
    tags: dict[str, str]
    capabilities: list[str]
    description: str = ""
    processed: Mapping[str, Any] = field(default_factory=dict)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    imports: frozenset[str] = frozenset()


@dataclass
class Stack:
    """One stack; `done` is set while no operation is under way."""

    name: str
    id: str
    account: str
    region: str
    created: datetime
    version: Version
    status: str = "CREATE_IN_PROGRESS"
    reason: str = ""
    previous: Version | None = None
    resources: dict[str, Made] = field(default_factory=dict)
    leftovers: list[Made] = field(default_factory=list)  # replaced or dropped, still to delete
    events: list[dict[str, Any]] = field(default_factory=list)
    role_arn: str = ""
    parent_id: str = ""
    root_id: str = ""
    change_set_id: str = ""
    disable_rollback: bool = False
    protected: bool = False
    notify: list[str] = field(default_factory=list)
    # Of AWS's own, told with the stack's and not passed on to its resources.
    system_tags: Mapping[str, str] = field(default_factory=dict)
    timeout_minutes: int | None = None
    updated: datetime | None = None
    deleted: datetime | None = None
    token: str = ""
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def is_busy(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def tags(self) -> dict[str, str]:
        return {**self.version.tags, **self.system_tags}

    @property
    def live(self) -> dict[str, Made]:
        return {name: made for name, made in self.resources.items() if made.is_live}

    @property
    def exports(self) -> dict[str, str]:
        return {
            one["ExportName"]: one["OutputValue"]
            for one in self.version.outputs
            if "ExportName" in one
        }

    def wire(self) -> dict[str, Any]:
        """Return the entry of DescribeStacks."""
        version = self.version
        said: dict[str, Any] = {
            "StackId": self.id,
            "StackName": self.name,
            "CreationTime": self.created,
            "StackStatus": self.status,
            "DisableRollback": self.disable_rollback,
            "NotificationARNs": self.notify,
            "Capabilities": version.capabilities,
            "Parameters": [value.wire(key) for key, value in version.parameters.items()],
            "Outputs": version.outputs,
            "Tags": [{"Key": key, "Value": value} for key, value in self.tags.items()],
            "EnableTerminationProtection": self.protected,
            "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        }
        optional = {
            "StackStatusReason": self.reason, "Description": version.description,
            "RoleARN": self.role_arn, "ParentId": self.parent_id, "RootId": self.root_id,
            "ChangeSetId": self.change_set_id, "LastUpdatedTime": self.updated,
            "DeletionTime": self.deleted, "TimeoutInMinutes": self.timeout_minutes,
        }  # fmt: skip
        return {**said, **{key: value for key, value in optional.items() if value}}

    def summary(self) -> dict[str, Any]:
        """Return the entry of ListStacks."""
        said: dict[str, Any] = {
            "StackId": self.id, "StackName": self.name, "CreationTime": self.created,
            "StackStatus": self.status, "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        }  # fmt: skip
        optional = {
            "StackStatusReason": self.reason, "TemplateDescription": self.version.description,
            "ParentId": self.parent_id, "RootId": self.root_id, "LastUpdatedTime": self.updated,
            "DeletionTime": self.deleted,
        }  # fmt: skip
        return {**said, **{key: value for key, value in optional.items() if value}}


@dataclass
class ChangeSet:
    """A prepared change of a stack, and what executing it needs."""

    name: str
    id: str
    stack: Stack
    kind: str  # CREATE or UPDATE
    version: Version
    created: datetime
    changes: list[dict[str, Any]]
    description: str = ""
    status: str = "CREATE_COMPLETE"
    reason: str = ""
    execution: str = "AVAILABLE"
    on_failure: str = ""
    role_arn: str = ""
    notify: list[str] = field(default_factory=list)


@dataclass
class Stacks:
    """All stacks and change sets of one account and region."""

    by_id: dict[str, Stack] = field(default_factory=dict)
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)

    def find(self, name_or_id: str) -> Stack | None:
        """Return a stack by its id (deleted ones too), or the living one of that name."""
        if name_or_id in self.by_id:
            return self.by_id[name_or_id]
        living = (one for one in self.by_id.values() if one.status != "DELETE_COMPLETE")
        return next((one for one in living if one.name == name_or_id), None)

    def exports(self) -> dict[str, tuple[str, Stack]]:
        """Return every export: name to value and exporting stack."""
        return {
            name: (value, stack)
            for stack in list(self.by_id.values())
            if stack.status != "DELETE_COMPLETE"
            for name, value in stack.exports.items()
        }

    def importers(self, name: str) -> list[Stack]:
        living = (one for one in list(self.by_id.values()) if one.status != "DELETE_COMPLETE")
        return [stack for stack in living if name in stack.version.imports]
