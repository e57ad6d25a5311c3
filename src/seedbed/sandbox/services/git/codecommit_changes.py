"""What a change of a repository means to others: IAM before it, events and listeners after."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from seedbed.sandbox import needs
from seedbed.sandbox.identity import Principal
from seedbed.sandbox.needs import Asked, Need
from seedbed.sandbox.services.git import store
from seedbed.sandbox.services.git.store import HEADS, Change, Push
from seedbed.sandbox.world import World

PRINCIPAL = "codecommit.amazonaws.com"
# Operations that are judged by the branch that they change.
CHANGING = frozenset({"CreateBranch", "CreateCommit", "DeleteBranch", "PutFile"})


@dataclass
class Repository:
    """One repository's record; its content is the bare repository in `folder`."""

    name: str
    id: str
    arn: str
    folder: Path
    created: datetime
    changed: datetime
    description: str | None = None
    key: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


def tell(world: World, one: Repository, who: Principal, changes: list[Change]) -> None:
    """Put an event for every change on the account's default bus, as best it can."""
    if not changes:
        return
    one.changed = world.now()
    region, account = one.arn.split(":")[3:5]
    ctx = world.context("codecommit", account, region, operation="Push")
    client = ctx.client("events", as_service=PRINCIPAL)
    for change in changes:
        entry = {
            "Source": "aws.codecommit",
            "DetailType": "CodeCommit Repository State Change",
            "Resources": [one.arn],
            "Detail": json.dumps(_detail(one, who, change)),
        }
        try:
            client.put_events(Entries=[entry])
        except ClientError:  # delivery is best effort: the push has happened
            continue
    store.tell(world, Push(one.arn, one.folder, tuple(changes)))


def _detail(one: Repository, who: Principal, change: Change) -> dict[str, Any]:
    events = {(True, False): "referenceCreated", (False, True): "referenceDeleted"}
    kind = "branch" if change.ref.startswith(HEADS) else "tag"
    detail = {
        "event": events.get((change.before is None, change.after is None), "referenceUpdated"),
        "repositoryName": one.name,
        "repositoryId": one.id,
        "referenceType": kind,
        "referenceName": change.ref.split("/", 2)[2],
        "referenceFullName": change.ref,
        "callerUserArn": who.session_arn,
    }
    if change.after:
        detail["commitId"] = change.after
    if change.before:
        detail["oldCommitId"] = change.before
    return detail


def _judged(asked: Asked) -> list[Need] | None:
    """Tell the branch that a call changes: the condition key codecommit:References."""
    branch = asked.get("branchName")
    if asked.operation not in CHANGING or not branch:
        return None
    context = {"codecommit:references": (HEADS + str(branch),)}
    return [replace(need, context=context) for need in needs.plain(asked)]


needs.SPECIAL["codecommit"] = _judged
