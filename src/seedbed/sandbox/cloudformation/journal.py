"""What a run tells of itself: the stack's resources to its template, events to its readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from seedbed.sandbox.cloudformation import schemas
from seedbed.sandbox.cloudformation.desired import STACK
from seedbed.sandbox.cloudformation.errors import ResourceError
from seedbed.sandbox.cloudformation.records import Made, Stack


class Journal:
    """A stack that is being changed; `notify` hears of every event."""

    def __init__(
        self,
        stack: Stack,
        now: Callable[[], datetime],
        notify: Callable[[Stack, Mapping[str, Any]], None],
    ) -> None:
        self.stack = stack
        self._now = now
        self._notify = notify

    # References

    def ref(self, name: str) -> str:
        return self._made(name).physical_id

    def get_att(self, name: str, attribute: str) -> Any:
        made = self._made(name)
        if attribute in made.attributes:
            return made.attributes[attribute]
        found: Any = {**made.properties, **made.attributes}
        for part in attribute.split("."):
            if not isinstance(found, Mapping) or part not in found:
                raise ResourceError(f"{name} ({made.kind}): attribute {attribute} is not emulated")
            found = found[part]
        return found

    def _made(self, name: str) -> Made:
        made = self.stack.resources.get(name)
        if made is None or not made.is_live:
            raise ResourceError(f"resource {name} does not exist")
        return made

    # Events

    def event(self, made: Made, status: str, reason: str = "") -> None:
        made.status, made.reason, made.time = status, reason, self._now()
        self._log(
            {
                "LogicalResourceId": made.logical_id,
                "PhysicalResourceId": made.physical_id,
                "ResourceType": made.kind,
                "ResourceStatus": status,
                "ResourceProperties": schemas.as_json(made.properties),
                "ResourceStatusReason": reason,
            }
        )

    def state(self, status: str, reason: str = "") -> None:
        """Set the stack's own status."""
        self.stack.status, self.stack.reason = status, reason
        self._log(
            {
                "LogicalResourceId": self.stack.name,
                "PhysicalResourceId": self.stack.id,
                "ResourceType": STACK,
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
            }
        )

    def _log(self, said: dict[str, str]) -> None:
        number = len(self.stack.events)
        event: dict[str, Any] = {
            "StackId": self.stack.id,
            "EventId": f"{said['LogicalResourceId']}-{said['ResourceStatus']}-{number:05}",
            "StackName": self.stack.name,
            "Timestamp": self._now(),
            **{key: value for key, value in said.items() if value or key == "PhysicalResourceId"},
        }
        if self.stack.token:
            event["ClientRequestToken"] = self.stack.token
        self.stack.events.append(event)
        self._notify(self.stack, event)
