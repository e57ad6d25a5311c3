"""What has to be called so that one region holds a release as it is declared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from seedbed.declaration import Declaration
from seedbed.packaging import Manifest
from seedbed.publishing import catalog, store
from seedbed.publishing.aws import Account, told
from seedbed.publishing.changes import Plan
from seedbed.publishing.observe import Portfolio, observe, usage


def plan(
    account: Account,
    declared: Declaration,
    manifest: Manifest,
    folder: Path,
    *,
    prune: bool = False,
) -> Plan:
    """Compare one region of the hub with the declaration and the release; write nothing.

    Args:
        account: the hub, in the region.
        declared: what is to be there.
        manifest: the release, in `folder`.
        folder: where its files are, for those that go under stable keys.
        prune: retire what is declared no more too.

    Raises:
        SeedbedError: AWS refuses, a version exists with another content, or something that is not
            ours is in the way.
    """
    before = account.calls.total()
    with told(account.region):
        wanted = store.stable(declared, manifest, folder)
        seen = observe(account, declared, wanted)
        early, late = store.changes(seen, declared, manifest, wanted)
        differ = catalog.Catalog(seen, declared, manifest, _Usage(seen.account, seen.held))
        middle = differ.changes(prune=prune) if "service-catalog" in declared.targets else []
    notes = tuple(differ.notes)
    calls = account.calls.total() - before
    return Plan(account.id, account.region, (*early, *middle, *late), notes, calls)


class _Usage:
    """Asks once a product, and only if something of it is to be retired."""

    def __init__(self, account: Account, portfolios: Mapping[str, Portfolio]) -> None:
        self._account, self._held = account, list(portfolios.values())
        self._known: dict[str, tuple[set[str], list[str]]] = {}

    def __call__(self, product: str) -> tuple[set[str], list[str]]:
        if product not in self._known:
            self._known[product] = usage(self._account, product, self._held)
        return self._known[product]


def dump(plans: list[Plan]) -> str:
    """Return the plans as JSON."""
    return json.dumps({"plans": [one.plain() for one in plans]}, indent=2, sort_keys=True)
