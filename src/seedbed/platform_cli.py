"""The commands of maintainers and platform engineers, who reach AWS; other modules do the work."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from seedbed.errors import SeedbedError

if TYPE_CHECKING:
    from seedbed.bootstrap import Bootstrap
    from seedbed.declaration import Declaration
    from seedbed.packaging import Manifest
    from seedbed.projects import Project
    from seedbed.publishing import Account, Plan

out = Console(soft_wrap=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Profile = Annotated[
    str | None,
    typer.Option(help="AWS profile of the account; default: the environment's credentials."),
]
Release = Annotated[Path, typer.Option("--release", help="The folder that `package` wrote.")]
Regions = Annotated[
    list[str] | None,
    typer.Option("--region", help="Only this one of the declared regions; repeatable."),
]
Prune = Annotated[bool, typer.Option("--prune", help="Retire products declared no more, too.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the stacks; repeatable."),
]
Hub = Annotated[str, typer.Option("--hub", metavar="ACCOUNT", help="The hub's account id.")]
DIST = Path("dist")
bootstrap = typer.Typer(
    help="Deploy the platform's own stacks into this account.", no_args_is_help=True
)
portfolio = typer.Typer(
    help="Share a portfolio now (hub), or take what is shared (spoke).", no_args_is_help=True
)
project = typer.Typer(
    help="SageMaker projects, by the calls that Studio makes.", no_args_is_help=True
)
teardown = typer.Typer(help="The opposite of bootstrap.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the tool's own."""
    for command in (package, plan, publish, doctor):
        app.command()(command)
    app.add_typer(bootstrap, name="bootstrap")
    app.add_typer(teardown, name="teardown")
    app.add_typer(portfolio, name="portfolio")
    app.add_typer(project, name="project")


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
    plans = _plans(release, region, profile, prune=prune)
    if as_json:
        from seedbed.publishing.plan import dump

        print(dump([one for _, one in plans]))
    else:
        _show(one for _, one in plans)
    raise typer.Exit(2 if any(one.changes for _, one in plans) else 0)


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
    from seedbed.publishing.plan import dump

    plans = _plans(release, region, profile, prune=prune)
    if not as_json:
        _show(one for _, one in plans)
    count = sum(len(one.changes) for _, one in plans)
    if count and not yes and not agreed(f"Send these {count} requests?"):
        raise typer.Exit(1)
    _apply(plans, release)
    if as_json:
        print(dump([one for _, one in plans]))
    elif count:
        out.print(f"published: {count} requests sent", highlight=False)


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
    declared = _declared()
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


def _plans(
    release: Path, regions: list[str] | None, profile: str | None, *, prune: bool
) -> list[tuple[Account, Plan]]:
    from seedbed import publishing

    declared, manifest = _declared(), _manifest(release)
    plans = []
    for name in declared.chosen(regions):
        account = publishing.Account.of(name, profile)
        with Console(stderr=True).status(f"looking at {name}"):
            plans.append(
                (account, publishing.plan(account, declared, manifest, release, prune=prune))
            )
    return plans


def _declared() -> Declaration:
    from seedbed import catalog, declaration

    return declaration.load(catalog.CHECKOUT / declaration.FILE)


def _manifest(release: Path) -> Manifest:
    from seedbed import packaging

    return packaging.read(release)


def _apply(plans: Iterable[tuple[Account, Plan]], release: Path) -> None:
    """Send the requests of plans, with a bar for each region."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from seedbed.publishing import apply

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        for account, one in plans:
            task = bar.add_task(one.region, total=len(one.changes))
            apply(
                account,
                one,
                release,
                lambda change, task=task, at=one.region: bar.update(  # type: ignore[misc]
                    task, advance=1, description=f"{at} {change.kind} {change.target}"
                ),
            )


def _show(plans: Iterable[Plan]) -> None:
    from rich.table import Table

    for plan in plans:
        where = f"{plan.account} {plan.region}"
        if plan.changes:
            table = Table("kind", "what", "change", box=None, title=where)
            table.add_column("request", no_wrap=True)
            for change in plan.changes:
                request = f"{change.service}:{change.operation}"
                table.add_row(change.kind, change.target, change.summary, request)
            Console().print(table)
        else:
            out.print(f"{where}: nothing to do ({plan.calls} calls)", highlight=False)
        for note in plan.notes:
            out.print(f"note: {note}", markup=False, highlight=False)


@bootstrap.command("hub")
def bootstrap_hub(
    sets: Sets = None,
    profile: Profile = None,
    *,
    show: Annotated[bool, typer.Option("--plan", help="Show the changes, make none.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Make this account the hub: asset bucket and key, roles, seeder, publishing pipeline.

    Each stack's change set is shown before it is executed. By default the whole organisation may
    read what is published: --set OrganizationPaths=o-.../r-.../ou-.../* narrows it. With
    --set ConnectionArn=... and RepositoryId=... a pushed tag publishes.
    """
    _bootstrap("hub", None, sets, profile, show=show, yes=yes, as_json=as_json)


@bootstrap.command("spoke")
def bootstrap_spoke(
    hub: Hub,
    sets: Sets = None,
    profile: Profile = None,
    *,
    show: Annotated[bool, typer.Option("--plan", help="Show the changes, make none.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Make this account a spoke: launch roles, users' roles, seeder, private endpoints.

    In a network without internet: --set VpcId=... SubnetIds=... SecurityGroupIds=... and
    PackageIndexUrl=... or WheelhousePrefix=...; RouteTableIds=... adds the VPC endpoints.
    """
    _bootstrap("spoke", hub, sets, profile, show=show, yes=yes, as_json=as_json)


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
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove the hub's stacks; says what stays, and how to remove that too.

    With --portfolios it is refused while something provisioned from a product is left in any
    account that a portfolio is shared with.
    """
    _teardown("hub", None, profile, portfolios=portfolios, yes=yes, as_json=as_json)


@teardown.command("spoke")
def teardown_spoke(
    hub: Hub, profile: Profile = None, *, yes: Yes = False, as_json: Json = False
) -> None:
    """Remove a spoke's stacks; refused while there are projects, which need its roles."""
    _teardown("spoke", hub, profile, portfolios=False, yes=yes, as_json=as_json)


def _boot(kind: str, hub: str | None, sets: list[str] | None, profile: str | None) -> Bootstrap:
    from seedbed import bootstrap as boot
    from seedbed import catalog
    from seedbed.pairs import parse_pairs
    from seedbed.publishing import Account

    declared = _declared()
    account = Account.of(declared.regions[0], profile)
    parts = boot.HUB if kind == "hub" else boot.SPOKE
    made = boot.Bootstrap(
        catalog.CHECKOUT, declared, parts, account, hub or account.id, parse_pairs(sets or [])
    )
    made.check()
    return made


def _bootstrap(
    kind: str,
    hub: str | None,
    sets: list[str] | None,
    profile: str | None,
    *,
    show: bool,
    yes: bool,
    as_json: bool,
) -> None:
    made = _boot(kind, hub, sets, profile)
    told = []
    for change in made.changes():
        told.append(change.plain())
        what = change.left_out or ("" if change.lines else "nothing changes")
        if not as_json:
            line = f"{change.part.name} in {change.region}: {what}".rstrip(": ")
            out.print("\n".join([line, *change.lines]), markup=False, highlight=False)
        if not change.lines:
            continue
        if show or not (yes or agreed("Execute this change set?")):
            change.stack.discard()
            if not show:
                raise typer.Exit(1)
            continue
        with Console(stderr=True).status(f"{change.part.name} in {change.region}"):
            made.execute(change)
    if as_json:
        print(json.dumps(told, indent=2))
    elif not show:
        following = "seedbed package, then seedbed publish" if kind == "hub" else "seedbed doctor"
        out.print(f"{made.account.id} is a {kind}. Next: {following}", highlight=False)


def _teardown(
    kind: str,
    hub: str | None,
    profile: str | None,
    *,
    portfolios: bool,
    yes: bool,
    as_json: bool,
) -> None:
    from seedbed import publishing

    made = _boot(kind, hub, None, profile)
    made.refuse_in_use()
    plans = []
    for region in made.declared.regions if portfolios else ():
        account = made.account.at(region)
        plans.append((account, publishing.withdrawal(account, made.declared)))
    stacks, remains = made.stacks(), list(made.remains())
    if kind == "hub" and not portfolios:
        remains += [("", *one) for one in made.published()]
    if not as_json:
        _show(one for _, one in plans)
        for region, name in stacks:
            out.print(f"delete  {name} in {region}", markup=False, highlight=False)
        for _, type_, id_ in remains:
            out.print(f"stays   {type_} {id_}", markup=False, highlight=False)
        if remains:
            out.print(REMAINS, markup=False, highlight=False)
    requests = sum(len(one.changes) for _, one in plans)
    question = f"Send {requests} requests, delete {len(stacks)} stacks?"
    if (stacks or requests) and not yes and not agreed(question):
        raise typer.Exit(1)
    _apply(plans, DIST)
    with Console(stderr=True).status("deleting") as status:
        made.teardown(status.update)
    if as_json:
        stay = [{"stack": name, "type": type_, "id": id_} for name, type_, id_ in remains]
        deleted = [{"region": region, "stack": name} for region, name in stacks]
        said = {"requests": [one.plain() for _, one in plans]} if portfolios else {}
        print(json.dumps({"deleted": deleted, "stays": stay, **said}, indent=2))


Key = Annotated[str, typer.Argument(help="The portfolio's key in portfolios.yml.")]
Nodes = Annotated[
    list[str], typer.Option("--with", help="An organisational unit or an account; repeatable.")
]


@portfolio.command("share")
def portfolio_share(
    key: Key, nodes: Nodes, region: Regions = None, profile: Profile = None
) -> None:
    """Share a published portfolio with declared units or accounts, without a publish."""
    _share(key, nodes, region, profile, end=False)


@portfolio.command("unshare")
def portfolio_unshare(
    key: Key, nodes: Nodes, region: Regions = None, profile: Profile = None
) -> None:
    """End shares that are declared no more; projects stay, new ones cannot be created."""
    _share(key, nodes, region, profile, end=True)


def _share(
    key: str, nodes: list[str], region: list[str] | None, profile: str | None, *, end: bool
) -> None:
    from seedbed import portfolios, publishing

    declared = _declared()
    for name in declared.chosen(region):
        account = publishing.Account.of(name, profile)
        plan = portfolios.share(account, declared, key, nodes, end=end)
        with Console(stderr=True).status(f"sharing in {name}"):
            publishing.apply(account, plan, DIST)
        _show([plan])


@portfolio.command("import")
def portfolio_import(
    principals: Annotated[
        list[str] | None,
        typer.Option("--principal", help="ARN of a role that is to see it; repeatable."),
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

    found, declared = [], _declared()
    for name in declared.chosen(region):
        account = Account.of(name, profile)
        for id_ in accepted or ():
            portfolios.accept(account, id_)
        found += [(name, one) for one in portfolios.take(account, declared, principals or ())]
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


@project.command("create")
def project_create(  # noqa: PLR0917 (typer makes options of them)
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, hyphens; at most 32.")],
    product: Annotated[str, typer.Option(help="A product's key in portfolios.yml.")],
    hub: Annotated[str, typer.Option(metavar="ACCOUNT", help="The hub, for --route s3.")] = "",
    route: Annotated[str, typer.Option(help="catalog, or s3 for the template in S3.")] = "catalog",
    sets: Sets = None,
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

    Example: seedbed project create churn --product model-build-s3
    --set GitHost=codecommit --set RepositoryId=churn --set DataLocation=s3://lake/churn/
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
        tags=parse_pairs(tags or []),
    )
    with Console(stderr=True).status(f"creating {name}") as status:
        made = (
            projects.show(account, name)
            if no_wait
            else projects.wait(account, name, lambda one: status.update(f"{name}: {one.status}"))
        )
    _tell(made, as_json=as_json)


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
    found = [projects.show(account, name) for name in projects.every(account)]
    if as_json:
        print(json.dumps([one.plain() for one in found], indent=2))
        return
    table = Table("name", "id", "status", "route", "from", box=None)
    for one in found:
        table.add_row(one.name, one.id, one.status, one.route, one.origin)
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

    declared = _declared()
    return Account.of(region or declared.regions[0], profile), declared


def _tell(made: Project, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(made.plain(), indent=2))
        return
    for label in ("name", "id", "status", "route", "origin", "message"):
        out.print(f"{label:<8} {getattr(made, label)}", markup=False, highlight=False)
    for key, value in made.parameters.items():
        out.print(f"  {key} = {value}", markup=False, highlight=False)


REMAINS = (
    "What stays holds releases, data or models, or encrypts them. To remove it too: empty and "
    "delete the buckets, then schedule the keys' deletion; what they encrypted is unreadable "
    "afterwards. Portfolios: `seedbed teardown hub --portfolios`. Projects' buckets, keys and "
    "model package groups are not touched either."
)


def agreed(question: str) -> bool:
    """Ask. Raises SeedbedError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise SeedbedError("nobody can be asked here: read what is shown, then give --yes")
    return typer.confirm(question)
