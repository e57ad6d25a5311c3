"""What publishing would change: the API requests themselves, in the order of their sending."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ID = "$id"  # {"$id": "product/x"}: the id that an earlier request of the plan is answered with
FILE = "$file"  # {"$file": "products/.../x.yml"}: the content of a file of the release


def reference(name: str) -> dict[str, str]:
    """Return what stands for an id that does not exist yet."""
    return {ID: name}


@dataclass(frozen=True)
class Change:
    """One request. `gives` names the id in its answer that later requests refer to."""

    kind: str
    target: str
    summary: str
    service: str
    operation: str
    parameters: Mapping[str, Any]
    gives: Mapping[str, str] = field(default_factory=dict)  # name -> path in the answer, by dots

    def plain(self) -> dict[str, Any]:
        """Return the change as `--json` prints it."""
        return {
            "kind": self.kind,
            "target": self.target,
            "summary": self.summary,
            "service": self.service,
            "operation": self.operation,
            "parameters": dict(self.parameters),
        }


@dataclass(frozen=True)
class Plan:
    """All that publishing changes in one region, what else is worth knowing, the calls it took."""

    account: str
    region: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    calls: int

    def plain(self) -> dict[str, Any]:
        """Return the plan as `--json` prints it."""
        return {
            "account": self.account,
            "region": self.region,
            "changes": [change.plain() for change in self.changes],
            "notes": list(self.notes),
            "calls": self.calls,
        }
