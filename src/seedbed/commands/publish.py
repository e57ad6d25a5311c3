"""From a commit to the hub: package, plan, publish."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from seedbed.commands.options import (
    DIST,
    Json,
    Profile,
    Prune,
    Regions,
    Release,
    Yes,
    carry_out,
    declared_here,
    due,
    out,
    show_plans,
)

if TYPE_CHECKING:
    from seedbed.publishing import Account, Plan


def package(
    output: Annotated[Path, typer.Option(help="The release's folder; it is replaced.")] = DIST,
    version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="What to call HEAD; default: its tag.")
    ] = None,
    *,
    wheels: Annotated[
        bool, typer.Option("--wheels", help="Fetch the wheels too, for builds without internet.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a release: products, functions, template bundles, manifest (maintainers).

    The same commit gives the same bytes on any machine; keys hold their content's hash.
    """
    from seedbed import catalog, packaging

    with Console(stderr=True).status("packaging") as status:
        made = packaging.package(
            catalog.CHECKOUT, output, version=version, wheels=wheels, progress=status.update
        )
    if as_json:
        print(made.model_dump_json(indent=2))
        return
    for kind in ("products", "functions", "bundles", "wheels"):
        for name, item in getattr(made, kind).items():
            line = f"{kind[:-1]:<9} {name:<28} {item.size:>10,} bytes  {item.sha256[:12]}"
            out.print(line, markup=False, highlight=False)
    out.print(f"{made.version} of {made.commit[:12]} is in {output}. Next: seedbed plan")


def plan(
    release: Release = DIST,
    region: Regions = None,
    profile: Profile = None,
    *,
    prune: Prune = False,
    as_json: Json = False,
) -> None:
    """Show what `publish` would change in the hub, request by request; change nothing.

    Exit code 0: AWS holds the release as it is declared; 2: something would change (or an error,
    which is one line that begins with `seedbed:`).
    """
    plans = _plans(release, region, profile, prune=prune, as_json=as_json)
    if as_json:
        from seedbed.publishing.plan import dump

        print(dump([one for _, one in plans]))
    else:
        show_plans(one for _, one in plans)
    raise due(sum(len(one.changes) for _, one in plans))


def publish(
    release: Release = DIST,
    region: Regions = None,
    profile: Profile = None,
    *,
    prune: Prune = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Bring the hub to the release: Service Catalog, the S3 template store, shares.

    Shows the plan, asks, then sends exactly the plan's requests. Interrupted anywhere, run it
    again: AWS holds the state.
    """
    plans = _plans(release, region, profile, prune=prune, as_json=as_json)
    if sent := carry_out(plans, release, yes=yes, as_json=as_json, look="`seedbed plan --json`"):
        out.print(f"published: {sent} requests sent", highlight=False)


def _plans(
    release: Path,
    regions: list[str] | None,
    profile: str | None,
    *,
    prune: bool,
    as_json: bool,
) -> list[tuple[Account, Plan]]:
    from seedbed import packaging, publishing

    declared, manifest = declared_here(), packaging.read(release)
    if not as_json:
        what = f"release {manifest.version} of {manifest.commit[:12]} in {release}"
        out.print(what, markup=False, highlight=False)
    plans = []
    for name in declared.chosen(regions):
        account = publishing.Account.of(name, profile)
        with Console(stderr=True).status(f"looking at {name}"):
            plans.append(
                (account, publishing.plan(account, declared, manifest, release, prune=prune))
            )
    return plans
