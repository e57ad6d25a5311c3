"""Which pushes start a pipeline: triggers of type V2, and sources that detect changes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seedbed.sandbox.services.git import store
from seedbed.sandbox.services.git.store import HEADS, Change, Push
from seedbed.sandbox.world import World

TAGS = "refs/tags/"


@dataclass(frozen=True)
class Started:
    """An execution that a push starts: why, and what its source action takes."""

    trigger: tuple[str, str]
    overrides: dict[str, dict[str, str]]


def started_by(world: World, push: Push, declaration: Mapping[str, Any]) -> Iterator[Started]:
    """Tell which executions of a pipeline a push starts: one for a change that is asked for."""
    for change in push.changes:
        for action in declaration["stages"][0]["actions"]:
            found = _started(world, push, change, action, declaration)
            if found is not None:
                yield found
                break


def _started(
    world: World,
    push: Push,
    change: Change,
    action: Mapping[str, Any],
    declaration: Mapping[str, Any],
) -> Started | None:
    said, provider = action["configuration"], action["actionTypeId"]["provider"]
    if change.after is None:
        return None
    if provider == "CodeCommit" and said["RepositoryName"] == push.repository.rpartition(":")[2]:
        polls = said.get("PollForSourceChanges", "true").lower() != "false"
        if push.repository.startswith("arn:") and polls and _is_branch(change, said["BranchName"]):
            return Started(("PollForSourceChanges", action["name"]), {})
    if provider != "CodeStarSourceConnection" or said["FullRepositoryId"] != push.repository:
        return None
    filters = [
        one["gitConfiguration"]
        for one in declaration.get("triggers", [])
        if one["gitConfiguration"]["sourceActionName"] == action["name"]
    ]
    if filters:
        wanted = any(_wanted(world, push, change, one, said["BranchName"]) for one in filters)
    else:
        detects = said.get("DetectChanges", "true").lower() != "false"
        wanted = detects and _is_branch(change, said["BranchName"])
    if not wanted:
        return None
    override = {"revision": change.after}
    if change.ref.startswith(HEADS):
        override["branch"] = change.ref[len(HEADS) :]
    else:
        override["tag"] = change.ref[len(TAGS) :]
    return Started(("WebhookV2", said["ConnectionArn"]), {action["name"]: override})


def _is_branch(change: Change, name: str) -> bool:
    return change.ref == HEADS + name


def _wanted(world: World, push: Push, change: Change, said: Mapping[str, Any], branch: str) -> bool:
    filters = said.get("push", [])
    if not filters:
        return _is_branch(change, branch)
    return any(_passes(world, push, change, one) for one in filters)


def _passes(world: World, push: Push, change: Change, said: Mapping[str, Any]) -> bool:
    """Tell whether a change passes one filter: all of its parts."""
    if change.ref.startswith(TAGS):
        return "tags" in said and _included(change.ref[len(TAGS) :], said["tags"])
    if "tags" in said or not change.ref.startswith(HEADS):
        return False
    if "branches" in said and not _included(change.ref[len(HEADS) :], said["branches"]):
        return False
    if "filePaths" not in said:
        return True
    return any(_included(path, said["filePaths"]) for path in _paths(world, push, change))


def _paths(world: World, push: Push, change: Change) -> list[str]:
    """Return the files that a change of a branch touches."""
    words = ["diff-tree", "-r", "-z", "--name-only", "--no-commit-id"]
    words += [change.before, str(change.after)] if change.before else ["--root", str(change.after)]
    said = store.run(world, push.folder, *words)
    return [one for one in said.decode(errors="replace").split("\0") if one]


def _included(name: str, said: Mapping[str, list[str]]) -> bool:
    """Tell whether a name is wanted: excludes win over includes."""
    if any(matches(name, one) for one in said.get("excludes", [])):
        return False
    includes = said.get("includes", [])
    return not includes or any(matches(name, one) for one in includes)


def matches(name: str, pattern: str) -> bool:
    """Match a glob: `*` and `?` stay within a folder, `**` does not."""
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    kinds = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return bool(re.fullmatch("".join(kinds.get(one, re.escape(one)) for one in parts), name))
