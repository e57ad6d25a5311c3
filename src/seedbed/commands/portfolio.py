"""Sharing a portfolio now, and taking what is shared."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from seedbed.commands.options import (
    DIST,
    Json,
    Profile,
    Regions,
    Show,
    Yes,
    carry_out,
    declared_here,
    out,
)
from seedbed.errors import SeedbedError

portfolio = typer.Typer(
    help="Share a portfolio now (hub), or take what is shared (spoke).", no_args_is_help=True
)
Key = Annotated[str, typer.Argument(help="The portfolio's key in portfolios.yml.")]
Nodes = Annotated[
    list[str], typer.Option("--with", help="An organisational unit or an account; repeatable.")
]


@portfolio.command("share")
def portfolio_share(
    key: Key,
    nodes: Nodes,
    region: Regions = None,
    profile: Profile = None,
    *,
    show: Show = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Share a published portfolio with declared units or accounts, without a publish."""
    _share(key, nodes, region, profile, end=False, show=show, yes=yes, as_json=as_json)


@portfolio.command("unshare")
def portfolio_unshare(
    key: Key,
    nodes: Nodes,
    region: Regions = None,
    profile: Profile = None,
    *,
    show: Show = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """End shares that are declared no more; projects stay, new ones cannot be created."""
    _share(key, nodes, region, profile, end=True, show=show, yes=yes, as_json=as_json)


def _share(
    key: str,
    nodes: list[str],
    region: list[str] | None,
    profile: str | None,
    *,
    end: bool,
    show: bool,
    yes: bool,
    as_json: bool,
) -> None:
    from seedbed import portfolios, publishing

    declared, plans = declared_here(), []
    for name in declared.chosen(region):
        account = publishing.Account.of(name, profile)
        plans.append((account, portfolios.share(account, declared, key, nodes, end=end)))
    sent = carry_out(plans, DIST, show=show, yes=yes, as_json=as_json, look="--plan")
    if sent and not end:
        out.print("shared. Next, in the spoke: seedbed portfolio import")


@portfolio.command("import")
def portfolio_import(
    principals: Annotated[
        list[str] | None,
        typer.Option("--principal", help="ARN of a role that is to see them; repeatable."),
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Option("--portfolio", metavar="KEY", help="Which of them it may see; repeatable."),
    ] = None,
    accepted: Annotated[
        list[str] | None,
        typer.Option("--accept", help="Id of a portfolio shared with this account alone."),
    ] = None,
    region: Regions = None,
    profile: Profile = None,
    *,
    as_json: Json = False,
) -> None:
    """Take what the hub shares with this account, and tell what is missing to launch it.

    A portfolio shared with this account's unit needs no acceptance, and no --principal where its
    principals are shared.
    """
    from seedbed import portfolios
    from seedbed.publishing import Account

    if principals and not keys:
        raise SeedbedError("--principal needs --portfolio: the key of what it may see")
    found, declared = [], declared_here()
    for name in declared.chosen(region):
        account = Account.of(name, profile)
        for id_ in accepted or ():
            portfolios.accept(account, id_)
        found += [
            (name, one) for one in portfolios.take(account, declared, principals or (), keys or ())
        ]
    if as_json:
        print(json.dumps([{"region": name, **one.plain()} for name, one in found], indent=2))
    for name, one in () if as_json else found:
        out.print(f"{one.title} ({one.id}) in {name}", markup=False, highlight=False)
        for label, values in (("product", one.products), ("principal", one.principals)):
            for value in values:
                out.print(f"  {label:<10} {value}", markup=False, highlight=False)
        for role in one.missing_roles:
            out.print(f"  missing    role {role}: run `seedbed bootstrap spoke` here")
    raise typer.Exit(any(one.missing_roles for _, one in found))
