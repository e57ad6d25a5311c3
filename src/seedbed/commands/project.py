"""SageMaker projects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from seedbed.commands.options import (
    Json,
    Profile,
    account_id,
    declared_here,
    out,
)
from seedbed.errors import SeedbedError

if TYPE_CHECKING:
    from seedbed.declaration import Declaration
    from seedbed.projects import Project
    from seedbed.publishing import Account

project = typer.Typer(
    help="SageMaker projects, by the calls that Studio makes.", no_args_is_help=True
)


@project.command("create")
def project_create(  # noqa: PLR0917 (typer makes options of them)
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, hyphens; at most 32.")],
    product: Annotated[str, typer.Option(help="A product's key in portfolios.yml.")],
    hub: Annotated[
        str,
        typer.Option(metavar="ACCOUNT", help="The hub, for --route s3.", callback=account_id),
    ] = "",
    route: Annotated[str, typer.Option(help="catalog, or s3 for the template in S3.")] = "catalog",
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="What the product asks for; repeatable."),
    ] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Repeatable.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Default: the first declared one.")] = None,
    profile: Profile = None,
    *,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for its end.")] = False,
    as_json: Json = False,
) -> None:
    """Create a project as Studio does: its stack, its repository, its first build.

    Example: seedbed project create churn --product model-build-s3 --set GitHost=codecommit
    --set RepositoryId=churn --set ConnectionArn= --set ModelPackageGroupName=churn
    --set DataLocation=s3://lake/churn/
    """
    from seedbed import projects
    from seedbed.pairs import parse_pairs

    if route not in ("catalog", "s3"):
        raise SeedbedError(f"--route is {route!r}: use catalog or s3")
    if route == "s3" and not hub:
        raise SeedbedError("--route s3 needs --hub: the account whose bucket holds the templates")
    account, declared = _here(region, profile)
    projects.create(
        account,
        declared,
        name,
        product,
        parse_pairs(sets or []),
        hub=hub,
        route="s3" if route == "s3" else "catalog",
        tags=parse_pairs(tags or [], "--tag"),
    )
    with Console(stderr=True).status(f"creating {name}") as status:
        made = (
            projects.show(account, name)
            if no_wait
            else projects.wait(account, name, lambda one: status.update(f"{name}: {one.status}"))
        )
    _tell(made, as_json=as_json)
    where = made.parameters.get("RepositoryId", "")
    if made.status == "CreateCompleted" and where and not as_json:
        out.print(f"Next: clone {where}; its README says how to run it", highlight=False)


@project.command("list")
def project_list(
    region: Annotated[str | None, typer.Option(help="Default: the first declared one.")] = None,
    profile: Profile = None,
    *,
    as_json: Json = False,
) -> None:
    """List the projects of this account."""
    from rich.table import Table

    from seedbed import projects

    account, _ = _here(region, profile)
    with Console(stderr=True).status("looking"):
        found = [projects.show(account, name) for name in projects.every(account)]
    if as_json:
        print(json.dumps([one.plain() for one in found], indent=2))
        return
    if not found:
        out.print(f"no projects in {account.id} {account.region}", highlight=False)
        return
    table = Table("name", "id", "status", "route", "from", box=None)
    for one in found:
        table.add_row(one.name, one.id, one.status, one.route, one.origin.split("/", 3)[-1])
    Console().print(table)


@project.command("show")
def project_show(
    name: Annotated[str, typer.Argument(help="The project's name.")],
    region: Annotated[str | None, typer.Option(help="Default: the first declared one.")] = None,
    profile: Profile = None,
    *,
    as_json: Json = False,
) -> None:
    """Show a project: its state, from what it was made, its parameters."""
    from seedbed import projects

    account, _ = _here(region, profile)
    _tell(projects.show(account, name), as_json=as_json)


def _here(region: str | None, profile: str | None) -> tuple[Account, Declaration]:
    from seedbed.publishing import Account

    declared = declared_here()
    (name, *_) = declared.chosen([region] if region else None)
    account = Account.of(name, profile)
    with Console(stderr=True).status(f"{account.id} {name}"):  # an endpoint that is down: at once
        return account, declared


def _tell(made: Project, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(made.plain(), indent=2))
        return
    for label in ("name", "id", "status", "route", "origin", "message"):
        out.print(f"{label:<8} {getattr(made, label)}", markup=False, highlight=False)
    for key, value in made.parameters.items():
        out.print(f"  {key} = {value}", markup=False, highlight=False)
