"""The platform's own stacks: bootstrap and teardown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from seedbed.commands.options import (
    DIST,
    Hub,
    Json,
    Profile,
    Regions,
    Sets,
    Show,
    Yes,
    able_to_ask,
    agreed,
    counted,
    declared_here,
    due,
    out,
    send,
    show_plans,
)

if TYPE_CHECKING:
    from seedbed.bootstrap import Bootstrap, Change

bootstrap = typer.Typer(
    help="Deploy the platform's own stacks into this account.", no_args_is_help=True
)
teardown = typer.Typer(help="The opposite of bootstrap.", no_args_is_help=True)
PORTFOLIO = "AWS::ServiceCatalog::Portfolio"
REMAINS = (
    "What stays holds releases, data or models, or encrypts them. To remove it too: empty and "
    "delete the buckets, then schedule the keys' deletion; what they encrypted is unreadable "
    "afterwards. Projects' buckets, keys and model package groups are not touched either."
)


@bootstrap.command("hub")
def bootstrap_hub(
    sets: Sets = None,
    region: Regions = None,
    profile: Profile = None,
    *,
    show: Show = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Make this account the hub: asset bucket and key, roles, seeder, publishing pipeline.

    Each stack's change set is shown before it is executed. What is not --set stays as it is in
    stacks that are there. By default the whole organisation may read what is published: --set
    OrganizationPaths=o-.../r-.../ou-.../* narrows it. With --set ConnectionArn=... and
    RepositoryId=... a pushed tag publishes.
    """
    _bootstrap("hub", None, sets, region, profile, show=show, yes=yes, as_json=as_json)


@bootstrap.command("spoke")
def bootstrap_spoke(
    hub: Hub,
    sets: Sets = None,
    region: Regions = None,
    profile: Profile = None,
    *,
    show: Show = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Make this account a spoke: launch roles, users' roles, seeder, private endpoints.

    In a network without internet: --set VpcId=... SubnetIds=... SecurityGroupIds=... and
    PackageIndexUrl=... or WheelhousePrefix=...; RouteTableIds=... adds the VPC endpoints. What
    is not --set stays as it is in stacks that are there.
    """
    _bootstrap("spoke", hub, sets, region, profile, show=show, yes=yes, as_json=as_json)


@teardown.command("hub")
def teardown_hub(
    profile: Profile = None,
    *,
    portfolios: Annotated[
        bool,
        typer.Option(
            "--portfolios",
            help="First take away what `publish` made: products, portfolios, shares, S3 templates.",
        ),
    ] = False,
    show: Show = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove the hub's stacks; says what stays, and how to remove that too.

    With --portfolios it is refused while something provisioned from a product is left in any
    account that a portfolio is shared with.
    """
    _teardown("hub", None, profile, portfolios=portfolios, show=show, yes=yes, as_json=as_json)


@teardown.command("spoke")
def teardown_spoke(
    hub: Hub,
    profile: Profile = None,
    *,
    show: Show = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove a spoke's stacks; refused while there are projects, which need its roles."""
    _teardown("spoke", hub, profile, portfolios=False, show=show, yes=yes, as_json=as_json)


def _boot(
    kind: str,
    hub: str | None,
    sets: list[str] | None,
    profile: str | None,
    regions: list[str] | None = None,
) -> Bootstrap:
    from seedbed import bootstrap as boot
    from seedbed import catalog
    from seedbed.pairs import parse_pairs
    from seedbed.publishing import Account

    declared = declared_here()
    chosen = declared.chosen(regions)
    account = Account.of(declared.regions[0], profile)
    parts = boot.HUB if kind == "hub" else boot.SPOKE
    given = parse_pairs(sets or [])
    made = boot.Bootstrap(
        catalog.CHECKOUT, declared, parts, account, hub or account.id, given, chosen
    )
    made.check()
    return made


def _bootstrap(
    kind: str,
    hub: str | None,
    sets: list[str] | None,
    regions: list[str] | None,
    profile: str | None,
    *,
    show: bool,
    yes: bool,
    as_json: bool,
) -> None:
    if not (show or yes):
        able_to_ask(as_json=as_json, look="--plan")
    made = _boot(kind, hub, sets, profile, regions)
    if not as_json:
        of = "" if kind == "hub" else f" of hub {made.hub}"
        out.print(f"{kind}{of}: account {made.account.id}, {profile or 'environment'}")
    made.ready()
    told = []
    for change in made.changes():
        told.append(change.plain())
        if not as_json:
            _tell_change(change)
        if change.lines:
            _settle(made, change, show=show, yes=yes)
    if as_json:
        print(json.dumps(told, indent=2))
    if show:
        raise due(sum(len(one["changes"]) for one in told))
    if not as_json:
        following = "seedbed package, then seedbed publish" if kind == "hub" else "seedbed doctor"
        out.print(f"{made.account.id} is a {kind}. Next: {following}", highlight=False)


def _tell_change(change: Change) -> None:
    what = change.left_out or ("" if change.lines else "nothing changes")
    line = f"{change.part.name} in {change.region}: {what}".rstrip(": ")
    kept = [f"  keeps   {key} = {value}" for key, value in change.kept.items()]
    out.print("\n".join([line, *change.lines, *kept]), markup=False, highlight=False)


def _settle(made: Bootstrap, change: Change, *, show: bool, yes: bool) -> None:
    """Execute a change set, or take it back."""
    if show or not (yes or _execute(change)):
        change.stack.discard()
        if not show:
            raise typer.Exit(1)
        return
    with Console(stderr=True).status(f"{change.part.name} in {change.region}"):
        made.execute(change)


def _execute(change: Change) -> bool:
    """Ask. Whoever interrupts leaves no change set behind."""
    try:
        return agreed("Execute this change set?")
    except BaseException:
        change.stack.discard()
        raise


def _tell_teardown(stacks: list[tuple[str, str]], remains: list[tuple[str, str, str]]) -> None:
    for region, name in stacks:
        out.print(f"delete  {name} in {region}", markup=False, highlight=False)
    for _, type_, id_ in remains:
        out.print(f"stays   {type_} {id_}", markup=False, highlight=False)
    if remains:
        out.print(REMAINS, markup=False, highlight=False)
    if any(type_ == PORTFOLIO for _, type_, _ in remains):
        out.print("Portfolios: `seedbed teardown hub --portfolios`")
    if not stacks:
        out.print("no stack of ours is here", highlight=False)


def _teardown(
    kind: str,
    hub: str | None,
    profile: str | None,
    *,
    portfolios: bool,
    show: bool,
    yes: bool,
    as_json: bool,
) -> None:
    from seedbed import publishing

    if not (show or yes):
        able_to_ask(as_json=as_json, look="--plan")
    made = _boot(kind, hub, None, profile)
    made.refuse_teardown()
    plans = []
    for region in made.declared.regions if portfolios else ():
        account = made.account.at(region)
        plans.append((account, publishing.withdrawal(account, made.declared)))
    stacks, remains = made.stacks(), list(made.remains())
    if kind == "hub" and not portfolios:
        remains += [("", PORTFOLIO, id_) for id_ in made.published()]
    if not as_json:
        show_plans(one for _, one in plans)
        _tell_teardown(stacks, remains)
    requests = sum(len(one.changes) for _, one in plans)
    if as_json:
        stay = [{"stack": name, "type": type_, "id": id_} for name, type_, id_ in remains]
        deleted = [{"region": region, "stack": name} for region, name in stacks]
        said = {"requests": [one.plain() for _, one in plans]} if portfolios else {}
        told = json.dumps({"deleted": deleted, "stays": stay, **said}, indent=2)
    if not show:
        question = f"Send {counted(requests, 'request')}, delete {counted(len(stacks), 'stack')}?"
        if (stacks or requests) and not yes and not agreed(question):
            raise typer.Exit(1)
        send(plans, DIST)
        with Console(stderr=True).status("deleting") as status:
            made.teardown(status.update)
    if as_json:
        print(told)
    if show:
        raise due(len(stacks) + requests)
