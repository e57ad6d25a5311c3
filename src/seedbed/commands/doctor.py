"""What is broken, and its remedy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from seedbed.commands.options import (
    Json,
    Profile,
    Regions,
    declared_here,
)

if TYPE_CHECKING:
    pass


def doctor(  # noqa: PLR0917 (typer makes options of them)
    view: Annotated[
        str, typer.Option("--as", help="hub, admin (of a spoke) or scientist.")
    ] = "admin",
    hub: Annotated[
        str, typer.Option(metavar="ACCOUNT", help="The hub; default: who shares the portfolios.")
    ] = "",
    project_name: Annotated[
        str, typer.Option("--project", metavar="NAME", help="Why did this project fail?")
    ] = "",
    connection: Annotated[str, typer.Option(metavar="ARN", help="To the Git host.")] = "",
    domain: Annotated[str, typer.Option(metavar="ID", help="A Studio domain.")] = "",
    vpc: Annotated[str, typer.Option(metavar="ID", help="A VPC without internet.")] = "",
    region: Regions = None,
    profile: Profile = None,
    *,
    as_json: Json = False,
) -> None:
    """Look for what users report as broken, and tell the remedy of each; change nothing.

    Exit code 0: all well; 1: there are problems; 2: bad input. What the caller may not see is
    told as not known, and is no problem.
    """
    from seedbed import catalog, doctor
    from seedbed.doctor import report

    chosen = doctor.view_of(view)
    asked = doctor.Asked(hub, project_name, connection, domain, vpc)
    declared = declared_here()
    with Console(stderr=True).status("looking") as status:
        sites = doctor.sites(
            catalog.CHECKOUT, declared, chosen, asked, regions=region, profile=profile
        )
        results = doctor.examine(sites, lambda done: status.update(f"looked at {done}"))
    broken = any(one.finding.state is doctor.State.PROBLEM for one in results)
    if as_json:
        told = {"as": chosen, "account": sites[0].id, "hub": sites[0].hub, "ok": not broken}
        told["results"] = [one.plain() for one in results]
        print(json.dumps(told, indent=2))
    else:
        report.show(Console(), results)
    raise typer.Exit(broken)
